-- The serverless functions and managed endpoints of the bill that a log knows, by their ids.
--
-- A log often has a function's name alone (`function:resize`), a bill its whole id. A name is that
-- of a resource if it is the id, or its end after a `:` or `/`, and the account is the same where
-- log and bill have one: never a part of a word. A name that several resources end with is none's.
-- Versions and aliases of a Lambda function are the function. Of an `[[inference_split]]` whose
-- endpoint has a `{ResourceName}`, the last part of the id must be that part of an endpoint that
-- was called; where several splits match, the first.
-- Feature, tenant and environment are those that the tags name, where all that name one agree.
--
-- One row per resource on the bill and name a log has for it.
with
logged_function as (
    select distinct
        x_Function, SubAccountId, split_part(split_part(x_Function, '/', -1), ':', -1) as last_part
    from invocation_usage
),
called_endpoint as (
    select
        s.x_Rank, s.x_Name, s.ProviderName, s.SubAccountId, s.ServiceName, s.ServiceCategory,
        s.ResourceId, s.x_ResourceStart, e.x_Endpoint,
        substr(
            e.x_Endpoint, length(s.x_EndpointStart) + 1,
            length(e.x_Endpoint) - length(s.x_EndpointStart) - length(s.x_EndpointEnd)
        ) as last_part
    from inference_split as s
    inner join (select distinct x_LoggedEndpoint as x_Endpoint from served_endpoint) as e
        on starts_with(e.x_Endpoint, s.x_EndpointStart)
        and ends_with(e.x_Endpoint, s.x_EndpointEnd)
        and length(e.x_Endpoint) > length(s.x_EndpointStart) + length(s.x_EndpointEnd)
),
wanted as (
    select last_part from logged_function
    union
    select last_part from called_endpoint
),
-- Ids are many and few of them wanted: their last parts are looked at alone, once each.
billed_id as (
    select distinct ResourceId
    from cost_and_usage
    where ResourceId is not null and (select count(*) from wanted) > 0
),
identified as (
    select
        ResourceId,
        case
            when starts_with(ResourceId, 'arn:') and contains(ResourceId, ':function:')
                then coalesce(
                    nullif(
                        regexp_extract(
                            ResourceId, '^(arn:[^:]+:lambda:[^:]*:[0-9]*:function:[^:]+)', 1
                        ),
                        ''
                    ),
                    ResourceId
                )
            else ResourceId
        end as whole_id
    from billed_id
),
wanted_id as materialized (
    select i.ResourceId, i.whole_id, i.last_part
    from (
        select
            ResourceId, whole_id,
            split_part(split_part(whole_id, '/', -1), ':', -1) as last_part
        from identified
    ) as i
    semi join wanted as w on w.last_part = i.last_part
),
resource as materialized (
    select distinct
        c.ResourceId, c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory,
        c.x_TagSetId, w.whole_id, w.last_part
    from cost_and_usage as c
    inner join wanted_id as w on w.ResourceId = c.ResourceId
),
-- ------------------------------------------------------------------------------- functions
function_match as (
    select
        r.ResourceId, r.whole_id, f.x_Function, f.SubAccountId,
        count(distinct r.whole_id) over (partition by f.x_Function, f.SubAccountId) as resources
    from (
        select distinct ResourceId, SubAccountId, whole_id, last_part from resource
    ) as r
    inner join logged_function as f
        on f.last_part = r.last_part
        and (
            r.whole_id = f.x_Function
            or ends_with(r.whole_id, ':' || f.x_Function)
            or ends_with(r.whole_id, '/' || f.x_Function)
        )
        and (f.SubAccountId is null or coalesce(f.SubAccountId = r.SubAccountId, true))
),
-- --------------------------------------------------------------------- managed endpoints
endpoint_match as (
    select r.ResourceId, arg_min(c.x_Name, c.x_Rank) as split_name,
        arg_min(c.x_Endpoint, c.x_Rank) as x_Endpoint
    from resource as r
    inner join called_endpoint as c
        on c.last_part = r.last_part
        and (
            r.ResourceId = c.x_ResourceStart || c.last_part
            or ends_with(r.ResourceId, ':' || c.x_ResourceStart || c.last_part)
            or ends_with(r.ResourceId, '/' || c.x_ResourceStart || c.last_part)
        )
        and (c.ProviderName is null or c.ProviderName = r.ProviderName)
        and (c.SubAccountId is null or c.SubAccountId = r.SubAccountId)
        and (c.ServiceName is null or c.ServiceName = r.ServiceName)
        and (c.ServiceCategory is null or c.ServiceCategory = r.ServiceCategory)
        and (c.ResourceId is null or c.ResourceId = r.ResourceId)
    group by r.ResourceId
),
known as (
    select distinct
        ResourceId, whole_id as x_Endpoint, 'function/' || whole_id as x_Pool, x_Function,
        SubAccountId
    from function_match
    where resources = 1
    union all
    select
        ResourceId, x_Endpoint, 'inference/' || split_name || '/' || x_Endpoint as x_Pool,
        null as x_Function, null as SubAccountId
    from endpoint_match
    anti join (select ResourceId from function_match where resources = 1) as f
        on f.ResourceId = endpoint_match.ResourceId
),
-- ------------------------------------------------------------------------ whose they are
tagged as (
    select distinct k.x_Pool, r.x_TagSetId
    from resource as r
    inner join known as k on k.ResourceId = r.ResourceId
),
owner as (
    select
        t.x_Pool,
        case when min(o.x_Feature) = max(o.x_Feature) then min(o.x_Feature) end as x_Feature,
        case when min(o.x_Tenant) = max(o.x_Tenant) then min(o.x_Tenant) end as x_Tenant,
        case
            when min(o.x_Environment) = max(o.x_Environment) then min(o.x_Environment)
        end as x_Environment
    from tagged as t
    inner join tag_owner as o on o.x_TagSetId = t.x_TagSetId
    group by t.x_Pool
)
select
    $period as BillingPeriod,
    known.ResourceId,
    known.x_Endpoint,
    known.x_Pool,
    known.x_Function,
    known.SubAccountId,
    owner.x_Feature,
    owner.x_Tenant,
    owner.x_Environment
from known
left join owner on owner.x_Pool = known.x_Pool
order by known.ResourceId, known.x_Function, known.SubAccountId
