-- What each endpoint we run cost, by model, and what a million tokens cost there: all of them, those
-- that went in and those that came out.
--
-- Cost is what the endpoint's callers bear, idle time apart, and tokens are theirs. Where nobody
-- logged a call, it is what its pods bear, and its engines say what they did; several models of one
-- server share it by the best that all of them count: Triton's compute time, prefill and decode,
-- tokens by the ratio of the day, requests. Both are of the days that have such a cost, for a bill is
-- later than a log. Of what a model cost, prefill is for the input and decode for the output; where
-- they are not known of every call with tokens, the ratio tells them apart, and x_TokenRatio which.
-- Where calls told no tokens, a price is of the others, at their part of the cost. The price of input
-- is of tokens that were not read from a cache. Bought APIs are not here: their prices are known.
--
-- One row per endpoint, model and currency.
with
managed as (
    select distinct x_Endpoint from endpoint_id where x_Function is null
),
cost as (
    select
        a.x_Endpoint, a.x_Model, a.BillingCurrency, a.x_AllocationMethod,
        money_units(sum(a.EffectiveCost)) as units
    from allocated_cost as a
    left join managed as m on m.x_Endpoint = a.x_Endpoint
    where a.x_AllocationMethod in ('inference', 'pod')
        and (starts_with(a.x_Pool, 'node/') or m.x_Endpoint is not null)
    group by a.x_Endpoint, a.x_Model, a.BillingCurrency, a.x_AllocationMethod
),
-- ------------------------------------------------------------------- what the callers did
called_day as (
    select
        x_ChargeDay, x_Endpoint, x_Model,
        sum(x_Calls) as calls,
        sum(x_UnknownTokenCalls) as unknown_calls,
        sum(x_InputTokens) as input_tokens,
        sum(x_CachedInputTokens) as cached_tokens,
        sum(x_OutputTokens) as output_tokens,
        cast(sum(x_PrefillNs) as hugeint) as prefill_ns,
        cast(sum(x_DecodeNs) as hugeint) as decode_ns,
        sum(x_PhaseMsCalls) as phase_calls
    from caller_day
    where is_in_month(x_ChargeDay, $period)
    group by x_ChargeDay, x_Endpoint, x_Model
),
called as (
    select
        b.BillingCurrency, u.x_Endpoint, u.x_Model,
        sum(u.calls) as requests,
        sum(u.calls) - sum(u.unknown_calls) as known_requests,
        sum(u.input_tokens) as input_tokens,
        sum(u.cached_tokens) as cached_tokens,
        sum(u.output_tokens) as output_tokens,
        sum(token_work(
            u.input_tokens, u.cached_tokens, 0, cast(r.x_InputWeight as hugeint),
            cast(r.x_CachedInputWeight as hugeint), 0
        )) as input_work,
        sum(token_work(
            u.input_tokens, u.cached_tokens, u.output_tokens, cast(r.x_InputWeight as hugeint),
            cast(r.x_CachedInputWeight as hugeint), cast(r.x_OutputWeight as hugeint)
        )) as token_work,
        sum(u.prefill_ns) as prefill_ns,
        sum(u.decode_ns) as decode_ns,
        sum(u.calls) - sum(u.phase_calls) <= sum(u.unknown_calls) as is_timed
    from called_day as u
    inner join billed_day as b
        on b.x_ChargeDay = u.x_ChargeDay
        and b.x_Endpoint = u.x_Endpoint
        and b.x_AllocationMethod = 'inference'
    inner join token_ratio as r
        on u.x_ChargeDay >= r.x_FromDay and u.x_ChargeDay < r.x_UntilDay
    group by b.BillingCurrency, u.x_Endpoint, u.x_Model
),
-- ------------------------------------------------------- what engines did that nobody logged
engine as (
    select
        u.x_Endpoint, u.x_Model,
        sum(u.x_Requests) as requests,
        sum(u.x_InputTokens) as input_tokens,
        sum(u.x_CachedInputTokens) as cached_tokens,
        sum(u.x_OutputTokens) as output_tokens,
        sum(token_work(
            u.x_InputTokens, coalesce(u.x_CachedInputTokens, 0), 0,
            r.x_InputWeight, r.x_CachedInputWeight, 0
        )) as input_work,
        sum(token_work(
            u.x_InputTokens, coalesce(u.x_CachedInputTokens, 0), u.x_OutputTokens,
            r.x_InputWeight, r.x_CachedInputWeight, r.x_OutputWeight
        )) as token_work,
        cast(sum(u.x_PrefillMs) as hugeint) * 1000000 as prefill_ns,
        cast(sum(u.x_DecodeMs) as hugeint) * 1000000 as decode_ns,
        cast(sum(u.x_ComputeMs) as hugeint) as compute_ms
    from serving_usage as u
    anti join served_endpoint as s
        on s.x_LoggedEndpoint = u.x_Endpoint
        and (s.x_Endpoint = s.x_LoggedEndpoint or s.x_Cluster = u.x_Cluster)
    semi join billed_day as b
        on b.x_ChargeDay = cast(u.x_HourStart as date)
        and b.x_Endpoint = u.x_Endpoint
        and b.x_AllocationMethod = 'pod'
    inner join token_ratio as r
        on cast(u.x_HourStart as date) >= r.x_FromDay and cast(u.x_HourStart as date) < r.x_UntilDay
    group by u.x_Endpoint, u.x_Model
),
engine_measure as (
    select
        x_Endpoint,
        case
            when count(*) = count(compute_ms) and sum(compute_ms) > 0 then 'compute_ms'
            when count(*) = count(prefill_ns + decode_ns) and sum(prefill_ns + decode_ns) > 0
                then 'phase_ms'
            when count(*) = count(token_work) and sum(token_work) > 0 then 'tokens'
            else 'requests'
        end as measure
    from engine
    group by x_Endpoint
),
engine_work as (
    select
        e.x_Endpoint, e.x_Model,
        case m.measure
            when 'compute_ms' then e.compute_ms
            when 'phase_ms' then e.prefill_ns + e.decode_ns
            when 'tokens' then e.token_work
            else coalesce(e.requests, 0)
        end as work
    from engine as e
    inner join engine_measure as m on m.x_Endpoint = e.x_Endpoint
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits. Models nobody
-- asked for anything share evenly.
divisor as (
    select
        x_Endpoint, sum(work) // 500000000000000000 + 1 as divisor,
        case when sum(work) > 0 then 0 else 1 end as evenly
    from engine_work
    group by x_Endpoint
),
engine_weight as (
    select
        w.x_Endpoint, w.x_Model,
        w.work // d.divisor + d.evenly as weight,
        sum(w.work // d.divisor + d.evenly) over (partition by w.x_Endpoint) as total
    from engine_work as w
    inner join divisor as d on d.x_Endpoint = w.x_Endpoint
),
engine_cut as (
    select
        w.x_Endpoint, w.x_Model, c.BillingCurrency, c.units as whole,
        apportion(c.units, w.weight, w.total) as part,
        abs((c.units % w.total) * w.weight) % w.total as rest
    from engine_weight as w
    inner join cost as c on c.x_Endpoint = w.x_Endpoint and c.x_AllocationMethod = 'pod'
),
engine_placed as (
    select
        *,
        row_number() over (
            partition by x_Endpoint, BillingCurrency order by rest desc, x_Model
        ) as place,
        whole - sum(part) over (partition by x_Endpoint, BillingCurrency) as units_left
    from engine_cut
),
-- -------------------------------------------------------------- input and output of a model
used as (
    select
        c.x_Endpoint, c.x_Model, c.BillingCurrency, c.units, u.requests,
        cast(u.requests as hugeint) as calls, u.known_requests as known_calls, u.input_tokens,
        u.cached_tokens, u.output_tokens, u.input_work, u.token_work, u.prefill_ns, u.decode_ns,
        coalesce(u.is_timed and u.prefill_ns + u.decode_ns > 0, false) as is_timed
    from cost as c
    left join called as u
        on u.BillingCurrency = c.BillingCurrency
        and u.x_Endpoint = c.x_Endpoint
        and u.x_Model = c.x_Model
    where c.x_AllocationMethod = 'inference'
    union all
    select
        p.x_Endpoint, p.x_Model, p.BillingCurrency,
        p.part + case when p.place <= abs(p.units_left) then sign(p.units_left) else 0 end
            as units,
        e.requests, 1 as calls, 1 as known_calls, e.input_tokens, e.cached_tokens,
        e.output_tokens, e.input_work, e.token_work, e.prefill_ns, e.decode_ns,
        coalesce(e.prefill_ns + e.decode_ns > 0, false) as is_timed
    from engine_placed as p
    inner join engine as e on e.x_Endpoint = p.x_Endpoint and e.x_Model = p.x_Model
),
weighed as (
    select
        *,
        case
            when is_timed then 'phase_ms'
            when token_work > 0 then 'tokens'
        end as unit,
        case when is_timed then prefill_ns else input_work end as input_weight,
        case when is_timed then prefill_ns + decode_ns else token_work end as weight
    from used
),
divided as (
    select
        *,
        case
            when unit is not null then apportion(
                units,
                input_weight // (weight // 500000000000000000 + 1),
                greatest(weight // (weight // 500000000000000000 + 1), 1)
            )
        end as input_units
    from weighed
),
ratio_of_month as (
    select string_agg(x_TokenRatio, ', ' order by x_FromDay) as x_TokenRatio
    from token_ratio
    where x_FromDay < cast($period || '-01' as date) + interval 1 month
        and x_UntilDay > cast($period || '-01' as date)
)
select
    $period as BillingPeriod,
    d.x_Endpoint,
    d.x_Model,
    d.BillingCurrency,
    units_money(d.units) as EffectiveCost,
    units_money(d.input_units) as x_InputCost,
    units_money(d.units - d.input_units) as x_OutputCost,
    d.unit as x_WeightUnit,
    case when d.unit = 'tokens' then r.x_TokenRatio end as x_TokenRatio,
    cast(d.requests as bigint) as x_Requests,
    cast(d.input_tokens as bigint) as x_InputTokens,
    cast(d.cached_tokens as bigint) as x_CachedInputTokens,
    cast(d.output_tokens as bigint) as x_OutputTokens,
    money_per(units_money(d.units), d.requests) as x_UnitCostPerCall,
    units_money(
        d.units * 1000000 * d.known_calls
        // nullif((d.input_tokens + d.output_tokens) * d.calls, 0)
    ) as x_CostPerMillionTokens,
    units_money(
        d.input_units * 1000000 * d.known_calls
        // nullif((d.input_tokens - coalesce(d.cached_tokens, 0)) * d.calls, 0)
    ) as x_CostPerMillionInputTokens,
    units_money(
        (d.units - d.input_units) * 1000000 * d.known_calls
        // nullif(d.output_tokens * d.calls, 0)
    ) as x_CostPerMillionOutputTokens
from divided as d
cross join ratio_of_month as r
order by d.x_Endpoint, d.x_Model, d.BillingCurrency
