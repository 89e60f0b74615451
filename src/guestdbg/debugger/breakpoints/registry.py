"""All points of a guest, and what is armed because of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

from guestdbg.arm64.debug import MAX_MASK_BYTES
from guestdbg.debugger.breakpoints.armed_state import arm
from guestdbg.debugger.breakpoints.point import (
    Breakpoint,
    Watch,
)
from guestdbg.debugger.breakpoints.software_breakpoints import SoftwareBreakpoints
from guestdbg.debugger.errors import InvalidLocation, OutOfRegisters, Unsupported
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind, Privilege
    from guestdbg.debugger.breakpoints.armed_state import Armable, ArmedState, InternalBreakpoint
    from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch, Read
    from guestdbg.debugger.breakpoints.point import (
        Handler,
        Kind,
        Point,
        Predicate,
    )
    from guestdbg.debugger.breakpoints.recording import Recording
    from guestdbg.debugger.breakpoints.restriction import TaskRestriction
    from guestdbg.debugger.breakpoints.task_words import TaskWords
    from guestdbg.debugger.hardware.requests import WatchRequest
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.debugger.program.pointer_path import PointerPath
    from guestdbg.debugger.program.resolver import Code, Data
    from guestdbg.debugger.program.symbol_source import SymbolSource

__all__ = ["PointRegistry"]

log = logging.getLogger(__name__)

_KINDS = ("hardware", "software", "auto")
#: This bit of an address says which of the two tables translates it.
_UPPER_HALF = 55
#: So many armed states are remembered: a client that takes its points out at every stop, and puts
#: them back, alternates between a few.
_MAX_REMEMBERED = 64


class PointRegistry:
    """The watches and breakpoints of a guest; iterate over it for those there are.

    Attributes:
        software: which of them has its BRK instructions where.
        followed: the watches that follow pointers.

    Args:
        target: what they are armed on.
        translate: the guest-physical address of a virtual one, as the current vCPU has it mapped.
        overwatch: how many bytes one register may watch for the sake of several watches.
        on_patch: called before the set of BRK instructions in guest memory changes.
        info: the guest's program, whose variables conditions name.
    """

    def __init__(
        self,
        target: Armable,
        translate: Callable[[int], int],
        *,
        overwatch: int,
        on_patch: Callable[[], None],
        info: DebugInfo,
    ) -> None:
        self._target = target
        self._overwatch = overwatch
        self._info = info
        self._points: dict[int, Point] = {}
        self._hidden: set[int] = set()
        self.followed: list[FollowedWatch] = []
        self._internal: list[InternalBreakpoint] = []
        self._catches: tuple[int, ...] = ()
        self.software = SoftwareBreakpoints(target.memory, translate, on_patch)
        self._next = 1
        self._remembered: dict[tuple[object, ...], ArmedState] = {}

    def __iter__(self) -> Iterator[Point]:
        return iter([p for p in self._points.values() if p.number not in self._hidden])

    def __len__(self) -> int:
        return len(self._points) - len(self._hidden)

    def __repr__(self) -> str:
        return repr(list(self))

    @contextmanager
    def disarmed(self) -> Iterator[None]:
        """Have none of them armed inside a ``with`` block."""
        enabled = [p for p in self if p.enabled]
        for point in enabled:
            point.enabled = False
        try:
            yield
        finally:
            for point in enabled:
                point.enabled = True

    def watch(
        self,
        data: Data,
        *,
        access: AccessKind,
        when: Predicate | str | None,
        ignore: int = 0,
        before: bool = False,
        name: str | None = None,
        el: Privilege = "any",
        context: int | None = None,
        task: TaskRestriction | None = None,
    ) -> Watch:
        """Make and arm a watch."""
        assert data.length is not None
        watch = Watch(
            self._next,
            name or data.name,
            self._changed,
            address=data.address,
            length=data.length,
            access=access,
            before=before,
            variable=data.name,
            type_name=data.type_name,
            bit_field=data.bit_field,
            float_format=data.float_format,
            when=when,
            ignore=ignore,
            el=el,
            context=context,
            task=task,
        )
        self._add(watch, data.source)
        return watch

    def follow(
        self, variable: str, path: PointerPath, read: Read, name: str | None, **options: Any
    ) -> FollowedWatch:
        """Make and arm a watch that moves with the pointers on its way.

        ``options`` are those of ``watch``. The watches of the pointers are not among the points.
        """
        from guestdbg.debugger.breakpoints.followed_watch import FollowedWatch

        watch = FollowedWatch(
            self._next,
            name or variable,
            self._changed,
            path=path,
            read=read,
            variable=variable,
            **options,
        )
        self._add(watch)
        try:
            pointers = tuple(self._pointer(watch, each) for each in path.names)
            watch.watch_pointers(pointers)
        except BaseException:
            watch.delete()
            raise
        self.followed.append(watch)
        return watch

    def _pointer(self, followed: FollowedWatch, name: str) -> Watch:
        from guestdbg.debugger.breakpoints.followed_watch import POINTER_BYTES

        pointer = Watch(
            self._next,
            f"the pointer {name} of {followed.name}",
            self._changed,
            address=0,
            length=POINTER_BYTES,
            access="write",
            before=False,
        )
        pointer.placed = False
        pointer(lambda hit: followed.follow())
        self._hidden.add(pointer.number)
        self._add(pointer)
        return pointer

    def follow_pointers(self) -> None:
        """Have the watches that follow pointers where these lead now."""
        for watch in self.followed:
            watch.follow()

    def record(
        self,
        data: Data,
        *,
        access: AccessKind,
        when: Predicate | str | None,
        registers: Sequence[int],
        limit: int | None,
        name: str | None,
        task: TaskRestriction | None = None,
        task_words: TaskWords | None = None,
    ) -> Recording:
        """Make and arm a recording."""
        assert data.length is not None
        from guestdbg.debugger.breakpoints.recording import Recording

        recording = Recording(
            self._next,
            name or data.name,
            self._changed,
            registers=registers,
            limit=limit,
            task_words=task_words,
            address=data.address,
            length=data.length,
            access=access,
            before=False,
            variable=data.name,
            type_name=data.type_name,
            bit_field=data.bit_field,
            float_format=data.float_format,
            when=when,
            task=task,
        )
        self._add(recording, data.source)
        return recording

    def breakpoint(
        self,
        code: Code,
        *,
        kind: Kind,
        when: Predicate | str | None,
        ignore: int,
        name: str | None,
        el: Privilege,
        context: int | None,
        task: TaskRestriction | None = None,
    ) -> Breakpoint:
        """Make and arm a breakpoint."""
        if kind not in _KINDS:
            raise InvalidLocation(f"a breakpoint is 'hardware', 'software' or 'auto', not {kind!r}")
        if task is not None and not code.some_address >> _UPPER_HALF & 1:
            if kind == "software":
                raise Unsupported(
                    f"{name or code.name}: a BRK would be put where this vCPU has the address "
                    "mapped, which may be another process: use a hardware breakpoint"
                )
            kind = "hardware"

        def make(kind: Literal["hardware", "software"]) -> Breakpoint:
            return Breakpoint(
                self._next,
                name or code.name,
                self._changed,
                addresses=code.addresses,
                kind=kind,
                where=code.name,
                line=code.line,
                functions=code.functions,
                when=when,
                ignore=ignore,
                el=el,
                context=context,
                task=task,
            )

        if kind == "software":
            point = make("software")
            point.why_software = "asked for"
            self._add(point, code.source)
            return point
        point = make("hardware")
        try:
            self._add(point, code.source)
        except OutOfRegisters as error:
            if kind == "hardware":
                raise
            try:
                self._target.memory.check_patchable()
            except Unsupported as refused:
                raise OutOfRegisters(f"{error}\n{refused}") from None
            point = make("software")
            point.why_software = (
                f"all {self._target.hardware.breakpoints} breakpoint registers are taken"
            )
            self._add(point, code.source)
            log.warning(
                "%s is a software breakpoint, a BRK instruction in the guest's memory: %s",
                point.name,
                point.why_software,
            )
        return point

    def _check(self, point: Point) -> None:
        """Raise an error for a name in the condition that can never have a value."""
        if point.when is None:
            return
        from guestdbg.debugger.breakpoints.conditions.expression import Condition

        if not isinstance(point.when, Condition):
            return
        variables = self._info.variables
        if not isinstance(point, Breakpoint):
            point.when.check(variables.check_anywhere)
            return
        places = [point.place_at(self._info.locate(address)) for address in point.addresses]
        point.when.check(lambda expression: variables.check_at(expression, places))

    def _add(self, point: Point, source: SymbolSource | None = None) -> None:
        point.source = source
        self._check(point)
        self._points[point.number] = point
        try:
            self._rearm(point, more=isinstance(point, Watch))
        except Exception:
            del self._points[point.number]
            self._remembered.clear()  # another point will get the number
            raise
        self._next += 1
        if source is not None:
            source.follow()

    def breakpoints_of(self, source: SymbolSource) -> list[Breakpoint]:
        """The breakpoints at symbols of ``source``."""
        points = self._points.values()
        return [p for p in points if isinstance(p, Breakpoint) and p.source is source]

    def hidden_breakpoint(
        self, code: Code, handler: Handler, when: Predicate | str | None = None
    ) -> Breakpoint:
        """A breakpoint of the debugger's own, which is not among the guest's points."""
        point = self.breakpoint(
            code, kind="auto", when=when, ignore=0, name=None, el="any", context=None
        )
        self._hidden.add(point.number)
        return point(handler)

    def is_listed(self, point: Point) -> bool:
        """Whether it is one of the user's, and not of the debugger or a tool."""
        return point.number not in self._hidden

    def tasks_changed(self) -> None:
        """The tables of points that are for some tasks have changed: arm them with the new ones."""
        self._remembered.clear()
        self._rearm()

    def uses(self, source: SymbolSource) -> bool:
        """Whether a point is at a symbol of ``source``."""
        return any(point.source is source for point in self._points.values())

    def relocate(self, source: SymbolSource, addresses: range, distance: int) -> None:
        """The symbols of ``source`` at these addresses have moved by so many bytes.

        So do the points that were named by them.
        """
        moved = [point for point in self._points.values() if point.source is source]
        # A BRK is taken out of its old place before, and put into the new one afterwards.
        patched = [
            point
            for point in moved
            if point.enabled and isinstance(point, Breakpoint) and point.kind == "software"
        ]
        for point in patched:
            point.enabled = False
        for each in moved:
            if isinstance(each, Watch | Breakpoint):
                each.shift(addresses, distance)
        self._remembered.clear()
        self._rearm()
        for point in patched:
            try:
                point.enabled = True
            except GuestdbgError as error:
                log.warning("%s has moved by %#x, and stays disabled: %s", point, distance, error)

    def report_before(self, watch: Watch, *, before: bool) -> None:
        """Have a watch report accesses before they are made, or after that."""
        watch.before = before
        self._remembered.clear()
        self._rearm()

    def _changed(self, point: Point, what: str) -> None:
        if what == "given another condition":
            self._check(point)
            if not point.enabled:
                return
        if what in ("given another condition", "moved"):
            # Conditions are compiled for a new armed state only, and places are not in its key.
            self._remembered.clear()
        more = what == "enabled" or (what == "moved" and point.placed)
        self._rearm(point, more=more and isinstance(point, Watch))
        if point.deleted:
            self._points.pop(point.number, None)
            self._hidden.discard(point.number)
            self.followed = [watch for watch in self.followed if watch is not point]

    def _rearm(self, point: Point | None = None, *, more: bool = False) -> None:
        """Allocate the debug registers again; if that fails, nothing has changed.

        ``more`` says that a watch was added, for which the registers may not suffice.
        """
        armed = self._armed_state(more=more)
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.software.sync(point)
        for address, length in armed.allocation.over_covered:
            if (address, length) not in self._target.armed.allocation.over_covered:
                log.warning(
                    "one register watches %d bytes at %#x for the sake of several watches; "
                    "accesses to the bytes between them stop the guest for nothing",
                    length,
                    address,
                )
        self._target.armed = armed

    def _armed_state(self, *, more: bool) -> ArmedState:
        enabled = tuple(p.number for p in self._points.values() if p.enabled)
        # What a point needs of the hardware never changes, and no number is used twice.
        key = (enabled, self._catches, *self._internal)
        return self._remembered.get(key) or self._new_armed_state(key, more)

    def _new_armed_state(self, key: tuple[object, ...], more: bool) -> ArmedState:
        try:
            armed = self._arm(self._overwatch)
        except OutOfRegisters:
            if more:
                raise
            # The watch that was taken out had joined its neighbours to a range that few registers
            # can watch. Taking a point out must not fail: a register watches more than is needed.
            armed = self._arm_more_than_needed()
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = armed
        return armed

    def _arm_more_than_needed(self) -> ArmedState:
        # Sharing registers anew is not always enough. Those that are armed now are, as they were
        # allocated: exactly, or shared.
        before = self._target.armed.requests
        for overwatch, beside in ((MAX_MASK_BYTES, ()), (self._overwatch, before)):
            with suppress(OutOfRegisters):
                return self._arm(overwatch, beside)
        return self._arm(MAX_MASK_BYTES, before)

    def _arm(self, overwatch: int, beside: Sequence[WatchRequest] = ()) -> ArmedState:
        return arm(
            self._target.hardware,
            self._points.values(),
            self._internal,
            catches=self._catches,
            overwatch=overwatch,
            beside=beside,
        )

    def catch(self, addresses: Sequence[int]) -> None:
        """Arm breakpoints at which semihosting calls are caught, and no others.

        Raises OutOfRegisters; then nothing has changed.
        """
        before, self._catches = self._catches, tuple(dict.fromkeys(addresses))
        try:
            self._rearm()
        except OutOfRegisters:
            self._catches = before
            raise

    @contextmanager
    def internal_breakpoints(self, breakpoints: Sequence[InternalBreakpoint]) -> Iterator[None]:
        """Arm the debugger's own breakpoints inside a ``with`` block.

        If no breakpoint register is left for one, it becomes a BRK where that is possible.
        """
        before = list(self._internal)
        self._internal += breakpoints
        patched: list[Breakpoint] = []
        try:
            try:
                self._rearm()
            except OutOfRegisters as error:
                self._internal = before
                addresses = sorted({b.address for b in breakpoints})
                try:
                    self._target.memory.check_patchable()
                except Unsupported:
                    raise error from None
                from guestdbg.debugger.program.resolver import Code

                patched.append(
                    self.breakpoint(
                        Code("a place to come back to", tuple(addresses)),
                        kind="software",
                        when=lambda hit: False,
                        ignore=0,
                        name=None,
                        el="any",
                        context=None,
                    )
                )
                self._internal = before + list(breakpoints)
                self._rearm()
            yield
        finally:
            self._internal = before
            for point in patched:
                point.delete()
            self._rearm()
