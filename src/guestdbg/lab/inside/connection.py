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
        self._under_way = 0
        # No more comes from there, and from the socket.
        self._there_ended = False
        self._here_ended = False
        self._closed = False

    @property
    def over(self) -> bool:
        """Whether nothing can come or go any more; the socket is closed then."""
        return self._closed

    @property
    def may_say_more(self) -> bool:
        """Whether the socket has not said all that it will."""
        return not (self._closed or self._here_ended)

    @property
    def wants_to_read(self) -> bool:
        """Whether the socket should be read: the other end has room for what it says."""
        return not (
            self._closed
            or self._connecting
            or self._here_ended
            or self._under_way >= frames.RELAY_WINDOW
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
            data = self._socket.recv(min(frames.PIECE, frames.RELAY_WINDOW - self._under_way))
        except BlockingIOError:
            return 0
        except OSError:
            self.cut()
            return 0
        self._under_way += len(data)
        self._send(frames.RELAY, frames.relayed(self.number, data))
        if not data:
            self._here_ended = True
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
            if self._there_ended:
                self._socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.cut()
            return
        if taken:
            self._send(frames.GONE_ON, frames.relayed(self.number, frames.count(taken)))
        self._close_if_over()

    def take(self, kind: int, data: bytes) -> None:
        """What the other end sent: RELAY, GONE_ON or CUT. Raises FrameError."""
        if self._closed:
            return
        if kind == frames.RELAY:
            self._unsent += data
            self._there_ended = self._there_ended or not data
            if not self._connecting:
                self.write()
        elif kind == frames.GONE_ON:
            self._under_way -= frames.counted(data)
        elif kind == frames.CUT:
            self._there_ended = self._here_ended = True
            self.write()

    def cut(self) -> None:
        """Ends the connection in both directions. What waits here is lost; the other end still
        hands on what it has."""
        if not self._closed:
            self._send(frames.CUT, frames.relayed(self.number, b""))
            self._close()

    def _close_if_over(self) -> None:
        if self._here_ended and self._there_ended and not self._unsent:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._unsent.clear()
        self._socket.close()
