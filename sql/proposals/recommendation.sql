-- The answers of the recommenders for one period, as proposals.plan() takes them.
select * from recommendation where BillingPeriod = $period order by x_RecommendationId
