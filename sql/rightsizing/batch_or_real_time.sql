-- Calls of a bought model that were made at the standard tier, against the batch tier, both by list.
--
-- What comes too late from a batch is asked again in real time and paid for again: the break-even is
-- the part of the work, in thousandths, that may be before nothing is saved. Calls that have no price
-- in both tiers are not compared; those without any are a row without a currency, `XXX`.
--
-- One row per provider, model and currency.
with
standard_call as (
    select
        x_Provider, x_Model, coalesce(PricingCurrency, 'XXX') as BillingCurrency,
        sum(x_Calls) as calls,
        coalesce(sum(money_units(ListCost)), 0) as units,
        case
            when count(x_ListCostBatch) = count(*) then sum(money_units(x_ListCostBatch))
        end as batch_units,
        min(x_Reason) as x_Reason
    from list_cost
    where
        x_ServiceTier = 'standard'
        and is_in_month(x_ChargeDay, $period)
    group by x_Provider, x_Model, coalesce(PricingCurrency, 'XXX')
),
judged as (
    select
        *,
        case
            when x_Reason is not null then x_Reason
            when units <= 0 then 'it cost nothing'
            when batch_units is null then 'not all calls have a price of the tier batch'
        end as objection
    from standard_call
)
select
    $period as BillingPeriod,
    x_Model || ' of ' || x_Provider as x_Subject,
    BillingCurrency,
    cast(calls as bigint) as x_Quantity,
    'calls' as x_QuantityUnit,
    units_money(units) as x_CurrentCost,
    case when objection is null then units_money(batch_units) end as x_OtherCost,
    case
        when objection is not null then null
        when batch_units < units then 'batch'
        when batch_units > units then 'real_time'
        else 'equal'
    end as x_Cheaper,
    cast(
        case
            when objection is null and batch_units <= units
                then ((units - batch_units) * 1000 + units - 1) // units
        end as bigint
    ) as x_BreakEven,
    'permille of work done again' as x_BreakEvenUnit,
    coalesce(
        objection, case when batch_units > units then 'the tier batch costs more' end
    ) as x_Reason
from judged
order by x_Subject, BillingCurrency
