-- A subcategory belongs to one category, as FOCUS lists them; every category has an Other of its
-- own. The values are the provider's or the dialect's and are passed on.
--
-- requirement: ServiceSubcategory-C-003-M ServiceSubcategory-C-004-M
-- severity: tells
with
allowed (ServiceCategory, ServiceSubcategory) as (
    values
        ('AI and Machine Learning', 'AI Platforms'),
        ('AI and Machine Learning', 'Bots'),
        ('AI and Machine Learning', 'Generative AI'),
        ('AI and Machine Learning', 'Machine Learning'),
        ('AI and Machine Learning', 'Natural Language Processing'),
        ('Analytics', 'Analytics Platforms'),
        ('Analytics', 'Business Intelligence'),
        ('Analytics', 'Data Processing'),
        ('Analytics', 'Search'),
        ('Analytics', 'Streaming Analytics'),
        ('Business Applications', 'Productivity and Collaboration'),
        ('Compute', 'Containers'),
        ('Compute', 'End User Computing'),
        ('Compute', 'Quantum Compute'),
        ('Compute', 'Serverless Compute'),
        ('Compute', 'Virtual Machines'),
        ('Databases', 'Caching'),
        ('Databases', 'Data Warehouses'),
        ('Databases', 'Ledger Databases'),
        ('Databases', 'NoSQL Databases'),
        ('Databases', 'Relational Databases'),
        ('Databases', 'Time Series Databases'),
        ('Developer Tools', 'Developer Platforms'),
        ('Developer Tools', 'Continuous Integration and Deployment'),
        ('Developer Tools', 'Development Environments'),
        ('Developer Tools', 'Source Code Management'),
        ('Developer Tools', 'Quality Assurance'),
        ('Identity', 'Identity and Access Management'),
        ('Integration', 'API Management'),
        ('Integration', 'Messaging'),
        ('Integration', 'Workflow Orchestration'),
        ('Internet of Things', 'IoT Analytics'),
        ('Internet of Things', 'IoT Platforms'),
        ('Management and Governance', 'Architecture'),
        ('Management and Governance', 'Compliance'),
        ('Management and Governance', 'Cost Management'),
        ('Management and Governance', 'Data Governance'),
        ('Management and Governance', 'Disaster Recovery'),
        ('Management and Governance', 'Endpoint Management'),
        ('Management and Governance', 'Observability'),
        ('Management and Governance', 'Support'),
        ('Media', 'Content Creation'),
        ('Media', 'Gaming'),
        ('Media', 'Media Streaming'),
        ('Media', 'Mixed Reality'),
        ('Migration', 'Data Migration'),
        ('Migration', 'Resource Migration'),
        ('Multicloud', 'Multicloud Integration'),
        ('Networking', 'Application Networking'),
        ('Networking', 'Content Delivery'),
        ('Networking', 'Network Connectivity'),
        ('Networking', 'Network Infrastructure'),
        ('Networking', 'Network Routing'),
        ('Networking', 'Network Security'),
        ('Security', 'Secret Management'),
        ('Security', 'Security Posture Management'),
        ('Security', 'Threat Detection and Response'),
        ('Storage', 'Backup Storage'),
        ('Storage', 'Block Storage'),
        ('Storage', 'File Storage'),
        ('Storage', 'Object Storage'),
        ('Storage', 'Storage Platforms'),
        ('Web', 'Application Platforms')
),
used as (
    select ServiceCategory, ServiceSubcategory, count(*) as x_Rows
    from focus_export
    where ServiceSubcategory <> 'Other (' || ServiceCategory || ')'
    group by ServiceCategory, ServiceSubcategory
),
judged as (
    select
        case
            when used.ServiceSubcategory in (select ServiceSubcategory from allowed)
                then 'ServiceSubcategory-C-004-M'
            else 'ServiceSubcategory-C-003-M'
        end as Requirement,
        used.x_Rows
    from used
    left join allowed
        on allowed.ServiceCategory = used.ServiceCategory
        and allowed.ServiceSubcategory = used.ServiceSubcategory
    where allowed.ServiceCategory is null
)
select
    Requirement,
    cast(sum(x_Rows) as bigint) as x_Rows
from judged
group by Requirement
order by Requirement
