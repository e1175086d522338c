-- Shared cost changing hands: what a `[[shared_cost]]` block takes from an owner, and what of it
-- each receiver is given, after all steps of the cascade. allocated_cost stays as it is; both
-- together are the showback.
--
-- Each source is cut once, by the weights of shared_weight: everybody gets the part rounded down,
-- and what is left goes to the largest remainders, one unit each, ties by name. BilledCost and
-- EffectiveCost are cut each for itself. What shared_weight keeps stays.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per block, day, invoice, service, pool, source, owner and model, what is taken apart from
-- what is given. Pool and source are those of shared_weight: where all go the same way the source is
-- null, which no caller can call itself, and the pool '*', as no pool is called.
with
source as (
    select
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Pool, x_Feature, x_Tenant, x_Environment, x_Model,
        money_units(BilledCost) as billed,
        money_units(EffectiveCost) as effective
    from shared_source
    where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
),
-- What is kept is not moved.
weight as (
    select
        x_SharedBy, x_FromDay, x_UntilDay, BillingCurrency, x_Pool, x_SharedFeature,
        x_SharedTenant, x_SharedEnvironment, x_Feature, x_Tenant, x_Environment,
        cast(x_Weight as hugeint) as weight
    from shared_weight
    where x_SharedFeature is distinct from x_Feature
        or x_SharedTenant is distinct from x_Tenant
        or x_SharedEnvironment is distinct from x_Environment
),
pattern as (
    select distinct
        x_SharedBy, x_FromDay, x_UntilDay, coalesce(x_Pool = '*', false) as any_pool,
        x_SharedFeature is null as any_feature, x_SharedTenant is null as any_tenant,
        x_SharedEnvironment is null as any_environment
    from weight
),
keyed as (
    select
        s.x_SharedBy, s.x_ChargeDay, s.InvoiceId, s.BillingCurrency, s.ProviderName,
        s.ServiceCategory, s.ServiceName, p.x_FromDay,
        case when p.any_pool then '*' else s.x_Pool end as x_Pool,
        case when not p.any_feature then s.x_Feature end as x_SharedFeature,
        case when not p.any_tenant then s.x_Tenant end as x_SharedTenant,
        case when not p.any_environment then s.x_Environment end as x_SharedEnvironment,
        s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.billed, s.effective
    from source as s
    inner join pattern as p
        on p.x_SharedBy = s.x_SharedBy
        and s.x_ChargeDay >= p.x_FromDay
        and s.x_ChargeDay < p.x_UntilDay
),
total as (
    select
        x_SharedBy, x_FromDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment, sum(weight) as total
    from weight
    group by
        x_SharedBy, x_FromDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment
),
taken as (
    select k.*, cast(t.total as hugeint) as total
    from keyed as k
    inner join total as t
        on t.x_SharedBy = k.x_SharedBy
        and t.x_FromDay = k.x_FromDay
        and t.BillingCurrency = k.BillingCurrency
        and t.x_Pool is not distinct from k.x_Pool
        and t.x_SharedFeature is not distinct from k.x_SharedFeature
        and t.x_SharedTenant is not distinct from k.x_SharedTenant
        and t.x_SharedEnvironment is not distinct from k.x_SharedEnvironment
),
-- What goes the same way on a day, invoice and service is one pot, and is cut once.
pot as (
    select
        row_number() over (
            order by
                x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName,
                ServiceCategory, ServiceName, x_Pool, x_SharedFeature, x_SharedTenant,
                x_SharedEnvironment
        ) as pot_no,
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_FromDay, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment,
        total,
        cast(sum(billed) as hugeint) as billed,
        cast(sum(effective) as hugeint) as effective
    from taken
    group by
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_FromDay, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment,
        total
),
shared as (
    select
        pot_no, x_SharedBy, x_FromDay, BillingCurrency, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment, billed, effective, total,
        apportion_each(billed, total) as billed_each,
        apportion_over(billed, total) as billed_over,
        apportion_each(effective, total) as effective_each,
        apportion_over(effective, total) as effective_over
    from pot
),
part as (
    select
        s.pot_no, s.billed, s.effective, s.total, s.billed_each, s.billed_over,
        s.effective_each, s.effective_over, w.x_Feature, w.x_Tenant, w.x_Environment, w.weight,
        apportion_part(s.billed_each, s.billed_over, w.weight, s.total) as billed_part,
        apportion_part(s.effective_each, s.effective_over, w.weight, s.total) as effective_part
    from shared as s
    inner join weight as w
        on w.x_SharedBy = s.x_SharedBy
        and w.x_FromDay = s.x_FromDay
        and w.BillingCurrency = s.BillingCurrency
        and w.x_Pool is not distinct from s.x_Pool
        and w.x_SharedFeature is not distinct from s.x_SharedFeature
        and w.x_SharedTenant is not distinct from s.x_SharedTenant
        and w.x_SharedEnvironment is not distinct from s.x_SharedEnvironment
),
placed as (
    select
        pot_no, x_Feature, x_Tenant, x_Environment, billed_part, effective_part,
        billed - sum(billed_part) over (partition by pot_no) as billed_left,
        effective - sum(effective_part) over (partition by pot_no) as effective_left,
        row_number() over (
            partition by pot_no
            order by
                apportion_rest(billed_part, billed_each, billed_over, weight, total) desc,
                x_Feature, x_Tenant, x_Environment
        ) as billed_place,
        row_number() over (
            partition by pot_no
            order by
                apportion_rest(effective_part, effective_each, effective_over, weight, total) desc,
                x_Feature, x_Tenant, x_Environment
        ) as effective_place
    from part
),
moved as (
    select
        p.x_SharedBy, 'given' as x_Move, p.x_ChargeDay, p.InvoiceId, p.BillingCurrency,
        p.ProviderName, p.ServiceCategory, p.ServiceName, p.x_Pool, p.x_SharedFeature,
        p.x_SharedTenant, p.x_SharedEnvironment, g.x_Feature, g.x_Tenant, g.x_Environment,
        '(none)' as x_Model,
        g.billed_part
            + case when g.billed_place <= abs(g.billed_left) then sign(g.billed_left) else 0 end
            as billed,
        g.effective_part
            + case
                when g.effective_place <= abs(g.effective_left) then sign(g.effective_left)
                else 0
            end as effective
    from placed as g
    inner join pot as p on p.pot_no = g.pot_no
    union all
    select
        x_SharedBy, 'taken' as x_Move, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName,
        ServiceCategory, ServiceName, x_Pool, x_SharedFeature, x_SharedTenant,
        x_SharedEnvironment, x_Feature, x_Tenant, x_Environment, x_Model,
        -billed as billed, -effective as effective
    from taken
)
select
    $period as BillingPeriod,
    x_SharedBy,
    x_Move,
    x_ChargeDay,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    ServiceCategory,
    ServiceName,
    x_Pool,
    x_SharedFeature,
    x_SharedTenant,
    x_SharedEnvironment,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    'shared' as x_AllocationMethod,
    units_money(sum(billed)) as BilledCost,
    units_money(sum(effective)) as EffectiveCost
from moved
group by
    x_SharedBy, x_Move, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment, x_Feature,
    x_Tenant, x_Environment, x_Model
order by
    x_ChargeDay, x_SharedBy, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
    ServiceName, x_Pool, x_SharedFeature, x_SharedTenant, x_SharedEnvironment, x_Move, x_Feature,
    x_Tenant, x_Environment, x_Model
