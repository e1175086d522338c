-- What each node really cost in the hours it was measured, and how much capacity that bought:
-- the unit prices recommenders state savings at.
--
-- Capacity is weighted as price_ratio has a core, a GiB and a GPU, as allocation does. A charge for many hours counts for those of them that were measured.
--
-- One row per cluster, node and currency.
with
node_hour as (
    select
        i.ResourceId, n.x_HourStart,
        max(n.x_Cluster) as x_Cluster,
        max(n.x_Node) as x_Node,
        sum(
            cast(n.x_CpuCapacityCoreMs as hugeint) * 1024 * w.x_CpuWeight
            + (cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576)
            * w.x_MemoryWeight
            + cast(n.x_GpuCapacityMs as hugeint) * 1024 * w.x_GpuWeight
        ) as worth
    from node_usage as n
    inner join node_id as i on i.x_NodeResourceId = n.ResourceId
    inner join price_ratio as w on w.x_Cluster = n.x_Cluster
    group by i.ResourceId, n.x_HourStart
),
node_line as (
    select
        c.ResourceId, c.BillingCurrency,
        date_trunc('hour', c.ChargePeriodStart) as first_hour,
        greatest(
            date_diff('hour', date_trunc('hour', c.ChargePeriodStart), c.ChargePeriodEnd), 1
        ) as hours,
        sum(c.EffectiveCost) as EffectiveCost
    from cost_and_usage as c
    where c.ResourceId in (select ResourceId from node_hour)
    group by
        c.ResourceId, c.BillingCurrency, date_trunc('hour', c.ChargePeriodStart),
        greatest(
            date_diff('hour', date_trunc('hour', c.ChargePeriodStart), c.ChargePeriodEnd), 1
        )
),
charged_hour as (
    select
        l.ResourceId, l.BillingCurrency, h.x_HourStart, money_units(l.EffectiveCost) as units
    from node_line as l
    inner join node_hour as h on h.ResourceId = l.ResourceId and h.x_HourStart = l.first_hour
    where l.hours = 1
    union all
    select
        l.ResourceId, l.BillingCurrency, h.x_HourStart,
        money_units(l.EffectiveCost) // l.hours as units
    from node_line as l
    inner join node_hour as h
        on h.ResourceId = l.ResourceId
        and h.x_HourStart >= l.first_hour
        and h.x_HourStart < l.first_hour + to_hours(l.hours)
    where l.hours > 1
),
node_cost as (
    select ResourceId, x_HourStart, BillingCurrency, sum(units) as units
    from charged_hour
    group by ResourceId, x_HourStart, BillingCurrency
)
select
    $period as BillingPeriod,
    h.x_Cluster,
    h.x_Node,
    c.BillingCurrency,
    units_money(sum(c.units)) as EffectiveCost,
    cast(sum(h.worth) as decimal(38, 0)) as x_CapacityWeight
from node_cost as c
inner join node_hour as h on h.ResourceId = c.ResourceId and h.x_HourStart = c.x_HourStart
group by h.x_Cluster, h.x_Node, c.BillingCurrency
having sum(h.worth) > 0
order by h.x_Cluster, h.x_Node, c.BillingCurrency
