-- Bills that are not what they were when they were closed, and showbacks of closed bills that are not,
-- of any period: a run may change an old one, and nobody looks there.
--
-- One row per corrected period, source and currency, and per changed showback.
select x_Reason
from finding
where x_FindingKind in ('closed_period_changed', 'closed_showback_changed')
order by BillingPeriod desc, x_Reason
