"""What Google bills: the detailed usage cost export, as `EXPORT DATA` writes it to a bucket.

What belongs here: how Google Cloud lays charges out, as one Parquet file of an invoice month with
records and lists in it. Columns are those of the page "Structure of Detailed data export". Its
months begin at midnight in Los Angeles, so the first hours of a UTC month are on the bill before.
Labels have lower-case letters only. Costs are doubles, each the nearest to a decimal of at most
nine places; what is off is in `credits`. Tax and rounding errors are rows without a resource.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from .bill import NANO, Ledger, Tokens, own
from .company import (
    API_TAGS,
    ENDPOINTS,
    UNTAGGED,
    Fault,
    Month,
    Period,
    api_resource,
    busy,
    ident,
    noise,
)

ACCOUNT = "01A2B3-C4D5E6-F7A8B9"
DATA = ("acme-data-prod", "acme data", "482910374655")
AI = ("acme-ai-prod", "acme ai", "730164829911")
SERVICES = {
    "BigQuery": "24E6-581D-38E5",
    "Cloud Storage": "95FF-2EF5-5EA1",
    "Compute Engine": "6F81-5844-456A",
    "Vertex AI": "C7E2-9256-1C43",
    "Invoice": "9DE9-9092-B3BC",
}
COMMITMENT = 200_000
"""What is committed to spend on Compute Engine in an hour, in microdollars."""
FEE = "Commitment - dollar based v1: Compute Flexible for 1 Year"
OFFSET = ("FEE_UTILIZATION_OFFSET", "Fee utilization offset: Compute Flexible CUD")
CONTRACT = ("DISCOUNT", "Spend-based discount (contractual)")
PROMOTION = ("PROMOTION", "Google for Startups: generative AI credit")


@dataclass(frozen=True)
class Item:
    """One SKU of a resource. `amount` is what the mean hour uses, in thousandths of the unit.

    `size` is how many usage units (bytes, seconds) are in a pricing unit, and `block` how many
    pricing units the price is for. `committed` is the price of the unit where a commitment
    covers it: Google bills that, and takes it off the fee of the commitment.
    """

    service: str
    sku: str
    project: tuple[str, str, str]
    name: str
    path: str
    units: tuple[str, str]
    size: int
    rate: int
    amount: int
    labels: Mapping[str, str]
    truth: tuple[str | None, str | None, str | None] = (None, None, None)
    faults: tuple[Fault, ...] = ()
    follows: bool = False
    zone: str = ""
    committed: int = 0
    block: int = 1


def _good(feature: str) -> dict[str, str]:
    return {"feature": feature, "tenant": "shared", "environment": "production"}


def _mine(feature: str) -> tuple[str, str, str]:
    return (feature, "shared", "production")


_TIB, _GIB_MONTH = 1 << 40, (1 << 30) * 2_592_000
_BUCKET = "//storage.googleapis.com/projects/_/buckets/{}"
_SCANNER = "//compute.googleapis.com/projects/acme-data-prod/zones/us-central1-a/instances/scanner"
_EVENTS = "//bigquery.googleapis.com/projects/acme-data-prod/datasets/recommend_events"

ITEMS = (
    Item(
        "BigQuery",
        "Analysis (us (multi-region))",
        DATA,
        "recommend_events",
        _EVENTS,
        ("bytes", "tebibyte"),
        _TIB,
        6_250_000,
        48,
        _good("recommend"),
        _mine("recommend"),
        follows=True,
    ),
    Item(
        "BigQuery",
        "Active Logical Storage (us (multi-region))",
        DATA,
        "recommend_events",
        _EVENTS,
        ("byte-seconds", "gibibyte month"),
        _GIB_MONTH,
        20_000,
        9_000,
        _good("recommend"),
        _mine("recommend"),
    ),
    Item(
        "Cloud Storage",
        "Standard Storage US Multi-region",
        DATA,
        "acme-eval-corpora",
        _BUCKET.format("acme-eval-corpora"),
        ("byte-seconds", "gibibyte month"),
        _GIB_MONTH,
        26_000,
        7_000,
        _good("summarise"),
        _mine("summarise"),
    ),
    Item(
        "Cloud Storage",
        "Standard Storage US Multi-region",
        DATA,
        "acme-old-exports",
        _BUCKET.format("acme-old-exports"),
        ("byte-seconds", "gibibyte month"),
        _GIB_MONTH,
        26_000,
        5_000,
        {},
        faults=UNTAGGED,
    ),
    Item(
        "Compute Engine",
        "N2 Instance Core running in Americas",
        DATA,
        "scanner",
        _SCANNER,
        ("seconds", "hour"),
        3600,
        31_611,
        8_000,
        {"feature": "moderation", "tenant": "globex", "environment": "production"},
        ("moderation", "globex", "production"),
        zone="us-central1-a",
        committed=22_760,
    ),
)


@dataclass(frozen=True)
class Row:
    """One row of the export: `amount` in thousandths of the pricing unit, money in 10^-9."""

    service: str
    sku: str
    begin: datetime
    end: datetime
    cost: int
    credits: tuple[tuple[tuple[str, str], int], ...] = ()
    item: Item | None = None
    amount: int = 0
    kind: str = "regular"
    project: tuple[str, str, str] | None = None
    late: timedelta = timedelta(hours=5)

    @property
    def billed(self) -> int:
        """Cost and all credits."""
        return self.cost + sum(amount for _, amount in self.credits)


def write(directory: Path, period: Period, month: Month, tokens: Tokens, ledger: Ledger) -> None:
    """Write the rows of the invoice month, and the invoice once the month is closed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(_rows(period, month, tokens, ledger), key=lambda r: (r.begin, r.sku))
    rows += _of_the_invoice(month, rows)
    invoice = f"{ACCOUNT}/{month.begin:%Y%m}"
    for row in rows:
        ledger.add(month.name, invoice, "USD", name(row), row.billed, row.billed)
    folder = directory / f"invoice_month={month.begin:%Y%m}"
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([_cells(r, period, month) for r in rows], _schema(pa))
    pq.write_table(
        table,
        folder / "gcp_billing_export_resource_v1-000000000000.parquet",
        compression="snappy",
        store_schema=False,
    )
    if month.closed:
        asked = Decimal(sum(r.billed for r in rows)).scaleb(-9).quantize(Decimal("0.01"))
        path = directory / f"invoices-{month.name}.csv"
        text = f"invoice,currency,amount\n{invoice},USD,{asked}\n"
        path.write_text(text, encoding="utf-8", newline="\n")


def name(row: Row) -> str:
    """What the truth calls it: the resource, or service and kind of a row without one."""
    if row.item is None:
        return f"({row.service} {row.kind})"
    return row.item.path


def midnight(begin: datetime) -> datetime:
    """First instant of a month in Los Angeles, in UTC: April to November begin in summer time."""
    return begin + timedelta(hours=7 if 4 <= begin.month <= 11 else 8)


def _hours(period: Period, month: Month) -> list[datetime]:
    """Start of every written hour that is on the month's bill."""
    hour = max(period.begin, midnight(month.begin))
    end = min(period.end, midnight(month.end))
    found = []
    while hour < end:
        found.append(hour)
        hour += timedelta(hours=1)
    return found


def _rows(period: Period, month: Month, tokens: Tokens, ledger: Ledger) -> Iterator[Row]:
    hours = _hours(period, month)
    days: dict[datetime, list[datetime]] = {}
    for hour in hours:
        days.setdefault(hour.replace(hour=0), []).append(hour)
    items = [_copy(i, n) for n in range(period.scale) for i in ITEMS]
    for bought in {i.path: i for i in items}.values():
        own(ledger, month.name, bought.path, bought.truth, bought.labels, bought.faults)
    for day, of_day in days.items():
        begin, end = of_day[0], of_day[-1] + timedelta(hours=1)
        used = 0
        for place, item in enumerate(items):
            amount = item.amount * len(of_day)
            if item.follows:
                work = sum(busy(h) for h in of_day)
                amount = item.amount * work // 1000
                amount = amount * (900 + noise(period.seed, 9000 + place, day.toordinal()) // 5)
                amount //= 1000
            cost = amount * (item.committed or item.rate)
            used += cost if item.committed else 0
            yield Row(
                item.service, item.sku, begin, end, cost, (), item, amount, project=item.project
            )
        amount = 1000 * len(of_day) * period.scale
        fee = amount * COMMITMENT
        off = ((OFFSET, -used),)
        yield Row("Compute Engine", FEE, begin, end, fee, off, amount=amount, project=DATA)
    for hour in hours:
        yield from _models(period, hour, tokens)
    if hours:
        # Traffic of the first hour that Google tells of after the month has ended.
        bucket = next(i for i in items if i.name == "acme-eval-corpora")
        told = month.end + timedelta(days=3, hours=10) - hours[0]
        traffic = replace(
            bucket,
            sku="Download Worldwide Destinations (excluding Asia & Australia)",
            units=("bytes", "gibibyte"),
            size=1 << 30,
            rate=120_000,
        )
        amount = 41_250
        yield Row(
            traffic.service,
            traffic.sku,
            hours[0],
            hours[0] + timedelta(hours=1),
            amount * traffic.rate,
            item=traffic,
            amount=amount,
            project=DATA,
            late=told,
        )


def _models(period: Period, hour: datetime, tokens: Tokens) -> Iterator[Row]:
    """Bought models, by the hour: a discount by contract, and a fifth of the rest is a gift."""
    for endpoint in ENDPOINTS:
        if endpoint.provider != "gcp.vertex_ai":
            continue
        kinds = ("Text Input", "Text Input Caching", "Text Output")
        counts = tokens.get(endpoint.group, {}).get(hour, (0, 0, 0))
        for kind, rate, amount in zip(kinds, endpoint.prices, counts, strict=True):
            if not amount:
                continue
            path = api_resource(period.seed, endpoint.group)
            item = Item(
                "Vertex AI",
                f"{endpoint.model} GA {kind} - Predictions",
                AI,
                endpoint.model,
                path,
                ("count", "count"),
                1,
                rate,
                0,
                API_TAGS[endpoint.group],
                block=1_000_000,
            )
            cost = amount * rate
            yield Row(
                item.service,
                item.sku,
                hour,
                hour + timedelta(hours=1),
                cost,
                ((CONTRACT, -(cost // 20)), (PROMOTION, -((cost - cost // 20) // 5))),
                item,
                amount * 1000,
                project=AI,
            )


def _of_the_invoice(month: Month, rows: list[Row]) -> list[Row]:
    """Tax, and what is left to a sum that can be paid."""
    begin, end = midnight(month.begin), midnight(month.end)
    cent = NANO // 100
    billed = sum(r.billed for r in rows)
    tax = billed * 6 // 100 // cent * cent
    left = (billed + cent // 2) // cent * cent - billed
    after = timedelta(days=2)
    found = [Row("Invoice", "Tax", begin, end, tax, kind="tax", late=after)]
    if left:
        found.append(
            Row("Invoice", "Rounding error", begin, end, left, kind="rounding_error", late=after)
        )
    return found


def _copy(item: Item, copy: int) -> Item:
    if copy == 0:
        return item
    return replace(item, name=f"{item.name}-{copy}", path=f"{item.path}-{copy}")


def _cells(row: Row, period: Period, month: Month) -> dict[str, Any]:
    item = row.item
    cost = listed = row.cost / NANO
    committed = row.sku == FEE
    if item is not None and item.committed:
        committed, listed = True, row.amount * item.rate / NANO
    cells: dict[str, Any] = {
        "billing_account_id": ACCOUNT,
        "service": {"id": SERVICES[row.service], "description": row.service},
        "sku": {
            "id": "-".join(
                ident(period.seed, row.service, row.sku, n, size=4).upper() for n in range(3)
            ),
            "description": row.sku,
        },
        "usage_start_time": row.begin,
        "usage_end_time": row.end,
        "labels": [],
        "system_labels": [],
        "tags": [],
        "transaction_type": "GOOGLE",
        "seller_name": "Google",
        "export_time": row.end + row.late,
        "cost": cost,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "credits": [
            {
                "name": said,
                "amount": amount / NANO,
                "full_name": said,
                "id": said,
                "type": kind,
            }
            for (kind, said), amount in row.credits
        ],
        "invoice": {"month": f"{month.begin:%Y%m}", "publisher_type": "GOOGLE"},
        "cost_type": row.kind,
        "cost_at_list": listed,
        "cost_at_effective_price_default": listed,
    }
    if row.project is not None:
        key, said, number = row.project
        cells["project"] = {
            "id": key,
            "number": number,
            "name": said,
            "labels": [],
            "ancestry_numbers": "/509182736450/",
            "ancestors": [
                {"resource_name": f"projects/{number}", "display_name": said},
                {"resource_name": "organizations/509182736450", "display_name": "acme.example"},
            ],
        }
        cells["location"] = {
            "location": "us" if row.service in ("BigQuery", "Cloud Storage") else "us-central1",
            "country": "US",
            "region": None if row.service in ("BigQuery", "Cloud Storage") else "us-central1",
            "zone": (item.zone if item else "") or None,
        }
    if committed:
        number = str(int(ident(period.seed, "commitment", size=15), 16))
        cells["subscription"] = {"instance_id": number}
        cells["consumption_model"] = {
            "id": "7754-699E-0EBF" if item else "2D49-2F43-41FC",
            "description": "Compute Flexible CUDs 1 Year" if item else "Default",
        }
    if row.sku == FEE:
        cells["usage"] = _usage(row.amount, 3600, ("seconds", "hour"))
        cells["price"] = _price(COMMITMENT, "hour", 1)
    if item is not None:
        cells["labels"] = [{"key": k, "value": v} for k, v in sorted(item.labels.items())]
        cells["resource"] = {"name": item.name, "global_name": item.path}
        cells["usage"] = _usage(row.amount, item.size, item.units)
        # A model's price is of a thousand tokens here, and of a million there.
        rate = item.rate * item.block // 1000 if item.block > 1 else item.rate
        cells["price"] = _price(rate, item.units[1], item.block, item.committed)
    return cells


def _usage(amount: int, size: int, units: tuple[str, str]) -> dict[str, Any]:
    """`amount` thousandths of the pricing unit, also in the unit it is measured in."""
    unit, pricing_unit = units
    return {
        "amount": float(amount * size // 1000),
        "unit": unit,
        "amount_in_pricing_units": amount / 1000,
        "pricing_unit": pricing_unit,
    }


def _price(rate: int, unit: str, block: int, committed: int = 0) -> dict[str, Any]:
    """Microdollars as the export has a price; `committed` is what is paid instead, if anything."""
    price = Decimal(rate).scaleb(-6)
    return {
        "effective_price": Decimal(committed).scaleb(-6) if committed else price,
        "effective_price_default": price,
        "list_price": price,
        "tier_start_amount": Decimal(0),
        "unit": unit,
        "pricing_unit_quantity": Decimal(block),
    }


def _schema(pa: Any) -> Any:
    """The export's columns as BigQuery's Parquet has them."""
    text, number, moment = pa.string(), pa.float64(), pa.timestamp("us", tz="UTC")
    exact = pa.decimal128(38, 9)

    def record(**fields: Any) -> Any:
        return pa.struct(list(fields.items()))

    pairs = pa.list_(record(key=text, value=text))
    project = record(
        id=text,
        number=text,
        name=text,
        labels=pairs,
        ancestry_numbers=text,
        ancestors=pa.list_(record(resource_name=text, display_name=text)),
    )
    columns = {
        "billing_account_id": text,
        "service": record(id=text, description=text),
        "sku": record(id=text, description=text),
        "usage_start_time": moment,
        "usage_end_time": moment,
        "project": project,
        "labels": pairs,
        "system_labels": pairs,
        "location": record(location=text, country=text, region=text, zone=text),
        "tags": pa.list_(record(key=text, value=text, inherited=pa.bool_(), namespace=text)),
        "transaction_type": text,
        "seller_name": text,
        "export_time": moment,
        "cost": number,
        "currency": text,
        "currency_conversion_rate": number,
        "usage": record(
            amount=number, unit=text, amount_in_pricing_units=number, pricing_unit=text
        ),
        "credits": pa.list_(record(name=text, amount=number, full_name=text, id=text, type=text)),
        "invoice": record(month=text, publisher_type=text),
        "cost_type": text,
        "adjustment_info": record(id=text, description=text, mode=text, type=text),
        "cost_at_list": number,
        "cost_at_effective_price_default": number,
        "consumption_model": record(id=text, description=text),
        "subscription": record(instance_id=text),
        "resource": record(name=text, global_name=text),
        "price": record(
            effective_price=exact,
            effective_price_default=exact,
            list_price=exact,
            tier_start_amount=exact,
            unit=text,
            pricing_unit_quantity=exact,
        ),
    }
    return pa.schema(list(columns.items()))
