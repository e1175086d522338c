-- The proposed changes that save most, at most $top.
--
-- One row per proposal.
select
    x_RecommendationId,
    x_Recommender,
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
from recommendation
where BillingPeriod = $period and x_Outcome = 'propose'
order by x_MonthlySaving desc, x_RecommendationId
limit $top;
