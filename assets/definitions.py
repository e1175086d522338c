"""Everything Dagster needs to know: assets, jobs, schedules, one executor."""

from __future__ import annotations

import dagster as dg

from finops_pipeline.periods import before, open_period

from .allocation import allocation
from .bill import bill
from .declared import declared
from .findings import findings
from .publish import publish
from .resources import Finops
from .rightsizing import rightsizing
from .showback import showback
from .usage import usage

ROAD = [*bill, *usage, *declared, *allocation, *findings, *showback, *rightsizing, *publish]

bill_to_showback = dg.define_asset_job(
    "bill_to_showback",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("pull_requests"),
    description="Everything but write-back: inputs to tables, database and report.",
)
rightsizing_to_pull_requests = dg.define_asset_job(
    "rightsizing_to_pull_requests",
    selection=dg.AssetSelection.all(),
    description="The whole road, ending with proposals as pull requests.",
)


def _open_and_previous(name: str) -> dg.RunRequest:
    """One run for the open billing period and the one before, which exports still rewrite."""
    period = open_period()
    return dg.RunRequest(
        tags={
            "dagster/asset_partition_range_start": before(period),
            "dagster/asset_partition_range_end": period,
            "finops/schedule": name,
        }
    )


@dg.schedule(
    job=bill_to_showback,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every morning: the open billing period and the one before.",
)
def daily_showback() -> dg.RunRequest:
    """Renew what may have changed overnight."""
    return _open_and_previous("daily")


@dg.schedule(
    job=rightsizing_to_pull_requests,
    cron_schedule="0 7 * * 1",
    execution_timezone="UTC",
    # It writes branches to somebody's clone: switched on by a person, not by installing this.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday, once switched on: recommendations become pull requests.",
)
def weekly_rightsizing() -> dg.RunRequest:
    """Propose once a week, so that reviewers are not flooded."""
    return _open_and_previous("weekly")


defs = dg.Definitions(
    assets=ROAD,
    jobs=[bill_to_showback, rightsizing_to_pull_requests],
    schedules=[daily_showback, weekly_rightsizing],
    resources={"finops": Finops()},
    # A process per step would cost two seconds each and let two writers meet.
    executor=dg.in_process_executor,
)
