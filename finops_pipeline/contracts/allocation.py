"""Stage 4, allocation: who consumed it."""

from . import tables_of

TABLES = tables_of(
    "allocation",
    "BillingPeriod",
    {
        "tag_owner": (
            """One row per distinct set of tags, or of labels of pods, claims and Services: the owner
            it names, after aliases.""",
            "x_TagSetId",
            "BillingPeriod x_TagSetId Tags x_Feature? x_Tenant? x_Environment? x_Conflict? x_Normalised",
        ),
        "node_id": (
            """One row per id of a node on the bill that a cluster knows.""",
            "ResourceId",
            "BillingPeriod ResourceId x_NodeResourceId x_Cluster",
        ),
        "volume_id": (
            """One row per disk on the bill that is a volume of a cluster.""",
            "ResourceId",
            "BillingPeriod ResourceId x_VolumeId x_Cluster",
        ),
        "served_endpoint": (
            """The endpoints that were called in the month: one row per name and cluster as logged.""",
            "x_LoggedEndpoint x_Cluster",
            "BillingPeriod x_LoggedEndpoint x_Cluster? x_Endpoint",
        ),
        "price_ratio": (
            """What a core, a GiB of memory and a GPU weigh beside each other: one row per cluster.""",
            "x_Cluster",
            """BillingPeriod x_Cluster x_CpuWeight x_MemoryWeight x_GpuWeight x_RatioBasis
            x_MachineTypes x_UnexplainedPermille? x_Reason?""",
        ),
        "charge_kind": (
            """The bill summed up: one row per invoice, account, service and category.""",
            """InvoiceId BillingCurrency ProviderName SubAccountId ServiceCategory ServiceName
            ChargeCategory""",
            """BillingPeriod InvoiceId BillingCurrency ProviderName SubAccountId? ServiceCategory
            ServiceName ChargeCategory x_ChargeRows BilledCost EffectiveCost""",
        ),
        "node_charge": (
            """What nodes cost: one row per node, hour and kind of charge, or per longer charge.""",
            """x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId ServiceCategory
            ServiceName ChargeCategory ResourceId CommitmentDiscountId x_HourStart x_ChargeEnd""",
            """BillingPeriod x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId?
            ServiceCategory ServiceName ChargeCategory ResourceId x_Cluster
            CommitmentDiscountId? x_HourStart
            x_ChargeEnd? x_ChargeUnits""",
        ),
        "day_range": (
            """The parts a month is worked on in, of whole days: one row per part.""",
            "x_FromDay",
            "BillingPeriod x_FromDay x_UntilDay",
        ),
        "endpoint_id": (
            """Serverless functions and managed endpoints on the bill that a log knows: one row per
            resource and name a log has for it.""",
            "ResourceId x_Function SubAccountId",
            """BillingPeriod ResourceId x_Endpoint x_Pool x_Function? SubAccountId? x_Feature?
            x_Tenant? x_Environment?""",
        ),
        "endpoint_capacity": (
            """What was kept ready of functions and managed endpoints: one row per day, or days of a
            longer charge, and pool.""",
            "x_ChargeDay x_ChargeUntilDay x_Pool",
            "BillingPeriod x_ChargeDay x_ChargeUntilDay? x_Pool x_Capacity",
        ),
        "function_caller": (
            """Who called each function of the bill: one row per day, function and owner.""",
            "x_ChargeDay x_Endpoint x_Feature x_Tenant x_Environment",
            """BillingPeriod x_ChargeDay x_Endpoint x_Feature x_Tenant x_Environment x_Invocations
            x_FailedInvocations x_ColdStarts x_DurationMs x_MeasuredInvocations x_MemoryMibMs
            x_VcpuMs x_ProvisionedMibMs""",
        ),
        "charge_owner": (
            """The bill grouped: one row per day, invoice, service and owner, or per day, invoice,
            service and pool where the owner is found by measured use.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId?
            ServiceCategory ServiceName ChargeCategory x_Pool? CommitmentDiscountId?
            x_ChargeUntilDay? x_Feature x_Tenant x_Environment x_AllocationMethod x_ChargeRows BilledCost EffectiveCost""",
        ),
        "token_time": (
            """What a token cost an engine in time: one row per hour and endpoint whose engine measured
            prefill and decode, and whose calls did not all say.""",
            "x_HourStart x_Endpoint",
            """BillingPeriod x_ChargeDay x_HourStart x_Endpoint x_InputTokenNs x_CachedInputTokenNs
            x_OutputTokenNs""",
        ),
        "usage_share": (
            """One row per pool and consumer: the integer weight the pool is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_TokenRatio? x_Weight""",
        ),
        "endpoint_share": (
            """One row per pool of a function or managed endpoint and consumer: the integer weight
            the pool is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_TokenRatio? x_Weight""",
        ),
        "volume_share": (
            """One row per pool of volumes and consumer: the integer weight the pool is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_Weight""",
        ),
        "load_balancer_id": (
            """Load balancers on the bill that are a Service's of a cluster: one row per load
            balancer.""",
            "ResourceId",
            """BillingPeriod ResourceId x_Cluster x_Namespace x_Service x_Pool x_MatchedBy
            x_Feature? x_Tenant? x_Environment?""",
        ),
        "cluster_share": (
            """One row per pool of a cluster's network, control plane or load balancers and consumer:
            the integer weight the pool is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_Weight""",
        ),
        "commitment_share": (
            """What nobody used of a commitment, where `unused_commitment` splits it: one row per
            pool and owner, with the integer weight it is split by.""",
            "x_PoolId x_Feature x_Tenant x_Environment",
            """BillingPeriod x_PoolId x_ChargeDay x_Feature x_Tenant x_Environment x_Model x_Endpoint
            x_AllocationMethod x_WeightUnit x_Weight""",
        ),
        "allocated_cost": (
            """The bill again: every charge split among those who consumed it. One row per pool and
            owner; sums to cost_and_usage plus quarantine for every invoice and currency.""",
            "x_PoolId x_Feature x_Tenant x_Environment x_Model x_Endpoint x_AllocationMethod",
            """BillingPeriod x_PoolId x_ChargeDay InvoiceId BillingCurrency ProviderName SubAccountId?
            ServiceCategory ServiceName ChargeCategory x_Pool? x_Feature x_Tenant x_Environment
            x_Model x_Endpoint x_AllocationMethod BilledCost EffectiveCost""",
        ),
        "shared_source": (
            """What `[[shared_cost]]` blocks take of allocated_cost: one row per block, day, invoice,
            service, owner, model and pool.""",
            """x_SharedBy x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory
            ServiceName x_Pool x_Feature x_Tenant x_Environment x_Model""",
            """BillingPeriod x_SharedBy x_ChargeDay InvoiceId BillingCurrency ProviderName
            ServiceCategory ServiceName x_Pool? x_Feature x_Tenant x_Environment x_Model BilledCost
            EffectiveCost""",
        ),
        "shared_weight": (
            """Who bears a shared cost in the end, by which integer weight: one row per block and
            days it holds for, owner and pool it takes from, and receiver. What is kept has one row,
            for its own owner; an owner that is null, and the pool `*`, stand for any, for whom the weights
            are the same.""",
            """x_SharedBy x_FromDay BillingCurrency x_Pool x_SharedFeature x_SharedTenant
            x_SharedEnvironment x_Feature x_Tenant x_Environment""",
            """BillingPeriod x_SharedBy x_FromDay x_UntilDay BillingCurrency x_Pool?
            x_SharedFeature? x_SharedTenant? x_SharedEnvironment? x_Feature x_Tenant x_Environment
            x_WeightUnit x_Weight""",
        ),
        "shared_cost": (
            """What moves between owners beside allocated_cost, where `[[shared_cost]]` says so: one
            row per block, day, invoice, service, pool, source, owner and model; sums to zero for
            each source.""",
            """x_SharedBy x_Move x_ChargeDay InvoiceId BillingCurrency ProviderName ServiceCategory
            ServiceName x_Pool x_SharedFeature x_SharedTenant x_SharedEnvironment x_Feature x_Tenant
            x_Environment x_Model""",
            """BillingPeriod x_SharedBy x_Move x_ChargeDay InvoiceId BillingCurrency ProviderName
            ServiceCategory ServiceName x_Pool? x_SharedFeature? x_SharedTenant?
            x_SharedEnvironment? x_Feature x_Tenant x_Environment x_Model x_AllocationMethod BilledCost
            EffectiveCost""",
        ),
        "tag_run": (
            """What tags and pod labels say of runs and model versions: one row per distinct set that
            says any of it.""",
            "x_TagSetId",
            """BillingPeriod x_TagSetId Tags x_RunId? x_RunKind? x_RegisteredModel?
            x_ModelVersion?""",
        ),
        "training_run": (
            """What training, fine-tuning, evaluation and embedding runs cost: one row per run,
            currency and owner. A second view of allocated cost, never added to it.""",
            "x_RunId BillingCurrency x_Feature x_Tenant x_Environment",
            """BillingPeriod x_RunId BillingCurrency x_RunKind x_RegisteredModel x_ModelVersion
            x_Feature x_Tenant x_Environment x_RunMethod x_FirstDay x_LastDay BilledCost
            EffectiveCost""",
        ),
        "served_version": (
            """Which model version did the work: one row per day, endpoint and model.""",
            "x_ChargeDay x_Endpoint x_Model",
            """BillingPeriod x_ChargeDay x_Endpoint x_Model x_RegisteredModel x_ModelVersion
            x_VersionWitness""",
        ),
        "model_use": (
            """Calls and their work by model version: one row per feature, tenant, environment, model, version and
            endpoint.""",
            "x_Feature x_Tenant x_Environment x_Model x_RegisteredModel x_ModelVersion x_Endpoint",
            """BillingPeriod x_Feature x_Tenant x_Environment x_Model x_RegisteredModel
            x_ModelVersion x_Endpoint x_Calls x_UnknownTokenCalls x_InputTokens
            x_CachedInputTokens x_OutputTokens x_InputTokenWork x_TokenWork x_GpuMs x_GpuMsCalls
            x_PrefillNs x_DecodeNs x_PhaseMsCalls""",
        ),
        "caller_day": (
            """What each caller did in a day: one row per day, endpoint, caller as logged and model.""",
            "x_ChargeDay x_Endpoint x_Feature x_Tenant x_Environment x_Model",
            """BillingPeriod x_ChargeDay x_Endpoint x_Feature? x_Tenant? x_Environment? x_Model
            x_Calls x_FailedCalls x_UnknownTokenCalls x_InputTokens x_CachedInputTokens
            x_OutputTokens x_Images x_GpuMs x_GpuMsCalls x_PrefillNs x_DecodeNs x_PhaseMsCalls""",
        ),
        "long_call": (
            """What callers of bought APIs did in the days of a charge for longer than a day: one row
            per pool, days of the charge, endpoint, caller as logged and model.""",
            """x_Pool x_ChargeDay x_ChargeUntilDay x_Endpoint x_Feature x_Tenant x_Environment
            x_Model""",
            """BillingPeriod x_Pool x_ChargeDay x_ChargeUntilDay x_Endpoint x_Feature? x_Tenant?
            x_Environment? x_Model x_Calls x_UnknownTokenCalls x_InputTokens x_CachedInputTokens
            x_OutputTokens x_GpuMs x_GpuMsCalls x_PrefillNs x_DecodeNs x_PhaseMsCalls
            PricingCurrency? ListCost?""",
        ),
        "endpoint_owner": (
            """Whose calls are that did not say it, by the labels of the endpoint's pods or its
            tags: one row per day, endpoint that was called, and owner.""",
            "x_ChargeDay x_Endpoint x_Feature x_Tenant x_Environment",
            """BillingPeriod x_ChargeDay x_Endpoint x_Feature? x_Tenant? x_Environment?
            x_CallShare""",
        ),
        "list_cost": (
            """What calls cost by the price book: one row per day, endpoint, caller as logged, model,
            key, service tier and context class. Calls without a price have a reason instead.""",
            """x_ChargeDay x_Source x_Endpoint x_Provider x_Feature x_Tenant x_Environment x_Model
            x_Credential x_ServiceTier x_ContextClass PricingCurrency x_Reason""",
            """BillingPeriod x_ChargeDay x_Source x_Endpoint x_Provider x_Feature? x_Tenant?
            x_Environment? x_Model x_Credential? x_ServiceTier x_ContextClass? x_Calls x_FailedCalls
            x_UnknownTokenCalls x_FailedUnknownTokenCalls x_InputTokens x_CachedInputTokens
            x_CacheWrite5mTokens x_CacheWrite1hTokens x_OutputTokens x_Images x_AudioMs
            PricingCurrency? ListCost? x_ListCostStandard? x_ListCostBatch? x_ListCostUncached?
            x_Reason?""",
        ),
    },
) + tables_of(
    "allocation",
    "",
    {
        "model_life": (
            """What is known of each model version, from all who say something: one row per model
            and version.""",
            "x_RegisteredModel x_ModelVersion",
            """x_RegisteredModel x_ModelVersion x_CreatedAt? x_RetiredAt? x_RunId? x_RunResources
            x_Endpoints x_LifeDays? x_ExpectedRequests?""",
        ),
        "price": (
            """The price book: one row per provider, model, item, service tier, length of input and
            date from which the price holds, from the files that `[price_book]` names.""",
            "",
            """x_Provider x_Model x_PriceItem x_ServiceTier x_ContextClass x_PriceFrom ListUnitPrice
            x_PricingBlockSize PricingCurrency x_BilledSku? x_SourceFile x_SourceRow""",
        ),
    },
)
