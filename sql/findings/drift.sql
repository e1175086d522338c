-- Where production is not as Git says, at the last measured hour of the period.
--
-- replica_drift: other replicas than declared where nothing scales the workload, or outside the
--   bounds where an autoscaler does (HPA, KEDA; a VPA does not scale replicas). EffectiveCost is
--   the part of the workload's allocated cost that falls to the replica-hours too many, or, as
--   a negative number, too few, since the drift began.
-- label_drift: an owner label of the pods names another value than Git. EffectiveCost is what
--   the workload's allocation went to the cluster's value.
--
-- Abstains where Git declares no replicas (its default is not a decision), where several
-- directories declare the workload differently, where the cluster does not show the label (it
-- may not be exported), and for workloads that are gone. No cost is null, not zero. A repository
-- that says which cluster it is applied to says nothing of others.
--
-- One row per cluster, workload, drifted value and currency of the cost.
with
-- Under which name and where a workload is measured: KServe serves by a Deployment of its own, of
-- at least one replica.
git as (
    select
        d.x_Repository, d.x_Overlay, d.x_Path, d.x_Namespace, d.x_WorkloadKind, d.x_Workload,
        d.x_Labels, d.x_Autoscaler, d.x_MinReplicas, d.x_MaxReplicas,
        r.x_Cluster as meant_cluster,
        case when d.x_WorkloadKind = 'InferenceService' then 'Deployment' else d.x_WorkloadKind end
            as seen_kind,
        case when d.x_WorkloadKind = 'InferenceService' then d.x_Workload || '-predictor'
            else d.x_Workload end as seen_workload,
        case when d.x_WorkloadKind = 'InferenceService' and d.x_Replicas = 0 then 1
            else d.x_Replicas end as x_Replicas
    from declared_workload as d
    left join repository_cluster as r on r.x_Repository = d.x_Repository
),
cost as (
    select
        substr(a.x_Pool, 6) as x_Cluster, d.x_Workload as x_Endpoint, a.BillingCurrency,
        a.x_Feature, a.x_Tenant, a.x_Environment, sum(a.EffectiveCost) as EffectiveCost
    from allocated_cost as a
    inner join (
        select
            x_Namespace || '/' || seen_workload as x_Workload,
            x_Namespace || '/' || seen_workload as x_Endpoint
        from git
        union
        select s.x_LoggedEndpoint as x_Workload, s.x_Endpoint
        from served_endpoint as s
        semi join git as w on w.x_Namespace || '/' || w.seen_workload = s.x_LoggedEndpoint
    ) as d
        on d.x_Endpoint = a.x_Endpoint
    where starts_with(a.x_Pool, 'node/')
    group by
        substr(a.x_Pool, 6), d.x_Workload, a.BillingCurrency, a.x_Feature, a.x_Tenant,
        a.x_Environment
),
-- ------------------------------------------------------------------------------- replicas
last_hour as (
    select x_Cluster, max(x_HourStart) as x_HourStart
    from workload_replicas
    where is_in_month(x_HourStart, $period)
    group by x_Cluster
),
declared as (
    select
        x_Cluster, x_Namespace, seen_kind, seen_workload,
        min(x_Autoscaler) as x_Autoscaler,
        min(x_Replicas) as x_Replicas,
        min(x_MinReplicas) as x_MinReplicas,
        min(x_MaxReplicas) as x_MaxReplicas,
        min(x_Repository || ':' || x_Path) as x_Where,
        min(struct_pack(
            repository := x_Repository, folder := x_Overlay, kind := x_WorkloadKind,
            workload := x_Workload
        )) as place
    from (
        select
            h.x_Cluster, x_Repository, x_Overlay, x_Path, x_Namespace, x_WorkloadKind, x_Workload,
            seen_kind, seen_workload,
            case when x_Autoscaler in ('HPA', 'KEDA') then x_Autoscaler end as x_Autoscaler,
            case when x_Autoscaler in ('HPA', 'KEDA') then null else x_Replicas end
                as x_Replicas,
            case when x_Autoscaler in ('HPA', 'KEDA') then x_MinReplicas end as x_MinReplicas,
            case when x_Autoscaler in ('HPA', 'KEDA') then x_MaxReplicas end as x_MaxReplicas
        from git
        inner join last_hour as h
            on git.meant_cluster is null or git.meant_cluster = h.x_Cluster
    ) as workload
    group by x_Cluster, x_Namespace, seen_kind, seen_workload
    having
        count(distinct concat_ws(
            ' ', coalesce(x_Autoscaler, '-'), coalesce(x_Replicas, -1),
            coalesce(x_MinReplicas, -1), coalesce(x_MaxReplicas, -1)
        )) = 1
),
-- What Git allows. Where an autoscaler's lower bound is not written it is 1, for KEDA 0.
allowed as (
    select
        d.x_Cluster, d.x_Namespace, d.seen_kind, d.seen_workload, d.x_Autoscaler,
        coalesce(
            d.x_MinReplicas, d.x_Replicas, case d.x_Autoscaler when 'HPA' then 1 else 0 end
        ) as least,
        case when d.x_Autoscaler is null then d.x_Replicas else d.x_MaxReplicas end as most,
        d.x_Where || coalesce(':' || f.x_Line, '') as x_Where
    from declared as d
    left join (
        select
            x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload,
            min(x_Line) as x_Line
        from declared_field
        where x_Field in ('replicas', 'spec.replicas', 'replicaCount')
        group by x_Repository, x_Overlay, x_Namespace, x_WorkloadKind, x_Workload
    ) as f
        on f.x_Repository = d.place.repository
        and f.x_Overlay = d.place.folder
        and f.x_Namespace = d.x_Namespace
        and f.x_WorkloadKind = d.place.kind
        and f.x_Workload = d.place.workload
    where d.x_Autoscaler is not null or d.x_Replicas is not null
),
running as (
    select
        r.x_Cluster, r.x_HourStart, r.x_Namespace, r.x_WorkloadKind, r.x_Workload, r.x_Replicas,
        a.x_Autoscaler, a.least, a.most, a.x_Where,
        case
            when r.x_Replicas < a.least then r.x_Replicas - a.least
            when r.x_Replicas > a.most then r.x_Replicas - a.most
            else 0
        end as excess
    from workload_replicas as r
    inner join allowed as a
        on a.x_Cluster = r.x_Cluster
        and a.x_Namespace = r.x_Namespace
        and a.seen_kind = r.x_WorkloadKind
        and a.seen_workload = r.x_Workload
    where is_in_month(r.x_HourStart, $period)
),
last_right as (
    select
        x_Cluster, x_Namespace, x_WorkloadKind, x_Workload,
        max(x_HourStart) filter (where excess = 0) as x_HourStart,
        sum(x_Replicas) as replica_hours
    from running
    group by x_Cluster, x_Namespace, x_WorkloadKind, x_Workload
),
drifted as (
    select
        r.x_Cluster, r.x_Namespace, r.x_WorkloadKind, r.x_Workload, r.x_Autoscaler, r.least,
        r.most, r.x_Where, l.replica_hours,
        min(r.x_HourStart) as since,
        sum(r.excess) as excess_hours,
        max(r.x_HourStart) as until,
        max(struct_pack(at_hour := r.x_HourStart, replicas := r.x_Replicas)).replicas as x_Replicas
    from running as r
    inner join last_right as l
        on l.x_Cluster = r.x_Cluster
        and l.x_Namespace = r.x_Namespace
        and l.x_WorkloadKind = r.x_WorkloadKind
        and l.x_Workload = r.x_Workload
    where l.x_HourStart is null or r.x_HourStart > l.x_HourStart
    group by
        r.x_Cluster, r.x_Namespace, r.x_WorkloadKind, r.x_Workload, r.x_Autoscaler, r.least,
        r.most, r.x_Where, l.replica_hours
),
replica_drift as (
    select
        'replica_drift' as kind, 'replicas' as x_Dimension, d.x_Cluster, d.x_Namespace,
        d.x_WorkloadKind, d.x_Workload, cast(null as varchar) as x_TagKey,
        cast(d.x_Replicas as varchar) as x_TagValue,
        case
            when d.x_Autoscaler is null then cast(d.most as varchar)
            else d.least || '..' || coalesce(cast(d.most as varchar), '')
        end as x_LikelyValue,
        d.x_Where,
        strftime(d.until, '%Y-%m-%d %H:%M') as hour,
        c.BillingCurrency,
        case
            when d.replica_hours > 0
                then units_money(sign(d.excess_hours) * apportion(
                    c.units, abs(d.excess_hours), cast(d.replica_hours as hugeint)
                ))
        end as EffectiveCost,
        'Production runs ' || d.x_Replicas || ' replicas since '
        || strftime(d.since, '%Y-%m-%d %H:%M') || ', Git says '
        || case
            when d.x_Autoscaler is null then cast(d.most as varchar)
            else d.least || ' to ' || coalesce(cast(d.most as varchar), 'any number')
                || ' (' || d.x_Autoscaler || ')'
        end
        || '. Change Git if it is meant, else let Git restore it.' as x_Reason
    from drifted as d
    semi join last_hour as h on h.x_Cluster = d.x_Cluster and h.x_HourStart = d.until
    left join (
        select
            x_Cluster, x_Endpoint, BillingCurrency, sum(money_units(EffectiveCost)) as units
        from cost
        group by x_Cluster, x_Endpoint, BillingCurrency
    ) as c
        on c.x_Cluster = d.x_Cluster and c.x_Endpoint = d.x_Namespace || '/' || d.x_Workload
),
-- --------------------------------------------------------------------------------- labels
workload_pod as (
    select p.x_Cluster, p.x_Namespace, p.x_WorkloadKind, p.x_Workload, p.x_Labels, p.x_HourStart,
        sum(p.x_RunningMs) as running
    from pod_usage as p
    semi join git as d
        on d.x_Namespace = p.x_Namespace
        and d.seen_kind = p.x_WorkloadKind
        and d.seen_workload = p.x_Workload
        and (d.meant_cluster is null or d.meant_cluster = p.x_Cluster)
    where is_in_month(p.x_HourStart, $period)
    group by
        p.x_Cluster, p.x_Namespace, p.x_WorkloadKind, p.x_Workload, p.x_Labels, p.x_HourStart
),
last_labels as (
    select
        x_Cluster, x_Namespace, x_WorkloadKind, x_Workload,
        max(x_HourStart) as x_HourStart,
        cast(md5_number_lower(
            max(struct_pack(at_hour := x_HourStart, running := running, labels := x_Labels)).labels
        ) >> 1 as bigint) as x_TagSetId
    from workload_pod
    group by x_Cluster, x_Namespace, x_WorkloadKind, x_Workload
),
cluster_value as (
    select
        l.x_Cluster, l.x_Namespace, l.x_WorkloadKind, l.x_Workload, l.x_HourStart, t.x_Dimension,
        min(struct_pack(
            owner := t.x_OwnerValue, key := t.x_TagKey, "value" := t.x_TagValue
        )) as label
    from last_labels as l
    inner join owner_tag as t on t.x_TagSetId = l.x_TagSetId
    where t.x_Decides
    group by
        l.x_Cluster, l.x_Namespace, l.x_WorkloadKind, l.x_Workload, l.x_HourStart, t.x_Dimension
),
git_labels as (
    select
        h.x_Cluster, x_Namespace, seen_kind, seen_workload, x_Repository, x_Path,
        cast(md5_number_lower(x_Labels) >> 1 as bigint) as x_TagSetId
    from git
    inner join last_hour as h on git.meant_cluster is null or git.meant_cluster = h.x_Cluster
),
git_value as (
    select
        g.x_Cluster, g.x_Namespace, g.seen_kind, g.seen_workload, t.x_Dimension,
        min(t.x_OwnerValue) as x_OwnerValue,
        min(g.x_Repository || ':' || g.x_Path) as x_Where
    from git_labels as g
    inner join owner_tag as t on t.x_TagSetId = g.x_TagSetId
    where t.x_Decides
    group by g.x_Cluster, g.x_Namespace, g.seen_kind, g.seen_workload, t.x_Dimension
    having min(t.x_OwnerValue) = max(t.x_OwnerValue)
),
owner_cost as (
    select x_Cluster, x_Endpoint, BillingCurrency, 'feature' as x_Dimension,
        x_Feature as x_OwnerValue, EffectiveCost
    from cost
    union all
    select x_Cluster, x_Endpoint, BillingCurrency, 'tenant' as x_Dimension,
        x_Tenant as x_OwnerValue, EffectiveCost
    from cost
    union all
    select x_Cluster, x_Endpoint, BillingCurrency, 'environment' as x_Dimension,
        x_Environment as x_OwnerValue, EffectiveCost
    from cost
),
label_drift as (
    select
        'label_drift' as kind, l.x_Dimension, l.x_Cluster, l.x_Namespace, l.x_WorkloadKind,
        l.x_Workload, l.label.key as x_TagKey, l.label."value" as x_TagValue,
        g.x_OwnerValue as x_LikelyValue, g.x_Where,
        strftime(l.x_HourStart, '%Y-%m-%d %H:%M') as hour,
        c.BillingCurrency, c.EffectiveCost,
        'The pods are labelled ' || l.label.owner || ', Git says ' || g.x_OwnerValue
        || '. Change Git if it is meant, else let Git restore it.' as x_Reason
    from cluster_value as l
    inner join git_value as g
        on g.x_Cluster = l.x_Cluster
        and g.x_Namespace = l.x_Namespace
        and g.seen_kind = l.x_WorkloadKind
        and g.seen_workload = l.x_Workload
        and g.x_Dimension = l.x_Dimension
        and g.x_OwnerValue <> l.label.owner
    semi join last_hour as h on h.x_Cluster = l.x_Cluster and h.x_HourStart = l.x_HourStart
    left join (
        select
            x_Cluster, x_Endpoint, BillingCurrency, x_Dimension, x_OwnerValue,
            sum(EffectiveCost) as EffectiveCost
        from owner_cost
        group by x_Cluster, x_Endpoint, BillingCurrency, x_Dimension, x_OwnerValue
    ) as c
        on c.x_Cluster = l.x_Cluster
        and c.x_Endpoint = l.x_Namespace || '/' || l.x_Workload
        and c.x_Dimension = l.x_Dimension
        and c.x_OwnerValue = l.label.owner
),
drifts as (
    select
        kind, x_Dimension, x_Cluster, x_Namespace, x_WorkloadKind, x_Workload, x_TagKey,
        x_TagValue, x_LikelyValue, x_Where, hour, BillingCurrency, EffectiveCost, x_Reason
    from replica_drift
    union all
    select
        kind, x_Dimension, x_Cluster, x_Namespace, x_WorkloadKind, x_Workload, x_TagKey,
        x_TagValue, x_LikelyValue, x_Where, hour, BillingCurrency, EffectiveCost, x_Reason
    from label_drift
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), kind, x_Dimension, x_Cluster, x_Namespace, x_WorkloadKind, x_Workload
    )) as x_FindingId,
    kind as x_FindingKind,
    x_Dimension,
    cast(null as varchar) as ProviderName,
    cast(null as varchar) as ServiceName,
    cast(null as varchar) as SubAccountId,
    cast(null as varchar) as ResourceId,
    x_Cluster,
    x_Namespace,
    x_Workload,
    x_TagKey,
    x_TagValue,
    x_LikelyValue,
    cast(1 as bigint) as x_WitnessCount,
    '['
    || to_json(struct_pack(
        witness := 'cluster_label', "value" := x_TagValue,
        "where" := x_Cluster || '/' || x_Namespace || '/' || x_Workload || ' at ' || hour
    ))
    || ','
    || to_json(struct_pack(witness := 'git', "value" := x_LikelyValue, "where" := x_Where))
    || ']' as x_Witnesses,
    BillingCurrency,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(0 as bigint) as x_ChargeRows,
    cast(null as varchar) as x_SourceFile,
    cast(null as bigint) as x_SourceRow,
    x_Reason
from drifts
order by x_FindingId, BillingCurrency
