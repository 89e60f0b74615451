"""The server: clients come and go, one at a time, and the guest runs or is stopped in between."""

from __future__ import annotations

import logging
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from guestdbg.closing import Closing
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.acceptor import Acceptor
from guestdbg.gdb.connection import Connection, Waker
from guestdbg.gdb.end_reason import EndReason
from guestdbg.gdb.errors import ServerError, defect
from guestdbg.gdb.listen_address import parse
from guestdbg.gdb.session import Session

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, GuestSnapshot, Stop

__all__ = ["OnDisconnect", "Outcome", "Server", "serve"]

log = logging.getLogger(__name__)

OnDisconnect = Literal["stop", "go", "kill"]
Outcome = Literal["killed", "exited", "closed"]
_CHOICES = ("stop", "go", "kill")
#: How much of the guest's console output is kept for `monitor console`, in bytes.
_CONSOLE_HISTORY = 16 << 10


class Server(Closing):
    """Serves one guest to debuggers that speak the remote serial protocol.

    Args:
        guest: the guest; the thread that calls ``serve`` runs it.
        listen: ``"tcp:127.0.0.1:1234"`` or ``"unix:PATH"``; port 0 chooses a free port, and
            ``"unix:"`` a path in a directory that only the user can enter.
        wait: the guest is stopped until the first client attaches; otherwise it runs at once.
        on_disconnect: what happens to the guest when a client disconnects without detaching: it
            stops and waits for the next client (``"stop"``), it runs on (``"go"``), or the server
            ends (``"kill"``). When a client detaches, the guest always runs on. A connection is a
            client's from the first packet on.
        allow_remote: accept connections from other machines, if ``listen`` names such an address.
        announce: called with a line of text when clients come and go.

    Attributes:
        address: where it listens.
        last: the Stop with which the guest ended; None while it has not.
        alarm: a file descriptor. Writing to it interrupts the guest for a moment. For
            ``signal.set_wakeup_fd``: Python runs no signal handler while the guest runs.

    Raises:
        ServerError: ``listen`` is not an address, or the server cannot listen there.
    """

    def __init__(
        self,
        guest: Guest,
        listen: str = "tcp:127.0.0.1:1234",
        *,
        wait: bool = True,
        on_disconnect: OnDisconnect = "stop",
        allow_remote: bool = False,
        announce: Callable[[str], object] = lambda text: None,
    ) -> None:
        if on_disconnect not in _CHOICES:
            raise ServerError(
                f"on_disconnect is {on_disconnect!r}: it must be one of {', '.join(_CHOICES)}"
            )
        self._guest = guest
        self._runs = not wait
        self._on_disconnect = on_disconnect
        self._announce_to = announce
        self._announce_failed = False
        self._sink_failed = False
        self._had_client = False
        #: Why the guest stopped while no client was attached; the next client is told.
        self._stopped: Stop | None = None
        #: Of `monitor snapshot`, by name.
        self._snapshots: dict[str, GuestSnapshot] = {}
        self._waker = Waker()
        self._typed: list[bytes] = []
        self._typed_lock = threading.Lock()
        self._stopping = False
        self._session: Session | None = None
        self._console_history = bytearray()
        self._closed = False
        self.last: Stop | None = None
        try:
            self._acceptor = Acceptor(parse(listen), self._wake, allow_remote=allow_remote)
        except ServerError:
            self._waker.close()
            raise
        self.address = self._acceptor.address
        self.alarm = self._acceptor.alarm

    # ---- from any thread ---------------------------------------------------------------------

    def stop(self) -> None:
        """End ``serve``."""
        self._stopping = True
        self._acceptor.shut_down_client()
        self._wake()

    def type_in(self, data: bytes) -> None:
        """Type something on the guest's console."""
        with self._typed_lock:
            self._typed.append(data)
        self._wake()

    def pending_input(self) -> int:
        """How many bytes that were typed the guest has not taken yet."""
        with self._typed_lock:
            typed = sum(map(len, self._typed))
        return typed + self._guest.board.console.pending_input

    def _wake(self) -> None:
        self._waker.wake()
        self._guest.interrupt()

    # ---- the thread that runs the guest ------------------------------------------------------

    def serve(self) -> Outcome:
        """Serve clients until one kills the guest (``"killed"``), the guest ends (``"exited"``), or
        ``stop`` is called (``"closed"``).

        A guest that ends, or cannot run on, before a client has attached does not end the server:
        a client can attach then, and look at it. Defects of handlers and conditions, and errors of
        the console's sink (a full disk), are announced, and do not end it either.
        """
        console = self._guest.board.console
        messages = self._guest.messages
        before = console.listener, console.on_sink_error, messages.listener
        messages.listener = self._message
        console.listener, console.on_sink_error = self._console_output, self._sink_error
        try:
            while True:
                outcome = self._wait_for_client()
                if outcome is not None:
                    return outcome
                outcome = self._serve_client()
                if outcome is not None:
                    return outcome
        finally:
            console.listener, console.on_sink_error, messages.listener = before

    def close(self) -> None:
        """Stop listening. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._acceptor.close()
        self._waker.close()

    def _wait_for_client(self) -> Outcome | None:
        """Wait for a client. Until it comes, the guest runs or is stopped."""
        while not self._acceptor.has_client:
            if self._before_run():
                return "closed"
            if not self._runs or self._stopped is not None:
                self._wait()
                continue
            ended_before = self._guest.ended is not None
            stop = self._run_guest()
            if stop.reason == "exit":
                self.last = stop
                if self._had_client and not ended_before:
                    return "exited"
            if stop.reason in ("exit", "error", "hit", "panic"):
                self._stopped = stop
                self._announce(f"{_why(stop)}; it is stopped, and a debugger can attach")
            elif stop.reason == "idle":
                self._wait()
        return None

    def _run_guest(self) -> Stop:
        """Let the guest run. An exception is a Stop with the reason ``"error"``."""
        try:
            return self._guest.run()
        except GuestdbgError as error:
            return self._guest.execution.stop("error", str(error))
        except Exception as error:
            log.exception("a defect in what runs beside the guest")
            return self._guest.execution.stop("error", defect(error))

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._waker.reader, select.POLLIN)
        poll.poll()
        self._waker.clear()

    def _before_run(self) -> bool:
        """Type what was given to ``type_in`` on the console; whether the server must end."""
        if self._typed:
            with self._typed_lock:
                typed, self._typed = self._typed, []
            for data in typed:
                self._guest.board.console.feed(data)
        return self._stopping

    def _serve_client(self) -> Outcome | None:
        client = self._acceptor.take_client()
        connection = Connection(
            client.socket, self._guest.interrupt, self._waker, received=client.received
        )
        session = Session(
            self._guest,
            connection,
            before_run=self._before_run,
            console_history=lambda: bytes(self._console_history),
            announce=self._announce,
            stopped=self._stopped,
            snapshots=self._snapshots,
        )
        self._session = session
        self._had_client = True
        self._announce("a debugger has attached")
        try:
            end_reason = session.serve()
        except Exception as error:
            log.exception("the session of the debugger ends")
            self._announce(f"the session of the debugger ends: {defect(error)}")
            end_reason = EndReason.DISCONNECTED
        finally:
            self._session = None
            connection.close()
            self._acceptor.release_client()
        # The next client is told of the end of the guest, not of this one's breakpoints.
        stop = session.stopped
        self._stopped = stop if stop is not None and stop.reason in ("exit", "error") else None
        return self._after_session(session, end_reason)

    def _after_session(self, session: Session, end_reason: EndReason) -> Outcome | None:
        if self._stopping:
            return "closed"
        if session.exit_stop is not None:
            self.last = session.exit_stop
            return "exited"
        if end_reason is EndReason.KILLED:
            self._announce("the debugger has killed the guest")
            return "killed"
        if end_reason is EndReason.DETACHED:
            self._announce("the debugger has detached: the guest runs on")
            self._runs, self._stopped = True, None
            return None
        what = {
            "stop": "the guest is stopped",
            "go": "the guest runs on",
            "kill": "the server ends",
        }
        self._announce(f"the debugger has disconnected: {what[self._on_disconnect]}")
        self._runs = self._on_disconnect == "go"
        if self._runs:
            self._stopped = None
        return "killed" if self._on_disconnect == "kill" else None

    def _announce(self, text: str) -> None:
        """Announce something. If that fails (a full disk), the guest and the client go on."""
        try:
            self._announce_to(text)
        except Exception as error:
            if not self._announce_failed:
                self._announce_failed = True
                log.warning("messages of the server are lost: %s", error)

    def _sink_error(self, error: Exception) -> None:
        """The console's sink has failed: say so once, and let the guest run on."""
        if not self._sink_failed:
            self._sink_failed = True
            self._announce(
                f"the guest's console output is lost: {error}; `monitor console` shows the last"
            )

    def _message(self, message: object, text: str) -> None:
        """The guest misses a device or an instruction: tell both users."""
        self._announce(text)
        if self._session is not None:
            self._session.show(text)

    def _console_output(self, data: bytes) -> None:
        self._console_history += data
        if len(self._console_history) > 2 * _CONSOLE_HISTORY:
            del self._console_history[:-_CONSOLE_HISTORY]
        if self._session is not None:
            self._session.console_output(data)


def _why(stop: Stop) -> str:
    """Why the guest has stopped, for the user of the server."""
    if stop.reason == "exit":
        return f"the guest {stop.detail or 'ended'}"
    if stop.reason == "error":
        return f"the guest cannot run on: {stop.detail}"
    if stop.reason == "panic":
        return f"the guest's kernel panics: {stop.detail}"
    return str(stop)


def serve(guest: Guest, listen: str = "tcp:127.0.0.1:1234", **options: object) -> Outcome:
    """Serve a guest to GDB or LLDB: a ``Server`` with these options, until it ends.

    Raises ServerError.
    """
    with Server(guest, listen, **options) as server:  # type: ignore[arg-type]
        return server.serve()
