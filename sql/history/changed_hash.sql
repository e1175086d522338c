-- Rows of a bill that are not in both of two generations: a difference of multisets. A row is its
-- content, never its place: files are cut anew with every delivery. Two copies of a row are two.
--
-- x_RowHash is over all columns but file and row. Costs are part of the key, so that what is
-- found here sums to the difference of the totals whatever the hash does.
--
-- One row per content, with how many more of it the second generation has.
with
both_bills as (
    select -1 as x_Sign, x_RowHash, BilledCost, EffectiveCost from charge_from
    union all
    select 1 as x_Sign, x_RowHash, BilledCost, EffectiveCost from charge_to
    union all
    select
        -1 as x_Sign, x_RowHash,
        coalesce(BilledCost, 0) as BilledCost, coalesce(EffectiveCost, 0) as EffectiveCost
    from quarantine_from
    union all
    select
        1 as x_Sign, x_RowHash,
        coalesce(BilledCost, 0) as BilledCost, coalesce(EffectiveCost, 0) as EffectiveCost
    from quarantine_to
)
select
    x_RowHash,
    BilledCost,
    EffectiveCost,
    cast(sum(x_Sign) as bigint) as x_More
from both_bills
group by x_RowHash, BilledCost, EffectiveCost
having sum(x_Sign) <> 0
