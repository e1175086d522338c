-- The bill by resource: what all findings about money read, so that the charges are scanned once.
--
-- A charge on a node or a volume of a cluster, one that an `[[inference_split]]` matches, and what is unused of
-- a commitment that others bear, is split by use: x_Pool names its pool, as in charge_owner. So is
-- a function that was called; whatever it is charged for, here it is one pool. The load balancer of
-- a Service whose labels name somebody, and what a `[[cluster_charge]]` takes, are, too, where there
-- was somebody to split it among in the month: what is kept with its tags needs them.
-- x_SourceFile and x_SourceRow are the row of the largest charge (ties by file and row), the
-- evidence a finding shows.
--
-- One row per provider, account, service, category of charge, part of a commitment, meter where a
-- `[[cluster_charge]]` names it, resource, set of tags and currency.
with
node as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from node_usage
    where ResourceId is not null
    group by ResourceId
),
named_meter as (
    select distinct SkuMeter from cluster_charge where SkuMeter is not null
),
charge as (
    select
        c.ProviderName, c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory,
        c.CommitmentDiscountStatus, m.SkuMeter, c.ResourceId, c.x_TagSetId, c.BillingCurrency,
        max(ResourceName) as ResourceName,
        sum(EffectiveCost) as EffectiveCost,
        count(*) as x_ChargeRows,
        min(struct_pack(cost := -EffectiveCost, file := x_SourceFile, line := x_SourceRow))
            as largest
    from cost_and_usage as c
    left join named_meter as m on m.SkuMeter = c.SkuMeter
    group by
        c.ProviderName, c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory,
        c.CommitmentDiscountStatus, m.SkuMeter, c.ResourceId, c.x_TagSetId, c.BillingCurrency
),
endpoint as (
    select distinct ResourceId, x_Pool, x_Function is not null as is_function from endpoint_id
),
-- What splits look at, once each: far fewer rows than resources.
named_resource as (
    select ResourceId from inference_split where ResourceId is not null
    union
    select ResourceId from endpoint where not is_function
    union
    select ResourceId from cluster_charge where ResourceId is not null
),
kind as (
    select distinct
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.CommitmentDiscountStatus, c.SkuMeter, n.ResourceId
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
    from (
        select distinct
            ProviderName, SubAccountId, ServiceName, ServiceCategory, ChargeCategory,
            CommitmentDiscountStatus, ResourceId
        from kind
    ) as k
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
),
shared_pool as (
    select distinct o.x_Pool
    from charge_owner as o
    semi join cluster_share as s on s.x_PoolId = o.x_PoolId
),
of_cluster as (
    select
        k.ProviderName, k.SubAccountId, k.ServiceName, k.ServiceCategory, k.ChargeCategory,
        k.CommitmentDiscountStatus, k.SkuMeter, k.ResourceId,
        arg_min(b.x_Pool, b.x_Rank) as x_Pool
    from kind as k
    inner join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = k.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = k.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = k.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = k.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = k.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = k.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = k.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = k.SkuMeter)
    group by
        k.ProviderName, k.SubAccountId, k.ServiceName, k.ServiceCategory, k.ChargeCategory,
        k.CommitmentDiscountStatus, k.SkuMeter, k.ResourceId
)
select
    $period as BillingPeriod,
    c.ProviderName,
    c.SubAccountId,
    c.ServiceCategory,
    c.ServiceName,
    c.ChargeCategory,
    c.CommitmentDiscountStatus,
    c.SkuMeter,
    c.ResourceId,
    c.ResourceName,
    c.x_TagSetId,
    case
        when s.x_Pool is not null then s.x_Pool
        when c.CommitmentDiscountStatus = 'Unused' and $unused_commitment <> 'buyer'
            then 'commitment/' || $unused_commitment
        when p.x_Pool is not null then p.x_Pool
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
left join load_balancer_id as l on l.ResourceId = c.ResourceId
left join of_cluster as b
    on b.ProviderName = c.ProviderName
    and b.SubAccountId is not distinct from c.SubAccountId
    and b.ServiceName = c.ServiceName
    and b.ServiceCategory = c.ServiceCategory
    and b.ChargeCategory = c.ChargeCategory
    and b.ResourceId is not distinct from n.ResourceId
    and b.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    and b.SkuMeter is not distinct from c.SkuMeter
left join shared_pool as p on p.x_Pool = coalesce(l.x_Pool, b.x_Pool)
order by
    c.ProviderName, c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory,
    c.CommitmentDiscountStatus, c.SkuMeter, c.ResourceId, c.x_TagSetId, c.BillingCurrency
