"""Semihosting operations that the client performs: F packets.

The server sends a request in the place of a stop reply, the client performs it on its machine and
replies with another F packet. Meanwhile it reads and writes the memory that the request points to.
That memory is not the guest's: it is a window at addresses that GDB takes for RAM, so that nothing
in the guest changes but what the operation itself changes.

Source: "Debugging with GDB", appendix E.13 (File-I/O remote protocol extension).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.gdb.connection import Hangup
from guestdbg.gdb.file_io_request import FileIoRequest
from guestdbg.machine.layout import RAM_BASE
from guestdbg.semihosting import RemoteGone, RemoteInterrupted

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState
    from guestdbg.semihosting import Argument

__all__ = ["FileIo"]


class FileIo:
    """Makes the calls to the client of one session: see ``guestdbg.semihosting.RemoteHost``.

    All of it happens in the thread that runs the guest, within a run.
    """

    def __init__(self, session: SessionState) -> None:
        self._session = session
        self._open = True

    def close(self) -> None:
        """The session has ended."""
        self._open = False

    @property
    def available(self) -> bool:
        """Whether the client waits for a stop reply, and can perform calls.

        LLDB cannot. In non-stop mode no packet of the server's could be a request.
        """
        session = self._session
        return (
            self._open
            and bool(session.threads.resume_actions)
            and not (session.threads.non_stop or session.detached or session.ended)
            and not session.is_lldb
        )

    def call(self, name: str, *arguments: Argument) -> int:
        """Perform a call. Raises OSError, RemoteGone, RemoteInterrupted."""
        session = self._session
        request = FileIoRequest(name, arguments, RAM_BASE)
        session.file_io_request = request
        try:
            with session.connection.unwatched():
                session.send(request.packet())
                while request.reply is None:
                    session.process_input(session.connection.receive())
        except Hangup:
            # The session learns of it when it reads the connection next.
            self._open = False
            raise RemoteGone from None
        finally:
            session.file_io_request = None
        reply = request.reply
        if reply.interrupted:
            session.handle_interrupt()
        if session.interrupt_requested:
            session.guest.interrupt()
        if reply.result >= 0:
            return reply.result
        if reply.interrupted and reply.error == errno.EINTR:
            raise RemoteInterrupted
        raise OSError(reply.error, "the debugger reports an error")
