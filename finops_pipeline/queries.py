"""A SQL file as a value: what it says of itself, what it reads, which parameters it takes.

What belongs here: finding SQL files and parsing them. Running them is `warehouse.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb

from .errors import ConfigError, UnknownName

SELECT_ALL = re.compile(r"select \* from (\w+)")


def sql_root() -> Path:
    """The folder of SQL files: inside the installed package, or at the top of a source tree."""
    shipped = Path(str(files("finops_pipeline"))) / "_sql"
    return shipped if shipped.is_dir() else Path(__file__).parents[1] / "sql"


@dataclass(frozen=True)
class Query:
    """One SELECT of the `sql/` folder.

    `path` is its path below `sql/` without the ending, `doc` its header comment, `reads` the
    tables it names (CTEs excluded), `parameters` its `$names`.
    """

    path: str
    text: str
    doc: str
    reads: frozenset[str]
    parameters: frozenset[str]

    @property
    def name(self) -> str:
        """The table it fills: the file's stem."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def unites(self) -> tuple[str, ...]:
        """The tables it reads, in order, where all it says is that it has all rows of them."""
        said = " ".join(line for line in self.text.splitlines() if not line.startswith("--"))
        whole = [SELECT_ALL.fullmatch(s.strip()) for s in said.split("union all")]
        return tuple(m[1] for m in whole if m) if all(whole) else ()

    @property
    def digest(self) -> str:
        """Fingerprint of the text and of the macros it may use."""
        return hashlib.sha256((macros() + self.text).encode()).hexdigest()


@cache
def macros() -> str:
    """The text of `sql/macros.sql`."""
    return (sql_root() / "macros.sql").read_text(encoding="utf-8")


@cache
def query(path: str) -> Query:
    """The query at `sql/<path>.sql`; `UnknownName` when there is none."""
    file = sql_root() / f"{path}.sql"
    if not file.is_file():
        folder = path.rsplit("/", 1)[0]
        raise UnknownName(f"SQL file in sql/{folder}", path.rsplit("/", 1)[-1], stems(folder))
    text = file.read_text(encoding="utf-8")
    try:
        reads, parameters = _names_in(text)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    return Query(path, text, header(text), reads, parameters)


def stems(folder: str) -> list[str]:
    """Names of the SQL files directly in `sql/<folder>`, sorted."""
    return sorted(p.stem for p in (sql_root() / folder).glob("*.sql"))


@cache
def checks(table: str) -> tuple[Query, ...]:
    """The rules of a table: `sql/checks/<table>__<rule>.sql`, each returning offending rows."""
    return tuple(query(f"checks/{s}") for s in stems("checks") if s.split("__", 1)[0] == table)


def header(text: str) -> str:
    """The comment a file opens with, as Markdown paragraphs."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line[2:].strip())
    return "\n".join(lines).strip()


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _parsed(text: str) -> Any:
    """The statements of a SELECT as DuckDB's parser has them."""
    cursor = _parser().cursor()
    tree = cursor.execute("select json_serialize_sql(?::varchar)", [text]).fetchall()[0][0]
    parsed = json.loads(tree)
    if parsed.get("error"):
        raise ValueError(parsed.get("error_message", "not a SELECT"))
    return parsed["statements"]


@cache
def made_from(path: str, given: frozenset[str]) -> dict[str, frozenset[str]]:
    """The columns of a query, and for each which of the `given` columns decide it.

    `given` are the columns of what it reads, in lower case. They are found through every CTE and
    alias; `*` is among them where something else decides: a window, a subquery, an unknown name.
    """
    (statement,) = _parsed(query(path).text)
    behind: dict[str, set[str]] = {}
    for column in _selected(statement):
        behind.setdefault(_alias(column).casefold(), set()).update(_named(column))
    for names in behind.values():
        more = [*names]
        while more:
            new = behind.get(more.pop(), set()) - names
            names.update(new)
            more += new
    found = {
        name: names & given | ({"*"} if names - given - behind.keys() else set())
        for name, names in behind.items()
    }
    columns = [_alias(c) for c in statement["node"]["select_list"]]
    return {name: frozenset(found[name.casefold()]) for name in columns}


@cache
def with_enums(path: str) -> tuple[str, dict[str, str]]:
    """A query whose columns of a few texts of its own are enums, and the types of those columns.

    They are CASEs between literals, also where a CTE has them. DuckDB 1.5 does not tell where a
    literal ends: there they stay text.
    """
    text = query(path).text.encode()
    (statement,) = _parsed("select 'text'")
    if "literal" not in statement["node"]["select_list"][0]:
        return text.decode(), {}
    (statement,) = _parsed(text.decode())
    made: dict[str, list[Any]] = {}
    for column in _selected(statement):
        made.setdefault(_alias(column).casefold(), []).append(column)
    types: dict[str, str] = {}
    cast: dict[int, tuple[int, str]] = {}
    for column in statement["node"]["select_list"]:
        behind, followed = column, set()
        while behind["class"] == "COLUMN_REF":
            name = behind["column_names"][-1].casefold()
            others = [m for m in made.get(name, ()) if [*_named(m)] != [name]]
            if name in followed or len(others) != 1:
                break
            followed.add(name)
            (behind,) = others
        places = _literals(behind) if behind["class"] != "CONSTANT" else None
        if not places:
            continue
        kind = f"enum({', '.join(sorted({text[a:b].decode() for a, b in places}))})"
        types[_alias(column)] = kind
        cast |= {a: (b, kind) for a, b in places}
    for start, (end, kind) in sorted(cast.items(), reverse=True):
        text = b"%scast(%s as %s)%s" % (text[:start], text[start:end], kind.encode(), text[end:])
    return text.decode(), types


def with_columns(text: str, columns: Iterable[str]) -> str:
    """A query that returns more columns of what its outermost SELECT reads."""
    (statement,) = _parsed(text)
    written = text.encode()
    at = written.rindex(b"from", 0, statement["node"]["from_table"]["query_location"])
    more = "".join(f", {column}" for column in columns)
    return (written[:at] + f"{more} ".encode() + written[at:]).decode()


def _literals(node: Any) -> list[tuple[int, int]] | None:
    """Where the literals that an expression is one of are written; None if it may be another."""
    parts: list[Any] = []
    match node["class"], node["type"]:
        case "CONSTANT", _ if node["literal"]["kind"] == "NULL_LITERAL":
            return []
        case "CONSTANT", _ if node["literal"]["kind"] == "STRING":
            start = node["query_location"]
            return [(start, start + node["query_location_length"])]
        case "CASE", _:
            parts = [*(check["then_expr"] for check in node["case_checks"]), node["else_expr"]]
        case _, "OPERATOR_COALESCE":
            parts = node["children"]
        case _, "ARRAY_EXTRACT" if node["children"][0].get("function_name") == "map":
            _, values = node["children"][0]["arguments"]
            parts = [each["expression"] for each in values["expression"]["arguments"]]
    found = [_literals(part) for part in parts]
    if not parts or None in found:
        return None
    return [place for places in found for place in places or ()]


def _selected(tree: Any) -> Iterator[Any]:
    """The expressions of all select lists in a parsed query."""
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield from (c for c in node.get("select_list", ()) if c["class"] != "STAR")
        stack.extend(node.values() if isinstance(node, dict) else node)
        stack = [n for n in stack if isinstance(n, dict | list)]


def _alias(column: dict[str, Any]) -> str:
    return str(column["alias"] or column.get("column_names", [""])[-1])


def _named(expression: Any) -> Iterator[str]:
    """Names of columns in an expression."""
    if isinstance(expression, dict):
        if expression.get("class") in ("WINDOW", "SUBQUERY"):
            yield "*"
        if expression.get("class") == "COLUMN_REF":
            yield expression["column_names"][-1].casefold()
    for part in expression.values() if isinstance(expression, dict) else expression:
        if isinstance(part, dict | list):
            yield from _named(part)


def _names_in(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Tables (CTEs excluded) and `$parameters` a SELECT names, from its parsed form."""
    named: set[str] = set()
    ctes: set[str] = set()
    parameters: set[str] = set()
    stack: list[Any] = [_parsed(text)]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if node.get("type") == "BASE_TABLE":
                named.add(node["table_name"])
            elif node.get("type") == "VALUE_PARAMETER":
                parameters.add(node["identifier"])
            ctes.update(entry["key"] for entry in node.get("cte_map", {}).get("map", ()))
            stack.extend(node.values())
    return frozenset(named - ctes), frozenset(parameters)
