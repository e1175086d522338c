-- Of one thing there is one price at a time. Two rows that hold from the same hour, for the same
-- model, item, tier and length, contradict each other or are there twice; which one was meant
-- nobody can say, so none is believed.
select
    x_Provider, x_Model, x_PriceItem, x_ServiceTier, x_ContextClass, x_PriceFrom,
    string_agg(x_SourceFile || ' row ' || x_SourceRow, ', ' order by x_SourceFile, x_SourceRow)
        as x_Where
from price
group by x_Provider, x_Model, x_PriceItem, x_ServiceTier, x_ContextClass, x_PriceFrom
having count(*) > 1
