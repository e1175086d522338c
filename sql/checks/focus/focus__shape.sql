-- What FOCUS wants null or not null, by the kind of charge. The export sees to all of it, so an
-- offender is a fault of sql/export, whatever the provider sent.
--
-- requirement: BilledCost-C-003-M BillingAccountId-C-001-M BillingAccountName-C-003-C
-- requirement: BillingAccountType-C-005-C BillingCurrency-C-004-M BillingPeriodStart-C-003-M
-- requirement: BillingPeriodEnd-C-003-M CapacityReservationStatus-C-003-C ChargeCategory-C-003-M
-- requirement: ChargeFrequency-C-004-C ChargePeriodStart-C-003-M ChargePeriodEnd-C-003-M
-- requirement: CommitmentDiscountCategory-C-003-C CommitmentDiscountCategory-C-004-C
-- requirement: CommitmentDiscountName-C-004-C CommitmentDiscountQuantity-C-007-C
-- requirement: CommitmentDiscountStatus-C-003-C
-- requirement: CommitmentDiscountType-C-005-C CommitmentDiscountUnit-C-006-C
-- requirement: ConsumedQuantity-C-004-C ConsumedUnit-C-006-C ContractedCost-C-003-M
-- requirement: ContractedUnitPrice-C-005-C ContractedUnitPrice-C-006-C EffectiveCost-C-003-M
-- requirement: EffectiveCost-C-005-C InvoiceIssuerName-C-003-M ListCost-C-003-M
-- requirement: ListUnitPrice-C-004-C ListUnitPrice-C-005-C PricingCategory-C-003-C
-- requirement: PricingCategory-C-004-C PricingCurrency-C-004-M
-- requirement: PricingCurrencyEffectiveCost-C-003-M PricingQuantity-C-004-C
-- requirement: PricingQuantity-C-005-C PricingUnit-C-006-C ProviderName-C-003-M
-- requirement: PublisherName-C-003-M RegionName-C-005-C ResourceType-C-005-C
-- requirement: ServiceCategory-C-002-M ServiceName-C-003-M ServiceSubcategory-C-002-M
-- requirement: SkuId-C-004-C SkuId-C-005-C SkuPriceId-C-004-C SkuPriceId-C-005-C
-- requirement: SubAccountName-C-005-C SubAccountType-C-005-C
-- severity: blocks
select Requirement, x_Rows
from (
    select unnest(counted, recursive := true)
    from (
        select [
            {'Requirement': 'BilledCost-C-003-M', 'x_Rows': count(*) filter (
                where BilledCost is null
            )},
            {'Requirement': 'BillingAccountId-C-001-M', 'x_Rows': count(*) filter (
                where BillingAccountId is null
            )},
            {'Requirement': 'BillingAccountName-C-003-C', 'x_Rows': count(*) filter (
                where BillingAccountName is null
            )},
            {'Requirement': 'BillingAccountType-C-005-C', 'x_Rows': count(*) filter (
                where BillingAccountType is null
            )},
            {'Requirement': 'BillingCurrency-C-004-M', 'x_Rows': count(*) filter (
                where BillingCurrency is null
            )},
            {'Requirement': 'BillingPeriodStart-C-003-M', 'x_Rows': count(*) filter (
                where BillingPeriodStart is null
            )},
            {'Requirement': 'BillingPeriodEnd-C-003-M', 'x_Rows': count(*) filter (
                where BillingPeriodEnd is null
            )},
            {'Requirement': 'CapacityReservationStatus-C-003-C', 'x_Rows': count(*) filter (
                where CapacityReservationId is null and CapacityReservationStatus is not null
            )},
            {'Requirement': 'ChargeCategory-C-003-M', 'x_Rows': count(*) filter (
                where ChargeCategory is null or ChargeCategory not in ('Usage', 'Purchase', 'Tax',
                    'Credit', 'Adjustment')
            )},
            {'Requirement': 'ChargeFrequency-C-004-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Purchase' and ChargeFrequency = 'Usage-Based'
            )},
            {'Requirement': 'ChargePeriodStart-C-003-M', 'x_Rows': count(*) filter (
                where ChargePeriodStart is null
            )},
            {'Requirement': 'ChargePeriodEnd-C-003-M', 'x_Rows': count(*) filter (
                where ChargePeriodEnd is null
            )},
            {'Requirement': 'CommitmentDiscountCategory-C-003-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountId is null and CommitmentDiscountCategory is not null
            )},
            {'Requirement': 'CommitmentDiscountCategory-C-004-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountId is not null and CommitmentDiscountCategory is null
            )},
            {'Requirement': 'CommitmentDiscountName-C-004-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountId is null and CommitmentDiscountName is not null
            )},
            {'Requirement': 'CommitmentDiscountQuantity-C-007-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountQuantity is not null and (CommitmentDiscountId is null or
                    ChargeCategory not in ('Usage', 'Purchase'))
            )},
            {'Requirement': 'CommitmentDiscountStatus-C-003-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountId is null and CommitmentDiscountStatus is not null
            )},
            {'Requirement': 'CommitmentDiscountType-C-005-C', 'x_Rows': count(*) filter (
                where CommitmentDiscountId is not null and CommitmentDiscountType is null
            )},
            {'Requirement': 'CommitmentDiscountUnit-C-006-C', 'x_Rows': count(*) filter (
                where (CommitmentDiscountQuantity is null) <> (CommitmentDiscountUnit is null)
            )},
            {'Requirement': 'ConsumedQuantity-C-004-C', 'x_Rows': count(*) filter (
                where ConsumedQuantity is not null and (ChargeCategory <> 'Usage' or
                    CommitmentDiscountStatus = 'Unused')
            )},
            {'Requirement': 'ConsumedUnit-C-006-C', 'x_Rows': count(*) filter (
                where (ConsumedQuantity is null) <> (ConsumedUnit is null)
            )},
            {'Requirement': 'ContractedCost-C-003-M', 'x_Rows': count(*) filter (
                where ContractedCost is null
            )},
            {'Requirement': 'ContractedUnitPrice-C-005-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and ContractedUnitPrice is not null
            )},
            {'Requirement': 'ContractedUnitPrice-C-006-C', 'x_Rows': count(*) filter (
                where is_sold and ContractedUnitPrice is null
            )},
            {'Requirement': 'EffectiveCost-C-003-M', 'x_Rows': count(*) filter (
                where EffectiveCost is null
            )},
            {'Requirement': 'EffectiveCost-C-005-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Purchase' and EffectiveCost <> 0
            )},
            {'Requirement': 'InvoiceIssuerName-C-003-M', 'x_Rows': count(*) filter (
                where InvoiceIssuerName is null
            )},
            {'Requirement': 'ListCost-C-003-M', 'x_Rows': count(*) filter (where ListCost is null)},
            {'Requirement': 'ListUnitPrice-C-004-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and ListUnitPrice is not null
            )},
            {'Requirement': 'ListUnitPrice-C-005-C', 'x_Rows': count(*) filter (
                where is_sold and ListUnitPrice is null
            )},
            {'Requirement': 'PricingCategory-C-003-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and PricingCategory is not null
            )},
            {'Requirement': 'PricingCategory-C-004-C', 'x_Rows': count(*) filter (
                where is_sold and PricingCategory is null
            )},
            {'Requirement': 'PricingCurrency-C-004-M', 'x_Rows': count(*) filter (
                where PricingCurrency is null
            )},
            {'Requirement': 'PricingCurrencyEffectiveCost-C-003-M', 'x_Rows': count(*) filter (
                where PricingCurrencyEffectiveCost is null
            )},
            {'Requirement': 'PricingQuantity-C-004-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and PricingQuantity is not null
            )},
            {'Requirement': 'PricingQuantity-C-005-C', 'x_Rows': count(*) filter (
                where is_sold and PricingQuantity is null
            )},
            {'Requirement': 'PricingUnit-C-006-C', 'x_Rows': count(*) filter (
                where (PricingQuantity is null) <> (PricingUnit is null)
            )},
            {'Requirement': 'ProviderName-C-003-M', 'x_Rows': count(*) filter (
                where ProviderName is null
            )},
            {'Requirement': 'PublisherName-C-003-M', 'x_Rows': count(*) filter (
                where PublisherName is null
            )},
            {'Requirement': 'RegionName-C-005-C', 'x_Rows': count(*) filter (
                where (RegionId is null) <> (RegionName is null)
            )},
            {'Requirement': 'ResourceType-C-005-C', 'x_Rows': count(*) filter (
                where (ResourceId is null) <> (ResourceType is null)
            )},
            {'Requirement': 'ServiceCategory-C-002-M', 'x_Rows': count(*) filter (
                where ServiceCategory is null
            )},
            {'Requirement': 'ServiceName-C-003-M', 'x_Rows': count(*) filter (
                where ServiceName is null
            )},
            {'Requirement': 'ServiceSubcategory-C-002-M', 'x_Rows': count(*) filter (
                where ServiceSubcategory is null
            )},
            {'Requirement': 'SkuId-C-004-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and SkuId is not null
            )},
            {'Requirement': 'SkuId-C-005-C', 'x_Rows': count(*) filter (
                where is_sold and SkuId is null
            )},
            {'Requirement': 'SkuPriceId-C-004-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Tax' and SkuPriceId is not null
            )},
            {'Requirement': 'SkuPriceId-C-005-C', 'x_Rows': count(*) filter (
                where is_sold and SkuPriceId is null
            )},
            {'Requirement': 'SubAccountName-C-005-C', 'x_Rows': count(*) filter (
                where (SubAccountId is null) <> (SubAccountName is null)
            )},
            {'Requirement': 'SubAccountType-C-005-C', 'x_Rows': count(*) filter (
                where (SubAccountId is null) <> (SubAccountType is null)
            )}
        ] as counted
        from (
            select *, ChargeCategory in ('Usage', 'Purchase') and ChargeClass is null as is_sold
            from focus_export
        ) as charge
    ) as listed
) as told
where x_Rows > 0
