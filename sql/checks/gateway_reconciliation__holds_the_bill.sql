-- What was billed here is what the splits were billed: no charge of a split is lost or doubled on
-- the way to a model.
with
billed as (
    select x_Pool, x_ChargeDay, BillingCurrency, sum(BilledCost) as BilledCost
    from charge_owner
    where x_Pool like 'inference/%' and x_Pool not like 'inference/%/%'
    group by x_Pool, x_ChargeDay, BillingCurrency
),
compared as (
    select x_Pool, x_ChargeDay, BillingCurrency, sum(BilledCost) as BilledCost
    from gateway_reconciliation
    group by x_Pool, x_ChargeDay, BillingCurrency
)
select
    coalesce(b.x_Pool, c.x_Pool) as x_Pool,
    coalesce(b.x_ChargeDay, c.x_ChargeDay) as x_ChargeDay,
    coalesce(b.BillingCurrency, c.BillingCurrency) as BillingCurrency,
    b.BilledCost as billed,
    c.BilledCost as compared
from billed as b
full outer join compared as c
    on c.x_Pool = b.x_Pool
    and c.x_ChargeDay = b.x_ChargeDay
    and c.BillingCurrency = b.BillingCurrency
where coalesce(b.BilledCost, 0) is distinct from coalesce(c.BilledCost, 0)
