-- Spend whose tag is there but wrong: the faults of tag_fault, where money carries them, and what
-- the witnesses of the resource say to it.
--
-- conflict: the account's other resources may settle it.
-- wrong_case: allocated right already; an alias is not a fault.
-- stale: likely is what the witnesses of the resource say, else what those of other resources with
--   the same tag say.
-- witness_disagrees: the tag is right as such, but all witnesses of the resource name another
--   value: two at least, or the calls themselves where they are what the charges are split by.
--
-- EffectiveCost is the sum of the charges that carry the tag. One likely value only where no
-- witness says otherwise.
--
-- A fault on a hundred thousand resources is one question to the witnesses: what they say and the
-- words of it are made once a question, and joined to the resources by numbers at the end.
--
-- One row per resource (or service and account), dimension, kind of fault, tag and currency.
with
-- Tags that contradict each other, and what each of them says.
contradicting_tag as (
    select distinct
        c.x_Dimension, c.x_TagKey, c.x_TagValue, t.x_TagKey as one_key, t.x_OwnerValue
    from tag_fault as c
    inner join owner_tag as t on t.x_TagSetId = c.x_TagSetId and t.x_Dimension = c.x_Dimension
    where c.x_TagFault = 'conflict'
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
        select distinct
            x_TagFault as kind, x_Dimension, x_TagKey, x_TagValue, x_RightValue as guess,
            x_RightTagKey as guess_where
        from tag_fault
    ) as fault
),
set_tag as (
    select f.x_TagSetId, n.fault_number, n.tag_number
    from tag_fault as f
    inner join numbered as n
        on n.kind = f.x_TagFault
        and n.x_Dimension = f.x_Dimension
        and n.x_TagKey = f.x_TagKey
        and n.x_TagValue = f.x_TagValue
        and n.guess is not distinct from f.x_RightValue
        and n.guess_where is not distinct from f.x_RightTagKey
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
        from owner_evidence
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
-- ----------------------------------------------------------------------------- the findings
fault as (
    select
        case kind when 'right' then 'witness_disagrees' else kind end as kind,
        fault_number, evidence_number, account_number, is_tagged_alike, ProviderName,
        SubAccountId, ResourceId, bare_service, BillingCurrency, x_Pool, EffectiveCost,
        x_ChargeRows, largest
    from guessed
    where
        EffectiveCost <> 0
        and (
            kind <> 'right'
            or is_one and agreed_value <> guess
            and (witnesses >= 2 or coalesce(starts_with(x_Pool, 'inference/'), false))
        )
),
answer as materialized (
    with
    -- What is asked of the witnesses, once for all resources alike.
    asked as (
        select
            q.kind, q.fault_number, q.evidence_number, q.account_number, q.is_tagged_alike,
            row_number() over (
                order by q.kind, q.fault_number, q.evidence_number, q.account_number,
                    q.is_tagged_alike
            ) as question,
            n.x_Dimension, n.x_TagKey, n.x_TagValue, n.guess_where,
            coalesce(n.guess, r.guess, b.guess) as guess,
            case when q.is_tagged_alike then r.ResourceId end as tagged_alike,
            b.x_Where as account_where,
            a.ResourceId, a.is_one, a.x_OwnerValue as agreed_value
        from (
            select distinct
                kind, fault_number, evidence_number, account_number, is_tagged_alike
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
                when q.kind = 'witness_disagrees' then q.agreed_value
                when q.kind = 'wrong_case' then q.guess
                when q.is_one is null then q.guess
                when q.is_one and (q.guess is null or q.guess = q.agreed_value) then q.agreed_value
                when not q.is_one and e.x_OwnerValue is not null then q.guess
            end as x_LikelyValue
        from asked as q
        left join (select distinct ResourceId, x_Dimension, x_OwnerValue from owner_evidence) as e
            on e.ResourceId = q.ResourceId
            and e.x_Dimension = q.x_Dimension
            and e.x_OwnerValue = q.guess
    ),
    -- Who knows the value that a spelling, a typo or a swap points to.
    witness as (
        select q.question, e.x_Witness, e.x_OwnerValue, e.x_Where
        from asked as q
        inner join owner_evidence as e
            on e.ResourceId = q.ResourceId and e.x_Dimension = q.x_Dimension and e.x_Rank <= 10
        union all
        select q.question, k.x_Witness, q.guess as x_OwnerValue, min(k.x_Where) as x_Where
        from asked as q
        inner join known_value as k
            on k.x_Dimension = q.x_Dimension and k.x_OwnerValue = q.guess
        anti join owner_evidence as e
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
        q.kind, q.fault_number, q.evidence_number, q.account_number, q.is_tagged_alike,
        q.x_Dimension, q.x_TagKey, q.x_TagValue, l.x_LikelyValue,
        coalesce(w.witnesses, 0) as x_WitnessCount,
        coalesce(w.x_Witnesses, '[]') as x_Witnesses,
        case q.kind
            when 'wrong_case' then
                'Counted as ' || q.guess
                || ' already; write the tag so, to be found by exact filters.'
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
order by x_FindingId, f.BillingCurrency
