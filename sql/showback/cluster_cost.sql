-- What each cluster cost, line by line: what its workloads held, idle and reserved capacity, volumes
-- nobody mounted, network, control plane and load balancers, and what was not measured.
--
-- A line is read off the pool of the charge and the method of the row: pools of nodes and volumes
-- have workload, idle, overhead and unmounted, and are unmeasured where their owner had to be found by
-- tags; the others are one line each, whoever bears them. The lines of a cluster are all charges
-- of its pools; what moves by `[[shared_cost]]` changes hands and not lines, so it is not in here.
--
-- One row per cluster, line and currency.
select
    $period as BillingPeriod,
    BillingCurrency,
    x_Cluster,
    x_ClusterLine,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
from (
    select
        BillingCurrency, BilledCost, EffectiveCost, pool_cluster(x_Pool) as x_Cluster,
        case
            when starts_with(x_Pool, 'service/') then 'load_balancer'
            when not (starts_with(x_Pool, 'node/') or starts_with(x_Pool, 'volume/'))
                then split_part(x_Pool, '/', 1)
            when x_AllocationMethod in ('idle', 'overhead', 'unmounted') then x_AllocationMethod
            when x_AllocationMethod in ('unmeasured', 'tag', 'rule', 'unallocated')
                then 'unmeasured'
            else 'workload'
        end as x_ClusterLine
    from (
        select
            x_Pool, x_AllocationMethod, BillingCurrency, sum(BilledCost) as BilledCost,
            sum(EffectiveCost) as EffectiveCost
        from allocated_cost
        where x_Pool is not null
        group by x_Pool, x_AllocationMethod, BillingCurrency
    ) as pooled
) as cost
where x_Cluster is not null
group by BillingCurrency, x_Cluster, x_ClusterLine
order by BillingCurrency, x_Cluster, x_ClusterLine
