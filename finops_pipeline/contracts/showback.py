"""Stage 6, showback: what each feature, tenant and environment cost."""

from . import tables_of

TABLES = tables_of(
    "showback",
    "BillingPeriod",
    {
        "showback": (
            """One row per day, invoice, feature, tenant, environment, service and model: the whole
            bill again, `(unallocated)` and `(idle)` included.""",
            """x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory ServiceName x_Feature
            x_Tenant x_Environment x_Model x_AllocationMethod""",
            """BillingPeriod x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory
            ServiceName x_Feature x_Tenant x_Environment x_Model x_AllocationMethod
            BilledCost EffectiveCost""",
        ),
        "unit_cost": (
            """One row per feature, tenant, environment and model that served calls: what a call and
            a thousand tokens cost.""",
            "BillingCurrency x_Feature x_Tenant x_Environment x_Model",
            """BillingPeriod BillingCurrency x_Feature x_Tenant x_Environment x_Model EffectiveCost
            x_Calls x_FailedCalls x_UnknownTokenCalls x_InputTokens x_OutputTokens x_Tokens
            x_UnitCostPerCall? x_UnitCostPerThousandTokens?""",
        ),
        "coverage": (
            """One row per currency and dimension: how much of the bill has a named owner.""",
            "BillingCurrency x_Dimension",
            """BillingPeriod BillingCurrency x_Dimension EffectiveCost x_AllocatedCost x_IdleCost
            x_UnallocatedCost x_CoveragePermille?""",
        ),
    },
)
