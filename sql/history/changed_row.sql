-- The rows behind `changed_hash`, as delivered. Of rows that are alike, the first by file and row
-- are taken, as many as there are more or fewer of them.
--
-- x_PairHash says what a charge is for, whatever it costs: the same resource, hour and SKU.
--
-- One row per removed (x_Sign -1) or added (x_Sign 1) row.
with
delivered as (
    select
        -1 as x_Sign, x_RowHash, BilledCost, EffectiveCost, BillingCurrency, ProviderName,
        ServiceName, SubAccountId, ResourceId, ChargeCategory, ChargePeriodStart,
        ChargePeriodEnd, SkuId, x_LineItemType, x_Operation, InvoiceId, Tags, PricingQuantity,
        x_Source, x_SourceFile, x_SourceRow
    from charge_from
    union all
    select
        1 as x_Sign, x_RowHash, BilledCost, EffectiveCost, BillingCurrency, ProviderName,
        ServiceName, SubAccountId, ResourceId, ChargeCategory, ChargePeriodStart,
        ChargePeriodEnd, SkuId, x_LineItemType, x_Operation, InvoiceId, Tags, PricingQuantity,
        x_Source, x_SourceFile, x_SourceRow
    from charge_to
    union all
    select
        -1 as x_Sign, x_RowHash, coalesce(BilledCost, 0) as BilledCost,
        coalesce(EffectiveCost, 0) as EffectiveCost, BillingCurrency, ProviderName,
        '(quarantined)' as ServiceName, null as SubAccountId, null as ResourceId,
        'Adjustment' as ChargeCategory, null as ChargePeriodStart, null as ChargePeriodEnd,
        x_RawRow as SkuId, null as x_LineItemType, x_Reason as x_Operation, InvoiceId,
        null as Tags, null as PricingQuantity, x_Source, x_SourceFile, x_SourceRow
    from quarantine_from
    union all
    select
        1 as x_Sign, x_RowHash, coalesce(BilledCost, 0) as BilledCost,
        coalesce(EffectiveCost, 0) as EffectiveCost, BillingCurrency, ProviderName,
        '(quarantined)' as ServiceName, null as SubAccountId, null as ResourceId,
        'Adjustment' as ChargeCategory, null as ChargePeriodStart, null as ChargePeriodEnd,
        x_RawRow as SkuId, null as x_LineItemType, x_Reason as x_Operation, InvoiceId,
        null as Tags, null as PricingQuantity, x_Source, x_SourceFile, x_SourceRow
    from quarantine_to
),
differing as (
    select
        d.x_Sign, d.BilledCost, d.EffectiveCost, d.BillingCurrency, d.ProviderName,
        d.ServiceName, d.SubAccountId, d.ResourceId, d.ChargeCategory, d.ChargePeriodStart,
        d.InvoiceId, d.Tags, d.PricingQuantity, d.x_Source, d.x_SourceFile, d.x_SourceRow,
        hash(
            d.BillingCurrency, d.x_Source, d.ProviderName, d.ServiceName, d.SubAccountId,
            d.ResourceId, d.ChargeCategory, d.ChargePeriodStart, d.ChargePeriodEnd, d.SkuId,
            d.x_LineItemType, d.x_Operation
        ) as x_PairHash,
        row_number() over (
            partition by d.x_Sign, d.x_RowHash, d.BilledCost, d.EffectiveCost
            order by d.x_SourceFile, d.x_SourceRow
        ) as copy_no,
        abs(h.x_More) as copies
    from delivered as d
    inner join changed_hash as h
        on h.x_RowHash = d.x_RowHash
        and h.BilledCost = d.BilledCost
        and h.EffectiveCost = d.EffectiveCost
        and sign(h.x_More) = d.x_Sign
)
select
    x_Sign, x_PairHash, BilledCost, EffectiveCost, BillingCurrency, ProviderName, ServiceName,
    SubAccountId, ResourceId, ChargeCategory, ChargePeriodStart, InvoiceId, Tags,
    PricingQuantity, x_Source, x_SourceFile, x_SourceRow
from differing
where copy_no <= copies
