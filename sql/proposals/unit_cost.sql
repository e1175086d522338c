-- Unit costs of one period.
select * from unit_cost
where BillingPeriod = $period
order by BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
