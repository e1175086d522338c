-- What each measured object did in each hour, from samples in files.
-- Why so: both ways into the usage stage read metrics at the same points in time, so that files
-- and a Prometheus server give the same numbers, whatever the scrape interval:
--   * standing  a gauge is read at the end of each full minute. A sample stands until the next
--               one of its series, at most five minutes (Prometheus's lookback); where none
--               stands the minute is absent, not zero. Sum over minutes, times 60.
--   * rise      a counter is read at the end of each full five minutes (the last sample in
--               them). What it rose since the reading before, at most an hour ago, falls in the
--               hour of the later reading; a lower reading is a restart and counts from zero.
--   * peak      the largest rise between two neighbouring readings, per second.
--   * largest, last   the largest and the last sample of the hour.
-- An instant belongs to the minute, and hour, that it starts. Two scrapes of one object (a second
-- instance of an exporter) are one object: the larger reading counts, they are never added. The
-- same sample delivered twice is one sample. $day is the day wanted; samples of the evening
-- before may be there too, and make its first minutes whole.
-- Sorted by query and object, and hours in theirs, since sql/usage/metric_hour.sql keeps the order.
-- One row per canonical series and object (the labels that identify it), with its hours.
with sample_of_series as materialized (
    select
        metric_sample.metric,
        hash(metric_sample.metric, metric_sample.labels) as series_id,
        epoch_us(metric_sample.time) as at_us,
        metric_sample.value
    from metric_sample
    where metric_sample.metric in (select metric_query.metric from metric_query)
        and metric_sample.time >= cast($day as timestamp) - interval 65 minute
        and metric_sample.time < cast($day as timestamp) + interval 1 day
),

-- Labels are fetched from one sample a series: to group millions of maps costs minutes.
first_sample as (
    select
        metric,
        series_id,
        min(at_us) as at_us
    from sample_of_series
    group by metric, series_id
),

all_series as (
    select
        first_sample.metric,
        first_sample.series_id,
        any_value(metric_sample.labels) as labels
    from first_sample
    inner join metric_sample
        on hash(metric_sample.metric, metric_sample.labels) = first_sample.series_id
        and epoch_us(metric_sample.time) = first_sample.at_us
    group by first_sample.metric, first_sample.series_id
),

refused_series as (
    select distinct
        all_series.series_id,
        metric_matcher.query_id
    from metric_matcher
    inner join metric_query on metric_query.query_id = metric_matcher.query_id
    inner join all_series on all_series.metric = metric_query.metric
    where regexp_full_match(
        coalesce(all_series.labels[metric_matcher.label], ''), metric_matcher.pattern
    ) <> metric_matcher.must_match
),

wanted_series as (
    select
        all_series.series_id,
        all_series.labels,
        metric_query.query_id,
        metric_query.x_Series,
        metric_query.how,
        metric_query.scale
    from all_series
    inner join metric_query on metric_query.metric = all_series.metric
    left join refused_series
        on refused_series.series_id = all_series.series_id
        and refused_series.query_id = metric_query.query_id
    where refused_series.series_id is null
),

-- Labels that identify the object: those the query lists, or all where it lists none.
kept_label as (
    select
        each_label.series_id,
        each_label.query_id,
        each_label.entry.key as label,
        each_label.entry.value as label_value
    from (
        select
            series_id,
            query_id,
            unnest(map_entries(labels)) as entry
        from wanted_series
    ) as each_label
    left join metric_identity
        on metric_identity.query_id = each_label.query_id
        and metric_identity.label = each_label.entry.key
    left join (select distinct metric_identity.query_id from metric_identity) as listed
        on listed.query_id = each_label.query_id
    where metric_identity.label is not null or listed.query_id is null
),

object_of_series as (
    select
        wanted_series.series_id,
        wanted_series.query_id,
        wanted_series.x_Series,
        wanted_series.how,
        wanted_series.scale,
        identity.labels,
        hash(wanted_series.query_id, cast(identity.labels as varchar)) as object_id
    from wanted_series
    left join (
        select
            series_id,
            query_id,
            map_from_entries(
                list(struct_pack(key := label, value := label_value) order by label)
            ) as labels
        from kept_label
        group by series_id, query_id
    ) as identity
        on identity.series_id = wanted_series.series_id
        and identity.query_id = wanted_series.query_id
),

-- An object with one series needs no comparison between series.
counted_object as (
    select
        object_id,
        any_value(x_Series) as x_Series,
        any_value(how) as how,
        any_value(scale) as scale,
        any_value(labels) as labels,
        row_number() over (
            order by any_value(query_id), cast(any_value(labels) as varchar)
        ) as place,
        count(*) as series
    from object_of_series
    group by object_id
),

-- ------------------------------------------------------------------ gauges, minute by minute
standing_sample as (
    select
        series_id,
        value,
        cast(floor(at_us / 60000000) as bigint) as first_minute,
        cast(floor(least(
            coalesce(
                lead(at_us) over (partition by series_id order by at_us, value),
                at_us + 300000000
            ),
            at_us + 300000000
        ) / 60000000) as bigint) as end_minute
    from sample_of_series
    where series_id in (
        select object_of_series.series_id from object_of_series
        where object_of_series.how = 'standing'
    )
),

standing_interval as (
    select
        object_of_series.object_id,
        counted_object.series,
        standing_sample.value,
        standing_sample.first_minute,
        standing_sample.end_minute
    from standing_sample
    inner join object_of_series on object_of_series.series_id = standing_sample.series_id
    inner join counted_object on counted_object.object_id = object_of_series.object_id
    where object_of_series.how = 'standing'
        and standing_sample.end_minute > standing_sample.first_minute
        and standing_sample.value >= 0
        and not isnan(standing_sample.value)
),

-- Five minutes touch two hours at most: `later` is 1 for the part in the second one.
standing_alone as (
    select
        object_id,
        hour,
        sum(value * minutes) as value_minutes
    from (
        select
            standing_interval.object_id,
            standing_interval.value,
            cast(floor(standing_interval.first_minute / 60) as bigint) + part.later as hour,
            least(
                standing_interval.end_minute,
                (cast(floor(standing_interval.first_minute / 60) as bigint) + part.later + 1) * 60
            ) - greatest(
                standing_interval.first_minute,
                (cast(floor(standing_interval.first_minute / 60) as bigint) + part.later) * 60
            ) as minutes
        from standing_interval
        cross join (values (0), (1)) as part (later)
        where standing_interval.series = 1
    ) as hour_part
    where minutes > 0
    group by object_id, hour
),

standing_several as (
    select
        object_id,
        cast(floor(minute / 60) as bigint) as hour,
        sum(value) as value_minutes
    from (
        select
            standing_interval.object_id,
            standing_interval.first_minute + step.after as minute,
            max(standing_interval.value) as value
        from standing_interval
        inner join (values (0), (1), (2), (3), (4), (5)) as step (after)
            on standing_interval.first_minute + step.after < standing_interval.end_minute
        where standing_interval.series > 1
        group by standing_interval.object_id, standing_interval.first_minute + step.after
    ) as minute_reading
    group by object_id, cast(floor(minute / 60) as bigint)
),

-- ------------------------------------------------------- counters, five minutes by five minutes
counter_reading as (
    select
        series_id,
        cast(floor(at_us / 300000000) as bigint) as cell,
        arg_max(value, at_us) as reading
    from sample_of_series
    where not isnan(value)
        and series_id in (
            select object_of_series.series_id from object_of_series
            where object_of_series.how in ('rise', 'peak')
        )
    group by series_id, cast(floor(at_us / 300000000) as bigint)
),

counter_step as (
    select
        series_id,
        cell,
        reading,
        lag(reading) over (partition by series_id order by cell) as reading_before,
        cell - lag(cell) over (partition by series_id order by cell) as cells_since
    from counter_reading
),

counter_rise as (
    select
        object_of_series.object_id,
        object_of_series.how,
        counter_step.cell,
        max(case
            when counter_step.reading >= counter_step.reading_before
                then counter_step.reading - counter_step.reading_before
            else counter_step.reading
        end) as rise
    from counter_step
    inner join object_of_series on object_of_series.series_id = counter_step.series_id
    where object_of_series.how in ('rise', 'peak')
        and counter_step.cells_since <= case object_of_series.how when 'rise' then 12 else 1 end
    group by object_of_series.object_id, object_of_series.how, counter_step.cell
),

-- ------------------------------------------------------------------ largest and last samples
extreme_of_series as (
    select
        series_id,
        cast(floor(at_us / 3600000000) as bigint) as hour,
        max(value) as largest,
        arg_max(value, at_us) as last
    from sample_of_series
    where not isnan(value)
        and series_id in (
            select object_of_series.series_id from object_of_series
            where object_of_series.how in ('largest', 'last')
        )
    group by series_id, cast(floor(at_us / 3600000000) as bigint)
),

hour_value as (
    select
        object_id,
        hour,
        value_minutes * 60 as value
    from standing_alone
    union all
    select
        object_id,
        hour,
        value_minutes * 60 as value
    from standing_several
    union all
    select
        object_id,
        cast(floor(cell / 12) as bigint) as hour,
        case how when 'rise' then sum(rise) else max(rise) / 300 end as value
    from counter_rise
    group by object_id, how, cast(floor(cell / 12) as bigint)
    union all
    select
        object_of_series.object_id,
        extreme_of_series.hour,
        max(
            case object_of_series.how
                when 'largest' then extreme_of_series.largest
                else extreme_of_series.last
            end
        ) as value
    from extreme_of_series
    inner join object_of_series on object_of_series.series_id = extreme_of_series.series_id
    where object_of_series.how in ('largest', 'last')
    group by object_of_series.object_id, extreme_of_series.hour
)

select
    any_value(counted_object.x_Series) as x_Series,
    any_value(counted_object.labels) as labels,
    list(
        struct_pack(
            x_HourStart := make_timestamp(hour_value.hour * 3600000000),
            value := hour_value.value * counted_object.scale
        )
        order by hour_value.hour
    ) as hours
from hour_value
inner join counted_object on counted_object.object_id = hour_value.object_id
where hour_value.hour >= epoch_us(cast($day as timestamp)) / 3600000000
    and hour_value.hour < epoch_us(cast($day as timestamp)) / 3600000000 + 24
group by counted_object.place
order by counted_object.place
