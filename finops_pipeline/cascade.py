"""Shared cost, step by step or all at once: who bears it in the end, as exact weights.

What belongs here: the arithmetic of `[[shared_cost]]`, on numbers it is given. Which cost is taken
and how money is cut by the weights is in sql/allocation; nothing here reads or writes.

Every block hands on what reaches it, in fixed parts; so each unit of cost walks from owner to owner
until it reaches one that no later block takes from. Steps only lead forward: that is the step-down
method. Blocks of one step (`together`) serve each other, and the walk may go round: the reciprocal
method (Kaplan, "Variable and Self-Service Costs in Reciprocal Allocation Models", The Accounting
Review 48, 1973), which solves x = d + A'x for what each service costs with its part of the others.
We solve it for the parts instead, N = (I - A)^-1, the fundamental matrix of an absorbing chain
(Kemeny and Snell, "Finite Markov Chains", 1960): they serve every amount, day and currency alike,
so that money is cut once. All of it is in fractions of integers; nothing is rounded before the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from math import gcd, lcm

from .config import DIMENSIONS, SharedCostSection, in_force_together
from .errors import ConfigError

Owner = tuple[str, str, str]
"""Feature, tenant and environment."""

MOST = 10**18
"""Weights of a source sum to this at most: apportion() wants no more."""

UNNAMED, IDLE = "(unallocated)", "(idle)"


@dataclass(frozen=True)
class Taken:
    """What a block takes directly: EffectiveCost of an owner in a pool, in 10^-12 of a currency."""

    name: str
    day: date
    currency: str
    pool: str | None
    owner: Owner
    units: int


@dataclass(frozen=True)
class Cost:
    """What an owner costs in the month before anything is shared, in 10^-12 of a currency."""

    currency: str
    pool: str | None
    owner: Owner
    units: int


@dataclass(frozen=True)
class Measured:
    """What a driver counts of an owner; `pool` is None where it does not know pools.

    A dimension the driver does not know is None.
    """

    pool: str | None
    owner: tuple[str | None, str | None, str | None]
    quantity: int


@dataclass(frozen=True)
class Weight:
    """The part of one source that a receiver bears in the end, out of the sum of its weights."""

    name: str
    start: date
    until: date
    currency: str
    pool: str | None
    source: Owner
    receiver: Owner
    unit: str
    weight: int


@dataclass(frozen=True)
class Node:
    """Cost that a block (its place in the file) hands on: of an owner, in days of one rule book."""

    block: int
    span: int
    currency: str
    pool: str | None
    owner: Owner


@dataclass(frozen=True)
class Hop:
    """Where a node's cost goes next. What is kept goes nowhere: it stays with its owner."""

    parts: Mapping[Owner, int]
    unit: str
    is_kept: bool = False

    @cached_property
    def total(self) -> int:
        """What the parts are parts of."""
        return sum(self.parts.values())


def weights(
    blocks: Sequence[SharedCostSection],
    taken: Iterable[Taken],
    costs: Iterable[Cost],
    measured: Mapping[str, Sequence[Measured]],
) -> list[Weight]:
    """The weights by which each source is cut, in order; `ConfigError` for a loop without an end.

    `measured` has what each driver that the blocks name has counted in the month.
    """
    return _Cascade(blocks, list(costs), measured).run(list(taken))


def largest_remainder(parts: Mapping[Owner, Fraction], total: int) -> dict[Owner, int]:
    """Integers in proportion to `parts`, that sum to `total`; ties by name."""
    whole = sum(parts.values())
    exact = {k: p * total / whole for k, p in parts.items()}
    floors = {k: int(v) for k, v in exact.items()}
    left = total - sum(floors.values())
    for k in sorted(exact, key=lambda k: (floors[k] - exact[k], k))[:left]:
        floors[k] += 1
    return floors


def integers(parts: Mapping[Owner, Fraction]) -> dict[Owner, int]:
    """`parts` as the smallest integers of the same proportion, or as near as `MOST` allows."""
    scale = lcm(*(p.denominator for p in parts.values()))
    found = {k: int(p * scale) for k, p in parts.items()}
    shared = gcd(*found.values())
    if sum(found.values()) // shared > MOST:
        found = largest_remainder(parts, MOST)
        shared = 1
    return {k: n // shared for k, n in sorted(found.items()) if n}


def solve(parts: Mapping[Node, Mapping[Node, Fraction]]) -> dict[Node, dict[Node, Fraction]]:
    """How much of each node's cost passes through each other one: N = (I - A)^-1.

    `parts` is A: which part of a node goes to which node of the same step. By Gauss and Jordan,
    in fractions, so that the residual is nothing, and is checked to be. Raises `ZeroDivisionError`
    where no solution is: some nodes hand everything on among themselves.
    """
    nodes = list(parts)
    rows = {n: {m: -p for m, p in parts[n].items() if p} for n in nodes}
    for n in nodes:
        rows[n][n] = rows[n].get(n, Fraction(0)) + 1
    found: dict[Node, dict[Node, Fraction]] = {n: {n: Fraction(1)} for n in nodes}
    for pivot in nodes:
        head = rows[pivot].get(pivot, Fraction(0))
        # I - A is an M-matrix: where it has an inverse, no pivot on the way is zero.
        if head == 0:
            raise ZeroDivisionError
        for side in (rows, found):
            side[pivot] = {m: v / head for m, v in side[pivot].items()}
        for n in nodes:
            factor = rows[n].get(pivot, Fraction(0)) if n != pivot else Fraction(0)
            if factor:
                for side in (rows, found):
                    for m, v in side[pivot].items():
                        side[n][m] = side[n].get(m, Fraction(0)) - factor * v
    for n in nodes:
        for m in nodes:
            through = sum(
                (p * found[k].get(m, Fraction(0)) for k, p in parts[n].items()), Fraction(0)
            )
            if found[n].get(m, Fraction(0)) - through != (n == m):
                raise AssertionError(f"the residual of {n} and {m} is not zero")
    return {n: {m: v for m, v in found[n].items() if v} for n in nodes}


class _Cascade:
    """One month: amounts go forward step by step, then parts are put together backward."""

    def __init__(
        self,
        blocks: Sequence[SharedCostSection],
        costs: list[Cost],
        measured: Mapping[str, Sequence[Measured]],
    ) -> None:
        self.blocks = blocks
        self.measured = measured
        self.owners = {c.owner for c in costs}
        self.in_pool: dict[str | None, set[Owner]] = defaultdict(set)
        self.cost: dict[tuple[str, str | None], dict[Owner, Fraction]] = defaultdict(
            lambda: defaultdict(Fraction)
        )
        for c in costs:
            self.in_pool[c.pool].add(c.owner)
            self.cost[c.currency, c.pool][c.owner] += c.units
        self.steps = _steps(blocks)
        self.step_of = {b: n for n, step in enumerate(self.steps) for b in step}
        edges = {date.min, date.max, *(d for b in blocks for d in (b.since, b.until) if d)}
        days = sorted(edges)
        self.spans = list(pairwise(days))
        self.amounts: dict[Node, Fraction] = defaultdict(Fraction)
        self.hops: dict[Node, Hop] = {}
        self.ends: dict[Node, dict[Owner, Fraction]] = {}
        self.via: dict[Node, frozenset[str]] = {}
        self.shares: dict[tuple[int, str, str | None], tuple[dict[tuple[str, ...], int], str]] = {}

    def run(self, taken: list[Taken]) -> list[Weight]:
        for t in taken:
            span = next(n for n, (a, b) in enumerate(self.spans) if a <= t.day < b)
            block = next(b for b in self._in_force(span) if self.blocks[b].name == t.name)
            self.amounts[Node(block, span, t.currency, t.pool, t.owner)] += t.units
        sources = sorted(self.amounts, key=_order)
        for number in range(len(self.steps)):
            self._forward(number)
        for number in reversed(range(len(self.steps))):
            self._backward(number)
        return [w for node in sources for w in self._told(node)]

    # ----------------------------------------------------------------------------- steps

    def _in_force(self, span: int) -> list[int]:
        start = self.spans[span][0]
        return [
            n
            for n, b in enumerate(self.blocks)
            if (b.since or date.min) <= start < (b.until or date.max)
        ]

    def _next(self, node: Node, receiver: Owner) -> Node | None:
        """What takes on what a node gave to an owner: a block of its own step, or a later one."""
        step = self.step_of[node.block]
        later = sorted(
            (self.step_of[b], b)
            for b in self._in_force(node.span)
            if (self.step_of[b] > step or (self.step_of[b] == step and self.blocks[b].together))
            and self.blocks[b].where.is_owner_only
            and _names(self.blocks[b], receiver)
        )
        if not later:
            return None
        return Node(later[0][1], node.span, node.currency, node.pool, receiver)

    def _onward(self, node: Node) -> dict[Owner, Node]:
        """The receivers of a node that are taken from again."""
        hop = self.hops[node]
        if hop.is_kept:
            return {}
        found = {r: self._next(node, r) for r in hop.parts}
        return {r: n for r, n in found.items() if n is not None}

    def _nodes(self, number: int) -> list[Node]:
        found = [n for n in self.hops if self.step_of[n.block] == number]
        return sorted(found, key=_order)

    def _forward(self, number: int) -> None:
        """One step: find where its nodes' cost goes, and move the amounts of the month there."""
        amounts = self.amounts
        waiting = [n for n in amounts if self.step_of[n.block] == number]
        while waiting:
            node = waiting.pop()
            if node not in self.hops:
                self.hops[node] = self._hop(node)
                waiting += [
                    n for n in self._onward(node).values() if self.step_of[n.block] == number
                ]
        nodes = self._nodes(number)
        through = self._solved(nodes)
        moves: list[tuple[Node, Owner, Fraction]] = []
        passed: dict[Node, Fraction] = defaultdict(Fraction)
        for node in nodes:
            for inner, part in through[node].items():
                passed[inner] += amounts[node] * part
        for node in nodes:
            moves.append((node, node.owner, -amounts[node]))
            onward = self._onward(node)
            for receiver, weight in self.hops[node].parts.items():
                given = passed[node] * weight / self.hops[node].total
                following = onward.get(receiver)
                if following is not None and self.step_of[following.block] == number:
                    continue
                moves.append((node, receiver, given))
                if following is not None:
                    amounts[following] += given
        for node, owner, moved in moves:
            self.cost[node.currency, node.pool][owner] += moved
        self.shares.clear()

    def _solved(self, nodes: list[Node]) -> dict[Node, dict[Node, Fraction]]:
        """What passes through each node of a step, for each that begins in it."""
        inner: dict[Node, dict[Node, Fraction]] = {}
        for node in nodes:
            inner[node] = defaultdict(Fraction)
            for receiver, following in self._onward(node).items():
                if self.step_of[following.block] == self.step_of[node.block]:
                    hop = self.hops[node]
                    inner[node][following] += Fraction(hop.parts[receiver], hop.total)
        # Cost keeps its currency, pool and days: what does not, is a system of its own.
        systems: dict[object, list[Node]] = defaultdict(list)
        for node in nodes:
            if self.blocks[node.block].together:
                systems[node.span, node.currency, node.pool].append(node)
        found = {node: {node: Fraction(1)} for node in nodes}
        for system in systems.values():
            try:
                found |= solve({n: inner[n] for n in system})
            except ZeroDivisionError:
                raise ConfigError(self._loop({n: inner[n] for n in system})) from None
        return found

    def _loop(self, inner: Mapping[Node, Mapping[Node, Fraction]]) -> str:
        """The error for nodes that hand everything on among themselves, with the way round."""
        ends = {n for n in inner if sum(inner[n].values()) < 1}
        while True:
            more = {n for n in inner if n not in ends and any(m in ends for m in inner[n])}
            if not more:
                break
            ends |= more
        walk = [min((n for n in inner if n not in ends), key=_order)]
        while walk[-1] not in walk[:-1]:
            walk.append(min(inner[walk[-1]], key=_order))
        round_ = walk[walk.index(walk[-1]) :]
        way = " -> ".join(f"{self.blocks[n.block].name} ({'/'.join(n.owner)})" for n in round_)
        return (
            f"[[shared_cost]]: this loop has no solution, what comes in only goes round: {way}. "
            "Give one of its blocks a receiver outside of it"
        )

    def _backward(self, number: int) -> None:
        """Where the cost of each node of a step ends, once the steps after it are known."""
        nodes = self._nodes(number)
        through = self._solved(nodes)
        direct: dict[Node, dict[Owner, Fraction]] = {}
        via: dict[Node, set[str]] = {}
        for node in nodes:
            hop, onward = self.hops[node], self._onward(node)
            ends: dict[Owner, Fraction] = defaultdict(Fraction)
            via[node] = {self.blocks[n.block].name for n in onward.values()}
            for receiver, weight in hop.parts.items():
                following = onward.get(receiver)
                if following is None:
                    ends[receiver] += Fraction(weight, hop.total)
                elif self.step_of[following.block] != number:
                    via[node] |= self.via[following]
                    for last, rest in self.ends[following].items():
                        ends[last] += Fraction(weight, hop.total) * rest
            direct[node] = ends
        for node in nodes:
            total: dict[Owner, Fraction] = defaultdict(Fraction)
            for inner, part in through[node].items():
                for last, rest in direct[inner].items():
                    total[last] += part * rest
            if sum(total.values()) != 1:
                raise AssertionError(f"the parts of {node} do not sum to one")
            self.ends[node] = {o: p for o, p in total.items() if p}
            self.via[node] = frozenset().union(*(via[n] for n in through[node]))

    def _told(self, node: Node) -> list[Weight]:
        hop = self.hops[node]
        start, until = self.spans[node.span]
        via = self.via[node]
        if via:
            found, unit = integers(self.ends[node]), f"{hop.unit}, on by {', '.join(sorted(via))}"
        elif hop.total > MOST:
            parts = {o: Fraction(p) for o, p in hop.parts.items()}
            found, unit = largest_remainder(parts, MOST), hop.unit
        else:
            found, unit = dict(hop.parts), hop.unit
        name = self.blocks[node.block].name
        where = (name, start, until, node.currency, node.pool, node.owner)
        return [Weight(*where, receiver, unit, n) for receiver, n in sorted(found.items()) if n]

    # ---------------------------------------------------------------------------- shares

    def _hop(self, node: Node) -> Hop:
        """Who gets a node's cost by its block, and the reason where nobody does."""
        block = self.blocks[node.block]
        pool = node.pool if block.within == "pool" else None
        key = (node.block, node.currency, pool)
        if key not in self.shares:
            self.shares[key] = self._shares(*key)
        shares, unit = self.shares[key]
        if not shares:
            return Hop({node.owner: 1}, unit, is_kept=True)
        parts: dict[Owner, int] = defaultdict(int)
        dimensions = self._to(node.block)
        for values, part in shares.items():
            given = iter(values)
            feature, tenant, environment = (
                own if values_of is None else next(given)
                for own, values_of in zip(node.owner, dimensions, strict=True)
            )
            parts[feature, tenant, environment] += part
        return Hop(dict(sorted(parts.items())), unit)

    def _to(self, block: int) -> tuple[tuple[str, ...] | None, ...]:
        """By dimension its values, none of them for `*`; None where it stays; all by default."""
        told = self.blocks[block].to.dimensions
        if any(v is not None for v in told):
            return told
        known = self.measured.get(self.blocks[block].driver, ())
        return tuple(
            None if known and all(m.owner[n] is None for m in known) else ()
            for n in range(len(DIMENSIONS))
        )

    def _shares(
        self, number: int, currency: str, pool: str | None
    ) -> tuple[dict[tuple[str, ...], int], str]:
        """Integer weights by receiver, in the dimensions that change hands, and their unit."""
        block = self.blocks[number]
        found, unit = self._split(number, block.split, currency, pool)
        if any(found.values()):
            return {k: n for k, n in sorted(found.items()) if n}, unit
        if block.otherwise == "keep":
            return {}, f"kept, for nobody has {unit}"
        other, instead = self._split(number, block.otherwise, currency, pool)
        if any(other.values()):
            why = f"{instead}, for nobody has {unit}"
            return {k: n for k, n in sorted(other.items()) if n}, why
        return {}, f"kept, for nobody has {unit} or {instead}"

    def _split(
        self, number: int, split: str, currency: str, pool: str | None
    ) -> tuple[dict[tuple[str, ...], int], str]:
        block = self.blocks[number]
        dimensions = self._to(number)
        within = block.within == "pool"
        found: dict[tuple[str, ...], int] = defaultdict(int)
        if split == "fixed":
            scale = lcm(*(Fraction(s).denominator for s in block.shares.values()))
            for key, share in block.shares.items():
                stars = iter(key.strip().lower().split("/"))
                for names in product(
                    *(v or (next(stars).strip(),) for v in dimensions if v is not None)
                ):
                    found[names] += int(share * scale)
            return found, "fixed share"
        if split == "driver":
            for m in self.measured[block.driver]:
                values = self._receiver(number, m.owner)
                if values is None:
                    continue
                if within and m.pool is None and m.owner not in self.in_pool[pool]:
                    continue
                if not within or m.pool is None or m.pool == pool:
                    found[values] += m.quantity
            return found, block.driver
        if split == "even":
            named = [v for v in dimensions if v is not None]
            if all(named):
                return dict.fromkeys(product(*named), 1), "even"
            for owner in self.in_pool[pool] if within else self.owners:
                values = self._receiver(number, owner)
                if values is not None:
                    found[values] = 1
            return found, "even"
        amounts: dict[Owner, Fraction] = defaultdict(Fraction)
        for (of, where), costs in self.cost.items():
            if of == currency and (not within or where == pool):
                for owner, amount in costs.items():
                    amounts[owner] += amount
        # What the block itself takes is no measure of who shall have it.
        for node, amount in self.amounts.items():
            if (node.block, node.currency) == (number, currency) and (
                not within or node.pool == pool
            ):
                amounts[node.owner] -= amount
        sums: dict[tuple[str, ...], Fraction] = defaultdict(Fraction)
        for owner, amount in amounts.items():
            values = self._receiver(number, owner)
            if values is not None:
                sums[values] += amount
        # Who gets more back than they cost bears nothing.
        return {k: max(int(v), 0) for k, v in sums.items()}, "EffectiveCost"

    def _receiver(self, number: int, owner: tuple[str | None, ...]) -> tuple[str, ...] | None:
        """What an owner is in the dimensions that change hands; None if it receives nothing."""
        block = self.blocks[number]
        asked = [
            (UNNAMED if value is None else value, wanted)
            for value, wanted in zip(owner, self._to(number), strict=True)
            if wanted is not None
        ]
        if any(wanted and value not in wanted for value, wanted in asked):
            return None
        stars = [value for value, wanted in asked if not wanted]
        if stars:
            if IDLE in stars or all(v.startswith("(") for v in stars):
                return None
            if any(
                _names(other, owner)
                for n, other in enumerate(self.blocks)
                if (n == number or self.step_of[n] < self.step_of[number])
                and in_force_together(block, other)
            ):
                return None
        return tuple(value for value, _ in asked)


def _steps(blocks: Sequence[SharedCostSection]) -> list[list[int]]:
    """Blocks by step, in the order of the file; those of one `together` are one step."""
    found: dict[tuple[str, str | int], list[int]] = {}
    for n, block in enumerate(blocks):
        key: tuple[str, str | int] = ("together", block.together) if block.together else ("", n)
        found.setdefault(key, []).append(n)
    return list(found.values())


def _names(block: SharedCostSection, owner: tuple[str | None, ...]) -> bool:
    """Whether `where` asks for this owner, whatever else it asks for."""
    asked = [(want, have) for want, have in zip(block.where.owner, owner, strict=True) if want]
    return bool(asked) and all(want == have for want, have in asked)


def _order(node: Node) -> tuple[int, int, str, str, Owner]:
    return (node.block, node.span, node.currency, node.pool or "", node.owner)
