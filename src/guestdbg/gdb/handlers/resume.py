"""Letting the guest go: c, C, s, S, vCont, and why it stands: ?.

Source: "Debugging with GDB", appendix E.2 (packets, vCont) and E.3 (stop replies).
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from guestdbg.debugger.execution.scheduler import ResumeAction
from guestdbg.gdb import threads
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.stop_reply import NONE, Event
from guestdbg.gdb.text import number

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_RUN, _STEP = ResumeAction(), ResumeAction(step=True)


def why(session: Session, rest: bytes) -> bytes:
    """?: why the guest stands."""
    if session.exit_reply is not None:
        return session.exit_reply
    if session.detached:
        return b"OK" if session.non_stop else b"W00"  # no process: what GDB's own server says
    if session.non_stop:
        stands = [session.events[place] for place in sorted(session.events)]
        # GDB 13.1 gives up with an internal error if it gets more than one of them here: the
        # others are news to it once it has fetched the first.
        session.queue.clear()
        session.queue.extend(stands[:1])
        session.news = [e if e.stop is not None else Event(e.place, NONE) for e in stands[1:]]
        return stands[0].reply(session) if stands else b"OK"
    if session.moves:
        raise Refused("the guest runs: it can be stopped by Ctrl-C", errno.EBUSY)
    # A thread that stands because another one stopped has no reason of its own: the newest has.
    event = session.events.get(session.general) or [*session.events.values()][-1]
    return event.reply(session)


def _resume(session: Session, moves: dict[int, ResumeAction]) -> bytes | None:
    if session.exit_reply is not None:
        return session.exit_reply
    session.resume(moves)
    return b"OK" if session.non_stop else None


def _old(session: Session, address: bytes, go: ResumeAction) -> bytes | None:
    """The packets from before vCont: the chosen thread, or all with a step of the chosen one."""
    count = len(session.guest.cores)
    place = session.general if session.resumed == threads.ALL else session.resumed
    if address:
        session.guest.cores[place].cpu.pc = number(address)
    if session.resumed != threads.ALL:
        return _resume(session, {place: go})
    return _resume(session, dict.fromkeys(range(count), _RUN) | {place: go})


def go_on(session: Session, rest: bytes) -> bytes | None:
    """c [ADDRESS]: go on."""
    return _old(session, rest, _RUN)


def go_on_with(session: Session, rest: bytes) -> bytes | None:
    """C SIGNAL[;ADDRESS]: the same; there are no signals in a machine."""
    return _old(session, rest.partition(b";")[2], _RUN)


def step(session: Session, rest: bytes) -> bytes | None:
    """s [ADDRESS]: one instruction."""
    return _old(session, rest, _STEP)


def step_with(session: Session, rest: bytes) -> bytes | None:
    """S SIGNAL[;ADDRESS]: the same."""
    return _old(session, rest.partition(b";")[2], _STEP)


def actions(session: Session, rest: bytes) -> bytes:
    """vCont?: what vCont can do."""
    return b"vCont;c;C;s;S;t;r"


def act(session: Session, rest: bytes) -> bytes | None:
    """vCont;ACTION[:THREAD]...: for each thread the first action that names it, or names none."""
    moves = _moves(rest, len(session.guest.cores))
    if session.exit_reply is not None:
        return session.exit_reply
    halted = [n for n, go in moves.items() if go is None]
    if halted and not session.non_stop:
        raise Refused("t stops threads one by one, which is for non-stop mode")
    # One that runs already goes on with what it does.
    wanted = {n: go for n, go in moves.items() if go is not None and n not in session.moves}
    session.resume(wanted)
    if not session.non_stop:
        return None
    session.answer(b"OK")
    session.halt(halted)
    return None


@lru_cache(maxsize=64)  # a client says the same few again and again
def _moves(rest: bytes, count: int) -> Mapping[int, ResumeAction | None]:
    """What each vCPU is to do, by its place; None is to stop. Raises Refused."""
    moves: dict[int, ResumeAction | None] = {}
    for part in rest.removeprefix(b";").split(b";"):
        action, colon, thread = part.partition(b":")
        go = _action(action)
        place = threads.parse(thread, count) if colon else threads.ALL
        for n in range(count) if place == threads.ALL else (place,):
            moves.setdefault(n, go)
    return moves


def _action(text: bytes) -> ResumeAction | None:
    """One action of vCont; None is to stop."""
    letter, more = text[:1], text[1:]
    if letter == b"r":
        start, comma, end = more.partition(b",")
        if not comma:
            raise Refused("r is r START,END")
        return ResumeAction(True, number(start), number(end))
    if letter in (b"C", b"S"):
        number(more)
        return _RUN if letter == b"C" else _STEP
    if more or letter not in (b"c", b"s", b"t"):
        raise Refused("an action of vCont is c, C, s, S, t or r")
    return {b"c": _RUN, b"s": _STEP, b"t": None}[letter]


def features(session: Session) -> list[bytes]:
    return [b"vContSupported+"]


HANDLERS: dict[bytes, Handler] = {
    b"?": why,
    b"c": go_on,
    b"C": go_on_with,
    b"s": step,
    b"S": step_with,
    b"vCont?": actions,
    b"vCont": act,
}
