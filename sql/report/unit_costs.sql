-- What a call and a thousand tokens cost, by feature and model over all tenants and
-- environments: the sum divided by the sum, not a mean of means. The largest $top by cost; calls
-- without a cost are in unit_cost.
--
-- One row per currency, feature and model.
with
summed as (
    select
        BillingCurrency,
        x_Feature,
        x_Model,
        sum(EffectiveCost) as EffectiveCost,
        cast(sum(x_Calls) as bigint) as x_Calls,
        cast(sum(x_FailedCalls) as bigint) as x_FailedCalls,
        cast(sum(x_UnknownTokenCalls) as bigint) as x_UnknownTokenCalls,
        cast(sum(x_Tokens) as bigint) as x_Tokens
    from unit_cost
    where BillingPeriod = $period and BillingCurrency <> 'XXX'
    group by BillingCurrency, x_Feature, x_Model
),
ranked as (
    select
        BillingCurrency,
        x_Feature,
        x_Model,
        EffectiveCost,
        x_Calls,
        x_FailedCalls,
        x_UnknownTokenCalls,
        x_Tokens,
        count(*) over (partition by BillingCurrency) as x_Lines,
        row_number() over (
            partition by BillingCurrency order by EffectiveCost desc, x_Feature, x_Model
        ) as x_Rank
    from summed
)
select
    BillingCurrency,
    x_Feature,
    x_Model,
    EffectiveCost,
    x_Calls,
    x_FailedCalls,
    x_UnknownTokenCalls,
    x_Tokens,
    money_per(EffectiveCost, x_Calls) as x_UnitCostPerCall,
    money_per_known(EffectiveCost * 1000, x_Tokens, x_Calls, x_UnknownTokenCalls)
        as x_UnitCostPerThousandTokens,
    x_Lines
from ranked
where x_Rank <= $top
order by BillingCurrency, x_Rank;
