"""Git, by its plumbing: objects in, objects out, never a checkout.

What belongs here: running git and reading trees. Nothing here touches a work tree, an index or
the branch somebody has checked out, so a dirty clone is as good as a clean one.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigError, ForgeRefused

_SAFE = (
    "-c", "core.hooksPath=/dev/null",  # a hook of the clone must not run because we read it
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "gc.auto=0",
)  # fmt: skip

# Set while git runs a hook: they would point our commands at that repository instead.
_ELSEWHERE = frozenset(
    [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
    ]
)


@dataclass(frozen=True)
class Git:
    """A local clone. `path` is its work tree, or the folder of a bare repository."""

    path: Path

    def run(self, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        """What git prints. Raises `ForgeRefused` with git's own words when it fails."""
        code, out, err = self.ask(*args, stdin=stdin, env=env)
        if code != 0:
            raise ForgeRefused(f"{self.path}: git {args[0]} failed: {err.strip() or code}")
        return out

    def ask(
        self, *args: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        """Exit code, output and error text of a git command."""
        clean = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE}
        clean |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
        clean |= env or {}
        try:
            done = subprocess.run(
                ["git", "-C", str(self.path), *_SAFE, *args],
                input=stdin,
                capture_output=True,
                env=clean,
                check=False,
            )
        except FileNotFoundError as error:
            raise ConfigError("git is not installed, and GitOps repositories need it") from error
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")

    def tip(self, branch: str) -> str | None:
        """The commit a local branch points at, or None."""
        ref = f"refs/heads/{branch}^{{commit}}"
        code, out, _ = self.ask("rev-parse", "--verify", "--quiet", ref)
        return out.decode().strip() if code == 0 else None

    def base(self, branch: str) -> str:
        """The commit proposals start from: the local branch, else the one `origin` had."""
        if not self.path.is_dir():
            raise ConfigError(
                f"{self.path}: no such folder; clone the repository there, or change `path` in "
                "[[gitops]]"
            )
        for ref in (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"):
            code, out, err = self.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
            if code == 0:
                return out.decode().strip()
            if err.strip():
                raise ConfigError(f"{self.path}: {err.strip().splitlines()[0]}")
        raise ConfigError(f"{self.path}: no branch {branch!r}; set `base_branch` in [[gitops]]")

    def tree(self, commit: str) -> dict[str, tuple[str, int]]:
        """Path -> (blob id, size) of the regular files of a commit."""
        listed = self.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit)
        found = {}
        for row in listed.split(b"\0"):
            if row:
                meta, _, path = row.partition(b"\t")
                mode, kind, blob, size = meta.split()
                if kind == b"blob" and mode != b"120000":
                    found[os.fsdecode(path)] = (blob.decode(), int(size))
        return found

    def blobs(self, ids: list[str]) -> dict[str, bytes]:
        """Blob id -> content, in one call."""
        if not ids:
            return {}
        out = self.run("cat-file", "--batch", stdin="".join(f"{i}\n" for i in ids).encode())
        found, at = {}, 0
        for blob in ids:
            end = out.index(b"\n", at)
            header = out[at:end].split()
            if header[-1] == b"missing":
                raise ForgeRefused(f"{self.path}: object {blob} is missing; fetch it first")
            size = int(header[-1])
            found[blob] = out[end + 1 : end + 1 + size]
            at = end + 2 + size
        return found
