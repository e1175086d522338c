-- The bill again, split among those who consumed it. The only place where money is divided.
--
-- A pool with consumers is split by their weights: everybody gets the rounded-down part, and
-- what is left, less than one unit of 10^-12 a consumer, goes to the largest remainders, ties
-- by name. A pool nobody measured, and every charge with an owner of its own, passes through.
-- Quarantined rows keep their money here too, so that the sum is the bill, exactly.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per pool and owner.
with
charge as (
    select
        x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
        ServiceCategory, ServiceName, ChargeCategory, x_Pool, x_Feature, x_Tenant,
        x_Environment, '(none)' as x_Model, '(none)' as x_Endpoint, x_AllocationMethod,
        BilledCost, EffectiveCost
    from charge_owner
    where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
    union all
    select
        md5(concat_ws(chr(31), 'quarantine', InvoiceId, BillingCurrency, ProviderName))
            as x_PoolId,
        cast($period || '-01' as date) as x_ChargeDay,
        InvoiceId, BillingCurrency, ProviderName,
        null as SubAccountId, 'Other' as ServiceCategory, '(quarantined)' as ServiceName,
        'Adjustment' as ChargeCategory, null as x_Pool,
        '(unallocated)' as x_Feature, '(unallocated)' as x_Tenant,
        '(unallocated)' as x_Environment, '(none)' as x_Model, '(none)' as x_Endpoint,
        'quarantined' as x_AllocationMethod,
        coalesce(sum(BilledCost), 0) as BilledCost,
        coalesce(sum(EffectiveCost), 0) as EffectiveCost
    from quarantine
    where cast($period || '-01' as date) >= cast($from_day as date)
        and cast($period || '-01' as date) < cast($until_day as date)
    group by InvoiceId, BillingCurrency, ProviderName
),
consumer_share as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_Weight
    from usage_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_Weight
    from endpoint_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_Weight
    from volume_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_Weight
    from cluster_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_Weight
    from commitment_share
),
-- Pools and names carry numbers in their order: a number decides a tie, and sorts the result.
pool as (
    select
        row_number() over (order by x_PoolId) as pool_no,
        x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
        ServiceCategory, ServiceName, ChargeCategory, x_Pool, billed, effective
    from (
        select
            x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
            ServiceCategory, ServiceName, ChargeCategory, x_Pool,
            money_units(sum(BilledCost)) as billed,
            money_units(sum(EffectiveCost)) as effective
        from charge
        group by
            x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
            ServiceCategory, ServiceName, ChargeCategory, x_Pool
    ) as pooled
),
name as (
    select
        row_number() over (
            order by
                x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
        ) as name_no,
        x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
    from (
        select x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
        from consumer_share
        union
        select x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
        from charge
    ) as consumer
),
weighed as (
    select p.pool_no, n.name_no, cast(s.x_Weight as hugeint) as weight
    from consumer_share as s
    inner join pool as p on p.x_PoolId = s.x_PoolId
    inner join name as n
        on n.x_Feature = s.x_Feature
        and n.x_Tenant = s.x_Tenant
        and n.x_Environment = s.x_Environment
        and n.x_Model = s.x_Model
        and n.x_Endpoint = s.x_Endpoint
        and n.x_AllocationMethod = s.x_AllocationMethod
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select pool_no, sum(weight) // 500000000000000000 + 1 as divisor
    from weighed
    group by pool_no
),
scaled as (
    select w.pool_no, w.name_no, cast(quotient(w.weight, t.divisor) as bigint) as weight
    from weighed as w
    inner join weight_total as t on t.pool_no = w.pool_no
),
share as (
    select
        p.pool_no, s.total, p.billed = p.effective as same,
        sign(p.billed) as billed_sign,
        apportion_each(p.billed, s.total) as billed_each,
        cast(abs(apportion_over(p.billed, s.total)) as bigint) as billed_over,
        sign(p.effective) as effective_sign,
        apportion_each(p.effective, s.total) as effective_each,
        cast(abs(apportion_over(p.effective, s.total)) as bigint) as effective_over
    from pool as p
    inner join (
        select pool_no, cast(sum(weight) as bigint) as total
        from scaled
        group by pool_no
        having sum(weight) > 0
    ) as s on s.pool_no = p.pool_no
),
-- ------------------------------------------------------------------- the division, once
-- A pool whose two costs are the same is cut once.
to_cut as (
    select
        row_number() over (order by pool_no, is_billed) as cut_no, pool_no, total, is_billed,
        same, cut_sign, each, over_amount
    from (
        select
            pool_no, total, true as is_billed, same, billed_sign as cut_sign,
            billed_each as each, cast(billed_over as hugeint) as over_amount
        from share
        union all
        select
            pool_no, total, false as is_billed, same, effective_sign as cut_sign,
            effective_each as each, cast(effective_over as hugeint) as over_amount
        from share
        where not same
    ) as amounts
),
rounded as (
    select
        c.cut_no, s.name_no, c.total, c.cut_sign, c.each * s.weight as whole,
        quotient(c.over_amount * s.weight, c.total) as part,
        cast(
            c.over_amount * s.weight - quotient(c.over_amount * s.weight, c.total) * c.total
            as bigint
        ) as rest
    from to_cut as c
    inner join scaled as s on s.pool_no = c.pool_no
),
-- Remainders are put into 1024 classes by size, so that only the one that what is left runs out
-- in has to be ranked.
cut as (
    select
        cut_no, name_no, whole, part, cut_sign, rest,
        cast(floor(cast(rest as double) * 1024 / cast(total as double)) as integer) as class_no
    from rounded
),
rest_class as (
    select cut_no, class_no, count(*) as consumers, sum(part) as parts
    from cut
    group by cut_no, class_no
),
-- What rounding down left over, in whole units: less than there are consumers.
units_left as (
    select t.cut_no, t.over_amount - sum(c.parts) as units_left
    from to_cut as t
    inner join rest_class as c on c.cut_no = t.cut_no
    group by t.cut_no, t.over_amount
),
placed_class as (
    select
        c.cut_no, c.class_no, c.consumers, l.units_left,
        sum(c.consumers) over (partition by c.cut_no order by c.class_no desc) as last_place
    from rest_class as c
    inner join units_left as l on l.cut_no = c.cut_no
),
-- `places` is how many of the class get a unit: all, none, or so many.
class as (
    select
        cut_no, class_no, consumers,
        least(greatest(units_left - (last_place - consumers), 0), consumers) as places
    from placed_class
),
divided as (
    select
        c.cut_no, c.name_no,
        c.whole + c.cut_sign * (c.part + cast(k.places > 0 as tinyint)) as units
    from cut as c
    inner join class as k on k.cut_no = c.cut_no and k.class_no = c.class_no
    where k.places = 0 or k.places = k.consumers
    union all
    select
        cut_no, name_no, whole + cut_sign * (part + cast(place <= places as tinyint)) as units
    from (
        select
            c.cut_no, c.name_no, c.whole, c.part, c.cut_sign, k.places,
            row_number() over (
                partition by c.cut_no order by c.rest desc, c.name_no
            ) as place
        from cut as c
        inner join class as k on k.cut_no = c.cut_no and k.class_no = c.class_no
        where k.places > 0 and k.places < k.consumers
    ) as ranked
),
amount as (
    select t.pool_no, d.name_no, t.is_billed, t.same, d.units
    from divided as d
    inner join to_cut as t on t.cut_no = d.cut_no
),
allocated as (
    select
        pool_no, name_no, units_money(units) as BilledCost, units_money(units) as EffectiveCost
    from amount
    where same
    union all
    select
        b.pool_no, b.name_no,
        units_money(b.units) as BilledCost, units_money(e.units) as EffectiveCost
    from amount as b
    inner join amount as e on e.pool_no = b.pool_no and e.name_no = b.name_no
    where b.is_billed and not b.same and not e.is_billed
    union all
    select p.pool_no, n.name_no, c.BilledCost, c.EffectiveCost
    from charge as c
    inner join pool as p on p.x_PoolId = c.x_PoolId
    inner join name as n
        on n.x_Feature = c.x_Feature
        and n.x_Tenant = c.x_Tenant
        and n.x_Environment = c.x_Environment
        and n.x_Model = c.x_Model
        and n.x_Endpoint = c.x_Endpoint
        and n.x_AllocationMethod = c.x_AllocationMethod
    anti join share on share.pool_no = p.pool_no
)
select
    $period as BillingPeriod,
    p.x_PoolId, p.x_ChargeDay, p.InvoiceId, p.BillingCurrency, p.ProviderName, p.SubAccountId,
    p.ServiceCategory, p.ServiceName, p.ChargeCategory, p.x_Pool, n.x_Feature, n.x_Tenant,
    n.x_Environment, n.x_Model, n.x_Endpoint, n.x_AllocationMethod,
    cast(a.BilledCost as decimal(38, 12)) as BilledCost,
    cast(a.EffectiveCost as decimal(38, 12)) as EffectiveCost
from allocated as a
inner join pool as p on p.pool_no = a.pool_no
inner join name as n on n.name_no = a.name_no
order by p.pool_no, n.name_no
