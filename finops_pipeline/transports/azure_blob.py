"""Inputs in Azure Blob Storage.

What belongs here: every call to azure-storage-blob and azure-identity, and the meaning of their
errors. A secret is read from the environment variable that is configured, and kept nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..config import AzureSection
from ..errors import ConfigError, DeliveryVanished, MissingExtra, Refused, Unavailable
from . import Item, split_pattern
from .landing import Changed, Checksum, land, sha256, steady

CHUNK = 4 << 20
"""Bytes asked for at a time; what is lost of a download that breaks off is less."""


class AzureBlob:
    """Blobs of `az://container/...` patterns. Fingerprint: ETag and size."""

    def __init__(self, section: AzureSection) -> None:
        self.section = section

    @cached_property
    def client(self) -> Any:
        """One client for all calls; an unanswered call is tried four times by it."""
        try:
            from azure.storage.blob import BlobServiceClient, ExponentialRetry
        except ModuleNotFoundError as error:
            raise MissingExtra("azure", "an az:// location") from error
        url = self.section.endpoint_url
        if url is None:
            if self.section.account is None:
                raise ConfigError("[azure] account: name the storage account of az:// locations")
            url = f"https://{self.section.account}.blob.core.windows.net"
        return BlobServiceClient(
            url,
            credential=self._credential(),
            retry_policy=ExponentialRetry(initial_backoff=0, increment_base=2, retry_total=3),
            max_single_get_size=CHUNK,
            max_chunk_get_size=CHUNK,
            connection_timeout=10,
            read_timeout=60,
        )

    def _credential(self) -> Any:
        if self.section.auth == "anonymous":
            return None
        if self.section.auth == "default":
            from azure.identity import DefaultAzureCredential

            return DefaultAzureCredential()
        secret = os.environ.get(self.section.secret_env)
        if not secret:
            raise ConfigError(
                f"[azure] auth = {self.section.auth!r} needs the environment variable "
                f"{self.section.secret_env}, which is empty"
            )
        if self.section.auth == "sas":
            from azure.core.credentials import AzureSasCredential

            return AzureSasCredential(secret)
        if self.section.account is None:
            raise ConfigError("[azure] account: auth = 'key' needs the account the key is of")
        return {"account_name": self.section.account, "account_key": secret}

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`."""
        container, key = _parts(pattern)
        root, wanted = split_pattern(key)
        prefix = key.split("*", 1)[0]
        items = []
        with _errors(f"az://{container}/{prefix}"):
            # Where folders are real, they are listed as blobs that say so.
            blobs = self.client.get_container_client(container).list_blobs(
                name_starts_with=prefix, include=["metadata"]
            )
            for blob in blobs:
                path = blob.name[len(root) :]
                if wanted.fullmatch(path) and not (blob.metadata or {}).get("hdi_isfolder"):
                    tag = f"{blob.etag.strip(chr(34))}-{blob.size}"
                    items.append(Item(path, blob.size, tag, f"az://{container}/{blob.name}"))
        return sorted(items)

    def fetch(self, item: Item, landing: Path) -> Path:
        """See `landing.land`; held against the MD5 that Azure keeps of the blob, if it does."""
        return land(item, landing, partial(self._ask, item), lambda: self._told(item))

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return b"".join(steady(item, partial(self._ask, item)))

    def digest(self, item: Item) -> str:
        """See `Transport.digest`."""
        return sha256(item, partial(self._ask, item))

    def _ask(self, item: Item, start: int) -> Iterator[bytes]:
        """The blob as it was listed, from `start` on; as it lies, so a .gz stays one."""
        from azure.core import MatchConditions

        with _errors(item.address, item):
            yield from (
                self._blob(item)
                .download_blob(
                    offset=start or None,
                    etag=f'"{item.fingerprint.rsplit("-", 1)[0]}"',
                    match_condition=MatchConditions.IfNotModified,
                    decompress=False,
                )
                .chunks()
            )

    def _told(self, item: Item) -> Checksum | None:
        with _errors(item.address, item):
            properties = self._blob(item).get_blob_properties()
        if properties.etag.strip('"') != item.fingerprint.rsplit("-", 1)[0]:
            raise Changed(item)
        kept = properties.content_settings.content_md5
        if not kept:
            return None
        return Checksum(partial(hashlib.md5, usedforsecurity=False), bytes(kept))

    def _blob(self, item: Item) -> Any:
        container, key = _parts(item.address)
        return self.client.get_blob_client(container, key)


def _parts(address: str) -> tuple[str, str]:
    """Container and blob of `az://container/blob`."""
    container, _, key = address.removeprefix("az://").partition("/")
    if not container or "*" in container:
        raise ConfigError(
            f"{address}: an Azure location is az://container/path; name the container in full"
        )
    return container, key


@contextmanager
def _errors(where: str, item: Item | None = None) -> Iterator[None]:
    """Translate Azure's errors; `where` is the address that was asked for."""
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as error:
        said = str(error).partition("\n")[0][:300]
        raise Refused(
            f"{where}: Azure refused ({said}); check [azure] auth, and that it has the role "
            "Storage Blob Data Reader"
        ) from error
    except HttpResponseError as error:
        status = error.status_code or 0
        code = getattr(error.error_code, "value", error.error_code) if error.error_code else ""
        if item is not None and status == 404:
            raise DeliveryVanished(f"{where}: was listed and is gone; deliver it again") from error
        if item is not None and status in (412, 416):
            raise Changed(item) from error
        if status in (0, 408, 429) or status >= 500:
            raise Unavailable(f"{where}: Azure answered {status} {code}; try later") from error
        advice = (
            "check the container in `location` and [azure] account and endpoint_url"
            if status in (400, 404)
            else "check [azure] auth, and that it has the role Storage Blob Data Reader"
        )
        raise Refused(f"{where}: Azure answered {status} {code}; {advice}") from error
    except AzureError as error:
        said = str(error).partition("\n")[0][:300]
        raise Unavailable(f"{where}: no whole answer ({said}); try later") from error
