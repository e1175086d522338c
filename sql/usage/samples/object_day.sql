-- Who each measured object of a day is, by its labels.
-- Why here: an object has up to 24 hours, and to look into its labels takes longer than all the rest.
-- Exporters without honor_labels move our labels to `exported_*`; a pod's UID is its label, or is
-- read from the cgroup path that cAdvisor puts in `id`. Rows keep the order of series_day.
-- One row per canonical series and object, with its hours.
select
    x_Series,
    labels,
    hours,
    nullif(coalesce(
        nullif(labels['exported_namespace'], ''), labels['namespace']
    ), '') as x_Namespace,
    nullif(coalesce(nullif(labels['exported_pod'], ''), labels['pod']), '') as x_Pod,
    nullif(coalesce(
        nullif(labels['exported_container'], ''), labels['container']
    ), '') as x_Container,
    nullif(coalesce(nullif(labels['exported_node'], ''), labels['node']), '') as x_Node,
    nullif(coalesce(
        nullif(labels['exported_service'], ''), labels['service']
    ), '') as service,
    coalesce(
        nullif(labels['uid'], ''),
        -- without a group: to look for one costs twice the time
        nullif(replace(substr(regexp_extract(
            labels['id'],
            'pod[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}'
        ), 4), '_', '-'), '')
    ) as x_PodUid
from series_day
