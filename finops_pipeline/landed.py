"""Delivered files by what is in them: each is fetched once and hashed once.

What belongs here: which content a listed file has, and the copies of what was fetched from
another machine. How a file is brought here is in `transports/`; what is read from it, in `bill.py`.

    <home>/landing/bill/<sha256>       a file that was fetched, read-only from then on
    <home>/landing/bill/2026-10.json   the newest delivery of a period: address of each file ->
                                       its fingerprint and SHA-256

A place tells cheaply that a file may have changed, by its time or ETag; whether it did, its SHA-256
tells. So a file that was delivered again with the same bytes is hashed once more, and that is all.
Files that lie on this machine are read in place. A copy stays as long as the newest delivery of a
period has it, so that a changed dialect reads it without asking for it again: they are one copy of
the bills that stand, and no more. All of it may be thrown away: it is then fetched and hashed anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from .errors import Unavailable
from .transports import Item, Transport

TAKEN_APART = ".days"
"""How the folder of an export's days ends, which are taken apart once."""
DAYS_KEPT = 3
"""Days that fetched metrics and logs stay: those of a day are read for the next one, too."""


class Landed:
    """What is known of the files of one period. `open` places through it, then `keep` once."""

    def __init__(self, folder: Path, period: str) -> None:
        self.folder = folder
        self.listing = folder / f"{period}.json"
        self.known = _listing(self.listing)
        self.asked: dict[str, list[str]] = {}
        self.sound: set[str] = set()

    def open(self, place: Transport) -> Transport:
        """The place, where every file is known by its content."""
        return _Place(self, place)

    def keep(self) -> None:
        """Remember the files that were asked for, and remove copies that no delivery has any more.

        To be called when they have been read; costs nothing when they are those of last time.
        """
        if self.asked == self.known:
            return
        self.note(self.asked)
        listings = sorted(self.folder.glob("*.json"))
        stay = {sha256 for file in listings for _, sha256 in _listing(file).values()}
        for file in self.folder.iterdir():
            if file not in listings and file.name not in stay:
                file.unlink()

    def note(self, files: dict[str, list[str]]) -> None:
        """Write the listing, so that what was fetched is known when this run ends early."""
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.listing.with_suffix(".draft")
        draft.write_text(json.dumps(files, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(draft, self.listing)


class _Place:
    """A transport whose `digest` is asked of each version of a file once."""

    def __init__(self, landed: Landed, place: Transport) -> None:
        self.landed = landed
        self.place = place

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`."""
        return self.place.list(pattern)

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        return self.place.read(item)

    def digest(self, item: Item) -> str:
        """See `Transport.digest`; the file is fetched for it where it is not known yet."""
        of = self.landed
        fingerprint, sha256 = of.asked.get(item.address) or of.known.get(item.address) or ("", "")
        if fingerprint != item.fingerprint:
            sha256 = self._take(item)
            if sha256 in of.sound:
                of.note({**of.known, **of.asked, item.address: [item.fingerprint, sha256]})
        of.asked[item.address] = [item.fingerprint, sha256]
        return sha256

    def fetch(self, item: Item, landing: Path) -> Path:  # noqa: ARG002  # all copies are in one
        """The file itself, or the copy that was landed of it, if it still is what it was."""
        sha256 = self.digest(item)
        copy = self.landed.folder / sha256
        if copy.exists() and sha256 not in self.landed.sound:
            if digest_of(copy) == sha256:
                self.landed.sound.add(sha256)
            else:
                copy.unlink()
        if sha256 in self.landed.sound:
            return copy
        local = self._there(item)
        if local.parent == self.landed.folder and self._keep(local) != sha256:
            raise Unavailable(f"{item.address}: changed since it was listed; run again")
        return copy if local.parent == self.landed.folder else local

    def _take(self, item: Item) -> str:
        """The SHA-256 of a file as it was listed."""
        local = self._there(item)
        if local.parent == self.landed.folder:
            return self._keep(local)
        sha256 = digest_of(local)
        self._there(item)  # and has not changed meanwhile
        return sha256

    def _there(self, item: Item) -> Path:
        """The file, whole, as it was listed: where it lies, or fetched."""
        return self.place.fetch(item, self.landed.folder)

    def _keep(self, fetched: Path) -> str:
        """The SHA-256 of what was fetched, which is its name from now on."""
        sha256 = digest_of(fetched)
        fetched.chmod(0o444)
        os.replace(fetched, self.landed.folder / sha256)
        self.landed.sound.add(sha256)
        return sha256


def forget(landing: Path) -> None:
    """Remove fetched metrics, logs and exports that no day is read from any more."""
    before = time.time() - DAYS_KEPT * 86400
    for file in landing.iterdir() if landing.is_dir() else ():
        if file.stat().st_mtime >= before:
            continue
        if file.is_file():
            file.unlink()
        elif file.name.endswith(TAKEN_APART):
            shutil.rmtree(file)


def _listing(file: Path) -> dict[str, list[str]]:
    """What was noted of a delivery; nothing where it is not there, or damaged."""
    try:
        found: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


def digest_of(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
