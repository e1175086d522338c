-- What training cost, spread over the life of the version it made: a second view of the bill.
--
-- A life begins when the version is registered; what a run costs later is spread over what is left
-- of it. By days (straight line): each period bears its whole days out of those of the life, which
-- is $training_life_days where nobody says otherwise. By requests, where their number is expected:
-- each period bears its calls out of those that are still expected, and never more than is left.
-- On retirement the rest is written off, in the period it falls in. Cost of a run without a
-- version, or of one whose life is over, is expensed where it stands. What may still come of an
-- expected volume is `remaining`, of the period `(open)`.
--
-- Amounts are rounded by cumulative rounding: what is rounded down up to the end of a period, less
-- what is rounded down up to its start. So the last period takes what rounding left, and the rows
-- of a run sum to its cost, exactly.
--
-- One row per run, currency, owner, billing period and kind of amount.
with
-- A run that was registered after its period was closed has its version from here.
registered as (
    select
        x_RunId,
        arg_min(x_RegisteredModel, place) as x_RegisteredModel,
        arg_min(x_ModelVersion, place) as x_ModelVersion
    from (
        select
            x_RunId, x_RegisteredModel, x_ModelVersion,
            row_number() over (
                order by x_CreatedAt, x_RegisteredModel, x_ModelVersion
            ) as place
        from model_life
        where x_RunId is not null
    ) as made
    group by x_RunId
),
run as (
    select
        t.BillingPeriod, t.x_RunId, t.BillingCurrency, t.x_RunKind, t.x_Feature, t.x_Tenant,
        t.x_Environment, t.x_LastDay, t.BilledCost, t.EffectiveCost,
        case
            when t.x_ModelVersion <> '(unassigned)' then t.x_RegisteredModel
            else coalesce(r.x_RegisteredModel, t.x_RegisteredModel)
        end as x_RegisteredModel,
        case
            when t.x_ModelVersion <> '(unassigned)' then t.x_ModelVersion
            else coalesce(r.x_ModelVersion, '(unassigned)')
        end as x_ModelVersion
    from training_run as t
    left join registered as r on r.x_RunId = t.x_RunId
),
-- What one run cost an owner in one period: whole units, and the days or calls they are spread over.
spread as (
    select
        row_number() over (
            order by
                r.x_RunId, r.BillingCurrency, r.BillingPeriod, r.x_Feature, r.x_Tenant,
                r.x_Environment
        ) as run_no,
        r.BillingPeriod, r.x_RunId, r.BillingCurrency, r.x_RunKind, r.x_Feature, r.x_Tenant,
        r.x_Environment, r.x_RegisteredModel, r.x_ModelVersion,
        lower(r.x_RegisteredModel) as model_key,
        money_units(r.BilledCost) as billed, money_units(r.EffectiveCost) as effective,
        case
            when r.x_ModelVersion = '(unassigned)' then 'none'
            when l.x_ExpectedRequests is not null then 'requests'
            else 'straight_line'
        end as method,
        greatest(coalesce(cast(l.x_CreatedAt as date), r.x_LastDay), r.x_LastDay) as begin_day,
        coalesce(cast(l.x_CreatedAt as date), r.x_LastDay)
        + cast(coalesce(l.x_LifeDays, $training_life_days) as integer) as end_day,
        cast(l.x_RetiredAt as date) as retired_day,
        l.x_ExpectedRequests as expected
    from run as r
    left join model_life as l
        on lower(l.x_RegisteredModel) = lower(r.x_RegisteredModel)
        and l.x_ModelVersion = r.x_ModelVersion
),
-- ------------------------------------------------------------------------------- by days
by_day as (
    select
        run_no, billed, effective, begin_day, end_day, end_day - begin_day as life,
        greatest(begin_day, least(end_day, coalesce(retired_day, end_day))) as stop_day
    from spread
    where method = 'straight_line' and end_day > begin_day
),
by_month as (
    select
        run_no, billed, effective, begin_day, stop_day, life,
        cast(
            unnest(generate_series(
                cast(date_trunc('month', begin_day) as timestamp),
                cast(date_trunc('month', stop_day) as timestamp),
                interval 1 month
            )) as date
        ) as month_start
    from by_day
),
month_part as (
    select
        run_no, billed, effective, life, strftime(month_start, '%Y-%m') as BillingPeriod,
        cast(greatest(month_start, begin_day) - begin_day as hugeint) as from_day,
        cast(
            least(cast(month_start + interval 1 month as date), stop_day) - begin_day as hugeint
        ) as upto_day
    from by_month
),
day_amount as (
    select
        run_no, BillingPeriod, 'amortised' as x_ScheduleKind,
        apportion(billed, upto_day, life) - apportion(billed, from_day, life) as billed,
        apportion(effective, upto_day, life) - apportion(effective, from_day, life) as effective
    from month_part
    where upto_day > from_day
    union all
    select
        run_no, strftime(stop_day, '%Y-%m') as BillingPeriod, 'written_off' as x_ScheduleKind,
        billed - apportion(billed, cast(stop_day - begin_day as hugeint), life) as billed,
        effective - apportion(effective, cast(stop_day - begin_day as hugeint), life)
            as effective
    from by_day
    where stop_day < end_day
),
-- --------------------------------------------------------------------------- by requests
called as (
    select
        BillingPeriod, lower(x_RegisteredModel) as model_key, x_ModelVersion,
        sum(x_Calls) as calls
    from model_use
    group by BillingPeriod, lower(x_RegisteredModel), x_ModelVersion
),
expecting as (
    select
        s.run_no, s.billed, s.effective, s.model_key, s.x_ModelVersion,
        strftime(s.begin_day, '%Y-%m') as begin_period,
        strftime(
            case when s.retired_day is not null then greatest(s.begin_day, s.retired_day) end,
            '%Y-%m'
        ) as retired_period,
        s.retired_day <= s.begin_day as is_over,
        s.expected - coalesce(sum(c.calls), 0) as expected
    from spread as s
    left join called as c
        on c.model_key = s.model_key
        and c.x_ModelVersion = s.x_ModelVersion
        and c.BillingPeriod < strftime(s.begin_day, '%Y-%m')
    where s.method = 'requests'
    group by
        s.run_no, s.billed, s.effective, s.model_key, s.x_ModelVersion, s.begin_day,
        s.retired_day, s.expected
),
call_month as (
    select
        e.run_no, c.BillingPeriod, e.billed, e.effective, e.expected, c.calls,
        sum(c.calls) over (
            partition by e.run_no order by c.BillingPeriod
            rows between unbounded preceding and current row
        ) as upto
    from expecting as e
    inner join called as c
        on c.model_key = e.model_key
        and c.x_ModelVersion = e.x_ModelVersion
        and c.BillingPeriod >= e.begin_period
        and (e.retired_period is null or c.BillingPeriod <= e.retired_period)
    where e.expected > 0 and not coalesce(e.is_over, false)
),
call_amount as (
    select
        run_no, BillingPeriod, 'amortised' as x_ScheduleKind,
        apportion(billed, least(upto, expected), expected)
        - apportion(billed, least(upto - calls, expected), expected) as billed,
        apportion(effective, least(upto, expected), expected)
        - apportion(effective, least(upto - calls, expected), expected) as effective
    from call_month
),
call_left as (
    select
        e.run_no, coalesce(e.retired_period, '(open)') as BillingPeriod,
        case
            when e.retired_period is null then 'remaining' else 'written_off'
        end as x_ScheduleKind,
        e.billed - coalesce(sum(a.billed), 0) as billed,
        e.effective - coalesce(sum(a.effective), 0) as effective
    from expecting as e
    left join call_amount as a on a.run_no = e.run_no
    where e.expected > 0
    group by e.run_no, e.retired_period, e.billed, e.effective
),
-- ------------------------------------------------------------------------------- together
expensed as (
    select
        s.run_no, s.BillingPeriod, 'expensed' as x_ScheduleKind, s.billed, s.effective
    from spread as s
    left join expecting as e on e.run_no = s.run_no
    where s.method = 'none'
        or (s.method = 'straight_line' and s.end_day <= s.begin_day)
        or (s.method = 'requests' and e.expected <= 0)
),
amount as (
    select run_no, BillingPeriod, x_ScheduleKind, billed, effective from day_amount
    union all
    select run_no, BillingPeriod, x_ScheduleKind, billed, effective from call_amount
    union all
    select run_no, BillingPeriod, x_ScheduleKind, billed, effective from call_left
    union all
    select run_no, BillingPeriod, x_ScheduleKind, billed, effective from expensed
)
select
    a.BillingPeriod,
    s.x_RunId,
    s.BillingCurrency,
    a.x_ScheduleKind,
    max(s.method) as x_ScheduleMethod,
    max(s.x_RunKind) as x_RunKind,
    max(s.x_RegisteredModel) as x_RegisteredModel,
    max(s.x_ModelVersion) as x_ModelVersion,
    s.x_Feature,
    s.x_Tenant,
    s.x_Environment,
    units_money(sum(a.billed)) as BilledCost,
    units_money(sum(a.effective)) as EffectiveCost
from amount as a
inner join spread as s on s.run_no = a.run_no
where a.billed <> 0 or a.effective <> 0
group by
    a.BillingPeriod, s.x_RunId, s.BillingCurrency, a.x_ScheduleKind, s.x_Feature, s.x_Tenant,
    s.x_Environment
order by
    s.x_RunId, s.BillingCurrency, a.BillingPeriod, a.x_ScheduleKind, s.x_Feature, s.x_Tenant,
    s.x_Environment
