"""The GitOps repository: what Git says should run.

What belongs here: the text of the manifests, written as people write them (comments, mixed
quoting, patches), and the commits. Numbers and names come from `company`, so that they agree
with the metrics wherever no drift is planted. Commit ids are the same for the same arguments.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from .company import HPA, WORKLOADS, Period, Workload

POLICY = """\
# Every Deployment that serves a model says who looked at it. Enforced by Kyverno.
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: require-ai-labels
  annotations:
    policies.kyverno.io/title: Responsible AI labels
    policies.kyverno.io/category: "AI governance"
spec:
  validationFailureAction: Enforce
  background: true
  rules:
    - name: inference-deployments-are-reviewed
      match:
        any:
          - resources:
              kinds: [Deployment]
              namespaces: [inference]
      validate:
        message: >-
          Deployments in `inference` need the labels responsible-ai-compliance and
          ai-alignment-status; ask #responsible-ai.
        pattern:
          spec:
            template:
              metadata:
                labels:
                  responsible-ai-compliance: "?*"
                  ai-alignment-status: "?*"
"""

README = """\
# acme-gitops

What runs in the cluster `acme-main`. Argo CD applies what is on `main`, nothing else.

- `apps/<namespace>/`: plain YAML, one folder a namespace
- `kustomize/search/`: base and overlays for production and staging
- `charts/summarise/`: the one Helm chart
- `argocd/`: the Applications
- `policies/`: what Kyverno enforces

Resource requests are reviewed by the owning team. Please keep the comments.
"""

CHART = """\
apiVersion: v2
name: summarise
description: Summaries of long documents
type: application
version: 1.8.2
appVersion: "3.1"
"""

CHART_TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Values.fullnameOverride }}
  namespace: {{ .Values.namespaceOverride | default .Release.Namespace }}
spec:
  replicas: {{ .Values.replicaCount }}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .Values.fullnameOverride }}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {{ .Values.fullnameOverride }}
        {{- toYaml .Values.podLabels | nindent 8 }}
    spec:
      containers:
        - name: worker
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          resources:
            {{- toYaml .Values.resources | nindent 12 }}
"""


WORKLOAD = """\
{head}
apiVersion: apps/v1
kind: {w.kind}
metadata:
  name: {w.name}
  namespace: {w.namespace}
  labels:
{labels_4}spec:
{service}  replicas: {replicas}
  selector:
    matchLabels:
      app.kubernetes.io/name: {w.name}
  template:
    metadata:
      labels:
{labels_8}    spec:
{tolerations}      containers:
{container_8}"""

CRON_JOB = """\
# Every night at two; takes about ninety minutes.
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {w.name}
  namespace: {w.namespace}
  labels:
{labels_4}spec:
  schedule: "0 2 * * *"
  concurrencyPolicy: Forbid
  jobTemplate:
    spec:
      backoffLimit: 1
      template:
        metadata:
          labels:
{labels_12}        spec:
          restartPolicy: Never
          containers:
{container_12}"""

AUTOSCALER = """\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {w.name}
  namespace: {w.namespace}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {w.kind}
    name: {w.name}
  minReplicas: {low}
  maxReplicas: {high}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {{type: Utilization, averageUtilization: 70}}
"""

APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
spec:
  project: default
  source:
    repoURL: https://git.acme.example/platform/acme-gitops.git
    targetRevision: main
    path: {path}
  destination:
    server: https://kubernetes.default.svc
    namespace: {name}
  syncPolicy:
    automated: {{prune: true, selfHeal: false}}
"""

VALUES = """\
# Values of the summarise workers. One file for all environments, for now.
fullnameOverride: {w.name}
namespaceOverride: {w.namespace}

replicaCount: {replicas}   # a worker takes about forty documents at once

image:
  repository: registry.acme.example/summarise/{w.name}
  tag: "2026.9.4"

podLabels:
{labels_2}
resources:
  # Long documents are held in memory; it was killed at 4Gi.
  limits:
    cpu: {w.cpu_limit}m
    memory: {memory_limit}
  requests:
    cpu: {w.cpu_request}m
    memory: "{memory_request}"
"""

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
"""

BASE = """\
# Replicas and environment are set by the overlays.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {w.name}
spec:
  replicas: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {w.name}
  template:
    metadata:
      labels:
{labels_8}    spec:
      containers:
{container_8}"""

PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {w.name}
spec:
  replicas: {replicas}
  template:
    metadata:
      labels:
        environment: '{w.environment}'
"""

PATCH_RESOURCES = """\
    spec:
      containers:
        - name: {w.container}
          # staging sees a hundredth of the traffic
{resources_10}"""


def write(directory: Path, period: Period) -> str:
    """Write the repository with two commits on `main`; returns the id of the last."""
    files = _files(period)
    late = {"policies/require-ai-labels.yaml", "apps/inference/mistral-7b-legacy.yaml"}
    directory.mkdir(parents=True, exist_ok=True)
    _git(directory, "init", "--quiet", "--initial-branch=main", "--template=")
    for name in sorted(files):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name].encode())
    first = period.begin - timedelta(days=61, hours=-9)
    _git(directory, "add", "--all", "--", ".", *(f":(exclude){n}" for n in sorted(late)))
    _git(directory, "commit", "--quiet", "-m", "Everything that runs in acme-main", when=first)
    _git(directory, "add", "--all")
    message = "Require responsible AI labels; keep the old Mistral endpoint until chat has moved"
    _git(directory, "commit", "--quiet", "-m", message, when=first + timedelta(days=30))
    return _git(directory, "rev-parse", "HEAD").strip()


def _git(directory: Path, *arguments: str, when: object = None) -> str:
    """Run git with an identity of its own, blind to the configuration of the machine."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Platform Team",
        "GIT_AUTHOR_EMAIL": "platform@acme.example",
        "GIT_COMMITTER_NAME": "Platform Team",
        "GIT_COMMITTER_EMAIL": "platform@acme.example",
    }
    if when is not None:
        env["GIT_AUTHOR_DATE"] = env["GIT_COMMITTER_DATE"] = f"{when} +0000"
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


def _files(period: Period) -> dict[str, str]:
    """Every file by its path."""
    found = {
        "README.md": README,
        "policies/require-ai-labels.yaml": POLICY,
        "charts/summarise/Chart.yaml": CHART,
        "charts/summarise/templates/deployment.yaml": CHART_TEMPLATE,
    }
    search: list[Workload] = []
    for w in WORKLOADS:
        path = f"apps/{w.namespace}"
        if not w.declared:
            continue
        if w.feature == "search":
            search.append(w)
            path = f"kustomize/search/overlays/{w.environment}"
        elif w.namespace == "summarise":
            path = "charts/summarise"
            found[f"{path}/values.yaml"] = _render(VALUES, w, period.scale)
        elif w.kind == "CronJob":
            found[f"{path}/{w.name}.yaml"] = _render(CRON_JOB, w, period.scale)
        else:
            template = WORKLOAD + (AUTOSCALER if (w.namespace, w.name) in HPA else "")
            found[f"{path}/{w.name}.yaml"] = _render(template, w, period.scale)
        found[f"argocd/{w.namespace}.yaml"] = APPLICATION.format(name=w.namespace, path=path)
    return found | _kustomize(search, period.scale)


def _kustomize(search: list[Workload], scale: int) -> dict[str, str]:
    """The base, which says what production needs, and the overlays, which patch it."""
    root = "kustomize/search"
    found = {}
    for w in search:
        overlay = f"{root}/overlays/{w.environment}"
        template = PATCH
        if w.environment == "production":
            found[f"{root}/base/{w.name}.yaml"] = _render(BASE, w, scale, without="environment")
        else:
            template += PATCH_RESOURCES
        found[f"{overlay}/{w.name}.yaml"] = _render(template, w, scale)
        found.setdefault(
            f"{overlay}/kustomization.yaml",
            f"{KUSTOMIZATION}namespace: {w.namespace}\nresources:\n  - ../../base\npatches:\n",
        )
        found[f"{overlay}/kustomization.yaml"] += f"  - path: {w.name}.yaml\n"
    names = sorted({w.name for w in search})
    listed = "".join(f"  - {name}.yaml\n" for name in names)
    found[f"{root}/base/kustomization.yaml"] = f"{KUSTOMIZATION}resources:\n{listed}"
    return found


def _render(template: str, w: Workload, scale: int, without: str = "") -> str:
    """A template with what the workload says; `labels_8` is indented by eight, and so on."""
    low, high = HPA.get((w.namespace, w.name), (0, 0))
    labels = {k: v for k, v in w.git_labels().items() if k != without}
    chart = {k: v for k, v in labels.items() if k != "app.kubernetes.io/name"}
    toleration = "        - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}\n"
    return template.format(
        w=w,
        head=NOTES[w.name]
        if w.gpus and w.name in NOTES
        else f"# {w.name}, owned by the {w.feature or 'platform'} team",
        replicas=w.replicas * scale,
        low=low * scale,
        high=high * scale,
        service=f"  serviceName: {w.name}\n" if w.kind == "StatefulSet" else "",
        tolerations=f"      tolerations:\n{toleration}" if w.gpus else "",
        memory_request=_quantity(w.memory_request),
        memory_limit=_quantity(w.memory_limit),
        resources_10=_resources(w, 10),
        **{f"labels_{n}": _labels(labels, n) for n in (4, 8, 12)},
        labels_2=_labels(chart, 2),
        **{f"container_{n}": _container(w, n) for n in (8, 12)},
    )


def _quantity(mib: int) -> str:
    return f"{mib // 1024}Gi" if mib % 1024 == 0 else f"{mib}Mi"


def _cores(millicores: int) -> str:
    """CPU as people write it: `500m`, or `"2"` for whole cores."""
    return f"{millicores}m" if millicores % 1000 else f'"{millicores // 1000}"'


NOTES = {
    "chat-api": "# Measured in the load test of June; talk to @chat before you lower it.",
    "recommend-api": "# sized for the autumn campaign",
    "code-assist-api": "# request = limit on purpose: completions must not wait",
    "llama-70b": "# tensor parallel over four A100; CPU for tokenising",
    "mistral-7b-legacy": "# TODO(chat): remove once the migration is done",
    "embed-large": "# two of the node's four GPUs; the others are for the next model",
}

IMAGES = {
    "chat-cache": "redis:7.4.1",
    "llm-gateway": "ghcr.io/berriai/litellm:main-v1.79.0",
    "llama-70b": "vllm/vllm-openai:v0.11.0",
    "code-llm": "vllm/vllm-openai:v0.11.0",
    "embed-large": "vllm/vllm-openai:v0.11.0",
    "mistral-7b-legacy": "vllm/vllm-openai:v0.6.3",
}


def _labels(labels: Mapping[str, str], indent: int) -> str:
    return "".join(f"{' ' * indent}{k}: {v}\n" for k, v in labels.items())


def _resources(w: Workload, indent: int) -> str:
    """Requests and limits; GPU workloads in the flow style their team prefers."""
    pad = " " * indent
    if w.gpus:

        def flow(cpu: int, memory: int) -> str:
            return f"{{cpu: {_cores(cpu)}, memory: {_quantity(memory)}, nvidia.com/gpu: {w.gpus}}}"

        return (
            f"{pad}resources:\n"
            f"{pad}  requests: {flow(w.cpu_request, w.memory_request)}\n"
            f"{pad}  limits:   {flow(w.cpu_limit, w.memory_limit)}\n"
        )
    note = f"  {NOTES[w.name]}" if w.name in NOTES else ""
    return (
        f"{pad}resources:\n"
        f"{pad}  requests:{note}\n"
        f"{pad}    cpu: {_cores(w.cpu_request)}\n"
        f"{pad}    memory: {_quantity(w.memory_request)}\n"
        f"{pad}  limits:\n"
        f"{pad}    cpu: {_cores(w.cpu_limit)}\n"
        f"{pad}    memory: {_quantity(w.memory_limit)}\n"
    )


def _container(w: Workload, indent: int) -> str:
    pad = " " * indent
    image = IMAGES.get(
        w.name, f"registry.acme.example/{w.namespace.split('-staging')[0]}/{w.name}:2026.9.4"
    )
    text = f"{pad}- name: {w.container}\n{pad}  image: '{image}'\n"
    if w.gpus:
        text += f'{pad}  args: ["--tensor-parallel-size", "{w.gpus}", "--max-model-len", "32768"]\n'
    return text + _resources(w, indent + 2)
