"""The memory of a process, through its own page tables, whichever process a vCPU executes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from guestdbg.arm64.translate import SCTLR_M
from guestdbg.debugger import AddressError
from guestdbg.debugger.memory.address_space import AddressSpace
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.memory.address_space import View
    from guestdbg.kvm import Vcpu

__all__ = ["ProcessMemory"]

_SCTLR, _TCR = sys_reg("SCTLR_EL1"), sys_reg("TCR_EL1")
_TTBR0, _TTBR1, _MAIR = sys_reg("TTBR0_EL1"), sys_reg("TTBR1_EL1"), sys_reg("MAIR_EL1")
_LOWER_END = 1 << 55


class _Registers:
    """The registers that a walk begins with: a vCPU's, with the process's tables."""

    def __init__(self, vcpu: Vcpu, table: int) -> None:
        self._vcpu = vcpu
        self._table = table

    def get_one_reg(self, register: int) -> int:
        if register == _TTBR0:
            return self._table
        value = self._vcpu.get_one_reg(register)
        return value | SCTLR_M if register == _SCTLR else value


class _Physical:
    """Guest-physical memory as an AddressSpace takes it."""

    def __init__(self, guest: Guest) -> None:
        self.read_phys = guest.execution.read_phys
        self.write_phys = guest.execution.write_phys

    def find(self, address: int, length: int) -> View | None:
        return None


class ProcessMemory:
    """The memory that one set of page tables maps (``kvm.table_of``)."""

    def __init__(self, guest: Guest, table: int) -> None:
        vcpu = guest.execution.vcpus[0].vcpu
        self._space = AddressSpace(cast("Vcpu", _Registers(vcpu, table)), _Physical(guest))

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes at a virtual address of the process.

        Raises AddressError for an address of the kernel, and for a page that is not there: the
        kernel gives a process a page when it is accessed first, and may have it on a swap device.
        """
        if not 0 <= address < _LOWER_END or address + length > _LOWER_END:
            raise AddressError(f"{address:#x} is no address of a process", address)
        try:
            return self._space.read(address, length)
        except AddressError as error:
            raise AddressError(
                f"{error}: the page is not there: the process has not accessed it yet, or it is "
                "swapped out",
                address,
            ) from error

    def translate(self, address: int) -> int:
        """The guest-physical address. Raises AddressError for a page that is not there."""
        if not 0 <= address < _LOWER_END:
            raise AddressError(f"{address:#x} is no address of a process", address)
        return self._space.translate(address)
