-- What amortisation lost of a commitment, as a charge of the period in which it is used up: three hours
-- of a payment of 1.00 are 3 * 0.3333333333, and the last period carries the 0.0000000001. With it,
-- EffectiveCost sums to BilledCost, exactly.
--
-- `commitment_total` has all periods up to this one, and of this one what was delivered. A commitment
-- is used up when what was paid for it and what was amortised differ by no more than rounding, and no
-- payment of it is for longer than this period. What is paid month by month is used up every month.
-- If the purchase is older than the warehouse, or a month of it is not here, much more than that is
-- missing, and so nothing is booked.
--
-- No more than rounding is: half of the last decimal place that the provider's figures go to, for every
-- figure; and less than an average charge of the commitment, for otherwise a charge may be missing.
-- What is more is no rounding: it is not booked, and `commitment_term` tells it.
--
-- One row per provider, commitment and currency, a charge by the columns of cost_and_usage.
with
so_far as (
    select
        *,
        row_number() over (
            partition by ProviderName, CommitmentDiscountId, BillingCurrency
            order by x_IsFee desc, BillingPeriod desc, x_Source, x_SourceFile
        ) as buyer_place,
        row_number() over (
            partition by ProviderName, CommitmentDiscountId, BillingCurrency
            order by
                BillingPeriod desc, EffectiveCost <> 0 desc, ChargePeriodEnd desc,
                x_Source, x_SourceFile
        ) as last_place
    from commitment_total
    where BillingPeriod <= $period
),
term as (
    select
        ProviderName, CommitmentDiscountId, BillingCurrency,
        sum(BilledCost) as paid,
        sum(EffectiveCost) as amortised,
        sum(x_ChargeRows) as charges,
        sum(x_RoundedFigures) as figures,
        max(x_UpfrontEnd) as upfront_end
    from so_far
    group by ProviderName, CommitmentDiscountId, BillingCurrency
),
provider as (
    select ProviderName, BillingCurrency, min(x_LastPlace) as last_place
    from so_far
    group by ProviderName, BillingCurrency
)
select
    $period as BillingPeriod,
    cast(0 as decimal(38, 12)) as BilledCost,
    cast(term.paid - term.amortised as decimal(38, 12)) as EffectiveCost,
    cast(0 as decimal(38, 12)) as ListCost,
    cast(0 as decimal(38, 12)) as ContractedCost,
    term.BillingCurrency,
    buyer.BillingAccountId,
    buyer.BillingAccountName,
    buyer.BillingAccountType,
    buyer.SubAccountId,
    buyer.SubAccountName,
    buyer.SubAccountType,
    here.BillingPeriodStart,
    here.BillingPeriodEnd,
    here.ChargePeriodStart,
    here.ChargePeriodEnd,
    here.InvoiceId,
    buyer.InvoiceIssuerName,
    term.ProviderName,
    buyer.PublisherName,
    'Adjustment' as ChargeCategory,
    'Rounding of the amortisation: ' || rtrim(rtrim(cast(term.paid as varchar), '0'), '.')
        || ' was paid, and the charges sum to '
        || rtrim(rtrim(cast(term.amortised as varchar), '0'), '.') as ChargeDescription,
    'One-Time' as ChargeFrequency,
    term.CommitmentDiscountId,
    buyer.CommitmentDiscountName,
    buyer.CommitmentDiscountCategory,
    buyer.CommitmentDiscountType,
    buyer.ServiceCategory,
    buyer.ServiceSubcategory,
    buyer.ServiceName,
    '{}' as Tags,
    cast(md5_number_lower('{}') >> 1 as bigint) as x_TagSetId,
    here.x_Source,
    '(commitment rounding)' as x_SourceFile,
    row_number() over (
        partition by here.x_Source
        order by term.ProviderName, term.CommitmentDiscountId, term.BillingCurrency
    ) as x_SourceRow
from term
inner join provider
    on provider.ProviderName = term.ProviderName
    and provider.BillingCurrency = term.BillingCurrency
inner join so_far as buyer
    on buyer.ProviderName = term.ProviderName
    and buyer.CommitmentDiscountId = term.CommitmentDiscountId
    and buyer.BillingCurrency = term.BillingCurrency
    and buyer.buyer_place = 1
inner join so_far as here
    on here.ProviderName = term.ProviderName
    and here.CommitmentDiscountId = term.CommitmentDiscountId
    and here.BillingCurrency = term.BillingCurrency
    and here.last_place = 1
    and here.BillingPeriod = $period
where term.paid <> term.amortised
    and 2 * abs(money_units(term.paid - term.amortised)) <= term.figures * provider.last_place
    and abs(money_units(term.paid - term.amortised)) * term.charges
        < abs(money_units(term.amortised))
    and (term.upfront_end is null or term.upfront_end <= here.BillingPeriodEnd)
order by here.x_Source, term.ProviderName, term.CommitmentDiscountId, term.BillingCurrency
