-- Billing periods that are final: all bills of them are closed, or corrected since, as
-- sql/history/period_state.sql has it.
--
-- A bill that names no invoice is final by time alone, perhaps when no run asks for its month any
-- more: x_IsNews says so for the 31 days after a month became final with nothing of it published
-- since, in which the weekly run comes by several times.
--
-- One row per period.
select
    BillingPeriod,
    max(x_ClosedAt) > max(x_PublishedAt)
        and max(x_ClosedAt) > cast($now as timestamp) - to_days(31) as x_IsNews
from period_state
where BillingPeriod in (select BillingPeriod from showback)
group by BillingPeriod
having count(*) filter (where x_State not in ('closed', 'corrected')) = 0
order by BillingPeriod
