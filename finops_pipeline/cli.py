"""The command line: `finops init | check | sample | run | sql | explain | showback | ...`.

What belongs here: arguments, what is printed, and exit codes (0 done, 1 failed, 2 the
configuration or the arguments are wrong, 75 try again later). What a command does is elsewhere.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

from . import config as configuration
from .config import SHOWN_BY
from .errors import ConfigError, FinopsError
from .periods import before, open_period, periods

DEFAULT_CONFIG = "finops.toml"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = given.command
    # How far a long download is, and what a query will cost.
    logging.basicConfig(format="finops: %(message)s")
    logging.getLogger("finops_pipeline").setLevel(logging.INFO)
    try:
        return command(given)
    except FinopsError as error:
        print(f"finops: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output (head, less) went away: that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="finops",
        description="From the cloud bill to feature, tenant and environment, to the cent.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    def add_config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--config",
            type=Path,
            default=Path(os.environ.get("FINOPS_CONFIG", DEFAULT_CONFIG)),
            help="the finops.toml to use (default: $FINOPS_CONFIG, else ./finops.toml)",
        )

    init = add("init", _init, "Write a finops.toml with every key explained.")
    init.add_argument("directory", type=Path, nargs="?", default=Path())

    check = add("check", _check, "Check finops.toml and look whether its inputs are there.")
    add_config(check)
    check.add_argument(
        "--period", default=None, help="billing period YYYY-MM (default: the open one)"
    )
    check.add_argument(
        "--published",
        action="store_true",
        help="read every published file again, and hold it against the SHA-256 it was written with",
    )

    sample = add(
        "sample", _sample, "Write the inputs of a made-up company, and the truth about it."
    )
    sample.add_argument("directory", type=Path)
    sample.add_argument("--days", type=int, default=31, help="days of inputs (default 31)")
    sample.add_argument("--scale", type=int, default=1, help="how large the company is (default 1)")
    sample.add_argument("--seed", type=int, default=1, help="another company of the same kind")
    sample.add_argument(
        "--start", type=date.fromisoformat, default=date(2026, 10, 1), help="first day YYYY-MM-DD"
    )
    sample.add_argument(
        "--openmetrics", action="store_true", help="also write the metrics as OpenMetrics text"
    )

    run = add("run", _run, "Run the whole road for one or more billing periods.")
    add_config(run)
    run.add_argument("--from", dest="first", metavar="YYYY-MM", help="first billing period")
    run.add_argument("--to", dest="last", metavar="YYYY-MM", help="last billing period")
    run.add_argument("--period", metavar="YYYY-MM", help="one billing period")
    run.add_argument("--no-proposals", action="store_true", help="do not write pull requests")

    sql = add("sql", _sql, "Ask showback.duckdb. Without a query, list its tables.")
    add_config(sql)
    sql.add_argument(
        "query", nargs="?", help="one SQL statement, or - to read it from standard input"
    )
    sql.add_argument("--csv", action="store_true", help="print CSV instead of a table")

    explain = add("explain", _explain, "Take a showback number apart, down to files and rows.")
    add_config(explain)
    for option, text in (
        ("period", "billing period YYYY-MM (default: the newest)"),
        ("day", "day YYYY-MM-DD"),
        ("feature", "feature, as the showback writes it"),
        ("tenant", "tenant"),
        ("environment", "environment"),
        ("service", "service name"),
        ("model", "model"),
    ):
        explain.add_argument(f"--{option}", help=text)
    explain.add_argument("--rows", type=int, default=10, help="rows shown per step (default 10)")

    showback = add("showback", _showback, "What a period cost, now or as it was published then.")
    add_config(showback)
    showback.add_argument(
        "--period", metavar="YYYY-MM", help="billing period (default: the newest)"
    )
    showback.add_argument(
        "--as-of",
        metavar="DATE",
        help="as published at the end of that day, at that time, or in that generation",
    )
    showback.add_argument("--by", choices=SHOWN_BY, default="feature", help="one line for each")
    showback.add_argument(
        "--time-zone",
        metavar="ZONE",
        help="with --by day: days of that zone, such as Europe/Berlin",
    )
    showback.add_argument(
        "--currency",
        nargs="?",
        const="",
        metavar="CODE",
        help="convert with the dated rates of [currency] (default: to its `report`)",
    )
    showback.add_argument("--csv", action="store_true", help="print CSV, money in full")

    diff = add("diff", _diff, "Explain row by row how a published period changed.")
    add_config(diff)
    diff.add_argument("period", metavar="YYYY-MM", help="billing period")
    for option, text in (("from", "day, time or generation"), ("to", "the same (default: now)")):
        diff.add_argument(
            f"--{option}", dest=f"{option}_", metavar="DATE", help=text, required=option == "from"
        )
    diff.add_argument("--top", type=int, default=20, help="rows shown (default 20)")
    diff.add_argument("--to-file", type=Path, help="write all rows there, as .csv or .parquet")

    reconcile = add("reconcile", _reconcile, "Hold each invoice against what was shown back of it.")
    add_config(reconcile)
    reconcile.add_argument("period", nargs="?", metavar="YYYY-MM", help="default: the newest")

    export = add("export", _export, "Write a published period as files in another's words.")
    add_config(export)
    export.add_argument("what", choices=("focus",), help="FOCUS 1.2, of the FinOps Foundation")
    export.add_argument("period", metavar="YYYY-MM", help="billing period")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder to write to")
    export.add_argument(
        "--format", choices=("parquet", "csv"), default="parquet", help="of the files (parquet)"
    )
    export.add_argument(
        "--table", choices=("cost_and_usage", "allocated_cost"), help="one of them (default: both)"
    )

    report = add("report", _report, "Write the report page again from showback.duckdb.")
    add_config(report)
    return parser


# -------------------------------------------------------------------------------- commands


def _init(given: argparse.Namespace) -> int:
    from .template import template

    target: Path = given.directory / DEFAULT_CONFIG
    if target.exists():
        raise ConfigError(f"{target} is there already; move it away to write a new one")
    given.directory.mkdir(parents=True, exist_ok=True)
    target.write_text(template(), encoding="utf-8")
    print(f"wrote {target}\nEdit the blocks at its top, then: finops check --config {target}")
    return 0


def _check(given: argparse.Namespace) -> int:
    from .pipeline import survey

    config = configuration.load(given.config)
    missing = 0
    print(f"{given.config}: every key is known")
    for line, found in survey(config, given.period or open_period()):
        missing += not found
        print(f"  {'ok ' if found else '-- '} {line}")
    if missing:
        print(f"{missing} input(s) not found; a run would go on without them")
    wrong = _altered(config) if given.published else []
    return 1 if missing or wrong else 0


def _altered(config: configuration.Config) -> list[str]:
    from .warehouse import STATE, Warehouse, altered

    published = Warehouse(config).current
    if published is None:
        print("nothing is published yet")
        return []
    wrong = altered(published)
    for line in wrong:
        print(f"  -- {line}")
    if wrong:
        print(
            f"{len(wrong)} published file(s) are not what was written: remove the {STATE} beside "
            f"them under {published}, and `finops run` makes them again"
        )
    else:
        print(f"every published file is what was written ({published})")
    return wrong


def _sample(given: argparse.Namespace) -> int:
    from .sample import write

    written = write(
        given.directory,
        days=given.days,
        scale=given.scale,
        seed=given.seed,
        start=given.start,
        openmetrics=given.openmetrics,
    )
    print(f"wrote {given.directory}; its right answers are in {written.path}")
    print(
        f"next: finops run --config {given.directory / DEFAULT_CONFIG} --period {given.start:%Y-%m}"
    )
    return 0


def _run(given: argparse.Namespace) -> int:
    config = configuration.load(given.config)
    now = open_period()
    first = given.period or given.first or before(now)
    last = given.period or given.last or (given.first and max(given.first, now)) or now
    wanted = periods(first, last)
    if wanted[0] < config.first_period:
        raise ConfigError(
            f"{wanted[0]} is before first_period = {config.first_period!r} of {given.config}; "
            "lower it there"
        )
    print(f"finops: {first}" + (f" to {last}" if last != first else ""), file=sys.stderr)
    environment = {
        "DAGSTER_HOME": str(config.path(".dagster")),
        **os.environ,
        "FINOPS_CONFIG": str(given.config.resolve()),
    }
    options = ["--no-proposals"] if given.no_proposals else []
    # Dagster is another program, as the schedule and the user interface start it: no second
    # engine, and this package never imports it.
    done = subprocess.run(
        [sys.executable, "-m", "assets", first, last, *options], env=environment, check=False
    )
    if done.returncode == 0:
        from .summary import summary

        print(summary(config, last))
    return done.returncode


def _sql(given: argparse.Namespace) -> int:
    from .ask import ask, list_tables

    config = configuration.load(given.config)
    query = sys.stdin.read() if given.query == "-" else given.query
    print(ask(config.database, query, csv=given.csv) if query else list_tables(config.database))
    return 0


def _explain(given: argparse.Namespace) -> int:
    from .explain import explain

    config = configuration.load(given.config)
    wanted = {
        name: getattr(given, name)
        for name in ("period", "day", "feature", "tenant", "environment", "service", "model")
        if getattr(given, name) is not None
    }
    print(explain(config, wanted, rows=given.rows))
    return 0


def _showback(given: argparse.Namespace) -> int:
    from .history import showback

    config = configuration.load(given.config)
    zone = given.time_zone or (config.report.time_zone if given.by == "day" else None)
    if zone is not None and given.by != "day":
        raise ConfigError("--time-zone is about days; say --by day, or leave it out")
    # UTC days are what is stored, with an owner for each charge.
    zone = None if zone == "UTC" else zone
    print(
        showback(
            config,
            given.period,
            as_of=given.as_of,
            by=given.by,
            time_zone=zone,
            currency=given.currency,
            csv=given.csv,
        )
    )
    return 0


def _diff(given: argparse.Namespace) -> int:
    from .history import diff, told

    found = diff(
        configuration.load(given.config),
        given.period,
        given.from_,
        given.to_,
        top=given.top,
        to_file=given.to_file,
    )
    print(told(found, given.period, top=given.top))
    if given.to_file is not None:
        print(f"\nwrote {given.to_file}")
    return 0


def _reconcile(given: argparse.Namespace) -> int:
    from .statement import reconcile

    text, adds_up = reconcile(configuration.load(given.config), given.period)
    print(text)
    return 0 if adds_up else 1


def _export(given: argparse.Namespace) -> int:
    from .export import TABLES, export_focus

    config = configuration.load(given.config)
    for table in [given.table] if given.table else TABLES:
        done = export_focus(config, given.period, given.to, table, given.format)
        print(f"wrote {done.path}: {done.rows} rows")
        for told in done.told:
            print(f"  {told.requirement}: not met by {told.rows} ({told.check}, docs/focus.md)")
    return 0


def _report(given: argparse.Namespace) -> int:
    from .pipeline import write_report

    print(f"wrote {write_report(configuration.load(given.config))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
