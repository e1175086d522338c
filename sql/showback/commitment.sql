-- How well each savings plan and reservation was used. Whoever bears what nobody used of it, here
-- it is one figure.
--
-- BilledCost is what the invoice asks for the commitment, EffectiveCost what its charges cost: over
-- the term of a commitment the two are the same (commitment_term has them), in a month they are not.
-- x_RoundingCost is what makes them the same. What is neither used nor unused nor rounding of
-- EffectiveCost is a fee that its provider does not spread over what it covered.
--
-- One row per provider, commitment and currency.
with
summed as (
    select
        ProviderName,
        CommitmentDiscountId,
        max(CommitmentDiscountName) as CommitmentDiscountName,
        max(CommitmentDiscountType) as CommitmentDiscountType,
        BillingCurrency,
        sum(BilledCost) as BilledCost,
        sum(EffectiveCost) as EffectiveCost,
        sum(x_UsedCost) as used,
        sum(x_UnusedCost) as unused,
        coalesce(
            sum(EffectiveCost) filter (where x_SourceFile = '(commitment rounding)'), 0
        ) as rounding
    from commitment_total
    group by ProviderName, CommitmentDiscountId, BillingCurrency
)
select
    $period as BillingPeriod,
    ProviderName,
    CommitmentDiscountId,
    CommitmentDiscountName,
    CommitmentDiscountType,
    BillingCurrency,
    cast(BilledCost as decimal(38, 12)) as BilledCost,
    cast(EffectiveCost as decimal(38, 12)) as EffectiveCost,
    cast(used as decimal(38, 12)) as x_UsedCost,
    cast(unused as decimal(38, 12)) as x_UnusedCost,
    cast(rounding as decimal(38, 12)) as x_RoundingCost,
    cast(
        case
            when used + unused > 0
                then money_units(used) * 1000 // money_units(used + unused)
        end as bigint
    ) as x_UtilisationPermille
from summed
order by ProviderName, CommitmentDiscountId, BillingCurrency
