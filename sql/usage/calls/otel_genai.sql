-- Inference calls from OpenTelemetry spans, one JSON object a line.
-- Why so: names are those of the GenAI semantic conventions
-- (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), with the ones they replaced.
-- Attributes may be an object, or OTLP's list of {key, value}. Only the attributes named here are
-- looked at, never messages. Spans of other things (HTTP, tools, agents, whose tokens are those
-- of the calls inside them) are no calls and are passed over.
--   * endpoint  in a cluster `namespace/workload`: by the address that was called, else by the k8s
--               attributes, which describe the server on a server's span or where no vendor is
--               the provider; on a client's span they describe the caller. Else `provider/model`.
--   * cluster   `k8s.cluster.name`, for a service is called by its address from its own cluster, but
--               by one in `clusterset.local`.
--   * time      of prefill and decode where vLLM's own spans have it; time to the first token has
--               the queue and the network in it, and is not looked at.
--   * tokens    absent is unknown (null), not zero. Input counts cached tokens too; where fewer
--               than the cached ones are given, the logger left them out and they are added.
-- One row per line that is a model call, or that cannot be read.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        case when json_valid(line) then line else '{}' end as span
    from raw_log
    where trim(line) <> ''
),

flat_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        case
            when json_type(span, '$.attributes') = 'ARRAY'
                or json_type(span, '$.resource.attributes') = 'ARRAY'
                then cast(json_merge_patch(span, json_object(
                    'attributes', case json_type(span, '$.attributes')
                        when 'ARRAY' then map_from_entries(list_zip(
                            json_extract_string(span, '$.attributes[*].key'),
                            list_transform(
                                json_extract(span, '$.attributes[*].value'),
                                lambda given: coalesce(
                                    given ->> '$.stringValue', given ->> '$.intValue',
                                    given ->> '$.doubleValue', given ->> '$.boolValue'
                                )
                            )
                        ))
                    end,
                    'resource', case json_type(span, '$.resource.attributes')
                        when 'ARRAY' then map_from_entries(list_zip(
                            json_extract_string(span, '$.resource.attributes[*].key'),
                            list_transform(
                                json_extract(span, '$.resource.attributes[*].value'),
                                lambda given: coalesce(
                                    given ->> '$.stringValue', given ->> '$.intValue',
                                    given ->> '$.doubleValue', given ->> '$.boolValue'
                                )
                            )
                        ))
                    end
                )) as varchar)
            else span
        end as span
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
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
            '$.attributes."k8s.cluster.name"', '$.resource."k8s.cluster.name"',
            '$.resource.attributes."k8s.cluster.name"'
        ]) as p,
        json_exists(span, '$.resourceSpans') as is_batch,
        json_type(span, '$.attributes') as attributes_type
    from flat_span
),

read_span as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        attributes_type,
        coalesce(p[1], p[2]) as trace_id,
        coalesce(p[3], p[4]) as span_id,
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
        nullif(trim(coalesce(p[44], p[45], p[46])), '') as feature,
        nullif(trim(coalesce(p[47], p[48], p[49])), '') as tenant,
        nullif(trim(coalesce(p[50], p[51], p[52], p[53], p[54], p[55], p[56])), '') as environment,
        coalesce(p[57], p[58], p[59], p[60]) as tier,
        coalesce(p[61], p[62]) as credential,
        p[63] as prefill_text,
        p[64] as decode_text,
        nullif(coalesce(p[65], p[66], p[67]), '') as cluster
    from picked
),

counted as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_batch,
        attributes_type,
        coalesce(trace_id || '/' || span_id, span_id, response_id) as call_id,
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
            when is_batch then 'a batch of spans (resourceSpans); one span a line is read'
            when attributes_type is null then 'no attributes'
            when begin_time is null and begin_text is null then 'no start time'
            when begin_time is null then 'the start time cannot be read'
            when model is null then 'no gen_ai.request.model or gen_ai.response.model'
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
        or is_batch
        or attributes_type is null
        or (
            coalesce(operation, 'chat') not in (
                'create_agent', 'invoke_agent', 'invoke_workflow', 'execute_tool'
            )
            and coalesce(operation, provider, model) is not null
        )
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
        else coalesce(provider, '(unknown)') || '/' || model
    end as x_Endpoint,
    case
        when regexp_matches(host, '^[a-z0-9-]+\.[a-z0-9-]+\.svc\.clusterset\.') then null
        else cluster
    end as x_Cluster,
    coalesce(provider, '(unknown)') as x_Provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    credential as x_Credential,
    tier as x_ServiceTier,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(1 as bigint) as x_Calls,
    case
        when coalesce(cached_tokens, 0) + cache_write_tokens > input_tokens
            then input_tokens + coalesce(cached_tokens, 0) + cache_write_tokens
        else input_tokens
    end as x_InputTokens,
    cached_tokens as x_CachedInputTokens,
    case when input_tokens is not null then cache_write_tokens end as x_CacheWrite5mTokens,
    cast(null as bigint) as x_CacheWrite1hTokens,
    output_tokens as x_OutputTokens,
    cast(null as bigint) as x_Images,
    cast(null as bigint) as x_AudioMs,
    gpu_ms as x_GpuMs,
    cast(prefill_seconds * 1000 as bigint) as x_PrefillMs,
    cast(decode_seconds * 1000 as bigint) as x_DecodeMs,
    case
        when end_time >= begin_time
            then cast(floor((epoch_us(end_time) - epoch_us(begin_time)) / 1000) as bigint)
    end as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
