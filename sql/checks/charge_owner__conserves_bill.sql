-- Grouping the bill by owner loses nothing: for every invoice, currency, account, service and
-- category, the charges and both costs are those of the bill, taken from its sums in charge_kind.
with
bill as (
    select
        InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
        ChargeCategory,
        sum(x_ChargeRows) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_kind
    group by
        InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
        ChargeCategory
),
owned as (
    select
        InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
        ChargeCategory,
        sum(x_ChargeRows) as x_ChargeRows,
        sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
    from charge_owner
    group by
        InvoiceId, BillingCurrency, ProviderName, SubAccountId, ServiceCategory, ServiceName,
        ChargeCategory
)
select
    coalesce(bill.InvoiceId, owned.InvoiceId) as InvoiceId,
    coalesce(bill.BillingCurrency, owned.BillingCurrency) as BillingCurrency,
    coalesce(bill.SubAccountId, owned.SubAccountId) as SubAccountId,
    coalesce(bill.ServiceName, owned.ServiceName) as ServiceName,
    coalesce(bill.ChargeCategory, owned.ChargeCategory) as ChargeCategory,
    bill.BilledCost as billed, owned.BilledCost as owned,
    bill.EffectiveCost as effective, owned.EffectiveCost as effective_owned
from bill
full join owned
    on owned.InvoiceId = bill.InvoiceId
    and owned.BillingCurrency = bill.BillingCurrency
    and owned.ProviderName = bill.ProviderName
    and owned.SubAccountId is not distinct from bill.SubAccountId
    and owned.ServiceCategory = bill.ServiceCategory
    and owned.ServiceName = bill.ServiceName
    and owned.ChargeCategory = bill.ChargeCategory
where bill.BilledCost is distinct from owned.BilledCost
    or bill.EffectiveCost is distinct from owned.EffectiveCost
    or bill.x_ChargeRows is distinct from owned.x_ChargeRows
