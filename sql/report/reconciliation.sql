-- The reconciliation statement, invoice by invoice. Lines with a difference come first, so that
-- cutting the list at $top never hides one as long as there are fewer than that.
--
-- One row per source, invoice and currency, at most $top.
select
    x_Source,
    InvoiceId,
    BillingCurrency,
    x_BilledSummary,
    x_BilledIngested,
    x_BilledQuarantined,
    x_BilledAllocated,
    x_BilledIdle,
    x_BilledUnallocated,
    x_SummaryDifference,
    x_DeliveryDifference,
    x_AllocationDifference,
    x_Reason,
    x_DeliveryDifference <> 0
        or x_AllocationDifference <> 0
        or (coalesce(x_SummaryDifference, 0) <> 0 and x_Reason is null) as x_IsOff,
    count(*) over () as x_Lines
from reconciliation
where BillingPeriod = $period
order by
    x_IsOff desc,
    coalesce(x_SummaryDifference, 0) <> 0 desc,
    x_BilledIngested + x_BilledQuarantined desc,
    InvoiceId,
    BillingCurrency,
    x_Source
limit $top;
