-- All findings of the period, for those who want one list.
--
-- Findings of different dimensions may be about the same charges: their costs do not add up.
-- Rows keep the order of the three tables, which is fixed, so nothing is sorted again.
--
-- One row per finding and currency.
with
found as (
    select * from untagged_spend
    union all
    select * from misattributed_spend
    union all
    select * from drift
)
select
    BillingPeriod,
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
from found
