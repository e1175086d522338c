"""The asset graph: what there is, what it hangs on, when it runs, and what a failure stops."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import finops_pipeline
from assets import factory
from assets.definitions import ROAD, defs
from assets.event_log import KEPT, EventLog
from assets.resources import Finops
from finops_pipeline import contracts, pipeline, queries
from finops_pipeline.contracts import STAGES
from finops_pipeline.periods import before

from .small import PERIOD, V1, V2, Small
from .test_warehouse import rewrite

ROOT = Path(__file__).parents[1]
LAST = ("showback_database", "report", "pull_requests")


@pytest.fixture(scope="module")
def graph() -> Any:
    return defs.resolve_asset_graph()


def nodes(graph: Any) -> dict[str, Any]:
    return {n.key.to_user_string(): n for n in graph.asset_nodes}


def test_every_table_is_an_asset_of_its_stage(graph: Any) -> None:
    found = {name: node.group_name for name, node in nodes(graph).items()}

    assert found == {n: t.stage for n, t in contracts.tables().items()} | dict.fromkeys(
        LAST, "publish"
    )
    assert [m for m in STAGES if not (ROOT / "assets" / f"{m}.py").exists()] == []


def test_an_asset_comes_after_what_its_rules_hold_it_against(graph: Any) -> None:
    """Else a rule would be asked of a table that is not there yet, or is that of the last run."""
    for name, node in nodes(graph).items():
        before_it = {k.to_user_string() for k in node.parent_keys}
        of_rules = {r for rule in queries.checks(name) for r in rule.reads}
        together = {t for s in pipeline.steps() if name in s.tables for t in s.tables}
        wanted = (of_rules & set(contracts.tables())) - together

        assert set() == wanted - before_it, name


def test_an_asset_hangs_on_what_its_sql_reads(graph: Any) -> None:
    found = {
        name: {k.to_user_string() for k in node.parent_keys} for name, node in nodes(graph).items()
    }
    expected = {t: set(s.reads) for s in pipeline.steps() for t in s.tables}
    expected |= {
        "showback_database": set(contracts.tables()),
        "report": {"showback_database"},
        "pull_requests": {"showback_database"},
    }

    assert found == expected
    of_rules = {"charge_kind", "quarantine"}
    assert found["showback"] == {"allocated_cost", "shared_cost", "day_range"} | of_rules


def test_every_rule_is_an_asset_check(graph: Any) -> None:
    found = {f"{k.asset_key.to_user_string()}__{k.name}" for k in graph.asset_check_keys}

    assert found == set(queries.stems("checks"))


def test_an_asset_tells_what_it_is(graph: Any) -> None:
    for name, node in nodes(graph).items():
        assert node.description, name
    columns = nodes(graph)["showback"].metadata["dagster/column_schema"].columns
    assert [c.name for c in columns] == list(contracts.table("showback").names)
    assert {c.description for c in columns} & {None, ""} == set()


def test_partitions_are_months_and_one_run_takes_a_range(graph: Any) -> None:
    for name, node in nodes(graph).items():
        assert isinstance(node.partitions_def, dg.MonthlyPartitionsDefinition), name
        assert node.backfill_policy == dg.BackfillPolicy.single_run(), name
    this_month = datetime.now(UTC).strftime("%Y-%m")
    assert factory.billing_period().get_last_partition_key() == this_month


def test_jobs() -> None:
    everything = set(contracts.tables()) | set(LAST)
    found = {
        job.name: {k.to_user_string() for k in job.asset_layer.executable_asset_keys}
        for job in defs.resolve_all_job_defs()
        if not job.name.startswith("__")
    }

    assert found == {
        "bill_to_showback": everything - {"pull_requests"},
        "rightsizing_to_pull_requests": everything,
    }
    assert defs.executor is dg.in_process_executor


def test_schedules_renew_the_open_period_and_the_one_before() -> None:
    found = {
        name: (s.cron_schedule, s.execution_timezone, s.default_status, s.job_name)
        for name in ("daily_showback", "weekly_rightsizing")
        for s in [defs.resolve_schedule_def(name)]
    }
    running, stopped = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED
    assert found == {
        "daily_showback": ("0 6 * * *", "UTC", running, "bill_to_showback"),
        "weekly_rightsizing": ("0 7 * * 1", "UTC", stopped, "rightsizing_to_pull_requests"),
    }
    now = datetime.now(UTC).strftime("%Y-%m")
    for name in found:
        ticked = defs.resolve_schedule_def(name).evaluate_tick(
            dg.build_schedule_context(scheduled_execution_time=datetime.now(UTC))
        )
        (request,) = ticked.run_requests or []
        assert request.tags["dagster/asset_partition_range_start"] == before(now)
        assert request.tags["dagster/asset_partition_range_end"] == now


def test_the_workspace_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DAGSTER_DISABLE_TELEMETRY": "1"},
    )

    assert done.returncode == 0, done.stderr
    assert "Validation successful" in done.stdout + done.stderr
    assert "BetaWarning" not in done.stderr


def test_the_core_never_imports_dagster() -> None:
    names = [m.name for m in pkgutil.walk_packages(finops_pipeline.__path__, "finops_pipeline.")]
    code = (
        f"import sys\nfor name in {names}:\n    __import__(name)\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('dagster', 'assets')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert len(names) > 30
    assert (done.stdout, done.stderr) == ("[]\n", "")


# ------------------------------------------------------------------------------------ running it


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    made = Small.make(tmp_path)
    made.deliver(V1)
    monkeypatch.setenv("FINOPS_CONFIG", str(made.toml))
    return made


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


ENDS = ("STEP_SUCCESS", "STEP_FAILURE")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize(instance: dg.DagsterInstance, **named: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        ROAD,
        instance=instance,
        resources={"finops": Finops(**named)},
        partition_key=PERIOD,
        run_config=QUIET,
        raise_on_error=False,
        selection=dg.AssetSelection.all() - dg.AssetSelection.assets("report", "pull_requests"),
    )


def test_a_failing_check_stops_what_is_downstream(
    small: Small, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run()
    small.deliver(V2)
    rewrite(
        monkeypatch,
        "allocation/allocated_cost",
        lambda text: f"select * replace (EffectiveCost + 1 as EffectiveCost) from ({text})",
    )

    result = materialize(instance)

    assert not result.success
    checks = {
        (c.asset_key.to_user_string(), c.check_name): c.passed
        for c in result.get_asset_check_evaluations()
    }
    assert checks["allocated_cost", "conserves_bill"] is False
    assert checks["charge_owner", "conserves_bill"] is True
    assert ("showback", "conserves_bill") not in checks
    ended = {s: {e.step_key for e in result.all_events if e.event_type_value == s} for s in ENDS}
    assert ended["STEP_FAILURE"] == {"allocated_cost"}
    assert {"charge_owner", "usage_share", "owner_tag"} <= ended["STEP_SUCCESS"]
    stopped = {"showback", "coverage", "unit_cost", "finding", "showback_database"}
    assert stopped & ended["STEP_SUCCESS"] == set()
    assert small.total() == 100

    monkeypatch.undo()
    monkeypatch.setenv("FINOPS_CONFIG", str(small.toml))
    assert materialize(instance).success
    assert str(small.total()) == "103.100000000000"


def test_an_asset_tells_its_numbers(small: Small, instance: dg.DagsterInstance) -> None:
    result = materialize(instance)

    (done,) = [
        m
        for m in result.asset_materializations_for_node("showback")
        if m.asset_key == dg.AssetKey("showback")
    ]
    assert done.metadata["dagster/row_count"].value == 3
    assert done.metadata["EffectiveCost (exact)"].value == "100.000000000000"
    assert done.metadata["EffectiveCost"].value == 100.0
    assert done.metadata["partitions_written"].value == 1
    assert "| 2026-10 |" in str(done.metadata["preview"].value)


def test_the_log_of_runs_is_where_dagster_has_it_and_told_while_they_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By connections that stay open, from which whoever looks on learns of each event."""
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    looked_on: list[str] = []
    told = threading.Event()

    def look(entry: Any, cursor: str) -> None:
        looked_on.append(entry.dagster_event_type)
        told.set()

    @dg.op
    def one(context) -> None:  # noqa: ANN001  # Dagster looks at the type itself.
        with dg.DagsterInstance.get() as other:
            other.watch_event_logs(context.run_id, None, look)
            context.log.info("said while it goes on")
            assert told.wait(20)
            other.end_watch_event_logs(context.run_id, look)

    @dg.job
    def job() -> None:
        one()

    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        runs = [
            job.execute_in_process(instance=instance, run_config=QUIET).run_id
            for _ in range(KEPT + 1)
        ]
        assert KEPT == len(instance.event_log_storage._kept)
        assert all(instance.all_logs(run) for run in runs)
        instance.event_log_storage.wipe()
        assert [] == instance.all_logs(runs[0])

    assert looked_on
    there = {f.name for f in (tmp_path / "history" / "runs").iterdir()}
    assert {"index.db", f"{runs[0]}.db"} == there


def test_only_what_may_pass_later_is_tried_again(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Small.make(tmp_path, manifest=True)
    monkeypatch.setenv("FINOPS_CONFIG", str(small.toml))
    monkeypatch.setattr("assets.factory.PAUSE_SECONDS", 0)
    small.deliver(V1, "1.csv")
    small.list_parts("1.csv", "2.csv")
    late = materialize(instance, retries=2)
    small.list_parts("1.csv")
    (small.root / "in" / PERIOD / "1.csv").write_text("torn")
    torn = materialize(instance, retries=2)

    for result, times, said in ((late, 2, "lists 1 of 2 files"), (torn, 0, "is missing")):
        again = [e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]
        assert len(again) == times
        (failed,) = [e for e in result.all_events if e.is_step_failure]
        assert said in str(failed.step_failure_data.user_failure_data.description)
