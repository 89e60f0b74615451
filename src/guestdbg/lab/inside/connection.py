"""One end of a relayed connection. Both ends use this file: the host's, and the lab's.

What a socket says goes to the other end in RELAY frames, never more than ``RELAY_WINDOW`` bytes
ahead of what the other end's socket has taken. So neither end keeps more than that for a reader
that does not read, and nobody else on the line waits for it.
"""

import contextlib
import errno
import socket
from collections.abc import Callable

from . import frames


class Connection:
    """A socket here whose other side is there, by a number that both ends know.

    ``send(kind, payload)`` takes frames for the other end. ``connecting``: the socket is on its
    way to a server, and what comes of that shows when it can be written to.
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
        # No more comes from there, and from the socket.
        self._remote_ended = False
        self._local_ended = False
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether nothing can come or go any more; the socket is closed then."""
        return self._closed

    @property
    def may_send_more(self) -> bool:
        """Whether the socket has not said all that it will."""
        return not (self._closed or self._local_ended)

    @property
    def wants_to_read(self) -> bool:
        """Whether the socket should be read: the other end has room for what it says."""
        return not (
            self._closed
            or self._connecting
            or self._local_ended
            or self._unacknowledged >= frames.RELAY_WINDOW
        )

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits until the socket can be written to."""
        return not self._closed and (self._connecting or bool(self._unsent))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> int:
        """Passes on what the socket says; how many bytes that was."""
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
        """Hands on as much of what waits as the socket takes now."""
        if self._closed:
            return
        taken = 0
        try:
            if self._connecting:
                if reason := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(reason, errno.errorcode.get(reason, ""))
                self._connecting = False
            while self._unsent:
                count = self._socket.send(self._unsent)
                del self._unsent[:count]
                taken += count
            if self._remote_ended:
                self._socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.cut()
            return
        if taken:
            self._send(frames.RELAY_ACK, frames.pack_relay(self.number, frames.pack_count(taken)))
        self._close_if_over()

    def take(self, kind: int, data: bytes) -> None:
        """What the other end sent: RELAY, GONE_ON or CUT. Raises FrameError."""
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
        """Ends the connection in both directions. What waits here is lost; the other end still
        hands on what it has."""
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
