-- Over the term of a commitment, what its usage cost is what was paid for it: the sum of
-- EffectiveCost (used and unused) is the sum of BilledCost of its purchases, exactly, the last
-- period carrying the rounding. Rounding was booked when the bill was read, so what is told here is
-- more than that. Judged when beginning and end are published, as commitment_term has it. Of any
-- other, part of the money is elsewhere.
--
-- And of every part of a commitment FOCUS asks whether it was used. A fee that covered the time it is
-- for, and does not say what of it was used, is neither; nor is it part of a sum of the two.
--
-- requirement: EffectiveCost-C-012-C EffectiveCost-C-013-C CommitmentDiscountStatus-C-004-C
-- severity: tells
select
    'EffectiveCost-C-012-C' as Requirement,
    count(*) as x_Rows
from commitment_term
where x_TermState = 'gap'
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
