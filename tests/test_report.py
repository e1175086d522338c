"""The report: one page, self-contained, exact, and safe whatever the tags say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from finops_pipeline import config, money, queries, report
from finops_pipeline.contracts import tables
from finops_pipeline.errors import UnreadableFile
from finops_pipeline.report.page import month, objects, percents
from finops_pipeline.summary import summary

from . import synthetic

EVIL = "<script>alert(1)</script>\"'\x01&amp;</title>"


class Page(HTMLParser):
    """What a browser would see: elements, their attributes, and text by enclosing element."""

    void = frozenset({"meta", "br", "link", "img", "input", "hr"})
    apart = frozenset({"th", "td", "dt", "dd", "li", "p", "div", "title", "h1", "h2", "h3"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.apart:
            self.text.append(" ")
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self) -> str:
        """The text, blanks folded."""
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthetic.company(tmp_path_factory.mktemp("company") / "showback.duckdb")


@pytest.fixture(scope="module")
def written(database: Path) -> Path:
    return report.write(database, database.parent / "report")


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written.read_text(encoding="utf-8"))


def two_rows(path: Path) -> None:
    """Ten dollars of which one is idle."""
    con = synthetic.empty(path)
    day = synthetic.date(2026, 10, 1)
    owner = ("search", "acme", "production")
    compute = (day, "Compute", "EC2")
    synthetic.bill(con, "2026-10", [
        (*compute, "pod", owner, "(none)", "9"),
        (*compute, "idle", synthetic.IDLE, "(none)", "1"),
    ])  # fmt: skip
    synthetic.summarise(con)
    con.close()


def test_writes_index_html_and_nothing_else(written: Path) -> None:
    assert "index.html" == written.name
    assert [written] == list(written.parent.iterdir())


def test_same_database_same_bytes(database: Path, written: Path, tmp_path: Path) -> None:
    assert written.read_bytes() == report.write(database, tmp_path).read_bytes()


def test_fetches_nothing(page: Page) -> None:
    fetching = {"src", "srcset", "href", "xlink:href", "poster", "data", "action"}
    targets = [v or "" for _, attrs in page.elements for k, v in attrs.items() if k in fetching]

    assert [] == [t for t in targets if not t.startswith("#")]
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.elements}
    policy = [a["content"] for t, a in page.elements if "http-equiv" in a]
    assert ["default-src 'none'; style-src 'unsafe-inline'"] == policy


def test_is_well_formed(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    links = {attrs["href"] for tag, attrs in page.elements if tag == "a"}

    assert [] == page.unbalanced
    assert [] == page.open
    assert len(ids) == len(set(ids))
    assert links <= {f"#{i}" for i in ids}


def test_says_what_the_period_cost(page: Page, database: Path) -> None:
    newest, before = report.ask(database)

    assert ("2026-10", "2026-09") == (newest.period, before.period)
    usd = newest.totals[0]
    assert f"EffectiveCost {money.display(usd['EffectiveCost'], 'USD')}" in page.words
    assert "October 2026" in page.words
    assert "September 2026" in page.words


def test_reconciles_to_the_twelfth_decimal(database: Path, page: Page) -> None:
    for total in report.ask(database)[0].totals:
        parts = [total[f"x_Billed{p}"] for p in ("Allocated", "Idle", "Unallocated", "Quarantined")]

        assert total["BilledCost"] == money.total(parts)
        assert 0 == total["x_InvoicesOff"]
        exact = money.exact(total["BilledCost"], total["BillingCurrency"])
        assert f"{exact} {total['BillingCurrency']} billed, difference 0." in page.words
    assert "Does not reconcile" not in page.words


def test_a_difference_that_cancels_out_over_invoices_is_told(tmp_path: Path) -> None:
    con = synthetic.empty(tmp_path / "showback.duckdb")
    part = (synthetic.date(2026, 10, 1), "Compute", "EC2", "tag", ("a", "b", "c"), "(none)", "5")
    synthetic.bill(con, "2026-10", [part], invoice="1")
    synthetic.bill(con, "2026-10", [part], invoice="2")
    for invoice, error in (("1", "0.000000000001"), ("2", "-0.000000000001")):
        con.execute(
            "update showback set BilledCost = BilledCost + ? where InvoiceId = ?",
            [Decimal(error), invoice],
        )
    con.close()

    words = Page(report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")).words

    assert "Does not reconcile. 2 of 2 invoices in USD" in words
    assert "0.000000000001" in words


def test_the_smallest_bill(tmp_path: Path) -> None:
    two_rows(tmp_path / "showback.duckdb")

    words = Page(report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")).words

    assert "search 9.00 90.0 %" in words
    assert "Idle 1.00 10.0 %" in words
    assert "Feature 90.0 % 1.00 0.00" in words
    assert "1 Oct, search: 9.00 USD" in words
    assert "No change is proposed." in words


def test_what_nodes_keep_for_their_system_never_hides_among_the_others(tmp_path: Path) -> None:
    """Idle and it are apart in the spend, and together in the coverage."""
    con = synthetic.empty(tmp_path / "showback.duckdb")
    compute = (synthetic.date(2026, 10, 1), "Compute", "EC2")
    synthetic.bill(con, "2026-10", [
        *((*compute, "pod", (f"f{n}", "acme", "production"), "(none)", "5") for n in range(12)),
        (*compute, "idle", synthetic.IDLE, "(none)", "1"),
        (*compute, "overhead", ("(overhead)",) * 3, "(none)", "0.5"),
    ])  # fmt: skip
    synthetic.summarise(con)
    con.close()

    words = Page(report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")).words

    assert "Idle 1.00 1.6 %" in words
    assert "System overhead 0.50 0.8 %" in words
    assert "Feature 97.5 % 1.50 0.00" in words


def unread(con: duckdb.DuckDBPyConnection) -> None:
    """Three lines of two days refused, beside calls on one of them; 32 of 35 rows billed."""
    line = {"x_Source": "otel", "x_SourceFile": "a.jsonl", "x_RawRow": "", "x_Reason": "no model"}
    synthetic.put(con, "unread_usage", [
        line | {"x_Day": "2026-10-01", "x_SourceRow": 2},
        line | {"x_Day": "2026-10-02", "x_SourceFile": "b.jsonl", "x_SourceRow": 1},
        # two spans of one line
        line | {"x_Day": "2026-10-02", "x_SourceFile": "b.jsonl", "x_SourceRow": 4},
        line | {"x_Day": "2026-10-02", "x_SourceFile": "b.jsonl", "x_SourceRow": 4},
        line | {"x_Day": "2026-11-01", "x_SourceRow": 1, "x_Source": "of another month"},
    ])  # fmt: skip
    call = {"x_Source": "otel", "x_Calls": 1200}
    synthetic.put(
        con, "inference_usage", [call | {"x_Day": "2026-10-01"}, call | {"x_Day": "2026-10-03"}]
    )
    row = {"BillingPeriod": "2026-10", "x_Source": "aws", "x_SourceFile": "b.csv", "x_RawRow": ""}
    synthetic.put(con, "quarantine", [
        row | {"x_SourceRow": 9, "BilledCost": 4, "BillingCurrency": "USD", "x_Reason": "no day"},
        row | {"x_SourceRow": 7, "BilledCost": 1, "BillingCurrency": "USD", "x_Reason": "no cost"},
        row | {"x_SourceRow": 8, "BilledCost": None, "x_Reason": "no currency"},
    ])  # fmt: skip
    file = {"BillingPeriod": "2026-10", "x_Source": "aws", "x_Bytes": 1}
    synthetic.put(con, "delivery", [
        file | {"x_SourceFile": name, "x_Rows": n} for name, n in (("a.csv", 30), ("b.csv", 5))
    ])  # fmt: skip


def test_lines_that_could_not_be_read_are_told(tmp_path: Path) -> None:
    """On the page and at the end of a run; a source with a day of which nothing was read, first."""
    given = config.parse({}, tmp_path)
    two_rows(given.database)
    before = summary(given, "2026-10")
    assert "read" not in before
    assert (
        "could not be read"
        not in Page(report.write(given.database, tmp_path / "a").read_text()).words
    )

    with duckdb.connect(str(given.database)) as con:
        unread(con)
    said = summary(given, "2026-10")
    words = Page(report.write(given.database, tmp_path / "b").read_text()).words

    assert said.startswith(
        "LOGS OF WHICH NOTHING COULD BE READ\n\n"
        "  otel: 3 lines could not be read, and nothing else was there on 2026-10-02.\n"
        "  The first is b.jsonl, row 1: no model.\n"
    )
    table = [re.split(r"  +", n) for n in said[said.index("What could not be read") :].splitlines()]
    assert [
        ["aws", "2", "32", "5.00 USD", "b.csv, row 7: no cost"],
        ["aws", "1", "32", "0.00", "b.csv, row 8: no currency"],
        ["otel", "3", "1,200", "b.jsonl, row 1: no model"],
    ] == table[4:7]
    assert "Nothing could be read of otel on 1 day, the first of them 2026-10-02" in words
    assert "3 lines of otel: no model First: b.jsonl, row 1." in words
    assert "another month" not in words + said


def test_an_empty_database_is_a_page_too(tmp_path: Path) -> None:
    synthetic.empty(tmp_path / "showback.duckdb").close()

    words = Page(report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")).words

    assert "The database holds no billing period yet." in words


def test_days_outside_the_month_are_in_the_sums_and_said(tmp_path: Path) -> None:
    con = synthetic.empty(tmp_path / "showback.duckdb")
    late = (synthetic.date(2026, 7, 31), "Compute", "EC2", "tag", ("a", "b", "c"), "(none)", "5")
    synthetic.bill(con, "2026-10", [late])
    con.close()

    words = Page(report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")).words

    assert "5.00 USD of the period is for days outside its month" in words


def test_tags_cannot_inject_markup(tmp_path: Path) -> None:
    synthetic.company(tmp_path / "showback.duckdb", evil=EVIL)

    text = report.write(tmp_path / "showback.duckdb", tmp_path).read_text("utf-8")
    page = Page(text)

    assert "<script" not in text
    assert "\x01" not in text
    assert [] == page.unbalanced
    assert not any(k.startswith("on") for _, attrs in page.elements for k in attrs)
    shown = EVIL.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    # As a name, in a chart's label, as a witness and in a proposal.
    assert f"{shown} 5," in page.words
    assert f", {shown}: " in page.words
    assert f"says {shown}, in prod/llm" in page.words
    assert f"web/{shown}-api, api" in page.words


def test_shown_columns_add_up(database: Path) -> None:
    from finops_pipeline.report.page import _currency_blocks

    for block in _currency_blocks(report.ask(database)[0]):
        for found in block["by"].values():
            figures = [x.shown.replace("\N{MINUS SIGN}", "-") for x in found.lines]
            shown = [Decimal(f.replace(",", "")) for f in figures]
            assert Decimal(found.shown_total.replace(",", "")) == sum(shown)
            assert found.shown_total == money.figure(
                block["total"]["EffectiveCost"], block["currency"]
            )


def test_what_is_left_out_is_counted(page: Page) -> None:
    assert "4 more in the table finding." in page.words
    assert "2 others" in page.words


def test_no_recommendation_is_an_answer_with_a_reason(page: Page) -> None:
    assert "Only 21 hours measured; 72 are needed. container_requests 6" in page.words


def test_percents_add_up() -> None:
    assert ["33.4 %", "33.3 %", "33.3 %"] == percents([Decimal(1)] * 3)
    assert ["n/a", "n/a"] == percents([Decimal(1), Decimal(-1)])


def test_month_is_told_in_words() -> None:
    assert "October 2026" == month("2026-10")
    assert "2026-13" == month("2026-13")


def test_json_is_read_without_trust() -> None:
    assert [[("a", "1"), ("b", "0.10")]] == objects('{"a": 1, "b": 0.10, "c": null}')
    assert [[("", "not json {")]] == objects("not json {")
    assert [] == objects("[]")
    assert [] == objects("")


def test_a_missing_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such database; build it with `finops run`"):
        report.write(tmp_path / "none.duckdb", tmp_path)


def test_something_else_than_a_database_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "showback.duckdb").write_text("not a database" * 1000)

    with pytest.raises(UnreadableFile, match="cannot be reported on"):
        report.write(tmp_path / "showback.duckdb", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stem", queries.stems("report"))
def test_queries_read_published_tables_only(stem: str) -> None:
    asked = queries.query(f"report/{stem}")

    assert asked.reads <= set(tables()) | {"period_state"}
    assert asked.parameters <= {"period", "top"}
    assert re.search(r"One row (per|for)", asked.doc, re.IGNORECASE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_lays_it_out(written: Path, tmp_path: Path, scheme: str) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    picture = tmp_path / "page.png"
    # S603: the program is Chromium, its arguments are ours.
    subprocess.run(
        [
            chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}",
            f"--blink-settings=preferredColorScheme={('dark', 'light').index(scheme)}",
            "--window-size=1280,2000", written.as_uri(),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip

    assert picture.stat().st_size > 50_000
