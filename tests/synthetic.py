"""A made-up `showback.duckdb`, built from the contracts alone.

What belongs here: tables as the pipeline publishes them, with numbers that add up, for tests of
what reads the database. It says nothing about how the tables come about.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from finops_pipeline.contracts import FIELDS, MONEY, table, tables
from finops_pipeline.contracts.fields import TYPES
from finops_pipeline.history import PERIOD_STATE

UNALLOCATED = ("(unallocated)",) * 3
IDLE = ("(idle)",) * 3


def empty(path: Path) -> duckdb.DuckDBPyConnection:
    """A database with every table of the contracts, and nothing in them."""
    con = duckdb.connect(str(path))
    for name, spec in tables().items():
        columns = ", ".join(
            f'"{c}" {t}{"" if c in spec.nullable else " not null"}' for c, t in spec.duckdb.items()
        )
        con.execute(f'create table "{name}" ({columns})')
    states = ", ".join(f'"{c}" {t}' for c, (t, _) in PERIOD_STATE.items())
    con.execute(f"create table period_state ({states})")
    return con


def put(con: duckdb.DuckDBPyConnection, name: str, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows; a column that is not given is null, or the emptiest value it may hold."""
    spec = table(name)
    schema = {c: TYPES[t] for c, t in spec.duckdb.items()}
    filled = []
    for row in rows:
        assert set(row) <= set(schema), f"{name} has no {set(row) - set(schema)}"
        filled.append([_typed(c, row.get(c, _blank(name, c))) for c in schema])
    frame = pl.DataFrame(filled, schema=schema, orient="row")
    con.register("given", frame.to_arrow())
    con.execute(f'insert into "{name}" select * from given')
    con.unregister("given")


def _typed(column: str, value: Any) -> Any:
    """Money may be given as text."""
    if FIELDS[column].type == MONEY and value is not None:
        return Decimal(value)
    return value


def _blank(name: str, column: str) -> Any:
    field = FIELDS[column]
    if column in table(name).nullable:
        return None
    if field.isin:
        return field.isin[0]
    if field.type == "DATE":
        return date(2026, 10, 1)
    if field.type == "TIMESTAMP":
        return datetime.fromisoformat("2026-10-01")
    if field.type == "VARCHAR":
        return "(none)" if column in ("x_Model", "x_Endpoint") else "{}" if column == "Tags" else ""
    return max(field.ge or 0, 0)


def bill(
    con: duckdb.DuckDBPyConnection,
    period: str,
    parts: Iterable[tuple[Any, ...]],
    currency: str = "USD",
    invoice: str = "INV-1",
) -> None:
    """Charges and what became of them, from `(day, category, service, method, owner, model, cost)`.

    The parts of one day and service are one charge of the bill and one pool of the allocation.
    """
    pools: dict[tuple[date, str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for part in parts:
        pools[part[:3]].append(part[3:])
    charges, owners, shares, allocated, shown = [], [], [], [], []
    for row, ((day, category, service), consumers) in enumerate(sorted(pools.items()), start=1):
        amount = sum((Decimal(c[-1]) for c in consumers), Decimal(0))
        known = {
            "BillingPeriod": period,
            "InvoiceId": invoice,
            "BillingCurrency": currency,
            "ProviderName": "AWS",
            "ServiceCategory": category,
            "ServiceName": service,
        }
        pool = {**known, "x_PoolId": f"{day}/{service}/{currency}", "x_ChargeDay": day}
        pool |= {"SubAccountId": "111122223333", "ChargeCategory": "Usage", "x_Pool": "node/prod"}
        charges.append(
            {
                **known,
                "BilledCost": amount,
                "EffectiveCost": amount,
                "SubAccountId": "111122223333",
                "ChargePeriodStart": datetime.combine(day, datetime.min.time()),
                "ChargePeriodEnd": datetime.combine(day + timedelta(1), datetime.min.time()),
                "ResourceId": f"i-{service[:3].lower()}",
                "ChargeCategory": "Usage",
                "x_Source": "aws",
                "x_SourceFile": f"BILLING_PERIOD={period}/{currency}-{invoice}.parquet",
                "x_SourceRow": row,
            }
        )
        owners.append(pool | {"x_ChargeRows": 1, "BilledCost": amount, "EffectiveCost": amount})
        for method, owner, model, cost in consumers:
            who = dict(zip(("x_Feature", "x_Tenant", "x_Environment"), owner, strict=True))
            who |= {"x_Model": model, "x_AllocationMethod": method}
            money = {"BilledCost": cost, "EffectiveCost": cost}
            endpoint = f"llm/{owner[0]}-server"
            shares.append(
                {
                    "BillingPeriod": period,
                    "x_PoolId": pool["x_PoolId"],
                    **who,
                    "x_Endpoint": endpoint,
                    "x_WeightUnit": "units",
                    "x_Weight": Decimal(abs(Decimal(cost)) * 10**12).to_integral(),
                }
            )
            allocated.append({**pool, **who, "x_Endpoint": endpoint, **money})
            shown.append({**known, "x_ChargeDay": day, **who, **money})
    put(con, "cost_and_usage", charges)
    put(con, "charge_owner", owners)
    put(con, "usage_share", shares)
    put(con, "allocated_cost", allocated)
    put(con, "showback", shown)


def summarise(con: duckdb.DuckDBPyConnection) -> None:
    """Coverage of what `bill` put in, by the contract's words."""
    for dimension in ("feature", "tenant", "environment"):
        column = f"x_{dimension.capitalize()}"
        con.execute(f"""
            insert into coverage
            select *, case when cost <> 0 then cast(
                cast(owned * 1e12::decimal(13, 0) as hugeint) * 1000
                // cast(cost * 1e12::decimal(13, 0) as hugeint) as bigint) end
            from (
                select BillingPeriod, BillingCurrency, '{dimension}', sum(EffectiveCost) as cost,
                    coalesce(sum(EffectiveCost) filter ({column} not like '(%'), 0) as owned,
                    coalesce(sum(EffectiveCost) filter ({column} in ('(idle)', '(overhead)')), 0),
                    coalesce(sum(EffectiveCost) filter ({column} = '(unallocated)'), 0)
                from showback group by all
            )
        """)


def company(path: Path, evil: str = "search") -> Path:
    """Two periods of a small company in two currencies. `evil` is put wherever text can come in."""
    con = empty(path)
    for month, days in (("2026-09", 30), ("2026-10", 31)):
        _month(con, month, days, evil)
    summarise(con)
    _cluster(con)
    _findings(con, evil)
    _recommendations(con, evil)
    _training(con)
    _economics(con)
    con.close()
    return path


def _month(con: duckdb.DuckDBPyConnection, month: str, days: int, evil: str) -> None:
    features = ("assistant", evil, "summaries", "translation", "moderation", "autocomplete",
                "insights", "voice", "embeddings", "onboarding")  # fmt: skip
    tenants = ("northwind", "contoso", "fabrikam", "tailspin", "wingtip", "(unallocated)")
    start = date.fromisoformat(f"{month}-01")
    parts: list[tuple[Any, ...]] = []
    for n in range(days):
        day = start + timedelta(n)
        weekend = Decimal("0.6") if day.weekday() > 4 else Decimal(1)
        for i, feature in enumerate(features):
            cost = Decimal(900 - 80 * i + 7 * ((n * (i + 3)) % 11)) * weekend / 7
            cost = cost.quantize(Decimal("0.000000000001"))
            owner = (feature, tenants[(n + i) % 6], ("production", "production", "staging")[i % 3])
            service = ("AI and Machine Learning", "Amazon Bedrock") if i % 4 == 3 else (
                "Compute", "Amazon Elastic Compute Cloud")  # fmt: skip
            model = ("llama-3.1-70b", "claude-sonnet", "(none)", "mixtral-8x7b")[i % 4]
            method = "inference" if model != "(none)" else "pod"
            parts.append((day, *service, method, owner, model, cost))
        compute = (day, "Compute", "Amazon Elastic Compute Cloud")
        parts.append((*compute, "idle", IDLE, "(none)", Decimal("141.123456789012") * weekend))
        storage = (day, "Storage", "Amazon Simple Storage Service")
        parts.append((*storage, "tag", (evil, "(unallocated)", "production"), "(none)", "61.5"))
        parts.append((*storage, "unallocated", UNALLOCATED, "(none)", "33.333333333333"))
    parts.append((start, "Other", "AWS Support", "unallocated", UNALLOCATED, "(none)", "410.10"))
    credit = (start + timedelta(9), "Other", "Credits")
    parts.append((*credit, "unallocated", UNALLOCATED, "(none)", "-350"))
    bill(con, month, parts)
    put(con, "quarantine", [{
        "BillingPeriod": month, "BilledCost": "12.34", "EffectiveCost": "12.34",
        "BillingCurrency": "USD", "InvoiceId": "INV-1", "ProviderName": "AWS",
        "x_Reason": f"ChargePeriodStart is not a time: {evil}", "x_RawRow": evil,
        "x_Source": "aws", "x_SourceFile": f"{evil}.parquet", "x_SourceRow": 4711,
    }])  # fmt: skip
    put(con, "showback", [{
        "BillingPeriod": month, "x_ChargeDay": start, "InvoiceId": "INV-1",
        "BillingCurrency": "USD", "ProviderName": "AWS", "ServiceCategory": "Other",
        "ServiceName": "(quarantined)", "x_Feature": "(unallocated)",
        "x_Tenant": "(unallocated)", "x_Environment": "(unallocated)",
        "x_AllocationMethod": "quarantined", "BilledCost": "12.34", "EffectiveCost": "12.34",
    }])  # fmt: skip
    put(con, "commitment", [
        {"BillingPeriod": month, "ProviderName": "AWS", "CommitmentDiscountId": f"plan-{n}",
         "CommitmentDiscountType": "Savings Plan", "BillingCurrency": "USD", "BilledCost": 720,
         "EffectiveCost": 720, "x_UsedCost": 720 - 90 * n, "x_UnusedCost": 90 * n,
         "x_UtilisationPermille": 1000 - 125 * n}
        for n in range(3)
    ])  # fmt: skip
    put(con, "commitment_term", [
        {"ProviderName": "AWS", "CommitmentDiscountId": f"plan-{month}",
         "CommitmentDiscountType": "Savings Plan", "BillingCurrency": "USD",
         "BilledCost": 720, "EffectiveCost": 719, "x_UsedCost": 719, "x_OpenCost": 1,
         "x_TermState": "gap"}
    ])  # fmt: skip
    gpu = [(start + timedelta(n), "Compute", "GPU hours", "tag",
            (features[n % 3], "contoso", "production"), "(none)", Decimal("88.88"))
           for n in range(days)]  # fmt: skip
    bill(con, month, gpu, currency="EUR", invoice="N-2026")
    put(con, "delivery", [
        {"BillingPeriod": month, "x_Source": s, "x_SourceFile": f"{s}-{month}.parquet",
         "x_Rows": r, "x_Bytes": r * 90} for s, r in (("aws", 1204331), ("neocloud", days))
    ])  # fmt: skip
    put(con, "unit_cost", [
        {"BillingPeriod": month, "BillingCurrency": "USD", "x_Feature": f, "x_Tenant": t,
         "x_Environment": "production", "x_Model": m, "EffectiveCost": Decimal(900 - 70 * i),
         "x_Calls": 180000 - 9000 * i, "x_FailedCalls": 40 * i, "x_UnknownTokenCalls": 7 * (i % 2),
         "x_InputTokens": 90000000, "x_OutputTokens": 9000000, "x_Tokens": 99000000 * (i != 5),
         "x_UnitCostPerCall": "0.005", "x_UnitCostPerThousandTokens": "0.009"}
        for i, f in enumerate(features[:7]) for t in tenants[:2]
        for m in ("llama-3.1-70b", "claude-sonnet")[: 1 + i % 2]
    ])  # fmt: skip


def _cluster(con: duckdb.DuckDBPyConnection) -> None:
    """A GPU node, a pod that is busy for a quarter of its hour, and a free disk nobody mounts."""
    hour = {
        "x_Day": "2026-10-01",
        "x_Cluster": "prod",
        "x_HourStart": datetime.fromisoformat("2026-10-01 09:00"),
    }
    put(con, "node_usage", [hour | {"x_Node": "n", "ResourceId": "i-ama"}])
    put(con, "pod_usage", [hour | {
        "x_Namespace": "llm", "x_Workload": "assistant-server", "x_GpuRequestMs": 3600000,
        "x_GpuBusyMs": 900000, "x_GpuAllocatedParts": 36288000000,
    }])  # fmt: skip
    put(con, "node_load", [hour | {
        "x_Node": "n", "x_NodeResource": "cpu", "x_NodeCapacity": 14400000,
        "x_NodeHeld": 18000000, "x_NodeOverCommit": 3600000,
    }])  # fmt: skip
    put(con, "volume_usage", [hour | {
        "x_Volume": "pv", "x_VolumeId": "vol-1", "x_CapacityBytes": 2**30, "x_Namespace": "llm",
        "x_Claim": "weights", "x_RunningMs": 3600000, "x_VolumeMs": 3600000,
    }])  # fmt: skip
    put(con, "allocated_cost", [{
        "BillingPeriod": "2026-10", "BillingCurrency": "USD", "x_PoolId": "disks",
        "x_Pool": "volume/prod", "x_Feature": "assistant", "x_Tenant": "(idle)",
        "x_Environment": "(idle)", "x_Endpoint": "llm/weights", "x_AllocationMethod": "unmounted",
        "BilledCost": 0, "EffectiveCost": 0,
    }])  # fmt: skip
    put(con, "method_share", [{
        "BillingPeriod": "2026-10", "BillingCurrency": "USD", "x_Endpoint": "llm/assistant-server",
        "x_Feature": "chat", "x_Tenant": "globex", "x_Environment": "production", "x_Model": "m",
        "EffectiveCost": Decimal(4), "x_CostByGpuTime": Decimal(4), "x_CostByTokens": Decimal(3),
        "x_CostByPhaseTime": Decimal(2), "x_CostByCalls": Decimal(1), "x_MethodSpread": Decimal(3),
    }])  # fmt: skip
    put(con, "endpoint_cost", [{
        "BillingPeriod": "2026-10", "BillingCurrency": "USD", "x_Endpoint": "llm/assistant-server",
        "x_Model": "m", "EffectiveCost": Decimal("3.2"), "x_WeightUnit": "phase_ms",
        "x_CostPerMillionTokens": "0.213", "x_CostPerMillionInputTokens": "0.143",
        "x_CostPerMillionOutputTokens": "0.533",
    }])  # fmt: skip
    put(con, "cluster_cost", [
        {
            "x_Cluster": "prod", "BillingPeriod": "2026-10", "BillingCurrency": "USD",
            "x_ClusterLine": line, "BilledCost": Decimal(cost), "EffectiveCost": Decimal(cost),
        }
        for line, cost in (("workload", 3), ("idle", 1))
    ])  # fmt: skip
    put(con, "gpu_cost", [{
        "x_Cluster": "prod", "BillingPeriod": "2026-10", "BillingCurrency": "USD",
        "x_Endpoint": "llm/assistant-server", "EffectiveCost": Decimal(4),
        "x_BusyCost": Decimal(1), "x_HeldIdleCost": Decimal(3), "x_GpuHeldMs": 3600000,
        "x_GpuBusyMs": 900000, "x_GpuBasis": "dcgm",
    }])  # fmt: skip


def _findings(con: duckdb.DuckDBPyConnection, evil: str) -> None:
    def finding(kind: str, n: int, dimension: str = "feature", **more: Any) -> dict[str, Any]:
        witnesses = [
            {"witness": "cluster label", "value": evil, "where": f"prod/llm/vllm-{n}, label app"},
            {"witness": "inference log", "value": evil, "where": "48,112 calls of llm/vllm"},
        ]
        return {
            "BillingPeriod": "2026-10", "x_FindingId": f"{kind}-{n}", "x_FindingKind": kind,
            "x_Dimension": dimension, "ProviderName": "AWS",
            "ServiceName": "Amazon Elastic Compute Cloud", "SubAccountId": "111122223333",
            "ResourceId": f"i-0abc{n:04d}", "x_LikelyValue": evil, "x_WitnessCount": 2,
            "x_Witnesses": json.dumps(witnesses), "BillingCurrency": "USD",
            "EffectiveCost": Decimal(4200) / (n + 1) if n < 2 else Decimal(900 - 100 * n),
            "x_ChargeRows": 744, "x_SourceFile": "aws-2026-10.parquet", "x_SourceRow": 91 + n,
            "x_Reason": f"The pods on this node all serve {evil}.",
        } | more  # fmt: skip

    rows = [finding("untagged", n) for n in range(7)]
    rows += [finding("untagged", n, "tenant", x_FindingId=f"untagged-t{n}", x_LikelyValue=None,
                     x_Witnesses="[]", x_WitnessCount=0, ResourceId=None,
                     x_Reason="No witness names a tenant.") for n in range(2, 4)]  # fmt: skip
    rows += [
        finding("typo", 1, x_TagKey="Feature", x_TagValue=f"{evil}h", EffectiveCost="812.4"),
        finding("wrong_case", 2, "tenant", x_TagKey="Tenant", x_TagValue="Contoso "),
        finding("shared_as_one", 3, "tenant", x_TagKey="tenant", x_TagValue="northwind",
                x_LikelyValue=None, x_Cluster="prod", x_Namespace="llm", x_Workload="vllm-70b",
                x_Reason="Six tenants called this endpoint; the bill names one."),
        finding("replica_drift", 4, "replicas", EffectiveCost=None, BillingCurrency=None,
                x_TagKey="spec.replicas", x_TagValue="6", x_LikelyValue="3", ResourceId=None,
                x_Cluster="prod", x_Namespace="llm", x_Workload="reranker",
                x_Reason="Production runs 6 replicas since 2026-10-12 09:00, Git declares 3."),
    ]  # fmt: skip
    put(con, "finding", rows)
    put(con, "untagged_spend", [r for r in rows if r["x_FindingKind"] == "untagged"])
    put(con, "drift", [r for r in rows if r["x_FindingKind"] == "replica_drift"])


def _recommendations(con: duckdb.DuckDBPyConnection, evil: str) -> None:
    rows = [
        {"BillingPeriod": "2026-10", "x_RecommendationId": f"r{n}",
         "x_Recommender": "container_requests", "x_Outcome": "propose", "x_Repository": "gitops",
         "x_Overlay": "apps/overlays/production", "x_Cluster": "prod", "x_Namespace": "web",
         "x_WorkloadKind": "Deployment", "x_Workload": f"{evil}-api", "x_Container": "api",
         "x_Environment": "production", "x_Field": f"resources.requests.{f}", "x_Current": c,
         "x_Proposed": p, "x_MonthlySaving": Decimal(s), "BillingCurrency": "USD",
         "x_Reason": "Asked for five times what the busiest hour of 30 days used.",
         "x_Evidence": json.dumps({"hours": 720, "p95_millicores": 412, "oom_kills": 0})}
        for n, (f, c, p, s) in enumerate([("cpu", "4", "520m", "812.55"),
                                          ("memory", "16Gi", "3100Mi", "133.1"),
                                          ("cpu", "2", "250m", "96.005")])
    ]  # fmt: skip
    rows.append(rows[0] | {
        "x_RecommendationId": "idle", "x_Recommender": "idle_resources", "x_Workload": "vllm-old",
        "x_Field": "spec.replicas", "x_Current": "1", "x_Proposed": "0", "x_Container": "",
        "x_MonthlySaving": Decimal("2919.27"),
        "x_Reason": "No call in 30 days; its GPU was busy 0.1 % of the time.",
        "x_Evidence": json.dumps({"hours": 720, "calls": 0, "gpu_busy_permille": 1}),
    })  # fmt: skip
    rows += [
        rows[0] | {"x_RecommendationId": f"n{n}", "x_Outcome": "none", "x_Proposed": None,
                   "x_MonthlySaving": Decimal(0),
                   "x_Reason": f"Only {20 + n} hours measured; 72 are needed." if n % 3 else
                   f"CPU is throttled in {n + 5}.5 % of periods."}
        for n in range(9)
    ]  # fmt: skip
    put(con, "recommendation", rows)
    put(con, "container_requests", [r for r in rows if r["x_Recommender"] == "container_requests"])
    put(con, "idle_resources", [r for r in rows if r["x_Recommender"] == "idle_resources"])


def _training(con: duckdb.DuckDBPyConnection) -> None:
    """A version that cost 1,200.00, of which two months bear 100.00 each and ten are to come."""
    version = {"x_RegisteredModel": "llama-3.1-70b", "x_ModelVersion": "3"}
    owner = {"x_Feature": "search", "x_Environment": "production"}
    months = [f"2026-{n:02}" for n in (9, 10, 11, 12)] + [f"2027-{n:02}" for n in range(1, 9)]
    put(con, "training_schedule", [
        {"BillingPeriod": month, "x_RunId": "b7c5a2d4", "BillingCurrency": "USD", **version,
         **owner, "x_Tenant": "(unallocated)", "BilledCost": 100, "EffectiveCost": 100}
        for month in months
    ])  # fmt: skip
    put(con, "model_cost", [
        {"BillingPeriod": month, "BillingCurrency": "USD", **version, **owner,
         "x_Feature": "chat", "x_Tenant": tenant,
         "x_Model": "meta-llama/Llama-3.3-70B-Instruct", "x_InferenceCost": 8 * n,
         "x_IdleCost": n, "x_ServingCost": 9 * n, "x_TrainingCost": 50, "x_WriteOffCost": 0,
         "x_TotalCost": 9 * n + 50, "x_TrainingDriver": "calls"}
        for month in ("2026-09", "2026-10") for n, tenant in ((30, "hooli"), (10, "contoso"))
    ])  # fmt: skip


def _economics(con: duckdb.DuckDBPyConnection) -> None:
    """What tenants pay, what a call costs them, and what other ways would cost."""
    put(con, "margin", [
        {"BillingPeriod": month, "BillingCurrency": "USD", "x_Tenant": tenant, "x_Feature": "(all)",
         "x_Revenue": pays, "EffectiveCost": 700, "x_DirectCost": 650, "x_MovedCost": 50,
         "x_RunCost": 100, "x_TrainingCost": 50, "x_Margin": (pays or 0) - 600,
         "x_MarginPermille": pays and (pays - 600) * 1000 // pays,
         "x_MarginWithTraining": (pays or 0) - 650,
         "x_MarginWithTrainingPermille": pays and (pays - 650) * 1000 // pays,
         "x_Reason": None if pays else "no revenue of the period is known"}
        for month in ("2026-09", "2026-10")
        for tenant, pays in (("northwind", 2000), ("contoso", 610), ("(idle)", None))
    ])  # fmt: skip
    put(con, "unit_economics", [
        {"BillingPeriod": month, "BillingCurrency": "USD", "x_Feature": "search",
         "x_Tenant": tenant, "x_Environment": "production", "x_Model": "llama-3.1-70b",
         "x_Calls": 1000 * n, "x_Tokens": 10000 * n, "x_Images": n, "x_UnitCostPerImage": 8,
         "x_ServingCostPerImage": 9, "x_TotalCostPerImage": 10, "x_InferenceCost": 8 * n,
         "x_IdleCost": n, "x_ServingCost": 9 * n,
         "x_TrainingCost": n, "x_TotalCost": 10 * n, "x_UnitCostPerCall": "0.008",
         "x_UnitCostPerThousandTokens": "0.8", "x_ServingCostPerCall": "0.009",
         "x_ServingCostPerThousandTokens": "0.9", "x_TotalCostPerCall": "0.01",
         "x_TotalCostPerThousandTokens": 1}
        for month in ("2026-09", "2026-10") for n, tenant in ((30, "northwind"), (10, "contoso"))
    ])  # fmt: skip
    compared = (
        ("shared_or_dedicated", "northwind at llm/search-server", "calls", "dedicated", 6, 4, 400),
        ("spot_or_on_demand", "g5.xlarge in us-east-1", "permille of work lost", "spot", 8, 6, 250),
        ("edge_or_cloud", "kiosk for llama-3.2-3b", "calls", "edge", 20, 18, 300),
        ("self_hosted_or_bought", "llama for big of v", "tokens", "self_hosted", 6, 9, 534),
        ("batch_or_real_time", "m of v", "permille of work done again", "batch", 8, 5, 375),
    )
    for name, subject, unit, cheaper, now, other, even in compared:
        row = {"BillingPeriod": "2026-10", "BillingCurrency": "USD", "x_Quantity": 600,
               "x_QuantityUnit": {"spot_or_on_demand": "hours", "self_hosted_or_bought": "tokens"}
               .get(name, "calls"),
               "x_BreakEvenUnit": unit, "x_CurrentCost": now}  # fmt: skip
        put(con, name, [
            row | {"x_Subject": subject, "x_OtherCost": other, "x_Cheaper": cheaper,
                   "x_BreakEven": even},
            row | {"x_Subject": f"another {subject}", "x_Reason": "it is not measured"},
        ])  # fmt: skip
