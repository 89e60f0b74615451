"""``KernelState``: all that is read of a running kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.linux.state.interrupts import read_interrupts
from guestdbg.linux.state.log import read_log
from guestdbg.linux.state.modules import read_modules
from guestdbg.linux.state.mounts import read_mounts
from guestdbg.linux.state.pages import read_page
from guestdbg.linux.state.tasks import Tasks

if TYPE_CHECKING:
    from guestdbg.linux.state.interrupts import Interrupt
    from guestdbg.linux.state.log import LogRecord
    from guestdbg.linux.state.modules import Module
    from guestdbg.linux.state.mounts import Mount
    from guestdbg.linux.state.pages import Page
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView

__all__ = ["KernelState"]

_MAX_COMMAND_LINE = 4096


class KernelState:
    """The state of a kernel; ``Linux`` describes its methods.

    Attributes:
        view: its variables and structures.
        tasks: its tasks.
    """

    def __init__(self, view: KernelView) -> None:
        self.view = view
        self.tasks = Tasks(view)

    def command_line(self) -> str:
        """See ``Linux.command_line``."""
        memory = self.view.memory
        pointer = memory.u64(self.view.address("saved_command_line"))
        return memory.string(pointer, _MAX_COMMAND_LINE)

    def dmesg(self) -> Records[LogRecord]:
        """See ``Linux.dmesg``."""
        return read_log(self.view)

    def modules(self) -> Records[Module]:
        """See ``Linux.modules``."""
        return read_modules(self.view)

    def mounts(self, pid: int) -> Records[Mount]:
        """See ``Linux.mounts``."""
        return read_mounts(self.view, self.tasks.structure(self.tasks.find(pid)))

    def interrupts(self) -> Records[Interrupt]:
        """See ``Linux.interrupts``."""
        return read_interrupts(self.view)

    def page(self, physical: int) -> Page:
        """See ``Linux.page``."""
        return read_page(self.view, physical)
