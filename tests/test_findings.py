"""Findings: for each kind of fault, the smallest tables that show it, and those that do not.

What belongs here: the findings stage alone, over tables given row by row. The planted faults of
the sample company are found end to end in test_sample.py.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline import config, contracts, queries
from finops_pipeline.errors import ConfigError

from .test_cases import engine, fill

ROAD = (
    "allocation/node_id",
    "allocation/charge_kind",
    "allocation/tag_owner",
    "findings/resource_cost",
    "findings/owner_tag",
    "findings/known_value",
    "findings/witness_weight",
    "findings/owner_evidence",
    "findings/account_value",
    "findings/tag_fault",
    "findings/untagged_spend",
    "findings/misattributed_spend",
    "findings/shared_spend",
    "findings/drift",
    "findings/finding",
)
OCTOBER = {"period": "2026-10", "unused_commitment": "buyer"}
SET_ID = "cast(md5_number_lower({}) >> 1 as bigint)"

Rows = list[dict[str, Any]]


def charge(resource: str | None, cost: str, row: int = 1, **more: Any) -> dict[str, Any]:
    """Return a charge; tags are given as `tags`, everything else by its column."""
    tags = json.dumps(more.pop("tags", {}))
    money = {"EffectiveCost": cost, "BilledCost": cost}
    return {"ResourceId": resource, **money, "x_SourceRow": row, "Tags": tags, **more}


def git(workload: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    """Return a declared workload of namespace `ns`."""
    return {
        "x_Repository": "gitops", "x_Path": f"{workload}.yaml", "x_Workload": workload,
        "x_Labels": json.dumps(labels), **more,
    }  # fmt: skip


def pod(workload: str, node: str, labels: dict[str, str], core_ms: int = 100) -> dict[str, Any]:
    """Return an hour of a pod of namespace `ns` in cluster `c`."""
    return {
        "x_Pod": workload, "x_PodUid": f"{workload}-{node}", "x_Node": node, "x_Workload": workload,
        "x_Labels": json.dumps(labels), "x_CpuAllocatedCoreMs": core_ms,
    }  # fmt: skip


def called(endpoint: str, **owner: str) -> dict[str, Any]:
    """Return an hour of calls of an endpoint."""
    return {"x_Endpoint": endpoint, "x_Model": "m", "x_Calls": 1, **owner}


def part(
    pool: str, endpoint: str, cost: str, method: str = "inference", **owner: str
) -> dict[str, Any]:
    """Return what allocation charged a consumer of a pool."""
    nobody = dict.fromkeys(("x_Feature", "x_Tenant", "x_Environment"), "(unallocated)")
    return {
        "x_Pool": pool, "x_Endpoint": endpoint, "x_AllocationMethod": method,
        "EffectiveCost": cost, "BilledCost": cost, **nobody, **owner,
    }  # fmt: skip


def run(config: dict[str, Any] | None = None, /, **given: Rows) -> Any:
    """Run the findings stage over the given tables; return the connection it filled."""
    con = engine(given, config or {})
    con.execute(f"update cost_and_usage set x_TagSetId = {SET_ID.format('Tags')}")
    con.execute(
        "insert into tag_set by name "
        "select distinct BillingPeriod, x_TagSetId, Tags from cost_and_usage"
    )
    for step in ROAD:
        fill(con, step, OCTOBER)
    return con


def found(con: Any, columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    """Return columns of the findings, in order."""
    rows = con.execute(f"select {columns} from finding where {where} order by all").fetchall()
    return [tuple(r) for r in rows]


def witnesses(con: Any, where: str = "true") -> list[tuple[str, str]]:
    """Return (witness, value) of the only finding."""
    [(text,)] = found(con, "x_Witnesses", where)
    return [(w["witness"], w["value"]) for w in json.loads(text)]


KNOWN = [git("search-api", {"feature": "search"}), git("chat-api", {"feature": "chat"})]
FULL = {"tenant": "t", "environment": "production"}


def test_a_second_run_gives_the_same_rows_whatever_the_order_of_charges() -> None:
    charges = [charge("r", "1", n, tags={"feature": "serach"}) for n in range(1, 5)]
    forward = run(cost_and_usage=charges, declared_workload=KNOWN)
    backward = run(cost_and_usage=charges[::-1], declared_workload=KNOWN[::-1])

    assert forward.execute("from finding").fetchall() == backward.execute("from finding").fetchall()


def test_the_key_of_every_table_holds() -> None:
    con = run(
        cost_and_usage=[
            charge("r", "1"), charge("r", "2", BillingCurrency="EUR"), charge(None, "4"),
            charge("r", "8", tags={"Feature": "A", "feature": "b"}),
        ],
        declared_workload=KNOWN,
    )  # fmt: skip
    for name in (p.rsplit("/", 1)[-1] for p in ROAD):
        key = ", ".join(f'"{k}"' for k in contracts.table(name).key)
        twice = con.execute(f"select {key} from {name} group by all having count(*) > 1").fetchall()

        assert [] == twice, name


@pytest.mark.parametrize("stem", queries.stems("findings"))
def test_every_file_yields_its_contract(stem: str) -> None:
    con = engine({}, {})
    query = queries.query(f"findings/{stem}")
    bound = {k: v for k, v in OCTOBER.items() if k in query.parameters}
    described = con.execute(f"describe {query.text}", bound).fetchall()

    assert list(contracts.table(stem).duckdb.items()) == [(r[0], r[1]) for r in described]


# -------------------------------------------------------------------------------- untagged


def test_untagged_is_one_row_a_resource_and_dimension_with_its_largest_charge() -> None:
    con = run(cost_and_usage=[charge("r", "1", 1), charge("r", "3", 2), charge("r", "3", 3)])
    columns = "x_Dimension, ResourceId, EffectiveCost, x_ChargeRows, x_SourceRow, x_LikelyValue"

    assert [
        (d, "r", Decimal(7), 3, 2, None) for d in ("environment", "feature", "tenant")
    ] == found(con, columns)


def test_two_currencies_are_two_rows_of_one_finding() -> None:
    con = run(
        cost_and_usage=[
            charge("r", "1", tags=FULL), charge("r", "2", tags=FULL, BillingCurrency="EUR"),
        ],
    )  # fmt: skip
    [eur, usd] = found(con, "BillingCurrency, EffectiveCost, x_FindingId")

    assert ("EUR", Decimal(2)) == eur[:2]
    assert ("USD", Decimal(1)) == usd[:2]
    assert eur[2] == usd[2]


def test_the_same_problem_has_the_same_id_next_month() -> None:
    charges = [charge("r", "1", tags=FULL)]
    con = run(cost_and_usage=charges)
    ids = found(con, "x_FindingId")
    con.execute("delete from untagged_spend")
    fill(con, "findings/untagged_spend", {"period": "2026-11"})

    assert ids == con.execute("select x_FindingId from untagged_spend").fetchall()


def test_charges_without_a_resource_are_one_row_a_service_and_account() -> None:
    con = run(
        cost_and_usage=[
            charge(None, "1", tags=FULL, SubAccountId="a"),
            charge(None, "2", tags=FULL, SubAccountId="a", ServiceName="S3"),
            charge(None, "4", tags=FULL, SubAccountId="b"),
        ],
    )  # fmt: skip

    assert [("EC2", "a", Decimal(1)), ("EC2", "b", Decimal(4)), ("S3", "a", Decimal(2))] == found(
        con, "ServiceName, SubAccountId, EffectiveCost"
    )


def test_tax_credits_and_nothing_are_not_untagged() -> None:
    con = run(
        cost_and_usage=[
            charge(None, "1", ChargeCategory="Tax"), charge("r", "-1", ChargeCategory="Credit"),
            charge("s", "0"),
        ],
    )  # fmt: skip

    assert [] == found(con, "x_FindingKind")


def test_what_a_rule_fills_is_not_untagged() -> None:
    rule = {"where": {"ServiceName": "EC2"}, "feature": "platform"}
    con = run(
        {"rule": [rule]}, cost_and_usage=[charge("r", "1"), charge("s", "2", ServiceName="S3")]
    )

    assert [
        ("environment", "r"),
        ("environment", "s"),
        ("feature", "s"),
        ("tenant", "r"),
        ("tenant", "s"),
    ] == found(con, "x_Dimension, ResourceId")


def test_a_node_without_tags_is_no_fault() -> None:
    con = run(
        cost_and_usage=[charge("i-1", "1")],
        node_usage=[{"x_Node": "n", "ResourceId": "i-1"}],
    )

    assert [] == found(con, "x_FindingKind")


SPLIT = {"inference_split": [{"name": "api", "where": {"ResourceId": "api"}, "endpoint": "p/*"}]}


def test_a_bought_model_without_tag_is_one_where_its_callers_are_one() -> None:
    con = run(
        SPLIT,
        cost_and_usage=[charge("api", "4", tags={"environment": "production"})],
        allocated_cost=[
            part("inference/api", "p/m", "3", x_Feature="search", x_Tenant="a"),
            part("inference/api", "p/m", "1", x_Feature="search", x_Tenant="b"),
        ],
    )  # fmt: skip

    assert [("feature", "search", 1, Decimal(4))] == found(
        con, "x_Dimension, x_LikelyValue, x_WitnessCount, EffectiveCost"
    )
    assert [("inference_log", "search")] == witnesses(con)


def test_the_name_of_a_workload_in_the_id_is_a_witness() -> None:
    con = run(
        cost_and_usage=[charge("arn:aws:rds:db/search-api-1", "1", tags=FULL)],
        declared_workload=KNOWN,
        pod_usage=[pod("search-api", "n", {"feature": "search"})],
    )

    assert [("search", 2)] == found(con, "x_LikelyValue, x_WitnessCount", "ResourceId is not null")
    assert [("cluster_label", "search"), ("git", "search")] == witnesses(con)


@pytest.mark.parametrize("name", ["search-apis", "research-api", "searchapi", "api-search"])
def test_part_of_a_word_is_no_witness(name: str) -> None:
    con = run(cost_and_usage=[charge(name, "1", tags=FULL)], declared_workload=KNOWN)

    assert [(None, 0, "[]")] == found(con, "x_LikelyValue, x_WitnessCount, x_Witnesses")


def test_the_longest_name_counts() -> None:
    con = run(
        cost_and_usage=[charge("search-api-logs", "1", tags=FULL)],
        declared_workload=[*KNOWN, git("search", {"feature": "chat"})],
    )

    assert [("search",)] == found(con, "x_LikelyValue")


def test_witnesses_that_differ_are_no_answer() -> None:
    con = run(
        cost_and_usage=[charge("search-api", "1", tags=FULL)],
        declared_workload=KNOWN,
        pod_usage=[pod("search-api", "n", {"feature": "chat"})],
    )

    assert [(None, 0)] == found(con, "x_LikelyValue, x_WitnessCount", "x_FindingKind = 'untagged'")
    assert [("cluster_label", "chat"), ("git", "search")] == witnesses(
        con, "x_FindingKind = 'untagged'"
    )


def test_the_same_resource_tagged_elsewhere_is_a_witness() -> None:
    con = run(
        cost_and_usage=[
            charge("r", "1", tags=FULL), charge("r", "2", tags={**FULL, "feature": "search"}),
        ],
        declared_workload=KNOWN,
    )  # fmt: skip

    assert [("search", Decimal(1))] == found(
        con, "x_LikelyValue, EffectiveCost", "x_Dimension = 'feature'"
    )
    assert [("sibling", "search")] == witnesses(con, "x_Dimension = 'feature'")


@pytest.mark.parametrize(
    ("others", "likely"),
    [
        (["search", "search"], "search"),
        (["search"], None),
        (["search", "chat"], None),
        (["search", "gone"], None),
    ],
)
def test_an_account_of_one_value_is_a_witness(others: list[str], likely: str | None) -> None:
    con = run(
        cost_and_usage=[
            charge("r", "1", tags=FULL, SubAccountId="a"),
            *(
                charge(f"o{n}", "1", tags={**FULL, "feature": f}, SubAccountId="a")
                for n, f in enumerate(others)
            ),
        ],
        declared_workload=KNOWN,
    )  # fmt: skip

    assert [(likely,)] == found(con, "x_LikelyValue", "x_FindingKind = 'untagged'")


# ----------------------------------------------------------------------------- wrong values


def wrong(value: str, resource: str = "r", **given: Rows) -> Any:
    """Return findings on feature where one resource has that value of it."""
    given.setdefault("declared_workload", KNOWN)
    return run(cost_and_usage=[charge(resource, "5", tags={**FULL, "feature": value})], **given)


COLUMNS = "x_FindingKind, x_Dimension, x_TagKey, x_TagValue, x_LikelyValue, EffectiveCost"


@pytest.mark.parametrize("value", ["Search", "SEARCH "])
def test_wrong_case(value: str) -> None:
    con = wrong(value)

    assert [("wrong_case", "feature", "feature", value, "search", Decimal(5))] == found(
        con, COLUMNS
    )
    assert [("git", "search")] == witnesses(con)


def test_the_spelling_of_git_is_right() -> None:
    con = wrong("Search", declared_workload=[git("search-api", {"feature": "Search"})])

    assert [] == found(con, COLUMNS)


def test_an_alias_is_no_fault() -> None:
    con = run(
        cost_and_usage=[charge("r", "1", tags={**FULL, "feature": "search", "environment": "Prod"})]
    )

    assert [] == found(con, COLUMNS)


def test_three_spellings_keep_three_findings() -> None:
    con = run(
        cost_and_usage=[
            charge("r", "40", tags={**FULL, "Feature": "ML"}),
            charge("r", "35", tags={**FULL, "feature": "ml"}),
            charge("r", "25", tags={**FULL, "FEATURE": "ml "}),
        ],
    )  # fmt: skip

    assert [("FEATURE", "ml ", "ml", Decimal(25)), ("Feature", "ML", "ml", Decimal(40))] == found(
        con, "x_TagKey, x_TagValue, x_LikelyValue, EffectiveCost"
    )


@pytest.mark.parametrize("value", ["serach", "searc", "Serach"])
def test_typo(value: str) -> None:
    con = wrong(value)

    assert [("typo", "feature", "feature", value, "search", Decimal(5))] == found(con, COLUMNS)
    assert [("git", "search")] == witnesses(con)


def test_a_typo_near_two_values_is_left_open() -> None:
    known = [git("a", {"feature": "search"}), git("b", {"feature": "perch"})]
    con = wrong("serch", declared_workload=known)

    assert [("typo", None, 0)] == found(con, "x_FindingKind, x_LikelyValue, x_WitnessCount")


def test_the_same_fault_is_answered_by_the_witnesses_of_each_resource() -> None:
    tags = {**FULL, "feature": "serach"}
    con = run(
        cost_and_usage=[charge(r, "1", tags=tags) for r in ("r", "chat-api", "search-api")],
        declared_workload=KNOWN,
    )

    assert [("chat-api", None, 0), ("r", "search", 1), ("search-api", "search", 1)] == found(
        con, "ResourceId, x_LikelyValue, x_WitnessCount"
    )


def test_a_typo_that_a_witness_contradicts_is_left_open() -> None:
    con = wrong("serach", resource="chat-api")

    assert [("typo", None)] == found(con, "x_FindingKind, x_LikelyValue")


@pytest.mark.parametrize(("value", "known"), [("acme-2", "acme-1"), ("cat", "chi")])
def test_another_number_or_a_short_word_is_no_typo(value: str, known: str) -> None:
    con = wrong(value, declared_workload=[git("a", {"feature": known})])

    assert [("stale", None)] == found(con, "x_FindingKind, x_LikelyValue")


def test_swapped_tags_name_each_other() -> None:
    known = [git("search-api", {"feature": "search", "tenant": "globex"})]
    con = run(
        cost_and_usage=[charge("r", "5", tags={**FULL, "feature": "globex", "tenant": "search"})],
        declared_workload=known,
    )

    assert [
        ("swapped", "feature", "feature", "globex", "search", Decimal(5)),
        ("swapped", "tenant", "tenant", "search", "globex", Decimal(5)),
    ] == found(con, COLUMNS)
    assert [("bill_tag", "search"), ("git", "search")] == witnesses(con, "x_Dimension = 'feature'")


def test_a_value_of_another_dimension_alone_is_left_open() -> None:
    con = run(
        cost_and_usage=[charge("r", "5", tags={**FULL, "feature": "globex", "tenant": "globex"})],
        declared_workload=[git("search-api", {"feature": "search", "tenant": "globex"})],
    )

    assert [("swapped", "feature", None)] == found(con, "x_FindingKind, x_Dimension, x_LikelyValue")


def test_stale_value_of_a_named_workload() -> None:
    con = wrong("assistant", resource="chat-api-logs")

    assert [("stale", "feature", "feature", "assistant", "chat", Decimal(5))] == found(con, COLUMNS)
    assert [("git", "chat")] == witnesses(con)


def test_a_stale_value_is_explained_by_others_tagged_alike() -> None:
    tags = {**FULL, "feature": "assistant"}
    con = run(
        cost_and_usage=[charge("bucket", "1", tags=tags), charge("chat-api-logs", "2", tags=tags)],
        declared_workload=KNOWN,
    )

    assert [("bucket", "chat"), ("chat-api-logs", "chat")] == found(
        con, "ResourceId, x_LikelyValue"
    )
    assert [("sibling", "chat")] == witnesses(con, "ResourceId = 'bucket'")


def test_a_stale_value_nobody_explains_is_left_open() -> None:
    con = wrong("assistant")

    assert [("stale", None, 0, "[]")] == found(
        con, "x_FindingKind, x_LikelyValue, x_WitnessCount, x_Witnesses"
    )


def test_a_namespace_is_not_stale() -> None:
    con = wrong("platform", declared_workload=[*KNOWN, git("gw", {}, x_Namespace="platform")])

    assert [] == found(con, COLUMNS)


def test_without_any_witness_no_value_is_judged() -> None:
    con = wrong("assistant", declared_workload=[])

    assert [] == found(con, COLUMNS)


def test_contradicting_tags_of_the_same_trust() -> None:
    con = run(
        cost_and_usage=[charge("r", "5", tags={**FULL, "Feature": "chat", "feature": "search"})]
    )

    assert [("conflict", "feature", "Feature,feature", "chat,search", None, Decimal(5))] == found(
        con, COLUMNS
    )
    assert [("bill_tag", "chat"), ("bill_tag", "search")] == witnesses(con)


def test_contradicting_tags_of_different_trust_keep_the_most_trusted() -> None:
    con = run(
        cost_and_usage=[
            charge("r", "5", tags={"feature": "f", "tenant": "t", "env": "prod", "stage": "dev"})
        ]
    )

    assert [
        ("conflict", "environment", "env,stage", "prod,dev", "production", Decimal(5))
    ] == found(con, COLUMNS)


def test_a_witness_settles_a_conflict() -> None:
    con = run(
        cost_and_usage=[
            charge("chat-api", "5", tags={**FULL, "Feature": "chat", "feature": "search"})
        ],
        declared_workload=KNOWN,
    )

    assert [("conflict", "chat")] == found(con, "x_FindingKind, x_LikelyValue")


def test_the_account_settles_a_conflict() -> None:
    others = [
        charge(f"o{n}", "1", tags={**FULL, "feature": "search"}, SubAccountId="a") for n in (1, 2)
    ]
    tags = {**FULL, "Feature": "chat", "feature": "search"}
    con = run(
        cost_and_usage=[charge("r", "5", tags=tags, SubAccountId="a"), *others],
        declared_workload=KNOWN,
    )

    assert [("conflict", "search", 2)] == found(con, "x_FindingKind, x_LikelyValue, x_WitnessCount")
    assert [("bill_tag", "chat"), ("bill_tag", "search"), ("sibling", "search")] == witnesses(con)


# -------------------------------------------------------------------------------- by use


def node(
    tags: dict[str, str], parts: Rows, pods: Rows, declared: Rows | None = None, cost: str = "8"
) -> Any:
    """Return findings on one tagged node `i-1` of cluster `c`."""
    return run(
        cost_and_usage=[charge("i-1", cost, tags=tags)],
        node_usage=[{"x_Node": "n", "ResourceId": "i-1"}],
        pod_usage=pods,
        declared_workload=declared or [],
        allocated_cost=parts,
    )


def test_a_node_billed_to_one_tenant_and_used_by_three() -> None:
    con = node(
        {"tenant": "a"},
        [part("node/c", "ns/llm", c, x_Tenant=t) for t, c in (("a", "3"), ("b", "2"), ("c", "1"))]
        + [part("node/c", "ns/llm", "2", "endpoint_idle", x_Tenant="(idle)")],
        [pod("llm", "n", {})],
        [git("x", {"tenant": "a"})],
    )  # fmt: skip

    assert [("shared_as_one", "tenant", "tenant", "a", None, Decimal(3))] == found(con, COLUMNS)
    assert [("inference_log", "a"), ("inference_log", "b"), ("inference_log", "c")] == witnesses(
        con
    )


def test_a_workload_on_two_nodes_counts_on_each_by_what_it_held() -> None:
    con = run(
        cost_and_usage=[charge("i-1", "6", tags={"tenant": "a"}), charge("i-2", "2")],
        node_usage=[{"x_Node": "n", "ResourceId": "i-1"}, {"x_Node": "m", "ResourceId": "i-2"}],
        pod_usage=[pod("llm", "n", {}, 300), pod("llm", "m", {}, 100)],
        allocated_cost=[part("node/c", "ns/llm", "4", x_Tenant=t) for t in ("a", "b")],
    )

    assert [("shared_as_one", Decimal(3))] == found(con, "x_FindingKind, EffectiveCost")


def test_pods_of_others_count_by_their_labels() -> None:
    con = node(
        {"feature": "search"},
        [
            part("node/c", "ns/s", "6", "pod", x_Feature="search"),
            part("node/c", "ns/k", "2", "pod", x_Feature="chat"),
        ],
        [pod("s", "n", {"feature": "search"}), pod("k", "n", {"feature": "chat"})],
    )  # fmt: skip

    assert [("shared_as_one", "search", Decimal(2))] == found(
        con, "x_FindingKind, x_TagValue, EffectiveCost"
    )


def test_the_values_of_a_witness_are_ranked_by_weight_then_name() -> None:
    con = node(
        {},
        [part("node/c", "ns/llm", c, x_Tenant=t) for t, c in (("c", "1"), ("a", "1"), ("b", "2"))],
        [pod("llm", "n", {})],
    )
    ranked = "select x_OwnerValue, x_Rank from owner_evidence order by all"

    assert [("a", 2), ("b", 1), ("c", 3)] == con.execute(ranked).fetchall()


def test_evidence_is_the_same_where_only_amounts_changed() -> None:
    def evidence(amount: str) -> list[tuple[Any, ...]]:
        con = node(
            {"tenant": "a"},
            [
                part("node/c", "ns/llm", amount, x_Tenant="a"),
                part("node/c", "ns/llm", "1", x_Tenant="b"),
            ],
            [pod("llm", "n", {"tenant": "a"})],
            [git("llm", {"tenant": "a"})],
        )
        rows: list[tuple[Any, ...]] = con.execute("from owner_evidence order by all").fetchall()
        return rows

    assert evidence("3") == evidence("4") != []


@pytest.mark.parametrize(("mine", "kinds"), [("9", []), ("8", [("shared_as_one",)])])
def test_a_tenth_of_others_is_no_sharing(mine: str, kinds: list[tuple[str]]) -> None:
    others = str(10 - int(mine))
    con = node(
        {"tenant": "a"},
        [
            part("node/c", "ns/llm", mine, x_Tenant="a"),
            part("node/c", "ns/llm", others, x_Tenant="b"),
        ],
        [pod("llm", "n", {})],
        [git("x", {"tenant": "a"})],
    )

    assert kinds == found(con, "x_FindingKind")


def test_a_node_tagged_as_shared_is_no_fault() -> None:
    con = node(
        {"tenant": "shared"},
        [part("node/c", "ns/llm", "4", x_Tenant=t) for t in ("a", "b")],
        [pod("llm", "n", {"tenant": "shared"})],
    )

    assert [] == found(con, "x_FindingKind")


def test_a_bought_model_billed_to_one_and_called_by_two() -> None:
    con = run(
        SPLIT,
        cost_and_usage=[charge("api", "4", tags={**FULL, "feature": "chat"})],
        allocated_cost=[
            part("inference/api", "p/m", "3", x_Feature="search", x_Tenant="t"),
            part("inference/api", "p/m", "1", x_Feature="chat", x_Tenant="t"),
        ],
        declared_workload=KNOWN,
        inference_usage=[called("p/m", x_Tenant="t")],
    )  # fmt: skip

    assert [("shared_as_one", "feature", "feature", "chat", None, Decimal(3))] == found(
        con, COLUMNS
    )


def test_witnesses_that_disagree_with_the_tag() -> None:
    con = node(
        {"feature": "search"},
        [part("node/c", "ns/chat-api", "8", "pod", x_Feature="chat")],
        [pod("chat-api", "n", {"feature": "chat"})],
        KNOWN,
    )

    assert [("witness_disagrees", "feature", "feature", "search", "chat", Decimal(8))] == found(
        con, COLUMNS
    )
    assert [("cluster_label", "chat"), ("git", "chat")] == witnesses(con)


def test_git_of_another_cluster_is_no_witness_of_a_node() -> None:
    given: dict[str, Rows] = {
        "cost_and_usage": [charge("i-1", "8", tags={"feature": "search"})],
        "node_usage": [{"x_Node": "n", "ResourceId": "i-1"}],
        "pod_usage": [pod("chat-api", "n", {})],
        "declared_workload": KNOWN,
        "allocated_cost": [part("node/c", "ns/chat-api", "8", "pod", x_Feature="chat")],
    }
    asked = "select x_OwnerValue from witness_weight where x_Witness = 'git'"
    here = run(applied_to("c", "staging"), **given)
    elsewhere = run(applied_to("production", "c"), **given)

    assert [("chat",)] == here.execute(asked).fetchall()
    assert [] == elsewhere.execute(asked).fetchall()


def test_what_two_repositories_say_alike_weighs_once() -> None:
    twice = [*KNOWN, *({**k, "x_Repository": "other"} for k in KNOWN)]
    weights = [
        run(
            applied_to("c"),
            cost_and_usage=[charge("i-1", "8"), charge("db/chat-api", "1")],
            node_usage=[{"x_Node": "n", "ResourceId": "i-1"}],
            pod_usage=[pod("chat-api", "n", {})],
            declared_workload=declared,
            allocated_cost=[part("node/c", "ns/chat-api", "8", "pod", x_Feature="chat")],
        ).execute("select ResourceId, x_Weight from witness_weight order by all").fetchall()
        for declared in (KNOWN, twice)
    ]  # fmt: skip

    assert [("db/chat-api", 1), ("i-1", 8 * 10**12)] == weights[0] == weights[1]


def test_one_witness_against_the_tag_is_not_enough() -> None:
    con = wrong("search", resource="chat-api")

    assert [] == found(con, COLUMNS)


def test_the_calls_a_charge_is_split_by_are_enough() -> None:
    con = run(
        SPLIT,
        cost_and_usage=[
            charge("api", "4", tags={"environment": "production", "feature": "search"})
        ],
        allocated_cost=[part("inference/api", "p/m", "4", x_Feature="chat")],
        declared_workload=KNOWN,
    )

    assert [("witness_disagrees", "search", "chat", 1)] == found(
        con, "x_FindingKind, x_TagValue, x_LikelyValue, x_WitnessCount"
    )


# --------------------------------------------------------------------------------- drift


def hours(*replicas: int) -> Rows:
    """Return replicas of ns/w, hour by hour from midnight."""
    return [
        {"x_Workload": "w", "x_HourStart": f"2026-10-01 {n:02}:00", "x_Replicas": r}
        for n, r in enumerate(replicas)
    ]


DRIFT = "x_FindingKind, x_TagValue, x_LikelyValue, EffectiveCost"


def test_replicas_changed_by_hand_cost_the_replica_hours_too_many() -> None:
    con = run(
        workload_replicas=hours(2, 4, 4),
        declared_workload=[git("w", {}, x_Replicas=2), git("w", {}, x_Replicas=2, x_Container="b")],
        allocated_cost=[
            part("node/c", "ns/w", "5", "pod"),
            part("node/c", "ns/w", "5", "pod", x_Feature="f"),
        ],
    )

    assert [("replica_drift", "4", "2", Decimal(4))] == found(con, DRIFT)
    assert [("cluster_label", "4"), ("git", "2")] == witnesses(con)


def test_fewer_replicas_are_a_negative_cost_and_no_cost_is_null() -> None:
    given: dict[str, Rows] = {
        "declared_workload": [git("w", {}, x_Replicas=3)],
        "workload_replicas": hours(2),
    }
    costed = run(**given, allocated_cost=[part("node/c", "ns/w", "2", "pod")])

    assert [("replica_drift", "2", "3", Decimal(-1))] == found(costed, DRIFT)
    assert [("replica_drift", "2", "3", None)] == found(run(**given), DRIFT)


@pytest.mark.parametrize(
    ("declared", "likely"),
    [
        ({"x_Replicas": 4}, None),
        ({}, None),
        ({"x_Autoscaler": "HPA", "x_MinReplicas": 2, "x_MaxReplicas": 6, "x_Replicas": 2}, None),
        ({"x_Autoscaler": "HPA", "x_MinReplicas": 2, "x_MaxReplicas": 3}, "2..3"),
        ({"x_Autoscaler": "KEDA", "x_MaxReplicas": 4}, None),
        ({"x_Autoscaler": "KEDA", "x_MaxReplicas": 3}, "0..3"),
        ({"x_Autoscaler": "VPA", "x_Replicas": 2}, "2"),
    ],
)  # fmt: skip
def test_what_git_allows_is_no_drift(declared: dict[str, Any], likely: str | None) -> None:
    con = run(workload_replicas=hours(4), declared_workload=[git("w", {}, **declared)])

    assert ([] if likely is None else [(likely,)]) == found(con, "x_LikelyValue")


def test_drift_that_ended_or_is_declared_in_two_ways_is_none() -> None:
    one = git("w", {}, x_Replicas=2)
    ended = run(workload_replicas=hours(4, 2), declared_workload=[one])
    unclear = run(
        workload_replicas=hours(4),
        declared_workload=[one, {**one, "x_Overlay": "b", "x_Replicas": 3}],
    )

    assert [] == found(ended, DRIFT)
    assert [] == found(unclear, DRIFT)


def test_a_workload_that_is_gone_does_not_drift() -> None:
    con = run(
        workload_replicas=[*hours(4), *({**h, "x_Workload": "other"} for h in hours(1, 1))],
        declared_workload=[git("w", {}, x_Replicas=2)],
    )

    assert [] == found(con, DRIFT)


def applied_to(*clusters: str) -> dict[str, Any]:
    """Return a configuration where the repository `gitops` is applied to the first of them."""
    measured = [
        {"name": c, "kind": "parquet", "cluster": c, "location": c + "/{date}"} for c in clusters
    ]
    repository = {"name": "gitops", "path": ".", "cluster": clusters[0]}
    return {"metrics": measured, "gitops": [repository]}


def test_git_of_another_cluster_is_not_drifted_from() -> None:
    given: dict[str, Rows] = {
        "declared_workload": [git("w", {"feature": "search"}, x_Replicas=2)],
        "workload_replicas": hours(4),
        "pod_usage": [pod("w", "n", {"feature": "chat"})],
    }
    here = run(applied_to("c", "staging"), **given)
    elsewhere = run(applied_to("production", "c"), **given)

    assert ["label_drift", "replica_drift"] == [f[0] for f in found(here, DRIFT)]
    assert [] == found(elsewhere, DRIFT)


def test_each_cluster_is_held_against_the_repository_that_is_applied_to_it() -> None:
    one = git("w", {}, x_Replicas=2)
    other = {**one, "x_Repository": "staging", "x_Replicas": 4}
    unsaid = {**one, "x_Repository": "unsaid", "x_Replicas": 4}
    config = applied_to("production", "c")
    config["gitops"].append({"name": "staging", "path": ".", "cluster": "c"})
    given: dict[str, Rows] = {
        "workload_replicas": [*hours(3), *({**h, "x_Cluster": "production"} for h in hours(3))],
    }
    both = run(config, declared_workload=[one, other], **given)
    unclear = run(config, declared_workload=[one, unsaid], **given)

    columns = "x_Cluster, x_TagValue, x_LikelyValue"
    assert [("c", "3", "4"), ("production", "3", "2")] == found(both, columns)
    assert [("c", "3", "4")] == found(unclear, columns)


@pytest.mark.parametrize(("least", "likely"), [(3, ["3"]), (0, []), (None, [])])
def test_kserve_drifts_by_the_deployment_it_serves_by(least: int | None, likely: list[str]) -> None:
    served = {"x_WorkloadKind": "InferenceService", "x_Replicas": least}
    con = run(
        workload_replicas=[{**h, "x_Workload": "w-predictor"} for h in hours(1)],
        declared_workload=[git("w", {}, **served)],
    )

    assert [("w-predictor", value) for value in likely] == found(con, "x_Workload, x_LikelyValue")


@pytest.mark.parametrize(
    ("label", "expected"),
    [("chat", [("label_drift", "chat", "search", Decimal(3))]), ("Search", []), (None, [])],
)
def test_labels_that_differ_from_git(label: str | None, expected: list[Any]) -> None:
    con = run(
        pod_usage=[pod("search-api", "n", {} if label is None else {"feature": label})],
        workload_replicas=hours(1),
        declared_workload=KNOWN,
        allocated_cost=[part("node/c", "ns/search-api", "3", "pod", x_Feature="chat")],
    )

    assert expected == found(con, DRIFT)


def test_usage_outside_the_period_is_not_asked() -> None:
    before = {**pod("old", "n", {"feature": "gone"}), "x_HourStart": "2026-09-30 23:00"}
    con = wrong("gone", pod_usage=[before])

    assert [("stale",)] == found(con, "x_FindingKind")


@pytest.mark.parametrize(
    "told",
    [
        {"rule": [{"where": {"ServiceName": "x"}, "feature": "(Idle) "}]},
        {"rule": [{"where": {"ServiceName": "x"}, "tenant": "(unallocated)"}]},
        {"alias": {"feature": {"(overhead)": ["platform"]}}},
        {"alias": {"tenant": {"acme": ["(not set)"]}}},
    ],
)
def test_words_that_stand_for_no_owner_are_refused_in_the_configuration(
    told: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match=r"\((Idle|unallocated|overhead|not set)\)"):
        config.parse(told, Path())


def test_a_word_of_ones_own_may_stand_for_several_owners() -> None:
    told = {
        "rule": [{"where": {"ServiceName": "x"}, "tenant": "(shared)"}],
        "alias": {"tenant": {"(shared)": ["common"]}},
    }

    assert "(shared)" == config.parse(told, Path()).rule[0].tenant


def test_a_tag_that_says_a_word_of_ours_is_shown_with_who_should_be_there() -> None:
    con = run(
        cost_and_usage=[
            charge("i-1", "5", tags={"feature": "(Idle)"}),
            charge("i-1", "2", 2, tags={"feature": "search"}),
            charge(None, "3", 3, tags={"feature": "(none)"}),
        ],
    )

    assert [
        ("(Idle)", "search", Decimal(5), "The feature tag says (Idle), which names nobody; its "
         "witnesses (sibling) name search. Tag it so."),
        ("(none)", None, Decimal(3), "The feature tag says (none), which names nobody, and no "
         "resource to ask about. Activate the tag for this service, or give its charges an owner "
         "by a [[rule]]."),
    ] == found(con, "x_TagValue, x_LikelyValue, EffectiveCost, x_Reason",
               "x_FindingKind = 'untagged' and x_Dimension = 'feature'")  # fmt: skip
