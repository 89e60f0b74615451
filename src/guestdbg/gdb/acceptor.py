"""Accepts the connections of clients in a thread of its own, and serves one debugger at a time.

A connection counts only once it has sent a packet (``first_packet``): until then it stops nothing,
and others are accepted beside it. One that is idle for long, or one of too many, is closed.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guestdbg.gdb.first_packet import FirstPacket, judge
from guestdbg.gdb.listen_address import listen
from guestdbg.gdb.packets import frame

if TYPE_CHECKING:
    from guestdbg.gdb.listen_address import ListenAddress

__all__ = ["Acceptor", "Client"]

_REFUSAL = b"E.guestdbg: another debugger is attached to this guest, which serves one at a time"
_RECEIVE_BYTES = 4096
#: How long a refused client may take to hang up.
_REFUSED_SECONDS = 1.0
#: How long a new client waits for the one before: that one may have disconnected without the
#: serving thread having noticed.
_GRACE_SECONDS = 0.5
#: How long a connection may take to send its first packet, and how many of them there may be.
FIRST_PACKET_SECONDS = 60.0
MAX_UNIDENTIFIED = 16
#: How many debuggers may wait for their turn or for their refusal to be read.
_MAX_OTHERS = 16


@dataclass(frozen=True, slots=True)
class Client:
    """A debugger's connection, and what it has sent so far."""

    socket: socket.socket
    received: bytes


@dataclass(slots=True)
class _Pending:
    """A connection that is not served. ``deadline``: when it is closed, or refused."""

    socket: socket.socket
    deadline: float
    received: bytearray = field(default_factory=bytearray)


class Acceptor:
    """Listens at an address. A debugger is served when the one before has been released.

    Args:
        address: where to listen.
        wake: called from the acceptor's thread when a debugger has come, or ``alarm`` was written
            to.
        allow_remote: allow addresses that other machines can reach.

    Attributes:
        address: where it listens, with the port or path that was chosen.
        alarm: a file descriptor. Writing to it calls ``wake``.

    Raises ServerError if it cannot listen.
    """

    def __init__(
        self, address: ListenAddress, wake: Callable[[], object], *, allow_remote: bool
    ) -> None:
        self._listener = listen(address, allow_remote=allow_remote)
        self.address = self._listener.address
        self._wake = wake
        # Reentrant: shut_down_client() is also called by signal handlers.
        self._lock = threading.RLock()
        self._client: socket.socket | None = None  # handed over and not yet released
        self._arrived: deque[Client] = deque()
        self._closed = False
        self._unidentified: dict[int, _Pending] = {}
        self._waiting: dict[int, _Pending] = {}  # debuggers, while another one is served
        self._refused: dict[int, _Pending] = {}
        self._alarm_reader, self.alarm = os.pipe()
        self._notice_reader, self._notice = os.pipe()
        for fd in (self.alarm, self._notice, self._alarm_reader, self._notice_reader):
            os.set_blocking(fd, False)
        self._listener.socket.setblocking(False)
        self._poll = select.poll()
        for one in (self._listener.socket.fileno(), self._alarm_reader, self._notice_reader):
            self._poll.register(one, select.POLLIN)
        self._thread = threading.Thread(target=self._run, name="gdb acceptor", daemon=True)
        self._thread.start()

    @property
    def has_client(self) -> bool:
        """Whether a debugger waits to be served."""
        return bool(self._arrived)

    def take_client(self) -> Client:
        """The debugger that waits."""
        return self._arrived.popleft()

    def release_client(self) -> None:
        """The debugger has been served: the next one may come."""
        with self._lock:
            self._client = None
        self._notify()

    def shut_down_client(self) -> None:
        """Shut the debugger's connection down, which ends its session. From any thread."""
        with self._lock:
            if self._client is not None:
                with contextlib.suppress(OSError):
                    self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._notify()
        self._thread.join()
        for fd in (self._alarm_reader, self.alarm, self._notice_reader, self._notice):
            os.close(fd)
        self._listener.close()
        for client in self._arrived:
            client.socket.close()
        for pending in (self._unidentified, self._waiting, self._refused):
            for one in pending.values():
                one.socket.close()

    def _notify(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._notice, b"!")

    # ---- the acceptor's thread ---------------------------------------------------------------

    def _run(self) -> None:
        while True:
            for fd, _ in self._poll.poll(self._milliseconds_left()):
                if fd == self._listener.socket.fileno():
                    self._accept()
                elif fd == self._alarm_reader:
                    _drain(fd)
                    self._wake()
                elif fd == self._notice_reader:
                    _drain(fd)
                else:
                    self._receive(fd)
            if self._closed:
                return
            self._check_times()
            self._hand_over()

    def _milliseconds_left(self) -> int | None:
        """Until the first deadline; None if there is none."""
        deadlines = [
            one.deadline
            for pending in (self._unidentified, self._waiting, self._refused)
            for one in pending.values()
        ]
        if not deadlines:
            return None
        return max(0, int((min(deadlines) - time.monotonic()) * 1000) + 1)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.socket.accept()
        except OSError:
            # Too many open files, for example. The connection stays in the queue: without a pause
            # this thread would spin until a file is closed.
            time.sleep(0.05)
            return
        client.setblocking(False)
        if len(self._unidentified) >= MAX_UNIDENTIFIED:
            self._close(self._unidentified, next(iter(self._unidentified)))
        deadline = time.monotonic() + FIRST_PACKET_SECONDS
        self._unidentified[client.fileno()] = _Pending(client, deadline)
        self._poll.register(client, select.POLLIN)

    def _receive(self, fd: int) -> None:
        """A pending connection has sent something, or has hung up."""
        if fd in self._unidentified:
            self._identify(fd)
        elif fd in self._refused and _received(self._refused[fd].socket) == b"":
            self._close(self._refused, fd)

    def _identify(self, fd: int) -> None:
        one = self._unidentified[fd]
        data = _received(one.socket)
        if data is None:
            return
        one.received += data
        verdict = judge(bytes(one.received)) if data else FirstPacket.FOREIGN
        if verdict is FirstPacket.INCOMPLETE:
            return
        if verdict is FirstPacket.FOREIGN or len(self._waiting) >= _MAX_OTHERS:
            self._close(self._unidentified, fd)
            return
        del self._unidentified[fd]
        self._poll.unregister(fd)
        one.deadline = time.monotonic() + _GRACE_SECONDS
        self._waiting[fd] = one

    def _check_times(self) -> None:
        now = time.monotonic()
        for pending in (self._unidentified, self._refused):
            for fd in [fd for fd, one in pending.items() if one.deadline <= now]:
                self._close(pending, fd)
        for fd in [fd for fd, one in self._waiting.items() if one.deadline <= now]:
            self._refuse(fd, now)

    def _refuse(self, fd: int, now: float) -> None:
        """Send the reason, and wait until the client hangs up, which GDB does when it has it."""
        one = self._waiting.pop(fd)
        if len(self._refused) >= _MAX_OTHERS:
            self._close(self._refused, next(iter(self._refused)))
        with contextlib.suppress(OSError):
            one.socket.send(b"+" + frame(_REFUSAL))
            one.socket.shutdown(socket.SHUT_WR)
        one.deadline = now + _REFUSED_SECONDS
        self._refused[fd] = one
        self._poll.register(fd, select.POLLIN)

    def _hand_over(self) -> None:
        """Hand the first debugger over that waits, if none is served."""
        if not self._waiting:
            return
        with self._lock:
            if self._client is not None:
                return
            one = self._waiting.pop(next(iter(self._waiting)))
            one.socket.setblocking(True)
            self._client = one.socket
            self._arrived.append(Client(one.socket, bytes(one.received)))
        self._wake()

    def _close(self, pending: dict[int, _Pending], fd: int) -> None:
        self._poll.unregister(fd)
        pending.pop(fd).socket.close()


def _received(client: socket.socket) -> bytes | None:
    """What the connection has sent; None for nothing, no bytes if it has hung up or is broken."""
    try:
        return client.recv(_RECEIVE_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(fd, 4096)
