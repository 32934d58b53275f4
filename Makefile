PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

.PHONY: setup gen
setup: $(VENV)/.ready

gen: setup
	$(BIN)/python tools/generate_protos.py
