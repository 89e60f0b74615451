"""The guest's life and the client's leaving: vAttach, D, k, vKill, R, vRun.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.debugger.execution.scheduler import ResumeAction
from guestdbg.gdb import threads
from guestdbg.gdb.end_reason import Ending
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.stop_reply import SIGTRAP, Event
from guestdbg.gdb.text import number

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def _check_process(session: Session, rest: bytes) -> None:
    """Refuse what is meant for a process that there is not.

    A client without the multiprocess extension was never told our number: it says any.
    """
    if session.multiprocess and rest and number(rest[1:]) != threads.PROCESS:
        raise Refused(f"there is no process {rest[1:].decode()}: the guest is 1", errno.ESRCH)


def attach(session: Session, rest: bytes) -> bytes:
    """vAttach;PROCESS: the one that there is, and stands already unless it was detached from."""
    if number(rest.removeprefix(b";")) != threads.PROCESS:
        raise Refused(f"there is process {threads.PROCESS} alone: the guest", errno.ESRCH)
    if session.exit_reply is not None:
        raise Refused("the guest has ended: it can be run anew", errno.ESRCH)
    guest = session.guest
    if session.detached:
        session.detached = False
        session.announce("the debugger has attached again")
        session.inserted.replace_left()
        if session.non_stop:
            session.moves.update(_everything(session))  # it stops them when it wants them
        else:
            session.moves.clear()
            session.general = guest.cores.index(guest.runloop.current)
            session.events = {n: Event(n, SIGTRAP) for n in range(len(guest.cores))}
    if session.non_stop:
        return b"OK"
    return Event(session.general, SIGTRAP).reply(session)


def _everything(session: Session) -> dict[int, ResumeAction]:
    return dict.fromkeys(range(len(session.guest.cores)), ResumeAction())


def detach(session: Session, rest: bytes) -> bytes:
    """D [;PROCESS]: leave the guest, which goes on; in extended mode the connection stays."""
    _check_process(session, rest)
    if not session.extended:
        session.ending = Ending.DETACHED
        return b"OK"
    session.detached = True
    session.take_out()
    session.queue.clear()
    session.news.clear()
    if session.exit_reply is None:
        session.moves.clear()
        session.resume(_everything(session))
        session.announce("the debugger has detached, and stays connected: the guest runs on")
    return b"OK"


def kill(session: Session, rest: bytes) -> bytes:
    """k: end the guest. GDB waits for no answer, and LLDB for its end."""
    session.ending = Ending.KILLED
    return b"X09" + session.of_process


def kill_process(session: Session, rest: bytes) -> bytes:
    """vKill;PROCESS: the same, answered; in extended mode it can be run anew."""
    _check_process(session, rest)
    if session.extended:
        session.moves.clear()
        session.killed = True
        session.exit_reply = b"X09" + session.of_process
    else:
        session.ending = Ending.KILLED
    return b"OK"


def restart(session: Session, rest: bytes) -> None:
    """R XX: start the guest anew; without an answer."""
    session.guest.reset()
    session.restarted()


def run(session: Session, rest: bytes) -> bytes:
    """vRun;FILE;ARGUMENTS...: the same, as GDB's `run` does; it is the guest that runs."""
    session.guest.reset()
    session.restarted()
    return session.events[0].reply(session)


HANDLERS: dict[bytes, Handler] = {
    b"vAttach": attach,
    b"D": detach,
    b"k": kill,
    b"vKill": kill_process,
    b"R": restart,
    b"vRun": run,
}
