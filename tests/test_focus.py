"""Dialect focus: every version of the specification, from anyone, and what is not FOCUS at all."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline import queries
from finops_pipeline.dialect import dialect
from finops_pipeline.errors import UnreadableFile

from .test_bill import FOCUS, Reader
from .test_cases import engine

V1_0 = """AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingCurrency
BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargeFrequency
ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId
CommitmentDiscountName CommitmentDiscountStatus CommitmentDiscountType ConsumedQuantity
ConsumedUnit ContractedCost ContractedUnitPrice EffectiveCost InvoiceIssuerName ListCost
ListUnitPrice PricingCategory PricingQuantity PricingUnit ProviderName PublisherName RegionId
RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName SkuId SkuPriceId
SubAccountId SubAccountName Tags"""
ADDED = {
    "1.1": """CapacityReservationId CapacityReservationStatus CommitmentDiscountQuantity
        CommitmentDiscountUnit ServiceSubcategory SkuMeter SkuPriceDetails""",
    "1.2": """BillingAccountType InvoiceId PricingCurrency PricingCurrencyContractedUnitPrice
        PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice SubAccountType""",
    "1.3": """AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName
        AllocatedTags ContractApplied HostProviderName ServiceProviderName""",
    "1.4": "CommitmentProgramEligibilityDetails InvoiceDetailId",
}
REMOVED = {"1.4": {"ProviderName", "PublisherName"}}
# What a newer version tells and nothing here asks for; docs/focus.md says why.
NOT_READ = {
    "ContractApplied",
    "HostProviderName",
    "CommitmentProgramEligibilityDetails",
    "InvoiceDetailId",
}
TEXT = {"Tags": "{}", "AllocatedTags": "", "SkuPriceDetails": '{"CoreCount":4}'}


def columns(version: str) -> list[str]:
    """The columns of a version of the Cost and Usage dataset."""
    names = V1_0.split()
    for added, more in ADDED.items():
        if added <= version:
            names = [n for n in names + more.split() if n not in REMOVED.get(added, ())]
    return sorted(names)


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def row(version: str, **changes: str) -> dict[str, Any]:
    """A row with something in every column of a version."""
    made = {}
    for name in columns(version):
        money = "Cost" in name or name.endswith(("Quantity", "UnitPrice"))
        made[name] = FOCUS.get(name, TEXT.get(name, "2.5" if money else f"the {name}"))
    return {**made, **changes}


# ------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3", "1.4"])
def test_every_column_of_a_version_is_read_or_left_out_on_purpose(
    read: Reader, version: str
) -> None:
    given = row(version)
    (charge,) = read(read.csv([given])).charges

    lost = {n for n in given if n not in charge} - {"AllocatedTags", "ServiceProviderName"}
    assert lost <= NOT_READ
    same = set(given) - lost - {"AllocatedTags", "ServiceProviderName"}
    for name in same - {"Tags", *(n for n in same if n.endswith(("Start", "End")))}:
        expected = Decimal(given[name]) if isinstance(charge[name], Decimal) else given[name]
        assert expected == charge[name], name


def test_what_an_older_version_does_not_have_is_null_or_open(read: Reader) -> None:
    (charge,) = read(read.csv([row("1.0")])).charges

    assert "(open)" == charge["InvoiceId"]
    for name in (*ADDED["1.1"].split(), *ADDED["1.2"].split()):
        assert name == "InvoiceId" or charge[name] is None, name


def test_the_provider_is_what_a_version_calls_it(read: Reader) -> None:
    old = row("1.3", ProviderName="old", ServiceProviderName="new", PublisherName="maker")
    (both,) = read(read.csv([old])).charges
    (only,) = read(read.csv([row("1.4", ServiceProviderName="new")]), into="again").charges

    assert ("old", "maker") == (both["ProviderName"], both["PublisherName"])
    assert ("new", "new") == (only["ProviderName"], only["PublisherName"])


def test_a_file_without_any_provider_is_no_focus(read: Reader) -> None:
    given = row("1.4")
    del given["ServiceProviderName"]

    with pytest.raises(UnreadableFile, match="'ProviderName' is missing"):
        read(read.csv([given]))


def test_columns_in_capitals_are_the_same_columns(read: Reader) -> None:
    (charge,) = read(read.csv([{n.upper(): v for n, v in row("1.2").items()}])).charges

    assert Decimal("1.5") == charge["BilledCost"]
    assert "the SkuMeter" == charge["SkuMeter"]


def test_a_column_in_its_own_case_counts_and_two_in_others_are_refused(read: Reader) -> None:
    (charge,) = read(read.csv([{**FOCUS, "billedcost": "3"}])).charges
    assert Decimal("1.5") == charge["BilledCost"]

    given = {"BILLEDCOST" if n == "BilledCost" else n: v for n, v in FOCUS.items()}
    with pytest.raises(UnreadableFile, match="'BilledCost' is there 2 times"):
        read(read.csv([{**given, "billedcost": "3"}]), into="again")


# ------------------------------------------------------------------------- quirks of vendors


@pytest.mark.parametrize(
    ("column", "given", "meant"),
    [
        ("ChargeCategory", "USAGE", "Usage"),
        ("ChargeFrequency", "Usage-based", "Usage-Based"),
        ("ChargeFrequency", "now and then", "now and then"),
        ("ServiceCategory", "AI + Machine Learning", "AI and Machine Learning"),
        ("ServiceCategory", "Management & Governance", "Management and Governance"),
        ("ServiceCategory", "Multi-cloud", "Multicloud"),
        ("ServiceCategory", "Database", "Databases"),
        ("ServiceCategory", "Rocketry", "Other"),
        ("BillingCurrency", "eur", "EUR"),
    ],
)
def test_a_known_spelling_is_mended(read: Reader, column: str, given: str, meant: str) -> None:
    (charge,) = read.focus({column: given}).charges

    assert meant == charge[column]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-10-01T00:00:00Z", "2026-10-01 00:00:00"),
        ("2026-09-30T00:00:00Z", "2026-10-01 00:00:00"),
        ("2026-09-30T23:59:59Z", "2026-10-01 00:00:00"),
        ("2026-09-15T00:00:00Z", "2026-09-15 00:00:00"),
    ],
)
def test_a_billing_period_ends_where_the_next_begins(read: Reader, given: str, meant: str) -> None:
    (charge,) = read.focus({"BillingPeriodEnd": given}).charges

    assert meant == str(charge["BillingPeriodEnd"])


def test_a_price_in_credits_is_kept_beside_the_bill_in_dollars(read: Reader) -> None:
    (charge,) = read.focus(
        {"PricingCurrency": "DBU", "PricingCurrencyEffectiveCost": "7", "SubAccountId": ""}
    ).charges

    assert ("USD", Decimal("1.25")) == (charge["BillingCurrency"], charge["EffectiveCost"])
    assert ("DBU", 7) == (charge["PricingCurrency"], charge["PricingCurrencyEffectiveCost"])
    assert charge["SubAccountId"] is None


def test_a_bill_in_credits_is_no_money(read: Reader) -> None:
    assert ["BillingCurrency is not an ISO 4217 code: 'Credits'"] == read.focus(
        {"BillingCurrency": "Credits"}
    ).reasons


@pytest.mark.parametrize(
    ("tags", "more", "expected"),
    [
        ('{"a":"1"}', "", '{"a":"1"}'),
        ("", '{"b":"2"}', '{"b":"2"}'),
        ('{"a":"1","b":"1"}', '{"b":"2"}', '{"a":"1","b":"2"}'),
    ],
)
def test_a_part_has_the_tags_of_both(read: Reader, tags: str, more: str, expected: str) -> None:
    (charge,) = read.focus({"Tags": tags, "AllocatedTags": more}).charges

    assert expected == charge["Tags"]


@pytest.mark.parametrize(("tags", "more"), [("{", '{"b":"2"}'), ('{"a":"1"}', "[2")])
def test_tags_that_are_no_json_are_quarantined(read: Reader, tags: str, more: str) -> None:
    (reason,) = read.focus({"Tags": tags, "AllocatedTags": more}).reasons

    assert reason.startswith("Tags is not a JSON object")


def test_every_version_needs_no_header_of_its_own() -> None:
    spoken = dialect("focus")

    assert {"ProviderName"} == {column for column, _ in spoken.spellings}


# ------------------------------------------------------------------------------ split charges

HOST = {"ResourceId": "host", "ChargePeriodEnd": "2026-10-02", "ChargePeriodStart": "2026-10-01"}


def half(place: int, ratio: str = "0.5") -> dict[str, Any]:
    return {
        **HOST,
        "x_SourceRow": place,
        "BilledCost": 5,
        "EffectiveCost": 4,
        "AllocatedMethodId": "m",
        "AllocatedMethodDetails": f'{{"Elements":[{{"AllocatedRatio":{ratio}}}]}}',
    }


def whole(place: int, billed: int, effective: int) -> dict[str, Any]:
    return {**HOST, "x_SourceRow": place, "BilledCost": billed, "EffectiveCost": effective}


@pytest.mark.parametrize(
    ("rows", "offenders"),
    [
        ([half(1), half(2)], []),
        ([half(1), half(2), whole(3, 0, 0)], []),
        ([half(1), half(2), whole(3, 10, 8)], [3]),
        # Half went to one pod, half to nobody: the rest may well cost the same.
        ([half(1), whole(2, 5, 4)], []),
        # An allocated charge that does not say how much of the whole it is.
        ([{**half(1), "AllocatedMethodDetails": None}, whole(2, 5, 4)], [2]),
        ([{**half(1), "AllocatedMethodDetails": "{"}, whole(2, 5, 4)], [2]),
        ([half(1), half(2), {**whole(3, 10, 8), "ResourceId": "other"}], []),
    ],
)
def test_the_whole_beside_its_parts_is_found(
    rows: list[dict[str, Any]], offenders: list[int]
) -> None:
    connection = engine({"cost_and_usage": rows}, {})
    check = queries.query("checks/cost_and_usage__focus_split_counted_once")

    assert offenders == [found[1] for found in connection.execute(check.text).fetchall()]
