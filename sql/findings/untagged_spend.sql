-- Spend that could name its owner but does not.
--
-- Taggable are charges of category Usage and Purchase. Left out: charges split by use (a node
-- without tags is no fault where its pods say whose it is; a bought model without tags is one only
-- where its callers are as good as one, so that there is a right tag), dimensions that a `[[rule]]`
-- fills, tags that contradict each other (a finding of its own, `conflict`), and what sums to
-- nothing. Charges without a resource are one finding per service and account.
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
charge as (
    select
        r.ProviderName, r.SubAccountId, r.ServiceCategory, r.ServiceName, r.ChargeCategory,
        r.ResourceId, r.x_Pool, r.BillingCurrency, o.x_Dimension, o.x_OwnerValue, o.is_conflict,
        sum(r.EffectiveCost) as EffectiveCost,
        sum(r.x_ChargeRows) as x_ChargeRows,
        min(struct_pack(
            cost := -r.x_LargestCharge, file := r.x_SourceFile, line := r.x_SourceRow,
            service := r.ServiceName
        )) as largest
    from resource_cost as r
    inner join owner as o on o.x_TagSetId = r.x_TagSetId
    where r.ChargeCategory in ('Usage', 'Purchase')
    group by
        r.ProviderName, r.SubAccountId, r.ServiceCategory, r.ServiceName, r.ChargeCategory,
        r.ResourceId, r.x_Pool, r.BillingCurrency, o.x_Dimension, o.x_OwnerValue, o.is_conflict
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
one_caller as (
    select distinct ResourceId, x_Dimension
    from owner_evidence
    where x_Witness = 'inference_log' and x_Decides
),
missing as (
    select c.*
    from charge as c
    left join one_caller as o on o.ResourceId = c.ResourceId and o.x_Dimension = c.x_Dimension
    anti join filled as w
        on w.x_Dimension = c.x_Dimension
        and (w.ProviderName is null or w.ProviderName = c.ProviderName)
        and (w.SubAccountId is null or w.SubAccountId = c.SubAccountId)
        and (w.ServiceName is null or w.ServiceName = c.ServiceName)
        and (w.ServiceCategory is null or w.ServiceCategory = c.ServiceCategory)
        and (w.ChargeCategory is null or w.ChargeCategory = c.ChargeCategory)
        and (w.ResourceId is null or w.ResourceId = c.ResourceId)
    where
        c.x_OwnerValue is null
        and not c.is_conflict
        and (
            c.x_Pool is null
            or (starts_with(c.x_Pool, 'inference/') and o.ResourceId is not null)
        )
),
spend as (
    select
        ProviderName, SubAccountId, ResourceId, x_Dimension, BillingCurrency,
        case when ResourceId is null then ServiceName end as bare_service,
        sum(EffectiveCost) as EffectiveCost,
        sum(x_ChargeRows) as x_ChargeRows,
        min(largest) as largest
    from missing
    group by
        ProviderName, SubAccountId, ResourceId, x_Dimension, BillingCurrency,
        case when ResourceId is null then ServiceName end
    having sum(EffectiveCost) <> 0
),
-- -------------------------------------------------------------------------- witnesses
judged as (
    select distinct x_Dimension from known_value where x_Witness <> 'configuration'
),
known as (
    select distinct x_Dimension, x_OwnerValue from known_value
),
believed as (
    select c.ProviderName, c.SubAccountId, c.ResourceId, c.x_Dimension, c.x_OwnerValue,
        k.x_OwnerValue is not null or j.x_Dimension is null as is_known
    from charge as c
    left join known as k
        on k.x_Dimension = c.x_Dimension and k.x_OwnerValue = c.x_OwnerValue
    left join judged as j on j.x_Dimension = c.x_Dimension
    where c.ResourceId is not null
),
own_sibling as (
    select
        ProviderName, SubAccountId, ResourceId, x_Dimension,
        min(x_OwnerValue) as x_OwnerValue
    from believed
    group by ProviderName, SubAccountId, ResourceId, x_Dimension
    having
        min(x_OwnerValue) = max(x_OwnerValue)
        and bool_and(is_known or x_OwnerValue is null)
),
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
named as (
    select
        s.ProviderName, s.SubAccountId, s.ResourceId, s.bare_service, s.x_Dimension,
        e.x_Witness, e.x_OwnerValue, e.x_Decides, e.x_Where
    from (
        select distinct ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension
        from spend
    ) as s
    inner join evidence as e
        on e.ResourceId = s.ResourceId and e.x_Dimension = s.x_Dimension and e.place <= 5
    union all
    select
        s.ProviderName, s.SubAccountId, s.ResourceId, s.bare_service, s.x_Dimension,
        'sibling' as x_Witness, o.x_OwnerValue, true as x_Decides,
        'other charges of ' || s.ResourceId as x_Where
    from (
        select distinct ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension
        from spend
    ) as s
    inner join own_sibling as o
        on o.ProviderName = s.ProviderName
        and o.SubAccountId is not distinct from s.SubAccountId
        and o.ResourceId = s.ResourceId
        and o.x_Dimension = s.x_Dimension
),
named_or_account as (
    select
        ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension, x_Witness,
        x_OwnerValue, x_Decides, x_Where
    from named
    union all
    select
        s.ProviderName, s.SubAccountId, s.ResourceId, s.bare_service, s.x_Dimension,
        'sibling' as x_Witness, a.x_OwnerValue, true as x_Decides, a.x_Where
    from (
        select distinct ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension
        from spend
    ) as s
    inner join account_value as a
        on a.ProviderName = s.ProviderName
        and a.SubAccountId = s.SubAccountId
        and a.x_Dimension = s.x_Dimension
    anti join named as n
        on n.ProviderName = s.ProviderName
        and n.SubAccountId is not distinct from s.SubAccountId
        and n.ResourceId is not distinct from s.ResourceId
        and n.bare_service is not distinct from s.bare_service
        and n.x_Dimension = s.x_Dimension
),
-- A witness that decides may still name others with a small part: they are not held against it.
witness as (
    select
        ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension, x_Witness,
        bool_or(x_Decides) as decides,
        max(x_OwnerValue) filter (where x_Decides) as x_OwnerValue,
        string_agg(x_OwnerValue, ', ' order by x_OwnerValue) as said,
        string_agg(
            to_json(struct_pack(
                witness := x_Witness, "value" := x_OwnerValue, "where" := x_Where
            )),
            ',' order by x_OwnerValue, x_Where
        ) as x_Witnesses
    from named_or_account
    group by ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension, x_Witness
),
verdict as (
    select
        ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension,
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
    group by ProviderName, SubAccountId, ResourceId, bare_service, x_Dimension
)
select
    $period as BillingPeriod,
    md5(concat_ws(
        chr(31), 'untagged', s.x_Dimension, s.ProviderName, coalesce(s.SubAccountId, ''),
        coalesce(s.ResourceId, ''), coalesce(s.bare_service, '')
    )) as x_FindingId,
    'untagged' as x_FindingKind,
    s.x_Dimension,
    s.ProviderName,
    s.largest.service as ServiceName,
    s.SubAccountId,
    s.ResourceId,
    cast(null as varchar) as x_Cluster,
    cast(null as varchar) as x_Namespace,
    cast(null as varchar) as x_Workload,
    cast(null as varchar) as x_TagKey,
    cast(null as varchar) as x_TagValue,
    v.x_LikelyValue,
    case when v.x_LikelyValue is null then 0 else v.witnesses end as x_WitnessCount,
    coalesce(v.x_Witnesses, '[]') as x_Witnesses,
    s.BillingCurrency,
    cast(s.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(s.x_ChargeRows as bigint) as x_ChargeRows,
    s.largest.file as x_SourceFile,
    s.largest.line as x_SourceRow,
    case
        when v.x_LikelyValue is not null
            then 'No ' || s.x_Dimension || ' tag; its witnesses (' || v.who || ') name '
            || v.x_LikelyValue || '. Tag it so.'
        when v.said is not null
            then 'No ' || s.x_Dimension || ' tag, and the witnesses name several: ' || v.said
            || '. Ask its owner, then tag it.'
        when s.ResourceId is null
            then 'No ' || s.x_Dimension || ' tag and no resource to ask about. Activate the '
            || 'tag for this service, or give its charges an owner by a [[rule]].'
        else 'No ' || s.x_Dimension || ' tag, and no witness knows the resource. '
            || 'Ask the owner of the account, then tag it.'
    end as x_Reason
from spend as s
left join verdict as v
    on v.ProviderName = s.ProviderName
    and v.SubAccountId is not distinct from s.SubAccountId
    and v.ResourceId is not distinct from s.ResourceId
    and v.bare_service is not distinct from s.bare_service
    and v.x_Dimension = s.x_Dimension
order by x_FindingId, s.BillingCurrency
