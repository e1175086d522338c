"""A file of each dialect, as CSV.gz and as Parquet, read beside DuckDB's bare conversion of it.

What belongs here: files as the providers write them (made up, the same every time), the reader of
the product on one of them, and the bound: the columns the dialect reads, cast to the types it
declares and written as Parquet, with the same codec, by one statement. The bound knows nothing of
tags, contracts, conservation, quarantine or order; it reads only what it writes.

Run in a process of its own for each file: `python -m benchmarks.dialects read|bare DIALECT FILE`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from finops_pipeline import bill
from finops_pipeline import config as configuration
from finops_pipeline.config import BillingSection
from finops_pipeline.contracts import table
from finops_pipeline.dialect import KINDS
from finops_pipeline.dialect import dialect as read_dialect
from finops_pipeline.transports import Item
from finops_pipeline.warehouse import connect, identifier, literal

from . import inputs
from .stage import warm

LINES = 1_000_000
FORMATS = ("csv.gz", "parquet")
TABLES = ("cost_and_usage", "quarantine", "delivered_tag_set", "delivery")
TARGET = 2.0
ROUNDS = 3
PATIENCE = 900
"""Seconds for focus-converter, which waits for ever where a column is missing."""


# ------------------------------------------------------------------------------- the files


@dataclass(frozen=True)
class Made:
    """SELECTs of a provider's file: as Parquet, and from that (`made`) as CSV."""

    parquet: str
    csv: str
    times: str = "%Y-%m-%dT%H:%M:%SZ"


def write(folder: Path, lines: int) -> None:
    """A file of each dialect in each format under `folder`; done already, it is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "inputs.txt"
    if done.exists() and done.read_text() == repr(lines):
        return
    with contextlib.closing(inputs.engine()) as engine:
        for name, made in MADE.items():
            parquet = folder / f"{name}.parquet"
            engine.execute(
                f"copy ({made.parquet.format(**_sizes(lines))}) to {literal(parquet)} "
                "(format parquet, compression snappy)"
            )
            engine.execute(
                f"copy (with made as (from read_parquet({literal(parquet)})) {made.csv}) "
                f"to {literal(folder / f'{name}.csv.gz')} (format csv, header, compression gzip, "
                f"timestampformat {literal(made.times)})"
            )
    done.write_text(repr(lines))


def _sizes(lines: int) -> dict[str, Any]:
    """What the SELECTs of `MADE` need to know."""
    return {
        "first": 0,
        "last": lines,
        "nodes": max(2, lines // 10_000),
        "resources": max(100, lines // 25),
        "tag_sets": max(50, lines // 80),
        "hours": 720,
        "start": f"{inputs.PERIOD}-01",
        "yyyymm": inputs.PERIOD.replace("-", ""),
        "restated_from": 0,
        "restated_until": 0,
    }


# Half of the sets name the resource, as people do; one in seven is empty.
DRAWN = """
with drawn as (
    select
        range as n,
        roll(range, 'charge') as h,
        roll(range, 'resource') % {resources} as r,
        timestamp '{start}' + to_hours(roll(range, 'hour') % {hours}) as starts_at
    from range({first}, {last})
),
known as (
    select
        drawn.*,
        t,
        roll(t, 'feature') % 40 as f,
        roll(t, 'tenant') % 300 as tenant,
        roll(r, 'service') % 12 as service,
        roll(r, 'account') % 25 as account,
        h % 1000000000 as amount,
        ['production', 'prod', 'Staging', 'dev'][1 + t % 4] as environment,
        ['chat', 'Search', 'summaries', 'translate', 'voice'][1 + roll(t, 'feature') % 5] as word
    from drawn, (select roll(drawn.r, 'tags') % {tag_sets} as t) as tagged
)
"""

AZURE = (
    DRAWN
    + """
select
    '8611537' as BillingAccountId,
    'Example Enrollment' as BillingAccountName,
    timestamp '{start}' as BillingPeriodStartDate,
    timestamp '{start}' + interval 1 month - interval 1 day as BillingPeriodEndDate,
    '8611537' as BillingProfileId,
    'Example Enrollment' as BillingProfileName,
    'owner-' || account || '@example.com' as AccountOwnerId,
    'account-' || account as AccountName,
    '1caaa5a3-2b66-438e-8ab4-' || lpad(account::varchar, 12, '0') as SubscriptionId,
    'Subscription ' || account as SubscriptionName,
    date_trunc('day', starts_at) as "Date",
    'Product ' || service || ' - S' || h % 7 || ' - West Europe' as Product,
    'AAD-' || (10000 + service * 100 + h % 60) as PartNumber,
    md5((service * 100 + h % 60)::varchar) as MeterId,
    'Compute' as ServiceFamily,
    ['Virtual Machines', 'Storage', 'Azure App Service', 'Virtual Network', 'Bandwidth',
     'Azure Database for PostgreSQL', 'Azure Kubernetes Service', 'Log Analytics', 'Key Vault',
     'Azure OpenAI', 'Service Bus', 'Functions'][service + 1] as MeterCategory,
    'Sub ' || h % 9 as MeterSubCategory,
    'West Europe' as MeterRegion,
    'S' || h % 7 || ' Meter' as MeterName,
    (1 + h % 1000) / 10 as Quantity,
    amount / 10000000000 / ((1 + h % 1000) / 10) as EffectivePrice,
    amount / 10000000000 as Cost,
    (h % 10000) / 1000000 as UnitPrice,
    'EUR' as BillingCurrency,
    'westeurope' as ResourceLocation,
    'Microsoft.Compute' as ConsumedService,
    '/subscriptions/1caaa5a3-2b66-438e-8ab4-' || lpad(account::varchar, 12, '0')
        || '/resourceGroups/rg-' || r % 50 || '/providers/Microsoft.Compute/virtualMachines/vm-'
        || r as ResourceId,
    'vm-' || r as ResourceName,
    case when h % 4 = 0 then '{{"UsageType":"ComputeHR","ImageType":"Canonical","ServiceType":'
        || '"Standard_D' || h % 8 || 's_v5","VMName":"vm-' || r || '"}}' end as AdditionalInfo,
    case
        when roll(t, 'untagged') % 100 < 15 then null
        else '"feature": "' || word || '-' || f || '","environment": "' || environment
            || '","team": "team-' || f || '","tenant": "tenant-' || tenant || '","Name": "vm-' || t
            || '"'
    end as Tags,
    'section-' || account % 5 as InvoiceSection,
    'cc-' || account % 9 as CostCenter,
    ['1 Hour', '1 GB/Month', '10K', '100 Hours', '1M'][1 + service % 5] as UnitOfMeasure,
    'rg-' || r % 50 as ResourceGroup,
    case when h % 40 = 0 then '49ed0e4d-8e0c-4f1f-af2c-' || lpad((h % 9)::varchar, 12, '0') end
        as ReservationId,
    case when h % 40 = 0 then 'VM_RI_' || h % 9 end as ReservationName,
    'MS-AZR-0017P' as OfferId,
    'Microsoft' as PublisherName,
    'Hot' as PlanName,
    'Usage' as ChargeType,
    'UsageBased' as Frequency,
    'Azure' as PublisherType,
    (h % 10000 + 500) / 1000000 as PayGPrice,
    case when h % 40 = 0 then 'Reservation' else 'OnDemand' end as PricingModel,
    case when h % 40 = 0
        then '/providers/Microsoft.Capacity/reservationOrders/49ed0e4d-8e0c-4f1f-af2c-'
            || lpad((h % 9)::varchar, 12, '0') || '/reservations/1' end as benefitId,
    case when h % 40 = 0 then 'VM_RI_' || h % 9 end as benefitName
from known
order by n
"""
).replace(
    "amount / 10000000000 as Cost", "case when h % 40 = 0 then 0 else amount end / 1e10 as Cost"
)

GCP = (
    DRAWN
    + """
select
    '01A2B3-C4D5E6-F7A8B9' as billing_account_id,
    {{'id': '6F81-' || service, 'description': ['Compute Engine', 'Cloud Storage', 'BigQuery',
        'Cloud SQL', 'Networking', 'Kubernetes Engine', 'Vertex AI', 'Cloud Logging', 'Cloud Run',
        'Cloud Pub/Sub', 'Cloud Monitoring', 'Secret Manager'][service + 1]}} as service,
    {{'id': '0001-' || (service * 100 + h % 60), 'description': 'N2 Instance Core ' || h % 60
        || ' running in Belgium'}} as sku,
    starts_at::timestamptz as usage_start_time,
    (starts_at + interval 1 hour)::timestamptz as usage_end_time,
    {{'id': 'project-' || account, 'number': (100000 + account)::varchar,
      'name': 'Project ' || account,
      'labels': [{{'key': 'cost_center', 'value': 'cc-' || account % 9}}]}} as project,
    case when roll(t, 'untagged') % 100 < 15 then []
        else [{{'key': 'feature', 'value': word || '-' || f}},
              {{'key': 'environment', 'value': environment}},
              {{'key': 'team', 'value': 'team-' || f}},
              {{'key': 'name', 'value': 'resource-' || t}}] end as labels,
    [{{'key': 'compute.googleapis.com/cores', 'value': (2 + t % 4)::varchar}}] as system_labels,
    {{'location': 'europe-west1', 'country': 'BE', 'region': 'europe-west1',
      'zone': 'europe-west1-' || ['b', 'c', 'd'][1 + r % 3]}} as location,
    [{{'key': 'env', 'value': environment, 'inherited': false, 'namespace': '1234'}}] as tags,
    'GOOGLE' as transaction_type,
    'Google LLC' as seller_name,
    (starts_at + interval 5 hour)::timestamptz as export_time,
    amount / 10000000000 as cost,
    'USD' as currency,
    1.0::double as currency_conversion_rate,
    {{'amount': (h % 3600000)::double, 'unit': 'seconds',
      'amount_in_pricing_units': (h % 3600000) / 3600, 'pricing_unit': 'hour'}} as usage,
    case when h % 3 = 0 then [{{'name': 'Sustained', 'amount': -amount / 100000000000,
        'full_name': 'Sustained Usage Discount', 'id': 'sud',
        'type': 'SUSTAINED_USAGE_DISCOUNT'}}]
        else [] end as credits,
    {{'month': '{yyyymm}', 'publisher_type': 'GOOGLE'}} as invoice,
    'regular' as cost_type,
    {{'id': null::varchar, 'description': null::varchar, 'mode': null::varchar,
      'type': null::varchar}} as adjustment_info,
    (amount + 1000) / 10000000000 as cost_at_list,
    {{'name': 'projects/project-' || account || '/instances/vm-' || r,
      'global_name': '//compute.googleapis.com/projects/project-' || account || '/instances/'
        || r}} as resource,
    {{'effective_price': ((h % 10000) / 1000000)::decimal(38, 9),
      'list_price': ((h % 10000) / 1000000)::decimal(38, 9),
      'tier_start_amount': 0::decimal(38, 9), 'unit': 'hour',
      'pricing_unit_quantity': 1::decimal(38, 9)}} as price
from known
order by n
"""
)

GCP_CSV = """
select
    billing_account_id, service.id as "service.id", service.description as "service.description",
    sku.id as "sku.id", sku.description as "sku.description",
    usage_start_time::timestamp as usage_start_time, usage_end_time::timestamp as usage_end_time,
    project.id as "project.id", project.number as "project.number", project.name as "project.name",
    to_json(project.labels) as "project.labels", to_json(labels) as labels,
    to_json(system_labels) as system_labels, location.location as "location.location",
    location.country as "location.country", location.region as "location.region",
    location.zone as "location.zone", to_json(tags) as tags, transaction_type, seller_name,
    export_time::timestamp as export_time, cost, currency, currency_conversion_rate,
    usage.amount as "usage.amount", usage.unit as "usage.unit",
    usage.amount_in_pricing_units as "usage.amount_in_pricing_units",
    usage.pricing_unit as "usage.pricing_unit", to_json(credits) as credits,
    invoice.month as "invoice.month", cost_type, adjustment_info.id as "adjustment_info.id",
    adjustment_info.description as "adjustment_info.description",
    adjustment_info.mode as "adjustment_info.mode", adjustment_info.type as "adjustment_info.type",
    cost_at_list, resource.name as "resource.name", resource.global_name as "resource.global_name",
    price.effective_price as "price.effective_price", price.list_price as "price.list_price",
    price.tier_start_amount as "price.tier_start_amount", price.unit as "price.unit",
    price.pricing_unit_quantity as "price.pricing_unit_quantity"
from made
"""

FOCUS = (
    DRAWN
    + """
select
    'europe-west-' || r % 3 as AvailabilityZone,
    (amount / 10000000000)::decimal(38, 12) as BilledCost,
    '1234567890123' as BillingAccountId,
    'Example Payer' as BillingAccountName,
    'USD' as BillingCurrency,
    timestamp '{start}' + interval 1 month as BillingPeriodEnd,
    timestamp '{start}' as BillingPeriodStart,
    case when h % 300 = 0 then 'Tax' else 'Usage' end as ChargeCategory,
    null::varchar as ChargeClass,
    '$0.0' || h % 100 || ' per unit of usage in US West (Oregon)' as ChargeDescription,
    'Usage-Based' as ChargeFrequency,
    starts_at + interval 1 hour as ChargePeriodEnd,
    starts_at as ChargePeriodStart,
    case when h % 25 = 0 then 'Spend' end as CommitmentDiscountCategory,
    case when h % 25 = 0 then 'arn:plan/' || h % 9 end as CommitmentDiscountId,
    case when h % 25 = 0 then 'Plan ' || h % 9 end as CommitmentDiscountName,
    case when h % 25 = 0 then 'Used' end as CommitmentDiscountStatus,
    case when h % 25 = 0 then 'Savings Plan' end as CommitmentDiscountType,
    ((1 + h % 1000) / 10)::decimal(38, 12) as ConsumedQuantity,
    ['Hrs', 'GB-Mo', 'Requests'][1 + service % 3] as ConsumedUnit,
    (amount / 10000000000)::decimal(38, 12) as ContractedCost,
    ((h % 10000) / 1000000)::decimal(38, 12) as ContractedUnitPrice,
    (amount * 9 / 100000000000)::decimal(38, 12) as EffectiveCost,
    '2025000' || account % 3 as InvoiceId,
    'Example Cloud, Inc.' as InvoiceIssuerName,
    ((amount + 1000) / 10000000000)::decimal(38, 12) as ListCost,
    ((h % 10000) / 1000000)::decimal(38, 12) as ListUnitPrice,
    'Standard' as PricingCategory,
    ((1 + h % 1000) / 10)::decimal(38, 12) as PricingQuantity,
    ['Hrs', 'GB-Mo', 'Requests'][1 + service % 3] as PricingUnit,
    'Example Cloud' as ProviderName,
    'Example Cloud, Inc.' as PublisherName,
    'us-west-2' as RegionId,
    'US West (Oregon)' as RegionName,
    'urn:svc' || service || ':us-west-2:' || account || ':resource/'
        || lpad(to_hex(roll(r, 'id')), 16, '0') as ResourceId,
    'resource-' || r as ResourceName,
    'Type ' || service as ResourceType,
    ['Compute', 'Storage', 'Databases', 'Networking', 'Analytics', 'Integration'][1 + service % 6]
        as ServiceCategory,
    'Service ' || service as ServiceName,
    'SKU' || (service * 100 + h % 60) as SkuId,
    'SKU' || (service * 100 + h % 60) || '.RATE' || h % 60 as SkuPriceId,
    (200000000000 + account)::varchar as SubAccountId,
    'account-' || account as SubAccountName,
    case when roll(t, 'untagged') % 100 < 15 then '{{}}'
        else '{{"feature":"' || word || '-' || f || '","environment":"' || environment
            || '","team":"team-' || f || '","tenant":"tenant-' || tenant || '","Name":"resource-'
            || t || '"}}'
    end as Tags
from known
order by n
"""
)

MADE = {
    "aws_cur": Made(
        # The columns added are there for focus-converter, which does not end without them.
        f"""select *, 'us-east-1' as product_region, 'OnDemand' as product_purchase_option,
            null::varchar as savings_plan_savings_plan_arn, 'RATE' as pricing_rate_code,
            null::double as reservation_total_reserved_units from ({inputs.BILL})""",
        "select * replace (to_json(resource_tags) as resource_tags) from made",
    ),
    "azure": Made(
        AZURE,
        """select * replace (strftime("Date", '%m/%d/%Y') as "Date",
            strftime(BillingPeriodStartDate, '%m/%d/%Y') as BillingPeriodStartDate,
            strftime(BillingPeriodEndDate, '%m/%d/%Y') as BillingPeriodEndDate) from made""",
    ),
    "gcp": Made(GCP, GCP_CSV),
    "focus": Made(FOCUS, "select * from made"),
}


# --------------------------------------------------------------------- in a process of its own


def read(dialect: str, file: Path) -> dict[str, Any]:
    """The reader of the product on one file: its four tables, held to their contracts."""
    warm()
    read_dialect(dialect)  # parsed once a run
    costs = {"costs": "actual", "pair": "amortised"} if dialect == "azure" else {}
    block = BillingSection(name="made", dialect=dialect, location="in/{period}/*", **costs)  # type: ignore[arg-type]
    item = Item(file.name, file.stat().st_size, "made", file.name)

    def once(engine: duckdb.DuckDBPyConnection, folder: Path) -> int:
        done = bill.read_file(
            engine, block, inputs.PERIOD, item, file, folder / "out", sha256="0" * 64
        )
        for name in TABLES:
            table(name).validate([folder / "out" / f"{name}.parquet"])
        if done.quarantined:
            raise SystemExit(f"{file.name}: {done.quarantined} rows were quarantined")
        return done.rows

    return _timed(once)


def bare(dialect: str, file: Path) -> dict[str, Any]:
    """DuckDB's own conversion of the same columns to Parquet, as they are declared."""
    spoken = read_dialect(dialect)

    def once(engine: duckdb.DuckDBPyConnection, folder: Path) -> int:
        scan, types = _scan(engine, file)
        columns = {}
        for name, kind in [
            *((c.name, KINDS[c.kind]) for c in spoken.columns),
            *((name, "VARCHAR") for name, _ in spoken.tag_lists),
        ]:
            spellings = [name, *(other for c, other in spoken.spellings if c == name)]
            expression = next((e for s in spellings if (e := _found(types, s, kind))), None)
            if expression:
                columns[name.partition("[]")[0]] = expression
        listed = ", ".join(f"{e} as {identifier(n)}" for n, e in columns.items())
        target = literal(folder / "bare.parquet")
        done = engine.execute(f"copy (select {listed} from {scan}) to {target} {bill.COPY}")
        return int(done.fetchall()[0][0])

    return _timed(once)


def _scan(engine: duckdb.DuckDBPyConnection, file: Path) -> tuple[str, dict[str, str]]:
    """SQL that reads a file with nothing guessed, and its columns with their types."""
    scan = f"read_parquet({literal(file)})"
    if file.name.endswith(".gz"):
        scan = f"read_csv({literal(file)}, all_varchar = true, header = true, delim = ',', quote = '\"')"
    described = engine.execute(f"describe from {scan}").fetchall()
    return scan, {row[0]: row[1] for row in described}


def _found(types: dict[str, str], name: str, kind: str) -> str | None:
    """SQL of a column, or the field of a record, cast as it is declared; None if not there.

    A list of records whose fields the dialect reads is copied as it is.
    """
    column, inside, _ = name.partition("[]")
    at = next((t for t in types if t.casefold() == column.casefold()), None)
    if at is not None:
        ref, duck_type = identifier(at), types[at]
    else:
        outer, _, field = column.partition(".")
        if not re.search(rf'[(, ]"?{field}"? ', types.get(outer, "")):
            return None
        ref, duck_type = f"{identifier(outer)}.{identifier(field)}", ""
    if inside:
        return ref
    if duck_type.startswith(("MAP(", "STRUCT(")) or duck_type.endswith("[]"):
        return f"cast(to_json({ref}) as varchar)"
    return f"cast({ref} as {kind})"


def _timed(once: Callable[[duckdb.DuckDBPyConnection, Path], int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="finops-bench-") as scratch:
        folder = Path(scratch)
        settings = configuration.parse({}, folder)
        with contextlib.closing(connect(settings, folder / "spill", sums_joins=False)) as engine:
            started, cpu = time.perf_counter(), time.process_time()
            rows = once(engine, folder)
            seconds, used = time.perf_counter() - started, time.process_time() - cpu
    return {"seconds": seconds, "cpu": used, "rows": rows}


# ---------------------------------------------------------------------------- beside another


def focus_converter(command: str, file: Path, folder: Path) -> dict[str, Any] | str:
    """What focus-converter took for the Parquet file of AWS, whole process, or how it ended.

    It reads no maps, so the tags are text for it, and from CSV no times. It has no tags, and its
    money is floating point.
    """
    target = folder / "focus-converter"
    target.mkdir(exist_ok=True)
    given = target.with_suffix(".parquet")
    with contextlib.closing(inputs.engine()) as engine:
        engine.execute(
            "copy (select * replace (cast(to_json(resource_tags) as varchar) as resource_tags) "
            f"from read_parquet({literal(file)})) to {literal(given)} "
            "(format parquet, compression snappy)"
        )
    asked = "--provider aws --data-format parquet --parquet-data-format file"
    asked += f" --data-path {given} --export-path {target}"
    said = target.with_suffix(".txt")
    started = time.perf_counter()
    with said.open("wb") as errors:
        child = subprocess.Popen(
            [command, "convert", *asked.split()], stdout=subprocess.DEVNULL, stderr=errors
        )
    while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
        time.sleep(0.05)
        if time.perf_counter() - started > PATIENCE:
            child.kill()
            ended = os.wait4(child.pid, 0)
            break
    _, status, used = ended
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        last = said.read_text(errors="replace").strip().rpartition("\n")[2]
        return f"exit code {child.returncode}, {last or 'without a word'}"
    return {
        "seconds": time.perf_counter() - started,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    what, spoken_dialect, of_file = sys.argv[1:]
    print(json.dumps({"read": read, "bare": bare}[what](spoken_dialect, Path(of_file))))
