-- The bill as others read it: FOCUS 1.2, Cost and Usage.
--
-- Money, time and identity are as they were delivered. Added is what FOCUS wants of every row and
-- a provider may leave out: a name that nobody gave is the id, a price nobody gave is the cost of
-- one unit, a category without a subcategory is `Other (...)`. Left out is what FOCUS wants null:
-- prices of a tax, consumption of a purchase, an invoice that is not there yet.
--
-- A purchase that carries an EffectiveCost (a monthly fee, the unused part of a commitment) is
-- two rows, as FOCUS has it: the purchase with what was billed, and the usage it covered with the
-- EffectiveCost. Both sums stay. Whether what a commitment's fee covered was used or not is passed on
-- where the provider says it; of a fee that does not say, it stays unknown. A company of the provider that writes the invoice is the
-- provider; its own name stays in x_InvoiceIssuerName. Money of rows that could not be read is an
-- Adjustment for each invoice, so that every invoice adds up.
--
-- One row per charge, in the order of the bill; then usage of purchases; then quarantined money.
with
-- Not materialized: it is the whole bill, read a second time only where a purchase is.
delivered as not materialized (
    select
        cost_and_usage.*,
        BilledCost <> 0 and EffectiveCost <> 0
            and (
                ChargeCategory = 'Purchase'
                or coalesce(CommitmentDiscountStatus = 'Unused', false)
            ) as is_both,
        ChargeCategory = 'Purchase' as is_fee
    from cost_and_usage
),
purchase as (
    select delivered.* replace (
        case
            when is_both then 'Purchase'
            when ChargeCategory = 'Purchase' and EffectiveCost <> 0 then 'Usage'
            else ChargeCategory
        end as ChargeCategory,
        case when is_both then cast(0 as decimal(38, 12)) else EffectiveCost end as EffectiveCost,
        case when is_both then cast(0 as decimal(38, 12)) else PricingCurrencyEffectiveCost
        end as PricingCurrencyEffectiveCost,
        case when not is_both then CommitmentDiscountStatus end as CommitmentDiscountStatus,
        case when is_both and PricingCategory = 'Committed' then 'Standard' else PricingCategory
        end as PricingCategory,
        case when is_both and ChargeFrequency = 'Usage-Based' then 'Recurring'
            else ChargeFrequency
        end as ChargeFrequency
    )
    from delivered
),
-- What such a purchase covered. Nothing is billed, listed or priced a second time.
covered as (
    select delivered.* replace (
        'Usage' as ChargeCategory,
        cast(0 as decimal(38, 12)) as BilledCost,
        cast(0 as decimal(38, 12)) as ListCost,
        cast(0 as decimal(38, 12)) as ContractedCost,
        cast(0 as decimal(38, 12)) as PricingQuantity,
        coalesce(ListUnitPrice, 0) as ListUnitPrice,
        coalesce(ContractedUnitPrice, ListUnitPrice, 0) as ContractedUnitPrice,
        coalesce(ConsumedQuantity, PricingQuantity, 1) as ConsumedQuantity,
        coalesce(ConsumedUnit, PricingUnit, 'Units') as ConsumedUnit
    )
    from delivered
    where is_both
),
quarantined as (
    select
        quarantine.ProviderName, quarantine.InvoiceId, quarantine.BillingCurrency,
        count(*) as rows_refused,
        coalesce(sum(quarantine.BilledCost), 0) as BilledCost,
        coalesce(sum(quarantine.EffectiveCost), 0) as EffectiveCost
    from quarantine
    group by quarantine.ProviderName, quarantine.InvoiceId, quarantine.BillingCurrency
    order by quarantine.ProviderName, quarantine.InvoiceId, quarantine.BillingCurrency
),
refused as (
    select
        ProviderName, InvoiceId, BillingCurrency,
        cast(BilledCost as decimal(38, 12)) as BilledCost,
        cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
        cast($period || '-01' as timestamp) as BillingPeriodStart,
        cast($period || '-01' as timestamp) + interval 1 month as BillingPeriodEnd,
        cast($period || '-01' as timestamp) as ChargePeriodStart,
        cast($period || '-01' as timestamp) + interval 1 month as ChargePeriodEnd,
        'Adjustment' as ChargeCategory,
        rows_refused || ' rows that could not be read' as ChargeDescription,
        'Other' as ServiceCategory,
        '(quarantined)' as ServiceName,
        'quarantined' as x_LineItemType
    from quarantined
),
charge as (
    select * from purchase
    union all by name
    select * from covered
    union all by name
    select * from refused
),
judged as (
    select
        charge.*,
        ChargeCategory in ('Usage', 'Purchase') as is_sold,
        ChargeCategory = 'Usage' and CommitmentDiscountStatus is distinct from 'Unused'
            as is_consumed,
        ListUnitPrice is null and ContractedUnitPrice is null as is_unpriced,
        case when coalesce(ListCost, ContractedCost, BilledCost) < 0 then -1 else 1 end
            as one_unit,
        PricingCurrency is not null and PricingCurrencyEffectiveCost is not null
            and (
                ChargeCategory not in ('Usage', 'Purchase')
                or (
                    PricingCurrencyListUnitPrice is not null
                    and PricingCurrencyContractedUnitPrice is not null
                )
            ) as has_pricing_currency
    from charge
),
costed as (
    select judged.* replace (
        case
            when ChargeCategory = 'Credit' and ListUnitPrice is null then BilledCost
            else coalesce(ListCost, ContractedCost, BilledCost)
        end as ListCost,
        case
            when ChargeCategory = 'Credit' and ContractedUnitPrice is null then BilledCost
            else coalesce(ContractedCost, ListCost, BilledCost)
        end as ContractedCost
    )
    from judged
),
priced as (
    select costed.* replace (
        case
            when ChargeCategory = 'Tax' then null
            when is_sold and is_unpriced then abs(ListCost)
            when is_sold then coalesce(ListUnitPrice, ContractedUnitPrice)
            else ListUnitPrice
        end as ListUnitPrice,
        case
            when ChargeCategory = 'Tax' then null
            when is_sold and is_unpriced then abs(ContractedCost)
            when is_sold then coalesce(ContractedUnitPrice, ListUnitPrice)
            else ContractedUnitPrice
        end as ContractedUnitPrice,
        case
            when ChargeCategory = 'Tax' then null
            when is_sold and is_unpriced then cast(one_unit as decimal(38, 12))
            when is_sold then coalesce(PricingQuantity, ConsumedQuantity, one_unit)
            when PricingUnit is not null then PricingQuantity
        end as PricingQuantity,
        case
            when ChargeCategory = 'Tax' then null
            when is_sold and is_unpriced then 'Units'
            when is_sold then coalesce(PricingUnit, ConsumedUnit, 'Units')
            when PricingQuantity is not null then PricingUnit
        end as PricingUnit
    )
    from costed
),
united as (
    select priced.* replace (
        focus_unit(PricingUnit) as PricingUnit,
        focus_unit(coalesce(ConsumedUnit, PricingUnit)) as ConsumedUnit,
        coalesce(ConsumedQuantity, PricingQuantity) as ConsumedQuantity
    )
    from priced
)
select
    AvailabilityZone,
    BilledCost,
    coalesce(BillingAccountId, '(unknown)') as BillingAccountId,
    coalesce(BillingAccountName, BillingAccountId, '(unknown)') as BillingAccountName,
    coalesce(BillingAccountType, 'Billing Account') as BillingAccountType,
    BillingCurrency,
    timezone('UTC', BillingPeriodEnd) as BillingPeriodEnd,
    timezone('UTC', BillingPeriodStart) as BillingPeriodStart,
    CapacityReservationId,
    case
        when CapacityReservationId is null then null
        when ChargeCategory = 'Usage' then coalesce(CapacityReservationStatus, 'Used')
        else CapacityReservationStatus
    end as CapacityReservationStatus,
    ChargeCategory,
    ChargeClass,
    coalesce(ChargeDescription, ServiceName) as ChargeDescription,
    coalesce(
        ChargeFrequency, case when ChargeCategory = 'Usage' then 'Usage-Based' else 'One-Time' end
    ) as ChargeFrequency,
    timezone('UTC', ChargePeriodEnd) as ChargePeriodEnd,
    timezone('UTC', ChargePeriodStart) as ChargePeriodStart,
    case
        when CommitmentDiscountId is not null then coalesce(
            CommitmentDiscountCategory,
            case when contains(CommitmentDiscountType, 'Savings') then 'Spend' else 'Usage' end
        )
    end as CommitmentDiscountCategory,
    CommitmentDiscountId,
    case when CommitmentDiscountId is not null then CommitmentDiscountName
    end as CommitmentDiscountName,
    case
        when CommitmentDiscountId is not null and is_sold and ChargeClass is null then coalesce(
            CommitmentDiscountQuantity,
            case when ChargeCategory = 'Usage' then EffectiveCost else BilledCost end
        )
    end as CommitmentDiscountQuantity,
    case
        when CommitmentDiscountId is not null and ChargeCategory = 'Usage' then coalesce(
            CommitmentDiscountStatus, case when is_fee then null else 'Used' end
        )
    end as CommitmentDiscountStatus,
    case when CommitmentDiscountId is not null then coalesce(CommitmentDiscountType, 'Commitment')
    end as CommitmentDiscountType,
    case
        when CommitmentDiscountId is null or not is_sold or ChargeClass is not null then null
        when CommitmentDiscountQuantity is null then BillingCurrency
        else coalesce(CommitmentDiscountUnit, 'Units')
    end as CommitmentDiscountUnit,
    case when is_consumed then ConsumedQuantity end as ConsumedQuantity,
    case when is_consumed then ConsumedUnit end as ConsumedUnit,
    ContractedCost,
    ContractedUnitPrice,
    EffectiveCost,
    nullif(nullif(InvoiceId, '(open)'), '(unknown)') as InvoiceId,
    case
        when ProviderName = 'AWS' and regexp_matches(InvoiceIssuerName, '^(Amazon|AWS)')
            then ProviderName
        when ProviderName in ('Microsoft', 'Google Cloud')
                and starts_with(InvoiceIssuerName, split_part(ProviderName, ' ', 1))
            then ProviderName
        else coalesce(InvoiceIssuerName, ProviderName)
    end as InvoiceIssuerName,
    ListCost,
    ListUnitPrice,
    case
        when ChargeCategory = 'Tax' then null
        when is_sold then coalesce(PricingCategory, 'Standard')
        else PricingCategory
    end as PricingCategory,
    case when has_pricing_currency then PricingCurrency else BillingCurrency end as PricingCurrency,
    case
        when ChargeCategory = 'Tax' then null
        when has_pricing_currency then PricingCurrencyContractedUnitPrice
        else ContractedUnitPrice
    end as PricingCurrencyContractedUnitPrice,
    case when has_pricing_currency then PricingCurrencyEffectiveCost else EffectiveCost
    end as PricingCurrencyEffectiveCost,
    case
        when ChargeCategory = 'Tax' then null
        when has_pricing_currency then PricingCurrencyListUnitPrice
        else ListUnitPrice
    end as PricingCurrencyListUnitPrice,
    PricingQuantity,
    PricingUnit,
    ProviderName,
    coalesce(PublisherName, ProviderName) as PublisherName,
    RegionId,
    case when RegionId is not null then coalesce(RegionName, RegionId) end as RegionName,
    ResourceId,
    case when ResourceId <> ResourceName then ResourceName end as ResourceName,
    case when ResourceId is not null then coalesce(ResourceType, ServiceName) end as ResourceType,
    ServiceCategory,
    ServiceName,
    coalesce(ServiceSubcategory, 'Other (' || ServiceCategory || ')') as ServiceSubcategory,
    case
        when ChargeCategory = 'Tax' then null
        when is_sold then coalesce(SkuId, SkuPriceId, x_Operation, ServiceName)
        else SkuId
    end as SkuId,
    case
        when ChargeCategory = 'Tax' then null
        when is_sold or SkuId is not null then coalesce(SkuMeter, x_Operation, ServiceName)
    end as SkuMeter,
    case
        when ChargeCategory = 'Tax' then null
        when SkuPriceId is not null then SkuPriceDetails
    end as SkuPriceDetails,
    case
        when ChargeCategory = 'Tax' then null
        when is_sold then coalesce(SkuPriceId, SkuId, x_Operation, ServiceName)
        else SkuPriceId
    end as SkuPriceId,
    SubAccountId,
    case when SubAccountId is not null then coalesce(SubAccountName, SubAccountId)
    end as SubAccountName,
    case when SubAccountId is not null then coalesce(SubAccountType, 'Account')
    end as SubAccountType,
    coalesce(Tags, '{}') as Tags,
    InvoiceIssuerName as x_InvoiceIssuerName,
    x_LineItemType,
    x_Operation,
    x_Source,
    x_SourceFile,
    x_SourceRow
from united
