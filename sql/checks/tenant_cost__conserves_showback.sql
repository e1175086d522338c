-- What tenants cost is the whole showback, and what was moved between them is nothing altogether,
-- in every currency: a margin of some of the cost would be too good.
with
shown as (
    select
        BillingCurrency, sum(EffectiveCost) as cost,
        coalesce(sum(EffectiveCost) filter (where x_AllocationMethod = 'shared'), 0) as moved
    from showback
    group by BillingCurrency
),
runs as (
    select BillingCurrency, sum(EffectiveCost) as run
    from training_run
    group by BillingCurrency
),
told as (
    select
        BillingCurrency, sum(EffectiveCost) as cost, sum(x_DirectCost) as direct,
        sum(x_MovedCost) as moved, sum(x_RunCost) as run
    from tenant_cost
    group by BillingCurrency
)
select
    coalesce(told.BillingCurrency, shown.BillingCurrency) as BillingCurrency,
    shown.cost, told.cost as told, told.direct, shown.moved, told.moved as moved_told,
    runs.run, told.run as run_told
from told
full join shown on shown.BillingCurrency = told.BillingCurrency
left join runs on runs.BillingCurrency = coalesce(told.BillingCurrency, shown.BillingCurrency)
where coalesce(told.cost, 0) is distinct from coalesce(shown.cost, 0)
    or coalesce(told.moved, 0) is distinct from coalesce(shown.moved, 0)
    or coalesce(told.run, 0) is distinct from coalesce(runs.run, 0)
    or told.cost is distinct from told.direct + told.moved
