-- Which charges have an owner by their tags or by a rule, and which must be split by use.
--
-- A charge on a node of a cluster belongs to the pool of that cluster; a charge that an
-- `[[inference_split]]` matches belongs to the pool of that split. Pools are split by
-- usage_share; the owner named here is what remains for a pool nobody measured. Rules fill only
-- what tags left open, the first that matches wins.
--
-- What nobody used of a commitment is a pool too, unless its buyer bears it: of its EffectiveCost
-- only, for what its fee bills stays with who bought it. If its users bear it, charges that used
-- it are kept apart by commitment, so that it is known who they are once nodes are split.
--
-- One row per pool (what charges share: day, invoice, service, ...) and owner by tag or rule.
with
named_resource as (
    select ResourceId from owner_rule where ResourceId is not null
    union
    select ResourceId from inference_split where ResourceId is not null
),
named_status as (
    select CommitmentDiscountStatus from owner_rule where CommitmentDiscountStatus is not null
    union
    select CommitmentDiscountStatus
    from inference_split
    where CommitmentDiscountStatus is not null
),
-- Few owners stand behind many sets of tags: charges are grouped by a number for the owner.
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
line as (
    select
        cast(cost_and_usage.ChargePeriodStart as date) as x_ChargeDay,
        cost_and_usage.InvoiceId,
        cost_and_usage.BillingCurrency,
        cost_and_usage.ProviderName,
        cost_and_usage.SubAccountId,
        cost_and_usage.ServiceCategory,
        cost_and_usage.ServiceName,
        cost_and_usage.ChargeCategory,
        tag_set_owner.owner_no,
        node_id.x_Cluster,
        named_resource.ResourceId,
        named_status.CommitmentDiscountStatus,
        case
            when $unused_commitment = 'users'
                and cost_and_usage.CommitmentDiscountStatus in ('Used', 'Unused')
                then cost_and_usage.CommitmentDiscountId
        end as CommitmentDiscountId,
        -- The longest day has 25 hours.
        case
            when $unused_commitment <> 'buyer'
                and cost_and_usage.CommitmentDiscountStatus = 'Unused'
                then cost_and_usage.ChargePeriodEnd
                    > cost_and_usage.ChargePeriodStart + interval 25 hour
        end as is_long_unused,
        cost_and_usage.BilledCost,
        cost_and_usage.EffectiveCost
    from cost_and_usage
    left join tag_set_owner on tag_set_owner.x_TagSetId = cost_and_usage.x_TagSetId
    left join node_id on node_id.ResourceId = cost_and_usage.ResourceId
    left join named_resource on named_resource.ResourceId = cost_and_usage.ResourceId
    left join named_status
        on named_status.CommitmentDiscountStatus = cost_and_usage.CommitmentDiscountStatus
),
day_charge as (
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, owner_no, x_Cluster, ResourceId,
        CommitmentDiscountStatus, CommitmentDiscountId, is_long_unused,
        count(*) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from line
    group by
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, owner_no, x_Cluster, ResourceId,
        CommitmentDiscountStatus, CommitmentDiscountId, is_long_unused
),
-- What rules look at, once each: far fewer rows than charges.
kind as (
    select distinct
        ProviderName, SubAccountId, ServiceName, ServiceCategory, ChargeCategory, ResourceId,
        CommitmentDiscountStatus
    from day_charge
),
ruled as (
    select
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId, kind.CommitmentDiscountStatus,
        arg_min(r.x_Feature, r.x_Rank) filter (where r.x_Feature is not null) as x_Feature,
        arg_min(r.x_Tenant, r.x_Rank) filter (where r.x_Tenant is not null) as x_Tenant,
        arg_min(r.x_Environment, r.x_Rank)
            filter (where r.x_Environment is not null) as x_Environment
    from kind
    inner join owner_rule as r
        on (r.ProviderName is null or r.ProviderName = kind.ProviderName)
        and (r.SubAccountId is null or r.SubAccountId = kind.SubAccountId)
        and (r.ServiceName is null or r.ServiceName = kind.ServiceName)
        and (r.ServiceCategory is null or r.ServiceCategory = kind.ServiceCategory)
        and (r.ChargeCategory is null or r.ChargeCategory = kind.ChargeCategory)
        and (r.ResourceId is null or r.ResourceId = kind.ResourceId)
        and (
            r.CommitmentDiscountStatus is null
            or r.CommitmentDiscountStatus = kind.CommitmentDiscountStatus
        )
    group by
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId, kind.CommitmentDiscountStatus
),
split as (
    select
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId, kind.CommitmentDiscountStatus,
        arg_min(s.x_Name, s.x_Rank) as x_Name
    from kind
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = kind.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = kind.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = kind.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = kind.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = kind.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = kind.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = kind.CommitmentDiscountStatus
        )
    group by
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId, kind.CommitmentDiscountStatus
),
owned as (
    select
        c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId,
        c.ServiceCategory, c.ServiceName, c.ChargeCategory,
        case
            when split.x_Name is not null then 'inference/' || split.x_Name
            when c.x_Cluster is not null then 'node/' || c.x_Cluster
        end as x_Pool,
        c.CommitmentDiscountId, c.is_long_unused,
        case
            when split.x_Name is not null or c.EffectiveCost = 0 then null
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
        on ruled.ProviderName = c.ProviderName
        and ruled.SubAccountId is not distinct from c.SubAccountId
        and ruled.ServiceName = c.ServiceName
        and ruled.ServiceCategory = c.ServiceCategory
        and ruled.ChargeCategory = c.ChargeCategory
        and ruled.ResourceId is not distinct from c.ResourceId
        and ruled.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    left join split
        on split.ProviderName = c.ProviderName
        and split.SubAccountId is not distinct from c.SubAccountId
        and split.ServiceName = c.ServiceName
        and split.ServiceCategory = c.ServiceCategory
        and split.ChargeCategory = c.ChargeCategory
        and split.ResourceId is not distinct from c.ResourceId
        and split.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
),
parted as (
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, coalesce(commitment_pool, x_Pool) as x_Pool,
        case when commitment_pool is not null or is_long_unused is null
            then CommitmentDiscountId end as CommitmentDiscountId,
        x_Feature, x_Tenant, x_Environment, x_AllocationMethod, x_ChargeRows,
        case when commitment_pool is null then BilledCost else 0 end as BilledCost,
        EffectiveCost
    from owned
    union all
    -- The charge was counted above.
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, x_Pool, null as CommitmentDiscountId, x_Feature, x_Tenant,
        x_Environment, x_AllocationMethod, 0 as x_ChargeRows, BilledCost, 0 as EffectiveCost
    from owned
    where commitment_pool is not null and BilledCost <> 0
),
grouped as (
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, x_Pool, CommitmentDiscountId, x_Feature, x_Tenant,
        x_Environment, x_AllocationMethod,
        cast(sum(x_ChargeRows) as bigint) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from parted
    group by
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, x_Pool, CommitmentDiscountId, x_Feature, x_Tenant,
        x_Environment, x_AllocationMethod
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), x_ChargeDay, InvoiceId, BillingCurrency, ProviderName,
        coalesce(SubAccountId, ''), ServiceCategory, ServiceName, ChargeCategory,
        coalesce(x_Pool, ''), CommitmentDiscountId
    )) as x_PoolId,
    x_ChargeDay,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    SubAccountId,
    ServiceCategory,
    ServiceName,
    ChargeCategory,
    x_Pool,
    CommitmentDiscountId,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_AllocationMethod,
    x_ChargeRows,
    cast(BilledCost as decimal(38, 12)) as BilledCost,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost
from grouped
order by x_ChargeDay, x_PoolId, x_Feature, x_Tenant, x_Environment, x_AllocationMethod
