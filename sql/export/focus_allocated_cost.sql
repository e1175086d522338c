-- The bill split among those who consumed it: FOCUS 1.2 with the split columns of FOCUS 1.3.
--
-- Grain: the charges of a pool are one origin charge, a day of what shares invoice, currency,
-- provider, sub account, service, category and pool. Where a pool is split by measured use, each
-- part is an allocated charge: AllocatedMethodId says how (docs/allocation.md), AllocatedRatio
-- its part of the origin charge; the ratios of a pool sum to 1, by largest remainder at 12
-- decimals. Capacity nobody used has no AllocatedResourceId: it is the unallocated portion.
-- Every other row is charges with an owner of their own, and no split.
--
-- Prices of many charges have no sum, so a row is priced as an amount of money: PricingQuantity
-- units of the billing currency at 1, and list and contracted cost are that amount. Accounts and
-- names are those of the charges, `(several)` where they differ. What else a charge has (SKU,
-- region, resource, commitment) does not survive the sum; it is in the cost_and_usage file.
-- A purchase with an EffectiveCost is two rows, as there: purchase, then the usage it covered.
--
-- One row per pool and owner.
with
account as (
    select
        InvoiceId, BillingCurrency, ProviderName, SubAccountId,
        case
            when min(BillingAccountId) = max(BillingAccountId) then min(BillingAccountId)
            else '(several)'
        end as BillingAccountId,
        case
            when min(BillingAccountName) = max(BillingAccountName) then min(BillingAccountName)
        end as BillingAccountName,
        case
            when min(BillingAccountType) = max(BillingAccountType) then min(BillingAccountType)
        end as BillingAccountType,
        min(SubAccountName) as SubAccountName,
        min(SubAccountType) as SubAccountType,
        case when min(PublisherName) = max(PublisherName) then min(PublisherName)
        end as PublisherName,
        min(BillingPeriodStart) as BillingPeriodStart,
        max(BillingPeriodEnd) as BillingPeriodEnd
    from cost_and_usage
    group by InvoiceId, BillingCurrency, ProviderName, SubAccountId
),
share as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight
    from usage_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight
    from endpoint_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight
    from volume_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight
    from cluster_share
    union all
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight
    from commitment_share
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weighed as (
    select
        x_PoolId,
        cast(sum(x_Weight) as hugeint) // 500000000000000000 + 1 as divisor
    from share
    group by x_PoolId
),
scaled as (
    select
        s.x_PoolId, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
        s.x_AllocationMethod, s.x_WeightUnit, s.x_Weight,
        cast(s.x_Weight as hugeint) // w.divisor as weight
    from share as s
    inner join weighed as w on w.x_PoolId = s.x_PoolId
),
total as (
    select x_PoolId, cast(sum(weight) as hugeint) as total
    from scaled
    group by x_PoolId
    having sum(weight) > 0
),
cut as (
    select
        s.x_PoolId, s.x_Feature, s.x_Tenant, s.x_Environment, s.x_Model, s.x_Endpoint,
        s.x_AllocationMethod, s.x_WeightUnit, s.x_Weight,
        apportion(cast(1000000000000 as hugeint), s.weight, t.total) as part,
        (cast(1000000000000 as hugeint) * s.weight) % t.total as remainder
    from scaled as s
    inner join total as t on t.x_PoolId = s.x_PoolId
),
ranked as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight, part,
        1000000000000 - sum(part) over (partition by x_PoolId) as over_parts,
        row_number() over (
            partition by x_PoolId
            order by
                remainder desc, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint,
                x_AllocationMethod
        ) as place
    from cut
),
ratio as (
    select
        x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod,
        x_WeightUnit, x_Weight,
        units_money(part + case when place <= over_parts then 1 else 0 end) as AllocatedRatio
    from ranked
),
owned as (
    select
        c.x_PoolId, c.x_ChargeDay, c.InvoiceId, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceCategory, c.ServiceName, c.ChargeCategory, c.x_Pool,
        c.x_Feature, c.x_Tenant, c.x_Environment, c.x_Model, c.x_Endpoint,
        c.x_AllocationMethod, c.BilledCost, c.EffectiveCost,
        a.BillingAccountId, a.BillingAccountName, a.BillingAccountType, a.SubAccountName,
        a.SubAccountType, a.PublisherName,
        coalesce(a.BillingPeriodStart, cast($period || '-01' as timestamp))
            as BillingPeriodStart,
        coalesce(a.BillingPeriodEnd, cast($period || '-01' as timestamp) + interval 1 month)
            as BillingPeriodEnd,
        r.AllocatedRatio, r.x_WeightUnit, r.x_Weight,
        c.ChargeCategory = 'Purchase' and c.EffectiveCost <> 0 as is_covering,
        '{' || concat_ws(',',
            case when not starts_with(c.x_Feature, '(')
                then '"feature":' || cast(to_json(c.x_Feature) as varchar) end,
            case when not starts_with(c.x_Tenant, '(')
                then '"tenant":' || cast(to_json(c.x_Tenant) as varchar) end,
            case when not starts_with(c.x_Environment, '(')
                then '"environment":' || cast(to_json(c.x_Environment) as varchar) end,
            case when not starts_with(c.x_Model, '(')
                then '"model":' || cast(to_json(c.x_Model) as varchar) end
        ) || '}' as owner_tags
    from allocated_cost as c
    left join account as a
        on a.InvoiceId = c.InvoiceId
        and a.BillingCurrency = c.BillingCurrency
        and a.ProviderName = c.ProviderName
        and a.SubAccountId is not distinct from c.SubAccountId
    left join ratio as r
        on r.x_PoolId = c.x_PoolId
        and r.x_Feature = c.x_Feature
        and r.x_Tenant = c.x_Tenant
        and r.x_Environment = c.x_Environment
        and r.x_Model = c.x_Model
        and r.x_Endpoint = c.x_Endpoint
        and r.x_AllocationMethod = c.x_AllocationMethod
),
parted as (
    select
        owned.* replace (
            case when is_covering and BilledCost = 0 then 'Usage' else ChargeCategory
            end as ChargeCategory,
            case
                when is_covering and BilledCost <> 0 then cast(0 as decimal(38, 12))
                else EffectiveCost
            end as EffectiveCost
        ),
        case when is_covering and BilledCost <> 0 then BilledCost else EffectiveCost
        end as amount,
        1 as part
    from owned
    union all
    select
        owned.* replace (
            'Usage' as ChargeCategory,
            cast(0 as decimal(38, 12)) as BilledCost
        ),
        cast(0 as decimal(38, 12)) as amount,
        2 as part
    from owned
    where is_covering and BilledCost <> 0
),
named as (
    select
        parted.*,
        ChargeCategory in ('Usage', 'Purchase') as is_sold,
        AllocatedRatio is not null as is_split,
        case
            when AllocatedRatio is not null
                    and x_AllocationMethod not in ('idle', 'endpoint_idle', 'overhead', 'unmeasured')
                    and x_Tenant <> '(idle)'
                then concat_ws('/', x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint)
        end as AllocatedResourceId
    from parted
)
select
    cast(null as varchar) as AvailabilityZone,
    BilledCost,
    coalesce(BillingAccountId, '(unknown)') as BillingAccountId,
    coalesce(BillingAccountName, BillingAccountId, '(unknown)') as BillingAccountName,
    coalesce(BillingAccountType, 'Billing Account') as BillingAccountType,
    BillingCurrency,
    timezone('UTC', BillingPeriodEnd) as BillingPeriodEnd,
    timezone('UTC', BillingPeriodStart) as BillingPeriodStart,
    cast(null as varchar) as CapacityReservationId,
    cast(null as varchar) as CapacityReservationStatus,
    ChargeCategory,
    cast(null as varchar) as ChargeClass,
    ServiceName || case when is_split then ', split by ' || x_AllocationMethod else '' end
        as ChargeDescription,
    case when ChargeCategory = 'Usage' then 'Usage-Based' else 'One-Time' end as ChargeFrequency,
    timezone('UTC', cast(x_ChargeDay as timestamp) + interval 1 day) as ChargePeriodEnd,
    timezone('UTC', cast(x_ChargeDay as timestamp)) as ChargePeriodStart,
    cast(null as varchar) as CommitmentDiscountCategory,
    cast(null as varchar) as CommitmentDiscountId,
    cast(null as varchar) as CommitmentDiscountName,
    cast(null as decimal(38, 12)) as CommitmentDiscountQuantity,
    cast(null as varchar) as CommitmentDiscountStatus,
    cast(null as varchar) as CommitmentDiscountType,
    cast(null as varchar) as CommitmentDiscountUnit,
    case when ChargeCategory = 'Usage' then amount end as ConsumedQuantity,
    case when ChargeCategory = 'Usage' then BillingCurrency end as ConsumedUnit,
    case when is_sold then amount else BilledCost end as ContractedCost,
    case when is_sold then cast(1 as decimal(38, 12)) end as ContractedUnitPrice,
    EffectiveCost,
    nullif(nullif(InvoiceId, '(open)'), '(unknown)') as InvoiceId,
    ProviderName as InvoiceIssuerName,
    case when is_sold then amount else BilledCost end as ListCost,
    case when is_sold then cast(1 as decimal(38, 12)) end as ListUnitPrice,
    case when is_sold then 'Other' end as PricingCategory,
    BillingCurrency as PricingCurrency,
    case when is_sold then cast(1 as decimal(38, 12)) end as PricingCurrencyContractedUnitPrice,
    EffectiveCost as PricingCurrencyEffectiveCost,
    case when is_sold then cast(1 as decimal(38, 12)) end as PricingCurrencyListUnitPrice,
    case when is_sold then amount end as PricingQuantity,
    case when is_sold then BillingCurrency end as PricingUnit,
    ProviderName,
    coalesce(PublisherName, ProviderName) as PublisherName,
    cast(null as varchar) as RegionId,
    cast(null as varchar) as RegionName,
    x_Pool as ResourceId,
    cast(null as varchar) as ResourceName,
    case when x_Pool is not null then 'Cost Pool' end as ResourceType,
    ServiceCategory,
    ServiceName,
    'Other (' || ServiceCategory || ')' as ServiceSubcategory,
    case when is_sold then ServiceName end as SkuId,
    case when is_sold then ServiceName end as SkuMeter,
    cast(null as varchar) as SkuPriceDetails,
    case when is_sold then ServiceName end as SkuPriceId,
    SubAccountId,
    case when SubAccountId is not null then coalesce(SubAccountName, SubAccountId)
    end as SubAccountName,
    case when SubAccountId is not null then coalesce(SubAccountType, 'Account')
    end as SubAccountType,
    case when is_split then '{}' else owner_tags end as Tags,
    case
        when is_split then '{"Elements":[{"AllocatedRatio":' || AllocatedRatio
            || ',"UsageUnit":"' || x_WeightUnit || '","x_Weight":' || x_Weight || '}]}'
    end as AllocatedMethodDetails,
    case when is_split then x_AllocationMethod end as AllocatedMethodId,
    AllocatedResourceId,
    case
        when AllocatedResourceId is null then null
        when x_Endpoint <> '(none)' then x_Endpoint
        else x_Feature
    end as AllocatedResourceName,
    case when is_split then owner_tags end as AllocatedTags,
    x_AllocationMethod,
    x_Endpoint,
    x_Environment,
    x_Feature,
    x_Model,
    x_PoolId,
    x_Tenant
from named
order by
    x_PoolId, x_Feature, x_Tenant, x_Environment, x_Model, x_Endpoint, x_AllocationMethod, part
