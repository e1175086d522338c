-- The nodes of each cluster, hour by hour: their capacity, and the id the bill knows them by.
-- Why so: pods are charged for a part of what a node costs, so the node must be found on the bill.
-- ResourceId is what tells it from all other nodes: of AWS the instance id, of Azure the whole
-- resource id in lower case (its ids are case-insensitive), of Google project, zone and name, for
-- the name alone may be in another zone, too; of other provider ids, the part after the last slash.
-- Devices are not GPUs: a GPU that is shared in time or by MPS is listed once a replica, one cut
-- by MIG once a slice. x_GpuCapacityMs is of real GPUs, by the labels of NVIDIA's feature discovery
-- or of GKE; x_GpuDeviceParts and x_GpuSliceParts say how much of one a device and a slice are. Of
-- a GPU that is cut, what no profile fits in is capacity too. Devices that are claimed (dynamic
-- resource allocation) are in no capacity; where none is listed, the label says how many there are.
-- What the kubelet and the system keep for themselves is capacity that is not allocatable; where an
-- hour does not say what is, it is unknown, not all of it.
-- One row per cluster, hour and node.
with node_hour as (
    select
        min(x_Day) as x_Day,
        x_Cluster,
        x_HourStart,
        x_Node,
        max({
            'presence': x_Value,
            'provider_id': nullif(json_extract_string(x_Labels, '$.provider_id'), '')
        }) filter (where x_Series = 'node_running') as identity,
        max({'presence': x_Value, 'labels': x_Labels}) filter (
            where x_Series = 'node_labels'
        ) as labelled,
        sum(x_Value) filter (where x_Series = 'node_running') as running_ms,
        sum(x_Value) filter (where x_Series = 'node_cpu_capacity') as cpu_capacity,
        sum(x_Value) filter (where x_Series = 'node_memory_capacity') as memory_capacity,
        sum(x_Value) filter (where x_Series = 'node_cpu_allocatable') as cpu_allocatable,
        sum(x_Value) filter (where x_Series = 'node_memory_allocatable') as memory_allocatable,
        sum(x_Value) filter (
            where x_Series = 'node_gpu_capacity' and mig_slices(x_Labels) is null
        ) as gpu_devices,
        sum(x_Value * mig_slices(x_Labels)) filter (
            where x_Series = 'node_gpu_capacity'
        ) as gpu_slices
    from metric_hour
    where x_Node is not null
        and x_Series in (
            'node_running', 'node_labels', 'node_cpu_capacity', 'node_memory_capacity',
            'node_gpu_capacity', 'node_cpu_allocatable', 'node_memory_allocatable'
        )
    group by x_Cluster, x_HourStart, x_Node
),

-- An hour in which the node's labels or its id were missed has those of its day.
node_of_day as (
    select
        x_Cluster,
        x_Node,
        arg_max(identity, x_HourStart) as identity,
        arg_max(labelled, x_HourStart) as labelled
    from node_hour
    group by x_Cluster, x_Node
),

described as (
    select
        node_hour.x_Day,
        node_hour.x_Cluster,
        node_hour.x_HourStart,
        node_hour.x_Node,
        coalesce(
            node_hour.identity.provider_id, node_of_day.identity.provider_id
        ) as provider_id,
        coalesce(node_hour.labelled.labels, node_of_day.labelled.labels, '{}') as x_Labels,
        node_hour.running_ms,
        node_hour.cpu_capacity,
        node_hour.memory_capacity,
        node_hour.cpu_allocatable,
        node_hour.memory_allocatable,
        node_hour.gpu_devices,
        node_hour.gpu_slices
    from node_hour
    inner join node_of_day
        on node_of_day.x_Cluster = node_hour.x_Cluster
        and node_of_day.x_Node = node_hour.x_Node
),

labelled as (
    select
        *,
        coalesce(
            json_extract_string(x_Labels, '$.nvidia_com_gpu_product'),
            json_extract_string(x_Labels, '$.cloud_google_com_gke_accelerator'),
            json_extract_string(x_Labels, '$.amd_com_gpu_product_name')
        ) as gpu_model,
        mig_slices(coalesce(
            json_extract_string(x_Labels, '$.cloud_google_com_gke_gpu_partition_size'),
            json_extract_string(x_Labels, '$.nvidia_com_gpu_product')
        )) as device_slices,
        greatest(coalesce(
            try_cast(json_extract_string(x_Labels, '$.nvidia_com_gpu_replicas') as bigint),
            try_cast(json_extract_string(
                x_Labels, '$.cloud_google_com_gke_max_shared_clients_per_gpu'
            ) as bigint),
            1
        ), 1) as replicas,
        try_cast(json_extract_string(x_Labels, '$.nvidia_com_gpu_count') as bigint) as gpu_count,
        cast(least(coalesce(running_ms, 0), 3600000) as bigint) as listed_ms
    from described
),

-- How many slices a GPU is cut into is a fact of its model (NVIDIA's MIG user guide).
sliced as (
    select
        *,
        case
            when regexp_matches(gpu_model, 'A30([^0-9]|$)|RTX.PRO.6000') then 4
            when regexp_matches(gpu_model, 'RTX.PRO.5000') then 2
            else 7
        end as gpu_slice_count
    from labelled
),

counted as (
    select
        *,
        cast(
            coalesce(gpu_devices, 0) * coalesce(device_slices, gpu_slice_count)
            // (gpu_slice_count * replicas) as bigint
        ) + cast(coalesce(gpu_slices, 0) // gpu_slice_count as bigint) as gpu_ms,
        gpu_slices > 0 or device_slices is not null as is_cut
    from sliced
)

select
    x_Day,
    x_Cluster,
    x_HourStart,
    x_Node,
    provider_id as x_ProviderId,
    case
        when provider_id like 'azure://%' then lower(regexp_replace(provider_id, '^azure://', ''))
        when provider_id like 'gce://%' then regexp_replace(provider_id, '^gce://', '')
        else nullif(regexp_extract(provider_id, '([^/]+)/*$', 1), '')
    end as ResourceId,
    coalesce(
        json_extract_string(x_Labels, '$.node_kubernetes_io_instance_type'),
        json_extract_string(x_Labels, '$.beta_kubernetes_io_instance_type')
    ) as x_InstanceType,
    gpu_model as x_GpuModel,
    x_Labels,
    listed_ms as x_RunningMs,
    cast(coalesce(cpu_capacity, 0) as bigint) as x_CpuCapacityCoreMs,
    cast(coalesce(memory_capacity, 0) as bigint) as x_MemoryCapacityByteSeconds,
    case
        when gpu_devices is null and gpu_slices is null then coalesce(gpu_count, 0) * listed_ms
        when is_cut and listed_ms > 0 then (gpu_ms + listed_ms - 1) // listed_ms * listed_ms
        else gpu_ms
    end as x_GpuCapacityMs,
    cast(cpu_allocatable as bigint) as x_CpuAllocatableCoreMs,
    cast(memory_allocatable as bigint) as x_MemoryAllocatableByteSeconds,
    cast(
        gpu_parts() * coalesce(device_slices, gpu_slice_count) // (gpu_slice_count * replicas)
        as bigint
    ) as x_GpuDeviceParts,
    cast(gpu_parts() // gpu_slice_count as bigint) as x_GpuSliceParts
from counted
where running_ms > 0
    or cpu_capacity > 0
    or memory_capacity > 0
order by x_Cluster, x_HourStart, x_Node
