-- The bill summed up by what no split looks behind: its invoices, accounts, services, categories.
--
-- What every later total is held against, without a scan of the bill each time (its own check
-- makes that one scan), and what tells how many pools an `[[inference_split]]` makes of a day.
--
-- One row per invoice, provider, account, service and category.
select
    $period as BillingPeriod,
    InvoiceId,
    BillingCurrency,
    ProviderName,
    SubAccountId,
    ServiceCategory,
    ServiceName,
    ChargeCategory,
    count(*) as x_ChargeRows,
    cast(sum(BilledCost) as decimal(38, 12)) as BilledCost,
    cast(sum(EffectiveCost) as decimal(38, 12)) as EffectiveCost
from cost_and_usage
group by
    InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
    ChargeCategory
order by
    InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
    ChargeCategory
