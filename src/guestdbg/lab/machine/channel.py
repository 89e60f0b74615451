"""The host's end of the line to the agent: whole frames, and never a wait without an end."""

import math
import select
import socket
import time
from collections.abc import Sequence

from guestdbg.lab.inside import frames


class ReceiveTimeout(Exception):
    """Nothing came in the time given."""


class ChannelClosed(Exception):
    """The other end is gone: QEMU has ended."""


class Channel:
    """Frames over a socket. Sending goes on while receiving, so neither end can block the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._outgoing = bytearray()
        self._reader = frames.Reader()

    def send(self, data: bytes) -> None:
        """Queues frames; they leave during ``receive``."""
        self._outgoing += data

    def receive(
        self, deadline: float | None, reading: Sequence[int] = (), writing: Sequence[int] = ()
    ) -> tuple[list[tuple[int, bytes]], set[int]]:
        """The frames that arrived, and which of other descriptors are ready.

        Waits for any of it until ``deadline`` (time.monotonic()). Raises Hung, Closed, and
        frames.FrameError where the other end has lost its mind.
        """
        ours = self._socket.fileno()
        poll = select.poll()
        for fd in reading:
            poll.register(fd, select.POLLIN)
        for fd in writing:
            poll.register(fd, select.POLLOUT | (select.POLLIN if fd in reading else 0))
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise ReceiveTimeout
            poll.register(ours, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            events = dict(poll.poll(None if left is None else math.ceil(left * 1000)))
            mine = events.pop(ours, 0)
            if mine & select.POLLOUT:
                self._write()
            found = self._read() if mine & ~select.POLLOUT else []
            if found or events:
                return found, set(events)

    def drain(self, deadline: float) -> None:
        """Takes everything until the other end is gone. Raises Closed then, Hung before."""
        while True:
            self.receive(deadline)

    def close(self) -> None:
        self._socket.close()

    def _write(self) -> None:
        try:
            del self._outgoing[: self._socket.send(self._outgoing[: 1 << 18])]
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosed from error

    def _read(self) -> list[tuple[int, bytes]]:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        return self._reader.feed(data)
