-- Inference calls of Azure OpenAI, one JSON object a line.
-- Why so: Azure OpenAI's own log of requests, the category RequestResponse, has no count of tokens;
-- its calls are counted, their tokens unknown. API Management before it has the counts, in the
-- category GatewayLlmLogs, which is the table ApiManagementGatewayLlmLog:
-- https://learn.microsoft.com/azure/azure-monitor/reference/tables/apimanagementgatewayllmlog.
-- Both may be records of a diagnostic setting, with `properties`, or rows of the table. A block
-- reads one of the two, for both would be every call twice. Rows that carry pieces of messages are
-- passed over: `RequestMessages` and `ResponseMessages` are never looked at.
--   * owner     the table knows none. A query that joins it to ApiManagementGatewayLogs may add
--               Feature, Tenant, Environment and ApimSubscriptionId, which is the key.
--   * tokens    absent is unknown (null), not zero; a stream that ended without its usage is, too.
-- One row per call, or line that cannot be read.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        case when json_valid(line) then line else '{}' end as entry
    from raw_log
    where trim(line) <> ''
),

-- Storage accounts get `properties` as an object or as text.
unfolded as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        entry,
        case
            when json_type(entry, '$.properties') = 'OBJECT' then entry -> '$.properties'
            when json_valid(entry ->> '$.properties') then cast(entry ->> '$.properties' as json)
            else cast(entry as json)
        end as properties
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.category', '$.Category', '$.Type', '$.time', '$.TimeGenerated', '$.correlationId',
            '$.CorrelationId', '$.resultSignature', '$.ResultSignature', '$.durationMs',
            '$.DurationMs', '$.operationName', '$.OperationName', '$.ApimSubscriptionId',
            '$.Feature', '$.Tenant', '$.Environment'
        ]) as e,
        json_extract_string(properties, [
            '$.modelName', '$.ModelName', '$.modelDeploymentName', '$.deploymentName',
            '$.DeploymentName', '$.promptTokens', '$.PromptTokens', '$.completionTokens',
            '$.CompletionTokens', '$.promptCachedTokens', '$.PromptCachedTokens', '$.requestId',
            '$.RequestId', '$.correlationId', '$.CorrelationId'
        ]) as p
    from unfolded
),

read_entry as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        case
            when coalesce(e[1], e[2], e[3]) in ('GatewayLlmLogs', 'ApiManagementGatewayLlmLog')
                then 'gateway'
            when coalesce(e[1], e[2]) = 'RequestResponse' then 'requests'
            when coalesce(e[1], e[2], e[3]) is null
                and coalesce(p[6], p[7], p[8], p[9], p[1], p[2], p[4], p[5]) is not null
                then 'gateway'
            when coalesce(e[1], e[2]) = 'AzureOpenAIRequestUsage' then 'usage'
            when coalesce(e[1], e[2], e[3]) is null then 'unknown'
            else 'other'
        end as kind,
        coalesce(e[4], e[5]) as begin_text,
        cast(try_cast(coalesce(e[4], e[5]) as timestamptz) as timestamp) as begin_time,
        coalesce(p[12], p[13], p[14], p[15], e[6], e[7]) as call_id,
        coalesce(e[8], e[9], '200') not like '2%' as is_error,
        try_cast(coalesce(e[10], e[11]) as bigint) as latency,
        coalesce(e[12], e[13]) as operation,
        nullif(e[14], '') as credential,
        nullif(trim(e[15]), '') as feature,
        nullif(trim(e[16]), '') as tenant,
        nullif(trim(e[17]), '') as environment,
        coalesce(nullif(p[1], ''), nullif(p[2], ''), nullif(p[3], ''), nullif(p[4], ''),
            nullif(p[5], '')) as model,
        coalesce(p[6], p[7]) as input_text,
        coalesce(p[8], p[9]) as output_text,
        coalesce(p[10], p[11], '0') as cached_text
    from picked
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        begin_time,
        is_error,
        latency,
        credential,
        feature,
        tenant,
        environment,
        model,
        whole_number(input_text) as input_tokens,
        case
            when output_text is null and operation ilike '%embedding%' and input_text is not null
                then 0
            else whole_number(output_text)
        end as output_tokens,
        whole_number(cached_text) as cached_tokens,
        case
            when not is_json then 'not a JSON object'
            when kind = 'usage'
                then 'what AzureOpenAIRequestUsage holds is not documented; deliver GatewayLlmLogs'
            when kind = 'unknown' then 'no category, model or count of tokens'
            when begin_text is null then 'no time'
            when begin_time is null then 'the time cannot be read'
            when coalesce(whole_number(coalesce(input_text, '0')), -1) < 0
                or coalesce(whole_number(coalesce(output_text, '0')), -1) < 0
                or coalesce(whole_number(cached_text), -1) < 0
                then 'a token count is not a whole number'
            when whole_number(cached_text) > whole_number(input_text)
                then 'more input tokens were cached than there are'
        end as x_Reason
    from read_entry
    where not is_json
        or kind in ('usage', 'unknown')
        or (kind in ('gateway', 'requests') and model is not null)
)

select
    call_id as x_CallId,
    begin_time as x_Time,
    'azure.ai.openai/' || model as x_Endpoint,
    cast(null as varchar) as x_Cluster,
    'azure.ai.openai' as x_Provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    credential as x_Credential,
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
    latency as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
