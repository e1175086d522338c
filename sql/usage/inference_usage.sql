-- Inference calls, hour by hour, per endpoint and per owner as the caller logged it.
-- Why so: this is the grain allocation splits endpoints by; finer ones do not compress. A log line
-- delivered twice is one call, told by its id within a source and day; a retry has an id of its own
-- and counts; a call without an id is never taken for another. Only ids whose 64 bit hash occurs
-- more than once are looked at closely, so a day without duplicates costs one narrow pass more.
-- A call that told not both its input and its output, such as a stream that broke off, is counted in
-- x_UnknownTokenCalls, and adds nothing to the sums of tokens: these are of the known calls, whose
-- mean stands for it wherever calls are weighed. What it told of images and of time is kept. Of a
-- count of calls told twice the fuller one counts, for the first was told before the hour was over.
-- How long a call was is asked call by call; a row of several calls that may have been longer than
-- the shortest threshold does not tell.
-- One row per source, hour, endpoint, cluster, provider, feature, tenant, environment, model, key,
-- service tier and context class.
with repeated_hash as (
    select hash(x_Source, x_CallId) as id_hash
    from inference_call
    where x_CallId is not null
    group by hash(x_Source, x_CallId)
    having count(*) > 1
),

suspect as (
    select
        inference_call.x_Source,
        inference_call.x_CallId,
        inference_call.x_Time,
        inference_call.x_Endpoint,
        inference_call.x_Cluster,
        inference_call.x_Provider,
        inference_call.x_Feature,
        inference_call.x_Tenant,
        inference_call.x_Environment,
        inference_call.x_Model,
        inference_call.x_Credential,
        inference_call.x_ServiceTier,
        inference_call.x_Status,
        inference_call.x_Calls,
        inference_call.x_InputTokens,
        inference_call.x_CachedInputTokens,
        inference_call.x_CacheWrite5mTokens,
        inference_call.x_CacheWrite1hTokens,
        inference_call.x_OutputTokens,
        inference_call.x_Images,
        inference_call.x_AudioMs,
        inference_call.x_GpuMs,
        inference_call.x_PrefillMs,
        inference_call.x_DecodeMs,
        inference_call.x_LatencyMs,
        row_number() over (
            partition by inference_call.x_Source, inference_call.x_CallId
            order by
                inference_call.x_Calls desc,
                inference_call.x_Time, inference_call.x_Endpoint, inference_call.x_Cluster,
                inference_call.x_Provider,
                inference_call.x_Feature, inference_call.x_Tenant, inference_call.x_Environment,
                inference_call.x_Model, inference_call.x_Credential, inference_call.x_ServiceTier,
                inference_call.x_Status desc,
                inference_call.x_InputTokens, inference_call.x_CachedInputTokens,
                inference_call.x_CacheWrite5mTokens, inference_call.x_CacheWrite1hTokens,
                inference_call.x_OutputTokens, inference_call.x_Images, inference_call.x_AudioMs,
                inference_call.x_GpuMs, inference_call.x_PrefillMs, inference_call.x_DecodeMs,
                inference_call.x_LatencyMs
        ) as delivery
    from inference_call
    inner join repeated_hash
        on repeated_hash.id_hash = hash(inference_call.x_Source, inference_call.x_CallId)
),

single_call as (
    select
        inference_call.x_Source,
        inference_call.x_Time,
        inference_call.x_Endpoint,
        inference_call.x_Cluster,
        inference_call.x_Provider,
        inference_call.x_Feature,
        inference_call.x_Tenant,
        inference_call.x_Environment,
        inference_call.x_Model,
        inference_call.x_Credential,
        inference_call.x_ServiceTier,
        inference_call.x_Status,
        inference_call.x_Calls,
        inference_call.x_InputTokens,
        inference_call.x_CachedInputTokens,
        inference_call.x_CacheWrite5mTokens,
        inference_call.x_CacheWrite1hTokens,
        inference_call.x_OutputTokens,
        inference_call.x_Images,
        inference_call.x_AudioMs,
        inference_call.x_GpuMs,
        inference_call.x_PrefillMs,
        inference_call.x_DecodeMs,
        inference_call.x_LatencyMs
    from inference_call
    anti join repeated_hash
        on repeated_hash.id_hash = hash(inference_call.x_Source, inference_call.x_CallId)
    union all
    select
        x_Source,
        x_Time,
        x_Endpoint,
        x_Cluster,
        x_Provider,
        x_Feature,
        x_Tenant,
        x_Environment,
        x_Model,
        x_Credential,
        x_ServiceTier,
        x_Status,
        x_Calls,
        x_InputTokens,
        x_CachedInputTokens,
        x_CacheWrite5mTokens,
        x_CacheWrite1hTokens,
        x_OutputTokens,
        x_Images,
        x_AudioMs,
        x_GpuMs,
        x_PrefillMs,
        x_DecodeMs,
        x_LatencyMs
    from suspect
    where delivery = 1
),

-- Keys and tiers are named once each, not call by call.
told_name as (
    select
        x_Credential,
        x_ServiceTier,
        credential_name(x_Credential) as credential,
        tier_name(x_ServiceTier) as tier
    from (select distinct x_Credential, x_ServiceTier from inference_call) as told
),

classed as (
    select
        single_call.x_Source,
        date_trunc('hour', single_call.x_Time) as x_HourStart,
        single_call.x_Endpoint,
        single_call.x_Cluster,
        single_call.x_Provider,
        single_call.x_Feature,
        single_call.x_Tenant,
        single_call.x_Environment,
        single_call.x_Model,
        told_name.credential as x_Credential,
        told_name.tier as x_ServiceTier,
        case
            when coalesce(single_call.x_Calls, 1) <= 1
                or context_class(coalesce(single_call.x_InputTokens, 0)) = 0
                then context_class(coalesce(single_call.x_InputTokens, 0))
        end as x_ContextClass,
        single_call.x_Status = 'error' as is_failed,
        single_call.x_InputTokens is null or single_call.x_OutputTokens is null as is_unknown,
        coalesce(single_call.x_Calls, 1) as calls,
        single_call.x_InputTokens,
        single_call.x_CachedInputTokens,
        single_call.x_CacheWrite5mTokens,
        single_call.x_CacheWrite1hTokens,
        single_call.x_OutputTokens,
        single_call.x_Images,
        single_call.x_AudioMs,
        single_call.x_GpuMs,
        single_call.x_PrefillMs,
        single_call.x_DecodeMs,
        single_call.x_LatencyMs
    from single_call
    inner join told_name
        on told_name.x_Credential is not distinct from single_call.x_Credential
        and told_name.x_ServiceTier is not distinct from single_call.x_ServiceTier
)

select
    cast($day as varchar) as x_Day,
    x_Source,
    x_HourStart,
    x_Endpoint,
    x_Cluster,
    x_Provider,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_Credential,
    x_ServiceTier,
    cast(x_ContextClass as bigint) as x_ContextClass,
    cast(sum(calls) as bigint) as x_Calls,
    -- cases, not filters: those take a selection of the rows each
    cast(sum(case when is_failed then calls else 0 end) as bigint) as x_FailedCalls,
    cast(sum(case when is_unknown then calls else 0 end) as bigint) as x_UnknownTokenCalls,
    cast(sum(
        case when is_failed and is_unknown then calls else 0 end
    ) as bigint) as x_FailedUnknownTokenCalls,
    cast(sum(case when is_unknown then 0 else x_InputTokens end) as bigint) as x_InputTokens,
    cast(coalesce(
        sum(case when is_unknown then 0 else x_CachedInputTokens end), 0
    ) as bigint) as x_CachedInputTokens,
    cast(coalesce(
        sum(case when is_unknown then 0 else x_CacheWrite5mTokens end), 0
    ) as bigint) as x_CacheWrite5mTokens,
    cast(coalesce(
        sum(case when is_unknown then 0 else x_CacheWrite1hTokens end), 0
    ) as bigint) as x_CacheWrite1hTokens,
    cast(sum(case when is_unknown then 0 else x_OutputTokens end) as bigint) as x_OutputTokens,
    cast(coalesce(sum(x_Images), 0) as bigint) as x_Images,
    cast(coalesce(sum(x_AudioMs), 0) as bigint) as x_AudioMs,
    cast(coalesce(sum(x_GpuMs), 0) as bigint) as x_GpuMs,
    cast(sum(case when x_GpuMs is null then 0 else calls end) as bigint) as x_GpuMsCalls,
    cast(coalesce(sum(x_PrefillMs), 0) as bigint) as x_PrefillMs,
    cast(coalesce(sum(x_DecodeMs), 0) as bigint) as x_DecodeMs,
    cast(sum(
        case when x_PrefillMs + x_DecodeMs is null then 0 else calls end
    ) as bigint) as x_PhaseMsCalls,
    cast(coalesce(sum(x_LatencyMs), 0) as bigint) as x_LatencyMs,
    max(x_LatencyMs) as x_LatencyMaxMs
from classed
group by
    x_Source, x_HourStart, x_Endpoint, x_Cluster, x_Provider, x_Feature, x_Tenant, x_Environment,
    x_Model, x_Credential, x_ServiceTier, x_ContextClass
order by
    x_HourStart, x_Endpoint, x_Cluster, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model,
    x_Credential, x_ServiceTier, x_ContextClass, x_Source
