"""What is known of a Linux guest: its kernel's symbols, and where the kernel is.

``guest.linux`` gives it. For a guest that was loaded from an Image the kernel's names are there
from the start; for one that firmware has started, ``guest.linux`` finds the kernel in memory.

errors           the exceptions
kallsyms         the kernel's own symbol table, in all its layouts
memory           its virtual memory, whatever the vCPUs execute
symbols          its variables, where kallsyms has none; vmcoreinfo
kernel_symbols   its symbols as a source of the debugger's resolver
btf              BTF, the kernel's own description of its types
program          the drgn program of a running kernel
state            what it does: tasks, log, modules, mounts, interrupts, pages
call_frames      call frame information, from the kernel's code
symbol_file      the names and the call frame information as an ELF file
processes        its processes: their memory, and points in one of them
module_symbols   the symbols of modules and BPF programs, and points that wait for a module
module_file      a module's file, put where it is loaded
module_images    the files of the loaded modules: lines and types
running_address  where a kernel runs: its image in memory, KASLR
vmlinux          its vmlinux: symbols of everything, lines and types
relocation       the moment at which the kernel relocates itself
kernel           ``Linux``, which brings all of this together
"""

from guestdbg.linux.btf import Btf
from guestdbg.linux.errors import (
    BadBtf,
    BadKallsyms,
    BadVmlinux,
    CorruptedGuestData,
    MissingKernelData,
    NoKernel,
    NoSuchTask,
)
from guestdbg.linux.kallsyms import Kallsyms, KernelSymbol
from guestdbg.linux.kernel import Linux, attach
from guestdbg.linux.processes import (
    Mapping,
    Processes,
    ProcessMemory,
    ProgramBreakpoint,
    TaskSummary,
)
from guestdbg.linux.state import Interrupt, LogRecord, Module, Mount, Page, Records, Task
from guestdbg.linux.symbols import VmcoreInfo
from guestdbg.linux.vmlinux import Vmlinux

__all__ = [
    "BadBtf",
    "BadKallsyms",
    "BadVmlinux",
    "Btf",
    "CorruptedGuestData",
    "Interrupt",
    "Kallsyms",
    "KernelSymbol",
    "Linux",
    "LogRecord",
    "Mapping",
    "MissingKernelData",
    "Module",
    "Mount",
    "NoKernel",
    "NoSuchTask",
    "Page",
    "ProcessMemory",
    "Processes",
    "ProgramBreakpoint",
    "Records",
    "Task",
    "TaskSummary",
    "VmcoreInfo",
    "Vmlinux",
    "attach",
]
