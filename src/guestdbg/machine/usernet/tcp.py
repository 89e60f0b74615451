"""One TCP connection of the guest, of which the other end is a socket of the host.

The network is the end of the guest's connection (RFC 9293): it has sequence numbers, windows and
retransmission towards the guest, and passes the bytes on. There is no window scaling, so that at
most 64 KiB wait in each direction: a guest that does not read, or a host program that does not,
stops the other side and not the process.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from guestdbg.machine.usernet.frames import MTU, TcpFlag, TcpSegment

__all__ = ["TcpFlow"]

_MASK = 0xFFFF_FFFF
_WINDOW = 0xFFFF
_MSS = MTU - 40
_MSS_DEFAULT, _MSS_MIN = 536, 64
_CHUNK = 16 << 10
RETRANSMIT_SECONDS = 1.0
_TRIES_MAX = 15

_FIN, _SYN, _RST, _PSH, _ACK = (int(flag) for flag in TcpFlag)


class TcpFlow:
    """A connection between ``guest_port`` of the guest and ``local_port`` of the gateway.

    ``emit`` sends a segment to the guest. The methods are called under the network's lock.

    Attributes:
        closed: it is over, and its socket is to be closed.
    """

    def __init__(
        self,
        sock: socket.socket,
        local_port: int,
        guest_port: int,
        emit: Callable[[TcpSegment], object],
        initial: int,
    ) -> None:
        self.socket = sock
        self.local_port, self.guest_port = local_port, guest_port
        self._emit = emit
        self._una = self._next = initial & _MASK
        self._expected = 0
        self._window = 0
        self._mss = _MSS_DEFAULT
        self._established = self._active = False
        self._unacked = bytearray()
        self._to_host = bytearray()
        self._host_ended = self._guest_ended = self._shut = False
        self._duplicates = self._tries = 0
        self._progress = 0.0
        self.closed = False

    # ---- what the selector waits for ---------------------------------------------------------

    @property
    def wants_read(self) -> bool:
        """Whether there is room for data of the host."""
        room = self._window - len(self._unacked)
        return self._established and not self._host_ended and not self.closed and room > 0

    @property
    def wants_write(self) -> bool:
        """Whether there is data for the host."""
        return bool(self._to_host) and not self.closed

    # ---- opening -----------------------------------------------------------------------------

    def accept(self, segment: TcpSegment, now: float) -> None:
        """The guest has sent SYN, and the host is connected."""
        self._expected = segment.seq + 1 & _MASK
        self._peer(segment)
        self._progress = now
        self._send(_SYN | _ACK, self._next)
        self._next = self._next + 1 & _MASK

    def connect(self, now: float) -> None:
        """A program of the host has connected: send SYN to the guest."""
        self._active = True
        self._progress = now
        self._send(_SYN, self._next)
        self._next = self._next + 1 & _MASK

    def _peer(self, segment: TcpSegment) -> None:
        self._window = segment.window
        mss = _MSS_DEFAULT if segment.mss is None else segment.mss
        self._mss = max(_MSS_MIN, min(mss, _MSS))

    # ---- segments of the guest ---------------------------------------------------------------

    def segment(self, segment: TcpSegment, now: float) -> None:
        """A segment of the guest for this connection."""
        if segment.flags & _RST:
            self.closed = True
            return
        if not self._established and not self._opened(segment):
            return
        if segment.flags & _ACK:
            self._acknowledged(segment, now)
        if segment.payload or segment.flags & _FIN:
            self._receive(segment)
        self.pump(now)
        self._finish()

    def _opened(self, segment: TcpSegment) -> bool:
        """Whether the segment completes the opening."""
        if not segment.flags & _ACK:
            if segment.flags & _SYN and not self._active:
                self._send(_SYN | _ACK, self._una)  # the guest has sent its SYN again
            return False
        if segment.ack != self._next or bool(segment.flags & _SYN) != self._active:
            return False
        if self._active:
            self._expected = segment.seq + 1 & _MASK
            self._peer(segment)
            self._una = self._next
            self._send(_ACK, self._next)
        self._una = self._next
        self._established = True
        self._tries = 0
        return True

    def _acknowledged(self, segment: TcpSegment, now: float) -> None:
        advance = segment.ack - self._una & _MASK
        outstanding = self._next - self._una & _MASK
        if 0 < advance <= outstanding:
            del self._unacked[:advance]
            self._una = segment.ack
            self._duplicates = self._tries = 0
            self._progress = now
        elif advance == 0 and self._unacked and not segment.payload:
            self._duplicates += segment.window == self._window
            if self._duplicates == 3:
                self._retransmit()
        self._window = segment.window

    def _receive(self, segment: TcpSegment) -> None:
        """Data, in order. What comes early is not kept: the guest sends it again."""
        skip = self._expected - segment.seq & _MASK
        if skip <= len(segment.payload) and not self._guest_ended:
            data = segment.payload[skip:][: _WINDOW - len(self._to_host)]
            self._to_host += data
            self._expected = self._expected + len(data) & _MASK
            whole = segment.seq + len(segment.payload) & _MASK == self._expected
            if segment.flags & _FIN and whole:
                self._guest_ended = True
                self._expected = self._expected + 1 & _MASK
            self.flush()
        if not self.closed:
            self._send(_ACK, self._next)

    # ---- the host's socket -------------------------------------------------------------------

    def flush(self) -> None:
        """Pass data of the guest to the host, as much as its socket takes."""
        full = len(self._to_host) > _WINDOW - _MSS
        try:
            while self._to_host:
                del self._to_host[: self.socket.send(self._to_host)]
            if self._guest_ended and not self._shut:
                self._shut = True
                self.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        if full and len(self._to_host) <= _WINDOW - _MSS and self._established:
            self._send(_ACK, self._next)  # the window is open again
        self._finish()

    def pump(self, now: float) -> None:
        """Pass data of the host to the guest, as much as its window takes."""
        while self.wants_read:
            room = self._window - len(self._unacked)
            try:
                data = self.socket.recv(min(room, _CHUNK))
            except BlockingIOError:
                return
            except OSError:
                self.abort()
                return
            if not self._unacked:
                self._progress = now
            if not data:
                self._host_ended = True
                self._send(_FIN | _ACK, self._next)
                self._next = self._next + 1 & _MASK
                return
            self._unacked += data
            self._send_data(data, self._next)
            self._next = self._next + len(data) & _MASK

    def tick(self, now: float) -> None:
        """Called now and then: send again what the guest has not acknowledged."""
        if self._next == self._una or now - self._progress < RETRANSMIT_SECONDS:
            return
        self._progress = now
        self._tries += 1
        if self._tries > _TRIES_MAX:
            self.abort()
            return
        self._retransmit()

    def _retransmit(self) -> None:
        if not self._established:
            self._send(_SYN if self._active else _SYN | _ACK, self._una)
            return
        self._send_data(bytes(self._unacked), self._una)
        if self._host_ended:
            self._send(_FIN | _ACK, self._next - 1 & _MASK)

    def abort(self) -> None:
        """End it with RST."""
        if not self.closed:
            self.closed = True
            self._send(_RST | _ACK, self._next)

    def _finish(self) -> None:
        """Closed once both sides have ended, and the guest has acknowledged that."""
        if self._shut and self._host_ended and self._next == self._una:
            self.closed = True

    def release(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self.socket.close()

    # ---- sending -----------------------------------------------------------------------------

    def _send_data(self, data: bytes, seq: int) -> None:
        for start in range(0, len(data), self._mss):
            piece = data[start : start + self._mss]
            push = _PSH if start + len(piece) == len(data) else 0
            self._send(_ACK | push, seq + start & _MASK, piece)

    def _send(self, flags: int, seq: int, payload: bytes = b"") -> None:
        window = _WINDOW - len(self._to_host)
        mss = _MSS if flags & _SYN else None
        ack = self._expected if flags & _ACK else 0
        self._emit(
            TcpSegment(self.local_port, self.guest_port, seq, ack, flags, window, mss, payload)
        )
