-- The split columns of FOCUS 1.3: all of them speak of a row, or none.
--
-- requirement: AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags
-- severity: blocks
select Requirement, x_Rows
from (
    select unnest(counted, recursive := true)
    from (
        select [
            {'Requirement': 'AllocatedMethodId', 'x_Rows': count(*) filter (
                where (AllocatedMethodId is null) <> (AllocatedMethodDetails is null)
            )},
            {'Requirement': 'AllocatedResourceId', 'x_Rows': count(*) filter (
                where AllocatedMethodId is null and AllocatedResourceId is not null
            )},
            {'Requirement': 'AllocatedResourceName', 'x_Rows': count(*) filter (
                where (AllocatedResourceId is null) <> (AllocatedResourceName is null)
            )},
            {'Requirement': 'AllocatedTags', 'x_Rows': count(*) filter (
                where (AllocatedMethodId is null) <> (AllocatedTags is null)
            )}
        ] as counted
        from focus_export
    ) as listed
) as told
where x_Rows > 0
