"""The weights of `[[shared_cost]]`: asked of the month, worked out by the cascade, written.

What belongs here: which queries of sql/allocation/shared a configuration needs, the user's own
drivers, and the table shared_weight. The arithmetic is in `cascade.py`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from . import bindings, cascade, contracts, queries
from .ask import fetch
from .cascade import Cost, Measured, Taken, Weight
from .config import DIMENSIONS, Config
from .errors import UnreadableFile

DRIVER_FILES = {"calls": "calls", "tokens": "calls", "gpu_ms": "calls"}
"""Driver -> file of sql/allocation/shared that has it as a column; all others are in `nodes`."""


def files(config: Config) -> list[queries.Query]:
    """The queries that the blocks of a configuration need; none where there are no blocks."""
    if not config.shared_cost:
        return []
    drivers = {b.driver for b in config.shared_cost if b.driver and not b.driver.endswith(".csv")}
    names = ["source", "cost", *sorted({DRIVER_FILES.get(d, "nodes") for d in drivers})]
    return [queries.query(f"allocation/shared/{n}") for n in names]


def own_drivers(config: Config) -> list[str]:
    """The CSV files the blocks name."""
    return sorted({b.driver for b in config.shared_cost if b.driver.endswith(".csv")})


def weigh(connection: duckdb.DuckDBPyConnection, config: Config, period: str) -> list[Weight]:
    """The weights of a month, from the tables bound to a connection."""
    if not config.shared_cost:
        return []
    given = {**bindings.parameters(config), "period": period}
    rows: dict[str, list[dict[str, Any]]] = {}
    for query in files(config):
        bound = {k: v for k, v in given.items() if k in query.parameters}
        names, found = fetch(connection, query.text, bound)
        rows[query.name] = [dict(zip(names, row, strict=True)) for row in found]
    measured = {d: read_driver(config.path(d), period) for d in own_drivers(config)}
    for block in config.shared_cost:
        if block.driver and block.driver not in measured:
            measured[block.driver] = [
                Measured(r["x_Pool"], _owner(r), int(r[block.driver]))
                for r in rows[DRIVER_FILES.get(block.driver, "nodes")]
            ]
    return cascade.weights(
        config.shared_cost,
        [
            Taken(
                r["x_SharedBy"],
                r["x_ChargeDay"],
                r["BillingCurrency"],
                r["x_Pool"],
                _owner(r),
                int(r["units"]),
            )
            for r in rows["source"]
        ],
        [Cost(r["BillingCurrency"], r["x_Pool"], _owner(r), int(r["units"])) for r in rows["cost"]],
        measured,
    )


def write(weights: Iterable[Weight], period: str, to: Path) -> None:
    """The table shared_weight of a month as Parquet."""
    import polars as pl

    from .contracts.fields import TYPES

    schema = {n: TYPES[t] for n, t in contracts.table("shared_weight").duckdb.items()}
    frame = pl.DataFrame([row(w, period) for w in weights], schema=schema, orient="row")
    frame.write_parquet(to, compression="zstd")


def row(weight: Weight, period: str) -> tuple[Any, ...]:
    """A weight as a row of shared_weight."""
    where = (period, weight.name, weight.start, weight.until, weight.currency, weight.pool)
    return (*where, *weight.source, *weight.receiver, weight.unit, Decimal(weight.weight))


def read_driver(path: Path, period: str) -> list[Measured]:
    """What a user's own CSV file counts in a month: whole numbers, by the dimensions it has."""
    with _opened(path) as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or []
        lacking = {"period", "quantity"} - set(names)
        if (
            lacking
            or not set(DIMENSIONS) & set(names)
            or set(names) - {"period", "quantity", *DIMENSIONS}
        ):
            raise UnreadableFile(
                f"{path}: the header must be `period`, one or more of {', '.join(DIMENSIONS)}, and "
                f"`quantity`; it is {', '.join(names) or 'missing'}"
            )
        found = []
        for number, line in enumerate(reader, start=1):
            quantity = (line["quantity"] or "").strip()
            if None in line or None in line.values() or not quantity.isdecimal():
                raise UnreadableFile(
                    f"{path}: record {number}: {quantity!r} is no quantity; whole numbers, not "
                    "below 0, can be split by: choose a smaller unit for parts"
                )
            if line["period"].strip() == period:
                feature, tenant, environment = (
                    (bindings.normal_value(line[d]) or cascade.UNNAMED) if d in names else None
                    for d in DIMENSIONS
                )
                found.append(Measured(None, (feature, tenant, environment), int(quantity)))
    return found


def _opened(path: Path) -> Any:
    try:
        return path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise UnreadableFile(
            f"{path}: {error.strerror}; [[shared_cost]] names it as driver"
        ) from error


def _owner(row: dict[str, Any]) -> cascade.Owner:
    return row["x_Feature"], row["x_Tenant"], row["x_Environment"]
