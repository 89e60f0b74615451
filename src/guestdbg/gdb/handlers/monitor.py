"""The `monitor` commands: qRcmd.

Source: "Debugging with GDB", appendix E.5 (qRcmd). The commands are in ``guestdbg.gdb.monitor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.monitor import execute
from guestdbg.gdb.text import unhex

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def command(session: Session, rest: bytes) -> bytes:
    """qRcmd,COMMAND: what the command prints; a mistake is told in words."""
    line = unhex(rest.removeprefix(b",")).decode("utf-8", "replace")
    try:
        if session.detached:
            raise Refused("detached from the guest: attach to it first (attach 1)")
        text = execute(session, line)
    except GuestdbgError as error:
        text = f"{error}\n"
    return text.encode("utf-8", "replace").hex().encode() if text else b"OK"


HANDLERS: dict[bytes, Handler] = {b"qRcmd": command}
