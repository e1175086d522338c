-- Shared cost changing hands: what a `[[shared_cost]]` block takes from an owner, and what of it
-- each receiver is given, after all steps of the cascade. allocated_cost stays as it is; both
-- together are the showback.
--
-- Each source is cut once, by the weights of shared_weight: everybody gets the part rounded down,
-- and what is left goes to the largest remainders, one unit each, ties by name. BilledCost and
-- EffectiveCost are cut each for itself. What shared_weight
-- keeps stays.
-- Asked for the days from $from_day until $until_day; no row depends on how a month is cut.
--
-- One row per block, day, invoice, service, pool, owner it is taken from, owner and model, what
-- is taken apart from what is given.
with
source as (
    select
        row_number() over (
            order by
                x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName,
                ServiceCategory, ServiceName, x_Pool, x_Feature, x_Tenant, x_Environment, x_Model
        ) as source_no,
        x_SharedBy, x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, ServiceCategory,
        ServiceName, x_Pool, x_Feature, x_Tenant, x_Environment, x_Model,
        money_units(BilledCost) as billed,
        money_units(EffectiveCost) as effective
    from shared_source
    where x_ChargeDay >= cast($from_day as date) and x_ChargeDay < cast($until_day as date)
),
-- shared_weight has '*' for what its weights do not depend on; what is kept is not moved.
weight as (
    select
        x_SharedBy, x_FromDay, x_UntilDay, BillingCurrency, x_Pool, x_SharedFeature,
        x_SharedTenant, x_SharedEnvironment, x_Feature, x_Tenant, x_Environment,
        cast(x_Weight as hugeint) as weight
    from shared_weight
    where x_SharedFeature <> x_Feature
        or x_SharedTenant <> x_Tenant
        or x_SharedEnvironment <> x_Environment
),
pattern as (
    select distinct
        x_SharedBy, x_FromDay, x_UntilDay, coalesce(x_Pool = '*', false) as any_pool,
        x_SharedFeature = '*' as any_feature, x_SharedTenant = '*' as any_tenant,
        x_SharedEnvironment = '*' as any_environment
    from weight
),
keyed as (
    select
        s.source_no, s.x_SharedBy, s.BillingCurrency, p.x_FromDay,
        case when p.any_pool then '*' else s.x_Pool end as x_Pool,
        case when p.any_feature then '*' else s.x_Feature end as x_Feature,
        case when p.any_tenant then '*' else s.x_Tenant end as x_Tenant,
        case when p.any_environment then '*' else s.x_Environment end as x_Environment
    from source as s
    inner join pattern as p
        on p.x_SharedBy = s.x_SharedBy
        and s.x_ChargeDay >= p.x_FromDay
        and s.x_ChargeDay < p.x_UntilDay
),
weighed as (
    select k.source_no, w.x_Feature, w.x_Tenant, w.x_Environment, w.weight
    from keyed as k
    inner join weight as w
        on w.x_SharedBy = k.x_SharedBy
        and w.x_FromDay = k.x_FromDay
        and w.BillingCurrency = k.BillingCurrency
        and w.x_Pool is not distinct from k.x_Pool
        and w.x_SharedFeature = k.x_Feature
        and w.x_SharedTenant = k.x_Tenant
        and w.x_SharedEnvironment = k.x_Environment
),
shared as (
    select
        s.source_no, s.billed, s.effective, t.total,
        apportion_each(s.billed, t.total) as billed_each,
        apportion_over(s.billed, t.total) as billed_over,
        apportion_each(s.effective, t.total) as effective_each,
        apportion_over(s.effective, t.total) as effective_over
    from source as s
    inner join (
        select source_no, cast(sum(weight) as hugeint) as total
        from weighed
        group by source_no
    ) as t on t.source_no = s.source_no
),
part as (
    select
        s.source_no, s.billed, s.effective, s.total, s.billed_each, s.billed_over,
        s.effective_each, s.effective_over, w.x_Feature, w.x_Tenant, w.x_Environment, w.weight,
        apportion_part(s.billed_each, s.billed_over, w.weight, s.total) as billed_part,
        apportion_part(s.effective_each, s.effective_over, w.weight, s.total) as effective_part
    from shared as s
    inner join weighed as w on w.source_no = s.source_no
),
placed as (
    select
        source_no, x_Feature, x_Tenant, x_Environment, billed_part, effective_part,
        billed - sum(billed_part) over (partition by source_no) as billed_left,
        effective - sum(effective_part) over (partition by source_no) as effective_left,
        row_number() over (
            partition by source_no
            order by
                apportion_rest(billed_part, billed_each, billed_over, weight, total) desc,
                x_Feature, x_Tenant, x_Environment
        ) as billed_place,
        row_number() over (
            partition by source_no
            order by
                apportion_rest(effective_part, effective_each, effective_over, weight, total) desc,
                x_Feature, x_Tenant, x_Environment
        ) as effective_place
    from part
),
moved as (
    select
        source_no, 'given' as x_Move, x_Feature, x_Tenant, x_Environment, '(none)' as x_Model,
        billed_part + case when billed_place <= abs(billed_left) then sign(billed_left) else 0 end
            as billed,
        effective_part
            + case when effective_place <= abs(effective_left) then sign(effective_left) else 0 end
            as effective
    from placed
    union all
    select
        s.source_no, 'taken' as x_Move, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model,
        -s.billed as billed, -s.effective as effective
    from source as s
    semi join shared on shared.source_no = s.source_no
)
select
    $period as BillingPeriod,
    s.x_SharedBy,
    m.x_Move,
    s.x_ChargeDay,
    s.InvoiceId,
    s.BillingCurrency,
    s.ProviderName,
    s.ServiceCategory,
    s.ServiceName,
    s.x_Pool,
    s.x_Feature as x_SharedFeature,
    s.x_Tenant as x_SharedTenant,
    s.x_Environment as x_SharedEnvironment,
    m.x_Feature,
    m.x_Tenant,
    m.x_Environment,
    m.x_Model,
    'shared' as x_AllocationMethod,
    units_money(sum(m.billed)) as BilledCost,
    units_money(sum(m.effective)) as EffectiveCost
from moved as m
inner join source as s on s.source_no = m.source_no
group by
    s.x_SharedBy, m.x_Move, s.x_ChargeDay, s.InvoiceId, s.BillingCurrency, s.ProviderName,
    s.ServiceCategory, s.ServiceName, s.x_Pool, s.x_Feature, s.x_Tenant, s.x_Environment,
    m.x_Feature, m.x_Tenant, m.x_Environment, m.x_Model
order by
    s.x_ChargeDay, s.x_SharedBy, s.InvoiceId, s.BillingCurrency, s.ProviderName,
    s.ServiceCategory, s.ServiceName, s.x_Pool, s.x_Feature, s.x_Tenant, s.x_Environment,
    m.x_Move, m.x_Feature, m.x_Tenant, m.x_Environment, m.x_Model
