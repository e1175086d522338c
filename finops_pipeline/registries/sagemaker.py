"""Model packages of Amazon SageMaker's model registry.

What belongs here: every call to boto3's SageMaker client, and the meaning of its errors.
Credentials are found by boto3 itself; none are kept here. A version is a package of a model package
group. It serves where a model made from it is a production variant of an endpoint; it came from the
job that its metadata names as `GeneratedBy`, whose ARN is its ResourceId on the bill. Versions have
no tags of their own: what people say of one stands in its CustomerMetadataProperties, and what they
say of all in the tags of the group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

from ..config import RegistrySection
from ..errors import ConfigError, MissingExtra, Refused, Unavailable
from . import Version, noted


def connect(block: RegistrySection) -> SageMaker:
    """The registry of the account and region that boto3 finds, or `region` names."""
    return SageMaker(block)


class SageMaker:
    """All model package groups of one account and region."""

    def __init__(self, block: RegistrySection) -> None:
        self.block = block

    def versions(self) -> list[Version]:
        """See `Registry.versions`."""
        with (
            closing(self._client()) as client,
            _errors(f"[[registry]] {self.block.name}"),
        ):
            endpoints = _endpoints(client)
            found = []
            for group in _all(client, "list_model_package_groups", "ModelPackageGroupSummaryList"):
                name = group["ModelPackageGroupName"]
                arn = group["ModelPackageGroupArn"]
                tags = {
                    t["Key"]: t["Value"] for t in _all(client, "list_tags", "Tags", ResourceArn=arn)
                }
                packages = _all(
                    client,
                    "list_model_packages",
                    "ModelPackageSummaryList",
                    ModelPackageGroupName=name,
                )
                for package in packages:
                    arn = package["ModelPackageArn"]
                    found.append(_version(client, name, arn, tags, endpoints.get(arn, ())))
        return found

    def _client(self) -> Any:
        """An unanswered call is tried four times by boto3."""
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise MissingExtra("s3", "a [[registry]] of kind `sagemaker`") from error
        from botocore.config import Config as ClientConfig
        from botocore.exceptions import BotoCoreError

        try:
            return boto3.Session(region_name=self.block.region).client(
                "sagemaker",
                endpoint_url=self.block.url,
                config=ClientConfig(
                    connect_timeout=10,
                    read_timeout=self.block.timeout_seconds,
                    retries={"mode": "standard", "total_max_attempts": 4},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"[[registry]] {self.block.name}: {error}") from error


def _version(
    client: Any, group: str, arn: str, tags: Mapping[str, str], endpoints: tuple[str, ...]
) -> Version:
    """One package, described."""
    said = client.describe_model_package(ModelPackageName=arn)
    version = str(said.get("ModelPackageVersion") or arn.rpartition("/")[2])
    own = noted(
        f"{group} version {version}", {**tags, **(said.get("CustomerMetadataProperties") or {})}
    )
    job = (said.get("MetadataProperties") or {}).get("GeneratedBy") or ""
    return Version(
        model=group,
        version=version,
        stage=said.get("ModelApprovalStatus"),
        created=_naive(said["CreationTime"]),
        retired=own.retired,
        run=job.rpartition("/")[2] or None,
        resources=own.resources or ((job,) if job else ()),
        endpoints=own.endpoints or endpoints,
        life_days=own.life_days,
        expected_requests=own.expected_requests,
    )


def _endpoints(client: Any) -> dict[str, tuple[str, ...]]:
    """ARN of a model package -> names of the endpoints that serve a model made from it."""
    models: dict[str, list[str]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for summary in _all(client, "list_endpoints", "Endpoints"):
        name = summary["EndpointName"]
        endpoint = client.describe_endpoint(EndpointName=name)
        config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
        for variant in config.get("ProductionVariants", ()):
            model = variant.get("ModelName")
            if model is None:
                continue
            if model not in models:
                said = client.describe_model(ModelName=model)
                containers = [said.get("PrimaryContainer") or {}, *said.get("Containers", ())]
                models[model] = [
                    c["ModelPackageName"] for c in containers if c.get("ModelPackageName")
                ]
            for arn in models[model]:
                found[arn] = (*found.get(arn, ()), name)
    return found


def _all(client: Any, operation: str, key: str, **asked: Any) -> Iterator[dict[str, Any]]:
    """What an operation lists, page after page."""
    for page in client.get_paginator(operation).paginate(**asked):
        yield from page.get(key, ())


def _naive(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Translate boto3's errors."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        told = f"{where}: {error.operation_name}: the server answered {status} {code}"
        if status in (429, 0) or status >= 500 or "Throttling" in code:
            raise Unavailable(f"{told}; try later") from error
        raise Refused(
            f"{told}; check `region`, and that the credentials boto3 finds may list and describe "
            "model packages, models and endpoints, and list tags"
        ) from error
    except NoCredentialsError as error:
        raise Refused(f"{where}: boto3 found no credentials; set AWS_* or a profile") from error
    except (BotoCoreError, HTTPError) as error:
        raise Unavailable(f"{where}: no whole answer ({error}); try later") from error
