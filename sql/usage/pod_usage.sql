-- What each pod held, hour by hour: the larger of what a container asked for and what it used.
-- Why so: a request keeps others off the node whether it is used or not, and use beyond it does
-- too. The larger is taken per container and hour and then added up; over a day it would be
-- smaller and wrong (a pod that asks in the morning and bursts in the evening held both). Use that
-- was not measured is unknown, and the request stands alone. A GPU that is shared or cut is held
-- in part: the devices and slices asked for, by what one of them is of a GPU on the pod's node;
-- where the node is not known, a device is a GPU and a slice a seventh of one.
-- One row per cluster, hour and pod UID.
with pod as (
    select
        min(x_Day) as x_Day,
        x_Cluster,
        x_HourStart,
        min(x_Namespace) as x_Namespace,
        min(x_Pod) as x_Pod,
        x_PodUid,
        min(x_Node) as x_Node,
        min(x_Workload) as x_Workload,
        min(x_WorkloadKind) as x_WorkloadKind,
        min(x_Labels) as x_Labels,
        max(x_RunningMs) as x_RunningMs,
        cast(sum(
            greatest(x_CpuRequestCoreMs, coalesce(x_CpuUsageCoreMs, x_CpuRequestCoreMs))
        ) as bigint) as x_CpuAllocatedCoreMs,
        cast(sum(
            greatest(
                x_MemoryRequestByteSeconds,
                coalesce(x_MemoryUsageByteSeconds, x_MemoryRequestByteSeconds)
            )
        ) as bigint) as x_MemoryAllocatedByteSeconds,
        cast(sum(x_GpuRequestMs) as bigint) as x_GpuRequestMs,
        cast(sum(x_GpuBusyMs) as bigint) as x_GpuBusyMs,
        sum(x_GpuDeviceMs) as devices,
        sum(x_GpuSliceMs) as slices,
        coalesce(
            max(case x_GpuBasis when 'dcgm_day' then 'dcgm_day' end), min(x_GpuBasis)
        ) as x_GpuBasis
    from container_usage
    group by x_Cluster, x_HourStart, x_PodUid
)

select
    pod.x_Day,
    pod.x_Cluster,
    pod.x_HourStart,
    pod.x_Namespace,
    pod.x_Pod,
    pod.x_PodUid,
    pod.x_Node,
    pod.x_Workload,
    pod.x_WorkloadKind,
    pod.x_Labels,
    pod.x_RunningMs,
    pod.x_CpuAllocatedCoreMs,
    pod.x_MemoryAllocatedByteSeconds,
    pod.x_GpuRequestMs,
    pod.x_GpuBusyMs,
    cast(
        pod.devices * coalesce(node.x_GpuDeviceParts, gpu_parts())
        + pod.slices * coalesce(node.x_GpuSliceParts, gpu_parts() // 7) as bigint
    ) as x_GpuAllocatedParts,
    pod.x_GpuBasis
from pod
left join node_usage as node
    on pod.x_GpuRequestMs > 0
    and node.x_Cluster = pod.x_Cluster
    and node.x_HourStart = pod.x_HourStart
    and node.x_Node = pod.x_Node
order by pod.x_Cluster, pod.x_HourStart, pod.x_PodUid
