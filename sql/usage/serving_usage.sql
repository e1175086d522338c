-- What the engines of each endpoint did, model by model, as vLLM and Triton count it themselves.
-- Why so: an engine knows its requests, its tokens and its time, and nothing of who called; a log
-- knows the callers. An engine is found by its pod, so that it has the name that a log has for the
-- endpoint, `namespace/workload`; replicas, versions of a model and data-parallel engines are added
-- up. What an engine does not count is null, never zero: Triton tells no tokens, vLLM no compute.
-- One row per cluster, hour, endpoint and model.
with counted as (
    select
        x_Day,
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Pod,
        x_Series,
        coalesce(nullif(json_extract_string(x_Labels, '$.model'), ''), '(none)') as x_Model,
        x_Value
    from metric_hour
    where x_Series like 'serving%'
        and x_Namespace is not null
        and x_Pod is not null
),

workload_of_pod as (
    select
        x_Cluster,
        x_Namespace,
        x_Pod,
        min(x_Workload) as x_Workload
    from pod_usage
    group by x_Cluster, x_Namespace, x_Pod
)

select
    min(counted.x_Day) as x_Day,
    counted.x_Cluster,
    counted.x_HourStart,
    counted.x_Namespace || '/' || coalesce(workload_of_pod.x_Workload, counted.x_Pod) as x_Endpoint,
    counted.x_Model,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series in ('serving_requests', 'serving_failures')
    ) as bigint) as x_Requests,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_failures'
    ) as bigint) as x_FailedRequests,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_inferences'
    ) as bigint) as x_Inferences,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_input_tokens'
    ) as bigint) as x_InputTokens,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_cached_tokens'
    ) as bigint) as x_CachedInputTokens,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_output_tokens'
    ) as bigint) as x_OutputTokens,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_prefill'
    ) as bigint) as x_PrefillMs,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_decode'
    ) as bigint) as x_DecodeMs,
    cast(sum(counted.x_Value) filter (
        where counted.x_Series = 'serving_compute'
    ) as bigint) as x_ComputeMs
from counted
left join workload_of_pod
    on workload_of_pod.x_Cluster = counted.x_Cluster
    and workload_of_pod.x_Namespace = counted.x_Namespace
    and workload_of_pod.x_Pod = counted.x_Pod
group by
    counted.x_Cluster,
    counted.x_HourStart,
    counted.x_Namespace || '/' || coalesce(workload_of_pod.x_Workload, counted.x_Pod),
    counted.x_Model
order by x_Cluster, x_HourStart, x_Endpoint, x_Model
