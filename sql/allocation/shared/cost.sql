-- What each owner costs before anything is shared, by currency and pool: who there is to receive,
-- and the weights of a proportional split.
select
    BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment,
    money_units(sum(EffectiveCost)) as units
from allocated_cost
where x_AllocationMethod <> 'quarantined'
group by BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment
order by BillingCurrency, x_Pool, x_Feature, x_Tenant, x_Environment
