"""`monitor history`, `goto`, `last` and `origin`: the guest's past, asked and gone to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.machine import Position

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

_USAGE = "monitor last write|read|execution EXPRESSION"
_STALE = "(GDB still shows the old registers: `maintenance flush register-cache`)\n"


def history(session: SessionState, words: list[str]) -> str:
    """Show the history, or turn it on or off, or make the past the present."""
    _check_stopped(session)
    kept = session.guest.history
    if words == ["on"]:
        kept.start()
        return (
            "history is on: `monitor last write EXPRESSION`. For reverse-continue and the like, "
            "disconnect and attach again: GDB asks for them when it attaches\n"
        )
    if words == ["off"]:
        kept.stop()
        return ""
    if words == ["branch"]:
        kept.branch()
        return f"this is the present now: {kept.now}\n"
    if words:
        raise MonitorError("monitor history [on | off | branch]")
    if not kept.on:
        return "history is off: `monitor history on`, or start the server with --history\n"
    where = " (in the past)" if kept.in_past else ""
    return (
        f"begin: {kept.begin}\nnow:   {kept.now}{where}\nend:   {kept.end}\n"
        f"{kept.memory_size >> 10:,} KiB of snapshots\n"
    )


def goto(session: SessionState, words: list[str]) -> str:
    """Go to a time, the beginning or the end of the history."""
    _check_stopped(session)
    kept = session.guest.history
    if words == ["end"]:
        kept.goto_end()
    elif words in (["begin"], ["beginning"]):
        kept.goto(kept.begin)
    elif len(words) == 1 and (numbers := _numbers(words[0])) is not None:
        kept.goto(numbers[0] if len(numbers) == 1 else Position(*numbers))
    else:
        raise MonitorError("monitor goto INSTRUCTIONS | TURN:VCPU:INSTRUCTIONS | begin | end")
    session.state_replaced(general=session.execution.current)
    return f"{kept.now}, in {session.guest.locate(session.context.cpu.pc)}\n{_STALE}"


def last(session: SessionState, words: list[str]) -> str:
    """Show the last access to a variable, or execution of a place, without moving the guest."""
    _check_stopped(session)
    kept = session.guest.history
    ask = {"write": kept.last_write, "read": kept.last_read, "execution": kept.last_execution}
    if len(words) < 2 or words[0] not in ask:
        raise MonitorError(_USAGE)
    hit = ask[words[0]](" ".join(words[1:]))
    if hit is None:
        return "none since the beginning of the history\n"
    position = hit.time.position
    rows = [str(hit), f"at {hit.time} (monitor goto {':'.join(map(str, position))})"]
    return "\n".join([*rows, *(str(frame) for frame in hit.backtrace())]) + "\n"


def origin(session: SessionState, words: list[str]) -> str:
    """Show where a value came from, without moving the guest."""
    _check_stopped(session)
    if not words:
        raise MonitorError("monitor origin EXPRESSION | REGISTER")
    found = session.guest.history.origin(" ".join(words))
    head, *steps, end = str(found).splitlines()
    rows = [head]
    for text, step in zip(steps, found, strict=True):
        rows.append(f"{text}  (monitor goto {':'.join(map(str, step.hit.time.position))})")
    return "\n".join([*rows, end]) + "\n"


def _numbers(text: str) -> list[int] | None:
    try:
        found = [int(part, 0) for part in text.split(":")]
    except ValueError:
        return None
    return found if len(found) in (1, 3) else None


def _check_stopped(session: SessionState) -> None:
    if session.threads.resume_actions:
        raise MonitorError("the guest runs: stop it first (Ctrl-C, or `interrupt`)")


COMMANDS = (
    Command("history", "[on | off | branch]", "show or record the guest's past", history),
    Command("goto", "TIME | begin | end", "go to a time of the history", goto),
    Command("origin", "EXPRESSION | REGISTER", "where its value came from", origin),
    Command("last", "write|read|execution EXPRESSION", "who did it last", last),
)
