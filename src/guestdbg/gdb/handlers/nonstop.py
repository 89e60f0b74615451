"""Non-stop mode, in which each thread stops and resumes by itself: QNonStop, vStopped, vCtrlC.

Source: "Debugging with GDB", appendix E.11 (remote non-stop) and E.10 (notifications).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

FEATURES = (b"QNonStop+",)


def select_mode(session: SessionState, rest: bytes) -> bytes:
    """QNonStop:N: all-stop mode (0) or non-stop mode (1)."""
    if rest not in (b":0", b":1"):
        raise PacketError("QNonStop is QNonStop:0 or QNonStop:1")
    session.threads.set_non_stop(rest == b":1")
    if session.threads.non_stop:
        session.tasks.enabled = False  # they are those of one stop of the whole guest
    return b"OK"


def next_stop_event(session: SessionState, rest: bytes) -> bytes | None:
    """vStopped: the client has received a stop event. The reply is the next one, or OK."""
    event = session.threads.fetched()
    if event is not None:
        return session.stop_reply(event)
    session.reply(b"OK")
    for pending in session.threads.take_pending():
        session.report_later(pending)
    return None


def interrupt(session: SessionState, rest: bytes) -> None:
    """vCtrlC: stop all running threads."""
    session.reply(b"OK")
    session.halt_all()


HANDLERS: dict[bytes, Handler] = {
    b"QNonStop": select_mode,
    b"vStopped": next_stop_event,
    b"vCtrlC": interrupt,
}
