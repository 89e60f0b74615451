"""Faults as changes of a guest that is stopped before, or after, an instruction."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.data_flow import SourceKind, register_sources
from guestdbg.guest_campaign import Change, DoesNotFit

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu, Guest

__all__ = [
    "ChangeAfter",
    "ChangeBefore",
    "FlipMemory",
    "Injection",
    "PutInstruction",
    "RegisterChange",
    "RestoreInstruction",
    "SkipInstructions",
    "loaded_bytes",
]

_NZCV_SHIFT = 28


@dataclass(frozen=True, slots=True)
class Injection(Change):
    """A fault. It is made only where it belongs: another PC there is an error, not another fault.

    Attributes:
        pc: where the vCPU is then.
        vcpu: its number.
    """

    pc: int
    vcpu: int

    def apply(self, guest: Guest) -> None:
        cpu = guest.vcpus[self.vcpu]
        if cpu.pc != self.pc:
            _arrive(guest, cpu, self.pc)
        self.inject(guest, cpu)

    @abstractmethod
    def inject(self, guest: Guest, cpu: Cpu) -> None:
        """Make it: the vCPU is there."""


def _arrive(guest: Guest, cpu: Cpu, pc: int) -> None:
    """Go to an address before which an exception is taken: that retires no instruction."""
    point = guest.break_(pc)
    try:
        stop = guest.run(max_instructions=1)
    finally:
        point.delete()
    if not any(hit.point is point and hit.vcpu.id == cpu.id for hit in stop.hits):
        raise DoesNotFit(
            f"vCPU {cpu.id} does not come to {pc:#x}, as it did without a fault: it is at "
            f"{cpu.pc:#x}. What the guest does must follow from its state: no clock of the host"
        )


@dataclass(frozen=True, slots=True)
class SkipInstructions(Injection):
    """The PC is moved on by so many instructions."""

    count: int

    def inject(self, guest: Guest, cpu: Cpu) -> None:
        cpu.pc = self.pc + 4 * self.count

    def __str__(self) -> str:
        return f"{self.count} skipped at {self.pc:#x}"


@dataclass(frozen=True, slots=True)
class RegisterChange:
    """What a register gets.

    Attributes:
        name: as for ``Cpu.reg``; ``nzcv``: its bits are 0 (V) to 3 (N).
        flip: bits that are inverted.
        value: what they are inverted in; None: in its own value.
        data: the bytes of the register that this is about, in their order; None: all.
        sign: bytes that get the sign of these.
    """

    name: str
    flip: int = 0
    value: int | None = None
    data: tuple[int, ...] | None = None
    sign: tuple[int, ...] = ()

    def make(self, cpu: Cpu) -> None:
        """Write the register."""
        if self.name == "nzcv":
            mask, pstate = 15 << _NZCV_SHIFT, cpu.pstate
            new = self._changed(pstate >> _NZCV_SHIFT & 15)
            cpu.pstate = pstate & ~mask | (new & 15) << _NZCV_SHIFT
        else:
            old = cpu.reg(self.name)
            new = self._changed(old) if self.data is None else self._loaded(old, self.data)
            cpu.set_reg(self.name, new)

    def _changed(self, old: int) -> int:
        return (old if self.value is None else self.value) ^ self.flip

    def _loaded(self, old: int, data: tuple[int, ...]) -> int:
        """The register as if other bytes had come from memory."""
        found = bytearray(old.to_bytes(16, "little"))
        size = len(data)
        loaded = self._changed(int.from_bytes(bytes(found[n] for n in data), "little"))
        loaded &= (1 << 8 * size) - 1
        for n, byte in zip(data, loaded.to_bytes(size, "little"), strict=True):
            found[n] = byte
        for n in self.sign:
            found[n] = 0xFF if loaded >> 8 * size - 1 else 0
        return int.from_bytes(found, "little")

    def __str__(self) -> str:
        return f"{self.name} " + (
            f"^= {self.flip:#x}" if self.value is None else f"= {self.value:#x}"
        )


@dataclass(frozen=True, slots=True)
class ChangeBefore(Injection):
    """A register is changed before an instruction."""

    change: RegisterChange

    def inject(self, guest: Guest, cpu: Cpu) -> None:
        self.change.make(cpu)

    def __str__(self) -> str:
        return f"{self.change} before {self.pc:#x}"


@dataclass(frozen=True, slots=True)
class ChangeAfter(Change):
    """A register is changed when an instruction has retired, wherever the vCPU is then.

    Attributes:
        pc: the address of the instruction.
        vcpu: the number of the vCPU.
        change: the change.
    """

    pc: int
    vcpu: int
    change: RegisterChange

    def apply(self, guest: Guest) -> None:
        self.change.make(guest.vcpus[self.vcpu])

    def __str__(self) -> str:
        return f"{self.change} after {self.pc:#x}"


def loaded_bytes(raw: int, register: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which bytes of a register a load fills from memory, and which with their sign."""
    sources = register_sources(raw, register, 0) or ()
    return (
        tuple(n for n, each in enumerate(sources) if each.kind is SourceKind.MEMORY),
        tuple(n for n, each in enumerate(sources) if each.kind is SourceKind.SIGN),
    )


@dataclass(frozen=True, slots=True)
class PutInstruction(Injection):
    """Another instruction is there: for one time, if ``RestoreInstruction`` comes after it."""

    raw: int

    def inject(self, guest: Guest, cpu: Cpu) -> None:
        guest.write(self.pc, self.raw.to_bytes(4, "little"))

    def __str__(self) -> str:
        return f"instruction {self.raw:#010x} at {self.pc:#x}"


@dataclass(frozen=True, slots=True)
class RestoreInstruction(Change):
    """The instruction that was there before, wherever the guest is by now."""

    pc: int
    raw: int

    def apply(self, guest: Guest) -> None:
        guest.write(self.pc, self.raw.to_bytes(4, "little"))

    def __str__(self) -> str:
        return f"instruction {self.raw:#010x} at {self.pc:#x} again"


@dataclass(frozen=True, slots=True)
class FlipMemory(Injection):
    """One bit of memory is inverted."""

    address: int
    bit: int

    def inject(self, guest: Guest, cpu: Cpu) -> None:
        (byte,) = guest.read(self.address, 1)
        guest.write(self.address, bytes([byte ^ 1 << self.bit]))

    def __str__(self) -> str:
        return f"bit {self.bit} of the byte at {self.address:#x} inverted"
