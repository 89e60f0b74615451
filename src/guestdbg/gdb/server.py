"""The server: clients come and go, one at a time; the guest is run in between as they left it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from guestdbg.closing import Closing
from guestdbg.debugger import Guest, Stop
from guestdbg.gdb.address import listen as listen_at
from guestdbg.gdb.address import parse
from guestdbg.gdb.connection import Link, Waker
from guestdbg.gdb.end_reason import Ending
from guestdbg.gdb.errors import ServerError
from guestdbg.gdb.packets import frame
from guestdbg.gdb.session import Session

__all__ = ["OnDisconnect", "Outcome", "Server", "serve"]

OnDisconnect = Literal["stop", "go", "kill"]
Outcome = Literal["killed", "exited", "closed"]
_CHOICES = ("stop", "go", "kill")
_REFUSAL = b"E.guestdbg: another debugger is attached to this guest, which has one at a time"
_LAST_OUTPUT = 16 << 10
_REFUSED_READS = 4096
_REFUSED_SECONDS = 1
_GRACE_SECONDS = 0.5


class Server(Closing):
    """Serves one guest to debuggers that speak the remote serial protocol.

    Args:
        guest: the guest; the thread that calls ``serve`` runs it.
        listen: ``"tcp:127.0.0.1:1234"`` or ``"unix:PATH"``; port 0 takes a free one.
        wait: the guest stands until the first client comes; otherwise it runs at once.
        on_disconnect: what becomes of the guest when a client vanishes without a word: it stands
            and waits for the next (``"stop"``), runs on (``"go"``), or the server ends
            (``"kill"``). One that is detached from goes on.
        allow_remote: let other machines in, where ``listen`` says so.
        announce: called with a line of text when clients come and go.

    Attributes:
        address: where it listens.
        last: the Stop of the guest's end, once there is one.
        alarm: a descriptor; what is written to it interrupts the guest for a moment. For
            ``signal.set_wakeup_fd``: a handler cannot run while the processor does.

    Raises:
        ServerError: it cannot listen there, or ``listen`` is no address.
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
            raise ServerError(f"on_disconnect is {on_disconnect!r}: one of {', '.join(_CHOICES)}")
        self._guest = guest
        self._runs = not wait
        self._on_disconnect = on_disconnect
        self._announce = announce
        self._listener, self.address = listen_at(parse(listen), allow_remote=allow_remote)
        self._waker = Waker()
        self._lock = threading.RLock()  # a signal handler may take it again
        self._free = threading.Condition(self._lock)
        self._client: socket.socket | None = None  # accepted, and not yet done with
        self._arrived: deque[socket.socket] = deque()
        self._typed: list[bytes] = []
        self._stopping = False
        self._session: Session | None = None
        self._printed = bytearray()
        self.last: Stop | None = None
        self._closed = False
        self._alarm, self.alarm = os.pipe()
        os.set_blocking(self.alarm, False)
        self._acceptor = threading.Thread(target=self._accept, name="gdb acceptor", daemon=True)
        self._acceptor.start()

    # ---- from any thread ---------------------------------------------------------------------

    def stop(self) -> None:
        """End ``serve``."""
        self._stopping = True
        with self._lock:
            if self._client is not None:
                with contextlib.suppress(OSError):
                    self._client.shutdown(socket.SHUT_RDWR)
        self._wake()

    def type_in(self, data: bytes) -> None:
        """Type something to the guest."""
        with self._lock:
            self._typed.append(data)
        self._wake()

    def _wake(self) -> None:
        self._waker.wake()
        self._guest.interrupt()

    # ---- the thread that runs the guest ------------------------------------------------------

    def serve(self) -> Outcome:
        """Serve until a client kills the guest, the guest ends, or ``stop``; says which."""
        console = self._guest.board.console
        before, console.listener = console.listener, self._guest_wrote
        try:
            while True:
                outcome = self._between()
                if outcome is not None:
                    return outcome
                outcome = self._serve_one()
                if outcome is not None:
                    return outcome
        finally:
            console.listener = before

    def close(self) -> None:
        """Stop listening. Twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(BlockingIOError):
            os.write(self.alarm, b"!")
        self._acceptor.join()
        os.close(self._alarm)
        os.close(self.alarm)
        self._listener.close()
        for client in self._arrived:
            client.close()
        self._waker.close()
        if self.address.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address.path)

    def _between(self) -> Outcome | None:
        """Until a client comes: the guest stands or runs."""
        waits = not self._runs
        while not self._arrived:
            if self._before_run():
                return "closed"
            if waits:
                self._wait()
                waits = not self._runs
                continue
            stop = self._guest.run()
            if stop.reason == "exit":
                self.last = stop
                return "exited"
            if stop.reason == "error":
                raise ServerError(f"the guest cannot go on: {stop.detail}")
            waits = stop.reason == "idle"
        return None

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._waker.reader, select.POLLIN)
        poll.poll()
        self._waker.clear()

    def _before_run(self) -> bool:
        """Hand on what was typed; whether the server is to end."""
        if self._typed:
            with self._lock:
                typed, self._typed = self._typed, []
            for data in typed:
                self._guest.board.console.feed(data)
        return self._stopping

    def _serve_one(self) -> Outcome | None:
        connection = self._arrived.popleft()
        link = Link(connection, self._guest.interrupt, self._waker)
        session = Session(
            self._guest,
            link,
            before_run=self._before_run,
            printed=lambda: bytes(self._printed),
            greeted=lambda: self._announce("a debugger has attached"),
            announce=self._announce,
        )
        self._session = session
        try:
            ending = session.serve()
        finally:
            self._session = None
            link.close()
            with self._free:
                self._client = None
                self._free.notify()
        return self._after(session, ending)

    def _after(self, session: Session, ending: Ending) -> Outcome | None:
        if self._stopping:
            return "closed"
        if session.exit_stop is not None:
            self.last = session.exit_stop
            return "exited"
        if not session.heard:
            return None  # somebody only looked whether anybody is here
        if ending is Ending.KILLED:
            self._announce("the debugger has ended the guest")
            return "killed"
        if ending is Ending.DETACHED:
            self._announce("the debugger has detached: the guest runs on")
            self._runs = True
            return None
        what = {"stop": "the guest stands", "go": "the guest runs on", "kill": "that ends it"}
        self._announce(f"the debugger is gone: {what[self._on_disconnect]}")
        self._runs = self._on_disconnect == "go"
        return "killed" if self._on_disconnect == "kill" else None

    def _guest_wrote(self, data: bytes) -> None:
        self._printed += data
        if len(self._printed) > 2 * _LAST_OUTPUT:
            del self._printed[:-_LAST_OUTPUT]
        if self._session is not None:
            self._session.console_output(data)

    # ---- the acceptor's thread ---------------------------------------------------------------

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._alarm, select.POLLIN)
        while True:
            if any(fd == self._alarm for fd, _ in poll.poll()):
                os.read(self._alarm, 64)
                if self._closed:
                    return
                self._wake()
                continue
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            with self._free:
                # The one before may have gone, and that not have been noticed yet.
                free = self._free.wait_for(lambda: self._client is None, _GRACE_SECONDS)
                if free:
                    self._client = connection
                    self._arrived.append(connection)
            if free:
                self._wake()
            else:
                _refuse(connection)


def _refuse(connection: socket.socket) -> None:
    """Say why, and hang up; without waiting for one that does not listen."""
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_REFUSED_SECONDS)
        # GDB shows the answer to its first question; one that was not asked it would drop.
        connection.recv(_REFUSED_READS)
        connection.sendall(b"+" + frame(_REFUSAL))
        connection.shutdown(socket.SHUT_WR)
        # One that talks on is not listened to for longer: others wait to be let in.
        end = time.monotonic() + _REFUSED_SECONDS
        while connection.recv(_REFUSED_READS) and time.monotonic() < end:
            pass


def serve(guest: Guest, listen: str = "tcp:127.0.0.1:1234", **options: object) -> Outcome:
    """Serve a guest to GDB or LLDB: a ``Server`` with these options, until it ends.

    Raises ServerError.
    """
    with Server(guest, listen, **options) as server:  # type: ignore[arg-type]
        return server.serve()
