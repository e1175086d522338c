-- AWS's split cost allocation data: the rows of a Cost and Usage Report (CUR 2.0 or legacy) that tell
-- what each pod of EKS held of its instance, hour by hour, one for vCPU and one for memory.
--
-- Their cost is not read: the instance's own line has it, and the bill has these rows at zero. Read
-- are the hours reserved and used, the pod (`arn:aws:eks:...:pod/cluster/namespace/name/uid`) and its
-- instance; the node's name, workload and labels are in the tags. What an instance has is what a pod
-- held by its ratio of it, to a hundredth of a vCPU and of a GB; a GB is counted as a GiB.
-- Columns: docs.aws.amazon.com/cur, split-line-item-columns. Usage types end in `vCPU-Hours` and
-- `GB-Hours`; what those of accelerators are called was not found, so what names a GPU, an
-- accelerator or one of AWS's own counts as one.
--
-- Totals are of the whole row: core-milliseconds, byte-seconds, device-milliseconds.
--
-- One row per delivered row of a pod.
--
-- requires time: line_item_usage_start_date line_item_usage_end_date
-- requires text: line_item_operation
-- optional text: line_item_usage_type line_item_resource_id
-- optional text: split_line_item_parent_resource_id
-- optional number: split_line_item_split_usage split_line_item_reserved_usage
-- optional number: split_line_item_actual_usage split_line_item_split_usage_ratio
-- optional tags: resource_tags resourceTags/
-- names: in underscores
-- tag prefix: user_ =
-- tag prefix: user: =
-- tag prefix: aws:eks: = aws_eks_
with
-- The tags are an enum here, in which JSON functions find nothing.
pod_row as (
    select raw_billing.*, cast(Tags as varchar) as text_tags
    from raw_billing
    where line_item_operation = 'EKSPod-EC2'
),
named as (
    select
        pod_row.*,
        split_part(line_item_resource_id, ':pod/', 2) as pod_path,
        case
            when ends_with(line_item_usage_type, 'vCPU-Hours') then 'cpu'
            when ends_with(line_item_usage_type, 'GB-Hours') then 'memory'
            when regexp_matches(
                lower(line_item_usage_type), '(gpu|accelerator|neuron|trainium|inferentia).*hours$'
            ) then 'gpu'
        end as resource,
        coalesce(
            json_extract_string(text_tags, '$.aws_eks_node'), split_line_item_parent_resource_id
        ) as node,
        json_extract_string(text_tags, '$.aws_eks_deployment') as deployment,
        coalesce(
            json_extract_string(text_tags, '$.aws_eks_workload_name'),
            json_extract_string(text_tags, '$."aws_eks_workload-name"')
        ) as workload,
        coalesce(
            json_extract_string(text_tags, '$.aws_eks_workload_type'),
            json_extract_string(text_tags, '$."aws_eks_workload-type"')
        ) as workload_kind,
        coalesce(split_line_item_reserved_usage, split_line_item_split_usage) as reserved,
        money_units(nullif(split_line_item_split_usage_ratio, 0)) as ratio
    from pod_row
),
counted as (
    select
        named.*,
        case resource
            when 'cpu' then cast(3600000 as hugeint)
            when 'memory' then cast(3600 as hugeint) * 1073741824
            when 'gpu' then cast(3600000 as hugeint)
        end as unit
    from named
),
measured as (
    select
        counted.*,
        (money_units(reserved) * unit + 500000000000) // 1000000000000 as asked,
        (money_units(split_line_item_actual_usage) * unit + 500000000000) // 1000000000000 as used,
        -- hundredths of what the instance has
        (money_units(split_line_item_split_usage) * 100 + ratio // 2) // ratio as capacity
    from counted
)
select
    x_SourceRow,
    nullif(concat_ws('; ',
        x_Unreadable,
        case when resource is null
            then 'line_item_usage_type is not known here: '''
                || coalesce(line_item_usage_type, '') || ''''
        end,
        case when split_part(pod_path, '/', 3) = ''
            then 'line_item_resource_id names no pod: '''
                || coalesce(line_item_resource_id, '') || ''''
        end,
        case when split_line_item_parent_resource_id is null
            then 'split_line_item_parent_resource_id is missing'
        end,
        case when reserved is null then 'split_line_item_reserved_usage is missing' end,
        case when least(reserved, split_line_item_actual_usage, ratio) < 0
            then 'a quantity is below zero'
        end
    ), '') as x_Reason,
    x_RawRow,
    line_item_usage_start_date as starts_at,
    line_item_usage_end_date as ends_at,
    split_part(pod_path, '/', 1) as cluster,
    nullif(split_part(pod_path, '/', 2), '') as x_Namespace,
    nullif(split_part(pod_path, '/', 3), '') as x_Pod,
    nullif(split_part(pod_path, '/', 4), '') as x_PodUid,
    cast(null as varchar) as x_Container,
    node as x_Node,
    split_line_item_parent_resource_id as provider_id,
    coalesce(deployment, workload) as x_Workload,
    case when deployment is not null then 'Deployment' else workload_kind end as x_WorkloadKind,
    text_tags as x_Labels,
    epoch_ms(line_item_usage_end_date) - epoch_ms(line_item_usage_start_date) as running_ms,
    case resource when 'cpu' then asked end as cpu_request,
    case resource when 'cpu' then used end as cpu_usage,
    case resource when 'memory' then asked end as memory_request,
    case resource when 'memory' then used end as memory_usage,
    case resource when 'gpu' then asked end as gpu_request,
    case resource when 'cpu' then capacity * unit // 100 end as node_cpu,
    case resource when 'memory' then capacity * unit // 100 end as node_memory,
    case resource when 'gpu' then capacity * unit // 100 end as node_gpu
from measured
