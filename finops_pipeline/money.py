"""Money as people read it: the only place where an amount is rounded.

What belongs here: turning exact amounts into text, for the terminal, the report and pull
requests, and what a person wrote in a file into an exact amount. Amounts stay exact everywhere
else; they are added in SQL and divided in the macro `apportion()`. What is shown here is never
read back or added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation, localcontext

# Decimals of a currency, where they are not two. Source: ISO 4217:2015 list one ("Minor unit"),
# published by the maintenance agency, SIX. A code the list does not know is shown with two.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_DIGITS = {code: digits for digits, codes in _CODES.items() for code in codes.split()}

# DECIMAL(38,12) has 38 digits, and a sum of many more; Python's default of 28 would cut them.
_EXACT = Context(prec=80)


def minor_digits(currency: str) -> int:
    """Decimals the currency is written with: 2 for `USD`, 0 for `JPY`, 3 for `KWD`."""
    return MINOR_DIGITS.get(currency.upper(), 2)


def read(written: str | None) -> Decimal | None:
    """An amount as a person wrote it; None where it is none, or has more than money can hold."""
    try:
        amount = Decimal((written or "").strip())
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount.adjusted() >= 26:
        return None
    return amount if int(amount.as_tuple().exponent) >= -12 else None


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, whatever the number of digits; `sum()` keeps only 28."""
    with localcontext(_EXACT):
        return sum(amounts, Decimal(0))


def ratio(part: Decimal, whole: Decimal) -> Decimal:
    """`part / whole` to many digits, for bars and percentages; `whole` is not zero."""
    return _EXACT.divide(part, whole)


def figure(amount: Decimal, currency: str) -> str:
    """The amount without its currency, rounded half to even: `1,234.50`."""
    return _written(amount, minor_digits(currency))


def display(amount: Decimal, currency: str) -> str:
    """The amount with its currency, rounded half to even: `1,234.50 USD`."""
    return f"{figure(amount, currency)} {currency}"


def figures(amounts: Sequence[Decimal], currency: str) -> list[str]:
    """A column of amounts whose shown figures add up to the shown total, to the last digit.

    A figure may differ by one smallest unit from `figure()` of the same amount.
    """
    return column(amounts, minor_digits(currency))


def column(amounts: Sequence[Decimal], digits: int) -> list[str]:
    """Numbers written with `digits` decimals so that they add up to their rounded sum.

    Each is cut down to the last decimal; the units then missing from the rounded sum go to the
    numbers that lost most, ties to the earlier one (largest remainder).
    """
    unit = Decimal(1).scaleb(-digits)
    with localcontext(_EXACT):
        cut = [a.quantize(unit, ROUND_FLOOR) for a in amounts]
        lost = [a - c for a, c in zip(amounts, cut, strict=True)]
        missing = total(amounts).quantize(unit, ROUND_HALF_EVEN) - total(cut)
        most = sorted(range(len(cut)), key=lambda i: (-lost[i], i))
        for i in most[: int(missing.scaleb(digits))]:
            cut[i] += unit
    return [_written(c, digits) for c in cut]


def unit_figure(amount: Decimal, currency: str, significant: int = 4) -> str:
    """A unit price, which may be a small part of a cent: `0.004213`, `12.50`.

    At least the currency's decimals, and as many more as `significant` digits need, up to the
    twelve that money has.
    """
    digits = minor_digits(currency)
    if amount:
        digits = min(12, max(digits, significant - 1 - amount.adjusted()))
    return _written(amount, digits)


def exact(amount: Decimal, currency: str) -> str:
    """The amount with all the digits it has, never fewer than the currency's: `0.000000000001`."""
    with localcontext(_EXACT):
        digits = -int(amount.normalize().as_tuple().exponent)
    return _written(amount, max(digits, minor_digits(currency)))


def _written(amount: Decimal, digits: int) -> str:
    """Fixed decimals with thousands separators; never `-0.00`."""
    rounded = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN, context=_EXACT)
    return f"{rounded or abs(rounded):,f}"
