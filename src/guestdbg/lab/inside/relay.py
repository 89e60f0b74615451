"""Connections that the host relays to servers in the lab: GDB's, to `guestdbg gdb`."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
from typing import TYPE_CHECKING

from . import frames
from .connection import Connection

if TYPE_CHECKING:
    from .port import Port


class Relays:
    """Every relayed connection, by the number that the host gave it.

    ``moved`` is the number of bytes that servers in the lab have sent.
    """

    def __init__(self, port: Port, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._connections: dict[int, Connection] = {}
        self.moved = 0

    @property
    def may_send_more(self) -> bool:
        """Whether more data may come from a server in the lab."""
        return any(connection.may_send_more for connection in self._connections.values())

    def connect(self, number: int, port: int) -> None:
        """Connects to a server in the lab. If nothing listens there, the connection ends."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection = Connection(number, sock, self._port.send, connecting=True)
        self._connections[number] = connection
        if sock.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS):
            self._watch(number)
        else:
            connection.cut()
            del self._connections[number]

    def take(self, kind: int, payload: bytes) -> None:
        """Handles a frame about a connection from the host."""
        number, data = frames.unpack_relay(payload)
        if number in self._connections:
            # First, because the frame may close the socket, and a closed one cannot be removed.
            self._forget(number)
            self._connections[number].take(kind, data)
            self._watch(number)

    def handle(self, number: int, events: int) -> None:
        """Reads and writes as the selector says."""
        connection = self._connections.get(number)
        if connection is None:
            return
        self._forget(number)
        if events & selectors.EVENT_WRITE:
            connection.write()
        if events & selectors.EVENT_READ:
            self.moved += connection.read()
        self._watch(number)

    def close(self) -> None:
        """Ends every connection, because the command that they belong to has ended."""
        for number, connection in list(self._connections.items()):
            self._forget(number)
            connection.cut()
            self._watch(number)

    def _watch(self, number: int) -> None:
        """Selects on what the connection waits for. Removes the connection if it has ended."""
        connection = self._connections[number]
        if connection.over:
            del self._connections[number]
            return
        events = selectors.EVENT_READ * connection.wants_to_read
        events |= selectors.EVENT_WRITE * connection.wants_to_write
        if events:
            self._selector.register(connection, events, number)

    def _forget(self, number: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._connections[number])
