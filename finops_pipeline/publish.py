"""From the working generation to what readers see: the Parquet generation and `showback.duckdb`.

What belongs here: the order of publishing, so that a reader never sees half of anything and a
kill at any point leaves something whole.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import duckdb

from . import contracts, history
from .contracts import Table
from .contracts.fields import FIELDS
from .warehouse import Warehouse, identifier, literal, two_at_a_time

KEPT_STAGES = ("declared", "showback", "rightsizing")
KEPT_TABLES = ("finding",)


def is_kept(table: Table) -> bool:
    """Whether the database holds the rows of a table: what people read, and no large step to it.

    The others are views over Parquet.
    """
    return table.stage in KEPT_STAGES or table.name in KEPT_TABLES


def publish(warehouse: Warehouse) -> Path:
    """Publish the working generation and rebuild the database if it is of another one.

    Returns the path of the database. The database is written beside its place and renamed, so
    that readers keep the file they opened.
    """
    history.stamp(warehouse)
    generation = warehouse.publish()
    database = _renew(warehouse, generation)
    # Last, because until now the database asked the generation before this one.
    history.collect(warehouse)
    return database


def _renew(warehouse: Warehouse, generation: Path) -> Path:
    database = warehouse.config.database
    noted = warehouse.database_generation
    stamp = f"{generation.name} {database}"
    if database.exists() and noted.exists() and noted.read_text() == stamp:
        return database
    database.parent.mkdir(parents=True, exist_ok=True)
    draft = database.with_name(f".{database.name}.{os.getpid()}")
    for left in database.parent.glob(f".{database.name}.*"):
        left.unlink()
    write_database(generation, draft)
    with open(draft, "rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, database)
    noted.write_text(stamp)
    return database


def write_database(generation: Path, to: Path) -> None:
    """A DuckDB file of every table, in storage version v1.0.0, which any client can open.

    Two tables are written at a time, each by one thread: rows of a table that several threads
    append are compressed twice, and take more room.
    """
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("set global TimeZone = 'UTC'")
        connection.execute("set threads = 1")
        # What DuckDB 2 writes by default no 1.x client, command line or browser can read. And
        # without a log: a file that is not whole is never read, so no table waits for the disk.
        connection.execute(
            f"attach {literal(to)} as published "
            "(storage_version 'v1.0.0', recovery_mode 'no_wal_writes')"
        )

        def write(table: Table) -> None:
            with contextlib.closing(connection.cursor()) as session:
                session.execute("begin transaction")
                _write_table(session, table, generation)
                session.execute("commit")

        def size(table: Table) -> int:
            kept = (generation / table.name).glob("*/*.parquet") if is_kept(table) else ()
            return sum(file.stat().st_size for file in kept)

        # The largest first, so that both are busy to the end.
        two_at_a_time(write, sorted(contracts.tables().values(), key=size, reverse=True))
        connection.execute("begin transaction")
        history.write_states(connection, generation)
        connection.execute("commit")
        connection.execute("detach published")


def _write_table(connection: duckdb.DuckDBPyConnection, table: Table, generation: Path) -> None:
    name = f"published.{identifier(table.name)}"
    names = ", ".join(identifier(c) for c in table.names)
    files = generation / table.name / "*" / "*.parquet"
    there = any((generation / table.name).glob("*/*.parquet"))
    select = f"select {names} from read_parquet({literal(files)}, hive_partitioning = false)"
    kind = "table" if is_kept(table) or not there else "view"
    if kind == "view":
        connection.execute(f"create view {name} as {select}")
    else:
        few = _of_few_values(connection, files) if there else set()
        columns = ", ".join(
            f"{identifier(c)} {t}{' using compression dictionary' if c in few else ''}"
            for c, t in table.duckdb.items()
        )
        connection.execute(f"create table {name} ({columns})")
        if there:
            connection.execute(f"insert into {name} {select}")
    connection.execute(f"comment on {kind} {name} is {literal(table.doc)}")
    if kind == "table":
        for column in table.names:
            connection.execute(
                f"comment on column {name}.{identifier(column)} "
                f"is {literal(FIELDS[column].description)}"
            )


def _of_few_values(connection: duckdb.DuckDBPyConnection, files: Path) -> set[str]:
    """Text columns that Parquet keeps as dictionaries: to try the other ways takes longer."""
    found = connection.execute(
        f"select path_in_schema from parquet_metadata({literal(files)}) "
        "where type = 'BYTE_ARRAY' group by path_in_schema "
        "having bool_and(contains(encodings, 'DICTIONARY'))"
    ).fetchall()
    return {column for (column,) in found}
