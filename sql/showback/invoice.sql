-- What was read of each invoice, and what of it had to be quarantined. The bill is summed here
-- once; the reconciliation statement and the history of totals are made from these few rows.
--
-- x_TagChecksum is the sum of the charges' x_TagSetId: tags that were filled in later move no
-- money, but they move this.
-- x_ChargeChecksum is a sum, too, so order and files are nothing to it: of the hash of what says who
-- bears a charge, when it was and what it costs, and of quarantined rows as delivered. Money that
-- goes from one to another moves it. x_HashMark is a fixed row by the same hash: another version of
-- the engine may hash otherwise, and then says so.
--
-- What amortisation lost of commitments is booked by us, not read: a closed bill is not another one
-- for it.
--
-- One row per source, invoice, currency and provider.
with
read_row as (
    select
        x_Source, InvoiceId, BillingCurrency, ProviderName,
        count(*) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost,
        sum(cast(x_TagSetId as decimal(38, 0))) as x_TagChecksum,
        sum(cast(hash(
            x_TagSetId, ProviderName, ServiceCategory, ServiceName, ChargeCategory, SubAccountId,
            ResourceId, CommitmentDiscountStatus, ChargePeriodStart, BilledCost, EffectiveCost
        ) as decimal(38, 0))) as x_ChargeChecksum,
        0 as x_QuarantinedRows,
        cast(0 as decimal(38, 12)) as x_BilledQuarantined,
        cast(0 as decimal(38, 12)) as x_EffectiveQuarantined
    from cost_and_usage
    where x_SourceFile <> '(commitment rounding)'
    group by x_Source, InvoiceId, BillingCurrency, ProviderName
    union all
    select
        x_Source, InvoiceId, BillingCurrency, ProviderName,
        0 as x_ChargeRows,
        cast(0 as decimal(38, 12)) as BilledCost,
        cast(0 as decimal(38, 12)) as EffectiveCost,
        cast(0 as decimal(38, 0)) as x_TagChecksum,
        sum(cast(hash(x_RawRow) as decimal(38, 0))) as x_ChargeChecksum,
        count(*) as x_QuarantinedRows,
        coalesce(sum(BilledCost), 0) as x_BilledQuarantined,
        coalesce(sum(EffectiveCost), 0) as x_EffectiveQuarantined
    from quarantine
    group by x_Source, InvoiceId, BillingCurrency, ProviderName
)
select
    $period as BillingPeriod,
    x_Source,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    cast(sum(x_ChargeRows) as bigint) as x_ChargeRows,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost,
    cast(sum(x_QuarantinedRows) as bigint) as x_QuarantinedRows,
    cast(sum(x_BilledQuarantined) as decimal(38, 12)) as x_BilledQuarantined,
    cast(sum(x_EffectiveQuarantined) as decimal(38, 12)) as x_EffectiveQuarantined,
    cast(sum(x_TagChecksum) as decimal(38, 0)) as x_TagChecksum,
    cast(sum(x_ChargeChecksum) as decimal(38, 0)) as x_ChargeChecksum,
    cast(hash(
        cast(null as varchar), 'short', 'longer than twelve letters', cast(1 as bigint),
        cast('2026-01-01 00:00:00' as timestamp), cast(1 as decimal(38, 12))
    ) as varchar) as x_HashMark
from read_row
group by x_Source, InvoiceId, BillingCurrency, ProviderName
order by x_Source, InvoiceId, BillingCurrency, ProviderName
