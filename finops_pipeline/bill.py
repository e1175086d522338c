"""Stage 1: which files are a period's bill, and one of them into `cost_and_usage`.

What belongs here: what is delivered and whether it is whole; reading a header exactly; the types
a dialect asked for; the split into readable and quarantined rows. What a column *means* is in
`sql/bill/<dialect>.sql`; where files live is in `transports/`; publishing is `warehouse.py`.

A dialect says in its header what it needs:

    -- requires number: BilledCost          the file must have it, and so must every row
    -- optional text: InvoiceId             null where the file, or the row, has none
    -- optional tags: Tags                  a map, a JSON object, or columns `Tags_<key>`
    -- tag prefix: aws_ = aws:              keys that start so are written so
    -- conserves: BilledCost = BilledCost   the raw column the delivered money is summed from
    -- except: kind = 'memo'                rows of the file that carry no money of their own

and reads `raw_billing`, which has those columns, typed and under their exact names, and

    Tags           the tags as a JSON object, keys sorted, values text
    x_TagSetId     upper 63 bits of the MD5 of Tags
    x_SourceRow    the row in the file, from 1
    x_Unreadable   what is missing or not of its type, in words; else null
    x_RawRow       the row as a JSON object, at most 4096 characters

It returns the columns of `cost_and_usage` but for BillingPeriod, x_Source and x_SourceFile, and
x_Reason: null, or why the row is no charge. It is one SELECT without a join: the joins of DuckDB
mix up the order of their rows, and the file's order is kept.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import IO, Any

import duckdb

from .config import BillingSection, Config
from .contracts import table
from .errors import CheckFailed, ConfigError, IncompleteDelivery, UnreadableFile
from .queries import Query, query, stems
from .transports import Item, Transport

KINDS = {"number": "DECIMAL(38,12)", "time": "TIMESTAMP", "text": "VARCHAR", "tags": "VARCHAR"}
COPY = "(format parquet, compression zstd)"
KNOWN_TAG_SETS = 500_000
"""Tag sets kept from file to file, some 200 MB; above that, they are forgotten and read anew."""
IN_ORDER = "order by x_SourceRow"


# ------------------------------------------------------------------------------- deliveries


@dataclass(frozen=True)
class Delivery:
    """The files of one source and period, sorted by path, and what was left out of it.

    `duplicates` pairs a second copy with the file it repeats; only the latter is in `files`.
    """

    files: tuple[Item, ...]
    duplicates: tuple[tuple[Item, Item], ...] = ()
    manifest: Item | None = None


def delivery(
    block: BillingSection,
    config: Config,  # noqa: ARG001  # every stage is handed the configuration
    period: str,
    transport: Transport,
) -> Delivery:
    """What has been delivered for `period` (YYYY-MM); no files is an empty delivery.

    With a manifest, exactly the files the newest one lists. Raises `IncompleteDelivery` while
    some of them are missing, and `ConfigError` when the location does not name the period:
    every month would read every file again.
    """
    for pattern in (block.location, block.manifest):
        if pattern is not None and "{period}" not in pattern:
            raise ConfigError(
                f"[[billing]] {block.name}: {pattern!r} must hold {{period}}, so that "
                "each month's bill is read once"
            )
    found = transport.list(block.location.replace("{period}", period))
    if block.manifest is None:
        return _without_copies(found, transport)
    place = block.manifest.replace("{period}", period)
    manifests = transport.list(place)
    if not manifests:
        if found:
            raise IncompleteDelivery(
                f"[[billing]] {block.name}: {len(found)} files of {period} but no manifest at "
                f"{place}; it is written last, so try later, or correct `manifest`"
            )
        return Delivery(())
    newest = manifests[-1]  # AWS starts the folder of an execution with its time
    parts = _listed(newest, transport.read(newest))
    files = {part: _find(part, found) for part in parts}
    missing = sorted(part for part, item in files.items() if item is None)
    if missing:
        raise IncompleteDelivery(
            f"[[billing]] {block.name}: {newest.address} lists {len(missing)} of {len(parts)} "
            f"files that are not there: {', '.join(missing[:5])}; the last whole delivery stands"
        )
    return Delivery(tuple(sorted({item for item in files.values() if item})), (), newest)


def _without_copies(found: list[Item], transport: Transport) -> Delivery:
    """Files of the same size and content are one file, delivered twice; the first path counts."""
    sizes = [item.size for item in found]
    files: list[Item] = []
    duplicates: list[tuple[Item, Item]] = []
    seen: dict[tuple[int, str], Item] = {}
    for item in found:
        if sizes.count(item.size) > 1:
            first = seen.setdefault((item.size, transport.digest(item)), item)
            if first is not item:
                duplicates.append((item, first))
                continue
        files.append(item)
    return Delivery(tuple(files), tuple(duplicates))


def _listed(manifest: Item, content: bytes) -> list[str]:
    """Files a manifest lists: `dataFiles` of Data Exports, or `reportKeys` of the older CUR."""
    try:
        listed = json.loads(content)
        parts = listed.get("dataFiles", listed.get("reportKeys"))
        if isinstance(parts, list) and all(isinstance(p, str) and p for p in parts):
            return parts
    except (ValueError, AttributeError):
        pass
    raise IncompleteDelivery(
        f"{manifest.address}: not a whole manifest (JSON with a list `dataFiles`); it may still "
        "be on its way, so try later"
    )


def _find(part: str, found: list[Item]) -> Item | None:
    """The item a manifest means, found by the part of the path that both share.

    A manifest has the addresses of the bucket the export went to; the files may be a copy.
    """
    matching = [item for item in found if f"/{part}".endswith(f"/{item.path}")]
    return max(matching, key=lambda item: len(item.path), default=None)


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

    @property
    def tags(self) -> Column | None:
        """The column that holds the tags, if any."""
        return next((c for c in self.columns if c.kind == "tags"), None)


@cache
def dialect(name: str) -> Dialect:
    """The dialect in `sql/bill/<name>.sql`; `UnknownName` when there is none."""
    known = query(f"bill/{name}")
    columns: list[Column] = []
    conserves: list[tuple[str, str]] = []
    prefixes: list[tuple[str, str]] = []
    excepted = "false"
    for line in known.doc.splitlines():
        words, separator, rest = line.partition(":")
        match words.split() if separator else ():
            case ["requires" | "optional" as need, kind] if kind in KINDS:
                columns += (Column(n, kind, need == "requires") for n in rest.split())
            case ["conserves"]:
                money, _, raw = (part.strip() for part in rest.partition("="))
                conserves.append((money, raw))
            case ["tag", "prefix"]:
                delivered, _, meant = (part.strip() for part in rest.partition("="))
                prefixes.append((delivered, meant))
            case ["except"]:
                excepted = rest.strip()
    if not columns or not conserves:
        dialects = [s for s in stems("bill") if "-- conserves:" in query(f"bill/{s}").text]
        raise ConfigError(
            f"sql/bill/{name}.sql is no billing dialect (its header declares no columns); "
            f"known: {', '.join(dialects)}"
        )
    return Dialect(known, tuple(columns), tuple(conserves), excepted, tuple(prefixes))


def declare_inputs(connection: duckdb.DuckDBPyConnection, of: Dialect) -> None:
    """An empty `raw_billing` with the types a dialect sees, to bind its SQL to."""
    columns = {_name(c.name): KINDS[c.kind] for c in of.columns if c.kind != "tags"}
    columns |= {"Tags": "VARCHAR", "x_TagSetId": "BIGINT", "x_SourceRow": "BIGINT"}
    columns |= {"x_Unreadable": "VARCHAR", "x_RawRow": "VARCHAR"}
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
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
) -> ReadFile:
    """Read one delivered file into the folder `out`, as four Parquet files by contract.

    They are `cost_and_usage`, `quarantine`, `delivered_tag_set` and `delivery`.

    Rows keep the order of the file, and the bytes do not depend on the number of threads.
    `connection` has the macros; what is left in it are the tag sets it has read, for the next
    file. Raises `UnreadableFile` for a file that is truncated, not of its format, or misses a
    column.
    """
    out.mkdir(parents=True, exist_ok=True)
    spoken = dialect(block.dialect)
    before = local.stat()
    cursor = connection.cursor()
    try:
        with _raw_rows(cursor, item, local, out) as raw:
            _bind(cursor, spoken, raw)
            result = _write(cursor, spoken, raw, block, period, item, out)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.OutOfMemoryException):
        raise  # the dialect or the machine, not the file
    except duckdb.Error as error:
        raise UnreadableFile(f"{item.address}: {_first_line(error)}; deliver it again") from error
    finally:
        cursor.close()
    after = local.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise IncompleteDelivery(f"{item.address}: changed while it was read; run again")
    return result


def _write(
    cursor: duckdb.DuckDBPyConnection,
    spoken: Dialect,
    raw: _Raw,
    block: BillingSection,
    period: str,
    item: Item,
    out: Path,
) -> ReadFile:
    """The four tables of one file from the bound views."""
    same = {
        "BillingPeriod": _text(period),
        "x_Source": _text(block.name),
        "x_SourceFile": _text(item.path),
        "x_Bytes": str(item.size),
    }

    def write(name: str, given: dict[str, str], source: str) -> int:
        """Columns of table `name` from `source`; returns the rows written."""
        types = table(name).duckdb
        # What is the same in every row is added after the rows are put in order.
        found = ", ".join(
            f"cast({given.get(n, n)} as {t}) as {_name(n)}"
            for n, t in types.items()
            if n not in same
        )
        columns = ", ".join(
            f"cast({same[n]} as {t}) as {_name(n)}" if n in same else _name(n)
            for n, t in types.items()
        )
        select = f"select {columns} from (select {found} {source}) as found"
        target = _text(str(out / f"{name}.parquet"))
        done = cursor.execute(f"copy ({select}) to {target} {COPY}").fetchall()
        return int(done[0][0])

    charges = f"from ({spoken.query.text.rstrip().rstrip(';')}\n) as charge"
    totals = _totals(cursor, spoken, raw)
    readable = write("cost_and_usage", {}, f"{charges} where x_Reason is null")
    written = _text(str(out / "cost_and_usage.parquet"))
    if readable != totals["x_Rows"] or not _is_in_order(cursor, written):
        # Where rows are left out, how the rest is cut into row groups depends on the threads.
        write("cost_and_usage", {}, f"{charges} where x_Reason is null {IN_ORDER}")
    refused = write(
        "quarantine",
        {
            "BillingCurrency": "case when length(BillingCurrency) = 3 then BillingCurrency "
            "else 'XXX' end",
            "InvoiceId": "coalesce(InvoiceId, '(unknown)')",
            "ProviderName": "coalesce(ProviderName, '(unknown)')",
        },
        f"{charges} inner join (select x_SourceRow, x_RawRow from raw_billing) as delivered "
        f"using (x_SourceRow) where x_Reason is not null {IN_ORDER}"
        if readable != totals["x_Rows"]
        else f"{charges}, (select null as x_RawRow) as delivered where false",
    )
    if readable + refused != totals["x_Rows"]:
        raise CheckFailed(
            f"{item.address}: {totals['x_Rows']} rows came in, {readable + refused} went out; "
            f"sql/bill/{spoken.query.name}.sql drops or repeats rows"
        )
    write(
        "delivered_tag_set",
        {"x_ChargeRows": "ChargeRows"},
        f"from (select x_TagSetId, min(Tags) as Tags, count(*) as ChargeRows "
        f"from read_parquet({written}, hive_partitioning = false) group by x_TagSetId) as tag_set "
        "order by x_TagSetId",
    )
    write("delivery", {n: "null" if v is None else str(v) for n, v in totals.items()}, "")
    return ReadFile(
        int(totals["x_Rows"] or 0), refused, totals["BilledCost"], totals["EffectiveCost"]
    )


def _is_in_order(cursor: duckdb.DuckDBPyConnection, written: str) -> bool:
    """Whether a written file has every row of the delivered one, in its order.

    DuckDB keeps the order where nothing is joined or grouped, but promises it for no plan.
    """
    found = cursor.execute(
        "select count(*) from (select x_SourceRow, row_number() over () as place from "
        f"read_parquet({written}, hive_partitioning = false)) as line where place <> x_SourceRow"
    ).fetchall()
    return not found[0][0]


def _totals(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: _Raw) -> dict[str, Any]:
    """Rows and money of the raw file, by a count and bare sums.

    They share nothing with the dialect but the name of the cost column. What is not a number is
    in no sum; its row still counts.
    """
    names = [c.name for c in spoken.columns if c.name in raw.names]
    columns = [f"cast({raw.ref(n)} as varchar) as {_name(n)}" for n in names if n]
    absent = [
        f"cast(null as varchar) as {_name(c.name)}"
        for c in spoken.columns
        if c.name not in raw.names
    ]
    sums = {
        money: f"sum(case when {spoken.excepted} then 0 "
        f"else try_cast({_name(column)} as decimal(38, 12)) end)"
        for money, column in spoken.conserves
    }
    asked = ["BilledCost", "EffectiveCost"]
    found = cursor.execute(
        f"select count(*), {', '.join(sums.get(m, 'null') for m in asked)} "
        f"from (select {', '.join(columns + absent)} from {raw.scan}) as delivered"
    ).fetchall()[0]
    return dict(zip(["x_Rows", *asked], found, strict=True))


# ------------------------------------------------------------------------------ the raw tables


@dataclass(frozen=True)
class _Raw:
    """A Parquet file as it lies: `scan` names its columns c0, c1, ... by position, then `row`."""

    item: Item
    scan: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    malformed: bool

    def ref(self, name: str) -> str:
        return f"c{self.names.index(name)}"

    def kind(self, name: str) -> str:
        return self.types[self.names.index(name)]


@contextmanager
def _raw_rows(
    connection: duckdb.DuckDBPyConnection, item: Item, local: Path, out: Path
) -> Iterator[_Raw]:
    """The file's rows, with names and types read exactly.

    CSV becomes Parquet text first, once: parsing it is what costs, and Parquet numbers its rows.
    """
    kept = out / ".raw.parquet"
    names: list[str] | None = None
    malformed = False
    parquet = local
    try:
        if not re.search(r"\.parquet$", item.path, re.IGNORECASE):
            names, malformed = _csv_to_parquet(connection, item, local, kept)
            parquet = kept
        yield _parquet(connection, item, parquet, names, malformed)
    finally:
        kept.unlink(missing_ok=True)


def _parquet(
    connection: duckdb.DuckDBPyConnection,
    item: Item,
    parquet: Path,
    names: list[str] | None,
    malformed: bool,
) -> _Raw:
    """Open a Parquet file; `names` are the header's where it was made from CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scan = f"read_parquet({_text(str(parquet))}, hive_partitioning = false, file_row_number = true)"
    try:
        names = names or list(pq.read_schema(parquet).names)
        types = [row[1] for row in connection.execute(f"describe from {scan}").fetchall()][:-1]
    except (pa.ArrowException, OSError, duckdb.Error) as error:
        raise UnreadableFile(
            f"{item.address}: not a whole Parquet file ({_first_line(error)}); deliver it again"
        ) from error
    columns = ", ".join([*(f"c{i}" for i in range(len(types))), "row"])
    return _Raw(item, f"{scan} as delivered({columns})", tuple(names), tuple(types), malformed)


def _bind(cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: _Raw) -> None:
    """Make `raw_billing` of a file, exactly by name."""
    _check_names(spoken, raw)
    tags = _tags(spoken, raw)
    columns = ["row + 1 as x_SourceRow"]
    columns += [f"tag_list.{n}[tag_set + 1] as {n}" for n in ("Tags", "x_TagSetId")]
    complaints = ["cast(null as varchar)"]
    if _number_tag_sets(cursor, spoken, raw, tags):
        complaints.append("tag_list.x_Reason[tag_set + 1]")
    if raw.malformed:
        complaints.append(f"c{len(raw.names)}")
    for column in spoken.columns:
        if column.kind == "tags":
            continue
        if column.name not in raw.names:
            columns.append(f"cast(null as {KINDS[column.kind]}) as {_name(column.name)}")
            continue
        ref, value, duck_type = raw.ref(column.name), _value(column, raw), raw.kind(column.name)
        columns.append(f"{value} as {_name(column.name)}")
        present = f"nullif({ref}, '')" if duck_type == "VARCHAR" else ref
        if column.required:
            missing = _text(f"{column.name} is missing")
            complaints.append(f"case when {present} is null then {missing} end")
        if column.kind in ("number", "time") and not _always(column.kind, duck_type):
            complaint = _text(f"{column.name} is not a {column.kind}: '")
            complaints.append(
                f"case when ({value}) is null and {present} is not null "
                f"then {complaint} || left(cast({ref} as varchar), 80) || chr(39) end"
            )
    columns.append(f"nullif(concat_ws('; ', {', '.join(complaints)}), '') as x_Unreadable")
    pairs = ", ".join(f"{_text(n)}, c{i}" for i, n in enumerate(raw.names))
    columns.append(f"left(cast(json_object({pairs}) as varchar), 4096) as x_RawRow")
    # A lookup by position in a list, for a join would mix up the order of the rows.
    cursor.execute(
        f"create or replace temp view raw_billing as select {', '.join(columns)} from "
        f"(select *, enum_code(cast({tags} as raw_tags)) as tag_set from {raw.scan}) as numbered "
        "cross join tag_list"
    )


def _number_tag_sets(
    cursor: duckdb.DuckDBPyConnection, spoken: Dialect, raw: _Raw, tags: str
) -> bool:
    """Number the distinct sets of tags and write each canonically, once.

    Millions of rows carry few of them, and the files of a delivery mostly the same ones: what was
    read of them stays in the engine for the next file of the run. The numbers are type `raw_tags`,
    the texts `tag_list`, in that order. Returns whether some cannot be read; those have a reason
    in the list.
    """
    key = "entry.key"
    for delivered, meant in reversed(spoken.prefixes):
        rest = f"{_text(meant)} || substr(entry.key, {len(delivered) + 1})"
        key = f"case when starts_with(entry.key, {_text(delivered)}) then {rest} else {key} end"
    cursor.execute(
        "create or replace temp table raw_tag_set as select distinct x_RawTags from "
        f"(select '{{}}' as x_RawTags union all select {tags} from {raw.scan}) as delivered"
    )
    cursor.execute(
        "create or replace temp type raw_tags as enum "
        "(select x_RawTags from raw_tag_set order by x_RawTags)"
    )
    known = _name(f"tag_set_{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    cursor.execute(
        f"create table if not exists {known} "
        "(x_RawTags varchar, Tags varchar, x_TagSetId bigint, x_Reason varchar)"
    )
    if cursor.execute(f"select count(*) from {known}").fetchall()[0][0] > KNOWN_TAG_SETS:
        cursor.execute(f"delete from {known}")
    cursor.execute(
        "create or replace temp table new_tag_set as select x_RawTags from raw_tag_set "
        f"anti join {known} on {known}.x_RawTags = raw_tag_set.x_RawTags"
    )
    cursor.execute(f"insert into {known} {TAG_SET_TEXT.format(key=key)}")
    cursor.execute(
        "create or replace temp table tag_list as select list(Tags order by x_RawTags) as Tags, "
        "list(x_TagSetId order by x_RawTags) as x_TagSetId, "
        "list(x_Reason order by x_RawTags) as x_Reason "
        f"from {known} semi join raw_tag_set on raw_tag_set.x_RawTags = {known}.x_RawTags"
    )
    found = cursor.execute(
        "select len(list_filter(x_Reason, lambda r: r is not null)) from tag_list"
    ).fetchall()
    return bool(found[0][0])


# The tag sets that no file before had: as written, canonically, and why not.
TAG_SET_TEXT = """
with judged as (
    select
        x_RawTags,
        case when json_valid(x_RawTags) then json_type(x_RawTags) = 'OBJECT' else false end
            as is_object
    from new_tag_set
),
tag as (
    select x_RawTags, {key} as tag_key, entry.value ->> '$' as tag_value
    from (select x_RawTags from judged where is_object) as readable, json_each(x_RawTags) as entry
),
written as (
    select
        x_RawTags,
        '{{' || string_agg(
            cast(to_json(tag_key) as varchar) || ':'
            || coalesce(cast(to_json(tag_value) as varchar), 'null'),
            ',' order by tag_key
        ) || '}}' as Tags,
        count(*) > count(distinct tag_key) as is_ambiguous
    from tag
    group by x_RawTags
),
identified as (
    select
        judged.x_RawTags,
        coalesce(written.Tags, '{{}}') as Tags,
        cast(md5_number_lower(coalesce(written.Tags, '{{}}')) >> 1 as bigint) as x_TagSetId,
        case
            when not judged.is_object
                then 'Tags is not a JSON object: ''' || left(judged.x_RawTags, 80) || ''''
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
        times = raw.names.count(column.name)
        if times > 1:
            raise UnreadableFile(
                f"{raw.item.address}: column {column.name!r} is there {times} times, so nobody "
                "can say which is meant; deliver it with one"
            )
        if column.required and not times:
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
    nested = duck_type.endswith(("[]", ")")) and not duck_type.startswith("DECIMAL")
    match column.kind:
        case "number" if re.fullmatch(r"VARCHAR|DECIMAL.*|\w*INT(EGER)?", duck_type):
            return f"try_cast({ref} as decimal(38, 12))"
        case "number" if duck_type == "FLOAT":
            return f"try_cast(cast({ref} as varchar) as decimal(38, 12))"
        case "number" if duck_type == "DOUBLE":
            # The shortest decimal that reads back as this double is what was exported. Up to 15
            # digits only one decimal can read back, and finding it so is five times faster than
            # through text.
            near = f"try_cast({ref} as decimal(15, 10))"
            return (
                f"case when cast({near} as double) = {ref} then cast({near} as decimal(38, 12)) "
                f"else try_cast(cast({ref} as varchar) as decimal(38, 12)) end"
            )
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


def _tags(spoken: Dialect, raw: _Raw) -> str:
    """SQL of the row's tags as a JSON object: one column, or one column a key (`Tags_<key>`)."""
    column = spoken.tags
    if column is None:
        return "'{}'"
    if column.name in raw.names:
        ref, duck_type = raw.ref(column.name), raw.kind(column.name)
        if duck_type in ("VARCHAR", "JSON"):
            return f"coalesce(nullif({ref}, ''), '{{}}')"
        if duck_type.startswith(("MAP(", "STRUCT(")):
            return f"coalesce(cast(to_json({ref}) as varchar), '{{}}')"
        raise UnreadableFile(
            f"{raw.item.address}: column {column.name!r} is {duck_type}, which holds no tags; "
            "deliver a map or a JSON object"
        )
    prefix = f"{column.name}_"
    each = [
        f"{{'k': {_text(n.removeprefix(prefix))}, 'v': nullif(cast(c{i} as varchar), '')}}"
        for i, n in enumerate(raw.names)
        if n.startswith(prefix)
    ]
    if not each:
        return "'{}'"
    given = f"list_filter([{', '.join(each)}], lambda tag: tag.v is not null)"
    return f"cast(to_json(map_from_entries({given})) as varchar)"


# ------------------------------------------------------------------------------------- CSV


def _csv_to_parquet(
    connection: duckdb.DuckDBPyConnection, item: Item, local: Path, kept: Path
) -> tuple[list[str], bool]:
    """Rewrite a CSV file (plain or gzip) as Parquet text columns c0, c1, ... in file order.

    Returns the header, read exactly, and whether records with a wrong number of fields were kept
    as rows of nulls with the complaint in one more column. DuckDB reads a sound file; Python's
    csv goes through a damaged one, record by record.
    """
    try:
        with _open_text(local) as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, None)
            skip = reader.line_num
    except (csv.Error, OSError, EOFError, UnicodeError) as error:
        raise UnreadableFile(
            f"{item.address}: not a CSV file ({error}); deliver it again"
        ) from error
    if not names:
        raise UnreadableFile(f"{item.address}: is empty, without even a header; deliver it again")
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    compression = "gzip" if _is_gzip(local) else "none"
    scan = (
        f"read_csv({_text(str(local))}, auto_detect = false, header = false, skip = {skip}, "
        f"columns = {{{columns}}}, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = ['', 'NULL'], strict_mode = true, compression = '{compression}')"
    )
    try:
        connection.execute(
            f"copy (from {scan}) to {_text(str(kept))} (format parquet, compression lz4)"
        )
    except duckdb.Error:
        return names, _damaged_csv_to_parquet(item, local, kept, len(names))
    return names, False


def _damaged_csv_to_parquet(item: Item, local: Path, kept: Path, width: int) -> bool:
    """See `_csv_to_parquet`.

    A torn last record means that more may be missing: the file is refused, with its line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [pa.field(f"c{i}", pa.string()) for i in range(width + 1)]
    schema = pa.schema(fields)
    short = 0
    line = 0
    try:
        with _open_text(local) as file, pq.ParquetWriter(kept, schema) as writer:
            reader = csv.reader(file, strict=True)
            next(reader)
            batch: list[list[str | None]] = []
            for record in reader:
                line = reader.line_num
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
    except (csv.Error, OSError, EOFError, UnicodeError) as error:
        raise UnreadableFile(
            f"{item.address}: cannot be read after line {line} ({error}); deliver it again"
        ) from error
    if short:
        raise UnreadableFile(
            f"{item.address}: the last line, {short}, is torn, so more may be missing; "
            "deliver it again"
        )
    return True


def _write_batch(writer: Any, schema: Any, batch: list[list[str | None]]) -> None:
    import pyarrow as pa

    columns = [list(c) for c in zip(*batch, strict=True)] or [[] for _ in schema]
    writer.write_table(
        pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
        )
    )


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
