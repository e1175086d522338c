-- What FOCUS wants null or not null, by the kind of charge, and of the split columns of 1.3: all
-- of them speak of a row, or none.
--
-- requirement: BilledCost-C-003-M BillingAccountId-C-001-M BillingAccountName-C-003-C
-- requirement: BillingAccountType-C-005-C BillingCurrency-C-004-M BillingPeriodStart-C-003-M
-- requirement: BillingPeriodEnd-C-003-M ChargeCategory-C-003-M ChargeFrequency-C-004-C
-- requirement: ChargePeriodStart-C-003-M ChargePeriodEnd-C-003-M ConsumedQuantity-C-004-C
-- requirement: ConsumedUnit-C-006-C ContractedCost-C-003-M ContractedUnitPrice-C-005-C
-- requirement: ContractedUnitPrice-C-006-C EffectiveCost-C-003-M EffectiveCost-C-005-C
-- requirement: InvoiceIssuerName-C-003-M ListCost-C-003-M ListUnitPrice-C-004-C
-- requirement: ListUnitPrice-C-005-C PricingCategory-C-003-C PricingCategory-C-004-C
-- requirement: PricingCurrency-C-004-M PricingCurrencyEffectiveCost-C-003-M
-- requirement: PricingQuantity-C-004-C PricingQuantity-C-005-C PricingUnit-C-006-C
-- requirement: ProviderName-C-003-M PublisherName-C-003-M ResourceType-C-005-C
-- requirement: ServiceCategory-C-002-M ServiceName-C-003-M ServiceSubcategory-C-002-M
-- requirement: SkuId-C-004-C SkuId-C-005-C SkuPriceId-C-004-C SkuPriceId-C-005-C
-- requirement: SubAccountName-C-005-C SubAccountType-C-005-C AllocatedMethodId
-- requirement: AllocatedResourceId AllocatedResourceName AllocatedTags
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
            )},
            {'Requirement': 'AllocatedMethodId', 'x_Rows': count(*) filter (
                where (AllocatedMethodId is null) <> (AllocatedMethodDetails is null)
            )},
            {'Requirement': 'AllocatedResourceId', 'x_Rows': count(*) filter (
                where AllocatedMethodId is null and AllocatedResourceId is not null
            )},
            {'Requirement': 'AllocatedResourceName', 'x_Rows': count(*) filter (
                where (AllocatedResourceId is null) <> (AllocatedResourceName is null)
            )},
            {'Requirement': 'AllocatedTags', 'x_Rows': count(*) filter (
                where (AllocatedMethodId is null) <> (AllocatedTags is null)
            )}
        ] as counted
        from (
            select *, ChargeCategory in ('Usage', 'Purchase') and ChargeClass is null as is_sold
            from focus_allocated_cost
        ) as charge
    ) as listed
) as told
where x_Rows > 0
