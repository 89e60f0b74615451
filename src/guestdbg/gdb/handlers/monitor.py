"""The `monitor` commands: qRcmd.

Source: "Debugging with GDB", appendix E.5 (qRcmd). The commands are in ``guestdbg.gdb.monitor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.connection import Hangup
from guestdbg.gdb.errors import PacketError, defect
from guestdbg.gdb.monitor.registry import execute
from guestdbg.gdb.packet_fields import parse_hex_bytes
from guestdbg.gdb.packets import MAX_PACKET

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

#: The most output in one reply. What comes before it is sent as output ("O").
_MAX_REPLY = (MAX_PACKET - 16) // 2


def command(session: SessionState, rest: bytes) -> bytes:
    """qRcmd,COMMAND: run a monitor command. The reply is its output, or the text of its error."""
    line = parse_hex_bytes(rest.removeprefix(b",")).decode("utf-8", "replace")
    try:
        if session.detached:
            raise PacketError("detached from the guest: attach to it first (attach 1)")
        text = execute(session, line)
    except GuestdbgError as error:
        text = f"{error}\n"
    except Hangup:
        raise
    except Exception as error:
        session.log_defect(f"a defect in `monitor {line[:200]}`")
        text = f"{defect(error)}\n"
    data = text.encode("utf-8", "replace")
    while len(data) > _MAX_REPLY:
        session.send(b"O" + data[:_MAX_REPLY].hex().encode())
        data = data[_MAX_REPLY:]
    return data.hex().encode() or b"OK"


HANDLERS: dict[bytes, Handler] = {b"qRcmd": command}
