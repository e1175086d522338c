"""The folder forge, against real git: idempotent, never over a human's work, never insistent."""

from __future__ import annotations

import dataclasses
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_pipeline.config import Config, GitopsSection, PullRequestsSection
from finops_pipeline.errors import EditRefused, UnknownName
from finops_pipeline.forges import forge
from finops_pipeline.forges.folder import Folder
from finops_pipeline.manifests import Key, read
from finops_pipeline.proposals import MARKER, VALUES, FileEdit, Open, Proposal, Value, plan

from .test_manifests import DEPLOYMENT, clone_of, git
from .test_proposals import memory, rows

AFTER = DEPLOYMENT.replace('cpu: "2"', 'cpu: "1"')
BRANCH = "finops/container_requests/apps-0123456789"
SLUG = BRANCH.replace("/", "--")
CPU = Key("shop", "apps", "default", "Deployment", "api", "api", "resources.requests.cpu")
MEMORY = CPU._replace(field="resources.requests.memory")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return clone_of(tmp_path / "shop", {"apps/api.yaml": DEPLOYMENT, "run.sh": "#!/bin/sh\n"})


@pytest.fixture
def folder(tmp_path: Path, clone: Path) -> Folder:
    config = Config(
        root=tmp_path,
        gitops=[GitopsSection(name="shop", path="shop")],
        pull_requests=PullRequestsSection(path="proposals"),
    )
    found = forge(config)
    assert isinstance(found, Folder)
    return found


def proposal(
    clone: Path,
    after: str = AFTER,
    branch: str = BRANCH,
    identity: str = "id-1",
    values: tuple[Value, ...] | None = None,
) -> Proposal:
    if values is None:
        values = (Value(identity, CPU, "2", "1"),)
    told = " ".join(f"{v.id}={v.new}" for v in values)
    return Proposal(
        repository="shop",
        base=git(clone, "rev-parse", "main"),
        branch=branch,
        title="Right-size 1 request in apps: saves 3.00 USD a month",
        body=f"Because.\n\n{MARKER.format(identity)}\n\n{VALUES.format(told)}\n",
        edits=(FileEdit("apps/api.yaml", DEPLOYMENT, after),),
        labels=("finops",),
        saving=Decimal(3),
        currency="USD",
        ids=(identity,),
        period="2026-10",
        values=values,
    )


def commit_by_hand(clone: Path, branch: str, name: str = "note.txt") -> str:
    """A human's commit on a branch, made in a work tree of its own."""
    tree = clone.parent / "by-hand"
    git(clone, "worktree", "add", "-q", str(tree), branch)
    (tree / name).write_text("mine\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-q", "-m", "mine")
    git(clone, "worktree", "remove", "--force", str(tree))
    return git(clone, "rev-parse", branch)


def state_of(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_a_proposal_becomes_a_branch_a_patch_and_a_body(folder: Folder, clone: Path) -> None:
    submitted = folder.submit(proposal(clone))

    assert ("opened", BRANCH) == (submitted.state, submitted.reference)
    assert AFTER.strip() == git(clone, "show", f"{BRANCH}:apps/api.yaml")
    assert ["1", "1", "apps/api.yaml"] == git(clone, "diff", "--numstat", f"main..{BRANCH}").split()
    assert git(clone, "rev-parse", "main") == git(clone, "rev-parse", f"{BRANCH}^")
    said = git(clone, "log", "-1", "--format=%an|%ae|%aI|%cI|%s", BRANCH).split("|")
    assert ["finops-pipeline", "finops-pipeline@localhost", *["2026-11-01T00:00:00+00:00"] * 2,
            "Right-size 1 request in apps: saves 3.00 USD a month"] == said  # fmt: skip
    written = {p.name for p in (folder.path / "shop").iterdir()}
    assert {f"{SLUG}.md", f"{SLUG}.patch", "opened.json"} == written
    assert "Because." in (folder.path / "shop" / f"{SLUG}.md").read_text()
    assert {BRANCH: Open("shop", BRANCH, {"id-1": "1"})} == folder.opened("shop")


def test_the_patch_applies(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))

    git(clone, "apply", "--check", str(folder.path / "shop" / f"{SLUG}.patch"))


def test_crlf_survives_the_commit(folder: Folder, clone: Path) -> None:
    before = DEPLOYMENT.replace("\n", "\r\n")
    (clone / "apps/api.yaml").write_bytes(before.encode())
    git(clone, "-c", "core.autocrlf=false", "commit", "-q", "-a", "-m", "crlf")
    edit = FileEdit("apps/api.yaml", before, AFTER.replace("\n", "\r\n"))
    git(clone, "config", "core.autocrlf", "true")
    folder.submit(dataclasses.replace(proposal(clone), edits=(edit,)))

    stat = git(clone, "diff", "--numstat", f"main..{BRANCH}").split()
    assert ["1", "1", "apps/api.yaml"] == stat


def test_the_work_tree_the_index_and_the_head_are_not_touched(folder: Folder, clone: Path) -> None:
    git(clone, "checkout", "-q", "-b", "mine")
    (clone / "apps/api.yaml").write_text("half written [\n")
    (clone / "staged.txt").write_text("staged\n")
    git(clone, "add", "staged.txt")
    before = git(clone, "status", "--porcelain=v2", "--branch"), (clone / ".git/index").read_bytes()

    folder.submit(proposal(clone))

    after = git(clone, "status", "--porcelain=v2", "--branch"), (clone / ".git/index").read_bytes()
    assert before == after
    assert "half written [\n" == (clone / "apps/api.yaml").read_text()


def test_hooks_of_the_clone_do_not_run(folder: Folder, clone: Path) -> None:
    hook = clone / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    assert "opened" == folder.submit(proposal(clone)).state


def test_modes_of_files_are_kept(folder: Folder, clone: Path) -> None:
    git(clone, "update-index", "--chmod=+x", "run.sh")
    git(clone, "commit", "-q", "-m", "x")
    edit = FileEdit("run.sh", "#!/bin/sh\n", "#!/bin/sh\ntrue\n")
    folder.submit(dataclasses.replace(proposal(clone), edits=(edit,)))

    assert git(clone, "ls-tree", BRANCH, "run.sh").startswith("100755")


def test_the_same_proposal_twice_is_one(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    before = state_of(folder.path), git(clone, "rev-parse", BRANCH)

    assert "exists" == folder.submit(proposal(clone)).state
    assert before == (state_of(folder.path), git(clone, "rev-parse", BRANCH))


@pytest.mark.parametrize("lost", ["opened.json", f"{SLUG}.md", f"{SLUG}.patch", "all"])
def test_a_run_that_was_killed_half_way_ends_the_same(
    folder: Folder, clone: Path, lost: str
) -> None:
    """The branch is there, and some of the files are not."""
    folder.submit(proposal(clone))
    whole = state_of(folder.path)
    if lost == "all":
        shutil.rmtree(folder.path)
    else:
        (folder.path / "shop" / lost).unlink()

    assert "exists" == folder.submit(proposal(clone)).state
    assert whole == state_of(folder.path)


def change(clone: Path, before: str, after: str, path: str = "apps/api.yaml") -> str:
    """Somebody's commit on the base branch; the file as it is then."""
    text = (clone / path).read_text()
    assert before in text
    (clone / path).write_text(text.replace(before, after))
    git(clone, "commit", "-q", "-a", "-m", "by hand")
    return (clone / path).read_text()


def test_a_base_that_moved_leaves_the_branch_alone(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    before = state_of(folder.path), git(clone, "rev-parse", BRANCH)
    change(clone, "#!/bin/sh", "#!/bin/bash", "run.sh")

    assert "exists" == folder.submit(proposal(clone)).state
    assert before == (state_of(folder.path), git(clone, "rev-parse", BRANCH))


def test_a_branch_that_cannot_be_merged_any_more_is_made_anew(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    now = change(clone, "memory: 4Gi\n", "memory: 5Gi\n")  # the line below the one we change
    assert [True] == [o.is_stale for o in folder.opened("shop").values()]

    edit = FileEdit("apps/api.yaml", now, now.replace('cpu: "2"', 'cpu: "1"'))
    again = dataclasses.replace(proposal(clone), edits=(edit,))
    assert "renewed" == folder.submit(again).state
    assert git(clone, "rev-parse", "main") == git(clone, "rev-parse", f"{BRANCH}^")
    assert [False] == [o.is_stale for o in folder.opened("shop").values()]
    assert "exists" == folder.submit(again).state


def test_a_file_that_changed_since_it_was_read_is_refused(folder: Folder, clone: Path) -> None:
    edit = FileEdit("apps/api.yaml", "something else", AFTER)

    with pytest.raises(EditRefused, match="run again"):
        folder.submit(dataclasses.replace(proposal(clone), edits=(edit,)))
    assert "" == git(clone, "branch", "--list", "finops/*")


def test_a_humans_commits_are_never_overwritten(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    theirs = commit_by_hand(clone, BRANCH)

    again = folder.submit(proposal(clone, AFTER.replace("memory: 4Gi", "memory: 3Gi")))

    assert ("exists", theirs) == (again.state, git(clone, "rev-parse", BRANCH))
    assert "somebody has committed" in again.reason
    assert [True] == [o.is_touched for o in folder.opened("shop").values()]
    assert ["exists"] == [s.state for s in folder.settle("shop", [])]
    assert theirs == git(clone, "rev-parse", BRANCH)


def test_a_branch_somebody_has_checked_out_is_left_alone(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    git(clone, "checkout", "-q", BRANCH)
    before = git(clone, "rev-parse", "HEAD")

    assert "exists" == folder.submit(proposal(clone, AFTER.replace("4Gi", "3Gi", 1))).state
    assert before == git(clone, "rev-parse", "HEAD")


@pytest.mark.parametrize("how", ["branch deleted", "marker"])
def test_a_declined_proposal_is_not_opened_again(folder: Folder, clone: Path, how: str) -> None:
    folder.submit(proposal(clone))
    if how == "marker":
        (folder.path / "shop" / f"{SLUG}.declined").touch()
    else:
        git(clone, "branch", "-q", "-D", BRANCH)

    assert {"id-1": ("1",)} == folder.declined("shop")
    assert {} == folder.opened("shop")
    assert ["declined", "declined"] == [folder.submit(proposal(clone)).state for _ in range(2)]
    if how == "branch deleted":
        assert "" == git(clone, "branch", "--list", "finops/*")
    assert {"id-1": ("1",)} == folder.declined("shop")


def test_what_was_declined_is_known_even_without_the_record(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    (folder.path / "shop" / f"{SLUG}.declined").touch()
    (folder.path / "shop/opened.json").unlink()

    assert {"id-1": ("1",)} == folder.declined("shop")
    assert "declined" == folder.submit(proposal(clone)).state


@pytest.mark.parametrize("how", ["branch deleted", "marker"])
def test_a_decline_is_of_its_values_and_not_of_the_branch(
    folder: Folder, clone: Path, how: str
) -> None:
    """The branch is that of the overlay: something else may be proposed on it."""
    other = DEPLOYMENT.replace('cpu: "2"', 'cpu: "500m"')
    folder.submit(proposal(clone))
    if how == "marker":
        (folder.path / "shop" / f"{SLUG}.declined").touch()
    else:
        git(clone, "branch", "-q", "-D", BRANCH)
    assert ["declined"] == [s.state for s in folder.settle("shop", [BRANCH])]

    lower = proposal(clone, other, values=(Value("id-1", CPU, "2", "500m"),))
    assert "opened" == folder.submit(lower).state
    assert {BRANCH: Open("shop", BRANCH, {"id-1": "500m"})} == folder.opened("shop")
    assert {"id-1": ("1",)} == folder.declined("shop")

    git(clone, "branch", "-q", "-D", BRANCH)
    assert {"id-1": ("1", "500m")} == folder.declined("shop"), "one does not bring back the other"
    assert "declined" == folder.submit(proposal(clone)).state
    assert "declined" == folder.submit(lower).state


def test_what_an_older_version_noted_as_declined_stays_so(folder: Folder, clone: Path) -> None:
    """It knew of branches and not of values."""
    folder.submit(proposal(clone))
    git(clone, "branch", "-q", "-D", BRANCH)
    path = folder.path / "shop/opened.json"
    ((branch, entry),) = json.loads(path.read_text()).items()
    del entry["values"], entry["declined"]
    path.write_text(json.dumps({branch: {**entry, "state": "declined"}}))

    assert {"id-1": ("",)} == folder.declined("shop")
    assert "declined" == folder.submit(proposal(clone)).state
    assert () == folder.settle("shop", [])
    assert {"id-1": ("",)} == folder.declined("shop")


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_a_merged_proposal_is_not_a_declined_one(folder: Folder, clone: Path, how: str) -> None:
    folder.submit(proposal(clone))
    if how == "merge":
        git(clone, "merge", "-q", "--no-ff", "-m", "merged", BRANCH)
    else:
        (clone / "apps/api.yaml").write_text(AFTER)
        git(clone, "commit", "-q", "-a", "-m", "squashed")
    git(clone, "branch", "-q", "-D", BRANCH)

    assert {} == folder.declined("shop")
    assert ["merged"] == [s.state for s in folder.settle("shop", [BRANCH])]
    assert () == folder.settle("shop", [])


@pytest.mark.parametrize("after", ["another line", "the value itself", "both"])
def test_a_squash_is_a_merge_whatever_came_after_it(
    folder: Folder, clone: Path, after: str
) -> None:
    folder.submit(proposal(clone))
    (clone / "apps/api.yaml").write_text(AFTER)
    git(clone, "commit", "-q", "-a", "-m", "squashed")
    git(clone, "branch", "-q", "-D", BRANCH)
    if after != "the value itself":
        change(clone, "replicas: 3", "replicas: 4")
    if after != "another line":
        change(clone, 'cpu: "1"', 'cpu: "2"')

    assert {} == folder.declined("shop")
    assert ["merged"] == [s.state for s in folder.settle("shop", [])]


def test_a_squash_of_a_branch_that_was_worked_on_is_known_by_its_values(
    folder: Folder, clone: Path
) -> None:
    folder.submit(proposal(clone))
    commit_by_hand(clone, BRANCH)
    git(clone, "merge", "-q", "--squash", BRANCH)
    git(clone, "commit", "-q", "-m", "squashed")
    change(clone, "replicas: 3", "replicas: 4")
    assert {} == folder.opened("shop"), "though its branch is still there"
    git(clone, "branch", "-q", "-D", BRANCH)

    assert {} == folder.declined("shop")
    assert ["merged"] == [s.state for s in folder.settle("shop", [])]


def test_a_deleted_branch_declines_what_git_still_says(folder: Folder, clone: Path) -> None:
    """A reviewer took one value otherwise, left the other, and deleted the branch."""
    both = (Value("id-1", CPU, "2", "1"), Value("id-2", MEMORY, "4Gi", "2Gi"))
    folder.submit(proposal(clone, AFTER.replace("4Gi", "2Gi", 1), values=both))
    change(clone, 'cpu: "2"', 'cpu: "1500m"')
    git(clone, "branch", "-q", "-D", BRANCH)

    assert {"id-2": ("2Gi",)} == folder.declined("shop")
    assert ["declined"] == [s.state for s in folder.settle("shop", [])]
    assert {"id-2": ("2Gi",)} == folder.declined("shop")


def test_what_is_no_longer_recommended_is_superseded(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone))
    other = BRANCH.replace("0123456789", "9876543210")
    folder.submit(proposal(clone, AFTER.replace("4Gi", "3Gi", 1), other, "id-2"))

    (settled,) = folder.settle("shop", [other])

    assert ("superseded", BRANCH) == (settled.state, settled.reference)
    assert {other} == folder.opened("shop").keys()
    assert {} == folder.declined("shop")
    assert () == folder.settle("shop", [other])
    assert "opened" == folder.submit(proposal(clone)).state, "it may be recommended again"


def test_published_showback_is_never_superseded(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone, branch="finops/showback/2026-10"))

    assert () == folder.settle("shop", [])


def test_showback_is_renewed_and_silent_once_merged(folder: Folder, clone: Path) -> None:
    branch = "finops/showback/2026-10"

    def showback(text: str) -> Proposal:
        edit = FileEdit("showback/2026-10/README.md", None, text)
        return dataclasses.replace(proposal(clone, branch=branch), edits=(edit,))

    assert "opened" == folder.submit(showback("one\n")).state
    change(clone, "#!/bin/sh", "#!/bin/bash", "run.sh")
    assert "exists" == folder.submit(showback("one\n")).state
    assert "renewed" == folder.submit(showback("two\n")).state
    assert "1" == git(clone, "rev-list", "--count", f"main..{branch}")
    git(clone, "merge", "-q", "--no-ff", "-m", "merged", branch)
    git(clone, "branch", "-q", "-D", branch)
    assert ["merged"] == [s.state for s in folder.settle("shop", [])]
    already = folder.submit(showback("two\n"))
    assert ("exists", "the base branch already says so") == (already.state, already.reason)
    assert "opened" == folder.submit(showback("three\n")).state
    git(clone, "branch", "-q", "-D", branch)
    assert ["declined"] == [s.state for s in folder.settle("shop", [])]
    assert "declined" == folder.submit(showback("four\n")).state, "a period is declined whole"


def test_the_record_is_sorted_and_names_every_branch(folder: Folder, clone: Path) -> None:
    folder.submit(proposal(clone, branch="finops/x/b"))
    folder.submit(proposal(clone, branch="finops/x/a"))

    record = json.loads((folder.path / "shop/opened.json").read_text())
    assert ["finops/x/a", "finops/x/b"] == list(record)
    assert ["blobs", "commit", "declined", "ids", "state", "title", "values"] == list(
        record["finops/x/a"]
    )


def test_a_repository_nobody_configured_is_named(folder: Folder, clone: Path) -> None:
    with pytest.raises(UnknownName, match="shop"):
        folder.submit(dataclasses.replace(proposal(clone), repository="shopp"))


def test_environment_of_a_git_hook_is_ignored(
    folder: Folder, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    base = (clone / ".git/refs/heads/main").read_text().strip()
    monkeypatch.setattr("tests.test_forges.git", lambda *_: base)

    assert "opened" == folder.submit(proposal(clone)).state


# --------------------------------------------------------------------------- from run to run
def run(folder: Folder, clone: Path, *given: dict[str, Any], max_open: int = 10) -> list[str]:
    """A run, as the pipeline does it: what became of each proposal, in order."""
    block = GitopsSection(name="shop", path="shop")
    declared = {"shop": read(block, Config(root=clone.parent, gitops=[block]))}
    planned = plan(rows(*given), declared, max_open, folder.declined("shop"), folder.opened("shop"))
    said = [folder.submit(p).state for p in planned.proposals]
    said += ["kept" for _ in planned.kept] + ["waiting" for _ in planned.held]
    said += [r.reason for r in planned.refused]
    return said + [s.state for s in folder.settle("shop", planned.branches("shop"))]


def branches(clone: Path) -> list[str]:
    return git(clone, "for-each-ref", "--format=%(refname:short)", "refs/heads/finops").split()


def test_an_open_one_is_left_alone_to_the_byte(folder: Folder, clone: Path) -> None:
    assert ["opened"] == run(folder, clone, {"x_Proposed": "400m"})
    (branch,) = branches(clone)
    before = state_of(folder.path), git(clone, "rev-parse", branch)

    change(clone, "#!/bin/sh", "#!/bin/bash", "run.sh")
    saved = {"x_MonthlySaving": Decimal("30.9")}
    assert ["kept"] == run(folder, clone, {"x_Proposed": "400m"} | saved)
    assert ["kept"] == run(folder, clone, {"x_Proposed": "410m"})
    assert before == (state_of(folder.path), git(clone, "rev-parse", branch))

    assert ["renewed"] == run(folder, clone, {"x_Proposed": "500m"})
    assert ["renewed"] == run(folder, clone, {"x_Proposed": "500m"}, memory())
    assert [branch] == branches(clone)
    assert ["kept"] == run(folder, clone, {"x_Proposed": "500m"}, memory())


def test_a_reviewers_commit_gets_no_rival(folder: Folder, clone: Path) -> None:
    run(folder, clone, {"x_Proposed": "400m"}, max_open=1)
    (branch,) = branches(clone)
    theirs = commit_by_hand(clone, branch)

    for target in ("410m", "800m", "1200m"):
        assert ["kept"] == run(folder, clone, {"x_Proposed": target}, memory(), max_open=1)
    assert [branch] == branches(clone)
    assert ["exists"] == run(folder, clone, max_open=1), "nor is it closed"
    assert theirs == git(clone, "rev-parse", branch)


def test_a_merge_is_not_a_decline_however_late_it_is_seen(folder: Folder, clone: Path) -> None:
    """Merged by squash, edited, reverted, and recommended again."""
    run(folder, clone, {"x_Proposed": "400m"})
    (branch,) = branches(clone)
    git(clone, "merge", "-q", "--squash", branch)
    git(clone, "commit", "-q", "-m", "squashed")
    git(clone, "branch", "-q", "-D", branch)
    change(clone, "replicas: 3", "replicas: 4")
    change(clone, "400m", "2")

    assert ["opened"] == run(folder, clone, {"x_Proposed": "400m"})
    assert [branch] == branches(clone)


def test_a_declined_one_comes_back_as_another_value_alone(folder: Folder, clone: Path) -> None:
    run(folder, clone, {"x_Proposed": "400m"})
    (branch,) = branches(clone)
    git(clone, "branch", "-q", "-D", branch)

    no = "it was declined before"
    assert [no, "declined"] == run(folder, clone, {"x_Proposed": "400m"})
    assert [no] == run(folder, clone, {"x_Proposed": "410m"})
    assert ["opened", no] == run(folder, clone, {"x_Proposed": "410m"}, memory())
    assert [no, "superseded"] == run(folder, clone, {"x_Proposed": "410m"})
    assert ["opened"] == run(folder, clone, {"x_Proposed": "1200m"})
    assert [branch] == branches(clone)


@pytest.mark.parametrize("touched", [False, True])
def test_a_branch_named_by_an_older_version_becomes_no_orphan(
    folder: Folder, clone: Path, touched: bool
) -> None:
    folder.submit(proposal(clone, values=()))
    path = folder.path / "shop/opened.json"
    record = json.loads(path.read_text())
    del record[BRANCH]["values"], record[BRANCH]["declined"]
    path.write_text(json.dumps(record))
    if touched:
        commit_by_hand(clone, BRANCH)

    said = run(folder, clone, {"x_Proposed": "400m"}, memory())

    if touched:
        assert [BRANCH] == branches(clone)
        assert "somebody has committed to" in said[1]
        assert ["waiting", "exists"] == [said[0], said[2]]
    else:
        assert ["opened", "superseded"] == said
        assert 1 == len(branches(clone))
        assert BRANCH not in branches(clone)
