-- By which weights what a serverless function or a managed endpoint cost is split among callers.
--
-- Functions: each component of the bill by its own measure of the day. Requests by invocations,
-- vCPU by vCPU-ms, memory by MiB-ms, on capacity that was kept ready or not as the log tells them
-- apart; by milliseconds where the memory of an invocation is unknown, by invocations where nothing
-- else is. Of what was kept ready, callers have what they ran on, the rest is idle. Where the log
-- does not say what ran on it, all did, as long as there was any: that is how it is used. The idle
-- time of minimum instances is a charge of its own, and idle.
-- Managed endpoints: as usage_share splits a pool of calls, over the day; what instance hours had
-- of GPU time and no call used is idle, where every call logged its GPU time. What a caller left out
-- is taken from the tags of the endpoint.
-- Idle is borne by the callers of the day, if there are any, if $endpoint_idle is `callers`.
-- A pool of charges for longer than a day is split over all of their days that are of the month, and
-- tokens by the ratio of the first.
--
-- Of a pool that has no row here nobody was measured: it stays with its tags.
--
-- One row per pool and consumer.
with
endpoint as (
    select distinct
        x_Pool, x_Endpoint, x_Function is not null as is_function, x_Feature, x_Tenant,
        x_Environment
    from endpoint_id
),
pooled as (
    select distinct
        x_PoolId, x_ChargeDay, x_ChargeUntilDay, x_Pool,
        case
            when starts_with(x_Pool, 'function/') then regexp_extract(x_Pool, '/([a-z_]+)$', 1)
        end as component
    from charge_owner
    where starts_with(x_Pool, 'function/') or starts_with(x_Pool, 'inference/')
),
pool as (
    select
        p.x_PoolId, p.x_ChargeDay, p.x_ChargeUntilDay is not null as is_long,
        coalesce(p.x_ChargeUntilDay, p.x_ChargeDay + 1) as until_day, p.component, e.x_Endpoint,
        e.x_Feature as own_feature, e.x_Tenant as own_tenant, e.x_Environment as own_environment,
        cast(c.x_Capacity as hugeint) as capacity
    from pooled as p
    inner join endpoint as e
        on e.x_Pool = case
            when p.component is null then p.x_Pool
            else left(p.x_Pool, length(p.x_Pool) - length(p.component) - 1)
        end
        and e.is_function = (p.component is not null)
    left join endpoint_capacity as c
        on c.x_ChargeDay = p.x_ChargeDay
        and c.x_ChargeUntilDay is not distinct from p.x_ChargeUntilDay
        and c.x_Pool = p.x_Pool
),
-- Each day that charges of an endpoint are for; of longer ones, those of the month.
charge_day as (
    select x_Endpoint, x_ChargeDay, until_day, x_ChargeDay as on_day
    from (select distinct x_Endpoint, x_ChargeDay, until_day from pool where not is_long) as daily
    union all
    select
        x_Endpoint, x_ChargeDay, until_day,
        cast(unnest(generate_series(
            greatest(cast(x_ChargeDay as timestamp), cast($period || '-01' as timestamp)),
            least(
                cast(until_day as timestamp),
                cast($period || '-01' as timestamp) + interval 1 month
            ) - interval 1 day,
            interval 1 day
        )) as date) as on_day
    from (select distinct x_Endpoint, x_ChargeDay, until_day from pool where is_long) as long
),
-- ----------------------------------------------------------------------------- functions
function_day as (
    select
        d.x_ChargeDay, d.until_day, d.x_Endpoint,
        sum(c.x_Invocations) = sum(c.x_MeasuredInvocations) and sum(c.x_MemoryMibMs) > 0
            as is_measured,
        sum(c.x_DurationMs) as duration_ms,
        sum(c.x_MemoryMibMs) as mib_ms,
        sum(c.x_VcpuMs) as vcpu_ms,
        sum(c.x_ProvisionedMibMs) as provisioned_mib_ms
    from function_caller as c
    inner join charge_day as d on d.on_day = c.x_ChargeDay and d.x_Endpoint = c.x_Endpoint
    group by d.x_ChargeDay, d.until_day, d.x_Endpoint
),
function_unit as (
    select
        p.x_PoolId, p.x_ChargeDay, p.until_day, p.x_Endpoint, p.component, p.capacity,
        case
            when p.component = 'requests' then 'invocations'
            when p.component = 'vcpu' and d.is_measured and d.vcpu_ms > 0 then 'vcpu_ms'
            when starts_with(p.component, 'provisioned')
                and d.is_measured and d.provisioned_mib_ms > 0 then 'provisioned_mib_ms'
            when p.component = 'memory' and d.is_measured
                and d.provisioned_mib_ms > 0 and d.mib_ms > d.provisioned_mib_ms
                then 'on_demand_mib_ms'
            when d.is_measured then 'mib_ms'
            when d.duration_ms > 0 then 'ms'
            else 'invocations'
        end as unit
    from pool as p
    inner join function_day as d
        on d.x_ChargeDay = p.x_ChargeDay
        and d.until_day = p.until_day
        and d.x_Endpoint = p.x_Endpoint
    where p.component <> 'minimum_instances' or $endpoint_idle = 'callers'
),
function_consumer as (
    select
        u.x_PoolId, c.x_Feature, c.x_Tenant, c.x_Environment, '(none)' as x_Model, u.x_Endpoint,
        u.unit, u.component, u.capacity,
        cast(case u.unit
            when 'invocations' then c.x_Invocations
            when 'vcpu_ms' then c.x_VcpuMs
            when 'provisioned_mib_ms' then c.x_ProvisionedMibMs
            when 'on_demand_mib_ms' then c.x_MemoryMibMs - c.x_ProvisionedMibMs
            when 'mib_ms' then c.x_MemoryMibMs
            else c.x_DurationMs
        end as hugeint) as weight
    from function_unit as u
    inner join charge_day as d
        on d.x_ChargeDay = u.x_ChargeDay
        and d.until_day = u.until_day
        and d.x_Endpoint = u.x_Endpoint
    inner join function_caller as c
        on c.x_ChargeDay = d.on_day and c.x_Endpoint = d.x_Endpoint
),
-- --------------------------------------------------------------------- managed endpoints
ratio_of_day as (
    select
        p.x_ChargeDay, r.x_TokenRatio, r.x_InputWeight, r.x_CachedInputWeight, r.x_OutputWeight
    from (select distinct x_ChargeDay from pool) as p
    inner join token_ratio as r
        on p.x_ChargeDay >= r.x_FromDay and p.x_ChargeDay < r.x_UntilDay
),
call as (
    select
        d.x_ChargeDay, d.until_day, u.x_Endpoint, u.x_Model,
        coalesce(f.x_To, normal_value(u.x_Feature)) as feature,
        coalesce(t.x_To, normal_value(u.x_Tenant)) as tenant,
        coalesce(e.x_To, normal_value(u.x_Environment)) as environment,
        u.x_Calls, u.x_UnknownTokenCalls, u.x_GpuMsCalls, u.x_GpuMs, u.x_PhaseMsCalls,
        u.x_PrefillMs + u.x_DecodeMs as phase_ms,
        token_work(
            u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens,
            r.x_InputWeight, r.x_CachedInputWeight, r.x_OutputWeight
        ) as token_work
    from inference_usage as u
    inner join charge_day as d
        on d.on_day = cast(u.x_HourStart as date) and d.x_Endpoint = u.x_Endpoint
    inner join ratio_of_day as r on r.x_ChargeDay = d.x_ChargeDay
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
),
call_day as (
    select
        x_ChargeDay, until_day, x_Endpoint,
        case
            when sum(x_GpuMsCalls) = sum(x_Calls) and sum(x_GpuMs) > 0 then 'gpu_ms'
            when sum(x_PhaseMsCalls) = sum(x_Calls) and sum(phase_ms) > 0 then 'phase_ms'
            when sum(token_work) > 0 then 'tokens'
            else 'calls'
        end as unit,
        sum(token_work) // greatest(sum(x_Calls) - sum(x_UnknownTokenCalls), 1) as known_call_work
    from call
    group by x_ChargeDay, until_day, x_Endpoint
),
-- A call without token counts is unknown, not zero: it weighs what a known call weighs.
endpoint_consumer as (
    select
        p.x_PoolId,
        coalesce(c.feature, p.own_feature, '(unallocated)') as x_Feature,
        coalesce(c.tenant, p.own_tenant, '(unallocated)') as x_Tenant,
        coalesce(c.environment, p.own_environment, '(unallocated)') as x_Environment,
        c.x_Model, c.x_Endpoint, d.unit, p.component, p.capacity,
        cast(case d.unit
            when 'gpu_ms' then c.x_GpuMs
            when 'phase_ms' then c.phase_ms
            when 'tokens' then c.token_work + c.x_UnknownTokenCalls * d.known_call_work
            else c.x_Calls
        end as hugeint) as weight
    from pool as p
    inner join call_day as d
        on d.x_ChargeDay = p.x_ChargeDay
        and d.until_day = p.until_day
        and d.x_Endpoint = p.x_Endpoint
    inner join call as c
        on c.x_ChargeDay = p.x_ChargeDay
        and c.until_day = p.until_day
        and c.x_Endpoint = p.x_Endpoint
    where p.component is null
),
-- -------------------------------------------------------------------------- idle, and all
consumer as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, unit, component,
        capacity, weight
    from function_consumer
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, unit, component,
        capacity, weight
    from endpoint_consumer
),
used as (
    select
        x_PoolId,
        min(unit) as unit,
        sum(weight) as weight
    from consumer
    group by x_PoolId
    having sum(weight) > 0
),
idle as (
    select
        p.x_PoolId, p.x_Endpoint, p.own_feature, p.own_environment,
        coalesce(u.unit, 'idle') as unit,
        case
            when u.x_PoolId is null then 1
            else greatest(p.capacity - u.weight, 0)
        end as weight
    from pool as p
    left join used as u on u.x_PoolId = p.x_PoolId
    where case
        -- Nobody ran on it: what was kept ready was idle, whoever bears idle time.
        when u.x_PoolId is null
            then p.component in ('provisioned', 'minimum_instances')
            or (p.component is null and p.capacity is not null)
        else $endpoint_idle = 'line'
            and (
                (p.component = 'provisioned' and u.unit in ('mib_ms', 'provisioned_mib_ms'))
                or (p.component is null and u.unit = 'gpu_ms')
            )
    end
),
weighed as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
        case when component is null then 'inference' else 'invocation' end as x_AllocationMethod,
        min(unit) as unit, sum(weight) as weight
    from consumer
    group by
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
    having sum(weight) > 0
    union all
    select
        x_PoolId, coalesce(own_feature, '(idle)') as x_Feature, '(idle)' as x_Tenant,
        coalesce(own_environment, '(idle)') as x_Environment, '(none)' as x_Model, x_Endpoint,
        'endpoint_idle' as x_AllocationMethod, unit, weight
    from idle
    where weight > 0
)
select
    $period as BillingPeriod,
    w.x_PoolId,
    p.x_ChargeDay,
    w.x_Feature,
    w.x_Tenant,
    w.x_Environment,
    w.x_Model,
    w.x_Endpoint,
    w.x_AllocationMethod,
    w.unit as x_WeightUnit,
    case when w.unit = 'tokens' then r.x_TokenRatio end as x_TokenRatio,
    cast(w.weight as decimal(38, 0)) as x_Weight
from weighed as w
inner join pool as p on p.x_PoolId = w.x_PoolId
inner join ratio_of_day as r on r.x_ChargeDay = p.x_ChargeDay
order by
    p.x_ChargeDay, w.x_PoolId, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model,
    w.x_AllocationMethod
