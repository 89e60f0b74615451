"""`monitor console` and `type`: the guest's serial console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.monitor.command import Command, MonitorError
from guestdbg.machine.escapes import unescape

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

#: Typed bytes that the guest has not read yet.
_MAX_PENDING = 64 << 10


def console(session: SessionState, words: list[str]) -> str:
    """The last output; or switch whether GDB shows output while the guest runs."""
    if words in (["on"], ["off"]):
        session.forward_console = words == ["on"]
        where = "here too, while it runs" if session.forward_console else "only by the server"
        return f"the guest's console output is shown {where}\n"
    if words:
        raise MonitorError("monitor console [on | off]")
    text = session.console_history().decode("utf-8", "replace")
    return text if text.endswith("\n") or not text else text + "\n"


def type_in(session: SessionState, words: list[str]) -> str:
    r"""Type TEXT on the guest's console; \n is Enter."""
    text = words[0]
    if not text:
        raise MonitorError(r"monitor type TEXT, where \n is Enter")
    try:
        data = unescape(text)
    except ValueError as error:
        raise MonitorError(str(error)) from None
    console = session.guest.board.console
    if console.pending_input + len(data) > _MAX_PENDING:
        raise MonitorError(
            f"the guest has not read {console.pending_input} bytes that were typed before: at most "
            f"{_MAX_PENDING} can wait"
        )
    console.feed(data)
    return ""


COMMANDS = (
    Command("console", "[on | off]", "the last console output; show it here or not", console),
    Command("type", "TEXT", r"type TEXT on the guest's console (\n is Enter)", type_in, raw=True),
)
