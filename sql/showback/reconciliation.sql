-- The reconciliation statement: each invoice from the provider's own figure to what was shown
-- back of it, in BilledCost, and where they part.
--
-- x_SummaryDifference: read plus quarantined, less what the provider's invoice says.
-- x_DeliveryDifference: what the files' own cost column sums to, less what was read and
-- quarantined. It is not of one invoice, so where there is one it is a line of its own, with the
-- invoice `(delivery)`; no such line means that every file went in whole.
-- x_AllocationDifference: read plus quarantined, less all that was shown back.
--
-- Each is zero or has a name. The only difference with a name by itself is the last digit of an
-- invoice that is rounded to what can be paid; any other is named where the invoice is, with its
-- amount, or stops publication.
--
-- Two vendors may both have an invoice 1001, so a number is that of its source, and what one has too
-- much makes up for nothing the other lacks. Blocks that are a `pair` are one source. The showback
-- knows no source: under a number that several have, what was shown is told by provider. Where they
-- have the provider in common, it is a line of its own that names them, and read nothing itself.
--
-- One row per source, invoice and currency.
with
read_part as (
    select
        coalesce(p.x_Name, i.x_Source) as x_Source,
        i.InvoiceId, i.BillingCurrency, i.ProviderName, i.BilledCost, i.x_BilledQuarantined
    from invoice as i
    left join paired_source as p on p.x_Source = i.x_Source
),
read_provider as (
    select
        x_Source, InvoiceId, BillingCurrency, ProviderName,
        sum(BilledCost) as x_BilledIngested,
        sum(x_BilledQuarantined) as x_BilledQuarantined
    from read_part
    group by x_Source, InvoiceId, BillingCurrency, ProviderName
),
read_invoice as (
    select
        x_Source, InvoiceId, BillingCurrency,
        sum(x_BilledIngested) as x_BilledIngested,
        sum(x_BilledQuarantined) as x_BilledQuarantined
    from read_provider
    group by x_Source, InvoiceId, BillingCurrency
),
summary_part as (
    select
        coalesce(p.x_Name, i.x_Source) as x_Source, i.x_Source as block,
        i.InvoiceId, i.BillingCurrency, i.x_BilledSummary, i.x_NamedDifference, i.x_MinorUnit,
        i.x_Reason
    from invoice_summary as i
    left join paired_source as p on p.x_Source = i.x_Source
),
summary as (
    select
        x_Source, InvoiceId, BillingCurrency,
        sum(x_BilledSummary) as x_BilledSummary,
        sum(x_NamedDifference) as x_NamedDifference,
        max(x_MinorUnit) as x_MinorUnit,
        string_agg(x_Reason, '; ' order by block) as x_Reason
    from summary_part
    group by x_Source, InvoiceId, BillingCurrency
),
-- Who has a number, by name; `a, b` where two have it.
number_holder as (
    select
        InvoiceId, BillingCurrency, count(*) as sources,
        string_agg(x_Source, ', ' order by x_Source) as x_Source
    from read_invoice
    group by InvoiceId, BillingCurrency
),
provider_holder as (
    select
        InvoiceId, BillingCurrency, ProviderName,
        case when count(*) = 1 then min(x_Source) end as x_Source
    from read_provider
    group by InvoiceId, BillingCurrency, ProviderName
),
classified as (
    select
        InvoiceId, BillingCurrency, ProviderName, BilledCost,
        case
            when x_AllocationMethod = 'quarantined' then 'quarantined'
            when x_AllocationMethod in ('idle', 'endpoint_idle', 'overhead') or x_Tenant = '(idle)'
                then 'idle'
            when x_Feature = '(unallocated)'
                and x_Tenant = '(unallocated)'
                and x_Environment = '(unallocated)' then 'unallocated'
            else 'allocated'
        end as x_Class
    from showback
),
shown_provider as (
    select
        InvoiceId, BillingCurrency, ProviderName,
        sum(BilledCost) as x_BilledShown,
        sum(case when x_Class = 'allocated' then BilledCost else 0 end) as x_BilledAllocated,
        sum(case when x_Class = 'idle' then BilledCost else 0 end) as x_BilledIdle,
        sum(case when x_Class = 'unallocated' then BilledCost else 0 end) as x_BilledUnallocated
    from classified
    group by InvoiceId, BillingCurrency, ProviderName
),
-- What was read and what was shown, on the same line: that of the one source it can be of, or of all.
held as (
    select
        case when n.sources = 1 then n.x_Source else coalesce(h.x_Source, n.x_Source) end
            as x_Source,
        r.InvoiceId, r.BillingCurrency,
        r.x_BilledIngested + r.x_BilledQuarantined as x_BilledHeld,
        0 as x_BilledShown, 0 as x_BilledAllocated, 0 as x_BilledIdle, 0 as x_BilledUnallocated
    from read_provider as r
    inner join number_holder as n
        on n.InvoiceId = r.InvoiceId and n.BillingCurrency = r.BillingCurrency
    inner join provider_holder as h
        on h.InvoiceId = r.InvoiceId
        and h.BillingCurrency = r.BillingCurrency
        and h.ProviderName = r.ProviderName
    union all
    select
        case when n.sources = 1 then n.x_Source else coalesce(h.x_Source, n.x_Source, '(none)') end
            as x_Source,
        s.InvoiceId, s.BillingCurrency,
        0 as x_BilledHeld,
        s.x_BilledShown, s.x_BilledAllocated, s.x_BilledIdle, s.x_BilledUnallocated
    from shown_provider as s
    left join number_holder as n
        on n.InvoiceId = s.InvoiceId and n.BillingCurrency = s.BillingCurrency
    left join provider_holder as h
        on h.InvoiceId = s.InvoiceId
        and h.BillingCurrency = s.BillingCurrency
        and h.ProviderName = s.ProviderName
),
shown as (
    select
        x_Source, InvoiceId, BillingCurrency,
        sum(x_BilledHeld) as x_BilledHeld,
        sum(x_BilledShown) as x_BilledShown,
        sum(x_BilledAllocated) as x_BilledAllocated,
        sum(x_BilledIdle) as x_BilledIdle,
        sum(x_BilledUnallocated) as x_BilledUnallocated
    from held
    group by x_Source, InvoiceId, BillingCurrency
),
known as (
    select x_Source, InvoiceId, BillingCurrency from read_invoice
    union
    select x_Source, InvoiceId, BillingCurrency from summary
    union
    select x_Source, InvoiceId, BillingCurrency from shown
),
invoice_line as (
    select
        k.x_Source,
        k.InvoiceId,
        k.BillingCurrency,
        s.x_BilledSummary,
        coalesce(r.x_BilledIngested, 0) as x_BilledIngested,
        coalesce(r.x_BilledQuarantined, 0) as x_BilledQuarantined,
        coalesce(a.x_BilledAllocated, 0) as x_BilledAllocated,
        coalesce(a.x_BilledIdle, 0) as x_BilledIdle,
        coalesce(a.x_BilledUnallocated, 0) as x_BilledUnallocated,
        coalesce(r.x_BilledIngested, 0) + coalesce(r.x_BilledQuarantined, 0)
            - s.x_BilledSummary as x_SummaryDifference,
        cast(0 as decimal(38, 12)) as x_DeliveryDifference,
        coalesce(a.x_BilledHeld, 0) - coalesce(a.x_BilledShown, 0) as x_AllocationDifference,
        s.x_NamedDifference,
        s.x_MinorUnit,
        s.x_Reason
    from known as k
    left join read_invoice as r
        on r.x_Source = k.x_Source
        and r.InvoiceId = k.InvoiceId
        and r.BillingCurrency = k.BillingCurrency
    left join summary as s
        on s.x_Source = k.x_Source
        and s.InvoiceId = k.InvoiceId
        and s.BillingCurrency = k.BillingCurrency
    left join shown as a
        on a.x_Source = k.x_Source
        and a.InvoiceId = k.InvoiceId
        and a.BillingCurrency = k.BillingCurrency
),
delivered as (
    select x_Source, coalesce(sum(BilledCost), 0) as x_BilledDelivered
    from delivery
    group by x_Source
),
read_source as (
    select
        x_Source,
        case when min(BillingCurrency) = max(BillingCurrency) then min(BillingCurrency)
            else 'XXX' end as BillingCurrency,
        sum(BilledCost) + sum(x_BilledQuarantined) as x_BilledRead
    from invoice
    group by x_Source
),
delivery_line as (
    select
        coalesce(d.x_Source, r.x_Source) as x_Source,
        coalesce(r.BillingCurrency, 'XXX') as BillingCurrency,
        coalesce(d.x_BilledDelivered, 0) - coalesce(r.x_BilledRead, 0) as x_DeliveryDifference
    from delivered as d
    full join read_source as r on r.x_Source = d.x_Source
),
line as (
    select
        x_Source, InvoiceId, BillingCurrency, x_BilledSummary, x_BilledIngested,
        x_BilledQuarantined, x_BilledAllocated, x_BilledIdle, x_BilledUnallocated,
        x_SummaryDifference, x_DeliveryDifference, x_AllocationDifference,
        case
            when x_SummaryDifference <> 0
                and abs(x_SummaryDifference - x_NamedDifference) * 2 <= x_MinorUnit then x_Reason
            when x_SummaryDifference <> 0 and abs(x_SummaryDifference) * 2 <= x_MinorUnit
                then 'the provider rounds its invoice to what can be paid'
        end as x_Reason
    from invoice_line
    union all
    select
        x_Source, '(delivery)' as InvoiceId, BillingCurrency, null as x_BilledSummary,
        0 as x_BilledIngested, 0 as x_BilledQuarantined, 0 as x_BilledAllocated,
        0 as x_BilledIdle, 0 as x_BilledUnallocated, null as x_SummaryDifference,
        x_DeliveryDifference, 0 as x_AllocationDifference, null as x_Reason
    from delivery_line
    where x_DeliveryDifference <> 0
)
select
    $period as BillingPeriod,
    x_Source,
    InvoiceId,
    BillingCurrency,
    cast(x_BilledSummary as decimal(38, 12)) as x_BilledSummary,
    cast(x_BilledIngested as decimal(38, 12)) as x_BilledIngested,
    cast(x_BilledQuarantined as decimal(38, 12)) as x_BilledQuarantined,
    cast(x_BilledAllocated as decimal(38, 12)) as x_BilledAllocated,
    cast(x_BilledIdle as decimal(38, 12)) as x_BilledIdle,
    cast(x_BilledUnallocated as decimal(38, 12)) as x_BilledUnallocated,
    cast(x_SummaryDifference as decimal(38, 12)) as x_SummaryDifference,
    cast(x_DeliveryDifference as decimal(38, 12)) as x_DeliveryDifference,
    cast(x_AllocationDifference as decimal(38, 12)) as x_AllocationDifference,
    cast(x_Reason as varchar) as x_Reason
from line
order by x_Source, InvoiceId, BillingCurrency
