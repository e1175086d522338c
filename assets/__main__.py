"""Run the assets from a terminal: `python -m assets FROM TO`. `finops run` calls this.

The same assets, resource and executor as the schedule and the user interface; one run for
the whole range of billing periods.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from .definitions import ROAD
from .resources import Finops


def main(first: str, last: str, proposals: bool) -> int:
    """Materialise all assets for the periods `first` to `last`; 0 when all passed."""
    os.environ.setdefault("DAGSTER_HOME", str(Path.cwd() / ".dagster"))
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    # The runs of a terminal are those of the user interface: one instance, one configuration.
    settings = Path(__file__).parents[1] / "dagster.yaml"
    if settings.exists() and not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(settings.read_text(encoding="utf-8"), encoding="utf-8")
    everything = dg.AssetSelection.all()
    selection = everything if proposals else everything - dg.AssetSelection.assets("pull_requests")
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize(
            ROAD,
            selection=selection,
            instance=instance,
            resources={"finops": Finops(progress=True)},
            raise_on_error=False,
            # Progress is told by the steps themselves; Dagster keeps its own log of the run.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={
                ASSET_PARTITION_RANGE_START_TAG: first,
                ASSET_PARTITION_RANGE_END_TAG: last,
            },
        )
    if result.success:
        return 0
    print("\n".join(_reasons(result)) or "finops: the run failed; see Dagster's log", file=sys.stderr)
    return 1


def _reasons(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """Why steps failed, in the words of the error that stopped each."""
    for event in result.all_events:
        failed = event.event_specific_data
        if isinstance(failed, StepFailureData):
            told = failed.user_failure_data.description if failed.user_failure_data else None
            error = failed.error.message.strip() if failed.error else "no reason given"
            yield f"finops: {told or error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], "--no-proposals" not in sys.argv[3:]))
