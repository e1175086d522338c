-- What `[[shared_cost]]` blocks take of the direct allocation: each row goes to the first block
-- that holds on its day and asks for it, whole. Quarantined rows stay where they are.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per block, day, invoice, service, owner, model and pool.
with
matched as (
    select
        r.x_SharedBy, c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.ServiceCategory, c.ServiceName, c.x_Pool, c.x_Feature, c.x_Tenant, c.x_Environment,
        c.x_Model, c.BilledCost, c.EffectiveCost,
        row_number() over (
            partition by
                c.x_PoolId, c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model, c.x_Endpoint,
                c.x_AllocationMethod
            order by r.x_Rank
        ) as place
    from allocated_cost as c
    inner join shared_rule as r
        on (r.x_FromDay is null or c.x_ChargeDay >= r.x_FromDay)
        and (r.x_UntilDay is null or c.x_ChargeDay < r.x_UntilDay)
        and (r.x_Feature is null or r.x_Feature = c.x_Feature)
        and (r.x_Tenant is null or r.x_Tenant = c.x_Tenant)
        and (r.x_Environment is null or r.x_Environment = c.x_Environment)
        and (r.x_AllocationMethod is null or r.x_AllocationMethod = c.x_AllocationMethod)
        and (r.ProviderName is null or r.ProviderName = c.ProviderName)
        and (r.SubAccountId is null or r.SubAccountId = c.SubAccountId)
        and (r.ServiceName is null or r.ServiceName = c.ServiceName)
        and (r.ServiceCategory is null or r.ServiceCategory = c.ServiceCategory)
        and (r.ChargeCategory is null or r.ChargeCategory = c.ChargeCategory)
    where c.x_AllocationMethod <> 'quarantined'
        and c.x_ChargeDay >= cast($from_day as date)
        and c.x_ChargeDay < cast($until_day as date)
)
select
    $period as BillingPeriod,
    x_SharedBy,
    x_ChargeDay,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    ServiceCategory,
    ServiceName,
    x_Pool,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
from matched
where place = 1
group by
    x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_Feature, x_Tenant, x_Environment, x_Model
order by
    x_ChargeDay, x_SharedBy, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_Feature, x_Tenant, x_Environment, x_Model
