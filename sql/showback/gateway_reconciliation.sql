-- The log of a gateway against the bill of the provider, day by day, with a name for each gap.
--
-- Why: a gateway prices what it saw by a list, and a provider bills what it did; the two are never
-- the same, and a sum alone does not say why. Compared are the charges an `[[inference_split]]`
-- matches with the calls of its endpoints, but for one that tells managed endpoints apart; a call belongs to the first split that fits. Where every
-- charge for use of a split tells its model, they are compared model by model: by the `sku` of the
-- price book, which may be the bill's SkuId, SkuMeter or operation, else by an SkuId that is the
-- name of a model. Where every one has a ResourceId that is a key of the log, key by key.
--
-- Gaps are named in this order, each of what those before it left:
--   other charges    tax, credits and the like, and use of another month, whose calls are held
--                    against that month's bill: certain
--   outside          billed, and no call was logged that day: certain
--   not billed       calls, and no charge for use that day: certain; a provider may bill later
--   no price         no call of the line has a price: certain
--   unknown, retry   calls that told no tokens, at the mean of the priced ones of the line, and no
--                    more than is left: an estimate; all that is left where no call told any
--   cache, batch     had all calls been billed without a cache, by the tier `batch` or by
--                    `standard`, at most a tenth would be left: a finding; the tenth is left
--   price drift      on at least three days, one after the other of those that can be compared, the
--                    bill is the same thousandths of the list
--   no price         again, for what is left above zero where some calls have no price
-- What is left then is unexplained. Amounts are whole units until the end; nothing is rounded but
-- the estimates, toward zero, and what they cut off stays in what is left.
--
-- One row per day, split, currency of the bill, and model and key or `(all)`.
with
-- Services are few: most of the bill is left out by theirs, before anything is looked at.
matched_service as (
    select distinct k.ServiceName
    from charge_kind as k
    inner join inference_split as s on s.ServiceName is null or s.ServiceName = k.ServiceName
),
ranked_charge as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        s.x_Name, c.ProviderName, c.BillingCurrency, c.ChargeCategory, c.SkuId, c.SkuMeter,
        c.x_Operation, credential_name(c.ResourceId) as x_Credential, c.BilledCost,
        s.x_EndpointStart is null as is_bought,
        row_number() over (
            partition by c.x_Source, c.x_SourceFile, c.x_SourceRow order by s.x_Rank
        ) as place
    from cost_and_usage as c
    semi join matched_service as k on k.ServiceName = c.ServiceName
    left join (select distinct ResourceId, x_Pool from endpoint_id) as e
        on e.ResourceId = c.ResourceId
    inner join inference_split as s
        on (s.ProviderName is null or s.ProviderName = c.ProviderName)
        and (s.SubAccountId is null or s.SubAccountId = c.SubAccountId)
        and (s.ServiceName is null or s.ServiceName = c.ServiceName)
        and (s.ServiceCategory is null or s.ServiceCategory = c.ServiceCategory)
        and (s.ChargeCategory is null or s.ChargeCategory = c.ChargeCategory)
        and (s.ResourceId is null or s.ResourceId = c.ResourceId)
        and (
            s.CommitmentDiscountStatus is null
            or s.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
        and (
            s.x_EndpointStart is null
            or starts_with(e.x_Pool, 'inference/' || s.x_Name || '/')
        )
),
charge as (
    select
        x_ChargeDay, 'inference/' || x_Name as x_Pool, ProviderName, BillingCurrency, SkuId,
        SkuMeter, x_Operation, x_Credential,
        ChargeCategory = 'Usage' and is_in_month(x_ChargeDay, $period) as is_use,
        sum(BilledCost) as BilledCost
    from ranked_charge
    where place = 1 and is_bought
    group by
        x_ChargeDay, x_Name, ProviderName, BillingCurrency, SkuId, SkuMeter, x_Operation,
        x_Credential, ChargeCategory = 'Usage' and is_in_month(x_ChargeDay, $period)
),
endpoint_split as (
    select e.x_Endpoint, 'inference/' || arg_min(s.x_Name, s.x_Rank) as x_Pool
    from (select distinct x_Endpoint, x_LoggedEndpoint from served_endpoint) as e
    inner join inference_split as s
        on s.x_EndpointStart is null and e.x_LoggedEndpoint like s.x_Endpoint escape '\'
    group by e.x_Endpoint
),
call as (
    select e.x_Pool, l.*
    from list_cost as l
    inner join endpoint_split as e on e.x_Endpoint = l.x_Endpoint
    -- those of the day before and after are of other months, and there for the split
    where is_in_month(l.x_ChargeDay, $period)
),
-- ------------------------------------------------------------- which model and key a charge is of
sku as (
    select distinct
        x_Model, like_pattern(x_Model) as model_pattern, length(replace(x_Model, '*', '')) as letters,
        contains(x_Model, '*') as is_pattern, like_pattern(x_BilledSku) as sku_pattern
    from price
    where x_BilledSku is not null
),
-- A model of the log goes by the row of the book that names its SKU, where there is one.
call_model as (
    select
        m.x_Model,
        coalesce(
            arg_min(s.x_Model, (s.is_pattern, -s.letters, s.x_Model)), m.x_Model
        ) as shown_model
    from (select distinct x_Model from call) as m
    left join sku as s on m.x_Model like s.model_pattern escape '\'
    group by m.x_Model
),
named_sku as (
    select
        k.SkuId, k.SkuMeter, k.x_Operation,
        count(distinct s.x_Model) as models,
        min(s.x_Model) as x_Model
    from (select distinct SkuId, SkuMeter, x_Operation from charge) as k
    inner join sku as s
        on k.SkuId like s.sku_pattern escape '\'
        or k.SkuMeter like s.sku_pattern escape '\'
        or k.x_Operation like s.sku_pattern escape '\'
    group by k.SkuId, k.SkuMeter, k.x_Operation
),
called as (
    select distinct c.x_Pool, m.shown_model as x_Model
    from call as c
    inner join call_model as m on m.x_Model = c.x_Model
),
called_key as (
    select distinct x_Pool, x_Credential from call where x_Credential is not null
),
told_charge as (
    select
        c.x_ChargeDay, c.x_Pool, c.ProviderName, c.BillingCurrency, c.is_use, c.BilledCost,
        case
            when n.models = 1 then n.x_Model
            when n.models is null then d.x_Model
        end as x_Model,
        k.x_Credential
    from charge as c
    left join named_sku as n
        on n.SkuId is not distinct from c.SkuId
        and n.SkuMeter is not distinct from c.SkuMeter
        and n.x_Operation is not distinct from c.x_Operation
    left join called as d on d.x_Pool = c.x_Pool and d.x_Model = c.SkuId
    left join called_key as k on k.x_Pool = c.x_Pool and k.x_Credential = c.x_Credential
),
told as (
    select
        x_Pool,
        case when min(ProviderName) = max(ProviderName) then min(ProviderName) end as ProviderName,
        count(*) filter (where is_use) > 0
        and count(*) filter (where is_use and x_Model is null) = 0 as by_model,
        count(*) filter (where is_use) > 0
        and count(*) filter (where is_use and x_Credential is null) = 0 as by_key,
        min(BillingCurrency) as first_currency
    from told_charge
    group by x_Pool
),
billed as (
    select
        c.x_ChargeDay, c.x_Pool, c.BillingCurrency,
        case when t.by_model and c.is_use then c.x_Model else '(all)' end as x_Model,
        case when t.by_key and c.is_use then c.x_Credential else '(all)' end as x_Credential,
        count(*) filter (where c.is_use) as use_charges,
        coalesce(sum(money_units(c.BilledCost)) filter (where c.is_use), 0) as used,
        coalesce(sum(money_units(c.BilledCost)) filter (where not c.is_use), 0) as other
    from told_charge as c
    inner join told as t on t.x_Pool = c.x_Pool
    group by
        c.x_ChargeDay, c.x_Pool, c.BillingCurrency,
        case when t.by_model and c.is_use then c.x_Model else '(all)' end,
        case when t.by_key and c.is_use then c.x_Credential else '(all)' end
),
-- ------------------------------------------------------------------------ what calls cost by list
-- In a currency the split is billed in, if there is one; else they have no price there.
currency as (
    select distinct x_Pool, BillingCurrency from told_charge
),
priced_call as (
    select
        c.x_ChargeDay, c.x_Pool,
        coalesce(b.BillingCurrency, t.first_currency, c.PricingCurrency, 'XXX') as BillingCurrency,
        case when t.by_model then m.shown_model else '(all)' end as x_Model,
        case when t.by_key then coalesce(c.x_Credential, '(none)') else '(all)' end as x_Credential,
        c.x_Calls, c.x_FailedCalls, c.x_UnknownTokenCalls, c.x_FailedUnknownTokenCalls,
        c.x_InputTokens, c.x_CachedInputTokens, c.x_OutputTokens,
        c.ListCost is not null
        and (b.BillingCurrency is not null or t.first_currency is null) as is_priced,
        c.ListCost, c.x_ListCostStandard, c.x_ListCostBatch, c.x_ListCostUncached
    from call as c
    inner join call_model as m on m.x_Model = c.x_Model
    left join told as t on t.x_Pool = c.x_Pool
    left join currency as b on b.x_Pool = c.x_Pool and b.BillingCurrency = c.PricingCurrency
),
logged as (
    select
        x_ChargeDay, x_Pool, BillingCurrency, x_Model, x_Credential,
        sum(x_Calls) as calls,
        sum(x_FailedCalls) as failed,
        sum(x_UnknownTokenCalls) as unknown,
        coalesce(sum(x_Calls) filter (where not is_priced), 0) as unpriced,
        coalesce(sum(x_Calls - x_UnknownTokenCalls) filter (where is_priced), 0) as known,
        coalesce(
            sum(x_UnknownTokenCalls - x_FailedUnknownTokenCalls) filter (where is_priced), 0
        ) as unknown_ok,
        coalesce(sum(x_FailedUnknownTokenCalls) filter (where is_priced), 0) as unknown_failed,
        sum(x_InputTokens) as input_tokens,
        sum(x_CachedInputTokens) as cached_tokens,
        sum(x_OutputTokens) as output_tokens,
        coalesce(sum(money_units(ListCost)) filter (where is_priced), 0) as listed,
        case when count(x_ListCostStandard) = count(*) then sum(money_units(x_ListCostStandard)) end
            as standard,
        case when count(x_ListCostBatch) = count(*) then sum(money_units(x_ListCostBatch)) end
            as batch,
        case when count(x_ListCostUncached) = count(*) then sum(money_units(x_ListCostUncached)) end
            as uncached
    from priced_call
    group by x_ChargeDay, x_Pool, BillingCurrency, x_Model, x_Credential
),
line as (
    select
        coalesce(b.x_ChargeDay, l.x_ChargeDay) as x_ChargeDay,
        coalesce(b.x_Pool, l.x_Pool) as x_Pool,
        coalesce(b.BillingCurrency, l.BillingCurrency) as BillingCurrency,
        coalesce(b.x_Model, l.x_Model) as x_Model,
        coalesce(b.x_Credential, l.x_Credential) as x_Credential,
        coalesce(b.use_charges, 0) as use_charges,
        coalesce(b.used, 0) as used,
        coalesce(b.other, 0) as other,
        coalesce(l.calls, 0) as calls,
        coalesce(l.failed, 0) as failed,
        coalesce(l.unknown, 0) as unknown,
        coalesce(l.unpriced, 0) as unpriced,
        coalesce(l.known, 0) as known,
        coalesce(l.unknown_ok, 0) as unknown_ok,
        coalesce(l.unknown_failed, 0) as unknown_failed,
        coalesce(l.input_tokens, 0) as input_tokens,
        coalesce(l.cached_tokens, 0) as cached_tokens,
        coalesce(l.output_tokens, 0) as output_tokens,
        coalesce(l.listed, 0) as listed,
        l.standard, l.batch, l.uncached
    from billed as b
    full outer join logged as l
        on l.x_ChargeDay = b.x_ChargeDay
        and l.x_Pool = b.x_Pool
        and l.BillingCurrency = b.BillingCurrency
        and l.x_Model = b.x_Model
        and l.x_Credential = b.x_Credential
),
-- ---------------------------------------------------------------------------- the gaps, in order
certain as (
    select
        *,
        case when calls = 0 then used - listed else 0 end as outside,
        case when calls > 0 and use_charges = 0 then used - listed else 0 end as not_billed,
        case
            when calls > 0 and use_charges > 0 and unpriced = calls then used - listed
            else 0
        end as no_price
    from line
),
estimated as (
    select
        *,
        case
            when known = 0 and unpriced = 0 and unknown_ok > 0
                then used - listed - outside - not_billed - no_price
            when known > 0 and unknown_ok > 0
                then least(
                    greatest(used - listed - outside - not_billed - no_price, 0),
                    listed * unknown_ok // known
                )
            else 0
        end as unknown_gap
    from certain
),
retried as (
    select
        *,
        case
            when known = 0 and unpriced = 0 and unknown_ok = 0 and unknown_failed > 0
                then used - listed - outside - not_billed - no_price
            when known > 0 and unknown_failed > 0
                then least(
                    greatest(used - listed - outside - not_billed - no_price - unknown_gap, 0),
                    listed * unknown_failed // known
                )
            else 0
        end as retry_gap
    from estimated
),
open as (
    select
        *,
        used - listed - outside - not_billed - no_price - unknown_gap - retry_gap as left_over
    from retried
),
supposed as (
    select
        *,
        case when abs(left_over - (uncached - listed)) * 10 <= abs(left_over)
            then abs(left_over - (uncached - listed)) end as cache_miss,
        case when abs(left_over - (batch - listed)) * 10 <= abs(left_over)
            then abs(left_over - (batch - listed)) end as batch_miss,
        case when abs(left_over - (standard - listed)) * 10 <= abs(left_over)
            then abs(left_over - (standard - listed)) end as standard_miss
    from open
),
found as (
    select
        *,
        case
            when left_over = 0 or least(cache_miss, batch_miss, standard_miss) is null then 'none'
            when cache_miss = least(cache_miss, batch_miss, standard_miss) then 'cache'
            when batch_miss = least(cache_miss, batch_miss, standard_miss) then 'batch'
            else 'standard'
        end as supposition
    from supposed
),
compared as (
    select
        *,
        case supposition when 'cache' then uncached - listed else 0 end as cache_gap,
        case supposition
            when 'batch' then batch - listed
            when 'standard' then standard - listed
            else 0
        end as batch_gap,
        case
            when supposition = 'none' and listed > 0 and calls > 0 and use_charges > 0
                and unpriced = 0
                then ((listed + left_over) * 2000 + listed) // (2 * listed)
        end as ratio
    from found
),
-- Days of one ratio in a row have one number: their place among all that have a ratio less their
-- place among those that have theirs.
in_a_row as (
    select
        *,
        row_number() over (
            partition by x_Pool, BillingCurrency, x_Model, x_Credential, ratio is null
            order by x_ChargeDay
        )
        - row_number() over (
            partition by x_Pool, BillingCurrency, x_Model, x_Credential, ratio
            order by x_ChargeDay
        ) as row_no
    from compared
),
drifting as (
    select
        *,
        case
            when ratio <> 1000
                and count(*) over (
                    partition by x_Pool, BillingCurrency, x_Model, x_Credential, ratio, row_no
                ) >= 3
                then left_over
            else 0
        end as drift
    from in_a_row
),
settled as (
    select
        *,
        case
            when unpriced > 0 then greatest(left_over - cache_gap - batch_gap - drift, 0)
            else 0
        end as more_no_price
    from drifting
)
select
    $period as BillingPeriod,
    s.x_ChargeDay,
    s.x_Pool,
    t.ProviderName,
    s.x_Model,
    s.x_Credential,
    s.BillingCurrency,
    cast(s.calls as bigint) as x_Calls,
    cast(s.failed as bigint) as x_FailedCalls,
    cast(s.unknown as bigint) as x_UnknownTokenCalls,
    cast(s.unpriced as bigint) as x_UnpricedCalls,
    cast(s.input_tokens as bigint) as x_InputTokens,
    cast(s.cached_tokens as bigint) as x_CachedInputTokens,
    cast(s.output_tokens as bigint) as x_OutputTokens,
    units_money(s.listed) as ListCost,
    units_money(s.used + s.other) as BilledCost,
    units_money(s.used + s.other - s.listed) as x_ListDifference,
    units_money(s.other) as x_GapOtherCharges,
    units_money(s.outside) as x_GapOutsideGateway,
    units_money(s.not_billed) as x_GapNotBilled,
    units_money(s.no_price + s.more_no_price) as x_GapNoPrice,
    units_money(s.unknown_gap) as x_GapUnknownTokens,
    units_money(s.retry_gap) as x_GapRetry,
    units_money(s.cache_gap) as x_GapCache,
    units_money(s.batch_gap) as x_GapBatch,
    units_money(s.drift) as x_GapPriceDrift,
    units_money(s.left_over - s.cache_gap - s.batch_gap - s.drift - s.more_no_price)
        as x_GapUnexplained
from settled as s
left join told as t on t.x_Pool = s.x_Pool
order by s.x_ChargeDay, s.x_Pool, s.BillingCurrency, s.x_Model, s.x_Credential
