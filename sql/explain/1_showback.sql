-- The showback numbers asked about: what the filters match, by service, model and method.
select
    BillingPeriod, BillingCurrency, ServiceName, x_Feature, x_Tenant, x_Environment, x_Model,
    x_AllocationMethod,
    sum(BilledCost) as BilledCost,
    sum(EffectiveCost) as EffectiveCost
from showback
where BillingPeriod = $period
    and ($day is null or x_ChargeDay = cast($day as date))
    and ($feature is null or x_Feature = $feature)
    and ($tenant is null or x_Tenant = $tenant)
    and ($environment is null or x_Environment = $environment)
    and ($service is null or ServiceName = $service)
    and ($model is null or x_Model = $model)
group by
    BillingPeriod, BillingCurrency, ServiceName, x_Feature, x_Tenant, x_Environment, x_Model,
    x_AllocationMethod
order by abs(sum(EffectiveCost)) desc, ServiceName, x_Feature, x_Tenant, x_Environment, x_Model,
    x_AllocationMethod
