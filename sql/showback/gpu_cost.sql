-- What workloads that hold GPUs cost, and how much of that their GPUs were busy for.
--
-- The cost is what the pods of the workload were given of their nodes, whoever bears it: its callers,
-- its labels, or nobody. Held beyond busy is paid for and not used; GPUs nobody held are in the
-- `(idle)` of the cluster. Where DCGM did not measure every hour, busy is unknown: x_GpuBasis is
-- `request` then and the parts are null, never zero.
--
-- One row per cluster, workload and currency.
with
held as (
    select
        x_Cluster,
        x_Namespace || '/' || x_Workload as x_Endpoint,
        sum(x_GpuAllocatedParts) // gpu_parts() as held_ms,
        sum(x_GpuRequestMs) as device_ms,
        sum(least(x_GpuBusyMs, x_GpuRequestMs)) as busy_ms,
        count(*) filter (where x_GpuBusyMs is null) as blind_hours
    from pod_usage
    where x_GpuRequestMs > 0
    group by x_Cluster, x_Namespace || '/' || x_Workload
),
cost as (
    select
        substr(a.x_Pool, length('node/') + 1) as x_Cluster,
        coalesce(n.x_LoggedEndpoint, a.x_Endpoint) as x_Endpoint,
        a.BillingCurrency,
        sum(a.EffectiveCost) as EffectiveCost
    from allocated_cost as a
    left join (select distinct x_Endpoint, x_LoggedEndpoint from served_endpoint) as n
        on n.x_Endpoint = a.x_Endpoint
    where starts_with(a.x_Pool, 'node/')
    group by a.x_Pool, coalesce(n.x_LoggedEndpoint, a.x_Endpoint), a.BillingCurrency
),
split as (
    select
        c.x_Cluster, c.x_Endpoint, c.BillingCurrency, c.EffectiveCost, h.held_ms,
        h.blind_hours = 0 as is_seen,
        h.held_ms * h.busy_ms // h.device_ms as busy_ms,
        -- apportion() wants totals below 10^18: months of a million GPUs are.
        units_money(apportion(
            money_units(c.EffectiveCost), cast(h.busy_ms as bigint), cast(h.device_ms as bigint)
        )) as busy_cost
    from cost as c
    inner join held as h on h.x_Cluster = c.x_Cluster and h.x_Endpoint = c.x_Endpoint
)
select
    $period as BillingPeriod,
    x_Cluster,
    x_Endpoint,
    BillingCurrency,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(case when is_seen then busy_cost end as decimal(38, 12)) as x_BusyCost,
    cast(case when is_seen then EffectiveCost - busy_cost end as decimal(38, 12))
        as x_HeldIdleCost,
    cast(held_ms as bigint) as x_GpuHeldMs,
    cast(case when is_seen then busy_ms end as bigint) as x_GpuBusyMs,
    case when is_seen then 'dcgm' else 'request' end as x_GpuBasis
from split
order by x_Cluster, x_Endpoint, BillingCurrency
