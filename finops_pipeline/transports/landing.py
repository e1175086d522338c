"""How an item comes here whole, from any place that can hand out its bytes from a position on.

What belongs here: landing a file under a name of its own, going on where a download broke off,
telling how far it is, and holding what came against the size and checksum the server told. How a
place is asked, and what its errors mean, is in its own file.

A place hands in `ask(start)`: the bytes of the item as it was listed, from `start` on. It raises
`Changed` where the item is no longer what was listed; of all errors only another `Unavailable` is
tried again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import Unavailable
from . import Item

Ask = Callable[[int], Iterator[bytes]]
log = logging.getLogger(__name__)

TRIES = 4
"""Times in a row that an answer may bring nothing; one that brought something does not count."""
WAIT = 1.0
"""Seconds before the second try; twice as long before each further one."""
TELL_EVERY = 10.0
"""Seconds between two lines on how far a download is."""


class Changed(Unavailable):
    """The item is not what was listed any more: list again, then ask."""

    def __init__(self, item: Item) -> None:
        super().__init__(f"{item.address}: changed since it was listed; run again")


class Hasher(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""
        ...

    def digest(self) -> bytes:
        """Of all bytes so far."""
        ...


class Crc32:
    """CRC-32 as hashlib would make it."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""
        self.value = zlib.crc32(data, self.value)

    def digest(self) -> bytes:
        """Of all bytes so far, the most significant first."""
        return self.value.to_bytes(4, "big")


@dataclass(frozen=True)
class Checksum:
    """What the server says of the content; `start` makes an empty hasher of that kind."""

    start: Callable[[], Hasher]
    digest: bytes


def land(
    item: Item, folder: Path, ask: Ask, tell: Callable[[], Checksum | None] = lambda: None
) -> Path:
    """The item as a file in `folder`, under a name made of address and fingerprint.

    A file of that name is whole, so it is not asked for again; its `.part` is what an earlier
    download brought, and this one goes on there. What does not have the checksum that the server
    says by `tell()` is thrown away: `Unavailable`.
    """
    name = hashlib.sha256(f"{item.address} {item.fingerprint}".encode()).hexdigest()[:32]
    whole = folder / f"{name}-{item.path.rsplit('/', 1)[-1]}"
    if whole.exists():
        return whole
    told = tell()
    folder.mkdir(parents=True, exist_ok=True)
    part = whole.with_name(f"{whole.name}.part")
    try:
        with part.open("ab+") as file:
            hasher = told.start() if told is not None else None
            file.seek(0)
            while hasher is not None and (before := file.read(1 << 20)):
                hasher.update(before)
            start = file.seek(0, os.SEEK_END)
            for chunk in steady(item, ask, start):
                file.write(chunk)
                if hasher is not None:
                    hasher.update(chunk)
            file.flush()
            os.fsync(file.fileno())
    except Changed:
        part.unlink()
        raise
    except BaseException:
        if part.stat().st_size in (0, item.size):  # nothing to go on from
            part.unlink()
        raise
    if told is not None and hasher is not None and hasher.digest() != told.digest:
        part.unlink()
        raise Unavailable(
            f"{item.address}: came damaged (checksum {hasher.digest().hex()}, the server says "
            f"{told.digest.hex()}); it is thrown away, run again"
        )
    part.replace(whole)
    return whole


def steady(item: Item, ask: Ask, start: int = 0) -> Iterator[bytes]:
    """The bytes of an item from `start` on, asked for again where an answer breaks off.

    They are as many as were listed, or it is an error.
    """
    place, failed = start, 0
    told = time.monotonic()
    while place < item.size or item.size == 0:
        began = place
        try:
            for chunk in ask(place):
                place += len(chunk)
                yield chunk
                if time.monotonic() - told > TELL_EVERY:
                    told = time.monotonic()
                    log.info("%s: %d of %d MiB", item.address, place >> 20, item.size >> 20)
            if place != item.size:
                raise Unavailable(f"{item.address}: {place} of {item.size} bytes came; run again")
        except Changed:
            raise
        except Unavailable as error:
            failed = failed + 1 if place == began else 1
            if failed == TRIES or place >= item.size > 0:
                raise
            log.info("%s; going on at byte %d", error, place)
            time.sleep(WAIT * 2 ** (failed - 1))
        else:
            return


def sha256(item: Item, ask: Ask) -> str:
    """SHA-256 of the content; it is streamed, not kept."""
    digest = hashlib.sha256()
    for chunk in steady(item, ask):
        digest.update(chunk)
    return digest.hexdigest()
