"""Azure's bill: two exports of the same money, their spellings, their manifests.

The law under test everywhere: BilledCost is the total of the actual export, EffectiveCost that of
the amortised one, each to the cent, and no total is ever both.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import bill, config, deliveries
from finops_pipeline.config import BillingSection, Config
from finops_pipeline.contracts import table
from finops_pipeline.errors import ConfigError, IncompleteDelivery, UnknownName, UnreadableFile
from finops_pipeline.pipeline import read_bill
from finops_pipeline.queries import macros
from finops_pipeline.transports import Item, open_transport
from finops_pipeline.warehouse import Warehouse

from .tools import tool

PERIOD = "2026-08"
ORDER = "/providers/Microsoft.Capacity/reservationOrders/0rder"

# One row under the names of each schema; all say the same.
EA: dict[str, Any] = {
    "BillingAccountId": "861",
    "BillingProfileId": "861",
    "BillingCurrencyCode": "USD",
    "BillingPeriodStartDate": "08/01/2026",
    "BillingPeriodEndDate": "08/31/2026",
    "SubscriptionId": "1CAAA5A3-2B66",
    "Date": "08/04/2026",
    "MeterCategory": "Virtual Machines",
    "MeterId": "m-1",
    "ResourceId": "/subscriptions/AB/resourceGroups/rg/providers/Microsoft.Compute/"
    "virtualMachines/Vm1",
    "Tags": '"team": "ml","env": "prod"',
    "UnitOfMeasure": "1 Hour",
    "Quantity": "24",
    "UnitPrice": "0.11",
    "PayGPrice": "0.20",
    "CostInBillingCurrency": "2.64",
    "ChargeType": "Usage",
    "PricingModel": "OnDemand",
    "Frequency": "UsageBased",
}
MCA = {
    "billingAccountId": "acc",
    "billingProfileId": "861",
    "billingCurrency": "USD",
    "billingPeriodStartDate": "08/01/2026",
    "billingPeriodEndDate": "08/31/2026",
    "SubscriptionId": "1caaa5a3-2b66",
    "date": "08/04/2026",
    "meterCategory": "Virtual Machines",
    "meterId": "m-1",
    "ResourceId": EA["ResourceId"].lower(),
    "tags": '{"team": "ml", "env": "prod"}',
    "unitOfMeasure": "1 Hour",
    "quantity": "24",
    "unitPrice": "0.11",
    "PayGPrice": "0.20",
    "costInBillingCurrency": "2.64",
    "chargeType": "Usage",
    "pricingModel": "On Demand",
    "frequency": "UsageBased",
}
PAYG = {
    "SubscriptionGuid": "1caaa5a3-2b66",
    "UsageDateTime": "2026-08-04",
    "MeterCategory": "Virtual Machines",
    "MeterId": "m-1",
    "InstanceId": EA["ResourceId"],
    "Tags": '{"team": "ml", "env": "prod"}',
    "UnitOfMeasure": "1 Hour",
    "UsageQuantity": "24",
    "ResourceRate": "0.11",
    "PreTaxCost": "2.64",
    "Currency": "USD",
}


@dataclass
class Reader:
    """Reads rows as one export, and holds the reading to the contracts."""

    tmp: Path

    def file(self, rows: list[dict[str, Any]], name: str = "part_0_0001.csv") -> Path:
        file = self.tmp / name
        file.parent.mkdir(parents=True, exist_ok=True)
        plain = file.with_suffix(".txt")
        with plain.open("w", newline="", encoding="utf-8-sig") as opened:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(opened, names, restval="")
            writer.writeheader()
            writer.writerows(rows)
        if name.endswith(".gz"):
            file.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        elif name.endswith(".parquet"):
            with duckdb.connect() as connection:
                scan = f"read_csv('{plain}', all_varchar = true)"
                numbers = {"Quantity", "UnitPrice", "PayGPrice", "CostInBillingCurrency"}
                day = 'strptime("Date", \'%m/%d/%Y\')::timestamp as "Date"'
                each = ", ".join(f'"{n}"::double as "{n}"' for n in sorted(numbers & set(names)))
                connection.execute(
                    f"copy (select * replace ({each}, {day}) from {scan}) to '{file}'"
                )
        else:
            plain.replace(file)
        return file

    def __call__(self, file: Path, costs: Any = None, rows: int | None = None) -> dict[str, Any]:
        """The tables of one read file as rows, by name."""
        out = self.tmp / "out"
        item = Item(file.name, file.stat().st_size, "fingerprint", file.name)
        block = BillingSection(
            name="azure",
            dialect="azure",
            location="in/{period}/*",
            costs=costs or "both",
        )
        with duckdb.connect() as connection:
            connection.execute(macros())
            bill.read_file(connection, block, PERIOD, item, file, out, rows)
        tables = ("cost_and_usage", "quarantine", "delivery")
        for name in tables:
            table(name).validate([out / f"{name}.parquet"])
        import polars as pl

        read = {name: pl.read_parquet(out / f"{name}.parquet").to_dicts() for name in tables}
        every = read["cost_and_usage"] + read["quarantine"]
        (delivered,) = read["delivery"]
        assert delivered["x_Rows"] == len(every)
        for money in ("BilledCost", "EffectiveCost"):
            assert delivered[money] == total(every, money)
        return read

    def charges(self, *rows: dict[str, Any], costs: Any = None) -> list[dict[str, Any]]:
        read = self(self.file([{**EA, **row} for row in rows]), costs)
        assert [] == read["quarantine"]
        return read["cost_and_usage"]


def total(rows: list[dict[str, Any]], money: str) -> Decimal:
    return sum((row[money] for row in rows if row[money] is not None), Decimal(0))


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


# ------------------------------------------------------------------------------- spellings


@pytest.mark.parametrize("row", [EA, MCA, PAYG], ids=["EA", "MCA", "PAYG"])
def test_every_schema_says_the_same(read: Reader, row: dict[str, str]) -> None:
    (charge,) = read(read.file([row]))["cost_and_usage"]

    expected = {
        "BilledCost": Decimal("2.64"),
        "EffectiveCost": Decimal("2.64"),
        "ContractedCost": Decimal("2.64"),
        "BillingCurrency": "USD",
        "SubAccountId": "1caaa5a3-2b66",
        "ResourceId": EA["ResourceId"].lower(),
        "ResourceType": "microsoft.compute/virtualmachines",
        "ServiceName": "Virtual Machines",
        "ServiceCategory": "Compute",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "PricingCategory": "Standard",
        "ConsumedQuantity": Decimal(24),
        "ProviderName": "Microsoft",
        "Tags": '{"env":"prod","team":"ml"}',
    }
    assert expected == {name: charge[name] for name in expected}
    times = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
    assert ["2026-08-01", "2026-09-01", "2026-08-04", "2026-08-05"] == [
        str(charge[time].date()) for time in times
    ]


def test_the_schemas_tell_who_is_invoiced(read: Reader) -> None:
    told = [
        (charge["BillingAccountId"], charge["BillingAccountType"])
        for row in (EA, MCA, PAYG)
        for charge in read(read.file([row]))["cost_and_usage"]
    ]

    assert [
        ("861", "Billing Account"),
        ("861", "Billing Profile"),
        ("1caaa5a3-2b66", "Subscription"),
    ] == told


@pytest.mark.parametrize("name", ["part_0_0001.csv.gz", "part_0_0001.parquet"])
def test_the_forms_of_a_file_are_one(read: Reader, name: str) -> None:
    plain = read(read.file([EA, {**EA, "CostInBillingCurrency": "0.0000000001"}]))

    other = read(read.file([EA, {**EA, "CostInBillingCurrency": "0.0000000001"}], name))

    for charge in plain["cost_and_usage"] + other["cost_and_usage"]:
        charge.pop("x_SourceFile")
    assert plain["cost_and_usage"] == other["cost_and_usage"]


def test_one_resource_in_two_spellings_is_one(read: Reader) -> None:
    first, second = read.charges(
        {"ResourceId": "/subscriptions/AB/x"}, {"ResourceId": "/subscriptions/ab/X"}
    )

    assert first["ResourceId"] == second["ResourceId"] == "/subscriptions/ab/x"
    assert ("x", "X") == (first["ResourceName"], second["ResourceName"])


def test_two_columns_that_differ_only_in_case_are_refused(read: Reader) -> None:
    with pytest.raises(UnreadableFile, match="'Date' is there 2 times"):
        read(read.file([{n: v for n, v in EA.items() if n != "Date"} | {"date": "", "DATE": ""}]))


def test_a_missing_cost_names_the_column(read: Reader) -> None:
    row = {n: v for n, v in EA.items() if n != "CostInBillingCurrency"}

    with pytest.raises(UnreadableFile, match="'CostInBillingCurrency' is missing"):
        read(read.file([row]))


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ('"a": "1","b": ""', '{"a":"1","b":""}'),
        ("", "{}"),
        ('""', "{}"),
        ("{}", "{}"),
        ('{"a": "1"}', '{"a":"1"}'),
        ('"quoted": "say \\"hi\\""', '{"quoted":"say \\"hi\\""}'),
    ],
)
def test_tags_with_and_without_braces(read: Reader, written: str, tags: str) -> None:
    (charge,) = read.charges({"Tags": written})

    assert tags == charge["Tags"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Date": "31/08/2026"}, "Date is not a day: '31/08/2026'"),
        ({"Date": ""}, "Date is missing"),
        ({"CostInBillingCurrency": "much"}, "CostInBillingCurrency is not a number: 'much'"),
        ({"BillingCurrencyCode": "Euro"}, "BillingCurrency is not an ISO 4217 code: 'Euro'"),
        ({"Tags": '"a": '}, "Tags is not a JSON object: '{\"a\": }'"),
    ],
)
def test_what_cannot_be_read_is_quarantined(
    read: Reader, change: dict[str, str], reason: str
) -> None:
    done = read(read.file([EA, {**EA, **change}]))

    (row,) = done["quarantine"]
    assert reason == row["x_Reason"]
    assert {n: v or None for n, v in change.items()} == {
        n: json.loads(row["x_RawRow"])[n] for n in change
    }


# ------------------------------------------------------------------- actual and amortised

RESERVATION = {
    "PricingModel": "Reservation",
    "ReservationName": "r",
    "BenefitId": f"{ORDER}/reservations/7",
    "UnitPrice": "1.5",
    "PayGPrice": "0",
}
PURCHASE = {
    **RESERVATION,
    "ChargeType": "Purchase",
    "Frequency": "OneTime",
    "BenefitId": f"{ORDER}/reservations/",
    "Quantity": "1",
    "UnitPrice": "8760",
    "CostInBillingCurrency": "8760",
}
COVERED = {**RESERVATION, "Quantity": "700"}
ACTUAL = [PURCHASE, {**COVERED, "CostInBillingCurrency": "0"}, {"Quantity": "24"}]
AMORTIZED = [
    {**COVERED, "CostInBillingCurrency": "700"},
    {
        **RESERVATION,
        "ChargeType": "UnusedReservation",
        "Quantity": "44",
        "CostInBillingCurrency": "44",
    },
    {"Quantity": "24"},
]


def test_trap_07_purchase_is_billed_and_use_is_effective(read: Reader) -> None:
    actual = read.charges(*ACTUAL, costs="actual")
    amortized = read.charges(*AMORTIZED, costs="amortized")

    both = actual + amortized
    committed = [c for c in both if c["CommitmentDiscountId"]]
    assert Decimal(8760) == total(committed, "BilledCost")
    assert Decimal(744) == total(committed, "EffectiveCost")
    assert {ORDER.lower()} == {c["CommitmentDiscountId"] for c in committed}
    unused = [c for c in both if c["CommitmentDiscountStatus"] == "Unused"]
    assert [(Decimal(0), Decimal(44), "Usage", "Reservation")] == [
        (
            c["BilledCost"],
            c["EffectiveCost"],
            c["ChargeCategory"],
            c["CommitmentDiscountType"],
        )
        for c in unused
    ]
    # What is in both exports is counted once.
    assert Decimal("8762.64") == total(both, "BilledCost")
    assert Decimal("746.64") == total(both, "EffectiveCost")
    assert Decimal(700 + 44 + 24) == total(both, "ConsumedQuantity")
    assert Decimal(8760) + Decimal("1.5") * 744 + Decimal("2.64") == total(both, "ContractedCost")


def test_trap_07_the_union_of_both_exports_cannot_be_read(read: Reader) -> None:
    with pytest.raises(UnreadableFile, match=r"2 of its rows are of an amortised export"):
        read.charges(*AMORTIZED)
    with pytest.raises(UnreadableFile, match=r"2 of its rows are of an amortised export"):
        read.charges(*AMORTIZED, costs="actual")
    with pytest.raises(UnreadableFile, match=r"1 of its rows buy a commitment"):
        read.charges(*ACTUAL, costs="amortized")


def test_an_actual_export_alone_does_not_invent_what_is_amortised(read: Reader) -> None:
    done = read(read.file([{**EA, **row} for row in ACTUAL]))

    assert [(Decimal(8760), None), (Decimal(0), None)] == [
        (row["BilledCost"], row["EffectiveCost"]) for row in done["quarantine"]
    ]
    assert {
        "the amortised cost of this Reservation is not in an export of actual costs: pair it with "
        "the amortised export"
    } == {row["x_Reason"] for row in done["quarantine"]}
    assert [(Decimal("2.64"), Decimal("2.64"))] == [
        (c["BilledCost"], c["EffectiveCost"]) for c in done["cost_and_usage"]
    ]


def test_a_savings_plan_is_a_spend_commitment(read: Reader) -> None:
    plan = {
        "PricingModel": "SavingsPlan",
        "BenefitId": "/providers/Microsoft.BillingBenefits/savingsPlanOrders/O/savingsPlans/P",
        "BenefitName": "plan",
    }

    used, unused = read.charges(
        {**plan, "CostInBillingCurrency": "7"},
        {**plan, "ChargeType": "UnusedSavingsPlan", "CostInBillingCurrency": "3"},
        costs="amortized",
    )

    assert ("Used", "Unused") == (
        used["CommitmentDiscountStatus"],
        unused["CommitmentDiscountStatus"],
    )
    assert {"/providers/microsoft.billingbenefits/savingsplanorders/o"} == {
        used["CommitmentDiscountId"],
        unused["CommitmentDiscountId"],
    }
    assert ("Spend", "Savings Plan", "plan", "Committed") == tuple(
        used[n]
        for n in (
            "CommitmentDiscountCategory",
            "CommitmentDiscountType",
            "CommitmentDiscountName",
            "PricingCategory",
        )
    )


def test_older_files_name_the_order_of_a_reservation(read: Reader) -> None:
    (charge,) = read.charges(
        {**RESERVATION, "BenefitId": "", "ReservationId": "7", "ProductOrderId": "0RDER"},
        costs="amortized",
    )

    assert ORDER.lower() == charge["CommitmentDiscountId"]


def test_a_purchase_of_a_savings_plan_is_of_the_plan_that_its_usage_names(read: Reader) -> None:
    plan = {
        **RESERVATION,
        "PricingModel": "SavingsPlan",
        "ReservationId": "",
        "ReservationName": "",
    }
    order = "/providers/Microsoft.BillingBenefits/savingsPlanOrders/0RDER"
    purchase = {**plan, "ChargeType": "Purchase", "BenefitId": "", "ProductOrderId": "0RDER"}
    (bought,) = read.charges(purchase, costs="actual")
    (used,) = read.charges({**plan, "BenefitId": f"{order}/savingsPlans/7"}, costs="amortized")

    assert order.lower() == bought["CommitmentDiscountId"] == used["CommitmentDiscountId"]


@pytest.mark.parametrize(
    ("kind", "category", "kind_of_change"),
    [
        ("Usage", "Usage", None),
        ("Purchase", "Purchase", None),
        ("Refund", "Purchase", "Correction"),
        ("Tax", "Tax", None),
        ("Credit", "Credit", None),
        ("RoundingAdjustment", "Adjustment", None),
        ("Something new", "Adjustment", None),
    ],
)
def test_every_charge_type_is_a_category(
    read: Reader, kind: str, category: str, kind_of_change: str | None
) -> None:
    (charge,) = read.charges({"ChargeType": kind, "CostInBillingCurrency": "-0.01"})

    assert (category, kind_of_change, kind, Decimal("-0.01")) == (
        charge["ChargeCategory"],
        charge["ChargeClass"],
        charge["x_LineItemType"],
        charge["BilledCost"],
    )


def test_the_rounding_row_reaches_the_invoice(read: Reader) -> None:
    charges = read.charges(
        {"CostInBillingCurrency": "1.004999", "invoiceId": "G1"},
        {"CostInBillingCurrency": "2.004999", "invoiceId": "G1"},
        {
            "ChargeType": "RoundingAdjustment",
            "CostInBillingCurrency": "0.000002",
            "invoiceId": "G1",
        },
    )

    assert {"G1": Decimal("3.01")} == {
        invoice: total([c for c in charges if c["InvoiceId"] == invoice], "BilledCost")
        for invoice in {c["InvoiceId"] for c in charges}
    }


def test_the_marketplace_has_its_own_publisher(read: Reader) -> None:
    (charge,) = read.charges(
        {"PublisherType": "Marketplace", "PublisherName": "Acme", "MeterCategory": "Unassigned"}
    )

    assert ("Acme", "Microsoft", "Microsoft", "Acme") == tuple(
        charge[n] for n in ("PublisherName", "InvoiceIssuerName", "ProviderName", "ServiceName")
    )


# ------------------------------------------------------------------------ units and prices


@pytest.mark.parametrize(
    ("unit", "quantity", "price", "cost", "blocks", "units", "name"),
    [
        # Trap 7: 744 hours, 12 for 100 of them, are 89.28 and not 8,928.
        ("100 Hours", "744", "12", "89.28", "7.44", "744", "Hours"),
        ("100 Hours", "7.44", "12", "89.28", "7.44", "744", "Hours"),
        ("10K", "0.0047", "0.00237", "0.000011139", "0.0047", "47", "Units"),
        ("1 GB", "3", "0.5", "1.5", "3", "3", "GB"),
        ("1/Month", "0.5", "6", "3", "0.5", "0.5", "Units/Month"),
        ("1M", "2", "3", "6", "2", "2000000", "Units"),
        ("10M", "20000000", "3", "6", "2", "20000000", "Units"),
        ("10 Hours", "20", "3", "6", "2", "20", "Hours"),
        ("10 Hours", "2", "3", "0", "2", "20", "Hours"),
    ],
)
def test_a_price_is_for_a_block_of_units(
    read: Reader,
    unit: str,
    quantity: str,
    price: str,
    cost: str,
    blocks: str,
    units: str,
    name: str,
) -> None:
    (charge,) = read.charges(
        {
            "UnitOfMeasure": unit,
            "Quantity": quantity,
            "UnitPrice": price,
            "PayGPrice": price,
            "CostInBillingCurrency": cost,
        }
    )

    assert (Decimal(blocks), Decimal(units), unit, name) == (
        charge["PricingQuantity"],
        charge["ConsumedQuantity"],
        charge["PricingUnit"],
        charge["ConsumedUnit"],
    )
    assert charge["PricingQuantity"] * charge["ListUnitPrice"] == charge["ListCost"]
    assert charge["ContractedCost"] == charge["ListCost"]
    if cost != "0":
        assert Decimal(cost) == charge["ContractedCost"]


def test_prices_are_in_the_currency_of_the_bill(read: Reader) -> None:
    (charge,) = read.charges(
        {
            "BillingCurrencyCode": "EUR",
            "pricingCurrency": "USD",
            "exchangeRatePricingToBilling": "0.5",
            "costInPricingCurrency": "5.28",
            "UnitPrice": "0.22",
            "PayGPrice": "0.40",
            "paygCostInBillingCurrency": "4.80",
        }
    )

    expected = {
        "BilledCost": "2.64",
        "ContractedUnitPrice": "0.11",
        "ContractedCost": "2.64",
        "ListUnitPrice": "0.20",
        "ListCost": "4.80",
        "PricingCurrencyEffectiveCost": "5.28",
        "PricingCurrencyListUnitPrice": "0.40",
        "PricingCurrencyContractedUnitPrice": "0.22",
    }
    assert {n: Decimal(v) for n, v in expected.items()} == {n: charge[n] for n in expected}
    assert ("EUR", "USD") == (charge["BillingCurrency"], charge["PricingCurrency"])


def test_numbers_beyond_reason_are_no_crash(read: Reader) -> None:
    (charge,) = read.charges(
        {"Quantity": "9" * 20, "UnitPrice": "9" * 20, "PayGPrice": "9" * 20, "UnitOfMeasure": "10K"}
    )

    assert (None, None, Decimal("2.64")) == (
        charge["ListCost"],
        charge["ContractedCost"],
        charge["BilledCost"],
    )


def test_a_scale_set_row_is_on_the_node_it_names(read: Reader) -> None:
    (charge,) = read.charges(
        {
            "ResourceId": "/subscriptions/S/resourceGroups/MC/providers/Microsoft.Compute/"
            "virtualMachineScaleSets/aks-pool-1-vmss",
            "AdditionalInfo": '{"VMName": "aks-pool-1-vmss_12","VCPUs":2}',
        }
    )

    assert (
        "/subscriptions/s/resourcegroups/mc/providers/microsoft.compute/virtualmachinescalesets/"
        "aks-pool-1-vmss/virtualmachines/12"
    ) == charge["ResourceId"]


# ------------------------------------------------------------------------------ deliveries


def delivered(
    root: Path,
    export: str,
    run: str,
    files: dict[str, bytes],
    *,
    kind: str = "ActualCost",
    start: str = "2026-08-01T00:00:00",
    rows: int = 1,
    left_out: str | None = None,
) -> None:
    """Write what one run of an export leaves, `run` being the time it was asked for."""
    folder = f"{export}/20260801-20260831/{run.replace(':', '')}/r-{run[8:10]}"
    blobs = []
    for name, content in files.items():
        path = f"{folder}/{name}"
        blobs.append({"blobName": f"root/{path}", "byteCount": len(content), "dataRowCount": rows})
        if name != left_out:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
    manifest = {
        "manifestVersion": "2024-04-01",
        "blobCount": len(blobs),
        "exportConfig": {"exportName": export, "type": kind},
        "deliveryConfig": {"dataOverwriteBehavior": "OverwritePreviousReport"},
        "runInfo": {"submittedTime": run, "startDate": start, "endDate": "2026-08-31T00:00:00"},
        "blobs": blobs,
    }
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def settings(*names: str, **more: Any) -> dict[str, Any]:
    """`finops.toml` of one export, or of a pair: actual, then amortised."""
    blocks = [
        {
            "name": name,
            "dialect": "azure",
            "location": f"{name}/{{yyyymm}}01-*/*/*/*",
            "manifest": f"{name}/{{yyyymm}}01-*/*/*/manifest.json",
        }
        for name in names
    ]
    if len(blocks) == 2:
        blocks[0] |= {"costs": "actual", "pair": names[1]}
        blocks[1] |= {"costs": "amortized", "pair": names[0]}
    return {"billing": [{**block, **more} for block in blocks]}


def found(root: Path, parsed: Config, number: int = 0) -> deliveries.Delivery:
    block = parsed.billing[number]
    return deliveries.delivery(block, parsed, PERIOD, open_transport(block.location, parsed))


def ea(*rows: dict[str, Any]) -> bytes:
    names = list(dict.fromkeys(n for row in rows for n in {**EA, **row}))
    lines = [",".join(names)]
    for row in rows:
        each = (str({**EA, **row}.get(n, "")).replace('"', '""') for n in names)
        lines.append(",".join(f'"{value}"' for value in each))
    return ("\n".join(lines) + "\n").encode()


def test_the_newest_whole_run_counts_whatever_its_name(tmp_path: Path) -> None:
    parsed = config.parse(settings("a"), tmp_path)
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", {"part_0_0001.csv": b"old"})
    delivered(tmp_path, "a", "2026-08-06T03:00:00Z", {"part_0_0001.csv": b"newer"})

    newest = found(tmp_path, parsed)

    assert ["20260801-20260831/2026-08-06T030000Z/r-06/part_0_0001.csv"] == [
        f"20260801-20260831/{f.path.split('20260801-20260831/')[-1]}" for f in newest.files
    ]
    assert [1] == list(newest.rows.values())


@pytest.mark.parametrize("how", ["missing", "short", "no manifest"])
def test_a_run_on_its_way_leaves_the_one_before_standing(tmp_path: Path, how: str) -> None:
    parsed = config.parse(settings("a"), tmp_path)
    two = {"part_0_0001.csv": b"one", "part_0_0002.csv": b"two"}
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", two)
    left_out = "part_0_0002.csv" if how == "missing" else None
    delivered(tmp_path, "a", "2026-08-06T03:00:00Z", two, left_out=left_out)
    folder = next(tmp_path.glob("a/*/2026-08-06*/*"))
    if how == "short":
        (folder / "part_0_0002.csv").write_bytes(b"t")
    if how == "no manifest":
        (folder / "manifest.json").unlink()

    assert {"r-05"} == {f.path.split("/")[-2] for f in found(tmp_path, parsed).files}


def test_the_only_run_on_its_way_says_what_is_missing(tmp_path: Path) -> None:
    parsed = config.parse(settings("a"), tmp_path)
    two = {"part_0_0001.csv": b"one", "part_0_0002.csv": b"two"}
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", two, left_out="part_0_0002.csv")

    with pytest.raises(IncompleteDelivery, match=r"lists 1 of 2 files that are not there: root/a"):
        found(tmp_path, parsed)


def test_an_export_of_some_days_is_no_bill_of_the_month(tmp_path: Path) -> None:
    parsed = config.parse(settings("a"), tmp_path)
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", {"p.csv": b"month"})
    delivered(
        tmp_path, "a", "2026-08-06T03:00:00Z", {"p.csv": b"days"}, start="2026-08-03T00:00:00"
    )

    assert {"r-05"} == {f.path.split("/")[-2] for f in found(tmp_path, parsed).files}


def test_a_manifest_says_which_costs_it_has(tmp_path: Path) -> None:
    parsed = config.parse(settings("a"), tmp_path)
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", {"p.csv": b"x"}, kind="AmortizedCost")

    with pytest.raises(ConfigError, match=r"export of amortized costs, but .* costs = 'both'"):
        found(tmp_path, parsed)


def test_the_rows_a_manifest_tells_must_be_there(read: Reader) -> None:
    with pytest.raises(IncompleteDelivery, match=r"has 1 rows, its manifest says 2"):
        read(read.file([EA]), rows=2)


def test_half_a_pair_is_no_bill(tmp_path: Path) -> None:
    parsed = config.parse(settings("a", "b"), tmp_path)
    delivered(tmp_path, "a", "2026-08-05T03:00:00Z", {"p.csv": b"x"})

    with pytest.raises(IncompleteDelivery, match=r"has files of 2026-08, but its pair b has none"):
        found(tmp_path, parsed)

    assert () == found(tmp_path, parsed, 1).files


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"costs": "actual"}, ConfigError, "`costs` of one kind and `pair` go together"),
        ({"pair": "b", "costs": "actual"}, UnknownName, "no block is called 'b'"),
    ],
)
def test_a_pair_is_two_halves(
    tmp_path: Path, change: dict[str, str], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        config.parse(settings("a", **change), tmp_path)


def test_a_pair_has_one_half_of_each_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one with costs = 'actual', one with"):
        config.parse(settings("a", "b", costs="actual"), tmp_path)


def test_a_dialect_with_both_costs_has_no_halves(read: Reader, tmp_path: Path) -> None:
    file = read.file([EA])
    item = Item(file.name, file.stat().st_size, "fingerprint", file.name)
    block = BillingSection(name="x", dialect="focus", location="x", costs="actual", pair="y")

    with duckdb.connect() as connection, pytest.raises(ConfigError, match="hold both costs"):
        bill.read_file(connection, block, PERIOD, item, file, tmp_path / "out")


def test_trap_07_through_the_warehouse(tmp_path: Path) -> None:
    """The pair is read, published and adds up; the halves read alone never were."""
    parsed = config.parse(settings("actual", "amortised"), tmp_path)
    delivered(tmp_path, "actual", "2026-08-31T03:00:00Z", {"p.csv": ea(*ACTUAL)}, rows=3)
    delivered(
        tmp_path,
        "amortised",
        "2026-08-31T04:00:00Z",
        {"p.csv": ea(*AMORTIZED)},
        kind="AmortizedCost",
        rows=3,
    )

    with Warehouse(parsed).writing() as warehouse:
        read_bill(warehouse, PERIOD)
        with warehouse.engine() as connection:
            summed = connection.execute(
                "select sum(BilledCost), sum(EffectiveCost) from read_parquet(?)",
                [str(warehouse.folder("cost_and_usage", PERIOD) / "*.parquet")],
            ).fetchall()

    assert [(Decimal("8762.64"), Decimal("746.64"))] == summed


# ---------------------------------------------------------------------- bills by others


def exact(cost: str) -> Decimal:
    """A cost at the twelve decimals money has here."""
    return Decimal(cost).quantize(Decimal("1e-12"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("name", "cost", "costs"),
    [
        ("EA_ActualCost_Small.csv", "Cost", "actual"),
        ("EA_AmortizedCost_Small.csv", "Cost", "amortized"),
        ("azure_ea_anonymised.csv", "CostInBillingCurrency", None),
    ],
)
def test_real_rows_are_read_whole(read: Reader, name: str, cost: str, costs: Any) -> None:
    shared = os.environ.get("FINOPS_SHARED_DATA")
    if not shared:
        pytest.skip("FINOPS_SHARED_DATA is not set")
    file = Path(shared) / "billing_samples" / name
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))

    done = read(file, costs)

    charges = done["cost_and_usage"]
    assert ([], len(rows)) == (done["quarantine"], len(charges))
    money = "EffectiveCost" if costs == "amortized" else "BilledCost"
    assert [exact(row[cost]) for row in rows] == [c[money] for c in charges]
    tagged = [json.loads(f"{{{r['Tags']}}}") for r in rows]
    assert tagged == [json.loads(c["Tags"]) for c in charges]


def test_a_bill_made_by_koku_nise(read: Reader, tmp_path: Path) -> None:
    nise = tool("FINOPS_NISE")
    made = tmp_path / "nise"
    made.mkdir()
    (made / "made.yml").write_text(
        """generators:
  - VMGenerator: {tags: {team: ml, "cost center": 'a, "b"'}}
  - StorageGenerator: {tags: {Team: ML}}
  - SQLGenerator: {}
  - BandwidthGenerator: {}
""",
        encoding="utf-8",
    )
    span = ["--start-date", "2026-08-01", "--end-date", "2026-08-28"]
    subprocess.run(
        [nise, "report", "azure", "--write-monthly", *span, "--static-report-file", "made.yml"],
        cwd=made,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (file,) = made.glob("*.csv")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))

    done = read(file)

    charges = done["cost_and_usage"]
    assert ([], len(rows)) == (done["quarantine"], len(charges))
    expected = sum((exact(r["CostInBillingCurrency"]) for r in rows), Decimal(0))
    assert expected == total(charges, "BilledCost") == total(charges, "EffectiveCost")
    tagged = [json.loads(r["Tags"]) or {} for r in rows]
    assert tagged == [json.loads(c["Tags"]) for c in charges]
    assert 28 == [c["Tags"] for c in charges].count('{"cost center":"a, \\"b\\"","team":"ml"}')
