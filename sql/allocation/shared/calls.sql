-- What each owner asked of models in the month, wherever they ran. Owners are those of unit_cost:
-- as the caller logged them, else as the pods of the endpoint are labelled, or a managed one tagged.
with
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
caller as (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment,
        sum(x_Calls) as calls,
        sum(x_InputTokens) + sum(x_OutputTokens) as tokens,
        sum(x_GpuMs) as gpu_ms
    from inference_usage
    where is_in_month(x_HourStart, $period)
    group by x_Endpoint, x_Feature, x_Tenant, x_Environment
),
named as (
    select
        coalesce(f.x_To, normal_value(c.x_Feature), label.x_Feature, '(unallocated)')
            as x_Feature,
        coalesce(t.x_To, normal_value(c.x_Tenant), label.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(
            e.x_To, normal_value(c.x_Environment), label.x_Environment, '(unallocated)'
        ) as x_Environment,
        c.calls, c.tokens, c.gpu_ms
    from caller as c
    left join label on label.x_Endpoint = c.x_Endpoint
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(c.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(c.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(c.x_Environment)
)
select
    cast(null as varchar) as x_Pool,
    x_Feature, x_Tenant, x_Environment,
    cast(sum(calls) as hugeint) as calls,
    cast(sum(tokens) as hugeint) as tokens,
    cast(sum(gpu_ms) as hugeint) as gpu_ms
from named
group by x_Feature, x_Tenant, x_Environment
order by x_Feature, x_Tenant, x_Environment
