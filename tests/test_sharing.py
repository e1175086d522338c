"""Shared cost on the whole road: it moves, is explained, and is not weighed anew without reason."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline import cascade, config
from finops_pipeline.cascade import Cost, Taken, Weight
from finops_pipeline.errors import ConfigError, UnknownName, UnreadableFile
from finops_pipeline.explain import explain
from finops_pipeline.pipeline import survey

from .small import PERIOD, TOML, Small

ROWS = (
    ("01", "platform", "30"),
    ("02", "platform", "9"),
    ("02", "search", "40.00"),
    ("03", "chat", "20.00"),
)
PLATFORM = """
[[shared_cost]]
name = "platform"
where = { feature = "platform" }
"""
HEADCOUNT = PLATFORM + 'to = { feature = "*" }\nsplit = "driver"\ndriver = "heads.csv"\n'
DAY = date(2026, 10, 1)
FEATURES = "select x_Feature, sum(EffectiveCost) from showback group by all order by all"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    small = Small.make(tmp_path_factory.mktemp("shared"), TOML + PLATFORM)
    small.deliver(ROWS)
    small.run()
    return small


def test_before_and_after_is_a_filter_on_the_method(small: Small) -> None:
    before = FEATURES.replace("group by", "where x_AllocationMethod <> 'shared' group by")

    assert [("chat", Decimal(20)), ("platform", Decimal(39)), ("search", Decimal(40))] == small.ask(
        before
    )
    assert [("chat", Decimal(33)), ("platform", Decimal(0)), ("search", Decimal(66))] == small.ask(
        FEATURES
    )
    # The direct allocation, and what is counted by it, is untouched.
    assert [(Decimal(99),)] == small.ask(
        "select x_AllocatedCost from coverage where x_Dimension = 'feature'"
    )


def test_a_day_is_shared_by_the_weights_of_the_month(small: Small) -> None:
    days = small.ask(
        "select day(x_ChargeDay), x_Move, x_Feature, EffectiveCost from shared_cost order by all"
    )

    assert [
        (1, "given", "chat", Decimal(10)),
        (1, "given", "search", Decimal(20)),
        (1, "taken", "platform", Decimal(-30)),
        (2, "given", "chat", Decimal(3)),
        (2, "given", "search", Decimal(6)),
        (2, "taken", "platform", Decimal(-9)),
    ] == days


def test_a_second_run_makes_nothing_anew(small: Small) -> None:
    before = small.everything()
    built = small.run()

    assert before == small.everything()
    assert [] == [b.table for b in built if not b.skipped]


def test_explain_tells_block_weight_unit_and_source(small: Small) -> None:
    told = explain(small.config, {"feature": "chat"})

    assert "What is shared with it or by it" in told
    row = next(line for line in told.splitlines() if line.startswith("platform"))
    assert row.split()[:2] == ["platform", "platform/(unallocated)/(unallocated)"]
    assert ["EffectiveCost", "20000000000000", "60000000000000", "39", "13"] == row.split()[-5:]
    assert "chat/" in explain(small.config, {"feature": "platform"})


def test_without_a_block_nothing_moves(tmp_path: Path) -> None:
    small = Small.make(tmp_path)
    small.deliver(ROWS)
    small.run()

    for name in ("shared_source", "shared_weight", "shared_cost"):
        assert [] == small.ask(f"from {name}")
    assert [] == small.ask("from showback where x_AllocationMethod = 'shared'")


def test_a_driver_of_ones_own(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TOML + HEADCOUNT)
    small.deliver(ROWS)
    heads = tmp_path / "heads.csv"
    heads.write_text(
        f"period,feature,quantity\n{PERIOD},Search,2\n2026-09,chat,9\n{PERIOD},chat,1\n"
    )
    assert ("[[shared_cost]] heads.csv: 2 record(s) of 2026-10", True) in survey(
        small.config, PERIOD
    )
    small.run()
    assert [("chat", Decimal(33)), ("platform", Decimal(0)), ("search", Decimal(66))] == small.ask(
        FEATURES
    )

    heads.write_text(f"period,feature,quantity\n{PERIOD},search,1\n{PERIOD},chat,1\n")
    small.run()
    assert [
        ("chat", Decimal("39.5")),
        ("platform", Decimal(0)),
        ("search", Decimal("59.5")),
    ] == small.ask(FEATURES)

    for wrong, said in (
        (f"period,feature,quantity\n{PERIOD},chat,1.5\n", "record 1: '1.5' is no quantity"),
        (f"period,feature,quantity\n{PERIOD},chat\n", "record 1"),
        (f"period,feature,quantity\n{PERIOD},chat,-1\n", "'-1' is no quantity"),
        ("period,team,quantity\n", "the header must be"),
        ("", "it is missing"),
    ):
        heads.write_text(wrong)
        with pytest.raises(UnreadableFile, match=said):
            small.run()
    heads.unlink()
    with pytest.raises(UnreadableFile, match="names it as driver"):
        small.run()
    assert [("chat", Decimal("39.5"))] == small.ask(FEATURES)[:1]


def test_a_loop_without_an_end_is_printed(tmp_path: Path) -> None:
    small = Small.make(tmp_path, TOML)
    small.configure(
        """
        [[shared_cost]]
        name = "search-platform"
        where = { feature = "search" }
        to = { feature = "platform" }
        split = "even"
        together = "services"
        [[shared_cost]]
        name = "platform-search"
        where = { feature = "platform" }
        to = { feature = "search" }
        split = "even"
        together = "services"
        """
    )
    small.deliver(ROWS)

    with pytest.raises(ConfigError) as refused:
        small.run()
    assert "search-platform -> platform-search -> search-platform" in str(refused.value)
    assert "outside" in str(refused.value)
    assert not small.database.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('to = {feature = "*"}\nsplit = "fixed"\nshares = {a = 0.3, b = 0.6}', "shares sum to 0.9"),
        ('to = {feature = "*"}\nsplit = "fixed"\nshares = {a = 1.5, b = -0.5}', "none below 0"),
        ('split = "fixed"\nshares = {a = 1}', r"`to` must have a `\*`"),
        ('to = {feature = "*"}\nsplit = "fixed"\nshares = {"a/b" = 1}', r"`to` must have a `\*`"),
        ('to = {feature = "*"}\nsplit = "fixed"', "`shares` and split = 'fixed' go together"),
        ('split = "driver"', "`driver` and split = 'driver' go together"),
        ("since = 2026-10-02\nuntil = 2026-10-02", "`until` must be after"),
        ('within = "cluster"', "within"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _ = Small.make(tmp_path, TOML + PLATFORM + wrong).config


def test_names_that_are_not_known_are_told_the_nearest(tmp_path: Path) -> None:
    for wrong, said in (
        ('split = "driver"\ndriver = "token"', "did you mean 'tokens'"),
        ('[[shared_cost]]\nname = "x"\nwhere = { method = "idel" }', "did you mean 'idle'"),
        ('[[shared_cost]]\nname = "x"\nwhere = { featur = "a" }', "did you mean 'feature'"),
    ):
        with pytest.raises(UnknownName, match=said):
            _ = Small.make(tmp_path, TOML + PLATFORM + wrong).config


def test_one_name_has_one_rule_a_day(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hold on the same days"):
        _ = Small.make(tmp_path, TOML + PLATFORM + "until = 2026-11-01" + PLATFORM).config
    later = PLATFORM + "since = 2026-11-01"
    _ = Small.make(tmp_path, TOML + PLATFORM + "until = 2026-11-01" + later).config


def test_a_block_must_say_which_cost(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`where` is empty"):
        _ = Small.make(tmp_path, TOML + '[[shared_cost]]\nname = "all"\nwhere = {}').config


# ------------------------------------------------------------------------------ the arithmetic

SERVICES, DEPARTMENTS = ("s0", "s1", "s2", "s3"), ("a", "b", "c")


def owner(feature: str) -> cascade.Owner:
    return feature, "t", "e"


def weigh(blocks: list[dict[str, Any]], units: dict[str, int]) -> list[Weight]:
    """The weights of blocks that hand on features; `units` is what each costs."""
    parsed = config.parse({"shared_cost": blocks}, Path()).shared_cost
    wanted = {b.where.feature: b.name for b in parsed}
    return cascade.weights(
        parsed,
        [Taken(wanted[f], DAY, "USD", None, owner(f), n) for f, n in units.items() if f in wanted],
        [Cost("USD", None, owner(f), n) for f, n in units.items()],
        {},
    )


def ends(found: list[Weight]) -> dict[str, dict[str, Fraction]]:
    """Where each block's cost ends, in parts of it."""
    of: dict[str, dict[str, int]] = {}
    for w in found:
        of.setdefault(w.name, {})[w.receiver[0]] = w.weight
    return {
        source: {r: Fraction(n, sum(parts.values())) for r, n in parts.items()}
        for source, parts in of.items()
    }


@st.composite
def systems(draw: st.DrawFn) -> dict[str, dict[str, Decimal]]:
    """Services that each hand thousandths to the others and to departments."""
    told = {}
    for service in SERVICES[: draw(st.integers(2, 4))]:
        marks = sorted(draw(st.lists(st.integers(0, 1000), min_size=5, max_size=5)))
        cuts = [b - a for a, b in zip([0, *marks], [*marks, 1000], strict=True)]
        names = draw(st.permutations([*SERVICES, *DEPARTMENTS]))
        told[service] = {n: Decimal(c) / 1000 for n, c in zip(names, cuts, strict=False) if c}
    return told


@settings(deadline=None, derandomize=True, max_examples=150)
@given(systems(), st.booleans())
def test_every_end_is_the_parts_of_where_a_service_hands_it(
    told: dict[str, dict[str, Decimal]], together: bool
) -> None:
    blocks = [
        {
            "name": service,
            "where": {"feature": service},
            "to": {"feature": "*"},
            "split": "fixed",
            "shares": shares,
            "together": "all" if together else "",
        }
        for service, shares in told.items()
    ]
    order = list(told)

    def goes_on(source: str, receiver: str) -> bool:
        return receiver in told and (together or order.index(receiver) > order.index(source))

    def escapes(service: str, seen: frozenset[str]) -> bool:
        return any(
            not goes_on(service, r) or (r not in seen and escapes(r, seen | {r}))
            for r in told[service]
        )

    if not all(escapes(s, frozenset({s})) for s in told):
        with pytest.raises(ConfigError, match="loop has no solution"):
            weigh(blocks, dict.fromkeys(told, 1))
        return
    found = ends(weigh(blocks, dict.fromkeys(told, 1)))

    for service, shares in told.items():
        expected: dict[str, Fraction] = {}
        for receiver, share in shares.items():
            rest = found[receiver] if goes_on(service, receiver) else {receiver: Fraction(1)}
            for last, part in rest.items():
                expected[last] = expected.get(last, Fraction(0)) + Fraction(share) * part
        assert {k: v for k, v in expected.items() if v} == found[service]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 10**40), min_size=1),
    st.integers(1, 10**18),
)
def test_the_largest_remainder_sums_up(told: dict[str, int], total: int) -> None:
    if not any(told.values()):
        return
    parts = {owner(k): Fraction(v) for k, v in told.items()}
    found = cascade.largest_remainder(parts, total)

    assert total == sum(found.values())
    whole = sum(parts.values())
    assert all(abs(found[k] - p * total / whole) < 1 for k, p in parts.items())


def test_proportions_beyond_what_can_be_cut_are_kept_to_eighteen_digits() -> None:
    units = {"s0": 1, "a": 10**30, "b": 2 * 10**30}
    found = weigh([{"name": "s", "where": {"feature": "s0"}}], units)

    assert {"a": 333333333333333333, "b": 666666666666666667} == {
        w.receiver[0]: w.weight for w in found
    }


def test_a_loop_with_one_way_out_is_solved_and_one_without_is_not() -> None:
    def services(out: dict[str, float]) -> list[dict[str, Any]]:
        shares: list[dict[str, Any]] = [{"s1": 1}, {"s2": 1}, out]
        return [
            {
                "name": f"n{n}",
                "where": {"feature": f"s{n}"},
                "to": {"feature": "*"},
                "split": "fixed",
                "shares": {k: Decimal(str(v)) for k, v in of.items()},
                "together": "all",
            }
            for n, of in enumerate(shares)
        ]

    assert {"a": Fraction(1)} == ends(weigh(services({"s0": 0.9, "a": 0.1}), {"s0": 1}))["n0"]
    with pytest.raises(ConfigError, match="n1 -> n2 -> n1"):
        weigh(services({"s1": 1}), {"s0": 1})
