-- Inference calls from OpenTelemetry spans: spans of one call, one inside the other, are one call.
-- Why so: the caller's span knows for whom, the engine's where it ran and how long it took. A span
-- whose nearest call above it in the trace is of the same kind (embeddings, or anything else) is the
-- same call further in; spans of other things may lie between, tools and agents may not: what they
-- call is a call of its own. Which model was asked for does not matter, for gateways rename models.
-- A call is a span with no call inside; so two attempts inside one are two calls, and what is above
-- them is told of the one that ended it: the last that went well, else the last.
--   * owner, key     of the outermost that has it: it asked.
--   * endpoint, provider, model, tier, time of GPU, prefill and decode: of the innermost that has
--                    it: it ran there.
--   * tokens         all of one span: of those that told both, of those the ones that told what was
--                    read from a cache, the innermost.
--   * hour, status, latency: of the outermost, of which an attempt that was given up knows nothing.
-- Spans are found by the hash of their trace, and only where a trace has two; a log in which no span
-- has a parent costs no join. Above sixteen levels, and in a circle, each is a call of its own.
-- One row per call, or per line that cannot be read.
with recursive shared_trace as (
    select trace_hash
    from span
    where x_Reason is null and span_role in ('call', 'part') and span_key is not null
    group by trace_hash
    having count(*) > 1 and count(parent_key) > 0
),

-- Once each, also where a span was delivered twice.
link as (
    select
        span.span_key,
        min(span.parent_key) as parent_key,
        min(span.span_role) as span_role,
        coalesce(bool_or(span.is_embedding), false) as is_embedding
    from span
    semi join shared_trace on shared_trace.trace_hash = span.trace_hash
    where span.x_Reason is null and span.span_key is not null
    group by span.span_key
),

-- From each call up, through what lies between, to the next.
climb as (
    select span_key, is_embedding, span_role = 'part' as is_part, parent_key as at_key
    from link
    where span_role <> 'between' and parent_key is not null
    union
    select climb.span_key, climb.is_embedding, climb.is_part, link.parent_key as at_key
    from climb
    inner join link on link.span_key = climb.at_key
    where link.span_role = 'between' and link.parent_key is not null
),

-- A part is of whatever kind the call is that it is a part of.
inside as (
    select climb.span_key as inner_key, link.span_key as outer_key
    from climb
    inner join link on link.span_key = climb.at_key
    where link.span_role <> 'between'
        and link.span_key <> climb.span_key
        and (climb.is_part or link.span_role = 'part' or link.is_embedding = climb.is_embedding)
),

-- What of the spans in question is asked for, once each; which of two that differ, their content says.
told_span as (
    select
        span_key,
        min({
            'span_role': span_role, 'x_Time': x_Time, 'told_endpoint': told_endpoint,
            'told_provider': told_provider, 'x_Feature': x_Feature, 'x_Tenant': x_Tenant,
            'x_Environment': x_Environment, 'x_Model': x_Model, 'x_Credential': x_Credential,
            'x_ServiceTier': x_ServiceTier, 'x_Status': x_Status,
            'x_InputTokens': x_InputTokens, 'x_CachedInputTokens': x_CachedInputTokens,
            'x_CacheWrite5mTokens': x_CacheWrite5mTokens, 'x_OutputTokens': x_OutputTokens,
            'x_GpuMs': x_GpuMs, 'x_PrefillMs': x_PrefillMs, 'x_DecodeMs': x_DecodeMs,
            'x_LatencyMs': x_LatencyMs
        }) as told
    from span
    semi join (
        select inner_key as span_key from inside
        union
        select outer_key as span_key from inside
    ) as linked
        on linked.span_key = span.span_key
    where x_Reason is null
    group by span_key
),

-- Of the spans inside one, the one that ended it.
last_inside as (
    select
        inside.outer_key,
        arg_max(
            inside.inner_key, (told_span.told.x_Status, told_span.told.x_Time, inside.inner_key)
        ) as inner_key
    from inside
    inner join told_span on told_span.span_key = inside.inner_key
    group by inside.outer_key
),

-- From each span without another inside, outward.
chain as (
    select
        inside.inner_key as call_key,
        inside.inner_key as at_key,
        0 as level,
        true as is_last
    from inside
    anti join inside as further on further.outer_key = inside.inner_key
    union all
    select
        chain.call_key,
        inside.outer_key as at_key,
        chain.level + 1 as level,
        chain.is_last and last_inside.inner_key = chain.at_key as is_last
    from chain
    inner join inside on inside.inner_key = chain.at_key
    inner join last_inside on last_inside.outer_key = inside.outer_key
    where chain.level < 16
),

merged as (
    select
        chain.call_key,
        arg_max(told.x_Time, level) filter (is_last) as x_Time,
        arg_min(told.told_endpoint, level) as told_endpoint,
        arg_min(told.told_provider, level) as told_provider,
        arg_max(told.x_Feature, level) as x_Feature,
        arg_max(told.x_Tenant, level) as x_Tenant,
        arg_max(told.x_Environment, level) as x_Environment,
        arg_min(told.x_Model, level) as x_Model,
        arg_max(told.x_Credential, level) as x_Credential,
        arg_min(told.x_ServiceTier, level) as x_ServiceTier,
        arg_max(told.x_Status, level) filter (is_last) as x_Status,
        arg_min(
            told,
            level
            + case when told.x_InputTokens + told.x_OutputTokens is null then 200 else 0 end
            + case when told.x_CachedInputTokens is null then 100 else 0 end
        ) filter (is_last) as counted,
        arg_min(told.x_GpuMs, level) filter (is_last) as x_GpuMs,
        arg_min(
            told, case when told.x_PrefillMs + told.x_DecodeMs is not null then level end
        ) filter (is_last) as timed,
        arg_max(told.x_LatencyMs, level) filter (is_last) as x_LatencyMs
    from chain
    inner join told_span on told_span.span_key = chain.at_key
    group by chain.call_key
    having bool_or(told.span_role = 'call')
),

call_or_line as (
    select
        call_key as x_CallId,
        x_Time,
        told_endpoint,
        told_provider,
        x_Feature,
        x_Tenant,
        x_Environment,
        x_Model,
        x_Credential,
        x_ServiceTier,
        x_Status,
        counted.x_InputTokens,
        counted.x_CachedInputTokens,
        counted.x_CacheWrite5mTokens,
        counted.x_OutputTokens,
        x_GpuMs,
        timed.x_PrefillMs,
        timed.x_DecodeMs,
        x_LatencyMs,
        cast(null as varchar) as x_SourceFile,
        cast(null as bigint) as x_SourceRow,
        cast(null as varchar) as x_Reason
    from merged
    union all
    select
        x_CallId,
        x_Time,
        told_endpoint,
        told_provider,
        x_Feature,
        x_Tenant,
        x_Environment,
        x_Model,
        x_Credential,
        x_ServiceTier,
        x_Status,
        x_InputTokens,
        x_CachedInputTokens,
        x_CacheWrite5mTokens,
        x_OutputTokens,
        x_GpuMs,
        x_PrefillMs,
        x_DecodeMs,
        x_LatencyMs,
        x_SourceFile,
        x_SourceRow,
        x_Reason
    from span
    anti join (select distinct at_key from chain) as chained
        on chained.at_key = span.span_key and span.x_Reason is null
    where x_Reason is not null or span_role = 'call'
)

select
    x_CallId,
    x_Time,
    coalesce(told_endpoint, '(unknown)/' || x_Model) as x_Endpoint,
    coalesce(told_provider, '(unknown)') as x_Provider,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_Credential,
    x_ServiceTier,
    x_Status,
    cast(1 as bigint) as x_Calls,
    x_InputTokens,
    x_CachedInputTokens,
    x_CacheWrite5mTokens,
    cast(null as bigint) as x_CacheWrite1hTokens,
    x_OutputTokens,
    cast(null as bigint) as x_Images,
    cast(null as bigint) as x_AudioMs,
    x_GpuMs,
    x_PrefillMs,
    x_DecodeMs,
    x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from call_or_line
