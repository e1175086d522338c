-- A bill that is FOCUS already, version 1.0 to 1.2.
--
-- Columns keep their names; what an older version does not have is null. A row that cannot be a
-- charge (money, time or category unreadable) gets an x_Reason and is quarantined by the caller.
-- `raw_billing` has the columns named below, typed as they are declared, with exact names; text
-- is null where empty, Tags is JSON with sorted keys.
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
select
    BilledCost,
    EffectiveCost,
    ListCost,
    ContractedCost,
    ListUnitPrice,
    ContractedUnitPrice,
    BillingCurrency,
    BillingAccountId,
    BillingAccountName,
    SubAccountId,
    SubAccountName,
    BillingPeriodStart,
    BillingPeriodEnd,
    ChargePeriodStart,
    ChargePeriodEnd,
    coalesce(InvoiceId, '(open)') as InvoiceId,
    InvoiceIssuerName,
    ProviderName,
    PublisherName,
    ChargeCategory,
    ChargeClass,
    ChargeDescription,
    ChargeFrequency,
    CommitmentDiscountId,
    CommitmentDiscountType,
    CommitmentDiscountStatus,
    ConsumedQuantity,
    ConsumedUnit,
    PricingCategory,
    PricingQuantity,
    PricingUnit,
    RegionId,
    RegionName,
    AvailabilityZone,
    ResourceId,
    ResourceName,
    ResourceType,
    ServiceCategory,
    ServiceName,
    SkuId,
    SkuPriceId,
    Tags,
    x_TagSetId,
    cast(null as varchar) as x_LineItemType,
    x_Operation,
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when length(BillingCurrency) <> 3
            then 'BillingCurrency is not an ISO 4217 code: ''' || BillingCurrency || ''''
        end,
        case when ChargeCategory
                not in ('Usage', 'Purchase', 'Tax', 'Credit', 'Adjustment')
            then 'ChargeCategory is not one of FOCUS: ''' || ChargeCategory || ''''
        end,
        case when ChargePeriodEnd < ChargePeriodStart
            then 'ChargePeriodEnd is before ChargePeriodStart'
        end
    ), '') as x_Reason
from raw_billing
