-- Over the term of a commitment, what its usage cost is what was paid for it: the sum of
-- EffectiveCost (used and unused) is the sum of BilledCost of its purchases, exactly, the last
-- period carrying the rounding. Judged when beginning and end are published: the payment up front
-- is there, or nothing of it is as old as the first period; its purchase says that the term is
-- over, or nothing of it is as new as the last. Of any other, part of the money is elsewhere.
--
-- And of every part of a commitment FOCUS asks whether it was used. A fee that covered the time it is
-- for, and does not say what of it was used, is neither; nor is it part of a sum of the two.
--
-- requirement: EffectiveCost-C-012-C EffectiveCost-C-013-C CommitmentDiscountStatus-C-004-C
-- severity: tells
with
published as (
    select min(BillingPeriodStart) as first_day, max(BillingPeriodEnd) as last_day
    from cost_and_usage
),
commitment as (
    select
        ProviderName, CommitmentDiscountId, BillingCurrency,
        min(ChargePeriodStart) as term_start,
        max(ChargePeriodEnd) as term_end,
        max(ChargePeriodEnd) filter (
            where ChargeCategory = 'Purchase' and ChargeFrequency = 'One-Time'
        ) as upfront_end,
        sum(BilledCost) as paid,
        sum(EffectiveCost) as amortised
    from cost_and_usage
    where CommitmentDiscountId is not null
    group by ProviderName, CommitmentDiscountId, BillingCurrency
)
select
    'EffectiveCost-C-012-C' as Requirement,
    count(*) as x_Rows
from commitment
cross join published
where (commitment.upfront_end is not null or commitment.term_start > published.first_day)
    and (
        commitment.term_end < published.last_day
        or (
            commitment.upfront_end = commitment.term_end
            and commitment.term_end <= published.last_day
        )
    )
    and commitment.paid is distinct from commitment.amortised
having count(*) > 0
union all
select
    unnest(['CommitmentDiscountStatus-C-004-C', 'EffectiveCost-C-013-C']) as Requirement,
    count(*) as x_Rows
from focus_export
where CommitmentDiscountId is not null
    and ChargeCategory = 'Usage'
    and CommitmentDiscountStatus is null
having count(*) > 0
