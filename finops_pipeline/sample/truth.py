"""What a right pipeline must find, and the configuration a right user would write.

What belongs here: `truth.json` and `finops.toml`, put together from the facts, the ledger of
the bills and the tally of the calls. Nothing here runs a query or reads a file back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from . import functions, revenue, training
from .azure import reservation
from .bill import Ledger, arn, money, savings_plan_arn
from .company import (
    CLUSTER,
    CLUSTER_SERVICES,
    ENDPOINTS,
    FEATURES,
    IDLE_ENDPOINT,
    NODES,
    OVER_REQUESTED,
    PROD,
    RENAMED,
    TENANTS,
    VOLUMES,
    WORKLOADS,
    Period,
    Volume,
    api_resource,
    each,
    nodes,
)
from .inference import Tally
from .metrics import traffic
from .prices import OUTDATED

CONFIG = """\
# Acme AI, a made-up company. What is right about it is in truth.json; the pipeline never reads it.
# Paths are relative to this file. `finops init` writes a configuration with every key explained.

first_period = "{first}"

[warehouse]
path = "warehouse"
database = "showback.duckdb"

# ------------------------------------------------------------------ what the providers ask for

[[billing]]
name = "aws"
dialect = "aws_cur"                 # AWS Data Exports, CUR 2.0
location = "inputs/aws/acme-cur/data/BILLING_PERIOD={{period}}/acme-cur-*.snappy.parquet"
manifest = "inputs/aws/acme-cur/metadata/BILLING_PERIOD={{period}}/acme-cur-Manifest.json"

[[billing]]
name = "azure"                      # in dollars and in euros; what the invoices ask for
dialect = "azure"                   # Cost Management exports of actual and amortised costs
costs = "actual"
pair = "azure-amortized"
location = "inputs/azure/acme-actual/{{yyyymm}}01-*/*/part_*.csv"
manifest = "inputs/azure/acme-actual/{{yyyymm}}01-*/*/manifest.json"

[[billing]]
name = "azure-amortized"            # the same bill, its reservation spread over what it covers
dialect = "azure"
costs = "amortized"
pair = "azure"
location = "inputs/azure/acme-amortized/{{yyyymm}}01-*/*/part_*.csv"
manifest = "inputs/azure/acme-amortized/{{yyyymm}}01-*/*/manifest.json"

[[billing]]
name = "google"
dialect = "gcp"                     # detailed usage cost export, as EXPORT DATA writes it
location = "inputs/google/invoice_month={{yyyymm}}/gcp_billing_export_resource_v1-*.parquet"
invoices = "inputs/google/invoices-{{period}}.csv"

[[billing]]
name = "databricks"
dialect = "focus"                   # who speaks FOCUS needs no dialect of its own
location = "inputs/databricks/{{period}}/focus-*.csv"

# ------------------------------------------------------------ what clusters and models have done

[[metrics]]
name = "{cluster}"
kind = "parquet"                    # `openmetrics` reads inputs/metrics/date={{date}}/metrics.om
cluster = "{cluster}"
location = "inputs/metrics-parquet/date={{date}}/metrics.parquet"

[[inference]]
name = "otel"                       # spans of the models we serve ourselves
dialect = "otel_genai"
location = "inputs/inference/otel/date={{date}}/spans.jsonl"

[[inference]]
name = "gateway"                    # the gateway's log of the models we buy
dialect = "litellm"
location = "inputs/inference/litellm/date={{date}}/spend.jsonl"

[[invocation]]
name = "functions"                  # who called a function that two features share
dialect = "lambda"
location = "inputs/functions/date={{date}}/events.jsonl"

[price_book]
location = "inputs/prices/*.csv"    # what bought models cost by list, and somebody keeps by hand

# ----------------------------------------------------------------------------- what Git asks for

[[gitops]]
name = "acme-gitops"
path = "gitops"
cluster = "{cluster}"
overlays = ["apps/*", "kustomize/search/overlays/*"]
helm_values = ["charts/*/values.yaml"]

# ------------------------------------------------------------------------------- who is who

[owner]                             # tag and label keys, most trusted first
feature = ["feature", "app.kubernetes.io/part-of"]
tenant = ["tenant", "customer"]
environment = ["environment", "env", "stage"]

[alias.environment]                 # case and outer blanks never matter
production = ["prod"]
staging = ["stage"]
development = ["dev"]

# Charges that cannot be tagged. What is left open here stays visible as (unallocated).

[[rule]]
where = {{ ProviderName = "AWS", ServiceName = "AWS Support (Business)" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "Support is bought for all of production."

[[rule]]
where = {{ ChargeCategory = "Tax" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "Sales tax follows the invoice, not a resource."

[[rule]]
where = {{ ChargeCategory = "Credit" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "Credits were granted to the company."

[[rule]]
where = {{ ResourceId = "{savings_plan}" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "What the savings plan did not cover is the platform team's to explain."

[[rule]]
where = {{ ResourceId = "{reservation}" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "Hours that the Azure reservation was not used are the platform team's to explain."

[[rule]]
where = {{ ProviderName = "Google Cloud", CommitmentDiscountStatus = "Unused" }}
feature = "platform"
tenant = "shared"
environment = "production"
why = "What nobody used of the Google commitment is the platform team's to explain."

# What of the bill is the cluster's beside its nodes. The load balancer of a Service needs no block.

[[cluster_charge]]
name = "nat"
cluster = "{cluster}"
kind = "network"
meters = ["NatGateway-Hours", "NatGateway-Bytes"]
bytes = "both"                      # a NAT gateway is billed for what goes through it, either way

[[cluster_charge]]
name = "eks"
cluster = "{cluster}"
kind = "control_plane"
where = {{ ServiceName = "Amazon Elastic Kubernetes Service", ChargeCategory = "Usage" }}
otherwise = "held"                  # as each holds the nodes

# What is there for all tenants is borne by all, as they cost otherwise; and what they pay for it.

[[shared_cost]]
name = "shared"
where = {{ tenant = "shared" }}
to = {{ tenant = "*" }}

[economics]
revenue = "inputs/revenue/{{period}}.csv"

# Bought models: their charges follow the calls the gateway logged.
{splits}
# What was trained is spread over the life of its version. A registry says the same ([[registry]]).
{versions}
[pull_requests]
forge = "folder"
path = "proposals"
"""

SPLIT = """
[[inference_split]]
name = "{group}"
where = {{ ResourceId = "{resource}" }}
endpoint = "{endpoint}"
"""


def configuration(period: Period) -> str:
    """The text of `finops.toml`."""
    splits = "".join(
        SPLIT.format(group=e.group, resource=api_resource(period.seed, e.group), endpoint=e.name)
        for e in ENDPOINTS
        if e.group
    )
    return CONFIG.format(
        first=period.months()[0].name,
        cluster=CLUSTER,
        savings_plan=savings_plan_arn(period.seed),
        reservation=reservation(period.seed),
        splits=splits,
        versions=training.configuration(period),
    )


def answers(period: Period, tally: Tally, ledger: Ledger, commit: str) -> dict[str, Any]:
    """The content of `truth.json`. Money is exact, as decimal strings in the charge's currency."""
    return {
        "arguments": {
            "start": period.start.isoformat(),
            "days": period.days,
            "scale": period.scale,
            "seed": period.seed,
        },
        "periods": [
            {"month": m.name, "closed": m.closed, "days": len(m.days)} for m in period.months()
        ],
        "names": {"features": FEATURES, "tenants": TENANTS, "renamed": RENAMED},
        "invoices": _invoices(ledger),
        "resources": _resources(period, ledger),
        "volumes": _volumes(period, ledger),
        "calls": _calls(tally),
        "shared": [_shared(tally, *s) for s in SHARED],
        "traffic": [
            {"day": day, "workload": workload, "sent": sent, "received": received}
            for (day, workload), (sent, received) in sorted(traffic(period).items())
            if sent or received
        ],
        "list_costs": _list_costs(tally),
        "functions": functions.answers(period),
        "training": training.answers(period, tally),
        "revenue": revenue.answers(period),
        "duplicate_lines": tally.twice,
        "faults": _faults(period, ledger),
        "rightsizing": _rightsizing(),
        "commit": commit,
    }


def _invoices(ledger: Ledger) -> list[dict[str, Any]]:
    return [
        {
            "month": key[0],
            "invoice": key[1],
            "currency": key[2],
            "rows": ledger.rows[key],
            "BilledCost": money(ledger.billed[key]),
            "EffectiveCost": money(ledger.effective[key]),
        }
        for key in sorted(ledger.billed)
    ]


def _resources(period: Period, ledger: Ledger) -> list[dict[str, Any]]:
    """Every resource with its cost and, where it has one, its right owner.

    `owner` is `tags`, `use` (measured use decides) or `nobody`; feature, tenant and environment
    are the right ones, `tagged` is whom the tags name after aliases, faults and all.
    """
    machines = {n.instance_id(period.seed) for n in nodes(period)}
    of_cluster = {
        arn(r.service, r.name, r.account[0], copy, period.seed)
        for copy, r in each(period)
        if r.service in CLUSTER_SERVICES
    }
    bought = {api_resource(period.seed, e.group) for e in ENDPOINTS if e.group}
    disks = _disks(period)
    found = []
    for (month, resource), entry in sorted(ledger.resources.items()):
        used = (
            resource in machines
            or resource in bought
            or resource in disks
            or resource in of_cluster
            or resource == functions.resource(period)
        )
        owner = {d: entry.get(d) for d in ("feature", "tenant", "environment")}
        found.append(
            {
                "month": month,
                "resource": resource,
                "currency": entry["currency"],
                "rows": entry["rows"],
                "EffectiveCost": money(entry["effective"]),
                "owner": "use" if used else "tags" if any(owner.values()) else "nobody",
                **owner,
                "tagged": None if used else _tagged(entry.get("tags", {})),
            }
        )
    return found


def _disks(period: Period) -> dict[str, tuple[Volume, int]]:
    """The disk of every volume, by its id on the bill, with the number of its copy."""
    return {
        arn("ebs", v.disk, PROD[0], copy, period.seed): (v, copy)
        for copy in range(period.scale)
        for v in VOLUMES
    }


def _volumes(period: Period, ledger: Ledger) -> list[dict[str, Any]]:
    """Every volume: what its disk costs, its claim, and the workload that mounts it, if any."""
    return [
        {
            "month": month.name,
            "resource": resource,
            "claim": f"{v.namespace}/{v.claim}-{copy}",
            "workload": v.workload and f"{v.namespace}/{v.workload}",
            "feature": ledger.resources[month.name, resource]["feature"],
            "EffectiveCost": money(ledger.resources[month.name, resource]["effective"]),
        }
        for month in period.months()
        for resource, (v, copy) in _disks(period).items()
    ]


def _tagged(tags: Mapping[str, str]) -> dict[str, str | None]:
    """The owner that tags name: case and outer blanks ignored, none where they contradict."""
    aliases = {"prod": "production", "stage": "staging", "dev": "development"}
    keys = {"feature": ("feature",), "tenant": ("tenant",), "environment": ("environment", "env")}
    found: dict[str, str | None] = {}
    for dimension, trusted in keys.items():
        found[dimension] = None
        for key in reversed(trusted):
            values = {v.strip().lower() for k, v in tags.items() if k.lower() == key}
            if values:
                (value,) = values if len(values) == 1 else (None,)
                found[dimension] = aliases.get(value, value) if value else None
    return found


def _calls(tally: Tally) -> list[dict[str, Any]]:
    names = ("endpoint", "model", "feature", "tenant", "environment")
    return [
        {**dict(zip(names, key, strict=True)), **sums} for key, sums in sorted(tally.logged.items())
    ]


def _list_costs(tally: Tally) -> list[dict[str, Any]]:
    """What the logged calls of a bought model cost by the price book, and what is billed for it.

    The bill's price is the list price but for `outdated` models, and is before discounts: those
    are Google's. It asks for calls that told no tokens, too.
    """
    billed: dict[tuple[str, date], int] = defaultdict(int)
    for e in ENDPOINTS:
        for hour, counts in tally.billed.get(e.group, {}).items():
            billed[e.group, hour.date()] += sum(
                n * p for n, p in zip(counts, e.prices, strict=True)
            )
    return [
        {
            "model": group,
            "day": day.isoformat(),
            "ListCost": money(cost),
            "asked": money(billed[group, day]),
            "outdated": group in OUTDATED,
        }
        for (group, day), cost in sorted(tally.listed.items())
    ]


SHARED = (
    ("inference/llama-70b", "globex"),
    ("aws.bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", "initech"),
)
"""Endpoints that six tenants use, and the one whose tag they carry."""


def _shared(tally: Tally, name: str, tagged: str) -> dict[str, Any]:
    """What each tenant used of an endpoint that is tagged to one."""
    tenants: dict[str, dict[str, int]] = {}
    for (endpoint, _, _, tenant, _), sums in sorted(tally.logged.items()):
        if endpoint == name:
            entry = tenants.setdefault(
                tenant, {"calls": 0, "gpu_ms": 0, "input": 0, "cached": 0, "output": 0}
            )
            for key in entry:
                entry[key] += sums[key]
    return {"endpoint": name, "tagged": tagged, "tenants": tenants}


def _faults(period: Period, ledger: Ledger) -> list[dict[str, Any]]:
    """The planted faults: tags with the exact cost of the resource, then drift."""
    found: list[dict[str, Any]] = []
    for month, resource, fault in ledger.faults:
        entry = ledger.resources.get((month, resource))
        if entry is None:
            continue  # nothing was bought of it in these days
        found.append(
            {
                "kind": fault.kind,
                "dimension": fault.dimension,
                "month": month,
                "resource": resource,
                "tag_key": fault.key,
                "tag_value": fault.value,
                "likely": fault.likely,
                "witnesses": fault.witnesses,
                "currency": entry["currency"],
                "EffectiveCost": money(entry["effective"]),
            }
        )
    for month in (m.name for m in period.months()):
        for w in WORKLOADS:
            where = {"month": month, "workload": f"{w.namespace}/{w.name}"}
            if w.live is not None:
                git, cluster = w.replicas * period.scale, w.running(period.scale)
                replicas = {"git": git, "cluster": cluster, "likely": str(git)}
                found.append(
                    {"kind": "replica_drift", "dimension": "replicas", **where, **replicas}
                )
            for key, value in w.live_labels.items():
                right = w.git_labels().get(key)
                labels = {"git": right, "cluster": value, "likely": right}
                found.append({"kind": "label_drift", "dimension": key, **where, **labels})
    return found


def _rightsizing() -> dict[str, Any]:
    namespace, name = OVER_REQUESTED
    over = next(w for w in WORKLOADS if (w.namespace, w.name) == OVER_REQUESTED)
    idle_namespace, _, idle = IDLE_ENDPOINT.partition("/")
    legacy = next(w for w in WORKLOADS if (w.namespace, w.name) == (idle_namespace, idle))
    return {
        "over_requested": {
            "workload": f"{namespace}/{name}",
            "container": over.container,
            "cpu_request_millicores": over.cpu_request,
            "cpu_used_millicores": over.cpu,
            "memory_request_mib": over.memory_request,
            "memory_used_mib": over.memory,
        },
        "idle_endpoint": {
            "workload": IDLE_ENDPOINT,
            "container": legacy.container,
            "gpus": legacy.gpus,
            "node": next(n.key for n in NODES if n.key in legacy.nodes),
        },
        "leave_alone": [
            {
                "workload": "code-assist/code-assist-api",
                "field": "resources.requests.cpu",
                "reason": "throttled",
            },
            {
                "workload": "summarise/summarise-worker",
                "field": "resources.requests.memory",
                "reason": "killed for want of memory",
            },
        ],
    }
