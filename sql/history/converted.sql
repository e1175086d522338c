-- A period's showback in one currency, by one dimension. Each day's cost is multiplied by the
-- rate of the day on integers, and added; only the sum is rounded, to 10^-12, and what rounding
-- down left over goes to the largest remainders, so that the lines sum to the converted total.
--
-- One row per value.
with
line as (
    select
        case $dimension
            when 'feature' then s.x_Feature
            when 'tenant' then s.x_Tenant
            when 'environment' then s.x_Environment
            when 'model' then s.x_Model
            when 'provider' then s.ProviderName
            when 'category' then s.ServiceCategory
            when 'service' then s.ServiceName
            when 'invoice' then s.InvoiceId
            when 'method' then s.x_AllocationMethod
            else cast(s.x_ChargeDay as varchar)
        end as x_Value,
        sum(money_units(s.BilledCost) * money_units(r.x_Rate)) as billed,
        sum(money_units(s.EffectiveCost) * money_units(r.x_Rate)) as effective
    from showback as s
    inner join rate_of_day as r
        on r.BillingCurrency = s.BillingCurrency and r.x_ChargeDay = s.x_ChargeDay
    group by 1
),
-- `//` and `%` round toward zero: with 10^24ths of money whole units and what is over.
cut as (
    select
        x_Value,
        billed // 1000000000000 as billed_part, billed % 1000000000000 as billed_over,
        effective // 1000000000000 as effective_part, effective % 1000000000000 as effective_over
    from line
),
over_all as (
    select
        sum(billed_over) as billed_over, sum(effective_over) as effective_over
    from cut
),
-- Half a unit and more is rounded up, away from zero.
missing as (
    select
        (abs(billed_over) + 500000000000) // 1000000000000 * sign(billed_over) as billed_units,
        (abs(effective_over) + 500000000000) // 1000000000000 * sign(effective_over)
            as effective_units
    from over_all
),
ranked as (
    select
        c.x_Value, c.billed_part, c.effective_part, m.billed_units, m.effective_units,
        row_number() over (
            order by c.billed_over * sign(m.billed_units) desc, c.x_Value
        ) as billed_rank,
        row_number() over (
            order by c.effective_over * sign(m.effective_units) desc, c.x_Value
        ) as effective_rank
    from cut as c
    cross join missing as m
)
select
    $currency as BillingCurrency,
    x_Value,
    units_money(
        billed_part + case when billed_rank <= abs(billed_units) then sign(billed_units) else 0 end
    ) as BilledCost,
    units_money(
        effective_part
        + case when effective_rank <= abs(effective_units) then sign(effective_units) else 0 end
    ) as EffectiveCost
from ranked
order by case when $dimension = 'day' then x_Value end, EffectiveCost desc, x_Value
