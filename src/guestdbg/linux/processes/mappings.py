"""The mappings of a process: ``vm_area_struct``, in a maple tree since Linux 6.1, a list before.

What is read is the guest's, and may be damaged: every walk is bounded, and a node is visited once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.linux.errors import CorruptedGuestData
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.state.trees import maple_entries

if TYPE_CHECKING:
    from guestdbg.linux.state.view import KernelView

__all__ = ["Mapping", "mappings"]

#: As many as vm.max_map_count usually allows, and more.
MAX_MAPPINGS = 1 << 17
_VM_READ, _VM_WRITE, _VM_EXEC, _VM_SHARED = 1, 2, 4, 8

_MEMBERS = ("vm_start", "vm_end", "vm_flags", "vm_pgoff", "vm_file")


@hexadecimal("start", "end", "offset")
@dataclass(frozen=True, slots=True)
class Mapping:
    """A range of a process's virtual memory, as /proc/PID/maps has it.

    Attributes:
        start, end: the first byte and the one after the last.
        permissions: as ``"r-xp"``: read, write, execute, private or shared.
        offset: in the file, in bytes.
        path: the file; None for memory without one.
        file: the address of its ``struct file``; 0 without one.
        address: the address of its ``vm_area_struct``.
    """

    start: int
    end: int
    permissions: str
    offset: int
    path: str | None
    file: int
    address: int

    def __contains__(self, address: int) -> bool:
        return self.start <= address < self.end

    def __str__(self) -> str:
        return (
            f"{self.start:08x}-{self.end:08x} {self.permissions} {self.offset:08x} "
            f"{self.path or ''}".rstrip()
        )


def _areas(view: KernelView, mm: int) -> Iterator[int]:
    """The addresses of the ``vm_area_struct`` of an ``mm_struct``, by rising start address."""
    what = f"the mappings of mm_struct {mm:#x}"
    found = view.object("mm_struct", mm)
    if found.has("mm_mt"):
        entries = maple_entries(view, found.at("mm_mt"), what)
        for count, (_, _, area) in enumerate(entries):
            if count >= MAX_MAPPINGS:
                raise CorruptedGuestData(f"{what} are more than {MAX_MAPPINGS}")
            if is_kernel_pointer(area):  # not a reserved place
                yield area
        return
    seen: set[int] = set()
    area = found.number("mmap")
    while area:
        if area in seen or len(seen) >= MAX_MAPPINGS:
            raise CorruptedGuestData(f"the list of {what} has a loop, or too many members")
        seen.add(area)
        yield area
        area = view.object("vm_area_struct", area).number("vm_next")


def mappings(view: KernelView, mm: int, paths: PathReader) -> list[Mapping]:
    """The mappings of an ``mm_struct``. Raises CorruptedGuestData and AddressError."""
    found: list[Mapping] = []
    for area in _areas(view, mm):
        one = view.object("vm_area_struct", area).fetch()
        start, end, flags, page, file = map(one.number, _MEMBERS)
        if start >= end:
            raise CorruptedGuestData(
                f"vm_area_struct {area:#x} is from {start:#x} to {end:#x}: it is damaged"
            )
        permissions = (
            ("r" if flags & _VM_READ else "-")
            + ("w" if flags & _VM_WRITE else "-")
            + ("x" if flags & _VM_EXEC else "-")
            + ("s" if flags & _VM_SHARED else "p")
        )
        path = paths.of_file(file) if file else None
        found.append(
            Mapping(
                start, end, permissions, page * paths.page_size if file else 0, path, file, area
            )
        )
    return found


class PathReader(Protocol):
    """Names of files.

    Attributes:
        page_size: of the guest's kernel, in bytes.
    """

    page_size: int

    def of_file(self, file: int) -> str:
        """The path of a ``struct file``."""
