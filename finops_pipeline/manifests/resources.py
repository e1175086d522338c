"""Kubernetes objects as the overlays of a repository build them, each value with its place.

What belongs here: finding the directories Argo CD or Flux applies, and building them, plain
folders and Kustomize alike. Values that only change at build time (images, generated config
maps) are left out: no proposal edits them. Charts are `charts.py`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Readonly
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from .scalars import Listing, Mapping, Node, Problem, Scalar, documents, embedded

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")

# Lists that a strategic merge patch merges by a key instead of replacing. Source: the
# x-kubernetes-patch-merge-key extensions of the Kubernetes API's OpenAPI document.
MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
    "ports": ("containerPort", "port"),
}
_LINES = re.MULTILINE
_BUILT_IN = re.compile(r"(v1|[a-z]+(\.k8s\.io)?/v[0-9a-z]+)$")


@dataclass(frozen=True)
class Resource:
    """One object. `names` are all it had, since patches may use an earlier one.

    `layers` are the documents that set values of this object and of no other: a value it does
    not have yet may be added to one of them.
    """

    tree: Mapping
    path: str
    line: int
    names: frozenset[str]
    layers: tuple[Mapping, ...] = ()

    @property
    def kind(self) -> str:
        """`kind` of the object."""
        return self.tree.text("kind") or ""

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return self.tree.text("metadata", "name") or ""

    @property
    def namespace(self) -> str | None:
        """`metadata.namespace`, or None."""
        return self.tree.text("metadata", "namespace")


@dataclass
class Build:
    """What applying one directory yields. `files` are all it was built from."""

    overlay: str
    resources: list[Resource] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    namespace: str | None = None


class Repository:
    """The files of one commit, parsed when first needed.

    `files` is path -> text. `parsed` may be handed on to a later repository: it is keyed by
    path and text.
    """

    def __init__(
        self,
        files: Readonly[str, str],
        parsed: dict[tuple[str, str], tuple[tuple[Node, ...], tuple[Problem, ...]]] | None = None,
    ) -> None:
        self.files = files
        self.parsed = {} if parsed is None else parsed
        self.problems: dict[tuple[str, int, str], Problem] = {}
        self.folders: dict[str, list[str]] = {}
        for path in sorted(files):
            self.folders.setdefault(posixpath.dirname(path), []).append(path)
        self.charts = {d for d in self.folders if posixpath.join(d, "Chart.yaml") in files}

    def problem(self, path: str, line: int, reason: str) -> None:
        """Note something that could not be read."""
        self.problems[(path, line, reason)] = Problem(path, line, reason)

    def load(self, path: str) -> tuple[Node, ...]:
        """The documents of a file; what is wrong with it is noted."""
        text = self.files[path]
        key = (path, text)
        if key not in self.parsed:
            self.parsed[key] = documents(path, text)
        found, problems = self.parsed[key]
        for p in problems:
            self.problem(p.path, p.line, p.reason)
        return found

    def objects(self, path: str) -> list[Resource]:
        """The Kubernetes objects of a file, lists unpacked."""
        found = []
        for tree in self.load(path):
            items: Iterable[Node] = [tree]
            if isinstance(tree, Mapping) and (tree.text("kind") or "").endswith("List"):
                items = tree.list("items")
            for item in items:
                if isinstance(item, Mapping) and item.text("apiVersion") and item.text("kind"):
                    kind = item.scalar("kind")
                    line = kind.place.line if kind is not None and kind.place is not None else 1
                    name = item.text("metadata", "name") or ""
                    found.append(Resource(item, path, line, frozenset({name}), (item,)))
        return found

    def kustomization(self, folder: str) -> str | None:
        """Path of the folder's kustomization file, or None."""
        for name in KUSTOMIZATION:
            path = posixpath.join(folder, name)
            if path in self.files:
                return path
        return None

    def in_chart(self, folder: str) -> bool:
        """Whether a folder lies in a Helm chart: its templates are not YAML."""
        return any(folder == c or folder.startswith(f"{c}/") for c in self.charts if c) or (
            "" in self.charts
        )

    # ------------------------------------------------------------------- overlays
    def builds(self, patterns: Sequence[str]) -> list[Build]:
        """One build per applied directory that matches a pattern, by path.

        A kustomization that another one includes is a base, not applied by itself, unless a
        pattern without wildcard names it. Folders whose files a kustomization uses, hidden
        folders and charts are not plain folders.
        """
        used: set[str] = set()
        included: set[str] = set()
        roots = [d for d in self.folders if self.kustomization(d)]
        for folder in roots:
            build = Build(folder)
            included |= self._collect(folder, build, (), []) - {folder}
            used |= build.files
        found = []
        for folder in sorted(self.folders):
            named = (folder or ".") in patterns
            if not applied(folder, patterns):
                continue
            if self.kustomization(folder):
                if (named or folder not in included) and not self._is_component(folder):
                    build = Build(folder)
                    resources: list[Resource] = []
                    self._collect(folder, build, (), resources)
                    build.resources = resources
                    found.append(build)
            elif not self.in_chart(folder) and not re.search(r"(^|/)\.", folder):
                build = Build(folder)
                for path in self.folders[folder]:
                    if path.endswith((".yaml", ".yml")) and path not in used:
                        build.resources += self.objects(path)
                        build.files.add(path)
                if build.resources:
                    found.append(build)
        self._applied_namespaces(found)
        return found

    def applications(self) -> list[Resource]:
        """Argo CD Applications and Flux Kustomizations: who applies what, and where to."""
        found = []
        for path, text in sorted(self.files.items()):
            if (
                path.endswith((".yaml", ".yml"))
                and ("argoproj.io/" in text or "kustomize.toolkit.fluxcd.io/" in text)
                and re.search(r"^\s*kind:\s*[\"']?(Application|Kustomization)\b", text, _LINES)
            ):
                kinds = ("Application", "Kustomization")
                found += [r for r in self.objects(path) if r.kind in kinds]
        return found

    def _applied_namespaces(self, builds: list[Build]) -> None:
        for app in self.applications():
            spec = app.tree.mapping("spec")
            for source in [spec.mapping("source"), *spec.list("sources"), spec]:
                if not isinstance(source, Mapping):
                    continue
                path = source.text("path")
                target = spec.text("destination", "namespace") or spec.text("targetNamespace")
                if path is None or target is None:
                    continue
                for build in builds:
                    if build.overlay == _below("", path):
                        build.namespace = target

    def _is_component(self, folder: str) -> bool:
        path = self.kustomization(folder)
        trees = self.load(path) if path else ()
        return any(isinstance(t, Mapping) and t.text("kind") == "Component" for t in trees)

    # ------------------------------------------------------------------ kustomize
    def _collect(
        self, folder: str, build: Build, above: tuple[str, ...], resources: list[Resource]
    ) -> set[str]:
        """Apply a kustomization to `resources`, in place; the folders it includes, itself too."""
        path = self.kustomization(folder)
        if path is None:
            return set()
        if folder in above:
            self.problem(path, 1, f"includes itself through {' -> '.join(above)}")
            return set()
        build.files.add(path)
        trees = [t for t in self.load(path) if isinstance(t, Mapping)]
        if not trees:
            return {folder}
        tree = trees[0]
        visited = {folder}
        own: list[Resource] = []
        for entry in (*tree.list("resources"), *tree.list("bases")):
            visited |= self._include(entry, folder, path, build, (*above, folder), own)
        for entry in tree.list("components"):
            target = _below(folder, entry.value) if isinstance(entry, Scalar) else None
            if target is not None and self.kustomization(target):
                visited |= self._collect(target, build, (*above, folder), own)
            else:
                self._missing(path, entry)
        resources[:] = self._transform(tree, folder, path, build, [*resources, *own])
        return visited

    def _include(
        self,
        entry: Node,
        folder: str,
        path: str,
        build: Build,
        above: tuple[str, ...],
        own: list[Resource],
    ) -> set[str]:
        target = _below(folder, entry.value) if isinstance(entry, Scalar) else None
        if target is not None and target in self.files:
            build.files.add(target)
            own += self.objects(target)
        elif target is not None and self.kustomization(target):
            fresh: list[Resource] = []
            visited = self._collect(target, build, above, fresh)
            own += fresh
            return visited
        else:
            self._missing(path, entry)
        return set()

    def _missing(self, path: str, entry: Node) -> None:
        if isinstance(entry, Scalar):
            line = entry.place.line if entry.place is not None else 1
            why = "is not in this repository" if _is_remote(entry.value) else "does not exist"
            self.problem(path, line, f"{entry.value} {why}, so what it declares is not known")

    def _transform(
        self, tree: Mapping, folder: str, path: str, build: Build, resources: list[Resource]
    ) -> list[Resource]:
        """The transformers of one kustomization, in Kustomize's order."""
        late: list[tuple[Mapping | None, Listing]] = []
        for key, patch, target in self._patches(tree, folder, path, build):
            if isinstance(patch, Mapping):
                resources = self._strategic(patch, target, resources, path)
            elif isinstance(patch, Listing) and key == "patchesJson6902":
                late.append((target, patch))
            elif isinstance(patch, Listing):
                resources = self._json6902(patch, target, resources, path)
        done = [_renamed(tree, resource) for resource in resources]
        for target, operations in late:
            done = self._json6902(operations, target, done, path)
        for entry in tree.list("replicas"):
            if isinstance(entry, Mapping):
                done = [_scaled(entry, resource) for resource in done]
        return done

    def _patches(
        self, tree: Mapping, folder: str, path: str, build: Build
    ) -> Iterable[tuple[str, Node, Mapping | None]]:
        """Every patch of a kustomization with the key it is under and its target, in order."""
        for key in ("patchesStrategicMerge", "patches", "patchesJson6902"):
            for entry in tree.list(key):
                target, source = None, entry
                if isinstance(entry, Mapping):
                    selector = entry.get("target")
                    target = selector if isinstance(selector, Mapping) else None
                    source = entry.items.get("path") or entry.items.get("patch") or entry
                if not isinstance(source, Scalar):
                    continue
                file = _below(folder, source.value) if "\n" not in source.value else None
                if file is not None and file in self.files:
                    build.files.add(file)
                    trees = self.load(file)
                elif "\n" in source.value or ":" in source.value:
                    if source.place is None:
                        continue
                    text = self.files[source.place.path]
                    trees, problems = embedded(source, source.place, text)
                    for p in problems:
                        self.problem(p.path, p.line, p.reason)
                else:
                    self._missing(path, source)
                    continue
                for patch in trees:
                    yield key, patch, target

    def _strategic(
        self, patch: Mapping, target: Mapping | None, resources: list[Resource], path: str
    ) -> list[Resource]:
        hit = [r for r in resources if self._matches(r, patch, target, path)]
        alone = len(hit) == 1
        done = []
        for r in resources:
            if not any(r is h for h in hit):
                done.append(r)
            elif patch.text("$patch") != "delete":
                body = patch
                if target is not None:  # a targeted patch may carry any name: it does not rename
                    body = Mapping(
                        {k: v for k, v in patch.items.items() if k not in ("apiVersion", "kind")},
                        patch.at,
                    )
                    body = drop(drop(body, ("metadata", "name")), ("metadata", "namespace"))
                builtin = bool(_BUILT_IN.match(r.tree.text("apiVersion") or ""))
                tree = merged(r.tree, body, builtin=builtin)
                layers = (*r.layers, patch) if alone and builtin else r.layers
                done.append(replace(r, tree=tree, layers=layers))
        return done

    def _json6902(
        self, operations: Listing, target: Mapping | None, resources: list[Resource], path: str
    ) -> list[Resource]:
        done = []
        for r in resources:
            tree = r.tree
            if target is not None and self._matches(r, Mapping({}), target, path):
                for operation in operations.items:
                    if isinstance(operation, Mapping):
                        tree = self._operate(tree, operation, path)
            done.append(replace(r, tree=tree))
        return done

    def _operate(self, node: Mapping, operation: Mapping, path: str) -> Mapping:
        """One operation of RFC 6902. `test` changes nothing; `move` and `copy` are not known."""
        op, pointer = operation.text("op"), operation.text("path") or ""
        steps = [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]
        if op == "test":
            return node
        value = operation.items.get("value")
        if op in ("add", "replace") and value is not None and steps:
            return _set_key(node, steps, value, adding=op == "add")
        if op == "remove" and steps:
            return _set_key(node, steps, None)
        where = operation.scalar("op")
        line = where.place.line if where is not None and where.place is not None else 1
        file = where.place.path if where is not None and where.place is not None else path
        self.problem(file, line, f"JSON patch operation {op!r} is not understood")
        return node

    def _matches(self, r: Resource, patch: Mapping, target: Mapping | None, path: str) -> bool:
        """Whether a patch is for a resource: by its target, else by its own kind and name."""
        if target is None:
            namespace = patch.text("metadata", "namespace")
            return (
                patch.text("kind") == r.kind
                and patch.text("metadata", "name") in r.names
                and (namespace is None or r.namespace in (None, namespace))
            )
        for key, actual in (("kind", {r.kind}), ("name", r.names), ("namespace", {r.namespace})):
            wanted = target.text(key)
            if wanted is not None and not any(
                a is not None and re.fullmatch(wanted, a) for a in actual
            ):
                return False
        group, _, version = (r.tree.text("apiVersion") or "").rpartition("/")
        if target.text("group") not in (None, group) or target.text("version") not in (
            None,
            version,
        ):
            return False
        selector = target.text("labelSelector")
        for term in selector.split(",") if selector else ():
            equal = re.fullmatch(r"\s*([^=!\s]+)\s*==?\s*([^=\s]+)\s*", term)
            if equal is None:
                self.problem(path, 1, f"label selector {selector!r} is not understood")
                return False
            if r.tree.text("metadata", "labels", equal[1]) != equal[2]:
                return False
        return target.text("annotationSelector") is None


def _renamed(tree: Mapping, resource: Resource) -> Resource:
    """A resource with the kustomization's namespace, name and labels."""
    node, namespace = resource.tree, tree.scalar("namespace")
    if namespace is not None:
        node = put(node, ("metadata", "namespace"), namespace)
    prefix, suffix = tree.text("namePrefix") or "", tree.text("nameSuffix") or ""
    name = f"{prefix}{resource.name}{suffix}"
    if name != resource.name:
        node = put(node, ("metadata", "name"), Scalar(name, "str", None))
    template = pod_template(resource.kind)
    labels: list[tuple[Mapping, bool]] = [(tree.mapping("commonLabels"), True)]
    for group in tree.list("labels"):
        if isinstance(group, Mapping):
            pods = "true" in (group.text("includeSelectors"), group.text("includeTemplates"))
            labels.append((group.mapping("pairs"), pods))
    for pairs, pods in labels:
        for key, value in pairs.items.items():
            node = put(node, ("metadata", "labels", key), value)
            if pods and template is not None:
                node = put(node, (*template, "metadata", "labels", key), value)
    return replace(resource, tree=node, names=resource.names | {name})


def _scaled(entry: Mapping, resource: Resource) -> Resource:
    """A resource with the replicas of one entry of the kustomization, if it is meant."""
    number, kinds = entry.scalar("count"), ("Deployment", "StatefulSet", "ReplicaSet")
    if number is None or resource.kind not in kinds or entry.text("name") not in resource.names:
        return resource
    return replace(resource, tree=put(resource.tree, ("spec", "replicas"), number))


def pod_template(kind: str) -> tuple[str, ...] | None:
    """Keys from an object to its pod template, or None where it has none."""
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Job"):
        return ("spec", "template")
    if kind == "CronJob":
        return ("spec", "jobTemplate", "spec", "template")
    return None


def merged(below: Node | None, patch: Mapping, *, builtin: bool) -> Mapping:
    """A strategic merge: mappings merge, null removes, lists replace unless merged by a key.

    Objects that are not built in (`builtin` false) have no merge keys: their lists replace, as
    Kustomize does without a schema, and Helm always.
    """
    replacing = patch.text("$patch") == "replace"
    items = dict(below.items) if isinstance(below, Mapping) and not replacing else {}
    for name, child in patch.items.items():
        if name.startswith("$"):
            continue
        removes = isinstance(child, Scalar) and child.kind == "null"
        if removes or (isinstance(child, Mapping) and child.text("$patch") == "delete"):
            items.pop(name, None)
        else:
            items[name] = _merged_child(items.get(name), child, name, builtin=builtin)
    return Mapping(items)


def _merged_child(below: Node | None, patch: Node, key: str, *, builtin: bool) -> Node:
    if isinstance(patch, Mapping):
        return merged(below, patch, builtin=builtin)
    if isinstance(patch, Listing) and isinstance(below, Listing) and builtin:
        by = _merge_key(key, patch, below)
        if by is not None:
            return _merge_lists(below, patch, by)
    return patch


def _merge_key(key: str, *lists: Listing) -> str | None:
    items = [i for each in lists for i in each.items]
    for by in MERGE_KEYS.get(key, ()):
        if all(isinstance(i, Mapping) and i.text(by) is not None for i in items):
            return by
    return None


def _merge_lists(below: Listing, patch: Listing, by: str) -> Listing:
    items = {i.text(by): i for i in below.items if isinstance(i, Mapping)}
    for item in patch.items:
        if not isinstance(item, Mapping):
            continue
        if item.text("$patch") == "delete":
            items.pop(item.text(by), None)
        else:
            items[item.text(by)] = merged(items.get(item.text(by)), item, builtin=True)
    return Listing(tuple(items.values()))


def put(node: Mapping, keys: Sequence[str], value: Node) -> Mapping:
    """A copy of the tree with `value` at `keys`; mappings on the way are made."""
    child = node.items.get(keys[0])
    new = value if len(keys) == 1 else put(
        child if isinstance(child, Mapping) else Mapping({}), keys[1:], value
    )  # fmt: skip
    return Mapping(node.items | {keys[0]: new}, node.at)


def drop(node: Mapping, keys: Sequence[str]) -> Mapping:
    """A copy of the tree without what is at `keys`."""
    child = node.items.get(keys[0])
    if child is None:
        return node
    items = dict(node.items)
    if len(keys) == 1:
        del items[keys[0]]
    elif isinstance(child, Mapping):
        items[keys[0]] = drop(child, keys[1:])
    return Mapping(items, node.at)


def _set_key(
    node: Mapping, steps: Sequence[str], value: Node | None, *, adding: bool = False
) -> Mapping:
    """A copy of the tree with a JSON pointer's target set, or removed if `value` is None."""
    step, rest = steps[0], steps[1:]
    items = dict(node.items)
    child = items.get(step)
    if rest and isinstance(child, Mapping):
        items[step] = _set_key(child, rest, value, adding=adding)
    elif rest and isinstance(child, Listing):
        items[step] = _set_item(child, rest, value, adding=adding)
    elif not rest and value is None:
        items.pop(step, None)
    elif not rest and value is not None:
        items[step] = value
    return Mapping(items, node.at)


def _set_item(
    node: Listing, steps: Sequence[str], value: Node | None, *, adding: bool = False
) -> Listing:
    """The same for a list; a position that does not exist changes nothing."""
    step, rest = steps[0], steps[1:]
    items = list(node.items)
    number = len(items) if step == "-" else int(step) if step.isdigit() else -1
    if adding and not rest and value is not None and 0 <= number <= len(items):
        items.insert(number, value)
    elif 0 <= number < len(items):
        child = items[number]
        if rest and isinstance(child, Mapping):
            items[number] = _set_key(child, rest, value, adding=adding)
        elif rest and isinstance(child, Listing):
            items[number] = _set_item(child, rest, value, adding=adding)
        elif not rest and value is None:
            del items[number]
        elif not rest and value is not None:
            items[number] = value
    return Listing(tuple(items))


def _is_remote(target: str) -> bool:
    return "://" in target or target.startswith("git@") or "?ref=" in target


def _below(folder: str, relative: str) -> str | None:
    """A path of the repository from one relative to `folder`; None if it leads out of it."""
    if _is_remote(relative) or relative.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(folder, relative))
    return None if path.startswith("..") else "" if path == "." else path


def applied(folder: str, patterns: Sequence[str]) -> bool:
    """Whether a folder matches a pattern; `.` is the root."""
    return (folder or ".") in patterns or any(matches(folder, p) for p in patterns)


def matches(folder: str, pattern: str) -> bool:
    """Whether a path matches: `**` stands for any folders, `*` for one name."""
    return _glob_parts(
        folder.split("/") if folder else [], [p for p in pattern.split("/") if p not in ("", ".")]
    )


def _glob_parts(names: list[str], parts: list[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_glob_parts(names[i:], parts[1:]) for i in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _glob_parts(names[1:], parts[1:])
