"""Instructions that the processor does not implement, as a guest has executed them."""

from __future__ import annotations

from dataclasses import dataclass

from guestdbg.debugger.program.source_location import Location
from guestdbg.hexadecimal_repr import hexadecimal

__all__ = ["UnimplementedInstruction"]


@hexadecimal("pc", "encoding")
@dataclass(frozen=True, slots=True)
class UnimplementedInstruction:
    """The first execution of an instruction that the processor does not implement.

    Attributes:
        pc: its address.
        location: where that is: function, offset, file and line, those that are known.
        encoding: its 32 bits.
        text: the instruction as assembly.
        extension: what it belongs to.
        build_with: the compiler option with which code does not use it; None: there is none.
        vcpu: the id of the vCPU.
    """

    pc: int
    location: Location
    encoding: int
    text: str
    extension: str
    build_with: str | None
    vcpu: int

    @property
    def mnemonic(self) -> str:
        """The first word of ``text``."""
        return self.text.split(maxsplit=1)[0]

    def __str__(self) -> str:
        where = str(self.location)
        pc = "" if f"{self.pc:#x}" in where else f" (pc {self.pc:#x})"
        text = (
            f"{where}{pc} executed {self.text!r}, of {self.extension}, which this processor does "
            "not implement: UNDEFINED to the guest"
        )
        return f"{text}; build with {self.build_with}" if self.build_with else text
