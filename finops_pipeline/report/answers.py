"""The questions of the report, asked of `showback.duckdb`.

What belongs here: which query is asked with which bounds. DuckDB adds and ranks; what comes
back is a page full of rows, however large the database is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ..errors import UnreadableFile
from ..queries import macros, query
from ..warehouse import literal

Row = dict[str, Any]
"""One row of an answer, by column name."""

# Rows of each answer at most; what is left out is counted on the page.
TOP = {
    "spend": 8,
    "unit_costs": 20,
    "findings": 5,
    "proposals": 20,
    "declined": 12,
    "invoices": 20,
    "quarantined": 10,
    "reconciliation": 50,
}

# A year and the same month of the year before.
PERIODS = 13


@dataclass(frozen=True)
class PeriodAnswers:
    """All answers on one billing period: each field holds the rows of `sql/report/<field>.sql`."""

    period: str
    states: list[Row]
    totals: list[Row]
    invoices: list[Row]
    reconciliation: list[Row]
    coverage: list[Row]
    spend: list[Row]
    unit_costs: list[Row]
    finding_kinds: list[Row]
    findings: list[Row]
    savings: list[Row]
    proposals: list[Row]
    declined: list[Row]
    quarantined: list[Row]
    unread: list[Row]
    sources: list[Row]


def ask(database: Path) -> list[PeriodAnswers]:
    """The answers on the newest `PERIODS` periods of the database, newest first."""
    remedy = "build it with `finops run`, then try again"
    if not database.is_file():
        raise UnreadableFile(f"{database}: no such database; {remedy}")
    with duckdb.connect() as con:
        try:
            con.execute(f"attach {literal(database)} as published (read_only)")
            con.execute(macros())
            con.execute("set search_path = 'published.main,memory.main'")
            found = [row["BillingPeriod"] for row in _rows(con, "periods")]
            return [_period(con, period) for period in found[:PERIODS]]
        except duckdb.Error as error:
            first = str(error).splitlines()[0]
            raise UnreadableFile(f"{database}: cannot be reported on: {first}; {remedy}") from error


def _period(con: duckdb.DuckDBPyConnection, period: str) -> PeriodAnswers:
    names = [name for name in PeriodAnswers.__dataclass_fields__ if name != "period"]
    return PeriodAnswers(period, **{name: _rows(con, name, period) for name in names})


def _rows(con: duckdb.DuckDBPyConnection, name: str, period: str = "") -> list[Row]:
    """The rows of `sql/report/<name>.sql`."""
    asked = query(f"report/{name}")
    known = {"period": period, "top": TOP.get(name)}
    answer = con.execute(asked.text, {p: known[p] for p in asked.parameters})
    columns = [d[0] for d in answer.description or []]
    return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]
