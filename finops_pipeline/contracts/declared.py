"""Stage 3, declared: what Git asks for, and what model registries know."""

from . import tables_of

TABLES = tables_of(
    "declared",
    "",
    {
        "declared_workload": (
            """One row per applied directory, workload and container, as Git declares it after
            Kustomize patches or chart values.""",
            "x_Repository x_Overlay x_Namespace x_WorkloadKind x_Workload x_Container",
            """x_Repository x_Commit? x_Overlay x_Path x_Namespace x_WorkloadKind x_Workload x_Container
            x_Labels x_Replicas? x_CpuRequestMillicores? x_CpuLimitMillicores?
            x_MemoryRequestBytes? x_MemoryLimitBytes? x_GpuRequest? x_Autoscaler?
            x_MinReplicas? x_MaxReplicas?""",
        ),
        "declared_field": (
            """One row per declared value that a proposal may edit: which file and line holds it.""",
            "x_Repository x_Overlay x_Namespace x_WorkloadKind x_Workload x_Container x_Field",
            """x_Repository x_Overlay x_Namespace x_WorkloadKind x_Workload x_Container x_Field
            x_Path x_Line x_Declared""",
        ),
        "model_version": (
            """One row per registry, model and version: when it lived, which run made it, and where
            it serves.""",
            "x_Registry x_RegisteredModel x_ModelVersion",
            """x_Registry x_RegisteredModel x_ModelVersion x_VersionStage? x_Aliases x_CreatedAt?
            x_RetiredAt? x_RunId? x_RunResources x_Endpoints x_LifeDays? x_ExpectedRequests?""",
        ),
    },
)
