"""What training cost, over the life of the version it made: by property, over time, in errors."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline import bindings, config, queries
from finops_pipeline.errors import CheckFailed

from .small import MONEY, V1, Small
from .test_cases import engine, fill
from .test_conservation import MONTH, MONTHS, road
from .test_warehouse import rewrite

FIRST = date(2026, 1, 1)
DAY = st.integers(0, 500).map(lambda n: FIRST + timedelta(n))
COST = st.decimals(Decimal(-(10**9)), Decimal(10**9), places=12, allow_nan=False)
MONTH_NAME = DAY.map(lambda day: day.strftime("%Y-%m"))
RUN = st.fixed_dictionaries(
    {
        "x_RunId": st.sampled_from(["a", "b"]),
        "BillingCurrency": st.sampled_from(["USD", "EUR"]),
        "x_RegisteredModel": st.sampled_from(["M", "m", "(unassigned)"]),
        "x_ModelVersion": st.sampled_from(["1", "2", "(unassigned)"]),
        "x_LastDay": DAY,
        "BilledCost": COST,
        "EffectiveCost": COST,
    }
)
LIFE = st.fixed_dictionaries(
    {
        "x_CreatedAt": st.none() | DAY,
        "x_RetiredAt": st.none() | DAY,
        "x_LifeDays": st.none() | st.integers(1, 400),
        "x_ExpectedRequests": st.none() | st.integers(1, 10**18),
        "x_RunId": st.sampled_from([None, "a", "b"]),
    }
)
USE = st.tuples(MONTH_NAME, st.sampled_from(["1", "2"]), st.integers(0, 10**15))


def scheduled(
    runs: list[dict[str, Any]], lives: list[dict[str, Any]], use: list[tuple[str, str, int]]
) -> Any:
    """The schedule of some runs; one row a run, currency and period, as its contract has it."""
    rows = {
        (r["x_RunId"], r.get("BillingCurrency", "USD"), f"{r['x_LastDay']:%Y-%m}"): r for r in runs
    }
    connection = engine(
        {
            "training_run": [
                {"BillingPeriod": key[2], "x_RunKind": "training", **r} for key, r in rows.items()
            ],
            "model_life": [
                {"x_RegisteredModel": "m", "x_ModelVersion": str(n), **life}
                for n, life in enumerate(lives, 1)
            ],
            "model_use": [
                {"BillingPeriod": p, "x_RegisteredModel": "m", "x_ModelVersion": v, "x_Calls": n}
                for p, v, n in use
            ],
        },
        {},
    )
    fill(connection, "showback/training_schedule", bindings.parameters(config.Config()))
    return connection


@settings(MONTHS, max_examples=40)
@given(
    runs=st.lists(RUN, max_size=5),
    lives=st.lists(LIFE, max_size=2),
    use=st.lists(USE, max_size=6),
)
def test_a_schedule_sums_to_what_the_run_cost(
    runs: list[dict[str, Any]], lives: list[dict[str, Any]], use: list[tuple[str, str, int]]
) -> None:
    connection = scheduled(runs, lives, use)

    check = queries.query("checks/training_schedule__sums_to_cost")
    assert [] == connection.execute(check.text).fetchall()


@settings(MONTHS, max_examples=40)
@given(
    cost=COST,
    life=st.integers(1, 400),
    created=DAY,
    retired=st.none() | DAY,
    last=DAY,
)
def test_a_straight_line_is_straight(
    cost: Decimal, life: int, created: date, retired: date | None, last: date
) -> None:
    """Each period bears its days out of the life, to less than a unit of the twelfth decimal."""
    run = {
        "x_RunId": "a",
        "x_RegisteredModel": "m",
        "x_ModelVersion": "1",
        "x_LastDay": last,
        "EffectiveCost": cost,
    }
    said = {"x_CreatedAt": created, "x_RetiredAt": retired, "x_LifeDays": life}
    found = (
        scheduled([run], [said], [])
        .execute("""
        select BillingPeriod, x_ScheduleKind, EffectiveCost from training_schedule
    """)
        .fetchall()
    )

    begin, end = max(created, last), created + timedelta(life)
    stop = end if retired is None else max(begin, min(end, retired))
    days: dict[str, int] = {}
    for n in range(max((stop - begin).days, 0)):
        period = f"{begin + timedelta(n):%Y-%m}"
        days[period] = days.get(period, 0) + 1
    borne = {p: amount for p, kind, amount in found if kind == "amortised"}
    assert set(borne) <= set(days)
    for period, count in days.items():
        right = cost * count / (end - begin).days
        assert abs(borne.get(period, Decimal(0)) - right) < Decimal("1e-12"), period
    kinds = {kind for _, kind, _ in found} - {"amortised"}
    expected = {"expensed"} if begin >= end else {"written_off"} if stop < end else set()
    assert kinds <= expected
    if cost:
        assert kinds == expected


@settings(MONTHS, max_examples=40)
@given(
    cost=st.decimals(Decimal(0), Decimal(10**9), places=12),
    expected=st.integers(1, 10**6),
    calls=st.lists(st.integers(0, 10**6), max_size=5),
)
def test_no_more_is_borne_than_is_left(cost: Decimal, expected: int, calls: list[int]) -> None:
    run = {
        "x_RunId": "a",
        "x_RegisteredModel": "m",
        "x_ModelVersion": "1",
        "x_LastDay": FIRST,
        "EffectiveCost": cost,
    }
    said = {"x_CreatedAt": FIRST, "x_ExpectedRequests": expected}
    use = [(f"2026-{n:02}", "1", count) for n, count in enumerate(calls, 1)]
    found = (
        scheduled([run], [said], use)
        .execute("""
        select BillingPeriod, x_ScheduleKind, EffectiveCost from training_schedule
    """)
        .fetchall()
    )

    borne = {p: amount for p, kind, amount in found if kind == "amortised"}
    left = expected
    for period, _, count in use:
        counted = min(count, left)
        left -= counted
        right = cost * counted / expected
        assert abs(borne.get(period, Decimal(0)) - right) < Decimal("1e-12"), period
    rest = [amount for _, kind, amount in found if kind == "remaining"]
    assert (cost > 0 and left > 0 and sum(rest) > 0) or rest == []


@settings(MONTHS, max_examples=12)
@given(runs=st.lists(st.sampled_from(["r", "s"]), min_size=8, max_size=8), **MONTH)
def test_runs_of_a_workload_cost_what_the_workload_was_allocated(
    runs: list[str], **month: Any
) -> None:
    labels = {"web": '{{"training_run":"{}"}}', "llm": '{{"feature":"chat"}}'}
    month["pods"] = [
        {**pod, "x_Labels": labels[pod["x_Workload"]].format(run)}
        for pod, run in zip(month["pods"], runs, strict=False)
    ]
    connection = road(**month, rows_per_part=1)
    for cost in ("BilledCost", "EffectiveCost"):
        summed = f"""
            select BillingCurrency, x_Feature, x_Tenant, x_Environment, sum({cost}) from {{}}
            group by all having sum({cost}) <> 0 order by all"""
        web = (
            "allocated_cost where x_AllocationMethod in ('pod', 'volume', 'network') "
            "and x_Endpoint = 'ns/web'"
        )
        of_pods = connection.execute(summed.format(web)).fetchall()
        assert of_pods == connection.execute(summed.format("training_run")).fetchall()


# ------------------------------------------------------------------------------- the whole road

RUN_TAGS = '{"feature":"risk","training-run":"r","model":"fraud","model-version":"1"}'
TOLD = """
[[model_version]]
model = "fraud"
version = "1"
created_on = 2026-09-01
life_days = 100
"""


def view(small: Small) -> list[tuple[Any, ...]]:
    return small.ask("""
        select BillingPeriod, x_Feature, x_TrainingCost, x_WriteOffCost, x_TotalCost
        from model_cost order by all
    """)


def test_training_is_a_second_view_and_moves_through_the_months(tmp_path: Path) -> None:
    small = Small.make(tmp_path, to=(*MONEY, "training_schedule", "model_cost"))
    small.configure(TOLD)
    small.deliver((("01", "risk", "100.00"),), period="2026-09", Tags=RUN_TAGS)
    small.deliver(V1)
    small.run("2026-09")
    small.run()

    thirty, thirty_one = Decimal(30), Decimal(31)
    assert [
        ("2026-09", "risk", thirty, 0, thirty),
        ("2026-10", "risk", thirty_one, 0, thirty_one),
    ] == view(small)
    assert small.total() == 200  # and not a cent more
    assert [("straight_line", 100)] == small.ask(
        "select x_ScheduleMethod, sum(EffectiveCost) from training_schedule group by all"
    )

    # It is retired: what October bears is less, and the rest is written off there.
    small.toml.write_text(small.toml.read_text() + "retired_on = 2026-10-11\n")
    small.run()

    assert [
        ("2026-09", "risk", thirty, 0, thirty),
        ("2026-10", "risk", 10, 60, 70),
    ] == view(small)
    assert small.total() == 200


def test_a_schedule_that_is_not_the_cost_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Small.make(tmp_path, to=(*MONEY, "training_schedule", "model_cost"))
    small.configure(TOLD)
    small.deliver((("01", "risk", "100.00"),), Tags=RUN_TAGS)
    small.run()
    before = small.everything()
    rewrite(
        monkeypatch,
        "showback/training_schedule",
        lambda text: f"select * replace (EffectiveCost + 1 as EffectiveCost) from ({text})",
    )

    with pytest.raises(CheckFailed, match="training_schedule__sums_to_cost found offenders"):
        small.run()

    assert before == small.everything()


def test_the_checks_of_the_second_view_can_fail() -> None:
    row = {"x_Model": "m", "x_RegisteredModel": "m", "x_ModelVersion": "1"}
    connection = engine(
        {
            "training_run": [{"x_RunId": "r", "BilledCost": "1", "EffectiveCost": "1"}],
            "training_schedule": [{"x_RunId": "r", "BilledCost": "1"}],
            "allocated_cost": [{"x_AllocationMethod": "inference", "EffectiveCost": "1"}],
            "model_serving": [{**row, "x_InferenceCost": "0.999999999999"}],
            "model_cost": [{**row, "x_InferenceCost": "1", "x_ServingCost": "1"}],
        },
        {},
    )
    for stem in (
        "training_schedule__sums_to_cost",
        "model_serving__conserves_cost",
        "model_cost__adds_up",
    ):
        found = connection.execute(queries.query(f"checks/{stem}").text).fetchall()
        assert 1 == len(found), stem
