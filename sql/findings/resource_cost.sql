-- The bill by resource: what all findings about money read, so that the charges are scanned once.
--
-- A charge on a node or a volume of a cluster, one that an `[[inference_split]]` matches, and what is unused of
-- a commitment that others bear, is split by use: x_Pool names its pool, as in charge_owner. So is
-- a function that was called; whatever it is charged for, here it is one pool.
-- x_SourceFile and x_SourceRow are the row of the largest charge (ties by file and row), the
-- evidence a finding shows.
--
-- One row per provider, account, service, category of charge, part of a commitment, resource, set
-- of tags and currency.
with
node as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from node_usage
    where ResourceId is not null
    group by ResourceId
),
charge as (
    select
        ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory,
        CommitmentDiscountStatus, ResourceId, x_TagSetId, BillingCurrency,
        max(ResourceName) as ResourceName,
        sum(EffectiveCost) as EffectiveCost,
        count(*) as x_ChargeRows,
        min(struct_pack(cost := -EffectiveCost, file := x_SourceFile, line := x_SourceRow))
            as largest
    from cost_and_usage
    group by
        ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory,
        CommitmentDiscountStatus, ResourceId, x_TagSetId, BillingCurrency
),
endpoint as (
    select distinct ResourceId, x_Pool, x_Function is not null as is_function from endpoint_id
),
-- What splits look at, once each: far fewer rows than resources.
named_resource as (
    select ResourceId from inference_split where ResourceId is not null
    union
    select ResourceId from endpoint where not is_function
),
kind as (
    select distinct
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.CommitmentDiscountStatus, n.ResourceId
    from charge as c
    left join named_resource as n on n.ResourceId = c.ResourceId
),
split as (
    select
        k.ProviderName, k.SubAccountId, k.ServiceName, k.ServiceCategory, k.ChargeCategory,
        k.CommitmentDiscountStatus, k.ResourceId,
        arg_min(
            case when s.x_EndpointStart is null then 'inference/' || s.x_Name else e.x_Pool end,
            s.x_Rank
        ) as x_Pool
    from kind as k
    left join endpoint as e on e.ResourceId = k.ResourceId
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = k.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = k.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = k.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = k.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = k.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = k.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = k.CommitmentDiscountStatus
        )
        and (
            s.x_EndpointStart is null
            or starts_with(e.x_Pool, 'inference/' || s.x_Name || '/')
        )
    group by
        k.ProviderName, k.SubAccountId, k.ServiceName, k.ServiceCategory, k.ChargeCategory,
        k.CommitmentDiscountStatus, k.ResourceId
)
select
    $period as BillingPeriod,
    c.ProviderName,
    c.SubAccountId,
    c.ServiceCategory,
    c.ServiceName,
    c.ChargeCategory,
    c.CommitmentDiscountStatus,
    c.ResourceId,
    c.ResourceName,
    c.x_TagSetId,
    case
        when s.x_Pool is not null then s.x_Pool
        when c.CommitmentDiscountStatus = 'Unused' and $unused_commitment <> 'buyer'
            then 'commitment/' || $unused_commitment
        when node.x_Cluster is not null then 'node/' || node.x_Cluster
        when v.x_Cluster is not null then 'volume/' || v.x_Cluster
        when f.x_Pool is not null then f.x_Pool
    end as x_Pool,
    c.BillingCurrency,
    cast(c.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(c.x_ChargeRows as bigint) as x_ChargeRows,
    cast(-c.largest.cost as decimal(38, 12)) as x_LargestCharge,
    c.largest.file as x_SourceFile,
    c.largest.line as x_SourceRow
from charge as c
left join node on node.ResourceId = c.ResourceId
left join volume_id as v on v.ResourceId = c.ResourceId
left join endpoint as f on f.is_function and f.ResourceId = c.ResourceId
left join named_resource as n on n.ResourceId = c.ResourceId
left join split as s
    on s.ProviderName = c.ProviderName
    and s.SubAccountId is not distinct from c.SubAccountId
    and s.ServiceName = c.ServiceName
    and s.ServiceCategory = c.ServiceCategory
    and s.ChargeCategory = c.ChargeCategory
    and s.ResourceId is not distinct from n.ResourceId
    and s.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
order by
    c.ProviderName, c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory,
    c.CommitmentDiscountStatus, c.ResourceId, c.x_TagSetId, c.BillingCurrency
