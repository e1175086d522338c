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
-- A fault on a hundred thousand resources is one question to the witnesses: what they say and the
-- words of it are made once a question, and joined to the resources by numbers at the end.
--
-- One row per resource (or service and account), dimension, kind of fault, tag and currency.
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
contradicting_tag as (
    select distinct c.x_Dimension, c.x_TagKey, c.x_TagValue, t.x_TagKey as one_key, t.x_OwnerValue
    from contradicting as c
    inner join in_conflict as t
        on t.x_TagSetId = c.x_TagSetId and t.x_Dimension = c.x_Dimension
),
-- ------------------------------------------------------------------- what is wrong in a set
set_fault as (
    with
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
    )
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
),
-- Numbered so that the least number is the first key and value, with a guess where there is one.
numbered as (
    select
        kind, x_Dimension, x_TagKey, x_TagValue, guess, guess_where,
        row_number() over (
            order by kind, x_Dimension, x_TagKey, x_TagValue, guess nulls last,
                guess_where nulls last
        ) as fault_number,
        dense_rank() over (order by kind, x_Dimension, x_TagKey, x_TagValue) as tag_number
    from (
        select distinct kind, x_Dimension, x_TagKey, x_TagValue, guess, guess_where
        from set_fault
    ) as fault
),
set_tag as (
    with
    -- Several keys may carry the same value: the first stands for all.
    one_fault as (
        select s.x_TagSetId, min(n.fault_number) as fault_number
        from set_fault as s
        inner join numbered as n
            on n.kind = s.kind
            and n.x_Dimension = s.x_Dimension
            and n.x_TagKey = s.x_TagKey
            and n.x_TagValue = s.x_TagValue
            and n.guess is not distinct from s.guess
            and n.guess_where is not distinct from s.guess_where
        group by s.x_TagSetId, s.kind, s.x_Dimension
    )
    select o.x_TagSetId, o.fault_number, n.tag_number
    from one_fault as o
    inner join numbered as n on n.fault_number = o.fault_number
),
-- -------------------------------------------------------------------- which charges have it
spend as (
    select
        r.ProviderName, r.SubAccountId, r.ResourceId,
        case when r.ResourceId is null then r.ServiceName end as bare_service,
        r.BillingCurrency,
        min(t.fault_number) as fault_number,
        max(r.x_Pool) as x_Pool,
        sum(r.EffectiveCost) as EffectiveCost,
        sum(r.x_ChargeRows) as x_ChargeRows,
        min(struct_pack(
            cost := -r.x_LargestCharge, file := r.x_SourceFile, line := r.x_SourceRow,
            service := r.ServiceName
        )) as largest
    from resource_cost as r
    inner join set_tag as t on t.x_TagSetId = r.x_TagSetId
    group by
        t.tag_number, r.ProviderName, r.SubAccountId, r.ResourceId,
        case when r.ResourceId is null then r.ServiceName end, r.BillingCurrency
),
-- ------------------------------------------------------------------- what the witnesses say
evidence as (
    select
        ResourceId, x_Dimension, x_Witness, x_OwnerValue, bool_and(x_Decides) as x_Decides,
        min(x_Where) as x_Where, min(x_Rank) as x_Rank
    from owner_evidence
    where x_Witness <> 'use'
    group by ResourceId, x_Dimension, x_Witness, x_OwnerValue
),
-- A witness that decides may still name others with a small part: they are not held against it.
agreed as (
    select
        ResourceId, x_Dimension,
        row_number() over (order by ResourceId, x_Dimension) as evidence_number,
        count(*) as witnesses,
        bool_and(decides) and min(x_OwnerValue) = max(x_OwnerValue) as is_one,
        min(x_OwnerValue) as x_OwnerValue
    from (
        select
            ResourceId, x_Dimension, x_Witness, bool_or(x_Decides) as decides,
            max(x_OwnerValue) filter (where x_Decides or x_Rank = 1) as x_OwnerValue
        from evidence
        group by ResourceId, x_Dimension, x_Witness
    ) as witness
    group by ResourceId, x_Dimension
),
-- What became of a stale value, by the witnesses of all resources that carry it.
renamed as (
    select
        n.x_Dimension, n.x_TagValue,
        min(a.x_OwnerValue) as guess,
        min(s.ResourceId) as ResourceId
    from spend as s
    inner join numbered as n on n.fault_number = s.fault_number
    inner join agreed as a on a.ResourceId = s.ResourceId and a.x_Dimension = n.x_Dimension
    where n.kind = 'stale'
    group by n.x_Dimension, n.x_TagValue
    having bool_and(a.is_one) and min(a.x_OwnerValue) = max(a.x_OwnerValue)
),
-- The account's other resources may settle a conflict, for one of the values in conflict.
settled as (
    select
        c.x_Dimension, c.x_TagKey, c.x_TagValue, a.ProviderName, a.SubAccountId,
        a.x_OwnerValue as guess, a.x_Where,
        row_number() over (
            order by c.x_Dimension, c.x_TagKey, c.x_TagValue, a.ProviderName, a.SubAccountId
        ) as account_number
    from (
        select distinct x_Dimension, x_TagKey, x_TagValue, x_OwnerValue from contradicting_tag
    ) as c
    inner join account_value as a
        on a.x_Dimension = c.x_Dimension and a.x_OwnerValue = c.x_OwnerValue
),
-- 0 stands for no evidence, no account.
guessed as (
    select
        n.kind, s.fault_number, n.x_Dimension, n.guess, s.ProviderName, s.SubAccountId,
        s.ResourceId, s.bare_service, s.BillingCurrency, s.x_Pool, s.EffectiveCost,
        s.x_ChargeRows, s.largest,
        coalesce(a.evidence_number, 0) as evidence_number,
        coalesce(b.account_number, 0) as account_number,
        coalesce(r.ResourceId <> s.ResourceId, r.ResourceId is not null) as is_tagged_alike,
        a.is_one, a.witnesses, a.x_OwnerValue as agreed_value
    from spend as s
    inner join numbered as n on n.fault_number = s.fault_number
    left join agreed as a on a.ResourceId = s.ResourceId and a.x_Dimension = n.x_Dimension
    left join renamed as r
        on n.kind = 'stale' and r.x_Dimension = n.x_Dimension and r.x_TagValue = n.x_TagValue
    left join settled as b
        on n.kind = 'conflict' and n.guess is null and a.ResourceId is null
        and b.x_Dimension = n.x_Dimension
        and b.x_TagKey = n.x_TagKey
        and b.x_TagValue = n.x_TagValue
        and b.ProviderName = s.ProviderName
        and b.SubAccountId = s.SubAccountId
),
-- -------------------------------------------------------------------- what use was measured
-- Where the tag is on part of the charges, that part of the use counts; proportions in 10^-9.
shared as (
    with
    use_total as (
        select
            ResourceId, x_Dimension, BillingCurrency, sum(x_Weight) as weight, count(*) as users
        from owner_evidence
        where x_Witness = 'use'
        group by ResourceId, x_Dimension, BillingCurrency
        having count(*) >= 2
    ),
    resource_total as (
        select r.ResourceId, r.BillingCurrency, sum(r.EffectiveCost) as EffectiveCost
        from resource_cost as r
        semi join use_total as u on u.ResourceId = r.ResourceId
        group by r.ResourceId, r.BillingCurrency
        having sum(r.EffectiveCost) > 0
    )
    select
        g.fault_number, g.evidence_number, g.ProviderName, g.SubAccountId, g.ResourceId,
        g.bare_service, g.BillingCurrency, g.x_Pool, g.x_ChargeRows, g.largest, t.users,
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
        g.kind = 'right' and 10 * u.x_Weight < 9 * t.weight
        and not coalesce(g.is_one and g.witnesses >= 2 and g.agreed_value <> g.guess, false)
        and g.EffectiveCost > 0
),
-- ----------------------------------------------------------------------------- the findings
fault as (
    select
        case kind when 'right' then 'witness_disagrees' else kind end as kind,
        fault_number, evidence_number, account_number, is_tagged_alike,
        cast(0 as bigint) as users, ProviderName, SubAccountId, ResourceId, bare_service,
        BillingCurrency, x_Pool, EffectiveCost, x_ChargeRows, largest
    from guessed
    where
        EffectiveCost <> 0
        and (
            kind <> 'right'
            or is_one and agreed_value <> guess
            and (witnesses >= 2 or coalesce(starts_with(x_Pool, 'inference/'), false))
        )
    union all
    select
        'shared_as_one' as kind, fault_number, evidence_number, cast(0 as bigint) as account_number,
        false as is_tagged_alike, users, ProviderName, SubAccountId, ResourceId, bare_service,
        BillingCurrency, x_Pool, EffectiveCost, x_ChargeRows, largest
    from shared
    where EffectiveCost <> 0
),
answer as materialized (
    with
    -- What is asked of the witnesses, once for all resources alike.
    asked as (
        select
            q.kind, q.fault_number, q.evidence_number, q.account_number, q.is_tagged_alike, q.users,
            row_number() over (
                order by q.kind, q.fault_number, q.evidence_number, q.account_number,
                    q.is_tagged_alike, q.users
            ) as question,
            n.x_Dimension, n.x_TagKey, n.x_TagValue, n.guess_where,
            coalesce(n.guess, r.guess, b.guess) as guess,
            case when q.is_tagged_alike then r.ResourceId end as tagged_alike,
            b.x_Where as account_where,
            a.ResourceId, a.is_one, a.x_OwnerValue as agreed_value
        from (
            select distinct
                kind, fault_number, evidence_number, account_number, is_tagged_alike, users
            from fault
        ) as q
        inner join numbered as n on n.fault_number = q.fault_number
        left join agreed as a on a.evidence_number = q.evidence_number
        left join settled as b on b.account_number = q.account_number
        left join renamed as r
            on n.kind = 'stale' and r.x_Dimension = n.x_Dimension and r.x_TagValue = n.x_TagValue
    ),
    likely as (
        select
            q.question,
            case
                when q.kind = 'shared_as_one' then null
                when q.kind = 'witness_disagrees' then q.agreed_value
                when q.kind = 'wrong_case' then q.guess
                when q.is_one is null then q.guess
                when q.is_one and (q.guess is null or q.guess = q.agreed_value) then q.agreed_value
                when not q.is_one and e.x_OwnerValue is not null then q.guess
            end as x_LikelyValue
        from asked as q
        left join (select distinct ResourceId, x_Dimension, x_OwnerValue from evidence) as e
            on e.ResourceId = q.ResourceId
            and e.x_Dimension = q.x_Dimension
            and e.x_OwnerValue = q.guess
    ),
    -- Who knows the value that a spelling, a typo or a swap points to.
    witness as (
        select q.question, e.x_Witness, e.x_OwnerValue, e.x_Where
        from asked as q
        inner join evidence as e
            on e.ResourceId = q.ResourceId and e.x_Dimension = q.x_Dimension and e.x_Rank <= 10
        union all
        select q.question, k.x_Witness, q.guess as x_OwnerValue, min(k.x_Where) as x_Where
        from asked as q
        inner join known_value as k
            on k.x_Dimension = q.x_Dimension and k.x_OwnerValue = q.guess
        anti join evidence as e
            on e.ResourceId = q.ResourceId
            and e.x_Dimension = q.x_Dimension
            and e.x_Witness = k.x_Witness
            and e.x_OwnerValue = q.guess
        where q.kind in ('wrong_case', 'typo', 'swapped')
        group by q.question, k.x_Witness, q.guess
        union all
        select
            question, 'bill_tag' as x_Witness, guess as x_OwnerValue,
            'tag ' || guess_where as x_Where
        from asked
        where guess is not null and guess_where is not null
        union all
        select q.question, 'bill_tag' as x_Witness, c.x_OwnerValue, 'tag ' || c.one_key as x_Where
        from asked as q
        inner join contradicting_tag as c
            on c.x_Dimension = q.x_Dimension
            and c.x_TagKey = q.x_TagKey
            and c.x_TagValue = q.x_TagValue
        where q.kind = 'conflict'
        union all
        select question, 'sibling' as x_Witness, guess as x_OwnerValue,
            tagged_alike || ', tagged alike' as x_Where
        from asked
        where tagged_alike is not null
        union all
        select question, 'sibling' as x_Witness, guess as x_OwnerValue, account_where as x_Where
        from asked
        where account_where is not null
    ),
    witness_list as (
        select
            l.question,
            count(distinct w.x_Witness) filter (where w.x_OwnerValue = l.x_LikelyValue)
                as witnesses,
            string_agg(distinct replace(w.x_Witness, '_', ' '), ', '
                order by replace(w.x_Witness, '_', ' '))
                filter (where w.x_OwnerValue = l.x_LikelyValue) as who,
            string_agg(distinct w.x_OwnerValue, ', ' order by w.x_OwnerValue) as said,
            '[' || string_agg(
                to_json(struct_pack(
                    witness := w.x_Witness, "value" := w.x_OwnerValue, "where" := w.x_Where
                )),
                ',' order by w.x_Witness, w.x_OwnerValue, w.x_Where
            ) || ']' as x_Witnesses
        from likely as l
        inner join witness as w on w.question = l.question
        group by l.question
    )
    select
        q.kind, q.fault_number, q.evidence_number, q.account_number, q.is_tagged_alike, q.users,
        q.x_Dimension, q.x_TagKey, q.x_TagValue, l.x_LikelyValue,
        coalesce(w.witnesses, 0) as x_WitnessCount,
        coalesce(w.x_Witnesses, '[]') as x_Witnesses,
        case q.kind
            when 'wrong_case' then
                'Counted as ' || q.guess
                || ' already; write the tag so, to be found by exact filters.'
            when 'shared_as_one' then
                q.users || ' values of ' || q.x_Dimension || ' use it, the tag names one; the cost '
                || 'is what the others used. Let use split it, and tag it as shared.'
            when 'witness_disagrees' then
                'The tag says ' || q.guess || ', its witnesses (' || w.who || ') '
                || l.x_LikelyValue || '. Check who owns it, then correct the tag.'
            when 'conflict' then
                'Its tags contradict each other. '
                || case
                    when l.x_LikelyValue is null then 'Ask its owner, then keep one.'
                    else 'Keep ' || l.x_LikelyValue || '.'
                end
            when 'swapped' then
                'A value of another dimension, perhaps two tags swapped. '
                || case
                    when l.x_LikelyValue is null then 'Ask its owner for the right value.'
                    else 'Likely ' || l.x_LikelyValue || '.'
                end
            when 'typo' then
                'No such ' || q.x_Dimension || ' is known. '
                || case
                    when l.x_LikelyValue is null then
                        'Several known ones are near, or its witnesses name others; ask its owner.'
                    else 'Likely ' || l.x_LikelyValue || '; correct the tag.'
                end
            else
                'No such ' || q.x_Dimension || ' in Git, cluster or logs in this period. '
                || case
                    when l.x_LikelyValue is not null
                        then 'Likely now ' || l.x_LikelyValue || '; correct the tag.'
                    when w.said is not null
                        then 'Its witnesses name several: ' || w.said || '; ask its owner.'
                    else 'No witness knows the resource: ask its owner whether it is still needed.'
                end
        end as x_Reason
    from asked as q
    inner join likely as l on l.question = q.question
    left join witness_list as w on w.question = q.question
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), a.kind, a.x_Dimension, f.ProviderName, coalesce(f.SubAccountId, ''),
        coalesce(f.ResourceId, ''), coalesce(f.bare_service, ''), a.x_TagKey, a.x_TagValue
    )) as x_FindingId,
    a.kind as x_FindingKind,
    a.x_Dimension,
    f.ProviderName,
    f.largest.service as ServiceName,
    f.SubAccountId,
    f.ResourceId,
    case when starts_with(f.x_Pool, 'node/') then substr(f.x_Pool, 6) end as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    a.x_TagKey,
    a.x_TagValue,
    a.x_LikelyValue,
    a.x_WitnessCount,
    a.x_Witnesses,
    f.BillingCurrency,
    cast(f.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(f.x_ChargeRows as bigint) as x_ChargeRows,
    f.largest.file as x_SourceFile,
    f.largest.line as x_SourceRow,
    a.x_Reason
from fault as f
inner join answer as a
    on a.fault_number = f.fault_number
    and a.evidence_number = f.evidence_number
    and a.account_number = f.account_number
    and a.is_tagged_alike = f.is_tagged_alike
    and a.users = f.users
order by x_FindingId, f.BillingCurrency
