-- Invocations of Azure Functions from Application Insights, one record as JSON a line.
-- Why so: the Functions host writes a request for each invocation (table AppRequests of Log
-- Analytics, `requests` of the older API; both spellings are read), and what the function logs as
-- a trace of the same operation. Sampling keeps one record for several: it counts as many as
-- `ItemCount` says. Azure bills a function app, not a function, so that is what is named here.
--   * function  `sites/<app>` by AppRoleName, as the bill's ids end; else $resource.
--   * duration  `FunctionExecutionTimeMs` of the properties, else the request's.
--   * memory    Azure measures it for the app alone. Where the request carries a property
--               `FunctionExecutionUnits` (MB-milliseconds) that is taken, else the duration times
--               $memory_mib, the instance size of a Flex Consumption plan; else it is unknown.
-- Fields of [owner] are read of the properties, also as the host writes them (`prop__tenant`).
-- One row per invocation, and one per line that says whose an invocation is.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) and starts_with(trim(line), '{') as is_json,
        case when json_valid(line) and starts_with(trim(line), '{') then line else '{}' end as entry
    from raw_log
    where trim(line) <> ''
),

-- Exports carry the properties as an object, or as text that holds one.
unfolded as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        entry,
        coalesce(
            json_extract(entry, '$.Properties'), json_extract(entry, '$.properties'),
            json_extract(entry, '$.customDimensions')
        ) as properties
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.Type', '$.itemType', '$.TimeGenerated', '$.time', '$.timestamp', '$.Id', '$.id',
            '$.OperationId', '$.operation_Id', '$.DurationMs', '$.duration', '$.Success',
            '$.success', '$.AppRoleName', '$.cloud_RoleName', '$.ItemCount', '$.itemCount'
        ]) as p,
        replace(
            case
                when json_type(properties) = 'OBJECT' then cast(properties as varchar)
                when json_valid(properties ->> '$') then properties ->> '$'
            end,
            '"prop__', '"'
        ) as fields
    from unfolded
),

read_record as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        coalesce(p[1] = 'AppRequests', p[2] = 'request', false) as is_request,
        coalesce(p[3], p[4], p[5]) as time_text,
        cast(try_cast(coalesce(p[3], p[4], p[5]) as timestamptz) as timestamp) as begin_time,
        coalesce(p[6], p[7]) as id,
        coalesce(p[8], p[9]) as operation,
        cast(ceil(try_cast(coalesce(
            json_extract_string(fields, '$.FunctionExecutionTimeMs'), p[10], p[11]
        ) as decimal(18, 6))) as bigint) as duration_ms,
        lower(coalesce(p[12], p[13], 'true')) = 'false' as is_error,
        coalesce(
            'sites/' || lower(coalesce(p[14], p[15])), nullif(lower($resource), '')
        ) as function,
        coalesce(try_cast(coalesce(p[16], p[17]) as bigint), 1) as items,
        cast(try_cast(
            json_extract_string(fields, '$.FunctionExecutionUnits') as decimal(18, 0)
        ) as bigint) as units,
        fields
    from picked
)

select
    case when is_request then id end as x_InvocationId,
    coalesce(operation, case when is_request then id end) as x_RequestId,
    begin_time as x_Time,
    case when is_request then function end as x_Function,
    cast(null as varchar) as SubAccountId,
    fields as x_OwnerFields,
    case when is_error then 'error' else 'ok' end as x_Status,
    case when is_request then items else 0 end as x_Invocations,
    case when is_request then duration_ms * items end as x_DurationMs,
    case
        when is_request then coalesce(units, duration_ms * $memory_mib) * items
    end as x_MemoryMibMs,
    case when is_request then duration_ms * items * $vcpu_millis // 1000 end as x_VcpuMs,
    false as x_IsColdStart,
    false as x_IsProvisioned,
    x_SourceFile,
    x_SourceRow,
    case
        when not is_json then 'not a JSON object'
        when not is_request then null
        when time_text is null then 'no TimeGenerated'
        when begin_time is null then 'the TimeGenerated cannot be read'
        when function is null then 'no AppRoleName'
        when duration_ms is null then 'no DurationMs'
        when items < 1 then 'the ItemCount is not a whole number above zero'
    end as x_Reason
from read_record
where not is_json or is_request or (operation is not null and fields is not null)
