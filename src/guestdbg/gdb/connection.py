"""The connection to one client, and the thread that watches it for input while the guest runs.

While the guest is stopped, the serving thread (the one that also runs the guest) reads the
connection itself: a packet then costs two system calls and no switch of threads. While the guest
runs, the watcher thread polls for input, and interrupts the guest when there is some. It never
reads. What it sees may be out of date by a moment, so it may interrupt the guest without need,
which does no harm.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from guestdbg.gdb.packets import MAX_PACKET

__all__ = ["Connection", "Hangup", "Waker"]

#: How long the watcher sleeps while the guest is stopped, and after it has interrupted the guest.
#: It is the latency of Ctrl-C, and limits how often the watcher runs beside a client that stops and
#: resumes the guest thousands of times a second.
_NAP_SECONDS = 0.01
#: How long one poll for input takes at most. The watcher notices only after it that the guest has
#: stopped.
_POLL_MILLISECONDS = 50
#: Naps with the guest stopped after which the watcher blocks until the next run.
_NAPS = 50
#: How long a client may take to read anything of what was sent to it. Then it is disconnected: the
#: server can do nothing else meanwhile.
SEND_SECONDS = 60


class Hangup(Exception):
    """The client has closed the connection, or it is broken."""


class Waker:
    """Lets any thread end a wait of the serving thread (a self-pipe)."""

    def __init__(self) -> None:
        self._closed = False
        self._lock = threading.RLock()  # wake() may also be called by a signal handler within it
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)

    def wake(self) -> None:
        """End the current wait, or the next one. Does nothing after ``close``."""
        with self._lock, contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            if not self._closed:
                os.write(self._writer, b"!")

    def clear(self) -> None:
        """Forget all calls of ``wake`` so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.reader, 64):
                pass

    def close(self) -> None:
        """Close the pipe."""
        with self._lock:
            self._closed = True
        os.close(self.reader)
        os.close(self._writer)


class Connection:
    """The connection to one client.

    Args:
        client: a connected stream socket, which ``close`` closes.
        interrupt: called by the watcher when there is input while the guest runs.
        waker: also ends ``wait``.
        received: what the client has sent already; ``receive`` returns it first.
    """

    def __init__(
        self,
        client: socket.socket,
        interrupt: Callable[[], object],
        waker: Waker,
        received: bytes = b"",
    ) -> None:
        self._socket = client
        self._received = received
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Not settimeout(), which costs a system call more for each packet.
        timeout = struct.pack("@ll", SEND_SECONDS, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        self._interrupt = interrupt
        self._waker = waker
        self._poll = select.poll()
        self._poll.register(client, select.POLLIN)
        self._running = False
        self._periodic = False
        self._asleep = True
        self._closed = False
        self._work = threading.Semaphore(0)
        self._watcher = threading.Thread(target=self._watch, name="gdb watcher", daemon=True)
        self._watcher.start()

    # ---- the serving thread ------------------------------------------------------------------

    def receive(self) -> bytes:
        """Wait for input from the client, and read it. Raises Hangup."""
        if self._received:
            data, self._received = self._received, b""
            return data
        try:
            data = self._socket.recv(MAX_PACKET)
        except OSError:
            raise Hangup from None
        if not data:
            raise Hangup
        return data

    def send(self, data: bytes) -> None:
        """Send all of it. Raises Hangup, also if the client does not read it."""
        try:
            self._socket.sendall(data)
        except OSError:
            raise Hangup from None

    @property
    def has_input(self) -> bool:
        """Whether ``receive`` would return at once: there is data, or the client has hung up."""
        return bool(self._received or self._poll.poll(0))

    def wait(self) -> None:
        """Wait for input from the client, or for the waker."""
        if self._received:
            return
        both = select.poll()
        both.register(self._socket, select.POLLIN)
        both.register(self._waker.reader, select.POLLIN)
        if any(fd == self._waker.reader for fd, _ in both.poll()):
            self._waker.clear()

    @contextlib.contextmanager
    def watched(self, *, periodic: bool = False) -> Iterator[None]:
        """For the time of a run: the watcher interrupts the guest when there is input.

        ``periodic``: it also interrupts it without input, every 50 ms or so.
        """
        self._periodic = periodic
        self._running = True
        if self._asleep:
            self._asleep = False
            self._work.release()
        try:
            yield
        finally:
            self._running = False

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[None]:
        """For the time in which the serving thread itself reads the connection within a run."""
        before, self._running = self._running, False
        try:
            yield
        finally:
            self._running = before

    def close(self) -> None:
        """End the watcher and close the socket."""
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
                seen = poll.poll(_POLL_MILLISECONDS)
                # Poll again: the serving thread may have read that input in the meantime.
                if self._running and (poll.poll(0) if seen else self._periodic):
                    self._interrupt()
                    nap(_NAP_SECONDS)
            if self._closed:
                return
            self._asleep = True
            if self._running and self._asleep:
                # A run has begun meanwhile. It may have seen _asleep as False, and then it has not
                # released the semaphore.
                self._asleep = False
                self._work.release()
