-- The rules of finops.toml that match those charges and name their owner, with their reason.
select distinct
    r.x_Rank as rule,
    coalesce(r.x_Feature, '') as names_feature,
    coalesce(r.x_Tenant, '') as names_tenant,
    coalesce(r.x_Environment, '') as names_environment,
    a.ServiceName,
    a.ChargeCategory,
    r.x_Reason as why
from allocated_cost as a
inner join owner_rule as r
    on (r.ProviderName is null or r.ProviderName = a.ProviderName)
    and (r.SubAccountId is null or r.SubAccountId = a.SubAccountId)
    and (r.ServiceName is null or r.ServiceName = a.ServiceName)
    and (r.ServiceCategory is null or r.ServiceCategory = a.ServiceCategory)
    and (r.ChargeCategory is null or r.ChargeCategory = a.ChargeCategory)
    and (
        r.x_Feature = a.x_Feature
        or r.x_Tenant = a.x_Tenant
        or r.x_Environment = a.x_Environment
    )
where a.BillingPeriod = $period
    and a.x_AllocationMethod in ('tag', 'rule')
    and ($day is null or a.x_ChargeDay = cast($day as date))
    and ($feature is null or a.x_Feature = $feature)
    and ($tenant is null or a.x_Tenant = $tenant)
    and ($environment is null or a.x_Environment = $environment)
    and ($service is null or a.ServiceName = $service)
    and ($model is null or a.x_Model = $model)
    and (
        (r.ResourceId is null and r.CommitmentDiscountStatus is null)
        or exists (
            select 1
            from cost_and_usage as c
            where c.BillingPeriod = $period
                and (r.ResourceId is null or c.ResourceId = r.ResourceId)
                and (
                    r.CommitmentDiscountStatus is null
                    or c.CommitmentDiscountStatus = r.CommitmentDiscountStatus
                )
                and c.ServiceName = a.ServiceName
                and c.ChargeCategory = a.ChargeCategory
        )
    )
order by rule, a.ServiceName, a.ChargeCategory
