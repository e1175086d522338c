"""What a GitOps repository declares, and where each declared value is written.

What belongs here: reading a commit into the tables `declared_workload` and `declared_field`, and
changing one value of one file. Nothing here decides what a value should be.

    gitobjects   git by its plumbing: no checkout, a dirty work tree does not matter
    scalars      YAML whose values know their characters; the edit
    resources    plain folders and Kustomize: bases, patches, namespaces, labels, replicas
    charts       Helm values files
    workloads    what Kubernetes kinds mean
    quantities   500m, 0.5, 2Gi
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..config import Config, GitopsSection
from ..contracts import table
from .charts import chart_workloads
from .gitobjects import Git
from .quantities import count
from .resources import Repository, applied
from .scalars import Place, Problem, Scalar, edit
from .workloads import (
    ALL,
    REPLICAS,
    Scaling,
    Workload,
    numbers,
    place_for,
    prometheus_labels,
    values_of,
    workloads,
)

if TYPE_CHECKING:
    import polars as pl

LARGEST_FILE = 2_000_000
"""Bytes above which a YAML file is not read: generated bundles, not somebody's declaration."""


class Key(NamedTuple):
    """What identifies a declared value; the key of the table `declared_field`."""

    repository: str
    overlay: str
    namespace: str
    kind: str
    workload: str
    container: str
    field: str


@dataclass(frozen=True)
class Declared:
    """One commit of a repository, read.

    `workloads` and `fields` match the contracts `declared_workload` and `declared_field`.
    `places` says for each field which characters a change replaces. `problems` lists what could
    not be read; everything else stands. `files` is path -> text of the YAML read.
    """

    commit: str | None
    workloads: pl.DataFrame
    fields: pl.DataFrame
    problems: tuple[Problem, ...]
    places: Mapping[Key, Place] = field(repr=False)
    files: Mapping[str, str] = field(repr=False)
    block: GitopsSection = field(repr=False)
    parsed: dict[Any, Any] = field(repr=False, compare=False)

    def changed(self, edits: Mapping[str, str]) -> Declared:
        """What would be declared if these files had this text."""
        return declare({**self.files, **edits}, self.block, self.commit, parsed=self.parsed)

    def containers(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """Every row of `workloads` by its key: what is declared, editable or not."""
        key = table("declared_workload").key
        rows = self.workloads.drop("x_Commit", "x_Path").iter_rows(named=True)
        return {tuple(row[c] for c in key): row for row in rows}

    def values(self) -> dict[Key, str]:
        """Every declared field that can be edited, and its value as written."""
        return {Key(*row[:7]): row[9] for row in self.fields.iter_rows()}


def read(block: GitopsSection, config: Config) -> Declared:
    """What the tip of `base_branch` declares. Raises `ConfigError` if there is no such clone."""
    git = Git(config.path(block.path))
    commit = git.base(block.base_branch)
    wanted, problems = {}, []
    for path, (blob, size) in sorted(git.tree(commit).items()):
        if not f"/{path}".endswith((".yaml", ".yml", ".json", "/Kustomization")):
            continue
        if size > LARGEST_FILE:
            reason = f"larger than {LARGEST_FILE} bytes, so it was not read"
            problems.append(Problem(path, 1, reason))
        else:
            wanted[path] = blob
    blobs = git.blobs(list(dict.fromkeys(wanted.values())))
    files = {}
    for path, blob in wanted.items():
        try:
            files[path] = blobs[blob].decode("utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(path, 1, "not UTF-8, so it was not read"))
    return declare(files, block, commit, problems)


def tip(block: GitopsSection, config: Config) -> str:
    """The commit `read` would read now: what decides whether it has to be read again."""
    return Git(config.path(block.path)).base(block.base_branch)


def declare(
    files: Mapping[str, str],
    block: GitopsSection,
    commit: str | None = None,
    problems: Sequence[Problem] = (),
    parsed: dict[Any, Any] | None = None,
) -> Declared:
    """What these files declare (pure). `files` is path -> text, line ends as they are."""
    repository = Repository(files, parsed)
    # All overlays are built, listed or not: a change must not reach one that nobody listed.
    builds = repository.builds([*block.overlays, "**"])
    charts = chart_workloads(repository, block.helm_values)
    all_workloads = workloads(builds) + [w for w, _ in charts]
    readers = [(path, b.overlay) for b in builds for path in b.files]
    readers += [reader for _, reading in charts for reader in reading]
    shared = _Shared(readers, all_workloads)
    tables = _Tables(block.name, commit, repository, shared)
    for workload in all_workloads:
        if workload.from_chart or applied(workload.overlay, block.overlays):
            tables.add(workload)
    noted = sorted(repository.problems.values(), key=lambda p: (p.path, p.line, p.reason))
    return Declared(
        commit,
        _frame("declared_workload", tables.rows.values()),
        _frame("declared_field", tables.fields.values()),
        (*problems, *noted),
        tables.places,
        files,
        block,
        repository.parsed,
    )


class _Shared:
    """Who else would see a change of a file, or of one value."""

    def __init__(self, readers: list[tuple[str, str]], found: list[Workload]) -> None:
        self.overlays: dict[str, set[str]] = {}
        for path, overlay in readers:
            self.overlays.setdefault(path, set()).add(overlay)
        self.users: dict[tuple[str, int], int] = {}
        for workload in found:
            for _, _, value in values_of(workload):
                place = value.scalar.place
                if place is not None:
                    at = (place.path, place.start)
                    self.users[at] = self.users.get(at, 0) + 1

    def own(self, overlay: str) -> Callable[[str], bool]:
        """Whether only this overlay reads a file."""
        return lambda path: self.overlays.get(path, set()) <= {overlay}

    def alone(self, place: Place) -> bool:
        """Whether only one declared value comes from there."""
        return self.users.get((place.path, place.start), 0) <= 1


@dataclass
class _Tables:
    """The rows of both tables, gathered workload by workload."""

    name: str
    commit: str | None
    repository: Repository
    shared: _Shared
    rows: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    fields: dict[Key, tuple[Any, ...]] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)

    def add(self, w: Workload) -> None:
        """Add a workload. One that is declared twice, or has a bad quantity, is a problem."""
        where = (self.name, w.overlay or ".", w.namespace, w.kind, w.name)
        scaling = w.scaling or Scaling("")
        replicas = self._whole(w, w.replicas.scalar if w.replicas else None)
        for container in w.containers:
            if (*where, container.name) in self.rows:
                self.repository.problem(
                    w.path, w.line, f"{w.kind} {w.namespace}/{w.name} is declared twice"
                )
                return
            try:
                amounts = numbers(container)
            except ValueError as error:
                place = next((v.scalar.place for v in container.values.values()), None)
                self._problem(w, place, f"container {container.name!r}: {error}")
                continue
            self.rows[(*where, container.name)] = {
                "x_Repository": self.name,
                "x_Commit": self.commit,
                "x_Overlay": w.overlay or ".",
                "x_Path": w.path,
                "x_Namespace": w.namespace,
                "x_WorkloadKind": w.kind,
                "x_Workload": w.name,
                "x_Container": container.name,
                "x_Labels": _object(prometheus_labels(w.labels)),
                "x_Replicas": replicas,
                **amounts,
                "x_Autoscaler": scaling.kind or None,
                "x_MinReplicas": self._whole(w, scaling.minimum),
                "x_MaxReplicas": self._whole(w, scaling.maximum),
            }
        own = self.shared.own(w.overlay)
        for container_name, dotted, value in values_of(w):
            if container_name == ALL or (*where, container_name) in self.rows:
                place = place_for(value, w.layers, own, self.shared.alone)
                if place is not None:
                    self._field(Key(*where, container_name, dotted), place, value.scalar.value)
        for resource, target in scaling.targets.items():
            if target.place is not None:
                key = Key(*where, ALL, f"autoscaler.{resource}")
                self._field(key, target.place, target.value)

    def _field(self, key: Key, place: Place, declared: str) -> None:
        self.places[key] = place
        self.fields[key] = (*key, place.path, place.line, declared)

    def _whole(self, w: Workload, value: Scalar | None) -> int | None:
        """A whole number, or None with a problem noted."""
        if value is None:
            return None
        try:
            return count(value.value)
        except ValueError as error:
            self._problem(w, value.place, str(error))
            return None

    def _problem(self, w: Workload, place: Place | None, reason: str) -> None:
        path, line = (place.path, place.line) if place is not None else (w.path, w.line)
        self.repository.problem(path, line, f"{w.kind} {w.namespace}/{w.name}: {reason}")


def _object(labels: Mapping[str, str]) -> str:
    """A JSON object with sorted keys, without blanks."""
    return json.dumps(labels, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _frame(name: str, rows: Any) -> pl.DataFrame:
    """A frame of exactly the contract's columns, sorted by its key."""
    import polars as pl

    from ..contracts.fields import TYPES

    contract = table(name)
    schema = {n: TYPES[t] for n, t in contract.duckdb.items()}
    return pl.DataFrame(list(rows), schema=schema, orient="row").sort(contract.key)


__all__ = [
    "ALL", "REPLICAS", "Declared", "Git", "Key", "Place", "Problem", "declare", "edit", "read",
]  # fmt: skip
