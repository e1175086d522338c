-- The findings of a period with the most money.
select
    x_FindingKind, coalesce(ResourceId, x_Workload, ServiceName) as what, x_Dimension,
    x_TagValue, x_LikelyValue, BillingCurrency, EffectiveCost
from finding
where BillingPeriod = $period
order by coalesce(abs(EffectiveCost), 0) desc, x_FindingId, BillingCurrency
limit 8
