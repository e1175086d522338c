-- What callers of bought APIs did in the days that a charge for longer than a day is for.
--
-- Why: an invoice that comes without days, a minimum commitment and reserved throughput have one line
-- for a month. Who called on its first day would bear all of it. It stands on that day, and a part of
-- the month sees no calls but those of its own days, so they are added up for it here. Only days of
-- the month count, for the log of another is not there.
--
-- ListCost is what the calls cost by the price book; null where one has no price, or they are priced
-- in several currencies.
--
-- One row per pool, days of the charge, endpoint, caller as logged and model.
with
charge as (
    select distinct x_Pool, x_ChargeDay, x_ChargeUntilDay
    from charge_owner
    where x_ChargeUntilDay is not null and starts_with(x_Pool, 'inference/')
),
split_endpoint as (
    select distinct c.x_Pool, c.x_ChargeDay, c.x_ChargeUntilDay, e.x_Endpoint
    from charge as c
    inner join inference_split as s on c.x_Pool = 'inference/' || s.x_Name
    inner join served_endpoint as e on e.x_LoggedEndpoint like s.x_Endpoint escape '\'
),
call as (
    select
        s.x_Pool, s.x_ChargeDay, s.x_ChargeUntilDay, u.x_Endpoint, u.x_Feature, u.x_Tenant,
        u.x_Environment, u.x_Model,
        sum(u.x_Calls) as x_Calls,
        sum(u.x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(u.x_InputTokens) as x_InputTokens,
        sum(u.x_CachedInputTokens) as x_CachedInputTokens,
        sum(u.x_OutputTokens) as x_OutputTokens,
        sum(u.x_GpuMs) as x_GpuMs,
        sum(u.x_GpuMsCalls) as x_GpuMsCalls,
        sum(u.x_PrefillNs) as x_PrefillNs,
        sum(u.x_DecodeNs) as x_DecodeNs,
        sum(u.x_PhaseMsCalls) as x_PhaseMsCalls
    from caller_day as u
    inner join split_endpoint as s
        on s.x_Endpoint = u.x_Endpoint
        and u.x_ChargeDay >= s.x_ChargeDay
        and u.x_ChargeDay < s.x_ChargeUntilDay
    where is_in_month(u.x_ChargeDay, $period)
    group by
        s.x_Pool, s.x_ChargeDay, s.x_ChargeUntilDay, u.x_Endpoint, u.x_Feature, u.x_Tenant,
        u.x_Environment, u.x_Model
),
listed as (
    select
        s.x_Pool, s.x_ChargeDay, s.x_ChargeUntilDay, l.x_Endpoint, l.x_Feature, l.x_Tenant,
        l.x_Environment, l.x_Model,
        min(l.PricingCurrency) as PricingCurrency,
        sum(l.ListCost) as ListCost
    from list_cost as l
    inner join split_endpoint as s
        on s.x_Endpoint = l.x_Endpoint
        and l.x_ChargeDay >= s.x_ChargeDay
        and l.x_ChargeDay < s.x_ChargeUntilDay
    where is_in_month(l.x_ChargeDay, $period)
    group by
        s.x_Pool, s.x_ChargeDay, s.x_ChargeUntilDay, l.x_Endpoint, l.x_Feature, l.x_Tenant,
        l.x_Environment, l.x_Model
    having count(l.ListCost) = count(*) and min(l.PricingCurrency) = max(l.PricingCurrency)
)
select
    $period as BillingPeriod,
    c.x_Pool,
    c.x_ChargeDay,
    c.x_ChargeUntilDay,
    c.x_Endpoint,
    c.x_Feature,
    c.x_Tenant,
    c.x_Environment,
    c.x_Model,
    cast(c.x_Calls as bigint) as x_Calls,
    cast(c.x_UnknownTokenCalls as bigint) as x_UnknownTokenCalls,
    cast(c.x_InputTokens as bigint) as x_InputTokens,
    cast(c.x_CachedInputTokens as bigint) as x_CachedInputTokens,
    cast(c.x_OutputTokens as bigint) as x_OutputTokens,
    cast(c.x_GpuMs as bigint) as x_GpuMs,
    cast(c.x_GpuMsCalls as bigint) as x_GpuMsCalls,
    cast(c.x_PrefillNs as decimal(38, 0)) as x_PrefillNs,
    cast(c.x_DecodeNs as decimal(38, 0)) as x_DecodeNs,
    cast(c.x_PhaseMsCalls as bigint) as x_PhaseMsCalls,
    l.PricingCurrency,
    cast(l.ListCost as decimal(38, 12)) as ListCost
from call as c
left join listed as l
    on l.x_Pool = c.x_Pool
    and l.x_ChargeDay = c.x_ChargeDay
    and l.x_ChargeUntilDay = c.x_ChargeUntilDay
    and l.x_Endpoint = c.x_Endpoint
    and l.x_Feature is not distinct from c.x_Feature
    and l.x_Tenant is not distinct from c.x_Tenant
    and l.x_Environment is not distinct from c.x_Environment
    and l.x_Model = c.x_Model
order by 3, 4, 2, 5, 6, 7, 8, 9
