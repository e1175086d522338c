-- What an hour of each machine type cost on demand, and what it has: the prices that a ratio of CPU,
-- memory and GPU is fitted to, where $price_ratio is `regression`.
--
-- Counted are charges for an hour to a day of a node that was measured from end to end, where all
-- charges for compute of that time are of the pricing category `Standard`: spot, commitments, credits
-- and fees for a month have no price of their own. What is charged by the byte, as traffic is, does
-- not count. Cost is EffectiveCost in 10^-12, capacity core-milliseconds, byte-seconds and
-- GPU-milliseconds, over all that time together.
--
-- One row per cluster, currency and machine type, or one without them for a cluster that has none.
with
node_hour as (
    select
        n.x_Cluster, i.ResourceId, n.x_HourStart,
        coalesce(
            max(x_InstanceType),
            concat_ws(
                '/', max(x_CpuCapacityCoreMs), max(x_MemoryCapacityByteSeconds),
                max(x_GpuCapacityMs)
            )
        ) as machine,
        max(x_CpuCapacityCoreMs) as cpu,
        max(x_MemoryCapacityByteSeconds) as memory,
        max(x_GpuCapacityMs) as gpu
    from node_usage as n
    inner join node_id as i on i.x_NodeResourceId = n.ResourceId
    where n.x_RunningMs = 3600000 and $price_ratio = 'regression'
    group by n.x_Cluster, i.ResourceId, n.x_HourStart
),
node_line as (
    select
        ResourceId, BillingCurrency, ChargePeriodStart as first_hour,
        ChargePeriodEnd as end_hour,
        date_diff('hour', ChargePeriodStart, ChargePeriodEnd) as hours,
        money_units(sum(EffectiveCost)) as units
    from cost_and_usage
    where ServiceCategory = 'Compute'
        and $price_ratio = 'regression'
        and not regexp_full_match(
            lower(coalesce(PricingUnit, '')), '(.*[^a-z])?([kmgt]i?b|[a-z]*bytes?)'
        )
        and ResourceId in (select ResourceId from node_hour)
    group by ResourceId, BillingCurrency, ChargePeriodStart, ChargePeriodEnd
    having sum(EffectiveCost) > 0
        and count(*) = count(*) filter (
            where ChargeCategory = 'Usage' and PricingCategory = 'Standard'
        )
        and date_diff('hour', ChargePeriodStart, ChargePeriodEnd) between 1 and 24
),
charged as (
    select
        n.x_Cluster, l.BillingCurrency, n.machine, cast(n.cpu as hugeint) as cpu,
        cast(n.memory as hugeint) as memory, cast(n.gpu as hugeint) as gpu, l.units
    from node_line as l
    inner join node_hour as n on n.ResourceId = l.ResourceId and n.x_HourStart = l.first_hour
    where l.hours = 1
    union all
    select
        n.x_Cluster, l.BillingCurrency, n.machine, sum(n.cpu) as cpu, sum(n.memory) as memory,
        sum(n.gpu) as gpu, l.units
    from node_line as l
    inner join node_hour as n
        on n.ResourceId = l.ResourceId
        and n.x_HourStart >= l.first_hour
        and n.x_HourStart < l.end_hour
    where l.hours > 1
    group by
        n.x_Cluster, l.BillingCurrency, n.machine, l.ResourceId, l.first_hour, l.end_hour,
        l.hours, l.units
    having count(*) = l.hours
),
machine_price as (
    select
        x_Cluster, BillingCurrency, machine,
        cast(sum(cpu) as hugeint) as cpu,
        cast(sum(memory) as hugeint) as memory,
        cast(sum(gpu) as hugeint) as gpu,
        sum(units) as units
    from charged
    group by x_Cluster, BillingCurrency, machine
),
-- Pods may be known where no node is.
cluster as (
    select x_Cluster, max(gpus) as gpus
    from (
        select x_Cluster, max(x_GpuCapacityMs) as gpus from node_usage group by x_Cluster
        union all
        select distinct x_Cluster, cast(0 as bigint) as gpus from pod_usage
    ) as known_cluster
    group by x_Cluster
)
select
    cluster.x_Cluster, cluster.gpus > 0 as has_gpus, m.BillingCurrency, m.machine, m.cpu,
    m.memory, m.gpu, m.units
from cluster
left join machine_price as m on m.x_Cluster = cluster.x_Cluster
order by cluster.x_Cluster, m.BillingCurrency, m.machine
