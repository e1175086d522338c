"""What happens to inputs and machines does not happen to readers: kills, damage, any order."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import duckdb
import polars as pl
import pytest

from finops_pipeline import config
from finops_pipeline.contracts import tables
from finops_pipeline.errors import FinopsError
from finops_pipeline.warehouse import Warehouse

from .conftest import Ran, finops
from .small import MONEY, PERIOD, V1, V2, Small, broken

ROOT = Path(__file__).parents[1]
SHOWN = [n for n, t in tables().items() if t.stage in ("allocation", "showback")]
TOTALS = (Decimal("100.00"), Decimal("103.10"))


class Killer:
    """Runs of one folder in processes that are killed; see tests/killed.py."""

    def __init__(self, small: Small, *, publish_only: bool = False) -> None:
        self.kills = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.killed", small.toml, PERIOD]
            + (["--publish"] if publish_only else []),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def run(self, at: int) -> bool:
        """A run that is killed before its change number `at`; whether it came to its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(at, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, "the run failed by itself"
        self.kills += "killed" in answer
        return "done" in answer


class Reader(threading.Thread):
    """Reads what is published, over and over, while runs go on and are killed."""

    def __init__(self, small: Small) -> None:
        super().__init__()
        self.small = small
        self.wrong: list[str] = []
        self.totals: list[Decimal] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                self.wrong += broken(self.small)
                if self.small.database.exists():
                    self.totals.append(self.small.total())
            except Exception as error:  # noqa: BLE001  whatever it is, a reader saw it
                self.wrong.append(repr(error))
            self.over.wait(0.1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, list[Any]]:
    """A folder with both bills, and what runs that nobody kills publish of each."""
    small = Small.make(tmp_path_factory.mktemp("bills"))
    expected = []
    for rows in (V1, V2):
        path = small.deliver(rows)
        os.utime(path, ns=(0, int(rows is V2)))
        small.run()
        expected.append(small.everything())
    return small, expected


def start(small: Small, rows: tuple[Any, ...]) -> None:
    path = small.deliver(rows)
    os.utime(path, ns=(0, int(rows is V2)))


def empty(small: Small) -> None:
    shutil.rmtree(small.config.home)
    small.database.unlink()


def published(small: Small) -> bool:
    """Whether a run would start by linking all that is published."""
    return (small.config.home / "current").exists() and not (small.config.home / "next").exists()


def test_a_run_killed_again_and_again_ends_as_if_it_never_was(
    bills: tuple[Small, list[Any]],
) -> None:
    small, (first, second) = bills
    dice = random.Random(11)
    empty(small)
    with Killer(small) as killer, Reader(small) as reader:
        start(small, V1)
        # Killed after it had published, and before its end, it would start by hundreds of links.
        while not killer.run(0 if published(small) else dice.randint(24, 56)):
            assert killer.kills < 200
        assert first == small.everything()
        start(small, V2)
        # The working generation starts as more than a hundred links; half of them is none.
        at = 3
        while not (small.config.home / "next").exists():
            killer.run(at)
            at += 60
        for _ in range(12):
            killer.run(dice.randint(20, 50))
        assert killer.run(0)
        assert second == small.everything()

    assert killer.kills >= 15
    assert reader.wrong == []
    assert set(reader.totals) == set(TOTALS)
    assert reader.totals == sorted(reader.totals)


def test_killed_at_every_change_of_publishing(
    bills: tuple[Small, list[Any]], tmp_path: Path
) -> None:
    small, (_, second) = bills
    empty(small)
    start(small, V1)
    small.run()
    start(small, V2)
    small.run(publish=False)
    before = tmp_path / "before"
    shutil.copytree(small.root, before, symlinks=True)
    ended = False
    with Killer(small, publish_only=True) as killer:
        while not ended:
            shutil.rmtree(small.root)
            shutil.copytree(before, small.root, symlinks=True)
            ended = killer.run(killer.kills + 1)
            assert broken(small) == []
            assert small.total() in TOTALS
            if not ended:
                killer.run(0)
            assert second == small.everything()

    assert killer.kills >= 6


def test_killed_while_nothing_changed(bills: tuple[Small, list[Any]]) -> None:
    """The clone of a run with nothing to do is thrown away; half of it is never taken for whole."""
    small, _ = bills
    empty(small)
    start(small, V1)
    small.deliver(V2, period="2026-09")
    small.run("2026-09")
    small.run()
    september = {k: v for k, v in small.parquet().items() if "2026-09" in k}
    with Killer(small, publish_only=True) as killer:
        for at in (2, 9, 30, 80):
            killer.run(at)
    start(small, V2)
    small.run()

    assert killer.kills == 4
    assert september == {k: v for k, v in small.parquet().items() if "2026-09" in k}
    assert small.total() == Decimal("206.20")
    assert broken(small) == []
    shutil.rmtree(small.root / "in" / "2026-09")


def test_a_reader_is_neither_disturbed_nor_in_the_way(bills: tuple[Small, list[Any]]) -> None:
    small, _ = bills
    empty(small)
    start(small, V1)
    small.run()
    total = "select sum(EffectiveCost) from showback"
    with duckdb.connect(str(small.database), read_only=True) as old:
        assert old.execute(total).fetchall() == [(TOTALS[0],)]
        start(small, V2)
        small.run()
        assert old.execute(total).fetchall() == [(TOTALS[0],)]
        assert old.execute("select sum(EffectiveCost) from cost_and_usage").fetchall() == [
            (TOTALS[0],)
        ]
    assert small.total() == TOTALS[1]


# ---------------------------------------------------------------- what the command line tells


def test_a_second_run_is_told_to_wait(bills: tuple[Small, list[Any]]) -> None:
    small, _ = bills
    with Warehouse(small.config).writing():
        done = finops("run", "--config", small.toml, "--period", PERIOD)

    assert done.code == 75
    assert f"another run holds {small.config.home}; wait for it to end and run again" in done.err
    assert "Traceback" not in done.err


def test_half_a_delivery_may_come_later(tmp_path: Path) -> None:
    small = Small.make(tmp_path, manifest=True)
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv", "2.csv")

    done = finops("run", "--config", small.toml, "--period", PERIOD, "--no-proposals")

    assert done.code == 75
    told = [line for line in done.err.splitlines() if line.startswith("finops: [[billing]]")]
    assert len(told) == 1
    assert "acme" in told[0]
    assert "manifest.json lists 1 of 2 files that are not there" in told[0]
    assert "2.csv; the last whole delivery stands" in told[0]
    assert not small.database.exists()


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    path = small.deliver(V1)
    path.write_bytes(path.read_bytes()[:-60])

    done = finops("run", "--config", small.toml, "--period", PERIOD, "--no-proposals")

    assert done.code == 1
    assert f"finops: {path}: the last line, 4, is torn" in done.err
    assert "deliver it again" in done.err
    assert "Traceback" not in done.err


# --------------------------------------------------------------------- inputs as they break


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def without_column(path: Path) -> None:
    path.write_text(path.read_text().replace("BilledCost", "BilledCosts", 1))


def number_in_words(path: Path) -> None:
    path.write_text(path.read_text().replace("40.00,40.00", "forty,40.00", 1))


def no_csv(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("harm", "said", "code"),
    [
        (cut, r"bill\.csv: the last line, 5, is torn, so more may be missing; deliver it again", 1),
        (
            without_column,
            r"bill\.csv: column 'BilledCost' is missing; the nearest is 'BilledCosts'; dialect "
            r"'focus' needs it",
            1,
        ),
        (no_csv, r"bill\.csv: is empty, without even a header; deliver it again", 1),
    ],
    ids=["torn", "a column gone", "empty"],
)
def test_damage_is_named_and_the_old_bill_stands(
    bills: tuple[Small, list[Any]], harm: Callable[[Path], None], said: str, code: int
) -> None:
    small, _ = bills
    start(small, V1)
    small.run()
    before = small.everything()
    harm(small.deliver(V2))

    with pytest.raises(FinopsError, match=said) as caught:
        small.run()

    assert caught.value.exit_code == code
    assert before == small.everything()
    start(small, V2)
    small.run()
    assert small.total() == TOTALS[1]


def test_a_cost_that_is_no_number_is_one_row_not_the_bill(tmp_path: Path) -> None:
    small = Small.make(tmp_path, to=MONEY)
    number_in_words(small.deliver(V1))

    small.run()

    assert small.ask("select x_SourceRow, x_Reason, EffectiveCost from quarantine") == [
        (1, "BilledCost is not a number: 'forty'", Decimal(40))
    ]
    assert small.total() == Decimal("100.00")
    assert small.ask("select sum(BilledCost) from showback") == [(Decimal("60.00"),)]


PARQUET = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/*.parquet"
"""


def test_a_parquet_bill_that_broke(tmp_path: Path) -> None:
    small = Small.make(tmp_path, PARQUET, to=MONEY)
    source = small.deliver(V1)
    path = source.with_suffix(".parquet")
    frame = pl.read_csv(source, infer_schema=False)
    frame.write_parquet(path)
    small.run()
    before = small.everything()

    cut(path)
    with pytest.raises(
        FinopsError, match=r"bill\.parquet: not a whole Parquet file .*; deliver it again"
    ):
        small.run()
    frame.drop("EffectiveCost").write_parquet(path)
    with pytest.raises(FinopsError, match=r"bill\.parquet: column 'EffectiveCost' is missing"):
        small.run()
    frame.with_columns(BilledCost=pl.lit(True)).write_parquet(path)
    with pytest.raises(FinopsError, match=r"column 'BilledCost' is BOOLEAN, which is no number"):
        small.run()
    assert before == small.everything()

    # The same money as another type is the same bill.
    frame.with_columns(pl.col("BilledCost").cast(pl.Float64)).write_parquet(path)
    small.run()
    assert small.ask("select sum(BilledCost), sum(EffectiveCost) from showback") == [
        (Decimal("100.00"), Decimal("100.00"))
    ]


def test_a_delivery_that_came_twice_counts_once(tmp_path: Path) -> None:
    small = Small.make(tmp_path, to=MONEY)
    path = small.deliver(V1)
    shutil.copy(path, path.with_name("bill (1).csv"))

    small.run()

    assert small.total() == Decimal("100.00")


def test_an_empty_period_is_a_whole_one(tmp_path: Path) -> None:
    small = Small.make(tmp_path)

    done = finops("run", "--config", small.toml, "--period", PERIOD)

    assert (done.code, done.err.count("Traceback")) == (0, 0), done.err
    assert small.total() == Decimal(0)
    assert broken(small) == []
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "The database holds no billing period yet." in page


# ----------------------------------------------------------------- a server that does not answer


@pytest.fixture
def no_server(tmp_path: Path) -> Iterator[Callable[[int, bytes], Small]]:
    """A Prometheus that answers every question alike."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    answer = [500, b""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(answer[0]))
            self.send_header("Content-Length", str(len(bytes(answer[1])) if answer[0] else 99))
            self.end_headers()
            self.wfile.write(bytes(answer[1]))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def answering(status: int, body: bytes) -> Small:
        answer[:] = [status, body]
        small = Small.make(tmp_path)
        small.deliver(V1)
        small.configure(
            '[[metrics]]\nname = "main"\nkind = "prometheus"\ncluster = "c"\n'
            f'url = "http://127.0.0.1:{server.server_port}"'
        )
        return small

    yield answering
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "code", "said"),
    [
        (
            422,
            b'{"status":"error","errorType":"execution","error":"unknown function"}',
            1,
            "status 422: execution: unknown function",
        ),
        (200, b'{"status":"success","da', 75, "half an answer"),
    ],
)
def test_a_server_that_fails_is_told_with_its_address(
    no_server: Callable[[int, bytes], Small], status: int, body: bytes, code: int, said: str
) -> None:
    small = no_server(status, body)

    with pytest.raises(FinopsError, match=re.escape(said)) as caught:
        small.run()

    assert caught.value.exit_code == code
    assert str(caught.value).startswith(f"{small.config.metrics[0].url}: ")
    assert not small.database.exists()


def test_a_server_that_is_away_is_told_at_the_terminal(
    no_server: Callable[[int, bytes], Small],
) -> None:
    small = no_server(503, b"try later")

    done = finops("run", "--config", small.toml, "--period", PERIOD, "--no-proposals")

    assert done.code == 75, done.err
    assert f"finops: {small.config.metrics[0].url}: status 503: try later" in done.err
    assert "Traceback" not in done.err


# -------------------------------------------------------------------------------- any order


def test_order_times_and_threads_do_not_matter(road: Ran, company: Path, tmp_path: Path) -> None:
    root = tmp_path / "acme"
    shutil.copytree(company / "gitops", root / "gitops")
    shutil.copy(company / "finops.toml", root)
    files = [p for p in (company / "inputs").rglob("*") if p.is_file()]
    random.Random(5).shuffle(files)
    for n, path in enumerate(files):
        to = root / path.relative_to(company)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        os.utime(to, (n, n))
    toml = root / "finops.toml"
    toml.write_text(toml.read_text().replace("[warehouse]", "[warehouse]\nthreads = 3"))
    assert (
        config.load(toml).warehouse.threads
        != config.load(company / "finops.toml").warehouse.threads
    )

    shuffled = Small(root)
    shuffled.run()

    assert road.code == 0, road.err
    assert Small(road.root).parquet() == shuffled.parquet()


def test_names_of_files_do_not_matter_to_the_showback(tmp_path: Path) -> None:
    parts = (V1[:1], V1[1:2], V1[2:])
    found = []
    for n, names in enumerate((("a.csv", "b.csv", "c.csv"), ("z.csv", "y.csv", "x.csv"))):
        small = Small.make(tmp_path / str(n))
        for rows, name in zip(parts, names, strict=True):
            small.deliver(rows, name)
        small.run()
        found.append({k: v for k, v in small.parquet().items() if k.split("/")[0] in SHOWN})

    assert len(found[0]) == len(SHOWN)
    assert found[0] == found[1]
