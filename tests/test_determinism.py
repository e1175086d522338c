"""Same input, same output, byte for byte: whatever the threads and the order of delivery."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from finops_pipeline import bindings, config, price_ratio, queries, sharing
from finops_pipeline.contracts import table
from finops_pipeline.warehouse import bind_files, copy

from .test_cases import BY_TYPE, DEFAULTS, engine, stage_queries

HOURS = [f"2026-10-{day:02} {hour:02}:00" for day in (1, 2, 31) for hour in (0, 1, 23)]
TAGS = ["{}", '{"feature":"chat"}', '{"Feature":"Chat","feature":"x"}', '{"tenant":"a"}']
LABELS = [
    "{}",
    '{"feature":"chat"}',
    '{"feature":"search","tenant":"a"}',
    '{"training_run":"r","model":"m","model_version":"1"}',
    '{"training_run":"s","run_kind":"evaluation"}',
]
FUNCTION = "arn:aws:lambda:r:1:function:f"
DISKS = ["vol-1", "vol-2"]
BALANCERS = [f"arn:aws:lb:r:1:loadbalancer/a{str(n) * 31}" for n in (1, 2)]
SETTINGS: dict[str, Any] = {
    "inference_split": [
        {"name": "api", "where": {"ServiceName": "LLM"}, "endpoint": "vendor/*"},
        {
            "name": "hosted",
            "where": {"ServiceName": "Hosting"},
            "endpoint": "hosted/{ResourceName}",
            "gpus": 1,
        },
    ],
    "cluster_charge": [
        {
            "name": "s3",
            "cluster": "c",
            "kind": "network",
            "where": {"ServiceName": "S3", "SubAccountId": "1"},
            "bytes": "both",
        },
        {
            "name": "db",
            "cluster": "c",
            "kind": "control_plane",
            "where": {"ResourceId": "db-1"},
            "otherwise": "held",
        },
    ],
    "rule": [{"where": {"ChargeCategory": "Tax"}, "feature": "platform"}],
    "allocation": {"unused_commitment": "users"},
    "shared_cost": [
        {"name": "tax", "where": {"ChargeCategory": "Tax"}, "to": {"tenant": "*"}, "split": "even"},
        {"name": "idle", "where": {"method": "idle"}, "within": "pool"},
        {
            "name": "platform",
            "where": {"feature": "platform"},
            "split": "driver",
            "driver": "tokens",
        },
    ],
}
ROAD = [
    *stage_queries("allocation"),
    "showback/showback",
    "showback/coverage",
    "showback/billed_day",
    "showback/unit_cost",
    "bill/commitment_total",
    "showback/commitment",
    "showback/commitment_term",
    "showback/gateway_reconciliation",
    "showback/cluster_cost",
    "showback/gpu_cost",
    "showback/invocation_cost",
    "showback/method_share",
    "showback/endpoint_cost",
    "showback/model_serving",
    "showback/training_schedule",
    "showback/model_cost",
    "showback/tenant_cost",
    "showback/margin",
    "showback/unit_economics",
    "rightsizing/shared_or_dedicated",
    "rightsizing/spot_or_on_demand",
]


def company(dice: random.Random) -> dict[str, list[dict[str, Any]]]:
    """A small month; more rows than one vector of the engine, amounts of twelve digits."""

    def money() -> str:
        return f"{dice.randint(-(10**5), 10**6)}.{dice.randint(0, 10**12 - 1):012}"

    return {
        "tag_set": [{"x_TagSetId": n, "Tags": t} for n, t in enumerate(TAGS, 1)],
        "model_version": [
            {
                "x_RegisteredModel": model,
                "x_ModelVersion": "1",
                "x_Aliases": "[]",
                "x_RunResources": "[]",
                "x_Endpoints": f'["ns/w{n}"]',
                "x_ExpectedRequests": 10**6 * n,
            }
            for n, model in enumerate("mn", 1)
        ],
        "cost_and_usage": [
            {
                "BilledCost": money(),
                "EffectiveCost": money(),
                "ResourceId": dice.choice([None, "i-1", "i-2", "i-3", "db-1", *DISKS, *BALANCERS]),
                "InvoiceId": dice.choice("ab"),
                "SubAccountId": dice.choice([None, "1", "2"]),
                "ServiceName": dice.choice(["EC2", "LLM", "S3"]),
                "ChargeCategory": dice.choice(["Usage", "Tax", "Credit"]),
                "ChargePeriodStart": dice.choice(HOURS),
                "ChargePeriodEnd": dice.choice(["2026-10-01 01:00", "2026-11-01 00:00"]),
                "x_TagSetId": dice.randint(1, 4),
                "CommitmentDiscountId": dice.choice(["plan", "reservation"]),
                "PricingCategory": dice.choice(["Standard", "Dynamic"]),
                "CommitmentDiscountStatus": dice.choice([None, "Used", "Unused"]),
                "x_SourceRow": n,
            }
            for n in range(1, 4001)
        ]
        + [
            {
                "EffectiveCost": money(),
                "ResourceId": resource,
                "ServiceName": service,
                "ChargePeriodStart": dice.choice(HOURS),
                "ChargeDescription": meter,
                "ConsumedUnit": unit,
                "ConsumedQuantity": f"{dice.randint(1, 10**4)}.{dice.randint(0, 10**9)}",
                "x_TagSetId": dice.randint(1, 4),
                "x_SourceRow": 4000 + n,
            }
            for n in range(1, 201)
            for resource, service, meter, unit in (
                (FUNCTION, "Lambda", "Lambda-GB-Second", "Lambda-GB-Second"),
                (FUNCTION, "Lambda", "Lambda-Provisioned-Concurrency", "Lambda-GB-Second"),
                ("arn:aws:hosting:r:1:endpoint/e", "Hosting", "Host:gpu", "Hours"),
            )
        ],
        "price": [
            {
                "x_Provider": "vendor",
                "x_Model": model,
                "x_PriceItem": item,
                "x_ServiceTier": "standard",
                "x_ContextClass": 0,
                "x_PriceFrom": "2026-01-01",
                "ListUnitPrice": f"{dice.randint(1, 99)}.{dice.randint(0, 99):02}",
                "x_PricingBlockSize": 1000000,
                "PricingCurrency": "USD",
            }
            for model in "mn"
            for item in ("input", "output")
        ],
        "invocation_usage": [
            {
                "x_HourStart": hour,
                "x_Function": "function:f",
                "x_Feature": dice.choice([None, "chat"]),
                "x_Tenant": f"t{n}",
                "x_Invocations": dice.randint(1, 9),
                "x_MeasuredInvocations": 9,
                "x_DurationMs": dice.randint(1, 10**6),
                "x_MemoryMibMs": dice.randint(1, 10**9),
                "x_ProvisionedMibMs": dice.randint(0, 10**5),
            }
            for n in range(30)
            for hour in HOURS
        ],
        "quarantine": [{"BilledCost": money(), "EffectiveCost": money()} for _ in range(3)],
        "node_usage": [
            {
                "x_HourStart": hour,
                "x_Node": f"n{n}",
                "ResourceId": f"i-{n}",
                "x_InstanceType": "m",
                "x_CpuCapacityCoreMs": dice.randint(1, 10**9),
                "x_MemoryCapacityByteSeconds": dice.randint(1, 10**15),
                "x_GpuCapacityMs": dice.randint(0, 10**8),
            }
            for n in (1, 2, 3)
            for hour in HOURS
        ],
        "pod_usage": [
            {
                "x_HourStart": hour,
                "x_PodUid": str(n),
                "x_Node": f"n{dice.randint(1, 3)}",
                "x_Workload": f"w{n % 7}",
                "x_Labels": LABELS[n % len(LABELS)],
                "x_CpuAllocatedCoreMs": dice.randint(0, 10**8),
                "x_MemoryAllocatedByteSeconds": dice.randint(0, 10**13),
                "x_GpuRequestMs": dice.randint(0, 10**7),
                "x_GpuAllocatedParts": dice.randint(0, 10**11),
            }
            for n in range(40)
            for hour in HOURS
        ],
        # Mounted by some pods, and by none.
        "volume_usage": [
            {
                "x_HourStart": hour,
                "x_Volume": f"pv-{disk}",
                "x_VolumeId": disk,
                "x_Claim": "data",
                "x_ClaimLabels": LABELS[1],
                "x_PodUid": None if n is None else str(n),
                "x_Workload": None if n is None else f"w{n % 7}",
                "x_Labels": LABELS[0 if n is None else n % len(LABELS)],
                "x_RunningMs": 3600000,
                "x_VolumeMs": dice.randint(0, 3600000),
            }
            for disk in DISKS
            for n in (None, *range(9))
            for hour in HOURS
        ],
        "service_usage": [
            {
                "x_HourStart": hour,
                "x_Service": f"web-{n}",
                "x_ServiceUid": f"{n}" * 32,
                "x_Address": f"10.0.0.{address}",
                "x_Labels": LABELS[n],
            }
            for n in (1, 2)
            for address in (1, 2)
            for hour in HOURS
        ],
        "network_usage": [
            {
                "x_HourStart": hour,
                "x_PodUid": str(n),
                "x_SentBytes": dice.randint(0, 10**12),
                "x_ReceivedBytes": dice.randint(0, 10**12),
            }
            for n in range(50)
            for hour in HOURS
        ],
        "inference_usage": [
            {
                "x_HourStart": hour,
                "x_Provider": "vendor",
                "x_ServiceTier": "standard",
                "x_ContextClass": 0,
                "x_Endpoint": dice.choice(["ns/w1", "ns/w2", "vendor/m", "vendor/n", "hosted/e"]),
                "x_Feature": dice.choice([None, "chat", "Search"]),
                "x_Tenant": f"t{n % 40}",
                "x_Model": dice.choice("mn"),
                "x_Calls": dice.randint(1, 9),
                "x_UnknownTokenCalls": dice.randint(0, 1),
                "x_InputTokens": dice.randint(0, 10**7),
                "x_OutputTokens": dice.randint(0, 10**7),
                "x_GpuMs": dice.randint(0, 10**7),
            }
            for n in range(100)
            for hour in HOURS
        ],
        # One that is called, and two models of one that nobody logged.
        "serving_usage": [
            {
                "x_HourStart": hour,
                "x_Endpoint": endpoint,
                "x_Model": model,
                "x_Requests": dice.randint(0, 99),
                "x_InputTokens": dice.randint(1, 10**9),
                "x_OutputTokens": dice.randint(1, 10**9),
                "x_PrefillMs": dice.randint(1, 10**7),
                "x_DecodeMs": dice.randint(1, 10**7),
            }
            for endpoint, model in (("ns/w1", "m"), ("ns/w3", "m"), ("ns/w3", "n"))
            for hour in HOURS
        ],
    }


def build(
    rows: dict[str, list[dict[str, Any]]], threads: int, parts: int, into: Path
) -> dict[str, bytes]:
    """The allocation and showback stages as Parquet; their bytes.

    Inputs lie in several files, so that threads really share the work.
    """
    connection = engine({}, SETTINGS)
    connection.execute(f"set threads = {threads}")
    parameters = {**bindings.parameters(config.parse(SETTINGS, Path())), "period": "2026-10"}
    parameters |= {"from_day": "0001-01-01", "until_day": "9999-12-31"}
    for name, given in rows.items():
        connection.execute(f"drop table {name}")
        bind_files(connection, table(name), deliver(name, given, parts, into / name))
    written = {}
    for path in ROAD:
        name = path.rsplit("/", 1)[-1]
        file = into / f"{name}.parquet"
        if name == "shared_weight":
            weights = sharing.weigh(connection, config.parse(SETTINGS, Path()), "2026-10")
            sharing.write(weights, "2026-10", file)
        elif name == "price_ratio":
            found = price_ratio.ratios(connection, config.parse(SETTINGS, Path()).allocation)
            price_ratio.write(found, "2026-10", file)
        else:
            query = queries.query(path)
            copy(connection, query.text, file, {k: parameters[k] for k in query.parameters})
        connection.execute(f"drop table {name}")
        bind_files(connection, table(name), [file])
        written[name] = file.read_bytes()
    connection.close()
    return written


def deliver(name: str, given: list[dict[str, Any]], parts: int, folder: Path) -> list[Path]:
    """Rows as Parquet files; what is left out takes the defaults of the cases."""
    folder.mkdir(parents=True)
    spec = table(name)
    filled = {
        c: [
            row.get(c, DEFAULTS.get(c, None if c in spec.nullable else BY_TYPE.get(kind)))
            for row in given
        ]
        for c, kind in spec.duckdb.items()
    }
    with duckdb.connect() as connection:
        typed = ", ".join(f"cast({c} as {kind}) as {c}" for c, kind in spec.duckdb.items())
        connection.register("given", pl.DataFrame(filled, strict=False).to_arrow())
        each = -(-len(given) // parts)
        files = [folder / f"{n}.parquet" for n in range(parts)]
        for n, file in enumerate(files):
            copy(connection, f"select {typed} from given limit {each} offset {n * each}", file)
    return files


def test_bytes_do_not_depend_on_threads_or_the_order_of_delivery(tmp_path: Path) -> None:
    dice = random.Random(1)
    rows = company(dice)
    expected = build(rows, 1, 4, tmp_path / "one")
    for shuffled in rows.values():
        dice.shuffle(shuffled)
    actual = build(rows, 2, 4, tmp_path / "two")
    assert [] == [name for name in expected if expected[name] != actual[name]]
    whole = build(rows, 2, 1, tmp_path / "whole")
    assert [] == [name for name in expected if expected[name] != whole[name]]
    empty = [
        n
        for n in expected
        if not pl.scan_parquet(tmp_path / "one" / f"{n}.parquet").head(1).collect().height
    ]
    assert [] == empty
