-- Rows of the bill that could not be read, and their money, by the block they came by.
-- One row per source and currency.
with refused as (
    select
        x_Source,
        coalesce(BillingCurrency, 'XXX') as BillingCurrency,
        cast(count(*) as bigint) as x_Lines,
        coalesce(sum(BilledCost), 0) as BilledCost,
        min(struct_pack(
            file := x_SourceFile, line := x_SourceRow, reason := x_Reason
        )) as first_line
    from quarantine
    where BillingPeriod = $period
    group by x_Source, coalesce(BillingCurrency, 'XXX')
),

delivered as (
    select x_Source, sum(x_Rows) as x_Delivered
    from delivery
    where BillingPeriod = $period
    group by x_Source
),

refused_rows as (
    select x_Source, sum(x_Lines) as x_Refused
    from refused
    group by x_Source
)

select
    refused.x_Source,
    refused.BillingCurrency,
    refused.x_Lines,
    cast(delivered.x_Delivered - refused_rows.x_Refused as bigint) as x_Read,
    refused.BilledCost,
    refused.first_line.file as x_SourceFile,
    refused.first_line.line as x_SourceRow,
    refused.first_line.reason as x_Reason
from refused
inner join refused_rows on refused_rows.x_Source = refused.x_Source
left join delivered on delivered.x_Source = refused.x_Source
order by abs(refused.BilledCost) desc, refused.x_Lines desc, refused.x_Source, BillingCurrency
