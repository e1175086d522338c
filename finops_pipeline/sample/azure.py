"""What Microsoft bills: cost details exports, actual and amortised, in dollars and in euros.

What belongs here: how Azure lays charges out. The columns are those of the page "Microsoft
Customer Agreement cost and usage details file schema"; a billing account with a profile for each
currency is exported whole, by day and meter. The actual export has the purchase of a reservation
and zero for what it covered; the amortised one the reverse, and what nobody used. Ids are spelt
differently in the two, as Azure does.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from .bill import Ledger, Tokens, invoice_of, own
from .company import (
    API_FAULTS,
    API_TAGS,
    ENDPOINTS,
    SUBSCRIPTION,
    Fault,
    Month,
    Period,
    api_resource,
    guid,
    ident,
    noise,
)

_COLUMNS = """
invoiceId previousInvoiceId billingAccountId billingAccountName billingProfileId billingProfileName
invoiceSectionId invoiceSectionName costCenter billingPeriodEndDate billingPeriodStartDate
servicePeriodEndDate servicePeriodStartDate date serviceFamily productOrderId productOrderName
consumedService meterId meterName meterCategory meterSubCategory meterRegion ProductId ProductName
SubscriptionId subscriptionName publisherType publisherId publisherName resourceGroupName
ResourceId resourceLocation location effectivePrice quantity unitOfMeasure chargeType
billingCurrency pricingCurrency costInBillingCurrency costInPricingCurrency
paygCostInBillingCurrency exchangeRatePricingToBilling exchangeRateDate isAzureCreditEligible
serviceInfo1 serviceInfo2 additionalInfo tags PayGPrice frequency term reservationId
reservationName pricingModel unitPrice costAllocationRuleName benefitId benefitName provider
"""
COLUMNS = _COLUMNS.split()

BILLING_ACCOUNT = ("8611537:5d1f0c1e_2019-05-31", "Acme AI")
PROFILES = {"USD": ("ACME-USD-BG7", "Acme AI Inc"), "EUR": ("ACME-EUR-BG7", "Acme AI GmbH")}
EXPORTS = {"ActualCost": "acme-actual", "AmortizedCost": "acme-amortized"}

RESERVED_RATE = 230_400
"""An hour of the reservation in microdollars: a year of them is paid in twelve equal parts."""
RESERVED_HOURS = 24_000
"""Thousandths of an hour a day that the reservation covers."""


@dataclass(frozen=True)
class Charge:
    """A thing bought of Microsoft by the day. `amount` is a day's mean, in thousandths."""

    currency: str
    resource: str
    service: str
    meter: str
    unit: str
    rate: int
    amount: int
    region: tuple[str, str]
    tags: Mapping[str, str]
    truth: tuple[str | None, str | None, str | None]
    faults: tuple[Fault, ...] = ()
    follows: bool = False
    reserved: bool = False


@dataclass(frozen=True)
class Row:
    """A line of one of the two exports: amounts in thousandths, money in 10^-9."""

    charge: Charge
    day: date
    amount: int
    price: int  # microdollars a unit, as contracted
    cost: int
    kind: str = "Usage"
    export: str = ""  # the only one that has it


def _azure(path: str, group: str = "platform-prod") -> str:
    return f"/subscriptions/{SUBSCRIPTION}/resourcegroups/{group}/providers/{path}"


_EAST, _WEST = ("eastus", "US East"), ("westeurope", "EU West")

CHARGES = (
    Charge(
        "USD",
        _azure("microsoft.compute/virtualmachines/recommend-batch"),
        "Virtual Machines",
        "D16s v5",
        "1 Hour",
        768_000,
        24_000,
        _EAST,
        {"feature": "recomend", "tenant": "shared", "environment": "production"},
        ("recommend", "shared", "production"),
        (Fault("typo", "feature", "feature", "recomend", "recommend"),),
    ),
    Charge(
        "USD",
        _azure("microsoft.compute/virtualmachines/summarise-eval"),
        "Virtual Machines",
        "D8s v5",
        "1 Hour",
        384_000,
        20_000,
        _EAST,
        {"feature": "summarise", "tenant": "shared", "env": "stage"},
        ("summarise", "shared", "staging"),
        reserved=True,
    ),
    Charge(
        "USD",
        _azure("microsoft.storage/storageaccounts/acmesummaries"),
        "Storage",
        "Hot LRS Data Stored",
        "1 GB/Month",
        20_800,
        900_000,
        _EAST,
        {"Feature": "Summarise", "tenant": "shared", "Environment": "Prod"},
        ("summarise", "shared", "production"),
        (Fault("wrong_case", "feature", "Feature", "Summarise", "summarise"),),
    ),
    Charge(
        "USD",
        _azure("microsoft.storage/storageaccounts/acmewayneexports"),
        "Storage",
        "Hot LRS Data Stored",
        "1 GB/Month",
        20_800,
        400_000,
        _EAST,
        {"feature": "recommend", "tenant": "wayne", "environment": "production"},
        ("recommend", "wayne", "production"),
    ),
    Charge(
        "EUR",
        _azure("microsoft.compute/virtualmachines/chat-eu", "eu-prod"),
        "Virtual Machines",
        "D16s v5",
        "1 Hour",
        712_000,
        48_000,
        _WEST,
        {"feature": "chat", "tenant": "umbrella", "environment": "production"},
        ("chat", "umbrella", "production"),
    ),
    Charge(
        "EUR",
        _azure("microsoft.storage/storageaccounts/acmeeuaudit", "eu-prod"),
        "Storage",
        "Hot ZRS Data Stored",
        "1 GB/Month",
        23_000,
        600_000,
        _WEST,
        {"feature": "moderation", "tenant": "umbrella", "environment": "production"},
        ("moderation", "umbrella", "production"),
    ),
    Charge(
        "EUR",
        _azure("microsoft.network/publicipaddresses/eu-gateway", "eu-prod"),
        "Bandwidth",
        "Standard Data Transfer Out",
        "1 GB",
        74_000,
        220_000,
        _WEST,
        {},
        (None, None, None),
        tuple(Fault("untagged", d) for d in ("feature", "tenant", "environment")),
        follows=True,
    ),
)


def reservation(seed: int) -> str:
    """Id of the one reservation, in lower case as the pipeline has it."""
    order, number = guid(seed, "reservation-order"), guid(seed, "reservation")
    return f"/providers/microsoft.capacity/reservationorders/{order}/reservations/{number}"


def write(directory: Path, period: Period, month: Month, tokens: Tokens, ledger: Ledger) -> None:
    """Write the month's two exports under `directory`: a part each, and its manifest."""
    rows = list(_rows(period, month, tokens, ledger))
    for copy in range(period.scale):
        for charge in CHARGES:
            bought = _copy(charge, copy)
            own(
                ledger,
                month.name,
                bought.resource,
                charge.truth,
                charge.tags,
                charge.faults,
                charge.currency,
            )
    for kind, name in EXPORTS.items():
        text = io.StringIO(newline="")
        out = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
        out.writeheader()
        written = [r for r in rows if r.export in ("", kind)]
        for row in written:
            cost = _cost(row, kind)
            currency = row.charge.currency
            invoice = invoice_of(f"azure-{currency.lower()}", month, period.seed)
            billed, effective = (cost, 0) if kind == "ActualCost" else (0, cost)
            ledger.add(
                month.name, invoice or "(open)", currency, row.charge.resource, billed, effective
            )
            out.writerow(_cells(row, cost, kind, invoice, period, month))
        _deliver(
            directory / name, kind, text.getvalue().encode("utf-8-sig"), len(written), period, month
        )


def _cost(row: Row, export: str) -> int:
    """What was covered costs nothing on the invoice: it was paid with the reservation."""
    return 0 if row.charge.reserved and row.kind == "Usage" and export == "ActualCost" else row.cost


def _deliver(
    directory: Path, kind: str, content: bytes, rows: int, period: Period, month: Month
) -> None:
    """A run of an export as Cost Management leaves it: a part, and the manifest that lists it."""
    last = month.end - timedelta(days=1)
    run = guid(period.seed, kind, month.name, month.days[-1])
    folder = directory / f"{month.begin:%Y%m%d}-{last:%Y%m%d}" / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part_0_0001.csv").write_bytes(content)
    stamp = "%Y-%m-%dT%H:%M:%S"
    asked = datetime(month.days[-1].year, month.days[-1].month, month.days[-1].day, 23, 59)
    blob = f"cost-exports/{directory.name}/{folder.parent.name}/{run}/part_0_0001.csv"
    manifest = {
        "manifestVersion": "2024-04-01",
        "byteCount": len(content),
        "blobCount": 1,
        "dataRowCount": rows,
        "exportConfig": {
            "exportName": directory.name,
            "resourceId": f"/providers/Microsoft.Billing/billingAccounts/{BILLING_ACCOUNT[0]}"
            f"/providers/Microsoft.CostManagement/exports/{directory.name}",
            "dataVersion": "2023-12-01-preview",
            "type": kind,
            "timeFrame": "MonthToDate",
            "granularity": "Daily",
        },
        "deliveryConfig": {
            "partitionData": True,
            "dataOverwriteBehavior": "OverwritePreviousReport",
            "fileFormat": "Csv",
            "compressionMode": "None",
        },
        "runInfo": {
            "executionType": "Scheduled",
            "submittedTime": asked.strftime(stamp) + "Z",
            "runId": run,
            "startDate": month.begin.strftime(stamp),
            "endDate": last.strftime(stamp),
        },
        "blobs": [{"blobName": blob, "byteCount": len(content), "dataRowCount": rows}],
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _copy(charge: Charge, copy: int) -> Charge:
    return replace(charge, resource=f"{charge.resource}-{copy}") if copy else charge


def _rows(period: Period, month: Month, tokens: Tokens, ledger: Ledger) -> Iterator[Row]:
    """Every charge of the month, day by day; what was reserved beside what was used of it."""
    held = replace(
        next(c for c in CHARGES if c.reserved), resource=reservation(period.seed), tags={}
    )
    first = month.days[0]
    month_paid = RESERVED_RATE * 730  # microdollars, a twelfth of 8,760 hours
    bought = 1000 * period.scale
    yield Row(held, first, bought, month_paid, bought * month_paid, "Purchase", "ActualCost")
    for charge, day, amount in _days(period, month, tokens, ledger):
        if not amount:
            continue
        if not charge.reserved:
            yield Row(charge, day, amount, charge.rate, amount * charge.rate)
            continue
        yield Row(charge, day, amount, charge.rate, amount * RESERVED_RATE)
        unused = RESERVED_HOURS - amount
        yield Row(
            held, day, unused, 0, unused * RESERVED_RATE, "UnusedReservation", "AmortizedCost"
        )


def _days(
    period: Period, month: Month, tokens: Tokens, ledger: Ledger
) -> Iterable[tuple[Charge, date, int]]:
    charges = [_copy(c, n) for n in range(period.scale) for c in CHARGES]
    models = []
    for endpoint in ENDPOINTS:
        if endpoint.provider == "azure.ai.openai":
            kinds = ("input", "cached input", "output")
            rid = api_resource(period.seed, endpoint.group)
            if fault := API_FAULTS.get(endpoint.group):
                ledger.faults.append((month.name, rid, fault))
            for n, (kind, rate) in enumerate(zip(kinds, endpoint.prices, strict=True)):
                meter = Charge(
                    "USD",
                    rid,
                    "Azure OpenAI",
                    f"{endpoint.model} {kind} glbl",
                    "1K",
                    rate,
                    0,
                    _EAST,
                    API_TAGS[endpoint.group],
                    (None, None, None),
                )
                models.append((meter, endpoint.group, n))
    for day in month.days:
        for place, charge in enumerate(charges):
            amount = charge.amount
            if charge.follows:
                amount = (
                    amount * (900 + noise(period.seed, 7000 + place, day.toordinal()) // 5) // 1000
                )
            yield charge, day, amount
        midnight = datetime(day.year, day.month, day.day)
        for charge, group, n in models:
            by_hour = tokens.get(group, {})
            hours = (midnight + timedelta(hours=h) for h in range(24))
            yield charge, day, sum(by_hour[h][n] for h in hours if h in by_hour)


def _cells(
    row: Row, cost: int, export: str, invoice: str, period: Period, month: Month
) -> dict[str, Any]:
    charge = row.charge
    american = "%m/%d/%Y"
    last = month.end - timedelta(days=1)
    profile, profile_name = PROFILES[charge.currency]
    exact, price = _decimal(cost, 9), _decimal(row.price, 6)
    listed = charge.rate if row.kind == "Usage" else 0
    product = str(int(ident(period.seed, charge.meter, charge.region[0], size=7), 16))
    cells = {
        "invoiceId": invoice,
        "billingAccountId": BILLING_ACCOUNT[0],
        "billingAccountName": BILLING_ACCOUNT[1],
        "billingProfileId": profile,
        "billingProfileName": profile_name,
        "billingPeriodStartDate": month.begin.strftime(american),
        "billingPeriodEndDate": last.strftime(american),
        "servicePeriodStartDate": row.day.strftime(american),
        "servicePeriodEndDate": row.day.strftime(american),
        "date": row.day.strftime(american),
        "meterId": guid(period.seed, "meter", charge.meter, charge.region[0]),
        "meterName": charge.meter,
        "meterCategory": charge.service,
        "meterRegion": charge.region[1],
        "ProductId": product,
        "ProductName": f"{charge.service} - {charge.meter} - {charge.region[1]}",
        "SubscriptionId": SUBSCRIPTION,
        "subscriptionName": "acme-ai",
        "publisherType": "Microsoft",
        "publisherName": "Microsoft",
        "ResourceId": charge.resource,
        "resourceLocation": charge.region[0],
        "location": charge.region[1],
        "effectivePrice": exact if not row.amount else _decimal(cost * 1000 // row.amount, 9),
        "quantity": _decimal(row.amount, 3),
        "unitOfMeasure": charge.unit,
        "chargeType": row.kind,
        "billingCurrency": charge.currency,
        "pricingCurrency": charge.currency,
        "costInBillingCurrency": exact,
        "costInPricingCurrency": exact,
        "paygCostInBillingCurrency": _decimal(row.amount * listed, 9),
        "exchangeRatePricingToBilling": "1",
        "exchangeRateDate": month.begin.strftime(american),
        "isAzureCreditEligible": "True",
        "tags": json.dumps(charge.tags, sort_keys=True) if charge.tags else "",
        "PayGPrice": _decimal(listed, 6),
        "frequency": "Recurring" if row.kind == "Purchase" else "UsageBased",
        "pricingModel": "Reservation" if charge.reserved else "OnDemand",
        "unitPrice": price,
        "provider": "Azure",
    }
    if charge.resource.startswith("/subscriptions/"):
        group, _, path = charge.resource.partition("/resourcegroups/")[2].partition("/providers/")
        cells["resourceGroupName"] = group
        cells["consumedService"] = path.partition("/")[0]
        if export == "ActualCost":
            cells["ResourceId"] = charge.resource.replace(
                f"/resourcegroups/{group}/", f"/resourceGroups/{group.upper()}/"
            )
    if charge.reserved:
        benefit = reservation(period.seed)
        cells |= {
            "consumedService": "Microsoft.Capacity" if row.kind != "Usage" else "Microsoft.Compute",
            "productOrderId": benefit.split("/")[-3],
            "productOrderName": "Reserved VM Instance, Standard_D8s_v5, US East, 1 Year",
            "term": "12",
            "reservationId": benefit.split("/")[-1],
            "reservationName": "eval-d8s",
            "benefitId": benefit,
            "benefitName": "eval-d8s",
        }
    return cells


def _decimal(units: int, places: int) -> str:
    """Units of 10^-places as a decimal string without needless zeros."""
    return format(Decimal(units).scaleb(-places).normalize(), "f")
