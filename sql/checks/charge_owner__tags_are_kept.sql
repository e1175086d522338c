-- Who tags name, owns: of each feature, tenant and environment, as many charges as their tags name.
-- The tags were counted while the files were read, apart from the bill, so that nothing here was
-- derived from it. Rules fill what tags left open: of a value that a rule names there may be more,
-- never less; and what has a name by its tags is never owned by rule alone.
with
tagged_set as (
    select o.x_Feature, o.x_Tenant, o.x_Environment, sum(d.x_ChargeRows) as x_ChargeRows
    from delivered_tag_set as d
    inner join tag_owner as o on o.x_TagSetId = d.x_TagSetId
    group by o.x_Feature, o.x_Tenant, o.x_Environment
),
tagged as (
    select 'feature' as dimension, x_Feature as owner_value, x_ChargeRows from tagged_set
    union all
    select 'tenant' as dimension, x_Tenant as owner_value, x_ChargeRows from tagged_set
    union all
    select 'environment' as dimension, x_Environment as owner_value, x_ChargeRows from tagged_set
    union all
    select 'method' as dimension, 'tag' as owner_value, x_ChargeRows
    from tagged_set
    where coalesce(x_Feature, x_Tenant, x_Environment) is not null
),
owned as (
    select 'feature' as dimension, x_Feature as owner_value, x_ChargeRows from charge_owner
    union all
    select 'tenant' as dimension, x_Tenant as owner_value, x_ChargeRows from charge_owner
    union all
    select 'environment' as dimension, x_Environment as owner_value, x_ChargeRows from charge_owner
    union all
    select 'method' as dimension, 'tag' as owner_value, x_ChargeRows
    from charge_owner
    where x_AllocationMethod = 'tag'
),
ruled as (
    select 'feature' as dimension, x_Feature as owner_value from owner_rule
    union
    select 'tenant' as dimension, x_Tenant as owner_value from owner_rule
    union
    select 'environment' as dimension, x_Environment as owner_value from owner_rule
),
counted as (
    select
        dimension, owner_value,
        sum(tagged_rows) as tagged_rows,
        sum(owned_rows) as owned_rows
    from (
        select dimension, owner_value, x_ChargeRows as tagged_rows, 0 as owned_rows from tagged
        union all
        select dimension, owner_value, 0 as tagged_rows, x_ChargeRows as owned_rows from owned
    ) as both_kinds
    where owner_value is not null and owner_value <> '(unallocated)'
    group by dimension, owner_value
)
select c.dimension, c.owner_value, c.tagged_rows, c.owned_rows
from counted as c
left join ruled as r on r.dimension = c.dimension and r.owner_value = c.owner_value
where c.owned_rows < c.tagged_rows
    or (c.owned_rows > c.tagged_rows and r.owner_value is null)
order by c.dimension, c.owner_value
