-- The sums that every later table is held against are those of the bill itself: for every invoice
-- and currency, the same charges and both costs, counted once more by another query.
with
bill as (
    select
        InvoiceId, BillingCurrency, count(*) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from cost_and_usage
    group by InvoiceId, BillingCurrency
),
summed as (
    select
        InvoiceId, BillingCurrency, sum(x_ChargeRows) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_kind
    group by InvoiceId, BillingCurrency
)
select
    coalesce(bill.InvoiceId, summed.InvoiceId) as InvoiceId,
    coalesce(bill.BillingCurrency, summed.BillingCurrency) as BillingCurrency,
    bill.BilledCost as billed, summed.BilledCost as summed,
    bill.EffectiveCost as effective, summed.EffectiveCost as effective_summed
from bill
full join summed
    on summed.InvoiceId = bill.InvoiceId and summed.BillingCurrency = bill.BillingCurrency
where bill.BilledCost is distinct from summed.BilledCost
    or bill.EffectiveCost is distinct from summed.EffectiveCost
    or bill.x_ChargeRows is distinct from summed.x_ChargeRows
