"""Stage 5, findings: what is untagged, wrongly tagged, or not as Git says."""

from . import tables_of

FINDING = """BillingPeriod x_FindingId x_FindingKind x_Dimension ProviderName? ServiceName? SubAccountId?
    ResourceId? x_Cluster? x_Namespace? x_Workload? x_TagKey? x_TagValue? x_LikelyValue?
    x_WitnessCount x_Witnesses BillingCurrency? EffectiveCost? x_ChargeRows x_SourceFile? x_SourceRow?
    x_Reason"""

TABLES = tables_of(
    "findings",
    "BillingPeriod",
    {
        "untagged_spend": (
            """Spend without an owner tag: one row per resource (or service and account where the
            charge has no resource) and missing dimension, with the likely value and who says so.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
        "misattributed_spend": (
            """Spend whose tag is wrong: one row per resource, dimension and kind of fault, with
            the witnesses against the tag.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
        "drift": (
            """Where production is not as Git says: one row per workload and drifted value.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
        "finding": (
            """All findings of the period: one row per finding.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
    },
)
