-- Samples from Parquet files, each with its place.
-- Why: a sample without a name, a time or a value belongs to no object, hour or sum, so it is
-- refused with that reason.
-- One row per delivered sample.
select
    x_SourceFile,
    x_SourceRow,
    metric,
    labels,
    time,
    value,
    case
        when metric is null then 'the sample has no metric'
        when labels is null then 'the sample has no labels'
        when time is null then 'the sample has no time, so it belongs to no hour'
        when value is null then 'the sample has no value'
    end as x_Reason,
    case
        when metric is null or labels is null or time is null or value is null
            then left(concat_ws(' ', metric, cast(labels as varchar), value, time), 4096)
    end as x_RawRow
from raw_sample
