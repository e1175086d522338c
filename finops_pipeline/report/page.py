"""The answers laid out as one HTML page.

What belongs here: words, order and proportions. Every text of the bill is escaped by the
template engine; it comes from tags, which anybody in the company can write.
"""

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .. import money
from . import charts
from .answers import TOP, PeriodAnswers, Row

KINDS = {
    "untagged": ("No tag", "Nobody is named as the owner."),
    "wrong_case": ("Other case or blanks", "The right value in another spelling."),
    "typo": ("Misspelt", "Close to a known value, and the witnesses say which."),
    "swapped": ("Swapped", "The value belongs to another dimension."),
    "stale": ("Stale", "The tag names an owner that has left."),
    "conflict": ("Contradictory", "Tags of one dimension name different owners."),
    "shared_as_one": ("Shared, billed to one", "Several used it, the tag names one."),
    "witness_disagrees": ("Witnesses disagree", "Those who used it are not whom the tag names."),
    "replica_drift": ("Replicas not as in Git", "Production was changed by hand."),
    "label_drift": ("Labels not as in Git", "Production carries other labels than Git declares."),
    "closed_period_changed": ("A closed bill changed", "It is not what it was when it was closed."),
    "closed_showback_changed": (
        "A closed showback changed",
        "What owners bear is not what it was when the bill was closed.",
    ),
}
"""Kind of finding -> its heading, and what it means."""

DIMENSIONS = ("feature", "tenant", "environment", "category", "service", "model")
"""What spend is broken down by, as sql/report/spend.sql calls it."""

OTHERS = {
    "rest": "var(--rest)",
    "none": "var(--none)",
    "idle": "var(--idle)",
    "overhead": "var(--none)",
    "unallocated": "var(--unallocated)",
}
"""Kind of line that is not a name -> its colour."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass
class Line:
    """One line of a breakdown: what it is called, its cost, and its cost by day of the month."""

    kind: str
    rank: int
    name: str
    count: int
    cost: Decimal
    shown: str = ""
    share: str = ""
    width: str = "0"
    by_day: dict[date, Decimal] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the line is called on the page."""
        if self.kind == "rest":
            return f"{self.count} other{'' if self.count == 1 else 's'}"
        special = {
            "none": "No model",
            "idle": "Idle",
            "overhead": "System overhead",
            "unallocated": "Unallocated",
        }
        return special.get(self.kind, self.name)

    @property
    def colour(self) -> str:
        """A CSS colour, the same in table and chart."""
        return OTHERS.get(self.kind, f"var(--series-{self.rank})")


@dataclass
class Breakdown:
    """The spend of one currency by one dimension."""

    dimension: str
    currency: str
    lines: list[Line]
    shown_total: str
    days: list[date]
    wide: Markup = field(default_factory=Markup)
    half: Markup = field(default_factory=Markup)
    outside: Decimal = Decimal(0)


def render(periods: Sequence[PeriodAnswers]) -> str:
    """The page as text: one section for each period, the first one shown."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        figure=lambda a, c: minus(money.figure(a, c)),
        money=lambda a, c: minus(money.display(a, c)),
        unit=lambda a, c: minus(money.unit_figure(a, c)),
        exact=lambda a, c: minus(money.exact(a, c)),
        count=lambda n: f"{n:,}",
        month=month,
        permille=lambda p: "n/a" if p is None else f"{p // 10}.{p % 10} %",
        width=_width,
        objects=objects,
    )
    template = environment.get_template("page.html.jinja")
    return template.render(
        periods=[
            {"answers": p, "blocks": _currency_blocks(p), "kinds": _kinds(p)} for p in periods
        ],
        top=TOP,
    )


def minus(figure: str) -> str:
    """A figure with the minus sign that is as wide as a digit."""
    return figure.replace("-", "\N{MINUS SIGN}")


def month(period: str) -> str:
    """`2026-10` as `October 2026`; anything else as it is."""
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", period)
    return f"{calendar.month_name[int(match[2])]} {match[1]}" if match else period


def percents(parts: Sequence[Decimal]) -> list[str]:
    """Each part of their sum as `12.3 %`, written so that they add up to 100.0 %."""
    whole = money.total(parts)
    if not whole:
        return ["n/a"] * len(parts)
    shares = [money.ratio(part, whole) * 100 for part in parts]
    return [f"{minus(share)} %" for share in money.column(shares, 1)]


def objects(text: str) -> list[list[tuple[str, str]]]:
    """A JSON object, or a list of them, as name and text pairs to show; other text as it is."""
    try:
        found = json.loads(text, parse_float=str)
    except ValueError:
        return [[("", text)]] if text else []
    return [
        [(str(k), _said(v)) for k, v in one.items() if v is not None]
        if isinstance(one, dict)
        else [("", _said(one))]
        for one in (found if isinstance(found, list) else [found])
    ]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _visible(value: Any) -> Any:
    """Control characters as a visible mark; markup of our own untouched."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _currency_blocks(p: PeriodAnswers) -> list[dict[str, Any]]:
    """For each currency: totals, coverage, breakdowns and unit costs. Currencies never mix."""
    blocks = []
    for total in p.totals:
        currency = total["BillingCurrency"]
        mine = [r for r in p.spend if r["BillingCurrency"] == currency]
        blocks.append({
            "currency": currency,
            "total": total,
            "rows": [_reconciliation(total, cost, currency) for cost in ("Billed", "Effective")],
            "coverage": [r for r in p.coverage if r["BillingCurrency"] == currency],
            "by": {
                dimension: _breakdown(p.period, dimension, currency, mine)
                for dimension in DIMENSIONS
            },
            "unit_costs": [r for r in p.unit_costs if r["BillingCurrency"] == currency],
        })  # fmt: skip
    return blocks


def _reconciliation(total: Row, cost: str, currency: str) -> dict[str, Any]:
    """One equation: the bill, and its parts written so that they add up to it."""
    names = ("Allocated", "Idle", "Unallocated", "Quarantined")
    parts = [total[f"x_{cost}{name}"] for name in names]
    whole = money.total(parts)
    return {
        "cost": f"{cost}Cost",
        "amount": total[f"{cost}Cost"],
        "difference": total[f"x_{cost}Difference"],
        "parts": [
            {"name": n, "shown": minus(s), "width": _width(a, whole)}
            for n, a, s in zip(names, parts, money.figures(parts, currency), strict=True)
        ],
    }


def _breakdown(period: str, dimension: str, currency: str, rows: Iterable[Row]) -> Breakdown:
    lines: list[Line] = []
    for row in rows:
        if row["x_Dimension"] != dimension:
            continue
        if row["x_ChargeDay"] is None:
            line = Line(
                row["x_Kind"], row["x_Rank"], row["x_Line"] or "", row["x_Lines"],
                row["EffectiveCost"],
            )  # fmt: skip
            lines.append(line)
        else:
            lines[-1].by_day[row["x_ChargeDay"]] = row["EffectiveCost"]
    costs = [line.cost for line in lines]
    whole = money.total(costs)
    largest = max((abs(c) for c in costs), default=Decimal(0))
    figures = money.figures(costs, currency)
    for line, shown, share in zip(lines, figures, percents(costs), strict=True):
        line.shown = minus(shown)
        line.share = share
        line.width = _width(abs(line.cost), largest)
    found = Breakdown(
        dimension, currency, lines, minus(money.figure(whole, currency)), _days(period)
    )
    if dimension in DIMENSIONS[:3] and lines and found.days:
        _draw(found, wide=dimension == "feature")
    return found


def _draw(found: Breakdown, *, wide: bool) -> None:
    """Add the charts, and what of the spend lies on days outside the month."""
    zero = Decimal(0)
    shown = set(found.days)
    found.outside = money.total(
        cost for line in found.lines for day, cost in line.by_day.items() if day not in shown
    )
    series = [(x.colour, [x.by_day.get(d, zero) for d in found.days]) for x in found.lines]
    labels = [
        [
            f"{d.day} {calendar.month_abbr[d.month]}, {_visible(line.label)}: "
            f"{minus(money.display(line.by_day.get(d, zero), found.currency))}"
            for d in found.days
        ]
        for line in found.lines
    ]
    # S704: the SVG is Vega's, from numbers alone; charts.daily escapes the labels it adds.
    days = len(found.days)
    found.half = Markup(charts.daily(days, series, labels, charts.HALF))  # noqa: S704
    if wide:
        found.wide = Markup(charts.daily(days, series, labels, charts.WIDE))  # noqa: S704


def _days(period: str) -> list[date]:
    """All days of the month; none where the period is not a month."""
    try:
        first = date.fromisoformat(f"{period}-01")
    except ValueError:
        return []
    length = calendar.monthrange(first.year, first.month)[1]
    return [first.replace(day=d) for d in range(1, length + 1)]


def _width(part: Decimal, whole: Decimal) -> str:
    """Length of a bar in percent, from 0 to 100."""
    if whole <= 0 or part <= 0:
        return "0"
    return f"{min(Decimal(100), money.ratio(part, whole) * 100):.2f}"


def _kinds(p: PeriodAnswers) -> list[dict[str, Any]]:
    """Findings under their kind, the kind with most money first."""
    kinds: dict[str, dict[str, Any]] = {}
    for row in p.finding_kinds:
        kind = row["x_FindingKind"]
        heading, meaning = KINDS.get(kind, (kind, ""))
        entry = kinds.setdefault(
            kind, {"heading": heading, "meaning": meaning, "sums": [], "count": 0, "shown": []}
        )
        entry["sums"].append(row)
        entry["count"] += row["x_Findings"]
    for row in p.findings:
        kinds[row["x_FindingKind"]]["shown"].append(row)
    return list(kinds.values())
