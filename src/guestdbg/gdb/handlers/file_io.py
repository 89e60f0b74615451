"""F: the client's reply to a File-I/O request (see ``guestdbg.gdb.file_io``).

Source: "Debugging with GDB", appendix E.13.3 (the F reply packet).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.file_io_request import FileIoReply, parse_reply

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState


def reply(session: SessionState, rest: bytes) -> bytes | None:
    """F RETCODE[,ERRNO[,C]]: the result. There is no reply to it: the guest goes on.

    One that cannot be parsed is EIO to the guest.
    """
    request = session.file_io_request
    if request is None or request.reply is not None:
        raise PacketError("there is no File-I/O request that this could be the reply to")
    try:
        request.reply = parse_reply(rest)
    except PacketError as error:
        session.refused(str(error))
        request.reply = FileIoReply(-1, errno.EIO)
    return None


HANDLERS: dict[bytes, Handler] = {b"F": reply}
