"""The host's end of the channel to the agent: sends and receives frames, with a time limit."""

import math
import select
import socket
import time
from collections.abc import Sequence

from guestdbg.lab.inside import frames


class ReceiveTimeout(Exception):
    """Nothing arrived before the deadline."""


class ChannelClosed(Exception):
    """The other end is closed: QEMU has ended."""


class Channel:
    """Frames over a socket. Data is sent while receiving, so that neither end blocks the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        self._outgoing = bytearray()
        self._reader = frames.Reader()

    def send(self, data: bytes) -> None:
        """Queues frames; ``receive`` sends them."""
        self._outgoing += data

    def receive(
        self, deadline: float | None, reading: Sequence[int] = (), writing: Sequence[int] = ()
    ) -> tuple[list[tuple[int, bytes]], set[int]]:
        """The frames that arrived, and which of the other descriptors are ready.

        Waits for either until ``deadline`` (time.monotonic(); None: without limit). Raises
        ReceiveTimeout, ChannelClosed, and frames.FrameError if what arrived is not frames.
        """
        own = self._socket.fileno()
        poll = select.poll()
        for fd in reading:
            poll.register(fd, select.POLLIN)
        for fd in writing:
            poll.register(fd, select.POLLOUT | (select.POLLIN if fd in reading else 0))
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise ReceiveTimeout
            poll.register(own, select.POLLIN | (select.POLLOUT if self._outgoing else 0))
            events = dict(poll.poll(None if left is None else math.ceil(left * 1000)))
            own_events = events.pop(own, 0)
            if own_events & select.POLLOUT:
                self._write()
            found = self._read() if own_events & ~select.POLLOUT else []
            if found or events:
                return found, set(events)

    def drain(self, deadline: float) -> None:
        """Discards what arrives. Raises ChannelClosed when the other end closes, ReceiveTimeout at
        the deadline."""
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
