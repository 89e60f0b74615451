"""Registers and memory of a stopped vCPU for agent expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.gdb.register_file import CPSR, PC, SP
from guestdbg.kvm.hit_programs import SYSTEM_REGISTERS, Op

if TYPE_CHECKING:
    from guestdbg.debugger import Hit
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["HitTarget", "RegisterName", "no_system_registers", "register_operations"]

#: While the provider evaluates a hit program, the guest's own PSTATE.SS is saved elsewhere, and SS
#: reads as 0. It does so here as well.
_NO_SS = ~(1 << 21)
# The 128 bits of a vector register do not fit on the stack of an expression.
_VECTOR = re.compile(r"v\d+\Z")

#: The name of a register by its number; None if there is none.
RegisterName = Callable[[int], str | None]


def no_system_registers(number: int) -> None:
    """For expressions that use only X0 to X30, SP, PC and CPSR."""
    return


def register_operations(
    number: int, register_name: RegisterName = no_system_registers
) -> tuple[Operation, ...] | None:
    """The operations of a hit program that push a register; None if it cannot read the register."""
    if 0 <= number <= 30:
        return ((Op.X, number, 0),)
    if number == SP:
        return ((Op.SP, 0, 0),)
    if number == PC:
        return ((Op.PC, 0, 0),)
    if number == CPSR:
        return ((Op.PSTATE, 0, 0),)
    encoding = SYSTEM_REGISTERS.get((register_name(number) or "").upper())
    return None if encoding is None else ((Op.SYSTEM, 0, encoding),)


class HitTarget:
    """The vCPU of a hit, as an ``EvaluationTarget``."""

    def __init__(self, hit: Hit, register_name: RegisterName = no_system_registers) -> None:
        self._cpu = hit.vcpu
        self._guest = hit.guest
        self._register_name = register_name

    def read_register(self, number: int) -> int:
        """See ``EvaluationTarget``."""
        cpu = self._cpu
        if 0 <= number <= 30:
            return cpu.x[number]
        if number == SP:
            return cpu.sp
        if number == PC:
            return cpu.pc
        if number == CPSR:
            return cpu.pstate & _NO_SS
        name = self._register_name(number)
        if name is None or _VECTOR.match(name):
            raise EvaluationError(f"register {number} does not exist, or expressions cannot use it")
        try:
            return cpu.reg(name)
        except GuestdbgError as error:
            raise EvaluationError(f"{name} cannot be read: {error}") from error

    def read_memory(self, address: int, length: int) -> bytes:
        """See ``EvaluationTarget``."""
        try:
            return self._guest.read(address, length)
        except AddressError as error:
            raise EvaluationError(str(error)) from error
