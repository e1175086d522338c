-- The billing periods there is something to report on, newest first. A period whose every row
-- was quarantined has no service to show but still has money, so quarantine counts too.
--
-- One row per billing period.
with
seen as (
    select BillingPeriod from showback
    union
    select BillingPeriod from quarantine
)
select BillingPeriod
from seen
order by BillingPeriod desc;
