-- Each invoice against what was shown back of it. Those that do not agree come first, so that
-- cutting the list at $top never hides one as long as there are fewer than that.
--
-- One row per invoice and currency, at most $top.
with
billed_rows as (
    select InvoiceId, BillingCurrency, BilledCost
    from cost_and_usage
    where BillingPeriod = $period
    union all
    select InvoiceId, coalesce(BillingCurrency, 'XXX') as BillingCurrency, BilledCost
    from quarantine
    where BillingPeriod = $period
),
billed as (
    select InvoiceId, BillingCurrency, coalesce(sum(BilledCost), 0) as BilledCost
    from billed_rows
    group by InvoiceId, BillingCurrency
),
shown as (
    select InvoiceId, BillingCurrency, sum(BilledCost) as x_BilledShown
    from showback
    where BillingPeriod = $period
    group by InvoiceId, BillingCurrency
),
compared as (
    select
        coalesce(b.InvoiceId, s.InvoiceId) as InvoiceId,
        coalesce(b.BillingCurrency, s.BillingCurrency) as BillingCurrency,
        coalesce(b.BilledCost, 0) as BilledCost,
        coalesce(s.x_BilledShown, 0) as x_BilledShown
    from billed as b
    full outer join shown as s
        on b.InvoiceId = s.InvoiceId and b.BillingCurrency = s.BillingCurrency
)
select
    InvoiceId,
    BillingCurrency,
    BilledCost,
    x_BilledShown,
    BilledCost - x_BilledShown as x_BilledDifference
from compared
order by abs(BilledCost - x_BilledShown) desc, BilledCost desc, InvoiceId, BillingCurrency
limit $top;
