-- Proposed savings of a period by recommender.
select x_Recommender, BillingCurrency, count(*) as proposals, sum(x_MonthlySaving) as x_MonthlySaving
from recommendation
where BillingPeriod = $period and x_Outcome = 'propose'
group by x_Recommender, BillingCurrency
order by x_Recommender, BillingCurrency
