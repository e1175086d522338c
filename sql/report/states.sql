-- Where the bills of the period stand, the corrected ones first.
--
-- One row per source and currency.
select
    x_Source,
    BillingCurrency,
    x_State,
    x_PublishedAt,
    x_ClosedAt,
    x_BilledClosed,
    x_BilledCorrection,
    x_EffectiveCorrection,
    x_ClosedGeneration,
    x_Generation
from period_state
where BillingPeriod = $period
order by x_State = 'corrected' desc, x_Source, BillingCurrency;
