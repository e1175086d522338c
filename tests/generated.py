"""Documents that are written from the code: `make docs` writes them, a test compares them."""

from __future__ import annotations

from pathlib import Path

from finops_pipeline import contracts, pipeline, queries, template
from finops_pipeline.contracts import STAGES
from finops_pipeline.contracts.fields import FIELDS
from finops_pipeline.usage import SERIES

DOCS = Path(__file__).parents[1] / "docs"
NOTICE = "<!-- Written by `make docs` from the code. Change it there. -->\n"
TITLES = {
    "bill": "Bill: what the providers ask for",
    "usage": "Usage: what the clusters and the models did",
    "declared": "Declared: what Git asks for",
    "allocation": "Allocation: who consumed it",
    "findings": "Findings: what is untagged, wrongly tagged, or not as Git says",
    "showback": "Showback: what it cost",
    "rightsizing": "Rightsizing: what would make it cheaper",
}


def data_dictionary() -> str:
    """Every table with its grain, partition, rules and columns."""
    lines = ["# Data dictionary", "", NOTICE]
    lines += [
        "Columns in PascalCase are FOCUS 1.2, verbatim; ours start with `x_`. Money is "
        "`DECIMAL(38,12)`, time is UTC. Partitions: `BillingPeriod` is a month, `x_Day` a day.",
        "",
    ]
    for stage in STAGES:
        lines += [f"## {TITLES[stage]}", ""]
        for table in contracts.tables().values():
            if table.stage != stage:
                continue
            lines += [f"### {table.name}", "", table.doc, ""]
            facts = [f"Partition: {f'`{table.partition}`' if table.partition else 'none'}."]
            if table.key:
                facts.append("Key: " + ", ".join(f"`{k}`" for k in table.key) + ".")
            rules = [f"`sql/checks/{c.name}.sql`" for c in queries.checks(table.name)]
            if rules:
                facts.append("Rules: " + ", ".join(rules) + ".")
            lines += [
                " ".join(facts),
                "",
                "| column | type | null | meaning |",
                "|---|---|---|---|",
            ]
            lines += [
                f"| `{c}` | {t} | {'yes' if c in table.nullable else ''} "
                f"| {_cell(FIELDS[c].description)} |"
                for c, t in table.duckdb.items()
            ]
            lines.append("")
            if table.name == "metric_hour":
                lines += ["| `x_Series` | unit of `x_Value` |", "|---|---|"]
                lines += [f"| `{name}` | {_cell(unit)} |" for name, unit in SERIES.items()]
                lines.append("")
    return "\n".join(lines)


def configuration() -> str:
    """Every key of `finops.toml`."""
    lines = ["# Configuration", "", NOTICE]
    lines += [
        "All of it is one file, `finops.toml`; `finops init` writes one with every key explained, "
        "`finops check` says whether yours is right and whether its inputs are there. A key that "
        "does not exist is refused, with the nearest that does. Paths are relative to the file.",
        "",
    ]
    section = None
    for key, description, shown in template.described():
        head, _, name = key.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"## {f'`[{head}]`' if head else 'Top'}", ""]
            lines += ["| key | default or example | meaning |", "|---|---|---|"]
        lines.append(f"| `{name}` | `{_cell(shown)}` | {_cell(description)} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def lineage() -> str:
    """Which table is made from which, parsed from the SQL."""
    lines = ["# Lineage", "", NOTICE]
    lines += ["Parsed from the SQL, not typed. A stage reads its own tables and earlier ones.", ""]
    lines += ["```mermaid", "flowchart LR"]
    for stage in STAGES:
        names = [t.name for t in contracts.tables().values() if t.stage == stage]
        lines += [f"  subgraph {stage}", *(f"    {n}" for n in names), "  end"]
    for step in pipeline.steps():
        for table in step.tables:
            lines += [f"  {r} --> {table}" for r in sorted(step.reads)]
    lines += ["```", ""]
    return "\n".join(lines)


DOCUMENTS = {
    "data-dictionary.md": data_dictionary,
    "configuration.md": configuration,
    "lineage.md": lineage,
}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, write in DOCUMENTS.items():
        (DOCS / name).write_text(write(), encoding="utf-8")
        print(f"wrote docs/{name}")
