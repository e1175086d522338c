-- What serving cost by version is what was allocated to calls and to idle endpoints, in every
-- currency: no call is without a row, and no version takes another's cost twice.
with
allocated as (
    select
        BillingCurrency,
        coalesce(sum(EffectiveCost) filter (where x_AllocationMethod = 'inference'), 0) as busy,
        coalesce(sum(EffectiveCost) filter (where x_AllocationMethod = 'endpoint_idle'), 0)
            as idle
    from allocated_cost
    where x_AllocationMethod in ('inference', 'endpoint_idle')
    group by BillingCurrency
),
served as (
    select BillingCurrency, sum(x_InferenceCost) as busy, sum(x_IdleCost) as idle
    from model_serving
    group by BillingCurrency
)
select
    coalesce(allocated.BillingCurrency, served.BillingCurrency) as BillingCurrency,
    allocated.busy, served.busy as busy_served, allocated.idle, served.idle as idle_served
from allocated
full join served on served.BillingCurrency = allocated.BillingCurrency
where allocated.busy is distinct from served.busy
    or allocated.idle is distinct from served.idle
