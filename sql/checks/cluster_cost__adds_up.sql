-- The lines of a cluster add up to the charges of its pools, exactly, in every period and currency:
-- nothing of a cluster is in no line, and nothing is in two.
with
charge as (
    select
        BillingPeriod, BillingCurrency, pool_cluster(x_Pool) as x_Cluster,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from (
        select
            BillingPeriod, BillingCurrency, x_Pool, sum(BilledCost) as BilledCost,
            sum(EffectiveCost) as EffectiveCost
        from charge_owner
        where x_Pool is not null
        group by BillingPeriod, BillingCurrency, x_Pool
    ) as pooled
    group by BillingPeriod, BillingCurrency, pool_cluster(x_Pool)
),
shown as (
    select
        BillingPeriod, BillingCurrency, x_Cluster, sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from cluster_cost
    group by BillingPeriod, BillingCurrency, x_Cluster
)
select
    coalesce(c.BillingPeriod, s.BillingPeriod) as BillingPeriod,
    coalesce(c.BillingCurrency, s.BillingCurrency) as BillingCurrency,
    coalesce(c.x_Cluster, s.x_Cluster) as x_Cluster,
    c.BilledCost as billed, s.BilledCost as billed_shown,
    c.EffectiveCost as effective, s.EffectiveCost as effective_shown
from (select * from charge where x_Cluster is not null) as c
full join shown as s
    on s.BillingPeriod = c.BillingPeriod
    and s.BillingCurrency = c.BillingCurrency
    and s.x_Cluster = c.x_Cluster
where c.BilledCost is distinct from s.BilledCost
    or c.EffectiveCost is distinct from s.EffectiveCost
