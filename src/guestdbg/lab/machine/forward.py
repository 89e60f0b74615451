"""Ports of the host that lead to servers in the lab, over the same channel as all the rest."""

import itertools
import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.connection import Connection
from guestdbg.lab.inside.frames import CONNECT, frame, frame_json, unpack_relay

#: The maximum number of clients at once.
_MOST = 64
#: Seconds that clients have, after a command has ended, to read what its servers sent.
_DRAIN_LIMIT = 1.0


class Forward:
    """Relays connections from a port of the host to a port in the lab.

    It listens on ``port`` of the host's loopback address (0: any free port) for ``inside``, a port
    in the lab. Pass it to ``Lab.run(forwards=...)``. Close it, or use it in a ``with`` statement.

    Raises LabError if it cannot listen on the port.
    """

    def __init__(self, inside: int, port: int = 0) -> None:
        self.inside = inside
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise LabError(f"port {port} cannot be listened on: {reason}") from error
        self._listener.setblocking(False)

    @property
    def port(self) -> int:
        """The port on the host."""
        number = self._listener.getsockname()[1]
        assert isinstance(number, int)
        return number

    def fileno(self) -> int:
        """For select: readable when a client connects."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """The socket of a client that has connected, or None if it is gone already."""
        try:
            return self._listener.accept()[0]
        except OSError:
            return None

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Connections:
    """The clients of some forwards while one command runs."""

    _numbers = itertools.count(1)

    def __init__(self, forwards: tuple[Forward, ...], send: Callable[[bytes], None]) -> None:
        self._forwards = forwards
        self._send = send
        self._clients: dict[int, Connection] = {}

    def reading(self) -> list[int]:
        """The descriptors to read from: clients with room at the other end, listening sockets."""
        clients = [client.fileno() for client in self._clients.values() if client.wants_to_read]
        # Further clients wait in the listener's queue.
        listeners = self._forwards if len(self._clients) < _MOST else ()
        return [*clients, *(forward.fileno() for forward in listeners)]

    def writing(self) -> list[int]:
        """The descriptors of clients for which data is waiting."""
        return [client.fileno() for client in self._clients.values() if client.wants_to_write]

    def handle(self, ready: set[int]) -> None:
        """Reads and writes on the descriptors that are ready, and accepts new clients."""
        for client in [c for c in self._clients.values() if c.fileno() in ready]:
            client.write()
            client.read()
            self._forget(client)
        for forward in self._forwards:
            if forward.fileno() in ready and (sock := forward.accept()) is not None:
                number = next(self._numbers)
                self._clients[number] = Connection(number, sock, self._send_frame)
                self._send(frame_json(CONNECT, {"number": number, "port": forward.inside}))

    def take(self, kind: int, payload: bytes) -> None:
        """Handles a frame about a connection from the lab. Raises FrameError."""
        number, data = unpack_relay(payload)
        if (client := self._clients.get(number)) is not None:
            client.take(kind, data)
            self._forget(client)

    def close(self) -> None:
        """Closes every connection, after a moment for clients to read a server's last data."""
        end = time.monotonic() + _DRAIN_LIMIT
        while (writing := self.writing()) and (left := end - time.monotonic()) > 0:
            poll = select.poll()
            for fd in writing:
                poll.register(fd, select.POLLOUT)
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            for client in [c for c in self._clients.values() if c.fileno() in ready]:
                client.write()
                self._forget(client)
        for client in list(self._clients.values()):
            client.cut()
            self._forget(client)

    def _send_frame(self, kind: int, payload: bytes) -> None:
        self._send(frame(kind, payload))

    def _forget(self, client: Connection) -> None:
        if client.over:
            del self._clients[client.number]
