"""The fit of prices to CPU, memory and GPU: what is known by construction comes out, exactly."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from finops_pipeline.price_ratio import Machine, fit

STATED = (31611, 4237, 950000)
SHAPES = st.lists(
    st.tuples(st.integers(1, 192), st.integers(1, 2048), st.integers(0, 8)),
    min_size=1,
    max_size=8,
    unique=True,
)


def machine(shape: tuple[int, int, int], price: Fraction, currency: str = "USD") -> Machine:
    """A machine type with so many cores, GiB and GPUs, at a price an hour."""
    cpu, memory, gpu = (Fraction(part) / price for part in shape)
    return Machine(currency, (cpu, memory, gpu))


@settings(deadline=None)
@given(SHAPES, st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**8)))
def test_prices_that_follow_a_ratio_give_it_back(
    shapes: list[tuple[int, int, int]], prices: tuple[int, int, int]
) -> None:
    machines = [
        machine(s, Fraction(sum(n * p for n, p in zip(s, prices, strict=True)), 10**6))
        for s in shapes
    ]
    has_gpus = any(gpu for _, _, gpu in shapes)
    found = fit(machines, STATED, has_gpus=has_gpus)
    if found.basis == "regression":
        told = prices[: 2 + has_gpus]
        scale = next(10**n for n in range(9) if max(prices[:2]) <= 10**5 * 10**n)
        assert tuple((2 * p + scale) // (2 * scale) for p in told) == found.weights[: len(told)]
        assert 0 == found.unexplained
        assert found.reason is None
    else:
        assert STATED == found.weights
        assert found.reason is not None


@settings(deadline=None)
@given(
    SHAPES.flatmap(
        lambda shapes: st.tuples(
            st.permutations(range(len(shapes))),
            st.just(shapes),
            st.lists(
                st.fractions(Fraction(1, 1000), 1000, max_denominator=1000),
                min_size=len(shapes),
                max_size=len(shapes),
            ),
        )
    )
)
def test_any_prices_give_weights_that_are_not_below_zero_in_any_order(
    drawn: tuple[list[int], list[tuple[int, int, int]], list[Fraction]],
) -> None:
    order, shapes, prices = drawn
    machines = [machine(s, p) for s, p in zip(shapes, prices, strict=True)]
    has_gpus = any(gpu for _, _, gpu in shapes)
    found = fit(machines, STATED, has_gpus=has_gpus)

    assert min(found.weights) >= 0
    assert sum(found.weights) > 0
    assert len(shapes) == found.machines
    assert found == fit([machines[i] for i in order], STATED, has_gpus=has_gpus)


def test_two_currencies_are_no_prices_of_one_kind() -> None:
    shapes = [(4, 16, 0), (4, 32, 0)]
    machines = [machine(s, Fraction(1), c) for s, c in zip(shapes, ("USD", "EUR"), strict=True)]
    found = fit(machines, STATED, has_gpus=False)

    assert "nodes are billed in EUR and USD" == found.reason
    assert STATED == found.weights


def test_a_gpu_has_a_price_of_its_own() -> None:
    """4 cores 16 GiB 0.20, 4 and 32 0.28, and 4, 16 and a GPU 1.20: the GPU is 1.00."""
    prices = ((4, 16, 0), "0.20"), ((4, 32, 0), "0.28"), ((4, 16, 1), "1.20")
    found = fit([machine(s, Fraction(p)) for s, p in prices], STATED, has_gpus=True)

    assert (30000, 5000, 1000000) == found.weights


def test_machines_of_one_family_are_too_alike() -> None:
    """Memory that a kernel reports differs a little from size to size; that is no information."""
    shapes = (2, Fraction(77, 10), 0), (4, Fraction(154, 10), 0), (8, Fraction(311, 10), 0)
    machines = [
        Machine("USD", (c / p, m / p, Fraction()))
        for (c, m, _), p in zip(
            shapes, (Fraction(96, 1000), Fraction(192, 1000), Fraction(384, 1000)), strict=True
        )
    ]
    found = fit(machines, STATED, has_gpus=False)

    assert "stated" == found.basis
    assert "the machine types are too alike to tell their resources apart" == found.reason


def test_a_machine_without_gpus_is_never_worth_nothing() -> None:
    """The two with a GPU cost the same for any cores and memory; the third would cost nothing."""
    prices = ((64, 8, 1), "1.00"), ((8, 64, 1), "1.00"), ((1, 1, 1), "1.00")
    found = fit([machine(s, Fraction(p)) for s, p in prices], STATED, has_gpus=True)

    assert STATED == found.weights
    assert "neither CPU nor memory would have a price" == found.reason
