"""Run the assets from a terminal: `python -m assets FROM TO`. `finops run` calls this.

The same assets, resource and executor as the schedule and the user interface; one run for
the whole range of billing periods.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg
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
    selection = dg.AssetSelection.all()
    if not proposals:
        selection = selection - dg.AssetSelection.assets("pull_requests")
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize(
            ROAD,
            selection=selection,
            instance=instance,
            resources={"finops": Finops(progress=True)},
            raise_on_error=False,
            tags={
                ASSET_PARTITION_RANGE_START_TAG: first,
                ASSET_PARTITION_RANGE_END_TAG: last,
            },
        )
    for event in result.all_events:
        failure = event.event_specific_data
        if event.is_step_failure or event.is_failure:
            error = getattr(failure, "error", None)
            described = getattr(getattr(failure, "user_failure_data", None), "description", None)
            if described or error:
                print(f"finops: {described or error.message.strip()}", file=sys.stderr)
                break
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], "--no-proposals" not in sys.argv[3:]))
