"""Stage 2, usage: what the clusters and the models did."""

from . import tables_of

TABLES = tables_of(
    "usage",
    "x_Day",
    {
        "metric_hour": (
            """Hourly measurements as they come from Prometheus or from files: one row per cluster,
            hour, series and labelled object. The unit of x_Value is fixed by x_Series.""",
            "",
            """x_Day x_Source x_Cluster x_HourStart x_Series x_Namespace? x_Pod? x_PodUid?
            x_Container? x_Node? x_Workload? x_WorkloadKind? x_Labels x_Value""",
        ),
        "container_usage": (
            """One row per cluster, hour, pod UID and container: what it asked for and what it used.""",
            "x_Cluster x_HourStart x_PodUid x_Container",
            """x_Day x_Cluster x_HourStart x_Namespace x_Pod x_PodUid x_Container x_Node?
            x_Workload x_WorkloadKind x_Labels x_RunningMs
            x_CpuRequestCoreMs x_CpuUsageCoreMs? x_CpuPeakMillicores? x_CpuPeriods?
            x_CpuThrottledPeriods? x_CpuLimitMillicores?
            x_MemoryRequestByteSeconds x_MemoryUsageByteSeconds? x_MemoryPeakBytes?
            x_MemoryLimitBytes? x_GpuRequestMs x_GpuDeviceMs x_GpuSliceMs x_GpuBasis? x_GpuBusyMs?
            x_OomKills""",
        ),
        "pod_usage": (
            """One row per cluster, hour and pod UID: the resources the pod held, that is the larger
            of requested and used for each container, taken hour by hour.""",
            "x_Cluster x_HourStart x_PodUid",
            """x_Day x_Cluster x_HourStart x_Namespace x_Pod x_PodUid x_Node? x_Workload
            x_WorkloadKind x_Labels x_RunningMs x_CpuAllocatedCoreMs x_MemoryAllocatedByteSeconds
            x_GpuRequestMs x_GpuBusyMs? x_GpuAllocatedParts x_GpuBasis?""",
        ),
        "node_usage": (
            """One row per cluster, hour and node: its capacity and the id it has on the bill.""",
            "x_Cluster x_HourStart x_Node",
            """x_Day x_Cluster x_HourStart x_Node x_ProviderId? ResourceId? x_InstanceType? x_GpuModel?
            x_Labels x_RunningMs x_CpuCapacityCoreMs x_MemoryCapacityByteSeconds x_GpuCapacityMs
            x_CpuAllocatableCoreMs? x_MemoryAllocatableByteSeconds?
            x_GpuDeviceParts x_GpuSliceParts""",
        ),
        "node_load": (
            """One row per cluster, hour, node and resource: what pods held of it, what the system keeps,
            what was idle, and what pods held beyond it.""",
            "x_Cluster x_HourStart x_Node x_NodeResource",
            """x_Day x_Cluster x_HourStart x_Node x_NodeResource x_NodeCapacity x_NodeHeld
            x_NodeOverhead? x_NodeIdle x_NodeOverCommit""",
        ),
        "volume_usage": (
            """One row per cluster, hour, volume and pod that had it mounted, and one without a pod for
            the time no pod had it.""",
            "x_Cluster x_HourStart x_Volume x_PodUid",
            """x_Day x_Cluster x_HourStart x_Volume x_VolumeId? x_CapacityBytes? x_Namespace? x_Claim?
            x_ClaimLabels x_Pod? x_PodUid? x_Workload? x_WorkloadKind? x_Labels x_RunningMs
            x_VolumeMs""",
        ),
        "network_usage": (
            """One row per cluster, hour and pod UID: the bytes the pod sent and received.""",
            "x_Cluster x_HourStart x_PodUid",
            """x_Day x_Cluster x_HourStart x_Namespace x_Pod x_PodUid x_SentBytes
            x_ReceivedBytes""",
        ),
        "service_usage": (
            """One row per cluster, hour, Service and address of its load balancer.""",
            "x_Cluster x_HourStart x_Namespace x_Service x_ServiceUid x_Address",
            """x_Day x_Cluster x_HourStart x_Namespace x_Service x_ServiceUid x_Address x_Labels
            x_RunningMs""",
        ),
        "workload_replicas": (
            """One row per cluster, hour and workload: the replicas production was asked for.""",
            "x_Cluster x_HourStart x_Namespace x_WorkloadKind x_Workload",
            "x_Day x_Cluster x_HourStart x_Namespace x_WorkloadKind x_Workload x_Replicas",
        ),
        "serving_usage": (
            """One row per cluster, hour, endpoint and model: what vLLM and Triton count of themselves,
            whoever called.""",
            "x_Cluster x_HourStart x_Endpoint x_Model",
            """x_Day x_Cluster x_HourStart x_Endpoint x_Model x_Requests? x_FailedRequests?
            x_Inferences? x_InputTokens? x_CachedInputTokens? x_OutputTokens? x_PrefillMs? x_DecodeMs?
            x_ComputeMs?""",
        ),
        "inference_usage": (
            """One row per hour, endpoint, cluster, feature, tenant, environment, model, key, service tier
            and context class: the inference calls, each counted once, with the owner as the caller
            logged it.""",
            """x_Source x_HourStart x_Endpoint x_Cluster x_Provider x_Feature x_Tenant x_Environment
            x_Model x_Credential x_ServiceTier x_ContextClass""",
            """x_Day x_Source x_HourStart x_Endpoint x_Cluster? x_Provider x_Feature? x_Tenant?
            x_Environment? x_Model x_Credential? x_ServiceTier x_ContextClass? x_Calls x_FailedCalls
            x_UnknownTokenCalls x_FailedUnknownTokenCalls x_InputTokens x_CachedInputTokens
            x_CacheWrite5mTokens x_CacheWrite1hTokens x_OutputTokens x_Images x_AudioMs x_GpuMs
            x_GpuMsCalls x_PrefillMs x_DecodeMs x_PhaseMsCalls x_LatencyMs x_LatencyMaxMs?""",
        ),
        "invocation_usage": (
            """One row per hour, function, feature, tenant and environment: the invocations of
            serverless functions, each counted once, with the owner as the log names it.""",
            "x_Source x_HourStart x_Function SubAccountId x_Feature x_Tenant x_Environment",
            """x_Day x_Source x_HourStart x_Function SubAccountId? x_Feature? x_Tenant?
            x_Environment? x_Invocations x_FailedInvocations x_ColdStarts x_DurationMs
            x_MeasuredInvocations x_MemoryMibMs x_VcpuMs x_ProvisionedMibMs""",
        ),
        "unread_usage": (
            """Lines of the usage inputs that could not be read: one row per refused line.""",
            "",
            "x_Day x_Source x_SourceFile x_SourceRow x_Reason x_RawRow",
        ),
    },
)

INFERENCE_CALL = (
    "x_CallId? x_Time x_Endpoint x_Cluster? x_Provider x_Feature? x_Tenant? x_Environment? x_Model "
    "x_Credential? x_ServiceTier? x_Status x_Calls? x_InputTokens? x_CachedInputTokens? "
    "x_CacheWrite5mTokens? x_CacheWrite1hTokens? x_OutputTokens? x_Images? x_AudioMs? x_GpuMs? "
    "x_PrefillMs? x_DecodeMs? x_LatencyMs?"
)
"""What a log dialect (`sql/usage/calls/<dialect>.sql`) yields, one row per log line, or per row of
calls counted together: `x_Calls`, which is 1 where it is null. `x_Credential` is told as logged
and named by `credential_name()` before anything is kept."""

INVOCATION = (
    "x_InvocationId? x_RequestId? x_Time? x_Function? SubAccountId? x_OwnerFields? x_Status "
    "x_Invocations x_DurationMs? x_MemoryMibMs? x_VcpuMs? x_IsColdStart x_IsProvisioned"
)
"""What an invocation dialect (`sql/usage/invocations/<dialect>.sql`) yields, one row per invocation
or per line that only says whose one is."""
