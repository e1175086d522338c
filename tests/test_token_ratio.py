"""What tokens weigh: by a ratio with a name and a first day, or by the time an engine measured."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_pipeline import bindings, config, contracts
from finops_pipeline.errors import ConfigError

from .test_cases import engine, fill

RATIO = {"name": "one", "since": date(2026, 10, 1), "input": 1, "cached_input": "0.1", "output": 4}


def ratios(*blocks: dict[str, Any]) -> Any:
    parsed = config.parse({"token_ratio": list(blocks)}, Path())
    return bindings.small_tables(parsed)["token_ratio"].rows


def test_every_day_has_one_ratio() -> None:
    later = {**RATIO, "name": "two", "since": date(2026, 11, 1), "output": "2.5"}

    assert ratios(later, RATIO) == (
        ("allocation", "0001-01-01", "2026-10-01", 1000, 100, 2500),
        ("one", "2026-10-01", "2026-11-01", 1000, 100, 4000),
        ("two", "2026-11-01", "9999-12-31", 1000, 100, 2500),
    )


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([RATIO, {**RATIO, "name": "two"}], "two ratios begin on 2026-10-01"),
        ([RATIO, {**RATIO, "since": date(2026, 11, 1)}], "two blocks are called 'one'"),
        ([{**RATIO, "name": "allocation"}], "give this another name"),
        ([{**RATIO, "output": "2.0005"}], r"\[\[token_ratio\]\] one: 2.0005 has more digits"),
        ([{**RATIO, "output": -1}], "token_ratio.0.output"),
    ],
)
def test_a_ratio_that_is_none_is_refused(blocks: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ratios(*blocks)


MS = st.integers(1, 10**9)
TOKENS = st.integers(1, 10**9)


@pytest.fixture(scope="module")
def database() -> Any:
    return engine({}, {})


def put(database: Any, table: str, **row: Any) -> None:
    types = contracts.table(table).duckdb
    row = {"x_HourStart": "2026-10-01 00:00", "x_Endpoint": "ns/llm", "x_Model": "m"} | row
    columns, marks = ", ".join(row), ", ".join(f"cast(? as {types[c]})" for c in row)
    database.execute(f"insert into {table} ({columns}) values ({marks})", list(row.values()))


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    prefill=MS,
    decode=MS,
    computed=TOKENS,
    engine_cached=st.integers(0, 10**6),
    output=TOKENS,
    logged=st.lists(st.tuples(TOKENS, st.integers(0, 10**6), TOKENS), min_size=1, max_size=3),
)
def test_tokens_take_what_the_engine_measured_to_the_nanosecond(
    database: Any,
    prefill: int,
    decode: int,
    computed: int,
    engine_cached: int,
    output: int,
    logged: list[tuple[int, int, int]],
) -> None:
    """All tokens of the engine together took its time, but for less than a nanosecond each."""
    for table in ("serving_usage", "inference_usage", "served_endpoint", "token_time"):
        database.execute(f"delete from {table}")
    put(
        database, "serving_usage", x_Cluster="c", x_InputTokens=computed + engine_cached,
        x_CachedInputTokens=engine_cached, x_OutputTokens=output, x_PrefillMs=prefill,
        x_DecodeMs=decode,
    )  # fmt: skip
    for fresh, cached, written in logged:
        put(
            database, "inference_usage", x_Calls=1, x_PhaseMsCalls=0, x_InputTokens=fresh + cached,
            x_CachedInputTokens=cached, x_OutputTokens=written,
        )  # fmt: skip
    for table in ("served_endpoint", "token_time"):
        fill(database, f"allocation/{table}", {"period": "2026-10"})
    ((in_ns, cached_ns, out_ns),) = database.execute(
        "select x_InputTokenNs, x_CachedInputTokenNs, x_OutputTokenNs from token_time"
    ).fetchall()
    told_apart = engine_cached > 0 and any(cached for _, cached, _ in logged)
    read = computed if told_apart else computed + engine_cached

    assert in_ns * read <= prefill * 1_000_000 < (in_ns + 1) * read
    assert out_ns * output <= decode * 1_000_000 < (out_ns + 1) * output
    assert cached_ns == (0 if told_apart else in_ns)
