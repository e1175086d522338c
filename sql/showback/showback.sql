-- What each feature, tenant and environment cost, by day, service and model: the table people
-- read. It holds the whole bill: `(unallocated)`, `(idle)`, `(overhead)` and quarantined rows are
-- in it. What changes hands by `[[shared_cost]]` is rows of the method `shared`, which sum to zero:
-- without them it is the direct allocation.
-- Asked for the days from $from_day until $until_day.
--
-- One row per day, invoice, service, feature, tenant, environment, model and method.
select
    BillingPeriod,
    x_ChargeDay,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    ServiceCategory,
    ServiceName,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_AllocationMethod,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
from (
    select
        BillingPeriod, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod, BilledCost,
        EffectiveCost
    from allocated_cost
    union all
    select
        BillingPeriod, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod, BilledCost,
        EffectiveCost
    from shared_cost
) as cost
where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
group by
    BillingPeriod, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod
order by
    x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName,
    x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod
