-- Requests to Knative services from the request log of queue-proxy, one JSON object a line.
-- Why so: queue-proxy writes a line for each request by a template that is yours
-- (`logging.request-log-template`). The default has `httpRequest` with status and latency, and a
-- trace id, but neither time nor service: those are what the log collector adds, or what you write
-- into the template. So both are looked for: `time`, and `kubernetes` with namespace and labels or
-- pod as Fluent Bit and Vector write them; the line itself may be text in `log` or `message`.
--   * function  `namespace/workload`, the Deployment of the revision (`<revision>-deployment`):
--               Knative has no bill of its own, its pods stand on nodes that have one.
--   * measures  the latency, times $memory_mib and $vcpu_millis where they are given.
-- A trace holds many requests, so it is no id of one: `requestId` is, where the template has it.
-- Fields of [owner] are read of the line's top level. URLs and addresses are never looked at.
-- One row per request.
with parsed_line as (
    select
        x_SourceFile,
        x_SourceRow,
        json_valid(line) and starts_with(trim(line), '{') as is_json,
        case when json_valid(line) and starts_with(trim(line), '{') then line else '{}' end as entry
    from raw_log
    where trim(line) <> ''
),

unfolded as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        entry,
        case
            when json_exists(entry, '$.httpRequest') then entry
            when json_valid(coalesce(entry ->> '$.log', entry ->> '$.message'))
                then coalesce(entry ->> '$.log', entry ->> '$.message')
            else '{}'
        end as request
    from parsed_line
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        json_extract_string(entry, [
            '$.time', '$.timestamp', '$."@timestamp"', '$.kubernetes.namespace_name',
            '$.kubernetes.pod_namespace', '$.kubernetes.pod_name',
            '$.kubernetes.labels."serving.knative.dev/revision"',
            '$.kubernetes.pod_labels."serving.knative.dev/revision"'
        ]) as e,
        json_extract_string(request, [
            '$.httpRequest.latency', '$.httpRequest.status', '$.requestId', '$.time',
            '$.timestamp', '$.namespace', '$.revision', '$.revisionName', '$.podName'
        ]) as r,
        json_exists(request, '$.httpRequest') as is_request,
        request
    from unfolded
),

read_request as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_request,
        coalesce(e[1], e[2], e[3], r[4], r[5]) as time_text,
        cast(
            try_cast(coalesce(e[1], e[2], e[3], r[4], r[5]) as timestamptz) as timestamp
        ) as begin_time,
        nullif(r[3], '') as request_id,
        cast(ceil(
            try_cast(regexp_extract(r[1], '^([0-9.eE-]+)s?$', 1) as double) * 1000
        ) as bigint) as duration_ms,
        coalesce(try_cast(r[2] as integer), 0) >= 500 as is_error,
        coalesce(r[6], e[4], e[5]) as namespace,
        coalesce(
            r[7], r[8], e[7], e[8],
            nullif(regexp_extract(
                coalesce(r[9], e[6]), '^(.+)-deployment-[a-z0-9]+-[a-z0-9]+$', 1
            ), '')
        ) as revision,
        request
    from picked
),

named as (
    select
        x_SourceFile,
        x_SourceRow,
        is_json,
        is_request,
        time_text,
        begin_time,
        request_id,
        duration_ms,
        is_error,
        coalesce(namespace || '/' || revision || '-deployment', nullif($resource, ''))
            as function,
        request
    from read_request
)

select
    request_id as x_InvocationId,
    request_id as x_RequestId,
    begin_time as x_Time,
    function as x_Function,
    cast(null as varchar) as SubAccountId,
    request as x_OwnerFields,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(1 as bigint) as x_Invocations,
    duration_ms as x_DurationMs,
    duration_ms * $memory_mib as x_MemoryMibMs,
    duration_ms * $vcpu_millis // 1000 as x_VcpuMs,
    false as x_IsColdStart,
    false as x_IsProvisioned,
    x_SourceFile,
    x_SourceRow,
    case
        when not is_json then 'not a JSON object'
        when time_text is null then 'no time: have the log collector or the template write one'
        when begin_time is null then 'the time cannot be read'
        when function is null
            then 'no namespace and revision; have them written, or say with `resource`'
        when duration_ms is null then 'no httpRequest.latency'
    end as x_Reason
from named
where not is_json or is_request
