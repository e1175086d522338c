-- The costs behind unit costs are those of model_cost, busy, idle and training, in every period and
-- currency: no version is left out of a price, and none is in two.
with
expected as (
    select
        BillingPeriod, BillingCurrency, sum(x_InferenceCost) as busy, sum(x_IdleCost) as idle,
        sum(x_TotalCost) as total
    from model_cost
    group by BillingPeriod, BillingCurrency
),
shown as (
    select
        BillingPeriod, BillingCurrency, sum(x_InferenceCost) as busy, sum(x_IdleCost) as idle,
        sum(x_TotalCost) as total
    from unit_economics
    group by BillingPeriod, BillingCurrency
)
select
    coalesce(s.BillingPeriod, e.BillingPeriod) as BillingPeriod,
    coalesce(s.BillingCurrency, e.BillingCurrency) as BillingCurrency,
    e.busy, s.busy as busy_shown, e.idle, s.idle as idle_shown, e.total, s.total as total_shown
from shown as s
full join expected as e
    on e.BillingPeriod = s.BillingPeriod and e.BillingCurrency = s.BillingCurrency
where s.busy is distinct from e.busy
    or s.idle is distinct from e.idle
    or s.total is distinct from e.total
