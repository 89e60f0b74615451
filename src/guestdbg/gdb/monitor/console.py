"""`monitor console`, `type`: the guest's serial line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.monitor import Command, MonitorError, add
from guestdbg.machine.escapes import unescape

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def console(session: Session, words: list[str]) -> str:
    """What the guest has printed last; or whether it is shown in GDB while the guest runs."""
    if words in (["on"], ["off"]):
        session.forward_console = words == ["on"]
        where = "here too, while it runs" if session.forward_console else "by the server alone"
        return f"what the guest prints is shown {where}\n"
    if words:
        raise MonitorError("monitor console [on | off]")
    text = session.printed().decode("utf-8", "replace")
    return text if text.endswith("\n") or not text else text + "\n"


def type_in(session: Session, words: list[str]) -> str:
    r"""Type something to the guest; \n is Enter."""
    text = words[0]
    if not text:
        raise MonitorError(r"monitor type TEXT, where \n is Enter")
    try:
        data = unescape(text)
    except ValueError as error:
        raise MonitorError(str(error)) from None
    session.guest.board.console.feed(data)
    return ""


add(Command("console", "[on | off]", "what the guest printed last; show it here or not", console))
add(Command("type", "TEXT", r"type to the guest (\n is Enter)", type_in, raw=True))
