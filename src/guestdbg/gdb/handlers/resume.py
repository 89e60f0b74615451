"""Resuming and stepping, c, C, s, S, vCont; and why the guest is stopped: ?.

Source: "Debugging with GDB", appendix E.2 (packets, vCont) and E.3 (stop replies).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from guestdbg.debugger.execution import ResumeAction
from guestdbg.gdb import thread_id
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

FEATURES = (b"vContSupported+",)

_CONTINUE, _STEP = ResumeAction(), ResumeAction(step=True)


def stop_reason(session: SessionState, rest: bytes) -> bytes:
    """?: why the guest is stopped."""
    threads = session.threads
    if session.exit_reply is not None:
        return session.exit_reply
    if session.detached:
        return b"OK" if threads.non_stop else b"W00"  # there is no process: as gdbserver replies
    if threads.non_stop:
        event = threads.requeue_all()
        return b"OK" if event is None else session.stop_reply(event)
    if threads.resume_actions:
        raise PacketError("the guest runs: Ctrl-C stops it", errno.EBUSY)
    return session.stop_reply(threads.stop_reason_event())


def _resume(session: SessionState, address: bytes, action: ResumeAction) -> bytes | None:
    """The packets from before vCont: the thread of ``Hc`` alone; or all, and the action is for the
    thread of ``Hg``."""
    threads = session.threads
    everything = threads.resumed_by_c == thread_id.ALL
    index = threads.general if everything else threads.resumed_by_c
    if address:
        session.execution.vcpus[index].cpu.pc = parse_number(address)
    if session.exit_reply is not None:
        return session.exit_reply
    if everything:
        session.resume(dict.fromkeys(range(threads.count), _CONTINUE) | {index: action})
    else:
        session.resume({index: action})
    return b"OK" if threads.non_stop else None


def continue_(session: SessionState, rest: bytes) -> bytes | None:
    """c [ADDRESS]: continue."""
    return _resume(session, rest, _CONTINUE)


def continue_with_signal(session: SessionState, rest: bytes) -> bytes | None:
    """C SIGNAL[;ADDRESS]: continue. A machine has no signals: SIGNAL is ignored."""
    return _resume(session, rest.partition(b";")[2], _CONTINUE)


def step(session: SessionState, rest: bytes) -> bytes | None:
    """s [ADDRESS]: step one instruction."""
    return _resume(session, rest, _STEP)


def step_with_signal(session: SessionState, rest: bytes) -> bytes | None:
    """S SIGNAL[;ADDRESS]: step one instruction. SIGNAL is ignored."""
    return _resume(session, rest.partition(b";")[2], _STEP)


def vcont_actions(session: SessionState, rest: bytes) -> bytes:
    """vCont?: the actions of vCont."""
    return b"vCont;c;C;s;S;t;r"


def vcont(session: SessionState, rest: bytes) -> bytes | None:
    """vCont;ACTION[:THREAD]...: each thread takes the first action that names it or no thread."""
    threads = session.threads
    try:
        actions = _parse_actions(rest, threads.count)
    except PacketError as error:
        if session.tasks.enabled and not session.error_messages:
            # GDB shows a number only, and the thread as stopped.
            session.refused(error.text)
        raise
    if session.exit_reply is not None:
        return session.exit_reply
    halted = [index for index, action in actions.items() if action is None]
    if halted and not threads.non_stop:
        raise PacketError("t stops single threads, which is only possible in non-stop mode")
    # A thread that runs already keeps its action.
    session.resume(
        {
            index: action
            for index, action in actions.items()
            if action is not None and index not in threads.resume_actions
        }
    )
    if not threads.non_stop:
        return None
    session.reply(b"OK")
    session.halt(halted)
    return None


@lru_cache(maxsize=64)  # a client sends the same few all the time
def _parse_actions(rest: bytes, count: int) -> Mapping[int, ResumeAction | None]:
    """The action of each vCPU, by its index; None: stop. Raises PacketError."""
    actions: dict[int, ResumeAction | None] = {}
    for part in rest.removeprefix(b";").split(b";"):
        text, colon, thread = part.partition(b":")
        action = _parse_action(text)
        named = thread_id.parse(thread, count) if colon else thread_id.ALL
        for index in range(count) if named == thread_id.ALL else (named,):
            actions.setdefault(index, action)
    return actions


def _parse_action(text: bytes) -> ResumeAction | None:
    """One action of vCont; None: stop."""
    letter, argument = text[:1], text[1:]
    if letter == b"r":
        start, comma, end = argument.partition(b",")
        if not comma:
            raise PacketError("r is r START,END")
        return ResumeAction(True, parse_number(start), parse_number(end))
    if letter in (b"C", b"S"):
        parse_number(argument)
        return _CONTINUE if letter == b"C" else _STEP
    if argument or letter not in (b"c", b"s", b"t"):
        raise PacketError("an action of vCont is c, C, s, S, t or r")
    return {b"c": _CONTINUE, b"s": _STEP, b"t": None}[letter]


HANDLERS: dict[bytes, Handler] = {
    b"?": stop_reason,
    b"c": continue_,
    b"C": continue_with_signal,
    b"s": step,
    b"S": step_with_signal,
    b"vCont?": vcont_actions,
    b"vCont": vcont,
}
