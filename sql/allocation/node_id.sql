-- The nodes of the month, by the id the bill knows them by.
--
-- A table of its own, so that an hour more of a known node changes nothing that asks for nodes.
--
-- One row per node on the bill.
select
    $period as BillingPeriod,
    ResourceId,
    min(x_Cluster) as x_Cluster
from node_usage
where ResourceId is not null
group by ResourceId
order by ResourceId
