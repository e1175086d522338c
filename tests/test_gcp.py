"""Google Cloud: its usage cost export from a bucket and from BigQuery, to the last digit.

BigQuery is bqemulator, Cloud Storage gcp-storage-emulator, and a made-up bill comes from koku-nise.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finops_pipeline import bill, deliveries
from finops_pipeline.config import BigquerySection, BillingSection, Config, GcsSection
from finops_pipeline.contracts import table
from finops_pipeline.dialect import dialect
from finops_pipeline.errors import (
    ConfigError,
    DeliveryVanished,
    Refused,
    Unavailable,
    UnreadableFile,
)
from finops_pipeline.pipeline import read_bill
from finops_pipeline.queries import macros
from finops_pipeline.transports import Item, open_transport
from finops_pipeline.transports.files import Files
from finops_pipeline.warehouse import Warehouse

from .tools import tool

text, number, moment = pa.string(), pa.float64(), pa.timestamp("us", tz="UTC")
pair = pa.struct([("key", text), ("value", text)])
EXPORT = pa.schema(
    [
        ("billing_account_id", text),
        ("service", pa.struct([("id", text), ("description", text)])),
        ("sku", pa.struct([("id", text), ("description", text)])),
        ("usage_start_time", moment),
        ("usage_end_time", moment),
        (
            "project",
            pa.struct(
                [
                    ("id", text),
                    ("number", text),
                    ("name", text),
                    ("labels", pa.list_(pair)),
                    ("ancestry_numbers", text),
                    (
                        "ancestors",
                        pa.list_(pa.struct([("resource_name", text), ("display_name", text)])),
                    ),
                ]
            ),
        ),
        ("labels", pa.list_(pair)),
        ("system_labels", pa.list_(pair)),
        (
            "location",
            pa.struct([("location", text), ("country", text), ("region", text), ("zone", text)]),
        ),
        (
            "tags",
            pa.list_(
                pa.struct(
                    [
                        ("key", text),
                        ("value", text),
                        ("inherited", pa.bool_()),
                        ("namespace", text),
                    ]
                )
            ),
        ),
        ("transaction_type", text),
        ("seller_name", text),
        ("export_time", moment),
        ("cost", number),
        ("currency", text),
        ("currency_conversion_rate", number),
        (
            "usage",
            pa.struct(
                [
                    ("amount", number),
                    ("unit", text),
                    ("amount_in_pricing_units", number),
                    ("pricing_unit", text),
                ]
            ),
        ),
        (
            "credits",
            pa.list_(
                pa.struct(
                    [
                        ("name", text),
                        ("amount", number),
                        ("full_name", text),
                        ("id", text),
                        ("type", text),
                    ]
                )
            ),
        ),
        ("invoice", pa.struct([("month", text), ("publisher_type", text)])),
        ("cost_type", text),
        (
            "adjustment_info",
            pa.struct([("id", text), ("description", text), ("mode", text), ("type", text)]),
        ),
        ("cost_at_list", number),
        ("cost_at_effective_price_default", number),
        ("consumption_model", pa.struct([("id", text), ("description", text)])),
        ("subscription", pa.struct([("instance_id", text)])),
        # The detailed export has these on top.
        ("resource", pa.struct([("name", text), ("global_name", text)])),
        (
            "price",
            pa.struct(
                [
                    ("effective_price", pa.decimal128(38, 9)),
                    ("effective_price_default", pa.decimal128(38, 9)),
                    ("list_price", pa.decimal128(38, 9)),
                    ("tier_start_amount", pa.decimal128(38, 9)),
                    ("unit", text),
                    ("pricing_unit_quantity", pa.decimal128(38, 9)),
                ]
            ),
        ),
    ]
)
STANDARD = pa.schema([f for f in EXPORT if f.name not in ("resource", "price")])


def row(cost: float, *credited: float | tuple[float, str], **more: Any) -> dict[str, Any]:
    """A row of the export: its cost, its credits, and what is different in it."""
    given = [c if isinstance(c, tuple) else (c, "PROMOTION") for c in credited]
    return {
        "billing_account_id": "01-02-03",
        "service": {"id": "6F81", "description": "Compute Engine"},
        "sku": {"id": "0001", "description": "N1 Core"},
        "usage_start_time": datetime(2026, 7, 29, 10, tzinfo=UTC),
        "usage_end_time": datetime(2026, 7, 29, 11, tzinfo=UTC),
        "project": {"id": "shop", "name": "Shop", "labels": []},
        "labels": [],
        "system_labels": [],
        "tags": [],
        "export_time": datetime(2026, 7, 29, 14, tzinfo=UTC),
        "cost": cost,
        "currency": "USD",
        "credits": [{"name": t, "amount": a, "full_name": t, "id": t, "type": t} for a, t in given],
        "invoice": {"month": "202607", "publisher_type": "GOOGLE"},
        "cost_type": "regular",
        **more,
    }


def export(path: Path, *rows: dict[str, Any], schema: pa.Schema = EXPORT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
    return path


class Bill:
    """One file, read; held to the contracts and to conservation."""

    def __init__(self, file: Path, period: str = "2026-07", location: str = "in/*") -> None:
        self.out = file.parent / f"read-{file.stem}-{period}"
        stat = file.stat()
        block = BillingSection(name="google", dialect="gcp", location=location)
        with duckdb.connect() as connection:
            connection.execute(macros())
            item = Item(file.name, stat.st_size, "f", file.name)
            self.read = bill.read_file(connection, block, period, item, file, self.out)
        for name in ("cost_and_usage", "quarantine", "delivered_tag_set", "delivery"):
            table(name).validate([self.out / f"{name}.parquet"])
        kept = [*self.charges, *self.refused]
        assert self.read.rows == len(kept)
        readable = [r["BilledCost"] for r in kept if r["BilledCost"] is not None]
        assert (self.read.billed or 0) == sum(readable)

    @property
    def charges(self) -> list[dict[str, Any]]:
        return self._rows("cost_and_usage")

    @property
    def refused(self) -> list[dict[str, Any]]:
        return self._rows("quarantine")

    @property
    def only(self) -> dict[str, Any]:
        (charge,) = self.charges
        return charge

    def column(self, name: str) -> list[Any]:
        return [charge[name] for charge in self.charges]

    def _rows(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(self.out / f"{name}.parquet").to_pylist()
        return found


# ------------------------------------------------------------------------------------ money


def test_all_credits_count_and_a_result_may_be_negative(tmp_path: Path) -> None:
    read = Bill(
        export(tmp_path / "a.parquet", row(10.00, -3.00, -2.00, -1.50), row(0.50, -0.80), row(1.0))
    )

    assert [Decimal("3.50"), Decimal("-0.30"), Decimal(1)] == read.column("BilledCost")
    assert Decimal("4.20") == read.read.billed


@pytest.mark.parametrize(
    "kind",
    [
        "COMMITTED_USAGE_DISCOUNT",
        "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE",
        "DISCOUNT",
        "FEE_UTILIZATION_OFFSET",
        "FREE_TIER",
        "PROMOTION",
        "RESELLER_MARGIN",
        "SUBSCRIPTION_BENEFIT",
        "SUSTAINED_USAGE_DISCOUNT",
        "A_KIND_OF_NEXT_YEAR",
    ],
)
def test_every_kind_of_credit_counts(tmp_path: Path, kind: str) -> None:
    read = Bill(export(tmp_path / "a.parquet", row(1.0, (-0.25, kind))))

    assert Decimal("0.75") == read.only["BilledCost"] == read.only["EffectiveCost"]
    assert f"regular,{kind}" == read.only["x_LineItemType"]


def test_a_float_is_the_shortest_decimal_that_reads_back(tmp_path: Path) -> None:
    costs = [0.1, 0.2, 1e-7, 123456.789012, 5e-12, 0.30000000000000004, -2.5]
    read = Bill(export(tmp_path / "a.parquet", *(row(c, -c / 3) for c in costs)))

    twelve = Decimal("0.000000000001")
    exact = [
        Decimal(repr(c)).quantize(twelve) + Decimal(repr(-c / 3)).quantize(twelve) for c in costs
    ]
    assert exact == read.column("BilledCost")


def test_prices_are_unit_prices_only_where_they_are_for_one_unit(tmp_path: Path) -> None:
    price = {"effective_price": Decimal("0.9"), "list_price": Decimal(1), "unit": "hour"}
    usage = {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0}
    listed = {"cost_at_list": 1.0, "usage": {**usage, "pricing_unit": "hour"}}
    one = {**price, "pricing_unit_quantity": Decimal(1), "tier_start_amount": Decimal(0)}
    many = {**price, "pricing_unit_quantity": Decimal(1000)}
    read = Bill(export(tmp_path / "a.parquet", row(0.9, price=one, **listed), row(0.9, price=many)))

    first = read.charges[0]
    assert (Decimal(1), Decimal("0.9"), Decimal("0.9"), Decimal("0.9")) == (
        first["ListCost"],
        first["ContractedCost"],
        first["BilledCost"],
        first["ContractedUnitPrice"],
    )
    assert (Decimal(3600), "seconds", Decimal(1), "hour") == (
        first["ConsumedQuantity"],
        first["ConsumedUnit"],
        first["PricingQuantity"],
        first["PricingUnit"],
    )
    assert [Decimal(1), None] == read.column("ListUnitPrice")


def test_the_standard_export_is_read_by_the_same_file(tmp_path: Path) -> None:
    read = Bill(export(tmp_path / "a.parquet", row(1.25, -0.25), schema=STANDARD))

    assert (Decimal(1), None, None) == (
        read.only["BilledCost"],
        read.only["ResourceId"],
        read.only["ListUnitPrice"],
    )


def test_a_resource_is_told_by_its_global_name(tmp_path: Path) -> None:
    name = "//compute.googleapis.com/projects/1/zones/europe-west1-b/instances/42"
    resource = {"name": "web-1", "global_name": name}
    read = Bill(export(tmp_path / "a.parquet", row(1.0, resource=resource)))

    assert (name, "web-1", "instances") == (
        read.only["ResourceId"],
        read.only["ResourceName"],
        read.only["ResourceType"],
    )


# ------------------------------------------------------------------------------ commitments


def test_a_fee_less_what_was_used_of_it_is_the_unused_part(tmp_path: Path) -> None:
    """New model: fee 10, of which 7 was used; covered usage is priced at 4 instead of 6."""
    mine = {"subscription": {"instance_id": "cud-1"}}
    fee = {"id": "5515", "description": "Commitment - dollar based v1: GCE for 1 year"}
    model = {"id": "D97B", "description": "Compute Flexible CUDs 1 Year"}
    read = Bill(
        export(
            tmp_path / "a.parquet",
            row(10.0, (-7.0, "FEE_UTILIZATION_OFFSET"), sku=fee, **mine),
            row(4.0, consumption_model=model, cost_at_effective_price_default=6.0, **mine),
        )
    )
    told = [
        (
            c["ChargeCategory"],
            c["CommitmentDiscountStatus"],
            c["CommitmentDiscountCategory"],
            c["PricingCategory"],
            c["BilledCost"],
            c["EffectiveCost"],
        )
        for c in read.charges
    ]

    assert [
        ("Usage", "Unused", "Spend", "Committed", 3, 3),
        ("Usage", "Used", "Spend", "Committed", 4, 4),
    ] == told
    assert [Decimal(10), Decimal(6)] == read.column("ContractedCost")


def test_a_fee_nobody_can_be_told_for_stays_a_purchase_with_its_cost(tmp_path: Path) -> None:
    """Older model: the usage is 6 and its credit takes all of it back; the fee is 4."""
    fee = {"id": "F61D", "description": "Commitment v1: Cpu in Americas for 1 Year"}
    read = Bill(
        export(
            tmp_path / "a.parquet",
            row(4.0, sku=fee, subscription={"instance_id": "cud-2"}),
            row(6.0, (-6.0, "COMMITTED_USAGE_DISCOUNT")),
        )
    )
    told = [
        (
            c["ChargeCategory"],
            c["ChargeFrequency"],
            c["CommitmentDiscountStatus"],
            c["CommitmentDiscountCategory"],
            c["PricingCategory"],
            c["EffectiveCost"],
        )
        for c in read.charges
    ]

    assert [
        ("Purchase", "Recurring", None, "Usage", "Committed", 4),
        ("Usage", "Usage-Based", None, None, "Committed", 0),
    ] == told


# ------------------------------------------------------------------------------------- time


def test_the_bill_of_a_row_is_its_invoice_month(tmp_path: Path) -> None:
    """20:00 on July 31st in Los Angeles is August in UTC, and on the bill of July."""
    late = {
        "usage_start_time": datetime(2026, 8, 1, 3, tzinfo=UTC),
        "usage_end_time": datetime(2026, 8, 1, 4, tzinfo=UTC),
        "export_time": datetime(2026, 8, 4, tzinfo=UTC),
    }
    read = Bill(export(tmp_path / "a.parquet", row(1.0, **late)))

    assert (datetime(2026, 7, 1, 7), datetime(2026, 8, 1, 7)) == (
        read.only["BillingPeriodStart"],
        read.only["BillingPeriodEnd"],
    )
    assert (datetime(2026, 8, 1, 3), "01-02-03/202607") == (
        read.only["ChargePeriodStart"],
        read.only["InvoiceId"],
    )


@pytest.mark.parametrize("month", range(1, 13))
def test_a_month_begins_at_midnight_in_los_angeles(tmp_path: Path, month: int) -> None:
    los_angeles = ZoneInfo("America/Los_Angeles")
    first = datetime(2026, month, 1, tzinfo=los_angeles)
    after = datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=los_angeles)
    in_month = row(1.0, invoice={"month": f"2026{month:02}"}, usage_end_time=None)
    read = Bill(export(tmp_path / "a.parquet", in_month), period=f"2026-{month:02}")

    assert [m.astimezone(UTC).replace(tzinfo=None) for m in (first, after)] == [
        read.only["BillingPeriodStart"],
        read.only["BillingPeriodEnd"],
    ]


def test_taxes_adjustments_and_rounding_are_on_the_bill(tmp_path: Path) -> None:
    invoice = {"service": {"description": "Invoice"}, "usage_start_time": None}
    read = Bill(
        export(
            tmp_path / "a.parquet",
            row(100.0),
            row(19.0, cost_type="tax", usage_end_time=None, **invoice),
            row(-5.0, cost_type="adjustment", adjustment_info={"mode": "MANUAL_ADJUSTMENT"}),
            row(0.004, cost_type="rounding_error", service=None, sku=None, project=None),
        )
    )

    assert ["Usage", "Tax", "Adjustment", "Adjustment"] == read.column("ChargeCategory")
    assert [None, None, "Correction", None] == read.column("ChargeClass")
    assert ["Compute Engine", "Invoice", "Compute Engine", "Invoice"] == read.column("ServiceName")
    assert datetime(2026, 7, 1, 7) == read.charges[1]["ChargePeriodStart"]
    assert Decimal("114.004") == read.read.billed


def months(folder: Path, pattern: str, period: str) -> tuple[str, ...]:
    """Paths of the files a period is read from."""
    block = BillingSection(name="google", dialect="gcp", location=pattern)
    found = deliveries.delivery(block, Config(billing=[block]), period, Files(folder))
    return tuple(item.path for item in found.files)


def test_a_file_of_several_months_is_counted_once_in_each(tmp_path: Path) -> None:
    """Files by the day of export: the late row of July lies in the file of August."""
    august = {"invoice": {"month": "202608"}}
    export(tmp_path / "in" / "2026-07-31.parquet", row(1.0), row(2.0), row(4.0, **august))
    late = row(8.0, export_time=datetime(2026, 8, 4, tzinfo=UTC))
    export(tmp_path / "in" / "2026-08-04.parquet", late, row(16.0, -0.5, **august))
    billed = {}
    for period in ("2026-07", "2026-08"):
        files = months(tmp_path, "in/*.parquet", period)
        read = [Bill(tmp_path / "in" / f, period) for f in files]
        billed[period] = sum(r.read.billed or 0 for r in read)
        assert [[]] * 2 == [r.refused for r in read]

    assert {"2026-07": Decimal(11), "2026-08": Decimal("19.5")} == billed
    assert Decimal(1 + 2 + 4 + 8 + 16) - Decimal("0.5") == sum(billed.values())


def test_rows_keep_their_place_in_a_file_of_several_months(tmp_path: Path) -> None:
    file = export(tmp_path / "a.parquet", row(1.0, invoice={"month": "202606"}), row(2.0))

    assert [(2, Decimal(2))] == [(c["x_SourceRow"], c["BilledCost"]) for c in Bill(file).charges]


def test_a_stranger_in_a_folder_of_one_month_is_refused(tmp_path: Path) -> None:
    """Nobody else reads that folder: left out, its money would be lost."""
    file = export(tmp_path / "a.parquet", row(1.0), row(2.0, invoice={"month": "202608"}))

    with pytest.raises(ConfigError, match="1 rows are on the bill of 202608, not of 2026-07"):
        Bill(file, location="in/{period}/*")
    assert Decimal(3) == Bill(file).read.billed + Bill(file, "2026-08").read.billed  # type: ignore[operator]  # both have rows


def test_a_row_that_says_no_month_is_quarantined_with_its_money(tmp_path: Path) -> None:
    """Once: in the latest month of the file, not in each that is read from it."""
    strange = (row(1.0, invoice=None), row(2.0, invoice={"month": "July"}))
    june = row(4.0, invoice={"month": "202606"})
    file = export(tmp_path / "a.parquet", *strange, june, row(8.0))

    assert [
        (Decimal(1), "invoice.month is missing"),
        (Decimal(2), "invoice.month is not a month such as 202607: 'July'"),
    ] == [(r["BilledCost"], r["x_Reason"]) for r in Bill(file).refused]
    assert [] == Bill(file, "2026-06").refused
    assert Decimal(15) == sum(Bill(file, m).read.billed or 0 for m in ("2026-06", "2026-07"))


def test_a_file_of_no_month_is_refused_where_its_location_names_none(tmp_path: Path) -> None:
    file = export(tmp_path / "a.parquet", row(1.0, invoice=None), row(2.0, invoice=None))

    with pytest.raises(UnreadableFile, match="none of its 2 rows says its month"):
        Bill(file)
    assert Decimal(3) == Bill(file, location="in/{period}/*").read.billed


# ------------------------------------------------------------------------------------- tags


def tagged(tmp_path: Path, **more: Any) -> dict[str, str]:
    read = Bill(export(tmp_path / "a.parquet", row(1.0, **more)))
    found: dict[str, str] = json.loads(read.only["Tags"])
    return found


def pairs(**tags: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def test_the_label_of_the_resource_wins_and_the_others_stay_in_sight(tmp_path: Path) -> None:
    project = {"id": "shop", "labels": pairs(team="platform", env="prod", city="Bonn")}
    tag = {"key": "env", "value": "production", "inherited": True, "namespace": "1234"}
    found = tagged(
        tmp_path,
        labels=pairs(team="search"),
        project=project,
        tags=[tag],
        system_labels=pairs(**{"compute.googleapis.com/cores": "4"}),
    )

    assert {
        "city": "Bonn",
        "compute.googleapis.com/cores": "4",
        "env": "production",
        "project:env": "prod",
        "project:team": "platform",
        "team": "search",
    } == found


def test_the_same_key_in_two_namespaces_is_two_tags(tmp_path: Path) -> None:
    tag = {"key": "env", "inherited": False}
    both = [{**tag, "namespace": "9", "value": "b"}, {**tag, "namespace": "1", "value": "a"}]

    assert {"env": "a", "tag:9/env": "b"} == tagged(tmp_path, tags=both)


def test_the_same_label_twice_with_two_values_is_quarantined(tmp_path: Path) -> None:
    twice = [*pairs(team="a"), *pairs(team="b")]
    read = Bill(export(tmp_path / "a.parquet", row(1.0, labels=twice), row(2.0)))

    assert [(1, "Tags has a key twice")] == [(r["BilledCost"], r["x_Reason"]) for r in read.refused]


def test_no_lists_at_all_are_no_tags(tmp_path: Path) -> None:
    assert {} == tagged(tmp_path, labels=None, tags=None, system_labels=None, project=None)


# ------------------------------------------------------------------------------- other forms


def flat(path: Path, *rows: dict[str, Any]) -> Path:
    """The rows as a CSV file with a column a field, lists as JSON, as tools make of it."""
    lines = []
    for one in rows:
        line: dict[str, Any] = {}
        for name, value in one.items():
            inner = value.items() if isinstance(value, dict) else [("", value)]
            for field, part in inner:
                key = f"{name}.{field}".rstrip(".")
                line[key] = json.dumps(part) if isinstance(part, list) else part
        lines.append(line)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(k for one in lines for k in one)))
        writer.writeheader()
        writer.writerows(lines)
    return path


def test_a_flat_file_means_the_same(tmp_path: Path) -> None:
    rows = [row(10.0, -3.0, -2.0, labels=pairs(team="a")), row(0.1)]
    nested = Bill(export(tmp_path / "nested.parquet", *rows))
    csv_file = Bill(flat(tmp_path / "flat.csv", *rows))
    told = ("BilledCost", "Tags", "x_TagSetId", "ServiceName", "x_LineItemType", "InvoiceId")

    assert [[c[n] for n in told] for c in nested.charges] == [
        [c[n] for n in told] for c in csv_file.charges
    ]


def test_lists_wrapped_by_their_writer_mean_the_same(tmp_path: Path) -> None:
    def wrapped(name: str) -> pa.Field:
        kind = EXPORT.field(name).type.value_type
        return pa.field(name, pa.struct([("list", pa.list_(pa.struct([("element", kind)])))]))

    one = row(10.0, -3.0, -2.0, labels=pairs(team="a"))
    for name in ("credits", "labels"):
        one[name] = {"list": [{"element": e} for e in one[name]]}
    schema = pa.schema([wrapped(f.name) if f.name in ("credits", "labels") else f for f in EXPORT])
    read = Bill(export(tmp_path / "a.parquet", one, schema=schema))

    assert (Decimal(5), '{"team":"a"}') == (read.only["BilledCost"], read.only["Tags"])


@pytest.mark.parametrize(
    "credit",
    [
        '[{"amount": "many"}]',
        '[{"amount": -1}, {"amount": null}]',
        '[{"amount": -1}, {"sum": -1}]',
        "[-1]",
        "[{'amount': -1}]",
        '{"amount": -1}',
        "-1",
    ],
)
def test_credits_that_cannot_be_read_are_never_nothing(tmp_path: Path, credit: str) -> None:
    file = flat(tmp_path / "a.csv", {**row(10.0), "credits": credit}, row(1.0))
    read = Bill(file)

    (refused,) = read.refused
    assert refused["BilledCost"] is None
    assert "credits[].amount is not a number" in refused["x_Reason"]
    assert Decimal(1) == read.read.billed


def test_an_export_without_credits_is_no_export(tmp_path: Path) -> None:
    schema = pa.schema([f for f in EXPORT if f.name != "credits"])
    file = export(tmp_path / "a.parquet", row(1.0), schema=schema)

    with pytest.raises(UnreadableFile, match=r"column 'credits\[\].amount' is missing"):
        Bill(file)


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.list_(pa.float64()), pa.struct([("amount", number)]), pa.list_(pair)]
)
def test_credits_of_another_shape_are_no_credits(tmp_path: Path, kind: pa.DataType) -> None:
    schema = pa.schema([pa.field("credits", kind) if f.name == "credits" else f for f in EXPORT])
    file = export(tmp_path / "a.parquet", {**row(1.0), "credits": None}, schema=schema)

    with pytest.raises(UnreadableFile, match=r"column 'credits\[\].amount' is missing"):
        Bill(file)


def test_a_credit_without_an_amount_is_quarantined(tmp_path: Path) -> None:
    nothing = {"amount": None, "type": "PROMOTION"}
    read = Bill(export(tmp_path / "a.parquet", row(1.0, credits=[nothing]), row(2.0)))

    assert [None] == [r["BilledCost"] for r in read.refused]


def test_a_cost_that_is_no_number_is_quarantined(tmp_path: Path) -> None:
    read = Bill(export(tmp_path / "a.parquet", row(float("nan")), row(float("inf")), row(1.0)))

    assert ["cost is not a number: 'nan'", "cost is not a number: 'inf'"] == [
        r["x_Reason"] for r in read.refused
    ]


def test_kinds_nobody_knows_here_are_quarantined(tmp_path: Path) -> None:
    read = Bill(
        export(tmp_path / "a.parquet", row(1.0, cost_type="gift"), row(2.0, currency="DOLLAR"))
    )

    assert [
        "cost_type is not known here: 'gift'",
        "currency is not an ISO 4217 code: 'DOLLAR'",
    ] == [r["x_Reason"] for r in read.refused]


# ------------------------------------------------------------------------------- a made-up bill

NISE = """
generators:
  - ComputeEngineGenerator:
      start_date: 2026-09-01
      end_date: 2026-09-02
      currency: USD
      credit_amount: -0.333
      labels: [{team: search}]
      price: 1.7
  - CloudStorageGenerator:
      start_date: 2026-09-01
      end_date: 2026-09-02
      currency: USD
      price: 0.1
projects:
  - billing_account_id: 01-02-03
    project.name: shop
    project.id: shop
    project.labels: team:platform;env:prod
    location.location: us-central1
    location.country: US
    location.region: us-central1
    location.zone: ""
"""


@pytest.fixture
def nise(tmp_path: Path) -> Path:
    """A CSV file of koku-nise, of resources; it writes some lists as Python does."""
    program = tool("FINOPS_NISE")
    (tmp_path / "bill.yml").write_text(NISE)
    ask = ["report", "gcp", "-s", "2026-09-01", "-e", "2026-09-02", "-w", "-r"]
    subprocess.run(
        [program, *ask, "--static-report-file", "bill.yml"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (made,) = tmp_path.glob("*.csv")
    return made


def test_a_made_up_bill_goes_through_whole(nise: Path, tmp_path: Path) -> None:
    with nise.open(newline="") as file:
        made = list(csv.DictReader(file))
    lists = ("labels", "system_labels", "project.labels", "credits")
    for one in made:
        # nise writes these as Python does; Google and its tools write JSON.
        one.update({n: json.dumps(ast.literal_eval(one[n] or "[]")) for n in lists})
    # Money has twelve decimals; nise writes some costs with more.
    amounts = [one["cost"] for one in made]
    amounts += [c["amount"] for one in made for c in json.loads(one["credits"])]
    twelve = Decimal("0.000000000001")
    total = sum(Decimal(str(a)).quantize(twelve, ROUND_HALF_UP) for a in amounts)
    rewritten = tmp_path / "bill.csv"
    with rewritten.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(made[0]))
        writer.writeheader()
        writer.writerows(made)
    read = Bill(rewritten, "2026-09")
    tags = [json.loads(t) for t in read.column("Tags")]

    assert [] == read.refused
    assert len(made) == len(read.charges) > 0
    assert total == read.read.billed
    assert any(one["credits"] != "[]" for one in made)
    assert {"search", "platform"} == {t["team"] for t in tags}
    assert {"prod"} == {t["env"] for t in tags}
    assert all(t["team"] == "platform" or t["project:team"] == "platform" for t in tags)


# ---------------------------------------------------------------------------------- BigQuery


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigquerySection]:
    """The BigQuery emulator on free ports; it ends with the session.

    It keeps DuckDB's spatial extension in the `home` of its environment.
    """
    program = tool("FINOPS_BQEMULATOR")
    rest, grpc = free_port(), free_port()
    hosts = ["--rest-host", "127.0.0.1", "--rest-port", str(rest)]
    hosts += ["--grpc-host", "127.0.0.1", "--grpc-port", str(grpc)]
    with (
        (tmp_path_factory.mktemp("bigquery") / "log").open("wb") as log,
        subprocess.Popen(
            [program, "start", "--project", "p", *hosts],
            env={**os.environ, "HOME": str(program.absolute().parents[1] / "home")},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            for port in (rest, grpc):
                for _ in range(300):
                    try:
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    except OSError:
                        assert process.poll() is None, "bqemulator ended early"
                        time.sleep(0.1)
            yield BigquerySection(
                endpoint_url=f"http://127.0.0.1:{rest}", storage_endpoint=f"127.0.0.1:{grpc}"
            )
        finally:
            process.kill()  # some wait for open connections when asked to end


def bq_fields(schema: Any) -> list[Any]:
    """The export's schema as BigQuery says it."""
    from google.cloud import bigquery

    kinds = {text: "STRING", number: "FLOAT", moment: "TIMESTAMP", pa.bool_(): "BOOLEAN"}
    fields = []
    for field in schema:
        repeated = pa.types.is_list(field.type)
        kind = field.type.value_type if repeated else field.type
        inner = bq_fields(kind) if pa.types.is_struct(kind) else ()
        name = "RECORD" if inner else kinds.get(kind, "NUMERIC")
        mode = "REPEATED" if repeated else "NULLABLE"
        fields.append(bigquery.SchemaField(field.name, name, mode, fields=inner))
    return fields


class Table:
    """A billing export in the emulator, made for one test."""

    def __init__(self, section: BigquerySection, name: str, partition: str | None = None) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        self.section = section
        self.client = bigquery.Client(
            project="p",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": section.endpoint_url},
        )
        self.client.create_dataset("billing", exists_ok=True)
        self.name = f"p.billing.{name}"
        made = bigquery.Table(self.name, schema=bq_fields(EXPORT))
        made.time_partitioning = bigquery.TimePartitioning(type_="DAY", field=partition)
        self.client.create_table(made)
        self.location = f"bigquery://p/billing/{name}/{{period}}"

    def add(self, *rows: dict[str, Any]) -> None:
        from google.cloud import bigquery

        lines = (json.dumps(one, default=lambda moment: moment.isoformat()) for one in rows)
        asked = bigquery.LoadJobConfig(
            schema=bq_fields(EXPORT), source_format="NEWLINE_DELIMITED_JSON"
        )
        file = io.BytesIO("\n".join(lines).encode())
        self.client.load_table_from_file(file, self.name, job_config=asked).result()

    def transport(self, **section: Any) -> Any:
        block = BillingSection(name="google", dialect="gcp", location=self.location)
        asked = self.section.model_copy(update=section)
        return open_transport(self.location, Config(billing=[block], bigquery=asked))

    def list(self, period: str = "2026-07", **section: Any) -> list[Item]:
        pattern = self.location.replace("{period}", period)
        found: list[Item] = self.transport(**section).list(pattern)
        return found


@pytest.fixture
def gcp_table(emulator: BigquerySection, request: pytest.FixtureRequest) -> Table:
    return Table(emulator, "".join(c for c in request.node.name if c.isalnum())[-60:])


def test_a_month_of_a_table_is_one_file_and_means_the_same(
    gcp_table: Table, tmp_path: Path
) -> None:
    rows = [
        row(0.30000000000000004, -0.1, labels=pairs(team="a"), project={"id": "shop"}),
        row(10.0, -3.0, -2.0, -1.5, price={"list_price": "1.5", "pricing_unit_quantity": "1"}),
    ]
    gcp_table.add(*rows, row(7.0, invoice={"month": "202608"}))
    (item,) = gcp_table.list()
    fetched = gcp_table.transport().fetch(item, tmp_path / "landing")
    read = Bill(fetched, location=gcp_table.location)

    assert "2026-07.parquet" == item.path
    assert Decimal("3.70000000000000004").quantize(Decimal("1e-12")) == read.read.billed
    assert {'{"team":"a"}', "{}"} == set(read.column("Tags"))
    assert {Decimal("1.5"), None} == set(read.column("ListUnitPrice"))
    assert [] == gcp_table.list("2026-06")
    assert [Decimal(7)] == [
        Bill(gcp_table.transport().fetch(i, tmp_path), "2026-08").read.billed
        for i in gcp_table.list("2026-08")
    ]


def test_only_columns_the_dialect_looks_into_are_fetched(gcp_table: Table, tmp_path: Path) -> None:
    gcp_table.add(row(1.0, currency_conversion_rate=1.0))
    (item,) = gcp_table.list()
    names = set(pq.read_schema(gcp_table.transport().fetch(item, tmp_path)).names)

    assert {"cost", "credits", "invoice", "export_time"} < names
    assert not names & {"currency_conversion_rate"}
    assert names <= {*dialect("gcp").delivered, "export_time"}


def test_the_order_of_loading_does_not_show(emulator: BigquerySection, tmp_path: Path) -> None:
    rows = [row(float(n), labels=pairs(n=str(n % 3))) for n in range(50)]
    files = []
    for name, given in (("forward", rows), ("backward", rows[::-1])):
        made = Table(emulator, name)
        made.add(*given)
        (item,) = made.list()
        files.append(made.transport().fetch(item, tmp_path / name).read_bytes())

    assert files[0] == files[1]


def test_late_rows_are_a_new_state_and_the_old_one_stays_what_it_was(
    gcp_table: Table, tmp_path: Path
) -> None:
    gcp_table.add(row(1.0))
    (before,) = gcp_table.list()
    assert [before] == gcp_table.list()
    late = row(2.0, export_time=datetime(2026, 8, 4, tzinfo=UTC))
    gcp_table.add(late, row(4.0, invoice={"month": "202608"}))
    (after,) = gcp_table.list()
    transport = gcp_table.transport()
    old, new = (transport.fetch(i, tmp_path / "landing") for i in (before, after))

    assert before.fingerprint != after.fingerprint
    assert (Decimal(1), Decimal(3)) == (Bill(old).read.billed, Bill(new).read.billed)
    assert [1.0, 2.0] == pq.read_table(new)["cost"].to_pylist()
    assert new.stat().st_mtime_ns == transport.fetch(after, tmp_path / "landing").stat().st_mtime_ns
    assert [] == list(tmp_path.glob("landing/*.part"))


def test_another_month_changes_nothing(gcp_table: Table) -> None:
    gcp_table.add(row(1.0))
    before = gcp_table.list()
    gcp_table.add(
        row(1.0, invoice={"month": "202608"}, export_time=datetime(2026, 8, 9, tzinfo=UTC))
    )

    assert before == gcp_table.list()


def test_rows_that_vanish_are_told(gcp_table: Table, tmp_path: Path) -> None:
    gcp_table.add(row(1.0), row(2.0))
    (item,) = gcp_table.list()
    name = gcp_table.name
    gcp_table.client.query(f"delete from `{name}` where cost = 2").result()
    with pytest.raises(Unavailable, match="1 rows instead of 2; run again"):
        gcp_table.transport().fetch(item, tmp_path)
    gcp_table.client.query(f"delete from `{name}` where true").result()
    with pytest.raises(DeliveryVanished, match="was listed and is gone"):
        gcp_table.transport().fetch(item, tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_partitions_of_before_the_month_are_left_out(
    emulator: BigquerySection, tmp_path: Path
) -> None:
    """Usage of the last hours of June, exported in June, may be on the bill of July."""
    made = Table(emulator, "by_time", "export_time")
    long_ago = row(1.0, export_time=datetime(2026, 6, 20, tzinfo=UTC))
    made.add(long_ago, row(2.0, export_time=datetime(2026, 6, 30, 23, tzinfo=UTC)), row(4.0))
    (item,) = made.list()

    assert [2.0, 4.0] == pq.read_table(made.transport().fetch(item, tmp_path))["cost"].to_pylist()


def test_rows_come_by_query_where_the_storage_api_is_not_installed(
    gcp_table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    gcp_table.add(row(0.30000000000000004, -0.1, labels=pairs(team="a")))
    (item,) = gcp_table.list()
    by_storage = gcp_table.transport().fetch(item, tmp_path / "storage")
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery_storage", None)
    by_query = gcp_table.transport().fetch(item, tmp_path / "query")

    told = ("BilledCost", "Tags", "ChargePeriodStart", "InvoiceId")
    first, second = (
        [[c[n] for n in told] for c in Bill(f).charges] for f in (by_storage, by_query)
    )
    assert first == second


class Priced(BaseHTTPRequestHandler):
    """Hands every call to the emulator, and lets a dry run cost 5,000 bytes: there it is free."""

    behind: str
    paid: int

    def do_GET(self) -> None:
        self._forward(None)

    def do_POST(self) -> None:
        self._forward(self.rfile.read(int(self.headers["Content-Length"])))

    def _forward(self, body: bytes | None) -> None:
        dry = body is not None and json.loads(body)["configuration"].get("dryRun", False)
        type(self).paid += body is not None and not dry
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self.behind + self.path, body, headers)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            said = json.load(answer)
        if dry:
            said["statistics"]["query"]["totalBytesProcessed"] = "5000"
        content = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def priced(emulator: BigquerySection) -> Iterator[tuple[type[Priced], str]]:
    class Handler(Priced):
        behind = str(emulator.endpoint_url)
        paid = 0

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Handler, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_price_above_the_cap_is_refused_before_it_is_paid(
    gcp_table: Table, priced: tuple[type[Priced], str]
) -> None:
    gcp_table.add(row(1.0))
    handler, url = priced

    with pytest.raises(
        Refused, match=r"charged for 5,000 bytes, and \[bigquery\] max_bytes_billed allows 4,999"
    ):
        gcp_table.list(endpoint_url=url, max_bytes_billed=4999)
    assert 0 == handler.paid
    (item,) = gcp_table.list(endpoint_url=url, max_bytes_billed=5000)
    assert (1, 5000) == (handler.paid, item.size)


def test_reading_the_rows_is_held_to_the_cap_too(gcp_table: Table, tmp_path: Path) -> None:
    gcp_table.add(*(row(float(n)) for n in range(100)))
    (item,) = gcp_table.list()

    with pytest.raises(Refused, match=r"bytes, and \[bigquery\] max_bytes_billed allows 10;"):
        gcp_table.transport(max_bytes_billed=10).fetch(item, tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_a_table_that_does_not_exist_is_refused(gcp_table: Table) -> None:
    gcp_table.location = "bigquery://p/billing/none/{period}"

    with pytest.raises(Refused, match=r"none/2026-07: BigQuery answered 404.*check project"):
        gcp_table.list()


def test_a_table_that_is_no_export_is_refused(gcp_table: Table) -> None:
    gcp_table.client.query("create table `p.billing.other` (cost float64)").result()
    gcp_table.location = "bigquery://p/billing/other/{period}"

    with pytest.raises(ConfigError, match=r"other/2026-07: the table has no invoice\.month"):
        gcp_table.list()


@pytest.mark.parametrize("location", ["bigquery://p/d/t", "bigquery://p/d/*/{period}"])
def test_a_location_of_another_shape_is_refused(location: str) -> None:
    with pytest.raises(ConfigError, match=r"a BigQuery location is bigquery://project/dataset"):
        open_transport(location, Config()).list(location.replace("{period}", "2026-07"))


def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    from finops_pipeline.transports import bigquery

    monkeypatch.setattr(bigquery, "PATIENCE", 0.5)
    section = BigquerySection(endpoint_url=f"http://127.0.0.1:{free_port()}")
    location = "bigquery://p/d/t/2026-07"

    with pytest.raises(Unavailable, match="t/2026-07: no whole answer"):
        open_transport(location, Config(bigquery=section)).list(location)


# -------------------------------------------------------------------------- the whole road


def test_a_month_goes_from_the_table_to_the_warehouse(gcp_table: Table, tmp_path: Path) -> None:
    """Twice: what did not change is not fetched again; a late row is."""
    gcp_table.add(row(10.0, -3.0), row(19.0, cost_type="tax"))
    block = BillingSection(name="google", dialect="gcp", location=gcp_table.location)
    warehouse = Warehouse(Config(root=tmp_path, billing=[block], bigquery=gcp_table.section))

    def billed() -> tuple[Decimal, Path]:
        with warehouse.writing():
            read_bill(warehouse, "2026-07")
            folder = warehouse.folder("cost_and_usage", "2026-07")
            (part,) = folder.glob("*.parquet")
            rows = pq.read_table(part)["BilledCost"].to_pylist()
            warehouse.publish()
        return sum(rows, Decimal(0)), part.resolve()

    first, _ = billed()
    landed = {p.name for p in warehouse.landing.iterdir()}
    again, _ = billed()
    assert (Decimal(26), Decimal(26)) == (first, again)
    assert landed == {p.name for p in warehouse.landing.iterdir()}

    gcp_table.add(row(1.5, export_time=datetime(2026, 8, 4, tzinfo=UTC)))
    assert Decimal("27.5") == billed()[0]


# ------------------------------------------------------------------------- Cloud Storage, broken


def bucket(url: str) -> Any:
    return open_transport("gs://b/", Config(gcs=GcsSection(endpoint_url=url)))


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Refused, "403.*Object Viewer"),
        (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            Refused,
            "no Google credentials",
        ),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", Refused, "404.*the bucket"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Unavailable, "try later"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half", Unavailable, "try later"),
    ],
)
def test_what_google_says_decides_whether_to_try_again(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, error: type[Exception], says: str
) -> None:
    from finops_pipeline.transports import gcs

    monkeypatch.setattr(gcs, "PATIENCE", 0.5)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listening.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with pytest.raises(error, match=f"gs://b/in/: .*{says}"):
            bucket(f"http://127.0.0.1:{listening.getsockname()[1]}").list("gs://b/in/*")
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(timeout=5)


def test_no_google_credentials_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    for location in ("gs://b/in/*", "bigquery://p/d/t/2026-07"):
        with pytest.raises(Refused, match="no Google credentials found"):
            open_transport(location, Config()).list(location)
