-- What each owner asked of models in the month, wherever they ran. Owners are those of unit_cost:
-- as the caller logged them, else as the pods of the endpoint are labelled that day.
with
logged as (
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, o.x_Feature as own_feature,
        o.x_Tenant as own_tenant, o.x_Environment as own_environment,
        coalesce(o.x_CallShare, 1000000000) as share,
        sum(u.x_Calls) as calls,
        sum(u.x_InputTokens) + sum(u.x_OutputTokens) as tokens,
        sum(u.x_GpuMs) as gpu_ms
    from caller_day as u
    left join endpoint_owner as o
        on o.x_ChargeDay = u.x_ChargeDay and o.x_Endpoint = u.x_Endpoint
    where is_in_month(u.x_ChargeDay, $period)
    group by
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, o.x_Feature, o.x_Tenant,
        o.x_Environment, coalesce(o.x_CallShare, 1000000000)
),
-- Calls that are several owners' are counted in billionths, and cut into whole ones below.
named as (
    select
        coalesce(f.x_To, normal_value(u.x_Feature), u.own_feature, '(unallocated)') as x_Feature,
        coalesce(t.x_To, normal_value(u.x_Tenant), u.own_tenant, '(unallocated)') as x_Tenant,
        coalesce(e.x_To, normal_value(u.x_Environment), u.own_environment, '(unallocated)')
            as x_Environment,
        sum(u.calls * u.share) as calls,
        sum(u.tokens * u.share) as tokens,
        sum(u.gpu_ms * u.share) as gpu_ms
    from logged as u
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
    group by 1, 2, 3
)
select
    cast(null as varchar) as x_Pool,
    x_Feature, x_Tenant, x_Environment,
    cast(whole_part(sum(calls) over names, calls) as hugeint) as calls,
    cast(whole_part(sum(tokens) over names, tokens) as hugeint) as tokens,
    cast(whole_part(sum(gpu_ms) over names, gpu_ms) as hugeint) as gpu_ms
from named
window names as (
    order by x_Feature, x_Tenant, x_Environment
    rows between unbounded preceding and current row
)
order by x_Feature, x_Tenant, x_Environment
