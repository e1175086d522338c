-- By which weights the network, the control plane and the load balancers of a cluster are split.
--
-- A load balancer of a Service is whose the labels of the Service say. Network: among the pods by
-- the bytes of the day that the block counts, and owners by the labels of the pods; the bytes of an
-- endpoint's pods go to its callers of the day, in the proportion in which they bear the pods.
-- Control plane, load balancers of no Service and network of a day without a byte: where the block
-- says `held`, in proportion to what each was charged for of the cluster's nodes that day in the
-- same currency, by the weights of usage_share; nobody bears it for idle or unmeasured nodes.
--
-- Of a pool that has no row here nobody is known: it stays with its tags.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per pool and consumer.
with
pool as (
    select
        c.x_PoolId, c.x_ChargeDay, c.BillingCurrency, c.x_Pool,
        split_part(c.x_Pool, '/', 1) as kind, b.x_Cluster, b.x_Bytes, b.x_Otherwise
    from (
        select distinct x_PoolId, x_ChargeDay, BillingCurrency, x_Pool
        from charge_owner
        where x_ChargeDay >= cast($from_day as date)
            and x_ChargeDay < cast($until_day as date)
            and (
                starts_with(x_Pool, 'service/')
                or starts_with(x_Pool, 'network/')
                or starts_with(x_Pool, 'control_plane/')
                or starts_with(x_Pool, 'load_balancer/')
            )
    ) as c
    left join (
        select distinct x_Pool, x_Cluster, x_Bytes, x_Otherwise from cluster_charge
    ) as b on b.x_Pool = c.x_Pool
),
-- --------------------------------------------------------------- load balancers of Services
service_owner as (
    select
        x_Pool,
        case when min(x_Feature) = max(x_Feature) then min(x_Feature) end as x_Feature,
        case when min(x_Tenant) = max(x_Tenant) then min(x_Tenant) end as x_Tenant,
        case
            when min(x_Environment) = max(x_Environment) then min(x_Environment)
        end as x_Environment
    from load_balancer_id
    group by x_Pool
),
-- ------------------------------------------------- what pods of the clusters held and sent
-- The pools of their nodes, and who has a part in them.
node_pool as (
    select distinct n.x_PoolId, n.x_ChargeDay, n.BillingCurrency, p.x_Cluster
    from charge_owner as n
    inner join (select distinct x_Cluster from pool where x_Cluster is not null) as p
        on n.x_Pool = 'node/' || p.x_Cluster
    where n.x_ChargeDay >= cast($from_day as date) and n.x_ChargeDay < cast($until_day as date)
),
held as (
    select
        n.x_ChargeDay, n.BillingCurrency, n.x_Cluster, s.x_Feature, s.x_Tenant,
        s.x_Environment, s.x_Model, s.x_Endpoint, s.x_AllocationMethod,
        sum(cast(s.x_Weight as hugeint)) as weight
    from usage_share as s
    inner join node_pool as n on n.x_PoolId = s.x_PoolId
    where s.x_AllocationMethod in ('pod', 'inference', 'endpoint_idle')
    group by
        n.x_ChargeDay, n.BillingCurrency, n.x_Cluster, s.x_Feature, s.x_Tenant,
        s.x_Environment, s.x_Model, s.x_Endpoint, s.x_AllocationMethod
),
caller as (
    select
        h.x_ChargeDay, h.x_Cluster, n.x_LoggedEndpoint, h.x_Endpoint, h.x_Feature, h.x_Tenant,
        h.x_Environment, h.x_Model,
        sum(h.weight) as weight
    from held as h
    inner join (select distinct x_Endpoint, x_LoggedEndpoint from served_endpoint) as n
        on n.x_Endpoint = h.x_Endpoint
    where h.x_AllocationMethod = 'inference'
    group by
        h.x_ChargeDay, h.x_Cluster, n.x_LoggedEndpoint, h.x_Endpoint, h.x_Feature, h.x_Tenant,
        h.x_Environment, h.x_Model
),
called as (
    select x_ChargeDay, x_Cluster, x_LoggedEndpoint, sum(weight) as weight
    from caller
    group by x_ChargeDay, x_Cluster, x_LoggedEndpoint
),
-- A pod that sent bytes and did not run by the other metrics has no labels.
traffic as (
    select
        cast(n.x_HourStart as date) as x_ChargeDay, n.x_Cluster,
        p.x_Namespace || '/' || p.x_Workload as x_Endpoint, p.x_Labels,
        cast(sum(n.x_SentBytes) as hugeint) as sent,
        cast(sum(n.x_ReceivedBytes) as hugeint) as received
    from network_usage as n
    semi join pool on pool.x_Cluster = n.x_Cluster and pool.kind = 'network'
    left join pod_usage as p
        on p.x_Cluster = n.x_Cluster
        and p.x_HourStart = n.x_HourStart
        and p.x_PodUid = n.x_PodUid
    where n.x_HourStart >= cast($from_day as date) and n.x_HourStart < cast($until_day as date)
    group by
        cast(n.x_HourStart as date), n.x_Cluster, p.x_Namespace || '/' || p.x_Workload,
        p.x_Labels
),
-- In 10^-12 of a byte, so that small callers keep their part.
owner_traffic as (
    select
        t.x_ChargeDay, t.x_Cluster, c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model,
        c.x_Endpoint,
        t.sent * quotient(c.weight * 1000000000000, d.weight) as sent,
        t.received * quotient(c.weight * 1000000000000, d.weight) as received
    from traffic as t
    inner join called as d
        on d.x_ChargeDay = t.x_ChargeDay
        and d.x_Cluster = t.x_Cluster
        and d.x_LoggedEndpoint = t.x_Endpoint
        and d.weight > 0
    inner join caller as c
        on c.x_ChargeDay = t.x_ChargeDay
        and c.x_Cluster = t.x_Cluster
        and c.x_LoggedEndpoint = t.x_Endpoint
    union all
    select
        t.x_ChargeDay, t.x_Cluster,
        coalesce(o.x_Feature, '(unallocated)') as x_Feature,
        coalesce(o.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(o.x_Environment, '(unallocated)') as x_Environment,
        '(none)' as x_Model, coalesce(t.x_Endpoint, '(none)') as x_Endpoint,
        t.sent * 1000000000000 as sent, t.received * 1000000000000 as received
    from traffic as t
    left join tag_owner as o on o.Tags = t.x_Labels
    anti join called as d
        on d.x_ChargeDay = t.x_ChargeDay
        and d.x_Cluster = t.x_Cluster
        and d.x_LoggedEndpoint = t.x_Endpoint
        and d.weight > 0
),
sent as (
    select
        p.x_PoolId, t.x_Feature, t.x_Tenant, t.x_Environment, t.x_Model, t.x_Endpoint,
        case p.x_Bytes when 'both' then 'sent and received bytes' else 'sent bytes' end as unit,
        t.sent + case p.x_Bytes when 'both' then t.received else 0 end as weight
    from pool as p
    inner join owner_traffic as t
        on t.x_ChargeDay = p.x_ChargeDay and t.x_Cluster = p.x_Cluster
    where p.kind = 'network'
),
-- ------------------------------------------------------------------------------ all of it
counted as (
    select x_PoolId from sent group by x_PoolId having sum(weight) > 0
),
consumer as (
    select
        p.x_PoolId, 'load_balancer' as x_AllocationMethod,
        coalesce(o.x_Feature, '(unallocated)') as x_Feature,
        coalesce(o.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(o.x_Environment, '(unallocated)') as x_Environment,
        '(none)' as x_Model, '(none)' as x_Endpoint, 'Service' as unit,
        cast(1 as hugeint) as weight
    from pool as p
    inner join service_owner as o on o.x_Pool = p.x_Pool
    where coalesce(o.x_Feature, o.x_Tenant, o.x_Environment) is not null
    union all
    select
        x_PoolId, 'network' as x_AllocationMethod, x_Feature, x_Tenant, x_Environment, x_Model,
        x_Endpoint, unit, weight
    from sent
    union all
    select
        p.x_PoolId,
        case p.kind when 'control_plane' then 'control_plane' else 'cluster_held' end
            as x_AllocationMethod,
        h.x_Feature, h.x_Tenant, h.x_Environment, h.x_Model, h.x_Endpoint, 'held' as unit,
        h.weight
    from pool as p
    inner join held as h
        on h.x_ChargeDay = p.x_ChargeDay
        and h.x_Cluster = p.x_Cluster
        and h.BillingCurrency = p.BillingCurrency
    anti join counted as c on c.x_PoolId = p.x_PoolId
    where p.x_Otherwise = 'held'
),
weighed as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
        x_AllocationMethod, min(unit) as unit, sum(weight) as weight
    from consumer
    group by
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
        x_AllocationMethod
    having sum(weight) > 0
)
select
    $period as BillingPeriod,
    w.x_PoolId,
    p.x_ChargeDay,
    w.x_Feature,
    w.x_Tenant,
    w.x_Environment,
    w.x_Model,
    w.x_Endpoint,
    w.x_AllocationMethod,
    w.unit as x_WeightUnit,
    cast(w.weight as decimal(38, 0)) as x_Weight
from weighed as w
inner join pool as p on p.x_PoolId = w.x_PoolId
order by
    p.x_ChargeDay, w.x_PoolId, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model,
    w.x_Endpoint, w.x_AllocationMethod
