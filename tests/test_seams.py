"""One suite over every transport: what a stage may expect of any place its inputs live in.

Each place is the real thing, or an emulator: a folder, moto's S3 server, Azurite of Microsoft and
gcp-storage-emulator. To put a transport under test, add a `Place` with the same four verbs.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from finops_pipeline.config import AzureSection, Config, GcsSection, S3Section
from finops_pipeline.errors import ConfigError, DeliveryVanished, Refused, Unavailable
from finops_pipeline.transports import Item, Transport, landing, open_transport

from .tools import tool

BIG = 9 << 20  # above the 8 MiB at which boto3 uploads in parts, so the ETag is no MD5


class Place(Protocol):
    """Somewhere a provider delivers to."""

    transport: Transport
    location: str

    def put(self, path: str, content: bytes) -> None: ...
    def remove(self, path: str) -> None: ...


class Folder:
    """A folder beside `finops.toml`."""

    def __init__(self, root: Path) -> None:
        self.root = root / "deliveries"
        self.location = "deliveries"
        self.transport = open_transport(self.location, Config(root=root))

    def put(self, path: str, content: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()


class Bucket:
    """A bucket of a running S3 server, made for one test."""

    def __init__(self, endpoint: str, name: str) -> None:
        import boto3

        self.bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
        self.location = f"s3://{name}/deliveries"
        config = Config(s3=S3Section(endpoint_url=endpoint))
        self.transport = open_transport(self.location, config)

    def put(self, path: str, content: bytes) -> None:
        import io

        if len(content) < BIG:
            self.bucket.put_object(Key=f"deliveries/{path}", Body=content)
        else:
            self.bucket.upload_fileobj(io.BytesIO(content), f"deliveries/{path}")

    def remove(self, path: str) -> None:
        self.bucket.Object(f"deliveries/{path}").delete()


class GoogleBucket:
    """A bucket of a running Google Cloud Storage emulator, made for one test.

    It answers with all there is at once, and slows down with every file.
    """

    many = 105

    def __init__(self, endpoint: str, name: str) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        client = storage.Client(
            credentials=AnonymousCredentials(),
            project="made-up",
            client_options={"api_endpoint": endpoint},
        )
        self.bucket = client.create_bucket(name)
        self.location = f"gs://{name}/deliveries"
        config = Config(gcs=GcsSection(endpoint_url=endpoint))
        self.transport = open_transport(self.location, config)

    def put(self, path: str, content: bytes) -> None:
        self.bucket.blob(f"deliveries/{path}").upload_from_string(content)

    def remove(self, path: str) -> None:
        self.bucket.blob(f"deliveries/{path}").delete()


@pytest.fixture(scope="session")
def gcs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Google Cloud Storage emulated on a free port; it ends with the session."""
    beside = Path(sys.executable).with_name("gcp-storage-emulator")
    server = str(beside) if beside.exists() else shutil.which("gcp-storage-emulator")
    if server is None:
        if os.environ.get("CI") == "true":
            pytest.fail("gcp-storage-emulator is not installed")
        pytest.skip("gcp-storage-emulator is not installed: pip install gcp-storage-emulator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        (tmp_path_factory.mktemp("gcs") / "log").open("wb") as log,
        subprocess.Popen(
            [server, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"],
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None, "gcp-storage-emulator ended early"
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()  # some wait for open connections when asked to end


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Moto's server on a free port; it ends with the session."""
    beside = Path(sys.executable).with_name("moto_server")
    server = str(beside) if beside.exists() else shutil.which("moto_server")
    if server is None:
        if os.environ.get("CI") == "true":
            pytest.fail("moto_server is not installed: pip install 'moto[server]'")
        pytest.skip("moto_server is not installed: pip install 'moto[server]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    with (
        log,
        subprocess.Popen(
            [server, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        ) as process,
    ):
        endpoint = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(endpoint, timeout=1).close()
                    break
                except (urllib.error.URLError, OSError):
                    assert process.poll() is None, "moto_server ended early"
                    time.sleep(0.1)
            yield endpoint
        finally:
            process.kill()  # some wait for open connections when asked to end


class Container:
    """A container of a running Azurite, made for one test; its blobs hold MD5s as Azure's do."""

    many = 105

    def __init__(self, endpoint: str, name: str) -> None:
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": "devstoreaccount1", "account_key": AZURITE_KEY}
        service = BlobServiceClient(f"{endpoint}/devstoreaccount1", credential=credential)
        self.container = service.create_container(name)
        self.location = f"az://{name}/deliveries"
        self.transport = azure(endpoint)

    def put(self, path: str, content: bytes, **more: Any) -> None:
        self.container.upload_blob(f"deliveries/{path}", content, overwrite=True, **more)

    def remove(self, path: str) -> None:
        self.container.delete_blob(f"deliveries/{path}")


def azure(endpoint: str, auth: str = "key") -> Transport:
    section = AzureSection(
        account="devstoreaccount1",
        auth=auth,  # type: ignore[arg-type]  # a test gives one of them
        secret_env="FINOPS_TEST_SECRET",
        endpoint_url=f"{endpoint}/devstoreaccount1",
    )
    return open_transport("az://x/", Config(azure=section))


# Azurite's account and key are the same everywhere, and no secret.
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Azurite, Microsoft's emulator, on a free port; it ends with the session."""
    server = str(tool("FINOPS_AZURITE"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = tmp_path_factory.mktemp("azurite")
    command = [server, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(kept)]
    quiet = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with (
        (kept / "log").open("wb") as log,
        subprocess.Popen([*command, *quiet], stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(300):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert process.poll() is None, "azurite-blob ended early"
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()  # some wait for open connections when asked to end


class Wire:
    """What lies between us and a server: counts what is answered, and cuts it when told to."""

    def __init__(self, endpoint: str) -> None:
        where = urllib.parse.urlsplit(endpoint)
        self.server = (str(where.hostname), int(where.port or 80))
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.asked = b""
        self.answered = 0
        self.cut_after: int | None = None
        self.damage_at: int | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self.listening.accept()
            except OSError:
                return
            server = socket.create_connection(self.server)
            for work, one, other in ((self._ask, peer, server), (self._answer, server, peer)):
                threading.Thread(target=work, args=(one, other), daemon=True).start()

    def _ask(self, peer: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := peer.recv(65536):
                self.asked += data[:4096]
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), server, peer:
            while data := server.recv(65536):
                with self._lock:
                    self.answered += len(data)
                    if self.cut_after is not None and self.answered > self.cut_after:
                        self.cut_after = None
                        peer.shutdown(socket.SHUT_RDWR)
                        return
                    if self.damage_at is not None and self.answered > self.damage_at:
                        self.damage_at = None
                        data = data[:-1] + bytes([data[-1] ^ 1])
                peer.sendall(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


@pytest.fixture(params=["s3", "azure", "gcs"])
def wired(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Place, Wire]]:
    """Every place over a network, with the wire to it in our hands."""
    endpoints = {"s3": "s3_endpoint", "azure": "azurite", "gcs": "gcs_endpoint"}
    wire = Wire(request.getfixturevalue(endpoints[request.param]))
    monkeypatch.setattr(landing, "WAIT", 0.01)
    try:
        yield remote(request.param, wire.endpoint, tmp_path, monkeypatch), wire
    finally:
        wire.close()


def remote(kind: str, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A new bucket or container of a place over a network."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    make = {"s3": Bucket, "azure": Container, "gcs": GoogleBucket}[kind]
    return make(endpoint, kind + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20])


@pytest.fixture(params=["files", "s3", "azure", "gcs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "files":
        return Folder(tmp_path)
    endpoints = {"s3": "s3_endpoint", "azure": "azurite", "gcs": "gcs_endpoint"}
    endpoint = request.getfixturevalue(endpoints[request.param])
    return remote(request.param, endpoint, tmp_path, monkeypatch)


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "FINOPS_TEST_SECRET": AZURITE_KEY,
}


def paths(place: Place, pattern: str) -> list[str]:
    return [item.path for item in place.transport.list(f"{place.location}/{pattern}")]


def only(place: Place, pattern: str) -> Item:
    (item,) = place.transport.list(f"{place.location}/{pattern}")
    return item


def test_lists_what_matches_sorted_and_relative_to_the_fixed_folder(place: Place) -> None:
    for path in ("p=2026-08/b.csv", "p=2026-08/a.csv", "p=2026-08/a.txt", "p=2026-09/a.csv"):
        place.put(path, b"x")

    assert ["a.csv", "b.csv"] == paths(place, "p=2026-08/*.csv")
    assert ["p=2026-08/a.csv", "p=2026-09/a.csv"] == paths(place, "p=*/a.csv")
    assert ["a.txt"] == paths(place, "p=2026-08/a.txt")


def test_a_star_is_part_of_one_name_and_other_signs_are_themselves(place: Place) -> None:
    for path in ("deep/er/a.csv", "a.csv", "axcsv", "[1].csv"):
        place.put(path, b"x")

    assert ["[1].csv", "a.csv"] == paths(place, "*.csv")
    assert ["[1].csv"] == paths(place, "[1].csv")
    assert ["deep/er/a.csv"] == paths(place, "*/*/*")


def test_nothing_there_is_an_empty_list(place: Place) -> None:
    assert [] == paths(place, "p=2026-08/*.csv")


def test_size_and_fingerprint_follow_the_content(place: Place) -> None:
    place.put("a.csv", b"one")
    first = only(place, "*.csv")
    assert (first, 3) == (only(place, "*.csv"), first.size)

    place.put("a.csv", b"two!")

    second = only(place, "*.csv")
    assert 4 == second.size
    assert first.fingerprint != second.fingerprint


def test_fetches_a_whole_file_and_reads_a_small_one(place: Place, tmp_path: Path) -> None:
    content = os.urandom(1024) * (BIG // 1024)
    place.put("big.bin", content)
    place.put("small.json", b"{}")

    local = place.transport.fetch(only(place, "big.bin"), tmp_path / "landing")

    assert content == local.read_bytes()
    assert b"{}" == place.transport.read(only(place, "small.json"))
    assert hashlib.sha256(content).hexdigest() == place.transport.digest(only(place, "big.bin"))


def test_what_landed_is_not_fetched_again(place: Place, tmp_path: Path) -> None:
    place.put("a.csv", b"one")
    item = only(place, "a.csv")
    first = place.transport.fetch(item, tmp_path / "landing")
    written = first.stat().st_mtime_ns

    second = place.transport.fetch(item, tmp_path / "landing")

    assert (first, written) == (second, second.stat().st_mtime_ns)
    assert [] == list(tmp_path.glob("landing/*.part"))


def test_a_file_changed_under_us_is_never_read_as_the_old_one(place: Place, tmp_path: Path) -> None:
    place.put("a.csv", b"one")
    item = only(place, "a.csv")
    place.put("a.csv", b"two")

    with pytest.raises(Unavailable, match=r"a\.csv: changed since it was listed"):
        place.transport.fetch(item, tmp_path / "landing")

    assert [] == list(tmp_path.glob("landing/*"))


def test_a_file_gone_since_it_was_listed_says_so(place: Place, tmp_path: Path) -> None:
    place.put("a.csv", b"one")
    item = only(place, "a.csv")
    place.remove("a.csv")

    with pytest.raises(DeliveryVanished, match=r"a\.csv: was listed and is gone"):
        place.transport.fetch(item, tmp_path / "landing")


# ----------------------------------------------------------------- over a network that breaks


def test_a_download_that_breaks_off_goes_on_where_it_was(
    wired: tuple[Place, Wire], tmp_path: Path
) -> None:
    place, wire = wired
    content = os.urandom(1024) * (BIG // 1024)
    place.put("big.bin", content)
    item = only(place, "big.bin")
    before = wire.answered
    wire.cut_after = before + BIG // 2

    local = place.transport.fetch(item, tmp_path / "landing")

    assert content == local.read_bytes()
    assert wire.cut_after is None
    assert wire.answered - before < BIG * 3 // 2


def test_the_next_run_goes_on_where_the_last_was_killed(
    wired: tuple[Place, Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, wire = wired
    content = os.urandom(1024) * (BIG // 1024)
    place.put("big.bin", content)
    item = only(place, "big.bin")

    def killed(item: Item, ask: landing.Ask, start: int = 0) -> Iterator[bytes]:
        came = 0
        for chunk in steady(item, ask, start):
            yield chunk
            came += len(chunk)
            if came > BIG // 3:
                raise KeyboardInterrupt

    steady = landing.steady
    monkeypatch.setattr(landing, "steady", killed)
    with pytest.raises(KeyboardInterrupt):
        place.transport.fetch(item, tmp_path / "landing")
    monkeypatch.setattr(landing, "steady", steady)
    (part,) = tmp_path.glob("landing/*.part")
    assert BIG // 3 < part.stat().st_size < BIG
    time.sleep(0.2)  # what was on its way has come
    before = wire.answered

    local = place.transport.fetch(item, tmp_path / "landing")

    assert content == local.read_bytes()
    assert wire.answered - before < BIG * 3 // 4
    assert [local] == list(tmp_path.glob("landing/*"))


def test_what_came_damaged_is_thrown_away(wired: tuple[Place, Wire], tmp_path: Path) -> None:
    place, wire = wired
    content = os.urandom(1 << 20)
    place.put("a.bin", content)
    item = only(place, "a.bin")
    wire.damage_at = wire.answered + (1 << 19)

    with pytest.raises(Unavailable, match=r"damaged|no whole answer"):
        place.transport.fetch(item, tmp_path / "landing")

    assert [] == list(tmp_path.glob("landing/*"))
    assert content == place.transport.fetch(item, tmp_path / "landing").read_bytes()


def test_a_long_download_tells_how_far_it_is(
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if isinstance(place, Folder):
        pytest.skip("nothing is downloaded from a folder")
    place.put("big.bin", bytes(BIG))
    monkeypatch.setattr(landing, "TELL_EVERY", 0.0)

    with caplog.at_level("INFO", logger="finops_pipeline"):
        place.transport.fetch(only(place, "big.bin"), tmp_path / "landing")

    assert any(m.endswith("big.bin: 9 of 9 MiB") for m in caplog.messages), caplog.messages


def test_an_answer_that_brings_nothing_is_asked_for_four_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landing, "WAIT", 0.0)
    starts = []

    def ask(start: int) -> Iterator[bytes]:
        starts.append(start)
        if len(starts) == 2:
            yield b"ab"
        raise Unavailable("half an answer")

    with pytest.raises(Unavailable, match="half an answer"):
        list(landing.steady(Item("x", 4, "f", "x"), ask))

    assert [0, 0, 2, 2, 2] == starts


def test_a_place_that_refuses_is_asked_once() -> None:
    starts = []

    def ask(start: int) -> Iterator[bytes]:
        starts.append(start)
        yield b"ab"
        raise Refused("no")

    with pytest.raises(Refused):
        list(landing.steady(Item("x", 4, "f", "x"), ask))

    assert [0] == starts


# ----------------------------------------------------------------------------------- Azure


@pytest.fixture
def container(azurite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    made = remote("azure", azurite, tmp_path, monkeypatch)
    assert isinstance(made, Container)
    return made


def test_a_compressed_blob_comes_as_it_lies(container: Container, tmp_path: Path) -> None:
    from azure.storage.blob import ContentSettings

    packed = gzip.compress(b"a,b\n" * 1000)
    container.put("a.csv.gz", packed, content_settings=ContentSettings(content_encoding="gzip"))

    item = only(container, "*.gz")

    assert packed == container.transport.fetch(item, tmp_path / "landing").read_bytes()
    assert packed == container.transport.read(item)


def test_a_folder_of_a_data_lake_is_no_file(container: Container) -> None:
    container.put("run", b"", metadata={"hdi_isfolder": "true"})
    container.put("run.csv", b"x")

    assert ["run.csv"] == paths(container, "*")


def test_a_sas_token_reads(
    container: Container, azurite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    container.put("a.csv", b"x")
    token = generate_container_sas(
        "devstoreaccount1",
        container.container.container_name,
        account_key=AZURITE_KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    monkeypatch.setenv("FINOPS_TEST_SECRET", token)
    transport = azure(azurite, "sas")

    (item,) = transport.list(f"{container.location}/*")

    assert b"x" == transport.read(item)


def test_azure_says_no(container: Container, azurite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="404 ContainerNotFound; check the container"):
        azure(azurite).list("az://no-such-container/*")
    with pytest.raises(Refused, match=r"az://.*check \[azure\] auth"):
        azure(azurite, "anonymous").list(f"{container.location}/*")
    monkeypatch.setenv("FINOPS_TEST_SECRET", "bm90IHRoZSBrZXk=")
    with pytest.raises(Refused, match=r"check \[azure\] auth"):
        azure(azurite).list(f"{container.location}/*")
    monkeypatch.delenv("FINOPS_TEST_SECRET")
    with pytest.raises(ConfigError, match="FINOPS_TEST_SECRET, which is empty"):
        azure(azurite).list(f"{container.location}/*")
    with pytest.raises(ConfigError, match="name the storage account"):
        open_transport("az://c/*", Config()).list("az://c/*")
    with pytest.raises(ConfigError, match="name the container in full"):
        open_transport("az://c*/x", Config()).list("az://c*/x")


# -------------------------------------------------------------------------------------- S3


@pytest.fixture
def s3_wire(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    wire = Wire(s3_endpoint)
    yield wire
    wire.close()


def held(wire: Wire, name: str, **settings: Any) -> tuple[Any, Transport]:
    """A new bucket, and a transport to it that has these settings."""
    import boto3

    endpoint = f"http://{wire.server[0]}:{wire.server[1]}"
    bucket = boto3.resource("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    section = S3Section(endpoint_url=wire.endpoint, **settings)
    return bucket, open_transport("s3://x/", Config(s3=section))


def test_s3_keeps_a_sha256_that_is_checked(s3_wire: Wire, tmp_path: Path) -> None:
    bucket, transport = held(s3_wire, "with-sha256")
    content = os.urandom(1 << 20)
    bucket.put_object(Key="a", Body=content, ChecksumAlgorithm="SHA256")
    (item,) = transport.list("s3://with-sha256/*")
    s3_wire.asked = b""
    s3_wire.damage_at = s3_wire.answered + (1 << 19)

    with pytest.raises(Unavailable, match=r"damaged|checksum"):
        transport.fetch(item, tmp_path)

    assert b"checksum-mode: ENABLED" in s3_wire.asked
    assert content == transport.fetch(item, tmp_path).read_bytes()


def test_who_asks_pays_where_it_is_configured(s3_wire: Wire, tmp_path: Path) -> None:
    bucket, transport = held(s3_wire, "requester-pays", requester_pays=True)
    bucket.put_object(Key="a", Body=b"x")

    (item,) = transport.list("s3://requester-pays/*")
    transport.fetch(item, tmp_path)

    asked = s3_wire.asked.lower()
    assert asked.count(b"x-amz-request-payer: requester") == asked.count(b"http/1.1") > 2


def test_an_object_under_a_key_of_ours(
    s3_wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bytes(range(32))
    monkeypatch.setenv("FINOPS_TEST_KEY", base64.b64encode(key).decode())
    bucket, transport = held(s3_wire, "with-a-key", sse_customer_key_env="FINOPS_TEST_KEY")
    bucket.put_object(Key="a", Body=b"x", SSECustomerAlgorithm="AES256", SSECustomerKey=key)

    (item,) = transport.list("s3://with-a-key/*")

    assert b"x" == transport.fetch(item, tmp_path).read_bytes()
    sent = b"customer-key: " + base64.b64encode(key)
    assert sent in s3_wire.asked
    monkeypatch.setenv("FINOPS_TEST_KEY", "c2hvcnQ=")
    _, other = held(s3_wire, "with-a-key", sse_customer_key_env="FINOPS_TEST_KEY")
    with pytest.raises(ConfigError, match="base64 of a 256-bit key"):
        other.read(item)


def test_a_role_is_assumed(s3_wire: Wire) -> None:
    bucket, transport = held(
        s3_wire,
        "of-a-role",
        role_arn="arn:aws:iam::123456789012:role/billing",
        external_id="made-up-id",
    )
    bucket.put_object(Key="a", Body=b"x")

    (item,) = transport.list("s3://of-a-role/*")

    assert b"x" == transport.read(item)
    assert b"Action=AssumeRole" in s3_wire.asked
    assert b"ExternalId=made-up-id" in s3_wire.asked
    read = s3_wire.asked[s3_wire.asked.index(b"GET /of-a-role/a") :]
    assert b"Credential=made-up/" not in read
    assert b"x-amz-security-token" in read.lower()


def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Transport:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return open_transport("s3://x/", Config(s3=S3Section(endpoint_url=endpoint)))


def test_more_files_than_one_answer_holds(place: Place) -> None:
    many = getattr(place, "many", 1005)
    for number in range(many):
        place.put(f"{number:04}.csv", b"")

    assert [f"{number:04}.csv" for number in range(many)] == paths(place, "*.csv")


def test_a_bucket_that_does_not_exist_is_refused(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        Refused, match=r"s3://no-such-bucket/a/.*404 NoSuchBucket; check the bucket"
    ):
        s3(s3_endpoint, monkeypatch).list("s3://no-such-bucket/a/*")


def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody answers
        place = s3(f"http://127.0.0.1:{taken.getsockname()[1]}", monkeypatch)
        with pytest.raises(Unavailable, match="s3://bucket/: no whole answer"):
            place.list("s3://bucket/*")


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Refused, "403.*s3:ListBucket"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", Refused, "401.*credentials"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Unavailable, "500.*try later"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half", Unavailable, "try later"),
    ],
)
def test_what_a_server_says_decides_whether_to_try_again(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, error: type[Exception], says: str
) -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        place = s3(f"http://127.0.0.1:{listening.getsockname()[1]}", monkeypatch)
        with pytest.raises(error, match=says):
            place.list("s3://bucket/*")
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(timeout=5)


def test_no_credentials_is_refused(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place: Any = s3(s3_endpoint, monkeypatch)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))

    with pytest.raises(Refused, match="boto3 found no credentials"):
        place.list("s3://bucket/*")


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"nothing here reads ftp://; known are s3://"):
        open_transport("ftp://host/*", Config())
