"""Fault models: which faults there are at an instruction, and the change that makes each.

A model of your own is a class with the methods of ``FaultModel``. It is sent to workers: it must be
picklable, and do the same each time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from guestdbg.arm64.data_flow import written_by
from guestdbg.arm64.loadstore import memory_operand
from guestdbg.arm64.register_reads import read_by
from guestdbg.campaign import CampaignError
from guestdbg.faults.injection import (
    ChangeAfter,
    ChangeBefore,
    FlipMemory,
    PutInstruction,
    RegisterChange,
    RestoreInstruction,
    SkipInstructions,
    loaded_bytes,
)
from guestdbg.guest_campaign import At

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.faults.site import Place, Site
    from guestdbg.guest_campaign import Variation

__all__ = [
    "FaultModel",
    "InstructionFlip",
    "InstructionValue",
    "LoadFlip",
    "LoadValue",
    "MemoryFlip",
    "RegisterFlip",
    "RegisterValue",
    "Skip",
    "Variant",
]

_NOP = 0xD503201F


class Variant(NamedTuple):
    """One of the faults that a model has at an instruction.

    Attributes:
        target: what is changed: a register, ``"instruction"``, a variable; "": nothing more to say.
        bit: which bit; None: more than one, or none.
    """

    target: str = ""
    bit: int | None = None


class FaultModel(ABC):
    """A kind of fault.

    Attributes:
        name: what the results call it.
    """

    name: ClassVar[str]

    def prepared(self, guest: Guest) -> Self:
        """The model for this guest, where the cases begin: names become addresses.

        Raises what says that this model cannot be used with this guest.
        """
        return self

    @abstractmethod
    def variants(self, site: Site) -> Sequence[Variant]:
        """The faults that there are whenever this instruction is executed: none, or some."""

    @abstractmethod
    def variation(self, place: Place, variant: Variant) -> Variation:
        """The change of the guest that is this fault."""

    @property
    def title(self) -> str:
        """The model with its settings, in a few words."""
        return self.name


def _bits(bits: Iterable[int] | None, width: int, what: str) -> tuple[int, ...]:
    """Numbers of bits, checked. Raises CampaignError."""
    if bits is None:
        return tuple(range(width))
    found = tuple(bits)
    for bit in found:
        if type(bit) is not int or not 0 <= bit < width:
            raise CampaignError(f"{what}: bit {bit!r}: the bits are 0 to {width - 1}")
    if not found or len(set(found)) < len(found):
        raise CampaignError(f"{what}: bits are {found!r:.60}: give some, each once")
    return found


@dataclass(frozen=True)
class Skip(FaultModel):
    """Instructions are not executed: the PC is moved on past them.

    Attributes:
        count: how many, one after the other in memory.
    """

    count: int = 1
    name: ClassVar[str] = "skip"

    def __post_init__(self) -> None:
        if type(self.count) is not int or not 1 <= self.count <= 1 << 20:
            raise CampaignError(f"Skip: count is {self.count!r}: it must be 1 or more")

    def variants(self, site: Site) -> Sequence[Variant]:
        return (Variant() if self.count == 1 else Variant(f"{self.count} instructions"),)

    def variation(self, place: Place, variant: Variant) -> Variation:
        return At(place.when, SkipInstructions(place.site.pc, place.vcpu, self.count))

    @property
    def title(self) -> str:
        return "skip" if self.count == 1 else f"skip of {self.count}"


# ---- registers -------------------------------------------------------------------------------

_READ, _WRITTEN = "read", "written"
_WIDTHS = {"nzcv": 4, "pstate": 64, "fpcr": 32, "fpsr": 32}


def _width_of(name: str) -> int:
    if name[0] in "vq" and name[1:].isdigit():
        return 128
    if name[0] == "w" and name[1:].isdigit():
        return 32
    return _WIDTHS.get(name, 64)


class _OfRegisters(FaultModel):
    """A fault in registers: before the instruction, or in what it has written after it."""

    registers: str | Sequence[str]

    def _check(self) -> None:
        if isinstance(self.registers, str):
            if self.registers not in (_READ, _WRITTEN):
                raise CampaignError(
                    f"{type(self).__name__}: registers is {self.registers!r}: it must be "
                    f"{_READ!r}, {_WRITTEN!r}, or names in a list"
                )
        elif not self.registers or not all(isinstance(each, str) for each in self.registers):
            raise CampaignError(f"{type(self).__name__}: registers must be names of registers")
        else:
            object.__setattr__(self, "registers", tuple(each.lower() for each in self.registers))

    def prepared(self, guest: Guest) -> Self:
        if not isinstance(self.registers, str):
            for name in self.registers:
                if name != "nzcv":
                    guest.cpu.set_reg(name, guest.cpu.reg(name))  # raises if there is no such one
        return self

    def _registers(self, site: Site) -> list[tuple[str, int]]:
        """Names, and how many bits of each matter."""
        if self.registers == _READ:
            return [(each.name, each.bits) for each in read_by(site.raw)]
        if self.registers == _WRITTEN:
            names = sorted(written_by(site.raw) or (), key=_order)
            return [(name, _width_of(name)) for name in names]
        return [(name, _width_of(name)) for name in self.registers]

    def _at(self, place: Place, name: str, flip: int, value: int | None) -> Variation:
        change = RegisterChange(name, flip, value)
        if self.registers != _WRITTEN:
            return At(place.when, ChangeBefore(place.site.pc, place.vcpu, change))
        return At(place.when + 1, ChangeAfter(place.site.pc, place.vcpu, change))

    @property
    def title(self) -> str:
        if isinstance(self.registers, str):
            which = "that are read" if self.registers == _READ else "that were written"
        else:
            which = ", ".join(self.registers)
        return f"{self.name} of registers: {which}"


def _order(name: str) -> tuple[str, int]:
    return (name[0], int(name[1:])) if name[1:].isdigit() else (name, 0)


@dataclass(frozen=True)
class RegisterFlip(_OfRegisters):
    """One bit of a register is inverted.

    Attributes:
        registers: ``"read"``: those that the instruction reads (X0 to X30, SP, and the flags as
            ``nzcv``), before it; ``"written"``: those that it writes (also V0 to V31), after it; or
            names, as for ``Cpu.reg``, before it.
        bits: which bits; None: all of those that can matter.
    """

    registers: str | Sequence[str] = _READ
    bits: Sequence[int] | None = None
    name: ClassVar[str] = "register flip"

    def __post_init__(self) -> None:
        self._check()
        if self.bits is not None:
            object.__setattr__(self, "bits", _bits(self.bits, 128, "RegisterFlip"))

    def variants(self, site: Site) -> Sequence[Variant]:
        return [
            Variant(name, bit)
            for name, width in self._registers(site)
            for bit in (range(width) if self.bits is None else self.bits)
            if bit < width
        ]

    def variation(self, place: Place, variant: Variant) -> Variation:
        assert variant.bit is not None
        return self._at(place, variant.target, 1 << variant.bit, None)


@dataclass(frozen=True)
class RegisterValue(_OfRegisters):
    """A register gets a value: 0 or all ones for stuck-at faults.

    Attributes:
        value: the value; as many of its low bits as the register has.
        registers: see ``RegisterFlip``.
    """

    value: int = 0
    registers: str | Sequence[str] = _READ
    name: ClassVar[str] = "register value"

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "value", _value(self.value, 128, "RegisterValue"))

    def variants(self, site: Site) -> Sequence[Variant]:
        return [Variant(name) for name, _ in self._registers(site)]

    def variation(self, place: Place, variant: Variant) -> Variation:
        return self._at(place, variant.target, 0, self.value)

    @property
    def title(self) -> str:
        return f"{super().title} = {self.value:#x}"


def _value(value: int, width: int, what: str) -> int:
    if type(value) is not int or not -(1 << width - 1) <= value < 1 << width:
        raise CampaignError(f"{what}: value is {value!r}: a number of at most {width} bits")
    return value & (1 << width) - 1


# ---- loads -----------------------------------------------------------------------------------


class _OfLoads(FaultModel):
    """A fault in what a load, or an atomic, gets from memory. Memory itself does not change."""

    def _loaded(self, site: Site) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
        operand = memory_operand(site.raw)
        if operand is None or not operand.reads:
            return []
        names = sorted(written_by(site.raw) or (), key=_order)
        found = [(name, *loaded_bytes(site.raw, name)) for name in names if name != "sp"]
        return [each for each in found if each[1]]

    def _at(self, place: Place, target: str, flip: int, value: int | None) -> Variation:
        data, sign = loaded_bytes(place.site.raw, target)
        change = RegisterChange(target, flip, value, data, sign)
        return At(place.when + 1, ChangeAfter(place.site.pc, place.vcpu, change))


@dataclass(frozen=True)
class LoadFlip(_OfLoads):
    """One bit of what a load gets from memory is inverted, before it is extended.

    Attributes:
        bits: which bits of each register that is loaded; None: all.
    """

    bits: Sequence[int] | None = None
    name: ClassVar[str] = "load flip"

    def __post_init__(self) -> None:
        if self.bits is not None:
            object.__setattr__(self, "bits", _bits(self.bits, 128, "LoadFlip"))

    def variants(self, site: Site) -> Sequence[Variant]:
        return [
            Variant(name, bit)
            for name, data, _ in self._loaded(site)
            for bit in (range(8 * len(data)) if self.bits is None else self.bits)
            if bit < 8 * len(data)
        ]

    def variation(self, place: Place, variant: Variant) -> Variation:
        assert variant.bit is not None
        return self._at(place, variant.target, 1 << variant.bit, None)


@dataclass(frozen=True)
class LoadValue(_OfLoads):
    """What a load gets from memory is a value: 0 or all ones (-1) for stuck-at faults.

    Attributes:
        value: the value; as many of its low bits as are loaded.
    """

    value: int = 0
    name: ClassVar[str] = "load value"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _value(self.value, 128, "LoadValue"))

    def variants(self, site: Site) -> Sequence[Variant]:
        return [Variant(name) for name, _, _ in self._loaded(site)]

    def variation(self, place: Place, variant: Variant) -> Variation:
        return self._at(place, variant.target, 0, self.value)

    @property
    def title(self) -> str:
        return f"{self.name} = {self.value:#x}"


# ---- instructions ----------------------------------------------------------------------------


class _OfInstructions(FaultModel):
    """Another instruction is executed in its place, this one time."""

    def _instead(self, place: Place, raw: int) -> Variation:
        pc, vcpu = place.site.pc, place.vcpu
        return (
            At(place.when, PutInstruction(pc, vcpu, raw)),
            At(place.when + 1, RestoreInstruction(pc, place.site.raw)),
        )


@dataclass(frozen=True)
class InstructionFlip(_OfInstructions):
    """One bit of the encoding is inverted, for the one time that the instruction is executed.

    Attributes:
        bits: which of its 32 bits; None: all.
    """

    bits: Sequence[int] | None = None
    name: ClassVar[str] = "instruction flip"

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", _bits(self.bits, 32, "InstructionFlip"))

    def variants(self, site: Site) -> Sequence[Variant]:
        return [Variant("instruction", bit) for bit in self.bits or ()]

    def variation(self, place: Place, variant: Variant) -> Variation:
        assert variant.bit is not None
        return self._instead(place, place.site.raw ^ 1 << variant.bit)


@dataclass(frozen=True)
class InstructionValue(_OfInstructions):
    """Another instruction is executed in its place, this one time.

    Attributes:
        raw: its encoding; NOP if none is given.
    """

    raw: int = _NOP
    name: ClassVar[str] = "instruction value"

    def __post_init__(self) -> None:
        _value(self.raw, 32, "InstructionValue")

    def variants(self, site: Site) -> Sequence[Variant]:
        return (Variant("instruction"),) if site.raw != self.raw else ()

    def variation(self, place: Place, variant: Variant) -> Variation:
        return self._instead(place, self.raw)

    @property
    def title(self) -> str:
        return f"{self.name} = {self.raw:#010x}"


# ---- memory ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MemoryFlip(FaultModel):
    """One bit of memory is inverted before the instruction, and stays so until it is written.

    Attributes:
        where: a variable or an address.
        length: how many bytes; None: as many as the variable has.
        bits: which bits, counted from the first byte on; None: all.
    """

    where: int | str
    length: int | None = None
    bits: Sequence[int] | None = None
    name: ClassVar[str] = "memory flip"
    _address: int | None = None

    def prepared(self, guest: Guest) -> Self:
        data = guest.resolve(self.where, self.length)
        if not data.length:
            raise CampaignError(
                f"MemoryFlip: how many bytes {self.where!r} has is not known: give length"
            )
        guest.read(data.address, data.length)
        bits = _bits(self.bits, 8 * data.length, "MemoryFlip")
        return replace(self, length=data.length, bits=bits, _address=data.address)

    def variants(self, site: Site) -> Sequence[Variant]:
        return [Variant(self._shown, bit) for bit in self.bits or ()]

    @property
    def _shown(self) -> str:
        return self.where if isinstance(self.where, str) else f"{self.where:#x}"

    def variation(self, place: Place, variant: Variant) -> Variation:
        assert variant.bit is not None
        assert self._address is not None
        byte, bit = divmod(variant.bit, 8)
        change = FlipMemory(place.site.pc, place.vcpu, self._address + byte, bit)
        return At(place.when, change)

    @property
    def title(self) -> str:
        return f"{self.name} of {self._shown}"
