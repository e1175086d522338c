"""From built objects to workloads, containers and the values a proposal may edit.

What belongs here: what Kubernetes kinds mean. Deployment, StatefulSet, DaemonSet, ReplicaSet,
Job, CronJob, Pod, Argo Rollout, KServe InferenceService and Knative Service; and who scales them:
HorizontalPodAutoscaler, VerticalPodAutoscaler and KEDA ScaledObject.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from .quantities import count, millicores, whole_bytes
from .resources import Build, Resource, pod_template
from .scalars import Mapping, Place, Scalar, Step, insertion, walk

ALL = "(all)"
"""Stands for the container in values of the workload as a whole, such as its replicas."""

REPLICAS = "spec.replicas"
RESOURCES = tuple(
    (f"resources.{group}.{name}", group, name)
    for group in ("requests", "limits")
    for name in ("cpu", "memory")
)


@dataclass(frozen=True)
class Value:
    """A declared value: its text, where it is, and where it would be added instead."""

    scalar: Scalar
    steps: tuple[Step, ...] = ()


@dataclass
class Container:
    """A container: `values` by field name, such as `resources.requests.cpu`."""

    name: str
    values: dict[str, Value] = field(default_factory=dict)
    gpus: Scalar | None = None


@dataclass
class Scaling:
    """What scales a workload: `targets` are the resources whose request it reads."""

    kind: str
    minimum: Scalar | None = None
    maximum: Scalar | None = None
    targets: dict[str, Scalar] = field(default_factory=dict)


@dataclass
class Workload:
    """A workload of one overlay. `layers` are documents of its own that can be added to."""

    overlay: str
    path: str
    line: int
    namespace: str
    kind: str
    name: str
    names: frozenset[str]
    labels: dict[str, str]
    containers: list[Container]
    layers: tuple[Mapping, ...] = ()
    replicas: Value | None = None
    scaling: Scaling | None = None
    from_chart: bool = False


def workloads(builds: Iterable[Build]) -> list[Workload]:
    """All workloads of the builds, each with what scales it."""
    built = list(builds)
    found: list[Workload] = []
    for build in built:
        found += [w for r in build.resources for w in _workload(build, r)]
    for build in built:
        for resource in build.resources:
            _scale(build, resource, found)
    return found


def _workload(build: Build, r: Resource) -> Iterable[Workload]:
    api = r.tree.text("apiVersion") or ""
    keys: tuple[str, ...] | None = pod_template(r.kind)
    if r.kind == "Pod" and api == "v1":
        keys = ()
    elif r.kind == "Service" and api.startswith("serving.knative.dev/"):
        keys = ("spec", "template")
    elif r.kind == "InferenceService" and api.startswith("serving.kserve.io/"):
        keys = ("spec", "predictor")
    if keys is None or not r.name:
        return
    at_pod = keys if r.kind == "InferenceService" else (*keys, "spec")
    labels = {
        **_labels(r.tree.mapping("metadata", "labels")),
        **_labels(r.tree.mapping(*keys, "metadata", "labels")),
    }
    replicas_at: tuple[str, ...] = (
        (*keys, "minReplicas") if r.kind == "InferenceService" else ("spec", "replicas")
    )
    scalar = r.tree.scalar(*replicas_at)
    kind = "KnativeService" if r.kind == "Service" else r.kind
    yield Workload(
        overlay=build.overlay,
        path=r.path,
        line=r.line,
        namespace=r.namespace or build.namespace or "default",
        kind=kind,
        name=r.name,
        names=r.names,
        labels=labels,
        containers=list(_containers(r.tree, at_pod, r.kind)),
        layers=r.layers,
        replicas=Value(scalar, replicas_at) if scalar is not None else None,
        scaling=_own_scaling(r, keys),
    )


def _containers(tree: Mapping, at_pod: tuple[str, ...], kind: str) -> Iterable[Container]:
    groups = [("containers", tree.list(*at_pod, "containers"))]
    native = [
        c
        for c in tree.list(*at_pod, "initContainers")
        if isinstance(c, Mapping) and c.text("restartPolicy") == "Always"
    ]
    groups.append(("initContainers", tuple(native)))
    for group, items in groups:
        for item in items:
            if isinstance(item, Mapping):
                served_by = "kserve-container" if kind == "InferenceService" else ""
                name = item.text("name") or served_by
                steps: tuple[Step, ...] = (*at_pod, group, ("name", name))
                yield _container(name, item.mapping("resources"), (*steps, "resources"))
    if kind == "InferenceService":
        for key in ("model", "huggingface", "pytorch", "sklearn", "tensorflow", "triton"):
            served = tree.get(*at_pod, key)
            if isinstance(served, Mapping):
                steps = (*at_pod, key, "resources")
                yield _container("kserve-container", served.mapping("resources"), steps)


def _container(name: str, resources: Mapping, steps: tuple[Step, ...]) -> Container:
    container = Container(name)
    for dotted, group, resource in RESOURCES:
        scalar = resources.scalar(group, resource)
        if scalar is not None:
            container.values[dotted] = Value(scalar, (*steps, group, resource))
    container.gpus = gpus(resources)
    return container


def gpus(resources: Mapping) -> Scalar | None:
    """The GPUs a container asks for: the limit, which Kubernetes makes the request."""
    for group in ("limits", "requests"):
        for key in sorted(resources.mapping(group).items):
            if re.fullmatch(r"[a-z.]+/(gpu|mig-[0-9a-z.]+)(\.shared)?", key):
                return resources.scalar(group, key)
    return None


def _own_scaling(r: Resource, keys: tuple[str, ...]) -> Scaling | None:
    """Knative and KServe scale by themselves, on requests served, not on resources."""
    if r.kind != "InferenceService":
        return None
    low, high = r.tree.scalar(*keys, "minReplicas"), r.tree.scalar(*keys, "maxReplicas")
    if high is None or (low is not None and low.value == high.value):
        return None
    return Scaling("HPA", low, high)


def _labels(node: Mapping) -> dict[str, str]:
    return {k: v.value for k, v in node.items.items() if isinstance(v, Scalar)}


def _is_target(w: Workload, kind: str, name: str | None) -> bool:
    """Whether it is what a reference names: also by the Deployment that KServe serves it by."""
    if w.kind == "InferenceService" and kind == "Deployment":
        return name in {f"{n}-predictor" for n in w.names}
    return w.kind == kind and name in w.names


def _scale(build: Build, r: Resource, found: list[Workload]) -> None:
    """Attach an autoscaler to the workload it targets: of its own build, else of its namespace."""
    spec = r.tree.mapping("spec")
    if r.kind == "HorizontalPodAutoscaler":
        ref, scaling = spec.mapping("scaleTargetRef"), _hpa(spec)
    elif r.kind == "VerticalPodAutoscaler":
        ref = spec.mapping("targetRef")
        if (spec.text("updatePolicy", "updateMode") or "Auto") == "Off":
            return
        scaling = Scaling("VPA")
    elif r.kind == "ScaledObject":
        ref, scaling = spec.mapping("scaleTargetRef"), _keda(spec)
    else:
        return
    kind, name = ref.text("kind") or "Deployment", ref.text("name")
    namespace = r.namespace or build.namespace or "default"
    same = [w for w in found if _is_target(w, kind, name) and w.namespace == namespace]
    for workload in [w for w in same if w.overlay == build.overlay] or same:
        # A VPA that sets requests matters more to a request than what sets replicas.
        if workload.scaling is None or scaling.kind == "VPA":
            workload.scaling = scaling


def _hpa(spec: Mapping) -> Scaling:
    scaling = Scaling("HPA", spec.scalar("minReplicas"), spec.scalar("maxReplicas"))
    old = spec.scalar("targetCPUUtilizationPercentage")
    if old is not None:
        scaling.targets["cpu"] = old
    for metric in spec.list("metrics"):
        if isinstance(metric, Mapping):
            container = metric.text("type") == "ContainerResource"
            source = metric.mapping("containerResource" if container else "resource")
            used = source.scalar("target", "averageUtilization") or source.scalar(
                "targetAverageUtilization"
            )
            if used is not None and source.text("name") is not None:
                scaling.targets[source.text("name") or ""] = used
    if not spec.list("metrics") and old is None:
        reason = spec.scalar("scaleTargetRef", "name")  # Kubernetes' default: 80 % of CPU
        if reason is not None:
            scaling.targets["cpu"] = reason
    return scaling


def _keda(spec: Mapping) -> Scaling:
    scaling = Scaling("KEDA", spec.scalar("minReplicaCount"), spec.scalar("maxReplicaCount"))
    for trigger in spec.list("triggers"):
        if isinstance(trigger, Mapping) and trigger.text("type") in ("cpu", "memory"):
            way = trigger.text("metricType") or trigger.text("metadata", "type") or "Utilization"
            value = trigger.scalar("metadata", "value")
            if way == "Utilization" and value is not None:
                scaling.targets[trigger.text("type") or ""] = value
    return scaling


def place_for(
    value: Value,
    layers: Sequence[Mapping],
    own: Callable[[str], bool],
    alone: Callable[[Place], bool],
) -> Place | None:
    """Where a change of this value belongs: the smallest edit that nothing else sees, or None.

    Where it is written, if that file is the overlay's `own`; else added to a document of the
    overlay that already patches this workload; else where it is written, if no other value
    comes from there (`alone`). Otherwise a change would reach workloads it was not measured for.
    """
    written = value.scalar.place
    if written is None or written.refusal or not alone(written):
        written = None
    if written is not None and own(written.path):
        return written
    for layer in reversed(layers):
        if layer.at is None or not own(layer.at.path) or walk(layer, value.steps) is not None:
            continue
        place = insertion(layer, value.steps)
        if place is not None:
            return place
    return written


def values_of(workload: Workload) -> Iterable[tuple[str, str, Value]]:
    """(container, field, value) of everything a proposal may want to edit."""
    for container in workload.containers:
        for dotted, value in container.values.items():
            yield container.name, dotted, value
    if workload.replicas is not None:
        yield ALL, REPLICAS, workload.replicas


def numbers(container: Container) -> dict[str, int | None]:
    """Millicores and bytes of a container. Raises `ValueError` for what is no quantity."""

    def read(key: str, parse: Callable[[str], int]) -> int | None:
        value = container.values.get(key)
        return parse(value.scalar.value) if value is not None else None

    return {
        "x_CpuRequestMillicores": read("resources.requests.cpu", millicores),
        "x_CpuLimitMillicores": read("resources.limits.cpu", millicores),
        "x_MemoryRequestBytes": read("resources.requests.memory", whole_bytes),
        "x_MemoryLimitBytes": read("resources.limits.memory", whole_bytes),
        "x_GpuRequest": count(container.gpus.value) if container.gpus is not None else None,
    }


def prometheus_labels(labels: dict[str, str]) -> dict[str, str]:
    """Labels under the names kube-state-metrics gives them, without `label_`.

    Source: kube-state-metrics internal/store/utils.go: other characters become `_`, camel case
    becomes snake case, and keys that meet are numbered in their order.
    """
    names: dict[str, list[str]] = {}
    for key in sorted(labels):
        clean = re.sub(r"[^a-zA-Z0-9_]", "_", key)
        names.setdefault(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", clean).lower(), []).append(key)
    return {
        name if len(keys) == 1 else f"{name}_conflict{number}": labels[key]
        for name, keys in sorted(names.items())
        for number, key in enumerate(keys, start=1)
    }
