"""Revenue and margins, from a file to the published tables."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline import pipeline, queries
from finops_pipeline.errors import CheckFailed, ConfigError, UnreadableFile

from .small import MONEY, PERIOD, V1, Small
from .test_cases import engine
from .test_warehouse import rewrite

REVENUE = '[economics]\nrevenue = "revenue/{period}.csv"'


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small.make(tmp_path, to=(*MONEY, "margin", "unit_economics"))
    made.configure(REVENUE)
    made.deliver(V1, Tags='{"tenant":"acme","feature":"chat"}')
    return made


def revenue(small: Small, *lines: str, header: str = "tenant,currency,amount") -> Path:
    path = small.root / "revenue" / f"{PERIOD}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_revenue_less_cost_is_the_margin(small: Small) -> None:
    revenue(small, "Acme,usd,150.000000000001", "idler,USD,3")
    small.run()

    asked = "select x_Tenant, x_Revenue, EffectiveCost, x_Margin, x_MarginPermille from margin"
    assert [
        ("acme", Decimal("150.000000000001"), 100, Decimal("50.000000000001"), 333),
        ("idler", 3, 0, 3, 1000),
    ] == small.ask(f"{asked} order by all")
    assert [(f"{PERIOD}.csv", 2)] == small.ask(
        "select x_SourceFile, x_SourceRow from revenue where x_Tenant = 'idler'"
    )


def test_without_revenue_there_are_costs_and_no_permille(small: Small) -> None:
    small.run()

    asked = "select x_Tenant, x_Revenue, EffectiveCost, x_MarginPermille, x_Reason from margin"
    assert [("acme", None, 100, None, "no revenue of the period is known")] == small.ask(asked)


def test_revenue_that_changed_is_read_again_and_nothing_else_is(small: Small) -> None:
    revenue(small, "acme,USD,150")
    small.run()
    assert {"margin"} >= {b.table for b in small.run() if not b.skipped}
    revenue(small, "acme,USD,90")

    built = {b.table for b in small.run() if not b.skipped}

    assert {"revenue", "margin"} == built
    assert [(-10, -112)] == small.ask("select x_Margin, x_MarginPermille from margin")


@pytest.mark.parametrize(
    ("header", "line", "said"),
    [
        ("tenant,amount", "acme,5", r"the column 'currency' is missing; a revenue file has"),
        ("tenant,currency,amount", "acme,USD,five", r"line 2 is no revenue: 'acme', 'USD', 'five'"),
        ("tenant,currency,amount", "acme,USD,", "line 2 is no revenue"),
        ("tenant,currency,amount", "acme,USD,NaN", "line 2 is no revenue"),
        ("tenant,currency,amount", "acme,USD,0.0000000000001", "line 2 is no revenue"),
        ("tenant,currency,amount", "acme,USD,1,200", "line 2 is no revenue"),
        ("tenant,currency,amount", "acme,dollar,5", "line 2 is no revenue"),
        ("tenant,currency,amount", "acme", "line 2 is no revenue"),
        ("tenant,currency,amount", '" ",USD,5', "line 2 is no revenue"),
        ("tenant,currency,amount", '"a\nb",USD,5\nacme,USD,x', "line 4 is no revenue"),
    ],
)
def test_a_line_that_is_no_revenue_stops_the_run(
    small: Small, header: str, line: str, said: str
) -> None:
    path = revenue(small, line, header=header)

    with pytest.raises(UnreadableFile, match=said) as raised:
        small.run()

    assert str(path) in str(raised.value)


def test_revenue_in_another_encoding_is_refused(small: Small) -> None:
    revenue(small).write_bytes("tenant,currency,amount\nmüller,EUR,5\n".encode("latin-1"))

    with pytest.raises(UnreadableFile, match="not UTF-8"):
        small.run()


def test_one_file_of_revenue_for_all_months_is_refused(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    small.configure('[economics]\nrevenue = "revenue.csv"')

    with pytest.raises(ConfigError, match=r"'revenue\.csv' must hold \{period\}"):
        small.run()


def test_check_tells_whether_revenue_is_there(small: Small) -> None:
    said = f"[economics] revenue: {{}} file(s) of {PERIOD}"
    assert (said.format(0), False) in pipeline.survey(small.config, PERIOD)
    revenue(small, "acme,USD,1")
    assert (said.format(1), True) in pipeline.survey(small.config, PERIOD)


def test_a_margin_of_some_of_the_cost_is_not_published(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run()
    before = small.everything()
    rewrite(monkeypatch, "showback/margin", lambda text: f"from ({text}) where x_Tenant <> 'acme'")

    with pytest.raises(CheckFailed, match="margin__adds_up found offenders"):
        small.run()

    assert before == small.everything()


def test_the_checks_of_the_economics_can_fail() -> None:
    row = {"x_Tenant": "a", "x_Feature": "f"}
    connection = engine(
        {
            "showback": [{**row, "EffectiveCost": "2"}],
            "tenant_cost": [{**row, "EffectiveCost": "1", "x_DirectCost": "1"}],
            "margin": [{**row, "EffectiveCost": "1", "x_DirectCost": "1"}],
            "model_cost": [{**row, "x_Model": "m", "x_TotalCost": "1"}],
            "unit_economics": [{**row, "x_Model": "m"}],
        },
        {},
    )
    for stem in (
        "tenant_cost__conserves_showback",
        "margin__adds_up",
        "unit_economics__adds_up",
    ):
        found = connection.execute(queries.query(f"checks/{stem}").text).fetchall()
        assert 1 == len(found), stem
