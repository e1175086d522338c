"""Exports of OpenCost and Kubecost, and AWS's split rows, as usage: sums for the head."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline import config, pipeline, pod_exports, queries
from finops_pipeline.config import MetricsSection
from finops_pipeline.dialect import underscored
from finops_pipeline.errors import ConfigError, UnreadableFile
from finops_pipeline.transports import Item
from finops_pipeline.warehouse import Warehouse

HOUR = 3_600_000
GIB = 2**30
DAY = "2026-10-01"
OPENCOST = [
    "Date", "Namespace", "ControllerKind", "ControllerName", "Pod", "Container",
    "CPUCoreUsageAverage", "CPUCoreRequestAverage", "RAMBytesUsageAverage",
    "RAMBytesRequestAverage", "NetworkReceiveBytes", "NetworkTransferBytes", "GPUs", "PVBytes",
    "CPUCost", "RAMCost", "NetworkCost", "PVCost", "GPUCost", "TotalCost",
]  # fmt: skip
PEER = (
    "2021-01-01,test-namespace,test-controller-kind,test-controller-name,test-pod,test-container,"
    "0.1,0.2,0.4,0.5,11,10,2,2,0.3,0.6,0.9,2,0.8,4.6000000000000005"
)
"""OpenCost's own row, of its csv_export_test.go."""


def text_of(rows: list[dict[str, Any]], columns: list[str] | None = None) -> str:
    """Rows as CSV."""
    names = columns or list(dict.fromkeys(n for row in rows for n in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Read:
    """A day of an export as the tables that SQL makes of it."""

    def __init__(
        self, folder: Path, kind: str, text: str | bytes, day: str = DAY, cluster: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        local = folder / "export.csv"
        local.write_bytes(text if isinstance(text, bytes) else text.encode())
        item = Item(local.name, local.stat().st_size, "f", local.name)
        block = MetricsSection.model_validate(
            {
                "name": "m",
                "kind": kind,
                "cluster": "c",
                "location": "x",
                "match": {"cluster": cluster} if cluster else {},
            }
        )
        self.connection = duckdb.connect()
        self.connection.execute("set TimeZone = 'UTC'")
        self.connection.execute(queries.macros())
        taken = folder / f"x{pod_exports.SUFFIX}"
        pod_exports.take_apart(self.connection, kind, item, local, taken)
        self.days = sorted(p.stem for p in taken.iterdir())
        files = [(item.path, taken / f"{day}.parquet")]
        pod_exports.read_day(self.connection, block, day, files, folder)
        for table in ("metric_hour", "unread_usage"):
            self.connection.execute(f"create view {table} as from '{folder}/{table}.parquet'")
        for table in ("container_usage", "node_usage", "pod_usage"):
            text = queries.query(f"usage/{table}").text
            self.connection.execute(f"create table {table} as {text}")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(sql).fetchall()


# ------------------------------------------------------------------------------------- OpenCost


def test_a_row_of_opencost_is_spread_over_its_day(tmp_path: Path) -> None:
    """0.2 cores asked for and 0.1 used, of 0.5 bytes 0.4, and 2 GPUs: the same each hour."""
    read = Read(tmp_path, "opencost", f"{','.join(OPENCOST)}\n{PEER}\n", day="2021-01-01")
    found = read.ask(
        "select x_HourStart, x_PodUid, x_Container, x_Node, x_Workload, x_WorkloadKind, "
        "x_CpuRequestCoreMs, x_CpuUsageCoreMs, x_MemoryRequestByteSeconds, "
        "x_MemoryUsageByteSeconds, x_GpuRequestMs, x_GpuBusyMs from container_usage"
    )
    assert 24 == len(found)
    assert datetime(2021, 1, 1) == found[0][0]
    for row in found:
        assert (
            "test-namespace/test-pod", "test-container", None, "test-controller-name",
            "test-controller-kind", 720_000, 360_000, 1800, 1440, 2 * HOUR, None,
        ) == row[1:]  # fmt: skip
    assert [] == read.ask("from node_usage")
    assert [] == read.ask("from unread_usage")


def test_a_row_that_does_not_part_evenly_adds_up(tmp_path: Path) -> None:
    row = PEER.replace("0.1,0.2", "0.000001,0.0000007")
    read = Read(tmp_path, "opencost", f"{','.join(OPENCOST)}\n{row}\n", day="2021-01-01")
    assert [(86, 60)] == read.ask(
        "select sum(x_CpuUsageCoreMs), sum(x_CpuRequestCoreMs) from container_usage"
    )


@pytest.mark.parametrize(
    ("extra", "values"),
    [
        (["Labels"], ['{"feature": "chat", "b": "q"}']),
        (["Label_feature", "Label_b"], ["chat", "q"]),
        (["Labels", "Label_feature", "Label_b"], ['{"feature": "chat"}', "chat", "q"]),
    ],
    ids=["as JSON", "a column each", "both"],
)
def test_labels_of_opencost(tmp_path: Path, extra: list[str], values: list[str]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([[*OPENCOST, *extra], [*PEER.split(","), *values]])
    read = Read(tmp_path, "opencost", text.getvalue(), day="2021-01-01")
    assert [('{"b":"q","feature":"chat"}',)] == read.ask("select distinct x_Labels from pod_usage")


def test_another_source_may_say_on_which_node_a_pod_of_opencost_ran(tmp_path: Path) -> None:
    """Listed with its UID and node at noon by kube-state-metrics: what it held then is there."""
    read = Read(tmp_path, "opencost", f"{','.join(OPENCOST)}\n{PEER}\n", day="2021-01-01")
    read.connection.execute(
        "create table both_sources as from metric_hour union all select * replace ("
        "'pod_running' as x_Series, 'u' as x_PodUid, 'n1' as x_Node, null as x_Container, "
        "3600000 as x_Value) from metric_hour "
        "where x_Series = 'cpu_request' and extract(hour from x_HourStart) = 12"
    )
    text = queries.query("usage/container_usage").text.replace("metric_hour", "both_sources")
    read.connection.execute(f"create or replace table container_usage as {text}")
    assert [("u", "n1", 24, 24 * 720_000)] == read.ask(
        "select x_PodUid, x_Node, count(*), sum(x_CpuRequestCoreMs) from container_usage "
        "group by all"
    )


def opencost(**given: object) -> dict[str, Any]:
    """A row of OpenCost's export."""
    return dict(zip(OPENCOST, PEER.split(","), strict=True)) | {"Date": DAY} | given


def test_what_opencost_cannot_mean_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [
        opencost(),
        opencost(CPUCoreUsageAverage="much"),
        opencost(Pod=""),
        opencost(Date="someday"),
        opencost(GPUs="-1"),
        opencost(Namespace="__unmounted__", Pod="__unmounted__", Container="__unmounted__"),
    ]
    read = Read(tmp_path, "opencost", text_of(rows))
    assert [
        ("export.csv", 2, "CPUCoreUsageAverage is not a number: 'much'"),
        ("export.csv", 3, "Pod is missing"),
        ("export.csv", 4, "Date is not a time: 'someday'"),
        ("export.csv", 5, "an average is below zero"),
    ] == read.ask("select x_SourceFile, x_SourceRow, x_Reason from unread_usage")
    assert [("test-pod", 24)] == read.ask("select x_Pod, count(*) from pod_usage group by 1")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="column 'Container' is missing"):
        Read(tmp_path / "1", "opencost", "Date,Namespace,Pod\n2026-10-01,a,b\n")
    with pytest.raises(UnreadableFile, match="no row says of which day it is"):
        Read(tmp_path / "2", "opencost", text_of([opencost(Date="")]))
    assert not list((tmp_path / "2").glob(f"*{pod_exports.SUFFIX}"))


# ------------------------------------------------------------------------------------- Kubecost


def kubecost(pod: str, **given: object) -> dict[str, Any]:
    """A row of Kubecost's allocations, a day of one pod."""
    return {
        "name": f"c/n1/ml/{pod}",
        "window.start": "2026-10-01T00:00:00Z",
        "window.end": "2026-10-02T00:00:00Z",
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-10-02T00:00:00Z",
        "minutes": 1440,
        "properties.cluster": "eu-1",
        "properties.node": "n1",
        "properties.providerID": "i-1",
        "properties.namespace": "ml",
        "properties.controller": pod,
        "properties.controllerKind": "deployment",
        "properties.pod": f"{pod}-0",
        "properties.container": "main",
        "labels": f'{{"feature": "{pod}"}}',
    } | given


A_NODE = [
    kubecost(
        "a", cpuCoreRequestAverage=1, cpuCoreUsageAverage=0.5, cpuCoreHours=24, cpuCost=24,
        ramByteRequestAverage=4 * GIB, ramByteUsageAverage=GIB, ramByteHours=96 * GIB, ramCost=9.6,
        gpuHours=0, gpuCost=0,
    ),
    kubecost(
        "b", cpuCoreRequestAverage=1, cpuCoreUsageAverage=2, cpuCoreHours=24, cpuCost=24,
        ramByteRequestAverage=4 * GIB, ramByteUsageAverage=GIB, ramByteHours=48 * GIB, ramCost=4.8,
        gpuHours=0, gpuCost=0, start="2026-10-01T12:00:00Z", minutes=720,
    ),
    kubecost(
        "idle", name="eu-1/n1/__idle__", cpuCost=48, ramCost=24, gpuCost=0,
        **{"properties.pod": "", "properties.namespace": "", "properties.container": ""},
    ),
]  # fmt: skip
"""Pods that held 48 core hours for 48 beside idle cost of 48: 96 core hours, 4 cores. Of memory 144
GiB hours for 14.40 beside 24: 384 GiB hours, 16 GiB."""


def test_a_day_of_kubecost(tmp_path: Path) -> None:
    read = Read(tmp_path, "kubecost", text_of(A_NODE))
    assert [
        ("a-0", "Deployment", "n1", '{"feature":"a"}', 24, HOUR, 24 * HOUR, 24 * 4 * GIB * 3600),
        ("b-0", "Deployment", "n1", '{"feature":"b"}', 12, HOUR, 24 * HOUR, 12 * 4 * GIB * 3600),
    ] == read.ask(
        "select x_Pod, x_WorkloadKind, x_Node, x_Labels, count(*), max(x_RunningMs), "
        "sum(x_CpuAllocatedCoreMs), sum(x_MemoryAllocatedByteSeconds) from pod_usage "
        "group by all order by 1"
    )
    assert [("n1", "i-1", 24, 4 * HOUR, 4 * HOUR, 16 * GIB * 3600)] == read.ask(
        "select x_Node, ResourceId, count(*), min(x_CpuCapacityCoreMs), max(x_CpuCapacityCoreMs), "
        "max(x_MemoryCapacityByteSeconds) from node_usage group by all"
    )


def test_without_idle_cost_a_node_has_no_known_capacity(tmp_path: Path) -> None:
    read = Read(tmp_path, "kubecost", text_of(A_NODE[:2]))
    assert [("i-1", 0, 0)] == read.ask(
        "select distinct ResourceId, x_CpuCapacityCoreMs, x_MemoryCapacityByteSeconds "
        "from node_usage"
    )


def test_names_of_kubecost_are_known_in_any_case(tmp_path: Path) -> None:
    plain = [
        {
            name.replace("properties.", "").replace("window.", "window").upper(): value
            for name, value in row.items()
        }
        for row in A_NODE
    ]
    packed = gzip.compress(text_of(plain).encode())
    told = "from container_usage order by all"
    assert Read(tmp_path / "1", "kubecost", text_of(A_NODE)).ask(told) == Read(
        tmp_path / "2", "kubecost", packed
    ).ask(told)


def test_what_kubecost_cannot_mean_is_told(tmp_path: Path) -> None:
    rows = [
        kubecost("a"),
        kubecost("b", end="2026-10-02T01:00:00Z"),
        kubecost("c", **{"properties.pod": ""}),
        kubecost("d", name="eu-1/__idle__", **{"properties.node": ""}),
        kubecost("e", end="2026-10-01T00:00:00Z"),
        kubecost("f", **{"properties.pod": "__unmounted__"}),
    ]
    read = Read(tmp_path, "kubecost", text_of(rows))
    assert [
        (2, "it is of more than one UTC day: export hours or days"),
        (3, "properties.pod is missing"),
        (4, "idle cost is of no node: export it with idleByNode=true"),
        (5, "it ends before it begins"),
    ] == read.ask("select x_SourceRow, x_Reason from unread_usage")


def test_an_export_of_two_clusters_says_which_is_meant(tmp_path: Path) -> None:
    rows = [kubecost("a"), kubecost("b", **{"properties.cluster": "us-1"})]
    text = text_of([r | {"cpuCoreUsageAverage": 1} for r in rows])
    with pytest.raises(ConfigError, match=r"of the clusters eu-1, us-1; .*match = { cluster"):
        Read(tmp_path / "1", "kubecost", text)
    read = Read(tmp_path / "2", "kubecost", text, cluster="us-1")
    assert [("b-0", "c")] == read.ask("select distinct x_Pod, x_Cluster from pod_usage")


# ------------------------------------------------------------------------------- AWS's split rows

LINE = {
    "bill/BillingPeriodStartDate": "2026-10-01T00:00:00Z",
    "bill/BillingPeriodEndDate": "2026-11-01T00:00:00Z",
    "bill/InvoiceId": "1",
    "lineItem/UsageStartDate": "2026-10-01T05:00:00Z",
    "lineItem/UsageEndDate": "2026-10-01T06:00:00Z",
    "lineItem/LineItemType": "Usage",
    "lineItem/CurrencyCode": "USD",
}


def split(pod: str, what: str, reserved: str, used: str, held: str, ratio: str) -> dict[str, Any]:
    """A split row of an hour: vCPU hours or GB hours of a pod on the instance i-1."""
    return LINE | {
        "lineItem/ProductCode": "AmazonEKS",
        "lineItem/Operation": "EKSPod-EC2",
        "lineItem/UsageType": f"USE1-EKS-EC2-{what}-Hours",
        "lineItem/ResourceId": f"arn:aws:eks:us-east-1:111122223333:pod/prod/ml/{pod}-0/uid-{pod}",
        "lineItem/UnblendedCost": "13",
        "splitLineItem/ParentResourceId": "i-1",
        "splitLineItem/ReservedUsage": reserved,
        "splitLineItem/ActualUsage": used,
        "splitLineItem/SplitUsage": held,
        "splitLineItem/SplitUsageRatio": ratio,
        "resourceTags/aws:eks:node": "ip-10-0-0-1",
        "resourceTags/aws:eks:workload-type": "ReplicaSet",
        "resourceTags/aws:eks:workload-name": f"{pod}-5d9c7b6f4d",
        "resourceTags/aws:eks:deployment": pod,
        "resourceTags/user:feature": pod,
    }


INSTANCE = LINE | {
    "lineItem/ProductCode": "AmazonEC2",
    "lineItem/Operation": "RunInstances",
    "lineItem/UsageType": "BoxUsage:m5.xlarge",
    "lineItem/ResourceId": "i-1",
    "lineItem/UnblendedCost": "52",
}
CUR = [
    INSTANCE,
    split("a", "vCPU", "1", "2", "2", "0.5"),
    split("a", "GB", "4", "3", "4", "0.25"),
    split("b", "vCPU", "1", "", "1", "0.25"),
    split("b", "GB", "8", "", "8", "0.5"),
]
"""An instance of 4 vCPU and 16 GB for 52 an hour. By AWS's ratio a vCPU is 9 and a GB 1. Pod a
asked for 1 vCPU and used 2, asked for 4 GB and used 3: 18 + 4 = 22. Pod b has 9 + 8 = 17, and
9 + 4 = 13 are idle."""


def test_an_hour_of_split_rows(tmp_path: Path) -> None:
    read = Read(tmp_path, "aws_split", text_of(CUR))
    assert [
        ("a-0", "uid-a", "a", "Deployment", "ip-10-0-0-1", HOUR, 2 * HOUR, 4 * GIB * 3600),
        ("b-0", "uid-b", "b", "Deployment", "ip-10-0-0-1", HOUR, HOUR, 8 * GIB * 3600),
    ] == read.ask(
        "select x_Pod, x_PodUid, x_Workload, x_WorkloadKind, x_Node, x_RunningMs, "
        "x_CpuAllocatedCoreMs, x_MemoryAllocatedByteSeconds from pod_usage order by 1"
    )
    assert [(HOUR, 2 * HOUR), (HOUR, None)] == read.ask(
        "select x_CpuRequestCoreMs, x_CpuUsageCoreMs from container_usage order by x_Pod"
    )
    assert [(datetime(2026, 10, 1, 5), "i-1", 4 * HOUR, 16 * GIB * 3600)] == read.ask(
        "select x_HourStart, ResourceId, x_CpuCapacityCoreMs, x_MemoryCapacityByteSeconds "
        "from node_usage"
    )


def test_what_split_rows_cannot_mean_is_told(tmp_path: Path) -> None:
    rows = [
        split("a", "vCPU", "1", "", "1", "0.25"),
        split("a", "Disk", "1", "", "1", "0.25"),
        split("a", "GB", "", "", "", "") | {"lineItem/ResourceId": "i-1"},
        INSTANCE,
    ]
    read = Read(tmp_path, "aws_split", text_of(rows))
    assert [
        (2, "line_item_usage_type is not known here: 'USE1-EKS-EC2-Disk-Hours'"),
        (
            3,
            "line_item_resource_id names no pod: 'i-1'; split_line_item_reserved_usage is missing",
        ),
    ] == read.ask("select x_SourceRow, x_Reason from unread_usage")


def test_rows_of_accelerators(tmp_path: Path) -> None:
    rows = [*CUR, split("a", "GPU", "2", "1", "2", "0.25")]
    read = Read(tmp_path, "aws_split", text_of(rows))
    assert [(2 * HOUR, 8 * HOUR)] == read.ask(
        "select x_GpuRequestMs, x_GpuCapacityMs from pod_usage, node_usage where x_Pod = 'a-0'"
    )


def test_the_other_names_of_a_report(tmp_path: Path) -> None:
    """CUR 2.0 has its tags under other names; what comes of them is the same."""

    def renamed(name: str) -> str:
        section, _, part = name.partition("/")
        if section == "resourceTags":
            return f"resource_tags_{part.replace(':', '_').replace('-', '_')}"
        return underscored(name)

    rows = [{renamed(n): v for n, v in row.items()} for row in CUR]
    told = "select * exclude (x_Labels) from pod_usage order by all"
    assert Read(tmp_path / "1", "aws_split", text_of(CUR)).ask(told) == Read(
        tmp_path / "2", "aws_split", text_of(rows)
    ).ask(told)


# ------------------------------------------------------------------------------------- the road

AWS = """
[[billing]]
name = "aws"
dialect = "aws_cur"
location = "cur/{period}/*.csv"

[[metrics]]
name = "split"
kind = "aws_split"
cluster = "prod"
location = "cur/{period}/*.csv"

[allocation]
price_ratio = "aws"
"""


def road(root: Path, toml: str, *stages: str) -> Warehouse:
    """The steps of some stages, not published."""
    (root / "finops.toml").write_text(toml, encoding="utf-8")
    warehouse = Warehouse(config.load(root / "finops.toml"))
    with warehouse.writing():
        for step in pipeline.steps():
            if step.stage in stages:
                step.run(warehouse, "2026-10")
    return warehouse


def test_split_rows_say_who_and_the_instance_how_much(tmp_path: Path) -> None:
    """One report is the bill and the usage: 52 billed, 22, 17 and 13 allocated, nothing twice."""
    (tmp_path / "cur/2026-10").mkdir(parents=True)
    (tmp_path / "cur/2026-10/cur-1.csv").write_text(text_of(CUR), encoding="utf-8")
    warehouse = road(tmp_path, AWS, "bill", "usage", "allocation")
    folder = warehouse.folder("allocated_cost", "2026-10")
    found = duckdb.sql(
        f"select x_Feature, cast(sum(EffectiveCost) as double) from '{folder}/*.parquet' "
        "where EffectiveCost <> 0 group by 1 order by 1"
    ).fetchall()
    assert [("(idle)", 13.0), ("a", 22.0), ("b", 17.0)] == found


def test_a_day_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    """OpenCost keeps adding to one file: the day before stands, bytes and fingerprint."""
    toml = '[[metrics]]\nname = "m"\nkind = "opencost"\ncluster = "c"\nlocation = "opencost.csv"\n'
    file = tmp_path / "opencost.csv"
    rows = [opencost()]
    file.write_text(text_of(rows), encoding="utf-8")
    warehouse = road(tmp_path, toml, "usage")
    before = warehouse.state("metric_hour", DAY)
    rows.append(opencost(Date="2026-10-02"))
    file.write_text(text_of(rows), encoding="utf-8")
    warehouse = road(tmp_path, toml, "usage")
    assert before is not None
    assert before == warehouse.state("metric_hour", DAY)
    assert ["2026-10-01", "2026-10-02"] == warehouse.partitions("metric_hour")


def test_of_an_export_only_the_cluster_can_be_matched() -> None:
    block = {"name": "m", "kind": "opencost", "cluster": "c", "location": "x.csv"}
    with pytest.raises(ConfigError, match="can only name the `cluster`"):
        config.parse({"metrics": [block | {"match": {"pod": "x"}}]}, Path())
    with pytest.raises(ConfigError, match="period"):
        config.parse({"metrics": [block | {"kind": "parquet", "location": "{period}"}]}, Path())


# ---------------------------------------------------------------------------------- by property

MINUTE = timedelta(minutes=1)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1439),
            st.integers(1, 1440),
            st.integers(0, 10**16),
            st.integers(0, 10**16),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_hours_add_up_to_the_row_and_no_pod_runs_longer_than_an_hour(
    rows: list[tuple[int, int, int, int]],
) -> None:
    """Rows of any minutes of a day, one pod: each hour has its part, to the unit."""
    midnight = datetime(2026, 10, 1)
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute(
            "create table pod_export (x_Reason varchar, starts_at timestamp, ends_at timestamp, "
            "cluster varchar, x_Namespace varchar, x_Pod varchar, x_PodUid varchar, "
            "x_Container varchar, x_Node varchar, provider_id varchar, x_Workload varchar, "
            "x_WorkloadKind varchar, x_Labels varchar, running_ms bigint, cpu_request bigint, "
            "cpu_usage bigint, memory_request bigint, memory_usage bigint, gpu_request bigint, "
            "node_cpu bigint, node_memory bigint, node_gpu bigint)"
        )
        total = 0
        for number, (first, asked, cpu, memory) in enumerate(rows):
            minutes = min(asked, 1440 - first)
            begin = midnight + first * MINUTE
            connection.execute(
                "insert into pod_export values (null, ?, ?, null, 'ns', 'p', null, ?, 'n', 'i', "
                "null, null, '{}', ?, ?, null, ?, null, null, null, null, null)",
                [begin, begin + minutes * MINUTE, f"c{number}", minutes * 60_000, cpu, memory],
            )
            total += cpu
        query = queries.query("usage/exported/metric_hour")
        bound = {"day": DAY, "source": "m", "cluster": "c", "asked_cluster": ""}
        connection.execute(f"create table metric_hour as {query.text}", bound)
        found = connection.execute(
            "select coalesce(sum(x_Value) filter (where x_Series = 'cpu_request'), 0), "
            "max(x_Value) filter (where x_Series = 'pod_running'), "
            "min(x_HourStart) >= timestamp '2026-10-01', "
            "max(x_HourStart) < timestamp '2026-10-02' from metric_hour"
        ).fetchall()
    assert total == found[0][0]
    assert found[0][1] <= HOUR
    assert (True, True) == found[0][2:]
