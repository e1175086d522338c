"""One currency becomes another only by a dated rate, exactly, and a closed bill keeps its own."""

from __future__ import annotations

import csv
import random
from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline import cli, history
from finops_pipeline.errors import ConfigError, UnreadableFile

from .small import MONEY, PERIOD, Row, Small
from .test_history import Clock, clock, run  # noqa: F401  # a fixture

EUROS = (("01", "search", "10.00"), ("02", "chat", "20.00"))
DOLLARS = (("01", "search", "1.00"), ("03", "chat", "2.00"))
RATES = ("2026-10-01,EUR,USD,1.10", "2026-10-02,EUR,USD,1.20")


@pytest.fixture
def small(tmp_path: Path) -> Small:
    made = Small.make(tmp_path, to=MONEY)
    made.configure('[currency]\nrates = "rates.csv"\nreport = "USD"\nrate_days = 7')
    made.deliver(EUROS, "eu.csv", BillingCurrency="EUR")
    made.deliver(DOLLARS, "us.csv")
    return made


def rates(small: Small, *lines: str) -> None:
    text = "\n".join(["date,from,to,rate", *lines]) + "\n"
    (small.root / "rates.csv").write_text(text, encoding="utf-8")


def converted(small: Small, by: str = "feature", code: str = "") -> dict[str, Decimal]:
    """Value -> EffectiveCost of the converted showback."""
    text = history.showback(small.config, PERIOD, by=by, currency=code, csv=True)
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["BillingCurrency"] for line in lines} <= {code or "USD"}
    assert all(line["BilledCost"] == line["EffectiveCost"] for line in lines)
    return {line[by]: Decimal(line["EffectiveCost"]) for line in lines}


def test_each_day_is_converted_with_its_rate(small: Small) -> None:
    rates(small, *RATES)
    run(small)

    # 10 EUR at 1.10 and 1 USD; 20 EUR at 1.20 and 2 USD.
    assert converted(small) == {"search": Decimal("12.00"), "chat": Decimal("26.00")}
    by_day = {"2026-10-01": Decimal(12), "2026-10-02": Decimal(24), "2026-10-03": Decimal(2)}
    assert converted(small, "day") == by_day


def test_nothing_is_converted_by_default(small: Small) -> None:
    rates(small, *RATES)
    run(small)

    text = history.showback(small.config, PERIOD)

    assert ["EUR", "USD"] == [x for x in text.splitlines() if len(x) == 3]


def test_a_rate_holds_for_some_days_and_none_before_its_own(small: Small) -> None:
    rates(small)
    run(small)
    rates(small, "2026-09-25,EUR,USD,1.10", "2026-10-03,EUR,USD,9")
    assert converted(small)["chat"] == Decimal("24.00")

    rates(small, "2026-09-24,EUR,USD,1.10")
    with pytest.raises(ConfigError, match=r"no rate from EUR to USD for 2026-10-02; add one that"):
        converted(small)


def test_without_a_rate_the_day_and_the_pair_are_named(small: Small) -> None:
    rates(small)
    run(small)
    rates(small, "2026-10-01,USD,EUR,0.9")
    told = r"rates\.csv has no rate from EUR to USD for 2026-10-01 \(and 1 more\); add one"

    with pytest.raises(ConfigError, match=told):
        converted(small)
    with pytest.raises(ConfigError, match="no rate from EUR to CHF"):
        converted(small, code="CHF")


def test_without_a_file_of_rates_it_says_what_to_set(tmp_path: Path) -> None:
    small = Small.make(tmp_path, to=MONEY)
    small.deliver(EUROS, BillingCurrency="EUR")
    run(small)

    with pytest.raises(ConfigError, match=r"converted to USD without .*set \[currency\] rates"):
        converted(small, code="USD")
    with pytest.raises(ConfigError, match="'' is no currency to convert to"):
        converted(small)


@pytest.mark.parametrize("seed", range(3))
def test_lines_sum_to_the_converted_total(tmp_path: Path, seed: int) -> None:
    """Digits far below what money has: each line is rounded, and their sum is the rounded sum."""
    dice = random.Random(seed)
    small = Small.make(tmp_path, to=MONEY)
    small.configure('[currency]\nrates = "rates.csv"\nreport = "USD"')

    def row(n: int) -> Row:
        cost = f"{dice.randint(-9, 99)}.{dice.randint(0, 10**12 - 1):012}"
        return (f"{dice.randint(1, 3):02}", f"f{n % 7}", cost)

    charges = tuple(row(n) for n in range(40))
    rate = {f"{d:02}": f"1.{dice.randint(0, 10**12 - 1):012}" for d in range(1, 4)}
    small.deliver(charges, BillingCurrency="EUR")
    rates(small, *(f"2026-10-{d},EUR,USD,{r}" for d, r in rate.items()))
    run(small)

    found = converted(small)

    exact = sum((int(Decimal(c).scaleb(12)) * int(Decimal(rate[d]).scaleb(12))
                 for d, _, c in charges), 0)  # fmt: skip
    rounded = (abs(exact) + 5 * 10**11) // 10**12 * (1 if exact > 0 else -1)
    assert int(sum(found.values()).scaleb(12)) == rounded
    for feature, cost in found.items():
        own = sum(int(Decimal(c).scaleb(12)) * int(Decimal(rate[d]).scaleb(12))
                  for d, f, c in charges if f == feature)  # fmt: skip
        assert abs(int(cost.scaleb(12)) * 10**12 - own) < 10**12


def test_a_closed_bill_keeps_its_rates(small: Small, clock: Clock) -> None:  # noqa: F811
    rates(small, *RATES)
    clock("2026-11-05")
    run(small)
    rates(small, RATES[0], "2026-10-02,EUR,USD,1.30")
    assert converted(small)["chat"] == Decimal(28)

    clock("2026-11-12")
    run(small)
    rates(small, "2026-10-01,EUR,USD,5", "2026-10-02,EUR,USD,5")
    assert converted(small) == {"search": Decimal(12), "chat": Decimal(28)}

    # A correction brings a day that had no rate yet; the other days keep theirs.
    clock("2026-12-01")
    small.deliver((*EUROS, ("04", "chat", "1.00")), "eu.csv", BillingCurrency="EUR")
    run(small)
    rates(small, "2026-10-01,EUR,USD,7")
    assert converted(small) == {"search": Decimal(12), "chat": Decimal(33)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("2026-13-01,EUR,USD,1", "row 2 is no rate: 2026-13-01, EUR, USD, 1"),
        ("2026-10-01,EURO,USD,1", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,0", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,-1", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,1,0834", "row 2 is no rate: 2026-10-01, EUR, USD, 1, 0834"),
        ("2026-10-01,EUR,USD,NaN", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,1e400", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,1.0000000000001", "row 2 is no rate"),
        ("2026-10-01,EUR,USD,1.11", "row 2 is another rate for 2026-10-01 EUR USD"),
    ],
)
def test_a_file_of_rates_is_read_strictly(small: Small, line: str, said: str) -> None:
    rates(small, RATES[0], line)

    with pytest.raises(UnreadableFile, match=said):
        run(small)


def test_the_command(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    rates(small, *RATES)
    run(small)
    options = ["showback", "--config", str(small.toml)]

    assert cli.main([*options, "--currency"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Showback of {PERIOD} by feature, converted with the rates of rates.csv")
    assert "total         38.00          38.00" in out
    assert cli.main([*options, "--currency", "chf"]) == 2
    zone = ["--by", "day", "--time-zone", "Europe/Berlin"]
    assert cli.main([*options, "--currency", "USD", *zone]) == 2
