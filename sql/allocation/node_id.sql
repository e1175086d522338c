-- The nodes of the month, by the id the bill knows them by.
-- Why so: a node says its provider's id, and on the bill that is a part of a longer one. AWS has the
-- instance id, alone or as the last part of an ARN; Azure the whole resource id, in lower case on
-- both sides; Google a number of its own in the full name of the instance, with the node's name
-- beside it, which with project and zone tells the instance. A part of a word is never enough.
-- A project is compared by its id, which the account of Google's bill is; where that is a number, or
-- a bill has the name alone, the rest must tell one node, or it is none.
--
-- A table of its own, so that an hour more of a known node changes nothing that asks for nodes.
--
-- One row per id of a node on the bill.
with
measured as (
    select
        ResourceId, provider,
        case provider when 'gce' then split_part(ResourceId, '/', -1) else ResourceId end as node,
        case provider when 'gce' then split_part(ResourceId, '/', 1) end as project,
        case provider when 'gce' then split_part(ResourceId, '/', 2) end as zone,
        min(x_Cluster) as x_Cluster
    from (
        select ResourceId, split_part(x_ProviderId, ':', 1) as provider, x_Cluster
        from node_usage
        where ResourceId is not null
    ) as listed
    group by ResourceId, provider
),
-- Ids are many: where no cluster has such nodes they are not looked at.
billed as (
    select distinct
        ResourceId, 'gce' as provider, split_part(ResourceName, '/', -1) as node,
        case when not regexp_full_match(SubAccountId, '[0-9]*') then SubAccountId end as project,
        regexp_extract(ResourceId, '/zones/([^/]+)/', 1) as zone
    from cost_and_usage
    where starts_with(ResourceId, '//compute.googleapis.com/')
        and contains(ResourceId, '/instances/')
        and (select count(*) from measured where provider = 'gce') > 0
    union all
    select distinct
        ResourceId, 'gce' as provider, ResourceId as node,
        case when not regexp_full_match(SubAccountId, '[0-9]*') then SubAccountId end as project,
        null as zone
    from cost_and_usage
    where ResourceId in (select node from measured where provider = 'gce')
        and (select count(*) from measured where provider = 'gce') > 0
    union all
    select distinct
        ResourceId, 'aws' as provider, split_part(ResourceId, '/', -1) as node, null as project,
        null as zone
    from cost_and_usage
    where starts_with(ResourceId, 'arn:')
        and contains(ResourceId, ':instance/')
        and (select count(*) from measured where provider = 'aws') > 0
    union all
    select distinct
        ResourceId, 'azure' as provider, lower(ResourceId) as node, null as project, null as zone
    from cost_and_usage
    where ResourceId ilike '/subscriptions/%'
        and ResourceId <> lower(ResourceId)
        and (select count(*) from measured where provider = 'azure') > 0
),
named as (
    select ResourceId, ResourceId as x_NodeResourceId, x_Cluster from measured
    union all
    select b.ResourceId, m.ResourceId as x_NodeResourceId, m.x_Cluster
    from billed as b
    inner join measured as m
        on m.provider = b.provider
        and m.node = b.node
        and (b.project is null or b.project = m.project)
        and (b.zone is null or b.zone = m.zone)
)
select
    $period as BillingPeriod,
    ResourceId,
    min(x_NodeResourceId) as x_NodeResourceId,
    min(x_Cluster) as x_Cluster
from named
group by ResourceId
having count(distinct x_NodeResourceId) = 1
order by ResourceId
