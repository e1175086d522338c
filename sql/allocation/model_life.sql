-- What is known of each model version, from all who say something of it.
--
-- What finops.toml says comes before what a registry says, for each thing by itself; of two
-- registries that have a model of the same name, the first by name counts. Models are the same
-- when their names are, whatever the case.
--
-- One row per model and version.
with
said as (
    select
        lower(x_RegisteredModel) as model_key, x_RegisteredModel, x_ModelVersion, x_CreatedAt,
        x_RetiredAt, x_RunId, x_RunResources, x_Endpoints, x_LifeDays, x_ExpectedRequests,
        row_number() over (
            partition by lower(x_RegisteredModel), x_ModelVersion
            order by x_Registry, x_RegisteredModel
        ) as place
    from model_version
)
select
    arg_min(x_RegisteredModel, place) as x_RegisteredModel,
    x_ModelVersion,
    arg_min(x_CreatedAt, place) filter (where x_CreatedAt is not null) as x_CreatedAt,
    arg_min(x_RetiredAt, place) filter (where x_RetiredAt is not null) as x_RetiredAt,
    arg_min(x_RunId, place) filter (where x_RunId is not null) as x_RunId,
    coalesce(
        arg_min(x_RunResources, place) filter (where x_RunResources <> '[]'), '[]'
    ) as x_RunResources,
    coalesce(arg_min(x_Endpoints, place) filter (where x_Endpoints <> '[]'), '[]') as x_Endpoints,
    arg_min(x_LifeDays, place) filter (where x_LifeDays is not null) as x_LifeDays,
    arg_min(x_ExpectedRequests, place)
        filter (where x_ExpectedRequests is not null) as x_ExpectedRequests
from said
group by model_key, x_ModelVersion
order by model_key, x_ModelVersion
