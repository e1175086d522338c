-- How much of the period has a named owner, for each dimension, in the order they are read.
--
-- One row per currency and dimension.
select
    BillingCurrency,
    x_Dimension,
    EffectiveCost,
    x_AllocatedCost,
    x_IdleCost,
    x_UnallocatedCost,
    x_CoveragePermille
from coverage
where BillingPeriod = $period
order by
    BillingCurrency,
    case x_Dimension
        when 'feature' then 1 when 'tenant' then 2 when 'environment' then 3 else 4
    end,
    x_Dimension;
