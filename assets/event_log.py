"""Dagster's log of events in SQLite, with its connections kept from one event to the next.

A run of hundred assets writes and asks some thousand small things. Dagster opens a database for
each, compiles the statement, and closes it, which has SQLite clean up behind the last connection:
two thirds of what a run costs in which nothing has changed. `dagster.yaml` names this class.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import sqlalchemy
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

KEPT = 8
"""Databases that stay open: the one of all assets, and those of the runs looked at last."""


class EventLog(SqliteEventLogStorage):
    """The files of Dagster's own event log, in the folder of `home` it has them in by default."""

    def __init__(self, home: Path, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept: OrderedDict[str, sqlalchemy.Engine] = OrderedDict()
        super().__init__(str(home / "history" / "runs"), inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """See `ConfigurableClass`: there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Any,  # noqa: ARG003  # Dagster calls it by this name.
    ) -> Self:
        """In DAGSTER_HOME, else where `finops run` would have it."""
        return cls(Path(os.environ.get("DAGSTER_HOME") or Path.cwd() / ".dagster"), inst_data)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[sqlalchemy.Connection]:
        with self._db_lock:
            known = self._kept.pop(shard, None)
            engine = known or sqlalchemy.create_engine(
                self.conn_string_for_shard(shard),
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            self._kept[shard] = engine
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)[1].dispose()
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """Write an event; who looks at the run is told by the time of its file, as ever."""
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def wipe(self) -> None:
        """Forget all runs: their files go, so nobody may hold them open."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close what is open."""
        super().dispose()
        self._close()

    def _close(self) -> None:
        with self._db_lock:
            while self._kept:
                self._kept.popitem()[1].dispose()
