-- Coverage of a period by dimension.
select BillingCurrency, x_Dimension, x_CoveragePermille, x_IdleCost, x_UnallocatedCost
from coverage
where BillingPeriod = $period
order by BillingCurrency desc, x_Dimension
