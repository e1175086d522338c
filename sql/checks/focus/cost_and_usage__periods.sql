-- A period ends after it starts, and usage of an earlier billing period is a Correction. The
-- validator accepts an end before its start.
--
-- requirement: BillingPeriodEnd-C-004-M ChargePeriodEnd-C-004-M ChargeClass-C-004-C
-- severity: tells
select Requirement, x_Rows
from (
    select unnest(counted, recursive := true)
    from (
        select [
            {'Requirement': 'BillingPeriodEnd-C-004-M', 'x_Rows': count(*) filter (
                where BillingPeriodEnd <= BillingPeriodStart
            )},
            {'Requirement': 'ChargePeriodEnd-C-004-M', 'x_Rows': count(*) filter (
                where ChargePeriodEnd <= ChargePeriodStart
            )},
            {'Requirement': 'ChargeClass-C-004-C', 'x_Rows': count(*) filter (
                where ChargeClass is null and ChargeCategory = 'Usage' and ChargePeriodEnd <=
                    BillingPeriodStart
            )}
        ] as counted
        from focus_export
    ) as listed
) as told
where x_Rows > 0
