"""`monitor watch` and `unwatch`: watchpoints with conditions that the server evaluates.

GDB sends conditions to the server only for breakpoints. For a watchpoint it stops at every hit and
evaluates the condition itself. These watches stop the guest after the access, and only if the
condition holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger import InvalidLocation
from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.breakpoints.spec_parser import parse_watch
from guestdbg.gdb.monitor.command import Command, MonitorError

if TYPE_CHECKING:
    from guestdbg.debugger import Watch
    from guestdbg.gdb.session_state import SessionState

_MAX_WATCHES = 64
_USAGE = "monitor unwatch NUMBER | all: the numbers are those of `monitor watch`"


def watch(session: SessionState, words: list[str]) -> str:
    """Set a watch, or list all."""
    if not words[0]:
        lines = [_line(number, watch) for number, watch in session.monitor_watches.items()]
        return (
            "\n".join(lines or ["no watches; to set one: monitor watch queue.tail if new > 8"])
            + "\n"
        )
    if len(session.monitor_watches) >= _MAX_WATCHES:
        raise MonitorError(f"there are {_MAX_WATCHES} watches, which is the most: delete one")
    spec = parse_watch(words[0], "monitor watch")
    if isinstance(spec.where, str) and spec.where.isdecimal():
        raise InvalidLocation(
            f"{spec.where} is not a location: write the address as 0x{int(spec.where):x}"
        )
    made = session.breakpoints.guards.make_room(
        lambda: session.guest.watch(
            spec.where, spec.length, spec.access, when=spec.condition, name=spec.name
        )
    )
    number = max(session.monitor_watches, default=0) + 1
    session.monitor_watches[number] = made
    line = _line(number, made)
    if (reason := session.guest.why_unreachable(made)) is not None:
        line += f"; nothing can be accessed there now: {reason}"
    return line + "\n"


def unwatch(session: SessionState, words: list[str]) -> str:
    """Delete one watch, or all."""
    if len(words) != 1:
        raise MonitorError(_USAGE)
    if words[0] == "all":
        numbers = list(session.monitor_watches)
    else:
        number = int(words[0]) if words[0].isdecimal() else 0
        if number not in session.monitor_watches:
            raise MonitorError(f"there is no watch {words[0]!r}; {_USAGE}")
        numbers = [number]
    for number in numbers:
        session.monitor_watches.pop(number).delete()
    session.breakpoints.guards.fill()
    return ""


def _line(number: int, watch: Watch) -> str:
    condition = f" if {watch.when.text}" if isinstance(watch.when, Condition) else ""
    counts = f"{watch.seen} accesses, {watch.hits} hits" if watch.seen else "no accesses yet"
    if watch.unavailable:
        counts += f"; the condition has no value at {watch.unavailable}: {watch.why_unavailable}"
    return (
        f"{number}: {watch.access} of {watch.name}, {watch.length} bytes at "
        f"{watch.address:#x}{condition}: {counts}"
    )


COMMANDS = (
    Command(
        "watch",
        "[WHAT[,LENGTH][:r|w|rw] [if CONDITION]]",
        "stop after an access for which the condition holds; or list the watches",
        watch,
        raw=True,
    ),
    Command("unwatch", "NUMBER | all", "delete a watch of `monitor watch`", unwatch),
)
