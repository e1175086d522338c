# Everything runs in .venv, made from the locked versions with nothing but Python and git.
#   make demo    a made-up company's month, from inputs to pull requests, under demo/
#   make test    what CI runs       make floor   the SQL on the oldest DuckDB we support
#   make ui      Dagster's user interface over the demo (or FINOPS_CONFIG)
#   make tools   emulators and bill makers that some tests use; without them those say so
#   make check   linter, formatter, types
#   make lock    resolve versions anew      make docs   write generated docs anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FLOOR := .venv-floor
export UV_COMPILE_BYTECODE := 1
# The Dagster and pandera versions in the lock phone nobody; keep it so.
export DAGSTER_DISABLE_TELEMETRY := 1

DEMO := demo
DEMO_PERIOD := 2026-10
DEMO_DAYS := 31
FINOPS_CONFIG ?= $(DEMO)/finops.toml

# What tests of other places are held against, each in a folder of its own: never installed beside
# the product, never needed to use it.
TOOLS := .tools
export FINOPS_AZURITE ?= $(wildcard $(CURDIR)/$(TOOLS)/node_modules/.bin/azurite-blob)
export FINOPS_BQEMULATOR ?= $(wildcard $(CURDIR)/$(TOOLS)/bqemulator/bin/bqemulator)
export FINOPS_NISE ?= $(wildcard $(CURDIR)/$(TOOLS)/nise/bin/nise)
export FINOPS_MLFLOW ?= $(wildcard $(CURDIR)/$(TOOLS)/mlflow/bin/mlflow)

.PHONY: demo test tools floor ui check lock docs bench clean

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"finops needs Python 3.11, 3.12 or 3.13; {sys.executable} is {v[0]}.{v[1]}. Say which: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements-dev.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed
	rm -rf $(DEMO)
	$(BIN)/finops sample $(DEMO) --days $(DEMO_DAYS)
	$(BIN)/finops run --config $(DEMO)/finops.toml --period $(DEMO_PERIOD)

# A file of tests is one worker's, the long ones first (tests/conftest.py).
test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# Emulators of Azure Blob Storage and BigQuery, a maker of AWS, Google Cloud and Azure bills, and
# MLflow itself.
tools: $(TOOLS)/.installed

$(TOOLS)/.installed: $(VENV)/.installed
	npm install --silent --no-audit --no-fund --prefix $(TOOLS) azurite@3.35.0
	$(BIN)/uv venv --quiet --clear $(TOOLS)/bqemulator
	VIRTUAL_ENV=$(TOOLS)/bqemulator $(BIN)/uv pip install --quiet bqemulator==1.4.0 duckdb==1.5.5 \
		duckdb-extensions==1.5.5 duckdb-extension-spatial==1.5.5 numpy==2.4.4
	mkdir -p $(TOOLS)/bqemulator/home
	HOME=$(CURDIR)/$(TOOLS)/bqemulator/home $(TOOLS)/bqemulator/bin/python -c \
		"from duckdb_extensions import import_extension as i; i('spatial')"
	$(BIN)/uv venv --quiet --clear $(TOOLS)/nise
	VIRTUAL_ENV=$(TOOLS)/nise $(BIN)/uv pip install --quiet koku-nise==5.4.4
	$(BIN)/uv venv --quiet --clear $(TOOLS)/mlflow
	VIRTUAL_ENV=$(TOOLS)/mlflow $(BIN)/uv pip install --quiet mlflow==3.17.2
	@touch $@

# The oldest DuckDB we support, over everything that is SQL.
floor: $(VENV)/.installed
	$(PYTHON) -m venv $(FLOOR)
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip sync --quiet --require-hashes requirements-dev.lock
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip install --quiet duckdb==1.5.5
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	$(FLOOR)/bin/python -m pytest -q --numprocesses auto tests/test_cases.py tests/test_contracts.py tests/test_docs.py \
		tests/test_bill.py tests/test_usage.py tests/test_findings.py tests/test_report.py

ui: $(VENV)/.installed
	@test -f "$(FINOPS_CONFIG)" || { echo "no $(FINOPS_CONFIG) yet: make demo, or set FINOPS_CONFIG"; exit 2; }
	@mkdir -p $(dir $(FINOPS_CONFIG)).dagster && cp -n dagster.yaml $(dir $(FINOPS_CONFIG)).dagster/ || true
	FINOPS_CONFIG=$(abspath $(FINOPS_CONFIG)) DAGSTER_HOME=$(abspath $(dir $(FINOPS_CONFIG)).dagster) \
		$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed
	$(BIN)/python -m tests.generated

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --all-extras --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --all-extras --upgrade pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(DEMO) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
