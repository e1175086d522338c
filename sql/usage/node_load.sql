-- What of each node pods held, what its system keeps, what was idle, and what pods held beyond it.
-- Why so: pods may hold more than a node has, for use can exceed what was requested. Then the node
-- is shared in proportion, and nothing in its cost says by how much it was short: x_NodeOverCommit
-- does. What pods hold of the part that the system is to have is held. Without allocatable capacity
-- it is not known what the system keeps, and x_NodeOverhead is null: it is in what is idle then.
-- Held, overhead and idle are capacity and over-commit together.
-- CPU is in core-milliseconds, memory in byte-seconds, GPUs in the parts of x_GpuAllocatedParts.
-- One row per cluster, hour, node and resource that the node has or pods hold.
with held as (
    select
        x_Cluster,
        x_HourStart,
        x_Node,
        cast(sum(x_CpuAllocatedCoreMs) as bigint) as cpu,
        cast(sum(x_MemoryAllocatedByteSeconds) as bigint) as memory,
        cast(sum(x_GpuAllocatedParts) as bigint) as gpu
    from pod_usage
    where x_Node is not null
    group by x_Cluster, x_HourStart, x_Node
),

load as (
    select
        node.x_Day,
        node.x_Cluster,
        node.x_HourStart,
        node.x_Node,
        kind.x_NodeResource,
        case kind.x_NodeResource
            when 'cpu' then node.x_CpuCapacityCoreMs
            when 'memory' then node.x_MemoryCapacityByteSeconds
            else node.x_GpuCapacityMs * gpu_parts()
        end as capacity,
        case kind.x_NodeResource
            when 'cpu' then node.x_CpuCapacityCoreMs - node.x_CpuAllocatableCoreMs
            when 'memory' then
                node.x_MemoryCapacityByteSeconds - node.x_MemoryAllocatableByteSeconds
        end as reserved,
        coalesce(
            case kind.x_NodeResource
                when 'cpu' then held.cpu
                when 'memory' then held.memory
                else held.gpu
            end,
            0
        ) as held
    from node_usage as node
    cross join (values ('cpu'), ('memory'), ('gpu')) as kind (x_NodeResource)
    left join held
        on held.x_Cluster = node.x_Cluster
        and held.x_HourStart = node.x_HourStart
        and held.x_Node = node.x_Node
),

kept as (
    select
        x_Day,
        x_Cluster,
        x_HourStart,
        x_Node,
        x_NodeResource,
        capacity,
        held,
        case
            when reserved is not null
                then least(greatest(reserved, 0), greatest(capacity - held, 0))
        end as overhead
    from load
    where capacity > 0
        or held > 0
)

select
    x_Day,
    x_Cluster,
    x_HourStart,
    x_Node,
    x_NodeResource,
    cast(capacity as bigint) as x_NodeCapacity,
    cast(held as bigint) as x_NodeHeld,
    cast(overhead as bigint) as x_NodeOverhead,
    cast(greatest(capacity - held, 0) - coalesce(overhead, 0) as bigint) as x_NodeIdle,
    cast(greatest(held - capacity, 0) as bigint) as x_NodeOverCommit
from kept
order by x_Cluster, x_HourStart, x_Node, x_NodeResource
