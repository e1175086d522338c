-- The nodes of each cluster, hour by hour: their capacity, and the id the bill knows them by.
-- Why so: pods are charged for a part of what a node costs, so the node must be found on the bill.
-- ResourceId is the id as the provider writes it there: AWS the instance id, Azure the whole
-- resource id in lower case (its ids are case-insensitive), Google the instance name; of other
-- provider ids, the part after the last slash.
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
        sum(x_Value) filter (where x_Series = 'node_gpu_capacity') as gpu_capacity
    from metric_hour
    where x_Node is not null
        and x_Series in (
            'node_running', 'node_labels', 'node_cpu_capacity', 'node_memory_capacity',
            'node_gpu_capacity'
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
        node_hour.gpu_capacity
    from node_hour
    inner join node_of_day
        on node_of_day.x_Cluster = node_hour.x_Cluster
        and node_of_day.x_Node = node_hour.x_Node
)

select
    x_Day,
    x_Cluster,
    x_HourStart,
    x_Node,
    provider_id as x_ProviderId,
    case
        when provider_id like 'azure://%' then lower(regexp_replace(provider_id, '^azure://', ''))
        else nullif(regexp_extract(provider_id, '([^/]+)/*$', 1), '')
    end as ResourceId,
    coalesce(
        json_extract_string(x_Labels, '$.node_kubernetes_io_instance_type'),
        json_extract_string(x_Labels, '$.beta_kubernetes_io_instance_type')
    ) as x_InstanceType,
    coalesce(
        json_extract_string(x_Labels, '$.nvidia_com_gpu_product'),
        json_extract_string(x_Labels, '$.cloud_google_com_gke_accelerator'),
        json_extract_string(x_Labels, '$.amd_com_gpu_product_name')
    ) as x_GpuModel,
    x_Labels,
    cast(least(coalesce(running_ms, 0), 3600000) as bigint) as x_RunningMs,
    cast(coalesce(cpu_capacity, 0) as bigint) as x_CpuCapacityCoreMs,
    cast(coalesce(memory_capacity, 0) as bigint) as x_MemoryCapacityByteSeconds,
    cast(coalesce(gpu_capacity, 0) as bigint) as x_GpuCapacityMs
from described
where running_ms > 0
    or cpu_capacity > 0
    or memory_capacity > 0
order by x_Cluster, x_HourStart, x_Node
