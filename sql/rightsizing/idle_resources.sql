-- Declared workloads that hold GPUs and serve nobody: no inference call reached them in the
-- whole period, and their GPUs were busy for $gpu_busy of the time or less.
--
-- Both witnesses are needed. GPUs without DCGM metrics are unknown, not idle; a period without
-- inference logs says nothing of who served; a batch job is busy without any call. One busy
-- hour is enough to abstain, so that a weekly job is not taken for idle.
--
-- The saving is the workload's part of the nodes it ran on, over 730 hours, by the larger of
-- requested and used, at what those nodes really cost in the measured hours. It is a saving on
-- paper until a node leaves.
--
-- One row per declared workload that holds GPUs.
with
holder as (
    select
        x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload,
        case when x_WorkloadKind = 'InferenceService' then 'Deployment' else x_WorkloadKind end
            as seen_kind,
        case when x_WorkloadKind = 'InferenceService' then x_Workload || '-predictor'
            else x_Workload end as seen_workload,
        max(x_Replicas) as replicas,
        max(x_Autoscaler) as x_Autoscaler,
        count(*) over (partition by x_Namespace, x_WorkloadKind, x_Workload) as declarations
    from declared_workload
    group by x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload
    having sum(x_GpuRequest) > 0
),
-- ------------------------------------------------------------------- what was measured
clock as (
    select count(distinct x_HourStart) as all_hours from pod_usage
),
-- Nobody else's pods are measured.
held_pod as (
    select
        u.x_Namespace, u.x_WorkloadKind, u.x_Workload, u.x_HourStart, u.x_Cluster, u.x_Node,
        u.x_PodUid, u.x_Labels, u.x_GpuRequestMs, u.x_GpuBusyMs, u.x_CpuAllocatedCoreMs,
        u.x_MemoryAllocatedByteSeconds, u.x_GpuAllocatedParts
    from pod_usage as u
    semi join holder as h
        on h.x_Namespace = u.x_Namespace
        and h.seen_kind = u.x_WorkloadKind
        and h.seen_workload = u.x_Workload
),
busy_hour as (
    select
        x_Namespace, x_WorkloadKind, x_Workload, x_HourStart,
        count(distinct x_Cluster) as clusters,
        min(x_Cluster) as x_Cluster,
        count(distinct x_PodUid) as pods,
        sum(x_GpuRequestMs) as held_ms,
        sum(x_GpuBusyMs) as busy_ms,
        count(*) filter (where x_GpuRequestMs > 0 and x_GpuBusyMs is null) as blind
    from held_pod
    group by x_Namespace, x_WorkloadKind, x_Workload, x_HourStart
),
measured as (
    select
        x_Namespace, x_WorkloadKind, x_Workload,
        max(clusters) as clusters,
        min(x_Cluster) as x_Cluster,
        max(x_Cluster) as last_cluster,
        max(pods) as pods,
        count(*) as seen_hours,
        count(*) filter (where blind = 0 and held_ms > 0) as hours,
        sum(held_ms) filter (where blind = 0) as held_ms,
        sum(busy_ms) filter (where blind = 0) as busy_ms,
        max(busy_ms * 1000000 // nullif(held_ms, 0)) filter (where blind = 0) as busiest,
        min(x_HourStart) as first_hour,
        max(x_HourStart) as last_hour
    from busy_hour
    group by x_Namespace, x_WorkloadKind, x_Workload
),
log_kept as (
    select count(*) > 0 as has_logs from inference_usage
),
served as (
    select i.x_Endpoint, sum(i.x_Calls) as calls
    from inference_usage as i
    semi join (select x_Namespace || '/' || x_Workload as x_Endpoint from holder) as h
        on h.x_Endpoint = i.x_Endpoint
    group by i.x_Endpoint
),
environment_named as (
    select
        c.x_Namespace, c.x_WorkloadKind, c.x_Workload,
        case when count(distinct o.x_Environment) = 1 then min(o.x_Environment) end
            as x_Environment
    from (
        select distinct x_Namespace, x_WorkloadKind, x_Workload, x_Labels from held_pod
    ) as c
    inner join tag_owner as o on o.Tags = c.x_Labels
    group by c.x_Namespace, c.x_WorkloadKind, c.x_Workload
),
-- ------------------------------------------------------------------ what its nodes cost
pod_node as (
    select
        h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.x_Cluster, h.x_Node,
        sum(
            cast(h.x_CpuAllocatedCoreMs as hugeint) * 1024 * w.x_CpuWeight
            + (cast(h.x_MemoryAllocatedByteSeconds as hugeint) * 1000 // 1048576)
            * w.x_MemoryWeight
            + cast(h.x_GpuAllocatedParts as hugeint) * 1024 * w.x_GpuWeight // gpu_parts()
        ) as worth
    from held_pod as h
    inner join price_ratio as w on w.x_Cluster = h.x_Cluster
    group by h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.x_Cluster, h.x_Node
),
price as (
    select
        n.x_Namespace, n.x_WorkloadKind, n.x_Workload,
        case when count(distinct p.BillingCurrency) = 1 then min(p.BillingCurrency) end
            as BillingCurrency,
        -- apportion() wants totals below 10^18; proportions are kept to that many digits.
        sum(
            apportion(
                money_units(p.EffectiveCost), n.worth // p.divisor, greatest(p.total // p.divisor, 1)
            )
        ) as held_units
    from pod_node as n
    inner join (
        select
            *,
            cast(x_CapacityWeight as hugeint) as total,
            cast(x_CapacityWeight as hugeint) // 500000000000000000 + 1 as divisor
        from node_price
    ) as p on p.x_Cluster = n.x_Cluster and p.x_Node = n.x_Node
    group by n.x_Namespace, n.x_WorkloadKind, n.x_Workload
),
-- ------------------------------------------------------------------------ is it idle
judged as (
    select
        h.*,
        f.x_Declared,
        m.clusters, m.x_Cluster, m.pods, m.hours, m.held_ms, m.busy_ms, m.busiest,
        m.first_hour, m.last_hour,
        coalesce(s.calls, 0) as calls,
        p.BillingCurrency, p.held_units,
        e.x_Environment,
        m.x_Cluster = m.last_cluster and m.clusters = 1 as is_one_cluster,
        case
            when h.declarations > 1 then
                'several overlays declare a workload of this name, so the measurement may be '
                || 'of another'
            when h.replicas <= $idle_replicas then 'it is already at the replicas proposed'
            when m.seen_hours is null then 'not measured'
            when m.x_Cluster <> m.last_cluster or m.clusters > 1 then
                'measured in several clusters, and Git does not say which is meant'
            when s.calls > 0 then 'it served ' || s.calls || ' inference calls'
            when not log_kept.has_logs then
                'no inference logs in the period, so nobody can say whether it served'
            when m.hours = 0 then 'its GPUs are not measured (no DCGM metrics)'
            when m.hours < $minimum_hours then
                'GPUs measured for ' || m.hours || ' hours, fewer than ' || $minimum_hours
            when m.busiest > cast($gpu_busy * 1000000 as bigint) then
                'no inference calls, but its GPUs were busy for ' || m.busiest // 1000
                || ' permille of their busiest hour'
            when h.x_Autoscaler in ('HPA', 'KEDA') then
                h.x_Autoscaler || ' sets its replicas; lower its minimum instead'
            when h.replicas is null then 'no replicas are declared'
            when f.x_Declared is null then
                'the replicas come from a base or anchor that other workloads share; '
                || 'patch them in this overlay first'
        end as objection
    from holder as h
    cross join log_kept
    left join measured as m
        on m.x_Namespace = h.x_Namespace and m.x_WorkloadKind = h.seen_kind
        and m.x_Workload = h.seen_workload
    left join served as s on s.x_Endpoint = h.x_Namespace || '/' || h.x_Workload
    left join declared_field as f
        on f.x_Repository = h.x_Repository and f.x_Overlay = h.x_Overlay
        and f.x_Namespace = h.x_Namespace and f.x_WorkloadKind = h.x_WorkloadKind
        and f.x_Workload = h.x_Workload and f.x_Field = 'spec.replicas'
    left join price as p
        on p.x_Namespace = h.x_Namespace and p.x_WorkloadKind = h.seen_kind
        and p.x_Workload = h.seen_workload
    left join environment_named as e
        on e.x_Namespace = h.x_Namespace and e.x_WorkloadKind = h.seen_kind
        and e.x_Workload = h.seen_workload
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        '|', 'idle_resources', x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload,
        '(all)', 'spec.replicas', coalesce(x_Declared, '')
    )) as x_RecommendationId,
    'idle_resources' as x_Recommender,
    case when objection is null then 'propose' else 'none' end as x_Outcome,
    x_Repository,
    x_Overlay,
    case when is_one_cluster then x_Cluster end as x_Cluster,
    x_Namespace,
    x_WorkloadKind,
    x_Workload,
    '(all)' as x_Container,
    x_Environment,
    'spec.replicas' as x_Field,
    coalesce(x_Declared, cast(replicas as varchar)) as x_Current,
    case when objection is null then cast($idle_replicas as varchar) end as x_Proposed,
    units_money(
        case when objection is null and BillingCurrency is not null
            then held_units * 730 * (replicas - $idle_replicas) // (all_hours * replicas)
            else 0
        end
    ) as x_MonthlySaving,
    BillingCurrency,
    coalesce(
        objection,
        'no inference call in the whole period, and its GPUs were busy for at most '
        || busiest // 1000 || ' permille of any hour; a saving on paper until a node leaves'
        || case when BillingCurrency is null
            then '; its nodes are not on the bill in one currency, so no saving is stated'
            else ''
        end
    ) as x_Reason,
    cast(json_object(
        'hours', coalesce(hours, 0),
        'pods', coalesce(pods, 0),
        'calls', calls,
        'gpu_held_ms', held_ms,
        'gpu_busy_ms', busy_ms,
        'busiest_hour_permille', busiest // 1000,
        'from', strftime(first_hour, '%Y-%m-%dT%H:%M:%SZ'),
        'to', strftime(last_hour + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ')
    ) as varchar) as x_Evidence
from judged
cross join clock
order by x_RecommendationId
