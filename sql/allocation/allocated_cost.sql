-- The bill again, split among those who consumed it. The only place where money is divided.
--
-- A pool with consumers is split by their weights: everybody gets the rounded-down part, and
-- what is left, less than one unit of 10^-12 a consumer, goes to the largest remainders, ties
-- by name. A pool nobody measured, and every charge with an owner of its own, passes through.
-- Quarantined rows keep their money here too, so that the sum is the bill, exactly.
--
-- One row per pool and owner.
with
weight as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        cast(x_Weight as hugeint) as weight
    from usage_share
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select x_PoolId, sum(weight) as total, sum(weight) // 500000000000000000 + 1 as divisor
    from weight
    group by x_PoolId
),
scaled as (
    select
        w.x_PoolId, w.x_Feature, w.x_Tenant, w.x_Environment, w.x_Model, w.x_Endpoint,
        w.x_AllocationMethod,
        w.weight // t.divisor as weight
    from weight as w
    inner join weight_total as t on t.x_PoolId = w.x_PoolId
),
scaled_total as (
    select x_PoolId, sum(weight) as total
    from scaled
    group by x_PoolId
),
pool as (
    select
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool,
        t.total,
        sum(money_units(c.BilledCost)) as billed,
        sum(money_units(c.EffectiveCost)) as effective
    from charge_owner as c
    inner join scaled_total as t on t.x_PoolId = c.x_PoolId and t.total > 0
    group by
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool, t.total
),
cut as (
    select
        p.x_PoolId, p.billed, p.effective,
        s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
        s.x_AllocationMethod,
        apportion(p.billed, s.weight, p.total) as billed_part,
        apportion_rest(p.billed, s.weight, p.total) as billed_rest,
        apportion(p.effective, s.weight, p.total) as effective_part,
        apportion_rest(p.effective, s.weight, p.total) as effective_rest
    from pool as p
    inner join scaled as s on s.x_PoolId = p.x_PoolId
),
ranked as (
    select
        *,
        billed - sum(billed_part) over (partition by x_PoolId) as billed_left,
        effective - sum(effective_part) over (partition by x_PoolId) as effective_left,
        row_number() over (
            partition by x_PoolId
            order by
                billed_rest desc, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
                x_AllocationMethod
        ) as billed_rank,
        row_number() over (
            partition by x_PoolId
            order by
                effective_rest desc, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
                x_AllocationMethod
        ) as effective_rank
    from cut
),
divided as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        billed_part
        + case when billed_rank <= abs(billed_left) then sign(billed_left) else 0 end as billed,
        effective_part
        + case when effective_rank <= abs(effective_left) then sign(effective_left) else 0 end
            as effective
    from ranked
),
allocated as (
    select
        p.x_PoolId, p.x_ChargeDay, p.InvoiceId, p.BillingCurrency, p.ProviderName,
        p.SubAccountId, p.ServiceCategory, p.ServiceName, p.ChargeCategory, p.x_Pool,
        d.x_Feature, d.x_Tenant, d.x_Environment, d.x_Model, d.x_Endpoint,
        d.x_AllocationMethod,
        units_money(d.billed) as BilledCost,
        units_money(d.effective) as EffectiveCost
    from divided as d
    inner join pool as p on p.x_PoolId = d.x_PoolId
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
