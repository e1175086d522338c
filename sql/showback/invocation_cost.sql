-- What one invocation and one GB-second of a function cost, for everyone who called it.
--
-- Cost is what the callers bear (method `invocation`); capacity kept ready that nobody used is
-- apart, in x_IdleCost, and of the tenant `(idle)` alone unless `endpoint_idle` is `callers`.
-- Invocations are those of the days the function has charges for, so that a function whose bill is
-- not there yet has none; a charge for longer than a day is for all of its days in the month. Where
-- the memory of some is unknown, a GB-second is of the known ones.
-- What a function cost on a day nobody was logged is with its tags, not here.
--
-- One row per function, feature, tenant and environment.
with
cost as (
    select
        BillingCurrency, x_Endpoint, x_Feature, x_Tenant, x_Environment,
        coalesce(sum(EffectiveCost) filter (where x_AllocationMethod = 'invocation'), 0)
            as EffectiveCost,
        coalesce(sum(EffectiveCost) filter (where x_AllocationMethod = 'endpoint_idle'), 0)
            as x_IdleCost
    from allocated_cost
    where starts_with(x_Pool, 'function/')
        and x_AllocationMethod in ('invocation', 'endpoint_idle')
    group by BillingCurrency, x_Endpoint, x_Feature, x_Tenant, x_Environment
),
call as (
    select
        d.BillingCurrency, c.x_Endpoint, c.x_Feature, c.x_Tenant, c.x_Environment,
        sum(c.x_Invocations) as x_Invocations,
        sum(c.x_FailedInvocations) as x_FailedInvocations,
        sum(c.x_ColdStarts) as x_ColdStarts,
        sum(c.x_DurationMs) as x_DurationMs,
        sum(c.x_MemoryMibMs) as x_MemoryMibMs
    from function_caller as c
    inner join billed_day as d
        on d.x_Endpoint = c.x_Endpoint
        and d.x_ChargeDay = c.x_ChargeDay
        and d.x_AllocationMethod = 'invocation'
    group by d.BillingCurrency, c.x_Endpoint, c.x_Feature, c.x_Tenant, c.x_Environment
)
select
    $period as BillingPeriod,
    cost.BillingCurrency,
    cost.x_Endpoint,
    cost.x_Feature,
    cost.x_Tenant,
    cost.x_Environment,
    cast(cost.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(cost.x_IdleCost as decimal(38, 12)) as x_IdleCost,
    cast(coalesce(call.x_Invocations, 0) as bigint) as x_Invocations,
    cast(coalesce(call.x_FailedInvocations, 0) as bigint) as x_FailedInvocations,
    cast(coalesce(call.x_ColdStarts, 0) as bigint) as x_ColdStarts,
    cast(coalesce(call.x_DurationMs, 0) as bigint) as x_DurationMs,
    cast(coalesce(call.x_MemoryMibMs, 0) // 1024000 as bigint) as x_GbSeconds,
    money_per(cost.EffectiveCost, call.x_Invocations) as x_UnitCostPerInvocation,
    money_per(cost.EffectiveCost * 1024000, call.x_MemoryMibMs) as x_UnitCostPerGbSecond
from cost
left join call
    on call.BillingCurrency = cost.BillingCurrency
    and call.x_Endpoint = cost.x_Endpoint
    and call.x_Feature = cost.x_Feature
    and call.x_Tenant = cost.x_Tenant
    and call.x_Environment = cost.x_Environment
order by
    cost.BillingCurrency, cost.x_Endpoint, cost.x_Feature, cost.x_Tenant, cost.x_Environment
