-- Nothing is lost at the door: for every delivered file, readable plus quarantined rows and
-- money equal what a bare count and sum over the file gave. Money that could not be read as a
-- number is in neither sum; its row still is.
with
arrived as (
    select x_Source, x_SourceFile, count(*) as x_Rows, sum(BilledCost) as BilledCost
    from (
        select x_Source, x_SourceFile, BilledCost from cost_and_usage
        union all
        select x_Source, x_SourceFile, BilledCost from quarantine
    ) as both_kinds
    group by x_Source, x_SourceFile
)
select
    d.x_Source,
    d.x_SourceFile,
    d.x_Rows as delivered_rows,
    coalesce(a.x_Rows, 0) as arrived_rows,
    d.BilledCost as delivered_cost,
    a.BilledCost as arrived_cost
from delivery as d
full join arrived as a on a.x_Source = d.x_Source and a.x_SourceFile = d.x_SourceFile
where d.x_Rows is distinct from coalesce(a.x_Rows, 0)
    or d.BilledCost is distinct from a.BilledCost
