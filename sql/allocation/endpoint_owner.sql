-- Whose calls are that did not say it: the owners that the labels of an endpoint's pods name, by day,
-- or the tags of a managed endpoint.
--
-- What a caller left out the allocation takes from the pods that served it, hour by hour. Labels
-- change, and pods of one name may have several: in two clusters, or while a release is rolled out.
-- Where all pods of a day agree, its calls are theirs; else each hour counts by its calls, and is
-- divided by what the pods held in it, weighed as price_ratio has a core, a GiB and a GPU. A day on
-- which an endpoint was called and no pod of it was measured goes by the mean of the days with pods.
-- An endpoint without pods or tags, such as a bought API, is not here.
--
-- One row per day, endpoint that was called, and owner; the shares of a day and endpoint are all.
with
called as (
    select distinct x_ChargeDay, x_Endpoint from caller_day
),
-- Neither a namespace nor a workload has a slash in it.
served as (
    select distinct
        s.x_Endpoint, split_part(s.x_LoggedEndpoint, '/', 1) as x_Namespace,
        split_part(s.x_LoggedEndpoint, '/', 2) as x_Workload,
        case when s.x_Endpoint <> s.x_LoggedEndpoint then s.x_Cluster end as x_Cluster
    from served_endpoint as s
    semi join called as c on c.x_Endpoint = s.x_Endpoint
    where s.x_LoggedEndpoint = split_part(s.x_LoggedEndpoint, '/', 1)
        || '/' || split_part(s.x_LoggedEndpoint, '/', 2)
),
day_label as (
    select distinct cast(p.x_HourStart as date) as x_ChargeDay, s.x_Endpoint, p.x_Labels
    from pod_usage as p
    inner join served as s
        on s.x_Namespace = p.x_Namespace
        and s.x_Workload = p.x_Workload
        and coalesce(s.x_Cluster = p.x_Cluster, true)
    where p.x_Node is not null
),
day_owner as (
    select distinct l.x_ChargeDay, l.x_Endpoint, o.x_Feature, o.x_Tenant, o.x_Environment
    from day_label as l
    left join tag_owner as o on o.Tags = l.x_Labels
),
mixed as (
    select d.x_ChargeDay, d.x_Endpoint, s.x_Namespace, s.x_Workload, s.x_Cluster
    from day_owner as d
    inner join served as s on s.x_Endpoint = d.x_Endpoint
    group by d.x_ChargeDay, d.x_Endpoint, s.x_Namespace, s.x_Workload, s.x_Cluster
    having count(*) > 1
),
-- ----------------------------------------------------------- days on which labels do not agree
held as (
    select
        p.x_HourStart, m.x_ChargeDay, m.x_Endpoint, p.x_Cluster, p.x_Labels,
        sum(p.x_CpuAllocatedCoreMs) as cpu,
        sum(p.x_MemoryAllocatedByteSeconds) as memory,
        sum(p.x_GpuRequestMs) as gpu
    from pod_usage as p
    inner join mixed as m
        on m.x_Namespace = p.x_Namespace
        and m.x_Workload = p.x_Workload
        and coalesce(m.x_Cluster = p.x_Cluster, true)
        and m.x_ChargeDay = cast(p.x_HourStart as date)
    where p.x_Node is not null
    group by p.x_HourStart, m.x_ChargeDay, m.x_Endpoint, p.x_Cluster, p.x_Labels
),
owned as (
    select
        h.x_HourStart, h.x_ChargeDay, h.x_Endpoint, o.x_Feature, o.x_Tenant, o.x_Environment,
        greatest(coalesce(sum(
            h.cpu * r.x_CpuWeight + h.memory * 1000 * r.x_MemoryWeight // 1073741824
            + h.gpu * r.x_GpuWeight
        ), 0), 1) as worth
    from held as h
    left join tag_owner as o on o.Tags = h.x_Labels
    left join price_ratio as r on r.x_Cluster = h.x_Cluster
    group by
        h.x_HourStart, h.x_ChargeDay, h.x_Endpoint, o.x_Feature, o.x_Tenant, o.x_Environment
),
mixed_name as (
    select m.x_ChargeDay, m.x_Endpoint, s.x_LoggedEndpoint, s.x_Cluster
    from mixed as m
    inner join served_endpoint as s on s.x_Endpoint = m.x_Endpoint
),
called_hour as (
    select u.x_HourStart, m.x_Endpoint, sum(u.x_Calls) as calls
    from inference_usage as u
    inner join mixed_name as m
        on m.x_LoggedEndpoint = u.x_Endpoint
        and m.x_Cluster is not distinct from u.x_Cluster
        and m.x_ChargeDay = cast(u.x_HourStart as date)
    group by u.x_HourStart, m.x_Endpoint
),
hour_owner as (
    select
        x_HourStart, x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment,
        worth * 1000000000 // sum(worth) over (partition by x_HourStart, x_Endpoint) as part
    from owned
),
weighed as (
    select
        o.x_ChargeDay, o.x_Endpoint, o.x_Feature, o.x_Tenant, o.x_Environment,
        sum(o.part * coalesce(c.calls, 0)) as by_calls,
        sum(o.part) as by_pods
    from hour_owner as o
    left join called_hour as c
        on c.x_HourStart = o.x_HourStart and c.x_Endpoint = o.x_Endpoint
    group by o.x_ChargeDay, o.x_Endpoint, o.x_Feature, o.x_Tenant, o.x_Environment
),
-- ------------------------------------------------------------------------------ all days
weight as (
    select
        x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment,
        case
            when sum(by_calls) over (partition by x_ChargeDay, x_Endpoint) > 0 then by_calls
            else by_pods
        end as weight
    from weighed
    union all
    select d.x_ChargeDay, d.x_Endpoint, d.x_Feature, d.x_Tenant, d.x_Environment, 1 as weight
    from day_owner as d
    anti join mixed as m on m.x_ChargeDay = d.x_ChargeDay and m.x_Endpoint = d.x_Endpoint
),
-- Each gets what is rounded down up to it, less what is rounded down before it.
placed as (
    select
        x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment, weight,
        sum(weight) over upto as upto,
        sum(weight) over (partition by x_ChargeDay, x_Endpoint) as total
    from weight
    window upto as (
        partition by x_ChargeDay, x_Endpoint
        order by x_Feature, x_Tenant, x_Environment
        rows between unbounded preceding and current row
    )
),
measured_day as (
    select
        x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment,
        upto * 1000000000 // total - (upto - weight) * 1000000000 // total as share
    from placed
),
-- A managed endpoint has tags where another has pods with labels.
tagged as (
    select
        x_Endpoint, max(x_Feature) as x_Feature, max(x_Tenant) as x_Tenant,
        max(x_Environment) as x_Environment
    from endpoint_id
    where x_Function is null
    group by x_Endpoint
),
-- -------------------------------------------------------------- days on which no pod was measured
mean as (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment,
        sum(share) over upto as upto, share,
        sum(share) over (partition by x_Endpoint) as total
    from (
        select x_Endpoint, x_Feature, x_Tenant, x_Environment, sum(share) as share
        from measured_day
        group by x_Endpoint, x_Feature, x_Tenant, x_Environment
    ) as month_share
    window upto as (
        partition by x_Endpoint
        order by x_Feature, x_Tenant, x_Environment
        rows between unbounded preceding and current row
    )
),
shared as (
    select m.x_ChargeDay, m.x_Endpoint, m.x_Feature, m.x_Tenant, m.x_Environment, m.share
    from measured_day as m
    semi join called as c on c.x_ChargeDay = m.x_ChargeDay and c.x_Endpoint = m.x_Endpoint
    union all
    select
        c.x_ChargeDay, c.x_Endpoint, m.x_Feature, m.x_Tenant, m.x_Environment,
        m.upto * 1000000000 // m.total - (m.upto - m.share) * 1000000000 // m.total as share
    from called as c
    anti join day_owner as d on d.x_ChargeDay = c.x_ChargeDay and d.x_Endpoint = c.x_Endpoint
    inner join mean as m on m.x_Endpoint = c.x_Endpoint
    union all
    select
        c.x_ChargeDay, c.x_Endpoint, t.x_Feature, t.x_Tenant, t.x_Environment, 1000000000 as share
    from called as c
    anti join mean as m on m.x_Endpoint = c.x_Endpoint
    inner join tagged as t on t.x_Endpoint = c.x_Endpoint
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    x_Endpoint,
    x_Feature,
    x_Tenant,
    x_Environment,
    cast(share as bigint) as x_CallShare
from shared
where share > 0
order by x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment
