"""Why a thread stands, and how the client is told: stop replies.

Source: "Debugging with GDB", appendix E.3 (stop reply packets).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger import Stop, Watch
from guestdbg.gdb import threads
from guestdbg.gdb.registers import EXPEDITED, PC, SP
from guestdbg.kvm.regs import core_reg

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.gdb.session import Session

__all__ = ["NONE", "SIGABRT", "SIGINT", "SIGTRAP", "Event", "event_of"]

#: Signals as GDB numbers them (include/gdb/signals.def).
NONE, SIGINT, SIGTRAP, SIGABRT = 0, 2, 5, 6

_WATCH = {"write": b"watch", "read": b"rwatch", "any": b"awatch"}
_IDS = {29: core_reg("x29"), 30: core_reg("x30"), PC: core_reg("pc")}


@dataclass(frozen=True, slots=True)
class Event:
    """A stop of one vCPU: the signal that the client sees, and the reason in the reply's words.

    ``stop`` is the debugger's, where it stopped for something.
    """

    place: int
    signal: int
    reason: bytes = b""
    stop: Stop | None = None

    def reply(self, session: Session) -> bytes:
        """The stop reply, with the registers that GDB asks for first."""
        core = session.guest.cores[self.place]
        parts = [
            b"T%02x" % self.signal,
            _expedited(core),
            b"thread:%s;" % threads.show(self.place, multiprocess=session.multiprocess),
            b"core:%x;" % self.place,
            self.reason,
        ]
        return b"".join(parts)


def _expedited(core: VcpuContext) -> bytes:
    get = core.get
    text = ""
    for number in EXPEDITED:
        value = core.sp() if number == SP else get(_IDS[number])
        text += f"{number:x}:{value.to_bytes(8, 'little').hex()};"
    return text.encode()


def _breakpoint(session: Session, pc: int) -> bytes:
    """The reason for a client that knows it: GDB ends a conversation where it is not expected."""
    name = session.inserted.reason(pc)
    if name is None or f"{name}+" not in session.client:
        return b""
    return f"{name}:;".encode()


def event_of(session: Session, stop: Stop) -> Event:
    """What a Stop of the debugger is to the client."""
    place = session.guest.cores.index(session.guest.runloop.current)
    if stop.reason == "interrupt":
        return Event(place, SIGINT, b"", stop)
    if stop.reason in ("error", "idle"):
        return Event(place, SIGABRT, b"", stop)
    reason = b""
    # Points of others stop the guest too: `monitor watch`, and the program that serves it.
    hit = next((hit for hit in stop.hits if session.inserted.has(hit.point)), None)
    if hit is not None:
        if isinstance(hit.point, Watch):
            reason = b"%s:%x;" % (_WATCH[hit.point.access], hit.address)
        else:
            reason = _breakpoint(session, hit.pc)
    return Event(place, SIGTRAP, reason, stop)
