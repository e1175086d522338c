-- The endpoints that were called at all in the month. In an hour without a call their pods are
-- idle; the pods of a workload that nobody ever calls are not.
--
-- One row per endpoint.
select
    $period as BillingPeriod,
    x_Endpoint
from (select distinct x_Endpoint from inference_usage) as called
order by x_Endpoint
