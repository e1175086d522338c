"""Usage of pods that others have worked out: exports of OpenCost and Kubecost, AWS's split rows.

What belongs here: taking a file apart into days, once, and a day of it as the tables of the usage
stage. How a file is read exactly is in `bill.py`, for these are files of the same kind; what a row
means in `sql/usage/pods/<kind>.sql`, and how it becomes hours in `sql/usage/exported`.

    <home>/landing/<mark>.days/2026-10-01.parquet      the rows of one file and day

An export may hold a month, or all there ever was. Its days are known by their bytes, so that a day
that is delivered again as it was is not read again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from . import bill, queries
from .config import MetricsSection
from .dialect import dialect
from .errors import ConfigError, UnreadableFile
from .landed import TAKEN_APART as SUFFIX
from .transports import Item
from .warehouse import copy, digest, literal

__all__ = ["SUFFIX", "day_digest", "file_digest", "read_day", "take_apart"]

FOLDER = "usage/pods"
DAY_OF_ROW = "exported/day_of_row"


def file_digest(kind: str) -> str:
    """Changes when a file of this kind would be taken apart otherwise."""
    return digest([queries.query(f"usage/{s}").digest for s in (f"pods/{kind}", DAY_OF_ROW)])


def day_digest(kind: str) -> str:
    """Changes when a day of this kind would be read otherwise."""
    stems = (f"pods/{kind}", "exported/metric_hour", "unread_usage")
    return digest([queries.query(f"usage/{s}").digest for s in stems])


def take_apart(
    connection: duckdb.DuckDBPyConnection, kind: str, item: Item, local: Path, folder: Path
) -> None:
    """Write a file of each day of an export into `folder`, which is there whole or not at all.

    Errors: `UnreadableFile` names the file, also where no row of it says a day.
    """
    spoken = dialect(kind, FOLDER)
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)

    def ask(cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(f"create or replace temp view read_export as {spoken.query.text}")
        text = queries.query(f"usage/{DAY_OF_ROW}").text
        cursor.execute(f"create or replace temp table row_of_export as {text}")
        found = cursor.execute(
            "select distinct on_day from row_of_export order by on_day"
        ).fetchall()
        for (day,) in found:
            if day is None:
                raise UnreadableFile(
                    f"{item.address}: no row says of which day it is; deliver it again"
                )
            copy(
                cursor,
                f"select * exclude (on_day), {literal(item.path)} as x_SourceFile "
                f"from row_of_export where on_day = date {literal(day)} order by x_SourceRow",
                draft / f"{day}.parquet",
            )
        cursor.execute("drop table row_of_export")

    try:
        bill.ask_rows(connection, spoken, item, local, draft, ask)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_day(
    connection: duckdb.DuckDBPyConnection,
    block: MetricsSection,
    day: str,
    files: Sequence[tuple[str, Path]],
    into: Path,
) -> None:
    """Write `metric_hour.parquet` and `unread_usage.parquet` of one UTC day into `into`.

    `files` are the day's rows of each delivered file, by its path. Raises `ConfigError` where they
    are of several clusters and the block does not say which it is.
    """
    listed = ", ".join(literal(file) for _, file in sorted(files))
    connection.execute(f"create or replace temp view pod_export as from read_parquet([{listed}])")
    asked = block.match.get("cluster", "")
    clusters = [
        str(row[0])
        for row in connection.execute(
            "select distinct cluster from pod_export "
            "where x_Reason is null and cluster is not null order by cluster"
        ).fetchall()
    ]
    if not asked and len(clusters) > 1:
        raise ConfigError(
            f"metrics {block.name!r}: the files of {day} are of the clusters "
            f"{', '.join(clusters)}; say which is meant: match = {{ cluster = {clusters[0]!r} }}, "
            "and give each its own block"
        )
    connection.execute(
        "create or replace temp view refused_line as select x_SourceFile, x_SourceRow, x_Reason, "
        "x_RawRow from pod_export where x_Reason is not null"
        + (f" and coalesce(cluster, {literal(asked)}) = {literal(asked)}" if asked else "")
    )
    bound = {"day": day, "source": block.name}
    copy(
        connection,
        queries.query("usage/exported/metric_hour").text,
        into / "metric_hour.parquet",
        {**bound, "cluster": block.cluster, "asked_cluster": asked},
    )
    copy(
        connection,
        queries.query("usage/unread_usage").text,
        into / "unread_usage.parquet",
        bound,
    )
