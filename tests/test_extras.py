"""Without a heavy part everything else works, and what needs it says what to install."""

from __future__ import annotations

import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from finops_pipeline.config import Config
from finops_pipeline.errors import MissingExtra
from finops_pipeline.report import charts
from finops_pipeline.transports import open_transport

ROOT = Path(__file__).parents[1]


def test_s3_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(MissingExtra, match=r"pip install 'finops-pipeline\[s3\]'"):
        open_transport("s3://bucket/x", Config()).list("s3://bucket/*")


def test_azure_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.storage.blob", None)

    with pytest.raises(MissingExtra, match=r"pip install 'finops-pipeline\[azure\]'"):
        open_transport("az://container/x", Config()).list("az://container/*")


@pytest.mark.parametrize("missing", ["google.cloud.storage", "google.cloud.bigquery"])
def test_google_without_its_extra(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    import google.cloud

    for name in (missing, "google.api_core", "google.auth"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(google.cloud, missing.rsplit(".", 1)[-1], raising=False)
    place = "gs://b/*" if missing.endswith("storage") else "bigquery://p/d/t/2026-07"

    with pytest.raises(MissingExtra, match=r"pip install 'finops-pipeline\[gcp\]'"):
        open_transport(place, Config()).list(place)


def test_the_report_without_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)

    with pytest.raises(MissingExtra, match=r"pip install 'finops-pipeline\[report\]'"):
        charts.daily(1, [("#000", [Decimal(1)])], [["one"]], charts.HALF)


def test_the_extras_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert {"azure", "gcp", "s3", "report", "all"} == set(project["optional-dependencies"])
