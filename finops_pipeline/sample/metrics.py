"""Kubernetes metrics as a Prometheus has them, as Parquet and as OpenMetrics text.

What belongs here: the series of kube-state-metrics, cAdvisor, the DCGM exporter and vLLM for what
`company` runs, sampled at a fixed interval. Counters are kept in integers and divided at the
end, so every sample is the double nearest to a short decimal. GPU activity of an endpoint that
logs GPU time is what its calls say; the other endpoints follow the day.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from .bill import arn
from .company import (
    CLUSTER,
    ENDPOINTS,
    EPOCH,
    IDLE_ENDPOINT,
    PROD,
    QUIET,
    REGION,
    TRAFFIC,
    VOLUMES,
    WORKLOADS,
    Node,
    Period,
    Workload,
    busy,
    each,
    guid,
    ident,
    nodes,
    noise,
)
from .inference import Tally

GIB, MIB = 1 << 30, 1 << 20
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""Letters that Kubernetes makes up names with."""

_NOISE = tuple(noise(1, 1, n) for n in range(4096))


def _suffix(size: int, *parts: object) -> str:
    digits = ident(0, *parts, size=size * 2)
    return "".join(_SAFE[int(digits[2 * n : 2 * n + 2], 16) % len(_SAFE)] for n in range(size))


@dataclass(frozen=True)
class Pod:
    """A pod's life. `end` is exclusive."""

    workload: Workload
    name: str
    uid: str
    node: Node
    begin: datetime
    end: datetime
    owner: tuple[str, str]
    place: int


@dataclass
class Series:
    """A series: `value` gives its sample at a time, or is the one value it always has.

    A counter's `value` gives what it rose by since the sample before.
    """

    metric: str
    labels: dict[str, str]
    begin: datetime
    end: datetime
    value: float | Callable[[datetime, int], float]
    counter: bool = False
    divisor: int = 1
    total: int = 0
    started: bool = field(default=False)


def pods(period: Period) -> list[Pod]:
    """Every pod that lives in the period."""
    machines = {(n.key, n.copy): n for n in nodes(period)}
    found: list[Pod] = []

    def add(
        w: Workload, name: str, node: Node, begin: datetime, end: datetime, owner: tuple[str, str]
    ) -> None:
        begin, end = max(begin, period.begin), min(end, period.end)
        if begin < end:
            uid = guid(period.seed, "pod", w.namespace, name, begin)
            found.append(Pod(w, name, uid, node, begin, end, owner, int(uid[:8], 16) & 4095))

    for w in WORKLOADS:
        key = (period.seed, w.namespace, w.name)
        if w.kind == "DaemonSet":
            for node in machines.values():
                name = f"{w.name}-{_suffix(5, *key, node.key, node.copy)}"
                add(
                    w,
                    name,
                    node,
                    node.begin or period.begin,
                    node.end or period.end,
                    (w.kind, w.name),
                )
            continue
        if w.kind == "CronJob":
            for day in period.day_list():
                begin = datetime(day.year, day.month, day.day, 2)
                end = begin + timedelta(minutes=80 + noise(period.seed, 3, day.toordinal()) % 20)
                job = f"{w.name}-{(begin - EPOCH) // timedelta(minutes=1)}"
                for copy in range(period.scale):
                    node = _alive(machines, w.nodes[0], copy, begin)
                    own = job if copy == 0 else f"{job[:-1]}{copy % 10}"
                    add(w, f"{own}-{_suffix(5, *key, day, copy)}", node, begin, end, ("Job", own))
            continue
        base = w.running(1)
        replica_set = f"{w.name}-{_suffix(9, *key, 'template')}"
        for n in range(base * period.scale):
            node = machines[w.nodes[n % base % len(w.nodes)], n // base]
            if w.kind == "StatefulSet":
                # The same name twice: it was restarted, the second pod has a UID of its own.
                restart = period.begin + timedelta(
                    days=min(9, period.days - 1), hours=11, minutes=5
                )
                add(w, f"{w.name}-{n}", node, period.begin, restart, (w.kind, w.name))
                add(
                    w,
                    f"{w.name}-{n}",
                    node,
                    restart + timedelta(minutes=2),
                    period.end,
                    (w.kind, w.name),
                )
            else:
                name = f"{replica_set}-{_suffix(5, *key, n)}"
                add(w, name, node, period.begin, period.end, ("ReplicaSet", replica_set))
        if w.name == "moderation-api":
            for day in period.day_list():
                begin = datetime(day.year, day.month, day.day, 8)
                for n in range(_surge(begin) * period.scale):
                    name = f"{replica_set}-{_suffix(5, *key, day, n)}"
                    node = machines[w.nodes[n % len(w.nodes)], n % period.scale]
                    add(
                        w,
                        name,
                        node,
                        begin,
                        begin + timedelta(hours=10),
                        ("ReplicaSet", replica_set),
                    )
    return found


def _surge(time: datetime) -> int:
    """Pods the HPA adds to moderation-api from eight to eighteen o'clock on weekdays."""
    return 2 if time.weekday() < 5 and 8 <= time.hour < 18 else 0


def _alive(machines: dict[tuple[str, int], Node], key: str, copy: int, time: datetime) -> Node:
    node = machines[key, copy]
    return machines[f"{key}2", copy] if node.end and node.end <= time + timedelta(hours=2) else node


def series(period: Period, tally: Tally, sample_minutes: int) -> list[Series]:
    """Every series, those of one metric next to each other."""
    found: list[Series] = []
    everyone = pods(period)
    seconds = sample_minutes * 60
    for pod in everyone:
        found += _pod_series(pod, seconds, period)
        if pod.workload.gpus:
            found += _gpu_series(pod, tally, period, everyone)
            found += _engine_series(pod, tally, everyone, sample_minutes)
    for node in nodes(period):
        found += _node_series(node, period)
    found += _workload_series(period, everyone)
    found += _volume_series(period, everyone)
    found += _service_series(period)
    found.sort(key=lambda s: s.metric)
    return found


KSM = {"job": "kube-state-metrics", "instance": "10.0.41.7:8080"}


def _pod_series(pod: Pod, seconds: int, period: Period) -> list[Series]:
    w, host = pod.workload, pod.node.hostname(period.seed)
    who = {**KSM, "namespace": w.namespace, "pod": pod.name, "uid": pod.uid}
    box = {**who, "container": w.container}
    begin, end = pod.begin, pod.end

    def gauge(
        metric: str, labels: dict[str, str], value: float | Callable[[datetime, int], float]
    ) -> Series:
        return Series(metric, labels, begin, end, value)

    kind, name = pod.owner
    label_names = {
        "label_" + "".join(c if c.isalnum() else "_" for c in k): v for k, v in w.labels().items()
    }
    found = [
        gauge(
            "kube_pod_info",
            {
                **who,
                "node": host,
                "created_by_kind": kind,
                "created_by_name": name,
                "host_network": "true" if w.kind == "DaemonSet" else "false",
            },
            1.0,
        ),
        gauge(
            "kube_pod_owner",
            {**who, "owner_kind": kind, "owner_name": name, "owner_is_controller": "true"},
            1.0,
        ),
        gauge("kube_pod_labels", {**who, **label_names}, 1.0),
    ]
    for metric, cpu, memory in (
        ("kube_pod_container_resource_requests", w.cpu_request, w.memory_request),
        ("kube_pod_container_resource_limits", w.cpu_limit, w.memory_limit),
    ):
        on = {**box, "node": host}
        found.append(gauge(metric, {**on, "resource": "cpu", "unit": "core"}, cpu / 1000))
        found.append(
            gauge(metric, {**on, "resource": "memory", "unit": "byte"}, float(memory * MIB))
        )
        if w.gpus:
            found.append(
                gauge(
                    metric, {**on, "resource": "nvidia_com_gpu", "unit": "integer"}, float(w.gpus)
                )
            )
    kills: set[datetime] = set()
    if w.name == "summarise-worker":
        # Once a week at ten, between two scrapes: the working set never shows it.
        first = period.begin + timedelta(hours=10)
        kills = {first + timedelta(days=7 * n) for n in range(1 + period.days // 7)}
        reason = {**box, "reason": "OOMKilled"}
        found.append(
            Series("kube_pod_container_status_last_terminated_reason", reason, first, end, 1.0)
        )

    # cAdvisor, scraped through the kubelet. kube-prometheus keeps its pod-level CPU series.
    burstable = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable"
    slot = f"{burstable}-pod{pod.uid.replace('-', '_')}.slice"
    kubelet = {
        "job": "kubelet",
        "metrics_path": "/metrics/cadvisor",
        "node": host,
        "namespace": w.namespace,
        "pod": pod.name,
    }
    inner = {
        **kubelet,
        "container": w.container,
        "id": f"{slot}/cri-containerd-{ident(period.seed, pod.uid, size=16)}.scope",
    }
    flat = w.kind in ("CronJob", "DaemonSet") or w.name == "mistral-7b-legacy"
    place = pod.place

    def core_ms(time: datetime, step: int) -> int:
        # Two fifths of the use follow the day; what is left is there at any hour.
        shape = 1000 if flat else 600 + busy(time) * 2 // 5
        wobble = 950 + _NOISE[(place + step * 7) & 4095] // 10
        return min(w.cpu * shape * wobble // 1_000_000, w.cpu_limit) * seconds

    def working_set(_time: datetime, step: int) -> float:
        return float(
            (w.memory * MIB * (970 + _NOISE[(place * 3 + step) & 4095] * 60 // 1000) // 1000)
            & ~4095
        )

    sandbox = ident(period.seed, pod.uid, "sandbox", size=16)
    wire = {**kubelet, "id": f"{slot}/cri-containerd-{sandbox}.scope", "interface": "eth0"}
    sent, received = TRAFFIC.get(w.name, QUIET)

    def throttled(_time: datetime, _step: int) -> int:
        return 10 * seconds * w.throttled // 1000

    def counter(
        metric: str,
        labels: dict[str, str],
        rise: Callable[[datetime, int], float],
        divisor: int = 1,
    ) -> Series:
        return Series(metric, labels, begin, end, rise, True, divisor)

    return [
        *found,
        counter(
            "kube_pod_container_status_restarts_total", box, lambda time, _step: int(time in kills)
        ),
        counter("container_cpu_usage_seconds_total", inner, core_ms, 1000),
        counter("container_cpu_usage_seconds_total", {**kubelet, "id": slot}, core_ms, 1000),
        gauge("container_memory_working_set_bytes", inner, working_set),
        counter("container_cpu_cfs_periods_total", inner, lambda _time, _step: 10 * seconds),
        counter("container_cpu_cfs_throttled_periods_total", inner, throttled),
        counter(
            "container_network_transmit_bytes_total", wire, lambda _time, _step: sent * seconds
        ),
        counter(
            "container_network_receive_bytes_total", wire, lambda _time, _step: received * seconds
        ),
    ]


def _gpu_series(pod: Pod, tally: Tally, period: Period, everyone: list[Pod]) -> list[Series]:
    w, node = pod.workload, pod.node
    endpoint = f"{w.namespace}/{w.name}"
    capacity = w.running(period.scale) * w.gpus * 3_600_000
    logs = any(e == endpoint and ms for (e, _), ms in tally.gpu_ms.items())
    neighbours = [p for p in everyone if p.node == node and p.workload.gpus and p.place < pod.place]
    first = sum(p.workload.gpus for p in neighbours)
    mean = {"inference/code-llm": 410, "inference/embed-large": 330}.get(endpoint, 0)
    found = []
    for gpu in range(first, first + w.gpus):
        labels = {
            "job": "dcgm-exporter",
            "Hostname": node.hostname(period.seed),
            "gpu": str(gpu),
            "UUID": f"GPU-{guid(period.seed, 'gpu', node.key, node.copy, gpu)}",
            "device": f"nvidia{gpu}",
            "modelName": node.gpu_model,
            "DCGM_FI_DRIVER_VERSION": "570.124.06",
            "namespace": w.namespace,
            "pod": pod.name,
            "container": w.container,
        }

        def active(time: datetime, step: int, place: int = pod.place + gpu) -> float:
            if endpoint == IDLE_ENDPOINT:
                return 0.0
            if logs:
                hour = time.replace(minute=0, second=0, microsecond=0)
                return (
                    min(10_000, tally.gpu_ms.get((endpoint, hour), 0) * 10_000 // capacity) / 10_000
                )
            return (
                min(
                    990,
                    mean * busy(time) // 1000 * (950 + _NOISE[(place + step) & 4095] // 10) // 1000,
                )
                / 1000
            )

        used = float(36_000 + gpu * 16)  # MiB: the weights and the cache, whoever calls
        found += [
            Series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, pod.begin, pod.end, active),
            Series("DCGM_FI_DEV_FB_USED", labels, pod.begin, pod.end, used),
        ]
    return found


_COUNTERS: tuple[tuple[str, str, int, dict[str, str]], ...] = (
    ("vllm:request_success_total", "answered", 1, {"finished_reason": "stop"}),
    ("vllm:request_success_total", "failed", 1, {"finished_reason": "error"}),
    ("vllm:prompt_tokens_total", "input", 1, {}),
    ("vllm:prefix_cache_hits_total", "cached", 1, {}),
    ("vllm:generation_tokens_total", "output", 1, {}),
    ("vllm:request_prefill_time_seconds_sum", "prefill_ms", 1000, {}),
    ("vllm:request_decode_time_seconds_sum", "decode_ms", 1000, {}),
)


def _engine_series(
    pod: Pod, tally: Tally, everyone: list[Pod], sample_minutes: int
) -> list[Series]:
    """What the engine in a pod counts: in turns with its replicas, what the endpoint was asked."""
    w = pod.workload
    models = [e.model for e in ENDPOINTS if e.name == f"{w.namespace}/{w.name}"]
    replicas = [p.name for p in everyone if p.workload == w]
    turns = len(replicas) * 60 // sample_minutes
    found = []
    for model, (metric, counted, divisor, more) in itertools.product(models, _COUNTERS):

        def rise(time: datetime, _step: int, counted: str = counted) -> float:
            hour = time.replace(minute=0, second=0, microsecond=0)
            whole = tally.served[f"{w.namespace}/{w.name}", hour][counted]
            turn = time.minute // sample_minutes * len(replicas) + replicas.index(pod.name)
            return whole * (turn + 1) // turns - whole * turn // turns

        labels = {
            "job": "vllm",
            "namespace": w.namespace,
            "pod": pod.name,
            "container": w.container,
            "engine": "0",
            "model_name": model,
            **more,
        }
        found.append(Series(metric, labels, pod.begin, pod.end, rise, True, divisor))
    return found


def _node_series(node: Node, period: Period) -> list[Series]:
    host = node.hostname(period.seed)
    on = {**KSM, "node": host}
    begin, end = node.begin or period.begin, node.end or period.end
    info = {
        **on,
        "provider_id": node.provider_id(period.seed),
        "kubelet_version": "v1.33.4-eks-99d6cc0",
        "os_image": "Amazon Linux 2023",
        "kernel_version": "6.1.150-174.273.amzn2023.x86_64",
        "container_runtime_version": "containerd://1.7.27",
        "internal_ip": host[3:].split(".")[0].replace("-", "."),
    }
    group = "gpu" if node.gpus else "spot" if node.purchase == "spot" else "cpu"
    labels = {
        **on,
        "label_node_kubernetes_io_instance_type": node.instance_type,
        "label_topology_kubernetes_io_region": REGION,
        "label_topology_kubernetes_io_zone": node.zone,
        "label_eks_amazonaws_com_nodegroup": f"{CLUSTER}-{group}",
        "label_eks_amazonaws_com_capacityType": "SPOT" if node.purchase == "spot" else "ON_DEMAND",
    }
    if node.gpus:
        labels["label_nvidia_com_gpu_product"] = node.gpu_model.replace(" ", "-")
    capacity = [
        ("cpu", "core", node.vcpu),
        ("memory", "byte", node.memory_gib * GIB),
        ("pods", "integer", 234),
    ]
    if node.gpus:
        capacity.append(("nvidia_com_gpu", "integer", node.gpus))
    # What EKS has the kubelet keep: CPU by the number of cores, memory by the number of pods.
    kept = 60 + 10 + 10 + (node.vcpu - 4) * 5 // 2
    allocatable = [
        ("cpu", "core", (node.vcpu * 1000 - kept) / 1000),
        ("memory", "byte", node.memory_gib * GIB - (255 + 11 * 234 + 100) * MIB),
    ]
    return [
        Series("kube_node_info", info, begin, end, 1.0),
        Series("kube_node_labels", labels, begin, end, 1.0),
        *(
            Series(
                "kube_node_status_capacity", {**on, "resource": r, "unit": u}, begin, end, float(v)
            )
            for r, u, v in capacity
        ),
        *(
            Series(
                "kube_node_status_allocatable",
                {**on, "resource": r, "unit": u},
                begin,
                end,
                float(v),
            )
            for r, u, v in allocatable
        ),
    ]


def _service_series(period: Period) -> list[Series]:
    """The Services that have a load balancer: their addresses, and labels as their pods have."""
    found = []
    for copy, resource in each(period):
        if resource.service != "nlb":
            continue
        namespace, name = resource.tags["service_k8s_aws_stack"].split("/")
        w = next(w for w in WORKLOADS if (w.namespace, w.name) == (namespace, name))
        balancer = arn("nlb", resource.name, resource.account[0], copy, period.seed)
        host = "-".join(balancer.split("/")[-2:]) + f".elb.{REGION}.amazonaws.com"
        on = {
            **KSM,
            "namespace": namespace,
            "service": name,
            "uid": guid(period.seed, "service", namespace, name),
        }
        labels = {f"label_{k}": v for k, v in w.labels().items() if k.isalnum()}
        address = {**on, "hostname": host, "ip": ""}
        metric = "kube_service_status_load_balancer_ingress"
        found.append(Series(metric, address, period.begin, period.end, 1.0))
        if copy == 0:
            found.append(
                Series("kube_service_labels", {**on, **labels}, period.begin, period.end, 1.0)
            )
    return found


def traffic(period: Period) -> dict[tuple[str, str], tuple[int, int]]:
    """Bytes sent and received by day and workload; none of pods on the network of their node."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for pod in pods(period):
        w = pod.workload
        if w.kind == "DaemonSet":
            continue
        for day in period.day_list():
            midnight = datetime(day.year, day.month, day.day)
            begin, end = max(pod.begin, midnight), min(pod.end, midnight + timedelta(days=1))
            seconds = max(0, int((end - begin).total_seconds()))
            sent, received = (rate * seconds for rate in TRAFFIC.get(w.name, QUIET))
            key = (day.isoformat(), f"{w.namespace}/{w.name}")
            before = found.get(key, (0, 0))
            found[key] = (before[0] + sent, before[1] + received)
    return found


def _workload_series(period: Period, everyone: list[Pod]) -> list[Series]:
    found = []
    for w in WORKLOADS:
        if w.kind == "Deployment":
            labels = {**KSM, "namespace": w.namespace, "deployment": w.name}
            replicas = w.running(period.scale)
            value: float | Callable[[datetime, int], float] = float(replicas)
            if w.name == "moderation-api":

                def value(time: datetime, _step: int, base: int = replicas) -> float:
                    return float(base + _surge(time) * period.scale)

            found.append(
                Series("kube_deployment_spec_replicas", labels, period.begin, period.end, value)
            )
        if w.kind == "StatefulSet":
            labels = {**KSM, "namespace": w.namespace, "statefulset": w.name}
            replicas = w.running(period.scale)
            found.append(
                Series(
                    "kube_statefulset_replicas", labels, period.begin, period.end, float(replicas)
                )
            )
    owners: dict[tuple[str, str, str], tuple[datetime, datetime, Workload]] = {}
    for pod in everyone:
        key = (pod.workload.namespace, *pod.owner)
        begin, end, _ = owners.get(key, (pod.begin, pod.end, pod.workload))
        owners[key] = (min(begin, pod.begin), max(end, pod.end), pod.workload)
    for (namespace, kind, name), (begin, end, w) in owners.items():
        owner = {
            "namespace": namespace,
            "owner_kind": w.kind,
            "owner_name": w.name,
            "owner_is_controller": "true",
        }
        if kind == "ReplicaSet":
            found.append(
                Series(
                    "kube_replicaset_owner", {**KSM, **owner, "replicaset": name}, begin, end, 1.0
                )
            )
        if kind == "Job":
            found.append(
                Series("kube_job_owner", {**KSM, **owner, "job_name": name}, begin, end, 1.0)
            )
    return found


def _volume_series(period: Period, everyone: list[Pod]) -> list[Series]:
    found = []

    def gauge(metric: str, labels: dict[str, str], value: float = 1.0) -> None:
        found.append(Series(metric, {**KSM, **labels}, period.begin, period.end, value))

    for copy in range(period.scale):
        for v in VOLUMES:
            name = f"pvc-{guid(period.seed, 'volume', v.disk, copy)}"
            claim = {"namespace": v.namespace, "persistentvolumeclaim": f"{v.claim}-{copy}"}
            handle = arn("ebs", v.disk, PROD[0], copy, period.seed)
            volume = {"persistentvolume": name}
            driver = {"csi_driver": "ebs.csi.aws.com", "csi_volume_handle": handle}
            gauge("kube_persistentvolume_info", {**volume, "storageclass": "gp3", **driver})
            gauge("kube_persistentvolume_capacity_bytes", volume, float(v.gib * GIB))
            reserved = {"claim_namespace": v.namespace, "name": f"{v.claim}-{copy}"}
            gauge("kube_persistentvolume_claim_ref", {**volume, **reserved})
            bound = {**claim, "storageclass": "gp3", "volumename": name}
            gauge("kube_persistentvolumeclaim_info", bound)
            labels = {f"label_{k}": label for k, label in v.labels.items()}
            gauge("kube_persistentvolumeclaim_labels", {**claim, **labels})
            for pod in everyone:
                if pod.workload.namespace == v.namespace and pod.name == f"{v.workload}-{copy}":
                    who = {"pod": pod.name, "uid": pod.uid, "volume": "data"}
                    found.append(
                        Series(
                            "kube_pod_spec_volumes_persistentvolumeclaims_info",
                            {**KSM, **claim, **who},
                            pod.begin,
                            pod.end,
                            1.0,
                        )
                    )
    return found


# -------------------------------------------------------------------------------------- files


def write(
    directory: Path, period: Period, tally: Tally, sample_minutes: int, text_days: int
) -> None:
    """Write a Parquet file for every day, and OpenMetrics text for the first `text_days`."""
    import pyarrow as pa

    everything = series(period, tally, sample_minutes)
    kind = pa.map_(pa.string(), pa.string())
    plain = pa.array([sorted(s.labels.items()) for s in everything], kind)
    # As dictionaries they are taken, and written, in a third of the time; readers see strings.
    labels = pa.MapArray.from_arrays(
        plain.offsets, plain.keys.dictionary_encode(), plain.items.dictionary_encode()
    )
    names = pa.array([s.metric for s in everything]).dictionary_encode()
    for number, day in enumerate(period.day_list()):
        index, times, values = _day(everything, period, day, sample_minutes)
        _parquet(directory, day, names, labels, index, times, values)
        if number < text_days:
            _openmetrics(directory, day, everything, index, times, values)


def _day(
    everything: list[Series], period: Period, day: date, sample_minutes: int
) -> tuple[list[int], list[int], list[float]]:
    """The day's samples, series after series: place of the series, microseconds, value."""
    midnight = datetime(day.year, day.month, day.day)
    count = 24 * 60 // sample_minutes
    stamps = [midnight + timedelta(minutes=sample_minutes * n) for n in range(count)]
    epoch = int((midnight - EPOCH).total_seconds())
    micros = [(epoch + sample_minutes * 60 * n) * 1_000_000 for n in range(count)]
    before = (day - period.start).days * count
    index: list[int] = []
    times: list[int] = []
    values: list[float] = []
    for place, s in enumerate(everything):
        low = 0
        high = count
        if s.begin > stamps[0]:
            low = -(-(s.begin - midnight) // timedelta(minutes=sample_minutes))
        if s.end <= stamps[-1]:
            high = -(-(s.end - midnight) // timedelta(minutes=sample_minutes))
        if low >= high:
            continue
        index += [place] * (high - low)
        times += micros[low:high]
        if not callable(s.value):
            values += [s.value] * (high - low)
        elif s.counter:
            for n in range(low, high):
                # A counter starts at nought with its container.
                s.total += int(s.value(stamps[n], before + n)) if s.started else 0
                s.started = True
                values.append(s.total / s.divisor)
        else:
            values += [s.value(stamps[n], before + n) for n in range(low, high)]
    return index, times, values


def _parquet(
    directory: Path,
    day: date,
    names: Any,
    labels: Any,
    index: list[int],
    times: list[int],
    values: list[float],
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.array(index, pa.int32())
    table = pa.table(
        {
            "metric": names.take(rows),
            "labels": labels.take(rows),
            "time": pa.array(times, pa.int64()).cast(pa.timestamp("us")),
            "value": pa.array(values, pa.float64()),
        }
    )
    path = directory / "metrics-parquet" / f"date={day}" / "metrics.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table, path, compression="zstd", store_schema=False, write_statistics=["metric", "time"]
    )


def _openmetrics(
    directory: Path,
    day: date,
    everything: list[Series],
    index: list[int],
    times: list[int],
    values: list[float],
) -> None:
    """The same samples as text: families together, types declared, `# EOF` at the end."""
    heads = []
    for s in everything:
        inside = ",".join(f'{k}="{v}"' for k, v in sorted(s.labels.items()))
        heads.append(f"{s.metric}{{{inside}}} ")
    lines: list[str] = []
    metric = ""
    for place, time, value in zip(index, times, values, strict=True):
        s = everything[place]
        if s.metric != metric:
            metric = s.metric
            family = metric.removesuffix("_total") if s.counter else metric
            lines.append(f"# TYPE {family} {'counter' if s.counter else 'gauge'}\n")
        number = str(int(value)) if value == int(value) else repr(value)
        lines.append(f"{heads[place]}{number} {time // 1_000_000}\n")
    lines.append("# EOF\n")
    path = directory / "metrics" / f"date={day}" / "metrics.om"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
