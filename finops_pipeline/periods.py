"""Billing periods and days. UTC, and nothing of the clock but `open_period`.

What belongs here, too: how a location says the month or day that its files are of.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from .errors import ConfigError

OF_MONTH = ("period", "yyyymm", "year", "month", "mm")
OF_DAY = ("date",)
"""What may stand in braces in the location of a bill, and in that of metrics and logs."""


def in_month(pattern: str, period: str) -> str:
    """A location with the month filled in.

    Of October 2026, `{period}` is 2026-10, `{yyyymm}` 202610, `{year}` 2026. `{month}` and `{mm}`
    are 10; of September 2026 they are 9, as Hive and Athena write it, and 09.
    """
    first = first_day(period)
    given = (period, f"{first:%Y%m}", f"{first:%Y}", str(first.month), f"{first:%m}")
    for name, value in zip(OF_MONTH, given, strict=True):
        pattern = pattern.replace(f"{{{name}}}", value)
    return pattern


def names_month(pattern: str) -> bool:
    """Whether a location is another one for each month."""
    found = {name for name in OF_MONTH if f"{{{name}}}" in pattern}
    return bool(found & {"period", "yyyymm"}) or ("year" in found and bool(found & {"month", "mm"}))


def in_day(pattern: str, day: str) -> str:
    """A location with the day filled in: `{date}` is YYYY-MM-DD."""
    return pattern.replace("{date}", day)


def refuse_unknown(pattern: str, known: tuple[str, ...]) -> str:
    """The location itself; `ValueError` where something else stands in braces."""
    for name in re.findall(r"\{([^{}]*)\}", pattern):
        if name not in known:
            told = ", ".join(f"{{{k}}}" for k in known)
            raise ValueError(f"{pattern!r}: nothing is called {{{name}}}; known: {told}")
    return pattern


def first_day(period: str) -> date:
    """First day of a `YYYY-MM` period; `ConfigError` when it is none."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", period):
        raise ConfigError(f"{period!r} is not a billing period; write it as YYYY-MM")
    return date.fromisoformat(f"{period}-01")


def after(period: str) -> str:
    """The period after this one."""
    return (first_day(period) + timedelta(days=31)).strftime("%Y-%m")


def before(period: str) -> str:
    """The period before this one."""
    return (first_day(period) - timedelta(days=1)).strftime("%Y-%m")


def days(period: str) -> list[str]:
    """The days of a period, `YYYY-MM-DD`."""
    start, end = first_day(period), first_day(after(period))
    return [str(start + timedelta(days=n)) for n in range((end - start).days)]


def day_before(day: str) -> str:
    """The day before this one, `YYYY-MM-DD`."""
    return str(date.fromisoformat(day) - timedelta(days=1))


def days_around(period: str) -> list[str]:
    """The days of a period and one on either side: where its hours may have been delivered."""
    start = first_day(period)
    return [str(start - timedelta(days=1)), *days(period), f"{after(period)}-01"]


def periods(start: str, end: str) -> list[str]:
    """All periods from `start` to `end`, both included."""
    found = [start]
    first_day(start)
    first_day(end)
    while found[-1] < end:
        found.append(after(found[-1]))
    if found[-1] != end:
        raise ConfigError(f"{end} is before {start}")
    return found


def open_period() -> str:
    """The billing period that is open now."""
    return f"{today():%Y-%m}"


def today() -> date:
    """The day it is, in UTC."""
    return datetime.now(UTC).date()
