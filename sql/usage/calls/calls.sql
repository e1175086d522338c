-- Inference calls from Parquet in our own columns, for gateways that write their own export.
-- Why: nothing is guessed; a row that misses what a call must have is refused with the reason.
-- One row per delivered row.
select
    x_CallId,
    x_Time,
    x_Endpoint,
    x_Cluster,
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
    x_LatencyMs,
    x_SourceFile,
    x_SourceRow,
    case
        when x_Time is null then 'no x_Time'
        when x_Endpoint is null then 'no x_Endpoint'
        when x_Provider is null then 'no x_Provider'
        when x_Model is null then 'no x_Model'
        when x_Status is null or x_Status not in ('ok', 'error') then 'x_Status is not ok or error'
        when least(
            coalesce(x_Calls, 0), coalesce(x_InputTokens, 0), coalesce(x_CachedInputTokens, 0),
            coalesce(x_CacheWrite5mTokens, 0), coalesce(x_CacheWrite1hTokens, 0),
            coalesce(x_OutputTokens, 0), coalesce(x_Images, 0), coalesce(x_AudioMs, 0),
            coalesce(x_GpuMs, 0), coalesce(x_PrefillMs, 0), coalesce(x_DecodeMs, 0),
            coalesce(x_LatencyMs, 0)
        ) < 0 then 'a count is negative'
        when coalesce(x_CachedInputTokens, 0) + coalesce(x_CacheWrite5mTokens, 0)
            + coalesce(x_CacheWrite1hTokens, 0) > x_InputTokens
            then 'more input tokens were cached than there are'
    end as x_Reason
from raw_log
