"""Inputs in S3, or in anything that speaks its protocol.

What belongs here: every call to boto3, and the meaning of its errors. Credentials are found by
boto3 itself; none are read or kept here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import S3Section
from ..errors import ConfigError, DeliveryVanished, MissingExtra, Refused, Unavailable
from . import Item, split_pattern

CHUNK = 1 << 20


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
            return session.client(
                "s3",
                endpoint_url=self.section.endpoint_url,
                config=ClientConfig(
                    connect_timeout=10,
                    read_timeout=60,
                    retries={"mode": "standard", "total_max_attempts": 4},
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"[s3] of finops.toml: {error}") from error

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`."""
        bucket, key = _parts(pattern)
        root, wanted = split_pattern(key)
        prefix = key.split("*", 1)[0]
        items = []
        with _errors(f"s3://{bucket}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    path = found["Key"][len(root) :]
                    if wanted.fullmatch(path):
                        tag = f"{found['ETag'].strip(chr(34))}-{found['Size']}"
                        address = f"s3://{bucket}/{found['Key']}"
                        items.append(Item(path, found["Size"], tag, address))
        return sorted(items)

    def fetch(self, item: Item, landing: Path) -> Path:
        """Download to `landing`, under a name made of address and fingerprint.

        A file of that name is whole, so it is not fetched again. Raises `Unavailable` when the
        object changed since it was listed, or the answer stopped early.
        """
        name = hashlib.sha256(f"{item.address} {item.fingerprint}".encode()).hexdigest()[:32]
        whole = landing / f"{name}-{item.path.rsplit('/', 1)[-1]}"
        if whole.exists():
            return whole
        landing.mkdir(parents=True, exist_ok=True)
        part = whole.with_name(f"{whole.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                for chunk in self._chunks(item):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)
        return whole

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return b"".join(self._chunks(item))

    def digest(self, item: Item) -> str:
        """See `Transport.digest`; the object is streamed, not kept."""
        digest = hashlib.sha256()
        for chunk in self._chunks(item):
            digest.update(chunk)
        return digest.hexdigest()

    def _chunks(self, item: Item) -> Iterator[bytes]:
        """The object as it was listed, all of it or an error."""
        bucket, key = _parts(item.address)
        etag = item.fingerprint.rsplit("-", 1)[0]
        size = 0
        with _errors(item.address):
            answer = self.client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"')
            for chunk in answer["Body"].iter_chunks(CHUNK):
                size += len(chunk)
                yield chunk
        if size != item.size:
            raise Unavailable(f"{item.address}: {size} of {item.size} bytes came; run again")


def _parts(address: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket or "*" in bucket:
        raise ConfigError(f"{address}: an S3 location is s3://bucket/path; name the bucket in full")
    return bucket, key


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Translate boto3's errors; `where` is the address that was asked for."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchKey":
            raise DeliveryVanished(f"{where}: was listed and is gone; deliver it again") from error
        if status == 412:
            raise Unavailable(f"{where}: changed since it was listed; run again") from error
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
