"""What AWS bills: a Data Exports delivery (CUR 2.0). And the exact sums of all that is billed.

What belongs here: how AWS lays charges out, and the ledger that every provider's bill is counted
in, in integers of 10^-9 of the currency. Column names and types: "Cost and Usage Report (CUR)
2.0" table dictionary, default query. Costs in CUR are doubles, so each is the double nearest to
a decimal of at most nine places. Net columns are empty, as without private pricing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from .company import (
    API_FAULTS,
    API_TAGS,
    COMMITMENT,
    ENDPOINTS,
    EPOCH,
    NONPROD,
    PAYER,
    PROD,
    RECURRING,
    REGION,
    TRANSFER,
    UNTAGGED,
    Fault,
    Month,
    Period,
    api_resource,
    busy,
    each,
    guid,
    ident,
    nodes,
    noise,
)

EXPORT = "acme-cur"
NANO = 1_000_000_000

Tokens = Mapping[str, Mapping[datetime, tuple[int, int, int]]]
"""Model group -> hour -> billed (uncached input, cached input, output) tokens."""


@dataclass
class Ledger:
    """The exact sums of what was written, in 10^-9 of the currency."""

    billed: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    effective: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    rows: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    faults: list[tuple[str, str, Fault]] = field(default_factory=list)

    def add(
        self, month: str, invoice: str, currency: str, resource: str, billed: int, effective: int
    ) -> None:
        """Count one charge."""
        key = (month, invoice, currency)
        self.billed[key] += billed
        self.effective[key] += effective
        self.rows[key] += 1
        entry = self.resources.setdefault(
            (month, resource), {"currency": currency, "effective": 0, "rows": 0}
        )
        entry["effective"] += effective
        entry["rows"] += 1


def money(nano: int) -> str:
    """Units of 10^-9 as an exact decimal string."""
    return format(Decimal(nano).scaleb(-9).quantize(Decimal("0.000000000001")), "f")


# ---------------------------------------------------------------------------------------- AWS

CUR_COLUMNS = """
bill_bill_type bill_billing_entity bill_billing_period_end_date:t bill_billing_period_start_date:t
bill_invoice_id bill_invoicing_entity bill_payer_account_id bill_payer_account_name
cost_category:m discount:md discount_bundled_discount:d discount_total_discount:d
identity_line_item_id identity_time_interval line_item_availability_zone
line_item_blended_cost:d line_item_blended_rate line_item_currency_code line_item_legal_entity
line_item_line_item_description line_item_line_item_type line_item_net_unblended_cost:d
line_item_net_unblended_rate line_item_normalization_factor:d
line_item_normalized_usage_amount:d line_item_operation line_item_product_code
line_item_resource_id line_item_tax_type line_item_unblended_cost:d line_item_unblended_rate
line_item_usage_account_id line_item_usage_account_name line_item_usage_amount:d
line_item_usage_end_date:t line_item_usage_start_date:t line_item_usage_type pricing_currency
pricing_lease_contract_length pricing_offering_class pricing_public_on_demand_cost:d
pricing_public_on_demand_rate pricing_purchase_option pricing_rate_code pricing_rate_id
pricing_term pricing_unit product:m product_comment product_fee_code product_fee_description
product_from_location product_from_location_type product_from_region_code
product_instance_family product_instance_type product_instancesku product_location
product_location_type product_operation product_pricing_unit product_product_family
product_region_code product_servicecode product_sku product_to_location product_to_location_type
product_to_region_code product_usagetype reservation_amortized_upfront_cost_for_usage:d
reservation_amortized_upfront_fee_for_billing_period:d reservation_availability_zone
reservation_effective_cost:d reservation_end_time reservation_modification_status
reservation_net_amortized_upfront_cost_for_usage:d
reservation_net_amortized_upfront_fee_for_billing_period:d reservation_net_effective_cost:d
reservation_net_recurring_fee_for_usage:d
reservation_net_unused_amortized_upfront_fee_for_billing_period:d
reservation_net_unused_recurring_fee:d reservation_net_upfront_value:d
reservation_normalized_units_per_reservation reservation_number_of_reservations
reservation_recurring_fee_for_usage:d reservation_reservation_a_r_n reservation_start_time
reservation_subscription_id reservation_total_reserved_normalized_units
reservation_total_reserved_units reservation_units_per_reservation
reservation_unused_amortized_upfront_fee_for_billing_period:d
reservation_unused_normalized_unit_quantity:d reservation_unused_quantity:d
reservation_unused_recurring_fee:d reservation_upfront_value:d resource_tags:m
savings_plan_amortized_upfront_commitment_for_billing_period:d savings_plan_end_time
savings_plan_instance_type_family
savings_plan_net_amortized_upfront_commitment_for_billing_period:d
savings_plan_net_recurring_commitment_for_billing_period:d
savings_plan_net_savings_plan_effective_cost:d savings_plan_offering_type
savings_plan_payment_option savings_plan_purchase_term
savings_plan_recurring_commitment_for_billing_period:d savings_plan_region
savings_plan_savings_plan_a_r_n savings_plan_savings_plan_effective_cost:d
savings_plan_savings_plan_rate:d savings_plan_start_time
savings_plan_total_commitment_to_date:d savings_plan_used_commitment:d
"""
"""Name of each column; `t` timestamp, `d` double, `m` map of text, `md` map of doubles."""

# service: product code | product name | service code | product family | operation
_SERVICES = """
ec2: AmazonEC2 | Amazon Elastic Compute Cloud | AmazonEC2 | Compute Instance | RunInstances
ebs: AmazonEC2 | Amazon Elastic Compute Cloud | AmazonEC2 | Storage | CreateVolume-Gp3
nat: AmazonEC2 | Amazon Elastic Compute Cloud | AmazonEC2 | NAT Gateway | NatGateway
transfer: AmazonEC2 | Amazon Elastic Compute Cloud | AWSDataTransfer | Data Transfer | RunInstances
elb: AWSELB | Elastic Load Balancing | AWSELB | Load Balancer | LoadBalancing:Application
nlb: AWSELB | Elastic Load Balancing | AWSELB | Load Balancer-Network | LoadBalancing:Network
eks: AmazonEKS | Amazon Elastic Kubernetes Service | AmazonEKS | Compute | CreateOperation
s3: AmazonS3 | Amazon Simple Storage Service | AmazonS3 | Storage | StandardStorage
rds: AmazonRDS | Amazon Relational Database Service | AmazonRDS | Database Instance | CreateDB
opensearch: AmazonES | Amazon OpenSearch Service | AmazonES | Search Instance | ESDomain
elasticache: AmazonElastiCache | Amazon ElastiCache | AmazonElastiCache | Cache | CreateCache
lambda: AWSLambda | AWS Lambda | AWSLambda | Serverless | Invoke
bedrock: AmazonBedrock | Amazon Bedrock | AmazonBedrock | Amazon Bedrock | InvokeModelInference
sagemaker: AmazonSageMaker | Amazon SageMaker | AmazonSageMaker | ML Instance | CreateTrainingJob
support: AWSSupportBusiness | AWS Support (Business) | AWSSupportBusiness | AWS Support |
savingsplan: ComputeSavingsPlans | Savings Plans for AWS Compute usage | ComputeSavingsPlans | |
"""
SERVICES = {
    name: tuple(cell.strip() for cell in cells.split("|"))
    for name, cells in (line.split(": ", 1) for line in _SERVICES.strip().splitlines())
}


@dataclass(frozen=True)
class Meter:
    """What one CUR line repeats from hour to hour: all but its time, amount and money."""

    service: str
    account: tuple[str, str]
    usage_type: str
    unit: str
    rate: int  # microdollars a unit
    resource: str = ""
    line_type: str = "Usage"
    tags: tuple[tuple[str, str], ...] = ()
    zone: str = ""
    instance_type: str = ""
    description: str = ""
    term: str = "OnDemand"
    savings_plan_rate: int = 0
    operation: str = ""
    bill_type: str = "Anniversary"
    tax_type: str = ""


@dataclass(frozen=True)
class Line:
    """One charge: `amount` in thousandths of a unit, money in 10^-9 dollars."""

    meter: Meter
    begin: datetime
    end: datetime
    amount: int
    cost: int
    effective: int
    commitment: int = 0  # of the savings plan, on its recurring fee
    used: int = 0


def user_tags(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Cost allocation tags as CUR 2.0 names them."""
    named = {
        ("aws_eks_cluster_name" if k == "eks_cluster" else f"user_{k}"): v for k, v in tags.items()
    }
    return tuple(sorted(named.items()))


def arn(service: str, name: str, account: str, copy: int, seed: int) -> str:
    """What the bill has in line_item_resource_id."""
    name = name if copy == 0 else f"{name}-{copy}"
    if service == "s3":
        return name
    if service == "ec2":
        return "i-0" + ident(seed, "instance", name, size=16)
    if service == "ebs":
        return "vol-0" + ident(seed, "volume", name, size=16)
    made_up = ident(seed, name, size=16)
    shape = {
        "rds": f"rds:{REGION}:{account}:db:{name}",
        "opensearch": f"es:{REGION}:{account}:domain/{name}",
        "elasticache": f"elasticache:{REGION}:{account}:replicationgroup:{name}",
        "lambda": f"lambda:{REGION}:{account}:function:{name}",
        "elb": f"elasticloadbalancing:{REGION}:{account}:loadbalancer/app/{name}/{made_up}",
        "nlb": f"elasticloadbalancing:{REGION}:{account}:loadbalancer/net/{name}/{made_up}",
        "eks": f"eks:{REGION}:{account}:cluster/{name}",
        "sagemaker": f"sagemaker:{REGION}:{account}:training-job/{name}",
        "nat": f"ec2:{REGION}:{account}:natgateway/nat-0{made_up}",
    }
    return f"arn:aws:{shape[service]}"


def savings_plan_arn(seed: int) -> str:
    """The one savings plan."""
    return f"arn:aws:savingsplans::{PAYER[0]}:savingsplan/{guid(seed, 'savings-plan')}"


def aws_lines(
    period: Period, month: Month, tokens: Tokens, jobs: Iterable[Line], ledger: Ledger
) -> list[Line]:
    """Every line of the month, ordered by time. Faults and owners go to the ledger."""
    hours = month.hours()
    lines = [
        *_node_lines(period, month, ledger),
        *_resource_lines(period, month, hours, ledger),
        *_bedrock_lines(period, month, tokens, ledger),
        *jobs,
    ]
    lines += _monthly_lines(period, month, lines)
    lines.sort(key=lambda n: (n.begin, n.end))
    return lines


def _node_lines(period: Period, month: Month, ledger: Ledger) -> Iterable[Line]:
    hours = month.hours()
    hour_long = timedelta(hours=1)
    used: dict[datetime, int] = defaultdict(int)
    plan = savings_plan_arn(period.seed)
    for node in nodes(period):
        rid = node.instance_id(period.seed)
        ledger.faults += [(month.name, rid, fault) for fault in node.faults]
        spot = node.purchase == "spot"
        offer = "Spot" if spot else "On Demand"
        covered = node.purchase == "savings_plan"
        sku = ident(period.seed, node.instance_type, size=16).upper()
        common = Meter(
            "ec2",
            PROD,
            ("SpotUsage:" if spot else "BoxUsage:") + node.instance_type,
            "Hrs",
            node.rate,
            rid,
            "SavingsPlanCoveredUsage" if covered else "Usage",
            user_tags(node.tags),
            node.zone,
            node.instance_type,
            f"${node.rate / 1e6} per {offer} Linux {node.instance_type} Instance Hour",
            "Spot" if spot else "OnDemand",
            node.savings_plan_rate,
            "RunInstances:SV001" if spot else "RunInstances",
        )
        negation = Meter(
            **{
                **vars(common),
                "line_type": "SavingsPlanNegation",
                "description": f"SavingsPlanNegation used by AccountId: {PROD[0]}, UsageSku: {sku}",
            }
        )
        for hour in hours:
            begin, end = (
                max(hour, node.begin or hour),
                min(hour + hour_long, node.end or hour + hour_long),
            )
            if begin >= end:
                continue
            seconds = int((end - begin).total_seconds())
            # Seconds of an hour are thousandths only together: 3600 s = 1000.
            amount = -(-seconds * 1000 // 3600)
            cost = amount * node.rate
            if covered:
                effective = amount * node.savings_plan_rate
                used[hour] += effective
                yield Line(common, begin, end, amount, cost, effective)
                yield Line(negation, begin, end, amount, -cost, 0)
            else:
                yield Line(common, begin, end, amount, cost, cost)
    fee = Meter(
        "savingsplan",
        PAYER,
        "ComputeSP:1yrPartialUpfront",
        "Hrs",
        RECURRING * period.scale,
        plan,
        "SavingsPlanRecurringFee",
        (),
        "",
        "",
        "1 year Partial Upfront Compute Savings Plan",
    )
    committed = COMMITMENT * period.scale * 1000
    for hour in hours:
        # Half was paid in March: the invoice asks for the rest, the effective cost knows both.
        cost = RECURRING * period.scale * 1000
        yield Line(
            fee, hour, hour + hour_long, 1000, cost, committed - used[hour], committed, used[hour]
        )


def _resource_lines(
    period: Period, month: Month, hours: list[datetime], ledger: Ledger
) -> Iterable[Line]:
    hour_long = timedelta(hours=1)
    shape = [busy(h) for h in hours]
    first = (hours[0] - EPOCH) // hour_long
    place = 0
    for copy, resource in each(period):
        rid = arn(resource.service, resource.name, resource.account[0], copy, period.seed)
        tags = user_tags(resource.tags)
        own(ledger, month.name, rid, resource.truth, resource.tags, resource.faults)
        for usage_type, unit, rate, mean, follows in resource.meters:
            place += 1
            instance = (
                usage_type.split(":")[1]
                if usage_type.split(":")[0]
                in ("BoxUsage", "InstanceUsage", "NodeUsage", "ESInstance")
                else ""
            )
            meter = Meter(
                resource.service,
                resource.account,
                "USE1-" * (resource.service == "lambda") + usage_type,
                unit,
                rate,
                rid,
                tags=tags,
                zone="us-east-1a" if instance else "",
                instance_type=instance,
                description=f"${rate / 1e6} per {unit} {usage_type}",
            )
            for n, hour in enumerate(hours):
                amount = mean
                if follows:
                    amount = (
                        mean
                        * shape[n]
                        * (900 + noise(period.seed, place, first + n) // 5)
                        // 1_000_000
                    )
                if amount:
                    yield Line(meter, hour, hour + hour_long, amount, amount * rate, amount * rate)
    account, usage_type, unit, rate, mean = TRANSFER
    meter = Meter(
        "transfer",
        account,
        usage_type,
        unit,
        rate,
        description=f"${rate / 1e6} per GB - data transfer out",
    )
    ledger.faults += [(month.name, _name(meter), fault) for fault in UNTAGGED]
    for n, hour in enumerate(hours):
        amount = (
            mean
            * period.scale
            * shape[n]
            * (900 + noise(period.seed, 0, first + n) // 5)
            // 1_000_000
        )
        yield Line(meter, hour, hour + hour_long, amount, amount * rate, amount * rate)


def _bedrock_lines(period: Period, month: Month, tokens: Tokens, ledger: Ledger) -> Iterable[Line]:
    hour_long = timedelta(hours=1)
    for endpoint in ENDPOINTS:
        if endpoint.provider != "aws.bedrock":
            continue
        rid = api_resource(period.seed, endpoint.group)
        if fault := API_FAULTS.get(endpoint.group):
            ledger.faults.append((month.name, rid, fault))
        kinds = ("input-tokens", "cache-read-input-token-count", "output-tokens")
        meters = [
            Meter(
                "bedrock",
                PROD,
                f"USE1-{endpoint.model}-{kind}",
                "1K tokens",
                rate,
                rid,
                tags=user_tags(API_TAGS[endpoint.group]),
                description=f"${rate / 1e6} per 1K {kind} for {endpoint.model}",
            )
            for kind, rate in zip(kinds, endpoint.prices, strict=True)
        ]
        by_hour = tokens.get(endpoint.group, {})
        for hour in month.hours():
            for meter, amount in zip(meters, by_hour.get(hour, (0, 0, 0)), strict=True):
                if amount:
                    cost = amount * meter.rate
                    yield Line(meter, hour, hour + hour_long, amount, cost, cost)


def _monthly_lines(period: Period, month: Month, lines: list[Line]) -> list[Line]:
    """Support, tax, a credit and a refund: lines of the whole month that no resource has."""
    spent: dict[tuple[tuple[str, str], str], int] = defaultdict(int)
    for line in lines:
        spent[line.meter.account, line.meter.service] += line.cost
    cent = NANO // 100
    begin, end = month.begin, month.end
    found = []

    def lump(meter: Meter, cost: int, begin: datetime = begin, end: datetime = end) -> None:
        cost = cost // cent * cent
        found.append(Line(meter, begin, end, 1000, cost, cost))

    total = sum(spent.values())
    share = {a: sum(v for (b, _), v in spent.items() if b == a) for a in (PROD, NONPROD)}
    for tier, percent, low, high in (
        ("first $0-$10K", 10, 0, 10_000),
        ("next $10K-$80K", 7, 10_000, 80_000),
        ("next $80K-$250K", 5, 80_000, 250_000),
    ):
        inside = max(0, min(total, high * NANO) - low * NANO) * percent // 100
        for account in (PROD, NONPROD):
            part = inside * share[account] // max(1, sum(share.values()))
            if part >= cent:
                text = f"{percent}% of monthly AWS usage for the {tier}"
                lump(
                    Meter(
                        "support", account, "Dollar", "Dollar", 0, line_type="Fee", description=text
                    ),
                    part,
                )
    for (account, service), cost in sorted(spent.items(), key=lambda s: (s[0][0], s[0][1])):
        if cost * 2 // 100 >= cent:
            tax = Meter(
                service,
                account,
                "",
                "",
                0,
                line_type="Tax",
                tax_type="Sales Tax",
                description=f"Tax for product code {SERVICES[service][0]}",
            )
            lump(tax, cost * 2 // 100)
    promo = Meter(
        "bedrock",
        PROD,
        "",
        "",
        0,
        line_type="Credit",
        description="AWS Activate: generative AI credit",
    )
    lump(promo, -total * 2 // 100)
    last = begin - timedelta(days=17)
    refund = Meter(
        "s3",
        PROD,
        "Requests-Tier1",
        "",
        0,
        arn("s3", "acme-moderation-audit", PROD[0], 0, period.seed),
        "Refund",
        description="Refund for S3 requests billed in error in the previous month",
        bill_type="Refund",
    )
    lump(refund, -1234_500_000_00, last, last + timedelta(days=1))
    return found


def own(
    ledger: Ledger,
    month: str,
    resource: str,
    truth: Sequence[str | None],
    tags: Mapping[str, str],
    faults: Iterable[Fault] = (),
    currency: str = "USD",
) -> None:
    """Note who really owns a resource (feature, tenant, environment) and what is wrong."""
    entry = ledger.resources.setdefault(
        (month, resource), {"currency": currency, "effective": 0, "rows": 0}
    )
    entry.update(zip(("feature", "tenant", "environment"), truth, strict=True))
    entry["tags"] = tags
    for fault in faults:
        ledger.faults.append((month, resource, fault))


def invoice_of(provider: str, month: Month, seed: int) -> str:
    """The invoice's number; empty while the month is open, as the provider leaves it."""
    if not month.closed:
        return ""
    digits = str(int(ident(seed, provider, month.name, size=12), 16))
    prefix = {"aws": "20", "azure-usd": "G", "azure-eur": "E", "databricks": "DBX"}[provider]
    return prefix + digits[: 10 - len(prefix)]


def write_aws(
    directory: Path,
    period: Period,
    month: Month,
    tokens: Tokens,
    jobs: Iterable[Line],
    ledger: Ledger,
) -> None:
    """Write the month's delivery under `directory`: two Parquet parts and the manifest.

    `jobs` are charges of what ran when it was asked to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    lines = aws_lines(period, month, tokens, jobs, ledger)
    invoice = invoice_of("aws", month, period.seed)
    for line in lines:
        ledger.add(
            month.name, invoice or "(open)", "USD", _name(line.meter), line.cost, line.effective
        )
    parts = []
    for number, part in enumerate((lines[: len(lines) // 2], lines[len(lines) // 2 :]), 1):
        table = _cur_table(pa, part, period, month, invoice)
        name = f"data/BILLING_PERIOD={month.name}/{EXPORT}-{number:05d}.snappy.parquet"
        target = directory / EXPORT / name
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, target, compression="snappy", store_schema=False)
        parts.append(f"s3://acme-billing/cur/{EXPORT}/{name}")
    path = (
        directory / EXPORT / "metadata" / f"BILLING_PERIOD={month.name}" / f"{EXPORT}-Manifest.json"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_manifest(period, month, parts), indent=2) + "\n", encoding="utf-8")


def _name(meter: Meter) -> str:
    """What the truth calls it: the resource, or product and kind of a line without one."""
    return meter.resource or f"({SERVICES[meter.service][1]} {meter.line_type})"


def _columns() -> list[tuple[str, str]]:
    return [(w.partition(":")[0], w.partition(":")[2] or "s") for w in CUR_COLUMNS.split()]


def _manifest(period: Period, month: Month, parts: list[str]) -> dict[str, Any]:
    types = {
        "s": "string",
        "t": "timestamp",
        "d": "double",
        "m": "map<string,string>",
        "md": "map<string,double>",
    }
    export = f"{EXPORT}-{guid(period.seed, 'export')}"
    return {
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{PAYER[0]}:export/{export}",
        "exportName": EXPORT,
        "executionId": guid(period.seed, "execution", month.name, month.days[-1]),
        "billingPeriod": {
            "start": month.begin.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "end": month.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "columns": [{"name": n, "type": types[t]} for n, t in _columns()],
        "dataFiles": parts,
        "additionalOutputFiles": [],
    }


def _cur_table(pa: Any, lines: list[Line], period: Period, month: Month, invoice: str) -> Any:
    """The lines as an Arrow table: what the meter says is taken, what the line says computed."""
    meters = {id(n.meter): n.meter for n in lines}
    places = {key: n for n, key in enumerate(meters)}
    index = pa.array([places[id(n.meter)] for n in lines], pa.int32())
    fixed = [_meter_cells(m, period, month, invoice) for m in meters.values()]
    moving: dict[str, list[Any]] = {
        "identity_line_item_id": [
            ident(period.seed, month.name, i, n.begin, size=52) for i, n in enumerate(lines)
        ],
        "identity_time_interval": [
            f"{n.begin:%Y-%m-%dT%H:%M:%SZ}/{n.end:%Y-%m-%dT%H:%M:%SZ}" for n in lines
        ],
        "line_item_usage_start_date": [n.begin for n in lines],
        "line_item_usage_end_date": [n.end for n in lines],
        "line_item_usage_amount": [n.amount / 1000 for n in lines],
        "line_item_normalized_usage_amount": [0.0] * len(lines),
        "line_item_unblended_cost": [n.cost / NANO for n in lines],
        "line_item_blended_cost": [n.cost / NANO for n in lines],
        "pricing_public_on_demand_cost": [
            n.amount * n.meter.rate / NANO
            if n.meter.line_type in ("Usage", "SavingsPlanCoveredUsage")
            else 0.0
            for n in lines
        ],
        "savings_plan_savings_plan_effective_cost": [
            n.effective / NANO if n.meter.line_type == "SavingsPlanCoveredUsage" else 0.0
            for n in lines
        ],
        "savings_plan_total_commitment_to_date": [n.commitment / NANO for n in lines],
        "savings_plan_used_commitment": [n.used / NANO for n in lines],
        "savings_plan_recurring_commitment_for_billing_period": [
            n.cost / NANO if n.commitment else 0.0 for n in lines
        ],
        "savings_plan_amortized_upfront_commitment_for_billing_period": [
            (n.commitment - n.cost) / NANO if n.commitment else 0.0 for n in lines
        ],
    }
    kinds = {
        "s": pa.string(),
        "t": pa.timestamp("ms"),
        "d": pa.float64(),
        "m": pa.map_(pa.string(), pa.string()),
        "md": pa.map_(pa.string(), pa.float64()),
    }
    arrays, names = [], []
    for name, kind in _columns():
        if name in moving:
            arrays.append(pa.array(moving[name], kinds[kind]))
        else:
            empty: Any = [] if kind in ("m", "md") else 0.0 if kind == "d" else None
            if "_net_" in name:
                empty = None
            arrays.append(pa.array([f.get(name, empty) for f in fixed], kinds[kind]).take(index))
        names.append(name)
    return pa.Table.from_arrays(arrays, names=names)


def _meter_cells(meter: Meter, period: Period, month: Month, invoice: str) -> dict[str, Any]:
    code, product_name, servicecode, family, operation = SERVICES[meter.service]
    sku = ident(period.seed, servicecode, meter.usage_type, size=16).upper()
    usage = meter.line_type in ("Usage", "SavingsPlanCoveredUsage", "SavingsPlanNegation")
    rate = f"{meter.rate / 1e6:.10f}"
    product = {"product_name": product_name}
    if usage:
        product["region"] = "US East (N. Virginia)"
        if meter.instance_type:
            product["instance_type"] = meter.instance_type
    savings = meter.line_type.startswith("SavingsPlan")
    return {
        "bill_bill_type": meter.bill_type,
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": month.begin,
        "bill_billing_period_end_date": month.end,
        "bill_invoice_id": invoice or None,
        "bill_invoicing_entity": "Amazon Web Services, Inc.",
        "bill_payer_account_id": PAYER[0],
        "bill_payer_account_name": PAYER[1],
        "line_item_availability_zone": meter.zone or None,
        "line_item_blended_rate": rate if usage else None,
        "line_item_currency_code": "USD",
        "line_item_legal_entity": "Amazon Web Services, Inc.",
        "line_item_line_item_description": meter.description,
        "line_item_line_item_type": meter.line_type,
        "line_item_operation": (meter.operation or operation) if usage else None,
        "line_item_product_code": code,
        "line_item_resource_id": meter.resource or None,
        "line_item_tax_type": meter.tax_type or None,
        "line_item_unblended_rate": rate if usage else None,
        "line_item_usage_account_id": meter.account[0],
        "line_item_usage_account_name": meter.account[1],
        "line_item_usage_type": meter.usage_type or None,
        "pricing_currency": "USD" if usage else None,
        "pricing_public_on_demand_rate": rate if usage else None,
        "pricing_rate_code": f"{sku}.JRTCKXETXF.6YS6EN2CT7" if usage else None,
        "pricing_rate_id": str(int(ident(period.seed, sku, size=9), 16)) if usage else None,
        "pricing_term": meter.term if usage else None,
        "pricing_purchase_option": "Partial Upfront" if savings else None,
        "pricing_unit": meter.unit or None,
        "product": sorted(product.items()),
        "product_instance_family": "GPU instance"
        if meter.instance_type[:1] in ("p", "g")
        else ("General purpose" if meter.instance_type else None),
        "product_instance_type": meter.instance_type or None,
        "product_location": "US East (N. Virginia)" if usage else None,
        "product_location_type": "AWS Region" if usage else None,
        "product_operation": (meter.operation or operation) if usage else None,
        "product_product_family": family or None,
        "product_region_code": REGION if usage else None,
        "product_servicecode": servicecode,
        "product_sku": sku if usage else None,
        "product_usagetype": meter.usage_type or None,
        "resource_tags": list(meter.tags),
        "savings_plan_savings_plan_a_r_n": savings_plan_arn(period.seed) if savings else None,
        "savings_plan_offering_type": "ComputeSavingsPlans" if savings else None,
        "savings_plan_payment_option": "Partial Upfront" if savings else None,
        "savings_plan_purchase_term": "1yr" if savings else None,
        "savings_plan_region": "Any" if savings else None,
        "savings_plan_savings_plan_rate": meter.savings_plan_rate / 1e6 if savings else 0.0,
        "savings_plan_start_time": "2026-03-01T00:00:00.000Z" if savings else None,
        "savings_plan_end_time": "2027-02-28T23:59:59.000Z" if savings else None,
    }
