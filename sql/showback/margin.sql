-- What is left of what each tenant pays, without training and with it.
--
-- The cost is that of the showback, shared moves included. Training runs of the month are taken out
-- of it, for they serve other months, too; with training, what the tenant bears of the versions that
-- served it is taken instead, and what was written off. Where a tenant's revenue names features, the
-- tenant is told by feature, and revenue that names none is of `(unallocated)`; else its feature is
-- `(all)`. Nobody is left out: a tenant that pays nothing has its cost, revenue without a cost is a
-- row. Nothing is converted: revenue in another currency than the cost is a row of its own.
--
-- One row per billing period, currency and tenant, and per feature where revenue names features.
with
paid as (
    select
        r.BillingPeriod, r.BillingCurrency,
        coalesce(t.x_To, spelt_value(r.x_Tenant)) as x_Tenant,
        coalesce(f.x_To, spelt_value(r.x_Feature)) as x_Feature,
        r.x_Revenue
    from revenue as r
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = spelt_value(r.x_Tenant)
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = spelt_value(r.x_Feature)
),
by_feature as (
    select distinct BillingPeriod, BillingCurrency, x_Tenant
    from paid
    where x_Feature is not null
),
line as (
    select
        BillingPeriod, BillingCurrency, x_Tenant, coalesce(x_Feature, '(unallocated)')
            as x_Feature,
        x_Revenue, 0 as direct, 0 as moved, 0 as run, 0 as training, 0 as written_off
    from paid
    union all
    select
        BillingPeriod, BillingCurrency, x_Tenant, x_Feature, null as x_Revenue,
        x_DirectCost as direct, x_MovedCost as moved, x_RunCost as run, 0 as training,
        0 as written_off
    from tenant_cost
    union all
    select
        BillingPeriod, BillingCurrency, x_Tenant, x_Feature, null as x_Revenue, 0 as direct,
        0 as moved, 0 as run, x_TrainingCost as training, x_WriteOffCost as written_off
    from model_cost
    where x_TrainingCost <> 0 or x_WriteOffCost <> 0
),
summed as (
    select
        l.BillingPeriod, l.BillingCurrency, l.x_Tenant,
        case when b.x_Tenant is null then '(all)' else l.x_Feature end as x_Feature,
        sum(l.x_Revenue) as x_Revenue,
        sum(l.direct) + sum(l.moved) as EffectiveCost,
        sum(l.direct) as direct, sum(l.moved) as moved, sum(l.run) as run,
        sum(l.training) as training, sum(l.written_off) as written_off
    from line as l
    left join by_feature as b
        on b.BillingPeriod = l.BillingPeriod
        and b.BillingCurrency = l.BillingCurrency
        and b.x_Tenant = l.x_Tenant
    group by
        l.BillingPeriod, l.BillingCurrency, l.x_Tenant,
        case when b.x_Tenant is null then '(all)' else l.x_Feature end
),
left_over as (
    select
        *,
        cast(coalesce(x_Revenue, 0) - (EffectiveCost - run) as decimal(38, 12)) as margin,
        cast(
            coalesce(x_Revenue, 0) - (EffectiveCost - run) - training - written_off
            as decimal(38, 12)
        ) as margin_with_training,
        count(*) filter (where x_Revenue is not null) over (
            partition by BillingPeriod, x_Tenant
        ) > 0 as pays_somewhere
    from summed
)
select
    BillingPeriod,
    BillingCurrency,
    x_Tenant,
    x_Feature,
    cast(x_Revenue as decimal(38, 12)) as x_Revenue,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(direct as decimal(38, 12)) as x_DirectCost,
    cast(moved as decimal(38, 12)) as x_MovedCost,
    cast(run as decimal(38, 12)) as x_RunCost,
    cast(training as decimal(38, 12)) as x_TrainingCost,
    cast(written_off as decimal(38, 12)) as x_WriteOffCost,
    margin as x_Margin,
    cast(permille(margin, x_Revenue) as bigint) as x_MarginPermille,
    margin_with_training as x_MarginWithTraining,
    cast(permille(margin_with_training, x_Revenue) as bigint) as x_MarginWithTrainingPermille,
    case
        when x_Revenue is null and pays_somewhere then
            'its revenue of the period is for another feature or in another currency'
        when x_Revenue is null then 'no revenue of the period is known'
    end as x_Reason
from left_over
order by BillingPeriod, BillingCurrency, x_Tenant, x_Feature
