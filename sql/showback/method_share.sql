-- The ways to split an endpoint, side by side: what its callers bear, and what they would bear by
-- GPU time, by prefill and decode, by weighted tokens and by calls.
--
-- Why: which way is taken can decide who the expensive tenant is. What is split here is what the
-- callers of the month bear together; each way gives all of it out, by largest remainder, ties by
-- name. A way is null where not every call of the endpoint told what it needs. A call without
-- token counts weighs as much as the mean call with counts, by tokens and by what tokens took.
-- EffectiveCost may differ from all ways,
-- for it is split by the hour, or by the price list.
-- x_MethodSpread is the largest less the smallest of the ways there are.
--
-- One row per endpoint, caller, model and currency.
with
borne as (
    select
        x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        money_units(sum(EffectiveCost)) as units
    from allocated_cost
    where x_AllocationMethod = 'inference'
    group by x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
),
cost as (
    select x_Endpoint, BillingCurrency, sum(units) as units
    from borne
    group by x_Endpoint, BillingCurrency
),
used as (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model,
        sum(x_Calls) as calls,
        sum(x_UnknownTokenCalls) as unknown_calls,
        cast(sum(x_TokenWork) as hugeint) as token_work,
        sum(x_GpuMs) as gpu_ms,
        sum(x_GpuMsCalls) as gpu_calls,
        cast(sum(x_PrefillNs + x_DecodeNs) as hugeint) as phase_ns,
        sum(x_PhaseMsCalls) as phase_calls
    from model_use
    group by x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model
),
endpoint as (
    select
        x_Endpoint,
        sum(gpu_calls) = sum(calls) and sum(gpu_ms) > 0 as has_gpu_time,
        sum(calls) - sum(phase_calls) <= sum(unknown_calls) and sum(phase_ns) > 0 as has_phases,
        sum(phase_ns) // greatest(sum(phase_calls), 1) as timed_call_work,
        sum(token_work) > 0 as has_tokens,
        sum(token_work) // greatest(sum(calls) - sum(unknown_calls), 1) as known_call_work
    from used
    group by x_Endpoint
),
measured as (
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, 'gpu_ms' as way,
        u.gpu_ms as work
    from used as u
    inner join endpoint as e on e.x_Endpoint = u.x_Endpoint and e.has_gpu_time
    union all
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, 'phase_ms' as way,
        u.phase_ns + (u.calls - u.phase_calls) * e.timed_call_work as work
    from used as u
    inner join endpoint as e on e.x_Endpoint = u.x_Endpoint and e.has_phases
    union all
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, 'tokens' as way,
        u.token_work + u.unknown_calls * e.known_call_work as work
    from used as u
    inner join endpoint as e on e.x_Endpoint = u.x_Endpoint and e.has_tokens
    union all
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model, 'calls' as way, calls as work
    from used
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
divisor as (
    select x_Endpoint, way, sum(work) // 500000000000000000 + 1 as divisor
    from measured
    group by x_Endpoint, way
),
weighed as (
    select
        m.x_Endpoint, m.x_Feature, m.x_Tenant, m.x_Environment, m.x_Model, m.way,
        m.work // d.divisor as weight,
        sum(m.work // d.divisor) over (partition by m.x_Endpoint, m.way) as total
    from measured as m
    inner join divisor as d on d.x_Endpoint = m.x_Endpoint and d.way = m.way
),
cut as (
    select
        w.x_Endpoint, c.BillingCurrency, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model,
        w.way, c.units as whole,
        apportion(c.units, w.weight, w.total) as part,
        abs((c.units % w.total) * w.weight) % w.total as rest
    from weighed as w
    inner join cost as c on c.x_Endpoint = w.x_Endpoint
    where w.total > 0
),
placed as (
    select
        *,
        row_number() over (
            partition by x_Endpoint, BillingCurrency, way
            order by rest desc, x_Feature, x_Tenant, x_Environment, x_Model
        ) as place,
        whole - sum(part) over (partition by x_Endpoint, BillingCurrency, way) as units_left
    from cut
),
divided as (
    select
        x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, way,
        part + case when place <= abs(units_left) then sign(units_left) else 0 end as units
    from placed
),
beside as (
    select
        x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        0 as borne,
        sum(units) filter (where way = 'gpu_ms') as by_gpu_time,
        sum(units) filter (where way = 'phase_ms') as by_phases,
        sum(units) filter (where way = 'tokens') as by_tokens,
        sum(units) filter (where way = 'calls') as by_calls
    from divided
    group by x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
    union all
    select
        x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        units as borne, null as by_gpu_time, null as by_phases, null as by_tokens,
        null as by_calls
    from borne
),
summed as (
    select
        x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        sum(borne) as borne,
        sum(by_gpu_time) as by_gpu_time,
        sum(by_phases) as by_phases,
        sum(by_tokens) as by_tokens,
        sum(by_calls) as by_calls
    from beside
    group by x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
)
select
    $period as BillingPeriod,
    x_Endpoint,
    BillingCurrency,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    units_money(borne) as EffectiveCost,
    units_money(by_gpu_time) as x_CostByGpuTime,
    units_money(by_phases) as x_CostByPhaseTime,
    units_money(by_tokens) as x_CostByTokens,
    units_money(by_calls) as x_CostByCalls,
    units_money(
        greatest(by_gpu_time, by_phases, by_tokens, by_calls)
        - least(by_gpu_time, by_phases, by_tokens, by_calls)
    ) as x_MethodSpread
from summed
order by x_Endpoint, BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
