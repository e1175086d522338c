"""From the working generation to what readers see: the Parquet generation and `showback.duckdb`.

What belongs here: the order of publishing, so that a reader never sees half of anything and a
kill at any point leaves something whole.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import duckdb

from . import contracts, history
from .contracts import Table
from .contracts.fields import FIELDS
from .warehouse import (
    STATE,
    State,
    Warehouse,
    digest,
    identifier,
    literal,
    rows_of,
    two_at_a_time,
)

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
    stamp = f"{generation.name} {database} {_made_of()}"
    known = noted.read_text(encoding="utf-8") if database.exists() and noted.exists() else ""
    if known == stamp:
        return database
    database.parent.mkdir(parents=True, exist_ok=True)
    draft = database.with_name(f".{database.name}.{os.getpid()}")
    for left in database.parent.glob(f".{database.name}.*"):
        left.unlink()
    number, _, rest = known.partition(" ")
    before = generation.with_name(number) if stamp == f"{generation.name} {rest}" else None
    if before is None or not before.is_dir() or not renew(before, generation, database, draft):
        write_database(generation, draft)
    with open(draft, "rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, database)
    noted.write_text(stamp, encoding="utf-8")
    return database


def _made_of() -> str:
    """What the tables of a database are besides their rows: with another, all is written anew."""
    told = [
        (t.name, t.doc, t.columns, is_kept(t), [FIELDS[n].description for n in t.names])
        for t in contracts.tables().values()
    ]
    return digest(told, history.PERIOD_STATE, duckdb.__version__)


def write_database(generation: Path, to: Path) -> None:
    """A DuckDB file of every table, in storage version v1.0.0, which any client can open."""
    _each_table(generation, to, lambda session, table: _write_table(session, table, generation))


def renew(before: Path, generation: Path, database: Path, to: Path) -> bool:
    """The database of the generation `before` as that of `generation`: what differs is written.

    So a day costs what it changed, however many months are there. Returns whether it has the rows
    it should have; where it has not, somebody else wrote to it, and all of it is to be written.
    """
    shutil.copyfile(database, to)
    try:
        _each_table(
            generation, to, lambda session, table: _renew_table(session, table, before, generation)
        )
        right = _has_its_rows(generation, to)
    except duckdb.Error:
        right = False
    if not right:
        to.unlink()
    return right


def _each_table(
    generation: Path, to: Path, make: Callable[[duckdb.DuckDBPyConnection, Table], None]
) -> None:
    """Make the tables of a database, each in a transaction, and last what it tells of bills.

    Two tables are made at a time, each by one thread: rows of a table that several threads append
    are compressed twice, and take more room.
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
                make(session, table)
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
    listed = generation / table.name / "*" / "*.parquet"
    there = sorted((generation / table.name).glob("*/*.parquet"))
    kind = _kind(table, generation)
    if kind == "view":
        connection.execute(f"create view {name} as {rows_of(table, there, listed)}")
    else:
        few = _of_few_values(connection, listed) if there else set()
        columns = ", ".join(
            f"{identifier(c)} {t}{' using compression dictionary' if c in few else ''}"
            for c, t in table.duckdb.items()
        )
        connection.execute(f"create table {name} ({columns})")
        if there:
            connection.execute(f"insert into {name} {rows_of(table, there)}")
    connection.execute(f"comment on {kind} {name} is {literal(table.doc)}")
    if kind == "table":
        for column in table.names:
            connection.execute(
                f"comment on column {name}.{identifier(column)} "
                f"is {literal(FIELDS[column].description)}"
            )


def _kind(table: Table, generation: Path) -> str:
    """A view has to have a file: what nobody filled yet is an empty table."""
    there = any((generation / table.name).glob("*/*.parquet"))
    return "table" if is_kept(table) or not there else "view"


def _renew_table(
    connection: duckdb.DuckDBPyConnection, table: Table, before: Path, generation: Path
) -> None:
    """Write what differs between two generations of a table that has the rows of the first."""
    name = f"published.{identifier(table.name)}"
    old, new = _files(before / table.name), _files(generation / table.name)
    changed = {f for f in old.keys() | new.keys() if old.get(f) != new.get(f)}
    if not is_kept(table) or 2 * len(changed) > len(new) or (changed and not table.partition):
        connection.execute(f"drop {_kind(table, before)} {name}")
        _write_table(connection, table, generation)
        return
    if table.name == "finding":
        # Those of bills are told again, by what is known of them now.
        connection.execute(f"delete from {name} where x_FindingKind in {history.CLOSED_KINDS}")
    for partition in sorted({p for p, _ in changed}):
        folder = before / table.name / partition
        for where, files in _pieces(table, folder, changed, old.keys(), new.keys()):
            connection.execute(f"delete from {name} where {where}")
            if files:
                there = [generation / table.name / partition / f for f in files]
                connection.execute(f"insert into {name} {rows_of(table, there)}")


def _pieces(
    table: Table,
    folder: Path,
    changed: Iterable[tuple[str, str]],
    old: Iterable[tuple[str, str]],
    new: Iterable[tuple[str, str]],
) -> list[tuple[str, list[str]]]:
    """What of a partition is to go, as SQL, and the files that come for it.

    `folder` is where the partition was. Of a table kept by day, whose files are named by their
    first day, that is a range of days; of the list of findings, whose files are those of several
    tables, the findings of a file.
    """
    partition = folder.name
    everything = f"{identifier(table.partition)} = {literal(partition)}"
    was, names, other = ([f for p, f in sorted(of) if p == partition] for of in (old, new, changed))
    if table.name == "finding":
        in_file = "x_FindingId in (select x_FindingId from read_parquet({}))"
        return [
            (
                f"{everything} and {in_file.format(literal(folder / f))}" if f in was else "false",
                [f] if f in names else [],
            )
            for f in other
        ]
    if not table.by_day or was != names:
        return [(everything, names)]
    until = dict(itertools.pairwise(names))
    return [
        (
            f"{everything} and x_ChargeDay >= date {literal(Path(f).stem)}"
            + (f" and x_ChargeDay < date {literal(Path(until[f]).stem)}" if f in until else ""),
            [f],
        )
        for f in other
    ]


def _files(folder: Path) -> dict[tuple[str, str], str]:
    """Partition and name of each file of a table -> its bytes' SHA-256."""
    return {
        (place.parent.name, name): sha256
        for place in folder.glob(f"*/{STATE}")
        for name, sha256 in _state(place.parent).content.items()
    }


def _state(folder: Path) -> State:
    state = State.read(folder)
    assert state is not None
    return state


def _has_its_rows(generation: Path, database: Path) -> bool:
    """Whether the tables of a database have as many rows, month by month, as were published."""
    with contextlib.closing(duckdb.connect(str(database), read_only=True)) as connection:
        for table in filter(is_kept, contracts.tables().values()):
            of = identifier(table.partition) if table.partition else "'all'"
            told = f"where x_FindingKind not in {history.CLOSED_KINDS}" * (table.name == "finding")
            found = connection.execute(
                f"select {of}, count(*) from {identifier(table.name)} {told} group by 1"
            ).fetchall()
            states = {
                p.parent.name: _state(p.parent).rows
                for p in (generation / table.name).glob(f"*/{STATE}")
            }
            if dict(found) != {p: rows for p, rows in states.items() if rows}:
                return False
    return True


def _of_few_values(connection: duckdb.DuckDBPyConnection, files: Path) -> set[str]:
    """Text columns that Parquet keeps as dictionaries: to try the other ways takes longer."""
    found = connection.execute(
        f"select path_in_schema from parquet_metadata({literal(files)}) "
        "where type = 'BYTE_ARRAY' group by path_in_schema "
        "having bool_and(contains(encodings, 'DICTIONARY'))"
    ).fetchall()
    return {column for (column,) in found}
