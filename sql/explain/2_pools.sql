-- Where they come from: each pool, its whole cost, the part that fell here and by which weight. Of a
-- pool that nothing was split by, what each owner has of it is a whole of its own.
with
part as (
    select
        x_PoolId, x_ChargeDay, InvoiceId, ServiceName, ChargeCategory, x_Pool,
        x_AllocationMethod, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
        EffectiveCost
    from allocated_cost
    where BillingPeriod = $period
        and ($day is null or x_ChargeDay = cast($day as date))
        and ($feature is null or x_Feature = $feature)
        and ($tenant is null or x_Tenant = $tenant)
        and ($environment is null or x_Environment = $environment)
        and ($service is null or ServiceName = $service)
        and ($model is null or x_Model = $model)
),
share as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_TokenRatio, x_Weight
    from usage_share
    where BillingPeriod = $period
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_TokenRatio, x_Weight
    from endpoint_share
    where BillingPeriod = $period
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, null as x_TokenRatio, x_Weight
    from volume_share
    where BillingPeriod = $period
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, null as x_TokenRatio, x_Weight
    from cluster_share
    where BillingPeriod = $period
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, null as x_TokenRatio, x_Weight
    from commitment_share
    where BillingPeriod = $period
),
pool_weight as (
    select x_PoolId, sum(x_Weight) as x_Weight
    from share
    group by x_PoolId
    having sum(x_Weight) > 0
),
pool as (
    select
        o.x_PoolId,
        case when w.x_PoolId is null then o.x_Feature end as x_Feature,
        case when w.x_PoolId is null then o.x_Tenant end as x_Tenant,
        case when w.x_PoolId is null then o.x_Environment end as x_Environment,
        case when w.x_PoolId is null then o.x_AllocationMethod end as x_AllocationMethod,
        sum(o.EffectiveCost) as EffectiveCost,
        sum(o.x_ChargeRows) as x_ChargeRows
    from charge_owner as o
    left join pool_weight as w on w.x_PoolId = o.x_PoolId
    where o.BillingPeriod = $period
    group by all
)
select
    part.x_ChargeDay, part.ServiceName, coalesce(part.x_Pool, '(by tag)') as x_Pool,
    part.x_Endpoint, part.x_AllocationMethod,
    share.x_WeightUnit,
    share.x_TokenRatio,
    share.x_Weight as weight,
    pool_weight.x_Weight as of_weight,
    pool.EffectiveCost as pool_cost,
    part.EffectiveCost,
    pool.x_ChargeRows as charges,
    part.x_PoolId
from part
left join pool
    on pool.x_PoolId = part.x_PoolId
    and (
        pool.x_AllocationMethod is null
        or (
            pool.x_Feature = part.x_Feature
            and pool.x_Tenant = part.x_Tenant
            and pool.x_Environment = part.x_Environment
            and pool.x_AllocationMethod = part.x_AllocationMethod
        )
    )
left join pool_weight on pool_weight.x_PoolId = part.x_PoolId
left join share
    on share.x_PoolId = part.x_PoolId
    and share.x_Feature = part.x_Feature
    and share.x_Tenant = part.x_Tenant
    and share.x_Environment = part.x_Environment
    and share.x_Model = part.x_Model
    and share.x_Endpoint = part.x_Endpoint
    and share.x_AllocationMethod = part.x_AllocationMethod
order by abs(part.EffectiveCost) desc, part.x_PoolId, part.x_Endpoint, part.x_AllocationMethod,
    part.x_Feature, part.x_Tenant, part.x_Environment, part.x_Model
