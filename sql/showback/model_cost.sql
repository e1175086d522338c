-- What each model version cost those it served: busy and idle, with and without training.
--
-- Training of a version is borne by those it served in the period, in proportion to their calls or
-- to what serving them cost, as $training_driver says; to the other where there is nothing of the
-- one, and by its owner where it served nobody. Serving cost counts in the currency of the training
-- alone. It is cut by cumulative rounding: each gets what is rounded down up to them, less what is
-- rounded down before them, in the order of names. What was written off, or had no life to be
-- spread over, served nobody: it stays with the owner of the run.
--
-- A second view of the bill, of the periods that have one; it is never added to the showback.
--
-- One row per billing period, currency, feature, tenant, environment, model and version.
with
-- Every period that was worked on has a part.
billed_period as (
    select distinct BillingPeriod from day_range
),
trained as (
    select
        row_number() over (
            order by
                s.BillingPeriod, s.BillingCurrency, lower(s.x_RegisteredModel), s.x_ModelVersion,
                s.x_Feature, s.x_Tenant, s.x_Environment
        ) as pool_no,
        s.BillingPeriod, s.BillingCurrency, lower(s.x_RegisteredModel) as model_key,
        min(s.x_RegisteredModel) as x_RegisteredModel, s.x_ModelVersion, s.x_Feature, s.x_Tenant,
        s.x_Environment,
        money_units(coalesce(
            sum(s.EffectiveCost) filter (where s.x_ScheduleKind = 'amortised'), 0
        )) as amortised,
        money_units(coalesce(
            sum(s.EffectiveCost) filter (where s.x_ScheduleKind <> 'amortised'), 0
        )) as written_off
    from training_schedule as s
    inner join billed_period as b on b.BillingPeriod = s.BillingPeriod
    group by
        s.BillingPeriod, s.BillingCurrency, lower(s.x_RegisteredModel), s.x_ModelVersion,
        s.x_Feature, s.x_Tenant, s.x_Environment
),
-- ------------------------------------------------------------------------- who bears it
weighed as (
    select
        p.pool_no, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, u.x_RegisteredModel,
        'calls' as driver, cast(sum(u.x_Calls) as hugeint) as weight
    from trained as p
    inner join model_use as u
        on u.BillingPeriod = p.BillingPeriod
        and lower(u.x_RegisteredModel) = p.model_key
        and u.x_ModelVersion = p.x_ModelVersion
    where p.amortised <> 0
    group by
        p.pool_no, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, u.x_RegisteredModel
    having sum(u.x_Calls) > 0
    union all
    select
        p.pool_no, v.x_Feature, v.x_Tenant, v.x_Environment, v.x_Model, v.x_RegisteredModel,
        'serving_cost' as driver, money_units(sum(v.x_InferenceCost)) as weight
    from trained as p
    inner join model_serving as v
        on v.BillingPeriod = p.BillingPeriod
        and v.BillingCurrency = p.BillingCurrency
        and lower(v.x_RegisteredModel) = p.model_key
        and v.x_ModelVersion = p.x_ModelVersion
    where p.amortised <> 0
    group by
        p.pool_no, v.x_Feature, v.x_Tenant, v.x_Environment, v.x_Model, v.x_RegisteredModel
    having sum(v.x_InferenceCost) > 0
),
-- The driver that was asked for, or the other. apportion() wants totals below 10^18.
pool_driver as (
    select
        pool_no, driver, sum(weight) // 500000000000000000 + 1 as divisor,
        row_number() over (
            partition by pool_no order by cast(driver <> $training_driver as integer)
        ) as place
    from weighed
    group by pool_no, driver
),
scaled as (
    select
        w.pool_no, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model, w.x_RegisteredModel,
        w.driver, greatest(w.weight // d.divisor, 1) as weight
    from weighed as w
    inner join pool_driver as d
        on d.pool_no = w.pool_no and d.driver = w.driver and d.place = 1
),
placed as (
    select
        pool_no, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel, driver, weight,
        sum(weight) over (
            partition by pool_no
            order by x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel
            rows between unbounded preceding and current row
        ) as upto,
        sum(weight) over (partition by pool_no) as total
    from scaled
),
-- --------------------------------------------------------------------------- all of it
line as (
    select
        v.BillingPeriod, v.BillingCurrency, v.x_Feature, v.x_Tenant, v.x_Environment, v.x_Model,
        v.x_RegisteredModel, v.x_ModelVersion, money_units(v.x_InferenceCost) as busy,
        money_units(v.x_IdleCost) as idle, 0 as training, 0 as written_off, null as driver
    from model_serving as v
    union all
    select
        p.BillingPeriod, p.BillingCurrency, b.x_Feature, b.x_Tenant, b.x_Environment, b.x_Model,
        b.x_RegisteredModel, p.x_ModelVersion, 0 as busy, 0 as idle,
        apportion(p.amortised, b.upto, b.total)
        - apportion(p.amortised, b.upto - b.weight, b.total) as training,
        0 as written_off, b.driver
    from placed as b
    inner join trained as p on p.pool_no = b.pool_no
    union all
    select
        p.BillingPeriod, p.BillingCurrency, p.x_Feature, p.x_Tenant, p.x_Environment,
        p.x_RegisteredModel as x_Model, p.x_RegisteredModel, p.x_ModelVersion, 0 as busy,
        0 as idle, p.amortised as training, 0 as written_off, 'owner' as driver
    from trained as p
    anti join pool_driver as d on d.pool_no = p.pool_no
    where p.amortised <> 0
    union all
    select
        BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment,
        x_RegisteredModel as x_Model, x_RegisteredModel, x_ModelVersion, 0 as busy, 0 as idle,
        0 as training, written_off, null as driver
    from trained
    where written_off <> 0
)
select
    BillingPeriod,
    BillingCurrency,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_RegisteredModel,
    x_ModelVersion,
    units_money(sum(busy)) as x_InferenceCost,
    units_money(sum(idle)) as x_IdleCost,
    units_money(sum(busy + idle)) as x_ServingCost,
    units_money(sum(training)) as x_TrainingCost,
    units_money(sum(written_off)) as x_WriteOffCost,
    units_money(sum(busy + idle + training + written_off)) as x_TotalCost,
    max(driver) as x_TrainingDriver
from line
group by
    BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
    x_RegisteredModel, x_ModelVersion
order by
    BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
    x_RegisteredModel, x_ModelVersion
