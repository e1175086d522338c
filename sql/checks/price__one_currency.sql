-- A model's prices are in one currency, whatever the item and the date: a call is the sum of its
-- items, and no two currencies are ever added.
select
    x_Provider, x_Model, string_agg(distinct PricingCurrency, ', ' order by PricingCurrency)
        as PricingCurrency,
    min(x_SourceFile) as x_SourceFile
from price
group by x_Provider, x_Model
having count(distinct PricingCurrency) > 1
