"""The price book: what the company believes its bought models cost, as a CSV file of its own.

What belongs here: the prices, the file, and what calls cost by it. Prices are those of the bill,
but for one that the provider has lowered since somebody wrote the book.
"""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

from .company import ENDPOINTS, Endpoint, Period

OUTDATED = {"titan-embed": (25, 25, 0)}
"""What the book still has for a model that got cheaper, in microdollars of 1,000 tokens."""

SKUS = {
    "aws.bedrock": "USE1-{}-*",
    "azure.ai.openai": "{} * glbl",
    "gcp.vertex_ai": "{} GA *",
}
"""What each provider's bill calls a model."""

HEADER = ("provider", "model", "from", "item", "tier", "price", "per", "currency", "sku")
ITEMS = ("input", "cache_read", "output")


def listed(endpoint: Endpoint) -> tuple[int, int, int]:
    """What the book asks for input, cached input and output, in microdollars of 1,000 tokens."""
    return OUTDATED.get(endpoint.group, endpoint.prices)


def list_cost(endpoint: Endpoint, fresh: int, cached: int, output: int) -> int:
    """What tokens cost by the book, in units of 10^-9 dollars."""
    return sum(n * p for n, p in zip((fresh, cached, output), listed(endpoint), strict=True))


def write(path: Path, period: Period) -> None:
    """Write the book: prices since the year began, and half of them for a batch."""
    rows: list[tuple[str, ...]] = []
    for endpoint in ENDPOINTS:
        if not endpoint.group:
            continue
        sku = SKUS[endpoint.provider].format(endpoint.model)
        for tier, parts in (("", 1), ("batch", 2)):
            if tier and endpoint.operation == "embeddings":
                continue
            for item, price in zip(ITEMS, listed(endpoint), strict=True):
                # A thousand tokens for a microdollar are a million for 0.001 dollars.
                amount = format((Decimal(price) / 1000 / parts).normalize(), "f")
                of = (endpoint.provider, endpoint.model, f"{period.start:%Y}-01-01", item, tier)
                rows.append((*of, amount, "1000000", "USD", sku))
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(HEADER)
    sheet.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="\n")
