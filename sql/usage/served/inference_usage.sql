-- Requests that pods of a cluster served, as calls of their endpoint.
-- Why so: what Knative runs has no line on the bill, its pods have their part of a node. Counted
-- among the calls of `namespace/workload`, requests split that part hour by hour as inference does.
-- They have no model and no tokens: each counts as one.
-- One row per row of invocation_usage.
select
    x_Day,
    x_Source,
    x_HourStart,
    x_Function as x_Endpoint,
    cast($cluster as varchar) as x_Cluster,
    'knative' as x_Provider,
    x_Feature,
    x_Tenant,
    x_Environment,
    '(none)' as x_Model,
    cast(null as varchar) as x_Credential,
    'standard' as x_ServiceTier,
    cast(0 as bigint) as x_ContextClass,
    x_Invocations as x_Calls,
    x_FailedInvocations as x_FailedCalls,
    cast(0 as bigint) as x_UnknownTokenCalls,
    cast(0 as bigint) as x_FailedUnknownTokenCalls,
    cast(0 as bigint) as x_InputTokens,
    cast(0 as bigint) as x_CachedInputTokens,
    cast(0 as bigint) as x_CacheWrite5mTokens,
    cast(0 as bigint) as x_CacheWrite1hTokens,
    cast(0 as bigint) as x_OutputTokens,
    cast(0 as bigint) as x_Images,
    cast(0 as bigint) as x_AudioMs,
    cast(0 as bigint) as x_GpuMs,
    cast(0 as bigint) as x_GpuMsCalls,
    cast(0 as bigint) as x_PrefillMs,
    cast(0 as bigint) as x_DecodeMs,
    cast(0 as bigint) as x_PhaseMsCalls,
    x_DurationMs as x_LatencyMs,
    cast(null as bigint) as x_LatencyMaxMs
from invocation_usage
order by x_Source, x_HourStart, x_Endpoint, x_Feature, x_Tenant, x_Environment
