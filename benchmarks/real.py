"""A real day of inference calls through the reader. Prints one JSON object as its last line.

What belongs here: the calls of `servegen/inference_24h.parquet` in our own columns, read by the
product's code, beside the bare scan and group of the same file.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from finops_pipeline import config as configuration
from finops_pipeline import usage
from finops_pipeline.warehouse import connect, literal

from .bounds import CALLS

AS_CALLS = """
select
    ts as x_Time, 'serving/' || model as x_Endpoint, 'vllm' as x_Provider, client as x_Feature,
    split_part(client, '/', 1) as x_Tenant, 'production' as x_Environment, model as x_Model,
    'ok' as x_Status, cast(input_tokens as bigint) as x_InputTokens,
    cast(0 as bigint) as x_CachedInputTokens, cast(output_tokens as bigint) as x_OutputTokens,
    cast(null as bigint) as x_GpuMs, cast(null as bigint) as x_LatencyMs,
    'call-' || file_row_number as x_CallId
from read_parquet({}, file_row_number = true)
"""


def run(source: Path, folder: Path) -> dict[str, Any]:
    """Seconds of the reader and of the bare query over the same calls."""
    given = {"inference": [{"name": "real", "dialect": "calls", "location": "{date}.parquet"}]}
    config = configuration.parse(given, folder)
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        contextlib.closing(
            connect(config, Path(scratch) / "spill", sums_joins=False)
        ) as connection,
    ):
        calls = Path(scratch) / "calls.parquet"
        as_parquet = "(format parquet, compression zstd)"
        connection.execute(
            f"copy ({AS_CALLS.format(literal(source))}) to {literal(calls)} {as_parquet}"
        )
        started = time.perf_counter()
        files = [("calls.parquet", calls)]
        usage.read_calls(connection, config.inference[0], date(2026, 10, 1), files, Path(scratch))
        read = time.perf_counter()
        connection.execute(
            f"copy (select {CALLS} from (select *, date_trunc('hour', x_Time) as x_HourStart, "
            "x_InputTokens as i, x_CachedInputTokens as c, x_OutputTokens as o, x_GpuMs as g, "
            f"x_LatencyMs as l, x_CallId as id from read_parquet({literal(calls)})) as call "
            f"group by 1, 2, 3, 4, 5, 6, 7) to {literal(Path(scratch) / 'bound.parquet')} "
            f"{as_parquet}"
        )
        ended = time.perf_counter()
        found = connection.execute(f"select count(*) from read_parquet({literal(calls)})")
        return {
            "rows": found.fetchall()[0][0],
            "seconds": read - started,
            "bound": ended - read,
        }


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]))))
