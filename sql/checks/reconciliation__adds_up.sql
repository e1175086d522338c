-- The statement adds up: what the files hold is what was read, what was read is what was shown
-- back, and what the provider's invoice says is either the same or the difference has a name.
-- A wrong total is not published.
select
    x_Source, InvoiceId, BillingCurrency, x_SummaryDifference, x_DeliveryDifference,
    x_AllocationDifference
from reconciliation
where x_DeliveryDifference <> 0
    or x_AllocationDifference <> 0
    or (x_SummaryDifference <> 0 and x_Reason is null)
