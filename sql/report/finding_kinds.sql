-- The findings by kind. Dimensions are kept apart: a charge without feature and without tenant is
-- two findings on the same money, so their costs may not be added.
--
-- One row per kind, dimension and currency.
select
    x_FindingKind,
    x_Dimension,
    BillingCurrency,
    count(*) as x_Findings,
    sum(EffectiveCost) as EffectiveCost
from finding
where BillingPeriod = $period
group by x_FindingKind, x_Dimension, BillingCurrency
order by
    max(sum(EffectiveCost)) over (partition by x_FindingKind) desc nulls last,
    x_FindingKind,
    EffectiveCost desc nulls last,
    x_Dimension,
    BillingCurrency;
