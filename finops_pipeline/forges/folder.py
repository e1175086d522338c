"""Pull requests on this machine: a branch in the local clone, a patch and a body in a folder.

What belongs here: the default forge, which sends nothing anywhere. Branches are made by git's
plumbing with an index of their own: the work tree, the index and the branch somebody has checked
out are never touched. A commit is a function of the proposal alone (its date is the end of the
billing period), so that a run that was killed ends the same when it runs again.

To decline a proposal, delete its branch, or put an empty file `<branch>.declined` beside its
patch, with `--` for each `/`.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from ..config import Config
from ..errors import EditRefused, UnknownName
from ..manifests import Git
from ..proposals import Proposal
from . import State, Submitted

AUTHOR = "finops-pipeline"
EMAIL = "finops-pipeline@localhost"
NOWHERE = "0" * 40


@dataclass(frozen=True)
class Entry:
    """What we remember of a branch we made. `blobs` is path -> blob id of what it changes."""

    commit: str
    state: State
    title: str
    ids: tuple[str, ...]
    blobs: dict[str, str]


@dataclass(frozen=True)
class Folder:
    """The folder forge. `clones` is repository -> (clone, base branch)."""

    path: Path
    clones: dict[str, tuple[Git, str]]

    # ------------------------------------------------------------------------ the promises
    def submit(self, proposal: Proposal) -> Submitted:
        """Put the proposal on its branch. See `Forge.submit`."""
        repository, branch = proposal.repository, proposal.branch
        git, _ = self._clone(repository)
        record = self._record(repository)
        known = record.get(branch)
        if self._is_declined(repository, branch, known):
            self._remember(repository, branch, known, "declined")
            return Submitted("declined", repository, branch, "it was declined before")
        commit, blobs = self._commit(git, proposal)
        tip = git.tip(branch)
        entry = Entry(commit, "opened", proposal.title, proposal.ids, blobs)
        if tip != commit and self._holds(git, proposal.base, blobs):
            return Submitted("exists", repository, branch, "the base branch already says so")
        if tip == commit:
            self._publish(git, proposal, commit, entry)
            return Submitted("exists", repository, branch)
        if tip is not None:
            if not self._is_ours(git, tip, proposal.base, repository):
                reason = "somebody has committed to it, so it is left alone"
                return Submitted("exists", repository, branch, reason)
            if self._is_checked_out(git, branch):
                reason = "it is checked out in a work tree, so it is left alone"
                return Submitted("exists", repository, branch, reason)
        git.run("update-ref", "-m", "finops", f"refs/heads/{branch}", commit, tip or NOWHERE)
        self._publish(git, proposal, commit, entry)
        return Submitted("opened" if tip is None else "renewed", repository, branch)

    def opened(self, repository: str) -> frozenset[str]:
        """Branches of ours that are open now. See `Forge.opened`."""
        git, _ = self._clone(repository)
        return frozenset(
            branch
            for branch, entry in self._record(repository).items()
            if entry.state == "opened"
            and git.tip(branch) is not None
            and not self._is_declined(repository, branch, entry)
            and not self._is_merged(repository, entry)
        )

    def declined(self, repository: str) -> frozenset[str]:
        """Ids of recommendations that people turned down. See `Forge.declined`."""
        record = self._record(repository)
        ids = {
            i
            for branch, entry in record.items()
            if self._is_declined(repository, branch, entry)
            for i in entry.ids
        }
        for marker in sorted((self.path / repository).glob("*.declined")):
            body = marker.with_suffix(".md")
            if body.is_file():
                found = re.search(r"finops-pipeline ids: ([^>]*?) -->", body.read_text("utf-8"))
                ids |= set(found[1].split()) if found else set()
        return frozenset(ids)

    def settle(self, repository: str, current: Collection[str]) -> tuple[Submitted, ...]:
        """Close what is no longer recommended. See `Forge.settle`.

        A branch that holds our commit alone is removed; one that somebody committed to, or has
        checked out, is listed and left. Published showback is never superseded.
        """
        git, _ = self._clone(repository)
        done = []
        for branch, entry in sorted(self._record(repository).items()):
            if branch in current or branch.startswith("finops/showback/"):
                continue
            tip = git.tip(branch)
            if entry.state == "superseded" and tip != entry.commit:
                continue
            if entry.state not in ("opened", "superseded"):
                continue
            if self._is_declined(repository, branch, entry):
                self._remember(repository, branch, entry, "declined")
                done.append(Submitted("declined", repository, branch, "its branch was deleted"))
            elif self._is_merged(repository, entry):
                self._remember(repository, branch, entry, "merged")
                done.append(Submitted("merged", repository, branch))
            elif tip != entry.commit or self._is_checked_out(git, branch):
                reason = "no longer recommended, but somebody works on it, so it is left alone"
                done.append(Submitted("exists", repository, branch, reason))
            else:
                self._remember(repository, branch, entry, "superseded")
                git.run("update-ref", "-d", f"refs/heads/{branch}", entry.commit)
                for file in self._files(repository, branch):
                    file.unlink(missing_ok=True)
                done.append(Submitted("superseded", repository, branch, "no longer recommended"))
        return tuple(done)

    # ------------------------------------------------------------------------------- git
    def _clone(self, repository: str) -> tuple[Git, str]:
        try:
            return self.clones[repository]
        except KeyError:
            raise UnknownName("[[gitops]] block", repository, self.clones) from None

    def _commit(self, git: Git, proposal: Proposal) -> tuple[str, dict[str, str]]:
        """The proposal as a commit object on its base, and the blobs it sets. No ref moves."""
        tree = git.tree(proposal.base)
        modes = git.run("ls-tree", "-r", "-z", "--full-tree", proposal.base)
        mode_of = {
            os.fsdecode(row.partition(b"\t")[2]): row[:6].decode()
            for row in modes.split(b"\0") if row
        }  # fmt: skip
        blobs = {}
        for edit in proposal.edits:
            if edit.before is not None:
                there = tree.get(edit.path)
                if there is None or git.blobs([there[0]])[there[0]] != edit.before.encode():
                    raise EditRefused(
                        f"{proposal.repository}: {edit.path} at {proposal.base[:12]} is not the "
                        "file that was read; run again"
                    )
            out = git.run("hash-object", "-w", "--stdin", stdin=edit.after.encode())
            blobs[edit.path] = out.decode().strip()
        with tempfile.TemporaryDirectory(prefix="finops-index-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.run("read-tree", proposal.base, env=env)
            lines = b"".join(
                f"{mode_of.get(path, '100644')} {blob}\t".encode() + os.fsencode(path) + b"\0"
                for path, blob in sorted(blobs.items())
            )
            git.run("update-index", "-z", "--index-info", stdin=lines, env=env)
            new = git.run("write-tree", env=env).decode().strip()
        stamp = f"{_end_of(proposal.period)} +0000"
        identity = {
            "GIT_AUTHOR_NAME": AUTHOR, "GIT_AUTHOR_EMAIL": EMAIL, "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": AUTHOR, "GIT_COMMITTER_EMAIL": EMAIL, "GIT_COMMITTER_DATE": stamp,
        }  # fmt: skip
        message = f"{proposal.title}\n\nFinops-Ids: {' '.join(proposal.ids)}\n"
        made = git.run(
            "-c", "i18n.commitEncoding=UTF-8", "commit-tree", new, "-p", proposal.base,
            stdin=message.encode(), env=identity,
        )  # fmt: skip
        return made.decode().strip(), blobs

    def _holds(self, git: Git, commit: str, blobs: dict[str, str]) -> bool:
        """Whether a commit already has every file as the proposal wants it."""
        if not blobs:
            return False
        tree = git.tree(commit)
        return all(path in tree and tree[path][0] == blob for path, blob in blobs.items())

    def _is_ours(self, git: Git, tip: str, base: str, repository: str) -> bool:
        """Whether all commits of a branch that the base has not are ours."""
        now = git.base(self._clone(repository)[1])
        out = git.run("log", "--format=%ce%x00%ae", tip, "--not", base, now)
        return all(line == f"{EMAIL}\0{EMAIL}" for line in out.decode().splitlines())

    def _is_merged(self, repository: str, entry: Entry) -> bool:
        """Whether the base branch has the commit, or (merged by squash) its content."""
        git, base_branch = self._clone(repository)
        now = git.base(base_branch)
        if git.ask("merge-base", "--is-ancestor", entry.commit, now)[0] == 0:
            return True  # any other code says no, or that the commit is gone
        return self._holds(git, now, entry.blobs)

    def _is_checked_out(self, git: Git, branch: str) -> bool:
        out = git.run("worktree", "list", "--porcelain").decode(errors="replace")
        return f"branch refs/heads/{branch}" in out.splitlines()

    def _is_declined(self, repository: str, branch: str, entry: Entry | None) -> bool:
        """Whether people said no: by a marker file, or by deleting a branch they did not merge."""
        if self._file(repository, branch, ".declined").exists():
            return True
        if entry is None or entry.state == "declined":
            return entry is not None
        if entry.state != "opened" or self._clone(repository)[0].tip(branch) is not None:
            return False
        return not self._is_merged(repository, entry)

    # ---------------------------------------------------------------------------- the folder
    def _file(self, repository: str, branch: str, ending: str) -> Path:
        return self.path / repository / (branch.replace("/", "--") + ending)

    def _files(self, repository: str, branch: str) -> tuple[Path, Path]:
        return self._file(repository, branch, ".patch"), self._file(repository, branch, ".md")

    def _publish(self, git: Git, proposal: Proposal, commit: str, entry: Entry) -> None:
        """Write patch, body and record; the record last, so that it never promises too much."""
        patch, body = self._files(proposal.repository, proposal.branch)
        diff = git.run(
            "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "format-patch", "-1",
            "--stdout", "--no-signature", "--full-index", "--binary", "--no-renames",
            "--no-ext-diff", "--no-textconv", "--no-color", "--encoding=UTF-8", commit,
        )  # fmt: skip
        branch, labels = proposal.branch, ", ".join(proposal.labels)
        heading = (
            f"# {proposal.title}\n\nBranch `{branch}`, labels: {labels}. To accept: "
            f"`git merge {branch}`. To decline: `git branch -D {branch}`.\n\n"
        )
        _write(patch, diff)
        _write(body, (heading + proposal.body).encode())
        record = self._record(proposal.repository)
        if record.get(proposal.branch) != entry:
            self._save(proposal.repository, record | {proposal.branch: entry})

    def _record(self, repository: str) -> dict[str, Entry]:
        path = self.path / repository / "opened.json"
        if not path.exists():
            return {}
        data = json.loads(path.read_text("utf-8"))
        return {b: Entry(**{**e, "ids": tuple(e["ids"])}) for b, e in data.items()}

    def _remember(self, repository: str, branch: str, entry: Entry | None, state: State) -> None:
        if entry is not None and entry.state != state:
            record = self._record(repository)
            self._save(repository, record | {branch: replace(entry, state=state)})

    def _save(self, repository: str, record: dict[str, Entry]) -> None:
        data = {branch: asdict(entry) for branch, entry in record.items()}
        text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        _write(self.path / repository / "opened.json", text.encode())


def connect(config: Config) -> Folder:
    """The folder forge of a configuration."""
    clones = {b.name: (Git(config.path(b.path)), b.base_branch) for b in config.gitops}
    return Folder(config.path(config.pull_requests.path), clones)


def _end_of(period: str) -> int:
    """Seconds since 1970 at the end of a billing period `YYYY-MM`, UTC."""
    year, month = (int(part) for part in period.split("-"))
    return int(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, or not at all; left alone when it is the same already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
