"""OpenCost's own cases, replayed: aggregation, idle and shared cost, volumes, containers, GPUs.

What belongs here: their numbers, which are not ours, so they are read where they lie, and what of
them is another policy here: docs/allocation.md, Beside OpenCost, has the reasons.

Aggregation, idle and shared cost go through `[[shared_cost]]`. Each resource of an allocation of
theirs is a row of ours. The group it is aggregated to is the feature, its namespace the tenant, and
its app the environment; each resource of a cluster, or of a node, is a pool, for that is what they
spread idle cost over. The others go from samples through the tables that answer them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import bindings, config, queries

from .test_cases import engine, fill, stage_queries
from .test_real_data import shared
from .test_usage import MIDNIGHT, Sample, every, gpu_node, measure

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


@cache
def others(kind: str) -> list[dict[str, Any]]:
    """The cases of one kind in the other file; one that will say that they are absent."""
    try:
        path = shared("peer_cases/opencost_misc.json")
    except pytest.skip.Exception:
        return [{"name": "absent"}]
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[kind]["cases"]
    return found


def wanted(case: dict[str, Any]) -> dict[str, Any]:
    """The case, or a skip where it is absent."""
    if case.get("name") == "absent":
        shared("peer_cases/opencost_misc.json")
    return case


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


# ----------------------------------------------------------- volumes, containers, GPUs, names

IN_PROPORTION = "four pods w/ various overlaps"


def minutes(span: dict[str, str]) -> range:
    """The minutes of a day that a span of theirs covers."""
    first, last = (datetime.fromisoformat(span[k]).replace(tzinfo=None) for k in ("start", "end"))
    midnight = first.replace(hour=0, minute=0)
    return range(*(int((t - midnight).total_seconds() // 60) for t in (first, last)))


def mounts(number: int, case: dict[str, Any]) -> list[Sample]:
    """A case of a claim, in a namespace of its own, as samples of every minute."""
    space = {"namespace": str(number)}
    claim = {**space, "persistentvolumeclaim": "data"}
    listed = minutes(case["pvc"])
    name = {"persistentvolume": f"pv-{number}"}
    volume = {**name, "csi_volume_handle": f"vol-{number}"}
    bound = {**claim, "volumename": f"pv-{number}"}
    found = [
        *every(listed, "kube_persistentvolume_info", volume, 1),
        *every(listed, "kube_persistentvolumeclaim_info", bound, 1),
        ("kube_persistentvolume_info", volume, listed.stop, float("nan")),
    ]
    for pod in case["pods"]:
        who = {**space, "pod": pod["pod"], "uid": f"{number}/{pod['pod']}"}
        at = minutes(pod)
        for metric, labels in (
            ("kube_pod_info", {**who, "node": "n1"}),
            ("kube_pod_spec_volumes_persistentvolumeclaims_info", {**who, **claim}),
        ):
            found += [*every(at, metric, labels, 1), (metric, labels, at.stop, float("nan"))]
    return found


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What a disk of a dollar an hour costs whom, by the name of the case."""
    cases = [wanted(case) for case in others("pvc_time_share")]
    samples = duckdb.connect()
    samples.execute(queries.macros())
    told = [sample for n, case in enumerate(cases) for sample in mounts(n, case)]
    measure(samples, tmp_path_factory.mktemp("claims"), told)
    measured = samples.execute(queries.query("usage/volume_usage").text)
    names = [d[0] for d in measured.description or []]
    listed = [dict(zip(names, row, strict=True)) for row in measured.fetchall()]
    charges = [
        {
            "ResourceId": f"vol-{n}",
            "ServiceName": case["name"],
            "EffectiveCost": "1",
            "ChargePeriodStart": MIDNIGHT.replace(hour=8),
            "ChargePeriodEnd": MIDNIGHT.replace(hour=9),
            "x_SourceRow": n + 1,
        }
        for n, case in enumerate(cases)
    ]
    connection = engine({"cost_and_usage": charges, "volume_usage": listed}, {})
    parameters = {**bindings.parameters(config.parse({}, Path())), "period": "2026-03"}
    for step in stage_queries("allocation"):
        fill(connection, step, parameters)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name, endpoint, method, cost in connection.execute(
        "select ServiceName, x_Endpoint, x_AllocationMethod, EffectiveCost from allocated_cost"
    ).fetchall():
        who = endpoint.split("/")[1] if method == "volume" else method
        found[name][who] = round(float(cost), 9)
    return found


@pytest.mark.parametrize("case", others("pvc_time_share"), ids=lambda c: c["name"])
def test_opencost_splits_the_time_of_a_claim_so(
    case: dict[str, Any], claims: dict[str, dict[str, float]]
) -> None:
    found = claims[wanted(case)["name"]]
    expected = {
        {"__unmounted__": "unmounted"}.get(k, k): round(v, 9)
        for k, v in case["expected_share"].items()
    }
    if case["name"] == IN_PROPORTION:
        # 60, 30, 15 and 15 minutes are 120, as hourly sums have them.
        assert expected != found
        expected = {"pod1": 0.5, "pod2": 0.25, "pod3": 0.125, "pod4": 0.125}
    if case["expected_error"]:
        # A volume that was never there was not measured: its disk stays with its tags.
        expected = {"unallocated": 1.0}

    assert expected == found


@pytest.mark.parametrize("case", others("container_allocation"), ids=lambda c: c["name"])
def test_opencost_says_a_container_holds_so_much(case: dict[str, Any]) -> None:
    case = wanted(case)

    def amount(key: str, unit: int) -> int | None:
        return None if case[key] is None else round(case[key] * unit)

    container = {
        "x_PodUid": "a",
        # What asks for nothing has a request of nothing; what was not measured is null.
        "x_CpuRequestCoreMs": amount("cpu_req", 3_600_000) or 0,
        "x_CpuUsageCoreMs": amount("cpu_use", 3_600_000),
        "x_MemoryRequestByteSeconds": amount("ram_req", 3600) or 0,
        "x_MemoryUsageByteSeconds": amount("ram_use", 3600),
    }
    connection = engine({"container_usage": [container]}, {})
    fill(connection, "usage/pod_usage", {})
    found = connection.execute(
        "select x_CpuAllocatedCoreMs, x_MemoryAllocatedByteSeconds from pod_usage"
    ).fetchall()

    assert [(amount("expect_cpu", 3_600_000), amount("expect_ram", 3600))] == found


@pytest.mark.parametrize("case", others("gpu_count"), ids=lambda c: c["name"])
def test_opencost_counts_the_gpus_of_a_node_so(case: dict[str, Any], tmp_path: Path) -> None:
    case = wanted(case)

    def plain(key: str) -> str:
        return key.replace(".", "_").replace("/", "_")

    devices = {plain(k): float(v) for k, v in case["capacity"].items()}
    samples = duckdb.connect()
    samples.execute(queries.macros())
    labels = {plain(k): str(v) for k, v in case["labels"].items()}
    measure(samples, tmp_path, gpu_node({"cpu": 1.0, **devices}, **labels))
    ((gpus, parts),) = samples.execute(
        "select x_GpuCapacityMs / 3600000, x_GpuDeviceParts / gpu_parts() from node_usage"
    ).fetchall()

    # A node without one has none, where OpenCost says nothing.
    assert (case["gpu"] or 0) == gpus
    assert (case["vgpu"] or 0) == gpus / parts


@pytest.mark.parametrize("case", others("cronjob_controller"), ids=lambda c: c.get("job", "absent"))
def test_opencost_names_the_owner_of_a_job_so(case: dict[str, Any], tmp_path: Path) -> None:
    case = wanted(case)
    who = {"namespace": "ns", "pod": f"{case['job']}-x", "uid": "1"}
    owner = {"owner_kind": "Job", "owner_name": case["job"]}
    samples = duckdb.connect()
    samples.execute(queries.macros())
    measure(
        samples,
        tmp_path,
        [
            *every(range(50), "kube_pod_info", {**who, "node": "n1"}, 1),
            *every(range(50), "kube_pod_owner", {**who, **owner}, 1),
        ],
    )
    found = samples.execute("select x_Workload, x_WorkloadKind from pod_usage").fetchall()

    # Its kind is that of the owner's owner here, and the job's there.
    assert ("job", [(case["controller"], "CronJob")]) == (case["kind"], found)


def test_idle_cost_beside_nothing_stays_idle(tmp_path: Path) -> None:
    """OpenCost's rule: where a resource costs nothing, its idle coefficient is nothing, not NaN."""
    place = {"x_Pool": "node/c", "x_PoolId": "p"}
    given: list[dict[str, Any]] = [
        {**place, "x_Feature": "chat", "x_AllocationMethod": "pod", "EffectiveCost": "0"},
        {
            **place,
            **dict.fromkeys(("x_Feature", "x_Tenant", "x_Environment"), "(idle)"),
            "x_AllocationMethod": "idle",
            "EffectiveCost": "5",
        },
    ]
    block = {"name": "idle", "where": {"method": "idle"}, "within": "pool"}
    found: dict[str, Decimal] = defaultdict(Decimal)
    for feature, *_, cost in answered(given, [block], tmp_path):
        found[feature] += cost

    assert {"chat": Decimal(0), "(idle)": Decimal(5)} == found
