"""OpenCost's own cases for aggregation, idle and shared cost, replayed through `[[shared_cost]]`.

What belongs here: their numbers, which are not ours, so they are read where they lie, and what of
them is another policy here: docs/allocation.md, Beside OpenCost, has the reasons.

Each resource of an allocation of theirs is a row of ours. The group it is aggregated to is the
feature, its namespace the tenant, and its app the environment; each resource of a cluster, or of a
node, is a pool, for that is what they spread idle cost over.
"""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline import bindings, config

from .test_cases import engine, fill
from .test_real_data import shared

NODES = ("cpu", "ram", "gpu")
IDLE, UNNAMED = "__idle__", "__unallocated__"
WRONG_THERE = "6e"
WEIGHED_BEFORE_IDLE = ("6f", "6g", "6h")


@cache
def told() -> dict[str, Any]:
    """What the file of cases says."""
    path = shared("peer_cases/opencost_aggregate_by.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def numbers() -> list[str]:
    """Ids of the cases; one that will say that they are absent, where they are."""
    try:
        return [case["id"] for case in told()["cases"] if case["id"] != WRONG_THERE]
    except pytest.skip.Exception:
        return ["absent"]


def group(allocation: dict[str, Any], by: list[str]) -> str:
    """The group an allocation is aggregated to, named as there."""
    names = []
    for one in by:
        kind, _, name = one.partition(":")
        owner, controller = allocation["controller_kind"], allocation["controller"]
        if name:
            names.append(allocation[f"{kind}s"].get(name))
        elif one in ("controllerKind", "controller"):
            names.append(owner and (owner if one == "controllerKind" else f"{owner}:{controller}"))
        elif one == "service":
            names.append(next(iter(allocation["services"]), None))
        elif one in ("deployment", "daemonset", "statefulset"):
            names.append(controller if owner == one else None)
        else:
            names.append(allocation[one])
    return "/".join(n or UNNAMED for n in names)


def rows(case: dict[str, Any], *, by_resource: bool = True) -> list[dict[str, Any]]:
    """The allocations of a case and its idle cost, as rows of allocated_cost."""
    options = case["options"]
    of = "node" if options.get("idle_by_node") else "cluster"
    found: list[dict[str, Any]] = []

    def add(
        feature: str, tenant: str, app: str, pool: str | None, cost: float, **more: str
    ) -> None:
        owner = {"x_Feature": feature, "x_Tenant": tenant, "x_Environment": app}
        row = {**owner, "x_Pool": pool, "EffectiveCost": str(cost), "x_PoolId": str(len(found))}
        found.append(row | more)

    for allocation in told()["allocations"]:
        who = (group(allocation, case["aggregate_by"]), allocation["namespace"])
        app = allocation["labels"].get("app", UNNAMED)
        for resource in (*NODES, "pv", "network", "lb"):
            place = f"{allocation['cluster']}/{allocation[of]}"
            kept = resource if by_resource or resource not in NODES else "node"
            add(*who, app, f"{place}/{kept}", allocation[resource])
    for idle in told()[f"idle_by_{of}"]:
        place = f"{idle['cluster']}/{idle[of]}"
        for resource in NODES:
            pool = f"{place}/{resource if by_resource else 'node'}"
            name = ("(idle)", "(idle)", "(idle)")
            add(*name, pool, idle[resource], x_AllocationMethod="idle")
    if "shared_hourly_costs" in options:
        cost = options["shared_hourly_costs"]["total"] * options["hours"]
        add("overhead", "(shared)", UNNAMED, None, cost)
    return found


def blocks(case: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The policies of a case."""
    options = case["options"]
    found: list[dict[str, Any]] = []
    if "shared_hourly_costs" in options:
        found.append({"name": "overhead", "where": {"feature": "overhead"}})
    # Who looks at one namespace there sees the part of the idle cost that would be its own.
    if options.get("share_idle") == "weighted" or "namespace" in options.get("filter", {}):
        found.append({"name": "idle", "where": {"method": "idle"}, "within": "pool"})
    for kind, asked in options.get("share", {}).items():
        part: dict[str, Any] = {"name": "part", "where": {"feature": asked}}
        if kind == "label:app":
            part["where"] = {"environment": asked}
        if options["share_split"] == "even":
            part |= {"split": "even", "to": {"feature": "*"}}
        elif case["id"] in WEIGHED_BEFORE_IDLE:
            costs: dict[str, float] = defaultdict(float)
            for row in rows(case):
                costs[row["x_Feature"]] += float(row["EffectiveCost"])
            heads = [
                f"2026-10,{n},{n},{int(c)}" for n, c in costs.items() if n not in ("(idle)", asked)
            ]
            (folder / "before.csv").write_text(
                "\n".join(["period,feature,tenant,quantity", *heads])
            )
            part |= {"split": "driver", "driver": "before.csv"}
        found.append(part)
    return found


def answered(given: list[dict[str, Any]], policies: list[dict[str, Any]], root: Path) -> Any:
    """Rows of feature, tenant, pool, block and cost: what was allocated, and what moved."""
    settings = {"shared_cost": policies}
    parsed = config.parse(settings, root)
    connection = engine({"allocated_cost": given}, settings)
    for name in ("shared_source", "shared_weight", "shared_cost"):
        parameters = {**bindings.parameters(parsed), "period": "2026-10"}
        fill(connection, f"allocation/{name}", parameters, parsed)
    return connection.execute(
        """
        select x_Feature, x_Tenant, coalesce(x_Pool, ''), '', EffectiveCost from allocated_cost
        union all
        select x_Feature, x_Tenant, coalesce(x_Pool, ''), x_SharedBy, EffectiveCost
        from shared_cost
        """
    ).fetchall()


@pytest.mark.parametrize("number", numbers())
def test_opencost_says_the_same(number: str, tmp_path: Path) -> None:
    case = next(c for c in told()["cases"] if c["id"] == number)
    options = case["options"]
    wanted = options.get("filter", {})
    found: dict[str, Decimal] = defaultdict(Decimal)
    for feature, tenant, pool, by, cost in answered(rows(case), blocks(case, tmp_path), tmp_path):
        if wanted.get("namespace", tenant) != tenant:
            continue
        if not pool.startswith(wanted.get("cluster", "")):
            continue
        name = feature
        if feature == "(idle)" or (by == "idle" and options.get("share_idle") != "weighted"):
            place = pool.split("/")[1]
            name = f"{place}/{IDLE}" if options.get("split_idle") else IDLE
        found[name] += cost

    assert {k: round(v, 9) for k, v in case["exact"].items()} == {
        k: round(float(v), 9) for k, v in found.items() if v
    }


def test_idle_is_spread_over_a_node_and_not_over_each_resource(tmp_path: Path) -> None:
    case = next(c for c in told()["cases"] if c["id"] == "3a")
    found: dict[str, Decimal] = defaultdict(Decimal)
    given = rows(case, by_resource=False)
    for feature, *_, cost in answered(given, blocks(case, tmp_path), tmp_path):
        found[feature] += cost

    # Of the 28 dollars of nodes that are held in cluster1, namespace1 holds 19: 28 + 20 x 19/28.
    assert "41.571428571" == f"{found['namespace1']:.9f}"
    assert 42.6875 == case["exact"]["namespace1"]
    assert Decimal(112) == sum(found.values())
