-- The bill by day of a time zone. Storage is UTC; a local day has 23, 24 or 25 of its hours, so
-- it is summed from the charges, not from UTC days. A charge counts on the local day it begins;
-- what has no time, because it could not be read, counts where showback has it: at the beginning
-- of its billing period.
--
-- Any bill may hold charges of a local month: its first hours may be on the bill before, its last
-- on the one after, and corrections on a later one. x_OtherBills is what such charges add.
--
-- One row per local day and currency.
with
charge as (
    select BillingPeriod, BillingCurrency, ChargePeriodStart, BilledCost, EffectiveCost
    from cost_and_usage
    union all
    select
        BillingPeriod, BillingCurrency,
        cast(BillingPeriod || '-01' as timestamp) as ChargePeriodStart,
        coalesce(BilledCost, 0) as BilledCost, coalesce(EffectiveCost, 0) as EffectiveCost
    from quarantine
),
-- No zone is more than 14 hours from UTC. In terms of UTC the bound is found in the statistics.
near as (
    select BillingPeriod, BillingCurrency, ChargePeriodStart, BilledCost, EffectiveCost
    from charge
    where ChargePeriodStart >= cast($period || '-01' as timestamp) - interval 1 day
        and ChargePeriodStart
            < cast($period || '-01' as timestamp) + interval 1 month + interval 1 day
),
-- The clock is asked once a quarter of an hour, not once a charge; no zone is off by less.
begun as (
    select
        BillingPeriod, BillingCurrency,
        time_bucket(interval 15 minutes, ChargePeriodStart) as begins_at,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from near
    group by BillingPeriod, BillingCurrency, time_bucket(interval 15 minutes, ChargePeriodStart)
),
local_quarter as (
    select
        BillingPeriod, BillingCurrency, begins_at, BilledCost, EffectiveCost,
        cast(timezone($time_zone, timezone('UTC', begins_at)) as date) as local_day
    from begun
)
select
    BillingCurrency,
    cast(local_day as varchar) as x_Value,
    count(distinct date_trunc('hour', begins_at)) as x_Hours,
    sum(BilledCost) as BilledCost,
    sum(EffectiveCost) as EffectiveCost,
    sum(case when BillingPeriod <> $period then EffectiveCost else 0 end) as x_OtherBills
from local_quarter
where strftime(local_day, '%Y-%m') = $period
group by BillingCurrency, local_day
order by BillingCurrency, local_day
