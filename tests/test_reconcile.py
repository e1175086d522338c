"""Each invoice from the provider's own figure to what was shown back, to the last digit."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import cli, pipeline, queries, report, statement
from finops_pipeline.errors import CheckFailed, ConfigError, UnknownName, UnreadableFile
from finops_pipeline.warehouse import Warehouse

from . import test_azure as azure
from . import test_gcp as google
from .small import MONEY, PERIOD, TOML, V1, V2, Small
from .test_cases import engine, fill

INVOICE = f"I-{PERIOD}"


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small.make(tmp_path, TOML + 'invoices = "invoices/{period}.csv"\n', to=MONEY)


NAMED = "invoice,currency,amount,difference,reason"


def invoices(small: Small, *lines: str, header: str = NAMED) -> None:
    path = small.root / "invoices" / f"{PERIOD}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def run(small: Small) -> None:
    """The road from bill to showback, published."""
    with Warehouse(small.config).writing() as warehouse:
        for step in pipeline.steps():
            if step.stage in ("bill", "allocation", "showback"):
                step.run(warehouse, PERIOD)
        pipeline.publish_database(warehouse)


def lines(small: Small) -> list[tuple[Any, ...]]:
    return small.ask(
        "select InvoiceId, x_BilledSummary, x_BilledIngested, x_BilledQuarantined, "
        "x_BilledAllocated, x_BilledIdle, x_BilledUnallocated, x_SummaryDifference, x_Reason "
        "from reconciliation order by InvoiceId"
    )


# ------------------------------------------------------------------------------- the statement


def test_an_invoice_is_what_was_read_and_what_was_shown(small: Small) -> None:
    small.deliver(V1)
    invoices(small, f"{INVOICE},usd,100.00")
    run(small)

    assert lines(small) == [(INVOICE, *map(Decimal, (100, 100, 0, 75, 0, 25, 0)), None)]
    text, adds_up = statement.reconcile(small.config, None)
    assert adds_up
    assert text.splitlines()[0] == f"Reconciliation of {PERIOD}, BilledCost"
    assert "100.00  100.00         0.00      75.00  0.00        25.00           0" in text
    assert text.endswith("1 of 1 lines add up")


def test_without_an_invoice_of_the_provider_there_is_nothing_to_differ(small: Small) -> None:
    small.deliver(V1)
    run(small)

    assert lines(small) == [
        (INVOICE, None, Decimal(100), *map(Decimal, (0, 75, 0, 25)), None, None)
    ]


def test_what_could_not_be_read_stays_in_the_statement(small: Small) -> None:
    path = small.deliver(V1)
    path.write_text(path.read_text().replace("2026-10-02T00", "soon", 1))
    invoices(small, f"{INVOICE},USD,100.00")
    run(small)

    assert lines(small) == [(INVOICE, *map(Decimal, (100, 65, 35, 40, 0, 25, 0)), None)]


def test_an_invoice_rounded_to_the_cent_has_that_for_a_reason(small: Small) -> None:
    small.deliver((("01", "search", "10.0049"), ("02", "chat", "20.0001")))
    invoices(small, f"{INVOICE},USD,30.00")
    run(small)

    ((*_, difference, reason),) = lines(small)
    assert difference == Decimal("0.005")
    assert reason == "the provider rounds its invoice to what can be paid"


@pytest.mark.parametrize("amount", ["99.99", "100.006", "-100"])
def test_a_difference_without_a_name_stops_publication(small: Small, amount: str) -> None:
    small.deliver(V1)
    invoices(small, f"{INVOICE},USD,100.00")
    run(small)
    invoices(small, f"{INVOICE},USD,{amount}")

    with pytest.raises(CheckFailed, match="reconciliation__adds_up found offenders") as caught:
        run(small)

    assert f"InvoiceId={INVOICE}" in str(caught.value)
    assert lines(small)[0][1] == Decimal(100)


def test_a_difference_with_a_name_is_published_with_it(small: Small) -> None:
    small.deliver(V1)
    invoices(small, f'{INVOICE},USD,119.00,-19.00,"tax, not in the export"')
    run(small)

    ((*_, difference, reason),) = lines(small)
    assert (difference, reason) == (Decimal(-19), "tax, not in the export")
    assert statement.reconcile(small.config, PERIOD)[1]


def test_a_name_is_for_one_difference(small: Small) -> None:
    """The tax on 100 does not say why a bill that is restated to 1 lacks 118."""
    small.deliver(V1)
    invoices(small, f'{INVOICE},USD,119.00,-19.00,"tax, not in the export"')
    run(small)
    small.deliver((("01", "search", "1.00"),))

    with pytest.raises(CheckFailed, match=r"x_SummaryDifference=-118\.0"):
        run(small)
    assert Decimal(100) == small.total()


def test_half_a_cent_beside_a_named_difference_needs_no_name(small: Small) -> None:
    small.deliver((("01", "search", "10.0049"), ("02", "chat", "20.0001")))
    invoices(small, f"{INVOICE},USD,36.00,-6.00,tax")
    run(small)

    ((*_, difference, reason),) = lines(small)
    assert (Decimal("-5.995"), "tax") == (difference, reason)


def test_an_invoice_nobody_delivered_stops_publication(small: Small) -> None:
    small.deliver(V1)
    invoices(small, f"{INVOICE},USD,100", "I-other,USD,5")

    with pytest.raises(CheckFailed, match=r"InvoiceId=I-other, .*x_SummaryDifference=-5"):
        run(small)


def test_currencies_of_one_invoice_are_lines_of_their_own(small: Small) -> None:
    small.deliver(V1)
    small.deliver(V2, "euro.csv", BillingCurrency="EUR")
    invoices(small, f"{INVOICE},USD,100", f"{INVOICE},EUR,103.10")
    run(small)

    assert [line[1] for line in lines(small)] == [Decimal("103.10"), Decimal(100)]


def two_vendors(root: Path, *providers: str) -> Small:
    """Blocks a and b, which read 95 and 55 under one number, and invoices of 100 and of 50."""
    block = (
        '[[billing]]\nname = "{0}"\ndialect = "focus"\nlocation = "in/{{period}}/{0}.csv"\n'
        'invoices = "invoices/{0}-{{period}}.csv"\n'
    )
    small = Small.make(root, block.format("a") + block.format("b"), to=MONEY)
    of = zip("ab", (("01", "search", "95"), ("02", "chat", "55")), providers, strict=True)
    for name, row, provider in of:
        small.deliver((row,), f"{name}.csv", InvoiceId="1001", ProviderName=provider)
    asked(small, "100", "50")
    return small


def asked(small: Small, *amounts: str) -> None:
    """What the invoices of a and b ask for."""
    (small.root / "invoices").mkdir(exist_ok=True)
    for name, amount in zip("ab", amounts, strict=True):
        path = small.root / "invoices" / f"{name}-{PERIOD}.csv"
        path.write_text(f"invoice,currency,amount\n1001,USD,{amount}\n")


@pytest.mark.parametrize("other", ["Vendor A", "Vendor B"])
def test_one_number_at_two_sources_is_two_invoices(tmp_path: Path, other: str) -> None:
    """What one has too little, the other has too much."""
    small = two_vendors(tmp_path, "Vendor A", other)

    with pytest.raises(CheckFailed) as caught:
        run(small)
    assert "x_Source=a, InvoiceId=1001, BillingCurrency=USD, x_SummaryDifference=-5." in str(
        caught.value
    )
    assert "x_Source=b, InvoiceId=1001, BillingCurrency=USD, x_SummaryDifference=5." in str(
        caught.value
    )


def parts(small: Small) -> list[tuple[Any, ...]]:
    """Source, what the invoice asks, read, allocated, and whether all of it was shown."""
    return small.ask(
        "select x_Source, x_BilledSummary, x_BilledIngested, x_BilledAllocated, "
        "x_AllocationDifference = 0 from reconciliation order by x_Source"
    )


def test_what_two_sources_have_under_one_number_is_shown_by_provider(tmp_path: Path) -> None:
    small = two_vendors(tmp_path, "Vendor A", "Vendor B")
    asked(small, "95", "55")
    run(small)

    amounts = ((name, Decimal(n)) for name, n in (("a", 95), ("b", 55)))
    assert [(name, n, n, n, True) for name, n in amounts] == parts(small)
    assert "2 of 2 lines add up" in statement.reconcile(small.config, None)[0]


def test_what_two_sources_have_of_one_provider_is_shown_in_a_line_of_both(tmp_path: Path) -> None:
    """Showback knows no source, so who of them was shown what is not made up."""
    small = two_vendors(tmp_path, "Vendor A", "Vendor A")
    asked(small, "95", "55")
    run(small)

    zero = Decimal(0)
    assert [
        ("a", Decimal(95), Decimal(95), zero, True),
        ("a, b", None, zero, Decimal(150), True),
        ("b", Decimal(55), Decimal(55), zero, True),
    ] == parts(small)
    assert statement.reconcile(small.config, None)[1]


# --------------------------------------------------------------------- what the statement finds


def filled(
    settings: dict[str, Any] | None = None, **given: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The statement of a few rows, and what the rule says of it."""
    connection = engine(given, settings or {})
    for name in ("invoice", "reconciliation"):
        fill(connection, f"showback/{name}", {"period": PERIOD})
    answer = connection.execute(
        "select x_Source, InvoiceId, BillingCurrency, x_DeliveryDifference, "
        "x_AllocationDifference, x_SummaryDifference, x_Reason "
        "from reconciliation order by InvoiceId, x_Source"
    )
    names = [d[0] for d in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


CHARGE = {"BilledCost": "10", "EffectiveCost": "10", "x_Source": "aws"}


def test_money_lost_on_the_way_is_found() -> None:
    (line,) = filled(
        cost_and_usage=[CHARGE],
        delivery=[{"x_Source": "aws", "BilledCost": "10"}],
        showback=[{"BilledCost": "9.999999999999", "x_Feature": "search"}],
    )

    assert line["x_DeliveryDifference"] == 0
    assert line["x_AllocationDifference"] == Decimal("0.000000000001")


def test_money_lost_at_the_door_is_a_line_of_its_own() -> None:
    delivery, invoice = filled(
        cost_and_usage=[CHARGE],
        delivery=[{"x_Source": "aws", "BilledCost": "12.50"}],
        showback=[{"BilledCost": "10", "x_Feature": "search"}],
    )

    assert (delivery["InvoiceId"], delivery["BillingCurrency"]) == ("(delivery)", "USD")
    assert delivery["x_DeliveryDifference"] == Decimal("2.50")
    assert (invoice["x_DeliveryDifference"], invoice["x_AllocationDifference"]) == (0, 0)


def test_two_blocks_that_are_a_pair_are_one_source() -> None:
    """One export has what was billed, the other what it cost; the invoice is beside either."""
    pair = [
        {"name": n, "dialect": "azure", "location": "{period}", "costs": costs, "pair": other}
        for n, costs, other in (("one", "actual", "two"), ("two", "amortized", "one"))
    ]
    (line,) = filled(
        {"billing": pair},
        cost_and_usage=[
            {**CHARGE, "x_Source": "one", "EffectiveCost": "0"},
            {**CHARGE, "x_Source": "two", "BilledCost": "0"},
        ],
        delivery=[{"x_Source": "one", "BilledCost": "10"}, {"x_Source": "two"}],
        showback=[{"BilledCost": "10", "x_Feature": "search"}],
        invoice_summary=[
            {
                "x_Source": "two",
                "x_BilledSummary": "12",
                "x_MinorUnit": "0.01",
                "x_NamedDifference": "-2",
                "x_Reason": "tax",
            }
        ],
    )

    assert ("one, two", Decimal(-2), "tax") == (
        line["x_Source"],
        line["x_SummaryDifference"],
        line["x_Reason"],
    )
    assert (0, 0) == (line["x_DeliveryDifference"], line["x_AllocationDifference"])


def test_money_that_goes_from_vendor_to_vendor_is_found() -> None:
    lines = filled(
        cost_and_usage=[
            {**CHARGE, "ProviderName": "A"},
            {**CHARGE, "ProviderName": "B", "x_Source": "b"},
        ],
        delivery=[{"x_Source": s, "BilledCost": "10"} for s in ("aws", "b")],
        showback=[
            {"BilledCost": cost, "x_Feature": "search", "ProviderName": provider}
            for provider, cost in (("A", "9"), ("B", "11"))
        ],
    )

    assert [("aws", Decimal(1)), ("b", Decimal(-1))] == [
        (line["x_Source"], line["x_AllocationDifference"]) for line in lines
    ]


def test_money_shown_that_nobody_billed_is_found() -> None:
    (line,) = filled(showback=[{"BilledCost": "1", "x_Feature": "search"}])

    assert (line["x_Source"], line["x_AllocationDifference"]) == ("(none)", Decimal(-1))


# ----------------------------------------------------------------- one bill from two blocks


def billed(source: str, cost: str, day: int = 1, **more: Any) -> dict[str, Any]:
    """A charge of one day in one account."""
    of = {"BilledCost": cost, "SubAccountId": "1", "InvoiceId": "(open)", "x_Source": source}
    return {**of, "ChargePeriodStart": f"2026-10-{day:02} 00:00", **more}


def twice(*charges: dict[str, Any], **settings: Any) -> list[tuple[Any, ...]]:
    """Blocks, days alike, and what would be counted twice."""
    connection = engine({"cost_and_usage": list(charges)}, settings)
    fill(connection, "showback/invoice", {"period": PERIOD})
    answer = connection.execute(queries.query("checks/invoice__delivered_once").text)
    return [(row[0], row[1], row[4], row[6]) for row in answer.fetchall()]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({}, {}),
        # Google's standard export names no resource; its invoices are account and month.
        ({"ResourceId": "i-1"}, {}),
        (
            {"InvoiceId": "01-02/202610", "BillingAccountId": "01-02"},
            {"InvoiceId": "5001", "BillingAccountId": "01-02"},
        ),
        # Azure: spelled in two ways, in two dialects.
        (
            {"SubAccountId": "ab-1", "ResourceId": "/subscriptions/ab-1/vm"},
            {"SubAccountId": "/subscriptions/AB-1", "ResourceId": "/subscriptions/AB-1/vm"},
        ),
        # The CUR and AWS's FOCUS export of version 1.0, and two names of one provider.
        ({"InvoiceId": "77"}, {"ProviderName": "Amazon Web Services"}),
        # Nobody names an account.
        ({"SubAccountId": None}, {"SubAccountId": None}),
    ],
)
def test_one_bill_from_two_blocks_is_found(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Of the last day, one has hours that the other had not yet."""
    days = [(1, "5", "5"), (2, "7", "7"), (3, "3", "2")]
    ours = [billed("a", cost, day, **mine) for day, cost, _ in days]
    copies = [billed("b", cost, day, **theirs) for day, _, cost in days]

    assert [("a", "b", 2, Decimal(12))] == twice(*ours, *copies)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"SubAccountId": "1"}, {"SubAccountId": "2"}),
        ({"BillingCurrency": "USD"}, {"BillingCurrency": "EUR"}),
        # One account, parted by resource, by invoice, by day or in another way.
        ({"ResourceId": "i-1"}, {"ResourceId": "i-2"}),
        ({"InvoiceId": "1"}, {"InvoiceId": "2"}),
        ({}, {"ChargePeriodStart": "2026-10-05 00:00"}),
        ({}, {"BilledCost": "4.999999999999"}),
        # The halves of a pair: each has one of the costs.
        ({}, {"BilledCost": "0", "EffectiveCost": "5"}),
        ({"SubAccountId": None}, {"SubAccountId": None, "ProviderName": "Other"}),
        # The same source in two files.
        ({}, {"x_Source": "a", "x_SourceFile": "2"}),
    ],
)
def test_one_invoice_from_two_blocks_that_share_nothing_is_none(
    mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    assert [] == twice(billed("a", "5", **mine), billed("b", "5", **theirs))


def test_days_that_are_alike_by_chance_are_less_than_most() -> None:
    alike = [billed(source, "5", day) for source in "ab" for day in (1, 2)]
    other = [billed(source, cost, day) for source, cost in ("a3", "b4") for day in (3, 4)]

    assert [] == twice(*alike, *other)
    assert [("a", "b", 2, Decimal(10))] == twice(*alike, *other[::2])


def test_blocks_that_are_said_to_be_others_are_others() -> None:
    named = [{"name": n, "dialect": "focus", "location": "{period}"} for n in "abc"]
    named[1]["separate_from"] = ["a"]
    charges = [billed(source, "5") for source in "abc"]

    assert [("a", "c"), ("b", "c")] == [found[:2] for found in twice(*charges, billing=named)]


def test_another_block_must_be_there(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TOML + 'separate_from = ["acne"]\n', to=MONEY)

    with pytest.raises(UnknownName, match="separate_from: no block is called 'acne'"):
        small.run()


def test_one_bill_from_two_blocks_is_not_published(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TOML + TOML.replace("acme", "copy"), to=MONEY)
    small.deliver(V1)

    with pytest.raises(CheckFailed, match="invoice__delivered_once found offenders") as caught:
        run(small)
    assert "block=acme, other_block=copy" in str(caught.value)
    assert "counted_twice=100" in str(caught.value)
    assert 'separate_from = ["the other"]' in str(caught.value)
    assert not (small.config.home / "current").exists()

    small.toml.write_text(small.toml.read_text() + 'separate_from = ["acme"]\n')
    run(small)
    assert small.total() == Decimal(200)


def test_googles_standard_and_detailed_export_are_one_bill(tmp_path: Path) -> None:
    block = '[[billing]]\nname = "{0}"\ndialect = "gcp"\nlocation = "{0}/*.parquet"\n'
    small = Small.make(tmp_path, block.format("standard") + block.format("detailed"), to=MONEY)
    month = {"invoice": {"month": "202610", "publisher_type": "GOOGLE"}}
    resource = {"resource": {"name": "vm", "global_name": "//compute/vm"}}
    google.export(
        tmp_path / "standard/1.parquet", google.row(3, -1, **month), schema=google.STANDARD
    )
    halves = [google.row(1.5, -0.5, **month, **resource)] * 2
    google.export(tmp_path / "detailed/1.parquet", *halves)

    with pytest.raises(CheckFailed, match="block=detailed, other_block=standard, account=shop"):
        run(small)


def test_azures_two_exports_without_a_pair_are_one_bill(tmp_path: Path) -> None:
    block = '[[billing]]\nname = "{0}"\ndialect = "azure"\nlocation = "{0}-{{period}}/*.csv"\n'
    small = Small.make(tmp_path, block.format("actual") + block.format("amortized"), to=MONEY)
    month = {"BillingPeriodStartDate": "10/01/2026", "BillingPeriodEndDate": "10/31/2026"}
    for name in ("actual", "amortized"):
        reader = azure.Reader(tmp_path / f"{name}-{PERIOD}")
        reader.file([{**azure.EA, **month, "Date": "10/04/2026"}])

    with pytest.raises(CheckFailed, match="block=actual, other_block=amortized"):
        run(small)


# --------------------------------------------------------------------------- files of invoices


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("invoice,amount", "I,1", "the column 'currency' is missing"),
        ("invoice,currency,amount", "I,USD,1e400", "row 1 is no invoice: 'I', 'USD', '1e400'"),
        ("invoice,currency,amount", "I,USD,NaN", "row 1 is no invoice"),
        ("invoice,currency,amount", "I,USD,0.0000000000001", "row 1 is no invoice"),
        ("invoice,currency,amount", "I,Euro,1", "row 1 is no invoice"),
        ("invoice,currency,amount", ",USD,1", "row 1 is no invoice"),
        ("invoice,currency,amount", "I,USD", "row 1 is no invoice"),
        ("invoice,currency,amount", "I,EUR,1,190.00", "row 1 is no invoice: 'I', 'EUR', '1'"),
        ("invoice,currency,amount,reason", "I,EUR,1,190.00", "row 1 is no invoice.*'190.00'"),
        (
            "invoice,currency,amount,reason",
            "I,USD,1,tax",
            "row 1 gives the difference None for the reason 'tax'; a reason is for one amount",
        ),
        (NAMED, "I,USD,1,all,tax", "row 1 gives the difference 'all' for the reason 'tax'"),
        (NAMED, "I,USD,1,-1,", "row 1 gives the difference '-1' for the reason None"),
    ],
)
def test_an_invoice_file_that_cannot_be_read_stops_the_run(
    small: Small, header: str, line: str, said: str
) -> None:
    small.deliver(V1)
    invoices(small, line, header=header)

    with pytest.raises(UnreadableFile, match=said):
        run(small)


def test_an_invoice_file_must_be_of_a_period(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TOML + 'invoices = "invoices.csv"\n', to=MONEY)
    small.deliver(V1)

    with pytest.raises(ConfigError, match=r"'invoices\.csv' must hold \{period\}"):
        run(small)


# ------------------------------------------------------------------------------- where it shows


def test_the_command_says_whether_it_adds_up(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    small.deliver(V1)
    run(small)
    options = ["reconcile", "--config", str(small.toml)]

    assert cli.main(options) == 0
    assert "1 of 1 lines add up" in capsys.readouterr().out
    assert cli.main([*options, "2020-01"]) == 2
    assert f"there is no bill of 2020-01; known: {PERIOD}" in capsys.readouterr().err

    # Made anew from what is published: what was tampered with since does not add up.
    with duckdb.connect(str(small.database)) as connection:
        connection.execute(
            "update showback set BilledCost = BilledCost + 1 where x_Feature = 'chat'"
        )
    assert cli.main([*options, PERIOD]) == 1
    out = capsys.readouterr().out
    assert "-1.00" in out
    assert "1 of 1 lines do not add up" in out


def test_the_page_has_the_statement(small: Small) -> None:
    small.deliver(V1)
    invoices(small, f"{INVOICE},USD,119.00,-19,<tax>")
    run(small)

    page = report.write(small.database, small.root / "report").read_text(encoding="utf-8")

    assert "<h2>Reconciliation</h2>" in page
    assert "119.00 USD" in page
    assert "\N{MINUS SIGN}19.00 <small><bdi>&lt;tax&gt;</bdi></small>" in page
    assert "<bdi>acme</bdi>, USD, is closed since" in page
