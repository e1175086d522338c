-- Who called each function of the bill, day by day, as what split its charges.
--
-- Owners are those of the log after aliases; what a caller left out is taken from the tags of the
-- function, and is `(unallocated)` where they name nobody.
--
-- One row per day, function, feature, tenant and environment.
with
function as (
    select distinct x_Function, SubAccountId, x_Endpoint, x_Feature, x_Tenant, x_Environment
    from endpoint_id
    where x_Function is not null
),
named as (
    select
        cast(u.x_HourStart as date) as x_ChargeDay,
        n.x_Endpoint,
        coalesce(f.x_To, normal_value(u.x_Feature), n.x_Feature, '(unallocated)') as x_Feature,
        coalesce(t.x_To, normal_value(u.x_Tenant), n.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(e.x_To, normal_value(u.x_Environment), n.x_Environment, '(unallocated)')
            as x_Environment,
        u.x_Invocations, u.x_FailedInvocations, u.x_ColdStarts, u.x_DurationMs,
        u.x_MeasuredInvocations, u.x_MemoryMibMs, u.x_VcpuMs, u.x_ProvisionedMibMs
    from invocation_usage as u
    inner join function as n
        on n.x_Function = u.x_Function and n.SubAccountId is not distinct from u.SubAccountId
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    x_Endpoint,
    x_Feature,
    x_Tenant,
    x_Environment,
    cast(sum(x_Invocations) as bigint) as x_Invocations,
    cast(sum(x_FailedInvocations) as bigint) as x_FailedInvocations,
    cast(sum(x_ColdStarts) as bigint) as x_ColdStarts,
    cast(sum(x_DurationMs) as bigint) as x_DurationMs,
    cast(sum(x_MeasuredInvocations) as bigint) as x_MeasuredInvocations,
    cast(sum(x_MemoryMibMs) as bigint) as x_MemoryMibMs,
    cast(sum(x_VcpuMs) as bigint) as x_VcpuMs,
    cast(sum(x_ProvisionedMibMs) as bigint) as x_ProvisionedMibMs
from named
group by x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment
order by x_ChargeDay, x_Endpoint, x_Feature, x_Tenant, x_Environment
