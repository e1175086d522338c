"""Inference logs: OpenTelemetry spans of our own servers, LiteLLM spend logs of bought models.

What belongs here: calls, drawn day by day from the facts in `company`, and the two layouts. A
span is one flat JSON object a line, with attribute names of the OpenTelemetry GenAI semantic
conventions, those of Kubernetes, and three of our own: `feature`, `tenant.id` and `x_gpu_ms`,
the GPU-milliseconds a server spent on the call. A spend log line is a row of LiteLLM's table
LiteLLM_SpendLogs; the owner is in `metadata.spend_logs_metadata`, `request_tags` and
`end_user`. No text of a prompt or an answer is ever written.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from .company import CLUSTER, ENDPOINTS, EPOCH, Endpoint, Period, busy, ident
from .prices import list_cost


def _prefill_ms(tokens: int) -> int:
    return tokens // 200


def _decode_ms(tokens: int) -> int:
    return tokens * 22


@dataclass(frozen=True)
class Call:
    """One call as it was made and billed. Tokens as the provider counted them."""

    endpoint: Endpoint
    begin: datetime
    latency_ms: int
    feature: str
    tenant: str
    environment: str
    input: int  # cached ones included
    cached: int
    output: int
    gpu_ms: int
    failed: bool
    unlogged: bool  # a stream that ended without its usage chunk
    number: int

    @property
    def prefill_ms(self) -> int:
        """What the engine took to read what was not in its cache."""
        return _prefill_ms(self.input - self.cached)

    @property
    def decode_ms(self) -> int:
        """What it took to write the answer."""
        return _decode_ms(self.output)


@dataclass
class Tally:
    """Exact sums of the calls: logged by owner, billed by hour, by list if tokens were told."""

    logged: dict[tuple[str, ...], dict[str, int]] = field(default_factory=dict)
    billed: dict[str, dict[datetime, tuple[int, int, int]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    gpu_ms: dict[tuple[str, datetime], int] = field(default_factory=lambda: defaultdict(int))
    served: dict[tuple[str, datetime], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    listed: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    callers: dict[tuple[str, date], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    twice: int = 0

    def add(self, call: Call) -> None:
        """Count one call, once."""
        e, hour = call.endpoint, call.begin.replace(minute=0, second=0, microsecond=0)
        key = (e.name, e.model, call.feature, call.tenant, call.environment)
        sums = self.logged.setdefault(
            key,
            dict.fromkeys(
                ("calls", "failed", "unknown_tokens", "input", "cached", "output", "gpu_ms"), 0
            ),
        )
        sums["calls"] += 1
        sums["failed"] += call.failed
        sums["gpu_ms"] += call.gpu_ms
        if call.unlogged or (call.failed and e.group):
            sums["unknown_tokens"] += 1  # LiteLLM writes zeros for both
        else:
            sums["input"] += call.input
            sums["cached"] += call.cached
            sums["output"] += call.output
            if e.group:
                fresh = call.input - call.cached
                self.listed[e.group, hour.date()] += list_cost(e, fresh, call.cached, call.output)
        self.callers[e.name, hour.date()][call.tenant] += 1
        self.gpu_ms[e.name, hour] += call.gpu_ms
        if not e.group:
            done = {"failed": 1} if call.failed else {"answered": 1}
            counts = {"input": call.input, "cached": call.cached, "output": call.output}
            times = {"prefill_ms": call.prefill_ms, "decode_ms": call.decode_ms}
            self.served[e.name, hour].update(done | counts | times)
        if e.group:
            a, b, c = self.billed[e.group].get(hour, (0, 0, 0))
            self.billed[e.group][hour] = (
                a + call.input - call.cached,
                b + call.cached,
                c + call.output,
            )


def calls(endpoint: Endpoint, day: date, period: Period) -> Iterator[Call]:
    """The endpoint's calls of a day, in order of time: the same whatever other days there are."""
    draw = random.Random(f"{period.seed}/{endpoint.name}/{day}")
    features, feature_weights = list(endpoint.features), list(endpoint.features.values())
    tenants, tenant_weights = list(endpoint.tenants), list(endpoint.tenants.values())
    number = 0
    for hour in range(24):
        begin = datetime(day.year, day.month, day.day, hour)
        count = endpoint.calls * period.scale * busy(begin) // 24000
        offsets = sorted(draw.randrange(3_600_000) for _ in range(count))
        chosen = zip(
            offsets,
            draw.choices(features, feature_weights, k=count),
            draw.choices(tenants, tenant_weights, k=count),
            strict=True,
        )
        for offset, feature, tenant in chosen:
            number += 1
            failed = draw.randrange(1000) < 8
            size = draw.randrange(400, 1600)
            tokens_in = endpoint.tokens_in * size // 1000
            tokens_out = endpoint.tokens_out * draw.randrange(500, 1500) // 1000
            cached = tokens_in * endpoint.cached * draw.randrange(0, 200) // 10000
            if failed:
                tokens_in = cached = tokens_out = 0
            call = Call(
                endpoint,
                begin + timedelta(milliseconds=offset),
                30_000 if failed else 300 + _prefill_ms(tokens_in) + _decode_ms(tokens_out),
                feature,
                tenant,
                "staging" if draw.randrange(100) < endpoint.staging else "production",
                tokens_in,
                cached,
                tokens_out,
                tokens_out * endpoint.gpu_us_per_token // 1000,
                failed,
                not failed
                and bool(endpoint.group)
                and draw.randrange(1000) < 4
                and endpoint.operation != "embeddings",  # they are no streams
                number,
            )
            yield call
            if number % 200 == 99 and offset < 3_599_000:
                # The client gave up too early and asked again: two ids, billed twice.
                number += 1
                yield replace(call, begin=call.begin + timedelta(seconds=1), number=number)


def write(directory: Path, period: Period, tally: Tally) -> None:
    """Write both kinds of log for every day under `directory`, and count into `tally`."""
    for day in period.day_list():
        spans: list[tuple[datetime, str]] = []
        spend: list[tuple[datetime, str]] = []
        for endpoint in ENDPOINTS:
            for call in calls(endpoint, day, period):
                tally.add(call)
                if endpoint.group:
                    lines = _spend(call, period, day)
                    tally.twice += len(lines) - 1
                    spend += [(call.begin, n) for n in lines]
                else:
                    spans.append((call.begin, _span(call, period, day)))
        for name, found in (
            ("otel/date={}/spans.jsonl", spans),
            ("litellm/date={}/spend.jsonl", spend),
        ):
            found.sort(key=lambda f: f[0])
            path = directory / name.format(day)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(text for _, text in found), encoding="utf-8", newline="\n")


_dump = json.JSONEncoder(separators=(",", ":")).encode


def _span(call: Call, period: Period, day: date) -> str:
    e = call.endpoint
    namespace, _, deployment = e.name.partition("/")
    begin = (call.begin - EPOCH) // timedelta(microseconds=1) * 1000
    ids = ident(period.seed, "span", e.name, day, call.number, size=48)
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": e.operation,
        "gen_ai.provider.name": e.provider,
        "gen_ai.request.model": e.model,
        "gen_ai.response.model": e.model,
    }
    if call.failed:
        attributes["error.type"] = "timeout"
    attributes |= {
        "gen_ai.usage.input_tokens": call.input,
        "gen_ai.usage.output_tokens": call.output,
        "gen_ai.usage.cache_read.input_tokens": call.cached,
        "k8s.cluster.name": CLUSTER,
        "k8s.namespace.name": namespace,
        "k8s.deployment.name": deployment,
        "feature": call.feature,
        "tenant.id": call.tenant,
        "deployment.environment.name": call.environment,
    }
    if e.gpu_us_per_token:
        attributes["x_gpu_ms"] = call.gpu_ms
    span = {
        "traceId": ids[:32],
        "spanId": ids[32:],
        "name": f"{e.operation} {e.model}",
        "kind": 2,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + call.latency_ms * 1_000_000),
        "status": {"code": 2, "message": "timeout"} if call.failed else {"code": 1},
        "attributes": attributes,
        "resource": {"service.name": deployment, "telemetry.sdk.language": "python"},
    }
    return _dump(span) + "\n"


_PLACES = {
    "aws.bedrock": ("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com"),
    "azure.ai.openai": ("azure", "https://acme-{}.openai.azure.com/"),
    "gcp.vertex_ai": ("vertex_ai", "https://us-central1-aiplatform.googleapis.com"),
}
"""What LiteLLM calls a provider, and the address it calls there."""


def _spend(call: Call, period: Period, day: date) -> list[str]:
    """The line of a call; now and then delivered twice. A retry is a call of its own."""
    e = call.endpoint
    request = "chatcmpl-" + ident(period.seed, "request", e.name, day, call.number, size=29)
    end = call.begin + timedelta(milliseconds=call.latency_ms)
    known = not call.unlogged
    tokens_in, tokens_out = (call.input, call.output) if known else (0, 0)
    nano = (
        (call.input - call.cached) * e.prices[0]
        + call.cached * e.prices[1]
        + call.output * e.prices[2]
    )
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": call.cached if known else 0},
    }
    metadata = {
        "user_api_key_alias": f"{call.feature}-{call.environment}",
        "user_api_key_team_alias": call.feature,
        "spend_logs_metadata": {
            "feature": call.feature,
            "tenant": call.tenant,
            "environment": call.environment,
        },
        "status": "failure" if call.failed else "success",
        "usage_object": usage if known else None,
    }
    reached, address = _PLACES[e.provider]
    stamp = "%Y-%m-%dT%H:%M:%S.%f"
    line = {
        "request_id": request,
        "call_type": "aembedding" if e.operation == "embeddings" else "acompletion",
        "api_key": ident(period.seed, "key", call.feature, call.environment, size=64),
        "spend": nano / 1e9 if known else 0.0,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "startTime": call.begin.strftime(stamp)[:-3] + "Z",
        "endTime": end.strftime(stamp)[:-3] + "Z",
        "request_duration_ms": call.latency_ms,
        "model": e.model,
        "model_group": e.group,
        "custom_llm_provider": reached,
        "api_base": address.format(e.group),
        "user": "llm-gateway",
        "metadata": metadata,
        "cache_hit": "False",
        "cache_key": "Cache OFF",
        "request_tags": [f"feature:{call.feature}", f"environment:{call.environment}"],
        "team_id": call.feature,
        "end_user": call.tenant,
        "requester_ip_address": None,
        "session_id": ident(period.seed, "session", request, size=32),
        "status": "failure" if call.failed else "success",
    }
    text = _dump(line) + "\n"
    return [text, text] if call.number % 250 == 7 else [text]
