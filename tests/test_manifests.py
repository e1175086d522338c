"""What a GitOps repository declares, and edits that touch one value and nothing else."""

from __future__ import annotations

import difflib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from finops_pipeline.config import Config, GitopsSection
from finops_pipeline.contracts import table
from finops_pipeline.errors import ConfigError, EditRefused
from finops_pipeline.manifests import ALL, Declared, Key, declare, edit, read
from finops_pipeline.manifests.quantities import (
    count,
    cpu_like,
    memory_like,
    millicores,
    whole_bytes,
)

DEPLOYMENT = """\
# The chat API. Ask #chat before you change it.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  labels: {feature: chat, costCenter: "12"}
spec:
  replicas: 3 # one per zone
  template:
    metadata:
      labels:
        app.kubernetes.io/part-of: chat
    spec:
      containers:
        - name: api
          image: api:1
          resources:
            requests:
              cpu: "2"   # measured in June
              memory: 4Gi
            limits: {cpu: '4', memory: 4Gi}
"""


def declared(files: dict[str, str], **block: object) -> Declared:
    return declare(files, GitopsSection(name="shop", path=".", **block))  # type: ignore[arg-type]


def changes(before: str, after: str) -> list[str]:
    """The lines of a diff that differ."""
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line for line in lines if line[0] in "+-"]


def value_at(found: Declared, overlay: str, container: str, field: str) -> tuple[str, int, str]:
    """(path, line, value) of a declared field of the only workload of that overlay."""
    rows = [
        row
        for row in found.fields.iter_rows(named=True)
        if (row["x_Overlay"], row["x_Container"], row["x_Field"]) == (overlay, container, field)
    ]
    assert len(rows) == 1, rows
    return rows[0]["x_Path"], rows[0]["x_Line"], rows[0]["x_Declared"]


def edited(found: Declared, key: Key, value: str) -> tuple[str, str]:
    """The file a value is in, before and after it is set."""
    place = found.places[key]
    return found.files[place.path], edit(found.files[place.path], place, value)


# ------------------------------------------------------------------------------ quantities
@pytest.mark.parametrize(
    ("text", "cores"),
    [("500m", 500), ("0.5", 500), ("1", 1000), ("1e3", 1_000_000), (".25", 250), ("1.", 1000),
     ("0.0005", 1), ("100u", 1), ("2k", 2_000_000)],
)  # fmt: skip
def test_cpu_is_read_exactly(text: str, cores: int) -> None:
    assert cores == millicores(text)


@pytest.mark.parametrize(
    "text", ["123Mi", "128.9748480M", "128974848000m", "128974848e0", "128974848", "128974848E0"]
)
def test_memory_is_read_exactly(text: str) -> None:
    """The spellings of one amount in the Kubernetes documentation."""
    assert 128_974_848 == whole_bytes(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "1 Gi",
        "1GB",
        "1gi",
        "25 0m",
        "-1",
        "1,5",
        "0x10",
        "1_000",
        "\u0661",
        "1e",
        "{{ .x }}",
    ],
)
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        millicores(text)


def test_count_is_whole() -> None:
    assert 4 == count("4")
    with pytest.raises(ValueError, match="whole"):
        count("500m")


@pytest.mark.parametrize(
    ("amount", "like", "written"),
    [(250, "500m", "250m"), (250, "0.5", "0.25"), (1000, "2.0", "1"), (1000, "2", "1"),
     (720, "4", "720m"), (1500, "1500m", "1500m"), (300, "1e1", "300m")],
)  # fmt: skip
def test_cpu_is_written_in_the_style_of_its_author(amount: int, like: str, written: str) -> None:
    assert written == cpu_like(amount, like)
    assert amount == millicores(written)


@pytest.mark.parametrize(
    ("amount", "like", "written"),
    [(2**31, "4Gi", "2Gi"), (768 * 2**20, "2Gi", "768Mi"), (768 * 2**20, "4096Mi", "768Mi"),
     (2**30, "2097152Ki", "1048576Ki"), (768 * 2**20, "1G", "806M"), (10**9, "2G", "1G"),
     (768 * 2**20, "1073741824", "805306368"), (768 * 2**20, "1e9", "805306368")],
)  # fmt: skip
def test_memory_is_written_in_the_style_of_its_author(amount: int, like: str, written: str) -> None:
    assert written == memory_like(amount, like)
    assert amount <= whole_bytes(written) < amount + 10**6


# ------------------------------------------------------------------------------ plain folders
def test_plain_folder_is_read_whole() -> None:
    found = declared({"apps/chat/api.yaml": DEPLOYMENT})

    row = found.workloads.row(0, named=True)
    assert list(table("declared_workload").names) == found.workloads.columns
    assert ("shop", "apps/chat", "default", "Deployment", "api", "api") == tuple(
        row[c] for c in table("declared_workload").key
    )
    assert (3, 2000, 4000, 2**32, 2**32) == (
        row["x_Replicas"], row["x_CpuRequestMillicores"], row["x_CpuLimitMillicores"],
        row["x_MemoryRequestBytes"], row["x_MemoryLimitBytes"],
    )  # fmt: skip
    labels = {"app_kubernetes_io_part_of": "chat", "cost_center": "12", "feature": "chat"}
    assert labels == json.loads(row["x_Labels"])
    assert () == found.problems


def test_frames_keep_the_contract() -> None:
    found = declared({"a.yaml": DEPLOYMENT})

    table("declared_field").schema().validate(found.fields)
    table("declared_workload").schema().validate(found.workloads)
    empty = declared({})
    table("declared_field").schema().validate(empty.fields)
    table("declared_workload").schema().validate(empty.workloads)


def test_every_field_says_where_it_is() -> None:
    found = declared({"apps/chat/api.yaml": DEPLOYMENT})

    lines = {row[6]: (row[8], row[9]) for row in found.fields.iter_rows()}
    assert {
        "resources.limits.cpu": (21, "4"),
        "resources.limits.memory": (21, "4Gi"),
        "resources.requests.cpu": (19, "2"),
        "resources.requests.memory": (20, "4Gi"),
        "spec.replicas": (8, "3"),
    } == lines


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_edit_changes_one_line_and_keeps_quotes_comments_and_line_ends(newline: str) -> None:
    text = DEPLOYMENT.replace("\n", newline)
    found = declared({"a.yaml": text})

    for key, place in found.places.items():
        before, after = edited(found, key, "7")
        assert 2 == len(changes(before, after)), key
        assert len(before) - len(place.raw) == len(after) - len("7" if not place.quote else "'7'")
        assert before.count(newline) == after.count(newline)
        again = declared({"a.yaml": after})
        differ = {k for k in found.values() if found.values()[k] != again.values()[k]}
        assert {key} == differ
        assert "7" == again.values()[key]
    quoted = Key("shop", ".", "default", "Deployment", "api", "api", "resources.requests.cpu")
    assert '+               cpu: "7"   # measured in June' + newline in changes(
        *edited(found, quoted, "7")
    )


def test_a_byte_order_mark_and_other_scripts_do_not_shift_an_edit() -> None:
    text = "\ufeff# Größe 😀\n" + DEPLOYMENT
    found = declared({"a.yaml": text})
    key = Key("shop", ".", "default", "Deployment", "api", ALL, "spec.replicas")

    assert ["-   replicas: 3 # one per zone\n", "+   replicas: 5 # one per zone\n"] == changes(
        *edited(found, key, "5")
    )


def test_lists_and_many_documents_are_unpacked() -> None:
    one = DEPLOYMENT.replace("name: api\n  labels", "name: one\n  labels")
    item = "\n".join("  " + line for line in DEPLOYMENT.splitlines())
    found = declared({"a.yaml": f"{one}---\n---\napiVersion: v1\nkind: List\nitems:\n-\n{item}\n"})

    assert {"one", "api"} == set(found.workloads["x_Workload"])
    assert () == found.problems


def test_a_broken_file_is_named_and_hides_nothing_else() -> None:
    found = declared(
        {"a/broken.yaml": "kind: Deployment\nmetadata: [\n", "a/good.yaml": DEPLOYMENT,
         "a/later.yaml": DEPLOYMENT.replace(": api\n  l", ": b\n  l") + "---\nx: {{ .y }}\n"}
    )  # fmt: skip

    assert {"api", "b"} == set(found.workloads["x_Workload"])
    assert [("a/broken.yaml", 3), ("a/later.yaml", 23)] == [
        (p.path, p.line) for p in found.problems
    ]
    assert "not YAML" in str(found.problems[0])
    assert "helm_values" in str(found.problems[1])


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [("memory: 4Gi\n", "memory: 4GB\n", 20, "'4GB' is not a Kubernetes quantity"),
     ("replicas: 3", "replicas: three", 8, "'three' is not a Kubernetes quantity")],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_a_problem(old: str, new: str, line: int, said: str) -> None:
    found = declared({"a.yaml": DEPLOYMENT.replace(old, new, 1)})

    assert [said in p.reason for p in found.problems] == [True]
    assert "a.yaml" == found.problems[0].path
    if "replicas" in old:
        assert line == found.problems[0].line


def test_a_workload_declared_twice_is_a_problem() -> None:
    found = declared({"x/a.yaml": DEPLOYMENT, "x/b.yaml": DEPLOYMENT})

    assert 1 == found.workloads.height
    assert "declared twice" in found.problems[0].reason


def test_values_behind_anchors_are_read_but_not_editable() -> None:
    text = DEPLOYMENT.replace('cpu: "2" ', 'cpu: &c "2" ').replace("cpu: '4'", "cpu: *c")
    found = declared({"a.yaml": text})

    row = found.workloads.row(0, named=True)
    assert (2000, 2000) == (row["x_CpuRequestMillicores"], row["x_CpuLimitMillicores"])
    assert not [k for k in found.places if k.field.endswith(".cpu")]


def test_merge_keys_are_followed_but_not_editable() -> None:
    text = DEPLOYMENT.replace(
        "labels: {feature", "annotations: &r {memory: 9Gi}\n  labels: {feature"
    )
    text = text.replace("              memory: 4Gi\n", "              <<: *r\n")
    found = declared({"a.yaml": text})

    assert 9 * 2**30 == found.workloads["x_MemoryRequestBytes"][0]
    assert not [k for k in found.places if k.field == "resources.requests.memory"]


def test_an_alias_that_contains_itself_is_a_problem() -> None:
    found = declared({"a.yaml": "a: &a\n  b: *a\n", "b.yaml": DEPLOYMENT})

    assert 1 == found.workloads.height


def test_edit_refuses_what_it_cannot_do_safely() -> None:
    found = declared({"a.yaml": DEPLOYMENT})
    place = next(iter(found.places.values()))

    with pytest.raises(EditRefused, match=r"a\.yaml:\d+: the file changed"):
        edit("x" + DEPLOYMENT, place, "7")
    with pytest.raises(EditRefused, match="plain"):
        edit(DEPLOYMENT, place, "7 # and more")


# --------------------------------------------------------------------------------- kinds
def pod(kind: str, api: str, spec: str) -> str:
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: w, namespace: n}}\nspec: {spec}\n"


CONTAINERS = "{containers: [{name: c, resources: {requests: {cpu: 250m}}}]}"


@pytest.mark.parametrize(
    ("kind", "api", "spec", "declared_kind"),
    [
        ("StatefulSet", "apps/v1", f"{{template: {{spec: {CONTAINERS}}}}}", "StatefulSet"),
        ("DaemonSet", "apps/v1", f"{{template: {{spec: {CONTAINERS}}}}}", "DaemonSet"),
        ("Job", "batch/v1", f"{{template: {{spec: {CONTAINERS}}}}}", "Job"),
        ("CronJob", "batch/v1", f"{{jobTemplate: {{spec: {{template: {{spec: {CONTAINERS}}}}}}}}}",
         "CronJob"),
        ("Pod", "v1", CONTAINERS, "Pod"),
        ("Rollout", "argoproj.io/v1alpha1", f"{{template: {{spec: {CONTAINERS}}}}}", "Rollout"),
        ("Service", "serving.knative.dev/v1", f"{{template: {{spec: {CONTAINERS}}}}}",
         "KnativeService"),
        ("InferenceService", "serving.kserve.io/v1beta1", f"{{predictor: {CONTAINERS}}}",
         "InferenceService"),
    ],
)  # fmt: skip
def test_kinds_that_run_pods_are_understood(
    kind: str, api: str, spec: str, declared_kind: str
) -> None:
    found = declared({"a.yaml": pod(kind, api, spec)})

    row = found.workloads.row(0, named=True)
    assert (declared_kind, "n", "w", "c", 250) == (
        row["x_WorkloadKind"], row["x_Namespace"], row["x_Workload"], row["x_Container"],
        row["x_CpuRequestMillicores"],
    )  # fmt: skip
    key = Key("shop", ".", "n", declared_kind, "w", "c", "resources.requests.cpu")
    assert 2 == len(changes(*edited(found, key, "1")))


def test_kserve_model_and_gpus() -> None:
    spec = "{predictor: {minReplicas: 1, model: {resources: {limits: {nvidia.com/gpu: 2}}}}}"
    found = declared({"a.yaml": pod("InferenceService", "serving.kserve.io/v1beta1", spec)})

    row = found.workloads.row(0, named=True)
    assert ("kserve-container", 2, 1) == (
        row["x_Container"],
        row["x_GpuRequest"],
        row["x_Replicas"],
    )


def test_what_runs_no_pods_is_left_out() -> None:
    found = declared({"a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {}\n"})

    assert 0 == found.workloads.height


HPA = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: api}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  minReplicas: 2
  maxReplicas: 6
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
"""
KEDA = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: api}
spec:
  scaleTargetRef: {name: api}
  minReplicaCount: 0
  triggers:
    - {type: prometheus, metadata: {}}
    - {type: memory, metricType: Utilization, metadata: {value: "80"}}
"""
VPA = """\
apiVersion: autoscaling.k8s.io/v1
kind: VerticalPodAutoscaler
metadata: {name: api}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: api}
  updatePolicy: {updateMode: Auto}
"""


@pytest.mark.parametrize(
    ("scaler", "kind", "low", "high", "fields"),
    [(HPA, "HPA", 2, 6, {"autoscaler.cpu": "70"}),
     (KEDA, "KEDA", 0, None, {"autoscaler.memory": "80"}),
     (VPA, "VPA", None, None, {}), (VPA.replace("Auto}", '"Off"}'), None, None, None, {}),
     (HPA.replace("name: api}\n  min", "name: other}\n  min"), None, None, None, {})],
)  # fmt: skip
def test_who_scales_a_workload(
    scaler: str, kind: str | None, low: int | None, high: int | None, fields: dict[str, str]
) -> None:
    found = declared({"x/a.yaml": DEPLOYMENT, "x/b.yaml": scaler})

    row = found.workloads.row(0, named=True)
    assert (kind, low, high) == (row["x_Autoscaler"], row["x_MinReplicas"], row["x_MaxReplicas"])
    scaled = {k.field: v for k, v in found.values().items() if k.field.startswith("autoscaler.")}
    assert fields == scaled


def test_who_scales_what_kserve_serves_by_a_deployment_of_its_own() -> None:
    spec = "{predictor: {minReplicas: 1, model: {}}}"
    served = pod("InferenceService", "serving.kserve.io/v1beta1", spec)
    scaler = HPA.replace("name: api", "name: w-predictor").replace(
        "metadata: {name: w-predictor}", "metadata: {name: api, namespace: n}"
    )
    found = declared({"x/a.yaml": served, "x/b.yaml": scaler})

    row = found.workloads.row(0, named=True)
    assert ("HPA", 2, 6) == (row["x_Autoscaler"], row["x_MinReplicas"], row["x_MaxReplicas"])


# ------------------------------------------------------------------------------ kustomize
BASE = {"base/kustomization.yaml": "resources: [api.yaml]\n", "base/api.yaml": DEPLOYMENT}
PATCH = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      containers:
      - name: api
        resources:
          requests:
            cpu: 1500m   # production is busier
"""


def overlay(name: str, text: str) -> dict[str, str]:
    head = f"resources:\n- ../../base\nnamespace: {name}\n"
    return {f"overlays/{name}/kustomization.yaml": head + text}


def test_the_patch_of_an_overlay_wins_and_is_what_is_edited() -> None:
    found = declared(
        BASE | overlay("prod", "patches:\n- path: p.yaml\n") | {"overlays/prod/p.yaml": PATCH}
    )

    assert ["overlays/prod"] == found.workloads["x_Overlay"].to_list()
    assert ["prod"] == found.workloads["x_Namespace"].to_list()
    where = value_at(found, "overlays/prod", "api", "resources.requests.cpu")
    assert ("overlays/prod/p.yaml", 11, "1500m") == where
    key = Key("shop", "overlays/prod", "prod", "Deployment", "api", "api", "resources.requests.cpu")
    assert [
        "-             cpu: 1500m   # production is busier\n",
        "+             cpu: 700m   # production is busier\n",
    ] == changes(*edited(found, key, "700m"))


def test_a_value_of_a_shared_base_goes_into_the_patch_of_the_overlay() -> None:
    """A change of the base would reach staging, which was not measured."""
    found = declared(
        BASE
        | overlay("prod", "patches:\n- path: p.yaml\n")
        | {"overlays/prod/p.yaml": PATCH}
        | overlay("staging", "")
    )
    key = Key("shop", "overlays/prod", "prod", "Deployment", "api", "api",
              "resources.requests.memory")  # fmt: skip

    assert ["+             memory: 1Gi\n"] == changes(*edited(found, key, "1Gi"))
    after = found.changed({"overlays/prod/p.yaml": edited(found, key, "1Gi")[1]})
    differ = {k for k, v in found.values().items() if after.values().get(k) != v}
    assert {key} == differ


def test_a_patch_without_the_container_gets_all_that_is_missing() -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: api\nspec:\n  replicas: 5\n"
    found = declared(
        BASE
        | overlay("prod", "patchesStrategicMerge: [p.yaml]\n")
        | {"overlays/prod/p.yaml": patch.replace("\n", "\r\n")}
        | overlay("staging", "")
    )
    key = Key("shop", "overlays/prod", "prod", "Deployment", "api", "api", "resources.requests.cpu")
    before, after = edited(found, key, "1500m")

    assert after.startswith(before.rstrip("\r\n"))
    assert "\n" not in after.replace("\r\n", "")
    assert "1500m" == found.changed({"overlays/prod/p.yaml": after}).values()[key]
    assert (
        "5"
        == found.changed({"overlays/prod/p.yaml": after}).values()[
            key._replace(container=ALL, field="spec.replicas")
        ]
    )


def test_a_value_two_overlays_share_is_not_editable() -> None:
    found = declared(BASE | overlay("prod", "") | overlay("staging", ""))

    assert 2 == found.workloads.height
    assert {} == found.places


def test_an_overlay_nobody_listed_still_protects_the_base() -> None:
    found = declared(
        BASE | overlay("prod", "") | overlay("staging", ""), overlays=["overlays/prod"]
    )

    assert ["overlays/prod"] == found.workloads["x_Overlay"].to_list()
    assert {} == found.places


def test_a_base_value_that_every_other_overlay_overrides_is_editable() -> None:
    found = declared(
        BASE
        | overlay("prod", "patches:\n- path: p.yaml\n")
        | {"overlays/prod/p.yaml": PATCH}
        | overlay("staging", "")
    )

    where = value_at(found, "overlays/staging", "api", "resources.requests.cpu")
    assert ("base/api.yaml", 19, "2") == where


@pytest.mark.parametrize(
    "patch",
    [
        ("patches:\n- target: {kind: Deployment, name: a.i}\n  patch: |-\n    - op: replace\n"
        "      path: /spec/template/spec/containers/0/resources/requests/cpu\n      value: 750m\n"),
        "patchesJson6902:\n- target: {kind: Deployment, name: api}\n  path: p.yaml\n",
        ("patches:\n- patch: |\n    apiVersion: apps/v1\n    kind: Deployment\n"
        "    metadata: {name: api}\n"
        "    spec:\n      template:\n        spec:\n          containers:\n          - name: api\n"
        "            resources: {requests: {cpu: 750m}}\n"),
    ],
)  # fmt: skip
def test_inline_and_json_patches_are_edited_where_they_are(patch: str) -> None:
    operations = (
        "- op: replace\n  path: /spec/template/spec/containers/0/resources/requests/cpu\n"
        "  value: 750m\n"
    )
    found = declared(BASE | overlay("prod", patch) | {"overlays/prod/p.yaml": operations})
    key = Key("shop", "overlays/prod", "prod", "Deployment", "api", "api", "resources.requests.cpu")

    assert "750m" == found.values()[key]
    before, after = edited(found, key, "600m")
    assert [line.replace("750m", "600m")[1:] for line in changes(before, after)[:1]] == [
        line[1:] for line in changes(before, after)[1:]
    ]
    assert "600m" == found.changed({found.places[key].path: after}).values()[key]


def test_an_inline_patch_that_is_not_literal_is_read_but_not_editable() -> None:
    patch = (
        "patchesJson6902:\n- target: {kind: Deployment, name: api}\n"
        '  patch: \'[{"op": "replace", "path": "/spec/replicas", "value": 9}]\'\n'
    )
    found = declared(BASE | overlay("prod", patch))

    assert 9 == found.workloads["x_Replicas"][0]
    assert not [k for k in found.places if k.field == "spec.replicas"]


def test_names_labels_and_replicas_of_a_kustomization() -> None:
    text = (
        "namePrefix: p-\nnameSuffix: -x\ncommonLabels: {team: ml}\n"
        "labels:\n- pairs: {environment: production}\n  includeTemplates: true\n"
        "replicas:\n- name: api\n  count: 7\n"
    )
    found = declared(BASE | overlay("prod", text) | {"base/hpa.yaml": HPA,
                     "base/kustomization.yaml": "resources: [api.yaml, hpa.yaml]\n"})  # fmt: skip

    row = found.workloads.row(0, named=True)
    assert ("p-api-x", 7, "HPA") == (row["x_Workload"], row["x_Replicas"], row["x_Autoscaler"])
    assert {"team": "ml", "environment": "production"}.items() <= json.loads(
        row["x_Labels"]
    ).items()
    where = value_at(found, "overlays/prod", ALL, "spec.replicas")
    assert ("overlays/prod/kustomization.yaml", 12, "7") == where


def test_deleting_patches_components_and_remote_bases() -> None:
    component = "kind: Component\npatches:\n- path: d.yaml\n"
    delete = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {template: {spec: "
        "{containers: [{name: api, $patch: delete}, "
        "{name: b, resources: {requests: {cpu: 1}}}]}}}\n"
    )
    files = BASE | {"c/kustomization.yaml": component, "c/d.yaml": delete} | overlay(
        "prod", "components: [../../c]\nbases: ['https://example.org/x?ref=1', ../gone]\n"
    )  # fmt: skip
    found = declared(files)

    assert ["b"] == found.workloads["x_Container"].to_list()
    assert ["../gone does not exist", "https://example.org/x?ref=1 is not in this repository"] == [
        p.reason.split(",")[0] for p in found.problems
    ]


def test_a_kustomization_that_includes_itself_is_a_problem() -> None:
    found = declared({"a/kustomization.yaml": "resources: [../b]\n",
                      "b/kustomization.yaml": "resources: [../a]\n"},
                     overlays=["a"])  # fmt: skip

    assert any("includes itself" in p.reason for p in found.problems)


def test_objects_that_are_not_built_in_get_their_lists_replaced() -> None:
    """As Kustomize does without a schema: a patch with one container leaves one container."""
    rollout = DEPLOYMENT.replace("kind: Deployment", "kind: Rollout").replace(
        "apps/v1", "argoproj.io/v1alpha1"
    )
    patch = PATCH.replace("kind: Deployment", "kind: Rollout").replace(
        "apps/v1", "argoproj.io/v1alpha1"
    )
    found = declared(
        {"base/kustomization.yaml": "resources: [api.yaml]\n", "base/api.yaml": rollout}
        | overlay("prod", "patches:\n- path: p.yaml\n") | {"overlays/prod/p.yaml": patch}
    )  # fmt: skip

    row = found.workloads.row(0, named=True)
    assert (1500, None) == (row["x_CpuRequestMillicores"], row["x_MemoryRequestBytes"])


def test_an_application_gives_the_namespace() -> None:
    application = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: chat}\n"
        "spec: {source: {path: ./apps/chat}, destination: {namespace: chat-prod}}\n"
    )
    found = declared({"apps/chat/a.yaml": DEPLOYMENT, "argocd/chat.yaml": application})

    assert ["chat-prod"] == found.workloads["x_Namespace"].to_list()


# ---------------------------------------------------------------------------------- charts
VALUES = """\
replicaCount: 2   # forty documents each
resources:
  requests:
    cpu: 2000m
    memory: "6Gi"
  limits: {memory: 6Gi}
podLabels:
  feature: summarise
"""
CHART = {"charts/sum/Chart.yaml": "name: sum\nversion: 1.0.0\n"}
TEMPLATE = (
    "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {{ .Values.fullnameOverride }}\n"
    "spec:\n  template:\n    spec:\n      containers:\n        - name: {{ .Values.box.name }}\n"
    "          {{- toYaml .Values.resources | nindent 12 }}\n"
)


def test_values_file_is_read_by_its_well_known_keys() -> None:
    files = CHART | {"charts/sum/values.yaml": VALUES}
    found = declared(files, helm_values=["charts/*/values.yaml"])

    row = found.workloads.row(0, named=True)
    assert ("charts/sum", "default", "Deployment", "sum", "sum", 2, 2000) == (
        row["x_Overlay"], row["x_Namespace"], row["x_WorkloadKind"], row["x_Workload"],
        row["x_Container"], row["x_Replicas"], row["x_CpuRequestMillicores"],
    )  # fmt: skip
    assert {"feature": "summarise"} == json.loads(row["x_Labels"])
    key = Key("shop", "charts/sum", "default", "Deployment", "sum", "sum",
              "resources.requests.memory")  # fmt: skip
    assert ['-     memory: "6Gi"\n', '+     memory: "4Gi"\n'] == changes(*edited(found, key, "4Gi"))


def test_plain_words_of_templates_and_the_application_name_the_workload() -> None:
    application = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: nightly}\n"
        "spec: {source: {path: charts/sum}, destination: {namespace: docs}}\n"
    )
    values = VALUES + "fullnameOverride: worker\nbox: {name: main}\n"
    found = declared(
        CHART | {"charts/sum/values.yaml": values, "charts/sum/templates/d.yaml": TEMPLATE,
                 "argocd/x.yaml": application},
        helm_values=["charts/*/values.yaml"],
    )  # fmt: skip

    row = found.workloads.row(0, named=True)
    assert ("docs", "StatefulSet", "worker", "main") == (
        row["x_Namespace"], row["x_WorkloadKind"], row["x_Workload"], row["x_Container"]
    )  # fmt: skip
    assert () == found.problems


def test_values_of_an_environment_are_laid_over_the_defaults() -> None:
    files = CHART | {
        "charts/sum/values.yaml": VALUES,
        "charts/sum/values-prod.yaml": "namespace: prod\nresources:\n  requests:\n    cpu: 3\n",
        "charts/sum/values-dev.yaml": "namespace: dev\nreplicaCount: 1\n",
    }
    found = declared(files, helm_values=["charts/*/values*.yaml"])

    rows = {r["x_Namespace"]: r for r in found.workloads.iter_rows(named=True)}
    assert {"prod": (3000, 2), "dev": (2000, 1)} == {
        n: (r["x_CpuRequestMillicores"], r["x_Replicas"]) for n, r in rows.items()
    }
    key = Key("shop", rows["prod"]["x_Overlay"], "prod", "Deployment", "sum", "sum",
              "resources.requests.memory")  # fmt: skip
    assert "charts/sum/values-prod.yaml" == found.places[key].path
    assert ["+     memory: 4Gi\n"] == changes(*edited(found, key, "4Gi"))


def test_components_of_a_chart_are_workloads_of_their_own() -> None:
    values = (
        "web:\n  replicas: 2\n  resources: {requests: {cpu: 1}}\n"
        "off:\n  enabled: false\n  resources: {requests: {cpu: 1}}\n"
        "worker:\n  resources: {requests: {cpu: 2}}\n  autoscaling: {enabled: true, minReplicas: 1,"
        " maxReplicas: 3, targetCPUUtilizationPercentage: 60}\n"
    )
    found = declared(
        CHART | {"charts/sum/values.yaml": values}, helm_values=["charts/*/values.yaml"]
    )

    assert [("sum-web", "web", None), ("sum-worker", "worker", "HPA")] == [
        (r["x_Workload"], r["x_Container"], r["x_Autoscaler"])
        for r in found.workloads.iter_rows(named=True)
    ]


def test_a_pattern_that_matches_all_of_a_chart_reads_its_values_alone() -> None:
    """`Chart.yaml`, Helm 2's `requirements.yaml`, templates and CRDs declare no workload."""
    application = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: sum}\n"
        "spec: {source: {path: charts/sum, helm: {valueFiles: [prod.yaml]}}, "
        "destination: {namespace: docs}}\n"
    )
    files = CHART | {
        "charts/sum/values.yaml": VALUES,
        "charts/sum/prod.yaml": "replicaCount: 4\n",
        "charts/sum/requirements.yaml": "dependencies: []\n",
        "charts/sum/templates/extra.yaml": "kind: ConfigMap\n",
        "charts/sum/crds/x.yaml": "kind: CustomResourceDefinition\n",
        "apps/sum.yaml": application,
    }
    found = declared(files, helm_values=["charts/*/*.yaml", "charts/**"])

    assert [("charts/sum/prod.yaml", "docs", "sum", 4)] == [
        (r["x_Path"], r["x_Namespace"], r["x_Workload"], r["x_Replicas"])
        for r in found.workloads.iter_rows(named=True)
    ]
    assert {"charts/sum/prod.yaml", "charts/sum/values.yaml"} == {
        p.path for p in found.places.values()
    }
    assert () == found.problems


def test_values_without_a_chart_are_a_problem() -> None:
    found = declared({"x/values.yaml": VALUES}, helm_values=["x/values.yaml"])

    assert 0 == found.workloads.height
    assert "Chart.yaml" in found.problems[0].reason


# ------------------------------------------------------------------------------------- git
def git(path: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(path), *identity, *args], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def clone_of(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all")
    return folder


def test_reading_takes_the_base_branch_whatever_the_work_tree_says(tmp_path: Path) -> None:
    clone = clone_of(tmp_path / "r", {"apps/api.yaml": DEPLOYMENT, "apps/x.txt": "no"})
    git(clone, "checkout", "-q", "-b", "mine")
    (clone / "apps/api.yaml").write_text("broken: [\n")
    block = GitopsSection(name="shop", path="r")

    found = read(block, Config(root=tmp_path, gitops=[block]))

    assert git(clone, "rev-parse", "main") == found.commit
    assert [found.commit] == found.workloads["x_Commit"].to_list()
    assert () == found.problems
    assert "M apps/api.yaml" == git(clone, "status", "--porcelain")


def test_reading_keeps_bytes_and_refuses_what_is_not_text(tmp_path: Path) -> None:
    clone = clone_of(tmp_path / "r", {"api.yaml": DEPLOYMENT.replace("\n", "\r\n")})
    (clone / "latin.yaml").write_bytes(b"a: \xff\n")
    git(clone, "add", "-A")
    git(clone, "-c", "core.autocrlf=false", "commit", "-q", "-m", "latin")
    block = GitopsSection(name="shop", path="r")

    found = read(block, Config(root=tmp_path, gitops=[block]))

    assert DEPLOYMENT.replace("\n", "\r\n") == found.files["api.yaml"]
    assert [("latin.yaml", "not UTF-8, so it was not read")] == [
        (p.path, p.reason) for p in found.problems
    ]


@pytest.mark.parametrize(("path", "branch"), [("gone", "main"), ("r", "gone")])
def test_a_clone_or_branch_that_is_not_there_says_what_to_do(
    tmp_path: Path, path: str, branch: str
) -> None:
    clone_of(tmp_path / "r", {"api.yaml": DEPLOYMENT})
    block = GitopsSection(name="shop", path=path, base_branch=branch)

    with pytest.raises(ConfigError, match=r"\[\[gitops\]\]"):
        read(block, Config(root=tmp_path, gitops=[block]))


def test_edited_manifests_are_still_the_same_yaml_but_for_the_value() -> None:
    found = declared({"a.yaml": DEPLOYMENT})
    for key in found.places:
        before, after = edited(found, key, "7")
        flat = [sorted(flattened(yaml.safe_load(text))) for text in (before, after)]
        assert 1 == sum(a != b for a, b in zip(*flat, strict=True)), key


def flattened(node: object, path: str = "") -> list[tuple[str, str]]:
    if isinstance(node, dict):
        return [x for k, v in node.items() for x in flattened(v, f"{path}/{k}")]
    if isinstance(node, list):
        return [x for i, v in enumerate(node) for x in flattened(v, f"{path}/{i}")]
    return [(path, str(node))]
