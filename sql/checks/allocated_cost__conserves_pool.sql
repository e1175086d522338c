-- Every pool is split whole: the parts of each pool sum to its charges. The check by invoice
-- cannot see two pools that swapped a cent; this one can.
with
pool as (
    select
        x_PoolId, sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_owner
    group by x_PoolId
),
allocated as (
    select
        x_PoolId, sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from allocated_cost
    where x_AllocationMethod <> 'quarantined'
    group by x_PoolId
)
select
    coalesce(pool.x_PoolId, allocated.x_PoolId) as x_PoolId,
    pool.BilledCost as billed, allocated.BilledCost as allocated,
    pool.EffectiveCost as effective, allocated.EffectiveCost as effective_allocated
from pool
full join allocated on allocated.x_PoolId = pool.x_PoolId
where pool.BilledCost is distinct from allocated.BilledCost
    or pool.EffectiveCost is distinct from allocated.EffectiveCost
