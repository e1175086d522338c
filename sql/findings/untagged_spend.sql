-- Spend that could name its owner but does not.
--
-- Taggable are charges of category Usage and Purchase. Left out: charges split by use (a node
-- without tags is no fault where its pods say whose it is; a bought model without tags is one only
-- where its callers are as good as one, so that there is a right tag), dimensions that a `[[rule]]`
-- fills, tags that contradict each other (a finding of its own, `conflict`), and what sums to
-- nothing. Charges without a resource are one finding per service and account. A tag that says a word
-- in parentheses, such as `(idle)`, names nobody either: the finding has it.
--
-- The likely value is what all witnesses say: those of owner_evidence, and the same resource
-- tagged on other charges (sibling). Where none of them speaks, the account's other resources may
-- (sibling, account_value). Witnesses that differ, or one that names several, are no answer: the
-- finding says so and leaves the value open.
--
-- One row per resource (or service and account), missing dimension and currency.
with
dimension as (
    select unnest(['feature', 'tenant', 'environment']) as x_Dimension
),
owner as (
    select
        t.x_TagSetId, d.x_Dimension,
        case d.x_Dimension
            when 'feature' then t.x_Feature
            when 'tenant' then t.x_Tenant
            else t.x_Environment
        end as x_OwnerValue,
        contains(',' || coalesce(t.x_Conflict, '') || ',', ',' || d.x_Dimension || ',')
            as is_conflict
    from tag_owner as t
    semi join tag_set on tag_set.x_TagSetId = t.x_TagSetId
    cross join dimension as d
),
filled as (
    select dimension.x_Dimension, w.*
    from owner_rule as w
    cross join dimension
    where
        case dimension.x_Dimension
            when 'feature' then w.x_Feature
            when 'tenant' then w.x_Tenant
            else w.x_Environment
        end is not null
),
-- Of the sets, few have a parenthesis at all.
reserved as (
    select
        t.x_TagSetId, k.x_Dimension,
        min(struct_pack(rank := k.x_Rank, tag := t.entry.key, word := t.entry.value)) as first
    from (
        select x_TagSetId, unnest(map_entries(json_map(Tags))) as entry
        from tag_set
        where contains(Tags, '(')
    ) as t
    inner join owner_key as k on k.x_TagKey = normal_key(t.entry.key)
    where normal_value(t.entry.value) is null and spelt_value(t.entry.value) is not null
    group by t.x_TagSetId, k.x_Dimension
),
untagged as (
    select o.x_TagSetId, o.x_Dimension, r.first.tag as x_TagKey, r.first.word as x_TagValue
    from owner as o
    left join reserved as r on r.x_TagSetId = o.x_TagSetId and r.x_Dimension = o.x_Dimension
    where o.x_OwnerValue is null and not o.is_conflict
),
one_caller as (
    select distinct ResourceId, x_Dimension
    from owner_evidence
    where x_Witness = 'inference_log' and x_Decides
),
asked as (
    select
        r.ProviderName, r.SubAccountId, r.ServiceName, r.ServiceCategory, r.ChargeCategory,
        r.CommitmentDiscountStatus, r.ResourceId, u.x_Dimension, u.x_TagKey, u.x_TagValue,
        r.BillingCurrency, r.EffectiveCost, r.x_ChargeRows, r.x_LargestCharge,
        r.x_SourceFile, r.x_SourceRow
    from resource_cost as r
    inner join untagged as u on u.x_TagSetId = r.x_TagSetId
    where r.ChargeCategory in ('Usage', 'Purchase') and r.x_Pool is null
    union all
    select
        r.ProviderName, r.SubAccountId, r.ServiceName, r.ServiceCategory, r.ChargeCategory,
        r.CommitmentDiscountStatus, r.ResourceId, u.x_Dimension, u.x_TagKey, u.x_TagValue,
        r.BillingCurrency, r.EffectiveCost, r.x_ChargeRows, r.x_LargestCharge,
        r.x_SourceFile, r.x_SourceRow
    from resource_cost as r
    inner join untagged as u on u.x_TagSetId = r.x_TagSetId
    semi join one_caller as c on c.ResourceId = r.ResourceId and c.x_Dimension = u.x_Dimension
    where r.ChargeCategory in ('Usage', 'Purchase') and starts_with(r.x_Pool, 'inference/')
),
spend as (
    select
        a.ProviderName, a.SubAccountId, a.ResourceId, a.x_Dimension, a.BillingCurrency,
        case when a.ResourceId is null then a.ServiceName end as bare_service,
        sum(a.EffectiveCost) as EffectiveCost,
        sum(a.x_ChargeRows) as x_ChargeRows,
        min(struct_pack(
            cost := -a.x_LargestCharge, file := a.x_SourceFile, line := a.x_SourceRow,
            service := a.ServiceName
        )) as largest,
        min(struct_pack(tag := a.x_TagKey, word := a.x_TagValue))
            filter (where a.x_TagKey is not null) as said
    from asked as a
    anti join filled as w
        on w.x_Dimension = a.x_Dimension
        and (w.ProviderName is null or w.ProviderName = a.ProviderName)
        and (w.SubAccountId is null or w.SubAccountId = a.SubAccountId)
        and (w.ServiceName is null or w.ServiceName = a.ServiceName)
        and (w.ServiceCategory is null or w.ServiceCategory = a.ServiceCategory)
        and (w.ChargeCategory is null or w.ChargeCategory = a.ChargeCategory)
        and (w.ResourceId is null or w.ResourceId = a.ResourceId)
        and (
            w.CommitmentDiscountStatus is null
            or w.CommitmentDiscountStatus = a.CommitmentDiscountStatus
        )
    group by
        a.ProviderName, a.SubAccountId, a.ResourceId, a.x_Dimension, a.BillingCurrency,
        case when a.ResourceId is null then a.ServiceName end
    having sum(a.EffectiveCost) <> 0
),
-- -------------------------------------------------------------------------- witnesses
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
),
known as (
    select distinct x_Dimension, x_OwnerValue from known_value
),
believed as (
    select o.x_TagSetId, o.x_Dimension, o.x_OwnerValue,
        k.x_OwnerValue is not null or j.x_Dimension is null as is_known
    from owner as o
    left join known as k
        on k.x_Dimension = o.x_Dimension and k.x_OwnerValue = o.x_OwnerValue
    left join judged as j on j.x_Dimension = o.x_Dimension
    where o.x_OwnerValue is not null
),
-- Only a resource of several sets of tags can be tagged elsewhere.
several_sets as (
    select ResourceId
    from resource_cost
    where ResourceId is not null and ChargeCategory in ('Usage', 'Purchase')
    group by ResourceId
    having min(x_TagSetId) <> max(x_TagSetId)
),
own_sibling as (
    select
        r.ProviderName, r.SubAccountId, r.ResourceId, b.x_Dimension,
        min(b.x_OwnerValue) as x_OwnerValue
    from resource_cost as r
    semi join several_sets as s on s.ResourceId = r.ResourceId
    inner join believed as b on b.x_TagSetId = r.x_TagSetId
    where r.ChargeCategory in ('Usage', 'Purchase')
    group by r.ProviderName, r.SubAccountId, r.ResourceId, b.x_Dimension
    having min(b.x_OwnerValue) = max(b.x_OwnerValue) and bool_and(b.is_known)
),
evidence as (
    select
        ResourceId, x_Dimension, x_Witness, x_OwnerValue, bool_and(x_Decides) as x_Decides,
        min(x_Where) as x_Where
    from owner_evidence
    where x_Witness <> 'use' and x_Rank <= 5
    group by ResourceId, x_Dimension, x_Witness, x_OwnerValue
),
named as (
    select distinct
        s.ProviderName, s.SubAccountId, s.ResourceId, s.x_Dimension,
        e.x_Witness, e.x_OwnerValue, e.x_Decides, e.x_Where
    from spend as s
    inner join evidence as e on e.ResourceId = s.ResourceId and e.x_Dimension = s.x_Dimension
    union all
    select distinct
        s.ProviderName, s.SubAccountId, s.ResourceId, s.x_Dimension,
        'sibling' as x_Witness, o.x_OwnerValue, true as x_Decides,
        'other charges of ' || s.ResourceId as x_Where
    from spend as s
    inner join own_sibling as o
        on o.ProviderName = s.ProviderName
        and o.SubAccountId is not distinct from s.SubAccountId
        and o.ResourceId = s.ResourceId
        and o.x_Dimension = s.x_Dimension
),
-- A witness that decides may still name others with a small part: they are not held against it.
witness as (
    select
        ProviderName, SubAccountId, ResourceId, x_Dimension, x_Witness,
        bool_or(x_Decides) as decides,
        max(x_OwnerValue) filter (where x_Decides) as x_OwnerValue,
        string_agg(x_OwnerValue, ', ' order by x_OwnerValue) as said,
        string_agg(
            to_json(struct_pack(
                witness := x_Witness, "value" := x_OwnerValue, "where" := x_Where
            )),
            ',' order by x_OwnerValue, x_Where
        ) as x_Witnesses
    from named
    group by ProviderName, SubAccountId, ResourceId, x_Dimension, x_Witness
),
verdict as (
    select
        ProviderName, SubAccountId, ResourceId, x_Dimension,
        case
            when bool_and(decides) and min(x_OwnerValue) = max(x_OwnerValue)
                then min(x_OwnerValue)
        end as x_LikelyValue,
        count(*) as witnesses,
        string_agg(replace(x_Witness, '_', ' '), ', ' order by x_Witness) as who,
        string_agg(
            replace(x_Witness, '_', ' ') || ': ' || said, '; ' order by x_Witness
        ) as said,
        '[' || string_agg(x_Witnesses, ',' order by x_Witness) || ']' as x_Witnesses
    from witness
    group by ProviderName, SubAccountId, ResourceId, x_Dimension
),
account_verdict as (
    select
        ProviderName, SubAccountId, x_Dimension, x_OwnerValue,
        '[' || to_json(struct_pack(
            witness := 'sibling', "value" := x_OwnerValue, "where" := x_Where
        )) || ']' as x_Witnesses
    from account_value
),
answered as (
    select
        md5(concat_ws(
            chr(31), 'untagged', s.x_Dimension, s.ProviderName, coalesce(s.SubAccountId, ''),
            coalesce(s.ResourceId, ''), coalesce(s.bare_service, '')
        )) as x_FindingId,
        s.ProviderName, s.SubAccountId, s.ResourceId, s.x_Dimension, s.BillingCurrency,
        s.EffectiveCost, s.x_ChargeRows, s.largest, s.said.tag as x_TagKey,
        s.said.word as x_TagValue,
        case when v.witnesses is null then a.x_OwnerValue else v.x_LikelyValue end
            as x_LikelyValue,
        case when v.witnesses is not null then v.witnesses when a.x_OwnerValue is not null then 1
            else 0 end as witnesses,
        coalesce(v.who, 'sibling') as who,
        v.said,
        coalesce(v.x_Witnesses, a.x_Witnesses, '[]') as x_Witnesses
    from spend as s
    left join verdict as v
        on v.ProviderName = s.ProviderName
        and v.SubAccountId is not distinct from s.SubAccountId
        and v.ResourceId = s.ResourceId
        and v.x_Dimension = s.x_Dimension
    left join account_verdict as a
        on a.ProviderName = s.ProviderName
        and a.SubAccountId = s.SubAccountId
        and a.x_Dimension = s.x_Dimension
)
select
    $period as BillingPeriod,
    x_FindingId,
    'untagged' as x_FindingKind,
    x_Dimension,
    ProviderName,
    largest.service as ServiceName,
    SubAccountId,
    ResourceId,
    cast(null as varchar) as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    x_TagKey,
    x_TagValue,
    x_LikelyValue,
    cast(case when x_LikelyValue is null then 0 else witnesses end as bigint) as x_WitnessCount,
    x_Witnesses,
    BillingCurrency,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(x_ChargeRows as bigint) as x_ChargeRows,
    largest.file as x_SourceFile,
    largest.line as x_SourceRow,
    case
        when x_LikelyValue is not null
            then fault || '; its witnesses (' || who || ') name '
            || x_LikelyValue || '. Tag it so.'
        when said is not null
            then fault || ', and the witnesses name several: ' || said
            || '. Ask its owner, then tag it.'
        when ResourceId is null
            then fault || case when x_TagKey is null then '' else ',' end
            || ' and no resource to ask about. Activate the '
            || 'tag for this service, or give its charges an owner by a [[rule]].'
        else fault || ', and no witness knows the resource. '
            || 'Ask the owner of the account, then tag it.'
    end as x_Reason
-- Sorted before the words that are the same for all.
from (
    select
        *,
        case
            when x_TagKey is null then 'No ' || x_Dimension || ' tag'
            else 'The ' || x_Dimension || ' tag says ' || x_TagValue || ', which names nobody'
        end as fault
    from (select * from answered order by x_FindingId, BillingCurrency) as answered
) as answered
