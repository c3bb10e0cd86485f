# `make demo` and `make test` set up everything they need in .venv by themselves.

VENV := .venv
PYTHON := $(VENV)/bin/python
GPU_PYTHON ?= python3
READY := $(VENV)/.ready
NATIVE = $(shell find benchmarks examples plugins runtime/capi tests/support -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.c' -o -name '*.h')

.PHONY: capi demo gpu-check plugins test test-gpu lint format clean

demo: $(READY)
	$(PYTHON) examples/demo.py

plugins: $(READY)
	$(VENV)/bin/yolact-build-plugins

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
	MYPYPATH=build/editable $(PYTHON) -m mypy -p yolact

format: $(READY)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	@$(VENV)/bin/clang-format -i $(NATIVE)

clean:
	rm -rf $(VENV) demo build plugins/lib runtime/capi/lib *.egg-info

# PyTorch comes first and pinned: with it in place nothing below asks for another build.
$(READY): setup.py pyproject.toml
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet torch==2.13.0
	$(PYTHON) -m pip install --quiet --editable '.[dev]'
	touch $@
