"""Inputs in Google Cloud Storage.

What belongs here: every call to google-cloud-storage, and the meaning of its errors. Credentials
are found by Google's client itself; none are read or kept here.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ..config import GcsSection
from ..errors import ConfigError, DeliveryVanished, MissingExtra, Refused, Unavailable
from . import Item, split_pattern
from .landing import Changed, Checksum, land, sha256, steady

CHUNK = 4 << 20
"""Bytes asked for at once: what a broken connection costs at most."""
PATIENCE = 60.0
"""Seconds that a call to Google is tried again."""


class Gcs:
    """Objects of `gs://bucket/...` patterns. Fingerprint: generation and size."""

    def __init__(self, section: GcsSection) -> None:
        self.section = section

    @cached_property
    def client(self) -> Any:
        """One client for all calls."""
        try:
            from google.cloud import storage
        except ImportError as error:  # `google.cloud` is there for others, too
            raise MissingExtra("gcp", "a gs:// location") from error
        from google.auth.credentials import AnonymousCredentials

        endpoint = self.section.endpoint_url
        plain: dict[str, Any] = {}
        if endpoint is not None:
            plain["client_options"] = {"api_endpoint": endpoint}
        if self.section.anonymous or (endpoint or "").startswith("http://"):
            plain |= {"credentials": AnonymousCredentials(), "project": "anonymous"}
        with _errors("[gcs] of finops.toml"):
            return storage.Client(**plain)

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`."""
        bucket, key = _parts(pattern)
        root, wanted = split_pattern(key)
        prefix = key.split("*", 1)[0]
        items = []
        client = self.client
        with _errors(f"gs://{bucket}/{prefix}"):
            found = client.list_blobs(
                self._bucket(bucket), prefix=prefix, retry=_retry(), timeout=PATIENCE
            )
            for blob in found:
                path = blob.name[len(root) :]
                if wanted.fullmatch(path):
                    tag = f"{blob.generation}-{blob.size}"
                    items.append(Item(path, blob.size, tag, f"gs://{bucket}/{blob.name}"))
        return sorted(items)

    def fetch(self, item: Item, landing: Path) -> Path:
        """See `landing.land`; held against the checksum Google has of every object."""
        return land(item, landing, partial(self._ask, item), lambda: self._told(item))

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return b"".join(steady(item, partial(self._ask, item)))

    def digest(self, item: Item) -> str:
        """See `Transport.digest`."""
        return sha256(item, partial(self._ask, item))

    def _ask(self, item: Item, start: int) -> Iterator[bytes]:
        """The object as it was listed, from `start` on."""
        bucket, key = _parts(item.address)
        with _errors(item.address, item):
            reader = (
                self._bucket(bucket)
                .blob(key)
                .open(
                    "rb",
                    chunk_size=CHUNK,
                    retry=None,  # landing.steady asks again
                    timeout=PATIENCE,
                    if_generation_match=_generation(item),
                    raw_download=True,  # as it lies: a .gz stays one, whatever its headers say
                )
            )
            if start:
                reader.seek(start)
            while chunk := reader.read(CHUNK):
                yield chunk

    def _told(self, item: Item) -> Checksum:
        """The checksum Google has of the object, if it is still the one that was listed."""
        import google_crc32c

        bucket, key = _parts(item.address)
        with _errors(item.address, item):
            blob = self._bucket(bucket).blob(key)
            blob.reload(retry=_retry(), timeout=PATIENCE)
        if blob.generation != _generation(item):
            raise Changed(item)
        return Checksum(google_crc32c.Checksum, base64.b64decode(blob.crc32c))

    def _bucket(self, name: str) -> Any:
        return self.client.bucket(name, user_project=self.section.billing_project)


def _parts(address: str) -> tuple[str, str]:
    """Bucket and key of `gs://bucket/key`."""
    bucket, _, key = address.removeprefix("gs://").partition("/")
    if not bucket or "*" in bucket:
        raise ConfigError(
            f"{address}: a Google Cloud Storage location is gs://bucket/path; name the bucket in "
            "full"
        )
    return bucket, key


def _generation(item: Item) -> int:
    return int(item.fingerprint.partition("-")[0])


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE)


@contextmanager
def _errors(where: str, item: Item | None = None) -> Iterator[None]:
    """Translate Google's errors; `where` is the address that was asked for."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except GoogleAPICallError as error:
        status = int(error.code or 0)
        if item is not None and status == 404:
            raise DeliveryVanished(f"{where}: was listed and is gone; deliver it again") from error
        if item is not None and status in (412, 416):
            raise Changed(item) from error
        if status in (0, 408, 429) or status >= 500:
            raise Unavailable(f"{where}: Google answered {status}; try later") from error
        advice = (
            "check the bucket in `location`"
            if status in (400, 404)
            else "check the credentials Google's client finds and their role Storage Object Viewer"
        )
        raise Refused(f"{where}: Google answered {status}; {advice}") from error
    except DefaultCredentialsError as error:
        raise Refused(
            f"{where}: no Google credentials found; set GOOGLE_APPLICATION_CREDENTIALS, run "
            "`gcloud auth application-default login`, or set [gcs] anonymous for a public bucket"
        ) from error
    except (TransportError, RetryError, RequestException, HTTPError) as error:
        said = str(error).partition("\n")[0][:300]
        raise Unavailable(f"{where}: no whole answer ({said}); try later") from error
    except GoogleAuthError as error:
        raise Refused(f"{where}: Google refused the credentials ({error})") from error
