"""The host's end of the line to the agent: whole frames, and never a wait without an end."""

import select
import socket
import time

from guestdbg.lab.inside import frames


class Hung(Exception):
    """Nothing came in the time given."""


class Closed(Exception):
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
        self, deadline: float | None, also: int | None = None
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """The frames that arrived, and whether the descriptor ``also`` has something to read.

        Waits for either until ``deadline`` (time.monotonic()). Raises Hung, Closed, and
        frames.FrameError where the other end has lost its mind.
        """
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Hung
            wanted: list[socket.socket | int] = [self._socket]
            if also is not None:
                wanted.append(also)
            writing = [self._socket] if self._outgoing else []
            readable, writable, _ = select.select(wanted, writing, [], left)
            if writable:
                self._write()
            found = self._read() if self._socket in readable else []
            if found or (also is not None and also in readable):
                return found, also is not None and also in readable

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
            raise Closed from error

    def _read(self) -> list[tuple[int, bytes]]:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        return self._reader.feed(data)
