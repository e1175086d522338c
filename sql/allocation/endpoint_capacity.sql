-- What was kept ready of functions and managed endpoints, day by day, as the bill counts it.
--
-- Of functions, memory of provisioned concurrency and always ready instances: what nobody ran on is
-- idle. Of managed endpoints, the hours of their instances times `gpus` of the split. A day with a
-- charge in another unit is left out: then nobody can say how much was idle. A charge that is told
-- twice to take something back (SavingsPlanNegation) counts once.
--
-- One row per day and pool.
with
capacity as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        case
            when e.is_function then e.x_Pool || '/provisioned'
            else e.x_Pool
        end as x_Pool,
        case
            when e.is_function then mib_milliseconds(c.ConsumedQuantity, c.ConsumedUnit)
            when regexp_matches(lower(c.ConsumedUnit), '^(hrs?|hours?)$')
                then money_units(c.ConsumedQuantity) * 3600000 * e.gpus // 1000000000000
        end as capacity
    from cost_and_usage as c
    inner join (
        select distinct
            e.ResourceId, e.x_Pool, e.x_Function is not null as is_function,
            cast(coalesce(s.x_Gpus, 0) as hugeint) as gpus
        from endpoint_id as e
        left join inference_split as s
            on e.x_Function is null
            and e.x_Pool = 'inference/' || s.x_Name || '/' || e.x_Endpoint
    ) as e on e.ResourceId = c.ResourceId
    where c.ChargeCategory = 'Usage'
        and c.x_LineItemType is distinct from 'SavingsPlanNegation'
        and (
            (
                e.is_function
                and function_component(
                    coalesce(c.SkuMeter, c.ChargeDescription), c.ConsumedUnit
                ) = 'provisioned'
            )
            or e.gpus > 0
        )
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    x_Pool,
    cast(sum(capacity) as decimal(38, 0)) as x_Capacity
from capacity
group by x_ChargeDay, x_Pool
having count(*) = count(capacity) and sum(capacity) > 0
order by x_ChargeDay, x_Pool
