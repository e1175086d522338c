"""One step of the road in this process, timed. Prints one JSON object as its last line.

What belongs here: running the product's own code, and nothing that makes it faster. The one
thing replaced is the network: what a Prometheus server would answer lies in a file.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from finops_pipeline import config as configuration
from finops_pipeline import pipeline, usage
from finops_pipeline import warehouse as warehouses
from finops_pipeline.config import Config, MetricsSection
from finops_pipeline.publish import publish

EVERYTHING = "everything"


def run(path: Path, period: str, wanted: str) -> dict[str, Any]:
    """Run one step, or `everything` with publishing, and tell what it did and how long it took."""
    settings = configuration.load(path)
    engines = _count_engines()

    def answer(block: MetricsSection, day: date, root: Path, to: Path) -> None:  # noqa: ARG001 -- its own shape
        to.symlink_to(path.parent.resolve() / "metrics" / f"{day}.parquet")

    usage._ask_server = answer  # noqa: SLF001 -- a server at this size is no part of the road
    start = warm()
    built = []
    with warehouses.Warehouse(settings).writing() as warehouse:
        if wanted != EVERYTHING:
            # opened once a run, not once a step
            with warehouse.engine(), warehouse.engine(sums_joins=False):
                pass
        started, cpu = time.perf_counter(), time.process_time()
        for step in pipeline.steps():
            if wanted in {step.name, EVERYTHING}:
                built += step.run(warehouse, period)
        if wanted in {"publish", EVERYTHING}:
            publish(warehouse)
    return {
        "step": wanted,
        "start": start,
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "rows": sum(b.state.rows for b in built),
        "partitions": len(built),
        "rebuilt": sorted({b.table for b in built if not b.skipped}),
        "rebuilt_partitions": sum(not b.skipped for b in built),
        "engines": engines[0] - 1,  # that of the start is not the road's
    }


def warm() -> float:
    """Seconds to load the libraries, open an engine and check a first, empty table.

    A run pays them once, as it pays for Dagster's start; here every step is a process.
    """
    started = time.perf_counter()
    pipeline.steps()  # every SQL file is parsed
    with tempfile.TemporaryDirectory() as scratch:
        settings = configuration.parse({}, Path(scratch))
        with warehouses.Warehouse(settings).writing() as warehouse:
            warehouse.ingest(("declared_workload",), "", [])
    return time.perf_counter() - started


def _count_engines() -> list[int]:
    """How often the road starts an engine: without one it can read no data."""
    count = [0]
    start = warehouses.connect

    def counted(
        config: Config, spill: Path, *, sums_joins: bool = True
    ) -> duckdb.DuckDBPyConnection:
        count[0] += 1
        return start(config, spill, sums_joins=sums_joins)

    warehouses.connect = counted
    return count


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
