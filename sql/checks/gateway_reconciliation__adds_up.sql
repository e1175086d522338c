-- The gaps add up to what was billed less what the calls cost by list, exactly. A gap that is
-- counted twice, or not, would be looked for where it is not.
select
    x_ChargeDay, x_Pool, x_Model, x_Credential, BillingCurrency, x_ListDifference
from gateway_reconciliation
where x_ListDifference is distinct from BilledCost - ListCost
    or x_ListDifference is distinct from
        x_GapOtherCharges + x_GapOutsideGateway + x_GapNotBilled + x_GapNoPrice
        + x_GapUnknownTokens + x_GapRetry + x_GapCache + x_GapBatch + x_GapPriceDrift
        + x_GapUnexplained
