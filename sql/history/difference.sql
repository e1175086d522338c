-- What changed between two generations of a bill, row by row. A removed and an added row are told
-- as one change where they are the only two for their resource, hour and SKU; else each stands
-- for itself. The differences sum to the difference of the totals, exactly.
--
-- One row per removed, added or changed row of the bill.
with
only_pair as (
    select x_PairHash
    from changed_row
    group by x_PairHash
    having sum(case when x_Sign < 0 then 1 else 0 end) = 1
        and sum(case when x_Sign > 0 then 1 else 0 end) = 1
),
was as (
    select
        x_PairHash, BilledCost, EffectiveCost, BillingCurrency, ProviderName, ServiceName,
        SubAccountId, ResourceId, ChargeCategory, ChargePeriodStart, InvoiceId, Tags,
        PricingQuantity, x_Source, x_SourceFile, x_SourceRow
    from changed_row
    where x_Sign < 0
),
is_now as (
    select
        x_PairHash, BilledCost, EffectiveCost, BillingCurrency, ProviderName, ServiceName,
        SubAccountId, ResourceId, ChargeCategory, ChargePeriodStart, InvoiceId, Tags,
        PricingQuantity, x_Source, x_SourceFile, x_SourceRow
    from changed_row
    where x_Sign > 0
),
told as (
    select
        'changed' as x_Change,
        n.BillingCurrency, n.x_Source, n.ProviderName, n.ServiceName, n.SubAccountId,
        n.ResourceId, n.ChargeCategory, n.ChargePeriodStart,
        coalesce(nullif(concat_ws(', ',
            case when w.BilledCost <> n.BilledCost then 'BilledCost' end,
            case when w.EffectiveCost <> n.EffectiveCost then 'EffectiveCost' end,
            case when w.PricingQuantity is distinct from n.PricingQuantity
                then 'PricingQuantity' end,
            case when w.InvoiceId <> n.InvoiceId then 'InvoiceId' end,
            case when w.Tags is distinct from n.Tags then 'Tags' end
        ), ''), 'other columns') as x_What,
        w.BilledCost as x_BilledFrom, n.BilledCost as x_BilledTo,
        w.EffectiveCost as x_EffectiveFrom, n.EffectiveCost as x_EffectiveTo,
        w.x_SourceFile as x_FileFrom, w.x_SourceRow as x_RowFrom,
        n.x_SourceFile as x_FileTo, n.x_SourceRow as x_RowTo
    from only_pair as p
    inner join was as w on w.x_PairHash = p.x_PairHash
    inner join is_now as n on n.x_PairHash = p.x_PairHash
    union all
    select
        'removed' as x_Change,
        w.BillingCurrency, w.x_Source, w.ProviderName, w.ServiceName, w.SubAccountId,
        w.ResourceId, w.ChargeCategory, w.ChargePeriodStart, 'the row' as x_What,
        w.BilledCost as x_BilledFrom, null as x_BilledTo,
        w.EffectiveCost as x_EffectiveFrom, null as x_EffectiveTo,
        w.x_SourceFile as x_FileFrom, w.x_SourceRow as x_RowFrom,
        null as x_FileTo, null as x_RowTo
    from was as w
    anti join only_pair as p on p.x_PairHash = w.x_PairHash
    union all
    select
        'added' as x_Change,
        n.BillingCurrency, n.x_Source, n.ProviderName, n.ServiceName, n.SubAccountId,
        n.ResourceId, n.ChargeCategory, n.ChargePeriodStart, 'the row' as x_What,
        null as x_BilledFrom, n.BilledCost as x_BilledTo,
        null as x_EffectiveFrom, n.EffectiveCost as x_EffectiveTo,
        null as x_FileFrom, null as x_RowFrom,
        n.x_SourceFile as x_FileTo, n.x_SourceRow as x_RowTo
    from is_now as n
    anti join only_pair as p on p.x_PairHash = n.x_PairHash
)
select
    x_Change,
    BillingCurrency,
    x_Source,
    ProviderName,
    ServiceName,
    SubAccountId,
    ResourceId,
    ChargeCategory,
    ChargePeriodStart,
    x_What,
    x_BilledFrom,
    x_BilledTo,
    coalesce(x_BilledTo, 0) - coalesce(x_BilledFrom, 0) as x_BilledDifference,
    x_EffectiveFrom,
    x_EffectiveTo,
    coalesce(x_EffectiveTo, 0) - coalesce(x_EffectiveFrom, 0) as x_EffectiveDifference,
    x_FileFrom,
    x_RowFrom,
    x_FileTo,
    x_RowTo
from told
order by
    abs(coalesce(x_BilledTo, 0) - coalesce(x_BilledFrom, 0)) desc,
    abs(coalesce(x_EffectiveTo, 0) - coalesce(x_EffectiveFrom, 0)) desc,
    x_Change, x_FileFrom, x_RowFrom, x_FileTo, x_RowTo
limit $top
