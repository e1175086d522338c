"""The benchmark still runs: a thousandth of its size, for its tables and not for its seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import __main__ as road
from benchmarks import bounds, dialects, inputs
from benchmarks.stage import EVERYTHING
from finops_pipeline import pipeline

ROOT = Path(__file__).parents[1]
SIZE = inputs.Size(10_000, 7_200, 10_000)


def benchmarks(*arguments: str) -> list[list[str]]:
    """Cells of the tables that the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    lines = [line for line in done.stdout.splitlines() if line[:2] == "| "]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_it_measures_steps_beside_their_bounds_and_adds_up_stages(tmp_path: Path) -> None:
    rows = benchmarks(
        "--keep", str(tmp_path), "--until", "tag_set",
        "--charges", "10000", "--pod-hours", "7200", "--calls", "10000",
    )  # fmt: skip

    known = {row[0]: row for row in rows}
    assert ["step", "bill", "tag_set", "stage", "bill"] == [row[0] for row in rows]
    assert "10,000" == next(row for row in rows if row[0] == "bill")[1]
    assert len(known["stage"]) == len(known["bill"])


def test_every_step_has_a_bound_and_a_second_run_makes_what_changed(tmp_path: Path) -> None:
    inputs.write(tmp_path, SIZE)
    config = tmp_path / "finops.toml"
    first = road.measured("stage", config, inputs.PERIOD, EVERYTHING)

    for step in [*(s.name for s in pipeline.steps()), "publish"]:
        bound = bounds.bound(config, inputs.PERIOD, step)
        assert bound["seconds"] >= 0
        assert bound["rows"] >= 0
    again = road.second_runs(tmp_path, SIZE)

    assert first["partitions"] == first["rebuilt_partitions"] > 0
    assert [] == again["nothing changed"]["rebuilt"]
    assert 0 == again["nothing changed"]["engines"]
    day, file = (again[what]["rebuilt_partitions"] for what in ("a day changed", "a file restated"))
    assert 0 < day < first["partitions"]
    assert 0 < file < first["partitions"]


def test_it_reads_each_dialect_beside_the_bare_conversion(tmp_path: Path) -> None:
    rows = benchmarks("--dialects", "--keep", str(tmp_path), "--charges", "2000")

    read = [(dialect, file) for dialect, file, *_ in rows[1:]]
    assert [(d, f) for d in dialects.MADE for f in dialects.FORMATS] == read
