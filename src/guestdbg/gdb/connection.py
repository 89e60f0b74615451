"""The connection to one client, and the watch over it while the guest runs.

While the guest stands, the thread that runs it reads the connection itself: a packet then costs
two system calls and no change of threads. While it runs, another thread watches for input and
interrupts the guest when there is some; it reads nothing. What it sees may be stale by a moment,
so an interruption for nothing is possible, and does no harm.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

from guestdbg.gdb.packets import MAX_PACKET

__all__ = ["Hangup", "Link", "Waker"]

#: How long the watcher sleeps while the guest stands, and after input that has been read already.
#: That bounds how long a Ctrl-C takes to be noticed, and how often a client that stops and starts
#: the guest by the thousand is disturbed.
_NAP_SECONDS = 0.01
#: How long it waits for input at a time; it need not know sooner that the guest stands again.
_LOOK_MILLISECONDS = 50
#: Naps after which the watcher of a guest that stands lies down, to be woken by the next run.
_NAPS = 50


class Hangup(Exception):
    """The client has gone."""


class Waker:
    """Lets any thread end a wait of the thread that serves."""

    def __init__(self) -> None:
        self._closed = False
        self._lock = threading.RLock()  # a signal handler may take it again
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def wake(self) -> None:
        """End the wait, or the next; nothing once it is closed."""
        with self._lock, contextlib.suppress(BlockingIOError):  # full: it will wake as it is
            if not self._closed:
                os.write(self._writer, b"!")

    def clear(self) -> None:
        """Forget what has been woken for."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.reader, 64):
                pass

    def close(self) -> None:
        """Give the pipe back."""
        with self._lock:
            self._closed = True
        os.close(self.reader)
        os.close(self._writer)


class Link:
    """One client's connection.

    Args:
        connection: a connected stream socket; it is the link's to close.
        interrupt: called by the watcher when there is input while the guest runs.
        waker: what else ends ``wait``.
    """

    def __init__(
        self, connection: socket.socket, interrupt: Callable[[], object], waker: Waker
    ) -> None:
        self._socket = connection
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._interrupt = interrupt
        self._waker = waker
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._running = False
        self._look_in = False
        self._asleep = True
        self._closed = False
        self._work = threading.Semaphore(0)
        self._watcher = threading.Thread(target=self._watch, name="gdb watcher", daemon=True)
        self._watcher.start()

    # ---- the thread that serves --------------------------------------------------------------

    def receive(self) -> bytes:
        """What the client has sent; waits for it. Raises Hangup."""
        try:
            data = self._socket.recv(MAX_PACKET)
        except OSError:
            raise Hangup from None
        if not data:
            raise Hangup
        return data

    def send(self, data: bytes) -> None:
        """Send all of it. Raises Hangup."""
        try:
            self._socket.sendall(data)
        except OSError:
            raise Hangup from None

    @property
    def has_input(self) -> bool:
        """Whether ``receive`` would not wait: there is data, or the client has gone."""
        return bool(self._poll.poll(0))

    def wait(self) -> None:
        """Wait for input from the client, or for the waker."""
        both = select.poll()
        both.register(self._socket, select.POLLIN)
        both.register(self._waker.reader, select.POLLIN)
        if any(fd == self._waker.reader for fd, _ in both.poll()):
            self._waker.clear()

    @contextlib.contextmanager
    def watched(self, *, look_in: bool = False) -> Iterator[None]:
        """While this lasts, input interrupts the guest; ``look_in``: so does time, now and then."""
        self._look_in = look_in
        self._running = True
        if self._asleep:
            self._asleep = False
            self._work.release()
        try:
            yield
        finally:
            self._running = False

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        self._work.release()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._watcher.join()
        self._socket.close()

    # ---- the watcher -------------------------------------------------------------------------

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        nap = threading.Event().wait
        while True:
            self._work.acquire()
            idle = 0
            while not self._closed and idle < _NAPS:
                if not self._running:
                    idle += 1
                    nap(_NAP_SECONDS)
                    continue
                idle = 0
                seen = poll.poll(_LOOK_MILLISECONDS)
                # The second look tells what is there now from what has been read meanwhile.
                if self._running and (poll.poll(0) if seen else self._look_in):
                    self._interrupt()
                    nap(_NAP_SECONDS)
            if self._closed:
                return
            self._asleep = True
            if self._running and self._asleep:
                # A run began as it lay down, and may have taken it for awake.
                self._asleep = False
                self._work.release()
