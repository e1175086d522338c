-- What calls of bought models cost by the price book. Bought are those of a provider that the book
-- knows, and those an `[[inference_split]]` names; an endpoint of ours has no list.
--
-- Why: what a provider billed is split by what its list asks for each call, and a bill is held
-- against the log by it. The price is that of the hour of the call, for its model, service tier
-- and length. The row of the book that names the model is taken, else the pattern with the most
-- letters. Of an item there is the newest price, and of those the one for the longest input that
-- the call exceeds: it is then that of the whole call.
--
-- Nothing is guessed. What was used and has no price leaves the row without a cost, with the
-- reason: a model nobody priced, a tier, an item, two patterns that fit equally well, calls counted
-- together where the price depends on how long each was. Calls whose tokens are unknown add nothing.
-- `call_minimum` is what a call costs at least. Where a row of the log stands for several calls it
-- is held against their mean, for their sizes are not known any more.
--
-- Whole numbers are multiplied and added; only the sum of a row is divided, once, by 9 * 10^9, and
-- rounded toward zero at 12 decimals. Every `per` of the book divides that number.
--
-- One row per day, source, endpoint, caller as logged, model, key, tier, length and reason.
with
endpoint as (
    select u.x_Endpoint as x_LoggedEndpoint, u.x_Cluster, u.x_Provider, s.x_Endpoint
    from (
        select distinct x_Endpoint, x_Cluster, x_Provider
        from inference_usage
        where x_HourStart >= cast($from_day as date) and x_HourStart < cast($until_day as date)
    ) as u
    inner join served_endpoint as s
        on s.x_LoggedEndpoint = u.x_Endpoint and s.x_Cluster is not distinct from u.x_Cluster
),
bought as (
    select e.x_LoggedEndpoint, e.x_Cluster, e.x_Provider, e.x_Endpoint
    from endpoint as e
    semi join price as p on p.x_Provider = e.x_Provider
    union
    select e.x_LoggedEndpoint, e.x_Cluster, e.x_Provider, e.x_Endpoint
    from endpoint as e
    inner join inference_split as s
        on s.x_EndpointStart is null and e.x_LoggedEndpoint like s.x_Endpoint escape '\'
),
-- Hours between which no price changes are one; where a call has a minimum they stay apart.
price_hour as (
    select h.x_HourStart, coalesce(max(p.x_PriceFrom), cast('0001-01-01' as timestamp)) as since
    from (
        select distinct x_HourStart
        from inference_usage
        where x_HourStart >= cast($from_day as date) and x_HourStart < cast($until_day as date)
    ) as h
    left join (select distinct x_PriceFrom from price) as p on p.x_PriceFrom <= h.x_HourStart
    group by h.x_HourStart
),
minimum_provider as (
    select distinct x_Provider from price where x_PriceItem = 'call_minimum'
),
usage_part as materialized (
    select
        cast(u.x_HourStart as date) as x_ChargeDay,
        case when m.x_Provider is null then h.since else u.x_HourStart end as since,
        u.x_Source, b.x_Endpoint, u.x_Provider, u.x_Feature, u.x_Tenant, u.x_Environment,
        u.x_Model, u.x_Credential, u.x_ServiceTier, u.x_ContextClass,
        sum(u.x_Calls) as x_Calls,
        sum(u.x_FailedCalls) as x_FailedCalls,
        sum(u.x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(u.x_FailedUnknownTokenCalls) as x_FailedUnknownTokenCalls,
        sum(u.x_InputTokens) as x_InputTokens,
        sum(u.x_CachedInputTokens) as x_CachedInputTokens,
        sum(u.x_CacheWrite5mTokens) as x_CacheWrite5mTokens,
        sum(u.x_CacheWrite1hTokens) as x_CacheWrite1hTokens,
        sum(u.x_OutputTokens) as x_OutputTokens,
        sum(u.x_Images) as x_Images,
        sum(u.x_AudioMs) as x_AudioMs,
        sum(u.x_Calls - u.x_UnknownTokenCalls) as known_calls
    from inference_usage as u
    inner join bought as b
        on b.x_LoggedEndpoint = u.x_Endpoint
        and b.x_Cluster is not distinct from u.x_Cluster
        and b.x_Provider = u.x_Provider
    inner join price_hour as h on h.x_HourStart = u.x_HourStart
    left join minimum_provider as m on m.x_Provider = u.x_Provider
    where u.x_HourStart >= cast($from_day as date) and u.x_HourStart < cast($until_day as date)
    group by
        cast(u.x_HourStart as date),
        case when m.x_Provider is null then h.since else u.x_HourStart end,
        u.x_Source, b.x_Endpoint, u.x_Provider, u.x_Feature, u.x_Tenant, u.x_Environment,
        u.x_Model, u.x_Credential, u.x_ServiceTier, u.x_ContextClass
),
question as (
    select distinct x_Provider, x_Model, since, x_ServiceTier, x_ContextClass
    from usage_part
),
-- ------------------------------------------------------------------- which row of the book
book as (
    select
        x_Provider, x_Model, min(x_PriceFrom) as first_from,
        like_pattern(x_Model) as pattern,
        contains(x_Model, '*') as is_pattern,
        length(replace(x_Model, '*', '')) as letters
    from price
    group by x_Provider, x_Model
),
fitting as (
    select
        m.x_Provider, m.x_Model, b.x_Model as x_BookModel, b.first_from, b.is_pattern, b.letters
    from (select distinct x_Provider, x_Model from question) as m
    inner join book as b
        on b.x_Provider = m.x_Provider and m.x_Model like b.pattern escape '\'
),
nearest as (
    select
        h.x_Provider, h.x_Model, h.since, f.x_BookModel,
        rank() over (
            partition by h.x_Provider, h.x_Model, h.since
            order by f.is_pattern, f.letters desc
        ) as place
    from (select distinct x_Provider, x_Model, since from question) as h
    inner join fitting as f
        on f.x_Provider = h.x_Provider
        and f.x_Model = h.x_Model
        and f.first_from <= h.since
),
chosen as (
    select
        x_Provider, x_Model, since, min(x_BookModel) as x_BookModel, count(*) as fits
    from nearest
    where place = 1
    group by x_Provider, x_Model, since
),
-- ---------------------------------------------------------------------- what it asks for
-- Per token, image, call or millisecond of audio, in parts of 9 * 10^9 of 10^-12.
standing as (
    select
        c.x_Provider, c.x_Model, c.since, p.x_PriceItem, p.x_ServiceTier, p.x_ContextClass,
        min(p.PricingCurrency) as PricingCurrency,
        arg_max(
            money_units(p.ListUnitPrice)
            * (case p.x_PriceItem when 'audio_second' then 9000000 else 9000000000 end
                // p.x_PricingBlockSize),
            p.x_PriceFrom
        ) as rate
    from chosen as c
    inner join price as p
        on p.x_Provider = c.x_Provider
        and p.x_Model = c.x_BookModel
        and p.x_PriceFrom <= c.since
    where c.fits = 1
    group by
        c.x_Provider, c.x_Model, c.since, p.x_PriceItem, p.x_ServiceTier, p.x_ContextClass
),
-- Each question is asked of the tier that was logged, and of two others to compare with.
asked as (
    select *, 'logged' as basis, x_ServiceTier as asked_tier from question
    union all
    select *, 'standard' as basis, 'standard' as asked_tier from question
    union all
    select *, 'batch' as basis, 'batch' as asked_tier from question
),
applying as (
    select
        a.x_Provider, a.x_Model, a.since, a.x_ServiceTier, a.x_ContextClass, a.basis,
        s.x_PriceItem,
        min(s.PricingCurrency) as PricingCurrency,
        arg_max(s.rate, s.x_ContextClass) as rate,
        coalesce(bool_or(a.x_ContextClass is null and s.x_ContextClass > 0), false) as hangs_on_length
    from asked as a
    inner join standing as s
        on s.x_Provider = a.x_Provider
        and s.x_Model = a.x_Model
        and s.since = a.since
        and s.x_ServiceTier = a.asked_tier
        and (a.x_ContextClass is null or s.x_ContextClass <= a.x_ContextClass)
    group by
        a.x_Provider, a.x_Model, a.since, a.x_ServiceTier, a.x_ContextClass, a.basis,
        s.x_PriceItem
),
card as materialized (
    select
        x_Provider, x_Model, since, x_ServiceTier, x_ContextClass, basis,
        min(PricingCurrency) as PricingCurrency,
        bool_or(hangs_on_length) as hangs_on_length,
        struct_pack(
            input := max(rate) filter (where x_PriceItem = 'input'),
            output := max(rate) filter (where x_PriceItem = 'output'),
            cache_read := max(rate) filter (where x_PriceItem = 'cache_read'),
            cache_write_5m := max(rate) filter (where x_PriceItem = 'cache_write_5m'),
            cache_write_1h := max(rate) filter (where x_PriceItem = 'cache_write_1h'),
            image := max(rate) filter (where x_PriceItem = 'image'),
            audio_second := max(rate) filter (where x_PriceItem = 'audio_second'),
            call := max(rate) filter (where x_PriceItem = 'call'),
            call_minimum := max(rate) filter (where x_PriceItem = 'call_minimum')
        ) as rates
    from applying
    group by x_Provider, x_Model, since, x_ServiceTier, x_ContextClass, basis
),
-- --------------------------------------------------------------------- what the calls cost
joined as (
    select
        u.*, c.fits, l.PricingCurrency, l.hangs_on_length, l.rates,
        case when not s.hangs_on_length then s.rates end as standard_rates,
        case when not b.hangs_on_length then b.rates end as batch_rates
    from usage_part as u
    left join chosen as c
        on c.x_Provider = u.x_Provider
        and c.x_Model = u.x_Model
        and c.since = u.since
    left join card as l
        on l.basis = 'logged'
        and l.x_Provider = u.x_Provider
        and l.x_Model = u.x_Model
        and l.since = u.since
        and l.x_ServiceTier = u.x_ServiceTier
        and l.x_ContextClass is not distinct from u.x_ContextClass
    left join card as s
        on s.basis = 'standard'
        and s.x_Provider = u.x_Provider
        and s.x_Model = u.x_Model
        and s.since = u.since
        and s.x_ServiceTier = u.x_ServiceTier
        and s.x_ContextClass is not distinct from u.x_ContextClass
    left join card as b
        on b.basis = 'batch'
        and b.x_Provider = u.x_Provider
        and b.x_Model = u.x_Model
        and b.since = u.since
        and b.x_ServiceTier = u.x_ServiceTier
        and b.x_ContextClass is not distinct from u.x_ContextClass
),
judged as (
    select
        *,
        case
            when fits is null then 'no price'
            when fits > 1 then 'no price: two patterns of the book fit equally well'
            when rates is null then 'no price of the tier ' || x_ServiceTier
            when hangs_on_length then 'no price: it depends on how long each call was'
            when x_InputTokens > x_CachedInputTokens + x_CacheWrite5mTokens + x_CacheWrite1hTokens
                and rates.input is null
                then 'no price of input'
            when x_OutputTokens > 0 and rates.output is null then 'no price of output'
            when x_CachedInputTokens > 0 and rates.cache_read is null
                then 'no price of cache_read'
            when x_CacheWrite5mTokens > 0 and rates.cache_write_5m is null
                then 'no price of cache_write_5m'
            when x_CacheWrite1hTokens > 0 and rates.cache_write_1h is null
                then 'no price of cache_write_1h'
            when x_Images > 0 and rates.image is null then 'no price of image'
            when x_AudioMs > 0 and rates.audio_second is null then 'no price of audio_second'
        end as x_Reason,
        call_cost(
            x_InputTokens, x_CachedInputTokens, x_CacheWrite5mTokens, x_CacheWrite1hTokens,
            x_OutputTokens, x_Images, x_AudioMs, known_calls, rates
        ) as cost,
        call_cost(
            x_InputTokens, x_CachedInputTokens, x_CacheWrite5mTokens, x_CacheWrite1hTokens,
            x_OutputTokens, x_Images, x_AudioMs, known_calls, standard_rates
        ) as standard_cost,
        call_cost(
            x_InputTokens, x_CachedInputTokens, x_CacheWrite5mTokens, x_CacheWrite1hTokens,
            x_OutputTokens, x_Images, x_AudioMs, known_calls, batch_rates
        ) as batch_cost,
        call_cost(
            x_InputTokens, 0, 0, 0, x_OutputTokens, x_Images, x_AudioMs, known_calls, rates
        ) as uncached_cost
    from joined
),
summed as (
    select
        x_ChargeDay,
        x_Source, x_Endpoint, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model,
        x_Credential, x_ServiceTier, x_ContextClass,
        case when x_Reason is null then PricingCurrency end as PricingCurrency,
        x_Reason,
        sum(x_Calls) as x_Calls,
        sum(x_FailedCalls) as x_FailedCalls,
        sum(x_UnknownTokenCalls) as x_UnknownTokenCalls,
        sum(x_FailedUnknownTokenCalls) as x_FailedUnknownTokenCalls,
        sum(x_InputTokens) as x_InputTokens,
        sum(x_CachedInputTokens) as x_CachedInputTokens,
        sum(x_CacheWrite5mTokens) as x_CacheWrite5mTokens,
        sum(x_CacheWrite1hTokens) as x_CacheWrite1hTokens,
        sum(x_OutputTokens) as x_OutputTokens,
        sum(x_Images) as x_Images,
        sum(x_AudioMs) as x_AudioMs,
        sum(cost) as cost,
        case when count(standard_cost) = count(*) then sum(standard_cost) end as standard_cost,
        case when count(batch_cost) = count(*) then sum(batch_cost) end as batch_cost,
        case when count(uncached_cost) = count(*) then sum(uncached_cost) end as uncached_cost
    from judged
    group by
        x_ChargeDay, x_Source, x_Endpoint, x_Provider, x_Feature, x_Tenant,
        x_Environment, x_Model, x_Credential, x_ServiceTier, x_ContextClass,
        case when x_Reason is null then PricingCurrency end, x_Reason
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    x_Source,
    x_Endpoint,
    x_Provider,
    x_Feature,
    x_Tenant,
    x_Environment,
    x_Model,
    x_Credential,
    x_ServiceTier,
    x_ContextClass,
    cast(x_Calls as bigint) as x_Calls,
    cast(x_FailedCalls as bigint) as x_FailedCalls,
    cast(x_UnknownTokenCalls as bigint) as x_UnknownTokenCalls,
    cast(x_FailedUnknownTokenCalls as bigint) as x_FailedUnknownTokenCalls,
    cast(x_InputTokens as bigint) as x_InputTokens,
    cast(x_CachedInputTokens as bigint) as x_CachedInputTokens,
    cast(x_CacheWrite5mTokens as bigint) as x_CacheWrite5mTokens,
    cast(x_CacheWrite1hTokens as bigint) as x_CacheWrite1hTokens,
    cast(x_OutputTokens as bigint) as x_OutputTokens,
    cast(x_Images as bigint) as x_Images,
    cast(x_AudioMs as bigint) as x_AudioMs,
    PricingCurrency,
    case when x_Reason is null then units_money(cost // 9000000000) end as ListCost,
    case when x_Reason is null then units_money(standard_cost // 9000000000) end
        as x_ListCostStandard,
    case when x_Reason is null then units_money(batch_cost // 9000000000) end as x_ListCostBatch,
    case when x_Reason is null then units_money(uncached_cost // 9000000000) end
        as x_ListCostUncached,
    x_Reason
from summed
order by
    x_ChargeDay, x_Source, x_Endpoint, x_Provider, x_Feature, x_Tenant, x_Environment, x_Model,
    x_Credential, x_ServiceTier, x_ContextClass, x_Reason
