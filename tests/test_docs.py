"""What the documentation says is true: its queries run, its methods exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from finops_pipeline.contracts.fields import ALLOCATION_METHODS

from . import synthetic

DOCS = Path(__file__).parents[1] / "docs"


def worked_queries() -> list[tuple[str, str]]:
    """Heading and SQL of each query in docs/queries.md."""
    text = (DOCS / "queries.md").read_text(encoding="utf-8")
    return re.findall(r"^## (.+?)$.*?```sql\n(.*?)```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database an analyst opens, read-only and without any macro of ours."""
    database = synthetic.company(tmp_path_factory.mktemp("docs") / "showback.duckdb")
    with duckdb.connect(str(database), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize(("question", "sql"), worked_queries(), ids=lambda v: v.split("\n")[0])
def test_a_worked_query_answers(
    published: duckdb.DuckDBPyConnection, question: str, sql: str
) -> None:
    answer = published.execute(sql)
    columns = [column[0] for column in answer.description or []]
    rows = answer.fetchall()

    assert rows, question
    assert len(columns) == len(set(columns))
    empty = [name for i, name in enumerate(columns) if all(row[i] is None for row in rows)]
    assert [] == empty, question


@pytest.mark.parametrize(("question", "sql"), worked_queries(), ids=lambda v: v.split("\n")[0])
def test_a_worked_query_gives_money_as_decimal(
    published: duckdb.DuckDBPyConnection, question: str, sql: str
) -> None:
    found = published.execute(f"describe {sql}").fetchall()

    money = {name: kind for name, kind, *_ in found if re.search("Cost|Saving|Change$", name)}
    exact = ("DECIMAL(38,12)", "BIGINT")
    assert {} == {n: k for n, k in money.items() if k not in exact}, question


def test_there_are_a_dozen_with_a_sentence_each() -> None:
    text = (DOCS / "queries.md").read_text(encoding="utf-8")

    assert 12 == len(worked_queries())
    assert 12 == len(re.findall(r"```\n\n[^#\n]", text))
    assert text.count("```sql") == len(worked_queries())


@pytest.mark.parametrize("method", ALLOCATION_METHODS)
def test_every_allocation_method_is_explained(method: str) -> None:
    assert f"\n### {method}\n" in (DOCS / "allocation.md").read_text(encoding="utf-8")
