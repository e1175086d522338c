-- What the working generation says of each bill, quarantined rows included, and what the provider
-- says of the period: closed when each issuer of invoices said so last.
--
-- One row per period, source and currency.
with
issuer as (
    select
        BillingPeriod, x_Source, InvoiceIssuerName,
        arg_max(BillingPeriodStatus, (BillingPeriodLastUpdated, BillingPeriodStatus)) as status
    from billing_period
    group by BillingPeriod, x_Source, InvoiceIssuerName
),
said as (
    select
        BillingPeriod, x_Source,
        case when bool_and(status = 'Closed') then 'Closed' else 'Open' end as BillingPeriodStatus
    from issuer
    group by BillingPeriod, x_Source
)
select
    i.BillingPeriod,
    i.x_Source,
    i.BillingCurrency,
    cast(sum(i.BilledCost) + sum(i.x_BilledQuarantined) as decimal(38, 12)) as BilledCost,
    cast(sum(i.EffectiveCost) + sum(i.x_EffectiveQuarantined) as decimal(38, 12)) as EffectiveCost,
    cast(sum(i.x_ChargeRows) + sum(i.x_QuarantinedRows) as bigint) as x_ChargeRows,
    cast(
        sum(case when i.InvoiceId = '(open)' then i.x_ChargeRows + i.x_QuarantinedRows else 0 end)
        as bigint
    ) as x_OpenRows,
    cast(sum(i.x_TagChecksum) as decimal(38, 0)) as x_TagChecksum,
    cast(sum(i.x_ChargeChecksum) as decimal(38, 0)) as x_ChargeChecksum,
    max(i.x_HashMark) as x_HashMark,
    any_value(s.BillingPeriodStatus) as BillingPeriodStatus
from invoice as i
left join said as s on s.BillingPeriod = i.BillingPeriod and s.x_Source = i.x_Source
group by i.BillingPeriod, i.x_Source, i.BillingCurrency
order by i.BillingPeriod, i.x_Source, i.BillingCurrency
