-- A charge that its provider split is delivered as its parts; the whole beside them would count
-- twice. FOCUS 1.3, DataGeneratorCalculatedSplitCostAllocationHandling: the sum of the allocated
-- charges is the origin charge. An offender is a charge with a cost of its own that its parts,
-- whose ratios sum to 1, cost again: ask the provider for one or the other.
with
part as (
    select
        x_Source, ProviderName, InvoiceId, BillingCurrency, SubAccountId, ResourceId,
        SkuPriceId, ChargeCategory, ChargePeriodStart, ChargePeriodEnd,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost,
        sum(case
            when json_valid(AllocatedMethodDetails) then list_sum(try_cast(
                json_extract_string(AllocatedMethodDetails, '$.Elements[*].AllocatedRatio')
                as decimal(38, 12)[]
            ))
        end) as ratio
    from cost_and_usage
    where AllocatedMethodId is not null
    group by
        x_Source, ProviderName, InvoiceId, BillingCurrency, SubAccountId, ResourceId,
        SkuPriceId, ChargeCategory, ChargePeriodStart, ChargePeriodEnd
)
select
    whole.x_SourceFile, whole.x_SourceRow, whole.ResourceId,
    whole.BilledCost, part.BilledCost as billed_again,
    whole.EffectiveCost, part.EffectiveCost as effective_again
from cost_and_usage as whole
inner join part
    on part.x_Source = whole.x_Source
    and part.ProviderName = whole.ProviderName
    and part.InvoiceId = whole.InvoiceId
    and part.BillingCurrency = whole.BillingCurrency
    and part.ChargeCategory = whole.ChargeCategory
    and part.ChargePeriodStart = whole.ChargePeriodStart
    and part.ChargePeriodEnd = whole.ChargePeriodEnd
    and part.SubAccountId is not distinct from whole.SubAccountId
    and part.ResourceId is not distinct from whole.ResourceId
    and part.SkuPriceId is not distinct from whole.SkuPriceId
where whole.AllocatedMethodId is null
    and coalesce(part.ratio, 1) = 1
    and part.BilledCost = whole.BilledCost
    and part.EffectiveCost = whole.EffectiveCost
    and (whole.BilledCost <> 0 or whole.EffectiveCost <> 0)
