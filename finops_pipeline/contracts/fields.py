"""Every column of every table, once: its type, its unit, its meaning and its source.

What belongs here: one `Field` for each column name. Which table has which column is in the
stage modules beside this one. The same quantity has the same name in every table, so a field
is never declared twice. PascalCase names are FOCUS 1.2 columns, verbatim; ours carry the
specification's `x_` prefix (FOCUS 1.2, Attributes, Column Handling).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandera.polars as pa
import polars as pl


@dataclass(frozen=True)
class Field:
    """One column: `type` is a key of `TYPES`; `isin` and `ge` are the values it may hold."""

    type: str
    description: str
    isin: tuple[str, ...] | None = None
    ge: int | None = None

    def column(self, nullable: bool) -> Any:
        """The pandera column, with its checks."""
        checks = []
        if self.isin is not None:
            checks.append(pa.Check.isin(self.isin))
        if self.ge is not None:
            checks.append(pa.Check.ge(self.ge))
        return pa.Column(
            TYPES[self.type], checks=checks, nullable=nullable, description=self.description
        )


# DuckDB's name of a type -> the polars type that pandera checks. Money has one type.
MONEY = "DECIMAL(38,12)"
TYPES: dict[str, Any] = {
    MONEY: pl.Decimal(38, 12),
    "TIMESTAMP": pl.Datetime("us"),
    "DATE": pl.Date,
    "VARCHAR": pl.String,
    "BIGINT": pl.Int64,
    "INTEGER": pl.Int32,
    "BOOLEAN": pl.Boolean,
    "DECIMAL(38,0)": pl.Decimal(38, 0),
}

CHARGE_CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")

# How an allocated row got its owner. Each method is explained in docs/allocation.md.
ALLOCATION_METHODS = (
    "tag",
    "rule",
    "inference",
    "invocation",
    "pod",
    "network",
    "load_balancer",
    "control_plane",
    "cluster_held",
    "endpoint_idle",
    "volume",
    "unmounted",
    "overhead",
    "idle",
    "unmeasured",
    "commitment",
    "shared",
    "unallocated",
    "quarantined",
)

# What the cost of a cluster is made of. Each is explained in docs/allocation.md.
CLUSTER_LINES = (
    "workload",
    "idle",
    "overhead",
    "unmounted",
    "load_balancer",
    "network",
    "control_plane",
    "unmeasured",
)

# What a run of `training_run` is for.
RUN_KINDS = ("training", "fine-tuning", "evaluation", "embedding")

# What a price is of. Each is explained in docs/inference.md.
PRICE_ITEMS = (
    "input",
    "output",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "image",
    "audio_second",
    "call",
    "call_minimum",
)

FIELDS: dict[str, Field] = {
    # ------------------------------------------------------------------ FOCUS 1.2, costs
    "BilledCost": Field(
        MONEY, "What the invoice asks for this charge. Basis of the conservation law."
    ),
    "EffectiveCost": Field(
        MONEY, "The charge with prepaid commitments amortised over what they cover."
    ),
    "ListCost": Field(MONEY, "Public unit price times quantity."),
    "ContractedCost": Field(
        MONEY, "Negotiated unit price times quantity, before commitment discounts."
    ),
    "ListUnitPrice": Field(MONEY, "Public price of one pricing unit."),
    "ContractedUnitPrice": Field(MONEY, "Negotiated price of one pricing unit."),
    "PricingCurrency": Field("VARCHAR", "Currency the price list is in, by its ISO 4217 code."),
    "PricingCurrencyEffectiveCost": Field(MONEY, "EffectiveCost in PricingCurrency."),
    "PricingCurrencyListUnitPrice": Field(MONEY, "ListUnitPrice in PricingCurrency."),
    "PricingCurrencyContractedUnitPrice": Field(MONEY, "ContractedUnitPrice in PricingCurrency."),
    "BillingCurrency": Field(
        "VARCHAR", "ISO 4217 code of the currency of the invoice; `XXX` where unreadable."
    ),
    # ------------------------------------------------------------- FOCUS 1.2, accounts, time
    "BillingAccountId": Field("VARCHAR", "The account that is invoiced."),
    "BillingAccountName": Field("VARCHAR", "Display name of the billing account."),
    "BillingAccountType": Field("VARCHAR", "The provider's name for that kind of account."),
    "SubAccountId": Field("VARCHAR", "The account, subscription or project that used the service."),
    "SubAccountName": Field("VARCHAR", "Display name of the sub account."),
    "SubAccountType": Field("VARCHAR", "The provider's name for that kind of sub account."),
    "BillingPeriodStart": Field(
        "TIMESTAMP", "First instant of the billing period, UTC, inclusive."
    ),
    "BillingPeriodEnd": Field("TIMESTAMP", "End of the billing period, UTC, exclusive."),
    "BillingPeriodStatus": Field(
        "VARCHAR",
        "What the provider itself says of the period: `Open`, or `Closed` when it is final.",
        isin=("Open", "Closed"),
    ),
    "BillingPeriodLastUpdated": Field("TIMESTAMP", "When the provider last said so, UTC."),
    "ChargePeriodStart": Field("TIMESTAMP", "First instant the charge is for, UTC, inclusive."),
    "ChargePeriodEnd": Field("TIMESTAMP", "End of what the charge is for, UTC, exclusive."),
    "InvoiceId": Field(
        "VARCHAR", "Invoice that carries the charge; `(open)` until the provider issues one."
    ),
    "InvoiceIssuerName": Field("VARCHAR", "Who issues the invoice."),
    "ProviderName": Field("VARCHAR", "Who sells the resource or service."),
    "PublisherName": Field("VARCHAR", "Who made the resource or service."),
    # --------------------------------------------------------------- FOCUS 1.2, charges
    "ChargeCategory": Field("VARCHAR", "Nature of the charge.", isin=CHARGE_CATEGORIES),
    "ChargeClass": Field(
        "VARCHAR", "`Correction` for a change to an already invoiced period, else null."
    ),
    "ChargeDescription": Field("VARCHAR", "The provider's own words for the charge."),
    "ChargeFrequency": Field("VARCHAR", "One-Time, Recurring or Usage-Based."),
    "CommitmentDiscountId": Field("VARCHAR", "Savings plan or reservation the charge belongs to."),
    "CommitmentDiscountName": Field("VARCHAR", "Display name of the commitment."),
    "CommitmentDiscountCategory": Field(
        "VARCHAR", "Whether the commitment is to an amount of money, `Spend`, or of use, `Usage`."
    ),
    "CommitmentDiscountType": Field("VARCHAR", "The provider's name for that kind of commitment."),
    "CommitmentDiscountStatus": Field("VARCHAR", "Used or Unused part of the commitment."),
    "CommitmentDiscountQuantity": Field(
        MONEY, "Amount of the commitment bought, used or unused, in CommitmentDiscountUnit."
    ),
    "CommitmentDiscountUnit": Field("VARCHAR", "Unit of CommitmentDiscountQuantity."),
    "CapacityReservationId": Field("VARCHAR", "Capacity reservation the charge belongs to."),
    "CapacityReservationStatus": Field("VARCHAR", "Used or Unused part of reserved capacity."),
    "ConsumedQuantity": Field(MONEY, "Measured consumption, in ConsumedUnit."),
    "ConsumedUnit": Field("VARCHAR", "Unit of ConsumedQuantity."),
    "PricingCategory": Field("VARCHAR", "Standard, Dynamic (spot), Committed or Other."),
    "PricingQuantity": Field(MONEY, "Quantity the price applies to, in PricingUnit."),
    "PricingUnit": Field("VARCHAR", "Unit of PricingQuantity."),
    "RegionId": Field("VARCHAR", "The provider's region id."),
    "RegionName": Field("VARCHAR", "Display name of the region."),
    "AvailabilityZone": Field("VARCHAR", "The provider's zone id."),
    "ResourceId": Field(
        "VARCHAR",
        "The provider's id of the resource; for a node, the last part of its provider id.",
    ),
    "ResourceName": Field("VARCHAR", "Display name of the resource."),
    "ResourceType": Field("VARCHAR", "Kind of resource."),
    "ServiceCategory": Field(
        "VARCHAR", "FOCUS's service category, such as Compute or `AI and Machine Learning`."
    ),
    "ServiceSubcategory": Field(
        "VARCHAR", "FOCUS's finer service category, such as `Virtual Machines` of Compute."
    ),
    "ServiceName": Field("VARCHAR", "The provider's name of the service."),
    "SkuId": Field("VARCHAR", "The provider's SKU."),
    "SkuPriceId": Field("VARCHAR", "The provider's id of the price within the SKU."),
    "SkuMeter": Field("VARCHAR", "What the SKU counts."),
    "SkuPriceDetails": Field(
        "VARCHAR", "What the price depends on, such as core count, as a JSON object."
    ),
    # FOCUS 1.3, what a provider split itself; AllocatedTags are added to Tags.
    "AllocatedMethodId": Field(
        "VARCHAR", "How the provider split the charge this is a part of; null where it did not."
    ),
    "AllocatedMethodDetails": Field(
        "VARCHAR", "By what it was split and how much this part is of it, as a JSON object."
    ),
    "AllocatedResourceId": Field("VARCHAR", "What the provider gave this part of a charge to."),
    "AllocatedResourceName": Field("VARCHAR", "Display name of AllocatedResourceId."),
    "Tags": Field(
        "VARCHAR", "Resource tags as a JSON object, keys and values as the provider delivered them."
    ),
    # ----------------------------------------------------------------------- provenance
    "BillingPeriod": Field(
        "VARCHAR",
        "Calendar month of the bill, `YYYY-MM`. The partition of bill, allocation and showback.",
    ),
    "x_Source": Field(
        "VARCHAR",
        "Name of the `[[billing]]`, `[[metrics]]`, `[[inference]]` or `[[invocation]]` block the row came by.",
    ),
    "x_SourceFile": Field(
        "VARCHAR", "Path of the delivered file, relative to its source's location."
    ),
    "x_SourceRow": Field(
        "BIGINT", "Row in that file, from 1: Parquet row, or CSV record after the header.", ge=1
    ),
    "x_LineItemType": Field("VARCHAR", "The provider's own charge type, before FOCUS."),
    "x_Operation": Field("VARCHAR", "The provider's operation or usage type."),
    "x_TagSetId": Field("BIGINT", "Upper 63 bits of the MD5 of Tags: key of tag_set.", ge=0),
    "x_Reason": Field("VARCHAR", "Why, in words for a person."),
    "x_RawRow": Field("VARCHAR", "The row as delivered, at most 4096 characters."),
    "x_Rows": Field("BIGINT", "Number of delivered rows.", ge=0),
    "x_Bytes": Field("BIGINT", "Size of the delivered file in bytes.", ge=0),
    "x_Sha256": Field("VARCHAR", "SHA-256 of the delivered bytes, as 64 hexadecimal digits."),
    "x_Manifest": Field(
        "VARCHAR",
        "Path of the manifest that lists the file, relative to the fixed part of `manifest`; null where the source has none.",
    ),
    "x_Content": Field("VARCHAR", "The manifest as it was delivered: its bytes, which are UTF-8."),
    # ---------------------------------------------------------------------------- owner
    "x_Feature": Field(
        "VARCHAR",
        "Product feature that caused the cost; `(unallocated)` where nobody can say, `(idle)` for capacity nobody used, `(overhead)` for what the system of a node keeps for itself.",
    ),
    "x_Tenant": Field(
        "VARCHAR", "Customer that caused the cost; `(unallocated)` or `(idle)` likewise."
    ),
    "x_Environment": Field(
        "VARCHAR", "Deployment environment; `(unallocated)` or `(idle)` likewise."
    ),
    "x_Model": Field("VARCHAR", "Model that did the work; `(none)` where no model is involved."),
    "x_AllocationMethod": Field("VARCHAR", "How the owner was found.", isin=ALLOCATION_METHODS),
    "x_Conflict": Field(
        "VARCHAR", "Dimensions whose tags contradict each other, comma separated; null if none."
    ),
    "x_Normalised": Field(
        "VARCHAR", "Tags after keys and values were normalised, as a JSON object."
    ),
    # ------------------------------------------------------------------------ kubernetes
    "x_Day": Field("VARCHAR", "UTC day of a usage partition, `YYYY-MM-DD`."),
    "x_HourStart": Field("TIMESTAMP", "Start of the hour of usage, UTC."),
    "x_Cluster": Field("VARCHAR", "Name of the Kubernetes cluster."),
    "x_Namespace": Field("VARCHAR", "Kubernetes namespace."),
    "x_Pod": Field("VARCHAR", "Pod name."),
    "x_PodUid": Field("VARCHAR", "Pod UID; names are reused, UIDs are not."),
    "x_Container": Field("VARCHAR", "Container name."),
    "x_Node": Field("VARCHAR", "Node name."),
    "x_NodeResourceId": Field(
        "VARCHAR", "ResourceId of the node as the cluster knows it, which the bill may have longer."
    ),
    "x_ProviderId": Field(
        "VARCHAR", "spec.providerID of the node, such as `aws:///us-east-1a/i-0abc`."
    ),
    "x_InstanceType": Field("VARCHAR", "The provider's machine type of the node."),
    "x_GpuModel": Field("VARCHAR", "GPU product name, null on a node without GPU."),
    "x_Workload": Field(
        "VARCHAR", "Name of the top controller of the pod (Deployment, StatefulSet, ...)."
    ),
    "x_WorkloadKind": Field("VARCHAR", "Kind of that controller; `Pod` for a bare pod."),
    "x_Volume": Field("VARCHAR", "Name of the PersistentVolume."),
    "x_VolumeId": Field(
        "VARCHAR",
        "The disk behind the volume, as its provider names it; null where the metrics do not say.",
    ),
    "x_Claim": Field(
        "VARCHAR",
        "PersistentVolumeClaim that has the volume, or had it; null where none is known.",
    ),
    "x_ClaimLabels": Field("VARCHAR", "Labels of the claim, written as x_Labels is."),
    "x_CapacityBytes": Field("BIGINT", "Size of the volume, bytes; null where not measured.", ge=0),
    "x_VolumeMs": Field(
        "BIGINT",
        "Milliseconds of the hour that the pod had the volume mounted; without a pod, those that no pod had.",
        ge=0,
    ),
    "x_Labels": Field(
        "VARCHAR",
        "Labels as a JSON object with sorted keys, names as Prometheus writes them, without `label_`.",
    ),
    "x_Series": Field(
        "VARCHAR",
        "Canonical name of the measured series; its unit is in docs/data-dictionary.md under metric_hour.",
    ),
    "x_Value": Field(
        "BIGINT", "Value of the series over the hour, an integer in the unit of the series."
    ),
    "x_RunningMs": Field("BIGINT", "Milliseconds the object existed in the hour.", ge=0),
    "x_CpuRequestCoreMs": Field("BIGINT", "Requested CPU, core-milliseconds.", ge=0),
    "x_CpuUsageCoreMs": Field(
        "BIGINT", "Used CPU, core-milliseconds; null where not measured.", ge=0
    ),
    "x_CpuAllocatedCoreMs": Field(
        "BIGINT",
        "Sum over containers of the larger of requested and used CPU, core-milliseconds.",
        ge=0,
    ),
    "x_CpuCapacityCoreMs": Field("BIGINT", "CPU capacity of the node, core-milliseconds.", ge=0),
    "x_CpuAllocatableCoreMs": Field(
        "BIGINT",
        "CPU of the node that is left for pods, core-milliseconds; null where not measured.",
        ge=0,
    ),
    "x_NodeResource": Field(
        "VARCHAR",
        "Resource of a node: `cpu` in core-milliseconds, `memory` in byte-seconds, `gpu` in 10080ths of a GPU-millisecond.",
        isin=("cpu", "memory", "gpu"),
    ),
    "x_NodeCapacity": Field("BIGINT", "What the node has of the resource.", ge=0),
    "x_NodeHeld": Field("BIGINT", "What its pods held of it, also beyond what it has.", ge=0),
    "x_NodeOverhead": Field(
        "BIGINT",
        "What the system of the node kept of it for itself and no pod held; null where not measured.",
        ge=0,
    ),
    "x_NodeIdle": Field("BIGINT", "What of it neither pods held nor the system kept.", ge=0),
    "x_NodeOverCommit": Field("BIGINT", "What pods held of it beyond what the node has.", ge=0),
    "x_CpuPeakMillicores": Field(
        "BIGINT",
        "Highest 5 minute CPU rate in the hour, millicores; null where not measured.",
        ge=0,
    ),
    "x_CpuPeriods": Field("BIGINT", "CFS enforcement periods; null where not measured.", ge=0),
    "x_CpuThrottledPeriods": Field(
        "BIGINT", "CFS periods in which the container was throttled; null where not measured.", ge=0
    ),
    "x_MemoryRequestByteSeconds": Field("BIGINT", "Requested memory, byte-seconds.", ge=0),
    "x_MemoryUsageByteSeconds": Field(
        "BIGINT", "Working set, byte-seconds; null where not measured.", ge=0
    ),
    "x_MemoryAllocatedByteSeconds": Field(
        "BIGINT",
        "Sum over containers of the larger of requested and used memory, byte-seconds.",
        ge=0,
    ),
    "x_MemoryCapacityByteSeconds": Field(
        "BIGINT", "Memory capacity of the node, byte-seconds.", ge=0
    ),
    "x_MemoryAllocatableByteSeconds": Field(
        "BIGINT",
        "Memory of the node that is left for pods, byte-seconds; null where not measured.",
        ge=0,
    ),
    "x_MemoryPeakBytes": Field(
        "BIGINT", "Largest working set sample in the hour, bytes; null where not measured.", ge=0
    ),
    "x_GpuRequestMs": Field(
        "BIGINT",
        "Requested GPU devices (whole GPUs, replicas of shared ones, MIG slices), device-milliseconds.",
        ge=0,
    ),
    "x_GpuDeviceMs": Field(
        "BIGINT", "Of x_GpuRequestMs, whole GPUs and replicas of shared ones.", ge=0
    ),
    "x_GpuSliceMs": Field(
        "BIGINT", "Compute slices of the MIG devices requested, slice-milliseconds.", ge=0
    ),
    "x_GpuBasis": Field(
        "VARCHAR",
        "What GPUs are known by. Of a pod: its `request`, `dcgm` where they were claimed and not requested, or `dcgm_day` where DCGM saw them in another hour of the day; null where it held none. Of a cost: `dcgm` where every hour was measured, else `request`.",
        isin=("dcgm", "dcgm_day", "request"),
    ),
    "x_GpuBusyMs": Field(
        "BIGINT", "GPU engine active time, device-milliseconds; null where DCGM is absent.", ge=0
    ),
    "x_GpuAllocatedParts": Field(
        "BIGINT", "Held of real GPUs, in 10080ths of a GPU-millisecond.", ge=0
    ),
    "x_TokenWork": Field(
        "DECIMAL(38,0)",
        "Tokens in thousandths, each weighted by its kind as the ratio of the day says.",
    ),
    "x_InputTokenWork": Field("DECIMAL(38,0)", "Part of x_TokenWork that is of input tokens."),
    "x_TokenRatio": Field(
        "VARCHAR",
        "Name of the `[[token_ratio]]` that tokens were weighted by, or `allocation`; in order, where a month has several; null where tokens did not weigh.",
    ),
    "x_InputTokenNs": Field(
        "DECIMAL(38,0)", "Prefill an input token took, nanoseconds, rounded down.", ge=0
    ),
    "x_CachedInputTokenNs": Field(
        "DECIMAL(38,0)",
        "What one that was read from a cache took: none, or the same where nobody tells them apart.",
        ge=0,
    ),
    "x_OutputTokenNs": Field(
        "DECIMAL(38,0)", "Decode an output token took, nanoseconds, rounded down.", ge=0
    ),
    "x_PrefillNs": Field(
        "DECIMAL(38,0)",
        "Prefill of the calls, nanoseconds: as logged, or by what the engine took for a token.",
        ge=0,
    ),
    "x_DecodeNs": Field("DECIMAL(38,0)", "Decode of the calls, likewise, nanoseconds.", ge=0),
    "x_CostByGpuTime": Field(
        MONEY,
        "What the caller would bear by GPU milliseconds; null where not every call told them.",
    ),
    "x_CostByPhaseTime": Field(
        MONEY,
        "What the caller would bear by prefill and decode; null where these are not known of every call with tokens.",
    ),
    "x_CostByTokens": Field(
        MONEY, "What the caller would bear by weighted tokens; null where no call told any."
    ),
    "x_CostByCalls": Field(
        MONEY, "What the caller would bear by calls; null where none of theirs was logged."
    ),
    "x_MethodSpread": Field(MONEY, "The largest of those less the smallest."),
    "x_GpuHeldMs": Field("BIGINT", "Real GPUs held, whole or in part, GPU-milliseconds.", ge=0),
    "x_BusyCost": Field(MONEY, "Part of the cost for the time the GPUs were busy."),
    "x_HeldIdleCost": Field(
        MONEY, "Part of the cost for the time the GPUs were held and not busy."
    ),
    "x_GpuCapacityMs": Field(
        "BIGINT", "Real GPUs of the node, however shared or cut, GPU-milliseconds.", ge=0
    ),
    "x_GpuDeviceParts": Field(
        "BIGINT", "What a listed GPU device is of a real GPU, in 10080ths.", ge=0
    ),
    "x_GpuSliceParts": Field("BIGINT", "What a MIG slice is of a real GPU, in 10080ths.", ge=0),
    "x_OomKills": Field(
        "BIGINT", "Containers last ended by the kernel's OOM killer in the hour.", ge=0
    ),
    "x_Replicas": Field("BIGINT", "Replicas asked for.", ge=0),
    "x_SentBytes": Field("BIGINT", "Bytes the pod sent, on all its network interfaces.", ge=0),
    "x_ReceivedBytes": Field("BIGINT", "Bytes it received.", ge=0),
    "x_Service": Field("VARCHAR", "Name of the Kubernetes Service."),
    "x_ServiceUid": Field("VARCHAR", "Its UID; empty where the metrics do not tell it."),
    "x_Address": Field(
        "VARCHAR", "Host name of its load balancer, or its IP address where it has no name."
    ),
    "x_MatchedBy": Field(
        "VARCHAR",
        "What says that the load balancer is the Service's: the Service's UID in its name (`uid`), its host name in the ARN (`hostname`), or a tag that the controller wrote (`tag`).",
        isin=("uid", "hostname", "tag"),
    ),
    "x_ClusterLine": Field(
        "VARCHAR",
        "What of a cluster the money was for; docs/allocation.md explains each.",
        isin=CLUSTER_LINES,
    ),
    "x_CpuLimitMillicores": Field("BIGINT", "CPU limit of one container, millicores.", ge=0),
    "x_MemoryLimitBytes": Field("BIGINT", "Memory limit of one container, bytes.", ge=0),
    # ------------------------------------------------------------------------- inference
    "x_Endpoint": Field(
        "VARCHAR",
        "What did the work: `namespace/workload` in a cluster, `cluster/namespace/workload` where a log says which of several that run one of that name it was, `namespace/claim` for a volume nobody mounted, `provider/model` for a bought API, a function's id on the bill; `(none)` where none of these.",
    ),
    "x_LoggedEndpoint": Field("VARCHAR", "The name a log has for an endpoint."),
    "x_Provider": Field(
        "VARCHAR", "Who served the model, by OpenTelemetry's gen_ai.provider.name."
    ),
    "x_CallId": Field(
        "VARCHAR",
        "Id of the call given by the gateway or tracer; the same id delivered twice is one call.",
    ),
    "x_Status": Field("VARCHAR", "`ok` or `error`.", isin=("ok", "error")),
    "x_Credential": Field(
        "VARCHAR",
        "Name of the key or role the call was made with, null where not logged; never a key itself: what looks like one is `sha256:` and 16 digits.",
    ),
    "x_ServiceTier": Field(
        "VARCHAR",
        "How fast the provider was asked to answer: `standard`, `batch`, `flex`, `priority`, or another word of his.",
    ),
    "x_ContextClass": Field(
        "BIGINT",
        "Number of input tokens a call must exceed to be of this class, 0 for the shortest; null where a row stands for several calls and does not tell how long each was.",
        ge=0,
    ),
    "x_Calls": Field(
        "BIGINT", "Inference calls, retries included, duplicate deliveries not.", ge=0
    ),
    "x_FailedCalls": Field("BIGINT", "Calls that ended in an error.", ge=0),
    "x_UnknownTokenCalls": Field(
        "BIGINT",
        "Calls that told not both their input and their output tokens (unknown, not zero).",
        ge=0,
    ),
    "x_UnbilledCalls": Field(
        "BIGINT",
        "Calls on days on which no bill has a cost of calls for their endpoint: not billed yet, or never. "
        "They are not among x_Calls.",
        ge=0,
    ),
    "x_CallShare": Field(
        "BIGINT",
        "Part of the day's calls that left their owner out, in billionths.",
        ge=0,
    ),
    "x_FailedUnknownTokenCalls": Field("BIGINT", "Those of them that ended in an error.", ge=0),
    "x_InputTokens": Field(
        "BIGINT", "Input tokens, those read from a cache and written to one included.", ge=0
    ),
    "x_CachedInputTokens": Field("BIGINT", "Input tokens read from a cache.", ge=0),
    "x_CacheWrite5mTokens": Field(
        "BIGINT",
        "Input tokens written to a cache, for five minutes or for the only time there is.",
        ge=0,
    ),
    "x_CacheWrite1hTokens": Field("BIGINT", "Input tokens written to a cache for an hour.", ge=0),
    "x_OutputTokens": Field("BIGINT", "Output tokens.", ge=0),
    "x_Images": Field("BIGINT", "Images that were made, where the log counts them.", ge=0),
    "x_AudioMs": Field("BIGINT", "Audio that was heard, milliseconds, where the log has it.", ge=0),
    "x_GpuMs": Field("BIGINT", "GPU-milliseconds of work as logged by the server.", ge=0),
    "x_GpuMsCalls": Field("BIGINT", "Calls whose GPU time was logged.", ge=0),
    "x_Requests": Field(
        "BIGINT",
        "Requests the engines finished, failed ones included; null where not counted.",
        ge=0,
    ),
    "x_FailedRequests": Field(
        "BIGINT", "Requests that ended in an error, where the engine counts them; else null.", ge=0
    ),
    "x_Inferences": Field(
        "BIGINT", "Inferences as Triton counts them: a batch of n is n; null for others.", ge=0
    ),
    "x_PrefillMs": Field(
        "BIGINT",
        "Time of prefill, summed over requests, milliseconds: of an engine as it counts, of calls as logged by the server.",
        ge=0,
    ),
    "x_DecodeMs": Field("BIGINT", "Time of decode, likewise, milliseconds.", ge=0),
    "x_ComputeMs": Field(
        "BIGINT",
        "Time Triton spent executing the model, summed over requests, milliseconds; null for others.",
        ge=0,
    ),
    "x_PhaseMsCalls": Field(
        "BIGINT",
        "Calls whose prefill and decode were both logged; in the allocation also those whose tokens and engine tell it.",
        ge=0,
    ),
    "x_LatencyMs": Field("BIGINT", "Duration of the calls, summed, milliseconds.", ge=0),
    "x_LatencyMaxMs": Field("BIGINT", "Slowest call, milliseconds; null where not logged.", ge=0),
    "x_Time": Field("TIMESTAMP", "When the call started, UTC."),
    # --------------------------------------------------------------------------- prices
    "x_PriceItem": Field("VARCHAR", "What the price is of.", isin=PRICE_ITEMS),
    "x_PriceFrom": Field("TIMESTAMP", "First hour the price holds, UTC, until a later one does."),
    "x_PricingBlockSize": Field(
        "BIGINT", "Units that ListUnitPrice is for, such as 1000000 tokens.", ge=1
    ),
    "x_BilledSku": Field(
        "VARCHAR", "SkuId that the bill has for the model, `*` for any text; null where not told."
    ),
    "x_ListCostStandard": Field(
        MONEY, "ListCost had all calls been of the tier `standard`; null where one has no price."
    ),
    "x_ListCostBatch": Field(
        MONEY, "ListCost had all calls been of the tier `batch`; null where one has no price."
    ),
    "x_ListCostUncached": Field(
        MONEY, "ListCost had every input token been an ordinary one; null where one has no price."
    ),
    # ------------------------------------------------------------------------ serverless
    "x_Function": Field(
        "VARCHAR",
        "Function or service as its log names it: its id on the bill, or the end of it, such as `function:resize`; `namespace/workload` in a cluster.",
    ),
    "x_InvocationId": Field(
        "VARCHAR", "Id of the invocation; the same id delivered twice is one invocation."
    ),
    "x_RequestId": Field("VARCHAR", "Id that lines about the same request share."),
    "x_OwnerFields": Field(
        "VARCHAR", "Fields of the line as a JSON object; those that `[owner]` names are read."
    ),
    "x_Invocations": Field(
        "BIGINT", "Invocations, retries included, duplicate deliveries not.", ge=0
    ),
    "x_FailedInvocations": Field("BIGINT", "Invocations that ended in an error.", ge=0),
    "x_ColdStarts": Field(
        "BIGINT",
        "Invocations that waited for an environment to start, where the log says so.",
        ge=0,
    ),
    "x_DurationMs": Field(
        "BIGINT",
        "Duration of the invocations, summed, milliseconds; what is billed, where the log says so.",
        ge=0,
    ),
    "x_MeasuredInvocations": Field("BIGINT", "Invocations whose memory is known.", ge=0),
    "x_MemoryMibMs": Field(
        "BIGINT",
        "Memory times duration, MiB-milliseconds; 1,024,000 of them are a GB-second on a bill.",
        ge=0,
    ),
    "x_VcpuMs": Field("BIGINT", "vCPUs times duration, vCPU-milliseconds.", ge=0),
    "x_ProvisionedMibMs": Field(
        "BIGINT", "The part of x_MemoryMibMs on capacity that was kept ready.", ge=0
    ),
    "x_IsColdStart": Field("BOOLEAN", "Whether the invocation waited for an environment."),
    "x_IsProvisioned": Field("BOOLEAN", "Whether it ran on capacity that was kept ready."),
    # -------------------------------------------------------------------------- declared
    "x_Repository": Field("VARCHAR", "Name of the `[[gitops]]` block."),
    "x_Commit": Field("VARCHAR", "Commit the declaration was read at."),
    "x_Path": Field("VARCHAR", "File in the repository that a change of this value would edit."),
    "x_Overlay": Field(
        "VARCHAR",
        "Directory that Argo CD or Flux applies: a Kustomize overlay, a chart, or a folder of YAML.",
    ),
    "x_Field": Field(
        "VARCHAR", "Dotted path of the declared value, such as `resources.requests.cpu`."
    ),
    "x_Line": Field(
        "BIGINT",
        "Line of the value in the file, from 1; null where the value is not written.",
        ge=1,
    ),
    "x_Declared": Field("VARCHAR", "The value as written, such as `500m`."),
    "x_CpuRequestMillicores": Field(
        "BIGINT", "Declared CPU request of one container, millicores.", ge=0
    ),
    "x_MemoryRequestBytes": Field(
        "BIGINT", "Declared memory request of one container, bytes.", ge=0
    ),
    "x_GpuRequest": Field("BIGINT", "Declared GPUs of one container.", ge=0),
    "x_Autoscaler": Field(
        "VARCHAR", "`HPA`, `VPA` or `KEDA` where one targets the workload, else null."
    ),
    "x_MinReplicas": Field("BIGINT", "Lower bound of the autoscaler.", ge=0),
    "x_MaxReplicas": Field("BIGINT", "Upper bound of the autoscaler.", ge=0),
    "x_CapacityWeight": Field(
        "DECIMAL(38,0)",
        "Capacity of a node over its hours, in price weights of CPU, memory and GPU.",
        ge=0,
    ),
    # ---------------------------------------------------------------------------- models
    "x_Registry": Field(
        "VARCHAR", "Name of the `[[registry]]` block; `(finops.toml)` where you said it yourself."
    ),
    "x_RegisteredModel": Field(
        "VARCHAR",
        "Name of the model in its registry or on labels, `(unassigned)` where a run names none; as called where no version is known.",
    ),
    "x_ModelVersion": Field(
        "VARCHAR",
        "Version of that model; `(unassigned)` for a run that made none, `(unknown)` where nobody says which one served.",
    ),
    "x_VersionStage": Field(
        "VARCHAR", "Stage or approval of the version, in the registry's own words."
    ),
    "x_Aliases": Field("VARCHAR", "Aliases of the version, as a sorted JSON list."),
    "x_CreatedAt": Field("TIMESTAMP", "When the version was registered, UTC: its life begins."),
    "x_RetiredAt": Field(
        "TIMESTAMP", "From when on it serves no more, UTC; null while it may serve."
    ),
    "x_RunResources": Field(
        "VARCHAR",
        "What the run ran on, as a sorted JSON list: `namespace/workload`, or ResourceId on the bill.",
    ),
    "x_Endpoints": Field(
        "VARCHAR",
        "Where the version serves, as a sorted JSON list of `namespace/workload` or name.",
    ),
    "x_LifeDays": Field(
        "BIGINT", "Days its training is spread over; null where nothing is said.", ge=1
    ),
    "x_ExpectedRequests": Field(
        "BIGINT", "Requests its training is spread over, instead of days; null where by days.", ge=1
    ),
    "x_RunId": Field(
        "VARCHAR", "Run, as labels or the registry name it; else the workload or job it is."
    ),
    "x_RunKind": Field("VARCHAR", "What the run is for.", isin=RUN_KINDS),
    "x_RunMethod": Field(
        "VARCHAR",
        "How the cost of the run was found: allocated to its `pod`s, charged to its job on the `bill`, or `both`.",
        isin=("pod", "bill", "both"),
    ),
    "x_FirstDay": Field("DATE", "First UTC day of the period with a cost of the run."),
    "x_LastDay": Field("DATE", "Last UTC day of the period with a cost of the run."),
    "x_VersionWitness": Field(
        "VARCHAR",
        "Who says which version served: the `registry`, the `cluster_label` of its pods, or `nobody`.",
        isin=("registry", "cluster_label", "nobody"),
    ),
    "x_ScheduleMethod": Field(
        "VARCHAR",
        "How the cost is spread: by days (`straight_line`), by `requests`, or not at all, for a run without a version (`none`).",
        isin=("straight_line", "requests", "none"),
    ),
    "x_ScheduleKind": Field(
        "VARCHAR",
        "What the amount is: `amortised`; `written_off`, the rest on retirement; `expensed`, cost with no life left; `remaining`, still to come.",
        isin=("amortised", "written_off", "expensed", "remaining"),
    ),
    # ------------------------------------------------------------------------ allocation
    "x_PoolId": Field(
        "VARCHAR",
        "Charges that are split together: MD5 of what they share (day, invoice, service, ...).",
    ),
    "x_Pool": Field(
        "VARCHAR",
        "What splits the pool: `node/<cluster>`, `volume/<cluster>`, `service/<namespace>/<Service>/<cluster>` for its load balancer, `network/<block>/<cluster>`, `control_plane/...` and `load_balancer/...` likewise, `inference/<split name>` and the endpoint where the split tells them apart, `function/<id>/<what the charge counts>`, or `commitment/<policy>` for what nobody used of one; `/month` follows where that is for longer than a day.",
    ),
    "x_ChargeEnd": Field(
        "TIMESTAMP", "End of a charge for longer than the hour it begins in; null for the others."
    ),
    "x_ChargeUnits": Field(
        "DECIMAL(38,0)", "Size of the charge in 10^-12 of its currency, at least 1.", ge=1
    ),
    "x_ChargeUntilDay": Field(
        "DATE",
        "First UTC day that a charge for longer than a day is not for any more, where it is split among who called in its days; null for the others.",
    ),
    "x_FromDay": Field("DATE", "First UTC day of the part."),
    "x_UntilDay": Field("DATE", "First UTC day after the part."),
    "x_Weight": Field(
        "DECIMAL(38,0)",
        "The consumer's part of the pool, an integer; only its proportion matters.",
        ge=0,
    ),
    "x_Capacity": Field(
        "DECIMAL(38,0)",
        "What was kept ready: MiB-milliseconds of a function, GPU-milliseconds of an endpoint.",
        ge=0,
    ),
    "x_CpuWeight": Field(
        "BIGINT", "Price weight of a core hour; only the proportion of the three matters.", ge=0
    ),
    "x_MemoryWeight": Field("BIGINT", "Price weight of a GiB hour.", ge=0),
    "x_GpuWeight": Field("BIGINT", "Price weight of a GPU hour.", ge=0),
    "x_RatioBasis": Field(
        "VARCHAR",
        "Where the weights are from: `stated` in the configuration, or by `regression` of the "
        "bill's own prices.",
        isin=("stated", "regression"),
    ),
    "x_MachineTypes": Field(
        "BIGINT", "Machine types whose prices were there to be fitted to.", ge=0
    ),
    "x_UnexplainedPermille": Field(
        "BIGINT",
        "Mean part of a machine type's price that the weights miss, in thousandths; null where "
        "nothing was fitted.",
        ge=0,
    ),
    "x_WeightUnit": Field(
        "VARCHAR",
        "What the weight counts before it was costed. Of calls, from best to weakest: `list_cost`, `gpu_ms`, `phase_ms` (prefill and decode), `tokens`, `calls`; where hours differ, the weakest of them.",
    ),
    "x_SharedBy": Field(
        "VARCHAR", "Name of the `[[shared_cost]]` block that takes the cost from its first owner."
    ),
    "x_Move": Field(
        "VARCHAR",
        "`taken` from its first owner, below zero for a cost, or `given` to who bears it.",
        isin=("taken", "given"),
    ),
    "x_SharedFeature": Field(
        "VARCHAR",
        "Feature whose cost is shared; null where the weights do not depend on it.",
    ),
    "x_SharedTenant": Field(
        "VARCHAR",
        "Tenant whose cost is shared; null where the weights do not depend on it.",
    ),
    "x_SharedEnvironment": Field(
        "VARCHAR",
        "Environment whose cost is shared; null where the weights do not depend on it.",
    ),
    # -------------------------------------------------------------------------- findings
    "x_FindingId": Field("VARCHAR", "Stable id: the same problem has the same id in the next run."),
    "x_FindingKind": Field(
        "VARCHAR",
        "What is wrong.",
        isin=(
            "untagged",
            "wrong_case",
            "typo",
            "swapped",
            "stale",
            "conflict",
            "shared_as_one",
            "witness_disagrees",
            "replica_drift",
            "label_drift",
            "closed_period_changed",
            "closed_showback_changed",
        ),
    ),
    "x_Dimension": Field(
        "VARCHAR", "feature, tenant or environment; `replicas` for drift of replicas."
    ),
    "x_TagKey": Field("VARCHAR", "The tag key as delivered; null where no tag is there."),
    "x_TagValue": Field("VARCHAR", "The tag value as delivered; null where no tag is there."),
    "x_LikelyValue": Field(
        "VARCHAR", "The value the witnesses support; null where they are absent or disagree."
    ),
    "x_Witnesses": Field(
        "VARCHAR", "JSON list of {witness, value, where}: who says what, and the row that says it."
    ),
    "x_WitnessCount": Field("BIGINT", "Independent witnesses for the likely value.", ge=0),
    "x_ChargeRows": Field("BIGINT", "Charges the finding is about.", ge=0),
    "x_LargestCharge": Field(
        MONEY,
        "EffectiveCost of the largest single charge of the group. It is at x_SourceFile and "
        "x_SourceRow; of charges that are equal, the first of the bill is.",
    ),
    "x_OwnerValue": Field("VARCHAR", "Value of an owner dimension, normalised and after aliases."),
    "x_Spelling": Field("VARCHAR", "The value as its witness writes it, case and blanks kept."),
    "x_Decides": Field(
        "BOOLEAN",
        "Whether the row settles the value: tags by trust without contradiction, evidence by nine tenths of its weight.",
    ),
    "x_Rank": Field(
        "BIGINT",
        "Place of the value among those its witness names for the resource, the heaviest is 1.",
        ge=1,
    ),
    "x_TagFault": Field(
        "VARCHAR",
        "What is wrong with the tag, or that it is right.",
        isin=("right", "conflict", "wrong_case", "swapped", "typo", "stale"),
    ),
    "x_RightValue": Field(
        "VARCHAR",
        "The value the tag should have, as far as its spelling and the other tags beside it tell; of a right one its own.",
    ),
    "x_RightTagKey": Field("VARCHAR", "The other tag that has that value."),
    "x_Witness": Field(
        "VARCHAR",
        "Who says it: cluster labels, the inference log, Git, the configuration; `use` is the measured use, by calls where there are any, else by labels.",
        isin=("cluster_label", "inference_log", "git", "configuration", "use"),
    ),
    "x_Where": Field(
        "VARCHAR",
        "Where the witness says it: workload, endpoint, file of a repository or section of finops.toml.",
    ),
    # ----------------------------------------------------------------------- rightsizing
    "x_RecommendationId": Field(
        "VARCHAR", "Stable id: the same proposal has the same id in the next run."
    ),
    "x_Recommender": Field("VARCHAR", "SQL file in sql/rightsizing that gave the answer."),
    "x_Outcome": Field(
        "VARCHAR", "`propose`, or `none` with the reason.", isin=("propose", "none")
    ),
    "x_Current": Field("VARCHAR", "Value as declared in Git."),
    "x_Proposed": Field("VARCHAR", "Value proposed; null when the outcome is none."),
    "x_MonthlySaving": Field(
        MONEY, "EffectiveCost a month of 730 hours would fall by, at the unit cost of the period."
    ),
    "x_Evidence": Field("VARCHAR", "JSON object of the measurements behind the answer."),
    # -------------------------------------------------------------------------- showback
    "x_ChargeDay": Field("DATE", "UTC day the charge is for."),
    "x_QuarantinedRows": Field("BIGINT", "Delivered rows that could not be read.", ge=0),
    "x_TagChecksum": Field(
        "DECIMAL(38,0)",
        "Sum of x_TagSetId over the charges: it moves when tags were changed and money was not.",
        ge=0,
    ),
    "x_ChargeChecksum": Field(
        "DECIMAL(38,0)",
        "Sum of a hash of each charge and quarantined row, their place apart: it moves when money "
        "went from one to another and the sum stayed.",
        ge=0,
    ),
    "x_HashMark": Field(
        "VARCHAR", "A fixed row by the hash of x_ChargeChecksum; only what has the same compares."
    ),
    "x_BilledSummary": Field(
        MONEY, "What the provider's own invoice asks for; null where none is given."
    ),
    "x_MinorUnit": Field(
        MONEY, "Smallest amount the currency is paid in (ISO 4217), such as 0.01."
    ),
    "x_NamedDifference": Field(
        MONEY, "The difference that x_Reason is for; another one stops publication."
    ),
    "x_BilledIngested": Field(MONEY, "BilledCost of the rows that were read."),
    "x_BilledQuarantined": Field(MONEY, "BilledCost of the rows that could not be read."),
    "x_EffectiveQuarantined": Field(MONEY, "EffectiveCost of the rows that could not be read."),
    "x_BilledAllocated": Field(
        MONEY, "BilledCost with a named owner in feature, tenant or environment."
    ),
    "x_BilledIdle": Field(MONEY, "BilledCost of capacity nobody used."),
    "x_BilledUnallocated": Field(MONEY, "BilledCost nobody can be named for in any dimension."),
    "x_SummaryDifference": Field(
        MONEY,
        "Read plus quarantined, less the provider's own invoice; null where none is given.",
    ),
    "x_DeliveryDifference": Field(
        MONEY, "What the files' own cost column sums to, less what was read and quarantined."
    ),
    "x_AllocationDifference": Field(MONEY, "Read plus quarantined, less all that was shown back."),
    "x_UnpricedCalls": Field(
        "BIGINT", "Calls without a list price in the currency of the bill.", ge=0
    ),
    "x_ListDifference": Field(MONEY, "BilledCost less ListCost: the sum of the gaps."),
    "x_GapOtherCharges": Field(
        MONEY, "Tax, credits and other charges of the split that are not for use of the month."
    ),
    "x_GapOutsideGateway": Field(MONEY, "Billed for a day of which no call was logged."),
    "x_GapNotBilled": Field(MONEY, "Logged on a day for which no use was billed; below zero."),
    "x_GapNoPrice": Field(MONEY, "Calls that the price book has no price for."),
    "x_GapUnknownTokens": Field(
        MONEY, "Calls that succeeded and told no tokens, at the mean of those that did."
    ),
    "x_GapRetry": Field(
        MONEY, "Calls that failed and told no tokens, at the mean of those that did."
    ),
    "x_GapCache": Field(MONEY, "Cached tokens, billed as if there had been no cache."),
    "x_GapBatch": Field(MONEY, "Calls billed by the tier `batch`, or no more by it."),
    "x_GapPriceDrift": Field(
        MONEY,
        "A ratio of bill to list that is the same, to the thousandth, on three days in a row or more.",
    ),
    "x_GapUnexplained": Field(MONEY, "What is left, which nothing in log and bill tells."),
    "x_UnitCostPerCall": Field(MONEY, "EffectiveCost per call."),
    "x_UnitCostPerThousandTokens": Field(
        MONEY,
        "EffectiveCost per thousand input and output tokens, of the calls that told them: their part of "
        "the cost, by calls, over their tokens.",
    ),
    "x_InputCost": Field(
        MONEY,
        "Part of EffectiveCost for input: of prefill, else of input tokens by the ratio; null where neither is known.",
    ),
    "x_OutputCost": Field(MONEY, "The rest of it, for output."),
    "x_CostPerMillionTokens": Field(
        MONEY,
        "EffectiveCost per million tokens, in and out, those read from a cache included, of the calls "
        "that told them: their part of the cost, by calls, over their tokens.",
    ),
    "x_CostPerMillionInputTokens": Field(
        MONEY,
        "x_InputCost per million input tokens that were not read from a cache, of the calls that told "
        "them, likewise.",
    ),
    "x_CostPerMillionOutputTokens": Field(
        MONEY, "x_OutputCost per million output tokens, of the calls that told them, likewise."
    ),
    "x_UnitCostPerInvocation": Field(MONEY, "EffectiveCost per invocation."),
    "x_UnitCostPerGbSecond": Field(MONEY, "EffectiveCost per GB-second of memory."),
    "x_GbSeconds": Field("BIGINT", "Memory times duration in whole GB-seconds.", ge=0),
    "x_Tokens": Field("BIGINT", "Input and output tokens.", ge=0),
    "x_AllocatedCost": Field(MONEY, "EffectiveCost with a named owner in this dimension."),
    "x_IdleCost": Field(MONEY, "EffectiveCost of capacity nobody used."),
    "x_UnallocatedCost": Field(
        MONEY, "EffectiveCost nobody can be named for in this dimension, quarantined rows included."
    ),
    "x_UsedCost": Field(MONEY, "EffectiveCost of what was used of the commitment."),
    "x_UnusedCost": Field(MONEY, "EffectiveCost of what nobody used of the commitment."),
    "x_RoundingCost": Field(
        MONEY,
        "EffectiveCost that was booked here because amortised figures are rounded: what makes them "
        "sum to what was paid. See docs/focus.md.",
    ),
    "x_OpenCost": Field(
        MONEY, "BilledCost less EffectiveCost: paid for the commitment and not amortised."
    ),
    "x_TermState": Field(
        "VARCHAR",
        "settled: amortised is what was paid. running: its term goes on. begun_before: its purchase "
        "is not here. gap: it is over, and the two differ.",
        isin=("settled", "running", "begun_before", "gap"),
    ),
    "x_TermStart": Field("TIMESTAMP", "When the first charge of the commitment begins, UTC."),
    "x_TermEnd": Field("TIMESTAMP", "When the last charge of the commitment ends, UTC."),
    "x_UpfrontEnd": Field(
        "TIMESTAMP", "When the time ends that was paid for upfront, UTC; null where nothing was."
    ),
    "x_RoundedFigures": Field(
        "BIGINT",
        "Costs of the commitment that may be rounded: one a charge, two where it has both.",
        ge=0,
    ),
    "x_LastPlace": Field(
        "BIGINT",
        "The last decimal place of the amortised figures, in 10^-12 of the currency: 100 is the tenth.",
        ge=100,
    ),
    "x_IsFee": Field(
        "BOOLEAN",
        "Whether the account and service are those of a fee: a purchase, or what nobody used.",
    ),
    "x_InferenceCost": Field(MONEY, "EffectiveCost of the work of the calls."),
    "x_ServingCost": Field(MONEY, "x_InferenceCost and x_IdleCost: without training."),
    "x_TrainingCost": Field(MONEY, "Training of the version, amortised over its life."),
    "x_WriteOffCost": Field(
        MONEY,
        "Training that nobody was served by: written off, or without a life to spread it over.",
    ),
    "x_TotalCost": Field(
        MONEY,
        "x_ServingCost, x_TrainingCost and x_WriteOffCost: with training. Not part of the bill.",
    ),
    "x_TrainingDriver": Field(
        "VARCHAR",
        "By what x_TrainingCost is borne: `calls`, `serving_cost`, or by the `owner` where the version served nobody; null without.",
        isin=("calls", "serving_cost", "owner"),
    ),
    # ------------------------------------------------------------------------- economics
    "x_Revenue": Field(MONEY, "What the tenant pays for the period; null where no file says."),
    "x_DirectCost": Field(MONEY, "EffectiveCost before `[[shared_cost]]` moves any."),
    "x_MovedCost": Field(
        MONEY, "EffectiveCost that `[[shared_cost]]` moved here, below zero where it moved away."
    ),
    "x_RunCost": Field(
        MONEY,
        "Part of EffectiveCost that training runs of this month cost, whoever is served by them.",
    ),
    "x_Margin": Field(
        MONEY, "x_Revenue less EffectiveCost without x_RunCost: without any training."
    ),
    "x_MarginPermille": Field(
        "BIGINT", "x_Margin in thousandths of x_Revenue, rounded down; null without revenue."
    ),
    "x_MarginWithTraining": Field(
        MONEY, "x_Margin less x_TrainingCost and x_WriteOffCost: with the training it bears."
    ),
    "x_MarginWithTrainingPermille": Field(
        "BIGINT",
        "x_MarginWithTraining in thousandths of x_Revenue, rounded down; null without revenue.",
    ),
    "x_ServingCostPerCall": Field(MONEY, "x_ServingCost per call: with idle."),
    "x_ServingCostPerThousandTokens": Field(
        MONEY,
        "x_ServingCost per thousand input and output tokens, of the calls that told them: with idle.",
    ),
    "x_TotalCostPerCall": Field(
        MONEY,
        "x_TotalCost per call: with idle and training. Training that went by calls counts for the part "
        "that is billed.",
    ),
    "x_TotalCostPerThousandTokens": Field(
        MONEY,
        "x_TotalCost per thousand input and output tokens, of the calls that told them: with idle and "
        "training.",
    ),
    "x_UnitCostPerImage": Field(MONEY, "x_InferenceCost per image that was made."),
    "x_ServingCostPerImage": Field(MONEY, "x_ServingCost per image: with idle."),
    "x_TotalCostPerImage": Field(MONEY, "x_TotalCost per image: with idle and training."),
    "x_Subject": Field("VARCHAR", "What is compared, in words that identify it."),
    "x_Quantity": Field("BIGINT", "Measured quantity of the period, in x_QuantityUnit.", ge=0),
    "x_QuantityUnit": Field("VARCHAR", "What x_Quantity counts."),
    "x_CurrentCost": Field(MONEY, "What the quantity cost as it was done."),
    "x_OtherCost": Field(MONEY, "What it would have cost the other way; null where nobody knows."),
    "x_Cheaper": Field(
        "VARCHAR", "The cheaper way for the measured quantity, or `equal`; null where nobody knows."
    ),
    "x_BreakEven": Field(
        "BIGINT",
        "Where both ways cost the same, in x_BreakEvenUnit, rounded up; null where they never do or nobody knows.",
        ge=0,
    ),
    "x_BreakEvenUnit": Field("VARCHAR", "What x_BreakEven counts."),
    "x_UtilisationPermille": Field(
        "BIGINT",
        "Used part of used and unused EffectiveCost in thousandths, rounded down; null where both are nothing.",
    ),
    "x_CoveragePermille": Field(
        "BIGINT",
        "Allocated part of EffectiveCost in thousandths, rounded down; null when the period costs nothing.",
    ),
}
