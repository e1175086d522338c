"""What a data platform bills that speaks FOCUS: a CSV file of FOCUS 1.2.

What belongs here: how the charges are laid out in FOCUS, with columns in the order of its page
"Cost and Usage". They are bought by the unit (DBU) and told by the day.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from .bill import Ledger, invoice_of, own
from .company import Month, Period, noise

_COLUMNS = """
AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency
BillingPeriodEnd BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory
ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart
CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity
CommitmentDiscountStatus CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit
ContractedCost ContractedUnitPrice EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice
PricingCategory PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost
PricingCurrencyListUnitPrice PricingQuantity PricingUnit ProviderName PublisherName RegionId
RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName ServiceSubcategory SkuId
SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
"""
COLUMNS = _COLUMNS.split()
ACCOUNT = ("4c1d7a52-acme", "Acme AI Inc")
WORKSPACE = ("3817264490127755", "acme-lakehouse")


@dataclass(frozen=True)
class Charge:
    """Something that runs in the workspace. `amount` is a day's mean, in thousandths of a DBU."""

    resource: str
    kind: str
    service: str
    meter: str
    subcategory: str
    rate: int  # microdollars a DBU, listed
    contracted: int
    amount: int
    tags: Mapping[str, str]
    truth: tuple[str, str, str]


CHARGES = (
    Charge(
        "jobs/recommend-nightly",
        "Job",
        "Databricks Jobs",
        "ENTERPRISE_JOBS_COMPUTE",
        "Data Processing",
        200_000,
        180_000,
        96_000,
        {"feature": "recommend", "tenant": "shared", "environment": "production"},
        ("recommend", "shared", "production"),
    ),
    Charge(
        "warehouses/search-quality",
        "SQL warehouse",
        "Databricks SQL",
        "ENTERPRISE_SERVERLESS_SQL_COMPUTE",
        "Business Intelligence",
        700_000,
        630_000,
        18_000,
        {"feature": "search", "tenant": "shared", "environment": "staging"},
        ("search", "shared", "staging"),
    ),
)


def write(directory: Path, period: Period, month: Month, ledger: Ledger) -> None:
    """Write the month's rows, one a day and charge."""
    invoice = invoice_of("databricks", month, period.seed)
    charges = [
        replace(c, resource=f"{c.resource}-{n}") if n else c
        for n in range(period.scale)
        for c in CHARGES
    ]
    text = io.StringIO(newline="")
    out = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    out.writeheader()
    for charge in charges:
        own(ledger, month.name, charge.resource, charge.truth, charge.tags)
    for day in month.days:
        for place, charge in enumerate(charges):
            amount = charge.amount * (900 + noise(period.seed, 8000 + place, day.toordinal()) // 5)
            amount //= 1000
            cost = amount * charge.contracted
            ledger.add(month.name, invoice or "(open)", "USD", charge.resource, cost, cost)
            out.writerow(_cells(charge, day, amount, invoice, month))
    path = directory / month.name / "focus-00001.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode())


def _cells(charge: Charge, day: date, amount: int, invoice: str, month: Month) -> dict[str, str]:
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    begin = datetime(day.year, day.month, day.day)
    cost, listed = _decimal(amount * charge.contracted, 9), _decimal(amount * charge.rate, 9)
    price, list_price = _decimal(charge.contracted, 6), _decimal(charge.rate, 6)
    quantity = _decimal(amount, 3)
    return {
        "BilledCost": cost,
        "BillingAccountId": ACCOUNT[0],
        "BillingAccountName": ACCOUNT[1],
        "BillingAccountType": "Account",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": month.end.strftime(stamp),
        "BillingPeriodStart": month.begin.strftime(stamp),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{charge.meter} in US East",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": (begin + timedelta(days=1)).strftime(stamp),
        "ChargePeriodStart": begin.strftime(stamp),
        "ConsumedQuantity": quantity,
        "ConsumedUnit": "DBUs",
        "ContractedCost": cost,
        "ContractedUnitPrice": price,
        "EffectiveCost": cost,
        "InvoiceId": invoice,
        "InvoiceIssuerName": "Databricks",
        "ListCost": listed,
        "ListUnitPrice": list_price,
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingCurrencyContractedUnitPrice": price,
        "PricingCurrencyEffectiveCost": cost,
        "PricingCurrencyListUnitPrice": list_price,
        "PricingQuantity": quantity,
        "PricingUnit": "DBUs",
        "ProviderName": "Databricks",
        "PublisherName": "Databricks",
        "RegionId": "us-east-1",
        "RegionName": "US East",
        "ResourceId": charge.resource,
        "ResourceName": charge.resource.rpartition("/")[2],
        "ResourceType": charge.kind,
        "ServiceCategory": "Analytics",
        "ServiceName": charge.service,
        "ServiceSubcategory": charge.subcategory,
        "SkuId": charge.meter,
        "SkuMeter": charge.meter,
        "SkuPriceId": f"{charge.meter}/us-east-1",
        "SubAccountId": WORKSPACE[0],
        "SubAccountName": WORKSPACE[1],
        "SubAccountType": "Workspace",
        "Tags": json.dumps(charge.tags, sort_keys=True),
    }


def _decimal(units: int, places: int) -> str:
    """Units of 10^-places as a decimal string without needless zeros."""
    return format(Decimal(units).scaleb(-places).normalize(), "f")
