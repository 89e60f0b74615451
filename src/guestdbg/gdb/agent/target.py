"""What an agent expression sees of a stopped vCPU."""

from __future__ import annotations

import re
from collections.abc import Callable

from guestdbg.debugger import AddressError, Hit
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.kvm.hit_programs import SYSTEM_REGISTERS, Op, Operation

__all__ = ["CPSR", "PC", "SP", "HitTarget", "NameRegister", "no_others", "register_steps"]

#: Numbers of org.gnu.gdb.aarch64.core in a target description: x0 to x30, and behind them these.
SP, PC, CPSR = 31, 32, 33
#: A program is judged while the guest's own PSTATE.SS is put aside: it reads as 0 on both ways.
_NO_SS = ~(1 << 21)
# 128 bits have no place on the stack of an expression.
_VECTOR = re.compile(r"v\d+\Z")

#: The name of a register that is not in the core feature, by its number; None: there is none.
NameRegister = Callable[[int], str | None]


def no_others(number: int) -> None:
    """For those who have the core feature only."""
    return


def register_steps(number: int, others: NameRegister = no_others) -> tuple[Operation, ...] | None:
    """The steps that a provider has for a register; None: it has none."""
    if 0 <= number <= 30:
        return ((Op.X, number, 0),)
    if number == SP:
        return ((Op.SP, 0, 0),)
    if number == PC:
        return ((Op.PC, 0, 0),)
    if number == CPSR:
        return ((Op.PSTATE, 0, 0),)
    encoding = SYSTEM_REGISTERS.get((others(number) or "").upper())
    return None if encoding is None else ((Op.SYSTEM, 0, encoding),)


class HitTarget:
    """The vCPU of a hit."""

    def __init__(self, hit: Hit, others: NameRegister = no_others) -> None:
        self._cpu = hit.vcpu
        self._guest = hit.guest
        self._others = others

    def read_register(self, number: int) -> int:
        """See ``evaluate.Target``."""
        cpu = self._cpu
        if 0 <= number <= 30:
            return cpu.x[number]
        if number == SP:
            return cpu.sp
        if number == PC:
            return cpu.pc
        if number == CPSR:
            return cpu.pstate & _NO_SS
        name = self._others(number)
        if name is None or _VECTOR.match(name):
            raise EvaluationError(f"there is no register {number} that expressions can use")
        try:
            return cpu.reg(name)
        except GuestdbgError as error:
            raise EvaluationError(f"{name} cannot be read: {error}") from error

    def read_memory(self, address: int, length: int) -> bytes:
        """See ``evaluate.Target``."""
        try:
            return self._guest.read(address, length)
        except AddressError as error:
            raise EvaluationError(str(error)) from error
