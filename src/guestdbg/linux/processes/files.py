"""Files of the guest: their paths, and their pages that are in the page cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import BadRange
from guestdbg.linux.errors import CorruptedGuestData

if TYPE_CHECKING:
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.processes.layout import KernelLayout

__all__ = ["PageCache", "Paths"]

_MAX_COMPONENTS = 512
_MAX_PATH = 4096
_MAX_NAME = 255
# The encoding of xarray entries (include/linux/xarray.h): a node has the bits 10 at its end; an
# internal entry below 256 is a sibling, which names the slot with the entry; bit 0 is a value.
_IS_NODE, _VALUE = 2, 1
_MIN_NODE = 4096
_SIBLINGS = 62
_MAX_SHIFT = 64


class Paths:
    """Paths of files, from their dentries and mounts.

    A name may change while the guest runs; a file that was unlinked keeps its last one.
    """

    def __init__(self, memory: KernelMemory, layout: KernelLayout, page_size: int) -> None:
        self._memory = memory
        self._layout = layout
        self.page_size = page_size

    def of_file(self, file: int) -> str:
        """The path of a ``struct file``. Raises CorruptedGuestData and AddressError."""
        layout = self._layout
        at = file + layout.field("file", "f_path").offset
        mount = self._memory.u64(at + layout.field("path", "mnt").offset)
        dentry = self._memory.u64(at + layout.field("path", "dentry").offset)
        return self._path(mount, dentry)

    def _path(self, vfsmount: int, dentry: int) -> str:
        layout, u64 = self._layout, self._memory.u64
        parent = layout.field("dentry", "d_parent").offset
        root = layout.field("vfsmount", "mnt_root").offset
        mount_point, mount_parent, inner = (
            layout.field("mount", name).offset for name in ("mnt_mountpoint", "mnt_parent", "mnt")
        )
        mount = vfsmount - inner
        names: list[str] = []
        for _ in range(_MAX_COMPONENTS):
            if dentry == u64(mount + inner + root):
                above = u64(mount + mount_parent)
                if above == mount:
                    break
                dentry, mount = u64(mount + mount_point), above
                continue
            upper = u64(dentry + parent)
            if upper == dentry:  # of no mount: a pipe, or memory of memfd_create()
                names.append(self._name(dentry))
                break
            names.append(self._name(dentry))
            dentry = upper
        else:
            raise CorruptedGuestData(f"the path of dentry {dentry:#x} has no end: a loop")
        return "/" + "/".join(reversed(names))[: _MAX_PATH - 1]

    def _name(self, dentry: int) -> str:
        at = dentry + self._layout.field("dentry", "d_name.name").offset
        return self._memory.string(self._memory.u64(at), _MAX_NAME)


class PageCache:
    """Pages of files that the guest's kernel has in memory.

    Args:
        frame: the guest-physical address of the page of a ``struct page``, and its size.
        read_phys: reads guest-physical memory.
    """

    def __init__(
        self,
        memory: KernelMemory,
        layout: KernelLayout,
        frame: Callable[[int], tuple[int, int]],
        read_phys: Callable[[int, int], bytes],
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._frame = frame
        self._read_phys = read_phys

    def mapping(self, file: int) -> int:
        """The ``address_space`` of a ``struct file``."""
        return self._memory.u64(file + self._layout.field("file", "f_mapping").offset)

    def present(self, file: int) -> int:
        """How many pages of the file are in memory."""
        at, size = self._layout.field("address_space", "nrpages")[:2]
        return self._memory.number(self.mapping(file) + at, size)

    def size(self, file: int) -> int:
        """The length of the file in bytes."""
        layout = self._layout
        inode = self._memory.u64(file + layout.field("file", "f_inode").offset)
        at, size = layout.field("inode", "i_size")[:2]
        return self._memory.number(inode + at, size)

    def page(self, mapping: int, index: int) -> int | None:
        """The ``struct page`` of the page with this index; None if it is not in memory.

        Raises CorruptedGuestData and AddressError.
        """
        layout, u64 = self._layout, self._memory.u64
        shift_at = layout.field("xa_node", "shift").offset
        slots_at, slots_size = layout.field("xa_node", "slots")[:2]
        bits = (slots_size // 8).bit_length() - 1
        tree = mapping + layout.field("address_space", "i_pages").offset
        entry = u64(tree + layout.field("xarray", "xa_head").offset)
        first, above = 0, _MAX_SHIFT
        while entry & 3 == _IS_NODE and entry > _MIN_NODE:
            node = entry - _IS_NODE
            shift = self._memory.number(node + shift_at, 1)
            if shift >= above:
                raise CorruptedGuestData(
                    f"address_space {mapping:#x}: node {node:#x} of its pages has the shift "
                    f"{shift}, and {above} is above it"
                )
            if above == _MAX_SHIFT and index >> shift >> bits:
                return None  # past the last page that there is room for
            slot = index >> shift & (1 << bits) - 1
            entry = u64(node + slots_at + 8 * slot)
            if entry & 3 == _IS_NODE and entry >> 2 < _SIBLINGS:
                # Not the first page of a folio, which is in that slot.
                slot = entry >> 2
                entry = u64(node + slots_at + 8 * slot)
            first = (index >> shift >> bits << bits | slot) << shift
            above = shift
        if not entry or entry & _VALUE or entry & 3 == _IS_NODE:
            return None  # absent, or swapped out
        if index < first:
            raise CorruptedGuestData(f"page {index} of address_space {mapping:#x} is in no folio")
        if above == _MAX_SHIFT and index:
            return None  # the file has one page
        return entry + (index - first) * layout.size("page")

    def read(self, file: int, limit: int) -> tuple[bytes, frozenset[int]]:
        """The bytes of a ``struct file``, and the indices of pages that are not in memory.

        Those are zeros. Raises BadRange for more than ``limit`` bytes, CorruptedGuestData
        and AddressError.
        """
        size, page_size = self.size(file), self._frame(0)[1]
        if not 0 <= size <= limit:
            raise BadRange(f"a file of {size} bytes: at most {limit} are read")
        mapping = self.mapping(file)
        found, missing = bytearray(), set()
        for index in range(-(-size // page_size)):
            page = self.page(mapping, index)
            if page is None:
                missing.add(index)
                found += bytes(page_size)
            else:
                found += self._read_phys(self._frame(page)[0], page_size)
        return bytes(found[:size]), frozenset(missing)
