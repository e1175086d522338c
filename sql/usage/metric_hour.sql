-- Hourly measurements under their canonical names, from files or from a Prometheus server.
-- Why: everything after this table sees one name, one integer unit and one set of columns for a
-- quantity, wherever it was measured. Units are in finops_pipeline/usage.py (SERIES) and in the
-- data dictionary. What is settled here:
--   * what runs it: a pod's owner, a ReplicaSet replaced by its Deployment, a Job by its CronJob;
--   * which GPU series counts: the profiling one where it is there, else utilisation; devices are
--     told apart by resource or MIG profile, for a slice is not a GPU;
--   * labels as JSON with sorted keys.
-- Values become integers here: half a unit and a millionth is added before the rest is cut off,
-- so that noise in the last bits of a float cannot decide.
-- Rows keep the order of object_day, which is fixed; only what is grouped or joined is sorted.
-- Each part reads the series it wants and no others, and nodes, Services and replicas come last:
-- whoever filters by series skips the rest of the file.
-- Of a volume or a claim, x_WorkloadKind and x_Workload are its own kind and name, so that a claim is
-- found by namespace and name as a workload is.
-- One row per hour, series and labelled object.
with named_object as not materialized (
    select
        x_Series,
        hour.x_HourStart,
        labels,
        cast(floor(hour.value + 0.500001) as bigint) as x_Value,
        x_Namespace,
        x_Pod,
        x_Container,
        x_Node,
        service,
        x_PodUid
    from (
        select
            *,
            unnest(hours) as hour
        from object_day
    ) as object_hour
    where hour.value >= 0
        and not isnan(hour.value)
        and not isinf(hour.value)
),

-- ------------------------------------------------------------------------------- labels
-- A scrape adds the exporter's own namespace, pod and node where a metric has none. Sets of labels
-- are told apart by their hash: to compare millions of maps costs minutes.
labelled as not materialized (
    select
        x_Series,
        x_HourStart,
        x_Namespace,
        case x_Series when 'pod_labels' then x_Pod end as x_Pod,
        case x_Series when 'pod_labels' then x_PodUid end as x_PodUid,
        null as x_Node,
        case x_Series when 'service_labels' then service end as service,
        x_Value,
        hash(labels) as label_set,
        labels
    from named_object
    where x_Series in ('pod_labels', 'service_labels')
    union all
    select
        x_Series,
        x_HourStart,
        null as x_Namespace,
        null as x_Pod,
        null as x_PodUid,
        x_Node,
        null as service,
        x_Value,
        hash(labels) as label_set,
        labels
    from named_object
    where x_Series = 'node_labels'
),

each_label as (
    select
        label_set,
        unnest(map_entries(labels)) as entry
    from (
        select
            label_set,
            any_value(labels) as labels
        from labelled
        group by label_set
    ) as distinct_set
),

label_object as (
    select
        label_set,
        '{' || string_agg(
            cast(to_json(substr(entry.key, 7)) as varchar)
            || ':' || cast(to_json(entry.value) as varchar),
            ',' order by entry.key
        ) || '}' as x_Labels
    from each_label
    where entry.key like 'label\_%' escape '\'
    group by label_set
),

labelled_object as (
    select
        labelled.x_Series,
        labelled.x_HourStart,
        labelled.x_Namespace,
        labelled.x_Pod,
        labelled.x_PodUid,
        labelled.x_Node,
        labelled.service,
        coalesce(label_object.x_Labels, '{}') as x_Labels,
        max(labelled.x_Value) as x_Value
    from labelled
    left join label_object on label_object.label_set = labelled.label_set
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

-- Claims are few: their labels need no set to be told apart by.
labelled_claim as (
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Workload,
        '{' || coalesce(string_agg(
            cast(to_json(substr(entry.key, 7)) as varchar)
            || ':' || cast(to_json(entry.value) as varchar),
            ',' order by entry.key
        ) filter (where entry.key like 'label\_%' escape '\'), '') || '}' as x_Labels,
        x_Value
    from (
        select
            x_HourStart,
            x_Series,
            x_Namespace,
            labels['persistentvolumeclaim'] as x_Workload,
            hash(labels) as label_set,
            unnest(map_entries(labels)) as entry,
            x_Value
        from named_object
        where x_Series = 'claim_labels'
    ) as claim_label
    group by x_HourStart, x_Series, x_Namespace, x_Workload, label_set, x_Value
    order by x_HourStart, x_Namespace, x_Workload, x_Labels, x_Value
),

-- ------------------------------------------------------------------------------- owners
owner_of_owner as (
    select
        case x_Series when 'replicaset_owner' then 'ReplicaSet' else 'Job' end as kind,
        x_Namespace,
        case x_Series
            when 'replicaset_owner' then labels['replicaset']
            else coalesce(labels['job_name'], labels['exported_job'])
        end as name,
        max({
            'at': x_HourStart, 'kind': labels['owner_kind'], 'name': labels['owner_name']
        }) as owner
    from named_object
    where x_Series in ('replicaset_owner', 'job_owner')
        and labels['owner_name'] not in ('', '<none>')
    group by 1, 2, 3
),

owned_pod as (
    select
        named_object.x_HourStart,
        named_object.x_Namespace,
        named_object.x_Pod,
        named_object.x_PodUid,
        named_object.labels['owner_kind'] as direct_kind,
        named_object.labels['owner_name'] as direct_name,
        owner_of_owner.owner.kind as owner_kind,
        owner_of_owner.owner.name as owner_name,
        -- the names Deployments and CronJobs give, for clusters that do not export the owners
        case
            when owner_of_owner.owner.name is not null then null
            when named_object.labels['owner_kind'] = 'ReplicaSet' then nullif(regexp_extract(
                named_object.labels['owner_name'], '^(.+)-[bcdfghjklmnpqrstvwxz2456789]{5,10}$', 1
            ), '')
            when named_object.labels['owner_kind'] = 'Job' then nullif(regexp_extract(
                named_object.labels['owner_name'], '^(.+)-[0-9]{8,10}$', 1
            ), '')
        end as guessed_name,
        named_object.x_Value
    from named_object
    left join owner_of_owner
        on owner_of_owner.kind = named_object.labels['owner_kind']
        and owner_of_owner.x_Namespace = named_object.x_Namespace
        and owner_of_owner.name = named_object.labels['owner_name']
    where named_object.x_Series = 'pod_owner'
        and named_object.labels['owner_name'] not in ('', '<none>')
),

-- --------------------------------------------------------------------------- GPU, OOM kills
gpu_busy as (
    select
        x_HourStart,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        coalesce(labels['UUID'], '') as gpu,
        coalesce(labels['GPU_I_ID'], '') as slice,
        coalesce(labels['GPU_I_PROFILE'], '') as profile,
        coalesce(
            max(case x_Series when 'gpu_engine_active' then x_Value end),
            max(case x_Series when 'gpu_utilisation' then x_Value end)
        ) as x_Value
    from named_object
    where x_Series like 'gpu%'
        and x_Series in ('gpu_engine_active', 'gpu_utilisation')
        and x_Pod is not null
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

-- Restarts of an hour at whose end the last death was the OOM killer's; or the kernel's own
-- count, which the death of the container's cgroup often takes along: the larger of the two.
oom_kills as (
    select
        x_HourStart,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        greatest(
            coalesce(max(case x_Series when 'oom_reason' then x_Value end), 0)
            * coalesce(max(case x_Series when 'container_restarts' then x_Value end), 0),
            coalesce(sum(case x_Series when 'oom_events' then x_Value end), 0)
        ) as x_Value
    from named_object
    where x_Series in ('oom_reason', 'container_restarts', 'oom_events')
    group by 1, 2, 3, 4, 5
),

-- ------------------------------------------------------------------------- one below another
grouped as (
    select
        x_HourStart,
        'pod_owner' as x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        null as x_Container,
        null as x_Node,
        coalesce(owner_name, guessed_name, direct_name) as x_Workload,
        case
            when owner_name is not null then owner_kind
            when guessed_name is null then direct_kind
            when direct_kind = 'ReplicaSet' then 'Deployment'
            else 'CronJob'
        end as x_WorkloadKind,
        '{}' as x_Labels,
        x_Value
    from owned_pod
    union all
    select
        x_HourStart,
        'gpu_busy' as x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        null as x_Node,
        null as x_Workload,
        null as x_WorkloadKind,
        case profile
            when '' then '{}' else cast(json_object('profile', profile) as varchar)
        end as x_Labels,
        x_Value
    from gpu_busy
    union all
    select
        x_HourStart,
        'oom_kills' as x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        null as x_Node,
        null as x_Workload,
        null as x_WorkloadKind,
        '{}' as x_Labels,
        x_Value
    from oom_kills
    where x_Value > 0
    union all
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        null as x_Container,
        x_Node,
        service as x_Workload,
        case when service is not null then 'Service' end as x_WorkloadKind,
        x_Labels,
        x_Value
    from labelled_object
),

sorted_group as (
    select
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
    from grouped
    order by
        -- of these, the labels of nodes and Services are no pod's
        x_Series in ('node_labels', 'service_labels'), x_Series, x_HourStart, x_Namespace, x_Pod,
        x_PodUid, x_Container, x_Node, x_Workload, x_WorkloadKind, x_Labels, x_Value
),

measured as (
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        x_Node,
        cast(null as varchar) as x_Workload,
        cast(null as varchar) as x_WorkloadKind,
        case x_Series
            when 'gpu_request' then cast(json_object('resource', labels['resource']) as varchar)
            else '{}'
        end as x_Labels,
        x_Value
    from named_object
    -- not a list: the engine makes a join of a long one, and a join loses the order
    where case x_Series
        when 'cpu_usage' then true
        when 'cpu_peak' then true
        when 'cpu_periods' then true
        when 'cpu_throttled_periods' then true
        when 'memory_usage' then true
        when 'memory_peak' then true
        when 'cpu_request' then true
        when 'memory_request' then true
        when 'gpu_request' then true
        when 'cpu_limit' then true
        when 'memory_limit' then true
        when 'gpu_memory_peak' then true
        when 'pod_running' then true
        when 'pod_active' then true
        when 'pod_host_network' then true
        when 'network_sent' then true
        when 'network_received' then true
        else false
    end
    union all
    select
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
    from sorted_group
    union all
    -- What engines count of themselves: by pod and model, whatever tells their series apart.
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        null as x_Container,
        null as x_Node,
        null as x_Workload,
        null as x_WorkloadKind,
        cast(json_object(
            'model', coalesce(nullif(labels['model_name'], ''), labels['model'])
        ) as varchar) as x_Labels,
        x_Value
    from named_object
    where x_Series like 'serving%'
    union all
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        x_Pod,
        x_PodUid,
        x_Container,
        x_Node,
        null as x_Workload,
        null as x_WorkloadKind,
        case x_Series
            when 'node_running' then cast(json_object(
                'provider_id', coalesce(labels['provider_id'], '')
            ) as varchar)
            when 'node_gpu_capacity'
                then cast(json_object('resource', labels['resource']) as varchar)
            else '{}'
        end as x_Labels,
        x_Value
    from named_object
    where x_Series like 'node%'
        and x_Series in (
            'node_running', 'node_cpu_capacity', 'node_memory_capacity', 'node_gpu_capacity',
            'node_cpu_allocatable', 'node_memory_allocatable'
        )
    union all
    select
        x_HourStart,
        case x_Series
            when 'service_address' then x_Series
            else 'deployment_replicas'
        end as x_Series,
        x_Namespace,
        null as x_Pod,
        null as x_PodUid,
        null as x_Container,
        null as x_Node,
        case x_Series
            when 'service_address' then service
            else coalesce(labels['deployment'], labels['statefulset'])
        end as x_Workload,
        case x_Series
            when 'service_address' then 'Service'
            when 'statefulset_replicas' then 'StatefulSet'
            else 'Deployment'
        end as x_WorkloadKind,
        case x_Series
            when 'service_address' then cast(json_object(
                'hostname', coalesce(labels['hostname'], ''),
                'ip', coalesce(labels['ip'], ''),
                'uid', coalesce(labels['uid'], '')
            ) as varchar)
            else '{}'
        end as x_Labels,
        x_Value
    from named_object
    where x_Series in ('deployment_replicas', 'statefulset_replicas', 'service_address')
    union all
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        null as x_Pod,
        null as x_PodUid,
        null as x_Container,
        null as x_Node,
        x_Workload,
        'PersistentVolumeClaim' as x_WorkloadKind,
        x_Labels,
        x_Value
    from labelled_claim
    union all
    select
        x_HourStart,
        x_Series,
        x_Namespace,
        case x_Series when 'claim_pod' then x_Pod end as x_Pod,
        case x_Series when 'claim_pod' then x_PodUid end as x_PodUid,
        null as x_Container,
        null as x_Node,
        labels['persistentvolumeclaim'] as x_Workload,
        'PersistentVolumeClaim' as x_WorkloadKind,
        case x_Series
            when 'claim_bound'
                then cast(json_object('volume', coalesce(labels['volumename'], '')) as varchar)
            else '{}'
        end as x_Labels,
        x_Value
    from named_object
    where x_Series like 'claim%'
        and x_Series in ('claim_bound', 'claim_mounted', 'claim_pod')
    union all
    select
        x_HourStart,
        x_Series,
        null as x_Namespace,
        null as x_Pod,
        null as x_PodUid,
        null as x_Container,
        null as x_Node,
        labels['persistentvolume'] as x_Workload,
        'PersistentVolume' as x_WorkloadKind,
        case x_Series
            when 'volume_running' then cast(json_object('handle', coalesce(
                nullif(labels['csi_volume_handle'], ''), nullif(labels['ebs_volume_id'], ''),
                labels['gce_persistent_disk_name'], ''
            )) as varchar)
            when 'volume_claim' then cast(json_object(
                'claim', labels['name'], 'namespace', labels['claim_namespace']
            ) as varchar)
            else '{}'
        end as x_Labels,
        x_Value
    from named_object
    where x_Series like 'volume%'
)

select
    cast($day as varchar) as x_Day,
    cast($source as varchar) as x_Source,
    cast($cluster as varchar) as x_Cluster,
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
    cast(x_Value as bigint) as x_Value
from measured
