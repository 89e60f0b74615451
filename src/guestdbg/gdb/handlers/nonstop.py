"""Non-stop mode: each thread stops and goes on by itself: QNonStop, vStopped, vCtrlC.

Source: "Debugging with GDB", appendix E.11 (remote non-stop) and E.10 (notifications).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def choose_mode(session: Session, rest: bytes) -> bytes:
    """QNonStop:N: all threads stop together (0), or each by itself (1)."""
    if rest not in (b":0", b":1"):
        raise Refused("QNonStop is QNonStop:0 or QNonStop:1")
    session.non_stop = rest == b":1"
    if not session.non_stop:
        session.queue.clear()
    return b"OK"


def told(session: Session, rest: bytes) -> bytes | None:
    """vStopped: the client has got one stop, and asks for the next."""
    if session.queue:
        session.queue.popleft()
    if session.queue:
        return session.queue[0].reply(session)
    if not session.news:
        return b"OK"
    session.answer(b"OK")
    news, session.news = session.news, []
    for event in news:
        session.notify(event)
    return None


def interrupt(session: Session, rest: bytes) -> None:
    """vCtrlC: stop what runs."""
    session.answer(b"OK")
    session.halt_all()


def features(session: Session) -> list[bytes]:
    return [b"QNonStop+"]


HANDLERS: dict[bytes, Handler] = {
    b"QNonStop": choose_mode,
    b"vStopped": told,
    b"vCtrlC": interrupt,
}
