-- By which weights each pool is split among those who used it.
--
-- Node pools: the cost of a node-hour falls to CPU, memory and GPU by $cpu_weight per core,
-- $memory_weight per GiB and $gpu_weight per GPU of capacity; each resource falls to the pods
-- that held it (the larger of requested and used, hour by hour), the rest is `(idle)`. Where
-- pods hold more than the node has, they share what there is. Pods of an endpoint pass their
-- part to the callers of that hour, by GPU milliseconds where every call logged them, else by
-- weighted tokens. Node-hours the cluster did not measure stay `unmeasured`.
-- Inference pools: by the same work, over the day.
--
-- Weights are integers in 10^-15 of the currency of the node-hour, so that no order of threads
-- can change a sum. Nothing is rounded to money here: allocated_cost does that once per pool.
--
-- One row per pool and consumer.
with
owner_label as (
    select Tags as x_Labels, x_Feature, x_Tenant, x_Environment from tag_owner
),
-- ---------------------------------------------------------------- what the callers did
-- Owners are resolved once per distinct caller, not once per hour; calls then carry a number.
distinct_caller as (
    select distinct x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model
    from inference_usage
),
resolved_caller as (
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model,
        coalesce(f.x_To, normal_value(u.x_Feature)) as feature,
        coalesce(t.x_To, normal_value(u.x_Tenant)) as tenant,
        coalesce(e.x_To, normal_value(u.x_Environment)) as environment
    from distinct_caller as u
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
),
numbered_caller as (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model, feature, tenant, environment,
        dense_rank() over (
            order by x_Endpoint, feature, tenant, environment, x_Model
        ) as caller_no,
        dense_rank() over (order by x_Endpoint) as endpoint_no
    from resolved_caller
),
known_caller as (
    select distinct
        caller_no, endpoint_no, x_Endpoint, feature as x_Feature, tenant as x_Tenant,
        environment as x_Environment, x_Model
    from numbered_caller
),
endpoint as (
    select distinct endpoint_no, x_Endpoint from known_caller
),
named_call as (
    select
        u.x_HourStart,
        n.endpoint_no,
        n.caller_no,
        sum(u.x_Calls) as calls,
        sum(u.x_UnknownTokenCalls) as unknown_calls,
        sum(u.x_GpuMsCalls) as gpu_calls,
        sum(u.x_GpuMs) as gpu_ms,
        sum(
            (u.x_InputTokens - u.x_CachedInputTokens) * $input_token_weight
            + u.x_CachedInputTokens * $cached_token_weight
            + u.x_OutputTokens * $output_token_weight
        ) as token_work
    from inference_usage as u
    inner join numbered_caller as n
        on n.x_Endpoint = u.x_Endpoint
        and n.x_Feature is not distinct from u.x_Feature
        and n.x_Tenant is not distinct from u.x_Tenant
        and n.x_Environment is not distinct from u.x_Environment
        and n.x_Model = u.x_Model
    group by u.x_HourStart, n.endpoint_no, n.caller_no
),
endpoint_hour as (
    select
        x_HourStart,
        endpoint_no,
        sum(calls) as calls,
        sum(calls) - sum(unknown_calls) as known_calls,
        sum(token_work) as token_work,
        sum(gpu_ms) as gpu_ms,
        case
            when sum(gpu_calls) = sum(calls) and sum(gpu_ms) > 0 then 'gpu_ms'
            when sum(token_work) > 0 then 'tokens'
            else 'calls'
        end as unit
    from named_call
    group by x_HourStart, endpoint_no
),
-- A call without token counts is unknown, not zero: it weighs what a known call weighs.
caller as (
    select
        c.x_HourStart, c.endpoint_no, c.caller_no, e.unit,
        cast(case e.unit
            when 'gpu_ms' then c.gpu_ms
            when 'tokens' then
                c.token_work + c.unknown_calls * (e.token_work // greatest(e.known_calls, 1))
            else c.calls
        end as hugeint) as work
    from named_call as c
    inner join endpoint_hour as e
        on e.x_HourStart = c.x_HourStart and e.endpoint_no = c.endpoint_no
),
-- ------------------------------------------------------------- what pods held of a node
held as (
    select
        x_Cluster, x_HourStart, x_Node, x_Namespace, x_WorkloadKind, x_Workload, x_Labels,
        sum(x_CpuAllocatedCoreMs) as cpu,
        sum(x_MemoryAllocatedByteSeconds) * 1000 // 1048576 as memory,
        sum(x_GpuRequestMs) as gpu
    from pod_usage
    where x_Node is not null
    group by
        x_Cluster, x_HourStart, x_Node, x_Namespace, x_WorkloadKind, x_Workload, x_Labels
),
held_total as (
    select
        x_Cluster, x_HourStart, x_Node,
        sum(cpu) as cpu, sum(memory) as memory, sum(gpu) as gpu
    from held
    group by x_Cluster, x_HourStart, x_Node
),
-- Part of the node-hour that each resource stands for, in 10^-12 of it. Memory in MiB-ms.
node_hour as (
    select
        n.x_Cluster, n.x_HourStart, n.x_Node, n.ResourceId,
        cast(n.x_CpuCapacityCoreMs as hugeint) as cpu,
        cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576 as memory,
        cast(n.x_GpuCapacityMs as hugeint) as gpu,
        greatest(n.x_CpuCapacityCoreMs, coalesce(h.cpu, 0)) as cpu_total,
        greatest(
            cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576,
            coalesce(h.memory, 0)
        ) as memory_total,
        greatest(n.x_GpuCapacityMs, coalesce(h.gpu, 0)) as gpu_total,
        coalesce(h.cpu, 0) as cpu_held,
        coalesce(h.memory, 0) as memory_held,
        coalesce(h.gpu, 0) as gpu_held,
        cast(n.x_CpuCapacityCoreMs as hugeint) * 1024 * $cpu_weight as cpu_worth,
        (cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576)
        * $memory_weight as memory_worth,
        cast(n.x_GpuCapacityMs as hugeint) * 1024 * $gpu_weight as gpu_worth
    from node_usage as n
    left join held_total as h
        on h.x_Cluster = n.x_Cluster and h.x_HourStart = n.x_HourStart and h.x_Node = n.x_Node
    where n.ResourceId is not null
),
node_part as (
    select
        x_Cluster, x_HourStart, x_Node, ResourceId,
        cpu_total, memory_total, gpu_total,
        greatest(cpu - cpu_held, 0) as cpu_idle,
        greatest(memory - memory_held, 0) as memory_idle,
        greatest(gpu - gpu_held, 0) as gpu_idle,
        1000000000000 * cpu_worth // (cpu_worth + memory_worth + gpu_worth) as cpu_part,
        1000000000000 * memory_worth // (cpu_worth + memory_worth + gpu_worth) as memory_part,
        1000000000000 * gpu_worth // (cpu_worth + memory_worth + gpu_worth) as gpu_part
    from node_hour
    where cpu_worth + memory_worth + gpu_worth > 0
),
part as (
    select
        n.ResourceId, n.x_HourStart, h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.x_Labels,
        n.cpu_part * h.cpu // greatest(n.cpu_total, 1)
        + n.memory_part * h.memory // greatest(n.memory_total, 1)
        + n.gpu_part * h.gpu // greatest(n.gpu_total, 1) as part
    from held as h
    inner join node_part as n
        on n.x_Cluster = h.x_Cluster and n.x_HourStart = h.x_HourStart and n.x_Node = h.x_Node
    union all
    select
        ResourceId, x_HourStart, null as x_Namespace, null as x_WorkloadKind,
        null as x_Workload, null as x_Labels,
        cpu_part * cpu_idle // greatest(cpu_total, 1)
        + memory_part * memory_idle // greatest(memory_total, 1)
        + gpu_part * gpu_idle // greatest(gpu_total, 1) as part
    from node_part
),
-- ------------------------------------------------------------------ what a node costs
node_id as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from node_usage
    where ResourceId is not null
    group by ResourceId
),
pool as (
    select distinct
        x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
        ServiceCategory, ServiceName, ChargeCategory, x_Pool
    from charge_owner
    where x_Pool is not null
),
node_line as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId, c.ServiceCategory,
        c.ServiceName, c.ChargeCategory, c.ResourceId, node_id.x_Cluster,
        date_trunc('hour', c.ChargePeriodStart) as x_HourStart,
        c.ChargePeriodEnd > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour as is_long,
        case
            when c.ChargePeriodEnd
                > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour
                then c.ChargePeriodEnd
        end as long_end,
        sum(c.EffectiveCost) as EffectiveCost,
        sum(c.BilledCost) as BilledCost
    from cost_and_usage as c
    inner join node_id on node_id.ResourceId = c.ResourceId
    group by
        cast(c.ChargePeriodStart as date), c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.ResourceId,
        node_id.x_Cluster, date_trunc('hour', c.ChargePeriodStart),
        c.ChargePeriodEnd > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour,
        case
            when c.ChargePeriodEnd
                > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour
                then c.ChargePeriodEnd
        end
),
-- Only proportions matter, so a credit weighs by its size, and a free hour weighs something.
node_charge as (
    select
        pool.x_PoolId, n.ResourceId, n.x_HourStart, n.is_long, n.long_end,
        greatest(
            case
                when n.EffectiveCost <> 0 then abs(money_units(n.EffectiveCost))
                else abs(money_units(n.BilledCost))
            end,
            1
        ) as units
    from node_line as n
    inner join pool
        on pool.x_ChargeDay = n.x_ChargeDay
        and pool.InvoiceId = n.InvoiceId
        and pool.BillingCurrency = n.BillingCurrency
        and pool.ProviderName = n.ProviderName
        and pool.SubAccountId is not distinct from n.SubAccountId
        and pool.ServiceCategory = n.ServiceCategory
        and pool.ServiceName = n.ServiceName
        and pool.ChargeCategory = n.ChargeCategory
        and pool.x_Pool = 'node/' || n.x_Cluster
),
-- A charge for longer than an hour stands in every measured hour it covers.
long_hour as (
    select
        c.x_PoolId, c.ResourceId, n.x_HourStart, c.units,
        count(*) over (
            partition by c.x_PoolId, c.ResourceId, c.x_HourStart, c.long_end
        ) as hours
    from node_charge as c
    inner join node_part as n
        on n.ResourceId = c.ResourceId
        and n.x_HourStart >= c.x_HourStart
        and n.x_HourStart < c.long_end
    where c.is_long
),
hour_charge as (
    select x_PoolId, ResourceId, x_HourStart, units from node_charge where not is_long
    union all
    select x_PoolId, ResourceId, x_HourStart, units // hours as units from long_hour
),
measured as (
    select distinct ResourceId, x_HourStart from node_part
),
unmeasured as (
    select c.x_PoolId, sum(c.units) as weight
    from hour_charge as c
    anti join measured
        on measured.ResourceId = c.ResourceId and measured.x_HourStart = c.x_HourStart
    group by c.x_PoolId
),
workload_hour as (
    select
        c.x_PoolId, c.x_HourStart, p.x_Namespace, p.x_WorkloadKind, p.x_Workload, p.x_Labels,
        sum(c.units * p.part // 1000000000) as weight
    from hour_charge as c
    inner join part as p
        on p.ResourceId = c.ResourceId and p.x_HourStart = c.x_HourStart
    where p.part > 0
    group by
        c.x_PoolId, c.x_HourStart, p.x_Namespace, p.x_WorkloadKind, p.x_Workload, p.x_Labels
),
-- ------------------------------------------------------------- from workloads to callers
caller_total as (
    select
        c.x_HourStart, c.endpoint_no, e.x_Endpoint, min(c.unit) as unit, sum(c.work) as work
    from caller as c
    inner join endpoint as e on e.endpoint_no = c.endpoint_no
    group by c.x_HourStart, c.endpoint_no, e.x_Endpoint
),
endpoint_held as (
    select x_HourStart, x_Namespace, x_Workload, sum(gpu) as gpu
    from held
    group by x_HourStart, x_Namespace, x_Workload
),
served as (
    select
        w.x_PoolId, w.x_HourStart, w.x_Labels, w.weight, w.x_Namespace, w.x_Workload,
        t.endpoint_no, t.x_Endpoint, t.unit, t.work,
        case
            when t.unit = 'gpu_ms' and $endpoint_idle = 'line' then greatest(t.work, e.gpu)
            else t.work
        end as total_work
    from workload_hour as w
    inner join caller_total as t
        on t.x_HourStart = w.x_HourStart
        and t.x_Endpoint = w.x_Namespace || '/' || w.x_Workload
    inner join endpoint_held as e
        on e.x_HourStart = w.x_HourStart
        and e.x_Namespace = w.x_Namespace
        and e.x_Workload = w.x_Workload
    where w.x_Workload is not null and t.work > 0
),
-- Callers of an endpoint, by their work: hours are added up before anything has a name.
served_label as (
    select x_Labels, row_number() over (order by x_Labels) as label_no
    from (select distinct x_Labels from served) as labels
),
served_pool as (
    select x_PoolId, row_number() over (order by x_PoolId) as pool_no
    from (select distinct x_PoolId from served) as pools
),
served_hour as (
    select
        p.pool_no, l.label_no, s.x_HourStart, s.endpoint_no, s.unit, s.weight, s.total_work
    from served as s
    inner join served_pool as p on p.x_PoolId = s.x_PoolId
    inner join served_label as l on l.x_Labels = s.x_Labels
),
served_caller as (
    select
        s.pool_no, s.label_no, c.caller_no, s.unit,
        sum(s.weight * c.work // s.total_work) as weight
    from served_hour as s
    inner join caller as c
        on c.x_HourStart = s.x_HourStart and c.endpoint_no = s.endpoint_no
    group by s.pool_no, s.label_no, c.caller_no, s.unit
),
-- Callers of bought APIs and shared endpoints, by the work of the day.
split_endpoint as (
    select distinct 'inference/' || s.x_Name as x_Pool, e.endpoint_no
    from inference_split as s
    inner join endpoint as e on e.x_Endpoint like s.x_Endpoint escape '\'
),
split_caller as (
    select
        s.x_Pool, cast(c.x_HourStart as date) as x_ChargeDay, c.caller_no,
        min(c.unit) as unit, sum(c.work) as work
    from caller as c
    inner join split_endpoint as s on s.endpoint_no = c.endpoint_no
    group by s.x_Pool, cast(c.x_HourStart as date), c.caller_no
),
consumer as (
    select
        p.x_PoolId,
        coalesce(k.x_Feature, o.x_Feature, '(unallocated)') as x_Feature,
        coalesce(k.x_Tenant, o.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(k.x_Environment, o.x_Environment, '(unallocated)') as x_Environment,
        k.x_Model,
        k.x_Endpoint,
        'inference' as x_AllocationMethod,
        s.unit as x_WeightUnit,
        s.weight
    from served_caller as s
    inner join served_pool as p on p.pool_no = s.pool_no
    inner join served_label as l on l.label_no = s.label_no
    inner join known_caller as k on k.caller_no = s.caller_no
    left join owner_label as o on o.x_Labels = l.x_Labels
    union all
    -- GPU time of an endpoint that no call used: its labels say whose, a shared one is nobody's.
    select
        s.x_PoolId,
        coalesce(o.x_Feature, '(idle)') as x_Feature,
        '(idle)' as x_Tenant,
        coalesce(o.x_Environment, '(idle)') as x_Environment,
        '(none)' as x_Model,
        s.x_Endpoint,
        'endpoint_idle' as x_AllocationMethod,
        s.unit as x_WeightUnit,
        s.weight * (s.total_work - s.work) // s.total_work as weight
    from served as s
    left join owner_label as o on o.x_Labels = s.x_Labels
    where s.total_work > s.work
    union all
    -- Pods that served no call in the hour: by their labels, idle where they serve at times.
    select
        w.x_PoolId,
        coalesce(
            o.x_Feature, case when e.x_Endpoint is null then '(unallocated)' else '(idle)' end
        ) as x_Feature,
        case
            when e.x_Endpoint is not null then '(idle)'
            else coalesce(o.x_Tenant, '(unallocated)')
        end as x_Tenant,
        coalesce(
            o.x_Environment, case when e.x_Endpoint is null then '(unallocated)' else '(idle)' end
        ) as x_Environment,
        '(none)' as x_Model,
        w.x_Namespace || '/' || w.x_Workload as x_Endpoint,
        case when e.x_Endpoint is not null then 'endpoint_idle' else 'pod' end
            as x_AllocationMethod,
        'held' as x_WeightUnit,
        w.weight
    from workload_hour as w
    anti join served as s
        on s.x_PoolId = w.x_PoolId
        and s.x_HourStart = w.x_HourStart
        and s.x_Namespace = w.x_Namespace
        and s.x_Workload = w.x_Workload
    left join owner_label as o on o.x_Labels = w.x_Labels
    left join endpoint as e on e.x_Endpoint = w.x_Namespace || '/' || w.x_Workload
    where w.x_Workload is not null
    union all
    -- Capacity no pod held.
    select
        x_PoolId, '(idle)' as x_Feature, '(idle)' as x_Tenant, '(idle)' as x_Environment,
        '(none)' as x_Model, '(none)' as x_Endpoint, 'idle' as x_AllocationMethod,
        'held' as x_WeightUnit, weight
    from workload_hour
    where x_Workload is null
    union all
    select
        x_PoolId, '(unallocated)' as x_Feature, '(unallocated)' as x_Tenant,
        '(unallocated)' as x_Environment, '(none)' as x_Model, '(none)' as x_Endpoint,
        'unmeasured' as x_AllocationMethod, 'held' as x_WeightUnit, weight * 1000 as weight
    from unmeasured
    union all
    select
        pool.x_PoolId,
        coalesce(k.x_Feature, '(unallocated)') as x_Feature,
        coalesce(k.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(k.x_Environment, '(unallocated)') as x_Environment,
        k.x_Model,
        k.x_Endpoint,
        'inference' as x_AllocationMethod,
        c.unit as x_WeightUnit,
        c.work as weight
    from pool
    inner join split_caller as c
        on c.x_Pool = pool.x_Pool and c.x_ChargeDay = pool.x_ChargeDay
    inner join known_caller as k on k.caller_no = c.caller_no
)
select
    $period as BillingPeriod,
    x_PoolId,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_Endpoint,
    x_AllocationMethod,
    min(x_WeightUnit) as x_WeightUnit,
    cast(sum(weight) as decimal(38, 0)) as x_Weight
from consumer
group by
    x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
having sum(weight) > 0
order by
    x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
