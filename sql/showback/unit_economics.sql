-- What one call, a thousand tokens and an image cost, three times: for the work alone, with the endpoint's
-- idle time, and with training.
--
-- Idle time of an endpoint is borne by its callers in proportion to their work, training by those
-- whom the version served, as `model_cost` has it: the costs here are its costs, versions summed.
-- What was written off, and what nobody called, is a row without calls and without unit costs.
-- Calls, tokens and images are those of `unit_cost`; where a model costs in two currencies, both
-- rows count the same calls. A price per image is of all that a model cost, whatever else it made.
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
        cast(sum(x_TotalCost) as decimal(38, 12)) as x_TotalCost
    from model_cost
    group by BillingPeriod, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
)
select
    c.BillingPeriod,
    c.BillingCurrency,
    c.x_Feature,
    c.x_Tenant,
    c.x_Environment,
    c.x_Model,
    coalesce(u.x_Calls, 0) as x_Calls,
    coalesce(u.x_UnknownTokenCalls, 0) as x_UnknownTokenCalls,
    coalesce(u.x_Tokens, 0) as x_Tokens,
    coalesce(u.x_Images, 0) as x_Images,
    c.x_InferenceCost,
    c.x_IdleCost,
    c.x_ServingCost,
    c.x_TrainingCost,
    c.x_WriteOffCost,
    c.x_TotalCost,
    money_per(c.x_InferenceCost, u.x_Calls) as x_UnitCostPerCall,
    money_per(c.x_InferenceCost * 1000, u.x_Tokens) as x_UnitCostPerThousandTokens,
    money_per(c.x_InferenceCost, u.x_Images) as x_UnitCostPerImage,
    money_per(c.x_ServingCost, u.x_Calls) as x_ServingCostPerCall,
    money_per(c.x_ServingCost * 1000, u.x_Tokens) as x_ServingCostPerThousandTokens,
    money_per(c.x_ServingCost, u.x_Images) as x_ServingCostPerImage,
    money_per(c.x_TotalCost, u.x_Calls) as x_TotalCostPerCall,
    money_per(c.x_TotalCost * 1000, u.x_Tokens) as x_TotalCostPerThousandTokens,
    money_per(c.x_TotalCost, u.x_Images) as x_TotalCostPerImage
from cost as c
left join unit_cost as u
    on u.BillingPeriod = c.BillingPeriod
    and u.BillingCurrency = c.BillingCurrency
    and u.x_Feature = c.x_Feature
    and u.x_Tenant = c.x_Tenant
    and u.x_Environment = c.x_Environment
    and u.x_Model = c.x_Model
order by
    c.BillingPeriod, c.BillingCurrency, c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model
