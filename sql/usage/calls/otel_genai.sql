-- Inference calls from OpenTelemetry spans: spans of one call, one inside the other, are one call.
-- Why so: the caller's span knows for whom, the engine's where it ran and how long it took. A span
-- whose nearest call above it in the trace is of the same kind (embeddings, or anything else) is the
-- same call further in; spans of other things may lie between, tools and agents may not: what they
-- call is a call of its own. Which model was asked for does not matter, for gateways rename models.
-- A call is a span with no call inside; so two attempts inside one are two calls, and what is above
-- them is told of the one that ended it: the last that went well, else the last.
--   * owner, key     of the outermost that has it: it asked.
--   * endpoint and cluster, provider, model, tier, time of GPU, prefill and decode: of the innermost
--                    that has it: it ran there.
--   * tokens         all of one span: of those that told both, of those the ones that told what was
--                    read from a cache, the innermost.
--   * hour, status, latency: of the outermost, of which an attempt that was given up knows nothing.
-- Spans are known by the hashes of trace and span, 128 bits together, and looked for only in a trace
-- that has two calls: a log in which no span has a parent costs no join. What is further apart than
-- sixteen levels, or in a circle, is a call of its own.
-- One row per call, or per line that cannot be read.
with recursive shared_trace as (
    select trace_hash
    from span
    where x_Reason is null
        and span_role in ('call', 'part')
        and trace_hash is not null
        and span_hash is not null
    group by trace_hash
    having count(*) > 1 and count(parent_hash) > 0
),

-- Once each, also where a span was delivered twice.
link as (
    select
        span.trace_hash,
        span.span_hash,
        min(span.parent_hash) as parent_hash,
        min(span.span_role) as span_role,
        coalesce(bool_or(span.is_embedding), false) as is_embedding
    from span
    semi join shared_trace on shared_trace.trace_hash = span.trace_hash
    where span.x_Reason is null and span.span_hash is not null
    group by span.trace_hash, span.span_hash
),

-- From each call up, through what lies between, to the next.
climb as (
    select
        trace_hash,
        span_hash,
        is_embedding,
        span_role = 'part' as is_part,
        parent_hash as at_hash,
        1 as level
    from link
    where span_role <> 'between' and parent_hash is not null
    union all
    select
        climb.trace_hash,
        climb.span_hash,
        climb.is_embedding,
        climb.is_part,
        link.parent_hash as at_hash,
        climb.level + 1 as level
    from climb
    inner join link
        on link.trace_hash = climb.trace_hash
        and link.span_hash = climb.at_hash
    where link.span_role = 'between' and link.parent_hash is not null and climb.level < 16
),

-- A part is of whatever kind the call is that it is a part of.
inside as (
    select climb.trace_hash, climb.span_hash as inner_hash, link.span_hash as outer_hash
    from climb
    inner join link
        on link.trace_hash = climb.trace_hash
        and link.span_hash = climb.at_hash
    where link.span_role <> 'between'
        and link.span_hash <> climb.span_hash
        and (climb.is_part or link.span_role = 'part' or link.is_embedding = climb.is_embedding)
),

-- Of the spans inside one, the one that ended it.
last_inside as (
    select
        inside.trace_hash,
        inside.outer_hash,
        arg_max(inside.inner_hash, (span.x_Status, span.x_Time, span.x_CallId)) as inner_hash
    from span
    inner join inside
        on inside.trace_hash = span.trace_hash
        and inside.inner_hash = span.span_hash
    where span.x_Reason is null
    group by inside.trace_hash, inside.outer_hash
),

-- From each span without another inside, outward.
chain as (
    select
        inside.trace_hash,
        inside.inner_hash as call_hash,
        inside.inner_hash as at_hash,
        0 as level,
        true as is_last
    from inside
    anti join inside as further
        on further.trace_hash = inside.trace_hash
        and further.outer_hash = inside.inner_hash
    union all
    select
        chain.trace_hash,
        chain.call_hash,
        inside.outer_hash as at_hash,
        chain.level + 1 as level,
        chain.is_last and last_inside.inner_hash = chain.at_hash as is_last
    from chain
    inner join inside
        on inside.trace_hash = chain.trace_hash
        and inside.inner_hash = chain.at_hash
    inner join last_inside
        on last_inside.trace_hash = inside.trace_hash
        and last_inside.outer_hash = inside.outer_hash
    where chain.level < 16
),

-- Of two that differ and have one id, their content says which comes first.
placed as (
    select
        chain.trace_hash,
        chain.call_hash,
        chain.is_last,
        chain.level * 1099511627776 + cast(hash(
            span.span_role, span.x_Time, span.told_endpoint, span.told_cluster, span.told_provider,
            span.x_Feature, span.x_Tenant, span.x_Environment, span.x_Model, span.x_Credential, span.x_ServiceTier,
            span.x_Status, span.x_InputTokens, span.x_CachedInputTokens, span.x_CacheWrite5mTokens,
            span.x_OutputTokens, span.x_GpuMs, span.x_PrefillMs, span.x_DecodeMs, span.x_LatencyMs
        ) >> 24 as bigint) as place,
        span.x_CallId,
        span.span_role,
        span.x_Time,
        span.told_endpoint,
        span.told_cluster,
        span.told_provider,
        span.x_Feature,
        span.x_Tenant,
        span.x_Environment,
        span.x_Model,
        span.x_Credential,
        span.x_ServiceTier,
        span.x_Status,
        span.x_InputTokens,
        span.x_CachedInputTokens,
        span.x_CacheWrite5mTokens,
        span.x_OutputTokens,
        span.x_GpuMs,
        span.x_PrefillMs,
        span.x_DecodeMs,
        span.x_LatencyMs
    from span
    inner join chain
        on chain.trace_hash = span.trace_hash
        and chain.at_hash = span.span_hash
    where span.x_Reason is null
),

merged as (
    select
        arg_min(x_CallId, place) as x_CallId,
        arg_max(x_Time, place) filter (is_last) as x_Time,
        arg_min(
            {'endpoint': told_endpoint, 'cluster': told_cluster},
            case when told_endpoint is not null then place end
        ) as served,
        arg_min(told_provider, place) as told_provider,
        arg_max(x_Feature, place) as x_Feature,
        arg_max(x_Tenant, place) as x_Tenant,
        arg_max(x_Environment, place) as x_Environment,
        arg_min(x_Model, place) as x_Model,
        arg_max(x_Credential, place) as x_Credential,
        arg_min(x_ServiceTier, place) as x_ServiceTier,
        arg_max(x_Status, place) filter (is_last) as x_Status,
        arg_min(
            {
                'input': x_InputTokens, 'cached': x_CachedInputTokens,
                'cache_write': x_CacheWrite5mTokens, 'output': x_OutputTokens
            },
            place
            + case when x_InputTokens + x_OutputTokens is null then 2 else 0 end * 109951162777600
            + case when x_CachedInputTokens is null then 1 else 0 end * 109951162777600
        ) filter (is_last) as tokens,
        arg_min(x_GpuMs, place) filter (is_last) as x_GpuMs,
        arg_min(
            {'prefill': x_PrefillMs, 'decode': x_DecodeMs},
            case when x_PrefillMs + x_DecodeMs is not null then place end
        ) filter (is_last) as phases,
        arg_max(x_LatencyMs, place) filter (is_last) as x_LatencyMs
    from placed
    group by trace_hash, call_hash
    having bool_or(span_role = 'call')
),

call_or_line as (
    select
        x_CallId,
        x_Time,
        served.endpoint as told_endpoint,
        served.cluster as told_cluster,
        told_provider,
        x_Feature,
        x_Tenant,
        x_Environment,
        x_Model,
        x_Credential,
        x_ServiceTier,
        x_Status,
        tokens.input as x_InputTokens,
        tokens.cached as x_CachedInputTokens,
        tokens.cache_write as x_CacheWrite5mTokens,
        tokens.output as x_OutputTokens,
        x_GpuMs,
        phases.prefill as x_PrefillMs,
        phases.decode as x_DecodeMs,
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
        told_cluster,
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
    anti join (select distinct trace_hash, at_hash from chain) as chained
        on chained.trace_hash = span.trace_hash
        and chained.at_hash = span.span_hash
        and span.x_Reason is null
    where x_Reason is not null or span_role = 'call'
)

select
    x_CallId,
    x_Time,
    coalesce(told_endpoint, '(unknown)/' || x_Model) as x_Endpoint,
    told_cluster as x_Cluster,
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
