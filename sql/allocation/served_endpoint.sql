-- The endpoints that were called at all in the month, and the names that the logs have for them. In an
-- hour without a call their pods are idle; the pods of a workload that nobody ever calls are not.
--
-- Two clusters may run a workload of one name, each with callers of its own. Calls that a log says
-- the cluster of are then those of an endpoint of that cluster alone, `cluster/namespace/workload`;
-- all others keep the name as logged, for they may have gone to any cluster that runs it. Where no
-- other cluster than the one said ran pods of that name in the month, there is nothing to tell apart.
-- So x_Endpoint tells endpoints apart in all that follows, and whoever asks for pods, for counters of
-- engines or for what a pattern fits goes by x_LoggedEndpoint, and by x_Cluster where x_Endpoint
-- is another name.
--
-- One row per name and cluster as logged.
with
called as (
    select distinct x_Endpoint, x_Cluster from inference_usage
),
-- Neither a namespace nor a workload has a slash in it.
said as (
    select
        x_Endpoint, x_Cluster, split_part(x_Endpoint, '/', 1) as x_Namespace,
        split_part(x_Endpoint, '/', 2) as x_Workload
    from called
    where x_Cluster is not null
        and x_Endpoint = split_part(x_Endpoint, '/', 1) || '/' || split_part(x_Endpoint, '/', 2)
),
-- Where no log says a cluster, no pod is looked at.
elsewhere as (
    select distinct s.x_Endpoint, s.x_Cluster
    from pod_usage as p
    inner join said as s
        on s.x_Namespace = p.x_Namespace
        and s.x_Workload = p.x_Workload
        and s.x_Cluster <> p.x_Cluster
    where p.x_Node is not null
)
select
    $period as BillingPeriod,
    c.x_Endpoint as x_LoggedEndpoint,
    c.x_Cluster,
    case
        when e.x_Endpoint is not null then c.x_Cluster || '/' || c.x_Endpoint
        else c.x_Endpoint
    end as x_Endpoint
from called as c
left join elsewhere as e on e.x_Endpoint = c.x_Endpoint and e.x_Cluster = c.x_Cluster
order by c.x_Endpoint, c.x_Cluster
