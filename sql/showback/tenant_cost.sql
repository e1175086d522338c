-- What each tenant cost, feature by feature, before and after sharing: what a margin is taken of,
-- in few rows.
--
-- x_RunCost is what of it training runs cost that belong to the tenant. Who is served by them is
-- another question, so a margin leaves it out and takes what the tenant bears instead. It stays
-- with the owner of the run, wherever `[[shared_cost]]` moved the money.
--
-- One row per currency, tenant and feature.
with
line as (
    select
        BillingCurrency, x_Tenant, x_Feature,
        case when x_AllocationMethod <> 'shared' then EffectiveCost else 0 end as direct,
        case when x_AllocationMethod = 'shared' then EffectiveCost else 0 end as moved,
        0 as run
    from showback
    union all
    select
        BillingCurrency, x_Tenant, x_Feature, 0 as direct, 0 as moved, EffectiveCost as run
    from training_run
)
select
    $period as BillingPeriod,
    BillingCurrency,
    x_Tenant,
    x_Feature,
    cast(sum(direct) + sum(moved) as decimal(38, 12)) as EffectiveCost,
    cast(sum(direct) as decimal(38, 12)) as x_DirectCost,
    cast(sum(moved) as decimal(38, 12)) as x_MovedCost,
    cast(sum(run) as decimal(38, 12)) as x_RunCost
from line
group by BillingCurrency, x_Tenant, x_Feature
order by BillingCurrency, x_Tenant, x_Feature
