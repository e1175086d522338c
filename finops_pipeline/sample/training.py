"""The large model is tuned anew every month: the job on the bill, and which version serves when.

What belongs here: the job as a charge, the versions as `[[model_version]]` says them, and whom each
serves. The job is tagged to the tenant that asked for it; all who call the model have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from .bill import Ledger, Line, Meter, arn, money, own, user_tags
from .company import PROD, Month, Period, ident
from .inference import Tally

MODEL = "acme-llama"
ENDPOINT = "inference/llama-70b"
OWNER = ("chat", "globex", "production")
HOURS = 18
RATE = 25_250_000
"""Microdollars an hour of ml.p4d.24xlarge."""
LIFE_DAYS = 90


def run_id(period: Period, month: Month) -> str:
    """The id its experiment tracker gave the run of a month."""
    return ident(period.seed, "run", month.name, size=32)


def created_on(month: Month) -> date:
    """The day its version begins to serve: the one after the job."""
    return month.days[0] + timedelta(days=1)


def lines(period: Period, month: Month, ledger: Ledger) -> Iterable[Line]:
    """The job, hour by hour, in the first night of the month."""
    job = arn("sagemaker", f"{MODEL}-{month.name}", PROD[0], 0, period.seed)
    tags = dict(zip(("feature", "tenant", "environment"), OWNER, strict=True)) | {
        "training_run": run_id(period, month),
        "run_kind": "fine-tuning",
        "model": MODEL,
        "model_version": month.name,
    }
    own(ledger, month.name, job, OWNER, tags)
    meter = Meter(
        "sagemaker",
        PROD,
        "USE1-Train:ml.p4d.24xlarge",
        "Hrs",
        RATE,
        job,
        tags=user_tags(tags),
        instance_type="ml.p4d.24xlarge",
        description="$25.25 per Training ml.p4d.24xlarge hour in US East (N. Virginia)",
    )
    day = month.days[0]
    for n in range(HOURS):
        hour = datetime(day.year, day.month, day.day, 2) + timedelta(hours=n)
        yield Line(meter, hour, hour + timedelta(hours=1), 1000, 1000 * RATE, 1000 * RATE)


VERSION = """
[[model_version]]
model = "{model}"
version = "{version}"
created_on = {created}{retired}
life_days = {life}
endpoints = ["{endpoint}"]
"""


def versions(period: Period) -> list[tuple[str, date, date | None]]:
    """Every version, when it began to serve, and when the next took its place."""
    months = period.months()
    before = months[0].begin.date() - timedelta(days=1)
    begun = [(f"{before:%Y-%m}", before.replace(day=2)), *((m.name, created_on(m)) for m in months)]
    ends = [*(created for _, created in begun[1:]), None]
    return [(name, created, end) for (name, created), end in zip(begun, ends, strict=True)]


def configuration(period: Period) -> str:
    """What `finops.toml` says of the versions; a registry would say the same."""
    return "".join(
        VERSION.format(
            model=MODEL,
            version=name,
            created=created,
            retired=f"\nretired_on = {end}" if end else "",
            life=LIFE_DAYS,
            endpoint=ENDPOINT,
        )
        for name, created, end in versions(period)
    )


def answers(period: Period, tally: Tally) -> list[dict[str, Any]]:
    """What each job costs, how many days of its month its version serves, and whom, by calls."""
    found = []
    for month in period.months():
        created = created_on(month)
        served: Counter[str] = Counter()
        for day in month.days:
            if day >= created:
                served.update(tally.callers[ENDPOINT, day])
        found.append(
            {
                "month": month.name,
                "run": run_id(period, month),
                "version": month.name,
                "EffectiveCost": money(HOURS * 1000 * RATE),
                "days_served": (month.end.date() - created).days,
                "life_days": LIFE_DAYS,
                "calls": dict(sorted(served.items())),
            }
        )
    return found
