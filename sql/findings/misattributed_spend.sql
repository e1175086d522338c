-- Spend whose tag is there but wrong.
--
-- conflict: tags of the set name different values for the dimension; of the same trust they name
--   nobody, else the most trusted holds. The account's other resources may settle it.
-- wrong_case: a value that differs from the right one only by case or outer blanks, and is spelt
--   so by no witness. Allocated right already; an alias is not a fault.
-- swapped: unknown here, but a known value of another dimension.
-- typo: unknown, and at most two edits (and a third of its length, never a digit) from known
--   values. Near one of them, that is the likely value; near several, it is left open.
-- stale: unknown to Git, cluster, logs and configuration in this period, and the name of no
--   namespace. Likely is what the witnesses of the resource say, else what those of other
--   resources with the same tag say.
-- witness_disagrees: the tag's value is known, but all witnesses of the resource name another
--   one: two at least, or the calls themselves where they are what the charges are split by.
-- shared_as_one: the tag names one of several that measurably use the resource, none of them
--   with nine tenths. EffectiveCost is what allocation charged the others.
-- A dimension that no Git label, pod or log names at all is not judged: no typo, swap or stale.
--
-- EffectiveCost is else the sum of the charges that carry the tag. One likely value only where
-- no witness says otherwise.
--
-- One row per resource (or service and account), dimension, kind of fault, tag and currency.
with
bill_tag as (
    select t.x_TagSetId, t.x_Dimension, t.x_TagKey, t.x_TagValue, t.x_OwnerValue, t.x_Decides
    from owner_tag as t
    semi join tag_set on tag_set.x_TagSetId = t.x_TagSetId
),
-- --------------------------------------------------------------- what is known of a value
known as (
    select distinct x_Dimension, x_OwnerValue from known_value
),
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
),
namespace as (
    select lower(x_Namespace) as x_Namespace from pod_usage
    union
    select lower(x_Namespace) as x_Namespace from declared_workload
),
unknown as (
    select v.x_Dimension, v.x_OwnerValue
    from (select distinct x_Dimension, x_OwnerValue from bill_tag where x_Decides) as v
    inner join judged as j on j.x_Dimension = v.x_Dimension
    anti join known as k
        on k.x_Dimension = v.x_Dimension and k.x_OwnerValue = v.x_OwnerValue
),
elsewhere as (
    select u.x_Dimension, u.x_OwnerValue, min(k.x_Dimension) as x_RightDimension
    from unknown as u
    inner join known as k
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
-- ------------------------------------------------------------------- what is wrong in a set
contradicting as (
    select
        x_TagSetId, x_Dimension,
        string_agg(x_TagKey, ',' order by x_TagKey) as x_TagKey,
        string_agg(x_TagValue, ',' order by x_TagKey) as x_TagValue,
        max(x_OwnerValue) filter (where x_Decides) as guess
    from bill_tag
    group by x_TagSetId, x_Dimension
    having min(x_OwnerValue) <> max(x_OwnerValue)
),
decided as (
    select t.x_TagSetId, t.x_Dimension, t.x_TagKey, t.x_TagValue, t.x_OwnerValue
    from bill_tag as t
    anti join contradicting as c
        on c.x_TagSetId = t.x_TagSetId and c.x_Dimension = t.x_Dimension
    where t.x_Decides
),
misspelt as (
    select d.x_TagSetId, d.x_Dimension, d.x_TagKey, d.x_TagValue, d.x_OwnerValue as guess
    from decided as d
    anti join unknown as u
        on u.x_Dimension = d.x_Dimension and u.x_OwnerValue = d.x_OwnerValue
    anti join known_value as k
        on k.x_Dimension = d.x_Dimension
        and k.x_OwnerValue = d.x_OwnerValue
        and k.x_Spelling = d.x_TagValue
    where
        d.x_TagValue <> normal_value(d.x_TagValue)
        and normal_value(d.x_TagValue) = d.x_OwnerValue
),
unknown_tag as (
    select
        d.x_TagSetId, d.x_Dimension, d.x_TagKey, d.x_TagValue, d.x_OwnerValue,
        e.x_RightDimension,
        n.x_OwnerValue is not null as is_near,
        n.guess
    from decided as d
    inner join unknown as u
        on u.x_Dimension = d.x_Dimension and u.x_OwnerValue = d.x_OwnerValue
    left join elsewhere as e
        on e.x_Dimension = d.x_Dimension and e.x_OwnerValue = d.x_OwnerValue
    left join near as n
        on n.x_Dimension = d.x_Dimension and n.x_OwnerValue = d.x_OwnerValue
),
-- The value this dimension should have may stand under the tag it was swapped with.
swapped_with as (
    select u.x_TagSetId, u.x_Dimension, min(o.x_OwnerValue) as guess, min(o.x_TagKey) as x_TagKey
    from unknown_tag as u
    inner join decided as o
        on o.x_TagSetId = u.x_TagSetId and o.x_Dimension = u.x_RightDimension
    inner join known as k
        on k.x_Dimension = u.x_Dimension and k.x_OwnerValue = o.x_OwnerValue
    group by u.x_TagSetId, u.x_Dimension
),
set_fault as (
    select 'conflict' as kind, x_TagSetId, x_Dimension, x_TagKey, x_TagValue, guess,
        cast(null as varchar) as x_Where
    from contradicting
    union all
    select 'wrong_case' as kind, x_TagSetId, x_Dimension, x_TagKey, x_TagValue, guess,
        cast(null as varchar) as x_Where
    from misspelt
    union all
    select 'swapped' as kind, u.x_TagSetId, u.x_Dimension, u.x_TagKey, u.x_TagValue, s.guess,
        s.x_TagKey as x_Where
    from unknown_tag as u
    left join swapped_with as s
        on s.x_TagSetId = u.x_TagSetId and s.x_Dimension = u.x_Dimension
    where u.x_RightDimension is not null
    union all
    select 'typo' as kind, x_TagSetId, x_Dimension, x_TagKey, x_TagValue, guess,
        cast(null as varchar) as x_Where
    from unknown_tag
    where x_RightDimension is null and is_near
    union all
    select 'stale' as kind, u.x_TagSetId, u.x_Dimension, u.x_TagKey, u.x_TagValue,
        cast(null as varchar) as guess, cast(null as varchar) as x_Where
    from unknown_tag as u
    anti join namespace as n on n.x_Namespace = u.x_OwnerValue
    where u.x_RightDimension is null and not u.is_near
    union all
    select 'right' as kind, d.x_TagSetId, d.x_Dimension, d.x_TagKey, d.x_TagValue,
        d.x_OwnerValue as guess, cast(null as varchar) as x_Where
    from decided as d
    anti join unknown as u
        on u.x_Dimension = d.x_Dimension and u.x_OwnerValue = d.x_OwnerValue
),
-- Several keys may carry the same value: the first stands for all.
one_fault as (
    select
        kind, x_TagSetId, x_Dimension,
        min(struct_pack(key := x_TagKey, "value" := x_TagValue, guess := guess, place := x_Where))
            as tag
    from set_fault
    group by kind, x_TagSetId, x_Dimension
),
-- -------------------------------------------------------------------- which charges have it
spend as (
    select
        f.kind, f.x_Dimension, f.tag.key as x_TagKey, f.tag."value" as x_TagValue,
        r.ProviderName, r.SubAccountId, r.ResourceId,
        case when r.ResourceId is null then r.ServiceName end as bare_service,
        r.BillingCurrency,
        min(f.tag.guess) as guess,
        min(f.tag.place) as guess_where,
        max(r.x_Pool) as x_Pool,
        sum(r.EffectiveCost) as EffectiveCost,
        sum(r.x_ChargeRows) as x_ChargeRows,
        min(struct_pack(
            cost := -r.x_LargestCharge, file := r.x_SourceFile, line := r.x_SourceRow,
            service := r.ServiceName
        )) as largest
    from one_fault as f
    inner join resource_cost as r on r.x_TagSetId = f.x_TagSetId
    group by
        f.kind, f.x_Dimension, f.tag.key, f.tag."value", r.ProviderName, r.SubAccountId,
        r.ResourceId, case when r.ResourceId is null then r.ServiceName end, r.BillingCurrency
),
-- ------------------------------------------------------------------ what the witnesses say
evidence as (
    select
        ResourceId, x_Dimension, x_Witness, x_OwnerValue, bool_and(x_Decides) as x_Decides,
        min(x_Where) as x_Where,
        row_number() over (
            partition by ResourceId, x_Dimension, x_Witness
            order by sum(x_Weight) desc, x_OwnerValue
        ) as place
    from owner_evidence
    where x_Witness <> 'use'
    group by ResourceId, x_Dimension, x_Witness, x_OwnerValue
),
-- A witness that decides may still name others with a small part: they are not held against it.
agreed as (
    select
        ResourceId, x_Dimension,
        count(distinct x_Witness) as witnesses,
        bool_and(decides) and min(x_OwnerValue) = max(x_OwnerValue) as is_one,
        min(x_OwnerValue) as x_OwnerValue
    from (
        select
            ResourceId, x_Dimension, x_Witness, bool_or(x_Decides) as decides,
            max(x_OwnerValue) filter (where x_Decides or place = 1) as x_OwnerValue
        from evidence
        group by ResourceId, x_Dimension, x_Witness
    ) as witness
    group by ResourceId, x_Dimension
),
-- What became of a stale value, by the witnesses of all resources that carry it.
renamed as (
    select
        s.x_Dimension, s.x_TagValue,
        min(a.x_OwnerValue) as guess,
        min(s.ResourceId) as ResourceId
    from spend as s
    inner join agreed as a on a.ResourceId = s.ResourceId and a.x_Dimension = s.x_Dimension
    where s.kind = 'stale'
    group by s.x_Dimension, s.x_TagValue
    having bool_and(a.is_one) and min(a.x_OwnerValue) = max(a.x_OwnerValue)
),
-- The account's other resources may settle a conflict, for one of the values in conflict.
in_conflict as (
    select distinct c.x_Dimension, c.x_TagKey, c.x_TagValue, t.x_OwnerValue
    from contradicting as c
    inner join bill_tag as t
        on t.x_TagSetId = c.x_TagSetId and t.x_Dimension = c.x_Dimension
),
settled as (
    select
        c.x_Dimension, c.x_TagKey, c.x_TagValue, a.ProviderName, a.SubAccountId,
        a.x_OwnerValue as guess, a.x_Where
    from in_conflict as c
    inner join account_value as a
        on a.x_Dimension = c.x_Dimension and a.x_OwnerValue = c.x_OwnerValue
),
guessed as (
    select
        s.kind, s.x_Dimension, s.x_TagKey, s.x_TagValue, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, s.BillingCurrency, s.guess_where, s.x_Pool,
        s.EffectiveCost, s.x_ChargeRows, s.largest,
        coalesce(s.guess, r.guess, b.guess) as guess,
        r.ResourceId as renamed_where,
        b.x_Where as account_where,
        a.is_one, a.witnesses,
        a.x_OwnerValue as agreed_value,
        e.x_OwnerValue is not null as guess_is_said
    from spend as s
    left join renamed as r
        on s.kind = 'stale' and r.x_Dimension = s.x_Dimension and r.x_TagValue = s.x_TagValue
    left join agreed as a on a.ResourceId = s.ResourceId and a.x_Dimension = s.x_Dimension
    left join settled as b
        on s.kind = 'conflict' and s.guess is null and a.ResourceId is null
        and b.x_Dimension = s.x_Dimension
        and b.x_TagKey = s.x_TagKey
        and b.x_TagValue = s.x_TagValue
        and b.ProviderName = s.ProviderName
        and b.SubAccountId = s.SubAccountId
    left join (select distinct ResourceId, x_Dimension, x_OwnerValue from evidence) as e
        on e.ResourceId = s.ResourceId
        and e.x_Dimension = s.x_Dimension
        and e.x_OwnerValue = coalesce(s.guess, r.guess)
),
-- ------------------------------------------------------------------ what use was measured
use_total as (
    select
        ResourceId, x_Dimension, BillingCurrency, sum(x_Weight) as weight, count(*) as users
    from owner_evidence
    where x_Witness = 'use'
    group by ResourceId, x_Dimension, BillingCurrency
),
resource_total as (
    select ResourceId, BillingCurrency, sum(EffectiveCost) as EffectiveCost
    from resource_cost
    where ResourceId is not null
    group by ResourceId, BillingCurrency
    having sum(EffectiveCost) > 0
),
-- Where the tag is on part of the charges, that part of the use counts; proportions in 10^-9.
shared as (
    select
        g.x_Dimension, g.x_TagKey, g.x_TagValue, g.ProviderName, g.SubAccountId, g.ResourceId,
        g.bare_service, g.BillingCurrency, g.guess, g.x_Pool, g.x_ChargeRows, g.largest, t.users,
        units_money(apportion(
            cast(t.weight - u.x_Weight as hugeint),
            cast(g.EffectiveCost * 1000000000 as hugeint),
            cast(r.EffectiveCost * 1000000000 as hugeint)
        )) as EffectiveCost
    from guessed as g
    inner join use_total as t
        on t.ResourceId = g.ResourceId
        and t.x_Dimension = g.x_Dimension
        and t.BillingCurrency = g.BillingCurrency
    inner join owner_evidence as u
        on u.ResourceId = g.ResourceId
        and u.x_Dimension = g.x_Dimension
        and u.BillingCurrency = g.BillingCurrency
        and u.x_Witness = 'use'
        and u.x_OwnerValue = g.guess
    inner join resource_total as r
        on r.ResourceId = g.ResourceId and r.BillingCurrency = g.BillingCurrency
    where
        g.kind = 'right' and t.users >= 2 and 10 * u.x_Weight < 9 * t.weight
        and not coalesce(g.is_one and g.witnesses >= 2 and g.agreed_value <> g.guess, false)
        and g.EffectiveCost > 0
),
-- ---------------------------------------------------------------------------- the findings
fault as (
    select
        kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId, ResourceId,
        bare_service, BillingCurrency, x_Pool, x_ChargeRows, largest, EffectiveCost, guess,
        guess_where, renamed_where, account_where, cast(null as bigint) as users,
        case
            when kind = 'wrong_case' then guess
            when is_one is null then guess
            when is_one and (guess is null or guess = agreed_value) then agreed_value
            when not is_one and guess_is_said then guess
        end as x_LikelyValue
    from guessed
    where kind <> 'right' and EffectiveCost <> 0
    union all
    select
        'witness_disagrees' as kind, x_Dimension, x_TagKey, x_TagValue, ProviderName,
        SubAccountId, ResourceId, bare_service, BillingCurrency, x_Pool, x_ChargeRows, largest,
        EffectiveCost, guess, guess_where, renamed_where,
        cast(null as varchar) as account_where, cast(null as bigint) as users,
        agreed_value as x_LikelyValue
    from guessed
    where
        kind = 'right' and is_one and agreed_value <> guess and EffectiveCost <> 0
        and (witnesses >= 2 or coalesce(starts_with(x_Pool, 'inference/'), false))
    union all
    select
        'shared_as_one' as kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId,
        ResourceId, bare_service, BillingCurrency, x_Pool, x_ChargeRows, largest, EffectiveCost,
        guess, cast(null as varchar) as guess_where, cast(null as varchar) as renamed_where,
        cast(null as varchar) as account_where, users, cast(null as varchar) as x_LikelyValue
    from shared
    where EffectiveCost <> 0
),
-- Who knows the value that a spelling, a typo or a swap points to.
support as (
    select distinct kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId,
        ResourceId, bare_service, guess, guess_where, renamed_where, account_where
    from fault
),
witness as (
    select
        s.kind, s.x_Dimension, s.x_TagKey, s.x_TagValue, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, e.x_Witness, e.x_OwnerValue, e.x_Where
    from support as s
    inner join evidence as e
        on e.ResourceId = s.ResourceId and e.x_Dimension = s.x_Dimension and e.place <= 10
    union all
    select
        s.kind, s.x_Dimension, s.x_TagKey, s.x_TagValue, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, k.x_Witness, s.guess as x_OwnerValue,
        min(k.x_Where) as x_Where
    from support as s
    inner join known_value as k
        on k.x_Dimension = s.x_Dimension and k.x_OwnerValue = s.guess
    anti join evidence as e
        on e.ResourceId = s.ResourceId
        and e.x_Dimension = s.x_Dimension
        and e.x_Witness = k.x_Witness
        and e.x_OwnerValue = s.guess
    where s.kind in ('wrong_case', 'typo', 'swapped')
    group by
        s.kind, s.x_Dimension, s.x_TagKey, s.x_TagValue, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, k.x_Witness, s.guess
    union all
    select
        kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId, ResourceId,
        bare_service, 'bill_tag' as x_Witness, guess as x_OwnerValue,
        'tag ' || guess_where as x_Where
    from support
    where guess is not null and guess_where is not null
    union all
    select distinct
        s.kind, s.x_Dimension, s.x_TagKey, s.x_TagValue, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, 'bill_tag' as x_Witness, t.x_OwnerValue,
        'tag ' || t.x_TagKey as x_Where
    from support as s
    inner join contradicting as c
        on c.x_Dimension = s.x_Dimension
        and c.x_TagKey = s.x_TagKey
        and c.x_TagValue = s.x_TagValue
    inner join bill_tag as t
        on t.x_TagSetId = c.x_TagSetId and t.x_Dimension = c.x_Dimension
    where s.kind = 'conflict'
    union all
    select
        kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId, ResourceId,
        bare_service, 'sibling' as x_Witness, guess as x_OwnerValue,
        renamed_where || ', tagged alike' as x_Where
    from support
    where renamed_where is not null and renamed_where is distinct from ResourceId
    union all
    select
        kind, x_Dimension, x_TagKey, x_TagValue, ProviderName, SubAccountId, ResourceId,
        bare_service, 'sibling' as x_Witness, guess as x_OwnerValue, account_where as x_Where
    from support
    where account_where is not null
),
witness_list as (
    select
        f.kind, f.x_Dimension, f.x_TagKey, f.x_TagValue, f.ProviderName, f.SubAccountId,
        f.ResourceId, f.bare_service, f.BillingCurrency,
        count(distinct w.x_Witness) filter (where w.x_OwnerValue = f.x_LikelyValue)
            as witnesses,
        string_agg(distinct replace(w.x_Witness, '_', ' '), ', '
            order by replace(w.x_Witness, '_', ' '))
            filter (where w.x_OwnerValue = f.x_LikelyValue) as who,
        string_agg(distinct w.x_OwnerValue, ', ' order by w.x_OwnerValue) as said,
        '[' || string_agg(
            to_json(struct_pack(
                witness := w.x_Witness, "value" := w.x_OwnerValue, "where" := w.x_Where
            )),
            ',' order by w.x_Witness, w.x_OwnerValue, w.x_Where
        ) || ']' as x_Witnesses
    from fault as f
    inner join witness as w
        on w.kind = f.kind
        and w.x_Dimension = f.x_Dimension
        and w.x_TagKey = f.x_TagKey
        and w.x_TagValue = f.x_TagValue
        and w.ProviderName = f.ProviderName
        and w.SubAccountId is not distinct from f.SubAccountId
        and w.ResourceId is not distinct from f.ResourceId
        and w.bare_service is not distinct from f.bare_service
    group by
        f.kind, f.x_Dimension, f.x_TagKey, f.x_TagValue, f.ProviderName, f.SubAccountId,
        f.ResourceId, f.bare_service, f.BillingCurrency
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), f.kind, f.x_Dimension, f.ProviderName, coalesce(f.SubAccountId, ''),
        coalesce(f.ResourceId, ''), coalesce(f.bare_service, ''), f.x_TagKey, f.x_TagValue
    )) as x_FindingId,
    f.kind as x_FindingKind,
    f.x_Dimension,
    f.ProviderName,
    f.largest.service as ServiceName,
    f.SubAccountId,
    f.ResourceId,
    case when starts_with(f.x_Pool, 'node/') then substr(f.x_Pool, 6) end as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    f.x_TagKey,
    f.x_TagValue,
    f.x_LikelyValue,
    coalesce(w.witnesses, 0) as x_WitnessCount,
    coalesce(w.x_Witnesses, '[]') as x_Witnesses,
    f.BillingCurrency,
    cast(f.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(f.x_ChargeRows as bigint) as x_ChargeRows,
    f.largest.file as x_SourceFile,
    f.largest.line as x_SourceRow,
    case f.kind
        when 'wrong_case' then
            'Counted as ' || f.guess || ' already; write the tag so, to be found by exact filters.'
        when 'shared_as_one' then
            f.users || ' values of ' || f.x_Dimension || ' use it, the tag names one; the cost is '
            || 'what the others used. Let use split it, and tag it as shared.'
        when 'witness_disagrees' then
            'The tag says ' || f.guess || ', its witnesses (' || w.who || ') '
            || f.x_LikelyValue || '. Check who owns it, then correct the tag.'
        when 'conflict' then
            'Its tags contradict each other. '
            || case
                when f.x_LikelyValue is null then 'Ask its owner, then keep one.'
                else 'Keep ' || f.x_LikelyValue || '.'
            end
        when 'swapped' then
            'A value of another dimension, perhaps two tags swapped. '
            || case
                when f.x_LikelyValue is null then 'Ask its owner for the right value.'
                else 'Likely ' || f.x_LikelyValue || '.'
            end
        when 'typo' then
            'No such ' || f.x_Dimension || ' is known. '
            || case
                when f.x_LikelyValue is null
                    then 'Several known ones are near, or its witnesses name others; ask its owner.'
                else 'Likely ' || f.x_LikelyValue || '; correct the tag.'
            end
        else
            'No such ' || f.x_Dimension || ' in Git, cluster or logs in this period. '
            || case
                when f.x_LikelyValue is not null
                    then 'Likely now ' || f.x_LikelyValue || '; correct the tag.'
                when w.said is not null
                    then 'Its witnesses name several: ' || w.said || '; ask its owner.'
                else 'No witness knows the resource: ask its owner whether it is still needed.'
            end
    end as x_Reason
from fault as f
left join witness_list as w
    on w.kind = f.kind
    and w.x_Dimension = f.x_Dimension
    and w.x_TagKey = f.x_TagKey
    and w.x_TagValue = f.x_TagValue
    and w.ProviderName = f.ProviderName
    and w.SubAccountId is not distinct from f.SubAccountId
    and w.ResourceId is not distinct from f.ResourceId
    and w.bare_service is not distinct from f.bare_service
    and w.BillingCurrency = f.BillingCurrency
order by x_FindingId, f.BillingCurrency
