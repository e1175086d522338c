"""Kubernetes quantities (`500m`, `2Gi`, `1e3`), read exactly and written in the author's style.

What belongs here: the grammar of a quantity, and nothing about where one stands. Source:
kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity. A request below one
millicore or one byte is rounded up, as the API server does.
"""

from __future__ import annotations

import re
from fractions import Fraction

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
}  # fmt: skip
_QUANTITY = re.compile(
    r"\+?(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?P<suffix>[eE][+-]?[0-9]{1,3}|[KMGTPE]i|[numkMGTPE]?)",
    re.ASCII,
)


def quantity(text: str) -> Fraction:
    """The exact value. Raises `ValueError` that quotes what is not a quantity."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity such as 500m, 0.5 or 2Gi")
    number, suffix = match["number"], match["suffix"]
    whole, _, part = number.partition(".")
    value = Fraction(int((whole + part) or "0"), 10 ** len(part))
    if suffix in _BINARY:
        return value * _BINARY[suffix]
    if suffix in _DECIMAL:
        return value * _DECIMAL[suffix]
    return value * Fraction(10) ** int(suffix[1:])


def millicores(text: str) -> int:
    """CPU in millicores, rounded up."""
    return _up(quantity(text) * 1000)


def whole_bytes(text: str) -> int:
    """Memory in bytes, rounded up."""
    return _up(quantity(text))


def count(text: str) -> int:
    """A whole number of things, such as GPUs or replicas; `ValueError` if it is not whole."""
    value = quantity(text)
    if value.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number")
    return value.numerator


def cpu_like(amount: int, written: str) -> str:
    """`amount` millicores in the style of `written`: `250m` for `500m`, `0.25` for `0.5`."""
    if re.fullmatch(r"[0-9]*\.[0-9]*", written):
        whole, rest = divmod(amount, 1000)
        return f"{whole}.{rest:03d}".rstrip("0").rstrip(".") if rest else str(whole)
    if re.fullmatch(r"[0-9]+", written) and amount % 1000 == 0:
        return str(amount // 1000)
    return f"{amount}m"


def memory_like(amount: int, written: str) -> str:
    """`amount` bytes in the style of `written`, never less: `768Mi` for `2Gi`, `806M` for `1G`."""
    suffix = re.sub(r"^[0-9.]*", "", written)
    if suffix in _BINARY:
        for name, size in sorted(_BINARY.items(), key=lambda pair: -pair[1]):
            if size <= _BINARY[suffix] and amount % size == 0:
                return f"{amount // size}{name}"
    if suffix in ("k", "M", "G", "T", "P", "E"):
        for name in ("E", "P", "T", "G", "M", "k"):
            size = int(_DECIMAL[name])
            if size <= _DECIMAL[suffix] and amount % size == 0:
                return f"{amount // size}{name}"
        size = 10**3 if suffix == "k" else 10**6
        return f"{-(-amount // size)}{'k' if suffix == 'k' else 'M'}"
    return str(amount)


def _up(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
