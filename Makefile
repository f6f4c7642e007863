# Two commands: `make run` shows grokking, `make test` runs everything that CI runs. Nothing needs to be activated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test benchmark docs lock clean

run: $(VENV)/.installed
	$(BIN)/afterfit run modular-addition

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

benchmark: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

# docs/measures.md and its plots (trains one member, some minutes), and docs/results.md from the records.
docs: $(VENV)/.installed
	$(BIN)/python docs/make_measures.py
	$(BIN)/python docs/make_results.py

lock:
	requirements/lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "afterfit needs Python 3.11 or newer; say which with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements/run.txt
	$(PIP) --no-deps --editable .
	touch $@

# PyTorch stands outside the hashed lock: its CPU build has another hash than the public wheel. It is for tests only,
# and so are the frameworks of frameworks.txt, which would pull it in.
$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt requirements/frameworks.txt requirements/torch.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	$(PIP) --require-hashes --no-deps -r requirements/frameworks.txt
	$(PIP) -r requirements/torch.txt
	touch $@
