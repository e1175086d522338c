"""The road with a real Prometheus for the cluster: the same table of costs as from files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import duckdb

from finops_pipeline import config, pipeline, sample
from finops_pipeline.warehouse import Warehouse

from .test_prometheus import needs_prometheus, serving

PERIOD = "2026-10"


def road(toml: Path) -> list[tuple[Any, ...]]:
    """Every allocated cost of the period, from inputs, without publishing."""
    warehouse = Warehouse(config.load(toml))
    with warehouse.writing():
        for step in pipeline.steps():
            if step.stage in ("bill", "usage", "allocation"):
                step.run(warehouse, PERIOD)
        folder = warehouse.folder("allocated_cost", PERIOD)
        return duckdb.sql(f"from '{folder}/*.parquet' order by all").fetchall()


@needs_prometheus
def test_a_server_and_files_lead_to_the_same_costs(tmp_path: Path) -> None:
    sample.write(tmp_path / "acme", days=1)
    toml = tmp_path / "acme" / "finops.toml"
    from_files = road(toml)

    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics",
         str(tmp_path / "acme/inputs/metrics/date=2026-10-01/metrics.om"), str(tmp_path / "data")],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "p.yml").write_text("global: {}\n", encoding="utf-8")
    with serving(tmp_path) as url:
        text = toml.read_text(encoding="utf-8")
        text = re.sub(r'(?m)^kind = "parquet".*$', f'kind = "prometheus"\nurl = "{url}"', text)
        text = re.sub(r'(?m)^location = "inputs/metrics.*$', "", text)
        text = text.replace('path = "warehouse"', 'path = "warehouse-2"')
        toml.write_text(text, encoding="utf-8")
        from_server = road(toml)

    methods = {row[-3] for row in from_files}
    assert {"pod", "inference", "idle"} <= methods
    assert from_files == from_server
