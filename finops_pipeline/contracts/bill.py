"""Stage 1, bill: what the providers ask for."""

from . import tables_of

TABLES = tables_of(
    "bill",
    "BillingPeriod",
    {
        "cost_and_usage": (
            """The bill: one row per charge as a provider delivered it, in FOCUS 1.2 columns.""",
            "x_Source x_SourceFile x_SourceRow",
            """BillingPeriod
            BilledCost EffectiveCost ListCost? ContractedCost? ListUnitPrice? ContractedUnitPrice?
            BillingCurrency PricingCurrency? PricingCurrencyEffectiveCost?
            PricingCurrencyListUnitPrice? PricingCurrencyContractedUnitPrice?
            BillingAccountId? BillingAccountName? BillingAccountType?
            SubAccountId? SubAccountName? SubAccountType?
            BillingPeriodStart BillingPeriodEnd ChargePeriodStart ChargePeriodEnd
            InvoiceId InvoiceIssuerName? ProviderName PublisherName?
            ChargeCategory ChargeClass? ChargeDescription? ChargeFrequency?
            CommitmentDiscountId? CommitmentDiscountName? CommitmentDiscountCategory?
            CommitmentDiscountType? CommitmentDiscountStatus?
            CommitmentDiscountQuantity? CommitmentDiscountUnit?
            CapacityReservationId? CapacityReservationStatus?
            ConsumedQuantity? ConsumedUnit? PricingCategory? PricingQuantity? PricingUnit?
            RegionId? RegionName? AvailabilityZone? ResourceId? ResourceName? ResourceType?
            ServiceCategory ServiceSubcategory? ServiceName
            SkuId? SkuPriceId? SkuMeter? SkuPriceDetails?
            AllocatedMethodId? AllocatedMethodDetails? AllocatedResourceId? AllocatedResourceName?
            Tags x_TagSetId x_LineItemType? x_Operation? x_Source x_SourceFile x_SourceRow""",
        ),
        "quarantine": (
            """Rows of the bill that could not be read: one row per refused row, with its file, row
            and reason. Their money, where it could be read, stays in every total.""",
            "x_Source x_SourceFile x_SourceRow",
            """BillingPeriod BilledCost? EffectiveCost? BillingCurrency InvoiceId ProviderName
            x_Reason x_RawRow x_Source x_SourceFile x_SourceRow""",
        ),
        "delivered_tag_set": (
            """One row per distinct set of tags in one delivered file, with the charges that carry
            it.""",
            "x_Source x_SourceFile x_TagSetId",
            "BillingPeriod x_Source x_SourceFile x_TagSetId Tags x_ChargeRows",
        ),
        "tag_set": (
            """One row per distinct set of tags on the bill of a period.""",
            "x_TagSetId",
            "BillingPeriod x_TagSetId Tags",
        ),
        "commitment_total": (
            """What each delivered file says of each commitment: one row per file, provider, commitment
            and currency.""",
            "x_Source x_SourceFile ProviderName CommitmentDiscountId BillingCurrency",
            """BillingPeriod ProviderName CommitmentDiscountId CommitmentDiscountName?
            CommitmentDiscountCategory? CommitmentDiscountType? BillingCurrency
            BillingAccountId? BillingAccountName? BillingAccountType?
            SubAccountId? SubAccountName? SubAccountType?
            InvoiceId InvoiceIssuerName? PublisherName?
            ServiceCategory ServiceSubcategory? ServiceName
            BillingPeriodStart BillingPeriodEnd x_TermStart ChargePeriodStart ChargePeriodEnd
            x_UpfrontEnd? x_ChargeRows x_RoundedFigures x_LastPlace
            BilledCost EffectiveCost x_UsedCost x_UnusedCost x_IsFee x_Source x_SourceFile""",
        ),
        "delivery_manifest": (
            """The manifests the period was read by, as they were delivered: one row per manifest.
            It is kept as long as the state of the bill that was read by it.""",
            "x_Source x_Manifest",
            "BillingPeriod x_Source x_Manifest x_Bytes x_Sha256 x_Content",
        ),
        "delivery": (
            """One row per file the period was read from: its content, the manifest that lists it, the
            rows it held and the money its own cost column sums to, taken by a query that shares
            nothing with the dialect.""",
            "x_Source x_SourceFile",
            """BillingPeriod x_Source x_SourceFile x_Bytes x_Sha256 x_Manifest? x_Rows BilledCost?
            EffectiveCost?""",
        ),
    },
)
