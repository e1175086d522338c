-- What each delivered file says of each commitment: what was billed for it, what was amortised, and
-- how exact the figures are. Taken once, when a file is read, so that a term of three years is added
-- up from a few rows a month and no bill is read for it again.
--
-- Of the columns that say who pays, those of its last fee are taken (a purchase, or what nobody used),
-- else those of its last charge: whoever uses a commitment may be somebody else. The times are of the
-- last charges that have a cost.
--
-- x_LastPlace is the last decimal place of the file's amortised figures, as the smallest, the largest
-- and the sum of them show (to look at each takes five times as long as all the rest): a hundredth of
-- the currency at most, and the tenth decimal at least. AWS writes ten; what is derived here has
-- twelve, and would make figures look more exact than they came.
--
-- One row per file, provider, commitment and currency.
with
charge as (
    select
        *,
        ChargeCategory = 'Purchase' or coalesce(CommitmentDiscountStatus = 'Unused', false) as is_fee
    from cost_and_usage
    where CommitmentDiscountId is not null
),
summed as (
    select
        x_Source, x_SourceFile, ProviderName, CommitmentDiscountId, BillingCurrency,
        min(BillingPeriod) as BillingPeriod,
        max(CommitmentDiscountName) as CommitmentDiscountName,
        max(CommitmentDiscountCategory) as CommitmentDiscountCategory,
        max(CommitmentDiscountType) as CommitmentDiscountType,
        -- Of an invoice that is there and one that is not yet, the former: `(` is before all digits.
        max(InvoiceId) as InvoiceId,
        min(BillingPeriodStart) as BillingPeriodStart,
        max(BillingPeriodEnd) as BillingPeriodEnd,
        min(ChargePeriodStart) as x_TermStart,
        coalesce(max(ChargePeriodStart) filter (where EffectiveCost <> 0), max(ChargePeriodStart))
            as ChargePeriodStart,
        coalesce(max(ChargePeriodEnd) filter (where EffectiveCost <> 0), max(ChargePeriodEnd))
            as ChargePeriodEnd,
        max(ChargePeriodEnd) filter (
            where ChargeCategory = 'Purchase' and ChargeFrequency = 'One-Time'
        ) as x_UpfrontEnd,
        count(*) as x_ChargeRows,
        count(*) + count(*) filter (where BilledCost <> 0 and EffectiveCost <> 0) as x_RoundedFigures,
        min(EffectiveCost) as smallest,
        max(EffectiveCost) as largest,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost,
        coalesce(sum(EffectiveCost) filter (where CommitmentDiscountStatus = 'Used'), 0)
            as x_UsedCost,
        coalesce(sum(EffectiveCost) filter (where CommitmentDiscountStatus = 'Unused'), 0)
            as x_UnusedCost,
        max(x_SourceRow) filter (where is_fee) is not null as x_IsFee,
        coalesce(max(x_SourceRow) filter (where is_fee), max(x_SourceRow)) as x_SourceRow
    from charge
    group by x_Source, x_SourceFile, ProviderName, CommitmentDiscountId, BillingCurrency
),
shown as (
    select
        x_Source, x_SourceFile, ProviderName, CommitmentDiscountId, BillingCurrency,
        abs(unnest([money_units(smallest), money_units(largest), money_units(EffectiveCost)]))
            as figure
    from summed
),
exact as (
    select
        x_Source, x_SourceFile, ProviderName, CommitmentDiscountId, BillingCurrency,
        min(case
            when figure % 1000 <> 0 then 100
            when figure % 10000 <> 0 then 1000
            when figure % 100000 <> 0 then 10000
            when figure % 1000000 <> 0 then 100000
            when figure % 10000000 <> 0 then 1000000
            when figure % 100000000 <> 0 then 10000000
            when figure % 1000000000 <> 0 then 100000000
            when figure % 10000000000 <> 0 then 1000000000
            else 10000000000
        end) as x_LastPlace
    from shown
    group by x_Source, x_SourceFile, ProviderName, CommitmentDiscountId, BillingCurrency
)
select
    s.BillingPeriod,
    s.ProviderName,
    s.CommitmentDiscountId,
    s.CommitmentDiscountName,
    s.CommitmentDiscountCategory,
    s.CommitmentDiscountType,
    s.BillingCurrency,
    c.BillingAccountId,
    c.BillingAccountName,
    c.BillingAccountType,
    c.SubAccountId,
    c.SubAccountName,
    c.SubAccountType,
    s.InvoiceId,
    c.InvoiceIssuerName,
    c.PublisherName,
    c.ServiceCategory,
    c.ServiceSubcategory,
    c.ServiceName,
    s.BillingPeriodStart,
    s.BillingPeriodEnd,
    s.x_TermStart,
    s.ChargePeriodStart,
    s.ChargePeriodEnd,
    s.x_UpfrontEnd,
    s.x_ChargeRows,
    s.x_RoundedFigures,
    cast(e.x_LastPlace as bigint) as x_LastPlace,
    cast(s.BilledCost as decimal(38, 12)) as BilledCost,
    cast(s.EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(s.x_UsedCost as decimal(38, 12)) as x_UsedCost,
    cast(s.x_UnusedCost as decimal(38, 12)) as x_UnusedCost,
    s.x_IsFee,
    s.x_Source,
    s.x_SourceFile
from summed as s
inner join exact as e
    on e.x_Source = s.x_Source
    and e.x_SourceFile = s.x_SourceFile
    and e.ProviderName = s.ProviderName
    and e.CommitmentDiscountId = s.CommitmentDiscountId
    and e.BillingCurrency = s.BillingCurrency
inner join cost_and_usage as c
    on c.x_Source = s.x_Source
    and c.x_SourceFile = s.x_SourceFile
    and c.x_SourceRow = s.x_SourceRow
order by s.x_Source, s.x_SourceFile, s.ProviderName, s.CommitmentDiscountId, s.BillingCurrency
