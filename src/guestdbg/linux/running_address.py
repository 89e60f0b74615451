"""Where a kernel runs: its image in guest-physical memory, and its virtual address under KASLR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import PC, sys_reg
from guestdbg.linux.errors import NoKernel
from guestdbg.linux.kallsyms import Kallsyms
from guestdbg.linux.kallsyms.layout import PLACE
from guestdbg.machine.loading import linux_image

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["MAX_IMAGE", "find_image", "is_mapped_at", "running_address"]

_SCTLR, _VBAR = sys_reg("SCTLR_EL1"), sys_reg("VBAR_EL1")
_SCTLR_M = 1
_PAGE = 4096
_BIT_OF_TTBR1 = 55
_U64 = (1 << 64) - 1
#: An arm64 kernel with everything built in is smaller.
MAX_IMAGE = 256 << 20
#: So far around a place in the kernel its symbol table is searched for.
_AROUND = 64 << 20
#: Where loaders put a kernel: at 2 MiB; EFI also at 64 KiB.
_ALIGNMENTS = (2 << 20, 64 << 10)

#: The difference of the kernel's virtual and physical addresses, which it notes when it starts.
_VOFFSET = "kimage_voffset"
_VECTORS = "vectors"
_TEXT = "_text"


def find_image(guest: Guest) -> int:
    """The guest-physical address of the kernel's first byte.

    The kernel is the one that a vCPU executes, or has its exception vectors in; if there is none
    yet, the first Image in memory. A running kernel may have put other data over its header (since
    Linux 6.0 it frees what is before its code): then its symbol table says where it begins.

    Raises:
        NoKernel: there is no header of an arm64 Image, and no symbol table.
    """
    places = list(_places_in_kernel(guest))
    for inside in places:
        for address in range(inside & -_PAGE, max(0, inside - MAX_IMAGE), -_PAGE):
            header = _header(guest, address)
            if header is not None and inside - address < header.memory_size:
                return address
    for inside in places:
        found = _by_symbols(guest, inside)
        if found is not None:
            return found
    for alignment in _ALIGNMENTS:
        for region in guest.board.memory:
            for address in range(-(-region.base // alignment) * alignment, region.end, alignment):
                header = _header(guest, address)
                if header is not None:
                    return address
    raise NoKernel(
        "no Linux kernel is in the guest's memory: no header of an arm64 Image is at a multiple of "
        "64 KiB, and none is before the code that the vCPUs execute"
    )


def _by_symbols(guest: Guest, inside: int) -> int | None:
    """Where the kernel around a guest-physical address begins, by its kallsyms; None without."""
    region = guest.board.memory.find(inside)
    if region is None:
        return None
    low = max(region.base, inside - _AROUND) & -_PAGE
    try:
        tables = Kallsyms(guest.execution.read_phys(low, min(region.end, inside + _AROUND) - low))
    except GuestdbgError:
        return None
    if tables.form == PLACE:
        start = tables.named(_TEXT)
        return low + start[0].offset if start else None
    offset = (tables.named(_VECTORS) or [tables.symbol(0)])[0].offset
    for context in guest.execution.vcpus:
        if tables.address is not None and context.get(_SCTLR) & _SCTLR_M:
            try:
                return context.space.translate(tables.address + offset & _U64) - offset
            except AddressError:
                continue
    return None


def _places_in_kernel(guest: Guest) -> Iterator[int]:
    """Guest-physical addresses that are in the kernel, if one runs."""
    for context in guest.execution.vcpus:
        if not context.get(_SCTLR) & _SCTLR_M:
            continue
        for address in (context.get(_VBAR), context.get(PC)):
            if address >> _BIT_OF_TTBR1 & 1:
                try:
                    yield context.space.translate(address)
                except AddressError:
                    continue


def _header(guest: Guest, address: int) -> linux_image.ImageHeader | None:
    try:
        data = guest.execution.read_phys(address, linux_image.HEADER_SIZE)
        if not linux_image.is_image(data):
            return None
        return linux_image.parse(data)
    except GuestdbgError:
        return None


def running_address(guest: Guest, kallsyms: Kallsyms, physical: int) -> int | None:
    """The virtual address of the kernel's first byte; None as long as it has not relocated itself.

    The kernel notes it in ``kimage_voffset``, or in the base of its kallsyms; otherwise the
    exception vectors of a vCPU say it. It is checked against the page tables of the vCPUs.
    """
    for found in kallsyms.named(_VOFFSET):
        value = _read_u64(guest, physical + found.offset)
        if value and is_mapped_at(guest, kallsyms, physical, physical + value & _U64) is not False:
            return physical + value & _U64
    if kallsyms.base_word is not None:
        at, offset = kallsyms.base_word
        value = _read_u64(guest, physical + at)
        address = value - offset & _U64
        moved = value and address != kallsyms.address
        if moved and is_mapped_at(guest, kallsyms, physical, address) is not False:
            return address
    for context in guest.execution.vcpus:
        for found in kallsyms.named(_VECTORS):
            address = context.get(_VBAR) - found.offset & _U64
            if is_mapped_at(guest, kallsyms, physical, address):
                return address
    return None


def is_mapped_at(guest: Guest, kallsyms: Kallsyms, physical: int, address: int) -> bool | None:
    """Whether the kernel at ``physical`` is mapped at ``address``; None if no vCPU says.

    While a vCPU executes a program, the kernel may not be in its page tables (KPTI).
    """
    if address % _PAGE or not address >> _BIT_OF_TTBR1 & 1:
        return False
    functions = kallsyms.named(_VECTORS) or [kallsyms.symbol(0)]
    offset = functions[0].offset & -_PAGE
    if address + offset > _U64:
        return False
    for context in guest.execution.vcpus:
        if context.get(_SCTLR) & _SCTLR_M:
            try:
                return context.space.translate(address + offset) == physical + offset
            except AddressError:
                continue
    return None


def _read_u64(guest: Guest, physical: int) -> int:
    try:
        return int.from_bytes(guest.execution.read_phys(physical, 8), "little")
    except GuestdbgError:
        return 0
