-- Bills that are not what they were when they were closed, of any period: a run may change an old
-- one, and nobody looks there.
--
-- One row per corrected period, source and currency.
select x_Reason
from finding
where x_FindingKind = 'closed_period_changed'
order by BillingPeriod desc, x_Reason
