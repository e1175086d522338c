-- The bill again, split among those who consumed it. The only place where money is divided.
--
-- A pool with consumers is split by their weights: everybody gets the rounded-down part, and
-- what is left, less than one unit of 10^-12 a consumer, goes to the largest remainders, ties
-- by name. A pool nobody measured, and every charge with an owner of its own, passes through.
-- Quarantined rows keep their money here too, so that the sum is the bill, exactly.
--
-- One row per pool and owner.
with
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select
        x_PoolId,
        row_number() over (order by x_PoolId) as pool_no,
        total // 500000000000000000 + 1 as divisor
    from (
        select x_PoolId, cast(sum(x_Weight) as hugeint) as total
        from usage_share
        group by x_PoolId
    ) as summed
),
-- Consumers carry numbers: by name within their pool, so that a number decides a tie.
scaled as (
    select
        t.pool_no,
        row_number() over (
            order by
                t.pool_no, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
                s.x_AllocationMethod
        ) as consumer_no,
        s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
        s.x_AllocationMethod,
        case
            when t.divisor = 1 then cast(s.x_Weight as hugeint)
            else cast(s.x_Weight as hugeint) // t.divisor
        end as weight
    from usage_share as s
    inner join weight_total as t on t.x_PoolId = s.x_PoolId
),
scaled_total as (
    select t.x_PoolId, t.pool_no, s.total
    from weight_total as t
    inner join (
        select pool_no, sum(weight) as total from scaled group by pool_no
    ) as s on s.pool_no = t.pool_no
    where s.total > 0
),
pool as (
    select
        t.pool_no, t.total,
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool,
        money_units(sum(c.BilledCost)) as billed,
        money_units(sum(c.EffectiveCost)) as effective
    from charge_owner as c
    inner join scaled_total as t on t.x_PoolId = c.x_PoolId
    group by
        t.pool_no, t.total,
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool
),
share as (
    select
        pool_no, total, billed, effective,
        apportion_each(billed, total) as billed_each,
        apportion_over(billed, total) as billed_over,
        apportion_each(effective, total) as effective_each,
        apportion_over(effective, total) as effective_over
    from pool
),
cut_billed as (
    select
        p.pool_no, s.consumer_no, s.weight, p.total,
        p.billed = p.effective as same, p.effective_each, p.effective_over,
        p.billed_each, p.billed_over,
        apportion_part(p.billed_each, p.billed_over, s.weight, p.total) as billed_part
    from share as p
    inner join scaled as s on s.pool_no = p.pool_no
),
cut_effective as (
    select
        pool_no, consumer_no, weight, total, effective_each, effective_over, billed_part,
        apportion_rest(billed_part, billed_each, billed_over, weight, total) as billed_rest,
        case
            when same then billed_part
            else apportion_part(effective_each, effective_over, weight, total)
        end as effective_part
    from cut_billed
),
cut as (
    select
        pool_no, consumer_no, billed_part, billed_rest, effective_part,
        apportion_rest(effective_part, effective_each, effective_over, weight, total)
            as effective_rest
    from cut_effective
),
-- What rounding down left over, in whole units: less than there are consumers.
rest as (
    select
        p.pool_no,
        p.billed - sum(c.billed_part) as billed_left,
        p.effective - sum(c.effective_part) as effective_left
    from pool as p
    inner join cut as c on c.pool_no = p.pool_no
    group by p.pool_no, p.billed, p.effective
),
ranked as (
    select
        pool_no, consumer_no, billed_part, effective_part,
        row_number() over (
            partition by pool_no order by billed_rest desc, consumer_no
        ) as billed_rank,
        row_number() over (
            partition by pool_no order by effective_rest desc, consumer_no
        ) as effective_rank
    from cut
),
divided as (
    select
        r.pool_no, r.consumer_no,
        r.billed_part
        + case when r.billed_rank <= abs(l.billed_left) then sign(l.billed_left) else 0 end
            as billed,
        r.effective_part
        + case when r.effective_rank <= abs(l.effective_left) then sign(l.effective_left) else 0
        end as effective
    from ranked as r
    inner join rest as l on l.pool_no = r.pool_no
),
allocated as (
    select
        p.x_PoolId, p.x_ChargeDay, p.InvoiceId, p.BillingCurrency, p.ProviderName,
        p.SubAccountId, p.ServiceCategory, p.ServiceName, p.ChargeCategory, p.x_Pool,
        s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
        s.x_AllocationMethod,
        units_money(d.billed) as BilledCost,
        units_money(d.effective) as EffectiveCost
    from divided as d
    inner join scaled as s on s.consumer_no = d.consumer_no
    inner join pool as p on p.pool_no = d.pool_no
    union all
    select
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool,
        c.x_Feature, c.x_Tenant, c.x_Environment,
        '(none)' as x_Model, '(none)' as x_Endpoint, c.x_AllocationMethod,
        c.BilledCost, c.EffectiveCost
    from charge_owner as c
    anti join pool on pool.x_PoolId = c.x_PoolId
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
        cast(coalesce(sum(BilledCost), 0) as decimal(38, 12)) as BilledCost,
        cast(coalesce(sum(EffectiveCost), 0) as decimal(38, 12)) as EffectiveCost
    from quarantine
    group by InvoiceId, BillingCurrency, ProviderName
)
select
    $period as BillingPeriod,
    x_PoolId, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId,
    ServiceCategory, ServiceName, ChargeCategory, x_Pool, x_Feature, x_Tenant, x_Environment,
    x_Model, x_Endpoint, x_AllocationMethod,
    cast(BilledCost as decimal(38, 12)) as BilledCost,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost
from allocated
order by
    x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod
