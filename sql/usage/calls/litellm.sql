-- Inference calls from LiteLLM's spend logs (rows of LiteLLM_SpendLogs), one JSON object a line.
-- Why so: LiteLLM has counted tokens OpenAI's way, cached ones inside the prompt tokens, whoever
-- the provider is. It writes zeros where a stream ended without its usage, and where a call failed,
-- whatever the provider did until then and bills; a call without a token is therefore unknown, not
-- zero. A call answered from LiteLLM's own cache reached no model, and one that the provider refused
-- (too many requests, a wrong key) was no work: they are counted, and their work is zero. `messages`
-- and `response` are never looked at.
--   * owner     `metadata.spend_logs_metadata`, then other metadata, then request tags of the form
--               `feature:chat`; the tenant is else `end_user`, the feature else nobody's.
--   * tier      `batch` by the kind of call, else as the usage tells it. The key is its alias, else
--               the hash LiteLLM has of it.
--   * endpoint  a service of the cluster by `api_base` (http://svc.ns.svc...) is `ns/svc`; else
--               `provider/model`, the provider by OpenTelemetry's name for it.
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

-- Exports of the table carry JSON columns as text: metadata and request_tags are unfolded.
unfolded as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        entry,
        json_extract(entry, '$.metadata') as metadata_json,
        json_extract(entry, '$.request_tags') as tags_json
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.request_id', '$.startTime', '$.endTime', '$.model', '$.custom_llm_provider',
            '$.api_base', '$.prompt_tokens', '$.completion_tokens', '$.status', '$.cache_hit',
            '$.end_user', '$.call_type', '$.start_time', '$.end_time', '$.api_key'
        ]) as e,
        json_extract_string(
            case
                when json_type(metadata_json) = 'OBJECT' then metadata_json
                when json_valid(metadata_json ->> '$') then metadata_json ->> '$'
                else '{}'
            end,
            [
                '$.spend_logs_metadata.feature', '$.feature',
                '$.spend_logs_metadata.tenant', '$.tenant',
                '$.spend_logs_metadata.customer', '$.customer',
                '$.spend_logs_metadata.environment', '$.environment',
                '$.usage_object.prompt_tokens_details.cached_tokens',
                '$.usage_object.cache_read_input_tokens',
                '$.additional_usage_values.cache_read_input_tokens',
                '$.status', '$.user_api_key_alias',
                '$.usage_object.service_tier', '$.additional_usage_values.service_tier',
                '$.usage_object.prompt_tokens_details.cache_creation_tokens',
                '$.usage_object.cache_creation_input_tokens',
                '$.additional_usage_values.cache_creation_input_tokens',
                '$.usage_object.prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens',
                '$.usage_object.cache_creation.ephemeral_1h_input_tokens',
                '$.error_information.error_code'
            ]
        ) as m,
        case
            when json_type(tags_json) = 'ARRAY' then tags_json ->> '$'
            when json_valid(tags_json ->> '$') then tags_json ->> '$'
        end as tags
    from unfolded
),

read_entry as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        nullif(e[1], '') as call_id,
        coalesce(e[2], e[13]) as begin_text,
        cast(try_cast(coalesce(e[2], e[13]) as timestamptz) as timestamp) as begin_time,
        cast(try_cast(coalesce(e[3], e[14]) as timestamptz) as timestamp) as end_time,
        nullif(e[4], '') as model_text,
        coalesce(
            nullif(e[5], ''),
            case when e[4] like '%/%' then split_part(e[4], '/', 1) end,
            '(unknown)'
        ) as seller,
        regexp_extract(e[6], '^https?://([a-z0-9-]+)\.([a-z0-9-]+)\.svc[.:/]?', [
            'service', 'namespace'
        ]) as served_by,
        e[7] as input_text,
        e[8] as output_text,
        coalesce(e[9], m[12], 'success') in ('failure', 'error') as is_error,
        m[21] like '4__' and m[21] not in ('408', '499') as is_refused,
        lower(coalesce(e[10], '')) = 'true' as from_cache,
        nullif(trim(coalesce(
            nullif(m[1], ''), nullif(m[2], ''),
            regexp_extract(tags, '"(?:app\.)?feature[:=]([^"]*)"', 1)
        )), '') as feature,
        nullif(trim(coalesce(
            nullif(m[3], ''), nullif(m[4], ''), nullif(m[5], ''), nullif(m[6], ''),
            nullif(regexp_extract(tags, '"(?:tenant|customer)[:=]([^"]*)"', 1), ''),
            e[11]
        )), '') as tenant,
        nullif(trim(coalesce(
            nullif(m[7], ''), nullif(m[8], ''),
            regexp_extract(tags, '"(?:environment|env)[:=]([^"]*)"', 1)
        )), '') as environment,
        coalesce(m[9], m[10], m[11], '0') as cached_text,
        coalesce(m[16], m[17], m[18], '0') as write_text,
        coalesce(m[19], m[20], '0') as hour_write_text,
        coalesce(nullif(m[13], ''), e[15]) as credential,
        case when e[12] like '%batch%' then 'batch' else coalesce(m[14], m[15]) end as tier
    from picked
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        begin_time,
        end_time,
        case
            when model_text like seller || '/%' then substr(model_text, length(seller) + 2)
            else model_text
        end as model,
        case seller
            when 'azure' then 'azure.ai.openai'
            when 'azure_ai' then 'azure.ai.inference'
            when 'bedrock' then 'aws.bedrock'
            when 'bedrock_converse' then 'aws.bedrock'
            when 'gemini' then 'gcp.gemini'
            when 'hosted_vllm' then 'vllm'
            when 'mistral' then 'mistral_ai'
            when 'text-completion-openai' then 'openai'
            when 'vertex_ai' then 'gcp.vertex_ai'
            when 'vertex_ai_beta' then 'gcp.vertex_ai'
            when 'watsonx' then 'ibm.watsonx.ai'
            when 'xai' then 'x_ai'
            else seller
        end as provider,
        nullif(served_by.service, '') as service,
        served_by.namespace as namespace,
        is_error,
        from_cache,
        feature,
        tenant,
        environment,
        whole_number(input_text) as input_tokens,
        whole_number(output_text) as output_tokens,
        whole_number(cached_text) as cached_tokens,
        greatest(whole_number(write_text), whole_number(hour_write_text)) as write_tokens,
        whole_number(hour_write_text) as hour_write_tokens,
        credential,
        tier,
        coalesce(whole_number(input_text), 0) = 0
        and coalesce(whole_number(output_text), 0) = 0
        and not (is_error and coalesce(is_refused, false)) as is_unknown,
        case
            when not is_json then 'not a JSON object'
            when begin_text is null then 'no startTime'
            when begin_time is null then 'the startTime cannot be read'
            when model_text is null then 'no model'
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
    coalesce(namespace || '/' || service, provider || '/' || model) as x_Endpoint,
    cast(null as varchar) as x_Cluster,
    provider as x_Provider,
    feature as x_Feature,
    tenant as x_Tenant,
    environment as x_Environment,
    model as x_Model,
    credential as x_Credential,
    tier as x_ServiceTier,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(1 as bigint) as x_Calls,
    case
        when from_cache then 0
        when is_unknown then null
        when cached_tokens + write_tokens > input_tokens
            then input_tokens + cached_tokens + write_tokens
        else input_tokens
    end as x_InputTokens,
    case
        when from_cache then 0
        when is_unknown then null
        else cached_tokens
    end as x_CachedInputTokens,
    case
        when from_cache then 0
        when is_unknown then null
        else write_tokens - hour_write_tokens
    end as x_CacheWrite5mTokens,
    case
        when from_cache then 0
        when is_unknown then null
        else hour_write_tokens
    end as x_CacheWrite1hTokens,
    case
        when from_cache then 0
        when is_unknown then null
        else output_tokens
    end as x_OutputTokens,
    cast(null as bigint) as x_Images,
    cast(null as bigint) as x_AudioMs,
    cast(null as bigint) as x_GpuMs,
    cast(null as bigint) as x_PrefillMs,
    cast(null as bigint) as x_DecodeMs,
    case
        when end_time >= begin_time
            then cast(floor((epoch_us(end_time) - epoch_us(begin_time)) / 1000) as bigint)
    end as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
