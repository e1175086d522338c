"""The sample company: the same bytes every time, and a truth that its own files bear out.

The sums are taken again here in plain Python, from the files as a stranger would read them;
nothing of the pipeline's SQL is used.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from finops_pipeline import config
from finops_pipeline.contracts.fields import FIELDS
from finops_pipeline.errors import ConfigError
from finops_pipeline.history import CLOSED_KINDS
from finops_pipeline.sample import Truth, write
from finops_pipeline.sample.company import Period

DAYS = 2


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return write(tmp_path_factory.mktemp("sample"), days=DAYS)


@pytest.fixture(scope="module")
def root(sample: Truth) -> Path:
    return sample.path.parent


def _bytes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def _cur(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(root.glob("inputs/aws/acme-cur/data/*/*.parquet")):
        rows += pq.ParquetFile(path).read().to_pylist()
    return rows


def _csv(root: Path, pattern: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for path in sorted(root.glob(pattern)):
        with path.open(newline="", encoding="utf-8-sig") as text:
            rows += csv.DictReader(text)
    return rows


def _actual(root: Path) -> list[dict[str, str]]:
    return _csv(root, "inputs/azure/acme-actual/*/*/part_*.csv")


def _amortized(root: Path) -> list[dict[str, str]]:
    return _csv(root, "inputs/azure/acme-amortized/*/*/part_*.csv")


def _google(root: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted(root.glob("inputs/google/*/*.parquet")):
        rows += pq.ParquetFile(path).read().to_pylist()
    return rows


def _focus(root: Path) -> list[dict[str, str]]:
    return _csv(root, "inputs/databricks/*/*.csv")


def _exact(value: float) -> Decimal:
    """The shortest decimal that reads as this double: what the provider meant."""
    return Decimal(repr(value))


def _name(row: dict[str, Any]) -> str:
    return row["line_item_resource_id"] or (
        f"({dict(row['product'])['product_name']} {row['line_item_line_item_type']})"
    )


def _amortised(row: dict[str, Any]) -> Decimal:
    kind = row["line_item_line_item_type"]
    if kind == "SavingsPlanNegation":
        return Decimal(0)
    if kind == "SavingsPlanCoveredUsage":
        return _exact(row["savings_plan_savings_plan_effective_cost"])
    if kind == "SavingsPlanRecurringFee":
        return _exact(row["savings_plan_total_commitment_to_date"]) - _exact(
            row["savings_plan_used_commitment"]
        )
    return _exact(row["line_item_unblended_cost"])


def _google_name(row: dict[str, Any]) -> str:
    if row["resource"] is None:
        return f"({row['service']['description']} {row['cost_type']})"
    return str(row["resource"]["global_name"])


def _google_billed(row: dict[str, Any]) -> Decimal:
    return sum((_exact(c["amount"]) for c in row["credits"]), _exact(row["cost"]))


def _charges(root: Path) -> list[tuple[str, str, str, Decimal, Decimal]]:
    """Invoice, currency, resource, billed, effective of every delivered row."""
    aws = [
        (
            r["bill_invoice_id"] or "(open)",
            r["line_item_currency_code"],
            _name(r),
            _exact(r["line_item_unblended_cost"]),
            _amortised(r),
        )
        for r in _cur(root)
    ]
    azure = [
        (
            r["invoiceId"] or "(open)",
            r["billingCurrency"],
            r["ResourceId"].lower(),
            Decimal(r["costInBillingCurrency"]) * is_actual,
            Decimal(r["costInBillingCurrency"]) * (not is_actual),
        )
        for is_actual, rows in ((True, _actual(root)), (False, _amortized(root)))
        for r in rows
    ]
    google = [
        (
            f"{r['billing_account_id']}/{r['invoice']['month']}",
            r["currency"],
            _google_name(r),
            _google_billed(r),
            _google_billed(r),
        )
        for r in _google(root)
    ]
    databricks = [
        (
            r["InvoiceId"] or "(open)",
            r["BillingCurrency"],
            r["ResourceId"],
            Decimal(r["BilledCost"]),
            Decimal(r["EffectiveCost"]),
        )
        for r in _focus(root)
    ]
    return aws + azure + google + databricks


def test_same_arguments_give_the_same_bytes(root: Path, sample: Truth, tmp_path: Path) -> None:
    again = write(tmp_path / "again", days=DAYS)
    assert _bytes(again.path.parent) == _bytes(root)
    assert again.answers["commit"] == sample.answers["commit"]


def test_another_seed_is_another_company(sample: Truth, tmp_path: Path) -> None:
    other = write(tmp_path / "other", days=1, seed=2, sample_minutes=60)
    assert other.answers["resources"] != sample.answers["resources"]


def test_invoices_are_what_the_files_add_up_to(root: Path, sample: Truth) -> None:
    sums: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for invoice, currency, _, billed, effective in _charges(root):
        entry = sums[invoice, currency]
        entry[0] += 1
        entry[1] += billed
        entry[2] += effective
    stated = {
        (i["invoice"], i["currency"]): [
            i["rows"],
            Decimal(i["BilledCost"]),
            Decimal(i["EffectiveCost"]),
        ]
        for i in sample.answers["invoices"]
    }
    assert stated == dict(sums)


def test_resources_are_what_the_files_add_up_to(root: Path, sample: Truth) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for _, _, resource, _, effective in _charges(root):
        sums[resource] += effective
    stated = {r["resource"]: Decimal(r["EffectiveCost"]) for r in sample.answers["resources"]}
    assert stated == dict(sums)


def test_a_double_of_the_bill_casts_to_its_decimal(root: Path) -> None:
    """No cost is so large that a double's noise reaches the twelfth decimal."""
    import duckdb

    costs = {r["line_item_unblended_cost"] for r in _cur(root)}
    for row in _google(root):
        costs |= {row["cost"], *(c["amount"] for c in row["credits"])}
    assert {
        c: duckdb.execute("select cast(? as decimal(38, 12))", [c]).fetchall()[0][0] for c in costs
    } == {c: _exact(c) for c in costs}


def test_what_is_left_of_the_commitment_is_unused(root: Path) -> None:
    rows = _cur(root)
    kinds: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        kinds[row["line_item_line_item_type"]] += _amortised(row)
    hours = 24 * DAYS
    assert kinds["SavingsPlanCoveredUsage"] + kinds["SavingsPlanRecurringFee"] == 2 * hours
    assert kinds["SavingsPlanRecurringFee"] == Decimal("0.3182") * hours


def test_a_bill_without_private_pricing_has_no_net_costs(root: Path) -> None:
    (first, *_) = _cur(root)

    assert {None} == {value for name, value in first.items() if "_net_" in name}
    assert sum("_net_" in name for name in first) > 10


def test_azure_tells_one_bill_twice(root: Path) -> None:
    """The purchase is in one export, what nobody used in the other, all else in both."""
    told: dict[str, dict[tuple[str, str], Decimal]] = {}
    for export, rows in (("actual", _actual(root)), ("amortized", _amortized(root))):
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in rows:
            sums[row["pricingModel"], row["chargeType"]] += Decimal(row["costInBillingCurrency"])
        told[export] = dict(sums)
    usage = ("OnDemand", "Usage")
    day = Decimal("0.2304") * DAYS

    assert told["actual"][usage] == told["amortized"][usage] > 0
    assert told["actual"] == {
        usage: told["actual"][usage],
        ("Reservation", "Purchase"): Decimal("0.2304") * 8760 / 12,
        ("Reservation", "Usage"): Decimal(0),
    }
    assert told["amortized"] == {
        usage: told["amortized"][usage],
        ("Reservation", "Usage"): day * 20,
        ("Reservation", "UnusedReservation"): day * 4,
    }


def test_google_bills_by_its_own_month_and_to_the_cent(root: Path) -> None:
    rows = _google(root)
    kinds = {
        (r["cost_type"], *(c["type"] for c in r["credits"]), *("late",) * _is_late(r)) for r in rows
    }

    assert sum(_google_billed(r) for r in rows) % Decimal("0.01") == 0
    assert min(r["usage_start_time"].isoformat() for r in rows) == "2026-10-01T07:00:00+00:00"
    assert kinds == {
        ("regular",),
        ("regular", "late"),
        ("regular", "FEE_UTILIZATION_OFFSET"),
        ("regular", "DISCOUNT", "PROMOTION"),
        ("tax",),
        ("rounding_error",),
    }


def _is_late(row: dict[str, Any]) -> bool:
    return row["cost_type"] == "regular" and row["export_time"].month == 11


def test_googles_commitment_is_used_or_unused(root: Path) -> None:
    """Covered usage costs its committed price; the fee is left with what nobody used."""
    paid: dict[bool, Decimal] = defaultdict(Decimal)
    for row in _google(root):
        if row["subscription"]:
            paid[row["resource"] is None] += _google_billed(row)
    hours = 24 * DAYS - 7

    assert paid == {
        False: Decimal("0.02276") * 8 * hours,
        True: (Decimal("0.2") - Decimal("0.02276") * 8) * hours,
    }


def test_googles_invoice_asks_for_what_its_rows_add_up_to(tmp_path: Path) -> None:
    """There is one once the month is over."""
    root = write(tmp_path / "s", days=32, sample_minutes=60).path.parent
    (invoice,) = _csv(root, "inputs/google/invoices-*.csv")
    october = [r for r in _google(root) if r["invoice"]["month"] == "202610"]

    assert invoice["invoice"] == "01A2B3-C4D5E6-F7A8B9/202610"
    assert Decimal(invoice["amount"]) == sum(_google_billed(r) for r in october)
    assert max(r["usage_end_time"].isoformat() for r in october) == "2026-11-01T07:00:00+00:00"


def test_calls_are_what_the_logs_say(root: Path, sample: Truth) -> None:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * 7)
    seen: set[str] = set()
    twice = 0
    for path in sorted(root.glob("inputs/inference/otel/*/spans.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            span = json.loads(line)
            a = span["attributes"]
            key = (
                f"{a['k8s.namespace.name']}/{a['k8s.deployment.name']}",
                a["gen_ai.request.model"],
                a["feature"],
                a["tenant.id"],
                a["deployment.environment.name"],
            )
            values = (
                1,
                span["status"]["code"] == 2,
                0,
                a["gen_ai.usage.input_tokens"],
                a["gen_ai.usage.cache_read.input_tokens"],
                a["gen_ai.usage.output_tokens"],
                a.get("x_gpu_ms", 0),
            )
            sums[key] = [x + y for x, y in zip(sums[key], values, strict=True)]
    providers = {
        "bedrock": "aws.bedrock",
        "azure": "azure.ai.openai",
        "vertex_ai": "gcp.vertex_ai",
    }
    for path in sorted(root.glob("inputs/inference/litellm/*/spend.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            spend = json.loads(line)
            if spend["request_id"] in seen:
                twice += 1
                continue
            seen.add(spend["request_id"])
            owner = spend["metadata"]["spend_logs_metadata"]
            usage = spend["metadata"]["usage_object"]
            key = (
                f"{providers[spend['custom_llm_provider']]}/{spend['model']}",
                spend["model"],
                owner["feature"],
                owner["tenant"],
                owner["environment"],
            )
            values = (
                1,
                spend["status"] == "failure",
                spend["total_tokens"] == 0,
                spend["prompt_tokens"],
                usage["prompt_tokens_details"]["cached_tokens"] if usage else 0,
                spend["completion_tokens"],
                0,
            )
            sums[key] = [x + y for x, y in zip(sums[key], values, strict=True)]
    names = ("calls", "failed", "unknown_tokens", "input", "cached", "output", "gpu_ms")
    stated = {
        (c["endpoint"], c["model"], c["feature"], c["tenant"], c["environment"]): [
            c[n] for n in names
        ]
        for c in sample.answers["calls"]
    }
    assert stated == dict(sums)
    assert sample.answers["duplicate_lines"] == twice > 0
    assert sum(c["unknown_tokens"] for c in sample.answers["calls"]) > 0


def test_list_costs_are_what_log_and_price_book_say(root: Path, sample: Truth) -> None:
    book = {
        (row["model"], row["item"]): Decimal(row["price"]) / Decimal(row["per"])
        for row in _csv(root, "inputs/prices/*.csv")
        if not row["tier"]
    }
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    seen: set[str] = set()
    for path in sorted(root.glob("inputs/inference/litellm/*/spend.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            spend = json.loads(line)
            usage = spend["metadata"]["usage_object"]
            if usage is None or spend["request_id"] in seen:
                continue
            seen.add(spend["request_id"])
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            counts = (usage["prompt_tokens"] - cached, cached, usage["completion_tokens"])
            for item, count in zip(("input", "cache_read", "output"), counts, strict=True):
                price = book[spend["model"], item]
                sums[spend["model_group"], spend["startTime"][:10]] += count * price
    stated = {(c["model"], c["day"]): Decimal(c["ListCost"]) for c in sample.answers["list_costs"]}

    assert stated == dict(sums)
    outdated = [c for c in sample.answers["list_costs"] if c["outdated"]]
    assert len(outdated) == DAYS
    for cost in outdated:
        assert Decimal(cost["asked"]) * 5 == Decimal(cost["ListCost"]) * 4
    for cost in sample.answers["list_costs"]:
        if not cost["outdated"]:
            assert Decimal(cost["asked"]) >= Decimal(cost["ListCost"])


def test_a_function_is_billed_for_what_its_log_says(root: Path, sample: Truth) -> None:
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    callers: dict[str, tuple[str, str]] = {}
    reports: list[dict[str, Any]] = []
    for path in sorted(root.glob("inputs/functions/*/events.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            for event in json.loads(line)["logEvents"]:
                message = json.loads(event["message"])
                if "record" in message:
                    reports.append(message["record"])
                else:
                    callers[message["requestId"]] = (message["feature"], message["tenant"])
    for record in reports:
        entry = sums[callers[record["requestId"]]]
        entry[0] += 1
        entry[1] += record["metrics"]["billedDurationMs"]
    stated = {
        (f["feature"], f["tenant"]): [f["invocations"], f["billed_ms"]]
        for f in sample.answers["functions"]
    }
    billed: dict[str, float] = defaultdict(float)
    for row in _cur(root):
        if row["line_item_resource_id"] == sample.answers["functions"][0]["resource"]:
            billed[row["line_item_usage_type"]] += row["line_item_usage_amount"] * 1000

    assert stated == dict(sums)
    assert {feature for feature, _ in stated} == {"chat", "summarise"}
    assert round(billed["USE1-Request"]) == len(reports)
    # Whole GB-seconds, rounded up by the hour: 10 GB each.
    seconds = sum(ms for _, ms in sums.values()) / 100
    assert seconds <= billed["USE1-Lambda-GB-Second"] < seconds + 24 * DAYS


def test_training_is_a_job_of_the_bill_and_a_version(root: Path, sample: Truth) -> None:
    (job,) = sample.answers["training"]
    rows = [r for r in _cur(root) if ("user_training_run", job["run"]) in r["resource_tags"]]
    versions = config.load(root / "finops.toml").model_version

    assert Decimal(job["EffectiveCost"]) == sum(map(_amortised, rows))
    assert 18 == len(rows)
    assert [
        ("2026-09", date(2026, 9, 2), date(2026, 10, 2)),
        ("2026-10", date(2026, 10, 2), None),
    ] == [(v.version, v.created_on, v.retired_on) for v in versions]
    # The first day is the version's before; on the second all calls are its own.
    spans = root / "inputs/inference/otel/date=2026-10-02/spans.jsonl"
    second = [
        json.loads(line)["attributes"]["k8s.deployment.name"]
        for line in spans.read_text(encoding="utf-8").splitlines()
    ]
    assert second.count("llama-70b") == sum(job["calls"].values())


def test_revenue_is_what_the_sheets_say(root: Path, sample: Truth) -> None:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in _csv(root, "inputs/revenue/*.csv"):
        sums[row["tenant"], row["currency"]] += Decimal(row["amount"])
    stated = {(r["tenant"], r["currency"]): Decimal(r["amount"]) for r in sample.answers["revenue"]}

    assert stated == dict(sums)
    assert len(stated) == 9


def test_the_summary_is_for_a_person(sample: Truth) -> None:
    assert re.fullmatch(
        r"[\d,]+\.\d\d USD and [\d,]+\.\d\d EUR billed, [\d,]+ calls, "
        r"\d+ planted faults \(truth\.json\)",
        sample.summary(),
    )


def test_six_tenants_use_what_one_is_billed_for(sample: Truth) -> None:
    for shared in sample.answers["shared"]:
        assert len(shared["tenants"]) == 6
        assert shared["tagged"] in shared["tenants"]


def test_every_planted_fault_is_of_a_known_kind(sample: Truth) -> None:
    faults = sample.answers["faults"]
    # What a closed bill was is known only to who has seen it change.
    known = set(FIELDS["x_FindingKind"].isin or ()) - set(CLOSED_KINDS)
    assert {f["kind"] for f in faults} == known


def test_faulty_tags_are_on_the_bill_as_the_truth_says(root: Path, sample: Truth) -> None:
    tags: dict[str, dict[str, str]] = {
        _name(r): {k.removeprefix("user_"): v for k, v in r["resource_tags"]} for r in _cur(root)
    }
    tags |= {r["ResourceId"].lower(): json.loads(r["tags"] or "{}") for r in _actual(root)}
    tags |= {
        _google_name(r): {label["key"]: label["value"] for label in r["labels"]}
        for r in _google(root)
    }
    tags |= {r["ResourceId"]: json.loads(r["Tags"] or "{}") for r in _focus(root)}
    for fault in sample.answers["faults"]:
        if "resource" not in fault:
            continue
        found = tags[fault["resource"]]
        if fault["tag_key"]:
            assert found[fault["tag_key"]] == fault["tag_value"]
        else:
            assert fault["dimension"] not in found


def test_the_manifest_lists_what_is_there(root: Path) -> None:
    export = root / "inputs/aws/acme-cur"
    (path,) = export.glob("metadata/BILLING_PERIOD=2026-10/acme-cur-Manifest.json")
    listed = {f.partition("/acme-cur/")[2] for f in json.loads(path.read_text())["dataFiles"]}
    assert listed == {str(p.relative_to(export)) for p in export.rglob("*.parquet")}
    assert len(listed) == 2


@pytest.mark.parametrize("export", ["acme-actual", "acme-amortized"])
def test_azures_manifests_list_what_is_there(root: Path, export: str) -> None:
    (path,) = root.glob(f"inputs/azure/{export}/20261001-20261031/*/manifest.json")
    listed = json.loads(path.read_text())
    (blob,) = listed["blobs"]
    (part,) = path.parent.glob("part_*.csv")

    assert blob["blobName"].endswith(f"{export}/20261001-20261031/{path.parent.name}/{part.name}")
    assert blob["byteCount"] == part.stat().st_size
    assert blob["dataRowCount"] == len(_csv(part.parent, part.name))


def test_the_configuration_loads_and_points_at_the_files(root: Path) -> None:
    loaded = config.load(root / "finops.toml")
    places = [
        *(b.location for b in loaded.billing),
        *(b.manifest for b in loaded.billing if b.manifest),
        *(m.location for m in loaded.metrics if m.location),
        *(i.location for i in loaded.inference),
        *(i.location for i in loaded.invocation),
        loaded.price_book.location,
        loaded.economics.revenue,
    ]
    filled = {"period": "2026-10", "yyyymm": "202610", "date": "2026-10-01"}
    for place in places:
        assert list(root.glob(place.format(**filled))), place
    assert [loaded.path(g.path) for g in loaded.gitops] == [(root / "gitops").resolve()]
    billed = {resource for _, _, resource, _, _ in _charges(root)}
    for split in loaded.inference_split:
        assert split.where.ResourceId in billed, split.name


def test_the_repository_is_clean_and_parses(root: Path, sample: Truth) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=root / "gitops", check=True, capture_output=True, text=True
        ).stdout.strip()

    assert git("status", "--porcelain") == ""
    assert git("rev-parse", "main") == sample.answers["commit"]
    for path in (root / "gitops").rglob("*.yaml"):
        if "templates" not in path.parts:
            assert [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if d], path


def test_git_and_cluster_agree_but_for_the_planted_drift(root: Path) -> None:
    cluster: dict[tuple[str, str], float] = {}
    table = pq.ParquetFile(root / "inputs/metrics-parquet/date=2026-10-01/metrics.parquet").read()
    for row in table.to_pylist():
        if row["metric"] == "kube_deployment_spec_replicas":
            labels = dict(row["labels"])
            cluster.setdefault((labels["namespace"], labels["deployment"]), row["value"])
    git = {
        (d["metadata"]["namespace"], d["metadata"]["name"]): float(d["spec"]["replicas"])
        for path in (root / "gitops/apps").rglob("*.yaml")
        for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))
        if d["kind"] == "Deployment"
    }
    assert {k: (v, cluster[k]) for k, v in git.items() if cluster[k] != v} == {
        ("recommend", "recommend-api"): (2.0, 5.0)
    }


def test_promtool_takes_the_openmetrics_text(root: Path, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is not installed")
        pytest.skip("promtool is not installed")
    (text,) = (root / "inputs/metrics").glob("*/metrics.om")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", text, tmp_path / "blocks"],
        check=True,
        capture_output=True,
    )
    assert list((tmp_path / "blocks").iterdir())


def test_the_text_has_the_samples_of_the_parquet(tmp_path: Path) -> None:
    root = write(tmp_path / "s", days=1, sample_minutes=60, openmetrics=True).path.parent
    table = pq.ParquetFile(root / "inputs/metrics-parquet/date=2026-10-01/metrics.parquet").read()
    kept = sorted(
        m + "{" + ",".join(f'{k}="{v}"' for k, v in labels) + "}" + f" {value!r} {time}"
        for m, labels, time, value in zip(
            table["metric"].to_pylist(),
            table["labels"].to_pylist(),
            [t // 1_000_000 for t in table["time"].cast("int64").to_pylist()],
            table["value"].to_pylist(),
            strict=True,
        )
    )
    text = (root / "inputs/metrics/date=2026-10-01/metrics.om").read_text(encoding="utf-8")
    read = []
    for line in text.splitlines():
        if not line.startswith("#"):
            head, value, time = line.rsplit(" ", 2)
            read.append(f"{head} {float(value)!r} {time}")
    assert text.endswith("# EOF\n")
    assert sorted(read) == kept


def test_months_are_closed_when_all_their_days_are_there() -> None:
    months = Period(date(2026, 10, 1), 45, 1, 1).months()
    assert [(m.name, len(m.days), m.closed) for m in months] == [
        ("2026-10", 31, True),
        ("2026-11", 14, False),
    ]


def test_scale_multiplies_pods_and_charges(tmp_path: Path) -> None:
    one = write(tmp_path / "one", days=1, sample_minutes=60).answers
    two = write(tmp_path / "two", days=1, scale=2, sample_minutes=60).answers
    assert len(two["resources"]) > 1.5 * len(one["resources"])
    drift = [f for f in two["faults"] if f["kind"] == "replica_drift"]
    assert [(f["git"], f["cluster"]) for f in drift] == [(4, 10)]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(ConfigError, match="not empty"):
        write(tmp_path, days=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
