"""Points in one process only.

An access of a process is recognised by the page tables in TTBR0_EL1. The kernel puts a process's
own there whenever it, or the kernel for it, accesses its memory: with KPTI they stay there in the
kernel, and with the emulation of PAN (CONFIG_ARM64_SW_TTBR0_PAN) they are there while the kernel
accesses user memory. A point at an address of the kernel is for what is executed for the process:
the task is then the one in SP_EL0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.kvm.regs import sys_reg
from guestdbg.kvm.table_filters import table_of

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.restriction import HitContext
    from guestdbg.kvm.table_filters import Tables
    from guestdbg.linux.processes.followed import FollowedProcess
    from guestdbg.linux.processes.tasks import TaskStructs

__all__ = ["ProcessRestriction"]

_TTBR0 = sys_reg("TTBR0_EL1")


class ProcessRestriction:
    """The processes, or the thread, that a point is for.

    Args:
        tasks: reads tasks.
        chosen: the processes, which may end, begin, and execute other programs.
        name: as the user names them.
        thread: the ``task_struct`` of a thread, if the point is for one only.
        in_kernel: the point is at an address of the kernel.
        translate: gives the guest-physical address of one by page tables of processes. Raises
            AddressError.
        on_release: called with this object when the point is deleted.
    """

    def __init__(
        self,
        tasks: TaskStructs,
        chosen: list[FollowedProcess],
        name: str,
        *,
        thread: int | None,
        in_kernel: bool,
        translate: Callable[[int, Tables], int],
        on_release: Callable[[ProcessRestriction], None],
    ) -> None:
        self._tasks = tasks
        self._chosen = chosen
        self._name = name
        self._thread = thread
        self._in_kernel = in_kernel
        self._translate = translate
        self._on_release = on_release

    @property
    def tables(self) -> Tables | None:
        """The page tables of the processes now; None for a point in the kernel."""
        if self._in_kernel:
            return None
        return tuple(sorted({each.table for each in self._chosen if each.table is not None}))

    @property
    def by_tables_alone(self) -> bool:
        """Whether the tables decide: not for one thread of several, nor in the kernel."""
        return self._thread is None and not self._in_kernel

    @property
    def pending(self) -> bool:
        """Whether there is none of these processes now: the point cannot be hit."""
        return all(each.mm is None for each in self._chosen)

    def matches(self, context: HitContext) -> bool:
        """Whether a hit on this vCPU is one of the processes."""
        vcpu = context.vcpu
        if self._thread is not None and not self._tasks.executes(vcpu, self._thread):
            return False
        if not self._in_kernel:
            table = table_of(vcpu.get_one_reg(_TTBR0))
            return any(each.table == table for each in self._chosen)
        current = self._tasks.current(vcpu)
        if current is None:
            return False
        tgid = self._tasks.tgid(current)
        return any(each.tgid == tgid for each in self._chosen if each.mm is not None)

    def translate(self, address: int) -> int | None:
        """The guest-physical address of one of the processes' memory. Raises AddressError.

        None for an address of the kernel.
        """
        tables = self.tables
        return None if tables is None else self._translate(address, tables)

    def describe(self) -> str:
        """The processes, by name and number."""
        alive = [str(each.tgid) for each in self._chosen if each.mm is not None]
        return f"{self._name} ({', '.join(alive) or 'pending: there is no such process now'})"

    def release(self) -> None:
        """The point has been deleted."""
        self._on_release(self)
