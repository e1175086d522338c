"""The reconciliation statement: the providers' own word, and whether everything adds up.

What belongs here: reading a file of invoices, of billing periods or of revenue, and asking the
published tables again whether what was asked for is what was read and what was shown. What the
statement says is decided in `sql/showback/reconciliation.sql`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from . import contracts, money, queries
from .ask import as_table, opened
from .bindings import small_tables
from .config import BillingSection, Config
from .errors import ConfigError, UnreadableFile
from .transports import Item, Transport
from .warehouse import bind_rows, identifier

REQUIRED = ("invoice", "currency", "amount")
REVENUE_COLUMNS = ("tenant", "currency", "amount")
PERIOD_COLUMNS = (
    "InvoiceIssuerName",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "BillingPeriodStatus",
    "BillingPeriodLastUpdated",
)
PERIOD_TIMES = ("BillingPeriodStart", "BillingPeriodEnd", "BillingPeriodLastUpdated")
SHOWN = {
    "source": "x_Source",
    "invoice": "InvoiceId",
    "currency": "BillingCurrency",
    "provider": "x_BilledSummary",
    "read": "x_BilledIngested",
    "quarantined": "x_BilledQuarantined",
    "allocated": "x_BilledAllocated",
    "idle": "x_BilledIdle",
    "unallocated": "x_BilledUnallocated",
    "difference": "x_Difference",
    "because": "x_Reason",
}


def read_invoices(
    transport: Transport, block: BillingSection, period: str, item: Item, into: Path
) -> None:
    """Write `invoice_summary.parquet` from a CSV file of invoices.

    Raises `UnreadableFile` with the line when a column is missing or an amount is no number: a
    total that was misread would hide what the statement is there to find.
    """
    import polars as pl

    from .contracts.fields import TYPES

    reader = _csv(transport, item, REQUIRED, "an invoice file", "difference with reason")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(reader, start=1):
        currency = (line["currency"] or "").strip().upper()
        invoice = (line["invoice"] or "").strip()
        amount = money.read(line["amount"])
        told = (line.get("reason") or "").strip()
        # An amount written with a comma is two cells: the row has one too many, or its tail is
        # taken for the reason, which would excuse what it hides.
        in_two = None in line or re.fullmatch(r"[-+\d.,\s]+", told) is not None
        if amount is None or len(currency) != 3 or not invoice or in_two:
            raise UnreadableFile(
                f"{item.address}: row {number} is no invoice: {invoice!r}, {currency!r}, "
                f"{line['amount']!r}{f', {told!r}' if told else ''}; write an amount as "
                "1190.00, and the reason of a difference in words"
            )
        reason, named = _named(item, number, line)
        rows.append(
            {
                "BillingPeriod": period,
                "x_Source": block.name,
                "InvoiceId": invoice,
                "BillingCurrency": currency,
                "x_BilledSummary": amount,
                "x_MinorUnit": Decimal(1).scaleb(-money.minor_digits(currency)),
                "x_NamedDifference": named,
                "x_Reason": reason,
                "x_SourceFile": item.path,
                "x_SourceRow": number,
            }
        )
    schema = {n: TYPES[t] for n, t in contracts.table("invoice_summary").duckdb.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(into / "invoice_summary.parquet", compression="zstd")


def _named(item: Item, number: int, line: dict[str, str]) -> tuple[str | None, Decimal | None]:
    """The difference a row names and its reason; the one without the other is refused.

    A reason that goes with any amount would excuse a bill of which most is missing.
    """
    reason = (line.get("reason") or "").strip() or None
    told = (line.get("difference") or "").strip() or None
    named = money.read(told)
    if (reason is None) != (told is None) or (told is not None and named is None):
        raise UnreadableFile(
            f"{item.address}: row {number} gives the difference {told!r} for the reason "
            f"{reason!r}; a reason is for one amount: write it in the column `difference`, read "
            "less `amount`, as `finops reconcile` shows it, such as -19.00"
        )
    return reason, named


def _csv(
    transport: Transport, item: Item, required: Sequence[str], what: str, perhaps: str
) -> csv.DictReader[str]:
    """The rows of a CSV file in UTF-8 that has the `required` columns, in any order."""
    try:
        text = transport.read(item).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{item.address}: not UTF-8 text ({error.reason})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in required if name not in (reader.fieldnames or ())]
    if missing:
        raise UnreadableFile(
            f"{item.address}: the column {missing[0]!r} is missing; {what} has "
            f"{', '.join(required)} and perhaps {perhaps}"
        )
    return reader


def read_revenue(transport: Transport, period: str, item: Item, into: Path) -> None:
    """Write `revenue.parquet` from a CSV file of what tenants pay.

    Raises `UnreadableFile` with the line when a column is missing, a tenant is not named or an
    amount is no number: a margin without it would be wrong and look right.
    """
    import polars as pl

    from .contracts.fields import TYPES

    rows: list[dict[str, Any]] = []
    reader = _csv(transport, item, REVENUE_COLUMNS, "a revenue file", "feature")
    for number, line in enumerate(reader, start=1):
        currency = (line["currency"] or "").strip().upper()
        tenant = (line["tenant"] or "").strip()
        amount = money.read(line["amount"])
        # An amount written with a comma is two cells, and the row has one too many.
        if amount is None or len(currency) != 3 or not tenant or None in line:
            raise UnreadableFile(
                f"{item.address}: line {reader.line_num} is no revenue: {tenant!r}, {currency!r}, "
                f"{line['amount']!r}; correct it"
            )
        rows.append(
            {
                "BillingPeriod": period,
                "x_Tenant": tenant,
                "x_Feature": (line.get("feature") or "").strip() or None,
                "BillingCurrency": currency,
                "x_Revenue": amount,
                "x_SourceFile": item.path,
                "x_SourceRow": number,
            }
        )
    schema = {n: TYPES[t] for n, t in contracts.table("revenue").duckdb.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(into / "revenue.parquet", compression="zstd")


def read_periods(
    transport: Transport, block: BillingSection, period: str, item: Item, into: Path
) -> None:
    """Write `billing_period.parquet` from a file of FOCUS's BillingPeriod dataset.

    CSV (plain or gzip) or Parquet, with columns in any case; rows of other months are left out.
    Raises `UnreadableFile` with the row where one does not say what the dataset has to: a bill that
    counted as closed by mistake would raise an alarm with each later row.
    """
    import polars as pl

    from .contracts.fields import FIELDS, TYPES

    content = io.BytesIO(transport.read(item))
    try:
        is_parquet = item.path.lower().endswith(".parquet")
        found = pl.read_parquet(content) if is_parquet else pl.read_csv(content, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UnreadableFile(f"{item.address}: no CSV or Parquet file ({error})") from None
    names = {name.casefold(): name for name in found.columns}
    missing = [name for name in PERIOD_COLUMNS if name.casefold() not in names]
    if missing:
        raise UnreadableFile(
            f"{item.address}: the column {missing[0]!r} is missing; FOCUS's BillingPeriod dataset "
            f"has {', '.join(PERIOD_COLUMNS)}"
        )
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(found.iter_rows(named=True), start=1):
        said = {name: line[names[name.casefold()]] for name in PERIOD_COLUMNS}
        times = {name: _time(value) for name, value in said.items() if name in PERIOD_TIMES}
        if (
            None in times.values()
            or said["BillingPeriodStatus"] not in (FIELDS["BillingPeriodStatus"].isin or ())
            or not said["InvoiceIssuerName"]
        ):
            raise UnreadableFile(
                f"{item.address}: row {number} is no billing period: "
                f"{', '.join(f'{name} = {value!r}' for name, value in said.items())}; correct it"
            )
        if f"{times['BillingPeriodStart']:%Y-%m}" == period:
            place = {"x_SourceFile": item.path, "x_SourceRow": number}
            rows.append({"BillingPeriod": period, "x_Source": block.name, **said, **times, **place})
    schema = {n: TYPES[t] for n, t in contracts.table("billing_period").duckdb.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(into / "billing_period.parquet", compression="zstd")


def _time(written: object) -> datetime | None:
    """A time of a file, UTC and without saying so; None where it is none."""
    try:
        found = written if isinstance(written, datetime) else datetime.fromisoformat(str(written))
    except ValueError:
        return None
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def reconcile(config: Config, period: str | None) -> tuple[str, bool]:
    """The statement of a period, made anew from the published charges and showback.

    Returns text for a terminal and whether everything adds up. The newest period by default.
    """
    with opened(config.database) as connection:
        known = [
            row[0]
            for row in connection.execute(
                "select BillingPeriod from cost_and_usage union "
                "select BillingPeriod from quarantine order by 1 desc"
            ).fetchall()
        ]
        wanted = period or next(iter(known), None)
        if wanted not in known:
            raise ConfigError(
                f"there is no bill of {wanted or 'any period'}; "
                f"known: {', '.join(known) or 'none, run `finops run` first'}"
            )
        return _statement(connection, config, str(wanted))


def _statement(
    connection: duckdb.DuckDBPyConnection, config: Config, period: str
) -> tuple[str, bool]:
    """Fill `invoice` and `reconciliation` again, in this session only; hold them to the rule."""
    made = ("invoice", "reconciliation")
    filling = [queries.query(f"showback/{name}") for name in made]
    small = small_tables(config)
    for name in sorted({r for q in filling for r in q.reads} - set(made)):
        if name in small:
            bind_rows(connection, name, small[name])
            continue
        connection.execute(
            f"create or replace temp view {identifier(name)} as "
            f"from showback.main.{identifier(name)} where BillingPeriod = '{period}'"
        )
    for query in filling:
        connection.execute(
            f"create or replace temp table {identifier(query.name)} as {query.text}",
            {"period": period},
        )
    lines = _rows(connection, queries.query("report/reconciliation"), period=period, top=1_000_000)
    off = connection.execute(queries.query("checks/reconciliation__adds_up").text).fetchall()
    told = [[_cell(line, column) for column in SHOWN.values()] for line in lines]
    verdict = (
        f"{len(off)} of {len(lines)} lines do not add up"
        if off
        else f"{len(lines)} of {len(lines)} lines add up"
    )
    table = as_table(list(SHOWN), told, range(3, 10))
    return f"Reconciliation of {period}, BilledCost\n\n{table}\n\n{verdict}", not off


def _rows(
    connection: duckdb.DuckDBPyConnection, query: queries.Query, **bound: Any
) -> Sequence[dict[str, Any]]:
    answer = connection.execute(query.text, bound)
    names = [d[0] for d in answer.description or ()]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _cell(line: dict[str, Any], column: str) -> str:
    """Money with all its digits, for this is where a missing millionth is looked for."""
    if column == "x_Difference":
        differences = ("x_SummaryDifference", "x_DeliveryDifference", "x_AllocationDifference")
        found = [line[name] for name in differences if line[name]]
        return ", ".join(money.exact(amount, line["BillingCurrency"]) for amount in found) or "0"
    value = line[column]
    if isinstance(value, Decimal):
        return money.exact(value, line["BillingCurrency"])
    return "" if value is None else str(value)
