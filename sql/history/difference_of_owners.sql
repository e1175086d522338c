-- What two generations of a period say differently of who bears its cost. Charges that changed move
-- it, and so do rules, aliases and measurements when no charge did.
--
-- One row per currency and owner whose cost differs.
with
both_showbacks as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment,
        BilledCost as x_BilledFrom, cast(0 as decimal(38, 12)) as x_BilledTo,
        EffectiveCost as x_EffectiveFrom, cast(0 as decimal(38, 12)) as x_EffectiveTo
    from showback_from
    union all
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment,
        0 as x_BilledFrom, BilledCost as x_BilledTo,
        0 as x_EffectiveFrom, EffectiveCost as x_EffectiveTo
    from showback_to
)
select
    BillingCurrency,
    x_Feature,
    x_Tenant,
    x_Environment,
    sum(x_BilledFrom) as x_BilledFrom,
    sum(x_BilledTo) as x_BilledTo,
    sum(x_BilledTo) - sum(x_BilledFrom) as x_BilledDifference,
    sum(x_EffectiveFrom) as x_EffectiveFrom,
    sum(x_EffectiveTo) as x_EffectiveTo,
    sum(x_EffectiveTo) - sum(x_EffectiveFrom) as x_EffectiveDifference
from both_showbacks
group by BillingCurrency, x_Feature, x_Tenant, x_Environment
having sum(x_BilledTo) <> sum(x_BilledFrom) or sum(x_EffectiveTo) <> sum(x_EffectiveFrom)
order by
    BillingCurrency, abs(sum(x_EffectiveTo) - sum(x_EffectiveFrom)) desc,
    abs(sum(x_BilledTo) - sum(x_BilledFrom)) desc, x_Feature, x_Tenant, x_Environment
