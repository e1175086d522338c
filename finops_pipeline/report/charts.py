"""Daily costs as static SVG, drawn by Vega-Lite.

What belongs here: the picture of numbers that are already decided. Vega sees positions and
day numbers only; no text of the bill goes through it, so none can come out of it as markup.
Colours are CSS variables of the page, so one picture serves light, dark and paper.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Any

from ..errors import MissingExtra

# Pixels: across the page, and beside another chart or on a phone.
WIDE = (1040, 280)
HALF = (480, 240)

_BAR = re.compile(
    r'<path aria-label="(\d+):(\d+)" role="graphics-symbol" aria-roledescription="bar" '
    r'd="([^"]*)" fill="([^"]*)"/>'
)


def daily(
    days: int,
    series: Sequence[tuple[str, Sequence[Decimal]]],
    labels: Sequence[Sequence[str]],
    size: tuple[int, int],
) -> str:
    """Stacked bars, one a day, as an `<svg>` element.

    `series` is a colour (any CSS colour) and the amount of each day 1 to `days`, from the bottom
    of the stack up; amounts below zero stack downwards. `labels[i][d]` is shown when pointing at
    the bar of series i on day d. The amounts reach Vega as text: no money becomes a float here.
    """
    try:
        import altair as alt
        import vl_convert
    except ModuleNotFoundError as error:
        raise MissingExtra("report", "the report page") from error

    values = [
        {"day": day + 1, "series": i, "cost": str(amount), "at": f"{i}:{day}"}
        for i, (_, amounts) in enumerate(series)
        for day, amount in enumerate(amounts)
        if amount
    ]
    data = alt.Data(values=values, format=alt.DataFormat(parse={"cost": "number"}))
    scale = alt.Scale(domain=list(range(len(series))), range=[colour for colour, _ in series])
    width, height = size
    chart: Any = (
        alt.Chart(data, width=width, height=height, autosize=alt.AutoSizeParams(type="fit"))
        .mark_bar()
        .encode(
            x=alt.X(
                "day:O",
                title=None,
                scale=alt.Scale(domain=list(range(1, days + 1)), paddingInner=0.18),
                axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, labelPadding=7),
            ),
            y=alt.Y(
                "cost:Q",
                title=None,
                stack="zero",
                axis=alt.Axis(format=",~f", tickCount=5, domain=False, ticks=False),
            ),
            color=alt.Color("series:O", legend=None, scale=scale),
            order=alt.Order("series:O"),
            description="at:N",
        )
        .configure(background="transparent", padding=2, font="inherit")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="var(--rule)",
            domainColor="var(--rule-strong)",
            labelColor="var(--ink-soft)",
            labelFontSize=13,
        )
        .configure_axisX(grid=False)
    )
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict())

    def titled(bar: re.Match[str]) -> str:
        text = escape(labels[int(bar[1])][int(bar[2])])
        return f'<path d="{bar[3]}" fill="{bar[4]}"><title>{text}</title></path>'

    svg = _BAR.sub(titled, svg)
    svg = re.sub(r' (?:role|aria-[a-z]+|pointer-events)="[^"]*"', "", svg)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
