-- Cost is price times quantity, exactly; a credit is what was billed; who is not the provider
-- cannot bill. The validator looks at none of this. The numbers are the provider's: a cost that
-- was rounded is not the product, and nobody but the provider can say which of the three is wrong.
--
-- requirement: BilledCost-C-005-C ContractedCost-C-009-C ContractedUnitPrice-C-009-C
-- requirement: DiscountHandling-A-009-C EffectiveCost-C-010-C ListCost-C-009-C
-- requirement: ListUnitPrice-C-008-M
-- severity: tells
select Requirement, x_Rows
from (
    select unnest(counted, recursive := true)
    from (
        select [
            {'Requirement': 'BilledCost-C-005-C', 'x_Rows': count(*) filter (
                where BilledCost <> 0 and InvoiceIssuerName <> ProviderName
            )},
            {'Requirement': 'ContractedCost-C-009-C', 'x_Rows': count(*) filter (
                where ChargeClass is null and try(ContractedUnitPrice * PricingQuantity) <>
                    ContractedCost
            )},
            {'Requirement': 'ContractedUnitPrice-C-009-C', 'x_Rows': count(*) filter (
                where ContractedUnitPrice < 0
            )},
            {'Requirement': 'DiscountHandling-A-009-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Usage' and CommitmentDiscountStatus = 'Used' and
                    BilledCost <> 0
            )},
            {'Requirement': 'EffectiveCost-C-010-C', 'x_Rows': count(*) filter (
                where ChargeCategory = 'Credit' and EffectiveCost <> BilledCost
            )},
            {'Requirement': 'ListCost-C-009-C', 'x_Rows': count(*) filter (
                where ChargeClass is null and try(ListUnitPrice * PricingQuantity) <> ListCost
            )},
            {'Requirement': 'ListUnitPrice-C-008-M', 'x_Rows': count(*) filter (
                where ListUnitPrice < 0
            )}
        ] as counted
        from focus_export
    ) as listed
) as told
where x_Rows > 0
