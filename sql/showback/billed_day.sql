-- The days on which calls, invocations or pods of an endpoint have a cost on the bill.
--
-- Why: a bill is later than a log, and some endpoints have none. What is called on other days would make
-- a price per call too low. A charge for longer than a day, of a node or of what is split by calls, is
-- for all its days in the month, though it stands on the first.
--
-- One row per day, endpoint, currency and method.
with
-- A charge that ends at midnight is not for the day that begins then.
long_pool as (
    select x_ChargeDay, x_Pool, max(until_day) as until_day
    from (
        select x_ChargeDay, x_Pool, x_ChargeUntilDay as until_day
        from charge_owner
        where x_ChargeUntilDay is not null
        union all
        select
            x_ChargeDay, 'node/' || x_Cluster as x_Pool,
            cast(x_ChargeEnd - interval 1 microsecond as date) + 1 as until_day
        from node_charge
        where x_ChargeEnd is not null
    ) as long_charge
    group by x_ChargeDay, x_Pool
),
billed as (
    select distinct x_ChargeDay, x_Pool, x_Endpoint, BillingCurrency, x_AllocationMethod
    from allocated_cost
    where x_AllocationMethod in ('inference', 'invocation', 'pod')
        and x_Endpoint is not null
),
covered as (
    select
        b.x_Endpoint, b.BillingCurrency, b.x_AllocationMethod, l.until_day is not null as is_long,
        unnest(generate_series(
            cast(b.x_ChargeDay as timestamp),
            cast(coalesce(l.until_day - 1, b.x_ChargeDay) as timestamp), interval 1 day
        )) as charge_day
    from billed as b
    left join long_pool as l on l.x_ChargeDay = b.x_ChargeDay and l.x_Pool = b.x_Pool
)
select distinct
    $period as BillingPeriod,
    cast(charge_day as date) as x_ChargeDay,
    x_Endpoint,
    BillingCurrency,
    x_AllocationMethod
from covered
where not is_long or is_in_month(charge_day, $period)
order by x_ChargeDay, x_Endpoint, BillingCurrency, x_AllocationMethod
