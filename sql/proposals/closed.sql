-- Billing periods whose invoices have all been issued.
select BillingPeriod
from showback
group by BillingPeriod
having count(*) filter (where InvoiceId = '(open)') = 0
order by BillingPeriod
