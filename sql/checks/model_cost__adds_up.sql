-- The two views agree: in every period and currency serving cost is that of model_serving, and
-- training that of the schedule, of the periods that have a bill; a total is the sum of its parts.
with
shown as (
    select
        BillingPeriod, BillingCurrency, sum(x_InferenceCost) as busy, sum(x_IdleCost) as idle,
        sum(x_TrainingCost) as training, sum(x_WriteOffCost) as written_off,
        sum(x_TotalCost) as total, sum(x_ServingCost) as serving
    from model_cost
    group by BillingPeriod, BillingCurrency
),
part as (
    select
        BillingPeriod, BillingCurrency, x_InferenceCost as busy, x_IdleCost as idle,
        0 as training, 0 as written_off
    from model_serving
    union all
    select
        BillingPeriod, BillingCurrency, 0 as busy, 0 as idle,
        case when x_ScheduleKind = 'amortised' then EffectiveCost else 0 end as training,
        case when x_ScheduleKind <> 'amortised' then EffectiveCost else 0 end as written_off
    from training_schedule
    where BillingPeriod in (select BillingPeriod from day_range)
),
expected as (
    select
        BillingPeriod, BillingCurrency, sum(busy) as busy, sum(idle) as idle,
        sum(training) as training, sum(written_off) as written_off
    from part
    group by BillingPeriod, BillingCurrency
)
select
    coalesce(shown.BillingPeriod, expected.BillingPeriod) as BillingPeriod,
    coalesce(shown.BillingCurrency, expected.BillingCurrency) as BillingCurrency,
    expected.busy, shown.busy as busy_shown, expected.idle, shown.idle as idle_shown,
    expected.training, shown.training as training_shown, expected.written_off,
    shown.written_off as written_off_shown, shown.serving, shown.total
from shown
full join expected
    on expected.BillingPeriod = shown.BillingPeriod
    and expected.BillingCurrency = shown.BillingCurrency
where coalesce(shown.busy, 0) is distinct from coalesce(expected.busy, 0)
    or coalesce(shown.idle, 0) is distinct from coalesce(expected.idle, 0)
    or coalesce(shown.training, 0) is distinct from coalesce(expected.training, 0)
    or coalesce(shown.written_off, 0) is distinct from coalesce(expected.written_off, 0)
    or shown.serving is distinct from shown.busy + shown.idle
    or shown.total is distinct from shown.serving + shown.training + shown.written_off
