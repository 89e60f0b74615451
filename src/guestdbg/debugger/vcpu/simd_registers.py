"""V0 to V31 of a vCPU: as integers, as floating-point numbers, and lane by lane.

The registers are read and written through one-reg, whether or not the guest may use them
(CPACR_EL1.FPEN). A write of D, S or H sets the bits of V above it to 0, as an instruction's does; a
write of a lane leaves the other lanes as they are (DDI 0487, B1.2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.errors import InvalidLocation, UnknownRegister
from guestdbg.debugger.program.float_format import BY_SIZE
from guestdbg.kvm.regs import V

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.kvm import Vcpu

__all__ = [
    "FloatRegisters",
    "LaneRegisters",
    "Lanes",
    "SetRegister",
    "VectorLanes",
    "VectorRegisters",
]

#: Writes a register, by its one-reg id.
SetRegister = Callable[[int, int], object]

_BYTES = 16
_WORDS = {1: "b", 2: "h", 4: "s", 8: "d"}


def _number(n: int, letter: str) -> int:
    if not isinstance(n, int):
        raise InvalidLocation(f"{letter}[{n!r}]: the SIMD registers have numbers, 0 to 31")
    if not 0 <= n < len(V):
        name = letter.upper()
        raise UnknownRegister(f"there is no {name}{n}: the SIMD registers are {name}0 to {name}31")
    return n


def _integer(value: Any) -> int:
    """The value as an int; it may be a drgn object."""
    if isinstance(value, str | bytes | float | None):
        raise InvalidLocation(
            f"{value!r} is not an integer, as V registers hold; a number is written to cpu.d, "
            "cpu.s or cpu.h"
        )
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str | bytes | None):
        raise InvalidLocation(f"{value!r} is not a number")
    return float(value)


class VectorRegisters:
    """``cpu.v``: V0 to V31 as integers of 128 bits, which can be assigned to."""

    __slots__ = ("_set", "_vcpu")

    def __init__(self, vcpu: Vcpu, set_register: SetRegister) -> None:
        self._vcpu = vcpu
        self._set = set_register

    def __len__(self) -> int:
        return len(V)

    def __getitem__(self, n: int) -> int:
        return self._vcpu.get_one_reg(V[_number(n, "v")])

    def __setitem__(self, n: int, value: int) -> None:
        self._set(V[_number(n, "v")], _integer(value) & (1 << 8 * _BYTES) - 1)

    def __iter__(self) -> Iterator[int]:
        return (self._vcpu.get_one_reg(reg) for reg in V)

    def __repr__(self) -> str:
        return "[" + ", ".join(f"{value:#x}" for value in self) + "]"


class FloatRegisters:
    """``cpu.d``, ``cpu.s``, ``cpu.h``: the numbers in D0 to D31, S0 to S31, H0 to H31.

    They can be assigned to; a number that the format does not have is rounded to the nearest.
    """

    __slots__ = ("_format", "_letter", "_registers")

    def __init__(self, registers: VectorRegisters, letter: str, size: int) -> None:
        self._registers = registers
        self._letter = letter
        self._format = BY_SIZE[size]

    def __len__(self) -> int:
        return len(V)

    def _bits(self, n: int) -> int:
        return self._registers[_number(n, self._letter)] & (1 << 8 * self._format.size) - 1

    def __getitem__(self, n: int) -> float:
        return self._format.value(self._bits(n))

    def __setitem__(self, n: int, value: float) -> None:
        self._registers[_number(n, self._letter)] = self._format.bits(_float(value))

    def __iter__(self) -> Iterator[float]:
        return (self[n] for n in range(len(V)))

    def __repr__(self) -> str:
        return "[" + ", ".join(self._format.text(self._bits(n)) for n in range(len(V))) + "]"


class Lanes:
    """The lanes of one V register: ``cpu.lanes[0].s``; as they are now, also after a change.

    ``cpu.lanes[0].s[3]`` is the bits of a lane, ``cpu.lanes[0].s.f[3]`` the number in it. Both can
    be assigned to.
    """

    __slots__ = ("_format", "_number", "_registers", "_size")

    def __init__(
        self,
        registers: VectorRegisters,
        number: int,
        size: int,
        float_format: FloatFormat | None = None,
    ) -> None:
        self._registers = registers
        self._number = number
        self._size = size
        self._format = float_format

    @property
    def f(self) -> Lanes:
        """The same lanes as floating-point numbers."""
        if self._size not in BY_SIZE:
            raise InvalidLocation(f"{self._name}: a byte is not a floating-point number")
        return Lanes(self._registers, self._number, self._size, BY_SIZE[self._size])

    @property
    def _name(self) -> str:
        return f"v{self._number}.{_WORDS[self._size]}"

    def __len__(self) -> int:
        return _BYTES // self._size

    def _shift(self, index: int) -> int:
        if not isinstance(index, int) or not 0 <= index < len(self):
            raise UnknownRegister(
                f"there is no {self._name}[{index!r}]: the lanes are {self._name}[0] to "
                f"{self._name}[{len(self) - 1}]"
            )
        return 8 * self._size * index

    def _bits(self, index: int) -> int:
        shift = self._shift(index)
        return self._registers[self._number] >> shift & (1 << 8 * self._size) - 1

    def __getitem__(self, index: int) -> Any:
        bits = self._bits(index)
        return bits if self._format is None else self._format.value(bits)

    def __setitem__(self, index: int, value: float) -> None:
        shift, mask = self._shift(index), (1 << 8 * self._size) - 1
        bits = _integer(value) if self._format is None else self._format.bits(_float(value))
        others = self._registers[self._number] & ~(mask << shift)
        self._registers[self._number] = others | (bits & mask) << shift

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        shown = (
            f"{self._bits(n):#x}" if self._format is None else self._format.text(self._bits(n))
            for n in range(len(self))
        )
        return "[" + ", ".join(shown) + "]"


class VectorLanes:
    """One V register: ``cpu.lanes[0]`` has ``b``, ``h``, ``s`` and ``d``."""

    __slots__ = ("_number", "_registers")

    def __init__(self, registers: VectorRegisters, number: int) -> None:
        self._registers = registers
        self._number = number

    @property
    def b(self) -> Lanes:
        """Its 16 bytes."""
        return Lanes(self._registers, self._number, 1)

    @property
    def h(self) -> Lanes:
        """Its eight halfwords."""
        return Lanes(self._registers, self._number, 2)

    @property
    def s(self) -> Lanes:
        """Its four words."""
        return Lanes(self._registers, self._number, 4)

    @property
    def d(self) -> Lanes:
        """Its two doublewords."""
        return Lanes(self._registers, self._number, 8)

    def __repr__(self) -> str:
        return f"<v{self._number}: {self._registers[self._number]:#x}>"


class LaneRegisters:
    """``cpu.lanes``: V0 to V31, lane by lane."""

    __slots__ = ("_registers",)

    def __init__(self, registers: VectorRegisters) -> None:
        self._registers = registers

    def __len__(self) -> int:
        return len(V)

    def __getitem__(self, n: int) -> VectorLanes:
        return VectorLanes(self._registers, _number(n, "v"))

    def __iter__(self) -> Iterator[VectorLanes]:
        return (self[n] for n in range(len(V)))
