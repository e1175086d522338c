"""Published tables as files in another's words: `finops export focus`.

What belongs here: which file is written from which published tables, how it is written so that
nobody sees half of it, and the rules it is held to. What the columns mean is `sql/export/`; the
rules are `sql/checks/focus/`, each naming the requirements of FOCUS it stands for and whether an
offender `blocks` the export (a fault of ours) or is only told (the provider's own).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from . import contracts, queries
from .config import Config
from .errors import CheckFailed, ConfigError, UnknownName
from .warehouse import Warehouse, bind_files, connect, copy, literal

FORMATS = ("parquet", "csv")
TABLES = ("cost_and_usage", "allocated_cost")
WRITTEN = "focus_export"
"""What a rule calls the written file."""


@dataclass(frozen=True)
class Rule:
    """One check of an export: the requirements it stands for, and what an offender does."""

    query: queries.Query
    requirements: tuple[str, ...]
    blocks: bool


@dataclass(frozen=True)
class Told:
    """A requirement that `rows` rows of the export do not meet, and the check that says so."""

    requirement: str
    rows: int
    check: str


@dataclass(frozen=True)
class Exported:
    """A written file, its rows, and what is to be told about it."""

    path: Path
    rows: int
    told: tuple[Told, ...]


def rules(table: str) -> list[Rule]:
    """The checks of the export of `table`, by name.

    They are `sql/checks/focus/<table>__<rule>.sql`, and `focus__<rule>.sql` for every table.
    """
    found = []
    for stem in queries.stems("checks/focus"):
        if stem.split("__", 1)[0] not in {table, "focus"}:
            continue
        check = queries.query(f"checks/focus/{stem}")
        said: dict[str, list[str]] = {"requirement": [], "severity": []}
        for line in check.doc.splitlines():
            word, _, rest = line.partition(":")
            if word in said:
                said[word] += rest.split()
        if not said["requirement"] or said["severity"] not in (["blocks"], ["tells"]):
            raise ConfigError(
                f"sql/{check.path}.sql: its header must name a `requirement:` and say "
                "`severity: blocks` or `severity: tells`"
            )
        found.append(Rule(check, tuple(said["requirement"]), said["severity"] == ["blocks"]))
    return found


def export_focus(
    config: Config, period: str, to: Path, table: str = "cost_and_usage", kind: str = "parquet"
) -> Exported:
    """Write `table` of a published period (YYYY-MM) as FOCUS 1.2 to `<to>/<table>-<period>.<kind>`.

    The file is written beside its place, checked and renamed; the bytes depend on the published
    generation alone. Raises `ConfigError` where the period is not published, and `CheckFailed`
    with nothing written when a rule that blocks finds an offender.
    """
    if table not in TABLES:
        raise UnknownName("table to export", table, TABLES)
    if kind not in FORMATS:
        raise UnknownName("format", kind, FORMATS)
    generation = _generation(config, table, period)
    target = to / f"{table}-{period}.{kind}"
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=to) as beside:
        # One thread: how rows are cut into row groups must not depend on how many there are.
        connection = connect(config, Path(beside) / "spill")
        try:
            connection.execute("set threads = 1")
            query = queries.query(f"export/focus_{table}")
            bound = {"period": period} if "period" in query.parameters else {}
            _bind(connection, generation, query.reads, period)
            draft = Path(beside) / "draft.parquet"
            copy(connection, query.text, draft, bound)
            rows, told = _check(connection, generation, draft, table, period)
            if kind == "csv":
                draft = _as_csv(connection, draft, Path(beside) / "draft.csv")
        finally:
            connection.close()
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, target)
    return Exported(target, rows, told)


def _generation(config: Config, table: str, period: str) -> Path:
    """The published generation, if it has the period."""
    generation = Warehouse(config).current
    if generation is None:
        raise ConfigError(f"{config.home} has nothing published yet; `finops run` publishes it")
    there = sorted(p.name for p in (generation / table).glob("*") if any(p.glob("*.parquet")))
    if period not in there:
        raise UnknownName("published period", period, there, str(config.home))
    return generation


def _bind(
    connection: duckdb.DuckDBPyConnection, generation: Path, reads: Iterable[str], period: str
) -> None:
    """Views of published tables; `period` "*" is all of them."""
    for name in sorted(reads):
        files = sorted((generation / name).glob(f"{period}/*.parquet"))
        bind_files(connection, contracts.table(name), files)


def _check(
    connection: duckdb.DuckDBPyConnection, generation: Path, draft: Path, table: str, period: str
) -> tuple[int, tuple[Told, ...]]:
    """Rows of the draft, and what the rules that do not block found."""
    connection.execute(
        f"create or replace temp view {WRITTEN} as "
        f"select * from read_parquet({literal(draft)}, hive_partitioning = false)"
    )
    told: list[Told] = []
    for rule in rules(table):
        _bind(connection, generation, rule.query.reads - {WRITTEN}, "*")
        bound = {"period": period} if "period" in rule.query.parameters else {}
        found = [
            Told(requirement, int(rows), rule.query.name)
            for requirement, rows in connection.execute(rule.query.text, bound).fetchall()
        ]
        if found and rule.blocks:
            shown = "; ".join(f"{t.requirement} ({t.rows})" for t in found)
            raise CheckFailed(
                f"sql/{rule.query.path}.sql found offenders in the export of {table} {period}: "
                f"{shown}\n{rule.query.doc}\nNothing was written; this is a fault of "
                f"sql/export/focus_{table}.sql, please report it."
            )
        told += found
    rows = connection.execute(f"select count(*) from {WRITTEN}").fetchall()[0][0]
    return int(rows), tuple(told)


def _as_csv(connection: duckdb.DuckDBPyConnection, draft: Path, to: Path) -> Path:
    """The draft as CSV, times as FOCUS writes them."""
    connection.execute(
        f"copy (select * from read_parquet({literal(draft)}, hive_partitioning = false)) "
        f"to {literal(to)} (format csv, header, timestampformat '%Y-%m-%dT%H:%M:%SZ')"
    )
    return to
