"""What has been delivered for a period, and whether it is whole: manifests, pairs, copies.

What belongs here: which files are a period's bill, by a manifest or without one; what a manifest
says, and keeping it. What is in a file is read in `bill.py`; where files live is in `transports/`;
what is known of their content, in `landed.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .config import BillingSection, Config
from .contracts import table
from .dialect import dialect
from .errors import ConfigError, IncompleteDelivery
from .periods import in_month, names_month
from .transports import Item, Transport, open_transport


@dataclass(frozen=True)
class Delivery:
    """The files of one source and period, sorted by path, and what was left out of it.

    `duplicates` pairs a second copy with the file it repeats; only the latter is in `files`.
    `listing` is the manifest that lists them, as it was delivered. `rows` has, by path, how many
    rows a file must hold, where the manifest tells.
    """

    files: tuple[Item, ...]
    duplicates: tuple[tuple[Item, Item], ...] = ()
    manifest: Item | None = None
    listing: bytes = b""
    rows: Mapping[str, int] = field(default_factory=dict)


def delivery(
    block: BillingSection,
    config: Config,
    period: str,
    transport: Transport,
) -> Delivery:
    """What has been delivered for `period` (YYYY-MM); no files is an empty delivery.

    With a manifest, exactly the files the newest one lists. Raises `IncompleteDelivery` while
    some of them are missing, and `ConfigError` when the location does not name the period:
    every month would read every file again. That is what a dialect that says the period of a row
    is for: its files may hold several months, and each month reads its own rows.
    """
    location = of_month(block, block.location, period)
    place = of_month(block, block.manifest, period) if block.manifest is not None else None
    found = transport.list(location)
    if found and block.pair:
        _await_pair(block, config, period)
    if place is None:
        return _without_copies(found, transport)
    manifests = transport.list(place)
    if not manifests:
        if found:
            raise IncompleteDelivery(
                f"[[billing]] {block.name}: {len(found)} files of {period} but no manifest at "
                f"{place}; it is written last, so try later, or correct `manifest`"
            )
        return Delivery(())
    listings = [_listed(manifest, transport.read(manifest)) for manifest in manifests]
    listings = [of for of in listings if of.start is None or of.start.startswith(f"{period}-01")]
    unfinished: str | None = None
    mine = "amortized" if block.costs == "amortized" else "actual"
    # The newest whole delivery; one still on its way leaves the one before it standing.
    for listing in sorted(listings, key=lambda of: (of.submitted, of.manifest.path), reverse=True):
        if listing.costs not in (None, mine):
            raise ConfigError(
                f"{listing.manifest.address}: an export of {listing.costs} costs, but [[billing]] "
                f"{block.name} has costs = {block.costs!r}; correct `location`, or "
                f"say costs = {listing.costs!r} and `pair` it with the other export"
            )
        files = {part.path: _find(part, found) for part in listing.parts}
        missing = sorted(path for path, item in files.items() if item is None)
        if not missing:
            rows = {
                file.path: part.rows
                for part in listing.parts
                if part.rows is not None and (file := files[part.path]) is not None
            }
            whole = tuple(sorted({item for item in files.values() if item}))
            return Delivery(whole, (), listing.manifest, listing.content, rows)
        unfinished = unfinished or (
            f"{listing.manifest.address} lists {len(missing)} of {len(listing.parts)} "
            f"files that are not there: {', '.join(missing[:5])}"
        )
    if unfinished is None:
        return Delivery(())
    raise IncompleteDelivery(
        f"[[billing]] {block.name}: {unfinished}; the last whole delivery stands"
    )


def of_month(block: BillingSection, pattern: str, period: str) -> str:
    """A pattern with the month filled in.

    It must name one, but for files of a dialect that says the period of each row.
    """
    by_row = pattern == block.location and dialect(block.dialect).period is not None
    if not names_month(pattern) and not by_row:
        raise ConfigError(
            f"[[billing]] {block.name}: {pattern!r} must hold {{period}}, {{yyyymm}}, or {{year}} "
            "and {month}, so that each month's bill is read once"
        )
    return in_month(pattern, period)


def _await_pair(block: BillingSection, config: Config, period: str) -> None:
    """One half of a pair alone would be a bill without its other cost."""
    other = next(b for b in config.billing if b.name == block.pair)
    place = of_month(other, other.location, period)
    if not open_transport(place, config).list(place):
        raise IncompleteDelivery(
            f"[[billing]] {block.name}: has files of {period}, but its pair {other.name} has none "
            f"at {place} yet; the last whole delivery stands"
        )


def _without_copies(found: list[Item], transport: Transport) -> Delivery:
    """Files of the same size and content are one file, delivered twice; the first path counts."""
    sizes = [item.size for item in found]
    files: list[Item] = []
    duplicates: list[tuple[Item, Item]] = []
    seen: dict[tuple[int, str], Item] = {}
    for item in found:
        if sizes.count(item.size) > 1:
            first = seen.setdefault((item.size, transport.digest(item)), item)
            if first is not item:
                duplicates.append((item, first))
                continue
        files.append(item)
    return Delivery(tuple(files), tuple(duplicates))


@dataclass(frozen=True)
class _ListedFile:
    """A file as its manifest has it; `size` in bytes and `rows` where the manifest tells them."""

    path: str
    size: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class _Listing:
    """What a manifest says: its files, and where it tells, when it was asked for and of what.

    `submitted` and `start` are times as text (ISO 8601); `costs` is `actual` or `amortized`.
    """

    manifest: Item
    content: bytes
    parts: tuple[_ListedFile, ...]
    submitted: str = ""
    start: str | None = None
    costs: str | None = None


def _listed(manifest: Item, content: bytes) -> _Listing:
    """What a manifest lists.

    It is `dataFiles` of AWS Data Exports, `reportKeys` of the older CUR, or `blobs` of Azure's
    Cost Management exports. It is UTF-8, as JSON between systems has to be (RFC 8259, 8.1).
    """
    try:
        listed = json.loads(content.decode().removeprefix("\ufeff"))
        blobs = listed.get("blobs")
        if isinstance(blobs, list):
            run = listed.get("runInfo", {})
            kinds = {"ActualCost": "actual", "AmortizedCost": "amortized"}
            parts = tuple(
                _ListedFile(b["blobName"], b.get("byteCount"), b.get("dataRowCount")) for b in blobs
            )
            return _Listing(
                manifest,
                content,
                parts,
                run.get("submittedTime") or "",
                run.get("startDate"),
                kinds.get(listed.get("exportConfig", {}).get("type")),
            )
        names = listed.get("dataFiles", listed.get("reportKeys"))
        if isinstance(names, list) and all(isinstance(n, str) and n for n in names):
            return _Listing(manifest, content, tuple(_ListedFile(n) for n in names))
    except (ValueError, AttributeError, KeyError, TypeError):
        pass
    raise IncompleteDelivery(
        f"{manifest.address}: not a whole manifest (JSON with a list `dataFiles`, `reportKeys` or "
        "`blobs`); it may still be on its way, so try later"
    )


def keep_manifest(
    block: BillingSection, period: str, manifest: Item, content: bytes, into: Path
) -> None:
    """Write `delivery_manifest.parquet`: a manifest as it was delivered, byte for byte."""
    import polars as pl

    from .contracts.fields import TYPES

    row = {
        "BillingPeriod": period,
        "x_Source": block.name,
        "x_Manifest": manifest.path,
        "x_Bytes": len(content),
        "x_Sha256": hashlib.sha256(content).hexdigest(),
        "x_Content": content.decode(),
    }
    schema = {n: TYPES[t] for n, t in table("delivery_manifest").duckdb.items()}
    frame = pl.DataFrame([row], schema=schema, orient="row")
    frame.write_parquet(into / "delivery_manifest.parquet", compression="zstd")


def _find(part: _ListedFile, found: list[Item]) -> Item | None:
    """The item a manifest means, found by the part of the path that both share.

    A manifest has the addresses of the bucket the export went to; the files may be a copy. A file
    of another size is not the one that is meant, but for gzip, whose size may be told unpacked.
    """
    matching = [item for item in found if f"/{part.path}".endswith(f"/{item.path}")]
    item = max(matching, key=lambda item: len(item.path), default=None)
    told = part.size if not part.path.endswith(".gz") else None
    return item if item is None or told in (None, item.size) else None
