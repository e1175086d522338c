-- Lines of logs and metrics that could not be read, by the block they came by, with the first of
-- them to look at, of a day that is lost if there is one. What was read beside them is calls,
-- invocations or hours of metrics, whichever the block has; on a day with lines and nothing read, all
-- of the source is missing.
--
-- One row per source that has such lines in the period.
with
refused as (
    select
        x_Source,
        x_Day,
        count(distinct (x_SourceFile, x_SourceRow)) as x_Lines,
        min(struct_pack(
            file := x_SourceFile, line := x_SourceRow, reason := x_Reason
        )) as first_line
    from unread_usage
    where starts_with(x_Day, $period || '-')
    group by x_Source, x_Day
),
-- tables of usage are looked into for those sources and days alone
read_or_refused as (
    select x_Source, x_Day, x_Lines, 0 as x_Read, first_line
    from refused
    union all
    select inference_usage.x_Source, inference_usage.x_Day, 0, inference_usage.x_Calls, null
    from inference_usage
    semi join refused
        on refused.x_Source = inference_usage.x_Source and refused.x_Day = inference_usage.x_Day
    union all
    select invocation_usage.x_Source, invocation_usage.x_Day, 0, invocation_usage.x_Invocations, null
    from invocation_usage
    semi join refused
        on refused.x_Source = invocation_usage.x_Source and refused.x_Day = invocation_usage.x_Day
    union all
    select metric_hour.x_Source, metric_hour.x_Day, 0, 1, null
    from metric_hour
    semi join refused
        on refused.x_Source = metric_hour.x_Source and refused.x_Day = metric_hour.x_Day
),
by_day as (
    select
        x_Source,
        x_Day,
        sum(x_Lines) as x_Lines,
        sum(x_Read) as x_Read,
        min(first_line) as first_line
    from read_or_refused
    group by x_Source, x_Day
),
by_source as (
    select
        x_Source,
        cast(sum(x_Lines) as bigint) as x_Lines,
        cast(sum(x_Read) as bigint) as x_Read,
        cast(count(*) filter (x_Read = 0) as bigint) as x_LostDays,
        min(x_Day) filter (x_Read = 0) as x_FirstLostDay,
        coalesce(min(first_line) filter (x_Read = 0), min(first_line)) as first_line
    from by_day
    group by x_Source
)
select
    x_Source,
    x_Lines,
    x_Read,
    x_LostDays,
    x_FirstLostDay,
    first_line.file as x_SourceFile,
    first_line.line as x_SourceRow,
    first_line.reason as x_Reason
from by_source
order by x_LostDays desc, x_Lines desc, x_Source;
