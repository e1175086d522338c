"""The logs of bought APIs and of KServe, line by line, as their makers document them.

What belongs here: what a line of each log says, what is refused, and that nothing of a prompt, a
completion or a key is kept. Counting and dedupe are the same for all and are in `test_usage.py`.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finops_pipeline import queries, usage
from finops_pipeline.config import InferenceSection

from .test_usage import DAY, counted, engine, read_call, spend, write_lines

__all__ = ["engine"]  # the fixture

SECRET = "my secret diagnosis"

UNSAID: dict[str, Any] = {
    "x_Cluster": None,
    "x_Feature": None,
    "x_Tenant": None,
    "x_Environment": None,
    "x_Credential": None,
    "x_ServiceTier": None,
    "x_Status": "ok",
    "x_Calls": 1,
    "x_CachedInputTokens": 0,
    "x_CacheWrite5mTokens": None,
    "x_CacheWrite1hTokens": None,
    "x_Images": None,
    "x_AudioMs": None,
    "x_GpuMs": None,
    "x_PrefillMs": None,
    "x_DecodeMs": None,
    "x_LatencyMs": None,
    "x_SourceFile": "f",
    "x_SourceRow": 1,
    "x_Reason": None,
}


def changed(line: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of nested objects with some values replaced, by dotted path; None takes them out."""
    copy: dict[str, Any] = json.loads(json.dumps(line))
    for path, value in changes.items():
        *way, last = path.split("/")
        place = copy
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return copy


# --------------------------------------------------------------------------------------- bedrock

INVOCATION = {
    "schemaType": "ModelInvocationLog",
    "schemaVersion": "1.0",
    "timestamp": "2026-03-02T12:00:05Z",
    "accountId": "111122223333",
    "region": "us-east-1",
    "requestId": "b1",
    "operation": "Converse",
    "modelId": "arn:aws:bedrock:us-east-1:111122223333:inference-profile/"
    "us.anthropic.claude-x-v1:0",
    "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/chat-production/i-0abc"},
    "requestMetadata": {"feature": "chat", "tenant": "globex", "environment": "production"},
    "input": {
        "inputContentType": "application/json",
        "inputBodyJson": {"messages": [{"role": "user", "content": [{"text": SECRET}]}]},
        "inputTokenCount": 10,
        "cacheReadInputTokenCount": 40,
        "cacheWriteInputTokenCount": 50,
    },
    "output": {
        "outputContentType": "application/json",
        "outputBodyJson": {
            "output": {"message": {"role": "assistant", "content": [{"text": SECRET}]}},
            "metrics": {"latencyMs": 3640},
        },
        "outputTokenCount": 20,
    },
}
INVOKED = {
    **UNSAID,
    "x_CallId": "b1",
    "x_Time": datetime(2026, 3, 2, 12, 0, 5),
    "x_Endpoint": "aws.bedrock/us.anthropic.claude-x-v1:0",
    "x_Provider": "aws.bedrock",
    "x_Model": "us.anthropic.claude-x-v1:0",
    "x_Feature": "chat",
    "x_Tenant": "globex",
    "x_Environment": "production",
    "x_Credential": "arn:aws:sts::111122223333:assumed-role/chat-production",
    "x_InputTokens": 100,
    "x_CachedInputTokens": 40,
    "x_CacheWrite5mTokens": 50,
    "x_CacheWrite1hTokens": 0,
    "x_OutputTokens": 20,
    "x_LatencyMs": 3640,
}
WRITES = {"usage": {"cache_creation": {"ephemeral_1h_input_tokens": 30}}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"requestMetadata": None}, {"x_Feature": None, "x_Tenant": None, "x_Environment": None}),
        (
            {"input/cacheReadInputTokenCount": None, "input/cacheWriteInputTokenCount": None},
            {"x_InputTokens": 10, "x_CachedInputTokens": 0, "x_CacheWrite5mTokens": 0},
        ),
        (
            {"output/outputBodyJson": WRITES},
            {"x_CacheWrite5mTokens": 20, "x_CacheWrite1hTokens": 30, "x_LatencyMs": None},
        ),
        (
            {"output/outputBodyJson": [{"type": "message_start", "message": WRITES}]},
            {"x_CacheWrite5mTokens": 20, "x_CacheWrite1hTokens": 30, "x_LatencyMs": None},
        ),
        # a stream that broke off: unknown, not zero
        ({"output/outputTokenCount": None}, {"x_OutputTokens": None}),
        (
            {"errorCode": "ThrottlingException", "input/inputTokenCount": None, "output": None},
            {
                "x_Status": "error",
                "x_InputTokens": None,
                "x_CachedInputTokens": None,
                "x_CacheWrite5mTokens": None,
                "x_CacheWrite1hTokens": None,
                "x_OutputTokens": None,
                "x_LatencyMs": None,
            },
        ),
        (
            {"modelId": "amazon.titan-embed-text-v2:0", "output/outputTokenCount": None},
            {
                "x_Endpoint": "aws.bedrock/amazon.titan-embed-text-v2:0",
                "x_Model": "amazon.titan-embed-text-v2:0",
                "x_OutputTokens": 0,
            },
        ),
        (
            {"output/outputBodyJson": {"images": ["", ""]}, "output/outputTokenCount": None},
            {"x_OutputTokens": 0, "x_Images": 2, "x_LatencyMs": None},
        ),
        ({"serviceTier": {"type": "flex"}}, {"x_ServiceTier": "flex"}),
        ({"performanceConfig": {"latency": "optimized"}}, {"x_ServiceTier": "optimized"}),
        (
            {"identity/arn": "arn:aws:iam::111122223333:user/ada"},
            {"x_Credential": "arn:aws:iam::111122223333:user/ada"},
        ),
        ({"schemaType": "Other"}, {"x_Reason": "not a ModelInvocationLog"}),
        ({"timestamp": "noon"}, {"x_Time": None, "x_Reason": "the timestamp cannot be read"}),
        (
            {"input/inputTokenCount": -5},
            {"x_InputTokens": 85, "x_Reason": "a token count is not a whole number"},
        ),
    ],
)
def test_an_invocation_of_bedrock(
    engine: duckdb.DuckDBPyConnection, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = read_call(engine, "bedrock", changed(INVOCATION, changes))

    assert [{**INVOKED, **expected}] == found


# ---------------------------------------------------------------------------------------- openai

RESULT = {
    "object": "organization.usage.completions.result",
    "input_tokens": 1000,
    "output_tokens": 500,
    "input_cached_tokens": 800,
    "num_model_requests": 5,
    "project_id": "proj_abc",
    "user_id": None,
    "api_key_id": "key_abc",
    "model": "gpt-4o-2024-08-06",
    "batch": False,
    "service_tier": "default",
}
BUCKET = {
    "object": "bucket",
    "start_time": 1772452800,
    "end_time": 1772456400,
    "results": [RESULT],
}
USED = {
    **UNSAID,
    "x_Time": datetime(2026, 3, 2, 12),
    "x_Endpoint": "openai/gpt-4o-2024-08-06",
    "x_Provider": "openai",
    "x_Feature": "proj_abc",
    "x_Model": "gpt-4o-2024-08-06",
    "x_Credential": "key_abc",
    "x_ServiceTier": "default",
    "x_Calls": 5,
    "x_InputTokens": 1000,
    "x_CachedInputTokens": 800,
    "x_CacheWrite5mTokens": 0,
    "x_OutputTokens": 500,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"results/0/batch": True}, {"x_ServiceTier": "batch"}),
        ({"results/0/input_cache_write_tokens": 100}, {"x_CacheWrite5mTokens": 100}),
        (
            {
                "results/0/object": "organization.usage.images.result",
                "results/0/images": 7,
                "results/0/input_tokens": None,
                "results/0/input_cached_tokens": None,
                "results/0/output_tokens": None,
            },
            {"x_Images": 7, "x_InputTokens": 0, "x_CachedInputTokens": 0, "x_OutputTokens": 0},
        ),
        (
            {
                "results/0/object": "organization.usage.audio_transcriptions.result",
                "results/0/seconds": 60,
                "results/0/input_tokens": None,
                "results/0/input_cached_tokens": None,
                "results/0/output_tokens": None,
            },
            {"x_AudioMs": 60000, "x_InputTokens": 0, "x_CachedInputTokens": 0, "x_OutputTokens": 0},
        ),
        (
            {
                "results/0/object": "organization.usage.embeddings.result",
                "results/0/output_tokens": None,
            },
            {"x_OutputTokens": 0},
        ),
        (
            {"end_time": 1772452800 + 7 * 86400},
            {"x_Reason": "the bucket is longer than a day; ask for bucket_width=1h"},
        ),
        (
            {"results/0/model": None},
            {
                "x_Endpoint": None,
                "x_Model": None,
                "x_Reason": "not grouped by model; ask for group_by=model",
            },
        ),
        (
            {"results/0/input_cached_tokens": 1001},
            {
                "x_CachedInputTokens": 1001,
                "x_Reason": "more input tokens were cached than there are",
            },
        ),
    ],
)
def test_a_bucket_of_openai(
    engine: duckdb.DuckDBPyConnection, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    (found,) = read_call(engine, "openai_usage", changed(BUCKET, changes))
    assert 32 == len(found.pop("x_CallId"))

    assert {**USED, **expected} == found


def test_a_page_has_buckets_and_other_lines_are_refused(engine: duckdb.DuckDBPyConnection) -> None:
    nobody = changed(BUCKET, {"results/0/num_model_requests": 0})
    stores = {"object": "organization.usage.vector_stores.result", "usage_bytes": 1}
    page = {
        "object": "page",
        "data": [BUCKET, {**BUCKET, "start_time": 1772456400, "end_time": 1772460000}, nobody],
        "has_more": False,
    }
    found = read_call(engine, "openai_usage", page, {**BUCKET, "results": [stores]}, {"a": 1})

    assert [
        (1, 5, datetime(2026, 3, 2, 12), None),
        (1, 5, datetime(2026, 3, 2, 13), None),
        (3, 0, None, "neither a page nor a bucket of the usage API"),
    ] == sorted((r["x_SourceRow"], r["x_Calls"], r["x_Time"], r["x_Reason"]) for r in found)


def test_a_row_of_many_calls_is_as_many_calls(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The first bucket was asked for before its hour was over: the later, fuller one counts."""
    later = changed(BUCKET, {"results/0/num_model_requests": 9, "results/0/input_tokens": 300_000})
    file = write_lines(tmp_path / "u.jsonl", BUCKET, later)

    assert [(12, None, 9, 0, 0, 300_000, 500, 0, None)] == counted(
        engine, tmp_path, "openai_usage", [file]
    )
    # How long each of the nine was, 300,000 tokens of them together do not tell.
    assert [(None, "standard", "key_abc")] == engine.execute(
        "select x_ContextClass, x_ServiceTier, x_Credential "
        f"from '{tmp_path}/inference_usage.parquet'"
    ).fetchall()


# ----------------------------------------------------------------------------------------- azure

GATEWAY = {
    "category": "GatewayLlmLogs",
    "time": "2026-03-02T12:00:05Z",
    "operationName": "Microsoft.ApiManagement/GatewayLlmLogs",
    "correlationId": "c1",
    "properties": {
        "modelName": "gpt-4o",
        "deploymentName": "chat",
        "promptTokens": 100,
        "completionTokens": 20,
        "totalTokens": 120,
        "isStreamCompletion": False,
    },
}
TABLE = {
    "TimeGenerated": "2026-03-02T12:00:05Z",
    "Type": "ApiManagementGatewayLlmLog",
    "CorrelationId": "c1",
    "ModelName": "gpt-4o",
    "DeploymentName": "chat",
    "PromptTokens": 100,
    "CompletionTokens": 20,
    "SequenceNumber": 0,
}
REQUESTED = {
    "category": "RequestResponse",
    "time": "2026-03-02T12:00:05Z",
    "operationName": "ChatCompletions_Create",
    "event": "ShoeboxCallResult",
    "correlationId": "c1",
    "durationMs": 250,
    "resultSignature": "200",
    "properties": '{"requestLength":120,"responseLength":4000,"modelName":"gpt-4o",'
    '"modelDeploymentName":"chat","streamType":"Streaming"}',
}
GATED = {
    **UNSAID,
    "x_CallId": "c1",
    "x_Time": datetime(2026, 3, 2, 12, 0, 5),
    "x_Endpoint": "azure.ai.openai/gpt-4o",
    "x_Provider": "azure.ai.openai",
    "x_Model": "gpt-4o",
    "x_InputTokens": 100,
    "x_OutputTokens": 20,
}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GATEWAY, {}),
        ({**GATEWAY, "properties": json.dumps(GATEWAY["properties"])}, {}),
        (TABLE, {}),
        ({**TABLE, "Type": None}, {}),
        (
            {**TABLE, "Feature": "chat", "Tenant": "globex", "ApimSubscriptionId": "team-a"},
            {"x_Feature": "chat", "x_Tenant": "globex", "x_Credential": "team-a"},
        ),
        # a stream that ended without its usage
        (
            changed(
                GATEWAY, {"properties/promptTokens": None, "properties/completionTokens": None}
            ),
            {"x_InputTokens": None, "x_OutputTokens": None, "x_CachedInputTokens": None},
        ),
        (changed(GATEWAY, {"properties/promptCachedTokens": 64}), {"x_CachedInputTokens": 64}),
        (
            REQUESTED,
            {
                "x_InputTokens": None,
                "x_OutputTokens": None,
                "x_CachedInputTokens": None,
                "x_LatencyMs": 250,
            },
        ),
        (
            {**REQUESTED, "resultSignature": "429"},
            {
                "x_Status": "error",
                "x_InputTokens": None,
                "x_OutputTokens": None,
                "x_CachedInputTokens": None,
                "x_LatencyMs": 250,
            },
        ),
        ({**TABLE, "TimeGenerated": None}, {"x_Time": None, "x_Reason": "no time"}),
    ],
)
def test_a_call_of_azure_openai(
    engine: duckdb.DuckDBPyConnection, line: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert [{**GATED, **expected}] == read_call(engine, "azure_openai", line)


def test_other_logs_of_azure_are_passed_over_or_refused(
    engine: duckdb.DuckDBPyConnection,
) -> None:
    found = read_call(
        engine,
        "azure_openai",
        {"category": "Audit", "time": "2026-03-02T12:00:05Z"},
        {**REQUESTED, "properties": "{}"},
        {"Type": "ApiManagementGatewayLlmLog", "SequenceNumber": 1, "RequestMessages": SECRET},
        {"category": "AzureOpenAIRequestUsage", "time": "2026-03-02T12:00:05Z"},
        {"hello": 1},
    )

    assert [
        (4, "what AzureOpenAIRequestUsage holds is not documented; deliver GatewayLlmLogs"),
        (5, "no category, model or count of tokens"),
    ] == [(r["x_SourceRow"], r["x_Reason"]) for r in found]


# ---------------------------------------------------------------------------------------- kserve

RESPONSE = {
    "specversion": "1.0",
    "type": "org.kubeflow.serving.inference.response",
    "id": "k1",
    "source": "http://localhost:9081/",
    "time": "2026-03-02T12:00:05.472Z",
    "inferenceservicename": "llama",
    "namespace": "ml",
    "component": "predictor",
    "endpoint": "default",
    "metadata": '{"X-Tenant":["globex"],"X-Feature":["chat"]}',
    "datacontenttype": "application/json",
    "data": {
        "object": "chat.completion",
        "model": "llama-70b",
        "choices": [{"message": {"role": "assistant", "content": SECRET}}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 40},
        },
    },
}
ANSWERED = {
    **UNSAID,
    "x_CallId": "k1",
    "x_Time": datetime(2026, 3, 2, 12, 0, 5, 472000),
    "x_Endpoint": "ml/llama-predictor",
    "x_Provider": "kserve",
    "x_Model": "llama-70b",
    "x_Feature": "chat",
    "x_Tenant": "globex",
    "x_InputTokens": 100,
    "x_CachedInputTokens": 40,
    "x_OutputTokens": 20,
}
NO_COUNTS = {"x_InputTokens": None, "x_CachedInputTokens": None, "x_OutputTokens": None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"data": json.dumps(RESPONSE["data"])}, {}),
        ({"metadata": None}, {"x_Feature": None, "x_Tenant": None}),
        # a stream, and another protocol
        ({"data": 'data: {"choices":[]}'}, {**NO_COUNTS, "x_Model": "llama"}),
        ({"data": {"model_name": "iris", "outputs": []}}, {**NO_COUNTS, "x_Model": "iris"}),
        (
            {"statuscode": "422", "data": {"error": SECRET}},
            {**NO_COUNTS, "x_Model": "llama", "x_Status": "error"},
        ),
        (
            {
                "data": {
                    "object": "list",
                    "model": "e5",
                    "usage": {"prompt_tokens": 9, "total_tokens": 9},
                }
            },
            {"x_Model": "e5", "x_InputTokens": 9, "x_CachedInputTokens": 0, "x_OutputTokens": 0},
        ),
        (
            {"namespace": None},
            {"x_Endpoint": None, "x_Reason": "no inferenceservicename or namespace"},
        ),
    ],
)
def test_a_response_of_kserve(
    engine: duckdb.DuckDBPyConnection, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert [{**ANSWERED, **expected}] == read_call(engine, "kserve", changed(RESPONSE, changes))


def test_a_request_of_kserve_is_not_a_call(engine: duckdb.DuckDBPyConnection) -> None:
    asked = {**RESPONSE, "type": "org.kubeflow.serving.inference.request"}
    found = read_call(engine, "kserve", asked, {"data": SECRET})

    assert [(2, "no type: not a CloudEvent in structured form")] == [
        (r["x_SourceRow"], r["x_Reason"]) for r in found
    ]


# ------------------------------------------------------------------------ what is never kept

PROMPTS: dict[str, dict[str, Any]] = {
    "bedrock": INVOCATION,
    "openai_usage": {**BUCKET, "prompt": SECRET},
    "azure_openai": {**TABLE, "RequestMessages": SECRET, "ResponseMessages": [SECRET]},
    "kserve": RESPONSE,
}


@pytest.mark.parametrize("dialect", sorted(PROMPTS))
def test_no_prompt_is_kept_of_a_line_that_is_read_or_refused(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, dialect: str
) -> None:
    line = PROMPTS[dialect]
    torn = json.dumps(line)[:-3]
    timeless = {k: v for k, v in line.items() if k not in ("timestamp", "time", "TimeGenerated")}
    timeless.pop("start_time", None)
    file = write_lines(tmp_path / "l.jsonl", line, torn, timeless)
    into = tmp_path / "out"
    into.mkdir()

    assert 1 == len(counted(engine, into, dialect, [file]))
    rows = engine.execute(f"from '{into}/unread_usage.parquet'").fetchall()
    assert [2, 3] == [r[3] for r in rows]
    assert {"(not kept: it may hold a prompt)"} == {r[5] for r in rows}
    for left in into.iterdir():
        assert SECRET not in str(engine.execute(f"from '{left}'").fetchall())
    assert {"inference_usage.parquet", "unread_usage.parquet"} == {p.name for p in into.iterdir()}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("chat-production", "chat-production"),
        (" key_abc ", "key_abc"),
        ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        (
            "arn:aws:sts::111122223333:assumed-role/a-role-with-a-very-long-name-indeed/x",
            "arn:aws:sts::111122223333:assumed-role/a-role-with-a-very-long-name-indeed/x",
        ),
        ("", None),
        (None, None),
        ("sk-proj-abc", "sha256:"),
        ("Bearer abc", "sha256:"),
        ("AKIAIOSFODNN7EXAMPLE", "sha256:"),
        ("0123456789abcdef0123456789abcdef", "sha256:"),
        ("c2VjcmV0/c2VjcmV0+c2VjcmV0c2Vj-cmV0c2VjcmV0", "sha256:"),
    ],
)
def test_a_key_is_known_by_its_name_or_its_hash(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path, told: str | None, name: str | None
) -> None:
    """What looks like a key is hashed before it is counted."""
    select = (
        "select timestamp '2026-03-02 12:30:00' as x_Time, 'v/m' as x_Endpoint, 'v' as x_Provider, "
        "'m' as x_Model, 'ok' as x_Status, cast(? as varchar) as x_Credential"
    )
    path = tmp_path / "c.parquet"
    engine.execute(f"copy ({select}) to '{path}'", [told])
    block = InferenceSection(name="gateway", dialect="calls", location="x")
    usage.read_calls(engine, block, DAY, [("c.parquet", path)], tmp_path)
    ((found,),) = engine.execute(
        f"select x_Credential from '{tmp_path}/inference_usage.parquet'"
    ).fetchall()

    if name == "sha256:":
        assert found.startswith(name)
        assert len(name) + 16 == len(found)
        assert str(told) not in found
    else:
        assert name == found


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (0, 0),
        (32_000, 0),
        (32_001, 32_000),
        (200_000, 128_000),
        (200_001, 200_000),
        (10**6, 512_000),
    ],
)
def test_a_call_is_above_a_threshold_or_not(
    engine: duckdb.DuckDBPyConnection, tokens: int, expected: int
) -> None:
    assert [(expected,)] == engine.execute("select context_class(?)", [tokens]).fetchall()


@pytest.mark.parametrize(
    ("dialect", "line", "place", "count"),
    [
        ("bedrock", INVOCATION, "input/inputTokenCount", "token count"),
        ("bedrock", INVOCATION, "input/cacheReadInputTokenCount", "token count"),
        ("openai_usage", BUCKET, "results/0/output_tokens", "count"),
        ("openai_usage", BUCKET, "results/0/num_model_requests", "count"),
        ("azure_openai", GATEWAY, "properties/completionTokens", "token count"),
        ("kserve", RESPONSE, "data/usage/prompt_tokens", "token count"),
        ("kserve", RESPONSE, "data/usage/prompt_tokens_details/cached_tokens", "token count"),
        ("litellm", spend(), "completion_tokens", "token count"),
        ("litellm", spend(), "metadata/usage_object/cache_read_input_tokens", "token count"),
        ("litellm", spend(), "metadata/usage_object/cache_creation_input_tokens", "token count"),
    ],
)
@pytest.mark.parametrize(
    ("told", "is_whole"), [(60, True), (60.0, True), (1.5, False), ("15e-1", False)]
)
def test_a_count_is_whole_or_the_line_is_refused(
    engine: duckdb.DuckDBPyConnection,
    dialect: str,
    line: dict[str, Any],
    place: str,
    count: str,
    told: Any,
    is_whole: bool,
) -> None:
    """A cast alone makes two tokens of one and a half."""
    changes: dict[str, Any] = {place: told}
    if dialect == "litellm":
        changes |= {"metadata/usage_object/prompt_tokens_details": None}
    (found,) = read_call(engine, dialect, changed(line, changes))

    assert (None if is_whole else f"a {count} is not a whole number") == found["x_Reason"]


def test_every_dialect_is_named_where_it_is_configured() -> None:
    told = InferenceSection.model_fields["dialect"].description or ""

    assert [] == [d for d in queries.stems("usage/calls") if f"`{d}`" not in told]
