-- The largest features and tenants of a period.
select x_Dimension, x_Owner, BillingCurrency, EffectiveCost
from (
    select
        'feature' as x_Dimension, x_Feature as x_Owner, BillingCurrency,
        sum(EffectiveCost) as EffectiveCost
    from showback
    where BillingPeriod = $period
    group by x_Feature, BillingCurrency
    union all
    select
        'tenant' as x_Dimension, x_Tenant as x_Owner, BillingCurrency,
        sum(EffectiveCost) as EffectiveCost
    from showback
    where BillingPeriod = $period
    group by x_Tenant, BillingCurrency
) as owner
order by x_Dimension, BillingCurrency desc, EffectiveCost desc, x_Owner
