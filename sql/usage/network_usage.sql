-- What each pod sent and received, hour by hour.
-- Why so: the kubelet counts the bytes of a pod's network namespace, so all interfaces of the pod
-- are added. A pod on the network of its node has the counters of the node, that is of every pod
-- there: what it sent itself nobody knows, so it is left out. A counter that has no pod UID goes to
-- the pod of that name in that hour, of two to the one that ran longer; a pod nobody listed keeps
-- its name for an id. Bytes to the internet, to another zone and within a node look alike here.
-- One row per cluster, hour and pod UID.
with listed_pod as (
    select
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Pod,
        min(struct_pack(presence := -x_RunningMs, uid := x_PodUid)).uid as x_PodUid
    from pod_usage
    where exists (
        select 1
        from metric_hour
        where x_Series in ('network_sent', 'network_received') and x_PodUid is null
    )
    group by x_Cluster, x_HourStart, x_Namespace, x_Pod
),

counted as (
    select
        m.x_Day,
        m.x_Cluster,
        m.x_HourStart,
        m.x_Namespace,
        m.x_Pod,
        coalesce(m.x_PodUid, p.x_PodUid, m.x_Namespace || '/' || m.x_Pod) as x_PodUid,
        case m.x_Series when 'network_sent' then m.x_Value else 0 end as sent,
        case m.x_Series when 'network_received' then m.x_Value else 0 end as received
    from metric_hour as m
    left join listed_pod as p
        on m.x_PodUid is null
        and p.x_Cluster = m.x_Cluster
        and p.x_HourStart = m.x_HourStart
        and p.x_Namespace = m.x_Namespace
        and p.x_Pod = m.x_Pod
    where m.x_Series in ('network_sent', 'network_received')
        and m.x_Namespace is not null
        and m.x_Pod is not null
),

on_node_network as (
    select distinct x_Cluster, x_Namespace, x_Pod
    from metric_hour
    where x_Series = 'pod_host_network'
)

select
    min(c.x_Day) as x_Day,
    c.x_Cluster,
    c.x_HourStart,
    min(c.x_Namespace) as x_Namespace,
    min(c.x_Pod) as x_Pod,
    c.x_PodUid,
    cast(sum(c.sent) as bigint) as x_SentBytes,
    cast(sum(c.received) as bigint) as x_ReceivedBytes
from counted as c
anti join on_node_network as n
    on n.x_Cluster = c.x_Cluster
    and n.x_Namespace = c.x_Namespace
    and n.x_Pod = c.x_Pod
group by c.x_Cluster, c.x_HourStart, c.x_PodUid
order by c.x_Cluster, c.x_HourStart, c.x_PodUid
