-- Invocations of AWS Lambda functions from CloudWatch Logs, one event or one batch a line.
-- Why so: Lambda reports each invocation when it ends, as JSON (`platform.report`) or as a line of
-- text (`REPORT RequestId: ...`), whichever the function's log format is. Neither says who called;
-- JSON lines of the function with the same request id do. A batch is what a subscription delivers
-- (`logEvents`); single events come with their log group or without. An asynchronous retry has the
-- request id of what it retries, so an invocation is told by that id and its time.
--   * function     by its ARN where the log has it, else by the name in the log group
--                  (`/aws/lambda/<name>`), else $resource.
--   * duration     billed milliseconds times the configured memory; one that is not reported (on
--                  Managed Instances none is) is unknown.
--   * provisioned  known where the environment's start is in the same log stream of the same day
--                  (`platform.initStart`, `platform.initReport`), or the event says so itself.
-- Of what a function logs, only the names of its top level fields are looked at, and the values of
-- those that [owner] names. A report has a `tenant` where the function runs in tenant isolation.
-- One row per invocation, and one per line that says whose an invocation is.
with event as (
    select
        x_SourceFile,
        x_SourceRow,
        coalesce(
            json_extract_string(entry, '$.logGroup'), json_extract_string(entry, '$.log_group'),
            json_extract_string(entry, '$.logGroupName')
        ) as log_group,
        coalesce(
            json_extract_string(entry, '$.logStream'), json_extract_string(entry, '$.log_stream'),
            json_extract_string(entry, '$.logStreamName')
        ) as log_stream,
        json_extract_string(entry, '$.owner') as account,
        is_broken,
        unnest(
            case
                when json_type(entry, '$.logEvents') = 'ARRAY'
                    then json_extract(entry, '$.logEvents[*]')
                when json_exists(entry, '$.message')
                    and (
                        json_exists(entry, '$.logGroup') or json_exists(entry, '$.log_group')
                        or json_exists(entry, '$.logStream') or json_exists(entry, '$.log_stream')
                        or json_exists(entry, '$.logStreamName')
                    ) then [cast(entry as json)]
                else [cast(json_object('message', line) as json)]
            end
        ) as event
    from (
        select
            x_SourceFile,
            x_SourceRow,
            line,
            starts_with(trim(line), '{') and not json_valid(line) as is_broken,
            case when starts_with(trim(line), '{') and json_valid(line) then line else '{}' end
                as entry
        from raw_log
        where trim(line) <> ''
    ) as parsed_line
),

told as (
    select
        x_SourceFile,
        x_SourceRow,
        log_group,
        log_stream,
        account,
        is_broken,
        json_extract_string(event, '$.timestamp') as event_time,
        json_extract_string(event, '$.message') as message
    from event
),

picked as (
    select
        x_SourceFile,
        x_SourceRow,
        log_group,
        log_stream,
        account,
        is_broken,
        event_time,
        message,
        json_extract_string(
            case
                when starts_with(trim(message), '{') and json_valid(message) then message else '{}'
            end,
            [
                '$.type', '$.time', '$.record.requestId', '$.record.metrics.durationMs',
                '$.record.metrics.billedDurationMs', '$.record.metrics.memorySizeMB',
                '$.record.metrics.initDurationMs', '$.record.status',
                '$.record.initializationType', '$.record.functionArn', '$.record.functionName',
                '$.record.tenantId', '$.requestId', '$.AWSRequestId', '$.aws_request_id',
                '$.function_request_id', '$.timestamp', '$.function_arn'
            ]
        ) as m,
        regexp_extract(
            message,
            '^(?:(\S+)\s+)?REPORT RequestId:\s*(\S+)\s+'
            || '(?:Init Duration: \S+ ms\s+)?Duration: (\S+) ms',
            ['at', 'request', 'duration']
        ) as report,
        regexp_extract(message, 'Billed Duration: ([0-9]+) ms', 1) as billed,
        regexp_extract(message, 'Memory Size: ([0-9]+) MB', 1) as memory,
        regexp_extract(message, 'Init Duration: ([0-9.]+) ms', 1) as init,
        regexp_extract(message, 'Status: ([A-Za-z]+)', 1) as ending
    from told
),

read_event as (
    select
        x_SourceFile,
        x_SourceRow,
        is_broken,
        log_stream,
        coalesce(m[1], '') = 'platform.report' or report.request <> '' as is_report,
        case
            when coalesce(m[1], '') <> '' and starts_with(m[1], 'platform.') then m[3]
            when report.request <> '' then report.request
            else coalesce(m[13], m[14], m[15], m[16])
        end as request_id,
        coalesce(m[2], nullif(report.at, ''), event_time, m[17]) as time_text,
        coalesce(
            cast(try_cast(coalesce(m[2], nullif(report.at, '')) as timestamptz) as timestamp),
            make_timestamp(try_cast(event_time as bigint) * 1000),
            cast(try_cast(coalesce(event_time, m[17]) as timestamptz) as timestamp)
        ) as end_time,
        try_cast(coalesce(m[4], nullif(report.duration, '')) as decimal(18, 6)) as duration,
        try_cast(coalesce(m[5], nullif(billed, '')) as bigint) as billed_ms,
        try_cast(coalesce(m[6], nullif(memory, '')) as bigint) as memory_mib,
        coalesce(m[7], nullif(init, '')) is not null as is_cold,
        coalesce(m[8], lower(nullif(ending, '')), 'success') <> 'success' as is_error,
        m[9] = 'provisioned-concurrency' as is_provisioned,
        coalesce(
            nullif(regexp_extract(
                coalesce(m[10], m[18]), '^(arn:[^:]+:lambda:[^:]*:[0-9]*:function:[^:]+)', 1
            ), ''),
            'function:' || m[11],
            'function:' || nullif(regexp_extract(log_group, '^/aws/lambda/(.+)$', 1), '')
        ) as function,
        coalesce(
            account,
            nullif(regexp_extract(coalesce(m[10], m[18]), ':lambda:[^:]*:([0-9]+):', 1), '')
        ) as account,
        case
            when starts_with(coalesce(m[1], ''), 'platform.')
                then cast(json_object('tenant', m[12]) as varchar)
            when coalesce(m[13], m[14], m[15], m[16]) is not null then message
        end as fields,
        starts_with(coalesce(m[1], ''), 'platform.') and m[12] is null as is_silent
    from picked
),

-- An environment is a stream of its own: what its start says holds for all its invocations.
judged as (
    select
        x_SourceFile,
        x_SourceRow,
        is_broken,
        is_report,
        request_id,
        time_text,
        end_time - to_milliseconds(
            cast(floor(coalesce(duration, 0)) as bigint)
        ) as begin_time,
        end_time,
        coalesce(billed_ms, cast(ceil(duration) as bigint)) as duration_ms,
        billed_ms * memory_mib as mib_ms,
        is_cold,
        is_error,
        coalesce(
            is_provisioned,
            case when log_stream is not null
                then bool_or(is_provisioned) over (partition by log_stream) end
        ) as is_provisioned,
        coalesce(
            function,
            case when log_stream is not null
                then max(function) over (partition by log_stream) end,
            nullif($resource, '')
        ) as function,
        account,
        case when not is_silent then fields end as fields
    from read_event
)

select
    case when is_report then request_id || '/' || epoch_us(end_time) end as x_InvocationId,
    request_id as x_RequestId,
    begin_time as x_Time,
    case when is_report then function end as x_Function,
    case when is_report then account end as SubAccountId,
    fields as x_OwnerFields,
    case when is_error then 'error' else 'ok' end as x_Status,
    cast(is_report as bigint) as x_Invocations,
    case when is_report then duration_ms end as x_DurationMs,
    case when is_report then mib_ms end as x_MemoryMibMs,
    cast(null as bigint) as x_VcpuMs,
    is_report and is_cold as x_IsColdStart,
    is_report and coalesce(is_provisioned, false) as x_IsProvisioned,
    x_SourceFile,
    x_SourceRow,
    case
        when is_broken then 'not a JSON object'
        when not is_report then null
        when request_id is null then 'no requestId'
        when time_text is null then 'no time'
        when end_time is null then 'the time cannot be read'
        when function is null
            then 'no log group or function ARN; say with `resource` which function this is'
        when duration_ms is null then 'no duration'
    end as x_Reason
from judged
where is_broken or is_report or (request_id is not null and fields is not null)
