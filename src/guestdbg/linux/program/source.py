"""``KernelProgram`` makes the drgn program of a running kernel.

drgn has helpers for Linux kernels that take a program with memory, types, objects, symbols and a
vmcoreinfo. All of these come from the guest: nothing is read from files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from guestdbg.debugger import AddressError
from guestdbg.debugger.errors import NoDebugInfo
from guestdbg.debugger.program import drgn_import
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import sys_reg
from guestdbg.linux.btf import DrgnTypes, find_btf
from guestdbg.linux.errors import BadBtf
from guestdbg.linux.program.btf_cache import parsed
from guestdbg.linux.program.module_types import ModuleTypes
from guestdbg.linux.program.objects import ObjectFinder
from guestdbg.linux.program.scope import KernelScope
from guestdbg.linux.program.symbols import SymbolFinder
from guestdbg.linux.program.vmcoreinfo_text import minimal_vmcoreinfo

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.errors import DebuggerError
    from guestdbg.linux.btf import Btf

__all__ = ["Kernel", "KernelProgram"]

_TCR = sys_reg("TCR_EL1")
log = logging.getLogger(__name__)

_NAME = "guestdbg"
_ALL = (1 << 64) - 1
_BIT_OF_TTBR1 = 55
_PAGE_TABLES = "swapper_pg_dir"


class Memory(Protocol):
    """The kernel's virtual memory, whatever the vCPUs execute."""

    def read(self, address: int, length: int) -> bytes: ...


class Vmcoreinfo(Protocol):
    """The kernel's vmcoreinfo."""

    @property
    def text(self) -> str: ...


class Kernel(Protocol):
    """A kernel, as it is needed here. See ``guestdbg.linux.Linux``."""

    @property
    def address(self) -> int: ...

    @property
    def physical_address(self) -> int: ...

    @property
    def is_relocated(self) -> bool: ...

    @property
    def release(self) -> str: ...

    @property
    def memory(self) -> Memory: ...

    @property
    def vmcoreinfo(self) -> Vmcoreinfo: ...

    @property
    def more_names(self) -> str: ...

    def read_image(self) -> bytes: ...


def can_debug_kernels(drgn: Any) -> bool:
    """Whether a ``drgn.Program`` can be one of a Linux kernel without a core dump; if not, a
    warning says what does not work."""
    if hasattr(drgn.Program, "set_linux_kernel_custom"):
        return True
    log.warning(
        "drgn %s has variables and types of a Linux guest, but most of drgn.helpers.linux does not "
        "work: 0.3 or later is needed for that (`pip install -U drgn`)",
        drgn.__version__,
    )
    return False


class KernelProgram:
    """Makes the ``drgn.Program`` of a kernel; the debugger's ``DrgnProgram`` asks for it.

    Attributes:
        scope: the parameters of functions, and ``current``.
    """

    def __init__(self, guest: Guest, kernel: Kernel) -> None:
        self._guest = guest
        self._kernel = kernel
        self._btf: Btf | None = None
        self._damage: BadBtf | None = None
        self._types: DrgnTypes | None = None
        self._modules: Iterable[DrgnTypes] = ()
        self._is_complete = False
        self._program: Any = None
        self.scope = KernelScope(guest, lambda: self._program, self._all_types)

    @property
    def btf(self) -> Btf:
        """The kernel's BTF. Raises BadBtf if it has none, or if it is damaged."""
        if self._btf is None:
            if self._damage is not None:
                raise BadBtf(str(self._damage))
            try:
                self._btf = find_btf(self._kernel.read_image(), parsed)
            except BadBtf as error:
                self._damage = error
                raise
        return self._btf

    def forget(self) -> None:
        """The guest has another kernel, maybe."""
        self._btf = self._damage = None

    # ---- for DrgnProgram ---------------------------------------------------------------------

    @property
    def has_types(self) -> bool:
        """Whether there are any types."""
        try:
            return self.btf is not None
        except GuestdbgError:
            return False

    @property
    def is_outdated(self) -> bool:
        """Whether another program would know more: the kernel has got its vmcoreinfo since."""
        return not self._is_complete and self._vmcoreinfo() is not None

    @property
    def more_names(self) -> str:
        """What would have names that the kernel does not have."""
        return self._kernel.more_names

    def unknown(self, name: str) -> DebuggerError | None:
        """The error for a variable of which there is a symbol, but no type; None without one."""
        found = self._guest.execution.symbols_named(name)
        if not found:
            return None
        why = "the kernel's BTF has the types of per-CPU variables only"
        try:
            _ = self.btf
        except GuestdbgError as error:
            why = str(error)
        return NoDebugInfo(
            f"the type of {name!r} is not known, which is at {found[0].address:#x}: {why}. The "
            "kernel's vmlinux with debug information has it; or read it by its address, such as "
            f"u64[{found[0].address:#x}] in a condition"
        )

    def make(self, has_memory: Callable[[], bool]) -> Any:
        """A new program. Its reads fail while ``has_memory`` is false.

        Raises MissingDependency if drgn is not installed.
        """
        drgn = drgn_import.drgn()
        flags = drgn.PlatformFlags
        program = drgn.Program(
            drgn.Platform(drgn.Architecture.AARCH64, flags.IS_64_BIT | flags.IS_LITTLE_ENDIAN)
        )
        text = self._vmcoreinfo_text()
        if text is not None and can_debug_kernels(drgn):
            program.set_linux_kernel_custom(text, True)
        self._add_memory(program, has_memory)
        self._add_finders(program)
        self.scope.forget()
        self._program = program
        return program

    def _vmcoreinfo_text(self) -> str | None:
        """What drgn is given; None if not even what it demands is known: there is no kallsyms."""
        vmcoreinfo = self._vmcoreinfo()
        self._is_complete = vmcoreinfo is not None
        try:
            return vmcoreinfo.text if vmcoreinfo is not None else self._minimal_vmcoreinfo()
        except GuestdbgError as error:
            log.debug("the drgn program is not one of a Linux kernel: %s", error)
            return None

    def _vmcoreinfo(self) -> Vmcoreinfo | None:
        """What the kernel has noted; None if it has not yet."""
        try:
            return self._kernel.vmcoreinfo
        except GuestdbgError:
            return None

    def _minimal_vmcoreinfo(self) -> str:
        kernel, execution = self._kernel, self._guest.execution
        tables = execution.symbols_named(_PAGE_TABLES)
        return minimal_vmcoreinfo(
            kernel.release,
            kernel.address,
            kernel.physical_address,
            tables[0].address if tables else None,
            execution.vcpus[0].get(_TCR),
        )

    def _add_memory(self, program: Any, has_memory: Callable[[], bool]) -> None:
        fault = drgn_import.drgn().FaultError
        read_phys = self._guest.execution.read_phys
        read_virtual = self.read

        def read(address: int, count: int, _offset: int, physical: bool) -> bytes:
            if not has_memory():
                raise fault("no memory is read now", address)
            try:
                return read_phys(address, count) if physical else read_virtual(address, count)
            except GuestdbgError as error:
                raise fault(str(error), address) from error

        program.add_memory_segment(0, _ALL, read, False)
        for region in self._guest.board.memory:
            program.add_memory_segment(region.base, region.size, read, True)

    def _add_finders(self, program: Any) -> None:
        try:
            self._types = types = DrgnTypes(program, self.btf)
            self._modules = ModuleTypes(program, types, self.read)
        except GuestdbgError:
            # DWARF may have what is asked for; if not, ``unknown`` says why.
            self._types, self._modules = None, ()
        execution = self._guest.execution
        program.register_symbol_finder(_NAME, SymbolFinder(self._guest), enable_index=0)
        if self._types is not None:
            objects = ObjectFinder(
                self._types, self._all_types, execution.symbols_named, self._read_word
            )
            program.register_type_finder(_NAME, self._find_type, enable_index=-1)
            program.register_object_finder(_NAME, objects, enable_index=-1)

    def _find_type(self, _program: Any, kinds: Any, name: str, filename: str | None) -> Any:
        if filename is not None:
            return None  # BTF has no names of source files
        for types in self._all_types():
            found = types.find(kinds, name)
            if found is not None:
                return found
        return None

    def _all_types(self) -> Iterator[DrgnTypes]:
        """Those of the kernel, then those of the modules that it has loaded now."""
        if self._types is not None:
            yield self._types
        yield from self._modules

    # ---- memory ------------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes:
        """Bytes at a virtual address: of the kernel, whatever the vCPUs execute; below that of
        the program that the current vCPU has in its page tables. Raises AddressError."""
        if address >> _BIT_OF_TTBR1 & 1:
            kernel = self._kernel
            try:
                if kernel.is_relocated:
                    return kernel.memory.read(address, length)
                physical = address - kernel.address + kernel.physical_address & _ALL
            except AddressError:
                raise
            except GuestdbgError as error:
                log.debug("the kernel's page tables are not known: %s", error)
            else:
                # Its variables are where they were loaded, and the MMU is off.
                return self._guest.execution.read_phys(physical, length)
        return self._guest.read(address, length)

    def _read_word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")
