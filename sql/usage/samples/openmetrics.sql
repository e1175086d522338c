-- Lines of OpenMetrics text as samples.
-- Why here: a line is either a sample, exactly as the format's grammar has it (OpenMetrics 1.0,
-- "ABNF"), or it is refused with a reason; nothing is guessed. Comments and lines of metrics
-- that `metric_query` does not ask for are left out. A sample without a time cannot be put in an
-- hour, so it is refused. Exemplars (after ` # `) are ignored. The part up to the last brace is
-- the same for every sample of a series, so labels are taken apart once a series, not once a line.
-- One row per line that is a sample we want, or that cannot be read.
with plain_line as (
    select
        x_SourceFile,
        x_SourceRow,
        line,
        case
            when strpos(line, ' # {') > 0 then regexp_replace(
                line, '^([^{ ]*(?:\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\})? [^ ]+ [^ ]+) # \{.*$', '\1'
            )
            else line
        end as sample
    from raw_line
    where line <> ''
        and line not like '#%'
),

split_line as (
    select
        x_SourceFile,
        x_SourceRow,
        line,
        left(sample, length(sample) - length(regexp_extract(sample, '[^}]*$'))) as head,
        regexp_extract(sample, '[^}]*$') as tail
    from plain_line
),

valued_line as (
    select
        x_SourceFile,
        x_SourceRow,
        line,
        case head when '' then split_part(tail, ' ', 1) else head end as head,
        -- a brace ends a name, or a blank does: then nothing may stand between brace and blank
        head <> '' and split_part(tail, ' ', 1) <> '' as is_glued,
        split_part(tail, ' ', 2) as value_text,
        split_part(tail, ' ', 3) as time_text,
        split_part(tail, ' ', 4) as rest
    from split_line
),

judged_line as (
    select
        x_SourceFile,
        x_SourceRow,
        line,
        head,
        split_part(head, '{', 1) as metric,
        value_text,
        time_text,
        not is_glued
        and rest = ''
        and regexp_full_match(
            value_text,
            '[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf(?:inity)?|[nN]a[nN])'
        )
        and regexp_full_match(
            time_text, '(?:-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)?'
        ) as is_sample
    from valued_line
),

wanted_line as (
    select
        x_SourceFile,
        x_SourceRow,
        line,
        head,
        metric,
        value_text,
        time_text,
        is_sample
    from judged_line
    where not is_sample
        or metric in (select metric_query.metric from metric_query)
        or not regexp_full_match(metric, '[a-zA-Z_:][a-zA-Z0-9_:]*')
),

head_part as (
    select
        head,
        regexp_full_match(
            head,
            '[a-zA-Z_:][a-zA-Z0-9_:]*'
            || '(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"'
            || '(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*")*)?\})?'
        ) as is_name,
        regexp_extract_all(head, '[{,]([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', 1) as label,
        regexp_extract_all(head, '[{,]([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"', 2) as quoted
    from (select distinct wanted_line.head from wanted_line where wanted_line.is_sample) as heads
),

labels_of_head as (
    select
        head,
        case
            when is_name and length(label) = length(list_distinct(label)) then map_from_entries(
                list_zip(
                    label,
                    -- a doubled backslash steps aside while the other escapes are undone
                    list_transform(quoted, lambda escaped: replace(replace(replace(replace(
                        escaped, '\\', chr(1)), '\"', '"'), '\n', chr(10)), chr(1), '\')
                    )
                )
            )
        end as labels
    from head_part
),

read_line as (
    select
        wanted_line.x_SourceFile,
        wanted_line.x_SourceRow,
        wanted_line.line,
        wanted_line.metric,
        labels_of_head.labels,
        make_timestamp(
            cast(floor(try_cast(wanted_line.time_text as double) * 1000) as bigint) * 1000
        ) as time,
        try_cast(wanted_line.value_text as double) as value,
        case
            when not wanted_line.is_sample
                or labels_of_head.labels is null
                then 'not a sample of OpenMetrics text'
            when wanted_line.time_text = '' then 'the sample has no time, so it belongs to no hour'
        end as x_Reason
    from wanted_line
    left join labels_of_head on labels_of_head.head = wanted_line.head
)

select
    x_SourceFile,
    x_SourceRow,
    metric,
    labels,
    time,
    value,
    x_Reason,
    case when x_Reason is not null then left(line, 4096) end as x_RawRow
from read_line
