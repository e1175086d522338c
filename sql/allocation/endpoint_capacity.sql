-- What was kept ready of functions and managed endpoints, day by day, as the bill counts it, and apart
-- from that in the days that longer charges are for.
--
-- Of functions, memory of provisioned concurrency and always ready instances: what nobody ran on is
-- idle. Of managed endpoints, the hours of their instances times `gpus` of the split. Days with a
-- charge in another unit are left out: then nobody can say how much was idle. A charge that is told
-- twice to take something back (SavingsPlanNegation) counts once.
--
-- One row per day, or days of a longer charge, and pool.
with
endpoint as (
    select distinct
        e.ResourceId, e.x_Pool, e.x_Function is not null as is_function,
        cast(coalesce(s.x_Gpus, 0) as hugeint) as gpus
    from endpoint_id as e
    left join inference_split as s
        on e.x_Function is null
        and e.x_Pool = 'inference/' || s.x_Name || '/' || e.x_Endpoint
),
-- Few charges are of an endpoint: only of those the meter is looked at.
charge as materialized (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        charge_until_day(c.ChargePeriodStart, c.ChargePeriodEnd) as x_ChargeUntilDay,
        e.x_Pool, e.is_function, e.gpus,
        coalesce(c.SkuMeter, c.ChargeDescription) as meter, c.ConsumedQuantity, c.ConsumedUnit
    from cost_and_usage as c
    inner join endpoint as e on e.ResourceId = c.ResourceId
    where c.ChargeCategory = 'Usage'
        and c.x_LineItemType is distinct from 'SavingsPlanNegation'
),
capacity as (
    select
        x_ChargeDay, x_ChargeUntilDay, x_Pool || '/provisioned' as x_Pool,
        mib_milliseconds(ConsumedQuantity, ConsumedUnit) as capacity
    from charge
    where is_function and function_component(meter, ConsumedUnit) = 'provisioned'
    union all
    select
        x_ChargeDay, x_ChargeUntilDay, x_Pool,
        case
            when regexp_matches(lower(ConsumedUnit), '^(hrs?|hours?)$')
                then money_units(ConsumedQuantity) * 3600000 * gpus // 1000000000000
        end as capacity
    from charge
    where not is_function and gpus > 0
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    x_ChargeUntilDay,
    x_Pool,
    cast(sum(capacity) as decimal(38, 0)) as x_Capacity
from capacity
group by x_ChargeDay, x_ChargeUntilDay, x_Pool
having count(*) = count(capacity) and sum(capacity) > 0
order by x_ChargeDay, x_ChargeUntilDay, x_Pool
