"""Threads: which there are, which is meant, whether one lives.

Source: "Debugging with GDB", appendix E.2 (H, T) and E.5 (qC, qfThreadInfo, qThreadExtraInfo).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb import threads
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def _parse(session: Session, text: bytes) -> int:
    return threads.parse(text, len(session.guest.cores))


def _is_any(text: bytes) -> bool:
    """Whether a thread-id leaves it to us which thread it is."""
    return text.rpartition(b".")[2] == b"0"


def _show(session: Session, place: int) -> bytes:
    return threads.show(place, multiprocess=session.multiprocess)


def choose(session: Session, rest: bytes) -> bytes:
    """H OP THREAD: g, of which thread registers and memory are; c, which one old packets resume."""
    which, text = rest[:1], rest[1:]
    if which == b"g":
        place = _parse(session, text)
        # Any thread will do: the one that is chosen does.
        if place != threads.ALL and not _is_any(text):
            session.general = place
    elif which == b"c":
        place = _parse(session, text)
        # For GDB's own server too, "any" resumes all of them.
        session.resumed = threads.ALL if _is_any(text) else place
    else:
        raise Refused("H is Hg or Hc")
    return b"OK"


def alive(session: Session, rest: bytes) -> bytes:
    """T THREAD: vCPUs live as long as the guest."""
    _parse(session, rest)
    return b"OK"


def current(session: Session, rest: bytes) -> bytes:
    """qC: the thread that is chosen."""
    return b"QC" + _show(session, session.general)


def first(session: Session, rest: bytes) -> bytes:
    """qfThreadInfo: all of them; there are few."""
    if session.detached:
        return b"l"
    return b"m" + b",".join(_show(session, n) for n in range(len(session.guest.cores)))


def more(session: Session, rest: bytes) -> bytes:
    """qsThreadInfo: no more of them."""
    return b"l"


def describe(session: Session, place: int) -> str:
    """What a person is told of a vCPU in a list of threads."""
    core = session.guest.cores[place]
    if place in session.moves:
        return "running"
    if core.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
        return "powered off"
    return f"EL{core.cpu.el}"


def extra(session: Session, rest: bytes) -> bytes:
    """qThreadExtraInfo,THREAD: words for the list of threads."""
    place = _parse(session, rest.removeprefix(b","))
    if place == threads.ALL:
        raise Refused("that is not one thread")
    text = f"vCPU {session.guest.cores[place].vcpu.id}, {describe(session, place)}"
    return text.encode().hex().encode()


def attached(session: Session, rest: bytes) -> bytes:
    """qAttached: the guest was there before the client, and outlives it."""
    return b"1"


HANDLERS: dict[bytes, Handler] = {
    b"H": choose,
    b"T": alive,
    b"qC": current,
    b"qfThreadInfo": first,
    b"qsThreadInfo": more,
    b"qThreadExtraInfo": extra,
    b"qAttached": attached,
}
