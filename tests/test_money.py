"""Money as people read it: exact amounts in, text out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_pipeline import money

AMOUNTS = st.decimals(
    min_value=Decimal(-(10**25)), max_value=Decimal(10**25), places=12, allow_nan=False
)


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("1234567.891", "USD", "1,234,567.89 USD"),
        ("0", "EUR", "0.00 EUR"),
        ("-1234.5", "USD", "-1,234.50 USD"),
        ("0.005", "USD", "0.00 USD"),  # half to even, down
        ("0.015", "USD", "0.02 USD"),  # half to even, up
        ("-0.001", "USD", "0.00 USD"),  # no minus zero
        ("1234.5", "JPY", "1,234 JPY"),
        ("1235.5", "JPY", "1,236 JPY"),
        ("1.2345", "KWD", "1.234 KWD"),
        ("1.23455", "CLF", "1.2346 CLF"),
        ("1.005", "XXX", "1.00 XXX"),
        # 26 digits before the point: more than Python's default context keeps.
        ("12345678901234567890123456.785", "USD", "12,345,678,901,234,567,890,123,456.78 USD"),
    ],
)
def test_display(amount: str, currency: str, expected: str) -> None:
    assert expected == money.display(Decimal(amount), currency)


def test_a_hundred_over_three_adds_up_to_a_hundred() -> None:
    third = Decimal("33.333333333333")
    parts = [Decimal("33.333333333334"), third, third]

    assert ["33.34", "33.33", "33.33"] == money.figures(parts, "USD")


def test_a_cent_of_credit_over_three_adds_up_to_a_cent() -> None:
    parts = [Decimal("-0.003333333334"), Decimal("-0.003333333333"), Decimal("-0.003333333333")]

    assert ["-0.01", "0.00", "0.00"] == money.figures(parts, "USD")


def test_equal_parts_give_the_unit_to_the_earlier_one() -> None:
    assert ["0.01", "0.00"] == money.figures([Decimal("0.005"), Decimal("0.005")], "USD")


def test_no_amounts_no_figures() -> None:
    assert [] == money.figures([], "USD")


@given(st.lists(AMOUNTS, max_size=12), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_a_shown_column_adds_up_to_its_shown_total(amounts: list[Decimal], currency: str) -> None:
    shown = [Decimal(f.replace(",", "")) for f in money.figures(amounts, currency)]
    shown_total = money.figure(money.total(amounts), currency)

    assert Decimal(shown_total.replace(",", "")) == money.total(shown)
    unit = Decimal(1).scaleb(-money.minor_digits(currency))
    assert all(abs(a - s) <= unit for a, s in zip(amounts, shown, strict=True))


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", "0.00"),
        ("12.5", "12.50"),
        ("1234.5678", "1,234.57"),
        ("0.0042134567", "0.004213"),
        ("-0.0042134567", "-0.004213"),
        ("0.000000000001", "0.000000000001"),
    ],
)
def test_unit_figure(amount: str, expected: str) -> None:
    assert expected == money.unit_figure(Decimal(amount), "USD")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("10", "10.00"), ("1.500000000000", "1.50"), ("0.000000000001", "0.000000000001")],
)
def test_exact_hides_nothing(amount: str, expected: str) -> None:
    assert expected == money.exact(Decimal(amount), "USD")
