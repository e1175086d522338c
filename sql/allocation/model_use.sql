-- How often each model version was called, by whom, and what work that was: what its training is
-- borne by, and what the ways to split an endpoint are compared by.
--
-- Owners are those that calls have in the allocation: as logged, after aliases; what a caller left
-- out is that of the endpoint's pods, or of a managed endpoint's tags.
--
-- One row per feature, tenant, environment, model, version and endpoint.
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
version as (
    select
        s.x_ChargeDay, s.x_Endpoint, s.x_Model, s.x_RegisteredModel, s.x_ModelVersion,
        r.x_InputWeight, r.x_CachedInputWeight, r.x_OutputWeight
    from served_version as s
    inner join token_ratio as r
        on s.x_ChargeDay >= r.x_FromDay and s.x_ChargeDay < r.x_UntilDay
),
-- Grouped as logged first: spellings are few, days many.
logged as (
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, v.x_RegisteredModel,
        v.x_ModelVersion,
        sum(u.x_Calls) as x_Calls,
        sum(u.x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(u.x_InputTokens) as x_InputTokens,
        sum(u.x_CachedInputTokens) as x_CachedInputTokens,
        sum(u.x_OutputTokens) as x_OutputTokens,
        sum(token_work(
            u.x_InputTokens, u.x_CachedInputTokens, 0, v.x_InputWeight, v.x_CachedInputWeight, 0
        )) as x_InputTokenWork,
        sum(token_work(
            u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens,
            v.x_InputWeight, v.x_CachedInputWeight, v.x_OutputWeight
        )) as x_TokenWork,
        sum(u.x_GpuMs) as x_GpuMs,
        sum(u.x_GpuMsCalls) as x_GpuMsCalls,
        sum(u.x_PrefillNs) as x_PrefillNs,
        sum(u.x_DecodeNs) as x_DecodeNs,
        sum(u.x_PhaseMsCalls) as x_PhaseMsCalls
    from caller_day as u
    inner join version as v
        on v.x_ChargeDay = u.x_ChargeDay
        and v.x_Endpoint = u.x_Endpoint
        and v.x_Model = u.x_Model
    where is_in_month(u.x_ChargeDay, $period)
    group by
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, v.x_RegisteredModel,
        v.x_ModelVersion
)
select
    $period as BillingPeriod,
    coalesce(f.x_To, normal_value(u.x_Feature), label.x_Feature, '(unallocated)') as x_Feature,
    coalesce(t.x_To, normal_value(u.x_Tenant), label.x_Tenant, '(unallocated)') as x_Tenant,
    coalesce(e.x_To, normal_value(u.x_Environment), label.x_Environment, '(unallocated)')
        as x_Environment,
    u.x_Model,
    u.x_RegisteredModel,
    u.x_ModelVersion,
    u.x_Endpoint,
    cast(sum(u.x_Calls) as bigint) as x_Calls,
    cast(sum(u.x_UnknownTokenCalls) as bigint) as x_UnknownTokenCalls,
    cast(sum(u.x_InputTokens) as bigint) as x_InputTokens,
    cast(sum(u.x_CachedInputTokens) as bigint) as x_CachedInputTokens,
    cast(sum(u.x_OutputTokens) as bigint) as x_OutputTokens,
    cast(sum(u.x_InputTokenWork) as decimal(38, 0)) as x_InputTokenWork,
    cast(sum(u.x_TokenWork) as decimal(38, 0)) as x_TokenWork,
    cast(sum(u.x_GpuMs) as bigint) as x_GpuMs,
    cast(sum(u.x_GpuMsCalls) as bigint) as x_GpuMsCalls,
    cast(sum(u.x_PrefillNs) as decimal(38, 0)) as x_PrefillNs,
    cast(sum(u.x_DecodeNs) as decimal(38, 0)) as x_DecodeNs,
    cast(sum(u.x_PhaseMsCalls) as bigint) as x_PhaseMsCalls
from logged as u
left join label on label.x_Endpoint = u.x_Endpoint
left join value_alias as f
    on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
left join value_alias as t
    on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
left join value_alias as e
    on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
group by 2, 3, 4, 5, 6, 7, 8
order by 2, 3, 4, 5, 6, 7, 8
