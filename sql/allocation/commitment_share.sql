-- By which weights what nobody used of a commitment is split among those who used the rest of it,
-- or among all with charges of that provider, as `unused_commitment` says.
--
-- The weight of an owner is the EffectiveCost of their charges, nodes, endpoints and volumes split
-- already as usage_share and its like say, in whole units: of the same day, or of the month where the
-- day has none, or where the charge is for longer than a day. `(idle)` and `(unallocated)` are
-- owners here: the idle half of a node used the commitment as the busy half did. Who got back more
-- than they cost bears nothing. A pool nobody has a weight in stays with its buyer, as does every
-- one if `unused_commitment` is `buyer`: this table is empty then.
--
-- One row per pool and owner.
with
unused as (
    select distinct
        x_PoolId, x_ChargeDay, ProviderName, BillingCurrency, CommitmentDiscountId,
        ends_with(x_Pool, '/month') as is_long
    from charge_owner
    where starts_with(x_Pool, 'commitment/')
        and (CommitmentDiscountId is not null or starts_with(x_Pool, 'commitment/everyone'))
),
-- Where everyone bears it, no charge says its commitment, and all of them are one scope.
scope as (
    select
        ProviderName, BillingCurrency, CommitmentDiscountId,
        row_number() over (
            order by ProviderName, BillingCurrency, CommitmentDiscountId
        ) as scope_no
    from (
        select distinct ProviderName, BillingCurrency, CommitmentDiscountId from unused
    ) as scopes
),
charge as (
    select
        s.scope_no, c.x_PoolId, c.x_ChargeDay, c.x_Feature, c.x_Tenant, c.x_Environment,
        money_units(c.EffectiveCost) as units
    from charge_owner as c
    inner join scope as s
        on s.ProviderName = c.ProviderName
        and s.BillingCurrency = c.BillingCurrency
        and s.CommitmentDiscountId is not distinct from c.CommitmentDiscountId
    where c.x_Pool is null or not starts_with(c.x_Pool, 'commitment/')
),
pool as (
    select scope_no, x_PoolId, x_ChargeDay, sum(units) as units
    from charge
    group by scope_no, x_PoolId, x_ChargeDay
),
-- ------------------------------------------------------------- what each owner's use cost
consumer as (
    select
        s.x_PoolId, s.x_Feature, s.x_Tenant, s.x_Environment,
        sum(cast(s.x_Weight as hugeint)) as weight
    from (
        select x_PoolId, x_Feature, x_Tenant, x_Environment, x_Weight from usage_share
        union all
        select x_PoolId, x_Feature, x_Tenant, x_Environment, x_Weight from endpoint_share
        union all
        select x_PoolId, x_Feature, x_Tenant, x_Environment, x_Weight from volume_share
        union all
        select x_PoolId, x_Feature, x_Tenant, x_Environment, x_Weight from cluster_share
    ) as s
    semi join pool on pool.x_PoolId = s.x_PoolId
    group by s.x_PoolId, s.x_Feature, s.x_Tenant, s.x_Environment
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select x_PoolId, sum(weight) // 500000000000000000 + 1 as divisor
    from consumer
    group by x_PoolId
),
scaled as (
    select
        c.x_PoolId, c.x_Feature, c.x_Tenant, c.x_Environment,
        cast(c.weight // t.divisor as bigint) as weight
    from consumer as c
    inner join weight_total as t on t.x_PoolId = c.x_PoolId
),
share_total as (
    select x_PoolId, cast(sum(weight) as bigint) as total
    from scaled
    group by x_PoolId
    having sum(weight) > 0
),
borne as (
    select
        p.scope_no, p.x_ChargeDay, s.x_Feature, s.x_Tenant, s.x_Environment,
        apportion(p.units, s.weight, t.total) as units
    from pool as p
    inner join share_total as t on t.x_PoolId = p.x_PoolId
    inner join scaled as s on s.x_PoolId = p.x_PoolId
    union all
    select c.scope_no, c.x_ChargeDay, c.x_Feature, c.x_Tenant, c.x_Environment, c.units
    from charge as c
    anti join share_total as t on t.x_PoolId = c.x_PoolId
),
owner_day as (
    select
        scope_no, x_ChargeDay, x_Feature, x_Tenant, x_Environment, sum(units) as units
    from borne
    group by scope_no, x_ChargeDay, x_Feature, x_Tenant, x_Environment
),
owner_month as (
    select scope_no, x_Feature, x_Tenant, x_Environment, sum(units) as units
    from owner_day
    group by scope_no, x_Feature, x_Tenant, x_Environment
),
-- --------------------------------------------------------------------- who bears the rest
scoped as (
    select u.x_PoolId, u.x_ChargeDay, u.is_long, s.scope_no
    from unused as u
    inner join scope as s
        on s.ProviderName = u.ProviderName
        and s.BillingCurrency = u.BillingCurrency
        and s.CommitmentDiscountId is not distinct from u.CommitmentDiscountId
),
by_day as (
    select
        u.x_PoolId, u.x_ChargeDay, d.x_Feature, d.x_Tenant, d.x_Environment,
        'EffectiveCost of the day' as unit, d.units
    from scoped as u
    inner join owner_day as d
        on d.scope_no = u.scope_no and d.x_ChargeDay = u.x_ChargeDay
    where not u.is_long and d.units > 0
),
by_month as (
    select
        u.x_PoolId, u.x_ChargeDay, m.x_Feature, m.x_Tenant, m.x_Environment,
        'EffectiveCost of the month' as unit, m.units
    from scoped as u
    inner join owner_month as m on m.scope_no = u.scope_no
    anti join by_day as d on d.x_PoolId = u.x_PoolId
    where m.units > 0
),
weighed as (
    select x_PoolId, x_ChargeDay, x_Feature, x_Tenant, x_Environment, unit, units from by_day
    union all
    select x_PoolId, x_ChargeDay, x_Feature, x_Tenant, x_Environment, unit, units from by_month
)
select
    $period as BillingPeriod,
    x_PoolId,
    x_ChargeDay,
    x_Feature,
    x_Tenant,
    x_Environment,
    '(none)' as x_Model,
    '(none)' as x_Endpoint,
    'commitment' as x_AllocationMethod,
    unit as x_WeightUnit,
    cast(units as decimal(38, 0)) as x_Weight
from weighed
order by x_PoolId, x_Feature, x_Tenant, x_Environment
