-- OpenTelemetry spans that are model calls, or lie between two of them, from lines of JSON.
-- Why so: names are those of the GenAI semantic conventions
-- (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), with the ones they replaced.
-- A line is one span, or what OpenTelemetry's file exporter writes: the object `resourceSpans` with
-- many. Attributes may be an object, or OTLP's list of {key, value}; those of the resource count
-- where the span has none. Only the attributes named here are looked at, never messages.
--   * call      Spans of other things (HTTP, tools, agents, whose tokens are those of the calls
--               inside them) are no calls.
--   * part      an engine's span, such as vLLM's, which has tokens or times and names no model: it
--               is a part of the call that is above it, and passed over where there is none.
--   * between   a span of something else, HTTP for one, that may lie between a call and the same
--               call further in. Tools and agents do not: what they call is another call.
--   * endpoint  in a cluster `namespace/workload`: by the address that was called, else by the k8s
--               attributes, which describe the server on a server's span or where no vendor is
--               the provider; on a client's span they describe the caller. Else `provider/model`.
--   * cluster   `k8s.cluster.name`, for a service is called by its address from its own cluster, but
--               by one in `clusterset.local`.
--   * time      of prefill and decode where vLLM's own spans have it; time to the first token has
--               the queue and the network in it, and is not looked at.
--   * tokens    absent is unknown (null), not zero. Input counts cached tokens too; where fewer
--               than the cached ones are given, the logger left them out and they are added.
-- One row per span that is a call, a part of one or between two, and per line or span that cannot
-- be read.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        trim(line) = '' as is_blank,
        case when json_valid(line) then line else '{}' end as span
    from raw_log
),

known_line as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_blank,
        -- to look for a word takes a fifth of looking into the JSON
        case
            when contains(span, '"resourceSpans"') then json_exists(span, '$.resourceSpans')
            else false
        end as is_batch,
        span
    from parsed_line
),

-- A span of its own, or those of each resource of a batch; a batch without any is a line. What is
-- looked for in a batch is looked for before it is taken apart, not once a span.
known_list as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        case
            -- not by a filter, which would gather many lines of many megabytes before it hands them on
            when is_blank then []
            when not is_batch then [span]
            when json_array_length(span, '$.resourceSpans') > 0
                then cast(json_extract(span, '$.resourceSpans[*]') as varchar[])
            else ['{}']
        end as resource_spans
    from known_line
),

resource_span as (
    select x_SourceFile, x_SourceRow, is_json, is_batch, unnest(resource_spans) as resource_span
    from known_list
),

resource_list as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        case when is_batch then json_extract_string(resource_span, '$.resource') end as resource,
        case
            when is_batch
                then cast(json_extract(resource_span, '$.scopeSpans[*].spans[*]') as varchar[])
            else [resource_span]
        end as spans
    from resource_span
),

single_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        resource,
        unnest(case when len(spans) > 0 then spans else [''] end) as span
    from resource_list
),

whole_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_batch and span = '' as is_empty_batch,
        case
            when span = '' then '{}'
            when resource is not null and starts_with(span, '{"')
                then '{"resource":' || resource || ',' || substr(span, 2)
            else span
        end as span
    from single_span
),

typed_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        span,
        json_type(span, ['$.attributes', '$.resource.attributes']) as types
    from whole_span
),

-- OTLP's lists of attributes; a value that is no text, number or truth is none.
listed_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        span,
        types[1] as attributes_type,
        case
            when types[1] = 'ARRAY' or types[2] = 'ARRAY'
                then json_transform(span, '{
                    "attributes": [{"key": "VARCHAR", "value": {
                        "stringValue": "VARCHAR", "intValue": "VARCHAR",
                        "doubleValue": "VARCHAR", "boolValue": "VARCHAR"
                    }}],
                    "resource": {"attributes": [{"key": "VARCHAR", "value": {
                        "stringValue": "VARCHAR", "intValue": "VARCHAR",
                        "doubleValue": "VARCHAR", "boolValue": "VARCHAR"
                    }}]}
                }')
        end as listed
    from typed_span
),

-- The lists as objects: of two attributes with one key the first counts.
flat_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        attributes_type,
        case
            when listed is null then span
            else cast(json_merge_patch(span, '{' || concat_ws(
                ',',
                '"attributes":{' || array_to_string(list_transform(
                    listed.attributes,
                    lambda told: to_json(told.key) || ':' || to_json(coalesce(
                        told.value.stringValue, told.value.intValue,
                        told.value.doubleValue, told.value.boolValue
                    ))
                ), ',') || '}',
                '"resource":{"attributes":{' || array_to_string(list_transform(
                    listed.resource.attributes,
                    lambda told: to_json(told.key) || ':' || to_json(coalesce(
                        told.value.stringValue, told.value.intValue,
                        told.value.doubleValue, told.value.boolValue
                    ))
                ), ',') || '}}'
            ) || '}') as varchar)
        end as span
    from listed_span
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        json_extract_string(span, [
            '$.traceId', '$.trace_id', '$.spanId', '$.span_id',
            '$.startTimeUnixNano', '$.start_time_unix_nano', '$.startTime', '$.start_time',
            '$.endTimeUnixNano', '$.end_time_unix_nano', '$.endTime', '$.end_time',
            '$.kind', '$.status.code', '$.status.status_code', '$.attributes."error.type"',
            '$.attributes."gen_ai.operation.name"',
            '$.attributes."gen_ai.provider.name"', '$.attributes."gen_ai.system"',
            '$.attributes."gen_ai.response.model"', '$.attributes."gen_ai.request.model"',
            '$.attributes."gen_ai.response.id"',
            '$.attributes."gen_ai.usage.input_tokens"',
            '$.attributes."gen_ai.usage.prompt_tokens"',
            '$.attributes."gen_ai.usage.output_tokens"',
            '$.attributes."gen_ai.usage.completion_tokens"',
            '$.attributes."gen_ai.usage.cache_read.input_tokens"',
            '$.attributes."gen_ai.usage.cached_input_tokens"',
            '$.attributes."gen_ai.usage.cache_creation.input_tokens"',
            '$.attributes.x_gpu_ms',
            '$.attributes."server.address"',
            '$.attributes."k8s.namespace.name"', '$.resource."k8s.namespace.name"',
            '$.resource.attributes."k8s.namespace.name"',
            '$.attributes."k8s.deployment.name"', '$.resource."k8s.deployment.name"',
            '$.resource.attributes."k8s.deployment.name"',
            '$.attributes."k8s.statefulset.name"', '$.resource."k8s.statefulset.name"',
            '$.resource.attributes."k8s.statefulset.name"',
            '$.attributes."k8s.pod.name"', '$.resource."k8s.pod.name"',
            '$.resource.attributes."k8s.pod.name"',
            '$.attributes.feature', '$.attributes."app.feature"', '$.attributes."feature.name"',
            '$.attributes.tenant', '$.attributes."tenant.id"', '$.attributes.customer',
            '$.attributes.environment', '$.attributes."deployment.environment.name"',
            '$.attributes."deployment.environment"',
            '$.resource."deployment.environment.name"',
            '$.resource.attributes."deployment.environment.name"',
            '$.resource."deployment.environment"',
            '$.resource.attributes."deployment.environment"',
            '$.attributes."openai.response.service_tier"',
            '$.attributes."gen_ai.openai.response.service_tier"',
            '$.attributes."openai.request.service_tier"',
            '$.attributes."gen_ai.openai.request.service_tier"',
            '$.attributes.credential', '$.attributes."app.credential"',
            '$.attributes."gen_ai.latency.time_in_model_prefill"',
            '$.attributes."gen_ai.latency.time_in_model_decode"',
            '$.parentSpanId', '$.parent_span_id',
            '$.attributes."gen_ai.tool.name"', '$.attributes."mcp.method.name"',
            '$.resource.attributes.feature', '$.resource.attributes."app.feature"',
            '$.resource.attributes."feature.name"',
            '$.resource.attributes.tenant', '$.resource.attributes."tenant.id"',
            '$.resource.attributes.customer',
            '$.resource.attributes.credential', '$.resource.attributes."app.credential"',
            '$.attributes."k8s.cluster.name"', '$.resource."k8s.cluster.name"',
            '$.resource.attributes."k8s.cluster.name"'
        ]) as p,
        attributes_type
    from flat_span
),

read_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        attributes_type,
        nullif(coalesce(p[1], p[2]), '') as trace_id,
        nullif(coalesce(p[3], p[4]), '') as span_id,
        nullif(coalesce(p[65], p[66]), '') as parent_span_id,
        coalesce(p[67], p[68]) is not null as is_tool,
        coalesce(p[5], p[6], p[7], p[8]) as begin_text,
        coalesce(
            make_timestamp(try_cast(coalesce(p[5], p[6]) as bigint) // 1000),
            cast(try_cast(coalesce(p[7], p[8]) as timestamptz) as timestamp)
        ) as begin_time,
        coalesce(
            make_timestamp(try_cast(coalesce(p[9], p[10]) as bigint) // 1000),
            cast(try_cast(coalesce(p[11], p[12]) as timestamptz) as timestamp)
        ) as end_time,
        coalesce(p[13], '') in ('2', 'SERVER', 'SPAN_KIND_SERVER', 'SpanKind.SERVER') as is_server,
        upper(coalesce(p[14], p[15], '')) in ('2', 'ERROR', 'STATUS_CODE_ERROR')
        or p[16] is not null as is_error,
        p[17] as operation,
        case coalesce(p[18], p[19])
            when 'az.ai.openai' then 'azure.ai.openai'
            when 'az.ai.inference' then 'azure.ai.inference'
            when 'vertex_ai' then 'gcp.vertex_ai'
            when 'gemini' then 'gcp.gemini'
            when 'xai' then 'x_ai'
            else coalesce(p[18], p[19])
        end as provider,
        nullif(coalesce(p[20], p[21]), '') as model,
        p[22] as response_id,
        coalesce(p[23], p[24]) as input_text,
        coalesce(p[25], p[26]) as output_text,
        coalesce(p[27], p[28]) as cached_text,
        p[29] as cache_write_text,
        p[30] as gpu_text,
        p[31] as host,
        coalesce(p[32], p[33], p[34]) as namespace,
        coalesce(
            p[35], p[36], p[37], p[38], p[39], p[40],
            nullif(regexp_extract(
                coalesce(p[41], p[42], p[43]),
                '^(.+?)(?:-[bcdfghjklmnpqrstvwxz2456789]{5,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}$',
                1
            ), ''),
            p[41], p[42], p[43]
        ) as workload,
        nullif(trim(coalesce(p[44], p[45], p[46], p[69], p[70], p[71])), '') as feature,
        nullif(trim(coalesce(p[47], p[48], p[49], p[72], p[73], p[74])), '') as tenant,
        nullif(trim(coalesce(p[50], p[51], p[52], p[53], p[54], p[55], p[56])), '') as environment,
        coalesce(p[57], p[58], p[59], p[60]) as tier,
        coalesce(p[61], p[62], p[75], p[76]) as credential,
        p[63] as prefill_text,
        p[64] as decode_text,
        nullif(coalesce(p[77], p[78], p[79]), '') as cluster
    from picked
),

counted as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        is_empty_batch,
        attributes_type,
        coalesce(trace_id || '/' || span_id, span_id, response_id) as call_id,
        -- 128 bits together; null, and not the hash of null, where a span does not say
        case when trace_id is not null then hash(trace_id) end as trace_hash,
        case when span_id is not null then hash(span_id, 1) end as span_hash,
        case when parent_span_id is not null then hash(parent_span_id, 1) end as parent_hash,
        -- what a tool or an agent does is no call, and what it calls is not the call above it
        case
            when coalesce(operation, provider, model) is not null
                and coalesce(operation, 'chat') not in (
                    'create_agent', 'invoke_agent', 'invoke_workflow', 'execute_tool'
                )
                then 'call'
            when operation is not null or is_tool or trace_id || span_id || parent_span_id is null
                then 'other'
            when coalesce(input_text, output_text, prefill_text, decode_text) is not null
                then 'part'
            else 'between'
        end as span_role,
        begin_text,
        begin_time,
        end_time,
        is_server,
        is_error,
        operation,
        provider,
        model,
        host,
        namespace,
        workload,
        feature,
        tenant,
        environment,
        tier,
        credential,
        whole_number(input_text) as input_tokens,
        -- an embedding has no output to count
        case
            when output_text is null and operation = 'embeddings' and input_text is not null then 0
            else whole_number(output_text)
        end as output_tokens,
        whole_number(cached_text) as cached_tokens,
        whole_number(coalesce(cache_write_text, '0')) as cache_write_tokens,
        whole_number(gpu_text) as gpu_ms,
        try_cast(prefill_text as decimal(18, 9)) as prefill_seconds,
        try_cast(decode_text as decimal(18, 9)) as decode_seconds,
        coalesce(input_text, '0') as input_text,
        coalesce(output_text, '0') as output_text,
        coalesce(cached_text, '0') as cached_text,
        coalesce(gpu_text, '0') as gpu_text,
        coalesce(prefill_text, '0') as prefill_text,
        coalesce(decode_text, '0') as decode_text,
        cluster
    from read_span
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        trace_hash,
        span_hash,
        parent_hash,
        span_role,
        operation,
        begin_time,
        end_time,
        is_server,
        is_error,
        provider,
        model,
        host,
        namespace,
        workload,
        feature,
        tenant,
        environment,
        tier,
        credential,
        input_tokens,
        output_tokens,
        cached_tokens,
        cache_write_tokens,
        gpu_ms,
        prefill_seconds,
        decode_seconds,
        cluster,
        case
            when not is_json then 'not a JSON object'
            when is_empty_batch then 'resourceSpans without spans in scopeSpans'
            -- in a batch a list that is empty may be left out
            when attributes_type is null and not is_batch then 'no attributes'
            when span_role = 'between' then null
            when begin_time is null and begin_text is null then 'no start time'
            when begin_time is null then 'the start time cannot be read'
            when model is null and span_role <> 'part'
                then 'no gen_ai.request.model or gen_ai.response.model'
            when coalesce(whole_number(input_text), -1) < 0
                or coalesce(whole_number(output_text), -1) < 0
                or coalesce(whole_number(cached_text), -1) < 0
                or coalesce(cache_write_tokens, -1) < 0
                then 'a token count is not a whole number'
            when coalesce(whole_number(gpu_text), -1) < 0
                then 'x_gpu_ms is not a whole number'
            when coalesce(try_cast(prefill_text as decimal(18, 9)), -1) < 0
                or coalesce(try_cast(decode_text as decimal(18, 9)), -1) < 0
                then 'a gen_ai.latency is not a number of seconds'
        end as x_Reason
    from counted
    where not is_json
        or is_empty_batch
        or (attributes_type is null and not is_batch)
        or span_role <> 'other'
)

select
    call_id as x_CallId,
    begin_time as x_Time,
    case
        when regexp_matches(host, '^[a-z0-9-]+\.[a-z0-9-]+\.svc(\.|$)')
            then split_part(host, '.', 2) || '/' || split_part(host, '.', 1)
        when namespace is not null
            and workload is not null
            and (
                is_server
                or coalesce(provider, '') not in (
                    'anthropic', 'aws.bedrock', 'azure.ai.inference', 'azure.ai.openai', 'cohere',
                    'deepseek', 'gcp.gemini', 'gcp.gen_ai', 'gcp.vertex_ai', 'groq',
                    'ibm.watsonx.ai', 'mistral_ai', 'moonshot_ai', 'openai', 'perplexity', 'x_ai'
                )
            )
            then namespace || '/' || workload
        when provider is not null then provider || '/' || model
    end as told_endpoint,
    case
        when regexp_matches(host, '^[a-z0-9-]+\.[a-z0-9-]+\.svc\.clusterset\.') then null
        else cluster
    end as told_cluster,
    provider as told_provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    credential as x_Credential,
    tier as x_ServiceTier,
    case when is_error then 'error' else 'ok' end as x_Status,
    case
        when coalesce(cached_tokens, 0) + cache_write_tokens > input_tokens
            then input_tokens + coalesce(cached_tokens, 0) + cache_write_tokens
        else input_tokens
    end as x_InputTokens,
    cached_tokens as x_CachedInputTokens,
    case when input_tokens is not null then cache_write_tokens end as x_CacheWrite5mTokens,
    output_tokens as x_OutputTokens,
    gpu_ms as x_GpuMs,
    cast(prefill_seconds * 1000 as bigint) as x_PrefillMs,
    cast(decode_seconds * 1000 as bigint) as x_DecodeMs,
    case
        when end_time >= begin_time
            then cast(floor((epoch_us(end_time) - epoch_us(begin_time)) / 1000) as bigint)
    end as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason,
    span_role,
    operation = 'embeddings' as is_embedding,
    trace_hash,
    span_hash,
    parent_hash
from judged
