"""Where pull requests go, one file each.

What belongs here: what every forge promises. A forge is idempotent: the same proposal twice is one
pull request. It never overwrites a human's commits, and it remembers what was declined, and with
which values. What is renewed and what is left alone is decided for all of them in `proposals.plan`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from ..config import Config
from ..errors import UnknownName
from ..manifests import Declared
from ..proposals import Open, Proposal

State = Literal[
    "opened", "exists", "renewed", "declined", "merged", "superseded", "waiting", "refused"
]


@dataclass(frozen=True)
class Submitted:
    """What became of a proposal. `reference` is its branch or address; `reason` says why."""

    state: State
    repository: str
    reference: str
    reason: str = ""


class Forge(Protocol):
    """A place for pull requests. A step that ends half-way is completed by doing it again."""

    def submit(self, proposal: Proposal) -> Submitted:
        """Open it, renew it, or leave it as it is."""

    def opened(self, repository: str) -> Mapping[str, Open]:
        """What is open of ours now, by branch.

        A pull request is merged, not open, when the base branch has its commit, the same change as
        another commit (a squash), or all values that it proposes.
        """

    def declined(self, repository: str) -> Mapping[str, Collection[str]]:
        """Recommendation -> the values that people turned down; an empty text where not known."""

    def settle(self, repository: str, current: Collection[str]) -> tuple[Submitted, ...]:
        """What people did with our pull requests, and the end of those not `current` any more."""


def forge(config: Config, declared: Mapping[str, Declared] | None = None) -> Forge:
    """The forge that `[pull_requests]` names; `declared` is what repositories were read as."""
    name = config.pull_requests.forge
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise UnknownName("forge", name, {"folder"}, "[pull_requests]") from None
    return cast("Forge", module.connect(config, declared))


__all__ = ["Forge", "State", "Submitted", "forge"]
