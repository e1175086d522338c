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
-- is null where empty, Tags is JSON with sorted keys. AWS writes user_ before the keys that people
-- gave, and aws_ before its own.
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
-- tag prefix: user_ =
-- tag prefix: aws_ = aws:
-- conserves: BilledCost = line_item_unblended_cost
-- except: line_item_operation in ('EKSPod-EC2', 'ECSTask-EC2')
with
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
    case line_item_product_code
        when 'AmazonBedrock' then 'AI and Machine Learning'
        when 'AmazonBedrockService' then 'AI and Machine Learning'
        when 'AmazonBedrockFoundationModels' then 'AI and Machine Learning'
        when 'AmazonSageMaker' then 'AI and Machine Learning'
        when 'AmazonComprehend' then 'AI and Machine Learning'
        when 'AmazonRekognition' then 'AI and Machine Learning'
        when 'AmazonTextract' then 'AI and Machine Learning'
        when 'AmazonTranscribe' then 'AI and Machine Learning'
        when 'transcribe' then 'AI and Machine Learning'
        when 'translate' then 'AI and Machine Learning'
        when 'AmazonPolly' then 'AI and Machine Learning'
        when 'AmazonLex' then 'AI and Machine Learning'
        when 'AmazonKendra' then 'AI and Machine Learning'
        when 'AmazonPersonalize' then 'AI and Machine Learning'
        when 'AmazonForecast' then 'AI and Machine Learning'
        when 'AmazonQ' then 'AI and Machine Learning'
        when 'AmazonEC2' then 'Compute'
        when 'AWSLambda' then 'Compute'
        when 'AmazonEKS' then 'Compute'
        when 'AmazonECS' then 'Compute'
        when 'AmazonECR' then 'Compute'
        when 'AmazonECRPublic' then 'Compute'
        when 'AmazonLightsail' then 'Compute'
        when 'AWSBatch' then 'Compute'
        when 'AWSAppRunner' then 'Compute'
        when 'ElasticBeanstalk' then 'Compute'
        when 'ComputeSavingsPlans' then 'Compute'
        when 'AmazonS3' then 'Storage'
        when 'AmazonS3GlacierDeepArchive' then 'Storage'
        when 'AmazonGlacier' then 'Storage'
        when 'AmazonEFS' then 'Storage'
        when 'AmazonFSx' then 'Storage'
        when 'AWSBackup' then 'Storage'
        when 'AWSStorageGateway' then 'Storage'
        when 'AmazonRDS' then 'Databases'
        when 'AmazonDynamoDB' then 'Databases'
        when 'AmazonElastiCache' then 'Databases'
        when 'AmazonRedshift' then 'Databases'
        when 'AmazonNeptune' then 'Databases'
        when 'AmazonDocDB' then 'Databases'
        when 'AmazonMemoryDB' then 'Databases'
        when 'AmazonDAX' then 'Databases'
        when 'AmazonTimestream' then 'Databases'
        when 'DatabaseSavingsPlans' then 'Databases'
        when 'AmazonVPC' then 'Networking'
        when 'AWSELB' then 'Networking'
        when 'AmazonCloudFront' then 'Networking'
        when 'AmazonRoute53' then 'Networking'
        when 'AWSDataTransfer' then 'Networking'
        when 'AWSDirectConnect' then 'Networking'
        when 'AWSGlobalAccelerator' then 'Networking'
        when 'AmazonApiGateway' then 'Networking'
        when 'AWSNetworkFirewall' then 'Networking'
        when 'AWSTransitGateway' then 'Networking'
        when 'AmazonAthena' then 'Analytics'
        when 'AWSGlue' then 'Analytics'
        when 'AmazonKinesis' then 'Analytics'
        when 'AmazonKinesisFirehose' then 'Analytics'
        when 'AmazonMSK' then 'Analytics'
        when 'AmazonES' then 'Analytics'
        when 'AmazonOpenSearchService' then 'Analytics'
        when 'ElasticMapReduce' then 'Analytics'
        when 'AmazonQuickSight' then 'Analytics'
        when 'AmazonCloudWatch' then 'Management and Governance'
        when 'AWSCloudTrail' then 'Management and Governance'
        when 'AWSConfig' then 'Management and Governance'
        when 'AWSSystemsManager' then 'Management and Governance'
        when 'AmazonPrometheus' then 'Management and Governance'
        when 'AmazonGrafana' then 'Management and Governance'
        when 'AWSXRay' then 'Management and Governance'
        when 'AWSCostExplorer' then 'Management and Governance'
        when 'awskms' then 'Security'
        when 'AWSSecretsManager' then 'Security'
        when 'AmazonGuardDuty' then 'Security'
        when 'awswaf' then 'Security'
        when 'AWSShield' then 'Security'
        when 'AmazonInspectorV2' then 'Security'
        when 'AWSSecurityHub' then 'Security'
        when 'AmazonMacie' then 'Security'
        when 'AmazonCognito' then 'Identity'
        when 'AWSDirectoryService' then 'Identity'
        when 'AWSQueueService' then 'Integration'
        when 'AmazonSNS' then 'Integration'
        when 'AmazonMQ' then 'Integration'
        when 'AWSEvents' then 'Integration'
        when 'AmazonStates' then 'Integration'
        when 'CodeBuild' then 'Developer Tools'
        when 'AWSCodePipeline' then 'Developer Tools'
        when 'AWSCodeArtifact' then 'Developer Tools'
        when 'AWSCodeCommit' then 'Developer Tools'
        else 'Other'
    end as ServiceCategory,
    line_item_product_code as ServiceName,
    product_sku as SkuId,
    pricing_rate_id as SkuPriceId,
    Tags,
    x_TagSetId,
    line_item_line_item_type as x_LineItemType,
    coalesce(line_item_operation, line_item_usage_type) as x_Operation,
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
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
