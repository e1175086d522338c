-- What `[[shared_cost]]` gave the owner and took from it: the block, the owner whose cost it is (or
-- the first and the last of them), the whole of that cost, the weight and its unit, and what moved.
with
move as (
    select
        x_SharedBy, x_Move, x_ChargeDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment, x_Feature, x_Tenant, x_Environment,
        sum(EffectiveCost) as EffectiveCost
    from shared_cost
    where BillingPeriod = $period
        and ($day is null or x_ChargeDay = cast($day as date))
        and ($service is null or ServiceName = $service)
    group by all
),
taken as (
    select
        x_SharedBy, x_ChargeDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment, -sum(EffectiveCost) as EffectiveCost,
        min(x_Feature || '/' || x_Tenant || '/' || x_Environment) as first_owner,
        max(x_Feature || '/' || x_Tenant || '/' || x_Environment) as last_owner
    from move
    where x_Move = 'taken'
    group by
        x_SharedBy, x_ChargeDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment
),
weight as (
    select
        x_SharedBy, x_FromDay, x_UntilDay, BillingCurrency, x_Pool, x_SharedFeature,
        x_SharedTenant, x_SharedEnvironment, x_Feature, x_Tenant, x_Environment, x_WeightUnit,
        x_Weight,
        sum(x_Weight) over (
            partition by
                x_SharedBy, x_FromDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
                x_SharedEnvironment
        ) as of_weight
    from shared_weight
    where BillingPeriod = $period
),
given as (
    select
        m.x_SharedBy, m.x_Pool, m.x_SharedFeature, m.x_SharedTenant, m.x_SharedEnvironment,
        m.x_Feature, m.x_Tenant, m.x_Environment, w.x_WeightUnit, w.x_Weight, w.of_weight,
        m.BillingCurrency,
        min(t.first_owner) as first_owner, max(t.last_owner) as last_owner,
        sum(t.EffectiveCost) as shared_cost, sum(m.EffectiveCost) as EffectiveCost
    from move as m
    inner join taken as t
        on t.x_SharedBy = m.x_SharedBy
        and t.x_ChargeDay = m.x_ChargeDay
        and t.BillingCurrency = m.BillingCurrency
        and t.x_Pool is not distinct from m.x_Pool
        and t.x_SharedFeature is not distinct from m.x_SharedFeature
        and t.x_SharedTenant is not distinct from m.x_SharedTenant
        and t.x_SharedEnvironment is not distinct from m.x_SharedEnvironment
    inner join weight as w
        on w.x_SharedBy = m.x_SharedBy
        and w.x_FromDay <= m.x_ChargeDay
        and w.x_UntilDay > m.x_ChargeDay
        and w.BillingCurrency = m.BillingCurrency
        and w.x_Pool is not distinct from m.x_Pool
        and w.x_SharedFeature is not distinct from m.x_SharedFeature
        and w.x_SharedTenant is not distinct from m.x_SharedTenant
        and w.x_SharedEnvironment is not distinct from m.x_SharedEnvironment
        and w.x_Feature = m.x_Feature
        and w.x_Tenant = m.x_Tenant
        and w.x_Environment = m.x_Environment
    where m.x_Move = 'given'
    group by all
)
select
    x_SharedBy as shared_by,
    case
        when first_owner = last_owner then first_owner
        else first_owner || ' to ' || last_owner
    end as taken_from,
    coalesce(x_Pool, '(by tag)') as x_Pool,
    x_Feature || '/' || x_Tenant || '/' || x_Environment as given_to,
    x_WeightUnit,
    x_Weight as weight,
    of_weight,
    shared_cost,
    EffectiveCost
from given
where (
        ($feature is null or x_Feature = $feature)
        and ($tenant is null or x_Tenant = $tenant)
        and ($environment is null or x_Environment = $environment)
    )
    or x_SharedBy in (
        select x_SharedBy
        from move
        where x_Move = 'taken'
            and ($feature is null or x_Feature = $feature)
            and ($tenant is null or x_Tenant = $tenant)
            and ($environment is null or x_Environment = $environment)
    )
order by abs(EffectiveCost) desc, shared_by, taken_from, x_Pool, given_to
