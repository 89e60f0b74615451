"""Where a run with one input ends: the end of the function, and what counts as a crash."""

from __future__ import annotations

from signal import SIGABRT, SIGSEGV, SIGTRAP, SIGXCPU
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC, class_words
from guestdbg.debugger import STOP
from guestdbg.debugger.breakpoints.spec_parser import parse_break, parse_watch
from guestdbg.errors import GuestdbgError
from guestdbg.fuzz.errors import FuzzError
from guestdbg.fuzz.outcome import Outcome, signal_of_exception

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guestdbg.debugger import Breakpoint, Guest, Hit, Stop, Watch

__all__ = ["RETURN", "CrashPoints"]

RETURN = "return"

#: Offsets in the vector table: synchronous exceptions from EL1 itself, with SP_EL0 and SP_EL1.
_SYNCHRONOUS = (0x000, 0x200)
#: Exception classes that come with an address in FAR_EL1.
_WITH_FAR = (EC.IABT_CUR, EC.DABT_CUR, EC.PC_ALIGN, EC.WATCHPT_CUR)


class CrashPoints:
    """The points at which runs end, set in a guest that is where its inputs begin.

    Every point of the guest that ends a run is a crash, also those that were there before.

    Args:
        guest: the guest.
        until: where a run ends well: a location, or RETURN: the caller of the current function.
        crash: breakpoints that are crashes, as ``guestdbg run --break`` takes them.
        crash_watch: watches that are crashes, as ``guestdbg run --watch`` takes them.
        exceptions: whether a synchronous exception of EL1 itself, other than an SVC, is a crash.

    Raises:
        FuzzError: the current function has no caller.
        GuestdbgError: what setting the points raises.
    """

    def __init__(
        self,
        guest: Guest,
        *,
        until: str,
        crash: Iterable[str],
        crash_watch: Iterable[str],
        exceptions: bool,
    ) -> None:
        self._guest = guest
        self._points: list[Breakpoint | Watch] = []
        self._catches: tuple[Breakpoint, ...] = ()
        try:
            self._end = _end(guest, until)
            self._points.append(self._end)
            self._set(crash, crash_watch, exceptions=exceptions)
        except GuestdbgError:
            self.delete()
            raise

    def _set(self, crash: Iterable[str], watches: Iterable[str], *, exceptions: bool) -> None:
        guest = self._guest
        for text in crash:
            spec = parse_break(text, "a crash")
            self._points.append(guest.break_(spec.where, when=spec.condition))
        for text in watches:
            watch = parse_watch(text, "a crash")
            self._points.append(
                guest.watch(watch.where, watch.length, watch.access, when=watch.condition)
            )
        if exceptions:
            vectors = guest.cpu.reg("VBAR_EL1")
            self._catches = tuple(guest.break_(vectors + offset) for offset in _SYNCHRONOUS)
            for catch in self._catches:
                catch(_unless_call)
            self._points.extend(self._catches)

    def delete(self) -> None:
        """Remove the points."""
        for point in self._points:
            point.delete()
        self._points.clear()

    def outcome(self, stop: Stop) -> Outcome:
        """What a run that ended so has come to."""
        if stop.reason == "hit":
            return self._hit(stop)
        if stop.reason in ("limit", "timeout", "idle"):
            return Outcome("hang", stop.detail, int(SIGXCPU), stop)
        if stop.reason == "exit" and not stop.status:
            return Outcome("end", stop.detail, 0, stop)
        detail = f"{stop.detail} (exit status {stop.status})" if stop.status else str(stop)
        return Outcome("crash", detail, int(SIGSEGV if stop.reason == "error" else SIGABRT), stop)

    def is_exception(self, outcome: Outcome) -> bool:
        """Whether it is the crash of an exception, and the guest is at its vector."""
        stop = outcome.stop
        return stop is not None and any(hit.point in self._catches for hit in stop.hits)

    def _hit(self, stop: Stop) -> Outcome:
        points = [hit.point for hit in stop.hits]
        if points == [self._end]:
            return Outcome("end", "the function has returned", 0, stop)
        if any(point in self._catches for point in points):
            return self._exception(stop)
        return Outcome("crash", "; ".join(map(str, stop.hits)), int(SIGTRAP), stop)

    def _exception(self, stop: Stop) -> Outcome:
        esr, far = stop.cpu.reg("ESR_EL1"), stop.cpu.reg("FAR_EL1")
        where = self._guest.locate(stop.cpu.reg("ELR_EL1"))
        detail = f"{class_words(esr >> 26 & 0x3F)} at {where}"
        if where.function is None:
            detail += f", called from {self._guest.locate(stop.cpu.x[30] - 4)}"
        if esr >> 26 & 0x3F in _WITH_FAR:
            detail += f", address {far:#x}"
        return Outcome("crash", detail, signal_of_exception(esr), stop)


def _unless_call(hit: Hit) -> object:
    """Handlers of exceptions: a call of the kernel by itself is none that ends the run."""
    return None if hit.vcpu.reg("ESR_EL1") >> 26 & 0x3F == EC.SVC64 else STOP


def _end(guest: Guest, until: str) -> Breakpoint:
    """The breakpoint at which runs end well."""
    if until != RETURN:
        spec = parse_break(until, "--until")
        return guest.break_(spec.where, when=spec.condition)
    frames = guest.cpu.backtrace(2)
    if len(frames) < 2:
        raise FuzzError(
            f"{guest.cpu.location} has no caller that is known: say where a run ends (--until, "
            "until=)"
        )
    caller = frames[1]
    # Deeper calls that return to the same address have a lower stack pointer there.
    when = None if caller.sp is None else f"sp >= {caller.sp:#x}"
    return guest.break_(caller.pc, when=when)
