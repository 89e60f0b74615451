"""The variables of a kernel whose kallsyms names functions only (without CONFIG_KALLSYMS_ALL)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from guestdbg.errors import GuestdbgError
from guestdbg.linux.kallsyms import KernelSymbol
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.symbols.code_references import code_references
from guestdbg.linux.symbols.exported import ExportedSymbols
from guestdbg.linux.symbols.vmcoreinfo import parse_at

if TYPE_CHECKING:
    from guestdbg.linux.kallsyms import Kallsyms
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.symbols.vmcoreinfo import VmcoreInfo

__all__ = ["DataSymbols", "KernelImage"]

#: Variables are in kallsyms if this one is: every kernel has it.
_VARIABLE = "init_task"
_MAX_FUNCTION = 4096
_MAX_COMMAND_LINE = 2048
_FIRST_STATE = "R (running)"
_MOST_TAINTS = 32
#: Symbols of vmcoreinfo whose value is what they point to.
_POINTED_TO = frozenset({"mem_section", "vmemmap"})


class KernelImage(Protocol):
    """A kernel in memory, as the tables here need it."""

    @property
    def address(self) -> int:
        """The virtual address of its first byte."""

    @property
    def is_relocated(self) -> bool:
        """Whether it runs there."""

    @property
    def kallsyms(self) -> Kallsyms:
        """Its symbol table."""

    @property
    def memory(self) -> KernelMemory:
        """Its memory."""

    def read_image(self) -> bytes:
        """Its image as it is in memory now, with the variables that have no initial value."""


class DataSymbols:
    """Variables by name and address: exported ones, those of vmcoreinfo, and those referred to.

    ``kernel`` is asked for what it has when a name is looked up.
    """

    def __init__(self, kernel: KernelImage) -> None:
        self._kernel = kernel
        self._exported: ExportedSymbols | None = None
        self._vmcoreinfo: VmcoreInfo | None = None
        self._referred: dict[str, int] = {}

    def forget(self, *, reloaded: bool) -> None:
        """The guest was put back to a snapshot, or reset: what is noted at run time may differ."""
        self._vmcoreinfo = None
        self._referred.clear()
        if reloaded:
            self._exported = None

    @property
    def needed(self) -> bool:
        """Whether kallsyms has no variables. Raises BadKallsyms."""
        return not self._kernel.kallsyms.named(_VARIABLE)

    @property
    def exported(self) -> ExportedSymbols:
        """What the kernel exports. Raises BadKallsyms."""
        if self._exported is None:
            kernel = self._kernel
            data = kernel.read_image()
            address = kernel.address if kernel.is_relocated else kernel.kallsyms.address
            self._exported = ExportedSymbols(data, len(data), self._code, address)
        return self._exported

    def _code(self, name: str) -> int | None:
        found = self._kernel.kallsyms.named(name)
        return next((symbol.offset for symbol in found if symbol.is_code), None)

    # ---- as a table of symbols ---------------------------------------------------------------

    def named(self, name: str) -> list[KernelSymbol]:
        """The variable of that name; a list, as that of ``Kallsyms`` is."""
        if not self.needed:
            return []
        found = self.exported.named(name)
        if found:
            return found
        offset = self._noted().get(name)
        if offset is None:
            offset = self._from_code(name)
        return [] if offset is None else [KernelSymbol(name, offset, "d")]

    def names(self) -> list[str]:
        """The names of all that are known."""
        if not self.needed:
            return []
        return list(dict.fromkeys([*self.exported.names(), *self._noted(), *_REFERRED]))

    def at(self, offset: int) -> KernelSymbol | None:
        """The variable that begins at an offset; only if the exported ones were read already."""
        return None if self._exported is None else self._exported.at(offset)

    def _noted(self) -> dict[str, int]:
        """The offsets of the symbols that vmcoreinfo has."""
        info = self.vmcoreinfo()
        if info is None:
            return {}
        start = self._kernel.address
        end = max([self._kernel.kallsyms.end, *(symbol.offset for symbol in self.exported)])
        return {
            name: address - start
            for name, address in info.symbols.items()
            if name not in _POINTED_TO and 0 <= address - start <= 2 * end
        }

    # ---- vmcoreinfo --------------------------------------------------------------------------

    def vmcoreinfo(self) -> VmcoreInfo | None:
        """The vmcoreinfo that the kernel's variable points to; None if it has none (yet)."""
        if self._vmcoreinfo is None:
            kernel = self._kernel
            try:
                if not kernel.is_relocated:
                    return None
                for pointer in self._vmcoreinfo_pointers():
                    value = kernel.memory.u64(pointer)
                    if not is_kernel_pointer(value):
                        continue
                    found = parse_at(kernel.memory.read, value)
                    if found is not None and self.is_of_this_kernel(found):
                        self._vmcoreinfo = found
                        break
            except GuestdbgError:
                return None
        return self._vmcoreinfo

    def _vmcoreinfo_pointers(self) -> Iterator[int]:
        kernel = self._kernel
        for symbol in kernel.kallsyms.named("vmcoreinfo_data"):
            yield kernel.address + symbol.offset
        yield from self.references("vmcoreinfo_append_str")

    def is_of_this_kernel(self, info: VmcoreInfo) -> bool:
        """Whether a vmcoreinfo has the addresses of this kernel, and is no copy of another's."""
        text = self._kernel.kallsyms.named("_stext") or self._kernel.kallsyms.named("_text")
        known = info.symbols.get("_stext")
        if known is None:
            return False
        return not text or 0 <= known - self._kernel.address - text[0].offset < 1 << 20

    # ---- from code ---------------------------------------------------------------------------

    def references(self, function: str) -> list[int]:
        """The addresses that the code of a function of this name refers to."""
        kernel = self._kernel
        found: list[int] = []
        for symbol in kernel.kallsyms.named(function):
            if symbol.is_code:
                end = kernel.kallsyms.next_offset(symbol.offset)
                address = kernel.address + symbol.offset
                length = min(end - symbol.offset, _MAX_FUNCTION)
                found += code_references(kernel.memory.read(address, length), address)
        return found

    def _from_code(self, name: str) -> int | None:
        """The offset of a variable that code refers to, verified by what it has."""
        if name not in _REFERRED or not self._kernel.is_relocated:
            return None
        if name not in self._referred:
            functions, is_it = _REFERRED[name]
            try:
                for function in functions:
                    for address in self.references(function):
                        if is_it(self._kernel.memory, address):
                            self._referred[name] = address - self._kernel.address
                            return self._referred[name]
            except GuestdbgError:
                return None
        return self._referred.get(name)


def _is_list(memory: KernelMemory, address: int) -> bool:
    """Whether a ``struct list_head`` is there, which has entries or none."""
    try:
        after, before = memory.u64(address), memory.u64(address + 8)
        return memory.u64(after + 8) == address == memory.u64(before)
    except GuestdbgError:
        return False


def _is_filled_list(memory: KernelMemory, address: int) -> bool:
    """Whether a list with entries is there: the one of those who wait for a mutex has none."""
    return _is_list(memory, address) and memory.u64(address) != address


def _is_text(memory: KernelMemory, address: int) -> bool:
    """Whether a pointer to text of one line is there."""
    try:
        pointer = memory.u64(address)
        if not is_kernel_pointer(pointer):
            return False
        text = memory.string(pointer, _MAX_COMMAND_LINE)
    except GuestdbgError:
        return False
    return text.isprintable()


def _is_states(memory: KernelMemory, address: int) -> bool:
    """Whether pointers to the names of the states of tasks are there."""
    try:
        return memory.string(memory.u64(address), len(_FIRST_STATE)) == _FIRST_STATE
    except GuestdbgError:
        return False


def _is_tree(memory: KernelMemory, address: int) -> bool:
    """Whether a ``struct radix_tree_root`` with entries is there: a lock, flags, a pointer."""
    try:
        return is_kernel_pointer(memory.u64(address + 8))
    except GuestdbgError:
        return False


def _is_taint(memory: KernelMemory, address: int) -> bool:
    """Whether a mask of the few reasons for which a kernel is tainted is there."""
    try:
        return memory.u64(address) < 1 << _MOST_TAINTS
    except GuestdbgError:
        return False


#: Variables that are found by the functions which refer to them, and by what they have.
_REFERRED: dict[str, tuple[tuple[str, ...], Callable[[KernelMemory, int], bool]]] = {
    "modules": (("module_kallsyms_lookup_name", "find_module_all"), _is_list),
    "bpf_kallsyms": (("bpf_get_kallsym",), _is_list),
    "saved_command_line": (("cmdline_proc_show",), _is_text),
    "task_state_array": (("do_task_stat",), _is_states),
    "slab_caches": (("slab_start",), _is_list),
    "irq_desc_tree": (("irq_to_desc",), _is_tree),
    "tainted_mask": (("get_taint",), _is_taint),
    "btf_modules": (("btf_module_notify",), _is_filled_list),
}
