"""One suite over every model registry: what a stage may expect of any of them.

MLflow is the real server, SageMaker moto's; Google has no emulator of Vertex AI, so a small server
answers as its public discovery document says.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from finops_pipeline import pipeline
from finops_pipeline.config import RegistrySection
from finops_pipeline.errors import ConfigError, Refused, Transient, Unavailable, UnreadableFile
from finops_pipeline.registries import Version, noted, open_registry, vertex
from finops_pipeline.registries import mlflow as mlflow_registry
from finops_pipeline.warehouse import Warehouse

from .small import MONEY, V1, Small
from .test_seams import s3_endpoint  # noqa: F401  # moto's server has SageMaker, too
from .tools import tool


class Place(Protocol):
    """A registry that is filled with what real ones hold."""

    block: RegistrySection

    def add(self, model: str, tags: dict[str, str], run: str = "") -> str:
        """Register a version, made by a run; its number."""

    def serve(self, model: str, version: str, endpoint: str) -> None:
        """Deploy it, or say where it is."""


# ----------------------------------------------------------------------------------- MLflow


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on a free port; it ends with the session."""
    server = str(tool("FINOPS_MLFLOW"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = tmp_path_factory.mktemp("mlflow")
    command = [server, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = [f"--backend-store-uri=sqlite:///{kept}/m.db", f"--artifacts-destination={kept}/a"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        (kept / "log").open("wb") as log,
        subprocess.Popen(
            [*command, *stores],
            stdout=log,
            stderr=log,
            env={**os.environ, **quiet},
            start_new_session=True,
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(1800):
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=1).close()
                    break
                except (urllib.error.URLError, OSError):
                    assert process.poll() is None, (kept / "log").read_text()
                    time.sleep(0.1)
            yield url
        finally:
            # Its workers are processes of their own; they are of its group.
            os.killpg(process.pid, signal.SIGKILL)


class MLflow:
    """The models of a running MLflow; names are its own, for all tests share the server."""

    def __init__(self, url: str) -> None:
        self.block = RegistrySection(name="reg", kind="mlflow", url=url)
        self.api = f"{url}/api/2.0/mlflow"
        self.experiment = self.ask("experiments/create", name=f"e{time.time_ns()}")["experiment_id"]
        self.runs: dict[str, str] = {}

    def ask(self, path: str, **said: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.api}/{path}", json=said, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def add(self, model: str, tags: dict[str, str], run: str = "") -> str:
        known = f"{self.api}/registered-models/get?name={model}"
        if not httpx.get(known, timeout=60).is_success:
            self.ask("registered-models/create", name=model)
        resource = [{"key": "finops.resource", "value": run}] if run else []
        made = self.ask("runs/create", experiment_id=self.experiment, tags=resource)["run"]["info"]
        version = self.ask(
            "model-versions/create",
            name=model,
            source=f"{made['artifact_uri']}/model",
            run_id=made["run_id"],
            tags=[{"key": k, "value": v} for k, v in tags.items()],
        )["model_version"]["version"]
        self.runs[run] = made["run_id"]
        return str(version)

    def serve(self, model: str, version: str, endpoint: str) -> None:
        said = {"key": "finops.endpoint", "value": endpoint}
        self.ask("model-versions/set-tag", name=model, version=version, **said)


# -------------------------------------------------------------------------------- SageMaker


class SageMaker:
    """The model packages of moto's SageMaker."""

    def __init__(self, url: str) -> None:
        import boto3

        self.block = RegistrySection(name="reg", kind="sagemaker", url=url, region="eu-west-1")
        self.client = boto3.client("sagemaker", endpoint_url=url, region_name="eu-west-1")
        self.runs: dict[str, str] = {}
        self.arns: dict[tuple[str, str], str] = {}

    def add(self, model: str, tags: dict[str, str], run: str = "") -> str:
        groups = self.client.list_model_package_groups()["ModelPackageGroupSummaryList"]
        if model not in {g["ModelPackageGroupName"] for g in groups}:
            self.client.create_model_package_group(ModelPackageGroupName=model)
        arn = self.client.create_model_package(
            ModelPackageGroupName=model,
            MetadataProperties={"GeneratedBy": run} if run else {},
            CustomerMetadataProperties=tags,
        )["ModelPackageArn"]
        version = arn.rpartition("/")[2]
        self.runs[run] = run.rpartition("/")[2]
        self.arns[model, version] = arn
        return str(version)

    def serve(self, model: str, version: str, endpoint: str) -> None:
        self.client.create_model(
            ModelName=f"m-{endpoint}",
            PrimaryContainer={"ModelPackageName": self.arns[model, version]},
            ExecutionRoleArn="arn:aws:iam::123456789012:role/none",
        )
        self.client.create_endpoint_config(
            EndpointConfigName=f"c-{endpoint}",
            ProductionVariants=[
                {
                    "VariantName": "all",
                    "ModelName": f"m-{endpoint}",
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                }
            ],
        )
        self.client.create_endpoint(EndpointName=endpoint, EndpointConfigName=f"c-{endpoint}")


# ------------------------------------------------------------------------------------ Vertex


class Vertex:
    """A server that lists models, versions and endpoints as aiplatform v1 does, two a page."""

    def __init__(self, url: str, models: list[dict[str, Any]], ends: list[dict[str, Any]]) -> None:
        self.parent = "projects/acme/locations/europe-west4"
        self.block = RegistrySection(
            name="reg", kind="vertex", url=url, project="acme", region="europe-west4"
        )
        self.models = models
        self.endpoints = ends
        self.runs: dict[str, str] = {}

    def add(self, model: str, tags: dict[str, str], run: str = "") -> str:
        version = 1 + sum(m["displayName"] == model for m in self.models)
        self.models.append(
            {
                "name": f"{self.parent}/models/id-{model}@{version}",
                "displayName": model,
                "versionId": str(version),
                "versionCreateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"),
                "labels": {k.replace(".", "_"): v for k, v in tags.items()},
                **({"trainingPipeline": run} if run else {}),
            }
        )
        self.runs[run] = run.rpartition("/")[2]
        return str(version)

    def serve(self, model: str, version: str, endpoint: str) -> None:
        deployed = {"model": f"{self.parent}/models/id-{model}", "modelVersionId": version}
        self.endpoints.append(
            {
                "name": f"{self.parent}/endpoints/7",
                "displayName": endpoint,
                "deployedModels": [deployed],
            }
        )


@contextlib.contextmanager
def answering(answer: Any) -> Iterator[str]:
    """A server on loopback; `answer(path, asked)` is a status and a body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            where = urlsplit(self.path)
            status, body = answer(where.path, parse_qs(where.query))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815  # named by http.server

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def vertex_place() -> Iterator[Vertex]:
    models: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []

    def answer(path: str, asked: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        if path == "/v1/projects/acme/locations/europe-west4/endpoints":
            key, found = "endpoints", ends
        elif path == "/v1/projects/acme/locations/europe-west4/models":
            newest = {m["displayName"]: m for m in models}  # models.list has one of each
            key, found = "models", list(newest.values())
        elif path.endswith(":listVersions") and "@" not in path:
            name = path.removeprefix("/v1/").removesuffix(":listVersions")
            key, found = "models", [m for m in models if m["name"].partition("@")[0] == name]
        else:
            return 404, {"error": {"message": f"no {path}"}}
        start = int(asked.get("pageToken", ["0"])[0])
        more = {"nextPageToken": str(start + 2)} if start + 2 < len(found) else {}
        return 200, {key: found[start : start + 2], **more}

    with answering(answer) as url:
        yield Vertex(url, models, ends)


@pytest.fixture(params=["mlflow", "sagemaker", "vertex"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "mlflow":
        return MLflow(request.getfixturevalue("mlflow_url"))
    if request.param == "sagemaker":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        return SageMaker(request.getfixturevalue("s3_endpoint"))
    return request.getfixturevalue("vertex_place")


RUN = {
    "mlflow": "ml/train-fraud",
    "sagemaker": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/train-fraud",
    "vertex": "projects/acme/locations/europe-west4/trainingPipelines/77",
}


def versions(block: RegistrySection, model: str) -> dict[str, Version]:
    return {v.version: v for v in open_registry(block).versions() if v.model == model}


# ------------------------------------------------------------------------------------ the suite


def test_a_version_tells_its_run_its_life_and_where_it_serves(place: Any) -> None:
    before = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=5)
    run = RUN[place.block.kind]
    tags = {"finops.life_days": "180", "finops.retired_on": "2027-01-15"}
    first = place.add("told", tags, run)
    second = place.add("told", {"finops.expected_requests": "1000"})
    place.serve("told", first, "told-server")

    found = versions(place.block, "told")

    assert {"1", "2"} == set(found) == {first, second}
    one = found[first]
    assert one.created is not None
    assert before < one.created < before + timedelta(minutes=10)
    assert (one.life_days, one.expected_requests) == (180, None)
    assert one.retired == datetime.fromisoformat("2027-01-15")
    assert "told-server" in one.endpoints
    assert place.runs[run] == one.run
    assert (run,) == one.resources
    assert () == found[second].endpoints == found[second].resources
    assert (None, 1000) == (found[second].life_days, found[second].expected_requests)
    assert found[second].retired is None


def test_every_page_is_read(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_registry, "PAGE", 2)
    monkeypatch.setattr(mlflow_registry, "RUNS_AT_ONCE", 3)
    added = {place.add("paged", {}, f"ml/run-{n}") for n in range(7)}

    found = versions(place.block, "paged")

    assert added == set(found)
    assert 7 == len({v.resources for v in found.values()})


def test_a_registry_is_listed_again_and_read_once(place: Any, tmp_path: Path) -> None:
    version = place.add("kept", {})
    settings = place.block.model_dump(exclude_none=True, exclude={"timeout_seconds"})
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    small = Small.make(tmp_path / "road")
    small.configure("\n".join(["[[registry]]", *lines]))

    def read() -> Any:
        with Warehouse(small.config).writing() as warehouse:
            (built,) = pipeline.read_registries(warehouse, "2026-10")
            with warehouse.engine() as connection:
                warehouse.bind(connection, {"model_version": ["all"]}, ())
                asked = "select x_Registry, x_ModelVersion, x_Endpoints from model_version "
                rows = connection.execute(asked + "where x_RegisteredModel = 'kept'").fetchall()
        return built.skipped, rows

    assert read() == (False, [("reg", version, "[]")])
    assert read() == (True, [("reg", version, "[]")])
    place.serve("kept", version, "kept-server")
    skipped, ((_, _, endpoints),) = read()
    assert not skipped
    assert "kept-server" in json.loads(endpoints)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("finops.life_days", "half", "'half'; write a whole number"),
        ("finops.expected_requests", "0", "'0'; write a whole number"),
        ("finops.retired_on", "soon", "'soon'; write it as YYYY-MM-DD"),
    ],
)
def test_a_tag_that_cannot_be_read_is_named(key: str, value: str, said: str) -> None:
    with pytest.raises(UnreadableFile, match=f"m version 1: the tag {key} is {said}"):
        noted("m version 1", {key: value})


def test_tags_are_compared_as_those_of_the_bill_are() -> None:
    found = noted(
        "m", {"FinOps_Life-Days": " 30 ", "finops.endpoint": "ns/a, ns/b", "life_days": "9"}
    )

    assert (30, ("ns/a", "ns/b"), None) == (found.life_days, found.endpoints, found.retired)


# --------------------------------------------------------------------------------------- MLflow


def test_mlflow_archives_and_calls_by_alias(mlflow_url: str) -> None:
    place = MLflow(mlflow_url)
    version = place.add("old", {})
    place.ask("registered-models/alias", name="old", version=version, alias="champion")
    place.ask("model-versions/transition-stage", name="old", version=version, stage="Archived")

    found = versions(place.block, "old")[version]

    assert ("Archived", ("champion",)) == (found.stage, found.aliases)
    assert found.retired is not None
    assert found.created is not None
    assert found.created <= found.retired


def test_mlflow_with_a_run_that_is_deleted(mlflow_url: str) -> None:
    place = MLflow(mlflow_url)
    version = place.add("orphan", {}, "ml/job")
    place.ask("runs/delete", run_id=place.runs["ml/job"])

    found = versions(place.block, "orphan")[version]

    assert ("ml/job",) == found.resources


def test_mlflow_asks_with_the_credentials_of_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    block = functools.partial(RegistrySection, name="reg", kind="mlflow", url="http://127.0.0.1:9")
    monkeypatch.setenv("A", "secret")
    monkeypatch.delenv("B", raising=False)

    token = mlflow_registry.connect(block(token_env="A"))
    basic = mlflow_registry.connect(block(user_env="A", password_env="A"))

    assert "Bearer secret" == token._client.headers["authorization"]
    assert isinstance(basic._client.auth, httpx.BasicAuth)
    for wrong, said in (
        ({"token_env": "B"}, "the variable B is not set"),
        ({"user_env": "A"}, "not half of both"),
        ({"token_env": "A", "user_env": "A", "password_env": "A"}, "not half of both"),
        ({"url": None}, "needs a `url`"),
    ):
        with pytest.raises(ConfigError, match=said):
            mlflow_registry.connect(block(**wrong))


def test_sagemaker_reads_tags_of_the_group(
    s3_endpoint: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = SageMaker(s3_endpoint)
    place.add("group", {})
    place.add("group", {"finops.life_days": "30"})
    groups = place.client.list_model_package_groups()["ModelPackageGroupSummaryList"]
    (arn,) = [g["ModelPackageGroupArn"] for g in groups if g["ModelPackageGroupName"] == "group"]
    place.client.add_tags(ResourceArn=arn, Tags=[{"Key": "finops:life-days", "Value": "90"}])

    found = versions(place.block, "group")

    assert {"1": 90, "2": 30} == {n: v.life_days for n, v in found.items()}


# ---------------------------------------------------------------------------------------- errors


def blocks(url: str) -> dict[str, RegistrySection]:
    more: dict[str, Any] = {"name": "reg", "url": url, "region": "eu-west-1", "project": "acme"}
    return {
        kind: RegistrySection(kind=kind, timeout_seconds=2, **more)  # type: ignore[arg-type]
        for kind in ("mlflow", "sagemaker", "vertex")
    }


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait before trying again."""
    monkeypatch.setattr(time, "sleep", functools.partial(_nap, time.sleep))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")


def _nap(sleep: Any, seconds: float) -> None:
    sleep(min(seconds, 0.1))


@pytest.mark.parametrize("kind", ["mlflow", "sagemaker", "vertex"])
@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error_code": "UNAUTHENTICATED"}, Refused),
        (403, {"error_code": "PERMISSION_DENIED"}, Refused),
        (404, {"error": "no such thing"}, Refused),
        (429, {"error": "slow down"}, Unavailable),
        (500, {"error": "oh"}, Unavailable),
        (503, b"not now", Unavailable),
    ],
)
def test_what_an_answer_means(kind: str, status: int, body: Any, error: type[Exception]) -> None:
    asked: list[str] = []

    def answer(path: str, _asked: object) -> tuple[int, Any]:
        asked.append(path)
        return status, body

    with answering(answer) as url, pytest.raises(error, match=str(status)):
        open_registry(blocks(url)[kind]).versions()

    assert (4 if issubclass(error, Transient) else 1) == len(asked)


@pytest.mark.parametrize("kind", ["mlflow", "vertex"])
@pytest.mark.parametrize(
    ("body", "error"),
    [(b'{"models": [', Unavailable), ([1], Refused), ({"models": [{"x": 1}]}, Refused)],
    ids=["half", "list", "other"],
)
def test_an_answer_that_is_none(kind: str, body: Any, error: type[Exception]) -> None:
    if isinstance(body, dict) and kind == "mlflow":
        body = {"registered_models": 1}
    with answering(lambda _path, _asked: (200, body)) as url, pytest.raises(error):
        open_registry(blocks(url)[kind]).versions()


@pytest.mark.parametrize("kind", ["mlflow", "sagemaker", "vertex"])
def test_nobody_answers(kind: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"

        with pytest.raises(Unavailable, match="no whole answer"):
            open_registry(blocks(url)[kind]).versions()


def test_what_passes_is_asked_again() -> None:
    tries: list[int] = []

    def answer(_path: str, _asked: object) -> tuple[int, Any]:
        tries.append(1)
        return (503, {}) if len(tries) < 3 else (200, {})

    with answering(answer) as url:
        assert [] == open_registry(blocks(url)["mlflow"]).versions()
        tries.clear()
        assert [] == open_registry(blocks(url)["vertex"]).versions()


def test_vertex_needs_a_project_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    block = RegistrySection(name="reg", kind="vertex", project="acme")
    with pytest.raises(ConfigError, match="needs a `project` and a `region`"):
        vertex.connect(block)

    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def nobody(**_: object) -> None:
        raise DefaultCredentialsError("none")

    monkeypatch.setattr(google.auth, "default", nobody)
    with pytest.raises(Refused, match="no Google credentials found"):
        open_registry(block.model_copy(update={"region": "europe-west4"})).versions()


def test_a_registry_that_is_away_is_told_by_the_run(tmp_path: Path) -> None:
    small = Small.make(tmp_path, to=(*MONEY, "model_cost"))
    small.deliver(V1)
    small.run()
    before = small.everything()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
        small.configure(f'[[registry]]\nname = "reg"\nkind = "mlflow"\nurl = "{address}"')

        with pytest.raises(Unavailable, match="no whole answer"):
            small.run()

    assert before == small.everything()
