"""Where pull requests go, one file each.

What belongs here: what every forge promises. A forge is idempotent: the same proposal twice is one
pull request. It never overwrites a human's commits, and it remembers what was declined.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from ..config import Config
from ..errors import UnknownName
from ..proposals import Proposal

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

    def opened(self, repository: str) -> frozenset[str]:
        """Branches of ours that are open now."""

    def declined(self, repository: str) -> frozenset[str]:
        """Ids of recommendations that people turned down."""

    def settle(self, repository: str, current: Collection[str]) -> tuple[Submitted, ...]:
        """What became of our open branches that are not among the `current` ones."""


def forge(config: Config) -> Forge:
    """The forge that `[pull_requests]` names."""
    name = config.pull_requests.forge
    try:
        module = import_module(f"{__name__}.{name}")
    except ModuleNotFoundError:
        raise UnknownName("forge", name, {"folder"}, "[pull_requests]") from None
    return cast("Forge", module.connect(config))


__all__ = ["Forge", "State", "Submitted", "forge"]
