-- How many changes are proposed, and what they would save a month.
--
-- One row per currency.
select
    BillingCurrency,
    count(*) as x_Proposals,
    sum(x_MonthlySaving) as x_MonthlySaving
from recommendation
where BillingPeriod = $period and x_Outcome = 'propose'
group by BillingCurrency
order by x_MonthlySaving desc, BillingCurrency;
