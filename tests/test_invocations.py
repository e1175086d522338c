"""Logs of serverless functions: each dialect by lines as its vendor documents them.

The lines are made up; what is true of them can be added up in one's head.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import bindings, config, contracts, queries, usage
from finops_pipeline.config import InvocationSection
from finops_pipeline.errors import ConfigError
from finops_pipeline.explain import explain
from finops_pipeline.warehouse import bind_rows

from .small import COLUMNS, PERIOD, Small

DAY = date(2026, 3, 2)
ARN = "arn:aws:lambda:eu-west-1:111122223333:function:resize"


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with contextlib.closing(duckdb.connect()) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(queries.macros())
        small = bindings.small_tables(config.parse({}, Path()))
        bind_rows(connection, "owner_key", small["owner_key"])
        yield connection


def read(
    engine: duckdb.DuckDBPyConnection,
    folder: Path,
    dialect: str,
    lines: list[Any],
    **block: Any,
) -> list[dict[str, Any]]:
    """Lines through a dialect and the count of them; refused lines are in `unread_usage`."""
    file = folder / "log.jsonl"
    file.write_text("".join(f"{n if isinstance(n, str) else json.dumps(n)}\n" for n in lines))
    into = folder / "out"
    into.mkdir(exist_ok=True)
    section = InvocationSection(name="f", dialect=dialect, location="x", **block)
    usage.read_invocations(engine, section, DAY, [("log.jsonl", file)], into)
    for path in into.glob("*.parquet"):
        engine.execute(f"create or replace table {path.stem} as from '{path}'")
    found = engine.execute("describe invocation_usage").fetchall()
    assert contracts.table("invocation_usage").duckdb == {r[0]: r[1] for r in found}
    rows = engine.execute("from invocation_usage").fetchall()
    return [dict(zip((f[0] for f in found), row, strict=True)) for row in rows]


def told(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[f"x_{n}"] for n in names) for row in rows), key=repr)


def refused(engine: duckdb.DuckDBPyConnection) -> list[tuple[int, str]]:
    return engine.execute(
        "select x_SourceRow, x_Reason from unread_usage order by x_SourceRow"
    ).fetchall()


# ---------------------------------------------------------------------------------- AWS Lambda


def platform(kind: str, time: str, **record: Any) -> dict[str, Any]:
    return {"time": f"2026-03-02T{time}Z", "type": f"platform.{kind}", "record": record}


def report(time: str, request: str, **more: Any) -> dict[str, Any]:
    metrics = {
        "durationMs": 99.2,
        "billedDurationMs": 100,
        "memorySizeMB": 512,
        "maxMemoryUsedMB": 84,
    }
    init = more.pop("init", None)
    if init is not None:
        metrics["initDurationMs"] = init
    return platform("report", time, requestId=request, metrics=metrics, **more)


def batch(*messages: dict[str, Any] | str, stream: str = "a", group: str = "resize") -> Any:
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "111122223333",
        "logGroup": f"/aws/lambda/{group}",
        "logStream": stream,
        "logEvents": [
            {
                "id": str(n),
                "timestamp": 1772413201000 + n,
                "message": m if isinstance(m, str) else json.dumps(m),
            }
            for n, m in enumerate(messages)
        ],
    }


def test_lambda_reports_as_json_and_who_called_by_the_functions_own_lines(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """100 ms at 512 MB are 51,200 MiB-ms. The second request says its tenant, the third nothing."""
    lines = [
        batch(
            platform("start", "01:00:00.000", requestId="r1", version="$LATEST"),
            {"timestamp": "2026-03-02T01:00:00.050Z", "level": "INFO", "message": "hello",
             "requestId": "r1", "feature": "thumbs", "tenant": "acme"},
            report("01:00:00.100", "r1", status="success", init=250.5),
            {"level": "INFO", "AWSRequestId": "r2", "customer": "globex", "env": "prod"},
            report("01:10:00.100", "r2", status="error"),
        ),
        batch(report("02:00:00.100", "r3", status="success"), stream="b"),
    ]  # fmt: skip
    rows = read(engine, tmp_path, "lambda", lines)

    assert told(
        rows, "Function", "Feature", "Tenant", "Environment", "Invocations", "FailedInvocations",
        "ColdStarts", "DurationMs", "MemoryMibMs",
    ) == [
        ("function:resize", "thumbs", "acme", None, 1, 0, 1, 100, 51200),
        ("function:resize", None, "globex", "prod", 1, 1, 0, 100, 51200),
        ("function:resize", None, None, None, 1, 0, 0, 100, 51200),
    ]  # fmt: skip
    assert {r["SubAccountId"] for r in rows} == {"111122223333"}
    assert [] == refused(engine)


def test_lambda_reports_as_text(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """As the console, and an export to S3 with a time before each line, have it."""
    text = (
        "REPORT RequestId: 6f7f\tDuration: 101.51 ms\tBilled Duration: 102 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 33 MB\tInit Duration: 116.67 ms\t"
    )
    timeout = (
        "REPORT RequestId: 6f80\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t"
        "Memory Size: 128 MB\tMax Memory Used: 33 MB\tStatus: timeout"
    )
    lines = [
        batch("START RequestId: 6f7f Version: $LATEST\n", text, "END RequestId: 6f7f\n"),
        f"2026-03-02T05:00:03.000Z {timeout}",
        "2026-03-02T05:00:00.000Z START RequestId: 6f80 Version: $LATEST",
        timeout,
    ]
    rows = read(engine, tmp_path, "lambda", lines, resource=ARN)

    names = ("Function", "Invocations", "FailedInvocations", "ColdStarts", "MemoryMibMs")
    assert told(rows, *names) == [
        (ARN, 1, 1, 0, 384000),
        ("function:resize", 1, 0, 1, 13056),
    ]  # fmt: skip
    assert [(4, "no time")] == refused(engine)


def test_a_lambda_delivered_twice_counts_once_and_a_retry_counts(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """An asynchronous retry has the request id of what it retries, and another time."""
    first, retry = report("01:00:00.100", "r1"), report("01:01:00.100", "r1")
    rows = read(engine, tmp_path, "lambda", [batch(first), batch(first), batch(retry)])

    assert told(rows, "Invocations", "DurationMs") == [(2, 200)]


def test_lambda_on_provisioned_concurrency_is_told_apart_by_its_environment(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    warm = platform("initStart", "00:59:00.000", initializationType="provisioned-concurrency")
    cold = platform("initStart", "01:00:00.000", initializationType="on-demand")
    lines = [
        batch(warm, report("01:00:00.100", "r1"), stream="a"),
        batch(cold, report("01:00:00.100", "r2"), stream="b"),
        batch(report("01:00:00.100", "r3"), stream="c"),
    ]
    rows = read(engine, tmp_path, "lambda", lines)

    assert told(rows, "Invocations", "MemoryMibMs", "ProvisionedMibMs") == [(3, 153600, 51200)]


def test_lambda_names_itself_by_arn_without_its_alias_and_its_isolated_tenant(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Events of the Telemetry API, one a line, through a collector that adds the stream."""
    lines = [
        {"logStream": "s", "message": json.dumps(m)}
        for m in (
            platform("start", "01:00:00.000", requestId="r1", functionArn=f"{ARN}:live"),
            report("01:00:00.100", "r1", tenantId="blue"),
        )
    ]
    rows = read(engine, tmp_path, "lambda", lines)

    assert told(rows, "Function", "Tenant") == [(ARN, "blue")]


def test_of_a_lambda_without_a_name_or_a_json_object_only_the_place_is_kept(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lines = [report("01:00:00.100", "r1"), '{"message": "secret', "some text of the function"]
    assert [] == read(engine, tmp_path, "lambda", lines)
    assert [
        (1, "no log group or function ARN; say with `resource` which function this is"),
        (2, "not a JSON object"),
    ] == refused(engine)
    kept = engine.execute("select distinct x_RawRow from unread_usage").fetchall()
    assert [("(not kept: it may hold what a caller sent)",)] == kept


# ----------------------------------------------------------------------------------- Cloud Run

RUN = {
    "type": "cloud_run_revision",
    "labels": {
        "project_id": "acme-prod",
        "location": "europe-west1",
        "service_name": "api",
        "revision_name": "api-00042-xyz",
    },
}


def request(insert: str, latency: str, trace: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "logName": "projects/acme-prod/logs/run.googleapis.com%2Frequests",
        "insertId": insert,
        "timestamp": "2026-03-02T03:00:00.123456Z",
        "resource": RUN,
        "httpRequest": {"requestMethod": "POST", "requestUrl": "https://api.example/?name=x",
                        "status": 200, "latency": latency} | more.pop("http", {}),
        **({"trace": f"projects/acme-prod/traces/{trace}"} if trace else {}),
        **more,
    }  # fmt: skip


def test_cloud_run_requests_by_labels_and_by_lines_of_the_same_trace(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Half a second and a quarter, at 2 vCPUs and 512 MiB."""
    lines = [
        request("i1", "0.5s", labels={"tenant": "acme"}),
        request("i2", "0.2499s", "t2", http={"status": 503}),
        request("i2", "0.2499s", "t2", http={"status": 503}),
        {"logName": "projects/acme-prod/logs/run.googleapis.com%2Fstdout", "resource": RUN,
         "trace": "projects/acme-prod/traces/t2", "timestamp": "2026-03-02T03:00:00Z",
         "jsonPayload": {"message": "x", "tenant": "globex", "feature": "chat"}},
        {"logName": "projects/acme-prod/logs/run.googleapis.com%2Fstderr", "resource": RUN,
         "timestamp": "2026-03-02T03:00:00Z", "textPayload": "nothing to see"},
    ]  # fmt: skip
    rows = read(engine, tmp_path, "cloud_run", lines, memory_mib=512, vcpu=2)

    assert told(
        rows, "Feature", "Tenant", "Invocations", "FailedInvocations", "DurationMs",
        "MemoryMibMs", "VcpuMs",
    ) == [
        ("chat", "globex", 1, 1, 250, 128000, 500),
        (None, "acme", 1, 0, 500, 256000, 1000),
    ]  # fmt: skip
    assert {(r["SubAccountId"], r["x_Function"]) for r in rows} == {
        ("acme-prod", "locations/europe-west1/services/api")
    }


def test_cloud_run_without_a_size_knows_the_duration_alone(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    sized = request("i2", "1s", labels={"memory_mib": "1024", "vcpu": "0.5"})
    lines = [request("i1", "1s"), sized, request("i3", "soon"), "[]"]
    rows = read(engine, tmp_path, "cloud_run", lines)

    assert told(
        rows, "Invocations", "MeasuredInvocations", "DurationMs", "MemoryMibMs", "VcpuMs"
    ) == [(2, 1, 2000, 1024000, 500)]
    assert [(3, "the latency cannot be read"), (4, "not a JSON object")] == refused(engine)


# ------------------------------------------------------------------------------ Azure Functions


def test_azure_functions_by_their_requests_and_traces_of_the_same_operation(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A record that stands for five counts five times; the host's own time comes first."""
    lines = [
        {"Type": "AppRequests", "TimeGenerated": "2026-03-02T04:00:00.000Z", "Id": "a",
         "OperationId": "o1", "Name": "Resize", "DurationMs": 180.7, "Success": False,
         "AppRoleName": "Acme-Images", "ItemCount": 1,
         "Properties": {"InvocationId": "x", "FunctionExecutionTimeMs": "150.2"}},
        {"Type": "AppTraces", "TimeGenerated": "2026-03-02T04:00:00.010Z", "OperationId": "o1",
         "AppRoleName": "Acme-Images", "Message": "resized",
         "Properties": {"prop__tenant": "acme", "prop__feature": "thumbs"}},
        {"itemType": "request", "timestamp": "2026-03-02T04:30:00Z", "id": "b",
         "operation_Id": "o2", "name": "Resize", "duration": 100, "success": "True",
         "cloud_RoleName": "acme-images", "itemCount": 5,
         "customDimensions": '{"tenant": "globex"}'},
        {"Type": "AppRequests", "Id": "c", "AppRoleName": "acme-images", "DurationMs": 1},
    ]  # fmt: skip
    rows = read(engine, tmp_path, "azure_functions", lines, memory_mib=2048)

    assert told(
        rows, "Function", "Feature", "Tenant", "Invocations", "FailedInvocations", "DurationMs",
        "MemoryMibMs",
    ) == [
        ("sites/acme-images", "thumbs", "acme", 1, 1, 151, 309248),
        ("sites/acme-images", None, "globex", 5, 0, 500, 1024000),
    ]  # fmt: skip
    assert [(4, "no TimeGenerated")] == refused(engine)


def test_azure_units_that_a_request_carries_come_before_the_size_of_an_instance(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    line = {"Type": "AppRequests", "TimeGenerated": "2026-03-02T04:00:00Z", "Id": "a",
            "DurationMs": 100, "AppRoleName": "app",
            "Properties": {"FunctionExecutionUnits": 12800}}  # fmt: skip
    assert told(read(engine, tmp_path, "azure_functions", [line]), "MemoryMibMs") == [(12800,)]


# ---------------------------------------------------------------------------------------- Knative


def test_knative_requests_are_calls_of_the_pods_that_served_them(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The default template has neither time nor service: the collector adds them."""
    http = {"status": 200, "latency": "0.1s", "requestUrl": "/"}
    labels = {"serving.knative.dev/revision": "chat-00001"}
    lines = [
        *2 * [{"time": "2026-03-02T06:00:00Z",
               "kubernetes": {"namespace_name": "ml", "labels": labels},
               "log": json.dumps({"httpRequest": http, "traceId": "[]"})}],
        {"httpRequest": http | {"status": 502}, "time": "2026-03-02T06:30:00Z", "tenant": "acme",
         "requestId": "r", "namespace": "ml", "revisionName": "chat-00001"},
        {"time": "2026-03-02T06:00:00Z", "log": "a line of the container"},
        {"httpRequest": http, "traceId": ""},
    ]  # fmt: skip
    rows = read(engine, tmp_path, "knative", lines)

    assert told(rows, "Function", "Tenant", "Invocations", "FailedInvocations", "DurationMs") == [
        ("ml/chat-00001-deployment", "acme", 1, 1, 100),
        ("ml/chat-00001-deployment", None, 2, 0, 200),
    ]
    calls = engine.execute(
        "select x_Endpoint, x_Tenant, x_Calls, x_FailedCalls from inference_usage order by all"
    ).fetchall()
    assert calls == [
        ("ml/chat-00001-deployment", "acme", 1, 1),
        ("ml/chat-00001-deployment", None, 2, 0),
    ]
    assert engine.execute("select distinct x_Cluster from inference_usage").fetchall() == [(None,)]
    found = engine.execute("describe inference_usage").fetchall()
    assert contracts.table("inference_usage").duckdb == {r[0]: r[1] for r in found}
    assert [(5, "no time: have the log collector or the template write one")] == refused(engine)
    read(engine, tmp_path, "knative", lines, cluster="eu")
    assert engine.execute("select distinct x_Cluster from inference_usage").fetchall() == [("eu",)]


# -------------------------------------------------------------------------------------- the owner


def test_fields_are_taken_in_order_of_trust_and_a_contradiction_names_nobody(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """`tenant` before `customer`; `Tenant` beside `tenant` is believed where both say the same."""
    said = [
        {"tenant": "a", "customer": "b"},
        {"customer": "b"},
        {"tenant": "a", "Tenant": "c"},
        {"tenant": "a", "Tenant": "A "},
        {"tenant": "  ", "customer": "b"},
    ]
    lines = [request(f"i{n}", "1s", labels=labels) for n, labels in enumerate(said)]
    rows = read(engine, tmp_path, "cloud_run", lines)

    assert told(rows, "Tenant", "Invocations") == [("A", 1), ("a", 1), ("b", 2), (None, 1)]


# ------------------------------------------------------------------------------ the whole road

TOML = """\
[[billing]]
name = "acme"
dialect = "focus"
location = "in/{period}/*.csv"

[[invocation]]
name = "functions"
dialect = "lambda"
location = "logs/{date}.jsonl"
"""


def deliver(small: Small, meters: dict[str, str]) -> None:
    """A bill of one function: what each meter cost on the second of October."""
    path = small.root / "in" / PERIOD / "bill.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "SkuMeter"])
        for meter, cost in meters.items():
            times = [f"2026-{n}T00:00:00Z" for n in ("10-01", "11-01", "10-02", "10-03")]
            kind = ["Usage", "AWS", "Compute", "AWS Lambda", ARN, "I", '{"feature": "images"}']
            writer.writerow([cost, cost, "USD", *times, *kind, meter])


def log(small: Small, day: str, *tenants: str) -> None:
    """A request of 100 ms at 512 MB for each tenant."""
    path = small.root / "logs" / f"{day}.jsonl"
    path.parent.mkdir(exist_ok=True)
    events: list[Any] = []
    for n, tenant in enumerate(tenants):
        events += [{"requestId": f"r{n}", "tenant": tenant, "squad": f"squad of {tenant}"}]
        events += [report("12:00:00", f"r{n}") | {"time": f"{day}T12:00:0{n}Z"}]
    path.write_text(json.dumps(batch(*events)) + "\n")


def test_logs_reach_the_price_of_an_invocation_and_only_a_changed_day_is_read_again(
    tmp_path: Path,
) -> None:
    small = Small.make(tmp_path / "small", TOML)
    deliver(small, {"Lambda-GB-Second": "9.00", "Request": "0.30"})
    log(small, "2026-10-02", "acme", "acme", "globex")
    log(small, "2026-10-03", "acme")
    built = small.run()
    costs = (
        "select x_Feature, x_Tenant, EffectiveCost, x_Invocations, x_UnitCostPerInvocation "
        "from invocation_cost order by x_Tenant"
    )

    assert small.ask(costs) == [
        ("images", "acme", Decimal("6.20"), 2, Decimal("3.10")),
        ("images", "globex", Decimal("3.10"), 1, Decimal("3.10")),
    ]
    read = {b.partition for b in built if b.table == "invocation_usage" and not b.skipped}
    assert {"2026-10-02", "2026-10-03"} <= read

    log(small, "2026-10-02", "acme", "globex")
    built = small.run()
    assert [b.partition for b in built if b.table == "invocation_usage" and not b.skipped] == [
        "2026-10-02"
    ]
    assert [row[2] for row in small.ask(costs)] == [Decimal("4.65"), Decimal("4.65")]
    told_by = explain(small.config, {"tenant": "globex"})
    assert f"function/{ARN}/memory" in told_by
    assert "bill.csv" in told_by

    # Keys of [owner] are part of what a log says: with others it is read again.
    small.configure('[owner]\ntenant = ["squad"]')
    small.run()
    assert [row[1] for row in small.ask(costs)] == ["squad of acme", "squad of globex"]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"endpoint": "a/{ResourceName}/{ResourceName}"}, "one `{ResourceName}` at most"),
        ({"endpoint": "*/{ResourceName}"}, "no `\\*` beside it"),
        ({"endpoint": "a/{ResourceName}", "resource": "endpoint/"}, "ends with"),
        ({"endpoint": "a/*", "gpus": 1}, "go with a `{ResourceName}`"),
        ({"endpoint": "a/*", "resource": "x/{ResourceName}"}, "go with a `{ResourceName}`"),
    ],
)
def test_a_split_by_endpoint_says_how_it_is_written(block: dict[str, Any], problem: str) -> None:
    split = {"name": "s", "where": {}, **block}
    with pytest.raises(ConfigError, match=problem):
        config.parse({"inference_split": [split]}, Path())


@pytest.mark.parametrize(
    ("meter", "unit", "component"),
    [
        ("EUW1-Lambda-GB-Second-ARM", "Lambda-GB-Second", "memory"),
        ("Lambda-Edge-GB-Second", "Lambda-GB-Second", "memory"),
        ("EUW1-Request-ARM", "Requests", "requests"),
        ("EUW1-Lambda-Provisioned-GB-Second-ARM", "Lambda-GB-Second", "provisioned_duration"),
        ("EUW1-Lambda-Provisioned-Concurrency", "Lambda-GB-Second", "provisioned"),
        ("EUW1-Lambda-SnapStart-Cached-GB-S", "Lambda-GB-Second", None),
        ("EUW1-DataTransfer-Out-Bytes", "GB", None),
        ("Standard Execution Time", "GB Second", "memory"),
        ("On Demand Execution Time", "GB Second", "memory"),
        ("Standard Total Executions", "Units", "requests"),
        ("Always Ready Baseline", "GB Second", "provisioned"),
        ("Always Ready Execution Time", "GB Second", "provisioned_duration"),
        ("Always Ready Total Executions", "Units", "requests"),
        ("Premium vCPU Duration", "Hour", "vcpu"),
        ("Premium Memory Duration", "GiB Hour", "memory"),
        ("Services CPU (Instance-based billing) in us-east5", "seconds", "vcpu"),
        ("Services Memory Tier 2 (Request-based billing)", "byte-seconds", "memory"),
        ("Services Min Instance Memory (Request-based billing)", "byte-seconds",
         "minimum_instances"),
        ("Requests", "requests", "requests"),
        ("Cloud Run Network Internet Data Transfer Out North America", "bytes", None),
        (None, None, None),
    ],
)  # fmt: skip
def test_what_a_charge_counts_is_told_by_its_meter(
    engine: duckdb.DuckDBPyConnection, meter: str | None, unit: str | None, component: str | None
) -> None:
    found = engine.execute("select function_component(?, ?)", [meter, unit]).fetchall()
    assert [(component,)] == found


@pytest.mark.parametrize(
    ("quantity", "unit", "amount"),
    [
        ("1", "Lambda-GB-Second", 1024000),
        ("0.5", "GB Second", 512000),
        ("2", "gibibyte second", 2048000),
        ("1", "GiB Hour", 3686400000),
        ("1000000000000", "GB-Seconds", 1024000 * 10**12),
        ("1", "seconds", None),
        ("1", None, None),
    ],
)
def test_memory_over_time_in_whole_units(
    engine: duckdb.DuckDBPyConnection, quantity: str, unit: str | None, amount: int | None
) -> None:
    found = engine.execute(
        "select mib_milliseconds(cast(? as decimal(38, 12)), ?)", [quantity, unit]
    ).fetchall()
    assert [(amount,)] == found
