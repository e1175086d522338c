-- Conservation, the first law: for every invoice and currency, what was allocated, what was not
-- and what was quarantined is what was billed, exactly. A difference here means that a split
-- made or lost money, and every table after this one would be wrong. The bill is taken from its
-- sums, which charge_kind__conserves_bill holds against the bill itself.
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
allocated as (
    select
        InvoiceId, BillingCurrency,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from allocated_cost
    group by InvoiceId, BillingCurrency
)
select
    coalesce(bill.InvoiceId, allocated.InvoiceId) as InvoiceId,
    coalesce(bill.BillingCurrency, allocated.BillingCurrency) as BillingCurrency,
    bill.BilledCost as billed, allocated.BilledCost as allocated,
    bill.EffectiveCost as effective, allocated.EffectiveCost as effective_allocated
from bill
full join allocated
    on allocated.InvoiceId = bill.InvoiceId
    and allocated.BillingCurrency = bill.BillingCurrency
where bill.BilledCost is distinct from allocated.BilledCost
    or bill.EffectiveCost is distinct from allocated.EffectiveCost
