-- By which weights each pool is split among those who used it.
--
-- Node pools: the cost of a node-hour falls to CPU, memory and GPU by the weights price_ratio has
-- for a core, a GiB and a GPU of capacity; each resource falls to the pods that held it (the larger
-- of requested and used, hour by hour). Of what no pod held, what the node keeps for its system is
-- `(overhead)`, the rest `(idle)`. Where pods hold more than the node has, they share what there is.
-- Pods of an endpoint pass their part to the callers of that hour, by GPU
-- time where every call logged it, else by the time of prefill and decode, as every call logged it
-- or as the engine measured it for a token, else by tokens weighted by the ratio of the day, else by
-- calls. Node-hours the cluster did not measure stay `unmeasured`.
-- Inference pools: by what the calls of the day cost by the price book, where all of them have a
-- price in one currency; else by the same measures, the best that every call of the day has. A call
-- without token counts weighs what a known call of its endpoint does. Where charges are for longer than
-- a day, the calls of all their days weigh, which long_call has added up.
-- x_WeightUnit is the weakest measure that any hour of the consumer was weighed by.
--
-- Weights are integers in 10^-15 of the currency of the node-hour, so that no order of threads
-- can change a sum. Nothing is rounded to money here: allocated_cost does that once per pool.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per pool and consumer.
with
-- What is grouped a million times over is numbered first: pools, nodes, workloads, callers.
pool as (
    select
        pooled.x_PoolId, pooled.x_ChargeDay, pooled.InvoiceId, pooled.BillingCurrency,
        pooled.ProviderName, pooled.SubAccountId, pooled.ServiceCategory, pooled.ServiceName,
        pooled.ChargeCategory, pooled.x_Pool, pooled.CommitmentDiscountId, pooled.until_day,
        r.x_TokenRatio,
        row_number() over (order by pooled.x_PoolId) as pool_no
    from (
        select distinct
            x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
            ServiceCategory, ServiceName, ChargeCategory, x_Pool, CommitmentDiscountId,
            coalesce(x_ChargeUntilDay, x_ChargeDay + 1) as until_day
        from charge_owner
        where x_Pool is not null
            and x_ChargeDay >= cast($from_day as date)
            and x_ChargeDay < cast($until_day as date)
    ) as pooled
    inner join token_ratio as r
        on pooled.x_ChargeDay >= r.x_FromDay and pooled.x_ChargeDay < r.x_UntilDay
),
-- ---------------------------------------------------------------- what the callers did
-- Owners are resolved once per distinct caller, not once per hour. Which number it has does not
-- matter; that it has one does. A name that logs have for several endpoints is told apart here, too.
told_caller as materialized (
    select
        u.x_Endpoint as x_LoggedEndpoint, u.x_Cluster, s.x_Endpoint, u.x_Feature, u.x_Tenant,
        u.x_Environment, u.x_Model
    from (
        select distinct x_Endpoint, x_Cluster, x_Feature, x_Tenant, x_Environment, x_Model
        from inference_usage
        where x_HourStart >= cast($from_day as date) and x_HourStart < cast($until_day as date)
    ) as u
    inner join served_endpoint as s
        on s.x_LoggedEndpoint = u.x_Endpoint and s.x_Cluster is not distinct from u.x_Cluster
),
logged_caller as materialized (
    select
        x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model,
        row_number() over () as caller_no
    from (
        select x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model
        from told_caller
        union
        select x_Endpoint, x_Feature, x_Tenant, x_Environment, x_Model
        from long_call
        where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
    ) as distinct_caller
),
numbered_caller as materialized (
    select
        t.x_LoggedEndpoint, t.x_Cluster, t.x_Feature, t.x_Tenant, t.x_Environment, t.x_Model,
        n.caller_no
    from told_caller as t
    inner join logged_caller as n
        on n.x_Endpoint = t.x_Endpoint
        and n.x_Feature is not distinct from t.x_Feature
        and n.x_Tenant is not distinct from t.x_Tenant
        and n.x_Environment is not distinct from t.x_Environment
        and n.x_Model = t.x_Model
),
logged_hour as (
    select
        x_HourStart,
        x_Endpoint,
        x_Cluster,
        sum(x_Calls) as calls,
        sum(x_UnknownTokenCalls) as unknown_calls,
        sum(x_GpuMsCalls) as gpu_calls,
        sum(x_GpuMs) as gpu_ms,
        sum(x_PhaseMsCalls) as phase_calls,
        sum(x_PrefillMs + x_DecodeMs) as phase_ms,
        sum(x_InputTokens) as input_tokens,
        sum(x_CachedInputTokens) as cached_tokens,
        sum(x_OutputTokens) as output_tokens
    from inference_usage
    where x_HourStart >= cast($from_day as date) and x_HourStart < cast($until_day as date)
    group by x_HourStart, x_Endpoint, x_Cluster
),
endpoint_hour as materialized (
    select
        h.x_HourStart, s.x_Endpoint, s.x_LoggedEndpoint,
        s.x_Endpoint <> s.x_LoggedEndpoint as is_told_apart,
        sum(h.calls) as calls,
        sum(h.unknown_calls) as unknown_calls,
        sum(h.gpu_calls) as gpu_calls,
        sum(h.gpu_ms) as gpu_ms,
        sum(h.phase_calls) as phase_calls,
        sum(h.phase_ms) as phase_ms,
        sum(h.input_tokens) as input_tokens,
        sum(h.cached_tokens) as cached_tokens,
        sum(h.output_tokens) as output_tokens
    from logged_hour as h
    inner join served_endpoint as s
        on s.x_LoggedEndpoint = h.x_Endpoint and s.x_Cluster is not distinct from h.x_Cluster
    group by h.x_HourStart, s.x_Endpoint, s.x_LoggedEndpoint
),
-- Calls that do not say their cluster count beside those that do: an hour with both has one measure.
mixed_hour as (
    select x_HourStart, x_LoggedEndpoint
    from endpoint_hour
    group by x_HourStart, x_LoggedEndpoint
    having bool_or(is_told_apart) and not bool_and(is_told_apart)
),
compared_hour as materialized (
    select
        h.*,
        case when m.x_HourStart is null then h.x_Endpoint else h.x_LoggedEndpoint end as compared
    from endpoint_hour as h
    left join mixed_hour as m
        on m.x_HourStart = h.x_HourStart and m.x_LoggedEndpoint = h.x_LoggedEndpoint
),
measured_hour as (
    select
        x_HourStart,
        compared,
        sum(calls) as calls,
        sum(unknown_calls) as unknown_calls,
        sum(gpu_calls) as gpu_calls,
        sum(gpu_ms) as gpu_ms,
        sum(phase_calls) as phase_calls,
        sum(phase_ms) as phase_ms,
        sum(input_tokens) as input_tokens,
        sum(cached_tokens) as cached_tokens,
        sum(output_tokens) as output_tokens
    from compared_hour
    group by x_HourStart, compared
),
-- What a token weighs: the nanoseconds it took, where the engine measured, else the ratio of the day.
weighed_hour as (
    select
        h.x_HourStart, h.compared, h.calls, h.unknown_calls, h.gpu_calls, h.gpu_ms, h.phase_calls,
        h.phase_ms, h.input_tokens, h.cached_tokens, h.output_tokens,
        t.x_Endpoint is not null as is_timed,
        cast(coalesce(t.x_InputTokenNs, r.x_InputWeight) as hugeint) as input_weight,
        cast(coalesce(t.x_CachedInputTokenNs, r.x_CachedInputWeight) as hugeint) as cached_weight,
        cast(coalesce(t.x_OutputTokenNs, r.x_OutputWeight) as hugeint) as output_weight
    from measured_hour as h
    inner join token_ratio as r
        on cast(h.x_HourStart as date) >= r.x_FromDay and cast(h.x_HourStart as date) < r.x_UntilDay
    left join token_time as t
        on t.x_HourStart = h.x_HourStart and t.x_Endpoint = h.compared
),
-- Sixteen digits of work and those of money are what a product can hold.
scaled_hour as (
    select
        *,
        token_work(
            input_tokens, cached_tokens, output_tokens, input_weight, cached_weight, output_weight
        ) // 10000000000000000 + 1 as divisor
    from weighed_hour
),
worked_hour as (
    select
        *,
        token_work(
            input_tokens, cached_tokens, output_tokens,
            input_weight // divisor, cached_weight // divisor, output_weight // divisor
        ) as token_work
    from scaled_hour
),
-- From the best measure to the weakest: 1 GPU time, 2 prefill and decode, 3 tokens, 4 calls.
measure as (
    select
        *,
        token_work // greatest(calls - unknown_calls, 1) as known_call_work,
        case
            when gpu_calls = calls and gpu_ms > 0 then 1
            when phase_calls = calls and phase_ms > 0 then 2
            when token_work > 0 and is_timed then 2
            when token_work > 0 then 3
            else 4
        end as unit_no,
        (gpu_calls < calls or gpu_ms = 0) and (phase_calls < calls or phase_ms = 0)
        and token_work > 0 as is_by_token
    from worked_hour
),
-- A call without token counts is unknown, not zero: it weighs what a known call weighs.
called_hour as materialized (
    select
        row_number() over () as hour_no, h.x_HourStart, h.x_Endpoint, m.unit_no, m.is_by_token,
        m.input_weight // m.divisor as input_weight,
        m.cached_weight // m.divisor as cached_weight,
        m.output_weight // m.divisor as output_weight,
        m.known_call_work,
        case
            when m.is_by_token then
                token_work(
                    h.input_tokens, h.cached_tokens, h.output_tokens,
                    m.input_weight // m.divisor, m.cached_weight // m.divisor,
                    m.output_weight // m.divisor
                ) + h.unknown_calls * m.known_call_work
            when m.unit_no = 1 then h.gpu_ms
            when m.unit_no = 2 then h.phase_ms
            else h.calls
        end as work
    from compared_hour as h
    inner join measure as m on m.x_HourStart = h.x_HourStart and m.compared = h.compared
),
-- By the names that logs have, so that calls find both their hour and their caller by what they say.
told_hour as materialized (
    select
        h.x_HourStart, s.x_LoggedEndpoint, s.x_Cluster, h.hour_no, h.unit_no, h.is_by_token,
        h.input_weight, h.cached_weight, h.output_weight, h.known_call_work
    from called_hour as h
    inner join served_endpoint as s on s.x_Endpoint = h.x_Endpoint
),
caller as (
    select
        n.caller_no, h.hour_no, h.unit_no,
        case
            when h.is_by_token then
                token_work(
                    u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens,
                    h.input_weight, h.cached_weight, h.output_weight
                ) + u.x_UnknownTokenCalls * h.known_call_work
            when h.unit_no = 1 then u.x_GpuMs
            when h.unit_no = 2 then u.x_PrefillMs + u.x_DecodeMs
            else u.x_Calls
        end as work
    from inference_usage as u
    inner join numbered_caller as n
        on n.x_LoggedEndpoint = u.x_Endpoint
        and n.x_Cluster is not distinct from u.x_Cluster
        and n.x_Feature is not distinct from u.x_Feature
        and n.x_Tenant is not distinct from u.x_Tenant
        and n.x_Environment is not distinct from u.x_Environment
        and n.x_Model = u.x_Model
    inner join told_hour as h
        on h.x_HourStart = u.x_HourStart
        and h.x_LoggedEndpoint = u.x_Endpoint
        and h.x_Cluster is not distinct from u.x_Cluster
    where u.x_HourStart >= cast($from_day as date) and u.x_HourStart < cast($until_day as date)
),
-- ------------------------------------------------------------- what pods held of a node
pod as (
    select
        x_Cluster, x_Node, x_HourStart, x_Namespace, x_WorkloadKind, x_Workload, x_Labels,
        x_CpuAllocatedCoreMs, x_MemoryAllocatedByteSeconds, x_GpuRequestMs,
        x_GpuAllocatedParts
    from pod_usage
    where x_Node is not null
        and x_HourStart >= cast($from_day as date)
        and x_HourStart < cast($until_day as date)
),
node as (
    select
        x_Cluster, x_Node, x_HourStart, ResourceId, x_CpuCapacityCoreMs,
        x_MemoryCapacityByteSeconds, x_GpuCapacityMs, x_CpuAllocatableCoreMs,
        x_MemoryAllocatableByteSeconds,
        row_number() over (order by x_Cluster, x_Node, x_HourStart) as node_no
    from node_usage
    where ResourceId is not null
        and x_HourStart >= cast($from_day as date)
        and x_HourStart < cast($until_day as date)
),
labelled_workload as (
    select
        x_Cluster, x_Namespace, x_WorkloadKind, x_Workload, x_Labels,
        x_Namespace || '/' || x_Workload as name,
        row_number() over (
            order by x_Cluster, x_Namespace, x_WorkloadKind, x_Workload, x_Labels
        ) as workload_no
    from (
        select distinct x_Cluster, x_Namespace, x_WorkloadKind, x_Workload, x_Labels from pod
    ) as pod_workload
),
-- What the pods of a name served in a cluster: calls of that cluster, and those of none that is known.
served_place as materialized (
    select distinct w.x_Cluster, w.name, s.x_Endpoint, s.x_Endpoint = w.name as is_anywhere
    from (select distinct x_Cluster, name from labelled_workload) as w
    inner join served_endpoint as s
        on s.x_LoggedEndpoint = w.name
        and (s.x_Endpoint = s.x_LoggedEndpoint or s.x_Cluster = w.x_Cluster)
),
place as materialized (
    select
        x_Cluster, name,
        coalesce(min(x_Endpoint) filter (where not is_anywhere), name) as x_Endpoint,
        row_number() over (order by x_Cluster, name) as place_no
    from served_place
    group by x_Cluster, name
),
workload as (
    select
        w.workload_no, w.x_Cluster, w.x_Namespace, w.x_WorkloadKind, w.x_Workload, w.x_Labels,
        coalesce(s.x_Endpoint, w.name) as x_Endpoint,
        s.place_no,
        o.x_Feature as feature,
        o.x_Tenant as tenant,
        o.x_Environment as environment,
        dense_rank() over (order by o.x_Feature, o.x_Tenant, o.x_Environment) as label_no
    from labelled_workload as w
    left join place as s on s.x_Cluster = w.x_Cluster and s.name = w.name
    left join tag_owner as o on o.Tags = w.x_Labels
),
label as (
    select distinct label_no, feature, tenant, environment from workload
),
-- Memory in MiB-ms.
held as (
    select
        n.node_no, w.workload_no,
        sum(p.x_CpuAllocatedCoreMs) as cpu,
        quotient(sum(p.x_MemoryAllocatedByteSeconds) * 1000, 1048576) as memory,
        sum(p.x_GpuAllocatedParts) as gpu,
        sum(p.x_GpuRequestMs) as gpu_device_ms
    from pod as p
    inner join node as n
        on n.x_Cluster = p.x_Cluster and n.x_HourStart = p.x_HourStart and n.x_Node = p.x_Node
    inner join workload as w
        on w.x_Cluster = p.x_Cluster
        and w.x_Namespace = p.x_Namespace
        and w.x_WorkloadKind = p.x_WorkloadKind
        and w.x_Workload = p.x_Workload
        and w.x_Labels = p.x_Labels
    group by n.node_no, w.workload_no
),
held_total as (
    select node_no, sum(cpu) as cpu, sum(memory) as memory, sum(gpu) as gpu
    from held
    group by node_no
),
node_hour as (
    select
        n.node_no, n.ResourceId, n.x_HourStart,
        cast(n.x_CpuCapacityCoreMs as hugeint) as cpu,
        cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576 as memory,
        cast(n.x_GpuCapacityMs as hugeint) * gpu_parts() as gpu,
        coalesce(h.cpu, 0) as cpu_held,
        coalesce(h.memory, 0) as memory_held,
        coalesce(h.gpu, 0) as gpu_held,
        greatest(n.x_CpuCapacityCoreMs - n.x_CpuAllocatableCoreMs, 0) as cpu_reserved,
        cast(greatest(
            n.x_MemoryCapacityByteSeconds - n.x_MemoryAllocatableByteSeconds, 0
        ) as hugeint) * 1000 // 1048576 as memory_reserved,
        cast(n.x_CpuCapacityCoreMs as hugeint) * 1024 * r.x_CpuWeight as cpu_worth,
        (cast(n.x_MemoryCapacityByteSeconds as hugeint) * 1000 // 1048576)
        * r.x_MemoryWeight as memory_worth,
        cast(n.x_GpuCapacityMs as hugeint) * 1024 * r.x_GpuWeight as gpu_worth
    from node as n
    inner join price_ratio as r on r.x_Cluster = n.x_Cluster
    left join held_total as h on h.node_no = n.node_no
),
-- Part of the node-hour that each resource stands for, in 10^-15 of it.
node_part as (
    select
        node_no, ResourceId, x_HourStart,
        greatest(cpu, cpu_held, 1) as cpu_total,
        greatest(memory, memory_held, 1) as memory_total,
        greatest(gpu, gpu_held, 1) as gpu_total,
        greatest(cpu - cpu_held, 0) as cpu_free,
        greatest(memory - memory_held, 0) as memory_free,
        greatest(gpu - gpu_held, 0) as gpu_free,
        -- where it is not known what is reserved, nothing is
        least(greatest(cpu - cpu_held, 0), coalesce(cpu_reserved, 0)) as cpu_overhead,
        least(greatest(memory - memory_held, 0), coalesce(memory_reserved, 0)) as memory_overhead,
        1000000000000000 * cpu_worth // (cpu_worth + memory_worth + gpu_worth) as cpu_part,
        1000000000000000 * memory_worth // (cpu_worth + memory_worth + gpu_worth) as memory_part,
        1000000000000000 * gpu_worth // (cpu_worth + memory_worth + gpu_worth) as gpu_part
    from node_hour
    where cpu_worth + memory_worth + gpu_worth > 0
),
-- What no pod held is of workload 0, what the system keeps of it of workload -1.
part as (
    select
        n.node_no, h.workload_no,
        quotient(n.cpu_part * h.cpu, n.cpu_total)
        + quotient(n.memory_part * h.memory, n.memory_total)
        + quotient(n.gpu_part * h.gpu, n.gpu_total) as part
    from held as h
    inner join node_part as n on n.node_no = h.node_no
    union all
    select
        node_no, 0 as workload_no,
        quotient(cpu_part * (cpu_free - cpu_overhead), cpu_total)
        + quotient(memory_part * (memory_free - memory_overhead), memory_total)
        + quotient(gpu_part * gpu_free, gpu_total) as part
    from node_part
    union all
    select
        node_no, -1 as workload_no,
        quotient(cpu_part * cpu_overhead, cpu_total)
        + quotient(memory_part * memory_overhead, memory_total) as part
    from node_part
    where cpu_overhead + memory_overhead > 0
),
-- ------------------------------------------------------------------ what a node costs
pool_charge as (
    select
        pool.pool_no, c.ResourceId, c.x_HourStart, c.x_ChargeEnd,
        cast(c.x_ChargeUnits as hugeint) as units
    from node_charge as c
    inner join pool
        on pool.x_ChargeDay = c.x_ChargeDay
        and pool.InvoiceId = c.InvoiceId
        and pool.BillingCurrency = c.BillingCurrency
        and pool.ProviderName = c.ProviderName
        and pool.SubAccountId is not distinct from c.SubAccountId
        and pool.ServiceCategory = c.ServiceCategory
        and pool.ServiceName = c.ServiceName
        and pool.ChargeCategory = c.ChargeCategory
        and pool.x_Pool = 'node/' || c.x_Cluster
        and pool.CommitmentDiscountId is not distinct from c.CommitmentDiscountId
    where c.x_ChargeDay >= cast($from_day as date) and c.x_ChargeDay < cast($until_day as date)
),
-- A charge for longer than an hour stands in every measured hour it covers.
long_hour as (
    select
        c.pool_no, n.ResourceId, n.x_HourStart, c.units,
        count(*) over (
            partition by c.pool_no, c.ResourceId, c.x_HourStart, c.x_ChargeEnd
        ) as hours
    from pool_charge as c
    inner join node_part as n
        on n.ResourceId = c.ResourceId
        and n.x_HourStart >= c.x_HourStart
        and n.x_HourStart < c.x_ChargeEnd
    where c.x_ChargeEnd is not null
),
hour_charge as (
    select pool_no, ResourceId, x_HourStart, units from pool_charge where x_ChargeEnd is null
    union all
    select pool_no, ResourceId, x_HourStart, units // hours as units from long_hour
),
unmeasured as (
    select c.pool_no, sum(c.units) * 1000 as weight
    from hour_charge as c
    anti join node_part as n
        on n.ResourceId = c.ResourceId and n.x_HourStart = c.x_HourStart
    group by c.pool_no
),
node_weight as (
    select c.pool_no, n.x_HourStart, n.node_no, c.units
    from hour_charge as c
    inner join node_part as n
        on n.ResourceId = c.ResourceId and n.x_HourStart = c.x_HourStart
),
workload_hour as (
    select
        c.pool_no, c.x_HourStart, p.workload_no,
        sum(quotient(c.units * p.part, 1000000000000)) as weight
    from node_weight as c
    inner join part as p on p.node_no = c.node_no
    group by c.pool_no, c.x_HourStart, p.workload_no
    having max(p.part) > 0
),
-- ------------------------------------------------------------- from workloads to callers
place_held as (
    select n.x_HourStart, w.place_no, sum(h.gpu_device_ms) as gpu
    from held as h
    inner join node as n on n.node_no = h.node_no
    inner join workload as w on w.workload_no = h.workload_no
    where w.place_no is not null
    group by n.x_HourStart, w.place_no
),
-- A call of no known cluster counts in every cluster that runs its name.
place_call as materialized (
    select
        h.x_HourStart, h.place_no, c.hour_no, c.unit_no, c.work,
        sum(h.gpu) over (partition by c.hour_no) as gpu_of_all
    from place_held as h
    inner join place as p on p.place_no = h.place_no
    inner join served_place as s on s.x_Cluster = p.x_Cluster and s.name = p.name
    inner join called_hour as c
        on c.x_HourStart = h.x_HourStart and c.x_Endpoint = s.x_Endpoint
    where c.work > 0
),
serving_hour as (
    select
        x_HourStart, place_no, max(unit_no) as unit_no, sum(work) as work,
        greatest(
            sum(work),
            max(case
                when unit_no = 1 and $endpoint_idle = 'line' then gpu_of_all
                else 0
            end)
        ) as total_work
    from place_call
    group by x_HourStart, place_no
),
workload_serving as (
    select
        w.workload_no, w.label_no, w.place_no, s.x_HourStart, s.unit_no, s.work, s.total_work
    from workload as w
    inner join serving_hour as s on s.place_no = w.place_no
),
served as (
    select
        h.pool_no, h.workload_no, h.weight, s.label_no, s.x_HourStart, s.place_no, s.unit_no,
        s.work, s.total_work
    from workload_hour as h
    inner join workload_serving as s
        on s.workload_no = h.workload_no and s.x_HourStart = h.x_HourStart
),
-- Pool and labels together are one number, so that a caller is grouped by two.
served_share as (
    select
        pool_no, label_no, row_number() over (order by pool_no, label_no) as share_no
    from (select distinct pool_no, label_no from served) as shares
),
served_hour as (
    select
        n.share_no, c.hour_no, s.weight, s.total_work
    from served as s
    inner join served_share as n on n.pool_no = s.pool_no and n.label_no = s.label_no
    inner join place_call as c
        on c.x_HourStart = s.x_HourStart and c.place_no = s.place_no
),
served_caller as (
    select
        s.share_no, c.caller_no, max(c.unit_no) as unit_no,
        sum(quotient(s.weight * c.work, s.total_work)) as weight
    from served_hour as s
    inner join caller as c on c.hour_no = s.hour_no
    group by s.share_no, c.caller_no
),
-- Patterns are of the names that logs have.
split_name as (
    select distinct s.x_Name, e.x_Endpoint
    from inference_split as s
    inner join served_endpoint as e on e.x_LoggedEndpoint like s.x_Endpoint escape '\'
),
-- Callers of bought APIs and shared endpoints, by the work of the day, or of the days until until_day.
-- Half a list would charge the other half to those who are on it: all calls have a price, or none.
listed_call as (
    select
        'inference/' || s.x_Name as x_Pool, l.x_ChargeDay, l.x_ChargeDay + 1 as until_day,
        l.x_Endpoint, l.x_Feature, l.x_Tenant, l.x_Environment, l.x_Model, l.x_Calls,
        l.x_UnknownTokenCalls, l.PricingCurrency, money_units(l.ListCost) as units
    from split_name as s
    inner join list_cost as l on l.x_Endpoint = s.x_Endpoint
    where l.x_ChargeDay >= cast($from_day as date) and l.x_ChargeDay < cast($until_day as date)
    union all
    select
        x_Pool, x_ChargeDay, x_ChargeUntilDay as until_day, x_Endpoint, x_Feature, x_Tenant,
        x_Environment, x_Model, x_Calls, x_UnknownTokenCalls, PricingCurrency,
        money_units(ListCost) as units
    from long_call
    where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
),
listed_split as (
    select
        x_Pool, x_ChargeDay, until_day,
        sum(units) // greatest(sum(x_Calls - x_UnknownTokenCalls), 1) as known_call_units
    from listed_call
    group by x_Pool, x_ChargeDay, until_day
    having count(units) = count(*)
        and min(PricingCurrency) = max(PricingCurrency)
        and sum(units) > 0
),
split_endpoint as (
    select distinct 'inference/' || s.x_Name as x_Pool, c.x_ChargeDay, c.x_Endpoint
    from split_name as s
    inner join (
        select distinct x_ChargeDay, x_Endpoint
        from caller_day
        where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
    ) as c
        on c.x_Endpoint = s.x_Endpoint
),
called as (
    select
        s.x_Pool, u.x_ChargeDay, u.x_ChargeDay + 1 as until_day, u.x_Endpoint, u.x_Feature,
        u.x_Tenant, u.x_Environment, u.x_Model, u.x_Calls, u.x_UnknownTokenCalls,
        u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens, u.x_GpuMs, u.x_GpuMsCalls,
        u.x_PrefillNs, u.x_DecodeNs, u.x_PhaseMsCalls
    from caller_day as u
    inner join split_endpoint as s
        on s.x_ChargeDay = u.x_ChargeDay and s.x_Endpoint = u.x_Endpoint
    union all
    select
        x_Pool, x_ChargeDay, x_ChargeUntilDay as until_day, x_Endpoint, x_Feature,
        x_Tenant, x_Environment, x_Model, x_Calls, x_UnknownTokenCalls,
        x_InputTokens, x_CachedInputTokens, x_OutputTokens, x_GpuMs, x_GpuMsCalls,
        x_PrefillNs, x_DecodeNs, x_PhaseMsCalls
    from long_call
    where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
),
-- Of a longer charge tokens are weighed by the ratio of its first day: two ratios do not add up.
split_call as (
    select
        u.x_Pool, u.x_ChargeDay, u.until_day, u.x_Endpoint, u.x_Feature, u.x_Tenant,
        u.x_Environment, u.x_Model,
        u.x_Calls as calls,
        u.x_UnknownTokenCalls as unknown_calls,
        u.x_GpuMsCalls as gpu_calls,
        cast(u.x_GpuMs as hugeint) as gpu_ms,
        u.x_PhaseMsCalls as phase_calls,
        cast(u.x_PrefillNs + u.x_DecodeNs as hugeint) as phase_ns,
        token_work(
            u.x_InputTokens, u.x_CachedInputTokens, u.x_OutputTokens,
            cast(r.x_InputWeight as hugeint), cast(r.x_CachedInputWeight as hugeint),
            cast(r.x_OutputWeight as hugeint)
        ) as token_work
    from called as u
    inner join token_ratio as r
        on u.x_ChargeDay >= r.x_FromDay and u.x_ChargeDay < r.x_UntilDay
    anti join listed_split as l
        on l.x_Pool = u.x_Pool and l.x_ChargeDay = u.x_ChargeDay and l.until_day = u.until_day
),
-- One measure for all calls of a pool: milliseconds and tokens do not add up.
split_measure as (
    select
        x_Pool, x_ChargeDay, until_day,
        case
            when sum(gpu_calls) = sum(calls) and sum(gpu_ms) > 0 then 1
            when sum(phase_calls) = sum(calls) and sum(phase_ns) > 0 then 2
            when sum(token_work) > 0 then 3
            else 4
        end as unit_no,
        sum(token_work) // greatest(sum(calls) - sum(unknown_calls), 1) as known_call_work
    from split_call
    group by x_Pool, x_ChargeDay, until_day
),
split_known as (
    select
        x_Pool, x_ChargeDay, until_day, x_Endpoint,
        sum(token_work) // (sum(calls) - sum(unknown_calls)) as known_call_work
    from split_call
    group by x_Pool, x_ChargeDay, until_day, x_Endpoint
    having sum(calls) > sum(unknown_calls)
),
split_caller as (
    select
        c.x_Pool, c.x_ChargeDay, c.until_day, n.caller_no, m.unit_no,
        sum(case m.unit_no
            when 1 then c.gpu_ms
            when 2 then c.phase_ns
            when 3 then
                c.token_work
                + c.unknown_calls * coalesce(k.known_call_work, m.known_call_work)
            else c.calls
        end) as weight
    from split_call as c
    inner join split_measure as m
        on m.x_Pool = c.x_Pool
        and m.x_ChargeDay = c.x_ChargeDay
        and m.until_day = c.until_day
    left join split_known as k
        on k.x_Pool = c.x_Pool
        and k.x_ChargeDay = c.x_ChargeDay
        and k.until_day = c.until_day
        and k.x_Endpoint = c.x_Endpoint
    inner join logged_caller as n
        on n.x_Endpoint = c.x_Endpoint
        and n.x_Feature is not distinct from c.x_Feature
        and n.x_Tenant is not distinct from c.x_Tenant
        and n.x_Environment is not distinct from c.x_Environment
        and n.x_Model = c.x_Model
    group by c.x_Pool, c.x_ChargeDay, c.until_day, n.caller_no, m.unit_no
    union all
    select
        c.x_Pool, c.x_ChargeDay, c.until_day, n.caller_no, 5 as unit_no,
        sum(c.units + c.x_UnknownTokenCalls * l.known_call_units) as weight
    from listed_call as c
    inner join listed_split as l
        on l.x_Pool = c.x_Pool
        and l.x_ChargeDay = c.x_ChargeDay
        and l.until_day = c.until_day
    inner join logged_caller as n
        on n.x_Endpoint = c.x_Endpoint
        and n.x_Feature is not distinct from c.x_Feature
        and n.x_Tenant is not distinct from c.x_Tenant
        and n.x_Environment is not distinct from c.x_Environment
        and n.x_Model = c.x_Model
    group by c.x_Pool, c.x_ChargeDay, c.until_day, n.caller_no
),
-- ---------------------------------------------------------------------- who they all are
-- A consumer is a caller, a caller where labels say what it left out, or a workload's method. What
-- it is weighed by beside the measures of calls: 5 list cost, 6 what was held.
consumer as (
    select
        n.pool_no, 'inference' as x_AllocationMethod, s.caller_no, n.label_no,
        0 as workload_no, s.unit_no, s.weight
    from served_caller as s
    inner join served_share as n on n.share_no = s.share_no
    union all
    select
        pool.pool_no, 'inference' as x_AllocationMethod, c.caller_no, 0 as label_no,
        0 as workload_no, c.unit_no, c.weight
    from pool
    inner join split_caller as c
        on c.x_Pool = pool.x_Pool
        and c.x_ChargeDay = pool.x_ChargeDay
        and c.until_day = pool.until_day
    union all
    -- GPU time of an endpoint that no call used.
    select
        pool_no, 'endpoint_idle' as x_AllocationMethod, 0 as caller_no, 0 as label_no,
        workload_no, unit_no,
        quotient(weight * (total_work - work), total_work) as weight
    from served
    where total_work > work
    union all
    -- Pods that served no call in the hour: by their labels, idle where they serve at times.
    select
        h.pool_no,
        case when w.place_no is not null then 'endpoint_idle' else 'pod' end as x_AllocationMethod,
        0 as caller_no, 0 as label_no, h.workload_no, 6 as unit_no, h.weight
    from workload_hour as h
    inner join workload as w on w.workload_no = h.workload_no
    anti join workload_serving as s
        on s.workload_no = h.workload_no and s.x_HourStart = h.x_HourStart
    union all
    -- Capacity no pod held.
    select
        pool_no, case workload_no when 0 then 'idle' else 'overhead' end as x_AllocationMethod,
        0 as caller_no, 0 as label_no, workload_no, 6 as unit_no, weight
    from workload_hour
    where workload_no <= 0
    union all
    select
        pool_no, 'unmeasured' as x_AllocationMethod, 0 as caller_no, 0 as label_no,
        0 as workload_no, 6 as unit_no, weight
    from unmeasured
),
known_caller as (
    select
        u.caller_no, u.x_Endpoint, u.x_Model,
        coalesce(f.x_To, normal_value(u.x_Feature)) as feature,
        coalesce(t.x_To, normal_value(u.x_Tenant)) as tenant,
        coalesce(e.x_To, normal_value(u.x_Environment)) as environment
    from logged_caller as u
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
),
-- A shared endpoint that nobody called is nobody's; whose it is, its labels say.
named as (
    select
        c.x_AllocationMethod, c.caller_no, c.label_no, c.workload_no,
        case
            when c.x_AllocationMethod = 'idle' then '(idle)'
            when c.x_AllocationMethod = 'overhead' then '(overhead)'
            when c.x_AllocationMethod = 'endpoint_idle' then coalesce(w.feature, '(idle)')
            else coalesce(k.feature, l.feature, w.feature, '(unallocated)')
        end as x_Feature,
        case
            when c.x_AllocationMethod in ('idle', 'endpoint_idle') then '(idle)'
            when c.x_AllocationMethod = 'overhead' then '(overhead)'
            else coalesce(k.tenant, l.tenant, w.tenant, '(unallocated)')
        end as x_Tenant,
        case
            when c.x_AllocationMethod = 'idle' then '(idle)'
            when c.x_AllocationMethod = 'overhead' then '(overhead)'
            when c.x_AllocationMethod = 'endpoint_idle' then coalesce(w.environment, '(idle)')
            else coalesce(k.environment, l.environment, w.environment, '(unallocated)')
        end as x_Environment,
        coalesce(k.x_Model, '(none)') as x_Model,
        coalesce(k.x_Endpoint, w.x_Endpoint, '(none)') as x_Endpoint
    from (
        select distinct x_AllocationMethod, caller_no, label_no, workload_no from consumer
    ) as c
    left join known_caller as k on k.caller_no = c.caller_no
    left join label as l on l.label_no = c.label_no
    left join workload as w on w.workload_no = c.workload_no
),
-- Consumers of one name are one, and names in order have numbers in order.
numbered_name as materialized (
    select
        x_AllocationMethod, caller_no, label_no, workload_no, x_Feature, x_Tenant,
        x_Environment, x_Model, x_Endpoint,
        rank() over names as name_no,
        row_number() over names as place
    from named
    window names as (
        order by x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
    )
),
weighed as (
    select c.pool_no, n.name_no, max(c.unit_no) as unit_no, sum(c.weight) as weight
    from consumer as c
    inner join numbered_name as n
        on n.x_AllocationMethod = c.x_AllocationMethod
        and n.caller_no = c.caller_no
        and n.label_no = c.label_no
        and n.workload_no = c.workload_no
    group by c.pool_no, n.name_no
    having sum(c.weight) > 0
)
select
    $period as BillingPeriod,
    pool.x_PoolId,
    name.x_Feature,
    name.x_Tenant,
    name.x_Environment,
    name.x_Model,
    name.x_Endpoint,
    name.x_AllocationMethod,
    case weighed.unit_no
        when 1 then 'gpu_ms'
        when 2 then 'phase_ms'
        when 3 then 'tokens'
        when 4 then 'calls'
        when 5 then 'list_cost'
        else 'held'
    end as x_WeightUnit,
    case when weighed.unit_no = 3 then pool.x_TokenRatio end as x_TokenRatio,
    cast(weighed.weight as decimal(38, 0)) as x_Weight
from weighed
inner join pool on pool.pool_no = weighed.pool_no
inner join numbered_name as name on name.name_no = weighed.name_no and name.place = name.name_no
order by pool.pool_no, name.name_no
