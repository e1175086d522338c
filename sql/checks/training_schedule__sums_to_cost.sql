-- Training is spread whole: for every run and currency the rows of the schedule, write-offs and what
-- remains among them, sum to what the run cost in all periods. Cost that is nowhere in the schedule
-- would never be borne, cost that is in it twice be borne twice.
with
run as (
    select
        x_RunId, BillingCurrency, sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from training_run
    group by x_RunId, BillingCurrency
),
scheduled as (
    select
        x_RunId, BillingCurrency, sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from training_schedule
    group by x_RunId, BillingCurrency
)
select
    coalesce(run.x_RunId, scheduled.x_RunId) as x_RunId,
    coalesce(run.BillingCurrency, scheduled.BillingCurrency) as BillingCurrency,
    run.BilledCost as billed, scheduled.BilledCost as scheduled,
    run.EffectiveCost as effective, scheduled.EffectiveCost as effective_scheduled
from run
full join scheduled
    on scheduled.x_RunId = run.x_RunId and scheduled.BillingCurrency = run.BillingCurrency
where coalesce(run.BilledCost, 0) is distinct from coalesce(scheduled.BilledCost, 0)
    or coalesce(run.EffectiveCost, 0) is distinct from coalesce(scheduled.EffectiveCost, 0)
