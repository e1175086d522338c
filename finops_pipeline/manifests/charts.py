"""Workloads of Helm charts, read from their values files.

What belongs here: the well-known keys of a chart's values (`replicaCount`, `resources`,
`podLabels`, `autoscaling`), for the chart itself and for each component that has `resources` of
its own. Templates are not YAML and are not rendered; only the plain words in them are used: the
workload's kind and the container's name. Release and namespace come from the Argo CD Application
or Flux HelmRelease that applies the chart, where the repository has one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .resources import Repository, Resource, matches, merged
from .scalars import Mapping, Scalar, Step
from .workloads import RESOURCES, Container, Scaling, Value, Workload, gpus

_KINDS = "Deployment|StatefulSet|DaemonSet|Rollout|CronJob|Job"


@dataclass(frozen=True)
class Release:
    """A chart as it is applied: which values files, in order, under which name, and where."""

    overlay: str
    chart: str
    name: str
    namespace: str
    values: tuple[str, ...]


def chart_workloads(
    repository: Repository, patterns: Sequence[str]
) -> list[tuple[Workload, list[tuple[str, str]]]]:
    """Workloads of all values files that match, each with who reads which file."""
    files = [
        path
        for path in sorted(repository.files)
        if path.endswith((".yaml", ".yml"))
        and any(matches(path, p) for p in patterns)
        and not _is_of_the_chart(repository, path)
    ]
    found: list[tuple[Workload, list[tuple[str, str]]]] = []
    for release in _releases(repository, files):
        readers = [(path, release.overlay) for path in release.values]
        # Values files nobody listed may still be applied over the same defaults.
        readers += [
            (release.values[0], path)
            for path in repository.folders[posixpath.dirname(release.values[0])]
            if re.search(r"/values[^/]*\.ya?ml$", f"/{path}") and path not in release.values
        ]
        found += [(workload, readers) for workload in _read(repository, release)]
    return found


def _releases(repository: Repository, files: list[str]) -> Iterable[Release]:
    applied = _applied(repository)
    charts = {path: _chart_of(repository, path) for path in files}
    per_chart: dict[str, list[str]] = {}
    for path, chart in charts.items():
        if chart is None and path not in applied:
            reason = "no Chart.yaml above it and no Application uses it, so its chart is not known"
            repository.problem(path, 1, reason)
        else:
            per_chart.setdefault(chart or posixpath.dirname(path), []).append(path)
    for chart, paths in sorted(per_chart.items()):
        default = posixpath.join(chart, "values.yaml")
        for path in paths:
            if path == default and len(paths) > 1 and path not in applied:
                continue  # the chart's defaults: the other files are laid over them
            name = _chart_name(repository, chart)
            for release, namespace, layers in applied.get(path, [(name, None, (path,))]):
                below = (default,) if default in repository.files and default not in layers else ()
                overlay = posixpath.dirname(path) if len(paths) == 1 else path
                yield Release(
                    overlay, chart, release, namespace or _namespace(repository, path),
                    (*below, *layers),
                )  # fmt: skip


def _read(repository: Repository, release: Release) -> Iterable[Workload]:
    layers, values = [], Mapping({})
    for path in release.values:
        for tree in repository.load(path)[:1]:
            if isinstance(tree, Mapping):
                layers.append(tree)
                values = merged(values, tree, builtin=False)
    template = _template(repository, release, values)
    chart = values.text("nameOverride") or _chart_name(repository, release.chart)
    full = (
        template.name
        or values.text("fullnameOverride")
        or (release.name if chart in release.name else f"{release.name}-{chart}")
    )
    path = release.values[-1]
    shared = _labels(values, "commonLabels") | _labels(values, "labels")
    found: list[tuple[str, str, tuple[str, ...]]] = []
    if isinstance(values.get("resources"), Mapping) or values.scalar("replicaCount") is not None:
        inside = template.container or _chart_name(repository, release.chart)
        found.append((full, inside, ()))
    for keys in _components(values):
        if not found or keys[0] != "autoscaling":
            name = values.text(*keys, "fullnameOverride") or f"{full}-{keys[-1]}"
            found.append((name, values.text(*keys, "name") or keys[-1], keys))
    for name, inside, keys in found:
        part = values.mapping(*keys)
        number = part.scalar("replicaCount") or part.scalar("replicas")
        counted = "replicaCount" if part.scalar("replicaCount") else "replicas"
        steps: tuple[Step, ...] = (*keys, counted)
        yield Workload(
            overlay=release.overlay,
            path=path,
            line=1,
            namespace=release.namespace,
            kind=part.text("kind") or template.kind,
            name=name,
            names=frozenset({name}),
            labels=shared | _labels(part, "labels") | _labels(part, "podLabels"),
            containers=[_container(inside, part, keys)],
            layers=tuple(layers),
            replicas=Value(number, steps) if number is not None else None,
            scaling=_scaling(part),
            from_chart=True,
        )


def _components(values: Mapping) -> Iterable[tuple[str, ...]]:
    """Keys of the parts of a chart that have containers of their own."""
    for key, node in values.items.items():
        if key in ("resources", "global") or not isinstance(node, Mapping):
            continue
        if key in ("components", "services", "workloads", "deployments"):
            yield from ((key, name) for name, n in node.items.items() if _is_component(n))
        elif _is_component(node):
            yield (key,)


def _is_component(node: object) -> bool:
    return (
        isinstance(node, Mapping)
        and isinstance(node.get("resources"), Mapping)
        and node.text("enabled") != "false"
    )


def _container(name: str, part: Mapping, keys: tuple[str, ...]) -> Container:
    container = Container(name)
    resources = part.mapping("resources")
    for dotted, group, resource in RESOURCES:
        scalar = resources.scalar(group, resource)
        if scalar is not None:
            container.values[dotted] = Value(scalar, (*keys, "resources", group, resource))
    container.gpus = gpus(resources)
    return container


def _scaling(part: Mapping) -> Scaling | None:
    scaling = part.mapping("autoscaling")
    if scaling.text("enabled") != "true":
        return None
    found = Scaling("HPA", scaling.scalar("minReplicas"), scaling.scalar("maxReplicas"))
    for resource, key in (
        ("cpu", "targetCPUUtilizationPercentage"),
        ("memory", "targetMemoryUtilizationPercentage"),
    ):
        target = scaling.scalar(key)
        if target is not None:
            found.targets[resource] = target
    return found


def _labels(values: Mapping, key: str) -> dict[str, str]:
    return {k: v.value for k, v in values.mapping(key).items.items() if isinstance(v, Scalar)}


# ------------------------------------------------------------------------ where it is applied
_Applied = dict[str, list[tuple[str, str | None, tuple[str, ...]]]]


def _applied(repository: Repository) -> _Applied:
    """Values file -> (release, namespace, all values files) for each Application that uses it."""
    found: _Applied = {}
    for app in repository.applications():
        if app.kind != "Application":
            continue
        spec = app.tree.mapping("spec")
        sources = [s for s in (spec.get("source"), *spec.list("sources")) if isinstance(s, Mapping)]
        for source in sources:
            _note(repository, app, spec.text("destination", "namespace"), source, found)
    return found


def _note(
    repository: Repository, app: Resource, namespace: str | None, source: Mapping, found: _Applied
) -> None:
    helm = source.mapping("helm")
    release = helm.text("releaseName") or app.name
    folder = source.text("path") or ""
    files = []
    for entry in helm.list("valueFiles"):
        if isinstance(entry, Scalar):
            path = re.sub(r"^\$[^/]+/", "/", entry.value)
            full = path.lstrip("/") if path.startswith("/") else posixpath.join(folder, path)
            full = posixpath.normpath(full)
            if full in repository.files:
                files.append(full)
    if not files:
        default = posixpath.normpath(posixpath.join(folder, "values.yaml"))
        if posixpath.normpath(folder) in repository.charts and default in repository.files:
            files = [default]
    if files:
        found.setdefault(files[-1], []).append((release, namespace, tuple(files)))


def _chart_of(repository: Repository, path: str) -> str | None:
    folder = posixpath.dirname(path)
    while folder not in repository.charts:
        if not folder:
            return None
        folder = posixpath.dirname(folder)
    return folder


def _is_of_the_chart(repository: Repository, path: str) -> bool:
    """Whether it is of what a chart is made of besides values: a pattern may match those, too."""
    chart = _chart_of(repository, path)
    if chart is None:
        return False
    first, _, below = posixpath.relpath(path, chart or ".").partition("/")
    return first in ("templates", "crds") if below else first in ("Chart.yaml", "requirements.yaml")


def _chart_name(repository: Repository, chart: str) -> str:
    path = posixpath.join(chart, "Chart.yaml")
    if path in repository.files:
        for tree in repository.load(path)[:1]:
            if isinstance(tree, Mapping) and tree.text("name"):
                return tree.text("name") or ""
    return posixpath.basename(chart)


def _namespace(repository: Repository, path: str) -> str:
    for tree in repository.load(path)[:1]:
        if isinstance(tree, Mapping):
            for key in ("namespaceOverride", "namespace"):
                if tree.text(key):
                    return tree.text(key) or ""
    return "default"


@dataclass(frozen=True)
class _Template:
    """The plain words of a chart's only workload template, None where it has no such words."""

    kind: str = "Deployment"
    name: str | None = None
    container: str | None = None


def _template(repository: Repository, release: Release, values: Mapping) -> _Template:
    """What the templates say in plain words or by naming a value; several workloads say nothing."""
    below = posixpath.join(release.chart, "templates") + "/"
    found = [
        (match[1], text)
        for path, text in sorted(repository.files.items())
        if path.startswith(below)
        and (match := re.search(rf"^kind:\s*({_KINDS})\s*$", text, re.MULTILINE))
    ]
    if len(found) != 1:
        return _Template()
    kind, text = found[0]

    def said(pattern: str) -> str | None:
        match = re.search(pattern, text, re.MULTILINE)
        return _said(repository, release, values, match[1]) if match else None

    return _Template(
        kind,
        said(r"^metadata:\s*\n(?:\s+(?!name:).*\n)*?\s+name:\s*(.+?)\s*$"),
        said(r"^\s*containers:\s*\n(?:\s*#.*\n)*\s*-\s*name:\s*(.+?)\s*$"),
    )


def _said(repository: Repository, release: Release, values: Mapping, written: str) -> str | None:
    """A word of a template: literal, or `{{ .Values.x }}`, `.Chart.Name`, `.Release.Name`."""
    written = written.strip("\"'")
    if "{" not in written:
        return written
    named = re.fullmatch(r"\{\{-?\s*\.([A-Za-z0-9_.]+)\s*(?:\|[^}]*)?-?\}\}", written)
    if named is None:
        return None
    if named[1] == "Chart.Name":
        return _chart_name(repository, release.chart)
    if named[1] == "Release.Name":
        return release.name
    if named[1].startswith("Values."):
        return values.text(*named[1].split(".")[1:])
    return None
