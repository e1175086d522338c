-- The rows that changed between two generations of a bill, summed by service.
--
-- One row per currency and service.
select
    BillingCurrency,
    ServiceName,
    sum(case when x_Sign < 0 then 1 else 0 end) as x_Removed,
    sum(case when x_Sign > 0 then 1 else 0 end) as x_Added,
    sum(x_Sign * BilledCost) as x_BilledDifference,
    sum(x_Sign * EffectiveCost) as x_EffectiveDifference
from changed_row
group by BillingCurrency, ServiceName
order by
    BillingCurrency, abs(sum(x_Sign * BilledCost)) desc, abs(sum(x_Sign * EffectiveCost)) desc,
    ServiceName
