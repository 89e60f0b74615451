"""Breakpoints in a program of the guest, whichever process executes it, from its first instruction.

They are set at ``finalize_exec``, when the kernel has mapped the program and executes it next: then
it is known where it is. A program that is loaded at another address each time (PIE, with address
space randomisation) takes a breakpoint register for each process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

from guestdbg.debugger import Breakpoint, OutOfRegisters
from guestdbg.debugger.breakpoints.point import Predicate
from guestdbg.linux.processes.followed import FollowedProcess

if TYPE_CHECKING:
    from guestdbg.debugger import Hit
    from guestdbg.debugger.program.image import Image

__all__ = ["FollowFork", "ProgramBreakpoint"]

log = logging.getLogger(__name__)

FollowFork = Literal["parent", "child", "both"]
#: What sets a breakpoint at an address of these processes, with a condition.
SetBreakpoint = Callable[[int, list[FollowedProcess], Predicate | None], Breakpoint]


def _nothing(task: int) -> None:
    pass


class ProgramBreakpoint:
    """A breakpoint in every process that executes a program.

    Attributes:
        file: the program's path in the guest.
        function: where in it.
        when: only hits for which it is true count; None: all.
        missed: processes that had no breakpoint, because no register was left.
    """

    def __init__(
        self,
        file: str,
        function: str,
        follow_fork: FollowFork,
        when: Predicate | None,
        set_breakpoint: SetBreakpoint,
        release: Callable[[ProgramBreakpoint], None],
    ) -> None:
        self.file = file
        self.function = function
        self.follow_fork = follow_fork
        self.when = when
        self.missed = 0
        #: Called with the ``task_struct`` of a process that has executed a program.
        self.awaited: Callable[[int], None] = _nothing
        #: Called with the number of a process that forks, and its child's ``task_struct``.
        self.awaited_fork: Callable[[int, int], bool] | None = None
        self._set = set_breakpoint
        self._release = release
        self._handler: Callable[[Hit], Any] | None = None
        self._points: dict[int, tuple[Breakpoint, list[FollowedProcess]]] = {}
        self._hits = 0

    def __call__(self, handler: Callable[[Hit], Any]) -> Self:
        """Set the handler, as that of a ``Breakpoint``; without one a hit ends the run."""
        self._handler = handler
        for point, _ in self._points.values():
            point(handler)
        return self

    @property
    def hits(self) -> int:
        """How often it was hit in all processes."""
        return self._hits + sum(point.hits for point, _ in self._points.values())

    @property
    def points(self) -> list[Breakpoint]:
        """The breakpoints that there are now; empty while no process executes the program."""
        return [point for point, _ in self._points.values()]

    @property
    def pending(self) -> bool:
        """Whether no process executes the program now."""
        return all(p.mm is None for _, chosen in self._points.values() for p in chosen)

    def delete(self) -> None:
        """Take it out of all processes, and of those to come."""
        for address in list(self._points):
            self._drop(address)
        self._release(self)

    def _drop(self, address: int) -> None:
        point, _ = self._points.pop(address)
        self._hits += point.hits
        point.delete()

    def add(self, address: int, process: FollowedProcess) -> bool:
        """Have it in this process, too. Whether the processes of a point have changed."""
        for place, (_, chosen) in list(self._points.items()):
            if place != address and all(each.mm is None for each in chosen):
                self._drop(place)  # its processes have ended, and the register is of use
        if address in self._points:
            chosen = self._points[address][1]
            if process in chosen:
                return False
            chosen.append(process)
            return True
        chosen = [process]
        try:
            point = self._set(address, chosen, self.when)
        except OutOfRegisters as error:
            self.missed += 1
            log.warning(
                "%s:%s is not set in process %d: %s",
                self.file,
                self.function,
                process.tgid,
                str(error).splitlines()[0],
            )
            return False
        self._points[address] = point, chosen
        if self._handler is not None:
            point(self._handler)
        return False

    def forks(self, followed: Callable[[int], FollowedProcess]) -> Callable[[int, int], bool]:
        """What is called with the pid of a process that forks, and its child's ``task_struct``."""

        def forked(parent: int, child: int) -> bool:
            return any(
                each.tgid == parent and each.mm is not None
                for _, chosen in self._points.values()
                for each in chosen
            ) and self.forked(parent, followed(child))

        return forked

    def forked(self, parent: int, child: FollowedProcess) -> bool:
        """A process has forked. Whether that concerns it: the child is followed then."""
        for _, chosen in self._points.values():
            for each in chosen:
                if each.tgid == parent and each.mm is not None:
                    if self.follow_fork == "child":
                        chosen.remove(each)
                    chosen.append(child)
                    return True
        return False

    def __repr__(self) -> str:
        return f"<ProgramBreakpoint {self.file}:{self.function}, {self.hits} hits>"


def address_in(image: Image, function: str) -> int | None:
    """The address that a symbol, ``symbol+offset`` or number means; None if there is none."""
    name, plus, offset = function.partition("+")
    try:
        if name[:1].isdigit():
            return int(name, 0) + image.slide
        distance = int(offset, 0) if plus else 0
    except ValueError:
        return None
    found = image.symbols.find(name)
    return None if found is None else found.address + distance
