-- How far a closed period's showback has moved: what each owner bore in the generation it was closed
-- with against what it bears now, quarantined rows and shared moves included.
--
-- The checksums are those of owners and their sums, so that it can be told that they are again what
-- they were also where the generation of then is not kept. Owners without cost are in none.
--
-- One row.
with
owner as (
    select
        x_Feature, x_Tenant, x_Environment,
        sum(x_BilledFrom) as billed_from, sum(x_BilledTo) as billed_to,
        sum(x_EffectiveFrom) as effective_from, sum(x_EffectiveTo) as effective_to
    from (
        select
            x_Feature, x_Tenant, x_Environment,
            BilledCost as x_BilledFrom, cast(0 as decimal(38, 12)) as x_BilledTo,
            EffectiveCost as x_EffectiveFrom, cast(0 as decimal(38, 12)) as x_EffectiveTo
        from showback_from
        where BillingCurrency = $currency
        union all
        select
            x_Feature, x_Tenant, x_Environment,
            0 as x_BilledFrom, BilledCost as x_BilledTo,
            0 as x_EffectiveFrom, EffectiveCost as x_EffectiveTo
        from showback_to
        where BillingCurrency = $currency
    ) as both_showbacks
    group by x_Feature, x_Tenant, x_Environment
),
moved as (
    select
        x_Feature || '/' || x_Tenant || '/' || x_Environment as x_Owner,
        effective_to - effective_from as effective,
        -- Where only what is billed has moved, that is told.
        case when effective_to <> effective_from then effective_from else billed_from end
            as cost_from,
        case when effective_to <> effective_from then effective_to else billed_to end as cost_to,
        row_number() over (
            order by
                abs(effective_to - effective_from) desc, abs(billed_to - billed_from) desc,
                x_Feature, x_Tenant, x_Environment
        ) as place
    from owner
    where billed_to <> billed_from or effective_to <> effective_from
)
select
    (
        select coalesce(cast(sum(md5_number_lower(concat_ws(
            chr(31), x_Feature, x_Tenant, x_Environment, billed_from, effective_from
        ))) as decimal(38, 0)), 0)
        from owner
        where billed_from <> 0 or effective_from <> 0
    ) as x_ChecksumFrom,
    (
        select coalesce(cast(sum(md5_number_lower(concat_ws(
            chr(31), x_Feature, x_Tenant, x_Environment, billed_to, effective_to
        ))) as decimal(38, 0)), 0)
        from owner
        where billed_to <> 0 or effective_to <> 0
    ) as x_ChecksumTo,
    count(*) as x_Owners,
    cast(coalesce(sum(effective) filter (where effective > 0), 0) as decimal(38, 12))
        as EffectiveCost,
    string_agg(
        x_Owner || ' from ' || rtrim(rtrim(cast(cost_from as varchar), '0'), '.')
        || ' to ' || rtrim(rtrim(cast(cost_to as varchar), '0'), '.'),
        ', ' order by place
    ) filter (where place <= 4) as x_Moved
from moved
