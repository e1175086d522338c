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
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import pairwise, product
from math import gcd, lcm
from typing import cast

from .config import DIMENSIONS, SharedCostSection, in_force_together
from .errors import ConfigError

Owner = tuple[str, str, str]
"""Feature, tenant and environment."""

Whose = tuple[str | None, str | None, str | None]
"""An owner; None, which is no name, where it may be any."""

MOST = 10**18
"""Weights of a source sum to this at most: apportion() wants no more."""

UNNAMED, IDLE = "(unallocated)", "(idle)"

ANY_POOL = "*"
"""No pool is called so: names begin with what the pool is of. Null is cost that is in none."""


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
    """The part of a source that a receiver bears in the end, out of the sum of its weights.

    Where the weights are the same whatever they are, the pool is `ANY_POOL` and a name of the
    source None; cost that is kept has its whole owner, who is the receiver too.
    """

    name: str
    start: date
    until: date
    currency: str
    pool: str | None
    source: Whose
    receiver: Owner
    unit: str
    weight: int


@dataclass(frozen=True)
class Node:
    """Cost that a block (its place in the file) hands on: of an owner, in days of one rule book.

    What reaches a block is an entry, of a whole owner; entries whose cost goes the same way, for
    they differ only in what changes hands, are one node, with None in its place.
    """

    block: int
    span: int
    currency: str
    pool: str | None
    owner: Whose

    @property
    def whole(self) -> Owner:
        """The owner, where all of it is known: of entries, and in what does not change hands."""
        return cast("Owner", self.owner)


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
        self.node_of: dict[Node, Node] = {}
        self.hops: dict[Node, Hop] = {}
        self.onward: dict[Node, dict[Owner, Node]] = {}
        self.ends: dict[Node, dict[Owner, Fraction]] = {}
        self.via: dict[Node, frozenset[int]] = {}
        self.shares: dict[tuple[int, str, str | None], tuple[dict[tuple[str, ...], int], str]] = {}

    def run(self, taken: list[Taken]) -> list[Weight]:
        for t in taken:
            span = next(n for n, (a, b) in enumerate(self.spans) if a <= t.day < b)
            block = next(b for b in self._in_force(span) if self.blocks[b].name == t.name)
            self.amounts[Node(block, span, t.currency, t.pool, t.owner)] += t.units
        sources = list(self.amounts)
        for number in range(len(self.steps)):
            self._forward(number)
        for number in reversed(range(len(self.steps))):
            self._backward(number)
        told = {self._whatever_pool(self.node_of[s]): self.node_of[s] for s in sources}
        return [w for named in sorted(told, key=_order) for w in self._told(named, told[named])]

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
        return replace(node, block=later[0][1], owner=receiver) if later else None

    def _node(self, entry: Node) -> Node:
        """The node of an entry, in the step that takes it."""
        if entry not in self.node_of:
            shares, _ = self._shares_of(entry)
            feature, tenant, environment = (
                own if values is None else None
                for own, values in zip(entry.owner, self._to(entry.block), strict=True)
            )
            whatever = replace(entry, owner=(feature, tenant, environment))
            self.node_of[entry] = whatever if shares else entry
        return self.node_of[entry]

    def _is_in(self, node: Node, number: int) -> bool:
        return self.step_of[node.block] == number

    def _nodes(self, number: int) -> list[Node]:
        return sorted((n for n in self.hops if self._is_in(n, number)), key=_order)

    def _forward(self, number: int) -> None:
        """One step: find where its nodes' cost goes, and move the amounts of the month there."""
        entries = [e for e in self.amounts if self._is_in(e, number)]
        begun: dict[Node, Fraction] = defaultdict(Fraction)
        for entry in entries:
            begun[self._node(entry)] += self.amounts[entry]
        waiting = list(begun)
        while waiting:
            node = waiting.pop()
            if node in self.hops:
                continue
            hop = self.hops[node] = self._hop(node)
            found = {} if hop.is_kept else {r: self._next(node, r) for r in hop.parts}
            self.onward[node] = {r: e for r, e in found.items() if e is not None}
            waiting += [self._node(e) for e in self.onward[node].values() if self._is_in(e, number)]
        passed: dict[Node, Fraction] = defaultdict(Fraction)
        for node, through in self._solved(self._nodes(number)).items():
            for inner, part in through.items():
                passed[inner] += begun[node] * part
        for entry in entries:
            self.cost[entry.currency, entry.pool][entry.whole] -= self.amounts[entry]
        for node, amount in passed.items():
            costs, hop = self.cost[node.currency, node.pool], self.hops[node]
            for receiver, weight in hop.parts.items():
                following = self.onward[node].get(receiver)
                if following is not None and self._is_in(following, number):
                    continue
                costs[receiver] += amount * weight / hop.total
                if following is not None:
                    self.amounts[following] += amount * weight / hop.total
        self.shares.clear()

    def _solved(self, nodes: list[Node]) -> dict[Node, dict[Node, Fraction]]:
        """What passes through each node of a step, for each that begins in it."""
        inner: dict[Node, dict[Node, Fraction]] = {}
        for node in nodes:
            inner[node] = defaultdict(Fraction)
            hop = self.hops[node]
            for receiver, following in self.onward[node].items():
                if self._is_in(following, self.step_of[node.block]):
                    inner[node][self.node_of[following]] += Fraction(hop.parts[receiver], hop.total)
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
        way = " -> ".join(self.blocks[n.block].name for n in round_)
        return (
            f"[[shared_cost]]: this loop has no solution, what comes in only goes round: {way}. "
            "Give one of its blocks a receiver outside of it"
        )

    def _backward(self, number: int) -> None:
        """Where the cost of each node of a step ends, once the steps after it are known."""
        nodes = self._nodes(number)
        through = self._solved(nodes)
        direct: dict[Node, dict[Owner, Fraction]] = {}
        via: dict[Node, frozenset[int]] = {}
        for node in nodes:
            hop = self.hops[node]
            ends: dict[Owner, Fraction] = defaultdict(Fraction)
            rests: dict[Node, Fraction] = defaultdict(Fraction)
            for receiver, weight in hop.parts.items():
                following = self.onward[node].get(receiver)
                if following is None:
                    ends[receiver] += Fraction(weight, hop.total)
                else:
                    rests[self.node_of[following]] += Fraction(weight, hop.total)
            via[node] = frozenset(n.block for n in rests)
            for onward, part in rests.items():
                if not self._is_in(onward, number):
                    via[node] |= self.via[onward]
                    for last, rest in self.ends[onward].items():
                        ends[last] += part * rest
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

    def _whatever_pool(self, node: Node) -> Node:
        """The node, with `ANY_POOL` where no block that its cost comes by looks at pools."""
        by = {node.block, *self.via[node]}
        looked_at = any(self.blocks[b].within == "pool" for b in by)
        return node if looked_at else replace(node, pool=ANY_POOL)

    def _told(self, named: Node, node: Node) -> list[Weight]:
        hop = self.hops[node]
        unit = hop.unit
        if self.via[node]:
            found = integers(self.ends[node])
            unit += f", on by {', '.join(sorted({self.blocks[b].name for b in self.via[node]}))}"
        elif hop.total > MOST:
            found = largest_remainder({o: Fraction(p) for o, p in hop.parts.items()}, MOST)
        else:
            found = dict(hop.parts)
        start, until = self.spans[node.span]
        where = (self.blocks[node.block].name, start, until, named.currency, named.pool)
        return [
            Weight(*where, named.owner, receiver, unit, n)
            for receiver, n in sorted(found.items())
            if n
        ]

    # ---------------------------------------------------------------------------- shares

    def _shares_of(self, node: Node) -> tuple[dict[tuple[str, ...], int], str]:
        """What `_shares` says of a node; it is asked once a step."""
        pool = node.pool if self.blocks[node.block].within == "pool" else None
        key = (node.block, node.currency, pool)
        if key not in self.shares:
            self.shares[key] = self._shares(*key)
        return self.shares[key]

    def _hop(self, node: Node) -> Hop:
        """Who gets a node's cost by its block, and the reason where nobody does."""
        shares, unit = self._shares_of(node)
        if not shares:
            return Hop({node.whole: 1}, unit, is_kept=True)
        parts: dict[Owner, int] = defaultdict(int)
        dimensions = self._to(node.block)
        for names, part in shares.items():
            given = iter(names)
            feature, tenant, environment = (
                own if values is None else next(given)
                for own, values in zip(node.whole, dimensions, strict=True)
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
                amounts[node.whole] -= amount
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


def _order(node: Node) -> tuple[int, int, str, str, tuple[str, ...]]:
    owner = tuple(name or "" for name in node.owner)
    return (node.block, node.span, node.currency, node.pool or "", owner)
