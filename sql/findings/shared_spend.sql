-- Spend whose tag names one of several that measurably use the resource, none of them with nine
-- tenths: shared, and billed to one.
--
-- EffectiveCost is what allocation charged the others. Where the tag is on part of the charges,
-- that part of the use counts; proportions in 10^-9. Left out is what witness_disagrees says better:
-- two witnesses at least, and all for another value.
--
-- One row per resource, dimension, tag and currency.
with
use_total as (
    select
        ResourceId, x_Dimension, BillingCurrency, sum(x_Weight) as weight, count(*) as users
    from witness_weight
    where x_Witness = 'use'
    group by ResourceId, x_Dimension, BillingCurrency
    having count(*) >= 2
),
used as (
    select r.*
    from resource_cost as r
    semi join use_total as u on u.ResourceId = r.ResourceId
),
resource_total as (
    select ResourceId, BillingCurrency, sum(EffectiveCost) as EffectiveCost
    from used
    group by ResourceId, BillingCurrency
    having sum(EffectiveCost) > 0
),
spend as (
    select
        r.ProviderName, r.SubAccountId, r.ResourceId, r.BillingCurrency, t.x_Dimension,
        t.x_TagKey, t.x_TagValue, t.x_RightValue as x_OwnerValue,
        max(r.x_Pool) as x_Pool,
        sum(r.EffectiveCost) as EffectiveCost,
        sum(r.x_ChargeRows) as x_ChargeRows,
        min(struct_pack(
            cost := -r.x_LargestCharge, file := r.x_SourceFile, line := r.x_SourceRow,
            service := r.ServiceName
        )) as largest
    from used as r
    inner join tag_fault as t on t.x_TagSetId = r.x_TagSetId and t.x_TagFault = 'right'
    group by
        r.ProviderName, r.SubAccountId, r.ResourceId, r.BillingCurrency, t.x_Dimension,
        t.x_TagKey, t.x_TagValue, t.x_RightValue
    having sum(r.EffectiveCost) > 0
),
-- ------------------------------------------------------------------- what the witnesses say
evidence as (
    select e.ResourceId, e.x_Dimension, e.x_Witness, e.x_OwnerValue, e.x_Decides, e.x_Rank, e.x_Where
    from owner_evidence as e
    semi join use_total as u on u.ResourceId = e.ResourceId and u.x_Dimension = e.x_Dimension
),
agreed as (
    select ResourceId, x_Dimension, min(x_OwnerValue) as x_OwnerValue
    from (
        select
            ResourceId, x_Dimension, x_Witness, bool_or(x_Decides) as decides,
            max(x_OwnerValue) filter (where x_Decides or x_Rank = 1) as x_OwnerValue
        from evidence
        group by ResourceId, x_Dimension, x_Witness
    ) as witness
    group by ResourceId, x_Dimension
    having
        count(*) >= 2 and bool_and(decides) and min(x_OwnerValue) = max(x_OwnerValue)
),
witness_list as (
    select
        ResourceId, x_Dimension,
        '[' || string_agg(
            to_json(struct_pack(
                witness := x_Witness, "value" := x_OwnerValue, "where" := x_Where
            )),
            ',' order by x_Witness, x_OwnerValue, x_Where
        ) || ']' as x_Witnesses
    from evidence
    where x_Rank <= 10
    group by ResourceId, x_Dimension
),
-- ----------------------------------------------------------------------------- the findings
shared as (
    select
        s.*, t.users,
        units_money(apportion(
            cast(t.weight - u.x_Weight as hugeint),
            cast(s.EffectiveCost * 1000000000 as hugeint),
            cast(r.EffectiveCost * 1000000000 as hugeint)
        )) as of_others
    from spend as s
    inner join use_total as t
        on t.ResourceId = s.ResourceId
        and t.x_Dimension = s.x_Dimension
        and t.BillingCurrency = s.BillingCurrency
    inner join witness_weight as u
        on u.ResourceId = s.ResourceId
        and u.x_Dimension = s.x_Dimension
        and u.BillingCurrency = s.BillingCurrency
        and u.x_Witness = 'use'
        and u.x_OwnerValue = s.x_OwnerValue
    inner join resource_total as r
        on r.ResourceId = s.ResourceId and r.BillingCurrency = s.BillingCurrency
    anti join agreed as a
        on a.ResourceId = s.ResourceId
        and a.x_Dimension = s.x_Dimension
        and a.x_OwnerValue <> s.x_OwnerValue
    where 10 * u.x_Weight < 9 * t.weight
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), 'shared_as_one', s.x_Dimension, s.ProviderName, coalesce(s.SubAccountId, ''),
        s.ResourceId, '', s.x_TagKey, s.x_TagValue
    )) as x_FindingId,
    'shared_as_one' as x_FindingKind,
    s.x_Dimension,
    s.ProviderName,
    s.largest.service as ServiceName,
    s.SubAccountId,
    s.ResourceId,
    case when starts_with(s.x_Pool, 'node/') then substr(s.x_Pool, 6) end as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    s.x_TagKey,
    s.x_TagValue,
    cast(null as varchar) as x_LikelyValue,
    cast(0 as bigint) as x_WitnessCount,
    coalesce(w.x_Witnesses, '[]') as x_Witnesses,
    s.BillingCurrency,
    cast(s.of_others as decimal(38, 12)) as EffectiveCost,
    cast(s.x_ChargeRows as bigint) as x_ChargeRows,
    s.largest.file as x_SourceFile,
    s.largest.line as x_SourceRow,
    s.users || ' values of ' || s.x_Dimension || ' use it, the tag names one; the cost is what the '
    || 'others used. Let use split it, and tag it as shared.' as x_Reason
from shared as s
left join witness_list as w on w.ResourceId = s.ResourceId and w.x_Dimension = s.x_Dimension
where s.of_others <> 0
order by x_FindingId, s.BillingCurrency
