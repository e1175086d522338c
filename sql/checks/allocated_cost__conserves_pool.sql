-- Every pool is split whole: the parts of each pool sum to its charges. The check by invoice
-- cannot see two pools that swapped a cent; this one can. And every part is of the day, invoice,
-- account, service and category of its pool: one that is not has another hash of them.
with
pool as (
    select
        x_PoolId, sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost,
        min(hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
            ServiceName, ChargeCategory, x_Pool
        )) as lowest_hash,
        max(hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
            ServiceName, ChargeCategory, x_Pool
        )) as highest_hash
    from charge_owner
    group by x_PoolId
),
allocated as (
    select
        x_PoolId, sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost,
        min(hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
            ServiceName, ChargeCategory, x_Pool
        )) as lowest_hash,
        max(hash(
            x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
            ServiceName, ChargeCategory, x_Pool
        )) as highest_hash
    from allocated_cost
    where x_AllocationMethod <> 'quarantined'
    group by x_PoolId
)
select
    coalesce(pool.x_PoolId, allocated.x_PoolId) as x_PoolId,
    pool.BilledCost as billed, allocated.BilledCost as allocated,
    pool.EffectiveCost as effective, allocated.EffectiveCost as effective_allocated,
    pool.lowest_hash is not distinct from allocated.lowest_hash
        and pool.highest_hash is not distinct from allocated.highest_hash as is_of_its_pool
from pool
full join allocated on allocated.x_PoolId = pool.x_PoolId
where pool.BilledCost is distinct from allocated.BilledCost
    or pool.EffectiveCost is distinct from allocated.EffectiveCost
    or pool.lowest_hash is distinct from allocated.lowest_hash
    or pool.highest_hash is distinct from allocated.highest_hash
