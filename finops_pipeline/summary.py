"""What a run ends with: spend, coverage, the largest findings, savings, and where to look next."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from . import queries
from .ask import as_table, fetch, opened
from .config import Config
from .money import display
from .pipeline import proposals_folder, report_path

SHOWN = 8


def summary(config: Config, period: str) -> str:
    """Text for the end of a run, about its last billing period."""
    told: list[str] = []
    with opened(config.database) as connection:

        def rows(name: str) -> list[tuple[object, ...]]:
            return fetch(connection, queries.query(f"summary/{name}").text, {"period": period})[1]

        changed = fetch(connection, queries.query("summary/closed_periods").text)[1]
        if changed:
            told.append(
                "CLOSED PERIODS HAVE CHANGED\n\n"
                + "\n".join(f"  {reason}" for (reason,) in changed)
            )
        unread = fetch(connection, queries.query("report/unread").text, {"period": period})[1]
        if lost := [_lost(r) for r in unread if r[3]]:
            told.append("LOGS OF WHICH NOTHING COULD BE READ\n\n" + "\n".join(lost))
        owners = rows("owners")
        for dimension in ("feature", "tenant"):
            mine = [r for r in owners if r[0] == dimension]
            lines = [[str(r[1]), display(_money(r[3]), str(r[2]))] for r in mine[:SHOWN]]
            if len(mine) > SHOWN:
                lines.append([f"... {len(mine) - SHOWN} more", ""])
            told.append(
                _block(f"Spend by {dimension}, {period}", [dimension, "EffectiveCost"], lines)
            )
        told.append(
            _block(
                "Coverage: how much of the bill has a named owner",
                ["currency", "dimension", "covered", "idle and overhead", "unallocated"],
                [
                    [
                        str(r[0]),
                        str(r[1]),
                        "-" if r[2] is None else f"{Decimal(str(r[2])) / 10} %",
                        display(_money(r[3]), str(r[0])),
                        display(_money(r[4]), str(r[0])),
                    ]
                    for r in rows("coverage")
                ],
            )
        )
        told.append(
            _block(
                "Largest findings",
                ["kind", "where", "dimension", "says", "likely", "money"],
                [
                    [
                        *("" if v is None else str(v) for v in r[:5]),
                        "" if r[6] is None else display(_money(r[6]), str(r[5])),
                    ]
                    for r in rows("findings")
                ],
            )
        )
        told.append(
            _block(
                "Proposed savings a month",
                ["recommender", "proposals", "saving"],
                [[str(r[0]), str(r[2]), display(_money(r[3]), str(r[1]))] for r in rows("savings")],
            )
        )
        not_read = [
            [
                str(r[0]),
                _count(r[2]),
                _count(r[3]),
                display(_money(r[4]), str(r[1])),
                _place(*r[5:]),
            ]
            for r in rows("quarantined")
        ] + [[str(r[0]), _count(r[1]), _count(r[2]), "", _place(*r[5:])] for r in unread]
        if not_read:
            told.append(
                _block(
                    "What could not be read: every row is in quarantine and unread_usage",
                    ["source", "not read", "read", "money", "the first of them"],
                    not_read,
                )
            )
    told.append(
        "Where to look next\n\n"
        f"  report          {_near(report_path(config))}\n"
        f"  SQL             finops sql --config {_near(config.root / 'finops.toml')}\n"
        f"  any number      finops explain --config {_near(config.root / 'finops.toml')} "
        "--feature NAME\n"
        f"  pull requests   {_near(proposals_folder(config))}\n"
        + "".join(
            f"  branches        git -C {_near(config.path(r.path))} branch --list 'finops/*'\n"
            for r in config.gitops
        )
    )
    return "\n\n".join(told).rstrip()


def _lost(row: tuple[object, ...]) -> str:
    """A source that has days with lines and nothing that could be read: a row of report/unread."""
    source, lines, _, days, first, *place = row
    since = f"on {first}" if days == 1 else f"on {_count(days)} days, the first of them {first}"
    return (
        f"  {source}: {_count(lines)} {'line' if lines == 1 else 'lines'} could not be read, and "
        f"nothing else was there {since}.\n"
        f"  The first is {_place(*place)}.\n"
        f"  What it would have said is missing from these figures. Mend the block {source!r} or "
        "the files, and run again."
    )


def _place(file: object, row: object, reason: object) -> str:
    return f"{file}, row {row}: {reason}"


def _count(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else "-"


def _near(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _block(title: str, names: list[str], lines: list[list[str]]) -> str:
    return f"{title}\n\n{as_table(names, lines)}"


def _money(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(0)
