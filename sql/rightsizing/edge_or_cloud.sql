-- Calls or tokens of a model against devices at the edge that serve it, by `[[edge_device]]`.
--
-- Now they cost what serving the model cost, its endpoints' idle time included; training would be
-- needed for both. As many devices are needed as the month's calls or tokens fill. The break-even is
-- the quantity at which one device costs what the cloud does for as much; beyond what it can serve
-- there is none. Look at whole months: devices cost a month, the open one has not all its calls yet.
--
-- One row per device and currency.
with
served as (
    select
        BillingCurrency, x_Model, money_units(sum(x_InferenceCost + x_IdleCost)) as units
    from model_serving
    group by BillingCurrency, x_Model
),
used as (
    select
        BillingCurrency, x_Model, sum(x_Calls) as calls, sum(x_Tokens) as tokens,
        sum(x_UnknownTokenCalls) as unknown_calls
    from unit_cost
    group by BillingCurrency, x_Model
),
measured as (
    select
        d.x_Name || ' for ' || d.x_Model as x_Subject, d.BillingCurrency, d.x_QuantityUnit,
        d.x_Capacity, money_units(d.x_MonthlyCost) as device, d.x_QuantityUnit = 'tokens'
        and coalesce(u.unknown_calls, 0) > 0 as is_blind,
        coalesce(case d.x_QuantityUnit when 'calls' then u.calls else u.tokens end, 0)
            as quantity,
        coalesce(s.units, 0) as units
    from edge_device as d
    left join served as s
        on s.x_Model = d.x_Model and s.BillingCurrency = d.BillingCurrency
    left join used as u on u.x_Model = d.x_Model and u.BillingCurrency = d.BillingCurrency
),
answered as (
    select
        *,
        case
            when quantity = 0 then
                'no ' || x_QuantityUnit || ' of it are known in ' || BillingCurrency
            when is_blind then 'not all calls of it logged their tokens'
            when units <= 0 then 'it cost nothing'
        end as objection,
        cast(quantity + x_Capacity - 1 as hugeint) // x_Capacity * device as other_units,
        (device * quantity + units - 1) // nullif(units, 0) as break_even
    from measured
)
select
    $period as BillingPeriod,
    x_Subject,
    BillingCurrency,
    cast(quantity as bigint) as x_Quantity,
    x_QuantityUnit,
    units_money(units) as x_CurrentCost,
    case when objection is null then units_money(other_units) end as x_OtherCost,
    case
        when objection is not null then null
        when other_units < units then 'edge'
        when other_units > units then 'cloud'
        else 'equal'
    end as x_Cheaper,
    cast(
        case when objection is null and break_even <= x_Capacity then break_even end as bigint
    ) as x_BreakEven,
    x_QuantityUnit as x_BreakEvenUnit,
    coalesce(
        objection,
        case
            when break_even > x_Capacity then
                'a device costs more than the cloud for all that it can serve'
        end
    ) as x_Reason
from answered
order by x_Subject, BillingCurrency
