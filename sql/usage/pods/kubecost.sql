-- Kubecost's allocations as CSV: what each pod or container asked for and used, on average over the
-- minutes it ran, and on which node.
--
-- Names are those of its allocation API, with or without `properties.`, in any case. A row is of the
-- time from `start` to `end`, where it has them, else of its window; hours or days, no more.
-- Of a node the API tells no capacity. But what is idle on it has a cost, and so have its pods: when
-- idle cost is exported by node, a node has as many cores as its pods held, times the cost of both to
-- the cost of the pods; memory and GPUs likewise. Without, its capacity is unknown. Other rows in
-- double underscores (`__unmounted__`, `__unallocated__`) are no usage.
--
-- Totals are of the whole row: core-milliseconds, byte-seconds, device-milliseconds.
--
-- One row per delivered row of a pod or a container, or of what is idle on a node.
--
-- optional text: name properties.cluster properties.node properties.providerID
-- optional text: properties.namespace properties.controller properties.controllerKind
-- optional text: properties.pod properties.container
-- requires time: window.start window.end
-- optional time: start end
-- optional number: minutes cpuCoreRequestAverage cpuCoreUsageAverage cpuCoreHours
-- optional number: ramByteRequestAverage ramByteUsageAverage ramByteHours gpuHours
-- optional number: cpuCost cpuCostAdjustment ramCost ramCostAdjustment gpuCost gpuCostAdjustment
-- optional tags: labels properties.labels properties.labels.
-- names: in any case
-- spelled: properties.cluster = cluster
-- spelled: properties.node = node
-- spelled: properties.providerID = providerID
-- spelled: properties.namespace = namespace
-- spelled: properties.controller = controller
-- spelled: properties.controllerKind = controllerKind
-- spelled: properties.pod = pod
-- spelled: properties.container = container
-- spelled: window.start = windowStart
-- spelled: window.end = windowEnd
-- spelled: ramByteRequestAverage = ramBytesRequestAverage
-- spelled: ramByteUsageAverage = ramBytesUsageAverage
with
timed as (
    select
        raw_billing.*,
        ends_with(coalesce(name, ''), '__idle__') as is_idle,
        coalesce("start", "window.start") as starts_at,
        coalesce("end", "window.end") as ends_at,
        coalesce(
            cast(floor(minutes * 60000 + 0.5) as bigint),
            epoch_ms(coalesce("end", "window.end")) - epoch_ms(coalesce("start", "window.start"))
        ) as running_ms,
        money_units(cpuCost + coalesce(cpuCostAdjustment, 0)) as cpu_cost,
        money_units(ramCost + coalesce(ramCostAdjustment, 0)) as memory_cost,
        money_units(gpuCost + coalesce(gpuCostAdjustment, 0)) as gpu_cost
    from raw_billing
),
totalled as (
    select
        timed.*,
        cast(floor(cpuCoreRequestAverage * running_ms + 0.5) as hugeint) as cpu_request,
        cast(floor(cpuCoreUsageAverage * running_ms + 0.5) as hugeint) as cpu_usage,
        cast(floor(ramByteRequestAverage * running_ms / 1000 + 0.5) as hugeint) as memory_request,
        cast(floor(ramByteUsageAverage * running_ms / 1000 + 0.5) as hugeint) as memory_usage,
        cast(floor(gpuHours * 3600000 + 0.5) as hugeint) as gpu_held,
        cast(floor(cpuCoreHours * 3600000 + 0.5) as hugeint) as cpu_held,
        cast(floor(ramByteHours * 3600 + 0.5) as hugeint) as memory_held
    from timed
),
beside as (
    select
        totalled.*,
        sum(case when not is_idle then cpu_held end) over of_node as pods_cpu,
        sum(case when not is_idle then memory_held end) over of_node as pods_memory,
        sum(case when not is_idle then gpu_held end) over of_node as pods_gpu,
        sum(case when not is_idle then cpu_cost end) over of_node as pods_cpu_cost,
        sum(case when not is_idle then memory_cost end) over of_node as pods_memory_cost,
        sum(case when not is_idle then gpu_cost end) over of_node as pods_gpu_cost
    from totalled
    window of_node as (partition by "properties.cluster", "properties.node", "window.start")
)
select
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when not is_idle and "properties.pod" is null then 'properties.pod is missing' end,
        case when not is_idle and "properties.namespace" is null
            then 'properties.namespace is missing'
        end,
        case when is_idle and "properties.node" is null
            then 'idle cost is of no node: export it with idleByNode=true'
        end,
        case when least(
            cpuCoreRequestAverage, cpuCoreUsageAverage, ramByteRequestAverage,
            ramByteUsageAverage, gpuHours, minutes
        ) < 0 then 'a quantity is below zero' end
    ), '') as x_Reason,
    x_RawRow,
    starts_at,
    ends_at,
    "properties.cluster" as cluster,
    "properties.namespace" as x_Namespace,
    case when not is_idle then "properties.pod" end as x_Pod,
    cast(null as varchar) as x_PodUid,
    "properties.container" as x_Container,
    "properties.node" as x_Node,
    "properties.providerID" as provider_id,
    "properties.controller" as x_Workload,
    "properties.controllerKind" as x_WorkloadKind,
    Tags as x_Labels,
    running_ms,
    cpu_request,
    cpu_usage,
    memory_request,
    memory_usage,
    gpu_held as gpu_request,
    case when is_idle and pods_cpu_cost > 0
        then cast(pods_cpu * (pods_cpu_cost + cpu_cost) // pods_cpu_cost as hugeint)
    end as node_cpu,
    case when is_idle and pods_memory_cost > 0
        then cast(
            pods_memory // 1048576 * (pods_memory_cost + memory_cost) // pods_memory_cost
            * 1048576 as hugeint
        )
    end as node_memory,
    case when is_idle and pods_gpu_cost > 0
        then cast(pods_gpu * (pods_gpu_cost + gpu_cost) // pods_gpu_cost as hugeint)
    end as node_gpu
from beside
where is_idle or not starts_with(coalesce("properties.pod", ''), '__')
