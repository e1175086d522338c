"""Last stage. What readers see: the database, the report, and pull requests."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from finops_pipeline import contracts, pipeline
from finops_pipeline.errors import FinopsError

from .factory import billing_period, stop
from .resources import Finops


def _publishing(
    name: str, deps: list[str], doc: str, run: Callable[[Finops, list[str]], dict[str, Any]]
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        deps=deps,
        group_name="publish",
        description=doc,
        partitions_def=billing_period(),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def publishing(context: dg.AssetExecutionContext, finops: Finops) -> dg.MaterializeResult[Any]:
        try:
            return dg.MaterializeResult(metadata=run(finops, list(context.partition_keys)))
        except FinopsError as error:
            raise stop(error, context, finops) from error

    return publishing


def _database(finops: Finops, _periods: list[str]) -> dict[str, Any]:
    path = pipeline.publish_database(finops.warehouse)
    return {"path": dg.MetadataValue.path(path), "dagster/uri": str(path)}


def _report(finops: Finops, _periods: list[str]) -> dict[str, Any]:
    path = pipeline.write_report(finops.warehouse.config)
    return {"path": dg.MetadataValue.path(path), "open": dg.MetadataValue.url(path.as_uri())}


def _pull_requests(finops: Finops, periods: list[str]) -> dict[str, Any]:
    submitted = pipeline.submit_proposals(finops.warehouse.config, periods)
    lines = ["| state | reference | reason |", "|---|---|---|"]
    lines += [f"| {s.state} | `{s.reference}` | {s.reason} |" for s in submitted]
    return {"proposals": len(submitted), "list": dg.MetadataValue.md("\n".join(lines))}


publish = [
    _publishing(
        "showback_database",
        list(contracts.tables()),
        "`showback.duckdb`: every table in one file that any DuckDB client opens, renewed in one "
        "rename together with the Parquet tables beside it.",
        _database,
    ),
    _publishing(
        "report",
        ["showback_database"],
        "`report/index.html`: one page without network, for people.",
        _report,
    ),
    _publishing(
        "pull_requests",
        ["showback_database"],
        "Recommendations as the smallest edits of the GitOps repositories, and closed periods "
        "published to them, each a pull request.",
        _pull_requests,
    ),
]
