-- What one call and a thousand tokens cost, for everyone who called a model.
--
-- Cost is what usage put on the callers (method `inference`); idle endpoints are not in it. Calls are
-- those of the days on which their endpoint has such a cost in the currency: a bill is later than a
-- log, and what is not billed yet, or never, would make all other calls look cheaper. The others are
-- counted in x_UnbilledCalls; who has no cost at all has a row for them, without a price, in `XXX`.
-- What a caller left out is that of the endpoint's pods, as endpoint_owner has them of the day.
-- Tokens of calls that logged none are unknown: x_UnknownTokenCalls says how many, and the price per
-- thousand tokens is of the known ones, at their part of the cost.
--
-- One row per currency, feature, tenant, environment and model.
with
cost as materialized (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
    from showback
    where x_AllocationMethod = 'inference'
    group by BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
),
-- In which currencies a day of an endpoint has a cost; calls of two are counted in both.
priced_day as (
    select
        x_ChargeDay, x_Endpoint,
        string_agg(BillingCurrency, ',' order by BillingCurrency) as currencies
    from billed_day
    where x_AllocationMethod = 'inference'
    group by x_ChargeDay, x_Endpoint
),
-- Grouped as logged first: spellings are few, days many.
logged as (
    select
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, b.currencies,
        o.x_Feature as own_feature, o.x_Tenant as own_tenant, o.x_Environment as own_environment,
        coalesce(o.x_CallShare, 1000000000) as share,
        sum(u.x_Calls) as calls,
        sum(u.x_FailedCalls) as failed,
        sum(u.x_UnknownTokenCalls) as unknown,
        sum(u.x_InputTokens) as input_tokens,
        sum(u.x_OutputTokens) as output_tokens,
        sum(u.x_Images) as images
    from caller_day as u
    left join endpoint_owner as o
        on o.x_ChargeDay = u.x_ChargeDay and o.x_Endpoint = u.x_Endpoint
    left join priced_day as b
        on b.x_ChargeDay = u.x_ChargeDay and b.x_Endpoint = u.x_Endpoint
    where is_in_month(u.x_ChargeDay, $period)
    group by
        u.x_Endpoint, u.x_Feature, u.x_Tenant, u.x_Environment, u.x_Model, b.currencies,
        o.x_Feature, o.x_Tenant, o.x_Environment, coalesce(o.x_CallShare, 1000000000)
),
-- Calls that are several owners' are counted in billionths, and cut into whole ones below.
named as materialized (
    select
        u.currencies, bool_or(u.share < 1000000000) as is_cut,
        coalesce(f.x_To, normal_value(u.x_Feature), u.own_feature, '(unallocated)') as x_Feature,
        coalesce(t.x_To, normal_value(u.x_Tenant), u.own_tenant, '(unallocated)') as x_Tenant,
        coalesce(e.x_To, normal_value(u.x_Environment), u.own_environment, '(unallocated)')
            as x_Environment,
        u.x_Model,
        sum(u.calls * u.share) as calls,
        sum(u.failed * u.share) as failed,
        sum(u.unknown * u.share) as unknown,
        sum(u.input_tokens * u.share) as input_tokens,
        sum(u.output_tokens * u.share) as output_tokens,
        sum(u.images * u.share) as images
    from logged as u
    left join value_alias as f
        on f.x_Dimension = 'feature' and f.x_From = normal_value(u.x_Feature)
    left join value_alias as t
        on t.x_Dimension = 'tenant' and t.x_From = normal_value(u.x_Tenant)
    left join value_alias as e
        on e.x_Dimension = 'environment' and e.x_From = normal_value(u.x_Environment)
    group by 1, 3, 4, 5, 6
),
call as materialized (
    select
        currencies, x_Feature, x_Tenant, x_Environment, x_Model,
        calls // 1000000000 as calls,
        failed // 1000000000 as failed,
        unknown // 1000000000 as unknown,
        input_tokens // 1000000000 as input_tokens,
        output_tokens // 1000000000 as output_tokens,
        images // 1000000000 as images
    from named
    where not is_cut
    union all
    select
        currencies, x_Feature, x_Tenant, x_Environment, x_Model,
        whole_part(sum(calls) over names, calls) as calls,
        whole_part(sum(failed) over names, failed) as failed,
        whole_part(sum(unknown) over names, unknown) as unknown,
        whole_part(sum(input_tokens) over names, input_tokens) as input_tokens,
        whole_part(sum(output_tokens) over names, output_tokens) as output_tokens,
        whole_part(sum(images) over names, images) as images
    from named
    where is_cut
    window names as (
        partition by currencies, x_Model
        order by x_Feature, x_Tenant, x_Environment
        rows between unbounded preceding and current row
    )
),
billed_call as (
    select
        BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model,
        sum(calls) as calls, sum(failed) as failed, sum(unknown) as unknown,
        sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
        sum(images) as images
    from (
        select unnest(string_split(currencies, ',')) as BillingCurrency, * from call
    ) as in_currency
    group by BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model
),
-- Of an owner without any cost of the model all calls are unbilled, whatever else the day has.
unbilled_call as (
    select c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model, sum(c.calls) as calls
    from call as c
    left join (select distinct x_Feature, x_Tenant, x_Environment, x_Model from cost) as k
        on k.x_Feature = c.x_Feature
        and k.x_Tenant = c.x_Tenant
        and k.x_Environment = c.x_Environment
        and k.x_Model = c.x_Model
    where c.currencies is null or k.x_Model is null
    group by c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model
    having sum(c.calls) > 0
),
priced as (
    select BillingCurrency, x_Feature, x_Tenant, x_Environment, x_Model, EffectiveCost from cost
    union all
    select
        'XXX' as BillingCurrency, n.x_Feature, n.x_Tenant, n.x_Environment, n.x_Model,
        0 as EffectiveCost
    from unbilled_call as n
    anti join cost as k
        on k.x_Feature = n.x_Feature
        and k.x_Tenant = n.x_Tenant
        and k.x_Environment = n.x_Environment
        and k.x_Model = n.x_Model
)
select
    $period as BillingPeriod,
    p.BillingCurrency,
    p.x_Feature,
    p.x_Tenant,
    p.x_Environment,
    p.x_Model,
    cast(p.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(coalesce(c.calls, 0) as bigint) as x_Calls,
    cast(coalesce(c.failed, 0) as bigint) as x_FailedCalls,
    cast(coalesce(c.unknown, 0) as bigint) as x_UnknownTokenCalls,
    cast(coalesce(n.calls, 0) as bigint) as x_UnbilledCalls,
    cast(coalesce(c.input_tokens, 0) as bigint) as x_InputTokens,
    cast(coalesce(c.output_tokens, 0) as bigint) as x_OutputTokens,
    cast(coalesce(c.input_tokens + c.output_tokens, 0) as bigint) as x_Tokens,
    cast(coalesce(c.images, 0) as bigint) as x_Images,
    money_per(p.EffectiveCost, c.calls) as x_UnitCostPerCall,
    money_per_known(
        p.EffectiveCost * 1000, c.input_tokens + c.output_tokens, c.calls, c.unknown
    ) as x_UnitCostPerThousandTokens
from priced as p
left join billed_call as c
    on c.BillingCurrency = p.BillingCurrency
    and c.x_Feature = p.x_Feature
    and c.x_Tenant = p.x_Tenant
    and c.x_Environment = p.x_Environment
    and c.x_Model = p.x_Model
left join unbilled_call as n
    on n.x_Feature = p.x_Feature
    and n.x_Tenant = p.x_Tenant
    and n.x_Environment = p.x_Environment
    and n.x_Model = p.x_Model
order by p.BillingCurrency, p.x_Feature, p.x_Tenant, p.x_Environment, p.x_Model
