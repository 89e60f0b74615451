"""The kernel's variables and structures as this room reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.linux.errors import CorruptedGuestData, MissingKernelData
from guestdbg.linux.memory import is_kernel_pointer

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Symbol
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.state.layouts import Layouts, StructLayout
    from guestdbg.linux.symbols import VmcoreInfo

__all__ = ["KernelView", "Object", "list_entries"]

_MASK = (1 << 64) - 1
#: No structure of the kernel that is read as a whole is larger.
_MAX_OBJECT = 64 << 10


class KernelView:
    """What is needed to read the state of a kernel.

    Args:
        guest: the guest.
        memory: the kernel's memory.
        layouts: gives the layouts of its structures. Raises BadBtf without BTF.
        named: gives the symbols of a name.
        vmcoreinfo: gives the vmcoreinfo. Raises MissingKernelData.
        references: the addresses that the code of a function refers to.
    """

    def __init__(
        self,
        guest: Guest,
        memory: KernelMemory,
        layouts: Callable[[], Layouts],
        named: Callable[[str], list[Symbol]],
        vmcoreinfo: Callable[[], VmcoreInfo],
        references: Callable[[str], list[int]],
    ) -> None:
        self.guest = guest
        self.memory = memory
        self._layouts = layouts
        self._named = named
        self._vmcoreinfo = vmcoreinfo
        self.references = references

    @property
    def layouts(self) -> Layouts:
        """The layouts of its structures. Raises BadBtf without BTF."""
        return self._layouts()

    @property
    def vmcoreinfo(self) -> VmcoreInfo:
        """Raises MissingKernelData if there is none."""
        return self._vmcoreinfo()

    def find(self, name: str) -> int | None:
        """The address of a variable or function; None if it is not known."""
        found = self._named(name)
        return found[0].address if found else None

    def address(self, *names: str) -> int:
        """The address of a variable, which has one of these names in one release or another.

        Raises MissingKernelData if it is not known in this kernel.
        """
        for name in names:
            found = self.find(name)
            if found is not None:
                return found
        raise MissingKernelData(
            f"where the kernel has {' or '.join(names)} is not known: its kallsyms has no "
            "variables (CONFIG_KALLSYMS_ALL). Its vmlinux has them"
        )

    def object(self, struct: str | StructLayout, address: int) -> Object:
        """The structure at an address. Raises CorruptedGuestData if that is none of the kernel."""
        layout = self.layouts.struct(struct) if isinstance(struct, str) else struct
        if not is_kernel_pointer(address):
            raise CorruptedGuestData(
                f"a pointer to struct {layout.name} is {address:#x}, which is no address of the "
                "kernel"
            )
        return Object(self, layout, address)

    def per_cpu_offsets(self) -> list[int]:
        """The distance of each CPU's per-CPU variables from the linked ones, by CPU number."""
        table = self.address("__per_cpu_offset")
        found: list[int] = []
        for n in self.cpus():
            found.append(self.memory.u64(table + 8 * n))
        return found

    def cpus(self) -> range:
        """The numbers of the CPUs that there may be."""
        at = self.find("nr_cpu_ids")
        count = len(self.guest.execution.vcpus)
        return range(min(self.memory.number(at, 4), count) if at is not None else count)

    def cpu_of(self, vcpu: int) -> int:
        """The kernel's number of a vCPU, by its TPIDR_EL1; that of the vCPU if it has none."""
        tpidr = self.guest.vcpus[vcpu].reg("TPIDR_EL1")
        try:
            return self.per_cpu_offsets().index(tpidr)
        except (ValueError, AddressError, MissingKernelData):
            return vcpu


class Object:
    """A structure in the kernel's memory. Members are read when they are asked for.

    Methods raise MissingKernelData for a member that the structure does not have in this kernel,
    and AddressError if its memory is not mapped.
    """

    __slots__ = ("_cache", "address", "layout", "view")

    def __init__(self, view: KernelView, layout: StructLayout, address: int) -> None:
        self.view = view
        self.layout = layout
        self.address = address & _MASK
        self._cache: bytes | None = None

    def fetch(self) -> Object:
        """Read it as a whole: members then are as they are now."""
        size = min(self.layout.size, _MAX_OBJECT)
        self._cache = self.view.memory.read(self.address, size)
        return self

    def has(self, path: str) -> bool:
        """Whether the structure has a member."""
        return self.layout.has(path)

    def bytes(self, path: str) -> bytes:
        """The bytes of a member."""
        field = self.layout.field(path)
        if self._cache is not None and field.offset + field.size <= len(self._cache):
            return self._cache[field.offset : field.offset + field.size]
        return self.view.memory.read(self.address + field.offset, min(field.size, _MAX_OBJECT))

    def number(self, path: str) -> int:
        """An integer or pointer."""
        field = self.layout.field(path)
        value = int.from_bytes(self.bytes(path), "little")
        bits = field.bit_size or 8 * field.size
        value = value >> field.bit_offset & (1 << bits) - 1
        return value - (1 << bits) if field.is_signed and value >> bits - 1 else value

    def first(self, *paths: str) -> int:
        """The integer or pointer that has one of these names in one release or another."""
        for path in paths[:-1]:
            if self.has(path):
                return self.number(path)
        return self.number(paths[-1])

    def text(self, path: str) -> str:
        """An array of characters, up to its zero byte."""
        return self.bytes(path).partition(b"\0")[0].decode("latin-1")

    def string(self, path: str, limit: int = 4096) -> str:
        """The text that a pointer points to; empty for NULL."""
        pointer = self.number(path)
        return self.view.memory.string(pointer, limit) if pointer else ""

    def at(self, path: str) -> int:
        """The address of a member."""
        return self.address + self.layout.field(path).offset & _MASK

    def inner(self, path: str) -> Object:
        """A member that is a structure itself."""
        layouts = self.view.layouts
        return Object(self.view, layouts.of(self.layout.field(path).target), self.at(path))

    def follow(self, path: str) -> Object | None:
        """The structure that a pointer points to; None for NULL."""
        pointer = self.number(path)
        if not pointer:
            return None
        return self.view.object(self.view.layouts.of(self.layout.field(path).target), pointer)


def list_entries(view: KernelView, head: int, limit: int, what: str) -> Iterator[int]:
    """The addresses of the entries of a ``struct list_head``, without the head itself.

    The pointers back are not looked at: the guest may be stopped in the middle of a change.

    Raises CorruptedGuestData for a list that has a loop without its head, or leads outside the
    kernel, or has more than ``limit`` entries.
    """
    seen: set[int] = set()
    at = view.memory.u64(head)
    while at != head:
        if not is_kernel_pointer(at):
            raise CorruptedGuestData(f"the list of {what} leads to {at:#x}, no kernel address")
        if at in seen:
            raise CorruptedGuestData(f"the list of {what} has a loop at {at:#x}")
        if len(seen) >= limit:
            raise CorruptedGuestData(f"the list of {what} has more than {limit:,} entries")
        seen.add(at)
        yield at
        at = view.memory.u64(at)
