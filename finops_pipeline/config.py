"""`finops.toml` read into a frozen `Config`.

What belongs here: every key a user may write, with its meaning (the description is the help,
the comment `finops init` writes, and the reference in docs/configuration.md), and the errors
for keys that do not exist. Money and prices are read as `Decimal`, never as float.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from .errors import ConfigError, UnknownName
from .periods import OF_DAY, OF_MONTH, refuse_unknown

Dimension = Literal["feature", "tenant", "environment"]
DIMENSIONS: tuple[Dimension, ...] = ("feature", "tenant", "environment")
SHOWN_BY = (*DIMENSIONS, "model", "provider", "category", "service", "invoice", "method", "day")
"""What a showback can be shown by, as sql/history/showback.sql calls it."""

PRICE_RATIOS = {
    "opencost": (Decimal("0.031611"), Decimal("0.004237"), Decimal("0.95")),
    "aws": (Decimal("0.9"), Decimal("0.1"), Decimal(9)),
}
"""Weights of a core hour, a GiB hour and a GPU hour, by name."""

DRIVERS = (
    "calls",
    "tokens",
    "gpu_ms",
    *(
        f"{what}{how}"
        for what in ("", "cpu_", "memory_", "gpu_")
        for how in ("requested", "used", "held")
    ),
)
"""What a shared cost can be split by: columns of the files in sql/allocation/driver."""

OUR_WORDS = ("(idle)", "(overhead)", "(unallocated)")
"""What stands for an owner where there is none."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


def _lowered(values: list[str]) -> list[str]:
    """Values of an owner dimension as the allocation spells them; `*` names none of them."""
    return [v.strip().lower() for v in values if v.strip() != "*"]


def _refuse_our_word(value: str) -> None:
    """`(shared)` and the like are a user's own; what the coverage goes by is not."""
    if value.strip().lower() in OUR_WORDS:
        raise ValueError(
            f"{value!r} is what finops calls cost without an owner; name one, or another word"
        )


def _owner_value(value: str | None) -> str | None:
    return next(iter(_lowered([] if value is None else [value])), None)


class Section(BaseModel):
    """A table of `finops.toml`: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


KeptDays = Annotated[
    int | None,
    Field(
        ge=1,
        description="For how many days the place keeps what it has: the retention of a server, the lifecycle of a bucket. A day as old as "
        "that stays as it was read, whatever became of its files. Where nothing is said, a file that is gone stops the run.",
    ),
]


class WarehouseSection(Section):
    """Where tables are kept, and what a run may use of the machine."""

    path: str = Field(
        "warehouse", description="Folder of the Parquet tables, relative to this file."
    )
    database: str = Field(
        "showback.duckdb", description="The database analysts open, relative to this file."
    )
    memory_limit: str = Field(
        "3GB",
        pattern=r"(?i)^\d+(\.\d+)? *([kmgt]i?)?b$",
        description="Memory DuckDB may use before it spills to disk.",
    )
    threads: int = Field(
        2,
        ge=2,
        description="Threads DuckDB may use; two at least, for alone it cuts files elsewhere than two or more do.",
    )
    rows_per_part: int = Field(
        500_000,
        ge=1,
        description="Rows of usage in one part of a month. A change of a day costs its part; smaller parts, smaller changes.",
    )
    keep_days: int = Field(
        30, ge=0, description="Days every outdated generation of the tables is kept."
    )
    keep_daily_days: int = Field(
        90, ge=0, description="Days the last generation of each day is kept after that."
    )
    keep_months: int = Field(
        120, ge=0, description="Months the last generation of each month is kept."
    )
    keep_closed: bool = Field(
        True,
        description="Keep every published state of a closed billing period, however old.",
    )


class BillingSection(Section):
    """One billing export. A source that speaks FOCUS needs nothing but this block."""

    name: Name = Field(description="Name of the source, used in x_Source.")
    dialect: str = Field(
        description="SQL file in sql/bill that reads it: `aws_cur` (CUR 2.0 and legacy CUR), `azure` (cost details), `gcp` (standard and detailed usage cost export) or `focus` (1.0 to 1.4)."
    )
    location: str = Field(
        description="Where its files are: a path relative to this file or `s3://bucket/...`, `az://container/...`, `gs://bucket/...`, "
        "`bigquery://project/dataset/table/{period}`, and `*` for any part of a file name. The month is `{period}` (YYYY-MM), `{yyyymm}`, or `{year}` "
        "with `{month}` (no leading zero) or `{mm}`, here and in the keys below. "
        "Files of the dialect `gcp` that hold several invoice months need neither: each month reads its own rows."
    )
    manifest: str | None = Field(
        None,
        description="Where the delivery's manifest is, if it has one; a delivery is read when all parts it lists are there.",
    )
    costs: Literal["both", "actual", "amortized"] = Field(
        "both",
        description="Which costs this export holds, where one bill comes as two exports, as Azure's does: "
        "`actual` gives BilledCost, `amortized` EffectiveCost.",
    )
    pair: str = Field(
        "",
        description="Name of the block with the other costs of the same bill, where `costs` is not `both`.",
    )
    separate_from: list[str] = Field(
        default=[],
        description="Names of blocks whose charges look like those of this one and are others. Without it, two blocks "
        "that bill the same account the same on most days are one bill delivered twice, which is not published.",
    )
    invoices: str | None = Field(
        None,
        description="Where the provider's own invoices are, if you have them: CSV with the columns `invoice`, `currency`, "
        "`amount` and perhaps `difference` with `reason`: an amount you know it differs by, read less `amount`, and why. With the month, like `location`.",
    )
    billing_periods: str | None = Field(
        None,
        description="Where the provider says which of its billing periods are closed, if it does: the BillingPeriod dataset of FOCUS 1.4, "
        "CSV or Parquet. Like `location`, but one file may hold all periods.",
    )
    closes_after_days: int = Field(
        10,
        ge=0,
        description="Days after its month at which a bill counts as closed, once all its charges have an invoice or none has, "
        "where the provider itself does not say.",
    )

    @field_validator("location", "manifest", "invoices", "billing_periods")
    @classmethod
    def _months_are_known(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else refuse_unknown(pattern, OF_MONTH)


class MetricsSection(Section):
    """Kubernetes metrics of one cluster."""

    name: Name = Field(description="Name of the source.")
    kind: Literal["prometheus", "openmetrics", "parquet", "opencost", "kubecost", "aws_split"] = (
        Field(
            description="`prometheus` asks a server; `openmetrics` and `parquet` read files of samples; `opencost` and `kubecost` their CSV "
            "exports; `aws_split` the split cost allocation rows of a Cost and Usage Report."
        )
    )
    cluster: str = Field(description="Name of the cluster, used in x_Cluster.")
    url: str | None = Field(
        None, description="Address of the Prometheus server (kind `prometheus`)."
    )
    location: str | None = Field(
        None,
        description="Where the files are, with `{date}` for YYYY-MM-DD (the other kinds). Exports may also be of a month, as in `[[billing]]`, "
        "or one file for all days.",
    )
    match: dict[str, str] = Field(
        default={},
        description='Labels that tell this cluster from others of the same server or files, such as `{ cluster = "prod-eu" }`: '
        "only series that have all of them count. Several clusters are several blocks. Of exports, `cluster` is the name they have for it.",
    )
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token for the server."
    )
    user_env: str | None = Field(
        None, description="Environment variable that holds the user name, for basic authentication."
    )
    password_env: str | None = Field(
        None, description="Environment variable that holds the password of that user."
    )
    headers_env: dict[str, str] = Field(
        default={},
        description="Further headers, each with the environment variable that holds its value, such as the tenant of Mimir, Cortex or "
        'Thanos: `{ X-Scope-OrgID = "MIMIR_TENANT" }`.',
    )
    ca_file: str | None = Field(
        None,
        description="PEM file of the authorities to trust instead of the usual ones, relative to this file. A certificate that is "
        "not trusted is always an error.",
    )
    cert_file: str | None = Field(
        None, description="PEM file of our own certificate, where the server asks for one."
    )
    key_file: str | None = Field(
        None, description="PEM file of its key, without a password, unless `cert_file` holds both."
    )
    timeout_seconds: int = Field(60, ge=1, description="Longest wait for one answer of the server.")
    kept_days: KeptDays = None

    @property
    def is_export(self) -> bool:
        """Whether its files say what pods held, and not what was measured of them."""
        return self.kind in ("opencost", "kubecost", "aws_split")

    @model_validator(mode="after")
    def _days_are_known(self) -> MetricsSection:
        needed = "url" if self.kind == "prometheus" else "location"
        if getattr(self, needed) is None:
            raise ValueError(f"kind `{self.kind}` needs a `{needed}`")
        if self.location is not None:
            refuse_unknown(self.location, (*OF_DAY, *OF_MONTH) if self.is_export else OF_DAY)
        if self.is_export and set(self.match) - {"cluster"}:
            raise ValueError("of an export, `match` can only name the `cluster`")
        return self

    @field_validator("match")
    @classmethod
    def _are_labels(cls, match: dict[str, str]) -> dict[str, str]:
        for label in match:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label):
                raise ValueError(f"{label!r} is no name of a label")
        return match

    @model_validator(mode="after")
    def _keys_have_certificates(self) -> MetricsSection:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("`key_file` is the key of a certificate; name that in `cert_file`")
        return self


class InferenceSection(Section):
    """Inference logs. Prompts and completions are never read."""

    name: Name = Field(description="Name of the source.")
    dialect: str = Field(
        description="SQL file in sql/usage/calls that reads it: `otel_genai` (OpenTelemetry spans as JSON lines), "
        "`litellm` (spend logs), `bedrock` (model invocation logs), `openai_usage` (organization usage API), `azure_openai` "
        "(API Management's log of tokens, or Azure OpenAI's of requests), `kserve` (CloudEvents of its payload logger) or "
        "`calls` (Parquet in our own columns)."
    )
    location: str = Field(description="Where the files are, with `{date}` for YYYY-MM-DD.")
    kept_days: KeptDays = None
    cluster: str | None = Field(
        None,
        description="The cluster whose endpoints the calls reached, as `[[metrics]]` calls it, if it is one. A call that names a "
        "cluster of `[[metrics]]` itself counts for that one. Only needed where two clusters serve under one name.",
    )

    @field_validator("location")
    @classmethod
    def _days_are_known(cls, pattern: str) -> str:
        return refuse_unknown(pattern, OF_DAY)


class InvocationSection(Section):
    """Logs of serverless functions and services. What callers sent is never read."""

    name: Name = Field(description="Name of the source.")
    dialect: str = Field(
        description="SQL file in sql/usage/invocations that reads it: `lambda` (CloudWatch Logs), `cloud_run` (Cloud Logging), "
        "`azure_functions` (Application Insights) or `knative` (request log of queue-proxy)."
    )
    location: str = Field(description="Where the files are, with `{date}` for YYYY-MM-DD.")
    resource: str | None = Field(
        None,
        description="The function all lines are of, where they do not say: its id on the bill, or the end of it, such as `function:resize`.",
    )
    memory_mib: int | None = Field(
        None, ge=1, description="Memory of an instance in MiB, where the log does not say."
    )
    vcpu: Decimal | None = Field(
        None, gt=0, description="vCPUs of an instance, where the log does not say."
    )
    kept_days: KeptDays = None
    cluster: str | None = Field(
        None,
        description="The cluster the pods of `knative` ran in, as `[[metrics]]` calls it. Only needed where two clusters serve under one name.",
    )


class GitopsSection(Section):
    """A GitOps repository: what it declares is read, what we propose is written to branches of it."""

    name: Name = Field(description="Name of the repository.")
    path: str = Field(description="Local clone, relative to this file.")
    base_branch: str = Field("main", description="Branch that proposals start from.")
    overlays: list[str] = Field(
        default=["**"],
        description="Directories that Argo CD or Flux applies, as glob patterns from the root of the repository.",
    )
    helm_values: list[str] = Field(
        default=[],
        description="Chart values files, as glob patterns; the chart's workload is read from their well-known keys. `Chart.yaml`, templates and CRDs that they match are left out.",
    )
    cluster: str | None = Field(
        None,
        description="Cluster this repository is applied to, if it is one, as `[[metrics]]` calls it: then what other clusters use "
        "says nothing of it.",
    )
    showback_path: str = Field(
        "showback", description="Folder of the repository that closed periods are published to."
    )
    showback: bool = Field(
        True, description="Publish closed periods to this repository by pull request."
    )


class OwnerSection(Section):
    """Tag and label keys, in order of trust, for each dimension."""

    feature: list[str] = Field(
        default=["feature", "app.kubernetes.io/part-of"], description="Keys that name the feature."
    )
    tenant: list[str] = Field(
        default=["tenant", "customer"], description="Keys that name the tenant."
    )
    environment: list[str] = Field(
        default=["environment", "env", "stage"], description="Keys that name the environment."
    )


class AliasSection(Section):
    """Values that mean the same: `canonical = ["other", "spelling"]`. Case and outer blanks never matter."""

    feature: dict[str, list[str]] = Field(default={}, description="Other spellings of features.")
    tenant: dict[str, list[str]] = Field(default={}, description="Other spellings of tenants.")
    environment: dict[str, list[str]] = Field(
        default={"production": ["prod"], "staging": ["stage"], "development": ["dev"]},
        description="Other spellings of environments.",
    )

    @field_validator(*DIMENSIONS)
    @classmethod
    def _leaves_our_words(cls, told: dict[str, list[str]]) -> dict[str, list[str]]:
        for canonical, others in told.items():
            _refuse_our_word(canonical)
            for other in others:
                if re.fullmatch(r"\(.*\)", other.strip()):
                    raise ValueError(
                        f"{other!r} is never read from a tag: words in parentheses name nobody"
                    )
        return told


class Where(Section):
    """What a charge must equal for a rule to apply; all that are given must match."""

    ProviderName: str | None = Field(None, description="Provider, exactly.")
    SubAccountId: str | None = Field(None, description="Sub account, exactly.")
    ServiceName: str | None = Field(None, description="Service, exactly.")
    ServiceCategory: str | None = Field(None, description="Service category, exactly.")
    ChargeCategory: str | None = Field(None, description="Charge category, exactly.")
    ResourceId: str | None = Field(None, description="Resource, exactly.")
    CommitmentDiscountStatus: Literal["Used", "Unused"] | None = Field(
        None, description="Part of a savings plan or reservation that was used, or was not."
    )


class RuleSection(Section):
    """An owner for charges that cannot be tagged, such as support or tax. The first match fills what tags left open."""

    where: Where = Field(description="Which charges.")
    feature: str | None = Field(None, description="Feature to give them.")
    tenant: str | None = Field(None, description="Tenant to give them.")
    environment: str | None = Field(None, description="Environment to give them.")
    why: str = Field("", description="Reason, shown by `finops explain`.")

    @model_validator(mode="after")
    def _names_an_owner(self) -> RuleSection:
        if self.feature is None and self.tenant is None and self.environment is None:
            raise ValueError("names no `feature`, `tenant` or `environment` to give")
        return self

    @field_validator(*DIMENSIONS)
    @classmethod
    def _leaves_our_words(cls, value: str | None) -> str | None:
        _refuse_our_word(value or "")
        return value


class InferenceSplitSection(Section):
    """Charges of a shared endpoint or bought API, split among callers by the work they caused."""

    name: Name = Field(description="Name of the split.")
    where: Where = Field(description="Which charges.")
    endpoint: str = Field(
        description="Endpoints whose calls split them; `*` stands for any text. With `{ResourceName}`, each endpoint's charges are split "
        "among its own callers: it stands for the last part of the ResourceId, exactly."
    )
    resource: str = Field(
        "{ResourceName}",
        description="How the ResourceId of an endpoint ends, such as `endpoint/{ResourceName}`, where `endpoint` has a `{ResourceName}`.",
    )
    gpus: int = Field(
        0,
        ge=0,
        description="GPUs of an instance. With it, instance hours of a `{ResourceName}` that no logged GPU time filled are idle.",
    )

    @model_validator(mode="after")
    def _placeholders_match(self) -> InferenceSplitSection:
        each = "{ResourceName}" in self.endpoint
        if self.endpoint.count("{ResourceName}") > 1 or (each and "*" in self.endpoint):
            raise ValueError("`endpoint` has one `{ResourceName}` at most, and no `*` beside it")
        if not self.resource.endswith("{ResourceName}"):
            raise ValueError("`resource` ends with `{ResourceName}`")
        if not each and (self.resource != "{ResourceName}" or self.gpus):
            raise ValueError("`resource` and `gpus` go with a `{ResourceName}` in `endpoint`")
        return self


class ClusterChargeSection(Section):
    """Charges that are the network, the control plane or load balancers of a cluster. The first block that matches counts."""

    name: Name = Field(description="Name of the block, in x_Pool.")
    cluster: str = Field(description="The cluster, as `[[metrics]]` calls it.")
    kind: Literal["network", "control_plane", "load_balancer"] = Field(
        description="What of the cluster they are. Load balancers of Services need no block: they are found by the Service; "
        "a block is for those that no Service has, such as those of an Ingress."
    )
    where: Where = Field(default=Where(), description="Which charges.")
    meters: list[str] = Field(
        default=[],
        description="SkuMeter of the charges, exactly, such as `NatGateway-Bytes`; any, where none is named.",
    )
    bytes: Literal["sent", "both"] = Field(
        "sent",
        description="What network is split by: the bytes the pods `sent`, or `both` sent and received, which is how NAT gateways are billed.",
    )
    otherwise: Literal["keep", "held"] = Field(
        "keep",
        description="What becomes of a day of which no bytes are known, and of control plane and load balancers always: `keep` leaves it "
        "to its tags and rules, `held` splits it in proportion to what each was charged for of the cluster's nodes that day.",
    )

    @model_validator(mode="after")
    def _says_which(self) -> ClusterChargeSection:
        if not self.meters and not self.where.model_dump(exclude_none=True):
            raise ValueError(f"{self.name}: say which charges by `where` or `meters`")
        if self.kind != "network" and self.bytes != "sent":
            raise ValueError(f"{self.name}: `bytes` goes with kind = 'network'")
        return self


class SharedWhere(Section):
    """What a row of the allocation must be for `[[shared_cost]]` to take it; all that are given must match."""

    feature: str | None = Field(None, description="Feature, such as `platform` or `(idle)`.")
    tenant: str | None = Field(None, description="Tenant.")
    environment: str | None = Field(None, description="Environment.")
    method: str | None = Field(None, description="Allocation method, such as `idle` or `rule`.")
    ProviderName: str | None = Field(None, description="Provider, exactly.")
    SubAccountId: str | None = Field(None, description="Sub account, exactly.")
    ServiceName: str | None = Field(None, description="Service, exactly.")
    ServiceCategory: str | None = Field(None, description="Service category, exactly.")
    ChargeCategory: str | None = Field(None, description="Charge category, exactly.")

    @field_validator("method")
    @classmethod
    def _method_exists(cls, method: str | None) -> str | None:
        from .contracts.fields import ALLOCATION_METHODS

        known = set(ALLOCATION_METHODS) - {"shared", "quarantined"}
        if method is not None and method not in known:
            raise UnknownName("method that can be shared", method, known)
        return method

    @property
    def owner(self) -> tuple[str | None, ...]:
        """The owner it names; None where any will do."""
        return tuple(_owner_value(getattr(self, d)) for d in DIMENSIONS)

    @property
    def is_owner_only(self) -> bool:
        """Whether it asks for an owner and for nothing else."""
        asked = self.model_dump(exclude_none=True)
        return any(self.owner) and not set(asked) - set(DIMENSIONS)


class SharedTo(Section):
    """Who receives: the dimensions that change hands. `*` stands for all who are named."""

    feature: str | list[str] | None = Field(None, description="Feature or features, or `*`.")
    tenant: str | list[str] | None = Field(None, description="Tenant or tenants, or `*`.")
    environment: str | list[str] | None = Field(None, description="Environments, or `*`.")

    @property
    def dimensions(self) -> tuple[tuple[str, ...] | None, ...]:
        """Values by dimension: none for `*`, nothing at all for a dimension that stays."""
        told = (getattr(self, d) for d in DIMENSIONS)
        return tuple(
            None if v is None else tuple(_lowered([v] if isinstance(v, str) else v)) for v in told
        )


class SharedCostSection(Section):
    """Cost that is handed on: what `where` takes is shared among whom `to` names. Blocks are steps, in the order of this file."""

    name: Name = Field(
        description="Name of the shared cost, in x_SharedBy. Blocks whose days do not overlap may have the same."
    )
    where: SharedWhere = Field(
        description="Which rows of the allocation: feature, tenant, environment, method, ProviderName, SubAccountId, ServiceName, "
        "ServiceCategory or ChargeCategory. What earlier steps gave an owner is taken by a block that asks for owners alone."
    )
    to: SharedTo = Field(
        SharedTo(),
        description="Which dimensions change hands, and to whom: a value, several, or `*` for all that are named and that neither this "
        "block nor an earlier step takes from. All three, if nothing is said.",
    )
    split: Literal["proportional", "even", "fixed", "driver"] = Field(
        "proportional",
        description="`proportional` to the EffectiveCost of the month after earlier steps, `even`, by `fixed` shares, or by a measured `driver`.",
    )
    shares: dict[str, Decimal] = Field(
        default={},
        description="Fixed shares by receiver; they sum to 1. Where `to` has several `*`, keys are joined by `/`.",
    )
    driver: str = Field(
        "",
        description="What is measured: `calls`, `tokens`, `gpu_ms`; `requested`, `used` or `held` of nodes, by the price weights of "
        "`[allocation]`, or `cpu_`, `memory_`, `gpu_` before one of them; or a CSV file relative to this one, with the columns "
        "`period`, owner dimensions and a whole `quantity`.",
    )
    within: Literal["everything", "pool"] = Field(
        "everything",
        description="`pool`: only those receive who have cost in the same x_Pool, that is in the same cluster.",
    )
    otherwise: Literal["keep", "even", "proportional"] = Field(
        "keep",
        description="What happens where all weights are zero: the cost stays where it is, or is shared so.",
    )
    together: str = Field(
        "",
        description="Blocks with the same word are one step: services that serve each other, solved simultaneously.",
    )
    since: date | None = Field(None, description="First day of charges it holds for; else all.")
    until: date | None = Field(None, description="First day it holds no more; else never.")

    @model_validator(mode="after")
    def _is_whole(self) -> SharedCostSection:
        if not self.where.model_dump(exclude_none=True):
            raise ValueError(f"{self.name}: `where` is empty; say which cost is shared")
        if (self.split == "driver") != bool(self.driver):
            raise ValueError(f"{self.name}: `driver` and split = 'driver' go together")
        if self.driver and not self.driver.endswith(".csv") and self.driver not in DRIVERS:
            raise UnknownName("driver", self.driver, DRIVERS, f"[[shared_cost]] {self.name}")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"{self.name}: `until` must be after `since`")
        if (self.split == "fixed") != bool(self.shares):
            raise ValueError(f"{self.name}: `shares` and split = 'fixed' go together")
        if self.shares:
            total = sum(self.shares.values())
            if total != 1 or min(self.shares.values()) < 0:
                raise ValueError(
                    f"{self.name}: shares sum to {total}; they must sum to 1, none below 0"
                )
            stars = self.to.dimensions.count(())
            if not stars or any(key.count("/") != stars - 1 for key in self.shares):
                raise ValueError(
                    f"{self.name}: `to` must have a `*` for each part of the keys of `shares`, "
                    "such as to = { feature = '*' }"
                )
        return self


class RegistrySection(Section):
    """A model registry: which versions there are, from which run, and where they serve."""

    name: Name = Field(description="Name of the registry, used in x_Registry.")
    kind: Literal["mlflow", "sagemaker", "vertex"] = Field(
        description="`mlflow` (a tracking server, over REST), `sagemaker` (model package groups) or `vertex` (Vertex AI Model Registry)."
    )
    url: str | None = Field(
        None,
        description="Address of the MLflow server; for the others another server of the same protocol.",
    )
    token_env: str | None = Field(
        None, description="Environment variable that holds a bearer token (kind `mlflow`)."
    )
    user_env: str | None = Field(
        None, description="Environment variable that holds the user name, for basic authentication."
    )
    password_env: str | None = Field(
        None, description="Environment variable that holds the password of that user."
    )
    region: str | None = Field(
        None, description="Region (kind `sagemaker`) or location (kind `vertex`) of the models."
    )
    project: str | None = Field(None, description="Project of the models (kind `vertex`).")
    timeout_seconds: int = Field(60, ge=1, description="Longest wait for one answer.")


class ModelVersionSection(Section):
    """What you know of a model version; it comes before what a registry says of it."""

    model: str = Field(description="Name of the model.")
    version: str = Field(description="Its version.")
    created_on: date | None = Field(None, description="Day its life begins.")
    retired_on: date | None = Field(
        None, description="First day it does not serve any more; what is left is written off."
    )
    life_days: int | None = Field(None, ge=1, description="Days its training is spread over.")
    expected_requests: int | None = Field(
        None,
        ge=1,
        le=10**18,
        description="Requests its training is spread over, instead of days.",
    )
    endpoints: list[str] = Field(
        default=[], description="Where it serves: `namespace/workload`, or the endpoint's name."
    )
    run: str | None = Field(None, description="Id of the run it came from.")


class TrainingSection(Section):
    """How training runs are found, by labels of pods and tags of charges, and spread over time."""

    run_labels: list[str] = Field(
        default=["mlflow.run_id", "training-run"], description="Keys that name the run."
    )
    kind_labels: list[str] = Field(
        default=["run-kind"],
        description="Keys that say what a run is: training, fine-tuning, evaluation or embedding.",
    )
    model_labels: list[str] = Field(default=["model"], description="Keys that name the model.")
    version_labels: list[str] = Field(
        default=["model-version"], description="Keys that name the version of the model."
    )
    life_days: int = Field(
        365, ge=1, description="Days training is spread over where nothing else is said."
    )
    driver: Literal["calls", "serving_cost"] = Field(
        "calls",
        description="By what those whom a version served bear its training: its calls, or what serving them cost.",
    )


class TrainingJobSection(Section):
    """Charges of managed training jobs that no tag names, told by their ResourceId."""

    name: Name = Field(description="Name of the rule.")
    where: Where = Field(default=Where(), description="Which charges.")
    resource: str = Field(
        description="ResourceId of the jobs, `*` stands for any text; what follows its last `/` names the run."
    )
    kind: Literal["training", "fine-tuning", "evaluation", "embedding"] = Field(
        "training", description="What the jobs are, where their tags do not say."
    )


class PriceBookSection(Section):
    """Dated list prices of bought models, from files of your own. docs/inference.md explains them."""

    location: str | None = Field(
        None,
        description="Where they are: CSV with the columns `provider`, `model`, `from`, `item`, `price`, `per`, `currency`, "
        "and perhaps `tier`, `above` and `sku`; a path relative to this file or another place, `*` for any part of a file name.",
    )


class AllocationSection(Section):
    """Ratios that are policy, so they are written down. Only their proportion matters."""

    price_ratio: Literal["opencost", "aws", "regression"] = Field(
        "opencost",
        description="What CPU, memory and GPU of a node weigh beside each other: `opencost` (0.031611 a core hour, 0.004237 a GiB hour, "
        "0.95 a GPU hour), `aws` (0.9, 0.1 and 9, as split cost allocation data has it), or by `regression` of the prices that each "
        "cluster's machine types have on the bill; where they cannot tell, `opencost`.",
    )
    cpu_core_hour: Decimal | None = Field(
        None,
        gt=0,
        description="Weight of a CPU core hour instead of that.",
    )
    memory_gib_hour: Decimal | None = Field(
        None, gt=0, description="Weight of a GiB hour instead of that."
    )
    gpu_hour: Decimal | None = Field(
        None, gt=0, description="Weight of a GPU hour instead of that."
    )
    input_token: Decimal = Field(
        Decimal(1),
        ge=0,
        description="Work of an input token, where no time was measured and no `[[token_ratio]]` holds.",
    )
    cached_input_token: Decimal = Field(
        Decimal("0.1"), ge=0, description="Work of an input token read from a cache, likewise."
    )
    output_token: Decimal = Field(
        Decimal("2.5"),
        ge=0,
        description="Work of an output token, likewise (OpenCost's fallback ratio).",
    )
    endpoint_idle: Literal["line", "callers"] = Field(
        "line",
        description="GPU time no call used, where logged: a line of its own, or borne by the callers.",
    )
    unused_commitment: Literal["buyer", "users", "everyone"] = Field(
        "buyer",
        description="Who bears what nobody used of a savings plan or reservation: `buyer` leaves it to its tags and rules, "
        "and a rule with `CommitmentDiscountStatus = 'Unused'` can name a team; `users` splits it among those who used the "
        "same commitment, `everyone` among all with charges of that provider, that day, by EffectiveCost.",
    )

    @property
    def stated_weights(self) -> tuple[int, int, int]:
        """Weights of a core, a GiB and a GPU in millionths, as they are written down."""
        known = PRICE_RATIOS.get(self.price_ratio, PRICE_RATIOS["opencost"])
        given = (self.cpu_core_hour, self.memory_gib_hour, self.gpu_hour)
        cpu, memory, gpu = (
            _millionths(weight if own is None else own)
            for weight, own in zip(known, given, strict=True)
        )
        return cpu, memory, gpu


def _millionths(weight: Decimal) -> int:
    if weight * 1_000_000 % 1:
        raise ConfigError(f"[allocation]: {weight} has more than six decimals; round it")
    return int(weight * 1_000_000)


class TokenRatioSection(Section):
    """What tokens weigh from a day on, where no time was measured: a ratio with a name, so that old months keep theirs."""

    name: Name = Field(description="Name of the ratio, in x_TokenRatio.")
    since: date = Field(
        description="First day it holds, until the next begins. Before the first, the tokens of `[allocation]` hold."
    )
    input: Decimal = Field(ge=0, description="Work of an input token.")
    cached_input: Decimal = Field(ge=0, description="Work of an input token read from a cache.")
    output: Decimal = Field(ge=0, description="Work of an output token.")

    @field_validator("name")
    @classmethod
    def _is_not_taken(cls, name: str) -> str:
        if name == "allocation":
            raise ValueError("`allocation` is the ratio of `[allocation]`; give this another name")
        return name


class EconomicsSection(Section):
    """What tenants pay, so that the margin can be told."""

    revenue: str | None = Field(
        None,
        description="Where revenue is, if you have it: CSV with the columns `tenant`, `currency`, `amount` and perhaps `feature`, "
        "with the month as in `[[billing]] location`. Tenants and features are spelled like tags: case and `[alias]` count.",
    )

    @field_validator("revenue")
    @classmethod
    def _months_are_known(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else refuse_unknown(pattern, OF_MONTH)


class EdgeDeviceSection(Section):
    """A device that could serve a model where it is needed, to compare with the cloud."""

    name: Name = Field(description="Name of the device.")
    model: str = Field(description="Model it would serve, as in x_Model.")
    monthly_cost: Decimal = Field(
        gt=0,
        max_digits=38,
        decimal_places=12,
        description="What one device costs a month, all in: price over its life, power, care.",
    )
    currency: str = Field(description="Currency of that.", pattern="^[A-Z]{3}$")
    serves: int = Field(
        ge=1, le=10**15, description="How many of `unit` one device can serve a month."
    )
    unit: Literal["calls", "tokens"] = Field("calls", description="What `serves` counts.")


class BoughtModelSection(Section):
    """A model of the price book that could do the work of one you serve yourself."""

    model: str = Field(description="Model you serve, as in x_Model.")
    provider: str = Field(description="Provider of the other, as the price book has it.")
    buy: str = Field(description="The other model, as the price book has it.")


class ContainerRequestsSection(Section):
    """Parameters of sql/rightsizing/container_requests.sql."""

    cpu_percentile: Decimal = Field(
        Decimal("0.95"), gt=0, le=1, description="Percentile of the hourly CPU peaks to ask for."
    )
    cpu_headroom: Decimal = Field(
        Decimal("0.15"), ge=0, description="Part added to that CPU percentile."
    )
    memory_headroom: Decimal = Field(
        Decimal("0.20"), ge=0, description="Part added to the largest memory peak."
    )
    minimum_cpu_millicores: int = Field(10, ge=1, description="Never ask for less CPU than this.")
    minimum_memory_mib: int = Field(32, ge=1, description="Never ask for less memory than this.")
    minimum_hours: int = Field(
        72, ge=1, description="Hours of measurement below which the answer is none."
    )
    minimum_change: Decimal = Field(
        Decimal("0.10"), ge=0, description="Smaller changes are not worth a pull request."
    )
    maximum_throttling: Decimal = Field(
        Decimal("0.05"),
        ge=0,
        le=1,
        description="Throttled part of CPU periods above which CPU is not lowered.",
    )


class IdleResourcesSection(Section):
    """Parameters of sql/rightsizing/idle_resources.sql."""

    gpu_busy: Decimal = Field(
        Decimal("0.02"),
        ge=0,
        le=1,
        description="GPU busy part at or below which an endpoint counts as idle.",
    )
    minimum_hours: int = Field(
        72, ge=1, description="Hours of measurement below which the answer is none."
    )
    maximum_unmeasured: Decimal = Field(
        Decimal("0.05"),
        ge=0,
        le=1,
        description="Part of the hours that GPUs were held in, but not measured, above which the answer is none.",
    )
    idle_replicas: int = Field(
        0, ge=0, description="Replicas proposed for a workload that serves nobody."
    )


class RightsizingSection(Section):
    """The recommenders."""

    container_requests: ContainerRequestsSection = Field(
        default=ContainerRequestsSection(), description="Requests against use."
    )
    idle_resources: IdleResourcesSection = Field(
        default=IdleResourcesSection(), description="Workloads that serve nobody."
    )


class PullRequestsSection(Section):
    """Where proposals go. Nothing leaves the machine until a forge is configured."""

    forge: Literal["folder"] = Field(
        "folder", description="`folder`: patches in a folder, and branches in the local clone."
    )
    path: str = Field(
        "proposals",
        description="Folder the patches and bodies are written to, relative to this file.",
    )
    max_open: int = Field(
        10,
        ge=0,
        description="Open pull requests with recommendations at most, per repository, those that somebody works on "
        "included; the largest savings first. Those with showback are beside them.",
    )


class CurrencySection(Section):
    """How one currency becomes another, for those who ask. Nothing is converted by default."""

    rates: str | None = Field(
        None,
        description="CSV file of dated rates, relative to this file: `date`, `from`, `to` and `rate`, what one unit of "
        "`from` is in `to`.",
    )
    report: str | None = Field(
        None,
        description="Currency that `finops showback --currency` converts to; a bill keeps its rates to it when it is closed.",
        pattern="^[A-Z]{3}$",
    )
    rate_days: int = Field(31, ge=0, description="Days a rate holds when no newer one is given.")


class ReportSection(Section):
    """How figures are looked at. What is stored is UTC."""

    time_zone: str = Field(
        "UTC",
        description="Zone whose days `finops showback --by day` shows, such as `Europe/Berlin`.",
    )


class S3Section(Section):
    """How to reach S3 and what speaks its protocol. Credentials come from where boto3 finds them."""

    region: str | None = Field(None, description="Region; else boto3's own default.")
    profile: str | None = Field(None, description="Profile of the AWS configuration files.")
    endpoint_url: str | None = Field(None, description="Another server of the same protocol.")
    role_arn: str | None = Field(None, description="Role to assume, in the account of the bucket.")
    external_id: str | None = Field(
        None, description="External id that the role's trust policy asks for."
    )
    requester_pays: bool = Field(
        False, description="Accept that reading is charged to us, where the bucket asks for it."
    )
    sse_customer_key_env: str | None = Field(
        None,
        description="Environment variable with the base64 of the 256-bit key the objects are encrypted with (SSE-C). "
        "SSE-S3 and SSE-KMS need none: S3 decrypts for who may read.",
    )


class AzureSection(Section):
    """How to reach Azure Blob Storage. A key comes from an environment variable, never from here."""

    account: str | None = Field(None, description="Storage account that holds the containers.")
    endpoint_url: str | None = Field(
        None,
        description="Another server of the same protocol, or another cloud; else `https://<account>.blob.core.windows.net`.",
    )
    auth: Literal["default", "key", "sas", "anonymous"] = Field(
        "default",
        description="`default` asks azure-identity (managed identity, workload identity, environment, `az login`); "
        "`key` and `sas` read the variable in `secret_env`; `anonymous` reads public containers.",
    )
    secret_env: str = Field(
        "AZURE_STORAGE_SECRET",
        description="Environment variable with the account key or the SAS token.",
    )


class GcsSection(Section):
    """How to reach Google Cloud Storage. Credentials come from where Google's own client finds them."""

    billing_project: str | None = Field(
        None, description="Project that pays for reading, where the bucket asks for it."
    )
    anonymous: bool = Field(False, description="Use no credentials: for public buckets.")
    endpoint_url: str | None = Field(
        None,
        description="Another server of the same protocol; one with `http://` needs no credentials.",
    )


class BigquerySection(Section):
    """How to reach BigQuery, and what reading may cost. Credentials come from where Google's own client finds them."""

    billing_project: str | None = Field(
        None, description="Project that is charged for reading; else the one of the table."
    )
    max_bytes_billed: int = Field(
        20_000_000_000,
        ge=0,
        description="Bytes that one query or read may be charged for. The price is asked for first; above this, nothing is read.",
    )
    endpoint_url: str | None = Field(
        None,
        description="Another server of the same protocol; one with `http://` needs no credentials.",
    )
    storage_endpoint: str | None = Field(
        None, description="`host:port` of that server's Storage Read API."
    )


class Config(Section):
    """All of `finops.toml`. `root` is the folder it lies in; paths are relative to it."""

    root: Path = Field(default=Path(), exclude=True)
    first_period: str = Field(
        "2024-01", description="Oldest billing period there is, YYYY-MM.", pattern=r"^\d{4}-\d{2}$"
    )
    warehouse: WarehouseSection = Field(default=WarehouseSection(), description="")
    billing: list[BillingSection] = Field(default=[], description="")
    metrics: list[MetricsSection] = Field(default=[], description="")
    inference: list[InferenceSection] = Field(default=[], description="")
    invocation: list[InvocationSection] = Field(default=[], description="")
    gitops: list[GitopsSection] = Field(default=[], description="")
    owner: OwnerSection = Field(default=OwnerSection(), description="")
    alias: AliasSection = Field(default=AliasSection(), description="")
    rule: list[RuleSection] = Field(default=[], description="")
    inference_split: list[InferenceSplitSection] = Field(default=[], description="")
    cluster_charge: list[ClusterChargeSection] = Field(default=[], description="")
    shared_cost: list[SharedCostSection] = Field(default=[], description="")
    price_book: PriceBookSection = Field(default=PriceBookSection(), description="")
    allocation: AllocationSection = Field(default=AllocationSection(), description="")
    token_ratio: list[TokenRatioSection] = Field(default=[], description="")
    registry: list[RegistrySection] = Field(default=[], description="")
    model_version: list[ModelVersionSection] = Field(default=[], description="")
    training: TrainingSection = Field(default=TrainingSection(), description="")
    training_job: list[TrainingJobSection] = Field(default=[], description="")
    economics: EconomicsSection = Field(default=EconomicsSection(), description="")
    edge_device: list[EdgeDeviceSection] = Field(default=[], description="")
    bought_model: list[BoughtModelSection] = Field(default=[], description="")
    rightsizing: RightsizingSection = Field(default=RightsizingSection(), description="")
    pull_requests: PullRequestsSection = Field(default=PullRequestsSection(), description="")
    report: ReportSection = Field(default=ReportSection(), description="")
    currency: CurrencySection = Field(default=CurrencySection(), description="")
    s3: S3Section = Field(default=S3Section(), description="")
    gcs: GcsSection = Field(default=GcsSection(), description="")
    bigquery: BigquerySection = Field(default=BigquerySection(), description="")
    azure: AzureSection = Field(default=AzureSection(), description="")

    @field_validator(
        "billing",
        "metrics",
        "inference",
        "invocation",
        "gitops",
        "inference_split",
        "cluster_charge",
        "token_ratio",
        "registry",
        "training_job",
        "edge_device",
    )
    @classmethod
    def _names_differ(cls, blocks: list[Any]) -> list[Any]:
        names = [b.name for b in blocks]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"two blocks are called {twice[0]!r}; give each its own name")
        return blocks

    @field_validator("token_ratio")
    @classmethod
    def _one_ratio_a_day(cls, blocks: list[TokenRatioSection]) -> list[TokenRatioSection]:
        days = [b.since for b in blocks]
        if len(set(days)) < len(days):
            twice = next(d for d in sorted(days) if days.count(d) > 1)
            raise ValueError(f"two ratios begin on {twice}; give each a day of its own")
        return blocks

    @field_validator("shared_cost")
    @classmethod
    def _one_in_force(cls, blocks: list[SharedCostSection]) -> list[SharedCostSection]:
        for at, block in enumerate(blocks):
            for other in blocks[:at]:
                if block.name == other.name and in_force_together(block, other):
                    raise ValueError(
                        f"two blocks are called {block.name!r} and hold on the same days; give "
                        "each its own name, or the first an `until` and the second a `since`"
                    )
        return blocks

    @model_validator(mode="after")
    def _pairs_match(self) -> Config:
        blocks = {b.name: b for b in self.billing}
        for block in self.billing:
            for name in block.separate_from:
                if name not in blocks:
                    where = f"[[billing]] {block.name}: separate_from"
                    raise UnknownName("block", name, blocks, where)
            if (block.costs == "both") == bool(block.pair):
                raise ValueError(
                    f"[[billing]] {block.name}: `costs` of one kind and `pair` go together"
                )
            if not block.pair:
                continue
            other = blocks.get(block.pair)
            if other is None:
                raise UnknownName("block", block.pair, blocks, f"[[billing]] {block.name}: pair")
            if other.pair != block.name or other.costs == block.costs:
                raise ValueError(
                    f"[[billing]] {block.name} and {other.name}: each names the other as its "
                    "`pair`, one with costs = 'actual', one with costs = 'amortized'"
                )
        return self

    @model_validator(mode="after")
    def _clusters_are_measured(self) -> Config:
        known = {b.cluster for b in self.metrics}
        for block in self.cluster_charge:
            if known and block.cluster not in known:
                where = f"[[cluster_charge]] {block.name}: cluster"
                raise UnknownName("cluster", block.cluster, known, where)
        for repository in self.gitops:
            if known and repository.cluster is not None and repository.cluster not in known:
                where = f"[[gitops]] {repository.name}: cluster"
                raise UnknownName("cluster", repository.cluster, known, where)
        return self

    def path(self, relative: str) -> Path:
        """A path of the configuration, made absolute."""
        return (self.root / relative).resolve()

    @property
    def home(self) -> Path:
        """Folder of the Parquet tables."""
        return self.path(self.warehouse.path)

    @property
    def database(self) -> Path:
        """The file analysts open."""
        return self.path(self.warehouse.database)


def in_force_together(one: SharedCostSection, other: SharedCostSection) -> bool:
    """Whether there is a day on which both blocks hold."""
    return (one.since or date.min) < (other.until or date.max) and (other.since or date.min) < (
        one.until or date.max
    )


def load(path: Path) -> Config:
    """Read a `finops.toml`. Raises `ConfigError` that names the file, the key and what to do."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; write one with `finops init {path.parent}`"
        ) from error
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return parse(data, path.parent.resolve(), str(path))


def parse(data: dict[str, Any], root: Path, where: str = "finops.toml") -> Config:
    """A `Config` from parsed TOML; see `load`."""
    if "root" in data:
        raise UnknownName("key", "root", Config.model_fields.keys() - {"root"}, where)
    try:
        return Config.model_validate({**data, "root": root})
    except ValidationError as error:
        first = error.errors()[0]
        loc = [str(p) for p in first["loc"]]
        if first["type"] == "extra_forbidden":
            raise UnknownName(
                "key", loc[-1], _keys_at(loc[:-1]), f"{where}: [{'.'.join(loc[:-1])}]"
            ) from None
        raise ConfigError(f"{where}: {'.'.join(loc)}: {first['msg']}") from None


def _keys_at(loc: list[str]) -> set[str]:
    """Keys known at a place of the configuration, list positions skipped."""
    model: type[BaseModel] = Config
    for part in loc:
        if part.isdigit():
            continue
        annotation: Any = model.model_fields[part].annotation
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return set(model.model_fields) - {"root"}
