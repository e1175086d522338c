-- How well each savings plan and reservation was used. Whoever bears what nobody used of it, here
-- it is one figure.
--
-- BilledCost is what the invoice asks for the commitment, EffectiveCost what its charges cost: over
-- the term of a commitment the two are the same, in a month they are not. What is neither used nor
-- unused of EffectiveCost is a fee that its provider does not spread over what it covered.
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
        coalesce(sum(EffectiveCost) filter (where CommitmentDiscountStatus = 'Used'), 0)
            as used,
        coalesce(sum(EffectiveCost) filter (where CommitmentDiscountStatus = 'Unused'), 0)
            as unused
    from cost_and_usage
    where CommitmentDiscountId is not null
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
    cast(
        case
            when used + unused > 0
                then money_units(used) * 1000 // money_units(used + unused)
        end as bigint
    ) as x_UtilisationPermille
from summed
order by ProviderName, CommitmentDiscountId, BillingCurrency
