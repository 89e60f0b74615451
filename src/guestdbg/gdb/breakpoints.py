"""The client's breakpoints and watchpoints (Z packets) as points of the debugger.

GDB removes its breakpoints whenever the guest stops and inserts them again when it resumes. A
removed point is therefore only disabled, and kept for the next insertion of the same one.

A Z0 breakpoint gets a breakpoint register where one is free, because conditions are evaluated by
the provider only there, and because the guest cannot overwrite it. Otherwise it is a BRK.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

from guestdbg.debugger import Breakpoint, DebuggerError
from guestdbg.debugger.errors import OutOfRegisters
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.agent import AgentCondition, BreakpointLists, CommandList
from guestdbg.gdb.breakpoint_key import (
    HARDWARE,
    SOFTWARE,
    WATCH_ACCESS,
    packet_error,
)
from guestdbg.gdb.brk_guards import BrkGuards
from guestdbg.gdb.errors import PacketError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Point
    from guestdbg.gdb.agent.hit_target import RegisterName
    from guestdbg.gdb.breakpoint_key import (
        BreakpointKey,
    )

__all__ = ["ClientBreakpoints"]

#: The points that a client may have, and the bytes of all their conditions and commands.
MAX_POINTS = 4096
MAX_LIST_BYTES = 256 << 10
#: Removed points that are kept.
_MAX_REMOVED = 64
_NO_LISTS = BreakpointLists()


class ClientBreakpoints:
    """The breakpoints and watchpoints of one client.

    Args:
        guest: the guest.
        output: called with the bytes that command lists print.
        register_name: the name of a register by its number in the target description.

    Attributes:
        guards: the watchpoints over those that are BRK instructions.
    """

    def __init__(
        self, guest: Guest, output: Callable[[bytes], object], register_name: RegisterName
    ) -> None:
        self._guest = guest
        self._output = output
        self._register_name = register_name
        self._points: dict[BreakpointKey, Point] = {}
        self._removed: dict[BreakpointKey, Point] = {}
        # Addresses where the guest has overwritten a BRK: a breakpoint there deserves a register.
        self._overwritten: set[int] = set()
        self._watch_removed = False
        self.guards = BrkGuards(guest, self._overwritten.add)

    def __iter__(self) -> Iterator[tuple[BreakpointKey, Point]]:
        return iter(list(self._points.items()))

    def __len__(self) -> int:
        return len(self._points)

    def get(self, key: BreakpointKey) -> Point | None:
        """The inserted point with this key; None if there is none."""
        return self._points.get(key)

    def has(self, point: Point) -> bool:
        """Whether the point is one of the client's."""
        return point in self._points.values()

    # ---- Z: inserting ------------------------------------------------------------------------

    def insert(self, key: BreakpointKey, lists: BreakpointLists = _NO_LISTS) -> Point:
        """Insert a point. If it is inserted already, its conditions and commands are replaced.

        Raises PacketError.
        """
        self._check_room(key, lists)
        point = self._arm(key, has_lists=bool(lists.conditions or lists.commands))
        commands = point.handler
        before = (
            point.when.expressions if isinstance(point.when, AgentCondition) else (),
            commands.expressions if isinstance(commands, CommandList) else (),
        )
        if before != (lists.conditions, lists.commands):
            name, output = self._register_name, self._output
            point.when = AgentCondition(lists.conditions, name) if lists.conditions else None
            point.handler = CommandList(lists.commands, output, name) if lists.commands else None
        if isinstance(point.handler, CommandList):
            point.handler.persist = lists.persist
        return point

    def _check_room(self, key: BreakpointKey, lists: BreakpointLists) -> None:
        """Refuse more points and longer lists than any debugger needs: a client may send them for
        ever. Raises PacketError."""
        if key not in self._points and len(self._points) >= MAX_POINTS:
            raise PacketError(
                f"there are {MAX_POINTS} breakpoints and watchpoints, which is the most",
                errno.ENOSPC,
            )
        if not lists.size:
            return
        kept = [*self._points.items(), *self._removed.items()]
        size = lists.size + sum(_list_bytes(point) for other, point in kept if other != key)
        if size > MAX_LIST_BYTES:
            raise PacketError(
                f"the conditions and commands of all breakpoints would have {size} bytes: "
                f"{MAX_LIST_BYTES} is the most",
                errno.ENOSPC,
            )

    def _arm(self, key: BreakpointKey, *, has_lists: bool) -> Point:
        """``has_lists``: it may take the register of a breakpoint without conditions or commands,
        which then becomes a BRK: only in a register are conditions evaluated by the provider."""
        point = self._points.get(key)
        if point is not None:
            return point
        try:
            point = self._enable_removed_or_create(key)
        except OutOfRegisters as error:
            if key.is_watch:
                raise packet_error(error) from error
            point = self._without_free_register(key, has_lists, error)
        except DebuggerError as error:
            raise packet_error(error) from error
        self._points[key] = point
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.guards.protect(point)
        return point

    def _without_free_register(
        self, key: BreakpointKey, has_lists: bool, error: OutOfRegisters
    ) -> Point:
        """A breakpoint while no register is free: in another breakpoint's register, or a BRK."""
        if key.type == HARDWARE or has_lists or key.address in self._overwritten:
            created = self._take_register(key, has_lists)
            if created is not None:
                return created
        if key.type == HARDWARE:
            raise packet_error(error) from error
        try:
            return self._create_breakpoint(key, "software")
        except PacketError:
            # There is no memory at the address yet: a BRK is impossible, a register is not.
            created = self._take_register(key, has_lists=False)
            if created is None:
                raise
            return created

    def _enable_removed_or_create(self, key: BreakpointKey) -> Point:
        def enable_or_create() -> Point:
            return self._enable_removed(key) or self._create(key)

        return self.guards.make_room(enable_or_create) if key.is_watch else enable_or_create()

    def _enable_removed(self, key: BreakpointKey) -> Point | None:
        """The same point from before, if it was kept and there is still a register for it."""
        point = self._removed.pop(key, None)
        if point is not None:
            try:
                point.enabled = True
            except OutOfRegisters:
                point.delete()
                return None
        return point

    def _create(self, key: BreakpointKey) -> Point:
        if key.is_watch:
            access = WATCH_ACCESS[key.type]
            return self._guest.watch(
                key.address, key.kind, access=access, before=True, name=str(key)
            )
        return self._create_breakpoint(key, "hardware")

    def _create_breakpoint(
        self, key: BreakpointKey, kind: Literal["hardware", "software"]
    ) -> Breakpoint:
        try:
            return self._guest.break_(key.address, kind=kind, name=str(key))
        except OutOfRegisters:
            raise
        except GuestdbgError as error:  # also KVM's: a BRK where there is no memory
            raise packet_error(error) from error

    def _take_register(self, key: BreakpointKey, has_lists: bool) -> Point | None:
        """Create a point in the register of a Z0 breakpoint, which becomes a BRK.

        None if there is no such breakpoint.
        """
        # Those with conditions or commands come last: at a BRK they are evaluated in Python.
        candidates = sorted(self._points.items(), key=lambda item: _has_lists(item[1]))
        for other, point in candidates:
            if other.type != SOFTWARE or not isinstance(point, Breakpoint):
                continue
            if point.kind != "hardware" or (has_lists and _has_lists(point)):
                continue
            if other.address in self._overwritten and key.type != HARDWARE:
                continue
            try:
                patched = self._create_breakpoint(other, "software")
            except PacketError:
                continue
            # Disabled, not deleted: if the new one is refused after all, nothing changes.
            point.enabled = False
            try:
                created = self._create(key)
            except GuestdbgError:
                patched.delete()
                point.enabled = True
                raise
            patched.when, patched.handler = point.when, point.handler
            point.delete()
            self._points[other] = patched
            self.guards.protect(patched)
            return created
        return None

    # ---- while the guest runs ----------------------------------------------------------------

    def check_brks(self) -> None:
        """Before the guest resumes: give a register to each BRK that the guest has overwritten.

        Where no register can be freed, the debugger puts the BRK back when the guest resumes.
        """
        if self._watch_removed:
            self._watch_removed = False
            self.guards.fill()
        lost = self._guest.execution.lost_software_breakpoints()
        for key, point in list(self._points.items()):
            if point not in lost:
                continue
            assert isinstance(point, Breakpoint)
            self._overwritten.add(key.address)
            created = self._take_register(key, has_lists=False)
            if created is not None:
                created.when, created.handler = point.when, point.handler
                self.guards.release(point)
                point.delete()
                self._points[key] = created

    def stop_reason(self, pc: int) -> str | None:
        """The stop reason for a breakpoint at ``pc``, by the type that the client inserted."""
        for key in self._points:
            if key.address == pc and key.type in (SOFTWARE, HARDWARE):
                return "swbreak" if key.type == SOFTWARE else "hwbreak"
        return None

    # ---- z: removing -------------------------------------------------------------------------

    def remove(self, key: BreakpointKey) -> None:
        """Remove a point. Removing one that is not inserted does nothing."""
        point = self._points.pop(key, None)
        if point is None:
            return
        point.enabled = False
        if key.is_watch:
            self._watch_removed = True
            # Inserted again it is a new watchpoint: an access that the guest is stopped at, and
            # that the client has seen, is reported to it once more.
            self._guest.execution.report_accesses_again()
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.guards.release(point)
            point.delete()  # there may be a register for it when it is inserted again
            return
        if len(self._removed) >= _MAX_REMOVED:
            self._delete_removed()
        self._removed[key] = point

    def clear(self, persistent_output: Callable[[bytes], object] | None = None) -> None:
        """Remove all points.

        With ``persistent_output``, breakpoints whose commands persist after the client has
        disconnected stay, and print to it.
        """
        for key, point in list(self._points.items()):
            commands = point.handler
            if (
                persistent_output is not None
                and isinstance(commands, CommandList)
                and commands.persist
            ):
                commands.output = persistent_output
                del self._points[key]
            else:
                self.remove(key)
        self.guards.clear()
        self._delete_removed()

    def delete_persistent(self) -> None:
        """Delete the breakpoints with commands that an earlier client has left in the guest."""
        for point in self._guest.points:
            if isinstance(point.handler, CommandList) and not self.has(point):
                point.delete()

    def _delete_removed(self) -> None:
        for point in self._removed.values():
            point.delete()
        self._removed.clear()
        if len(self._overwritten) > MAX_POINTS:
            self._overwritten.clear()


def _has_lists(point: Point) -> bool:
    """Whether it has a condition or commands."""
    return point.when is not None or point.handler is not None


def _list_bytes(point: Point) -> int:
    """The bytes of its conditions and commands."""
    return sum(
        len(expression.code)
        for lists in (point.when, point.handler)
        if isinstance(lists, AgentCondition | CommandList)
        for expression in lists.expressions
    )
