"""What a billing dialect says in its header, and the SQL that comes of it.

What belongs here: `sql/bill/<dialect>.sql` as a value; a delivered file's columns under the
dialect's names, each read as the kind it asks for, and its tags. Nothing is run. Opening files,
counting their money and writing the tables is `bill.py`.

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

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache

import duckdb

from .errors import ConfigError, UnreadableFile
from .queries import Query, made_from, query, stems
from .text import Through
from .transports import Item
from .warehouse import identifier, literal

KINDS = {"number": "DECIMAL(38,12)", "time": "TIMESTAMP", "text": "VARCHAR", "tags": "VARCHAR"}


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
def dialect(name: str, folder: str = "bill") -> Dialect:
    """The dialect in `sql/<folder>/<name>.sql`; `UnknownName` when there is none.

    Only bills conserve money; exports of usage (`usage/pods`) are read by the same rules without.
    """
    known = query(f"{folder}/{name}")
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
    if not columns or (folder == "bill" and not conserves):
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


def inputs(of: Dialect) -> dict[str, str]:
    """The columns of `raw_billing` as a dialect sees it, and their types."""
    columns = {c.name: KINDS[c.kind] for c in of.columns if c.kind != "tags"}
    columns |= {"Tags": "VARCHAR", "x_TagSetId": "BIGINT", "x_SourceRow": "BIGINT"}
    return columns | dict.fromkeys(("x_CostBasis", "x_Unreadable", "x_RawRow"), "VARCHAR")


def told_by(of: Dialect) -> dict[str, frozenset[str]]:
    """The columns a dialect tells, and for each the columns of `raw_billing` that decide it."""
    return made_from(of.query.path, frozenset(name.casefold() for name in inputs(of)))


def declare_inputs(connection: duckdb.DuckDBPyConnection, of: Dialect) -> None:
    """An empty `raw_billing` with the types a dialect sees, to bind its SQL to."""
    typed = ", ".join(f"{identifier(name)} {kind}" for name, kind in inputs(of).items())
    connection.execute(f"create or replace temp table raw_billing ({typed})")


# ------------------------------------------------------------------------ delivered columns


@dataclass(frozen=True)
class Raw:
    """A file as it lies: `scan` names its columns c0, c1, ... by position, then `row`, from 0.

    `names` are those of the columns, then those of the fields of records among them, as
    `record.field`; `refs` and `types` are in the same order. The first `width` are columns.
    `written` are the file's own names, where the dialect has others for them. `tags` are the
    columns of tags, where rows can be compared by them without writing them as one text. `alike`
    are texts and times that the file says to be the same in every row, as SQL. `packed` are the
    refs of texts that the file has as numbers in dictionaries. `text` goes through a text file
    beside its reading. `whole` is the scan of all columns, where `scan` has but those that the
    dialect reads.
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
    alike: Mapping[str, str] = field(default_factory=dict)
    packed: frozenset[str] = frozenset()
    text: Through | None = None
    whole: str | None = None

    def has(self, name: str) -> bool:
        """Whether a column is there; `list[].field` must be a list of records with that field."""
        column, inside, part = name.partition("[]")
        if column not in self.names or not inside:
            return column in self.names
        kind = self.types[self.names.index(column)]
        fields = [n for n, _ in fields_of(kind.removesuffix("[]"))] if kind.endswith("[]") else []
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
            field = f"json_extract_string(record, {literal(f'${part}')})"
            listed = f"list_transform(json_extract({ref}, '$[*]'), lambda record: {field})"
            is_list = f"case when json_valid({ref}) then json_type({ref}) = 'ARRAY' end"
            wrong = f"when {ref} <> '' then ['no list: ' || {ref}]"
            none = f"when {ref} = '[]' then cast([] as varchar[])"
            return f"case {none} when {is_list} then {listed} {wrong} end"
        return f"list_transform({ref}, lambda record: record.{identifier(part.removeprefix('.'))})"

    def kind(self, name: str) -> str:
        """DuckDB's type of a column; of `list[].field` the type of the field."""
        column, inside, part = name.partition("[]")
        kind = self.types[self.names.index(column)]
        if not inside or kind in ("VARCHAR", "JSON"):
            return kind
        return dict(fields_of(kind.removesuffix("[]")))[part.removeprefix(".")]


def fields_of(kind: str) -> list[tuple[str, str]]:
    """Names and types of the fields of a DuckDB record type; none of another type."""
    if not kind.startswith("STRUCT(") or kind.endswith("]"):
        return []
    return [(name, str(field)) for name, field in duckdb.sqltype(kind).children]


def check_names(spoken: Dialect, raw: Raw) -> None:
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


def spelled(spoken: Dialect, raw: Raw, costs: str) -> Raw:
    """The file with its columns under the names the dialect has for them."""
    raw, fold = _with_map_keys(spoken, raw), spoken.fold
    names = [*raw.names]
    folded = [fold(name) for name in names]
    wanted = [c.name for c in spoken.columns if not c.name.endswith(("/", "."))]
    for column in wanted:
        for name in (column, *(other for c, other in spoken.spellings if c == column)):
            places = [i for i, written in enumerate(raw.names) if written == name]
            places = places or [i for i, written in enumerate(folded) if written == fold(name)]
            for place in places:
                names[place] = column
            if places:
                break
    text = {c.name for c in spoken.columns if c.kind == "text"}  # money is counted row by row
    told = zip(names, raw.names, strict=True)
    alike = {n: raw.alike[w] for n, w in told if n in text and w in raw.alike}
    refs = tuple(alike.get(n, ref) for n, ref in zip(names, raw.refs, strict=True))
    raw = replace(raw, names=tuple(names), written=raw.names, refs=refs, alike=alike)
    raw = replace(raw, costs=costs)
    return replace(raw, tags=_tags_as_they_are(spoken, raw))


def _with_map_keys(spoken: Dialect, raw: Raw) -> Raw:
    """The file with the keys of its maps that the dialect spells as `map.key`."""
    for _, name in spoken.spellings:
        column, inside, key = name.partition(".")
        if inside and column in raw.names and raw.kind(column).startswith("MAP("):
            value = f"cast(map_extract_value({raw.ref(column)}, {literal(key)}) as varchar)"
            raw = replace(
                raw,
                names=(*raw.names, name),
                types=(*raw.types, "VARCHAR"),
                refs=(*raw.refs, value),
            )
    return raw


def another_month(spoken: Dialect, raw: Raw, period: str) -> tuple[str, str]:
    """SQL of the month that a row says it is on the bill of, and of whether it is another."""
    if spoken.period is None or not raw.has(spoken.period):
        return "cast(null as varchar)", "false"
    month = f"cast({raw.ref(spoken.period)} as varchar)"
    other = f"regexp_full_match({month}, '[0-9]{{6}}') and {month} <> '{period.replace('-', '')}'"
    return month, other


# ----------------------------------------------------------------------------------- values


def is_always(kind: str, duck_type: str) -> bool:
    """Whether every value of a DuckDB type can be read as a number or time."""
    if kind == "time":
        return duck_type == "DATE" or duck_type.startswith("TIMESTAMP")
    return duck_type in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UINTEGER")


def value_of(column: Column, raw: Raw) -> str:
    """SQL that reads a raw column as the kind it is declared; null where it cannot be read."""
    ref, duck_type = raw.ref(column.name), raw.kind(column.name)
    if "[]" in column.name:
        if column.kind == "text":
            return f"array_to_string({ref}, ',')"
        number = number_of("part", duck_type)
        if column.kind == "number" and number:
            return list_sum(ref, number)
    elif column.kind == "number":
        number = number_of(ref, duck_type)
        if number:
            return number
    nested = duck_type.endswith(("[]", ")")) and not duck_type.startswith("DECIMAL")
    match column.kind:
        case "time" if duck_type == "VARCHAR":
            return time_of(ref)
        case "time" if duck_type == "TIMESTAMP WITH TIME ZONE":
            return f"timezone('UTC', {ref})"
        case "time" if is_always("time", duck_type):
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


def time_of(ref: str) -> str:
    """SQL that reads a time in text, in UTC; null for one that does not say when it is.

    A plain cast drops what follows a time, an offset, a zone or PM, without a word, so it gets only
    times that end, or are in UTC. What has an offset, or a zone that is named in full, is
    converted; `PST` or `IST` are several zones, and are none.
    """
    clock = r"[T ]\d+:\d+(:\d+([.]\d*)?)?"
    in_utc = rf" *\d+[-/]\d+[-/]\d+({clock} ?(Z|UTC|GMT)?)? *"
    offset = r"([+-]\d\d(:?\d\d)?)"
    zoned = rf"[^ T]+{clock} ?({offset}|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+\d*) *"
    # the cast to a time with a zone does not know a blank before its offset
    joined = rf"regexp_replace({ref}, ' {offset} *$', '\1')"
    return (
        # the first two are what providers write, and cost least
        f"case when ends_with({ref}, 'Z') or {ref} like '____-__-__ __:__:__ UTC' "
        f"or regexp_full_match({ref}, '{in_utc}') "
        f"then try_cast({ref} as timestamp) "
        f"when regexp_full_match({ref}, '{zoned}') "
        f"then timezone('UTC', try_cast({joined} as timestamptz)) end"
    )


def number_of(ref: str, duck_type: str) -> str | None:
    """SQL that reads a value of a DuckDB type as money, exactly; None for a type that is none."""
    exactly = f"try_cast({ref} as decimal(38, 12))"
    if duck_type == "VARCHAR":
        # To cut decimals off a text takes ten times as long as to read a short one. Casts to double
        # read exponents and digits apart by `_` in other ways than those to decimal do.
        plain = " ".join(f"and not contains({ref}, {literal(sign)})" for sign in "eE_")
        near = _near(f"try_cast({ref} as double)")
        return (
            f"case when length({ref}) > 16 {plain} then case {near} else {exactly} end "
            f"else {exactly} end"
        )
    if re.fullmatch(r"JSON|DECIMAL.*|\w*INT(EGER)?", duck_type):
        return exactly
    exactly = f"try_cast(cast({ref} as varchar) as decimal(38, 12))"
    if duck_type == "FLOAT":
        return exactly
    if duck_type == "DOUBLE":
        # The shortest decimal that reads back as this double is what was exported; it goes through
        # text, thirty times slower.
        return (
            f"case when {ref} = round({ref}) and abs({ref}) < 1e15 "
            f"then cast(cast({ref} as bigint) as decimal(38, 12)) {_near(ref)} else {exactly} end"
        )
    return None


def _near(double: str) -> str:
    """SQL of a case for numbers of which a double is enough to know the twelfth decimal.

    The number lies within half a unit in the last place of its double, 1.2e-16 of it. What is below
    one is taken off exactly, and its product is within 1.2e-4 of a twelfth decimal. Where no half
    of the twelfth decimal is as near as both, all round to the same.
    """
    rest = f"({double} - trunc({double}))"
    scaled = f"({rest} * 1e12)"
    return (
        f"when abs({scaled} - round({scaled})) < 0.4997 - abs({double}) * 1.2e-4 "
        f"then cast(cast(trunc({double}) as bigint) as decimal(38, 12)) "
        f"+ cast({rest} as decimal(38, 12))"
    )


def list_sum(values: str, number: str) -> str:
    """SQL of the sum of a list, `number` reading one `part`; 0 of none, null if one is no number.

    A join would be plainer, but mixes up the order of the rows.
    """
    numbers = f"list_transform({values}, lambda part: {number})"
    return (
        f"case when coalesce(len({values}), 0) = 0 then 0 "
        f"when list_count({numbers}) = len({values}) then list_sum({numbers}) end"
    )


# ------------------------------------------------------------------------------------- tags


def tags_of(spoken: Dialect, raw: Raw) -> str:
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


def _tags_as_they_are(spoken: Dialect, raw: Raw) -> tuple[str, ...]:
    """The columns of tags, where no key of tags has a column of its own; else none."""
    names = [c.name for c in spoken.columns if c.kind == "tags"]
    if any(_tag_columns(raw, name) for name in names if name not in raw.names):
        return ()
    return tuple(n for n in (*names, *(n for n, _ in spoken.tag_lists)) if raw.has(n))


def tag_key(spoken: Dialect, raw: Raw) -> str:
    """SQL of a text that tells the row's tags from those of other rows: they, or a hash of them.

    To write maps and lists as text takes three times as long as to hash them.
    """
    refs = [raw.ref(name) for name in raw.tags]
    if not refs:
        return tags_of(spoken, raw)
    if [raw.kind(name) for name in raw.tags] == ["VARCHAR"]:
        return f"coalesce({refs[0]}, '')"
    return f"cast(hash({', '.join(refs)}) as varchar)"


def _tag_object(spoken: Dialect, raw: Raw, column: Column) -> str:
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
        f"{{'k': {literal(key)}, 'v': nullif(cast({ref} as varchar), '')}}"
        for key, ref in _tag_columns(raw, column.name)
    ]
    if not each:
        return "'{}'"
    given = f"list_filter([{', '.join(each)}], lambda tag: tag.v is not null)"
    return f"cast(to_json(map_from_entries({given})) as varchar)"


def _tag_columns(raw: Raw, name: str) -> list[tuple[str, str]]:
    """Keys of tags that have a column each, `Tags_<key>` or `tags/<key>`, and its SQL."""
    prefix = name if name.endswith(("/", ".")) else f"{name}_"
    return [
        (n.removeprefix(prefix), f"c{i}")
        for i, n in enumerate(raw.names[: raw.width])
        if n.startswith(prefix)
    ]


def _tag_list(raw: Raw, name: str) -> str:
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


def written_tags(spoken: Dialect) -> str:
    """SQL of each text in `new_tag_set` as canonical tags: see `TAG_SET_TEXT` for its columns."""
    key = "entry.key"
    for delivered, meant in reversed(spoken.prefixes):
        rest = f"{literal(meant)} || substr(entry.key, {len(delivered) + 1})"
        key = f"case when starts_with(entry.key, {literal(delivered)}) then {rest} else {key} end"
    if not spoken.tag_lists:
        return TAGS_OF_OBJECT.format(key=key) + TAG_SET_TEXT
    prefixes = " ".join(
        f"when {i} then {literal(prefix)}" for i, (_, prefix) in enumerate(spoken.tag_lists)
    )
    return TAGS_OF_LISTS.format(prefix=f"case list_number {prefixes} end") + TAG_SET_TEXT


# The tags of the sets that no file before had, as a JSON object. Sets have numbers here: to group
# and to join by their long texts takes longer.
TAGS_OF_OBJECT = """
with judged as (
    select
        rowid as number,
        x_RawTags,
        case when json_valid(x_RawTags) then json_type(x_RawTags) = 'OBJECT' else false end
            as is_readable,
        'Tags is not a JSON object: ' as complaint
    from new_tag_set
),
tag as (
    select number, {key} as tag_key, entry.value ->> '$' as tag_value
    from (select number, x_RawTags from judged where is_readable) as readable,
        json_each(x_RawTags) as entry
),
"""


# The same of lists of keys and values. The first list that has a key says what it is; what
# another says differently is kept under that list's prefix and the namespace of the key.
TAGS_OF_LISTS = """
with judged as (
    select
        rowid as number,
        x_RawTags,
        case when json_valid(x_RawTags) then json_type(x_RawTags) = 'ARRAY' else false end
            as is_readable,
        'Tags are no lists of keys and values: ' as complaint
    from new_tag_set
),
listed as (
    select
        number,
        cast(list.key as integer) as list_number,
        entry.value ->> 'key' as list_key,
        entry.value ->> 'value' as tag_value,
        coalesce((entry.value ->> 'namespace') || '/', '') as namespace
    from (select number, x_RawTags from judged where is_readable) as readable,
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
        partition by number, list_key order by list_number, namespace, tag_value
    )
),
tag as (
    select
        number,
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
        number,
        '{' || string_agg(
            cast(to_json(tag_key) as varchar) || ':'
            || coalesce(cast(to_json(tag_value) as varchar), 'null'),
            ',' order by tag_key
        ) || '}' as Tags,
        count(*) > list_unique(list(tag_key)) as is_ambiguous
    from tag
    group by number
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
    left join written on written.number = judged.number
)
select x_RawTags, Tags, x_TagSetId, x_Reason from identified
"""
