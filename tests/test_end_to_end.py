"""The sample company's month through Dagster, against answers the pipeline never sees."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import sample
from finops_pipeline.ask import opened

from .conftest import finops
from .test_docs import worked_queries

PERIOD = "2026-10"
# How truth.json names what a finding is about: a line without a resource by its service.
WHERE = "coalesce(ResourceId, x_Namespace || '/' || x_Workload, '(' || ServiceName || ' Usage)')"


class Month:
    """A finished run of the sample company's October."""

    def __init__(self, folder: Path, output: str) -> None:
        self.folder = folder
        self.output = output
        self.truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with opened(self.folder / "showback.duckdb") as connection:
            return connection.execute(query).fetchall()


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "finops_pipeline.cli", "run",
            "--config", str(folder / "finops.toml"), "--period", PERIOD,
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    folder = tmp_path_factory.mktemp("acme")
    sample.write(folder)
    done = run(folder)
    assert 0 == done.returncode, done.stderr
    return Month(folder, done.stdout)


def test_every_invoice_is_exact(month: Month) -> None:
    expected = {
        (i["invoice"], i["currency"]): (Decimal(i["BilledCost"]), Decimal(i["EffectiveCost"]))
        for i in month.truth["invoices"]
        if i["month"] == PERIOD
    }
    for table in ("cost_and_usage", "charge_owner", "allocated_cost", "showback"):
        found = month.ask(
            f"select InvoiceId, BillingCurrency, sum(BilledCost), sum(EffectiveCost) "
            f"from {table} group by InvoiceId, BillingCurrency"
        )

        assert expected == {(i, c): (b, e) for i, c, b, e in found}, table


def test_three_clouds_and_a_vendor_are_billed_each_by_its_own_export(month: Month) -> None:
    found = month.ask(
        "select x_Source, ProviderName, min(BillingCurrency) || ' ' || max(BillingCurrency), "
        "sum(BilledCost) > 0, sum(EffectiveCost) > 0 from cost_and_usage group by all order by 1"
    )

    assert found == [
        ("aws", "AWS", "USD USD", True, True),
        ("azure", "Microsoft", "EUR USD", True, False),
        ("azure-amortized", "Microsoft", "EUR USD", False, True),
        ("databricks", "Databricks", "USD USD", True, True),
        ("google", "Google Cloud", "USD USD", True, True),
    ]


def test_the_statement_says_that_every_invoice_adds_up(month: Month) -> None:
    done = finops("reconcile", PERIOD, "--config", month.folder / "finops.toml")
    invoices = [i for i in month.truth["invoices"] if i["month"] == PERIOD]

    assert (0, "") == (done.code, done.err)
    assert f"{len(invoices)} of {len(invoices)} lines add up" in done.out
    # Google's invoice is there to be held against; the others ask for what was read.
    ((asked, read),) = month.ask(
        "select x_BilledSummary, x_BilledIngested from reconciliation where x_Source = 'google'"
    )
    assert asked == read


def test_the_month_leaves_as_focus_with_the_same_sums(month: Month, tmp_path: Path) -> None:
    toml = month.folder / "finops.toml"
    done = finops("export", "focus", PERIOD, "--config", toml, "--to", tmp_path)
    expected = {
        (i["invoice"], i["currency"]): (Decimal(i["BilledCost"]), Decimal(i["EffectiveCost"]))
        for i in month.truth["invoices"]
        if i["month"] == PERIOD
    }

    assert 0 == done.code, done.err
    for table in ("cost_and_usage", "allocated_cost"):
        found = duckdb.sql(
            "select InvoiceId, BillingCurrency, sum(BilledCost), sum(EffectiveCost) "
            f"from '{tmp_path}/{table}-{PERIOD}.parquet' group by all"
        ).fetchall()

        assert expected == {(i, c): (b, e) for i, c, b, e in found}, table


def test_every_tagged_resource_goes_to_whom_its_tags_name(month: Month) -> None:
    found = {
        (resource, currency): (feature, tenant, environment, cost)
        for resource, currency, feature, tenant, environment, cost in month.ask(
            """
            select c.ResourceId, c.BillingCurrency, min(t.x_Feature), min(t.x_Tenant),
                min(t.x_Environment), sum(c.EffectiveCost)
            from cost_and_usage as c
            inner join tag_owner as t on t.x_TagSetId = c.x_TagSetId
            where c.ResourceId is not null
            group by c.ResourceId, c.BillingCurrency
            """
        )
    }
    tagged = [r for r in month.truth["resources"] if r["owner"] == "tags" and r["month"] == PERIOD]
    assert len(tagged) > 20
    for resource in tagged:
        named = resource["tagged"]
        assert found[resource["resource"], resource["currency"]] == (
            named["feature"],
            named["tenant"],
            named["environment"],
            Decimal(resource["EffectiveCost"]),
        ), resource["resource"]


def test_a_volume_goes_to_who_mounted_it_and_the_rest_is_a_line(month: Month) -> None:
    found = {
        (endpoint, method): (feature, tenant, cost)
        for endpoint, method, feature, tenant, cost in month.ask(
            """
            select x_Endpoint, x_AllocationMethod, min(x_Feature), min(x_Tenant),
                sum(EffectiveCost)
            from allocated_cost where x_Pool like 'volume/%' group by all
            """
        )
    }
    volumes = [v for v in month.truth["volumes"] if v["month"] == PERIOD]

    assert 2 == len(volumes)
    for volume in volumes:
        unmounted = found.pop((volume["claim"], "unmounted"))
        assert unmounted[:2] == (volume["feature"], "(idle)")
        mounted = Decimal(0)
        if volume["workload"] is not None:
            feature, tenant, mounted = found.pop((volume["workload"], "volume"))
            # All month but for five minutes, in which the pod was made anew.
            assert (feature, tenant) == (volume["feature"], "shared")
            assert unmounted[2] == round(Decimal(volume["EffectiveCost"]) / (12 * 24 * 31), 12)
        assert Decimal(volume["EffectiveCost"]) == mounted + unmounted[2]
    assert {} == found


def test_what_nodes_keep_for_their_system_is_apart_from_idle(month: Month) -> None:
    ((overhead, idle),) = month.ask(
        """
        select sum(EffectiveCost) filter (where x_Feature = '(overhead)'),
            sum(EffectiveCost) filter (where x_Feature = '(idle)')
        from allocated_cost where x_AllocationMethod in ('overhead', 'idle')
        """
    )

    assert 0 < overhead < idle


def test_every_call_is_counted_once(month: Month) -> None:
    expected = sorted(
        (
            c["endpoint"],
            c["model"],
            str(c["feature"]),
            str(c["tenant"]),
            c["calls"],
            c["unknown_tokens"],
        )
        for c in month.truth["calls"]
    )
    found = month.ask(
        """
        select x_Endpoint, x_Model, x_Feature, x_Tenant, sum(x_Calls), sum(x_UnknownTokenCalls)
        from inference_usage
        group by x_Endpoint, x_Model, x_Feature, x_Tenant, x_Environment
        """
    )

    assert expected == sorted((e, m, str(f), str(t), int(c), int(u)) for e, m, f, t, c, u in found)
    assert month.truth["duplicate_lines"] > 0


def test_the_shared_endpoint_is_split_by_measured_work(month: Month) -> None:
    """Six tenants, one tag: each pays by its GPU time, to the dollar of a month."""
    shared = next(s for s in month.truth["shared"] if s["endpoint"] == "inference/llama-70b")
    work = {tenant: Decimal(use["gpu_ms"]) for tenant, use in shared["tenants"].items()}
    found = dict(
        month.ask(
            """
            select x_Tenant, sum(EffectiveCost) from allocated_cost
            where x_Endpoint = 'inference/llama-70b' and x_AllocationMethod = 'inference'
            group by x_Tenant
            """
        )
    )
    assert set(work) == set(found)
    whole, busy = sum(found.values()), sum(work.values())
    for tenant, gpu_ms in work.items():
        # Hours differ in price and load, so shares of a month are near, not equal.
        assert abs(found[tenant] / whole - gpu_ms / busy) < Decimal("0.01"), tenant


def test_bought_models_of_every_cloud_are_split_by_their_calls(month: Month) -> None:
    found = dict(
        month.ask(
            """
            select split_part(x_Endpoint, '/', 1), count(distinct x_Tenant)
            from allocated_cost
            where x_AllocationMethod = 'inference' and ServiceCategory = 'AI and Machine Learning'
            group by split_part(x_Endpoint, '/', 1)
            """
        )
    )

    assert found == {"aws.bedrock": 8, "azure.ai.openai": 8, "gcp.vertex_ai": 8}


def test_the_log_is_held_against_the_bill_by_the_price_book(month: Month) -> None:
    """Every model and day has its list cost; the price that is out of date is told by name.

    So is a discount, on days in a row that show nothing else.
    """
    of_month = [c for c in month.truth["list_costs"] if c["day"].startswith(PERIOD)]
    found = {
        (pool.removeprefix("inference/"), day): (listed, billed, drift)
        for pool, day, listed, billed, drift in month.ask(
            """
            select x_Pool, cast(x_ChargeDay as varchar), ListCost, BilledCost, x_GapPriceDrift
            from gateway_reconciliation where x_Calls > 0
            """
        )
    }

    assert {(c["model"], c["day"]): Decimal(c["ListCost"]) for c in of_month} == {
        key: listed for key, (listed, _, _) in found.items()
    }
    for cost in of_month:
        listed, billed, drift = found[cost["model"], cost["day"]]
        if cost["model"].startswith("gemini"):  # whose bill is after discounts
            assert drift in (0, billed - listed)
            continue
        assert Decimal(cost["asked"]) == billed
        assert drift == (billed - listed if cost["outdated"] else 0)
    assert any(drift for (model, _), (*_, drift) in found.items() if model.startswith("gemini"))
    assert [(0,)] == month.ask("select count(*) from list_cost where ListCost is null")


def test_a_function_is_split_among_the_features_that_called_it(month: Month) -> None:
    called = {
        (f["feature"], f["tenant"]): (f["invocations"], f["failed"])
        for f in month.truth["functions"]
        if f["month"] == PERIOD
    }
    (function,) = {f["resource"] for f in month.truth["functions"]}
    (billed,) = (
        Decimal(r["EffectiveCost"])
        for r in month.truth["resources"]
        if (r["month"], r["resource"]) == (PERIOD, function)
    )
    found = month.ask(
        "select x_Feature, x_Tenant, x_Invocations, x_FailedInvocations, EffectiveCost "
        f"from invocation_cost where x_Endpoint = '{function}'"
    )

    assert called == {(f, t): (n, failed) for f, t, n, failed, _ in found}
    assert billed == sum(cost for *_, cost in found)


def test_training_is_borne_by_those_whom_its_version_serves(month: Month) -> None:
    (job,) = (j for j in month.truth["training"] if j["month"] == PERIOD)
    cost = Decimal(job["EffectiveCost"])
    borne = cost * job["days_served"] / job["life_days"]
    by_tenant = dict(
        month.ask(
            "select x_Tenant, sum(x_TrainingCost) from model_cost "
            f"where x_ModelVersion = '{job['version']}' group by x_Tenant"
        )
    )
    calls = sum(job["calls"].values())

    assert [(job["run"], cost, "bill")] == month.ask(
        "select x_RunId, EffectiveCost, x_RunMethod from training_run"
    )
    assert [(cost,)] == month.ask("select sum(EffectiveCost) from training_schedule")
    assert borne == sum(by_tenant.values())
    assert set(by_tenant) >= set(job["calls"])
    for tenant, cost in by_tenant.items():
        expected = borne * job["calls"].get(tenant, 0) / calls
        assert abs(cost - expected) < Decimal("0.000000001"), tenant


def test_the_question_of_one_tenant_feature_and_model_is_one_query(month: Month) -> None:
    """What docs/queries.md shows of the demo is what its query answers, to the letter."""
    text = (Path(__file__).parents[1] / "docs" / "queries.md").read_text(encoding="utf-8")
    shown = text.split("<!-- output: finops sql, demo -->\n```text\n", 1)[1].split("\n```", 1)[0]
    (query,) = (sql for question, sql in worked_queries() if "busy and idle, with" in question)
    done = finops("sql", "--config", month.folder / "finops.toml", query)

    assert (0, "") == (done.code, done.err)
    assert shown == done.out.strip()


def test_what_is_left_of_what_tenants_pay(month: Month) -> None:
    paid = {
        (r["tenant"], r["currency"]): Decimal(r["amount"])
        for r in month.truth["revenue"]
        if r["month"] == PERIOD
    }
    found = month.ask(
        "select x_Tenant, BillingCurrency, x_Revenue, EffectiveCost, x_RunCost, x_Margin "
        "from margin"
    )

    assert paid == {(t, c): revenue for t, c, revenue, *_ in found if revenue is not None}
    for _, _, revenue, cost, run_cost, left in found:
        assert left == (revenue or 0) - (cost - run_cost)
    assert {r["tenant"] for r in month.truth["revenue"] if r["is_a_loss"]} == {
        tenant for tenant, currency, revenue, *_, left in found
        if revenue is not None and currency == "USD" and left < 0
    }  # fmt: skip
    costs = month.ask("select BillingCurrency, sum(EffectiveCost) from showback group by all")
    assert dict(costs) == {
        currency: sum(cost for _, c, _, cost, *_ in found if c == currency)
        for currency in ("USD", "EUR")
    }


def test_what_is_there_for_all_is_borne_by_all_tenants(month: Month) -> None:
    (support,) = (r for r in month.truth["resources"] if "Support" in r["resource"])
    ((taken, left),) = month.ask(
        """
        select -sum(EffectiveCost) filter (where EffectiveCost < 0), sum(EffectiveCost)
        from shared_cost where ServiceName = 'AWS Support (Business)'
        """
    )
    # In proportion to what each costs otherwise.
    direct = dict(
        month.ask(
            "select x_Tenant, sum(EffectiveCost) from allocated_cost where BillingCurrency = 'USD' "
            "and x_Tenant <> 'shared' and not starts_with(x_Tenant, '(') group by all"
        )
    )
    moved = dict(
        month.ask(
            "select x_Tenant, sum(EffectiveCost) from shared_cost where BillingCurrency = 'USD' "
            "and x_Tenant <> 'shared' group by all"
        )
    )
    whole = sum(moved.values())

    assert Decimal(support["EffectiveCost"]) == taken
    assert 0 == left
    assert [] == month.ask("select 1 from showback where x_Tenant = 'shared' group by x_Tenant "
                           "having sum(EffectiveCost) <> 0")  # fmt: skip
    assert set(direct) == set(moved)
    for tenant, cost in direct.items():
        expected = whole * cost / sum(direct.values())
        assert abs(moved[tenant] - expected) < Decimal("0.000001"), tenant


def test_all_planted_faults_are_found_and_nothing_else(month: Month) -> None:
    expected = {
        (f["kind"], f["dimension"], f.get("resource") or f.get("workload"))
        for f in month.truth["faults"]
        if f["month"] in (None, PERIOD)
    }
    found = {
        (kind, dimension, where)
        for kind, dimension, where in month.ask(
            f"select x_FindingKind, x_Dimension, {WHERE} from finding"
        )
    }

    assert expected == found


def test_the_network_of_the_cluster_is_split_by_bytes(month: Month) -> None:
    """As the pods' counters say, day by day."""
    moved: dict[str, dict[str, int]] = {}
    for row in month.truth["traffic"]:
        moved.setdefault(row["day"], {})[row["workload"]] = row["sent"] + row["received"]
    found = month.ask(
        "select cast(x_ChargeDay as varchar), x_Endpoint, sum(EffectiveCost) from allocated_cost "
        "where x_Pool = 'network/nat/acme-main' group by all"
    )
    assert {(d, w) for d in moved for w in moved[d]} == {(d, w) for d, w, _ in found}
    for day, workload, cost in found:
        whole = sum(c for d, _, c in found if d == day)
        expected = whole * moved[day][workload] / sum(moved[day].values())
        # What a pod sent before its first sample nobody counted: it may live for an hour only.
        assert abs(cost - expected) <= expected * Decimal("0.08"), (day, workload)


def test_a_load_balancer_without_owner_tags_is_its_service_s(month: Month) -> None:
    (balancer,) = (r for r in month.truth["resources"] if "/net/k8s-search" in r["resource"])
    assert [("hostname", "search", "shared", "production")] == month.ask(
        "select x_MatchedBy, x_Feature, x_Tenant, x_Environment from load_balancer_id"
    )
    assert [
        (*(balancer[d] for d in ("feature", "tenant", "environment")), "load_balancer",
         Decimal(balancer["EffectiveCost"]))
    ] == month.ask(
        "select x_Feature, x_Tenant, x_Environment, x_AllocationMethod, sum(EffectiveCost) "
        "from allocated_cost where starts_with(x_Pool, 'service/') group by all"
    )  # fmt: skip


def test_the_lines_of_the_cluster_are_its_charges(month: Month) -> None:
    of_cluster = [
        Decimal(r["EffectiveCost"])
        for r in month.truth["resources"]
        if r["month"] == PERIOD
        and r["owner"] == "use"
        and not any(other in r["resource"] for other in (":bedrock:", ":function:"))
        and r["resource"].startswith(("i-", "vol-", "arn:aws:"))
    ]
    lines = dict(month.ask("select x_ClusterLine, EffectiveCost from cluster_cost"))

    assert {"workload", "idle", "network", "control_plane", "load_balancer"} <= set(lines)
    assert sum(of_cluster) == sum(lines.values())


def test_findings_name_money_likely_value_and_witnesses(month: Month) -> None:
    for fault in month.truth["faults"]:
        if fault["kind"] in ("shared_as_one", "replica_drift", "label_drift"):
            continue
        ((cost, likely, witnesses, file, row),) = month.ask(
            "select EffectiveCost, x_LikelyValue, x_Witnesses, x_SourceFile, x_SourceRow "
            f"from finding where x_FindingKind = '{fault['kind']}' "
            f"and x_Dimension = '{fault['dimension']}' and {WHERE} = '{fault['resource']}'"
        )
        assert Decimal(fault["EffectiveCost"]) == cost, fault
        if fault["likely"] is not None:
            assert likely == fault["likely"], fault
            assert json.loads(witnesses), fault
        assert file
        assert row > 0


def test_rightsizing_proposes_what_was_planted_and_leaves_the_rest(month: Month) -> None:
    truth = month.truth["rightsizing"]
    proposed = {
        (f"{namespace}/{workload}", field)
        for namespace, workload, field in month.ask(
            "select x_Namespace, x_Workload, x_Field from recommendation "
            "where x_Outcome = 'propose'"
        )
    }
    wasteful = truth["over_requested"]["workload"]
    idle = truth["idle_endpoint"]["workload"]

    assert {
        (wasteful, "resources.requests.cpu"),
        (wasteful, "resources.requests.memory"),
    } <= proposed
    assert (idle, "spec.replicas") in proposed
    for kept in truth["leave_alone"]:
        assert (kept["workload"], kept["field"]) not in proposed
    reasons = month.ask("select x_Reason from recommendation where x_Outcome = 'none'")
    assert all(reason for (reason,) in reasons)


def test_each_proposal_is_a_branch_that_changes_only_its_lines(month: Month) -> None:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(month.folder / "gitops"), *words],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    branches = git("branch", "--list", "finops/*", "--format=%(refname:short)").split()
    assert f"finops/showback/{PERIOD}" in branches
    assert len(branches) >= 3
    assert "" == git("status", "--porcelain")
    assert "main" == git("branch", "--show-current").strip()
    for branch in branches:
        changed = git("diff", "--numstat", f"main...{branch}").splitlines()
        for line in changed:
            added, removed, path = line.split("\t")
            if path.startswith("showback/"):
                assert "0" == removed
            else:
                assert int(removed) <= 2, line
                assert int(added) <= 8, line


def test_the_end_of_a_run_says_what_a_person_wants_to_know(month: Month) -> None:
    for words in (
        "Spend by feature", "Spend by tenant", "Coverage", "Largest findings",
        "Proposed savings", "Where to look next", "index.html",
    ):  # fmt: skip
        assert words in month.output


def test_the_readme_shows_what_it_prints(month: Month) -> None:
    """What `make demo` ends with stands in the README, to the letter."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.split("<!-- output: make demo -->\n```text\n", 1)[1].split("\n```", 1)[0]

    assert shown == month.output.strip().replace(str(month.folder), "demo")


def test_a_second_run_with_nothing_changed_writes_nothing(month: Month) -> None:
    before = (month.folder / "warehouse" / "current").resolve()
    inode = (month.folder / "showback.duckdb").stat().st_ino
    done = run(month.folder)

    assert 0 == done.returncode, done.stderr
    assert " written" not in done.stderr
    assert before == (month.folder / "warehouse" / "current").resolve()
    assert inode == (month.folder / "showback.duckdb").stat().st_ino


def test_the_database_opens_in_storage_version_1(month: Month) -> None:
    head = (month.folder / "showback.duckdb").read_bytes()[:64]

    assert b"DUCK" in head
    connection = duckdb.connect(str(month.folder / "showback.duckdb"), read_only=True)
    ((described,),) = connection.execute(
        "select comment from duckdb_columns() where table_name = 'showback' "
        "and column_name = 'EffectiveCost'"
    ).fetchall()
    assert "amortised" in described
    connection.close()


def test_the_worked_queries_answer_over_the_sample(month: Month) -> None:
    """A newcomer who pastes docs/queries.md into a client gets rows, from at least a dozen."""
    answered = [bool(month.ask(sql)) for _, sql in worked_queries()]

    assert 12 <= sum(answered)
