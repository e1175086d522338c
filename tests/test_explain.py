"""The charges told of a showback row are its own, and sum to it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.explain import explain

from .small import TOML, Small
from .test_cli import table

RULES = """
[[rule]]
where = { ResourceId = "i-none" }
feature = "platform"
why = "the build machines"
[[rule]]
where = { ServiceName = "Machines" }
tenant = "acme"
why = "one tenant"
[[inference_split]]
name = "api"
where = { ServiceName = "Model API" }
endpoint = "api/*"
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Charges with an owner by tag, by rule and with none, and of an API without a logged call."""
    small = Small.make(tmp_path_factory.mktemp("explain"), TOML + RULES)
    small.deliver((("01", "search", "40"), ("01", "chat", "35"), ("01", "", "25")), "a.csv")
    small.deliver((("01", "chat", "5"),), "b.csv", ResourceId="i-other")
    small.deliver((("01", "", "7"),), "c.csv", ResourceId="", ServiceName="Support")
    small.deliver((("01", "chat", "3"), ("01", "search", "2")), "d.csv", ServiceName="Model API")
    small.run()
    return small


@pytest.mark.parametrize(
    ("feature", "costs"),
    [
        ("chat", ["35", "5", "3"]),
        ("search", ["40", "2"]),
        ("platform", ["25"]),
        ("(unallocated)", ["7"]),
    ],
)
def test_charges_told_are_those_of_the_owner_and_no_others(
    small: Small, feature: str, costs: list[str]
) -> None:
    told = explain(small.config, {"feature": feature})
    charges = [Decimal(c["EffectiveCost"]) for c in table(told, "The charges of those pools")]
    pools = table(told, "The pools it is part of")
    ((shown,),) = small.ask(
        f"select sum(EffectiveCost) from showback where x_Feature = '{feature}'"
    )

    assert [Decimal(c) for c in costs] == charges
    assert shown == sum(charges)
    assert [p["EffectiveCost"] for p in pools] == [p["pool_cost"] for p in pools]
    assert len(charges) == sum(int(p["charges"]) for p in pools)


def test_rules_that_fill_what_tags_left_open_are_asked_too(small: Small) -> None:
    told = explain(small.config, {"tenant": "acme"})
    charges = [Decimal(c["EffectiveCost"]) for c in table(told, "The charges of those pools")]

    assert [Decimal(c) for c in (40, 35, 25, 5)] == charges


def test_a_charge_that_names_a_tenant_alone_is_nobody_elses(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    small.deliver((("01", "chat", "4"), ("01", "", "9")), "a.csv")
    small.deliver((("01", "", "2"),), "b.csv", Tags='{"tenant": "acme"}')
    small.run()
    told = explain(small.config, {"feature": "chat", "tenant": "(unallocated)"})
    charges = [Decimal(c["EffectiveCost"]) for c in table(told, "The charges of those pools")]

    assert [Decimal(4)] == charges
