-- The largest findings of each kind, at most $top of each.
--
-- One row per finding and currency.
with
ranked as (
    select
        x_FindingId,
        BillingCurrency,
        row_number() over (
            partition by x_FindingKind
            order by EffectiveCost desc nulls last, x_FindingId, BillingCurrency
        ) as x_Rank
    from finding
    where BillingPeriod = $period
)
select
    f.x_FindingId,
    f.x_FindingKind,
    f.x_Dimension,
    f.ProviderName,
    f.ServiceName,
    f.SubAccountId,
    f.ResourceId,
    f.x_Cluster,
    f.x_Namespace,
    f.x_Workload,
    f.x_TagKey,
    f.x_TagValue,
    f.x_LikelyValue,
    f.x_WitnessCount,
    f.x_Witnesses,
    f.BillingCurrency,
    f.EffectiveCost,
    f.x_ChargeRows,
    f.x_SourceFile,
    f.x_SourceRow,
    f.x_Reason
from ranked as r
inner join finding as f
    on f.x_FindingId = r.x_FindingId
    and f.BillingCurrency is not distinct from r.BillingCurrency
    and f.BillingPeriod = $period
where r.x_Rank <= $top
order by f.x_FindingKind, r.x_Rank;
