"""The first law by property: whatever the bill, the usage and the rules, parts sum to the whole."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline import bindings, config, queries

from .test_cases import engine, fill

MONEY = st.decimals(
    min_value=Decimal(-1000000), max_value=Decimal(1000000), places=12, allow_nan=False
)
BIG = st.integers(min_value=0, max_value=10**15)
WORK = st.integers(min_value=0, max_value=10**12)
HOURS = st.sampled_from(["2026-10-01 00:00", "2026-10-01 01:00", "2026-10-31 23:00"])
LABELS = st.sampled_from(
    [
        "{}",
        '{"feature":"chat"}',
        '{"feature":"search","tenant":"a"}',
        '{"Feature":"CHAT ","env":"prod"}',
    ]
)

CHARGE = st.fixed_dictionaries(
    {
        "BilledCost": MONEY,
        "EffectiveCost": MONEY,
        "ResourceId": st.sampled_from([None, "i-1", "i-2", "db-1"]),
        "InvoiceId": st.sampled_from(["a", "b"]),
        "BillingCurrency": st.sampled_from(["USD", "EUR"]),
        "SubAccountId": st.sampled_from([None, "1"]),
        "ServiceName": st.sampled_from(["EC2", "LLM"]),
        "ChargeCategory": st.sampled_from(["Usage", "Tax", "Credit"]),
        "ChargePeriodStart": HOURS,
        "ChargePeriodEnd": st.just("2026-11-01 00:00"),
        "x_TagSetId": st.integers(1, 4),
    }
)
POD = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Node": st.sampled_from(["n1", "n2"]),
        "x_Workload": st.sampled_from(["web", "llm"]),
        "x_Labels": LABELS,
        "x_CpuAllocatedCoreMs": BIG,
        "x_MemoryAllocatedByteSeconds": BIG,
        "x_GpuRequestMs": BIG,
    }
)
NODE = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_CpuCapacityCoreMs": BIG,
        "x_MemoryCapacityByteSeconds": BIG,
        "x_GpuCapacityMs": BIG,
    }
)
CALL = st.fixed_dictionaries(
    {
        "x_HourStart": HOURS,
        "x_Endpoint": st.sampled_from(["ns/llm", "vendor/m"]),
        "x_Feature": st.sampled_from([None, "chat"]),
        "x_Tenant": st.sampled_from([None, "a", "b", "c"]),
        "x_Model": st.sampled_from(["m", "n"]),
        "x_Calls": st.integers(1, 1000),
        "x_UnknownTokenCalls": st.integers(0, 1),
        "x_InputTokens": WORK,
        "x_OutputTokens": WORK,
        "x_GpuMs": WORK,
        "x_GpuMsCalls": st.sampled_from([0, 1]),
    }
)
TAGS = ["{}", '{"feature":"chat"}', '{"Feature":"Chat","feature":"x"}', '{"tenant":"a"}']
SETTINGS: dict[str, Any] = {
    "inference_split": [{"name": "api", "where": {"ServiceName": "LLM"}, "endpoint": "vendor/*"}],
    "rule": [{"where": {"ChargeCategory": "Tax"}, "feature": "platform"}],
}
ROAD = [
    "allocation/tag_owner",
    "allocation/charge_owner",
    "allocation/usage_share",
    "allocation/allocated_cost",
    "showback/showback",
    "showback/coverage",
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    charges=st.lists(CHARGE, max_size=12),
    refused=st.lists(st.tuples(MONEY, MONEY), max_size=3),
    pods=st.lists(POD, max_size=8),
    nodes=st.lists(st.tuples(st.sampled_from(["1", "2"]), NODE), max_size=4),
    calls=st.lists(CALL, max_size=8),
    policy=st.sampled_from(["line", "callers"]),
)
def test_parts_sum_to_the_bill(
    charges: list[dict[str, Any]],
    refused: list[tuple[Decimal, Decimal]],
    pods: list[dict[str, Any]],
    nodes: list[tuple[str, dict[str, Any]]],
    calls: list[dict[str, Any]],
    policy: str,
) -> None:
    told: dict[str, Any] = {**SETTINGS, "allocation": {"endpoint_idle": policy}}
    connection = engine(
        {
            "tag_set": [{"x_TagSetId": n, "Tags": t} for n, t in enumerate(TAGS, 1)],
            "cost_and_usage": [{**c, "x_SourceRow": n} for n, c in enumerate(charges, 1)],
            "quarantine": [
                {"BilledCost": b, "EffectiveCost": e, "InvoiceId": "a"} for b, e in refused
            ],
            "pod_usage": [{**p, "x_PodUid": str(n)} for n, p in enumerate(pods)],
            "node_usage": [
                {**row, "x_Node": f"n{n}", "ResourceId": f"i-{n}"}
                for n, row in {(n, r["x_HourStart"]): (n, r) for n, r in nodes}.values()
            ],
            "inference_usage": calls,
        },
        told,
    )
    parameters = {**bindings.parameters(config.parse(told, config.Path())), "period": "2026-10"}
    for path in ROAD:
        fill(connection, path, parameters)
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in {p.split("/")[1] for p in ROAD}:
            assert [] == connection.execute(queries.query(f"checks/{stem}").text).fetchall(), stem


def test_the_checks_can_fail() -> None:
    given_rows = {
        "cost_and_usage": [{"BilledCost": "1", "EffectiveCost": "1"}],
        "allocated_cost": [{"BilledCost": "1", "EffectiveCost": "0.999999999999", "x_PoolId": "p"}],
        "charge_owner": [{"BilledCost": "2", "EffectiveCost": "1", "x_PoolId": "p"}],
        "showback": [{"BilledCost": "1", "EffectiveCost": "1.000000000001"}],
        "coverage": [{"EffectiveCost": "1"}],
        "delivery": [{"x_Rows": 2, "BilledCost": "1"}],
    }
    connection = engine(given_rows, {})
    for stem in queries.stems("checks"):
        if stem.split("__")[0] in given_rows:
            assert 1 == len(connection.execute(queries.query(f"checks/{stem}").text).fetchall()), (
                stem
            )
