-- What the working generation says of each bill, quarantined rows included.
--
-- One row per period, source and currency.
select
    BillingPeriod,
    x_Source,
    BillingCurrency,
    cast(sum(BilledCost) + sum(x_BilledQuarantined) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) + sum(x_EffectiveQuarantined) as decimal(38, 12)) as EffectiveCost,
    cast(sum(x_ChargeRows) + sum(x_QuarantinedRows) as bigint) as x_ChargeRows,
    cast(
        sum(case when InvoiceId = '(open)' then x_ChargeRows + x_QuarantinedRows else 0 end)
        as bigint
    ) as x_OpenRows,
    cast(sum(x_TagChecksum) as decimal(38, 0)) as x_TagChecksum
from invoice
group by BillingPeriod, x_Source, BillingCurrency
order by BillingPeriod, x_Source, BillingCurrency
