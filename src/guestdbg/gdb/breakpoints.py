"""What the client has inserted with Z packets, as points of the debugger.

GDB takes its points out whenever the guest stops and puts them back when it goes on. A point that
is taken out is therefore only disabled, and kept for when the same is asked for again.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from guestdbg.arm64.debug import AccessKind
from guestdbg.debugger import Breakpoint, DebuggerError, Point
from guestdbg.debugger.errors import AddressError, OutOfRegisters, Unsupported
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.agent import AgentCondition, CommandList, Tail
from guestdbg.gdb.agent.target import NameRegister
from guestdbg.gdb.brk_guards import Guards
from guestdbg.gdb.errors import Refused

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["Inserted", "Key"]

log = logging.getLogger(__name__)

#: Z packet types ("Debugging with GDB", appendix E.2, "insert breakpoint").
SOFTWARE, HARDWARE, WRITE, READ, ACCESS = range(5)
_ACCESS: dict[int, AccessKind] = {WRITE: "write", READ: "read", ACCESS: "any"}
_KEPT = 64
_NOTHING = Tail()


class Key(NamedTuple):
    """A Z packet's type, address and kind; for a watchpoint the kind is its length."""

    type: int
    address: int
    kind: int


class Inserted:
    """The points of one client.

    ``guards`` are the watchpoints over those that are BRK instructions. ``output`` takes what their
    commands print, ``name`` knows the registers by their numbers.
    """

    def __init__(self, guest: Guest, output: Callable[[bytes], object], name: NameRegister) -> None:
        self._guest = guest
        self._output = output
        self._name = name
        self._points: dict[Key, Point] = {}
        self._spare: dict[Key, Point] = {}
        # Where the guest has lost a BRK of ours: a breakpoint there is worth a register.
        self._written: set[int] = set()
        self._freed = False
        self.guards = Guards(guest, self._written.add)
        self.make_room = self.guards.make_room

    def __iter__(self) -> Iterator[tuple[Key, Point]]:
        return iter(list(self._points.items()))

    def __len__(self) -> int:
        return len(self._points)

    def get(self, key: Key) -> Point | None:
        """The point that is inserted there; None if there is none."""
        return self._points.get(key)

    def has(self, point: Point) -> bool:
        """Whether it is one of the client's."""
        return point in self._points.values()

    def insert(self, key: Key, tail: Tail = _NOTHING) -> Point:
        """Insert a point; one that is there already is given these conditions and commands.

        Raises Refused.
        """
        point = self._arm(key, wanted=bool(tail.conditions or tail.commands))
        commands = point.handler
        known = (
            point.when.expressions if isinstance(point.when, AgentCondition) else (),
            commands.expressions if isinstance(commands, CommandList) else (),
        )
        if known != (tail.conditions, tail.commands):
            name, say = self._name, self._output
            point.when = AgentCondition(tail.conditions, name) if tail.conditions else None
            point.handler = CommandList(tail.commands, say, name) if tail.commands else None
        if isinstance(point.handler, CommandList):
            point.handler.persist = tail.persist
        return point

    def _arm(self, key: Key, *, wanted: bool) -> Point:
        """``wanted``: a register is worth another's BRK, as only there conditions are quick."""
        point = self._points.get(key)
        if point is not None:
            return point
        try:
            point = self._from_spare_or_new(key)
        except OutOfRegisters as error:
            if key.type in _ACCESS:
                raise _refused(error) from error
            point = self._without_register(key, wanted, error)
        except DebuggerError as error:
            raise _refused(error) from error
        self._points[key] = point
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.guards.protect(point)
        return point

    def _without_register(self, key: Key, wanted: bool, error: OutOfRegisters) -> Point:
        """A breakpoint for which no register is free: another's, or a BRK."""
        if key.type == HARDWARE or wanted or key.address in self._written:
            made = self._in_place_of_another(key, wanted)
            if made is not None:
                return made
        if key.type == HARDWARE:
            raise _refused(error) from error
        try:
            return self._break(key, "software")
        except Refused:
            # There is no memory yet: a register can wait for it, and another's BRK need not.
            made = self._in_place_of_another(key, wanted=False)
            if made is None:
                raise
            return made

    def _from_spare_or_new(self, key: Key) -> Point:
        if key.type in _ACCESS:
            return self.make_room(lambda: self._spared(key) or self._make(key))
        return self._spared(key) or self._make(key)

    def _spared(self, key: Key) -> Point | None:
        """The same point from before, if there is one and still room for it."""
        point = self._spare.pop(key, None)
        if point is not None:
            try:
                point.enabled = True
            except OutOfRegisters:
                point.delete()
                return None
        return point

    def _make(self, key: Key) -> Point:
        if key.type in _ACCESS:
            access, name = _ACCESS[key.type], _name(key)
            return self._guest.watch(key.address, key.kind, access=access, before=True, name=name)
        return self._break(key, "hardware")

    def _break(self, key: Key, kind: Literal["hardware", "software"]) -> Breakpoint:
        try:
            return self._guest.break_(key.address, kind=kind, name=_name(key))
        except OutOfRegisters:
            raise
        except GuestdbgError as error:  # KVM's too: a BRK where there is no memory
            raise _refused(error) from error

    def _in_place_of_another(self, key: Key, wanted: bool) -> Point | None:
        """Make it in the register of one that can be a BRK as well; None: there is no such one."""
        # Those with conditions are the last: as a BRK they are judged in Python.
        candidates = sorted(self._points.items(), key=lambda item: _is_busy(item[1]))
        for other, point in candidates:
            if other.type != SOFTWARE or not isinstance(point, Breakpoint):
                continue
            if point.kind != "hardware" or (wanted and _is_busy(point)):
                continue
            if other.address in self._written and key.type != HARDWARE:
                continue
            try:
                patched = self._break(other, "software")
            except Refused:
                continue
            # Only set aside: what is refused after all leaves everything as it was.
            point.enabled = False
            try:
                made = self._make(key)
            except GuestdbgError:
                patched.delete()
                point.enabled = True
                raise
            patched.when, patched.handler = point.when, point.handler
            point.delete()
            self._points[other] = patched
            self.guards.protect(patched)
            return made
        return None

    @property
    def in_memory(self) -> bool:
        """Whether some are BRK instructions, which ``look_after`` is to be called for."""
        return bool(self._guest.arming.software)

    def look_after(self) -> None:
        """See which BRK instructions the guest has lost, and have registers for them if possible.

        The others are put back when the guest goes on.
        """
        if self._freed:
            self._freed = False
            self.guards.fill()
        lost = self._guest.points.software.lost()
        for key, point in list(self._points.items()):
            if point not in lost:
                continue
            assert isinstance(point, Breakpoint)
            self._written.add(key.address)
            made = self._in_place_of_another(key, wanted=False)
            if made is not None:
                made.when, made.handler = point.when, point.handler
                self.guards.release(point)
                point.delete()
                self._points[key] = made

    def remove(self, key: Key) -> None:
        """Take a point out; what is not there is gone already."""
        point = self._points.pop(key, None)
        if point is None:
            return
        point.enabled = False
        if key.type in _ACCESS:
            self._freed = True
            # Put back, it is a new one: an access that has been told is told again.
            for core in self._guest.cores:
                core.watching.reported_before_access = None
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.guards.release(point)
            point.delete()  # next time there may be a register for it
            return
        if len(self._spare) >= _KEPT:
            self._drop_spare()
        self._spare[key] = point

    def clear(self, left: Callable[[bytes], object] | None = None) -> None:
        """Take everything out; ``left`` takes what the commands print that are to go on then."""
        for key, point in list(self._points.items()):
            commands = point.handler
            if left is not None and isinstance(commands, CommandList) and commands.persist:
                commands.output = left
                del self._points[key]
            else:
                self.remove(key)
        self.guards.clear()
        self._drop_spare()

    def replace_left(self) -> None:
        """Take out what an earlier client has left behind."""
        for point in self._guest.points:
            if isinstance(point.handler, CommandList) and not self.has(point):
                point.delete()

    def _drop_spare(self) -> None:
        for point in self._spare.values():
            point.delete()
        self._spare.clear()

    def reason(self, pc: int) -> str | None:
        """What a stop at a breakpoint at ``pc`` is called, by how the client asked for it."""
        for key in self._points:
            if key.address == pc and key.type in (SOFTWARE, HARDWARE):
                return "swbreak" if key.type == SOFTWARE else "hwbreak"
        return None


def _is_busy(point: Point) -> bool:
    """Whether there is something to be judged or done at every hit."""
    return point.when is not None or point.handler is not None


def _name(key: Key) -> str:
    return f"Z{key.type},{key.address:x},{key.kind:x}"


def _refused(error: GuestdbgError) -> Refused:
    number = errno.EINVAL
    if isinstance(error, OutOfRegisters):
        number = errno.ENOSPC
    elif isinstance(error, AddressError):
        number = errno.EFAULT
    elif isinstance(error, Unsupported):
        number = errno.EOPNOTSUPP
    log.debug("refused: %s", error)
    return Refused(str(error), number)
