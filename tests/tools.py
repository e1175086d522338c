"""Programs of other projects that some tests run: emulators, a maker of bills, MLflow.

`make tools` puts them under `.tools`; an environment variable names another place.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / ".tools"
PROGRAMS = {
    "FINOPS_AZURITE": "node_modules/.bin/azurite-blob",
    "FINOPS_BQEMULATOR": "bqemulator/bin/bqemulator",
    "FINOPS_NISE": "nise/bin/nise",
    "FINOPS_MLFLOW": "mlflow/bin/mlflow",
}


def tool(variable: str) -> Path:
    """The program a variable names; the test is left out without it, and fails where CI=true."""
    program = Path(os.environ.get(variable) or TOOLS / PROGRAMS[variable])
    if not program.exists():
        why = f"{program.name} is not there: make tools, or name it in {variable}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return program
