"""Which instructions of a run there are faults at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guestdbg.campaign import CampaignError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Location

__all__ = ["Selection"]

_LINES = re.compile(r"(.+):([0-9]{1,9})(?:-([0-9]{1,9}))?\Z")
_END = 1 << 63


@dataclass(frozen=True)
class Selection:
    """Instructions by place and by time; those that fit all that is given.

    Attributes:
        functions: names; an instruction is in one of them, or in what was inlined into it there.
        lines: ``"file.c:20-35"``, ``"file.c:20"``; it is of one of them.
        addresses: it is in one of these ranges.
        instructions: it is one of these of the run, counted from 0.
    """

    functions: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    addresses: tuple[range, ...] = ()
    instructions: range = range(_END)

    @classmethod
    def of(
        cls,
        function: str | Sequence[str] | None,
        lines: str | Sequence[str] | None,
        addresses: tuple[int, int] | Sequence[tuple[int, int]] | None,
        instructions: tuple[int, int] | range | None,
    ) -> Selection:
        """What the arguments of ``fault_campaign`` say. Raises CampaignError."""
        pairs: list[Any] = [] if addresses is None else list(addresses)
        if len(pairs) == 2 and all(isinstance(each, int) for each in pairs):
            pairs = [pairs]
        found = cls(
            _texts("function", function),
            _texts("lines", lines),
            tuple(_range("addresses", pair) for pair in pairs),
            range(_END) if instructions is None else _range("instructions", instructions),
        )
        for each in found.lines:
            if _LINES.match(each) is None:
                raise CampaignError(f"lines: {each!r} must be like 'file.c:20-35' or 'file.c:20'")
        return found

    def check(self, guest: Guest) -> None:
        """Raises UnknownSymbol or InvalidLocation: there is no such function."""
        for name in self.functions:
            guest.execution.resolve(name)

    def has(self, pc: int, location: Location) -> bool:
        """Whether the instruction at an address is meant."""
        if self.addresses and not any(pc in each for each in self.addresses):
            return False
        chain = location.chain
        if self.functions and not any(each.function in self.functions for each in chain):
            return False
        return not self.lines or any(_on(location, each) for each in self.lines)

    def __str__(self) -> str:
        parts = [", ".join(each) for each in (self.functions, self.lines) if each]
        parts += [f"{each.start:#x} to {each.stop:#x}" for each in self.addresses]
        if self.instructions.stop != _END:
            first, last = self.instructions.start, self.instructions.stop
            parts.append(f"instructions {first:,} to {last:,}")
        return ", ".join(parts) or "the whole run"


def _texts(name: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    found = () if value is None else (value,) if isinstance(value, str) else tuple(value)
    if value is not None and (not found or not all(isinstance(e, str) and e for e in found)):
        raise CampaignError(f"{name} is {value!r:.60}: it must be a text, or some of them")
    return found


def _range(name: str, value: Sequence[int]) -> range:
    if isinstance(value, range):
        value = (value.start, value.stop) if value.step == 1 else ()
    if len(value) != 2 or not all(type(each) is int for each in value):
        raise CampaignError(f"{name} is {value!r:.60}: it must be (first, one after the last)")
    if not 0 <= value[0] < value[1] <= 1 << 64:
        raise CampaignError(f"{name} is {value!r:.60}: the first must come before the end")
    return range(value[0], value[1])


def _on(location: Location, lines: str) -> bool:
    found = _LINES.match(lines)
    if found is None or location.file is None or location.line is None:
        return False
    file, first, last = found[1], int(found[2]), int(found[3] or found[2])
    named = location.file == file or location.file.endswith("/" + file)
    return named and first <= location.line <= last
