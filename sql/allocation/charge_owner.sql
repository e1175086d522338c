-- Which charges have an owner by their tags or by a rule, and which must be split by use.
--
-- A charge on a node of a cluster belongs to the pool of that cluster; a charge that an
-- `[[inference_split]]` matches belongs to the pool of that split. Pools are split by
-- usage_share; the owner named here is what remains for a pool nobody measured. Rules fill only
-- what tags left open, the first that matches wins.
--
-- One row per pool (what charges share: day, invoice, service, ...) and owner by tag or rule.
with
node as (
    select ResourceId, min(x_Cluster) as x_Cluster
    from node_usage
    where ResourceId is not null
    group by ResourceId
),
named_resource as (
    select ResourceId from owner_rule where ResourceId is not null
    union
    select ResourceId from inference_split where ResourceId is not null
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
day_charge as (
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
        node.x_Cluster,
        named_resource.ResourceId,
        count(*) as x_ChargeRows,
        sum(cost_and_usage.BilledCost) as BilledCost,
        sum(cost_and_usage.EffectiveCost) as EffectiveCost
    from cost_and_usage
    left join tag_set_owner on tag_set_owner.x_TagSetId = cost_and_usage.x_TagSetId
    left join node on node.ResourceId = cost_and_usage.ResourceId
    left join named_resource on named_resource.ResourceId = cost_and_usage.ResourceId
    group by
        cast(cost_and_usage.ChargePeriodStart as date), cost_and_usage.InvoiceId,
        cost_and_usage.BillingCurrency, cost_and_usage.ProviderName, cost_and_usage.SubAccountId,
        cost_and_usage.ServiceCategory, cost_and_usage.ServiceName, cost_and_usage.ChargeCategory,
        tag_set_owner.owner_no, node.x_Cluster, named_resource.ResourceId
),
-- What rules look at, once each: far fewer rows than charges.
kind as (
    select distinct
        ProviderName, SubAccountId, ServiceName, ServiceCategory, ChargeCategory, ResourceId
    from day_charge
),
ruled as (
    select
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId,
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
    group by
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId
),
split as (
    select
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId,
        arg_min(s.x_Name, s.x_Rank) as x_Name
    from kind
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = kind.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = kind.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = kind.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = kind.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = kind.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = kind.ResourceId)
    group by
        kind.ProviderName, kind.SubAccountId, kind.ServiceName, kind.ServiceCategory,
        kind.ChargeCategory, kind.ResourceId
),
owned as (
    select
        c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId,
        c.ServiceCategory, c.ServiceName, c.ChargeCategory,
        case
            when split.x_Name is not null then 'inference/' || split.x_Name
            when c.x_Cluster is not null then 'node/' || c.x_Cluster
        end as x_Pool,
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
    left join split
        on split.ProviderName = c.ProviderName
        and split.SubAccountId is not distinct from c.SubAccountId
        and split.ServiceName = c.ServiceName
        and split.ServiceCategory = c.ServiceCategory
        and split.ChargeCategory = c.ChargeCategory
        and split.ResourceId is not distinct from c.ResourceId
),
grouped as (
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, x_Pool, x_Feature, x_Tenant, x_Environment,
        x_AllocationMethod,
        cast(sum(x_ChargeRows) as bigint) as x_ChargeRows,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost
    from owned
    group by
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, x_Pool, x_Feature, x_Tenant, x_Environment,
        x_AllocationMethod
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), x_ChargeDay, InvoiceId, BillingCurrency, ProviderName,
        coalesce(SubAccountId, ''), ServiceCategory, ServiceName, ChargeCategory,
        coalesce(x_Pool, '')
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
    x_Feature,
    x_Tenant,
    x_Environment,
    x_AllocationMethod,
    x_ChargeRows,
    cast(BilledCost as decimal(38, 12)) as BilledCost,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost
from grouped
order by x_PoolId, x_Feature, x_Tenant, x_Environment, x_AllocationMethod
