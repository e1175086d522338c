-- The bill by day of a time zone. Storage is UTC; a local day has 23, 24 or 25 of its hours, so
-- it is summed from the charges, not from UTC days. A charge counts on the local day it begins. One
-- of a whole day or longer that begins at midnight UTC has a date and no hour: a monthly fee is of the
-- first, wherever that is read. What has no time, because it could not be read, counts where
-- showback has it: on the first day of its billing period.
--
-- Any bill may hold charges of a local month: its first hours may be on the bill before, its last
-- on the one after, and corrections on a later one. x_BilledIn and x_EffectiveIn are what of a day is
-- on such bills. The line `(other months)` has what the period's own bill has for days of other
-- months, as x_BilledOut and x_EffectiveOut: all days, less what comes in, with what goes out, are
-- the bill.
--
-- One row per currency and local day, and one per currency for other months.
with
charge as (
    select
        BillingPeriod, BillingCurrency, ChargePeriodStart, BilledCost, EffectiveCost,
        ChargePeriodStart = date_trunc('day', ChargePeriodStart)
            and ChargePeriodEnd >= ChargePeriodStart + interval 1 day as is_dated
    from cost_and_usage
    -- No zone is more than 14 hours from UTC. In terms of UTC the bound is found in the statistics.
    where BillingPeriod = $period
        or (
            ChargePeriodStart >= cast($period || '-01' as timestamp) - interval 1 day
            and ChargePeriodStart
                < cast($period || '-01' as timestamp) + interval 1 month + interval 1 day
        )
),
-- The clock is asked once a quarter of an hour, not once a charge; no zone is off by less.
begun as (
    select
        BillingPeriod, BillingCurrency, is_dated,
        time_bucket(interval 15 minutes, ChargePeriodStart) as begins_at,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge
    group by
        BillingPeriod, BillingCurrency, is_dated,
        time_bucket(interval 15 minutes, ChargePeriodStart)
),
placed as (
    select
        BillingPeriod, BillingCurrency, BilledCost, EffectiveCost,
        case when not is_dated then date_trunc('hour', begins_at) end as hour,
        case
            when is_dated then cast(begins_at as date)
            else cast(timezone($time_zone, timezone('UTC', begins_at)) as date)
        end as local_day
    from begun
    union all
    select
        BillingPeriod, BillingCurrency, coalesce(BilledCost, 0) as BilledCost,
        coalesce(EffectiveCost, 0) as EffectiveCost, null as hour,
        cast(BillingPeriod || '-01' as date) as local_day
    from quarantine
    where BillingPeriod = $period
),
told as (
    select
        BillingPeriod = $period as is_own,
        BillingCurrency, BilledCost, EffectiveCost, hour, local_day,
        strftime(local_day, '%Y-%m') = $period as is_inside
    from placed
)
select
    BillingCurrency,
    case when is_inside then cast(local_day as varchar) else '(other months)' end as x_Value,
    count(distinct case when is_inside then hour end) as x_Hours,
    sum(case when is_inside then BilledCost else 0 end) as BilledCost,
    sum(case when is_inside then EffectiveCost else 0 end) as EffectiveCost,
    sum(case when is_inside and not is_own then BilledCost else 0 end) as x_BilledIn,
    sum(case when is_inside and not is_own then EffectiveCost else 0 end) as x_EffectiveIn,
    sum(case when is_inside then 0 else BilledCost end) as x_BilledOut,
    sum(case when is_inside then 0 else EffectiveCost end) as x_EffectiveOut
from told
where is_inside or is_own
group by
    BillingCurrency, case when is_inside then cast(local_day as varchar) else '(other months)' end
order by BillingCurrency, x_Value = '(other months)', x_Value
