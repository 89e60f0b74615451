"""The debugger's errors. Each message says what was wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterable

from guestdbg.errors import GuestdbgError

__all__ = [
    "AddressError",
    "BadImage",
    "BadRange",
    "BadSnapshot",
    "DebuggerError",
    "GuestBusy",
    "GuestClosed",
    "InvalidLocation",
    "MissingDependency",
    "NoDebugInfo",
    "NotInScope",
    "NullPointer",
    "OptimizedOut",
    "OutOfRegisters",
    "StaleHit",
    "UnknownLine",
    "UnknownRegister",
    "UnknownSymbol",
    "Unsupported",
    "VariableUnavailable",
    "near",
]


def near(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to ``count`` of ``known`` that look like ``name``, the most similar first."""
    names = list(known)
    from difflib import get_close_matches  # for messages only

    found = get_close_matches(name, names, count, 0.6)
    if len(found) < count:
        folded = name.lower()
        found += [n for n in names if n not in found and len(folded) > 2 and folded in n.lower()]
    return found[:count]


class DebuggerError(GuestdbgError):
    """The root of the debugger's own errors."""


class BadImage(DebuggerError):
    """A file given for its symbols is not a readable AArch64 ELF file."""


class BadRange(DebuggerError):
    """A range of addresses that cannot be watched: empty, wrapped around, or badly aligned."""


class BadSnapshot(DebuggerError):
    """A snapshot that this guest cannot be restored to."""


class InvalidLocation(DebuggerError):
    """An argument cannot be understood: most often, how a location was written."""


class NullPointer(InvalidLocation):
    """A pointer on the way to a variable is NULL now, so that there is nothing to watch yet."""


class UnknownSymbol(DebuggerError):
    """No loaded image defines the name; ``matches`` holds names that look like it.

    ``hint`` says what would have more names.
    """

    def __init__(
        self, name: str, matches: list[str], what: str = "symbol", *, hint: str = ""
    ) -> None:
        text = f"there is no {what} named {name!r}"
        if matches:
            text += "; did you mean " + " or ".join(repr(m) for m in matches) + "?"
        if hint:
            text += f" ({hint})"
        super().__init__(text)
        self.name = name
        self.matches = matches
        self.what = what


class VariableUnavailable(DebuggerError):
    """A parameter or local variable that has no value at this instruction.

    A condition that uses it is false there.
    """


class NotInScope(VariableUnavailable):
    """A parameter or local variable, but of another function, or of a block that is not entered."""


class OptimizedOut(VariableUnavailable):
    """A parameter or local variable whose value is kept nowhere at this instruction."""


class UnknownLine(DebuggerError):
    """A source line without code, or a source file that is not in the debug information."""


class NoDebugInfo(DebuggerError):
    """This needs debug information that no loaded image has."""


class MissingDependency(DebuggerError):
    """This needs a package that is not installed."""


class UnknownRegister(DebuggerError):
    """No register of that name can be read or written."""


class AddressError(DebuggerError):
    """An access to guest memory that is not mapped, or where there is no memory."""

    def __init__(self, text: str, address: int) -> None:
        super().__init__(text)
        self.address = address


class OutOfRegisters(DebuggerError):
    """The hardware has too few breakpoint or watchpoint registers for the request."""


class Unsupported(DebuggerError):
    """The provider that runs the guest cannot do this; the text names what is missing."""


class StaleHit(DebuggerError):
    """A hit was asked for the guest's state after the guest had continued."""


class GuestBusy(DebuggerError):
    """The guest is already running: the call came from a handler or another thread."""


class GuestClosed(DebuggerError):
    """The guest has been closed."""
