"""One HTML page over `showback.duckdb`, for the person who answers for the bill.

What belongs here: asking the questions in `sql/report/`, and laying the answers out. What a
number means is decided in SQL; how money is written, in `money.py`; what the page looks like,
in `page.html.jinja` and `page.css`. The page is self-contained: no script, no font, no image
and no address is fetched, so it can be mailed, archived and printed.
"""

from __future__ import annotations

import os
from pathlib import Path

from .answers import PeriodAnswers, ask
from .page import render


def write(database: Path, out: Path) -> Path:
    """Write `out/index.html` from the published `database` and return its path.

    The database is opened read-only and the page is renamed into place, so a run that publishes
    or a reader that looks on is never in the way. Same database, same bytes. Raises
    `UnreadableFile` when the database is missing, not a database, or lacks a table.
    """
    page = out / "index.html"
    text = render(ask(database))
    out.mkdir(parents=True, exist_ok=True)
    unfinished = page.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(page)
    return page


__all__ = ["PeriodAnswers", "ask", "render", "write"]
