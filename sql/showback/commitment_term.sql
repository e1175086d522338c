-- What was paid for each savings plan and reservation, and what was amortised of it, over all periods
-- that are published: when its term is over, the two are the same to the last digit, the last period
-- carrying the rounding.
--
-- A term is over when the time that was paid for upfront is, or, where nothing says how long it is,
-- when the newest period has nothing of it. Its beginning is here when the payment upfront is, or when
-- nothing of it is as old as the oldest period. A `gap` is what no rounding explains: a provider that
-- amortised something else than it was paid, a purchase or usage that was not delivered; or a month
-- was restated, and the last one of the term, which carries the rounding, was not run since.
--
-- One row per provider, commitment and currency.
with
published as (
    select min(BillingPeriod) as first_period, max(BillingPeriod) as last_period from delivery
),
summed as (
    select
        ProviderName,
        CommitmentDiscountId,
        max(CommitmentDiscountName) as CommitmentDiscountName,
        max(CommitmentDiscountType) as CommitmentDiscountType,
        BillingCurrency,
        min(x_TermStart) as x_TermStart,
        greatest(max(ChargePeriodEnd), coalesce(max(x_UpfrontEnd), max(ChargePeriodEnd)))
            as x_TermEnd,
        max(x_UpfrontEnd) as x_UpfrontEnd,
        max(BillingPeriod) as last_of_it,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost,
        sum(x_UsedCost) as x_UsedCost,
        sum(x_UnusedCost) as x_UnusedCost,
        coalesce(
            sum(EffectiveCost) filter (where x_SourceFile = '(commitment rounding)'), 0
        ) as x_RoundingCost
    from commitment_total
    group by ProviderName, CommitmentDiscountId, BillingCurrency
)
select
    s.ProviderName,
    s.CommitmentDiscountId,
    s.CommitmentDiscountName,
    s.CommitmentDiscountType,
    s.BillingCurrency,
    s.x_TermStart,
    s.x_TermEnd,
    s.x_UpfrontEnd,
    cast(s.BilledCost as decimal(38, 12)) as BilledCost,
    cast(s.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(s.x_UsedCost as decimal(38, 12)) as x_UsedCost,
    cast(s.x_UnusedCost as decimal(38, 12)) as x_UnusedCost,
    cast(s.x_RoundingCost as decimal(38, 12)) as x_RoundingCost,
    cast(s.BilledCost - s.EffectiveCost as decimal(38, 12)) as x_OpenCost,
    case
        when s.BilledCost = s.EffectiveCost then 'settled'
        when s.x_UpfrontEnd is null
            and s.x_TermStart <= cast(p.first_period || '-01' as timestamp) then 'begun_before'
        when s.last_of_it < p.last_period then 'gap'
        when s.x_UpfrontEnd = s.x_TermEnd
            and s.x_TermEnd <= cast(p.last_period || '-01' as timestamp) + interval 1 month
            then 'gap'
        else 'running'
    end as x_TermState
from summed as s
cross join published as p
order by s.ProviderName, s.CommitmentDiscountId, s.BillingCurrency
