-- What the period was read from.
--
-- One row per billing source.
select
    x_Source,
    count(*) as x_Files,
    cast(sum(x_Rows) as bigint) as x_Rows,
    cast(sum(x_Bytes) as bigint) as x_Bytes
from delivery
where BillingPeriod = $period and x_SourceFile <> '(commitment rounding)'
group by x_Source
order by x_Source;
