-- An AWS Data Exports CUR 2.0 delivery, in FOCUS columns.
--
-- BilledCost is line_item_unblended_cost for every line, so that the lines of an invoice add up
-- to it: SavingsPlanNegation takes back what SavingsPlanCoveredUsage shows at on-demand price.
-- EffectiveCost is AWS's amortised cost (the CASE of the CUDOS dashboards' summary_view): covered
-- usage carries its part of the commitment, a recurring fee only what nobody used of it, and the
-- purchase nothing. So a fee with an EffectiveCost is the Unused part of its commitment.
--
-- Split cost allocation rows (EKSPod-EC2, ECSTask-EC2) tell the cost of an instance a second time,
-- pod by pod. They stay visible with no cost; the instance's own line has it.
--
-- `raw_billing` has the columns named below, typed as they are declared, with exact names; text
-- is null where empty. `raw_tag` has the tags of each distinct x_RawTags: AWS writes user_ before
-- the keys that people gave, and aws_ before its own.
--
-- One row per delivered row, in the order of the file.
--
-- requires number: line_item_unblended_cost
-- requires time: bill_billing_period_start_date bill_billing_period_end_date
-- requires time: line_item_usage_start_date line_item_usage_end_date
-- requires text: line_item_line_item_type line_item_currency_code line_item_product_code
-- optional number: line_item_usage_amount line_item_unblended_rate
-- optional number: pricing_public_on_demand_cost pricing_public_on_demand_rate
-- optional number: savings_plan_savings_plan_effective_cost
-- optional number: savings_plan_total_commitment_to_date savings_plan_used_commitment
-- optional number: reservation_effective_cost reservation_unused_recurring_fee
-- optional number: reservation_unused_amortized_upfront_fee_for_billing_period
-- optional text: bill_invoice_id bill_invoicing_entity
-- optional text: bill_payer_account_id bill_payer_account_name
-- optional text: line_item_usage_account_id line_item_usage_account_name
-- optional text: line_item_line_item_description line_item_legal_entity
-- optional text: line_item_operation line_item_usage_type
-- optional text: line_item_availability_zone line_item_resource_id
-- optional text: product_product_family product_region_code product_sku
-- optional text: pricing_unit pricing_rate_id
-- optional text: savings_plan_savings_plan_a_r_n reservation_reservation_a_r_n
-- optional tags: resource_tags
-- conserves: BilledCost = line_item_unblended_cost
-- except: line_item_operation in ('EKSPod-EC2', 'ECSTask-EC2')
with
name_tags as (
    select
        x_RawTags,
        case
            when starts_with(x_TagKey, 'user_') then substr(x_TagKey, 6)
            when starts_with(x_TagKey, 'aws_') then 'aws:' || substr(x_TagKey, 5)
            else x_TagKey
        end as tag_key,
        x_TagValue,
        x_TagReason
    from raw_tag
),
write_tags as (
    select
        x_RawTags,
        coalesce(
            '{' || string_agg(
                cast(to_json(tag_key) as varchar) || ':'
                || coalesce(cast(to_json(x_TagValue) as varchar), 'null'),
                ',' order by tag_key
            ) filter (where tag_key is not null) || '}',
            '{}'
        ) as Tags,
        coalesce(
            min(x_TagReason),
            case when count(tag_key) > count(distinct tag_key) then 'Tags has a key twice' end
        ) as x_TagReason
    from name_tags
    group by x_RawTags
),
identify_tags as (
    select
        x_RawTags,
        Tags,
        x_TagReason,
        cast(md5_number_lower(Tags) >> 1 as bigint) as x_TagSetId
    from write_tags
),
service(code, ServiceCategory) as (
    values
        ('AmazonBedrock', 'AI and Machine Learning'),
        ('AmazonBedrockService', 'AI and Machine Learning'),
        ('AmazonBedrockFoundationModels', 'AI and Machine Learning'),
        ('AmazonSageMaker', 'AI and Machine Learning'),
        ('AmazonComprehend', 'AI and Machine Learning'),
        ('AmazonRekognition', 'AI and Machine Learning'),
        ('AmazonTextract', 'AI and Machine Learning'),
        ('AmazonTranscribe', 'AI and Machine Learning'),
        ('transcribe', 'AI and Machine Learning'),
        ('translate', 'AI and Machine Learning'),
        ('AmazonPolly', 'AI and Machine Learning'),
        ('AmazonLex', 'AI and Machine Learning'),
        ('AmazonKendra', 'AI and Machine Learning'),
        ('AmazonPersonalize', 'AI and Machine Learning'),
        ('AmazonForecast', 'AI and Machine Learning'),
        ('AmazonQ', 'AI and Machine Learning'),
        ('AmazonEC2', 'Compute'),
        ('AWSLambda', 'Compute'),
        ('AmazonEKS', 'Compute'),
        ('AmazonECS', 'Compute'),
        ('AmazonECR', 'Compute'),
        ('AmazonECRPublic', 'Compute'),
        ('AmazonLightsail', 'Compute'),
        ('AWSBatch', 'Compute'),
        ('AWSAppRunner', 'Compute'),
        ('ElasticBeanstalk', 'Compute'),
        ('ComputeSavingsPlans', 'Compute'),
        ('AmazonS3', 'Storage'),
        ('AmazonS3GlacierDeepArchive', 'Storage'),
        ('AmazonGlacier', 'Storage'),
        ('AmazonEFS', 'Storage'),
        ('AmazonFSx', 'Storage'),
        ('AWSBackup', 'Storage'),
        ('AWSStorageGateway', 'Storage'),
        ('AmazonRDS', 'Databases'),
        ('AmazonDynamoDB', 'Databases'),
        ('AmazonElastiCache', 'Databases'),
        ('AmazonRedshift', 'Databases'),
        ('AmazonNeptune', 'Databases'),
        ('AmazonDocDB', 'Databases'),
        ('AmazonMemoryDB', 'Databases'),
        ('AmazonDAX', 'Databases'),
        ('AmazonTimestream', 'Databases'),
        ('DatabaseSavingsPlans', 'Databases'),
        ('AmazonVPC', 'Networking'),
        ('AWSELB', 'Networking'),
        ('AmazonCloudFront', 'Networking'),
        ('AmazonRoute53', 'Networking'),
        ('AWSDataTransfer', 'Networking'),
        ('AWSDirectConnect', 'Networking'),
        ('AWSGlobalAccelerator', 'Networking'),
        ('AmazonApiGateway', 'Networking'),
        ('AWSNetworkFirewall', 'Networking'),
        ('AWSTransitGateway', 'Networking'),
        ('AmazonAthena', 'Analytics'),
        ('AWSGlue', 'Analytics'),
        ('AmazonKinesis', 'Analytics'),
        ('AmazonKinesisFirehose', 'Analytics'),
        ('AmazonMSK', 'Analytics'),
        ('AmazonES', 'Analytics'),
        ('AmazonOpenSearchService', 'Analytics'),
        ('ElasticMapReduce', 'Analytics'),
        ('AmazonQuickSight', 'Analytics'),
        ('AmazonCloudWatch', 'Management and Governance'),
        ('AWSCloudTrail', 'Management and Governance'),
        ('AWSConfig', 'Management and Governance'),
        ('AWSSystemsManager', 'Management and Governance'),
        ('AmazonPrometheus', 'Management and Governance'),
        ('AmazonGrafana', 'Management and Governance'),
        ('AWSXRay', 'Management and Governance'),
        ('AWSCostExplorer', 'Management and Governance'),
        ('awskms', 'Security'),
        ('AWSSecretsManager', 'Security'),
        ('AmazonGuardDuty', 'Security'),
        ('awswaf', 'Security'),
        ('AWSShield', 'Security'),
        ('AmazonInspectorV2', 'Security'),
        ('AWSSecurityHub', 'Security'),
        ('AmazonMacie', 'Security'),
        ('AmazonCognito', 'Identity'),
        ('AWSDirectoryService', 'Identity'),
        ('AWSQueueService', 'Integration'),
        ('AmazonSNS', 'Integration'),
        ('AmazonMQ', 'Integration'),
        ('AWSEvents', 'Integration'),
        ('AmazonStates', 'Integration'),
        ('CodeBuild', 'Developer Tools'),
        ('AWSCodePipeline', 'Developer Tools'),
        ('AWSCodeArtifact', 'Developer Tools'),
        ('AWSCodeCommit', 'Developer Tools')
),
mark_split_rows as (
    select
        raw_billing.*,
        coalesce(line_item_operation in ('EKSPod-EC2', 'ECSTask-EC2'), false) as is_split,
        line_item_line_item_type in ('Usage', 'SavingsPlanCoveredUsage') as is_priced_usage
    from raw_billing
),
amortise as (
    select
        mark_split_rows.*,
        case when is_split then cast(0 as decimal(38, 12)) else line_item_unblended_cost
        end as BilledCost,
        case
            when is_split then cast(0 as decimal(38, 12))
            when line_item_line_item_type = 'SavingsPlanCoveredUsage'
                then savings_plan_savings_plan_effective_cost
            when line_item_line_item_type = 'SavingsPlanRecurringFee'
                then savings_plan_total_commitment_to_date - savings_plan_used_commitment
            when line_item_line_item_type in ('SavingsPlanNegation', 'SavingsPlanUpfrontFee')
                then cast(0 as decimal(38, 12))
            when line_item_line_item_type = 'DiscountedUsage' then reservation_effective_cost
            when line_item_line_item_type = 'RIFee'
                then reservation_unused_amortized_upfront_fee_for_billing_period
                    + reservation_unused_recurring_fee
            when line_item_line_item_type = 'Fee' and reservation_reservation_a_r_n is not null
                then cast(0 as decimal(38, 12))
            when line_item_line_item_type = 'Refund'
                    and line_item_product_code = 'ComputeSavingsPlans'
                then cast(0 as decimal(38, 12))
            else line_item_unblended_cost
        end as EffectiveCost,
        case
            when line_item_line_item_type in (
                'Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation'
            ) then 'Usage'
            when line_item_line_item_type in (
                'Fee', 'RIFee', 'SavingsPlanRecurringFee', 'SavingsPlanUpfrontFee'
            ) then 'Purchase'
            when line_item_line_item_type = 'Tax' then 'Tax'
            when line_item_line_item_type = 'Credit' then 'Credit'
            when line_item_line_item_type = 'Refund'
                or ends_with(line_item_line_item_type, 'Discount') then 'Adjustment'
        end as ChargeCategory
    from mark_split_rows
)
select
    BilledCost,
    EffectiveCost,
    case when not is_split then pricing_public_on_demand_cost end as ListCost,
    case when is_priced_usage and not is_split then line_item_unblended_cost
    end as ContractedCost,
    pricing_public_on_demand_rate as ListUnitPrice,
    case when is_priced_usage then line_item_unblended_rate end as ContractedUnitPrice,
    line_item_currency_code as BillingCurrency,
    bill_payer_account_id as BillingAccountId,
    bill_payer_account_name as BillingAccountName,
    line_item_usage_account_id as SubAccountId,
    line_item_usage_account_name as SubAccountName,
    bill_billing_period_start_date as BillingPeriodStart,
    bill_billing_period_end_date as BillingPeriodEnd,
    line_item_usage_start_date as ChargePeriodStart,
    line_item_usage_end_date as ChargePeriodEnd,
    coalesce(bill_invoice_id, '(open)') as InvoiceId,
    bill_invoicing_entity as InvoiceIssuerName,
    'AWS' as ProviderName,
    line_item_legal_entity as PublisherName,
    ChargeCategory,
    case when line_item_line_item_type = 'Refund' then 'Correction' end as ChargeClass,
    line_item_line_item_description as ChargeDescription,
    case
        when ChargeCategory = 'Usage' then 'Usage-Based'
        when line_item_line_item_type in ('RIFee', 'SavingsPlanRecurringFee', 'Tax')
            then 'Recurring'
        else 'One-Time'
    end as ChargeFrequency,
    coalesce(savings_plan_savings_plan_a_r_n, reservation_reservation_a_r_n)
        as CommitmentDiscountId,
    case
        when savings_plan_savings_plan_a_r_n is not null then 'Savings Plan'
        when reservation_reservation_a_r_n is not null then 'Reservation'
    end as CommitmentDiscountType,
    case
        when line_item_line_item_type in ('DiscountedUsage', 'SavingsPlanCoveredUsage')
            then 'Used'
        when line_item_line_item_type in ('RIFee', 'SavingsPlanRecurringFee')
            and EffectiveCost <> 0 then 'Unused'
    end as CommitmentDiscountStatus,
    case when ChargeCategory = 'Usage' then line_item_usage_amount end as ConsumedQuantity,
    case when ChargeCategory = 'Usage' then pricing_unit end as ConsumedUnit,
    case
        when line_item_line_item_type in (
            'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation'
        ) then 'Committed'
        when ChargeCategory = 'Usage' and contains(line_item_usage_type, 'SpotUsage')
            then 'Dynamic'
        when ChargeCategory in ('Usage', 'Purchase') then 'Standard'
    end as PricingCategory,
    line_item_usage_amount as PricingQuantity,
    pricing_unit as PricingUnit,
    product_region_code as RegionId,
    cast(null as varchar) as RegionName,
    line_item_availability_zone as AvailabilityZone,
    line_item_resource_id as ResourceId,
    cast(null as varchar) as ResourceName,
    product_product_family as ResourceType,
    coalesce(service.ServiceCategory, 'Other') as ServiceCategory,
    line_item_product_code as ServiceName,
    product_sku as SkuId,
    pricing_rate_id as SkuPriceId,
    identify_tags.Tags as Tags,
    identify_tags.x_TagSetId as x_TagSetId,
    line_item_line_item_type as x_LineItemType,
    coalesce(line_item_operation, line_item_usage_type) as x_Operation,
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        identify_tags.x_TagReason,
        case when length(line_item_currency_code) <> 3
            then 'line_item_currency_code is not an ISO 4217 code: '''
                || line_item_currency_code || ''''
        end,
        case when ChargeCategory is null and line_item_line_item_type is not null
            then 'line_item_line_item_type is not known here: '''
                || line_item_line_item_type || ''''
        end,
        case when EffectiveCost is null and line_item_unblended_cost is not null
            then 'the amortised cost of this ' || line_item_line_item_type || ' is missing: '
                || 'export the savings_plan_ and reservation_ columns'
        end,
        case when line_item_usage_end_date < line_item_usage_start_date
            then 'line_item_usage_end_date is before line_item_usage_start_date'
        end
    ), '') as x_Reason
from amortise
left join service on service.code = amortise.line_item_product_code
left join identify_tags on identify_tags.x_RawTags = amortise.x_RawTags
