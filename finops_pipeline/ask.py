"""Questions to `showback.duckdb`: opened read-only, printed for a terminal or as CSV."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from . import queries
from .errors import ConfigError, Permanent
from .warehouse import identifier


@contextlib.contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database, read-only, with the macros; `ConfigError` when there is none yet."""
    if not database.exists():
        raise ConfigError(f"{database} is not there yet; `finops run` writes it")
    connection = duckdb.connect()
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(queries.macros())
        path = str(database).replace("'", "''")
        connection.execute(f"attach '{path}' as showback (read_only)")
        # Macros lie in the database the connection began with.
        connection.execute("set search_path = 'showback,memory'")
        yield connection
    finally:
        connection.close()


def ask(database: Path, query: str, *, csv: bool = False) -> str:
    """The answer to one SQL statement as text. A query that does not run is a `Permanent` error."""
    with opened(database) as connection:
        try:
            names, rows = fetch(connection, query)
        except duckdb.Error as error:
            raise Permanent(f"the query does not run: {error}") from None
    return as_csv(names, rows) if csv else as_table(names, rows)


def list_tables(database: Path) -> str:
    """Every table with its row count and what it is."""
    with opened(database) as connection:
        _, rows = fetch(
            connection,
            "select table_name, coalesce(comment, '') as what from "
            "(select table_name, comment from duckdb_tables() where database_name = 'showback' "
            "union all select view_name, comment from duckdb_views() "
            "where database_name = 'showback' and not internal) order by table_name",
        )
        counted = [
            (
                name,
                connection.execute(f"select count(*) from {identifier(name)}").fetchall()[0][0],
                what,
            )
            for name, what in rows
        ]
    return as_table(["table", "rows", "what"], counted)


def fetch(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names and rows of a query."""
    result = connection.execute(query, dict(parameters or {}))
    return [d[0] for d in result.description or ()], result.fetchall()


def as_csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as CSV with a header, money in full."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_text(v) if v is not None else "" for v in row] for row in rows])
    return buffer.getvalue().rstrip("\n")


def as_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], figures: Collection[int] = ()
) -> str:
    """Rows as aligned columns; numbers to the right, long text cut.

    `figures` are the places of columns whose numbers are written out already.
    """
    if not rows:
        return "(no rows)"
    cells = [[_short(_text(v)) for v in row] for row in rows]
    widths = [max(len(n), *(len(r[i]) for r in cells)) for i, n in enumerate(names)]
    right = [
        i in figures or all(isinstance(r[i], (int, Decimal)) or r[i] is None for r in rows)
        for i in range(len(names))
    ]

    def line(values: Sequence[str]) -> str:
        parts = [
            v.rjust(w) if is_number else v.ljust(w)
            for v, w, is_number in zip(values, widths, right, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(names), line(["-" * w for w in widths]), *(line(c) for c in cells)])


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return (
            f"{value.normalize():f}" if value == value.to_integral() else f"{value:f}".rstrip("0")
        )
    return "" if value is None else str(value)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:97] + "..."
