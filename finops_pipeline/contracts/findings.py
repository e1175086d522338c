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
        "resource_cost": (
            """The bill by resource, read once for all findings: one row per provider, account,
            service, category of charge, part of a commitment, meter where a `[[cluster_charge]]`
            names it, resource, set of tags and currency, with its largest charge.""",
            """ProviderName SubAccountId ServiceCategory ServiceName ChargeCategory
            CommitmentDiscountStatus SkuMeter ResourceId x_TagSetId BillingCurrency""",
            """BillingPeriod ProviderName SubAccountId? ServiceCategory ServiceName
            ChargeCategory CommitmentDiscountStatus? SkuMeter? ResourceId? ResourceName? x_TagSetId x_Pool? BillingCurrency
            EffectiveCost x_ChargeRows x_LargestCharge x_SourceFile x_SourceRow""",
        ),
        "owner_tag": (
            """One row per distinct set of tags or labels, dimension and owner tag in it,
            whether on the bill, in the cluster or in Git.""",
            "x_TagSetId x_Dimension x_TagKey",
            """BillingPeriod x_TagSetId x_Dimension x_TagKey x_TagValue x_OwnerValue x_Decides""",
        ),
        "known_value": (
            """Values that somebody other than the bill knows: one row per dimension, value,
            spelling and witness, with an example of where it is said.""",
            "x_Dimension x_OwnerValue x_Spelling x_Witness",
            "BillingPeriod x_Dimension x_OwnerValue x_Spelling x_Witness x_Where",
        ),
        "witness_weight": (
            """Who says whose a resource is, and how much that weighs: one row per resource,
            dimension, witness, value and currency of the weight.""",
            "ResourceId x_Dimension x_Witness x_OwnerValue BillingCurrency",
            """BillingPeriod ResourceId x_Dimension x_Witness x_OwnerValue BillingCurrency?
            x_Weight x_Where""",
        ),
        "owner_evidence": (
            """Who says whose a resource is: one row per resource, dimension, witness and value.""",
            "ResourceId x_Dimension x_Witness x_OwnerValue",
            """BillingPeriod ResourceId x_Dimension x_Witness x_OwnerValue x_Decides x_Rank x_Where""",
        ),
        "tag_fault": (
            """What is wrong in a set of tags of the bill: one row per set, dimension and fault.""",
            "x_TagSetId x_Dimension x_TagFault",
            """BillingPeriod x_TagSetId x_Dimension x_TagFault x_TagKey x_TagValue x_RightValue?
            x_RightTagKey?""",
        ),
        "account_value": (
            """What the tagged resources of an account agree on: one row per account and
            dimension.""",
            "ProviderName SubAccountId x_Dimension",
            "BillingPeriod ProviderName SubAccountId x_Dimension x_OwnerValue x_Where",
        ),
        "untagged_spend": (
            """Spend without an owner tag: one row per resource (or service and account where
            the charge has no resource) and missing dimension, with the likely value and who
            says so.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
        "misattributed_spend": (
            """Spend whose tag is wrong: one row per resource, dimension, kind of fault and
            tag, with the witnesses against the tag.""",
            "x_FindingId BillingCurrency",
            FINDING,
        ),
        "shared_spend": (
            """Spend that several use and one is billed for: one row per resource, dimension and
            tag.""",
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
