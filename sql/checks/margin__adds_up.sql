-- Every cost of the showback, all revenue and all training borne is in the margins of the period
-- once, in every currency; and each margin is its revenue less its cost.
with
part as (
    select
        BillingPeriod, BillingCurrency, EffectiveCost as cost, x_MovedCost as moved,
        x_RunCost as run, 0 as revenue, 0 as training
    from tenant_cost
    union all
    select
        BillingPeriod, BillingCurrency, 0 as cost, 0 as moved, 0 as run, x_Revenue as revenue,
        0 as training
    from revenue
    union all
    select
        BillingPeriod, BillingCurrency, 0 as cost, 0 as moved, 0 as run, 0 as revenue,
        x_TrainingCost + x_WriteOffCost as training
    from model_cost
),
expected as (
    select
        BillingPeriod, BillingCurrency, sum(cost) as cost, sum(moved) as moved, sum(run) as run,
        sum(revenue) as revenue, sum(training) as training
    from part
    group by BillingPeriod, BillingCurrency
),
shown as (
    select
        BillingPeriod, BillingCurrency, sum(EffectiveCost) as cost, sum(x_MovedCost) as moved,
        sum(x_RunCost) as run, coalesce(sum(x_Revenue), 0) as revenue,
        sum(x_TrainingCost + x_WriteOffCost) as training, sum(x_Margin) as margin,
        sum(x_MarginWithTraining) as margin_with_training
    from margin
    group by BillingPeriod, BillingCurrency
)
select
    coalesce(s.BillingPeriod, e.BillingPeriod) as BillingPeriod,
    coalesce(s.BillingCurrency, e.BillingCurrency) as BillingCurrency,
    e.cost, s.cost as cost_shown, e.moved, s.moved as moved_shown, e.run, s.run as run_shown,
    e.revenue, s.revenue as revenue_shown, e.training, s.training as training_shown, s.margin,
    s.margin_with_training
from shown as s
full join expected as e
    on e.BillingPeriod = s.BillingPeriod and e.BillingCurrency = s.BillingCurrency
where coalesce(s.cost, 0) is distinct from coalesce(e.cost, 0)
    or coalesce(s.moved, 0) is distinct from coalesce(e.moved, 0)
    or coalesce(s.run, 0) is distinct from coalesce(e.run, 0)
    or coalesce(s.revenue, 0) is distinct from coalesce(e.revenue, 0)
    or coalesce(s.training, 0) is distinct from coalesce(e.training, 0)
    or s.margin is distinct from s.revenue - (s.cost - s.run)
    or s.margin_with_training is distinct from s.margin - s.training
