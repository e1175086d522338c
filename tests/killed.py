"""Runs that are killed: `python -m tests.killed finops.toml YYYY-MM [--publish]`.

Each number N on standard input is a run of its own, in a process of its own, which kills itself
with SIGKILL right before its N-th change of the file system (a rename, link, symlink, folder made
or removed, file removed; a text file is left half written). 0 is a run that nobody kills. With
`--publish` the tables are built unharmed first, and only the changes of publishing count. The
answer to each is a line: how many changes it lived through, and `killed` or `done`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("rename", "replace", "link", "symlink", "mkdir", "rmdir", "unlink", "utime")


class Reaper:
    """Counts changes; at the N-th the process ends. `count` is a pipe the parent reads."""

    def __init__(self, at: int, count: int) -> None:
        self.at, self.seen, self.count = at, 0, count
        for name in CHANGES:
            setattr(os, name, self.before(getattr(os, name)))
        write_text = Path.write_text

        def half(path: Path, data: str, *args: Any, **named: Any) -> int:
            if self.dies_now():
                write_text(path, data[: len(data) // 2], *args, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            return write_text(path, data, *args, **named)

        Path.write_text = half  # type: ignore[method-assign, assignment]

    def dies_now(self) -> bool:
        self.seen += 1
        os.write(self.count, b".")
        return self.seen == self.at

    def before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if self.dies_now():
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **named)

        return call


def run(toml: Path, period: str, at: int, count: int, publish_only: bool) -> None:
    """One run, in a process that may end anywhere in it."""
    from finops_pipeline import config, pipeline
    from finops_pipeline.warehouse import Warehouse

    if not publish_only:
        Reaper(at, count)
    with Warehouse(config.load(toml)).writing() as warehouse:
        for step in pipeline.steps():
            step.run(warehouse, period)
        if publish_only:
            Reaper(at, count)
        pipeline.publish_database(warehouse)


def main(arguments: list[str]) -> None:
    publish_only = "--publish" in arguments
    toml, period = [a for a in arguments if a != "--publish"]
    # Loaded once; each run is then a fork that has started no thread of DuckDB's yet.
    import duckdb  # noqa: F401
    import pandera.polars  # noqa: F401
    import polars as pl  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from finops_pipeline import pipeline, publish  # noqa: F401

    for at in map(int, sys.stdin):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            code = 1
            try:
                run(Path(toml), period, at, write, publish_only)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            lived = len(pipe.read())
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) not in (0, -signal.SIGKILL):
            sys.exit(f"the run with {at} failed by itself")
        print(lived, "done" if status == 0 else "killed", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
