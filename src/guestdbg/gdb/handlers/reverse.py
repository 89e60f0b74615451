"""Going back: bs, bc. They need a guest with a history.

Source: "Debugging with GDB", appendix E.2 (packets) and E.3 (stop reply packets: replaylog).

A watchpoint is reported after its access, which is not undone yet: GDB undoes it with a step back,
as it executes it with a step when it runs forwards.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.gdb import thread_id
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.step_flags import StepFlags
from guestdbg.gdb.stop_reply import SIGTRAP, StopEvent, stop_event

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Stop
    from guestdbg.gdb.session_state import Handler, SessionState

_AT_BEGIN = b"replaylog:begin;"


def features(session: SessionState) -> list[bytes]:
    """What is announced for a guest with a history."""
    return [b"ReverseStep+", b"ReverseContinue+"] if session.guest.has_history else []


def reverse_step(session: SessionState, rest: bytes) -> bytes:
    """bs: one instruction back."""
    guest = _stopped_guest(session)
    threads = session.threads
    index = threads.general if threads.resumed_by_c == thread_id.ALL else threads.resumed_by_c
    session.execution.select(index)
    history = guest.history
    now = history.now
    if now.position <= history.begin:
        return _reply(session, StopEvent(index, SIGTRAP, _AT_BEGIN))
    if session.access_undone_at != now:
        stop = _last_access(session)
        if stop is not None:
            session.access_undone_at = now
            return _reply(session, stop_event(stop, index, session.breakpoints, session.features))
    session.access_undone_at = None
    if session.step_flags & StepFlags.NOIRQ:
        begin = history.reverse_step_instruction().reason == "history"
    else:
        guest.reverse_step()
        begin = False
    session.execution.select(index)
    return _reply(session, StopEvent(index, SIGTRAP, _AT_BEGIN if begin else b""))


def _last_access(session: SessionState) -> Stop | None:
    """The Stop at the watchpoints that the instruction to be undone has hit.

    It is reported first, and undone by the next bs: GDB then sees the value from before.
    """
    watches = [point for key, point in session.breakpoints if key.is_watch and point.enabled]
    if not watches:
        return None
    with session.execution.reporting_after_accesses():
        stop: Stop | None = session.guest.history.last_instruction_hits(watches)
    return stop


def reverse_continue(session: SessionState, rest: bytes) -> bytes:
    """bc: back to the last hit of a breakpoint or watchpoint, or to the beginning."""
    guest = _stopped_guest(session)
    session.access_undone_at = None
    if guest.history.now.position <= guest.history.begin:
        return _reply(session, StopEvent(session.execution.current, SIGTRAP, _AT_BEGIN))
    with session.execution.reporting_after_accesses(), session.connection.watched():
        stop = guest.reverse_run()
        while stop.reason == "interrupt" and not session.connection.has_input:
            # Something was typed on the console, which the guest gets when it runs on.
            stop = guest.reverse_run()
    # Ctrl-C may have come when the hit was found.
    session.execution.forget_interrupt()
    index = session.execution.current
    if stop.reason == "history":
        return _reply(session, StopEvent(index, SIGTRAP, _AT_BEGIN, stop))
    if stop.hits:
        session.access_undone_at = guest.history.now
    for line in session.note_hits(stop):
        session.send_console_output(line)
    event = stop_event(stop, index, session.breakpoints, session.features)
    return _reply(session, event)


def _stopped_guest(session: SessionState) -> Guest:
    guest = session.guest
    if not guest.has_history:
        raise PacketError(
            "this guest has no history: start the server with --history, or use "
            "`monitor history on`",
            errno.ENOTSUP,
        )
    if session.threads.non_stop or session.threads.resume_actions:
        raise PacketError(
            "going back is only possible in all-stop mode, while the guest is stopped"
        )
    return guest


def _reply(session: SessionState, event: StopEvent) -> bytes:
    session.threads.stopped(event)
    session.exit_reply = None
    session.end_reported = False
    return session.stop_reply(event)


HANDLERS: dict[bytes, Handler] = {b"bs": reverse_step, b"bc": reverse_continue}
