-- A charge that is split among nobody stays with the owner its tags or a rule gave it: in each
-- pool, the owners and their costs are those of charge_owner. Rows are compared by the sum of their
-- hashes, which takes a group for a pool and not for an owner; no two rows share a key. Of a charge
-- that is split, the owners are those that usage_share weighs, and its sum is held by the check of
-- pools.
with
owned as (
    select
        x_PoolId, count(*) as owners,
        sum(hash(
            x_Feature, x_Tenant, x_Environment, x_AllocationMethod, BilledCost, EffectiveCost
        )) as owner_hash
    from charge_owner
    where x_Pool is null
    group by x_PoolId
),
allocated as (
    select
        x_PoolId, count(*) as owners,
        sum(hash(
            x_Feature, x_Tenant, x_Environment, x_AllocationMethod, BilledCost, EffectiveCost
        )) as owner_hash
    from allocated_cost
    where x_Pool is null and x_AllocationMethod <> 'quarantined'
    group by x_PoolId
)
select
    coalesce(owned.x_PoolId, allocated.x_PoolId) as x_PoolId,
    owned.owners as owners, allocated.owners as owners_allocated
from owned
full join allocated on allocated.x_PoolId = owned.x_PoolId
where owned.owner_hash is distinct from allocated.owner_hash
    or owned.owners is distinct from allocated.owners
