"""Partitions: built in proportion to what changed, audited before anybody sees them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from finops_pipeline import bill, contracts, pipeline, queries, warehouse
from finops_pipeline import publish as publishing
from finops_pipeline.contracts.fields import TYPES
from finops_pipeline.errors import (
    Busy,
    CheckFailed,
    ConfigError,
    ContractBroken,
    DeliveryVanished,
    IncompleteDelivery,
)
from finops_pipeline.warehouse import Built, Warehouse, asked_of_parts, bind_files, two_at_a_time

from .small import PERIOD, V1, V2, Small, broken


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small.make(tmp_path)
    made.deliver(V1)
    return made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Small.make(tmp_path_factory.mktemp("template"))
    made.deliver(V1)
    made.run()
    return made.root


@pytest.fixture
def ran(template: Path, tmp_path: Path) -> Small:
    """A first bill, already published."""
    shutil.copytree(template, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Small(tmp_path)


def written(built: list[Built]) -> list[str]:
    return sorted(f"{b.table}/{b.partition}" for b in built if not b.skipped)


def deny(what: str) -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        raise AssertionError(f"{what} was called")

    return called


def rewrite(monkeypatch: pytest.MonkeyPatch, path: str, change: Callable[[str], str]) -> None:
    """A SQL file as if somebody had edited it."""
    right = queries.query
    wrong = dataclasses.replace(right(path), text=change(right(path).text))
    monkeypatch.setattr(queries, "query", lambda p: wrong if p == path else right(p))


# ----------------------------------------------------------------------- nothing, or something


def test_a_run_writes_every_table_once(small: Small) -> None:
    built = small.run()
    tables = {b.table for b in built}

    assert tables == {n for n, t in contracts.tables().items() if t.partition != "x_Day"}
    assert small.total() == Decimal("100.00")
    assert broken(small) == []


def test_nothing_changed_writes_nothing(ran: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    ran.run()  # its database, made elsewhere, is written anew
    before = ran.everything()
    inodes = [ran.generation.stat().st_ino, ran.database.stat().st_ino]
    monkeypatch.setattr(bill, "read_file", deny("reading a file"))
    monkeypatch.setattr(pipeline.publish.__globals__["duckdb"], "connect", deny("the engine"))

    built = ran.run()

    monkeypatch.undo()
    assert written(built) == []
    assert inodes == [ran.generation.stat().st_ino, ran.database.stat().st_ino]
    assert before == ran.everything()
    assert not (ran.config.home / "next").exists()


def test_a_file_written_anew_that_says_the_same_leaves_what_is_made_of_it_alone(
    small: Small,
) -> None:
    path = small.deliver(V1)
    small.run()
    # other bytes, the same charges
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    built = {b.table for b in small.run() if not b.skipped}

    assert "delivery" in built
    assert built.isdisjoint({"tag_set", "charge_kind", "charge_owner", "allocated_cost"})


def test_a_restated_file_renews_its_period_and_nothing_else(small: Small) -> None:
    small.deliver(V1, period="2026-09")
    small.run("2026-09")
    small.run()
    old = small.generation
    small.deliver(V2)

    built = small.run()

    of_bill = {n for n, t in contracts.tables().items() if t.partition == "BillingPeriod"}
    # All months' margins are one table: a month's training is borne by others. So are terms of
    # commitments, a row each: that a period was delivered says which of them are over.
    whole = {"margin", "commitment_term"}
    assert {b.partition for b in built if not b.skipped and b.table not in whole} == {PERIOD}
    assert {b.table for b in built if not b.skipped and not b.partition} == whole
    assert {"cost_and_usage", "allocated_cost", "showback", "coverage", "finding"} <= {
        b.table for b in built if not b.skipped
    }
    for name in of_bill:
        place = Path(name, "2026-09")
        for file in (old / place).iterdir():
            assert file.stat().st_nlink > 1, file
            assert file.stat().st_ino == (small.generation / place / file.name).stat().st_ino
    assert small.total() == Decimal("203.10")


def test_a_union_of_whole_tables_is_links_to_their_files(small: Small) -> None:
    small.run()
    united = queries.query("findings/finding").unites

    assert {"drift", "misattributed_spend", "shared_spend", "untagged_spend"} == set(united)
    assert sorted(
        file.stat().st_ino
        for name in united
        for file in (small.generation / name / PERIOD).glob("*.parquet")
    ) == sorted(f.stat().st_ino for f in (small.generation / "finding" / PERIOD).glob("*.parquet"))
    assert 0 < small.ask("select count(*) from finding")[0][0]
    assert small.ask("select count(*) from finding") == small.ask(
        "select (select count(*) from untagged_spend) + (select count(*) from misattributed_spend)"
        " + (select count(*) from drift)"
    )


def test_only_a_union_of_whole_tables_is_taken_for_one() -> None:
    def unites(text: str) -> tuple[str, ...]:
        return dataclasses.replace(queries.query("findings/finding"), text=text).unites

    assert unites("-- Two.\nselect * from a\nunion all\nselect * from b\n") == ("a", "b")
    assert unites("select * from a\nunion all\nselect * from b where x") == ()
    assert unites("select x from a\nunion all\nselect * from b") == ()
    assert unites("select * from a\nunion\nselect * from b") == ()


def test_what_is_of_today_leaves_older_months_as_they_are(small: Small) -> None:
    small.deliver(V1, period="2026-09")
    small.run("2026-09")
    small.run()
    small.configure('[[model_version]]\nmodel = "m"\nversion = "1"')

    built = small.run()

    found = {b.table: b.partition for b in built if not b.skipped}
    assert {"model_version": "", "model_life": "", "training_schedule": ""}.items() <= found.items()
    assert {PERIOD, ""} == set(found.values())
    assert small.total() == 200


def test_of_two_files_only_the_changed_one_is_read(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.deliver((("05", "search", "10.00"),), "other.csv")
    small.run()
    old = {p.name: p.stat().st_ino for p in small.generation.glob("cost_and_usage/*/*.parquet")}
    read: list[str] = []
    right = bill.read_file

    def counting(*args: Any) -> Any:
        read.append(args[3].path)
        return right(*args)

    monkeypatch.setattr(bill, "read_file", counting)
    small.deliver((("05", "search", "11.00"),), "other.csv")
    small.run()

    new = {p.name: p.stat().st_ino for p in small.generation.glob("cost_and_usage/*/*.parquet")}
    assert read == ["other.csv"]
    assert [old[n] == new[n] for n in sorted(old) if ".bill-" in n] == [True]
    assert [old[n] == new[n] for n in sorted(old) if ".other-" in n] == [False]
    assert small.total() == Decimal("111.00")


def calls(path: Path, day: str, tokens: int) -> None:
    """One inference call, in our own columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [c.rstrip("?") for c in contracts.usage.INFERENCE_CALL.split()]
    values = {
        "x_Time": datetime.fromisoformat(f"{day}T10:00:00"),
        "x_Endpoint": "llm",
        "x_Provider": "self",
        "x_Model": "m",
        "x_Status": "ok",
        "x_InputTokens": tokens,
        "x_OutputTokens": 0,
    }
    schema = {c: TYPES[contracts.FIELDS[c].type] for c in columns}
    pl.DataFrame({c: [values.get(c)] for c in columns}, schema=schema).write_parquet(path)


def test_a_changed_log_does_not_touch_the_bill(small: Small) -> None:
    small.configure(
        '[[inference]]\nname = "log"\ndialect = "calls"\nlocation = "log/{date}.parquet"'
    )
    for day in ("2026-10-01", "2026-10-02"):
        calls(small.root / f"log/{day}.parquet", day, 10)
    small.run()
    calls(small.root / "log/2026-10-02.parquet", "2026-10-02", 20)

    done = written(small.run())

    assert [d for d in done if d.startswith("inference_usage/")] == ["inference_usage/2026-10-02"]
    assert f"usage_share/{PERIOD}" in done
    assert not {"cost_and_usage", "tag_set", "tag_owner", "charge_owner"} & {
        d.partition("/")[0] for d in done
    }
    assert small.ask("select sum(x_InputTokens) from inference_usage") == [(30,)]


def test_a_changed_setting_renews_what_reads_it(ran: Small) -> None:
    ran.configure('[alias.feature]\nsearch = ["chat"]')

    done = {d.split("/")[0] for d in written(ran.run())}

    assert {"tag_owner", "charge_owner", "showback"} <= done
    assert not {"cost_and_usage", "tag_set"} & done
    assert ran.ask("select sum(EffectiveCost) from showback where x_Feature = 'search'") == [
        (Decimal(75),)
    ]


# -------------------------------------------------------------------------------- generations


def test_the_database_never_asks_a_generation_that_is_gone(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_none = "keep_days = 0\nkeep_daily_days = 0\nkeep_months = 0\nkeep_closed = false"
    small.configure(f"[warehouse]\n{keep_none}")
    small.run()
    small.deliver(V2)
    answers: list[Any] = []
    writing = publishing.renew

    def slowly(*args: Any) -> bool:
        answers.append(small.ask("select sum(EffectiveCost) from cost_and_usage")[0][0])
        return writing(*args)

    monkeypatch.setattr(publishing, "renew", slowly)
    small.run()

    assert answers == [Decimal("100.00")]
    assert [small.generation] == list((small.config.home / "generations").iterdir())
    assert small.total() == Decimal("103.10")


def test_a_deleted_database_is_written_again(ran: Small) -> None:
    before = ran.tables()
    ran.database.unlink()

    assert written(ran.run()) == []
    assert before == ran.tables()


def test_the_database_is_one_any_client_can_open(ran: Small) -> None:

    with ran.database.open("rb") as file:
        file.seek(8)
        assert file.read(4) == b"DUCK"
        version = int.from_bytes(file.read(8), "little")

    assert version == 64  # storage version of DuckDB 0.10 to 1.x


# ------------------------------------------------------------------------- audit, then publish


def test_a_failing_check_leaves_the_old_partition(
    ran: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ran.everything()
    ran.deliver(V2)
    rewrite(
        monkeypatch,
        "allocation/allocated_cost",
        lambda text: f"select * replace (EffectiveCost + 1 as EffectiveCost) from ({text})",
    )

    with pytest.raises(CheckFailed) as caught:
        ran.run()

    told = str(caught.value)
    assert "checks/allocated_cost__conserves_bill found offenders in allocated_cost 2026-10" in told
    assert f"InvoiceId=I-{PERIOD}" in told
    assert "The published partition is untouched." in told
    assert before == ran.everything()
    working = Warehouse(ran.config).folder("allocated_cost", PERIOD)
    assert [p.read_bytes() for p in working.glob("*.parquet")] == [
        p.read_bytes() for p in (ran.generation / f"allocated_cost/{PERIOD}").glob("*.parquet")
    ]

    monkeypatch.undo()
    ran.run()
    assert ran.total() == Decimal("103.10")


def test_rules_are_asked_of_the_days_that_changed(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.configure(
        '[[inference]]\nname = "log"\ndialect = "calls"\nlocation = "log/{date}.parquet"\n'
        "[warehouse]\nrows_per_part = 1"
    )
    for day in ("2026-10-01", "2026-10-02", "2026-10-03"):
        calls(small.root / f"log/{day}.parquet", day, 10)
    asked: list[int] = []
    asking = Warehouse._ask

    def seen(self: Warehouse, connection: Any, check: queries.Query, *told: Any) -> None:
        if check.name == "showback__conserves_owner":
            found = connection.execute("select distinct day(x_ChargeDay) from showback").fetchall()
            asked.extend(day for (day,) in found)
        asking(self, connection, check, *told)

    def again() -> list[int]:
        asked.clear()
        small.run()
        return sorted(asked)

    monkeypatch.setattr(Warehouse, "_ask", seen)
    assert [1, 2, 3] == again()

    small.deliver((*V1[:2], ("03", "", "26.00")))
    assert [3] == again()

    # A rule that is not what it was is asked of all days, and holds back what breaks it.
    rules = queries.checks

    def other(table: str) -> tuple[queries.Query, ...]:
        never = "select EffectiveCost from showback where x_ChargeDay = '2026-10-02'"
        return tuple(
            dataclasses.replace(c, text=never) if c.name == "showback__conserves_owner" else c
            for c in rules(table)
        )

    monkeypatch.setattr(queries, "checks", other)
    with pytest.raises(CheckFailed, match=r"conserves_owner found offenders in showback 2026-10"):
        again()
    assert small.total() == Decimal("101.00")


def test_parts_of_days_share_no_key_and_have_what_their_rules_read() -> None:
    """What is asked of a part alone must hold in it: each of these compares by the day."""
    by_part = {
        check.name: check.reads
        for name in contracts.BY_DAY
        for check in queries.checks(name)
        if asked_of_parts(check)
    }

    assert set(by_part) == {
        "allocated_cost__conserves_pool",
        "allocated_cost__keeps_owner",
        "shared_cost__sums_to_zero",
        "showback__conserves_owner",
    }
    for rule, reads in by_part.items():
        table = rule.split("__")[0]
        made = queries.query(f"{contracts.table(table).stage}/{table}")
        assert reads <= made.reads | {table}, rule
    for name in contracts.BY_DAY:
        assert {"x_ChargeDay", "x_HourStart", "x_PoolId"} & set(contracts.table(name).key), name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: f"from ({text}) union all from ({text})", "rows share the key"),
        (lambda text: f"select * replace (null as x_Feature) from ({text})", "x_Feature"),
        (lambda text: f"select * exclude (x_Model) from ({text})", "x_Model"),
        (
            lambda text: (
                f"select * replace (cast(EffectiveCost as double) as EffectiveCost) from ({text})"
            ),
            "EffectiveCost",
        ),
    ],
    ids=["a row twice", "a null", "a column gone", "money as double"],
)
def test_a_broken_contract_leaves_the_old_partition(
    ran: Small,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[str], str],
    said: str,
) -> None:
    before = ran.everything()
    ran.deliver(V2)
    rewrite(monkeypatch, "showback/showback", change)

    with pytest.raises(
        ContractBroken, match=r"(?s)showback breaks its contract.*not published"
    ) as caught:
        ran.run()

    assert said in str(caught.value)
    assert before == ran.everything()


def test_half_a_renewal_cannot_be_published(ran: Small) -> None:
    ran.deliver(V2)
    with Warehouse(ran.config).writing() as warehouse:
        pipeline.read_bill(warehouse, PERIOD)
        with pytest.raises(ContractBroken, match="built from inputs that changed since"):
            pipeline.publish_database(warehouse)

    assert ran.total() == Decimal("100.00")
    ran.run()
    assert ran.total() == Decimal("103.10")


def test_a_month_keeps_what_it_knew_of_the_day_after_it(small: Small) -> None:
    # It asks the first day of the next, for calls from before midnight. Were it stale for what
    # changed there, no month could be published before the one before it, and that before its own.
    small.configure(
        '[[inference]]\nname = "log"\ndialect = "calls"\nlocation = "log/{date}.parquet"'
    )
    small.deliver(V1, period="2026-11")
    for day in ("2026-10-31", "2026-11-01"):
        calls(small.root / f"log/{day}.parquet", day, 10)
    small.run("2026-11")
    small.run()
    calls(small.root / "log/2026-11-01.parquet", "2026-11-01", 20)

    small.run("2026-11")

    assert small.ask("select sum(x_InputTokens) from inference_usage") == [(30,)]
    assert f"usage_share/{PERIOD}" in written(small.run())


# ---------------------------------------------------------------------------- another version


def lose(small: Small, table: str, column: str, partition: str = PERIOD) -> None:
    """What was published as it was written before a table had a column."""
    (file,) = (small.generation / table / partition).glob("*.parquet")
    rest = pl.read_parquet(file).drop(column)
    file.unlink()  # the working generation may have it, too
    rest.write_parquet(file)


def test_a_month_of_before_a_column_came_is_read_without(
    ran: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(ran, "cost_and_usage", "SkuMeter")
    lose(ran, "coverage", "x_CoveragePermille")
    for period in ("2026-11", "2026-12"):
        ran.deliver(V2, period=period)
        ran.run(period)
        found = "select BillingPeriod, count(*), count(x_CoveragePermille > 0) from coverage"
        assert ran.ask(f"{found} group by 1 order by 1")[0] == (PERIOD, 3, 0)
        assert ran.ask("select count(*) from coverage where x_CoveragePermille > 0") != [(0,)]
        assert ran.ask("select count(SkuMeter) from cost_and_usage") == [(0,)]

    # Asked for, it is written anew, though its bill is the one that was read.
    demanded = warehouse._demands
    monkeypatch.setattr(warehouse, "_demands", lambda table: (*demanded(table), "another version"))
    ran.run()
    for table, column in (("cost_and_usage", "SkuMeter"), ("coverage", "x_CoveragePermille")):
        (there,) = (ran.generation / table / PERIOD).glob("*.parquet")
        assert column in pl.read_parquet_schema(there)


def test_a_month_without_what_no_row_may_be_without_is_not_asked(ran: Small) -> None:
    lose(ran, "cost_and_usage", "BilledCost")
    folder = ran.generation / "cost_and_usage" / PERIOD
    told = r"cost_and_usage of 2026-10 was .* earlier version of finops, without BilledCost"
    with Warehouse(ran.config).engine() as connection, pytest.raises(ConfigError, match=told):
        bind_files(connection, contracts.table("cost_and_usage"), [*folder.glob("*.parquet")])


def test_a_table_that_there_is_no_more_is_no_hindrance(ran: Small) -> None:
    """Neither itself, nor what an earlier month was made of it."""
    shutil.copytree(ran.generation / "coverage", ran.generation / "former")
    file = ran.generation / "coverage" / PERIOD / "_state.json"
    state = json.loads(file.read_text())
    state["inputs"]["former/2026-10"] = "as it was"
    file.unlink()
    file.write_text(json.dumps(state))
    ran.deliver(V2, period="2026-11")

    ran.run("2026-11")

    assert ran.total() == Decimal("203.10")
    assert not (ran.generation / "former").exists()


def test_a_file_that_changes_under_the_reader_is_not_used(
    ran: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran.deliver(V2)
    right = bill._bind

    def meddling(*args: Any) -> None:
        ran.deliver(V1, BilledCost="1.00")
        right(*args)

    monkeypatch.setattr(bill, "_bind", meddling)
    with pytest.raises(IncompleteDelivery, match=r"bill.csv: changed while it was read; run again"):
        ran.run()

    assert ran.total() == Decimal("100.00")


# ---------------------------------------------------------------------------- one run at a time


def test_a_second_run_is_busy(small: Small) -> None:
    told = r"another run holds .*; wait for it to end and run again"
    with Warehouse(small.config).writing(), pytest.raises(Busy, match=told):
        small.run()

    small.run()
    assert small.total() == Decimal("100.00")


# --------------------------------------------------------------------------------- vanished files


def test_vanished_files_are_an_accident(ran: Small) -> None:
    before = ran.everything()
    bill_csv = ran.root / "in" / PERIOD / "bill.csv"
    bill_csv.rename(ran.root / "kept.csv")

    with pytest.raises(
        DeliveryVanished, match=r"acme: the 1 file\(s\) of 2026-10 read before are not at in/"
    ):
        ran.run()

    assert before == ran.everything()
    (ran.root / "kept.csv").rename(bill_csv)
    ran.run()
    assert ran.total() == Decimal("100.00")


TWO = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/us-*.csv"

[[billing]]
name = "acme-eu"
dialect = "focus"
location = "in/{period}/eu-*.csv"
"""


@pytest.mark.parametrize("first", ["us-1.csv", "eu-1.csv"])
def test_sources_whose_names_start_alike_are_told_apart(tmp_path: Path, first: str) -> None:
    small = Small.make(tmp_path, TWO)
    small.deliver(V1, first)
    small.run()

    small.run()
    small.deliver(V2, "us-1.csv", InvoiceId="US")
    small.deliver(V2, "eu-1.csv", InvoiceId="EU")
    small.run()
    assert small.total() == Decimal("206.20")

    (small.root / "in" / PERIOD / first).unlink()
    name = {"us-1.csv": "acme:", "eu-1.csv": "acme-eu:"}[first]
    with pytest.raises(DeliveryVanished, match=name):
        small.run()
    assert small.total() == Decimal("206.20")


def test_logs_and_metrics_of_one_name_are_told_apart(small: Small) -> None:
    small.configure(
        '[[inference]]\nname = "main"\ndialect = "calls"\nlocation = "log/{date}.parquet"\n'
        '[[metrics]]\nname = "main"\nkind = "parquet"\ncluster = "c"\n'
        'location = "metrics/{date}.parquet"'
    )
    calls(small.root / "log/2026-10-01.parquet", "2026-10-01", 10)
    metrics = small.root / "metrics/2026-10-01.parquet"
    samples(metrics)
    small.run()
    metrics.unlink()

    with pytest.raises(DeliveryVanished, match=r"main: the 1 file\(s\) of 2026-10-01 read before"):
        small.run()


def test_days_that_their_place_keeps_no_more_stand_as_they_were_read(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = '[[inference]]\nname = "log"\ndialect = "calls"\nlocation = "log/{date}.parquet"\n'
    small.configure(block)
    for day in ("2026-10-01", "2026-10-02"):
        calls(small.root / f"log/{day}.parquet", day, 10)
    small.run()
    (small.root / "log/2026-10-01.parquet").unlink()
    told = r"log: the 1 file\(s\) of 2026-10-01 .* for how many days it keeps them \(`kept_days`\)"
    with pytest.raises(DeliveryVanished, match=told):
        small.run()

    # The first has been gone since yesterday.
    monkeypatch.setattr(pipeline, "today", lambda: date(2026, 11, 1))
    small.configure("kept_days = 31")
    assert not [d for d in written(small.run()) if d.startswith("inference_usage/")]

    # Another version reads logs otherwise: what is there, it reads again; the other is as it was.
    rewrite(monkeypatch, "usage/inference_usage", lambda text: f"{text}-- another version\n")
    lose(small, "inference_usage", "x_Credential", "2026-10-01")
    demanded = warehouse._demands
    monkeypatch.setattr(warehouse, "_demands", lambda table: (*demanded(table), "another version"))
    assert "inference_usage/2026-10-01" in written(small.run())
    assert small.ask(
        "select x_Day, x_InputTokens, x_Credential from inference_usage order by x_Day"
    ) == [("2026-10-01", 10, None), ("2026-10-02", 10, None)]

    calls(small.root / "log/2026-10-02.parquet", "2026-10-02", 20)
    small.run()
    assert small.ask("select sum(x_InputTokens) from inference_usage") == [(30,)]


def samples(path: Path) -> None:
    """One sample of a node."""
    path.parent.mkdir(parents=True, exist_ok=True)
    duckdb.execute(
        "copy (select 'kube_node_info' as metric, map {'node': 'n1'} as labels, "
        f"timestamp '2026-10-01 10:00' as time, 1.0::double as value) to '{path}' (format parquet)"
    )


def test_a_block_that_was_removed_is_not_missed(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TWO)
    small.deliver(V1, "us-1.csv")
    small.deliver(V2, "eu-1.csv", InvoiceId="EU")
    small.run()
    small.toml.write_text(TWO.split("\n\n", maxsplit=1)[0])

    small.run()

    assert small.total() == Decimal("100.00")


# ------------------------------------------------------------------------------ restated periods


def test_trap_11_a_restated_bill_is_that_bill_again(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True)
    small.deliver(
        (("01", "a", "60"), ("02", "b", "20"), ("03", "c", "10"), ("04", "d", "10")), "1.csv"
    )
    small.list_parts("1.csv")
    small.run()
    assert small.total() == Decimal("100.00")
    v1 = small.generation

    # Three rows are gone and five came; the old file still lies beside the new.
    new = (("01", "a", "60"), *((f"{d:02d}", "b", "8.62") for d in range(5, 10)))
    small.deliver(new, "2.csv")
    small.list_parts("2.csv", "3.csv")
    with pytest.raises(IncompleteDelivery, match=r"lists 1 of 2 files that are not there: .*3.csv"):
        small.run()
    assert small.total() == Decimal("100.00")

    small.list_parts("2.csv")
    small.run()
    assert small.total() == Decimal("103.10")
    assert small.ask("select count(*) from cost_and_usage") == [(6,)]
    # As of the first delivery it is still 100.00.
    as_of = small.ask(f"select sum(EffectiveCost) from '{v1}/showback/*/*.parquet'")
    assert as_of == [(Decimal("100.00"),)]

    published = small.everything()
    small.list_parts("2.csv")
    small.run()
    assert published == small.everything()


def test_the_same_restatement_delivered_again_is_byte_identical(small: Small) -> None:
    small.deliver(V2)
    small.run()
    before = small.parquet()
    small.deliver(V2)
    os.utime(small.root / "in" / PERIOD / "bill.csv", (1, 1))

    small.run()

    assert before == small.parquet()


def test_an_old_delivery_listed_again_is_the_old_bill(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True)
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv")
    small.run()
    first = small.parquet()
    small.deliver(V2, "2.csv")
    small.list_parts("2.csv")
    small.run()
    small.list_parts("1.csv")

    small.run()

    assert first == small.parquet()


def test_two_are_made_at_a_time_and_told_in_order() -> None:
    both = threading.Barrier(2, timeout=60)

    def make(number: int) -> int:
        both.wait()  # nobody gets on alone
        return number

    assert list(range(10)) == two_at_a_time(make, range(10))


def test_what_has_not_begun_at_an_error_is_left() -> None:
    begun = []

    def make(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise CheckFailed("the first")
        time.sleep(0.1)

    with pytest.raises(CheckFailed, match="the first"):
        two_at_a_time(make, range(100))

    assert len(begun) < 100
