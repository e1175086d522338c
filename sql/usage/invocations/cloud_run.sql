-- Requests to Cloud Run services from Cloud Logging, one LogEntry as JSON a line.
-- Why so: Cloud Run logs each request itself (log `run.googleapis.com/requests`, field
-- `httpRequest`); who it was for is in labels of the entry, or in lines the container logged with
-- the same trace (`jsonPayload`). Functions of the second generation are services of Cloud Run.
--   * function  `locations/<location>/services/<service>` of the entry's resource, in its project:
--               the end of the id on the bill, whichever way that writes the project.
--   * measures  the latency, times memory and vCPUs of the service: `memory_mib` and `vcpu` of the
--               entry's labels where you write them there, else $memory_mib and $vcpu_millis.
--               Without either the duration alone is known.
-- A request that lasted no whole millisecond counts as one. URLs and addresses are never looked at.
-- One row per request, and one per line that says whose a request is.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) and starts_with(trim(line), '{') as is_json,
        case when json_valid(line) and starts_with(trim(line), '{') then line else '{}' end as entry
    from raw_log
    where trim(line) <> ''
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.logName', '$.insertId', '$.trace', '$.timestamp', '$.httpRequest.latency',
            '$.httpRequest.status', '$.resource.type', '$.resource.labels.project_id',
            '$.resource.labels.location', '$.resource.labels.service_name',
            '$.labels.memory_mib', '$.labels.vcpu'
        ]) as p,
        json_exists(entry, '$.httpRequest') as is_request,
        case
            when json_type(entry, '$.labels') = 'OBJECT'
                and json_type(entry, '$.jsonPayload') = 'OBJECT'
                then cast(json_merge_patch(
                    json_extract(entry, '$.labels'), json_extract(entry, '$.jsonPayload')
                ) as varchar)
            when json_type(entry, '$.labels') = 'OBJECT'
                then cast(json_extract(entry, '$.labels') as varchar)
            when json_type(entry, '$.jsonPayload') = 'OBJECT'
                then cast(json_extract(entry, '$.jsonPayload') as varchar)
        end as fields
    from parsed_line
),

read_entry as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_request and contains(coalesce(p[1], ''), 'run.googleapis.com%2Frequests') as is_request,
        p[2] as insert_id,
        p[3] as trace,
        p[4] as time_text,
        cast(try_cast(p[4] as timestamptz) as timestamp) as begin_time,
        p[5] as latency_text,
        cast(ceil(
            try_cast(regexp_extract(p[5], '^([0-9.]+)s$', 1) as decimal(18, 9)) * 1000
        ) as bigint) as duration_ms,
        coalesce(try_cast(p[6] as integer), 0) >= 500 as is_error,
        p[8] as project,
        case
            when p[10] is not null and p[9] is not null
                then 'locations/' || p[9] || '/services/' || p[10]
            when p[10] is not null then 'services/' || p[10]
            else nullif($resource, '')
        end as service,
        coalesce(try_cast(p[11] as bigint), $memory_mib) as memory_mib,
        coalesce(
            cast(try_cast(p[12] as decimal(18, 3)) * 1000 as bigint), $vcpu_millis
        ) as vcpu_millis,
        fields
    from picked
)

select
    case when is_request then insert_id end as x_InvocationId,
    coalesce(trace, case when is_request then insert_id end) as x_RequestId,
    begin_time as x_Time,
    case when is_request then service end as x_Function,
    case when is_request then project end as SubAccountId,
    fields as x_OwnerFields,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(is_request as bigint) as x_Invocations,
    case when is_request then duration_ms end as x_DurationMs,
    case when is_request then duration_ms * memory_mib end as x_MemoryMibMs,
    case when is_request then duration_ms * vcpu_millis // 1000 end as x_VcpuMs,
    false as x_IsColdStart,
    false as x_IsProvisioned,
    x_SourceFile,
    x_SourceRow,
    case
        when not is_json then 'not a JSON object'
        when not is_request then null
        when time_text is null then 'no timestamp'
        when begin_time is null then 'the timestamp cannot be read'
        when service is null then 'no resource.labels.service_name'
        when latency_text is not null and duration_ms is null then 'the latency cannot be read'
    end as x_Reason
from read_entry
where not is_json or is_request or (trace is not null and fields is not null)
