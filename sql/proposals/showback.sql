-- A closed period as it is published to a repository: without days and invoices, so that the
-- file stays reviewable; the database has those.
select
    BillingPeriod, BillingCurrency, ProviderName, ServiceCategory, ServiceName, x_Feature,
    x_Tenant, x_Environment, x_Model, x_AllocationMethod,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
from showback
where BillingPeriod = $period
group by
    BillingPeriod, BillingCurrency, ProviderName, ServiceCategory, ServiceName, x_Feature,
    x_Tenant, x_Environment, x_Model, x_AllocationMethod
order by
    BillingCurrency, ProviderName, ServiceCategory, ServiceName, x_Feature, x_Tenant,
    x_Environment, x_Model, x_AllocationMethod
