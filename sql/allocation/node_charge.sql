-- What the nodes cost, hour by hour: the charges whose resource is a node of a cluster.
--
-- Only proportions matter, so a credit weighs by its size, and a free hour weighs something.
-- What a `[[cluster_charge]]` takes, such as the traffic of a node, is no part of what it cost.
-- Hours under a commitment are told apart only where its users bear what is unused of it.
--
-- One row per invoice, provider, account, service, category, node, commitment, hour and end.
with
line as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay,
        c.InvoiceId, c.BillingCurrency, c.ProviderName, c.SubAccountId, c.ServiceCategory,
        c.ServiceName, c.ChargeCategory, node_id.x_NodeResourceId as ResourceId, node_id.x_Cluster,
        case
            when $unused_commitment = 'users' and c.CommitmentDiscountStatus = 'Used'
                then c.CommitmentDiscountId
        end as CommitmentDiscountId,
        date_trunc('hour', c.ChargePeriodStart) as x_HourStart,
        case
            when c.ChargePeriodEnd
                > date_trunc('hour', c.ChargePeriodStart) + interval 1 hour
                then c.ChargePeriodEnd
        end as x_ChargeEnd,
        c.BilledCost, c.EffectiveCost
    from cost_and_usage as c
    inner join node_id on node_id.ResourceId = c.ResourceId
    anti join cluster_charge as b
        on (b.ProviderName is null or b.ProviderName = c.ProviderName)
        and (b.SubAccountId is null or b.SubAccountId = c.SubAccountId)
        and (b.ServiceName is null or b.ServiceName = c.ServiceName)
        and (b.ServiceCategory is null or b.ServiceCategory = c.ServiceCategory)
        and (b.ChargeCategory is null or b.ChargeCategory = c.ChargeCategory)
        and (b.ResourceId is null or b.ResourceId = c.ResourceId)
        and (
            b.CommitmentDiscountStatus is null
            or b.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
        and (b.SkuMeter is null or b.SkuMeter = c.SkuMeter)
),
summed as (
    select
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, ResourceId, x_Cluster, CommitmentDiscountId, x_HourStart,
        x_ChargeEnd,
        abs(money_units(sum(BilledCost))) as billed,
        abs(money_units(sum(EffectiveCost))) as effective
    from line
    group by
        x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
        ServiceName, ChargeCategory, ResourceId, x_Cluster, CommitmentDiscountId, x_HourStart,
        x_ChargeEnd
)
select
    $period as BillingPeriod,
    x_ChargeDay,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    SubAccountId,
    ServiceCategory,
    ServiceName,
    ChargeCategory,
    ResourceId,
    x_Cluster,
    CommitmentDiscountId,
    x_HourStart,
    x_ChargeEnd,
    cast(
        greatest(case when effective <> 0 then effective else billed end, 1) as decimal(38, 0)
    ) as x_ChargeUnits
from summed
order by
    x_ChargeDay, InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory,
    ServiceName, ChargeCategory, ResourceId, CommitmentDiscountId, x_HourStart, x_ChargeEnd
