"""A bill of a few rows, and the road over it without Dagster.

What belongs here: the smallest input that goes the whole way, for tests of how partitions are
written and survive. Each row is a FOCUS charge, so a total can be done in one's head.
"""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from finops_pipeline import config, contracts, pipeline
from finops_pipeline.config import Config
from finops_pipeline.warehouse import Built, Warehouse

PERIOD = "2026-10"
MANIFEST = 'manifest = "in/{period}/manifest.json"\n'
TOML = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/*.csv"
"""
COLUMNS = [
    "BilledCost",
    "EffectiveCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ProviderName",
    "ServiceCategory",
    "ServiceName",
    "ResourceId",
    "InvoiceId",
    "Tags",
]
V1 = (("01", "search", "40.00"), ("02", "chat", "35.00"), ("03", "", "25.00"))
V2 = (("01", "search", "40.00"), ("02", "chat", "36.10"), ("03", "", "20.00"), ("04", "", "7.00"))
"""One bill as first delivered, of 100.00, and as restated, of 103.10: day, feature and cost."""

Row = tuple[str, str, str]


MONEY = ("showback", "reconciliation")
"""What is held against a bill; less than half of the steps lead there."""


def road(*tables: str) -> list[pipeline.Step]:
    """The steps that lead to some tables, in order; all steps where none is named."""
    steps = pipeline.steps()
    filled = {table: step for step in steps for table in step.tables}
    wanted = {filled[table].name for table in tables}
    while more := {filled[t].name for s in steps if s.name in wanted for t in s.reads} - wanted:
        wanted |= more
    return [step for step in steps if step.name in wanted or not tables]


@dataclass(frozen=True)
class Small:
    """A folder with a `finops.toml` and its inputs. A run makes what leads `to` some tables."""

    root: Path
    to: tuple[str, ...] = ()

    @staticmethod
    def make(
        root: Path, toml: str = TOML, *, manifest: bool = False, to: tuple[str, ...] = ()
    ) -> Small:
        root.mkdir(parents=True, exist_ok=True)
        (root / "finops.toml").write_text(toml + (MANIFEST if manifest else ""))
        return Small(root, to)

    @property
    def toml(self) -> Path:
        return self.root / "finops.toml"

    @property
    def config(self) -> Config:
        return config.load(self.toml)

    def configure(self, text: str) -> None:
        """Add to `finops.toml`."""
        self.toml.write_text(f"{self.toml.read_text()}\n{text}\n")

    def deliver(
        self, rows: tuple[Row, ...], name: str = "bill.csv", period: str = PERIOD, **same: str
    ) -> Path:
        """Write one file of charges; `same` sets columns of all rows."""
        path = self.root / "in" / period / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for day, feature, cost in rows:
                writer.writerow(_charge(period, day, feature, cost) | same)
        return path

    def list_parts(self, *names: str, period: str = PERIOD) -> None:
        """Write the manifest, last as a provider does."""
        path = self.root / "in" / period / "manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"dataFiles": [f"s3://acme/in/{period}/{n}" for n in names]}))

    def run(self, period: str = PERIOD, *, publish: bool = True) -> list[Built]:
        """Every step of a period on its road, then publishing."""
        built: list[Built] = []
        with Warehouse(self.config).writing() as warehouse:
            for step in road(*self.to):
                built += step.run(warehouse, period)
            if publish:
                pipeline.publish_database(warehouse)
        return built

    @property
    def generation(self) -> Path:
        current = Warehouse(self.config).current
        assert current is not None
        return current

    @property
    def database(self) -> Path:
        return self.config.database

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over the published database."""
        with duckdb.connect() as connection:
            connection.execute(f"attach '{self.database}' as published (read_only)")
            connection.execute("use published")
            return connection.execute(sql).fetchall()

    def total(self) -> Decimal:
        """The published showback, all of it."""
        found: Decimal = self.ask("select coalesce(sum(EffectiveCost), 0) from showback")[0][0]
        return found

    def parquet(self, below: Path | None = None) -> dict[str, str]:
        """Path and SHA-256 of every Parquet file of a generation, the published one."""
        root = below or self.generation
        return {
            str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(root.rglob("*.parquet"))
        }

    def states(self) -> dict[str, Any]:
        """What every published partition knows of itself."""
        return {
            str(p.parent.relative_to(self.generation)): json.loads(p.read_text())
            for p in sorted(self.generation.glob("*/*/_state.json"))
        }

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table of the published database, its rows in order."""
        return {
            name: self.ask(f'select columns(*)::varchar from "{name}" order by all')
            for name in contracts.tables()
        }

    def everything(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        """All that a reader can see, to compare two runs by."""
        return self.parquet(), self.states(), self.tables()


def broken(small: Small) -> list[str]:
    """What a reader would find wrong at this moment; nothing, at every moment."""
    current = small.config.home / "current"
    found: list[str] = []
    if current.is_symlink():
        generation = current.resolve()
        there = {p.parent.parent.name for p in generation.glob("*/*/_state.json")}
        found += [
            f"{name} is not in {generation.name}"
            for name, table in contracts.tables().items()
            if table.partition == "BillingPeriod" and name not in there
        ]
        found += [
            f"{state.parent} has no data"
            for state in generation.glob("*/*/_state.json")
            if not list(state.parent.glob("*.parquet"))
        ]
        with duckdb.connect() as connection:
            sums = [
                connection.execute(
                    "select coalesce(sum(EffectiveCost), 0) "
                    f"from read_parquet('{generation}/{table}/*/*.parquet')"
                ).fetchall()[0][0]
                for table in ("cost_and_usage", "showback")
            ]
        if sums[0] != sums[1]:
            found.append(f"{generation.name} bills {sums[0]} and shows {sums[1]}")
    if small.database.exists():
        both = small.ask(
            "select (select sum(EffectiveCost) from cost_and_usage), "
            "(select sum(EffectiveCost) from showback)"
        )[0]
        if both[0] != both[1]:
            found.append(f"the database bills {both[0]} and shows {both[1]}")
    return found


def _charge(period: str, day: str, feature: str, cost: str) -> dict[str, str]:
    year, month = int(period[:4]), int(period[5:])
    after = f"{year + month // 12}-{month % 12 + 1:02d}"
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{period}-01T00:00:00Z",
        "BillingPeriodEnd": f"{after}-01T00:00:00Z",
        "ChargePeriodStart": f"{period}-{day}T00:00:00Z",
        "ChargePeriodEnd": f"{period}-{day}T01:00:00Z",
        "ChargeCategory": "Usage",
        "ProviderName": "Example Cloud",
        "ServiceCategory": "Compute",
        "ServiceName": "Machines",
        "ResourceId": f"i-{feature or 'none'}",
        "InvoiceId": f"I-{period}",
        "Tags": json.dumps({"feature": feature} if feature else {}),
    }
