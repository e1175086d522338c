-- One bill, one source. Two `[[billing]]` blocks that deliver the same charges (Google's standard and
-- detailed export, Azure's actual and amortised one without `pair`, a CUR and AWS's FOCUS export,
-- one export named twice) would count them twice. Keep one of the two blocks, or `pair` them where
-- each has one of the costs. If they are different charges after all, say so in one of the blocks:
-- `separate_from = ["the other"]`.
--
-- The evidence: in one account and currency, on most days on which both sources billed something,
-- both billed exactly the same; and nothing tells them apart: if both name resources, or invoices,
-- they have some in common. An account that is parted between sources has other sums on its
-- days, or other resources. Of a source that names no account, the provider stands for it.
with
-- Of one source alone the bill is not read.
several as (
    select one.x_Source
    from invoice as one
    inner join invoice as two
        on two.BillingCurrency = one.BillingCurrency and two.x_Source <> one.x_Source
    group by one.x_Source
),
account as (
    select c.x_Source, c.BillingCurrency, c.ProviderName, c.BillingAccountId, c.SubAccountId
    from cost_and_usage as c
    inner join several as s on s.x_Source = c.x_Source
    group by c.x_Source, c.BillingCurrency, c.ProviderName, c.BillingAccountId, c.SubAccountId
),
-- Azure writes a subscription as such, or as `/subscriptions/<id>`.
known_account as (
    select
        *,
        lower(regexp_extract(
            coalesce(SubAccountId, BillingAccountId, ProviderName), '[^/]*$'
        )) as account
    from account
),
shared as (
    select mine.*
    from known_account as mine
    inner join (
        select account, BillingCurrency
        from known_account
        group by account, BillingCurrency
        having count(distinct x_Source) > 1
    ) as both_have
        on both_have.account = mine.account and both_have.BillingCurrency = mine.BillingCurrency
),
billed as (
    select
        s.x_Source, s.BillingCurrency, s.account,
        cast(c.ChargePeriodStart as date) as charge_day,
        sum(c.BilledCost) as BilledCost
    from cost_and_usage as c
    inner join shared as s
        on s.x_Source = c.x_Source
        and s.BillingCurrency = c.BillingCurrency
        and s.ProviderName = c.ProviderName
        and s.BillingAccountId is not distinct from c.BillingAccountId
        and s.SubAccountId is not distinct from c.SubAccountId
    group by s.x_Source, s.BillingCurrency, s.account, cast(c.ChargePeriodStart as date)
),
suspect as (
    select
        one.x_Source, two.x_Source as other_source, one.BillingCurrency, one.account,
        count(*) as days_of_both,
        count(*) filter (where one.BilledCost = two.BilledCost) as days_alike,
        sum(case when one.BilledCost = two.BilledCost then one.BilledCost end) as BilledCost
    from billed as one
    inner join billed as two
        on two.account = one.account
        and two.BillingCurrency = one.BillingCurrency
        and two.charge_day = one.charge_day
        and two.x_Source > one.x_Source
    where one.BilledCost <> 0 and two.BilledCost <> 0
    group by one.x_Source, two.x_Source, one.BillingCurrency, one.account
    having 2 * count(*) filter (where one.BilledCost = two.BilledCost) > count(*)
),
suspect_account as (
    select shared.*
    from shared
    inner join (select distinct BillingCurrency, account from suspect) as doubted
        on doubted.account = shared.account and doubted.BillingCurrency = shared.BillingCurrency
),
named as (
    select distinct
        s.x_Source, s.BillingCurrency, s.account, 'resource' as what,
        lower(c.ResourceId) as its_name
    from cost_and_usage as c
    inner join suspect_account as s
        on s.x_Source = c.x_Source
        and s.BillingCurrency = c.BillingCurrency
        and s.ProviderName = c.ProviderName
        and s.BillingAccountId is not distinct from c.BillingAccountId
        and s.SubAccountId is not distinct from c.SubAccountId
    where c.ResourceId is not null
    union all
    -- Google's export names no invoice: the dialect calls it account and month.
    select distinct
        s.x_Source, s.BillingCurrency, s.account, 'invoice' as what, c.InvoiceId as its_name
    from cost_and_usage as c
    inner join suspect_account as s
        on s.x_Source = c.x_Source
        and s.BillingCurrency = c.BillingCurrency
        and s.ProviderName = c.ProviderName
        and s.BillingAccountId is not distinct from c.BillingAccountId
        and s.SubAccountId is not distinct from c.SubAccountId
    where c.InvoiceId <> '(open)'
        and not starts_with(c.InvoiceId, coalesce(c.BillingAccountId, '') || '/')
),
apart as (
    select s.x_Source, s.other_source, s.BillingCurrency, s.account
    from suspect as s
    inner join named as n
        on n.account = s.account
        and n.BillingCurrency = s.BillingCurrency
        and n.x_Source in (s.x_Source, s.other_source)
    group by s.x_Source, s.other_source, s.BillingCurrency, s.account, n.what
    having count(distinct n.x_Source) = 2 and count(*) = count(distinct n.its_name)
    union
    select s.x_Source, s.other_source, s.BillingCurrency, s.account
    from suspect as s
    inner join separate_source as said
        on (said.x_Source = s.x_Source and said.x_OtherSource = s.other_source)
        or (said.x_Source = s.other_source and said.x_OtherSource = s.x_Source)
)
select
    s.x_Source as block,
    s.other_source as other_block,
    s.account,
    s.BillingCurrency,
    s.days_alike,
    s.days_of_both,
    s.BilledCost as counted_twice
from suspect as s
anti join apart as a
    on a.x_Source = s.x_Source
    and a.other_source = s.other_source
    and a.BillingCurrency = s.BillingCurrency
    and a.account = s.account
order by abs(s.BilledCost) desc, s.x_Source, s.other_source, s.account, s.BillingCurrency
