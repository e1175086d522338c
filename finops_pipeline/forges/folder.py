"""Pull requests on this machine: a branch in the local clone, a patch and a body in a folder.

What belongs here: the default forge, which sends nothing anywhere. Branches are made by git's
plumbing with an index of their own: the work tree, the index and the branch somebody has checked
out are never touched. A commit is a function of the proposal alone (its date is the end of the
billing period), so that a run that was killed ends the same when it runs again.

To decline a proposal, delete its branch, or put an empty file `<branch>.declined` beside its
patch, with `--` for each `/`. The file goes away when something else is proposed on that branch.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from .. import manifests
from ..config import Config
from ..errors import EditRefused, UnknownName
from ..manifests import Declared, Git, Key
from ..proposals import SHOWBACK, Open, Proposal, is_declined, proposed_in
from . import State, Submitted

AUTHOR = "finops-pipeline"
EMAIL = "finops-pipeline@localhost"
NOWHERE = "0" * 40


@dataclass(frozen=True)
class Entry:
    """What we remember of a branch we made.

    `blobs` is path -> blob id of what it changes. `values` is recommendation -> the key of the
    value in `declared_field`, what it was, and what is proposed. `declined` is recommendation ->
    the values people did not want, on this branch, now or before; empty text where not known.
    """

    commit: str
    state: State
    title: str
    ids: tuple[str, ...]
    blobs: dict[str, str]
    values: dict[str, list[str]] = field(default_factory=dict)
    declined: dict[str, list[str]] = field(default_factory=dict)

    def proposed(self) -> dict[str, str]:
        """Recommendation -> the value it proposes."""
        return dict.fromkeys(self.ids, "") | {i: v[-1] for i, v in self.values.items()}

    def turned_down(self, values: Mapping[str, str]) -> Entry:
        """The entry, with these values declined, too."""
        lists = {
            i: sorted({*self.declined.get(i, ()), v})
            for i, v in sorted(values.items())
        }  # fmt: skip
        return replace(self, state="declined", declined=self.declined | lists)


@dataclass(frozen=True)
class Folder:
    """The folder forge. `clones` is repository -> (clone, base branch).

    `declared_values` gives the values that the tip of a repository's base branch declares.
    """

    path: Path
    clones: dict[str, tuple[Git, str]]
    declared_values: Callable[[str], Mapping[Key, str]] = field(repr=False)

    # ------------------------------------------------------------------------ the promises
    def submit(self, proposal: Proposal) -> Submitted:
        """Put the proposal on its branch. See `Forge.submit`."""
        repository, branch = proposal.repository, proposal.branch
        git, _ = self._clone(repository)
        known = self._known(repository, branch)
        if known is not None and is_declined(proposal.proposed(), known.declined):
            self._remember(repository, branch, known)
            return Submitted("declined", repository, branch, "it was declined before")
        commit, blobs = self._commit(git, proposal)
        tip = git.tip(branch)
        values = {v.id: [*v.key, v.old, v.new] for v in proposal.values}
        before = known.declined if known is not None else {}
        entry = Entry(commit, "opened", proposal.title, proposal.ids, blobs, values, before)
        is_open = known is not None and known.state == "opened"
        if tip != commit and self._holds(git, proposal.base, blobs):
            return Submitted("exists", repository, branch, "the base branch already says so")
        if tip is not None and tip != commit:
            if not self._is_ours(git, tip, proposal.base, repository):
                reason = "somebody has committed to it, so it is left alone"
                if known is not None and not is_open:
                    reason = f"it is {known.state}, but has commits of somebody; delete the branch"
                return Submitted("exists", repository, branch, reason)
            if self._is_checked_out(git, branch):
                reason = "it is checked out in a work tree, so it is left alone"
                return Submitted("exists", repository, branch, reason)
            if (
                known is not None
                and is_open
                and known.blobs == blobs
                and not self._is_stale(repository, branch, known, tip)
            ):
                return Submitted("exists", repository, branch)
        self._put_marker_away(repository, branch, known)
        if tip == commit:
            self._publish(git, proposal, commit, entry)
            return Submitted("exists", repository, branch)
        git.run("update-ref", "-m", "finops", f"refs/heads/{branch}", commit, tip or NOWHERE)
        self._publish(git, proposal, commit, entry)
        renewed = tip is not None and (known is None or is_open)
        return Submitted("renewed" if renewed else "opened", repository, branch)

    def opened(self, repository: str) -> dict[str, Open]:
        """What is open of ours now. See `Forge.opened`."""
        git, base = self._clone(repository)
        found = {}
        for branch, entry in sorted(self._entries(repository).items()):
            tip = git.tip(branch)
            if entry.state != "opened" or tip is None:
                continue
            touched = self._is_touched(repository, branch, tip, git.base(base))
            stale = not touched and self._is_stale(repository, branch, entry, tip)
            found[branch] = Open(repository, branch, entry.proposed(), touched, stale)
        return found

    def declined(self, repository: str) -> dict[str, tuple[str, ...]]:
        """What people turned down. See `Forge.declined`."""
        found: dict[str, set[str]] = {}
        marked = {
            m.name.removesuffix(".declined").replace("--", "/")
            for m in (self.path / repository).glob("*.declined")
        }
        entries = self._entries(repository)
        unknown = [self._known(repository, branch) for branch in marked - entries.keys()]
        for entry in (*entries.values(), *unknown):
            for identity, values in entry.declined.items() if entry is not None else ():
                found.setdefault(identity, set()).update(values)
        return {i: tuple(sorted(values)) for i, values in sorted(found.items())}

    def settle(self, repository: str, current: Collection[str]) -> tuple[Submitted, ...]:
        """Note what people did, and close what is no longer recommended. See `Forge.settle`.

        A branch that holds our commit alone is removed; one that somebody committed to, or has
        checked out, is listed and left. Published showback is never superseded.
        """
        git, base = self._clone(repository)
        done = []
        for branch, noted in sorted(self._record(repository).items()):
            entry, tip = self._as_left(repository, branch, noted), git.tip(branch)
            self._remember(repository, branch, entry)
            if entry.state != noted.state:
                reason = {
                    "declined": "its branch was deleted" if tip is None else "it was marked so",
                    "superseded": "its values were changed otherwise",
                }.get(entry.state, "")
                done.append(Submitted(entry.state, repository, branch, reason))
            elif (
                branch in current
                or branch.startswith(SHOWBACK)
                or entry.state not in ("opened", "superseded")
                or tip is None
                or (entry.state == "superseded" and tip != entry.commit)
            ):
                continue
            elif self._is_touched(repository, branch, tip, git.base(base)):
                reason = "no longer recommended, but somebody works on it, so it is left alone"
                done.append(Submitted("exists", repository, branch, reason))
            else:
                self._remember(repository, branch, replace(entry, state="superseded", commit=tip))
                git.run("update-ref", "-d", f"refs/heads/{branch}", tip)
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

    def _is_touched(self, repository: str, branch: str, tip: str, base: str) -> bool:
        """Whether a person committed to a branch, or works on it."""
        git, _ = self._clone(repository)
        return not self._is_ours(git, tip, base, repository) or self._is_checked_out(git, branch)

    def _is_stale(self, repository: str, branch: str, entry: Entry, tip: str) -> bool:
        """Whether a branch nobody touched is half made, or cannot be merged as it is."""
        git, base_branch = self._clone(repository)
        if tip != entry.commit or not all(f.is_file() for f in self._files(repository, branch)):
            return True
        # 1 says that they conflict; a git that cannot tell (before 2.38) says something else.
        merge = ("merge-tree", "--write-tree", "--no-messages", git.base(base_branch), tip)
        return git.ask(*merge)[0] == 1

    def _is_merged(self, repository: str, entry: Entry) -> bool:
        """Whether the base branch has the commit, its change as another commit, or its content.

        Its content is every file as it was proposed, or every value, whatever else has changed.
        """
        git, base_branch = self._clone(repository)
        now = git.base(base_branch)
        if git.ask("merge-base", "--is-ancestor", entry.commit, now)[0] == 0:
            return True  # any other code says no, or that the commit is gone
        if entry.values:
            declared = self.declared_values(repository)
            if all(declared.get(Key(*v[:-2])) == v[-1] for v in entry.values.values()):
                return True
        if self._holds(git, now, entry.blobs):
            return True
        code, alike, _ = git.ask("cherry", now, entry.commit)
        lines = alike.splitlines()
        return code == 0 and bool(lines) and all(line.startswith(b"-") for line in lines)

    def _is_checked_out(self, git: Git, branch: str) -> bool:
        out = git.run("worktree", "list", "--porcelain").decode(errors="replace")
        return f"branch refs/heads/{branch}" in out.splitlines()

    def _as_left(self, repository: str, branch: str, entry: Entry) -> Entry:
        """The entry, with what people did since: merged the branch, deleted it or marked it.

        A branch that was deleted declines those of its values that Git still has as they were.
        """
        if entry.state == "declined":  # an older version did not note the values
            return entry if entry.declined else entry.turned_down(entry.proposed())
        if self._file(repository, branch, ".declined").exists():
            return entry.turned_down(entry.proposed())
        if entry.state != "opened":
            return entry
        if self._is_merged(repository, entry):
            return replace(entry, state="merged")
        if self._clone(repository)[0].tip(branch) is not None:
            return entry
        if not entry.values:
            return entry.turned_down(entry.proposed())
        declared = self.declared_values(repository)
        still = {
            i: v[-1] for i, v in entry.values.items() if declared.get(Key(*v[:-2])) == v[-2]
        }  # fmt: skip
        return entry.turned_down(still) if still else replace(entry, state="superseded")

    def _entries(self, repository: str) -> dict[str, Entry]:
        """All that we remember, as people left it."""
        record = self._record(repository)
        return {b: self._as_left(repository, b, e) for b, e in record.items()}

    def _known(self, repository: str, branch: str) -> Entry | None:
        """What we know of a branch: from the record, else from a body that was marked."""
        entry = self._record(repository).get(branch)
        if entry is not None:
            return self._as_left(repository, branch, entry)
        body = self._file(repository, branch, ".md")
        if not self._file(repository, branch, ".declined").exists() or not body.is_file():
            return None
        values = proposed_in(body.read_text("utf-8"))
        return Entry("", "opened", "", tuple(values), {}).turned_down(values)

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

    def _remember(self, repository: str, branch: str, entry: Entry | None) -> None:
        record = self._record(repository)
        if entry is not None and record.get(branch) != entry:
            self._save(repository, record | {branch: entry})

    def _put_marker_away(self, repository: str, branch: str, known: Entry | None) -> None:
        """Something else is proposed on a branch: what was declined is in the record now."""
        marker = self._file(repository, branch, ".declined")
        if marker.exists():
            self._remember(repository, branch, known)
            marker.unlink()

    def _save(self, repository: str, record: dict[str, Entry]) -> None:
        data = {branch: asdict(entry) for branch, entry in record.items()}
        text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        _write(self.path / repository / "opened.json", text.encode())


def connect(config: Config, declared: Mapping[str, Declared] | None = None) -> Folder:
    """The folder forge of a configuration; `declared` is what was read of repositories already."""
    clones = {b.name: (Git(config.path(b.path)), b.base_branch) for b in config.gitops}
    blocks = {b.name: b for b in config.gitops}
    read = {name: (found.commit, found.values()) for name, found in (declared or {}).items()}

    def values(repository: str) -> Mapping[Key, str]:
        block = blocks[repository]
        tip = manifests.tip(block, config)
        if repository not in read or read[repository][0] != tip:
            found = manifests.read(block, config)
            read[repository] = found.commit, found.values()
        return read[repository][1]

    return Folder(config.path(config.pull_requests.path), clones, values)


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
