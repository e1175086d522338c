"""Parquet is the truth, DuckDB asks: build, audit and publish partitions of tables.

What belongs here: where tables lie, how a partition is written so that nobody ever sees half
of it, and what is specific to the engine (paths, COPY, settings). What a table means is in
`sql/` and `contracts/`.

    <home>/current -> generations/000007      what readers see: one symlink, swapped
    <home>/generations/000007/<table>/<partition>/*.parquet + _state.json
    <home>/next/                              the generation a run works on, hard links first
    <home>/lock                               one run at a time

A partition knows the fingerprint of all it was built from, so work is proportional to what
changed, a killed run continues where it was, and a table built from an older input than the
one beside it cannot be published.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from . import bindings, contracts, queries
from .bindings import Scalar, SmallTable
from .config import Config
from .contracts import Table
from .errors import Busy, CheckFailed, ConfigError, ContractBroken
from .periods import days, days_around

STATE = "_state.json"
STAMP = "_generation.json"
Asked = TypeVar("Asked")
Made = TypeVar("Made")


@dataclass(frozen=True)
class State:
    """What a partition knows of itself: from what it was built, and what is in it."""

    fingerprint: str
    inputs: dict[str, str]
    rows: int
    sums: dict[str, str]
    checks: tuple[str, ...] = ()
    note: dict[str, Any] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file, as it was written."""

    @property
    def identity(self) -> str:
        """What a table made from this one depends on: its bytes.

        A partition that was read or made again with the same bytes leaves what is after it alone.
        """
        return digest(self.content)

    def write(self, folder: Path) -> None:
        """Save beside the data, keys sorted."""
        text = json.dumps(self.__dict__, indent=1, sort_keys=True)
        (folder / STATE).write_text(text, encoding="utf-8")

    @staticmethod
    def read(folder: Path) -> State | None:
        """The state of a partition folder; None when there is no whole partition."""
        try:
            data = json.loads((folder / STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        # what an earlier version wrote beside these is not asked for any more
        known = {k: v for k, v in data.items() if k in State.__dataclass_fields__}
        return State(**{**known, "checks": tuple(data["checks"])})


@dataclass(frozen=True)
class Part:
    """One input of a partition that is read on its own, such as a delivered file.

    `read` writes `<table>.parquet` for each of `tables` into the folder it is given. A part
    whose fingerprint did not change is linked, not read.
    """

    name: str
    fingerprint: str
    tables: tuple[str, ...]
    read: Callable[[Path], None]


@dataclass(frozen=True)
class Derived:
    """More parts of a partition, which `make` makes of the files of each table that were read.

    `mark` is a fingerprint of whatever else they are made of: while it and the parts that were
    read stay the same, `make` is not asked.
    """

    mark: str
    make: Callable[[Mapping[str, list[Path]]], Sequence[Part]]


@dataclass(frozen=True)
class DayRange:
    """A row of `day_range`: the days of one part of a month, `until` excluded."""

    start: date
    until: date

    @property
    def file(self) -> str:
        """Name of the part's Parquet file in every table that is kept by day."""
        return f"{self.start}.parquet"

    def holds(self, day: str, around: int = 0) -> bool:
        """Whether a day (YYYY-MM-DD) is of this part, or at most `around` days from it."""
        on = date.fromisoformat(day)
        near = timedelta(days=around)
        return (on - near < self.until) and (on + near >= self.start)


@dataclass(frozen=True)
class Built:
    """Outcome of building one partition; `skipped` when nothing it depends on had changed."""

    table: str
    partition: str
    state: State
    skipped: bool
    seconds: float


def digest(*parts: object) -> str:
    """A fingerprint of JSON-like values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def connect(config: Config, spill: Path, *, sums_joins: bool = True) -> duckdb.DuckDBPyConnection:
    """An in-memory engine with the run's limits, UTC, and the macros of sql/macros.sql.

    One that `sums_joins` does without the optimizer that makes wrong sums above an outer join:
    docs/decisions/0029. Whoever asks no such thing can have all.
    """
    connection = duckdb.connect()
    for statement in (
        # Global, for cursors are sessions of their own.
        "set global TimeZone = 'UTC'",
        f"set memory_limit = {literal(config.warehouse.memory_limit)}",
        f"set threads = {config.warehouse.threads}",
        f"set temp_directory = {literal(spill)}",
        "set enable_progress_bar = false",
    ):
        connection.execute(statement)
    connection.execute(queries.macros())
    if not sums_joins:
        connection.execute("set disabled_optimizers = ''")
    return connection


def two_at_a_time(make: Callable[[Asked], Made], of: Iterable[Asked]) -> list[Made]:
    """What `make` makes of each, in order, while the next one is made beside it.

    A query is seldom busy on two cores from its first row to its last, and what is around it never
    is. The first error, in order, is raised; what has not begun by then is left.
    """
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(make, of))


def literal(value: object) -> str:
    """A SQL text literal. Only for what cannot be bound: paths and settings."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


class Warehouse:
    """The tables of one `finops.toml`. Readers need nothing; `writing()` is for one run."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.home = config.home
        self.next = self.home / "next"
        self.work = self.home / "work"
        self.landing = self.home / "landing"
        self._tables = bindings.small_tables(config)
        self._parameters = bindings.parameters(config)
        self._instances: dict[bool, duckdb.DuckDBPyConnection] = {}
        self._known: dict[str, dict[str, State]] | None = None
        self._starting = threading.Lock()

    # ---------------------------------------------------------------- reading

    @property
    def current(self) -> Path | None:
        """The published generation, or None before the first."""
        link = self.home / "current"
        return link.resolve() if link.is_symlink() else None

    @property
    def database_generation(self) -> Path:
        """Where publishing notes which generation `showback.duckdb` was built from."""
        return self.home / "database.generation"

    @contextlib.contextmanager
    def engine(self, *, sums_joins: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session of this run's engine: what is bound in it is seen by no other.

        The engine without `sums_joins` is another one, with every optimizer: see `connect`.
        """
        with self._starting:
            if sums_joins not in self._instances:
                spill = self.work / ("spill" if sums_joins else "spill-of-reading")
                self._instances[sums_joins] = connect(self.config, spill, sums_joins=sums_joins)
        with contextlib.closing(self._instances[sums_joins].cursor()) as session:
            yield session

    def _stop_engines(self) -> None:
        while self._instances:
            self._instances.popitem()[1].close()

    # ---------------------------------------------------------------- one run

    @contextlib.contextmanager
    def writing(self) -> Iterator[Warehouse]:
        """Hold the warehouse for one run; `Busy` when another run does."""
        self.home.mkdir(parents=True, exist_ok=True)
        with open(self.home / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(
                    f"another run holds {self.home}; wait for it to end and run again"
                ) from None
            self._prepare()
            # Nobody else writes while the lock is held.
            self._known = _read_states(self.next)
            try:
                yield self
            finally:
                self._known = None
                self._stop_engines()

    def _prepare(self) -> None:
        """Make `next` whole: continue a killed run, or start from what is published."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        current = self.current
        generations = self.home / "generations"
        generations.mkdir(exist_ok=True)
        for orphan in sorted(generations.iterdir(), reverse=True):
            if current is None or int(orphan.name) > int(current.name):
                # Killed between the rename and the swap: nobody has seen it yet.
                orphan.rename(self.work / orphan.name if self.next.exists() else self.next)
        if not self.next.exists():
            cloning = self.work / "clone"
            cloning.mkdir()
            if current is not None:
                _hard_link_tree(current, cloning)
            cloning.rename(self.next)
        for folder in self.next.iterdir():
            if folder.is_dir() and folder.name not in contracts.tables():
                # Of an earlier version: the generations of its time still have it.
                folder.rename(self.work / folder.name)
        for old in self.next.glob("*/*.old"):
            # Killed while a partition was put in place: before the new one came, or after.
            if old.with_suffix("").exists():
                shutil.rmtree(old)
            else:
                old.rename(old.with_suffix(""))

    # ------------------------------------------------------------- partitions

    def folder(self, table: str, partition: str) -> Path:
        """Where a partition of the working generation lies."""
        return self.next / table / (partition or "all")

    def state(self, table: str, partition: str) -> State | None:
        """The state of a partition of the working generation."""
        if self._known is not None:
            return self._known.get(table, {}).get(partition or "all")
        return State.read(self.folder(table, partition))

    def partitions(self, table: str) -> list[str]:
        """Partitions of a table in the working generation, sorted."""
        if self._known is not None:
            return sorted(self._known.get(table, ()))
        found = (self.next / table).glob(f"*/{STATE}")
        return sorted(p.parent.name for p in found)

    def _keep(self, table: str, partition: str, state: State) -> None:
        """Know the state of a partition that was put in its place."""
        if self._known is not None:
            self._known.setdefault(table, {})[partition or "all"] = state

    def inputs(
        self, table: Table, partition: str, reads: Iterable[str], part: DayRange | None = None
    ) -> dict[str, list[str]]:
        """Which partitions of each input a partition of `table`, or a part of it, is built from."""
        needed: dict[str, list[str]] = {}
        for name in sorted(reads):
            if name in self._tables:
                continue
            source = contracts.table(name)
            there = self.partitions(name)
            if source.partition == "BillingPeriod" and table.partition == "BillingPeriod":
                there = [p for p in there if p == partition]
            elif source.partition == "x_Day" and table.partition == "BillingPeriod":
                around = int(source.partition_is_delivery)
                wanted = set(days_around(partition) if around else days(partition))
                there = [p for p in there if p in wanted]
                if part is not None:
                    there = [p for p in there if part.holds(p, around)]
            elif source.partition == table.partition == "x_Day":
                there = [p for p in there if p == partition]
            needed[name] = there
        return needed

    def bind(
        self,
        connection: duckdb.DuckDBPyConnection,
        inputs: Mapping[str, Sequence[str]],
        reads: Iterable[str],
        part: DayRange | None = None,
    ) -> None:
        """Give a connection the tables a query reads: views over Parquet, and small tables.

        With `part`, tables that are kept by day are bound to that part alone.
        """
        for name, partitions in inputs.items():
            table = contracts.table(name)
            wanted = part.file if part is not None and table.by_day else "*.parquet"
            files = [f for p in partitions for f in sorted(self.folder(name, p).glob(wanted))]
            bind_files(connection, table, files)
        for name in reads:
            if name in self._tables:
                bind_rows(connection, name, self._tables[name])

    # ---------------------------------------------------------------- building

    def build(
        self,
        name: str,
        partition: str,
        fingerprint: str,
        inputs: Mapping[str, str],
        make: Callable[[Path], dict[str, Any] | None],
        audit_inputs: Mapping[str, Sequence[str]] | None = None,
        by_part: bool = False,
    ) -> Built:
        """Write, audit, then put in place one partition.

        `make` writes Parquet files into the folder it is given and may return a note. When
        `fingerprint` is that of the partition already there, nothing is done. When the
        contract or a rule fails, the old partition stays as it was. Of a table that is made
        `by_part`, only the parts that are new are audited: what was linked has been, for the mark
        it is known by has the contract and the rules in it.
        """
        started = time.monotonic()
        table = contracts.table(name)
        place = self.folder(name, partition)
        known = self.state(name, partition)
        fingerprint = digest(fingerprint, *_demands(table))
        draft = self.work / f"{name}.{partition or 'all'}"
        shutil.rmtree(draft, ignore_errors=True)
        if known is not None and known.fingerprint == fingerprint:
            if known.inputs != inputs:
                # Read together with a table that did change: it is as new as that one. The state
                # that is published is the same file, so another takes its place.
                draft.mkdir(parents=True)
                known = replace(known, inputs=dict(inputs))
                known.write(draft)
                os.replace(draft / STATE, place / STATE)
                draft.rmdir()
                self._keep(name, partition, known)
            return Built(name, partition, known, True, time.monotonic() - started)
        draft.mkdir(parents=True)
        note = make(draft) or {}
        new = None
        if by_part:
            ranges = self.day_ranges(partition)
            new = [r for r in ranges if (draft / r.file).stat().st_nlink == 1]
        rows, sums, passed = self._audit(table, partition, draft, audit_inputs or {}, new)
        before = known.content if known is not None else {}
        content = {
            f.name: _kept(f, place / f.name, before) or _sha256(f)
            for f in sorted(draft.glob("*.parquet"))
        }
        state = State(fingerprint, dict(inputs), rows, sums, passed, note, content)
        state.write(draft)
        place.parent.mkdir(parents=True, exist_ok=True)
        old = place.with_name(place.name + ".old")
        if place.exists():
            place.rename(old)
        draft.rename(place)
        self._keep(name, partition, state)
        shutil.rmtree(old, ignore_errors=True)
        return Built(name, partition, state, False, time.monotonic() - started)

    def build_query(
        self, path: str, partition: str, extra: Mapping[str, Scalar] | None = None
    ) -> Built:
        """Build a partition of the table that `sql/<path>.sql` fills."""
        query = queries.query(path)
        table = contracts.table(query.name)
        needed = self.inputs(table, partition, query.reads)
        given: dict[str, Scalar] = {**self._parameters, **(extra or {}), "period": partition}
        small = {n: self._tables[n] for n in sorted(query.reads) if n in self._tables}
        inputs = self._identities(needed)

        def fingerprint(of: Mapping[str, str], bound: Mapping[str, Scalar]) -> str:
            scalars = sorted((k, str(v)) for k, v in bound.items())
            return digest(query.digest, scalars, list(of.items()), small)

        def ask(to: Path, part: DayRange | None = None) -> None:
            """The query's rows as a Parquet file; of one part, where it asks for its days."""
            bound = _bound(query, given, part)
            with self.engine() as connection:
                reads = needed
                if part is not None:
                    reads = self.inputs(table, partition, query.reads, part)
                self.bind(connection, reads, query.reads, part)
                copy(connection, query.text, to, bound)

        def whole(draft: Path) -> None:
            ask(draft / "part.parquet")

        def linked(draft: Path) -> None:
            # The rows are there, in files that never change: they need not be written again.
            for source in query.unites:
                for p in needed[source]:
                    for file in sorted(self.folder(source, p).glob("*.parquet")):
                        os.link(file, draft / f"{source}.{file.name}")

        def cut(draft: Path) -> None:
            # A table of the engine's, for every session to see: it spills if it must.
            with self.engine() as connection:
                self.bind(connection, needed, query.reads)
                connection.execute(
                    f"create or replace table month as (\n{query.text}\n)", _bound(query, given)
                )

            def take(part: DayRange) -> None:
                with self.engine() as connection:
                    copy(
                        connection,
                        "from month where x_ChargeDay >= $from_day and x_ChargeDay < $until_day",
                        draft / part.file,
                        {"from_day": part.start, "until_day": part.until},
                    )

            two_at_a_time(take, self.day_ranges(partition))
            with self.engine() as connection:
                connection.execute("drop table month")

        def each_part(draft: Path) -> dict[str, Any]:
            known = self.state(query.name, partition)
            before = known.note.get("parts", {}) if known is not None else {}

            def one(part: DayRange) -> tuple[str, str]:
                of = self._identities(self.inputs(table, partition, query.reads, part), part)
                mark = digest(fingerprint(of, _bound(query, given, part)), *_demands(table))
                there = self.folder(query.name, partition) / part.file
                if before.get(part.file) == mark and there.exists():
                    os.link(there, draft / part.file)
                else:
                    ask(draft / part.file, part)
                return part.file, mark

            return {"parts": dict(two_at_a_time(one, self.day_ranges(partition)))}

        make: Callable[[Path], dict[str, Any] | None] = linked if query.unites else whole
        by_part = table.by_day and "from_day" in query.parameters
        if table.by_day:
            inputs |= self._identities({"day_range": [partition]})
            make = each_part if by_part else cut
        mark = fingerprint(inputs, _bound(query, given))
        return self.build(query.name, partition, mark, inputs, make, needed, by_part)

    def build_made(
        self,
        name: str,
        partition: str,
        reads: Iterable[str],
        fingerprint: str,
        make: Callable[[duckdb.DuckDBPyConnection, Path], None],
    ) -> Built:
        """Build a partition of a table that Python makes of others, which `make` finds bound."""
        needed = self.inputs(contracts.table(name), partition, reads)
        inputs = self._identities(needed)

        def made(draft: Path) -> None:
            with self.engine() as connection:
                self.bind(connection, needed, reads)
                make(connection, draft)

        small = {n: self._tables[n] for n in sorted(reads) if n in self._tables}
        mark = digest(fingerprint, list(inputs.items()), small)
        return self.build(name, partition, mark, inputs, made, needed)

    def day_ranges(self, period: str) -> list[DayRange]:
        """The parts of a month, in order: the rows of `day_range`."""
        with self.engine() as connection:
            self.bind(connection, {"day_range": [period]}, ())
            found = connection.execute(
                "select x_FromDay, x_UntilDay from day_range order by x_FromDay"
            ).fetchall()
        return [DayRange(*row) for row in found]

    def _identities(
        self, needed: Mapping[str, Sequence[str]], part: DayRange | None = None
    ) -> dict[str, str]:
        """`table/partition` -> what a query over it depends on; of one part, where kept so."""
        found = {}
        for name, partitions in needed.items():
            for p in partitions:
                state = self.state(name, p)
                if state is None:
                    continue
                only = part is not None and contracts.table(name).by_day
                found[f"{name}/{p}"] = (
                    state.content.get(part.file, "") if part and only else state.identity
                )
        return found

    def ingest(
        self,
        names: Sequence[str],
        partition: str,
        parts: Sequence[Part],
        derived: Derived | None = None,
    ) -> list[Built]:
        """Build the partition of several tables from parts, reading only those that changed.

        And those that were read before a column came. The last table of `names` depends on the
        others, so that none is published alone.
        """
        fresh = self.work / f"{names[-1]}.{partition or 'all'}.parts"
        shutil.rmtree(fresh, ignore_errors=True)
        files: dict[str, list[Path]] = {n: [] for n in names}

        def take(part: Part) -> None:
            places = {n: self.folder(n, partition) / f"{part.name}.parquet" for n in part.tables}
            if all(
                (state := self.state(n, partition)) is not None
                and state.note.get("parts", {}).get(part.name) == part.fingerprint
                and place.exists()
                and set(contracts.table(n).names) <= _written_columns([place])[place.parent]
                for n, place in places.items()
            ):
                for n, place in places.items():
                    files[n].append(place)
                return
            into = fresh / part.name
            into.mkdir(parents=True)
            part.read(into)
            for n in part.tables:
                target = fresh / f"{n}.d" / f"{part.name}.parquet"
                target.parent.mkdir(exist_ok=True)
                (into / f"{n}.parquet").rename(target)
                files[n].append(target)

        for part in sorted(parts, key=lambda p: p.name):
            take(part)
        told: dict[str, Any] = {}
        if derived is not None:
            mark = digest(derived.mark, sorted((p.name, p.fingerprint) for p in parts))
            before = self._derived_before(names, partition, mark)
            more = derived.make(files) if before is None else before
            for part in more:
                take(part)
            parts = [*parts, *more]
            told = {"derived": {"mark": mark, "parts": {p.name: p.fingerprint for p in more}}}
        built: list[Built] = []
        for n in names:
            known = {p.name: p.fingerprint for p in parts if n in p.tables}

            def make(draft: Path, n: str = n, known: dict[str, str] = known) -> dict[str, Any]:
                for file in files[n]:
                    os.link(file, draft / file.name)
                if not files[n]:
                    with self.engine() as connection:
                        bind_files(connection, contracts.table(n), [])
                        copy(connection, f"from {identifier(n)}", draft / "none.parquet")
                return {"parts": known, **told}

            inputs = {f"{b.table}/{partition}": b.state.identity for b in built}
            last = inputs if n == names[-1] else {}
            audit = {b.table: [partition] for b in built}
            fingerprint = digest(sorted(known.items()))
            built.append(self.build(n, partition, fingerprint, last, make, audit))
        shutil.rmtree(fresh, ignore_errors=True)
        return built

    def _derived_before(self, names: Sequence[str], partition: str, mark: str) -> list[Part] | None:
        """The derived parts of a partition, to be linked; None where they have to be made."""
        known = self.state(names[-1], partition)
        before = known.note.get("derived", {}) if known is not None else {}
        if before.get("mark") != mark:
            return None
        there = [
            self.folder(n, partition) / f"{part}.parquet" for n in names for part in before["parts"]
        ]
        if not all(file.exists() for file in there):
            return None
        # Never read: what it has is there, and known by the same fingerprint.
        return [Part(n, f, tuple(names), _not_read) for n, f in before["parts"].items()]

    def _audit(
        self,
        table: Table,
        partition: str,
        draft: Path,
        needed: Mapping[str, Sequence[str]],
        new: Sequence[DayRange] | None = None,
    ) -> tuple[int, dict[str, str], tuple[str, ...]]:
        """Contract, grain and rules of a draft; returns rows, summed money, rules that passed.

        With `new`, these parts of it are new and the others were audited when they were. Days are
        in every key, itself or in a pool's, so that parts share none; a rule over tables that are
        all kept by day is asked of the new parts, one by one.
        """
        files = sorted(draft.glob("*.parquet"))
        if not files:
            raise ContractBroken(table.name, f"no file was written for {partition}")
        fresh = files if new is None else [draft / part.file for part in new]
        if fresh:
            table.validate(fresh)
        with self.engine() as connection:
            bound: DayRange | None = None
            if fresh and fresh != files:
                bind_files(connection, table, fresh)
                _counted(connection, table, keys=True)
            bind_files(connection, table, files)
            rows, totals = _counted(connection, table, keys=fresh == files)
            passed = []
            for check in queries.checks(table.name):
                others = check.reads - {table.name}
                more = {n: needed.get(n) for n in others if n not in self._tables}
                full = self.inputs(table, partition, [n for n, p in more.items() if p is None])
                full.update({n: list(p) for n, p in more.items() if p is not None})
                parts = new if new is not None and asked_of_parts(check) else (None,)
                for part in parts:
                    if part is not bound:
                        bind_files(connection, table, [draft / part.file] if part else files)
                        bound = part
                    self.bind(connection, full, others, part)
                    self._ask(connection, check, table, partition)
                passed.append(check.name)
        sums = {m: str(v) for m, v in zip(table.money, totals, strict=True)}
        return rows, sums, tuple(passed)

    def _ask(
        self,
        connection: duckdb.DuckDBPyConnection,
        check: queries.Query,
        table: Table,
        partition: str,
    ) -> None:
        """Raise `CheckFailed` when a rule returns anything."""
        bound = {"period": partition} if "period" in check.parameters else {}
        offenders = connection.execute(check.text, bound).fetchmany(5)
        if offenders:
            names = [d[0] for d in connection.description or ()]
            shown = "; ".join(
                ", ".join(f"{n}={v}" for n, v in zip(names, row, strict=True)) for row in offenders
            )
            raise CheckFailed(
                f"{check.path} found offenders in {table.name} {partition}: {shown}\n"
                f"{check.doc}\nThe published partition is untouched."
            )

    def preview(self, name: str, partitions: Sequence[str], rows: int = 5) -> str:
        """The first rows of the newest of some partitions as a Markdown table; "" when empty."""
        table = contracts.table(name)
        for partition in sorted(set(partitions), reverse=True):
            files = sorted(self.folder(name, partition).glob("*.parquet"))
            if not files:
                continue
            with self.engine() as connection:
                bind_files(connection, table, files)
                found = connection.execute(f"from {identifier(name)} limit {rows}").fetchall()
            if found:
                lines = [list(table.names), ["---"] * len(table.names), *found]
                return "\n".join("| " + " | ".join(_cell(v) for v in line) + " |" for line in lines)
        return ""

    # ---------------------------------------------------------------- publishing

    def stale(self) -> list[str]:
        """Partitions of the working generation built from inputs that have changed since.

        What is replaced whole, such as what Git declares, is of today: a month that is not made
        again keeps what it was made from, and is not stale for it. Nor for the day before and after
        it, whose files may have calls of its own, nor for a table of an earlier version.
        """
        found = []
        states = _read_states(self.next)
        for table, partitions in sorted(states.items()):
            of = contracts.table(table).partition
            for partition, state in sorted(partitions.items()):
                for name, identity in state.inputs.items():
                    source, part = name.split("/", 1)
                    if source not in contracts.tables():
                        continue
                    kept = contracts.table(source).partition
                    beside = kept == "x_Day" and not part.startswith(partition)
                    if of and (not kept or beside):
                        continue
                    now = states.get(source, {}).get(part or "all")
                    if now is None or now.identity != identity:
                        found.append(f"{table}/{partition}")
                        break
        return found

    def changed(self) -> bool:
        """Whether the working generation differs from the published one."""
        current = self.current
        if current is None:
            return True
        return _differ(self.next, current)

    def publish(self) -> Path:
        """Make the working generation the published one: one rename, one symlink swap."""
        current = self.current
        stale = self.stale()
        if stale:
            raise ContractBroken(
                stale[0].split("/")[0],
                f"{', '.join(stale[:5])} were built from inputs that changed since; "
                "materialise them first (`finops run` does all in order)",
            )
        if current is not None and not self.changed():
            # Out of the way in one step: half a `next` must never be taken for a whole one.
            self.next.rename(self.work / "unchanged")
            shutil.rmtree(self.work / "unchanged")
            return current
        number = 1 if current is None else int(current.name) + 1
        generation = self.home / "generations" / f"{number:06d}"
        self.next.rename(generation)
        os.utime(generation)
        link = self.work / "current"
        link.symlink_to(Path("generations") / generation.name)
        os.replace(link, self.home / "current")
        return generation


def _not_read(into: Path) -> None:
    raise AssertionError(f"{into}: this part was to be linked")


def asked_of_parts(check: queries.Query) -> bool:
    """Whether a rule can be asked of a part of a month: all it reads is kept by day."""
    return check.reads <= contracts.BY_DAY


def _demands(table: Table) -> tuple[object, ...]:
    """What is demanded of a table: when it changes, the table is made and audited again."""
    return table.columns, table.key, [c.digest for c in queries.checks(table.name)]


def _counted(
    connection: duckdb.DuckDBPyConnection, table: Table, *, keys: bool
) -> tuple[int, list[Any]]:
    """Rows and summed money of a bound table.

    With `keys`, raise `ContractBroken` where two rows have the same key.
    """
    name = identifier(table.name)
    key = ", ".join(identifier(k) for k in table.key)
    # Rows whose keys have different hashes have different keys.
    different = f"count(distinct hash({key}))" if keys and key else "count(*)"
    columns = ["count(*)", different, *(f"coalesce(sum({m}), 0)" for m in table.money)]
    rows, unlike, *totals = connection.execute(
        f"select {', '.join(columns)} from {name}"
    ).fetchall()[0]
    if rows != unlike:
        twice = connection.execute(
            f"select {key}, count(*) from {name} group by {key} having count(*) > 1 limit 3"
        ).fetchall()
        if twice:
            raise ContractBroken(table.name, f"rows share the key ({key}): {twice}")
    return int(rows), totals


def bind_files(connection: duckdb.DuckDBPyConnection, table: Table, files: Sequence[Path]) -> None:
    """A view over Parquet files by the contract's columns; an empty table when there are none.

    `ConfigError` where they were written before a column came that no row may be without.
    """
    name = identifier(table.name)
    if files:
        for folder, there in _written_columns(files).items():
            before = [c for c in table.names if c not in there and c not in table.nullable]
            if before:
                raise ConfigError(
                    f"{table.name} of {folder.name} was written by an earlier version of finops, "
                    f"without {', '.join(before)}; `finops run` of its period writes it anew"
                )
        connection.execute(f"create or replace temp view {name} as {rows_of(table, files)}")
    else:
        columns = ", ".join(f"{identifier(c)} {t}" for c, t in table.duckdb.items())
        connection.execute(f"drop view if exists {name}")
        connection.execute(f"create or replace temp table {name} ({columns})")


def rows_of(table: Table, files: Sequence[Path], listed: Path | None = None) -> str:
    """A SELECT of the contract's columns over Parquet files of a table.

    A column that came after a file was written is null there. `listed` is a pattern for the files.
    """
    known = _written_columns(files).values()
    columns = ", ".join(
        identifier(name)
        if any(name in there for there in known)
        else f"cast(null as {kind}) as {identifier(name)}"
        for name, kind in table.duckdb.items()
    )
    # By position costs less, and is right where all have all of them.
    alike = all(name in there for there in known for name in table.names)
    options = "hive_partitioning = false" + ("" if alike else ", union_by_name = true")
    named = ", ".join(literal(f) for f in ([listed] if listed else files))
    return f"select {columns} from read_parquet([{named}], {options})"


def _written_columns(files: Iterable[Path]) -> dict[Path, frozenset[str]]:
    """Folder -> columns of its files, which are those of any of them."""
    import pyarrow.parquet

    found = {}
    for folder, file in {f.parent: f for f in files}.items():
        at = file.stat()
        known = (at.st_dev, at.st_ino, at.st_mtime_ns)
        if known not in _COLUMNS:
            _COLUMNS[known] = frozenset(pyarrow.parquet.read_schema(file).names)
        found[folder] = _COLUMNS[known]
    return found


_COLUMNS: dict[tuple[int, int, int], frozenset[str]] = {}
"""Columns of Parquet files that were looked into: device, inode, time of writing."""


def bind_rows(connection: duckdb.DuckDBPyConnection, name: str, small: SmallTable) -> None:
    """A small table of the configuration."""
    columns = ", ".join(f"{identifier(c)} {t}" for c, t in small.columns.items())
    connection.execute(f"create or replace temp table {identifier(name)} ({columns})")
    if small.rows:
        row = f"({', '.join('?' for _ in small.columns)})"
        connection.execute(
            f"insert into {identifier(name)} values {', '.join(row for _ in small.rows)}",
            [value for r in small.rows for value in r],
        )


def copy(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    to: Path,
    parameters: Mapping[str, Scalar | None] | None = None,
    group_rows: int = 122_880,
) -> None:
    """Stream a SELECT into a Parquet file, by all threads, in its order."""
    connection.execute(
        f"copy (\n{select}\n) to {literal(to)} "
        # the first level takes a quarter less time for text, and not more room
        f"(format parquet, compression zstd, compression_level 1, row_group_size {group_rows})",
        dict(parameters or {}),
    )


def _bound(
    query: queries.Query, given: Mapping[str, Scalar], part: DayRange | None = None
) -> dict[str, Scalar]:
    """The parameters a query names, from those that there are."""
    days = {} if part is None else {"from_day": part.start, "until_day": part.until}
    return {k: v for k, v in {**given, **days}.items() if k in query.parameters}


def altered(generation: Path) -> list[str]:
    """Files of a generation that are not the bytes they were written as, and what is wrong.

    Reads every file. A rule sees a row that contradicts another; this sees any row, and any column.
    """
    found = []
    for known in sorted(generation.glob(f"*/*/{STATE}")):
        state = State.read(known.parent)
        assert state is not None
        there = {f.name: f for f in known.parent.glob("*.parquet")}
        # Of a partition from before hashes were kept of it, nothing is known.
        for name in sorted(there.keys() | state.content.keys()) if state.content else ():
            if name not in there:
                wrong = "is gone"
            elif name not in state.content:
                wrong = "was not written by a run"
            elif _sha256(there[name]) != state.content[name]:
                wrong = "was changed after it was written"
            else:
                continue
            found.append(f"{(known.parent / name).relative_to(generation)} {wrong}")
    return found


def _kept(file: Path, place: Path, before: Mapping[str, str]) -> str | None:
    """The SHA-256 of a file that was linked from where it was: known, not read again."""
    linked = place.exists() and file.samefile(place)
    return before.get(file.name) if linked else None


def _sha256(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _hard_link_tree(source: Path, target: Path) -> None:
    for folder, _, names in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(Path(folder) / name, here / name)


def _read_states(generation: Path) -> dict[str, dict[str, State]]:
    """Table -> folder of a partition -> its state, of each whole partition of a generation."""
    found: dict[str, dict[str, State]] = {}
    for place in generation.glob(f"*/*/{STATE}"):
        state = State.read(place.parent)
        assert state is not None
        found.setdefault(place.parent.parent.name, {})[place.parent.name] = state
    return found


def _differ(one: Path, other: Path) -> bool:
    """Whether generations differ in their partitions, or in where the bills of a stamp stand."""
    ours, theirs = (
        {str(p.relative_to(g)): p for p in g.glob(f"*/*/{STATE}")} for g in (one, other)
    )
    if ours.keys() != theirs.keys() or _bill_states(one) != _bill_states(other):
        return True
    # What was not made anew is the same file.
    written = [(p, theirs[name]) for name, p in ours.items() if not p.samefile(theirs[name])]
    return any(_fingerprint(a) != _fingerprint(b) for a, b in written)


def _bill_states(generation: Path) -> Any:
    stamp = generation / STAMP
    return json.loads(stamp.read_text())["states"] if stamp.exists() else None


def _fingerprint(state: Path) -> str:
    found: str = json.loads(state.read_text())["fingerprint"]
    return found


def _cell(value: object) -> str:
    text = "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
