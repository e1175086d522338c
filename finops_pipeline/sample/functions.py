"""One function that two features call: its invocations, their log and what they are billed.

What belongs here: `document-parse` as CloudWatch Logs delivers it to a subscription, in batches of
an hour, and its meters by the hour. Each invocation has the report Lambda writes when it ends, and
a line of the function's own that says who called.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from .bill import Ledger, Line, Meter, arn, own, user_tags
from .company import EPOCH, MIX_SIX, PROD, Month, Period, busy, ident

NAME = "document-parse"
MEMORY_MIB = 10_240
CALLS = 160
"""Invocations in a weekday."""
FEATURES = {"summarise": 60, "chat": 40}
OWNER = ("summarise", "shared", "production")
METERS = (
    ("USE1-Lambda-GB-Second", "1K Lambda-GB-Second", 16_667),
    ("USE1-Request", "1K Requests", 200),
)
"""Usage type, unit and microdollars a unit."""


@dataclass(frozen=True)
class Invocation:
    """One invocation as Lambda reports it; `billed_ms` is what it is billed for."""

    request: str
    begin: datetime
    billed_ms: int
    feature: str
    tenant: str
    failed: bool
    cold_ms: int  # 0 where the environment was there


def resource(period: Period) -> str:
    """What the bill has in line_item_resource_id."""
    return arn("lambda", NAME, PROD[0], 0, period.seed)


def invocations(day: date, period: Period) -> Iterator[Invocation]:
    """Those of a day, in order of time: the same whatever other days there are."""
    draw = random.Random(f"{period.seed}/{NAME}/{day}")
    features, tenants = list(FEATURES), list(MIX_SIX)
    for hour in range(24):
        begin = datetime(day.year, day.month, day.day, hour)
        count = CALLS * period.scale * busy(begin) // 24000
        # None runs into the next hour, which would bill it.
        for number, offset in enumerate(sorted(draw.randrange(3_500_000) for _ in range(count))):
            yield Invocation(
                ident(period.seed, NAME, begin, number, size=32),
                begin + timedelta(milliseconds=offset),
                draw.randrange(8_000, 60_000),
                draw.choices(features, list(FEATURES.values()))[0],
                draw.choices(tenants, list(MIX_SIX.values()))[0],
                draw.randrange(1000) < 10,
                draw.randrange(900, 2400) if draw.randrange(100) < 6 else 0,
            )


def write(directory: Path, period: Period) -> None:
    """Write the log of every day under `directory`."""
    for day in period.day_list():
        batches: dict[datetime, list[Invocation]] = defaultdict(list)
        for one in invocations(day, period):
            batches[one.begin.replace(minute=0, second=0, microsecond=0)].append(one)
        path = directory / f"date={day}" / "events.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(_batch(hour, found, period) for hour, found in batches.items())
        path.write_text(text, encoding="utf-8", newline="\n")


def _batch(hour: datetime, found: list[Invocation], period: Period) -> str:
    stream = ident(period.seed, NAME, "stream", hour, size=32)
    events: list[dict[str, Any]] = []
    for one in found:
        end = one.begin + timedelta(milliseconds=one.billed_ms)
        metrics = {
            "durationMs": one.billed_ms - 0.5,
            "billedDurationMs": one.billed_ms,
            "memorySizeMB": MEMORY_MIB,
            "maxMemoryUsedMB": 6_800,
        }
        if one.cold_ms:
            metrics["initDurationMs"] = one.cold_ms
        record = {
            "requestId": one.request,
            "metrics": metrics,
            "status": "error" if one.failed else "success",
        }
        said = {
            "timestamp": _stamp(one.begin),
            "level": "INFO",
            "message": "parsing",
            "requestId": one.request,
            "feature": one.feature,
            "tenant": one.tenant,
            "environment": "production",
        }
        told = {"time": _stamp(end), "type": "platform.report", "record": record}
        for at, message in ((one.begin, said), (end, told)):
            events.append(
                {
                    "id": str(int(ident(period.seed, one.request, at, size=24), 16)),
                    "timestamp": (at - EPOCH) // timedelta(milliseconds=1),
                    "message": json.dumps(message, separators=(",", ":")),
                }
            )
    events.sort(key=lambda e: e["timestamp"])
    batch = {
        "messageType": "DATA_MESSAGE",
        "owner": PROD[0],
        "logGroup": f"/aws/lambda/{NAME}",
        "logStream": f"{hour:%Y/%m/%d}/[$LATEST]{stream}",
        "subscriptionFilters": ["finops"],
        "logEvents": events,
    }
    return json.dumps(batch, separators=(",", ":")) + "\n"


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def lines(period: Period, month: Month, ledger: Ledger) -> Iterable[Line]:
    """What Lambda bills: GB-seconds, whole ones by the hour, and requests."""
    tags = dict(zip(("feature", "tenant", "environment"), OWNER, strict=True))
    own(ledger, month.name, resource(period), OWNER, tags)
    meters = [
        Meter("lambda", PROD, usage, unit, rate, resource(period), tags=user_tags(tags),
              description=f"${rate / 1e6} per {unit} {usage}")
        for usage, unit, rate in METERS
    ]  # fmt: skip
    used: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for day in month.days:
        for one in invocations(day, period):
            hour = used[one.begin.replace(minute=0, second=0, microsecond=0)]
            hour[0] += one.billed_ms * MEMORY_MIB
            hour[1] += 1
    for begin, (mib_ms, requests) in used.items():
        amounts = (-(-mib_ms // 1_024_000), requests)
        for meter, amount in zip(meters, amounts, strict=True):
            cost = amount * meter.rate
            yield Line(meter, begin, begin + timedelta(hours=1), amount, cost, cost)


def answers(period: Period) -> list[dict[str, Any]]:
    """Invocations and billed milliseconds of each month, feature and tenant."""
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for month in period.months():
        for day in month.days:
            for one in invocations(day, period):
                entry = sums[month.name, one.feature, one.tenant]
                for n, more in enumerate((1, one.failed, one.billed_ms)):
                    entry[n] += more
    return [
        {
            "month": month,
            "resource": resource(period),
            "feature": feature,
            "tenant": tenant,
            "invocations": count,
            "failed": failed,
            "billed_ms": billed_ms,
        }
        for (month, feature, tenant), (count, failed, billed_ms) in sorted(sums.items())
    ]
