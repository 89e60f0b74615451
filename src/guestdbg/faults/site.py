"""Where a fault is: an instruction, and each time that it is executed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.disassembly import instruction

if TYPE_CHECKING:
    from guestdbg.debugger import Location

__all__ = ["Place", "Site"]


@dataclass(frozen=True, slots=True)
class Site:
    """An instruction of the guest.

    Attributes:
        pc: its address.
        raw: its encoding.
        symbol: ``function+0x1c``, or the address.
        file, line: the source line; None: not known.
        text: its disassembly.
    """

    pc: int
    raw: int
    symbol: str
    file: str | None
    line: int | None
    text: str

    @classmethod
    def of(cls, pc: int, raw: int, location: Location) -> Site:
        """The instruction at a location."""
        text = instruction(raw.to_bytes(4, "little"), pc) or f".inst {raw:#010x}"
        return cls(pc, raw, location.symbolic, location.file, location.line, text)

    def __str__(self) -> str:
        source = "" if self.file is None else f" ({self.file.rpartition('/')[2]}:{self.line})"
        return f"{self.symbol}{source}"


class Place(NamedTuple):
    """One execution of an instruction.

    Attributes:
        when: how many instructions all vCPUs retire before it, from where the cases begin.
        site: the instruction.
        vcpu: the number of the vCPU that executes it.
    """

    when: int
    site: Site
    vcpu: int
