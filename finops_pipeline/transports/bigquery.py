"""Inputs in a BigQuery table: Google's usage cost export, where Google puts it.

What belongs here: every call to BigQuery, the meaning of its errors, and what reading costs. No
money is computed or cast there: rows come as they are, and `sql/bill` says what they mean.

A location is `bigquery://project/dataset/table/{period}`, and its one file is the rows of that
invoice month. The export only appends, with an `export_time` that rises; so a month is known by
the number of its rows and the newest of these times, and what came later than it was listed is
not in it. Late rows of a month lie in later partitions, so partitions are left out on one side
only: those of before the month.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ConfigError, DeliveryVanished, MissingExtra, Refused, Unavailable
from ..periods import in_month
from . import Item

log = logging.getLogger(__name__)

MARGIN = timedelta(days=7)
"""Usage of the last hours of a month may be on the next month's bill, and exported at once."""
PATIENCE = 60.0
"""Seconds that a call to Google is tried again."""
PAGE = 50_000
LOCATION = re.compile(r"bigquery://([^/*]+)/([^/*]+)/([^/*]+)/(\d{4})-(\d{2})")


@dataclass(frozen=True)
class _Month:
    """The rows of one invoice month in one table; `table` is what BigQuery says of it."""

    address: str
    table: Any
    month: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table, quoted for SQL."""
        return f"`{self.table.project}.{self.table.dataset_id}.{self.table.table_id}`"

    @property
    def rows(self) -> str:
        """The rows that are on the bill, and the partitions they can be in."""
        where = f"invoice.month = '{self.month}'"
        partitioning = self.table.time_partitioning
        if partitioning is None or partitioning.type_ not in ("HOUR", "DAY"):
            return where
        first = datetime(int(self.month[:4]), int(self.month[4:]), 1, tzinfo=UTC) - MARGIN
        column = partitioning.field or "_PARTITIONTIME"
        # What arrived minutes ago may not be in a partition yet.
        since = f"{column} >= TIMESTAMP '{first:%Y-%m-%d %H:%M:%S}+00:00'"
        return f"{where} AND ({since} OR {column} IS NULL)"

    def rows_until(self, newest: str) -> str:
        """Those of them that were there when the month was listed."""
        return f"{self.rows} AND export_time <= TIMESTAMP '{newest}'"


class BigQuery:
    """Months of a table. Fingerprint: age of the table, rows, and the newest `export_time`."""

    def __init__(self, config: Config, location: str) -> None:
        self.config = config
        self.section = config.bigquery
        self.location = location

    @cached_property
    def client(self) -> Any:
        """One client for all calls but the reading of rows."""
        try:
            from google.cloud import bigquery
        except ImportError as error:  # `google.cloud` is there for others, too
            raise MissingExtra("gcp", "a bigquery:// location") from error
        plain: dict[str, Any] = {}
        if self.section.endpoint_url is not None:
            plain["client_options"] = {"api_endpoint": self.section.endpoint_url}
        if self._is_emulator:
            from google.auth.credentials import AnonymousCredentials

            plain["credentials"] = AnonymousCredentials()
        project = self.section.billing_project or _parts(self.location)[0]
        with _errors(self.location):
            return bigquery.Client(project=project, **plain)

    @property
    def _is_emulator(self) -> bool:
        return (self.section.endpoint_url or "").startswith("http://")

    def list(self, pattern: str) -> list[Item]:
        """See `Transport.list`; at most one item. Its size is what reading it makes Google scan.

        Asks for the watermark by a query over two small columns; the query's price is asked for
        first, and it is refused above `max_bytes_billed`.
        """
        month = self._month(pattern)
        watermark = (
            "SELECT COUNT(*) AS row_count, "
            "FORMAT_TIMESTAMP('%Y-%m-%d %H:%M:%E6S+00:00', MAX(export_time)) AS newest "
            f"FROM {month.name} WHERE {month.rows}"
        )
        with _errors(month.address):
            ((row_count, newest),) = self._query(month, watermark)
            if not row_count:
                return []
            size = self._price(month, self._select(month, newest))
        known = (str(month.table.created), row_count, newest, *month.columns)
        digest = hashlib.sha256(repr(known).encode()).hexdigest()[:16]
        path = f"{pattern.rsplit('/', 1)[-1]}.parquet"
        return [Item(path, size, f"{row_count}-{newest}-{digest}", month.address)]

    def fetch(self, item: Item, landing: Path) -> Path:
        """The rows as a Parquet file in `landing`, under a name made of address and fingerprint.

        They are in the order of their `export_time`, then of their content, for BigQuery has none:
        so the file is the same on every machine. Raises `Unavailable` when there are fewer
        rows or more than were listed.
        """
        name = hashlib.sha256(f"{item.address} {item.fingerprint}".encode()).hexdigest()[:32]
        whole = landing / f"{name}-{item.path}"
        if whole.exists():
            return whole
        landing.mkdir(parents=True, exist_ok=True)
        listed, newest = re.fullmatch(r"(\d+)-(.+)-[0-9a-f]{16}", item.fingerprint).groups()  # type: ignore[union-attr]  # we wrote it
        month = self._month(item.address)
        arrived = whole.with_name(f"{whole.name}.{os.getpid()}.part")
        sorted_ = whole.with_name(f"{whole.name}.{os.getpid()}.sorted.part")
        try:
            with _errors(item.address):
                count = _write(self._batches(month, newest), arrived)
            if count == 0:
                raise DeliveryVanished(f"{item.address}: was listed and is gone; export it again")
            if count != int(listed):
                raise Unavailable(
                    f"{item.address}: changed since it was listed, {count} rows instead of "
                    f"{listed}; run again"
                )
            self._sort(arrived, sorted_)
            sorted_.replace(whole)
        finally:
            arrived.unlink(missing_ok=True)
            sorted_.unlink(missing_ok=True)
        return whole

    def read(self, item: Item) -> bytes:
        """See `Transport.read`."""
        with tempfile.TemporaryDirectory() as folder:
            return self.fetch(item, Path(folder)).read_bytes()

    def digest(self, item: Item) -> str:
        """See `Transport.digest`: of the file that `fetch` writes."""
        return hashlib.sha256(self.read(item)).hexdigest()

    # ------------------------------------------------------------------------- what is asked

    def _month(self, address: str) -> _Month:
        """What an address means, and what BigQuery says of its table."""
        project, dataset, table, year, month = _parts(address)
        client = self.client
        with _errors(address):
            found = client.get_table(f"{project}.{dataset}.{table}", retry=_retry())
        there = [field.name for field in found.schema]
        if not {"invoice", "export_time"} <= set(there):
            raise ConfigError(
                f"{address}: the table has no invoice.month and export_time, so it is no standard "
                "or detailed usage cost export of Cloud Billing; correct `location`"
            )
        wanted = {"export_time", *self._wanted()}
        columns = tuple(n for n in there if n in wanted) if len(wanted) > 1 else tuple(there)
        return _Month(address, found, f"{year}{month}", columns)

    def _wanted(self) -> set[str]:
        """Columns the dialect looks into, of the blocks that read this location; none means all."""
        from ..dialect import dialect

        blocks = [b for b in self.config.billing if b.location == self.location]
        return {name for block in blocks for name in dialect(block.dialect).delivered}

    def _select(self, month: _Month, newest: str) -> str:
        columns = ", ".join(f"`{name}`" for name in month.columns)
        return f"SELECT {columns} FROM {month.name} WHERE {month.rows_until(newest)}"

    def _price(self, month: _Month, sql: str) -> int:
        """Bytes a query would be charged for; asking costs nothing."""
        from google.cloud import bigquery

        asked = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
        job = self.client.query(
            sql, job_config=asked, location=month.table.location, retry=_retry()
        )
        return int(job.total_bytes_processed or 0)

    def _query(self, month: _Month, sql: str) -> Any:
        """Rows of a query that costs no more than allowed; the server is held to it, too."""
        from google.cloud import bigquery

        cap = self.section.max_bytes_billed
        self._allow(month, self._price(month, sql))
        asked = bigquery.QueryJobConfig(maximum_bytes_billed=cap)
        job = self.client.query(
            sql, job_config=asked, location=month.table.location, retry=_retry()
        )
        return job.result(retry=_retry(), page_size=PAGE)

    def _allow(self, month: _Month, price: int) -> None:
        cap = self.section.max_bytes_billed
        log.info(
            "%s: reading is charged for %s bytes of %s", month.address, f"{price:,}", f"{cap:,}"
        )
        if price > cap:
            raise Refused(
                f"{month.address}: reading would be charged for {price:,} bytes, and [bigquery] "
                f"max_bytes_billed allows {cap:,}; nothing was read or charged. Raise it in "
                "finops.toml if that price is right"
            )

    def _batches(self, month: _Month, newest: str) -> Iterator[Any]:
        """Arrow batches of the month, from the Storage Read API where it is installed."""
        try:
            import google.cloud.bigquery_storage  # noqa: F401  # asked for, used below
        except ModuleNotFoundError:
            yield from self._query(month, self._select(month, newest)).to_arrow_iterable()
            return
        import pyarrow as pa
        from google.cloud.bigquery_storage_v1 import types

        table = month.table
        options = types.ReadSession.TableReadOptions(
            selected_fields=month.columns, row_restriction=month.rows_until(newest)
        )
        session = self._reader.create_read_session(
            parent=f"projects/{self.client.project}",
            read_session=types.ReadSession(
                table=f"projects/{table.project}/datasets/{table.dataset_id}"
                f"/tables/{table.table_id}",
                data_format=types.DataFormat.ARROW,
                read_options=options,
            ),
            max_stream_count=1,
            timeout=PATIENCE,
        )
        # A session costs nothing; its rows do.
        self._allow(month, int(session.estimated_total_bytes_scanned))
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        for stream in session.streams:
            for answer in self._reader.read_rows(stream.name):
                batch = answer.arrow_record_batch.serialized_record_batch
                yield pa.ipc.read_record_batch(pa.py_buffer(batch), schema)

    @cached_property
    def _reader(self) -> Any:
        """The client of the Storage Read API."""
        from google.cloud.bigquery_storage_v1 import BigQueryReadClient

        endpoint = self.section.storage_endpoint
        if endpoint is None:
            return BigQueryReadClient(credentials=self.client._credentials)  # noqa: SLF001  # one login for both
        if not self._is_emulator:
            return BigQueryReadClient(
                credentials=self.client._credentials,  # noqa: SLF001  # one login for both
                client_options={"api_endpoint": endpoint},
            )
        import grpc
        from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
            BigQueryReadGrpcTransport,
        )

        channel = grpc.insecure_channel(endpoint)
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def _sort(self, arrived: Path, target: Path) -> None:
        """Put the rows in order, with the memory the warehouse may use.

        Comparing whole rows takes twice as long as their hash; rows alike in it are alike.
        """
        import duckdb
        import pyarrow.parquet as pq

        there = pq.read_schema(arrived).names
        order = [n for n in ("export_time", "usage_start_time", "cost") if n in there]
        every = ", ".join('"' + n.replace('"', '""') + '"' for n in there)
        files = [str(path).replace("'", "''") for path in (arrived, target)]
        with duckdb.connect() as connection, tempfile.TemporaryDirectory() as spill:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("set enable_progress_bar = false")
            connection.execute(f"set temp_directory = '{spill}'")
            connection.execute(f"set memory_limit = '{self.config.warehouse.memory_limit}'")
            connection.execute(f"set threads = {self.config.warehouse.threads}")
            connection.execute(
                f"copy (from read_parquet('{files[0]}', hive_partitioning = false) "
                f"order by {', '.join(order)}, hash({every})) to '{files[1]}' "
                "(format parquet, compression zstd)"
            )


def _write(batches: Iterator[Any], target: Path) -> int:
    """Batches to one Parquet file, one at a time; returns the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    count = 0
    try:
        for batch in batches:
            if writer is None:
                writer = pq.ParquetWriter(target, batch.schema, compression="zstd")
            writer.write_table(pa.Table.from_batches([batch], schema=writer.schema))
            count += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return count


def _retry() -> Any:
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(PATIENCE)


def _parts(address: str) -> tuple[str, ...]:
    """Project, dataset, table, year and month of an address."""
    found = LOCATION.fullmatch(in_month(address, "2000-01"))
    if found is None:
        raise ConfigError(
            f"{address}: a BigQuery location is bigquery://project/dataset/table/{{period}}"
        )
    return found.groups()


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Translate Google's errors; `where` is the address that was asked for."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except GoogleAPICallError as error:
        status = int(error.code or 0)
        if status in (0, 408, 429, 499) or status >= 500:
            raise Unavailable(f"{where}: BigQuery answered {_said(error)}; try later") from error
        advice = {
            401: "check the credentials Google's client finds (GOOGLE_APPLICATION_CREDENTIALS)",
            403: "the account needs the roles BigQuery Data Viewer on the dataset, and Job User "
            "and Read Session User on [bigquery] billing_project",
            404: "check project, dataset and table in `location`",
        }.get(status, "check `location` and [bigquery] in finops.toml")
        raise Refused(f"{where}: BigQuery answered {_said(error)}; {advice}") from error
    except DefaultCredentialsError as error:
        raise Refused(
            f"{where}: no Google credentials found; set GOOGLE_APPLICATION_CREDENTIALS, or run "
            "`gcloud auth application-default login`"
        ) from error
    except (TransportError, RetryError, RequestException, HTTPError) as error:
        raise Unavailable(f"{where}: no whole answer ({_said(error)}); try later") from error
    except GoogleAuthError as error:
        raise Refused(f"{where}: Google refused the credentials ({_said(error)})") from error


def _said(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
