-- A Google Cloud usage cost export, standard or detailed, in FOCUS columns.
--
-- Google loads it into BigQuery; `EXPORT DATA` writes the same rows to a bucket as Parquet, with
-- records and lists in it. The detailed export has resource and price on top. The columns are those
-- of the pages "Structure of Standard data export" and "Structure of Detailed data export".
--
-- BilledCost is `cost` plus every element of `credits`, whatever its type, and may be negative: so
-- the rows of an invoice month, tax, adjustments and rounding errors included, add up to the
-- invoice. What a credit was for stays in x_LineItemType.
--
-- EffectiveCost is BilledCost. Google sells no commitment upfront: a fee is charged for the hour it
-- covers. Whom it covered can be told where Google prices covered usage below the list
-- (consumption_model): the usage carries its own discounted price, and of the fee, after its
-- FEE_UTILIZATION_OFFSET, is left what nobody used: the Unused part of the commitment. Where the
-- discount is a credit on the usage (COMMITTED_USAGE_DISCOUNT, .._DOLLAR_BASE) no credit names its
-- commitment, so the fee keeps its cost, as a Purchase, and is not spread over what it covered.
-- Google's own FOCUS views compute it row by row too. Either way the rows of a commitment, fees
-- and offsets, have the same BilledCost and EffectiveCost.
--
-- The bill a row is on is `invoice.month` and nothing else: usage of the last hours of a month,
-- rows that come days late (`export_time`) and corrections are on the bill Google says. Its months
-- begin at midnight in Los Angeles, and so does BillingPeriodStart. The export has no number of an
-- invoice; account and month say which one it is.
--
-- Tags are the labels of the resource, then the tags of the resource hierarchy, then the labels of
-- the project, then Google's own labels. The first that has a key says what it is. Where another
-- says something else, that stays as `tag:`namespace/key, `project:`key or `system:`key.
--
-- `raw_billing` has the columns named below, typed as they are declared, with exact names; text
-- is null where empty, Tags is JSON with sorted keys.
--
-- One row per delivered row of the invoice month, in the order of the file.
--
-- requires number: cost credits[].amount
-- optional number: cost_at_list cost_at_effective_price_default
-- optional number: usage.amount usage.amount_in_pricing_units
-- optional number: price.list_price price.effective_price price.effective_price_default
-- optional number: price.pricing_unit_quantity
-- optional time: usage_start_time usage_end_time
-- requires text: billing_account_id currency invoice.month
-- optional text: cost_type service.description sku.id sku.description
-- optional text: project.id project.name location.region location.zone
-- optional text: resource.name resource.global_name
-- optional text: usage.unit usage.pricing_unit price.unit price.tier_start_amount
-- optional text: credits[].type adjustment_info.id adjustment_info.mode adjustment_info.type
-- optional text: adjustment_info.description transaction_type seller_name
-- optional text: subscription.instance_id consumption_model.description
-- tag list: labels
-- tag list: tags = tag:
-- tag list: project.labels = project:
-- tag list: system_labels = system:
-- period: invoice.month
-- conserves: BilledCost = cost + credits[].amount
-- conserves: EffectiveCost = cost + credits[].amount
with
name_months as (
    select
        raw_billing.*,
        coalesce(cost_type, 'regular') = 'regular' as is_regular,
        case
            when regexp_matches("invoice.month", '^[0-9]{4}(0[1-9]|1[0-2])$')
                then cast(
                    left("invoice.month", 4) || '-' || right("invoice.month", 2) || '-01'
                    as timestamp
                )
        end as month_start,
        coalesce("credits[].type", '') as credit_types,
        coalesce("sku.description", '') as sku_name
    from raw_billing
),
tell_commitments as (
    select
        name_months.*,
        -- The first midnight of a month in Los Angeles is 7:00 UTC from April to November (winter
        -- time begins after it), else 8:00. Asking the engine's time zones is slow.
        case
            when month(month_start) between 4 and 11 then month_start + interval 7 hour
            else month_start + interval 8 hour
        end as bill_start,
        case
            when month(month_start) between 3 and 10
                then month_start + interval 1 month + interval 7 hour
            else month_start + interval 1 month + interval 8 hour
        end as bill_end,
        is_regular and (
            starts_with(sku_name, 'Commitment') or contains(credit_types, 'FEE_UTILIZATION_OFFSET')
        ) as is_fee,
        contains(credit_types, 'COMMITTED_USAGE_DISCOUNT')
            or coalesce("consumption_model.description" <> 'Default', false) as is_covered
    from name_months
),
categorise as (
    select
        tell_commitments.*,
        cost + "credits[].amount" as billed,
        is_fee and contains(credit_types, 'FEE_UTILIZATION_OFFSET') as is_unused,
        case
            when cost_type = 'tax' then 'Tax'
            when cost_type in ('adjustment', 'rounding_error') then 'Adjustment'
            when is_fee and not contains(credit_types, 'FEE_UTILIZATION_OFFSET') then 'Purchase'
            when is_regular then 'Usage'
        end as ChargeCategory,
        -- Prices are per this many units: only where it is one are they unit prices.
        coalesce("price.pricing_unit_quantity", 1) = 1 as is_unit_price
    from tell_commitments
)
select
    billed as BilledCost,
    billed as EffectiveCost,
    cost_at_list as ListCost,
    case when is_regular then coalesce(cost_at_effective_price_default, cost) end
        as ContractedCost,
    case when is_unit_price then "price.list_price" end as ListUnitPrice,
    case
        when is_unit_price then coalesce("price.effective_price_default", "price.effective_price")
    end as ContractedUnitPrice,
    currency as BillingCurrency,
    billing_account_id as BillingAccountId,
    'Billing account' as BillingAccountType,
    "project.id" as SubAccountId,
    "project.name" as SubAccountName,
    case when "project.id" is not null then 'Project' end as SubAccountType,
    bill_start as BillingPeriodStart,
    bill_end as BillingPeriodEnd,
    coalesce(usage_start_time, bill_start) as ChargePeriodStart,
    coalesce(usage_end_time, bill_end) as ChargePeriodEnd,
    billing_account_id || '/' || "invoice.month" as InvoiceId,
    'Google Cloud' as InvoiceIssuerName,
    'Google Cloud' as ProviderName,
    case when starts_with(transaction_type, 'THIRD_PARTY') then seller_name else 'Google Cloud' end
        as PublisherName,
    ChargeCategory,
    case
        when coalesce(
            "adjustment_info.id", "adjustment_info.mode", "adjustment_info.type",
            "adjustment_info.description"
        ) is not null then 'Correction'
    end as ChargeClass,
    coalesce("adjustment_info.description", "sku.description") as ChargeDescription,
    case ChargeCategory
        when 'Usage' then 'Usage-Based'
        when 'Adjustment' then 'One-Time'
        else 'Recurring'
    end as ChargeFrequency,
    "subscription.instance_id" as CommitmentDiscountId,
    case when is_fee and "subscription.instance_id" is not null then "sku.description" end
        as CommitmentDiscountName,
    case
        when "subscription.instance_id" is null then null
        when contains(sku_name, 'dollar based') or contains(credit_types, 'DOLLAR_BASE')
            or is_unused or coalesce("consumption_model.description" <> 'Default', false)
            then 'Spend'
        else 'Usage'
    end as CommitmentDiscountCategory,
    case when "subscription.instance_id" is not null then 'Committed use discount' end
        as CommitmentDiscountType,
    case
        when "subscription.instance_id" is null then null
        when is_unused then 'Unused'
        when ChargeCategory = 'Usage' then 'Used'
    end as CommitmentDiscountStatus,
    case when is_regular and not is_fee then "usage.amount" end as ConsumedQuantity,
    case when is_regular and not is_fee then "usage.unit" end as ConsumedUnit,
    case
        when not is_regular then null
        when is_fee or is_covered then 'Committed'
        when contains(sku_name, 'Spot') or contains(sku_name, 'Preemptible') then 'Dynamic'
        else 'Standard'
    end as PricingCategory,
    case when is_regular then "usage.amount_in_pricing_units" end as PricingQuantity,
    case when is_regular then coalesce("usage.pricing_unit", "price.unit") end as PricingUnit,
    "location.region" as RegionId,
    "location.zone" as AvailabilityZone,
    coalesce("resource.global_name", "resource.name") as ResourceId,
    "resource.name" as ResourceName,
    case
        when contains("resource.global_name", '/') then split_part("resource.global_name", '/', -2)
    end as ResourceType,
    case "service.description"
        when 'Vertex AI' then 'AI and Machine Learning'
        when 'Gemini API' then 'AI and Machine Learning'
        when 'Cloud Natural Language' then 'AI and Machine Learning'
        when 'Cloud Natural Language API' then 'AI and Machine Learning'
        when 'Cloud Vision API' then 'AI and Machine Learning'
        when 'Cloud Speech API' then 'AI and Machine Learning'
        when 'Cloud Text-to-Speech API' then 'AI and Machine Learning'
        when 'Cloud Translation API' then 'AI and Machine Learning'
        when 'Cloud Document AI API' then 'AI and Machine Learning'
        when 'Cloud Dialogflow API' then 'AI and Machine Learning'
        when 'Cloud TPU' then 'AI and Machine Learning'
        when 'Claude' then 'AI and Machine Learning'
        when 'Compute Engine' then 'Compute'
        when 'Kubernetes Engine' then 'Compute'
        when 'App Engine' then 'Compute'
        when 'Cloud Run' then 'Compute'
        when 'Cloud Run Functions' then 'Compute'
        when 'Cloud Functions' then 'Compute'
        when 'Batch' then 'Compute'
        when 'VMware Engine' then 'Compute'
        when 'Cloud Storage' then 'Storage'
        when 'Cloud Filestore' then 'Storage'
        when 'Backup for GKE' then 'Storage'
        when 'Backup and DR Service' then 'Storage'
        when 'Cloud SQL' then 'Databases'
        when 'AlloyDB' then 'Databases'
        when 'Cloud Spanner' then 'Databases'
        when 'Cloud Bigtable' then 'Databases'
        when 'Cloud Firestore' then 'Databases'
        when 'Cloud Datastore' then 'Databases'
        when 'Cloud Memorystore for Redis' then 'Databases'
        when 'Cloud Memorystore for Memcached' then 'Databases'
        when 'Networking' then 'Networking'
        when 'Cloud DNS' then 'Networking'
        when 'Cloud CDN' then 'Networking'
        when 'BigQuery' then 'Analytics'
        when 'BigQuery Reservation API' then 'Analytics'
        when 'BigQuery Storage API' then 'Analytics'
        when 'BigQuery Data Transfer Service' then 'Analytics'
        when 'Cloud Dataflow' then 'Analytics'
        when 'Cloud Dataproc' then 'Analytics'
        when 'Cloud Composer' then 'Analytics'
        when 'Cloud Data Fusion' then 'Analytics'
        when 'Dataplex' then 'Analytics'
        when 'Looker Studio' then 'Analytics'
        when 'Cloud Pub/Sub' then 'Integration'
        when 'Cloud Tasks' then 'Integration'
        when 'Cloud Scheduler' then 'Integration'
        when 'Workflows' then 'Integration'
        when 'Eventarc' then 'Integration'
        when 'Apigee' then 'Integration'
        when 'Cloud Logging' then 'Management and Governance'
        when 'Cloud Monitoring' then 'Management and Governance'
        when 'Support' then 'Management and Governance'
        when 'Cloud Key Management Service (KMS)' then 'Security'
        when 'Secret Manager' then 'Security'
        when 'Security Command Center' then 'Security'
        when 'Certificate Authority Service' then 'Security'
        when 'reCAPTCHA Enterprise' then 'Security'
        when 'Identity Platform' then 'Identity'
        when 'Managed Service for Microsoft Active Directory' then 'Identity'
        when 'Artifact Registry' then 'Developer Tools'
        when 'Container Registry' then 'Developer Tools'
        when 'Cloud Build' then 'Developer Tools'
        when 'Source Repository' then 'Developer Tools'
        when 'Maps API' then 'Web'
        when 'Firebase Hosting' then 'Web'
        else 'Other'
    end as ServiceCategory,
    -- Taxes and rounding errors are of the invoice, not of a service.
    coalesce("service.description", 'Invoice') as ServiceName,
    "sku.id" as SkuId,
    case when is_regular then "sku.id" || '/' || coalesce("price.tier_start_amount", '0') end
        as SkuPriceId,
    "sku.description" as SkuMeter,
    Tags,
    x_TagSetId,
    nullif(concat_ws(',', cost_type, "credits[].type"), '') as x_LineItemType,
    "sku.description" as x_Operation,
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when length(currency) <> 3
            then 'currency is not an ISO 4217 code: ''' || currency || ''''
        end,
        case when ChargeCategory is null
            then 'cost_type is not known here: ''' || cost_type || ''''
        end,
        case when month_start is null and "invoice.month" is not null
            then 'invoice.month is not a month such as 202607: ''' || "invoice.month" || ''''
        end,
        case when usage_end_time < usage_start_time
            then 'usage_end_time is before usage_start_time'
        end
    ), '') as x_Reason
from categorise
