"""`monitor watch`, `unwatch`: watches of the server's, whose conditions are judged by the provider.

GDB sends conditions for breakpoints only; at a watchpoint it is asked every time. These stop the
guest behind the access, and only where the condition holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger import InvalidLocation, Watch
from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.breakpoints.spec_parser import parse_watch
from guestdbg.gdb.monitor import Command, MonitorError, add

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_USAGE = "monitor unwatch NUMBER | all: the numbers are those of `monitor watch`"


def watch(session: Session, words: list[str]) -> str:
    """Make a watch, or list those there are."""
    if not words[0]:
        lines = [_line(number, watch) for number, watch in session.watches.items()]
        return "\n".join(lines or ["no watches: monitor watch queue.tail if new > 8"]) + "\n"
    spec = parse_watch(words[0], "monitor watch")
    if isinstance(spec.where, str) and spec.where.isdecimal():
        raise InvalidLocation(
            f"{spec.where} is no place: an address is written 0x{int(spec.where):x}"
        )
    if spec.condition is not None:
        spec.condition.check(session.guest)
    made = session.inserted.make_room(
        lambda: session.guest.watch(
            spec.where, spec.length, spec.access, when=spec.condition, name=spec.name
        )
    )
    number = max(session.watches, default=0) + 1
    session.watches[number] = made
    return _line(number, made) + "\n"


def unwatch(session: Session, words: list[str]) -> str:
    """Take one of them out, or all."""
    if len(words) != 1:
        raise MonitorError(_USAGE)
    if words[0] == "all":
        numbers = list(session.watches)
    else:
        number = int(words[0]) if words[0].isdecimal() else 0
        if number not in session.watches:
            raise MonitorError(f"there is no watch {words[0]!r}; {_USAGE}")
        numbers = [number]
    for number in numbers:
        session.watches.pop(number).delete()
    session.inserted.guards.fill()
    return ""


def _line(number: int, watch: Watch) -> str:
    condition = f" if {watch.when.text}" if isinstance(watch.when, Condition) else ""
    counts = f"{watch.seen} accesses, {watch.hits} hits" if watch.seen else "no accesses yet"
    return (
        f"{number}: {watch.access} of {watch.name}, {watch.length} bytes at "
        f"{watch.address:#x}{condition}: {counts}"
    )


add(
    Command(
        "watch",
        "[WHAT[,LENGTH][:r|w|rw] [if CONDITION]]",
        "stop behind an access for which a condition holds; or list these watches",
        watch,
        raw=True,
    )
)
add(Command("unwatch", "NUMBER | all", "take out a watch of `monitor watch`", unwatch))
