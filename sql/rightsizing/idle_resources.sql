-- Declared workloads that hold GPUs and serve nobody: no inference call reached them in the
-- whole period, and their GPUs were busy for $gpu_busy of the time or less.
--
-- Both witnesses are needed. GPUs without DCGM metrics are unknown, not idle, and so are they in hours
-- they were held and not measured, which may be $maximum_unmeasured of all. A log says who served only of
-- what it could have seen, a namespace that it has calls of: one of bought APIs, or of other
-- namespaces, says nothing. What an engine counted itself was served, logged or not. A batch job is
-- busy without any call. One busy hour is enough to abstain, so that a weekly job is not taken for
-- idle.
--
-- For a repository that says which cluster it is applied to, only what was used there counts; for
-- one that says none, what was used in any one cluster. Logs do not say a cluster: a call counts
-- wherever it was.
--
-- The saving is the workload's part of the nodes it ran on, over 730 hours, by the larger of
-- requested and used, at what those nodes really cost in the measured hours. It is a saving on
-- paper until a node leaves.
--
-- One row per declared workload that holds GPUs.
with
-- Under which name and where a workload is measured: KServe serves by a Deployment of its own.
-- What other repositories declare for other clusters is no second declaration.
holder as (
    select
        d.x_Repository, d.x_Overlay, d.x_Namespace, d.x_WorkloadKind, d.x_Workload,
        r.x_Cluster as meant_cluster,
        case when d.x_WorkloadKind = 'InferenceService' then 'Deployment' else d.x_WorkloadKind end
            as seen_kind,
        case when d.x_WorkloadKind = 'InferenceService' then d.x_Workload || '-predictor'
            else d.x_Workload end as seen_workload,
        max(d.x_Replicas) as replicas,
        max(d.x_Autoscaler) as x_Autoscaler,
        count(*) over name - case
            when r.x_Cluster is null then 0
            else count(r.x_Cluster) over name - count(*) over name_in_cluster
        end as declarations
    from declared_workload as d
    left join repository_cluster as r on r.x_Repository = d.x_Repository
    group by
        d.x_Repository, d.x_Overlay, d.x_Namespace, d.x_WorkloadKind, d.x_Workload, r.x_Cluster
    having sum(d.x_GpuRequest) > 0
    window
        name as (partition by d.x_Namespace, d.x_WorkloadKind, d.x_Workload),
        name_in_cluster as (
            partition by d.x_Namespace, d.x_WorkloadKind, d.x_Workload, r.x_Cluster
        )
),
-- ------------------------------------------------------------------- what was measured
clock as (
    select count(distinct x_HourStart) as all_hours from pod_usage
),
-- Nobody else's pods are measured; from here on what is measured is its number.
seen as (
    select
        x_Namespace, seen_kind, seen_workload, meant_cluster,
        row_number() over (
            order by x_Namespace, seen_kind, seen_workload, meant_cluster
        ) as workload
    from holder
    group by x_Namespace, seen_kind, seen_workload, meant_cluster
),
held_pod as (
    select
        s.workload, u.x_HourStart, u.x_Cluster, u.x_Node, u.x_PodUid, u.x_Labels,
        u.x_GpuRequestMs, u.x_GpuBusyMs, u.x_CpuAllocatedCoreMs, u.x_MemoryAllocatedByteSeconds,
        u.x_GpuAllocatedParts
    from pod_usage as u
    inner join seen as s
        on s.x_Namespace = u.x_Namespace
        and s.seen_kind = u.x_WorkloadKind
        and s.seen_workload = u.x_Workload
        and (s.meant_cluster is null or s.meant_cluster = u.x_Cluster)
),
busy_hour as (
    select
        workload, x_HourStart,
        count(distinct x_Cluster) as clusters,
        min(x_Cluster) as x_Cluster,
        count(distinct x_PodUid) as pods,
        sum(x_GpuRequestMs) as held_ms,
        sum(x_GpuBusyMs) as busy_ms,
        count(*) filter (where x_GpuRequestMs > 0 and x_GpuBusyMs is null) as blind
    from held_pod
    group by workload, x_HourStart
),
measured as (
    select
        workload,
        max(clusters) as clusters,
        min(x_Cluster) as x_Cluster,
        max(x_Cluster) as last_cluster,
        max(pods) as pods,
        count(*) as seen_hours,
        count(*) filter (where held_ms > 0) as held_hours,
        count(*) filter (where blind = 0 and held_ms > 0) as hours,
        sum(held_ms) filter (where blind = 0) as held_ms,
        sum(busy_ms) filter (where blind = 0) as busy_ms,
        -- of an hour that was measured in part, at least
        max(busy_ms * 1000000 // nullif(held_ms, 0)) as busiest,
        min(x_HourStart) filter (where blind = 0 and held_ms > 0) as first_hour,
        max(x_HourStart) filter (where blind = 0 and held_ms > 0) as last_hour
    from busy_hour
    group by workload
),
-- --------------------------------------------------------------------- who was served
called as (
    select x_Endpoint, sum(x_Calls) as calls
    from inference_usage
    group by x_Endpoint
),
logged_namespace as (
    select distinct split_part(x_Endpoint, '/', 1) as x_Namespace
    from called
),
-- A log may have the name that Git has, too.
holder_name as (
    select x_Namespace, x_WorkloadKind, x_Workload, meant_cluster,
        x_Namespace || '/' || seen_workload as x_Endpoint
    from holder
    union
    select x_Namespace, x_WorkloadKind, x_Workload, meant_cluster,
        x_Namespace || '/' || x_Workload as x_Endpoint
    from holder
),
served as (
    select h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.meant_cluster, sum(c.calls) as calls
    from holder_name as h
    inner join called as c on c.x_Endpoint = h.x_Endpoint
    group by h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.meant_cluster
),
counted as (
    select
        h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.meant_cluster,
        sum(s.x_Requests) as requests
    from serving_usage as s
    inner join holder_name as h
        on h.x_Endpoint = s.x_Endpoint
        and (h.meant_cluster is null or h.meant_cluster = s.x_Cluster)
    group by h.x_Namespace, h.x_WorkloadKind, h.x_Workload, h.meant_cluster
),
environment_named as (
    select
        l.workload,
        case when count(distinct o.x_Environment) = 1 then min(o.x_Environment) end
            as x_Environment
    from (select distinct workload, x_Labels from held_pod) as l
    inner join tag_owner as o on o.Tags = l.x_Labels
    group by l.workload
),
-- ------------------------------------------------------------------ what its nodes cost
pod_node as (
    select
        h.workload, h.x_Cluster, h.x_Node,
        sum(
            cast(h.x_CpuAllocatedCoreMs as hugeint) * 1024 * w.x_CpuWeight
            + (cast(h.x_MemoryAllocatedByteSeconds as hugeint) * 1000 // 1048576)
            * w.x_MemoryWeight
            + cast(h.x_GpuAllocatedParts as hugeint) * 1024 * w.x_GpuWeight // gpu_parts()
        ) as worth
    from held_pod as h
    inner join price_ratio as w on w.x_Cluster = h.x_Cluster
    group by h.workload, h.x_Cluster, h.x_Node
),
price as (
    select
        n.workload,
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
    group by n.workload
),
-- ------------------------------------------------------------------------ is it idle
judged as (
    select
        h.*,
        f.x_Declared,
        m.clusters, m.x_Cluster, m.pods, m.hours, m.held_ms, m.busy_ms, m.busiest,
        m.held_hours, m.first_hour, m.last_hour,
        coalesce(s.calls, 0) as calls,
        n.requests,
        p.BillingCurrency, p.held_units,
        e.x_Environment,
        m.x_Cluster = m.last_cluster and m.clusters = 1 as is_one_cluster,
        case
            when h.declarations > 1 then
                'several overlays declare a workload of this name, so the measurement may be '
                || 'of another'
            when h.replicas <= $idle_replicas then 'it is already at the replicas proposed'
            when m.seen_hours is null
                then 'not measured' || coalesce(' in ' || h.meant_cluster, '')
            when m.x_Cluster <> m.last_cluster or m.clusters > 1 then
                'measured in several clusters, and Git does not say which is meant'
            when s.calls > 0 then 'it served ' || s.calls || ' inference calls'
            when n.requests > 0 then
                'its serving engine counted ' || n.requests || ' requests'
            when k.x_Namespace is null then
                'no inference log of the period has a call of its namespace, so nobody can say '
                || 'whether it served'
            when m.hours = 0 then 'its GPUs are not measured (no DCGM metrics)'
            when m.hours < $minimum_hours then
                'GPUs measured for ' || m.hours || ' hours, fewer than ' || $minimum_hours
            when m.busiest > cast($gpu_busy * 1000000 as bigint) then
                'no inference calls, but its GPUs were busy for ' || m.busiest // 1000
                || ' permille of their busiest hour'
            when (m.held_hours - m.hours) * 1000000
                > m.held_hours * cast($maximum_unmeasured * 1000000 as bigint)
                then 'its GPUs were held for ' || m.held_hours || ' hours and measured in only '
                    || m.hours || ' of them'
            when h.x_Autoscaler in ('HPA', 'KEDA') then
                h.x_Autoscaler || ' sets its replicas; lower its minimum instead'
            when h.replicas is null then 'no replicas are declared'
            when f.x_Declared is null then
                'the replicas come from a base or anchor that other workloads share; '
                || 'patch them in this overlay first'
        end as objection
    from holder as h
    inner join seen as w
        on w.x_Namespace = h.x_Namespace and w.seen_kind = h.seen_kind
        and w.seen_workload = h.seen_workload
        and w.meant_cluster is not distinct from h.meant_cluster
    left join measured as m on m.workload = w.workload
    left join logged_namespace as k on k.x_Namespace = h.x_Namespace
    left join served as s
        on s.x_Namespace = h.x_Namespace and s.x_WorkloadKind = h.x_WorkloadKind
        and s.x_Workload = h.x_Workload
        and s.meant_cluster is not distinct from h.meant_cluster
    left join counted as n
        on n.x_Namespace = h.x_Namespace and n.x_WorkloadKind = h.x_WorkloadKind
        and n.x_Workload = h.x_Workload
        and n.meant_cluster is not distinct from h.meant_cluster
    left join declared_field as f
        on f.x_Repository = h.x_Repository and f.x_Overlay = h.x_Overlay
        and f.x_Namespace = h.x_Namespace and f.x_WorkloadKind = h.x_WorkloadKind
        and f.x_Workload = h.x_Workload and f.x_Field = 'spec.replicas'
    left join price as p on p.workload = w.workload
    left join environment_named as e on e.workload = w.workload
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
    coalesce(meant_cluster, case when is_one_cluster then x_Cluster end) as x_Cluster,
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
        || busiest // 1000 || ' permille of any of the ' || hours || ' hours measured from '
        || strftime(first_hour, '%Y-%m-%d %H:%M') || ' to '
        || strftime(last_hour + interval 1 hour, '%Y-%m-%d %H:%M')
        || '; a saving on paper until a node leaves'
        || case when BillingCurrency is null
            then '; its nodes are not on the bill in one currency, so no saving is stated'
            else ''
        end
    ) as x_Reason,
    cast(json_object(
        'hours', coalesce(hours, 0),
        'held_hours', coalesce(held_hours, 0),
        'pods', coalesce(pods, 0),
        'calls', calls,
        'engine_requests', requests,
        'gpu_held_ms', held_ms,
        'gpu_busy_ms', busy_ms,
        'busiest_hour_permille', busiest // 1000,
        'from', strftime(first_hour, '%Y-%m-%dT%H:%M:%SZ'),
        'to', strftime(last_hour + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ')
    ) as varchar) as x_Evidence
from judged
cross join clock
order by x_RecommendationId
