"""The `finops.toml` that `finops init` writes, and docs/configuration.md: both from `config.py`.

What belongs here: turning field descriptions and defaults into commented TOML. A key that is
not declared in `config.py` cannot appear, and one that is cannot be forgotten.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .config import Config

# Values a newcomer sees in the blocks to fill in. Everything else shows its default.
EXAMPLES: dict[str, str] = {
    "billing.name": '"aws"',
    "billing.dialect": '"aws_cur"',
    "billing.location": '"s3://acme-billing/cur/acme/data/BILLING_PERIOD={period}/*.parquet"',
    "billing.manifest": '"s3://acme-billing/cur/acme/metadata/BILLING_PERIOD={period}/*-Manifest.json"',
    "billing.invoices": '"invoices/aws-{period}.csv"',
    "billing.billing_periods": '"s3://acme-billing/focus/acme/billing-period/*.parquet"',
    "metrics.name": '"production"',
    "metrics.kind": '"prometheus"',
    "metrics.cluster": '"production"',
    "metrics.url": '"http://prometheus.monitoring:9090"',
    "metrics.location": '"metrics/date={date}/*.parquet"',
    "metrics.match": '{ cluster = "prod-eu" }',
    "metrics.token_env": '"PROMETHEUS_TOKEN"',
    "metrics.user_env": '"PROMETHEUS_USER"',
    "metrics.password_env": '"PROMETHEUS_PASSWORD"',
    "metrics.headers_env": '{ X-Scope-OrgID = "MIMIR_TENANT" }',
    "metrics.ca_file": '"certificates/ca.pem"',
    "metrics.cert_file": '"certificates/finops.pem"',
    "metrics.key_file": '"certificates/finops.key"',
    "metrics.kept_days": "15",
    "inference.name": '"gateway"',
    "inference.dialect": '"litellm"',
    "inference.location": '"logs/litellm/date={date}/*.jsonl"',
    "inference.kept_days": "30",
    "invocation.name": '"functions"',
    "invocation.dialect": '"lambda"',
    "invocation.location": '"logs/lambda/date={date}/*.jsonl"',
    "invocation.resource": '"function:resize"',
    "invocation.memory_mib": "512",
    "invocation.vcpu": "1",
    "invocation.kept_days": "30",
    "gitops.name": '"platform"',
    "gitops.path": '"../platform-gitops"',
    "gitops.cluster": '"production"',
    "rule.where": '{ ServiceName = "AWS Support (Business)" }',
    "rule.feature": '"platform"',
    "rule.tenant": '"(shared)"',
    "rule.environment": '"production"',
    "rule.why": '"Support cannot be tagged"',
    "inference_split.name": '"bedrock"',
    "inference_split.where": '{ ServiceName = "Amazon Bedrock" }',
    "inference_split.endpoint": '"aws.bedrock/*"',
    "cluster_charge.name": '"nat"',
    "cluster_charge.cluster": '"production"',
    "cluster_charge.kind": '"network"',
    "cluster_charge.where": '{ ProviderName = "AWS" }',
    "cluster_charge.meters": '["NatGateway-Bytes", "NatGateway-Hours"]',
    "cluster_charge.bytes": '"both"',
    "shared_cost.name": '"platform"',
    "shared_cost.where": '{ feature = "platform" }',
    "shared_cost.to": '{ tenant = "*" }',
    "shared_cost.together": '"services"',
    "shared_cost.since": "2026-10-01",
    "shared_cost.until": "2027-01-01",
    "token_ratio.name": '"measured-2026"',
    "token_ratio.since": "2026-11-01",
    "token_ratio.input": "1",
    "token_ratio.cached_input": "0.1",
    "token_ratio.output": "4",
    "registry.name": '"mlflow"',
    "registry.kind": '"mlflow"',
    "registry.url": '"http://mlflow.ml:5000"',
    "registry.token_env": '"MLFLOW_TRACKING_TOKEN"',
    "registry.user_env": '"MLFLOW_TRACKING_USERNAME"',
    "registry.password_env": '"MLFLOW_TRACKING_PASSWORD"',
    "registry.region": '"europe-west4"',
    "registry.project": '"acme-ml"',
    "model_version.model": '"fraud"',
    "model_version.version": '"3"',
    "model_version.created_on": "2026-10-01",
    "model_version.retired_on": "2027-01-15",
    "model_version.life_days": "180",
    "model_version.expected_requests": "10000000",
    "model_version.endpoints": '["ml/fraud-server"]',
    "model_version.run": '"b7c5a2d4"',
    "training_job.name": '"sagemaker"',
    "training_job.where": '{ ServiceName = "Amazon SageMaker" }',
    "training_job.resource": '"*:training-job/*"',
    "allocation.cpu_core_hour": "0.031611",
    "allocation.memory_gib_hour": "0.004237",
    "allocation.gpu_hour": "0.95",
    "price_book.location": '"prices/*.csv"',
    "economics.revenue": '"revenue/{period}.csv"',
    "edge_device.name": '"kiosk"',
    "edge_device.model": '"llama-3.2-3b"',
    "edge_device.monthly_cost": '"60.00"',
    "edge_device.currency": '"USD"',
    "edge_device.serves": "500000",
    "bought_model.model": '"llama-3.1-70b"',
    "bought_model.provider": '"aws.bedrock"',
    "bought_model.buy": '"meta.llama3-1-70b-instruct-v1:0"',
    "currency.rates": '"rates.csv"',
    "currency.report": '"USD"',
    "s3.region": '"eu-central-1"',
    "s3.profile": '"finops"',
    "s3.endpoint_url": '"http://127.0.0.1:9000"',
    "s3.role_arn": '"arn:aws:iam::123456789012:role/billing-reader"',
    "s3.external_id": '"acme-finops"',
    "s3.sse_customer_key_env": '"FINOPS_SSE_KEY"',
    "azure.account": '"acmebilling"',
    "azure.endpoint_url": '"http://127.0.0.1:10000/devstoreaccount1"',
    "gcs.billing_project": '"acme-finops"',
    "gcs.endpoint_url": '"http://127.0.0.1:9023"',
    "bigquery.billing_project": '"acme-finops"',
    "bigquery.endpoint_url": '"http://127.0.0.1:9050"',
    "bigquery.storage_endpoint": '"127.0.0.1:9060"',
}

# Whole blocks for the bills that are not like the first. They stand further in than what can be
# used by taking the `#` away, so that nobody has four bills by accident.
FURTHER: dict[str, str] = {
    "billing": """\
Further bills; docs/bills.md says what to switch on at each provider, and what becomes of it.

Azure tells one bill twice, as actual and as amortised cost:

    [[billing]]
    name = "azure"
    dialect = "azure"
    costs = "actual"
    pair = "azure-amortized"
    location = "az://billing/actual/*/{yyyymm}01-*/*/*/part_*"
    manifest = "az://billing/actual/*/{yyyymm}01-*/*/*/manifest.json"

    [[billing]]
    name = "azure-amortized"
    dialect = "azure"
    costs = "amortized"
    pair = "azure"
    location = "az://billing/amortized/*/{yyyymm}01-*/*/*/part_*"
    manifest = "az://billing/amortized/*/{yyyymm}01-*/*/*/manifest.json"

Google Cloud from BigQuery; [bigquery] below says what reading may cost:

    [[billing]]
    name = "google"
    dialect = "gcp"
    location = "bigquery://acme-billing/billing/gcp_billing_export_resource_v1_0A0B0C/{period}"

or from a bucket, as Parquet:

    [[billing]]
    name = "google-bucket"
    dialect = "gcp"
    location = "gs://acme-billing/export/{yyyymm}/*.parquet"

Anyone who speaks FOCUS, 1.0 to 1.4:

    [[billing]]
    name = "oracle"
    dialect = "focus"
    location = "bills/oracle/{period}/*.csv.gz"
""",
    "cluster_charge": """\
Further charges of a cluster; docs/allocation.md says what becomes of them.

    [[cluster_charge]]
    name = "eks"
    cluster = "production"
    kind = "control_plane"
    where = { ResourceId = "arn:aws:eks:eu-central-1:123456789012:cluster/production" }
    otherwise = "held"
""",
    "shared_cost": """\
Further shared cost; docs/allocation.md says what becomes of it. Idle nodes, by request:

    [[shared_cost]]
    name = "idle"
    where = { method = "idle" }
    split = "driver"
    driver = "requested"
    within = "pool"
    otherwise = "proportional"

Support in fixed shares:

    [[shared_cost]]
    name = "support"
    where = { ServiceName = "AWS Support (Business)" }
    to = { feature = "*" }
    split = "fixed"
    shares = { chat = 0.7, search = 0.3 }
""",
}


def template() -> str:
    """A complete, commented `finops.toml`: blocks to fill in are comments, the rest defaults."""
    lines = [
        "# Configuration of the FinOps pipeline. Every key there is stands here; those behind `#`",
        "# show their default or an example. `finops check` says whether it is right.",
        "",
    ]
    for name, field in Config.model_fields.items():
        model = section_of(field)
        if model is None:
            if name != "root":
                lines += [
                    *_comment(field.description or ""),
                    f"# {name} = {_toml(field.default)}",
                    "",
                ]
            continue
        lines += _section(name, model, repeated=_is_list(field))
        if name in FURTHER:
            lines += [f"# {line}".rstrip() for line in FURTHER[name].splitlines()] + [""]
    return "\n".join(lines).rstrip() + "\n"


def described() -> Iterator[tuple[str, str, str]]:
    """Every key as `(section.key, description, default or example)`, in order."""
    for name, field in Config.model_fields.items():
        model = section_of(field)
        if model is None:
            if name != "root":
                yield name, field.description or "", _toml(field.default)
            continue
        yield from _keys(name, model)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section a key of the configuration holds, if it holds one."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_list(field: FieldInfo) -> bool:
    return bool(get_args(field.annotation)) and field.annotation is not None


def _keys(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = section_of(field)
        if inner is not None and prefix == "rightsizing":
            yield from _keys(f"{prefix}.{name}", inner)
        else:
            yield f"{prefix}.{name}", field.description or "", _shown(prefix, name, field)


def _section(name: str, model: type[BaseModel], *, repeated: bool) -> list[str]:
    if name == "rightsizing":
        lines = []
        for inner, field in model.model_fields.items():
            section = section_of(field)
            assert section is not None
            lines += _section(f"rightsizing.{inner}", section, repeated=False)
        return lines
    mark = "# " if repeated else ""
    header = f"[[{name}]]" if repeated else f"[{name}]"
    lines = [*_comment((model.__doc__ or "").strip()), f"{mark}{header}"]
    for key, field in model.model_fields.items():
        lines += _comment(field.description or "")
        lines.append(f"# {key} = {_shown(name, key, field)}")
    return [*lines, ""]


def _shown(section: str, key: str, field: FieldInfo) -> str:
    example = EXAMPLES.get(f"{section}.{key}")
    if example is not None:
        return example
    default = field.default
    return _toml(default if default is not PydanticUndefined else "")


def _comment(text: str) -> list[str]:
    words = " ".join(text.split())
    return [f"# {line}" for line in textwrap.wrap(words, 96)]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
            if value
            else "{}"
        )
    return '"' + str(value or "").replace("\\", "\\\\").replace('"', '\\"') + '"'
