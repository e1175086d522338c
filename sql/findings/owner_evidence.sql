-- Who, other than its tag, says whose a resource is: witness_weight without the weights, so that
-- findings that ask for no amount are not made again where only amounts changed.
--
-- x_Decides marks the value that has at least nine tenths of its witness's weight: a witness who
-- names several does not decide; x_Rank numbers them, the heaviest first.
--
-- One row per resource, dimension, witness and value.
with
valued as (
    select
        ResourceId, x_Dimension, x_Witness, x_OwnerValue, sum(x_Weight) as weight,
        min(x_Where) as x_Where
    from witness_weight
    where x_Witness <> 'use'
    group by ResourceId, x_Dimension, x_Witness, x_OwnerValue
),
witnessed as (
    select ResourceId, x_Dimension, x_Witness, sum(weight) as weight
    from valued
    group by ResourceId, x_Dimension, x_Witness
)
select
    $period as BillingPeriod,
    v.ResourceId,
    v.x_Dimension,
    v.x_Witness,
    v.x_OwnerValue,
    10 * v.weight >= 9 * w.weight as x_Decides,
    row_number() over (
        partition by v.ResourceId, v.x_Dimension, v.x_Witness
        order by v.weight desc, v.x_OwnerValue
    ) as x_Rank,
    v.x_Where
from valued as v
inner join witnessed as w
    on w.ResourceId = v.ResourceId
    and w.x_Dimension = v.x_Dimension
    and w.x_Witness = v.x_Witness
order by v.ResourceId, v.x_Dimension, v.x_Witness, v.x_OwnerValue
