-- The charges of those pools as the provider delivered them: file and row. Which pool a charge is
-- in is decided as in charge_owner: the first `[[inference_split]]` that matches, else the Service
-- whose load balancer it is, else the first `[[cluster_charge]]` that matches, else its node or
-- volume, else its function. A charge for what nobody used of a commitment is in a pool of its own, and its
-- bill in the other.
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
balancer as (
    select ResourceId, x_Pool from load_balancer_id where BillingPeriod = $period
),
charge as (
    select
        c.ChargePeriodStart, c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId,
        c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.ResourceId, c.ChargeDescription,
        c.BilledCost, c.EffectiveCost, c.Tags, c.x_TagSetId, c.x_SourceFile, c.x_SourceRow,
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
wanted as (
    select distinct
        a.x_ChargeDay, a.InvoiceId, a.BillingCurrency, a.ProviderName, a.SubAccountId,
        a.ServiceCategory, a.ServiceName, a.ChargeCategory, a.x_Pool, o.CommitmentDiscountId,
        o.x_ChargeUntilDay,
        case when a.x_Pool is null then a.x_Feature end as x_Feature,
        case when a.x_Pool is null then a.x_Tenant end as x_Tenant,
        case when a.x_Pool is null then a.x_Environment end as x_Environment
    from allocated_cost as a
    inner join charge_owner as o
        on o.BillingPeriod = a.BillingPeriod and o.x_PoolId = a.x_PoolId
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
left join tag_owner as t on t.x_TagSetId = c.x_TagSetId and t.BillingPeriod = $period
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
    and (
        w.x_Pool is not null
        or (
            (t.x_Feature is null or t.x_Feature = w.x_Feature)
            and (t.x_Tenant is null or t.x_Tenant = w.x_Tenant)
            and (t.x_Environment is null or t.x_Environment = w.x_Environment)
        )
    )
order by abs(c.EffectiveCost) desc, c.x_SourceFile, c.x_SourceRow
