-- The totals of two generations as people read them, and what the changed rows explain of their
-- difference: all of it, or something is wrong.
--
-- One row per currency.
with
both_totals as (
    select
        BillingCurrency,
        BilledCost as x_BilledFrom, cast(0 as decimal(38, 12)) as x_BilledTo,
        EffectiveCost as x_EffectiveFrom, cast(0 as decimal(38, 12)) as x_EffectiveTo,
        cast(0 as decimal(38, 12)) as x_BilledExplained,
        cast(0 as decimal(38, 12)) as x_EffectiveExplained
    from showback_from
    union all
    select
        BillingCurrency,
        0 as x_BilledFrom, BilledCost as x_BilledTo,
        0 as x_EffectiveFrom, EffectiveCost as x_EffectiveTo,
        0 as x_BilledExplained, 0 as x_EffectiveExplained
    from showback_to
    union all
    select
        BillingCurrency,
        0 as x_BilledFrom, 0 as x_BilledTo, 0 as x_EffectiveFrom, 0 as x_EffectiveTo,
        x_Sign * BilledCost as x_BilledExplained,
        x_Sign * EffectiveCost as x_EffectiveExplained
    from changed_row
)
select
    BillingCurrency,
    sum(x_BilledFrom) as x_BilledFrom,
    sum(x_BilledTo) as x_BilledTo,
    sum(x_BilledTo) - sum(x_BilledFrom) as x_BilledDifference,
    sum(x_EffectiveFrom) as x_EffectiveFrom,
    sum(x_EffectiveTo) as x_EffectiveTo,
    sum(x_EffectiveTo) - sum(x_EffectiveFrom) as x_EffectiveDifference,
    sum(x_BilledExplained) as x_BilledExplained,
    sum(x_EffectiveExplained) as x_EffectiveExplained
from both_totals
group by BillingCurrency
order by BillingCurrency
