# `make demo` and `make test` set up everything they need in .venv by themselves.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --disable-pip-version-check install --no-compile
GPU_PYTHON ?= python3
FUZZ_SECONDS ?= 120
READY := $(VENV)/.ready
READY_FOR_DEMO := $(VENV)/.ready-demo
TRITON := build/triton
READY_FOR_DOCS := $(VENV)/.ready-docs
READY_FOR_TRITON := $(TRITON)/.ready
PACKAGING := build/packaging
READY_FOR_PACKAGING := $(PACKAGING)/.ready
# Commands and tests start Python many times; without its compiled files each start takes seconds longer.
unexport PYTHONDONTWRITEBYTECODE
NATIVE = $(shell find benchmarks examples plugins runtime/capi tests/support -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.c' -o -name '*.h')

.PHONY: capi demo dist docs fuzz gpu-check plugins test test-cluster test-gpu test-newest test-oldest triton triton-demo lint format clean web

demo: $(READY_FOR_DEMO)
	@$(PYTHON) examples/demo.py

# A page that runs the demonstration model in a browser; needs npm.
web: $(READY_FOR_DEMO)
	@$(PYTHON) examples/web/build.py

triton: $(READY_FOR_TRITON)

triton-demo: $(READY_FOR_TRITON)
	@$(PYTHON) examples/triton_demo.py

plugins: $(READY)
	$(VENV)/bin/yolact-build-plugins

capi: $(READY)
	$(PYTHON) -m yolact.runtime.capi.build

# The wheel is built from the source distribution, and without the CUDA library, so it is one for every platform.
dist: $(READY) $(READY_FOR_PACKAGING)
	rm -rf dist
	YOLACT_PLUGIN_ARCHS=none SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct)" $(PACKAGING)/bin/pyproject-build
	$(PACKAGING)/bin/twine check --strict dist/*
	$(PYTHON) -m pytest -m '' tests/test_wheel.py
	$(PYTHON) -m pytest -m dist tests/test_distributions.py tests/cli/test_every_installation.py

# Pages of docs/ as a site in build/site, which can be read and searched without a network. A link that leads nowhere ends it.
docs: $(READY_FOR_DOCS)
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build

# One process a core, and no more than memory holds; the tests of a file stay together, as does what it makes for them.
# What they free is kept for the next: to get it from the system again took a sixth of the time of tests that export.
test: $(READY)
	@$(MAKE) --no-print-directory triton || echo "Triton cannot be had here; the tests that need it are skipped."
	MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=1000000000 MALLOC_TOP_PAD_=67108864 \
	$(PYTHON) -m pytest -q --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# Ray on this machine, with machines, workers and commands that are killed in the middle of a job.
test-cluster: $(READY)
	$(PYTHON) -m pytest -m cluster

test-gpu: $(READY)
	$(PYTHON) -m pytest -m gpu

# A quick part of the tests in a fresh environment with the oldest versions that pyproject.toml allows, and with the newest that
# there are: first what runs without PyTorch, then with it what exports and what is compared with it.
WITHOUT_PYTORCH := tests/cli/test_infer_cli.py tests/cli/test_infer_failures.py tests/runtime/images/test_drawing.py \
	tests/runtime/images/test_mask_encoding.py tests/runtime/postprocess/test_output_check.py tests/runtime/test_class_choice.py \
	tests/runtime/test_detection_stream.py tests/runtime/test_engine_files.py tests/runtime/test_results.py tests/runtime/tracking
WITH_PYTORCH := tests/cli/test_export_cli.py tests/export/test_functions.py tests/export/test_other_runtimes.py \
	tests/runtime/postprocess tests/runtime/test_detections.py tests/runtime/test_detector.py tests/runtime/test_engine_files.py

test-oldest test-newest: test-%:
	python3 -m venv --clear build/$*
	YOLACT_PLUGIN_ARCHS=none build/$*/bin/python -m pip --disable-pip-version-check install --quiet --no-compile \
		--constraint tests/constraints/$*.txt '.[eval,video]' filelock onnx pillow pytest
	build/$*/bin/python -m pytest -q $(WITHOUT_PYTORCH)
	YOLACT_PLUGIN_ARCHS=none build/$*/bin/python -m pip --disable-pip-version-check install --quiet --no-compile \
		--constraint tests/constraints/$*.txt '.[export]'
	build/$*/bin/python -m pytest -q $(WITH_PYTORCH)

# Bytes that nobody thought of, for minutes, to what reads them; what it finds stays in build/fuzz for the next time.
fuzz: $(READY)
	$(PYTHON) tests/support/fuzz_readers --seconds $(FUZZ_SECONDS)
	$(PYTHON) tests/support/fuzz_service --seconds $(FUZZ_SECONDS)

# Installs nothing: for a machine with a GPU, a PyTorch for it and no network.
gpu-check:
	$(GPU_PYTHON) -m benchmarks.gpu.check

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/clang-format --dry-run --Werror $(NATIVE)
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/hadolint docker/*.Dockerfile
	MYPYPATH=build/editable $(PYTHON) -m mypy -p yolact

format: $(READY)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	@$(VENV)/bin/clang-format -i $(NATIVE)

clean:
	rm -rf $(VENV) demo build plugins/lib runtime/capi/lib *.egg-info

# PyTorch comes first and pinned: with it in place nothing below asks for another build.
$(READY_FOR_DEMO): setup.py pyproject.toml
	@echo "Setting up $(VENV), once; every make command uses it."
	@echo "1 of 3: an empty Python environment"
	@python3 -m venv $(VENV)
	@echo "2 of 3: PyTorch 2.13.0; its build with CUDA, which PyPI has for Linux, is a download of more than 2 GB"
	@$(PIP) torch==2.13.0
	@echo "3 of 3: this toolkit with NumPy, OpenCV, FFmpeg, ONNX and ONNX Runtime, a download of about 190 MB"
	@$(PIP) --editable '.[export,hub,video]'
	@touch $@

$(READY_FOR_DOCS): $(READY_FOR_DEMO)
	@echo "Adding what makes the site of the documents, a download of about 20 MB"
	@$(PIP) --editable '.[docs]'
	@touch $@

$(READY): $(READY_FOR_DEMO)
	@echo "Adding what tests, linters and training need, a download of about 500 MB"
	@$(PIP) --editable '.[dev]'
	@touch $@

# What builds and checks distributions, apart from what it checks.
$(READY_FOR_PACKAGING):
	@python3 -m venv --clear $(PACKAGING)
	@$(PACKAGING)/bin/python -m pip --disable-pip-version-check install --no-compile build==1.6.1 twine==7.0.0
	@touch $@

# The real server, out of a wheel for Linux on x86-64. It has an environment of its own, as its python backend takes NumPy 1
# alone; what else models need is borrowed from .venv.
$(READY_FOR_TRITON): $(READY)
	@echo "Adding NVIDIA's Triton server, a download of 75 MB that takes 210 MB of disk"
	@$(PYTHON) -m venv --clear --without-pip $(TRITON)
	@$(PYTHON) -m pip --disable-pip-version-check --python $(TRITON)/bin/python install --no-compile --no-deps \
		nvidia-pytriton==0.7.0 'numpy>=1.26,<2'
	@$(PYTHON) -c "import sysconfig; print(f'import site; site.addsitedir({sysconfig.get_path(\"purelib\")!r})')" > \
		"$$($(TRITON)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth"
	@touch $@
