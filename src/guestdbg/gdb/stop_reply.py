"""Stop events of vCPUs, and the stop replies that report them to the client.

Source: "Debugging with GDB", appendix E.3 (stop reply packets).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger import Watch
from guestdbg.gdb import thread_id
from guestdbg.gdb.register_file import EXPEDITED, PC, SP
from guestdbg.kvm.regs import core_reg

if TYPE_CHECKING:
    from guestdbg.debugger import Stop
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.gdb.breakpoints import ClientBreakpoints

__all__ = ["NO_SIGNAL", "SIGABRT", "SIGINT", "SIGTRAP", "StopEvent", "stop_event"]

#: Signals by GDB's numbers (include/gdb/signals.def).
NO_SIGNAL, SIGINT, SIGTRAP, SIGABRT = 0, 2, 5, 6

_WATCH = {"write": b"watch", "read": b"rwatch", "any": b"awatch"}
_IDS = {29: core_reg("x29"), 30: core_reg("x30"), PC: core_reg("pc")}


@dataclass(frozen=True, slots=True)
class StopEvent:
    """One vCPU has stopped.

    Attributes:
        index: of the vCPU.
        signal: the signal in the stop reply.
        reason: the stop reason in the stop reply, such as ``watch:40200010;``; may be empty.
        stop: the debugger's Stop; None if it stopped only because another one did.
    """

    index: int
    signal: int
    reason: bytes = b""
    stop: Stop | None = None

    def reply(self, context: VcpuContext, *, multiprocess: bool) -> bytes:
        """The stop reply, with the registers that GDB would otherwise read first.

        ``context`` is the vCPU with the event's index.
        """
        parts = [
            b"T%02x" % self.signal,
            _expedited(context),
            b"thread:%s;" % thread_id.format_id(self.index, multiprocess=multiprocess),
            b"core:%x;" % self.index,
            self.reason,
        ]
        return b"".join(parts)


def _expedited(context: VcpuContext) -> bytes:
    get = context.get
    text = ""
    for number in EXPEDITED:
        value = context.sp() if number == SP else get(_IDS[number])
        text += f"{number:x}:{value.to_bytes(8, 'little').hex()};"
    return text.encode()


def stop_event(
    stop: Stop, index: int, breakpoints: ClientBreakpoints, features: Collection[str]
) -> StopEvent:
    """The event for a Stop of the vCPU with this index.

    ``features`` are the client's, as in qSupported: GDB ends a session in which it gets a stop
    reason ``swbreak`` or ``hwbreak`` without having announced it.
    """
    if stop.reason == "interrupt":
        return StopEvent(index, SIGINT, b"", stop)
    if stop.reason in ("error", "idle", "panic"):
        return StopEvent(index, SIGABRT, b"", stop)
    reason = b""
    # Points that are not the client's also stop the guest: `monitor watch`, the serving program.
    hit = next((hit for hit in stop.hits if breakpoints.has(hit.point)), None)
    if hit is not None:
        if isinstance(hit.point, Watch):
            reason = b"%s:%x;" % (_WATCH[hit.point.access], hit.address)
        else:
            name = breakpoints.stop_reason(hit.pc)
            if name is not None and f"{name}+" in features:
                reason = f"{name}:;".encode()
    return StopEvent(index, SIGTRAP, reason, stop)
