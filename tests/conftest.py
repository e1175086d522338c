"""The sample company's first days, run once through the command line for all who look at it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from finops_pipeline import sample

LONG = (
    "test_survive.py",
    "test_warehouse.py",
    "test_history.py",
    "test_conservation.py",
    "test_end_to_end.py",
    "test_benchmarks.py",
    "test_deliveries.py",
)
"""Files that take minutes: first, so that at the end no worker waits for another."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, the others in the order of their names."""
    items.sort(key=lambda item: (item.path.name not in LONG, item.path.name))


@dataclass(frozen=True)
class Ran:
    """What `finops run` left, printed and returned."""

    root: Path
    code: int
    out: str
    err: str


def finops(*arguments: object, cwd: Path | None = None, stdin: str = "") -> Ran:
    """The command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "finops_pipeline.cli", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(cwd or Path(), done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of the sample company, two days. Copy them; never write there."""
    root = tmp_path_factory.mktemp("company") / "acme"
    sample.write(root, days=2, sample_minutes=60)
    return root


@pytest.fixture(scope="session")
def road(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The company after `finops run`. Only read there."""
    root = tmp_path_factory.mktemp("road") / "acme"
    shutil.copytree(company, root)
    done = finops("run", "--config", root / "finops.toml", "--period", "2026-10")
    return Ran(root, done.code, done.out, done.err)
