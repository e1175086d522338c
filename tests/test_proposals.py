"""Recommendations as pull requests: small, exact, ranked, capped, and worth reading."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops_pipeline.config import GitopsSection
from finops_pipeline.contracts import table
from finops_pipeline.contracts.fields import TYPES
from finops_pipeline.manifests import ALL, declare
from finops_pipeline.proposals import (
    FileEdit,
    Open,
    Proposal,
    is_news,
    plan,
    proposed_in,
    showback_proposal,
)

from .test_manifests import BASE, DEPLOYMENT, changes, overlay

EVIDENCE = {
    "hours": 720, "pods": 3, "p50": 300, "percentile": 610, "percentile_rank": "95", "max": 700,
    "unit": "millicores", "throttled_permille": 2, "oom_kills": 0,
    "from": "2026-10-01T00:00:00Z", "to": "2026-10-31T00:00:00Z",
}  # fmt: skip
ROW = {
    "BillingPeriod": "2026-10", "x_RecommendationId": "id-1", "x_Recommender": "container_requests",
    "x_Outcome": "propose", "x_Repository": "shop", "x_Overlay": "apps", "x_Cluster": "c",
    "x_Namespace": "default", "x_WorkloadKind": "Deployment", "x_Workload": "api",
    "x_Container": "api", "x_Environment": None, "x_Field": "resources.requests.cpu",
    "x_Current": "2", "x_Proposed": "720m", "x_MonthlySaving": Decimal("30.5"),
    "BillingCurrency": "USD", "x_Reason": "the 95th percentile was 610m",
    "x_Evidence": json.dumps(EVIDENCE),
}  # fmt: skip
BLOCK = GitopsSection(name="shop", path=".")


def rows(*given: dict[str, Any]) -> pl.DataFrame:
    schema = {n: TYPES[t] for n, t in table("recommendation").duckdb.items()}
    return pl.DataFrame([ROW | g for g in given], schema=schema, orient="row")


def memory(**given: Any) -> dict[str, Any]:
    asked = {"x_Field": "resources.requests.memory", "x_Current": "4Gi", "x_Proposed": "1200Mi"}
    return {"x_RecommendationId": "id-2", "x_MonthlySaving": Decimal("12.25")} | asked | given


def repository(*names: str) -> Any:
    files = {
        f"{n}/api.yaml": DEPLOYMENT.replace("name: api\n  l", f"name: {n}\n  l") for n in names
    }
    return {"shop": declare(files, BLOCK, "0" * 40)}


APPS = {"shop": declare({"apps/api.yaml": DEPLOYMENT}, BLOCK, "c0ffee" * 6 + "c0ff")}


def test_one_proposal_an_overlay_with_one_changed_line_an_edit() -> None:
    planned = plan(rows({}, memory()), APPS, 10)

    (proposal,) = planned.proposals
    assert ((), ()) == (planned.held, planned.refused)
    (edit,) = proposal.edits
    assert ("apps/api.yaml", DEPLOYMENT) == (edit.path, edit.before)
    assert [
        '-               cpu: "2"   # measured in June\n',
        '+               cpu: "720m"   # measured in June\n',
        "-               memory: 4Gi\n",
        "+               memory: 1200Mi\n",
    ] == changes(DEPLOYMENT, edit.after)
    assert (Decimal("42.75"), "USD", ("id-1", "id-2"), "2026-10") == (
        proposal.saving, proposal.currency, proposal.ids, proposal.period
    )  # fmt: skip
    assert "Right-size 2 requests in apps: saves 42.75 USD a month" == proposal.title
    assert proposal.branch.startswith("finops/container_requests/apps-")


def test_the_body_has_what_a_reviewer_asks_for() -> None:
    (proposal,) = plan(rows({}, memory()), APPS, 10).proposals

    assert (
        "| default/api | api | `resources.requests.cpu` | `2` | `720m` | 300m | 610m | 700m | 720 "
        "| 0.2 % | 0 | 30.50 | `apps/api.yaml:19` |"
    ) in proposal.body
    for said in (
        "would save **42.75 USD a month**, on paper", "c0ffeec0ffee", "p95", "OOM kills",
        "Measured in 2026-10, cluster `c`; Git as of commit",
        "at least 720 hours, from 2026-10-01T00:00:00Z to 2026-10-31T00:00:00Z",
        "sql/rightsizing/container_requests.sql", "**To roll back**", "**To decline**",
        "<!-- finops-pipeline ids: id-1 id-2 -->",
        "<!-- finops-pipeline values: id-1=720m id-2=1200Mi -->",
    ):  # fmt: skip
        assert said in proposal.body


def test_the_same_answers_are_the_same_proposal_whatever_their_order() -> None:
    assert plan(rows({}, memory()), APPS, 10) == plan(rows(memory(), {}), APPS, 10)


def test_a_branch_is_of_an_overlay_and_a_recommender_whatever_is_proposed() -> None:
    one, other, both = (
        plan(rows(*given), APPS, 10).proposals[0].branch
        for given in ([{}], [{"x_Proposed": "1100m"}], [{}, memory()])
    )
    euro = plan(rows({"BillingCurrency": "EUR"}), APPS, 10).proposals[0].branch
    idle = plan(rows({"x_Recommender": "idle_resources"}), APPS, 10).proposals[0].branch

    assert one == other == both
    assert 3 == len({one, euro, idle})


def as_open(proposal: Proposal, **said: bool) -> dict[str, Open]:
    branch = proposal.branch
    return {branch: Open(proposal.repository, branch, proposal.proposed(), **said)}


def test_a_body_says_its_values_by_machine() -> None:
    (proposal,) = plan(rows({}, memory()), APPS, 10).proposals

    assert {"id-1": "720m", "id-2": "1200Mi"} == proposed_in(proposal.body)
    assert {"id-1": ""} == proposed_in("<!-- finops-pipeline ids: id-1 -->"), "an older version's"


@pytest.mark.parametrize(
    ("known", "proposed", "news"),
    [
        ("400m", "410m", False),
        ("400m", "440m", False),  # a tenth, and no more
        ("400m", "450m", True),
        ("400m", "0.4", False),
        ("400m", "350m", True),
        ("1Gi", "1100Mi", False),
        ("0", "0", False),
        ("0", "1", True),
        ("", "1", False),
    ],
)
def test_more_than_a_tenth_is_news(known: str, proposed: str, news: bool) -> None:
    assert news == is_news(proposed, known)


@pytest.mark.parametrize(
    ("given", "renewed"),
    [
        pytest.param([{"x_MonthlySaving": Decimal(99)}], False, id="saving"),
        pytest.param([{"x_Proposed": "790m"}], False, id="a little"),
        pytest.param([{"x_Proposed": "800m"}], True, id="more than a tenth"),
        pytest.param([{}, memory()], True, id="one came"),
        pytest.param([memory()], True, id="one went"),
    ],
)
def test_an_open_one_is_renewed_for_news_alone(given: list[dict[str, Any]], renewed: bool) -> None:
    (before,) = plan(rows({}), APPS, 10).proposals
    planned = plan(rows(*given), APPS, 1, opened=as_open(before))

    assert [before.branch] * renewed == [p.branch for p in planned.proposals]
    assert [before.branch] * (not renewed) == [k.branch for k in planned.kept]
    assert {before.branch} == planned.branches("shop")


def test_an_open_one_that_cannot_be_merged_is_made_anew() -> None:
    (before,) = plan(rows({}), APPS, 10).proposals

    assert 1 == len(plan(rows({}), APPS, 10, opened=as_open(before, is_stale=True)).proposals)


def test_what_somebody_committed_to_is_left_alone_whatever_is_recommended() -> None:
    (before,) = plan(rows({}), APPS, 10).proposals
    opened = as_open(before, is_touched=True)
    planned = plan(rows({"x_Proposed": "1"}, memory()), APPS, 10, opened=opened)

    assert ((), ()) == (planned.proposals, planned.held)
    assert [before.branch] == [k.branch for k in planned.kept]
    assert "somebody has committed" in planned.kept[0].reason


def test_a_branch_of_an_older_version_is_not_rivalled() -> None:
    """Its name was of the values. Untouched it is superseded; else it stands for its overlay."""
    old = "finops/container_requests/apps-0123456789"
    untouched = {old: Open("shop", old, {"id-1": ""})}
    (proposal,) = plan(rows({}, memory()), APPS, 1, opened=untouched).proposals
    assert old != proposal.branch

    theirs = {old: Open("shop", old, {"id-1": ""}, is_touched=True)}
    planned = plan(rows({}, memory()), APPS, 9, opened=theirs)
    assert () == planned.proposals
    assert [("id-1", f"somebody has committed to {old}, which is about the same value")] == [
        (r.id, r.reason) for r in planned.refused
    ]
    assert [f"somebody has committed to {old}, which is about the same overlay"] == [
        h.reason for h in planned.held
    ]


def test_all_that_is_open_counts() -> None:
    """What people work on, recommended or not; showback is not of recommendations."""
    found = repository("a", "b")
    given = [
        {"x_RecommendationId": n, "x_Overlay": n, "x_Workload": n, "x_MonthlySaving": Decimal(s)}
        for n, s in (("a", 1), ("b", 3))
    ]
    names = ("finops/idle_resources/x-1", "finops/showback/2026-10")
    opened = {n: Open("shop", n, {"other": "0"}, is_touched=True) for n in names}

    assert [("b",)] == [p.ids for p in plan(rows(*given), found, 2, opened=opened).proposals]
    planned = plan(rows(*given), found, 1, opened=opened)
    assert () == planned.proposals
    assert ["1 are open in shop; max_open allows no more"] * 2 == [h.reason for h in planned.held]
    other = {n: Open("another", n, o.values, o.is_touched) for n, o in opened.items()}
    assert 1 == len(plan(rows(*given), found, 1, opened=other).proposals)


def test_raising_a_request_costs_more_and_says_so() -> None:
    raised = {"x_Proposed": "3000m", "x_MonthlySaving": Decimal(-5)}
    (proposal,) = plan(rows(raised), APPS, 10).proposals

    assert proposal.title.endswith(": costs 5.00 USD more a month")
    assert "would cost **5.00 USD more a month**, for safety" in proposal.body


def test_idle_workloads_get_their_replicas_edited() -> None:
    evidence = {"hours": 720, "calls": 0, "busiest_hour_permille": 4}
    row = {"x_Recommender": "idle_resources", "x_Container": ALL, "x_Field": "spec.replicas",
           "x_Current": "3", "x_Proposed": "0", "x_Evidence": json.dumps(evidence)}  # fmt: skip
    (proposal,) = plan(rows(row), APPS, 10).proposals

    assert ["-   replicas: 3 # one per zone\n", "+   replicas: 0 # one per zone\n"] == changes(
        DEPLOYMENT, proposal.edits[0].after
    )
    assert "Stop 1 idle workload in apps: saves 30.50 USD a month" == proposal.title
    assert "| 720 | 0 | 0.4 % |" in proposal.body


def test_largest_savings_first_and_the_rest_waits() -> None:
    found = repository("a", "b", "c")
    given = [
        {"x_RecommendationId": n, "x_Overlay": n, "x_Workload": n, "x_MonthlySaving": Decimal(s)}
        for n, s in (("a", 1), ("b", 3), ("c", 2))
    ]
    planned = plan(rows(*given), found, 2)

    assert [("b",), ("c",)] == [p.ids for p in planned.proposals]
    assert ["Right-size 1 request in a: saves 1.00 USD a month"] == [h.title for h in planned.held]
    assert "max_open" in planned.held[0].reason
    assert 3 == len(planned.branches("shop"))


def test_what_is_open_keeps_its_place() -> None:
    found = repository("a", "b")
    given = [
        {"x_RecommendationId": n, "x_Overlay": n, "x_Workload": n, "x_MonthlySaving": Decimal(s)}
        for n, s in (("a", 1), ("b", 3))
    ]
    smaller = next(p for p in plan(rows(*given), found, 9).proposals if p.ids == ("a",))
    planned = plan(rows(*given), found, 1, opened=as_open(smaller))

    assert () == planned.proposals
    assert [smaller.branch] == [k.branch for k in planned.kept]
    assert 1 == len(planned.held)


def test_what_was_declined_does_not_come_back() -> None:
    planned = plan(rows({}, memory()), APPS, 10, declined={"id-1": ("700m", "2")})

    assert [("id-2",)] == [p.ids for p in planned.proposals]
    assert [("id-1", "it was declined before")] == [(r.id, r.reason) for r in planned.refused]


@pytest.mark.parametrize(("values", "back"), [(("650m",), True), (("650m", "720m"), False),
                                              (("",), False)])  # fmt: skip
def test_what_was_declined_comes_back_as_another_value(values: tuple[str, ...], back: bool) -> None:
    planned = plan(rows({}), APPS, 10, declined={"id-1": values})

    assert back == (1 == len(planned.proposals))


def test_no_answer_is_no_proposal() -> None:
    nothing = plan(rows({"x_Outcome": "none", "x_Proposed": None}), APPS, 10)

    assert ((), (), ()) == (nothing.proposals, nothing.held, nothing.refused)


def test_a_value_that_changed_in_git_is_not_overwritten() -> None:
    planned = plan(rows({"x_Current": "3"}), APPS, 10)

    assert () == planned.proposals
    assert "Git says 2 now, the answer was for 3" in planned.refused[0].reason


def test_a_workload_that_is_gone_and_a_repository_that_is_unknown_are_refused() -> None:
    planned = plan(rows({"x_Workload": "gone"}, {"x_Repository": "other"}), APPS, 10)

    assert 2 == len(planned.refused)
    assert any("no longer declared" in r.reason for r in planned.refused)
    assert any("[[gitops]]" in r.reason for r in planned.refused)


def test_both_requests_of_a_container_may_be_added_to_the_patch_of_an_overlay() -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec:\n  replicas: 5\n"
    files = (
        BASE | overlay("prod", "patches:\n- path: p.yaml\n") | {"overlays/prod/p.yaml": patch}
        | overlay("staging", "")
    )  # fmt: skip
    at = {"x_Overlay": "overlays/prod", "x_Namespace": "prod"}
    (proposal,) = plan(
        rows(at, memory(**at)), {"shop": declare(files, BLOCK, "0" * 40)}, 10
    ).proposals

    assert (
        FileEdit(
            "overlays/prod/p.yaml",
            patch,
            patch + "  template:\n    spec:\n      containers:\n        - name: api\n"
            "          resources:\n            requests:\n              cpu: 720m\n"
            "              memory: 1200Mi\n",
        ),
    ) == proposal.edits


def test_names_cannot_break_out_of_the_table() -> None:
    (proposal,) = plan(rows({"x_Reason": "a | b\n<img src=x>"}), APPS, 10).proposals

    assert "a \\| b &lt;img src=x>" in proposal.body


def test_without_a_price_no_saving_is_stated() -> None:
    row = {"BillingCurrency": None, "x_MonthlySaving": Decimal(0)}
    (proposal,) = plan(rows(row), APPS, 10).proposals

    assert "Right-size 1 request in apps" == proposal.title
    assert "| not known |" in proposal.body


# -------------------------------------------------------------------------------- showback
def showback_frames() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    def frame(name: str, *given: dict[str, Any]) -> pl.DataFrame:
        schema = {n: TYPES[t] for n, t in table(name).duckdb.items()}
        full = [dict.fromkeys(schema) | {"BillingPeriod": "2026-10", "BillingCurrency": "USD"}
                | g for g in given]  # fmt: skip
        return pl.DataFrame(full, schema=schema, orient="row")

    third = Decimal(100) / 3
    line = {"ProviderName": "AWS", "ServiceCategory": "Compute", "ServiceName": "EC2",
            "x_Environment": "production", "x_Model": "(none)",
            "x_AllocationMethod": "tag"}  # fmt: skip
    return (
        frame("showback", *(
            line | {"x_Feature": f, "x_Tenant": "a|b", "BilledCost": Decimal(c),
                    "EffectiveCost": Decimal(c).quantize(Decimal("1e-12"))}
            for f, c in (("chat", third), ("search", third), ("(idle)", third), ("chat", 50))
        )),
        frame("coverage", {"x_Dimension": "feature", "x_CoveragePermille": 777,
                           "x_AllocatedCost": third + 50, "x_IdleCost": third,
                           "x_UnallocatedCost": third, "EffectiveCost": Decimal(150)}),
        frame("unit_cost", {"x_Model": "m", "x_Calls": 1000, "EffectiveCost": Decimal(5)}),
    )  # fmt: skip


def test_showback_is_published_as_markdown_and_csv() -> None:
    proposal = showback_proposal("2026-10", *showback_frames(), BLOCK, "0" * 40)

    texts = {e.path: e.after for e in proposal.edits}
    assert [
        "showback/2026-10/README.md",
        "showback/2026-10/showback-by-environment.md",
        "showback/2026-10/showback-by-feature.md",
        "showback/2026-10/showback-by-tenant.md",
        "showback/2026-10/showback.csv",
    ] == list(texts)
    assert "finops/showback/2026-10" == proposal.branch
    assert "Showback 2026-10: 150.00 USD" == proposal.title
    feature = texts["showback/2026-10/showback-by-feature.md"].splitlines()
    assert ["| chat | 83.34 |", "| (idle) | 33.33 |", "| search | 33.33 |"] == feature[4:7]
    assert "| a\\|b | 150.00 |" in texts["showback/2026-10/showback-by-tenant.md"]
    assert "83.333333333333\n" in texts["showback/2026-10/showback.csv"]
    assert "| feature | 77.7 % | 83.34 | 33.33 | 33.33 | 150.00 USD |" in proposal.body


def test_showback_of_a_restated_period_has_the_same_branch_and_identity() -> None:
    showback, coverage, unit = showback_frames()
    one = showback_proposal("2026-10", showback, coverage, unit, BLOCK, "0" * 40)
    two = showback_proposal("2026-10", showback.head(1), coverage, unit, BLOCK, "0" * 40)

    assert (one.branch, one.ids) == (two.branch, two.ids)
    assert one.edits != two.edits


def test_one_edit_that_fails_does_not_take_the_others_with_it() -> None:
    half = {"x_RecommendationId": "id-3", "x_Container": ALL, "x_Field": "spec.replicas",
            "x_Current": "3", "x_Proposed": "1.5"}  # fmt: skip
    planned = plan(rows({}, half, memory()), APPS, 10)

    assert [("id-1", "id-2")] == [p.ids for p in planned.proposals]
    assert ["id-3"] == [r.id for r in planned.refused]
    assert "by hand" in planned.refused[0].reason
