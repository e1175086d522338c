"""The price book: what is read of it, and what calls cost by it, against a calculator of others."""

from __future__ import annotations

import csv
import json
import os
import random
import re
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, localcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops_pipeline import bindings, config, contracts, pipeline, prices
from finops_pipeline.contracts.fields import PRICE_ITEMS
from finops_pipeline.errors import CheckFailed, DeliveryVanished, UnreadableFile
from finops_pipeline.transports.files import Files

from .small import V1, Small
from .test_cases import engine, fill
from .test_real_data import shared

HEADER = "provider,model,from,item,tier,above,price,per,currency,sku"
GPT = """\
openai,gpt-4o,2024-08-06,input,,,2.50,1000000,USD,
openai,gpt-4o,2024-08-06,cache_read,,,1.25,1000000,USD,
openai,gpt-4o,2024-08-06,output,,,10.00,1000000,usd,
openai,gpt-4o,2024-08-06,input,batch,,1.25,1000000,USD,GPT4o-batch-*
google,gemini-2.5-*,2025-06-17T12:00,input,,200000,2.50,1000000,USD,
"""


def read(folder: Path, text: str) -> pl.DataFrame:
    folder.mkdir(exist_ok=True)
    (folder / "book.csv").write_text(text, encoding="utf-8")
    place = Files(folder)
    (item,) = place.list("book.csv")
    prices.read_prices(place, item, folder)
    contracts.table("price").validate([folder / "price.parquet"])
    return pl.read_parquet(folder / "price.parquet")


def test_a_book_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read(tmp_path, f"\ufeff{HEADER}\n{GPT}").rows(named=True)

    assert 5 == len(found)
    assert {
        "x_Provider": "openai",
        "x_Model": "gpt-4o",
        "x_PriceItem": "input",
        "x_ServiceTier": "batch",
        "x_ContextClass": 0,
        "x_PriceFrom": datetime(2024, 8, 6),
        "ListUnitPrice": Decimal("1.25"),
        "x_PricingBlockSize": 1_000_000,
        "PricingCurrency": "USD",
        "x_BilledSku": "GPT4o-batch-*",
        "x_SourceFile": "book.csv",
        "x_SourceRow": 4,
    } == found[3]
    assert (200_000, datetime(2025, 6, 17, 12), "standard") == (
        found[4]["x_ContextClass"],
        found[4]["x_PriceFrom"],
        found[4]["x_ServiceTier"],
    )


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (",m,2026-01-01,input,,,1,1000000,USD,", "row 6: provider and model must be named"),
        ("v,m,2026-01-01,tokens,,,1,1000000,USD,", "row 6: item is 'tokens', not one of input"),
        ("v,m,2026-01-01,input,,,one,1000000,USD,", "row 6: price is 'one', not an amount"),
        ("v,m,2026-01-01,input,,,-1,1000000,USD,", "row 6: price is '-1'"),
        ("v,m,2026-01-01,input,,,1e-13,1000000,USD,", "row 6: price is '1e-13'"),
        ("v,m,2026-01-01,input,,,1,7,USD,", "row 6: per is '7', not a number such as"),
        ("v,m,2026-01-01,input,,,1,0,USD,", "row 6: per is '0'"),
        ("v,m,2026-01-01,input,,,1,1000000,dollars,", "row 6: currency is 'dollars'"),
        ("v,m,2026-01-01,input,,150000,1,1000000,USD,", "above is '150000'.*known: 32000, 100000"),
        ("v,m,01.02.2026,input,,,1,1000000,USD,", "row 6: from is '01.02.2026', not a date"),
        ("v,m,2026-01-01T00:30,input,,,1,1000000,USD,", "a day or a full hour of UTC"),
        ("v,m,2026-01-01T00:00Z,input,,,1,1000000,USD,", "a day or a full hour of UTC"),
        ("v,m,2026-01-01,call_minimum,,,1,1000,USD,", "a call_minimum is per 1"),
        ("v,m,2026-01-01,input", "row 6: price is ''"),
        ("v,m,2026-01-01,input,,,0,75,1000000,USD,", "row 6: it has more cells than the header"),
    ],
)
def test_a_row_that_is_no_price_is_named(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=rf"book\.csv: .*{said}"):
        read(tmp_path, f"{HEADER}\n{GPT}{row}\n")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace(",item", ",thing"), "'item' is missing"),
        (HEADER.replace(",tier", ",service"), "'service' is not known"),
    ],
)
def test_a_column_gone_or_unknown_is_named(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=said):
        read(tmp_path, f"{header}\n{GPT}")


# ----------------------------------------------------------------------------------- the road

LOGS = """
[[inference]]
name = "gateway"
dialect = "litellm"
location = "logs/{date}.jsonl"

[price_book]
location = "prices/*.csv"
"""


def with_book(root: Path, text: str = GPT) -> Small:
    small = Small.make(root)
    small.configure(LOGS)
    (root / "logs").mkdir()
    (root / "logs" / "2026-10-02.jsonl").write_text(
        '{"request_id":"r","startTime":"2026-10-02T12:00:00Z","model":"gpt-4o",'
        '"custom_llm_provider":"openai","prompt_tokens":100000,"completion_tokens":1000,'
        '"api_key":"sk-1","metadata":{"usage_object":{"prompt_tokens_details":'
        '{"cached_tokens":90000}}}}\n'
    )
    (root / "prices").mkdir()
    (root / "prices" / "openai.csv").write_text(f"{HEADER}\n{text}")
    small.deliver(V1)
    return small


def cost(small: Small) -> list[tuple[Any, ...]]:
    return small.ask("select x_Model, ListCost, PricingCurrency, x_Reason from list_cost")


def test_a_changed_price_costs_what_hangs_on_it(tmp_path: Path) -> None:
    """0.1375 and an output of 1,000 tokens; then output is cheaper, in another file."""
    small = with_book(tmp_path)
    small.run()
    assert [("gpt-4o", Decimal("0.1475"), "USD", None)] == cost(small)
    assert [("sha256:", 23)] == small.ask(
        "select left(x_Credential, 7), len(x_Credential) from list_cost"
    )
    assert 5 == small.ask("select count(*) from price")[0][0]

    assert not [b for b in small.run() if b.table in ("price", "list_cost") and not b.skipped]

    newer = "openai,gpt-4o,2026-10-02,output,,,4.00,1000000,USD,\n"
    (tmp_path / "prices" / "more.csv").write_text(f"{HEADER}\n{newer}")
    done = {b.table for b in small.run() if not b.skipped}
    assert [("gpt-4o", Decimal("0.1415"), "USD", None)] == cost(small)
    assert {"price", "list_cost"} <= done
    assert not {"inference_usage", "cost_and_usage", "charge_owner"} & done


def test_prices_that_contradict_each_other_stop_the_road(tmp_path: Path) -> None:
    twice = "openai,gpt-4o,2024-08-06T00:00,output,standard,0,9,1000,USD,\n"
    with pytest.raises(CheckFailed, match=r"openai\.csv row 3, openai\.csv row 6"):
        with_book(tmp_path / "twice", GPT + twice).run()
    euro = "openai,gpt-4o,2026-08-06,output,,,9,1000000,EUR,\n"
    with pytest.raises(CheckFailed, match="EUR, USD"):
        with_book(tmp_path / "euro", GPT + euro).run()


def test_what_was_billed_for_a_timeout_is_told_from_the_log(tmp_path: Path) -> None:
    """Two calls of a dollar by list, one that timed out, and 2.50 on the bill."""
    small = with_book(tmp_path)
    small.configure(
        '[[inference_split]]\nname = "api"\nwhere = { ServiceName = "Models" }\n'
        'endpoint = "openai/*"\n'
    )
    small.deliver((("02", "", "2.50"),), "models.csv", ServiceName="Models")
    call = {
        "startTime": "2026-10-02T12:00:00Z",
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "prompt_tokens": 400_000,
        "completion_tokens": 0,
        "status": "success",
    }
    failed = {"prompt_tokens": 0, "status": "failure", "metadata": {"status": "failure"}}
    lines = [call | {"request_id": n} for n in "ab"] + [call | failed | {"request_id": "c"}]
    (tmp_path / "logs" / "2026-10-02.jsonl").write_text("\n".join(map(json.dumps, lines)))

    small.run()

    assert [(3, 1, 1, Decimal(2), Decimal("0.5"), 0)] == small.ask(
        "select x_Calls, x_FailedCalls, x_UnknownTokenCalls, ListCost, x_GapRetry, "
        "x_GapUnexplained from gateway_reconciliation"
    )


def test_a_book_that_is_gone_is_an_accident(tmp_path: Path) -> None:
    small = with_book(tmp_path)
    small.run()
    (tmp_path / "prices" / "openai.csv").unlink()
    with pytest.raises(DeliveryVanished, match=r"\[price_book\]: the 1 file\(s\) read before"):
        small.run()


def test_what_is_checked_before_a_run(tmp_path: Path) -> None:
    small = with_book(tmp_path)
    assert ("[price_book]: 1 file(s)", True) in pipeline.survey(small.config, "2026-10")


# ------------------------------------------------------------------- against others' numbers


def listed(usage: list[dict[str, Any]], book: list[dict[str, Any]]) -> Any:
    """A database whose `list_cost` has what the calls cost by the book."""
    connection = engine({"price": book, "inference_usage": usage}, {})
    parameters = {**bindings.parameters(config.Config()), "period": "2026-10"}
    for table in ("served_endpoint", "list_cost"):
        fill(connection, f"allocation/{table}", parameters)
    return connection


def test_a_production_trace_at_a_list_price() -> None:
    """8,819 calls of the Azure code trace at the price of gpt-4o: as two calculators have it."""
    path = shared("azure_llm_2023/AzureLLMInferenceTrace_code.csv")
    with path.open(newline="") as file:
        calls = [
            {
                "x_Provider": "openai",
                "x_Model": "gpt-4o",
                "x_Credential": str(n),
                "x_Calls": 1,
                "x_InputTokens": int(row["ContextTokens"]),
                "x_OutputTokens": int(row["GeneratedTokens"]),
            }
            for n, row in enumerate(csv.DictReader(file))
        ]
    book = [
        {"x_Provider": "openai", "x_Model": "gpt-4o", "x_PriceItem": item, "ListUnitPrice": price}
        for item, price in (("input", "2.50"), ("output", "10"))
    ]
    summed = {
        name: sum(int(str(c[name])) for c in calls)
        for name in ("x_Calls", "x_InputTokens", "x_OutputTokens")
    }
    one = {**calls[0], **summed, "x_Credential": None}

    assert 8819 == len(calls)
    for usage in ([one], calls[:500]):
        expected = sum(
            (
                Decimal(u["x_InputTokens"]) * Decimal("2.5") + Decimal(u["x_OutputTokens"]) * 10
                for u in usage
            ),
            Decimal(0),
        ) / Decimal(1_000_000)
        assert [(expected,)] == listed(usage, book).execute(
            "select sum(ListCost) from list_cost"
        ).fetchall()
    assert [(Decimal("47.608895"),)] == listed([one], book).execute(
        "select ListCost from list_cost"
    ).fetchall()


MODELS = (
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-5"),
    ("google", "gemini-2.5-pro"),
)
ITEMS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
}


def test_list_costs_are_those_of_an_independent_calculator() -> None:
    """Its own prices make the book; its own code prices the same calls, below and above 200,000."""
    if os.environ.get("CI") == "true":
        import genai_prices
    else:
        genai_prices = pytest.importorskip("genai_prices", reason="make test installs it")
    dice = random.Random(13)
    book: list[dict[str, Any]] = []
    usage: list[dict[str, Any]] = []
    expected: dict[str, Decimal] = {}
    for provider, model in MODELS:
        probe = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=1), model_ref=model, provider_id=provider
        )
        items = {ITEMS[k]: v for k, v in vars(probe.model_price).items() if k in ITEMS and v}
        for item, price in items.items():
            steps = [(0, getattr(price, "base", price))]
            steps += [(t.start, t.price) for t in getattr(price, "tiers", ())]
            book += [
                {
                    "x_Provider": provider,
                    "x_Model": model,
                    "x_PriceItem": item,
                    "x_ContextClass": above,
                    "ListUnitPrice": str(amount),
                }
                for above, amount in steps
            ]
        for n in range(60):
            tokens = dice.choice([dice.randint(1, 400_000), 200_000, 200_001])
            cached = dice.randint(0, tokens)
            short = dice.randint(0, tokens - cached) if "cache_write_5m" in items else 0
            long = dice.randint(0, tokens - cached - short) if "cache_write_1h" in items else 0
            output = dice.randint(0, 100_000)
            name = f"{model} {n}"
            told = {"cache_write_tokens": short + long, "cache_write_1h_tokens": long}
            expected[name] = genai_prices.calc_price(
                genai_prices.Usage(
                    input_tokens=tokens,
                    cache_read_tokens=cached,
                    output_tokens=output,
                    **{k: v for k, v in told.items() if v},
                ),
                model_ref=model,
                provider_id=provider,
            ).total_price
            usage.append(
                {
                    "x_Provider": provider,
                    "x_Model": model,
                    "x_Credential": name,
                    "x_ContextClass": 200_000 if tokens > 200_000 else 0,
                    "x_Calls": 1,
                    "x_InputTokens": tokens,
                    "x_CachedInputTokens": cached,
                    "x_CacheWrite5mTokens": short,
                    "x_CacheWrite1hTokens": long,
                    "x_OutputTokens": output,
                }
            )
    found = listed(usage, book).execute("select x_Credential, ListCost from list_cost").fetchall()

    with localcontext() as exact:
        exact.prec = 60
        cut = Decimal(1).scaleb(-12)
        assert {n: c.quantize(cut, ROUND_DOWN) for n, c in expected.items()} == dict(found)
    assert len(MODELS) * 60 == len(found)


# -------------------------------------------------------------------------------- what is told


DOC = (Path(__file__).parents[1] / "docs" / "inference.md").read_text(encoding="utf-8")


def test_the_book_that_is_shown_is_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```csv\n(.*?)```", DOC, re.DOTALL)

    assert 7 == read(tmp_path, shown).height


def test_every_item_column_and_length_is_explained() -> None:
    for word in (*PRICE_ITEMS, *prices.REQUIRED, *prices.OPTIONAL):
        assert f"`{word}`" in DOC, word
    lengths = re.findall(r"\b\d{2,3},000\b", DOC[: DOC.index("## Dialects")])

    assert [32, 100, 128, 200, 256, 272, 512] == sorted({int(n[:-4]) for n in lengths})


def test_every_gap_is_explained() -> None:
    gaps = [c for c in contracts.table("gateway_reconciliation").names if "Gap" in c]

    assert [] == [c for c in gaps if f"| `{c}` |" not in DOC]
