-- Inference calls from the CloudEvents of KServe's payload logger, one JSON object a line.
-- Why so: https://kserve.github.io/website/docs/model-serving/predictive-inference/logger, as a
-- sink writes them in CloudEvents' structured form: attributes and `data` in one object. A call is
-- its response; requests, which are prompts and nothing else, are passed over. Of `data` only the
-- name of the model and the counts under `usage` are looked at, as servers that speak OpenAI's
-- protocol have them; a stream, or another protocol, has no counts there, and its tokens are
-- unknown, not zero. Without `logAllResponses` failed calls are not logged at all.
--   * endpoint  `namespace/<inferenceservice>-<component>`, the Deployment KServe makes.
--   * owner     request headers that the logger was told to pass on, in `metadata`: feature,
--               tenant and environment, also as x-feature, x-tenant and x-environment.
-- One row per response, or line that cannot be read.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        case when json_valid(line) then line else '{}' end as event
    from raw_log
    where trim(line) <> ''
),

-- Data that is text is JSON once more; header names come in any case.
unfolded as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        event,
        case
            when json_type(event, '$.data') = 'OBJECT' then event -> '$.data'
            when json_valid(event ->> '$.data') then cast(event ->> '$.data' as json)
            else cast('{}' as json)
        end as data,
        lower(case
            when json_type(event, '$.metadata') = 'OBJECT' then event ->> '$.metadata'
            when json_valid(event ->> '$.metadata') then event ->> '$.metadata'
            else '{}'
        end) as metadata
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(event, [
            '$.type', '$.id', '$.time', '$.inferenceservicename', '$.namespace', '$.component',
            '$.statuscode'
        ]) as e,
        json_extract_string(data, [
            '$.model', '$.model_name', '$.usage.prompt_tokens', '$.usage.completion_tokens',
            '$.usage.prompt_tokens_details.cached_tokens', '$.usage.input_tokens',
            '$.usage.output_tokens', '$.usage.input_tokens_details.cached_tokens', '$.object'
        ]) as d,
        json_extract_string(metadata, [
            '$.feature[0]', '$.feature', '$."x-feature"[0]', '$."x-feature"',
            '$.tenant[0]', '$.tenant', '$."x-tenant"[0]', '$."x-tenant"',
            '$.environment[0]', '$.environment', '$."x-environment"[0]', '$."x-environment"'
        ]) as m
    from unfolded
),

read_event as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        e[1] as kind,
        nullif(e[2], '') as call_id,
        e[3] as begin_text,
        cast(try_cast(e[3] as timestamptz) as timestamp) as begin_time,
        nullif(e[4], '') as service,
        nullif(e[5], '') as namespace,
        coalesce(nullif(e[6], ''), 'predictor') as component,
        coalesce(try_cast(e[7] as bigint), 200) >= 400 as is_error,
        coalesce(nullif(d[1], ''), nullif(d[2], ''), nullif(e[4], '')) as model,
        coalesce(d[3], d[6]) as input_text,
        -- an embedding has no output to count
        case
            when coalesce(d[4], d[7]) is null and d[9] = 'list' and coalesce(d[3], d[6]) is not null
                then '0'
            else coalesce(d[4], d[7])
        end as output_text,
        coalesce(d[5], d[8], '0') as cached_text,
        nullif(trim(coalesce(m[1], m[2], m[3], m[4])), '') as feature,
        nullif(trim(coalesce(m[5], m[6], m[7], m[8])), '') as tenant,
        nullif(trim(coalesce(m[9], m[10], m[11], m[12])), '') as environment
    from picked
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        begin_time,
        service,
        namespace,
        component,
        is_error,
        model,
        feature,
        tenant,
        environment,
        whole_number(input_text) as input_tokens,
        whole_number(output_text) as output_tokens,
        whole_number(cached_text) as cached_tokens,
        case
            when not is_json then 'not a JSON object'
            when kind is null then 'no type: not a CloudEvent in structured form'
            when begin_text is null then 'no time'
            when begin_time is null then 'the time cannot be read'
            when service is null or namespace is null then 'no inferenceservicename or namespace'
            when coalesce(whole_number(coalesce(input_text, '0')), -1) < 0
                or coalesce(whole_number(coalesce(output_text, '0')), -1) < 0
                or coalesce(whole_number(cached_text), -1) < 0
                then 'a token count is not a whole number'
            when whole_number(cached_text) > whole_number(input_text)
                then 'more input tokens were cached than there are'
        end as x_Reason
    from read_event
    where not is_json
        or kind is null
        or kind = 'org.kubeflow.serving.inference.response'
)

select
    call_id as x_CallId,
    begin_time as x_Time,
    namespace || '/' || service || '-' || component as x_Endpoint,
    cast(null as varchar) as x_Cluster,
    'kserve' as x_Provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    cast(null as varchar) as x_Credential,
    cast(null as varchar) as x_ServiceTier,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(1 as bigint) as x_Calls,
    input_tokens as x_InputTokens,
    case when input_tokens is not null then cached_tokens end as x_CachedInputTokens,
    cast(null as bigint) as x_CacheWrite5mTokens,
    cast(null as bigint) as x_CacheWrite1hTokens,
    output_tokens as x_OutputTokens,
    cast(null as bigint) as x_Images,
    cast(null as bigint) as x_AudioMs,
    cast(null as bigint) as x_GpuMs,
    cast(null as bigint) as x_PrefillMs,
    cast(null as bigint) as x_DecodeMs,
    cast(null as bigint) as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
