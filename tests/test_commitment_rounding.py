"""Over its term a commitment costs what was paid for it, the last period carrying the rounding."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline import history, pipeline, queries
from finops_pipeline.explain import explain
from finops_pipeline.export import export_focus
from finops_pipeline.warehouse import Warehouse, altered

from .small import MONEY, Small
from .test_cases import engine, fill
from .test_history import run

BOOKED = "(commitment rounding)"
MONTHS = ("2026-08", "2026-09", "2026-10")
THIRD = "0.3333333333"
ZERO = Decimal(0)
Charge = dict[str, Any]


def run_terms(small: Small, period: str) -> None:
    """The road to the bill and to what is told of terms."""
    run(small, period, to=(*MONEY, "commitment", "commitment_term"))


def after(period: str) -> str:
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12}-{month % 12 + 1:02d}"


# --------------------------------------------------------------- in SQL alone: what is booked


def charge(period: str, **more: Any) -> Charge:
    """A row of cost_and_usage under commitment `c`, in one file a period and source."""
    return {
        "BillingPeriod": period,
        "BillingPeriodStart": f"{period}-01",
        "BillingPeriodEnd": f"{after(period)}-01",
        "ChargePeriodStart": f"{period}-01 00:00",
        "ChargePeriodEnd": f"{period}-01 01:00",
        "CommitmentDiscountId": "c",
        "x_SourceFile": period,
        **more,
    }


def paid(amount: object, period: str = "2026-10", until: str = "2026-11-01", **more: Any) -> Charge:
    once = {"ChargeCategory": "Purchase", "ChargeFrequency": "One-Time"}
    return charge(period, BilledCost=amount, ChargePeriodEnd=until, **once, **more)


def used(amount: object, period: str = "2026-10", **more: Any) -> Charge:
    return charge(period, EffectiveCost=amount, **{"CommitmentDiscountStatus": "Used", **more})


class Bills:
    """Periods whose rounding is booked one at a time, each by those up to it, as runs do."""

    def __init__(self, charges: Sequence[Charge]) -> None:
        rows = [{**c, "x_SourceRow": n} for n, c in enumerate(charges, 1)]
        self.periods = sorted({c["BillingPeriod"] for c in rows})
        self.connection = engine({"cost_and_usage": rows}, {})
        fill(self.connection, "bill/commitment_total", {})
        self.connection.execute("create table delivered as from commitment_total")
        self.connection.execute("delete from commitment_total")

    def run(self, period: str) -> list[dict[str, Any]]:
        """Deliver a period again and book what it carries, which is returned."""
        con = self.connection
        con.execute("delete from commitment_total where BillingPeriod = ?", [period])
        con.execute("insert into commitment_total from delivered where BillingPeriod = ?", [period])
        text = queries.query("bill/commitment/rounding").text
        found = con.execute(text, {"period": period})
        names = [d[0] for d in found.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        booked = engine({"cost_and_usage": [{k: str(v) for k, v in r.items() if v is not None}
                                            for r in rows]}, {})  # fmt: skip
        fill(booked, "bill/commitment_total", {})
        for row in booked.execute("from commitment_total").fetchall():
            marks = ", ".join("?" for _ in row)
            con.execute(f"insert into commitment_total values ({marks})", row)
        return rows

    def left(self) -> dict[tuple[str, str], Decimal]:
        """Paid and not amortised, by commitment and currency."""
        found = self.connection.execute(
            "select CommitmentDiscountId, BillingCurrency, sum(BilledCost) - sum(EffectiveCost) "
            "from commitment_total group by all"
        ).fetchall()
        return {(c, currency): left for c, currency, left in found}


def booked(*charges: Charge) -> list[tuple[Any, ...]]:
    """Period, currency and amount of what is booked when the periods are run in order."""
    bills = Bills(charges)
    return [
        (r["BillingPeriod"], r["BillingCurrency"], r["EffectiveCost"])
        for period in bills.periods
        for r in bills.run(period)
    ]


def test_three_hours_of_a_payment_of_one() -> None:
    bills = Bills([paid("1.00"), *[used(THIRD)] * 3])
    (row,) = bills.run("2026-10")

    assert ("Adjustment", ZERO, Decimal("0.0000000001")) == (
        row["ChargeCategory"], row["BilledCost"], row["EffectiveCost"],
    )  # fmt: skip
    assert (BOOKED, 1, "{}") == (row["x_SourceFile"], row["x_SourceRow"], row["Tags"])
    assert "1 was paid, and the charges sum to 0.9999999999" in row["ChargeDescription"]
    assert {("c", "USD"): ZERO} == bills.left()


def test_the_last_period_carries_it() -> None:
    term = [paid("1.00", "2026-08"), *(used(THIRD, month) for month in MONTHS)]

    assert [("2026-10", "USD", Decimal("0.0000000001"))] == booked(*term)


def test_too_much_is_taken_back() -> None:
    assert [("2026-10", "USD", Decimal("-0.0000000001"))] == booked(
        paid("2.00"), *[used("0.6666666667")] * 3
    )


def test_what_is_exact_has_no_rounding() -> None:
    assert [] == booked(paid("1.00"), *[used("0.25")] * 4)


def test_used_and_unused_are_one_sum() -> None:
    unused = used(THIRD, CommitmentDiscountStatus="Unused")

    assert [("2026-10", "USD", Decimal("0.0000000001"))] == booked(
        paid("1.00"), used(THIRD), used(THIRD), unused
    )


def test_a_missing_charge_is_no_rounding() -> None:
    assert [] == booked(paid("1.00"), used(THIRD), used(THIRD))
    # Half a cent for each of a hundred figures would be more than the cent that is not there.
    assert [] == booked(paid("1.00"), *[used("0.01")] * 99)


def test_more_than_half_of_the_last_place_of_each_figure_is_no_rounding() -> None:
    two = Decimal("0.0000000002")

    assert [("2026-10", "USD", two)] == booked(paid("1.0000000001"), *[used(THIRD)] * 3)
    assert [] == booked(paid("1.0000000002"), *[used(THIRD)] * 3)


def test_how_exact_figures_are_is_seen_in_all_of_the_provider() -> None:
    cents = [paid("1.00"), *[used("0.33")] * 3]
    another = used(THIRD, CommitmentDiscountId="another")

    assert [("2026-10", "USD", Decimal("0.01"))] == booked(*cents)
    assert [] == booked(*cents, another)
    assert [("2026-10", "USD", Decimal("0.01"))] == booked(*cents, another | {"ProviderName": "P"})
    # What is derived here has twelve decimals, and makes nothing that came more exact.
    derived = used("0.333333333333", CommitmentDiscountId="another")
    assert [("2026-10", "USD", Decimal("0.0000000001"))] == booked(
        paid("1.00"), *[used(THIRD)] * 3, derived
    )


def test_whole_figures_are_exact_to_the_cent() -> None:
    assert [] == booked(paid("10"), *[used("3")] * 3)


def test_a_term_that_goes_on_is_not_settled() -> None:
    assert [] == booked(paid("1.00", until="2026-11-02"), *[used(THIRD)] * 3)


def test_a_purchase_from_before_is_not_judged() -> None:
    assert [] == booked(*[used(THIRD)] * 3)
    assert [] == booked(used(THIRD))
    # A part of the price is paid by the month, the rest was paid before anything is here.
    fee = charge("2026-10", BilledCost="0.6", ChargeCategory="Purchase")
    assert [] == booked(fee, *[used(THIRD)] * 3)


def test_what_is_paid_by_the_month_is_settled_by_the_month() -> None:
    fees = [
        charge(m, BilledCost="1.00", ChargeCategory="Purchase", ChargeFrequency="Recurring")
        for m in MONTHS[1:]
    ]
    uses = [used(THIRD, month) for month in MONTHS[1:] for _ in range(3)]

    assert [(m, "USD", Decimal("0.0000000001")) for m in MONTHS[1:]] == booked(*fees, *uses)


def test_a_part_that_is_paid_upfront_is_settled_when_its_time_is_over() -> None:
    upfront = paid("0.50", "2026-09")
    fees = [
        charge(m, BilledCost="0.25", ChargeCategory="Purchase", ChargeFrequency="Recurring")
        for m in MONTHS[1:]
    ]
    uses = [used("0.1666666667", month) for month in MONTHS[1:] for _ in range(3)]

    assert [("2026-10", "USD", Decimal("-0.0000000002"))] == booked(upfront, *fees, *uses)


def test_a_refund_is_not_a_rounding_and_what_is_left_after_it_is() -> None:
    back = charge("2026-10", BilledCost="-0.50", ChargeCategory="Adjustment")

    assert [] == booked(paid("1.00"), back, *[used(THIRD)] * 3)
    assert [("2026-10", "USD", Decimal("0.0000000001"))] == booked(
        paid("1.50"), back, *[used(THIRD)] * 3
    )


def test_a_late_line_after_the_end_is_settled_where_it_is() -> None:
    term = [paid("1.00", "2026-09", "2026-10-01"), *[used(THIRD, "2026-09")] * 2]
    late = used(THIRD, "2026-10", ChargePeriodStart="2026-09-30", ChargePeriodEnd="2026-10-01")

    assert [("2026-10", "USD", Decimal("0.0000000001"))] == booked(*term, late)


def test_one_source_has_the_payment_and_another_the_use() -> None:
    """Azure's actual and amortised costs."""
    bills = Bills(
        [
            paid(
                "1.00", until="2026-10-02", x_Source="actual", SubAccountId="buyer", InvoiceId="i"
            ),
            *[used(THIRD, x_Source="amortised", SubAccountId="user", InvoiceId="(open)")] * 3,
        ]
    )
    (row,) = bills.run("2026-10")

    assert ("amortised", "(open)", "buyer") == (
        row["x_Source"], row["InvoiceId"], row["SubAccountId"],
    )  # fmt: skip


def test_currencies_and_providers_are_sums_of_their_own() -> None:
    term = [paid("1.00"), *[used(THIRD)] * 3]
    euro = [c | {"BillingCurrency": "EUR", "x_SourceFile": "euro"} for c in term]
    other = [used(THIRD, ProviderName="P", x_SourceFile="p")]

    assert [("2026-10", c, Decimal("0.0000000001")) for c in ("EUR", "USD")] == booked(
        *term, *euro, *other
    )


def test_what_its_provider_does_not_amortise_has_no_rounding() -> None:
    """Google's fees cost what is billed for them."""
    fee = charge("2026-10", BilledCost="0.3333333333", EffectiveCost="0.3333333333",
                 ChargeCategory="Purchase")  # fmt: skip

    assert [] == booked(fee, fee)


AMOUNTS = st.integers(min_value=100, max_value=10**9).map(lambda cents: Decimal(cents) / 100)


@settings(deadline=None, derandomize=True, max_examples=20)
@given(
    price=AMOUNTS,
    upfront_permille=st.integers(0, 1000),
    uses=st.lists(st.tuples(st.sampled_from(MONTHS), st.booleans()), min_size=1, max_size=60),
    months=st.integers(1, 3),
    decimals=st.integers(6, 10),
    order=st.permutations(range(3)),
)
def test_the_sums_are_the_same_whatever_the_term(
    price: Decimal,
    upfront_permille: int,
    uses: list[tuple[str, bool]],
    months: int,
    decimals: int,
    order: list[int],
) -> None:
    """Random terms, prices, decimals and order of the periods' runs."""
    term = MONTHS[-months:]
    uses = sorted((max(m, term[0]), is_used) for m, is_used in uses)
    uses = [*uses[:-1], (term[-1], uses[-1][1])]
    place = Decimal(1).scaleb(-decimals)
    each = (price / len(uses)).quantize(place, ROUND_HALF_UP)
    upfront = (price * upfront_permille / 1000).quantize(Decimal("0.01"))
    rows = [paid(str(upfront), term[0])] if upfront else []
    rest = price - upfront
    if rest:
        # Nothing but the last fee makes it whole, so that no month before is used up by chance.
        once = charge(term[-1], BilledCost=str(rest), ChargeCategory="Purchase")
        rows.append(once | {"ChargeFrequency": "Recurring"})
    rows += [
        used(str(each), m, CommitmentDiscountStatus="Used" if is_used else "Unused")
        for m, is_used in uses
    ]
    bills = Bills(rows)
    for n in order:
        if MONTHS[n] in bills.periods:
            bills.run(MONTHS[n])
    carried = bills.run(term[-1])

    assert {("c", "USD"): ZERO} == bills.left()
    off = price - each * len(uses)
    assert [off] * bool(off) == [r["EffectiveCost"] for r in carried]
    # A second time, and in any order, nothing becomes another.
    again = [r for n in order if MONTHS[n] in bills.periods for r in bills.run(MONTHS[n])]
    assert carried == again


# ----------------------------------------------------------------------------- on the whole road

OWNED = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/*.csv"
[[rule]]
where = { ChargeCategory = "Adjustment" }
feature = "finance"
why = "roundings are borne by finance"
"""


def add(path: Path, **more: str) -> None:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], *more], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | more for row in rows)


def buy(small: Small, period: str, until: str, billed: str = "1.00") -> None:
    path = small.deliver(
        (("01", "", "0"),), "buy.csv", period, BilledCost=billed, ChargeCategory="Purchase",
        ChargePeriodEnd=f"{until}T00:00:00Z",
    )  # fmt: skip
    add(path, CommitmentDiscountId="plan", ChargeFrequency="One-Time")


def use(small: Small, period: str, *hours: int, cost: str = THIRD) -> None:
    for h in hours:
        path = small.deliver(
            (("01", "search", cost),), f"use-{h}.csv", period, BilledCost="0",
            ChargePeriodStart=f"{period}-01T0{h}:00:00Z",
            ChargePeriodEnd=f"{period}-01T0{h + 1}:00:00Z",
        )  # fmt: skip
        add(path, CommitmentDiscountId="plan", CommitmentDiscountStatus="Used")


SUMS = "select sum(BilledCost), sum(EffectiveCost) from {} where CommitmentDiscountId = 'plan'"
CARRIED = f"select BillingPeriod, EffectiveCost from cost_and_usage where x_SourceFile = '{BOOKED}'"
ONE = Decimal(1)
TENTH_PLACE = Decimal("0.0000000001")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A payment of 1.00 for three hours, in one month."""
    small = Small.make(tmp_path_factory.mktemp("month"), OWNED)
    buy(small, "2026-10", "2026-11-01")
    use(small, "2026-10", 0, 1, 2)
    small.run()
    return small


def test_in_one_month_the_sums_are_the_same_in_every_table(month: Small) -> None:
    assert [(ONE, ONE)] == month.ask(SUMS.format("cost_and_usage"))
    assert [(ONE, ONE)] == month.ask(SUMS.format("commitment"))
    assert [(ONE, ONE)] == month.ask(SUMS.format("commitment_term"))
    assert ONE == month.total()
    assert [("settled", TENTH_PLACE, ZERO)] == month.ask(
        "select x_TermState, x_RoundingCost, x_OpenCost from commitment_term"
    )
    assert [(TENTH_PLACE, 1000)] == month.ask(
        "select x_RoundingCost, x_UtilisationPermille from commitment"
    )


def test_a_rule_owns_it_and_explain_leads_to_it(month: Small) -> None:
    assert [("rule", TENTH_PLACE)] == month.ask(
        "select x_AllocationMethod, EffectiveCost from showback where x_Feature = 'finance'"
    )
    told = explain(month.config, {"feature": "finance"})
    assert BOOKED in told
    assert "the charges sum to 0.9999999999" in told
    assert "roundings are borne by finance" in told


def test_it_is_no_file_and_its_delivery_says_so(month: Small) -> None:
    assert [(0, 1, ZERO, TENTH_PLACE)] == month.ask(
        f"select x_Bytes, x_Rows, BilledCost, EffectiveCost from delivery "
        f"where x_SourceFile = '{BOOKED}'"
    )
    assert [] == altered(month.generation)


def test_a_second_run_reads_and_books_nothing_anew(month: Small) -> None:
    before = month.everything()
    built = month.run()

    assert before == month.everything()
    assert {True} == {b.skipped for b in built}


def test_the_export_tells_of_no_difference(month: Small) -> None:
    done = export_focus(month.config, "2026-10", month.root / "out")

    assert 5 == done.rows
    assert () == done.told


def test_a_gap_is_told_without_an_export_and_by_it(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    buy(small, "2026-10", "2026-10-02")
    use(small, "2026-10", 0, 1)
    small.run()

    assert [] == small.ask(CARRIED)
    assert [("gap", Decimal("0.3333333334"))] == small.ask(
        "select x_TermState, x_OpenCost from commitment_term"
    )


def test_a_gap_is_told_by_the_export(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    buy(small, "2026-09", "2026-10-01")
    use(small, "2026-09", 0, 1)
    small.run("2026-09")
    small.deliver((("01", "chat", "1"),))
    run_terms(small, "2026-10")
    done = export_focus(small.config, "2026-09", small.root / "out")

    assert ["EffectiveCost-C-012-C"] == [t.requirement for t in done.told]
    assert [("gap",)] == small.ask("select x_TermState from commitment_term")


@pytest.fixture
def two(tmp_path: Path) -> Small:
    """The same over two months."""
    small = Small.make(tmp_path)
    buy(small, "2026-09", "2026-11-01")
    use(small, "2026-09", 0)
    use(small, "2026-10", 0, 1)
    return small


def test_over_two_months_the_last_carries_it(two: Small) -> None:
    run_terms(two, "2026-09")
    assert [("running",)] == two.ask("select x_TermState from commitment_term")
    run_terms(two, "2026-10")

    assert [("2026-10", TENTH_PLACE)] == two.ask(CARRIED)
    assert [(ONE, ONE)] == two.ask(SUMS.format("cost_and_usage"))
    assert [("settled",)] == two.ask("select x_TermState from commitment_term")


def test_the_order_of_the_runs_is_told_and_mended(
    two: Small, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 12, 24, tzinfo=UTC)
    monkeypatch.setattr(history, "now", lambda: now)
    run_terms(two, "2026-10")
    assert [] == two.ask(CARRIED)
    assert [("begun_before",)] == two.ask("select x_TermState from commitment_term")
    run_terms(two, "2026-09")
    assert [("gap", TENTH_PLACE)] == two.ask("select x_TermState, x_OpenCost from commitment_term")
    run_terms(two, "2026-10")
    assert [("settled", ZERO)] == two.ask("select x_TermState, x_OpenCost from commitment_term")

    # Both bills are closed since, and what is booked beside a bill makes no other bill of it.
    assert [("2026-09", "closed"), ("2026-10", "closed")] == two.ask(
        "select BillingPeriod, x_State from period_state order by all"
    )
    in_order = Small.make(tmp_path_factory.mktemp("in_order"))
    buy(in_order, "2026-09", "2026-11-01")
    use(in_order, "2026-09", 0)
    use(in_order, "2026-10", 0, 1)
    run_terms(in_order, "2026-09")
    run_terms(in_order, "2026-10")
    assert in_order.parquet() == two.parquet()


def test_a_restated_month_is_carried_at_the_next_run_of_the_last(two: Small) -> None:
    run_terms(two, "2026-09")
    run_terms(two, "2026-10")
    use(two, "2026-09", 0, cost="0.3333333334")
    run_terms(two, "2026-09")
    assert [("gap", -TENTH_PLACE)] == two.ask("select x_TermState, x_OpenCost from commitment_term")
    run_terms(two, "2026-10")

    assert [] == two.ask(CARRIED)
    assert [(ONE, ONE)] == two.ask(SUMS.format("cost_and_usage"))
    assert [("settled",)] == two.ask("select x_TermState from commitment_term")


def test_a_month_without_commitments_asks_no_other(two: Small) -> None:
    run_terms(two, "2026-09")
    two.deliver((("01", "chat", "1"),), period="2026-11")
    run_terms(two, "2026-11")
    before = two.parquet()
    use(two, "2026-09", 0, cost="0.25")
    run_terms(two, "2026-09")
    with Warehouse(two.config).writing() as warehouse:
        (step,) = (s for s in pipeline.steps() if s.name == "bill")
        assert {True} == {b.skipped for b in step.run(warehouse, "2026-11")}
    assert {k: v for k, v in before.items() if "/2026-11/" in k} == {
        k: v for k, v in two.parquet().items() if "/2026-11/" in k
    }


AWS = """\
[[billing]]
name = "aws"
dialect = "aws_cur"
location = "in/{period}/*.csv"
"""
PLAN = "arn:aws:savingsplans::1:savingsplan/p"


def cur(kind: str, hour: int, cost: str, amortised: str = "", hours: int = 1) -> dict[str, str]:
    """A line of a CUR: an hour of the first day, of one savings plan."""
    start = datetime(2026, 10, 1, hour, tzinfo=UTC)
    return {
        "line_item_line_item_type": kind,
        "line_item_unblended_cost": cost,
        "savings_plan_savings_plan_effective_cost": amortised,
        "savings_plan_savings_plan_a_r_n": PLAN,
        "line_item_usage_start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "line_item_usage_end_date": f"{start.replace(hour=hour + hours):%Y-%m-%dT%H:%M:%SZ}",
        "line_item_usage_account_id": "buyer" if kind.endswith("Fee") else "user",
        "line_item_currency_code": "USD",
        "line_item_product_code": "ComputeSavingsPlans" if kind.endswith("Fee") else "AmazonEC2",
        "bill_billing_period_start_date": "2026-10-01T00:00:00Z",
        "bill_billing_period_end_date": "2026-11-01T00:00:00Z",
        "bill_invoice_id": "17",
        "bill_payer_account_id": "payer",
    }


def test_three_hours_of_a_plan_in_a_cost_and_usage_report(tmp_path: Path) -> None:
    small = Small.make(tmp_path, AWS)
    lines = [
        cur("SavingsPlanUpfrontFee", 0, "1.00", hours=3),
        *(cur("SavingsPlanCoveredUsage", h, "0.5", THIRD) for h in range(3)),
        *(cur("SavingsPlanNegation", h, "-0.5") for h in range(3)),
    ]
    path = small.root / "in" / "2026-10" / "cur.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    small.run()

    assert [(ONE, ONE)] == small.ask(
        f"select sum(BilledCost), sum(EffectiveCost) from cost_and_usage "
        f"where CommitmentDiscountId = '{PLAN}'"
    )
    assert [("Adjustment", "payer", "buyer", "ComputeSavingsPlans", "17", ZERO, TENTH_PLACE)] == (
        small.ask(
            "select ChargeCategory, BillingAccountId, SubAccountId, ServiceName, InvoiceId, "
            f"BilledCost, EffectiveCost from cost_and_usage where x_SourceFile = '{BOOKED}'"
        )
    )
    assert [("settled", ZERO)] == small.ask("select x_TermState, x_OpenCost from commitment_term")
    told = export_focus(small.config, "2026-10", small.root / "out").told
    assert "EffectiveCost-C-012-C" not in {t.requirement for t in told}
