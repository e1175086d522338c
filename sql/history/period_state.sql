-- Where each bill stands: open while its month lasts; then provisional, then closed; and corrected
-- when it is not what it was when it was closed.
--
-- What the provider says decides, where it says something: a period it calls Closed is closed, one
-- it calls Open is not. A provider that names an invoice when a charge is final (x_InvoicedWhenFinal)
-- says of a charge without that it is not. Where nothing is said, `closes_after_days` must have
-- passed, and not some of its charges have an invoice while others wait for theirs: a source that
-- names no invoice at all closes by time alone. Once closed, a bill is not opened again: what then
-- changes is a correction, whatever the provider says.
--
-- `published_total` is the memory: what was published of each bill, and when. States are computed
-- from it and from the time, so nothing has to happen for a bill to close. Checksums of charges are
-- compared where both are by the same hash.
--
-- One row per period, source and currency.
with
due as (
    select
        t.BillingPeriod, t.x_Source, t.BillingCurrency, t.x_Generation, t.x_PublishedAt,
        t.BilledCost, t.EffectiveCost, t.x_ChargeRows, t.x_TagChecksum, t.x_ChargeChecksum,
        t.x_HashMark, t.BillingPeriodStatus,
        case t.BillingPeriodStatus
            when 'Closed' then true
            when 'Open' then false
            else t.x_OpenRows = 0
                or (t.x_OpenRows = t.x_ChargeRows and not coalesce(s.x_InvoicedWhenFinal, false))
        end as is_settled,
        cast(t.BillingPeriod || '-01' as timestamp) + interval 1 month as ends_at,
        cast(t.BillingPeriod || '-01' as timestamp) + interval 1 month
            + case
                when t.BillingPeriodStatus = 'Closed' then to_days(0)
                else to_days(coalesce(s.x_ClosesAfterDays, 10))
            end as due_at,
        lead(t.x_PublishedAt) over (
            partition by t.BillingPeriod, t.x_Source, t.BillingCurrency
            order by t.x_Generation
        ) as replaced_at,
        row_number() over (
            partition by t.BillingPeriod, t.x_Source, t.BillingCurrency
            order by t.x_Generation desc
        ) as age
    from published_total as t
    left join closing_rule as s on s.x_Source = t.x_Source
),
standing as (
    select
        BillingPeriod, x_Source, BillingCurrency, x_Generation, BilledCost, EffectiveCost,
        x_ChargeRows, x_TagChecksum, x_ChargeChecksum, x_HashMark,
        greatest(x_PublishedAt, due_at) as closed_at,
        row_number() over (
            partition by BillingPeriod, x_Source, BillingCurrency order by x_Generation
        ) as place
    from due
    where is_settled
        and greatest(x_PublishedAt, due_at) <= cast($now as timestamp)
        and (replaced_at is null or greatest(x_PublishedAt, due_at) <= replaced_at)
),
compared as (
    select
        d.BillingPeriod, d.x_Source, d.BillingCurrency, d.x_Generation, d.x_PublishedAt,
        d.BilledCost, d.EffectiveCost, d.x_ChargeRows, d.ends_at, d.BillingPeriodStatus,
        c.closed_at, c.x_Generation as closed_generation,
        c.BilledCost as closed_billed, c.EffectiveCost as closed_effective,
        c.BilledCost is distinct from d.BilledCost
            or c.EffectiveCost is distinct from d.EffectiveCost
            or c.x_ChargeRows is distinct from d.x_ChargeRows
            or c.x_TagChecksum is distinct from d.x_TagChecksum
            or (c.x_HashMark is not distinct from d.x_HashMark
                and c.x_ChargeChecksum is distinct from d.x_ChargeChecksum) as is_changed
    from due as d
    left join standing as c
        on c.BillingPeriod = d.BillingPeriod
        and c.x_Source = d.x_Source
        and c.BillingCurrency = d.BillingCurrency
        and c.place = 1
    where d.age = 1
)
select
    BillingPeriod,
    x_Source,
    BillingCurrency,
    case
        when closed_at is not null and is_changed then 'corrected'
        when closed_at is not null then 'closed'
        when ends_at <= cast($now as timestamp) then 'provisional'
        else 'open'
    end as x_State,
    BillingPeriodStatus,
    BilledCost,
    EffectiveCost,
    x_ChargeRows,
    x_Generation,
    x_PublishedAt,
    closed_at as x_ClosedAt,
    closed_generation as x_ClosedGeneration,
    closed_billed as x_BilledClosed,
    closed_effective as x_EffectiveClosed,
    case when closed_at is not null then BilledCost - closed_billed end as x_BilledCorrection,
    case when closed_at is not null then EffectiveCost - closed_effective end
        as x_EffectiveCorrection
from compared
order by BillingPeriod, x_Source, BillingCurrency
