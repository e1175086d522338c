-- What each declared container asks for, against what it used: CPU and memory.
--
-- CPU: the $cpu_percentile of its hourly CPU peaks over all pods, plus $cpu_headroom. An hourly
-- peak is the highest five-minute rate of the hour, so the 95th percentile of peaks is a busier
-- moment than the 95th percentile of use: the answer is careful by design. Memory: the largest
-- peak of all, plus $memory_headroom. Both rounded up, to 10m and 16Mi, so that a little more
-- data seldom changes the answer. Percentiles are nearest-rank: an observed value, no
-- interpolation.
--
-- `none` where a change is not safe or not worth it: not measured, too short, scaled on that
-- very resource, throttled, killed for memory, shared with other workloads in Git, more than one
-- workload of that name. More is proposed where use exceeded the request: its saving is negative.
--
-- Requests of pods of the QoS class Guaranteed are not lowered: these ask for as much as their
-- limits in every container, and a lower request alone would make them Burstable, which are evicted
-- and killed sooner and have no CPUs of their own. A limit alone counts as a request, too.
--
-- For a repository that says which cluster it is applied to, only what was used there counts; for
-- one that says none, what was used in any one cluster.
--
-- The saving is what the freed part of the nodes it ran on costs in 730 hours, at what those
-- nodes really cost in the measured hours, split as price_ratio has a core,
-- a GiB and a GPU. It is a saving on paper until a node leaves.
--
-- One row per declared container and resource.
with
asked as (
    select
        x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload, x_Container,
        x_Autoscaler,
        'cpu' as resource,
        'resources.requests.cpu' as x_Field,
        x_CpuRequestMillicores as amount,
        x_CpuLimitMillicores as upper_limit
    from declared_workload
    union all
    select
        x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload, x_Container,
        x_Autoscaler,
        'memory' as resource,
        'resources.requests.memory' as x_Field,
        x_MemoryRequestBytes as amount,
        x_MemoryLimitBytes as upper_limit
    from declared_workload
),
-- Under which name and where a workload is measured: KServe serves by a Deployment of its own.
-- What other repositories declare for other clusters is no second declaration.
declared as (
    select
        a.*,
        r.x_Cluster as meant_cluster,
        case when a.x_WorkloadKind = 'InferenceService' then 'Deployment' else a.x_WorkloadKind end
            as seen_kind,
        case when a.x_WorkloadKind = 'InferenceService' then a.x_Workload || '-predictor'
            else a.x_Workload end as seen_workload,
        count(*) over name - case
            when r.x_Cluster is null then 0
            else count(r.x_Cluster) over name - count(*) over name_in_cluster
        end as declarations,
        bool_and(coalesce(coalesce(a.amount, a.upper_limit) = a.upper_limit, false)) over (
            partition by
                a.x_Repository, a.x_Overlay, a.x_Namespace, a.x_WorkloadKind, a.x_Workload
        ) as is_guaranteed
    from asked as a
    left join repository_cluster as r on r.x_Repository = a.x_Repository
    window
        name as (
            partition by
                a.x_Namespace, a.x_WorkloadKind, a.x_Workload, a.x_Container, a.resource
        ),
        name_in_cluster as (
            partition by
                a.x_Namespace, a.x_WorkloadKind, a.x_Workload, a.x_Container, a.resource,
                r.x_Cluster
        )
),
scaled_on as (
    select
        x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload,
        replace(x_Field, 'autoscaler.', '') as resource
    from declared_field
    where x_Field in ('autoscaler.cpu', 'autoscaler.memory')
),
-- ------------------------------------------------------------------- what was measured
clock as (
    select count(distinct x_HourStart) as all_hours from container_usage
),
-- Nobody else's containers are measured; from here on a container is its number.
seen as (
    select
        x_Namespace, seen_kind, seen_workload, x_Container, meant_cluster,
        row_number() over (
            order by x_Namespace, seen_kind, seen_workload, x_Container, meant_cluster
        ) as container
    from declared
    group by x_Namespace, seen_kind, seen_workload, x_Container, meant_cluster
),
used_hour as (
    select
        s.container, u.x_Cluster, u.x_Node, u.x_PodUid, u.x_HourStart, u.x_RunningMs, u.x_OomKills,
        u.x_CpuPeriods, u.x_CpuThrottledPeriods, u.x_CpuPeakMillicores,
        u.x_MemoryPeakBytes
    from container_usage as u
    inner join seen as s
        on s.x_Namespace = u.x_Namespace
        and s.seen_kind = u.x_WorkloadKind
        and s.seen_workload = u.x_Workload
        and s.x_Container = u.x_Container
        and (s.meant_cluster is null or s.meant_cluster = u.x_Cluster)
),
sample as (
    select 'cpu' as resource, container, x_PodUid, x_HourStart, x_CpuPeakMillicores as peak
    from used_hour
    where x_CpuPeakMillicores is not null
    union all
    select 'memory' as resource, container, x_PodUid, x_HourStart, x_MemoryPeakBytes as peak
    from used_hour
    where x_MemoryPeakBytes is not null
),
peaks as (
    select resource, container, peak, count(*) as times
    from sample
    group by resource, container, peak
),
-- `place` is that of the last of equal peaks.
ranked as (
    select
        resource, container, peak,
        sum(times) over (
            partition by resource, container order by peak
            rows between unbounded preceding and current row
        ) as place
    from peaks
),
extent as (
    select
        resource, container, count(*) as samples,
        count(distinct x_HourStart) as hours,
        count(distinct x_PodUid) as pods,
        min(x_HourStart) as first_hour,
        max(x_HourStart) as last_hour
    from sample
    group by resource, container
),
measured as (
    select
        e.resource, e.container, e.hours, e.pods, e.first_hour, e.last_hour,
        min(r.peak) filter (where r.place >= (e.samples + 1) // 2) as median,
        min(r.peak) filter (
            where r.place * 1000000 >= e.samples * cast($cpu_percentile * 1000000 as bigint)
        ) as percentile,
        max(r.peak) as highest
    from ranked as r
    inner join extent as e on e.resource = r.resource and e.container = r.container
    group by e.resource, e.container, e.hours, e.pods, e.first_hour, e.last_hour
),
ran as (
    select
        container,
        count(distinct x_Cluster) as clusters,
        min(x_Cluster) as x_Cluster,
        sum(x_RunningMs) as running_ms,
        sum(x_OomKills) as oom_kills,
        sum(x_CpuPeriods) as periods,
        sum(x_CpuThrottledPeriods) as throttled
    from used_hour
    group by container
),
-- A workload that should stop needs no smaller requests: its saving is counted there.
stopped as (
    select x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload
    from idle_resources
    where x_Outcome = 'propose'
),
environment_named as (
    select
        c.x_Namespace, c.seen_kind, c.seen_workload, c.meant_cluster,
        case when count(distinct o.x_Environment) = 1 then min(o.x_Environment) end
            as x_Environment
    from (
        select distinct s.x_Namespace, s.seen_kind, s.seen_workload, s.meant_cluster, u.x_Labels
        from container_usage as u
        inner join (
            select distinct x_Namespace, seen_kind, seen_workload, meant_cluster from seen
        ) as s
            on s.x_Namespace = u.x_Namespace
            and s.seen_kind = u.x_WorkloadKind
            and s.seen_workload = u.x_Workload
            and (s.meant_cluster is null or s.meant_cluster = u.x_Cluster)
    ) as c
    inner join tag_owner as o on o.Tags = c.x_Labels
    group by c.x_Namespace, c.seen_kind, c.seen_workload, c.meant_cluster
),
-- ------------------------------------------------------------------ what its nodes cost
-- Units of money (10^-12) for a core, and for a MiB, over 730 hours.
node_month as (
    select
        p.x_Cluster, p.x_Node, p.BillingCurrency,
        money_units(p.EffectiveCost) * 1024 * w.x_CpuWeight * 2628000000
        // cast(p.x_CapacityWeight as hugeint) as core_month,
        money_units(p.EffectiveCost) * w.x_MemoryWeight * 2628000000
        // cast(p.x_CapacityWeight as hugeint) as mib_month
    from node_price as p
    inner join price_ratio as w on w.x_Cluster = p.x_Cluster
),
container_node as (
    select container, x_Cluster, x_Node, sum(x_RunningMs) as running_ms
    from used_hour
    group by container, x_Cluster, x_Node
),
price as (
    select
        n.container,
        case when count(distinct p.BillingCurrency) = 1 then min(p.BillingCurrency) end
            as BillingCurrency,
        sum(n.running_ms * p.core_month) // nullif(sum(n.running_ms), 0) as core_month,
        sum(n.running_ms * p.mib_month) // nullif(sum(n.running_ms), 0) as mib_month
    from container_node as n
    inner join node_month as p on p.x_Cluster = n.x_Cluster and p.x_Node = n.x_Node
    group by n.container
),
-- ---------------------------------------------------------------------- what to ask for
sized as (
    select
        d.*,
        f.x_Declared,
        f.x_Path,
        s.resource is not null as is_scaled_on,
        i.x_Workload is not null as is_stopped,
        r.clusters, r.x_Cluster, r.running_ms, r.oom_kills, r.periods, r.throttled,
        m.hours, m.pods, m.median, m.percentile, m.highest, m.first_hour, m.last_hour,
        p.BillingCurrency, p.core_month, p.mib_month,
        e.x_Environment,
        case when d.resource = 'cpu' then m.percentile else m.highest end as used,
        case d.resource
            when 'cpu' then greatest(
                (
                    m.percentile * (1000000 + cast($cpu_headroom * 1000000 as bigint)) + 9999999
                ) // 10000000 * 10,
                $minimum_cpu_millicores
            )
            else greatest(
                (
                    cast(m.highest as hugeint)
                    * (1000000 + cast($memory_headroom * 1000000 as bigint)) + 16777215999999
                ) // 16777216000000 * 16777216,
                $minimum_memory_mib * 1048576
            )
        end as rounded
    from declared as d
    left join declared_field as f
        on f.x_Repository = d.x_Repository and f.x_Overlay = d.x_Overlay
        and f.x_Namespace = d.x_Namespace and f.x_WorkloadKind = d.x_WorkloadKind
        and f.x_Workload = d.x_Workload and f.x_Container = d.x_Container
        and f.x_Field = d.x_Field
    left join scaled_on as s
        on s.x_Repository = d.x_Repository and s.x_Overlay = d.x_Overlay
        and s.x_Namespace = d.x_Namespace and s.x_WorkloadKind = d.x_WorkloadKind
        and s.x_Workload = d.x_Workload and s.resource = d.resource
    left join stopped as i
        on i.x_Repository = d.x_Repository and i.x_Overlay = d.x_Overlay
        and i.x_Namespace = d.x_Namespace and i.x_WorkloadKind = d.x_WorkloadKind
        and i.x_Workload = d.x_Workload
    left join seen as c
        on c.x_Namespace = d.x_Namespace and c.seen_kind = d.seen_kind
        and c.seen_workload = d.seen_workload and c.x_Container = d.x_Container
        and c.meant_cluster is not distinct from d.meant_cluster
    left join ran as r on r.container = c.container
    left join measured as m on m.container = c.container and m.resource = d.resource
    left join price as p on p.container = c.container
    left join environment_named as e
        on e.x_Namespace = d.x_Namespace and e.seen_kind = d.seen_kind
        and e.seen_workload = d.seen_workload
        and e.meant_cluster is not distinct from d.meant_cluster
),
-- The API server refuses a request above its limit, so a raise ends there.
bounded as (
    select
        sized.*,
        case
            when upper_limit is not null and rounded > upper_limit
                then greatest(upper_limit, amount)
            else rounded
        end as target
    from sized
),
judged as (
    select
        bounded.*,
        case
            when amount is null then 'no ' || resource || ' request is declared'
            when amount = 0 then 'the declared ' || resource || ' request is zero'
            when declarations > 1 then
                'several overlays declare a workload of this name, so the measurement may be '
                || 'of another'
            when clusters > 1 then
                'measured in ' || clusters || ' clusters, and Git does not say which is meant'
            when hours is null then 'not measured' || coalesce(' in ' || meant_cluster, '')
            when hours < $minimum_hours then
                'measured for ' || hours || ' hours, fewer than ' || $minimum_hours
            when is_stopped then 'idle_resources proposes to stop it'
            when x_Autoscaler = 'VPA' then 'a VerticalPodAutoscaler sets the requests'
            when is_scaled_on then
                x_Autoscaler || ' scales on ' || resource
                || ' as a part of its request: changing the request would change the replicas'
            when x_Declared is null then
                'the value comes from a base or anchor that other workloads share; '
                || 'patch it in this overlay first'
            when target < amount and resource = 'memory' and oom_kills > 0 then
                'killed ' || oom_kills || ' times for lack of memory, so it is not lowered'
            when target < amount and resource = 'cpu'
                and throttled * 1000000 > periods * cast($maximum_throttling * 1000000 as bigint)
                then 'throttled in ' || throttled * 1000 // periods
                    || ' permille of CPU periods, so it is not lowered'
            when target > amount and used <= amount and not (resource = 'memory' and oom_kills > 0)
                then 'use stays within the request'
            when abs(target - amount) * 1000000
                < amount * cast($minimum_change * 1000000 as bigint)
                or target = amount
                then 'the change would be too small to be worth a review'
            when target < amount and is_guaranteed then
                'its requests are its limits (QoS class Guaranteed), and a lower request alone '
                || 'would make its pods Burstable; lower both by hand'
        end as objection
    from bounded
),
answered as (
    select
        judged.*,
        objection is null as is_proposed,
        case resource when 'cpu' then target || 'm' else target // 1048576 || 'Mi' end
            as target_text,
        case resource when 'cpu' then used || 'm' else (used + 1048575) // 1048576 || 'Mi' end
            as used_text,
        cast(
            case resource
                when 'cpu' then
                    cast(amount - target as hugeint) * core_month * running_ms
                    // (1000 * cast(all_hours as hugeint) * 3600000)
                else
                    cast(amount - target as hugeint) * mib_month * running_ms
                    // (1048576 * cast(all_hours as hugeint) * 3600000)
            end as hugeint
        ) as saved_units
    from judged
    cross join clock
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        '|', 'container_requests', x_Repository, x_Overlay, x_Namespace, x_WorkloadKind,
        x_Workload, x_Container, x_Field, coalesce(x_Declared, '')
    )) as x_RecommendationId,
    'container_requests' as x_Recommender,
    case when is_proposed then 'propose' else 'none' end as x_Outcome,
    x_Repository,
    x_Overlay,
    coalesce(meant_cluster, case when clusters = 1 then x_Cluster end) as x_Cluster,
    x_Namespace,
    x_WorkloadKind,
    x_Workload,
    x_Container,
    x_Environment,
    x_Field,
    coalesce(
        x_Declared,
        case resource when 'cpu' then amount || 'm' else cast(amount as varchar) end
    ) as x_Current,
    case when is_proposed then target_text end as x_Proposed,
    units_money(
        case when is_proposed and BillingCurrency is not null then saved_units else 0 end
    ) as x_MonthlySaving,
    BillingCurrency,
    case
        when not is_proposed then objection
        when target > amount then
            'used ' || used_text || ' at its peak, more than it asks for'
            || case when resource = 'memory' and oom_kills > 0
                then ', and was killed ' || oom_kills || ' times' else '' end
            || case when target = upper_limit then '; its limit allows no more' else '' end
        else
            case resource
                when 'cpu' then 'the ' || rtrim(rtrim(cast(
                    cast($cpu_percentile * 100 as decimal(9, 4)) as varchar), '0'), '.')
                    || 'th percentile of its hourly peaks was '
                else 'the largest peak was '
            end || used_text || '; a saving on paper until a node leaves'
    end
    || case when is_proposed and BillingCurrency is null
        then '; its nodes are not on the bill in one currency, so no saving is stated' else ''
    end as x_Reason,
    cast(json_object(
        'hours', coalesce(hours, 0),
        'pods', coalesce(pods, 0),
        'p50', median,
        'percentile', percentile,
        'percentile_rank', rtrim(rtrim(
            cast(cast($cpu_percentile * 100 as decimal(9, 4)) as varchar), '0'
        ), '.'),
        'max', highest,
        'unit', case resource when 'cpu' then 'millicores' else 'bytes' end,
        'throttled_permille', throttled * 1000 // nullif(periods, 0),
        'oom_kills', oom_kills,
        'from', strftime(first_hour, '%Y-%m-%dT%H:%M:%SZ'),
        'to', strftime(last_hour + interval 1 hour, '%Y-%m-%dT%H:%M:%SZ')
    ) as varchar) as x_Evidence
from answered
order by x_RecommendationId
