-- Who each distinct set of tags, or of labels of pods, claims and Services, names as owner.
--
-- Rule work is done once per distinct set, not once per charge. Keys and values are normalised
-- (case, blanks, `-` against `_`), then aliases apply. Keys are taken in order of trust; two
-- keys of the same trust that disagree are a conflict and name nobody, rather than the last one.
--
-- One row per distinct set of tags or labels.
with
labelled as (
    select x_TagSetId, Tags from tag_set
    union
    select
        cast(md5_number_lower(x_Labels) >> 1 as bigint) as x_TagSetId,
        x_Labels as Tags
    from (
        select x_Labels from pod_usage
        union
        select x_ClaimLabels as x_Labels from volume_usage
        union
        select x_Labels from service_usage
    ) as label_set
),
entry as materialized (
    select x_TagSetId, pair.key as x_TagKey, normal_value(pair.value) as tag_value
    from (select x_TagSetId, unnest(map_entries(json_map(Tags))) as pair from labelled) as pairs
),
-- Distinct keys are few: the text work on them is done once for each.
key_name as (
    select x_TagKey, normal_key(x_TagKey) as tag_key
    from (select distinct x_TagKey from entry) as spelt
),
tag as (
    select e.x_TagSetId, k.tag_key, e.tag_value
    from entry as e
    inner join key_name as k on k.x_TagKey = e.x_TagKey
    where e.tag_value is not null
),
owner_tag as (
    select
        tag.x_TagSetId,
        owner_key.x_Dimension,
        owner_key.x_Rank,
        coalesce(value_alias.x_To, tag.tag_value) as owner
    from tag
    inner join owner_key on owner_key.x_TagKey = tag.tag_key
    left join value_alias
        on value_alias.x_Dimension = owner_key.x_Dimension
        and value_alias.x_From = tag.tag_value
),
most_trusted as (
    select x_TagSetId, x_Dimension, min(x_Rank) as x_Rank
    from owner_tag
    group by x_TagSetId, x_Dimension
),
named as (
    select
        owner_tag.x_TagSetId,
        owner_tag.x_Dimension,
        min(owner_tag.owner) as owner,
        min(owner_tag.owner) = max(owner_tag.owner) as is_one
    from owner_tag
    inner join most_trusted
        on most_trusted.x_TagSetId = owner_tag.x_TagSetId
        and most_trusted.x_Dimension = owner_tag.x_Dimension
        and most_trusted.x_Rank = owner_tag.x_Rank
    group by owner_tag.x_TagSetId, owner_tag.x_Dimension
),
owner as (
    select
        x_TagSetId,
        max(owner) filter (where x_Dimension = 'feature' and is_one) as x_Feature,
        max(owner) filter (where x_Dimension = 'tenant' and is_one) as x_Tenant,
        max(owner) filter (where x_Dimension = 'environment' and is_one) as x_Environment,
        string_agg(x_Dimension, ',' order by x_Dimension) filter (where not is_one) as x_Conflict
    from named
    group by x_TagSetId
),
normalised as (
    select
        x_TagSetId,
        '{' || array_to_string(
            list_sort(list(to_json(tag_key) || ':' || to_json(tag_value))), ','
        ) || '}' as x_Normalised
    from tag
    group by x_TagSetId
)
select
    $period as BillingPeriod,
    labelled.x_TagSetId,
    labelled.Tags,
    owner.x_Feature,
    owner.x_Tenant,
    owner.x_Environment,
    owner.x_Conflict,
    coalesce(normalised.x_Normalised, '{}') as x_Normalised
from labelled
left join owner on owner.x_TagSetId = labelled.x_TagSetId
left join normalised on normalised.x_TagSetId = labelled.x_TagSetId
order by labelled.x_TagSetId
