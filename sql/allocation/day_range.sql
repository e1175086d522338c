-- The parts a month is worked on in: whole days, so that a day that changed costs its part.
--
-- Days are put together by the rows there were before them, so that a part does not change when
-- days come after it: one begins where the rows before it have passed another $rows_per_part.
-- Rows are those of usage, and those an `[[inference_split]]` makes: its callers of the day times
-- the kinds of charges it splits. No part begins inside a charge of a node, which weighs in all
-- hours it covers.
--
-- One row per part.
with
-- Where and endpoint of a split are looked at alone: how many kinds, and which callers.
split as (
    select s.x_Rank, s.x_Endpoint, count(*) as kinds
    from inference_split as s
    inner join charge_kind as k
        on (s.ProviderName is null or s.ProviderName = k.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = k.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = k.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = k.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = k.ChargeCategory)
    group by s.x_Rank, s.x_Endpoint
),
split_endpoint as (
    select e.x_Endpoint, sum(s.kinds) as kinds
    from (select distinct x_LoggedEndpoint as x_Endpoint from served_endpoint) as e
    inner join split as s on e.x_Endpoint like s.x_Endpoint escape '\'
    group by e.x_Endpoint
),
usage_hour as (
    select x_HourStart, count(*) as hour_rows from pod_usage group by x_HourStart
    union all
    select x_HourStart, count(*) as hour_rows from inference_usage group by x_HourStart
),
split_day as (
    select
        cast(u.x_HourStart as date) as on_day, u.x_Endpoint,
        count(distinct hash(u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model)) as callers
    from inference_usage as u
    semi join split_endpoint as e on e.x_Endpoint = u.x_Endpoint
    group by cast(u.x_HourStart as date), u.x_Endpoint
),
day_rows as (
    select cast(x_HourStart as date) as on_day, sum(hour_rows) as day_rows
    from usage_hour
    group by cast(x_HourStart as date)
    union all
    select d.on_day, sum(d.callers * e.kinds) as day_rows
    from split_day as d
    inner join split_endpoint as e on e.x_Endpoint = d.x_Endpoint
    group by d.on_day
),
usage_day as (
    select on_day, sum(day_rows) as day_rows from day_rows group by on_day
),
long_charge as (
    select distinct
        date_trunc('hour', c.ChargePeriodStart) as x_HourStart, c.ChargePeriodEnd as x_ChargeEnd
    from cost_and_usage as c
    semi join node_id as n on n.ResourceId = c.ResourceId
    where c.ChargePeriodEnd > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour
),
boundary as (
    select
        on_day,
        sum(day_rows) over (order by on_day) - day_rows as rows_before
    from usage_day
),
allowed as (
    select b.on_day, cast(b.rows_before as bigint) // $rows_per_part as part_no
    from boundary as b
    anti join long_charge as c on c.x_HourStart < b.on_day and c.x_ChargeEnd > b.on_day
),
begun as (
    select on_day, part_no > lag(part_no) over (order by on_day) as is_new from allowed
),
part_start as (
    select cast('0001-01-01' as date) as x_FromDay
    union all
    select on_day as x_FromDay from begun where is_new
)
select
    $period as BillingPeriod,
    x_FromDay,
    lead(x_FromDay, 1, cast('9999-12-31' as date)) over (order by x_FromDay) as x_UntilDay
from part_start
order by x_FromDay
