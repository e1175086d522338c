"""What the engine itself needs for one step: its bound. Prints one JSON object as its last line.

What belongs here: bare queries over the step's own inputs and results, after it ran. A bound has
three parts: the columns the step reads are scanned (which they are is read off the engine's
own plan of the step's SQL); the input that decides its grain is grouped to that grain while it is
scanned; and the step's result is written as Parquet again. No contract, no rule, no publishing.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from finops_pipeline import bill, bindings, contracts, pipeline, queries
from finops_pipeline import config as configuration
from finops_pipeline.config import Config
from finops_pipeline.dialect import KINDS, dialect
from finops_pipeline.periods import days
from finops_pipeline.publish import is_kept
from finops_pipeline.warehouse import Warehouse, bind_files, connect, identifier, literal

COSTS = "sum(BilledCost) as b, sum(EffectiveCost) as e"
POD = "x_Cluster, x_HourStart, x_PodUid"
# Step -> the input that decides its grain, and how that input is grouped while it is read.
GRAIN: dict[str, tuple[str, str, str]] = {
    "tag_set": ("delivered_tag_set", "x_TagSetId, min(Tags) as t", "x_TagSetId"),
    "container_usage": (
        "metric_hour",
        f"{POD}, x_Container, sum(x_Value) as v",
        f"{POD}, x_Container",
    ),
    "pod_usage": (
        "container_usage",
        f"{POD}, sum(x_CpuRequestCoreMs) as c, sum(x_GpuRequestMs) as g",
        POD,
    ),
    "charge_owner": (
        "cost_and_usage",
        "cast(ChargePeriodStart as date) as d, InvoiceId, BillingCurrency, ProviderName, "
        "SubAccountId, ServiceCategory, ServiceName, ChargeCategory, x_TagSetId, ResourceId is null "
        f"as r, {COSTS}",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    ),
    "charge_kind": (
        "cost_and_usage",
        "InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName, "
        f"ChargeCategory, count(*) as n, {COSTS}",
        "1, 2, 3, 4, 5, 6, 7",
    ),
    "usage_share": (
        "inference_usage",
        "cast(x_HourStart as date) as d, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, "
        "sum(x_GpuMs) as g, sum(x_InputTokens) as i, sum(x_CachedInputTokens) as c, "
        "sum(x_OutputTokens) as o",
        "1, 2, 3, 4, 5, 6",
    ),
    "allocated_cost": ("usage_share", "x_PoolId, sum(x_Weight) as w", "1"),
    "showback": (
        "allocated_cost",
        "x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName, "
        f"x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod, {COSTS}",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11",
    ),
    "resource_cost": (
        "cost_and_usage",
        "ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory, ResourceId, "
        "x_TagSetId, BillingCurrency, sum(EffectiveCost) as e, max(EffectiveCost) as m, "
        "count(*) as n",
        "1, 2, 3, 4, 5, 6, 7, 8",
    ),
}
CALLS = (
    "x_HourStart, x_Endpoint, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model, "
    "count(*) as n, sum(i) as i, sum(c) as c, sum(o) as o, sum(g) as g, sum(l) as l, max(id) as id"
)


def bound(path: Path, period: str, step: str) -> dict[str, Any]:
    """Seconds of the bare queries of a step, and the rows that went in."""
    config = configuration.load(path)
    warehouse = Warehouse(config)
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as scratch,
        contextlib.closing(connect(config, Path(scratch), sums_joins=False)) as connection,
    ):
        folder = Path(scratch)
        if step == "bill":
            files = sorted((path.parent / "bill").rglob("*.parquet"))
            return _read_bill(connection, files, warehouse, folder)
        if step == "usage":
            return _read_usage(connection, path.parent, period, warehouse, folder)
        if step == "publish":
            return _copy_tables(connection, warehouse, folder)
        tables = next(s.tables for s in pipeline.steps() if s.name == step)
        if not any(step in queries.stems(stage) for stage in contracts.STAGES):
            return {"seconds": 0.0, "cpu": 0.0, "rows": 0}
        return _query(connection, config, warehouse, period, tables[0], folder)


def _timed(connection: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    for statement in statements:
        connection.execute(statement).fetchall()
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}


def _read_bill(
    connection: duckdb.DuckDBPyConnection, files: list[Path], warehouse: Warehouse, folder: Path
) -> dict[str, Any]:
    """The delivered columns that the dialect reads, as they are declared, and the step's tables."""
    listed = f"[{', '.join(literal(f) for f in files)}]"
    kinds = {c.name: c for c in dialect("aws_cur").columns}
    columns = []
    for name, type_ in (
        r[:2] for r in connection.execute(f"describe from read_parquet({listed})").fetchall()
    ):
        if name not in kinds:
            continue
        kind = KINDS[kinds[name].kind]
        columns.append(
            f"cast(to_json({name}) as varchar)"
            if type_.startswith("MAP")
            else f"cast({name} as {kind})"
        )
    scan = f"select bit_xor(hash({', '.join(columns)})) from read_parquet({listed})"
    rows = connection.execute(f"select count(*) from read_parquet({listed})").fetchall()[0][0]
    written = _written(warehouse, pipeline.BILL_TABLES, bill.COPY, folder)
    return {**_timed(connection, [scan, *written]), "rows": rows}


def _read_usage(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    period: str,
    warehouse: Warehouse,
    folder: Path,
) -> dict[str, Any]:
    """Metrics scanned, calls grouped by hour and owner, a day at a time, and the step's tables."""
    statements, rows = [], 0
    for day in days(period):
        metrics, calls = root / "metrics" / f"{day}.parquet", root / "calls" / f"{day}.parquet"
        statements.append(
            f"select bit_xor(hash(metric)) from read_parquet({literal(metrics)}) as metric"
        )
        statements.append(
            f"select bit_xor(hash(grouped)) from (select {CALLS} from (select *, "
            "date_trunc('hour', x_Time) as x_HourStart, "
            "x_InputTokens as i, x_CachedInputTokens as c, x_OutputTokens as o, x_GpuMs as g, "
            f"x_LatencyMs as l, x_CallId as id from read_parquet({literal(calls)})) as call "
            "group by 1, 2, 3, 4, 5, 6, 7) as grouped"
        )
        for file in (metrics, calls):
            found = connection.execute(f"select count(*) from read_parquet({literal(file)})")
            rows += found.fetchall()[0][0]
    statements += _written(
        warehouse, pipeline.USAGE_TABLES, "(format parquet, compression zstd)", folder
    )
    return {**_timed(connection, statements), "rows": rows}


def _written(warehouse: Warehouse, tables: Iterable[str], codec: str, folder: Path) -> list[str]:
    """Statements that write what a step has written once more, a file for each of its files."""
    return [
        f"copy (select {', '.join(identifier(c) for c in contracts.table(name).names)} "
        f"from read_parquet({literal(file)}, hive_partitioning = false)) "
        f"to {literal(folder / 'result.parquet')} {codec}"
        for name in tables
        for partition in warehouse.partitions(name)
        for file in sorted(warehouse.folder(name, partition).glob("*.parquet"))
    ]


def _copy_tables(
    connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, folder: Path
) -> dict[str, Any]:
    """The tables that the database holds as tables, written as Parquet again."""
    statements, rows = [], 0
    generation = warehouse.current or warehouse.next
    for table in contracts.tables().values():
        files = sorted((generation / table.name).glob("*/*.parquet"))
        if is_kept(table) and files:
            bind_files(connection, table, files)
            name = identifier(table.name)
            rows += connection.execute(f"select count(*) from {name}").fetchall()[0][0]
            statements.append(
                f"copy (from {name}) to {literal(folder / 'result.parquet')} "
                "(format parquet, compression zstd)"
            )
    return {**_timed(connection, statements), "rows": rows}


def _query(
    connection: duckdb.DuckDBPyConnection,
    config: Config,
    warehouse: Warehouse,
    period: str,
    name: str,
    folder: Path,
) -> dict[str, Any]:
    table = contracts.table(name)
    query = queries.query(f"{table.stage}/{name}")
    daily = table.partition == "x_Day"
    partitions = [d for d in days(period) if daily and d in warehouse.partitions(name)] or [period]
    inputs: dict[str, list[str]] = {}
    for partition in partitions:
        for source, there in warehouse.inputs(table, partition, query.reads).items():
            inputs[source] = sorted({*inputs.get(source, []), *there})
    warehouse.bind(connection, inputs, query.reads)
    bound = {**bindings.parameters(config), "period": period}
    bound |= {"from_day": date.min, "until_day": date.max}
    bound.update(bindings.recommender_parameters(config, name))
    plan = connection.execute(
        f"explain (format json) {query.text}", {k: bound[k] for k in query.parameters}
    ).fetchall()
    read = _columns_read(json.loads(plan[0][1]), inputs)
    rows = 0
    statements = []
    for source in inputs:
        rows += connection.execute(f"select count(*) from {identifier(source)}").fetchall()[0][0]
        if name in GRAIN and GRAIN[name][0] == source:
            _, select, keys = GRAIN[name]
            statements.append(
                f"select bit_xor(hash(grouped)) from (select {select} from {identifier(source)} "
                f"group by {keys}) as grouped"
            )
        elif read.get(source):
            columns = ", ".join(identifier(c) for c in sorted(read[source]))
            statements.append(f"select bit_xor(hash({columns})) from {identifier(source)}")
    files = [f for p in partitions for f in sorted(warehouse.folder(name, p).glob("*.parquet"))]
    bind_files(connection, table, files)
    statements.append(
        f"copy (from {identifier(name)}) to {literal(folder / 'result.parquet')} "
        "(format parquet, compression zstd)"
    )
    return {**_timed(connection, statements), "rows": rows}


def _columns_read(plan: Any, sources: Iterable[str]) -> dict[str, set[str]]:
    """Table -> columns its scans project, from the engine's plan of a query over views."""
    found: dict[str, set[str]] = {}
    names = {s: set(contracts.table(s).names) for s in sources}
    stack = [plan]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
            continue
        stack.extend(node.get("children", ()))
        info = node.get("extra_info", {})
        if "PARQUET" not in str(info.get("Function", node.get("name", ""))).upper():
            continue
        columns = info.get("Projections", [])
        columns = {columns} if isinstance(columns, str) else set(columns)
        path = str(info.get("Filename(s)", info.get("Scanning Files", "")))
        # Which table a scan is of is told by its path, or else by its columns.
        owner = next((s for s in names if f"/{s}/" in path), None) or min(
            (s for s in names if columns <= names[s]), key=lambda s: len(names[s]), default=None
        )
        if owner is not None:
            found.setdefault(owner, set()).update(columns & names[owner])
    return found


if __name__ == "__main__":
    print(json.dumps(bound(Path(sys.argv[1]), sys.argv[2], sys.argv[3])))
