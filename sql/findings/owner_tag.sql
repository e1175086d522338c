-- Every owner tag as delivered, with the value it stands for: tags of the bill, labels of pods and
-- labels in Git, each distinct set once.
--
-- x_Decides marks the tags of the most trusted key that is there, unless they contradict each
-- other (`Team=ml` beside `team=nlp`): then nobody decides, as in tag_owner.
--
-- One row per set of tags, dimension and owner tag.
with
tagged as (
    select x_TagSetId, Tags from tag_set
    union
    select cast(md5_number_lower(x_Labels) >> 1 as bigint) as x_TagSetId, x_Labels as Tags
    from (
        select x_Labels from pod_usage
        union
        select x_Labels from declared_workload
    ) as label_set
),
tag as materialized (
    select x_TagSetId, entry.key as x_TagKey, entry.value as x_TagValue
    from (
        select x_TagSetId, unnest(map_entries(json_map(Tags))) as entry from tagged
    ) as entries
),
-- Distinct keys and values are few: the text work is done once for each.
tag_key as (
    select k.x_TagKey, o.x_Dimension, min(o.x_Rank) as x_Rank
    from (select distinct x_TagKey from tag) as k
    inner join owner_key as o on o.x_TagKey = normal_key(k.x_TagKey)
    group by k.x_TagKey, o.x_Dimension
),
keyed as (
    select t.x_TagSetId, k.x_Dimension, k.x_Rank, t.x_TagKey, t.x_TagValue
    from tag as t
    inner join tag_key as k on k.x_TagKey = t.x_TagKey
),
tag_value as (
    select
        v.x_Dimension, v.x_TagValue,
        coalesce(a.x_To, normal_value(v.x_TagValue)) as x_OwnerValue
    from (select distinct x_Dimension, x_TagValue from keyed) as v
    left join value_alias as a
        on a.x_Dimension = v.x_Dimension and a.x_From = normal_value(v.x_TagValue)
    where normal_value(v.x_TagValue) is not null
),
valued as (
    select
        t.x_TagSetId, t.x_Dimension, t.x_Rank, t.x_TagKey, t.x_TagValue, v.x_OwnerValue
    from keyed as t
    inner join tag_value as v
        on v.x_Dimension = t.x_Dimension and v.x_TagValue = t.x_TagValue
),
most_trusted as (
    select x_TagSetId, x_Dimension, min(x_Rank) as x_Rank
    from valued
    group by x_TagSetId, x_Dimension
),
decided as (
    select
        v.x_TagSetId, v.x_Dimension, v.x_Rank,
        min(v.x_OwnerValue) = max(v.x_OwnerValue) as x_Decides
    from valued as v
    inner join most_trusted as m
        on m.x_TagSetId = v.x_TagSetId
        and m.x_Dimension = v.x_Dimension
        and m.x_Rank = v.x_Rank
    group by v.x_TagSetId, v.x_Dimension, v.x_Rank
)
select
    $period as BillingPeriod,
    v.x_TagSetId,
    v.x_Dimension,
    v.x_TagKey,
    v.x_TagValue,
    v.x_OwnerValue,
    coalesce(d.x_Decides, false) as x_Decides
from valued as v
left join decided as d
    on d.x_TagSetId = v.x_TagSetId
    and d.x_Dimension = v.x_Dimension
    and d.x_Rank = v.x_Rank
order by v.x_TagSetId, v.x_Dimension, v.x_TagKey
