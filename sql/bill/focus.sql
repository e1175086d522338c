-- A bill that is FOCUS already: version 1.0, 1.1, 1.2, 1.3 or 1.4, of anyone.
--
-- Columns keep their names; what an older version does not have is null. The provider is
-- ServiceProviderName from 1.3 on, and ProviderName is gone with 1.4, PublisherName too: who
-- provides is then who made it. Spellings that exports are known for are mended (see below); a row
-- that cannot be a charge (money, time or category unreadable) gets an x_Reason and is
-- quarantined by the caller.
--
-- From 1.3 on a provider may split a charge itself. By the specification the parts are the charge:
-- their cost sums to what it was, and what is left of it as a row of its own has the rest, or
-- nothing. So every row counts as it is; a delivery with the whole charge beside its parts would
-- count twice and is stopped by cost_and_usage__focus_split_counted_once. A part carries the tags
-- of what it was split to, AllocatedTags, beside those of the charge.
--
-- `raw_billing` has the columns named below, typed as they are declared, in any case; text
-- is null where empty, Tags is JSON with sorted keys.
--
-- One row per delivered row, in the order of the file.
--
-- requires number: BilledCost EffectiveCost
-- requires time: BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd
-- requires text: BillingCurrency ChargeCategory ProviderName ServiceCategory ServiceName
-- optional number: ListCost ContractedCost ListUnitPrice ContractedUnitPrice
-- optional number: ConsumedQuantity PricingQuantity CommitmentDiscountQuantity
-- optional number: PricingCurrencyEffectiveCost PricingCurrencyListUnitPrice
-- optional number: PricingCurrencyContractedUnitPrice
-- optional text: BillingAccountId BillingAccountName BillingAccountType PricingCurrency
-- optional text: SubAccountId SubAccountName SubAccountType
-- optional text: InvoiceId InvoiceIssuerName PublisherName
-- optional text: ChargeClass ChargeDescription ChargeFrequency
-- optional text: CommitmentDiscountId CommitmentDiscountName CommitmentDiscountCategory
-- optional text: CommitmentDiscountType CommitmentDiscountStatus CommitmentDiscountUnit
-- optional text: CapacityReservationId CapacityReservationStatus
-- optional text: ConsumedUnit PricingCategory PricingUnit
-- optional text: RegionId RegionName AvailabilityZone ResourceId ResourceName ResourceType
-- optional text: ServiceSubcategory SkuId SkuPriceId SkuMeter SkuPriceDetails
-- optional text: AllocatedMethodId AllocatedMethodDetails
-- optional text: AllocatedResourceId AllocatedResourceName x_Operation
-- optional tags: Tags AllocatedTags
-- spelled: ProviderName = ServiceProviderName
-- names: in any case
-- conserves: BilledCost = BilledCost
-- conserves: EffectiveCost = EffectiveCost
with
-- Oracle writes `Usage-based`; others write categories in capitals or without.
mend_spelling as (
    select
        raw_billing.*,
        case lower(ChargeCategory)
            when 'usage' then 'Usage'
            when 'purchase' then 'Purchase'
            when 'tax' then 'Tax'
            when 'credit' then 'Credit'
            when 'adjustment' then 'Adjustment'
        end as charge_category,
        case lower(ChargeFrequency)
            when 'usage-based' then 'Usage-Based'
            when 'recurring' then 'Recurring'
            when 'one-time' then 'One-Time'
            else ChargeFrequency
        end as charge_frequency,
        -- A long list after `in` would become a join, which loses the order.
        case
            when case ServiceCategory
                when 'AI and Machine Learning' then true
                when 'Analytics' then true
                when 'Business Applications' then true
                when 'Compute' then true
                when 'Databases' then true
                when 'Developer Tools' then true
                when 'Identity' then true
                when 'Integration' then true
                when 'Internet of Things' then true
                when 'Management and Governance' then true
                when 'Media' then true
                when 'Migration' then true
                when 'Mobile' then true
                when 'Multicloud' then true
                when 'Networking' then true
                when 'Other' then true
                when 'Security' then true
                when 'Storage' then true
                when 'Web' then true
                else false
            end then ServiceCategory
            else case regexp_replace(lower(ServiceCategory), '(and|[^a-z])', '', 'g')
                when 'aimachinelearning' then 'AI and Machine Learning'
                when 'analytics' then 'Analytics'
                when 'businessapplications' then 'Business Applications'
                when 'compute' then 'Compute'
                when 'database' then 'Databases'
                when 'databases' then 'Databases'
                when 'developertools' then 'Developer Tools'
                when 'identity' then 'Identity'
                when 'integration' then 'Integration'
                when 'internetofthings' then 'Internet of Things'
                when 'managementgovernance' then 'Management and Governance'
                when 'media' then 'Media'
                when 'migration' then 'Migration'
                when 'mobile' then 'Mobile'
                when 'multicloud' then 'Multicloud'
                when 'networking' then 'Networking'
                when 'security' then 'Security'
                when 'storage' then 'Storage'
                when 'web' then 'Web'
                else 'Other'
            end
        end as service_category,
        -- Some write the last day of the month for its end.
        case
            when extract(day from BillingPeriodEnd) > 27
                    and extract(day from BillingPeriodEnd + interval 1 day) = 1
                then date_trunc('day', BillingPeriodEnd) + interval 1 day
            else BillingPeriodEnd
        end as billing_period_end
    from raw_billing
)
select
    BilledCost,
    EffectiveCost,
    ListCost,
    ContractedCost,
    ListUnitPrice,
    ContractedUnitPrice,
    upper(BillingCurrency) as BillingCurrency,
    PricingCurrency,
    PricingCurrencyEffectiveCost,
    PricingCurrencyListUnitPrice,
    PricingCurrencyContractedUnitPrice,
    BillingAccountId,
    BillingAccountName,
    BillingAccountType,
    SubAccountId,
    SubAccountName,
    SubAccountType,
    BillingPeriodStart,
    cast(billing_period_end as timestamp) as BillingPeriodEnd,
    ChargePeriodStart,
    ChargePeriodEnd,
    coalesce(InvoiceId, '(open)') as InvoiceId,
    InvoiceIssuerName,
    ProviderName,
    coalesce(PublisherName, ProviderName) as PublisherName,
    charge_category as ChargeCategory,
    ChargeClass,
    ChargeDescription,
    charge_frequency as ChargeFrequency,
    CommitmentDiscountId,
    CommitmentDiscountName,
    CommitmentDiscountCategory,
    CommitmentDiscountType,
    CommitmentDiscountStatus,
    CommitmentDiscountQuantity,
    CommitmentDiscountUnit,
    CapacityReservationId,
    CapacityReservationStatus,
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
    service_category as ServiceCategory,
    ServiceSubcategory,
    ServiceName,
    SkuId,
    SkuPriceId,
    SkuMeter,
    SkuPriceDetails,
    AllocatedMethodId,
    AllocatedMethodDetails,
    AllocatedResourceId,
    AllocatedResourceName,
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
        case when charge_category is null and ChargeCategory is not null
            then 'ChargeCategory is not one of FOCUS: ''' || ChargeCategory || ''''
        end,
        case when ChargePeriodEnd < ChargePeriodStart
            then 'ChargePeriodEnd is before ChargePeriodStart'
        end
    ), '') as x_Reason
from mend_spelling
