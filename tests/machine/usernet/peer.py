"""A guest on the user-mode network: it sends frames, and has one end of TCP connections."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guestdbg.machine.usernet import UserNetwork, frames
from guestdbg.machine.usernet.addresses import GATEWAY, GATEWAY_MAC, GUEST, GUEST_MAC
from guestdbg.machine.usernet.frames import EtherType, Ipv4, Protocol, TcpFlag, TcpSegment
from guestdbg.machine.usernet.spec import NetSpec

FIN, SYN, RST, PSH, ACK = (int(flag) for flag in TcpFlag)
MASK = 0xFFFF_FFFF
TIMEOUT = 20


class Peer:
    """``lose`` says of a segment of the network whether it is lost on its way here."""

    def __init__(self, spec: NetSpec | None = None) -> None:
        self.lose: Callable[[TcpSegment], bool] = lambda segment: False
        self.frames: queue.Queue[bytes] = queue.Queue()
        self.network = UserNetwork(spec, self.frames.put)

    def send(self, kind: int, payload: bytes, to: bytes = GATEWAY_MAC) -> None:
        self.network.send(frames.ethernet(to, GUEST_MAC, kind, payload))

    def packet(self, timeout: float = TIMEOUT) -> Ipv4:
        """The next packet for the guest."""
        while True:
            frame = self.frames.get(timeout=timeout)
            assert frame[6:12] == GATEWAY_MAC
            if frame[12:14] == b"\x08\x00":
                packet = frames.parse_ipv4(frame[14:])
                assert packet is not None
                return packet

    def segment(self, timeout: float = TIMEOUT) -> TcpSegment:
        """The next TCP segment that is not lost."""
        deadline = time.monotonic() + timeout
        while True:
            packet = self.packet(max(0, deadline - time.monotonic()))
            if packet.protocol != Protocol.TCP:
                continue
            segment = frames.parse_tcp(packet)
            assert segment is not None
            if not self.lose(segment):
                return segment

    def close(self) -> None:
        self.network.close()


class Connection:
    """One end of a TCP connection, which is as simple as the RFC permits."""

    def __init__(self, peer: Peer, local: int, remote: int, window: int = 0xFFFF) -> None:
        self.peer, self.local, self.remote, self.window = peer, local, remote, window
        self.seq, self.expected = 1000, 0
        self.received = bytearray()
        self.acknowledged = self.seq
        self.ended = self.was_reset = False

    def emit(self, flags: int, payload: bytes = b"", seq: int | None = None) -> None:
        segment = TcpSegment(
            self.local,
            self.remote,
            self.seq if seq is None else seq,
            self.expected if flags & ACK else 0,
            flags,
            self.window,
            1460 if flags & SYN else None,
            payload,
        )
        self.peer.send(EtherType.IPV4, frames.tcp(GUEST, GATEWAY, segment))

    def connect(self) -> bool:
        self.emit(SYN)
        self.seq += 1
        answer = self.peer.segment()
        if answer.flags & RST:
            assert answer.ack == self.seq
            return False
        assert answer.flags == SYN | ACK
        assert answer.ack == self.seq
        self.expected = answer.seq + 1 & MASK
        self.acknowledged = self.seq
        self.emit(ACK)
        return True

    def accept(self, syn: TcpSegment) -> None:
        assert syn.flags == SYN
        self.expected = syn.seq + 1 & MASK
        self.emit(SYN | ACK)
        self.seq += 1
        answer = self.peer.segment()
        assert (answer.flags, answer.ack) == (ACK, self.seq)

    def step(self, timeout: float = TIMEOUT) -> None:
        """Handle one segment of the network."""
        segment = self.peer.segment(timeout)
        if (segment.source, segment.destination) != (self.remote, self.local):
            return
        if segment.flags & RST:
            self.was_reset = True
            return
        if segment.flags & ACK:
            self.acknowledged = segment.ack
        if not segment.payload and not segment.flags & FIN:
            return
        if segment.seq == self.expected:
            assert len(segment.payload) <= max(self.window, 1)
            self.received += segment.payload
            self.expected = self.expected + len(segment.payload) & MASK
            if segment.flags & FIN:
                self.ended = True
                self.expected = self.expected + 1 & MASK
        self.emit(ACK)

    def send(self, data: bytes, chunk: int = 1460) -> None:
        """Send ``data``, and wait until all of it is acknowledged."""
        end = self.seq + len(data)
        sent = self.seq
        while self.acknowledged != end & MASK:
            while sent < end and sent - self.acknowledged < 30_000:
                start = len(data) - (end - sent)
                piece = data[start : start + chunk]
                self.emit(ACK | PSH, piece, sent & MASK)
                sent += len(piece)
            self.seq = sent
            self.step()

    def finish(self) -> None:
        self.emit(FIN | ACK)
        self.seq += 1

    def read(self, count: int) -> bytes:
        while len(self.received) < count and not self.ended:
            self.step()
        data = bytes(self.received[:count])
        del self.received[:count]
        return data


@contextmanager
def server(handle: Callable[[socket.socket], object]) -> Iterator[int]:
    """A program of the host: ``handle`` is called with each connection. Gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                handle(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(TIMEOUT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
