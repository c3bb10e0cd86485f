# `make demo` and `make test` set up everything they need in .venv by themselves.

VENV := .venv
PYTHON := $(VENV)/bin/python
GPU_PYTHON ?= python3
PACKAGES := calib engines export plugins runtime training
READY := $(VENV)/.ready
NATIVE = $(shell find benchmarks examples plugins runtime/capi tests/capi_programs tests/host_kernels tests/host_plugins -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.c' -o -name '*.h')

.PHONY: capi demo gpu-check plugins test test-gpu lint format clean

demo: $(READY)
	$(PYTHON) examples/demo.py

plugins: $(READY)
	$(PYTHON) -m yolact.plugins.build_cli

capi: $(READY)
	$(PYTHON) -m yolact.runtime.capi.build

test: $(READY)
	$(PYTHON) -m pytest

test-gpu: $(READY)
	$(PYTHON) -m pytest -m gpu

# Installs nothing: for a machine with a GPU, a PyTorch for it and no network.
gpu-check:
	$(GPU_PYTHON) benchmarks/gpu_check.py

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/clang-format --dry-run --Werror $(NATIVE)
	MYPYPATH=$(VENV)/namespace $(PYTHON) -m mypy $(PACKAGES:%=-p yolact.%)

format: $(READY)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	@$(VENV)/bin/clang-format -i $(NATIVE)

clean:
	rm -rf $(VENV) demo build plugins/lib runtime/capi/lib *.egg-info

# PyTorch comes first and pinned: with it in place nothing below asks for another build.
# The link is how mypy sees this folder as the `yolact` namespace, whatever the clone is called.
$(READY): setup.py pyproject.toml
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet torch==2.13.0
	$(PYTHON) -m pip install --quiet --editable '.[dev]'
	mkdir -p $(VENV)/namespace
	ln -sfn "$(CURDIR)" $(VENV)/namespace/yolact
	touch $@
