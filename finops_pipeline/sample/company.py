"""Acme AI: who there is, what they own, what they run and what they forgot to tag.

What belongs here: facts, as frozen values, and the arithmetic of made-up identity and noise.
How the facts look on a bill, in Prometheus, in a log or in Git is in the modules beside this
one. All quantities are integers in a stated unit, so that sums are exact and the same on every
machine; `scale` copies resources, pods and calls, it never changes what one of them costs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1)
CLUSTER = "acme-main"
REGION = "us-east-1"
PAYER = ("999900001111", "acme-management")
PROD = ("111122223333", "acme-prod")
NONPROD = ("444455556666", "acme-nonprod")
SUBSCRIPTION = "0b1f6471-1bf0-4dda-aec3-cb9272f09590"

FEATURES = ("chat", "search", "summarise", "recommend", "moderation", "code-assist")
TENANTS = (
    "globex", "initech", "umbrella", "hooli", "stark", "wayne", "soylent", "vandelay",
)  # fmt: skip
RENAMED = ("assistant", "code-assist")
"""A feature and its new name since last quarter. Git and the cluster know; some tags do not."""


@dataclass(frozen=True)
class Period:
    """The days that are written, and the months they fall in. Times are UTC without zone."""

    start: date
    days: int
    scale: int
    seed: int

    def day_list(self) -> list[date]:
        """Every day, in order."""
        return [self.start + timedelta(days=n) for n in range(self.days)]

    def months(self) -> list[Month]:
        """Every calendar month that a day falls in, in order."""
        found: dict[str, list[date]] = {}
        for day in self.day_list():
            found.setdefault(f"{day:%Y-%m}", []).append(day)
        return [Month(name, tuple(days)) for name, days in found.items()]

    @property
    def begin(self) -> datetime:
        """First instant."""
        return datetime(self.start.year, self.start.month, self.start.day)

    @property
    def end(self) -> datetime:
        """First instant that is not written any more."""
        return self.begin + timedelta(days=self.days)


@dataclass(frozen=True)
class Month:
    """A billing period and those of its days that are written."""

    name: str
    days: tuple[date, ...]

    @property
    def begin(self) -> datetime:
        """First instant of the calendar month."""
        return datetime(self.days[0].year, self.days[0].month, 1)

    @property
    def end(self) -> datetime:
        """First instant of the next calendar month."""
        return datetime(self.begin.year + self.begin.month // 12, self.begin.month % 12 + 1, 1)

    @property
    def closed(self) -> bool:
        """All its days are written, so the provider has issued the invoice."""
        return len(self.days) == (self.end - self.begin).days

    def hours(self) -> list[datetime]:
        """Start of every written hour."""
        return [
            datetime(d.year, d.month, d.day) + timedelta(hours=h)
            for d in self.days
            for h in range(24)
        ]


def ident(seed: int, *parts: object, size: int = 17) -> str:
    """A made-up hexadecimal id of `size` digits: the same for the same arguments."""
    text = "/".join(str(p) for p in (seed, *parts))
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()[:size]


def guid(seed: int, *parts: object) -> str:
    """A made-up UUID: the same for the same arguments."""
    h = ident(seed, *parts, size=32)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def noise(seed: int, place: int, step: int) -> int:
    """An integer in 0..999 that looks random: the same for the same arguments."""
    x = (seed * 0x9E3779B1 + place * 0x85EBCA77 + step * 0xC2B2AE3D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    x = ((x ^ (x >> 12)) * 0x297A2D39) & 0xFFFFFFFF
    return (x ^ (x >> 15)) % 1000


# Work in an hour of the day, in thousandths of the mean hour; a weekend day has 45 % of it.
DAY_SHAPE = (
    380, 320, 290, 280, 300, 400, 600, 850, 1150, 1400, 1520, 1560,
    1480, 1540, 1600, 1570, 1480, 1330, 1180, 1080, 990, 860, 710, 530,
)  # fmt: skip


def busy(hour: datetime) -> int:
    """Thousandths of the mean weekday hour's work that are done in this hour."""
    return DAY_SHAPE[hour.hour] * (450 if hour.weekday() >= 5 else 1000) // 1000


@dataclass(frozen=True)
class Fault:
    """A planted fault: `kind` is a value of x_FindingKind.

    `key` and `value` are the tag as the bill has it; `likely` is the right value, and
    `witnesses` who can say so (none: only a person can).
    """

    kind: str
    dimension: str
    key: str | None = None
    value: str | None = None
    likely: str | None = None
    witnesses: tuple[str, ...] = ()


UNTAGGED = (
    Fault("untagged", "feature"),
    Fault("untagged", "tenant"),
    # All else in that account is production.
    Fault("untagged", "environment", None, None, "production", ("account",)),
)
"""Faults of a resource of the production account that nobody tagged."""


# ------------------------------------------------------------------------------------ cluster


@dataclass(frozen=True)
class Node:
    """An EC2 instance of the cluster. `rate` is its price an hour in microdollars."""

    key: str
    instance_type: str
    zone: str
    vcpu: int
    memory_gib: int
    rate: int
    purchase: str = "on_demand"  # or `spot`, `savings_plan`
    savings_plan_rate: int = 0
    gpus: int = 0
    gpu_model: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    copy: int = 0
    begin: datetime | None = None
    end: datetime | None = None

    def instance_id(self, seed: int) -> str:
        """Id of the instance on the bill, last part of its provider id."""
        return "i-0" + ident(seed, "instance", self.key, self.copy, size=16)

    def provider_id(self, seed: int) -> str:
        """spec.providerID of the node."""
        return f"aws:///{self.zone}/{self.instance_id(seed)}"

    def hostname(self, seed: int) -> str:
        """Name of the node in the cluster."""
        n = int(ident(seed, "ip", self.key, self.copy, size=6), 16)
        return f"ip-10-{n % 200 + 8}-{n // 200 % 250}-{n // 50000 % 250}.ec2.internal"


# Nodes are shared by what runs on them, so only the cluster is tagged, if all is well.
_CPU = {"eks_cluster": CLUSTER}
NODES = (
    Node("cpu-a", "m6i.4xlarge", "us-east-1a", 16, 64, 768_000, "savings_plan", 560_600, tags=_CPU),
    Node("cpu-b", "m6i.4xlarge", "us-east-1a", 16, 64, 768_000, "savings_plan", 560_600, tags=_CPU),
    Node("cpu-c", "m6i.4xlarge", "us-east-1b", 16, 64, 768_000, "savings_plan", 560_600, tags=_CPU),
    Node("cpu-d", "m6i.4xlarge", "us-east-1b", 16, 64, 768_000, tags=_CPU),
    Node("spot-a", "m6i.4xlarge", "us-east-1c", 16, 64, 302_400, "spot", tags=_CPU),
    Node("spot-b", "m6i.4xlarge", "us-east-1c", 16, 64, 302_400, "spot", tags=_CPU),
    Node(
        "gpu-llama",
        "p4d.24xlarge",
        "us-east-1a",
        96,
        1152,
        21_957_600,
        gpus=8,
        gpu_model="NVIDIA A100-SXM4-40GB",
        tags={**_CPU, "tenant": "globex"},
        faults=(Fault("shared_as_one", "tenant", "tenant", "globex", None, ("inference_log",)),),
    ),
    Node(
        "gpu-code",
        "g6e.12xlarge",
        "us-east-1a",
        48,
        384,
        10_492_600,
        gpus=4,
        gpu_model="NVIDIA L40S",
        tags={**_CPU, "feature": "assistant", "environment": "production"},
        faults=(
            Fault(
                "stale",
                "feature",
                "feature",
                "assistant",
                "code-assist",
                ("cluster_label", "inference_log", "git"),
            ),
        ),
    ),
    Node(
        "gpu-embed",
        "g5.12xlarge",
        "us-east-1b",
        48,
        192,
        5_672_000,
        gpus=4,
        gpu_model="NVIDIA A10G",
        tags=_CPU,
    ),
    Node(
        "gpu-legacy",
        "g5.12xlarge",
        "us-east-1b",
        48,
        192,
        5_672_000,
        gpus=4,
        gpu_model="NVIDIA A10G",
        tags={**_CPU, "feature": "chat"},
    ),
)

COMMITMENT = 2_000_000
"""Hourly commitment of the savings plan in microdollars; the three covered nodes use 1,681,800."""
RECURRING = 1_000_000
"""What the invoice asks of it every hour; the other half was paid when it was bought."""

SPOT_INTERRUPTED_AFTER = timedelta(days=16, hours=14, minutes=20)
"""When `spot-b` is taken away; another instance takes its place fifteen minutes later."""


def nodes(period: Period) -> list[Node]:
    """Every instance that lives in the period, copies included."""
    from dataclasses import replace

    found = []
    gone = period.begin + SPOT_INTERRUPTED_AFTER
    for copy in range(period.scale):
        for node in (replace(n, copy=copy) for n in NODES):
            if node.key == "spot-b" and gone < period.end:
                found.append(replace(node, end=gone))
                back = gone + timedelta(minutes=15)
                found.append(replace(node, key="spot-b2", begin=back))
            else:
                found.append(node)
    return found


@dataclass(frozen=True)
class Workload:
    """A controller of the cluster and what its one container asks for and uses.

    CPU in millicores, memory in MiB. `live` is the number of replicas that run where it is not
    `replicas`, the number Git says. `cpu` and `memory` are what a replica uses in the mean hour.
    """

    namespace: str
    name: str
    kind: str
    container: str
    replicas: int
    cpu_request: int
    cpu_limit: int
    cpu: int
    memory_request: int
    memory_limit: int
    memory: int
    gpus: int
    nodes: tuple[str, ...]
    feature: str | None
    tenant: str | None
    environment: str
    live: int | None = None
    throttled: int = 0  # thousandths of the CPU periods
    live_labels: Mapping[str, str] = field(default_factory=dict)
    declared: bool = True  # in Git

    def git_labels(self) -> dict[str, str]:
        """Labels of the pod template as Git says."""
        found = {"app.kubernetes.io/name": self.name, "environment": self.environment}
        if self.feature:
            found["feature"] = self.feature
        if self.tenant:
            found["tenant"] = self.tenant
        if self.namespace == "inference":
            found["responsible-ai-compliance"] = "approved"
            found["ai-alignment-status"] = "reviewed"
        return dict(sorted(found.items()))

    def labels(self) -> dict[str, str]:
        """Labels of the pods as the cluster has them."""
        return dict(sorted({**self.git_labels(), **self.live_labels}.items()))

    def running(self, scale: int) -> int:
        """Replicas that run, in steady state."""
        return (self.replicas if self.live is None else self.live) * scale


# What is there in Git, then what is special about how it runs. `-` is no label. Of note:
# search-indexer asks for five times what it uses; summarise-worker was killed for want of memory
# and code-assist-api is throttled, so neither may get less of that; recommend-api was scaled by
# hand; moderation-api is scaled by an HPA, which is no drift; nobody calls mistral-7b-legacy.
_WORKLOADS = """
namespace      name              kind        container replicas
               cpu: request limit used    memory: request limit used    gpus nodes
               feature tenant environment

chat           chat-api          Deployment  api       3
               1500 3000 1050     3072 4096 2350         0 cpu-a,cpu-b   chat shared production
chat           chat-cache        StatefulSet redis     1
               500 1000 330       8192 8192 6400         0 cpu-a,cpu-b   chat shared production
search         search-api        Deployment  api       2
               1000 2000 720      2048 3072 1600         0 cpu-c,cpu-d   search shared production
search         search-indexer    Deployment  indexer   2
               4000 8000 620      16384 16384 3200       0 cpu-c,cpu-d   search shared production
search-staging search-api        Deployment  api       1
               500 1000 340       1024 2048 800          0 spot-a        search shared staging
search-staging search-indexer    Deployment  indexer   1
               500 1000 350       4096 4096 3200         0 spot-a        search shared staging
summarise      summarise-worker  Deployment  worker    2
               2000 4000 1400     6144 6144 3600         0 cpu-a,cpu-b   summarise shared production
recommend      recommend-api     Deployment  api       2
               1000 2000 690      2048 4096 1650         0 cpu-c,cpu-d   recommend shared production
recommend      recommend-retrain CronJob     train     1
               6000 8000 5200     12288 16384 9600      0 spot-b      recommend shared production
moderation     moderation-api    Deployment  api       2
               1000 2000 740      1536 2048 1180        0 cpu-a,cpu-b   moderation shared production
code-assist    code-assist-api   Deployment  api       2
               1500 1500 560      2048 3072 1600     0 cpu-c,cpu-d   code-assist shared production
platform       llm-gateway       Deployment  litellm   2
               1000 2000 680      2048 4096 1600         0 cpu-a,cpu-b   - - production
inference      llama-70b         Deployment  vllm      2
               24000 24000 16500  262144 262144 208000   4 gpu-llama     - - production
inference      code-llm          Deployment  vllm      2
               12000 12000 8300   98304 98304 77000      2 gpu-code      code-assist - production
inference      embed-large       Deployment  vllm      1
               12000 12000 8200   65536 65536 51000      2 gpu-embed     - - production
inference      mistral-7b-legacy Deployment  vllm      1
               12000 12000 40     65536 65536 21000      4 gpu-legacy    chat - production
kube-system    aws-node          DaemonSet   aws-node  0
               50 100 34          128 256 96             0 -             - - production
"""
_RUNS: dict[str, dict[str, Any]] = {
    "recommend-api": {"live": 5},
    "code-assist-api": {"throttled": 140, "live_labels": {"tenant": "hooli"}},
    "aws-node": {"declared": False},
}


def _read_workloads() -> Iterator[Workload]:
    """The table above, cell by cell in the order of the fields."""
    words = _WORKLOADS.partition("\n\n")[2].split()
    for n in range(0, len(words), 16):
        cells: list[Any] = [None if w == "-" else w for w in words[n : n + 16]]
        cells[4:12] = map(int, cells[4:12])
        cells[12] = tuple(cells[12].split(",")) if cells[12] else ()
        yield Workload(*cells, **_RUNS.get(cells[1], {}))


WORKLOADS = tuple(_read_workloads())

IDLE_ENDPOINT = "inference/mistral-7b-legacy"
OVER_REQUESTED = ("search", "search-indexer")
TRAFFIC = {
    "chat-api": (180_000, 90_000),
    "search-api": (240_000, 110_000),
    "search-indexer": (60_000, 900_000),
    "summarise-worker": (40_000, 320_000),
    "llm-gateway": (420_000, 510_000),
    "llama-70b": (95_000, 60_000),
    "aws-node": (3_000_000, 3_000_000),
}
"""Bytes a second that a pod sends and receives; the last is on the network of its node, whose
counters it has. All others: `QUIET`."""
QUIET = (20_000, 25_000)

HPA = {("moderation", "moderation-api"): (2, 6)}


# ----------------------------------------------------------------------------------- inference

MIX_SIX = {"globex": 38, "initech": 22, "umbrella": 15, "hooli": 12, "stark": 8, "wayne": 5}
MIX_EIGHT = {**MIX_SIX, "soylent": 11, "vandelay": 7}


@dataclass(frozen=True)
class Endpoint:
    """What answers calls: a deployment of the cluster or a model that is bought by the token.

    `calls` is their number in a weekday. `tokens_in` and `tokens_out` are means; `cached` is the
    percentage of input tokens read from a cache. `gpu_us_per_token` is GPU time in microseconds
    of an output token where the server logs GPU time, and prices are microdollars of 1,000
    tokens (input, cached input, output) where tokens are billed.
    """

    name: str
    provider: str
    model: str
    calls: int
    features: Mapping[str, int]
    tenants: Mapping[str, int]
    tokens_in: int
    tokens_out: int
    cached: int = 0
    staging: int = 0  # percentage of the calls that come from staging
    gpu_us_per_token: int = 0
    prices: tuple[int, int, int] = (0, 0, 0)
    operation: str = "chat"
    group: str = ""


ENDPOINTS = (
    Endpoint(
        "inference/llama-70b",
        "vllm",
        "meta-llama/Llama-3.3-70B-Instruct",
        1000,
        {"chat": 55, "summarise": 30, "code-assist": 15},
        MIX_SIX,
        tokens_in=9_000,
        tokens_out=2_400,
        cached=30,
        staging=6,
        gpu_us_per_token=110_000,
    ),
    Endpoint(
        "inference/code-llm",
        "vllm",
        "Qwen/Qwen2.5-Coder-32B-Instruct",
        340,
        {"code-assist": 1},
        {"hooli": 40, "stark": 30, "vandelay": 20, "soylent": 10},
        tokens_in=14_000,
        tokens_out=1_800,
        cached=45,
    ),
    Endpoint(
        "inference/embed-large",
        "vllm",
        "BAAI/bge-m3",
        420,
        {"search": 65, "recommend": 35},
        MIX_EIGHT,
        60000,
        0,
        0,
        4,
        operation="embeddings",
    ),
    Endpoint(
        "aws.bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        "aws.bedrock",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        620,
        {"chat": 40, "summarise": 40, "code-assist": 20},
        MIX_SIX,
        tokens_in=160_000,
        tokens_out=6_000,
        cached=40,
        prices=(3000, 300, 15000),
        group="claude-sonnet",
    ),
    Endpoint(
        "aws.bedrock/anthropic.claude-haiku-4-5-20251001-v1:0",
        "aws.bedrock",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        380,
        {"moderation": 1},
        MIX_EIGHT,
        tokens_in=120_000,
        tokens_out=3_000,
        prices=(1000, 100, 5000),
        group="claude-haiku",
    ),
    Endpoint(
        "aws.bedrock/amazon.titan-embed-text-v2:0",
        "aws.bedrock",
        "amazon.titan-embed-text-v2:0",
        170,
        {"search": 1},
        MIX_EIGHT,
        tokens_in=1_800_000,
        tokens_out=0,
        prices=(20, 20, 0),
        operation="embeddings",
        group="titan-embed",
    ),
    Endpoint(
        "azure.ai.openai/gpt-4o",
        "azure.ai.openai",
        "gpt-4o",
        340,
        {"summarise": 60, "recommend": 40},
        {"globex": 30, "umbrella": 25, "wayne": 20, "soylent": 15, "vandelay": 10},
        tokens_in=150_000,
        tokens_out=8_000,
        cached=25,
        prices=(2500, 1250, 10000),
        group="gpt-4o",
    ),
    Endpoint(
        "azure.ai.openai/gpt-4o-mini",
        "azure.ai.openai",
        "gpt-4o-mini",
        210,
        {"summarise": 1},
        MIX_EIGHT,
        tokens_in=200_000,
        tokens_out=10_000,
        cached=25,
        prices=(150, 75, 600),
        group="gpt-4o-mini",
    ),
    Endpoint(
        "gcp.vertex_ai/gemini-2.5-flash",
        "gcp.vertex_ai",
        "gemini-2.5-flash",
        160,
        {"search": 60, "recommend": 40},
        MIX_EIGHT,
        tokens_in=110_000,
        tokens_out=4_000,
        cached=20,
        prices=(300, 75, 2500),
        group="gemini-flash",
    ),
)

# A bought model's resource on the bill: what its tags say.
API_TAGS: dict[str, dict[str, str]] = {
    "claude-sonnet": {"tenant": "initech", "environment": "production"},
    "claude-haiku": {"feature": "moderation", "environment": "production"},
    "titan-embed": {"environment": "production"},
    "gpt-4o": {"environment": "production"},
    "gpt-4o-mini": {"feature": "search", "environment": "production"},
    "gemini-flash": {"environment": "production"},
}
_LOG = ("inference_log",)
API_FAULTS = {
    "claude-sonnet": Fault("shared_as_one", "tenant", "tenant", "initech", None, _LOG),
    "titan-embed": Fault("untagged", "feature", None, None, "search", _LOG),
    "gpt-4o-mini": Fault("witness_disagrees", "feature", "feature", "search", "summarise", _LOG),
}


def api_resource(seed: int, group: str) -> str:
    """Id on the bill of a model that is bought by the token."""
    if group.startswith("gpt"):
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourcegroups/ai-prod/providers/"
            f"microsoft.cognitiveservices/accounts/acme-{group}"
        )
    if group.startswith("gemini"):
        model = next(e.model for e in ENDPOINTS if e.group == group)
        return (
            "//aiplatform.googleapis.com/projects/acme-ai-prod/locations/us-central1/"
            f"publishers/google/models/{model}"
        )
    profile = ident(seed, "profile", group, size=12)
    return f"arn:aws:bedrock:{REGION}:{PROD[0]}:application-inference-profile/{profile}"


# --------------------------------------------------------------------- resources with an owner


@dataclass(frozen=True)
class Resource:
    """Something that is bought by the hour and owned by whoever its tags should name.

    `meters` are (usage type, unit, microdollars a unit, thousandths of a unit in the mean hour,
    follows the day's work). `truth` is the right owner; `tags` what somebody typed.
    """

    service: str
    name: str
    account: tuple[str, str]
    meters: tuple[tuple[str, str, int, int, bool], ...]
    truth: tuple[str | None, str | None, str | None]
    tags: Mapping[str, str]
    faults: tuple[Fault, ...] = ()
    operation: str = ""


def _good(feature: str, tenant: str = "shared", environment: str = "production") -> dict[str, str]:
    return {"feature": feature, "tenant": tenant, "environment": environment}


def _owned(
    service: str,
    name: str,
    meters: tuple[tuple[str, str, int, int, bool], ...],
    feature: str,
    tenant: str = "shared",
    environment: str = "production",
    tags: Mapping[str, str] | None = None,
    faults: tuple[Fault, ...] = (),
    operation: str = "",
) -> Resource:
    account = NONPROD if environment == "development" else PROD
    right = _good(feature, tenant, environment)
    return Resource(
        service,
        name,
        account,
        meters,
        (feature, tenant, environment),
        right if tags is None else tags,
        faults,
        operation,
    )


def _rds(size: str, rate: int, gib: int) -> tuple[tuple[str, str, int, int, bool], ...]:
    return (
        (f"InstanceUsage:{size}", "Hrs", rate, 1000, False),
        ("RDS:GP3-Storage", "GB-Mo", 115_000, gib * 1000 // 730, False),
    )


def _s3(gib: int, requests: int) -> tuple[tuple[str, str, int, int, bool], ...]:
    # Requests are billed by the thousand, so that one unit is worth whole microdollars.
    return (
        ("TimedStorage-ByteHrs", "GB-Mo", 23_000, gib * 1000 // 730, False),
        ("Requests-Tier1", "1K Requests", 5_000, requests, True),
    )


RESOURCES = (
    # ---- databases
    _owned(
        "rds",
        "chat-prod",
        _rds("db.r6g.2xlarge", 1_038_000, 900),
        "chat",
        tags={**_good("chat"), "feature": "Chat"},
        faults=(Fault("wrong_case", "feature", "feature", "Chat", "chat"),),
    ),
    _owned("rds", "summarise-prod", _rds("db.r6g.xlarge", 519_000, 400), "summarise"),
    _owned("rds", "recommend-prod", _rds("db.r6g.2xlarge", 1_038_000, 700), "recommend"),
    _owned("rds", "code-assist-stark", _rds("db.r6g.xlarge", 519_000, 250), "code-assist", "stark"),
    _owned(
        "rds",
        "globex-vectors",
        _rds("db.r6g.xlarge", 519_000, 600),
        "search",
        "globex",
        tags={"feature": "globex", "tenant": "search", "environment": "production"},
        faults=(
            Fault("swapped", "feature", "feature", "globex", "search"),
            Fault("swapped", "tenant", "tenant", "search", "globex"),
        ),
    ),
    _owned(
        "rds",
        "analytics-warehouse",
        _rds("db.r6g.xlarge", 519_000, 800),
        "recommend",
        tags={},
        faults=UNTAGGED,
    ),
    _owned(
        "rds", "dev-shared", _rds("db.t4g.large", 129_000, 100), "chat", environment="development"
    ),
    # ---- search engine
    _owned(
        "opensearch",
        "search-prod",
        (
            ("ESInstance:r6g.2xlarge", "Hrs", 670_000, 3000, False),
            ("ES:GP3-Storage", "GB-Mo", 122_000, 3_300, False),
        ),
        "search",
        tags={**_good("search"), "feature": "serach"},
        faults=(Fault("typo", "feature", "feature", "serach", "search"),),
    ),
    # ---- buckets
    _owned(
        "s3",
        "acme-chat-uploads",
        _s3(14_000, 900),
        "chat",
        tags={**_good("chat"), "feature": "CHAT "},
        faults=(Fault("wrong_case", "feature", "feature", "CHAT ", "chat"),),
    ),
    _owned("s3", "acme-globex-documents", _s3(11_000, 600), "summarise", "globex"),
    _owned("s3", "acme-moderation-audit", _s3(9_000, 500), "moderation"),
    _owned("s3", "acme-moderation-models", _s3(5_000, 60), "moderation"),
    _owned("s3", "acme-search-snapshots", _s3(16_000, 200), "search"),
    _owned("s3", "acme-recommend-features", _s3(12_000, 700), "recommend"),
    _owned(
        "s3",
        "acme-assistant-artifacts",
        _s3(8_000, 300),
        "code-assist",
        tags={**_good("code-assist"), "feature": "assistant"},
        faults=(Fault("stale", "feature", "feature", "assistant", "code-assist"),),
    ),
    _owned(
        "s3",
        "acme-raw-events",
        _s3(26_000, 1500),
        "recommend",
        tags={"environment": "production"},
        faults=UNTAGGED[:2],
    ),
    _owned("s3", "acme-dev-scratch", _s3(6_000, 100), "summarise", environment="development"),
    # ---- cache with two keys that disagree
    _owned(
        "elasticache",
        "sessions",
        (("NodeUsage:cache.r7g.large", "Hrs", 219_000, 2000, False),),
        "chat",
        tags={**_good("chat"), "Environment": "staging"},
        faults=(Fault("conflict", "environment", "environment", "production", "production"),),
    ),
    # ---- functions
    _owned(
        "lambda",
        "moderation-webhook",
        (("Lambda-GB-Second", "1K Lambda-GB-Second", 16_667, 9_000, True),),
        "moderation",
    ),
    _owned(
        "lambda",
        "summarise-ingest",
        (("Lambda-GB-Second", "1K Lambda-GB-Second", 16_667, 12_000, True),),
        "summarise",
    ),
    _owned(
        "lambda",
        "nightly-export",
        (("Lambda-GB-Second", "1K Lambda-GB-Second", 16_667, 4_000, False),),
        "search",
        tags={"feature": "search"},
        faults=UNTAGGED[1:],
    ),
    # ---- load balancers, network
    _owned(
        "elb",
        "chat-public",
        (
            ("LoadBalancerUsage", "Hrs", 22_500, 1000, False),
            ("LCUUsage", "LCU-Hrs", 8_000, 9_000, True),
        ),
        "chat",
    ),
    _owned(
        "elb",
        "search-public",
        (
            ("LoadBalancerUsage", "Hrs", 22_500, 1000, False),
            ("LCUUsage", "LCU-Hrs", 8_000, 6_000, True),
        ),
        "search",
    ),
    _owned(
        "elb",
        "code-assist-public",
        (
            ("LoadBalancerUsage", "Hrs", 22_500, 1000, False),
            ("LCUUsage", "LCU-Hrs", 8_000, 3_000, True),
        ),
        "code-assist",
    ),
    _owned(
        "nat",
        "nat-main",
        (
            ("NatGateway-Hours", "Hrs", 45_000, 2000, False),
            ("NatGateway-Bytes", "GB", 45_000, 18_000, True),
        ),
        "platform",
    ),
    # ---- disks
    _owned(
        "ebs",
        "platform-volumes",
        (("EBS:VolumeUsage.gp3", "GB-Mo", 80_000, 11_000, False),),
        "platform",
    ),
    _owned(
        "ebs", "chat-cache-volume", (("EBS:VolumeUsage.gp3", "GB-Mo", 80_000, 700, False),), "chat"
    ),
    _owned(
        "ebs",
        "forgotten-volume",
        (("EBS:VolumeUsage.gp3", "GB-Mo", 80_000, 2_700, False),),
        "search",
        tags={},
        faults=UNTAGGED,
    ),
    _owned(
        "ebs",
        "search-index-2025",
        (("EBS:VolumeUsage.gp3", "GB-Mo", 80_000, 1_400, False),),
        "search",
    ),
    # ---- a GPU box of the developers, not in the cluster
    _owned(
        "ec2",
        "dev-gpu-box",
        (("BoxUsage:g5.2xlarge", "Hrs", 1_212_000, 1000, False),),
        "code-assist",
        environment="development",
    ),
    # ---- the control plane of the cluster, and the load balancer of a Service
    # A Service's: the controller tags it, and the labels of the Service say whose it is.
    _owned(
        "nlb",
        "k8s-search-searchap-4f1c2e7b90",
        (
            ("LoadBalancerUsage", "Hrs", 22_500, 1000, False),
            ("LCUUsage", "LCU-Hrs", 6_000, 4_000, True),
        ),
        "search",
        tags={"elbv2_k8s_aws_cluster": CLUSTER, "service_k8s_aws_stack": "search/search-api"},
    ),
    _owned(
        "eks",
        CLUSTER,
        (("AmazonEKS-Hours:perCluster", "Hours", 100_000, 1000, False),),
        "platform",
    ),
)


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume: the disk behind it, by its name among `RESOURCES`, and its claim.

    `workload` is the StatefulSet whose pod mounts it; where there is none, nobody does. Labels are
    those of the claim.
    """

    disk: str
    namespace: str
    claim: str
    workload: str | None
    gib: int
    labels: Mapping[str, str]


# The index of last year was left behind when search moved to another engine.
VOLUMES = (
    Volume("chat-cache-volume", "chat", "data-chat-cache", "chat-cache", 511, {}),
    Volume(
        "search-index-2025",
        "search",
        "index-2025",
        None,
        1022,
        {"environment": "production", "feature": "search"},
    ),
)

CLUSTER_SERVICES = ("nlb", "eks", "nat")
"""What is the cluster's beside its nodes, and split by what the cluster does."""

# Traffic to the internet is billed by account; most of it cannot be tagged.
TRANSFER = (PROD, "DataTransfer-Out-Bytes", "GB", 90_000, 46_000)


def each(period: Period) -> Iterator[tuple[int, Resource]]:
    """Every resource, copies included, with the number of its copy."""
    for copy in range(period.scale):
        for resource in RESOURCES:
            yield copy, resource
