"""Inputs in a folder of this machine, or of a file system mounted on it.

What belongs here: listing and opening local files. Nothing is copied.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import DeliveryVanished, Refused, Unavailable
from . import Item, split_pattern


class Files:
    """Local files; relative patterns start at `root`. Fingerprint: size and time of change."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`; a folder that does not exist holds nothing."""
        fixed, wanted = split_pattern(pattern.replace(os.sep, "/"))
        root = self.root / fixed
        depth = pattern[len(fixed) :].count("/")
        items: list[Item] = []
        for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
            below = Path(folder).relative_to(root).parts
            if len(below) == depth:
                folders.clear()
                paths = ("/".join((*below, name)) for name in names)
                items += [_item(path, root / path) for path in paths if wanted.fullmatch(path)]
        return sorted(items)

    def fetch(self, item: Item, landing: Path) -> Path:  # noqa: ARG002  # nothing to land
        """The file itself. Raises `Unavailable` when it changed since it was listed."""
        path = Path(item.address)
        if _item(item.path, path) != item:
            raise Unavailable(f"{path}: changed since it was listed; run again once it is whole")
        return path

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return self.fetch(item, Path()).read_bytes()

    def digest(self, item: Item) -> str:
        """See `Transport.digest`."""
        with self.fetch(item, Path()).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def _item(path: str, file: Path) -> Item:
    try:
        stat = file.stat()
    except FileNotFoundError:
        raise DeliveryVanished(f"{file}: was listed and is gone; deliver it again") from None
    return Item(path, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}", str(file))


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed must not look empty; one that is not there is."""
    if not isinstance(error, FileNotFoundError):
        raise Refused(f"{error.filename}: {error.strerror}; allow this user to read it") from error
