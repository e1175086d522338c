-- An export has the money of the bill, to the last digit: for every invoice and currency, what
-- was read and what was quarantined. Doubled or lost cost is found here and nowhere else.
--
-- requirement: BilledCost-C-007-M
-- severity: blocks
with
bill as (
    select
        nullif(nullif(InvoiceId, '(open)'), '(unknown)') as InvoiceId,
        BillingCurrency,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from (
        select InvoiceId, BillingCurrency, BilledCost, EffectiveCost
        from cost_and_usage
        where BillingPeriod = $period
        union all
        select
            InvoiceId, BillingCurrency,
            coalesce(BilledCost, 0) as BilledCost, coalesce(EffectiveCost, 0) as EffectiveCost
        from quarantine
        where BillingPeriod = $period
    ) as both_kinds
    group by nullif(nullif(InvoiceId, '(open)'), '(unknown)'), BillingCurrency
),
written as (
    select
        InvoiceId, BillingCurrency,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from focus_export
    group by InvoiceId, BillingCurrency
)
select
    'BilledCost-C-007-M' as Requirement,
    count(*) as x_Rows
from bill
full join written
    on written.InvoiceId is not distinct from bill.InvoiceId
    and written.BillingCurrency = bill.BillingCurrency
where bill.BilledCost is distinct from written.BilledCost
    or bill.EffectiveCost is distinct from written.EffectiveCost
having count(*) > 0
