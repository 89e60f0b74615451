"""Where values came from, asked when a run has ended: `--origin`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from guestdbg.debugger import NotInScope
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest
    from guestdbg.history import Origin, OriginStep


def check(guest: Guest, wheres: Sequence[str]) -> None:
    """Raise the error of a name that does not exist: before the run."""
    if not wheres:
        return
    from guestdbg.history.questions.origin import is_register  # most runs have no history

    for where in wheres:
        # A local variable has a place where the run has stopped, perhaps.
        with contextlib.suppress(NotInScope):
            if not is_register(where):
                guest.resolve(where)


def show(
    terminal: Terminal,
    guest: Guest,
    wheres: Iterable[str],
    *,
    log: Callable[[dict[str, Any]], object],
) -> int:
    """Write where each of these has its value from; the exit status."""
    status = 0
    for where in wheres:
        try:
            found = guest.history.origin(where)
        except GuestdbgError as error:
            terminal.line(Text(f"-- origin of {where}: {error}", "bold red"))
            status = 1
            continue
        terminal.line(*_lines(found))
        log(_record(where, found))
    return status


def _lines(found: Origin) -> list[Text]:
    head, *steps, end = str(found).splitlines()
    shown = [Text(f"-- origin of {head}", "bold")]
    for step, text in zip(found, steps, strict=True):
        shown.append(Text(f"{text}  at {step.hit.time}"))
    return [*shown, Text(end, "bold")]


def _record(where: str, found: Origin) -> dict[str, Any]:
    return {
        "event": "origin",
        "of": where,
        "value": found.value,
        "reason": found.reason,
        "text": found.text,
        "steps": [_step(step) for step in found],
    }


def _step(step: OriginStep) -> dict[str, Any]:
    record: dict[str, Any] = {
        "target": step.target,
        "source": step.source,
        "value": step.value,
        "size": step.size,
        "instruction": step.instruction,
        "note": step.note,
        "pc": step.hit.pc,
        "location": str(step.hit.location),
        "vcpu": step.hit.vcpu.id,
    }
    if step.hit.time is not None:
        position = step.hit.time.position
        record["turn"], record["instructions"] = position.turn, position.instructions
    return record
