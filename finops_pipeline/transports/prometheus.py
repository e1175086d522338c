"""Numbers from a Prometheus server, or from anything that speaks its HTTP API.

What belongs here: every call to that API, what its errors mean, and how a question that is too
large becomes smaller ones. Which questions are asked, and what the answers mean, is in
`finops_pipeline/usage.py`.
"""

from __future__ import annotations

import json
import ssl
import time
from collections import deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigError, Refused, Unavailable

if TYPE_CHECKING:
    import httpx

HOUR = timedelta(hours=1)
IN_FLIGHT = 2
ATTEMPTS = 4


@dataclass(frozen=True)
class Answer:
    """One series of an answer: its labels, and its points as (time in UTC, value)."""

    labels: dict[str, str]
    points: list[tuple[datetime, float]]


@dataclass(frozen=True)
class Access:
    """Who we are to a server, and who it has to be to us. Certificates are always verified.

    `ca_file` takes the place of the authorities that are trusted otherwise; `cert_file` and
    `key_file` are our own certificate. All are PEM. `headers` are sent with each question, such
    as the tenant of Mimir, Cortex or Thanos.
    """

    token: str | None = None
    user: str | None = None
    password: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def context(self) -> ssl.SSLContext:
        """What TLS goes by. Raises `ConfigError` where a file cannot be used."""
        import httpx

        path = self.ca_file
        try:
            if path is None:
                context = httpx.create_ssl_context()
            else:
                context = ssl.create_default_context(cafile=path)
            path = self.cert_file
            if path is not None:
                # A key with a password would be asked for at the terminal.
                context.load_cert_chain(path, self.key_file, password="")
        except (OSError, ValueError) as error:
            what = "ca_file" if path == self.ca_file else "cert_file with its key_file"
            raise ConfigError(
                f"{what} {path}: {error}; it must be PEM, and a key without a password"
            ) from error
        return context


class _TooLarge(Exception):
    """The server can answer, but not so much at once."""


class Prometheus:
    """A server at `url`, such as `http://prometheus:9090`. Close it, or use it in a `with`.

    `timeout_seconds` is the longest wait for one answer, `pause_seconds` the wait before the
    first retry, doubled each time. Only what may pass later is tried again, three times.
    Errors: `Refused` (no, or no such thing), `Unavailable` (no answer, half an answer).
    """

    def __init__(
        self,
        url: str,
        access: Access | None = None,
        timeout_seconds: float = 60,
        pause_seconds: float = 0.5,
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self.pause_seconds = pause_seconds
        access = access or Access()
        headers = dict(access.headers)
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token}"
        self._client: httpx.Client = httpx.Client(
            timeout=timeout_seconds,
            headers=headers,
            auth=None if access.user is None else (access.user, access.password or ""),
            verify=access.context(),
            limits=httpx.Limits(max_connections=IN_FLIGHT),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def hourly(
        self, queries: Iterable[str], first: datetime, last: datetime
    ) -> Generator[list[Answer]]:
        """The answers to each query at the full hours from `first` to `last`, both inclusive.

        Times are naive UTC. Answers come in the order of the queries; two are asked at a time.
        """
        waiting: deque[Future[list[Answer]]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            try:
                for query in queries:
                    waiting.append(pool.submit(self._range, query, first, last))
                    if len(waiting) > IN_FLIGHT:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _range(self, query: str, first: datetime, last: datetime) -> list[Answer]:
        """One query over a range of hours, in halves where the server finds it too large."""
        try:
            return self._ask(query, first, last)
        except _TooLarge as error:
            hours = (last - first) // HOUR
            if hours == 0:
                raise Refused(
                    f"{self.url}: a single hour is too much for this server: {error}. Raise its "
                    f"--query.max-samples; the query was: {query}"
                ) from None
            middle = first + hours // 2 * HOUR
        return self._range(query, first, middle) + self._range(query, middle + HOUR, last)

    def _ask(self, query: str, first: datetime, last: datetime) -> list[Answer]:
        """One request, tried again while trying can help."""
        parameters = {
            "query": query,
            "start": str(_epoch(first)),
            "end": str(_epoch(last)),
            "step": "3600",
            # the default of Prometheus; said, because a server may be set otherwise
            "lookback_delta": "5m",
        }
        for attempt in range(ATTEMPTS):
            try:
                return self._once(parameters)
            except Unavailable:
                if attempt == ATTEMPTS - 1:
                    raise
            time.sleep(self.pause_seconds * 2**attempt)
        raise AssertionError("unreachable")

    def _once(self, parameters: dict[str, str]) -> list[Answer]:
        import httpx

        address = f"{self.url}/api/v1/query_range"
        try:
            response = self._client.get(address, params=parameters)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Refused(f"{self.url}: {error}; write `url` as http://host:port") from error
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            if _is_mistrust(error):
                raise Refused(
                    f"{self.url}: TLS: {said}; name the authority of the server's certificate in "
                    "`ca_file`, and where it asks for ours, that in `cert_file` and `key_file`"
                ) from error
            raise Unavailable(f"{self.url}: no whole answer ({said}); is the server up?") from error
        status = response.status_code
        if status == 429 or status >= 500:
            raise Unavailable(f"{self.url}: status {status}: {_excerpt(response)}")
        if status in (401, 403):
            raise Refused(
                f"{self.url}: status {status}: {_excerpt(response)}; name the variable that holds "
                "a token in `token_env`, or those of a user in `user_env` and `password_env`"
            )
        try:
            body = json.loads(response.content)
        except ValueError as error:
            if status == 200:
                raise Unavailable(f"{self.url}: half an answer: {error}") from error
            body = None
        if not isinstance(body, dict):
            raise Refused(f"{self.url}: not a Prometheus: status {status}: {_excerpt(response)}")
        if body.get("status") != "success" or status != 200:
            raise _failure(self.url, status, body)
        # Thanos and others answer 200 with a part of the truth, and say so in a warning.
        if body.get("warnings") or body.get("isPartial"):
            said = "; ".join(map(str, body.get("warnings") or ["partial answer"]))
            raise Unavailable(f"{self.url}: the answer is not whole: {said}")
        return _answers(self.url, body)


def _is_mistrust(error: BaseException | None) -> bool:
    """Whether the two sides do not accept each other, which no further try will change."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        error = error.__cause__ or error.__context__
    return False


def _failure(url: str, status: int, body: dict[str, Any]) -> Exception:
    """What an answer without success means."""
    kind, said = str(body.get("errorType")), str(body.get("error"))
    if "exceeded maximum resolution" in said or "too many samples" in said:
        return _TooLarge(said)
    if kind in ("timeout", "canceled", "unavailable", "internal"):
        return Unavailable(f"{url}: {kind}: {said}")
    return Refused(f"{url}: status {status}: {kind}: {said}")


def _answers(url: str, body: dict[str, Any]) -> list[Answer]:
    try:
        data = body["data"]
        if data["resultType"] != "matrix":
            raise ValueError(f"a {data['resultType']} instead of a matrix")
        return [
            Answer(
                {str(k): str(v) for k, v in series["metric"].items()},
                [(_time(at), float(value)) for at, value in series["values"]],
            )
            for series in data["result"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{url}: not the answer of a Prometheus: {error!r}") from error


def _epoch(at: datetime) -> int:
    return int(at.replace(tzinfo=UTC).timestamp())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _excerpt(response: httpx.Response) -> str:
    return " ".join(response.text[:200].split()) or "no text"
