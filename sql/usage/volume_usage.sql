-- Which pods had each volume mounted, hour by hour, and how long no pod had.
-- Why so: a disk is on the bill by its own id, and whose it is says the claim that it is bound to
-- and the pods that mount that claim. x_VolumeId is the id as the bill has it: AWS the volume id,
-- Azure the whole resource id in lower case (its ids are case-insensitive), Google the disk's name;
-- of other handles, the part after the last slash.
-- A pod has a volume mounted while it runs and has the claim among its volumes; one that waits for
-- a node or has ended is still listed, and mounts nothing. Of the hour, what is not covered by the
-- time in which any pod had the claim, nor by what all pods together ran with it, nobody had. Pods
-- that had the volume at the same time are told apart by that sum being more than the hour.
-- A claim is bound to the volume that it says; where it is not there to say so, to the one that is
-- reserved for it, which outlives the claim. An hour in which the volume was not listed has no row.
-- One row per cluster, hour, volume and pod UID, and one without a pod for the time no pod had it.
with volume_hour as (
    select
        min(x_Day) as x_Day,
        x_Cluster,
        x_HourStart,
        x_Workload as x_Volume,
        max({
            'presence': x_Value,
            'handle': nullif(json_extract_string(x_Labels, '$.handle'), '')
        }) filter (where x_Series = 'volume_running').handle as handle,
        max({
            'presence': x_Value,
            'namespace': json_extract_string(x_Labels, '$.namespace'),
            'claim': json_extract_string(x_Labels, '$.claim')
        }) filter (where x_Series = 'volume_claim') as reserved,
        max(x_Value) filter (where x_Series = 'volume_capacity') as x_CapacityBytes,
        cast(least(
            coalesce(sum(x_Value) filter (where x_Series = 'volume_running'), 0), 3600000
        ) as bigint) as listed_ms
    from metric_hour
    where x_Series in ('volume_running', 'volume_capacity', 'volume_claim')
        and x_Workload is not null
    group by x_Cluster, x_HourStart, x_Workload
),

claim_hour as (
    select
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Workload as x_Claim,
        max({
            'presence': x_Value,
            'volume': nullif(json_extract_string(x_Labels, '$.volume'), '')
        }) filter (where x_Series = 'claim_bound').volume as x_Volume,
        max({'presence': x_Value, 'labels': x_Labels}) filter (
            where x_Series = 'claim_labels'
        ).labels as x_ClaimLabels,
        max(x_Value) filter (where x_Series = 'claim_mounted') as mounted_ms
    from metric_hour
    where x_Series in ('claim_bound', 'claim_labels', 'claim_mounted')
        and x_Namespace is not null
    group by x_Cluster, x_HourStart, x_Namespace, x_Workload
),

-- Hours in which the labels of a claim were missed have those of the day.
claim_of_day as (
    select
        x_Cluster,
        x_Namespace,
        x_Claim,
        arg_max(x_ClaimLabels, x_HourStart) as x_ClaimLabels
    from claim_hour
    group by x_Cluster, x_Namespace, x_Claim
),

bound_claim as (
    select
        x_Cluster,
        x_HourStart,
        x_Volume,
        min({'namespace': x_Namespace, 'claim': x_Claim}) as bound
    from claim_hour
    where x_Volume is not null
    group by x_Cluster, x_HourStart, x_Volume
),

claimed_volume as (
    select
        volume_hour.x_Day,
        volume_hour.x_Cluster,
        volume_hour.x_HourStart,
        volume_hour.x_Volume,
        volume_hour.handle,
        volume_hour.x_CapacityBytes,
        volume_hour.listed_ms,
        coalesce(bound_claim.bound.namespace, volume_hour.reserved.namespace) as x_Namespace,
        coalesce(bound_claim.bound.claim, volume_hour.reserved.claim) as x_Claim,
        bound_claim.bound is not null as is_bound
    from volume_hour
    left join bound_claim
        on bound_claim.x_Cluster = volume_hour.x_Cluster
        and bound_claim.x_HourStart = volume_hour.x_HourStart
        and bound_claim.x_Volume = volume_hour.x_Volume
    where volume_hour.listed_ms > 0
),

-- A claim of the same name that is bound to another volume is another claim.
volume as (
    select
        claimed_volume.x_Day,
        claimed_volume.x_Cluster,
        claimed_volume.x_HourStart,
        claimed_volume.x_Volume,
        claimed_volume.handle,
        claimed_volume.x_CapacityBytes,
        claimed_volume.listed_ms,
        claimed_volume.x_Namespace,
        claimed_volume.x_Claim,
        coalesce(claim_hour.x_ClaimLabels, claim_of_day.x_ClaimLabels, '{}') as x_ClaimLabels,
        claimed_volume.is_bound or claim_hour.x_Volume is null as is_mountable,
        claim_hour.mounted_ms
    from claimed_volume
    left join claim_hour
        on claim_hour.x_Cluster = claimed_volume.x_Cluster
        and claim_hour.x_HourStart = claimed_volume.x_HourStart
        and claim_hour.x_Namespace = claimed_volume.x_Namespace
        and claim_hour.x_Claim = claimed_volume.x_Claim
    left join claim_of_day
        on claim_of_day.x_Cluster = claimed_volume.x_Cluster
        and claim_of_day.x_Namespace = claimed_volume.x_Namespace
        and claim_of_day.x_Claim = claimed_volume.x_Claim
),

mount as (
    select
        pod.x_Cluster,
        pod.x_HourStart,
        pod.x_Namespace,
        asked.x_Workload as x_Claim,
        pod.x_Pod,
        pod.x_PodUid,
        pod.x_Workload,
        pod.x_WorkloadKind,
        pod.x_Labels,
        max(least(asked.x_Value, pod.x_RunningMs)) as mounted_ms
    from metric_hour as asked
    inner join pod_usage as pod
        on pod.x_Cluster = asked.x_Cluster
        and pod.x_HourStart = asked.x_HourStart
        and pod.x_Namespace = asked.x_Namespace
        and pod.x_Pod = asked.x_Pod
        and (asked.x_PodUid is null or asked.x_PodUid = pod.x_PodUid)
    where asked.x_Series = 'claim_pod'
    group by
        pod.x_Cluster, pod.x_HourStart, pod.x_Namespace, asked.x_Workload, pod.x_Pod,
        pod.x_PodUid, pod.x_Workload, pod.x_WorkloadKind, pod.x_Labels
),

mounted as (
    select
        volume.x_Cluster,
        volume.x_HourStart,
        volume.x_Volume,
        mount.x_Pod,
        mount.x_PodUid,
        mount.x_Workload,
        mount.x_WorkloadKind,
        mount.x_Labels,
        least(mount.mounted_ms, volume.listed_ms) as x_VolumeMs
    from volume
    inner join mount
        on mount.x_Cluster = volume.x_Cluster
        and mount.x_HourStart = volume.x_HourStart
        and mount.x_Namespace = volume.x_Namespace
        and mount.x_Claim = volume.x_Claim
    where volume.is_mountable
        and mount.mounted_ms > 0
),

part as (
    select
        x_Cluster,
        x_HourStart,
        x_Volume,
        x_Pod,
        x_PodUid,
        x_Workload,
        x_WorkloadKind,
        x_Labels,
        x_VolumeMs
    from mounted
    union all
    select
        volume.x_Cluster,
        volume.x_HourStart,
        volume.x_Volume,
        null as x_Pod,
        null as x_PodUid,
        null as x_Workload,
        null as x_WorkloadKind,
        '{}' as x_Labels,
        greatest(volume.listed_ms - least(
            coalesce(volume.mounted_ms, 3600000), coalesce(sum(mounted.x_VolumeMs), 0)
        ), 0) as x_VolumeMs
    from volume
    left join mounted
        on mounted.x_Cluster = volume.x_Cluster
        and mounted.x_HourStart = volume.x_HourStart
        and mounted.x_Volume = volume.x_Volume
    group by
        volume.x_Cluster, volume.x_HourStart, volume.x_Volume, volume.listed_ms,
        volume.mounted_ms
)

select
    volume.x_Day,
    volume.x_Cluster,
    volume.x_HourStart,
    volume.x_Volume,
    case
        when volume.handle ilike '/subscriptions/%' then lower(volume.handle)
        else nullif(regexp_extract(volume.handle, '([^/]+)/*$', 1), '')
    end as x_VolumeId,
    cast(volume.x_CapacityBytes as bigint) as x_CapacityBytes,
    volume.x_Namespace,
    volume.x_Claim,
    volume.x_ClaimLabels,
    part.x_Pod,
    part.x_PodUid,
    part.x_Workload,
    part.x_WorkloadKind,
    part.x_Labels,
    volume.listed_ms as x_RunningMs,
    cast(part.x_VolumeMs as bigint) as x_VolumeMs
from part
inner join volume
    on volume.x_Cluster = part.x_Cluster
    and volume.x_HourStart = part.x_HourStart
    and volume.x_Volume = part.x_Volume
where part.x_VolumeMs > 0
order by x_Cluster, x_HourStart, x_Volume, x_PodUid
