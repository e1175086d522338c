"""What the tenants pay: one sheet a month, as somebody would export it from the books.

What belongs here: the fees, and the layout that `[economics] revenue` reads. One tenant pays less
than it costs, one pays in two currencies, and one was given something back.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .company import Month, Period

FEES = (
    ("globex", "USD", 470),
    ("hooli", "USD", 290),
    ("stark", "USD", 230),
    ("umbrella", "USD", 175),
    ("umbrella", "EUR", 60),
    ("vandelay", "USD", 145),
    ("initech", "USD", 120),
    ("wayne", "USD", 135),
    ("soylent", "USD", 125),
)
"""Tenant, currency and what it pays a day, in whole units."""

CREDIT_NOTE = ("stark", "USD", -50)
"""What every month's sheet takes back."""

LOSS = "initech"


def amounts(period: Period, month: Month) -> list[tuple[str, str, int]]:
    """The lines of a month: tenant, currency and amount."""
    fees = [(t, c, fee * len(month.days) * period.scale) for t, c, fee in FEES]
    return [*fees, CREDIT_NOTE]


def write(directory: Path, period: Period, month: Month) -> None:
    """Write the month's sheet under `directory`."""
    lines = ["tenant,feature,currency,amount"]
    lines += [
        f"{tenant},,{currency},{amount}.00" for tenant, currency, amount in amounts(period, month)
    ]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{month.name}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def answers(period: Period) -> list[dict[str, Any]]:
    """What each tenant pays in each month and currency, and whether it costs more than that."""
    sums: dict[tuple[str, str, str], int] = {}
    for month in period.months():
        for tenant, currency, amount in amounts(period, month):
            key = (month.name, tenant, currency)
            sums[key] = sums.get(key, 0) + amount
    return [
        {
            "month": month,
            "tenant": tenant,
            "currency": currency,
            "amount": f"{amount}.00",
            "is_a_loss": tenant == LOSS,
        }
        for (month, tenant, currency), amount in sorted(sums.items())
    ]
