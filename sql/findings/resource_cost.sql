-- The bill by resource: what all findings about money read, so that the charges are scanned once.
--
-- A charge on a node or a volume of a cluster, one that an `[[inference_split]]` matches, and what is unused of
-- a commitment that others bear, is split by use: x_Pool names its pool, as in charge_owner. So is
-- a function that was called; whatever it is charged for, here it is one pool. The load balancer of
-- a Service whose labels name somebody, and what a `[[cluster_charge]]` takes, are, too, where there
-- was somebody to split it among in the month: what is kept with its tags needs them.
-- x_SourceFile and x_SourceRow are the row of the largest charge, the evidence a finding shows; of
-- charges that are equal it is the first of the bill.
--
-- One row per provider, account, service, category of charge, part of a commitment, meter where a
-- `[[cluster_charge]]` names it, resource, set of tags and currency.
with
named_meter as (
    select distinct SkuMeter from cluster_charge where SkuMeter is not null
),
-- Charges are grouped by numbers: one for all that the bill's kinds have in text.
kind as (
    select
        ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory, BillingCurrency,
        row_number() over (
            order by
                ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory,
                BillingCurrency
        ) as kind_no
    from (
        select distinct
            ProviderName, SubAccountId, ServiceCategory, ServiceName, ChargeCategory,
            BillingCurrency
        from charge_kind
    ) as named
),
-- The place of a charge on the bill as one number: its file's, and its row.
file as (
    select
        x_Source, x_SourceFile,
        1000000000 * row_number() over (order by x_Source, x_SourceFile) as first_place
    from (select distinct x_Source, x_SourceFile from cost_and_usage) as delivered
),
summed as (
    select
        kind_no, CommitmentDiscountStatus, SkuMeter, ResourceId, x_TagSetId,
        max(ResourceName) as ResourceName,
        sum(EffectiveCost) as EffectiveCost,
        count(*) as x_ChargeRows,
        max(EffectiveCost) as x_LargestCharge,
        -- The largest, of equals the first, as one number whose last fifteen digits are the place:
        -- it is compared at a tenth of what a struct of the three costs. What exceeds ten billions
        -- is as large as that.
        max(
            cast(least(greatest(EffectiveCost, -9999999999), 9999999999) as decimal(22, 12))
            * cast(1000000000000000 as decimal(16, 0))
            - cast(place as decimal(16, 0)) * cast(0.000000000001 as decimal(12, 12))
        ) as largest
    from (
        select
            kind.kind_no, c.CommitmentDiscountStatus, m.SkuMeter, c.ResourceId, c.x_TagSetId,
            c.ResourceName, c.EffectiveCost, file.first_place + c.x_SourceRow as place
        from cost_and_usage as c
        inner join kind
            on kind.ProviderName = c.ProviderName
            and kind.SubAccountId is not distinct from c.SubAccountId
            and kind.ServiceCategory = c.ServiceCategory
            and kind.ServiceName = c.ServiceName
            and kind.ChargeCategory = c.ChargeCategory
            and kind.BillingCurrency = c.BillingCurrency
        inner join file on file.x_Source = c.x_Source and file.x_SourceFile = c.x_SourceFile
        left join named_meter as m on m.SkuMeter = c.SkuMeter
    ) as line
    group by kind_no, CommitmentDiscountStatus, SkuMeter, ResourceId, x_TagSetId
),
charge as (
    select
        * exclude (below),
        cast(money_units(case when below < 0 then below + 1000 else below end) as bigint) as place
    from (select * exclude (largest), -largest % 1000 as below from summed) as found
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
asked as (
    select distinct c.kind_no, c.CommitmentDiscountStatus, c.SkuMeter, n.ResourceId
    from charge as c
    left join named_resource as n on n.ResourceId = c.ResourceId
),
split as (
    select
        a.kind_no, a.CommitmentDiscountStatus, a.ResourceId,
        arg_min(
            case when s.x_EndpointStart is null then 'inference/' || s.x_Name else e.x_Pool end,
            s.x_Rank
        ) as x_Pool
    from (select distinct kind_no, CommitmentDiscountStatus, ResourceId from asked) as a
    inner join kind as k on k.kind_no = a.kind_no
    left join endpoint as e on e.ResourceId = a.ResourceId
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = k.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = k.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = k.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = k.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = k.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = a.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
        and (
            s.x_EndpointStart is null
            or starts_with(e.x_Pool, 'inference/' || s.x_Name || '/')
        )
    group by a.kind_no, a.CommitmentDiscountStatus, a.ResourceId
),
shared_pool as (
    select distinct o.x_Pool
    from charge_owner as o
    semi join cluster_share as s on s.x_PoolId = o.x_PoolId
),
of_cluster as (
    select
        a.kind_no, a.CommitmentDiscountStatus, a.SkuMeter, a.ResourceId,
        arg_min(b.x_Pool, b.x_Rank) as x_Pool
    from asked as a
    inner join kind as k on k.kind_no = a.kind_no
    inner join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = k.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = k.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = k.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = k.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = k.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = a.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = a.SkuMeter)
    group by a.kind_no, a.CommitmentDiscountStatus, a.SkuMeter, a.ResourceId
)
select
    $period as BillingPeriod,
    k.ProviderName,
    k.SubAccountId,
    k.ServiceCategory,
    k.ServiceName,
    k.ChargeCategory,
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
    k.BillingCurrency,
    cast(c.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(c.x_ChargeRows as bigint) as x_ChargeRows,
    cast(c.x_LargestCharge as decimal(38, 12)) as x_LargestCharge,
    file.x_SourceFile,
    c.place % 1000000000 as x_SourceRow
from charge as c
inner join kind as k on k.kind_no = c.kind_no
inner join file on file.first_place = c.place - c.place % 1000000000
left join node_id as node on node.ResourceId = c.ResourceId
left join volume_id as v on v.ResourceId = c.ResourceId
left join endpoint as f on f.is_function and f.ResourceId = c.ResourceId
left join named_resource as n on n.ResourceId = c.ResourceId
left join split as s
    on s.kind_no = c.kind_no
    and s.ResourceId is not distinct from n.ResourceId
    and s.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
left join load_balancer_id as l on l.ResourceId = c.ResourceId
left join of_cluster as b
    on b.kind_no = c.kind_no
    and b.ResourceId is not distinct from n.ResourceId
    and b.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    and b.SkuMeter is not distinct from c.SkuMeter
left join shared_pool as p on p.x_Pool = coalesce(l.x_Pool, b.x_Pool)
order by c.kind_no, c.place
