-- What one call, a thousand tokens and an image cost, three times: for the work alone, with the endpoint's
-- idle time, and with training.
--
-- Idle time of an endpoint is borne by its callers in proportion to their work, training by those
-- whom the version served, as `model_cost` has it: the costs here are its costs, versions summed.
-- What was written off, and what nobody called, is a row without calls and without unit costs.
-- Calls, tokens and images are those of `unit_cost`, of the days that have a cost; where a model costs
-- in two currencies, both rows count the same calls. A price per thousand tokens is of the calls that
-- told them, at their part of the cost. A price per image is of all that a model cost, whatever else
-- it made.
--
-- One row per billing period, currency, feature, tenant, environment and model.
with
cost as (
    select
        BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        cast(sum(x_InferenceCost) as decimal(38, 12)) as x_InferenceCost,
        cast(sum(x_IdleCost) as decimal(38, 12)) as x_IdleCost,
        cast(sum(x_ServingCost) as decimal(38, 12)) as x_ServingCost,
        cast(sum(x_TrainingCost) as decimal(38, 12)) as x_TrainingCost,
        cast(sum(x_WriteOffCost) as decimal(38, 12)) as x_WriteOffCost,
        cast(sum(x_TotalCost) as decimal(38, 12)) as x_TotalCost,
        money_units(coalesce(sum(x_TrainingCost) filter (where x_TrainingDriver = 'calls'), 0))
            as training_by_calls
    from model_cost
    group by BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
),
-- Training that went by calls is of the unbilled ones, too: only the others' part is in a price.
total as (
    select
        c.*, u.x_Calls, u.x_UnknownTokenCalls, u.x_UnbilledCalls, u.x_Tokens, u.x_Images,
        case
            when u.x_UnbilledCalls > 0 then units_money(
                money_units(c.x_TotalCost) - c.training_by_calls
                + c.training_by_calls * u.x_Calls // (u.x_Calls + u.x_UnbilledCalls)
            )
            else c.x_TotalCost
        end as priced_total
    from cost as c
    left join unit_cost as u
        on u.BillingPeriod = c.BillingPeriod
        and u.BillingCurrency = c.BillingCurrency
        and u.x_Feature = c.x_Feature
        and u.x_Tenant = c.x_Tenant
        and u.x_Environment = c.x_Environment
        and u.x_Model = c.x_Model
)
select
    BillingPeriod,
    BillingCurrency,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    coalesce(x_Calls, 0) as x_Calls,
    coalesce(x_UnknownTokenCalls, 0) as x_UnknownTokenCalls,
    coalesce(x_UnbilledCalls, 0) as x_UnbilledCalls,
    coalesce(x_Tokens, 0) as x_Tokens,
    coalesce(x_Images, 0) as x_Images,
    x_InferenceCost,
    x_IdleCost,
    x_ServingCost,
    x_TrainingCost,
    x_WriteOffCost,
    x_TotalCost,
    money_per(x_InferenceCost, x_Calls) as x_UnitCostPerCall,
    money_per_known(
        x_InferenceCost * 1000, x_Tokens, x_Calls, x_UnknownTokenCalls
    ) as x_UnitCostPerThousandTokens,
    money_per(x_InferenceCost, x_Images) as x_UnitCostPerImage,
    money_per(x_ServingCost, x_Calls) as x_ServingCostPerCall,
    money_per_known(
        x_ServingCost * 1000, x_Tokens, x_Calls, x_UnknownTokenCalls
    ) as x_ServingCostPerThousandTokens,
    money_per(x_ServingCost, x_Images) as x_ServingCostPerImage,
    money_per(priced_total, x_Calls) as x_TotalCostPerCall,
    money_per_known(
        priced_total * 1000, x_Tokens, x_Calls, x_UnknownTokenCalls
    ) as x_TotalCostPerThousandTokens,
    money_per(priced_total, x_Images) as x_TotalCostPerImage
from total
order by BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
