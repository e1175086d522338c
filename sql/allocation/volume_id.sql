-- The volumes of the month, by the id the bill knows their disks by.
--
-- A disk on the bill is the one a cluster names only if the ids are the same: AWS by the volume id,
-- be it alone or the last part of an ARN; Azure by the whole resource id, in any case; Google by the
-- name of a disk. A part of a word is never enough. A volume that several clusters name is of the
-- first.
--
-- One row per volume on the bill.
with
measured as (
    select x_VolumeId, min(x_Cluster) as x_Cluster
    from volume_usage
    where x_VolumeId is not null
    group by x_VolumeId
),
-- Ids are many: where no volume is measured they are not looked at.
billed as (
    select distinct ResourceId, ResourceName, ResourceType
    from cost_and_usage
    where ResourceId is not null and (select count(*) from measured) > 0
),
named as (
    select
        ResourceId,
        case
            when starts_with(ResourceId, 'arn:')
                then split_part(split_part(ResourceId, '/', -1), ':', -1)
            when starts_with(ResourceId, '//') and ResourceType = 'disks' then ResourceName
            when ResourceId ilike '/subscriptions/%' then lower(ResourceId)
            else ResourceId
        end as x_VolumeId
    from billed
)
select
    $period as BillingPeriod,
    n.ResourceId,
    min(n.x_VolumeId) as x_VolumeId,
    min(m.x_Cluster) as x_Cluster
from named as n
inner join measured as m on m.x_VolumeId = n.x_VolumeId
group by n.ResourceId
order by n.ResourceId
