-- What each container asked for and what it used, hour by hour.
-- Why so: names of pods are reused, UIDs are not, so everything is keyed by UID; a measurement
-- that carries only a name (cAdvisor, DCGM) goes to the pod of that name in that hour, and where
-- two shared the name, to the one that ran longer. A pod that is waiting for a node or has ended
-- holds nothing, though its requests are still listed: they count for the time it ran. What was
-- not measured is null, never zero; a container without a request asked for nothing. A running
-- pod of which no container was measured is one row, container `(unknown)`. GPUs that are claimed
-- (dynamic resource allocation) are in no request: those DCGM saw the pod hold count, in an hour it
-- saw none those it last saw that day, and x_GpuBasis says which.
-- One row per cluster, hour, pod UID and container.
with
-- Pods that a measurement knows by name alone.
named_pod as (
    select distinct x_Cluster, x_Namespace, x_Pod
    from metric_hour
    where x_PodUid is null and x_Pod is not null and x_Namespace is not null
),

uid_hour as (
    select
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Pod,
        x_PodUid,
        sum(x_Value) as presence
    from metric_hour
    semi join named_pod using (x_Cluster, x_Namespace, x_Pod)
    where x_Series = 'pod_running'
        and x_PodUid is not null
    group by x_Cluster, x_HourStart, x_Namespace, x_Pod, x_PodUid
),

-- Of two that ran equally long, the first.
listed_pod as (
    select
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Pod,
        min(struct_pack(presence := -presence, uid := x_PodUid)).uid as x_PodUid
    from uid_hour
    group by x_Cluster, x_HourStart, x_Namespace, x_Pod
),

-- Where the hour says nothing of the name, the rest of the day does.
last_pod_of_name as (
    select
        x_Cluster,
        x_Namespace,
        x_Pod,
        arg_max(x_PodUid, x_HourStart) as x_PodUid
    from listed_pod
    group by x_Cluster, x_Namespace, x_Pod
),

identified as not materialized (
    select
        x_Cluster,
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        x_Node,
        x_Workload,
        x_WorkloadKind,
        x_Labels,
        x_Value
    from metric_hour
    where x_PodUid is not null
        and x_Pod is not null
        and x_Namespace is not null
    union all
    select
        metric_hour.x_Cluster,
        metric_hour.x_HourStart,
        metric_hour.x_Series,
        metric_hour.x_Namespace,
        metric_hour.x_Pod,
        -- a pod that nobody listed all day keeps its name for an id
        coalesce(
            listed_pod.x_PodUid,
            last_pod_of_name.x_PodUid,
            metric_hour.x_Namespace || '/' || metric_hour.x_Pod
        ) as x_PodUid,
        metric_hour.x_Container,
        metric_hour.x_Node,
        metric_hour.x_Workload,
        metric_hour.x_WorkloadKind,
        metric_hour.x_Labels,
        metric_hour.x_Value
    from metric_hour
    left join listed_pod
        on listed_pod.x_Cluster = metric_hour.x_Cluster
        and listed_pod.x_HourStart = metric_hour.x_HourStart
        and listed_pod.x_Namespace = metric_hour.x_Namespace
        and listed_pod.x_Pod = metric_hour.x_Pod
    left join last_pod_of_name
        on last_pod_of_name.x_Cluster = metric_hour.x_Cluster
        and last_pod_of_name.x_Namespace = metric_hour.x_Namespace
        and last_pod_of_name.x_Pod = metric_hour.x_Pod
    where metric_hour.x_PodUid is null
        and metric_hour.x_Pod is not null
        and metric_hour.x_Namespace is not null
),

-- How long a pod was there; one that is not listed has no row here.
pod_hour as (
    select
        x_Cluster,
        x_HourStart,
        x_PodUid,
        min(x_Namespace) as x_Namespace,
        min(x_Pod) as x_Pod,
        cast(coalesce(sum(
            case x_Series when 'pod_running' then x_Value end
        ), 0) as bigint) as listed_ms,
        -- placed on a node and, where the phase is known, running
        cast(least(
            coalesce(sum(
                case when x_Series = 'pod_running' and x_Node is not null then x_Value end
            ), 0),
            coalesce(max(case x_Series when 'pod_active' then x_Value end), 3600000),
            3600000
        ) as bigint) as x_RunningMs
    from identified
    where x_Series in ('pod_running', 'pod_active')
    group by x_Cluster, x_HourStart, x_PodUid
),

-- Where a pod runs, whose it is and its labels: most are told the same all day, and to find the
-- largest of structs takes longer than all the rest.
told_of_pod as (
    select distinct
        x_Cluster,
        x_PodUid,
        x_Series,
        case x_Series when 'pod_running' then x_Node end as x_Node,
        case x_Series when 'pod_owner' then x_WorkloadKind end as x_WorkloadKind,
        case x_Series when 'pod_owner' then x_Workload end as x_Workload,
        case x_Series when 'pod_labels' then x_Labels end as x_Labels
    from identified
    where x_Series in ('pod_running', 'pod_owner', 'pod_labels')
        and (x_Series <> 'pod_running' or x_Node is not null)
),

changed_pod as (
    select distinct x_Cluster, x_PodUid
    from told_of_pod
    group by x_Cluster, x_PodUid, x_Series
    having count(*) > 1
),

-- Of those, what was told longest in the hour.
changed_hour as (
    select
        x_Cluster,
        x_HourStart,
        x_PodUid,
        max({'presence': x_Value, 'node': x_Node}) filter (
            where x_Series = 'pod_running' and x_Node is not null
        ).node as x_Node,
        max({'presence': x_Value, 'kind': x_WorkloadKind, 'name': x_Workload}) filter (
            where x_Series = 'pod_owner'
        ) as owner,
        max({'presence': x_Value, 'labels': x_Labels}) filter (
            where x_Series = 'pod_labels'
        ).labels as x_Labels
    from identified
    semi join changed_pod using (x_Cluster, x_PodUid)
    where x_Series in ('pod_running', 'pod_owner', 'pod_labels')
    group by x_Cluster, x_HourStart, x_PodUid
),

-- Hours in which the node, the owner or the labels were missed have those of the day.
pod_of_day as (
    select
        x_Cluster,
        x_PodUid,
        max(x_Node) as x_Node,
        max(x_WorkloadKind) as x_WorkloadKind,
        max(x_Workload) as x_Workload,
        max(x_Labels) as x_Labels
    from told_of_pod
    anti join changed_pod using (x_Cluster, x_PodUid)
    group by x_Cluster, x_PodUid
    union all
    select
        x_Cluster,
        x_PodUid,
        arg_max(x_Node, x_HourStart) as x_Node,
        arg_max(owner, x_HourStart).kind as x_WorkloadKind,
        arg_max(owner, x_HourStart).name as x_Workload,
        arg_max(x_Labels, x_HourStart) as x_Labels
    from changed_hour
    group by x_Cluster, x_PodUid
),

-- Cases, not filters: each of those takes a selection of the rows first. GPUs are apart, for few
-- rows are theirs and every aggregate is asked of every row.
container_hour as (
    select
        x_Cluster,
        x_HourStart,
        x_PodUid,
        x_Container,
        min(x_Namespace) as x_Namespace,
        min(x_Pod) as x_Pod,
        cast(sum(case x_Series when 'cpu_request' then x_Value end) as bigint) as cpu_request,
        cast(sum(case x_Series when 'cpu_usage' then x_Value end) as bigint) as cpu_usage,
        max(case x_Series when 'cpu_peak' then x_Value end) as cpu_peak,
        cast(sum(case x_Series when 'cpu_periods' then x_Value end) as bigint) as cpu_periods,
        cast(sum(
            case x_Series when 'cpu_throttled_periods' then x_Value end
        ) as bigint) as cpu_throttled_periods,
        max(case x_Series when 'cpu_limit' then x_Value end) as cpu_limit,
        cast(sum(case x_Series when 'memory_request' then x_Value end) as bigint) as memory_request,
        cast(sum(case x_Series when 'memory_usage' then x_Value end) as bigint) as memory_usage,
        max(case x_Series when 'memory_peak' then x_Value end) as memory_peak,
        max(case x_Series when 'memory_limit' then x_Value end) as memory_limit,
        cast(sum(case x_Series when 'oom_kills' then x_Value end) as bigint) as oom_kills
    from identified
    where x_Container is not null
    group by x_Cluster, x_HourStart, x_PodUid, x_Container
),

gpu_hour as materialized (
    select
        x_Cluster,
        x_HourStart,
        x_PodUid,
        x_Container,
        cast(sum(case x_Series when 'gpu_request' then x_Value end) as bigint) as gpu_request,
        cast(sum(
            case x_Series
                when 'gpu_request' then case when mig_slices(x_Labels) is null then x_Value end
            end
        ) as bigint) as gpu_devices,
        cast(sum(
            case x_Series when 'gpu_request' then x_Value * mig_slices(x_Labels) end
        ) as bigint) as gpu_slices,
        cast(sum(case x_Series when 'gpu_busy' then x_Value end) as bigint) as gpu_busy,
        count(case x_Series when 'gpu_busy' then 1 end) as seen,
        count(
            case x_Series when 'gpu_busy' then case when mig_slices(x_Labels) is null then 1 end end
        ) as seen_devices,
        cast(coalesce(sum(
            case x_Series when 'gpu_busy' then mig_slices(x_Labels) end
        ), 0) as bigint) as seen_slices
    from identified
    where x_Series in ('gpu_request', 'gpu_busy')
        and x_Container is not null
    group by x_Cluster, x_HourStart, x_PodUid, x_Container
),

-- What DCGM saw of claimed GPUs in the last hour of the day that it saw any: a claim is held while
-- nobody looks. Of a container that asked for GPUs, what it asked for counts.
claimed_of_day as (
    select
        x_Cluster,
        x_PodUid,
        x_Container,
        arg_max(seen, x_HourStart) as seen,
        arg_max(seen_devices, x_HourStart) as seen_devices,
        arg_max(seen_slices, x_HourStart) as seen_slices
    from gpu_hour
    group by x_Cluster, x_PodUid, x_Container
    having coalesce(sum(gpu_request), 0) = 0
),

-- A pod of which no container was measured holds what all of its containers do.
claimed as (
    select x_Cluster, x_PodUid, x_Container, seen, seen_devices, seen_slices from claimed_of_day
    union all
    select
        x_Cluster,
        x_PodUid,
        '(unknown)' as x_Container,
        sum(seen) as seen,
        sum(seen_devices) as seen_devices,
        sum(seen_slices) as seen_slices
    from claimed_of_day
    group by x_Cluster, x_PodUid
),

told as (
    select
        coalesce(pod_hour.x_Cluster, container_hour.x_Cluster) as x_Cluster,
        coalesce(pod_hour.x_HourStart, container_hour.x_HourStart) as x_HourStart,
        coalesce(pod_hour.x_PodUid, container_hour.x_PodUid) as x_PodUid,
        coalesce(container_hour.x_Container, '(unknown)') as x_Container,
        least(pod_hour.x_Namespace, container_hour.x_Namespace) as x_Namespace,
        least(pod_hour.x_Pod, container_hour.x_Pod) as x_Pod,
        coalesce(pod_hour.listed_ms, 0) as listed_ms,
        coalesce(pod_hour.x_RunningMs, 0) as x_RunningMs,
        coalesce(container_hour.cpu_request, 0) as cpu_request,
        container_hour.cpu_usage,
        container_hour.cpu_peak,
        container_hour.cpu_periods,
        container_hour.cpu_throttled_periods,
        container_hour.cpu_limit,
        coalesce(container_hour.memory_request, 0) as memory_request,
        container_hour.memory_usage,
        container_hour.memory_peak,
        container_hour.memory_limit,
        coalesce(gpu_hour.gpu_request, 0) as gpu_request,
        coalesce(gpu_hour.gpu_devices, 0) as gpu_devices,
        coalesce(gpu_hour.gpu_slices, 0) as gpu_slices,
        case
            when coalesce(gpu_hour.gpu_request, 0) > 0 then 'request'
            when gpu_hour.seen > 0 then 'dcgm'
            when claimed.seen > 0 and pod_hour.x_RunningMs > 0 then 'dcgm_day'
        end as basis,
        gpu_hour.gpu_busy,
        cast(coalesce(gpu_hour.seen, claimed.seen) as bigint) as seen,
        cast(coalesce(gpu_hour.seen_devices, claimed.seen_devices) as bigint) as seen_devices,
        cast(coalesce(gpu_hour.seen_slices, claimed.seen_slices) as bigint) as seen_slices,
        container_hour.oom_kills
    from pod_hour
    full outer join container_hour
        on container_hour.x_Cluster = pod_hour.x_Cluster
        and container_hour.x_HourStart = pod_hour.x_HourStart
        and container_hour.x_PodUid = pod_hour.x_PodUid
    left join gpu_hour
        on gpu_hour.x_Cluster = container_hour.x_Cluster
        and gpu_hour.x_HourStart = container_hour.x_HourStart
        and gpu_hour.x_PodUid = container_hour.x_PodUid
        and gpu_hour.x_Container = container_hour.x_Container
    left join claimed
        on claimed.x_Cluster = pod_hour.x_Cluster
        and claimed.x_PodUid = pod_hour.x_PodUid
        and claimed.x_Container = coalesce(container_hour.x_Container, '(unknown)')
    where pod_hour.x_RunningMs > 0
        or container_hour.cpu_usage is not null
        or container_hour.memory_usage is not null
)

select
    cast(cast(told.x_HourStart as date) as varchar) as x_Day,
    told.x_Cluster,
    told.x_HourStart,
    told.x_Namespace,
    told.x_Pod,
    told.x_PodUid,
    told.x_Container,
    coalesce(changed_hour.x_Node, pod_of_day.x_Node) as x_Node,
    coalesce(changed_hour.owner.name, pod_of_day.x_Workload, told.x_Pod) as x_Workload,
    coalesce(changed_hour.owner.kind, pod_of_day.x_WorkloadKind, 'Pod') as x_WorkloadKind,
    coalesce(changed_hour.x_Labels, pod_of_day.x_Labels, '{}') as x_Labels,
    told.x_RunningMs,
    case
        when told.listed_ms > told.x_RunningMs then cast(
            cast(told.cpu_request as hugeint) * told.x_RunningMs // told.listed_ms as bigint
        )
        else told.cpu_request
    end as x_CpuRequestCoreMs,
    told.cpu_usage as x_CpuUsageCoreMs,
    told.cpu_peak as x_CpuPeakMillicores,
    told.cpu_periods as x_CpuPeriods,
    told.cpu_throttled_periods as x_CpuThrottledPeriods,
    told.cpu_limit as x_CpuLimitMillicores,
    case
        when told.listed_ms > told.x_RunningMs then cast(
            cast(told.memory_request as hugeint) * told.x_RunningMs // told.listed_ms as bigint
        )
        else told.memory_request
    end as x_MemoryRequestByteSeconds,
    told.memory_usage as x_MemoryUsageByteSeconds,
    told.memory_peak as x_MemoryPeakBytes,
    told.memory_limit as x_MemoryLimitBytes,
    case
        when told.basis in ('dcgm', 'dcgm_day') then told.seen * told.x_RunningMs
        when told.listed_ms > told.x_RunningMs then cast(
            cast(told.gpu_request as hugeint) * told.x_RunningMs // told.listed_ms as bigint
        )
        else told.gpu_request
    end as x_GpuRequestMs,
    case
        when told.basis in ('dcgm', 'dcgm_day') then told.seen_devices * told.x_RunningMs
        when told.listed_ms > told.x_RunningMs then cast(
            cast(told.gpu_devices as hugeint) * told.x_RunningMs // told.listed_ms as bigint
        )
        else told.gpu_devices
    end as x_GpuDeviceMs,
    case
        when told.basis in ('dcgm', 'dcgm_day') then told.seen_slices * told.x_RunningMs
        when told.listed_ms > told.x_RunningMs then cast(
            cast(told.gpu_slices as hugeint) * told.x_RunningMs // told.listed_ms as bigint
        )
        else told.gpu_slices
    end as x_GpuSliceMs,
    told.basis as x_GpuBasis,
    told.gpu_busy as x_GpuBusyMs,
    coalesce(told.oom_kills, 0) as x_OomKills
from told
left join pod_of_day
    on pod_of_day.x_Cluster = told.x_Cluster
    and pod_of_day.x_PodUid = told.x_PodUid
left join changed_hour
    on changed_hour.x_Cluster = told.x_Cluster
    and changed_hour.x_HourStart = told.x_HourStart
    and changed_hour.x_PodUid = told.x_PodUid
order by x_Cluster, x_HourStart, x_PodUid, x_Container
