"""Guest memory by virtual address: through the guest's page tables, or physical without MMU."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import TYPE_CHECKING, Protocol

from guestdbg.arm64.debug import canonical
from guestdbg.debugger.errors import AddressError, InvalidLocation
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu

__all__ = ["AddressSpace", "PhysicalMemory", "View", "virtual"]

#: Host memory that backs guest memory: the mapping, and the start and end offsets in it.
View = tuple[mmap, int, int]

_SCTLR_M = 1  # SCTLR_EL1.M: the MMU is on
_SCTLR = sys_reg("SCTLR_EL1")
_TCR = sys_reg("TCR_EL1")
_TTBR0 = sys_reg("TTBR0_EL1")
_TTBR1 = sys_reg("TTBR1_EL1")
_MAIR = sys_reg("MAIR_EL1")

#: Where 8 bytes are in host memory, and what they were.
Evidence = tuple[mmap, int, int, bytes]

_PAGE = 0x1000
_CACHED_PAGES = 4096
_U64 = (1 << 64) - 1


def virtual(address: int) -> int:
    """The virtual address that an argument means: an int, or an object that converts to one.

    Raises AddressError for one that does not fit 64 bits, InvalidLocation for what is not a number.
    """
    if not isinstance(address, int):
        try:
            address = int(address)
        except (TypeError, ValueError, OverflowError):
            raise InvalidLocation(
                f"{address!r} is not a number: for the address of a symbol use "
                "guest.symbol(name).address"
            ) from None
    if not 0 <= address <= _U64:
        raise AddressError(f"{address:#x} is not an address: addresses have 64 bits", address)
    return canonical(address) if address >> 56 else address


class PhysicalMemory(Protocol):
    """Guest-physical memory; the methods raise for addresses without memory."""

    def read_phys(self, address: int, length: int) -> bytes:
        """``length`` bytes at the guest-physical ``address``."""

    def write_phys(self, address: int, data: bytes) -> None:
        """Write bytes at the guest-physical ``address``."""

    def find(self, address: int, length: int) -> View | None:
        """The host memory that backs it; None if it is not contiguous, or not memory."""


class _Page:
    """One cached translation, with the registers and descriptors that it depends on.

    ``evidence`` has the host memory of each descriptor, and its 8 bytes.
    """

    __slots__ = ("evidence", "pa", "registers")

    def __init__(
        self, pa: int, registers: tuple[int, int, int, int], evidence: list[Evidence]
    ) -> None:
        self.pa = pa
        self.registers = registers
        self.evidence = evidence


class AddressSpace:
    """The virtual memory that one vCPU sees.

    Translations are cached. A cached one is used only if all registers and descriptors that it
    depends on are unchanged, so the result is always that of a new walk. (The guest itself may use
    an old translation until it executes TLBI.)
    """

    def __init__(self, vcpu: Vcpu, memory: PhysicalMemory) -> None:
        self._get = vcpu.get_one_reg
        self._memory = memory
        self._read_phys = memory.read_phys
        self._pages: dict[int, _Page] = {}
        self._views: dict[tuple[int, int], View] = {}

    def view(self, va: int, length: int) -> View | None:
        """The host memory that backs guest virtual memory; None if it is not contiguous.

        It may contain BRK instructions of the debugger.
        """
        if not self._get(_SCTLR) & _SCTLR_M:
            place = self._views.get((va, length))
            if place is None and not va >> 56:
                place = self._memory.find(va, length)
                if place is not None:
                    if len(self._views) >= _CACHED_PAGES:
                        self._views.clear()
                    self._views[va, length] = place
            return place
        if (va & 0xFFF) + length > _PAGE:
            return None
        try:
            return self._memory.find(self.translate(va), length)
        except AddressError:
            return None

    def translate(self, va: int) -> int:
        """The guest-physical address of ``va``; raises AddressError if it is not mapped."""
        get = self._get
        sctlr = get(_SCTLR)
        if not sctlr & _SCTLR_M:
            return va & 0x00FF_FFFF_FFFF_FFFF  # the top byte may be a tag
        registers = (sctlr, get(_TCR), get(_TTBR0), get(_TTBR1))
        page = self._pages.get(va >> 12)
        if page is not None and page.registers == registers:
            for memory, start, end, value in page.evidence:
                if memory[start:end] != value:
                    break
            else:
                return page.pa | va & 0xFFF
        return self._walk(va, registers)

    def _walk(self, va: int, registers: tuple[int, int, int, int]) -> int:
        from guestdbg.arm64.translate import TranslationFault, walk

        sctlr, tcr, ttbr0, ttbr1 = registers
        evidence: list[Evidence] | None = []

        def read_u64(address: int) -> int:
            nonlocal evidence
            view = self._memory.find(address, 8)
            if view is None or evidence is None:
                evidence = None
                return int.from_bytes(self._read_phys(address, 8), "little")
            memory, start, end = view
            data = memory[start:end]
            evidence.append((memory, start, end, data))
            return int.from_bytes(data, "little")

        try:
            found = walk(
                read_u64, va, tcr=tcr, ttbr0=ttbr0, ttbr1=ttbr1, sctlr=sctlr, mair=self._get(_MAIR)
            )
        except TranslationFault as fault:
            raise AddressError(
                f"{va:#x} is not mapped in the guest's page tables: {fault}", va
            ) from fault
        except GuestdbgError as error:
            raise AddressError(
                f"{va:#x} cannot be translated: a page table of the guest lies outside memory "
                f"({error})",
                va,
            ) from error
        if evidence is None:
            return found.pa
        if len(self._pages) >= _CACHED_PAGES:
            self._pages.clear()
        self._pages[va >> 12] = _Page(found.pa & ~0xFFF, registers, evidence)
        return found.pa

    def _chunks(self, va: int, length: int) -> Iterator[tuple[int, int]]:
        while length:
            here = min(length, _PAGE - (va & 0xFFF))
            yield self.translate(va), here
            va = va + here & _U64
            length -= here

    def read(self, va: int, length: int) -> bytes:
        """``length`` bytes at the virtual address; raises AddressError without memory there."""
        if (va & 0xFFF) + length <= _PAGE:
            return self._read(va, self.translate(va), length)
        # Page by page: a length that is much too large fails at the end of guest memory, before it
        # takes the memory of the host.
        return b"".join(self._read(va, pa, n) for pa, n in self._chunks(va, length))

    def write(self, va: int, data: bytes) -> list[tuple[int, int]]:
        """Write at the virtual address; nothing is written if a part is not mapped.

        Page permissions are not checked. Returns the physical (address, length)
        ranges that were written.
        """
        parts = list(self._chunks(va, len(data)))
        for pa, n in parts:
            self._read(va, pa, n)
        at = 0
        for pa, n in parts:
            self._memory.write_phys(pa, bytes(data[at : at + n]))
            at += n
        return parts

    def _read(self, va: int, pa: int, length: int) -> bytes:
        try:
            return self._read_phys(pa, length)
        except AddressError:
            raise
        except Exception as error:
            mapped = "" if pa == va else f" (physical {pa:#x})"
            raise AddressError(f"there is no memory at {va:#x}{mapped}: {error}", va) from error
