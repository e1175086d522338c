-- The rows of an export, each with the UTC day it is of, or with the reason why it is of none.
-- Why: days are read one by one. A row that is of several would be in two of them, and one that was
-- cut at midnight says less than the export did. A row that does not say when is put to the file's
-- first day, to be found there. The row as delivered is kept only of those that are refused.
-- Totals are BIGINT, for Parquet has no longer integers.
-- One row per row of the export.
with
judged as (
    select
        * exclude (x_Reason) replace (
            try_cast(running_ms as bigint) as running_ms,
            try_cast(cpu_request as bigint) as cpu_request,
            try_cast(cpu_usage as bigint) as cpu_usage,
            try_cast(memory_request as bigint) as memory_request,
            try_cast(memory_usage as bigint) as memory_usage,
            try_cast(gpu_request as bigint) as gpu_request,
            try_cast(node_cpu as bigint) as node_cpu,
            try_cast(node_memory as bigint) as node_memory,
            try_cast(node_gpu as bigint) as node_gpu
        ),
        coalesce(
            x_Reason,
            case
                when starts_at is null or ends_at is null then 'it does not say when'
                when ends_at <= starts_at then 'it ends before it begins'
                when ends_at > date_trunc('day', starts_at) + interval 1 day
                    then 'it is of more than one UTC day: export hours or days'
                when greatest(
                    running_ms, cpu_request, cpu_usage, memory_request, memory_usage,
                    gpu_request, node_cpu, node_memory, node_gpu
                ) > 4000000000000000000 then 'a quantity is too large to be one'
            end
        ) as x_Reason
    from read_export
)
select
    * exclude (x_RawRow),
    case when x_Reason is not null then x_RawRow end as x_RawRow,
    coalesce(cast(starts_at as date), min(cast(starts_at as date)) over ()) as on_day
from judged
