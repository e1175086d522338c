"""YAML that remembers where every value is written, and the edit that touches nothing else.

What belongs here: from text to a tree whose scalars know their characters, and from a place and
a new value to new text. What the keys mean is in the modules beside this one. Files are never
dumped again: a change replaces the characters of one value, so comments, quoting, order and line
ends stay as their author left them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from ..errors import EditRefused


@dataclass(frozen=True)
class Place:
    """The characters `start:end` of a file that hold one value, or where it would be put.

    `line` counts from 1, `document` from 0. `raw` is what stands there. A value that is not
    written yet has `raw == ""` and the `prefix` and `suffix` that must be written around it.
    `refusal` says why the value cannot be edited here, if so.
    """

    path: str
    document: int
    line: int
    start: int
    end: int
    raw: str
    quote: str = ""
    prefix: str = ""
    suffix: str = ""
    refusal: str = ""


@dataclass(frozen=True)
class Scalar:
    """A single value: its text without quotes, and where it is written."""

    value: str
    kind: str
    place: Place | None


@dataclass(frozen=True)
class Entry:
    """One `key: value` of a written mapping: offsets of the key and of the value's last character.

    `end` is -1 where the value ends in a block of text, whose last line belongs to it.
    """

    start: int
    end: int


@dataclass(frozen=True)
class Written:
    """How a mapping stands in its file; what is needed to add a key to it."""

    text: str = field(repr=False, compare=False)
    path: str
    document: int
    flow: bool
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Mapping:
    """Keys to nodes. `at` is how it is written; a merged mapping is written nowhere."""

    items: dict[str, Node]
    at: Written | None = None

    def get(self, *keys: str) -> Node | None:
        """The node below `keys`, or None."""
        node: Node | None = self
        for key in keys:
            node = node.items.get(key) if isinstance(node, Mapping) else None
        return node

    def text(self, *keys: str) -> str | None:
        """The value below `keys` if it is a scalar that is not null."""
        node = self.get(*keys)
        return node.value if isinstance(node, Scalar) and node.kind != "null" else None

    def scalar(self, *keys: str) -> Scalar | None:
        """The scalar below `keys`, unless it is null."""
        node = self.get(*keys)
        return node if isinstance(node, Scalar) and node.kind != "null" else None

    def mapping(self, *keys: str) -> Mapping:
        """The mapping below `keys`; an empty one if there is none."""
        node = self.get(*keys)
        return node if isinstance(node, Mapping) else Mapping({})

    def list(self, *keys: str) -> tuple[Node, ...]:
        """The items below `keys`; empty if there is no list."""
        node = self.get(*keys)
        return node.items if isinstance(node, Listing) else ()


@dataclass(frozen=True)
class Listing:
    """A sequence of nodes."""

    items: tuple[Node, ...]


Node: TypeAlias = Scalar | Mapping | Listing
Step: TypeAlias = str | tuple[str, str]
"""A key of a mapping, or `(key, value)` for the list item whose `key` is `value`."""


@dataclass(frozen=True)
class Problem:
    """Something in the repository that could not be read, and is therefore not declared."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def documents(path: str, text: str) -> tuple[tuple[Node, ...], tuple[Problem, ...]]:
    """The documents of a YAML file, and what is wrong with it.

    Documents before a syntax error are kept. Anchors, aliases and merge keys are followed; a
    value reached through one stands for several, so its place refuses edits.
    """
    found: list[Node] = []
    problems: list[Problem] = []
    try:
        for index, node in enumerate(yaml.compose_all(text, Loader=yaml.SafeLoader)):
            if node is not None:
                reader = _Reader(path, text, index, lambda mark: int(mark.index), 1, problems)
                found.append(reader.read(node))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        number = mark.line + 1 if mark is not None else text.count("\n", 0, _position(error)) + 1
        problems.append(Problem(path, number, f"not YAML: {_said(error)}{_hint(text)}"))
    except RecursionError:
        problems.append(Problem(path, 1, "nested too deeply, or an alias contains itself"))
    return tuple(found), tuple(problems)


def embedded(
    block: Scalar, place: Place, text: str
) -> tuple[tuple[Node, ...], tuple[Problem, ...]]:
    """The YAML inside a block scalar (an inline patch) at `place`; `text` is the whole file.

    Places point into the file itself. Only a literal block (`|`) can be edited: in any other
    style the characters of the file are not those of the value.
    """
    start_line = text.count("\n", 0, place.start) + 1  # index of the line below the `|`
    lines = text.split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    literal = place.raw.startswith("|")
    indent = 0
    for number, inner in enumerate(block.value.split("\n")):
        if literal and inner.strip() and start_line + number < len(lines):
            outer = lines[start_line + number]
            indent = len(outer) - len(outer.lstrip(" ")) - (len(inner) - len(inner.lstrip(" ")))
            break

    def offset(mark: Any) -> int:
        line = min(start_line + int(mark.line), len(lines))
        return min(offsets[line] + indent + int(mark.column), len(text)) if literal else -1

    found: list[Node] = []
    problems: list[Problem] = []
    try:
        for node in yaml.compose_all(block.value, Loader=yaml.SafeLoader):
            if node is not None:
                first = start_line + 1
                reader = _Reader(place.path, text, place.document, offset, first, problems)
                found.append(reader.read(node))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        number = place.line + (mark.line + 1 if mark is not None else 0)
        problems.append(Problem(place.path, number, f"inline patch is not YAML: {_said(error)}"))
    return tuple(found), tuple(problems)


class _Reader:
    """Turns composed nodes into our tree; aliases are followed once and marked."""

    def __init__(
        self,
        path: str,
        text: str,
        document: int,
        offset: Callable[[Any], int],
        first_line: int,
        problems: list[Problem],
    ) -> None:
        self.path, self.text, self.document = path, text, document
        self.offset, self.first_line, self.problems = offset, first_line, problems
        self.done: dict[tuple[int, bool], Node] = {}
        self.many: set[int] = set()

    def read(self, node: Any) -> Node:
        """The tree of one document."""
        self._count(node, set())
        return self._node(node, False)

    def _count(self, node: Any, seen: set[int]) -> None:
        if id(node) in seen:
            self.many.add(id(node))
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._count(key, seen)
                self._count(value, seen)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._count(item, seen)

    def _node(self, node: Any, shared: bool) -> Node:
        shared = shared or id(node) in self.many
        key = (id(node), shared)
        if key not in self.done:
            if isinstance(node, yaml.MappingNode):
                self.done[key] = self._mapping(node, shared)
            elif isinstance(node, yaml.SequenceNode):
                self.done[key] = Listing(tuple(self._node(n, shared) for n in node.value))
            else:
                self.done[key] = self._scalar(node, shared)
        return self.done[key]

    def _mapping(self, node: Any, shared: bool) -> Mapping:
        items: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        entries = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:
                    tree = self._node(source, True)
                    for name, child in tree.items.items() if isinstance(tree, Mapping) else ():
                        merged.setdefault(name, child)
                continue
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, f"a key that is itself a list or mapping{_hint(self.text)}")
                continue
            if key.value in items:
                self._problem(key, f"key {key.value!r} is written twice; the last one counts")
            items[key.value] = self._node(value, shared)
            entries.append(Entry(self.offset(key.start_mark), self._end(value)))
        at = None
        if not shared and self.offset(node.start_mark) >= 0:
            at = Written(self.text, self.path, self.document, bool(node.flow_style), tuple(entries))
        return Mapping(merged | items, at)

    def _scalar(self, node: Any, shared: bool) -> Scalar:
        kind = node.tag.rsplit(":", 1)[-1]
        start, end = self.offset(node.start_mark), self.offset(node.end_mark)
        raw, refusal = self.text[start:end] if start >= 0 else "", ""
        quote = node.style if node.style in ("'", '"') else ""
        line = self.first_line + int(node.start_mark.line)
        if start < 0 or (node.style is None and raw != node.value):
            refusal = "it is inside a text that is not written as a literal block (`|`)"
        elif node.style in ("|", ">"):
            refusal = "it is written as a block of text"
        elif shared:
            refusal = "it is an anchor or alias, so other values would change with it"
        place = Place(self.path, self.document, line, start, end, raw, quote, refusal=refusal)
        return Scalar(node.value, kind, place)

    def _end(self, node: Any) -> int:
        """Offset behind the last character of a node; its own mark may lie lines further on."""
        if isinstance(node, yaml.ScalarNode):
            return -1 if node.style in ("|", ">") else self.offset(node.end_mark)
        if node.flow_style or not node.value:
            return self.offset(node.end_mark)
        last = node.value[-1]
        return self._end(last[1] if isinstance(node, yaml.MappingNode) else last)

    def _problem(self, node: Any, reason: str) -> None:
        line = self.first_line + int(node.start_mark.line)
        self.problems.append(Problem(self.path, line, reason))


def edit(text: str, place: Place, value: str) -> str:
    """`text` with `value` at `place`, every other character untouched.

    Raises `EditRefused` when the place cannot be edited, when the text is not the one the place
    was found in, or when the value would need other quoting than the author's.
    """
    where = f"{place.path}:{place.line}"
    if place.refusal:
        raise EditRefused(f"{where}: the value cannot be edited: {place.refusal}")
    if text[place.start : place.end] != place.raw:
        raise EditRefused(f"{where}: the file changed since it was read; run again")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", value):
        raise EditRefused(f"{where}: {value!r} is not a plain number or quantity")
    written = f"{place.prefix}{place.quote}{value}{place.quote}{place.suffix}"
    return text[: place.start] + written + text[place.end :]


def walk(node: Node | None, steps: Sequence[Step]) -> Node | None:
    """The node below `steps`, or None."""
    for step in steps:
        if isinstance(step, str):
            node = node.items.get(step) if isinstance(node, Mapping) else None
        else:
            node = named(node, step)
    return node


def named(node: Node | None, step: tuple[str, str]) -> Node | None:
    """The list item whose key has the value, or None."""
    if isinstance(node, Listing):
        for item in node.items:
            if isinstance(item, Mapping) and item.text(step[0]) == step[1]:
                return item
    return None


def insertion(root: Node, steps: Sequence[Step]) -> Place | None:
    """Where the value at `steps` would be added to a written document, or None if not safely.

    The deepest mapping that exists gets the missing keys at its end, indented as its own keys are.
    """
    depth, target = 0, root if isinstance(root, Mapping) else None
    node: Node | None = root
    for number, step in enumerate(steps, start=1):
        node = walk(node, [step])
        if isinstance(node, Mapping):
            depth, target = number, node
        elif node is None:
            break
    missing = steps[depth:]
    if target is None or target.at is None or not missing or not target.at.entries:
        return None
    if walk(target, missing[:1]) is not None or isinstance(missing[-1], tuple):
        return None  # a list is there, but not our item: adding to it is not one plain insert
    at, first, last = target.at, target.at.entries[0], target.at.entries[-1]
    if last.end < 0 or last.end < last.start:  # it ends in a block of text, or in an alias
        return None
    if at.flow:
        if not all(isinstance(step, str) for step in missing):
            return None
        prefix = ", " + "".join(f"{step}: {{" for step in missing[:-1]) + f"{missing[-1]}: "
        return _empty(at, last.end, prefix, "}" * (len(missing) - 1))
    begin = at.text.rfind("\n", 0, first.start) + 1
    if at.text[begin : first.start].strip(" -"):
        return None
    end = at.text.find("\n", last.end)
    end = len(at.text) if end < 0 else end
    newline = "\r\n" if at.text[:end].endswith("\r") else "\n"
    lines = _nested(missing, " " * (first.start - begin))
    return _empty(at, end - (newline == "\r\n"), newline + newline.join(lines), "")


def _nested(missing: Sequence[Step], pad: str) -> list[str]:
    """Lines of a block that reaches down to the last step, without its value."""
    lines = []
    for step in missing[:-1]:
        lines.append(f"{pad}- {step[0]}: {step[1]}" if isinstance(step, tuple) else f"{pad}{step}:")
        pad += "  "
    return [*lines, f"{pad}{missing[-1]}: "]


def _empty(at: Written, offset: int, prefix: str, suffix: str) -> Place:
    line = at.text.count("\n", 0, offset) + 1
    return Place(at.path, at.document, line, offset, offset, "", "", prefix, suffix)


def _said(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return " ".join(str(problem).split())


def _position(error: yaml.YAMLError) -> int:
    return int(getattr(error, "position", 0) or 0)


def _hint(text: str) -> str:
    looks = "{{" in text
    return "; it looks like a template: list its values file in helm_values" if looks else ""
