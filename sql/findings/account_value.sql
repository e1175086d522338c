-- What the tagged resources of an account agree on, as a witness for those that say nothing.
--
-- An account counts where at least two of its resources are tagged, at least half of all, and all
-- of them with one value that is known (or the dimension is not judged, as nobody else names it).
-- Which accounts know one value only is told by their sets of tags; resources are counted there.
--
-- One row per account and dimension that agree.
with
owner as (
    select x_TagSetId, x_Dimension, min(x_OwnerValue) as x_OwnerValue
    from owner_tag
    where x_Decides
    group by x_TagSetId, x_Dimension
),
known as (
    select distinct x_Dimension, x_OwnerValue from known_value
),
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
),
account_set as (
    select distinct ProviderName, SubAccountId, x_TagSetId
    from resource_cost
    where
        SubAccountId is not null and ResourceId is not null
        and ChargeCategory in ('Usage', 'Purchase')
),
one_value as (
    select s.ProviderName, s.SubAccountId, o.x_Dimension, min(o.x_OwnerValue) as x_OwnerValue
    from account_set as s
    inner join owner as o on o.x_TagSetId = s.x_TagSetId
    group by s.ProviderName, s.SubAccountId, o.x_Dimension
    having min(o.x_OwnerValue) = max(o.x_OwnerValue)
),
believed as (
    select o.ProviderName, o.SubAccountId, o.x_Dimension, o.x_OwnerValue
    from one_value as o
    left join known as k
        on k.x_Dimension = o.x_Dimension and k.x_OwnerValue = o.x_OwnerValue
    left join judged as j on j.x_Dimension = o.x_Dimension
    where k.x_OwnerValue is not null or j.x_Dimension is null
),
resource as (
    select distinct r.ProviderName, r.SubAccountId, r.ResourceId, r.x_TagSetId
    from resource_cost as r
    semi join believed as b
        on b.ProviderName = r.ProviderName and b.SubAccountId = r.SubAccountId
    where r.ResourceId is not null and r.ChargeCategory in ('Usage', 'Purchase')
),
tagged as (
    select
        b.ProviderName, b.SubAccountId, b.x_Dimension, b.x_OwnerValue,
        count(distinct r.ResourceId) filter (where o.x_OwnerValue is not null) as tagged,
        count(distinct r.ResourceId) as resources
    from believed as b
    inner join resource as r
        on r.ProviderName = b.ProviderName and r.SubAccountId = b.SubAccountId
    left join owner as o on o.x_TagSetId = r.x_TagSetId and o.x_Dimension = b.x_Dimension
    group by b.ProviderName, b.SubAccountId, b.x_Dimension, b.x_OwnerValue
)
select
    $period as BillingPeriod,
    ProviderName,
    SubAccountId,
    x_Dimension,
    x_OwnerValue,
    tagged || ' resources of account ' || SubAccountId as x_Where
from tagged
where tagged >= 2 and 2 * tagged >= resources
order by ProviderName, SubAccountId, x_Dimension
