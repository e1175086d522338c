"""A made-up month at any size, the same every time, written by DuckDB without holding it.

What belongs here: the data of a benchmark. Its shape (columns, types, how often tags repeat, how
skewed callers are) is what real exports look like; its amounts mean nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import duckdb

from finops_pipeline.periods import days
from finops_pipeline.warehouse import literal

PERIOD = "2025-09"
"""A month that is over, so that a Prometheus server would not be asked for it twice."""
BILL_FILES = 10

CONFIG = """\
[[billing]]
name = "aws"
dialect = "aws_cur"
location = "bill/BILLING_PERIOD={period}/*.parquet"

[[metrics]]
name = "prometheus"
kind = "prometheus"
cluster = "prod"
url = "http://127.0.0.1:9"

[[inference]]
name = "gateway"
dialect = "calls"
location = "calls/{date}.parquet"

[[rule]]
where = { ChargeCategory = "Tax" }
feature = "platform"

[[inference_split]]
name = "bedrock"
where = { ServiceName = "AmazonBedrock" }
endpoint = "bedrock/*"
"""


@dataclass(frozen=True)
class Size:
    """Rows of a month: charges of the bill, hours of pods, inference calls."""

    charges: int
    pod_hours: int
    calls: int

    @property
    def pods(self) -> int:
        """Pods that run in every hour of the month."""
        return max(8, self.pod_hours // (24 * len(days(PERIOD))))

    @property
    def nodes(self) -> int:
        """Fourteen pods share a node."""
        return max(2, self.pods // 14)

    @property
    def workloads(self) -> int:
        """Twelve pods are replicas of one workload; every third workload serves a model."""
        return max(6, self.pods // 12)


def write(root: Path, size: Size) -> None:
    """The inputs and `finops.toml` of a month under `root`; done already, they are left alone."""
    root.mkdir(parents=True, exist_ok=True)
    done = root / "inputs.txt"
    if done.exists() and done.read_text() == repr(size):
        return
    (root / "finops.toml").write_text(CONFIG, encoding="utf-8")
    with contextlib.closing(engine()) as connection:
        for number in range(BILL_FILES):
            bill_file(connection, root, size, number)
        for number, day in enumerate(days(PERIOD)):
            metrics_day(connection, root, size, number, day)
            calls_day(connection, root, size, number, day)
    done.write_text(repr(size))


def engine() -> duckdb.DuckDBPyConnection:
    """An engine that makes up data: `roll` is its dice, the same for the same two values."""
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    connection.execute("set memory_limit = '3GB'")
    connection.execute("create macro roll(a, b) as cast(hash(a, b) >> 1 as bigint)")
    return connection


def bill_file(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    size: Size,
    number: int,
    restated: range = range(0),
) -> None:
    """One file of the CUR delivery; on the days `restated`, from 0, its amounts are others."""
    each = size.charges // BILL_FILES
    select = BILL.format(
        first=number * each,
        last=(number + 1) * each,
        nodes=size.nodes,
        resources=max(100, size.charges // 25),
        tag_sets=max(50, size.charges // 80),
        hours=24 * len(days(PERIOD)),
        start=f"{PERIOD}-01",
        restated_from=restated.start,
        restated_until=restated.stop,
    )
    folder = root / "bill" / f"BILLING_PERIOD={PERIOD}"
    _copy(connection, select, folder / f"bench-{number + 1:05d}.snappy.parquet")


def metrics_day(
    connection: duckdb.DuckDBPyConnection, root: Path, size: Size, number: int, day: str
) -> None:
    """What a Prometheus server answers for a day: each series and object with its hourly values."""
    select = METRICS.format(
        pods=size.pods, nodes=size.nodes, workloads=size.workloads, week=number // 7, day=day
    )
    _copy(connection, select, root / "metrics" / f"{day}.parquet")


def calls_day(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    size: Size,
    number: int,
    day: str,
    left_out: int = 0,
) -> None:
    """Inference calls of a day, one in a thousand delivered twice."""
    each = size.calls // len(days(PERIOD))
    select = CALLS.format(
        first=number * each,
        last=(number + 1) * each - left_out,
        each=each,
        workloads=size.workloads,
        day=day,
    )
    _copy(connection, select, root / "calls" / f"{day}.parquet")


def _copy(connection: duckdb.DuckDBPyConnection, select: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    draft = to.with_suffix(".draft")
    connection.execute(f"copy ({select}) to {literal(draft)} (format parquet, compression zstd)")
    draft.rename(to)


# One charge in fifty is for a node; resources are tagged the same way all month.
BILL = """
with drawn as (
    select
        range as n,
        roll(range, 'charge') as h,
        range % 50 = 0 as is_node,
        case
            when range % 50 = 0 then roll(range, 'node') % {nodes}
            else roll(range, 'resource') % {resources}
        end as r,
        roll(range, 'hour') % {hours} as hour
    from range({first}, {last})
),
tagged as (
    select
        *,
        roll(case when is_node then -r - 1 else r end, 'tags') % {tag_sets} as t
    from drawn
),
-- A few features, tenants and services make most of the charges; teams have their own accounts.
known as (
    select
        *,
        cast(floor(pow(40, roll(t, 'feature') % 10000 / 10000.0)) as bigint) as f,
        cast(floor(pow(300, roll(t, 'tenant') % 10000 / 10000.0)) as bigint) as tenant,
        -- models are bought through one account
        case when is_node then 0
            when roll(r, 'service') % 100 = 28 then 3
            else cast(floor(pow(40, roll(t, 'feature') % 10000 / 10000.0)) as bigint) * 7 % 25
        end as account,
        (h + (hour // 24 between {restated_from} and {restated_until} - 1)::int) % 1000000000 as amount,
        case
            when is_node then 0
            when roll(r, 'service') % 100 < 25 then 0
            when roll(r, 'service') % 100 = 28 then 4
            else [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
                24][1 + roll(r, 'service') % 23]
        end as service,
        case when h % 1000 < 925 then 'Usage'
            when h % 1000 < 965 then 'SavingsPlanCoveredUsage'
            when h % 1000 < 980 then 'SavingsPlanNegation'
            when h % 1000 < 995 then 'DiscountedUsage'
            when h % 1000 < 998 then 'Tax'
            else 'Credit' end as kind,
        timestamp '{start}' + to_hours(hour) as starts_at
    from tagged
)
select
    md5(n::varchar) as identity_line_item_id,
    strftime(starts_at, '%Y-%m-%dT%H:%M:%SZ') || '/' || strftime(starts_at + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ')
        as identity_time_interval,
    case when account < 20 then '2025000' || (account // 10)::varchar end as bill_invoice_id,
    'Amazon Web Services, Inc.' as bill_invoicing_entity,
    'AWS' as bill_billing_entity,
    'Anniversary' as bill_bill_type,
    '100000000000' as bill_payer_account_id,
    'Example Payer' as bill_payer_account_name,
    timestamp '{start}' as bill_billing_period_start_date,
    timestamp '{start}' + interval 1 month as bill_billing_period_end_date,
    (200000000000 + account)::varchar as line_item_usage_account_id,
    'account-' || account as line_item_usage_account_name,
    kind as line_item_line_item_type,
    starts_at as line_item_usage_start_date,
    starts_at + interval 1 hour as line_item_usage_end_date,
    ['AmazonEC2', 'AmazonS3', 'AmazonRDS', 'AWSLambda', 'AmazonBedrock', 'AmazonDynamoDB',
     'AmazonElastiCache', 'AmazonVPC', 'AWSELB', 'AmazonCloudWatch', 'AmazonSNS', 'awskms',
     'AWSQueueService', 'AmazonEKS', 'AmazonECR', 'AmazonEFS', 'AWSSecretsManager', 'AmazonMSK',
     'AmazonRoute53', 'AmazonCloudFront', 'AWSGlue', 'AmazonAthena', 'AmazonSageMaker',
     'AmazonApiGateway', 'AWSConfig'][service + 1] as line_item_product_code,
    'USE1-Usage:' || (service * 7 + h % 7) as line_item_usage_type,
    ['RunInstances', 'PutObject', 'GetObject', 'CreateDBInstance', 'Invoke'][1 + h % 5]
        as line_item_operation,
    ['us-east-1a', 'us-east-1b', 'us-east-1c', null][1 + r % 4] as line_item_availability_zone,
    case
        when is_node then 'i-' || lpad(to_hex(r), 17, '0')
        when h % 20 <> 0 then 'arn:aws:svc' || service || ':us-east-1:' || (200000000000 + account)
            -- dozens of models, thousands of anything else
            || ':resource/' || lpad(to_hex(roll(case when service = 4 then r % 40 else r end, 'id')),
                16, '0')
    end as line_item_resource_id,
    (1 + h % 1000) / 10 as line_item_usage_amount,
    'USD' as line_item_currency_code,
    (h % 10000) / 1000000 as line_item_unblended_rate,
    case when kind in ('Credit', 'SavingsPlanNegation') then -(amount / 10000000000)
        else amount / 10000000000 end as line_item_unblended_cost,
    amount / 10000000000 as line_item_blended_cost,
    '$0.0' || h % 100 || ' per unit of usage in US East (N. Virginia)' as line_item_line_item_description,
    'Amazon Web Services, Inc.' as line_item_legal_entity,
    'Compute Instance' as product_product_family,
    'us-east-1' as product_region_code,
    'SKU' || (service * 100 + h % 60) as product_sku,
    (amount + 1000) / 10000000000 as pricing_public_on_demand_cost,
    (h % 10000) / 1000000 as pricing_public_on_demand_rate,
    ['Hrs', 'GB-Mo', 'Requests'][1 + service % 3] as pricing_unit,
    'RATE' || (service * 100 + h % 60) as pricing_rate_id,
    case when kind like 'SavingsPlan%' then 'arn:aws:savingsplans::100000000000:savingsplan/' || h % 9
        end as savings_plan_savings_plan_a_r_n,
    case when kind like 'SavingsPlan%' then amount * 7 / 100000000000 end
        as savings_plan_savings_plan_effective_cost,
    0.0::double as savings_plan_total_commitment_to_date,
    0.0::double as savings_plan_used_commitment,
    case when kind = 'DiscountedUsage' then 'arn:aws:ec2:us-east-1:1:reserved-instances/' || h % 9
        end as reservation_reservation_a_r_n,
    case when kind = 'DiscountedUsage' then amount * 6 / 100000000000 end
        as reservation_effective_cost,
    0.0::double as reservation_unused_recurring_fee,
    0.0::double as reservation_unused_amortized_upfront_fee_for_billing_period,
    case
        when roll(t, 'untagged') % 100 < 15 then map {{}}
        when roll(t, 'shared') % 100 < 70 then map {{
            'user_feature': ['chat', 'Search', 'summaries', 'translate', 'voice'][1 + f % 5]
                || '-' || f,
            'user_environment': ['production', 'prod', 'Staging', 'dev'][1 + t % 4],
            'user_team': 'team-' || f,
            'user_cost_center': (1000 + f % 9)::varchar,
            'user_Name': 'resource-' || t
        }}
        else map {{
            'user_feature': ['chat', 'Search', 'summaries', 'translate', 'voice'][1 + f % 5]
                || '-' || f,
            'user_tenant': 'tenant-' || tenant,
            'user_environment': ['production', 'prod', 'Staging', 'dev'][1 + t % 4],
            'user_team': 'team-' || f,
            'user_Name': 'resource-' || t
        }}
    end as resource_tags
from known
order by n
"""

METRICS = """
with pod as (
    select
        range as p,
        range % {workloads} as w,
        (range % {workloads}) % 3 = 0 as is_endpoint,
        'team-' || (range % {workloads}) % 20 as namespace,
        'app-' || range % {workloads} as workload,
        'app-' || range % {workloads} || '-' || lpad(to_hex(roll(range, {week}) % 4294967296), 10, '0')
            as pod,
        'app-' || range % {workloads} || '-7d9f8b6c5' as replicaset,
        regexp_replace(md5(range || '/{week}'), '(.{{8}})(.{{4}})(.{{4}})(.{{4}})(.{{12}})',
            '\\1-\\2-\\3-\\4-\\5') as uid,
        'node-' || range % {nodes} as node
    from range({pods})
),
object as (
    select series as x_Series, roll(p, series) as o, base, map {{
            'namespace': namespace, 'pod': pod, 'container': 'app',
            'id': '/kubepods/burstable/pod' || uid || '/app'
        }} as labels
    from pod, (values ('cpu_usage', 400000), ('cpu_peak', 300), ('cpu_periods', 30000),
        ('cpu_throttled_periods', 400), ('memory_usage', 1500000000000),
        ('memory_peak', 500000000)) as s(series, base)
    union all
    select series, roll(p, series), -base, map {{
            'namespace': namespace, 'pod': pod, 'container': 'app', 'uid': uid
        }}
    from pod, (values ('cpu_request', 1800000), ('memory_request', 3600000000000),
        ('cpu_limit', 1000), ('memory_limit', 1000000000)) as s(series, base)
    union all
    select 'gpu_request', p, -3600000, map {{
            'namespace': namespace, 'pod': pod, 'container': 'app', 'uid': uid,
            'resource': 'nvidia_com_gpu'
        }}
    from pod where is_endpoint
    union all
    select 'gpu_engine_active', roll(p, 'gpu'), 2000000, map {{
            'exported_namespace': namespace, 'exported_pod': pod, 'exported_container': 'app',
            'UUID': 'GPU-' || uid
        }}
    from pod where is_endpoint
    union all
    select 'pod_running', p, -3600000, map {{
            'namespace': namespace, 'pod': pod, 'uid': uid, 'node': node
        }} from pod
    union all
    select 'pod_active', p, -3600000, map {{'namespace': namespace, 'pod': pod, 'uid': uid}} from pod
    union all
    select 'pod_labels', p, -3600000, map {{
            'namespace': namespace, 'pod': pod, 'uid': uid,
            'label_feature': ['chat', 'search', 'summaries', 'translate', 'voice'][1 + w % 5]
                || '-' || w % 8,
            'label_environment': ['production', 'staging'][1 + w % 2],
            'label_app_kubernetes_io_name': workload
        }} from pod
    union all
    select 'pod_owner', p, -3600000, map {{
            'namespace': namespace, 'pod': pod, 'uid': uid, 'owner_kind': 'ReplicaSet',
            'owner_name': replicaset
        }} from pod
    union all
    select 'replicaset_owner', 0, -3600000, map {{
            'namespace': namespace, 'replicaset': replicaset, 'owner_kind': 'Deployment',
            'owner_name': workload
        }} from (select distinct namespace, replicaset, workload from pod) as one
    union all
    select 'deployment_replicas', 0, -12, map {{'namespace': namespace, 'deployment': workload}}
    from (select distinct namespace, workload from pod) as one
    union all
    select series, range, -base, case series
            when 'node_running' then map {{
                'node': 'node-' || range,
                'provider_id': 'aws:///us-east-1a/i-' || lpad(to_hex(range), 17, '0')
            }}
            when 'node_labels' then map {{
                'node': 'node-' || range,
                'label_node_kubernetes_io_instance_type': 'g5.12xlarge'
            }}
            else map {{'node': 'node-' || range}}
        end
    from range({nodes}), (values ('node_running', 3600000), ('node_labels', 3600000),
        ('node_cpu_capacity', 172800000), ('node_memory_capacity', 700000000000000),
        ('node_gpu_capacity', 14400000)) as s(series, base)
)
select
    x_Series,
    labels,
    list_transform(range(24), lambda hour: {{
        'x_HourStart': timestamp '{day}' + to_hours(hour),
        'value': (
            case when base < 0 then -base else base * (50 + roll(o - hour, '{day}') % 100) / 100 end
        )::double
    }}) as hours
from object
order by x_Series, o, base, labels['pod']
"""

CALLS = """
with drawn as (
    select
        -- one call in a thousand is there twice
        case when range % 1000 = 1 then range - 1 else range end as n
    from range({first}, {last})
),
known as (
    select
        n,
        roll(n, 'call') as h,
        n - {first} as place,
        cast(floor(pow((roll(n, 'endpoint') % 10000) / 10000, 2) * {workloads} / 3) as bigint) * 3 as w,
        cast(floor(pow(300, roll(n, 'tenant') % 10000 / 10000.0)) as bigint) as tenant
    from drawn
)
select
    md5(n::varchar) as x_CallId,
    timestamp '{day}' + to_microseconds(cast(place * 86400000000.0 / {each} as bigint)) as x_Time,
    case when h % 10 = 0 then 'bedrock/claude-' || h // 10 % 3
        else 'team-' || w % 20 || '/app-' || w end as x_Endpoint,
    case when h % 10 = 0 then 'aws.bedrock' else 'vllm' end as x_Provider,
    ['chat', 'search', 'summaries', 'translate', 'voice'][1 + w % 5] || '-' || (w + (h % 20 = 0)::int) % 8
        as x_Feature,
    'tenant-' || tenant as x_Tenant,
    case when h % 100 < 95 then 'production' else 'staging' end as x_Environment,
    case when h % 10 = 0 then 'claude-' || h // 10 % 3 else 'model-' || w % 7 end as x_Model,
    case when h % 200 = 0 then 'error' else 'ok' end as x_Status,
    50 + roll(n, 'in') % 4000 as x_InputTokens,
    roll(n, 'cached') % 50 as x_CachedInputTokens,
    10 + roll(n, 'out') % 800 as x_OutputTokens,
    case when h % 10 <> 0 then 20 + roll(n, 'gpu') % 300 end as x_GpuMs,
    80 + roll(n, 'latency') % 5000 as x_LatencyMs
from known
order by place
"""
