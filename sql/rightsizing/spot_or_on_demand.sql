-- Hours of machines on demand against the same hours on spot, by what both really cost.
--
-- An hour of a node is on spot where a charge of it is of the pricing category `Dynamic`, on demand
-- where all are `Standard`; hours under a commitment are neither. Only charges for compute count. A
-- charge for many hours counts for those of them that were measured. Work that an interruption
-- destroys is done again and paid for again: the break-even is the part of the work, in thousandths,
-- whose loss eats up what spot saves.
--
-- One row per machine type, region and currency.
with
node_hour as (
    select
        i.ResourceId, n.x_HourStart,
        max(n.x_InstanceType) as x_InstanceType,
        max(n.x_RunningMs) as running_ms
    from node_usage as n
    inner join node_id as i on i.x_NodeResourceId = n.ResourceId
    group by i.ResourceId, n.x_HourStart
),
node_line as (
    select
        c.ResourceId, c.BillingCurrency, c.PricingCategory,
        date_trunc('hour', c.ChargePeriodStart) as first_hour,
        greatest(
            date_diff('hour', date_trunc('hour', c.ChargePeriodStart), c.ChargePeriodEnd), 1
        ) as hours,
        max(c.RegionId) as RegionId,
        sum(c.EffectiveCost) as EffectiveCost
    from cost_and_usage as c
    where c.ResourceId in (select ResourceId from node_hour)
        and c.ServiceCategory = 'Compute'
        and c.ChargeCategory = 'Usage'
    group by
        c.ResourceId, c.BillingCurrency, c.PricingCategory,
        date_trunc('hour', c.ChargePeriodStart),
        greatest(
            date_diff('hour', date_trunc('hour', c.ChargePeriodStart), c.ChargePeriodEnd), 1
        )
),
charged_hour as (
    select
        l.ResourceId, l.BillingCurrency, l.PricingCategory, l.RegionId, h.x_InstanceType,
        h.x_HourStart, h.running_ms, money_units(l.EffectiveCost) as units
    from node_line as l
    inner join node_hour as h on h.ResourceId = l.ResourceId and h.x_HourStart = l.first_hour
    where l.hours = 1
    union all
    select
        l.ResourceId, l.BillingCurrency, l.PricingCategory, l.RegionId, h.x_InstanceType,
        h.x_HourStart, h.running_ms, money_units(l.EffectiveCost) // l.hours as units
    from node_line as l
    inner join node_hour as h
        on h.ResourceId = l.ResourceId
        and h.x_HourStart >= l.first_hour
        and h.x_HourStart < l.first_hour + to_hours(l.hours)
    where l.hours > 1
),
bought_hour as (
    select
        ResourceId, BillingCurrency, x_HourStart,
        coalesce(max(x_InstanceType), '(unknown)')
        || coalesce(' in ' || max(RegionId), '') as machine,
        max(running_ms) as running_ms,
        sum(units) as units,
        case
            when count(*) filter (where PricingCategory = 'Dynamic') > 0 then 'spot'
            when count(*) filter (where PricingCategory is distinct from 'Standard') = 0
                then 'on_demand'
        end as bought
    from charged_hour
    group by ResourceId, BillingCurrency, x_HourStart
),
measured as (
    select
        machine, BillingCurrency,
        coalesce(sum(running_ms) filter (where bought = 'on_demand'), 0) as demand_ms,
        coalesce(sum(units) filter (where bought = 'on_demand'), 0) as demand_units,
        coalesce(sum(running_ms) filter (where bought = 'spot'), 0) as spot_ms,
        coalesce(sum(units) filter (where bought = 'spot'), 0) as spot_units
    from bought_hour
    where bought is not null
    group by machine, BillingCurrency
),
judged as (
    select
        *,
        case
            when starts_with(machine, '(unknown)') then 'its machine type is not known'
            when demand_ms = 0 then 'no hour of it was on demand'
            when spot_ms = 0 then 'no hour of it was on spot'
            when demand_units <= 0 or spot_units < 0 then 'its hours on demand cost nothing'
        end as objection
    from measured
),
answered as (
    select
        *,
        case
            when objection is null then
                apportion(spot_units, cast(demand_ms as bigint), cast(spot_ms as bigint))
        end as other_units
    from judged
)
select
    $period as BillingPeriod,
    machine as x_Subject,
    BillingCurrency,
    cast(demand_ms // 3600000 as bigint) as x_Quantity,
    'hours' as x_QuantityUnit,
    units_money(demand_units) as x_CurrentCost,
    units_money(other_units) as x_OtherCost,
    case
        when other_units < demand_units then 'spot'
        when other_units > demand_units then 'on_demand'
        when other_units = demand_units then 'equal'
    end as x_Cheaper,
    cast(
        case
            when other_units <= demand_units then
                ((demand_units - other_units) * 1000 + demand_units - 1) // demand_units
        end as bigint
    ) as x_BreakEven,
    'permille of work lost' as x_BreakEvenUnit,
    coalesce(
        objection,
        case when other_units > demand_units then 'spot costs more though nothing is lost' end
    ) as x_Reason
from answered
order by x_Subject, BillingCurrency
