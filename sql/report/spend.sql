-- EffectiveCost by feature, tenant, environment, service category, service and model, the
-- largest $top of each by name and the others as one line. Idle and unallocated money, and what
-- nodes keep for their system, have lines of their own, whatever their size, so that they never
-- hide among the others.
--
-- One row per currency, dimension and line, with its sum over the period (x_ChargeDay null), and
-- one for each day it has charges on. x_Kind is `named`, `rest`, `none`, `idle`,
-- `overhead`, `unallocated`.
with
dimensions (x_Dimension) as (
    values ('feature'), ('tenant'), ('environment'), ('category'), ('service'), ('model')
),
by_day as (
    select
        s.BillingCurrency,
        d.x_Dimension,
        case d.x_Dimension
            when 'feature' then s.x_Feature
            when 'tenant' then s.x_Tenant
            when 'environment' then s.x_Environment
            when 'category' then s.ServiceCategory
            when 'service' then s.ServiceName
            else s.x_Model
        end as x_Line,
        s.x_ChargeDay,
        sum(s.EffectiveCost) as EffectiveCost
    from showback as s
    cross join dimensions as d
    where s.BillingPeriod = $period
    group by 1, 2, 3, 4
),
by_line as (
    select
        BillingCurrency,
        x_Dimension,
        x_Line,
        case x_Line
            when '(idle)' then 'idle'
            when '(overhead)' then 'overhead'
            when '(unallocated)' then 'unallocated'
            when '(none)' then 'none'
            else 'named'
        end as x_Kind,
        sum(EffectiveCost) as EffectiveCost
    from by_day
    group by 1, 2, 3, 4
),
ranked as (
    select
        BillingCurrency,
        x_Dimension,
        x_Line,
        x_Kind,
        row_number() over (
            partition by BillingCurrency, x_Dimension, x_Kind order by EffectiveCost desc, x_Line
        ) as x_Rank
    from by_line
),
folded as (
    select
        BillingCurrency,
        x_Dimension,
        x_Line,
        case when x_Kind = 'named' and x_Rank > $top then 'rest' else x_Kind end as x_Kind,
        case when x_Rank > $top then $top + 1 else x_Rank end as x_Rank
    from ranked
)
select
    d.BillingCurrency,
    d.x_Dimension,
    f.x_Kind,
    f.x_Rank,
    case when f.x_Kind = 'rest' then null else min(d.x_Line) end as x_Line,
    count(distinct d.x_Line) as x_Lines,
    d.x_ChargeDay,
    sum(d.EffectiveCost) as EffectiveCost
from by_day as d
inner join folded as f
    on
        d.BillingCurrency = f.BillingCurrency
        and d.x_Dimension = f.x_Dimension
        and d.x_Line = f.x_Line
group by
    grouping sets (
        (d.BillingCurrency, d.x_Dimension, f.x_Kind, f.x_Rank),
        (d.BillingCurrency, d.x_Dimension, f.x_Kind, f.x_Rank, d.x_ChargeDay)
    )
order by
    d.BillingCurrency,
    d.x_Dimension,
    case f.x_Kind
        when 'named' then 1 when 'rest' then 2 when 'none' then 3 when 'idle' then 4
        when 'overhead' then 5 else 6
    end,
    f.x_Rank,
    d.x_ChargeDay nulls first;
