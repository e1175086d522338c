"""Everything that can go wrong, and whether trying again can help.

    FinopsError                  each says where it is and what to do next
    ├── Permanent                trying again cannot help: somebody must change something
    │   ├── ConfigError          finops.toml, or a name given on the command line
    │   │   ├── UnknownName      a key, table or name nobody declared; names the nearest
    │   │   └── MissingExtra     a heavy part that is not installed
    │   ├── SourceError          an input is there but cannot be used
    │   │   ├── UnreadableFile   truncated, not the format it claims, a column gone or changed
    │   │   ├── DeliveryVanished files that were there are not any more
    │   │   └── Refused          the server understood and said no (401, 403, 404)
    │   ├── ContractBroken       a table is not what its contract says
    │   ├── CheckFailed          a rule of sql/checks found offenders
    │   ├── EditRefused          a manifest cannot be edited safely
    │   └── ForgeRefused         the forge understood and said no
    └── Transient                the same call may pass later
        ├── IncompleteDelivery   a manifest lists parts that are not there yet
        ├── Unavailable          no answer, half an answer, 429 or 5xx
        └── Busy                 another run holds the warehouse

Callers catch `FinopsError`; only a `Transient` is ever retried.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FinopsError(Exception):
    """Base of all errors the product raises. `exit_code` is what the command line returns."""

    exit_code = 1


class Permanent(FinopsError):
    """Trying again cannot help."""


class Transient(FinopsError):
    """The same call may pass later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: a scheduler may try again


class ConfigError(Permanent):
    """Something in `finops.toml`, or on the command line, is not right."""

    exit_code = 2


class UnknownName(ConfigError):
    """A name nobody declared. The message offers the nearest ones that exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"{where + ': ' if where else ''}no {kind} is called {name!r}; {hint}")


class MissingExtra(ConfigError):
    """A heavy part of the product is not installed."""

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the extra {extra!r}; install it with "
            f"`pip install 'finops-pipeline[{extra}]'`"
        )


class SourceError(Permanent):
    """An input is there but cannot be used."""


class UnreadableFile(SourceError):
    """A file is truncated, not of its format, or misses a column it must have."""


class DeliveryVanished(SourceError):
    """Files an earlier run read are gone; the table keeps its last good state."""


class Refused(SourceError):
    """The server understood the request and refused it."""


class ContractBroken(Permanent):
    """A table is not what its contract says; the published one is untouched."""

    def __init__(self, table: str, detail: str) -> None:
        super().__init__(
            f"{table} breaks its contract, so it was not published: {detail}\n"
            f"The contract is in docs/data-dictionary.md#{table}; the query is the "
            f"SQL file of that name."
        )


class CheckFailed(Permanent):
    """A rule found offenders; what was published before still stands."""


class EditRefused(Permanent):
    """A manifest cannot be edited safely; nothing was written."""


class ForgeRefused(Permanent):
    """The forge understood the request and refused it."""


class IncompleteDelivery(Transient):
    """A manifest lists parts that have not arrived; the last complete delivery stands."""


class Unavailable(Transient):
    """No answer, half an answer, or one that says to come back later."""


class Busy(Transient):
    """Another run holds the warehouse."""
