"""The road from inputs to tables, step by step, for whoever schedules it.

What belongs here: which step fills which tables, from what, and in which order. Dagster runs
these steps as assets (`assets/`); nothing here knows of Dagster. What a step computes is in
`sql/`; how a partition is written is in `warehouse.py`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from . import bill, contracts, queries
from .bindings import recommender_parameters
from .config import BillingSection, Config, MetricsSection
from .contracts import STAGES
from .errors import DeliveryVanished
from .periods import days
from .transports import Item, Transport, open_transport
from .warehouse import Built, Part, Warehouse, connect, digest

BILL_TABLES = ("delivery", "delivered_tag_set", "quarantine", "cost_and_usage")
USAGE_TABLES = ("unread_usage", "metric_hour", "inference_usage")
DECLARED_TABLES = ("declared_field", "declared_workload")


@dataclass(frozen=True)
class Step:
    """One unit of work: fills `tables` of a period from `reads`. `doc` is what a person reads."""

    name: str
    stage: str
    tables: tuple[str, ...]
    reads: frozenset[str]
    doc: str
    run: Callable[[Warehouse, str], list[Built]]


def steps() -> list[Step]:
    """All steps, each after what it reads."""
    found = [_bill(), _metrics_and_logs(), _declared()]
    filled = {t for s in found for t in s.tables}
    for stage in STAGES:
        waiting = [
            queries.query(f"{stage}/{stem}")
            for stem in queries.stems(stage)
            if stem in contracts.tables() and stem not in filled
        ]
        while waiting:
            names = {q.name for q in waiting}
            ready = [q for q in waiting if not q.reads & (names - {q.name})]
            if not ready:
                raise AssertionError(f"sql/{stage}: {sorted(names)} read each other in a circle")
            for query in ready:
                found.append(_sql(stage, query))
                waiting.remove(query)
    return sorted(found, key=lambda s: STAGES.index(s.stage))


def _sql(stage: str, query: queries.Query) -> Step:
    table = contracts.table(query.name)

    def run(warehouse: Warehouse, period: str) -> list[Built]:
        extra = recommender_parameters(warehouse.config, query.name)
        if table.partition == "BillingPeriod":
            return [warehouse.build_query(query.path, period, extra)]
        driving = "metric_hour"
        there = set(warehouse.partitions(driving))
        return [
            warehouse.build_query(query.path, day, extra) for day in days(period) if day in there
        ]

    reads = frozenset(r for r in query.reads if r in contracts.tables())
    return Step(query.name, stage, (query.name,), reads, query.doc, run)


# ------------------------------------------------------------------------------------ bill


def _bill() -> Step:
    return Step(
        "bill",
        "bill",
        BILL_TABLES,
        frozenset(),
        "The providers' exports of the period, read into FOCUS columns. A file is read once; a "
        "delivery whose parts are not all there is not read at all.",
        read_bill,
    )


def read_bill(warehouse: Warehouse, period: str) -> list[Built]:
    """Read what was delivered for a period; files that did not change are not read again."""
    config = warehouse.config
    parts: list[Part] = []
    for block in config.billing:
        transport = open_transport(block.location, config)
        delivery = bill.delivery(block, config, period, transport)
        dialect = queries.query(f"bill/{block.dialect}")
        for item in delivery.files:
            parts.append(
                Part(
                    name=part_name(block.name, item.path),
                    fingerprint=digest(block.name, item.path, item.fingerprint, dialect.digest),
                    tables=BILL_TABLES,
                    read=functools.partial(
                        _read_bill_file, warehouse, transport, block, period, item
                    ),
                )
            )
        _refuse_vanished(warehouse, "delivery", period, block.name, parts, block.location)
    return warehouse.ingest(BILL_TABLES, period, parts)


def part_name(source: str, path: str) -> str:
    """A file name for what was read from `path`: readable, and different for different paths."""
    stem = re.sub(r"[^A-Za-z0-9=.-]+", "-", path.rsplit("/", 1)[-1].split(".", 1)[0])
    return f"{source}-{stem[:40]}-{digest(path)[:10]}"


def _refuse_vanished(
    warehouse: Warehouse, table: str, partition: str, source: str, parts: Iterable[Part], place: str
) -> None:
    """Files that were read before and are gone now are an accident until somebody says not."""
    state = warehouse.state(table, partition)
    known = state.note.get("parts", {}) if state is not None else {}
    before = [n for n in known if n.startswith(f"{source}-")]
    if before and not any(p.name.startswith(f"{source}-") for p in parts):
        raise DeliveryVanished(
            f"{source}: the {len(before)} file(s) of {partition} read before are not at {place} "
            f"any more; bring them back, or remove the block from finops.toml"
        )


def _read_bill_file(
    warehouse: Warehouse,
    transport: Transport,
    block: BillingSection,
    period: str,
    item: Item,
    into: Path,
) -> None:
    local = transport.fetch(item, warehouse.landing)
    connection = connect(warehouse.config, warehouse.work / "spill")
    try:
        bill.read_file(connection, block, period, item, local, into)
    finally:
        connection.close()


# ----------------------------------------------------------------------------------- usage


def _metrics_and_logs() -> Step:
    return Step(
        "usage",
        "usage",
        USAGE_TABLES,
        frozenset(),
        "Cluster metrics by the hour, from Prometheus or from files of samples, and inference "
        "logs counted by hour, endpoint, caller and model. Prompts are never read.",
        read_usage,
    )


def read_usage(warehouse: Warehouse, period: str) -> list[Built]:
    """Read the days of a period; a day whose files did not change is not read again."""
    built: list[Built] = []
    for day in days(period):
        parts = [*_metric_parts(warehouse, day), *_call_parts(warehouse, day)]
        known = warehouse.state("unread_usage", day)
        if parts or known is not None:
            for block in (*warehouse.config.metrics, *warehouse.config.inference):
                _refuse_vanished(
                    warehouse, "unread_usage", day, block.name, parts, str(block.location)
                )
            built += warehouse.ingest(USAGE_TABLES, day, parts)
    return built


def _metric_parts(warehouse: Warehouse, day: str) -> Iterable[Part]:
    config = warehouse.config
    tables = ("unread_usage", "metric_hour")
    for block in config.metrics:
        if block.kind == "prometheus":
            stamp = usage.fingerprint(block, date.fromisoformat(day))
            if stamp is None:
                continue
            yield Part(
                f"{block.name}-server", stamp, tables,
                functools.partial(_read_metrics, warehouse, block, day, None, ()),
            )
            continue
        transport, items = _items(config, str(block.location), day)
        if items:
            stamp = digest(block.model_dump(), [(i.path, i.fingerprint) for i in items], usage.METRICS_DIGEST())
            yield Part(
                f"{block.name}-files", stamp, tables,
                functools.partial(_read_metrics, warehouse, block, day, transport, tuple(items)),
            )


def _call_parts(warehouse: Warehouse, day: str) -> Iterable[Part]:
    config = warehouse.config
    tables = ("unread_usage", "inference_usage")
    for block in config.inference:
        transport, items = _items(config, block.location, day)
        if items:
            stamp = digest(block.model_dump(), [(i.path, i.fingerprint) for i in items], usage.CALLS_DIGEST(block.dialect))
            yield Part(
                f"{block.name}-calls", stamp, tables,
                functools.partial(_read_calls, warehouse, block, day, transport, tuple(items)),
            )


def _items(config: Config, location: str, day: str) -> tuple[Transport, list[Item]]:
    transport = open_transport(location, config)
    return transport, transport.list(location.replace("{date}", day))


def _read_metrics(
    warehouse: Warehouse,
    block: MetricsSection,
    day: str,
    transport: Transport | None,
    items: tuple[Item, ...],
    into: Path,
) -> None:
    raise NotImplementedError


# -------------------------------------------------------------------------------- publishing


def report_path(config: Config) -> Path:
    """The report page: in `report/`, beside the database."""
    return config.database.parent / "report" / "index.html"


def proposals_folder(config: Config) -> Path:
    """Where the folder forge writes patches and bodies."""
    return config.path(config.pull_requests.path)
