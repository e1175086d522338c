-- Grouping the bill by owner loses nothing: for every invoice and currency, both costs are those
-- of cost_and_usage.
with
bill as (
    select
        InvoiceId, BillingCurrency, count(*) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from cost_and_usage
    group by InvoiceId, BillingCurrency
),
owned as (
    select
        InvoiceId, BillingCurrency, sum(x_ChargeRows) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_owner
    group by InvoiceId, BillingCurrency
)
select
    bill.InvoiceId, bill.BillingCurrency,
    bill.BilledCost as billed, owned.BilledCost as owned,
    bill.EffectiveCost as effective, owned.EffectiveCost as effective_owned
from bill
full join owned
    on owned.InvoiceId = bill.InvoiceId and owned.BillingCurrency = bill.BillingCurrency
where bill.BilledCost is distinct from owned.BilledCost
    or bill.EffectiveCost is distinct from owned.EffectiveCost
    or bill.x_ChargeRows is distinct from owned.x_ChargeRows
