# Everything runs in .venv, which `make env` creates once and then only looks at.
BIN := .venv/bin
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help env demo test test-oldest lint types layers unit published clean

help:
	@echo 'make env     create the environment in .venv, or reuse it'
	@echo 'make demo    the whole loop on drawn figures, 8 to 20 minutes on 2 cores'
	@echo 'make test    what CI runs: lint, types, layers and unit'
	@echo 'make test-oldest  pytest with the oldest versions, in .venv-torch2.1'
	@echo 'make lint    ruff: rules and format'
	@echo 'make types   mypy'
	@echo 'make layers  import-linter: imports point down only'
	@echo 'make unit    pytest'
	@echo 'make published  every published config of MMPose through the tools, hours'
	@echo 'make clean   remove the environments and the caches'

env:
	@python3 tools/setup_env.py

demo: env
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash tools/demo.sh

test: lint types layers unit

lint: env
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

types: env
	@$(BIN)/python -m mypy

layers: env
	@$(BIN)/lint-imports

# One thread a process: two processes on two cores otherwise fight over them.
unit: env
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

# The lower bounds of setup.py, in an environment beside the first.
test-oldest:
	@python3 tools/setup_env.py --torch 2.1
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 .venv-torch2.1/bin/python -m pytest -n 2

# Goes on where it was stopped; a sample of ten is part of `make unit`.
published: env
	@OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python \
		-m tools.benchmarks.published_configs --jobs 2 --write configs/README.md

clean:
	rm -rf .venv .venv-torch2.1 .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
