"""The price book: what providers ask for a token, an image or a call, from a date on.

What belongs here: reading the CSV files that `[price_book]` names, and refusing what is no price.
What a call costs by them is decided in `sql/allocation/list_cost.sql`.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from . import contracts, money, queries
from .contracts.fields import PRICE_ITEMS
from .errors import UnreadableFile
from .transports import Item, Transport

REQUIRED = ("provider", "model", "from", "item", "price", "per", "currency")
OPTIONAL = ("tier", "above", "sku")
WHOLE = 9_000_000
"""Prices per 1, 1000 or 1000000, per minute and per hour are whole parts of this many units, so
that none is divided before everything is added up: `list_cost.sql` counts in it."""


def read_prices(transport: Transport, item: Item, into: Path) -> None:
    """Write `price.parquet` from a CSV file of prices.

    Raises `UnreadableFile` with the row when a column is missing, unknown or no price: one that
    was misread would price every call of its model wrongly.
    """
    import polars as pl

    from .contracts.fields import TYPES

    try:
        text = transport.read(item).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{item.address}: not UTF-8 text ({error.reason})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = tuple(reader.fieldnames or ())
    missing = [name for name in REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    if missing or unknown:
        wrong = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is not known"
        raise UnreadableFile(
            f"{item.address}: the column {wrong}; a price file has {', '.join(REQUIRED)} and "
            f"perhaps {', '.join(OPTIONAL)}"
        )
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(reader, start=1):
        try:
            if None in line:
                raise ValueError("it has more cells than the header; write a price as 0.75")
            row = _price({k: (v or "").strip() for k, v in line.items() if isinstance(k, str)})
        except ValueError as error:
            raise UnreadableFile(f"{item.address}: row {number}: {error}; correct it") from None
        rows.append({**row, "x_SourceFile": item.path, "x_SourceRow": number})
    schema = {n: TYPES[t] for n, t in contracts.table("price").duckdb.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(into / "price.parquet", compression="zstd")


def _price(told: Mapping[str, str]) -> dict[str, Any]:
    """One row of the book; `ValueError` says what is wrong with it."""
    if not told["provider"] or not told["model"]:
        raise ValueError("provider and model must be named")
    if told["item"] not in PRICE_ITEMS:
        raise ValueError(f"item is {told['item']!r}, not one of {', '.join(PRICE_ITEMS)}")
    amount = money.read(told["price"])
    if amount is None or amount < 0 or amount >= 1_000_000_000:
        raise ValueError(f"price is {told['price']!r}, not an amount with at most 12 decimals")
    currency = told["currency"].upper()
    if len(currency) != 3 or not currency.isalpha():
        raise ValueError(f"currency is {told['currency']!r}, not an ISO 4217 code")
    per = _whole(told["per"])
    if not per or WHOLE % per:
        raise ValueError(f"per is {told['per']!r}, not a number such as 1, 60, 1000 or 1000000")
    if told["item"] == "call_minimum" and per != 1:
        raise ValueError("a call_minimum is per 1, for it is of each call")
    above = _whole(told.get("above") or "0")
    if above not in (0, *_thresholds()):
        known = ", ".join(map(str, _thresholds()))
        raise ValueError(
            f"above is {told.get('above')!r}, which calls are not told by; known: {known}"
        )
    return {
        "x_Provider": told["provider"],
        "x_Model": told["model"],
        "x_PriceItem": told["item"],
        "x_ServiceTier": (told.get("tier") or "standard").lower(),
        "x_ContextClass": above,
        "x_PriceFrom": _hour(told["from"]),
        "ListUnitPrice": amount.quantize(Decimal(1).scaleb(-12)),
        "x_PricingBlockSize": per,
        "PricingCurrency": currency,
        "x_BilledSku": told.get("sku") or None,
    }


def _whole(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdigit() else None


def _hour(written: str) -> datetime:
    """A day, or an hour of it, in UTC; usage is told by the hour, so nothing finer is meant."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise ValueError(f"from is {written!r}, not a date such as 2026-10-01") from None
    if at.tzinfo is not None or at != at.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"from is {written!r}; write a day or a full hour of UTC, without a zone")
    return at


@cache
def _thresholds() -> tuple[int, ...]:
    """Lengths of input that `context_class()` of sql/macros.sql tells calls by."""
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute(queries.macros())
        found = connection.execute(
            "select distinct context_class(n * 1000) as above from range(2000) as t (n) "
            "where context_class(n * 1000) > 0 order by above"
        ).fetchall()
    return tuple(above for (above,) in found)
