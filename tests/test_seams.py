"""One suite over every transport: what a stage may expect of any place its inputs live in.

Each place is the real thing, or the emulator its maker stands behind: a folder, and moto's S3
server. To put a transport under test, add a `Place` with the same four verbs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from finops_pipeline.config import Config, S3Section
from finops_pipeline.errors import ConfigError, DeliveryVanished, Refused, Unavailable
from finops_pipeline.transports import Item, Transport, open_transport

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
            process.terminate()


@pytest.fixture(params=["files", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "files":
        return Folder(tmp_path)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    endpoint = request.getfixturevalue("s3_endpoint")
    return Bucket(endpoint, "b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20])


CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
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


def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Transport:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return open_transport("s3://x/", Config(s3=S3Section(endpoint_url=endpoint)))


def test_more_files_than_one_answer_holds(place: Place) -> None:
    for number in range(1005):
        place.put(f"{number:04}.csv", b"")

    assert [f"{number:04}.csv" for number in range(1005)] == paths(place, "*.csv")


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
    import threading

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
