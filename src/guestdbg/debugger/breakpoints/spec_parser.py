"""Breakpoints and watches as text: WHERE and WHAT, each with an optional `if CONDITION`."""

import re
from dataclasses import dataclass
from typing import Literal

from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.validation import check_digits
from guestdbg.errors import GuestdbgError

Access = Literal["read", "write", "any"]

_ACCESS: dict[str, Access] = {"r": "read", "w": "write", "rw": "any", "wr": "any"}
_IF = re.compile(r"^(?P<what>.*?)\s+if\b(?P<condition>.*)$", re.DOTALL)
#: Never after `::`, which is part of a name: `space::r`.
_SUFFIX = re.compile(r"^(?P<what>(?:.*[^:])?):(?P<access>[a-z]*)$", re.DOTALL)
#: What the name of a source file ends in. `file.c:name` is a static variable of that file.
_SOURCE_FILE = re.compile(
    r"/|\.(?:c|h|s|sx|asm|inc|cc|hh|cp|cpp|hpp|cxx|hxx|c\+\+|h\+\+|tcc|rs|zig|go|d|ad[abs]|f\d*)$",
    re.IGNORECASE,
)
_LENGTH = re.compile(r"^(?P<what>.*),\s*(?P<length>[^,]*)$", re.DOTALL)
_NUMBER = re.compile(r"^(0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")


class PointError(GuestdbgError):
    """The text of a breakpoint or watch that cannot be parsed."""


@dataclass(frozen=True)
class BreakSpec:
    """`WHERE [if CONDITION]`: all of it is `text`, WHERE alone is `name`."""

    text: str
    name: str
    where: str | int
    condition: Condition | None


@dataclass(frozen=True)
class WatchSpec:
    """`WHAT[,LENGTH][:r|w|rw] [if CONDITION]`: all of it is `text`, WHAT alone is `name`.

    WHAT may be `file.c:name`, and then a variable `r`, `w` or `rw` is written `file.c::r`. `length`
    is in bytes, None for that of the variable.
    """

    text: str
    name: str
    where: str | int
    length: int | None
    access: Access
    condition: Condition | None


def _place(text: str) -> str | int:
    """An address becomes a number; everything else is text, which the debugger resolves."""
    text = text.strip()
    return int(text, 0) if text.startswith("0x") and _NUMBER.match(text) else text


def _split_condition(text: str) -> tuple[str, Condition | None]:
    match = _IF.match(check_digits(text))
    if match is None:
        return text.strip(), None
    return match["what"].strip(), Condition(match["condition"])


def parse_break(text: str, command: str = "--break") -> BreakSpec:
    """Parse the argument of ``command``.

    Raises PointError, or ConditionError for what follows `if`.
    """
    what, condition = _split_condition(text)
    if not what:
        raise PointError(
            f"{command} {text!r} names no place: give a symbol, an address or file:line"
        )
    return BreakSpec(text, what, _place(what), condition)


def parse_watch(text: str, command: str = "--watch") -> WatchSpec:
    """Parse the argument of ``command``.

    Raises PointError, or ConditionError for what follows `if`.
    """
    what, condition = _split_condition(text)
    access: Access = "write"
    if match := _SUFFIX.match(what):
        if match["access"] in _ACCESS:
            what, access = match["what"].strip(), _ACCESS[match["access"]]
        elif not match["access"] or not _SOURCE_FILE.search(match["what"]):
            raise PointError(f"{command} {text!r}: access {match['access']!r} must be r, w or rw")
    length: int | None = None
    if match := _LENGTH.match(what):
        if not _NUMBER.match(match["length"]):
            raise PointError(
                f"{command} {text!r}: length {match['length']!r} is not a number of bytes"
            )
        what, length = match["what"].strip(), int(match["length"], 0)
    if not what:
        raise PointError(
            f"{command} {text!r} names nothing: give a variable, a member, a symbol or an address"
        )
    return WatchSpec(text, what, _place(what), length, access, condition)
