# Everything runs from the environment in .venv, made from pyproject.toml and the pins in constraints.txt: with what the
# host needs for `make run`, with all tools for the rest. The tools come on top of what is there, and nothing is removed.
# Needs make and a Python of at least 3.11; `make PYTHON=/path/to/python` chooses one.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_RUN := $(VENV)/.ready-to-run
REQUIREMENTS := pyproject.toml gestalt_sdk/pyproject.toml constraints.txt
PYTEST := $(BIN)/pytest -q
# Whichever worker is done takes over from the other, within a file too: the longest files have few tests.
PARALLEL ?= -n 2 --dist worksteal

.PHONY: help setup setup-run run test test-packages lint proto-check fix check gen bench conformance nightly coverage hooks release clean
.DEFAULT_GOAL := help

help:
	@echo 'make run          set up for running, then serve the quickstart on http://127.0.0.1:8080 (Ctrl-C ends it)'
	@echo 'make test         set up for developing, then run all tests'
	@echo 'make test-packages  the tests of each package by itself'
	@echo 'make fix          format, and mend what the linter can'
	@echo 'make hooks        check each commit before it is made (pre-commit)'
	@echo 'make check        what CI runs: generated code, format, lint, types, contract, all tests'
	@echo 'make conformance  replay the recorded conversations against our processes'
	@echo 'make nightly      randomised, kill and fuzz tests at full count, and recordings that take minutes'
	@echo 'make coverage     which lines the tests of packages and contracts never run'
	@echo 'make bench        measure; prints figures and how they were taken'
	@echo 'make release      what a release consists of, into dist/: the same bytes from the same commit'
	@echo 'make gen          generate gestalt_sdk/gen and docs/providers/reference.md from proto/'
	@echo 'make proto-check  lint proto/ and compare it with the commit before, where buf is there'
	@echo 'make setup        only the environment in $(VENV), for developing; make setup-run: for running'

# Pip says itself what it downloads and installs. An environment that was interrupted before it had pip is completed. Pip's
# own script is not run: its first line holds the folder's path, which must neither have changed nor have a `$`.
# Compiling takes 1 s; else each process of the first start would do it for itself, before it serves.
define set_up
@test -n '$(PYTHON)' || { echo 'No Python of at least 3.11 with venv found; say which: make PYTHON=/path/to/python' >&2; exit 1; }
@echo 'Setting up $(VENV) with $(PYTHON) for $(1) ...'
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
@$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable ./gestalt_sdk --editable '.$(2)'
@-$(BIN)/python -m compileall -q gestalt_sdk gestalt_host providers
endef

$(READY_TO_RUN): $(REQUIREMENTS)
	$(call set_up,running (some 40 packages, 120 MB),)
	@touch $@

$(READY): $(REQUIREMENTS)
	$(call set_up,developing (some 80 packages, 310 MB),[dev])
	@touch $(READY_TO_RUN) $@

setup-run: $(READY_TO_RUN)

setup: $(READY)

run: setup-run
	@$(BIN)/python examples/quickstart/run.py

test: setup
	$(PYTEST) $(PARALLEL)

# What depends on the interpreter: each package by itself, without the proofs of whole processes.
test-packages: setup
	$(PYTEST) $(PARALLEL) tests/unit

lint: setup proto-check
	$(BIN)/python tools/generate_protos.py --check
	$(BIN)/python -m tools.generate_reference --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gestalt_sdk gestalt_host providers/indexeddb providers/indexeddb_store tests benchmarks tools examples
	$(BIN)/python tests/conformance/tools/check_contract.py proto

proto-check: setup
	$(BIN)/python -m tools.check_protos

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: setup
	$(BIN)/pre-commit install

check: lint test

conformance: setup
	$(PYTEST) tests/conformance

nightly: setup
	GESTALT_NIGHTLY=1 $(PYTEST)

bench: setup
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.first_light
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.workflow

# Providers run as processes of their own, so each process writes a file and all are combined.
coverage: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q tests/unit tests/contract
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort=miss

release: setup
	$(BIN)/python -m tools.release

gen: setup
	$(BIN)/python tools/generate_protos.py
	$(BIN)/python -m tools.generate_reference

clean:
	rm -rf $(VENV) examples/quickstart/state build dist .dist-* *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
