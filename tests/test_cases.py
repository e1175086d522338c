"""Two-row tables in, two-row tables out: sums one can do in one's head.

A case is a YAML file under `cases/<stage>/`: `given` rows (columns left out take the defaults
below), the `run` of SQL files or of whole stages in order, `config` as in finops.toml, and the
rows to `expect`, of which only the columns written are compared. What a provider would
`deliver`, for a `period`, in a `dialect` and perhaps with one of two `costs`, are rows of text
columns. `inference_call` has the calls of a log, as its dialect yields them, for
`usage/inference_usage`.
"""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from finops_pipeline import (
    bill,
    bindings,
    config,
    contracts,
    pipeline,
    price_ratio,
    queries,
    sharing,
)
from finops_pipeline.contracts.fields import FIELDS
from finops_pipeline.contracts.usage import INFERENCE_CALL
from finops_pipeline.transports import Item
from finops_pipeline.warehouse import bind_rows, identifier

CASES = sorted((Path(__file__).parent / "cases").glob("*/*.yaml"))

DEFAULTS: dict[str, Any] = {
    "BillingPeriod": "2026-10",
    "BillingPeriodStart": "2026-10-01",
    "BillingPeriodEnd": "2026-11-01",
    "ChargePeriodStart": "2026-10-01 00:00",
    "ChargePeriodEnd": "2026-10-01 01:00",
    "x_ChargeDay": "2026-10-01",
    "x_Day": "2026-10-01",
    "x_HourStart": "2026-10-01 00:00",
    "InvoiceId": "invoice",
    "BillingCurrency": "USD",
    "ProviderName": "AWS",
    "ChargeCategory": "Usage",
    "ServiceCategory": "Compute",
    "ServiceName": "EC2",
    "x_AllocationMethod": "tag",
    "Tags": "{}",
    "x_Labels": "{}",
    "x_ClaimLabels": "{}",
    "x_Cluster": "c",
    "x_Namespace": "ns",
    "x_WorkloadKind": "Deployment",
    "x_Source": "test",
    "x_SourceFile": "file",
    "x_SourceRow": 1,
    "x_RunningMs": 3600000,
    "x_ServiceTier": "standard",
    "x_ContextClass": 0,
    "x_PriceFrom": "2026-01-01",
    "x_PricingBlockSize": 1000000,
    "PricingCurrency": "USD",
}
TABLES = frozenset(contracts.tables())
BY_TYPE = {"VARCHAR": "", "BIGINT": 0, "DECIMAL(38,12)": "0", "DECIMAL(38,0)": "0"}


def engine(given: dict[str, list[dict[str, Any]]], settings: dict[str, Any]) -> Any:
    """A database with every table of the contracts, empty but for the given rows."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(queries.macros())
    for name, small in bindings.small_tables(config.parse(settings, Path())).items():
        bind_rows(connection, name, small)
    if "inference_call" in given:
        names = [c.rstrip("?") for c in INFERENCE_CALL.split()]
        columns = ", ".join(f"{c} {FIELDS[c].type}" for c in ["x_Source", *names])
        connection.execute(f"create table inference_call ({columns})")
        for row in given["inference_call"]:
            calls = {"x_Source": "test", "x_Time": DEFAULTS["x_HourStart"], "x_Status": "ok", **row}
            marks = ", ".join("?" for _ in calls)
            connection.execute(
                f"insert into inference_call ({', '.join(calls)}) values ({marks})",
                list(calls.values()),
            )
    unknown = set(given) - set(contracts.tables()) - {"inference_call"}
    assert not unknown, f"no such table: {unknown}"
    for table in contracts.tables().values():
        columns = ", ".join(f"{identifier(c)} {t}" for c, t in table.duckdb.items())
        connection.execute(f"create table {identifier(table.name)} ({columns})")
        for row in given.get(table.name, []):
            assert not set(row) - set(table.names), (table.name, set(row) - set(table.names))
            values = [row.get(c, _default(table, c, t)) for c, t in table.duckdb.items()]
            marks = ", ".join(f"cast(? as {t})" for t in table.duckdb.values())
            connection.execute(f"insert into {identifier(table.name)} values ({marks})", values)
    return connection


def _default(table: contracts.Table, column: str, kind: str) -> Any:
    # a log that does not say its cluster is the rule
    if table.name == "inference_usage" and column == "x_Cluster":
        return None
    return DEFAULTS.get(column, None if column in table.nullable else BY_TYPE.get(kind))


def stage_queries(stage: str) -> list[str]:
    """The SQL files of a stage, and what Python makes of it, each after what it reads."""
    files = TABLES.intersection([*queries.stems(stage), "price_ratio", "shared_weight"])
    return [f"{stage}/{s.name}" for s in pipeline.steps() if s.stage == stage and s.name in files]


def fill(
    connection: Any, path: str, parameters: dict[str, Any], parsed: config.Config | None = None
) -> None:
    """Run one SQL file, or what Python makes of some, and put its rows into the table it fills.

    One that asks for days is run for each part of the month, as `day_range` has them.
    """
    if path == "allocation/shared_weight":
        for weight in sharing.weigh(connection, parsed or config.Config(), parameters["period"]):
            row = sharing.row(weight, parameters["period"])
            marks = ", ".join("?" for _ in row)
            connection.execute(f"insert into shared_weight values ({marks})", row)
        return
    if path == "allocation/price_ratio":
        for cluster, ratio in price_ratio.ratios(
            connection, (parsed or config.Config()).allocation
        ):
            row = price_ratio.row(cluster, ratio, parameters["period"])
            marks = ", ".join("?" for _ in row)
            connection.execute(f"insert into price_ratio values ({marks})", row)
        return
    query = queries.query(path)
    parts: list[tuple[Any, Any]] = []
    if "from_day" in query.parameters:
        parts = connection.execute("select x_FromDay, x_UntilDay from day_range").fetchall()
    for from_day, until_day in parts or [("0001-01-01", "9999-12-31")]:
        given = {**parameters, "from_day": from_day, "until_day": until_day}
        bound = {k: v for k, v in given.items() if k in query.parameters}
        missing = query.parameters - set(bound)
        assert not missing, f"{path} wants {missing}"
        connection.execute(f"insert into {identifier(query.name)} by name {query.text}", bound)


def deliver(connection: Any, folder: Path, number: int, file: dict[str, Any]) -> None:
    """Write rows as a CSV file of a dialect, lists as JSON, and read it as a bill is read."""
    local = folder / f"{number}.csv"
    with local.open("w", newline="") as csv_file:
        names = list(dict.fromkeys(name for row in file["rows"] for name in row))
        writer = csv.DictWriter(csv_file, names)
        writer.writeheader()
        for row in file["rows"]:
            lists = {n: json.dumps(v) for n, v in row.items() if isinstance(v, list)}
            writer.writerow({**row, **lists})
    block = config.BillingSection(
        name="test", dialect=file["dialect"], location="*.csv", costs=file.get("costs", "both")
    )
    item = Item(local.name, local.stat().st_size, "f", local.name)
    bill.read_file(connection, block, file["period"], item, local, folder / str(number))
    for name in ("cost_and_usage", "quarantine", "delivery"):
        read = f"read_parquet('{folder / str(number) / name}.parquet', hive_partitioning = false)"
        connection.execute(f"insert into {name} by name from {read}")


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = case.get("config", {})
    parsed = config.parse(settings, Path())
    connection = engine(case.get("given", {}), settings)
    for number, file in enumerate(case.get("deliver", [])):
        deliver(connection, tmp_path, number, file)
    steps = [q for s in case.get("run", []) for q in (stage_queries(s) if "/" not in s else [s])]
    for step in steps:
        parameters = {
            "period": "2026-10",
            "day": DEFAULTS["x_Day"],
            **bindings.parameters(parsed),
            **bindings.recommender_parameters(parsed, step.rsplit("/", 1)[-1]),
        }
        fill(connection, step, parameters, parsed)
    for name, rows in case["expect"].items():
        columns = sorted({c for row in rows for c in row})
        if not columns:
            found: list[Any] = connection.execute(f"from {identifier(name)}").fetchall()
            assert [] == found
            continue
        selected = ", ".join(identifier(c) for c in columns)
        found = connection.execute(f"select {selected} from {identifier(name)}").fetchall()
        types = contracts.table(name).duckdb

        assert sorted(
            (tuple(_typed(row.get(c), types[c]) for c in columns) for row in rows), key=repr
        ) == sorted(
            (
                tuple(_typed(v, types[c]) for c, v in zip(columns, row, strict=True))
                for row in found
            ),
            key=repr,
        )


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind.startswith("DECIMAL"):
        return Decimal(str(value)).normalize()
    return str(value) if kind in ("VARCHAR", "DATE", "TIMESTAMP") else value
