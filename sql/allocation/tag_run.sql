-- What tags and pod labels say of runs and of model versions.
--
-- Keys are compared as those of owners are, and taken in the order of `[training]`; values keep
-- their case, for ids and names of registries have one. Of one key in two spellings the first
-- counts. A kind that nobody knows says nothing.
--
-- One row per distinct set of tags or labels that says any of it.
with
entry as materialized (
    select x_TagSetId, pair.key as x_TagKey, trim(pair.value) as tag_value
    from (
        select x_TagSetId, unnest(map_entries(json_map(Tags))) as pair from tag_owner
    ) as pairs
),
-- Distinct keys are few: the text work on them is done once for each.
key_name as (
    select k.x_TagKey, l.x_Use, l.x_Rank
    from (select x_TagKey, normal_key(x_TagKey) as tag_key from (
        select distinct x_TagKey from entry
    ) as spelt) as k
    inner join run_label as l on l.x_TagKey = k.tag_key
),
ranked as (
    select
        e.x_TagSetId, k.x_Use, e.tag_value,
        row_number() over (
            partition by e.x_TagSetId, k.x_Use order by k.x_Rank, e.x_TagKey
        ) as place
    from entry as e
    inner join key_name as k on k.x_TagKey = e.x_TagKey
    where e.tag_value <> ''
),
said as (
    select
        x_TagSetId,
        max(tag_value) filter (where x_Use = 'run') as x_RunId,
        max(
            case replace(replace(lower(tag_value), '_', ''), '-', '')
                when 'training' then 'training'
                when 'train' then 'training'
                when 'finetuning' then 'fine-tuning'
                when 'finetune' then 'fine-tuning'
                when 'evaluation' then 'evaluation'
                when 'eval' then 'evaluation'
                when 'embedding' then 'embedding'
                when 'embeddings' then 'embedding'
                when 'embed' then 'embedding'
            end
        ) filter (where x_Use = 'kind') as x_RunKind,
        max(tag_value) filter (where x_Use = 'model') as x_RegisteredModel,
        max(tag_value) filter (where x_Use = 'version') as x_ModelVersion
    from ranked
    where place = 1
    group by x_TagSetId
)
select
    $period as BillingPeriod,
    said.x_TagSetId,
    o.Tags,
    said.x_RunId,
    said.x_RunKind,
    said.x_RegisteredModel,
    said.x_ModelVersion
from said
inner join tag_owner as o on o.x_TagSetId = said.x_TagSetId
where coalesce(said.x_RunId, said.x_RunKind, said.x_RegisteredModel, said.x_ModelVersion)
    is not null
order by said.x_TagSetId
