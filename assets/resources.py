"""What a run holds: the configuration, and the warehouse locked for this run alone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import dagster as dg
from pydantic import PrivateAttr

from finops_pipeline.config import load
from finops_pipeline.warehouse import Built, Warehouse


def config_path() -> Path:
    """Where `finops.toml` is: the environment variable FINOPS_CONFIG, else this folder."""
    return Path(os.environ.get("FINOPS_CONFIG", "finops.toml"))


class Finops(dg.ConfigurableResource[Any]):
    """The warehouse of one `finops.toml`, held from the first step of a run to its last."""

    progress: bool = False
    retries: int = 3
    _warehouse: Warehouse = PrivateAttr()

    @contextlib.contextmanager
    def yield_for_execution(
        self,
        context: dg.InitResourceContext,  # noqa: ARG002  # Dagster calls it by this name.
    ) -> Iterator[Self]:
        """Lock the warehouse for the run."""
        with Warehouse(load(config_path())).writing() as warehouse:
            self._warehouse = warehouse
            yield self

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse, open for writing."""
        return self._warehouse

    def tell(self, name: str, built: list[Built]) -> None:
        """One line of progress for a person at a terminal."""
        if self.progress:
            rows = sum(b.state.rows for b in built)
            seconds = sum(b.seconds for b in built)
            written = sum(not b.skipped for b in built)
            done = f"{written} written" if written else "unchanged"
            print(f"  {name:<22} {rows:>12,} rows  {done:<12} {seconds:6.1f} s", file=sys.stderr)
