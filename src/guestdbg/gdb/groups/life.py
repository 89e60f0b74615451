"""The guest's life and the client's leaving: D, k, vKill, R, vRun.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.ending import Ending
from guestdbg.gdb.groups import Handler

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def detach(session: Session, rest: bytes) -> bytes:
    """D [;PROCESS]: leave the guest, which goes on."""
    session.ending = Ending.DETACHED
    return b"OK"


def kill(session: Session, rest: bytes) -> None:
    """k: end the guest; without an answer."""
    session.ending = Ending.KILLED


def kill_process(session: Session, rest: bytes) -> bytes:
    """vKill;PROCESS: the same, answered."""
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
    b"D": detach,
    b"k": kill,
    b"vKill": kill_process,
    b"R": restart,
    b"vRun": run,
}
