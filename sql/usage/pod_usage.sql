-- What each pod held, hour by hour: the larger of what a container asked for and what it used.
-- Why so: a request keeps others off the node whether it is used or not, and use beyond it does
-- too. The larger is taken per container and hour and then added up; over a day it would be
-- smaller and wrong (a pod that asks in the morning and bursts in the evening held both). Use that
-- was not measured is unknown, and the request stands alone.
-- One row per cluster, hour and pod UID.
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
    cast(sum(x_GpuBusyMs) as bigint) as x_GpuBusyMs
from container_usage
group by x_Cluster, x_HourStart, x_PodUid
order by x_Cluster, x_HourStart, x_PodUid
