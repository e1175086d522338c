"""A Prometheus that lets not everybody in, and one that several clusters write to.

The server is Debian's, with a web configuration of its own: certificates made here, a user with a
password. What is sent beside the question, a small server of ours writes down.
"""

from __future__ import annotations

import ipaddress
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from finops_pipeline import usage
from finops_pipeline.config import MetricsSection, parse
from finops_pipeline.errors import ConfigError, Refused
from finops_pipeline.transports.prometheus import Access, Prometheus

from .test_prometheus import DAY, MIDNIGHT, metric_hours, needs_prometheus, serving

PASSWORD = "open sesame"
BCRYPT = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
"""That password as Prometheus keeps it, with the fewest rounds there are."""


def certify(folder: Path, name: str, by: str | None = None) -> None:
    """Write `<name>.pem` and `<name>.key`, signed by the authority `by`, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = subject, key
    if by is not None:
        issuer = x509.load_pem_x509_certificate((folder / f"{by}.pem").read_bytes()).subject
        loaded = serialization.load_pem_private_key((folder / f"{by}.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
    now = datetime.now(UTC)
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM),
    )
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, and the samples of a day of two clusters whose pods have the same names."""
    folder = tmp_path_factory.mktemp("access")
    for name, by in (("ca", None), ("other", None), ("server", "ca"), ("client", "ca")):
        certify(folder, name, by)
    (folder / "p.yml").write_text("global: {}\n", encoding="utf-8")
    (folder / "m.om").write_text(two_clusters(), encoding="utf-8")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "m.om", folder / "data"],
        check=True,
        capture_output=True,
    )
    return folder


def two_clusters() -> str:
    """One pod a cluster, of the same name: it asks for 1 core in `prod-eu`, for 3 in `prod-us`."""
    begin = int(MIDNIGHT.replace(tzinfo=UTC).timestamp())
    lines = ["# TYPE kube_pod_container_resource_requests gauge"]
    pod = 'namespace="ml",pod="api-0",uid="u",container="main",resource="cpu"'
    for cluster, cores in (("prod-eu", 1), ("prod-us", 3)):
        lines += [
            f'kube_pod_container_resource_requests{{cluster="{cluster}",{pod}}} {cores} {at}'
            for at in range(begin, begin + 86_400, 60)
        ]
    return "\n".join([*lines, "# EOF\n"])


def web(folder: Path, name: str, *tls: str) -> str:
    """The flag for a web configuration with TLS and one user."""
    path = folder / f"{name}.yml"
    path.write_text(
        "\n".join(
            [
                "tls_server_config:",
                f"  cert_file: {folder}/server.pem",
                f"  key_file: {folder}/server.key",
                *(f"  {line}" for line in tls),
                "basic_auth_users:",
                f"  finops: {BCRYPT}",
                "",
            ]
        ),
        encoding="utf-8",
    )
    return f"--web.config.file={path}"


def points(url: str, access: Access) -> int:
    """Number of points of a day's answer."""
    with Prometheus(url, access, pause_seconds=0.05, timeout_seconds=10) as client:
        first = MIDNIGHT + timedelta(hours=1)
        (found,) = client.hourly(
            ["kube_pod_container_resource_requests offset 1m"], first, first + timedelta(hours=22)
        )
        return sum(len(a.points) for a in found)


@needs_prometheus
def test_tls_and_a_password(home: Path) -> None:
    with serving(home, web(home, "tls"), scheme="https") as url:
        access = Access(user="finops", password=PASSWORD, ca_file=home / "ca.pem")
        assert 2 * 23 == points(url, access)
        with pytest.raises(Refused, match=r"status 401: .*`user_env` and `password_env`"):
            points(url, Access(user="finops", password="guess", ca_file=home / "ca.pem"))
        for stranger in (None, home / "other.pem"):
            with pytest.raises(Refused, match=r"TLS: .*certificate verify failed.*`ca_file`"):
                points(url, Access(user="finops", password=PASSWORD, ca_file=stranger))
        with pytest.raises(Refused, match="HTTP request to an HTTPS server"):
            points(url.replace("https", "http"), access)


@needs_prometheus
def test_a_server_that_asks_for_our_certificate(home: Path) -> None:
    flag = web(
        home,
        "mutual",
        "client_auth_type: RequireAndVerifyClientCert",
        f"client_ca_file: {home}/ca.pem",
    )
    with serving(home, flag, scheme="https") as url:
        ours = Access(
            user="finops",
            password=PASSWORD,
            ca_file=home / "ca.pem",
            cert_file=home / "client.pem",
            key_file=home / "client.key",
        )
        assert 2 * 23 == points(url, ours)
        with pytest.raises(Refused, match=r"TLS: .*`cert_file`"):
            points(url, Access(user="finops", password=PASSWORD, ca_file=home / "ca.pem"))


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing\n", encoding="utf-8")
    for named in ("ca_file", "cert_file"):
        with pytest.raises(ConfigError, match=rf"{named}.*x.pem.*must be PEM"):
            Prometheus("https://p", Access(**{named: tmp_path / "x.pem"}))
    with pytest.raises(ConfigError, match=r"ca_file .*away.pem: .*No such file"):
        Prometheus("https://p", Access(ca_file=tmp_path / "away.pem"))


@pytest.fixture
def written_down() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that has no series; and the headers of what it was asked."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(dict(self.headers))
            body = b'{"status": "success", "data": {"resultType": "matrix", "result": []}}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()


def test_what_is_sent_comes_from_the_environment(
    written_down: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, asked = written_down
    monkeypatch.setenv("METRICS_USER", "finops")
    monkeypatch.setenv("METRICS_PASSWORD", PASSWORD)
    monkeypatch.setenv("METRICS_TENANT", "acme|other")
    asking = MetricsSection(
        name="m",
        kind="prometheus",
        cluster="c",
        url=url,
        user_env="METRICS_USER",
        password_env="METRICS_PASSWORD",
        headers_env={"X-Scope-OrgID": "METRICS_TENANT"},
    )
    assert [] == metric_hours(asking, [], tmp_path / "asked")
    assert len(usage.MEASURES) == len(asked)
    sent = {(h["X-Scope-OrgID"], h["Authorization"]) for h in asked}
    assert {("acme|other", "Basic Zmlub3BzOm9wZW4gc2VzYW1l")} == sent

    monkeypatch.delenv("METRICS_TENANT")
    with pytest.raises(ConfigError, match="the variable METRICS_TENANT is not set"):
        metric_hours(asking, [], tmp_path / "again")
    for half in ({"password_env": None}, {"token_env": "METRICS_TOKEN"}):
        with pytest.raises(ConfigError, match="not half of both"):
            metric_hours(asking.model_copy(update=half), [], tmp_path / f"{half}")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"key_file": "k.pem"}, "`key_file` is the key of a certificate"),
        ({"match": {"not a label": "x"}}, "no name of a label"),
        ({"verify": False}, "verify"),
    ],
)
def test_what_does_not_fit_together(keys: dict[str, object], said: str) -> None:
    one = {"name": "m", "kind": "prometheus", "cluster": "c", "url": "http://p", **keys}
    with pytest.raises(ConfigError, match=said):
        parse({"metrics": [one]}, Path())


# ------------------------------------------------------------------------------ several clusters


def cluster(name: str, kind: str, url: str | None = None) -> MetricsSection:
    """A block for one of the clusters."""
    return MetricsSection.model_validate(
        {
            "name": name,
            "kind": kind,
            "cluster": name,
            "url": url,
            "location": None if url else "x",
            "match": {"cluster": name},
        }
    )


@needs_prometheus
def test_each_block_has_its_cluster(home: Path, tmp_path: Path) -> None:
    """A server and its samples in a file: what one pod asked for, never the other's of its name."""
    day = 24 * 3_600_000
    with serving(home) as url:
        for name, cores in (("prod-eu", 1), ("prod-us", 3)):
            asked = metric_hours(cluster(name, "prometheus", url), [], tmp_path / f"{name}.s")
            files = [("m.om", home / "m.om")]
            read = metric_hours(cluster(name, "openmetrics"), files, tmp_path / f"{name}.f")
            assert read == asked
            assert {name} == {row[2] for row in asked}
            assert cores * day == sum(int(str(row[-1])) for row in asked)


def test_a_value_is_matched_as_it_is() -> None:
    """What stands in `match` is text, whatever PromQL thinks of its signs."""
    asked = usage.MEASURES[0].promql({"cluster": 'a"b\\c.*', "region": "eu"})
    assert (
        'container_cpu_usage_seconds_total{cluster="a\\"b\\\\c.*",region="eu",container!~' in asked
    )


def test_a_new_key_does_not_ask_again() -> None:
    """Old servers have forgotten old days: only what changes the answers asks for them anew."""
    morning = datetime(2026, 3, 9)
    plain = MetricsSection(name="m", kind="prometheus", cluster="c", url="http://p:9090")
    known = usage.fingerprint(plain, DAY, morning)
    for same in ({"ca_file": "ca.pem"}, {"user_env": "U", "password_env": "P"}):
        assert known == usage.fingerprint(plain.model_copy(update=same), DAY, morning)
    for other in ({"match": {"cluster": "x"}}, {"headers_env": {"X-Scope-OrgID": "T"}}):
        assert known != usage.fingerprint(plain.model_copy(update=other), DAY, morning)
