"""What parent and worker say to each other, over a pair of sockets that nobody else has.

Messages are pickled: both ends are this program. Descriptors are sent beside them.
"""

from __future__ import annotations

import socket
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

__all__ = ["Answer", "Channel", "Drop", "Job", "Share"]


class Share(NamedTuple):
    """Open something under a digest; its descriptor follows.

    ``opener`` is called with ``data`` and the descriptor, and what it returns is given to jobs.
    """

    digest: str
    opener: str
    data: bytes


class Drop(NamedTuple):
    """Close what was opened under a digest."""

    digest: str


class Job(NamedTuple):
    """Call a function with what was opened under a digest, and these arguments; None: with these
    alone."""

    function: str
    digest: str | None
    arguments: tuple[Any, ...]


class Answer(NamedTuple):
    """What came of a job: its result; or its exception, or the text of one that cannot be sent."""

    result: Any
    error: BaseException | None = None
    traceback: str = ""


class Channel:
    """One end, from a descriptor of a socket, which it owns."""

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError if the other end is closed, or what pickling raises."""
        self._connection.send(message)

    def receive(self) -> Any:
        """The next message. Raises EOFError or OSError if the other end is closed."""
        return self._connection.recv()

    def waits(self, seconds: float | None) -> bool:
        """Whether there is a message, or the other end is closed, within ``seconds``."""
        return self._connection.poll(seconds)

    def send_descriptor(self, descriptor: int) -> None:
        """Send a copy of a descriptor."""
        with socket.socket(fileno=self._connection.fileno()) as own:
            try:
                socket.send_fds(own, [b"d"], [descriptor])
            finally:
                own.detach()

    def receive_descriptor(self) -> int:
        """A descriptor that was sent. Raises EOFError if the other end is closed."""
        with socket.socket(fileno=self._connection.fileno()) as own:
            try:
                data, descriptors, _, _ = socket.recv_fds(own, 1, 1)
            finally:
                own.detach()
        if not data or not descriptors:
            raise EOFError
        return descriptors[0]

    def close(self) -> None:
        """Close it. Closing twice does nothing."""
        self._connection.close()
