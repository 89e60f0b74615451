"""A page of physical memory as the kernel has it: ``struct page``, its flags, and its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError, InvalidLocation
from guestdbg.errors import GuestdbgError
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.linux.errors import MissingKernelData
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.state.mounts import dentry_path

if TYPE_CHECKING:
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["Page", "page_size", "read_page", "vmemmap"]

_PAGE = "page"
_U64 = (1 << 64) - 1
_TAIL = 1
#: A mask in compound_info is close to 2^64; a pointer to a struct page is not.
_MASK_BITS = 31
_ANON, _MOVABLE, _KSM = 1, 2, 3
_MAX_ORDER_PAGES = 1 << 20
_MAX_NAME = 256
#: ``_mapcount`` of a page that no process has mapped is -1.
_NOT_MAPPED = -1
#: Types in ``page_type``: since 6.11 its top byte, counted up from 0xF0 (``enum pagetype``);
#: before, bits that are clear (include/linux/page-flags.h).
_FIRST_TYPE, _LAST_TYPE = 0xF0, 0xFE
_TYPE_BASE = 0xF000_0000
_OLD_TYPES = ((0x80, "buddy"), (0x100, "offline"), (0x200, "table"), (0x400, "guard"))
_OWNERS = {"buddy": "free", "table": "page table", "offline": "offline", "guard": "guard page"}


@hexadecimal("physical", "address", "head")
@dataclass(frozen=True, slots=True)
class Page:
    """A page of physical memory.

    Attributes:
        physical: its guest-physical address.
        address: that of its ``struct page``.
        head: that of the first page of the compound page that it is part of; else its own.
        flags: the names of its flags, as in the kernel's ``enum pageflags`` without ``PG_``; those
            of the first page of a compound page.
        type: what the kernel uses it for, if that has a type of its own: ``slab``, ``table``,
            ``buddy``...; None for others.
        references: its reference count.
        mapcount: how many page tables of programs map it.
        owner: who has it, in words: ``free``, ``slab kmalloc-64``, ``page table``, ``anonymous``,
            ``file ext4 /bin/sh``, ``reserved``, ``kernel``.
    """

    physical: int
    address: int
    head: int
    flags: tuple[str, ...]
    type: str | None
    references: int
    mapcount: int
    owner: str

    def __str__(self) -> str:
        return (
            f"page {self.physical:#x}: {self.owner}, {self.references} references, mapped "
            f"{self.mapcount} times, flags {'|'.join(self.flags) or 'none'}"
        )

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        return (
            f"{self.physical:#x}",
            f"{self.address:#x}",
            str(self.references),
            str(self.mapcount),
            self.owner,
            "|".join(self.flags),
        )


def read_page(view: KernelView, physical: int) -> Page:
    """The page that a guest-physical address is in.

    Raises InvalidLocation for an address without memory, MissingKernelData.
    """
    if view.guest.board.memory.find(physical) is None:
        raise InvalidLocation(f"the guest has no memory at the physical address {physical:#x}")
    size = page_size(view)
    layout = view.layouts.struct(_PAGE)
    number = physical // size
    try:
        page = view.object(layout, vmemmap(view) + number * layout.size & _U64).fetch()
    except AddressError as error:
        raise MissingKernelData(
            f"the kernel has no struct page for {physical:#x}: it is not memory for it ({error})"
        ) from error
    head = _head(view, page)
    kind = _type(view, head)
    mapcount = _signed(page.first("_mapcount.counter", "_mapcount"))
    flags = _flags(view, head)
    references = _signed(head.first("_refcount.counter", "_refcount"))
    return Page(
        number * size,
        page.address,
        head.address,
        flags,
        kind,
        references,
        max(0, mapcount + 1) if kind is None and mapcount >= _NOT_MAPPED else 0,
        _owner(head, kind, flags, references),
    )


def page_size(view: KernelView) -> int:
    """The size of a page of the kernel, in bytes."""
    try:
        found = int(view.vmcoreinfo.values.get("PAGESIZE", "4096"))
    except (ValueError, MissingKernelData):
        found = 4096
    return found if found in (4096, 16384, 65536) else 4096


def vmemmap(view: KernelView) -> int:
    """The address of the struct page of the page at the physical address 0."""
    info = view.vmcoreinfo
    if "vmemmap" in info.symbols:  # since 6.14: the kernel notes its value
        return info.symbols["vmemmap"]
    start = info.numbers.get("VMEMMAP_START")
    if start is None:
        raise MissingKernelData(
            "the kernel's vmcoreinfo does not say where its table of pages is (VMEMMAP_START)"
        )
    base = view.memory.u64(view.address("memstart_addr"))
    base -= (1 << 64) if base >> 63 else 0
    pages = base // page_size(view)
    return start - pages * view.layouts.struct(_PAGE).size & _U64


def _signed(value: int) -> int:
    value &= 0xFFFF_FFFF
    return value - (1 << 32) if value >> 31 else value


def _head(view: KernelView, page: Object) -> Object:
    """The first page of a compound page; a page that is none is its own."""
    value = page.first("compound_info", "compound_head")
    if not value & _TAIL:
        return page
    # A mask of the address since 7.0, for a struct page of 64 bytes; else a pointer.
    is_mask = value >> _MASK_BITS == _U64 >> _MASK_BITS
    at = page.address & value & ~_TAIL if is_mask else value - _TAIL
    size = page.layout.size
    if not is_kernel_pointer(at) or abs(page.address - at) > _MAX_ORDER_PAGES * size:
        return page
    try:
        return view.object(page.layout, at).fetch()
    except AddressError:
        return page


def _flags(view: KernelView, page: Object) -> tuple[str, ...]:
    value = page.first("flags.f", "flags")
    constants = view.layouts.constants("pageflags")
    names: dict[int, str] = {}
    for name, bit in constants.items():
        if name.startswith("PG_"):
            names.setdefault(bit, name[len("PG_") :])
    count = constants.get("__NR_PAGEFLAGS")
    bits = range(min(count if count is not None else len(names), 64))
    return tuple(names[bit] for bit in bits if value >> bit & 1 and bit in names)


def _type(view: KernelView, page: Object) -> str | None:
    value = page.number("page_type") & 0xFFFF_FFFF if page.has("page_type") else 0xFFFF_FFFF
    names = view.layouts.constants("pagetype")
    if names:
        top = value >> 24
        if _FIRST_TYPE <= top <= _LAST_TYPE:
            found = (n for n, number in names.items() if number == top and n.startswith("PGTY_"))
            return next(found, f"PGTY_{top:#x}")[len("PGTY_") :]
    elif value & _TYPE_BASE == _TYPE_BASE and value != 0xFFFF_FFFF:
        for bit, name in _OLD_TYPES:
            if not value & bit:
                return name
    if "slab" in _flags(view, page):
        return "slab"
    return None


def _owner(page: Object, kind: str | None, flags: tuple[str, ...], references: int) -> str:
    try:
        if kind == "slab":
            cache = page.view.object("slab", page.address).follow("slab_cache")
            return "slab" if cache is None else f"slab {cache.string('name', _MAX_NAME)}"
        if kind is not None:
            return _OWNERS.get(kind, kind)
        if "reserved" in flags:
            return "reserved"
        if references == 0:
            return "free"
        mapping = page.number("mapping")
        if not mapping:
            return "kernel"
        if mapping & _KSM:
            how = mapping & _KSM
            return {_ANON: "anonymous", _MOVABLE: "movable", _KSM: "KSM"}[how]
        return _file(page, mapping)
    except GuestdbgError:
        return "unknown: its owner cannot be read"


def _file(page: Object, mapping: int) -> str:
    inode = page.view.object("address_space", mapping).follow("host")
    if inode is None:
        return "mapping without a file"
    superblock = inode.follow("i_sb")
    kind = None if superblock is None else superblock.follow("s_type")
    name = "" if kind is None else kind.string("name", _MAX_NAME)
    first = inode.number("i_dentry.first")
    if not first:
        return f"file {name} inode {inode.number('i_ino')}"
    layout = page.view.layouts.struct("dentry")
    alias = "d_u.d_alias" if layout.has("d_u.d_alias") else "d_alias"
    entry = page.view.object(layout, first - layout.field(alias).offset)
    return f"file {name} {dentry_path(entry)}"
