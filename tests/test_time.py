"""Trap 8: time is UTC in storage, and a local time zone is only a way of looking at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from .small import PERIOD, TOML, Small

BERLIN = ZoneInfo("Europe/Berlin")
HEADER = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ProviderName,ServiceCategory,ServiceName,Tags"
)


def test_a_month_of_berlin_hours_is_744_in_utc_and_the_long_day_has_25(tmp_path: Path) -> None:
    """$1 an hour, delivered in local time with its offset, over the end of summer time."""
    small = Small.make(tmp_path / "bill", TOML)
    start = datetime(2026, 10, 1, tzinfo=UTC)
    rows = [HEADER]
    for hour in range(744):
        begins = (start + timedelta(hours=hour)).astimezone(BERLIN)
        ends = (start + timedelta(hours=hour + 1)).astimezone(BERLIN)
        rows.append(
            "1,1,USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,"
            f"{begins.isoformat()},{ends.isoformat()},Usage,Acme,Compute,Acme,{{}}"
        )
    folder = small.root / "in" / PERIOD
    folder.mkdir(parents=True)
    (folder / "bill.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    small.run()

    days = dict(small.ask("select x_ChargeDay, sum(BilledCost) from showback group by 1"))
    assert 31 == len(days)
    assert {Decimal(24)} == set(days.values())

    (file,) = (small.root / "warehouse" / "current" / "cost_and_usage").glob("*/*.parquet")
    local = dict(
        duckdb.sql(
            "select cast(timezone('Europe/Berlin', timezone('UTC', ChargePeriodStart)) as date), "
            f"sum(BilledCost) from '{file}' group by 1"
        ).fetchall()
    )
    assert Decimal(25) == local[datetime(2026, 10, 25).date()]
    assert Decimal(744) == sum(local.values())
