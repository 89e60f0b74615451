"""The Linux kernel in a guest: ``guest.linux``."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import zlib
from typing import TYPE_CHECKING, Any

from guestdbg.debugger import AddressError, InvalidLocation, OutOfRegisters
from guestdbg.debugger.errors import DebuggerError
from guestdbg.debugger.validation import integer
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import sys_reg
from guestdbg.linux.errors import BadBtf, BadKallsyms, MissingKernelData, NoKernel
from guestdbg.linux.kallsyms import Kallsyms
from guestdbg.linux.kernel_symbols import KernelSymbols
from guestdbg.linux.memory import KernelMemory
from guestdbg.linux.module_images import ModuleImages
from guestdbg.linux.module_symbols import ModuleSymbols
from guestdbg.linux.processes import Processes
from guestdbg.linux.program import KernelProgram
from guestdbg.linux.program.dwarf_types import DwarfTypes
from guestdbg.linux.program.per_cpu import PerCpu
from guestdbg.linux.relocation import RelocationBreakpoint
from guestdbg.linux.running_address import MAX_IMAGE, find_image, running_address
from guestdbg.linux.state import (
    KernelState,
)
from guestdbg.linux.state.layouts import Layouts
from guestdbg.linux.state.view import KernelView
from guestdbg.linux.symbol_file import symbol_file
from guestdbg.linux.symbols import DataSymbols
from guestdbg.linux.symbols.vmcoreinfo import search
from guestdbg.linux.vmlinux import Vmlinux, release_of
from guestdbg.machine.loading import linux_image

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu, Guest, Symbol
    from guestdbg.linux.btf import Btf
    from guestdbg.linux.state import (
        Interrupt,
        LogRecord,
        Module,
        Mount,
        Page,
        Records,
        Task,
    )
    from guestdbg.linux.state.types import TypeTable
    from guestdbg.linux.symbols import VmcoreInfo

__all__ = ["Linux", "attach"]

log = logging.getLogger(__name__)

_TCR = sys_reg("TCR_EL1")
#: Of a kernel whose header is overwritten.
_UNKNOWN_SIZE = 64 << 20
#: The task of each CPU while a program runs (arch/arm64/kernel/process.c).
_ENTRY_TASK = "__entry_task"
_VERSION = re.compile(rb"(Linux version [\x20-\x7e]+)\n")
_BUILD = re.compile(rb"#\d+ ")
#: The releases of Debian's packages: 6.1.0-44-cloud-arm64, 7.2.13+deb14-arm64.
_DEBIAN = re.compile(r"[\d.]+(\+deb\d+\w*|-\d+)(-[a-z0-9-]+)?-arm64(-16k)?\Z").match
#: Variables that every kernel of the last years has.
_WELL_KNOWN = (
    *("init_task", "init_pid_ns", "init_uts_ns", "init_net", "modules", "runqueues", "prb"),
    *("saved_command_line", "jiffies", "jiffies_64", "total_forks", "nr_threads", "tasklist_lock"),
    *("__per_cpu_offset", "__entry_task", "kstat", "irq_stat", "slab_caches", "mem_section"),
    *("vm_node_stat", "vm_zone_stat", "super_blocks", "file_systems", "root_task_group"),
    *("chrdevs", "bpf_kallsyms", "panic_on_oops", "system_state", "tainted_mask", "swapper_pg_dir"),
)


class Linux:
    """The kernel in a guest: where it is, and its symbols.

    Its names are resolved by all that takes a location: ``guest.breakpoint("panic")``. A kernel
    moves itself when it starts (KASLR): points at its names move with it, which takes a breakpoint
    register until then. Names are read from the kernel's kallsyms when one is looked up.

    Args:
        guest: the guest with the kernel.
        physical_address: where the kernel's Image is in guest-physical memory.
        image_size: the Image of so many bytes was loaded there; None: the kernel runs already.

    Attributes:
        physical_address: the guest-physical address of the kernel's first byte.
        memory: the kernel's virtual memory, whatever the vCPUs execute.
        module_symbols: the symbols of its modules and BPF programs, as they are loaded now.
    """

    def __init__(self, guest: Guest, physical_address: int, image_size: int | None = None) -> None:
        self._guest = guest
        self.physical_address = physical_address
        self._image_size = image_size
        self._image: bytes | None = None
        self._checksum = 0
        self._release: str | None = None
        self._size: int | None = None
        self._address: int | None = None
        self._checking = False
        self._relocation: RelocationBreakpoint | None = None
        self._vmlinux: Vmlinux | None = None
        self._vmcoreinfo: VmcoreInfo | None = None
        self._state: KernelState | None = None
        self._module_images: ModuleImages | None = None
        self._layouts: Layouts | None = None
        #: The kernel's virtual memory, whatever the vCPUs execute.
        self.memory = KernelMemory(
            guest,
            lambda: (self.address, self.physical_address),
            self._mapped_page,
            self._page_tables,
        )
        self._data_symbols = DataSymbols(self)
        #: Its processes.
        self.processes = Processes(
            guest, lambda: self.state.tasks.view, self.memory, self._entry_task
        )
        self._symbols = KernelSymbols(
            self._read_tables,
            self,
            self._data_symbols,
            more_names=lambda: self.more_names,
            follow=self._follow,
            refresh=self._refresh,
        )
        self._program = KernelProgram(guest, self)
        if image_size is not None:
            self._use_image(guest.execution.read_phys(physical_address, image_size))
        guest.execution.add_symbol_source(self._symbols)
        self.module_symbols = ModuleSymbols(
            guest,
            lambda: self.state.view,
            self._symbols,
            lambda: not self._symbols.is_damaged and self.is_relocated,
            lambda: range(self.address, self.address + self.size),
        )
        guest.execution.add_symbol_source(self.module_symbols)
        guest.execution.use_program(self._program)
        guest.execution.name_tasks(self.processes.name_task, self.processes.recorded)
        guest.execution.name_programs(self.processes.program_of)

    def _use_image(self, image: bytes) -> None:
        """The kernel as it was loaded: it changes when it runs."""
        self._image = image
        self._checksum = zlib.crc32(image)
        self._release = None
        self._size = self._layouts = None
        if linux_image.is_image(image):
            self._size = self._inside_memory(linux_image.parse(image).memory_size)
        self._symbols.forget()
        self._program.forget()

    # ---- what is known -----------------------------------------------------------------------

    @property
    def kallsyms(self) -> Kallsyms:
        """The kernel's symbol table. Raises BadKallsyms if there is none, or if it is damaged."""
        return self._symbols.kallsyms

    @property
    def release(self) -> str:
        """The kernel's release, as ``uname -r`` prints it: ``6.1.0-44-cloud-arm64``.

        Raises NoKernel if the kernel has no "Linux version".
        """
        release = self._read_release()
        if not release:
            raise NoKernel('the kernel has no "Linux version", which gives the release')
        return release

    def _read_release(self) -> str:
        if self._release is None:
            self._release = release_of(self.read_image() if self._image is None else self._image)
        return self._release

    @property
    def program(self) -> Any:
        """The ``drgn.Program`` of the kernel: ``drgn.helpers.linux`` takes it.

        It is that of the guest, ``guest.program``. Its types are those of the kernel's BTF, and of
        the vmlinux if there is one. Raises MissingDependency without drgn.
        """
        return self._guest.program

    @property
    def btf(self) -> Btf:
        """The kernel's own description of its types. Raises BadBtf if it has none."""
        return self._program.btf

    @property
    def link_address(self) -> int | None:
        """The virtual address that the kernel was linked at, without KASLR.

        For a kernel that was found when it had moved itself already, its vmlinux or its vmcoreinfo
        says it; None if it has none (yet).
        """
        if self._vmlinux is not None:
            return self._vmlinux.link_address
        if self._image_size is not None:
            return self.kallsyms.address
        info = self._find_vmcoreinfo()
        if info is None or info.kernel_offset is None:
            return None
        return self.address - info.kernel_offset

    @property
    def is_relocated(self) -> bool:
        """Whether the kernel has got to its virtual address; it starts at the physical one."""
        self._check_address()
        return self._address is not None

    @property
    def address(self) -> int:
        """The virtual address of the kernel's first byte; until it is relocated, as linked.

        Raises NoKernel if neither is known.
        """
        self._check_address()
        found = self._address if self._address is not None else self._linked
        if found is None:
            raise NoKernel(
                "the kernel's virtual address is not known: it has not relocated itself yet, and "
                "no pointers in it say where it is linked"
            )
        return found

    @property
    def slide(self) -> int:
        """How far KASLR has moved the kernel, in bytes; 0 until it has, and with ``nokaslr``.

        Raises NoKernel if it is not known where the kernel was linked.
        """
        link = self.link_address
        if link is None:
            raise NoKernel(
                "it is not known where the kernel was linked: it was found when it ran already, "
                "and has no vmcoreinfo (yet), which says so. Load its Image, give its vmlinux, or "
                "use linux.address"
            )
        return self.address - link

    @property
    def more_names(self) -> str:
        """What would have names that the kernel does not have, for a message."""
        if self._vmlinux is not None:
            return ""
        return (
            "the kernel's vmlinux has more names, those of all variables and of inlined functions: "
            "--vmlinux FILE, or linux.use_vmlinux(FILE)"
        )

    @property
    def vmlinux(self) -> Vmlinux | None:
        """The kernel's vmlinux, if one was given."""
        return self._vmlinux

    def use_vmlinux(self, path: str | os.PathLike[str]) -> Vmlinux:
        """Take symbols, source lines and types from the kernel's vmlinux, wherever the kernel is.

        They move with the kernel, also when it relocates itself later (KASLR), is reset, or put
        back to a snapshot. A vmlinux that was given before is replaced.

        Raises:
            BadVmlinux: the file is no vmlinux, or not that of this kernel.
        """
        found = Vmlinux(path)
        found.check(self.read_image() if self._image is None else self._image)
        if not found.image.has_types:
            log.warning(
                "%s has no debug information (it was stripped, or built without "
                "CONFIG_DEBUG_INFO): there are symbols, but no lines and types",
                found.path,
            )
        self._drop_vmlinux()
        self._vmlinux = found
        self._layouts = None
        found.image.moves_with = self._symbols
        self._guest.execution.add_image(found.image)
        try:
            self._follow()
        except BadKallsyms as error:
            log.warning("if the kernel moves itself (KASLR), its vmlinux does not: %s", error)
        self._place_vmlinux()
        return found

    def use_modules(self, folder: str | os.PathLike[str]) -> None:
        """Take symbols, source lines and types of modules from their files, as they are loaded.

        They are files of a build of the kernel, ``NAME.ko`` or ``NAME.ko.debug``, anywhere in the
        folder. One of another build is not used, which a warning says. Two breakpoint registers are
        taken, at which modules come and go. Raises InvalidLocation for a folder that is none.
        """
        files = ModuleImages(self._guest, folder, lambda: self.state.view, self.module_symbols)
        if self._module_images is not None:
            self._module_images.close()
        self._module_images = files
        self.module_symbols.use_files(files)

    def _drop_vmlinux(self) -> None:
        if self._vmlinux is not None:
            self._guest.execution.remove_image(self._vmlinux.image)
            self._vmlinux = None
            self._layouts = None

    def _place_vmlinux(self) -> None:
        """Put it where the kernel is."""
        found = self._vmlinux
        if found is None:
            return
        slide = 0 if self._address is None else self._address - found.link_address
        if slide != found.image.slide:
            found.image = self._guest.execution.move_image(found.image, slide)

    @property
    def _linked(self) -> int | None:
        """Where the kernel is as long as it has not relocated itself."""
        return self.kallsyms.address if self._vmlinux is None else self._vmlinux.link_address

    def symbols(self, name: str) -> list[Symbol]:
        """All symbols of that name, global ones first: static functions may share a name."""
        return self._symbols.named(name)

    def symbol_file(self) -> bytes:
        """An ELF file with symbols and call frame information, of the kernel and its modules.

        They are those of now. For programs that read them from files only. GDB need not have the
        file: it reads it from the server as ``target:/linux-symbols``. Raises NoKernel if the
        kernel's address is not known.
        """
        code = [(self.address, self.read_image())]
        for part in self.module_symbols.code():
            # What is not mapped is of a module that the kernel loads or unloads at this moment.
            with contextlib.suppress(AddressError):
                code.append((part.start, self.memory.read(part.start, len(part))))
        symbols = itertools.chain(self._symbols, self.module_symbols)
        return symbol_file(symbols, code, self._address_bits())

    def _address_bits(self) -> int:
        """How many bits of addresses the upper half has (TCR_EL1.T1SZ)."""
        sizes = [context.get(_TCR) >> 16 & 63 for context in self._guest.execution.vcpus]
        return 64 - next((size for size in sizes if size), 16)

    def physical(self, where: str | int) -> int:
        """The guest-physical address of a symbol or of an address of the kernel.

        There its code runs until the MMU is on. Raises UnknownSymbol, and NoKernel for an address
        outside the kernel.
        """
        address = where if isinstance(where, int) else self._guest.symbol(where).address
        for base in (self.address, self.physical_address):
            if 0 <= address - base < self.size:
                return self.physical_address + address - base
        raise NoKernel(
            f"{address:#x} is not in the kernel, which is at {self.address:#x} to "
            f"{self.address + self.size:#x}"
        )

    def __repr__(self) -> str:
        if self._address is None:
            return f"<Linux at {self.physical_address:#x}, not relocated>"
        return f"<Linux at {self._address:#x}, physical {self.physical_address:#x}>"

    @property
    def size(self) -> int:
        """The bytes that the kernel takes in memory, up to its ``_end``.

        A running kernel may have put other data over its header. Then this is more.
        """
        if self._size is None:
            read = self._guest.execution.read_phys
            try:
                header = read(self.physical_address, linux_image.HEADER_SIZE)
                self._size = self._inside_memory(linux_image.parse(header).memory_size)
            except GuestdbgError:
                self._size = self._inside_memory(_UNKNOWN_SIZE)
        return self._size

    def _inside_memory(self, size: int) -> int:
        region = self._guest.board.memory.find(self.physical_address)
        end = self.physical_address + min(size, MAX_IMAGE)
        return (end if region is None else min(end, region.end)) - self.physical_address

    @property
    def vmcoreinfo(self) -> VmcoreInfo:
        """What the kernel notes for crash dumps: addresses of variables, offsets of members.

        Raises MissingKernelData if it has no vmcoreinfo, or not yet.
        """
        info = self._find_vmcoreinfo()
        if info is None:
            raise MissingKernelData(
                "the kernel has no vmcoreinfo: it notes it when its drivers start, if it was built "
                "with CONFIG_VMCORE_INFO (until 6.8: CONFIG_CRASH_CORE)"
            )
        return info

    def _find_vmcoreinfo(self) -> VmcoreInfo | None:
        """By the kernel's pointer to it, else by a search of all memory."""
        found = self._data_symbols.vmcoreinfo()
        if found is not None or not self.is_relocated:
            return found
        if self._vmcoreinfo is None:
            regions = [(region.base, region.end) for region in self._guest.board.memory]
            candidates = search(self._guest.execution.read_phys, regions)
            is_it = self._data_symbols.is_of_this_kernel
            self._vmcoreinfo = next((each for each in candidates if is_it(each)), None)
        return self._vmcoreinfo

    @property
    def unknown_symbols(self) -> tuple[str, ...]:
        """The variables that people look at most and that have no name in this kernel.

        They are those that a kernel without CONFIG_KALLSYMS_ALL does not export, note, or let be
        found by its code. Its vmlinux has them. Empty for other kernels. Raises BadKallsyms.
        """
        if not self._data_symbols.needed:
            return ()
        return tuple(name for name in _WELL_KNOWN if not self._symbols.named(name))

    # ---- state -------------------------------------------------------------------------------

    @property
    def state(self) -> KernelState:
        """What the kernel does now, read from its structures: see ``tasks`` and the like."""
        if self._state is None:
            self._state = KernelState(
                KernelView(
                    self._guest,
                    self.memory,
                    self._known_layouts,
                    self._named,
                    lambda: self.vmcoreinfo,
                    self._data_symbols.references,
                )
            )
            self._state.tasks.programs = self.processes
        return self._state

    def _entry_task(self) -> int | None:
        """The address of ``__entry_task``, as ``per_cpu_ptr`` takes it; None if it is not known."""
        named = self.state.view.find
        found = named(_ENTRY_TASK)
        if found is not None:
            return found
        placed = PerCpu(self.btf, named).find(_ENTRY_TASK)
        return None if placed is None else placed[1]

    def _known_layouts(self) -> Layouts:
        """By its BTF, else by its vmlinux."""
        if self._layouts is None:
            self._layouts = Layouts(self._types())
        return self._layouts

    def _types(self) -> TypeTable:
        try:
            return self.btf
        except BadBtf as error:
            found = self._vmlinux
            if found is None or not found.image.has_types:
                raise BadBtf(f"{error}. {self._what_has_types()}") from error
            return DwarfTypes(self._guest.program, found.path)

    def _what_has_types(self) -> str:
        """The file that would have the types, and where it is given."""
        release = self._read_release()
        package = f" (Debian's package linux-image-{release}-dbg has it)"
        return (
            f"The vmlinux of {release or 'this kernel'} with its debug information has the types"
            f"{package if _DEBIAN(release) else ''}: --vmlinux FILE, or linux.use_vmlinux(FILE)"
        )

    def _named(self, name: str) -> list[Symbol]:
        """The symbols of a name: its own, else those of its vmlinux."""
        found = self._symbols.named(name)
        if not found and self._vmlinux is not None:
            symbol = self._vmlinux.image.symbols.find(name)
            found = [] if symbol is None else [self._symbols.placed(symbol)]
        return found

    @property
    def version(self) -> str:
        """The kernel's version, as /proc/version has it. Raises NoKernel."""
        # There may be a second text, from before the kernel's build had a number and a time.
        texts = _VERSION.findall(self.read_image())
        found = next((text for text in texts if _BUILD.search(text)), texts[0] if texts else None)
        if found is None:
            raise NoKernel('the kernel has no text "Linux version"')
        return str(found.decode("latin-1"))

    @property
    def command_line(self) -> str:
        """The kernel's command line, as /proc/cmdline has it. Raises MissingKernelData."""
        return self.state.command_line()

    def dmesg(self) -> Records[LogRecord]:
        """The records in the kernel's log, the oldest first. Raises MissingKernelData, BadBtf."""
        return self.state.dmesg()

    def tasks(self, *, threads: bool = False) -> Records[Task]:
        """The processes, kernel threads among them; with ``threads`` all threads of each.

        Raises MissingKernelData, BadBtf.
        """
        return self.state.tasks.all(threads)

    def task(self, pid: int) -> Task:
        """The task of that number. Raises NoSuchTask, MissingKernelData, BadBtf."""
        return self.state.tasks.find(integer("pid", pid))

    def current(self, vcpu: int | Cpu | None = None) -> Task:
        """The task that a vCPU executes, or in which it handles an interrupt.

        Args:
            vcpu: its place in ``guest.vcpus``, or one of those; None: that which stopped last.

        Raises NoSuchTask, MissingKernelData, BadBtf.
        """
        return self.state.tasks.current(self._place_of(vcpu))

    def _place_of(self, vcpu: int | Cpu | None) -> int:
        if vcpu is None:
            return self._guest.execution.current
        count = len(self._guest.vcpus)
        place = vcpu if isinstance(vcpu, int) else self._guest.vcpus.index(vcpu)
        if not 0 <= place < count:
            raise InvalidLocation(f"there is no vCPU {place}: the guest has {count}")
        return place

    def modules(self) -> Records[Module]:
        """The modules that are loaded, the newest first. Raises MissingKernelData, BadBtf."""
        return self.state.modules()

    def mounts(self, pid: int = 1) -> Records[Mount]:
        """What is mounted in the namespace of a task. Raises NoSuchTask, MissingKernelData, BadBtf.

        Args:
            pid: the task; 1 is the first process.
        """
        return self.state.mounts(integer("pid", pid))

    def interrupts(self) -> Records[Interrupt]:
        """The interrupts that have a handler, with their counts. Raises MissingKernelData, BadBtf.

        The kernel's own (IPIs) are among them.
        """
        return self.state.interrupts()

    def page(self, physical: int) -> Page:
        """The page that a guest-physical address is in: flags, counts, and who has it.

        Raises InvalidLocation for an address without memory, MissingKernelData, BadBtf.
        """
        return self.state.page(integer("physical", physical))

    # ---- tables ------------------------------------------------------------------------------

    def read_image(self) -> bytes:
        """A copy of the kernel as it is in memory now, from its first byte to its ``_end``."""
        return self._guest.execution.read_phys(self.physical_address, self.size)

    def _mapped_page(self) -> int:
        """The offset of a page that is mapped wherever the kernel itself is."""
        found = self.kallsyms.named("vectors") or [self.kallsyms.symbol(0)]
        return found[0].offset

    def _page_tables(self) -> int | None:
        """The physical address of ``swapper_pg_dir``; None if kallsyms does not say."""
        found = self.kallsyms.named("swapper_pg_dir")
        return self.physical_address + found[0].offset if found else None

    def _read_tables(self) -> Kallsyms:
        try:
            found = Kallsyms(self.read_image() if self._image is None else self._image)
            self._read_release()
            self._image = None  # tens of megabytes that are not needed any more
            return found
        except GuestdbgError as error:
            if isinstance(error, BadKallsyms):
                raise
            raise BadKallsyms(f"the kernel cannot be read: {error}") from error

    # ---- where it runs -----------------------------------------------------------------------

    def _check_address(self) -> None:
        """Look whether the kernel has relocated itself since."""
        if self._address is not None or self._checking:
            return
        self._checking = True  # reading the tables may ask for names
        try:
            found = running_address(self._guest, self.kallsyms, self.physical_address)
        finally:
            self._checking = False
        if found is not None:
            self._move(found)

    def _move(self, address: int | None) -> None:
        """The kernel is at ``address`` now; None: it has not relocated itself yet."""
        link = self._linked
        before = self._address if self._address is not None else link
        self._address = address
        after = address if address is not None else link
        if address is not None and self._relocation is not None:
            self._relocation.delete()
            self._relocation = None
        if before is None or after is None:
            before = after = 0
        kernel = range(before, before + self.size)
        self._place_vmlinux()
        self._guest.execution.symbols_moved(self._symbols, kernel, after - before)

    def _follow(self) -> None:
        """Have the vmlinux, and points at names of the kernel, moved when the kernel moves."""
        self._check_address()
        if self._address is not None or (self._relocation is not None and self._relocation.armed):
            return
        try:
            self._relocation = RelocationBreakpoint(
                self._guest, self.kallsyms, self.physical_address, self._move
            )
        except OutOfRegisters as error:
            log.warning(
                "if the kernel moves itself (KASLR), its points move only when the guest has "
                "stopped for another reason: %s",
                str(error).splitlines()[0],
            )

    def _check_vmlinux(self, image: bytes) -> None:
        """The guest has another kernel, of which there may be a new vmlinux."""
        if self._vmlinux is None:
            return
        path = self._vmlinux.path
        self._drop_vmlinux()
        try:
            self.use_vmlinux(path)
        except DebuggerError as error:
            log.warning("the kernel goes on without its vmlinux: %s", error)

    def _refresh(self, reloaded: bool) -> None:
        self._vmcoreinfo = None
        self.memory.forget()
        self.processes.recorded.forget()
        self._data_symbols.forget(reloaded=reloaded)
        if self._relocation is not None:
            self._relocation.delete()
            self._relocation = None
        if reloaded and self._image_size:
            image = self._guest.execution.read_phys(self.physical_address, self._image_size)
            if zlib.crc32(image) != self._checksum:
                self._use_image(image)
                self._guest.execution.use_program(self._program)
                self._check_vmlinux(image)
        if not self._symbols.is_read:
            self._address = None
            self._place_vmlinux()
            return
        self._move(running_address(self._guest, self.kallsyms, self.physical_address))
        if self._address is None and (
            self._vmlinux is not None or self._guest.execution.has_points_of(self._symbols)
        ):
            self._follow()


def attach(
    guest: Guest, physical_address: int | None = None, image_size: int | None = None
) -> Linux:
    """What is known of the Linux kernel in ``guest``; ``guest.linux`` calls this once.

    Args:
        guest: a guest in which the kernel runs, or into which its Image was loaded.
        physical_address: where the kernel's first byte is; None: it is searched for.
        image_size: the Image of so many bytes was loaded there, and the guest has not run since;
            None: the kernel runs already.

    Raises:
        NoKernel: there is none.
    """
    if physical_address is None:
        physical_address = find_image(guest)
    return Linux(guest, physical_address, image_size)
