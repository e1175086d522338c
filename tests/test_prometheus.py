"""The usage stage against a real Prometheus, and against one whose answers break on the way.

A server is filled with promtool, started, asked and ended here. The same samples read from
files must give the same rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest

from finops_pipeline import queries, usage
from finops_pipeline.config import MetricsSection
from finops_pipeline.errors import ConfigError, Refused, Unavailable
from finops_pipeline.transports import prometheus
from finops_pipeline.transports.prometheus import Prometheus

DAY = date(2026, 3, 2)
MIDNIGHT = datetime(2026, 3, 2)

missing = [p for p in ("prometheus", "promtool") if shutil.which(p) is None]
needs_prometheus = pytest.mark.skipif(
    bool(missing) and os.environ.get("CI") != "true",
    reason=f"not installed: {', '.join(missing)} (Debian: apt-get install prometheus)",
)


def openmetrics() -> str:
    """Two days of a small cluster, scraped every 30 s to 5 min, with what goes wrong in one."""
    draw = random.Random(7)
    text: dict[str, list[str]] = {}

    def sample(metric: str, labels: dict[str, str], second: float, value: float) -> None:
        listed = ",".join(f'{k}="{v}"' for k, v in labels.items())
        at = MIDNIGHT + timedelta(seconds=second)
        stamp = (at - datetime(1970, 1, 1)) / timedelta(seconds=1)
        text.setdefault(metric, []).append(f"{metric}{{{listed}}} {value:g} {stamp:.3f}")

    def gauge(metric: str, labels: dict[str, str], value: float, begin: int, end: int, step: int) -> None:
        for second in range(begin, end, step):
            sample(metric, labels, second + 0.25, value)

    day = 86_400
    uid = "0a1b2c3d-0000-4000-8000-00000000000{}"
    for n in range(4):
        pod = {"namespace": "ml", "pod": f"api-5d9c7b6f4d-abcd{n}", "uid": uid.format(n)}
        step = (30, 60, 120, 300)[n]
        begin, end = (-3600, day + 3600) if n else (4 * 3600 + 420, 4 * 3600 + 420 + 20 * 60)
        ksm = {"instance": "ksm-0:8080", "job": "kube-state-metrics"}
        here = {**pod, **ksm}
        gauge("kube_pod_info", {**here, "node": f"n{n % 2}"}, 1, begin, end, step)
        gauge("kube_pod_labels", {**here, "label_feature": "chat", "label_b": 'q\\"u'}, 1, begin, end, step)
        gauge("kube_pod_owner", {**here, "owner_kind": "ReplicaSet", "owner_name": "api-5d9c7b6f4d"}, 1, begin, end, step)
        container = {**here, "container": "main"}
        for resource, value in (("cpu", 0.25), ("memory", 2**28), ("nvidia_com_gpu", 1)):
            gauge("kube_pod_container_resource_requests", {**container, "resource": resource}, value, begin, end, step)
        gauge("kube_pod_container_resource_limits", {**container, "resource": "memory"}, 2**30, begin, end, step)
        cgroup = {
            "namespace": "ml", "pod": pod["pod"], "container": "main",
            "id": f"/kubepods.slice/kubepods-pod{pod['uid'].replace('-', '_')}.slice/c{n}",
        }  # fmt: skip
        counter = 100.0 * n
        for second in range(begin, end, step):
            if n == 1 and 7 * 3600 < second < 9 * 3600:
                continue  # the scrape failed for two hours
            if n == 2 and second == 11 * 3600 + 600:
                counter = 0.0  # the container was restarted
            counter += draw.randrange(0, 4000) / 128
            sample("container_cpu_usage_seconds_total", cgroup, second + 0.5, counter)
            sample("container_memory_working_set_bytes", cgroup, second + 0.5, draw.randrange(2**20, 2**30, 4096))
        sample("container_cpu_usage_seconds_total", {**cgroup, "container": ""}, 60, 5)
        gpu = {"exported_namespace": "ml", "exported_pod": pod["pod"], "exported_container": "main",
               "namespace": "gpu", "pod": "dcgm-x", "container": "dcgm", "UUID": f"GPU-{n}"}  # fmt: skip
        for second in range(begin, end, step):
            if n < 2:
                sample("DCGM_FI_PROF_GR_ENGINE_ACTIVE", gpu, second, draw.randrange(0, 257) / 256)
            sample("DCGM_FI_DEV_GPU_UTIL", gpu, second, draw.randrange(0, 101))
    for instance in ("ksm-0:8080", "ksm-1:8080"):  # scraped twice from noon on
        begin = -3600 if instance == "ksm-0:8080" else 12 * 3600 + 450
        end = 15 * 3600 + 90 if instance == "ksm-0:8080" else day
        for n in range(2):
            node = {"node": f"n{n}", "instance": instance}
            gauge("kube_node_info", {**node, "provider_id": f"aws:///us-east-1a/i-0{n}"}, 1, begin, end, 60)
            gauge("kube_node_labels", {**node, "label_node_kubernetes_io_instance_type": "p4d"}, 1, begin, end, 60)
            for resource, value in (("cpu", 96), ("memory", 2**40), ("nvidia_com_gpu", 8)):
                gauge("kube_node_status_capacity", {**node, "resource": resource}, value, begin, end, 60)
        gauge("kube_replicaset_owner", {"namespace": "ml", "replicaset": "api-5d9c7b6f4d", "owner_kind": "Deployment",
              "owner_name": "api", "instance": instance}, 1, begin, end, 300)  # fmt: skip
        gauge("kube_deployment_spec_replicas", {"namespace": "ml", "deployment": "api", "instance": instance},
              3, begin, end, 300)  # fmt: skip
    lines = []
    for metric, samples in text.items():
        lines += [f"# TYPE {metric.removesuffix('_total')} {'counter' if metric.endswith('_total') else 'gauge'}", *samples]
    return "\n".join([*lines, "# EOF\n"])


def connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(queries.macros())
    return connection


def metric_hours(block: MetricsSection, files: list[usage.NamedFile], into: Path) -> list[tuple[object, ...]]:
    """All of metric_hour, in its own order."""
    into.mkdir()
    with contextlib.closing(connect()) as connection:
        usage.read_metrics(connection, block, DAY, files, into)
        return connection.execute(f"from '{into}/metric_hour.parquet'").fetchall()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "metrics.om"
    path.write_text(openmetrics(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def server(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus filled with the samples of `text`."""
    home = tmp_path_factory.mktemp("prometheus")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h", text, home / "data"],
        check=True, capture_output=True,
    )  # fmt: skip
    (home / "p.yml").write_text("global: {}\n", encoding="utf-8")
    with serving(home, "--query.max-samples=50000000") as url:
        yield url


@contextlib.contextmanager
def serving(home: Path, *flags: str) -> Iterator[str]:
    """A Prometheus over the data in `home`, from its start to its end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        "prometheus", f"--config.file={home}/p.yml", f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=3650d", *flags,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                with contextlib.suppress(urllib.error.URLError):
                    with urllib.request.urlopen(f"{url}/-/ready") as answer:
                        if answer.status == 200:
                            break
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


def block(url: str) -> MetricsSection:
    return MetricsSection(name="m", kind="prometheus", cluster="c", url=url)


@needs_prometheus
def test_a_server_and_its_samples_in_a_file_give_the_same_rows(
    server: str, text: Path, tmp_path: Path
) -> None:
    asked = metric_hours(block(server), [], tmp_path / "asked")
    openmetrics_block = MetricsSection(name="m", kind="openmetrics", cluster="c", location="x")
    read = metric_hours(openmetrics_block, [("metrics.om", text)], tmp_path / "read")
    assert len(read) > 1000
    assert read == asked
