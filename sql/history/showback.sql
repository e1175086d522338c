-- A period's showback as one generation has it, by one dimension.
--
-- One row per currency and value.
select
    BillingCurrency,
    case $dimension
        when 'feature' then x_Feature
        when 'tenant' then x_Tenant
        when 'environment' then x_Environment
        when 'model' then x_Model
        when 'provider' then ProviderName
        when 'category' then ServiceCategory
        when 'service' then ServiceName
        when 'invoice' then InvoiceId
        when 'method' then x_AllocationMethod
        else cast(x_ChargeDay as varchar)
    end as x_Value,
    sum(BilledCost) as BilledCost,
    sum(EffectiveCost) as EffectiveCost
from showback
group by 1, 2
order by
    BillingCurrency,
    case when $dimension = 'day' then x_Value end,
    sum(EffectiveCost) desc,
    x_Value
