-- What serving each model version cost: the work of its calls, and what the endpoint was idle.
--
-- Idle capacity of an endpoint is borne here by those who called it in the month, in proportion to
-- what their calls cost there, cluster by cluster: the endpoint stood ready for them. It is cut by
-- cumulative rounding: each gets what is rounded down up to them, less what is rounded down before
-- them, in the order of names, so that the parts are the whole. What an endpoint without a cost of
-- calls was idle stays with the feature whose pods it is, tenant `(idle)`.
--
-- One row per currency, feature, tenant, environment, model and version.
with
cost as (
    select
        a.BillingCurrency, a.x_Feature, a.x_Tenant, a.x_Environment, a.x_Model,
        v.x_RegisteredModel, v.x_ModelVersion, a.x_Pool, a.x_Endpoint, a.x_AllocationMethod,
        money_units(sum(a.EffectiveCost)) as units
    from allocated_cost as a
    inner join served_version as v
        on v.x_ChargeDay = a.x_ChargeDay
        and v.x_Endpoint = a.x_Endpoint
        and v.x_Model = a.x_Model
    where a.x_AllocationMethod in ('inference', 'endpoint_idle')
    group by
        a.BillingCurrency, a.x_Feature, a.x_Tenant, a.x_Environment, a.x_Model,
        v.x_RegisteredModel, v.x_ModelVersion, a.x_Pool, a.x_Endpoint, a.x_AllocationMethod
),
caller as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
        x_ModelVersion, x_Pool, x_Endpoint, units
    from cost
    where x_AllocationMethod = 'inference' and units > 0
),
idle as (
    select BillingCurrency, x_Pool, x_Endpoint, sum(units) as units
    from cost
    where x_AllocationMethod = 'endpoint_idle'
    group by BillingCurrency, x_Pool, x_Endpoint
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select
        BillingCurrency, x_Pool, x_Endpoint, sum(units) // 500000000000000000 + 1 as divisor
    from caller
    group by BillingCurrency, x_Pool, x_Endpoint
),
scaled as (
    select
        c.BillingCurrency, c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model,
        c.x_RegisteredModel, c.x_ModelVersion, c.x_Pool, c.x_Endpoint,
        greatest(c.units // t.divisor, 1) as weight
    from caller as c
    inner join weight_total as t
        on t.BillingCurrency = c.BillingCurrency
        and t.x_Pool is not distinct from c.x_Pool
        and t.x_Endpoint = c.x_Endpoint
),
placed as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
        x_ModelVersion, x_Pool, x_Endpoint, weight,
        sum(weight) over (
            partition by BillingCurrency, x_Pool, x_Endpoint
            order by
                x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel, x_ModelVersion
            rows between unbounded preceding and current row
        ) as upto,
        sum(weight) over (partition by BillingCurrency, x_Pool, x_Endpoint) as total
    from scaled
),
borne as (
    select
        p.BillingCurrency, p.x_Feature, p.x_Tenant, p.x_Environment, p.x_Model,
        p.x_RegisteredModel, p.x_ModelVersion,
        apportion(i.units, p.upto, p.total)
        - apportion(i.units, p.upto - p.weight, p.total) as units
    from placed as p
    inner join idle as i
        on i.BillingCurrency = p.BillingCurrency
        and i.x_Pool is not distinct from p.x_Pool
        and i.x_Endpoint = p.x_Endpoint
),
line as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
        x_ModelVersion, units as busy, 0 as idle
    from cost
    where x_AllocationMethod = 'inference'
    union all
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
        x_ModelVersion, 0 as busy, units as idle
    from borne
    union all
    select
        c.BillingCurrency, c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model,
        c.x_RegisteredModel, c.x_ModelVersion, 0 as busy, c.units as idle
    from cost as c
    anti join weight_total as t
        on t.BillingCurrency = c.BillingCurrency
        and t.x_Pool is not distinct from c.x_Pool
        and t.x_Endpoint = c.x_Endpoint
    where c.x_AllocationMethod = 'endpoint_idle'
)
select
    $period as BillingPeriod,
    BillingCurrency,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_RegisteredModel,
    x_ModelVersion,
    units_money(sum(busy)) as x_InferenceCost,
    units_money(sum(idle)) as x_IdleCost
from line
group by
    BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
    x_ModelVersion
order by
    BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel,
    x_ModelVersion
