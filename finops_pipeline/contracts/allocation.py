"""Stage 4, allocation: who consumed it."""

from . import tables_of

TABLES = tables_of(
    "allocation",
    "BillingPeriod",
    {
        "tag_owner": (
            """One row per distinct set of tags or of pod labels: the owner it names, after aliases.""",
            "x_TagSetId",
            "BillingPeriod x_TagSetId Tags x_Feature? x_Tenant? x_Environment? x_Conflict? x_Normalised",
        ),
        "charge_owner": (
            """The bill grouped: one row per day, invoice, service and owner, or per day, invoice,
            service and pool where the owner is found by measured use.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId?
            ServiceCategory ServiceName ChargeCategory x_Pool? x_Feature x_Tenant x_Environment
            x_AllocationMethod x_ChargeRows BilledCost EffectiveCost""",
        ),
        "usage_share": (
            """One row per pool and consumer: the integer weight the pool is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_Weight""",
        ),
        "allocated_cost": (
            """The bill again: every charge split among those who consumed it. One row per pool and
            owner; sums to cost_and_usage plus quarantine for every invoice and currency.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId?
            ServiceCategory ServiceName ChargeCategory x_Pool? x_Feature x_Tenant x_Environment
            x_Model x_Endpoint x_AllocationMethod BilledCost EffectiveCost""",
        ),
    },
)
