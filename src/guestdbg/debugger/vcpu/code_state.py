"""The state of a vCPU in which the variables of a hit are read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from guestdbg.arm64.instructions import loaded_vectors, written_registers
from guestdbg.debugger.program.local_variables.scoped_variables import FIRST_VECTOR, Place
from guestdbg.kvm.regs import PC, V

if TYPE_CHECKING:
    from guestdbg.debugger.program.source_location import Location

__all__ = ["VcpuCodeState"]


class Readable(Protocol):
    """What is read of a vCPU."""

    def get(self, reg: int, /) -> int:
        """A register by its one-reg id."""

    def locate(self, address: int, /) -> Location:
        """What is known of an address."""

    def registers(self) -> list[int]:
        """X0 to X30, and the stack pointer in use."""

    def instruction(self, pc: int) -> int | None:
        """The instruction at ``pc``; None if that cannot be read."""


class VcpuCodeState:
    """A vCPU at the instruction of a hit, or after it. Each part is read when it is asked for."""

    def __init__(self, vcpu: Readable, location: Location) -> None:
        self._vcpu = vcpu
        self._location = location

    @cached_property
    def place(self) -> Place:
        """The instruction of the hit."""
        return Place.of(self._location, self._vcpu.locate(self._location.address).chain)

    @cached_property
    def registers(self) -> list[int]:
        """X0 to X30 and SP, as they are now."""
        return self._vcpu.registers()

    def vector(self, number: int) -> int:
        """V0 to V31, as they are now."""
        return self._vcpu.get(V[number])

    def get(self, register: int) -> int:
        """A register by its one-reg id, as it is now."""
        return self._vcpu.get(register)

    @cached_property
    def now(self) -> int:
        """The PC as it is now."""
        return self._vcpu.get(PC)

    @cached_property
    def written(self) -> frozenset[int] | None:
        """The DWARF numbers of the registers that the instruction writes; None: not known."""
        raw = self._vcpu.instruction(self._location.address)
        written = None if raw is None else written_registers(raw)
        if raw is None or written is None:
            return None
        return written | {FIRST_VECTOR + number for number in loaded_vectors(raw)}
