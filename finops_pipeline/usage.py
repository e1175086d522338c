"""A day of metrics, and a day of inference logs, as Parquet.

What belongs here: which series are asked for and in which unit (`MEASURES`), the PromQL that
asks a server for them, and the carrying of lines and rows from files to the SQL that reads them.
What a line or a sample means is decided in `sql/usage`; where files come from in `transports`.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import duckdb

from . import queries
from .bindings import Scalar
from .config import InferenceSection, InvocationSection, MetricsSection, OwnerSection
from .contracts.fields import FIELDS
from .contracts.usage import INFERENCE_CALL, INVOCATION
from .errors import ConfigError, UnreadableFile
from .warehouse import copy, digest, identifier, literal

if TYPE_CHECKING:
    import pyarrow as pa

    from .transports.prometheus import Access, Answer

NamedFile = tuple[str, Path]
"""A delivered file: its path relative to its source, and where it lies on this machine."""

HOW_TO_GET_IN = {
    "token_env", "user_env", "password_env", "ca_file", "cert_file", "key_file", "timeout_seconds",
    "kept_days",
}  # fmt: skip
"""Keys of a block that change nothing of what its server answers."""

_ASKING = threading.Lock()
"""A server is asked for one day at a time, whatever is read beside it."""

# ------------------------------------------------------------------- what is measured, and how

SERIES: dict[str, str] = {
    "cpu_usage": "core-milliseconds of CPU used",
    "cpu_peak": "millicores, the highest use of five minutes in the hour",
    "cpu_periods": "CFS enforcement periods",
    "cpu_throttled_periods": "CFS periods in which the container was throttled",
    "cpu_request": "core-milliseconds of CPU asked for",
    "cpu_limit": "millicores",
    "memory_usage": "byte-seconds of working set",
    "memory_peak": "bytes, the largest working set sample in the hour",
    "memory_request": "byte-seconds of memory asked for",
    "memory_limit": "bytes",
    "gpu_request": "device-milliseconds asked for; x_Labels holds the resource",
    "gpu_busy": "device-milliseconds the engine was active; x_Labels holds the MIG profile",
    "gpu_memory_peak": "bytes, the largest sample in the hour",
    "oom_kills": "containers ended by the OOM killer",
    "pod_running": "milliseconds the pod was listed; x_Node is null while it waited for one",
    "pod_active": "milliseconds the pod was in the phase Running",
    "pod_labels": "milliseconds these labels stood",
    "pod_owner": "milliseconds this workload owned the pod",
    "node_running": "milliseconds the node was listed; x_Labels holds its provider_id",
    "node_labels": "milliseconds these labels stood",
    "node_cpu_capacity": "core-milliseconds",
    "node_memory_capacity": "byte-seconds",
    "node_gpu_capacity": "device-milliseconds; x_Labels holds the resource",
    "node_cpu_allocatable": "core-milliseconds that are left for pods",
    "node_memory_allocatable": "byte-seconds that are left for pods",
    "volume_running": "milliseconds the volume was listed; x_Workload names it, as in all of a "
    "volume, x_Labels holds its handle, the id of the disk behind it",
    "volume_capacity": "bytes",
    "volume_claim": "milliseconds the volume was reserved for the claim in x_Labels, there or gone",
    "claim_bound": "milliseconds the claim had the volume in x_Labels; x_Workload names the claim, "
    "as in all of a claim",
    "claim_labels": "milliseconds these labels stood",
    "claim_mounted": "milliseconds any pod had the claim in its volumes",
    "claim_pod": "milliseconds the pod had the claim in its volumes",
    "deployment_replicas": "replicas asked for at the end of the hour",
    "network_sent": "bytes the pod sent, one row per network interface",
    "network_received": "bytes the pod received, one row per network interface",
    "pod_host_network": "milliseconds the pod was listed as on the network of its node",
    "service_address": "milliseconds the Service x_Workload had this address; x_Labels holds it",
    "service_labels": "milliseconds these labels of the Service x_Workload stood",
    "serving_requests": "requests an engine answered; x_Labels holds the model, here and below",
    "serving_failures": "requests that ended in an error",
    "serving_inferences": "inferences of Triton: a batch of n counts n",
    "serving_input_tokens": "prompt tokens, those found in the prefix cache included",
    "serving_cached_tokens": "prompt tokens found in the prefix cache",
    "serving_output_tokens": "tokens generated",
    "serving_prefill": "request-milliseconds of prefill",
    "serving_decode": "request-milliseconds of decode",
    "serving_compute": "request-milliseconds of Triton executing the model",
}
"""Every value of `metric_hour.x_Series`, with the unit of its x_Value."""
FEW_TEXTS = 10_240
"""Names of a day's pods that are written as an enum: objects of two row groups, 24 hours each."""

_POD = ("namespace", "exported_namespace", "pod", "exported_pod", "uid")
_CONTAINER = (*_POD, "container", "exported_container")
_CGROUP = (*_CONTAINER, "id")
_GPU = (*_CONTAINER, "UUID", "GPU_I_ID", "GPU_I_PROFILE")
_ENGINE = (
    *_POD,
    "model_name",
    "model",
    "version",
    "engine",
    "finished_reason",
    "reason",
    "gpu_uuid",
)
_NODE = ("node", "exported_node")
_CLAIM = ("namespace", "exported_namespace", "persistentvolumeclaim")
_HANDLES = ("csi_volume_handle", "ebs_volume_id", "gce_persistent_disk_name")
_INTERFACE = (*_POD, "id", "interface")
_SERVICE = ("namespace", "exported_namespace", "service", "exported_service", "uid")
_OWNER = ("namespace", "exported_namespace", "owner_kind", "owner_name")
_ALL: tuple[str, ...] = ()

# (label, must match, pattern of the whole value)
_REAL = (("container", False, "|POD"),)
_OF_POD = (("pod", True, ".+"),)
_ANSWERED = (("finished_reason", False, "error"),)
_FAILED = (("finished_reason", True, "error"),)
_GPUS = (
    "nvidia_com_gpu(_shared)?|nvidia_com_mig_.+|amd_com_gpu|gpu_intel_com_(i915|xe)"
    "|habana_ai_gaudi|google_com_tpu|aws_amazon_com_neuron"
)
"""Resources that are accelerators, as kube-state-metrics writes their names."""


@dataclass(frozen=True)
class Measure:
    """One series as an exporter has it, and how it becomes an hourly value.

    `how` is explained in sql/usage/samples/series_day.sql; `scale` takes the exporter's unit
    (seconds, for what stands: value-seconds) to ours; `identity` are the labels that tell one
    object from another, all of them where empty; `only` are (label, must match, pattern).
    """

    series: str
    metric: str
    how: str
    scale: float
    identity: tuple[str, ...]
    only: tuple[tuple[str, bool, str], ...] = ()

    def promql(self, match: Mapping[str, str]) -> str:
        """The same question for a Prometheus server, for the hour that ends at the full hour.

        `match` are labels that every series must have with that value.

        `offset 1ms` leaves an instant to the hour it starts. The ranges of the outer subqueries
        are cut short so that servers that count the left end of a range (before 3.0) and those
        that do not see the same points.
        """
        wanted = [f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(match.items())]
        wanted += [f'{k}{"=~" if m else "!~"}"{p}"' for k, m, p in self.only]
        conditions = ",".join(wanted)
        name = f"{self.metric}{{{conditions}}}" if conditions else self.metric
        best = f"max by ({','.join(self.identity)}) " if self.identity else ""
        now = f"last_over_time({name}[5m] offset 1ms)"
        before = f"last_over_time({name}[%s] offset 5m1ms)"
        rise = f"(({now} - {before}) >= 0 or ({now} < {before}) + 0)"
        shape = {
            "standing": f"60 * sum_over_time(({best}({name} offset 1ms >= 0))[59m30s:1m])",
            "rise": f"sum_over_time(({best}{rise.replace('%s', '1h')})[59m:5m])",
            "peak": f"max_over_time(({best}{rise.replace('%s', '5m')})[59m:5m]) / 300",
            "largest": f"{best}(max_over_time({name}[1h] offset 1ms))",
            "last": f"{best}(last_over_time({name}[1h] offset 1ms))",
        }[self.how]
        return shape if self.scale == 1 else f"{self.scale:g} * {shape}"


def _resource(name: str) -> tuple[tuple[str, bool, str], ...]:
    return (("resource", True, name),)


_CPU_SECONDS = "container_cpu_usage_seconds_total"
_REQUESTS = "kube_pod_container_resource_requests"
_LIMITS = "kube_pod_container_resource_limits"
_CAPACITY = "kube_node_status_capacity"
_ALLOCATABLE = "kube_node_status_allocatable"
_POD_CLAIM = "kube_pod_spec_volumes_persistentvolumeclaims_info"
_OOM = "kube_pod_container_status_last_terminated_reason"

# fmt: off
MEASURES: tuple[Measure, ...] = (
    # cAdvisor, in the kubelet
    Measure("cpu_usage", _CPU_SECONDS, "rise", 1000, (*_CGROUP, "cpu"), _REAL),
    Measure("cpu_peak", _CPU_SECONDS, "peak", 1000, (*_CGROUP, "cpu"), _REAL),
    Measure("cpu_periods", "container_cpu_cfs_periods_total", "rise", 1, _CGROUP, _REAL),
    Measure("cpu_throttled_periods", "container_cpu_cfs_throttled_periods_total", "rise", 1,
            _CGROUP, _REAL),
    Measure("memory_usage", "container_memory_working_set_bytes", "standing", 1, _CGROUP, _REAL),
    Measure("memory_peak", "container_memory_working_set_bytes", "largest", 1, _CGROUP, _REAL),
    Measure("oom_events", "container_oom_events_total", "rise", 1, _CGROUP, _REAL),
    Measure("network_sent", "container_network_transmit_bytes_total", "rise", 1, _INTERFACE,
            _OF_POD),
    Measure("network_received", "container_network_receive_bytes_total", "rise", 1, _INTERFACE,
            _OF_POD),
    # kube-state-metrics
    Measure("cpu_request", _REQUESTS, "standing", 1000, _CONTAINER, _resource("cpu")),
    Measure("memory_request", _REQUESTS, "standing", 1, _CONTAINER, _resource("memory")),
    Measure("gpu_request", _REQUESTS, "standing", 1000,
            (*_CONTAINER, "resource"), _resource(_GPUS)),
    Measure("cpu_limit", _LIMITS, "largest", 1000, _CONTAINER, _resource("cpu")),
    Measure("memory_limit", _LIMITS, "largest", 1, _CONTAINER, _resource("memory")),
    Measure("container_restarts", "kube_pod_container_status_restarts_total", "rise", 1,
            _CONTAINER),
    Measure("oom_reason", _OOM, "last", 1, _CONTAINER, (("reason", True, "OOMKilled"),)),
    Measure("pod_running", "kube_pod_info", "standing", 1000, (*_POD, "node")),
    Measure("pod_active", "kube_pod_status_phase", "standing", 1000,
            _POD, (("phase", True, "Running"),)),
    Measure("pod_host_network", "kube_pod_info", "standing", 1000,
            _POD, (("host_network", True, "true"),)),
    Measure("pod_labels", "kube_pod_labels", "standing", 1000, _ALL),
    Measure("pod_owner", "kube_pod_owner", "standing", 1000, (*_POD, "owner_kind", "owner_name")),
    Measure("replicaset_owner", "kube_replicaset_owner", "standing", 1000, (*_OWNER, "replicaset")),
    Measure("job_owner", "kube_job_owner", "standing", 1000, (*_OWNER, "job_name")),
    Measure("node_running", "kube_node_info", "standing", 1000, (*_NODE, "provider_id")),
    Measure("node_labels", "kube_node_labels", "standing", 1000, _ALL),
    Measure("node_cpu_capacity", _CAPACITY, "standing", 1000, _NODE, _resource("cpu")),
    Measure("node_memory_capacity", _CAPACITY, "standing", 1, _NODE, _resource("memory")),
    Measure("node_gpu_capacity", _CAPACITY, "standing", 1000,
            (*_NODE, "resource"), _resource(_GPUS)),
    Measure("node_cpu_allocatable", _ALLOCATABLE, "standing", 1000, _NODE, _resource("cpu")),
    Measure("node_memory_allocatable", _ALLOCATABLE, "standing", 1, _NODE, _resource("memory")),
    Measure("deployment_replicas", "kube_deployment_spec_replicas", "last", 1,
            ("namespace", "exported_namespace", "deployment")),
    Measure("statefulset_replicas", "kube_statefulset_replicas", "last", 1,
            ("namespace", "exported_namespace", "statefulset")),
    Measure("volume_running", "kube_persistentvolume_info", "standing", 1000,
            ("persistentvolume", *_HANDLES)),
    Measure("volume_capacity", "kube_persistentvolume_capacity_bytes", "largest", 1,
            ("persistentvolume",)),
    Measure("volume_claim", "kube_persistentvolume_claim_ref", "standing", 1000,
            ("persistentvolume", "claim_namespace", "name")),
    Measure("claim_bound", "kube_persistentvolumeclaim_info", "standing", 1000,
            (*_CLAIM, "volumename")),
    Measure("claim_labels", "kube_persistentvolumeclaim_labels", "standing", 1000, _ALL),
    # of all pods together: pods that have it at the same time count once
    Measure("claim_mounted", _POD_CLAIM, "standing", 1000, _CLAIM),
    Measure("claim_pod", _POD_CLAIM, "standing", 1000, (*_POD, "persistentvolumeclaim")),
    Measure("service_address", "kube_service_status_load_balancer_ingress", "standing", 1000,
            (*_SERVICE, "hostname", "ip")),
    Measure("service_labels", "kube_service_labels", "standing", 1000, _ALL),
    # NVIDIA's DCGM exporter: a ratio of 0 to 1, a percentage, and mebibytes
    Measure("gpu_engine_active", "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "standing", 1000, _GPU),
    Measure("gpu_utilisation", "DCGM_FI_DEV_GPU_UTIL", "standing", 10, _GPU),
    Measure("gpu_memory_peak", "DCGM_FI_DEV_FB_USED", "largest", 1048576, _GPU),
    # vLLM, whose counters have the ending of Prometheus's client; times are sums over requests
    Measure("serving_requests", "vllm:request_success_total", "rise", 1, _ENGINE, _ANSWERED),
    Measure("serving_failures", "vllm:request_success_total", "rise", 1, _ENGINE, _FAILED),
    Measure("serving_input_tokens", "vllm:prompt_tokens_total", "rise", 1, _ENGINE),
    Measure("serving_cached_tokens", "vllm:prefix_cache_hits_total", "rise", 1, _ENGINE),
    Measure("serving_output_tokens", "vllm:generation_tokens_total", "rise", 1, _ENGINE),
    Measure("serving_prefill", "vllm:request_prefill_time_seconds_sum", "rise", 1000, _ENGINE),
    Measure("serving_decode", "vllm:request_decode_time_seconds_sum", "rise", 1000, _ENGINE),
    # NVIDIA's Triton: times are microseconds
    Measure("serving_requests", "nv_inference_request_success", "rise", 1, _ENGINE),
    Measure("serving_failures", "nv_inference_request_failure", "rise", 1, _ENGINE),
    Measure("serving_inferences", "nv_inference_count", "rise", 1, _ENGINE),
    Measure("serving_compute", "nv_inference_compute_infer_duration_us", "rise", 0.001, _ENGINE),
)
# fmt: on

# ------------------------------------------------------------------------------- a day of metrics


def read_metrics(
    connection: duckdb.DuckDBPyConnection,
    block: MetricsSection,
    day: date,
    files: Sequence[NamedFile],
    into: Path,
    root: Path = Path(),
) -> None:
    """Write `metric_hour.parquet` and `unread_usage.parquet` of one UTC day into `into`.

    `files` are the day's files of samples, none for a server; files of the day before may be
    among them, so that what stood at midnight is known. Certificates are named from `root` on.
    Errors: `UnreadableFile` names the file; those of `transports.prometheus`.
    """
    bound = {"day": day.isoformat(), "source": block.name}
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        staged = Path(scratch)
        if block.kind == "prometheus":
            with _ASKING:
                _ask_server(block, day, root, staged / "series_day.parquet")
            _refuse_nothing(connection)
        else:
            if block.kind == "openmetrics":
                _stage_openmetrics(connection, files, staged / "sample.parquet", block.match)
            else:
                _bind_samples(connection, files)
            _bind_measures(connection, block.match)
            with _blaming(connection, files if block.kind == "parquet" else ()):
                copy(
                    connection,
                    queries.query("usage/samples/series_day").text,
                    staged / "series_day.parquet",
                    {"day": bound["day"]},
                )
        _view(connection, "series_day", staged / "series_day.parquet")
        # in files, for their rows have an order; in small groups, for each is one thread's
        objects = staged / "object_day.parquet"
        copy(connection, queries.query("usage/samples/object_day").text, objects, group_rows=10_240)
        _view(connection, "object_day", objects, _of_few(connection, objects))
        same = {"x_Day": bound["day"], "x_Source": block.name, "x_Cluster": block.cluster}
        copy(
            connection,
            _of_one(queries.query("usage/metric_hour").text, same),
            into / "metric_hour.parquet",
            {**bound, "cluster": block.cluster},
        )
        copy(
            connection,
            queries.query("usage/unread_usage").text,
            into / "unread_usage.parquet",
            bound,
        )


def fingerprint(block: MetricsSection, day: date, now: datetime | None = None) -> str | None:
    """What decides whether a server is asked for a day again; None for a day still to come.

    A day is settled once the one after it is over, in UTC: asked once, then left alone. The
    running day and yesterday, whose last samples may come late, are asked each time.
    """
    at = now or datetime.now(UTC).replace(tzinfo=None)
    if day > at.date():
        return None
    # How we get in is none of what is asked; nor is a key that is not set, for a server may have
    # forgotten a day that would be asked again because there is a new key.
    asked = {
        key: value
        for key, value in block.model_dump(exclude=HOW_TO_GET_IN).items()
        if key not in ("match", "headers_env") or value
    }
    settled = day < at.date() - timedelta(days=1)
    return digest(asked, day.isoformat(), metrics_digest(), "" if settled else at.isoformat())


def metrics_digest() -> str:
    """Changes when metrics would be read otherwise."""
    samples = (f"samples/{s}" for s in queries.stems("usage/samples"))
    stems = ("metric_hour", "unread_usage", *samples)
    asked = [m.promql({}) for m in MEASURES]
    return digest([queries.query(f"usage/{s}").digest for s in stems], asked)


def calls_digest(dialect: str) -> str:
    """Changes when logs of this dialect would be read otherwise."""
    spans = [f"spans/{dialect}"] if dialect in queries.stems("usage/spans") else []
    stems = ("inference_usage", "unread_usage", f"calls/{dialect}", *spans)
    return digest([queries.query(f"usage/{s}").digest for s in stems])


def invocations_digest(dialect: str, owner: OwnerSection) -> str:
    """Changes when logs of this dialect would be read otherwise."""
    stems = ("invocation_usage", "unread_usage", f"invocations/{dialect}", "served/inference_usage")
    return digest([queries.query(f"usage/{s}").digest for s in stems], owner.model_dump())


def _access(block: MetricsSection, root: Path) -> Access:
    """Who we are to the server of a block; secrets are in the environment, and only there."""
    from .transports.prometheus import Access

    def secret(variable: str | None) -> str | None:
        if variable is None:
            return None
        value = os.environ.get(variable)
        if not value:
            raise ConfigError(f"metrics {block.name!r}: the variable {variable} is not set")
        return value

    if (block.user_env is None) != (block.password_env is None) or (
        block.token_env is not None and block.user_env is not None
    ):
        raise ConfigError(
            f"metrics {block.name!r}: name a token, or a user and a password, not half of both"
        )

    def path(name: str | None) -> Path | None:
        return None if name is None else root / name

    return Access(
        secret(block.token_env),
        secret(block.user_env),
        secret(block.password_env),
        {header: secret(variable) or "" for header, variable in block.headers_env.items()},
        path(block.ca_file),
        path(block.cert_file),
        path(block.key_file),
    )


def _ask_server(block: MetricsSection, day: date, root: Path, to: Path) -> None:
    """The hourly value of every measure of a day, from the server, as Parquet."""
    import pyarrow.parquet as pq

    from .transports.prometheus import Prometheus

    assert block.url is not None
    hour = timedelta(hours=1)
    begin = datetime.combine(day, time())
    with (
        Prometheus(block.url, _access(block, root), block.timeout_seconds) as server,
        pq.ParquetWriter(to, _series_day()) as writer,
        # an error must not leave two requests running
        contextlib.closing(
            server.hourly(
                (m.promql(block.match) for m in MEASURES), begin + hour, begin + 24 * hour
            )
        ) as answers,
    ):
        for measure, found in zip(MEASURES, answers, strict=True):
            writer.write_table(_table(measure.series, found))


def _series_day() -> pa.Schema:
    """What sql/usage/samples/series_day.sql returns, too."""
    import pyarrow as pa

    hour = pa.struct([("x_HourStart", pa.timestamp("us")), ("value", pa.float64())])
    return pa.schema(
        [
            ("x_Series", pa.string()),
            ("labels", pa.map_(pa.string(), pa.string())),
            ("hours", pa.list_(hour)),
        ]
    )


def _table(series: str, found: list[Answer]) -> pa.Table:
    """Answers as rows, in an order that does not hang on the server's.

    An answer is for the hour that ends at its time.
    """
    import pyarrow as pa

    hour = timedelta(hours=1)
    found = sorted(found, key=lambda a: sorted(a.labels.items()))
    columns = [
        [series] * len(found),
        [sorted(a.labels.items()) for a in found],
        [[(at - hour, value) for at, value in a.points] for a in found],
    ]
    schema = _series_day()
    arrays = [pa.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _bind_measures(connection: duckdb.DuckDBPyConnection, match: Mapping[str, str]) -> None:
    """`MEASURES` as tables: metric_query, and its metric_identity and metric_matcher.

    `match` are labels that every series must have with that value.
    """
    everywhere = [(label, True, re.escape(value)) for label, value in sorted(match.items())]
    asked, identities, matchers = [], [], []
    for number, m in enumerate(MEASURES):
        asked.append((number, m.series, m.metric, m.how, m.scale))
        identities += [(number, label) for label in m.identity]
        matchers += [(number, *condition) for condition in (*m.only, *everywhere)]
    for table, columns, rows in (
        ("metric_query", "query_id, x_Series, metric, how, scale", asked),
        ("metric_identity", "query_id, label", identities),
        ("metric_matcher", "query_id, label, must_match, pattern", matchers),
    ):
        listed = ", ".join(f"({', '.join(_constant(v) for v in row)})" for row in rows)
        connection.execute(
            f"create or replace temp table {table} as from (values {listed}) as t ({columns})"
        )


def _constant(value: object) -> str:
    return literal(value) if isinstance(value, str) else str(value)


def _stage_openmetrics(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[NamedFile],
    to: Path,
    match: Mapping[str, str],
) -> None:
    """Bind metric_sample and refused_line to the lines of OpenMetrics files."""
    _bind_measures(connection, match)
    lines = _Lines(files, must_end_with=b"# EOF")
    lines.stage(connection, "raw_line", queries.query("usage/samples/openmetrics").text, to)
    columns = "metric, labels, time, value"
    _view(connection, "metric_sample", to, columns, "x_Reason is null")
    _view(
        connection, "refused_line", to, "x_SourceFile, x_SourceRow, x_Reason, x_RawRow",
        "x_Reason is not null",
    )  # fmt: skip


def _bind_samples(connection: duckdb.DuckDBPyConnection, files: Sequence[NamedFile]) -> None:
    """Bind metric_sample and refused_line to Parquet files of samples."""
    wanted = {
        "metric": ("VARCHAR",),
        "labels": ("MAP(VARCHAR, VARCHAR)",),
        "time": ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"),
        "value": ("DOUBLE", "FLOAT", "BIGINT", "INTEGER"),
    }
    types = ("varchar", "map(varchar, varchar)", "timestamp", "double")
    for name, path in files:
        found = _parquet_columns(connection, name, path)
        for column, kinds in wanted.items():
            _expect(name, found, column, kinds)
    listed = ", ".join(f"cast({c} as {t}) as {c}" for c, t in zip(wanted, types, strict=True))
    nothing = ", ".join(f"cast(null as {t}) as {c}" for c, t in zip(wanted, types, strict=True))
    _union(connection, "raw_sample", [_rows_of(n, p, listed) for n, p in files], nothing)
    text = queries.query("usage/samples/parquet").text
    connection.execute(f"create or replace temp view read_sample as {text}")
    connection.execute(
        "create or replace temp view metric_sample as "
        "select metric, labels, time, value from read_sample where x_Reason is null"
    )
    connection.execute(
        "create or replace temp view refused_line as select x_SourceFile, x_SourceRow, "
        "x_Reason, x_RawRow from read_sample where x_Reason is not null"
    )


# --------------------------------------------------------------------------- a day of inference


def read_calls(
    connection: duckdb.DuckDBPyConnection,
    block: InferenceSection,
    day: date,
    files: Sequence[NamedFile],
    into: Path,
    clusters: Collection[str] = (),
) -> None:
    """Write `inference_usage.parquet` and `unread_usage.parquet` of one day's logs into `into`.

    The day is that of the files; a call just before or after midnight keeps its own hour. A call
    is of the cluster it names, if that is one of `clusters`, else of that of the block, if any.
    Of a refused line nothing is kept but its place. Errors: `UnreadableFile` names the file.
    """
    dialect = queries.query(f"usage/calls/{block.dialect}").text
    bound = {"day": day.isoformat()}
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        if block.dialect == "calls":
            _bind_calls(connection, files)
            connection.execute(f"create or replace temp view read_call as {dialect}")
        else:
            staged = Path(scratch) / "call.parquet"
            if block.dialect in queries.stems("usage/spans"):
                spans = Path(scratch) / "span.parquet"
                text = queries.query(f"usage/spans/{block.dialect}").text
                _Lines(files).stage(connection, "raw_log", text, spans)
                _view(connection, "span", spans)
                copy(connection, dialect, staged)
            else:
                _Lines(files).stage(connection, "raw_log", dialect, staged)
            _view(connection, "read_call", staged)
        cluster = _cluster_of_a_call(block.cluster, clusters)
        columns = ", ".join(
            f"{cluster} as x_Cluster" if c == "x_Cluster" else c for c in _columns(INFERENCE_CALL)
        )
        connection.execute(
            "create or replace temp view inference_call as "
            f"select {columns}, {literal(block.name)} as x_Source, "
            f"{literal(bound['day'])} as x_Day from read_call where x_Reason is null"
        )
        connection.execute(
            "create or replace temp view refused_line as select x_SourceFile, x_SourceRow, "
            "x_Reason, '(not kept: it may hold a prompt)' as x_RawRow "
            "from read_call where x_Reason is not null"
        )
        with _blaming(connection, files if block.dialect == "calls" else ()):
            same = {"x_Day": bound["day"], "x_Source": block.name}
            copy(
                connection,
                _of_one(queries.query("usage/inference_usage").text, same),
                into / "inference_usage.parquet",
                bound,
            )
            copy(
                connection,
                queries.query("usage/unread_usage").text,
                into / "unread_usage.parquet",
                {**bound, "source": block.name},
            )


def _cluster_of_a_call(of_block: str | None, clusters: Collection[str]) -> str:
    """What a log calls a cluster need not be what we call it: only a name we know counts."""
    named = {*clusters} if of_block is None else {*clusters, of_block}
    if not named:
        return "cast(null as varchar)"
    known = ", ".join(literal(c) for c in sorted(clusters))
    told = f"case when x_Cluster in ({known}) then x_Cluster end" if clusters else "null"
    else_of_block = "null" if of_block is None else literal(of_block)
    kind = ", ".join(literal(c) for c in sorted(named))  # an enum, as in `_of_one`
    return f"cast(coalesce({told}, {else_of_block}) as enum({kind}))"


def _columns(words: str) -> tuple[str, ...]:
    return tuple(c.rstrip("?") for c in words.split())


def _bind_calls(connection: duckdb.DuckDBPyConnection, files: Sequence[NamedFile]) -> None:
    """Bind raw_log to Parquet files with the columns of a call; optional ones may be absent."""
    kinds = {
        "VARCHAR": ("VARCHAR",),
        "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"),
        "BIGINT": ("BIGINT", "INTEGER", "SMALLINT", "UINTEGER", "USMALLINT", "UTINYINT", "TINYINT"),
    }
    selects = []
    for name, path in files:
        found = _parquet_columns(connection, name, path)
        columns = []
        for word in INFERENCE_CALL.split():
            column = word.rstrip("?")
            kind = FIELDS[column].type
            if word.endswith("?") and column not in found:
                columns.append(f"cast(null as {kind}) as {column}")
                continue
            _expect(name, found, column, kinds[kind])
            columns.append(f"cast({column} as {kind}) as {column}")
        selects.append(_rows_of(name, path, ", ".join(columns)))
    nothing = ", ".join(f"cast(null as {FIELDS[c].type}) as {c}" for c in _columns(INFERENCE_CALL))
    _union(connection, "raw_log", selects, nothing)


# ------------------------------------------------------------------------- a day of invocations

POD_DIALECTS = frozenset({"knative"})
"""Dialects whose functions are pods of a cluster: their requests are calls of those pods, too."""


def read_invocations(
    connection: duckdb.DuckDBPyConnection,
    block: InvocationSection,
    day: date,
    files: Sequence[NamedFile],
    into: Path,
) -> None:
    """Write `invocation_usage.parquet` and `unread_usage.parquet` of one day's logs into `into`.

    The connection knows `owner_key`. Of the dialects in `POD_DIALECTS`, `inference_usage.parquet`
    as well. The day is that of the files; an invocation just before or after midnight keeps its own
    hour. Of a refused line nothing is kept but its place. Errors: `UnreadableFile` names the file.
    """
    dialect = queries.query(f"usage/invocations/{block.dialect}")
    given: dict[str, Scalar | None] = {
        "resource": block.resource or "",
        "memory_mib": block.memory_mib,
        "vcpu_millis": None if block.vcpu is None else int(block.vcpu * 1000),
    }
    bound = {"day": day.isoformat()}
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        staged = Path(scratch) / "invocation.parquet"
        asked = {k: v for k, v in given.items() if k in dialect.parameters}
        _Lines(files).stage(connection, "raw_log", dialect.text, staged, asked)
        listed = ", ".join((*_columns(INVOCATION), "x_SourceFile", "x_SourceRow"))
        connection.execute(
            "create or replace temp view invocation as "
            f"select {listed}, {literal(block.name)} as x_Source "
            f"from read_parquet({literal(staged)}) where x_Reason is null"
        )
        connection.execute(
            "create or replace temp view refused_line as select x_SourceFile, x_SourceRow, "
            "x_Reason, '(not kept: it may hold what a caller sent)' as x_RawRow "
            f"from read_parquet({literal(staged)}) where x_Reason is not null"
        )
        usage = into / "invocation_usage.parquet"
        copy(connection, queries.query("usage/invocation_usage").text, usage, bound)
        copy(
            connection,
            queries.query("usage/unread_usage").text,
            into / "unread_usage.parquet",
            {**bound, "source": block.name},
        )
        if block.dialect in POD_DIALECTS:
            _view(connection, "invocation_usage", usage)
            text = queries.query("usage/served/inference_usage").text
            copy(connection, text, into / "inference_usage.parquet", {"cluster": block.cluster})


# ----------------------------------------------------------------------------- carrying of files


class _Lines:
    """The lines of text files, plain or gzip, as a stream of rows for one SQL statement.

    Rows are (x_SourceFile, x_SourceRow from 1, line without its end). Bytes that are not UTF-8
    become U+FFFD. With `must_end_with`, a file whose last line is another one was cut off.
    """

    def __init__(self, files: Sequence[NamedFile], must_end_with: bytes | None = None) -> None:
        self.files = files
        self.must_end_with = must_end_with
        self.failure: Exception | None = None

    def stage(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        select: str,
        to: Path,
        parameters: Mapping[str, Scalar | None] | None = None,
    ) -> None:
        """Run a SELECT over the lines, bound as `name`, into a Parquet file."""
        import pyarrow as pa

        schema = pa.schema(
            [("x_SourceFile", pa.string()), ("x_SourceRow", pa.int64()), ("line", pa.string())]
        )
        stream = pa.RecordBatchReader.from_batches(schema, self._batches(schema))
        connection.execute(f"drop view if exists {identifier(name)}")
        connection.register(name, stream)
        try:
            copy(connection, select, to, parameters)
        except duckdb.Error:
            if self.failure is None:
                raise
        finally:
            connection.unregister(name)
        if self.failure is not None:
            raise self.failure

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for name, path in self.files:
            try:
                number, last = 0, b""
                with _open(path) as file:
                    while lines := file.readlines(1 << 23):
                        last = next((n for n in reversed(lines) if n.strip()), last)
                        texts = [n.rstrip(b"\r\n").decode("utf-8", "replace") for n in lines]
                        yield pa.record_batch(
                            [
                                pa.array([name] * len(texts), pa.string()),
                                pa.array(range(number + 1, number + 1 + len(texts)), pa.int64()),
                                pa.array(texts, pa.string()),
                            ],
                            schema=schema,
                        )
                        number += len(texts)
                if self.must_end_with is not None and last.strip() != self.must_end_with:
                    raise UnreadableFile(
                        f"{name}: does not end with {self.must_end_with.decode()!r}, so it was cut "
                        "off; deliver it again"
                    )
            except UnreadableFile as error:
                self.failure = error
                return
            except (OSError, EOFError, zlib.error) as error:
                self.failure = UnreadableFile(f"{name}: cannot be read: {error}; deliver it again")
                return


def _open(path: Path) -> BinaryIO:
    # by content: a delivery may be compressed under any name
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb")


def _parquet_columns(
    connection: duckdb.DuckDBPyConnection, name: str, path: Path
) -> dict[str, str]:
    """Column names and types of a Parquet file, from its footer."""
    try:
        rows: list[Any] = connection.execute(
            f"describe select * from read_parquet({literal(path)}, hive_partitioning = false)"
        ).fetchall()
    except duckdb.Error as error:
        raise UnreadableFile(
            f"{name}: not a whole Parquet file ({_first_line(error)}); deliver it again"
        ) from error
    return {str(r[0]): str(r[1]) for r in rows}


def _expect(name: str, found: dict[str, str], column: str, kinds: Sequence[str]) -> None:
    if column not in found:
        raise UnreadableFile(f"{name}: has no column {column}; it has {', '.join(sorted(found))}")
    if found[column] not in kinds:
        raise UnreadableFile(f"{name}: column {column} is {found[column]}, not {kinds[0]}")


def _rows_of(name: str, path: Path, columns: str) -> str:
    return (
        f"select {literal(name)} as x_SourceFile, file_row_number + 1 as x_SourceRow, {columns} "
        f"from read_parquet({literal(path)}, hive_partitioning = false, file_row_number = true)"
    )


def _union(
    connection: duckdb.DuckDBPyConnection, view: str, selects: Sequence[str], nothing: str
) -> None:
    none = f"select '' as x_SourceFile, 0::bigint as x_SourceRow, {nothing} where false"
    body = "\nunion all ".join(selects) or none
    connection.execute(f"create or replace temp view {identifier(view)} as {body}")


def _view(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    path: Path,
    columns: str = "*",
    where: str = "true",
) -> None:
    connection.execute(
        f"create or replace temp view {identifier(view)} as select {columns} "
        f"from read_parquet({literal(path)}) where {where}"
    )


def _of_one(select: str, same: Mapping[str, str]) -> str:
    """A SELECT with columns that have one text in all rows, written as enums.

    An enum is text in the file, too, and is written in a tenth of the time: nobody looks in every
    row whether the text is a new one. Not for columns of a few texts: each row group would say that
    it has them all, and whoever filters could skip none.
    """
    typed = ", ".join(
        f"cast({column} as enum({literal(text)})) as {column}" for column, text in same.items()
    )
    return f"select * replace ({typed}) from (\n{select}\n) as made"


def _of_few(connection: duckdb.DuckDBPyConnection, objects: Path) -> str:
    """The columns of object_day, those that tell objects apart as enums where they have few texts.

    What is cast here, once an object, is written for each of its hours: see `_of_one`. Each row
    group says all texts of an enum, so of very many the file would grow.
    """
    names = ("x_Namespace", "x_Pod", "x_PodUid", "x_Container", "x_Node")
    counts = ", ".join(f"count(distinct {name})" for name in names)
    source = f"read_parquet({literal(objects)})"
    found = connection.execute(f"select {counts} from {source}").fetchall()[0]
    casts = []
    for name, texts in zip(names, found, strict=True):
        if 0 < texts <= FEW_TEXTS:
            connection.execute(
                f"create or replace temp type few_{name} as enum "
                f"(select distinct {name} from {source} where {name} is not null order by all)"
            )
            casts.append(f"cast({name} as few_{name}) as {name}")
    return f"* replace ({', '.join(casts)})" if casts else "*"


def _refuse_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    """A server has no lines to refuse."""
    connection.execute(
        "create or replace temp view refused_line as select '' as x_SourceFile, "
        "1::bigint as x_SourceRow, '' as x_Reason, '' as x_RawRow where false"
    )


@contextlib.contextmanager
def _blaming(connection: duckdb.DuckDBPyConnection, files: Sequence[NamedFile]) -> Iterator[None]:
    """Turn a failing scan into an error that names the file that cannot be read to its end."""
    try:
        yield
    except duckdb.Error as failure:
        for name, path in files:
            try:
                columns = _parquet_columns(connection, name, path)
                each = ", ".join(f"max(hash({identifier(c)}))" for c in columns)
                connection.execute(f"select {each} from read_parquet({literal(path)})").fetchall()
            except duckdb.Error as error:
                raise UnreadableFile(
                    f"{name}: damaged ({_first_line(error)}); deliver it again"
                ) from failure
        raise


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
