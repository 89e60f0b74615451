"""Attaching, detaching, killing and restarting: vAttach, D, k, vKill, R, vRun.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.gdb import thread_id
from guestdbg.gdb.end_reason import EndReason
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number
from guestdbg.gdb.stop_reply import SIGTRAP, StopEvent

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState


def _check_process(session: SessionState, rest: bytes) -> None:
    """Refuse a process other than the guest.

    A client without the multiprocess extension does not know the guest's number, and sends any.
    """
    if session.multiprocess and rest and parse_number(rest[1:]) != thread_id.PROCESS:
        raise PacketError(f"there is no process {rest[1:].decode()}: the guest is 1", errno.ESRCH)


def attach(session: SessionState, rest: bytes) -> bytes:
    """vAttach;PROCESS: attach to the guest; the reply is a stop reply, in non-stop mode OK."""
    if parse_number(rest.removeprefix(b";")) != thread_id.PROCESS:
        raise PacketError(f"the only process is {thread_id.PROCESS}, the guest", errno.ESRCH)
    if session.exit_reply is not None:
        raise PacketError("the guest has ended: it can be started again (run)", errno.ESRCH)
    session.attach()
    if session.threads.non_stop:
        return b"OK"
    return session.stop_reply(StopEvent(session.threads.general, SIGTRAP))


def detach(session: SessionState, rest: bytes) -> bytes:
    """D [;PROCESS]: detach from the guest, which runs on; in extended mode the client stays."""
    _check_process(session, rest)
    session.detach()
    return b"OK"


def kill(session: SessionState, rest: bytes) -> bytes:
    """k: kill the guest. GDB expects no reply; LLDB expects the one for the end of a process."""
    session.end_reason = EndReason.KILLED
    return session.process_reply(b"X09")


def kill_process(session: SessionState, rest: bytes) -> bytes:
    """vKill;PROCESS: kill the guest; in extended mode it can be started again."""
    _check_process(session, rest)
    session.kill()
    return b"OK"


def restart(session: SessionState, rest: bytes) -> None:
    """R XX: start the guest again. There is no reply."""
    session.restart()


def run(session: SessionState, rest: bytes) -> bytes:
    """vRun;FILE;ARGUMENTS...: start the guest again (GDB's `run`), whatever FILE is."""
    session.restart()
    return session.stop_reply(session.threads.stop_reason_event())


HANDLERS: dict[bytes, Handler] = {
    b"vAttach": attach,
    b"D": detach,
    b"k": kill,
    b"vKill": kill_process,
    b"R": restart,
    b"vRun": run,
}
