-- Which charges have an owner by their tags or by a rule, and which must be split by use.
--
-- A charge on a node of a cluster belongs to the pool of that cluster, one of a volume to that of the
-- cluster's volumes; a charge that an
-- `[[inference_split]]` matches belongs to the pool of that split, or of its endpoint where the
-- split tells them apart; a charge of a function whose invocations are logged to the pool of that
-- function and of what the charge counts. Of these, charges for longer than a day are a pool with
-- those for the same days alone, for they are split among all who called in them. What a
-- `[[cluster_charge]]` matches is a pool of that block and cluster, also where it is on a node; a load
-- balancer of a Service a pool of the Service. Pools are split by usage_share and its like; the
-- owner named here is what remains for a pool nobody measured. Rules fill only what tags left open,
-- the first that matches wins.
--
-- What nobody used of a commitment is a pool too, unless its buyer bears it: of its EffectiveCost
-- only, for what its fee bills stays with who bought it. If its users bear it, charges that used
-- it are kept apart by commitment, so that it is known who they are once nodes are split.
--
-- One row per pool (what charges share: day or days, invoice, service, ...) and owner by tag or rule.
with
-- Services are few: only of those that a split may name is it asked how long a charge is for.
split_service as (
    select distinct k.ServiceName
    from charge_kind as k
    inner join inference_split as s on s.ServiceName is null or s.ServiceName = k.ServiceName
),
-- Charges are grouped by numbers: one for all that the bill's kinds have in text, and, as few owners
-- stand behind many sets of tags, one for the owner.
kind as (
    select
        k.InvoiceId, k.BillingCurrency, k.ProviderName, k.SubAccountId, k.ServiceCategory,
        k.ServiceName, k.ChargeCategory, s.ServiceName is not null as may_be_split,
        row_number() over (
            order by
                k.InvoiceId, k.BillingCurrency, k.ProviderName, k.SubAccountId, k.ServiceCategory,
                k.ServiceName, k.ChargeCategory
        ) as kind_no
    from charge_kind as k
    left join split_service as s on s.ServiceName = k.ServiceName
),
named_status as (
    select CommitmentDiscountStatus from owner_rule where CommitmentDiscountStatus is not null
    union
    select CommitmentDiscountStatus
    from inference_split
    where CommitmentDiscountStatus is not null
    union
    select CommitmentDiscountStatus
    from cluster_charge
    where CommitmentDiscountStatus is not null
),
named_meter as (
    select distinct SkuMeter from cluster_charge where SkuMeter is not null
),
owner as (
    select
        x_Feature, x_Tenant, x_Environment,
        row_number() over (order by x_Feature, x_Tenant, x_Environment) as owner_no
    from (select distinct x_Feature, x_Tenant, x_Environment from tag_owner) as named
),
tag_set_owner as (
    select t.x_TagSetId, o.owner_no
    from tag_owner as t
    inner join owner as o
        on o.x_Feature is not distinct from t.x_Feature
        and o.x_Tenant is not distinct from t.x_Tenant
        and o.x_Environment is not distinct from t.x_Environment
),
-- What is known of a resource, so that ten million ids are looked up once.
known_resource as (
    select
        ResourceId,
        coalesce(
            max(case told when 'node' then x_Pool end), max(case told when 'volume' then x_Pool end)
        ) as cluster_pool,
        max(case when told in ('endpoint', 'function') then x_Pool end) as endpoint_pool,
        max(case told when 'service' then x_Pool end) as service_pool,
        count(case told when 'function' then 1 end) > 0 as is_function,
        count(case told when 'block' then 1 end) > 0 as is_named
    from (
        select ResourceId, 'node' as told, 'node/' || x_Cluster as x_Pool from node_id
        union all
        select ResourceId, 'volume' as told, 'volume/' || x_Cluster as x_Pool from volume_id
        union all
        select
            ResourceId,
            case when x_Function is null then 'endpoint' else 'function' end as told,
            x_Pool
        from endpoint_id
        union all
        select ResourceId, 'service' as told, x_Pool from load_balancer_id
        union all
        select ResourceId, 'block' as told, null as x_Pool from owner_rule
        union all
        select ResourceId, 'block' as told, null as x_Pool from inference_split
        union all
        select ResourceId, 'block' as told, null as x_Pool from cluster_charge
    ) as known
    where ResourceId is not null
    group by ResourceId
),
line as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        kind.kind_no,
        tag_set_owner.owner_no,
        r.cluster_pool,
        case
            when r.is_function
                then r.endpoint_pool || '/' || function_component(
                    coalesce(c.SkuMeter, c.ChargeDescription), c.ConsumedUnit
                )
            else coalesce(r.endpoint_pool, r.service_pool)
        end as endpoint_pool,
        case when r.is_named then c.ResourceId end as ResourceId,
        named_meter.SkuMeter,
        named_status.CommitmentDiscountStatus,
        case
            when $unused_commitment = 'users' and c.CommitmentDiscountStatus in ('Used', 'Unused')
                then c.CommitmentDiscountId
        end as CommitmentDiscountId,
        -- The longest day has 25 hours.
        case
            when $unused_commitment <> 'buyer' and c.CommitmentDiscountStatus = 'Unused'
                then c.ChargePeriodEnd > c.ChargePeriodStart + interval 25 hour
        end as is_long_unused,
        case
            when kind.may_be_split or r.is_function
                then charge_until_day(c.ChargePeriodStart, c.ChargePeriodEnd)
        end as x_ChargeUntilDay,
        c.BilledCost,
        c.EffectiveCost
    from cost_and_usage as c
    inner join kind
        on kind.InvoiceId = c.InvoiceId
        and kind.BillingCurrency = c.BillingCurrency
        and kind.ProviderName = c.ProviderName
        and kind.SubAccountId is not distinct from c.SubAccountId
        and kind.ServiceCategory = c.ServiceCategory
        and kind.ServiceName = c.ServiceName
        and kind.ChargeCategory = c.ChargeCategory
    left join tag_set_owner on tag_set_owner.x_TagSetId = c.x_TagSetId
    left join known_resource as r on r.ResourceId = c.ResourceId
    left join named_meter on named_meter.SkuMeter = c.SkuMeter
    left join named_status
        on named_status.CommitmentDiscountStatus = c.CommitmentDiscountStatus
),
day_charge as (
    select
        x_ChargeDay, kind_no, owner_no, cluster_pool, endpoint_pool, ResourceId, SkuMeter,
        CommitmentDiscountStatus, CommitmentDiscountId, is_long_unused, x_ChargeUntilDay,
        count(*) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from line
    group by
        x_ChargeDay, kind_no, owner_no, cluster_pool, endpoint_pool, ResourceId, SkuMeter,
        CommitmentDiscountStatus, CommitmentDiscountId, is_long_unused, x_ChargeUntilDay
),
-- What rules look at, once each: far fewer rows than charges.
asked as (
    select
        d.kind_no, k.ProviderName, k.SubAccountId, k.ServiceName, k.ServiceCategory,
        k.ChargeCategory, d.ResourceId, d.CommitmentDiscountStatus
    from (select distinct kind_no, ResourceId, CommitmentDiscountStatus from day_charge) as d
    inner join kind as k on k.kind_no = d.kind_no
),
ruled as (
    select
        a.kind_no, a.ResourceId, a.CommitmentDiscountStatus,
        arg_min(r.x_Feature, r.x_Rank) filter (where r.x_Feature is not null) as x_Feature,
        arg_min(r.x_Tenant, r.x_Rank) filter (where r.x_Tenant is not null) as x_Tenant,
        arg_min(r.x_Environment, r.x_Rank)
            filter (where r.x_Environment is not null) as x_Environment
    from asked as a
    inner join owner_rule as r
        on (r.ProviderName is null or r.ProviderName = a.ProviderName)
        and (r.SubAccountId is null or r.SubAccountId = a.SubAccountId)
        and (r.ServiceName is null or r.ServiceName = a.ServiceName)
        and (r.ServiceCategory is null or r.ServiceCategory = a.ServiceCategory)
        and (r.ChargeCategory is null or r.ChargeCategory = a.ChargeCategory)
        and (r.ResourceId is null or r.ResourceId = a.ResourceId)
        and (
            r.CommitmentDiscountStatus is null
            or r.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
    group by a.kind_no, a.ResourceId, a.CommitmentDiscountStatus
),
split as (
    select
        a.kind_no, a.ResourceId, a.CommitmentDiscountStatus, e.endpoint_pool,
        arg_min(
            case
                when s.x_EndpointStart is null then 'inference/' || s.x_Name
                else e.endpoint_pool
            end,
            s.x_Rank
        ) as x_Pool
    from asked as a
    inner join (
        select distinct kind_no, ResourceId, CommitmentDiscountStatus, endpoint_pool
        from day_charge
    ) as e
        on e.kind_no = a.kind_no
        and e.ResourceId is not distinct from a.ResourceId
        and e.CommitmentDiscountStatus is not distinct from a.CommitmentDiscountStatus
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = a.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = a.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = a.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = a.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = a.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = a.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
        and (
            s.x_EndpointStart is null
            or starts_with(e.endpoint_pool, 'inference/' || s.x_Name || '/')
        )
    group by a.kind_no, a.ResourceId, a.CommitmentDiscountStatus, e.endpoint_pool
),
of_cluster as (
    select
        a.kind_no, a.ResourceId, a.CommitmentDiscountStatus, m.SkuMeter,
        arg_min(b.x_Pool, b.x_Rank) as x_Pool
    from asked as a
    inner join (
        select distinct kind_no, ResourceId, CommitmentDiscountStatus, SkuMeter
        from day_charge
        where (select count(*) from cluster_charge) > 0
    ) as m
        on m.kind_no = a.kind_no
        and m.ResourceId is not distinct from a.ResourceId
        and m.CommitmentDiscountStatus is not distinct from a.CommitmentDiscountStatus
    inner join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = a.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = a.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = a.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = a.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = a.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = a.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = m.SkuMeter)
    group by a.kind_no, a.ResourceId, a.CommitmentDiscountStatus, m.SkuMeter
),
owned as (
    select
        c.x_ChargeDay, c.kind_no,
        case
            when split.x_Pool is not null then split.x_Pool
            when starts_with(c.endpoint_pool, 'service/') then c.endpoint_pool
            when of_cluster.x_Pool is not null then of_cluster.x_Pool
            when c.cluster_pool is not null then c.cluster_pool
            when starts_with(c.endpoint_pool, 'function/') then c.endpoint_pool
        end as x_Pool,
        c.CommitmentDiscountId, c.is_long_unused,
        case
            when split.x_Pool is not null then c.x_ChargeUntilDay
            when of_cluster.x_Pool is null and c.cluster_pool is null
                and starts_with(c.endpoint_pool, 'function/')
                then c.x_ChargeUntilDay
        end as x_ChargeUntilDay,
        case
            when split.x_Pool is not null or c.EffectiveCost = 0 then null
            when c.is_long_unused then 'commitment/' || $unused_commitment || '/month'
            when not c.is_long_unused then 'commitment/' || $unused_commitment
        end as commitment_pool,
        coalesce(owner.x_Feature, ruled.x_Feature, '(unallocated)') as x_Feature,
        coalesce(owner.x_Tenant, ruled.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(owner.x_Environment, ruled.x_Environment, '(unallocated)') as x_Environment,
        case
            when coalesce(owner.x_Feature, owner.x_Tenant, owner.x_Environment) is not null
                then 'tag'
            when coalesce(ruled.x_Feature, ruled.x_Tenant, ruled.x_Environment) is not null
                then 'rule'
            else 'unallocated'
        end as x_AllocationMethod,
        c.x_ChargeRows, c.BilledCost, c.EffectiveCost
    from day_charge as c
    left join owner on owner.owner_no = c.owner_no
    left join ruled
        on ruled.kind_no = c.kind_no
        and ruled.ResourceId is not distinct from c.ResourceId
        and ruled.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    left join split
        on split.kind_no = c.kind_no
        and split.ResourceId is not distinct from c.ResourceId
        and split.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
        and split.endpoint_pool is not distinct from c.endpoint_pool
    left join of_cluster
        on of_cluster.kind_no = c.kind_no
        and of_cluster.ResourceId is not distinct from c.ResourceId
        and of_cluster.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
        and of_cluster.SkuMeter is not distinct from c.SkuMeter
),
parted as (
    select
        x_ChargeDay, kind_no, coalesce(commitment_pool, x_Pool) as x_Pool,
        case when commitment_pool is not null or is_long_unused is null
            then CommitmentDiscountId end as CommitmentDiscountId,
        case when commitment_pool is null then x_ChargeUntilDay end as x_ChargeUntilDay,
        x_Feature, x_Tenant, x_Environment, x_AllocationMethod, x_ChargeRows,
        case when commitment_pool is null then BilledCost else 0 end as BilledCost,
        EffectiveCost
    from owned
    union all
    -- The charge was counted above.
    select
        x_ChargeDay, kind_no, x_Pool, null as CommitmentDiscountId, x_ChargeUntilDay, x_Feature,
        x_Tenant, x_Environment, x_AllocationMethod, 0 as x_ChargeRows, BilledCost,
        0 as EffectiveCost
    from owned
    where commitment_pool is not null and BilledCost <> 0
),
grouped as (
    select
        x_ChargeDay, kind_no, x_Pool, CommitmentDiscountId, x_ChargeUntilDay, x_Feature, x_Tenant,
        x_Environment, x_AllocationMethod,
        cast(sum(x_ChargeRows) as bigint) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from parted
    group by
        x_ChargeDay, kind_no, x_Pool, CommitmentDiscountId, x_ChargeUntilDay, x_Feature, x_Tenant,
        x_Environment, x_AllocationMethod
),
-- A pool has its id once, and ids in order have numbers in order.
pool as (
    select
        x_ChargeDay, kind_no, x_Pool, CommitmentDiscountId, x_ChargeUntilDay, x_PoolId,
        row_number() over (order by x_ChargeDay, x_PoolId) as pool_no
    from (
        select
            g.x_ChargeDay, g.kind_no, g.x_Pool, g.CommitmentDiscountId, g.x_ChargeUntilDay,
            md5(concat_ws(
                chr(31), g.x_ChargeDay, k.InvoiceId, k.BillingCurrency, k.ProviderName,
                coalesce(k.SubAccountId, ''), k.ServiceCategory, k.ServiceName, k.ChargeCategory,
                coalesce(g.x_Pool, ''), g.CommitmentDiscountId,
                'until ' || g.x_ChargeUntilDay
            )) as x_PoolId
        from (
            select distinct
                x_ChargeDay, kind_no, x_Pool, CommitmentDiscountId, x_ChargeUntilDay
            from grouped
        ) as g
        inner join kind as k on k.kind_no = g.kind_no
    ) as pooled
)
select
    $period as BillingPeriod,
    p.x_PoolId,
    g.x_ChargeDay,
    k.InvoiceId,
    k.BillingCurrency,
    k.ProviderName,
    k.SubAccountId,
    k.ServiceCategory,
    k.ServiceName,
    k.ChargeCategory,
    g.x_Pool,
    g.CommitmentDiscountId,
    g.x_ChargeUntilDay,
    g.x_Feature,
    g.x_Tenant,
    g.x_Environment,
    g.x_AllocationMethod,
    g.x_ChargeRows,
    cast(g.BilledCost as decimal(38, 12)) as BilledCost,
    cast(g.EffectiveCost as decimal(38, 12)) as EffectiveCost
from grouped as g
inner join kind as k on k.kind_no = g.kind_no
inner join pool as p
    on p.x_ChargeDay = g.x_ChargeDay
    and p.kind_no = g.kind_no
    and p.x_Pool is not distinct from g.x_Pool
    and p.CommitmentDiscountId is not distinct from g.CommitmentDiscountId
    and p.x_ChargeUntilDay is not distinct from g.x_ChargeUntilDay
order by p.pool_no, g.x_Feature, g.x_Tenant, g.x_Environment, g.x_AllocationMethod
