"""Models of Vertex AI's model registry, over REST.

What belongs here: every call to that API, and the meaning of its errors. Credentials are found by
google-auth; none are kept here. Written to the public discovery document of aiplatform v1
(`projects.locations.models.list` and `listVersions`, `projects.locations.endpoints.list`); Google
has no emulator of it, so it is tested against a small server that answers so.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ..config import RegistrySection
from ..errors import ConfigError, MissingExtra, Refused, Unavailable
from . import Version, noted

ATTEMPTS = 4
PAGE = 100
SCOPE = "https://www.googleapis.com/auth/cloud-platform.read-only"


def connect(block: RegistrySection) -> Vertex:
    """The models of `project` in the location `region`."""
    if not block.project or not block.region:
        raise ConfigError(
            f"[[registry]] {block.name}: kind `vertex` needs a `project` and a `region`"
        )
    return Vertex(block)


class Vertex:
    """Models of one project and location. `pause_seconds` is the wait before the first retry."""

    def __init__(self, block: RegistrySection, pause_seconds: float = 0.5) -> None:
        self.block = block
        self.pause_seconds = pause_seconds
        self.url = (block.url or f"https://{block.region}-aiplatform.googleapis.com").rstrip("/")
        self.parent = f"projects/{block.project}/locations/{block.region}"

    def versions(self) -> list[Version]:
        """See `Registry.versions`."""
        with self._session() as session:
            serving: dict[tuple[str, str], list[str]] = {}
            try:
                for endpoint in self._pages(session, f"{self.parent}/endpoints", "endpoints"):
                    for deployed in endpoint.get("deployedModels", ()):
                        model, _, version = deployed.get("model", "").partition("@")
                        key = (_id(model), deployed.get("modelVersionId") or version or "1")
                        names = serving.setdefault(key, [])
                        names += [endpoint["displayName"], _id(endpoint["name"])]
                return [
                    _version(said, serving)
                    for model in self._pages(session, f"{self.parent}/models", "models")
                    for said in self._pages(
                        session, f"{model['name'].partition('@')[0]}:listVersions", "models"
                    )
                ]
            except (KeyError, TypeError, ValueError) as error:
                raise Refused(f"{self.url}: not the answer of Vertex AI: {error!r}") from error

    def _session(self) -> Any:
        """A session that signs its requests; another server at `http://` needs no credentials."""
        try:
            import google.auth
            import requests
            from google.auth.transport.requests import AuthorizedSession
        except ImportError as error:
            raise MissingExtra("gcp", "a [[registry]] of kind `vertex`") from error

        if self.url.startswith("http://"):
            return requests.Session()
        from google.auth.exceptions import GoogleAuthError

        try:
            credentials, _ = google.auth.default(scopes=[SCOPE])
        except GoogleAuthError as error:
            raise Refused(
                f"[[registry]] {self.block.name}: no Google credentials found; set "
                "GOOGLE_APPLICATION_CREDENTIALS or run `gcloud auth application-default login`"
            ) from error
        return AuthorizedSession(credentials)

    def _pages(self, session: Any, path: str, key: str) -> Iterator[dict[str, Any]]:
        """What a method lists, page after page."""
        token = ""
        while True:
            asked = {"pageSize": PAGE, **({"pageToken": token} if token else {})}
            body = self._ask(session, path, asked)
            yield from body.get(key, ())
            token = body.get("nextPageToken", "")
            if not token:
                return

    def _ask(self, session: Any, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """One request, tried again while trying can help."""
        for attempt in range(ATTEMPTS):
            try:
                return self._once(session, path, asked)
            except Unavailable:
                if attempt == ATTEMPTS - 1:
                    raise
            time.sleep(self.pause_seconds * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, session: Any, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError, TransportError
        from requests.exceptions import RequestException

        address = f"{self.url}/v1/{path}"
        try:
            response = session.get(address, params=asked, timeout=self.block.timeout_seconds)
        except (TransportError, RequestException) as error:
            said = str(error).partition("\n")[0][:300]
            raise Unavailable(f"{address}: no whole answer ({said}); try later") from error
        except GoogleAuthError as error:
            raise Refused(f"{address}: Google refused the credentials ({error})") from error
        status = response.status_code
        excerpt = " ".join(response.text[:200].split()) or "no text"
        if status in (408, 429) or status >= 500:
            raise Unavailable(f"{address}: status {status}: {excerpt}")
        if status != 200:
            raise Refused(
                f"{address}: status {status}: {excerpt}; check `project` and `region`, and the "
                "role Vertex AI Viewer"
            )
        try:
            body = response.json()
        except ValueError as error:
            raise Unavailable(f"{address}: half an answer: {error}") from error
        if not isinstance(body, dict):
            raise Refused(f"{address}: not the answer of Vertex AI: {excerpt}")
        return body


def _version(said: dict[str, Any], serving: dict[tuple[str, str], list[str]]) -> Version:
    """One version, as models.listVersions tells it."""
    model, version = said["displayName"], str(said.get("versionId") or "1")
    own = noted(f"{model} version {version}", said.get("labels", {}))
    pipeline = said.get("trainingPipeline", "")
    return Version(
        model=model,
        version=version,
        aliases=tuple(said.get("versionAliases", ())),
        created=_instant(said.get("versionCreateTime") or said["createTime"]),
        retired=own.retired,
        run=_id(pipeline) or None,
        resources=own.resources or ((pipeline,) if pipeline else ()),
        endpoints=own.endpoints
        or tuple(serving.get((_id(said["name"].partition("@")[0]), version), ())),
        life_days=own.life_days,
        expected_requests=own.expected_requests,
    )


def _id(name: str) -> str:
    """What follows the last `/` of a resource's name."""
    return name.rpartition("/")[2]


def _instant(written: str) -> datetime:
    """An RFC 3339 time, whose fraction may have nine digits, as naive UTC."""
    at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", written))
    return at.astimezone(UTC).replace(tzinfo=None)
