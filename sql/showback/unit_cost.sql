-- What one call and a thousand tokens cost, for everyone who called a model.
--
-- Cost is what usage put on the callers (method `inference`); idle endpoints are not in it.
-- Tokens of calls that logged none are unknown: x_UnknownTokenCalls says how many, and the
-- price per thousand tokens is of the known ones.
--
-- One row per feature, tenant, environment and model with allocated inference cost.
with
cost as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
    from showback
    where x_AllocationMethod = 'inference'
    group by BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
),
label as (
    select
        x_Endpoint,
        max(x_Feature) as x_Feature,
        max(x_Tenant) as x_Tenant,
        max(x_Environment) as x_Environment
    from (
        select
            p.x_Namespace || '/' || p.x_Workload as x_Endpoint,
            o.x_Feature, o.x_Tenant, o.x_Environment
        from (select distinct x_Namespace, x_Workload, x_Labels from pod_usage) as p
        inner join tag_owner as o on o.Tags = p.x_Labels
        union all
        -- a managed endpoint has tags where another has pods with labels
        select x_Endpoint, x_Feature, x_Tenant, x_Environment
        from endpoint_id
        where x_Function is null
    ) as labelled
    group by x_Endpoint
),
-- Grouped as logged first: spellings are few, days many.
logged as (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model,
        sum(x_Calls) as x_Calls,
        sum(x_FailedCalls) as x_FailedCalls,
        sum(x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(x_InputTokens) as x_InputTokens,
        sum(x_OutputTokens) as x_OutputTokens,
        sum(x_Images) as x_Images
    from caller_day
    where is_in_month(x_ChargeDay, $period)
    group by x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model
),
call as (
    select
        coalesce(f.x_To, normal_value(u.x_Feature), label.x_Feature, '(unallocated)')
            as x_Feature,
        coalesce(t.x_To, normal_value(u.x_Tenant), label.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(
            e.x_To, normal_value(u.x_Environment), label.x_Environment, '(unallocated)'
        ) as x_Environment,
        u.x_Model,
        sum(u.x_Calls) as x_Calls,
        sum(u.x_FailedCalls) as x_FailedCalls,
        sum(u.x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(u.x_InputTokens) as x_InputTokens,
        sum(u.x_OutputTokens) as x_OutputTokens,
        sum(u.x_Images) as x_Images
    from logged as u
    left join label on label.x_Endpoint = u.x_Endpoint
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
    group by 1, 2, 3, 4
)
select
    $period as BillingPeriod,
    cost.BillingCurrency,
    cost.x_Feature,
    cost.x_Tenant,
    cost.x_Environment,
    cost.x_Model,
    cost.EffectiveCost,
    cast(coalesce(call.x_Calls, 0) as bigint) as x_Calls,
    cast(coalesce(call.x_FailedCalls, 0) as bigint) as x_FailedCalls,
    cast(coalesce(call.x_UnknownTokenCalls, 0) as bigint) as x_UnknownTokenCalls,
    cast(coalesce(call.x_InputTokens, 0) as bigint) as x_InputTokens,
    cast(coalesce(call.x_OutputTokens, 0) as bigint) as x_OutputTokens,
    cast(coalesce(call.x_InputTokens + call.x_OutputTokens, 0) as bigint) as x_Tokens,
    cast(coalesce(call.x_Images, 0) as bigint) as x_Images,
    money_per(cost.EffectiveCost, call.x_Calls) as x_UnitCostPerCall,
    money_per(
        cost.EffectiveCost * 1000, call.x_InputTokens + call.x_OutputTokens
    ) as x_UnitCostPerThousandTokens
from cost
left join call
    on call.x_Feature = cost.x_Feature
    and call.x_Tenant = cost.x_Tenant
    and call.x_Environment = cost.x_Environment
    and call.x_Model = cost.x_Model
order by
    cost.BillingCurrency, cost.x_Feature, cost.x_Tenant, cost.x_Environment, cost.x_Model
