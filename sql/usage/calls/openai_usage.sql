-- Inference calls from OpenAI's organization usage API, a page or a bucket as JSON a line.
-- Why so: https://platform.openai.com/docs/api-reference/usage. A result stands for all calls of
-- its bucket that share what it was grouped by: ask for `bucket_width=1h` and group by model,
-- project_id, api_key_id, batch and service_tier. Counts of input tokens include cached ones. A
-- bucket told twice, as of an hour that was not over, is one: its id is what it was grouped by.
--   * owner     the project is the feature; `[alias.feature]` gives it a name. The API knows no
--               tenant: a gateway does.
--   * tokens    of images and audio there are none to count; audio by the character is unknown.
--               Audio and image tokens are counted as tokens: the API has no price of its own for
--               them, nor has the price book.
-- One row per result of a bucket that counts calls of a model, or line that cannot be read.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) as is_json,
        case when json_valid(line) then line else '{}' end as page
    from raw_log
    where trim(line) <> ''
),

bucket as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_type(page, '$.data') = 'ARRAY' or json_type(page, '$.results') = 'ARRAY' as is_known,
        unnest(case
            when json_type(page, '$.data') = 'ARRAY' then json_extract(page, '$.data[*]')
            else [cast(page as json)]
        end) as bucket
    from parsed_line
),

result as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        coalesce(is_known, false) as is_known,
        bucket ->> '$.start_time' as begin_text,
        bucket ->> '$.end_time' as end_text,
        unnest(case
            when json_type(bucket, '$.results') = 'ARRAY'
                then json_extract(bucket, '$.results[*]')
            else [cast('{}' as json)]
        end) as result
    from bucket
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_known,
        begin_text,
        end_text,
        json_extract_string(result, [
            '$.object', '$.model', '$.project_id', '$.user_id', '$.api_key_id', '$.batch',
            '$.service_tier', '$.num_model_requests', '$.input_tokens', '$.input_cached_tokens',
            '$.input_cache_write_tokens', '$.output_tokens', '$.images', '$.seconds', '$.size',
            '$.source'
        ]) as p
    from result
),

read_result as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_known,
        make_timestamp(try_cast(begin_text as bigint) * 1000000) as begin_time,
        try_cast(end_text as bigint) - try_cast(begin_text as bigint) as seconds_long,
        split_part(p[1], '.', 3) as kind,
        nullif(p[2], '') as model,
        nullif(p[3], '') as project,
        nullif(p[5], '') as credential,
        case when p[6] = 'true' then 'batch' else p[7] end as tier,
        coalesce(p[8], '0') as calls_text,
        case
            when split_part(p[1], '.', 3) in ('images', 'audio_transcriptions')
                then coalesce(p[9], '0')
            else p[9]
        end as input_text,
        coalesce(p[10], '0') as cached_text,
        coalesce(p[11], '0') as write_text,
        case
            when split_part(p[1], '.', 3)
                in ('images', 'audio_transcriptions', 'embeddings', 'moderations')
                then coalesce(p[12], '0')
            else p[12]
        end as output_text,
        p[13] as images_text,
        p[14] as audio_text,
        md5(concat_ws(
            chr(31), begin_text, p[1], coalesce(p[2], ''), coalesce(p[3], ''), coalesce(p[4], ''),
            coalesce(p[5], ''), coalesce(p[6], ''), coalesce(p[7], ''), coalesce(p[15], ''),
            coalesce(p[16], '')
        )) as call_id
    from picked
),

judged as (
    select
        x_SourceFile,
        x_SourceRow,
        call_id,
        begin_time,
        model,
        project,
        credential,
        tier,
        whole_number(calls_text) as calls,
        whole_number(input_text) as input_tokens,
        whole_number(cached_text) as cached_tokens,
        whole_number(write_text) as write_tokens,
        whole_number(output_text) as output_tokens,
        whole_number(images_text) as images,
        whole_number(audio_text) * 1000 as audio_ms,
        case
            when not is_json then 'not a JSON object'
            when not is_known then 'neither a page nor a bucket of the usage API'
            when begin_time is null or seconds_long is null then 'the bucket has no times'
            when seconds_long > 86400 then 'the bucket is longer than a day; ask for bucket_width=1h'
            when model is null then 'not grouped by model; ask for group_by=model'
            when coalesce(whole_number(calls_text), -1) < 0
                or coalesce(whole_number(coalesce(input_text, '0')), -1) < 0
                or coalesce(whole_number(coalesce(output_text, '0')), -1) < 0
                or coalesce(whole_number(cached_text), -1) < 0
                or coalesce(whole_number(write_text), -1) < 0
                or coalesce(whole_number(coalesce(images_text, '0')), -1) < 0
                or coalesce(whole_number(coalesce(audio_text, '0')), -1) < 0
                then 'a count is not a whole number'
            when whole_number(input_text)
                < whole_number(cached_text) + whole_number(write_text)
                then 'more input tokens were cached than there are'
        end as x_Reason
    from read_result
    where not is_json
        or not is_known
        or (
            kind in (
                'completions', 'embeddings', 'moderations', 'images', 'audio_transcriptions',
                'audio_speeches'
            )
            and calls_text <> '0'
        )
)

select
    call_id as x_CallId,
    begin_time as x_Time,
    'openai/' || model as x_Endpoint,
    cast(null as varchar) as x_Cluster,
    'openai' as x_Provider,
    project as x_Feature,
    cast(null as varchar) as x_Tenant,
    cast(null as varchar) as x_Environment,
    model as x_Model,
    credential as x_Credential,
    tier as x_ServiceTier,
    'ok' as x_Status,
    calls as x_Calls,
    input_tokens as x_InputTokens,
    case when input_tokens is not null then cached_tokens end as x_CachedInputTokens,
    case when input_tokens is not null then write_tokens end as x_CacheWrite5mTokens,
    cast(null as bigint) as x_CacheWrite1hTokens,
    output_tokens as x_OutputTokens,
    images as x_Images,
    audio_ms as x_AudioMs,
    cast(null as bigint) as x_GpuMs,
    cast(null as bigint) as x_PrefillMs,
    cast(null as bigint) as x_DecodeMs,
    cast(null as bigint) as x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from judged
