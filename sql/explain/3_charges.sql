-- The charges of those pools as the provider delivered them: file and row. Which pool a charge is
-- in is decided as in charge_owner: the first `[[inference_split]]` that matches, else the Service
-- whose load balancer it is, else the first `[[cluster_charge]]` that matches, else its node or
-- volume, else its function. A charge for what nobody used of a commitment is in a pool of its own, and its
-- bill in the other. Of a pool that is split by weights all charges are told; of any other those of
-- the owner, who is found as in charge_owner: by tags, and what they leave open by the first rule.
with
node as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from node_id
    where BillingPeriod = $period
    group by ResourceId
),
volume as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from volume_id
    where BillingPeriod = $period
    group by ResourceId
),
endpoint as (
    select distinct ResourceId, x_Pool, x_Function is not null as is_function
    from endpoint_id
    where BillingPeriod = $period
),
split as (
    select
        c.x_Source, c.x_SourceFile, c.x_SourceRow,
        arg_min(
            case when s.x_EndpointStart is null then 'inference/' || s.x_Name else e.x_Pool end,
            s.x_Rank
        ) as x_Pool
    from cost_and_usage as c
    left join endpoint as e on e.ResourceId = c.ResourceId
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = c.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = c.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = c.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = c.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = c.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = c.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
        and (
            s.x_EndpointStart is null
            or starts_with(e.x_Pool, 'inference/' || s.x_Name || '/')
        )
    where c.BillingPeriod = $period
    group by c.x_Source, c.x_SourceFile, c.x_SourceRow
),
of_cluster as (
    select c.x_Source, c.x_SourceFile, c.x_SourceRow, arg_min(b.x_Pool, b.x_Rank) as x_Pool
    from cost_and_usage as c
    inner join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = c.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = c.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = c.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = c.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = c.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = c.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = c.SkuMeter)
    where c.BillingPeriod = $period
    group by c.x_Source, c.x_SourceFile, c.x_SourceRow
),
-- What rules look at, once each: far fewer rows than charges.
named_resource as (
    select distinct ResourceId from owner_rule where ResourceId is not null
),
ruled as (
    select
        a.ProviderName, a.SubAccountId, a.ServiceName, a.ServiceCategory, a.ChargeCategory,
        a.ResourceId, a.CommitmentDiscountStatus,
        arg_min(r.x_Feature, r.x_Rank) filter (where r.x_Feature is not null) as x_Feature,
        arg_min(r.x_Tenant, r.x_Rank) filter (where r.x_Tenant is not null) as x_Tenant,
        arg_min(r.x_Environment, r.x_Rank)
            filter (where r.x_Environment is not null) as x_Environment
    from (
        select distinct
            c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
            n.ResourceId, c.CommitmentDiscountStatus
        from cost_and_usage as c
        left join named_resource as n on n.ResourceId = c.ResourceId
        where c.BillingPeriod = $period
    ) as a
    inner join owner_rule as r
        on (r.ProviderName is null or r.ProviderName = a.ProviderName)
        and (r.SubAccountId is null or r.SubAccountId = a.SubAccountId)
        and (r.ServiceName is null or r.ServiceName = a.ServiceName)
        and (r.ServiceCategory is null or r.ServiceCategory = a.ServiceCategory)
        and (r.ChargeCategory is null or r.ChargeCategory = a.ChargeCategory)
        and (r.ResourceId is null or r.ResourceId = a.ResourceId)
        and (
            r.CommitmentDiscountStatus is null
            or r.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
    group by
        a.ProviderName, a.SubAccountId, a.ServiceName, a.ServiceCategory, a.ChargeCategory,
        a.ResourceId, a.CommitmentDiscountStatus
),
balancer as (
    select ResourceId, x_Pool from load_balancer_id where BillingPeriod = $period
),
charge as (
    select
        c.ChargePeriodStart, c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId,
        c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.ResourceId, c.ChargeDescription,
        c.BilledCost, c.EffectiveCost, c.Tags, c.x_SourceFile, c.x_SourceRow,
        coalesce(t.x_Feature, ruled.x_Feature, '(unallocated)') as x_Feature,
        coalesce(t.x_Tenant, ruled.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(t.x_Environment, ruled.x_Environment, '(unallocated)') as x_Environment,
        case
            when split.x_Pool is not null then split.x_Pool
            when not coalesce(endpoint.is_function, false) and balancer.x_Pool is not null
                then balancer.x_Pool
            when of_cluster.x_Pool is not null then of_cluster.x_Pool
            when node.x_Cluster is not null then 'node/' || node.x_Cluster
            when volume.x_Cluster is not null then 'volume/' || volume.x_Cluster
            when endpoint.is_function
                then endpoint.x_Pool || '/' || function_component(
                    coalesce(c.SkuMeter, c.ChargeDescription), c.ConsumedUnit
                )
        end as x_Pool,
        case
            when $unused_commitment = 'users' and (
                c.CommitmentDiscountStatus = 'Used'
                or (
                    c.CommitmentDiscountStatus = 'Unused'
                    and c.EffectiveCost <> 0
                    and split.x_Pool is null
                )
            ) then c.CommitmentDiscountId
        end as CommitmentDiscountId,
        case
            when $unused_commitment = 'buyer' or c.EffectiveCost = 0 or split.x_Pool is not null
                or coalesce(c.CommitmentDiscountStatus <> 'Unused', true) then null
            when c.ChargePeriodEnd > c.ChargePeriodStart + interval 25 hour
                then 'commitment/' || $unused_commitment || '/month'
            else 'commitment/' || $unused_commitment
        end as commitment_pool,
        charge_until_day(c.ChargePeriodStart, c.ChargePeriodEnd) as x_ChargeUntilDay
    from cost_and_usage as c
    left join node on node.ResourceId = c.ResourceId
    left join volume on volume.ResourceId = c.ResourceId
    left join endpoint on endpoint.ResourceId = c.ResourceId
    left join split
        on split.x_Source = c.x_Source
        and split.x_SourceFile = c.x_SourceFile
        and split.x_SourceRow = c.x_SourceRow
    left join balancer on balancer.ResourceId = c.ResourceId
    left join of_cluster
        on of_cluster.x_Source = c.x_Source
        and of_cluster.x_SourceFile = c.x_SourceFile
        and of_cluster.x_SourceRow = c.x_SourceRow
    left join tag_owner as t on t.x_TagSetId = c.x_TagSetId and t.BillingPeriod = $period
    left join named_resource as n on n.ResourceId = c.ResourceId
    left join ruled
        on ruled.ProviderName = c.ProviderName
        and ruled.SubAccountId is not distinct from c.SubAccountId
        and ruled.ServiceName = c.ServiceName
        and ruled.ServiceCategory = c.ServiceCategory
        and ruled.ChargeCategory = c.ChargeCategory
        and ruled.ResourceId is not distinct from n.ResourceId
        and ruled.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    where c.BillingPeriod = $period
),
pooled as (
    select charge.* replace (coalesce(commitment_pool, x_Pool) as x_Pool)
    from charge
    union all
    select charge.* replace (cast(null as varchar) as CommitmentDiscountId)
    from charge
    where commitment_pool is not null and BilledCost <> 0
),
split_pool as (
    select x_PoolId
    from (
        select x_PoolId, x_Weight from usage_share where BillingPeriod = $period
        union all
        select x_PoolId, x_Weight from endpoint_share where BillingPeriod = $period
        union all
        select x_PoolId, x_Weight from volume_share where BillingPeriod = $period
        union all
        select x_PoolId, x_Weight from cluster_share where BillingPeriod = $period
        union all
        select x_PoolId, x_Weight from commitment_share where BillingPeriod = $period
    ) as share
    group by x_PoolId
    having sum(x_Weight) > 0
),
wanted as (
    select distinct
        a.x_ChargeDay, a.InvoiceId, a.BillingCurrency, a.ProviderName, a.SubAccountId,
        a.ServiceCategory, a.ServiceName, a.ChargeCategory, a.x_Pool, o.CommitmentDiscountId,
        o.x_ChargeUntilDay,
        case when p.x_PoolId is null then a.x_Feature end as x_Feature,
        case when p.x_PoolId is null then a.x_Tenant end as x_Tenant,
        case when p.x_PoolId is null then a.x_Environment end as x_Environment
    from allocated_cost as a
    inner join charge_owner as o
        on o.BillingPeriod = a.BillingPeriod and o.x_PoolId = a.x_PoolId
    left join split_pool as p on p.x_PoolId = a.x_PoolId
    where a.BillingPeriod = $period
        and a.x_AllocationMethod <> 'quarantined'
        and ($day is null or a.x_ChargeDay = cast($day as date))
        and ($feature is null or a.x_Feature = $feature)
        and ($tenant is null or a.x_Tenant = $tenant)
        and ($environment is null or a.x_Environment = $environment)
        and ($service is null or a.ServiceName = $service)
        and ($model is null or a.x_Model = $model)
)
select distinct
    c.ChargePeriodStart, c.ServiceName, c.ResourceId, c.ChargeDescription, c.BilledCost,
    c.EffectiveCost, c.Tags, c.x_SourceFile, c.x_SourceRow
from pooled as c
inner join wanted as w
    on w.x_ChargeDay = cast(c.ChargePeriodStart as date)
    and w.InvoiceId = c.InvoiceId
    and w.BillingCurrency = c.BillingCurrency
    and w.ProviderName = c.ProviderName
    and w.SubAccountId is not distinct from c.SubAccountId
    and w.ServiceCategory = c.ServiceCategory
    and w.ServiceName = c.ServiceName
    and w.ChargeCategory = c.ChargeCategory
    and w.x_Pool is not distinct from c.x_Pool
    and w.CommitmentDiscountId is not distinct from c.CommitmentDiscountId
    -- only pools of calls are kept apart by how long their charges are for
    and (
        w.x_ChargeUntilDay is not distinct from c.x_ChargeUntilDay
        or not coalesce(regexp_matches(c.x_Pool, '^(inference|function)/'), false)
    )
    -- a pool that is split has no owner
    and (
        w.x_Feature is null
        or (
            w.x_Feature = c.x_Feature
            and w.x_Tenant = c.x_Tenant
            and w.x_Environment = c.x_Environment
        )
    )
order by abs(c.EffectiveCost) desc, c.x_SourceFile, c.x_SourceRow
