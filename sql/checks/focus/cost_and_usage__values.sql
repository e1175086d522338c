-- Values FOCUS allows. The export passes on what the provider wrote, so an offender is the
-- provider's; sql/bill/focus.sql mends the spellings that are known.
--
-- requirement: BillingCurrency-C-006-M CapacityReservationStatus-C-006-M ChargeClass-C-005-C
-- requirement: ChargeFrequency-C-003-M CommitmentDiscountCategory-C-005-M
-- requirement: CommitmentDiscountStatus-C-005-M ConsumedUnit-C-003-O PricingUnit-C-003-O
-- requirement: PricingCategory-C-007-M ServiceCategory-C-003-M Tags-C-001-M
-- severity: tells
select Requirement, x_Rows
from (
    select unnest(counted, recursive := true)
    from (
        select [
            {'Requirement': 'BillingCurrency-C-006-M', 'x_Rows': count(*) filter (
                where not regexp_full_match(BillingCurrency, '[A-Z]{3}')
            )},
            {'Requirement': 'CapacityReservationStatus-C-006-M', 'x_Rows': count(*) filter (
                where CapacityReservationStatus not in ('Used', 'Unused')
            )},
            {'Requirement': 'ChargeClass-C-005-C', 'x_Rows': count(*) filter (
                where ChargeClass <> 'Correction'
            )},
            {'Requirement': 'ChargeFrequency-C-003-M', 'x_Rows': count(*) filter (
                where ChargeFrequency not in ('One-Time', 'Recurring', 'Usage-Based')
            )},
            {'Requirement': 'CommitmentDiscountCategory-C-005-M', 'x_Rows': count(*) filter (
                where CommitmentDiscountCategory not in ('Spend', 'Usage')
            )},
            {'Requirement': 'CommitmentDiscountStatus-C-005-M', 'x_Rows': count(*) filter (
                where CommitmentDiscountStatus not in ('Used', 'Unused')
            )},
            {'Requirement': 'ConsumedUnit-C-003-O', 'x_Rows': count(*) filter (
                where not regexp_full_match(ConsumedUnit, concat(
                    '([0-9]+ )?[A-Za-z][A-Za-z0-9]*( [A-Za-z][A-Za-z0-9]*)*',
                    '(-(Years|Months|Days|Hours|Minutes|Seconds))?',
                    '(/([0-9]+ )?(Year|Month|Day|Hour|Minute|Second)s?)?'
                ))
            )},
            {'Requirement': 'PricingUnit-C-003-O', 'x_Rows': count(*) filter (
                where not regexp_full_match(PricingUnit, concat(
                    '([0-9]+ )?[A-Za-z][A-Za-z0-9]*( [A-Za-z][A-Za-z0-9]*)*',
                    '(-(Years|Months|Days|Hours|Minutes|Seconds))?',
                    '(/([0-9]+ )?(Year|Month|Day|Hour|Minute|Second)s?)?'
                ))
            )},
            {'Requirement': 'PricingCategory-C-007-M', 'x_Rows': count(*) filter (
                where PricingCategory not in ('Standard', 'Dynamic', 'Committed', 'Other')
            )},
            {'Requirement': 'ServiceCategory-C-003-M', 'x_Rows': count(*) filter (
                where ServiceCategory not in (
                    'AI and Machine Learning', 'Analytics', 'Business Applications', 'Compute',
                    'Databases', 'Developer Tools', 'Identity', 'Integration',
                    'Internet of Things', 'Management and Governance', 'Media', 'Migration',
                    'Mobile', 'Multicloud', 'Networking', 'Other',
                    'Security', 'Storage', 'Web'
                )
            )},
            {'Requirement': 'Tags-C-001-M', 'x_Rows': count(*) filter (where not json_valid(Tags))}
        ] as counted
        from focus_export
    ) as listed
) as told
where x_Rows > 0
