"""Dated exchange rates from a file: the only way one currency becomes another.

What belongs here: reading the rates, and refusing to convert where there is none. Which rate is
that of a day, and how is rounded, is decided in `sql/history/rate_of_day.sql` and
`converted.sql`. Nothing is converted unless somebody asks.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb

from . import queries
from .bindings import SmallTable
from .config import Config
from .errors import ConfigError, UnreadableFile
from .warehouse import bind_rows

EXCHANGE_RATE = {
    "x_RateDate": "DATE",
    "x_FromCurrency": "VARCHAR",
    "x_ToCurrency": "VARCHAR",
    "x_Rate": "DECIMAL(38,12)",
}
KEPT_RATE = {
    "BillingCurrency": "VARCHAR",
    "x_ChargeDay": "DATE",
    "x_ToCurrency": "VARCHAR",
    "x_Rate": "DECIMAL(38,12)",
}
Row = Mapping[str, Any]


def wanted(config: Config, code: str | None) -> str:
    """The currency to convert to: the one that is named, else that of the configuration."""
    found = (code or config.currency.report or "").upper()
    if not re.fullmatch("[A-Z]{3}", found):
        raise ConfigError(
            f"{found!r} is no currency to convert to; name its ISO 4217 code, or set it as "
            "[currency] report"
        )
    if config.currency.rates is None:
        raise ConfigError(
            f"nothing is converted to {found} without dated rates; set [currency] rates to a CSV "
            "file with the columns date, from, to and rate"
        )
    return found


def rates_of_days(
    session: duckdb.DuckDBPyConnection, config: Config, code: str, kept: Sequence[Row] = ()
) -> list[dict[str, Any]]:
    """The rate of each currency and day of the bound `showback`, null where there is none.

    Leaves it as the table `rate_of_day` of the session.
    """
    bind_rows(session, "exchange_rate", SmallTable(EXCHANGE_RATE, tuple(_read(config))))
    rows = tuple(tuple(row[c] for c in KEPT_RATE) for row in kept)
    bind_rows(session, "kept_rate", SmallTable(KEPT_RATE, rows))
    session.execute(
        f"create or replace temp table rate_of_day as {queries.query('history/rate_of_day').text}",
        {"currency": code, "rate_days": config.currency.rate_days},
    )
    answer = session.execute("from rate_of_day")
    names = [d[0] for d in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def refuse_missing(rates: Sequence[Row], config: Config) -> None:
    """Raise `ConfigError` that names the first day and pair without a rate."""
    missing = [r for r in rates if r["x_Rate"] is None]
    if missing:
        first = missing[0]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConfigError(
            f"{config.currency.rates} has no rate from {first['BillingCurrency']} to "
            f"{first['x_ToCurrency']} for {first['x_ChargeDay']}{more}; add one that is dated on "
            f"that day, or at most {config.currency.rate_days} days before it"
        )


def _read(config: Config) -> list[tuple[str, str, str, str]]:
    """The rows of the file as text that is known to be dates, codes and exact numbers."""
    if config.currency.rates is None:
        return []
    path = config.path(config.currency.rates)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = ("date", "from", "to", "rate")
            missing = [n for n in names if n not in (reader.fieldnames or ())]
            if missing:
                raise UnreadableFile(f"{path}: the column {missing[0]!r} is missing")
            # a rate written with a comma is two cells, and would be read as its first
            lines = [
                {n: (line[n] or "").strip() for n in names} | {"more": ",".join(line.get(None, ()))}
                for line in reader
            ]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    rows: dict[tuple[str, str, str], str] = {}
    for number, line in enumerate(lines, start=1):
        key = (line["date"], line["from"].upper(), line["to"].upper())
        if not _is_rate(line):
            raise UnreadableFile(
                f"{path}: row {number} is no rate: {', '.join(filter(None, line.values()))}; write "
                "it as 2026-10-01,EUR,USD,1.0834, with at most 12 decimals"
            )
        if rows.setdefault(key, line["rate"]) != line["rate"]:
            raise UnreadableFile(f"{path}: row {number} is another rate for {' '.join(key)}")
    return [(*key, rate) for key, rate in rows.items()]


def _is_rate(line: Mapping[str, str]) -> bool:
    try:
        date.fromisoformat(line["date"])
        rate = Decimal(line["rate"])
    except (ValueError, InvalidOperation):
        return False
    codes = all(re.fullmatch("[A-Za-z]{3}", line[side]) for side in ("from", "to"))
    exact = rate.is_finite() and 0 < rate < 10**9 and int(rate.as_tuple().exponent) >= -12
    return codes and exact and not line["more"]
