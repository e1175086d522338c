"""Stage bill: deliveries, the two dialects, and files as they break in the world.

The law under test everywhere: rows in are rows out plus rows quarantined, and so is the money.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import bill, deliveries
from finops_pipeline.config import BillingSection, Config, parse
from finops_pipeline.contracts import table
from finops_pipeline.dialect import declare_inputs, dialect
from finops_pipeline.errors import ConfigError, IncompleteDelivery, UnknownName, UnreadableFile
from finops_pipeline.periods import in_month, names_month
from finops_pipeline.queries import macros, query, stems
from finops_pipeline.transports import Item
from finops_pipeline.transports.files import Files

PERIOD = "2026-09"
TABLES = ("cost_and_usage", "quarantine", "delivered_tag_set", "delivery")
DIALECTS = tuple(s for s in stems("bill") if "-- conserves:" in query(f"bill/{s}").text)

FOCUS: dict[str, Any] = {
    "BilledCost": "1.50",
    "EffectiveCost": "1.25",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-02T10:00:00Z",
    "ChargePeriodEnd": "2026-09-02T11:00:00Z",
    "ChargeCategory": "Usage",
    "ProviderName": "Example Cloud",
    "ServiceCategory": "Compute",
    "ServiceName": "Machines",
    "InvoiceId": "I-1",
    "Tags": '{"team":"search"}',
}
CUR: dict[str, Any] = {
    "line_item_unblended_cost": 1.5,
    "bill_billing_period_start_date": "2026-09-01 00:00:00",
    "bill_billing_period_end_date": "2026-10-01 00:00:00",
    "line_item_usage_start_date": "2026-09-02 10:00:00",
    "line_item_usage_end_date": "2026-09-02 11:00:00",
    "line_item_line_item_type": "Usage",
    "line_item_currency_code": "USD",
    "line_item_product_code": "AmazonEC2",
}
CUR_TYPES = {
    "line_item_unblended_cost": "DOUBLE",
    "bill_billing_period_start_date": "TIMESTAMP",
    "bill_billing_period_end_date": "TIMESTAMP",
    "line_item_usage_start_date": "TIMESTAMP",
    "line_item_usage_end_date": "TIMESTAMP",
    "resource_tags": "MAP(VARCHAR, VARCHAR)",
    "savings_plan_savings_plan_effective_cost": "DOUBLE",
    "savings_plan_total_commitment_to_date": "DOUBLE",
    "savings_plan_used_commitment": "DOUBLE",
    "reservation_effective_cost": "DOUBLE",
    "reservation_unused_recurring_fee": "DOUBLE",
    "reservation_unused_amortized_upfront_fee_for_billing_period": "DOUBLE",
}


@dataclass
class Read:
    """What reading one file gave: the result, and its tables as rows."""

    result: bill.ReadFile
    out: Path

    def rows(self, name: str) -> list[dict[str, Any]]:
        import polars as pl

        return pl.read_parquet(self.out / f"{name}.parquet").to_dicts()

    @property
    def charges(self) -> list[dict[str, Any]]:
        return self.rows("cost_and_usage")

    @property
    def refused(self) -> list[dict[str, Any]]:
        return self.rows("quarantine")

    @property
    def reasons(self) -> list[str]:
        return [row["x_Reason"] for row in self.refused]


@dataclass
class Reader:
    """Reads files into `tmp`, and holds every reading to the contracts and to conservation."""

    tmp: Path
    threads: int = 2

    def __call__(self, local: Path, dialect: str = "focus", into: str = "out") -> Read:
        out = self.tmp / into
        stat = local.stat()
        item = Item(local.name, stat.st_size, "fingerprint", local.name)
        block = BillingSection(name="test", dialect=dialect, location="in/{period}/*")
        connection = duckdb.connect()
        try:
            connection.execute(f"set threads = {self.threads}")
            connection.execute(macros())
            read = Read(bill.read_file(connection, block, PERIOD, item, local, out), out)
        finally:
            connection.close()
        for name in TABLES:
            table(name).validate([out / f"{name}.parquet"])
        assert sorted(f"{n}.parquet" for n in TABLES) == sorted(p.name for p in out.iterdir())
        with duckdb.connect() as connection:
            lost = connection.execute(
                f"""
                with arrived as (
                    select BilledCost, EffectiveCost from '{out}/cost_and_usage.parquet'
                    union all
                    select BilledCost, EffectiveCost from '{out}/quarantine.parquet'
                ),
                summed as (
                    select
                        count(*) as x_Rows,
                        sum(BilledCost) as BilledCost,
                        sum(EffectiveCost) as EffectiveCost
                    from arrived
                )
                select delivered.x_Rows, summed.x_Rows
                from '{out}/delivery.parquet' as delivered, summed
                where delivered.x_Rows <> summed.x_Rows
                    or delivered.BilledCost is distinct from summed.BilledCost
                    or delivered.EffectiveCost <> summed.EffectiveCost
                union all
                select (select count(*) from '{out}/cost_and_usage.parquet'), sum(x_ChargeRows)
                from '{out}/delivered_tag_set.parquet'
                having sum(x_ChargeRows) <> (select count(*) from '{out}/cost_and_usage.parquet')
                """
            ).fetchall()
        assert [] == lost
        return read

    def focus(self, *rows: dict[str, Any], **more: Any) -> Read:
        """Read FOCUS rows given as changes to `FOCUS`, as CSV."""
        return self(self.csv([{**FOCUS, **row} for row in rows], **more))

    def csv(self, rows: list[dict[str, Any]], name: str = "bill.csv", end: str = "\n") -> Path:
        file = self.tmp / name
        with file.open("w", newline="", encoding="utf-8") as opened:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(opened, names, restval="", lineterminator=end)
            writer.writeheader()
            writer.writerows(rows)
        return file

    def cur(self, *rows: dict[str, Any], types: dict[str, str] | None = None) -> Read:
        """Read CUR lines given as changes to `CUR`, as Parquet with the types AWS gives."""
        file = self.tmp / "cur.snappy.parquet"
        write_parquet(file, [{**CUR, **row} for row in rows], {**CUR_TYPES, **(types or {})})
        return self(file, "aws_cur")


def write_parquet(file: Path, rows: list[dict[str, Any]], types: dict[str, str]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    select = ", ".join(
        f"cast(${i} as {types.get(n, 'VARCHAR')}) as {n}" for i, n in enumerate(names, 1)
    )
    with duckdb.connect() as connection:
        connection.execute("create table t as " + select_of(names, types))
        for row in rows:
            values = [row.get(name) for name in names]
            connection.execute(f"insert into t select {select}", values)
        connection.execute(f"copy t to '{file}' (format parquet)")


def select_of(names: list[str], types: dict[str, str]) -> str:
    nulls = ", ".join(f"cast(null as {types.get(n, 'VARCHAR')}) as {n}" for n in names)
    return f"select {nulls} where false"


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


# ----------------------------------------------------------------------------- the dialects


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_gives_exactly_the_columns_of_the_contract(name: str) -> None:
    """Or fewer: a column that may be null can be left out."""
    charge = table("cost_and_usage")
    added = {"BillingPeriod", "x_Source", "x_SourceFile"}
    with duckdb.connect() as connection:
        connection.execute(macros())
        declare_inputs(connection, dialect(name))

        described = connection.execute(f"describe {query(f'bill/{name}').text}").fetchall()

    told = [row[0] for row in described]
    expected = [n for n in charge.names if n not in added and n not in charge.nullable - {*told}]
    assert [*expected, "x_Reason"] == told
    wrong = [r[:2] for r in described[:-1] if charge.duckdb[r[0]] != r[1]]
    assert [] == wrong


def test_an_unknown_dialect_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'aws_cur'"):
        dialect("aws_curr")


def test_a_query_that_is_no_dialect_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"is no billing dialect.*known: aws_cur, "):
        dialect("tag_set")


def test_every_other_file_of_the_folder_is_a_table() -> None:
    assert ["commitment_total", "tag_set"] == [s for s in stems("bill") if s not in DIALECTS]


# ------------------------------------------------------------------------------------ FOCUS


def test_a_focus_row_keeps_its_columns(read: Reader) -> None:
    (charge,) = read.focus({}).charges

    expected = {
        "BilledCost": Decimal("1.5"),
        "EffectiveCost": Decimal("1.25"),
        "BillingPeriod": PERIOD,
        "InvoiceId": "I-1",
        "Tags": '{"team":"search"}',
        "x_Source": "test",
        "x_SourceFile": "bill.csv",
        "x_SourceRow": 1,
        "ListCost": None,
    }
    assert expected == {name: charge[name] for name in expected}
    assert "2026-09-02 10:00:00" == str(charge["ChargePeriodStart"])


def test_focus_1_0_has_no_invoice_and_is_open(read: Reader) -> None:
    older = {n: v for n, v in FOCUS.items() if n != "InvoiceId"}

    (charge,) = read(read.csv([older])).charges

    assert "(open)" == charge["InvoiceId"]


def test_offsets_are_converted_to_utc(read: Reader) -> None:
    (charge,) = read.focus({"ChargePeriodStart": "2026-09-02T10:00:00+02:00"}).charges

    assert "2026-09-02 08:00:00" == str(charge["ChargePeriodStart"])


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-09-02 22:00:00.000 -0700", "2026-09-03 05:00:00"),
        ("2026-09-02T22:00:00.5+05:30", "2026-09-02 16:30:00.500000"),
        ("2026-09-02T22:00:00-07 ", "2026-09-03 05:00:00"),
        ("2026-09-02 22:00:00 America/Los_Angeles", "2026-09-03 05:00:00"),
        ("2026-09-02 22:00:00 UTC", "2026-09-02 22:00:00"),
        (" 2026-09-02T22:00:00Z ", "2026-09-02 22:00:00"),
        ("2026-09-02", "2026-09-02 00:00:00"),
        ("2026-09-02 01:00:00 PM", None),
        ("2026-09-02 22:00:00 PST", None),
        ("infinity", None),
    ],
)
def test_a_time_is_read_whole_or_not_at_all(read: Reader, written: str, at: str | None) -> None:
    done = read.focus({"ChargePeriodStart": written, "ChargePeriodEnd": "2026-09-03T06:00:00Z"})

    assert ([at] if at else []) == [str(c["ChargePeriodStart"]) for c in done.charges]
    assert (0 if at else 1) == len(done.rows("quarantine"))


def test_tags_are_canonical_and_counted_once(read: Reader) -> None:
    one = {"Tags": '{"b": "2", "a":"ä \\"q\\"", "n": 3, "t": true, "z": null}'}
    same = {"Tags": '{"t":true,"n":3,"z":null,"a":"ä \\"q\\"","b":"2"}'}

    done = read.focus(one, same, {"Tags": ""})

    canonical = '{"a":"ä \\"q\\"","b":"2","n":"3","t":"true","z":null}'
    assert [canonical, canonical, "{}"] == [c["Tags"] for c in done.charges]
    found = {(s["Tags"], s["x_ChargeRows"]) for s in done.rows("delivered_tag_set")}
    assert {(canonical, 2), ("{}", 1)} == found
    assert {c["x_TagSetId"] for c in done.charges} == {
        s["x_TagSetId"] for s in done.rows("delivered_tag_set")
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"BilledCost": "abc"}, "BilledCost is not a number: 'abc'"),
        ({"BilledCost": "NaN"}, "BilledCost is not a number: 'NaN'"),
        ({"BilledCost": "1e400"}, "BilledCost is not a number: '1e400'"),
        ({"BilledCost": ""}, "BilledCost is missing"),
        ({"ListCost": "x"}, "ListCost is not a number: 'x'"),
        ({"ChargePeriodStart": "soon"}, "ChargePeriodStart is not a time: 'soon'"),
        (
            {"ChargePeriodEnd": "2026-09-02T09:00:00Z"},
            "ChargePeriodEnd is before ChargePeriodStart",
        ),
        ({"ChargeCategory": "Gift"}, "ChargeCategory is not one of FOCUS: 'Gift'"),
        ({"BillingCurrency": "Euro"}, "BillingCurrency is not an ISO 4217 code: 'Euro'"),
        ({"ProviderName": ""}, "ProviderName is missing"),
        ({"Tags": '{"a":'}, "Tags is not a JSON object: '{\"a\":'"),
        ({"Tags": "[1]"}, "Tags is not a JSON object: '[1]'"),
        ({"Tags": '{"a":"1","a":"2"}'}, "Tags has a key twice"),
    ],
)
def test_what_cannot_be_a_charge_is_quarantined_with_its_reason(
    read: Reader, change: dict[str, str], reason: str
) -> None:
    done = read.focus({}, change, {})

    assert [reason] == done.reasons
    (row,) = done.refused
    assert (2, "bill.csv") == (row["x_SourceRow"], row["x_SourceFile"])
    assert [1, 3] == [c["x_SourceRow"] for c in done.charges]
    raw = json.loads(row["x_RawRow"])
    assert {n: v or None for n, v in change.items()} == {n: raw[n] for n in change}


def test_a_quarantined_row_keeps_the_money_that_could_be_read(read: Reader) -> None:
    unreadable = {"EffectiveCost": "?", "BillingCurrency": "", "ProviderName": "", "InvoiceId": ""}

    done = read.focus({}, unreadable)

    (row,) = done.refused
    assert (Decimal("1.5"), None) == (row["BilledCost"], row["EffectiveCost"])
    assert ("XXX", "(unknown)") == (row["BillingCurrency"], row["ProviderName"])
    expected = (
        "EffectiveCost is not a number: '?'; BillingCurrency is missing; ProviderName is missing"
    )
    assert expected == row["x_Reason"]
    assert bill.ReadFile(2, 1, Decimal("3.0"), Decimal("1.25")) == done.result


def test_the_raw_row_is_cut(read: Reader) -> None:
    (row,) = read.focus({"BilledCost": "?", "Tags": json.dumps({"k": "v" * 5000})}).refused

    assert 4096 == len(row["x_RawRow"])


# ---------------------------------------------------------------------------- files, broken


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_line_ends_byte_order_marks_gzip_and_newlines_in_quotes(
    read: Reader, end: str, mark: bytes, packed: bool
) -> None:
    rows = [FOCUS, {**FOCUS, "ServiceName": 'two\nlines, "quoted"'}, FOCUS]
    file = read.csv(rows, end=end)
    content = mark + file.read_bytes()
    file = file.with_name("bill.csv.gz" if packed else "bill.csv")
    file.write_bytes(gzip.compress(content) if packed else content)

    done = read(file)

    names = [c["ServiceName"] for c in done.charges]
    assert ["Machines", 'two\nlines, "quoted"', "Machines"] == names
    assert [1, 2, 3] == [c["x_SourceRow"] for c in done.charges]


def test_a_header_alone_is_an_empty_bill(read: Reader) -> None:
    file = read.tmp / "bill.csv"
    file.write_text(",".join(FOCUS) + "\n")

    assert bill.ReadFile(0, 0, None, None) == read(file).result


def test_an_empty_file_is_refused(read: Reader) -> None:
    file = read.tmp / "bill.csv"
    file.write_bytes(b"")

    with pytest.raises(UnreadableFile, match=r"bill\.csv: is empty, without even a header"):
        read(file)


@pytest.mark.parametrize("cut", [20, 200])
def test_a_torn_last_line_refuses_the_file(read: Reader, cut: int) -> None:
    file = read.csv([FOCUS, FOCUS, FOCUS])
    file.write_bytes(file.read_bytes()[:-cut])

    with pytest.raises(UnreadableFile, match=r"bill\.csv: .*(torn|cannot be read after line)"):
        read(file)


def test_a_torn_gzip_file_is_refused(read: Reader) -> None:
    file = read.csv([FOCUS] * 100)
    packed = file.with_name("bill.csv.gz")
    packed.write_bytes(gzip.compress(file.read_bytes())[:-30])

    with pytest.raises(UnreadableFile, match=r"bill\.csv\.gz: cannot be read after line"):
        read(packed)


def test_a_line_with_too_few_or_too_many_fields_is_quarantined(read: Reader) -> None:
    file = read.csv([FOCUS, FOCUS, FOCUS, FOCUS])
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], "1,2", lines[3], lines[4] + ",x", lines[1]]) + "\n")

    done = read(file)

    assert [
        "the record that ends in line 3 has 2 of 13 fields",
        "the record that ends in line 5 has 14 of 13 fields",
    ] == [reason.split(";")[0] for reason in done.reasons]
    assert [1, 3, 5] == [c["x_SourceRow"] for c in done.charges]
    assert [2, 4] == [r["x_SourceRow"] for r in done.refused]
    assert ["XXX", "XXX"] == [r["BillingCurrency"] for r in done.refused]


def test_a_repeated_header_line_is_quarantined(read: Reader) -> None:
    done = read.focus({}, {name: name for name in FOCUS}, {})

    assert "BilledCost is not a number: 'BilledCost'" in done.reasons[0].split("; ")
    assert 2 == len(done.charges)


def test_a_missing_column_names_the_nearest(read: Reader) -> None:
    renamed = {"BiledCost" if n == "BilledCost" else n: v for n, v in FOCUS.items()}

    with pytest.raises(
        UnreadableFile,
        match=r"bill\.csv: column 'BilledCost' is missing; the nearest is 'BiledCost'",
    ):
        read(read.csv([renamed]))


def test_a_column_twice_is_refused(read: Reader) -> None:
    file = read.csv([FOCUS])
    header, row = file.read_text().splitlines()
    file.write_text(f"{header},BilledCost\n{row},9\n")

    with pytest.raises(UnreadableFile, match="column 'BilledCost' is there 2 times"):
        read(file)


@pytest.mark.parametrize("first", ["billedcost", "BilledCost"])
def test_columns_that_differ_in_case_are_not_confused(read: Reader, first: str) -> None:
    other = "billedcost" if first == "BilledCost" else "BilledCost"
    cost = {"BilledCost": "1.50", "billedcost": "99"}
    rest = {n: v for n, v in FOCUS.items() if n != "BilledCost"}
    row = {first: cost[first], other: cost[other], **rest}

    as_text = read(read.csv([row]))
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet = read.tmp / "bill.parquet"
    pq.write_table(pa.table({n: [v] for n, v in row.items()}), parquet)
    as_parquet = read(parquet, into="parquet")

    for done in (as_text, as_parquet):
        assert Decimal("1.5") == done.charges[0]["BilledCost"]


def test_tag_columns_that_differ_in_case_are_both_kept(read: Reader) -> None:
    row = {
        **CUR,
        "resource_tags_user_Team": "A",
        "resource_tags_user_team": "b",
        "resource_tags_aws_x": "",
    }

    (charge,) = read(read.csv([row], "cur.csv"), "aws_cur").charges

    assert '{"Team":"A","team":"b"}' == charge["Tags"]


def test_a_truncated_parquet_file_is_refused(read: Reader) -> None:
    file = read.tmp / "bill.parquet"
    write_parquet(file, [FOCUS] * 100, {})
    file.write_bytes(file.read_bytes()[:-100])

    with pytest.raises(UnreadableFile, match=r"bill\.parquet: not a whole Parquet file"):
        read(file)


def test_a_parquet_file_damaged_inside_is_refused(read: Reader) -> None:
    file = read.tmp / "bill.parquet"
    write_parquet(file, [{**FOCUS, "InvoiceId": str(i)} for i in range(500)], {})
    content = bytearray(file.read_bytes())
    content[4:200] = os.urandom(196)
    file.write_bytes(bytes(content))

    with pytest.raises(UnreadableFile, match=r"bill\.parquet: "):
        read(file)


def test_a_column_of_another_type_is_refused_or_read_as_what_it_is(read: Reader) -> None:
    file = read.tmp / "bill.parquet"
    write_parquet(file, [FOCUS], {"ChargePeriodStart": "TIMESTAMP WITH TIME ZONE"})
    assert "2026-09-02 10:00:00" == str(read(file).charges[0]["ChargePeriodStart"])

    write_parquet(file, [{**FOCUS, "BilledCost": True}], {"BilledCost": "BOOLEAN"})
    with pytest.raises(UnreadableFile, match="column 'BilledCost' is BOOLEAN, which is no number"):
        read(file)

    write_parquet(file, [{**FOCUS, "ChargePeriodEnd": 7}], {"ChargePeriodEnd": "BIGINT"})
    with pytest.raises(
        UnreadableFile, match="column 'ChargePeriodEnd' is BIGINT, which is no time"
    ):
        read(file)


def test_a_folder_named_like_a_column_is_no_column(read: Reader) -> None:
    folder = read.tmp / "InvoiceId=wrong"
    folder.mkdir()
    write_parquet(folder / "bill.parquet", [FOCUS], {})

    assert "I-1" == read(folder / "bill.parquet").charges[0]["InvoiceId"]


# -------------------------------------------------------------------------------------- CUR


def test_a_cur_line_in_focus_columns(read: Reader) -> None:
    tags = {"user_feature": "chat", "aws_createdBy": "me"}

    (charge,) = read.cur({"resource_tags": tags, "line_item_resource_id": "i-0abc"}).charges

    expected = {
        "BilledCost": Decimal("1.5"),
        "EffectiveCost": Decimal("1.5"),
        "InvoiceId": "(open)",
        "ProviderName": "AWS",
        "ChargeCategory": "Usage",
        "ServiceCategory": "Compute",
        "ResourceId": "i-0abc",
        "Tags": '{"aws:createdBy":"me","feature":"chat"}',
        "x_LineItemType": "Usage",
    }
    assert expected == {name: charge[name] for name in expected}


@pytest.mark.parametrize(
    ("cost", "kind", "expected"),
    [
        (0.1, "DOUBLE", "0.1"),
        (1234567.00000001, "DOUBLE", "1234567.00000001"),
        (123456789.123456, "DOUBLE", "123456789.123456"),
        (5e-11, "DOUBLE", "0.00000000005"),
        (0.1, "FLOAT", "0.1"),
        ("0.123456789012", "DECIMAL(18,12)", "0.123456789012"),
        ("-7.5", "VARCHAR", "-7.5"),
        (3, "INTEGER", "3"),
    ],
)
def test_a_cost_is_the_decimal_that_was_exported(
    read: Reader, cost: Any, kind: str, expected: str
) -> None:
    done = read.cur({"line_item_unblended_cost": cost}, types={"line_item_unblended_cost": kind})

    assert Decimal(expected) == done.charges[0]["BilledCost"]


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), 1e300])
def test_a_double_that_is_no_amount_is_quarantined(read: Reader, cost: float) -> None:
    done = read.cur({}, {"line_item_unblended_cost": cost})

    assert [f"line_item_unblended_cost is not a number: '{cost}'"] == done.reasons


def test_an_amortised_cost_that_was_not_exported_is_said_not_guessed(read: Reader) -> None:
    done = read.cur({"line_item_line_item_type": "SavingsPlanCoveredUsage"})

    assert [
        (
            "the amortised cost of this SavingsPlanCoveredUsage is missing: "
            "export the savings_plan_ and reservation_ columns"
        )
    ] == done.reasons
    assert Decimal("1.5") == done.refused[0]["BilledCost"]


def test_a_line_type_nobody_knows_is_quarantined(read: Reader) -> None:
    done = read.cur({"line_item_line_item_type": "Surprise"})

    assert ["line_item_line_item_type is not known here: 'Surprise'"] == done.reasons


def test_two_tags_that_become_one_key_are_quarantined(read: Reader) -> None:
    done = read.cur({"resource_tags": {"user_team": "a", "team": "b"}})

    assert ["Tags has a key twice"] == done.reasons


# ----------------------------------------------------------------- order, threads, leftovers


def test_bytes_and_order_do_not_depend_on_threads(tmp_path: Path) -> None:
    file = tmp_path / "cur.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""copy (
                select
                    round(i / 97.0, 10) as line_item_unblended_cost,
                    timestamp '2026-09-01' as bill_billing_period_start_date,
                    timestamp '2026-10-01' as bill_billing_period_end_date,
                    timestamp '2026-09-02' as line_item_usage_start_date,
                    timestamp '2026-09-03' as line_item_usage_end_date,
                    'Usage' as line_item_line_item_type,
                    case when i % 1000 = 0 then 'USDollar' else 'USD' end
                        as line_item_currency_code,
                    'AmazonEC2' as line_item_product_code,
                    map(['user_team'], [cast(hash(i) % 3000 as varchar)]) as resource_tags
                from range(300000) as numbers(i)
            ) to '{file}' (format parquet)"""
        )
    one = Reader(tmp_path, threads=1)(file, "aws_cur", "one")
    two = Reader(tmp_path, threads=2)(file, "aws_cur", "two")

    for name in TABLES:
        assert (one.out / f"{name}.parquet").read_bytes() == (
            two.out / f"{name}.parquet"
        ).read_bytes()
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select x_SourceRow from '{two.out}/cost_and_usage.parquet'"
        ).fetchall()
    assert sorted(rows) == rows
    assert (299_700, 300) == (len(rows), one.result.quarantined)


def test_few_rows_with_many_tags_keep_the_order_of_the_file(read: Reader) -> None:
    tags = [{"Tags": json.dumps({f"k{i}": str(r) for i in range(9)})} for r in (5, 1, 4, 1, 3, 9)]

    assert [1, 2, 3, 4, 5, 6] == [c["x_SourceRow"] for c in read.focus(*tags).charges]


def test_only_known_tag_sets_are_left_in_the_connection(read: Reader) -> None:
    file = read.csv([FOCUS])
    item = Item("bill.csv", file.stat().st_size, "f", "bill.csv")
    block = BillingSection(name="test", dialect="focus", location="{period}/*")
    with duckdb.connect() as connection:
        settings = "select name, value from duckdb_settings() order by name"
        before = connection.execute(settings).fetchall()
        bill.read_file(connection, block, PERIOD, item, file, read.tmp / "out")

        assert before == connection.execute(settings).fetchall()
        left = connection.execute("select table_name from duckdb_tables()").fetchall()
        assert ["tag_set_"] == [name[:8] for (name,) in left]


def test_a_second_file_gives_the_same_bytes_whatever_was_read_before(read: Reader) -> None:
    """Tag sets known from one file may not show in what another one becomes."""
    block = BillingSection(name="test", dialect="focus", location="{period}/*")
    rows = [{**FOCUS, "Tags": json.dumps({"feature": name})} for name in ("b", "a", "ü", "B")]
    first, second = read.csv(rows[:3]).rename(read.tmp / "1.csv"), read.csv(rows[1:])

    def bytes_of(out: Path, *files: Path) -> list[bytes]:
        with duckdb.connect() as connection:
            connection.execute(macros())
            for file in files:
                item = Item(file.name, file.stat().st_size, "f", file.name)
                bill.read_file(connection, block, PERIOD, item, file, out)
        return [p.read_bytes() for p in sorted(out.glob("*.parquet"))]

    alone = bytes_of(read.tmp / "alone", second)
    assert alone == bytes_of(read.tmp / "after", first, second)


def test_random_damage_never_loses_a_row(read: Reader) -> None:
    chance = random.Random(7)
    values = ["", "abc", "-1.25", "NaN", "2026-09-02", '{"a":"b"}', "Usage", "USD", "ü'\"\n,"]
    rows = []
    for _ in range(400):
        row = dict(FOCUS)
        for name in chance.sample(list(row), chance.choice([0, 0, 1, 2])):
            row[name] = chance.choice(values)
        rows.append(row)

    done = read(read.csv(rows))

    numbers = sorted(r["x_SourceRow"] for r in (*done.charges, *done.refused))
    assert list(range(1, 401)) == numbers
    assert all(done.reasons)


# ------------------------------------------------------------------------------- deliveries


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "aws" / "data" / f"BILLING_PERIOD={PERIOD}"
    folder.mkdir(parents=True)
    return folder


def deliver(root: Path, manifest: bool = True) -> deliveries.Delivery:
    block = BillingSection(
        name="aws",
        dialect="aws_cur",
        location="aws/data/BILLING_PERIOD={period}/*.parquet",
        manifest="aws/metadata/BILLING_PERIOD={period}/*/*-Manifest.json" if manifest else None,
    )
    return deliveries.delivery(block, Config(root=root), PERIOD, Files(root))


def manifest(root: Path, execution: str, content: Any) -> None:
    folder = root / "aws" / "metadata" / f"BILLING_PERIOD={PERIOD}" / execution
    folder.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "cur-Manifest.json").write_text(text)


def exported(*names: str) -> dict[str, list[str]]:
    prefix = f"s3://billing/exports/aws/data/BILLING_PERIOD={PERIOD}"
    return {"dataFiles": [f"{prefix}/{name}" for name in names]}


def test_no_files_is_an_empty_delivery(tmp_path: Path) -> None:
    assert deliveries.Delivery(()) == deliver(tmp_path)
    assert deliveries.Delivery(()) == deliver(tmp_path, manifest=False)


def test_the_newest_manifest_decides_and_other_files_are_ignored(
    tmp_path: Path, place: Path
) -> None:
    for name in ("a.parquet", "b.parquet", "old.parquet"):
        (place / name).write_bytes(name.encode())
    manifest(tmp_path, "2026-09-02T01:00:00.000Z-x", exported("old.parquet"))
    manifest(tmp_path, "2026-09-03T01:00:00.000Z-a", exported("b.parquet", "a.parquet"))

    assert ["a.parquet", "b.parquet"] == [item.path for item in deliver(tmp_path).files]


def test_a_missing_part_is_named_and_may_still_come(tmp_path: Path, place: Path) -> None:
    (place / "a.parquet").write_bytes(b"a")
    manifest(tmp_path, "e", exported("a.parquet", "b.parquet"))

    with pytest.raises(IncompleteDelivery, match=r"lists 1 of 2 files.*/b\.parquet"):
        deliver(tmp_path)


@pytest.mark.parametrize("content", ['{"dataFiles": ["a', "[]", '{"dataFiles": "a"}', "{}"])
def test_half_a_manifest_is_no_manifest(tmp_path: Path, place: Path, content: str) -> None:
    (place / "a.parquet").write_bytes(b"a")
    manifest(tmp_path, "e", content)

    with pytest.raises(IncompleteDelivery, match="not a whole manifest"):
        deliver(tmp_path)


def test_files_without_their_manifest_are_not_read(tmp_path: Path, place: Path) -> None:
    (place / "a.parquet").write_bytes(b"a")

    with pytest.raises(IncompleteDelivery, match="1 files of 2026-09 but no manifest"):
        deliver(tmp_path)


def test_the_same_file_twice_is_one_delivery(tmp_path: Path, place: Path) -> None:
    for name, content in (("a", b"same"), ("b", b"other"), ("c", b"same"), ("d", b"SAME")):
        (place / f"{name}.parquet").write_bytes(content)

    found = deliver(tmp_path, manifest=False)

    assert ["a.parquet", "b.parquet", "d.parquet"] == [item.path for item in found.files]
    pairs = [(copy.path, first.path) for copy, first in found.duplicates]
    assert [("c.parquet", "a.parquet")] == pairs


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("in/{period}/*.csv", "in/2026-09/*.csv"),
        ("in/{yyyymm}01-*/a", "in/20260901-*/a"),
        ("in/year={year}/month={month}/*.parquet", "in/year=2026/month=9/*.parquet"),
        ("in/{year}/{mm}", "in/2026/09"),
    ],
)
def test_a_month_is_named_as_the_provider_names_it(pattern: str, meant: str) -> None:
    assert (True, meant) == (names_month(pattern), in_month(pattern, "2026-09"))


@pytest.mark.parametrize("pattern", ["in/{year}/*", "in/month={month}/*", "in/*", "in/{mm}"])
def test_half_a_month_is_none(pattern: str) -> None:
    assert not names_month(pattern)


@pytest.mark.parametrize("key", ["location", "manifest", "invoices", "billing_periods"])
def test_what_nothing_is_called_is_refused_with_what_there_is(key: str, tmp_path: Path) -> None:
    block = {"name": "b", "dialect": "focus", "location": "in/{period}/*.csv", key: "a/{perod}/b"}

    with pytest.raises(ConfigError) as refused:
        parse({"billing": [block]}, tmp_path)
    assert str(refused.value).endswith(
        "'a/{perod}/b': nothing is called {perod}; known: {period}, {yyyymm}, {year}, {month}, {mm}"
    )


def test_of_metrics_and_logs_a_day_is_named(tmp_path: Path) -> None:
    for section, more in (("metrics", {"kind": "parquet", "cluster": "c"}), ("inference", {})):
        block = {"name": "b", "dialect": "calls", "location": "in/{period}/*", **more}
        if section == "metrics":
            del block["dialect"]
        with pytest.raises(ConfigError, match=r"nothing is called \{period\}; known: \{date\}"):
            parse({section: [block]}, tmp_path)


def test_a_report_made_for_athena_is_found(tmp_path: Path) -> None:
    """The manifest has the address it was written to, and lies beside the other months'."""
    for month in (9, 10):
        folder = tmp_path / f"acme/acme/year=2026/month={month}"
        folder.mkdir(parents=True)
        (folder / "acme-00001.snappy.parquet").write_text(str(month))
        manifest = tmp_path / f"acme/2026{month:02d}01-2026{month + 1:02d}01/acme-Manifest.json"
        manifest.parent.mkdir()
        key = f"cur/acme/acme/year=2026/month={month}/acme-00001.snappy.parquet"
        manifest.write_text(json.dumps({"reportKeys": [key]}))
    block = BillingSection(
        name="b",
        dialect="aws_cur",
        location="acme/acme/year={year}/month={month}/*.parquet",
        manifest="acme/{yyyymm}01-*/acme-Manifest.json",
    )

    found = deliveries.delivery(block, Config(root=tmp_path), "2026-09", Files(tmp_path))

    (item,) = found.files
    assert "9" == Path(item.address).read_text()


def test_a_location_must_name_the_period(tmp_path: Path) -> None:
    block = BillingSection(name="b", dialect="focus", location="all/*.csv")

    with pytest.raises(ConfigError, match=r"must hold \{period\}"):
        deliveries.delivery(block, Config(root=tmp_path), PERIOD, Files(tmp_path))


# -------------------------------------------------------------------------------- real rows


def test_a_thousand_real_focus_rows_with_nothing_lost(read: Reader) -> None:
    shared = os.environ.get("FINOPS_SHARED_DATA")
    if not shared:
        pytest.skip("FINOPS_SHARED_DATA is not set")
    file = Path(shared) / "focus" / "focus_sample.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))

    done = read(file)

    assert 1000 == len(rows) == len(done.charges) + len(done.refused)
    assert 0 == done.result.quarantined
    for money in ("BilledCost", "EffectiveCost"):
        assert sum(Decimal(row[money]) for row in rows) == sum(c[money] for c in done.charges)
    assert Decimal("20.520226728990") == done.result.billed
    tagged = [json.loads(r["Tags"]) if r["Tags"] != "NULL" else {} for r in rows]
    assert tagged == [json.loads(c["Tags"]) for c in done.charges]
