-- A price belongs to one SKU, a service to one category and one subcategory. The ids and names
-- are the provider's and are passed on.
--
-- requirement: ServiceName-C-005-C ServiceName-C-008-C SkuPriceId-C-008-M
-- severity: tells
with
child as (
    select
        'ServiceName-C-005-C' as Requirement,
        ProviderName, ServiceName as child,
        count(distinct ServiceCategory) as parents
    from focus_export
    group by ProviderName, ServiceName
    union all
    select
        'ServiceName-C-008-C' as Requirement,
        ProviderName, ServiceName as child,
        count(distinct ServiceSubcategory) as parents
    from focus_export
    group by ProviderName, ServiceName
    union all
    select
        'SkuPriceId-C-008-M' as Requirement,
        ProviderName, SkuPriceId as child,
        count(distinct SkuId) as parents
    from focus_export
    where SkuPriceId is not null
    group by ProviderName, SkuPriceId
)
select
    Requirement,
    count(*) as x_Rows
from child
where parents > 1
group by Requirement
order by Requirement
