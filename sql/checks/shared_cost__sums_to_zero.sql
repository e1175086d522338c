-- What is taken is given: for every block, day, invoice, currency, provider, service and owner it
-- is taken from, the moves sum to nothing, so that no money is lost to nobody.
select
    x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment,
    sum(BilledCost) as billed, sum(EffectiveCost) as effective
from shared_cost
group by
    x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment
having sum(BilledCost) <> 0 or sum(EffectiveCost) <> 0
