"""The usage stage against a real Prometheus, and against one whose answers break on the way.

A server is filled with promtool, started, asked and ended here. The same samples read from
files must give the same rows.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import socket
import ssl
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

from finops_pipeline import config, pipeline, queries, usage
from finops_pipeline.config import MetricsSection
from finops_pipeline.errors import ConfigError, DeliveryVanished, Refused, Unavailable
from finops_pipeline.transports import prometheus
from finops_pipeline.transports.prometheus import Prometheus
from finops_pipeline.warehouse import Warehouse

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

    def gauge(
        metric: str, labels: dict[str, str], value: float, begin: int, end: int, step: int
    ) -> None:
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
        info = {**here, "node": f"n{n % 2}", "host_network": "false" if n else "true"}
        gauge("kube_pod_info", info, 1, begin, end, step)
        gauge(
            "kube_pod_labels",
            {**here, "label_feature": "chat", "label_b": 'q\\"u'},
            1,
            begin,
            end,
            step,
        )
        gauge(
            "kube_pod_owner",
            {**here, "owner_kind": "ReplicaSet", "owner_name": "api-5d9c7b6f4d"},
            1,
            begin,
            end,
            step,
        )
        # One claim for all of them, which live for different times.
        gauge(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            {**here, "volume": "cache", "persistentvolumeclaim": "weights"},
            1,
            begin,
            min(end, 70_000 + n * 1000),
            step,
        )
        container = {**here, "container": "main"}
        asked = {**container, "resource": "cpu"}
        gauge("kube_pod_container_resource_requests", asked, 0.25, begin, min(end, 50_000), step)
        if n == 3:  # what a dump writes where a series went stale
            sample("kube_pod_container_resource_requests", asked, 50_220, math.nan)
        gauge("kube_pod_container_resource_requests", asked, 0.5, 54_000, end, step)
        for resource, value in (("memory", 2**28), ("nvidia_com_gpu", 1)):
            gauge(
                "kube_pod_container_resource_requests",
                {**container, "resource": resource},
                value,
                begin,
                end,
                step,
            )
        gauge(
            "kube_pod_container_resource_limits",
            {**container, "resource": "memory"},
            2**30,
            begin,
            end,
            step,
        )
        cgroup = {
            "namespace": "ml",
            "pod": pod["pod"],
            "container": "main",
            "id": f"/kubepods.slice/kubepods-pod{pod['uid'].replace('-', '_')}.slice/c{n}",
        }
        counter = 100.0 * n
        for second in range(begin, end, step):
            if n == 1 and 7 * 3600 < second < 9 * 3600:
                continue  # the scrape failed for two hours
            if n == 2 and second == 11 * 3600 + 600:
                counter = 0.0  # the container was restarted
            counter += draw.randrange(0, 4000) / 128
            sample("container_cpu_usage_seconds_total", cgroup, second + 0.5, counter)
            sample(
                "container_memory_working_set_bytes",
                cgroup,
                second + 0.5,
                draw.randrange(2**20, 2**30, 4096),
            )
        sample("container_cpu_usage_seconds_total", {**cgroup, "container": ""}, 60, 5)
        for interface in ("eth0", "net1"):
            wire = {
                "namespace": "ml",
                "pod": pod["pod"],
                "id": cgroup["id"],
                "interface": interface,
            }
            for second in range(begin, end, step):
                sent = (second - begin) * 1500 % (2**27 + n)  # the pod was made anew now and then
                sample("container_network_transmit_bytes_total", wire, second + 0.5, sent)
                sample("container_network_receive_bytes_total", wire, second + 0.5, sent // 3)
        gpu = {
            "exported_namespace": "ml",
            "exported_pod": pod["pod"],
            "exported_container": "main",
            "namespace": "gpu",
            "pod": "dcgm-x",
            "container": "dcgm",
            "UUID": f"GPU-{n}",
        }
        for second in range(begin, end, step):
            if n < 2:
                sample("DCGM_FI_PROF_GR_ENGINE_ACTIVE", gpu, second, draw.randrange(0, 257) / 256)
            sample("DCGM_FI_DEV_GPU_UTIL", gpu, second, draw.randrange(0, 101))
    for instance in ("ksm-0:8080", "ksm-1:8080"):  # scraped twice from noon on
        begin = -3600 if instance == "ksm-0:8080" else 12 * 3600 + 450
        end = 15 * 3600 + 90 if instance == "ksm-0:8080" else day
        for n in range(2):
            node = {"node": f"n{n}", "instance": instance}
            gauge(
                "kube_node_info",
                {**node, "provider_id": f"aws:///us-east-1a/i-0{n}"},
                1,
                begin,
                end,
                60,
            )
            gauge(
                "kube_node_labels",
                {**node, "label_node_kubernetes_io_instance_type": "p4d"},
                1,
                begin,
                end,
                60,
            )
            for resource, value in (("cpu", 96), ("memory", 2**40), ("nvidia_com_gpu", 8)):
                gauge(
                    "kube_node_status_capacity",
                    {**node, "resource": resource},
                    value,
                    begin,
                    end,
                    60,
                )
            for resource, value in (("cpu", 95.5), ("memory", 2**39)):
                gauge(
                    "kube_node_status_allocatable",
                    {**node, "resource": resource},
                    value,
                    begin,
                    end,
                    60,
                )
        volume = {"persistentvolume": "pvc-1", "instance": instance}
        claim = {"namespace": "ml", "persistentvolumeclaim": "weights", "instance": instance}
        for metric, labels, value in (
            ("kube_persistentvolume_info", {**volume, "csi_volume_handle": "vol-1"}, 1),
            ("kube_persistentvolume_capacity_bytes", volume, 2**40),
            (
                "kube_persistentvolume_claim_ref",
                {**volume, "name": "weights", "claim_namespace": "ml"},
                1,
            ),
            ("kube_persistentvolumeclaim_info", {**claim, "volumename": "pvc-1"}, 1),
            ("kube_persistentvolumeclaim_labels", {**claim, "label_team": "ml"}, 1),
        ):
            gauge(metric, labels, value, begin, end, 60)
        gauge(
            "kube_replicaset_owner",
            {
                "namespace": "ml",
                "replicaset": "api-5d9c7b6f4d",
                "owner_kind": "Deployment",
                "owner_name": "api",
                "instance": instance,
            },
            1,
            begin,
            end,
            300,
        )
        service = {"namespace": "ml", "service": "web", "uid": uid.format(9), "instance": instance}
        address = {"hostname": "web-1.elb.eu-west-1.amazonaws.com", "ip": ""}
        gauge("kube_service_labels", {**service, "label_feature": "chat"}, 1, begin, end, 300)
        gauge(
            "kube_service_status_load_balancer_ingress",
            {**service, **address},
            1,
            begin,
            end,
            300,
        )
        gauge(
            "kube_deployment_spec_replicas",
            {"namespace": "ml", "deployment": "api", "instance": instance},
            3,
            begin,
            end,
            300,
        )
    who = {"namespace": "ml", "pod": "api-5d9c7b6f4d-abcd1", "model_name": "llama", "engine": "0"}
    total = 0
    for second in range(-3600, day, 60):
        if second == 9 * 3600 + 1500:
            total = 0  # the engine was started anew
        total += draw.randrange(0, 500)
        sample("vllm:prompt_tokens_total", who, second + 0.75, total)
        sample("vllm:request_decode_time_seconds_sum", who, second + 0.75, total / 64)
        for reason in ("stop", "error"):
            ended = {**who, "finished_reason": reason}
            sample("vllm:request_success_total", ended, second + 0.75, total // 100)
        triton = {"namespace": "ml", "pod": "triton-0", "model": "ocr", "version": "1"}
        sample("nv_inference_compute_infer_duration_us", triton, second + 0.25, total * 128)
    lines = []
    for metric, samples in text.items():
        kind = "counter" if metric.endswith("_total") else "gauge"
        lines += [f"# TYPE {metric.removesuffix('_total')} {kind}", *samples]
    return "\n".join([*lines, "# EOF\n"])


def connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(queries.macros())
    return connection


def metric_hours(
    block: MetricsSection, files: list[usage.NamedFile], into: Path
) -> list[tuple[object, ...]]:
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
        [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=24h",
            text,
            home / "data",
        ],
        check=True,
        capture_output=True,
    )
    (home / "p.yml").write_text("global: {}\n", encoding="utf-8")
    with serving(home, "--query.max-samples=50000000") as url:
        yield url


@contextlib.contextmanager
def serving(home: Path, *flags: str, scheme: str = "http") -> Iterator[str]:
    """A Prometheus over the data in `home`, from its start to its end.

    Of one that does not let everybody in, it is only waited for until it answers.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"{scheme}://127.0.0.1:{port}"
    command = [
        "prometheus",
        f"--config.file={home}/p.yml",
        f"--storage.tsdb.path={home}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=3650d",
        *flags,
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                if is_ready(url):
                    break
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait()


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready") as answer:
            return bool(answer.status == 200)
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)


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


# ------------------------------------------------------------- answers that break on the way

Break = Callable[[int, int, bytes], tuple[int, bytes, int]]
"""(request number from 0, status, body) -> (status, body, announced length)."""


@contextlib.contextmanager
def broken(url: str, how: Break) -> Iterator[tuple[str, list[str]]]:
    """A loopback proxy that hands real answers on the way `how` says; and the paths asked for."""
    asked: list[str] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                number = len(asked)
                asked.append(self.path)
            try:
                with urllib.request.urlopen(url + self.path) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, body = error.code, error.read()
            status, body, announced = how(number, status, body)
            self.send_response(status)
            self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}", asked
        finally:
            proxy.shutdown()


def instead(status: int, body: dict[str, object] | bytes, times: int = 10**9) -> Break:
    """Another answer for the first `times` requests."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def how(number: int, real: int, whole: bytes) -> tuple[int, bytes, int]:
        return (status, content, len(content)) if number < times else (real, whole, len(whole))

    return how


def half(times: int, announced: bool) -> Break:
    """Half of the body for the first `times`; with or without the length of the whole."""

    def how(number: int, status: int, body: bytes) -> tuple[int, bytes, int]:
        if number >= times:
            return status, body, len(body)
        cut = body[: len(body) // 2]
        return status, cut, len(body) if announced else len(cut)

    return how


def ask(url: str, query: str = "kube_node_info") -> int:
    """Number of points of a day's answer."""
    with Prometheus(url, pause_seconds=0.01, timeout_seconds=10) as client:
        hour = timedelta(hours=1)
        (found,) = client.hourly([query], MIDNIGHT + hour, MIDNIGHT + 24 * hour)
        return sum(len(a.points) for a in found)


UNAVAILABLE: dict[str, object] = {"status": "error", "errorType": "unavailable", "error": "down"}
TIMEOUT: dict[str, object] = {"status": "error", "errorType": "timeout", "error": "query timed out"}


@needs_prometheus
@pytest.mark.parametrize(
    "how",
    [
        instead(503, b"service unavailable", 3),
        instead(429, b"slow down", 2),
        instead(200, UNAVAILABLE, 1),
        instead(
            200,
            {
                "status": "success",
                "data": {"resultType": "matrix", "result": []},
                "warnings": ["store-2 is away"],
            },
            2,
        ),
        half(2, announced=True),
        half(3, announced=False),
    ],
    ids=["503", "429", "error inside 200", "partial", "torn", "short"],
)
def test_what_may_pass_later_is_asked_again(server: str, how: Break) -> None:
    whole = ask(server)
    assert whole > 0
    with broken(server, how) as (url, asked):
        assert ask(url) == whole
        assert 2 <= len(asked) <= prometheus.ATTEMPTS


@needs_prometheus
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (instead(503, b"service unavailable"), "status 503: service unavailable"),
        (instead(504, TIMEOUT), "status 504"),
        (half(99, announced=True), "no whole answer"),
        (half(99, announced=False), "half an answer"),
        (
            instead(200, {"status": "success", "warnings": ["store-2 is away"]}),
            "not whole: store-2 is away",
        ),
        (instead(200, TIMEOUT), "timeout: query timed out"),
    ],
)
def test_what_does_not_pass_is_unavailable(server: str, how: Break, said: str) -> None:
    with broken(server, how) as (url, asked):
        with pytest.raises(Unavailable, match=said):
            ask(url)
        assert len(asked) == prometheus.ATTEMPTS


@needs_prometheus
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (instead(401, b"who are you"), "status 401: who are you; name the variable"),
        (instead(403, b""), "status 403: no text"),
        (instead(404, b"<html>nothing here</html>"), "not a Prometheus: status 404"),
        (
            instead(400, {"status": "error", "errorType": "bad_data", "error": "parse error"}),
            "bad_data: parse error",
        ),
        (
            instead(200, {"status": "success", "data": {"resultType": "vector", "result": []}}),
            "a vector",
        ),
        (instead(200, b"[]"), "not a Prometheus"),
    ],
)
def test_a_no_is_not_asked_again(server: str, how: Break, said: str) -> None:
    with broken(server, how) as (url, asked):
        with pytest.raises(Refused, match=said):
            ask(url)
        assert len(asked) == 1


@needs_prometheus
def test_a_day_that_is_too_large_is_asked_in_halves(server: str) -> None:
    """Whatever the server finds too large, down to three hours: 24, 2 x 12, 4 x 6, 8 x 3."""
    refusals = iter(
        [(400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries")]
        + [(422, "execution", "query processing would load too many samples into memory")] * 6
    )

    def how(number: int, status: int, body: bytes) -> tuple[int, bytes, int]:
        start, end = (float(p.split("=")[1]) for p in parts(asked[number], "start", "end"))
        if end - start >= 3 * 3600 and (refusal := next(refusals, None)):
            code, kind, error = refusal
            body = json.dumps({"status": "error", "errorType": kind, "error": error}).encode()
            return code, body, len(body)
        return status, body, len(body)

    def parts(path: str, *names: str) -> list[str]:
        found = dict(p.split("=", 1) for p in path.split("?")[1].split("&"))
        return [f"{n}={found[n]}" for n in names]

    with broken(server, how) as (url, asked):
        assert ask(url) == ask(server)
        assert len(asked) == 15


@needs_prometheus
def test_a_server_that_cannot_load_an_hour_is_refused_with_what_to_do(
    server: str, text: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A real Prometheus that may load ten samples a query."""
    home = tmp_path_factory.mktemp("small")
    subprocess.run(
        [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=24h",
            text,
            home / "data",
        ],
        check=True,
        capture_output=True,
    )
    (home / "p.yml").write_text("global: {}\n", encoding="utf-8")
    with (
        serving(home, "--query.max-samples=10") as url,
        pytest.raises(Refused, match=r"--query\.max-samples"),
    ):
        ask(url, "sum_over_time(kube_node_info[1h])")


def test_no_server_is_unavailable_and_names_its_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=f"http://127.0.0.1:{port}"):
        ask(f"http://127.0.0.1:{port}")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="write `url` as http://host:port"):
        ask("prometheus:9090")


@needs_prometheus
def test_a_failure_leaves_no_table(server: str, tmp_path: Path) -> None:
    """The tenth question fails: no part of the day is written."""

    def how(number: int, status: int, body: bytes) -> tuple[int, bytes, int]:
        return (403, b"no", 2) if number == 9 else (status, body, len(body))

    with (
        broken(server, how) as (url, _),
        contextlib.closing(connect()) as connection,
        pytest.raises(Refused),
    ):
        usage.read_metrics(connection, block(url), DAY, [], tmp_path)
    assert list(tmp_path.iterdir()) == []


@needs_prometheus
def test_the_token_is_sent_and_never_shown(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "very secret")
    asking = MetricsSection(
        name="m", kind="prometheus", cluster="c", url=server, token_env="METRICS_TOKEN"
    )
    with contextlib.closing(connect()) as connection:
        usage.read_metrics(connection, asking, DAY, [], tmp_path)
        monkeypatch.delenv("METRICS_TOKEN")
        with pytest.raises(ConfigError, match="the variable METRICS_TOKEN is not set"):
            usage.read_metrics(connection, asking, DAY, [], tmp_path)


def test_a_settled_day_is_asked_once() -> None:
    """A day is settled once the one after it is over."""
    morning, later = datetime(2026, 3, 4, 6), datetime(2026, 3, 4, 7)
    asking = block("http://p:9090")
    assert usage.fingerprint(asking, date(2026, 3, 2), morning) == usage.fingerprint(
        asking, date(2026, 3, 2), later
    )
    for day in (date(2026, 3, 3), date(2026, 3, 4)):
        assert usage.fingerprint(asking, day, morning) != usage.fingerprint(asking, day, later)
    assert usage.fingerprint(asking, date(2026, 3, 5), later) is None
    other = asking.model_copy(update={"cluster": "d"})
    assert usage.fingerprint(asking, date(2026, 3, 2), later) != usage.fingerprint(
        other, date(2026, 3, 2), later
    )


@needs_prometheus
def test_what_a_server_has_forgotten_stands_as_it_was_read(server: str, tmp_path: Path) -> None:
    """A settled day is asked again where the block, or what is asked, is another: see retention."""
    (tmp_path / "p.yml").write_text("global: {}\n", encoding="utf-8")

    def rows(url: str, more: str = "", name: str = "m", cluster: str = "c") -> int:
        block = f'name = "{name}"\nkind = "prometheus"\ncluster = "{cluster}"\nurl = "{url}"'
        (tmp_path / "finops.toml").write_text(f"[[metrics]]\n{block}\n{more}", encoding="utf-8")
        warehouse = Warehouse(config.load(tmp_path / "finops.toml"))
        with warehouse.writing():
            built = pipeline._read_day(warehouse, DAY.isoformat())
        return sum(b.state.rows for b in built if b.table == "metric_hour")

    known = rows(server)
    assert known > 1000
    with serving(tmp_path) as empty:
        told = rf"{{}}: {empty} has 0 hours of {DAY} of which m had 24 when .* \(`kept_days`\)"
        with pytest.raises(DeliveryVanished, match=told.format("m")):
            rows(empty)
        with pytest.raises(DeliveryVanished, match=told.format("new-name")):
            rows(empty, name="new-name")
        with pytest.raises(DeliveryVanished):
            rows(empty, "kept_days = 10000")
        assert known == rows(empty, "kept_days = 1")
        assert 0 == rows(empty, name="another", cluster="of another cluster")
