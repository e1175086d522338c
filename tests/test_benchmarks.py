"""The benchmark still runs: a thousandth of its size, for its tables and not for its seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks import dialects
from finops_pipeline import pipeline

ROOT = Path(__file__).parents[1]


def test_it_measures_every_step_and_what_a_second_run_costs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks", "--keep", str(tmp_path),
            "--charges", "10000", "--pod-hours", "7200", "--calls", "10000",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr

    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line[:2] == "| "]
    assert {step.name for step in pipeline.steps()} | {"publish"} <= set(rows)
    (unchanged,) = (line for line in done.stdout.splitlines() if "| nothing changed |" in line)
    assert "| none |" in unchanged


def test_it_reads_each_dialect_beside_the_bare_conversion(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks", "--dialects", "--keep", str(tmp_path),
            "--charges", "2000",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr

    rows = [line.split("|")[1:3] for line in done.stdout.splitlines() if line[:2] == "| "][1:]
    read = [(dialect.strip(), file.strip()) for dialect, file in rows]
    assert [(d, f) for d in dialects.MADE for f in dialects.FORMATS] == read
    assert "focus-converter" in done.stdout
