-- What a token cost an engine in time, where the engine measured and the calls did not say.
--
-- Why: a log that counts tokens and an engine that counts time together tell how long each caller
-- kept the engine busy: an input token took the prefill of the hour over its input tokens, an output
-- token the decode over its output tokens. One that was found in the cache took none, if both the
-- engine and the log know which these were; else all input tokens took the same.
-- An hour is here if its engine measured every phase that its calls had tokens of, and if not every
-- call logged its own time, which would be better. Nanoseconds, rounded down.
--
-- One row per hour and endpoint.
with
-- Calls of no known cluster went to the engines of any cluster that has the name; an hour that has
-- such calls and others has one measure for both, so all of its calls are looked at.
name as (
    select distinct x_LoggedEndpoint, x_Cluster, x_Endpoint from served_endpoint
),
call_name as (
    select x_LoggedEndpoint, x_Cluster, x_Endpoint from name
    union
    select n.x_LoggedEndpoint, n.x_Cluster, n.x_LoggedEndpoint as x_Endpoint
    from name as n
    semi join name as w on w.x_Endpoint = n.x_LoggedEndpoint
),
engine_name as (
    select distinct e.x_Cluster, e.x_Endpoint as x_LoggedEndpoint, n.x_Endpoint
    from (select distinct x_Cluster, x_Endpoint from serving_usage) as e
    inner join name as n
        on n.x_LoggedEndpoint = e.x_Endpoint
        and (n.x_Endpoint = n.x_LoggedEndpoint or n.x_Cluster = e.x_Cluster)
),
engine as (
    select
        u.x_HourStart, n.x_Endpoint,
        sum(u.x_PrefillMs) as prefill_ms,
        sum(u.x_DecodeMs) as decode_ms,
        sum(u.x_InputTokens) as input_tokens,
        coalesce(sum(u.x_CachedInputTokens), 0) as cached_tokens,
        sum(u.x_OutputTokens) as output_tokens
    from serving_usage as u
    inner join engine_name as n
        on n.x_Cluster = u.x_Cluster and n.x_LoggedEndpoint = u.x_Endpoint
    where u.x_HourStart >= cast($from_day as date) and u.x_HourStart < cast($until_day as date)
    group by u.x_HourStart, n.x_Endpoint
    having coalesce(sum(u.x_PrefillMs), 0) + coalesce(sum(u.x_DecodeMs), 0) > 0
),
-- Few endpoints have an engine that measures: only calls of their names are looked at.
asked as (
    select distinct e.x_HourStart, n.x_LoggedEndpoint
    from engine as e
    inner join name as n on n.x_Endpoint = e.x_Endpoint
),
logged as (
    select
        u.x_HourStart, u.x_Endpoint, u.x_Cluster,
        sum(u.x_Calls) - sum(u.x_PhaseMsCalls) as untimed_calls,
        sum(u.x_InputTokens) as input_tokens,
        sum(u.x_CachedInputTokens) as cached_tokens,
        sum(u.x_OutputTokens) as output_tokens
    from inference_usage as u
    semi join asked as a
        on a.x_HourStart = u.x_HourStart and a.x_LoggedEndpoint = u.x_Endpoint
    group by u.x_HourStart, u.x_Endpoint, u.x_Cluster
),
called as (
    select
        l.x_HourStart, n.x_Endpoint,
        sum(l.untimed_calls) as untimed_calls,
        sum(l.input_tokens) as input_tokens,
        sum(l.cached_tokens) as cached_tokens,
        sum(l.output_tokens) as output_tokens
    from logged as l
    inner join call_name as n
        on n.x_LoggedEndpoint = l.x_Endpoint and n.x_Cluster is not distinct from l.x_Cluster
    group by l.x_HourStart, n.x_Endpoint
),
both_told as (
    select
        c.x_HourStart, c.x_Endpoint,
        coalesce(e.prefill_ms, 0) as prefill_ms,
        coalesce(e.decode_ms, 0) as decode_ms,
        coalesce(e.output_tokens, 0) as output_tokens,
        coalesce(e.input_tokens, 0) as input_tokens,
        case
            when c.cached_tokens > 0 and e.cached_tokens < e.input_tokens then e.cached_tokens
            else 0
        end as cached_tokens
    from called as c
    inner join engine as e
        on e.x_HourStart = c.x_HourStart and e.x_Endpoint = c.x_Endpoint
    where c.untimed_calls > 0
        and c.input_tokens + c.output_tokens > 0
        and (c.input_tokens = 0 or (e.prefill_ms > 0 and e.input_tokens > 0))
        and (c.output_tokens = 0 or (e.decode_ms > 0 and e.output_tokens > 0))
),
rate as (
    select
        x_HourStart, x_Endpoint, cached_tokens,
        cast(prefill_ms as hugeint) * 1000000 // greatest(input_tokens - cached_tokens, 1)
            as input_ns,
        cast(decode_ms as hugeint) * 1000000 // greatest(output_tokens, 1) as output_ns
    from both_told
)
select
    $period as BillingPeriod,
    cast(x_HourStart as date) as x_ChargeDay,
    x_HourStart,
    x_Endpoint,
    cast(input_ns as decimal(38, 0)) as x_InputTokenNs,
    cast(case when cached_tokens > 0 then 0 else input_ns end as decimal(38, 0))
        as x_CachedInputTokenNs,
    cast(output_ns as decimal(38, 0)) as x_OutputTokenNs
from rate
order by x_HourStart, x_Endpoint
