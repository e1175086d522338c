"""A delivery counts once, by its content: however it comes, and whatever came before it.

And what a stage writes wrong, if only in one row, is published by nobody.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from finops_pipeline import bill, cli, contracts, landed, pipeline, queries
from finops_pipeline.contracts import Table
from finops_pipeline.errors import (
    CheckFailed,
    ContractBroken,
    FinopsError,
    IncompleteDelivery,
    Unavailable,
)
from finops_pipeline.transports import Item
from finops_pipeline.transports.s3 import S3
from finops_pipeline.warehouse import STATE, Warehouse, altered

from .small import MONEY, PERIOD, V1, V2, Small
from .test_cases import engine
from .test_seams import CREDENTIALS, Bucket, s3_endpoint

__all__ = ["s3_endpoint"]


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small.make(tmp_path, to=MONEY)
    made.deliver(V1)
    return made


def read_bill(small: Small) -> list[str]:
    """The first step alone; paths of the files that were read."""
    read: list[str] = []
    right = bill.read_file

    def counting(*args: Any) -> Any:
        read.append(args[3].path)
        return right(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bill, "read_file", counting)
        with Warehouse(small.config).writing() as warehouse:
            pipeline.read_bill(warehouse, PERIOD)
    return read


def working(small: Small, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query over what was delivered, of the working generation."""
    files = {
        name: Warehouse(small.config).folder(name, PERIOD) / "*.parquet"
        for name in ("delivery", "delivery_manifest")
    }
    tables = ", ".join(f"{name} as (from '{found}')" for name, found in files.items())
    return duckdb.execute(f"with {tables} {sql}").fetchall()


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose content is asked for, from now on."""
    names: list[str] = []
    right = landed.digest_of

    def counting(file: Path) -> str:
        names.append(file.name)
        return right(file)

    monkeypatch.setattr(landed, "digest_of", counting)
    return names


# ----------------------------------------------------------------------------- what was delivered


def test_what_came_is_told(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True, to=MONEY)
    files = [small.deliver(V1, "1.csv"), small.deliver(V2, "2.csv", InvoiceId="two")]
    small.list_parts("1.csv", "2.csv")
    read_bill(small)

    told = working(
        small,
        "select x_SourceFile, x_Bytes, x_Sha256, x_Manifest, x_Rows from delivery order by all",
    )
    assert told == [
        (f.name, f.stat().st_size, hashlib.sha256(f.read_bytes()).hexdigest(), "manifest.json", n)
        for f, n in zip(files, (3, 4), strict=True)
    ]


def test_without_a_manifest_there_is_none(small: Small) -> None:
    read_bill(small)

    assert working(small, "select x_SourceFile, x_Manifest from delivery") == [("bill.csv", None)]
    assert working(small, "from delivery_manifest") == []


def test_a_manifest_is_kept_as_it_came_and_as_long_as_the_state_that_used_it(
    tmp_path: Path,
) -> None:
    small = Small.make(tmp_path, manifest=True, to=MONEY)
    path = small.root / "in" / PERIOD / "manifest.json"
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv")
    first = path.read_bytes()
    small.run()
    before = small.generation
    kept = "select x_Manifest, x_Bytes, x_Sha256, encode(x_Content) from delivery_manifest"
    assert small.ask(kept) == [
        ("manifest.json", len(first), hashlib.sha256(first).hexdigest(), first)
    ]

    # Written anew around the same file, with what nobody reads: the file is not read again.
    path.write_bytes("\ufeff".encode() + first.replace(b"{", '{"assemblyId": "ü",\r\n'.encode(), 1))
    built = {b.table for b in small.run() if not b.skipped}

    assert built == {"delivery_manifest"}
    assert small.ask(kept)[0][3] == path.read_bytes()
    assert (small.ask(kept)[0][2],) == duckdb.execute(
        f"select sha256(content) from read_blob('{path}')"
    ).fetchone()
    old = duckdb.execute(f"select encode(x_Content) from '{before}/delivery_manifest/*/*.parquet'")
    assert old.fetchall() == [(first,)]


def test_a_bill_without_the_manifest_it_was_read_by_is_found() -> None:
    """Kept, kept as something else, and not kept."""
    right = {"x_Content": "{}", "x_Sha256": hashlib.sha256(b"{}").hexdigest()}
    kept = [{**right, "x_Manifest": "a"}, {**right, "x_Manifest": "b", "x_Content": "{ }"}]
    files = [{"x_SourceFile": name, "x_Manifest": name} for name in "abc"]
    connection = engine({"delivery": files, "delivery_manifest": kept}, {})
    check = queries.query("checks/delivery_manifest__is_whole")

    assert ["b", "c"] == [found[1] for found in connection.execute(check.text).fetchall()]


def test_a_manifest_that_is_not_utf_8_is_not_whole(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True, to=MONEY)
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv")
    path = small.root / "in" / PERIOD / "manifest.json"
    path.write_bytes(path.read_text().encode("utf-16"))

    with pytest.raises(IncompleteDelivery, match="not a whole manifest"):
        read_bill(small)


# --------------------------------------------------------------------------------- the same again


def test_the_same_bytes_again_change_nothing(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small.run()
    before = [small.everything(), small.generation.stat().st_ino, small.database.stat().st_ino]
    path = small.deliver(V1)
    os.utime(path, ns=(7, 7))
    names = hashed(monkeypatch)

    built = small.run()
    again = small.run()

    assert [b.table for b in [*built, *again] if not b.skipped] == []
    assert before == [
        small.everything(),
        small.generation.stat().st_ino,
        small.database.stat().st_ino,
    ]
    assert names == ["bill.csv"]  # once for its new time, and not again


def test_a_copy_beside_it_is_hashed_once(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small.root / "in" / PERIOD / "bill.csv"
    shutil.copy(path, path.with_name("copy.csv"))
    names = hashed(monkeypatch)

    assert [read_bill(small), read_bill(small)] == [["bill.csv"], []]
    assert sorted(names) == ["bill.csv", "copy.csv"]


def test_what_is_known_of_files_may_be_thrown_away(small: Small) -> None:
    assert read_bill(small) == ["bill.csv"]
    shutil.rmtree(small.config.home / "landing")

    assert read_bill(small) == []


def test_a_damaged_listing_is_no_listing(small: Small) -> None:
    read_bill(small)
    listing = small.config.home / "landing" / "bill" / f"{PERIOD}.json"
    whole = listing.read_bytes()
    listing.write_bytes(whole[:9])

    assert read_bill(small) == []
    assert listing.read_bytes() == whole


def test_half_a_delivery_changes_nothing(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True, to=MONEY)
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv")
    small.run()
    before = small.everything()
    small.deliver(V2, "2.csv")
    small.list_parts("2.csv", "3.csv")

    for _ in range(2):
        with pytest.raises(FinopsError, match=r"3\.csv; the last whole delivery stands"):
            small.run()
        assert before == small.everything()


def test_a_file_that_changes_while_it_is_hashed_is_not_used(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = landed.digest_of

    def meddling(file: Path) -> str:
        found = right(file)
        small.deliver(V2)
        return found

    monkeypatch.setattr(landed, "digest_of", meddling)

    with pytest.raises(Unavailable, match=r"bill\.csv: changed since it was listed; run again"):
        read_bill(small)


# ---------------------------------------------------------------------------- from another machine


@pytest.fixture
def remote(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Small, Bucket]:
    """A bill in a bucket; what `deliver` writes is put there by `upload`."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(s3_endpoint, f"d{uuid4().hex}")
    toml = (
        '[[billing]]\nname = "acme"\ndialect = "focus"\n'
        f'location = "{bucket.location}/{{period}}/*.csv"\n'
        f'[s3]\nendpoint_url = "{s3_endpoint}"\n'
    )
    return Small.make(tmp_path, toml, to=MONEY), bucket


def upload(small: Small, bucket: Bucket, rows: Any, name: str = "bill.csv") -> str:
    """A new version of a file in the bucket; its SHA-256."""
    content = small.deliver(rows, name).read_bytes()
    bucket.put(f"{PERIOD}/{name}", content)
    return hashlib.sha256(content).hexdigest()


def copies(small: Small) -> list[str]:
    return sorted(p.name for p in (small.config.home / "landing" / "bill").iterdir())


def test_what_was_fetched_is_named_by_its_content_and_never_changed(
    remote: tuple[Small, Bucket],
) -> None:
    small, bucket = remote
    first = upload(small, bucket, V1)

    assert read_bill(small) == ["bill.csv"]
    assert copies(small) == sorted([first, f"{PERIOD}.json"])
    copy = small.config.home / "landing" / "bill" / first
    assert copy.stat().st_mode & 0o777 == 0o444
    assert working(small, "select x_Sha256 from delivery") == [(first,)]

    assert read_bill(small) == []
    second = upload(small, bucket, V2)
    assert read_bill(small) == ["bill.csv"]
    # The delivery that was replaced is not kept: the tables of its generation are.
    assert copies(small) == sorted([second, f"{PERIOD}.json"])


def test_a_new_version_with_the_same_bytes_is_fetched_and_no_more(
    remote: tuple[Small, Bucket],
) -> None:
    small, bucket = remote
    sha256 = upload(small, bucket, V1)
    read_bill(small)
    before = Warehouse(small.config).state("cost_and_usage", PERIOD)

    # Uploaded in parts, it has another ETag.
    upload_of = bucket.bucket.Object(f"deliveries/{PERIOD}/bill.csv").initiate_multipart_upload()
    part = upload_of.Part(1).upload(Body=small.deliver(V1).read_bytes())
    upload_of.complete(MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]})

    with fetches() as fetched:
        assert [read_bill(small), read_bill(small)] == [[], []]
    assert fetched == ["bill.csv"]
    assert before == Warehouse(small.config).state("cost_and_usage", PERIOD)
    assert copies(small) == sorted([sha256, f"{PERIOD}.json"])


def test_a_copy_is_read_again_unless_it_was_changed(remote: tuple[Small, Bucket]) -> None:
    small, bucket = remote
    sha256 = upload(small, bucket, V1)
    read_bill(small)
    text = small.toml.read_text()

    with fetches() as fetched:
        small.toml.write_text(text.replace('"acme"', '"acme-2"'))
        assert (read_bill(small), fetched) == (["bill.csv"], [])

        copy = small.config.home / "landing" / "bill" / sha256
        copy.chmod(0o644)
        copy.write_bytes(copy.read_bytes().replace(b"40.00", b"41.00"))
        small.toml.write_text(text)
        assert (read_bill(small), fetched) == (["bill.csv"], ["bill.csv"])
    assert working(small, "select x_Sha256, BilledCost from delivery") == [(sha256, Decimal(100))]


def test_what_was_fetched_by_a_run_that_failed_is_not_fetched_again(
    remote: tuple[Small, Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, bucket = remote
    upload(small, bucket, V1, "1.csv")
    upload(small, bucket, V2, "2.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "ingest", killed)
        with pytest.raises(RuntimeError, match="killed"):
            read_bill(small)

    with fetches() as fetched:
        assert read_bill(small) == ["1.csv", "2.csv"]
    assert fetched == []


def killed(*_: Any) -> None:
    raise RuntimeError("killed")


@contextmanager
def fetches() -> Iterator[list[str]]:
    """Paths of what is asked of S3 while this lasts."""
    names: list[str] = []
    right = S3.fetch

    def counting(self: S3, item: Item, landing: Path) -> Path:
        names.append(item.path)
        return right(self, item, landing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3, "fetch", counting)
        yield names


def test_fetched_logs_stay_for_some_days(tmp_path: Path) -> None:
    for name, days in (("old", 4), ("new", 1)):
        file = tmp_path / name
        file.touch()
        os.utime(file, (time.time() - days * 86400,) * 2)
    (tmp_path / "bill").mkdir()

    landed.forget(tmp_path)
    landed.forget(tmp_path / "nothing")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["bill", "new"]


# ------------------------------------------------------- any way that ends with the same delivery

SHOWN = ("charge_owner", "allocated_cost", "showback")
COST = st.decimals(min_value=Decimal(-1000), max_value=Decimal(1000), places=12)
CHARGE = st.fixed_dictionaries(
    {
        "day": st.sampled_from(["01", "02", "31"]),
        "feature": st.sampled_from(["search", "Search", "chat", ""]),
        "cost": COST.map(str),
        "EffectiveCost": st.one_of(COST.map(str), st.just("forty")),
        "InvoiceId": st.sampled_from(["I-1", "I-2"]),
        "BillingCurrency": st.sampled_from(["USD", "EUR"]),
        "ServiceName": st.sampled_from(["Machines", "Models"]),
    }
)
BILL = st.lists(CHARGE, min_size=1, max_size=8)


def write(small: Small, charges: list[dict[str, str]], name: str) -> Path:
    """One file of charges, in the order given."""
    path = small.deliver((), name)
    lines = []
    for charge in charges:
        more = {k: v for k, v in charge.items() if k[0].isupper()}
        one = small.deliver(((charge["day"], charge["feature"], charge["cost"]),), name, **more)
        lines.append(one.read_text().split("\n", 1)[1])
    path = small.deliver((), name)
    path.write_text(path.read_text() + "".join(lines))
    return path


@st.composite
def deliveries(draw: st.DrawFn, charges: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The charges in any order, cut into files."""
    mixed = draw(st.permutations(charges))
    cuts = sorted(draw(st.lists(st.integers(0, len(mixed)), max_size=3)))
    files = [mixed[a:b] for a, b in zip([0, *cuts], [*cuts, len(mixed)], strict=True)]
    return [f for f in files if f]


def replace_delivery(small: Small, files: list[list[dict[str, str]]], names: list[str]) -> None:
    """These files and no others, each under a name; a name more is a copy of the first file."""
    folder = small.root / "in" / PERIOD
    shutil.rmtree(folder, ignore_errors=True)
    for n, name in enumerate(names):
        write(small, files[n] if n < len(files) else files[0], name)


def allocate(small: Small) -> dict[str, Any]:
    """What is read and shown, without publishing: the bytes of tables, and the rows of the bill."""
    with Warehouse(small.config).writing() as warehouse:
        for step in pipeline.steps():
            if step.stage in ("bill", "usage", "allocation") or step.name == "showback":
                step.run(warehouse, PERIOD)
        found: dict[str, Any] = {
            f"{name}/{file.name}": file.read_bytes()
            for name in SHOWN
            for file in sorted(warehouse.folder(name, PERIOD).glob("*.parquet"))
        }
        bill_of = warehouse.folder("cost_and_usage", PERIOD) / "*.parquet"
        found["bill"] = duckdb.execute(
            "select columns(* exclude (x_SourceFile, x_SourceRow))::varchar "
            f"from '{bill_of}' order by all"
        ).fetchall()
    return found


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a run takes seconds: no smaller case is looked for
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_way_to_the_same_delivery_ends_with_the_same_bytes(data: st.DataObject) -> None:
    """Shuffled, split, copied, renamed, after any restatements: it is the bill of one file.

    A file that has the content of another is a copy of it, so the charges are told apart.
    """
    restated = data.draw(st.lists(BILL, min_size=1, max_size=3))
    for charges in restated:
        for n, charge in enumerate(charges):
            charge["ResourceId"] = f"i-{n}"
    last = restated[-1]
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        plain = Small.make(Path(one), to=MONEY)
        write(plain, last, "bill.csv")
        expected = allocate(plain)
        small = Small.make(Path(other), to=MONEY)
        for charges in restated:
            files = data.draw(deliveries(charges))
            copies_of_first = data.draw(st.integers(0, 1))
            names = data.draw(
                st.lists(
                    st.sampled_from("abcdefgh").map("{}.csv".format),
                    min_size=len(files) + copies_of_first,
                    max_size=len(files) + copies_of_first,
                    unique=True,
                )
            )
            replace_delivery(small, files, names)
            actual = allocate(small)
    assert expected["bill"] == actual["bill"]
    assert expected == actual


# ------------------------------------------------------------------------- one row that is wrong

OWNED = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/*.csv"
invoices = "invoices/{period}.csv"
"""
INVOICE = f"invoice,currency,amount\nI-{PERIOD},USD,100.00\n"
TABLES = ("cost_and_usage", *SHOWN)
WRONG = [
    *((t, c, f"{c} + 0.000000000001") for t in TABLES for c in ("BilledCost", "EffectiveCost")),
    *((t, "BillingCurrency", "'EUR'") for t in TABLES),
    *((t, "InvoiceId", "'other'") for t in TABLES),
    *((t, "ProviderName", "'other'") for t in SHOWN),
    *((t, "ServiceName", "'other'") for t in SHOWN),
    *((t, "ServiceCategory", "'Networking'") for t in SHOWN),
    *((t, "x_ChargeDay", "x_ChargeDay + 1") for t in SHOWN),
    *((t, c, "'other'") for t in SHOWN for c in ("x_Feature", "x_Tenant", "x_Environment")),
    *((t, "x_AllocationMethod", "'rule'") for t in ("allocated_cost", "showback")),
    *((t, "x_Pool", "'node/other'") for t in ("allocated_cost",)),
    *((t, "ChargeCategory", "'Tax'") for t in ("charge_owner", "allocated_cost")),
    *((t, "SubAccountId", "'other'") for t in ("charge_owner", "allocated_cost")),
    ("showback", "x_Model", "'gpt'"),
    ("charge_owner", "x_ChargeRows", "x_ChargeRows + 1"),
    ("cost_and_usage", "x_TagSetId", "x_TagSetId + 1"),
    ("cost_and_usage", "x_SourceFile", "'other.csv'"),
    ("cost_and_usage", "ChargeCategory", "'Fee'"),
    ("cost_and_usage", "ChargePeriodStart", "null"),
    ("cost_and_usage", "ChargePeriodStart", "ChargePeriodStart + interval 1 day"),
    ("cost_and_usage", "BillingPeriodEnd", "BillingPeriodStart - interval 1 day"),
    # One that tags or a rule name, but not on this charge.
    ("charge_owner", "x_Feature", "'search'"),
    *((t, "", what) for t in TABLES for what in ("dropped", "twice")),
]
UNSEEN = [
    # The dialect alone says what a raw column means; nothing else reads it, and no sum holds it.
    # tests/cases/bill has what each dialect has to make of a row.
    ("cost_and_usage", "ChargePeriodStart", "ChargePeriodStart + interval 1 minute"),
    ("cost_and_usage", "ServiceName", "'other'"),
    ("cost_and_usage", "ResourceId", "'other'"),
    # Price times quantity is not the cost where a provider rounds: the export tells it.
    ("cost_and_usage", "ListCost", "1"),
    # x_TagSetId decides; comparing the text as well would read the largest column again.
    ("cost_and_usage", "Tags", "'{}'"),
]
"""What no check sees, and why: these rows are published as they are."""


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A bill whose invoice is known."""
    small = Small.make(tmp_path_factory.mktemp("owned"), OWNED, to=MONEY)
    small.deliver(V1)
    (small.root / "invoices").mkdir()
    (small.root / "invoices" / f"{PERIOD}.csv").write_text(INVOICE)
    return small


def run_spoiled(small: Small, table: str, column: str, value: str) -> None:
    """A run in which a stage writes one row of its table wrong."""
    right = Warehouse._audit

    def spoiled(self: Warehouse, spec: Table, partition: str, draft: Path, *needed: Any) -> Any:
        if spec.name == table:
            spoil(spec, min(draft.glob("*.parquet")), column, value)
        return right(self, spec, partition, draft, *needed)

    shutil.rmtree(small.config.home, ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "_audit", spoiled)
        small.run()


def spoil(spec: Table, file: Path, column: str, value: str) -> None:
    """Write a Parquet file with its last row changed, dropped or twice."""
    first = "from there where place > 1"
    selects = {"dropped": first, "twice": "from there union all from there where place = 1"}
    wrong = f"cast({value} as {spec.duckdb.get(column)}) as {column}"
    changed = f"{first} union all select * replace ({wrong}) from there where place = 1"
    order = "row_number() over (order by x_ChargeDay desc)"
    place = order if "x_ChargeDay" in spec.names else "x_SourceRow"
    draft = file.with_suffix(".draft")
    duckdb.execute(
        f"copy (with there as (select *, {place} as place from '{file}') "
        f"select * exclude (place) from ({selects.get(value, changed)}) as spoiled) "
        f"to '{draft}' (format parquet)"
    )
    draft.replace(file)


@pytest.mark.parametrize(("table", "column", "value"), WRONG)
def test_one_wrong_row_is_not_published(owned: Small, table: str, column: str, value: str) -> None:
    """The stage that wrote it stops the run, or one further on does."""
    with pytest.raises((CheckFailed, ContractBroken)) as caught:
        run_spoiled(owned, table, column, value)

    # The Parquet file itself is sound: it is the row that is refused.
    assert "other columns than" not in str(caught.value)
    assert not (owned.config.home / "current").exists()


@pytest.mark.parametrize(("table", "column", "value"), UNSEEN)
def test_what_no_check_sees(owned: Small, table: str, column: str, value: str) -> None:
    run_spoiled(owned, table, column, value)

    assert owned.total() == Decimal("100.00")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_written_again_as_it_was_is_published(owned: Small, table: str) -> None:
    """What refuses the rows above is not how they were written."""
    run_spoiled(owned, table, "BilledCost", "BilledCost")

    assert owned.total() == Decimal("100.00")


# --------------------------------------------------------------- one published row that is wrong


@pytest.mark.parametrize(("table", "column", "value"), [*UNSEEN, ("showback", "x_Model", "'gpt'")])
def test_any_row_changed_after_it_was_written_is_found(
    owned: Small, capsys: pytest.CaptureFixture[str], table: str, column: str, value: str
) -> None:
    """What no rule sees either: a file is held against the bytes it was written as."""
    shutil.rmtree(owned.config.home, ignore_errors=True)
    owned.run()
    assert (0, []) == (check_published(owned), altered(owned.generation))
    file = min((owned.generation / table / PERIOD).glob("*.parquet"))
    spoil(contracts.table(table), file, column, value)

    place = file.relative_to(owned.generation)
    assert [f"{place} was changed after it was written"] == altered(owned.generation)
    assert 1 == check_published(owned)
    assert f"-- {place} was changed" in capsys.readouterr().out
    # what the message says to do
    file.with_name(STATE).unlink()
    owned.run()
    assert 0 == check_published(owned)


def check_published(small: Small) -> int:
    return cli.main(["check", "--published", "--config", str(small.toml), "--period", PERIOD])


def test_a_published_file_that_is_gone_or_new_is_found(owned: Small) -> None:
    shutil.rmtree(owned.config.home, ignore_errors=True)
    owned.run()
    folder = owned.generation / "showback" / PERIOD
    (file,) = folder.glob("*.parquet")
    file.rename(folder / "other.parquet")

    assert [
        f"showback/{PERIOD}/{file.name} is gone",
        f"showback/{PERIOD}/other.parquet was not written by a run",
    ] == sorted(altered(owned.generation))


def test_a_linked_part_keeps_the_hash_it_was_written_with(owned: Small) -> None:
    """Read again, a changed file would get the hash of the change."""
    shutil.rmtree(owned.config.home, ignore_errors=True)
    owned.run()
    (file,) = (owned.generation / "cost_and_usage" / PERIOD).glob("*.parquet")
    spoil(contracts.table("cost_and_usage"), file, "ListCost", "1")
    owned.deliver((("05", "search", "1.00"),), "more.csv")
    try:
        with Warehouse(owned.config).writing() as warehouse:
            pipeline.steps()[0].run(warehouse, PERIOD)

            assert [f"cost_and_usage/{PERIOD}/{file.name} was changed after it was written"] == [
                line for line in altered(warehouse.next) if line.startswith("cost_and_usage")
            ]
    finally:
        (owned.root / "in" / PERIOD / "more.csv").unlink()
