"""What an agent expression sees of a stopped vCPU."""

from __future__ import annotations

from collections.abc import Callable

from guestdbg.debugger import AddressError, Hit
from guestdbg.debugger.cpu import Cpu
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.agent.errors import EvaluationError
from guestdbg.kvm.programs import Op, Step

__all__ = ["CPSR", "PC", "SP", "HitTarget", "ReadRegister", "core_steps", "read_core"]

#: Numbers of org.gnu.gdb.aarch64.core in a target description: x0 to x30, and behind them these.
SP, PC, CPSR = 31, 32, 33
#: A program is judged while the guest's own PSTATE.SS is put aside: it reads as 0 on both ways.
_NO_SS = ~(1 << 21)

#: A register by its number in the target description: unsigned, 64 bits. KeyError: there is none.
ReadRegister = Callable[[Cpu, int], int]


def read_core(cpu: Cpu, number: int) -> int:
    """A register of the core feature; KeyError for others."""
    if 0 <= number <= 30:
        return cpu.x[number]
    if number == SP:
        return cpu.sp
    if number == PC:
        return cpu.pc
    if number == CPSR:
        return cpu.pstate & _NO_SS
    raise KeyError(number)


def core_steps(number: int) -> tuple[Step, ...] | None:
    """The steps that a provider has for a register; None: it has none."""
    if 0 <= number <= 30:
        return ((Op.X, number, 0),)
    if number == SP:
        return ((Op.SP, 0, 0),)
    if number == PC:
        return ((Op.PC, 0, 0),)
    if number == CPSR:
        return ((Op.PSTATE, 0, 0),)
    return None


class HitTarget:
    """The vCPU of a hit; ``others`` reads the registers that are not in the core feature."""

    def __init__(self, hit: Hit, others: ReadRegister | None = None) -> None:
        self._cpu = hit.vcpu
        self._guest = hit.guest
        self._others = others

    def read_register(self, number: int) -> int:
        """See ``evaluate.Target``."""
        try:
            return read_core(self._cpu, number)
        except KeyError:
            pass
        try:
            if self._others is not None:
                return self._others(self._cpu, number)
        except KeyError:
            pass
        except GuestdbgError as error:
            raise EvaluationError(f"register {number} cannot be read: {error}") from error
        raise EvaluationError(f"there is no register {number} that agent expressions can use")

    def read_memory(self, address: int, length: int) -> bytes:
        """See ``evaluate.Target``."""
        try:
            return self._guest.read(address, length)
        except AddressError as error:
            raise EvaluationError(str(error)) from error
