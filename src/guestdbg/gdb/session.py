"""The loop of one client's session: receive packets, dispatch them, run the guest."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.connection import Hangup
from guestdbg.gdb.errors import PacketError, defect
from guestdbg.gdb.file_io import FileIo
from guestdbg.gdb.handlers.registry import HANDLERS, server_features
from guestdbg.gdb.session_state import SessionState
from guestdbg.history import InThePast

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, GuestSnapshot, Stop
    from guestdbg.gdb.connection import Connection
    from guestdbg.gdb.end_reason import EndReason

__all__ = ["Session"]

log = logging.getLogger(__name__)

# Packets that begin with one of these letters are named by a word, all others by the letter alone:
# also bs and bc.
# LLDB writes the word qRegisterInfo and a number without anything between them.
_WORD = re.compile(rb"qRegisterInfo|b[cs]?|[qQvj][A-Za-z0-9_-]*\??")
_WORD_LETTERS = frozenset(b"bqQvj")
# What a client may still send after it has detached from the guest and kept the connection.
_WITHOUT_GUEST = frozenset(
    b"qSupported QStartNoAckMode ! vMustReplyEmpty qSymbol ? vAttach vRun R k QNonStop vStopped "
    b"vCont? qfThreadInfo qsThreadInfo qXfer qRcmd qHostInfo qGDBServerVersion".split()
)


# What a client may send before its reply to a File-I/O request ("Debugging with GDB", E.13.1).
_DURING_FILE_IO = frozenset(b"F m M x X".split())


class Session(SessionState):
    """Serves one client.

    Args:
        guest: the guest.
        connection: the connection to the client.
        before_run: called before the guest runs; returns whether the session must end.
        console_history: gives the last output of the guest's console.
        announce: called with a line of text for the user of the server.
        stopped: why the guest stopped while no client was attached.
        snapshots: the snapshots that earlier clients have taken, by name.
    """

    def __init__(
        self,
        guest: Guest,
        connection: Connection,
        *,
        before_run: Callable[[], bool] = lambda: False,
        console_history: Callable[[], bytes] = lambda: b"",
        announce: Callable[[str], object] = lambda text: None,
        stopped: Stop | None = None,
        snapshots: dict[str, GuestSnapshot] | None = None,
    ) -> None:
        super().__init__(
            guest,
            connection,
            console_history=console_history,
            announce=announce,
            stopped=stopped,
            snapshots=snapshots,
        )
        self._before_run = before_run

    def serve(self) -> EndReason:
        """Serve the client until the session ends."""
        self.begin()
        file_io = FileIo(self)
        self.execution.perform_semihosting(file_io)
        try:
            while self.end_reason is None:
                if self.threads.resume_actions:
                    self._run()
                else:
                    self._receive()
        except Hangup:
            self.hung_up()
        finally:
            file_io.close()
            self.execution.perform_semihosting(None)
            self.remove_points()
        assert self.end_reason is not None
        return self.end_reason

    def begin(self) -> None:
        """The client has attached: breakpoints of earlier ones that persist are deleted."""
        self.breakpoints.delete_persistent()

    def server_features(self) -> list[bytes]:
        """The features of the packet handlers, for the reply to qSupported."""
        return server_features(self)

    # ---- packets -----------------------------------------------------------------------------

    def _receive(self) -> None:
        """Receive input from the client, and answer it."""
        self.process_input(self.connection.receive())

    def execute(self, packet: bytes) -> bytes | None:
        """The reply to a packet; None if there is none, or if it is sent later."""
        name = packet[:1]
        if packet and packet[0] in _WORD_LETTERS:
            word = _WORD.match(packet)
            assert word is not None
            name = word[0]
        handler = HANDLERS.get(name)
        if handler is None:
            return b""
        try:
            if self.file_io_request is not None and name not in _DURING_FILE_IO:
                raise PacketError("a File-I/O request is under way: reply to it", errno.EBUSY)
            if self.detached and name not in _WITHOUT_GUEST:
                raise PacketError("detached from the guest: attach to process 1 first", errno.ESRCH)
            if not self.threads.resume_actions:
                # A client that attached, or typed, has interrupted a guest that is stopped.
                self.execution.forget_interrupt()
            return handler(self, packet[len(name) :])
        except PacketError as error:
            log.debug("%r refused: %s", packet[:64], error)
            return self.error_reply(error)
        except GuestdbgError as error:
            log.debug("%r refused: %s", packet[:64], error)
            if isinstance(error, InThePast) and not self.error_messages:
                self.refused(str(error))  # GDB shows a number only
            return self.error_reply(PacketError(str(error)))
        except Hangup:
            raise
        except Exception as error:
            # A defect in a handler must not end the guest, which may have run for a day.
            self.log_defect(f"a defect in guestdbg: the packet {packet[:256]!r}")
            return self.error_reply(PacketError(defect(error), errno.EIO))

    def handle_interrupt(self) -> None:
        """The client has sent Ctrl-C.

        It is ignored if the guest is stopped already: the stop reply was under way.
        """
        self.interrupt_requested = bool(self.threads.resume_actions) and not self.detached

    # ---- running -----------------------------------------------------------------------------

    def _run(self) -> None:
        """Run the guest until it stops or the client has sent something."""
        if self.interrupt_requested:
            self.interrupt_requested = False
            self.halt_all()
            return
        if self._before_run():
            raise Hangup
        execution = self.execution
        try:
            has_brks = execution.has_software_breakpoints
            if has_brks:
                self.breakpoints.check_brks()
            # The guest may lose BRK instructions while it runs: interrupt it now and then to check.
            with self.connection.watched(periodic=has_brks):
                stop = self.guest.resume(self.threads.resume_actions)
        except Hangup:
            raise
        except GuestdbgError as error:
            stop = execution.stop("error", str(error))
        except Exception as error:
            self.log_defect("a defect while the guest runs")
            stop = execution.stop("error", defect(error))
        if stop.reason == "interrupt":
            if self.connection.has_input:
                self._receive()
        elif stop.reason == "idle":
            # As on hardware: an idle guest goes on waiting until the client sends something.
            self.connection.wait()
            if self.connection.has_input:
                self._receive()
        else:
            self.handle_stop(stop)
