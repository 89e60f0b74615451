"""The registers of a vCPU by name, read and written through one-reg."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.pstate import exception_level, uses_sp_elx
from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.debugger.errors import InvalidLocation, UnknownRegister, near
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.debugger.vcpu.simd_registers import (
    FloatRegisters,
    LaneRegisters,
    VectorRegisters,
)
from guestdbg.kvm.regs import CORE_REGS, FPCR, FPSR, PC, PSTATE, SP_EL0, SP_EL1, X, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.unwind.backtrace import Backtrace
    from guestdbg.debugger.vcpu.simd_registers import (
        SetRegister,
    )
    from guestdbg.kvm import Vcpu

__all__ = ["UNPICKLABLE", "Cpu", "GeneralRegisters"]

#: The message if a hit, a stop or a guest is pickled or deeply copied: all refer to a guest.
UNPICKLABLE = (
    "a guest cannot be pickled or copied, nor what belongs to it (hits, stops, points): keep what "
    "you need of it, such as str(hit), hit.pc, hit.location, hit.old and hit.new"
)

_U64 = (1 << 64) - 1
_U32 = (1 << 32) - 1
_ALIASES = {
    "cpsr": "pstate",
    "fp": "x29",
    "lr": "x30",
    "spsr_el1": "spsr[0]",
    "sp_el0": "sp",  # KVM's name for SP_EL0; to users "sp" is the one in use, see Cpu.reg
}
_W = re.compile(r"w(\d\d?)\Z")
_Q = re.compile(r"q(\d\d?)\Z")
_FLOAT = re.compile(r"([hsd])([0-9]|[12][0-9]|3[01])\Z")
#: Special-purpose registers that give access to fields of PSTATE, which KVM has as a whole.
_FIELDS_OF_PSTATE = ("nzcv", "daif", "currentel", "spsel", "pan", "uao", "dit", "ssbs")


class GeneralRegisters:
    """``cpu.x``: X0 to X30 as a sequence that can be assigned to."""

    __slots__ = ("_set", "_vcpu")

    def __init__(self, vcpu: Vcpu, set_register: SetRegister) -> None:
        self._vcpu = vcpu
        self._set = set_register

    def __len__(self) -> int:
        return 31

    def __getitem__(self, n: int) -> int:
        return self._vcpu.get_one_reg(X[_number(n)])

    def __setitem__(self, n: int, value: int) -> None:
        self._set(X[_number(n)], _as_int(value) & _U64)

    def __iter__(self) -> Iterator[int]:
        return (self._vcpu.get_one_reg(reg) for reg in X)

    def __repr__(self) -> str:
        return "[" + ", ".join(f"{value:#x}" for value in self) + "]"


def _as_int(value: int) -> int:
    """The value as an int; it may be a drgn object."""
    if type(value) is int:
        return value
    if isinstance(value, str | bytes | float | None):
        raise InvalidLocation(
            f"{value!r} is not a number, as registers hold; the address of a symbol is "
            "guest.symbol(name).address"
        )
    return int(value)


def _number(n: int) -> int:
    if not isinstance(n, int):
        raise InvalidLocation(f"x[{n!r}]: the general-purpose registers have numbers, 0 to 30")
    if not 0 <= n <= 30:
        raise UnknownRegister(f"there is no X{n}: the general-purpose registers are X0 to X30")
    return n


def _lower(name: str) -> str:
    if not isinstance(name, str):
        raise UnknownRegister(f"there is no register named {name!r}: a name is text, such as 'x0'")
    return name.lower()


class Cpu:
    """One vCPU of a guest: ``guest.vcpus[0]``.

    Attributes:
        vcpu: the KVM vCPU (``guestdbg.kvm.Vcpu``).
        x: X0 to X30.
        v: V0 to V31 as integers.
        d, s, h: D0 to D31, S0 to S31 and H0 to H31 as floats.
        lanes: V0 to V31 lane by lane.

    Registers can be read and written while the
    guest is stopped, also in a handler, by the thread that runs it.
    """

    __slots__ = (
        *("_backtrace", "_set", "_variable", "d", "h", "lanes", "locate", "s", "v", "vcpu", "x"),
    )

    def __init__(
        self,
        vcpu: Vcpu,
        locate: Callable[[int], Location],
        backtrace: Callable[[int, int], Backtrace],
        variable: Callable[[str, Location], Any],
        set_register: SetRegister,
    ) -> None:
        self.vcpu = vcpu
        self._set = set_register
        self.x = GeneralRegisters(vcpu, set_register)
        self.v = VectorRegisters(vcpu, set_register)
        self.d = FloatRegisters(self.v, "d", 8)
        self.s = FloatRegisters(self.v, "s", 4)
        self.h = FloatRegisters(self.v, "h", 2)
        self.lanes = LaneRegisters(self.v)
        self.locate = locate
        self._backtrace = backtrace
        self._variable = variable

    def __getitem__(self, expression: str) -> Any:
        """A variable as the code at the PC sees it, as a drgn object; see ``Hit.__getitem__``."""
        return self._variable(expression, self.location)

    @property
    def id(self) -> int:
        """The vCPU's number."""
        return self.vcpu.id

    @property
    def pc(self) -> int:
        """The address of the next instruction."""
        return self.vcpu.get_one_reg(PC)

    @pc.setter
    def pc(self, value: int) -> None:
        self._set(PC, _as_int(value) & _U64)

    @property
    def pstate(self) -> int:
        """PSTATE, in the layout of SPSR_EL1."""
        return self.vcpu.get_one_reg(PSTATE)

    @pstate.setter
    def pstate(self, value: int) -> None:
        self._set(PSTATE, _as_int(value) & _U64)

    @property
    def el(self) -> int:
        """The Exception level: 0 or 1."""
        return exception_level(self.pstate)

    @property
    def sp(self) -> int:
        """The stack pointer in use: SP_EL1, or SP_EL0 at EL0 and while SPSel is 0."""
        return self.vcpu.get_one_reg(self._sp_reg())

    @sp.setter
    def sp(self, value: int) -> None:
        self._set(self._sp_reg(), _as_int(value) & _U64)

    def _sp_reg(self) -> int:
        return SP_EL1 if uses_sp_elx(self.pstate) else SP_EL0

    @property
    def fpcr(self) -> int:
        """FPCR: rounding, flush-to-zero, default NaN."""
        return self.vcpu.get_one_reg(FPCR)

    @fpcr.setter
    def fpcr(self, value: int) -> None:
        self._set(FPCR, _as_int(value) & _U32)

    @property
    def fpsr(self) -> int:
        """FPSR: the cumulative flags of floating-point exceptions."""
        return self.vcpu.get_one_reg(FPSR)

    @fpsr.setter
    def fpsr(self, value: int) -> None:
        self._set(FPSR, _as_int(value) & _U32)

    @property
    def location(self) -> Location:
        """Where the PC is: function, offset, file and line, those that are known."""
        return self.locate(self.pc)

    def backtrace(self, limit: int = DEFAULT_LIMIT) -> Backtrace:
        """The frames from the PC outwards, at most ``limit``; see ``Hit.backtrace``."""
        return self._backtrace(self.pc, limit)

    def reg(self, name: str) -> int:
        """A register by name, in any case: x0, w0, sp, pc, pstate, v0, q0, fpcr, ESR_EL1, …

        ``sp`` is the stack pointer in use, which is SP_EL0 or SP_EL1. Raises UnknownRegister, and
        KvmError if the provider does not have the register.
        """
        key = _lower(name)
        if key == "sp":
            return self.sp
        narrow = _W.match(key)
        if narrow and int(narrow[1]) <= 30:
            return self.x[int(narrow[1])] & _U32
        return self.vcpu.get_one_reg(self._reg_id(name))

    def set_reg(self, name: str, value: int) -> None:
        """Write a register by name; a negative value is taken as two's complement."""
        key, value = _lower(name), _as_int(value)
        if key == "sp":
            self.sp = value
            return
        narrow = _W.match(key)
        if narrow and int(narrow[1]) <= 30:
            self.x[int(narrow[1])] = value & _U32
            return
        reg_id = self._reg_id(name)
        bits = 128 if key[0] in "qv" and key[1:].isdigit() else 64
        if reg_id in (FPSR, FPCR):
            bits = 32
        self._set(reg_id, value & (1 << bits) - 1)

    def _reg_id(self, name: str) -> int:
        key = name.lower()
        key = _ALIASES.get(key, key)
        key = _Q.sub(r"v\1", key)
        if key in CORE_REGS:
            return CORE_REGS[key]
        if (number := _FLOAT.match(key)) is not None:
            letter = number[1]
            raise UnknownRegister(
                f"{name} is a floating-point number: use cpu.{letter}[{number[2]}]; its bits are "
                f"cpu.lanes[{number[2]}].{letter}[0]"
            )
        if key in _FIELDS_OF_PSTATE:
            raise UnknownRegister(f"{name} is a field of PSTATE: use pstate")
        try:
            return sys_reg(key.upper())
        except KeyError:
            matches = near(key.upper(), SYSREGS)
            text = f"there is no register named {name!r}"
            if matches:
                text += "; did you mean " + " or ".join(matches) + "?"
            raise UnknownRegister(text) from None

    def __reduce__(self) -> str:
        raise TypeError(UNPICKLABLE)

    def __repr__(self) -> str:
        return f"<vCPU {self.id}>"
