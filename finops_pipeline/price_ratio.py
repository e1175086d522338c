"""What a core, a GiB of memory and a GPU weigh beside each other, cluster by cluster.

What belongs here: the fit of `price_ratio = "regression"`, in exact fractions, and the table
price_ratio. Which prices it is fitted to is in sql/allocation/ratio; the stated ratios are in
`config.py`.

A machine type costs p an hour and has x_cpu cores, x_memory GiB and x_gpu GPUs. Looked for are
prices b of one of each, so that b·x is near p for all types alike: the sum of (1 - b·x / p)² is the
least there is, by the normal equations. It is the least relative error: a machine with eight GPUs
says no more than a small one. No price may be below zero: of the resources left in, those are taken
that fit best without one (there are seven ways at most, so all are tried).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import duckdb

from . import contracts, queries
from .ask import fetch
from .config import AllocationSection

MACHINE_PRICE = "allocation/ratio/machine_price"
MILLION = 10**6
ALIKE = Fraction(1, 1000)
"""Below this part of what it would be if they were independent, columns cannot be told apart."""
LARGEST = 10**5
"""Weight that no core and no GiB exceeds, so that no product of it overflows in any currency."""
NAMES = ("CPU", "memory", "GPU")
GPU = 2


@dataclass(frozen=True)
class Machine:
    """A machine type: core hours, GiB hours and GPU hours that one unit of currency buys."""

    currency: str
    bought: tuple[Fraction, Fraction, Fraction]


@dataclass(frozen=True)
class Ratio:
    """Weights of a core, a GiB and a GPU, and where they are from.

    They are prices in millionths of the currency, or of ten, a hundred, ... of it where a core or
    a GiB costs more than a tenth of it. `unexplained` is the mean part of a machine type's price
    that a fit misses, in thousandths.
    """

    weights: tuple[int, int, int]
    basis: str
    machines: int
    unexplained: int | None = None
    reason: str | None = None


def ratios(
    connection: duckdb.DuckDBPyConnection, allocation: AllocationSection
) -> list[tuple[str, Ratio]]:
    """The ratio of each cluster of a month, from the tables bound to a connection."""
    asked = queries.query(MACHINE_PRICE)
    names, rows = fetch(connection, asked.text, {"price_ratio": allocation.price_ratio})
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [
        (cluster, _ratio(list(of_cluster), allocation))
        for cluster, of_cluster in groupby(found, lambda row: str(row["x_Cluster"]))
    ]


def _ratio(rows: list[dict[str, Any]], allocation: AllocationSection) -> Ratio:
    stated = allocation.stated_weights
    if allocation.price_ratio != "regression":
        return Ratio(stated, "stated", 0)
    machines = [
        Machine(
            row["BillingCurrency"],
            (
                Fraction(int(row["cpu"]) * 10**12, int(row["units"]) * 3_600_000),
                Fraction(int(row["memory"]) * 10**12, int(row["units"]) * 3600 * 2**30),
                Fraction(int(row["gpu"]) * 10**12, int(row["units"]) * 3_600_000),
            ),
        )
        for row in rows
        if row["machine"] is not None
    ]
    return fit(machines, stated, has_gpus=bool(rows[0]["has_gpus"]))


def fit(machines: Sequence[Machine], stated: tuple[int, int, int], *, has_gpus: bool) -> Ratio:
    """The ratio that explains the prices of machine types best; `stated` where none can be told."""
    wanted = (0, 1, 2) if has_gpus else (0, 1)
    reason = _objection(machines, wanted)
    if reason is not None:
        return Ratio(stated, "stated", len(machines), reason=reason)
    fits = [
        (kept, prices)
        for size in range(len(wanted), 0, -1)
        for kept in combinations(wanted, size)
        if (prices := _solve(machines, kept)) is not None and min(prices) >= 0
    ]
    kept, prices = min(fits, key=lambda fitted: _missed(machines, *fitted))
    weights = [stated[i] if i not in wanted else 0 for i in range(3)]
    scale = Fraction(MILLION)
    while any(p * scale > LARGEST for i, p in zip(kept, prices, strict=True) if i != GPU):
        scale /= 10
    for resource, price in zip(kept, prices, strict=True):
        weights[resource] = math.floor(price * scale + Fraction(1, 2))
    if not weights[0] + weights[1]:
        # A node without GPUs would then be worth nothing.
        reason = "neither CPU nor memory would have a price"
        return Ratio(stated, "stated", len(machines), reason=reason)
    left_out = [NAMES[i] for i in wanted if i not in kept]
    missed = sum((abs(1 - _explained(m, kept, prices)) for m in machines), Fraction())
    return Ratio(
        (weights[0], weights[1], weights[2]),
        "regression",
        len(machines),
        math.floor(1000 * missed / len(machines) + Fraction(1, 2)),
        f"{' and '.join(left_out)} would have a price below zero" if left_out else None,
    )


def _objection(machines: Sequence[Machine], wanted: tuple[int, ...]) -> str | None:
    """Why no prices can be told from these machines; None where they can."""
    currencies = sorted({m.currency for m in machines})
    if not machines:
        return "no node was billed on demand for an hour or a day and measured for all of it"
    if len(currencies) > 1:
        return f"nodes are billed in {' and '.join(currencies)}"
    for resource in wanted:
        if not any(m.bought[resource] for m in machines):
            return f"no machine type with {NAMES[resource]} was billed on demand"
    if len(machines) < len(wanted):
        return f"{len(machines)} machine type(s) on demand cannot tell {len(wanted)} prices"
    alone = math.prod((_dot(machines, i, i) for i in wanted), start=Fraction(1))
    if _determinant(_products(machines, wanted)) < ALIKE * alone:
        return "the machine types are too alike to tell their resources apart"
    return None


def _dot(machines: Sequence[Machine], one: int, other: int) -> Fraction:
    return sum((m.bought[one] * m.bought[other] for m in machines), Fraction())


def _products(machines: Sequence[Machine], kept: tuple[int, ...]) -> list[list[Fraction]]:
    return [[_dot(machines, i, j) for j in kept] for i in kept]


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    if not rows:
        return Fraction(1)
    below = rows[1:]
    return sum(
        (
            (-1) ** place * value * _determinant([[*r[:place], *r[place + 1 :]] for r in below])
            for place, value in enumerate(rows[0])
        ),
        Fraction(),
    )


def _solve(machines: Sequence[Machine], kept: tuple[int, ...]) -> tuple[Fraction, ...] | None:
    """The prices of some resources by the normal equations; None where there is no one answer."""
    products = _products(machines, kept)
    whole = _determinant(products)
    if whole == 0:
        return None
    wanted = [sum((m.bought[i] for m in machines), Fraction()) for i in kept]
    return tuple(
        _determinant(
            [[*r[:place], wanted[n], *r[place + 1 :]] for n, r in enumerate(products)],
        )
        / whole
        for place in range(len(kept))
    )


def _explained(machine: Machine, kept: tuple[int, ...], prices: tuple[Fraction, ...]) -> Fraction:
    """The part of a machine's price that its resources explain; 1 is all."""
    return sum(
        (price * machine.bought[i] for i, price in zip(kept, prices, strict=True)), Fraction()
    )


def _missed(
    machines: Sequence[Machine], kept: tuple[int, ...], prices: tuple[Fraction, ...]
) -> Fraction:
    return sum(((1 - _explained(m, kept, prices)) ** 2 for m in machines), Fraction())


def row(cluster: str, ratio: Ratio, period: str) -> tuple[Any, ...]:
    """A ratio as a row of price_ratio."""
    found = (ratio.basis, ratio.machines, ratio.unexplained, ratio.reason)
    return (period, cluster, *ratio.weights, *found)


def write(found: Sequence[tuple[str, Ratio]], period: str, to: Path) -> None:
    """The table price_ratio of a month as Parquet."""
    import polars as pl

    from .contracts.fields import TYPES

    schema = {n: TYPES[t] for n, t in contracts.table("price_ratio").duckdb.items()}
    rows = [row(cluster, ratio, period) for cluster, ratio in found]
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(to, compression="zstd")
