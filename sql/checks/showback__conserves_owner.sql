-- What people read is what was allocated and shared, row by row: a cost that moved to another day,
-- owner, service or model would keep the total of its invoice. Rows are told apart by the hash of
-- what they are for, which takes a tenth of the time of the names themselves.
with
shown as (
    select
        hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName,
            x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod
        ) as row_hash,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from showback
    group by row_hash
),
allocated as (
    select
        hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName,
            x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod
        ) as row_hash,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from (
        select
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName,
            x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod, BilledCost,
            EffectiveCost
        from allocated_cost
        union all
        select
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory, ServiceName,
            x_Feature, x_Tenant, x_Environment, x_Model, x_AllocationMethod, BilledCost,
            EffectiveCost
        from shared_cost
    ) as cost
    group by row_hash
)
select
    coalesce(shown.row_hash, allocated.row_hash) as row_hash,
    allocated.BilledCost as allocated, shown.BilledCost as shown,
    allocated.EffectiveCost as effective, shown.EffectiveCost as effective_shown
from shown
full join allocated on allocated.row_hash = shown.row_hash
where allocated.BilledCost is distinct from shown.BilledCost
    or allocated.EffectiveCost is distinct from shown.EffectiveCost
