"""Model versions of an MLflow tracking server, over its REST API.

What belongs here: every call to that API, and what its errors mean. A version's stage, aliases,
tags and run are read; of its run, what its tags and parameters say to us. `finops.retired_on` says
when a version ended; without it, one in the stage Archived ended when it was last changed. Versions
that were deleted are not listed by MLflow: archive them instead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import RegistrySection
from ..errors import ConfigError, Refused, Unavailable
from . import Noted, Version, instant, noted

ATTEMPTS = 4
PAGE = 1000
RUNS_AT_ONCE = 100


def connect(block: RegistrySection) -> MLflow:
    """The server of a `[[registry]]` block, with the credentials its variables hold."""
    if block.url is None:
        raise ConfigError(f"[[registry]] {block.name}: kind `mlflow` needs a `url`")
    secrets = [
        None if variable is None else os.environ.get(variable, "")
        for variable in (block.token_env, block.user_env, block.password_env)
    ]
    for variable, secret in zip(
        (block.token_env, block.user_env, block.password_env), secrets, strict=True
    ):
        if secret == "":
            raise ConfigError(f"[[registry]] {block.name}: the variable {variable} is not set")
    token, user, password = secrets
    if (user is None) != (password is None) or (token is not None and user is not None):
        raise ConfigError(
            f"[[registry]] {block.name}: name a token, or a user and a password, not half of both"
        )
    return MLflow(block.url, token, user, password, block.timeout_seconds)


class MLflow:
    """A server at `url`, such as `http://mlflow:5000`.

    `timeout_seconds` is the longest wait for one answer, `pause_seconds` the wait before the
    first retry, doubled each time. Only what may pass later is tried again, three times.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout_seconds: float = 60,
        pause_seconds: float = 0.5,
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self.pause_seconds = pause_seconds
        self._client: httpx.Client = httpx.Client(
            timeout=timeout_seconds,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=(user, password) if user is not None and password is not None else None,
        )

    def versions(self) -> list[Version]:
        """See `Registry.versions`."""
        with self._client:
            aliases: dict[tuple[str, str], list[str]] = {}
            for model in self._pages("GET", "registered-models/search", "registered_models"):
                for alias in model.get("aliases", ()):
                    key = (model["name"], alias["version"])
                    aliases.setdefault(key, []).append(alias["alias"])
            found = list(self._pages("GET", "model-versions/search", "model_versions"))
            runs = self._runs(sorted({v["run_id"] for v in found if v.get("run_id")}))
            try:
                return [_version(self.url, v, aliases, runs) for v in found]
            except (KeyError, TypeError, ValueError) as error:
                raise Refused(f"{self.url}: not the answer of an MLflow: {error!r}") from error

    def _runs(self, ids: list[str]) -> dict[str, Noted]:
        """What runs say by their tags and parameters, where they are still there."""
        if not ids:
            return {}
        experiments = [
            e["experiment_id"]
            for e in self._pages("GET", "experiments/search", "experiments", {"view_type": "ALL"})
        ]
        said = {}
        for start in range(0, len(ids), RUNS_AT_ONCE):
            listed = ", ".join(f"'{i}'" for i in ids[start : start + RUNS_AT_ONCE])
            asked = {
                "experiment_ids": experiments,
                "filter": f"attributes.run_id IN ({listed})",
                "run_view_type": "ALL",
            }
            for run in self._pages("POST", "runs/search", "runs", asked):
                data = run.get("data", {})
                pairs = [*data.get("params", ()), *data.get("tags", ())]
                tags = {pair["key"]: pair["value"] for pair in pairs}
                name = run["info"]["run_id"]
                said[name] = noted(f"{self.url}: run {name}", tags)
        return said

    def _pages(
        self, method: str, path: str, key: str, asked: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """What a search finds, page after page."""
        token = ""
        while True:
            body = self._ask(
                method,
                path,
                {**(asked or {}), "max_results": PAGE, **({"page_token": token} if token else {})},
            )
            found = body.get(key, [])
            if not isinstance(found, list):
                raise Refused(f"{self.url}: not the answer of an MLflow: {key} is no list")
            yield from found
            token = body.get("next_page_token", "")
            if not token:
                return

    def _ask(self, method: str, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One request, tried again while trying can help."""
        for attempt in range(ATTEMPTS):
            try:
                return self._once(method, path, asked)
            except Unavailable:
                if attempt == ATTEMPTS - 1:
                    raise
            time.sleep(self.pause_seconds * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        import httpx

        address = f"{self.url}/api/2.0/mlflow/{path}"
        plain: dict[str, Any] = {"json": asked} if method == "POST" else {"params": asked}
        try:
            response = self._client.request(method, address, **plain)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Refused(f"{self.url}: {error}; write `url` as http://host:port") from error
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"{self.url}: no whole answer ({said}); is the server up?") from error
        status = response.status_code
        excerpt = " ".join(response.text[:200].split()) or "no text"
        if status in (408, 429) or status >= 500:
            raise Unavailable(f"{self.url}: status {status}: {excerpt}")
        if status in (401, 403):
            raise Refused(
                f"{self.url}: status {status}: {excerpt}; name the variables that hold a token, "
                "or a user and a password, in [[registry]], and let that user read all models"
            )
        try:
            body = response.json()
        except ValueError as error:
            if status == 200 and response.headers.get("content-type", "").endswith("json"):
                raise Unavailable(f"{self.url}: half an answer: {error}") from error
            body = None
        if status != 200 or not isinstance(body, dict):
            raise Refused(f"{self.url}: not an MLflow: {path}: status {status}: {excerpt}")
        return body


def _version(
    url: str,
    said: Mapping[str, Any],
    aliases: Mapping[tuple[str, str], list[str]],
    runs: Mapping[str, Noted],
) -> Version:
    """One version, as model-versions/search tells it."""
    model, version, run = said["name"], str(said["version"]), said.get("run_id") or None
    tags = {tag["key"]: tag.get("value", "") for tag in said.get("tags", ())}
    own = noted(f"{url}: {model} version {version}", tags)
    its = runs.get(run or "")
    stage = said.get("current_stage") or None
    archived = stage == "Archived" and said.get("last_updated_timestamp")
    return Version(
        model=model,
        version=version,
        stage=stage,
        aliases=tuple(aliases.get((model, version), ())),
        created=instant(float(said["creation_timestamp"])),
        retired=own.retired or (instant(float(archived)) if archived else None),
        run=run,
        resources=own.resources or (its.resources if its else ()),
        endpoints=own.endpoints or (its.endpoints if its else ()),
        life_days=own.life_days or (its.life_days if its else None),
        expected_requests=own.expected_requests or (its.expected_requests if its else None),
    )
