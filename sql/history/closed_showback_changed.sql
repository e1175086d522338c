-- A closed period whose cost is borne by others than when it was closed, as a finding: those who have
-- charged their tenants by the old figures must hear of it, and no bill tells them. A rule, an alias,
-- a late log or a newer version of finops may have moved it.
--
-- One row per period and currency.
select
    BillingPeriod,
    md5(concat_ws(chr(31), 'closed_showback_changed', BillingPeriod, BillingCurrency))
        as x_FindingId,
    'closed_showback_changed' as x_FindingKind,
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
    EffectiveCost,
    cast(0 as bigint) as x_ChargeRows,
    cast(null as varchar) as x_SourceFile,
    cast(null as bigint) as x_SourceRow,
    'the showback of ' || BillingPeriod || ' in ' || BillingCurrency
        || ' is not what it was when its bill was closed: '
        || case
            when x_Moved is null then 'what it was is not kept'
            else x_Moved
                || case when x_Owners > 4 then ', and ' || x_Owners - 4 || ' more' else '' end
                || '; `finops diff ' || BillingPeriod || ' --from ' || x_ClosedGeneration
                || ' --to ' || x_Generation || '` says all'
        end as x_Reason
from changed_showback
order by x_FindingId
