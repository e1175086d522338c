-- A charge that is split among nobody stays with the owner its tags or a rule gave it: its costs
-- are those of charge_owner, for each pool and owner. Of a charge that is split, the owners are
-- those that usage_share weighs, and its sum is held by the check of pools.
with
owned as (
    select
        hash(x_PoolId, x_Feature, x_Tenant, x_Environment, x_AllocationMethod) as owner_hash,
        min(x_PoolId) as x_PoolId,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_owner
    where x_Pool is null
    group by owner_hash
),
allocated as (
    select
        hash(x_PoolId, x_Feature, x_Tenant, x_Environment, x_AllocationMethod) as owner_hash,
        min(x_PoolId) as x_PoolId,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from allocated_cost
    where x_Pool is null and x_AllocationMethod <> 'quarantined'
    group by owner_hash
)
select
    coalesce(owned.x_PoolId, allocated.x_PoolId) as x_PoolId,
    owned.BilledCost as owned, allocated.BilledCost as allocated,
    owned.EffectiveCost as effective, allocated.EffectiveCost as effective_allocated
from owned
full join allocated on allocated.owner_hash = owned.owner_hash
where owned.BilledCost is distinct from allocated.BilledCost
    or owned.EffectiveCost is distinct from allocated.EffectiveCost
