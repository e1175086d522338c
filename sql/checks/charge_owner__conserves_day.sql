-- Grouping the bill by owner moves nothing to another day: each day costs what its charges do. The
-- check by invoice cannot see it. It asks the bill itself for one column of times and two of costs.
with
bill as (
    select
        cast(ChargePeriodStart as date) as x_ChargeDay,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from cost_and_usage
    group by cast(ChargePeriodStart as date)
),
owned as (
    select
        x_ChargeDay, sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_owner
    group by x_ChargeDay
)
select
    coalesce(bill.x_ChargeDay, owned.x_ChargeDay) as x_ChargeDay,
    bill.BilledCost as billed, owned.BilledCost as owned,
    bill.EffectiveCost as effective, owned.EffectiveCost as effective_owned
from bill
full join owned on owned.x_ChargeDay = bill.x_ChargeDay
where bill.BilledCost is distinct from owned.BilledCost
    or bill.EffectiveCost is distinct from owned.EffectiveCost
