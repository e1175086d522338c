-- The largest findings of each kind, at most $top of each.
--
-- One row per finding.
with
ranked as (
    select
        x_FindingId,
        x_FindingKind,
        x_Dimension,
        ProviderName,
        ServiceName,
        SubAccountId,
        ResourceId,
        x_Cluster,
        x_Namespace,
        x_Workload,
        x_TagKey,
        x_TagValue,
        x_LikelyValue,
        x_WitnessCount,
        x_Witnesses,
        BillingCurrency,
        EffectiveCost,
        x_ChargeRows,
        x_SourceFile,
        x_SourceRow,
        x_Reason,
        row_number() over (
            partition by x_FindingKind
            order by EffectiveCost desc nulls last, x_FindingId, BillingCurrency
        ) as x_Rank
    from finding
    where BillingPeriod = $period
)
select
    x_FindingId,
    x_FindingKind,
    x_Dimension,
    ProviderName,
    ServiceName,
    SubAccountId,
    ResourceId,
    x_Cluster,
    x_Namespace,
    x_Workload,
    x_TagKey,
    x_TagValue,
    x_LikelyValue,
    x_WitnessCount,
    x_Witnesses,
    BillingCurrency,
    EffectiveCost,
    x_ChargeRows,
    x_SourceFile,
    x_SourceRow,
    x_Reason
from ranked
where x_Rank <= $top
order by x_FindingKind, x_Rank;
