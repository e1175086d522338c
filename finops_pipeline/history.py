"""What was published, when, and what has changed since.

What belongs here: the stamp of a generation, the memory of closed bills, which generations are
kept, and the questions that look back: `finops showback --as-of`, `finops diff`. What a bill's
state is, and what counts as a change, is decided in `sql/history/`; how a generation is put in
place, in `warehouse.py`.

    <home>/generations/000007/_generation.json

        number, published_at    which generation it is, and the time (UTC) it was published
        totals                  what was published of each bill; of a closed one, all of it
        states                  where each bill stands: the table period_state
        showbacks               of closed periods whose showback has changed, what it became
        rates                   the exchange rates that closed bills keep
        changes_at              when the next of them changes by time alone

Totals and showbacks are handed on from generation to generation. They are the only thing here that
is not made from the inputs: that a bill was closed with another total is nowhere else.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from . import contracts, money, queries
from .ask import as_csv, as_table
from .bindings import SmallTable
from .config import DIMENSIONS, BillingSection, Config, WarehouseSection
from .currency import rates_of_days, refuse_missing, wanted
from .dialect import dialect
from .errors import CheckFailed, ConfigError, Unavailable
from .periods import after, first_day
from .warehouse import STAMP, State, Warehouse, bind_rows, connect, identifier, literal

KEY = ("BillingPeriod", "x_Source", "BillingCurrency")
MEASURES = (
    "BilledCost",
    "EffectiveCost",
    "x_ChargeRows",
    "x_OpenRows",
    "x_TagChecksum",
    "x_ChargeChecksum",
    "x_HashMark",
    "BillingPeriodStatus",
)
COSTS = ("Billed", "Effective")
ELSEWHERE = "(other months)"
"""What sql/history/local_day.sql calls the days that are not of the period."""
HASHED = ("x_ChargeChecksum", "x_HashMark")
"""Measures that only compare where the second is the same."""
PUBLISHED_TOTAL = {
    "BillingPeriod": "VARCHAR",
    "x_Source": "VARCHAR",
    "BillingCurrency": "VARCHAR",
    "x_Generation": "BIGINT",
    "x_PublishedAt": "TIMESTAMP",
    "BilledCost": "DECIMAL(38,12)",
    "EffectiveCost": "DECIMAL(38,12)",
    "x_ChargeRows": "BIGINT",
    "x_OpenRows": "BIGINT",
    "x_TagChecksum": "DECIMAL(38,0)",
    "x_ChargeChecksum": "DECIMAL(38,0)",
    "x_HashMark": "VARCHAR",
    "BillingPeriodStatus": "VARCHAR",
}
PERIOD_STATE_DOC = (
    "Where each bill stands: one row per period, source and currency. Written when the database "
    "is published; sql/history/period_state.sql has the rules."
)
PERIOD_STATE = {
    "BillingPeriod": ("VARCHAR", "Month of the bill."),
    "x_Source": ("VARCHAR", "The `[[billing]]` block it came by."),
    "BillingCurrency": ("VARCHAR", "Currency of the bill."),
    "x_State": ("VARCHAR", "open, provisional, closed, or corrected after it was closed."),
    "BillingPeriodStatus": (
        "VARCHAR",
        "What the provider itself says: Open, or Closed; null where it says nothing.",
    ),
    "BilledCost": ("DECIMAL(38,12)", "The bill as it is now, quarantined rows included."),
    "EffectiveCost": ("DECIMAL(38,12)", "The same, amortised."),
    "x_ChargeRows": ("BIGINT", "Rows of the bill, quarantined ones included."),
    "x_Generation": ("BIGINT", "Generation this total first came with."),
    "x_PublishedAt": ("TIMESTAMP", "When that was published, UTC."),
    "x_ClosedAt": ("TIMESTAMP", "When the bill was closed, UTC; null while it is not."),
    "x_ClosedGeneration": ("BIGINT", "Generation that has the bill as it was closed."),
    "x_BilledClosed": ("DECIMAL(38,12)", "BilledCost it was closed with."),
    "x_EffectiveClosed": ("DECIMAL(38,12)", "EffectiveCost it was closed with."),
    "x_BilledCorrection": ("DECIMAL(38,12)", "BilledCost now, less what it was closed with."),
    "x_EffectiveCorrection": ("DECIMAL(38,12)", "EffectiveCost now, less what it was closed with."),
}
CHANGED_SHOWBACK = {
    "BillingPeriod": "VARCHAR",
    "BillingCurrency": "VARCHAR",
    "x_ClosedGeneration": "BIGINT",
    "x_Generation": "BIGINT",
    "x_Owners": "BIGINT",
    "EffectiveCost": "DECIMAL(38,12)",
    "x_Moved": "VARCHAR",
}
CLOSED_KINDS = ("closed_period_changed", "closed_showback_changed")
"""Findings that come from this memory, with the database; each is a file in sql/history."""
Key = tuple[str, str, str]
Total = dict[str, Any]


def now() -> datetime:
    """The time of a publication."""
    return datetime.now(UTC)


# ------------------------------------------------------------------------------- generations


@dataclass(frozen=True, order=True)
class Generation:
    """One published state of all tables; `published_at` is UTC."""

    number: int
    published_at: datetime
    path: Path

    def __str__(self) -> str:
        return f"generation {self.number}, published {self.published_at:%Y-%m-%d %H:%M:%S} UTC"


def generations(home: Path) -> list[Generation]:
    """All that are kept, oldest first."""
    folder = home / "generations"
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    current = home / "current"
    newest = int(current.resolve().name) if current.is_symlink() else 0
    return [Generation(int(p.name), _published_at(p), p) for p in paths if int(p.name) <= newest]


def find(home: Path, asked: str | None = None) -> Generation:
    """The generation that `asked` means; the newest when nothing is asked.

    A number is that generation; a day or a time (UTC unless it has an offset) is the generation
    that was current at the end of the day, or at the time. Raises `ConfigError` when there was
    none yet, or the number is not kept.
    """
    kept = generations(home)
    if not kept:
        raise ConfigError(f"{home} has nothing published yet; `finops run` publishes")
    if asked is None:
        return kept[-1]
    if asked.isdigit() and len(asked) <= 6:
        for generation in kept:
            if generation.number == int(asked):
                return generation
        raise ConfigError(
            f"generation {int(asked)} is not kept; the oldest is {kept[0].number}, "
            f"the newest {kept[-1].number}"
        )
    until = _instant(asked)
    older = [g for g in kept if g.published_at <= until]
    if not older:
        raise ConfigError(f"nothing kept is as old as {asked}; the oldest is {kept[0]}")
    return older[-1]


def _instant(asked: str) -> datetime:
    """The end of a day, or a time as it is."""
    try:
        if len(asked) <= 10:
            return datetime.combine(date.fromisoformat(asked), time.max, UTC)
        given = datetime.fromisoformat(asked)
    except ValueError:
        raise ConfigError(
            f"{asked!r} is no generation, day (YYYY-MM-DD) or time (YYYY-MM-DDTHH:MM:SS)"
        ) from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def _published_at(path: Path) -> datetime:
    stamp = _stamp(path)
    if stamp is None:
        # Published before generations were stamped: its folder was touched then.
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.fromisoformat(stamp["published_at"])


def _stamp(generation: Path | None) -> dict[str, Any] | None:
    if generation is None:
        return None
    try:
        found: dict[str, Any] = json.loads((generation / STAMP).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


# --------------------------------------------------------------------- stamps and bill states


def stamp(warehouse: Warehouse) -> None:
    """Write into the working generation when it is published and where each bill stands.

    Does nothing when no table changed and no bill has changed its state by time alone.
    """
    at = now()
    current = warehouse.current
    known = _stamp(current)
    due = known is None or (known["changes_at"] is not None and _iso(at) >= known["changes_at"])
    if not due and not warehouse.changed():
        return
    number = 1 if current is None else int(current.name) + 1
    totals: list[Total] = known["totals"] if known is not None else []
    with warehouse.engine() as session:
        rules = warehouse.config.billing
        stood = _states(session, totals, rules, at)
        closed = {_key(state) for state in stood if state["x_ClosedAt"] is not None}
        found = _totals(session, warehouse)
        totals = remember(
            _hashed_anew(session, warehouse, totals, found), found, closed, number, at
        )
        states = _states(session, totals, rules, at)
        kept = known.get("showbacks", []) if known is not None else []
        showbacks = _closed_showbacks(session, warehouse, kept, stood, number)
        rates = _keep_rates(session, warehouse, _kept_rates(current), states, number)
    text = json.dumps(
        {
            "number": number,
            "published_at": _iso(at),
            "totals": totals,
            "states": states,
            "showbacks": showbacks,
            "rates": rates,
            "changes_at": _changes_at(totals, rules, at),
        },
        indent=1,
        sort_keys=True,
    )
    # The stamp there is a link to that of the published generation: replaced, never written to.
    draft = warehouse.work / STAMP
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, warehouse.next / STAMP)


def remember(
    known: Sequence[Total],
    found: Mapping[Key, Total],
    closed: Iterable[Key],
    number: int,
    at: datetime,
) -> list[Total]:
    """The totals with those of a new generation.

    Of a bill that is not closed yet only the newest total is kept; of a closed one each, from the
    one it was closed with. A bill that is gone has become zero. A checksum by another hash says
    nothing; the newer one is kept then.
    """
    memory: dict[Key, list[Total]] = {}
    for total in known:
        memory.setdefault(_key(total), []).append(total)
    nothing: Total = dict.fromkeys(MEASURES, 0) | {"BilledCost": "0", "EffectiveCost": "0"}
    nothing |= {"x_TagChecksum": "0", "x_ChargeChecksum": "0"}
    nothing |= {"x_HashMark": None, "BillingPeriodStatus": None}
    finished = set(closed)
    for key in sorted(memory.keys() | found.keys()):
        mine = memory.setdefault(key, [])
        measured = found.get(key, nothing)
        # A generation of an older version has no BillingPeriodStatus.
        differs = {m for m in MEASURES if mine and mine[-1].get(m) != measured[m]}
        if mine and not (differs - set(HASHED) or differs == {"x_ChargeChecksum"}):
            mine[-1] = mine[-1] | {m: measured[m] for m in differs}
            continue
        if key not in finished:
            mine[-1:] = []
        new = {"x_Generation": number, "x_PublishedAt": _iso(at)}
        mine.append(
            {**dict(zip(KEY, key, strict=True)), **new, **{m: measured[m] for m in MEASURES}}
        )
    return [total for key in sorted(memory) for total in memory[key]]


def _totals(session: duckdb.DuckDBPyConnection, warehouse: Warehouse) -> dict[Key, Total]:
    """What the working generation says of each bill; money as text, exactly."""
    warehouse.bind(session, {"billing_period": warehouse.partitions("billing_period")}, ())
    # A partition of an older version lacks columns.
    there = [warehouse.folder("invoice", p) for p in warehouse.partitions("invoice")]
    _bind(session, "invoice", "invoice", [f for p in there for f in sorted(p.glob("*.parquet"))])
    return _summed(session)


def _summed(session: duckdb.DuckDBPyConnection) -> dict[Key, Total]:
    answer = session.execute(queries.query("history/totals").text)
    found = [_plain(row) for row in _dicts(answer)]
    return {_key(total): total for total in found}


def _hashed_anew(
    session: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    totals: Sequence[Total],
    found: Mapping[Key, Total],
) -> list[Total]:
    """The totals, with checksums by the hash of those that are found now.

    Where the engine hashes otherwise than when a bill was published, or its version knew of no
    checksum, the charges of then are hashed again; of a generation that is not kept they stay.
    """
    renewed = []
    for total in totals:
        kept, period = total, total["BillingPeriod"]
        mark = found[_key(total)]["x_HashMark"] if _key(total) in found else None
        path = warehouse.home / "generations" / f"{total['x_Generation']:06}"
        if mark not in (None, total.get("x_HashMark")) and path.is_dir():
            for table in ("cost_and_usage", "quarantine"):
                _bind(session, table, table, sorted((path / table / period).glob("*.parquet")))
            session.execute("drop view invoice")
            text = queries.query("showback/invoice").text
            session.execute(f"create temp table invoice as {text}", {"period": period})
            then = _summed(session).get(_key(total))
            session.execute("drop table invoice")
            _bind(session, "invoice", "invoice", ())
            if then is not None and then["x_HashMark"] == mark:
                kept = total | {m: then[m] for m in HASHED}
        renewed.append(kept)
    return renewed


def _states(
    session: duckdb.DuckDBPyConnection,
    totals: Sequence[Total],
    rules: Sequence[BillingSection],
    at: datetime,
) -> list[dict[str, Any]]:
    """The rows of period_state at a time; money and times as text."""
    rows = tuple(tuple(total.get(c) for c in PUBLISHED_TOTAL) for total in totals)
    bind_rows(session, "published_total", SmallTable(PUBLISHED_TOTAL, rows))
    closing = {
        "x_Source": "VARCHAR",
        "x_ClosesAfterDays": "INTEGER",
        "x_InvoicedWhenFinal": "BOOLEAN",
    }
    told = tuple(
        (block.name, block.closes_after_days, dialect(block.dialect).invoiced_when_final)
        for block in rules
    )
    bind_rows(session, "closing_rule", SmallTable(closing, told))
    answer = session.execute(queries.query("history/period_state").text, {"now": _iso(at)})
    return [_plain(row) for row in _dicts(answer)]


def _closed_showbacks(
    session: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    kept: Sequence[Total],
    stood: Sequence[Mapping[str, Any]],
    number: int,
) -> list[Total]:
    """What the showbacks of closed periods became: a line for each time one changed.

    `stood` is where bills stood before this generation. A period and currency is closed when all
    its bills are, and stays so if one comes late. Its showback cannot have changed since without a
    stamp, so the published generation has it as it was closed until there is a line of it; the
    first line is that generation. Only what has other files than that is read.
    """
    current = warehouse.current
    if current is None:
        return list(kept)
    bills_closed: dict[tuple[str, str], bool] = {}
    for state in stood:
        key = (state["BillingPeriod"], state["BillingCurrency"])
        bills_closed[key] = bills_closed.get(key, True) and state["x_ClosedAt"] is not None
    memory: dict[tuple[str, str], list[Total]] = {}
    for line in kept:
        memory.setdefault((line["BillingPeriod"], line["BillingCurrency"]), []).append(line)
    for (period, currency), is_closed in sorted(bills_closed.items()):
        lines = memory.get((period, currency), [])
        before, now_there = State.read(current / "showback" / period), None
        if period in warehouse.partitions("showback"):
            now_there = warehouse.state("showback", period)
        is_same = (before and before.content) == (now_there and now_there.content)
        if is_same or not (is_closed or lines):
            continue
        first = lines[0]["x_Generation"] if lines else int(current.name)
        then = warehouse.home / "generations" / f"{first:06}" / "showback" / period
        folders = {"showback_from": then, "showback_to": warehouse.folder("showback", period)}
        for view, folder in folders.items():
            _bind(session, view, "showback", sorted(folder.glob("*.parquet")))
        text = queries.query("history/moved_owners").text
        (found,) = _dicts(session.execute(text, {"currency": currency}))
        moved = _plain(found)
        mine = {"BillingPeriod": period, "BillingCurrency": currency}
        if not lines:
            lines = [{**mine, "x_Generation": first, "x_Checksum": moved["x_ChecksumFrom"]}]
        if moved["x_ChecksumTo"] == lines[-1]["x_Checksum"]:
            continue
        told = {n: moved[n] if then.is_dir() else None for n in ("x_Owners", "EffectiveCost")}
        told["x_Moved"] = moved["x_Moved"] if then.is_dir() else None
        new = {**mine, "x_Generation": number, "x_Checksum": moved["x_ChecksumTo"], **told}
        memory[(period, currency)] = [*lines, new]
    return [line for key in sorted(memory) for line in memory[key]]


def _changed_showbacks(stamp: Mapping[str, Any] | None) -> list[Total]:
    """The closed showbacks that are not what they were, but those a corrected bill tells of.

    A bill that was corrected with the same generation, or later, says it all: its difference has
    the owners, too.
    """
    if stamp is None:
        return []
    corrected = {
        (s["BillingPeriod"], s["BillingCurrency"], int(s["x_Generation"]))
        for s in stamp["states"]
        if s["x_State"] == "corrected"
    }
    found = []
    lines = stamp.get("showbacks", [])
    names = ("BillingPeriod", "BillingCurrency")
    for key, of_period in itertools.groupby(lines, key=lambda s: tuple(s[n] for n in names)):
        first, *_, last = of_period
        by_bill = any((p, c) == key and n >= last["x_Generation"] for p, c, n in corrected)
        if first["x_Checksum"] != last["x_Checksum"] and not by_bill:
            found.append({**last, "x_ClosedGeneration": first["x_Generation"]})
    return found


def _kept_rates(generation: Path | None) -> list[dict[str, Any]]:
    stamp = _stamp(generation)
    return stamp.get("rates", []) if stamp is not None else []


def _keep_rates(
    session: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    kept: list[dict[str, Any]],
    states: Sequence[Mapping[str, Any]],
    number: int,
) -> list[dict[str, Any]]:
    """The rates that closed bills keep, with those of bills that were closed or changed now."""
    config = warehouse.config
    to = config.currency.report
    if config.currency.rates is None or to is None:
        return kept
    known = {(r["BillingPeriod"], r["BillingCurrency"], r["x_ToCurrency"]) for r in kept}
    due = {
        s["BillingPeriod"]
        for s in states
        if s["x_ClosedAt"] is not None
        and s["BillingCurrency"] != to
        and (
            s["x_Generation"] == number
            or (s["BillingPeriod"], s["BillingCurrency"], to) not in known
        )
    }
    closed = {_key(s)[::2] for s in states if s["x_ClosedAt"] is not None}
    found = {_rate_key(r): r for r in kept}
    for period in sorted(due):
        warehouse.bind(session, {"showback": [period]}, ())
        mine = [r for r in kept if r["BillingPeriod"] == period]
        for rate in rates_of_days(session, config, to, mine):
            row = {"BillingPeriod": period, **_plain(rate)}
            row["x_ChargeDay"] = str(rate["x_ChargeDay"])
            if rate["x_Rate"] is not None and (period, rate["BillingCurrency"]) in closed:
                found.setdefault(_rate_key(row), row)
    return [
        row for _, row in sorted(found.items()) if row["BillingCurrency"] != row["x_ToCurrency"]
    ]


def _rate_key(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("BillingPeriod", "BillingCurrency", "x_ToCurrency", "x_ChargeDay")
    return tuple(str(row[n]) for n in names)


def _changes_at(
    totals: Sequence[Total], rules: Sequence[BillingSection], at: datetime
) -> str | None:
    """When time alone next changes a state: the end of a month, or of its days of grace."""
    days = {block.name: block.closes_after_days for block in rules}
    grace = BillingSection.model_fields["closes_after_days"].default
    found = []
    for total in totals:
        ends = datetime.combine(first_day(after(total["BillingPeriod"])), time(), UTC)
        due = ends + timedelta(days=days.get(total["x_Source"], grace))
        found += [moment for moment in (ends, due) if moment > at]
    return _iso(min(found)) if found else None


def _key(row: Mapping[str, Any]) -> Key:
    return (row["BillingPeriod"], row["x_Source"], row["BillingCurrency"])


def _iso(moment: datetime) -> str:
    """A time as text, always of the same length, so that texts compare as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: money as text, for a JSON number is a float; times in UTC."""

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"{value:f}"
        return _iso(value.replace(tzinfo=UTC)) if isinstance(value, datetime) else value

    return {name: plain(value) for name, value in row.items()}


def _dicts(answer: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [d[0] for d in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def write_states(connection: duckdb.DuckDBPyConnection, generation: Path) -> None:
    """`period_state` in the attached database `published`, and the findings of closed bills.

    Called inside the transaction that writes the database.
    """
    stamp = _stamp(generation)
    states = stamp["states"] if stamp is not None else []
    columns = {name: kind for name, (kind, _) in PERIOD_STATE.items()}
    rows = tuple(tuple(state.get(c) for c in columns) for state in states)
    bind_rows(connection, "period_state", SmallTable(columns, rows))
    connection.execute(
        "create or replace table published.period_state as from temp.main.period_state"
    )
    connection.execute(f"comment on table published.period_state is {literal(PERIOD_STATE_DOC)}")
    for name, (_, meaning) in PERIOD_STATE.items():
        connection.execute(
            f"comment on column published.period_state.{identifier(name)} is {literal(meaning)}"
        )
    showbacks = tuple(tuple(s.get(c) for c in CHANGED_SHOWBACK) for s in _changed_showbacks(stamp))
    bind_rows(connection, "changed_showback", SmallTable(CHANGED_SHOWBACK, showbacks))
    for kind in CLOSED_KINDS:
        connection.execute(
            f"insert into published.finding by name ({queries.query(f'history/{kind}').text})"
        )


# ----------------------------------------------------------------------------------- retention


def superseded(
    kept: Sequence[Generation],
    at: datetime,
    rules: WarehouseSection,
    pinned: Iterable[int] = (),
) -> list[Generation]:
    """Of generations, oldest first, those that no rule keeps at a time.

    The newest stays, and what is pinned. Of the others, whose age counts from when they were
    replaced: all for `keep_days`, then the last of each day for `keep_daily_days`, then the last
    of each month for `keep_months`.
    """
    last_of: dict[str, int] = {}
    for generation in kept:
        for unit in ("%Y-%m-%d", "%Y-%m"):
            last_of[generation.published_at.strftime(unit)] = generation.number
    stays = set(pinned)
    gone = []
    for generation, newer in itertools.pairwise(kept):
        replaced = newer.published_at
        age = at - replaced
        months = (at.year - replaced.year) * 12 + at.month - replaced.month
        published = generation.published_at
        last_of_day = last_of[published.strftime("%Y-%m-%d")] == generation.number
        last_of_month = last_of[published.strftime("%Y-%m")] == generation.number
        keep = (
            generation.number in stays
            or age <= timedelta(days=rules.keep_days)
            or (last_of_day and age <= timedelta(days=rules.keep_days + rules.keep_daily_days))
            or (last_of_month and months < rules.keep_months)
        )
        if not keep:
            gone.append(generation)
    return gone


def collect(warehouse: Warehouse) -> list[Generation]:
    """Remove the generations that no rule keeps; returns them. For whoever holds the warehouse."""
    rules = warehouse.config.warehouse
    kept = generations(warehouse.home)
    stamp = _stamp(warehouse.current)
    totals = stamp["totals"] if stamp is not None and rules.keep_closed else []
    if stamp is not None and rules.keep_closed:
        totals = [*totals, *stamp.get("showbacks", [])]
    pinned = {int(total["x_Generation"]) for total in totals}
    gone = superseded(kept, now(), rules, pinned)
    for generation in gone:
        # Out of the way in one step: nobody finds half of a generation.
        away = warehouse.work / f"gone-{generation.path.name}"
        generation.path.rename(away)
        shutil.rmtree(away)
    return gone


# -------------------------------------------------------------------------------- looking back


@contextlib.contextmanager
def _reading(config: Config) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that spills into a folder of its own, so that a run goes on beside it."""
    # Beside the tables there is room; who may only read them spills where others do.
    beside = config.home if os.access(config.home, os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix=".reading-", dir=beside) as spill,
        contextlib.closing(connect(config, Path(spill))) as connection,
    ):
        try:
            yield connection
        except duckdb.IOException as error:
            raise Unavailable(
                f"{config.home}: a file went away while it was read ({error}); a run may have "
                "removed an old generation, so try again"
            ) from error


def _files(generation: Generation, table: str, period: str) -> list[Path]:
    return sorted((generation.path / table / period).glob("*.parquet"))


def _columns(connection: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> set[str]:
    """Columns that Parquet files have, whichever version of the contract they are of."""
    if not files:
        return set()
    listed = ", ".join(literal(f) for f in files)
    described = connection.execute(f"describe from read_parquet([{listed}], union_by_name = true)")
    return {row[0] for row in described.fetchall()}


def _bind(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    table: str,
    files: Sequence[Path],
    hashed: Iterable[str] = (),
) -> None:
    """A view of the contract's columns; null is what an older generation did not have.

    With `hashed`, x_RowHash is over those columns.
    """
    found = _columns(connection, files)
    columns = [
        identifier(n) if n in found else f"cast(null as {t}) as {identifier(n)}"
        for n, t in contracts.table(table).duckdb.items()
    ]
    if hashed:
        inside = ", ".join(identifier(n) for n in sorted(hashed))
        columns.append(
            f"hash({inside}) as x_RowHash" if files else "cast(null as ubigint) x_RowHash"
        )
    listed = ", ".join(literal(f) for f in files)
    source = f"from read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    connection.execute(
        f"create or replace temp view {view} as select {', '.join(columns)} "
        f"{source if files else 'where false'}"
    )


def showback(
    config: Config,
    period: str | None = None,
    *,
    as_of: str | None = None,
    by: str = "feature",
    time_zone: str | None = None,
    currency: str | None = None,
    csv: bool = False,
) -> str:
    """The showback of a period as it was published, as text; the newest period by default.

    `by` is one of `config.SHOWN_BY`. With a time zone, days are those of the zone: 23 to 25
    hours, summed from the charges that began on them, on whatever bill they are; what that brings
    in from other bills, and what of this one it leaves to other months, is told below.

    With a currency (an ISO 4217 code, or "" for that of the configuration) all is converted by
    dated rates, those a closed bill kept first; a day without one is a `ConfigError`.
    """
    generation = find(config.home, as_of)
    there = sorted(p.name for p in (generation.path / "showback").glob("*") if p.is_dir())
    month = period or next(reversed(there), None)
    if month not in there:
        raise ConfigError(
            f"{generation} has no showback of {month or 'any period'}; "
            f"it has {', '.join(there) or 'none'}"
        )
    if time_zone is not None:
        _check_zone(time_zone)
        if currency is not None:
            raise ConfigError("rates are of UTC days; leave out --time-zone or --currency")
    with _reading(config) as connection:
        if time_zone is None:
            _bind(connection, "showback", "showback", _files(generation, "showback", month))
            query, bound = queries.query("history/showback"), {"dimension": by}
            if currency is not None:
                to = wanted(config, currency)
                kept = [r for r in _kept_rates(generation.path) if r["BillingPeriod"] == month]
                refuse_missing(rates_of_days(connection, config, to, kept), config)
                query, bound = queries.query("history/converted"), {**bound, "currency": to}
        else:
            for table in ("cost_and_usage", "quarantine"):
                bills = sorted((generation.path / table).glob("*/*.parquet"))
                _bind(connection, table, table, bills)
            query = queries.query("history/local_day")
            bound = {"period": month, "time_zone": time_zone}
        rows = _dicts(connection.execute(query.text, bound))
    if csv:
        names = [by, *(n for n in (rows[0] if rows else ()) if n != "x_Value")]
        return as_csv(names, [[r["x_Value"], *(r[n] for n in names[1:])] for r in rows])
    title = f"Showback of {month} by {by}" + (f" of {time_zone}" if time_zone else "")
    if currency is not None:
        title += f", converted with the rates of {config.currency.rates}"
    blocks = [f"{title}\n{generation}", *_standing(generation, month)]
    for code, mine in itertools.groupby(rows, key=lambda r: str(r["BillingCurrency"])):
        blocks.append(_by_value(by, code, list(mine), month))
    return "\n\n".join(blocks)


def _by_value(by: str, currency: str, found: list[dict[str, Any]], period: str) -> str:
    """One currency's lines and their sum; what is shown adds up to what is shown."""
    local = "x_Hours" in found[0]
    rows = [r for r in found if not local or r["x_Value"] != ELSEWHERE]
    names = [by, "BilledCost", "EffectiveCost"]
    columns = [[*(str(r["x_Value"]) for r in rows), "total"]]
    for cost in names[1:]:
        amounts = [r[cost] for r in rows]
        whole = money.figure(money.total(amounts), currency)
        columns.append([*money.figures(amounts, currency), whole])
    if local:
        names.insert(1, "hours")
        hours = [int(r["x_Hours"]) for r in rows]
        columns.insert(1, [*map(str, hours), str(sum(hours))])
    told = as_table(names, list(zip(*columns, strict=True)), range(1, len(names)))
    for way, said in (
        ("In", "of it are on bills of other periods"),
        ("Out", f"more are on the bill of {period}, for days of other months"),
    ):
        moved = [money.total(r.get(f"x_{c}{way}", Decimal(0)) for r in found) for c in COSTS]
        if any(moved):
            both = " and ".join(
                f"{money.display(amount, currency)} {cost}Cost"
                for amount, cost in zip(moved, COSTS, strict=True)
            )
            told += f"\n{both} {said}"
    return f"{currency}\n{told}"


def _standing(generation: Generation, period: str) -> list[str]:
    """One paragraph on where the bills of a period stood in a generation; none if it knows none."""
    stamp = _stamp(generation.path)
    states = [s for s in (stamp["states"] if stamp else ()) if s["BillingPeriod"] == period]
    lines = []
    for state in states:
        line = f"{state['x_Source']}, {state['BillingCurrency']}: {state['x_State']}"
        if state["x_State"] == "corrected":
            correction = Decimal(state["x_BilledCorrection"])
            line += f" by {money.exact(correction, state['BillingCurrency'])} since it was closed"
        lines.append(line)
    lines += [
        f"{c['BillingCurrency']}: the showback is not what it was when its bill was closed, see "
        f"`finops diff {period} --from {c['x_ClosedGeneration']} --to {c['x_Generation']}`"
        for c in _changed_showbacks(stamp)
        if c["BillingPeriod"] == period
    ]
    return ["\n".join(lines)] if lines else []


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"{name!r} is no time zone; write it as in the IANA database, such as Europe/Berlin"
        ) from None


@dataclass(frozen=True)
class Difference:
    """What changed between two generations of a bill.

    `totals`, `services`, `owners` and `rows` are those of sql/history/difference_of_totals,
    difference_by_service, difference_of_owners and difference; `rows` holds the largest, `changed`
    counts the rows removed and added.
    """

    before: Generation
    after: Generation
    totals: list[dict[str, Any]]
    services: list[dict[str, Any]]
    owners: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    changed: int


def diff(
    config: Config,
    period: str,
    before: str,
    after: str | None = None,
    *,
    top: int = 20,
    to_file: Path | None = None,
) -> Difference:
    """Explain a changed total of a period row by row; `to_file` gets all rows (.csv or .parquet).

    Memory is bounded by the number of distinct rows times a hash and two costs, and spills. Files
    that both generations share are not read. Raises `CheckFailed` if the rows do not explain the
    difference of the totals to the last digit, and `ConfigError` for what is not kept.
    """
    first_day(period)
    sides = (find(config.home, before), find(config.home, after))
    if to_file is not None and to_file.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{to_file}: write to a name that ends in .csv or .parquet")
    with _reading(config) as connection:
        _bind_sides(connection, sides, period)
        for name in ("changed_hash", "changed_row"):
            text = queries.query(f"history/{name}").text
            connection.execute(f"create or replace temp table {name} as {text}")
        totals = _dicts(connection.execute(queries.query("history/difference_of_totals").text))
        for total in totals:
            for cost in ("Billed", "Effective"):
                if total[f"x_{cost}Difference"] != total[f"x_{cost}Explained"]:
                    raise CheckFailed(
                        f"{period}, {total['BillingCurrency']}: the changed rows explain "
                        f"{total[f'x_{cost}Explained']} of {total[f'x_{cost}Difference']} "
                        f"{cost}Cost; a generation was damaged, so compare it with a backup"
                    )
        services = _dicts(connection.execute(queries.query("history/difference_by_service").text))
        owners = _dicts(connection.execute(queries.query("history/difference_of_owners").text))
        rows = queries.query("history/difference")
        shown = _dicts(connection.execute(rows.text, {"top": top}))
        changed = connection.execute("select count(*) from changed_row").fetchall()[0][0]
        if to_file is not None:
            kind = "(format csv, header)" if to_file.suffix == ".csv" else "(format parquet)"
            to_file.parent.mkdir(parents=True, exist_ok=True)
            connection.execute(f"copy ({rows.text}) to {literal(to_file)} {kind}", {"top": 2**62})
    return Difference(*sides, totals, services, owners, shown, int(changed))


def _bind_sides(
    connection: duckdb.DuckDBPyConnection, sides: tuple[Generation, Generation], period: str
) -> None:
    """The views that the queries of a difference read: `<what>_from` and `<what>_to`."""
    for view, table in (("charge", "cost_and_usage"), ("quarantine", "quarantine")):
        both = [_files(side, table, period) for side in sides]
        inodes = [{_inode(f) for f in files} for files in both]
        own = [
            [f for f in files if _inode(f) not in other]
            for files, other in zip(both, reversed(inodes), strict=True)
        ]
        # A column that only one of them knows would make every row a changed one.
        found = [_columns(connection, files) for files in own if files]
        hashed = set.intersection(*found) if found else set()
        hashed -= {"x_SourceFile", "x_SourceRow", "x_TagSetId"}
        for suffix, files in zip(("from", "to"), own, strict=True):
            _bind(connection, f"{view}_{suffix}", table, files, hashed or {"BilledCost"})
    for suffix, side in zip(("from", "to"), sides, strict=True):
        _bind(connection, f"showback_{suffix}", "showback", _files(side, "showback", period))


def _inode(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def told(found: Difference, period: str, *, top: int = 20) -> str:
    """A difference as text for a terminal."""
    if not found.changed and not any(t["x_BilledDifference"] for t in found.totals):
        between = f"differs between {found.before} and {found.after}"
        if not found.owners:
            return f"{period}: no row {between}"
        return (
            f"{period}: no charge {between}; who bears them does\n\n{_by_owner(found.owners, top)}"
        )
    blocks = [f"{period}, from {found.before}\n{' ' * len(period)}    to {found.after}"]
    names = ["currency", "cost", "from", "to", "difference"]
    lines = []
    for total in found.totals:
        currency = total["BillingCurrency"]
        for cost in ("Billed", "Effective"):
            amounts = [total[f"x_{cost}{which}"] for which in ("From", "To", "Difference")]
            lines.append([currency, f"{cost}Cost", *(money.exact(a, currency) for a in amounts)])
    blocks.append(as_table(names, lines, (2, 3, 4)))
    lines = [
        [
            s["BillingCurrency"],
            s["ServiceName"],
            str(s["x_Removed"]),
            str(s["x_Added"]),
            money.exact(s["x_BilledDifference"], s["BillingCurrency"]),
            money.exact(s["x_EffectiveDifference"], s["BillingCurrency"]),
        ]
        for s in found.services
    ]
    names = ["currency", "service", "removed", "added", "BilledCost", "EffectiveCost"]
    blocks.append("By service\n" + as_table(names, lines[:top], (2, 3, 4, 5)))
    if found.owners:
        blocks.append(_by_owner(found.owners, top))
    lines = [
        [
            r["x_Change"],
            str(r["ChargePeriodStart"] or ""),
            r["ServiceName"],
            str(r["ResourceId"] or ""),
            r["x_What"],
            _place(r["x_FileFrom"], r["x_RowFrom"]),
            _place(r["x_FileTo"], r["x_RowTo"]),
            money.exact(r["x_BilledDifference"], r["BillingCurrency"]),
            money.exact(r["x_EffectiveDifference"], r["BillingCurrency"]),
        ]
        for r in found.rows
    ]
    names = ["change", "charge of", "service", "resource", "what", "was", "is"]
    names += ["BilledCost", "EffectiveCost"]
    title = f"Row by row: {found.changed:,} removed or added, the largest {len(lines)} changes\n"
    blocks.append(title + as_table(names, lines, (7, 8)))
    return "\n\n".join(blocks)


def _by_owner(owners: Sequence[Mapping[str, Any]], top: int) -> str:
    """Who bears more or less than before; EffectiveCost then and now, and both differences."""
    names = ["currency", *DIMENSIONS, "from", "to", "EffectiveCost", "BilledCost"]
    amounts = ("EffectiveFrom", "EffectiveTo", "EffectiveDifference", "BilledDifference")
    lines = [
        [
            o["BillingCurrency"],
            *(str(o[f"x_{dimension.title()}"]) for dimension in DIMENSIONS),
            *(money.exact(o[f"x_{amount}"], o["BillingCurrency"]) for amount in amounts),
        ]
        for o in owners[:top]
    ]
    over = len(owners) - len(lines)
    told = "By owner\n" + as_table(names, lines, (4, 5, 6, 7))
    return told + (f"\n... {over} more" if over else "")


def _place(file: str | None, row: int | None) -> str:
    return "" if file is None else f"{file}:{row}"
