"""What model registries know, one file each: which versions there are, and where they serve.

What belongs here: the seam (`Version`, `Registry`), the choice of registry by kind, and what tags
on a version or its run say to us. What a version costs is decided in `sql/`. To add a registry, add
a file with a `connect(block)` and its name to `RegistrySection`; `tests/test_registries.py` does
the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from .. import contracts
from ..bindings import normal_key
from ..config import Config, RegistrySection
from ..errors import UnreadableFile


@dataclass(frozen=True)
class Version:
    """One version of a model. Times are naive UTC.

    `resources` are what its run ran on (`namespace/workload`, or ResourceId on a bill),
    `endpoints` where it serves (`namespace/workload`, or the name of an endpoint). What is not
    known is None or empty; nothing is made up.
    """

    model: str
    version: str
    stage: str | None = None
    aliases: tuple[str, ...] = ()
    created: datetime | None = None
    retired: datetime | None = None
    run: str | None = None
    resources: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    life_days: int | None = None
    expected_requests: int | None = None


class Registry(Protocol):
    """A place that knows model versions. Errors: `Refused`, `Unavailable`, `UnreadableFile`."""

    def versions(self) -> list[Version]:
        """All of them, in no order that means anything."""
        ...


def open_registry(block: RegistrySection) -> Registry:
    """The registry of a `[[registry]]` block."""
    module = import_module(f"{__name__}.{block.kind}")
    return cast("Registry", module.connect(block))


@dataclass(frozen=True)
class Noted:
    """What people said by tags on a version or its run.

    The tags are `finops.life_days`, `finops.expected_requests`, `finops.retired_on` (YYYY-MM-DD),
    `finops.endpoint` and `finops.resource`. Keys are compared as those of the bill are, so
    `finops_life_days` is the same key. Several endpoints or resources stand in one value, divided
    by commas.
    """

    life_days: int | None
    expected_requests: int | None
    retired: datetime | None
    endpoints: tuple[str, ...]
    resources: tuple[str, ...]


def noted(where: str, tags: Mapping[str, str]) -> Noted:
    """What tags say. `UnreadableFile` names the tag at `where` that cannot be read."""
    said = {normal_key(key): value.strip() for key, value in tags.items() if value.strip()}

    def number(key: str) -> int | None:
        value = said.get(f"finops_{key}")
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 10**18:
            raise UnreadableFile(
                f"{where}: the tag finops.{key} is {value!r}; write a whole number, at least 1"
            )
        return int(value)

    def names(key: str) -> tuple[str, ...]:
        listed = said.get(f"finops_{key}", "").split(",")
        return tuple(name.strip() for name in listed if name.strip())

    retired = said.get("finops_retired_on")
    try:
        day = None if retired is None else date.fromisoformat(retired)
    except ValueError:
        raise UnreadableFile(
            f"{where}: the tag finops.retired_on is {retired!r}; write it as YYYY-MM-DD"
        ) from None
    return Noted(
        number("life_days"),
        number("expected_requests"),
        _midnight(day),
        names("endpoint"),
        names("resource"),
    )


def declared(config: Config) -> list[Version]:
    """The versions that `[[model_version]]` blocks speak of."""
    return [
        Version(
            model=block.model,
            version=block.version,
            created=_midnight(block.created_on),
            retired=_midnight(block.retired_on),
            run=block.run,
            endpoints=tuple(block.endpoints),
            life_days=block.life_days,
            expected_requests=block.expected_requests,
        )
        for block in config.model_version
    ]


def instant(milliseconds: float) -> datetime:
    """Milliseconds since 1970 as naive UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)


def write(name: str, versions: Sequence[Version], into: Path) -> None:
    """Write `model_version.parquet`, in the order of models and versions."""
    import polars as pl

    from ..contracts.fields import TYPES

    rows = [
        (
            name,
            v.model,
            v.version,
            v.stage,
            _listed(v.aliases),
            v.created,
            v.retired,
            v.run,
            _listed(v.resources),
            _listed(v.endpoints),
            v.life_days,
            v.expected_requests,
        )
        for v in sorted(versions, key=lambda v: (v.model, v.version))
    ]
    schema = {n: TYPES[t] for n, t in contracts.table("model_version").duckdb.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(into / "model_version.parquet", compression="zstd")


def _listed(names: Iterable[str]) -> str:
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time())


__all__ = ["Noted", "Registry", "Version", "declared", "instant", "noted", "open_registry", "write"]
