"""Stage 7, rightsizing: what would make it cheaper without hurting anyone."""

from . import tables_of

RECOMMENDATION = """BillingPeriod x_RecommendationId x_Recommender x_Outcome x_Repository? x_Overlay?
    x_Cluster? x_Namespace x_WorkloadKind x_Workload x_Container x_Environment? x_Field x_Current?
    x_Proposed? x_MonthlySaving BillingCurrency? x_Reason x_Evidence"""

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
    },
)
