"""Bills as nobody should deliver them: each is read, quarantined or refused in words.

Never a crash, never a lost cent: what can be read as money in the file is billed or quarantined.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import resource
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from finops_pipeline import bill
from finops_pipeline import text as plain
from finops_pipeline.dialect import Dialect, Raw, dialect, number_of, told_by
from finops_pipeline.errors import UnreadableFile
from finops_pipeline.queries import macros, with_enums

from .test_bill import CUR, CUR_TYPES, FOCUS, Read, Reader, read, write_parquet

__all__ = ["read"]

FEW = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def money(text: str) -> Decimal:
    """What `text` is worth as DECIMAL(38, 12); 0 where it is no such number."""
    with suppress(InvalidOperation):
        value = Decimal(text.strip())
        if value.is_finite() and abs(value) < Decimal(10) ** 26:
            return value
    return Decimal(0)


def arrived(done: Read) -> Decimal:
    rows = [*done.charges, *done.refused]
    return total(row["BilledCost"] or Decimal(0) for row in rows)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Their sum, exactly: 28 digits, Python's own, are fewer than DECIMAL(38, 12) has."""
    with localcontext(prec=60):
        return sum(amounts, Decimal(0))


def as_csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(FOCUS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def delivered(read: Reader, content: bytes, name: str = "bill.csv") -> Path:
    file = read.tmp / name
    file.write_bytes(content)
    return file


# -------------------------------------------------------------------------------- fixed cases


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused(read: Reader, encoding: str) -> None:
    content = as_csv([FOCUS, FOCUS]).encode(encoding)

    with pytest.raises(UnreadableFile, match=r"bill\.csv: "):
        read(delivered(read, content))


def test_bytes_that_are_no_text_are_refused(read: Reader) -> None:
    content = as_csv([FOCUS, {**FOCUS, "ServiceName": "Gro\xdf"}]).encode("latin-1")

    with pytest.raises(UnreadableFile, match=r"byte 0xdf.*deliver it again"):
        read(delivered(read, content))


@pytest.mark.parametrize(
    ("cost", "worth"),
    [
        ("1e400", None),
        ("-1e400", None),
        ("NaN", None),
        ("inf", None),
        ("0x10", None),
        ("1,5", None),
        ("9999999999999999999999999", "9999999999999999999999999"),
        ("100000000000000000000000000", None),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-7.25", "-7.25"),
        ("1e-12", "0.000000000001"),
        ("1.5E2", "150"),
        (" 2 ", "2"),
        ("0.1234567890125", "0.123456789013"),
    ],
)
def test_numbers_at_the_edge(read: Reader, cost: str, worth: str | None) -> None:
    done = read.focus({}, {"BilledCost": cost})

    if worth is None:
        assert [f"BilledCost is not a number: '{cost}'"] == done.reasons
    else:
        assert Decimal(worth) == done.charges[1]["BilledCost"]
    assert Decimal("1.5") + Decimal(worth or 0) == arrived(done) == done.result.billed


def test_negative_usage_is_usage(read: Reader) -> None:
    (charge,) = read.focus({"ConsumedQuantity": "-3", "BilledCost": "-1"}).charges

    assert (Decimal(-3), Decimal(-1)) == (charge["ConsumedQuantity"], charge["BilledCost"])


@pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
def test_a_tag_of_any_length_is_kept(read: Reader, size: int) -> None:
    tags = json.dumps({"team": "x" * size}, separators=(",", ":"))

    (charge,) = read.focus({"Tags": tags}).charges

    assert tags == charge["Tags"]


@pytest.mark.parametrize(
    "tags", ["{", "not json", "[]", '"text"', "1", "{'a': 1}", '{"a"}', "\x00"]
)
def test_tags_that_are_no_map_are_quarantined(read: Reader, tags: str) -> None:
    done = read.focus({}, {"Tags": tags})

    assert 1 == len(done.refused)
    assert "Tags is not a JSON object" in done.reasons[0]
    assert Decimal(3) == arrived(done)


def test_an_embedded_nul_is_text(read: Reader) -> None:
    file = delivered(read, as_csv([{**FOCUS, "ServiceName": "a\x00b"}, FOCUS]).encode())

    done = read(file)

    assert "a\x00b" == done.charges[0]["ServiceName"]
    assert Decimal(3) == arrived(done)


def test_a_nul_in_a_number_is_quarantined(read: Reader) -> None:
    done = read(delivered(read, as_csv([{**FOCUS, "BilledCost": "1\x005"}, FOCUS]).encode()))

    assert (1, 1) == (len(done.charges), len(done.refused))


@pytest.mark.parametrize(
    "line",
    [b"a" * 50_000_000 + b"\n", b'"' + b"a\n" * 25_000_000, b"a," * 25_000_000],
    ids=["one field", "one quote", "fields"],
)
@pytest.mark.parametrize("header", [b"", as_csv([]).encode()])
def test_a_small_gzip_file_of_one_endless_record_is_not_held(
    read: Reader, line: bytes, header: bytes
) -> None:
    """50 MB in 50 kB, and gigabytes would be no other: memory stays that of one record."""
    file = delivered(read, gzip.compress(header + line), "bill.csv.gz")
    assert file.stat().st_size < 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(UnreadableFile, match=r"2097152 characters|field larger than"):
        read(file)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # kilobytes


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_record_without_end_is_refused(read: Reader, end: bytes) -> None:
    """DuckDB alone says nothing and leaves it out."""
    file = delivered(read, as_csv([FOCUS]).encode() + b"a" * 50_000_000 + end)

    with pytest.raises(UnreadableFile, match="2097152 characters"):
        read(file)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("packed", [False, True])
def test_a_last_record_is_measured_whatever_the_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, packed: bool
) -> None:
    monkeypatch.setattr(plain, "PIECE", piece)
    monkeypatch.setattr(plain, "LONGEST_RECORD", 4)
    file = tmp_path / "bill.csv"

    def ends(words: bytes) -> bool:
        file.write_bytes(gzip.compress(words) if packed else words)
        return plain.ends_with_a_record(file)

    assert [True, True, True, True] == [*map(ends, (b"", b"a", b"abcdefg\nab", b"abcdefg\r\nab\n"))]
    assert [False, False, True] == [*map(ends, (b"abcdefg", b"a\nabcdefg\n", b"a\nabcd\n"))]


def test_a_double_is_the_decimal_that_is_written_for_it() -> None:
    """However it is read: the nearest to a half of the twelfth decimal go through text."""
    halves = [(2 * n + 1) * 5e-13 for n in (0, 1, 7, 10**6, 10**9 + 7, 10**12 + 3, 10**15 + 1)]
    near = [
        float(f"{n}.{d}")
        for n in (0, 1, 999, 1659, 1667, 8191, 10**7)
        for d in (
            "1234567890125",
            "0000000000005",
            "9999999999995",
            "99999999999949",
            "3333333333333333",
        )
    ]
    plain = [0.0, -0.0, 1.0, 1e15, 1e15 - 1, 123456789.125, 9.99e25, 1 / 3, 2 / 3600, 1e-300]
    doubles = [*halves, *near, *plain, *(-x for x in (*halves, *near))]
    with duckdb.connect() as connection, localcontext(prec=60):
        found = connection.execute(
            f"select {number_of('x', 'DOUBLE')} from (select unnest($1::double[]) as x)",
            [doubles],
        ).fetchall()
        expected = [Decimal(repr(x)).quantize(Decimal("1e-12"), ROUND_HALF_UP) for x in doubles]

    assert expected == [row[0] for row in found]


def test_a_long_text_is_the_number_that_a_cast_makes_of_it() -> None:
    """Most are read by way of a double: never another number, and never one where there is none."""
    digits = ["0.1234567890125", "0.0000000000004999999999999999", "4163.4999999999995", "1.5", "7"]
    digits += [
        "1666.99999999999949999",
        "999999999999999.04",
        "0.0000000000005",
        "123456789012345678",
    ]
    texts = [
        f"{sign}{d}{end}" for sign in ("", "-", "+", " ") for d in digits for end in ("", "0" * 16)
    ]
    texts += [
        f"{d}{sign}{d}" for d in digits for sign in ("_", "e", "E", "-", " ", "e-", ".", "x", "\0")
    ]
    texts += [f"{word}{' ' * 16}" for word in ("inf", "nan", "1", "", "1e400", "1d", "0x1")]
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select x, try_cast(x as decimal(38, 12)), {number_of('x', 'VARCHAR')} "
            "from (select unnest($1::varchar[]) as x)",
            [texts],
        ).fetchall()

    assert [(x, cast) for x, cast, _ in found] == [(x, read) for x, _, read in found]
    assert 50 < sum(read is not None for _, _, read in found) < len(found)


def test_many_tag_sets_are_read_as_few_are(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether their texts are an enum while they are written is not to be seen."""
    rows = [{"Tags": json.dumps({"team": f"t{n % 3}"})} for n in range(9)]
    few = read.focus(*rows)
    monkeypatch.setattr(bill, "FEW_TAG_SETS", 2)

    assert few.charges == read.focus(*rows).charges


def test_money_that_no_sum_can_hold_is_refused(read: Reader) -> None:
    with pytest.raises(UnreadableFile, match="Overflow in SUM of DECIMAL"):
        read.focus({}, {"BilledCost": "9" * 26})


def test_a_gzip_file_of_many_equal_rows_is_read_row_by_row(read: Reader) -> None:
    """A sound file may expand a hundredfold, equal rows do; then it is not held."""
    text = as_csv([FOCUS])
    header, row = text.splitlines(keepends=True)
    file = delivered(read, gzip.compress((header + row * 60_000).encode()), "bill.csv.gz")
    assert file.stat().st_size * 100 < len(row) * 60_000

    assert Decimal(90_000) == read(file).result.billed


def test_what_unpacks_to_more_than_a_bill_is_read_as_it_lies(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not held: it comes out as it does from a table."""
    rows = [
        {**FOCUS, "InvoiceId": str(n), "BilledCost": "1.5" if n % 7 else "?"} for n in range(40)
    ]
    file = delivered(read, gzip.compress(as_csv(rows).encode()), "bill.csv.gz")
    held = read(file)
    monkeypatch.setattr(plain.Through, "is_large", True)
    lying = read(file)

    assert held.charges == lying.charges
    assert held.refused == lying.refused
    assert 34 == len(held.charges)


@pytest.mark.parametrize("after", [b"", b"\x00" * 10, b"garbage"])
def test_what_follows_a_gzip_stream_is_no_silent_loss(read: Reader, after: bytes) -> None:
    content = gzip.compress(as_csv([FOCUS]).encode())
    file = delivered(read, content + gzip.compress(b"") + after, "bill.csv.gz")

    with suppress(UnreadableFile):
        assert Decimal("1.5") == read(file).result.billed


def test_two_gzip_streams_are_one_file(read: Reader) -> None:
    header, row = as_csv([FOCUS]).encode().splitlines(keepends=True)
    file = delivered(read, gzip.compress(header + row) + gzip.compress(row), "bill.csv.gz")

    assert Decimal(3) == read(file).result.billed


# --------------------------------------------------------------------------------- random cases

VALUES = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(["", "-0", "1e400", "NaN", "1.5", "-2.25", "abc", " 3 ", "1_000", "+4", ".5"]),
    st.text(max_size=12).filter(lambda t: not set(t) & {"\r", "\n", "\x00"}),
)


@FEW
@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12))
def test_whatever_is_in_the_cost_column_no_cent_is_lost(rows: list[tuple[str, str]]) -> None:
    written = [{**FOCUS, "BilledCost": cost, "ServiceName": name} for cost, name in rows]
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        done = reader(delivered(reader, as_csv(written).encode("utf-8", "replace")))

        assert len(rows) == len(done.charges) + len(done.refused)
        assert done.result.billed in (arrived(done), None)
        texts = [money(rows[c["x_SourceRow"] - 1][0]) for c in done.charges]
        with localcontext(prec=60):
            off = abs(total(c["BilledCost"] for c in done.charges) - total(texts))
            assert off <= Decimal(1).scaleb(-12) * len(texts)


@FEW
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 10_000), st.binary(min_size=0, max_size=3), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ),
    packed=st.booleans(),
)
def test_damaged_bytes_are_read_or_refused(
    edits: list[tuple[int, bytes, int]], packed: bool
) -> None:
    """`Reader` holds what was read to rows in = rows out, and the same for money."""
    content = bytearray(as_csv([{**FOCUS, "InvoiceId": str(n)} for n in range(20)]).encode())
    if packed:
        content = bytearray(gzip.compress(bytes(content), mtime=0))
    for place, put, cut in edits:
        at = place % (len(content) + 1)
        content[at : at + cut] = put
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        name = "bill.csv.gz" if packed else "bill.csv"
        with suppress(UnreadableFile):
            reader(delivered(reader, bytes(content), name))


FACTOR = st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 12))
HALVES = [((3, 12), (5, 1)), ((1999999999999, 9), (5, 4)), ((10**15, 0), (10**12, 0))]


@FEW
@given(st.lists(st.tuples(FACTOR, FACTOR), max_size=100))
@example(HALVES)
def test_money_times_a_quantity_is_the_product_rounded_once(
    pairs: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    with localcontext(prec=60), duckdb.connect() as connection:
        connection.execute(macros())
        factors = [[Decimal(n).scaleb(-places) for n, places in pair] for pair in pairs]
        expected = [
            (a * b).quantize(Decimal("1e-12"), ROUND_HALF_UP) if abs(a * b) < 9 * 10**13 else None
            for a, b in factors
        ]
        found = connection.execute(
            "select money_times(pair[1]::decimal(38, 12), pair[2]::decimal(38, 12)) from ("
            "select unnest($1::varchar[][]) as pair)",
            [[[f"{a:f}", f"{b:f}"] for a, b in factors]],
        ).fetchall()

    assert expected == [row[0] for row in found]


def test_tag_sets_with_one_hash_are_told_apart_by_their_text(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read.tmp / "bill.parquet"
    tags = [{"user_team": "a"}, {"user_team": "b"}, {"user_team": "a"}]
    write_parquet(file, [{**CUR, "resource_tags": t} for t in tags], CUR_TYPES)
    plain = read(file, "aws_cur").charges
    right = bill.tag_key

    def meeting(spoken: Dialect, raw: Raw) -> str:
        return "'one'" if raw.tags else right(spoken, raw)

    monkeypatch.setattr(bill, "tag_key", meeting)

    assert ['{"team":"a"}', '{"team":"b"}', '{"team":"a"}'] == [row["Tags"] for row in plain]
    assert plain == read(file, "aws_cur", "met").charges


@pytest.mark.parametrize(
    "other", [{}, {"ServiceName": "Disk"}, {"ChargeCategory": "Tax"}, {"InvoiceId": "2"}]
)
def test_what_a_parquet_file_says_of_its_columns_changes_nothing(
    read: Reader, other: dict[str, Any]
) -> None:
    """Texts that are the same in a row group, or in all of them, are not read from each row."""
    rows = [FOCUS] * 2048 + [{**FOCUS, **other}] * 2
    file = delivered(read, as_csv(rows).encode(), "bill.csv")
    expected = read(file).charges
    parquet = read.tmp / "bill.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (from read_csv('{file}', all_varchar = true, header = true)) to '{parquet}' "
            "(format parquet, row_group_size 2048)"
        )

    found = read(parquet, into="parquet").charges
    assert [{**row, "x_SourceFile": ""} for row in expected] == [
        {**row, "x_SourceFile": ""} for row in found
    ]


def test_columns_between_a_few_literals_are_enums() -> None:
    """Also where a CTE, a map or a CASE in a CASE has them; not where one is a column."""
    asked, google = with_enums("bill/gcp")
    _, amazon = with_enums("bill/aws_cur")
    _, azure = with_enums("bill/azure")

    assert "enum('Adjustment', 'Purchase', 'Tax', 'Usage')" == google["ChargeCategory"]
    assert f"when cost_type = 'tax' then cast('Tax' as {google['ChargeCategory']})" in asked
    assert "enum('One-Time', 'Recurring', 'Usage-Based')" == azure["ChargeFrequency"]
    assert "'Compute'" in amazon["ServiceCategory"]
    assert "'Other'" in amazon["ServiceCategory"]
    assert not {"PublisherName", "ProviderName", "SkuId", "Tags"} & google.keys()


def test_what_decides_a_column_of_a_dialect_is_known() -> None:
    told = told_by(dialect("azure"))

    assert frozenset() == told["ProviderName"]
    assert {"chargetype"} == told["ChargeCategory"]
    assert {"resourceid", "additionalinfo"} == told["ResourceId"]
    assert {"x_sourcerow"} == told["x_SourceRow"]
