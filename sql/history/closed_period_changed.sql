-- A closed bill that is not what it was when it was closed, as a finding: those who have paid, or
-- charged their tenants, by the old figure must hear of it.
--
-- One row per corrected period, source and currency.
with
corrected as (
    select
        BillingPeriod, x_Source, BillingCurrency, x_BilledCorrection, x_EffectiveCorrection,
        x_ChargeRows, x_Generation, x_ClosedGeneration,
        rtrim(rtrim(cast(x_BilledClosed as varchar), '0'), '.') as closed_with,
        rtrim(rtrim(cast(BilledCost as varchar), '0'), '.') as now_with
    from period_state
    where x_State = 'corrected'
)
select
    BillingPeriod,
    md5(concat_ws(chr(31), 'closed_period_changed', BillingPeriod, x_Source, BillingCurrency))
        as x_FindingId,
    'closed_period_changed' as x_FindingKind,
    'period' as x_Dimension,
    cast(null as varchar) as ProviderName,
    cast(null as varchar) as ServiceName,
    cast(null as varchar) as SubAccountId,
    cast(null as varchar) as ResourceId,
    cast(null as varchar) as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    cast(null as varchar) as x_TagKey,
    cast(null as varchar) as x_TagValue,
    cast(null as varchar) as x_LikelyValue,
    cast(0 as bigint) as x_WitnessCount,
    '[]' as x_Witnesses,
    BillingCurrency,
    x_EffectiveCorrection as EffectiveCost,
    x_ChargeRows,
    cast(null as varchar) as x_SourceFile,
    cast(null as bigint) as x_SourceRow,
    'the bill of ' || BillingPeriod || ' from ' || x_Source || ' was closed with '
        || closed_with || ' ' || BillingCurrency || ' billed and now has ' || now_with
        || case when x_BilledCorrection = 0 and x_EffectiveCorrection = 0
            then '; rows or tags have changed' else '' end
        || '; `finops diff ' || BillingPeriod || ' --from ' || x_ClosedGeneration || ' --to '
        || x_Generation || '` says which' as x_Reason
from corrected
order by x_FindingId
