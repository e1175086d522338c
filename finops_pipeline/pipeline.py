"""The road from inputs to tables, step by step, for whoever schedules it.

What belongs here: which step fills which tables, from what, and in which order. Dagster runs
these steps as assets (`assets/`); nothing here knows of Dagster. What a step computes is in
`sql/`; how a partition is written is in `warehouse.py`.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import (
    bill,
    contracts,
    deliveries,
    history,
    manifests,
    pod_exports,
    price_ratio,
    prices,
    proposals,
    queries,
    registries,
    sharing,
    statement,
    usage,
)
from .ask import opened
from .bindings import parameters, recommender_parameters, small_tables
from .config import (
    BillingSection,
    Config,
    GitopsSection,
    InferenceSection,
    InvocationSection,
    MetricsSection,
)
from .contracts import STAGES
from .dialect import dialect
from .errors import ConfigError, DeliveryVanished
from .forges import Submitted
from .forges import forge as open_forge
from .landed import Landed, digest_of, forget
from .periods import day_before, days, in_day, in_month, names_month, today
from .publish import publish
from .registries import open_registry
from .transports import Item, Transport, open_transport
from .warehouse import (
    Built,
    Derived,
    Part,
    Warehouse,
    bind_rows,
    copy,
    digest,
    rows_of,
    two_at_a_time,
)

if TYPE_CHECKING:
    import duckdb
    import polars as pl

FILE_TABLES = (
    "delivery",
    "delivered_tag_set",
    "quarantine",
    "commitment_total",
    "cost_and_usage",
)
BILL_TABLES = (*FILE_TABLES, "delivery_manifest")
USAGE_TABLES = ("unread_usage", "metric_hour", "invocation_usage", "inference_usage")
DECLARED_TABLES = ("declared_field", "declared_workload")

UsageSection = MetricsSection | InferenceSection | InvocationSection

_FETCHING = threading.Lock()
"""Two days that are read side by side may want the same file."""


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
    found = [
        _bill(),
        _metrics_and_logs(),
        _declared(),
        _registries(),
        _prices(),
        _statements(),
        _revenue(),
    ]
    filled = {t for s in found for t in s.tables}
    for stage in STAGES:
        waiting = [
            _sql(stage, queries.query(f"{stage}/{stem}"))
            for stem in queries.stems(stage)
            if stem in contracts.tables() and stem not in filled
        ]
        waiting += [_price_ratio(), _shared_weight()] if stage == "allocation" else []
        while waiting:
            names = {s.name for s in waiting}
            ready = [s for s in waiting if not s.reads & (names - {s.name})]
            if not ready:
                raise AssertionError(f"sql/{stage}: {sorted(names)} read each other in a circle")
            for step in ready:
                found.append(step)
                waiting.remove(step)
    return sorted(found, key=lambda s: STAGES.index(s.stage))


def _reads(query: queries.Query) -> frozenset[str]:
    """Tables a query is built from, and those its rules hold it against.

    One kept by day asks `day_range` what its parts are.
    """
    kept = {"day_range"} if contracts.table(query.name).by_day else set()
    ruled = frozenset(r for rule in queries.checks(query.name) for r in rule.reads)
    wanted = (query.reads | kept | ruled) - {query.name}
    return frozenset(r for r in wanted if r in contracts.tables())


def _sql(stage: str, query: queries.Query) -> Step:
    table = contracts.table(query.name)

    def run(warehouse: Warehouse, period: str) -> list[Built]:
        extra = recommender_parameters(warehouse.config, query.name)
        if table.partition != "x_Day":
            whole = period if table.partition else ""
            return [warehouse.build_query(query.path, whole, extra)]
        driving = "metric_hour"
        there = set(warehouse.partitions(driving))
        return two_at_a_time(
            lambda day: warehouse.build_query(query.path, day, extra),
            [day for day in days(period) if day in there],
        )

    reads = _reads(query)
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
    """Read what was delivered for a period; files with the bytes of before are not read again."""
    config = warehouse.config
    landed = Landed(warehouse.landing / "bill", period)
    parts: list[Part] = []
    listings: list[Part] = []
    for block in config.billing:
        transport = landed.open(open_transport(block.location, config))
        delivery = deliveries.delivery(block, config, period, transport)
        manifest = delivery.manifest.path if delivery.manifest is not None else None
        if delivery.manifest is not None:
            listings.append(_listing(block, period, delivery.manifest, delivery.listing))
        dialect = queries.query(f"bill/{block.dialect}")
        parts += [
            Part(
                name=part_name(block.name, item.path),
                fingerprint=digest(
                    block.name,
                    item.path,
                    transport.digest(item),
                    manifest,
                    dialect.digest,
                    queries.query(bill.COMMITMENT_TOTAL).digest,
                    block.costs,
                ),
                tables=FILE_TABLES,
                read=functools.partial(
                    _read_bill_file,
                    warehouse,
                    transport,
                    block,
                    period,
                    item,
                    delivery.rows.get(item.path),
                    manifest,
                ),
            )
            for item in delivery.files
        ]
        _refuse_vanished(
            warehouse, "delivery", period, f"{block.name}.", block.name, parts, block.location
        )
    built = warehouse.ingest(FILE_TABLES, period, parts, _rounding_of(warehouse, period))
    # By itself: a manifest written anew around the same files is no new bill.
    built += warehouse.ingest(("delivery_manifest",), period, listings)
    landed.keep()
    return built


def _listing(block: BillingSection, period: str, manifest: Item, content: bytes) -> Part:
    """The part that keeps a manifest."""
    return Part(
        name=part_name(block.name, f"manifest/{manifest.path}"),
        fingerprint=digest(block.name, manifest.path, content.decode()),
        tables=("delivery_manifest",),
        read=functools.partial(deliveries.keep_manifest, block, period, manifest, content),
    )


def part_name(source: str, path: str) -> str:
    """A file name for what was read from `path`: readable, and different for different paths."""
    stem = re.sub(r"[^A-Za-z0-9=.-]+", "-", path.rsplit("/", 1)[-1].split(".", 1)[0])
    return f"{source}.{stem[:40]}-{digest(path)[:10]}"


def _refuse_vanished(
    warehouse: Warehouse,
    table: str,
    partition: str,
    mine: str,
    source: str,
    parts: Iterable[Part],
    place: str,
    way_out: str = "",
) -> None:
    """Files that were read before and are gone now are an accident until somebody says not.

    The parts of a source start with `mine`; no name of a source holds the dot in it.
    """
    state = warehouse.state(table, partition)
    known = state.note.get("parts", {}) if state is not None else {}
    before = [n for n in known if n.startswith(mine)]
    if before and not any(p.name.startswith(mine) for p in parts):
        of = f" of {partition}" if partition else ""
        raise DeliveryVanished(
            f"{source}: the {len(before)} file(s){of} read before are not at {place} "
            f"any more; bring them back, {way_out}or remove the block from finops.toml"
        )


def _read_bill_file(
    warehouse: Warehouse,
    transport: Transport,
    block: BillingSection,
    period: str,
    item: Item,
    rows: int | None,
    manifest: str | None,
    into: Path,
) -> None:
    local = transport.fetch(item, warehouse.landing)
    sha256 = transport.digest(item)
    with warehouse.engine(sums_joins=False) as connection:
        bill.read_file(connection, block, period, item, local, into, rows, sha256, manifest)
        bill.total_commitments(connection, into)


def _rounding_of(warehouse: Warehouse, period: str) -> Derived:
    """The part of a period's bill that has what amortisation lost of commitments, if it is any.

    It goes by what the periods up to this one have now. They are no inputs of it that are kept: a
    month that is restated must not keep later ones from being published, which are not run with it.
    """
    earlier = [p for p in warehouse.partitions("commitment_total") if p < period]
    states = [warehouse.state("commitment_total", p) for p in earlier]
    asked = queries.query(bill.COMMITMENT_ROUNDING).digest
    mark = digest(asked, earlier, [s.identity for s in states if s is not None])
    return Derived(mark, functools.partial(_commitment_rounding, warehouse, period, earlier))


def _commitment_rounding(
    warehouse: Warehouse, period: str, earlier: list[str], files: Mapping[str, list[Path]]
) -> list[Part]:
    before = [
        file
        for p in earlier
        for file in sorted(warehouse.folder("commitment_total", p).glob("*.parquet"))
    ]
    with warehouse.engine() as connection:
        rows = bill.commitment_rounding(connection, period, files["commitment_total"], before)
    if rows.is_empty():
        return []
    return [
        Part(
            name=bill.ROUNDING,
            fingerprint=digest(rows.rows(), queries.query(bill.COMMITMENT_TOTAL).digest),
            tables=FILE_TABLES,
            read=functools.partial(_book_rounding, warehouse, period, rows),
        )
    ]


def _book_rounding(warehouse: Warehouse, period: str, rows: pl.DataFrame, into: Path) -> None:
    with warehouse.engine() as connection:
        bill.book_rounding(connection, period, rows, into)


# ----------------------------------------------------------------------------------- usage


def _metrics_and_logs() -> Step:
    return Step(
        "usage",
        "usage",
        USAGE_TABLES,
        frozenset(),
        "Cluster metrics by the hour, from Prometheus or from files of samples; inference logs "
        "counted by hour, endpoint, caller and model, and invocations of functions likewise. "
        "Prompts and bodies are never read.",
        read_usage,
    )


def read_usage(warehouse: Warehouse, period: str) -> list[Built]:
    """Read the days of a period; a day whose files did not change is not read again."""
    built = two_at_a_time(functools.partial(_read_day, warehouse), days(period))
    forget(warehouse.landing)
    return [b for of_day in built for b in of_day]


def _read_day(warehouse: Warehouse, day: str) -> list[Built]:
    config = warehouse.config
    sources: list[tuple[str, UsageSection, Callable[[], Part | None]]] = [
        *(
            ("metrics", b, functools.partial(_metric_part, warehouse, b, day))
            for b in config.metrics
        ),
        *(("calls", b, functools.partial(_call_part, warehouse, b, day)) for b in config.inference),
        *(
            ("invocations", b, functools.partial(_invocation_part, warehouse, b, day))
            for b in config.invocation
        ),
    ]
    parts: list[Part] = []
    for what, block, ask in sources:
        name = f"{block.name}.{what}"
        part = _standing(warehouse, block, day, name) or ask()
        if part is not None:
            parts.append(part)
            continue
        place, way_out = str(block.location), "say for how many days it keeps them (`kept_days`), "
        _refuse_vanished(warehouse, "unread_usage", day, name, block.name, (), place, way_out)
    if not parts and warehouse.state("unread_usage", day) is None:
        return []
    return warehouse.ingest(USAGE_TABLES, day, parts)


def _standing(warehouse: Warehouse, block: UsageSection, day: str, name: str) -> Part | None:
    """What was read of a day that its place does not keep any more; None where it may be asked."""
    if block.kept_days is None or date.fromisoformat(day) > today() - timedelta(block.kept_days):
        return None
    states = {t: s for t in USAGE_TABLES if (s := warehouse.state(t, day)) is not None}
    known = {t: f for t, s in states.items() if (f := s.note.get("parts", {}).get(name))}
    if not known:
        return None
    read = functools.partial(_read_again, warehouse, day, name, tuple(known))
    return Part(name, next(iter(known.values())), tuple(known), read)


def _read_again(
    warehouse: Warehouse, day: str, name: str, tables: Iterable[str], into: Path
) -> None:
    """What an earlier version read of a place, with the columns of this one."""
    with warehouse.engine() as connection:
        for table in tables:
            there = warehouse.folder(table, day) / f"{name}.parquet"
            select = rows_of(contracts.table(table), [there])
            copy(connection, select, into / f"{table}.parquet")


def _metric_part(warehouse: Warehouse, block: MetricsSection, day: str) -> Part | None:
    tables = ("unread_usage", "metric_hour")
    if block.is_export:
        return _export_part(warehouse, block, day)
    if block.kind == "prometheus":
        stamp = usage.fingerprint(block, date.fromisoformat(day))
        found = []
    else:
        found = _found(warehouse.config, str(block.location), day)
        if not found:
            return None
        # What stood at midnight is known from the day before.
        found = [*_found(warehouse.config, str(block.location), day_before(day)), *found]
        stamp = digest(_asked(block), _stamps(found), usage.metrics_digest())
    if stamp is None:
        return None
    read = functools.partial(_read_metrics, warehouse, block, day, found)
    return Part(f"{block.name}.metrics", stamp, tables, read)


def _asked(block: UsageSection) -> dict[str, Any]:
    """What of a block decides what is read of a file."""
    return block.model_dump(exclude={"kept_days"})


def _export_part(warehouse: Warehouse, block: MetricsSection, day: str) -> Part | None:
    """The day's rows of an export; files of a month or more are taken apart into days once."""
    assert block.location is not None
    transport = open_transport(block.location, warehouse.config)
    pattern = in_day(in_month(block.location, day[:7]), day)
    days_of = [
        (item.path, file)
        for item in transport.list(pattern)
        if (file := _taken_apart(warehouse, block, transport, item) / f"{day}.parquet").exists()
    ]
    if not days_of:
        return None
    stamp = digest(
        _asked(block),
        [(path, digest_of(file)) for path, file in days_of],
        pod_exports.day_digest(block.kind),
    )
    read = functools.partial(_read_export, warehouse, block, day, days_of)
    return Part(f"{block.name}.metrics", stamp, ("unread_usage", "metric_hour"), read)


def _taken_apart(
    warehouse: Warehouse, block: MetricsSection, transport: Transport, item: Item
) -> Path:
    """The folder of an export's days: made once for each state of the file, kept while in use."""
    mark = digest(item.address, item.fingerprint, pod_exports.file_digest(block.kind))
    folder = warehouse.landing / f"{mark}{pod_exports.SUFFIX}"
    with _FETCHING:
        if folder.exists():
            os.utime(folder)
        else:
            local = transport.fetch(item, warehouse.landing)
            with warehouse.engine() as connection:
                pod_exports.take_apart(connection, block.kind, item, local, folder)
    return folder


def _read_export(
    warehouse: Warehouse,
    block: MetricsSection,
    day: str,
    files: list[tuple[str, Path]],
    into: Path,
) -> None:
    with warehouse.engine() as connection:
        pod_exports.read_day(connection, block, day, files, into)


def _call_part(warehouse: Warehouse, block: InferenceSection, day: str) -> Part | None:
    found = _found(warehouse.config, block.location, day)
    if not found:
        return None
    clusters = sorted({metrics.cluster for metrics in warehouse.config.metrics})
    known = usage.calls_digest(block.dialect)
    stamp = digest(_asked(block), clusters, _stamps(found), known)
    read = functools.partial(_read_calls, warehouse, block, day, found)
    return Part(f"{block.name}.calls", stamp, ("unread_usage", "inference_usage"), read)


def _invocation_part(warehouse: Warehouse, block: InvocationSection, day: str) -> Part | None:
    config = warehouse.config
    found = _found(config, block.location, day)
    if not found:
        return None
    known = usage.invocations_digest(block.dialect, config.owner)
    stamp = digest(_asked(block), _stamps(found), known)
    calls = ("inference_usage",) if block.dialect in usage.POD_DIALECTS else ()
    tables = ("unread_usage", "invocation_usage", *calls)
    read = functools.partial(_read_invocations, warehouse, block, day, found)
    return Part(f"{block.name}.invocations", stamp, tables, read)


def _found(config: Config, location: str, day: str) -> list[tuple[Transport, Item]]:
    if "{date}" not in location:
        raise ConfigError(f"{location!r} must hold {{date}}, so that each day is read once")
    transport = open_transport(location, config)
    return [(transport, item) for item in transport.list(in_day(location, day))]


def _stamps(found: list[tuple[Transport, Item]]) -> list[tuple[str, str]]:
    return [(item.path, item.fingerprint) for _, item in found]


def _local(warehouse: Warehouse, found: list[tuple[Transport, Item]]) -> list[tuple[str, Path]]:
    with _FETCHING:
        return [(item.path, place.fetch(item, warehouse.landing)) for place, item in found]


def _read_metrics(
    warehouse: Warehouse,
    block: MetricsSection,
    day: str,
    found: list[tuple[Transport, Item]],
    into: Path,
) -> None:
    with warehouse.engine() as connection:
        files = _local(warehouse, found)
        root = warehouse.config.root
        usage.read_metrics(connection, block, date.fromisoformat(day), files, into, root)
        if block.kind == "prometheus":
            _refuse_forgotten(connection, warehouse, block, day, into / "metric_hour.parquet")


def _refuse_forgotten(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    block: MetricsSection,
    day: str,
    read: Path,
) -> None:
    """A server that has fewer hours of a day than it had has forgotten them; we have not.

    What it had was read by this block, or of its cluster by one that has gone: a new name is no
    new server.
    """
    others = {b.name for b in warehouse.config.metrics} - {block.name}
    hours = "select count(distinct x_HourStart) from read_parquet(?) where x_Cluster = ?"
    ((has,),) = connection.execute(hours, [[str(read)], block.cluster]).fetchall()
    for file in sorted(warehouse.folder("metric_hour", day).glob("*.metrics.parquet")):
        name = file.name.removesuffix(".metrics.parquet")
        if name in others:
            continue
        ((had,),) = connection.execute(hours, [[str(file)], block.cluster]).fetchall()
        if has < had:
            raise DeliveryVanished(
                f"{block.name}: {block.url} has {has} hours of {day} of which {name} had {had} "
                "when it was asked; what was read stands. Say for how many days the server keeps "
                f"samples (`kept_days`), and keep the name {name!r}, by which they are known"
            )


def _read_calls(
    warehouse: Warehouse,
    block: InferenceSection,
    day: str,
    found: list[tuple[Transport, Item]],
    into: Path,
) -> None:
    with warehouse.engine(sums_joins=False) as connection:
        files = _local(warehouse, found)
        clusters = {metrics.cluster for metrics in warehouse.config.metrics}
        usage.read_calls(connection, block, date.fromisoformat(day), files, into, clusters)


def _read_invocations(
    warehouse: Warehouse,
    block: InvocationSection,
    day: str,
    found: list[tuple[Transport, Item]],
    into: Path,
) -> None:
    with warehouse.engine() as connection:
        bind_rows(connection, "owner_key", small_tables(warehouse.config)["owner_key"])
        files = _local(warehouse, found)
        usage.read_invocations(connection, block, date.fromisoformat(day), files, into)


# -------------------------------------------------------------------------------- declared


def _declared() -> Step:
    return Step(
        "declared",
        "declared",
        DECLARED_TABLES,
        frozenset(),
        "Every workload the GitOps repositories declare, read from the tip of their base branch "
        "without a checkout, with the file and line of each value.",
        read_declared,
    )


def read_declared(warehouse: Warehouse, _period: str) -> list[Built]:
    """Read the GitOps repositories; one whose base branch did not move is not read again."""
    config = warehouse.config
    parts = [
        Part(
            name=block.name,
            fingerprint=digest(block.model_dump(), manifests.tip(block, config)),
            tables=DECLARED_TABLES,
            read=functools.partial(_read_repository, config, block),
        )
        for block in config.gitops
    ]
    return warehouse.ingest(DECLARED_TABLES, "", parts)


def _read_repository(config: Config, block: GitopsSection, into: Path) -> None:
    declared = manifests.read(block, config)
    declared.workloads.write_parquet(into / "declared_workload.parquet", compression="zstd")
    declared.fields.write_parquet(into / "declared_field.parquet", compression="zstd")


# ---------------------------------------------------------------------------------- prices


def _prices() -> Step:
    return Step(
        "price",
        "allocation",
        ("price",),
        frozenset(),
        "What bought models cost by the provider's list, from the dated files that `[price_book]` "
        "names.",
        read_price_book,
    )


def read_price_book(warehouse: Warehouse, _period: str) -> list[Built]:
    """Read the price book; a file with the bytes of before is not read again."""
    location = warehouse.config.price_book.location
    landed = Landed(warehouse.landing / "bill", "prices")
    parts: list[Part] = []
    if location is not None:
        transport = landed.open(open_transport(location, warehouse.config))
        parts = [
            Part(
                name=part_name("prices", item.path),
                fingerprint=digest(item.path, transport.digest(item), queries.macros()),
                tables=("price",),
                read=functools.partial(prices.read_prices, transport, item),
            )
            for item in transport.list(location)
        ]
        _refuse_vanished(warehouse, "price", "", "prices.", "[price_book]", parts, location)
    built = warehouse.ingest(("price",), "", parts)
    landed.keep()
    return built


# ------------------------------------------------------------------------------ registries


def _registries() -> Step:
    return Step(
        "model_version",
        "declared",
        ("model_version",),
        frozenset(),
        "Every model version that the registries know, and what finops.toml says of some.",
        read_registries,
    )


def read_registries(warehouse: Warehouse, _period: str) -> list[Built]:
    """List the registries; what did not change since costs no more than the listing."""
    config = warehouse.config
    known = {block.name: open_registry(block).versions() for block in config.registry}
    parts = [
        Part(
            name=name or "finops.toml",
            fingerprint=digest([asdict(v) for v in found]),
            tables=("model_version",),
            read=functools.partial(registries.write, name or "(finops.toml)", found),
        )
        for name, found in {**known, "": registries.declared(config)}.items()
    ]
    return warehouse.ingest(("model_version",), "", parts)


# ------------------------------------------------------------------------------ statements


def _statements() -> Step:
    return Step(
        "statements",
        "showback",
        ("invoice_summary", "billing_period"),
        frozenset(),
        "What the providers' own invoices ask for, from the files that `invoices` names, and which "
        "periods they say are closed, from those that `billing_periods` names.",
        read_statements,
    )


def read_statements(warehouse: Warehouse, period: str) -> list[Built]:
    """Read what providers say of a period; a file with the bytes of before is not read again."""
    landed = Landed(warehouse.landing / "bill", f"{period}.invoices")
    invoices: list[Part] = []
    states: list[Part] = []
    for block in warehouse.config.billing:
        if block.invoices is not None:
            if not names_month(block.invoices):
                raise ConfigError(
                    f"[[billing]] {block.name}: {block.invoices!r} must hold {{period}}, "
                    "{yyyymm}, or {year} and {month}, so that each month's bill is held against "
                    "its own invoices"
                )
            place = in_month(block.invoices, period)
            transport = landed.open(open_transport(place, warehouse.config))
            invoices += [
                _statement("invoice_summary", statement.read_invoices, transport, block, period, i)
                for i in transport.list(place)
            ]
        if block.billing_periods is not None:
            place = in_month(block.billing_periods, period)
            transport = landed.open(open_transport(place, warehouse.config))
            states += [
                _statement("billing_period", statement.read_periods, transport, block, period, i)
                for i in transport.list(place)
            ]
    built = warehouse.ingest(("invoice_summary",), period, invoices)
    built += warehouse.ingest(("billing_period",), period, states)
    landed.keep()
    return built


def _statement(
    table: str,
    read: Callable[[Transport, BillingSection, str, Item, Path], None],
    transport: Transport,
    block: BillingSection,
    period: str,
    item: Item,
) -> Part:
    return Part(
        name=part_name(block.name, item.path),
        fingerprint=digest(
            block.name, item.path, transport.digest(item), contracts.table(table).names
        ),
        tables=(table,),
        read=functools.partial(read, transport, block, period, item),
    )


def _revenue() -> Step:
    return Step(
        "revenue",
        "showback",
        ("revenue",),
        frozenset(),
        "What tenants pay for the period, from the files that `[economics] revenue` names.",
        read_revenue,
    )


def read_revenue(warehouse: Warehouse, period: str) -> list[Built]:
    """Read the revenue of a period; a file with the bytes of before is not read again."""
    location = warehouse.config.economics.revenue
    parts: list[Part] = []
    landed = Landed(warehouse.landing / "bill", f"{period}.revenue")
    if location is not None:
        if not names_month(location):
            raise ConfigError(
                f"[economics] revenue: {location!r} must hold {{period}}, {{yyyymm}}, or {{year}} "
                "and {month}, so that each month's cost is held against its own revenue"
            )
        place = in_month(location, period)
        transport = landed.open(open_transport(place, warehouse.config))
        parts = [
            Part(
                name=part_name("revenue", item.path),
                fingerprint=digest(item.path, transport.digest(item)),
                tables=("revenue",),
                read=functools.partial(statement.read_revenue, transport, period, item),
            )
            for item in transport.list(place)
        ]
    built = warehouse.ingest(("revenue",), period, parts)
    landed.keep()
    return built


# ------------------------------------------------------------------------------ price ratio


def _price_ratio() -> Step:
    return Step(
        "price_ratio",
        "allocation",
        ("price_ratio",),
        frozenset(queries.query(price_ratio.MACHINE_PRICE).reads),
        "What a core, a GiB of memory and a GPU weigh beside each other, cluster by cluster: as "
        "stated, or as the bill's own prices of machines on demand have it.",
        find_price_ratio,
    )


def find_price_ratio(warehouse: Warehouse, period: str) -> list[Built]:
    """Find the price ratio of each cluster in a month; one that is stated is only written down."""
    allocation = warehouse.config.allocation
    asked = queries.query(price_ratio.MACHINE_PRICE)

    def make(connection: duckdb.DuckDBPyConnection, into: Path) -> None:
        found = price_ratio.ratios(connection, allocation)
        price_ratio.write(found, period, into / "part.parquet")

    stamp = digest(asked.digest, allocation.price_ratio, allocation.stated_weights)
    return [warehouse.build_made("price_ratio", period, asked.reads, stamp, make)]


# ------------------------------------------------------------------------------ shared cost


def _shared_weight() -> Step:
    every = [queries.query(f"allocation/shared/{s}") for s in queries.stems("allocation/shared")]
    return Step(
        "shared_weight",
        "allocation",
        ("shared_weight",),
        frozenset(r for q in every for r in q.reads if r in contracts.tables()),
        "Who bears each shared cost in the end, by the `[[shared_cost]]` blocks: their steps in "
        "order, and services that serve each other at once, in exact fractions.",
        weigh_shared_cost,
    )


def weigh_shared_cost(warehouse: Warehouse, period: str) -> list[Built]:
    """Weigh the shared cost of a month, by what the configuration's blocks have to know of it."""
    config = warehouse.config
    files = sharing.files(config)
    own = [(d, sharing.read_driver(config.path(d), period)) for d in sharing.own_drivers(config)]
    stamp = digest(
        [b.model_dump() for b in config.shared_cost],
        [f.digest for f in files],
        sorted((k, str(v)) for k, v in parameters(config).items()) if files else [],
        own,
    )

    def make(connection: duckdb.DuckDBPyConnection, into: Path) -> None:
        weights = sharing.weigh(connection, config, period)
        sharing.write(weights, period, into / "part.parquet")

    reads = frozenset(r for f in files for r in f.reads)
    return [warehouse.build_made("shared_weight", period, reads, stamp, make)]


# -------------------------------------------------------------------------------- publishing


def report_path(config: Config) -> Path:
    """The report page: in `report/`, beside the database."""
    return config.database.parent / "report" / "index.html"


def proposals_folder(config: Config) -> Path:
    """Where the folder forge writes patches and bodies."""
    return config.path(config.pull_requests.path)


def publish_database(warehouse: Warehouse) -> Path:
    """Publish the working generation and `showback.duckdb`; returns the database."""
    return publish(warehouse)


def write_report(config: Config) -> Path:
    """Write the report page from the published database; returns the page."""
    from . import report

    return report.write(config.database, report_path(config).parent)


def submit_proposals(config: Config, periods: list[str]) -> list[Submitted]:
    """Recommendations and closed periods' showback, to the forge.

    What is open already stays as it is while about the same is recommended, what a person declined
    stays closed, and what is not recommended any more is settled.
    """
    declared = {b.name: manifests.read(b, config) for b in config.gitops}
    forge = open_forge(config, declared)
    opened_now = {b: o for name in declared for b, o in forge.opened(name).items()}
    declined = {i: v for name in declared for i, v in forge.declined(name).items()}
    submitted: list[Submitted] = []
    with opened(config.database) as connection:

        def table(name: str, period: str) -> pl.DataFrame:
            text = queries.query(f"proposals/{name}").text
            frame: pl.DataFrame = connection.sql(text, params={"period": period}).pl()
            return frame

        basis = connection.execute(
            queries.query("proposals/basis").text, {"first": min(periods), "last": max(periods)}
        ).fetchall()
        planned = proposals.plan(
            table("recommendation", basis[0][0] if basis else max(periods)),
            declared,
            config.pull_requests.max_open,
            declined,
            opened_now,
        )
        submitted += [forge.submit(p) for p in planned.proposals]
        submitted += [Submitted("exists", k.repository, k.branch, k.reason) for k in planned.kept]
        submitted += [Submitted("waiting", h.repository, h.branch, h.reason) for h in planned.held]
        submitted += [Submitted("refused", r.repository, r.id, r.reason) for r in planned.refused]
        closed = connection.execute(
            queries.query("proposals/closed").text, {"now": history.now().isoformat()}
        ).fetchall()
        for block in config.gitops:
            submitted += forge.settle(block.name, planned.branches(block.name))
            for period, is_news in closed:
                if block.showback and (period in periods or is_news):
                    proposal = proposals.showback_proposal(
                        period,
                        table("showback", period),
                        table("coverage", period),
                        table("unit_cost", period),
                        block,
                        str(declared[block.name].commit),
                    )
                    submitted.append(forge.submit(proposal))
    return submitted


def survey(config: Config, period: str) -> list[tuple[str, bool]]:
    """What `finops check` tells: each input with how many files there are, and whether any is."""
    told: list[tuple[str, bool]] = []
    small_tables(config)  # what one block says against another is an error here, too
    for block in config.billing:
        location = deliveries.of_month(block, block.location, period)
        found = open_transport(block.location, config).list(location)
        told.append((f"[[billing]] {block.name}: {len(found)} file(s) of {period}", bool(found)))
        dialect(block.dialect)
    sources: list[MetricsSection | InferenceSection | InvocationSection] = [
        *config.metrics,
        *config.inference,
        *config.invocation,
    ]
    for source in sources:
        if source.location is None:
            told.append((f"[[metrics]] {source.name}: asks a server when it runs", True))
            continue
        if isinstance(source, MetricsSection) and source.is_export:
            patterns = {in_day(in_month(source.location, period), day) for day in days(period)}
            place = open_transport(source.location, config)
            count = sum(len(place.list(pattern)) for pattern in sorted(patterns))
        else:
            count = sum(len(_found(config, source.location, day)) for day in days(period))
        told.append((f"{source.name}: {count} file(s) in the days of {period}", bool(count)))
    if config.economics.revenue is not None:
        location = in_month(config.economics.revenue, period)
        files = open_transport(location, config).list(location)
        told.append((f"[economics] revenue: {len(files)} file(s) of {period}", bool(files)))
    for registry in config.registry:
        versions = open_registry(registry).versions()
        told.append(
            (f"[[registry]] {registry.name}: {len(versions)} model version(s)", bool(versions))
        )
    if config.price_book.location is not None:
        location = config.price_book.location
        books = open_transport(location, config).list(location)
        told.append((f"[price_book]: {len(books)} file(s)", bool(books)))
    for driver in sharing.own_drivers(config):
        count = len(sharing.read_driver(config.path(driver), period))
        told.append((f"[[shared_cost]] {driver}: {count} record(s) of {period}", bool(count)))
    for repository in config.gitops:
        read = manifests.read(repository, config)
        told.append(
            (
                f"[[gitops]] {repository.name}: {read.workloads.height} container(s) declared at "
                f"{str(read.commit)[:10]}",
                read.workloads.height > 0,
            )
        )
        told += [(f"{p.path}:{p.line}: {p.reason}", False) for p in read.problems]
    return told
