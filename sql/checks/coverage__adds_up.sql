-- Allocated, idle and unallocated spend are all there is, in every dimension.
select
    BillingCurrency, x_Dimension, EffectiveCost, x_AllocatedCost, x_IdleCost, x_UnallocatedCost
from coverage
where EffectiveCost is distinct from x_AllocatedCost + x_IdleCost + x_UnallocatedCost
