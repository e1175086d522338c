-- By which weights what the volumes of a cluster cost is split among the pods that mounted them.
--
-- Hour by hour: the time in which any pod had the volume goes to the pods, by how long each had it,
-- so that pods that have it together share it equally, and one alone has it whole. The time in which
-- no pod had it is `unmounted`: tenant `(idle)`, for nobody used it, and whose it is says its claim.
-- Pods of an endpoint whose calls are logged pass their part on as the cost of their nodes went that
-- day: to callers by their work, and to `endpoint_idle`. Whose the part of other pods is say their
-- labels, then those of the claim, then the tags of the disk; each fills what the ones before it left
-- open. Hours of a disk in which the cluster did not list the volume are `unmeasured`, and stay with
-- the tags of the disk.
-- A charge for longer than an hour stands evenly in every measured hour it covers; one that covers
-- none is unmeasured. What a `[[cluster_charge]]` takes is no part of what a volume cost.
--
-- Weights are integers in 10^-15 of the currency of the volume-hour. Only proportions matter, so a
-- credit weighs by its size, and a free hour weighs something.
--
-- One row per pool and consumer.
with
pool as (
    select distinct
        x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
        ServiceCategory, ServiceName, ChargeCategory, x_Pool, CommitmentDiscountId
    from charge_owner
    where starts_with(x_Pool, 'volume/')
),
-- ---------------------------------------------------------------- what a volume costs
line as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId, c.ServiceCategory,
        c.ServiceName, c.ChargeCategory, c.x_TagSetId, v.x_VolumeId,
        'volume/' || v.x_Cluster as x_Pool,
        case
            when $unused_commitment = 'users' and c.CommitmentDiscountStatus = 'Used'
                then c.CommitmentDiscountId
        end as CommitmentDiscountId,
        date_trunc('hour', c.ChargePeriodStart) as x_HourStart,
        case
            when c.ChargePeriodEnd
                > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour
                then c.ChargePeriodEnd
        end as x_ChargeEnd,
        c.BilledCost, c.EffectiveCost
    from cost_and_usage as c
    inner join volume_id as v on v.ResourceId = c.ResourceId
    anti join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = c.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = c.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = c.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = c.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = c.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = c.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = c.SkuMeter)
),
charge as (
    select
        p.x_PoolId, c.x_VolumeId, c.x_TagSetId, c.x_HourStart, c.x_ChargeEnd,
        abs(money_units(sum(c.BilledCost))) as billed,
        abs(money_units(sum(c.EffectiveCost))) as effective
    from line as c
    inner join pool as p
        on p.x_ChargeDay = c.x_ChargeDay
        and p.InvoiceId = c.InvoiceId
        and p.BillingCurrency = c.BillingCurrency
        and p.ProviderName = c.ProviderName
        and p.SubAccountId is not distinct from c.SubAccountId
        and p.ServiceCategory = c.ServiceCategory
        and p.ServiceName = c.ServiceName
        and p.ChargeCategory = c.ChargeCategory
        and p.x_Pool = c.x_Pool
        and p.CommitmentDiscountId is not distinct from c.CommitmentDiscountId
    group by p.x_PoolId, c.x_VolumeId, c.x_TagSetId, c.x_HourStart, c.x_ChargeEnd
),
charge_units as (
    select
        x_PoolId, x_VolumeId, x_TagSetId, x_HourStart, x_ChargeEnd,
        greatest(case when effective <> 0 then effective else billed end, 1) as units
    from charge
),
-- ------------------------------------------------------------ what was mounted, and when
volume_hour as (
    select
        x_VolumeId, x_HourStart, x_Cluster, x_Volume,
        sum(case when x_PodUid is not null then x_VolumeMs else 0 end) as pod_ms,
        sum(case when x_PodUid is null then x_VolumeMs else 0 end) as unmounted_ms,
        greatest(max(x_RunningMs), 1) as listed_ms
    from volume_usage
    where x_VolumeId is not null
    group by x_VolumeId, x_HourStart, x_Cluster, x_Volume
    having sum(x_VolumeMs) > 0
),
-- A disk that is several volumes is unmounted only for as long as each of them is.
hour_part as (
    select
        x_VolumeId, x_HourStart,
        cast(sum(pod_ms) as hugeint) as pod_ms,
        1000000000000000 - least(
            min(1000000000000000 * cast(unmounted_ms as hugeint) // listed_ms), 1000000000000000
        ) as mounted_part
    from volume_hour
    group by x_VolumeId, x_HourStart
),
-- What one consumer had of an hour, in 10^-15 of it.
part as (
    select
        h.x_VolumeId, h.x_HourStart, u.x_Cluster, 'volume' as x_AllocationMethod,
        u.x_Namespace || '/' || u.x_Workload as x_Endpoint,
        u.x_Labels, u.x_ClaimLabels,
        sum(quotient(h.mounted_part * u.x_VolumeMs, h.pod_ms)) as part
    from volume_usage as u
    inner join hour_part as h
        on h.x_VolumeId = u.x_VolumeId and h.x_HourStart = u.x_HourStart
    where u.x_PodUid is not null and h.pod_ms > 0
    group by
        h.x_VolumeId, h.x_HourStart, u.x_Cluster, u.x_Namespace, u.x_Workload, u.x_Labels,
        u.x_ClaimLabels
    union all
    select
        h.x_VolumeId, h.x_HourStart, null as x_Cluster, 'unmounted' as x_AllocationMethod,
        coalesce(min(u.x_Namespace || '/' || u.x_Claim), '(none)') as x_Endpoint,
        '{}' as x_Labels, min(u.x_ClaimLabels) as x_ClaimLabels,
        max(1000000000000000 - h.mounted_part) as part
    from volume_usage as u
    inner join hour_part as h
        on h.x_VolumeId = u.x_VolumeId and h.x_HourStart = u.x_HourStart
    where u.x_PodUid is null
    group by h.x_VolumeId, h.x_HourStart
),
covered_hour as (
    select
        c.x_PoolId, c.x_VolumeId, c.x_TagSetId, h.x_HourStart, c.units,
        count(*) over (
            partition by c.x_PoolId, c.x_VolumeId, c.x_TagSetId, c.x_HourStart, c.x_ChargeEnd
        ) as hours
    from charge_units as c
    inner join hour_part as h
        on h.x_VolumeId = c.x_VolumeId
        and h.x_HourStart >= c.x_HourStart
        and h.x_HourStart < coalesce(c.x_ChargeEnd, c.x_HourStart + interval 1 hour)
),
uncovered as (
    select c.x_PoolId, c.x_TagSetId, c.units
    from charge_units as c
    anti join covered_hour as h
        on h.x_PoolId = c.x_PoolId
        and h.x_VolumeId = c.x_VolumeId
        and h.x_HourStart >= c.x_HourStart
        and h.x_HourStart < coalesce(c.x_ChargeEnd, c.x_HourStart + interval 1 hour)
),
consumer as (
    select
        c.x_PoolId, c.x_TagSetId, cast(c.x_HourStart as date) as x_Day, p.x_Cluster,
        p.x_AllocationMethod, p.x_Endpoint, p.x_Labels, p.x_ClaimLabels,
        sum(quotient(c.units // c.hours * p.part, 1000000000000)) as weight
    from covered_hour as c
    inner join part as p on p.x_VolumeId = c.x_VolumeId and p.x_HourStart = c.x_HourStart
    group by
        c.x_PoolId, c.x_TagSetId, cast(c.x_HourStart as date), p.x_Cluster,
        p.x_AllocationMethod, p.x_Endpoint, p.x_Labels, p.x_ClaimLabels
    union all
    select
        x_PoolId, x_TagSetId, null as x_Day, null as x_Cluster,
        'unmeasured' as x_AllocationMethod,
        '(none)' as x_Endpoint, '{}' as x_Labels, '{}' as x_ClaimLabels,
        sum(units) * 1000 as weight
    from uncovered
    group by x_PoolId, x_TagSetId
),
-- ------------------------------------------------------------- from endpoints to callers
node_pool as (
    select distinct x_PoolId, x_ChargeDay, substr(x_Pool, length('node/') + 1) as x_Cluster
    from charge_owner
    where starts_with(x_Pool, 'node/') and (select count(*) from pool) > 0
),
endpoint as (
    select distinct s.x_Endpoint, s.x_LoggedEndpoint
    from served_endpoint as s
    semi join consumer as c on c.x_Endpoint = s.x_LoggedEndpoint
),
caller as (
    select
        n.x_ChargeDay, n.x_Cluster, e.x_LoggedEndpoint, s.x_Endpoint, s.x_Feature, s.x_Tenant,
        s.x_Environment, s.x_Model, s.x_AllocationMethod,
        cast(sum(s.x_Weight) as hugeint) as weight
    from usage_share as s
    inner join node_pool as n on n.x_PoolId = s.x_PoolId
    inner join endpoint as e on e.x_Endpoint = s.x_Endpoint
    where s.x_AllocationMethod in ('inference', 'endpoint_idle')
    group by
        n.x_ChargeDay, n.x_Cluster, e.x_LoggedEndpoint, s.x_Endpoint, s.x_Feature, s.x_Tenant,
        s.x_Environment, s.x_Model, s.x_AllocationMethod
),
-- What a caller bears of the endpoint's day, in 10^-15 of it.
caller_part as (
    select
        c.x_ChargeDay, c.x_Cluster, c.x_LoggedEndpoint, c.x_Endpoint, c.x_Feature, c.x_Tenant,
        c.x_Environment, c.x_Model, c.x_AllocationMethod,
        1000000000000000 * (c.weight // t.divisor) // t.total as part
    from caller as c
    inner join (
        select
            x_ChargeDay, x_Cluster, x_LoggedEndpoint,
            sum(weight) // 1000000000000000 + 1 as divisor,
            greatest(sum(weight) // (sum(weight) // 1000000000000000 + 1), 1) as total
        from caller
        group by x_ChargeDay, x_Cluster, x_LoggedEndpoint
    ) as t
        on t.x_ChargeDay = c.x_ChargeDay
        and t.x_Cluster = c.x_Cluster
        and t.x_LoggedEndpoint = c.x_LoggedEndpoint
),
-- ---------------------------------------------------------------------- who they all are
labelled as (
    select distinct Tags, x_Feature, x_Tenant, x_Environment from tag_owner
),
named as (
    select
        c.x_PoolId, c.x_AllocationMethod, c.x_Endpoint, c.weight,
        case when c.x_AllocationMethod = 'unmounted' then '(idle)' else '(unallocated)' end
            as nobody,
        coalesce(p.x_Feature, k.x_Feature, d.x_Feature) as feature,
        case
            when c.x_AllocationMethod <> 'unmounted'
                then coalesce(p.x_Tenant, k.x_Tenant, d.x_Tenant)
        end as tenant,
        coalesce(p.x_Environment, k.x_Environment, d.x_Environment) as environment
    from consumer as c
    left join labelled as p on p.Tags = c.x_Labels
    left join labelled as k on k.Tags = c.x_ClaimLabels
    left join tag_owner as d on d.x_TagSetId = c.x_TagSetId
    anti join caller_part as e
        on c.x_AllocationMethod = 'volume'
        and e.x_ChargeDay = c.x_Day
        and e.x_Cluster = c.x_Cluster
        and e.x_LoggedEndpoint = c.x_Endpoint
),
owned as (
    select
        x_PoolId,
        coalesce(feature, nobody) as x_Feature,
        coalesce(tenant, nobody) as x_Tenant,
        coalesce(environment, nobody) as x_Environment,
        '(none)' as x_Model, x_Endpoint, x_AllocationMethod, weight
    from named
    union all
    select
        c.x_PoolId, e.x_Feature, e.x_Tenant, e.x_Environment, e.x_Model, e.x_Endpoint,
        e.x_AllocationMethod, quotient(c.weight * e.part, 1000000000000000) as weight
    from consumer as c
    inner join caller_part as e
        on e.x_ChargeDay = c.x_Day
        and e.x_Cluster = c.x_Cluster
        and e.x_LoggedEndpoint = c.x_Endpoint
    where c.x_AllocationMethod = 'volume'
),
weighed as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        sum(weight) as weight
    from owned
    group by
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
    having sum(weight) > 0
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
    'mounted' as x_WeightUnit,
    cast(w.weight as decimal(38, 0)) as x_Weight
from weighed as w
inner join pool as p on p.x_PoolId = w.x_PoolId
order by
    p.x_ChargeDay, w.x_PoolId, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model,
    w.x_Endpoint, w.x_AllocationMethod
