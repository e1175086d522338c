-- An Azure cost details export, actual or amortised, in FOCUS columns.
--
-- Columns are those of Microsoft's pages "Enterprise Agreement", "Microsoft Customer Agreement" and
-- "Pay-as-you-go cost and usage details file schema", all versions: their names differ, also in
-- case. How they become FOCUS is from the FinOps toolkit, "Convert cost and usage data to FOCUS".
--
-- Azure tells one bill twice. The actual export has what the invoice asks for: the purchase of a
-- reservation or savings plan, and zero for what it covered. The amortised export has no such
-- purchase, the covered usage at its part of the price, and what nobody used as UnusedReservation
-- and UnusedSavingsPlan. All else is in both. So of a pair, rows of the actual export carry
-- BilledCost and no EffectiveCost, rows of the amortised export the reverse: each total is that of
-- one export, and nothing counts twice, however the two differ. Quantities, list and contracted
-- costs are on the amortised rows, but for the purchases, which only the actual export has.
--
-- An export that is no half of a pair is the whole bill (x_CostBasis `both`): both costs are its
-- cost. A commitment's other cost cannot be known then, so its rows are quarantined.
--
-- Ids are the same in any case, so they are in lower case. A commitment is its order: only that is
-- on the purchase as well as on the usage. A row of a scale set that names its instance is that
-- instance's, as the cluster names its nodes.
--
-- Where the unit is a block (`100 Hours`), prices are for a block. Whether Quantity counts blocks
-- or units differs between exports: where price times Quantity is the cost a block too often, it
-- counts units.
--
-- `raw_billing` has the columns named below, typed as they are declared; text is null where empty,
-- Tags is JSON with sorted keys. Days are text, because the files have them as MM/DD/YYYY.
--
-- One row per delivered row, in the order of the file.
--
-- names: in any case
-- tags: without braces
-- requires number: CostInBillingCurrency
-- requires text: Date BillingCurrency
-- optional number: Quantity UnitPrice PayGPrice PaygCostInBillingCurrency
-- optional number: CostInPricingCurrency ExchangeRatePricingToBilling
-- optional text: ChargeType PricingModel Frequency UnitOfMeasure PricingCurrency
-- optional text: InvoiceId PartnerName ResellerName PublisherName
-- optional text: BillingAccountId BillingAccountName BillingProfileId BillingProfileName
-- optional text: BillingPeriodStartDate BillingPeriodEndDate SubscriptionId SubscriptionName
-- optional text: ProductName ProductId PartNumber ProductOrderId ProductOrderName
-- optional text: MeterId MeterName MeterCategory ConsumedService ServiceName
-- optional text: ResourceId ResourceName ResourceType ResourceLocation Location AdditionalInfo
-- optional text: BenefitId BenefitName ReservationId ReservationName
-- optional tags: Tags
-- spelled: CostInBillingCurrency = Cost PreTaxCost
-- spelled: Date = UsageDateTime UsageDate
-- spelled: BillingCurrency = BillingCurrencyCode Currency
-- spelled: Quantity = UsageQuantity
-- spelled: UnitPrice = ResourceRate
-- spelled: PayGPrice = MarketPrice
-- spelled: PricingCurrency = PricingCurrencyCode
-- spelled: ExchangeRatePricingToBilling = ExchangeRate
-- spelled: SubscriptionId = SubscriptionGuid
-- spelled: ProductName = Product
-- spelled: ResourceId = InstanceId InstanceName
-- spelled: Location = ResourceLocationNormalized
-- conserves: BilledCost = CostInBillingCurrency where x_CostBasis <> 'amortized'
-- conserves: EffectiveCost = CostInBillingCurrency where x_CostBasis = 'amortized' \
--     or (x_CostBasis = 'both' and left(PricingModel, 6) not in ('Reserv', 'Saving'))
-- refuses: x_CostBasis <> 'amortized' and (ChargeType ilike 'Unused%' \
--     or (ChargeType ilike 'Usage' and left(PricingModel, 6) in ('Reserv', 'Saving') \
--     and try_cast(CostInBillingCurrency as decimal(38, 12)) <> 0)) \
--     -> are of an amortised export, which alone is no bill: say costs = "amortized" and name the \
--     block of the actual export as its pair
-- refuses: x_CostBasis = 'amortized' and ChargeType in ('Purchase', 'Refund') \
--     and left(PricingModel, 6) in ('Reserv', 'Saving') \
--     and try_cast(CostInBillingCurrency as decimal(38, 12)) <> 0 \
--     -> buy a commitment, as only an export of actual costs has it: say costs = "actual"
with
name_parts as (
    select
        raw_billing.*,
        lower(coalesce(ChargeType, 'Usage')) as charge_type,
        coalesce(left(PricingModel, 6) in ('Reserv', 'Saving'), false)
            or lower(coalesce(ChargeType, '')) in ('unusedreservation', 'unusedsavingsplan')
            as is_commitment,
        date_trunc('day', case
            when contains("Date", '/') then try_strptime(first_word("Date"), '%m/%d/%Y')
            else try_cast("Date" as timestamp)
        end) as charge_day,
        case
            when contains(BillingPeriodStartDate, '/')
                then try_strptime(first_word(BillingPeriodStartDate), '%m/%d/%Y')
            else try_cast(BillingPeriodStartDate as timestamp)
        end as period_start,
        case
            when contains(BillingPeriodEndDate, '/')
                then try_strptime(first_word(BillingPeriodEndDate), '%m/%d/%Y')
            else try_cast(BillingPeriodEndDate as timestamp)
        end as period_end,
        nullif(nullif(lower(MeterCategory), 'unassigned'), '') as meter_category,
        lower(ResourceId) as resource,
        case
            when UnitOfMeasure is null or starts_with(UnitOfMeasure, '1 ')
                    or starts_with(UnitOfMeasure, '1/') then 1
            else coalesce(nullif(try_cast(
                regexp_extract(UnitOfMeasure, '^([0-9]{1,12})', 1) as bigint
            ), 0), 1) * case regexp_extract(UnitOfMeasure, '^[0-9]+([KMB])\b', 1)
                when 'K' then 1000 when 'M' then 1000000 when 'B' then 1000000000 else 1
            end
        end as block_size,
        case
            when PricingCurrency is null or PricingCurrency = BillingCurrency
                then cast(1 as decimal(38, 12))
            else ExchangeRatePricingToBilling
        end as rate
    from raw_billing
),
read_unit as (
    select
        name_parts.*,
        strpos(resource, '/providers/') as provider_at,
        case charge_type
            when 'usage' then 'Usage'
            when 'unusedreservation' then 'Usage'
            when 'unusedsavingsplan' then 'Usage'
            when 'purchase' then 'Purchase'
            when 'refund' then 'Purchase'
            when 'tax' then 'Tax'
            when 'credit' then 'Credit'
            else 'Adjustment'
        end as category,
        case when AdditionalInfo is not null and contains(resource, '/virtualmachinescalesets/')
            then nullif(regexp_extract(AdditionalInfo, '"VMName" *: *"[^"]*_([0-9]+)"', 1), '')
        end as scale_set_instance,
        coalesce(contains(AdditionalInfo, '"VMCapacityReservationId"'), false)
            as is_reserved_capacity,
        x_CostBasis = 'actual' and not (is_commitment and charge_type in ('purchase', 'refund'))
            as is_told_again,
        -- Only which of two readings is meant is decided here, so doubles do.
        case
            when block_size > 1 and CostInBillingCurrency <> 0 then coalesce(
                cast(Quantity as double) * cast(UnitPrice as double) / nullif(
                    cast(coalesce(CostInPricingCurrency, CostInBillingCurrency) as double), 0
                ) > block_size / 2.0,
                false
            )
            else false
        end as counts_units,
        case
            when PayGPrice = 0 and (UnitPrice <> 0 or CostInBillingCurrency <> 0)
                then cast(null as decimal(38, 12))
            else PayGPrice
        end as list_price,
        case
            when UnitPrice = 0 and CostInBillingCurrency <> 0 then cast(null as decimal(38, 12))
            else UnitPrice
        end as contracted_price
    from name_parts
),
count_blocks as (
    select
        read_unit.*,
        case
            when not counts_units then Quantity
            when abs(Quantity) < 1000000000000 then money_per(Quantity, block_size)
        end as blocks,
        case
            when counts_units or block_size = 1 then Quantity
            when abs(Quantity) < 1000000000 then cast(Quantity * block_size as decimal(38, 12))
        end as units,
        case when rate = 1 then list_price else money_times(list_price, rate)
        end as list_unit_price,
        case when rate = 1 then contracted_price else money_times(contracted_price, rate)
        end as contracted_unit_price,
        nullif(trim(case
            when starts_with(UnitOfMeasure, '1 ') and not contains(UnitOfMeasure, '/')
                then substr(UnitOfMeasure, 3)
            when contains(UnitOfMeasure, '/') then regexp_replace(
                regexp_replace(UnitOfMeasure, '^[0-9]+[KMB]?', ''), '^ */', 'Units/'
            )
            else regexp_replace(UnitOfMeasure, '^[0-9]+[KMB]?', '')
        end), '') as unit
    from read_unit
)
select
    case when x_CostBasis = 'amortized' then cast(0 as decimal(38, 12))
        else CostInBillingCurrency end as BilledCost,
    case
        when x_CostBasis = 'actual' then cast(0 as decimal(38, 12))
        when x_CostBasis = 'both' and is_commitment then cast(null as decimal(38, 12))
        else CostInBillingCurrency
    end as EffectiveCost,
    case
        when is_told_again then cast(0 as decimal(38, 12))
        when PaygCostInBillingCurrency <> 0 then PaygCostInBillingCurrency
        else money_times(list_unit_price, blocks)
    end as ListCost,
    case
        when is_told_again then cast(0 as decimal(38, 12))
        else money_times(contracted_unit_price, blocks)
    end as ContractedCost,
    list_unit_price as ListUnitPrice,
    contracted_unit_price as ContractedUnitPrice,
    BillingCurrency,
    coalesce(PricingCurrency, BillingCurrency) as PricingCurrency,
    case
        when x_CostBasis = 'actual' then cast(0 as decimal(38, 12))
        when x_CostBasis = 'both' and is_commitment then cast(null as decimal(38, 12))
        else coalesce(CostInPricingCurrency, case when rate = 1 then CostInBillingCurrency end)
    end as PricingCurrencyEffectiveCost,
    list_price as PricingCurrencyListUnitPrice,
    contracted_price as PricingCurrencyContractedUnitPrice,
    lower(coalesce(BillingProfileId, BillingAccountId, SubscriptionId)) as BillingAccountId,
    coalesce(BillingProfileName, BillingAccountName) as BillingAccountName,
    case
        when BillingProfileId <> BillingAccountId then 'Billing Profile'
        when coalesce(BillingProfileId, BillingAccountId) is not null then 'Billing Account'
        else 'Subscription'
    end as BillingAccountType,
    lower(SubscriptionId) as SubAccountId,
    SubscriptionName as SubAccountName,
    case when SubscriptionId is not null then 'Subscription' end as SubAccountType,
    coalesce(period_start, date_trunc('month', charge_day)) as BillingPeriodStart,
    coalesce(
        period_end + interval 1 day,
        coalesce(period_start, date_trunc('month', charge_day)) + interval 1 month
    ) as BillingPeriodEnd,
    charge_day as ChargePeriodStart,
    charge_day + interval 1 day as ChargePeriodEnd,
    coalesce(InvoiceId, '(open)') as InvoiceId,
    coalesce(PartnerName, ResellerName, 'Microsoft') as InvoiceIssuerName,
    'Microsoft' as ProviderName,
    coalesce(PublisherName, 'Microsoft') as PublisherName,
    category as ChargeCategory,
    case when charge_type = 'refund' then 'Correction' end as ChargeClass,
    coalesce(ProductName, ProductOrderName) as ChargeDescription,
    case lower(coalesce(Frequency, ''))
        when 'onetime' then 'One-Time'
        when 'recurring' then 'Recurring'
        when 'usagebased' then 'Usage-Based'
        else case when category = 'Usage' then 'Usage-Based' else 'One-Time' end
    end as ChargeFrequency,
    case
        when not is_commitment then null
        else coalesce(
            nullif(regexp_extract(
                lower(BenefitId),
                '^(/providers/microsoft\.[a-z]+/(reservation|savingsplan)orders/[^/]+)',
                1
            ), ''),
            case
                when charge_type = 'unusedsavingsplan' or left(PricingModel, 6) = 'Saving'
                    then '/providers/microsoft.billingbenefits/savingsplanorders/'
                else '/providers/microsoft.capacity/reservationorders/'
            end || lower(ProductOrderId),
            lower(BenefitId),
            lower(ReservationId)
        )
    end as CommitmentDiscountId,
    case when is_commitment then coalesce(BenefitName, ReservationName)
    end as CommitmentDiscountName,
    case
        when not is_commitment then null
        when charge_type = 'unusedsavingsplan' or left(PricingModel, 6) = 'Saving' then 'Spend'
        else 'Usage'
    end as CommitmentDiscountCategory,
    case
        when not is_commitment then null
        when charge_type = 'unusedsavingsplan' or left(PricingModel, 6) = 'Saving'
            then 'Savings Plan'
        else 'Reservation'
    end as CommitmentDiscountType,
    case
        when starts_with(charge_type, 'unused') then 'Unused'
        when is_commitment and category = 'Usage' then 'Used'
    end as CommitmentDiscountStatus,
    case when is_reserved_capacity
        then lower(regexp_extract(AdditionalInfo, '"VMCapacityReservationId" *: *"([^"]*)"', 1))
    end as CapacityReservationId,
    case
        when not is_reserved_capacity then null
        when contains(resource, '/capacityreservations/') then 'Unused'
        else 'Used'
    end as CapacityReservationStatus,
    case when category <> 'Usage' then null
        when is_told_again then cast(0 as decimal(38, 12)) else units end as ConsumedQuantity,
    case when category = 'Usage' then coalesce(unit, 'Units') end as ConsumedUnit,
    case
        when category not in ('Usage', 'Purchase') then null
        when is_commitment and category = 'Usage' then 'Committed'
        when lower(PricingModel) = 'spot' then 'Dynamic'
        else 'Standard'
    end as PricingCategory,
    case when is_told_again then cast(0 as decimal(38, 12)) else blocks end as PricingQuantity,
    case when Quantity is not null then coalesce(UnitOfMeasure, 'Units') end as PricingUnit,
    lower(replace(ResourceLocation, ' ', '')) as RegionId,
    coalesce(Location, ResourceLocation) as RegionName,
    case when scale_set_instance is null then resource
        else resource || '/virtualmachines/' || scale_set_instance end as ResourceId,
    case  -- five times as fast as coalesce, though the expression is needed in no row
        when ResourceName is null then nullif(regexp_extract(ResourceId, '([^/]+)/*$', 1), '')
        else ResourceName
    end as ResourceName,
    case when provider_at > 0
        then regexp_extract(substr(resource, provider_at + 11), '^[^/]*/?[^/]*')
        else lower(ResourceType) end as ResourceType,
    case meter_category  -- a long list after `in` would become a join, which loses the order
        when 'virtual machines' then 'Compute'
        when 'virtual machines licenses' then 'Compute'
        when 'cloud services' then 'Compute'
        when 'azure app service' then 'Compute'
        when 'container instances' then 'Compute'
        when 'container registry' then 'Compute'
        when 'azure container apps' then 'Compute'
        when 'functions' then 'Compute'
        when 'azure kubernetes service' then 'Compute'
        when 'azure batch' then 'Compute'
        when 'azure vmware solution' then 'Compute'
        when 'service fabric mesh' then 'Compute'
        when 'azure spring cloud' then 'Compute'
        when 'azure red hat openshift' then 'Compute'
        when 'specialized compute' then 'Compute'
        when 'storage' then 'Storage'
        when 'backup' then 'Storage'
        when 'azure netapp files' then 'Storage'
        when 'data box' then 'Storage'
        when 'azure site recovery' then 'Storage'
        when 'data lake store' then 'Storage'
        when 'azure managed lustre' then 'Storage'
        when 'azure hpc cache' then 'Storage'
        when 'virtual network' then 'Networking'
        when 'load balancer' then 'Networking'
        when 'bandwidth' then 'Networking'
        when 'vpn gateway' then 'Networking'
        when 'expressroute' then 'Networking'
        when 'application gateway' then 'Networking'
        when 'azure dns' then 'Networking'
        when 'content delivery network' then 'Networking'
        when 'azure front door service' then 'Networking'
        when 'azure firewall' then 'Networking'
        when 'traffic manager' then 'Networking'
        when 'nat gateway' then 'Networking'
        when 'azure bastion' then 'Networking'
        when 'network watcher' then 'Networking'
        when 'virtual wan' then 'Networking'
        when 'azure ddos protection' then 'Networking'
        when 'rtn preference: mgn' then 'Networking'
        when 'sql database' then 'Databases'
        when 'sql managed instance' then 'Databases'
        when 'azure cosmos db' then 'Databases'
        when 'redis cache' then 'Databases'
        when 'azure database for mysql' then 'Databases'
        when 'azure database for postgresql' then 'Databases'
        when 'azure database for mariadb' then 'Databases'
        when 'azure managed instance for apache cassandra' then 'Databases'
        when 'sql server stretch database' then 'Databases'
        when 'azure data studio' then 'Databases'
        when 'azure openai' then 'AI and Machine Learning'
        when 'azure openai service' then 'AI and Machine Learning'
        when 'cognitive services' then 'AI and Machine Learning'
        when 'azure machine learning' then 'AI and Machine Learning'
        when 'machine learning service' then 'AI and Machine Learning'
        when 'azure ai search' then 'AI and Machine Learning'
        when 'azure cognitive search' then 'AI and Machine Learning'
        when 'azure bot service' then 'AI and Machine Learning'
        when 'azure applied ai services' then 'AI and Machine Learning'
        when 'foundry models' then 'AI and Machine Learning'
        when 'azure ai services' then 'AI and Machine Learning'
        when 'foundry tools' then 'AI and Machine Learning'
        when 'azure ai foundry' then 'AI and Machine Learning'
        when 'azure data factory' then 'Analytics'
        when 'azure data factory v2' then 'Analytics'
        when 'azure databricks' then 'Analytics'
        when 'azure synapse analytics' then 'Analytics'
        when 'hdinsight' then 'Analytics'
        when 'stream analytics' then 'Analytics'
        when 'azure analysis services' then 'Analytics'
        when 'azure data explorer' then 'Analytics'
        when 'power bi embedded' then 'Analytics'
        when 'microsoft fabric' then 'Analytics'
        when 'data catalog' then 'Analytics'
        when 'event hubs' then 'Analytics'
        when 'key vault' then 'Security'
        when 'advanced threat protection' then 'Security'
        when 'advanced data security' then 'Security'
        when 'security center' then 'Security'
        when 'microsoft defender for cloud' then 'Security'
        when 'sentinel' then 'Security'
        when 'azure sentinel' then 'Security'
        when 'dedicated hsm' then 'Security'
        when 'log analytics' then 'Management and Governance'
        when 'azure monitor' then 'Management and Governance'
        when 'application insights' then 'Management and Governance'
        when 'automation' then 'Management and Governance'
        when 'azure policy' then 'Management and Governance'
        when 'scheduler' then 'Management and Governance'
        when 'azure arc' then 'Management and Governance'
        when 'azure grafana service' then 'Management and Governance'
        when 'cost management' then 'Management and Governance'
        when 'insight and analytics' then 'Management and Governance'
        when 'azure active directory' then 'Identity'
        when 'azure active directory b2c' then 'Identity'
        when 'microsoft entra id' then 'Identity'
        when 'azure active directory domain services' then 'Identity'
        when 'azure active directory for external identities' then 'Identity'
        when 'service bus' then 'Integration'
        when 'logic apps' then 'Integration'
        when 'api management' then 'Integration'
        when 'event grid' then 'Integration'
        when 'notification hubs' then 'Integration'
        when 'azure devops' then 'Developer Tools'
        when 'azure lab services' then 'Developer Tools'
        when 'dev box' then 'Developer Tools'
        when 'app configuration' then 'Developer Tools'
        when 'iot hub' then 'Internet of Things'
        when 'iot central' then 'Internet of Things'
        when 'digital twins' then 'Internet of Things'
        else 'Other'
    end as ServiceCategory,
    case
        when meter_category is not null then MeterCategory
        else coalesce(ServiceName, ConsumedService, PublisherName, ProductOrderName, 'Azure')
    end as ServiceName,
    coalesce(ProductId, MeterId, ProductOrderId) as SkuId,
    PartNumber as SkuPriceId,
    MeterName as SkuMeter,
    Tags,
    x_TagSetId,
    ChargeType as x_LineItemType,
    coalesce(MeterName, ProductName) as x_Operation,
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when charge_day is null and "Date" is not null
            then 'Date is not a day: ''' || left("Date", 80) || ''''
        end,
        case when length(BillingCurrency) <> 3
            then 'BillingCurrency is not an ISO 4217 code: ''' || left(BillingCurrency, 80) || ''''
        end,
        case when x_CostBasis = 'both' and is_commitment
            then 'the amortised cost of this ' || coalesce(PricingModel, 'commitment')
                || ' is not in an export of actual costs: pair it with the amortised export'
        end
    ), '') as x_Reason
from count_blocks
