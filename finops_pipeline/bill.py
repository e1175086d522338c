"""Stage 1: one delivered file into `cost_and_usage`.

What belongs here: reading a header exactly; the types a dialect asked for; the split into readable
and quarantined rows. What a column *means* is in `sql/bill/<dialect>.sql`; which files are a
period's bill, in `deliveries.py`; where they live, in `transports/`; publishing is `warehouse.py`.

A dialect says in its header what it needs:

    -- requires number: BilledCost          the file must have it, and so must every row
    -- optional text: InvoiceId             null where the file, or the row, has none
    -- optional tags: Tags                  a map, a JSON object, or columns `Tags_<key>` (of
                                           `tags/`, `tags/<key>`); of several, the keys of all
    -- tag prefix: aws_ = aws:              keys that start so are written so
    -- conserves: BilledCost = BilledCost   the raw column the delivered money is summed from
    -- conserves: BilledCost = Net else Cost         the first of them that is not empty
    -- conserves: BilledCost = Cost where x_CostBasis = 'actual'     the same, of some rows alone
    -- except: kind = 'memo'                rows of the file that carry no money of their own
    -- spelled: Cost = PreTaxCost           other names for a column; the first that is there counts
    -- names: in any case                   `cost` is `Cost`
    -- names: in underscores                `lineItem/UsageType` is `line_item_usage_type`
    -- tags: without braces                 `"a": "1"` is a JSON object, too
    -- refuses: kind = 'x' -> it is not ours    a file with such a row is not read, and why
    -- tag list: project.labels = project: lists of key and value; the first list with a key wins,
                                           another value is kept under the prefix
    -- period: invoice.month               YYYYMM of the bill a row is on; a file may hold several
    -- invoices: when final                 the provider says so: a row has no InvoiceId until it is

A line may go on in the next, after a backslash.

A name may lead into a nested column of a Parquet file: `service.id` is the field of a record (of
a map, where it is another spelling), and
`credits[].amount` that of every record of a list, numbers added up and texts joined by commas.
A CSV file has the first under that very name, and the second as a JSON list.

A dialect reads `raw_billing`, which has those columns, typed and under their exact names, and

    Tags           the tags as a JSON object, keys sorted, values text
    x_TagSetId     upper 63 bits of the MD5 of Tags
    x_SourceRow    the row in the file, from 1
    x_CostBasis    `actual` or `amortized` where the block is one of a pair, `both` where it is not
    x_Unreadable   what is missing or not of its type, in words; else null
    x_RawRow       the row as a JSON object, at most 4096 characters

It returns the columns of `cost_and_usage` but for BillingPeriod, x_Source and x_SourceFile, and
x_Reason: null, or why the row is no charge. Columns that may be null can be left out. It is one
SELECT without a join: the joins of DuckDB mix up the order of their rows, and the file's order is
kept.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import IO, Any

import duckdb

from .config import BillingSection
from .contracts import table
from .errors import CheckFailed, ConfigError, IncompleteDelivery, UnreadableFile
from .landed import digest_of
from .periods import names_month
from .queries import Query, made_from, query, stems
from .transports import Item

KINDS = {"number": "DECIMAL(38,12)", "time": "TIMESTAMP", "text": "VARCHAR", "tags": "VARCHAR"}
COPY = "(format parquet, compression zstd, compression_level 1, write_bloom_filter false)"
"""Level 1 takes a tenth less time than 3 for files a fiftieth larger."""
KNOWN_TAG_SETS = 500_000
"""Tag sets kept from file to file, some 200 MB; above that, they are forgotten and read anew."""
FEW_TAG_SETS = 16_384
"""Tag sets of a file that are written as an enum."""
IN_ORDER = "order by x_SourceRow"
NO_TEXT = (csv.Error, OSError, EOFError, UnicodeError, zlib.error)
UNPACKED_TIMES = 50
"""How much larger than its gzip file a bill may lie on the disk; bills are 5 to 20 times larger."""
LONGEST_RECORD = 2**21
"""Characters of a CSV record; a longer one is no bill, and is not held in memory. DuckDB's own."""
PIECE = 2**17
"""Bytes of a text that are looked at in one go: they stay in the processor's cache."""


# --------------------------------------------------------------------------------- dialects


@dataclass(frozen=True)
class Column:
    """A raw column a dialect names; `kind` is a key of `KINDS`."""

    name: str
    kind: str
    required: bool


@dataclass(frozen=True)
class Dialect:
    """One SQL file of `sql/bill`, and what its header declares."""

    query: Query
    columns: tuple[Column, ...]
    conserves: tuple[tuple[str, str], ...]
    excepted: str
    prefixes: tuple[tuple[str, str], ...]
    tag_lists: tuple[tuple[str, str], ...] = ()
    period: str | None = None
    counted: tuple[tuple[str, str], ...] = ()
    spellings: tuple[tuple[str, str], ...] = ()
    fold: Callable[[str], str] = str
    bare_tags: bool = False
    refusals: tuple[tuple[str, str], ...] = ()
    invoiced_when_final: bool = False

    @property
    def delivered(self) -> tuple[str, ...]:
        """Columns of a delivered table that the dialect looks into, without what lies in them."""
        names = [*(c.name for c in self.columns), *(name for name, _ in self.tag_lists)]
        return tuple(dict.fromkeys(re.split(r"\[\]|\.", name)[0] for name in names))


@cache
def dialect(name: str) -> Dialect:
    """The dialect in `sql/bill/<name>.sql`; `UnknownName` when there is none."""
    known = query(f"bill/{name}")
    columns: list[Column] = []
    conserves: list[tuple[str, str]] = []
    prefixes: list[tuple[str, str]] = []
    tag_lists: list[tuple[str, str]] = []
    counted: list[tuple[str, str]] = []
    spellings: list[tuple[str, str]] = []
    refusals: list[tuple[str, str]] = []
    excepted = "false"
    period = None
    fold: Callable[[str], str] = str
    bare_tags = False
    invoiced_when_final = False
    for line in known.doc.replace("\\\n", " ").splitlines():
        words, separator, rest = line.partition(":")
        match words.split() if separator else ():
            case ["requires" | "optional" as need, kind] if kind in KINDS:
                columns += (Column(n, kind, need == "requires") for n in rest.split())
            case ["conserves"]:
                money, _, raw = (part.strip() for part in rest.partition("="))
                raw, _, where = raw.partition(" where ")
                conserves.append((money, raw.strip()))
                counted.append((money, where.strip() or "true"))
            case ["spelled"]:
                column, _, others = (part.strip() for part in rest.partition("="))
                spellings += ((column, other) for other in others.split())
            case ["names"]:
                fold = {"in any case": str.casefold, "in underscores": underscored}[rest.strip()]
            case ["tags"]:
                bare_tags = rest.strip() == "without braces"
            case ["refuses"]:
                which, _, why = (part.strip() for part in rest.partition("->"))
                refusals.append((which, why))
            case ["tag", "prefix"]:
                delivered, _, meant = (part.strip() for part in rest.partition("="))
                prefixes.append((delivered, meant))
            case ["tag", "list"]:
                column, _, prefix = (part.strip() for part in rest.partition("="))
                tag_lists.append((column, prefix))
            case ["except"]:
                excepted = rest.strip()
            case ["period"]:
                period = rest.strip()
            case ["invoices"]:
                invoiced_when_final = rest.strip() == "when final"
    if not columns or not conserves:
        dialects = [s for s in stems("bill") if "-- conserves:" in query(f"bill/{s}").text]
        raise ConfigError(
            f"sql/bill/{name}.sql is no billing dialect (its header declares no columns); "
            f"known: {', '.join(dialects)}"
        )
    return Dialect(
        known,
        tuple(columns),
        tuple(conserves),
        excepted,
        tuple(prefixes),
        tuple(tag_lists),
        period,
        tuple(counted),
        tuple(spellings),
        fold,
        bare_tags,
        tuple(refusals),
        invoiced_when_final,
    )


def underscored(name: str) -> str:
    """`lineItem/UnblendedCost` as `line_item_unblended_cost`: AWS's own rule for its tables."""
    apart = re.sub(r"([A-Z])", r"_\1", name).lower()
    return re.sub(r"[^a-z0-9.]+", "_", apart).strip("_")


def _inputs(of: Dialect) -> dict[str, str]:
    """The columns of `raw_billing` as a dialect sees it, and their types."""
    columns = {c.name: KINDS[c.kind] for c in of.columns if c.kind != "tags"}
    columns |= {"Tags": "VARCHAR", "x_TagSetId": "BIGINT", "x_SourceRow": "BIGINT"}
    return columns | dict.fromkeys(("x_CostBasis", "x_Unreadable", "x_RawRow"), "VARCHAR")


def _made_from(of: Dialect) -> dict[str, frozenset[str]]:
    """The columns a dialect tells, and for each the columns of `raw_billing` that decide it."""
    return made_from(of.query.path, frozenset(name.casefold() for name in _inputs(of)))


def declare_inputs(connection: duckdb.DuckDBPyConnection, of: Dialect) -> None:
    """An empty `raw_billing` with the types a dialect sees, to bind its SQL to."""
    typed = ", ".join(f"{_name(name)} {kind}" for name, kind in _inputs(of).items())
    connection.execute(f"create or replace temp table raw_billing ({typed})")


# ------------------------------------------------------------------------------ reading a file


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
    before = local.stat()
    came = {
        "x_Bytes": str(before.st_size),
        "x_Sha256": _text(sha256 or digest_of(local)),
        "x_Manifest": "null" if manifest is None else _text(manifest),
    }
    cursor = connection.cursor()

    def read(*, mended: bool) -> ReadFile:
        with _raw_rows(cursor, item, local, out, mended=mended) as found:
            raw = _of_period(spoken, _spelled(spoken, found, block), block, period)
            _check_names(spoken, raw)
            totals = _survey(cursor, spoken, raw, block, period)
            if not _tells_tag_sets_apart(cursor):
                raw = replace(raw, tags=())
                totals = _survey(cursor, spoken, raw, block, period)
            _await_end(raw)
            _bind(cursor, spoken, raw)
            alike = _alike(cursor, spoken, raw)
            return _write(cursor, spoken, totals, alike, block, period, item, came, out)

    try:
        try:
            result = read(mended=False)
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException):
            if _is_parquet(item):
                raise
            result = read(mended=True)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.OutOfMemoryException):
        raise  # the dialect or the machine, not the file
    except CheckFailed:
        _refuse_changed(item, local, before)
        raise
    except duckdb.Error as error:
        raise UnreadableFile(f"{item.address}: {_first_line(error)}; deliver it again") from error
    finally:
        cursor.close()
    _refuse_changed(item, local, before)
    if rows not in (None, result.rows):
        raise IncompleteDelivery(
            f"{item.address}: has {result.rows} rows, its manifest says {rows}; the last whole "
            "delivery stands"
        )
    return result


def _refuse_changed(item: Item, local: Path, before: os.stat_result) -> None:
    """What was read of a file that changed meanwhile is of no use."""
    after = local.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise IncompleteDelivery(f"{item.address}: changed while it was read; run again")


def _write(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    totals: Mapping[str, Any],
    alike: Mapping[str, str],
    block: BillingSection,
    period: str,
    item: Item,
    came: Mapping[str, str],
    out: Path,
) -> ReadFile:
    """The four tables of one file from the bound views.

    `alike` are columns of the charges that are the same in every row, as SQL.
    """
    told = {
        "BillingPeriod": _text(period),
        "x_Source": _text(block.name),
        "x_SourceFile": _text(item.path),
        **came,
    }

    def write(name: str, given: dict[str, str], source: str) -> int:
        """Columns of table `name` from `source`; returns the rows written."""
        types, same = dict(table(name).duckdb), told
        if name == "cost_and_usage":
            types["Tags"] = "written_tags"
            same = {**alike, **told}
        # What is the same in every row is added after the rows are put in order.
        found = ", ".join(
            f"cast({given.get(n, n)} as {t}) as {_name(n)}"
            for n, t in types.items()
            if n not in same
        )
        columns = ", ".join(
            f"cast({same[n]} as {_of_one(same[n], t)}) as {_name(n)}" if n in same else _name(n)
            for n, t in types.items()
        )
        select = f"select {columns} from (select {found} {source}) as found"
        target = _text(str(out / f"{name}.parquet"))
        done = cursor.execute(f"copy ({select}) to {target} {COPY}").fetchall()
        return int(done[0][0])

    charges = f"from ({spoken.query.text.rstrip().rstrip(';')}\n) as charge"
    untold = dict.fromkeys(table("cost_and_usage").nullable - set(_made_from(spoken)), "null")
    readable = write("cost_and_usage", untold, f"{charges} where x_Reason is null")
    written = _text(str(out / "cost_and_usage.parquet"))
    if readable != totals["x_Rows"] or not _is_in_order(cursor, written):
        # Where rows are left out, how the rest is cut into row groups depends on the threads.
        loose = (out / "cost_and_usage.parquet").rename(out / ".loose.parquet")
        write("cost_and_usage", {}, f"from read_parquet({_text(str(loose))}) {IN_ORDER}")
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
            f"{charges} inner join (select x_SourceRow, x_RawRow from raw_billing) as delivered "
            f"using (x_SourceRow) where x_Reason is not null {IN_ORDER}",
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


def _alike(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: _Raw) -> dict[str, str]:
    """Text columns of the charges that are the same in every row of a file, and their SQL.

    They are those that are made of nothing but what is the same in every row.
    """
    given = {"x_costbasis", *(c.name.casefold() for c in spoken.columns if raw.is_alike(c.name))}
    text = {n for n, kind in table("cost_and_usage").duckdb.items() if kind == "VARCHAR"}
    names = [n for n, of in _made_from(spoken).items() if n in text and of <= given]
    if not names:
        return {}
    found = cursor.execute(
        f"select {', '.join(names)} from ({spoken.query.text}) limit 1"
    ).fetchall()
    return {
        name: "null" if value is None else _text(value)
        for row in found
        for name, value in zip(names, row, strict=True)
    }


def _is_in_order(cursor: duckdb.DuckDBPyConnection, written: str) -> bool:
    """Whether a written file has every row of the delivered one, in its order.

    DuckDB keeps the order where nothing is joined or grouped, but promises it for no plan.
    """
    found = cursor.execute(
        "select count(*) from (select x_SourceRow, row_number() over () as place from "
        f"read_parquet({written}, hive_partitioning = false)) as line where place <> x_SourceRow"
    ).fetchall()
    return not found[0][0]


def _survey(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    raw: _Raw,
    block: BillingSection,
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
    columns += [] if kept else [f"{_tags(spoken, raw)} as x_RawTags"]
    for column in spoken.columns:
        if not raw.has(column.name):
            columns.append(f"cast(null as varchar) as {_name(column.name)}")
            continue
        ref, duck_type = raw.ref(column.name), raw.kind(column.name)
        if column.kind == "number" and duck_type != "VARCHAR":
            columns.append(f"{_value(column, raw)} as {_name(column.name)}")
        elif column.kind == "number" and "[]" in column.name:
            each = "try_cast(part as decimal(38, 12))"
            columns.append(f"{_list_sum(ref, each)} as {_name(column.name)}")
        else:
            columns.append(f"nullif(cast({ref} as varchar), '') as {_name(column.name)}")
    columns.append(f"{_text(raw.costs)} as x_CostBasis")
    month, other = _of_another(spoken, raw, period)
    columns.append(f"case when {other} then {month} end as strange_month")
    counted = dict(spoken.counted)
    sums: dict[str, str] = {}
    for money, raw_columns in spoken.conserves:
        added = [
            " + ".join(f"try_cast({_name(n.strip())} as decimal(38, 12))" for n in one.split(" + "))
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
        written = f"{_tags(spoken, apart)} as x_RawTags, {_tag_key(spoken, apart)} as x_TagKey"
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
            f"of {period} as [[billing]] {block.name} says; take the month out of `location`, and "
            "each month reads its own rows of every file"
        )
    for number, (_, why) in zip(refused, spoken.refusals, strict=True):
        if number:
            raise UnreadableFile(f"{raw.item.address}: {number} of its rows {why}")
    return dict(zip(["x_Rows", *asked], found[:3], strict=True))


# ------------------------------------------------------------------------------ the raw tables


@dataclass(frozen=True)
class _Raw:
    """A file as it lies: `scan` names its columns c0, c1, ... by position, then `row`, from 0.

    `names` are those of the columns, then those of the fields of records among them, as
    `record.field`; `refs` and `types` are in the same order. The first `width` are columns.
    `written` are the file's own names, where the dialect has others for them. `tags` are the
    columns of tags, where rows can be compared by them without writing them as one text. `alike`
    have one value in every row, which is their SQL. `sound` tells, some time, whether a text file
    ends with a record; nobody asks where it is None.
    """

    item: Item
    scan: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    refs: tuple[str, ...]
    width: int
    malformed: bool
    costs: str = "both"
    written: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    alike: frozenset[str] = frozenset()
    sound: Future[bool] | None = None

    def has(self, name: str) -> bool:
        """Whether a column is there; `list[].field` must be a list of records with that field."""
        column, inside, part = name.partition("[]")
        if column not in self.names or not inside:
            return column in self.names
        kind = self.types[self.names.index(column)]
        fields = [n for n, _ in _fields(kind.removesuffix("[]"))] if kind.endswith("[]") else []
        return kind in ("VARCHAR", "JSON") or part.removeprefix(".") in fields

    def is_alike(self, name: str) -> bool:
        """Whether a column is known to be the same in every row, as one that is not there is."""
        return not self.has(name) or name in self.alike

    def ref(self, name: str) -> str:
        """SQL of a column; of `list[].field` the values of the field, as a list."""
        column, inside, part = name.partition("[]")
        ref = self.refs[self.names.index(column)]
        if not inside:
            return ref
        if self.types[self.names.index(column)] in ("VARCHAR", "JSON"):
            field = f"json_extract_string(record, {_text(f'${part}')})"
            listed = f"list_transform(json_extract({ref}, '$[*]'), lambda record: {field})"
            is_list = f"case when json_valid({ref}) then json_type({ref}) = 'ARRAY' end"
            wrong = f"when {ref} <> '' then ['no list: ' || {ref}]"
            none = f"when {ref} = '[]' then cast([] as varchar[])"
            return f"case {none} when {is_list} then {listed} {wrong} end"
        return f"list_transform({ref}, lambda record: record.{_name(part.removeprefix('.'))})"

    def kind(self, name: str) -> str:
        """DuckDB's type of a column; of `list[].field` the type of the field."""
        column, inside, part = name.partition("[]")
        kind = self.types[self.names.index(column)]
        if not inside or kind in ("VARCHAR", "JSON"):
            return kind
        return dict(_fields(kind.removesuffix("[]")))[part.removeprefix(".")]


@contextmanager
def _raw_rows(
    connection: duckdb.DuckDBPyConnection, item: Item, local: Path, out: Path, *, mended: bool
) -> Iterator[_Raw]:
    """The file's rows, with names and types read exactly.

    A CSV file is read where it lies, as often as it takes: writing its text as Parquet costs more
    than parsing it again. `mended` is for one that DuckDB cannot read: Python's csv goes through
    it, record by record, and makes it Parquet text.
    """
    if _is_parquet(item):
        yield _parquet(connection, item, local, None, malformed=False)
        return
    names, skip = _header(item, local)
    if mended:
        kept = out / ".raw.parquet"
        try:
            _damaged_csv_to_parquet(item, local, kept, len(names))
            yield _parquet(connection, item, kept, names, malformed=True)
        finally:
            kept.unlink(missing_ok=True)
        return
    plain = out / ".raw.csv"
    try:
        whole = _unpack(local, plain) if _is_gzip(local) else None
        text = local if whole is None else plain
        with ThreadPoolExecutor(1) as beside:
            refs = tuple(f"c{i}" for i in range(len(names)))
            yield _Raw(
                item,
                _csv_scan(text, refs, skip),
                names=tuple(names),
                types=("VARCHAR",) * len(names),
                refs=refs,
                width=len(names),
                malformed=False,
                sound=beside.submit(_ends_with_a_record, text)
                if whole is None
                else beside.submit(bool, whole),
            )
    finally:
        plain.unlink(missing_ok=True)


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
) -> _Raw:
    """Open a Parquet file; `names` are the header's where it was made from CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scan = f"read_parquet({_text(str(parquet))}, hive_partitioning = false, file_row_number = true)"
    try:
        alike = {} if names else dict(connection.execute(ONE_VALUE, [str(parquet)]).fetchall())
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
            (f"{name}.{field}", inner, f"struct_extract({ref}, {_text(field)})")
            for field, inner in _fields(kind)
        ]
    found = [(name, *_unwrapped(kind, ref)) for name, kind, ref in found]
    alike = {
        name: f"cast({'null' if alike[name] is None else _text(alike[name])} as {kind})"
        for name, kind, _ in found
        if name in alike and kind in ("VARCHAR", "TIMESTAMP")
    }
    found = [(name, kind, alike.get(name, ref)) for name, kind, ref in found]
    return _Raw(
        item,
        scan,
        names=tuple(name for name, _, _ in found),
        types=tuple(kind for _, kind, _ in found),
        refs=tuple(ref for _, _, ref in found),
        width=len(names),
        malformed=malformed,
        alike=frozenset(alike),
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


def _fields(kind: str) -> list[tuple[str, str]]:
    """Names and types of the fields of a DuckDB record type; none of another type."""
    if not kind.startswith("STRUCT(") or kind.endswith("]"):
        return []
    return [(name, str(field)) for name, field in duckdb.sqltype(kind).children]


def _unwrapped(kind: str, ref: str) -> tuple[str, str]:
    """A list as such: some writers make it a record of one list of records of one element."""
    outer = _fields(kind)
    inner = _fields(outer[0][1].removesuffix("[]")) if [n for n, _ in outer] == ["list"] else []
    if [n for n, _ in inner] != ["element"]:
        return kind, ref
    return f"{inner[0][1]}[]", f"list_transform({ref}.list, lambda wrapped: wrapped.element)"


def _of_period(spoken: Dialect, raw: _Raw, block: BillingSection, period: str) -> _Raw:
    """The file without the rows that say they are on the bill of another month.

    What does not say a month stays, to be quarantined. Where the location says that its files are
    one month's, nobody else would read the rows of another: `_survey` will not have them.
    """
    _, other = _of_another(spoken, raw, period)
    if names_month(block.location) or other == "false":
        return raw
    mine = f"(select * from {raw.scan} where not coalesce({other}, false)) as delivered"
    return replace(raw, scan=mine)


def _of_another(spoken: Dialect, raw: _Raw, period: str) -> tuple[str, str]:
    """SQL of the month that a row says it is on the bill of, and of whether it is another."""
    if spoken.period is None or not raw.has(spoken.period):
        return "cast(null as varchar)", "false"
    month = f"cast({raw.ref(spoken.period)} as varchar)"
    other = f"regexp_full_match({month}, '[0-9]{{6}}') and {month} <> '{period.replace('-', '')}'"
    return month, other


def _spelled(spoken: Dialect, raw: _Raw, block: BillingSection) -> _Raw:
    """The file with its columns under the names the dialect has for them."""
    if block.costs != "both" and "x_CostBasis" not in spoken.query.text:
        raise ConfigError(
            f"[[billing]] {block.name}: {block.dialect} files hold both costs; take `costs` and "
            "`pair` out"
        )
    raw, fold = _with_map_keys(spoken, raw), spoken.fold
    names = [*raw.names]
    folded = [fold(name) for name in names]
    wanted = [c.name for c in spoken.columns if not c.name.endswith("/")]
    for column in wanted:
        for name in (column, *(other for c, other in spoken.spellings if c == column)):
            places = [i for i, written in enumerate(raw.names) if written == name]
            places = places or [i for i, written in enumerate(folded) if written == fold(name)]
            for place in places:
                names[place] = column
            if places:
                break
    alike = frozenset(n for n, w in zip(names, raw.names, strict=True) if w in raw.alike)
    raw = replace(raw, names=tuple(names), written=raw.names, costs=block.costs, alike=alike)
    return replace(raw, tags=_tags_as_they_are(spoken, raw))


def _with_map_keys(spoken: Dialect, raw: _Raw) -> _Raw:
    """The file with the keys of its maps that the dialect spells as `map.key`."""
    for _, name in spoken.spellings:
        column, inside, key = name.partition(".")
        if inside and column in raw.names and raw.kind(column).startswith("MAP("):
            value = f"cast(map_extract_value({raw.ref(column)}, {_text(key)}) as varchar)"
            raw = replace(
                raw,
                names=(*raw.names, name),
                types=(*raw.types, "VARCHAR"),
                refs=(*raw.refs, value),
            )
    return raw


def _bind(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: _Raw) -> None:
    """Make `raw_billing` of a file, exactly by name."""
    key = _tag_key(spoken, raw)
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
            columns.append(f"cast(null as {KINDS[column.kind]}) as {_name(column.name)}")
            continue
        ref, value, duck_type = raw.ref(column.name), f"value_{i}", raw.kind(column.name)
        read.append(f"{_value(column, raw)} as {value}")
        columns.append(f"{value} as {_name(column.name)}")
        is_text = duck_type == "VARCHAR" and "[]" not in column.name
        present = f"nullif({ref}, '')" if is_text else ref
        if column.required and "[]" not in column.name:
            missing = _text(f"{column.name} is missing")
            complaints.append((f"{present} is null", missing))
        if column.kind in ("number", "time") and not _always(column.kind, duck_type):
            complaint = _text(f"{column.name} is not a {column.kind}: '")
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
    columns.append(f"{_text(raw.costs)} as x_CostBasis")
    pairs = ", ".join(f"{_text(n)}, c{i}" for i, n in enumerate(raw.written[: raw.width]))
    columns.append(f"left(cast(json_object({pairs}) as varchar), 4096) as x_RawRow")
    # A lookup by position in a list, for a join would mix up the order of the rows.
    cursor.execute(
        f"create or replace temp view raw_billing as select {', '.join(columns)} from "
        f"(select *, {', '.join(read)} from {raw.scan}) as numbered cross join tag_list"
    )


def _number_tag_sets(cursor: duckdb.DuckDBPyConnection, spoken: Dialect) -> bool:
    """Number the distinct sets of tags in `raw_tag_set` and write each canonically, once.

    Millions of rows carry few of them, and the files of a delivery mostly the same ones: what was
    read of them stays in the engine for the next file of the run. The numbers are type `raw_tags`,
    the texts `tag_list`, in that order, of type `written_tags`. Returns whether some cannot be
    read; those have a reason in the list.
    """
    key = "entry.key"
    for delivered, meant in reversed(spoken.prefixes):
        rest = f"{_text(meant)} || substr(entry.key, {len(delivered) + 1})"
        key = f"case when starts_with(entry.key, {_text(delivered)}) then {rest} else {key} end"
    written, empty = TAGS_OF_OBJECT.format(key=key), "{}"
    if spoken.tag_lists:
        prefixes = " ".join(
            f"when {i} then {_text(prefix)}" for i, (_, prefix) in enumerate(spoken.tag_lists)
        )
        written, empty = TAGS_OF_LISTS.format(prefix=f"case list_number {prefixes} end"), "[]"
    cursor.execute(
        f"insert into raw_tag_set (x_RawTags, x_TagKey, ChargeRows) select '{empty}', '{empty}', 0 "
        f"where not exists (select 1 from raw_tag_set where x_RawTags = '{empty}')"
    )
    known = _name(f"tag_set_{hashlib.sha256(written.encode()).hexdigest()[:16]}")
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
    cursor.execute(f"insert into {known} {written}{TAG_SET_TEXT}")
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


# The tags of the sets that no file before had, as a JSON object.
TAGS_OF_OBJECT = """
with judged as (
    select
        x_RawTags,
        case when json_valid(x_RawTags) then json_type(x_RawTags) = 'OBJECT' else false end
            as is_readable,
        'Tags is not a JSON object: ' as complaint
    from new_tag_set
),
tag as (
    select x_RawTags, {key} as tag_key, entry.value ->> '$' as tag_value
    from (select x_RawTags from judged where is_readable) as readable,
        json_each(x_RawTags) as entry
),
"""

# The same of lists of keys and values. The first list that has a key says what it is; what
# another says differently is kept under that list's prefix and the namespace of the key.
TAGS_OF_LISTS = """
with judged as (
    select
        x_RawTags,
        case when json_valid(x_RawTags) then json_type(x_RawTags) = 'ARRAY' else false end
            as is_readable,
        'Tags are no lists of keys and values: ' as complaint
    from new_tag_set
),
listed as (
    select
        x_RawTags,
        cast(list.key as integer) as list_number,
        entry.value ->> 'key' as list_key,
        entry.value ->> 'value' as tag_value,
        coalesce((entry.value ->> 'namespace') || '/', '') as namespace
    from (select x_RawTags from judged where is_readable) as readable,
        json_each(x_RawTags) as list,
        json_each(list.value) as entry
),
ranked as (
    select
        listed.*,
        row_number() over of_key as place,
        first_value(tag_value) over of_key as first_tag_value
    from listed
    window of_key as (
        partition by x_RawTags, list_key order by list_number, namespace, tag_value
    )
),
tag as (
    select
        x_RawTags,
        case when place = 1 then list_key else {prefix} || namespace || list_key end as tag_key,
        tag_value
    from ranked
    where place = 1 or tag_value is distinct from first_tag_value
),
"""

# They canonically, and why not.
TAG_SET_TEXT = """
written as (
    select
        x_RawTags,
        '{' || string_agg(
            cast(to_json(tag_key) as varchar) || ':'
            || coalesce(cast(to_json(tag_value) as varchar), 'null'),
            ',' order by tag_key
        ) || '}' as Tags,
        count(*) > count(distinct tag_key) as is_ambiguous
    from tag
    group by x_RawTags
),
identified as (
    select
        judged.x_RawTags,
        coalesce(written.Tags, '{}') as Tags,
        cast(md5_number_lower(coalesce(written.Tags, '{}')) >> 1 as bigint) as x_TagSetId,
        case
            when not judged.is_readable
                then judged.complaint || '''' || left(judged.x_RawTags, 80) || ''''
            when written.is_ambiguous then 'Tags has a key twice'
        end as x_Reason
    from judged
    left join written on written.x_RawTags = judged.x_RawTags
)
select x_RawTags, Tags, x_TagSetId, x_Reason from identified
"""


def _check_names(spoken: Dialect, raw: _Raw) -> None:
    """Every required column is there, and none the dialect reads is there twice."""
    for column in spoken.columns:
        times = raw.names.count(column.name.partition("[]")[0])
        if times > 1:
            raise UnreadableFile(
                f"{raw.item.address}: column {column.name!r} is there {times} times, so nobody "
                "can say which is meant; deliver it with one"
            )
        if column.required and not raw.has(column.name):
            folded = {n.casefold(): n for n in raw.names}
            near = folded.get(column.name.casefold()) or next(
                iter(get_close_matches(column.name, raw.names, n=1)), None
            )
            raise UnreadableFile(
                f"{raw.item.address}: column {column.name!r} is missing"
                f"{f'; the nearest is {near!r}' if near else ''}; dialect "
                f"{spoken.query.name!r} needs it"
            )


def _always(kind: str, duck_type: str) -> bool:
    """Whether every value of a DuckDB type can be read as a number or time."""
    if kind == "time":
        return duck_type == "DATE" or duck_type.startswith("TIMESTAMP")
    return duck_type in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UINTEGER")


def _value(column: Column, raw: _Raw) -> str:
    """SQL that reads a raw column as the kind it is declared; null where it cannot be read."""
    ref, duck_type = raw.ref(column.name), raw.kind(column.name)
    if "[]" in column.name:
        if column.kind == "text":
            return f"array_to_string({ref}, ',')"
        number = _number("part", duck_type)
        if column.kind == "number" and number:
            return _list_sum(ref, number)
    elif column.kind == "number":
        number = _number(ref, duck_type)
        if number:
            return number
    nested = duck_type.endswith(("[]", ")")) and not duck_type.startswith("DECIMAL")
    match column.kind:
        case "time" if duck_type == "VARCHAR":
            # A plain cast drops an offset such as +02:00 without a word.
            offset = r":\d\d(\.\d+)?[+-]\d\d(:?\d\d)?$"
            return (
                f"case when regexp_matches({ref}, '{offset}') "
                f"then timezone('UTC', try_cast({ref} as timestamptz)) "
                f"else try_cast({ref} as timestamp) end"
            )
        case "time" if duck_type == "TIMESTAMP WITH TIME ZONE":
            return f"timezone('UTC', {ref})"
        case "time" if _always("time", duck_type):
            return f"cast({ref} as timestamp)"
        case "text" if duck_type == "VARCHAR":
            return f"nullif({ref}, '')"
        case "text" if nested:
            return f"cast(to_json({ref}) as varchar)"
        case "text":
            return f"cast({ref} as varchar)"
    raise UnreadableFile(
        f"{raw.item.address}: column {column.name!r} is {duck_type}, which is no {column.kind}; "
        "deliver it as it was declared"
    )


def _number(ref: str, duck_type: str) -> str | None:
    """SQL that reads a value of a DuckDB type as money, exactly; None for a type that is none."""
    if re.fullmatch(r"VARCHAR|JSON|DECIMAL.*|\w*INT(EGER)?", duck_type):
        return f"try_cast({ref} as decimal(38, 12))"
    if duck_type == "FLOAT":
        return f"try_cast(cast({ref} as varchar) as decimal(38, 12))"
    if duck_type == "DOUBLE":
        # The shortest decimal that reads back as this double is what was exported. It lies within
        # half a unit in the last place of the double, and so does the product below, within half a
        # unit of its own: together less than 2.3e-16 of it. Where no half of the twelfth decimal
        # is that near, both round to the same; the rest goes through text, thirty times slower.
        scaled = f"({ref} * 1e12)"
        return (
            f"case when {ref} = round({ref}) and abs({ref}) < 1e15 "
            f"then cast(cast({ref} as bigint) as decimal(38, 12)) "
            f"when abs({scaled} - round({scaled})) < 0.499999 - abs({ref}) * 3e-4 "
            f"then cast({ref} as decimal(38, 12)) "
            f"else try_cast(cast({ref} as varchar) as decimal(38, 12)) end"
        )
    return None


def _list_sum(values: str, number: str) -> str:
    """SQL of the sum of a list, `number` reading one `part`; 0 of none, null if one is no number.

    A join would be plainer, but mixes up the order of the rows.
    """
    numbers = f"list_transform({values}, lambda part: {number})"
    return (
        f"case when coalesce(len({values}), 0) = 0 then 0 "
        f"when list_count({numbers}) = len({values}) then list_sum({numbers}) end"
    )


def _tags(spoken: Dialect, raw: _Raw) -> str:
    """SQL of the row's tags as a JSON object: one column, or one column a key (`Tags_<key>`).

    Of several columns of tags the keys of all, a later one's value where two have the same.

    Of a dialect with tag lists, the lists as they are, one beside the other.
    """
    if spoken.tag_lists:
        lists = (_tag_list(raw, name) for name, _ in spoken.tag_lists)
        return "'[' || " + " || ',' || ".join(lists) + " || ']'"
    objects = [_tag_object(spoken, raw, c) for c in spoken.columns if c.kind == "tags"]
    tags, *others = [one for one in objects if one != "'{}'"] or ["'{}'"]
    for more in others:
        tags = (
            f"case when {more} = '{{}}' or not json_valid({tags}) then {tags} "
            f"when not json_valid({more}) then {more} "
            f"else cast(json_merge_patch({tags}, {more}) as varchar) end"
        )
    return tags


def _tags_as_they_are(spoken: Dialect, raw: _Raw) -> tuple[str, ...]:
    """The columns of tags, where no key of tags has a column of its own; else none."""
    names = [c.name for c in spoken.columns if c.kind == "tags"]
    if any(_tag_columns(raw, name) for name in names if name not in raw.names):
        return ()
    return tuple(n for n in (*names, *(n for n, _ in spoken.tag_lists)) if raw.has(n))


def _tag_key(spoken: Dialect, raw: _Raw) -> str:
    """SQL of a text that tells the row's tags from those of other rows: they, or a hash of them.

    To write maps and lists as text takes three times as long as to hash them.
    """
    refs = [raw.ref(name) for name in raw.tags]
    if not refs:
        return _tags(spoken, raw)
    if [raw.kind(name) for name in raw.tags] == ["VARCHAR"]:
        return f"coalesce({refs[0]}, '')"
    return f"cast(hash({', '.join(refs)}) as varchar)"


def _tells_tag_sets_apart(cursor: duckdb.DuckDBPyConnection) -> bool:
    """Whether no two of the file's sets of tags have the same key; texts always have their own."""
    found = cursor.execute("select count(*), count(distinct x_TagKey) from raw_tag_set").fetchall()
    return bool(found[0][0] == found[0][1])


def _tag_object(spoken: Dialect, raw: _Raw, column: Column) -> str:
    """SQL of one column of tags, or of the columns named after it, as a JSON object."""
    if column.name in raw.names:
        ref, duck_type = raw.ref(column.name), raw.kind(column.name)
        if duck_type in ("VARCHAR", "JSON"):
            if spoken.bare_tags:
                bare = f"'{{' || nullif({ref}, '\"\"') || '}}'"
                ref = f"case when starts_with({ref}, '{{') then {ref} else {bare} end"
            return f"coalesce(nullif({ref}, ''), '{{}}')"
        if duck_type.startswith(("MAP(", "STRUCT(")):
            return f"coalesce(cast(to_json({ref}) as varchar), '{{}}')"
        raise UnreadableFile(
            f"{raw.item.address}: column {column.name!r} is {duck_type}, which holds no tags; "
            "deliver a map or a JSON object"
        )
    each = [
        f"{{'k': {_text(key)}, 'v': nullif(cast({ref} as varchar), '')}}"
        for key, ref in _tag_columns(raw, column.name)
    ]
    if not each:
        return "'{}'"
    given = f"list_filter([{', '.join(each)}], lambda tag: tag.v is not null)"
    return f"cast(to_json(map_from_entries({given})) as varchar)"


def _tag_columns(raw: _Raw, name: str) -> list[tuple[str, str]]:
    """Keys of tags that have a column each, `Tags_<key>` or `tags/<key>`, and its SQL."""
    prefix = name if name.endswith("/") else f"{name}_"
    return [
        (n.removeprefix(prefix), f"c{i}")
        for i, n in enumerate(raw.names[: raw.width])
        if n.startswith(prefix)
    ]


def _tag_list(raw: _Raw, name: str) -> str:
    """SQL of one list of keys and values as JSON; a file without it has an empty one."""
    if not raw.has(name):
        return "'[]'"
    ref, duck_type = raw.ref(name), raw.kind(name)
    if duck_type in ("VARCHAR", "JSON"):
        return f"coalesce(nullif({ref}, ''), '[]')"
    if duck_type.endswith("[]"):
        return f"coalesce(cast(to_json({ref}) as varchar), '[]')"
    raise UnreadableFile(
        f"{raw.item.address}: column {name!r} is {duck_type}, which is no list of keys and values; "
        "deliver it as it was exported"
    )


# ------------------------------------------------------------------------------------- CSV


def _header(item: Item, local: Path) -> tuple[list[str], int]:
    """The header of a CSV file (plain or gzip), read exactly, and the lines it takes."""
    try:
        with _open_text(local) as file:
            reader = csv.reader(_Lines(file), strict=True)
            names = next(reader, None)
            skip = reader.line_num
    except NO_TEXT as error:
        raise UnreadableFile(
            f"{item.address}: not a CSV file ({error}); deliver it again"
        ) from error
    if not names:
        raise UnreadableFile(f"{item.address}: is empty, without even a header; deliver it again")
    return names, skip


def _csv_scan(local: Path, refs: Iterable[str], skip: int) -> str:
    """SQL of the records of a sound CSV file, as text, with their numbers in file order."""
    columns = ", ".join(f"'{ref}': 'VARCHAR'" for ref in refs)
    compression = "gzip" if _is_gzip(local) else "none"
    scan = (
        f"read_csv({_text(str(local))}, auto_detect = false, header = false, skip = {skip}, "
        f"columns = {{{columns}}}, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = ['', 'NULL'], strict_mode = true, compression = '{compression}', "
        f"max_line_size = {LONGEST_RECORD}, buffer_size = {2 * LONGEST_RECORD})"
    )
    return f"(select *, row_number() over () - 1 as row from {scan}) as delivered"


def _await_end(raw: _Raw) -> None:
    """Wait for what is known of a text file when all of it was gone through once."""
    try:
        if raw.sound is not None and not raw.sound.result():
            raise csv.Error(f"the last record has more than {LONGEST_RECORD} characters")
    except NO_TEXT as error:
        raise UnreadableFile(
            f"{raw.item.address}: cannot be read to its end ({error}); deliver it again"
        ) from error


def _damaged_csv_to_parquet(item: Item, local: Path, kept: Path, width: int) -> None:
    """A CSV file as Parquet text columns c0, c1, ... in file order.

    Records with a wrong number of fields are rows of nulls with a complaint in one more column. A
    torn last record means that more may be missing: the file is refused, with its line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(f"c{i}", pa.string()) for i in range(width + 1)]
    schema = pa.schema(fields)
    short = 0
    line = 0
    try:
        with _open_text(local) as file, pq.ParquetWriter(kept, schema) as writer:
            lines = _Lines(file)
            reader = csv.reader(lines, strict=True)
            next(reader)
            batch: list[list[str | None]] = []
            for record in reader:
                line, lines.held = reader.line_num, 0
                short = 0
                if len(record) == width:
                    batch.append([None if f in ("", "NULL") else f for f in record] + [None])
                elif record:
                    short = line if len(record) < width else 0
                    why = f"the record that ends in line {line} has {len(record)} of {width} fields"
                    batch.append([None] * width + [why])
                if len(batch) == 10_000:
                    _write_batch(writer, schema, batch)
                    batch = []
            _write_batch(writer, schema, batch)
    except NO_TEXT as error:
        raise UnreadableFile(
            f"{item.address}: cannot be read after line {line} ({error}); deliver it again"
        ) from error
    if short:
        raise UnreadableFile(
            f"{item.address}: the last line, {short}, is torn, so more may be missing; "
            "deliver it again"
        )


class _Lines:
    """Lines of a text, where no record may be longer than `LONGEST_RECORD`.

    A small file of gzip can hold a line of many gigabytes. `held` is what the reader of records
    has of one that has not ended; whoever gets a record sets it back.
    """

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self.held = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_RECORD + 1 - self.held)
        self.held += len(line)
        if self.held > LONGEST_RECORD:
            raise csv.Error(f"a record of more than {LONGEST_RECORD} characters")
        if not line:
            raise StopIteration
        return line


def _write_batch(writer: Any, schema: Any, batch: list[list[str | None]]) -> None:
    import pyarrow as pa

    columns = [list(c) for c in zip(*batch, strict=True)] or [[] for _ in schema]
    writer.write_table(
        pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
        )
    )


def _ends_with_a_record(local: Path, kept: Callable[[bytes], object] = len) -> bool:
    """Whether the last record is not too long: DuckDB leaves one out that its buffer cannot hold.

    All of the file is gone through, and each piece of it `kept`: DuckDB looks at the columns it
    needs and compares no checksums of gzip, but all must be text, to the end.
    """
    size = start = 0  # of the file, and where its last record begins
    ended = False
    decode = codecs.getincrementaldecoder("utf-8")().decode
    with gzip.open(local) if _is_gzip(local) else local.open("rb") as file:
        while chunk := file.read(PIECE):
            decode(chunk)
            kept(chunk)
            record = chunk.rstrip(b"\r\n")
            if record:
                before = max(record.rfind(b"\n"), record.rfind(b"\r"))
                if before >= 0 or ended:
                    start = size + before + 1
                ended = False
            ended = ended or record != chunk
            size += len(chunk)
        decode(b"", final=True)
    return size <= LONGEST_RECORD or size - start <= LONGEST_RECORD + 1


def _unpack(local: Path, to: Path) -> bool | None:
    """Unpack a gzip file, for it is gone through more than once; whether it ends with a record.

    None where that cannot be, or where it is far larger than a bill becomes: it is then read as it
    lies.
    """
    most = max(2**24, UNPACKED_TIMES * local.stat().st_size)
    with to.open("wb") as text:

        def keep(chunk: bytes) -> None:
            text.write(chunk)
            if text.tell() > most:
                raise OverflowError

        try:
            return _ends_with_a_record(local, keep)
        except (OverflowError, *NO_TEXT):
            return None


def _is_gzip(local: Path) -> bool:
    with local.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _open_text(local: Path) -> IO[str]:
    """A CSV file as text, with a byte order mark taken off."""
    if _is_gzip(local):
        return gzip.open(local, "rt", encoding="utf-8-sig", newline="")
    return local.open(encoding="utf-8-sig", newline="")


# ------------------------------------------------------------------------------------ DuckDB


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
