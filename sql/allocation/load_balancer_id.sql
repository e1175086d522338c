-- The load balancers on the bill that are a Service's of a cluster, by their ids.
--
-- A load balancer is a Service's if its name is made of the Service's UID (the cloud providers' own
-- way: `a` and the UID without dashes, 32 letters; Azure puts `kubernetes-` before it), if name and
-- hash of its ARN are the first part of the host name the Service has (network load balancers), or
-- if a tag that the controller wrote holds `namespace/name`: never by a part of a word. Two clusters
-- may have a Service of one name: a tag that names the cluster must name this one, and where no tag
-- does, only one cluster may have such a Service. A load balancer of several Services is none's.
-- Owners are those that the labels of the Service name; what they leave open, its own tags. Where the
-- labels name nobody, no owner is told here, and it stays with its tags and rules.
--
-- One row per load balancer on the bill.
with
service as (
    select
        x_Cluster, x_Namespace, x_Service,
        'service/' || x_Namespace || '/' || x_Service || '/' || x_Cluster as x_Pool,
        x_ServiceUid, x_Address, max(x_HourStart) as last_hour,
        arg_max(x_Labels, x_HourStart) as x_Labels
    from service_usage
    group by x_Cluster, x_Namespace, x_Service, x_ServiceUid, x_Address
),
-- What ids of the bill must be, once cut to what is compared.
service_name as (
    select
        x_Pool, 'uid' as x_MatchedBy,
        unnest([
            left('a' || replace(x_ServiceUid, '-', ''), 32),
            'kubernetes-' || left('a' || replace(x_ServiceUid, '-', ''), 32)
        ]) as name
    from service
    where x_ServiceUid <> ''
    union
    select x_Pool, 'hostname' as x_MatchedBy, split_part(x_Address, '.', 1) as name
    from service
    where contains(x_Address, '.elb.')
),
billed as (
    select ResourceId, x_TagSetId
    from cost_and_usage
    where ResourceId is not null and (select count(*) from service) > 0
    group by ResourceId, x_TagSetId
),
resource_name as (
    select
        ResourceId, 'uid' as x_MatchedBy,
        lower(split_part(split_part(ResourceId, '/', -1), ':', -1)) as name
    from (select distinct ResourceId from billed) as ids
    union all
    select
        ResourceId, 'hostname' as x_MatchedBy,
        split_part(ResourceId, '/', -2) || '-' || split_part(ResourceId, '/', -1) as name
    from (
        select distinct ResourceId
        from billed
        where starts_with(ResourceId, 'arn:') and contains(ResourceId, ':loadbalancer/net/')
    ) as arns
),
-- -------------------------------------------------------------------------------- tags
tag as (
    select x_TagSetId, normal_key(pair.key) as tag_key, normal_value(pair.value) as tag_value
    from (
        select x_TagSetId, unnest(map_entries(json_map(Tags))) as pair
        from tag_set
        where (select count(*) from service) > 0
    ) as pairs
),
named_cluster as (
    select
        x_TagSetId,
        case
            when tag_key = 'elbv2_k8s_aws_cluster' then normal_key(tag_value)
            else substr(tag_key, length('kubernetes_io_cluster_') + 1)
        end as cluster
    from tag
    where tag_key = 'elbv2_k8s_aws_cluster' or starts_with(tag_key, 'kubernetes_io_cluster_')
),
tagged as (
    select t.x_TagSetId, min(s.x_Pool) as x_Pool
    from tag as t
    inner join (select distinct x_Cluster, x_Namespace, x_Service, x_Pool from service) as s
        on s.x_Namespace || '/' || s.x_Service = t.tag_value
    left join (select distinct x_TagSetId from named_cluster) as told
        on told.x_TagSetId = t.x_TagSetId
    left join named_cluster as n
        on n.x_TagSetId = t.x_TagSetId and n.cluster = normal_key(s.x_Cluster)
    where t.tag_key in (
        'kubernetes_io_service_name', 'service_k8s_aws_stack', 'k8s_azure_service'
    )
        and (told.x_TagSetId is null or n.x_TagSetId is not null)
    group by t.x_TagSetId
    having min(s.x_Pool) = max(s.x_Pool)
),
-- ------------------------------------------------------------------- whose each of them is
candidate as (
    select r.ResourceId, s.x_Pool, r.x_MatchedBy
    from resource_name as r
    inner join service_name as s on s.x_MatchedBy = r.x_MatchedBy and s.name = r.name
    union all
    select b.ResourceId, t.x_Pool, 'tag' as x_MatchedBy
    from billed as b
    inner join tagged as t on t.x_TagSetId = b.x_TagSetId
),
-- What the id says comes before what a tag says.
best as (
    select ResourceId, bool_or(x_MatchedBy <> 'tag') as is_by_id
    from candidate
    group by ResourceId
),
matched as (
    select c.ResourceId, min(c.x_Pool) as x_Pool, max(c.x_MatchedBy) as x_MatchedBy
    from candidate as c
    inner join best as b
        on b.ResourceId = c.ResourceId and b.is_by_id = (c.x_MatchedBy <> 'tag')
    group by c.ResourceId
    having min(c.x_Pool) = max(c.x_Pool)
),
-- A Service that was made anew has the labels of the last one.
labelled as (
    select
        x_Pool, min(x_Cluster) as x_Cluster, min(x_Namespace) as x_Namespace,
        min(x_Service) as x_Service,
        max(struct_pack(last_hour := last_hour, labels := x_Labels)).labels as x_Labels
    from service
    group by x_Pool
),
own_tag as (
    select
        b.ResourceId,
        case when min(o.x_Feature) = max(o.x_Feature) then min(o.x_Feature) end as x_Feature,
        case when min(o.x_Tenant) = max(o.x_Tenant) then min(o.x_Tenant) end as x_Tenant,
        case
            when min(o.x_Environment) = max(o.x_Environment) then min(o.x_Environment)
        end as x_Environment
    from billed as b
    inner join matched as m on m.ResourceId = b.ResourceId
    inner join tag_owner as o on o.x_TagSetId = b.x_TagSetId
    group by b.ResourceId
)
select
    $period as BillingPeriod,
    m.ResourceId,
    l.x_Cluster,
    l.x_Namespace,
    l.x_Service,
    m.x_Pool,
    m.x_MatchedBy,
    coalesce(o.x_Feature, t.x_Feature) as x_Feature,
    coalesce(o.x_Tenant, t.x_Tenant) as x_Tenant,
    coalesce(o.x_Environment, t.x_Environment) as x_Environment
from matched as m
inner join labelled as l on l.x_Pool = m.x_Pool
left join tag_owner as o on o.Tags = l.x_Labels
left join own_tag as t
    on t.ResourceId = m.ResourceId
    and coalesce(o.x_Feature, o.x_Tenant, o.x_Environment) is not null
order by m.ResourceId
