-- Nothing is lost at the door: for every delivered file, readable plus quarantined rows and
-- money equal what a bare count and sum over the file gave. Money that could not be read as a
-- number is in neither sum; its row still is. EffectiveCost is held against the file where the
-- file has a column of it; where it is made of several, as in the CUR, only its sums later are.
--
-- And every charge has the tags it was delivered with: x_TagSetId, summed, is that of the sets as
-- they were counted while the file was read.
with
arrived as (
    select
        x_Source, x_SourceFile, count(*) as x_Rows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost,
        coalesce(sum(x_TagSetId), 0) as tag_sets
    from (
        select x_Source, x_SourceFile, BilledCost, EffectiveCost, x_TagSetId from cost_and_usage
        union all
        select x_Source, x_SourceFile, BilledCost, EffectiveCost, null as x_TagSetId
        from quarantine
    ) as both_kinds
    group by x_Source, x_SourceFile
),
tagged as (
    select
        x_Source, x_SourceFile,
        sum(cast(x_TagSetId as hugeint) * x_ChargeRows) as tag_sets
    from delivered_tag_set
    group by x_Source, x_SourceFile
)
select
    d.x_Source,
    d.x_SourceFile,
    d.x_Rows as delivered_rows,
    coalesce(a.x_Rows, 0) as arrived_rows,
    d.BilledCost as delivered_cost,
    a.BilledCost as arrived_cost,
    d.EffectiveCost as delivered_effective,
    a.EffectiveCost as arrived_effective,
    coalesce(t.tag_sets, 0) as delivered_tag_sets,
    coalesce(a.tag_sets, 0) as arrived_tag_sets
from delivery as d
full join arrived as a on a.x_Source = d.x_Source and a.x_SourceFile = d.x_SourceFile
left join tagged as t on t.x_Source = a.x_Source and t.x_SourceFile = a.x_SourceFile
where d.x_Rows is distinct from coalesce(a.x_Rows, 0)
    or d.BilledCost is distinct from a.BilledCost
    or (d.EffectiveCost is not null and d.EffectiveCost is distinct from a.EffectiveCost)
    or coalesce(t.tag_sets, 0) <> coalesce(a.tag_sets, 0)
