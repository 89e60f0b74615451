"""The kernel's virtual memory, whatever the vCPUs execute.

A vCPU that executes a program has little of the kernel in its page tables (KPTI): TTBR1_EL1 is then
``tramp_pg_dir``, which lies a few pages before ``swapper_pg_dir`` in the kernel. The kernel's own
tables are found from TTBR1_EL1, and are used if they map the kernel where it is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

from guestdbg.arm64.branches import without_pac
from guestdbg.arm64.translate import SCTLR_M
from guestdbg.debugger import AddressError
from guestdbg.debugger.memory.address_space import AddressSpace
from guestdbg.kvm.regs import sys_reg
from guestdbg.linux.errors import NoKernel

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.memory.address_space import View
    from guestdbg.kvm import Vcpu

__all__ = ["KernelMemory"]

_SCTLR, _TCR = sys_reg("SCTLR_EL1"), sys_reg("TCR_EL1")
_TTBR0, _TTBR1, _MAIR = sys_reg("TTBR0_EL1"), sys_reg("TTBR1_EL1"), sys_reg("MAIR_EL1")
_BADDR = (1 << 48) - 1 & ~1
#: TCR_EL1.TG1 (DDI 0487, D19.2): 16 KiB, 4 KiB, 64 KiB.
_GRANULES = {1: 16 << 10, 2: 4 << 10, 3: 64 << 10}
#: tramp_pg_dir and reserved_pg_dir are before swapper_pg_dir, with a page or two between them.
_MAX_PAGES_AFTER = 4
_MAX_STRING = 4096
_U64 = struct.Struct("<Q")
_MASK = (1 << 64) - 1
_PAGE = 4096


class _Tables:
    """The registers that a walk of the kernel's own tables begins with."""

    def __init__(self, sctlr: int, tcr: int, mair: int, root: int) -> None:
        self._values = {_SCTLR: sctlr, _TCR: tcr, _MAIR: mair, _TTBR0: 0, _TTBR1: root}

    def get_one_reg(self, register: int) -> int:
        """The value of one of them."""
        return self._values[register]


class _Physical:
    """Guest-physical memory as an AddressSpace takes it."""

    def __init__(self, guest: Guest) -> None:
        self.read_phys = guest.execution.read_phys
        self.write_phys = guest.execution.write_phys
        self._regions = guest.board.memory

    def find(self, address: int, length: int) -> View | None:
        """The host memory there, with BRK instructions of the debugger, which no tables have."""
        region = self._regions.find(address, length)
        if region is None:
            return None
        start = address - region.base
        return region.buffer, start, start + length


class KernelMemory:
    """Reads the kernel's memory by virtual address.

    Args:
        guest: the guest.
        place: gives the virtual and the physical address of the kernel's first byte. Raises
            NoKernel if the virtual one is not known.
        probe: the offset of a page of the kernel that is mapped while it runs: its first function.
        root: gives the physical address of ``swapper_pg_dir``; None if that is not known.
    """

    def __init__(
        self,
        guest: Guest,
        place: Callable[[], tuple[int, int]],
        probe: Callable[[], int],
        root: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._guest = guest
        self._place = place
        self._probe = probe
        self._root = root
        self._physical = _Physical(guest)
        self._spaces: dict[tuple[int, int, int, int], AddressSpace] = {}
        self._last: AddressSpace | None = None
        self._probed: int | None = None

    def forget(self) -> None:
        """The guest was put back to a snapshot, or reset."""
        self._spaces.clear()
        self._last = self._probed = None

    def space(self) -> AddressSpace:
        """The kernel's address space. Raises NoKernel if its page tables are not found."""
        if self._last is not None and self._maps_kernel(self._last):
            return self._last
        for key in self._candidates():
            space = self._spaces.get(key)
            if space is None:
                space = AddressSpace(cast("Vcpu", _Tables(*key)), self._physical)
            if self._maps_kernel(space):
                self._spaces = {key: space}
                self._last = space
                return space
        raise NoKernel(
            "the kernel's page tables are not found: no vCPU has turned on its MMU, or TTBR1_EL1 "
            "of none leads to tables that map the kernel"
        )

    def _candidates(self) -> Iterator[tuple[int, int, int, int]]:
        """SCTLR, TCR, MAIR and the root of the page tables."""
        known = self._root()
        for context in self._guest.execution.vcpus:
            get = context.get
            if not get(_SCTLR) & SCTLR_M:
                continue
            tcr = get(_TCR)
            registers = get(_SCTLR), tcr, get(_MAIR)
            if known is not None:
                yield (*registers, known)
            granule = _GRANULES.get(tcr >> 30 & 3, _PAGE)
            first = get(_TTBR1) & _BADDR
            for page in range(_MAX_PAGES_AFTER + 1):
                yield (*registers, first + page * granule)

    def _maps_kernel(self, space: AddressSpace) -> bool:
        address, physical = self._place()
        page = self._probed
        if page is None:
            page = self._probed = self._probe() & -_PAGE
        try:
            return space.translate(address + page & _MASK) == physical + page
        except AddressError:
            return False

    # ---- reading -----------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes:
        """Bytes at a virtual address. Raises AddressError if a part is not mapped, or NoKernel."""
        address &= _MASK
        if address + length > 1 << 64:
            raise AddressError(f"{length} bytes at {address:#x} reach past the last one", address)
        return self.space().read(address, length)

    def u64(self, address: int) -> int:
        """8 bytes as a number."""
        found: int = _U64.unpack(self.read(address, 8))[0]
        return found

    def number(self, address: int, size: int, *, signed: bool = False) -> int:
        """``size`` bytes as a number."""
        return int.from_bytes(self.read(address, size), "little", signed=signed)

    def string(self, address: int, limit: int = _MAX_STRING) -> str:
        """The text up to a zero byte, or ``limit`` bytes of it. Bytes above 127 are kept as such:
        Latin-1."""
        found = bytearray()
        while len(found) < limit:
            here = min(limit - len(found), _PAGE - (address + len(found)) % _PAGE)
            piece = self.read(address + len(found), here)
            end = piece.find(0)
            if end >= 0:
                found += piece[:end]
                break
            found += piece
        return found.decode("latin-1")

    def translate(self, address: int) -> int:
        """The guest-physical address. Raises AddressError if it is not mapped, or NoKernel."""
        return self.space().translate(address & _MASK)


def is_kernel_pointer(value: int) -> bool:
    """Whether a value can be the address of something of the kernel."""
    return value >> 55 == 0x1FF and value < _MASK - _PAGE


def plain_code(address: int) -> int:
    """A return address without its authentication code."""
    return without_pac(address)
