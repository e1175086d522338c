-- Invocations of serverless functions, hour by hour, per function and per owner as the log says.
-- Why so: the same grain and the same rules as inference_usage. A line delivered twice is one
-- invocation, told by its id within a source and day; a retry counts. Owners are fields of the log
-- by the keys of [owner], in their order of trust, of the invocation's own line or of any other
-- with its request id; two fields of the same trust that disagree name nobody.
-- Memory and vCPU are summed of the invocations that have them; x_MeasuredInvocations says of how
-- many, so that an unknown one is not taken for nothing.
-- One row per source, hour, function, account, feature, tenant and environment.
with spelt as (
    select distinct unnest(field_names) as field_name
    from (
        select distinct json_keys(x_OwnerFields) as field_names
        from invocation
        where x_OwnerFields is not null
    ) as key_list
),

owner_field as (
    select
        '$."' || spelt.field_name || '"' as field_path,
        owner_key.x_Dimension,
        owner_key.x_Rank
    from spelt
    inner join owner_key on owner_key.x_TagKey = normal_key(spelt.field_name)
    where not contains(spelt.field_name, '"')
),

said as (
    select
        coalesce(invocation.x_RequestId, invocation.x_SourceFile || ':' || invocation.x_SourceRow)
            as request,
        owner_field.x_Dimension,
        owner_field.x_Rank,
        nullif(trim(json_extract_string(invocation.x_OwnerFields, owner_field.field_path)), '')
            as owner
    from invocation
    inner join owner_field
        on json_exists(invocation.x_OwnerFields, owner_field.field_path)
),

most_trusted as (
    select request, x_Dimension, min(x_Rank) as x_Rank
    from said
    where owner is not null
    group by request, x_Dimension
),

named as (
    select
        said.request,
        said.x_Dimension,
        min(said.owner) as owner
    from said
    inner join most_trusted
        on most_trusted.request = said.request
        and most_trusted.x_Dimension = said.x_Dimension
        and most_trusted.x_Rank = said.x_Rank
    where said.owner is not null
    group by said.request, said.x_Dimension
    having min(normal_value(said.owner)) = max(normal_value(said.owner))
),

request_owner as (
    select
        request,
        max(owner) filter (where x_Dimension = 'feature') as x_Feature,
        max(owner) filter (where x_Dimension = 'tenant') as x_Tenant,
        max(owner) filter (where x_Dimension = 'environment') as x_Environment
    from named
    group by request
),

-- Which of two deliveries is kept does not matter, as long as it is always the same.
told as (
    select
        invocation.x_Source,
        invocation.x_Time,
        invocation.x_Function,
        invocation.SubAccountId,
        invocation.x_Status,
        invocation.x_Invocations,
        invocation.x_DurationMs,
        invocation.x_MemoryMibMs,
        invocation.x_VcpuMs,
        invocation.x_IsColdStart,
        invocation.x_IsProvisioned,
        coalesce(invocation.x_RequestId, invocation.x_SourceFile || ':' || invocation.x_SourceRow)
            as request,
        row_number() over (
            partition by
                invocation.x_Source, invocation.x_Function,
                coalesce(
                    invocation.x_InvocationId,
                    invocation.x_SourceFile || ':' || invocation.x_SourceRow
                )
            order by
                invocation.x_Time, invocation.x_Status desc, invocation.x_DurationMs,
                invocation.x_MemoryMibMs, invocation.x_VcpuMs, invocation.x_Invocations,
                invocation.x_IsColdStart, invocation.x_IsProvisioned, invocation.SubAccountId
        ) as delivery
    from invocation
    where invocation.x_Invocations > 0
)

select
    cast($day as varchar) as x_Day,
    told.x_Source,
    date_trunc('hour', told.x_Time) as x_HourStart,
    told.x_Function,
    told.SubAccountId,
    o.x_Feature,
    o.x_Tenant,
    o.x_Environment,
    cast(sum(told.x_Invocations) as bigint) as x_Invocations,
    cast(coalesce(sum(told.x_Invocations) filter (where told.x_Status = 'error'), 0) as bigint)
        as x_FailedInvocations,
    cast(coalesce(sum(told.x_Invocations) filter (where told.x_IsColdStart), 0) as bigint)
        as x_ColdStarts,
    cast(coalesce(sum(told.x_DurationMs), 0) as bigint) as x_DurationMs,
    cast(
        coalesce(sum(told.x_Invocations) filter (where told.x_MemoryMibMs is not null), 0)
        as bigint
    ) as x_MeasuredInvocations,
    cast(coalesce(sum(told.x_MemoryMibMs), 0) as bigint) as x_MemoryMibMs,
    cast(coalesce(sum(told.x_VcpuMs), 0) as bigint) as x_VcpuMs,
    cast(coalesce(sum(told.x_MemoryMibMs) filter (where told.x_IsProvisioned), 0) as bigint)
        as x_ProvisionedMibMs
from told
left join request_owner as o on o.request = told.request
where told.delivery = 1
group by
    told.x_Source, date_trunc('hour', told.x_Time), told.x_Function, told.SubAccountId,
    o.x_Feature, o.x_Tenant, o.x_Environment
order by
    told.x_Source, x_HourStart, told.x_Function, told.SubAccountId, o.x_Feature, o.x_Tenant,
    o.x_Environment
