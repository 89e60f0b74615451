"""Accepts the connections of clients, one client at a time, in a thread of its own."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from guestdbg.gdb.listen_address import ListenAddress, listen
from guestdbg.gdb.packets import frame

__all__ = ["Acceptor"]

_REFUSAL = b"E.guestdbg: another debugger is attached to this guest, which serves one at a time"
_REFUSED_READ_BYTES = 4096
_REFUSED_SECONDS = 1
#: How long a new client waits for the one before: that one may have disconnected without the
#: serving thread having noticed.
_GRACE_SECONDS = 0.5


class Acceptor:
    """Listens at an address. A client is accepted when the one before has been released.

    Args:
        address: where to listen.
        wake: called from the acceptor's thread when a client has come, or ``alarm`` was written to.
        allow_remote: allow addresses that other machines can reach.

    Attributes:
        address: where it listens, with the port that was chosen for port 0.
        alarm: a file descriptor. Writing to it calls ``wake``.

    Raises ServerError if it cannot listen.
    """

    def __init__(
        self, address: ListenAddress, wake: Callable[[], object], *, allow_remote: bool
    ) -> None:
        self._listener, self.address = listen(address, allow_remote=allow_remote)
        self._wake = wake
        # Reentrant: shut_down_client() is also called by signal handlers.
        self._lock = threading.RLock()
        self._released = threading.Condition(self._lock)
        self._client: socket.socket | None = None  # accepted and not yet released
        self._arrived: deque[socket.socket] = deque()
        self._closed = False
        self._alarm_reader, self.alarm = os.pipe()
        os.set_blocking(self.alarm, False)
        self._thread = threading.Thread(target=self._accept, name="gdb acceptor", daemon=True)
        self._thread.start()

    @property
    def has_client(self) -> bool:
        """Whether a client waits to be served."""
        return bool(self._arrived)

    def take_client(self) -> socket.socket:
        """The client that waits."""
        return self._arrived.popleft()

    def release_client(self) -> None:
        """The client has been served: the next one may be accepted."""
        with self._released:
            self._client = None
            self._released.notify()

    def shut_down_client(self) -> None:
        """Shut the client's connection down, which ends its session. From any thread."""
        with self._lock:
            if self._client is not None:
                with contextlib.suppress(OSError):
                    self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(BlockingIOError):
            os.write(self.alarm, b"!")
        self._thread.join()
        os.close(self._alarm_reader)
        os.close(self.alarm)
        self._listener.close()
        for client in self._arrived:
            client.close()
        if self.address.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address.path)

    # ---- the acceptor's thread ---------------------------------------------------------------

    def _accept(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._alarm_reader, select.POLLIN)
        while True:
            if any(fd == self._alarm_reader for fd, _ in poll.poll()):
                os.read(self._alarm_reader, 64)
                if self._closed:
                    return
                self._wake()
                continue
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            with self._released:
                free = self._released.wait_for(lambda: self._client is None, _GRACE_SECONDS)
                if free:
                    self._client = client
                    self._arrived.append(client)
            if free:
                self._wake()
            else:
                _refuse(client)


def _refuse(client: socket.socket) -> None:
    """Send the reason and hang up, within a bounded time."""
    with client, contextlib.suppress(OSError):
        client.settimeout(_REFUSED_SECONDS)
        # GDB shows the reply to its first packet, and drops what it did not ask for.
        client.recv(_REFUSED_READ_BYTES)
        client.sendall(b"+" + frame(_REFUSAL))
        client.shutdown(socket.SHUT_WR)
        # Wait until it hangs up, but not longer than others can wait.
        end = time.monotonic() + _REFUSED_SECONDS
        while client.recv(_REFUSED_READ_BYTES) and time.monotonic() < end:
            pass
