-- What runs cost that trained, tuned, evaluated or embedded: a second view of the allocation.
--
-- Found by label: pods whose labels name a run, or say of what kind it is; a run that only its
-- kind is known of is called by its workload. Found by registry: workloads and resources that the
-- run of a model version names. Found by the job's own bill: charges whose tags name a run, or that
-- a `[[training_job]]` matches, off the nodes and volumes of a cluster, for those are split among
-- pods.
--
-- Pods cost what allocated_cost gave their workload that day for nodes, volumes and network; where
-- others than the run have pods of the same workload, and for nodes of the same owner, it is cut by
-- what they held of nodes, in the price weights of CPU, memory and GPU. It is cut by cumulative
-- rounding: each gets what is rounded down up to them, less what is rounded down before them, in
-- the order of run ids, so that the parts are the whole.
--
-- A run is of the version its labels name, if they agree; else of the first version that a
-- registry has of it; else of `(unassigned)`. Its cost belongs to whom the allocation gave it: for
-- pods as allocated_cost has it, for a job's charge by its tags and, what they leave open, by rules.
--
-- One row per run, currency and owner; first and last day are those of the whole run.
with
run_resource as (
    select resource, arg_min(x_RunId, place) as x_RunId
    from (
        select
            x_RunId,
            unnest(cast(cast(x_RunResources as json) as varchar[])) as resource,
            row_number() over (order by x_CreatedAt, x_RegisteredModel, x_ModelVersion) as place
        from model_life
        where x_RunId is not null
    ) as named
    group by resource
),
-- ------------------------------------------------------------------------------ by pods
label_set as (
    select
        p.x_Namespace || '/' || p.x_Workload as x_Endpoint, p.x_Namespace, p.x_Workload,
        p.x_Labels,
        coalesce(
            t.x_RunId, r.x_RunId,
            case when t.x_RunKind is not null then p.x_Namespace || '/' || p.x_Workload end
        ) as run_id,
        t.x_RunKind, t.x_RegisteredModel, t.x_ModelVersion,
        coalesce(o.x_Feature, '(unallocated)') as x_Feature,
        coalesce(o.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(o.x_Environment, '(unallocated)') as x_Environment
    from (select distinct x_Namespace, x_Workload, x_Labels from pod_usage) as p
    left join tag_run as t on t.Tags = p.x_Labels
    left join tag_owner as o on o.Tags = p.x_Labels
    left join run_resource as r on r.resource = p.x_Namespace || '/' || p.x_Workload
),
run_workload as (
    select distinct x_Endpoint from label_set where run_id is not null
),
held_hour as (
    select
        cast(p.x_HourStart as date) as on_day, 'node/' || p.x_Cluster as x_Pool, l.x_Endpoint,
        l.x_Feature, l.x_Tenant, l.x_Environment, l.run_id,
        cast(p.x_CpuAllocatedCoreMs as hugeint) * 1024 * w.x_CpuWeight
        + (cast(p.x_MemoryAllocatedByteSeconds as hugeint) * 1000 // 1048576) * w.x_MemoryWeight
        + cast(p.x_GpuAllocatedParts as hugeint) * 1024 * w.x_GpuWeight // gpu_parts() as weight
    from pod_usage as p
    inner join price_ratio as w on w.x_Cluster = p.x_Cluster
    inner join label_set as l
        on l.x_Namespace = p.x_Namespace
        and l.x_Workload = p.x_Workload
        and l.x_Labels = p.x_Labels
    where p.x_Node is not null and l.x_Endpoint in (select x_Endpoint from run_workload)
),
-- By the cluster's nodes and the owner; and by neither, for what is not of its nodes: the owner of a
-- volume is whom its claim names.
held_day as (
    select
        on_day, x_Pool, x_Endpoint, x_Feature, x_Tenant, x_Environment, run_id,
        greatest(sum(weight), 1) as weight
    from held_hour
    group by on_day, x_Pool, x_Endpoint, x_Feature, x_Tenant, x_Environment, run_id
    union all
    select
        on_day, null as x_Pool, x_Endpoint, null as x_Feature, null as x_Tenant,
        null as x_Environment, run_id, greatest(sum(weight), 1) as weight
    from held_hour
    group by on_day, x_Endpoint, run_id
),
held_month as (
    select
        x_Pool, x_Endpoint, x_Feature, x_Tenant, x_Environment, run_id, sum(weight) as weight
    from held_day
    group by x_Pool, x_Endpoint, x_Feature, x_Tenant, x_Environment, run_id
),
pod_cost as (
    select
        row_number() over (
            order by
                BillingCurrency, x_ChargeDay, x_Pool, x_Endpoint, x_Feature, x_Tenant,
                x_Environment, is_of_nodes
        ) as cost_no,
        BillingCurrency, x_ChargeDay, x_Pool, x_Endpoint, x_Feature, x_Tenant, x_Environment,
        case when is_of_nodes then x_Pool end as held_pool,
        case when is_of_nodes then x_Feature end as held_feature,
        case when is_of_nodes then x_Tenant end as held_tenant,
        case when is_of_nodes then x_Environment end as held_environment,
        money_units(BilledCost) as billed, money_units(EffectiveCost) as effective
    from (
        select
            BillingCurrency, x_ChargeDay, x_Pool, x_Endpoint, x_Feature, x_Tenant,
            x_Environment, x_AllocationMethod = 'pod' as is_of_nodes,
            sum(BilledCost) as BilledCost, sum(EffectiveCost) as EffectiveCost
        from allocated_cost
        where x_AllocationMethod in ('pod', 'volume', 'network')
            and x_Endpoint in (select x_Endpoint from run_workload)
        group by
            BillingCurrency, x_ChargeDay, x_Pool, x_Endpoint, x_Feature, x_Tenant,
            x_Environment, x_AllocationMethod = 'pod'
    ) as summed
),
by_day as (
    select c.cost_no, h.run_id, h.weight
    from pod_cost as c
    inner join held_day as h
        on h.on_day = c.x_ChargeDay
        and h.x_Endpoint = c.x_Endpoint
        and h.x_Pool is not distinct from c.held_pool
        and h.x_Feature is not distinct from c.held_feature
        and h.x_Tenant is not distinct from c.held_tenant
        and h.x_Environment is not distinct from c.held_environment
),
-- A charge for a month stands on its first day, whenever in it the pods were.
by_month as (
    select c.cost_no, h.run_id, h.weight
    from pod_cost as c
    inner join held_month as h
        on h.x_Endpoint = c.x_Endpoint
        and h.x_Pool is not distinct from c.held_pool
        and h.x_Feature is not distinct from c.held_feature
        and h.x_Tenant is not distinct from c.held_tenant
        and h.x_Environment is not distinct from c.held_environment
    anti join by_day on by_day.cost_no = c.cost_no
),
weighed as (
    select cost_no, run_id, weight from by_day
    union all
    select cost_no, run_id, weight from by_month
),
-- apportion() wants totals below 10^18; proportions are kept to that many digits.
weight_total as (
    select cost_no, sum(weight) // 500000000000000000 + 1 as divisor
    from weighed
    group by cost_no
),
scaled as (
    select w.cost_no, w.run_id, greatest(w.weight // t.divisor, 1) as weight
    from weighed as w
    inner join weight_total as t on t.cost_no = w.cost_no
),
placed as (
    select
        cost_no, run_id, weight,
        sum(weight) over (
            partition by cost_no order by run_id nulls first
            rows between unbounded preceding and current row
        ) as upto,
        sum(weight) over (partition by cost_no) as total
    from scaled
),
pod_run as (
    select
        p.run_id, c.BillingCurrency, c.x_ChargeDay, c.x_Feature, c.x_Tenant, c.x_Environment,
        apportion(c.billed, p.upto, p.total)
        - apportion(c.billed, p.upto - p.weight, p.total) as billed,
        apportion(c.effective, p.upto, p.total)
        - apportion(c.effective, p.upto - p.weight, p.total) as effective
    from placed as p
    inner join pod_cost as c on c.cost_no = p.cost_no
    where p.run_id is not null
),
-- --------------------------------------------------------------------- by the job's own bill
job_resource as (
    select distinct c.ResourceId
    from cost_and_usage as c
    inner join training_job as j on c.ResourceId like j.x_Resource escape '\'
    union
    select resource as ResourceId from run_resource
),
named_set as (
    select x_TagSetId, x_RunId, x_RunKind, x_RegisteredModel, x_ModelVersion
    from tag_run
    where x_RunId is not null or x_RunKind is not null
),
-- Two scans that end at once where nothing is looked for, instead of one that never does.
job_line as (
    select
        c.ChargePeriodStart, c.BillingCurrency, c.ProviderName, c.SubAccountId, c.ServiceName,
        c.ServiceCategory, c.ChargeCategory, c.ResourceId, c.CommitmentDiscountStatus,
        c.x_TagSetId, c.BilledCost, c.EffectiveCost
    from cost_and_usage as c
    semi join named_set as s on s.x_TagSetId = c.x_TagSetId
    union all
    select
        c.ChargePeriodStart, c.BillingCurrency, c.ProviderName, c.SubAccountId, c.ServiceName,
        c.ServiceCategory, c.ChargeCategory, c.ResourceId, c.CommitmentDiscountStatus,
        c.x_TagSetId, c.BilledCost, c.EffectiveCost
    from cost_and_usage as c
    semi join job_resource as r on r.ResourceId = c.ResourceId
    anti join named_set as s on s.x_TagSetId = c.x_TagSetId
),
job_charge as (
    select
        cast(c.ChargePeriodStart as date) as x_ChargeDay, c.BillingCurrency, c.ProviderName,
        c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory, c.ResourceId,
        c.CommitmentDiscountStatus, c.x_TagSetId,
        sum(c.BilledCost) as BilledCost, sum(c.EffectiveCost) as EffectiveCost
    from job_line as c
    anti join node_id as n on n.ResourceId = c.ResourceId
    anti join volume_id as v on v.ResourceId = c.ResourceId
    group by
        cast(c.ChargePeriodStart as date), c.BillingCurrency, c.ProviderName, c.SubAccountId,
        c.ServiceName, c.ServiceCategory, c.ChargeCategory, c.ResourceId,
        c.CommitmentDiscountStatus, c.x_TagSetId
),
-- What `[[training_job]]` and rules look at, once each.
asked as (
    select distinct
        ProviderName, SubAccountId, ServiceName, ServiceCategory, ChargeCategory, ResourceId,
        CommitmentDiscountStatus
    from job_charge
),
job_kind as (
    select
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.ResourceId, c.CommitmentDiscountStatus, arg_min(j.x_RunKind, j.x_Rank) as x_RunKind
    from asked as c
    inner join training_job as j
        on c.ResourceId like j.x_Resource escape '\'
        and (j.ProviderName is null or j.ProviderName = c.ProviderName)
        and (j.SubAccountId is null or j.SubAccountId = c.SubAccountId)
        and (j.ServiceName is null or j.ServiceName = c.ServiceName)
        and (j.ServiceCategory is null or j.ServiceCategory = c.ServiceCategory)
        and (j.ChargeCategory is null or j.ChargeCategory = c.ChargeCategory)
        and (j.ResourceId is null or j.ResourceId = c.ResourceId)
        and (
            j.CommitmentDiscountStatus is null
            or j.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
    group by
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.ResourceId, c.CommitmentDiscountStatus
),
-- As charge_owner has it: what tags left open, by the first rule that says it.
ruled as (
    select
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.ResourceId, c.CommitmentDiscountStatus,
        arg_min(r.x_Feature, r.x_Rank) filter (where r.x_Feature is not null) as x_Feature,
        arg_min(r.x_Tenant, r.x_Rank) filter (where r.x_Tenant is not null) as x_Tenant,
        arg_min(r.x_Environment, r.x_Rank)
            filter (where r.x_Environment is not null) as x_Environment
    from asked as c
    inner join owner_rule as r
        on (r.ProviderName is null or r.ProviderName = c.ProviderName)
        and (r.SubAccountId is null or r.SubAccountId = c.SubAccountId)
        and (r.ServiceName is null or r.ServiceName = c.ServiceName)
        and (r.ServiceCategory is null or r.ServiceCategory = c.ServiceCategory)
        and (r.ChargeCategory is null or r.ChargeCategory = c.ChargeCategory)
        and (r.ResourceId is null or r.ResourceId = c.ResourceId)
        and (
            r.CommitmentDiscountStatus is null
            or r.CommitmentDiscountStatus = c.CommitmentDiscountStatus
        )
    group by
        c.ProviderName, c.SubAccountId, c.ServiceName, c.ServiceCategory, c.ChargeCategory,
        c.ResourceId, c.CommitmentDiscountStatus
),
job_run as (
    select
        coalesce(
            s.x_RunId, r.x_RunId, regexp_extract(c.ResourceId, '[^/]+$'), '(unassigned)'
        ) as run_id,
        c.BillingCurrency, c.x_ChargeDay,
        coalesce(s.x_RunKind, k.x_RunKind) as x_RunKind, s.x_RegisteredModel, s.x_ModelVersion,
        coalesce(o.x_Feature, u.x_Feature, '(unallocated)') as x_Feature,
        coalesce(o.x_Tenant, u.x_Tenant, '(unallocated)') as x_Tenant,
        coalesce(o.x_Environment, u.x_Environment, '(unallocated)') as x_Environment,
        money_units(c.BilledCost) as billed, money_units(c.EffectiveCost) as effective
    from job_charge as c
    left join named_set as s on s.x_TagSetId = c.x_TagSetId
    left join run_resource as r on r.resource = c.ResourceId
    left join tag_owner as o on o.x_TagSetId = c.x_TagSetId
    left join job_kind as k
        on k.ProviderName = c.ProviderName
        and k.SubAccountId is not distinct from c.SubAccountId
        and k.ServiceName = c.ServiceName
        and k.ServiceCategory = c.ServiceCategory
        and k.ChargeCategory = c.ChargeCategory
        and k.ResourceId = c.ResourceId
        and k.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    left join ruled as u
        on u.ProviderName = c.ProviderName
        and u.SubAccountId is not distinct from c.SubAccountId
        and u.ServiceName = c.ServiceName
        and u.ServiceCategory = c.ServiceCategory
        and u.ChargeCategory = c.ChargeCategory
        and u.ResourceId is not distinct from c.ResourceId
        and u.CommitmentDiscountStatus is not distinct from c.CommitmentDiscountStatus
    where s.x_TagSetId is not null or r.x_RunId is not null or k.x_RunKind is not null
),
-- --------------------------------------------------------------------------- what a run is
cost as (
    select
        run_id, BillingCurrency, 'pod' as x_RunMethod, x_ChargeDay, x_Feature, x_Tenant,
        x_Environment, billed, effective
    from pod_run
    union all
    select
        run_id, BillingCurrency, 'bill' as x_RunMethod, x_ChargeDay, x_Feature, x_Tenant,
        x_Environment, billed, effective
    from job_run
),
run_day as (
    select
        run_id, BillingCurrency, min(x_ChargeDay) as first_day, max(x_ChargeDay) as last_day
    from cost
    group by run_id, BillingCurrency
),
said as (
    select run_id, x_RunKind, x_RegisteredModel, x_ModelVersion from label_set
    union all
    select run_id, x_RunKind, x_RegisteredModel, x_ModelVersion from job_run
),
agreed as (
    select
        run_id,
        case when min(x_RunKind) = max(x_RunKind) then min(x_RunKind) end as x_RunKind,
        case
            when min(lower(x_RegisteredModel)) = max(lower(x_RegisteredModel))
                then min(x_RegisteredModel)
        end as x_RegisteredModel,
        case
            when min(x_ModelVersion) = max(x_ModelVersion) then min(x_ModelVersion)
        end as x_ModelVersion
    from said
    where run_id is not null
    group by run_id
),
registered as (
    select
        x_RunId,
        arg_min(x_RegisteredModel, place) as x_RegisteredModel,
        arg_min(x_ModelVersion, place) as x_ModelVersion
    from (
        select
            x_RunId, x_RegisteredModel, x_ModelVersion,
            row_number() over (
                order by x_CreatedAt, x_RegisteredModel, x_ModelVersion
            ) as place
        from model_life
        where x_RunId is not null
    ) as made
    group by x_RunId
)
select
    $period as BillingPeriod,
    c.run_id as x_RunId,
    c.BillingCurrency,
    coalesce(min(a.x_RunKind), 'training') as x_RunKind,
    coalesce(
        min(case when a.x_ModelVersion is not null then a.x_RegisteredModel end),
        min(r.x_RegisteredModel), min(a.x_RegisteredModel), '(unassigned)'
    ) as x_RegisteredModel,
    coalesce(
        min(case when a.x_RegisteredModel is not null then a.x_ModelVersion end),
        min(r.x_ModelVersion), '(unassigned)'
    ) as x_ModelVersion,
    c.x_Feature,
    c.x_Tenant,
    c.x_Environment,
    case
        when min(c.x_RunMethod) = max(c.x_RunMethod) then min(c.x_RunMethod) else 'both'
    end as x_RunMethod,
    min(d.first_day) as x_FirstDay,
    min(d.last_day) as x_LastDay,
    units_money(sum(c.billed)) as BilledCost,
    units_money(sum(c.effective)) as EffectiveCost
from cost as c
inner join run_day as d on d.run_id = c.run_id and d.BillingCurrency = c.BillingCurrency
left join agreed as a on a.run_id = c.run_id
left join registered as r on r.x_RunId = c.run_id
group by c.run_id, c.BillingCurrency, c.x_Feature, c.x_Tenant, c.x_Environment
order by c.run_id, c.BillingCurrency, c.x_Feature, c.x_Tenant, c.x_Environment
