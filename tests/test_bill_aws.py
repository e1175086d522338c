"""AWS's bills: every kind of line, every shape they are delivered in, and the traps in them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import bill
from finops_pipeline.queries import macros

from .test_bill import CUR, FOCUS, Read, Reader, read, write_parquet
from .tools import tool

__all__ = ["read"]

RI = {"reservation_reservation_a_r_n": "arn:aws:ec2:us-east-1:1:reserved-instances/r"}
PLAN = {"savings_plan_savings_plan_a_r_n": "arn:aws:savingsplans::1:savingsplan/s"}
DOUBLES = {
    "line_item_net_unblended_cost": "DOUBLE",
    "savings_plan_net_savings_plan_effective_cost": "DOUBLE",
    "savings_plan_recurring_commitment_for_billing_period": "DOUBLE",
    "savings_plan_net_recurring_commitment_for_billing_period": "DOUBLE",
    "savings_plan_amortized_upfront_commitment_for_billing_period": "DOUBLE",
    "savings_plan_net_amortized_upfront_commitment_for_billing_period": "DOUBLE",
    "reservation_net_effective_cost": "DOUBLE",
    "reservation_net_unused_recurring_fee": "DOUBLE",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period": "DOUBLE",
}
UPFRONT_UNUSED = "reservation_unused_amortized_upfront_fee_for_billing_period"


def line(kind: str, cost: Any, **more: Any) -> dict[str, Any]:
    """A CUR line of a kind, as changes to `CUR`."""
    return {"line_item_line_item_type": kind, "line_item_unblended_cost": cost, **more}


def costs(done: Read) -> tuple[Decimal, Decimal]:
    """What the charges of a file bill, and what they cost when amortised."""
    return (
        sum((c["BilledCost"] for c in done.charges), Decimal(0)),
        sum((c["EffectiveCost"] for c in done.charges), Decimal(0)),
    )


def column(done: Read, name: str) -> list[Any]:
    return [charge[name] for charge in done.charges]


# ------------------------------------------------------------------------- trap 1: reservations


def reservation(used: int) -> list[dict[str, Any]]:
    """One day of a reservation of 365 a year and 0.05 an hour, of which `used` hours are used."""
    unused = 24 - used
    return [
        line(
            "DiscountedUsage",
            0.0,
            **RI,
            line_item_usage_amount=used,
            reservation_effective_cost=round(used * 2.2 / 24, 6),
        ),
        line(
            "RIFee",
            1.2,
            **RI,
            reservation_unused_quantity=unused,
            reservation_unused_recurring_fee=round(unused * 0.05, 6),
            **{UPFRONT_UNUSED: round(unused / 24, 6)},
        ),
    ]


@pytest.mark.parametrize(
    ("used", "covered", "unused"), [(0, "0", "2.2"), (18, "1.65", "0.55"), (24, "2.2", "0")]
)
def test_trap_1_a_reservation_costs_the_same_however_much_is_used(
    read: Reader, used: int, covered: str, unused: str
) -> None:
    done = read.cur(line("Fee", 365.0, **RI), *reservation(used))

    assert (Decimal("366.2"), Decimal("2.2")) == costs(done)
    assert [0, Decimal(covered), Decimal(unused)] == column(done, "EffectiveCost")
    wasted = ("Usage", "Unused") if used < 24 else ("Purchase", None)
    assert [("Purchase", None), ("Usage", "Used"), wasted] == list(
        zip(column(done, "ChargeCategory"), column(done, "CommitmentDiscountStatus"), strict=True)
    )
    assert ["Usage"] * 3 == column(done, "CommitmentDiscountCategory")
    assert [None, used, 24 - used] == column(done, "CommitmentDiscountQuantity")


def test_a_purchase_of_a_commitment_has_no_effective_cost(read: Reader) -> None:
    done = read.cur(
        line("Fee", 365.0, **RI),
        line("SavingsPlanUpfrontFee", 100.0, **PLAN, line_item_product_code="ComputeSavingsPlans"),
        *reservation(24),
        line("Refund", -30.0, **PLAN, line_item_product_code="ComputeSavingsPlans"),
    )

    assert [0, 0, 0] == [
        c["EffectiveCost"] for c in done.charges if c["ChargeCategory"] == "Purchase"
    ]
    assert (Decimal("436.2"), Decimal("2.2")) == costs(done)


def test_trap_1_bought_in_the_middle_of_the_month(read: Reader) -> None:
    """From the 16th: 15 days of 24 hours, all used."""
    bought = {"line_item_usage_start_date": "2026-09-16 00:00:00"}
    bought["line_item_usage_end_date"] = "2026-10-01 00:00:00"
    done = read.cur(
        line("Fee", 365.0, **RI, **bought),
        line("DiscountedUsage", 0.0, **RI, **bought, reservation_effective_cost=33.0),
        line(
            "RIFee",
            18.0,
            **RI,
            **bought,
            reservation_unused_recurring_fee=0.0,
            **{UPFRONT_UNUSED: 0.0},
        ),
    )

    assert (Decimal(383), Decimal(33)) == costs(done)


def test_trap_1_one_large_reservation_covers_four_small_machines_of_another_account(
    read: Reader,
) -> None:
    user, owner = {"line_item_usage_account_id": "2"}, {"line_item_usage_account_id": "1"}
    small = line("DiscountedUsage", 0.0, **RI, **user, reservation_effective_cost=0.4125)
    _, fee = reservation(18)
    done = read.cur(
        line("Fee", 365.0, **RI, **owner),
        *({**small, "line_item_resource_id": f"i-{n}"} for n in range(4)),
        {**fee, **owner},
    )

    assert (Decimal("366.2"), Decimal("2.2")) == costs(done)
    by_account = {
        account: sum(c["EffectiveCost"] for c in done.charges if c["SubAccountId"] == account)
        for account in ("1", "2")
    }
    assert {"1": Decimal("0.55"), "2": Decimal("1.65")} == by_account


# ------------------------------------------------------------------------ trap 2: savings plans


def plan_hour(covered: float, used: float) -> list[dict[str, Any]]:
    """An hour of a plan of 10.00, `used` of it for what is `covered` at on-demand price."""
    return [
        line(
            "SavingsPlanCoveredUsage",
            covered,
            **PLAN,
            savings_plan_savings_plan_effective_cost=used,
            pricing_public_on_demand_cost=covered,
        ),
        line("SavingsPlanNegation", -covered, **PLAN, pricing_public_on_demand_cost=covered),
        line(
            "SavingsPlanRecurringFee",
            10.0,
            **PLAN,
            savings_plan_total_commitment_to_date=10.0,
            savings_plan_used_commitment=used,
        ),
    ]


@pytest.mark.parametrize(("covered", "used"), [(0.0, 0.0), (9.8, 7.0), (14.0, 10.0)])
def test_trap_2_a_savings_plan_counts_once_billed_and_once_amortised(
    read: Reader, covered: float, used: float
) -> None:
    done = read.cur(*plan_hour(covered, used))

    assert (Decimal(10), Decimal(10)) == costs(done)
    unused = Decimal(10) - Decimal(str(used))
    assert [Decimal(str(used)), 0, unused] == column(done, "EffectiveCost")
    told = [c[n] for c in done.charges[2:] for n in ("ChargeCategory", "CommitmentDiscountStatus")]
    assert (["Usage", "Unused"] if unused else ["Purchase", None]) == told
    assert [Decimal(str(covered)), 0] == column(done, "ListCost")[:2]
    assert ["Committed", "Committed"] == column(done, "PricingCategory")[:2]
    assert ["Recurring"] == column(done, "ChargeFrequency")[2:]


# ---------------------------------------------------------------------------- trap 4: split rows


def test_trap_4_split_rows_do_not_count_the_instance_twice(read: Reader) -> None:
    instance = {"line_item_resource_id": "i-0abc", "line_item_operation": "RunInstances"}
    pod = line("Usage", 0.5, line_item_operation="EKSPod-EC2", pricing_public_on_demand_cost=0.5)

    done = read.cur(line("Usage", 1.0, **instance), pod, pod)

    assert (Decimal(1), Decimal(1)) == costs(done)
    assert [1, 0, 0] == column(done, "BilledCost")
    assert [None, 0, 0] == column(done, "ListCost")


def test_trap_4_an_hour_half_on_demand_half_under_a_plan(read: Reader) -> None:
    instance = {"line_item_resource_id": "i-0abc", "line_item_operation": "RunInstances"}
    pod = line("Usage", 0.4, line_item_operation="EKSPod-EC2")
    covered = {**PLAN, **instance, "savings_plan_savings_plan_effective_cost": 0.3}

    done = read.cur(
        line("Usage", 0.5, **instance),
        line("SavingsPlanCoveredUsage", 0.5, **covered),
        line("SavingsPlanNegation", -0.5, **PLAN),
        pod,
        {**pod, "line_item_operation": "ECSTask-EC2"},
    )

    assert (Decimal("0.5"), Decimal("0.8")) == costs(done)


# --------------------------------------------------------------------------------- trap 10: tags


def test_trap_10_spellings_of_a_tag_stay_three_evidences_of_one_value(read: Reader) -> None:
    rows = [
        line("Usage", 40.0, resource_tags={"user_Team": "ML"}),
        line("Usage", 35.0, resource_tags={"user_team": "ml"}),
        line("Usage", 25.0, resource_tags={"user_TEAM": "ml "}),
    ]

    done = read.cur(*rows)

    assert ['{"Team":"ML"}', '{"team":"ml"}', '{"TEAM":"ml "}'] == column(done, "Tags")
    assert 3 == len(done.rows("delivered_tag_set"))
    with duckdb.connect() as connection:
        connection.execute(macros())
        found = connection.execute(
            "select normal_key(tag.key), normal_value(tag.value), sum(BilledCost) "
            f"from '{done.out}/cost_and_usage.parquet' as charge, "
            "unnest(map_entries(json_map(Tags))) as entry(tag) group by all"
        ).fetchall()
    assert [("team", "ml", Decimal(100))] == found


def test_trap_10_keys_that_prometheus_would_merge_stay_apart(read: Reader) -> None:
    tags = {"user_cost-center": "a", "user_cost_center": "b"}

    (charge,) = read.cur(line("Usage", 1.0, resource_tags=tags)).charges

    assert '{"cost-center":"a","cost_center":"b"}' == charge["Tags"]


# --------------------------------------------------------------------------------- kinds of lines


@pytest.mark.parametrize(
    ("kind", "category", "klass"),
    [
        ("Usage", "Usage", None),
        ("Tax", "Tax", None),
        ("Credit", "Credit", None),
        ("Refund", "Adjustment", "Correction"),
        ("EdpDiscount", "Adjustment", None),
        ("PrivateRateDiscount", "Adjustment", None),
        ("BundledDiscount", "Adjustment", None),
        ("DistributorDiscount", "Adjustment", None),
        ("Distributor", "Adjustment", None),
        ("RiVolumeDiscount", "Adjustment", None),
        ("SppDiscount", "Adjustment", None),
        ("Discount", "Adjustment", None),
        ("Fee", "Purchase", None),
        ("SavingsPlanUpfrontFee", "Purchase", None),
        ("FlatRateSubscription", "Purchase", None),
    ],
)
def test_line_types_become_charge_categories(
    read: Reader, kind: str, category: str, klass: str | None
) -> None:
    (charge,) = read.cur(line(kind, -1.5)).charges

    assert (category, klass) == (charge["ChargeCategory"], charge["ChargeClass"])
    assert Decimal("-1.5") == charge["BilledCost"]


def test_discounts_as_lines_of_their_own_are_on_the_bill_once(read: Reader) -> None:
    """On-demand 100, less 25 by agreement, less 5 of its own price, less 2 of a bundle."""
    done = read.cur(
        line("Usage", 100.0),
        line("EdpDiscount", -25.0),
        line("PrivateRateDiscount", -5.0),
        line("BundledDiscount", -2.0),
    )

    assert (Decimal(68), Decimal(68)) == costs(done)


def test_a_seller_on_the_marketplace_is_the_publisher(read: Reader) -> None:
    (charge,) = read.cur(
        line(
            "Usage",
            2.0,
            line_item_product_code="d1f2e3",
            line_item_legal_entity="Seller, Inc.",
            bill_billing_entity="AWS Marketplace",
            bill_invoicing_entity="Amazon Web Services EMEA SARL",
            product={"product_name": "Vector Search by Seller"},
            capacity_reservation_capacity_reservation_arn="arn:cr",
            capacity_reservation_capacity_reservation_status="Unused",
        ),
        types={"product": "MAP(VARCHAR, VARCHAR)"},
    ).charges

    expected = {
        "ServiceName": "Vector Search by Seller",
        "ServiceCategory": "Other",
        "PublisherName": "Seller, Inc.",
        "InvoiceIssuerName": "Amazon Web Services EMEA SARL",
        "ProviderName": "AWS",
        "CapacityReservationId": "arn:cr",
        "CapacityReservationStatus": "Unused",
    }
    assert expected == {name: charge[name] for name in expected}


# ------------------------------------------------------------------------------------ net columns


def test_where_there_are_net_columns_the_net_cost_is_billed(read: Reader) -> None:
    """A tenth off everything; AWS leaves a net column empty where nothing is off."""
    done = read.cur(
        line("Usage", 10.0, line_item_net_unblended_cost=9.0),
        line("Tax", 1.0),
        line(
            "DiscountedUsage",
            0.0,
            **RI,
            line_item_net_unblended_cost=0.0,
            reservation_effective_cost=2.0,
            reservation_net_effective_cost=1.8,
        ),
        line(
            "RIFee",
            5.0,
            **RI,
            line_item_net_unblended_cost=4.5,
            reservation_unused_recurring_fee=1.0,
            reservation_net_unused_recurring_fee=0.9,
            **{UPFRONT_UNUSED: 2.0},
            reservation_net_unused_amortized_upfront_fee_for_billing_period=1.8,
        ),
        types=DOUBLES,
    )

    assert [9, 1, 0, Decimal("4.5")] == column(done, "BilledCost")
    assert [9, 1, Decimal("1.8"), Decimal("2.7")] == column(done, "EffectiveCost")
    assert Decimal(9) == done.charges[0]["ContractedCost"]


def test_a_zero_in_a_net_column_of_a_commitment_says_nothing(read: Reader) -> None:
    """Exports of who has no discount have them so."""
    zeros = {
        "savings_plan_recurring_commitment_for_billing_period": 10.0,
        "savings_plan_amortized_upfront_commitment_for_billing_period": 0.0,
        **{name: 0.0 for name in DOUBLES if "_net_" in name and not name.startswith("line_item")},
    }
    lines = [*plan_hour(9.8, 7.0), *reservation(18)]

    done = read.cur(*({**one, **zeros} for one in lines), types=DOUBLES)

    assert (Decimal("11.2"), Decimal("12.2")) == costs(done)


def test_what_a_plan_left_unused_is_net_by_the_plans_own_discount(read: Reader) -> None:
    """Of 3.00 unused, a plan of 600 that costs 540 net leaves 2.70."""
    covered, negation, fee = plan_hour(9.8, 7.0)
    done = read.cur(
        {
            **covered,
            "line_item_net_unblended_cost": 9.8,
            "savings_plan_net_savings_plan_effective_cost": 6.3,
        },
        {**negation, "line_item_net_unblended_cost": -9.8},
        {
            **fee,
            "line_item_net_unblended_cost": 9.0,
            "savings_plan_recurring_commitment_for_billing_period": 400.0,
            "savings_plan_amortized_upfront_commitment_for_billing_period": 200.0,
            "savings_plan_net_recurring_commitment_for_billing_period": 360.0,
            "savings_plan_net_amortized_upfront_commitment_for_billing_period": 180.0,
        },
        types=DOUBLES,
    )

    assert [Decimal("6.3"), 0, Decimal("2.7")] == column(done, "EffectiveCost")
    assert (Decimal(9), Decimal(9)) == costs(done)


# ------------------------------------------------------------------------------------ the old CUR

LEGACY: dict[str, str] = {
    "identity/LineItemId": "x",
    "bill/InvoiceId": "7",
    "bill/InvoicingEntity": "Amazon Web Services, Inc.",
    "bill/PayerAccountId": "1",
    "bill/BillingPeriodStartDate": "2026-09-01T00:00:00Z",
    "bill/BillingPeriodEndDate": "2026-10-01T00:00:00Z",
    "lineItem/UsageAccountId": "2",
    "lineItem/LineItemType": "Usage",
    "lineItem/UsageStartDate": "2026-09-02T10:00:00Z",
    "lineItem/UsageEndDate": "2026-09-02T11:00:00Z",
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/UsageType": "BoxUsage:m5.large",
    "lineItem/Operation": "RunInstances",
    "lineItem/UsageAmount": "1.0",
    "lineItem/CurrencyCode": "USD",
    "lineItem/UnblendedCost": "0.0960000000",
    "lineItem/ResourceId": "i-0abc",
    "product/ProductName": "Amazon Elastic Compute Cloud",
    "product/region": "us-east-1",
    "pricing/publicOnDemandCost": "0.1",
    "reservation/ReservationARN": "",
    "savingsPlan/SavingsPlanARN": "",
    "savingsPlan/SavingsPlanEffectiveCost": "",
    "resourceTags/aws:createdBy": "root",
    "resourceTags/user:Team": "ML",
    "resourceTags/user:team": "",
}
SAME = {
    "BilledCost": Decimal("0.096"),
    "ListCost": Decimal("0.1"),
    "InvoiceId": "7",
    "BillingAccountId": "1",
    "SubAccountId": "2",
    "ServiceName": "Amazon Elastic Compute Cloud",
    "ServiceCategory": "Compute",
    "RegionId": "us-east-1",
    "ResourceId": "i-0abc",
    "SkuMeter": "BoxUsage:m5.large",
}


def test_a_legacy_csv_file_has_its_own_names_and_a_column_a_tag(read: Reader) -> None:
    covered = {
        "lineItem/LineItemType": "SavingsPlanCoveredUsage",
        "savingsPlan/SavingsPlanARN": PLAN["savings_plan_savings_plan_a_r_n"],
        "savingsPlan/SavingsPlanEffectiveCost": "0.06",
    }
    file = read.csv([LEGACY, {**LEGACY, **covered, "resourceTags/user:team": "b"}], "cur-1.csv")
    packed = file.with_name("cur-1.csv.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))

    done = read(packed, "aws_cur")

    first, second = done.charges
    assert SAME == {name: first[name] for name in SAME}
    assert '{"Team":"ML","aws:createdBy":"root"}' == first["Tags"]
    assert '{"Team":"ML","aws:createdBy":"root","team":"b"}' == second["Tags"]
    assert (Decimal("0.192"), Decimal("0.156")) == costs(done)
    assert PLAN["savings_plan_savings_plan_a_r_n"] == second["CommitmentDiscountId"]


def test_a_legacy_parquet_file_says_the_same(read: Reader) -> None:
    from finops_pipeline.dialect import underscored

    file = read.tmp / "cur-00001.snappy.parquet"
    tags = ("resource_tags_user_team", "resource_tags_aws_created_by")
    row = {underscored(n): v for n, v in LEGACY.items() if not n.startswith("resourceTags/")}
    write_parquet(file, [{**row, tags[0]: "ML", tags[1]: "root"}], {})

    (charge,) = read(file, "aws_cur").charges

    assert SAME == {name: charge[name] for name in SAME}
    assert '{"aws:created_by":"root","team":"ML"}' == charge["Tags"]


def test_the_same_cost_under_both_names_is_read_under_the_dialects_own(read: Reader) -> None:
    row = {**CUR, "lineItem/UnblendedCost": "99"}

    (charge,) = read(read.csv([row], "cur.csv"), "aws_cur").charges

    assert Decimal("1.5") == charge["BilledCost"]


# ----------------------------------------------------------------------------- AWS's FOCUS exports


def test_awss_own_focus_export_goes_through_focus(read: Reader) -> None:
    """FOCUS 1.0 with AWS columns, and 1.2: tags as a map, money as doubles."""
    row = {
        **{n: v for n, v in FOCUS.items() if n not in ("InvoiceId", "Tags")},
        "ProviderName": "AWS",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "Tags": {"Team": "ML"},
        "x_CostCategories": {"unit": "research"},
        "x_Discounts": {},
        "x_Operation": "RunInstances",
        "x_ServiceCode": "AmazonEC2",
        "x_UsageType": "BoxUsage:m5.large",
    }
    newer = {n: v for n, v in row.items() if n not in ("x_CostCategories", "x_UsageType")}
    newer |= {"InvoiceId": "7", "SkuMeter": "BoxUsage:m5.large", "PricingCurrency": "USD"}
    maps = dict.fromkeys(("Tags", "x_CostCategories"), "MAP(VARCHAR, VARCHAR)")
    types = {"BilledCost": "DOUBLE", "EffectiveCost": "DOUBLE", **maps}
    types["x_Discounts"] = "MAP(VARCHAR, DOUBLE)"

    for version, given in (("1.0", row), ("1.2", newer)):
        file = read.tmp / f"focus-{version}.snappy.parquet"
        write_parquet(file, [given], types)
        (charge,) = read(file, "focus", version).charges
        assert (Decimal("1.5"), "RunInstances") == (charge["BilledCost"], charge["x_Operation"])
        assert {"Team": "ML"}.items() <= json.loads(charge["Tags"]).items()
        assert ("7" if version == "1.2" else "(open)") == charge["InvoiceId"]


# ------------------------------------------------------------------------------------- real bills


def total(files: list[Path], cost: str) -> tuple[int, Decimal]:
    """Rows and cost of CSV files, in plain Python."""
    rows, money = 0, Decimal(0)
    for file in files:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for row in csv.DictReader(opened):
                rows += 1
                money += Decimal(row[cost] or 0)
    return rows, money


def tags_of(file: Path) -> list[dict[str, str]]:
    """The tags of every row of a legacy CSV file."""
    kept = "resourceTags/"
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return [
            {
                n.removeprefix(kept).removeprefix("user:"): v
                for n, v in row.items()
                if n.startswith(kept) and v
            }
            for row in csv.DictReader(opened)
        ]


def test_a_real_legacy_cur_adds_up(read: Reader) -> None:
    shared = os.environ.get("FINOPS_SHARED_DATA")
    if not shared:
        pytest.skip("FINOPS_SHARED_DATA is not set")
    file = Path(shared) / "billing_samples" / "aws_cur_anonymised.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")

    done = read(file, "aws_cur")

    rows, money = total([file], "lineItem/UnblendedCost")
    assert (1281, 0) == (rows, done.result.quarantined)
    assert (rows, money) == (done.result.rows, costs(done)[0])
    assert "Amazon Simple Storage Service" in column(done, "ServiceName")


NISE = """
generators:
  - EC2Generator:
      start_date: 2026-09-01
      end_date: 2026-09-03
      processor_arch: 64-bit
      resource_id: 55555555
      product_sku: VEAJHRNKTJQM
      region: us-east-1a
      tags:
        resourceTags/user:environment: dev
        resourceTags/user:Team: "M, L"
      instance_type:
        inst_type: m5.large
        vcpu: "2"
        memory: "8 GiB"
        storage: "EBS only"
        family: "General Purpose"
        cost: 1.000
        rate: 0.500
  - S3Generator:
      start_date: 2026-09-01
      end_date: 2026-09-03
      product_sku: VEAJHRNCCCCC
      amount: 10
      rate: 3
accounts:
  payer: 9999999999999
  user:
    - 9999999999999
"""


def test_a_bill_made_by_nise_goes_through_whole(read: Reader) -> None:
    """koku-nise is run, never shipped."""
    nise = tool("FINOPS_NISE")
    (read.tmp / "aws.yml").write_text(NISE)
    subprocess.run(
        [nise, "report", "aws", "-s", "2026-09-01", "-w", "--static-report-file", "aws.yml"],
        cwd=read.tmp,
        check=True,
        capture_output=True,
        timeout=300,
    )
    made = sorted(f for f in read.tmp.glob("*.csv") if "September-2026" in f.name)
    assert made
    found = [read(file, "aws_cur", f"out-{n}") for n, file in enumerate(made)]

    rows, money = total(made, "lineItem/UnblendedCost")
    assert money > 0
    assert rows == sum(one.result.rows for one in found)
    assert 0 == sum(one.result.quarantined for one in found)
    assert money == sum(costs(one)[0] for one in found)
    written = [tags for file in made for tags in tags_of(file)]
    assert any(tags.get("Team") == "M, L" for tags in written)
    assert written == [json.loads(c["Tags"]) for one in found for c in one.charges]


# ------------------------------------------------------------------------------ looked-up texts


@pytest.mark.parametrize("most", [256, 4, 0])
def test_what_is_looked_up_is_what_the_dialect_says_of_each_row(
    read: Reader, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """With quotes, nothing and nulls among the texts."""
    texts = ["AmazonEC2", "", None, "it's", "AWSLambda", "Ünicode", "AmazonEC2"]
    lines = [
        line(
            "Usage",
            1.0,
            line_item_resource_id=text,
            line_item_operation=text,
            line_item_product_code=text or "AmazonS3",
        )
        for text in texts * 3
    ]
    monkeypatch.setattr(bill, "FEW_TEXTS", most)
    looked_up = read.cur(*lines)
    monkeypatch.setattr(bill, "PACKED", "select null from parquet_metadata(?) where false")
    row_by_row = read.cur(*lines)

    assert looked_up.charges == row_by_row.charges
    assert len(texts) * 3 == len(looked_up.charges)
    assert "it's" in column(looked_up, "ResourceId")
