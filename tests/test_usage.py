"""The usage stage from files: samples to hours, hours to containers, pods and nodes, and logs.

Tables are small enough to add up in one's head. A real server is in `test_prometheus.py`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import contracts, queries, usage
from finops_pipeline.config import InferenceSection, MetricsSection
from finops_pipeline.errors import UnreadableFile
from finops_pipeline.transports.prometheus import Answer
from finops_pipeline.warehouse import copy

DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2)
GIB = 2**30
UID = "0a1b2c3d-0000-4000-8000-00000000000{}"

TABLES = (
    "node_usage",
    "container_usage",
    "pod_usage",
    "serving_usage",
    "workload_replicas",
    "network_usage",
    "service_usage",
)
"""Usage tables that are made of `metric_hour`, each after what it reads."""

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float, float]  # metric, labels, minute of the day, value


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(queries.macros())
        yield connection


def write_parquet(path: Path, samples: Iterable[Sample]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(samples)
    table = pa.table(
        {
            "metric": pa.array([r[0] for r in rows], pa.string()),
            "labels": pa.array(
                [list(r[1].items()) for r in rows], pa.map_(pa.string(), pa.string())
            ),
            "time": pa.array(
                [MIDNIGHT + timedelta(minutes=r[2]) for r in rows], pa.timestamp("us")
            ),
            "value": pa.array([r[3] for r in rows], pa.float64()),
        }
    )
    pq.write_table(table, path)
    return path


def measure(
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    samples: Iterable[Sample],
) -> Path:
    """Samples through read_metrics and the tables after it, each bound in the engine."""
    file = write_parquet(folder / "samples.parquet", samples)
    into = folder / "out"
    into.mkdir()
    block = MetricsSection(name="m", kind="parquet", cluster="c", location="x")
    usage.read_metrics(engine, block, DAY, [("samples.parquet", file)], into)
    for name in ("metric_hour", "unread_usage"):
        engine.execute(f"create table {name} as from '{into}/{name}.parquet'")
    for name in TABLES:
        engine.execute(f"create table {name} as {queries.query(f'usage/{name}').text}")
    return into


def hours(engine: duckdb.DuckDBPyConnection, series: str) -> dict[int, int]:
    """Hour of the day -> summed x_Value of a series."""
    rows = engine.execute(
        "select hour(x_HourStart), sum(x_Value)::bigint from metric_hour "
        "where x_Series = ? group by 1 order by 1",
        [series],
    ).fetchall()
    return dict(rows)


def every(minutes: Iterable[float], metric: str, labels: Labels, value: float) -> list[Sample]:
    return [(metric, labels, minute, value) for minute in minutes]


def pod(n: int = 1, name: str = "api", node: str = "n1") -> dict[str, str]:
    return {"namespace": "ml", "pod": name, "uid": UID.format(n), "node": node}


def asks(resource: str, n: int = 1, name: str = "api") -> dict[str, str]:
    return {
        "namespace": "ml",
        "pod": name,
        "uid": UID.format(n),
        "container": "main",
        "resource": resource,
    }


REQUESTS = "kube_pod_container_resource_requests"
CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"


# ------------------------------------------------------------------------------ samples to hours


def test_a_gauge_is_integrated_over_the_time_it_was_there(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Half a core from 00:40 to 01:20: twenty minutes in each hour, nothing in the others."""
    measure(engine, tmp_path, every(range(40, 80, 5), REQUESTS, asks("cpu"), 0.5))
    assert hours(engine, "cpu_request") == {0: 600_000, 1: 600_000}


def test_a_missing_sample_is_not_zero_and_stands_five_minutes_at_most(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Two samples half an hour apart stand five minutes each."""
    measure(engine, tmp_path, every((0, 30), MEMORY, asks(""), 100.0))
    assert hours(engine, "memory_usage") == {0: 100 * 600}


def test_a_sample_that_is_not_a_number_ends_what_stood(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """So a file can say what a server knows by its staleness marks."""
    samples = [
        *every((0,), REQUESTS, asks("cpu"), 1.0),
        *every((2,), REQUESTS, asks("cpu"), float("nan")),
    ]
    measure(engine, tmp_path, samples)
    assert hours(engine, "cpu_request") == {0: 120_000}


def test_a_counter_difference_goes_to_the_hour_of_the_later_sample(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """10 s of CPU by 00:55, 4 s more by 01:00, 6 more by 01:05, a restart at 2 s by 01:10."""
    readings = [(50, 100.0), (55, 110.0), (60, 114.0), (65, 120.0), (70, 2.0)]
    measure(engine, tmp_path, [(CPU, asks(""), minute, value) for minute, value in readings])
    assert hours(engine, "cpu_usage") == {0: 10_000, 1: 12_000}
    assert hours(engine, "cpu_peak") == {0: 33, 1: 20}  # 10 s and 6 s in 300 s, in millicores


def test_what_a_counter_rose_during_a_gap_is_kept_up_to_an_hour(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """40 minutes without a sample keep their 24 s; three hours without one are unknown."""
    readings = [(0, 0.0), (40, 24.0), (220, 300.0), (225, 303.0)]
    measure(engine, tmp_path, [(CPU, asks(""), minute, value) for minute, value in readings])
    assert hours(engine, "cpu_usage") == {0: 24_000, 3: 3_000}
    assert hours(engine, "cpu_peak") == {3: 10}


def test_the_evening_before_makes_the_first_minutes_whole(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    samples = [
        *every((-2,), REQUESTS, asks("cpu"), 1.0),
        (CPU, asks(""), -3, 5.0),
        (CPU, asks(""), 2, 8.0),
    ]
    measure(engine, tmp_path, samples)
    assert hours(engine, "cpu_request") == {0: 180_000}
    assert hours(engine, "cpu_usage") == {0: 3_000}


def test_two_scrapes_of_one_object_are_one_object(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A second kube-state-metrics takes over at 00:10; both are there from 00:10 to 00:15."""
    one, two = {**asks("cpu"), "instance": "a"}, {**asks("cpu"), "instance": "b"}
    measure(
        engine,
        tmp_path,
        [*every((0, 5, 10), REQUESTS, one, 1.0), *every((10, 15), REQUESTS, two, 1.0)],
    )
    assert hours(engine, "cpu_request") == {0: 20 * 60_000}


def test_the_same_sample_delivered_twice_is_one(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    readings = [(0, 1.0), (5, 4.0)] * 2
    measure(
        engine,
        tmp_path,
        [
            *[(CPU, asks(""), m, v) for m, v in readings],
            *every((0, 0), REQUESTS, asks("cpu"), 1.0),
        ],
    )
    assert hours(engine, "cpu_usage") == {0: 3_000}
    assert hours(engine, "cpu_request") == {0: 300_000}


def test_the_profiling_gpu_series_is_preferred_where_it_is_there(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """GPU 1 has both (half busy by profiling), GPU 2 only the utilisation, in percent."""
    one = {
        "exported_namespace": "ml",
        "exported_pod": "api",
        "exported_container": "main",
        "UUID": "1",
    }
    two = {**one, "UUID": "2", "pod": "dcgm-exporter", "namespace": "gpu"}
    measure(
        engine,
        tmp_path,
        [
            *every((0,), "DCGM_FI_PROF_GR_ENGINE_ACTIVE", one, 0.5),
            *every((0,), "DCGM_FI_DEV_GPU_UTIL", one, 100.0),
            *every((0,), "DCGM_FI_DEV_GPU_UTIL", two, 20.0),
        ],
    )
    assert hours(engine, "gpu_busy") == {0: 150_000 + 60_000}


def test_every_series_has_a_unit() -> None:
    steps = {
        "replicaset_owner",
        "job_owner",
        "statefulset_replicas",
        "gpu_engine_active",
        "gpu_utilisation",
        "oom_reason",
        "oom_events",
        "container_restarts",
    }
    assert {m.series for m in usage.MEASURES} - steps == set(usage.SERIES) - {
        "gpu_busy",
        "oom_kills",
    }


# ------------------------------------------------------- hours to containers, pods, nodes


def container(engine: duckdb.DuckDBPyConnection, *columns: str) -> list[tuple[Any, ...]]:
    return engine.execute(f"select {', '.join(columns)} from container_usage").fetchall()


def test_a_pod_that_lives_twenty_minutes_is_charged_for_twenty(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    measure(
        engine,
        tmp_path,
        [
            *every((10, 15, 20, 25), "kube_pod_info", pod(), 1),
            *every((10, 15, 20, 25), REQUESTS, asks("cpu"), 3.0),
        ],
    )
    assert container(engine, "x_RunningMs", "x_CpuRequestCoreMs", "x_CpuUsageCoreMs") == [
        (1_200_000, 3_600_000, None)
    ]
    assert engine.execute("select x_CpuAllocatedCoreMs from pod_usage").fetchall() == [(3_600_000,)]


def test_a_reused_pod_name_is_two_pods(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """db-0 dies at 00:20 and comes back with another UID; cAdvisor tells them by their cgroup."""
    cgroup = "/kubepods.slice/kubepods-pod{}.slice/cri.scope"
    first = {
        "namespace": "ml",
        "pod": "db-0",
        "container": "main",
        "id": cgroup.format(UID.format(1).replace("-", "_")),
    }
    second = {**first, "id": cgroup.format(UID.format(2).replace("-", "_"))}
    measure(
        engine,
        tmp_path,
        [
            *every(range(0, 20, 5), "kube_pod_info", pod(1, "db-0"), 1),
            *every(range(20, 60, 5), "kube_pod_info", pod(2, "db-0", "n2"), 1),
            *every(range(0, 20, 5), MEMORY, first, 10.0),
            *every(range(20, 60, 5), MEMORY, second, 30.0),
        ],
    )
    columns = ("x_PodUid", "x_Node", "x_RunningMs", "x_MemoryUsageByteSeconds")
    assert container(engine, *columns) == [
        (UID.format(1), "n1", 1_200_000, 10 * 1200),
        (UID.format(2), "n2", 2_400_000, 30 * 2400),
    ]


def test_the_larger_of_request_and_use_is_taken_hour_by_hour(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Asks for 1 core for 12 hours; uses 2 in the first six and 0.2 after: 6 x 2 + 6 x 1 = 18."""
    minutes = range(0, 720, 5)
    level, readings = 0.0, [(CPU, asks(""), -5.0, 0.0)]
    for minute in minutes:
        level += 300 * (2 if minute < 360 else 0.2)
        readings.append((CPU, asks(""), minute, level))
    measure(
        engine,
        tmp_path,
        [
            *every(minutes, "kube_pod_info", pod(), 1),
            *every(minutes, REQUESTS, asks("cpu"), 1.0),
            *readings,
        ],
    )
    assert engine.execute("select sum(x_CpuAllocatedCoreMs) from pod_usage").fetchall() == [
        (18 * 3_600_000,)
    ]


def test_a_pod_holds_nothing_while_it_waits_or_after_it_ended(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Listed for an hour: waits 10 minutes for a node, runs 20, is over and still listed for 30."""
    waiting = {**pod(), "node": ""}
    measure(
        engine,
        tmp_path,
        [
            *every(range(0, 10, 5), "kube_pod_info", waiting, 1),
            *every(range(10, 60, 5), "kube_pod_info", pod(), 1),
            *every(
                (0, 5, *range(30, 60, 5)), "kube_pod_status_phase", {**pod(), "phase": "Running"}, 0
            ),
            *every(range(10, 30, 5), "kube_pod_status_phase", {**pod(), "phase": "Running"}, 1),
            *every(range(0, 60, 5), REQUESTS, asks("cpu"), 3.0),
        ],
    )
    assert container(engine, "x_Node", "x_RunningMs", "x_CpuRequestCoreMs") == [
        ("n1", 1_200_000, 3_600_000)
    ]


def test_a_running_pod_nobody_measured_is_there(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    measure(engine, tmp_path, every((0,), "kube_pod_info", pod(), 1))
    columns = (
        "x_Container",
        "x_CpuRequestCoreMs",
        "x_CpuUsageCoreMs",
        "x_Workload",
        "x_WorkloadKind",
    )
    assert container(engine, *columns) == [("(unknown)", 0, None, "api", "Pod")]


@pytest.mark.parametrize(
    ("owner", "above", "expected"),
    [
        (
            ("ReplicaSet", "api-6d4cf56db6"),
            ("kube_replicaset_owner", "replicaset", "Deployment", "api"),
            ("Deployment", "api"),
        ),
        (("ReplicaSet", "api-6d4cf56db6"), None, ("Deployment", "api")),
        (("ReplicaSet", "by-hand-1"), None, ("ReplicaSet", "by-hand-1")),
        (
            ("Job", "nightly-29000000"),
            ("kube_job_owner", "job_name", "CronJob", "nightly"),
            ("CronJob", "nightly"),
        ),
        (("Job", "nightly-29000000"), None, ("CronJob", "nightly")),
        (
            ("Job", "migrate"),
            ("kube_job_owner", "job_name", "<none>", "<none>"),
            ("Job", "migrate"),
        ),
        (("StatefulSet", "db"), None, ("StatefulSet", "db")),
        (("<none>", "<none>"), None, ("Pod", "api")),
    ],
)
def test_a_pod_belongs_to_its_top_controller(
    engine: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    owner: tuple[str, str],
    above: tuple[str, str, str, str] | None,
    expected: tuple[str, str],
) -> None:
    owned = {**pod(), "owner_kind": owner[0], "owner_name": owner[1]}
    samples = [*every((0,), "kube_pod_info", pod(), 1), *every((0,), "kube_pod_owner", owned, 1)]
    if above:
        metric, label, kind, name = above
        labels = {"namespace": "ml", label: owner[1], "owner_kind": kind, "owner_name": name}
        samples += every((0,), metric, labels, 1)
    measure(engine, tmp_path, samples)
    assert container(engine, "x_WorkloadKind", "x_Workload") == [expected]


def test_an_oom_kill_is_a_restart_after_which_the_reason_is_oom(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Two restarts at 00:30, killed for memory; one in the next hour for another reason."""
    here = {**pod(), "container": "main"}
    restarts = "kube_pod_container_status_restarts_total"
    reason = "kube_pod_container_status_last_terminated_reason"
    measure(
        engine,
        tmp_path,
        [
            *every(range(0, 120, 5), "kube_pod_info", pod(), 1),
            (restarts, here, 25, 0),
            (restarts, here, 30, 2),
            (restarts, here, 65, 2),
            (restarts, here, 70, 3),
            *every((30, 55), reason, {**here, "reason": "OOMKilled"}, 1),
            *every((65, 70), reason, {**here, "reason": "OOMKilled"}, 0),
            *every((70,), reason, {**here, "reason": "Error"}, 1),
        ],
    )
    assert container(engine, "hour(x_HourStart)", "x_OomKills") == [(0, 2), (1, 0)]


@pytest.mark.parametrize(
    ("provider_id", "resource_id"),
    [
        ("aws:///us-east-1a/i-0abc", "i-0abc"),
        ("gce://project/europe-west1-b/gke-1", "project/europe-west1-b/gke-1"),
        (
            "azure:///subscriptions/AB/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/X",
            "/subscriptions/ab/resourcegroups/rg/providers/microsoft.compute/virtualmachines/x",
        ),
        ("", None),
    ],
)
def test_a_node_is_found_on_the_bill_by_its_provider_id(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, provider_id: str, resource_id: str | None
) -> None:
    labels = {
        "node": "n1",
        "label_node_kubernetes_io_instance_type": "m5.large",
        "label_nvidia_com_gpu_product": "L40S",
    }
    minutes = range(0, 60, 5)
    measure(
        engine,
        tmp_path,
        [
            *every(
                minutes,
                "kube_node_info",
                {"node": "n1", "provider_id": provider_id, "namespace": "monitoring"},
                1,
            ),
            *every(minutes, "kube_node_labels", labels, 1),
            *every(minutes, "kube_node_status_capacity", {"node": "n1", "resource": "cpu"}, 4),
            *every(minutes, "kube_node_status_capacity", {"node": "n1", "resource": "memory"}, GIB),
            *every(
                minutes,
                "kube_node_status_capacity",
                {"node": "n1", "resource": "nvidia_com_gpu"},
                2,
            ),
        ],
    )
    found = engine.execute(
        "select x_Node, ResourceId, x_InstanceType, x_GpuModel, x_RunningMs, x_CpuCapacityCoreMs, "
        "x_MemoryCapacityByteSeconds, x_GpuCapacityMs from node_usage"
    ).fetchall()
    assert found == [
        ("n1", resource_id, "m5.large", "L40S", 3_600_000, 4 * 3_600_000, GIB * 3600, 2 * 3_600_000)
    ]


def gpu_node(resources: dict[str, float], **labels: str) -> list[Sample]:
    """An hour of a node that lists these devices and carries these labels."""
    minutes = range(0, 60, 5)
    capacity = "kube_node_status_capacity"
    return [
        *every(minutes, "kube_node_info", {"node": "n1", "provider_id": "aws:///z/i-1"}, 1),
        *every(
            minutes,
            "kube_node_labels",
            {"node": "n1"} | {f"label_{k}": v for k, v in labels.items()},
            1,
        ),
        *[
            sample
            for resource, count in resources.items()
            for sample in every(minutes, capacity, {"node": "n1", "resource": resource}, count)
        ],
    ]


A100 = "NVIDIA-A100-SXM4-40GB"


@pytest.mark.parametrize(
    ("resources", "labels", "asked", "gpus", "held"),
    [
        pytest.param({"nvidia_com_gpu": 8}, {}, {"nvidia_com_gpu": 2}, 8, Fraction(2), id="whole"),
        pytest.param(
            {"nvidia_com_gpu": 4},
            {"nvidia_com_gpu_replicas": "4", "nvidia_com_gpu_product": "Tesla-T4-SHARED"},
            {"nvidia_com_gpu": 1},
            1,
            Fraction(1, 4),
            id="shared in time",
        ),
        pytest.param(
            {"nvidia_com_gpu": 0, "nvidia_com_gpu_shared": 20},
            {"nvidia_com_gpu_replicas": "10"},
            {"nvidia_com_gpu_shared": 3},
            2,
            Fraction(3, 10),
            id="shared, under another name",
        ),
        pytest.param(
            {"nvidia_com_gpu": 6},
            {"cloud_google_com_gke_max_shared_clients_per_gpu": "3"},
            {"nvidia_com_gpu": 1},
            2,
            Fraction(1, 3),
            id="shared by GKE",
        ),
        pytest.param(
            {"nvidia_com_gpu": 7},
            {"nvidia_com_gpu_product": f"{A100}-MIG-1g.5gb"},
            {"nvidia_com_gpu": 2},
            1,
            Fraction(2, 7),
            id="cut into one kind of slice",
        ),
        pytest.param(
            {"nvidia_com_gpu": 1, "nvidia_com_mig_3g_20gb": 2},
            {"nvidia_com_gpu_product": A100},
            {"nvidia_com_mig_3g_20gb": 1},
            2,  # a whole one and one cut, of which a seventh fits no profile
            Fraction(3, 7),
            id="cut into several kinds",
        ),
        pytest.param(
            {"nvidia_com_mig_1c_3g_20gb": 6},
            {"nvidia_com_gpu_product": A100},
            {"nvidia_com_mig_1c_3g_20gb": 1},
            1,
            Fraction(1, 7),
            id="one of three slices",
        ),
        pytest.param(
            {"nvidia_com_mig_1g_6gb": 4},
            {"nvidia_com_gpu_product": "NVIDIA-A30"},
            {"nvidia_com_mig_1g_6gb": 1},
            1,
            Fraction(1, 4),
            id="a GPU of four slices",
        ),
    ],
)
def test_a_device_is_what_it_is_of_a_gpu(
    engine: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    resources: dict[str, float],
    labels: dict[str, str],
    asked: dict[str, float],
    gpus: int,
    held: Fraction,
) -> None:
    minutes = range(0, 60, 5)
    samples = [*gpu_node(resources, **labels), *every(minutes, "kube_pod_info", pod(), 1)]
    for resource, count in asked.items():
        samples += every(minutes, REQUESTS, asks(resource), count)
    measure(engine, tmp_path, samples)

    assert [(gpus * 3_600_000,)] == engine.execute(
        "select x_GpuCapacityMs from node_usage"
    ).fetchall()
    assert [(held * 10080 * 3_600_000, "request")] == engine.execute(
        "select x_GpuAllocatedParts, x_GpuBasis from pod_usage"
    ).fetchall()


def test_claimed_gpus_are_those_dcgm_saw(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Two whole ones and a slice, in no request and in no capacity; the label has the count."""
    minutes = range(0, 60, 5)
    active = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
    seen = {**pod(), "container": "main"}
    measure(
        engine,
        tmp_path,
        [
            *gpu_node({}, nvidia_com_gpu_count="4", nvidia_com_gpu_product=A100),
            *every(minutes, "kube_pod_info", pod(), 1),
            *every(minutes, active, {**seen, "UUID": "GPU-1"}, 0.5),
            *every(minutes, active, {**seen, "UUID": "GPU-2"}, 0),
            *every(
                minutes,
                active,
                {**seen, "UUID": "GPU-3", "GPU_I_ID": "1", "GPU_I_PROFILE": "2g.10gb"},
                1,
            ),
        ],
    )

    assert [(4 * 3_600_000,)] == engine.execute("select x_GpuCapacityMs from node_usage").fetchall()
    assert [
        (3 * 3_600_000, 1_800_000 + 3_600_000, (2 * 10080 + 2 * 1440) * 3_600_000, "dcgm")
    ] == engine.execute(
        "select x_GpuRequestMs, x_GpuBusyMs, x_GpuAllocatedParts, x_GpuBasis from pod_usage"
    ).fetchall()


@pytest.mark.parametrize(
    ("handle", "disk"),
    [
        ({"csi_driver": "ebs.csi.aws.com", "csi_volume_handle": "vol-0a"}, "vol-0a"),
        ({"ebs_volume_id": "aws://eu-west-1a/vol-0a", "csi_volume_handle": ""}, "vol-0a"),
        ({"csi_volume_handle": "projects/p/zones/z/disks/pvc-1"}, "pvc-1"),
        ({"gce_persistent_disk_name": "gke-disk"}, "gke-disk"),
        (
            {"csi_volume_handle": "/subscriptions/S/resourceGroups/G/disks/Pvc-1"},
            "/subscriptions/s/resourcegroups/g/disks/pvc-1",
        ),
        ({"nfs_server": "10.0.0.1", "csi_volume_handle": ""}, None),
    ],
)
def test_a_volume_is_of_the_pod_that_runs_with_its_claim(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, handle: Labels, disk: str | None
) -> None:
    """Listed from 00:00 to 01:00, mounted from 00:20 to 00:50; labels as a scrape moves them."""
    scraped = {"namespace": "monitoring", "pod": "ksm", "container": "kube-state-metrics"}
    volume = {**scraped, "persistentvolume": "pv"}
    claim = {**scraped, "exported_namespace": "ml", "persistentvolumeclaim": "data"}
    who = {**scraped, "exported_namespace": "ml", "exported_pod": "db-0", "uid": UID.format(1)}
    here, up = range(0, 60, 5), range(20, 50, 5)
    measure(
        engine,
        tmp_path,
        [
            *every(here, "kube_persistentvolume_info", {**volume, **handle}, 1),
            *every(here, "kube_persistentvolume_capacity_bytes", volume, GIB),
            *every(here, "kube_persistentvolumeclaim_info", {**claim, "volumename": "pv"}, 1),
            *every(here, "kube_persistentvolumeclaim_labels", {**claim, "label_team": "ml"}, 1),
            *every(
                here,
                "kube_pod_spec_volumes_persistentvolumeclaims_info",
                {**claim, **who, "volume": "data"},
                1,
            ),
            *every(here, "kube_pod_info", {**who, "node": "n1"}, 1),
            *every(up, "kube_pod_status_phase", {**who, "phase": "Running"}, 1),
            *every(here, "kube_pod_status_phase", {**who, "phase": "Failed"}, 0),
        ],
    )
    told = queries.query("usage/volume_usage").text
    found = engine.execute(
        "select x_Volume, x_VolumeId, x_CapacityBytes, x_Namespace, x_Claim, x_ClaimLabels, x_Pod, "
        f"x_VolumeMs from ({told}) order by x_Pod nulls last"
    ).fetchall()
    same = ("pv", disk, GIB, "ml", "data", '{"team":"ml"}')

    assert [(*same, "db-0", 1_800_000), (*same, None, 1_800_000)] == found


SET_OF_LLM = {"owner_kind": "StatefulSet", "owner_name": "llm"}
ENGINE = {"namespace": "ml", "pod": "llm-0", "job": "vllm", "instance": "10.0.0.9:8000"}


def counter(metric: str, labels: Labels, *values: float) -> list[Sample]:
    """A reading of a counter every ten minutes from midnight on."""
    return [(metric, labels, 10 * n, value) for n, value in enumerate(values)]


def test_engines_of_vllm_are_added_up_by_endpoint_and_model(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Two replicas, one with two data-parallel engines; how a request ended is in its label."""
    samples = [
        *every(range(60), "kube_pod_info", pod(1, "llm-0"), 1.0),
        *every(range(60), "kube_pod_info", pod(2, "llm-1"), 1.0),
        *every(range(60), "kube_pod_owner", {**pod(1, "llm-0"), **SET_OF_LLM}, 1.0),
        *every(range(60), "kube_pod_owner", {**pod(2, "llm-1"), **SET_OF_LLM}, 1.0),
    ]
    for name, number, rise in (("llm-0", "0", 3), ("llm-0", "1", 2), ("llm-1", "0", 1)):
        who = {**ENGINE, "pod": name, "engine": number, "model_name": "llama"}
        samples += counter("vllm:prompt_tokens_total", who, 1000, 1000 + 100 * rise)
        samples += counter("vllm:prefix_cache_hits_total", who, 0, 10 * rise)
        samples += counter("vllm:generation_tokens_total", who, 5, 5 + 20 * rise)
        samples += counter("vllm:request_prefill_time_seconds_sum", who, 0.5, 0.5 + 0.25 * rise)
        samples += counter("vllm:request_decode_time_seconds_sum", who, 1, 1 + rise)
        for reason, finished in (("stop", 5), ("length", 2), ("error", 1)):
            ended = {**who, "finished_reason": reason}
            samples += counter("vllm:request_success_total", ended, 0, finished * rise)
    measure(engine, tmp_path, samples)

    assert engine.execute("select * exclude (x_Day, x_Cluster) from serving_usage").fetchall() == [
        (MIDNIGHT, "ml/llm", "llama", 48, 6, None, 600, 60, 120, 1500, 6000, None)
    ]


def test_models_of_one_triton_are_told_apart_and_their_versions_added(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Microseconds become milliseconds; a pod nobody listed is known by its name."""
    samples: list[Sample] = []
    for model, version, rise in (("ocr", "1", 4), ("ocr", "2", 6), ("rank", "1", 1)):
        who = {**ENGINE, "model": model, "version": version, "gpu_uuid": "GPU-1"}
        samples += counter("nv_inference_request_success", who, 0, 10 * rise)
        samples += counter("nv_inference_request_failure", {**who, "reason": "OTHER"}, 0, rise)
        samples += counter("nv_inference_count", who, 0, 80 * rise)
        samples += counter("nv_inference_compute_infer_duration_us", who, 0, 500_000 * rise)
    measure(engine, tmp_path, samples)

    assert engine.execute("select * exclude (x_Day, x_Cluster) from serving_usage").fetchall() == [
        (MIDNIGHT, "ml/llm-0", "ocr", 110, 10, 800, None, None, None, None, None, 5000),
        (MIDNIGHT, "ml/llm-0", "rank", 11, 1, 80, None, None, None, None, None, 500),
    ]


def test_an_engine_scraped_twice_is_one_and_one_without_a_pod_is_no_endpoint(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    who = {**ENGINE, "model_name": "llama", "engine": "0"}
    rises = [0.0, 50.0, 80.0]
    samples = counter("vllm:generation_tokens_total", who, *rises)
    samples += counter("vllm:generation_tokens_total", {**who, "job": "again"}, *rises)
    samples += counter("vllm:generation_tokens_total", {"model_name": "llama"}, *rises)
    measure(engine, tmp_path, samples)

    assert engine.execute("select x_Endpoint, x_OutputTokens from serving_usage").fetchall() == [
        ("ml/llm-0", 80)
    ]
    assert hours(engine, "serving_output_tokens") == {0: 160}


def test_replicas_are_those_at_the_end_of_the_hour(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    labels = {"namespace": "ml", "deployment": "api"}
    name = "kube_deployment_spec_replicas"
    measure(engine, tmp_path, [(name, labels, 0, 3), (name, labels, 50, 5), (name, labels, 60, 2)])
    rows = engine.execute(
        "select hour(x_HourStart), x_Workload, x_Replicas from workload_replicas"
    ).fetchall()
    assert rows == [(0, "api", 5), (1, "api", 2)]


SENT = "container_network_transmit_bytes_total"
RECEIVED = "container_network_receive_bytes_total"


def wire(name: str, interface: str = "eth0", uid: str = "") -> dict[str, str]:
    """Labels of a pod's network counters; without `uid` as scrapes that drop the cgroup."""
    slot = {"id": f"/kubepods/pod{uid}/sandbox"} if uid else {}
    return {"namespace": "ml", "pod": name, "interface": interface, **slot}


def test_bytes_of_all_interfaces_are_the_pod_s(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    node = {"namespace": "", "pod": "", "interface": "eth0", "id": "/"}
    named = {**wire("by-name")}
    measure(
        engine,
        tmp_path,
        [
            *every(range(120), "kube_pod_info", pod(2, "by-name"), 1),
            *((SENT, wire("api", "eth0", UID.format(1)), m, 10.0 * m) for m in (0, 5, 10, 65)),
            *((SENT, wire("api", "net1", UID.format(1)), m, 1.0 * m) for m in (0, 5)),
            *((RECEIVED, wire("api", "eth0", UID.format(1)), m, 7.0 * m) for m in (0, 5)),
            *((SENT, named, m, 3.0 * m) for m in (0, 5)),
            *((SENT, node, m, 1000.0 * m) for m in (0, 5)),
        ],
    )
    rows = engine.execute(
        "select hour(x_HourStart), x_Pod, x_PodUid, x_SentBytes, x_ReceivedBytes from network_usage"
    ).fetchall()
    assert rows == [
        (0, "api", UID.format(1), 100 + 5, 35),
        (0, "by-name", UID.format(2), 15, 0),
        (1, "api", UID.format(1), 550, 0),
    ]


def test_a_pod_on_its_node_s_network_is_left_out(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    agent = {**pod(1, "agent"), "host_network": "true"}
    measure(
        engine,
        tmp_path,
        [
            *every((0, 1), "kube_pod_info", agent, 1),
            *((SENT, wire("agent", "eth0", UID.format(1)), m, 10.0 * m) for m in (0, 5)),
            *((SENT, wire("api", "eth0", UID.format(2)), m, 10.0 * m) for m in (0, 5)),
        ],
    )
    assert [("api", 50)] == engine.execute(
        "select x_Pod, x_SentBytes from network_usage"
    ).fetchall()


def test_a_service_has_the_labels_of_its_day(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    # As Prometheus writes them where the scrape has a label `service` of its own.
    web = {
        "namespace": "shop",
        "exported_service": "web",
        "service": "kube-state-metrics",
        "uid": UID.format(1),
    }
    host = {"hostname": "web-1.elb.eu-west-1.amazonaws.com", "ip": ""}
    ingress = "kube_service_status_load_balancer_ingress"
    measure(
        engine,
        tmp_path,
        [
            *every((0, 60), ingress, {**web, **host}, 1),
            *every((60,), "kube_service_labels", {**web, "label_feature": "shop"}, 1),
            *every((0,), ingress, {"namespace": "a", "service": "b", "ip": "10.0.0.1"}, 1),
        ],
    )
    rows = engine.execute(
        "select hour(x_HourStart), x_Namespace, x_Service, x_ServiceUid, x_Address, x_Labels "
        "from service_usage"
    ).fetchall()
    shop = ("shop", "web", UID.format(1), host["hostname"], '{"feature":"shop"}')
    assert rows == [(0, "a", "b", "", "10.0.0.1", "{}"), (0, *shop), (1, *shop)]


def test_every_table_is_what_its_contract_says(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    into = measure(
        engine,
        tmp_path,
        [
            *every((0,), "kube_pod_info", pod(), 1),
            *every((0,), REQUESTS, asks("cpu"), 1.0),
            *every((0,), "kube_node_info", {"node": "n1", "provider_id": "aws:///a/i-1"}, 1),
            *every(
                (0,), "kube_deployment_spec_replicas", {"namespace": "ml", "deployment": "api"}, 1
            ),
        ],
    )
    for name in ("metric_hour", "unread_usage", *TABLES):
        table = contracts.table(name)
        described = engine.execute(f"describe {name}").fetchall()
        assert {r[0]: r[1] for r in described} == table.duckdb
        engine.execute(f"copy {name} to '{into}/{name}.parquet'")
        table.validate([into / f"{name}.parquet"])


# ------------------------------------------------------------------------------ files of samples


def openmetrics(
    engine: duckdb.DuckDBPyConnection, folder: Path, content: bytes
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """(series, value) and (row, reason) of a text."""
    file = folder / "m.om"
    file.write_bytes(content)
    block = MetricsSection(name="m", kind="openmetrics", cluster="c", location="x")
    usage.read_metrics(engine, block, DAY, [("d/m.om", file)], folder)
    return (
        engine.execute(
            f"select x_Series, x_Pod, x_Value from '{folder}/metric_hour.parquet'"
        ).fetchall(),
        engine.execute(
            f"select x_SourceRow, x_Reason, x_RawRow from '{folder}/unread_usage.parquet'"
        ).fetchall(),
    )


NOON = 1_772_452_800  # 2026-03-02T12:00:00Z


def test_openmetrics_text_is_read_line_by_line(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    text = f"""# TYPE kube_pod_info gauge
kube_pod_info{{namespace="ml",pod="a b,c=\\"}}\\\\n",uid="u1",node="n"}} 1 {NOON}
kube_pod_info{{namespace="ml",pod="late",uid="u2",node="n"}} 1.0e0 {NOON}.000 # {{trace_id="x"}} 1 2
kube_pod_info{{namespace="ml",pod="never",uid="u3",node="n"}} 1
kube_pod_info{{namespace="ml",namespace="again"}} 1 {NOON}
kube_pod_info{{namespace=ml}} 1 {NOON}
kube_pod_info{{namespace="ml"}}1 {NOON}
kube_pod_info 1_000 {NOON}
somebody_elses_metric{{a="b"}} 1 {NOON}

kube_pod_info{{namespace="ml",pod="cut",ui
# EOF
"""
    read, refused = openmetrics(engine, tmp_path, text.encode())
    assert read == [
        ("pod_running", 'a b,c="}\\n', 300_000),
        ("pod_running", "late", 300_000),
    ]
    lines = text.splitlines()
    grammar = "not a sample of OpenMetrics text"
    assert refused == [
        (4, "the sample has no time, so it belongs to no hour", lines[3]),
        *((n, grammar, lines[n - 1]) for n in (5, 6, 7, 8, 11)),
    ]


def test_openmetrics_text_may_be_compressed(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    text = f'kube_pod_info{{namespace="ml",pod="p",uid="u",node="n"}} 1 {NOON}\n# EOF\n'
    assert openmetrics(engine, tmp_path, gzip.compress(text.encode())) == (
        [("pod_running", "p", 300_000)],
        [],
    )


@pytest.mark.parametrize(
    "content",
    [
        f'kube_pod_info{{namespace="ml",pod="p",uid="u",node="n"}} 1 {NOON}\n'.encode(),
        gzip.compress(f"kube_pod_info 1 {NOON}\n# EOF\n".encode() * 99)[:-20],
        b"",
    ],
    ids=["no EOF", "torn gzip", "empty"],
)
def test_openmetrics_text_that_was_cut_off_is_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(UnreadableFile, match=r"d/m\.om"):
        openmetrics(engine, tmp_path, content)
    assert not (tmp_path / "metric_hour.parquet").exists()


def test_a_truncated_parquet_file_is_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    whole = write_parquet(
        tmp_path / "whole.parquet", every(range(1000), REQUESTS, asks("cpu"), 1.0)
    )
    torn = tmp_path / "torn.parquet"
    torn.write_bytes(whole.read_bytes()[:-100])
    block = MetricsSection(name="m", kind="parquet", cluster="c", location="x")
    with pytest.raises(UnreadableFile, match=r"d/torn\.parquet: not a whole Parquet file"):
        usage.read_metrics(
            engine, block, DAY, [("whole.parquet", whole), ("d/torn.parquet", torn)], tmp_path
        )


def test_a_damaged_parquet_file_is_named(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Its footer is whole, its pages are not."""
    whole = write_parquet(
        tmp_path / "whole.parquet", every(range(1000), REQUESTS, asks("cpu"), 1.0)
    )
    content = bytearray(whole.read_bytes())
    content[4:400] = b"\xff" * 396
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(content)
    block = MetricsSection(name="m", kind="parquet", cluster="c", location="x")
    with pytest.raises(UnreadableFile, match=r"d/damaged\.parquet: damaged"):
        usage.read_metrics(
            engine, block, DAY, [("whole.parquet", whole), ("d/damaged.parquet", damaged)], tmp_path
        )


def test_a_column_gone_or_of_another_type_is_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    block = MetricsSection(name="m", kind="parquet", cluster="c", location="x")
    for select, said in (
        (
            "select 'm' as metric, map(['a'], ['b']) as labels, now()::timestamp as time",
            "has no column value",
        ),
        (
            "select 'm' as metric, '{}' as labels, now()::timestamp as time, 1.0::double as value",
            "column labels is VARCHAR, not MAP",
        ),
    ):
        engine.execute(f"copy ({select}) to '{tmp_path}/s.parquet'")
        with pytest.raises(UnreadableFile, match=said):
            usage.read_metrics(
                engine, block, DAY, [("s.parquet", tmp_path / "s.parquet")], tmp_path
            )


def test_a_sample_without_a_value_is_refused(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    samples: list[Any] = [(REQUESTS, asks("cpu"), 0, None), (REQUESTS, asks("cpu"), 5, 1.0)]
    into = measure(engine, tmp_path, samples)
    assert hours(engine, "cpu_request") == {0: 300_000}
    rows = engine.execute(
        f"select x_SourceFile, x_SourceRow, x_Reason from '{into}/unread_usage.parquet'"
    )
    assert rows.fetchall() == [("samples.parquet", 1, "the sample has no value")]


def test_no_samples_is_a_table_without_rows(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    for kind in ("parquet", "openmetrics"):
        block = MetricsSection(name="m", kind=kind, cluster="c", location="x")
        usage.read_metrics(engine, block, DAY, [], tmp_path)
        contracts.table("metric_hour").validate([tmp_path / "metric_hour.parquet"])
        assert engine.execute(
            f"select count(*) from '{tmp_path}/metric_hour.parquet'"
        ).fetchall() == [(0,)]


# ----------------------------------------------------------------------------- inference logs

CALL = (
    "x_CallId",
    "x_Endpoint",
    "x_Provider",
    "x_Feature",
    "x_Tenant",
    "x_Environment",
    "x_Model",
    "x_Status",
    "x_InputTokens",
    "x_CachedInputTokens",
    "x_OutputTokens",
    "x_GpuMs",
    "x_LatencyMs",
)


def read_call(engine: duckdb.DuckDBPyConnection, dialect: str, *lines: Any) -> list[dict[str, Any]]:
    """Rows of a dialect's own query over lines."""
    engine.execute(
        "create or replace table raw_log (x_SourceFile varchar, x_SourceRow bigint, line varchar)"
    )
    for number, line in enumerate(lines, start=1):
        text = line if isinstance(line, str) else json.dumps(line)
        engine.execute("insert into raw_log values ('f', ?, ?)", [number, text])
    if dialect in queries.stems("usage/spans"):
        spans = queries.query(f"usage/spans/{dialect}").text
        engine.execute(f"create or replace temp table span as {spans}")
    result = engine.execute(queries.query(f"usage/calls/{dialect}").text + " order by x_SourceRow")
    names = [d[0] for d in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def span(**changes: Any) -> dict[str, Any]:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "llama",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "k8s.namespace.name": "ml",
        "k8s.deployment.name": "llama-70b",
        "feature": "chat",
        "tenant.id": "initech",
        "deployment.environment.name": "production",
        "x_gpu_ms": 7,
        **changes,
    }
    return {
        "traceId": "t",
        "spanId": "s",
        "kind": 2,
        "status": {"code": 1},
        "startTimeUnixNano": "1772452800000000000",
        "endTimeUnixNano": "1772452800250999000",
        "attributes": {k: v for k, v in attributes.items() if v is not None},
    }


SPAN = {
    "x_CallId": "t/s",
    "x_Time": datetime(2026, 3, 2, 12),
    "x_Endpoint": "ml/llama-70b",
    "x_Cluster": None,
    "x_Provider": "vllm",
    "x_Feature": "chat",
    "x_Tenant": "initech",
    "x_Environment": "production",
    "x_Model": "llama",
    "x_Credential": None,
    "x_ServiceTier": None,
    "x_Status": "ok",
    "x_Calls": 1,
    "x_InputTokens": 100,
    "x_CachedInputTokens": 40,
    "x_CacheWrite5mTokens": 0,
    "x_CacheWrite1hTokens": None,
    "x_OutputTokens": 20,
    "x_Images": None,
    "x_AudioMs": None,
    "x_GpuMs": 7,
    "x_PrefillMs": None,
    "x_DecodeMs": None,
    "x_LatencyMs": 250,
    "x_SourceFile": "f",
    "x_SourceRow": 1,
    "x_Reason": None,
}


def test_a_span_is_a_call(engine: duckdb.DuckDBPyConnection) -> None:
    assert read_call(engine, "otel_genai", span()) == [SPAN]


def test_attributes_may_be_a_list_as_in_otlp(engine: duckdb.DuckDBPyConnection) -> None:
    listed = span()
    listed["attributes"] = [
        {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in listed["attributes"].items()
        if not k.startswith("k8s")
    ]
    listed["resource"] = {
        "attributes": [
            {"key": "k8s.namespace.name", "value": {"stringValue": "ml"}},
            {"key": "k8s.pod.name", "value": {"stringValue": "llama-70b-6d4cf56db6-x2x4z"}},
        ]
    }
    assert read_call(engine, "otel_genai", listed) == [SPAN]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {
                "gen_ai.usage.input_tokens": None,
                "gen_ai.usage.output_tokens": None,
                "gen_ai.usage.cache_read.input_tokens": None,
            },
            {
                "x_InputTokens": None,
                "x_OutputTokens": None,
                "x_CachedInputTokens": None,
                "x_CacheWrite5mTokens": None,
            },
        ),
        (
            {"gen_ai.usage.output_tokens": None, "gen_ai.operation.name": "embeddings"},
            {"x_OutputTokens": 0},
        ),
        (
            {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.cache_creation.input_tokens": 5},
            {"x_InputTokens": 55, "x_CacheWrite5mTokens": 5},
        ),
        (
            {"openai.request.service_tier": "auto", "openai.response.service_tier": "flex"},
            {"x_ServiceTier": "flex"},
        ),
        ({"credential": "chat-production"}, {"x_Credential": "chat-production"}),
        ({"gen_ai.response.model": "llama-2026"}, {"x_Model": "llama-2026"}),
        (
            {
                "gen_ai.provider.name": None,
                "gen_ai.system": "az.ai.openai",
                "k8s.namespace.name": None,
            },
            {"x_Provider": "azure.ai.openai", "x_Endpoint": "azure.ai.openai/llama"},
        ),
        (
            {
                "gen_ai.provider.name": "openai",
                "server.address": "mistral.serving.svc.cluster.local",
            },
            {"x_Provider": "openai", "x_Endpoint": "serving/mistral"},
        ),
        ({"k8s.cluster.name": "eu-1"}, {"x_Cluster": "eu-1"}),
        # a service of several clusters may have answered from another than the caller's
        (
            {
                "k8s.cluster.name": "eu-1",
                "server.address": "mistral.serving.svc.clusterset.local",
            },
            {"x_Endpoint": "serving/mistral"},
        ),
        ({"error.type": "timeout"}, {"x_Status": "error"}),
        (
            {"tenant.id": None, "customer": " wayne ", "feature": None, "app.feature": "search"},
            {"x_Tenant": "wayne", "x_Feature": "search"},
        ),
        ({"k8s.deployment.name": None, "k8s.pod.name": "tgi-0"}, {"x_Endpoint": "ml/tgi-0"}),
        # as vLLM's own spans have it, in seconds; a count may be written as a decimal
        (
            {
                "gen_ai.latency.time_in_model_prefill": 0.1234,
                "gen_ai.latency.time_in_model_decode": 1.5e1,
                "gen_ai.usage.output_tokens": 20.0,
            },
            {"x_PrefillMs": 123, "x_DecodeMs": 15000},
        ),
    ],
)
def test_what_a_span_says_otherwise(
    engine: duckdb.DuckDBPyConnection, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_call(engine, "otel_genai", span(**changes)) == [{**SPAN, **expected}]


def test_a_callers_span_does_not_describe_the_server(engine: duckdb.DuckDBPyConnection) -> None:
    """The k8s attributes of a client's span are those of the client."""
    client = {**span(**{"gen_ai.provider.name": "anthropic"}), "kind": 3}
    assert read_call(engine, "otel_genai", client)[0]["x_Endpoint"] == "anthropic/llama"


def test_spans_of_other_things_are_no_calls(engine: duckdb.DuckDBPyConnection) -> None:
    agent = span(**{"gen_ai.operation.name": "invoke_agent"})
    http = {**span(), "attributes": {"http.request.method": "GET"}}
    assert read_call(engine, "otel_genai", agent, http) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"traceId": "t", "attrib', "not a JSON object"),
        ({"resourceSpans": []}, "resourceSpans without spans in scopeSpans"),
        ({"resourceSpans": "none"}, "resourceSpans without spans in scopeSpans"),
        ({"resourceSpans": [{"scopeSpans": {}}]}, "resourceSpans without spans in scopeSpans"),
        (
            {
                "resourceSpans": [
                    {"scopeSpans": [{"spans": [{**span(), "startTimeUnixNano": None}]}]}
                ]
            },
            "no start time",
        ),
        ({"traceId": "t"}, "no attributes"),
        ({**span(), "startTimeUnixNano": None}, "no start time"),
        ({**span(), "startTimeUnixNano": "noon"}, "the start time cannot be read"),
        (
            span(**{"gen_ai.request.model": None}),
            "no gen_ai.request.model or gen_ai.response.model",
        ),
        (span(**{"gen_ai.usage.input_tokens": "many"}), "a token count is not a whole number"),
        (span(**{"gen_ai.usage.output_tokens": -1}), "a token count is not a whole number"),
        (span(**{"gen_ai.usage.output_tokens": 1.5}), "a token count is not a whole number"),
        (
            span(**{"gen_ai.usage.cache_creation.input_tokens": 0.5}),
            "a token count is not a whole number",
        ),
        (span(x_gpu_ms="fast"), "x_gpu_ms is not a whole number"),
        (span(x_gpu_ms=7.5), "x_gpu_ms is not a whole number"),
        (
            span(**{"gen_ai.latency.time_in_model_decode": "NaN"}),
            "a gen_ai.latency is not a number of seconds",
        ),
        (
            span(**{"gen_ai.latency.time_in_model_prefill": -0.1}),
            "a gen_ai.latency is not a number of seconds",
        ),
        ("[1]", "no attributes"),
    ],
)
def test_a_span_that_cannot_be_read_says_why(
    engine: duckdb.DuckDBPyConnection, line: Any, reason: str
) -> None:
    assert [r["x_Reason"] for r in read_call(engine, "otel_genai", line)] == [reason]


def traced(
    name: str, inside: str | None = None, second: float = 0, **attributes: Any
) -> dict[str, Any]:
    """A span of the trace `t`, as long as it begins after the first, and of what it says alone."""
    begin = 1772452800_000000000 + int(second * 1e9)
    return {
        "traceId": "t",
        "spanId": name,
        **({} if inside is None else {"parentSpanId": inside}),
        "kind": 3,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(1772452800_000000000 + int((10 - second) * 1e9)),
        "attributes": attributes,
    }


def chat(
    name: str, inside: str | None = None, second: float = 0, **attributes: Any
) -> dict[str, Any]:
    said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "llama", **attributes}
    return traced(name, inside, second, **said)


ENGINE_SPAN = {
    "gen_ai.usage.prompt_tokens": 100,
    "gen_ai.usage.completion_tokens": 20,
    "gen_ai.latency.time_in_model_prefill": 0.1,
    "gen_ai.latency.time_in_model_decode": 1.7,
}
"""What vLLM's own span says of a call: no operation, and no model since V1."""

SERVER_POD = {"k8s.namespace.name": "ml", "k8s.deployment.name": "vllm"}


def calls_of(engine: duckdb.DuckDBPyConnection, *lines: Any, columns: str) -> list[tuple[Any, ...]]:
    """Columns of the calls that spans are, whatever the order they were written in."""
    found = []
    for ordered in (lines, lines[::-1]):
        rows = read_call(engine, "otel_genai", *ordered)
        assert [None] * len(rows) == [r["x_Reason"] for r in rows]
        found.append(
            sorted(tuple(r[f"x_{c}"] for c in columns.split()) for r in rows)  # type: ignore[type-var]
        )
    assert found[0] == found[1]
    return found[0]


def test_the_span_of_a_caller_and_the_engines_inside_it_are_one_call(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """For whom is known outside, where and how long inside; tokens are those of one of them."""
    asked = {
        "gen_ai.provider.name": "vllm",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "tenant.id": "globex",
        "feature": "chat",
        "server.address": "gateway.infra.svc",
    }
    caller = chat("a", second=0, **asked)
    engines = traced("b", "a", 1, **ENGINE_SPAN, **SERVER_POD, feature="serving")
    named = traced(
        "b", "a", 1, **ENGINE_SPAN, **SERVER_POD, **{"gen_ai.response.model": "llama-70b"}
    )

    for inner, model in ((engines, "llama"), (named, "llama-70b")):
        (call,) = read_call(engine, "otel_genai", caller, inner, caller, inner)
        assert {
            **dict.fromkeys(SPAN),
            "x_CallId": "t/b",
            "x_Time": datetime(2026, 3, 2, 12),
            "x_Endpoint": "ml/vllm",
            "x_Provider": "vllm",
            "x_Feature": "chat",
            "x_Tenant": "globex",
            "x_Model": model,
            "x_Status": "ok",
            "x_Calls": 1,
            "x_InputTokens": 100,
            "x_CachedInputTokens": 40,
            "x_CacheWrite5mTokens": 0,
            "x_OutputTokens": 20,
            "x_PrefillMs": 100,
            "x_DecodeMs": 1700,
            "x_LatencyMs": 10_000,
        } == call


def test_a_call_goes_through_gateways_and_what_lies_between(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """Client, HTTP, gateway that renames the model, HTTP twice, engine. Only the client knows."""
    lines = [
        chat("a", tenant="globex", **{"gen_ai.request.model": "fast"}),
        traced("b", "a", **{"http.request.method": "POST"}),
        chat("c", "b", **{"gen_ai.request.model": "llama", "feature": "gateway"}),
        traced("d", "c", **{"http.request.method": "POST"}),
        traced("e", "d", **{"http.request.method": "POST"}),
        traced("f", "e", **ENGINE_SPAN, **SERVER_POD),
    ]
    columns = "CallId Tenant Feature Model Endpoint InputTokens PrefillMs"
    assert [("t/f", "globex", "gateway", "llama", "ml/vllm", 100, 100)] == calls_of(
        engine, *lines, columns=columns
    )
    # without what lies between nobody knows that they belong together
    assert [("t/a", "globex", "fast"), ("t/c", None, "llama")] == calls_of(
        engine, *(n for n in lines if n["spanId"] not in "bdef"), columns="CallId Tenant Model"
    )


@pytest.mark.parametrize("between", ["invoke_agent", "execute_tool", "create_agent"])
def test_what_an_agent_or_a_tool_calls_is_a_call_of_its_own(
    engine: duckdb.DuckDBPyConnection, between: str
) -> None:
    lines = [
        chat("a", tenant="globex"),
        traced("b", "a", **{"gen_ai.operation.name": between, "gen_ai.request.model": "llama"}),
        chat("c", "b"),
        chat("d", "b"),
    ]
    assert [("t/a", "globex"), ("t/c", None), ("t/d", None)] == calls_of(
        engine, *lines, columns="CallId Tenant"
    )
    mcp = traced("b", "a", **{"mcp.method.name": "tools/call"})
    assert ["t/a", "t/c", "t/d"] == [
        c for (c,) in calls_of(engine, lines[0], mcp, *lines[2:], columns="CallId")
    ]


def test_embeddings_inside_a_chat_are_a_call_of_their_own(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """A gateway that looks into its cache first; the chat goes on to the engine."""
    lines = [
        chat("a", tenant="globex"),
        chat("b", "a", **{"gen_ai.operation.name": "embeddings"}),
        traced("c", "b", **{**ENGINE_SPAN, "gen_ai.usage.prompt_tokens": 3}),
        traced("d", "a", **ENGINE_SPAN),
    ]
    assert [("t/c", None, 3), ("t/d", "globex", 100)] == calls_of(
        engine, *lines, columns="CallId Tenant InputTokens"
    )


def test_attempts_inside_one_call_are_calls_of_one_owner(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    """The first fails after a second and told no tokens; those of the caller are the second's."""
    told = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 2}
    lines = [
        chat("a", tenant="globex", **told),
        {**chat("b", "a", 4, **{"error.type": "timeout"})},
        chat("c", "a", 5),
    ]
    assert [("t/b", "globex", "error", 2000), ("t/c", "globex", "ok", 10_000)] == calls_of(
        engine, *lines, columns="CallId Tenant Status LatencyMs"
    )
    rows = {r["x_CallId"]: r["x_InputTokens"] for r in read_call(engine, "otel_genai", *lines)}
    assert {"t/b": None, "t/c": 7} == rows


def test_spans_that_name_each_other_in_a_circle_are_not_lost(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    lines = [chat("a", "b"), chat("b", "a"), chat("c", "c"), chat("d", "gone")]
    assert ["t/a", "t/b", "t/c", "t/d"] == [
        c for (c,) in calls_of(engine, *lines, columns="CallId")
    ]


def test_the_span_of_an_engine_alone_names_no_model_and_is_no_call(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    assert [] == read_call(engine, "otel_genai", traced("a", "gone", **ENGINE_SPAN))
    http = traced("a", **{"http.request.method": "POST"})
    assert [] == read_call(engine, "otel_genai", http, traced("b", "a", **ENGINE_SPAN))


def test_spans_of_one_call_may_be_in_two_files_of_a_day(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    one = write_lines(tmp_path / "a.jsonl", chat("a", tenant="globex"))
    two = write_lines(tmp_path / "b.jsonl", traced("b", "a", 1, **ENGINE_SPAN, **SERVER_POD))
    expected = [(12, "globex", 1, 0, 0, 100, 20, 10_000, 10_000)]
    assert expected == counted(engine, tmp_path, "otel_genai", [one, two])
    assert expected == counted(engine, tmp_path, "otel_genai", [two, one])


def listed(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP's JSON has them."""
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [{"key": k, "value": {kinds[type(v)]: v}} for k, v in attributes.items()]


def test_a_line_of_the_file_exporter_is_many_spans(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Two resources with two scopes: one call over both, one refused, HTTP and an empty list."""
    inner = {**ENGINE_SPAN, "gen_ai.usage.prompt_tokens": 100.0}
    events = [{"name": "gen_ai.prompt", "attributes": listed({"p": "x"})}]
    timeless = {"startTimeUnixNano": None, "attributes": listed({"gen_ai.request.model": "m"})}
    line = {
        "resourceSpans": [
            {
                "resource": {"attributes": listed({"tenant": "globex", "feature": "web"})},
                "scopeSpans": [
                    {
                        "scope": {"name": "x"},
                        "spans": [
                            {
                                **chat("a"),
                                "attributes": [
                                    *listed({**chat("a")["attributes"], "feature": "chat"}),
                                    {"key": "feature", "value": {"stringValue": "twice"}},
                                    {"value": {"stringValue": "no key"}},
                                    {"key": "gen_ai.input.messages", "value": {"arrayValue": {}}},
                                    {"key": "none", "value": {}},
                                ],
                                "events": events,
                            },
                            {**chat("z"), **timeless},
                        ],
                    },
                    {"spans": [{"traceId": "t", "spanId": "h", "name": "no attributes"}]},
                    {"scope": {}},
                ],
            },
            {
                "resource": {"attributes": listed(SERVER_POD)},
                "scopeSpans": [
                    {"spans": [{**traced("b", "a", 1), "attributes": listed(inner)}]}
                ],
            },
        ]
    }  # fmt: skip
    file = write_lines(tmp_path / "t.jsonl", line)
    assert [(12, "globex", 1, 0, 0, 100, 20, 10_000, 10_000)] == counted(
        engine, tmp_path, "otel_genai", [file]
    )
    assert [("chat", "ml/vllm", 100, 1700)] == engine.execute(
        "select x_Feature, x_Endpoint, x_PrefillMs, x_DecodeMs "
        f"from '{tmp_path}/inference_usage.parquet'"
    ).fetchall()
    assert [("logs/t.jsonl", 1, "no start time")] == engine.execute(
        f"select x_SourceFile, x_SourceRow, x_Reason from '{tmp_path}/unread_usage.parquet'"
    ).fetchall()


def spend(**changes: Any) -> dict[str, Any]:
    return {
        "request_id": "r1",
        "startTime": "2026-03-02T12:00:00.000Z",
        "endTime": "2026-03-02T12:00:01.500Z",
        "model": "bedrock/claude",
        "custom_llm_provider": "bedrock",
        "api_base": "https://bedrock-runtime.x",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "status": "success",
        "end_user": "globex",
        "cache_hit": "False",
        "request_tags": ["feature:chat", "environment:staging"],
        "metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 40}}},
        **changes,
    }


SPEND = {
    "x_CallId": "r1",
    "x_Time": datetime(2026, 3, 2, 12),
    "x_Endpoint": "aws.bedrock/claude",
    "x_Cluster": None,
    "x_Provider": "aws.bedrock",
    "x_Feature": "chat",
    "x_Tenant": "globex",
    "x_Environment": "staging",
    "x_Model": "claude",
    "x_Credential": None,
    "x_ServiceTier": None,
    "x_Status": "ok",
    "x_Calls": 1,
    "x_InputTokens": 100,
    "x_CachedInputTokens": 40,
    "x_CacheWrite5mTokens": 0,
    "x_CacheWrite1hTokens": 0,
    "x_OutputTokens": 20,
    "x_Images": None,
    "x_AudioMs": None,
    "x_GpuMs": None,
    "x_PrefillMs": None,
    "x_DecodeMs": None,
    "x_LatencyMs": 1500,
    "x_SourceFile": "f",
    "x_SourceRow": 1,
    "x_Reason": None,
}


def test_a_spend_log_row_is_a_call(engine: duckdb.DuckDBPyConnection) -> None:
    assert read_call(engine, "litellm", spend()) == [SPEND]


def test_columns_of_json_may_be_text(engine: duckdb.DuckDBPyConnection) -> None:
    """As they are in a CSV or SQL export of the table."""
    row = spend()
    row = {
        **row,
        "metadata": json.dumps(row["metadata"]),
        "request_tags": json.dumps(row["request_tags"]),
    }
    assert read_call(engine, "litellm", row) == [SPEND]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"prompt_tokens": 0, "completion_tokens": 0},
            {
                "x_InputTokens": None,
                "x_CachedInputTokens": None,
                "x_CacheWrite5mTokens": None,
                "x_CacheWrite1hTokens": None,
                "x_OutputTokens": None,
            },
        ),
        (
            {
                "metadata": {
                    "user_api_key_alias": "chat-key",
                    "usage_object": {
                        "service_tier": "priority",
                        "cache_creation_input_tokens": 50,
                        "prompt_tokens_details": {
                            "cached_tokens": 40,
                            "cache_creation_token_details": {"ephemeral_1h_input_tokens": 20},
                        },
                    },
                }
            },
            {
                "x_Credential": "chat-key",
                "x_ServiceTier": "priority",
                "x_CacheWrite5mTokens": 30,
                "x_CacheWrite1hTokens": 20,
            },
        ),
        ({"call_type": "aretrieve_batch"}, {"x_ServiceTier": "batch"}),
        ({"api_key": "88dc28d0"}, {"x_Credential": "88dc28d0"}),
        (
            {"prompt_tokens": 0, "completion_tokens": 0, "status": "failure", "metadata": {}},
            {
                "x_InputTokens": None,
                "x_CachedInputTokens": None,
                "x_CacheWrite5mTokens": None,
                "x_CacheWrite1hTokens": None,
                "x_OutputTokens": None,
                "x_Status": "error",
            },
        ),
        # refused by the provider, so no work; a timeout may have been
        (
            {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "status": "failure",
                "metadata": {"error_information": {"error_code": "429"}},
            },
            {
                "x_InputTokens": 0,
                "x_CachedInputTokens": 0,
                "x_OutputTokens": 0,
                "x_Status": "error",
            },
        ),
        (
            {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "status": "failure",
                "metadata": {"error_information": {"error_code": "408"}},
            },
            {
                "x_InputTokens": None,
                "x_CachedInputTokens": None,
                "x_CacheWrite5mTokens": None,
                "x_CacheWrite1hTokens": None,
                "x_OutputTokens": None,
                "x_Status": "error",
            },
        ),
        ({"completion_tokens": 0, "status": "failure"}, {"x_OutputTokens": 0, "x_Status": "error"}),
        (
            {
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "status": "failure",
                "cache_hit": "True",
            },
            {
                "x_InputTokens": 0,
                "x_CachedInputTokens": 0,
                "x_OutputTokens": 0,
                "x_Status": "error",
            },
        ),
        (
            {"cache_hit": "True"},
            {"x_InputTokens": 0, "x_CachedInputTokens": 0, "x_OutputTokens": 0},
        ),
        (
            {
                "metadata": {
                    "spend_logs_metadata": {
                        "feature": "search",
                        "tenant": "wayne",
                        "environment": "production",
                    }
                }
            },
            {
                "x_Feature": "search",
                "x_Tenant": "wayne",
                "x_Environment": "production",
                "x_CachedInputTokens": 0,
            },
        ),
        ({"request_tags": []}, {"x_Feature": None, "x_Environment": None}),
        ({"end_user": ""}, {"x_Tenant": None}),
        (
            {
                "custom_llm_provider": "hosted_vllm",
                "model": "hosted_vllm/llama",
                "api_base": "http://llama.ml.svc:8000/v1",
            },
            {"x_Provider": "vllm", "x_Model": "llama", "x_Endpoint": "ml/llama"},
        ),
        ({"custom_llm_provider": None}, {}),
        (
            {"custom_llm_provider": "azure", "model": "gpt-4o"},
            {
                "x_Provider": "azure.ai.openai",
                "x_Model": "gpt-4o",
                "x_Endpoint": "azure.ai.openai/gpt-4o",
            },
        ),
        ({"startTime": "2026-03-02 14:00:00+02:00", "endTime": None}, {"x_LatencyMs": None}),
        ({"model": ""}, {"x_Reason": "no model", "x_Model": None, "x_Endpoint": None}),
        (
            {"startTime": "noon"},
            {"x_Reason": "the startTime cannot be read", "x_Time": None, "x_LatencyMs": None},
        ),
        (
            {"prompt_tokens": -5},
            {"x_Reason": "a token count is not a whole number", "x_InputTokens": -5 + 40},
        ),
    ],
)
def test_what_a_spend_log_row_says_otherwise(
    engine: duckdb.DuckDBPyConnection, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_call(engine, "litellm", spend(**changes)) == [{**SPEND, **expected}]


def counted(
    engine: duckdb.DuckDBPyConnection, folder: Path, dialect: str, files: list[usage.NamedFile]
) -> list[tuple[Any, ...]]:
    block = InferenceSection(name="gateway", dialect=dialect, location="x")
    usage.read_calls(engine, block, DAY, files, folder)
    for name in ("inference_usage", "unread_usage"):
        described = engine.execute(f"describe select * from '{folder}/{name}.parquet'").fetchall()
        assert {r[0]: r[1] for r in described} == contracts.table(name).duckdb
        contracts.table(name).validate([folder / f"{name}.parquet"])
    return engine.execute(
        "select hour(x_HourStart), x_Tenant, x_Calls, x_FailedCalls, x_UnknownTokenCalls, "
        "x_InputTokens, "
        f"x_OutputTokens, x_LatencyMs, x_LatencyMaxMs from '{folder}/inference_usage.parquet'"
    ).fetchall()


def write_lines(path: Path, *lines: Any) -> usage.NamedFile:
    text = "".join((n if isinstance(n, str) else json.dumps(n)) + "\n" for n in lines)
    path.write_text(text, encoding="utf-8")
    return (f"logs/{path.name}", path)


def test_calls_are_counted_once_and_retries_as_often_as_they_were_made(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """r1 is delivered three times in two files; r2 is its retry; two calls have no id."""
    one = write_lines(
        tmp_path / "a.jsonl", spend(), spend(), spend(request_id="r2", status="failure")
    )
    two = write_lines(
        tmp_path / "b.jsonl",
        spend(),
        spend(request_id=None),
        spend(request_id=None),
        spend(request_id="r3", prompt_tokens=0, completion_tokens=0),
    )
    expected = [(12, "globex", 5, 1, 1, 400, 80, 7500, 1500)]
    assert counted(engine, tmp_path, "litellm", [one, two]) == expected
    assert counted(engine, tmp_path, "litellm", [two, one]) == expected


def test_no_prompt_is_ever_kept(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    secret = "my secret diagnosis"
    told = {"gen_ai.input.messages": secret, "gen_ai.prompt.0.content": secret}
    file = write_lines(
        tmp_path / "s.jsonl",
        span(**told),
        span(**told, **{"gen_ai.request.model": None}),
        json.dumps(span(**told))[:-30],
        {
            **span(),
            "attributes": [{"key": "gen_ai.prompt", "value": {"stringValue": secret}}],
            "messages": secret,
        },
    )
    out = tmp_path / "out"
    out.mkdir()
    counted(engine, out, "otel_genai", [file])
    rows = engine.execute(f"from '{out}/unread_usage.parquet'").fetchall()
    assert [r[2:] for r in rows] == [
        (
            "logs/s.jsonl",
            2,
            "no gen_ai.request.model or gen_ai.response.model",
            "(not kept: it may hold a prompt)",
        ),
        ("logs/s.jsonl", 3, "not a JSON object", "(not kept: it may hold a prompt)"),
    ]
    dumped = engine.execute(f"from '{out}/inference_usage.parquet'").fetchall()
    assert secret not in str(rows) + str(dumped)
    assert [p.name for p in sorted(out.iterdir())] == [
        "inference_usage.parquet",
        "unread_usage.parquet",
    ]


def test_a_torn_last_line_and_foreign_bytes_are_refused_and_the_rest_is_read(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "s.jsonl"
    whole = json.dumps(spend()).encode()
    path.write_bytes(whole + b"\r\n\n\xff\xfe\n" + whole[:50])
    assert counted(engine, tmp_path, "litellm", [("s.jsonl", path)]) == [
        (12, "globex", 1, 0, 0, 100, 20, 1500, 1500)
    ]
    rows = engine.execute(
        f"select x_SourceRow, x_Reason from '{tmp_path}/unread_usage.parquet'"
    ).fetchall()
    assert rows == [(3, "not a JSON object"), (4, "not a JSON object")]


def test_a_torn_gzip_file_of_logs_is_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(spend()).encode() * 50)[:-30])
    with pytest.raises(UnreadableFile, match=r"logs/s\.jsonl\.gz"):
        counted(engine, tmp_path, "litellm", [("logs/s.jsonl.gz", path)])


CALLS = (
    "select 'c1' as x_CallId, timestamp '2026-03-02 12:30:00' as x_Time, "
    "'ml/llama' as x_Endpoint, 'vllm' as x_Provider, 'globex' as x_Tenant, 'llama' as x_Model, "
    "'ok' as x_Status, 10 as x_InputTokens, 5::bigint as x_OutputTokens"
)


def test_calls_in_our_own_columns(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Optional columns may be absent; a row that misses what a call must have is refused."""
    path = tmp_path / "c.parquet"
    unsaid = CALLS.replace("'ok'", "null")
    engine.execute(f"copy ({CALLS} union all {CALLS} union all {unsaid}) to '{path}'")
    assert counted(engine, tmp_path, "calls", [("c.parquet", path)]) == [
        (12, "globex", 1, 0, 0, 10, 5, 0, None)
    ]
    rows = engine.execute(
        f"select x_SourceFile, x_SourceRow, x_Reason from '{tmp_path}/unread_usage.parquet'"
    )
    assert rows.fetchall() == [("c.parquet", 3, "x_Status is not ok or error")]


def test_calls_that_say_how_long_prefill_and_decode_took(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A call that says one of the two and not the other does not say it."""
    path = tmp_path / "c.parquet"
    rows = [
        CALLS.replace("'c1'", f"'c{n}'") + f", {p} as x_PrefillMs, {d} as x_DecodeMs"
        for n, (p, d) in enumerate(
            [("7::bigint", "30::bigint"), ("5::bigint", "null"), ("1::bigint", "-1::bigint")]
        )
    ]
    engine.execute(f"copy ({' union all '.join(rows)}) to '{path}'")
    counted(engine, tmp_path, "calls", [("c.parquet", path)])
    told = "x_Calls, x_PhaseMsCalls, x_PrefillMs, x_DecodeMs"

    assert [(2, 1, 12, 30)] == engine.execute(
        f"select {told} from '{tmp_path}/inference_usage.parquet'"
    ).fetchall()
    assert [("a count is negative",)] == engine.execute(
        f"select x_Reason from '{tmp_path}/unread_usage.parquet'"
    ).fetchall()


@pytest.mark.parametrize(
    ("of_block", "clusters", "expected"),
    [
        (None, (), [(None, 3)]),
        (None, ("eu", "us"), [("eu", 1), (None, 2)]),
        ("us", ("eu", "us"), [("eu", 1), ("us", 2)]),
        # not one of `[[metrics]]`, and said all the same
        ("asia", ("eu",), [("asia", 2), ("eu", 1)]),
        ("asia", (), [("asia", 3)]),
    ],
)
def test_a_call_is_of_the_cluster_it_names_if_we_know_it_else_of_that_of_the_log(
    engine: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    of_block: str | None,
    clusters: tuple[str, ...],
    expected: list[tuple[str | None, int]],
) -> None:
    """A collector may have names for clusters that `[[metrics]]` does not have."""
    path = tmp_path / "c.parquet"
    rows = [
        CALLS.replace("'c1'", f"'c{n}'") + f", {cluster} as x_Cluster"
        for n, cluster in enumerate(["'eu'", "'arn:eks:eu'", "null"])
    ]
    engine.execute(f"copy ({' union all '.join(rows)}) to '{path}'")
    block = InferenceSection(name="g", dialect="calls", location="x", cluster=of_block)
    usage.read_calls(engine, block, DAY, [("c.parquet", path)], tmp_path, clusters)
    written = tmp_path / "inference_usage.parquet"
    contracts.table("inference_usage").validate([written])

    assert (
        expected
        == engine.execute(
            f"select x_Cluster, sum(x_Calls)::bigint from '{written}' group by 1 order by 1"
        ).fetchall()
    )


@pytest.mark.parametrize(
    ("select", "said"),
    [
        (CALLS.replace("'ml/llama' as x_Endpoint, ", ""), "c.parquet: has no column x_Endpoint"),
        (
            CALLS.replace("10 as", "'ten' as"),
            "c.parquet: column x_InputTokens is VARCHAR, not BIGINT",
        ),
        (
            CALLS.replace("10 as", "1.5::double as"),
            "c.parquet: column x_InputTokens is DOUBLE, not BIGINT",
        ),
    ],
)
def test_calls_with_a_column_gone_or_changed_are_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, select: str, said: str
) -> None:
    path = tmp_path / "c.parquet"
    engine.execute(f"copy ({select}) to '{path}'")
    with pytest.raises(UnreadableFile, match=said):
        counted(engine, tmp_path, "calls", [("c.parquet", path)])


def test_a_truncated_file_of_calls_is_named(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "c.parquet"
    engine.execute(f"copy ({CALLS}) to '{path}'")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UnreadableFile, match=r"logs/c\.parquet: not a whole Parquet file"):
        counted(engine, tmp_path, "calls", [("logs/c.parquet", path)])


def test_no_logs_are_tables_without_rows(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for dialect in queries.stems("usage/calls"):
        assert counted(engine, tmp_path, dialect, []) == []


# ------------------------------------------------------------------------------------- the order


def test_a_day_keeps_the_order_of_its_series_whatever_the_threads(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    # more rows than a row group holds, of three series of which the last is grouped and sorted
    engine.execute(
        "create view series_day as "
        "select ['cpu_usage', 'pod_running', 'pod_labels'][1 + n // 2500] as x_Series, "
        "map {'namespace': 'ml', 'pod': 'p' || n % 2500, 'uid': 'u' || n % 2500} as labels, "
        "list_transform(range(n % 3, 24), lambda hour: {"
        f"'x_HourStart': timestamp '{MIDNIGHT}' + to_hours(hour), 'value': (n % 7)::double}}) "
        "as hours "
        "from (select range as n from range(7500)) as number"
    )
    objects = tmp_path / "object_day.parquet"
    copy(engine, queries.query("usage/samples/object_day").text, objects, group_rows=2048)
    engine.execute(f"create view object_day as from '{objects}'")
    found = {}
    for threads in (1, 2, 4):
        engine.execute(f"set threads = {threads}")
        engine.execute(
            f"copy ({queries.query('usage/metric_hour').text}) to '{tmp_path}/{threads}.parquet'",
            {"day": DAY.isoformat(), "source": "m", "cluster": "c"},
        )
        found[threads] = engine.execute(
            "select x_Series, x_Pod, x_HourStart, x_Value "
            f"from read_parquet('{tmp_path}/{threads}.parquet', file_row_number = true) "
            "order by file_row_number"
        ).fetchall()
    assert len(found[1]) == 7500 * 23
    assert [("p0", 22), ("p0", 23), ("p1", 1)] == [(r[1], r[2].hour) for r in found[1][22:25]]
    assert found[2] == found[1]
    assert found[4] == found[1]
    assert (tmp_path / "2.parquet").read_bytes() == (tmp_path / "4.parquet").read_bytes()


def test_the_order_of_a_server_s_answers_does_not_matter() -> None:
    hour = timedelta(hours=1)
    first = Answer({"pod": "a"}, [(MIDNIGHT + hour, 1.0), (MIDNIGHT + 2 * hour, 2.0)])
    second = Answer({"pod": "b"}, [(MIDNIGHT + hour, 3.0)])
    assert usage._table("pod_running", [second, first]) == usage._table(
        "pod_running", [first, second]
    )
