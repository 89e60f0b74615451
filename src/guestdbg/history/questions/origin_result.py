"""Where a value came from: the copies that it went through, and what is at their beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.debugger import Hit

__all__ = ["Origin", "OriginStep", "Reason"]

Reason = Literal["computed", "constant", "outside", "user", "beginning", "unknown"]


@hexadecimal("value")
@dataclass(frozen=True, slots=True)
class OriginStep:
    """One instruction (or device) that put the value where the step after it found it.

    Attributes:
        hit: with its time, its location and a backtrace as of then. Of a write to memory it is that
            of a watch, of an instruction that wrote a register that of a breakpoint there.
        target: what it wrote: a variable, memory, or a register.
        source: what it copied; empty at the end of the chain.
        value: what it wrote there, as an unsigned number: the bytes that are followed up to here.
        size: how many these are.
        instruction: as assembly; empty for a device.
        note: what else it did to the value: an extension, or that only some bytes are followed.
    """

    hit: Hit
    target: str
    source: str
    value: int
    size: int
    instruction: str
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.target} = {_shown(self.value)}"
        if self.instruction:
            text += f" by {self.instruction}"
        text += f" in {self.hit.location}"
        return f"{text} ({self.note})" if self.note else text


class Origin(Sequence[OriginStep]):
    """Where a value came from: the last copy first.

    Attributes:
        name: what was asked for.
        value: its value, as an unsigned number.
        reason: why it is not followed further: ``"computed"`` by an instruction; ``"constant"``, in
            an instruction; it came from ``"outside"``: from a device, or a hypervisor or
            semihosting call; the ``"user"`` of the debugger wrote it; it was there at the
            ``"beginning"`` of the history; ``"unknown"``.
        text: the same in words.
    """

    def __init__(
        self, name: str, value: int, steps: Sequence[OriginStep], reason: Reason, text: str
    ) -> None:
        self.name = name
        self.value = value
        self.reason = reason
        self.text = text
        self._steps = tuple(steps)

    @overload
    def __getitem__(self, number: int) -> OriginStep: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[OriginStep]: ...
    def __getitem__(self, number: int | slice) -> OriginStep | Sequence[OriginStep]:
        return self._steps[number]

    def __len__(self) -> int:
        return len(self._steps)

    def __str__(self) -> str:
        return "\n".join([f"{self.name} = {_shown(self.value)}", *map(str, self), self.text])

    def __repr__(self) -> str:
        return f"<Origin of {self.name}: {len(self)} steps, {self.text}>"


def _shown(value: int) -> str:
    return f"{value:#x}" if value > 9 else str(value)
