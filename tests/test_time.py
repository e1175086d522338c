"""Trap 8: time is UTC in storage, and a local time zone is only a way of looking at it."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from finops_pipeline import cli, history, pipeline
from finops_pipeline.periods import after
from finops_pipeline.warehouse import Warehouse

from .small import MONEY, PERIOD, TOML, Small

BERLIN = ZoneInfo("Europe/Berlin")
HEADER = (
    "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ProviderName,ServiceCategory,ServiceName,Tags"
)


def test_a_month_of_berlin_hours_is_744_in_utc_and_the_long_day_has_25(tmp_path: Path) -> None:
    """$1 an hour, delivered in local time with its offset, over the end of summer time."""
    small = Small.make(tmp_path / "bill", TOML, to=MONEY)
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


# ------------------------------------------------------------------------- a zone is a view


def hourly(small: Small, first: datetime, last: datetime, period: str) -> None:
    """$1 an hour of UTC, on the bill of a period."""
    rows = [HEADER]
    begins = first
    while begins < last:
        ends = begins + timedelta(hours=1)
        rows.append(
            f"1,1,USD,{period}-01T00:00:00Z,{period}-28T00:00:00Z,{begins.isoformat()},"
            f"{ends.isoformat()},Usage,Acme,Compute,Acme,{{}}"
        )
        begins = ends
    folder = small.root / "in" / period
    folder.mkdir(parents=True)
    (folder / "bill.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def read(small: Small, *periods: str) -> None:
    """Read and publish bills; nothing else has anything to do with zones."""
    with Warehouse(small.config).writing() as warehouse:
        for period in periods:
            for step in pipeline.steps():
                if step.stage in ("bill", "allocation", "showback"):
                    step.run(warehouse, period)
        pipeline.publish_database(warehouse)


def by_day(small: Small, period: str, zone: str | None) -> dict[str, tuple[int | None, Decimal]]:
    """Hours and cost of each day, as `finops showback --by day --csv` has them."""
    text = history.showback(small.config, period, by="day", time_zone=zone, csv=True)
    lines = csv.DictReader(text.splitlines())
    return {
        line["day"]: (int(line["x_Hours"]) if zone else None, Decimal(line["BilledCost"]))
        for line in lines
        if line["day"] != history.ELSEWHERE
    }


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Every hour from February to April and from September to November, in six bills."""
    small = Small.make(tmp_path_factory.mktemp("months"), TOML, to=MONEY)
    periods = ("2026-02", "2026-03", "2026-04", "2026-09", "2026-10", "2026-11")
    for period in periods:
        first = datetime.fromisoformat(f"{period}-01").replace(tzinfo=UTC)
        last = datetime.fromisoformat(f"{after(period)}-01").replace(tzinfo=UTC)
        hourly(small, first, last, period)
    read(small, *periods)
    return small


@pytest.mark.parametrize(
    ("zone", "period", "hours", "day", "of_the_day"),
    [
        (None, "2026-10", 744, "2026-10-25", 24),
        ("Europe/Berlin", "2026-10", 745, "2026-10-25", 25),
        ("Europe/Berlin", "2026-03", 743, "2026-03-29", 23),
        ("America/Los_Angeles", "2026-03", 743, "2026-03-08", 23),
        ("Asia/Kolkata", "2026-10", 744, "2026-10-25", 24),
        ("Asia/Tokyo", "2026-10", 744, "2026-10-31", 24),
    ],
)
def test_local_days_add_up_over_bills(
    months: Small, zone: str | None, period: str, hours: int, day: str, of_the_day: int
) -> None:
    found = by_day(months, period, zone)

    assert sum(cost for _, cost in found.values()) == hours
    assert found[day][1] == of_the_day
    assert {d[:7] for d in found} == {period}
    if zone:
        assert found[day][0] == of_the_day


def test_all_local_days_are_all_utc_days_but_for_the_edges(months: Small) -> None:
    local = sum(
        cost
        for period in ("2026-09", "2026-10", "2026-11")
        for _, cost in by_day(months, period, "Europe/Berlin").values()
    )

    # The first two hours of September are on no bill here; the last hour of November is December.
    assert local == Decimal(24 * (30 + 31 + 30) - 1)


def test_what_other_bills_add_is_told(months: Small) -> None:
    text = history.showback(months.config, "2026-10", by="day", time_zone="Europe/Berlin")

    assert "total         745      745.00         745.00" in text
    assert text.endswith(
        "2.00 USD BilledCost and 2.00 USD EffectiveCost of it are on bills of other periods\n"
        "1.00 USD BilledCost and 1.00 USD EffectiveCost more are on the bill of 2026-10, for days "
        "of other months"
    )


@pytest.mark.parametrize("zone", ["America/New_York", "Etc/UTC", "Pacific/Kiritimati"])
def test_what_has_a_date_and_no_hour_is_of_that_date_in_every_zone(
    tmp_path: Path, zone: str
) -> None:
    """A fee of the month, a row of a day, and one that cannot be read; an hour has its hour."""
    small = Small.make(tmp_path, TOML, to=MONEY)
    month = "USD,2026-10-01T00:00:00Z,2026-11-01T00:00:00Z"
    same = "Usage,Acme,Compute,Acme,{}"
    rows = [
        HEADER,
        f"100,90,{month},2026-10-01T00:00:00Z,2026-11-01T00:00:00Z,{same}",
        f"20,20,{month},2026-10-31T00:00:00Z,2026-11-01T00:00:00Z,{same}",
        f"3,3,{month},soon,2026-10-02T00:00:00Z,{same}",
        f"0.50,0.25,{month},2026-10-01T00:00:00Z,2026-10-01T01:00:00Z,{same}",
    ]
    folder = small.root / "in" / PERIOD
    folder.mkdir(parents=True)
    (folder / "bill.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    read(small, PERIOD)

    text = history.showback(small.config, PERIOD, by="day", time_zone=zone, csv=True)
    lines = {line.pop("day"): line for line in csv.DictReader(text.splitlines())}
    west = zone.startswith("America")
    hour = 0 if west else 1
    first, last = lines["2026-10-01"], lines["2026-10-31"]
    assert (str(hour), Decimal(103) + hour * Decimal("0.50")) == (
        first["x_Hours"],
        Decimal(first["BilledCost"]),
    )
    assert ("0", Decimal(20)) == (last["x_Hours"], Decimal(last["BilledCost"]))
    # The days, less what came in, with what goes out, are the bill, in both costs.
    for cost, whole in (("Billed", "123.50"), ("Effective", "113.25")):
        found = sum(
            Decimal(line[f"{cost}Cost"])
            - Decimal(line[f"x_{cost}In"])
            + Decimal(line[f"x_{cost}Out"])
            for line in lines.values()
        )
        assert Decimal(whole) == found
    assert west == (history.ELSEWHERE in lines)
    told = history.showback(small.config, PERIOD, by="day", time_zone=zone)
    out = "0.50 USD BilledCost and 0.25 USD EffectiveCost more are on the bill of 2026-10, for"
    assert west == (out in told)
    assert history.ELSEWHERE not in told


def test_the_zone_of_the_configuration_is_for_days_only(
    months: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = months.toml.with_name("zone.toml")
    toml.write_text(f'{months.toml.read_text()}\n[report]\ntime_zone = "Europe/Berlin"\n')
    options = ["showback", "--config", str(toml), "--period", "2026-10", "--by"]

    assert cli.main([*options, "day"]) == 0
    assert "by day of Europe/Berlin" in capsys.readouterr().out
    assert cli.main([*options, "service"]) == 0
    assert "744.00" in capsys.readouterr().out
    assert cli.main([*options, "day", "--time-zone", "UTC"]) == 0
    assert "744.00" in capsys.readouterr().out
