"""From a showback number back to method, weights, charges, file and row: `finops explain`.

What belongs here: the order in which the queries of sql/explain are told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import queries
from .ask import as_table, fetch, opened
from .bindings import small_tables
from .config import Config
from .errors import ConfigError
from .warehouse import bind_rows

STEPS = (
    ("1_showback", "What the showback says"),
    ("2_pools", "The pools it is part of, and by which weight"),
    ("3_charges", "The charges of those pools, as delivered"),
    ("4_rules", "The rules that match, for what tags left open"),
    ("5_shared", "What is shared with it or by it: from whom, to whom, and by which weight"),
)


def explain(config: Config, wanted: Mapping[str, str], *, rows: int = 10) -> str:
    """Text that takes the matching showback rows apart; `ConfigError` when nothing matches."""
    names = ("period", "day", "feature", "tenant", "environment", "service", "model")
    bound: dict[str, Any] = {n: wanted.get(n) for n in names}
    bound["unused_commitment"] = config.allocation.unused_commitment
    told: list[str] = []
    with opened(config.database) as connection:
        for name in ("inference_split", "cluster_charge", "owner_rule"):
            bind_rows(connection, name, small_tables(config)[name])
        if bound["period"] is None:
            newest = fetch(connection, "select max(BillingPeriod) from showback")[1]
            bound["period"] = newest[0][0]
        for name, title in STEPS:
            query = queries.query(f"explain/{name}")
            asked = {k: v for k, v in bound.items() if k in query.parameters}
            columns, found = fetch(connection, query.text, asked)
            if name == "1_showback" and not found:
                raise ConfigError(
                    f"no showback row matches {dict(wanted)}; see what there is with "
                    '`finops sql "select distinct x_Feature, x_Tenant from showback"`'
                )
            if name in ("4_rules", "5_shared") and not found:
                continue
            more = f"   (first {rows} of {len(found):,})" if len(found) > rows else ""
            told.append(f"{title}{more}\n\n{as_table(columns, found[:rows])}")
    return "\n\n".join(told)
