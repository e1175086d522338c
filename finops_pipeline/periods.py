"""Billing periods and days. UTC, and nothing of the clock but `open_period`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from .errors import ConfigError


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
    return datetime.now(UTC).strftime("%Y-%m")
