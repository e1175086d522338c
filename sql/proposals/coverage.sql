-- Coverage of one period.
select * from coverage where BillingPeriod = $period order by BillingCurrency, x_Dimension
