-- Inference calls, hour by hour, per endpoint and per owner as the caller logged it.
-- Why so: this is the grain allocation splits endpoints by; finer ones do not compress. A log line
-- delivered twice is one call, told by its id within a source and day; a retry has an id of its own
-- and counts; a call without an id is never taken for another. Only ids whose 64 bit hash occurs
-- more than once are looked at closely, so a day without duplicates costs one narrow pass more.
-- Tokens that were not logged are left out of the sums and counted in x_UnknownTokenCalls. Of a
-- count of calls told twice the fuller one counts, for the first was told before the hour was over.
-- How long a call was is asked call by call; a row of several calls that may have been longer than
-- the shortest threshold does not tell.
-- One row per source, hour, endpoint, provider, feature, tenant, environment, model, key, service
-- tier and context class.
with repeated_hash as (
    select
        x_Source,
        hash(x_CallId) as id_hash
    from inference_call
    where x_CallId is not null
    group by x_Source, hash(x_CallId)
    having count(*) > 1
),

suspect as (
    select
        inference_call.x_Source,
        inference_call.x_CallId,
        inference_call.x_Time,
        inference_call.x_Endpoint,
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
                inference_call.x_Time, inference_call.x_Endpoint, inference_call.x_Provider,
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
        on repeated_hash.x_Source = inference_call.x_Source
        and repeated_hash.id_hash = hash(inference_call.x_CallId)
),

single_call as (
    select
        inference_call.x_Source,
        inference_call.x_Time,
        inference_call.x_Endpoint,
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
        on repeated_hash.x_Source = inference_call.x_Source
        and repeated_hash.id_hash = hash(inference_call.x_CallId)
    union all
    select
        x_Source,
        x_Time,
        x_Endpoint,
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

classed as (
    select
        *,
        coalesce(x_Calls, 1) as calls,
        case
            when coalesce(x_Calls, 1) <= 1 or context_class(coalesce(x_InputTokens, 0)) = 0
                then context_class(coalesce(x_InputTokens, 0))
        end as x_ContextClass
    from single_call
),

-- Keys and tiers are named once they are few: in what they were told as, calls are counted first.
counted as (
    select
        x_Source,
        date_trunc('hour', x_Time) as x_HourStart,
        x_Endpoint,
        x_Provider,
        x_Feature,
        x_Tenant,
        x_Environment,
        x_Model,
        x_Credential,
        x_ServiceTier,
        x_ContextClass,
        sum(calls) as calls,
        sum(calls) filter (where x_Status = 'error') as failed,
        sum(calls) filter (where x_InputTokens is null or x_OutputTokens is null) as unknown,
        sum(calls) filter (
            where x_Status = 'error' and (x_InputTokens is null or x_OutputTokens is null)
        ) as failed_unknown,
        sum(x_InputTokens) as input_tokens,
        sum(x_CachedInputTokens) as cached_tokens,
        sum(x_CacheWrite5mTokens) as short_tokens,
        sum(x_CacheWrite1hTokens) as long_tokens,
        sum(x_OutputTokens) as output_tokens,
        sum(x_Images) as images,
        sum(x_AudioMs) as audio_ms,
        sum(x_GpuMs) as gpu_ms,
        sum(calls) filter (where x_GpuMs is not null) as gpu_calls,
        sum(x_PrefillMs) as prefill_ms,
        sum(x_DecodeMs) as decode_ms,
        sum(calls) filter (where x_PrefillMs + x_DecodeMs is not null) as phase_calls,
        sum(x_LatencyMs) as latency,
        max(x_LatencyMs) as slowest
    from classed
    group by
        x_Source, date_trunc('hour', x_Time), x_Endpoint, x_Provider, x_Feature, x_Tenant,
        x_Environment, x_Model, x_Credential, x_ServiceTier, x_ContextClass
)

select
    cast($day as varchar) as x_Day,
    x_Source,
    x_HourStart,
    x_Endpoint,
    x_Provider,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    credential_name(x_Credential) as x_Credential,
    tier_name(x_ServiceTier) as x_ServiceTier,
    cast(x_ContextClass as bigint) as x_ContextClass,
    cast(sum(calls) as bigint) as x_Calls,
    cast(coalesce(sum(failed), 0) as bigint) as x_FailedCalls,
    cast(coalesce(sum(unknown), 0) as bigint) as x_UnknownTokenCalls,
    cast(coalesce(sum(failed_unknown), 0) as bigint) as x_FailedUnknownTokenCalls,
    cast(coalesce(sum(input_tokens), 0) as bigint) as x_InputTokens,
    cast(coalesce(sum(cached_tokens), 0) as bigint) as x_CachedInputTokens,
    cast(coalesce(sum(short_tokens), 0) as bigint) as x_CacheWrite5mTokens,
    cast(coalesce(sum(long_tokens), 0) as bigint) as x_CacheWrite1hTokens,
    cast(coalesce(sum(output_tokens), 0) as bigint) as x_OutputTokens,
    cast(coalesce(sum(images), 0) as bigint) as x_Images,
    cast(coalesce(sum(audio_ms), 0) as bigint) as x_AudioMs,
    cast(coalesce(sum(gpu_ms), 0) as bigint) as x_GpuMs,
    cast(coalesce(sum(gpu_calls), 0) as bigint) as x_GpuMsCalls,
    cast(coalesce(sum(prefill_ms), 0) as bigint) as x_PrefillMs,
    cast(coalesce(sum(decode_ms), 0) as bigint) as x_DecodeMs,
    cast(coalesce(sum(phase_calls), 0) as bigint) as x_PhaseMsCalls,
    cast(coalesce(sum(latency), 0) as bigint) as x_LatencyMs,
    max(slowest) as x_LatencyMaxMs
from counted
group by
    x_Source, x_HourStart, x_Endpoint, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model,
    credential_name(x_Credential), tier_name(x_ServiceTier), x_ContextClass
order by
    x_HourStart, x_Endpoint, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model, x_Credential,
    x_ServiceTier, x_ContextClass, x_Source
