"""What a running kernel does, read from its structures.

types       what layouts are made of: BTF, or the debug information of a vmlinux
layouts     where the members of structures are, by BTF or a vmlinux
view        variables and structures as objects; lists
trees       the kernel's trees: xarray, maple tree, red-black tree
records     lists of records as tables
tasks       processes and threads: state, stack, registers
log         the kernel's log
modules     the modules that are loaded
mounts      what is mounted; paths
interrupts  who handles which interrupt, and how often
pages       pages of physical memory: flags and owner
kernel      ``KernelState``, which has all of them

No drgn is needed. The guest's structures may be damaged: each walk is bounded, and what was read
until the damage is returned, with the reason why it is cut.
"""

from guestdbg.linux.state.interrupts import Interrupt
from guestdbg.linux.state.kernel import KernelState
from guestdbg.linux.state.log import LogRecord
from guestdbg.linux.state.modules import Module
from guestdbg.linux.state.mounts import Mount
from guestdbg.linux.state.pages import Page
from guestdbg.linux.state.records import Records
from guestdbg.linux.state.tasks import Task

__all__ = [
    "Interrupt",
    "KernelState",
    "LogRecord",
    "Module",
    "Mount",
    "Page",
    "Records",
    "Task",
]
