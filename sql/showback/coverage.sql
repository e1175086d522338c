-- How much of the bill has a named owner, in each dimension. Idle capacity is counted apart, and with
-- it what the systems of nodes keep: it is not a missing tag, and it is nobody's use. What changed
-- hands by policy is left out: it says nothing of tags.
--
-- One row per currency and dimension.
with
direct as (
    select BillingCurrency, EffectiveCost, x_Feature, x_Tenant, x_Environment
    from showback
    where x_AllocationMethod <> 'shared'
),
owner as (
    select BillingCurrency, EffectiveCost, 'feature' as x_Dimension, x_Feature as x_Owner
    from direct
    union all
    select BillingCurrency, EffectiveCost, 'tenant' as x_Dimension, x_Tenant as x_Owner
    from direct
    union all
    select BillingCurrency, EffectiveCost, 'environment' as x_Dimension, x_Environment as x_Owner
    from direct
),
summed as (
    select
        BillingCurrency,
        x_Dimension,
        sum(EffectiveCost) as EffectiveCost,
        coalesce(
            sum(EffectiveCost) filter (
                where x_Owner not in ('(idle)', '(overhead)', '(unallocated)')
            ), 0
        ) as x_AllocatedCost,
        coalesce(sum(EffectiveCost) filter (where x_Owner in ('(idle)', '(overhead)')), 0)
            as x_IdleCost,
        coalesce(sum(EffectiveCost) filter (where x_Owner = '(unallocated)'), 0)
            as x_UnallocatedCost
    from owner
    group by BillingCurrency, x_Dimension
)
select
    $period as BillingPeriod,
    BillingCurrency,
    x_Dimension,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(x_AllocatedCost as decimal(38, 12)) as x_AllocatedCost,
    cast(x_IdleCost as decimal(38, 12)) as x_IdleCost,
    cast(x_UnallocatedCost as decimal(38, 12)) as x_UnallocatedCost,
    cast(
        money_units(x_AllocatedCost) * 1000 // nullif(money_units(EffectiveCost), 0) as bigint
    ) as x_CoveragePermille
from summed
order by BillingCurrency, x_Dimension
