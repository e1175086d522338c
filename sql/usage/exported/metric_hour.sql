-- Hourly measurements from what others have worked out of pods: exports of OpenCost and Kubecost,
-- and AWS's split rows, as `sql/usage/pods` reads them.
-- Why: a row of an export is of an hour or a day, and says how much together. It is spread evenly
-- over the time it is of, whole units, so that the hours add up to the row. A pod counts as running
-- for as long as a row of it says, whichever of its containers that is. Where the export names no
-- node, nothing is said of one: the pod holds what it holds, and no node's cost falls to it. Of what
-- several rows say of a node's capacity in an hour, the one of the largest part is the most exact.
-- One row per hour, series and object.
with
cut as (
    select
        p.x_Namespace, p.x_Pod, p.x_PodUid, p.x_Workload, p.x_Labels, p.provider_id,
        coalesce(p.x_Container, '(pod)') as x_Container,
        p.x_Node,
        case lower(p.x_WorkloadKind)
            when 'deployment' then 'Deployment'
            when 'statefulset' then 'StatefulSet'
            when 'daemonset' then 'DaemonSet'
            when 'replicaset' then 'ReplicaSet'
            when 'job' then 'Job'
            when 'cronjob' then 'CronJob'
            else p.x_WorkloadKind
        end as x_WorkloadKind,
        p.starts_at, p.ends_at, p.running_ms, p.cpu_request, p.cpu_usage, p.memory_request,
        p.memory_usage, p.gpu_request, p.node_cpu, p.node_memory, p.node_gpu,
        date_trunc('hour', p.starts_at) + to_hours(step.after) as x_HourStart,
        cast(epoch_ms(p.ends_at) - epoch_ms(p.starts_at) as hugeint) as whole,
        cast(greatest(
            epoch_ms(date_trunc('hour', p.starts_at)) + step.after * 3600000
            - epoch_ms(p.starts_at), 0
        ) as hugeint) as before,
        cast(least(
            epoch_ms(date_trunc('hour', p.starts_at)) + (step.after + 1) * 3600000,
            epoch_ms(p.ends_at)
        ) - epoch_ms(p.starts_at) as hugeint) as until
    from pod_export as p
    inner join (
        values
        (0), (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15),
        (16), (17), (18), (19), (20), (21), (22), (23)
    ) as step (after)
        on date_trunc('hour', p.starts_at) + to_hours(step.after) < p.ends_at
    where p.x_Reason is null
        and ($asked_cluster = '' or p.cluster = $asked_cluster)
),
totalled as (
    select
        c.x_HourStart, s.x_Series, c.x_Namespace, c.x_Pod, c.x_PodUid, c.x_Container, c.whole,
        c.before, c.until,
        case s.x_Series
            when 'cpu_request' then c.cpu_request
            when 'cpu_usage' then c.cpu_usage
            when 'memory_request' then c.memory_request
            when 'memory_usage' then c.memory_usage
            when 'gpu_request' then c.gpu_request
        end as total
    from cut as c
    cross join (
        values
        ('cpu_request'), ('cpu_usage'), ('memory_request'), ('memory_usage'), ('gpu_request')
    ) as s (x_Series)
    where c.x_Pod is not null
),
held as (
    select
        x_HourStart, x_Series, x_Namespace, x_Pod, x_PodUid, x_Container,
        sum(total * until // whole - total * before // whole) as x_Value
    from totalled
    where total is not null and not (x_Series = 'gpu_request' and total = 0)
    group by x_HourStart, x_Series, x_Namespace, x_Pod, x_PodUid, x_Container
),
-- Rows of one pod and time, a container or a resource each, are one time of the pod.
pod_time as (
    select
        x_HourStart, x_Namespace, x_Pod, x_PodUid, starts_at, ends_at,
        max(x_Node) as x_Node,
        max(struct_pack(name := x_Workload, kind := coalesce(x_WorkloadKind, '(unknown)'))) filter (
            where x_Workload is not null
        ) as owner,
        max(x_Labels) as x_Labels,
        max(running_ms * until // whole - running_ms * before // whole) as ran_ms
    from cut
    where x_Pod is not null
    group by x_HourStart, x_Namespace, x_Pod, x_PodUid, starts_at, ends_at
),
pod_hour as (
    select
        x_HourStart, x_Namespace, x_Pod, x_PodUid, x_Node,
        max(owner) as owner,
        max(x_Labels) as x_Labels,
        cast(least(sum(ran_ms), 3600000) as bigint) as ran_ms
    from pod_time
    group by x_HourStart, x_Namespace, x_Pod, x_PodUid, x_Node
),
node_hour as (
    select
        x_HourStart, x_Node,
        max(provider_id) as provider_id,
        cast(max(until - before) as bigint) as ran_ms,
        max({
            'of': greatest(cpu_request, cpu_usage),
            'has': node_cpu * until // whole - node_cpu * before // whole
        }) filter (where node_cpu is not null).has as cpu,
        max({
            'of': greatest(memory_request, memory_usage),
            'has': node_memory * until // whole - node_memory * before // whole
        }) filter (where node_memory is not null).has as memory,
        max({
            'of': gpu_request,
            'has': node_gpu * until // whole - node_gpu * before // whole
        }) filter (where node_gpu is not null).has as gpu
    from cut
    where x_Node is not null
    group by x_HourStart, x_Node
),
told as (
    select
        x_HourStart, x_Series, x_Namespace, x_Pod, x_PodUid, x_Container,
        cast(null as varchar) as x_Node, cast(null as varchar) as x_Workload,
        cast(null as varchar) as x_WorkloadKind, '{}' as x_Labels, x_Value
    from held
    union all
    select
        x_HourStart, 'pod_running' as x_Series, x_Namespace, x_Pod, x_PodUid, null as x_Container,
        x_Node, null as x_Workload, null as x_WorkloadKind, '{}' as x_Labels, ran_ms as x_Value
    from pod_hour
    where x_Node is not null
    union all
    select
        x_HourStart, 'pod_owner' as x_Series, x_Namespace, x_Pod, x_PodUid, null as x_Container,
        null as x_Node, owner.name as x_Workload, owner.kind as x_WorkloadKind,
        '{}' as x_Labels, ran_ms as x_Value
    from pod_hour
    where owner is not null
    union all
    select
        x_HourStart, 'pod_labels' as x_Series, x_Namespace, x_Pod, x_PodUid, null as x_Container,
        null as x_Node, null as x_Workload, null as x_WorkloadKind, x_Labels, ran_ms as x_Value
    from pod_hour
    where x_Labels <> '{}'
    union all
    select
        n.x_HourStart, s.x_Series, null as x_Namespace, null as x_Pod, null as x_PodUid,
        null as x_Container, n.x_Node, null as x_Workload, null as x_WorkloadKind,
        case s.x_Series
            when 'node_running'
                then cast(json_object('provider_id', coalesce(n.provider_id, '')) as varchar)
            else '{}'
        end as x_Labels,
        case s.x_Series
            when 'node_running' then n.ran_ms
            when 'node_cpu_capacity' then n.cpu
            when 'node_memory_capacity' then n.memory
            when 'node_gpu_capacity' then n.gpu
        end as x_Value
    from node_hour as n
    cross join (
        values
        ('node_running'), ('node_cpu_capacity'), ('node_memory_capacity'), ('node_gpu_capacity')
    ) as s (x_Series)
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
from told
where x_Value is not null
order by
    -- as sql/usage/metric_hour.sql: what is of nodes comes last
    x_Series like 'node%', x_Series, x_HourStart, x_Namespace, x_Pod, x_PodUid, x_Container,
    x_Node, x_Workload, x_WorkloadKind, x_Labels, x_Value
