-- Which rate each day of a showback is converted with: the one that was kept when the bill was
-- closed, else the newest of the file that is dated on the day or at most `rate_days` before it.
-- Null where there is none; nothing is inverted and nothing goes through a third currency.
--
-- One row per currency and day that has money.
with
day_cost as (
    select BillingCurrency, x_ChargeDay
    from showback
    where BilledCost <> 0 or EffectiveCost <> 0
    group by BillingCurrency, x_ChargeDay
),
dated as (
    select
        d.BillingCurrency, d.x_ChargeDay,
        arg_max(r.x_Rate, r.x_RateDate) as x_Rate
    from day_cost as d
    inner join exchange_rate as r
        on r.x_FromCurrency = d.BillingCurrency
        and r.x_ToCurrency = $currency
        and r.x_RateDate <= d.x_ChargeDay
        and r.x_RateDate >= d.x_ChargeDay - cast($rate_days as integer)
    group by d.BillingCurrency, d.x_ChargeDay
)
select
    d.BillingCurrency,
    d.x_ChargeDay,
    $currency as x_ToCurrency,
    case
        when d.BillingCurrency = $currency then cast(1 as decimal(38, 12))
        else coalesce(k.x_Rate, f.x_Rate)
    end as x_Rate
from day_cost as d
left join kept_rate as k
    on k.BillingCurrency = d.BillingCurrency
    and k.x_ChargeDay = d.x_ChargeDay
    and k.x_ToCurrency = $currency
left join dated as f
    on f.BillingCurrency = d.BillingCurrency and f.x_ChargeDay = d.x_ChargeDay
order by d.BillingCurrency, d.x_ChargeDay
