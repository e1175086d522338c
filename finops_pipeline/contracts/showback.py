"""Stage 6, showback: what each feature, tenant and environment cost."""

from . import tables_of

TABLES = tables_of(
    "showback",
    "BillingPeriod",
    {
        "showback": (
            """One row per day, invoice, feature, tenant, environment, service and model: the whole
            bill again, `(unallocated)`, `(idle)` and `(overhead)` included.""",
            """x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory ServiceName x_Feature
            x_Tenant x_Environment x_Model x_AllocationMethod""",
            """BillingPeriod x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory
            ServiceName x_Feature x_Tenant x_Environment x_Model x_AllocationMethod
            BilledCost EffectiveCost""",
        ),
        "billed_day": (
            """Days on which calls, invocations or pods of an endpoint have a cost on the bill: one row
            per day, endpoint, currency and method.""",
            "x_ChargeDay x_Endpoint BillingCurrency x_AllocationMethod",
            "BillingPeriod x_ChargeDay x_Endpoint BillingCurrency x_AllocationMethod",
        ),
        "unit_cost": (
            """One row per feature, tenant, environment and model that served calls: what a call and
            a thousand tokens cost, and how many calls have no cost yet. Who has none at all is in
            the currency `XXX`.""",
            "BillingCurrency x_Feature x_Tenant x_Environment x_Model",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model EffectiveCost
            x_Calls x_FailedCalls x_UnknownTokenCalls x_UnbilledCalls x_InputTokens x_OutputTokens
            x_Tokens x_Images x_UnitCostPerCall? x_UnitCostPerThousandTokens?""",
        ),
        "method_share": (
            """What each caller of an endpoint would bear by GPU time, by prefill and decode, by tokens and
            by calls, beside what they do bear: one row per endpoint, caller, model and currency.""",
            "x_Endpoint BillingCurrency x_Feature x_Tenant x_Environment x_Model",
            """BillingPeriod x_Endpoint BillingCurrency x_Feature x_Tenant x_Environment x_Model
            EffectiveCost x_CostByGpuTime? x_CostByPhaseTime? x_CostByTokens? x_CostByCalls? x_MethodSpread?""",
        ),
        "endpoint_cost": (
            """What each endpoint we run cost, and a million input and output tokens there: one row per
            endpoint, model and currency.""",
            "x_Endpoint x_Model BillingCurrency",
            """BillingPeriod x_Endpoint x_Model BillingCurrency EffectiveCost x_InputCost? x_OutputCost?
            x_WeightUnit? x_TokenRatio? x_Requests? x_InputTokens? x_CachedInputTokens? x_OutputTokens?
            x_UnitCostPerCall? x_CostPerMillionTokens? x_CostPerMillionInputTokens?
            x_CostPerMillionOutputTokens?""",
        ),
        "cluster_cost": (
            """What each cluster cost, line by line: one row per cluster, line and currency.""",
            "BillingCurrency x_Cluster x_ClusterLine",
            """BillingPeriod BillingCurrency x_Cluster x_ClusterLine BilledCost EffectiveCost""",
        ),
        "gpu_cost": (
            """One row per cluster, workload that held GPUs, and currency: what it cost, and how much
            of that its GPUs were busy for.""",
            "x_Cluster x_Endpoint BillingCurrency",
            """BillingPeriod x_Cluster x_Endpoint BillingCurrency EffectiveCost x_BusyCost?
            x_HeldIdleCost? x_GpuHeldMs x_GpuBusyMs? x_GpuBasis""",
        ),
        "invocation_cost": (
            """One row per function, feature, tenant and environment: what an invocation and a
            GB-second cost, idle capacity apart.""",
            "BillingCurrency x_Endpoint x_Feature x_Tenant x_Environment",
            """BillingPeriod BillingCurrency x_Endpoint x_Feature x_Tenant x_Environment
            EffectiveCost x_IdleCost x_Invocations x_FailedInvocations x_ColdStarts x_DurationMs
            x_GbSeconds x_UnitCostPerInvocation? x_UnitCostPerGbSecond?""",
        ),
        "coverage": (
            """One row per currency and dimension: how much of the bill has a named owner.""",
            "BillingCurrency x_Dimension",
            """BillingPeriod BillingCurrency x_Dimension EffectiveCost x_AllocatedCost x_IdleCost
            x_UnallocatedCost x_CoveragePermille?""",
        ),
        "commitment": (
            """How well each savings plan and reservation was used: one row per commitment and
            currency.""",
            "ProviderName CommitmentDiscountId BillingCurrency",
            """BillingPeriod ProviderName CommitmentDiscountId CommitmentDiscountName?
            CommitmentDiscountType? BillingCurrency BilledCost EffectiveCost x_UsedCost x_UnusedCost
            x_RoundingCost x_UtilisationPermille?""",
        ),
        "invoice_summary": (
            """What the providers' own invoices ask for: one row per source, invoice and currency,
            from the files that `invoices` names.""",
            "x_Source InvoiceId BillingCurrency",
            """BillingPeriod x_Source InvoiceId BillingCurrency x_BilledSummary x_MinorUnit x_NamedDifference? x_Reason?
            x_SourceFile x_SourceRow""",
        ),
        "billing_period": (
            """What the providers themselves say of their billing periods (FOCUS 1.4, BillingPeriod):
            one row per row of the files that `billing_periods` names, of those about this month.""",
            "x_Source x_SourceFile x_SourceRow",
            """BillingPeriod x_Source InvoiceIssuerName BillingPeriodStart BillingPeriodEnd
            BillingPeriodStatus BillingPeriodLastUpdated x_SourceFile x_SourceRow""",
        ),
        "invoice": (
            """What was read of each invoice: one row per source, invoice, currency and provider.""",
            "x_Source InvoiceId BillingCurrency ProviderName",
            """BillingPeriod x_Source InvoiceId BillingCurrency ProviderName x_ChargeRows BilledCost EffectiveCost
            x_QuarantinedRows x_BilledQuarantined x_EffectiveQuarantined x_TagChecksum
            x_ChargeChecksum x_HashMark""",
        ),
        "reconciliation": (
            """The reconciliation statement: one row per source, invoice and currency, from what the provider
            asks for to what was shown back, with every difference zero or named.""",
            "x_Source InvoiceId BillingCurrency",
            """BillingPeriod x_Source InvoiceId BillingCurrency x_BilledSummary? x_BilledIngested
            x_BilledQuarantined x_BilledAllocated x_BilledIdle x_BilledUnallocated
            x_SummaryDifference? x_DeliveryDifference x_AllocationDifference x_Reason?""",
        ),
        "model_serving": (
            """What serving each model version cost, busy and idle: one row per currency, feature,
            tenant, environment, model and version.""",
            """BillingCurrency x_Feature x_Tenant x_Environment x_Model x_RegisteredModel
            x_ModelVersion""",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model
            x_RegisteredModel x_ModelVersion x_InferenceCost x_IdleCost""",
        ),
        "gateway_reconciliation": (
            """Bought APIs, the log against the bill: one row per day and split, and per model and key
            where the bill tells them, else `(all)`. What was billed less what the calls cost by the
            price book is the sum of the gaps, each with a name.""",
            "x_ChargeDay x_Pool x_Model x_Credential BillingCurrency",
            """BillingPeriod x_ChargeDay x_Pool ProviderName? x_Model x_Credential BillingCurrency
            x_Calls x_FailedCalls x_UnknownTokenCalls x_UnpricedCalls x_InputTokens
            x_CachedInputTokens x_OutputTokens ListCost BilledCost x_ListDifference
            x_GapOtherCharges x_GapOutsideGateway x_GapNotBilled x_GapNoPrice x_GapUnknownTokens
            x_GapRetry x_GapCache x_GapBatch x_GapPriceDrift x_GapUnexplained""",
        ),
        "revenue": (
            """What tenants pay for the period: one row per row of the files that `[economics]
            revenue` names.""",
            "x_SourceFile x_SourceRow",
            """BillingPeriod x_Tenant x_Feature? BillingCurrency x_Revenue x_SourceFile
            x_SourceRow""",
        ),
        "tenant_cost": (
            """The showback by tenant and feature, before and after sharing, and what of it training
            runs cost: one row per currency, tenant and feature.""",
            "BillingCurrency x_Tenant x_Feature",
            """BillingPeriod BillingCurrency x_Tenant x_Feature EffectiveCost x_DirectCost
            x_MovedCost x_RunCost""",
        ),
    },
) + tables_of(
    "showback",
    "",
    {
        "commitment_term": (
            """What was paid for each commitment and what was amortised of it, over all published
            periods: one row per provider, commitment and currency.""",
            "ProviderName CommitmentDiscountId BillingCurrency",
            """ProviderName CommitmentDiscountId CommitmentDiscountName? CommitmentDiscountType?
            BillingCurrency x_TermStart x_TermEnd x_UpfrontEnd? BilledCost EffectiveCost x_UsedCost
            x_UnusedCost x_RoundingCost x_OpenCost x_TermState""",
        ),
        "training_schedule": (
            """The cost of each run spread over the life of the version it made: one row per run,
            currency, owner, billing period and kind of amount; the rows of a run sum to its
            cost.""",
            """x_RunId BillingCurrency BillingPeriod x_ScheduleKind x_Feature x_Tenant
            x_Environment""",
            """BillingPeriod x_RunId BillingCurrency x_ScheduleKind x_ScheduleMethod x_RunKind
            x_RegisteredModel x_ModelVersion x_Feature x_Tenant x_Environment BilledCost
            EffectiveCost""",
        ),
        "model_cost": (
            """What each model version cost those it served, busy and idle, with and without
            training: one row per period, currency, feature, tenant, environment, model and version.
            A second view, never added to the showback.""",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model
            x_RegisteredModel x_ModelVersion""",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model
            x_RegisteredModel x_ModelVersion x_InferenceCost x_IdleCost x_ServingCost x_TrainingCost
            x_WriteOffCost x_TotalCost x_TrainingDriver?""",
        ),
        "margin": (
            """What is left of what each tenant pays, without and with training: one row per period,
            currency and tenant, and per feature where revenue names features.""",
            "BillingPeriod BillingCurrency x_Tenant x_Feature",
            """BillingPeriod BillingCurrency x_Tenant x_Feature x_Revenue? EffectiveCost x_DirectCost
            x_MovedCost x_RunCost x_TrainingCost x_WriteOffCost x_Margin x_MarginPermille?
            x_MarginWithTraining x_MarginWithTrainingPermille? x_Reason?""",
        ),
        "unit_economics": (
            """What a call, a thousand tokens and an image cost, busy, with idle and with training: one
            row per period, currency, feature, tenant, environment and model.""",
            "BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model x_Calls
            x_UnknownTokenCalls x_UnbilledCalls x_Tokens x_Images x_InferenceCost x_IdleCost
            x_ServingCost x_TrainingCost x_WriteOffCost x_TotalCost x_UnitCostPerCall?
            x_UnitCostPerThousandTokens? x_UnitCostPerImage? x_ServingCostPerCall?
            x_ServingCostPerThousandTokens? x_ServingCostPerImage? x_TotalCostPerCall?
            x_TotalCostPerThousandTokens? x_TotalCostPerImage?""",
        ),
    },
)
