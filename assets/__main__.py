"""Run the assets from a terminal: `python -m assets FROM TO`. `finops run` calls this.

The same assets, resource and executor as the schedule and the user interface; one run for
the whole range of billing periods.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import dagster as dg
from dagster._core.events import JobFailureData
from dagster._core.execution.plan.objects import StepFailureData
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from finops_pipeline import errors

from .definitions import ROAD
from .resources import Finops

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo


def main(first: str, last: str, proposals: bool) -> int:
    """Materialise all assets for the periods `first` to `last`; returns the exit code.

    Nothing is tried again: 75 says that the same command may pass later.
    """
    # How far a long download is, and what a query will cost.
    logging.basicConfig(format="finops: %(message)s")
    logging.getLogger("finops_pipeline").setLevel(logging.INFO)
    os.environ.setdefault("DAGSTER_HOME", str(Path.cwd() / ".dagster"))
    home = Path(os.environ["DAGSTER_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    # The runs of a terminal are those of the user interface: one instance, one configuration.
    if not (home / "dagster.yaml").exists():
        # In a source tree at its top, in an installed package beside this file.
        here = Path(__file__).parent
        settings = next(
            f for f in (here / "dagster.yaml", here.with_name("dagster.yaml")) if f.exists()
        )
        (home / "dagster.yaml").write_text(settings.read_text(encoding="utf-8"), encoding="utf-8")
    everything = dg.AssetSelection.all()
    selection = everything if proposals else everything - dg.AssetSelection.assets("pull_requests")
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize(
            ROAD,
            selection=selection,
            instance=instance,
            resources={"finops": Finops(progress=True, retries=0)},
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
    reasons = list(_reasons(result)) or [("the run failed; see Dagster's log", 1)]
    for told, _ in reasons:
        print(f"finops: {told}", file=sys.stderr)
    # What may pass later is no help beside what cannot.
    return min((code for _, code in reasons), default=1)


def _reasons(result: dg.ExecuteInProcessResult) -> Iterator[tuple[str, int]]:
    """Why the run failed, in the words of the error that stopped each step, and its exit code."""
    for event in result.all_events:
        failed = event.event_specific_data
        if isinstance(failed, StepFailureData) and failed.user_failure_data is not None:
            code = failed.user_failure_data.metadata.get("exit_code")
            told = failed.user_failure_data.description or "no reason given"
            yield told, int(str(code.value)) if code is not None else 1
        elif _is_first(failed) and failed.error is not None:
            yield _root(failed.error)


def _is_first(failed: object) -> TypeGuard[StepFailureData | JobFailureData]:
    """Whether this is a failure that no step has told already."""
    if isinstance(failed, JobFailureData):
        return failed.first_step_failure_event is None
    return isinstance(failed, StepFailureData)


def _root(error: SerializableErrorInfo) -> tuple[str, int]:
    """The words and exit code of what an error came from, such as another run at work."""
    while error.cause is not None:
        error = error.cause
    kind = getattr(errors, error.cls_name or "", None)
    code = kind.exit_code if isinstance(kind, type) and issubclass(kind, errors.FinopsError) else 1
    return error.message.strip().removeprefix(f"{errors.__name__}.{error.cls_name}: "), code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], "--no-proposals" not in sys.argv[3:]))
