-- The replicas production was asked for, workload by workload and hour by hour: what stood in
-- its spec at the end of the hour, whoever wrote it there (Git, an autoscaler, a hand).
-- One row per cluster, hour and workload.
select
    min(x_Day) as x_Day,
    x_Cluster,
    x_HourStart,
    x_Namespace,
    x_WorkloadKind,
    x_Workload,
    max(x_Value) as x_Replicas
from metric_hour
where x_Series = 'deployment_replicas'
    and x_Namespace is not null
    and x_Workload is not null
    and x_WorkloadKind is not null
group by x_Cluster, x_HourStart, x_Namespace, x_WorkloadKind, x_Workload
order by x_Cluster, x_HourStart, x_Namespace, x_WorkloadKind, x_Workload
