-- What each owner requested, used and held of the nodes of each cluster in the month, by the
-- labels of the pods. CPU is in core-milliseconds, memory in byte-seconds, GPU in milliseconds;
-- together they are weighed as price_ratio has a core, a GiB and a GPU of the cluster. Held is the larger of requested and used, for each container and hour. Use that was not
-- measured is unknown, not zero: the request stands.
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
            as memory_held,
        sum(x_GpuRequestMs) as gpu_requested,
        sum(coalesce(x_GpuBusyMs, x_GpuRequestMs)) as gpu_used
    from container_usage
    where x_Node is not null
    group by x_Cluster, x_Labels
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
    from container as c
    left join tag_owner as o on o.Tags = c.x_Labels
    group by 1, 2, 3, 4
)
select
    o.x_Pool, o.x_Feature, o.x_Tenant, o.x_Environment,
    o.cpu_requested, o.cpu_used, o.cpu_held, o.memory_requested, o.memory_used, o.memory_held,
    o.gpu_requested, o.gpu_used, o.gpu_held,
    o.cpu_requested * w.x_CpuWeight
        + o.memory_requested * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_requested * w.x_GpuWeight as requested,
    o.cpu_used * w.x_CpuWeight
        + o.memory_used * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_used * w.x_GpuWeight as used,
    o.cpu_held * w.x_CpuWeight
        + o.memory_held * 1000 * w.x_MemoryWeight // 1073741824
        + o.gpu_held * w.x_GpuWeight as held
from owned as o
inner join price_ratio as w on 'node/' || w.x_Cluster = o.x_Pool
order by o.x_Pool, o.x_Feature, o.x_Tenant, o.x_Environment
