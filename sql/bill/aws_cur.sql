-- An AWS Cost and Usage Report, in FOCUS columns: CUR 2.0 of Data Exports, and the legacy CUR.
--
-- BilledCost is line_item_unblended_cost of every line, so that the lines of an invoice add up to
-- it: SavingsPlanNegation takes back what SavingsPlanCoveredUsage shows at on-demand price. Where
-- an export has net columns, discounts are no lines of their own, and the net cost is billed and
-- amortised; a line whose line_item_net_unblended_cost is empty has none. Of the other net columns
-- a zero says nothing either: AWS writes it where nothing is off.
-- EffectiveCost is AWS's amortised cost (the CASE of the CUDOS dashboards' summary_view): covered
-- usage carries its part of the commitment, a recurring fee only what nobody used of it, and the
-- purchase nothing. AWS has no net of what is unused of a savings plan; the commitment's own
-- discount, net to plain, is taken off it, rounded toward zero.
--
-- RIFee and SavingsPlanRecurringFee tell two things in one line: what the invoice asks for, and
-- what was not used. FOCUS has a row for each, a Purchase with no EffectiveCost and a Usage that
-- is Unused and bills nothing. Here a delivered row stays one row: Usage and Unused, with both
-- costs, where something was not used; else a Purchase without EffectiveCost. The export to FOCUS
-- parts it. So Purchases of commitments have no EffectiveCost, their Usage has it all.
--
-- Split cost allocation rows (EKSPod-EC2, ECSTask-EC2) tell the cost of an instance a second time,
-- pod by pod. They stay visible with no cost; the instance's own line has it.
--
-- ServiceName is AWS's display name where the export has it (the seller's product on Marketplace),
-- else the product code. PublisherName is the legal entity that sells, InvoiceIssuerName the one
-- that invoices.
--
-- Until a line is final, bill_invoice_id is empty (docs.aws.amazon.com/cur, view-finalized-cur).
--
-- `raw_billing` has the columns named below, typed as they are declared, with exact names; text
-- is null where empty, Tags is JSON with sorted keys. Legacy CSV files write `lineItem/UsageType`
-- for line_item_usage_type, and have a column for each tag. AWS writes `user_` or `user:` before
-- the keys that people gave, and `aws_` or `aws:` before its own.
--
-- One row per delivered row, in the order of the file.
--
-- requires number: line_item_unblended_cost
-- requires time: bill_billing_period_start_date bill_billing_period_end_date
-- requires time: line_item_usage_start_date line_item_usage_end_date
-- requires text: line_item_line_item_type line_item_currency_code line_item_product_code
-- optional number: line_item_net_unblended_cost
-- optional number: line_item_usage_amount line_item_unblended_rate line_item_net_unblended_rate
-- optional number: pricing_public_on_demand_cost pricing_public_on_demand_rate
-- optional number: savings_plan_savings_plan_effective_cost
-- optional number: savings_plan_net_savings_plan_effective_cost
-- optional number: savings_plan_total_commitment_to_date savings_plan_used_commitment
-- optional number: savings_plan_recurring_commitment_for_billing_period
-- optional number: savings_plan_net_recurring_commitment_for_billing_period
-- optional number: savings_plan_amortized_upfront_commitment_for_billing_period
-- optional number: savings_plan_net_amortized_upfront_commitment_for_billing_period
-- optional number: reservation_effective_cost reservation_net_effective_cost
-- optional number: reservation_unused_recurring_fee reservation_net_unused_recurring_fee
-- optional number: reservation_unused_amortized_upfront_fee_for_billing_period
-- optional number: reservation_net_unused_amortized_upfront_fee_for_billing_period
-- optional number: reservation_unused_quantity
-- optional text: bill_invoice_id bill_invoicing_entity
-- optional text: bill_payer_account_id bill_payer_account_name
-- optional text: line_item_usage_account_id line_item_usage_account_name
-- optional text: line_item_line_item_description line_item_legal_entity
-- optional text: line_item_operation line_item_usage_type
-- optional text: line_item_availability_zone line_item_resource_id
-- optional text: product_product_name product_product_family product_region_code product_region
-- optional text: product_sku pricing_unit pricing_rate_id pricing_currency
-- optional text: savings_plan_savings_plan_a_r_n reservation_reservation_a_r_n
-- optional text: capacity_reservation_capacity_reservation_arn
-- optional text: capacity_reservation_capacity_reservation_status
-- optional tags: resource_tags resourceTags/
-- names: in underscores
-- spelled: product_product_name = product.product_name
-- tag prefix: user_ =
-- tag prefix: user: =
-- tag prefix: aws_ = aws:
-- invoices: when final
-- conserves: BilledCost = line_item_net_unblended_cost else line_item_unblended_cost
-- except: line_item_operation in ('EKSPod-EC2', 'ECSTask-EC2')
with
mark_lines as (
    select
        raw_billing.*,
        coalesce(line_item_operation in ('EKSPod-EC2', 'ECSTask-EC2'), false) as is_split,
        line_item_line_item_type in ('Usage', 'SavingsPlanCoveredUsage') as is_priced_usage,
        line_item_line_item_type in ('RIFee', 'SavingsPlanRecurringFee') as is_commitment_fee,
        coalesce(line_item_net_unblended_cost, line_item_unblended_cost) as line_cost,
        savings_plan_total_commitment_to_date - savings_plan_used_commitment as plan_unused,
        savings_plan_recurring_commitment_for_billing_period
            + savings_plan_amortized_upfront_commitment_for_billing_period as plan_cost,
        savings_plan_net_recurring_commitment_for_billing_period
            + savings_plan_net_amortized_upfront_commitment_for_billing_period as plan_net_cost
    from raw_billing
),
amortise as (
    select
        mark_lines.*,
        case when is_split then cast(0 as decimal(38, 12)) else line_cost end as BilledCost,
        case
            when is_split then cast(0 as decimal(38, 12))
            when line_item_line_item_type in ('Usage', 'Tax', 'Credit') then line_cost
            when line_item_line_item_type = 'SavingsPlanCoveredUsage'
                then coalesce(
                    nullif(savings_plan_net_savings_plan_effective_cost, 0),
                    savings_plan_savings_plan_effective_cost
                )
            when line_item_line_item_type = 'SavingsPlanRecurringFee'
                then case
                    when plan_cost > 0 and plan_net_cost > 0
                        then units_money(
                            apportion(
                                money_units(plan_unused),
                                money_units(plan_net_cost) // 1000,
                                money_units(plan_cost) // 1000
                            )
                        )
                    else plan_unused
                end
            when line_item_line_item_type in ('SavingsPlanNegation', 'SavingsPlanUpfrontFee')
                then cast(0 as decimal(38, 12))
            when line_item_line_item_type = 'DiscountedUsage'
                then coalesce(
                    nullif(reservation_net_effective_cost, 0), reservation_effective_cost
                )
            when line_item_line_item_type = 'RIFee'
                then coalesce(
                        nullif(reservation_net_unused_amortized_upfront_fee_for_billing_period, 0),
                        reservation_unused_amortized_upfront_fee_for_billing_period
                    )
                    + coalesce(
                        nullif(reservation_net_unused_recurring_fee, 0),
                        reservation_unused_recurring_fee
                    )
            when line_item_line_item_type = 'Fee' and reservation_reservation_a_r_n is not null
                then cast(0 as decimal(38, 12))
            when line_item_line_item_type = 'Refund'
                    and ends_with(line_item_product_code, 'SavingsPlans')
                then cast(0 as decimal(38, 12))
            else line_cost
        end as EffectiveCost
    from mark_lines
),
categorise as (
    select
        amortise.*,
        case
            when line_item_line_item_type in (
                'Usage', 'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation'
            ) then 'Usage'
            when is_commitment_fee and EffectiveCost <> 0 then 'Usage'
            when is_commitment_fee
                or line_item_line_item_type in (
                    'Fee', 'SavingsPlanUpfrontFee', 'FlatRateSubscription'
                ) then 'Purchase'
            when line_item_line_item_type = 'Tax' then 'Tax'
            when line_item_line_item_type = 'Credit' then 'Credit'
            when line_item_line_item_type in ('Refund', 'Distributor')
                or ends_with(line_item_line_item_type, 'Discount') then 'Adjustment'
        end as ChargeCategory
    from amortise
)
select
    BilledCost,
    EffectiveCost,
    case
        when is_split or line_item_line_item_type = 'SavingsPlanNegation'
            then cast(0 as decimal(38, 12))
        else pricing_public_on_demand_cost
    end as ListCost,
    case when is_priced_usage then BilledCost end as ContractedCost,
    pricing_public_on_demand_rate as ListUnitPrice,
    case
        when is_priced_usage
            then coalesce(line_item_net_unblended_rate, line_item_unblended_rate)
    end as ContractedUnitPrice,
    line_item_currency_code as BillingCurrency,
    pricing_currency as PricingCurrency,
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
        when is_commitment_fee
            or line_item_line_item_type in ('Tax', 'FlatRateSubscription') then 'Recurring'
        when ChargeCategory = 'Usage' then 'Usage-Based'
        else 'One-Time'
    end as ChargeFrequency,
    coalesce(savings_plan_savings_plan_a_r_n, reservation_reservation_a_r_n)
        as CommitmentDiscountId,
    case
        when savings_plan_savings_plan_a_r_n is not null then 'Spend'
        when reservation_reservation_a_r_n is not null then 'Usage'
    end as CommitmentDiscountCategory,
    case
        when savings_plan_savings_plan_a_r_n is not null then 'Savings Plan'
        when reservation_reservation_a_r_n is not null then 'Reservation'
    end as CommitmentDiscountType,
    case
        when line_item_line_item_type in ('DiscountedUsage', 'SavingsPlanCoveredUsage')
            then 'Used'
        when is_commitment_fee and ChargeCategory = 'Usage' then 'Unused'
    end as CommitmentDiscountStatus,
    case
        when line_item_line_item_type = 'DiscountedUsage' then line_item_usage_amount
        when line_item_line_item_type = 'RIFee' then reservation_unused_quantity
        when line_item_line_item_type in ('SavingsPlanCoveredUsage', 'SavingsPlanRecurringFee')
            then EffectiveCost
    end as CommitmentDiscountQuantity,
    case
        when line_item_line_item_type in ('DiscountedUsage', 'RIFee') then pricing_unit
        when line_item_line_item_type in ('SavingsPlanCoveredUsage', 'SavingsPlanRecurringFee')
            then line_item_currency_code
    end as CommitmentDiscountUnit,
    capacity_reservation_capacity_reservation_arn as CapacityReservationId,
    case
        when capacity_reservation_capacity_reservation_status in ('Used', 'Unused')
            then capacity_reservation_capacity_reservation_status
    end as CapacityReservationStatus,
    case
        when ChargeCategory = 'Usage' and not is_commitment_fee then line_item_usage_amount
    end as ConsumedQuantity,
    case
        when ChargeCategory = 'Usage' and not is_commitment_fee then pricing_unit
    end as ConsumedUnit,
    case
        when line_item_line_item_type in (
            'DiscountedUsage', 'SavingsPlanCoveredUsage', 'SavingsPlanNegation'
        ) or (is_commitment_fee and ChargeCategory = 'Usage') then 'Committed'
        when line_item_line_item_type = 'Usage' and contains(line_item_usage_type, 'SpotUsage')
            then 'Dynamic'
        when ChargeCategory in ('Usage', 'Purchase') then 'Standard'
    end as PricingCategory,
    line_item_usage_amount as PricingQuantity,
    pricing_unit as PricingUnit,
    coalesce(product_region_code, product_region) as RegionId,
    line_item_availability_zone as AvailabilityZone,
    line_item_resource_id as ResourceId,
    product_product_family as ResourceType,
    coalesce(map {
        'AmazonBedrock': 'AI and Machine Learning',
        'AmazonBedrockService': 'AI and Machine Learning',
        'AmazonBedrockFoundationModels': 'AI and Machine Learning',
        'AmazonSageMaker': 'AI and Machine Learning',
        'AmazonComprehend': 'AI and Machine Learning',
        'AmazonRekognition': 'AI and Machine Learning',
        'AmazonTextract': 'AI and Machine Learning',
        'AmazonTranscribe': 'AI and Machine Learning',
        'transcribe': 'AI and Machine Learning',
        'translate': 'AI and Machine Learning',
        'AmazonPolly': 'AI and Machine Learning',
        'AmazonLex': 'AI and Machine Learning',
        'AmazonKendra': 'AI and Machine Learning',
        'AmazonPersonalize': 'AI and Machine Learning',
        'AmazonForecast': 'AI and Machine Learning',
        'AmazonQ': 'AI and Machine Learning',
        'MachineLearningSavingsPlans': 'AI and Machine Learning',
        'AmazonEC2': 'Compute',
        'AWSLambda': 'Compute',
        'AmazonEKS': 'Compute',
        'AmazonECS': 'Compute',
        'AmazonECR': 'Compute',
        'AmazonECRPublic': 'Compute',
        'AmazonLightsail': 'Compute',
        'AWSBatch': 'Compute',
        'AWSAppRunner': 'Compute',
        'ElasticBeanstalk': 'Compute',
        'ComputeSavingsPlans': 'Compute',
        'AmazonS3': 'Storage',
        'AmazonS3GlacierDeepArchive': 'Storage',
        'AmazonGlacier': 'Storage',
        'AmazonEFS': 'Storage',
        'AmazonFSx': 'Storage',
        'AWSBackup': 'Storage',
        'AWSStorageGateway': 'Storage',
        'AmazonRDS': 'Databases',
        'AmazonDynamoDB': 'Databases',
        'AmazonElastiCache': 'Databases',
        'AmazonRedshift': 'Databases',
        'AmazonNeptune': 'Databases',
        'AmazonDocDB': 'Databases',
        'AmazonMemoryDB': 'Databases',
        'AmazonDAX': 'Databases',
        'AmazonTimestream': 'Databases',
        'DatabaseSavingsPlans': 'Databases',
        'AmazonVPC': 'Networking',
        'AWSELB': 'Networking',
        'AmazonCloudFront': 'Networking',
        'AmazonRoute53': 'Networking',
        'AWSDataTransfer': 'Networking',
        'AWSDirectConnect': 'Networking',
        'AWSGlobalAccelerator': 'Networking',
        'AmazonApiGateway': 'Networking',
        'AWSNetworkFirewall': 'Networking',
        'AWSTransitGateway': 'Networking',
        'AmazonAthena': 'Analytics',
        'AWSGlue': 'Analytics',
        'AmazonKinesis': 'Analytics',
        'AmazonKinesisFirehose': 'Analytics',
        'AmazonMSK': 'Analytics',
        'AmazonES': 'Analytics',
        'AmazonOpenSearchService': 'Analytics',
        'ElasticMapReduce': 'Analytics',
        'AmazonQuickSight': 'Analytics',
        'AmazonCloudWatch': 'Management and Governance',
        'AWSCloudTrail': 'Management and Governance',
        'AWSConfig': 'Management and Governance',
        'AWSSystemsManager': 'Management and Governance',
        'AmazonPrometheus': 'Management and Governance',
        'AmazonGrafana': 'Management and Governance',
        'AWSXRay': 'Management and Governance',
        'AWSCostExplorer': 'Management and Governance',
        'awskms': 'Security',
        'AWSSecretsManager': 'Security',
        'AmazonGuardDuty': 'Security',
        'awswaf': 'Security',
        'AWSShield': 'Security',
        'AmazonInspectorV2': 'Security',
        'AWSSecurityHub': 'Security',
        'AmazonMacie': 'Security',
        'AmazonCognito': 'Identity',
        'AWSDirectoryService': 'Identity',
        'AWSQueueService': 'Integration',
        'AmazonSNS': 'Integration',
        'AmazonMQ': 'Integration',
        'AWSEvents': 'Integration',
        'AmazonStates': 'Integration',
        'CodeBuild': 'Developer Tools',
        'AWSCodePipeline': 'Developer Tools',
        'AWSCodeArtifact': 'Developer Tools',
        'AWSCodeCommit': 'Developer Tools'
    }[line_item_product_code], 'Other') as ServiceCategory,
    coalesce(product_product_name, line_item_product_code) as ServiceName,
    product_sku as SkuId,
    pricing_rate_id as SkuPriceId,
    line_item_usage_type as SkuMeter,
    Tags,
    x_TagSetId,
    line_item_line_item_type as x_LineItemType,
    coalesce(line_item_operation, line_item_usage_type) as x_Operation,
    x_SourceRow,
    case
        when x_Unreadable is null
            and length(line_item_currency_code) = 3
            and ChargeCategory is not null
            and EffectiveCost is not null
            and line_item_usage_end_date >= line_item_usage_start_date
            then null
        else nullif(concat_ws('; ',
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
                then 'the amortised cost of this ' || line_item_line_item_type
                    || ' is missing: export the savings_plan_ and reservation_ columns'
            end,
            case when line_item_usage_end_date < line_item_usage_start_date
                then 'line_item_usage_end_date is before line_item_usage_start_date'
            end
        ), '')
    end as x_Reason
from categorise
