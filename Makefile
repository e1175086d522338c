# Everything runs in .venv, made from the locked versions with nothing but Python and git.
#   make demo    a made-up company's month, from inputs to pull requests, under demo/
#   make test    what CI runs       make floor   the SQL on the oldest DuckDB we support
#   make ui      Dagster's user interface over the demo (or FINOPS_CONFIG)
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

.PHONY: demo test floor ui check lock docs bench clean

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

test: $(VENV)/.installed
	$(BIN)/python -m pytest

# The oldest DuckDB we support, over everything that is SQL.
floor: $(VENV)/.installed
	$(PYTHON) -m venv $(FLOOR)
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip sync --quiet --require-hashes requirements-dev.lock
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip install --quiet duckdb==1.5.5
	VIRTUAL_ENV=$(FLOOR) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	$(FLOOR)/bin/python -m pytest -q tests/test_cases.py tests/test_contracts.py tests/test_docs.py \
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
