-- No owner out of the air: every feature, tenant and environment is one that a set of tags or a
-- rule names, or `(unallocated)`.
with
named as (
    select 'feature' as dimension, x_Feature as owner_value from tag_owner
    union
    select 'tenant' as dimension, x_Tenant as owner_value from tag_owner
    union
    select 'environment' as dimension, x_Environment as owner_value from tag_owner
    union
    select 'feature' as dimension, x_Feature as owner_value from owner_rule
    union
    select 'tenant' as dimension, x_Tenant as owner_value from owner_rule
    union
    select 'environment' as dimension, x_Environment as owner_value from owner_rule
),
shown as (
    select 'feature' as dimension, x_Feature as owner_value from charge_owner
    union
    select 'tenant' as dimension, x_Tenant as owner_value from charge_owner
    union
    select 'environment' as dimension, x_Environment as owner_value from charge_owner
)
select shown.dimension, shown.owner_value
from shown
anti join named
    on named.dimension = shown.dimension and named.owner_value = shown.owner_value
where shown.owner_value <> '(unallocated)'
