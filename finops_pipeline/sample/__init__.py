"""A made-up company whose right answers are known by construction.

`write` fills a folder with everything the pipeline reads (bills, metrics, logs, a price book,
revenue, a GitOps repository and the `finops.toml` that points at them) and, beside it,
`truth.json`: what a right pipeline must find. The pipeline never reads that file. The same
arguments give the same bytes, whatever the machine.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .company import Period

__all__ = ["Truth", "write"]


@dataclass(frozen=True)
class Truth:
    """What was written, and the right answers. `answers` is the content of `path`."""

    path: Path
    answers: dict[str, Any]

    def summary(self) -> str:
        """One line for a person: the money, the calls and the faults that were planted."""
        money: dict[str, Decimal] = {}
        for invoice in self.answers["invoices"]:
            currency = invoice["currency"]
            billed = Decimal(invoice["BilledCost"])
            money[currency] = money.get(currency, Decimal(0)) + billed
        sums = " and ".join(f"{m:,.2f} {c}" for c, m in sorted(money.items(), reverse=True))
        calls = sum(c["calls"] for c in self.answers["calls"])
        faults = len(self.answers["faults"])
        return f"{sums} billed, {calls:,} calls, {faults} planted faults (truth.json)"


def write(
    directory: Path,
    *,
    days: int = 31,
    scale: int = 1,
    seed: int = 1,
    start: date = date(2026, 10, 1),
    sample_minutes: int = 5,
    openmetrics: bool = False,
) -> Truth:
    """Write the company's inputs and truth into `directory`, which must be empty or new.

    `scale` multiplies resources, pods and calls; `sample_minutes` is the scrape interval, a
    divisor of 60. Metrics are written as Parquet for every day, and as OpenMetrics text for the
    first day, or for all with `openmetrics`. Raises `ConfigError`.
    """
    if days < 1 or scale < 1:
        raise ConfigError("a sample needs at least one day and a scale of at least one")
    if sample_minutes < 1 or 60 % sample_minutes:
        raise ConfigError(f"a scrape interval of {sample_minutes} minutes does not divide an hour")
    if directory.exists() and any(directory.iterdir()):
        raise ConfigError(f"{directory} is not empty; remove it, or name another folder")
    from . import (
        azure,
        bill,
        databricks,
        functions,
        gitops,
        google,
        inference,
        metrics,
        prices,
        revenue,
        training,
        truth,
    )

    period = Period(start, days, scale, seed)
    inputs = directory / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    commit = gitops.write(directory / "gitops", period)
    tally = inference.Tally()
    inference.write(inputs / "inference", period, tally)
    ledger = bill.Ledger()
    for month in period.months():
        jobs = [*training.lines(period, month, ledger), *functions.lines(period, month, ledger)]
        bill.write_aws(inputs / "aws", period, month, tally.billed, jobs, ledger)
        azure.write(inputs / "azure", period, month, tally.billed, ledger)
        google.write(inputs / "google", period, month, tally.billed, ledger)
        databricks.write(inputs / "databricks", period, month, ledger)
        revenue.write(inputs / "revenue", period, month)
    metrics.write(inputs, period, tally, sample_minutes, days if openmetrics else 1)
    functions.write(inputs / "functions", period)
    prices.write(inputs / "prices" / "models.csv", period)
    (directory / "finops.toml").write_text(truth.configuration(period), encoding="utf-8")
    answers = truth.answers(period, tally, ledger, commit)
    path = directory / "truth.json"
    path.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return Truth(path, answers)
