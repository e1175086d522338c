"""The database that readers open: what changed is written into a copy of the one before."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import contracts, publish
from finops_pipeline.warehouse import State, literal

from .small import PERIOD, V1, V2, Small

MONTHS = ("2026-08", "2026-09", PERIOD)


def deny(*_: Any) -> None:
    raise AssertionError("all of it is written anew")


def fresh(generation: Path, to: Path) -> dict[str, Any]:
    publish.write_database(generation, to)
    return told(to)


def told(database: Path) -> dict[str, Any]:
    """All there is in a database: rows, kinds, columns and comments of its tables."""
    with duckdb.connect(str(database), read_only=True) as connection:
        names = connection.sql(
            "select table_name, 'table', comment from duckdb_tables() union all "
            "select view_name, 'view', comment from duckdb_views() where not internal order by 1"
        ).fetchall()
        return {
            name: (
                kind,
                comment,
                connection.sql(
                    "select column_name, data_type, comment from duckdb_columns() "
                    f"where table_name = {literal(name)} order by column_index"
                ).fetchall(),
                connection.sql(f'select columns(*)::varchar from "{name}" order by all').fetchall(),
            )
            for name, kind, comment in names
        }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Small.make(tmp_path_factory.mktemp("template"))
    for month in MONTHS:
        made.deliver(V1, period=month)
        made.run(month)
    made.deliver(V2)
    return made.root


@pytest.fixture
def small(template: Path, tmp_path: Path) -> Small:
    """Months that are published, and a delivery that is not yet read."""
    shutil.copytree(template, tmp_path, symlinks=True, dirs_exist_ok=True)
    made = Small(tmp_path)
    stamp = made.config.home / "database.generation"
    stamp.write_text(stamp.read_text().replace(str(template), str(tmp_path)))
    return made


def test_a_month_that_changed_is_written_and_no_other(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_database", deny)
        small.run()

    assert fresh(small.generation, tmp_path / "fresh.duckdb") == told(small.database)
    months = "select BillingPeriod, sum(BilledCost) from showback group by 1 order by 1"
    assert small.ask(months) == [
        *((month, Decimal(100)) for month in MONTHS[:-1]),
        (PERIOD, Decimal("103.10")),
    ]


def test_a_database_that_somebody_wrote_to_is_written_anew(small: Small, tmp_path: Path) -> None:
    with duckdb.connect(str(small.database)) as connection:
        connection.execute("delete from showback where BillingPeriod = '2026-08'")
    small.run()

    assert fresh(small.generation, tmp_path / "fresh.duckdb") == told(small.database)


def test_one_that_lacks_a_table_is_written_anew(small: Small, tmp_path: Path) -> None:
    with duckdb.connect(str(small.database)) as connection:
        connection.execute("drop table coverage")
    small.run()

    assert fresh(small.generation, tmp_path / "fresh.duckdb") == told(small.database)


def generation(folder: Path, days: Mapping[str, str]) -> Path:
    """A generation with a month of showback in parts of days, each a charge of some money."""
    place = folder / "showback" / PERIOD
    place.mkdir(parents=True)
    table = contracts.table("showback")
    known = {"BillingPeriod": literal(PERIOD)}
    content = {}
    for first, money in days.items():
        given = {**known, "x_ChargeDay": f"date {literal(first)}", "EffectiveCost": money}
        columns = ", ".join(
            f"cast({given.get(n, 'null')} as {t}) as {n}" for n, t in table.duckdb.items()
        )
        file = place / f"{first}.parquet"
        duckdb.sql(f"copy (select {columns}) to {literal(file)} (format parquet)")
        content[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    State("", {}, len(days), {}, content=content).write(place)
    return folder


@pytest.mark.parametrize(
    ("days", "deleted"),
    [
        ({"2026-10-01": "1", "2026-10-11": "2", "2026-10-21": "9"}, 1),
        ({"2026-10-01": "9", "2026-10-11": "2", "2026-10-21": "3"}, 1),
        ({"2026-10-01": "1", "2026-10-11": "9", "2026-10-21": "3"}, 1),
        ({"2026-10-01": "1", "2026-10-11": "2", "2026-10-21": "3"}, 0),
        # Other parts: all of the month.
        ({"2026-10-01": "1", "2026-10-11": "2", "2026-10-21": "3", "2026-10-30": "4"}, 1),
        ({"2026-10-01": "1", "2026-10-12": "2"}, 0),
    ],
)
def test_of_a_month_in_parts_the_part_that_changed_is_written(
    days: dict[str, str], deleted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = generation(
        tmp_path / "000001", {"2026-10-01": "1", "2026-10-11": "2", "2026-10-21": "3"}
    )
    after = generation(tmp_path / "000002", days)
    publish.write_database(before, tmp_path / "before.duckdb")
    seen: list[str] = []
    pieces = publish._pieces

    def watched(*args: Any) -> list[tuple[str, list[str]]]:
        found = pieces(*args)
        seen.extend(where for where, _ in found)
        return found

    monkeypatch.setattr(publish, "_pieces", watched)
    renewed = tmp_path / "renewed.duckdb"

    assert publish.renew(before, after, tmp_path / "before.duckdb", renewed)
    assert deleted == len(seen)
    assert fresh(after, tmp_path / "fresh.duckdb") == told(renewed)


def test_of_a_table_without_months_all_is_written(tmp_path: Path) -> None:
    """What Git declares has a file for each repository, and no column that tells them apart."""
    table = contracts.table("declared_workload")
    columns = ", ".join(f"cast(null as {t}) as {n}" for n, t in table.duckdb.items())
    generations = [tmp_path / "000001", tmp_path / "000002"]
    for number, made in enumerate(generations):
        place = made / table.name / "all"
        place.mkdir(parents=True)
        content = {}
        for repository in ("a", "b", "c"):
            rows = 2 if (number, repository) == (1, "c") else 1
            file = place / f"{repository}.parquet"
            duckdb.sql(f"copy (select {columns} from range({rows})) to {literal(file)}")
            content[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        State("", {}, 3 + number, {}, content=content).write(place)
    publish.write_database(generations[0], tmp_path / "before.duckdb")
    renewed = tmp_path / "renewed.duckdb"

    assert publish.renew(*generations, tmp_path / "before.duckdb", renewed)
    assert fresh(generations[1], tmp_path / "fresh.duckdb") == told(renewed)
