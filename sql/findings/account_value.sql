-- What the tagged resources of an account agree on, as a witness for those that say nothing.
--
-- An account counts where at least two of its resources are tagged, at least half of all, and all
-- of them with one value that is known (or the dimension is not judged, as nobody else names it).
--
-- One row per account and dimension that agree.
with
dimension as (
    select unnest(['feature', 'tenant', 'environment']) as x_Dimension
),
resource as (
    select distinct ProviderName, SubAccountId, ResourceId, x_TagSetId
    from resource_cost
    where
        SubAccountId is not null and ResourceId is not null
        and ChargeCategory in ('Usage', 'Purchase')
),
owner as (
    select x_TagSetId, x_Dimension, min(x_OwnerValue) as x_OwnerValue
    from owner_tag
    where x_Decides
    group by x_TagSetId, x_Dimension
),
tagged as (
    select
        r.ProviderName, r.SubAccountId, d.x_Dimension,
        min(o.x_OwnerValue) as x_OwnerValue,
        max(o.x_OwnerValue) as last_value,
        count(distinct r.ResourceId) filter (where o.x_OwnerValue is not null) as tagged,
        count(distinct r.ResourceId) as resources
    from resource as r
    cross join dimension as d
    left join owner as o on o.x_TagSetId = r.x_TagSetId and o.x_Dimension = d.x_Dimension
    group by r.ProviderName, r.SubAccountId, d.x_Dimension
),
known as (
    select distinct x_Dimension, x_OwnerValue from known_value
),
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
)
select
    $period as BillingPeriod,
    t.ProviderName,
    t.SubAccountId,
    t.x_Dimension,
    t.x_OwnerValue,
    t.tagged || ' resources of account ' || t.SubAccountId as x_Where
from tagged as t
left join known as k
    on k.x_Dimension = t.x_Dimension and k.x_OwnerValue = t.x_OwnerValue
left join judged as j on j.x_Dimension = t.x_Dimension
where
    t.x_OwnerValue = t.last_value
    and t.tagged >= 2
    and 2 * t.tagged >= t.resources
    and (k.x_OwnerValue is not null or j.x_Dimension is null)
order by t.ProviderName, t.SubAccountId, t.x_Dimension
