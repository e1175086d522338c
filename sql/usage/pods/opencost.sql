-- OpenCost's CSV export: what each container asked for and used, on average over a day.
--
-- The export has a row per UTC day and container, and does not say when in the day it ran, nor on
-- which node: an average holds for all hours of the day. Rows of storage that no pod mounts
-- (`__unmounted__`) are no usage. Labels come as one column of JSON, as a column each, or not at all.
-- Columns: opencost/opencost, pkg/costmodel/csv_export.go.
--
-- Totals are of the whole row: core-milliseconds, byte-seconds, device-milliseconds.
--
-- One row per delivered row of a container.
--
-- requires time: Date
-- requires text: Namespace Pod Container
-- optional text: ControllerKind ControllerName
-- optional number: CPUCoreUsageAverage CPUCoreRequestAverage
-- optional number: RAMBytesUsageAverage RAMBytesRequestAverage GPUs
-- optional tags: Labels Label
select
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when least(
            CPUCoreUsageAverage, CPUCoreRequestAverage, RAMBytesUsageAverage,
            RAMBytesRequestAverage, GPUs
        ) < 0 then 'an average is below zero' end
    ), '') as x_Reason,
    x_RawRow,
    "Date" as starts_at,
    "Date" + interval 1 day as ends_at,
    cast(null as varchar) as cluster,
    Namespace as x_Namespace,
    Pod as x_Pod,
    cast(null as varchar) as x_PodUid,
    Container as x_Container,
    cast(null as varchar) as x_Node,
    cast(null as varchar) as provider_id,
    ControllerName as x_Workload,
    ControllerKind as x_WorkloadKind,
    Tags as x_Labels,
    cast(86400000 as bigint) as running_ms,
    cast(floor(CPUCoreRequestAverage * 86400000 + 0.5) as hugeint) as cpu_request,
    cast(floor(CPUCoreUsageAverage * 86400000 + 0.5) as hugeint) as cpu_usage,
    cast(floor(RAMBytesRequestAverage * 86400 + 0.5) as hugeint) as memory_request,
    cast(floor(RAMBytesUsageAverage * 86400 + 0.5) as hugeint) as memory_usage,
    cast(floor(GPUs * 86400000 + 0.5) as hugeint) as gpu_request,
    cast(null as hugeint) as node_cpu,
    cast(null as hugeint) as node_memory,
    cast(null as hugeint) as node_gpu
from raw_billing
where coalesce(Pod, '') <> '__unmounted__'
