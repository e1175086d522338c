-- What is wrong in a set of tags of the bill, before anybody is asked about a resource.
--
-- conflict: tags of the set name different values for the dimension; of the same trust they name
--   nobody, else the most trusted holds.
-- wrong_case: a value that differs from the right one only by case or outer blanks, and is spelt
--   so by no witness.
-- swapped: unknown here, but a known value of another dimension.
-- typo: unknown, and at most two edits (and a third of its length, never a digit) from known
--   values. Near one of them, that is the right value; near several, it is left open.
-- stale: unknown to Git, cluster, logs and configuration in this period, and the name of no
--   namespace.
-- right: none of these. Named only where somebody else says whose a resource with these tags is.
-- A dimension that no Git label, pod or log names at all is not judged: no typo, swap or stale.
--
-- One row per set of tags, dimension and fault; of several keys the first.
with
bill_tag as (
    select t.x_TagSetId, t.x_Dimension, t.x_TagKey, t.x_TagValue, t.x_OwnerValue, t.x_Decides
    from owner_tag as t
    semi join tag_set on tag_set.x_TagSetId = t.x_TagSetId
),
-- Tags that contradict each other, and what each of them says.
in_conflict as (
    select t.x_TagSetId, t.x_Dimension, t.x_TagKey, t.x_TagValue, t.x_OwnerValue, t.x_Decides
    from bill_tag as t
    semi join (
        select x_TagSetId, x_Dimension
        from bill_tag
        group by x_TagSetId, x_Dimension
        having min(x_OwnerValue) <> max(x_OwnerValue)
    ) as c
        on c.x_TagSetId = t.x_TagSetId and c.x_Dimension = t.x_Dimension
),
contradicting as (
    select
        x_TagSetId, x_Dimension,
        string_agg(x_TagKey, ',' order by x_TagKey) as x_TagKey,
        string_agg(x_TagValue, ',' order by x_TagKey) as x_TagValue,
        max(x_OwnerValue) filter (where x_Decides) as guess
    from in_conflict
    group by x_TagSetId, x_Dimension
),
decided as (
    select t.x_TagSetId, t.x_Dimension, t.x_TagKey, t.x_TagValue, t.x_OwnerValue
    from bill_tag as t
    anti join contradicting as c
        on c.x_TagSetId = t.x_TagSetId and c.x_Dimension = t.x_Dimension
    where t.x_Decides
),
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
),
namespace as (
    select lower(x_Namespace) as x_Namespace
    from (
        select distinct x_Namespace from pod_usage
        union
        select x_Namespace from declared_workload
    ) as spelt
    group by lower(x_Namespace)
),
bill_value as (
    select distinct x_Dimension, x_TagValue, x_OwnerValue from decided
),
unknown as (
    select v.x_Dimension, v.x_OwnerValue
    from (select distinct x_Dimension, x_OwnerValue from bill_value) as v
    inner join judged as j on j.x_Dimension = v.x_Dimension
    anti join known_value as k
        on k.x_Dimension = v.x_Dimension and k.x_OwnerValue = v.x_OwnerValue
),
elsewhere as (
    select u.x_Dimension, u.x_OwnerValue, min(k.x_Dimension) as x_RightDimension
    from unknown as u
    inner join known_value as k
        on k.x_OwnerValue = u.x_OwnerValue and k.x_Dimension <> u.x_Dimension
    group by u.x_Dimension, u.x_OwnerValue
),
right_spelling as (
    select x_Dimension, normal_value(x_Spelling) as spelling, x_OwnerValue from known_value
    union
    select x_Dimension, x_OwnerValue as spelling, x_OwnerValue from known_value
    union
    select x_Dimension, x_From as spelling, x_To as x_OwnerValue from value_alias
),
near as (
    select
        u.x_Dimension, u.x_OwnerValue,
        case when min(r.x_OwnerValue) = max(r.x_OwnerValue) then min(r.x_OwnerValue) end
            as guess
    from unknown as u
    inner join right_spelling as r
        on r.x_Dimension = u.x_Dimension
        and abs(length(r.spelling) - length(u.x_OwnerValue)) <= 2
        and regexp_replace(r.spelling, '[^0-9]', '', 'g')
        = regexp_replace(u.x_OwnerValue, '[^0-9]', '', 'g')
        and levenshtein(r.spelling, u.x_OwnerValue) <= 2
        and 3 * levenshtein(r.spelling, u.x_OwnerValue) <= length(u.x_OwnerValue)
    group by u.x_Dimension, u.x_OwnerValue
),
value_fault as (
    select
        v.x_Dimension, v.x_TagValue, v.x_OwnerValue, e.x_RightDimension,
        case
            when u.x_OwnerValue is null then 'wrong_case'
            when e.x_RightDimension is not null then 'swapped'
            when n.x_OwnerValue is not null then 'typo'
            else 'stale'
        end as kind,
        case
            when u.x_OwnerValue is null then v.x_OwnerValue
            when e.x_RightDimension is null then n.guess
        end as guess
    from bill_value as v
    left join unknown as u
        on u.x_Dimension = v.x_Dimension and u.x_OwnerValue = v.x_OwnerValue
    left join elsewhere as e
        on e.x_Dimension = v.x_Dimension and e.x_OwnerValue = v.x_OwnerValue
    left join near as n
        on n.x_Dimension = v.x_Dimension and n.x_OwnerValue = v.x_OwnerValue
    left join namespace as s on s.x_Namespace = v.x_OwnerValue
    left join (select distinct x_Dimension, x_OwnerValue, x_Spelling from known_value) as k
        on k.x_Dimension = v.x_Dimension
        and k.x_OwnerValue = v.x_OwnerValue
        and k.x_Spelling = v.x_TagValue
    where
        case
            when u.x_OwnerValue is null then
                k.x_Spelling is null
                and v.x_TagValue <> normal_value(v.x_TagValue)
                and normal_value(v.x_TagValue) = v.x_OwnerValue
            else
                e.x_RightDimension is not null or n.x_OwnerValue is not null
                or s.x_Namespace is null
        end
),
unknown_or_misspelt as (
    select
        f.kind, d.x_TagSetId, d.x_Dimension, d.x_TagKey, d.x_TagValue, f.guess, f.x_RightDimension
    from decided as d
    inner join value_fault as f
        on f.x_Dimension = d.x_Dimension
        and f.x_TagValue = d.x_TagValue
        and f.x_OwnerValue = d.x_OwnerValue
),
-- The value this dimension should have may stand under the tag it was swapped with.
swapped_with as (
    select u.x_TagSetId, u.x_Dimension, min(o.x_OwnerValue) as guess, min(o.x_TagKey) as x_TagKey
    from unknown_or_misspelt as u
    inner join decided as o
        on o.x_TagSetId = u.x_TagSetId and o.x_Dimension = u.x_RightDimension
    semi join known_value as k
        on k.x_Dimension = u.x_Dimension and k.x_OwnerValue = o.x_OwnerValue
    where u.kind = 'swapped'
    group by u.x_TagSetId, u.x_Dimension
),
-- A right tag matters only where somebody else says whose the resource is.
witnessed_set as (
    select distinct r.x_TagSetId
    from resource_cost as r
    semi join owner_evidence as e on e.ResourceId = r.ResourceId
),
fault as (
    select 'conflict' as kind, x_TagSetId, x_Dimension, x_TagKey, x_TagValue, guess,
        cast(null as varchar) as guess_where
    from contradicting
    union all
    select
        u.kind, u.x_TagSetId, u.x_Dimension, u.x_TagKey, u.x_TagValue,
        coalesce(u.guess, s.guess) as guess, s.x_TagKey as guess_where
    from unknown_or_misspelt as u
    left join swapped_with as s
        on u.kind = 'swapped' and s.x_TagSetId = u.x_TagSetId and s.x_Dimension = u.x_Dimension
    union all
    select 'right' as kind, d.x_TagSetId, d.x_Dimension, d.x_TagKey, d.x_TagValue,
        d.x_OwnerValue as guess, cast(null as varchar) as guess_where
    from decided as d
    semi join witnessed_set as w on w.x_TagSetId = d.x_TagSetId
    anti join unknown as u
        on u.x_Dimension = d.x_Dimension and u.x_OwnerValue = d.x_OwnerValue
)
select
    $period as BillingPeriod,
    x_TagSetId,
    x_Dimension,
    kind as x_TagFault,
    x_TagKey,
    x_TagValue,
    guess as x_RightValue,
    guess_where as x_RightTagKey
from (
    select
        *,
        row_number() over (
            partition by x_TagSetId, kind, x_Dimension
            order by x_TagKey, x_TagValue, guess nulls last, guess_where nulls last
        ) as place
    from fault
) as placed
where place = 1
order by x_TagSetId, x_Dimension, kind
