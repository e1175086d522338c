-- All answers of all recommenders. A new recommender adds its own file and one line here.
--
-- One row per recommendation.
with
answer as (
    select * from container_requests
    union all
    select * from idle_resources
)
select
    BillingPeriod,
    x_RecommendationId,
    x_Recommender,
    x_Outcome,
    x_Repository,
    x_Overlay,
    x_Cluster,
    x_Namespace,
    x_WorkloadKind,
    x_Workload,
    x_Container,
    x_Environment,
    x_Field,
    x_Current,
    x_Proposed,
    x_MonthlySaving,
    BillingCurrency,
    x_Reason,
    x_Evidence
from answer
order by x_RecommendationId
