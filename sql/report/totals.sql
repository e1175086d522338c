-- The period in one line for each currency: what the bill asks for, what became of it, and
-- whether the two agree. The bill is read from the charges and the quarantine, the rest from
-- showback, so that the one checks the other. Invoices are compared one by one, because
-- differences of two invoices can cancel out in their sum.
--
-- Allocated means that feature, tenant or environment is known; coverage says how far.
--
-- One row per currency, the one with most charges first.
with
billed_rows as (
    select InvoiceId, BillingCurrency, BilledCost, EffectiveCost
    from cost_and_usage
    where BillingPeriod = $period
    union all
    select InvoiceId, coalesce(BillingCurrency, 'XXX') as BillingCurrency, BilledCost, EffectiveCost
    from quarantine
    where BillingPeriod = $period
),
billed as (
    select
        InvoiceId,
        BillingCurrency,
        count(*) as x_ChargeRows,
        coalesce(sum(BilledCost), 0) as BilledCost,
        coalesce(sum(EffectiveCost), 0) as EffectiveCost
    from billed_rows
    group by InvoiceId, BillingCurrency
),
classified as (
    select
        InvoiceId,
        BillingCurrency,
        case
            when x_AllocationMethod = 'quarantined' then 'quarantined'
            when x_AllocationMethod in ('idle', 'endpoint_idle', 'overhead') or x_Tenant = '(idle)'
                then 'idle'
            when
                x_Feature = '(unallocated)'
                and x_Tenant = '(unallocated)'
                and x_Environment = '(unallocated)'
                then 'unallocated'
            else 'allocated'
        end as x_Class,
        BilledCost,
        EffectiveCost
    from showback
    where BillingPeriod = $period
),
shown as (
    select
        InvoiceId,
        BillingCurrency,
        coalesce(sum(BilledCost) filter (x_Class = 'allocated'), 0) as x_BilledAllocated,
        coalesce(sum(BilledCost) filter (x_Class = 'idle'), 0) as x_BilledIdle,
        coalesce(sum(BilledCost) filter (x_Class = 'unallocated'), 0) as x_BilledUnallocated,
        coalesce(sum(BilledCost) filter (x_Class = 'quarantined'), 0) as x_BilledQuarantined,
        coalesce(sum(EffectiveCost) filter (x_Class = 'allocated'), 0) as x_EffectiveAllocated,
        coalesce(sum(EffectiveCost) filter (x_Class = 'idle'), 0) as x_EffectiveIdle,
        coalesce(sum(EffectiveCost) filter (x_Class = 'unallocated'), 0) as x_EffectiveUnallocated,
        coalesce(sum(EffectiveCost) filter (x_Class = 'quarantined'), 0) as x_EffectiveQuarantined,
        sum(BilledCost) as x_BilledShown,
        sum(EffectiveCost) as x_EffectiveShown
    from classified
    group by InvoiceId, BillingCurrency
),
compared as (
    select
        coalesce(b.BillingCurrency, s.BillingCurrency) as BillingCurrency,
        coalesce(b.x_ChargeRows, 0) as x_ChargeRows,
        coalesce(b.BilledCost, 0) as BilledCost,
        coalesce(b.EffectiveCost, 0) as EffectiveCost,
        coalesce(s.x_BilledShown, 0) as x_BilledShown,
        coalesce(s.x_EffectiveShown, 0) as x_EffectiveShown,
        s.x_BilledAllocated,
        s.x_BilledIdle,
        s.x_BilledUnallocated,
        s.x_BilledQuarantined,
        s.x_EffectiveAllocated,
        s.x_EffectiveIdle,
        s.x_EffectiveUnallocated,
        s.x_EffectiveQuarantined
    from billed as b
    full outer join shown as s
        on b.InvoiceId = s.InvoiceId and b.BillingCurrency = s.BillingCurrency
)
select
    BillingCurrency,
    count(*) as x_Invoices,
    count(*) filter (
        BilledCost is distinct from x_BilledShown
        or EffectiveCost is distinct from x_EffectiveShown
    ) as x_InvoicesOff,
    cast(sum(x_ChargeRows) as bigint) as x_ChargeRows,
    sum(BilledCost) as BilledCost,
    sum(EffectiveCost) as EffectiveCost,
    sum(BilledCost) - sum(x_BilledShown) as x_BilledDifference,
    sum(EffectiveCost) - sum(x_EffectiveShown) as x_EffectiveDifference,
    coalesce(sum(x_BilledAllocated), 0) as x_BilledAllocated,
    coalesce(sum(x_BilledIdle), 0) as x_BilledIdle,
    coalesce(sum(x_BilledUnallocated), 0) as x_BilledUnallocated,
    coalesce(sum(x_BilledQuarantined), 0) as x_BilledQuarantined,
    coalesce(sum(x_EffectiveAllocated), 0) as x_EffectiveAllocated,
    coalesce(sum(x_EffectiveIdle), 0) as x_EffectiveIdle,
    coalesce(sum(x_EffectiveUnallocated), 0) as x_EffectiveUnallocated,
    coalesce(sum(x_EffectiveQuarantined), 0) as x_EffectiveQuarantined
from compared
group by BillingCurrency
order by x_ChargeRows desc, BillingCurrency;
