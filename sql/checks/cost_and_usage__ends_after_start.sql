-- No charge ends before it begins: a dialect quarantines such a row. What is here has been moved since,
-- and would be split by the use of days that it is not for.
select x_Source, x_SourceFile, x_SourceRow, ChargePeriodStart, ChargePeriodEnd
from cost_and_usage
where ChargePeriodEnd < ChargePeriodStart
    or BillingPeriodEnd < BillingPeriodStart
