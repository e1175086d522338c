-- The owner values that exist, by what is declared, runs, is called or is configured.
--
-- The bill is no witness of its own tags. Witnesses: labels in Git, labels of pods and inference
-- logs of the period, aliases and rules of the configuration. Each keeps its spelling, so that a
-- tag spelt as any of them is right.
--
-- One row per dimension, value, spelling and witness.
with
cluster_labels as (
    select x_Labels, min(x_Cluster || '/' || x_Namespace || '/' || x_Workload) as x_Where
    from pod_usage
    where is_in_month(x_HourStart, $period)
    group by x_Labels
),
git_labels as (
    select x_Labels, min(x_Repository || ':' || x_Path) as x_Where
    from declared_workload
    group by x_Labels
),
labels as (
    select
        'cluster_label' as x_Witness, x_Where,
        cast(md5_number_lower(x_Labels) >> 1 as bigint) as x_TagSetId
    from cluster_labels
    union all
    select
        'git' as x_Witness, x_Where,
        cast(md5_number_lower(x_Labels) >> 1 as bigint) as x_TagSetId
    from git_labels
),
logged as (
    select x_Feature, x_Tenant, x_Environment, min(x_Endpoint) as x_Where
    from caller_day
    where is_in_month(x_ChargeDay, $period)
    group by x_Feature, x_Tenant, x_Environment
),
spelt as (
    select t.x_Dimension, t.x_TagValue as x_Spelling, l.x_Witness, l.x_Where
    from labels as l
    inner join owner_tag as t on t.x_TagSetId = l.x_TagSetId
    union all
    select 'feature' as x_Dimension, x_Feature as x_Spelling, 'inference_log' as x_Witness, x_Where
    from logged
    union all
    select 'tenant' as x_Dimension, x_Tenant as x_Spelling, 'inference_log' as x_Witness, x_Where
    from logged
    union all
    select
        'environment' as x_Dimension, x_Environment as x_Spelling, 'inference_log' as x_Witness,
        x_Where
    from logged
    union all
    select
        x_Dimension, x_To as x_Spelling, 'configuration' as x_Witness,
        '[alias.' || x_Dimension || ']' as x_Where
    from value_alias
    union all
    select
        'feature' as x_Dimension, x_Feature as x_Spelling, 'configuration' as x_Witness,
        '[[rule]] ' || x_Rank as x_Where
    from owner_rule
    union all
    select
        'tenant' as x_Dimension, x_Tenant as x_Spelling, 'configuration' as x_Witness,
        '[[rule]] ' || x_Rank as x_Where
    from owner_rule
    union all
    select
        'environment' as x_Dimension, x_Environment as x_Spelling,
        'configuration' as x_Witness, '[[rule]] ' || x_Rank as x_Where
    from owner_rule
)
select
    $period as BillingPeriod,
    s.x_Dimension,
    coalesce(a.x_To, normal_value(s.x_Spelling)) as x_OwnerValue,
    s.x_Spelling,
    s.x_Witness,
    min(s.x_Where) as x_Where
from spelt as s
left join value_alias as a
    on a.x_Dimension = s.x_Dimension and a.x_From = normal_value(s.x_Spelling)
where normal_value(s.x_Spelling) is not null
group by
    s.x_Dimension, coalesce(a.x_To, normal_value(s.x_Spelling)), s.x_Spelling, s.x_Witness
order by x_Dimension, x_OwnerValue, s.x_Spelling, s.x_Witness
