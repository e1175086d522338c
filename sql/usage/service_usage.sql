-- The Services that have a load balancer, hour by hour: its address, and the labels of the Service.
-- Why so: a load balancer on the bill is a Service's by the id or the address that the cluster gave
-- it, and whose it is, the labels of the Service say. An hour in which the labels were missed has
-- those of its day.
-- One row per cluster, hour, Service and address.
with labelled as (
    select
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Workload,
        max(struct_pack(presence := x_Value, labels := x_Labels)).labels as x_Labels
    from metric_hour
    where x_Series = 'service_labels'
    group by x_Cluster, x_HourStart, x_Namespace, x_Workload
),

labelled_day as (
    select
        x_Cluster,
        x_Namespace,
        x_Workload,
        arg_max(x_Labels, x_HourStart) as x_Labels
    from labelled
    group by x_Cluster, x_Namespace, x_Workload
),

addressed as (
    select
        min(x_Day) as x_Day,
        x_Cluster,
        x_HourStart,
        x_Namespace,
        x_Workload,
        coalesce(json_extract_string(x_Labels, '$.uid'), '') as x_ServiceUid,
        coalesce(json_extract_string(x_Labels, '$.hostname'), '') as hostname,
        coalesce(json_extract_string(x_Labels, '$.ip'), '') as ip,
        max(x_Value) as x_RunningMs
    from metric_hour
    where x_Series = 'service_address'
        and x_Namespace is not null
        and x_Workload is not null
    group by x_Cluster, x_HourStart, x_Namespace, x_Workload, x_Labels
)

select
    a.x_Day,
    a.x_Cluster,
    a.x_HourStart,
    a.x_Namespace,
    a.x_Workload as x_Service,
    a.x_ServiceUid,
    coalesce(nullif(a.hostname, ''), a.ip) as x_Address,
    coalesce(h.x_Labels, d.x_Labels, '{}') as x_Labels,
    a.x_RunningMs
from addressed as a
left join labelled as h
    on h.x_Cluster = a.x_Cluster
    and h.x_HourStart = a.x_HourStart
    and h.x_Namespace = a.x_Namespace
    and h.x_Workload = a.x_Workload
left join labelled_day as d
    on d.x_Cluster = a.x_Cluster
    and d.x_Namespace = a.x_Namespace
    and d.x_Workload = a.x_Workload
order by a.x_Cluster, a.x_HourStart, a.x_Namespace, a.x_Workload, a.x_ServiceUid, x_Address
