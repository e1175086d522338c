"""What the documentation says is true: its queries run, its methods exist."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from finops_pipeline import cli, config, deliveries, dialect, pipeline, template
from finops_pipeline.contracts.fields import ALLOCATION_METHODS
from finops_pipeline.queries import stems
from finops_pipeline.transports import open_transport, split_pattern

from . import generated, synthetic

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")])


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
    count = len(worked_queries())

    assert 12 <= count
    assert count == len(re.findall(r"```\n\n[^#\n]", text))
    assert count == text.count("```sql")


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


def commands_shown() -> list[tuple[str, str]]:
    """Page and command line, of every `finops ...` that a page shows."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            found += re.findall(r"^(?:\S*/)?finops (.+)$", block, re.MULTILINE)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        found += [" ".join(line.split()) for line in re.findall(r"`finops ([^`]+)`", prose)]
        found = [(page.name, one) if isinstance(one, str) else one for one in found]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("page", "line"), commands_shown(), ids=lambda v: v[:60])
def test_a_command_that_is_shown_is_one(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    parser = cli._parser()
    if len(words) == 1:  # the name of a command, in a sentence
        assert words[0] in _subcommands()
        return
    if words[0] == "export" and "--to" not in words:  # what it does, not how
        words += ["2026-10", "--to", "DIR"]
    if words[0] == "showback" and words[-1] == "--as-of":
        words.append("DATE")
    try:
        parser.parse_args(words)
    except SystemExit:
        pytest.fail(f"{page}: finops {line}")


def test_the_commands_that_are_shown_are_found() -> None:
    shown = [line for _, line in commands_shown()]

    assert len(shown) > 20
    assert {
        "init",
        "check",
        "run",
        "sql",
        "explain",
        "showback",
        "diff",
        "export",
        "reconcile",
    } <= {line.split()[0] for line in shown}


# ---------------------------------------------------------------------------------- bills


def configurations() -> list[tuple[str, str, str, list[str]]]:
    """Page, heading, TOML, and the delivered paths that may follow it, of every TOML block."""
    found = []
    for page in PAGES:
        heading = ""
        pattern = r"^#+ ([^\n]+)$|^```toml\n(.*?)^```\n(?:\n```text\n(.*?)^```)?"
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
            if match[1] is not None:
                heading = match[1]
            else:
                found.append((page.name, heading, match[2], (match[3] or "").split()))
    return found


def parsed(toml: str, root: Path) -> config.Config:
    return config.parse(tomllib.loads(toml, parse_float=Decimal), root)


def means(block: config.BillingSection, root: config.Config, period: str) -> list[str]:
    """Where a block looks for the files of a period; its dialect and places are opened."""
    assert dialect.dialect(block.dialect).columns
    patterns = [p for p in (block.location, block.manifest) if p is not None]
    found = []
    for pattern in patterns:
        assert open_transport(pattern, root)
        found.append(deliveries.of_month(block, pattern, period))
    return found


def matches(pattern: str, path: str) -> bool:
    folder, wanted = split_pattern(pattern)
    return path.startswith(folder) and wanted.fullmatch(path[len(folder) :]) is not None


@pytest.mark.parametrize(
    ("page", "heading", "toml", "delivered"),
    [c for c in configurations() if "[[billing]]" not in c[2] or "dialect" in c[2]],
    ids=lambda v: v if isinstance(v, str) and "\n" not in v else "",
)
def test_a_block_to_paste_is_right_and_finds_what_is_delivered(
    page: str, heading: str, toml: str, delivered: list[str], tmp_path: Path
) -> None:
    loaded = parsed(toml, tmp_path)
    patterns = [p for block in loaded.billing for p in means(block, loaded, "2026-10")]
    others = [p for block in loaded.billing for p in means(block, loaded, "2026-11")]

    if delivered:
        for path in delivered:
            assert any(matches(pattern, path) for pattern in patterns), path
            assert not any(matches(pattern, path) for pattern in others), path
        for pattern in patterns:
            assert any(matches(pattern, path) for path in delivered), pattern


@pytest.mark.parametrize(
    ("toml", "delivered"),
    [c[2:] for c in configurations() if c[0] == "bills.md" and c[3]],
    ids=[c[1] for c in configurations() if c[0] == "bills.md" and c[3]],
)
def test_what_is_delivered_is_found_whole_by_its_manifest(
    toml: str, delivered: list[str], tmp_path: Path
) -> None:
    """The block with its place on this machine, and manifests as providers write them."""
    here = re.compile(r"\b(?:s3|az|gs)://[^/]+/")
    data = [path for path in delivered if not path.lower().endswith("manifest.json")]
    for path in delivered:
        listed = [one for one in data if "amortized" not in path or "amortized" in one]
        listed = [one for one in listed if "actual" not in path or "actual" in one]
        written: dict[str, object] = {"dataFiles": listed}
        if path.endswith("/manifest.json"):
            kind = {"actual": "ActualCost", "amortized": "AmortizedCost"}
            written = {
                "blobs": [{"blobName": here.sub("", one), "byteCount": 3} for one in listed],
                "exportConfig": {"type": kind.get(path.split("/")[3], "FocusCost")},
                "runInfo": {"startDate": "2026-10-01T00:00:00"},
            }
        local = tmp_path / here.sub("", path)
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_text("x,y" if path in data else json.dumps(written), encoding="utf-8")
    loaded = parsed(here.sub("", toml), tmp_path)

    found = []
    for block in loaded.billing:
        transport = open_transport(block.location, loaded)
        found.append(deliveries.delivery(block, loaded, "2026-10", transport))

    assert [here.sub("", path) for path in data] == [
        str(Path(file.address).relative_to(tmp_path)) for one in found for file in one.files
    ]
    assert [b.manifest is not None for b in loaded.billing] == [
        one.manifest is not None for one in found
    ]
    assert all(there for _, there in pipeline.survey(loaded, "2026-10"))


def test_every_dialect_and_every_place_has_a_block_to_paste(tmp_path: Path) -> None:
    toml = [c[2] for c in configurations() if c[0] == "bills.md"]
    blocks = [block for one in toml for block in parsed(one, tmp_path).billing]

    dialects = {s for s in stems("bill") if s not in ("commitment_total", "tag_set")}
    assert dialects == {block.dialect for block in blocks}
    assert {"s3", "az", "gs", "bigquery", ""} == {
        block.location.rpartition("://")[0] for block in blocks
    }


def test_the_policy_is_json_and_asks_for_reading_only() -> None:
    text = (DOCS / "bills.md").read_text(encoding="utf-8")
    (policy,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)

    asked = {one["Action"] for one in json.loads(policy)["Statement"]}

    assert {"s3:ListBucket", "s3:GetObject"} == asked


def test_the_header_lines_of_a_dialect_are_explained() -> None:
    """Each kind of line that a dialect's header has is in CONTRIBUTING.md."""
    line = r"([a-z ]+?)(?: (?:number|text|time|tags))?"
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    explained = set(re.findall(rf"^\| `{line}:", text, re.MULTILINE))
    documented = re.findall(rf"^    -- {line}:", dialect.__doc__ or "", re.MULTILINE)

    assert set(documented) == explained


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


def test_the_further_blocks_of_the_template_are_right(tmp_path: Path) -> None:
    text = template.template()
    inside = "\n".join(line[6:] for line in text.splitlines() if line.startswith("#     "))
    loaded = parsed(inside, tmp_path)

    assert ["azure", "azure-amortized", "google", "google-bucket", "oracle"] == [
        block.name for block in loaded.billing
    ]
    for block in loaded.billing:
        assert all("2026" in pattern for pattern in means(block, loaded, "2026-10"))
    assert ["idle", "support"] == [block.name for block in loaded.shared_cost]
