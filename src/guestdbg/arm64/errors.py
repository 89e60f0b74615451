"""Errors of the architecture package. All are ValueErrors too, because the input is wrong."""

from __future__ import annotations

from collections.abc import Iterable

from guestdbg.deprecation import deprecated_names
from guestdbg.errors import GuestdbgError


def near_matches(name: str, known: Iterable[str], count: int = 4) -> list[str]:
    """Up to `count` of `known` that look like `name`, the most similar first; case is ignored."""
    by_folded = {k.lower(): k for k in known}
    folded = name.lower()
    import difflib  # for messages only

    close = difflib.get_close_matches(folded, by_folded, n=count, cutoff=0.6)
    begins = sorted(k for k in by_folded if folded and k.startswith(folded) and k not in close)
    return [by_folded[k] for k in [*close, *begins][:count]]


class ArchitectureError(GuestdbgError, ValueError):
    """The request is for something that the architecture does not have or cannot do."""


class UnknownName(ArchitectureError):
    """A name that the architecture does not have; `.near` lists what may have been meant."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.near = near_matches(name, known)
        hint = f"; did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__(f"no {what} is called {name!r}{hint}")


class BadField(ArchitectureError):
    """A field value that does not fit its field."""


class RangeNeedsMoreRegisters(ArchitectureError):
    """A range needs more watchpoint registers than the caller permits."""

    def __init__(self, address: int, length: int, needed: int, available: int) -> None:
        self.needed = needed
        self.available = available
        super().__init__(
            f"{length} bytes at {address:#x} need {needed} watchpoint registers, "
            f"and only {available} may be used; an aligned power-of-two range needs one"
        )


__getattr__ = deprecated_names(__name__, {"TooFewRegisters": "RangeNeedsMoreRegisters"})
