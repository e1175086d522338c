-- Unit costs of one period, of those who have a cost.
select * from unit_cost
where BillingPeriod = $period and BillingCurrency <> 'XXX'
order by BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
