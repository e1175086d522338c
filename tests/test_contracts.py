"""Every SQL file against the contracts, without data: it binds, and yields exactly its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot

from finops_pipeline import bindings, config, contracts, pipeline, queries
from finops_pipeline.contracts import STAGES
from finops_pipeline.contracts.fields import FIELDS, TYPES
from finops_pipeline.errors import ContractBroken
from finops_pipeline.warehouse import Warehouse, identifier

from .test_cases import engine

STEPS = pipeline.steps()
BY_READERS = {
    t for step in STEPS if step.name in ("bill", "usage", "declared") for t in step.tables
}
FILLED = [
    f"{stage}/{stem}"
    for stage in STAGES
    for stem in queries.stems(stage)
    if stem in contracts.tables() and stem not in BY_READERS
]
SAMPLE_VALUE = {
    "period": "2026-10",
    "endpoint_idle": "line",
    "unused_commitment": "buyer",
    "training_driver": "calls",
    "from_day": "2026-10-01",
    "until_day": "2026-10-02",
}


@pytest.fixture(scope="module")
def empty() -> Any:
    return engine({}, {})


@pytest.mark.parametrize("path", FILLED)
def test_a_query_yields_exactly_its_contract(empty: Any, path: str) -> None:
    query = queries.query(path)
    bound = {p: SAMPLE_VALUE.get(p, 1) for p in query.parameters}
    described = empty.execute(f"describe {query.text}", bound).fetchall()

    assert contracts.table(query.name).duckdb == {r[0]: r[1] for r in described}


def test_every_table_is_filled_by_one_step() -> None:
    filled = [t for step in STEPS for t in step.tables]

    assert sorted(contracts.tables()) == sorted(filled)


def test_every_file_of_a_stage_has_a_contract_or_is_a_dialect() -> None:
    dialects = {
        s for s in queries.stems("bill") if "-- conserves:" in queries.query(f"bill/{s}").text
    }
    unknown = {
        stem
        for stage in STAGES
        for stem in queries.stems(stage)
        if stem not in contracts.tables() and stem not in dialects
    }

    assert set() == unknown


def test_a_stage_reads_only_its_own_and_earlier_stages() -> None:
    for step in STEPS:
        for name in step.reads:
            stage = contracts.table(name).stage
            assert STAGES.index(stage) <= STAGES.index(step.stage), (step.name, name)


def test_steps_come_after_what_they_read() -> None:
    done: set[str] = set()
    for step in STEPS:
        assert step.reads - set(step.tables) <= done, step.name
        done |= set(step.tables)


def test_parameters_are_those_of_the_configuration() -> None:
    from finops_pipeline.config import Config

    config = Config()
    for step in STEPS:
        for name in step.tables:
            for folder in STAGES:
                if f"{folder}/{name}" in FILLED:
                    known = {
                        "period",
                        "from_day",
                        "until_day",
                        *bindings.parameters(config),
                        *bindings.recommender_parameters(config, name),
                    }
                    assert queries.query(f"{folder}/{name}").parameters <= known


def test_every_field_is_used_and_described() -> None:
    used = {c for t in contracts.tables().values() for c in t.names}
    for name in used:
        assert FIELDS[name].description.endswith((".", "`")), name
    lines = f"{contracts.usage.INFERENCE_CALL} {contracts.usage.INVOCATION}"  # type: ignore[attr-defined]

    assert set() == set(FIELDS) - used - {c.rstrip("?") for c in lines.split()}


def test_money_has_one_type() -> None:
    for name, field in FIELDS.items():
        if "Cost" in name and "Permille" not in name:
            assert field.type == "DECIMAL(38,12)", name


def test_every_check_binds_and_names_a_table() -> None:
    connection = engine({}, {})
    for stem in queries.stems("checks"):
        table, _, rule = stem.partition("__")
        assert rule, stem
        contracts.table(table)
        query = queries.query(f"checks/{stem}")
        bound = {"period": "2026-10"} if "period" in query.parameters else {}
        assert [] == connection.execute(query.text, bound).fetchall(), stem
        assert query.doc, stem


def test_every_query_says_what_and_one_row_per() -> None:
    for path in FILLED:
        doc = " ".join(queries.query(path).doc.split())
        assert "ne row per" in doc, path


def test_a_contract_refuses_another_type_and_a_null(tmp_path: Path) -> None:
    table = contracts.table("coverage")
    columns = {n: pl.Series(n, [], dtype=TYPES[t]) for n, t in table.duckdb.items()}
    good = pl.DataFrame(columns)
    good.write_parquet(tmp_path / "good.parquet")
    table.validate([tmp_path / "good.parquet"])

    bad = good.with_columns(pl.col("EffectiveCost").cast(pl.Float64))
    bad.write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ContractBroken, match="EffectiveCost"):
        table.validate([tmp_path / "bad.parquet"])

    connection = duckdb.connect()
    types = ", ".join(
        f"cast({'null' if n == 'x_Dimension' else '1'} as {t}) as {identifier(n)}"
        for n, t in table.duckdb.items()
    )
    connection.execute(f"copy (select {types}) to '{tmp_path / 'null.parquet'}' (format parquet)")
    with pytest.raises(ContractBroken, match="x_Dimension"):
        table.validate([tmp_path / "null.parquet"])


def test_arrow_and_duckdb_agree() -> None:
    for table in contracts.tables().values():
        assert list(table.names) == table.arrow().names


@pytest.mark.parametrize(
    "question",
    [
        "select u.x, cast(sum(amount) as bigint) {} group by u.x order by u.x",
        "select u.x, sum(amount) {} group by u.x having sum(amount) > 5",
        "select u.x, case when sum(amount) > 5 then sum(amount) end {} group by u.x",
    ],
)
@pytest.mark.parametrize(
    "joined", ["t on t.hour = u.hour where u.hour >= 4", "t on t.x = u.x and t.hour = 9"]
)
def test_a_sum_over_an_empty_join_is_what_it_is(question: str, joined: str) -> None:
    """docs/decisions/0029: an optimizer of DuckDB 2.0.0 believes it is zero."""
    with duckdb.connect() as connection:
        connection.execute(queries.macros())
        connection.execute("create table u (hour int, x varchar, amount bigint)")
        connection.execute("insert into u values (5, 'a', 2000000), (5, 'b', 0)")
        connection.execute("create table t (hour int, x varchar)")

        found = connection.execute(question.format(f"from u left join {joined}")).fetchall()

    assert ("a", 2000000) in found


@pytest.mark.parametrize(
    "path",
    [
        *(f"bill/{s}" for s in queries.stems("bill")),
        *(f"usage/calls/{s}" for s in queries.stems("usage/calls")),
        *(f"usage/spans/{s}" for s in queries.stems("usage/spans")),
        "usage/inference_usage",
        "usage/unread_usage",
    ],
)
def test_what_is_read_with_every_optimizer_has_no_outer_join(path: str) -> None:
    tree = sqlglot.parse_one(queries.query(path).text, dialect="duckdb")
    assert [] == [join.sql() for join in tree.find_all(sqlglot.exp.Join) if join.side]


def test_the_engine_of_reading_has_every_optimizer(tmp_path: Path) -> None:
    warehouse = Warehouse(config.parse({}, tmp_path))
    with warehouse.writing():
        for sums_joins, left_out in ((True, "statistics_propagation"), (False, "")):
            with warehouse.engine(sums_joins=sums_joins) as session:
                found = session.execute("select current_setting('disabled_optimizers')").fetchall()

            assert [(left_out,)] == found
