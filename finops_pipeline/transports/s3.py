"""Inputs in S3, or in anything that speaks its protocol.

What belongs here: every call to boto3, and the meaning of its errors. Credentials are found by
boto3 itself, and change to a role where one is configured; none are kept here.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..config import S3Section
from ..errors import ConfigError, DeliveryVanished, MissingExtra, Refused, Unavailable
from . import Item, split_pattern
from .landing import Changed, Checksum, Crc32, Hasher, land, sha256, steady

CHUNK = 1 << 20
CHECKSUMS: dict[str, Callable[[], Hasher]] = {
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumSHA1": partial(hashlib.sha1, usedforsecurity=False),
    "ChecksumCRC32": Crc32,
}
"""Checksums S3 may keep with an object, and what makes them; CRC32C and CRC64NVME need more."""


class S3:
    """Objects of `s3://bucket/...` patterns. Fingerprint: ETag and size."""

    def __init__(self, section: S3Section) -> None:
        self.section = section

    @cached_property
    def client(self) -> Any:
        """One client for all calls; an unanswered call is tried four times by boto3."""
        try:
            import boto3
        except ModuleNotFoundError as error:
            raise MissingExtra("s3", "an s3:// location") from error
        from botocore.config import Config as ClientConfig
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.Session(
                profile_name=self.section.profile, region_name=self.section.region
            )
            make = partial(
                session.client,
                endpoint_url=self.section.endpoint_url,
                config=ClientConfig(
                    connect_timeout=10,
                    read_timeout=60,
                    retries={"mode": "standard", "total_max_attempts": 4},
                ),
            )
            if self.section.role_arn is None:
                return make("s3")
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"[s3] of finops.toml: {error}") from error
        return self._as_role(make)

    def _as_role(self, make: Any) -> Any:
        """A client with the credentials of the role, renewed before they end."""
        from botocore.credentials import DeferredRefreshableCredentials
        from botocore.session import Session

        asked = {"RoleArn": self.section.role_arn, "RoleSessionName": "finops-pipeline"}
        if self.section.external_id is not None:
            asked["ExternalId"] = self.section.external_id
        sts = make("sts")

        def renew() -> dict[str, str]:
            with _errors(f"[s3] role_arn {self.section.role_arn}"):
                given = sts.assume_role(**asked)["Credentials"]
            return {
                "access_key": given["AccessKeyId"],
                "secret_key": given["SecretAccessKey"],
                "token": given["SessionToken"],
                "expiry_time": given["Expiration"].isoformat(),
            }

        import boto3

        session = Session(profile=self.section.profile)
        # botocore has no public way to give a session credentials that renew themselves.
        session._credentials = DeferredRefreshableCredentials(renew, "assume-role")  # noqa: SLF001
        region = self.section.region or sts.meta.region_name
        return boto3.Session(botocore_session=session, region_name=region).client(
            "s3", **make.keywords
        )

    @cached_property
    def _payer(self) -> dict[str, str]:
        return {"RequestPayer": "requester"} if self.section.requester_pays else {}

    @cached_property
    def _key(self) -> dict[str, str]:
        """What reading objects needs that are encrypted with a key of ours."""
        variable = self.section.sse_customer_key_env
        if variable is None:
            return {}
        try:
            key = base64.b64decode(os.environ.get(variable, ""), validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ConfigError(
                f"[s3] sse_customer_key_env: {variable} must hold the base64 of a 256-bit key"
            )
        return {
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKey": base64.b64encode(key).decode(),
            "SSECustomerKeyMD5": base64.b64encode(
                hashlib.md5(key, usedforsecurity=False).digest()
            ).decode(),
        }

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`."""
        bucket, key = _parts(pattern)
        root, wanted = split_pattern(key)
        prefix = key.split("*", 1)[0]
        items = []
        with _errors(f"s3://{bucket}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix, **self._payer):
                for found in page.get("Contents", ()):
                    path = found["Key"][len(root) :]
                    if wanted.fullmatch(path):
                        tag = f"{found['ETag'].strip(chr(34))}-{found['Size']}"
                        address = f"s3://{bucket}/{found['Key']}"
                        items.append(Item(path, found["Size"], tag, address))
        return sorted(items)

    def fetch(self, item: Item, landing: Path) -> Path:
        """See `landing.land`; held against the checksum S3 has of the object, if it has one."""
        return land(item, landing, partial(self._ask, item), lambda: self._told(item))

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return b"".join(steady(item, partial(self._ask, item)))

    def digest(self, item: Item) -> str:
        """See `Transport.digest`."""
        return sha256(item, partial(self._ask, item))

    def _ask(self, item: Item, start: int) -> Iterator[bytes]:
        """The object as it was listed, from `start` on."""
        begin = {"Range": f"bytes={start}-"} if start else {}
        with _errors(item.address, item):
            answer = self.client.get_object(**self._of(item), **begin)
            yield from answer["Body"].iter_chunks(CHUNK)

    def _told(self, item: Item) -> Checksum | None:
        """What S3 says of the whole object: a checksum it keeps, or an ETag that is an MD5."""
        with _errors(item.address, item):
            told = self.client.head_object(**self._of(item), ChecksumMode="ENABLED")
        etag = told["ETag"].strip('"')
        in_parts = "-" in etag
        if not in_parts or told.get("ChecksumType") == "FULL_OBJECT":
            for name, start in CHECKSUMS.items():
                if name in told:
                    return Checksum(start, base64.b64decode(told[name]))
        encrypted = told.get("ServerSideEncryption", "AES256") != "AES256" or bool(self._key)
        if encrypted or not re.fullmatch("[0-9a-f]{32}", etag):
            return None  # then the ETag is something else
        return Checksum(partial(hashlib.md5, usedforsecurity=False), bytes.fromhex(etag))

    def _of(self, item: Item) -> dict[str, str]:
        """What asks for an object, as it was listed."""
        bucket, key = _parts(item.address)
        etag = item.fingerprint.rsplit("-", 1)[0]
        return {"Bucket": bucket, "Key": key, "IfMatch": f'"{etag}"', **self._payer, **self._key}


def _parts(address: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket or "*" in bucket:
        raise ConfigError(f"{address}: an S3 location is s3://bucket/path; name the bucket in full")
    return bucket, key


@contextmanager
def _errors(where: str, item: Item | None = None) -> Iterator[None]:
    """Translate boto3's errors; `where` is the address that was asked for."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        if item is not None and (code == "NoSuchKey" or (status, code) == (404, "404")):
            raise DeliveryVanished(f"{where}: was listed and is gone; deliver it again") from error
        if item is not None and status in (412, 416):
            raise Changed(item) from error
        if status in (429, 0) or status >= 500 or code in ("SlowDown", "RequestTimeout"):
            raise Unavailable(f"{where}: the server answered {status} {code}; try later") from error
        advice = (
            "check the bucket in `location` and [s3] region and endpoint_url"
            if status in (301, 400, 404)
            else "check the credentials boto3 finds and their s3:ListBucket and s3:GetObject rights"
        )
        raise Refused(f"{where}: the server answered {status} {code}; {advice}") from error
    except NoCredentialsError as error:
        raise Refused(f"{where}: boto3 found no credentials; set [s3] profile or AWS_* ") from error
    except (BotoCoreError, HTTPError) as error:
        raise Unavailable(f"{where}: no whole answer ({error}); try later") from error
