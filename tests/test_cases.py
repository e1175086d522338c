"""Two-row tables in, two-row tables out: sums one can do in one's head.

A case is a YAML file under `cases/<stage>/`: `given` rows (columns left out take the defaults
below), the `run` of SQL files in order, `config` as in finops.toml, and the rows to `expect`,
of which only the columns written are compared.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from finops_pipeline import bindings, config, contracts, queries
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
    "x_Cluster": "c",
    "x_Namespace": "ns",
    "x_WorkloadKind": "Deployment",
    "x_Source": "test",
    "x_SourceFile": "file",
    "x_SourceRow": 1,
    "x_RunningMs": 3600000,
}
BY_TYPE = {"VARCHAR": "", "BIGINT": 0, "DECIMAL(38,12)": "0", "DECIMAL(38,0)": "0"}


def engine(given: dict[str, list[dict[str, Any]]], settings: dict[str, Any]) -> Any:
    """A database with every table of the contracts, empty but for the given rows."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(queries.macros())
    for name, small in bindings.small_tables(config.parse(settings, Path())).items():
        bind_rows(connection, name, small)
    unknown = set(given) - set(contracts.tables())
    assert not unknown, f"no such table: {unknown}"
    for table in contracts.tables().values():
        columns = ", ".join(f"{identifier(c)} {t}" for c, t in table.duckdb.items())
        connection.execute(f"create table {identifier(table.name)} ({columns})")
        for row in given.get(table.name, []):
            assert not set(row) - set(table.names), (table.name, set(row) - set(table.names))
            values = [
                row.get(c, DEFAULTS.get(c, None if c in table.nullable else BY_TYPE.get(t)))
                for c, t in table.duckdb.items()
            ]
            marks = ", ".join(f"cast(? as {t})" for t in table.duckdb.values())
            connection.execute(f"insert into {identifier(table.name)} values ({marks})", values)
    return connection


def fill(connection: Any, path: str, parameters: dict[str, Any]) -> None:
    """Run one SQL file and put its rows into the table it fills."""
    query = queries.query(path)
    bound = {k: v for k, v in parameters.items() if k in query.parameters}
    missing = query.parameters - set(bound)
    assert not missing, f"{path} wants {missing}"
    connection.execute(f"insert into {identifier(query.name)} by name {query.text}", bound)


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_case(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = case.get("config", {})
    parsed = config.parse(settings, Path())
    connection = engine(case["given"], settings)
    for step in case["run"]:
        parameters = {
            "period": "2026-10",
            **bindings.parameters(parsed),
            **bindings.recommender_parameters(parsed, step.rsplit("/", 1)[-1]),
        }
        fill(connection, step, parameters)
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
