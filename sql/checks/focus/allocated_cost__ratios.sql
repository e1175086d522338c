-- The parts of a split are the whole of it: the AllocatedRatio of all allocated charges of one
-- origin charge sum to 1, exactly.
--
-- requirement: AllocatedMethodDetails
-- severity: blocks
with
origin as (
    select
        x_PoolId, ChargeCategory,
        sum(cast(
            json_extract_string(AllocatedMethodDetails, '$.Elements[0].AllocatedRatio')
            as decimal(38, 12)
        )) as whole
    from focus_export
    where AllocatedMethodId is not null
    group by x_PoolId, ChargeCategory
)
select
    'AllocatedMethodDetails' as Requirement,
    count(*) as x_Rows
from origin
where whole <> 1
having count(*) > 0
