"""Ports here that lead to servers in the lab, over the same line as everything else."""

import contextlib
import itertools
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from guestdbg.lab.errors import LabError
from guestdbg.lab.inside.frames import CONNECT, PIECE, RELAY, frame, frame_json, relayed

#: A client that does not read is cut off when so many bytes wait for it.
_MOST = 16 << 20


class Forward:
    """Listens on ``port`` of this machine's loopback (0: a free one) for ``inside``, a port in
    the lab; for ``Lab.run(forwards=...)``. Close it, or use it in a ``with`` statement.

    Raises LabError if the port cannot be had.
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
        """The port here."""
        number = self._listener.getsockname()[1]
        assert isinstance(number, int)
        return number

    def fileno(self) -> int:
        """For select: readable when somebody connects."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """Who connected, if they are still there."""
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
    """The clients of some forwards, for as long as one command runs."""

    _numbers = itertools.count(1)

    def __init__(self, forwards: tuple[Forward, ...], send: Callable[[bytes], None]) -> None:
        self._forwards = forwards
        self._send = send
        self._clients: dict[int, socket.socket] = {}
        self._unsent: dict[int, bytearray] = {}

    def reading(self) -> list[int]:
        """The descriptors from which something may come."""
        clients = [client.fileno() for client in self._clients.values()]
        return [*clients, *(forward.fileno() for forward in self._forwards)]

    def writing(self) -> list[int]:
        """The descriptors for which something waits."""
        return [self._clients[n].fileno() for n, unsent in self._unsent.items() if unsent]

    def handle(self, ready: set[int]) -> None:
        """Passes on what can be passed on, on the descriptors that are ready."""
        for number in [n for n, client in self._clients.items() if client.fileno() in ready]:
            self._pass(number)
        for forward in self._forwards:
            if forward.fileno() in ready and (client := forward.accept()) is not None:
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                number = next(self._numbers)
                self._clients[number] = client
                self._unsent[number] = bytearray()
                self._send(frame_json(CONNECT, {"number": number, "port": forward.inside}))

    def take(self, number: int, data: bytes) -> None:
        """What the lab's side of a connection said; nothing means that it has ended."""
        if number not in self._clients:
            return
        self._unsent[number] += data
        self._write(number)
        if not data or len(self._unsent.get(number, b"")) > _MOST:
            self._drop(number)

    def close(self) -> None:
        for number in list(self._clients):
            self._drop(number)

    def _pass(self, number: int) -> None:
        self._write(number)
        if number not in self._clients:
            return
        try:
            data = self._clients[number].recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._send(frame(RELAY, relayed(number, data)))
        if not data:
            self._drop(number)

    def _write(self, number: int) -> None:
        unsent = self._unsent[number]
        try:
            while unsent:
                del unsent[: self._clients[number].send(unsent)]
        except BlockingIOError:
            return
        except OSError:
            self._send(frame(RELAY, relayed(number, b"")))
            self._drop(number)

    def _drop(self, number: int) -> None:
        unsent = self._unsent.pop(number)
        with self._clients.pop(number) as client, contextlib.suppress(OSError):
            # The last words of a server that has ended: a moment for them to go out.
            client.settimeout(1)
            client.sendall(unsent)
