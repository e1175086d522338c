"""From recommendations to pull requests: the smallest edits, and a body a reviewer wants to read.

What belongs here: grouping, editing and wording, all pure: tables and texts in, `Proposal`s out.
Where a proposal goes is `forges/`; how a value is found and replaced is `manifests/`; what is
recommended, and why, is `sql/rightsizing/`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from .config import DIMENSIONS, GitopsSection
from .errors import EditRefused
from .manifests import ALL, Declared, Key, edit
from .manifests.quantities import cpu_like, memory_like, millicores, quantity, whole_bytes
from .money import display, exact, figures, total

if TYPE_CHECKING:
    import polars as pl

MARKER = "<!-- finops-pipeline ids: {} -->"
VALUES = "<!-- finops-pipeline values: {} -->"
LABELS = ("finops",)
SHOWBACK = "finops/showback/"


@dataclass(frozen=True)
class FileEdit:
    """One file of a proposal, before and after. `before` is None for a new or renewed file."""

    path: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Value:
    """A declared value that a proposal changes; `id` is the recommendation it answers."""

    id: str
    key: Key
    old: str
    new: str


@dataclass(frozen=True)
class Proposal:
    """A pull request to be. `base` is the commit it starts from, `ids` what it answers.

    `saving` is EffectiveCost a month, in `currency`; negative where it costs more. `period` is
    the billing period it was computed from.
    """

    repository: str
    base: str
    branch: str
    title: str
    body: str
    edits: tuple[FileEdit, ...]
    labels: tuple[str, ...]
    saving: Decimal
    currency: str
    ids: tuple[str, ...]
    period: str
    values: tuple[Value, ...] = ()

    def proposed(self) -> dict[str, str]:
        """Recommendation -> the value it proposes; empty where it is about no value."""
        return dict.fromkeys(self.ids, "") | {v.id: v.new for v in self.values}


@dataclass(frozen=True)
class Open:
    """A pull request of ours that is open.

    `values` is recommendation -> the value it proposes, empty where that is not known. `is_touched`
    says that somebody committed to it or works on it; `is_stale`, that it cannot be merged as it
    is, or was left half made.
    """

    repository: str
    branch: str
    values: Mapping[str, str]
    is_touched: bool = False
    is_stale: bool = False


@dataclass(frozen=True)
class Kept:
    """An open pull request that stays as it is, to the byte, and why."""

    repository: str
    branch: str
    reason: str


@dataclass(frozen=True)
class Held:
    """A proposal that waits: for others to be merged, or for somebody. Nothing was edited."""

    repository: str
    branch: str
    title: str
    saving: Decimal
    currency: str
    reason: str


@dataclass(frozen=True)
class Refusal:
    """A recommendation that became no edit, and why."""

    id: str
    repository: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """All proposals of a run, the largest savings first, and what stays, waits or was refused."""

    proposals: tuple[Proposal, ...]
    held: tuple[Held, ...]
    refused: tuple[Refusal, ...]
    kept: tuple[Kept, ...] = ()

    def branches(self, repository: str) -> frozenset[str]:
        """Branches that are still recommended, waiting ones included."""
        all_of_them: tuple[Proposal | Held | Kept, ...] = (
            *self.proposals, *self.held, *self.kept,
        )  # fmt: skip
        return frozenset(p.branch for p in all_of_them if p.repository == repository)


_Group = tuple[str, str, str, str]
"""Repository, recommender, overlay, currency: what one pull request is about."""


@dataclass(frozen=True)
class _Change:
    """A recommendation with the value as its author would write it."""

    row: Mapping[str, Any]
    key: Key
    old: str
    new: str


def is_news(proposed: str, known: str) -> bool:
    """Whether a value is worth another review: it differs by more than a tenth of the known one.

    One that is not known is never news.
    """
    if not proposed or not known:
        return False
    try:
        now, then = quantity(proposed), quantity(known)
    except ValueError:
        return proposed != known
    return abs(now - then) * 10 > then


def is_declined(proposed: Mapping[str, str], declined: Mapping[str, Collection[str]]) -> bool:
    """Whether people turned down any of these: recommendation -> value, and the values of then."""
    return any(
        not is_news(value, known) for i, value in proposed.items() for known in declined.get(i, ())
    )


def plan(
    recommendations: pl.DataFrame,
    declared: Mapping[str, Declared],
    max_open: int,
    declined: Mapping[str, Collection[str]] | None = None,
    opened: Mapping[str, Open] | None = None,
) -> Plan:
    """Proposals for the rows of `recommendation` whose outcome is `propose`.

    One per repository, recommender, overlay and currency, so that each is small. `declared` holds
    each repository as read now. `declined` is recommendation -> the values people turned down: what
    is no news beside one of them is left out. `opened` is what is open now, by branch. Of that,
    what somebody works on is left alone and not rivalled; the rest is renewed when a value of it is
    news, or one came or went, and else left alone, too. All that is open counts under `max_open`,
    which is per repository.
    """
    refused: list[Refusal] = []
    there = {b: o for b, o in (opened or {}).items() if not b.startswith(SHOWBACK)}
    touched = [o for _, o in sorted(there.items()) if o.is_touched]
    values = {name: found.values() for name, found in declared.items()}
    groups: dict[_Group, list[_Change]] = {}
    for row in recommendations.sort("x_RecommendationId").iter_rows(named=True):
        if row["x_Outcome"] != "propose":
            continue
        identity, repository = row["x_RecommendationId"], row["x_Repository"] or ""
        change = _change(row, values.get(repository))
        if isinstance(change, str):
            refused.append(Refusal(identity, repository, change))
            continue
        group = (
            repository, row["x_Recommender"], row["x_Overlay"], row["BillingCurrency"] or "",
        )  # fmt: skip
        theirs = [o.branch for o in touched if identity in o.values]
        if theirs and _branch(group) not in theirs:
            reason = f"somebody has committed to {theirs[0]}, which is about the same value"
            refused.append(Refusal(identity, repository, reason))
        elif is_declined({identity: change.new}, declined or {}):
            refused.append(Refusal(identity, repository, "it was declined before"))
        else:
            groups.setdefault(group, []).append(change)
    names = {_branch(group) for group in groups}
    others = [o for o in touched if o.branch not in names]
    ranked = sorted(
        ((_branch(group), group, changes) for group, changes in groups.items()),
        key=lambda ranking: (
            ranking[1][0],
            ranking[0] not in there,
            -_saving(ranking[2]),
            ranking[0],
        ),
    )
    proposals: list[Proposal] = []
    held: list[Held] = []
    kept: list[Kept] = []
    taken = Counter(o.repository for o in others)
    for branch, group, changes in ranked:
        repository, recommender, overlay, currency = group
        mine = there.get(branch)
        if mine is not None and mine.is_touched:
            reason = "somebody has committed to it or works on it, so it is left alone"
            kept.append(Kept(repository, branch, reason))
            taken[repository] += 1
            continue
        if mine is None:
            # Another branch of the overlay: of an older version, or of another currency.
            theirs = [
                o.branch for o in others
                if o.repository == repository and o.branch.startswith(_stem(group))
            ]  # fmt: skip
            reason = ""
            if theirs:
                reason = f"somebody has committed to {theirs[0]}, which is about the same overlay"
            elif taken[repository] >= max_open:
                reason = f"{taken[repository]} are open in {repository}; max_open allows no more"
            if reason:
                saving = _saving(changes)
                title = _title(recommender, overlay, changes, currency)
                held.append(Held(repository, branch, title, saving, currency, reason))
                continue
        proposal = _proposal(branch, group, changes, declared[repository], refused)
        if proposal is None:
            continue
        taken[repository] += 1
        if mine is None or mine.is_stale or _is_other(proposal.proposed(), mine.values):
            proposals.append(proposal)
        else:
            reason = "what it proposes differs by no more than a tenth, so it is left alone"
            kept.append(Kept(repository, branch, reason))
    proposals.sort(key=lambda p: (-p.saving, p.repository, p.branch))
    held.sort(key=lambda h: (-h.saving, h.repository, h.branch))
    kept.sort(key=lambda k: (k.repository, k.branch))
    return Plan(tuple(proposals), tuple(held), tuple(refused), tuple(kept))


def _is_other(proposed: Mapping[str, str], there: Mapping[str, str]) -> bool:
    """Whether an open pull request is to be renewed: a value is news, or one came or went."""
    return proposed.keys() != there.keys() or any(is_news(v, there[i]) for i, v in proposed.items())


def _change(row: Mapping[str, Any], values: Mapping[Key, str] | None) -> _Change | str:
    """The change a row asks for, or why there is none."""
    if values is None:
        return f"no [[gitops]] block is called {row['x_Repository']!r}"
    key = Key(
        row["x_Repository"], row["x_Overlay"], row["x_Namespace"], row["x_WorkloadKind"],
        row["x_Workload"], row["x_Container"], row["x_Field"],
    )  # fmt: skip
    now = values.get(key)
    if now is None:
        return f"{_name(row)}: {row['x_Field']} is no longer declared where it could be edited"
    if now != row["x_Current"]:
        return f"{_name(row)}: Git says {now} now, the answer was for {row['x_Current']}"
    wanted, field = row["x_Proposed"], row["x_Field"]
    if field.endswith(".cpu"):
        new = cpu_like(millicores(wanted), now)
    elif field.endswith(".memory"):
        new = memory_like(whole_bytes(wanted), now)
    else:
        new = wanted
    return _Change(row, key, now, new)


def _proposal(
    branch: str,
    group: _Group,
    changes: list[_Change],
    declared: Declared,
    refused: list[Refusal],
) -> Proposal | None:
    """Edit the values and read the repository again.

    An edit that changes any other declared value, in any overlay, is refused.
    """
    repository, recommender, overlay, currency = group
    ordered = sorted(changes, key=lambda c: c.key)
    try:
        after, done = _all_at_once(ordered, declared), ordered
    except EditRefused:  # find out which, and keep the others
        after, done = declared, []
        for change in ordered:
            try:
                after = _one(change, after)
                done.append(change)
            except EditRefused as error:
                refused.append(Refusal(change.row["x_RecommendationId"], repository, str(error)))
    if not done:
        return None
    where = {c.key: after.places[c.key] for c in done}
    paths = sorted({place.path for place in where.values()})
    edits = tuple(FileEdit(p, declared.files[p], after.files[p]) for p in paths)
    found = [Value(c.row["x_RecommendationId"], c.key, c.old, c.new) for c in done]
    told = tuple(sorted(found, key=lambda v: v.id))
    body = _body(recommender, overlay, done, where, currency, told, declared)
    return Proposal(
        repository=repository,
        base=declared.commit or "",
        branch=branch,
        title=_title(recommender, overlay, done, currency),
        body=body,
        edits=edits,
        labels=(*LABELS, recommender),
        saving=_saving(done),
        currency=currency,
        ids=tuple(v.id for v in told),
        period=done[0].row["BillingPeriod"],
        values=told,
    )


_COLUMN = {
    "resources.requests.cpu": "x_CpuRequestMillicores",
    "resources.requests.memory": "x_MemoryRequestBytes",
    "resources.limits.cpu": "x_CpuLimitMillicores",
    "resources.limits.memory": "x_MemoryLimitBytes",
    "spec.replicas": "x_Replicas",
}
"""The column of `declared_workload` that a field is told in."""


def _all_at_once(changes: Sequence[_Change], before: Declared) -> Declared:
    """Replace values that are written, from the end of each file to its start.

    A value that is to be added may need what the one before it added: those go one by one.
    """
    if any(not before.places[c.key].raw for c in changes):
        for change in changes:
            before = _one(change, before)
        return before
    texts: dict[str, str] = {}
    for change in sorted(changes, key=lambda c: -before.places[c.key].start):
        place = before.places[change.key]
        texts[place.path] = edit(texts.get(place.path, before.files[place.path]), place, change.new)
    after = before.changed(texts)
    _check_only(changes, before, after)
    return after


def _one(change: _Change, before: Declared) -> Declared:
    """Edit one value."""
    place = before.places.get(change.key)
    if place is None:
        raise EditRefused(f"{_name(change.row)}: {change.key.field} is not declared any more")
    after = before.changed({place.path: edit(before.files[place.path], place, change.new)})
    _check_only([change], before, after)
    return after


def _check_only(changes: Sequence[_Change], before: Declared, after: Declared) -> None:
    """Raise `EditRefused` unless exactly these values changed, each in its overlay alone."""
    name = _name(changes[0].row)
    was, now = before.containers(), after.containers()
    if was.keys() != now.keys() or len(before.problems) != len(after.problems):
        raise EditRefused(f"{name}: the edit would change more than a value; make it by hand")
    meant = {(*c.key[:6], _COLUMN.get(c.key.field)) for c in changes}
    for at, row in was.items():
        for column, value in row.items():
            ours = (*at, column) in meant or (*at[:5], ALL, column) in meant
            if value != now[at][column] and not ours:
                raise EditRefused(
                    f"{name}: the edit would also change {column} of {at[3]} {at[2]}/{at[4]} in "
                    f"{at[1]}"
                )
    values = after.values()
    for change in changes:
        if values.get(change.key) != change.new:
            raise EditRefused(
                f"{_name(change.row)}: the edit did not read back as {change.new}; make it by hand"
            )


# ---------------------------------------------------------------------------------- words
def _name(row: Mapping[str, Any]) -> str:
    return f"{row['x_WorkloadKind']} {row['x_Namespace']}/{row['x_Workload']}"


def _saving(changes: Iterable[_Change]) -> Decimal:
    return total(c.row["x_MonthlySaving"] for c in changes)


def _branch(group: _Group) -> str:
    """`finops/<recommender>/<overlay>-<hash>`: what it is about, whatever is proposed."""
    return _stem(group) + hashlib.sha256(json.dumps(group).encode()).hexdigest()[:10]


def _stem(group: _Group) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", group[2].lower()).strip("-")[:60].strip("-") or "root"
    return f"finops/{group[1]}/{slug}-"


def _told(values: Iterable[Value]) -> str:
    """What is proposed, for those who read a body by machine: `proposed_in` is its inverse."""
    return VALUES.format(" ".join(f"{v.id}={quote(v.new, safe='')}" for v in values))


def proposed_in(body: str) -> dict[str, str]:
    """Recommendation -> value of a body; empty where it does not say."""
    ids, values = (
        re.search(re.escape(marker).replace(r"\{\}", "([^>]*?)"), body)
        for marker in (MARKER, VALUES)
    )
    pairs = (pair.partition("=") for pair in (values[1].split() if values else ()))
    found = {name: unquote(value) for name, _, value in pairs}
    return {i: found.get(i, "") for i in (ids[1].split() if ids else ())}


def _title(recommender: str, overlay: str, changes: Sequence[_Change], currency: str) -> str:
    saving, many = _saving(changes), len(changes)
    if recommender == "idle_resources":
        what = f"Stop {many} idle workload{'s' if many > 1 else ''}"
    else:
        what = f"Right-size {many} request{'s' if many > 1 else ''}"
    return f"{what} in {overlay}{_effect(saving, currency)}"


def _effect(saving: Decimal, currency: str) -> str:
    if not currency or not saving:
        return ""
    if saving > 0:
        return f": saves {display(saving, currency)} a month"
    return f": costs {display(-saving, currency)} more a month"


def _body(
    recommender: str,
    overlay: str,
    changes: Sequence[_Change],
    where: Mapping[Key, Any],
    currency: str,
    values: Sequence[Value],
    declared: Declared,
) -> str:
    """The text of the pull request, as Markdown."""
    period, saving = changes[0].row["BillingPeriod"], _saving(changes)
    what = f"These {len(changes)} changes" if len(changes) > 1 else "This change"
    commit = (declared.commit or "unknown")[:12]
    clusters = sorted({c.row["x_Cluster"] for c in changes if c.row["x_Cluster"]})
    measured = ", ".join([period, *(f"cluster `{c}`" for c in clusters)])
    ordered = sorted(changes, key=lambda c: (-c.row["x_MonthlySaving"], c.key))
    money = figures([c.row["x_MonthlySaving"] for c in ordered], currency) if currency else []
    why = [
        f"- {_cell(_name(c.row))}, `{c.key.field}`: {_cell(c.row['x_Reason'])}." for c in ordered
    ]
    return _paragraphs(
        f"{what} in `{overlay}` {_summary(saving, currency)} Measured in {measured}; Git as of "
        f"commit `{commit}`.",
        "\n".join(_table(recommender, ordered, where, money, currency)),
        "**Why**",
        "\n".join(why),
        "**What was checked**",
        "\n".join(_checked(recommender, changes)),
        f"**How it was computed**: by `sql/rightsizing/{recommender}.sql`, whose header says how, "
        f"with the thresholds of `[rightsizing.{recommender}]` in `finops.toml`.",
        "**To roll back**: revert the merge commit; nothing else was changed.",
        "**To decline**: close this pull request, or delete its branch. It will not come back "
        "while Git declares the present values, unless another value is recommended by more than a "
        "tenth.",
        MARKER.format(" ".join(v.id for v in values)),
        _told(values),
    )


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text) + "\n"


def _summary(saving: Decimal, currency: str) -> str:
    if not currency or not saving:
        return "has no saving that could be stated."
    if saving > 0:
        return f"would save **{display(saving, currency)} a month**, on paper."
    return f"would cost **{display(-saving, currency)} more a month**, for safety."


def _table(
    recommender: str,
    changes: Sequence[_Change],
    where: Mapping[Key, Any],
    money: Sequence[str],
    currency: str,
) -> list[str]:
    """The evidence, one line per edit."""
    idle = recommender == "idle_resources"
    ranks = sorted({_text(_evidence(c).get("percentile_rank")) for c in changes})
    measured = (
        ["hours", "inference calls", "busiest GPU hour"]
        if idle
        else ["p50", f"p{ranks[0]}", "max", "hours", "throttled", "OOM kills"]
    )
    saved = f"saving {currency} a month" if currency else "saving"
    head = ["workload", "container", "field", "now", "proposed", *measured, saved, "where"]
    rows = [head, ["---"] * len(head)]
    for number, change in enumerate(changes):
        e, key, place = _evidence(change), change.key, where[change.key]
        row = [f"{key.namespace}/{key.workload}", key.container, f"`{key.field}`"]
        row += [f"`{change.old}`", f"`{change.new}`"]
        if idle:
            row += [_text(e.get("hours")), _text(e.get("calls"))]
            row += [_permille(e.get("busiest_hour_permille"))]
        else:
            row += [_amount(e.get(k), e) for k in ("p50", "percentile", "max")]
            row += [_text(e.get("hours")), _permille(e.get("throttled_permille"))]
            row += [_text(e.get("oom_kills"))]
        row += [money[number] if money else "not known", f"`{place.path}:{place.line}`"]
        rows.append(row)
    return ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]


def _checked(recommender: str, changes: Sequence[_Change]) -> list[str]:
    evidence = [_evidence(c) for c in changes]
    spans = sorted({(e.get("from") or "?", e.get("to") or "?") for e in evidence})
    hours = min((e.get("hours") or 0 for e in evidence), default=0)
    first, last = spans[0][0], spans[-1][1]
    both = (
        f"Every value was measured for at least {hours} hours, from {first} to {last}.",
        (
            "Only these values change: the repository was read again after each edit, and every "
            "other declared value of every overlay was the same."
        ),
        "Each workload is declared and measured once under its name, in one cluster.",
    )
    requests = (
        "No autoscaler sets these requests or scales on them.",
        (
            "CPU is not lowered where it was throttled, memory not where a container was killed "
            "for it, and no request exceeds its limit."
        ),
    )
    idle = (
        "Both witnesses agree: no inference call in the logs, no busy GPU in any hour.",
        "No autoscaler sets these replicas.",
    )
    return [f"- {s}" for s in (*both, *(idle if recommender == "idle_resources" else requests))]


def _evidence(change: _Change) -> dict[str, Any]:
    return dict(json.loads(change.row["x_Evidence"]))


def _amount(value: int | None, evidence: Mapping[str, Any]) -> str:
    if value is None:
        return "not measured"
    return f"{value}m" if evidence.get("unit") == "millicores" else f"{-(-value // 2**20)}Mi"


def _permille(value: int | None) -> str:
    return "not measured" if value is None else f"{value // 10}.{value % 10} %"


def _text(value: object) -> str:
    return "not measured" if value is None else str(value)


def _cell(text: str) -> str:
    """Text that cannot break out of a table cell, or be read as HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# -------------------------------------------------------------------------------- showback
def showback_proposal(
    period: str,
    showback: pl.DataFrame,
    coverage: pl.DataFrame,
    unit_cost: pl.DataFrame,
    block: GitopsSection,
    base: str,
) -> Proposal:
    """The closed period, published: Markdown for people and a CSV, under `showback_path`.

    The frames are the tables of the same names for that period. One branch a period; a restated
    period gives the same branch with other content.
    """
    folder = f"{block.showback_path.strip('/')}/{period}"
    texts = {"showback.csv": _csv(showback)}
    for dimension in DIMENSIONS:
        column = f"x_{dimension.capitalize()}"
        texts[f"showback-by-{dimension}.md"] = _by(period, dimension, column, showback)
    texts["README.md"] = _readme(period, showback, coverage, unit_cost)
    edits = tuple(FileEdit(f"{folder}/{n}", None, t) for n, t in sorted(texts.items()))
    sums = _sums(showback, [])
    spent = " and ".join(display(amount, currency) for (currency,), amount in sums)
    body = _paragraphs(
        f"What each feature, tenant and environment cost in {period}: {spent or 'nothing'} of "
        "EffectiveCost, `(unallocated)`, `(idle)` and `(overhead)` included, so that every table "
        "adds up to the bill.",
        "\n".join(_coverage_lines(coverage)),
        f"The files are in `{folder}`, computed by `sql/showback/showback.sql`. When the provider "
        "restates the period this branch is renewed, unless somebody has committed to it.",
        "**To decline**: close this pull request, or delete its branch; the period will not be "
        "proposed again.",
        MARKER.format(f"showback/{period}"),
    )
    return Proposal(
        repository=block.name,
        base=base,
        branch=f"{SHOWBACK}{period}",
        title=f"Showback {period}" + (f": {spent}" if spent else ""),
        body=body,
        edits=edits,
        labels=(*LABELS, "showback"),
        saving=Decimal(0),
        currency="",
        ids=(f"showback/{period}",),
        period=period,
    )


def _sums(frame: pl.DataFrame, keys: list[str]) -> list[tuple[tuple[str, ...], Decimal]]:
    """((currency, *keys), EffectiveCost), the largest first within a currency."""
    amounts: dict[tuple[str, ...], list[Decimal]] = {}
    for *key, cost in frame.select("BillingCurrency", *keys, "EffectiveCost").iter_rows():
        amounts.setdefault(tuple(key), []).append(cost)
    summed = [(key, total(costs)) for key, costs in amounts.items()]
    return sorted(summed, key=lambda pair: (pair[0][0], -pair[1], pair[0]))


def _by(period: str, dimension: str, column: str, showback: pl.DataFrame) -> str:
    lines = [f"# Showback by {dimension}, {period}", ""]
    sums = _sums(showback, [column])
    for currency in sorted({key[0] for key, _ in sums}):
        rows = [(key[1], amount) for key, amount in sums if key[0] == currency]
        shown = figures([amount for _, amount in rows], currency)
        lines += [f"| {dimension} | EffectiveCost, {currency} |", "| --- | ---: |"]
        lines += [f"| {_cell(name)} | {f} |" for (name, _), f in zip(rows, shown, strict=True)]
        whole = total(amount for _, amount in rows)
        lines += [f"| **total** | **{display(whole, currency)}** |", ""]
    return "\n".join(lines)


def _readme(
    period: str, showback: pl.DataFrame, coverage: pl.DataFrame, unit_cost: pl.DataFrame
) -> str:
    lines = [f"# Showback {period}", ""]
    for (currency,), amount in _sums(showback, []):
        lines += [f"EffectiveCost: **{display(amount, currency)}**", ""]
    lines += [*_coverage_lines(coverage), ""]
    lines += [f"- [by {d}](showback-by-{d}.md)" for d in DIMENSIONS]
    lines += ["- [all of it, exactly](showback.csv)", ""]
    calls: dict[tuple[str, str], list[tuple[int, Decimal]]] = {}
    for currency, model, served, cost in unit_cost.select(
        "BillingCurrency", "x_Model", "x_Calls", "EffectiveCost"
    ).iter_rows():
        calls.setdefault((currency, model), []).append((served, cost))
    if calls:
        lines += ["| model | calls | EffectiveCost |", "| --- | ---: | ---: |"]
        for (currency, model), rows in sorted(calls.items()):
            cost = display(total(c for _, c in rows), currency)
            lines.append(f"| {_cell(model)} | {sum(n for n, _ in rows):,} | {cost} |")
        lines.append("")
    return "\n".join(lines)


def _coverage_lines(coverage: pl.DataFrame) -> list[str]:
    """A table whose rows add up to the bill, as they are shown."""
    parts = ["x_AllocatedCost", "x_IdleCost", "x_UnallocatedCost"]
    wanted = ["BillingCurrency", "x_Dimension", "x_CoveragePermille", *parts]
    rows = sorted(coverage.select(wanted).iter_rows())
    if not rows:
        return []
    lines = [
        "| dimension | has an owner | cost | idle, overhead | has no owner | all |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for currency, dimension, permille, *amounts in rows:
        shown = [*figures(amounts, currency), display(total(amounts), currency)]
        lines.append(f"| {dimension} | {_permille(permille)} | {' | '.join(shown)} |")
    return lines


def _csv(showback: pl.DataFrame) -> str:
    """EffectiveCost and BilledCost of the period, exact, by everything but day and invoice."""
    keys = ["BillingPeriod", "BillingCurrency", "ProviderName", "ServiceCategory", "ServiceName",
            "x_Feature", "x_Tenant", "x_Environment", "x_Model", "x_AllocationMethod"]  # fmt: skip
    costs: dict[tuple[str, ...], list[tuple[Decimal, Decimal]]] = {}
    columns = [*keys, "BilledCost", "EffectiveCost"]
    for *key, billed, effective in showback.select(columns).iter_rows():
        costs.setdefault(tuple(key), []).append((billed, effective))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for group in sorted(costs):
        both = [total(pair[i] for pair in costs[group]) for i in (0, 1)]
        writer.writerow([*group, *(exact(cost, group[1]).replace(",", "") for cost in both)])
    return out.getvalue()
