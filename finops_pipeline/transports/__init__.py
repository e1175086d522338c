"""Where inputs live. One file per place; each lists what is there and brings it here.

What belongs here: the seam (`Item`, `Transport`), the choice of transport by scheme, and the
meaning of `*`. What a file says is the business of the stage that reads it. To add a place, add
a file with a class like `files.Files` and its scheme below; `tests/test_seams.py` does the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..config import Config
from ..errors import ConfigError


@dataclass(frozen=True, order=True)
class Item:
    """One delivered file.

    `path` is relative to the fixed part of the pattern it was found by, with `/`, so it is the
    same on every machine. `size` is in bytes. `fingerprint` changes when the content does.
    `address` is where it lies, for its own transport; it is no part of what the item is.
    """

    path: str
    size: int
    fingerprint: str
    address: str = field(compare=False)


class Transport(Protocol):
    """A place that holds files. Errors: `Refused`, `Unavailable`, `DeliveryVanished`."""

    def list(self, pattern: str) -> list[Item]:
        """Files that match, sorted by path; `*` stands for any part of one name, not for `/`."""
        ...

    def fetch(self, item: Item, landing: Path) -> Path:
        """The item as a whole local file, in `landing` unless it lies on this machine already."""
        ...

    def read(self, item: Item) -> bytes:
        """The content of a small item, such as a manifest."""
        ...

    def digest(self, item: Item) -> str:
        """SHA-256 of the content, to tell a second copy from a second file."""
        ...


def open_transport(location: str, config: Config) -> Transport:
    """The transport for a location: no scheme is a path relative to `finops.toml`."""
    scheme, separator, _ = location.partition("://")
    if not separator:
        from .files import Files

        return Files(config.root)
    if scheme == "s3":
        from .s3 import S3

        return S3(config.s3)
    if scheme == "az":
        from .azure_blob import AzureBlob

        return AzureBlob(config.azure)
    if scheme == "gs":
        from .gcs import Gcs

        return Gcs(config.gcs)
    if scheme == "bigquery":
        from .bigquery import BigQuery

        return BigQuery(config, location)
    raise ConfigError(
        f"{location}: nothing here reads {scheme}://; known are s3://, az://, gs://, "
        "bigquery:// and paths without a scheme"
    )


def split_pattern(pattern: str) -> tuple[str, re.Pattern[str]]:
    """The fixed folder of a pattern (ends in `/` unless empty), and what lies below it."""
    fixed = pattern.split("*", 1)[0]
    root = fixed[: fixed.rfind("/") + 1]
    names = (re.escape(part) for part in pattern[len(root) :].split("*"))
    return root, re.compile("[^/]*".join(names), re.DOTALL)
