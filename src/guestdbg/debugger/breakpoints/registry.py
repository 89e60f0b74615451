"""All points of a guest, and what is armed because of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from guestdbg.arm64.debug import MAX_MASK_BYTES, AccessKind, Privilege
from guestdbg.debugger.breakpoints.armed_state import ArmedState, InternalBreakpoint, arm
from guestdbg.debugger.breakpoints.point import Breakpoint, Condition, Kind, Point, Watch
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.debugger.breakpoints.software_breakpoints import SoftwareBreakpoints
from guestdbg.debugger.errors import InvalidLocation, OutOfRegisters
from guestdbg.debugger.memory.brk_patches import can_patch
from guestdbg.debugger.program.resolver import Code, Data

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["PointRegistry"]

log = logging.getLogger(__name__)

_KINDS = ("hardware", "software", "auto")
#: States of the points whose registers are remembered: a client that takes its points out at every
#: stop and puts them back comes by the same few again and again.
_ARMINGS = 64


class PointRegistry:
    """The watches and breakpoints of a guest."""

    def __init__(self, guest: Guest, overwatch: int) -> None:
        self._guest = guest
        self._overwatch = overwatch
        self._points: dict[int, Point] = {}
        self._temporaries: list[InternalBreakpoint] = []
        self.software = SoftwareBreakpoints(guest)
        self._next = 1
        self._armings: dict[tuple[object, ...], ArmedState] = {}
        self.arming: ArmedState = arm(guest.hardware, ())

    def __iter__(self) -> Iterator[Point]:
        return iter(list(self._points.values()))

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return repr(list(self))

    @contextmanager
    def disarmed(self) -> Iterator[None]:
        """Have none of them armed for a while."""
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
        when: Condition | str | None,
        ignore: int,
        before: bool,
        name: str | None,
        el: Privilege,
        context: int | None,
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
            type_name=data.type_name,
            when=when,
            ignore=ignore,
            el=el,
            context=context,
        )
        self._add(watch)
        return watch

    def record(
        self,
        data: Data,
        *,
        access: AccessKind,
        when: Condition | str | None,
        registers: Sequence[int],
        limit: int | None,
        name: str | None,
    ) -> Recording:
        """Make and arm a recording."""
        assert data.length is not None
        recording = Recording(
            self._next,
            name or data.name,
            self._changed,
            registers=registers,
            limit=limit,
            address=data.address,
            length=data.length,
            access=access,
            before=False,
            type_name=data.type_name,
            when=when,
        )
        self._add(recording)
        return recording

    def breakpoint(
        self,
        code: Code,
        *,
        kind: Kind,
        when: Condition | str | None,
        ignore: int,
        name: str | None,
        el: Privilege,
        context: int | None,
    ) -> Breakpoint:
        """Make and arm a breakpoint."""
        if kind not in _KINDS:
            raise InvalidLocation(f"a breakpoint is 'hardware', 'software' or 'auto', not {kind!r}")

        def make(kind: Literal["hardware", "software"]) -> Breakpoint:
            return Breakpoint(
                self._next,
                name or code.name,
                self._changed,
                addresses=code.addresses,
                kind=kind,
                line=code.line,
                when=when,
                ignore=ignore,
                el=el,
                context=context,
            )

        if kind == "software":
            point = make("software")
            point.why_software = "asked for"
            self._add(point)
            return point
        point = make("hardware")
        try:
            self._add(point)
        except OutOfRegisters as error:
            if kind == "hardware":
                raise
            refused = can_patch(self._guest.board.vm)
            if refused is not None:
                raise OutOfRegisters(f"{error}\n{refused}") from None
            point = make("software")
            point.why_software = (
                f"all {self._guest.hardware.breakpoints} breakpoint registers are taken"
            )
            self._add(point)
            log.warning(
                "%s is a software breakpoint, a BRK instruction in the guest's memory: %s",
                point.name,
                point.why_software,
            )
        return point

    def _add(self, point: Point) -> None:
        self._points[point.number] = point
        try:
            self._rearm(point, more=True)
        except Exception:
            del self._points[point.number]
            self._armings.clear()  # the number goes to another
            raise
        self._next += 1

    def _changed(self, point: Point, what: str) -> None:
        if what == "given another condition":
            self._armings.clear()  # it is compiled anew for an arming not seen before
        self._rearm(point, more=what == "enabled")
        if point.deleted:
            self._points.pop(point.number, None)

    def _rearm(self, point: Point | None = None, *, more: bool = False) -> None:
        """Work out the registers anew; nothing has changed if that fails.

        ``more``: there is a point more, which may be too many.
        """
        arming = self._arm(more=more)
        if isinstance(point, Breakpoint) and point.kind == "software":
            self.software.follow(point)
        for address, length in arming.allocation.over_covered:
            if (address, length) not in self.arming.allocation.over_covered:
                log.warning(
                    "one register watches %d bytes at %#x for the sake of several watches; "
                    "accesses to the bytes between stop the guest for nothing",
                    length,
                    address,
                )
        self.arming = arming
        self._guest.arming = arming

    def _arm(self, *, more: bool) -> ArmedState:
        enabled = tuple(p.number for p in self._points.values() if p.enabled)
        # What a point asks of the hardware never changes, and its number is its own for ever.
        key = (enabled, *self._temporaries)
        return self._armings.get(key) or self._arm_anew(key, more)

    def _arm_anew(self, key: tuple[object, ...], more: bool) -> ArmedState:
        hardware, points = self._guest.hardware, self._points.values()
        try:
            arming = arm(hardware, points, self._temporaries, overwatch=self._overwatch)
        except OutOfRegisters:
            if more:
                raise
            # A watch that is gone had joined others to what few registers can watch. Taking one
            # away must not fail: registers watch more than is asked then.
            arming = arm(hardware, points, self._temporaries, overwatch=MAX_MASK_BYTES)
        if len(self._armings) >= _ARMINGS:
            self._armings.clear()
        self._armings[key] = arming
        return arming

    @contextmanager
    def temporaries(self, wanted: Sequence[InternalBreakpoint]) -> Iterator[None]:
        """Arm the debugger's own breakpoints for a while.

        Where no breakpoint register is left for one, it becomes a BRK if that is possible.
        """
        guest = self._guest
        before = list(self._temporaries)
        self._temporaries += wanted
        patched: list[Breakpoint] = []
        try:
            try:
                self._rearm()
            except OutOfRegisters:
                self._temporaries = before
                addresses = sorted({t.address for t in wanted})
                if can_patch(guest.board.vm) is not None:
                    raise
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
                self._temporaries = before + list(wanted)
                self._rearm()
            yield
        finally:
            self._temporaries = before
            for point in patched:
                point.delete()
            self._rearm()
