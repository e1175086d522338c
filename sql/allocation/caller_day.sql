-- What each caller did in a day: the hours of inference_usage together, for all who ask for no hour.
--
-- Prefill and decode are those of the log, or of the engine where token_time has the hour.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut. The days
-- before and after the month are there, too, for charges of theirs on its bill.
--
-- One row per day, endpoint, caller as logged and model.
select
    $period as BillingPeriod,
    cast(u.x_HourStart as date) as x_ChargeDay,
    s.x_Endpoint,
    u.x_Feature,
    u.x_Tenant,
    u.x_Environment,
    u.x_Model,
    cast(sum(u.x_Calls) as bigint) as x_Calls,
    cast(sum(u.x_FailedCalls) as bigint) as x_FailedCalls,
    cast(sum(u.x_UnknownTokenCalls) as bigint) as x_UnknownTokenCalls,
    cast(sum(u.x_InputTokens) as bigint) as x_InputTokens,
    cast(sum(u.x_CachedInputTokens) as bigint) as x_CachedInputTokens,
    cast(sum(u.x_OutputTokens) as bigint) as x_OutputTokens,
    cast(sum(u.x_Images) as bigint) as x_Images,
    cast(sum(u.x_GpuMs) as bigint) as x_GpuMs,
    cast(sum(u.x_GpuMsCalls) as bigint) as x_GpuMsCalls,
    cast(sum(case
        when t.x_Endpoint is null then cast(u.x_PrefillMs as hugeint) * 1000000
        else token_work(
            u.x_InputTokens, u.x_CachedInputTokens, 0,
            cast(t.x_InputTokenNs as hugeint), cast(t.x_CachedInputTokenNs as hugeint), 0
        )
    end) as decimal(38, 0)) as x_PrefillNs,
    cast(sum(case
        when t.x_Endpoint is null then cast(u.x_DecodeMs as hugeint) * 1000000
        else u.x_OutputTokens * cast(t.x_OutputTokenNs as hugeint)
    end) as decimal(38, 0)) as x_DecodeNs,
    cast(sum(case
        when t.x_Endpoint is null then u.x_PhaseMsCalls else u.x_Calls - u.x_UnknownTokenCalls
    end) as bigint) as x_PhaseMsCalls
from inference_usage as u
inner join served_endpoint as s
    on s.x_LoggedEndpoint = u.x_Endpoint and s.x_Cluster is not distinct from u.x_Cluster
left join token_time as t
    on t.x_HourStart = u.x_HourStart and t.x_Endpoint = s.x_Endpoint
where u.x_HourStart >= cast($from_day as date) and u.x_HourStart < cast($until_day as date)
group by 2, 3, 4, 5, 6, 7
order by 2, 3, 4, 5, 6, 7
