"""A step of the pipeline as a Dagster asset: its tables, its lineage, its checks, its numbers.

No postponed annotations here: Dagster looks at the types of an asset function itself.
"""

import functools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg

from finops_pipeline import contracts, pipeline, queries
from finops_pipeline.config import load
from finops_pipeline.contracts.fields import FIELDS
from finops_pipeline.errors import CheckFailed, FinopsError, Transient
from finops_pipeline.pipeline import Step
from finops_pipeline.warehouse import Built, Warehouse

from .resources import Finops, config_path

PAUSE_SECONDS = 30
"""Wait before a step whose error may pass is tried again."""


@functools.cache
def billing_period() -> dg.MonthlyPartitionsDefinition:
    """Months, the open one included: exports rewrite a whole billing period until it closes."""
    path = config_path()
    first = load(path).first_period if path.exists() else "2024-01"
    return dg.MonthlyPartitionsDefinition(start_date=first, fmt="%Y-%m", end_offset=1)


def assets_of(stage: str) -> list[dg.AssetsDefinition]:
    """The assets of a stage, one for each step."""
    return [_asset(step) for step in pipeline.steps() if step.stage == stage]


def _asset(step: Step) -> dg.AssetsDefinition:
    specs = [
        dg.AssetSpec(
            key=name,
            group_name=step.stage,
            deps=sorted(step.reads),
            description=f"{contracts.table(name).doc}\n\n{step.doc}",
            metadata={"dagster/column_schema": _schema(name)},
            kinds={"duckdb", "parquet"},
        )
        for name in step.tables
    ]
    rules = [
        dg.AssetCheckSpec(
            name=rule.name.split("__", 1)[1], asset=name, description=rule.doc, blocking=True
        )
        for name in step.tables
        for rule in queries.checks(name)
    ]

    @dg.multi_asset(
        name=step.name,
        specs=specs,
        check_specs=rules,
        partitions_def=billing_period(),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def run(
        context: dg.AssetExecutionContext, finops: Finops
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        built: list[Built] = []
        for period in context.partition_keys:
            try:
                built += step.run(finops.warehouse, period)
            except CheckFailed as error:
                for rule in rules:
                    if f"{rule.asset_key.to_user_string()}__{rule.name} found" in str(error):
                        yield dg.AssetCheckResult(
                            passed=False,
                            asset_key=rule.asset_key,
                            check_name=rule.name,
                            metadata={"offenders": str(error)},
                        )
                raise stop(error, context, finops) from error
            except FinopsError as error:
                raise stop(error, context, finops) from error
        for name in step.tables:
            mine = [b for b in built if b.table == name]
            finops.tell(name, mine)
            yield dg.MaterializeResult(
                asset_key=name,
                metadata=_metadata(finops.warehouse, name, mine),
                check_results=[
                    dg.AssetCheckResult(passed=True, asset_key=name, check_name=rule.name)
                    for rule in rules
                    if rule.asset_key == dg.AssetKey(name)
                ],
            )

    return run


def stop(error: FinopsError, context: dg.AssetExecutionContext, finops: Finops) -> Exception:
    """How Dagster shall end a step: only what may pass later is tried again.

    The last try ends with the reason, and with the exit code of the command line.
    """
    if isinstance(error, Transient) and context.retry_number < finops.retries:
        return dg.RetryRequested(max_retries=finops.retries, seconds_to_wait=PAUSE_SECONDS)
    return dg.Failure(
        description=str(error),
        metadata={"exit_code": error.exit_code},
        allow_retries=False,
    )


def _schema(name: str) -> dg.TableSchema:
    table = contracts.table(name)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column,
                type=kind,
                description=FIELDS[column].description,
                constraints=dg.TableColumnConstraints(nullable=column in table.nullable),
            )
            for column, kind in table.duckdb.items()
        ]
    )


def _metadata(warehouse: Warehouse, name: str, built: list[Built]) -> dict[str, Any]:
    """Row count, summed money, and what was done: the numbers an analyst plots over time."""
    done: dict[str, Any] = {
        "dagster/row_count": sum(b.state.rows for b in built),
        "partitions_written": sum(not b.skipped for b in built),
        "partitions_unchanged": sum(b.skipped for b in built),
        "seconds": round(sum(b.seconds for b in built), 3),
    }
    for column in contracts.table(name).money:
        total = sum((Decimal(b.state.sums[column]) for b in built), Decimal(0))
        # Dagster plots numbers as floats; the exact sum stands beside as text.
        done[column] = dg.MetadataValue.float(float(total))
        done[f"{column} (exact)"] = str(total)
    preview = warehouse.preview(name, [b.partition for b in built])
    if preview:
        done["preview"] = dg.MetadataValue.md(preview)
    return done
