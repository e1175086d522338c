-- Input and output of a model are all it cost, and the models of an endpoint all that its callers bear,
-- or its pods where nobody logged a call: else a million tokens would have a wrong price.
with
managed as (
    select distinct x_Endpoint from endpoint_id where x_Function is null
),
borne as (
    select
        a.x_Endpoint, a.BillingCurrency,
        sum(a.EffectiveCost) as cost,
        count(*) filter (where a.x_AllocationMethod = 'inference') > 0 as is_called
    from allocated_cost as a
    left join managed as m on m.x_Endpoint = a.x_Endpoint
    where a.x_AllocationMethod in ('inference', 'pod')
        and (starts_with(a.x_Pool, 'node/') or m.x_Endpoint is not null)
    group by a.x_Endpoint, a.BillingCurrency
),
told as (
    select
        x_Endpoint, BillingCurrency,
        sum(EffectiveCost) as cost,
        count(*) filter (
            where coalesce(x_InputCost + x_OutputCost, EffectiveCost) <> EffectiveCost
        ) as uneven
    from endpoint_cost
    group by x_Endpoint, BillingCurrency
)
select
    coalesce(t.x_Endpoint, b.x_Endpoint) as x_Endpoint,
    coalesce(t.BillingCurrency, b.BillingCurrency) as BillingCurrency,
    t.cost as told,
    b.cost as borne,
    t.uneven
from told as t
full join borne as b
    on b.x_Endpoint = t.x_Endpoint and b.BillingCurrency = t.BillingCurrency
where (t.x_Endpoint is not null or b.is_called)
    and (t.cost is distinct from b.cost or t.uneven > 0)
order by 1, 2
