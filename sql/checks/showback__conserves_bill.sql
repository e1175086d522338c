-- What people read is what was billed: for every invoice and currency, showback sums to the
-- bill and its quarantined rows, straight from its sums in charge_kind, whatever lies between.
with
bill as (
    select
        InvoiceId, BillingCurrency,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from (
        select InvoiceId, BillingCurrency, BilledCost, EffectiveCost from charge_kind
        union all
        select
            InvoiceId, BillingCurrency,
            coalesce(BilledCost, 0) as BilledCost, coalesce(EffectiveCost, 0) as EffectiveCost
        from quarantine
    ) as both_kinds
    group by InvoiceId, BillingCurrency
),
shown as (
    select
        InvoiceId, BillingCurrency,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from showback
    group by InvoiceId, BillingCurrency
)
select
    coalesce(bill.InvoiceId, shown.InvoiceId) as InvoiceId,
    coalesce(bill.BillingCurrency, shown.BillingCurrency) as BillingCurrency,
    bill.BilledCost as billed, shown.BilledCost as shown,
    bill.EffectiveCost as effective, shown.EffectiveCost as effective_shown
from bill
full join shown
    on shown.InvoiceId = bill.InvoiceId and shown.BillingCurrency = bill.BillingCurrency
where bill.BilledCost is distinct from shown.BilledCost
    or bill.EffectiveCost is distinct from shown.EffectiveCost
