"""Who wrote to memory last, asked when a run has ended: `--last-write`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from guestdbg.cli.running import hit_output
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.errors import GuestdbgError
from guestdbg.terminal_text import hits

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest, Hit


def check(guest: Guest, wheres: Iterable[str]) -> None:
    """Raise the error of a name that does not exist: before the run."""
    for where in wheres:
        guest.resolve(where)


def show(
    terminal: Terminal,
    guest: Guest,
    wheres: Iterable[str],
    *,
    limit: int | None,
    log: Callable[[dict[str, Any]], object],
) -> int:
    """Write the last write to each of these, with its callers; the exit status."""
    status = 0
    for where in wheres:
        try:
            hit = guest.history.last_write(where)
        except GuestdbgError as error:
            terminal.line(Text(f"-- last write of {where}: {error}", "bold red"))
            status = 1
            continue
        if hit is None:
            terminal.line(Text(f"-- last write of {where}: none since the start of the history"))
        else:
            terminal.line(*_lines(where, hit, limit))
        log(_record(where, hit, limit))
    return status


def _lines(where: str, hit: Hit, limit: int | None) -> list[Text]:
    head = Text(f"-- last write of {where}: {hit.time}", "bold")
    return [head, hits.line(1, where, hit), hits.frames(_backtrace(hit, limit))]


def _record(where: str, hit: Hit | None, limit: int | None) -> dict[str, Any]:
    record: dict[str, Any] = {"event": "last_write", "of": where, "hit": None}
    if hit is not None and hit.time is not None:
        position = hit.time.position
        record["hit"] = hit_output.record(1, where, hit, _backtrace(hit, limit))
        record["turn"], record["instructions"] = position.turn, position.instructions
    return record


def _backtrace(hit: Hit, limit: int | None) -> Any:
    return hit.backtrace(limit or DEFAULT_LIMIT)
