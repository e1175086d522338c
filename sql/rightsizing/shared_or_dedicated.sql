-- A tenant's part of a shared endpoint against a replica of its own.
--
-- Now it costs what its calls cost, and of the endpoint's idle time the part in proportion to them.
-- A replica costs what the endpoint cost for each replica-hour that was measured, and would be up
-- for as long as the endpoint was; as many are needed as the tenant's work fills, one at least. The
-- break-even is in calls, at what each costs now: from there on one replica is no dearer.
--
-- One row per tenant, endpoint and currency.
with
cost as (
    select
        BillingCurrency, x_Endpoint, x_Tenant, x_AllocationMethod,
        money_units(sum(EffectiveCost)) as units
    from allocated_cost
    where x_AllocationMethod in ('inference', 'endpoint_idle')
    group by BillingCurrency, x_Endpoint, x_Tenant, x_AllocationMethod
),
endpoint as (
    select
        BillingCurrency, x_Endpoint, sum(units) as units,
        coalesce(sum(units) filter (where x_AllocationMethod = 'inference'), 0) as busy,
        coalesce(sum(units) filter (where x_AllocationMethod = 'endpoint_idle'), 0) as idle,
        count(distinct x_Tenant) filter (where x_AllocationMethod = 'inference') as tenants
    from cost
    group by BillingCurrency, x_Endpoint
),
running as (
    select
        x_Cluster, x_Namespace || '/' || x_Workload as name, x_HourStart,
        sum(x_RunningMs) as running_ms, max(x_RunningMs) as up_ms
    from pod_usage
    group by x_Cluster, x_Namespace || '/' || x_Workload, x_HourStart
),
-- Calls of no known cluster may have gone to pods of any.
up as (
    select x_Endpoint, sum(running_ms) as running_ms, sum(up_ms) as up_ms
    from (
        select
            s.x_Endpoint, r.x_HourStart, sum(r.running_ms) as running_ms, max(r.up_ms) as up_ms
        from running as r
        inner join (
            select distinct
                x_LoggedEndpoint, x_Endpoint,
                case when x_Endpoint <> x_LoggedEndpoint then x_Cluster end as x_Cluster
            from served_endpoint
        ) as s
            on s.x_LoggedEndpoint = r.name and coalesce(s.x_Cluster = r.x_Cluster, true)
        group by s.x_Endpoint, r.x_HourStart
    ) as hour
    group by x_Endpoint
    having sum(running_ms) > 0
),
called as (
    select x_Endpoint, x_Tenant, sum(x_Calls) as calls
    from model_use
    group by x_Endpoint, x_Tenant
),
part as (
    select
        c.BillingCurrency, c.x_Endpoint, c.x_Tenant, c.units as busy, e.tenants,
        coalesce(n.calls, 0) as calls,
        -- apportion() wants totals below 10^18; proportions are kept to that many digits.
        c.units + case
            when c.units > 0 and e.busy > 0 then apportion(
                e.idle, c.units // (e.busy // 500000000000000000 + 1),
                greatest(e.busy // (e.busy // 500000000000000000 + 1), 1)
            )
            else 0
        end as now_units,
        apportion(e.units, cast(u.up_ms as bigint), cast(u.running_ms as bigint)) as replica
    from cost as c
    inner join endpoint as e
        on e.BillingCurrency = c.BillingCurrency and e.x_Endpoint = c.x_Endpoint
    left join up as u on u.x_Endpoint = c.x_Endpoint
    left join called as n on n.x_Endpoint = c.x_Endpoint and n.x_Tenant = c.x_Tenant
    where c.x_AllocationMethod = 'inference' and c.x_Tenant not in ('(idle)', '(unallocated)')
),
judged as (
    select
        *,
        case
            when tenants = 1 then 'nobody else calls this endpoint'
            when replica is null then
                'its replicas are not measured; a bought API has none'
            when busy <= 0 or replica <= 0 then 'it cost nothing'
            when calls = 0 then 'its calls are not known'
        end as objection
    from part
),
answered as (
    select
        *,
        case
            when objection is null then replica * greatest((busy + replica - 1) // replica, 1)
        end as other_units,
        case
            when objection is null then (replica * calls + now_units - 1) // now_units
        end as break_even
    from judged
)
select
    $period as BillingPeriod,
    x_Tenant || ' at ' || x_Endpoint as x_Subject,
    BillingCurrency,
    cast(calls as bigint) as x_Quantity,
    'calls' as x_QuantityUnit,
    units_money(now_units) as x_CurrentCost,
    units_money(other_units) as x_OtherCost,
    case
        when other_units < now_units then 'dedicated'
        when other_units > now_units then 'shared'
        when other_units = now_units then 'equal'
    end as x_Cheaper,
    cast(break_even as bigint) as x_BreakEven,
    'calls' as x_BreakEvenUnit,
    objection as x_Reason
from answered
order by x_Subject, BillingCurrency
