"""One end of a relayed connection. Both the host and the lab use this file.

What is read from the socket goes to the other end in RELAY_DATA frames. The other end acknowledges
what its own socket has accepted (RELAY_ACK), and at most ``RELAY_WINDOW`` bytes may be
unacknowledged. So neither end stores more than that for a reader that does not read, and such a
reader does not block anything else on the channel.
"""

import contextlib
import errno
import socket
from collections.abc import Callable

from . import frames


class Connection:
    """A local socket whose data is relayed to the other end, under a number that both ends use.

    ``send(kind, payload)`` sends a frame to the other end. ``connecting``: the socket is still
    connecting to a server; when it becomes writable, the attempt has succeeded or failed.
    """

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        send: Callable[[int, bytes], object],
        *,
        connecting: bool = False,
    ) -> None:
        self.number = number
        self._socket = sock
        self._send = send
        self._connecting = connecting
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unsent = bytearray()
        self._unacknowledged = 0
        # The other end, and the socket, will send no more data.
        self._remote_ended = False
        self._local_ended = False
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether the connection has ended. The socket is closed then."""
        return self._closed

    @property
    def may_send_more(self) -> bool:
        """Whether more data may come from the socket."""
        return not (self._closed or self._local_ended)

    @property
    def wants_to_read(self) -> bool:
        """Whether the socket should be read: the other end has room for the data."""
        return not (
            self._closed
            or self._connecting
            or self._local_ended
            or self._unacknowledged >= frames.RELAY_WINDOW
        )

    @property
    def wants_to_write(self) -> bool:
        """Whether something must be done as soon as the socket is writable."""
        return not self._closed and (self._connecting or bool(self._unsent))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> int:
        """Sends what can be read from the socket to the other end. Returns the number of bytes."""
        if not self.wants_to_read:
            return 0
        try:
            data = self._socket.recv(min(frames.PIECE, frames.RELAY_WINDOW - self._unacknowledged))
        except BlockingIOError:
            return 0
        except OSError:
            self.cut()
            return 0
        self._unacknowledged += len(data)
        self._send(frames.RELAY_DATA, frames.pack_relay(self.number, data))
        if not data:
            self._local_ended = True
            self._close_if_over()
        return len(data)

    def write(self) -> None:
        """Writes as much of the waiting data as the socket accepts now."""
        if self._closed:
            return
        written = 0
        try:
            if self._connecting:
                if reason := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(reason, errno.errorcode.get(reason, ""))
                self._connecting = False
            while self._unsent:
                count = self._socket.send(self._unsent)
                del self._unsent[:count]
                written += count
            if self._remote_ended:
                self._socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.cut()
            return
        if written:
            self._send(frames.RELAY_ACK, frames.pack_relay(self.number, frames.pack_count(written)))
        self._close_if_over()

    def take(self, kind: int, data: bytes) -> None:
        """Handles a RELAY_DATA, RELAY_ACK or RELAY_CLOSE frame. Raises FrameError."""
        if self._closed:
            return
        if kind == frames.RELAY_DATA:
            self._unsent += data
            self._remote_ended = self._remote_ended or not data
            if not self._connecting:
                self.write()
        elif kind == frames.RELAY_ACK:
            self._unacknowledged -= frames.unpack_count(data)
        elif kind == frames.RELAY_CLOSE:
            self._remote_ended = self._local_ended = True
            self.write()

    def cut(self) -> None:
        """Ends the connection in both directions.

        Data that waits at this end is lost; the other end still writes what it has received.
        """
        if not self._closed:
            self._send(frames.RELAY_CLOSE, frames.pack_relay(self.number, b""))
            self._close()

    def _close_if_over(self) -> None:
        if self._local_ended and self._remote_ended and not self._unsent:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._unsent.clear()
        self._socket.close()
