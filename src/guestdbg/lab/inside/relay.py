"""Connections that the host relays to servers in the lab: GDB's, to `guestdbg gdb`."""

import contextlib
import selectors
import socket

from . import frames
from .port import Port


class Relays:
    """Every relayed connection, by the number that the host gave it."""

    def __init__(self, port: Port, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._sockets: dict[int, socket.socket] = {}
        self._unsent: dict[int, bytearray] = {}

    def connect(self, number: int, port: int) -> None:
        """Connects to a server here; that nobody listens is the end of the connection."""
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError:
            self._port.send(frames.RELAY, frames.relayed(number, b""))
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[number] = connection
        self._unsent[number] = bytearray()
        self._watch(number)

    def give(self, payload: bytes) -> None:
        """What the host's side of a connection said; nothing means that it has ended."""
        number, data = frames.relay(payload)
        if number not in self._sockets:
            return
        if data:
            self._unsent[number] += data
            self._watch(number)
        else:
            self._drop(number)

    def handle(self, number: int, events: int) -> None:
        """What select found for a connection."""
        connection = self._sockets.get(number)
        if connection is None:
            return
        try:
            if events & selectors.EVENT_WRITE:
                del self._unsent[number][: connection.send(self._unsent[number])]
                self._watch(number)
            if events & selectors.EVENT_READ:
                data = connection.recv(frames.PIECE)
                self._port.send(frames.RELAY, frames.relayed(number, data))
                if not data:
                    self._drop(number)
        except BlockingIOError:
            return
        except OSError:
            self._port.send(frames.RELAY, frames.relayed(number, b""))
            self._drop(number)

    def close(self) -> None:
        """Ends every connection: the command that they were to is over."""
        for number in list(self._sockets):
            self._port.send(frames.RELAY, frames.relayed(number, b""))
            self._drop(number)

    def _watch(self, number: int) -> None:
        events = selectors.EVENT_READ
        if self._unsent[number]:
            events |= selectors.EVENT_WRITE
        connection = self._sockets[number]
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection)
        self._selector.register(connection, events, number)

    def _drop(self, number: int) -> None:
        connection = self._sockets.pop(number)
        del self._unsent[number]
        self._selector.unregister(connection)
        connection.close()
