"""What nobody used of a commitment, on the whole road: shared, billed in full, and explained."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.errors import ConfigError
from finops_pipeline.explain import explain

from .small import TOML, Small

POLICY = """
[allocation]
unused_commitment = "users"
[[rule]]
where = { CommitmentDiscountStatus = "Unused" }
feature = "platform"
why = "platform buys the plans"
"""


def plan(small: Small, part: str, feature: str, cost: str, billed: str = "0") -> None:
    """An hour of the first day, of one savings plan."""
    path = small.deliver((("01", feature, cost),), f"{part}-{feature}.csv", BilledCost=billed)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    added = {"CommitmentDiscountId": "plan", "CommitmentDiscountStatus": part}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], *added])
        writer.writeheader()
        writer.writerows(row | added for row in rows)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    small = Small.make(tmp_path_factory.mktemp("plan"), TOML + POLICY)
    plan(small, "Used", "search", "5")
    plan(small, "Used", "chat", "2")
    plan(small, "Unused", "", "3", billed="10")
    small.run()
    return small


def test_users_bear_it_and_the_invoice_stays_with_who_bought_it(small: Small) -> None:
    shown = small.ask(
        "select x_Feature, x_AllocationMethod, BilledCost, EffectiveCost from showback order by all"
    )

    assert [
        ("chat", "commitment", Decimal(0), Decimal("0.857142857143")),
        ("chat", "tag", Decimal(0), Decimal(2)),
        ("platform", "rule", Decimal(10), Decimal(0)),
        ("search", "commitment", Decimal(0), Decimal("2.142857142857")),
        ("search", "tag", Decimal(0), Decimal(5)),
    ] == shown
    assert [("plan", Decimal(10), Decimal(7), Decimal(3), 700)] == small.ask(
        "select CommitmentDiscountId, BilledCost, x_UsedCost, x_UnusedCost, x_UtilisationPermille "
        "from commitment"
    )


def test_what_others_bear_lacks_no_tag(small: Small) -> None:
    untagged = small.ask(
        "select distinct ResourceId from finding where x_FindingKind = 'untagged' order by all"
    )

    assert [("i-chat",), ("i-search",)] == untagged


def test_a_second_run_makes_nothing_anew(small: Small) -> None:
    before = small.everything()
    small.run()

    assert before == small.everything()


def test_explain_goes_from_the_part_to_the_charge_nobody_used(small: Small) -> None:
    told = explain(small.config, {"feature": "search"})

    assert "5000000000000  7000000000000          3  2.142857142857" in told
    assert "Used-search.csv" in told
    assert "Unused-.csv" in told
    assert "Used-chat.csv" not in told
    assert "platform buys the plans" not in told


def test_explain_names_the_rule_of_what_was_billed(small: Small) -> None:
    told = explain(small.config, {"feature": "platform"})

    assert "Unused-.csv" in told
    assert "Used-search.csv" not in told
    assert "platform buys the plans" in told


def test_a_rule_for_a_status_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    wrong = POLICY.replace('"Unused"', '"unused"')

    with pytest.raises(ConfigError, match="CommitmentDiscountStatus"):
        _ = Small.make(tmp_path, TOML + wrong).config
