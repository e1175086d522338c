-- Tokens of a model on endpoints of ours against the same tokens at a list price, by
-- `[[bought_model]]`.
--
-- Now they cost what their calls cost and the endpoints' idle time, which an endpoint of several
-- models divides by what their calls cost. Tokens are those of the days that have a cost of calls, for
-- a bill is later than a log. The price is that of the standard tier as it stands at the end of the
-- month; tokens from a cache have their own, where the book has one. A call that an endpoint answers
-- more costs nothing more while there is room, a bought one does, so the break-even is the tokens a
-- month from which on our own are no dearer.
--
-- One row per model, what could be bought for it, and currency.
with
cost as (
    select
        BillingCurrency, x_Endpoint, x_Model, x_AllocationMethod,
        money_units(sum(EffectiveCost)) as units
    from allocated_cost
    where x_AllocationMethod in ('inference', 'endpoint_idle') and starts_with(x_Pool, 'node/')
    group by BillingCurrency, x_Endpoint, x_Model, x_AllocationMethod
),
endpoint as (
    select
        BillingCurrency, x_Endpoint,
        coalesce(sum(units) filter (where x_AllocationMethod = 'inference'), 0) as busy,
        coalesce(sum(units) filter (where x_AllocationMethod = 'endpoint_idle'), 0) as idle
    from cost
    group by BillingCurrency, x_Endpoint
),
hosted as (
    select
        c.BillingCurrency, c.x_Model,
        -- apportion() wants totals below 10^18; proportions are kept to that many digits.
        sum(c.units + apportion(
            e.idle, c.units // (e.busy // 500000000000000000 + 1),
            greatest(e.busy // (e.busy // 500000000000000000 + 1), 1)
        )) as units
    from cost as c
    inner join endpoint as e
        on e.BillingCurrency = c.BillingCurrency and e.x_Endpoint = c.x_Endpoint
    where c.x_AllocationMethod = 'inference' and c.units > 0 and e.busy > 0
    group by c.BillingCurrency, c.x_Model
),
used as (
    select
        b.BillingCurrency, u.x_Model,
        sum(u.x_Calls) as calls,
        sum(u.x_UnknownTokenCalls) as unknown_calls,
        sum(u.x_InputTokens - u.x_CachedInputTokens) as input,
        sum(u.x_CachedInputTokens) as cached,
        sum(u.x_OutputTokens) as output
    from caller_day as u
    semi join endpoint as e on e.x_Endpoint = u.x_Endpoint
    inner join billed_day as b
        on b.x_ChargeDay = u.x_ChargeDay
        and b.x_Endpoint = u.x_Endpoint
        and b.x_AllocationMethod = 'inference'
    where is_in_month(u.x_ChargeDay, $period)
    group by b.BillingCurrency, u.x_Model
),
-- Per token or call, in parts of 9 * 10^9 of 10^-12: every `per` of the book divides that number.
standing as (
    select
        b.x_Model, b.x_Provider, b.x_BoughtModel, p.x_PriceItem,
        max(p.x_ContextClass) as longest,
        min(p.PricingCurrency) as PricingCurrency,
        arg_max(
            money_units(p.ListUnitPrice) * (9000000000 // p.x_PricingBlockSize), p.x_PriceFrom
        ) filter (where p.x_ContextClass = 0) as rate
    from bought_model as b
    inner join price as p
        on p.x_Provider = b.x_Provider
        and p.x_Model = b.x_BoughtModel
        and p.x_ServiceTier = 'standard'
        and p.x_PriceFrom < cast($period || '-01' as timestamp) + interval 1 month
    group by b.x_Model, b.x_Provider, b.x_BoughtModel, p.x_PriceItem
),
card as (
    select
        x_Model, x_Provider, x_BoughtModel,
        max(longest) as longest,
        min(PricingCurrency) as PricingCurrency,
        max(rate) filter (where x_PriceItem = 'input') as input_rate,
        max(rate) filter (where x_PriceItem = 'cache_read') as cache_rate,
        max(rate) filter (where x_PriceItem = 'output') as output_rate,
        max(rate) filter (where x_PriceItem = 'call') as call_rate,
        count(*) filter (where x_PriceItem = 'call_minimum') > 0 as has_minimum
    from standing
    group by x_Model, x_Provider, x_BoughtModel
),
measured as (
    select
        b.x_Model, b.x_Provider, b.x_BoughtModel,
        coalesce(h.BillingCurrency, c.PricingCurrency, 'XXX') as BillingCurrency,
        c.PricingCurrency, coalesce(h.units, 0) as units,
        coalesce(u.input + u.cached + u.output, 0) as tokens,
        case
            when h.units is null then 'no endpoint in a cluster served it'
            when c.x_Model is null then 'the price book does not have the other'
            when c.PricingCurrency <> h.BillingCurrency then
                'the other is priced in ' || c.PricingCurrency
            when c.longest > 0 or c.has_minimum then
                'the price hangs on how long each call is'
            when coalesce(u.unknown_calls, 0) > 0 then 'not all calls of it logged their tokens'
            when coalesce(u.input + u.cached + u.output, 0) = 0 then 'no tokens of it are known'
            when c.input_rate is null or c.output_rate is null then
                'the price book lacks the input or the output of the other'
        end as objection,
        (
            u.input * c.input_rate + u.cached * coalesce(c.cache_rate, c.input_rate)
            + u.output * c.output_rate + u.calls * coalesce(c.call_rate, 0)
        ) // 9000000000 as other_units
    from bought_model as b
    left join hosted as h on h.x_Model = b.x_Model
    left join used as u
        on u.x_Model = h.x_Model and u.BillingCurrency = h.BillingCurrency
    left join card as c
        on c.x_Model = b.x_Model
        and c.x_Provider = b.x_Provider
        and c.x_BoughtModel = b.x_BoughtModel
)
select
    $period as BillingPeriod,
    x_Model || ' for ' || x_BoughtModel || ' of ' || x_Provider as x_Subject,
    BillingCurrency,
    cast(tokens as bigint) as x_Quantity,
    'tokens' as x_QuantityUnit,
    units_money(units) as x_CurrentCost,
    case when objection is null then units_money(other_units) end as x_OtherCost,
    case
        when objection is not null then null
        when other_units < units then 'bought'
        when other_units > units then 'self_hosted'
        else 'equal'
    end as x_Cheaper,
    cast(
        case
            when objection is null
                then (units * tokens + other_units - 1) // nullif(other_units, 0)
        end as bigint
    ) as x_BreakEven,
    'tokens' as x_BreakEvenUnit,
    coalesce(
        objection, case when other_units = 0 then 'the other costs nothing by list' end
    ) as x_Reason
from measured
order by x_Subject, BillingCurrency
