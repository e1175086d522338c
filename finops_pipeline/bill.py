"""Stage 1: one delivered file into `cost_and_usage`.

What belongs here: opening a file and reading its header exactly; its money, counted apart from the
dialect; the split into readable and quarantined rows. What a dialect asks of a file is in
`dialect.py`, what a column *means* in `sql/bill/<dialect>.sql`; which files are a period's bill, in
`deliveries.py`; where they live, in `transports/`; publishing is `warehouse.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from . import text
from .config import BillingSection
from .contracts import table
from .dialect import (
    KINDS,
    Dialect,
    Raw,
    another_month,
    check_names,
    dialect,
    fields_of,
    inputs,
    is_always,
    list_sum,
    spelled,
    tag_key,
    tags_of,
    told_by,
    value_of,
    written_tags,
)
from .errors import CheckFailed, ConfigError, IncompleteDelivery, UnreadableFile
from .landed import digest_of
from .periods import names_month
from .queries import query, with_columns, with_enums
from .transports import Item
from .warehouse import bind_files, copy, identifier, literal

if TYPE_CHECKING:
    import polars as pl

Read = TypeVar("Read")
COPY = "(format parquet, compression zstd, compression_level 1, write_bloom_filter false)"
"""Level 1 takes a tenth less time than 3 for files a fiftieth larger."""
KNOWN_TAG_SETS = 500_000
"""Tag sets kept from file to file, some 200 MB; above that, they are forgotten and read anew."""
FEW_TAG_SETS = 65_536
"""Tag sets of a file that are written as an enum: half as many as a row group has rows."""
FEW_TEXTS = 256
"""Texts that a column is looked up by: all of them are held against each of a dictionary."""
FIRST_ROWS = 2_000
"""Rows that show which columns have more texts."""
IN_ORDER = "order by x_SourceRow"
COMMITMENT_TOTAL = "bill/commitment_total"
COMMITMENT_ROUNDING = "bill/commitment/rounding"
ROUNDING = "commitment-rounding"
"""Part of a bill that is made of the others. No block's part has this name: theirs have a dot."""


# --------------------------------------------------------------------------- reading a file


@dataclass(frozen=True)
class ReadFile:
    """What one file held: rows, how many of them were quarantined, and its money per column.

    `billed` and `effective` are what the file's own cost columns sum to; None where it has none.
    """

    rows: int
    quarantined: int
    billed: Decimal | None
    effective: Decimal | None


def read_file(
    connection: duckdb.DuckDBPyConnection,
    block: BillingSection,
    period: str,
    item: Item,
    local: Path,
    out: Path,
    rows: int | None = None,
    sha256: str | None = None,
    manifest: str | None = None,
) -> ReadFile:
    """Read one delivered file into the folder `out`, as four Parquet files by contract.

    They are `cost_and_usage`, `quarantine`, `delivered_tag_set` and `delivery`.

    Rows keep the order of the file, and the bytes do not depend on the number of threads.
    `connection` has the macros; what is left in it are the tag sets it has read, for the next
    file. Raises `UnreadableFile` for a file that is truncated, not of its format, or misses a
    column, and `IncompleteDelivery` for one without the `rows` that its manifest tells.

    `delivery` says what came: `sha256` of its bytes, computed where it is not given, and the path
    of its `manifest`.
    """
    out.mkdir(parents=True, exist_ok=True)
    spoken = dialect(block.dialect)
    if block.costs != "both" and "x_CostBasis" not in spoken.query.text:
        raise ConfigError(
            f"[[billing]] {block.name}: {block.dialect} files hold both costs; take `costs` and "
            "`pair` out"
        )
    before = local.stat()
    came = {
        "x_Bytes": str(before.st_size),
        "x_Sha256": literal(sha256 or digest_of(local)),
        "x_Manifest": "null" if manifest is None else literal(manifest),
    }
    cursor = connection.cursor()

    def read(*, mended: bool) -> ReadFile:
        with _raw_rows(cursor, item, local, out, mended=mended) as found:
            named = spelled(spoken, found, block.costs)
            check_names(spoken, named)
            raw = _of_period(cursor, spoken, _held(cursor, spoken, named), block, period)
            raw, totals = _surveyed(cursor, spoken, raw, block.name, period)
            told = _told(cursor, spoken, raw)
            return _write(cursor, spoken, totals, told, block, period, item, came, out)

    try:
        result = _mending(item, read)
    except CheckFailed:
        _refuse_changed(item, local, before)
        raise
    finally:
        cursor.close()
    _refuse_changed(item, local, before)
    if rows not in (None, result.rows):
        raise IncompleteDelivery(
            f"{item.address}: has {result.rows} rows, its manifest says {rows}; the last whole "
            "delivery stands"
        )
    return result


def total_commitments(connection: duckdb.DuckDBPyConnection, out: Path) -> None:
    """Write what the file that was read into `out` says of commitments."""
    bind_files(connection, table("cost_and_usage"), [out / "cost_and_usage.parquet"])
    copy(connection, query(COMMITMENT_TOTAL).text, out / "commitment_total.parquet")


def commitment_rounding(
    connection: duckdb.DuckDBPyConnection,
    period: str,
    delivered: Sequence[Path],
    before: Sequence[Path],
) -> pl.DataFrame:
    """Charges for what amortisation lost of commitments that are used up in a period.

    `delivered` and `before` are files of `commitment_total`: of this period, and of earlier ones.
    """
    bind_files(connection, table("commitment_total"), delivered)
    # Most bills have no commitment, and none before is asked then.
    if connection.execute("select count(*) from commitment_total").fetchall()[0][0]:
        bind_files(connection, table("commitment_total"), [*before, *delivered])
    asked = query(COMMITMENT_ROUNDING).text
    found: pl.DataFrame = connection.sql(asked, params={"period": period}).pl()
    return found


def book_rounding(
    connection: duckdb.DuckDBPyConnection, period: str, rows: pl.DataFrame, out: Path
) -> None:
    """Write such charges into the folder `out`, in the tables of a delivered file.

    What has no bytes was not delivered: the size is 0, and the checksum that of nothing.
    """
    out.mkdir(parents=True, exist_ok=True)
    connection.register("booked", rows)
    same = {
        "BillingPeriod": literal(period),
        "x_Bytes": "0",
        "x_Sha256": literal(hashlib.sha256().hexdigest()),
        "x_Manifest": "null",
        "x_Rows": "count(*)",
        "x_ChargeRows": "count(*)",
        "BilledCost": "sum(BilledCost)",
        "EffectiveCost": "sum(EffectiveCost)",
    }

    def write(name: str, given: Mapping[str, str], rest: str) -> None:
        columns = ", ".join(
            f"cast({given.get(n, n)} as {kind}) as {identifier(n)}"
            for n, kind in table(name).duckdb.items()
        )
        copy(connection, f"select {columns} from booked {rest}", out / f"{name}.parquet")

    untold = {n: "null" for n in table("cost_and_usage").names if n not in rows.columns}
    write("cost_and_usage", untold, "order by x_Source, x_SourceRow")
    write("quarantine", dict.fromkeys(table("quarantine").names, "null"), "where false")
    by_source = "group by x_Source, x_SourceFile{} order by x_Source"
    write("delivered_tag_set", same, by_source.format(", x_TagSetId, Tags"))
    write("delivery", same, by_source.format(""))
    total_commitments(connection, out)


def ask_rows(
    connection: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    item: Item,
    local: Path,
    scratch: Path,
    ask: Callable[[duckdb.DuckDBPyConnection], None],
) -> None:
    """Bind `raw_billing` to the rows of a file that is no bill, and `ask` of it.

    `ask` may be called twice: again where the file had to be mended. `connection` has the macros.
    Raises `UnreadableFile` as `read_file` does.
    """
    before = local.stat()
    cursor = connection.cursor()

    def read(*, mended: bool) -> None:
        with _raw_rows(cursor, item, local, scratch, mended=mended) as found:
            named = spelled(spoken, found, "both")
            check_names(spoken, named)
            _surveyed(cursor, spoken, named, "", "")
            ask(cursor)

    try:
        _mending(item, read)
    finally:
        cursor.close()
    _refuse_changed(item, local, before)


def _surveyed(
    cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: Raw, source: str, period: str
) -> tuple[Raw, dict[str, Any]]:
    """Bind `raw_billing` to a file whose names and sets of tags are known, and what `_survey` says.

    Where two sets of tags share a hash they are told apart by their text, in a second pass.
    """
    totals = _survey(cursor, spoken, raw, source, period)
    if not _tells_tag_sets_apart(cursor):
        raw = replace(raw, tags=())
        totals = _survey(cursor, spoken, raw, source, period)
    if raw.text is not None:
        raw.text.await_end(raw.item)
    _bind(cursor, spoken, raw)
    return raw, totals


def _mending(item: Item, read: Callable[..., Read]) -> Read:
    """Read a file, and again with its text mended where DuckDB cannot read it as it is."""
    try:
        try:
            return read(mended=False)
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException):
            if _is_parquet(item):
                raise
            return read(mended=True)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.OutOfMemoryException):
        raise  # the dialect or the machine, not the file
    except duckdb.Error as error:
        raise UnreadableFile(f"{item.address}: {_first_line(error)}; deliver it again") from error


def _refuse_changed(item: Item, local: Path, before: os.stat_result) -> None:
    """What was read of a file that changed meanwhile is of no use."""
    after = local.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise IncompleteDelivery(f"{item.address}: changed while it was read; run again")


def _write(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    totals: Mapping[str, Any],
    known: Told,
    block: BillingSection,
    period: str,
    item: Item,
    came: Mapping[str, str],
    out: Path,
) -> ReadFile:
    """The four tables of one file from the bound views."""
    told = {
        "BillingPeriod": literal(period),
        "x_Source": literal(block.name),
        "x_SourceFile": literal(item.path),
        **came,
    }

    def write(name: str, given: dict[str, str], source: str) -> int:
        """Columns of table `name` from `source`; returns the rows written."""
        types, same = dict(table(name).duckdb), told
        if name == "cost_and_usage":
            same = {**known.alike, **told}
            types |= {"Tags": "written_tags"} | {n: t for n, t in enums.items() if n not in same}
        # What is the same in every row is added after the rows are put in order.
        found = ", ".join(
            f"cast({given.get(n, n)} as {t}) as {identifier(n)}"
            for n, t in types.items()
            if n not in same
        )
        columns = ", ".join(
            f"cast({same[n]} as {_of_one(same[n], t)}) as {identifier(n)}"
            if n in same
            else identifier(n)
            for n, t in types.items()
        )
        select = f"select {columns} from (select {found} {source}) as found"
        target = literal(str(out / f"{name}.parquet"))
        done = cursor.execute(f"copy ({select}) to {target} {COPY}").fetchall()
        return int(done[0][0])

    asked, enums = with_enums(spoken.query.path)
    asked = with_columns(asked, known.columns)
    enums = enums | {name: enum for name, (enum, _) in known.looked_up.items()}
    charges = f"from ({asked.rstrip().rstrip(';')}\n) as charge"
    untold = dict.fromkeys(table("cost_and_usage").nullable - set(told_by(spoken)), "null")
    looked_up = {name: value for name, (_, value) in known.looked_up.items()}
    readable = write("cost_and_usage", untold | looked_up, f"{charges} where x_Reason is null")
    written = literal(str(out / "cost_and_usage.parquet"))
    if readable != totals["x_Rows"] or not _is_in_order(cursor, written):
        # Where rows are left out, how the rest is cut into row groups depends on the threads.
        loose = (out / "cost_and_usage.parquet").rename(out / ".loose.parquet")
        write("cost_and_usage", {}, f"from read_parquet({literal(str(loose))}) {IN_ORDER}")
        loose.unlink()
    unsound = {
        "BillingCurrency": "case when length(BillingCurrency) = 3 then BillingCurrency "
        "else 'XXX' end",
        "InvoiceId": "coalesce(InvoiceId, '(unknown)')",
        "ProviderName": "coalesce(ProviderName, '(unknown)')",
    }
    refused = (
        write("quarantine", dict.fromkeys(table("quarantine").names, "null"), "where false")
        if readable == totals["x_Rows"]
        else write(
            "quarantine",
            unsound,
            f"{charges} inner join raw_row as delivered using (x_SourceRow) "
            f"where x_Reason is not null {IN_ORDER}",
        )
    )
    if readable + refused != totals["x_Rows"]:
        raise CheckFailed(
            f"{item.address}: {totals['x_Rows']} rows came in, {readable + refused} went out; "
            f"sql/bill/{spoken.query.name}.sql drops or repeats rows"
        )
    # The sets were counted when they were numbered, rows that are no charges among them.
    counted = (
        "sum(ChargeRows) as ChargeRows from numbered_tag_set where ChargeRows > 0"
        if readable == totals["x_Rows"]
        else f"count(*) as ChargeRows from read_parquet({written}, hive_partitioning = false)"
    )
    write(
        "delivered_tag_set",
        {"x_ChargeRows": "ChargeRows"},
        f"from (select x_TagSetId, min(Tags) as Tags, {counted} group by x_TagSetId) as tag_set "
        "order by x_TagSetId",
    )
    write("delivery", {n: "null" if v is None else str(v) for n, v in totals.items()}, "")
    return ReadFile(
        int(totals["x_Rows"] or 0), refused, totals["BilledCost"], totals["EffectiveCost"]
    )


def _of_one(value: str, kind: str) -> str:
    """The type to write a column in whose rows all have `value`, a SQL literal.

    An enum is text in the file, too, and is written in a tenth of the time: nobody looks in every
    row whether the text is a new one.
    """
    return f"enum({value})" if kind == "VARCHAR" and value != "null" else kind


@dataclass(frozen=True)
class Told:
    """Text columns of the charges that are known without a look at each row.

    `alike` are the same in all rows, as SQL. `looked_up` are an enum and SQL that looks a text of
    it up, by `columns` that the dialect's query has to return, too.
    """

    alike: dict[str, str]
    looked_up: dict[str, tuple[str, str]]
    columns: list[str]


def _told(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: Raw) -> Told:
    """Text columns that are made of what is the same in every row, and of one column of few texts.

    The dialect is asked what they are in a row for each of the texts. In a dictionary of the file
    a text is looked up once, not once a row.
    """
    given = {c.name.casefold(): c for c in spoken.columns}
    same = {"x_costbasis", *(n for n, column in given.items() if raw.is_alike(column.name))}
    alike: list[str] = []
    by: dict[str, list[str]] = {}
    for name, of in told_by(spoken).items():
        if table("cost_and_usage").duckdb.get(name) == "VARCHAR":
            match [given.get(n) for n in of - same]:
                case []:
                    alike.append(name)
                case [one] if one and one.kind == "text" and raw.ref(one.name) in raw.packed:
                    by.setdefault(one.name, []).append(name)
    few = dict(enumerate(_of_few_texts(cursor, raw, list(by)), 1))
    wanted = [*alike, *(column for name in few.values() for column in by[name])]
    if not wanted:
        return Told({}, {}, [])
    texts = [
        f"select nullif(text, '') as by_{i}, {i} as x_SourceRow from (select distinct "
        f"{raw.ref(name)} as text from {raw.scan} limit {FEW_TEXTS + 1})"
        for i, name in few.items()
    ]
    values = {c.name: value_of(c, raw) for c in spoken.columns if c.name in raw.alike}
    values |= {name: f"by_{i}" for i, name in few.items()}
    values |= {"x_SourceRow": "x_SourceRow", "x_CostBasis": literal(raw.costs)}
    typed = ", ".join(
        f"cast({values.get(name, 'null')} as {kind}) as {identifier(name)}"
        for name, kind in inputs(spoken).items()
    )
    columns = [f"{identifier(name)} as by_{i}" for i, name in few.items()]
    asked = with_columns(spoken.query.text, columns)
    with closing(cursor.cursor()) as aside:  # has a `raw_billing` of its own
        aside.execute(
            f"create temp table raw_billing as select {typed} from "
            f"({' union all by name '.join(['select 0 as x_SourceRow', *texts])}) as text"
        )
        keys = ["x_SourceRow", *(f"by_{i}" for i in few), *wanted]
        found = aside.execute(f"select {', '.join(keys)} from ({asked})").fetchall()
    rows = [dict(zip(keys, row, strict=True)) for row in found]
    looked_up: dict[str, tuple[str, str]] = {}
    for i, name in few.items():
        of_text = [row for row in rows if row["x_SourceRow"] == i]
        if len(of_text) <= FEW_TEXTS:
            for column in by[name]:
                looked_up |= _lookup(column, f"by_{i}", {r[f"by_{i}"]: r[column] for r in of_text})
    first = {n: rows[0][n] for n in alike}
    return Told(
        {n: "null" if v is None else literal(v) for n, v in first.items()}, looked_up, columns
    )


def _of_few_texts(cursor: duckdb.DuckDBPyConnection, raw: Raw, names: list[str]) -> list[str]:
    """Those of the columns that the first rows show no more than a few texts of."""
    refs = ", ".join(raw.ref(name) for name in names)
    asked = f"select {refs or 0} from {raw.scan} limit {FIRST_ROWS}"
    found = cursor.execute(asked).fetchall() if names else []
    texts = [len(set(column)) for column in zip(*found, strict=True)]
    return [n for n, several in zip(names, texts, strict=False) if several <= FEW_TEXTS]


def _lookup(
    name: str, ref: str, told: Mapping[str | None, str | None]
) -> dict[str, tuple[str, str]]:
    """The enum of what others have been `told` to be, and SQL that looks one up; none of nulls."""
    kinds = sorted({text for text in told.values() if text is not None})
    if not kinds:
        return {}
    enum = f"enum({', '.join(map(literal, kinds))})"
    of = {key: "null" if text is None else literal(text) for key, text in told.items()}
    without = of.pop(None, "null")
    keys, texts = ", ".join(map(literal, of)), ", ".join(of.values())
    value = f"cast([{texts}] as {enum}[])[list_position(cast([{keys}] as varchar[]), {ref})]"
    if without != "null":
        value = f"case when {ref} is null then cast({without} as {enum}) else {value} end"
    return {name: (enum, value)}


def _is_in_order(cursor: duckdb.DuckDBPyConnection, written: str) -> bool:
    """Whether a written file has every row of the delivered one, in its order.

    DuckDB keeps the order where nothing is joined or grouped, but promises it for no plan.
    """
    found = cursor.execute(
        "select count(*) from (select x_SourceRow, row_number() over () as place from "
        f"read_parquet({written}, hive_partitioning = false)) as line where place <> x_SourceRow"
    ).fetchall()
    return not found[0][0]


def _of_period(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    raw: Raw,
    block: BillingSection,
    period: str,
) -> Raw:
    """The file without the rows that are on the bill of another month.

    What does not say a month is to be quarantined once, not in each month: it is taken to be of the
    latest month that the file tells. Where the location says that its files are one month's, nobody
    else would read the rows of another: `_survey` will not have them.
    """
    month, other = another_month(spoken, raw, period)
    if names_month(block.location) or other == "false":
        return raw
    told = f"case when regexp_full_match({month}, '[0-9]{{6}}') then {month} end"
    latest, rows = cursor.execute(f"select max({told}), count(*) from {raw.scan}").fetchall()[0]
    if rows and latest is None:
        raise UnreadableFile(
            f"{raw.item.address}: none of its {rows} rows says its month in {spoken.period!r}; "
            "name the month in `location` if it is one month's, or deliver it again"
        )
    mine = f"coalesce({told}, {literal(latest)}) = {literal(period.replace('-', ''))}"
    return replace(raw, scan=f"(select * from {raw.scan} where {mine}) as delivered")


def _survey(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    raw: Raw,
    source: str,
    period: str,
) -> dict[str, Any]:
    """What is known of a file before it is read: rows and money, and its sets of tags.

    Rows and money are a count and bare sums, which share nothing with the dialect but the name of
    the cost column. What is not a number is in no sum; its row still counts. All is taken in one
    pass, for parsing is what costs; the sets are left in `raw_tag_set`, with their rows. A file
    that the dialect refuses, or that is of another month than it should be, is not read.

    Columns of tags are grouped as they are, and written as one text once a set.
    """
    kept = {name: f"tags_{i}" for i, name in enumerate(raw.tags)}
    columns = [f"{raw.ref(name)} as {ref}" for name, ref in kept.items()]
    columns += [] if kept else [f"{tags_of(spoken, raw)} as x_RawTags"]
    for column in spoken.columns:
        if not raw.has(column.name):
            columns.append(f"cast(null as varchar) as {identifier(column.name)}")
            continue
        ref, duck_type = raw.ref(column.name), raw.kind(column.name)
        if column.kind == "number" and duck_type != "VARCHAR":
            columns.append(f"{value_of(column, raw)} as {identifier(column.name)}")
        elif column.kind == "number" and "[]" in column.name:
            each = "try_cast(part as decimal(38, 12))"
            columns.append(f"{list_sum(ref, each)} as {identifier(column.name)}")
        else:
            columns.append(f"nullif(cast({ref} as varchar), '') as {identifier(column.name)}")
    columns.append(f"{literal(raw.costs)} as x_CostBasis")
    month, other = another_month(spoken, raw, period)
    columns.append(f"case when {other} then {month} end as strange_month")
    counted = dict(spoken.counted)
    sums: dict[str, str] = {}
    for money, raw_columns in spoken.conserves:
        added = [
            " + ".join(
                f"try_cast({identifier(n.strip())} as decimal(38, 12))" for n in one.split(" + ")
            )
            for one in raw_columns.split(" else ")
        ]
        without = f"{spoken.excepted} or not ({counted[money]})"
        sums[money] = f"sum(case when {without} then 0 else coalesce({', '.join(added)}) end)"
    asked = ["BilledCost", "EffectiveCost"]
    counts = {f"refused_{i}": which for i, (which, _) in enumerate(spoken.refusals)}
    counts["strangers"] = "strange_month is not null"
    measures = ["count(*) as ChargeRows", "min(strange_month) as strange_month"]
    measures += [f"{sums.get(m, 'cast(null as decimal(38, 12))')} as {m}" for m in asked]
    measures += [f"count(*) filter (where {which}) as {n}" for n, which in counts.items()]
    grouped, written = "x_RawTags", "x_RawTags as x_TagKey"
    if kept:
        refs = tuple(kept.get(n, ref) for n, ref in zip(raw.names, raw.refs, strict=True))
        apart = replace(raw, refs=refs)
        grouped = ", ".join(kept.values())
        written = f"{tags_of(spoken, apart)} as x_RawTags, {tag_key(spoken, apart)} as x_TagKey"
    cursor.execute(
        f"create or replace temp table raw_tag_set as select {written}, tag_set.* from (select "
        f"{grouped}, {', '.join(measures)} from (select {', '.join(columns)} from {raw.scan}) "
        f"as delivered group by {grouped}) as tag_set"
    )
    found = cursor.execute(
        "select coalesce(sum(ChargeRows), 0), sum(BilledCost), sum(EffectiveCost), "
        f"min(strange_month), {', '.join(f'coalesce(sum({n}), 0)' for n in counts)} "
        "from raw_tag_set"
    ).fetchall()[0]
    *refused, strangers = found[4:]
    if strangers:
        raise ConfigError(
            f"{raw.item.address}: {strangers} rows are on the bill of {found[3]}, not "
            f"of {period} as [[billing]] {source} says; take the month out of `location`, and "
            "each month reads its own rows of every file"
        )
    for number, (_, why) in zip(refused, spoken.refusals, strict=True):
        if number:
            raise UnreadableFile(f"{raw.item.address}: {number} of its rows {why}")
    return dict(zip(["x_Rows", *asked], found[:3], strict=True))


# ---------------------------------------------------------------------------- the raw table


def _bind(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: Raw) -> None:
    """Make `raw_billing` of a file, exactly by name."""
    key = tag_key(spoken, raw)
    columns = ["row + 1 as x_SourceRow"]
    columns += [f"tag_list.{n}[tag_set + 1] as {n}" for n in ("Tags", "x_TagSetId")]
    complaints: list[tuple[str, str]] = []  # when there is one, and what it says
    if _number_tag_sets(cursor, spoken):
        reason = "tag_list.x_Reason[tag_set + 1]"
        complaints.append((f"{reason} is not null", reason))
    if raw.malformed:
        complaints.append((f"c{raw.width} is not null", f"c{raw.width}"))
    read = [f"enum_code(cast({key} as raw_tags)) as tag_set"]  # used twice, so read by itself
    for i, column in enumerate(spoken.columns):
        if column.kind == "tags":
            continue
        if not raw.has(column.name):
            columns.append(f"cast(null as {KINDS[column.kind]}) as {identifier(column.name)}")
            continue
        ref, value, duck_type = raw.ref(column.name), f"value_{i}", raw.kind(column.name)
        read.append(f"{value_of(column, raw)} as {value}")
        columns.append(f"{value} as {identifier(column.name)}")
        is_text = duck_type == "VARCHAR" and "[]" not in column.name
        present = f"nullif({ref}, '')" if is_text else ref
        if column.required and "[]" not in column.name:
            missing = literal(f"{column.name} is missing")
            complaints.append((f"{present} is null", missing))
        if column.kind in ("number", "time") and not is_always(column.kind, duck_type):
            complaint = literal(f"{column.name} is not a {column.kind}: '")
            complaints.append(
                (
                    f"{value} is null and {present} is not null",
                    f"{complaint} || left(cast({ref} as varchar), 80) || chr(39)",
                )
            )
    # Words are put together only in a row that has something to say.
    unsound = " or ".join(when for when, _ in complaints) or "false"
    said = ", ".join(f"case when {when} then {what} end" for when, what in complaints) or "null"
    columns.append(f"case when {unsound} then concat_ws('; ', {said}) end as x_Unreadable")
    columns.append(f"{literal(raw.costs)} as x_CostBasis")
    pairs = ", ".join(f"{literal(n)}, c{i}" for i, n in enumerate(raw.written[: raw.width]))
    whole = f"left(cast(json_object({pairs}) as varchar), 4096) as x_RawRow"
    columns.append("cast(null as varchar) as x_RawRow" if raw.whole else whole)
    # A lookup by position in a list, for a join would mix up the order of the rows.
    cursor.execute(
        f"create or replace temp view raw_billing as select {', '.join(columns)} from "
        f"(select *, {', '.join(read)} from {raw.scan}) as numbered cross join tag_list"
    )
    # Parsed again where a row is quarantined, and there alone.
    rows = f"row + 1 as x_SourceRow, {whole} from {raw.whole}"
    cursor.execute(
        "create or replace temp view raw_row as select "
        + (rows if raw.whole else "x_SourceRow, x_RawRow from raw_billing")
    )


def _number_tag_sets(cursor: duckdb.DuckDBPyConnection, spoken: Dialect) -> bool:
    """Number the distinct sets of tags in `raw_tag_set` and write each canonically, once.

    Millions of rows carry few of them, and the files of a delivery mostly the same ones: what was
    read of them stays in the engine for the next file of the run. The numbers are type `raw_tags`,
    the texts `tag_list`, in that order, of type `written_tags`. Returns whether some cannot be
    read; those have a reason in the list.
    """
    written, empty = written_tags(spoken), "[]" if spoken.tag_lists else "{}"
    cursor.execute(
        f"insert into raw_tag_set (x_RawTags, x_TagKey, ChargeRows) select '{empty}', '{empty}', 0 "
        f"where not exists (select 1 from raw_tag_set where x_RawTags = '{empty}')"
    )
    known = identifier(f"tag_set_{hashlib.sha256(written.encode()).hexdigest()[:16]}")
    cursor.execute(
        f"create table if not exists {known} "
        "(x_RawTags varchar, Tags varchar, x_TagSetId bigint, x_Reason varchar)"
    )
    if cursor.execute(f"select count(*) from {known}").fetchall()[0][0] > KNOWN_TAG_SETS:
        cursor.execute(f"delete from {known}")
    cursor.execute(
        "create or replace temp table new_tag_set as select distinct x_RawTags from raw_tag_set "
        f"anti join {known} on {known}.x_RawTags = raw_tag_set.x_RawTags"
    )
    cursor.execute(f"insert into {known} {written}")
    cursor.execute(
        "create or replace temp table numbered_tag_set as select x_TagKey, Tags, x_TagSetId, "
        f"x_Reason, ChargeRows, row_number() over (order by x_TagKey) as place from {known} "
        "inner join raw_tag_set using (x_RawTags)"
    )
    cursor.execute(
        "create or replace temp type raw_tags as enum "
        "(select x_TagKey from numbered_tag_set order by place)"
    )
    found = cursor.execute("select count(*) from numbered_tag_set").fetchall()
    # Each row group has all texts of an enum: of many sets that would be more than it saves.
    few = "enum (select distinct Tags from numbered_tag_set order by Tags)"
    kind = few if found[0][0] <= FEW_TAG_SETS else "varchar"
    cursor.execute(f"create or replace temp type written_tags as {kind}")
    cursor.execute(
        "create or replace temp table tag_list as select "
        "list(cast(Tags as written_tags) order by place) as Tags, "
        "list(x_TagSetId order by place) as x_TagSetId, "
        "list(x_Reason order by place) as x_Reason from numbered_tag_set"
    )
    found = cursor.execute(
        "select len(list_filter(x_Reason, lambda r: r is not null)) from tag_list"
    ).fetchall()
    return bool(found[0][0])


def _tells_tag_sets_apart(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Whether no two of the file's sets of tags have the same key; texts always have their own."""
    found = cursor.execute("select count(*), count(distinct x_TagKey) from raw_tag_set").fetchall()
    return bool(found[0][0] == found[0][1])


# --------------------------------------------------------------------------- opening a file


@contextmanager
def _raw_rows(
    connection: duckdb.DuckDBPyConnection, item: Item, local: Path, out: Path, *, mended: bool
) -> Iterator[Raw]:
    """The file's rows, with names and types read exactly.

    A CSV file is gone through to its end, and unpacked into `out` where it is packed. `mended` is
    for one that DuckDB cannot read: Python's csv goes through it, record by record, and makes it
    Parquet text.
    """
    if _is_parquet(item):
        yield _parquet(connection, item, local, None, malformed=False)
        return
    names, skip = text.header(item, local)
    if mended:
        kept = out / ".raw.parquet"
        try:
            text.mended(item, local, kept, len(names))
            yield _parquet(connection, item, kept, names, malformed=True)
        finally:
            kept.unlink(missing_ok=True)
        return
    refs = tuple(f"c{i}" for i in range(len(names)))
    kept = out / ".raw.csv"
    try:
        with ThreadPoolExecutor(1) as beside:
            through = text.Through(local, kept, beside)
            yield Raw(
                item,
                text.csv_scan(through.path, refs, skip),
                names=tuple(names),
                types=("VARCHAR",) * len(names),
                refs=refs,
                width=len(names),
                malformed=False,
                text=through,
            )
    finally:
        kept.unlink(missing_ok=True)


def _held(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: Raw) -> Raw:
    """A text file whose columns that the dialect reads are a table of the engine.

    It is gone through several times, and parsing is what costs; a table has places for its rows,
    where a number for each record of a text would have them all go through one thread. One that
    turns out far larger than a bill is read as it lies, as often as it takes.
    """
    if raw.text is None or raw.text.is_large:
        return raw
    asked = [raw.ref(c.name) for c in spoken.columns if raw.has(c.name)]
    asked += [tags_of(spoken, raw), *(raw.ref(n) for n in [spoken.period] if n and raw.has(n))]
    places = sorted({int(i) for i in re.findall(r"\bc(\d+)\b", " ".join(asked))})
    columns = ", ".join(f"c{i}" for i in places if i < raw.width)
    cursor.execute(f"create or replace temp table delivered as select {columns} from {raw.scan}")
    scan = "(select *, rowid as row from temp.delivered) as delivered"
    return replace(raw, scan=scan, whole=raw.scan)


def _is_parquet(item: Item) -> bool:
    """What is not called so is CSV."""
    return bool(re.search(r"\.parquet$", item.path, re.IGNORECASE))


def _parquet(
    connection: duckdb.DuckDBPyConnection,
    item: Item,
    parquet: Path,
    names: list[str] | None,
    *,
    malformed: bool,
) -> Raw:
    """Open a Parquet file; `names` are the header's where it was made from CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scan = (
        f"read_parquet({literal(str(parquet))}, hive_partitioning = false, file_row_number = true)"
    )
    try:
        alike = {} if names else dict(connection.execute(ONE_VALUE, [str(parquet)]).fetchall())
        packed = {name for (name,) in connection.execute(PACKED, [str(parquet)]).fetchall()}
        names = names or list(pq.read_schema(parquet).names)
        types = [row[1] for row in connection.execute(f"describe from {scan}").fetchall()][:-1]
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        raise UnreadableFile(
            f"{item.address}: not a whole Parquet file ({_first_line(error)}); deliver it again"
        ) from error
    refs = [f"c{i}" for i in range(len(types))]
    scan = f"{scan} as delivered({', '.join([*refs, 'row'])})"
    found = list(zip(names, types, refs, strict=False))  # a complaint, if any, has no name
    for name, kind, ref in found[:]:
        found += [
            (f"{name}.{field}", inner, f"struct_extract({ref}, {literal(field)})")
            for field, inner in fields_of(kind)
        ]
    found = [(name, *_unwrapped(kind, ref)) for name, kind, ref in found]
    alike = {
        name: f"cast({'null' if alike[name] is None else literal(alike[name])} as {kind})"
        for name, kind, _ in found
        if name in alike and kind in ("VARCHAR", "TIMESTAMP")
    }
    return Raw(
        item,
        scan,
        names=tuple(name for name, _, _ in found),
        types=tuple(kind for _, kind, _ in found),
        refs=tuple(ref for _, _, ref in found),
        width=len(names),
        malformed=malformed,
        alike=alike,
        packed=frozenset(ref for n, kind, ref in found if n in packed and kind == "VARCHAR"),
    )


ONE_VALUE = """
select replace(path_in_schema, ', ', '.'), min(stats_min_value)
from parquet_metadata(?)
where row_group_num_rows > 0
group by path_in_schema
having count(*) = count(distinct row_group_id)
    and count(stats_null_count) = count(*)
    and (
        sum(stats_null_count) = sum(num_values)
        or (
            sum(stats_null_count) = 0
            and count(stats_min_value) = count(*)
            and min(stats_min_value) = max(stats_max_value)
            and max(stats_min_value) = min(stats_max_value)
        )
    )
"""
"""Columns, and fields of records, that a Parquet file says to have one value in all rows, or none.

The least and the greatest of all row groups are it, also where a writer cuts long ones short, for
it cuts the greatest upwards.
"""


PACKED = """
select replace(path_in_schema, ', ', '.')
from parquet_metadata(?)
where row_group_num_rows > 0
group by path_in_schema
having bool_and(coalesce(dictionary_page_offset > 0, false))
"""
"""Columns, and fields of records, that a Parquet file has as numbers in dictionaries."""


def _unwrapped(kind: str, ref: str) -> tuple[str, str]:
    """A list as such: some writers make it a record of one list of records of one element."""
    outer = fields_of(kind)
    inner = fields_of(outer[0][1].removesuffix("[]")) if [n for n, _ in outer] == ["list"] else []
    if [n for n, _ in inner] != ["element"]:
        return kind, ref
    return f"{inner[0][1]}[]", f"list_transform({ref}.list, lambda wrapped: wrapped.element)"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
