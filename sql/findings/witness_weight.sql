-- Who, other than its tag, says whose a resource is, and how much it weighs.
--
-- A node: its pods by their labels (cluster_label), the same workloads in Git (git), if the repository
-- is applied to that cluster or names none, and who called the endpoints on it (inference_log). What
-- a split pool pays for: who called its endpoints. Any other resource: workloads whose name stands in
-- its id or name as a whole word; of several such names the longest counts (`search-api` before
-- `search`).
--
-- Weights on nodes and pools are what allocation charged for that use, in 10^-12 of the currency;
-- a workload spread over nodes weighs on each by the CPU its pods held there. A matching name
-- weighs 1. Idle and unallocated parts name nobody. Witness `use` is the measured use itself: by
-- calls where there are any, else by labels.
--
-- One row per resource, dimension, witness, value and currency of the weight.
with
dimension as (
    select unnest(['feature', 'tenant', 'environment']) as x_Dimension
),
resource as (
    select
        ResourceId, max(ResourceName) as ResourceName, count(x_Pool) > 0 as is_split
    from resource_cost
    where ResourceId is not null
    group by ResourceId
),
label_owner as (
    select distinct x_TagSetId, x_Dimension, x_OwnerValue
    from owner_tag
    where x_Decides
),
-- ---------------------------------------------------------------- what allocation found out
used as (
    select
        a.x_Pool, a.ProviderName, a.SubAccountId, a.ServiceName, a.BillingCurrency,
        coalesce(n.x_LoggedEndpoint, a.x_Endpoint) as x_Workload, a.x_AllocationMethod,
        a.x_Feature, a.x_Tenant, a.x_Environment,
        money_units(sum(a.EffectiveCost)) as units
    from allocated_cost as a
    -- the name a pod has, where its cluster tells an endpoint from another
    left join (
        select distinct x_Endpoint, x_LoggedEndpoint
        from served_endpoint
        where x_Endpoint <> x_LoggedEndpoint
    ) as n on n.x_Endpoint = a.x_Endpoint
    where a.x_Pool is not null and a.x_Endpoint <> '(none)'
    group by
        a.x_Pool, a.ProviderName, a.SubAccountId, a.ServiceName, a.BillingCurrency,
        coalesce(n.x_LoggedEndpoint, a.x_Endpoint), a.x_AllocationMethod, a.x_Feature,
        a.x_Tenant, a.x_Environment
),
called as (
    select
        u.x_Pool, u.ProviderName, u.SubAccountId, u.ServiceName, u.BillingCurrency,
        u.x_Workload, dimension.x_Dimension,
        case dimension.x_Dimension
            when 'feature' then u.x_Feature
            when 'tenant' then u.x_Tenant
            else u.x_Environment
        end as x_OwnerValue,
        sum(u.units) as units
    from used as u
    cross join dimension
    where u.x_AllocationMethod = 'inference'
    group by
        u.x_Pool, u.ProviderName, u.SubAccountId, u.ServiceName, u.BillingCurrency,
        u.x_Workload, dimension.x_Dimension,
        case dimension.x_Dimension
            when 'feature' then u.x_Feature
            when 'tenant' then u.x_Tenant
            else u.x_Environment
        end
),
-- ------------------------------------------------------------------------ pods on the nodes
node_part as (
    with
    held as (
        select
            n.ResourceId, n.x_Cluster, p.x_Namespace || '/' || p.x_Workload as x_Workload,
            p.x_Labels, sum(p.x_CpuAllocatedCoreMs) as held
        from node_usage as n
        inner join pod_usage as p
            on p.x_Cluster = n.x_Cluster
            and p.x_HourStart = n.x_HourStart
            and p.x_Node = n.x_Node
        where
            n.ResourceId is not null
            and is_in_month(n.x_HourStart, $period)
        group by n.ResourceId, n.x_Cluster, p.x_Namespace || '/' || p.x_Workload, p.x_Labels
    ),
    held_total as (
        select x_Cluster, x_Workload, sum(held) as held
        from held
        group by x_Cluster, x_Workload
    ),
    workload_cost as (
        select x_Pool, x_Workload, BillingCurrency, sum(units) as units
        from used
        group by x_Pool, x_Workload, BillingCurrency
    )
    select
        i.ResourceId, h.x_Cluster, h.x_Workload, h.x_Labels, c.BillingCurrency, h.held,
        greatest(t.held, 1) as total,
        greatest(
            apportion(coalesce(c.units, 0), cast(h.held as hugeint), greatest(t.held, 1)), 1
        ) as weight
    from held as h
    inner join node_id as i on i.x_NodeResourceId = h.ResourceId
    inner join resource on resource.ResourceId = i.ResourceId
    inner join held_total as t on t.x_Cluster = h.x_Cluster and t.x_Workload = h.x_Workload
    left join workload_cost as c
        on c.x_Pool = 'node/' || h.x_Cluster and c.x_Workload = h.x_Workload
),
node_workload as (
    select
        ResourceId, x_Cluster, x_Workload, BillingCurrency, total, sum(held) as held,
        sum(weight) as weight
    from node_part
    group by ResourceId, x_Cluster, x_Workload, BillingCurrency, total
),
git_owner as (
    select
        d.x_Namespace || '/' || d.seen_workload as x_Workload, d.x_Workload as name,
        r.x_Cluster, o.x_Dimension, o.x_OwnerValue,
        min(d.x_Repository || ':' || d.x_Path) as x_Where
    from (
        select distinct
            x_Repository, x_Path, x_Namespace, x_Workload, x_Labels,
            -- KServe serves by a Deployment of its own.
            case when x_WorkloadKind = 'InferenceService' then x_Workload || '-predictor'
                else x_Workload end as seen_workload
        from declared_workload
    ) as d
    left join repository_cluster as r on r.x_Repository = d.x_Repository
    inner join label_owner as o
        on o.x_TagSetId = cast(md5_number_lower(d.x_Labels) >> 1 as bigint)
    group by
        d.x_Namespace || '/' || d.seen_workload, d.x_Workload, r.x_Cluster, o.x_Dimension,
        o.x_OwnerValue
),
-- What several repositories say of a workload alike is one witness.
node_git_owner as (
    select w.x_Cluster, w.x_Workload, o.x_Dimension, o.x_OwnerValue, min(o.x_Where) as x_Where
    from (select distinct x_Cluster, x_Workload from node_workload) as w
    inner join git_owner as o
        on o.x_Workload = w.x_Workload
        and (o.x_Cluster is null or o.x_Cluster = w.x_Cluster)
    group by w.x_Cluster, w.x_Workload, o.x_Dimension, o.x_OwnerValue
),
-- --------------------------------------------------------------- names that stand in the id
named_owner as (
    with
    cluster_owner as (
        select
            p.x_Namespace || '/' || p.x_Workload as x_Workload, p.x_Workload as name,
            o.x_Dimension, o.x_OwnerValue,
            min(p.x_Cluster || '/' || p.x_Namespace || '/' || p.x_Workload) as x_Where
        from (
            select distinct x_Cluster, x_Namespace, x_Workload, x_Labels from pod_usage
        ) as p
        inner join label_owner as o
            on o.x_TagSetId = cast(md5_number_lower(p.x_Labels) >> 1 as bigint)
        group by
            p.x_Namespace || '/' || p.x_Workload, p.x_Workload, o.x_Dimension, o.x_OwnerValue
    )
    select 'cluster_label' as x_Witness, x_Workload, name, x_Dimension, x_OwnerValue, x_Where
    from cluster_owner
    union all
    select
        'git' as x_Witness, x_Workload, name, x_Dimension, x_OwnerValue, min(x_Where) as x_Where
    from git_owner
    group by x_Workload, name, x_Dimension, x_OwnerValue
),
name_match as (
    with
    -- Out of a list, so that the engine takes names for few and looks the many words up in them.
    workload_name as (
        select name, words, split_part(words, '-', 2) as first_word
        from (
            select name, '-' || regexp_replace(lower(name), '[^a-z0-9]+', '-', 'g') || '-' as words
            from (select unnest(list(distinct name)) as name from named_owner) as names
        ) as named
        where length(name) >= 3
    ),
    -- Most ids have no other marks than these: a replacement is far cheaper than a pattern.
    resource_words as (
        select
            ResourceId,
            '-' || case
                when regexp_matches(words, '[^a-z0-9-]|--')
                    then regexp_replace(words, '[^a-z0-9]+', '-', 'g')
                else words
            end || '-' as words
        from (
            select
                ResourceId,
                replace(
                    replace(replace(lower(concat_ws('-', ResourceId, ResourceName)), ':', '-'), '/', '-'),
                    '_', '-'
                ) as words
            from resource
            where not is_split
        ) as spelt
    ),
    candidate as (
        select distinct r.ResourceId, n.name, length(n.words) as letters
        from (
            select ResourceId, words, unnest(string_split(words, '-')) as word from resource_words
        ) as r
        inner join workload_name as n on n.first_word = r.word and contains(r.words, n.words)
    ),
    longest as (
        select ResourceId, max(letters) as letters from candidate group by ResourceId
    )
    select c.ResourceId, c.name
    from candidate as c
    inner join longest as l
        on l.ResourceId = c.ResourceId and l.letters = c.letters
),
-- -------------------------------------------------------------------------------- all of it
summed as (
    with
    evidence as (
        select
            p.ResourceId, o.x_Dimension, 'cluster_label' as x_Witness, p.x_Workload, o.x_OwnerValue,
            p.BillingCurrency, p.weight, p.x_Cluster || '/' || p.x_Workload as x_Where
        from node_part as p
        inner join label_owner as o
            on o.x_TagSetId = cast(md5_number_lower(p.x_Labels) >> 1 as bigint)
        union all
        select
            p.ResourceId, o.x_Dimension, 'git' as x_Witness, p.x_Workload, o.x_OwnerValue,
            p.BillingCurrency, p.weight, o.x_Where
        from node_workload as p
        inner join node_git_owner as o
            on o.x_Cluster = p.x_Cluster and o.x_Workload = p.x_Workload
        union all
        select
            p.ResourceId, c.x_Dimension, 'inference_log' as x_Witness, p.x_Workload, c.x_OwnerValue,
            p.BillingCurrency,
            apportion(c.units, cast(p.held as hugeint), p.total) as weight,
            p.x_Workload as x_Where
        from node_workload as p
        inner join called as c
            on c.x_Pool = 'node/' || p.x_Cluster
            and c.x_Workload = p.x_Workload
            and c.BillingCurrency = p.BillingCurrency
        union all
        -- The pool of a split pays for all its resources alike.
        select
            r.ResourceId, c.x_Dimension, 'inference_log' as x_Witness, c.x_Workload, c.x_OwnerValue,
            c.BillingCurrency, c.units as weight, c.x_Workload as x_Where
        from (
            select distinct
                ResourceId, x_Pool, ProviderName, SubAccountId, ServiceName, BillingCurrency
            from resource_cost
            where ResourceId is not null and starts_with(x_Pool, 'inference/')
        ) as r
        inner join called as c
            on c.x_Pool = r.x_Pool
            and c.ProviderName = r.ProviderName
            and c.SubAccountId is not distinct from r.SubAccountId
            and c.ServiceName = r.ServiceName
            and c.BillingCurrency = r.BillingCurrency
        union all
        select
            m.ResourceId, o.x_Dimension, o.x_Witness, o.x_Workload, o.x_OwnerValue,
            null as BillingCurrency, 1 as weight, o.x_Where
        from name_match as m
        inner join named_owner as o on o.name = m.name
    )
    select
        ResourceId, x_Dimension, x_Witness, x_Workload, x_OwnerValue, BillingCurrency,
        sum(weight) as weight, min(x_Where) as x_Where
    from evidence
    where x_OwnerValue not in ('(idle)', '(overhead)', '(unallocated)')
    group by
        ResourceId, x_Dimension, x_Witness, x_Workload, x_OwnerValue, BillingCurrency
    having sum(weight) > 0
),
said as (
    with
    called_workload as (
        select distinct ResourceId, x_Dimension, x_Workload
        from summed
        where x_Witness = 'inference_log'
    ),
    measured_use as (
        select ResourceId, x_Dimension, x_OwnerValue, BillingCurrency, weight, x_Where
        from summed
        where x_Witness = 'inference_log'
        union all
        select s.ResourceId, s.x_Dimension, s.x_OwnerValue, s.BillingCurrency, s.weight, s.x_Where
        from summed as s
        anti join called_workload as c
            on c.ResourceId = s.ResourceId
            and c.x_Dimension = s.x_Dimension
            and c.x_Workload = s.x_Workload
        where s.x_Witness = 'cluster_label' and s.BillingCurrency is not null
    )
    select
        ResourceId, x_Dimension, x_Witness, x_OwnerValue, BillingCurrency,
        sum(weight) as weight,
        min(struct_pack(weight := -weight, place := x_Where)).place as x_Where
    from summed
    group by ResourceId, x_Dimension, x_Witness, x_OwnerValue, BillingCurrency
    union all
    select
        ResourceId, x_Dimension, 'use' as x_Witness, x_OwnerValue, BillingCurrency,
        sum(weight) as weight,
        min(struct_pack(weight := -weight, place := x_Where)).place as x_Where
    from measured_use
    group by ResourceId, x_Dimension, x_OwnerValue, BillingCurrency
)
select
    $period as BillingPeriod,
    ResourceId,
    x_Dimension,
    x_Witness,
    x_OwnerValue,
    BillingCurrency,
    cast(weight as decimal(38, 0)) as x_Weight,
    x_Where
from said
order by ResourceId, x_Dimension, x_Witness, x_OwnerValue, BillingCurrency
