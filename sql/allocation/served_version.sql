-- Which version of a model did the work, by endpoint and day.
--
-- A registry says it: the version that serves at the endpoint, registered by then and not retired
-- yet; where several do, the one whose model was called by its name. Else the label of the
-- endpoint's pods says it, if they agree that day. Else nobody does, and the version is
-- `(unknown)`: which one it was is not guessed.
--
-- One row per day, endpoint and model.
with
seen as (
    select distinct x_ChargeDay, x_Endpoint, x_Model
    from caller_day
    where is_in_month(x_ChargeDay, $period)
    union
    select distinct x_ChargeDay, x_Endpoint, x_Model
    from allocated_cost
    where x_AllocationMethod in ('inference', 'endpoint_idle')
),
-- An endpoint is called by all of its name, or by what follows the provider's. One that is told apart
-- by its cluster is also called by the name without it.
endpoint_name as (
    select distinct x_Endpoint, x_Endpoint as served_at from seen
    union
    select distinct x_Endpoint, regexp_replace(x_Endpoint, '^[^/]*/', '') as served_at from seen
    union
    select x_Endpoint, x_LoggedEndpoint as served_at from served_endpoint
    union
    select x_Endpoint, regexp_replace(x_LoggedEndpoint, '^[^/]*/', '') as served_at
    from served_endpoint
),
life as (
    select
        x_RegisteredModel, x_ModelVersion, x_CreatedAt, x_RetiredAt,
        unnest(cast(cast(x_Endpoints as json) as varchar[])) as served_at
    from model_life
),
candidate as (
    select distinct
        s.x_ChargeDay, s.x_Endpoint, s.x_Model, l.x_RegisteredModel, l.x_ModelVersion,
        lower(l.x_RegisteredModel) = lower(s.x_Model) as is_called
    from seen as s
    inner join endpoint_name as e on e.x_Endpoint = s.x_Endpoint
    inner join life as l on l.served_at = e.served_at
    where (l.x_CreatedAt is null or cast(l.x_CreatedAt as date) <= s.x_ChargeDay)
        and (l.x_RetiredAt is null or cast(l.x_RetiredAt as date) > s.x_ChargeDay)
),
registered as (
    select
        x_ChargeDay, x_Endpoint, x_Model,
        case
            when count(*) = 1 then min(x_RegisteredModel)
            when count(*) filter (where is_called) = 1
                then min(x_RegisteredModel) filter (where is_called)
        end as x_RegisteredModel,
        case
            when count(*) = 1 then min(x_ModelVersion)
            when count(*) filter (where is_called) = 1
                then min(x_ModelVersion) filter (where is_called)
        end as x_ModelVersion
    from candidate
    group by x_ChargeDay, x_Endpoint, x_Model
),
pod_name as (
    select distinct
        cast(p.x_HourStart as date) as on_day, p.x_Cluster,
        p.x_Namespace || '/' || p.x_Workload as name, p.x_Labels
    from pod_usage as p
    semi join tag_run as t on t.Tags = p.x_Labels and t.x_ModelVersion is not null
),
-- Calls of no known cluster may have gone to pods of any.
pod as (
    select on_day, name as x_Endpoint, x_Labels from pod_name
    union
    select p.on_day, s.x_Endpoint, p.x_Labels
    from pod_name as p
    inner join served_endpoint as s
        on s.x_LoggedEndpoint = p.name and s.x_Cluster = p.x_Cluster
),
labelled as (
    select
        p.on_day, p.x_Endpoint,
        case
            when min(lower(t.x_RegisteredModel)) = max(lower(t.x_RegisteredModel))
                then min(t.x_RegisteredModel)
        end as x_RegisteredModel,
        case
            when min(t.x_ModelVersion) = max(t.x_ModelVersion) then min(t.x_ModelVersion)
        end as x_ModelVersion
    from pod as p
    inner join tag_run as t on t.Tags = p.x_Labels
    group by p.on_day, p.x_Endpoint
)
select
    $period as BillingPeriod,
    s.x_ChargeDay,
    s.x_Endpoint,
    s.x_Model,
    case
        when r.x_ModelVersion is not null then r.x_RegisteredModel
        when l.x_ModelVersion is not null then coalesce(l.x_RegisteredModel, s.x_Model)
        else s.x_Model
    end as x_RegisteredModel,
    coalesce(r.x_ModelVersion, l.x_ModelVersion, '(unknown)') as x_ModelVersion,
    case
        when r.x_ModelVersion is not null then 'registry'
        when l.x_ModelVersion is not null then 'cluster_label'
        else 'nobody'
    end as x_VersionWitness
from seen as s
left join registered as r
    on r.x_ChargeDay = s.x_ChargeDay
    and r.x_Endpoint = s.x_Endpoint
    and r.x_Model = s.x_Model
left join labelled as l on l.on_day = s.x_ChargeDay and l.x_Endpoint = s.x_Endpoint
order by s.x_ChargeDay, s.x_Endpoint, s.x_Model
