"""The wheel carries the SQL files and nothing else of the tree, and works where it is installed."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from finops_pipeline import queries

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_sql_file_and_no_test(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    root = queries.sql_root()
    expected = {f"finops_pipeline/_sql/{p.relative_to(root)}" for p in root.rglob("*.sql")}

    assert expected == {n for n in names if n.endswith(".sql")}
    assert not [n for n in names if n.startswith(("tests", "benchmarks", "docs"))]
    assert {"assets/definitions.py", "assets/dagster.yaml"} <= names
    assert "finops_pipeline/report/page.css" in names


def test_an_installed_wheel_finds_its_sql(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    code = (
        "from finops_pipeline import queries, pipeline; import assets.definitions; "
        "print(queries.sql_root()); print(len(pipeline.steps()))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = [{str(tmp_path)!r}]\n"
         f"import site; site.main()\n{code}"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.startswith(str(tmp_path / "finops_pipeline" / "_sql"))
