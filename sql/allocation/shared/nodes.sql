-- What each owner requested, used and held of the nodes of each cluster in the month, by the
-- labels of the pods. CPU is in core-milliseconds, memory in byte-seconds, GPU in milliseconds of
-- whole GPUs: devices and slices count for what they are of a GPU on their node, and so does the time
-- they were busy. Together they are weighed as price_ratio has a core, a GiB and a GPU of the cluster.
-- Held is the larger of requested and used, for each container and hour. Use that was not measured is
-- unknown, not zero: the request stands.
with
container as (
    select
        x_Cluster, x_Labels,
        sum(x_CpuRequestCoreMs) as cpu_requested,
        sum(coalesce(x_CpuUsageCoreMs, x_CpuRequestCoreMs)) as cpu_used,
        sum(greatest(x_CpuRequestCoreMs, coalesce(x_CpuUsageCoreMs, 0))) as cpu_held,
        sum(x_MemoryRequestByteSeconds) as memory_requested,
        sum(coalesce(x_MemoryUsageByteSeconds, x_MemoryRequestByteSeconds)) as memory_used,
        sum(greatest(x_MemoryRequestByteSeconds, coalesce(x_MemoryUsageByteSeconds, 0)))
            as memory_held
    from container_usage
    where x_Node is not null
    group by x_Cluster, x_Labels
),
-- GPUs are in few rows; apart, so that only these look for their node. In parts of a GPU, as
-- pod_usage has them.
gpu_container as (
    select
        c.x_Cluster, c.x_Labels, c.x_GpuRequestMs, c.x_GpuBusyMs,
        cast(c.x_GpuDeviceMs as hugeint) * coalesce(n.x_GpuDeviceParts, gpu_parts())
        + cast(c.x_GpuSliceMs as hugeint) * coalesce(n.x_GpuSliceParts, gpu_parts() // 7)
            as parts
    from container_usage as c
    left join node_usage as n
        on n.x_Cluster = c.x_Cluster and n.x_HourStart = c.x_HourStart and n.x_Node = c.x_Node
    where c.x_GpuRequestMs > 0 and c.x_Node is not null
),
held as (
    select
        x_Cluster, x_Labels, cpu_requested, cpu_used, cpu_held, memory_requested, memory_used,
        memory_held, 0 as gpu_requested, 0 as gpu_used
    from container
    union all
    select
        x_Cluster, x_Labels, 0 as cpu_requested, 0 as cpu_used, 0 as cpu_held,
        0 as memory_requested, 0 as memory_used, 0 as memory_held, parts as gpu_requested,
        parts * coalesce(x_GpuBusyMs, x_GpuRequestMs) // x_GpuRequestMs as gpu_used
    from gpu_container
),
owned as (
    select
        'node/' || c.x_Cluster as x_Pool,
        coalesce(o.x_Feature, '(unallocated)') as x_Feature,
        coalesce(o.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(o.x_Environment, '(unallocated)') as x_Environment,
        cast(sum(c.cpu_requested) as hugeint) as cpu_requested,
        cast(sum(c.cpu_used) as hugeint) as cpu_used,
        cast(sum(c.cpu_held) as hugeint) as cpu_held,
        cast(sum(c.memory_requested) as hugeint) as memory_requested,
        cast(sum(c.memory_used) as hugeint) as memory_used,
        cast(sum(c.memory_held) as hugeint) as memory_held,
        cast(sum(c.gpu_requested) as hugeint) as gpu_requested,
        cast(sum(c.gpu_used) as hugeint) as gpu_used,
        cast(sum(c.gpu_requested) as hugeint) as gpu_held
    from held as c
    left join tag_owner as o on o.Tags = c.x_Labels
    group by 1, 2, 3, 4
)
select
    o.x_Pool, o.x_Feature, o.x_Tenant, o.x_Environment,
    o.cpu_requested, o.cpu_used, o.cpu_held, o.memory_requested, o.memory_used, o.memory_held,
    o.gpu_requested // gpu_parts() as gpu_requested, o.gpu_used // gpu_parts() as gpu_used,
    o.gpu_held // gpu_parts() as gpu_held,
    o.cpu_requested * w.x_CpuWeight
        + o.memory_requested * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_requested * w.x_GpuWeight // gpu_parts() as requested,
    o.cpu_used * w.x_CpuWeight
        + o.memory_used * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_used * w.x_GpuWeight // gpu_parts() as used,
    o.cpu_held * w.x_CpuWeight
        + o.memory_held * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_held * w.x_GpuWeight // gpu_parts() as held
from owned as o
inner join price_ratio as w on 'node/' || w.x_Cluster = o.x_Pool
order by o.x_Pool, o.x_Feature, o.x_Tenant, o.x_Environment
