"""The first law by property: whatever the bill, the usage and the rules, parts sum to the whole."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from finops_pipeline import bindings, config, contracts, queries
from finops_pipeline.errors import ConfigError

from .test_cases import engine, fill, stage_queries

MONEY = st.decimals(
    min_value=Decimal(-1000000), max_value=Decimal(1000000), places=12, allow_nan=False
)
BIG = st.integers(min_value=0, max_value=10**15)
CAPACITY = st.integers(min_value=0, max_value=10**13)  # a node of two million cores or GPUs
WORK = st.integers(min_value=0, max_value=10**12)
HOURS = st.sampled_from(
    ["2026-10-01 00:00", "2026-10-01 01:00", "2026-10-02 00:00", "2026-10-31 23:00"]
)
LABELS = st.sampled_from(
    [
        "{}",
        '{"feature":"chat"}',
        '{"feature":"search","tenant":"a"}',
        '{"Feature":"CHAT ","env":"prod"}',
        '{"feature":"chat","training_run":"r","model":"m","model_version":"1"}',
        '{"run_kind":"embedding"}',
    ]
)

FUNCTION = "arn:aws:lambda:eu:1:function:f"
DISK = "arn:aws:ec2:eu:1:volume/vol-1"
BALANCER = "arn:aws:elasticloadbalancing:eu:1:loadbalancer/a1111111122223333444455555555555"
CHARGE = st.fixed_dictionaries(
    {
        "BilledCost": MONEY,
        "EffectiveCost": MONEY,
        "ResourceId": st.sampled_from(
            [
                None,
                "i-1",
                "i-2",
                "i-3",
                "db-1",
                FUNCTION,
                f"{FUNCTION}:live",
                "x:endpoint/big",
                DISK,
                "disk",
                BALANCER,
                "eks",
            ]
        ),
        "SkuMeter": st.sampled_from(
            [
                None,
                "Request",
                "Lambda-GB-Second",
                "Lambda-Provisioned-GB-Second",
                "Lambda-Provisioned-Concurrency",
                "Min Instance CPU",
                "CPU",
                "NatGateway-Bytes",
                "DataTransfer-Out-Bytes",
            ]
        ),
        "ConsumedUnit": st.sampled_from(["Hrs", "GB-Second", "Units"]),
        "ConsumedQuantity": MONEY,
        "InvoiceId": st.sampled_from(["a", "b"]),
        "BillingCurrency": st.sampled_from(["USD", "EUR"]),
        "SubAccountId": st.sampled_from([None, "1"]),
        "ServiceName": st.sampled_from(["EC2", "LLM"]),
        "ChargeCategory": st.sampled_from(["Usage", "Tax", "Credit"]),
        "ChargePeriodStart": HOURS,
        "ChargePeriodEnd": st.sampled_from(
            ["2026-10-01 01:00", "2026-10-03 00:00", "2026-11-01 00:00"]
        ),
        "x_TagSetId": st.integers(1, 4),
        "CommitmentDiscountId": st.sampled_from([None, "plan", "ri"]),
        "CommitmentDiscountStatus": st.sampled_from([None, "Used", "Unused"]),
    }
)
# Two clusters run workloads of one name.
CLUSTERS = {"n1": "c", "n2": "c", "n3": "d"}
POD = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Node": st.sampled_from(list(CLUSTERS)),
        "x_Workload": st.sampled_from(["web", "llm"]),
        "x_Labels": LABELS,
        "x_CpuAllocatedCoreMs": BIG,
        "x_MemoryAllocatedByteSeconds": BIG,
        "x_GpuRequestMs": BIG,
        "x_GpuAllocatedParts": BIG,
    }
)
NODE = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_CpuCapacityCoreMs": CAPACITY,
        "x_MemoryCapacityByteSeconds": BIG,
        "x_GpuCapacityMs": CAPACITY,
        "x_CpuAllocatableCoreMs": st.one_of(st.none(), CAPACITY),
        "x_MemoryAllocatableByteSeconds": st.one_of(st.none(), BIG),
    }
)
HOUR = st.integers(min_value=0, max_value=3600000)
VOLUME = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Cluster": st.sampled_from(["c", "d"]),
        "x_Volume": st.sampled_from(["pv-1", "pv-2"]),
        "x_VolumeId": st.sampled_from(["vol-1", "disk", None]),
        "x_Claim": st.sampled_from(["data", None]),
        "x_ClaimLabels": LABELS,
        "x_PodUid": st.sampled_from(["0", "1", None]),
        "x_Workload": st.sampled_from(["web", "llm"]),
        "x_Labels": LABELS,
        "x_RunningMs": HOUR,
        "x_VolumeMs": HOUR,
    }
)
BYTES = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_PodUid": st.sampled_from(["0", "1", "2", "unlisted"]),
        "x_SentBytes": st.integers(0, 10**16),
        "x_ReceivedBytes": st.integers(0, 10**16),
    }
)
SERVICES = [
    {
        "x_Service": "web",
        "x_ServiceUid": "11111111-2222-3333-4444-555555555555",
        "x_Address": "10.0.0.1",
        "x_Labels": '{"feature":"search","tenant":"a"}',
    }
]
CALL = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Endpoint": st.sampled_from(["ns/llm", "ns/llm", "vendor/m", "sagemaker/big"]),
        "x_Cluster": st.sampled_from([None, "c", "d"]),
        "x_Feature": st.sampled_from([None, "chat"]),
        "x_Tenant": st.sampled_from([None, "a", "b", "c"]),
        "x_Provider": st.just("vendor"),
        "x_Model": st.sampled_from(["m", "n"]),
        "x_ServiceTier": st.sampled_from(["standard", "batch", "flex"]),
        "x_ContextClass": st.sampled_from([None, 0, 200000]),
        "x_Calls": st.integers(1, 1000),
        "x_UnknownTokenCalls": st.integers(0, 1),
        "x_InputTokens": WORK,
        "x_OutputTokens": WORK,
        "x_GpuMs": WORK,
        "x_GpuMsCalls": st.sampled_from([0, 1]),
        "x_PrefillMs": WORK,
        "x_DecodeMs": WORK,
        "x_PhaseMsCalls": st.sampled_from([0, 0, 1]),
    }
)
# What engines count; nothing they say need fit what was logged.
SERVED = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Cluster": st.sampled_from(["c", "d"]),
        "x_Endpoint": st.sampled_from(["ns/llm", "ns/web", "ns/gone"]),
        "x_Model": st.sampled_from(["m", "n"]),
        "x_Requests": st.sampled_from([None, 0, 3]),
        "x_InputTokens": st.one_of(st.none(), WORK),
        "x_CachedInputTokens": st.sampled_from([None, 0, 1000]),
        "x_OutputTokens": st.one_of(st.none(), WORK),
        "x_PrefillMs": st.one_of(st.none(), WORK),
        "x_DecodeMs": st.one_of(st.none(), WORK),
        "x_ComputeMs": st.one_of(st.none(), WORK),
    }
)
VERSIONS = [
    {
        "x_RegisteredModel": "m",
        "x_ModelVersion": "1",
        "x_Endpoints": '["ns/llm"]',
        "x_LifeDays": 45,
    },
    {"x_RegisteredModel": "n", "x_ModelVersion": "2", "x_RunId": "r", "x_Endpoints": "[]"},
]
# A book of a few rows; what is not in it has no price.
PRICE = st.fixed_dictionaries(
    {
        "x_Provider": st.just("vendor"),
        "x_Model": st.sampled_from(["m", "n", "*"]),
        "x_PriceItem": st.sampled_from(["input", "output", "call", "call_minimum"]),
        "x_ServiceTier": st.sampled_from(["standard", "batch"]),
        "x_ContextClass": st.sampled_from([0, 128000, 272000]),
        "x_PriceFrom": st.sampled_from(["2026-01-01", "2026-10-01 01:00"]),
        "ListUnitPrice": st.decimals(min_value=0, max_value=1000, places=12),
        "x_PricingBlockSize": st.sampled_from([1, 60, 1000, 1000000]),
    }
)
NOT_OF_A_PRICE = ("ListUnitPrice", "x_PricingBlockSize")  # what rows for one thing differ in
INVOCATION = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Function": st.sampled_from(["function:f", FUNCTION, "function:unknown"]),
        "x_Feature": st.sampled_from([None, "chat"]),
        "x_Tenant": st.sampled_from([None, "a", "b", "c"]),
        "x_Invocations": st.integers(1, 2),
        "x_MeasuredInvocations": st.integers(1, 2),
        "x_DurationMs": WORK,
        "x_MemoryMibMs": st.integers(1000, 10**15),
        "x_VcpuMs": WORK,
        "x_ProvisionedMibMs": st.integers(0, 1000),
    }
)
TAGS = ["{}", '{"feature":"chat"}', '{"Feature":"Chat","feature":"x"}', '{"tenant":"a"}']
SETTINGS: dict[str, Any] = {
    "token_ratio": [
        {"name": "new", "since": date(2026, 10, 2), "input": 1, "cached_input": 0, "output": 4}
    ],
    "inference_split": [
        {
            "name": "managed",
            "where": {"ServiceName": "EC2"},
            "endpoint": "sagemaker/{ResourceName}",
            "gpus": 1,
        },
        {"name": "api", "where": {"ServiceName": "LLM"}, "endpoint": "vendor/*"},
    ],
    "cluster_charge": [
        {"name": "nat", "cluster": "c", "kind": "network", "meters": ["NatGateway-Bytes"]},
        {
            "name": "egress",
            "cluster": "c",
            "kind": "network",
            "meters": ["DataTransfer-Out-Bytes"],
            "bytes": "both",
            "otherwise": "held",
        },
        {
            "name": "eks",
            "cluster": "c",
            "kind": "control_plane",
            "where": {"ResourceId": "eks"},
            "otherwise": "held",
        },
        {
            "name": "rest",
            "cluster": "d",
            "kind": "load_balancer",
            "where": {"ServiceName": "EC2", "ChargeCategory": "Credit"},
        },
    ],
    "rule": [
        {"where": {"ChargeCategory": "Tax"}, "feature": "platform"},
        {"where": {"CommitmentDiscountStatus": "Unused"}, "tenant": "b"},
    ],
}
SHARED = st.builds(
    lambda where, to, split, **more: {"where": where, "to": to, **split, **more},
    where=st.sampled_from(
        [
            {"feature": "chat"},
            {"feature": "search"},
            {"feature": "platform"},
            {"tenant": "a"},
            {"method": "idle"},
            {"method": "endpoint_idle"},
            {"method": "unallocated"},
            {"ChargeCategory": "Tax"},
            {"feature": "chat", "ServiceName": "EC2"},
        ]
    ),
    to=st.sampled_from(
        [{}, {"tenant": "*"}, {"feature": "*"}, {"feature": ["chat", "search"], "tenant": "*"}]
    ),
    split=st.sampled_from(
        [
            {"split": "proportional"},
            {"split": "even"},
            {"split": "even", "to": {"feature": "platform"}},
            {"split": "driver", "driver": "calls"},
            {"split": "driver", "driver": "held", "otherwise": "even"},
            {"split": "driver", "driver": "gpu_ms", "otherwise": "proportional"},
            {
                "split": "fixed",
                "to": {"feature": "*"},
                "shares": {"chat": Decimal("0.3"), "platform": Decimal("0.7")},
            },
        ]
    ),
    within=st.sampled_from(["everything", "pool"]),
    together=st.sampled_from(["", "all"]),
    since=st.sampled_from([date(2026, 9, 1), date(2026, 10, 2)]),
)
ROAD = [
    "bill/commitment_total",
    "usage/node_load",
    *stage_queries("allocation"),
    "showback/showback",
    "showback/coverage",
    "showback/commitment",
    "showback/commitment_term",
    "showback/billed_day",
    "showback/cluster_cost",
    "showback/model_serving",
    "showback/training_schedule",
    "showback/model_cost",
    "showback/gateway_reconciliation",
    "showback/invocation_cost",
    "showback/unit_cost",
    "showback/tenant_cost",
    "showback/margin",
    "showback/unit_economics",
    "showback/method_share",
    "showback/endpoint_cost",
]


# A small company's month: keyword arguments of `road`.
MONTH: dict[str, Any] = {
    "charges": st.lists(CHARGE, max_size=12),
    "refused": st.lists(st.tuples(MONEY, MONEY), max_size=3),
    "pods": st.lists(POD, max_size=8),
    "nodes": st.lists(st.tuples(st.sampled_from(["1", "2", "3"]), NODE), max_size=5),
    "volumes": st.lists(VOLUME, max_size=6),
    "network": st.lists(BYTES, max_size=6, unique_by=lambda b: (b["x_HourStart"], b["x_PodUid"])),
    "calls": st.lists(CALL, max_size=8),
    "served": st.lists(
        SERVED,
        max_size=4,
        unique_by=lambda s: tuple(
            s[k] for k in ("x_HourStart", "x_Cluster", "x_Endpoint", "x_Model")
        ),
    ),
    "prices": st.lists(
        PRICE,
        max_size=8,
        unique_by=lambda p: tuple(v for k, v in p.items() if k not in NOT_OF_A_PRICE),
    ),
    "invocations": st.lists(INVOCATION, max_size=6),
    "policy": st.sampled_from(["line", "callers"]),
    "unused": st.sampled_from(["buyer", "users", "everyone"]),
    "shared": st.lists(SHARED, max_size=4),
}
MONTHS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def road(
    charges: list[dict[str, Any]],
    refused: list[tuple[Decimal, Decimal]],
    pods: list[dict[str, Any]],
    nodes: list[tuple[str, dict[str, Any]]],
    volumes: list[dict[str, Any]],
    network: list[dict[str, Any]],
    calls: list[dict[str, Any]],
    served: list[dict[str, Any]],
    prices: list[dict[str, Any]],
    invocations: list[dict[str, Any]],
    policy: str,
    unused: str,
    shared: list[dict[str, Any]],
    rows_per_part: int,
) -> Any:
    """The month allocated and shown, in parts of so many rows of usage."""
    told: dict[str, Any] = {
        **SETTINGS,
        "allocation": {"endpoint_idle": policy, "unused_commitment": unused},
        "warehouse": {"rows_per_part": rows_per_part},
        "shared_cost": [{**block, "name": f"s{n}"} for n, block in enumerate(shared)],
    }
    connection = engine(
        {
            "tag_set": [{"x_TagSetId": n, "Tags": t} for n, t in enumerate(TAGS, 1)],
            "delivered_tag_set": [
                {
                    "x_TagSetId": n,
                    "Tags": t,
                    "x_ChargeRows": [c["x_TagSetId"] for c in charges].count(n),
                }
                for n, t in enumerate(TAGS, 1)
            ],
            "cost_and_usage": [{**c, "x_SourceRow": n} for n, c in enumerate(charges, 1)],
            "quarantine": [
                {"BilledCost": b, "EffectiveCost": e, "InvoiceId": "a"} for b, e in refused
            ],
            "pod_usage": [
                {**p, "x_PodUid": str(n), "x_Cluster": CLUSTERS[p["x_Node"]]}
                for n, p in enumerate(pods)
            ],
            "node_usage": [
                {
                    **row,
                    "x_Node": f"n{n}",
                    "ResourceId": f"i-{n}",
                    "x_Cluster": CLUSTERS[f"n{n}"],
                }
                for n, row in {(n, r["x_HourStart"]): (n, r) for n, r in nodes}.values()
            ],
            "volume_usage": volumes,
            "network_usage": network,
            "service_usage": SERVICES,
            "inference_usage": calls,
            "serving_usage": served,
            # By feature for one tenant, at all for another, and in a currency that costs nothing.
            "revenue": [
                {"x_Tenant": "acme", "x_Feature": "chat", "x_Revenue": "10.000000000001"},
                {"x_Tenant": "Globex", "x_Revenue": "0.3", "x_SourceRow": 2},
                {"x_Tenant": "acme", "BillingCurrency": "SEK", "x_Revenue": "-1", "x_SourceRow": 3},
            ],
            "model_version": [
                {"x_Registry": "reg", "x_Aliases": "[]", "x_RunResources": "[]", **v}
                for v in VERSIONS
            ],
            "price": prices,
            "invocation_usage": invocations,
        },
        told,
    )
    parsed = config.parse(told, config.Path())
    parameters = {**bindings.parameters(parsed), "period": "2026-10"}
    for path in ROAD:
        try:
            fill(connection, path, parameters, parsed)
        except ConfigError as error:
            if "loop has no solution" not in str(error):
                raise
            reject()
    return connection


@settings(MONTHS, max_examples=12)
@given(**MONTH)
def test_parts_sum_to_the_bill(**month: Any) -> None:
    connection = road(**month, rows_per_part=1)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem


def two_clusters(month: dict[str, Any]) -> dict[str, Any]:
    """The month with one endpoint in two clusters, all in one hour, and charges of their nodes."""
    then = {"x_HourStart": "2026-10-01 00:00"}
    alike = {"ServiceName": "EC2", "ChargePeriodStart": "2026-10-01 00:00", "SkuMeter": None}
    nodes = ["n1", "n3"]
    return month | {
        "charges": [
            c | alike | {"ResourceId": ["i-1", "i-3"][n % 2]}
            for n, c in enumerate(month["charges"])
        ],
        "nodes": [("13"[n % 2], row | then) for n, (_, row) in enumerate(month["nodes"])],
        "pods": [
            p | then | {"x_Node": nodes[n % 2], "x_Workload": "llm"}
            for n, p in enumerate(month["pods"])
        ],
        "calls": [c | then | {"x_Endpoint": "ns/llm"} for c in month["calls"]],
        "served": list(
            {
                (s["x_Cluster"], s["x_Model"]): s | then | {"x_Endpoint": "ns/llm"}
                for s in month["served"]
            }.values()
        ),
    }


@settings(MONTHS, max_examples=12)
@given(**MONTH, all_say=st.booleans())
def test_callers_of_a_cluster_bear_nothing_of_another(all_say: bool, **month: Any) -> None:
    month = two_clusters(month)
    if all_say:
        month["calls"] = [c | {"x_Cluster": c["x_Cluster"] or "c"} for c in month["calls"]]
    connection = road(**month, rows_per_part=1)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem
    said = {c["x_Cluster"] for c in month["calls"]}
    ran = {CLUSTERS[p["x_Node"]] for p in month["pods"]}
    borne = connection.execute(
        "select distinct x_Endpoint, x_Pool from allocated_cost "
        "where x_AllocationMethod in ('inference', 'endpoint_idle') "
        "and starts_with(x_Pool, 'node/')"
    ).fetchall()
    for endpoint, pool in borne:
        cluster, *name = endpoint.rsplit("/", 2)
        if len(name) == 2:
            assert (cluster, "ns", "llm") == (pool.removeprefix("node/"), *name)
        # One that is not told apart is called by who does not say, or runs in no other cluster.
        else:
            assert None in said or ran == {pool.removeprefix("node/")}


def as_cluster(month: dict[str, Any]) -> dict[str, Any]:
    """The month with all its usage in one hour, and its charges those of the cluster then."""
    then = {"x_HourStart": "2026-10-01 00:00"}
    alike = {"ServiceName": "EC2", "ChargePeriodStart": "2026-10-01 00:00"}
    of_cluster = ["i-1", "eks", BALANCER, "db-1"]
    meters = [None, "NatGateway-Bytes", "DataTransfer-Out-Bytes"]
    return month | {
        "charges": [
            c | alike | {"ResourceId": of_cluster[n % 4], "SkuMeter": meters[n % 3]}
            for n, c in enumerate(month["charges"])
        ],
        "nodes": [("1", n | then) for _, n in month["nodes"]],
        "pods": [p | then | {"x_Node": "n1"} for p in month["pods"]],
        "network": list({b["x_PodUid"]: b | then for b in month["network"]}.values()),
        "calls": [c | then | {"x_Endpoint": "ns/llm"} for c in month["calls"]],
    }


@settings(MONTHS, max_examples=6)
@given(**MONTH)
def test_the_lines_of_a_cluster_sum_to_the_bill(**month: Any) -> None:
    connection = road(**as_cluster(month), rows_per_part=1)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem
    # Who bears network by bytes sent or received some, and nobody bears it for idle nodes.
    assert (
        []
        == connection.execute(
            "from allocated_cost where x_AllocationMethod in ('network', 'control_plane', "
            "'cluster_held') and x_Feature = '(idle)' and x_Endpoint = '(none)'"
        ).fetchall()
    )
    moved = sum(b["x_SentBytes"] + b["x_ReceivedBytes"] for b in as_cluster(month)["network"])
    rows = connection.execute(
        "select count(*) from allocated_cost where x_AllocationMethod = 'network'"
    ).fetchone()
    assert moved > 0 or rows == (0,)


def serve(month: dict[str, Any]) -> dict[str, Any]:
    """The month with all its usage in one hour, and its charges those of what was called then."""
    then = {"x_HourStart": "2026-10-01 00:00"}
    served = [FUNCTION, f"{FUNCTION}:live", "x:endpoint/big"]
    alike = {"ServiceName": "EC2", "ChargePeriodStart": "2026-10-01 00:00"}
    return month | {
        "charges": [
            c | alike | {"ResourceId": served[n % 3]} for n, c in enumerate(month["charges"])
        ],
        "calls": [c | then | {"x_Endpoint": "sagemaker/big"} for c in month["calls"]],
        "invocations": [i | then for i in month["invocations"]],
    }


@settings(MONTHS, max_examples=6)
@given(**MONTH)
def test_parts_of_functions_and_managed_endpoints_sum_to_the_bill(**month: Any) -> None:
    connection = road(**serve(month), rows_per_part=1)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem
    # What callers and idle capacity bear of a function is what the table of its unit costs says.
    shown = connection.execute(
        "select coalesce(sum(EffectiveCost + x_IdleCost), 0) from invocation_cost"
    ).fetchall()
    borne = connection.execute(
        "select coalesce(sum(EffectiveCost), 0) from allocated_cost "
        "where x_Pool like 'function/%' and x_AllocationMethod in ('invocation', 'endpoint_idle')"
    ).fetchall()
    assert borne == shown


def for_a_month(month: dict[str, Any]) -> dict[str, Any]:
    """The month with charges of bought APIs, managed endpoints and functions for all of it."""
    alike = {"SkuMeter": None, "CommitmentDiscountStatus": None, "ServiceName": "EC2"}
    days = {"ChargePeriodStart": "2026-10-01 00:00", "ChargePeriodEnd": "2026-11-01 00:00"}
    called: list[dict[str, Any]] = [
        {"ResourceId": None, "ServiceName": "LLM"},
        {"ResourceId": "x:endpoint/big"},
        {"ResourceId": FUNCTION, "SkuMeter": "Lambda-GB-Second"},
        {"ResourceId": FUNCTION, "SkuMeter": "Lambda-Provisioned-Concurrency"},
    ]
    endpoints = ["vendor/m", "vendor/n", "sagemaker/big"]
    return month | {
        "charges": [c | alike | called[n % 4] | days for n, c in enumerate(month["charges"])],
        "calls": [c | {"x_Endpoint": endpoints[n % 3]} for n, c in enumerate(month["calls"])],
        **{name: [] for name in ("pods", "nodes", "volumes", "network", "served", "shared")},
        # A list cost is rounded for each day: a month of them has other digits than a day has.
        "prices": [],
    }


def on_the_first(month: dict[str, Any]) -> dict[str, Any]:
    """The month with what was done in it, and what that cost, on its first day."""
    hours = {
        "2026-10-01 00:00": "2026-10-01 00:00",
        "2026-10-01 01:00": "2026-10-01 01:00",
        "2026-10-02 00:00": "2026-10-01 02:00",
        "2026-10-31 23:00": "2026-10-01 03:00",
    }
    return month | {
        "charges": [c | {"ChargePeriodEnd": "2026-10-02 00:00"} for c in month["charges"]],
        **{
            name: [row | {"x_HourStart": hours[row["x_HourStart"]]} for row in month[name]]
            for name in ("calls", "invocations")
        },
    }


@settings(MONTHS, max_examples=6)
@given(**MONTH)
def test_a_charge_for_a_month_is_of_all_who_called_in_it(**month: Any) -> None:
    month = for_a_month(month)
    long, day = (road(**m, rows_per_part=1) for m in (month, on_the_first(month)))
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == long.execute(queries.query(f"checks/{stem}").text).fetchall(), stem
    # As if all of the month had been on the one day that is charged.
    for name, of_pools in {
        "allocated_cost": "exclude (x_PoolId)",
        "showback": "",
        "unit_cost": "",
        "invocation_cost": "",
        "tenant_cost": "",
    }.items():
        rows = f"select * {of_pools} from {name} order by all"
        assert long.execute(rows).fetchall() == day.execute(rows).fetchall(), name


@settings(MONTHS, max_examples=6)
@given(**(MONTH | {"volumes": st.lists(VOLUME, min_size=1, max_size=6)}))
def test_parts_of_volumes_sum_to_the_bill(**month: Any) -> None:
    disks = [DISK, "disk"]
    # nothing that a `[[cluster_charge]]` takes before the volumes
    plain = {"ServiceName": "EC2", "SkuMeter": None, "CommitmentDiscountStatus": None}
    month["charges"] = [
        c | plain | {"ResourceId": disks[n % 2], "ChargeCategory": ("Usage", "Tax")[n % 3 == 0]}
        for n, c in enumerate(month["charges"])
    ]
    connection = road(**month, rows_per_part=1)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem
    # What nobody mounted is no tenant's, and no weight is of a disk that is not a volume.
    asked = """
        from allocated_cost
        where (x_AllocationMethod = 'unmounted') <> (x_Tenant = '(idle)')
            and x_Pool like 'volume/%'"""
    assert [] == connection.execute(asked).fetchall()
    charged = connection.execute(
        "select coalesce(sum(EffectiveCost), 0) from cost_and_usage "
        "where ResourceId in (select ResourceId from volume_id)"
    ).fetchall()
    borne = connection.execute(
        "select coalesce(sum(EffectiveCost), 0) from allocated_cost where x_Pool like 'volume/%'"
    ).fetchall()
    assert charged == borne


@settings(MONTHS, max_examples=6)
@given(**MONTH)
def test_no_row_depends_on_how_the_month_is_cut(**month: Any) -> None:
    whole, cut = (road(**month, rows_per_part=n) for n in (10**9, 1))

    assert 1 == len(whole.execute("from day_range").fetchall())
    for name in ["shared_weight", *(t.name for t in contracts.tables().values() if t.by_day)]:
        rows = f"select * from {name} order by all"
        assert whole.execute(rows).fetchall() == cut.execute(rows).fetchall(), name


@settings(MONTHS, max_examples=6)
@given(**(MONTH | {"shared": st.lists(SHARED, min_size=1, max_size=4)}))
def test_sharing_moves_and_neither_makes_nor_loses(**month: Any) -> None:
    shared = road(**month, rows_per_part=1)
    rows = """
        select hash(x_ChargeDay, InvoiceId, x_Pool, BillingCurrency, ServiceName, x_Feature,
            x_Tenant, x_Environment, x_Model) as place, sum(abs(EffectiveCost)) as e from"""
    for asked in (
        # Each row is taken once, by one block.
        f"select * from ({rows} shared_source group by all) as s anti join ({rows} allocated_cost "
        "group by all) as a on a.place = s.place and a.e >= s.e",
        # Every source has weights, be it for itself.
        """from shared_source as s anti join shared_weight as w
            on w.x_SharedBy = s.x_SharedBy and w.BillingCurrency = s.BillingCurrency
            and (w.x_Pool is not distinct from s.x_Pool or w.x_Pool = '*')
            and coalesce(w.x_SharedFeature, s.x_Feature) = s.x_Feature
            and coalesce(w.x_SharedTenant, s.x_Tenant) = s.x_Tenant
            and coalesce(w.x_SharedEnvironment, s.x_Environment) = s.x_Environment
            and w.x_FromDay <= s.x_ChargeDay and w.x_UntilDay > s.x_ChargeDay""",
        "from shared_weight where x_Weight < 1",
        """select x_SharedBy from shared_weight
            group by x_SharedBy, x_FromDay, BillingCurrency, x_Pool, x_SharedFeature,
                x_SharedTenant, x_SharedEnvironment having sum(x_Weight) > 10::hugeint ** 18""",
    ):
        assert [] == shared.execute(asked).fetchall()


@settings(MONTHS, max_examples=6)
@given(**MONTH)
def test_what_is_unused_goes_to_who_its_policy_says(**month: Any) -> None:
    month |= {"unused": "buyer", "shared": []}
    buyer, users, everyone = (
        road(**(month | {"unused": policy}), rows_per_part=1)
        for policy in ("buyer", "users", "everyone")
    )
    of_all = "select BillingCurrency, ProviderName, sum({}) from showback group by all order by all"
    for cost in ("BilledCost", "EffectiveCost"):
        asked = of_all.format(cost)
        bill = buyer.execute(asked).fetchall()
        assert bill == users.execute(asked).fetchall() == everyone.execute(asked).fetchall()
    assert [] == buyer.execute("from commitment_share").fetchall()
    for shared in (users, everyone):
        # Nothing but the cost of what is unused was given away, and nothing that was invoiced.
        unused = """
            select x_PoolId, sum(BilledCost), sum(EffectiveCost) from {}
            where x_Pool like 'commitment/%' group by all order by all"""
        pools = shared.execute(unused.format("charge_owner")).fetchall()
        assert pools == shared.execute(unused.format("allocated_cost")).fetchall()
        assert all(billed == 0 for _, billed, _ in pools)
        # Who bears a part of it has charges of their own, which cost something.
        strangers = """
            from allocated_cost as borne anti join allocated_cost as own
                on coalesce(own.x_Pool, '') not like 'commitment/%'
                and own.BillingCurrency = borne.BillingCurrency
                and own.x_Feature = borne.x_Feature
                and own.x_Tenant = borne.x_Tenant
                and own.x_Environment = borne.x_Environment
                and own.EffectiveCost > 0
            where borne.x_AllocationMethod = 'commitment'"""
        assert [] == shared.execute(strangers).fetchall()
    # What the invoice asks stands where it stood.
    billed = "select x_Feature, x_Tenant, sum(BilledCost) from showback group by all order by all"
    assert _not_zero(buyer, billed) == _not_zero(everyone, billed)


def _not_zero(connection: Any, asked: str) -> list[Any]:
    return [row for row in connection.execute(asked).fetchall() if row[-1] != 0]


def test_a_month_is_cut_at_days_and_not_inside_a_charge_of_a_node() -> None:
    usage = [{"x_HourStart": f"2026-10-{day:02} 05:00", "x_PodUid": "p"} for day in (1, 2, 3, 4)]
    nodes = [{"x_HourStart": "2026-10-01 05:00", "x_Node": "n1", "ResourceId": "i-1"}]
    # Until the midnight before the third: one may begin there, none on the second.
    charge = {"ResourceId": "i-1", "ChargePeriodEnd": "2026-10-03 00:00"}

    def cut(rows: int, **more: list[dict[str, Any]]) -> list[str]:
        told: dict[str, Any] = {**SETTINGS, "warehouse": {"rows_per_part": rows}}
        connection = engine({"pod_usage": usage, "node_usage": nodes, **more}, told)
        parameters = {**bindings.parameters(config.parse(told, config.Path())), "period": "2026-10"}
        for path in ROAD[: ROAD.index("allocation/day_range") + 1]:
            fill(connection, path, parameters)
        found = connection.execute("from day_range order by x_FromDay").fetchall()
        assert [f[2] for f in found] == [*(f[1] for f in found[1:]), date(9999, 12, 31)]
        return [str(f[1])[5:] for f in found]

    assert cut(1) == ["01-01", "10-02", "10-03", "10-04"]
    assert cut(2) == ["01-01", "10-03"]
    assert cut(5) == ["01-01"]
    assert cut(1, cost_and_usage=[charge]) == ["01-01", "10-03", "10-04"]
    # One call a day, split over two accounts, makes three rows more of the day.
    call = {"x_Endpoint": "vendor/m", "x_Model": "m", "x_Calls": 1}
    calls = [{**call, "x_HourStart": u["x_HourStart"]} for u in usage]
    bought = [{"ServiceName": "LLM", "SubAccountId": a} for a in ("1", "2")]
    assert cut(4, inference_usage=calls) == ["01-01", "10-03"]
    assert cut(4, inference_usage=calls, cost_and_usage=bought) == [
        "01-01",
        "10-02",
        "10-03",
        "10-04",
    ]
    assert cut(1, pod_usage=[]) == ["01-01"]


def test_a_quotient_is_exact() -> None:
    connection = engine({}, {})
    dice = random.Random(1)
    for digits in range(1, 37):
        total = dice.randint(1, 10 ** min(digits, 18))
        near = dice.randint(0, 10**digits // total) * total
        for product in (near, near + 1, max(near - 1, 0), dice.randint(0, 10**digits)):
            ((found,),) = connection.execute(
                "select quotient(cast(? as hugeint), cast(? as hugeint))", [product, total]
            ).fetchall()
            assert found == product // total, (product, total)


def test_a_charge_that_changed_its_owner_is_found() -> None:
    """Costs that two owners of a pool exchanged leave every sum as it was."""
    one = {"x_PoolId": "p", "x_Feature": "a", "BilledCost": "1", "EffectiveCost": "1"}
    two = {**one, "x_Feature": "b", "EffectiveCost": "2"}
    split = {**one, "x_PoolId": "q", "x_Pool": "node/c"}

    def found(*allocated: dict[str, Any]) -> int:
        connection = engine({"charge_owner": [one, two, split], "allocated_cost": [*allocated]}, {})
        check = queries.query("checks/allocated_cost__keeps_owner")
        return len(connection.execute(check.text).fetchall())

    assert found(two, one) == 0
    assert found(one, two, {**split, "x_Feature": "caller"}) == 0
    assert found({**one, "x_Feature": "b"}, {**two, "x_Feature": "a"}) == 1
    assert found(one, {**two, "x_Tenant": "t"}) == 1
    assert found(one) == 1
    assert found(one, two, {**one, "x_PoolId": "r"}) == 1
    assert found() == 1


def test_the_checks_can_fail() -> None:
    given_rows = {
        "cost_and_usage": [{"BilledCost": "1", "EffectiveCost": "1"}],
        "charge_kind": [{"BilledCost": "1", "EffectiveCost": "1"}],
        "allocated_cost": [{"BilledCost": "1", "EffectiveCost": "0.999999999999", "x_PoolId": "p"}],
        "charge_owner": [{"BilledCost": "2", "EffectiveCost": "1", "x_PoolId": "p"}],
        "showback": [{"BilledCost": "1", "EffectiveCost": "1.000000000001"}],
        "shared_cost": [{"x_Move": "taken", "BilledCost": "0", "EffectiveCost": "-1"}],
        "coverage": [{"EffectiveCost": "1"}],
        "delivery": [{"x_Rows": 2, "BilledCost": "1"}],
    }
    connection = engine(given_rows, {})
    for stem in queries.stems("checks"):
        name, rule = stem.split("__")
        if name in given_rows and rule.startswith(
            ("conserves", "adds_up", "sums_to_zero", "takes_no_more")
        ):
            assert 1 == len(connection.execute(queries.query(f"checks/{stem}").text).fetchall()), (
                stem
            )
