"""What of `finops.toml` reaches SQL: scalars as `$parameters`, lists as small tables to join.

What belongs here: the one translation from configuration to SQL. Tag keys and values are
normalised here as `normal_key` and `spelt_value` of sql/macros.sql do it there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from .config import DIMENSIONS, Config, InferenceSplitSection, SharedWhere, Where
from .errors import ConfigError

Scalar = str | int | Decimal | date


@dataclass(frozen=True)
class SmallTable:
    """A list of the configuration as a table: DuckDB column types and rows."""

    columns: Mapping[str, str]
    rows: tuple[tuple[str | int | None, ...], ...]


_WHERE = dict.fromkeys(Where.model_fields, "VARCHAR")
_SHARED_WHERE = {
    "x_AllocationMethod" if name == "method" else name: "VARCHAR"
    for name in SharedWhere.model_fields
    if name not in DIMENSIONS
}
SMALL_TABLES: dict[str, dict[str, str]] = {
    "owner_key": {"x_Dimension": "VARCHAR", "x_Rank": "INTEGER", "x_TagKey": "VARCHAR"},
    "value_alias": {"x_Dimension": "VARCHAR", "x_From": "VARCHAR", "x_To": "VARCHAR"},
    "owner_rule": {
        "x_Rank": "INTEGER",
        **_WHERE,
        "x_Feature": "VARCHAR",
        "x_Tenant": "VARCHAR",
        "x_Environment": "VARCHAR",
        "x_Reason": "VARCHAR",
    },
    "inference_split": {
        "x_Rank": "INTEGER",
        "x_Name": "VARCHAR",
        **_WHERE,
        "x_Endpoint": "VARCHAR",
        "x_EndpointStart": "VARCHAR",
        "x_EndpointEnd": "VARCHAR",
        "x_ResourceStart": "VARCHAR",
        "x_Gpus": "INTEGER",
    },
    "cluster_charge": {
        "x_Rank": "INTEGER",
        **_WHERE,
        "SkuMeter": "VARCHAR",
        "x_Pool": "VARCHAR",
        "x_Cluster": "VARCHAR",
        "x_Bytes": "VARCHAR",
        "x_Otherwise": "VARCHAR",
    },
    "separate_source": {"x_Source": "VARCHAR", "x_OtherSource": "VARCHAR"},
    "paired_source": {"x_Source": "VARCHAR", "x_Name": "VARCHAR"},
    "shared_rule": {
        "x_Rank": "INTEGER",
        "x_SharedBy": "VARCHAR",
        "x_FromDay": "DATE",
        "x_UntilDay": "DATE",
        "x_Feature": "VARCHAR",
        "x_Tenant": "VARCHAR",
        "x_Environment": "VARCHAR",
        **_SHARED_WHERE,
    },
    "run_label": {"x_Use": "VARCHAR", "x_Rank": "INTEGER", "x_TagKey": "VARCHAR"},
    "training_job": {
        "x_Rank": "INTEGER",
        "x_Name": "VARCHAR",
        **_WHERE,
        "x_Resource": "VARCHAR",
        "x_RunKind": "VARCHAR",
    },
    "token_ratio": {
        "x_TokenRatio": "VARCHAR",
        "x_FromDay": "DATE",
        "x_UntilDay": "DATE",
        "x_InputWeight": "BIGINT",
        "x_CachedInputWeight": "BIGINT",
        "x_OutputWeight": "BIGINT",
    },
    "edge_device": {
        "x_Name": "VARCHAR",
        "x_Model": "VARCHAR",
        "x_MonthlyCost": "DECIMAL(38, 12)",
        "BillingCurrency": "VARCHAR",
        "x_QuantityUnit": "VARCHAR",
        "x_Capacity": "BIGINT",
    },
    "bought_model": {"x_Model": "VARCHAR", "x_Provider": "VARCHAR", "x_BoughtModel": "VARCHAR"},
    "repository_cluster": {"x_Repository": "VARCHAR", "x_Cluster": "VARCHAR"},
}


def normal_key(key: str) -> str:
    """A tag key as `normal_key` of sql/macros.sql writes it."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"^(user[:_]|label_)", "", key.strip().lower()))


def normal_value(value: str) -> str:
    """A value as `spelt_value` of sql/macros.sql writes it; `(shared)` may be said here."""
    return value.strip().lower()


def small_tables(config: Config) -> dict[str, SmallTable]:
    """The lists of the configuration, by table name."""
    keys: list[tuple[str | int | None, ...]] = []
    aliases: dict[tuple[str, str], str] = {}
    for dimension in DIMENSIONS:
        for rank, key in enumerate(getattr(config.owner, dimension), start=1):
            keys.append((dimension, rank, normal_key(key)))
        for canonical, others in getattr(config.alias, dimension).items():
            for other in others:
                known = aliases.setdefault(
                    (dimension, normal_value(other)), normal_value(canonical)
                )
                if known != normal_value(canonical):
                    raise ConfigError(
                        f"[alias.{dimension}]: {other!r} is an alias of both {known!r} and "
                        f"{canonical!r}; keep one"
                    )
    rules = [
        (rank, *_matches(rule.where), *(_lower(getattr(rule, d)) for d in DIMENSIONS), rule.why)
        for rank, rule in enumerate(config.rule, start=1)
    ]
    splits = [
        (rank, split.name, *_matches(split.where), *_endpoint(split))
        for rank, split in enumerate(config.inference_split, start=1)
    ]
    of_cluster = [
        (
            rank,
            *_matches(charge.where),
            meter,
            f"{charge.kind}/{charge.name}/{charge.cluster}",
            charge.cluster,
            charge.bytes,
            charge.otherwise,
        )
        for rank, charge in enumerate(config.cluster_charge, start=1)
        for meter in charge.meters or (None,)
    ]
    shared = [
        (
            rank,
            block.name,
            None if block.since is None else str(block.since),
            None if block.until is None else str(block.until),
            *block.where.owner,
            *(getattr(block.where, n) for n in SharedWhere.model_fields if n not in DIMENSIONS),
        )
        for rank, block in enumerate(config.shared_cost, start=1)
    ]
    labels = {
        (use, rank, normal_key(key))
        for use in ("run", "kind", "model", "version")
        for rank, key in enumerate(getattr(config.training, f"{use}_labels"), start=1)
    }
    jobs = [
        (rank, job.name, *_matches(job.where), _like(job.resource), job.kind)
        for rank, job in enumerate(config.training_job, start=1)
    ]
    devices = [
        (
            device.name,
            device.model,
            str(device.monthly_cost),
            device.currency,
            device.unit,
            device.serves,
        )
        for device in config.edge_device
    ]
    rows: dict[str, list[Any]] = {
        "owner_key": sorted(set(keys)),
        "value_alias": sorted((d, f, t) for (d, f), t in aliases.items()),
        "owner_rule": rules,
        "inference_split": splits,
        "cluster_charge": of_cluster,
        "separate_source": [(b.name, o) for b in config.billing for o in b.separate_from],
        "paired_source": [
            (b.name, ", ".join(sorted((b.name, b.pair)))) for b in config.billing if b.pair
        ],
        "shared_rule": shared,
        "run_label": sorted(labels),
        "training_job": jobs,
        "token_ratio": _ratios(config),
        "edge_device": devices,
        "bought_model": sorted({(b.model, b.provider, b.buy) for b in config.bought_model}),
        "repository_cluster": sorted((b.name, b.cluster) for b in config.gitops if b.cluster),
    }
    return {n: SmallTable(SMALL_TABLES[n], tuple(rows[n])) for n in SMALL_TABLES}


def parameters(config: Config) -> dict[str, Scalar]:
    """The scalars of the configuration, by `$name`. Weights are integers."""
    ratios = config.allocation
    found: dict[str, Scalar] = {
        "price_ratio": ratios.price_ratio,
        "endpoint_idle": ratios.endpoint_idle,
        "unused_commitment": ratios.unused_commitment,
        "rows_per_part": config.warehouse.rows_per_part,
        "training_life_days": config.training.life_days,
        "training_driver": config.training.driver,
    }
    return found


def recommender_parameters(config: Config, recommender: str) -> dict[str, Scalar]:
    """The parameters of one recommender: the keys of its `[rightsizing.<name>]` section."""
    section = getattr(config.rightsizing, recommender, None)
    return dict(section.model_dump()) if section is not None else {}


def _matches(where: Where) -> tuple[str | None, ...]:
    return tuple(getattr(where, name) for name in Where.model_fields)


def _lower(value: str | None) -> str | None:
    return None if value is None else normal_value(value)


def _endpoint(split: InferenceSplitSection) -> tuple[str | int | None, ...]:
    """What of a split says which endpoints: a pattern for all, or what stands around a name."""
    start, name, end = split.endpoint.partition("{ResourceName}")
    if not name:
        return (_like(split.endpoint), None, None, None, 0)
    return (None, start, end, split.resource.removesuffix("{ResourceName}"), split.gpus)


def _like(pattern: str) -> str:
    """A `*` pattern as a LIKE pattern, escaped with a backslash."""
    escaped = re.sub(r"([\\%_])", r"\\\1", pattern)
    return escaped.replace("*", "%")


def _ratios(config: Config) -> list[tuple[str | int | None, ...]]:
    """What tokens weigh, in thousandths: each day has one ratio, and the first begins with time."""
    told = sorted(config.token_ratio, key=lambda r: r.since)
    first = config.allocation
    ratios = [
        (date.min, "allocation", first.input_token, first.cached_input_token, first.output_token),
        *((r.since, r.name, r.input, r.cached_input, r.output) for r in told),
    ]
    ends = [*(r.since for r in told), date.max]
    return [
        (
            name,
            str(since),
            str(until),
            *(
                _scaled(w, 1000, "[allocation]" if since == date.min else f"[[token_ratio]] {name}")
                for w in weights
            ),
        )
        for (since, name, *weights), until in zip(ratios, ends, strict=True)
    ]


def _scaled(value: Decimal, factor: int, where: str) -> int:
    scaled = value * factor
    if scaled != int(scaled):
        raise ConfigError(f"{where}: {value} has more digits than 1/{factor} can hold; round it")
    return int(scaled)
