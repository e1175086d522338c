-- The rows of the bill that could not be read, by reason, with the first of them to look at.
--
-- One row per reason and currency, at most $top.
select
    x_Reason,
    coalesce(BillingCurrency, 'XXX') as BillingCurrency,
    count(*) as x_Rows,
    coalesce(sum(BilledCost), 0) as BilledCost,
    arg_min(x_SourceFile, (x_SourceFile, x_SourceRow)) as x_SourceFile,
    arg_min(x_SourceRow, (x_SourceFile, x_SourceRow)) as x_SourceRow
from quarantine
where BillingPeriod = $period
group by x_Reason, coalesce(BillingCurrency, 'XXX')
order by abs(coalesce(sum(BilledCost), 0)) desc, x_Rows desc, x_Reason, BillingCurrency
limit $top;
