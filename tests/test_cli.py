"""The command line, as a person at a terminal meets it: words, exit codes, pipes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import cli, config
from finops_pipeline.periods import before, open_period
from finops_pipeline.template import described
from finops_pipeline.warehouse import Warehouse

from .conftest import Ran, finops

COMMANDS = (
    *("init", "check", "sample", "run", "sql", "explain"),
    *("showback", "diff", "reconcile", "export", "report"),
)


def asked(road: Ran, query: str) -> list[dict[str, str]]:
    """Rows of `finops sql --csv`."""
    done = finops("sql", "--config", road.root / "finops.toml", "--csv", query)
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


# ------------------------------------------------------------------------------------- help


def test_help_names_every_command() -> None:
    done = finops("--help")

    assert done.code == 0
    assert tuple(re.findall(r"^    (\w+)(?: |$)", done.out, re.MULTILINE)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(command: str) -> None:
    from finops_pipeline.cli import _parser

    (subs,) = [a for a in _parser()._actions if a.choices and command in a.choices]
    sub: Any = subs.choices[command]  # type: ignore[index]
    assert sub.description.endswith(".")
    silent = [
        a.dest for a in sub._actions if not a.help and a.dest not in ("directory", "query", "help")
    ]
    assert silent == []


@pytest.mark.parametrize("given", [(), ("nonsense",), ("run", "--perod", "2026-10")])
def test_wrong_arguments_are_a_2(given: tuple[str, ...]) -> None:
    done = finops(*given)

    assert done.code == 2
    assert "usage: finops" in done.err


# ------------------------------------------------------------------------------ configuration


def test_init_writes_a_configuration_that_loads(tmp_path: Path) -> None:
    done = finops("init", tmp_path / "new")
    path = tmp_path / "new" / "finops.toml"

    assert done.code == 0
    assert f"finops check --config {path}" in done.out
    assert config.load(path) == config.Config(root=path.parent.resolve())
    again = finops("init", tmp_path / "new")
    assert again.code == 2
    assert "is there already; move it away" in again.err


def test_init_writes_every_key_there_is(tmp_path: Path) -> None:
    finops("init", tmp_path)
    section, found = "", set()
    for line in (tmp_path / "finops.toml").read_text().splitlines():
        bare = line.removeprefix("# ")
        if header := re.fullmatch(r"\[+([a-z0-9_.]+)\]+", bare):
            section = f"{header[1]}."
        elif key := re.match(r"(\w+) = ", bare):
            found.add(section + key[1])

    assert found == {key for key, _, _ in described()}


def test_what_init_writes_is_right_once_its_blocks_are_opened(tmp_path: Path) -> None:
    finops("init", tmp_path)
    path = tmp_path / "finops.toml"
    text = path.read_text()
    path.write_text(re.sub(r"^# (?=\[\[|\w+ = )", "", text, flags=re.MULTILINE))

    loaded = config.load(path)

    assert [b.name for b in loaded.billing] == ["aws"]
    assert [m.kind for m in loaded.metrics] == ["prometheus"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[warehouse]\nmemory = '1GB'",
            "[warehouse]: no key is called 'memory'; did you mean 'memory_limit'?",
        ),
        ("[[biling]]\nname = 'a'", "no key is called 'biling'; did you mean 'billing'?"),
        (
            "[[billing]]\nname='a'\ndialect='focuss'\nlocation='in/{period}/*'",
            "no SQL file in sql/bill is called 'focuss'; did you mean 'focus'?",
        ),
        ("[[billing]]\nname='a'\ndialect='focus'", "billing.0.location: Field required"),
        (
            "[[metrics]]\nname='m'\nkind='parquet'\ncluster='prod'\nlocation='{date}'\n"
            "[[cluster_charge]]\nname='nat'\ncluster='prd'\nkind='network'\nmeters=['Nat']",
            "no cluster is called 'prd'; did you mean 'prod'?",
        ),
        (
            "[[metrics]]\nname='m'\nkind='parquet'\ncluster='prod'\nlocation='{date}'\n"
            "[[gitops]]\nname='platform'\npath='.'\ncluster='prd'",
            "[[gitops]] platform: cluster: no cluster is called 'prd'; did you mean 'prod'?",
        ),
        (
            "[[cluster_charge]]\nname='nat'\ncluster='prod'\nkind='network'",
            "nat: say which charges by `where` or `meters`",
        ),
        (
            "[[cluster_charge]]\nname='eks'\ncluster='c'\nkind='control_plane'\nmeters=['E']\n"
            "bytes='both'",
            "eks: `bytes` goes with kind = 'network'",
        ),
        ("[warehouse", "not TOML"),
        ("[warehouse]\nmemory_limit = 'lots'", "warehouse.memory_limit: String should match"),
        (
            "[[metrics]]\nname='m'\nkind='prometheus'\ncluster='c'",
            "kind `prometheus` needs a `url`",
        ),
        (
            "[[metrics]]\nname='m'\nkind='parquet'\ncluster='c'",
            "kind `parquet` needs a `location`",
        ),
        ("[[rule]]\nwhere={ServiceName='S'}", "names no `feature`, `tenant` or `environment`"),
        ("[alias.feature]\na=['b']\nc=['b']", "'b' is an alias of both"),
        (
            "[[billing]]\nname='b'\ndialect='focus'\nlocation='bill/*.csv'",
            "'bill/*.csv' must hold {period}",
        ),
    ],
)
def test_a_wrong_configuration_says_what_is_right(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "finops.toml"
    path.write_text(text)

    done = finops("check", "--config", path)

    assert done.code == 2, (done.out, done.err)
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["check", "run", "sql", "explain", "report"])
def test_a_missing_configuration_says_how_to_write_one(tmp_path: Path, command: str) -> None:
    done = finops(command, cwd=tmp_path)

    assert done.code == 2
    assert "finops.toml: No such file or directory; write one with `finops init" in done.err


def test_check_tells_each_input(company: Path) -> None:
    there = finops("check", "--config", company / "finops.toml", "--period", "2026-10")
    absent = finops("check", "--config", company / "finops.toml", "--period", "2026-08")

    assert there.code == 0, there.out
    assert "every key is known" in there.out
    bills = ("aws", "azure", "azure-amortized", "google", "databricks")
    for name in (*bills, "acme-main", "otel", "gateway", "functions", "acme-gitops"):
        assert re.search(rf"^  ok  .*{name}: [1-9]", there.out, re.MULTILINE), name
    assert absent.code == 1
    assert re.search(r"^  --  \[\[billing\]\] aws: 0 file", absent.out, re.MULTILINE)
    assert "10 input(s) not found; a run would go on without them" in absent.out


# ------------------------------------------------------------------------------------ a run


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--period", "2026-13"), "'2026-13' is not a billing period; write it as YYYY-MM"),
        (("--from", "2026-10", "--to", "2026-09"), "2026-09 is before 2026-10"),
        (("--period", "2020-01"), "2020-01 is before first_period"),
    ],
)
def test_a_period_that_cannot_be_is_a_2(company: Path, given: tuple[str, ...], said: str) -> None:
    done = finops("run", "--config", company / "finops.toml", *given)

    assert done.code == 2
    assert said in done.err


def test_a_run_tells_what_it_did_and_where_to_look(road: Ran) -> None:
    assert road.code == 0, road.err
    assert "Warning" not in road.err
    assert re.search(r"^  showback  +[\d,]+ rows  1 written", road.err, re.MULTILINE)
    for title in ("Spend by feature", "Coverage", "Largest findings", "Proposed savings"):
        assert title in road.out
    assert str(road.root / "report" / "index.html") in road.out
    assert (road.root / "report" / "index.html").exists()
    assert (road.root / "showback.duckdb").exists()


def test_the_showback_is_the_truth_of_the_invoices(road: Ran) -> None:
    truth = json.loads((road.root / "truth.json").read_text())
    stated = {(i["currency"], i["invoice"]): Decimal(i["EffectiveCost"]) for i in truth["invoices"]}
    shown = asked(
        road,
        "select BillingCurrency, InvoiceId, sum(EffectiveCost) as cost from showback group by all",
    )

    assert stated == {(r["BillingCurrency"], r["InvoiceId"]): Decimal(r["cost"]) for r in shown}


# ------------------------------------------------------------------------------------ asking


def test_sql_lists_tables_and_answers(road: Ran) -> None:
    toml = road.root / "finops.toml"
    listed = finops("sql", "--config", toml)
    piped = finops("sql", "--config", toml, "-", stdin="select 40 + 2 as answer")
    wrong = finops("sql", "--config", toml, "select nothing from showback")
    write = finops("sql", "--config", toml, "delete from showback")

    assert listed.code == 0
    assert re.search(r"^showback +\d+", listed.out, re.MULTILINE)
    assert (piped.code, piped.out.split()) == (0, ["answer", "------", "42"])
    assert wrong.code == 1
    assert "the query does not run: Binder Error" in wrong.err
    assert "Traceback" not in wrong.err
    assert write.code == 1
    assert "read-only" in write.err


@pytest.mark.parametrize("command", ["sql", "explain", "report"])
def test_without_a_database_it_is_said_what_writes_it(company: Path, command: str) -> None:
    done = finops(command, "--config", company / "finops.toml")

    assert done.code in (1, 2)
    assert str(company / "showback.duckdb") in done.err
    assert "`finops run`" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("csv", [(), ("--csv",)])
def test_a_reader_may_leave_early(road: Ran, csv: tuple[str, ...]) -> None:
    query = "select range, repeat('x', 200) from range(20000)"
    writer = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "finops_pipeline.cli",
            "sql",
            "--config",
            str(road.root / "finops.toml"),
            *csv,
            query,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.readline()
    writer.stdout.close()
    said = writer.stderr.read()
    writer.stderr.close()

    assert (writer.wait(60), said) == (0, "")


def test_a_reader_who_never_reads_is_no_error(road: Ran) -> None:
    """Short output is written when the process ends: no error may come of it then either."""
    writer = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "finops_pipeline.cli",
            "sql",
            "--config",
            str(road.root / "finops.toml"),
            "select 1",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    said = writer.stderr.read()
    writer.stderr.close()

    assert (writer.wait(60), said) == (0, "")


# ---------------------------------------------------------------------------------- explaining


def stored(road: Ran, query: str) -> list[dict[str, str]]:
    """Rows of the published database, without a process for each question."""
    with duckdb.connect(str(road.root / "showback.duckdb"), read_only=True) as connection:
        answer = connection.execute(query)
        names = [d[0] for d in answer.description or ()]
        return [dict(zip(names, map(str, row), strict=True)) for row in answer.fetchall()]


def explained(road: Ran, *options: str) -> str:
    """What `finops explain` prints, without a process for each question."""
    toml = str(road.root / "finops.toml")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert 0 == cli.main(["explain", "--config", toml, *options, "--rows", "100000"])
    return said.getvalue()


def table(text: str, title: str) -> list[dict[str, str]]:
    """Rows of one table of the explanation, by the widths of its ruler."""
    lines = text.split(title, 1)[1].split("\n\n", 2)[1].splitlines()
    spans = [m.span() for m in re.finditer(r"-+", lines[1])]
    cells = [[line[a:b].strip() for a, b in spans] for line in (lines[0], *lines[2:])]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def owners(road: Ran) -> list[tuple[str, str, str]]:
    return [
        (r["x_Feature"], r["x_Tenant"], r["x_AllocationMethod"])
        for r in asked(
            road,
            "select x_AllocationMethod, arg_max(x_Feature, EffectiveCost) as x_Feature, "
            "arg_max(x_Tenant, EffectiveCost) as x_Tenant from allocated_cost "
            "where BillingCurrency = 'USD' group by all order by all",
        )
    ]


def test_explained_parts_sum_to_the_showback_and_end_at_file_and_row(road: Ran) -> None:
    told = owners(road)
    assert {m for _, _, m in told} >= {"tag", "rule", "pod", "inference", "idle"}
    for feature, tenant in sorted({(feature, tenant) for feature, tenant, _ in told}):
        text = explained(road, "--feature", feature, "--tenant", tenant)
        where = f"where x_Feature = '{feature}' and x_Tenant = '{tenant}'"
        # what is shared by policy moves beside the pools, and is told apart
        for title, of in (
            ("What the showback says", "showback"),
            ("The pools it is part of", "allocated_cost"),
        ):
            (row,) = stored(road, f"select sum(EffectiveCost) as cost from {of} {where}")
            parts = table(text, title)
            assert sum(Decimal(p["EffectiveCost"]) for p in parts) == Decimal(row["cost"]), (
                feature,
                tenant,
                title,
            )
        charges = table(text, "The charges of those pools")
        assert charges, (feature, tenant)
        for charge in charges[:3]:
            (row,) = stored(
                road,
                f"select EffectiveCost from cost_and_usage where x_SourceFile = "
                f"'{charge['x_SourceFile']}' and x_SourceRow = {charge['x_SourceRow']}",
            )
            assert Decimal(row["EffectiveCost"]) == Decimal(charge["EffectiveCost"])


@pytest.mark.parametrize(
    "pool",
    [
        "node/",
        "inference/",
        "network/",
        "control_plane/",
        "service/",
    ],
)
def test_charges_explained_are_those_of_the_pools(road: Ran, pool: str) -> None:
    (row,) = asked(
        road,
        "select x_Feature, x_Tenant, x_Environment, ServiceName from allocated_cost "
        f"where x_Pool like '{pool}%' and BillingCurrency = 'USD' "
        "order by EffectiveCost desc limit 1",
    )
    names = {"feature": "x_Feature", "tenant": "x_Tenant", "environment": "x_Environment"}
    options = [x for n, c in names.items() for x in (f"--{n}", row[c])]
    text = explained(road, *options, "--service", row["ServiceName"])
    pools = table(text, "The pools it is part of")
    # Of a pool that is split all charges are told, of any other those of the owner.
    whole = {
        p["x_PoolId"]: Decimal(p["EffectiveCost" if p["x_Pool"] == "(by tag)" else "pool_cost"])
        for p in pools
    }
    charges = table(text, "The charges of those pools")

    assert pool.rstrip("/") in {p["x_Pool"].split("/")[0] for p in pools}
    assert sum(Decimal(c["EffectiveCost"]) for c in charges) == sum(whole.values())


def test_a_rule_is_explained_with_its_reason(road: Ran) -> None:
    text = explained(road, "--feature", "platform")
    rules = table(text, "The rules that match")

    assert "Sales tax follows the invoice, not a resource." in {r["why"] for r in rules}


def test_nothing_to_explain_says_where_to_look(road: Ran) -> None:
    done = finops("explain", "--config", road.root / "finops.toml", "--feature", "nobody")

    assert done.code == 2
    assert "no showback row matches {'feature': 'nobody'}; see what there is with" in done.err


def test_the_report_can_be_written_again(road: Ran, tmp_path: Path) -> None:
    shutil.copy(road.root / "finops.toml", tmp_path)
    shutil.copy(road.root / "showback.duckdb", tmp_path)

    done = finops("report", "--config", tmp_path / "finops.toml")

    assert done.code == 0, done.err
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000


def test_the_default_is_the_open_period_and_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "finops.toml"
    path.write_text("")
    with Warehouse(config.load(path)).writing():
        done = finops("run", "--no-proposals", cwd=tmp_path)

    assert done.code == 75
    now = open_period()
    assert done.err.splitlines()[0] == f"finops: {before(now)} to {now}"
