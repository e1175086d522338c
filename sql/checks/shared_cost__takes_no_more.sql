-- What is taken from an owner is what the block found there, all of it and once; only what
-- shared_weight says is kept is not taken.
with
taken as (
    select
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Feature, x_Tenant, x_Environment, x_Model,
        -sum(BilledCost) as BilledCost, -sum(EffectiveCost) as EffectiveCost
    from shared_cost
    where x_Move = 'taken'
    group by
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Feature, x_Tenant, x_Environment, x_Model
),
kept as (
    select
        x_SharedBy, x_FromDay, x_UntilDay, BillingCurrency, x_Pool, x_Feature, x_Tenant,
        x_Environment
    from shared_weight
    where x_SharedFeature = x_Feature
        and x_SharedTenant = x_Tenant
        and x_SharedEnvironment = x_Environment
),
found as (
    select
        s.x_SharedBy, s.x_ChargeDay, s.InvoiceId, s.BillingCurrency, s.ProviderName,
        s.ServiceCategory, s.ServiceName, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model,
        sum(s.BilledCost) as BilledCost, sum(s.EffectiveCost) as EffectiveCost
    from shared_source as s
    anti join kept as k
        on k.x_SharedBy = s.x_SharedBy
        and k.BillingCurrency = s.BillingCurrency
        and k.x_Feature = s.x_Feature
        and k.x_Tenant = s.x_Tenant
        and k.x_Environment = s.x_Environment
        and (k.x_Pool is not distinct from s.x_Pool or k.x_Pool = '*')
        and k.x_FromDay <= s.x_ChargeDay
        and k.x_UntilDay > s.x_ChargeDay
    group by
        s.x_SharedBy, s.x_ChargeDay, s.InvoiceId, s.BillingCurrency, s.ProviderName,
        s.ServiceCategory, s.ServiceName, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model
)
select
    coalesce(t.x_SharedBy, f.x_SharedBy) as x_SharedBy,
    coalesce(t.x_ChargeDay, f.x_ChargeDay) as x_ChargeDay,
    coalesce(t.x_Feature, f.x_Feature) as x_Feature,
    t.BilledCost as billed_taken, f.BilledCost as billed_found,
    t.EffectiveCost as effective_taken, f.EffectiveCost as effective_found
from taken as t
full join found as f
    on f.x_SharedBy = t.x_SharedBy
    and f.x_ChargeDay = t.x_ChargeDay
    and f.InvoiceId = t.InvoiceId
    and f.BillingCurrency = t.BillingCurrency
    and f.ProviderName = t.ProviderName
    and f.ServiceCategory = t.ServiceCategory
    and f.ServiceName = t.ServiceName
    and f.x_Feature = t.x_Feature
    and f.x_Tenant = t.x_Tenant
    and f.x_Environment = t.x_Environment
    and f.x_Model = t.x_Model
where t.BilledCost is distinct from f.BilledCost
    or t.EffectiveCost is distinct from f.EffectiveCost
