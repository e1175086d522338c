-- Inference calls from Amazon Bedrock's model invocation logs, one JSON object a line.
-- Why so: https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html, as
-- delivered to S3. Bedrock counts input tokens without those a cache was read or written for; here
-- they are all input, so they are added. Of `inputBodyJson` nothing is looked at, of
-- `outputBodyJson` only counts: what was written to a cache for an hour, milliseconds, images.
-- Bodies too large for the log are elsewhere; an hour's writes in them are taken for short ones.
--   * owner     `requestMetadata`, which the caller sends with the call.
--   * key       the role or user that called, without the name of the session.
--   * model     the last part of an ARN: `us.anthropic.claude-sonnet-4-20250514-v1:0`.
--   * tokens    absent is unknown (null), not zero; embeddings and images have no output tokens.
-- One row per line.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        case when json_valid(line) then line else '{}' end as entry
    from raw_log
    where trim(line) <> ''
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.schemaType', '$.requestId', '$.timestamp', '$.modelId', '$.errorCode', '$.status',
            '$.identity.arn', '$.input.inputTokenCount', '$.input.cacheReadInputTokenCount',
            '$.input.cacheWriteInputTokenCount', '$.output.outputTokenCount',
            '$.output.outputBodyJson.usage.cache_creation.ephemeral_1h_input_tokens',
            '$.output.outputBodyJson[0].message.usage.cache_creation.ephemeral_1h_input_tokens',
            '$.output.outputBodyJson.metrics.latencyMs',
            '$.serviceTier.type', '$.serviceTier', '$.performanceConfig.latency',
            '$.requestMetadata.feature', '$.requestMetadata."app.feature"',
            '$.requestMetadata.tenant', '$.requestMetadata."tenant.id"',
            '$.requestMetadata.customer',
            '$.requestMetadata.environment', '$.requestMetadata.env'
        ]) as p,
        coalesce(json_array_length(entry, '$.output.outputBodyJson.images'), 0) as images
    from parsed_line
),

read_entry as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        p[1] as schema_type,
        nullif(p[2], '') as call_id,
        p[3] as begin_text,
        cast(try_cast(p[3] as timestamptz) as timestamp) as begin_time,
        nullif(regexp_extract(p[4], '([^/]*)$', 1), '') as model,
        p[5] is not null or coalesce(p[6], '200') not like '2%' as is_error,
        regexp_replace(p[7], '^(arn:[^:]*:sts::[0-9]*:assumed-role/[^/]+)/.*$', '\1') as credential,
        p[8] as input_text,
        coalesce(p[9], '0') as cached_text,
        coalesce(p[10], '0') as write_text,
        case
            when p[11] is null and (images > 0 or p[4] like '%embed%') and p[8] is not null then '0'
            else p[11]
        end as output_text,
        coalesce(p[12], p[13], '0') as hour_write_text,
        try_cast(p[14] as bigint) as latency,
        coalesce(p[15], p[16], p[17]) as tier,
        nullif(trim(coalesce(p[18], p[19])), '') as feature,
        nullif(trim(coalesce(p[20], p[21], p[22])), '') as tenant,
        nullif(trim(coalesce(p[23], p[24])), '') as environment,
        images
    from picked
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        begin_time,
        model,
        is_error,
        credential,
        tier,
        feature,
        tenant,
        environment,
        images,
        latency,
        whole_number(input_text) as input_tokens,
        whole_number(output_text) as output_tokens,
        whole_number(cached_text) as cached_tokens,
        greatest(whole_number(write_text), whole_number(hour_write_text))
            as write_tokens,
        whole_number(hour_write_text) as hour_write_tokens,
        case
            when not is_json then 'not a JSON object'
            when coalesce(schema_type, '') <> 'ModelInvocationLog' then 'not a ModelInvocationLog'
            when begin_text is null then 'no timestamp'
            when begin_time is null then 'the timestamp cannot be read'
            when model is null then 'no modelId'
            when coalesce(whole_number(coalesce(input_text, '0')), -1) < 0
                or coalesce(whole_number(coalesce(output_text, '0')), -1) < 0
                or coalesce(whole_number(cached_text), -1) < 0
                or coalesce(whole_number(write_text), -1) < 0
                or coalesce(whole_number(hour_write_text), -1) < 0
                then 'a token count is not a whole number'
        end as x_Reason
    from read_entry
)

select
    call_id as x_CallId,
    begin_time as x_Time,
    'aws.bedrock/' || model as x_Endpoint,
    cast(null as varchar) as x_Cluster,
    'aws.bedrock' as x_Provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    credential as x_Credential,
    tier as x_ServiceTier,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(1 as bigint) as x_Calls,
    input_tokens + cached_tokens + write_tokens as x_InputTokens,
    case when input_tokens is not null then cached_tokens end as x_CachedInputTokens,
    case
        when input_tokens is not null then write_tokens - hour_write_tokens
    end as x_CacheWrite5mTokens,
    case when input_tokens is not null then hour_write_tokens end as x_CacheWrite1hTokens,
    output_tokens as x_OutputTokens,
    nullif(cast(images as bigint), 0) as x_Images,
    cast(null as bigint) as x_AudioMs,
    cast(null as bigint) as x_GpuMs,
    cast(null as bigint) as x_PrefillMs,
    cast(null as bigint) as x_DecodeMs,
    latency as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
