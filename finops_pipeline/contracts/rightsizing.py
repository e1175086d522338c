"""Stage 7, rightsizing: what would make it cheaper without hurting anyone."""

from . import tables_of

RECOMMENDATION = """BillingPeriod x_RecommendationId x_Recommender x_Outcome x_Repository? x_Overlay?
    x_Cluster? x_Namespace x_WorkloadKind x_Workload x_Container x_Environment? x_Field x_Current?
    x_Proposed? x_MonthlySaving BillingCurrency? x_Reason x_Evidence"""

COMPARISON = """BillingPeriod x_Subject BillingCurrency x_Quantity x_QuantityUnit x_CurrentCost
    x_OtherCost? x_Cheaper? x_BreakEven? x_BreakEvenUnit x_Reason?"""

TABLES = tables_of(
    "rightsizing",
    "BillingPeriod",
    {
        "node_price": (
            """What nodes really cost: one row per cluster, node and currency, over the hours that
            were both billed and measured.""",
            "x_Cluster x_Node BillingCurrency",
            "BillingPeriod x_Cluster x_Node BillingCurrency EffectiveCost x_CapacityWeight",
        ),
        "container_requests": (
            """CPU and memory requests against use: one row per declared container and resource,
            `none` with the reason where no change is safe.""",
            "x_RecommendationId",
            RECOMMENDATION,
        ),
        "idle_resources": (
            """Workloads that hold GPUs or replicas and serve nobody: one row per workload.""",
            "x_RecommendationId",
            RECOMMENDATION,
        ),
        "recommendation": (
            """All answers of all recommenders: one row per recommendation.""",
            "x_RecommendationId",
            RECOMMENDATION,
        ),
        "shared_or_dedicated": (
            """A tenant's part of a shared endpoint against a replica of its own: one row per tenant,
            endpoint and currency.""",
            "x_Subject BillingCurrency",
            COMPARISON,
        ),
        "spot_or_on_demand": (
            """Hours of machines on demand against the same on spot: one row per machine type, region
            and currency.""",
            "x_Subject BillingCurrency",
            COMPARISON,
        ),
        "edge_or_cloud": (
            """Calls or tokens of a model against devices that serve it: one row per `[[edge_device]]`
            and currency.""",
            "x_Subject BillingCurrency",
            COMPARISON,
        ),
        "self_hosted_or_bought": (
            """Tokens of a model on endpoints of ours against the same at a list price: one row per
            `[[bought_model]]` and currency.""",
            "x_Subject BillingCurrency",
            COMPARISON,
        ),
        "batch_or_real_time": (
            """Calls of a bought model at the standard tier against the batch tier, by list: one row
            per provider, model and currency.""",
            "x_Subject BillingCurrency",
            COMPARISON,
        ),
    },
)
