-- What the blocks take of the month, by day: where the cascade begins.
select
    x_SharedBy, x_ChargeDay, BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment,
    money_units(sum(EffectiveCost)) as units
from shared_source
group by
    x_SharedBy, x_ChargeDay, BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment
order by
    x_SharedBy, x_ChargeDay, BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment
