"""Real traces through the real road. The data is not ours, so it is read where it lies.

Found by the environment variable FINOPS_SHARED_DATA, else in `../shared/data`; where neither is,
these tests say so and are skipped. The numbers are those of docs/real-data.md.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from .small import COLUMNS, Small

ROOT = Path(__file__).parents[1]
PRICE = Decimal("16.00")
GPUS = 4
CORES, GIB = 64, 512
FIRST, LAST = datetime(2024, 11, 15), datetime(2024, 12, 9)
PERIODS = ("2024-11", "2024-12")
ENDPOINT = "serving/diffusion"
CALLED = "x_AllocationMethod = 'inference'"


def shared(name: str) -> Path:
    """A file of the shared data, or a skip that says what is missing."""
    given = os.environ.get("FINOPS_SHARED_DATA")
    place = Path(given) if given else ROOT.parent / "shared" / "data"
    path = place / name
    if not path.exists():
        pytest.skip(f"no {name}: set FINOPS_SHARED_DATA to the folder of the shared data")
    return path


# ------------------------------------------------- a fleet of GPUs under a month of image requests


@dataclass(frozen=True)
class Fleet:
    """Requests of a production service on one made-up node of four GPUs at 16.00 USD an hour."""

    small: Small
    requests: Path

    def shown(self, by: str, where: str = "true") -> dict[str, Decimal]:
        rows = self.small.ask(
            f"select {by}, sum(EffectiveCost) from showback where {where} group by all"
        )
        return dict(rows)


TOML = """\
[[billing]]
name = "fleet"
dialect = "focus"
location = "bill/{period}.csv"

[[metrics]]
name = "fleet"
kind = "parquet"
cluster = "fleet"
location = "metrics/{date}.parquet"

[[inference]]
name = "requests"
dialect = "calls"
location = "calls/{date}.parquet"
"""

# Every five minutes, as Prometheus would scrape it: one node, all of it held by one pod.
# ruff: noqa: E501  a sample is a line
SAMPLES = f"""
copy (
    select sample.metric, sample.labels, scrape.time, cast(sample.value as double) as value
    from (values
        ('kube_node_info', map {{'node': 'n1', 'provider_id': 'fleet:///i-fleet'}}, 1),
        ('kube_node_status_capacity', map {{'node': 'n1', 'resource': 'cpu'}}, {CORES}),
        ('kube_node_status_capacity', map {{'node': 'n1', 'resource': 'memory'}}, {GIB} * 1024 ** 3),
        ('kube_node_status_capacity', map {{'node': 'n1', 'resource': 'nvidia_com_gpu'}}, {GPUS}),
        ('kube_pod_info', map_concat($pod, map {{'node': 'n1'}}), 1),
        ('kube_pod_owner', map_concat($pod, map {{'owner_kind': 'ReplicaSet', 'owner_name': 'diffusion-1'}}), 1),
        ('kube_replicaset_owner', map {{
            'namespace': 'serving', 'replicaset': 'diffusion-1',
            'owner_kind': 'Deployment', 'owner_name': 'diffusion'}}, 1),
        ('kube_pod_container_resource_requests', map_concat($held, map {{'resource': 'cpu'}}), {CORES}),
        ('kube_pod_container_resource_requests', map_concat($held, map {{'resource': 'memory'}}), {GIB} * 1024 ** 3),
        ('kube_pod_container_resource_requests', map_concat($held, map {{'resource': 'nvidia_com_gpu'}}), {GPUS})
    ) as sample(metric, labels, value),
    range(cast($day as timestamp), cast($day as timestamp) + interval 1 day, interval 5 minutes)
        as scrape(time)
) to '$to' (format parquet)
"""
POD = "map {'namespace': 'serving', 'pod': 'diffusion-1-a', 'uid': 'u1'}"
HELD = "map {'namespace': 'serving', 'pod': 'diffusion-1-a', 'uid': 'u1', 'container': 'server'}"

CALLS = f"""
copy (
    select
        cast(rid as varchar) as x_CallId, gmt_create as x_Time, '{ENDPOINT}' as x_Endpoint,
        'self' as x_Provider, predict_type as x_Feature, groupId as x_Tenant,
        'production' as x_Environment,
        coalesce(checkpoint_model_version_id, 'unknown') as x_Model,
        case when predict_status = 'SUCCEED' then 'ok' else 'error' end as x_Status,
        cast(null as bigint) as x_InputTokens, cast(null as bigint) as x_CachedInputTokens,
        cast(null as bigint) as x_OutputTokens,
        cast(round(exec_time_seconds * 1000) as bigint) as x_GpuMs,
        cast(null as bigint) as x_LatencyMs
    from '$from' where cast(gmt_create as date) = date '$day' order by rid
) to '$to' (format parquet)
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    requests = shared("gentd26/requests.parquet")
    small = Small.make(tmp_path_factory.mktemp("fleet"), TOML)
    for folder in ("bill", "metrics", "calls"):
        (small.root / folder).mkdir()
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days)]
    for day in days:
        for text, folder in ((SAMPLES, "metrics"), (CALLS, "calls")):
            values = {
                "$pod": POD,
                "$held": HELD,
                "cast($day as timestamp)": f"timestamp '{day:%Y-%m-%d}'",
                "$day": f"{day:%Y-%m-%d}",
                "$from": str(requests),
                "$to": str(small.root / folder / f"{day:%Y-%m-%d}.parquet"),
            }
            query = text
            for name, value in values.items():
                query = query.replace(name, value)
            duckdb.execute(query)
    for period in PERIODS:
        hours = [d + timedelta(hours=h) for d in days if f"{d:%Y-%m}" == period for h in range(24)]
        bill(small.root / "bill" / f"{period}.csv", period, hours)
        small.run(period)
    return Fleet(small, requests)


def bill(path: Path, period: str, hours: list[datetime]) -> None:
    """An hourly price for the node, as FOCUS."""
    after = {"2024-11": "2024-12", "2024-12": "2025-01"}[period]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for hour in hours:
            end = hour + timedelta(hours=1)
            money = (PRICE, PRICE, "USD")
            times = (
                f"{period}-01",
                f"{after}-01",
                f"{hour:%Y-%m-%d %H:00}",
                f"{end:%Y-%m-%d %H:00}",
            )
            what = ("Usage", "Example Cloud", "Compute", "Machines", "i-fleet", f"I-{period}", "{}")
            writer.writerow([*money, *times, *what])


def test_the_fleet_is_shown_as_billed(fleet: Fleet) -> None:
    hours = (LAST - FIRST).days * 24

    assert fleet.small.total() == PRICE * hours == Decimal("9216.00")
    for by in ("x_Tenant", "x_Feature", "x_Model", "x_AllocationMethod"):
        assert sum(fleet.shown(by).values()) == PRICE * hours
    assert fleet.small.ask("select count(*) from unread_usage") == [(0,)]
    assert fleet.small.ask("select sum(x_Calls) from inference_usage") == [(26_823,)]


@pytest.mark.parametrize(
    ("shown", "delivered"),
    [
        ("x_Tenant", "lower(groupId)"),
        ("x_Feature", "lower(predict_type)"),
        ("x_Model", "coalesce(checkpoint_model_version_id, 'unknown')"),
    ],
)
def test_each_pays_for_its_seconds(fleet: Fleet, shown: str, delivered: str) -> None:
    """Against sums in whole numbers: an hour of a GPU is a quarter of 16.00."""
    rows = duckdb.execute(
        f"select {delivered}, cast(sum(round(exec_time_seconds * 1000)) as bigint) "
        f"from '{fleet.requests}' group by all having sum(exec_time_seconds) > 0"
    ).fetchall()
    expected = {who: Fraction(ms, 3_600_000 * GPUS) * Fraction(PRICE) for who, ms in rows}
    found = fleet.shown(shown, f"{CALLED} and EffectiveCost <> 0")

    assert set(found) == set(expected)
    # A weight is cut at 10^-12 of a node-hour's dollar, once for each hour; nothing else is.
    worst = max(abs(Fraction(found[who]) - expected[who]) for who in expected)
    assert worst < Fraction(1, 10**8), float(worst)


def test_what_nobody_used_is_a_line(fleet: Fleet) -> None:
    ((ms,),) = duckdb.execute(
        f"select cast(sum(round(exec_time_seconds * 1000)) as bigint) from '{fleet.requests}'"
    ).fetchall()
    busy = Fraction(ms, 3_600_000 * GPUS) * Fraction(PRICE)
    methods = fleet.shown("x_AllocationMethod")

    assert set(methods) == {"inference", "endpoint_idle"}
    assert abs(Fraction(methods["inference"]) - busy) < Fraction(1, 10**6)
    assert methods["endpoint_idle"] == fleet.small.total() - methods["inference"] > 0
    assert fleet.shown("x_Tenant")["(idle)"] == methods["endpoint_idle"]


def numbers(fleet: Fleet) -> dict[str, Any]:
    """The numbers docs/real-data.md tells."""
    methods = fleet.shown("x_AllocationMethod")
    tenants = sorted(fleet.shown("x_Tenant", CALLED).values(), reverse=True)
    features = fleet.shown("x_Feature", CALLED)
    busy = methods["inference"]
    share = lambda part, whole: f"{100 * part / whole:.1f} %"  # noqa: E731
    return {
        "requests": f"{26_823:,}",
        "billed": f"{fleet.small.total():,.2f} USD",
        "busy": f"{busy:,.2f} USD",
        "busy share": share(busy, fleet.small.total()),
        "idle": f"{methods['endpoint_idle']:,.2f} USD",
        "idle share": share(methods["endpoint_idle"], fleet.small.total()),
        "groups": f"{len(tenants):,}",
        "models": f"{len(fleet.shown('x_Model', CALLED)):,}",
        "largest group": share(tenants[0], busy),
        "ten largest groups": share(sum(tenants[:10]), busy),
        "hundred largest groups": share(sum(tenants[:100]), busy),
    } | {name: share(cost, busy) for name, cost in sorted(features.items())}


def test_the_page_tells_these_numbers(fleet: Fleet) -> None:
    text = (ROOT / "docs" / "real-data.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|$", text, re.MULTILINE))
    found = numbers(fleet)

    assert found == {k: told.get(k) for k in found}


# ------------------------------------------------------------------------ a thousand FOCUS rows


def test_real_focus_rows_go_the_whole_road(tmp_path: Path) -> None:
    """AWS, Microsoft and Oracle, anonymised: every row and cent, by invoice and currency."""
    source = shared("focus/focus_sample.csv")
    toml = '[[billing]]\nname = "sample"\ndialect = "focus"\nlocation = "bill/{period}.csv"\n'
    small = Small.make(tmp_path, toml)
    (tmp_path / "bill").mkdir()
    (tmp_path / "bill" / "2024-09.csv").write_bytes(source.read_bytes())
    billed: dict[str, Decimal] = defaultdict(Decimal)
    effective: dict[str, Decimal] = defaultdict(Decimal)
    rows = 0
    with source.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows += 1
            billed[row["BillingCurrency"]] += Decimal(row["BilledCost"])
            effective[row["BillingCurrency"]] += Decimal(row["EffectiveCost"])

    small.run("2024-09")

    found = small.ask(
        "select BillingCurrency, sum(BilledCost), sum(EffectiveCost) from showback group by all"
    )
    assert {c: b for c, b, _ in found} == dict(billed)
    assert {c: e for c, _, e in found} == dict(effective)
    assert small.ask(
        "select (select count(*) from cost_and_usage) + (select count(*) from quarantine)"
    ) == [(rows,)]
    by_provider = small.ask(
        "select ProviderName, count(*) from cost_and_usage group by all order by all"
    )
    print(json.dumps({"rows": rows, "providers": by_provider, "shown": str(found)}, default=str))
