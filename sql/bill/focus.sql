-- A bill that is FOCUS already, version 1.0 to 1.2.
--
-- Columns keep their names; what an older version does not have is null. A row that cannot be a
-- charge (money, time or category unreadable) gets an x_Reason and is quarantined by the caller.
-- `raw_billing` has the columns named below, typed as they are declared, with exact names; text
-- is null where empty. `raw_tag` has the tags of each distinct x_RawTags.
--
-- One row per delivered row, in the order of the file.
--
-- requires number: BilledCost EffectiveCost
-- requires time: BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd
-- requires text: BillingCurrency ChargeCategory ProviderName ServiceCategory ServiceName
-- optional number: ListCost ContractedCost ListUnitPrice ContractedUnitPrice
-- optional number: ConsumedQuantity PricingQuantity
-- optional text: BillingAccountId BillingAccountName SubAccountId SubAccountName
-- optional text: InvoiceId InvoiceIssuerName PublisherName
-- optional text: ChargeClass ChargeDescription ChargeFrequency
-- optional text: CommitmentDiscountId CommitmentDiscountType CommitmentDiscountStatus
-- optional text: ConsumedUnit PricingCategory PricingUnit
-- optional text: RegionId RegionName AvailabilityZone ResourceId ResourceName ResourceType
-- optional text: SkuId SkuPriceId x_Operation
-- optional tags: Tags
-- conserves: BilledCost = BilledCost
-- conserves: EffectiveCost = EffectiveCost
with
write_tags as (
    select
        x_RawTags,
        coalesce(
            '{' || string_agg(
                cast(to_json(x_TagKey) as varchar) || ':'
                || coalesce(cast(to_json(x_TagValue) as varchar), 'null'),
                ',' order by x_TagKey
            ) filter (where x_TagKey is not null) || '}',
            '{}'
        ) as Tags,
        coalesce(
            min(x_TagReason),
            case when count(x_TagKey) > count(distinct x_TagKey) then 'Tags has a key twice' end
        ) as x_TagReason
    from raw_tag
    group by x_RawTags
),
identify_tags as (
    select
        x_RawTags,
        Tags,
        x_TagReason,
        cast(md5_number_lower(Tags) >> 1 as bigint) as x_TagSetId
    from write_tags
)
select
    raw_billing.BilledCost as BilledCost,
    raw_billing.EffectiveCost as EffectiveCost,
    raw_billing.ListCost as ListCost,
    raw_billing.ContractedCost as ContractedCost,
    raw_billing.ListUnitPrice as ListUnitPrice,
    raw_billing.ContractedUnitPrice as ContractedUnitPrice,
    raw_billing.BillingCurrency as BillingCurrency,
    raw_billing.BillingAccountId as BillingAccountId,
    raw_billing.BillingAccountName as BillingAccountName,
    raw_billing.SubAccountId as SubAccountId,
    raw_billing.SubAccountName as SubAccountName,
    raw_billing.BillingPeriodStart as BillingPeriodStart,
    raw_billing.BillingPeriodEnd as BillingPeriodEnd,
    raw_billing.ChargePeriodStart as ChargePeriodStart,
    raw_billing.ChargePeriodEnd as ChargePeriodEnd,
    coalesce(raw_billing.InvoiceId, '(open)') as InvoiceId,
    raw_billing.InvoiceIssuerName as InvoiceIssuerName,
    raw_billing.ProviderName as ProviderName,
    raw_billing.PublisherName as PublisherName,
    raw_billing.ChargeCategory as ChargeCategory,
    raw_billing.ChargeClass as ChargeClass,
    raw_billing.ChargeDescription as ChargeDescription,
    raw_billing.ChargeFrequency as ChargeFrequency,
    raw_billing.CommitmentDiscountId as CommitmentDiscountId,
    raw_billing.CommitmentDiscountType as CommitmentDiscountType,
    raw_billing.CommitmentDiscountStatus as CommitmentDiscountStatus,
    raw_billing.ConsumedQuantity as ConsumedQuantity,
    raw_billing.ConsumedUnit as ConsumedUnit,
    raw_billing.PricingCategory as PricingCategory,
    raw_billing.PricingQuantity as PricingQuantity,
    raw_billing.PricingUnit as PricingUnit,
    raw_billing.RegionId as RegionId,
    raw_billing.RegionName as RegionName,
    raw_billing.AvailabilityZone as AvailabilityZone,
    raw_billing.ResourceId as ResourceId,
    raw_billing.ResourceName as ResourceName,
    raw_billing.ResourceType as ResourceType,
    raw_billing.ServiceCategory as ServiceCategory,
    raw_billing.ServiceName as ServiceName,
    raw_billing.SkuId as SkuId,
    raw_billing.SkuPriceId as SkuPriceId,
    identify_tags.Tags as Tags,
    identify_tags.x_TagSetId as x_TagSetId,
    cast(null as varchar) as x_LineItemType,
    raw_billing.x_Operation as x_Operation,
    raw_billing.x_SourceRow as x_SourceRow,
    nullif(concat_ws('; ',
        raw_billing.x_Unreadable,
        identify_tags.x_TagReason,
        case when length(raw_billing.BillingCurrency) <> 3
            then 'BillingCurrency is not an ISO 4217 code: ''' || raw_billing.BillingCurrency || ''''
        end,
        case when raw_billing.ChargeCategory
                not in ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')
            then 'ChargeCategory is not one of FOCUS: ''' || raw_billing.ChargeCategory || ''''
        end,
        case when raw_billing.ChargePeriodEnd < raw_billing.ChargePeriodStart
            then 'ChargePeriodEnd is before ChargePeriodStart'
        end
    ), '') as x_Reason
from raw_billing
left join identify_tags on identify_tags.x_RawTags = raw_billing.x_RawTags
