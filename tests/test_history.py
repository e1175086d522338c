"""What was published stays reachable, and what changed since is explained to the last digit."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import cli, history, pipeline, report
from finops_pipeline.config import SHOWN_BY, WarehouseSection
from finops_pipeline.errors import (
    CheckFailed,
    ConfigError,
    IncompleteDelivery,
    UnreadableFile,
)
from finops_pipeline.history import Generation
from finops_pipeline.summary import summary
from finops_pipeline.warehouse import Built, Warehouse

from .small import MONEY, PERIOD, V1, V2, Row, Small, road
from .test_focus import row as focus_row
from .test_manifests import clone_of, git

Clock = Callable[[str], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Sets the time of the next publications, UTC."""

    def at(moment: str) -> None:
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        monkeypatch.setattr(history, "now", lambda: now)

    return at


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small.make(tmp_path)


def run(small: Small, period: str = PERIOD, *, to: tuple[str, ...] = MONEY) -> list[Built]:
    """The road from bill to showback, published; other stages have nothing to do here."""
    built: list[Built] = []
    with Warehouse(small.config).writing() as warehouse:
        for step in road(*to):
            built += step.run(warehouse, period)
        pipeline.publish_database(warehouse)
    return built


def publish(small: Small, rows: tuple[Row, ...], **same: str) -> None:
    small.deliver(rows, **same)
    run(small)


def states(small: Small) -> dict[str, tuple[Any, ...]]:
    """State and correction of each source's bill of the period."""
    found = small.ask(
        "select x_Source, x_State, x_BilledCorrection from period_state "
        f"where BillingPeriod = '{PERIOD}'"
    )
    return {source: tuple(rest) for source, *rest in found}


def rows_of(found: history.Difference) -> list[tuple[Any, ...]]:
    """Change, what, and both files with rows and the billed difference of each row."""
    return [
        (
            r["x_Change"],
            r["x_What"],
            (r["x_FileFrom"], r["x_RowFrom"]),
            (r["x_FileTo"], r["x_RowTo"]),
            r["x_BilledDifference"],
        )
        for r in found.rows
    ]


def published_total(small: Small, as_of: str) -> Decimal:
    """The total that `finops showback --as-of` prints."""
    text = history.showback(small.config, PERIOD, as_of=as_of)
    (line,) = [x for x in text.splitlines() if x.startswith("total")]
    return Decimal(line.split()[-1])


# ---------------------------------------------------------------------------- restated periods


def test_trap_11_the_difference_is_explained_row_by_row(tmp_path: Path, clock: Clock) -> None:
    small = Small.make(tmp_path, manifest=True)
    old = (("01", "a", "60"), ("02", "b", "20"), ("03", "c", "10"), ("04", "d", "10"))
    clock("2026-10-20T06:00")
    small.deliver(old, "1.csv")
    small.list_parts("1.csv")
    run(small)

    # Three rows are removed and five added; half of the delivery is there.
    new = (("01", "a", "60"), *((f"{d:02d}", "b", "8.62") for d in range(5, 10)))
    clock("2026-10-21T06:00")
    small.deliver(new, "2.csv")
    small.list_parts("2.csv", "3.csv")
    with pytest.raises(IncompleteDelivery):
        run(small)
    assert published_total(small, "2026-10-21") == Decimal("100.00")

    small.list_parts("2.csv")
    run(small)
    assert published_total(small, "2026-10-20") == Decimal("100.00")
    assert published_total(small, "2026-10-21") == Decimal("103.10")
    found = history.diff(
        small.config, PERIOD, "2026-10-20", "2026-10-21", to_file=tmp_path / "all.csv"
    )

    assert found.changed == 8
    assert [t["x_BilledDifference"] for t in found.totals] == [Decimal("3.10")]
    assert [(s["x_Removed"], s["x_Added"]) for s in found.services] == [(3, 5)]
    assert rows_of(found) == [
        ("removed", "the row", ("1.csv", 2), (None, None), Decimal(-20)),
        ("removed", "the row", ("1.csv", 3), (None, None), Decimal(-10)),
        ("removed", "the row", ("1.csv", 4), (None, None), Decimal(-10)),
        *(
            ("added", "the row", (None, None), ("2.csv", row), Decimal("8.62"))
            for row in range(2, 7)
        ),
    ]
    with (tmp_path / "all.csv").open() as file:
        written = [Decimal(line["x_BilledDifference"]) for line in csv.DictReader(file)]
    assert written == [r["x_BilledDifference"] for r in found.rows]

    clock("2026-10-22T06:00")
    before = small.everything()
    run(small)
    assert before == small.everything()
    assert small.generation.name == "000002"


def test_a_row_of_the_same_resource_and_hour_is_one_change(small: Small) -> None:
    publish(small, V1)
    publish(small, V2)

    found = history.diff(small.config, PERIOD, "1", "2")

    same = [("bill.csv", n) for n in range(5)]
    assert rows_of(found) == [
        ("added", "the row", (None, None), same[4], Decimal(7)),
        ("changed", "BilledCost, EffectiveCost", same[3], same[3], Decimal(-5)),
        ("changed", "BilledCost, EffectiveCost", same[2], same[2], Decimal("1.10")),
    ]
    text = history.told(found, PERIOD)
    assert "USD       BilledCost     100.00  103.10        3.10" in text
    assert "5 removed or added, the largest 3 changes" in text


def test_rows_in_another_order_and_in_other_files_are_no_difference(small: Small) -> None:
    publish(small, V1)
    small.deliver(V1[2:])
    small.deliver((V1[1], V1[0]), "more.csv")
    run(small)

    found = history.diff(small.config, PERIOD, "1", "2")

    assert (found.changed, found.rows) == (0, [])
    assert history.told(found, PERIOD).startswith(f"{PERIOD}: no row differs between generation 1")


def test_any_column_that_changes_in_a_delivered_row_is_a_difference(small: Small) -> None:
    """One row for each column of FOCUS 1.2 that is read, with that column changed by a restatement.

    Columns that are one money elsewhere, or that the period is told by, have tests of their own.
    """
    period = "2026-09"
    given = focus_row("1.2")
    changes = {
        **{name: f"{value}x" for name, value in given.items()},
        **{name: "7.5" for name in given if given[name] in ("2.5", "1.25", "1.50")},
        "BillingCurrency": "EUR",
        "ChargePeriodStart": "2026-09-02T10:30:00Z",
        "ChargePeriodEnd": "2026-09-02T11:30:00Z",
        "ChargeCategory": "Tax",
        "ServiceCategory": "Storage",
        "SkuPriceDetails": '{"CoreCount":8}',
        "Tags": '{"team":"chat"}',
    }
    told = sorted(set(given) - {"BillingPeriodStart", "BillingPeriodEnd"})
    # each row is another resource, so that no two are alike
    before = [{**given, "ResourceId": f"i-{n}"} for n in range(len(told))]
    after = [
        {**row, name: f"{row[name]}x" if name == "ResourceId" else changes[name]}
        for row, name in zip(before, told, strict=True)
    ]
    bill = small.root / "in" / period / "bill.csv"
    bill.parent.mkdir(parents=True)
    for rows in (before, after):
        with bill.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(given), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        run(small, period)

    to = small.root / "all.csv"
    history.diff(small.config, period, "1", to_file=to)
    with to.open(newline="", encoding="utf-8") as file:
        found = {row["ResourceId"] for row in csv.DictReader(file)}

    pairs = zip(before, told, strict=True)
    assert [] == [name for row, name in pairs if row["ResourceId"] not in found]


def test_two_rows_that_are_alike_are_two(small: Small) -> None:
    publish(small, (V1[0], V1[0], V1[0], V1[1]))
    publish(small, (V1[0], V1[1]))

    found = history.diff(small.config, PERIOD, "1")

    assert [r["x_Change"] for r in found.rows] == ["removed", "removed"]
    assert [t["x_BilledDifference"] for t in found.totals] == [Decimal(-80)]


def test_a_row_that_can_be_read_no_more_is_in_the_difference(small: Small) -> None:
    publish(small, V1)
    small.deliver(V1)
    path = small.root / "in" / PERIOD / "bill.csv"
    path.write_text(path.read_text().replace("2026-10-02T00", "soon", 1))
    run(small)

    found = history.diff(small.config, PERIOD, "1")

    assert [(r["x_Change"], r["ServiceName"], r["x_BilledDifference"]) for r in found.rows] == [
        ("added", "(quarantined)", Decimal(35)),
        ("removed", "Machines", Decimal(-35)),
    ]
    assert [t["x_BilledDifference"] for t in found.totals] == [Decimal(0)]


def test_an_invoice_that_is_issued_changes_each_row_and_no_total(small: Small) -> None:
    publish(small, V1, InvoiceId="")
    publish(small, V1, InvoiceId="I-1")

    found = history.diff(small.config, PERIOD, "1")

    assert {(r["x_Change"], r["x_What"]) for r in found.rows} == {("changed", "InvoiceId")}
    assert [t["x_EffectiveDifference"] for t in found.totals] == [Decimal(0)]


def test_a_correction_is_billed_when_it_came_and_counted_once(small: Small) -> None:
    """A charge for July on the bill of September: trap 11, after close."""
    july = {"ChargePeriodStart": "2026-07-15T00:00:00Z", "ChargePeriodEnd": "2026-07-15T01:00:00Z"}
    small.deliver(V1, period="2026-07")
    small.deliver((("01", "search", "5.00"),), period="2026-09", **july)
    run(small, "2026-07")
    run(small, "2026-09")

    billed = small.ask("select BillingPeriod, sum(BilledCost) from showback group by 1 order by 1")
    used = small.ask("select sum(BilledCost) from showback where month(x_ChargeDay) = 7")
    local = history.showback(small.config, "2026-07", by="day", time_zone="Etc/UTC")

    assert billed == [("2026-07", Decimal(100)), ("2026-09", Decimal(5))]
    assert used == [(Decimal(105),)]
    assert local.endswith(
        "5.00 USD BilledCost and 5.00 USD EffectiveCost of it are on bills of other periods"
    )
    late = history.showback(small.config, "2026-09", by="day", time_zone="Etc/UTC")
    assert late.endswith(
        "5.00 USD BilledCost and 5.00 USD EffectiveCost more are on the bill of 2026-09, for days "
        "of other months"
    )


def test_charges_that_are_the_same_and_borne_by_others_are_told(small: Small) -> None:
    publish(small, V1)
    small.configure('[alias.feature]\nsearch = ["chat"]\n')
    run(small)

    found = history.diff(small.config, PERIOD, "1")

    assert 0 == found.changed
    assert [("chat", Decimal(-35)), ("search", Decimal(35))] == [
        (o["x_Feature"], o["x_BilledDifference"]) for o in found.owners
    ]
    text = history.told(found, PERIOD)
    assert text.startswith(f"{PERIOD}: no charge differs between generation 1")
    assert "; who bears them does\n" in text
    assert "40.00  75.00          35.00       35.00" in text
    assert "... 1 more" in history.told(found, PERIOD, top=1)


def test_all_rows_as_parquet(small: Small, tmp_path: Path) -> None:
    publish(small, V1)
    publish(small, V2)

    found = history.diff(small.config, PERIOD, "1", top=1, to_file=tmp_path / "all.parquet")

    assert len(found.rows) == 1
    total = duckdb.sql(f"select sum(x_BilledDifference) from '{tmp_path}/all.parquet'").fetchall()
    assert total == [(Decimal("3.10"),)]
    with pytest.raises(ConfigError, match=r"ends in \.csv or \.parquet"):
        history.diff(small.config, PERIOD, "1", to_file=tmp_path / "all.xlsx")


def test_a_generation_that_lacks_a_column_is_read_with_null(small: Small) -> None:
    publish(small, V1)
    (file,) = (small.generation / "cost_and_usage" / PERIOD).glob("*.parquet")
    duckdb.execute(
        f"copy (select * exclude (ListUnitPrice, SkuId) from '{file}') to '{file}.new' "
        "(format parquet)"
    )
    file.with_name(f"{file.name}.new").replace(file)
    publish(small, V2)

    found = history.diff(small.config, PERIOD, "1")

    assert found.changed == 5


def test_a_damaged_generation_is_told(small: Small) -> None:
    publish(small, V1)
    publish(small, V2)
    for file in (small.generation / "showback" / PERIOD).glob("*.parquet"):
        duckdb.execute(
            "copy (select * replace (cast(BilledCost + 1 as decimal(38, 12)) as BilledCost) "
            f"from '{file}') to '{file}.new' (format parquet)"
        )
        file.with_name(f"{file.name}.new").replace(file)

    with pytest.raises(CheckFailed, match=r"explain 3\.1.* of 7\.1"):
        history.diff(small.config, PERIOD, "1")


# ------------------------------------------------------------------------------------ as of


def test_a_day_a_time_and_a_number_name_a_generation(small: Small, clock: Clock) -> None:
    for moment, rows in (("2026-10-20T06:00", V1), ("2026-10-20T18:00", V2), ("2026-10-22", V1)):
        clock(moment)
        publish(small, rows)
    home = small.config.home

    found = {
        asked: history.find(home, asked).number
        for asked in (
            "1",
            "000002",
            "2026-10-20",
            "2026-10-20T07:30",
            "2026-10-20T19:59:59+02:00",
            "2026-10-20T20:00:00+02:00",
            "2026-10-21",
            "2027-01-01",
        )
    }

    assert list(found.values()) == [1, 2, 2, 1, 1, 2, 2, 3]
    assert history.find(home).number == 3
    with pytest.raises(ConfigError, match=r"as old as 2026-10-19; the oldest is generation 1, pub"):
        history.find(home, "2026-10-19")
    with pytest.raises(ConfigError, match="generation 9 is not kept; the oldest is 1"):
        history.find(home, "9")
    with pytest.raises(ConfigError, match="'yesterday' is no generation, day"):
        history.find(home, "yesterday")


def test_showback_by_each_dimension_adds_up(small: Small) -> None:
    publish(small, V1)

    for by in SHOWN_BY:
        text = history.showback(small.config, by=by)
        assert text.startswith(f"Showback of {PERIOD} by {by}\ngeneration 1, published ")
        assert "total" in text
        assert text.splitlines()[-1].split()[1:] == ["100.00", "100.00"]
    lines = history.showback(small.config, by="feature", csv=True).splitlines()
    assert lines == ["feature,BillingCurrency,BilledCost,EffectiveCost", "search,USD,40,40",
                     "chat,USD,35,35", "(unallocated),USD,25,25"]  # fmt: skip
    with pytest.raises(ConfigError, match=f"has no showback of 2020-01; it has {PERIOD}"):
        history.showback(small.config, "2020-01")


def test_the_commands(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    publish(small, V1)
    publish(small, V2)
    options = ["--config", str(small.toml)]

    assert cli.main(["showback", *options, "--as-of", "1", "--by", "service"]) == 0
    assert "Machines      100.00" in capsys.readouterr().out
    assert cli.main(["diff", PERIOD, *options, "--from", "1", "--to", "2"]) == 0
    assert "103.10        3.10" in capsys.readouterr().out
    assert cli.main(["diff", "2026-13", *options, "--from", "1"]) == 2
    assert cli.main(["showback", *options, "--time-zone", "Europe/Berlin"]) == 2
    assert cli.main(["showback", *options, "--by", "day", "--time-zone", "Berlin"]) == 2
    assert "'Berlin' is no time zone" in capsys.readouterr().err


# ------------------------------------------------------------------------------ states of bills


def test_a_bill_is_open_provisional_and_closed_by_time_alone(small: Small, clock: Clock) -> None:
    found = []
    small.deliver(V1)
    for moment in ("2026-10-20", "2026-10-31T23:59", "2026-11-01", "2026-11-10T23:59"):
        clock(moment)
        run(small)
        found.append((states(small)["acme"][0], small.generation.name))
    clock("2026-11-11")
    built = run(small)

    assert found == [
        ("open", "000001"),
        ("open", "000001"),
        ("provisional", "000002"),
        ("provisional", "000002"),
    ]
    assert states(small) == {"acme": ("closed", Decimal(0))}
    assert small.generation.name == "000003"
    assert [b for b in built if not b.skipped] == []


def test_a_bill_waits_for_invoices_that_others_of_it_have(small: Small, clock: Clock) -> None:
    clock("2026-12-24")
    small.deliver(V1[:1], InvoiceId="I-1")
    small.deliver(V1[1:], "more.csv", InvoiceId="")
    run(small)
    assert states(small) == {"acme": ("provisional", None)}

    clock("2026-12-25")
    small.deliver(V1[1:], "more.csv", InvoiceId="I-2")
    run(small)
    assert states(small) == {"acme": ("closed", Decimal(0))}


def test_a_source_without_invoices_closes_by_time(small: Small, clock: Clock) -> None:
    clock("2026-12-24")
    publish(small, V1, InvoiceId="")

    assert states(small) == {"acme": ("closed", Decimal(0))}


def test_days_of_grace_are_set_by_source(small: Small, clock: Clock) -> None:
    small.toml.write_text(small.toml.read_text() + "closes_after_days = 30\n")
    clock("2026-11-30")
    publish(small, V1)
    assert states(small) == {"acme": ("provisional", None)}

    clock("2026-12-01")
    run(small)
    assert states(small) == {"acme": ("closed", Decimal(0))}


CUR = {
    "line_item_line_item_type": "Usage",
    "line_item_unblended_cost": "100",
    "line_item_currency_code": "USD",
    "line_item_product_code": "AmazonEC2",
    "bill_billing_period_start_date": "2026-10-01T00:00:00Z",
    "bill_billing_period_end_date": "2026-11-01T00:00:00Z",
    "line_item_usage_start_date": "2026-10-07T00:00:00Z",
    "line_item_usage_end_date": "2026-10-07T01:00:00Z",
}


def test_of_aws_a_charge_without_an_invoice_is_not_final(small: Small, clock: Clock) -> None:
    small.toml.write_text(small.toml.read_text().replace('"focus"', '"aws_cur"'))
    path = small.deliver(())
    found = []
    for moment, invoice in (("2026-12-24", ""), ("2027-03-01", ""), ("2027-03-02", "I-1")):
        clock(moment)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*CUR, "bill_invoice_id"])
            writer.writeheader()
            writer.writerow({**CUR, "bill_invoice_id": invoice})
        run(small)
        found.append(states(small)["acme"][0])

    assert found == ["provisional", "provisional", "closed"]


def published(small: Small, *periods: str) -> str:
    """Branches of showback after proposals were made of these periods."""
    pipeline.submit_proposals(small.config, list(periods))
    listed = git(small.root / "shop", "branch", "--list", "--format=%(refname:short)", "finops/*")
    return " ".join(listed.split())


@pytest.fixture
def shop(small: Small) -> Small:
    """With a GitOps repository that closed periods are published to."""
    clone_of(small.root / "shop", {"README.md": "shop\n"})
    return small


SHOP = '[[gitops]]\nname = "shop"\npath = "shop"'
BRANCH = f"finops/showback/{PERIOD}"


@pytest.mark.parametrize(
    "invoice", [pytest.param("", id="names no invoices"), pytest.param("I-1", id="issued at once")]
)
def test_a_closed_period_is_published_and_no_other(shop: Small, clock: Clock, invoice: str) -> None:
    """What is closed is decided in one place: period_state. An invoice alone closes nothing."""
    shop.configure(SHOP)
    clock("2026-11-10T23:59")
    publish(shop, V1, InvoiceId=invoice)
    assert (states(shop)["acme"][0], published(shop, PERIOD)) == ("provisional", "")

    clock("2026-11-11")
    run(shop)
    assert (states(shop)["acme"][0], published(shop, PERIOD)) == ("closed", BRANCH)


def test_a_period_is_published_when_all_of_its_bills_are_closed(shop: Small, clock: Clock) -> None:
    shop.configure('[[billing]]\nname = "other"\ndialect = "focus"\nlocation = "b/{period}/*.csv"')
    shop.configure(f"closes_after_days = 40\n{SHOP}")
    shop.deliver(V1, InvoiceId="I-1")
    other = shop.deliver(V1[:1], "other.csv", InvoiceId="", ProviderName="Vendor")
    (shop.root / "b" / PERIOD).mkdir(parents=True)
    other.rename(shop.root / "b" / PERIOD / "other.csv")
    clock("2026-12-09")
    run(shop)
    assert {n: s for n, (s, _) in states(shop).items()} == {
        "acme": "closed", "other": "provisional"
    }  # fmt: skip
    assert published(shop, PERIOD) == ""

    # By now no daily run asks for October any more.
    clock("2026-12-12")
    run(shop, "2026-11")
    assert published(shop, "2026-11", "2026-12") == BRANCH


def test_a_period_that_has_long_been_closed_is_published_when_it_is_run(
    shop: Small, clock: Clock
) -> None:
    clock("2026-11-05")
    publish(shop, V1)
    shop.configure(SHOP)
    clock("2026-12-20")
    run(shop, "2026-11")
    assert states(shop)["acme"][0] == "closed"
    assert published(shop, "2026-11", "2026-12") == ""
    assert published(shop, PERIOD) == BRANCH


SAID = {
    "InvoiceIssuerName": "Example Cloud",
    "BillingPeriodCreated": "2026-10-01T00:00:00Z",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "BillingPeriodStatus": "Closed",
    "BillingPeriodLastUpdated": "2026-11-02T08:00:00Z",
}


def say(small: Small, *rows: dict[str, str], name: str = "billing-periods.csv") -> None:
    """What the provider says of its billing periods, and the key that names it."""
    text = small.toml.read_text()
    if "billing_periods" not in text:
        small.toml.write_text(f'{text}billing_periods = "{name}"\n')
    with (small.root / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(SAID))
        writer.writeheader()
        writer.writerows({**SAID, **row} for row in rows)


def provided(small: Small) -> list[tuple[Any, ...]]:
    """State, what the provider says, and when the bill was closed."""
    return small.ask(
        "select x_State, BillingPeriodStatus, cast(x_ClosedAt as varchar) from period_state"
    )


OPEN = {"BillingPeriodStatus": "Open"}
LATER = {"BillingPeriodLastUpdated": "2026-11-03T08:00:00Z"}


def test_a_period_the_provider_calls_closed_waits_for_no_day(small: Small, clock: Clock) -> None:
    other = {"BillingPeriodStart": "2026-09-01T00:00:00Z", **OPEN}
    say(small, OPEN, other)
    clock("2026-11-02")
    publish(small, V1, InvoiceId="")
    assert provided(small) == [("provisional", "Open", None)]

    say(small, {}, other)
    clock("2026-11-02T09:00")
    run(small)
    assert provided(small) == [("closed", "Closed", "2026-11-02 09:00:00")]

    # Opened again: it was closed, so what changes is told.
    say(small, {**OPEN, **LATER}, {}, other)
    clock("2026-11-03T09:00")
    run(small)
    assert provided(small) == [("closed", "Open", "2026-11-02 09:00:00")]
    clock("2026-11-04")
    publish(small, V2, InvoiceId="")
    assert provided(small) == [("corrected", "Open", "2026-11-02 09:00:00")]


def test_a_period_the_provider_calls_open_waits_for_it(small: Small, clock: Clock) -> None:
    """And one that another issuer of invoices on the bill has not closed."""
    say(small, {}, {"InvoiceIssuerName": "Marketplace", **OPEN})
    clock("2027-02-01")
    publish(small, V1)
    assert provided(small) == [("provisional", "Open", None)]

    say(small, {}, {"InvoiceIssuerName": "Marketplace"})
    run(small)
    assert provided(small) == [("closed", "Closed", "2027-02-01 00:00:00")]


def test_what_a_provider_says_of_a_period_may_be_parquet(small: Small, clock: Clock) -> None:
    say(small, {}, name="said.parquet")
    csv_file = (small.root / "said.parquet").rename(small.root / "said.csv")
    duckdb.execute(
        "set TimeZone = 'UTC'; copy (select columns('.*Name|.*Status'), "
        "cast(columns('.*Start|.*End|.*Updated') as timestamptz) "
        f"from read_csv('{csv_file}', all_varchar = true)) to '{small.root / 'said.parquet'}'"
    )
    clock("2026-11-02")
    publish(small, V1)

    assert provided(small) == [("closed", "Closed", "2026-11-02 00:00:00")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("BillingPeriodStatus", "closed"),
        ("BillingPeriodStart", "October"),
        ("BillingPeriodLastUpdated", ""),
        ("InvoiceIssuerName", ""),
    ],
)
def test_what_is_no_billing_period_is_refused(small: Small, column: str, value: str) -> None:
    say(small, {}, {column: value})

    with pytest.raises(UnreadableFile, match=f"row 2 is no billing period: .*{column} ="):
        publish(small, V1)


def test_what_misses_a_column_of_a_billing_period_is_refused(small: Small) -> None:
    say(small, {})
    path = small.root / "billing-periods.csv"
    path.write_text(path.read_text().replace("Status", "State"))

    with pytest.raises(UnreadableFile, match="the column 'BillingPeriodStatus' is missing"):
        publish(small, V1)
    (small.root / "billing-periods.csv").write_bytes(b"")
    with pytest.raises(UnreadableFile, match="no CSV or Parquet file"):
        publish(small, V1)


def test_a_closed_bill_that_changes_is_told_loudly(small: Small, clock: Clock) -> None:
    clock("2026-11-02")
    publish(small, V2)
    clock("2026-11-09")
    publish(small, V1)
    clock("2026-11-20")
    run(small)
    clock("2026-12-02")
    publish(small, V2)

    (state,) = small.ask(
        "select x_State, BilledCost, x_BilledClosed, x_BilledCorrection, x_ClosedGeneration, "
        "cast(x_ClosedAt as varchar), cast(x_PublishedAt as varchar) from period_state"
    )
    assert state == (
        *("corrected", Decimal("103.10"), Decimal(100), Decimal("3.10"), 2),
        *("2026-11-11 00:00:00", "2026-12-02 00:00:00"),
    )
    said = (
        "the bill of 2026-10 from acme was closed with 100 USD billed and now has 103.1; "
        "`finops diff 2026-10 --from 2 --to 4` says which"
    )
    finding = small.ask(
        "select x_FindingKind, x_Reason, EffectiveCost from finding where x_Dimension = 'period'"
    )
    assert finding == [("closed_period_changed", said, Decimal("3.10"))]
    assert summary(small.config, PERIOD).startswith(f"CLOSED PERIODS HAVE CHANGED\n\n  {said}")

    page = report.write(small.database, small.root / "report").read_text(encoding="utf-8")
    assert "Changed after it was closed." in page
    assert "since then it has changed by 3.10 BilledCost" in page
    assert "A closed bill changed" in page

    # The same bill as it was closed again: nothing is wrong any more.
    clock("2026-12-03")
    publish(small, V1)
    assert states(small) == {"acme": ("closed", Decimal(0))}
    assert "CLOSED PERIODS" not in summary(small.config, PERIOD)


def test_tags_filled_in_after_closing_are_a_correction(small: Small, clock: Clock) -> None:
    clock("2026-12-01")
    publish(small, V1)
    clock("2026-12-02")
    publish(small, (*V1[:2], ("03", "late", "25.00")), ResourceId="i-1")
    publish(small, (*V1[:2], ("03", "late", "25.00")))

    assert states(small) == {"acme": ("corrected", Decimal(0))}
    (reason,) = small.ask("select x_Reason from finding where x_Dimension = 'period'")[0]
    assert "; rows or tags have changed; " in reason


@pytest.mark.parametrize("same", [{}, {"ServiceName": "Other"}, {"ServiceCategory": "Storage"}])
def test_money_that_changes_its_owner_after_closing_is_a_correction(
    small: Small, clock: Clock, same: dict[str, str]
) -> None:
    """Sum, rows and tags are those the bill was closed with."""
    moved = (("01", "search", "5.00"), ("02", "chat", "70.00"), V1[2])
    clock("2026-12-01")
    publish(small, V1)
    clock("2026-12-02")
    publish(small, moved, **same)

    assert {"acme": ("corrected", Decimal(0))} == states(small)
    (reason,) = small.ask("select x_Reason from finding where x_Dimension = 'period'")[0]
    assert "`finops diff 2026-10 --from 1 --to 2` says which" in reason
    # Each published state of it is kept, so that it can be asked again.
    stamp = json.loads((small.generation / "_generation.json").read_text())
    assert [1, 2] == [t["x_Generation"] for t in stamp["totals"]]

    clock("2026-12-03")
    publish(small, V1)
    assert {"acme": ("closed", Decimal(0))} == states(small)


def test_a_quarantined_row_that_changes_after_closing_is_a_correction(
    small: Small, clock: Clock
) -> None:
    clock("2026-12-01")
    for unread in ("soon", "later"):
        path = small.deliver(V1)
        path.write_text(path.read_text().replace("2026-10-02T00", unread, 1))
        run(small)

    assert {"acme": ("corrected", Decimal(0))} == states(small)


def test_the_same_charges_in_other_files_are_no_correction(small: Small, clock: Clock) -> None:
    """Nor is an invoice that is named once they are closed."""
    clock("2026-12-01")
    small.deliver(V1, InvoiceId="")
    run(small)
    small.deliver(V1[2:], InvoiceId="")
    small.deliver((V1[1], V1[0]), "more.csv", InvoiceId="I-2")
    clock("2026-12-02")
    run(small)

    assert {"acme": ("closed", Decimal(0))} == states(small)


@pytest.mark.parametrize("known", ["another engine", None])
def test_a_bill_closed_under_another_hash_is_hashed_again(
    small: Small, clock: Clock, known: str | None
) -> None:
    """A checksum of another version of the engine, or none, is no correction and no excuse."""
    clock("2026-12-01")
    publish(small, V1)
    path = small.generation / "_generation.json"
    stamp = json.loads(path.read_text())
    stamp["totals"][0] |= {"x_HashMark": known, "x_ChargeChecksum": known and "1"}
    path.write_text(json.dumps(stamp))
    clock("2026-12-02")
    publish(small, (V1[1], V1[0], V1[2]))
    assert {"acme": ("closed", Decimal(0))} == states(small)

    publish(small, (("01", "search", "5.00"), ("02", "chat", "70.00"), V1[2]))
    assert {"acme": ("corrected", Decimal(0))} == states(small)


def test_a_checksum_by_another_hash_whose_charges_are_gone_says_nothing() -> None:
    key = (PERIOD, "acme", "USD")
    old = dict.fromkeys(history.MEASURES) | dict(zip(history.KEY, key, strict=True))
    old |= {"x_Generation": 1, "x_ChargeChecksum": "1", "x_HashMark": "then"}
    found = {key: {**old, "x_ChargeChecksum": "2", "x_HashMark": "now"}}
    at = datetime(2026, 12, 1, tzinfo=UTC)

    (kept,) = history.remember([old], found, [key], 2, at)
    assert (1, "2", "now") == (kept["x_Generation"], kept["x_ChargeChecksum"], kept["x_HashMark"])
    assert 2 == len(
        history.remember([kept], {key: {**kept, "x_ChargeChecksum": "3"}}, [key], 3, at)
    )


def test_a_source_that_is_gone_has_a_bill_of_zero(small: Small, clock: Clock) -> None:
    clock("2026-12-01")
    publish(small, V1)
    small.toml.write_text("")
    run(small)

    assert states(small) == {"acme": ("corrected", Decimal(-100))}


def test_the_memory_of_a_bill_that_is_not_closed_is_one_line(small: Small, clock: Clock) -> None:
    for day, rows in zip(range(10, 16), itertools.cycle((V1, V2)), strict=False):
        clock(f"2026-10-{day}")
        publish(small, rows)

    stamp = json.loads((small.generation / "_generation.json").read_text())

    assert [t["x_Generation"] for t in stamp["totals"]] == [6]
    assert stamp["changes_at"] == "2026-11-01T00:00:00.000000+00:00"


def test_a_warehouse_from_before_stamps_is_stamped(small: Small) -> None:
    publish(small, V1)
    (small.generation / "_generation.json").unlink()
    old = history.find(small.config.home)

    run(small)

    assert abs(old.published_at - datetime.now(UTC)) < timedelta(minutes=10)
    assert history.find(small.config.home).number == 2
    assert states(small) == {"acme": ("closed", Decimal(0))}


# ------------------------------------------------------------------ showbacks of closed periods


def alias(small: Small, text: str) -> None:
    """Run once more with aliases of features, and nothing else changed."""
    toml = small.toml.read_text().split("[alias.feature]")[0]
    small.toml.write_text(toml + ("[alias.feature]\n" + text + "\n" if text else ""))
    run(small)


def told(small: Small) -> list[tuple[Any, ...]]:
    return small.ask(
        "select x_FindingKind, EffectiveCost, x_Reason from finding where x_Dimension = 'period' "
        "order by x_FindingKind"
    )


def test_a_closed_showback_that_changes_is_told_loudly(small: Small, clock: Clock) -> None:
    """A rule or an alias may move all of it while no charge differs."""
    clock("2026-11-02")
    publish(small, V1)
    clock("2026-11-05")
    alias(small, 'find = ["search"]')
    clock("2026-12-02")
    alias(small, 'assistant = ["chat"]\nfind = ["search"]')

    said = (
        "the showback of 2026-10 in USD is not what it was when its bill was closed: "
        "assistant/(unallocated)/(unallocated) from 0 to 35, "
        "chat/(unallocated)/(unallocated) from 35 to 0; "
        "`finops diff 2026-10 --from 2 --to 3` says all"
    )
    assert [("closed_showback_changed", Decimal(35), said)] == told(small)
    assert {"acme": ("closed", Decimal(0))} == states(small)
    assert summary(small.config, PERIOD).startswith(f"CLOSED PERIODS HAVE CHANGED\n\n  {said}")
    shown = history.showback(small.config, PERIOD)
    assert (
        "USD: the showback is not what it was when its bill was closed, see `finops diff" in shown
    )
    page = report.write(small.database, small.root / "report").read_text(encoding="utf-8")
    assert "Its showback changed after it was closed." in page
    assert "A closed showback changed" in page

    # A run that changes nothing forgets nothing, and publishes nothing.
    run(small)
    assert ("000003", 1) == (small.generation.name, len(told(small)))

    # Who bears it is again who did when it was closed.
    alias(small, 'find = ["search"]')
    assert [] == told(small)
    assert "CLOSED PERIODS" not in summary(small.config, PERIOD)
    assert "is not what it was" not in history.showback(small.config, PERIOD)


def test_a_showback_may_change_until_its_bill_is_closed(small: Small, clock: Clock) -> None:
    clock("2026-11-02")
    publish(small, V1)
    clock("2026-11-05")
    alias(small, 'assistant = ["chat"]')
    clock("2026-12-02")
    run(small)

    assert [] == told(small)


def test_a_warehouse_that_knows_of_no_showbacks_tells_no_change(small: Small, clock: Clock) -> None:
    """Of a version before there is no memory: what it published is what was closed."""
    clock("2026-12-01")
    publish(small, V1)
    path = small.generation / "_generation.json"
    stamp = json.loads(path.read_text())
    del stamp["showbacks"]
    path.write_text(json.dumps(stamp))
    # The file is another, the sums of each owner are those of before.
    clock("2026-12-02")
    publish(small, (V1[0], ("04", "chat", "30.00"), ("02", "chat", "5.00"), V1[2]))
    assert ["closed_period_changed"] == [kind for kind, *_ in told(small)]
    publish(small, V1)
    assert [] == told(small)

    alias(small, 'assistant = ["chat"]')
    assert ["closed_showback_changed"] == [kind for kind, *_ in told(small)]


def test_what_a_corrected_bill_tells_is_told_once(small: Small, clock: Clock) -> None:
    clock("2026-12-01")
    publish(small, V1)
    clock("2026-12-02")
    publish(small, V2)
    assert ["closed_period_changed"] == [kind for kind, *_ in told(small)]

    clock("2026-12-03")
    alias(small, 'assistant = ["chat"]')
    assert ["closed_period_changed", "closed_showback_changed"] == [k for k, *_ in told(small)]
    assert "--from 1 --to 3" in told(small)[1][2]


def test_a_bill_that_comes_late_changes_a_closed_showback(small: Small, clock: Clock) -> None:
    clock("2026-12-01")
    publish(small, V1)
    clock("2026-12-02")
    small.configure(
        '[[billing]]\nname = "late"\ndialect = "focus"\nlocation = "late/{period}/*.csv"'
    )
    path = small.deliver((("05", "chat", "3.00"),), "late.csv")
    (small.root / "late" / PERIOD).mkdir(parents=True)
    path.rename(small.root / "late" / PERIOD / "late.csv")
    run(small)

    ((kind, moved, reason),) = told(small)
    assert ("closed_showback_changed", Decimal(3)) == (kind, moved)
    assert "chat/(unallocated)/(unallocated) from 35 to 38; " in reason


def test_the_showbacks_of_a_closed_bill_are_kept(small: Small, clock: Clock) -> None:
    """As it was closed, and each that it became, until somebody says that they are not to be."""
    text = small.toml.read_text()
    small.toml.write_text(
        f"[warehouse]\nkeep_days = 0\nkeep_daily_days = 0\nkeep_months = 0\n{text}"
    )
    clock("2026-11-02")
    publish(small, V1)
    clock("2026-11-05")
    alias(small, 'find = ["search"]')
    for number, day in enumerate(range(12, 15)):
        clock(f"2026-12-{day}")
        alias(small, f'find = ["search"]\nnew{number} = ["chat"]')

    assert {2, 3, 4, 5} <= {g.number for g in history.generations(small.config.home)}
    small.toml.write_text(
        small.toml.read_text().replace("keep_days", "keep_closed = false\nkeep_days", 1)
    )
    clock("2026-12-20")
    alias(small, 'find = ["search"]\nnewer = ["chat"]')
    clock("2026-12-21")
    alias(small, 'find = ["search"]\nnewest = ["chat"]')
    ((_, moved, reason),) = told(small)
    assert moved is None
    assert reason.endswith("was closed: what it was is not kept")


# -------------------------------------------------------------------------------- what is kept


def made(*moments: str) -> list[Generation]:
    return [
        Generation(n, datetime.fromisoformat(m).replace(tzinfo=UTC), Path())
        for n, m in enumerate(moments, start=1)
    ]


def kept_at(
    found: list[Generation], now: str, pinned: set[int] = frozenset(), **rules: int
) -> list[int]:  # type: ignore[assignment]
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    gone = history.superseded(found, at, WarehouseSection(**rules), pinned)  # type: ignore[arg-type]
    return [g.number for g in found if g not in gone]


def test_all_then_one_a_day_then_one_a_month() -> None:
    found = made(
        *("2026-08-30T06:00", "2026-08-31T06:00", "2026-08-31T18:00"),
        *("2026-09-29T06:00", "2026-09-29T18:00", "2026-09-30T06:00"),
        *("2026-10-10T06:00", "2026-10-10T18:00", "2026-10-11T06:00"),
    )
    rules = {"keep_days": 7, "keep_daily_days": 14, "keep_months": 12}

    assert kept_at(found, "2026-10-12T00:00", **rules) == [3, 5, 6, 7, 8, 9]
    # Of a day that is seven days gone, the last remains; of a month, after twenty-one days.
    assert kept_at(found, "2026-10-18T00:00", **rules) == [3, 5, 6, 8, 9]
    assert kept_at(found, "2026-11-12T00:00", **rules) == [3, 6, 9]
    assert kept_at(found, "2027-08-31T00:00", **rules) == [3, 6, 9]
    assert kept_at(found, "2027-09-30T00:00", **rules) == [6, 9]
    assert kept_at(found, "2037-01-01T00:00", **rules) == [9]
    assert kept_at(found, "2037-01-01T00:00", {1}, **rules) == [1, 9]


def test_an_age_counts_from_when_a_generation_was_replaced() -> None:
    found = made("2026-01-01", "2026-10-01", "2026-10-09")
    rules = {"keep_days": 7, "keep_daily_days": 0, "keep_months": 0}

    assert kept_at(found, "2026-10-08", **rules) == [1, 2, 3]
    assert kept_at(found, "2026-10-09", **rules) == [2, 3]
    assert kept_at(found, "2026-10-17", **rules) == [3]


def test_the_states_of_a_closed_bill_are_kept_and_cost_what_is_their_own(
    small: Small, clock: Clock
) -> None:
    small.configure("[warehouse]\nkeep_days = 1\nkeep_daily_days = 0\nkeep_months = 0")
    publish_at = (
        ("2026-10-20", V2),
        ("2026-11-05", V1),
        ("2026-11-20", V2),
        ("2026-11-21", (*V2, ("09", "chat", "1.00"))),
        ("2026-11-25", V2),
    )
    for moment, rows in publish_at:
        clock(moment)
        publish(small, rows)
    clock("2030-01-01")
    small.deliver(V1, period="2026-09")
    run(small, "2026-09")

    kept = sorted(p.name for p in (small.config.home / "generations").iterdir())
    # The second was closed; the third to the fifth differ from it or from each other. The first
    # was replaced while the bill was open.
    assert kept == ["000002", "000003", "000004", "000005", "000006"]
    assert published_total(small, "2026-11-20") == Decimal("103.10")
    assert published_total(small, "2026-11-21") == Decimal("104.10")
    home = small.config.home / "generations"
    usage = [p for p in (home / "000005").rglob("*.parquet") if PERIOD in str(p)]
    alone = [p for p in usage if p.stat().st_nlink == 1]
    assert alone == []


def test_generations_are_collected_whole(small: Small, clock: Clock) -> None:
    small.configure(
        "[warehouse]\nkeep_days = 7\nkeep_daily_days = 0\nkeep_months = 0\nkeep_closed = false"
    )
    for day, rows in (("01", V1), ("11", V2), ("18", V1)):
        clock(f"2026-10-{day}")
        publish(small, rows)
    generations = small.config.home / "generations"
    assert sorted(p.name for p in generations.iterdir()) == ["000001", "000002", "000003"]

    clock("2026-10-21")
    run(small)

    # The first was replaced ten days ago, the second three.
    assert sorted(p.name for p in generations.iterdir()) == ["000002", "000003"]
    assert published_total(small, "2026-10-12") == Decimal("103.10")


def test_looking_back_goes_on_beside_a_run_and_leaves_nothing(small: Small) -> None:
    publish(small, V1)
    publish(small, V2)
    shutil.rmtree(small.config.home / "work")

    history.diff(small.config, PERIOD, "1")

    assert not list(small.config.home.glob(".reading-*"))
    assert not (small.config.home / "work").exists()
