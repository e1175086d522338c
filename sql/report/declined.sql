-- Why no change is proposed, where none is. Reasons that differ only in their numbers are counted
-- together and told by one of them.
--
-- One row per recommender and reason, at most $top.
select
    x_Recommender,
    count(*) as x_Answers,
    min(x_Reason) as x_Reason
from recommendation
where BillingPeriod = $period and x_Outcome = 'none'
group by x_Recommender, regexp_replace(x_Reason, '[0-9]+([.,][0-9]+)*', '0', 'g')
order by x_Answers desc, x_Recommender, x_Reason
limit $top;
