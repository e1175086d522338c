"""What the documentation says is true: its queries run, its methods exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from finops_pipeline import cli, config, template
from finops_pipeline.contracts.fields import ALLOCATION_METHODS

from . import generated, synthetic

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


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


@pytest.mark.parametrize("name", sorted(generated.DOCUMENTS))
def test_what_is_written_from_the_code_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")

    assert generated.DOCUMENTS[name]() == written, "run `make docs`"


def test_links_of_the_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_names_only_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    commands = set(_subcommands())

    assert set(re.findall(r"^make (\w+)", readme, re.MULTILINE)) <= targets
    named = set(re.findall(r"(?:^|/|`)finops (\w+)", readme, re.MULTILINE))
    assert named <= commands
    assert named >= {"init", "check", "run", "sql", "explain"}


def _subcommands() -> list[str]:
    parser = cli._parser()
    (choices,) = (a.choices for a in parser._actions if isinstance(a.choices, dict))
    return sorted(choices)


def test_the_template_is_toml_and_holds_every_key(tmp_path: Path) -> None:
    text = template.template()
    tomllib.loads(text)
    for key, _, _ in template.described():
        assert re.search(rf"^# {key.rsplit('.', 1)[-1]} = ", text, re.MULTILINE), key

    # Uncommented, every line is still right: the examples are.
    lines = [line[2:] if re.match(r"# (\w+ = |\[\[)", line) else line for line in text.splitlines()]
    (tmp_path / "finops.toml").write_text("\n".join(lines), encoding="utf-8")
    loaded = config.load(tmp_path / "finops.toml")
    assert "aws" == loaded.billing[0].name
