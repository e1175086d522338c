"""Every table declared once, and projected to pandera, Arrow, DuckDB and the docs.

What belongs here: what a table is and how it is checked. What a column is lives in
`fields.py`; which columns a table has, in the module of its stage. How a table is filled is
in `sql/<stage>/<table>.sql`, whose name is the table's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ContractBroken, UnknownName
from .fields import FIELDS, MONEY

if TYPE_CHECKING:
    import pyarrow.parquet

STAGES = ("bill", "usage", "declared", "allocation", "findings", "showback", "rightsizing")
"""The road, in order. A stage reads its own tables and those of earlier stages."""

DELIVERED_BY_DAY = frozenset({"inference_usage", "invocation_usage"})

BY_DAY = frozenset(
    {
        "charge_owner",
        "node_charge",
        "list_cost",
        "token_time",
        "caller_day",
        "long_call",
        "usage_share",
        "endpoint_share",
        "volume_share",
        "cluster_share",
        "commitment_share",
        "allocated_cost",
        "shared_source",
        "shared_cost",
        "showback",
    }
)


@dataclass(frozen=True)
class Table:
    """One published table.

    `columns` lists the fields in order, a trailing `?` marks one that may be null. `partition`
    is `BillingPeriod`, `x_Day`, or `""` for a table that is replaced whole. `key` is the grain:
    no two rows of a partition share it (empty where the grain has no key of its own).
    """

    name: str
    stage: str
    doc: str
    partition: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def partition_is_delivery(self) -> bool:
        """Whether `x_Day` is the day of the file, whose rows keep their own hour.

        A call just before or after midnight may then lie in its neighbour's partition.
        """
        return self.name in DELIVERED_BY_DAY

    @property
    def by_day(self) -> bool:
        """Whether a month of it is kept in parts of whole days, by `x_ChargeDay`.

        The parts are those of `day_range`; one is made anew when what it reads has changed.
        """
        return self.name in BY_DAY

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.rstrip("?") for c in self.columns)

    @property
    def nullable(self) -> frozenset[str]:
        """Columns that may be null."""
        return frozenset(c[:-1] for c in self.columns if c.endswith("?"))

    @property
    def duckdb(self) -> dict[str, str]:
        """Column name -> DuckDB type, in order."""
        return {n: FIELDS[n].type for n in self.names}

    @property
    def money(self) -> tuple[str, ...]:
        """The cost columns: those the conservation law speaks of."""
        return tuple(n for n in self.names if n in ("BilledCost", "EffectiveCost"))

    def schema(self) -> Any:
        """The pandera schema: exact types, nullability and allowed values."""
        return _schema(self, self.names)

    def arrow(self) -> Any:
        """The pyarrow schema."""
        import polars as pl

        from .fields import TYPES

        empty = pl.DataFrame(schema={n: TYPES[t] for n, t in self.duckdb.items()})
        return empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema

    def validate(self, files: Iterable[Path]) -> None:
        """Check Parquet files against the contract, streaming; raise `ContractBroken`.

        Names, order and types are those of the footers, and most columns are known from there
        to hold no null and no value that is too small; only the others are read.
        """
        import pandera.errors
        import polars as pl
        import pyarrow.parquet
        from pandera.config import ValidationDepth, config_context

        listed = [str(f) for f in files]
        frame = pl.scan_parquet(listed, hive_partitioning=False)
        footers = [pyarrow.parquet.read_metadata(f) for f in listed]
        types = [tuple((c.name, c.type) for c in f.schema.to_arrow_schema()) for f in footers]
        for file, found in zip(listed, types, strict=True):
            if found != types[0]:
                raise ContractBroken(self.name, f"{file} has other columns than {listed[0]}")
        # A LazyFrame checks its schema only, silently, unless told otherwise.
        schema_only = config_context(validation_depth=ValidationDepth.SCHEMA_ONLY)
        with_data = config_context(validation_depth=ValidationDepth.SCHEMA_AND_DATA)
        try:
            if (self.name, types[0]) not in _SEEN_RIGHT:
                with schema_only:
                    self.schema().validate(frame, lazy=True)
                _SEEN_RIGHT.add((self.name, types[0]))
            groups = [f.row_group(n) for f in footers for n in range(f.num_row_groups)]
            unproven = self._unproven([g for g in groups if g.num_rows])
            if unproven:
                with with_data:
                    _schema(self, unproven).validate(frame.select(unproven), lazy=True)
        except pandera.errors.SchemaErrors as error:
            raise ContractBroken(self.name, str(error)) from error

    def _unproven(self, groups: Sequence[pyarrow.parquet.RowGroupMetaData]) -> tuple[str, ...]:
        """Columns whose footers do not show that all values are as the contract wants them."""

        def proven(place: int, name: str) -> bool:
            field = FIELDS[name]
            never_null = name not in self.nullable
            if not never_null and field.ge is None and field.isin is None:
                return True
            for group in groups:
                known = group.column(place).statistics
                if known is None or not known.has_null_count:
                    return False
                if never_null and known.null_count:
                    return False
                if known.null_count == group.num_rows:
                    continue
                if field.ge is not None and not (known.has_min_max and known.min >= field.ge):
                    return False
                # One value throughout, and it is one of those.
                if field.isin is not None and not (
                    known.has_min_max and known.min == known.max and known.min in field.isin
                ):
                    return False
            return True

        return tuple(n for place, n in enumerate(self.names) if not proven(place, n))


_SEEN_RIGHT: set[tuple[str, tuple[tuple[str, pyarrow.DataType], ...]]] = set()
"""Tables with the columns and types that files of them had, and that their schema allows."""


@cache
def _schema(table: Table, names: tuple[str, ...]) -> Any:
    """The pandera schema of some columns of a table."""
    import pandera.polars as pa

    columns = {n: FIELDS[n].column(n in table.nullable) for n in names}
    return pa.DataFrameSchema(columns, strict=True, name=table.name, description=table.doc)


def tables_of(stage: str, partition: str, specs: Mapping[str, tuple[str, str, str]]) -> list[Table]:
    """Tables of one stage from `{name: (doc, key, columns)}`, key and columns as words."""
    return [
        Table(
            name, stage, " ".join(doc.split()), partition, tuple(key.split()), tuple(cols.split())
        )
        for name, (doc, key, cols) in specs.items()
    ]


@cache
def tables() -> dict[str, Table]:
    """All tables by name, in the order of the road."""
    from . import allocation, bill, declared, findings, rightsizing, showback, usage

    found: dict[str, Table] = {}
    for module in (bill, usage, declared, allocation, findings, showback, rightsizing):
        for table in module.TABLES:
            found[table.name] = table
    return found


def table(name: str) -> Table:
    """The table called `name`; `UnknownName` names the nearest right one."""
    try:
        return tables()[name]
    except KeyError:
        raise UnknownName("table", name, tables()) from None


__all__ = ["FIELDS", "MONEY", "STAGES", "Table", "table", "tables", "tables_of"]
