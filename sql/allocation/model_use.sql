-- How often each model version was called, by whom, and what work that was: what its training is
-- borne by, and what the ways to split an endpoint are compared by.
--
-- Owners are those that calls have in the allocation: as logged, after aliases; what a caller left
-- out is that of the endpoint's pods, as endpoint_owner has them of the day.
--
-- One row per feature, tenant, environment, model, version and endpoint.
with
owned_day as (
    select
        x_ChargeDay, x_Endpoint,
        string_agg(
            concat_ws(
                chr(31), coalesce(x_Feature, ''), coalesce(x_Tenant, ''),
                coalesce(x_Environment, ''), x_CallShare
            ),
            chr(30) order by x_Feature, x_Tenant, x_Environment
        ) as owners
    from endpoint_owner
    group by x_ChargeDay, x_Endpoint
),
-- Days alike in version, owners and token ratio are one kind, whose first day stands for all.
day_kind as materialized (
    select
        s.x_ChargeDay, s.x_Endpoint, s.x_Model, s.x_RegisteredModel, s.x_ModelVersion,
        cast(r.x_InputWeight as hugeint) as input_weight,
        cast(r.x_CachedInputWeight as hugeint) as cached_weight,
        cast(r.x_OutputWeight as hugeint) as output_weight,
        dense_rank() over (
            order by
                s.x_Endpoint, s.x_Model, s.x_RegisteredModel, s.x_ModelVersion, r.x_FromDay,
                o.owners
        ) as kind_no
    from served_version as s
    inner join token_ratio as r
        on s.x_ChargeDay >= r.x_FromDay and s.x_ChargeDay < r.x_UntilDay
    left join owned_day as o
        on o.x_ChargeDay = s.x_ChargeDay and o.x_Endpoint = s.x_Endpoint
    where is_in_month(s.x_ChargeDay, $period)
),
kind as (
    select
        kind_no, x_Endpoint, x_Model, x_RegisteredModel, x_ModelVersion, input_weight,
        cached_weight, output_weight, min(x_ChargeDay) as first_day
    from day_kind
    group by
        kind_no, x_Endpoint, x_Model, x_RegisteredModel, x_ModelVersion, input_weight,
        cached_weight, output_weight
),
-- Grouped as logged first: spellings are few, days many.
logged as (
    select
        k.kind_no, u.x_Feature, u.x_Tenant, u.x_Environment,
        sum(u.x_Calls) as x_Calls,
        sum(u.x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(u.x_InputTokens) as x_InputTokens,
        sum(u.x_CachedInputTokens) as x_CachedInputTokens,
        sum(u.x_OutputTokens) as x_OutputTokens,
        sum(u.x_GpuMs) as x_GpuMs,
        sum(u.x_GpuMsCalls) as x_GpuMsCalls,
        cast(sum(u.x_PrefillNs) as hugeint) as x_PrefillNs,
        cast(sum(u.x_DecodeNs) as hugeint) as x_DecodeNs,
        sum(u.x_PhaseMsCalls) as x_PhaseMsCalls
    from caller_day as u
    inner join day_kind as k
        on k.x_ChargeDay = u.x_ChargeDay
        and k.x_Endpoint = u.x_Endpoint
        and k.x_Model = u.x_Model
    group by k.kind_no, u.x_Feature, u.x_Tenant, u.x_Environment
),
owned as (
    select
        k.x_Endpoint, k.x_Model, k.x_RegisteredModel, k.x_ModelVersion, u.*,
        token_work(
            u.x_InputTokens, u.x_CachedInputTokens, 0, k.input_weight, k.cached_weight, 0
        ) as x_InputTokenWork,
        token_work(
            u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens,
            k.input_weight, k.cached_weight, k.output_weight
        ) as x_TokenWork,
        o.x_Feature as own_feature, o.x_Tenant as own_tenant,
        o.x_Environment as own_environment, coalesce(o.x_CallShare, 1000000000) as share
    from logged as u
    inner join kind as k on k.kind_no = u.kind_no
    left join endpoint_owner as o
        on o.x_ChargeDay = k.first_day and o.x_Endpoint = k.x_Endpoint
),
-- Calls that are several owners' are counted in billionths, and cut into whole ones below.
named as (
    select
        coalesce(f.x_To, normal_value(u.x_Feature), u.own_feature, '(unallocated)') as x_Feature,
        coalesce(t.x_To, normal_value(u.x_Tenant), u.own_tenant, '(unallocated)') as x_Tenant,
        coalesce(e.x_To, normal_value(u.x_Environment), u.own_environment, '(unallocated)')
            as x_Environment,
        u.x_Model, u.x_RegisteredModel, u.x_ModelVersion, u.x_Endpoint,
        sum(u.x_Calls * u.share) as x_Calls,
        sum(u.x_UnknownTokenCalls * u.share) as x_UnknownTokenCalls,
        sum(u.x_InputTokens * u.share) as x_InputTokens,
        sum(u.x_CachedInputTokens * u.share) as x_CachedInputTokens,
        sum(u.x_OutputTokens * u.share) as x_OutputTokens,
        sum(u.x_InputTokenWork * u.share) as x_InputTokenWork,
        sum(u.x_TokenWork * u.share) as x_TokenWork,
        sum(u.x_GpuMs * u.share) as x_GpuMs,
        sum(u.x_GpuMsCalls * u.share) as x_GpuMsCalls,
        sum(u.x_PrefillNs * u.share) as x_PrefillNs,
        sum(u.x_DecodeNs * u.share) as x_DecodeNs,
        sum(u.x_PhaseMsCalls * u.share) as x_PhaseMsCalls
    from owned as u
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
    group by 1, 2, 3, 4, 5, 6, 7
)
select
    $period as BillingPeriod,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_RegisteredModel,
    x_ModelVersion,
    x_Endpoint,
    cast(whole_part(sum(x_Calls) over names, x_Calls) as bigint) as x_Calls,
    cast(whole_part(sum(x_UnknownTokenCalls) over names, x_UnknownTokenCalls) as bigint) as x_UnknownTokenCalls,
    cast(whole_part(sum(x_InputTokens) over names, x_InputTokens) as bigint) as x_InputTokens,
    cast(whole_part(sum(x_CachedInputTokens) over names, x_CachedInputTokens) as bigint) as x_CachedInputTokens,
    cast(whole_part(sum(x_OutputTokens) over names, x_OutputTokens) as bigint) as x_OutputTokens,
    cast(
        whole_part(sum(x_InputTokenWork) over names, x_InputTokenWork) as decimal(38, 0)
    ) as x_InputTokenWork,
    cast(
        whole_part(sum(x_TokenWork) over names, x_TokenWork) as decimal(38, 0)
    ) as x_TokenWork,
    cast(whole_part(sum(x_GpuMs) over names, x_GpuMs) as bigint) as x_GpuMs,
    cast(whole_part(sum(x_GpuMsCalls) over names, x_GpuMsCalls) as bigint) as x_GpuMsCalls,
    cast(
        whole_part(sum(x_PrefillNs) over names, x_PrefillNs) as decimal(38, 0)
    ) as x_PrefillNs,
    cast(
        whole_part(sum(x_DecodeNs) over names, x_DecodeNs) as decimal(38, 0)
    ) as x_DecodeNs,
    cast(whole_part(sum(x_PhaseMsCalls) over names, x_PhaseMsCalls) as bigint) as x_PhaseMsCalls
from named
window names as (
    partition by x_Model, x_RegisteredModel, x_ModelVersion, x_Endpoint
    order by x_Feature, x_Tenant, x_Environment
    rows between unbounded preceding and current row
)
order by
    x_Feature, x_Tenant, x_Environment, x_Model, x_RegisteredModel, x_ModelVersion, x_Endpoint
