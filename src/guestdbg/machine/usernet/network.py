"""The user-mode network: a gateway for one guest, with the host's loopback as all that it reaches.

The guest is 10.0.2.15, as on QEMU's; connections and datagrams to the gateway, 10.0.2.2, go to
127.0.0.1 of the host. There is no way to other machines. A thread of its own waits for the host's
sockets. All frames to the guest go through one function, ``deliver``.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.machine.usernet import dhcp, frames
from guestdbg.machine.usernet.addresses import GATEWAY, GATEWAY_MAC, GUEST, GUEST_MAC
from guestdbg.machine.usernet.frames import (
    BROADCAST,
    FRAME_MAX,
    EtherType,
    Protocol,
    TcpFlag,
    TcpSegment,
    Udp,
)
from guestdbg.machine.usernet.spec import Forward, NetworkError
from guestdbg.machine.usernet.tcp import TcpFlow

if TYPE_CHECKING:
    from guestdbg.machine.usernet.frames import (
        Ipv4,
    )
    from guestdbg.machine.usernet.spec import NetSpec

__all__ = ["UserNetwork"]

log = logging.getLogger("guestdbg.machine")

FLOWS_MAX = 256  # of each protocol

_LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 1.0
_TICK_SECONDS = 0.25
_UDP_MAX = frames.MTU - 28
_BROADCAST_ADDRESS = b"\xff" * 4
_ECHO_REPLY, _UNREACHABLE, _ECHO_REQUEST = 0, 3, 8
_PORT = 3
_FIRST_PORT, _LAST_PORT = 49152, 65535

_Key = tuple[int, int]  # port of the gateway, port of the guest


class UserNetwork:
    """A gateway for one guest. ``deliver`` is called with each frame for it, from two threads:
    from ``send``, and from the network's own.

    Raises:
        NetworkError: a port to forward is in use, or may not be used.
    """

    def __init__(
        self, spec: NetSpec | None = None, deliver: Callable[[bytes], object] | None = None
    ) -> None:
        self.deliver = deliver
        self._lock = threading.RLock()
        self._flows: dict[_Key, TcpFlow] = {}
        self._datagrams: dict[_Key, socket.socket] = {}
        self._ended: list[socket.socket] = []
        self._guest_mac = GUEST_MAC
        self._initial = 0
        self._port = _FIRST_PORT
        self._thread: threading.Thread | None = None
        self._closed = False
        self._woken = False
        self._listeners: dict[socket.socket, Forward] = {}
        try:
            for forward in () if spec is None else spec.forwards:
                self._listeners[_listen(forward)] = forward
        except BaseException:
            for listener in self._listeners:
                listener.close()
            raise
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        if self._listeners:
            self._start()

    @property
    def active(self) -> bool:
        """Whether something may come from the host: there is a connection, or a forward."""
        return bool(self._listeners or self._flows or self._datagrams)

    # ---- from the guest ----------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """The guest has sent a frame. What is damaged or not understood is dropped."""
        if not 14 <= len(frame) <= FRAME_MAX:
            return
        with self._lock:
            if self._closed:
                return
            kind = int.from_bytes(frame[12:14], "big")
            if not frame[6] & 1:  # not a group address
                self._guest_mac = frame[6:12]
            if kind == EtherType.ARP:
                request = frames.parse_arp(frame[14:])
                if request is not None and request.target == GATEWAY:
                    reply = frames.arp_reply(GATEWAY_MAC, GATEWAY, request)
                    self._to_guest(EtherType.ARP, reply)
            elif kind == EtherType.IPV4 and frame[:6] in (GATEWAY_MAC, BROADCAST):
                packet = frames.parse_ipv4(frame[14:])
                if packet is not None:
                    self._packet(packet)

    def _packet(self, packet: Ipv4) -> None:
        if packet.protocol == Protocol.UDP:
            self._udp(packet)
        elif packet.source != GUEST or packet.destination == _BROADCAST_ADDRESS:
            return
        elif packet.protocol == Protocol.TCP:
            self._tcp(packet)
        elif packet.protocol == Protocol.ICMP and packet.destination == GATEWAY:
            self._icmp(packet.payload)

    def _icmp(self, message: bytes) -> None:
        if len(message) < 8 or message[0] != _ECHO_REQUEST or frames.checksum(message):
            return
        reply = bytes((_ECHO_REPLY, 0, 0, 0)) + message[4:]
        reply = reply[:2] + frames.checksum(reply).to_bytes(2, "big") + reply[4:]
        self._to_guest(EtherType.IPV4, frames.ipv4(GATEWAY, GUEST, Protocol.ICMP, reply))

    def _udp(self, packet: Ipv4) -> None:
        datagram = frames.parse_udp(packet)
        if datagram is None:
            return
        if datagram.destination == dhcp.SERVER_PORT:
            message = dhcp.answer(datagram.payload)
            if message is not None:
                reply = Udp(dhcp.SERVER_PORT, dhcp.CLIENT_PORT, message)
                self._to_guest(EtherType.IPV4, frames.udp(GATEWAY, _BROADCAST_ADDRESS, reply))
            return
        if packet.source != GUEST or packet.destination != GATEWAY or not datagram.destination:
            return
        key = datagram.destination, datagram.source
        sock = self._datagrams.pop(key, None)
        if sock is None:
            sock = self._open_datagram(datagram.destination)
            if sock is None:
                return
        self._datagrams[key] = sock  # at the end: the first is the one not used longest
        with contextlib.suppress(OSError):
            sock.send(datagram.payload)
        self._wake()

    def _open_datagram(self, port: int) -> socket.socket | None:
        if len(self._datagrams) >= FLOWS_MAX:
            oldest = next(iter(self._datagrams))
            self._ended.append(self._datagrams.pop(oldest))
        try:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        except OSError as error:
            log.warning("the network cannot open a socket: %s", error)
            return None
        sock.setblocking(False)
        try:
            sock.connect((_LOOPBACK, port))
        except OSError:
            sock.close()
            return None
        return sock

    def _tcp(self, packet: Ipv4) -> None:
        segment = frames.parse_tcp(packet)
        if segment is None:
            return
        key = segment.destination, segment.source
        flow = self._flows.get(key) if packet.destination == GATEWAY else None
        if flow is None:
            if segment.flags & TcpFlag.RST:
                return
            opens = segment.flags & (TcpFlag.SYN | TcpFlag.ACK) == TcpFlag.SYN
            flow = self._open(segment) if opens and packet.destination == GATEWAY else None
            if flow is None:
                self._refuse(packet.destination, segment)
                return
            self._flows[key] = flow
            flow.accept(segment, time.monotonic())
        else:
            flow.segment(segment, time.monotonic())
        self._wake()

    def _open(self, segment: TcpSegment) -> TcpFlow | None:
        """A connection to the host, or None. Loopback answers at once."""
        if len(self._flows) >= FLOWS_MAX or not segment.destination:
            return None
        try:
            sock = socket.create_connection((_LOOPBACK, segment.destination), _CONNECT_SECONDS)
        except OSError:
            return None
        if sock.getsockname() == sock.getpeername():  # it has connected to itself
            sock.close()
            return None
        return self._flow(sock, segment.destination, segment.source)

    def _flow(self, sock: socket.socket, local: int, guest: int) -> TcpFlow:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._initial += 64_000
        return TcpFlow(sock, local, guest, self._emit, self._initial)

    def _emit(self, segment: TcpSegment) -> None:
        self._to_guest(EtherType.IPV4, frames.tcp(GATEWAY, GUEST, segment))

    def _refuse(self, address: bytes, segment: TcpSegment) -> None:
        """RST, as for a port at which nobody listens (RFC 9293, 3.10.7.1)."""
        length = len(segment.payload) + bool(segment.flags & TcpFlag.SYN)
        length += bool(segment.flags & TcpFlag.FIN)
        if segment.flags & TcpFlag.ACK:
            seq, ack, flags = segment.ack, 0, int(TcpFlag.RST)
        else:
            seq, ack = 0, segment.seq + length & 0xFFFF_FFFF
            flags = int(TcpFlag.RST | TcpFlag.ACK)
        answer = TcpSegment(segment.destination, segment.source, seq, ack, flags, 0, None, b"")
        self._to_guest(EtherType.IPV4, frames.tcp(address, GUEST, answer))

    def _to_guest(self, kind: int, payload: bytes) -> None:
        if self.deliver is not None:
            self.deliver(frames.ethernet(self._guest_mac, GATEWAY_MAC, kind, payload))

    # ---- from the host -----------------------------------------------------------------------

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="guestdbg-network", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        """Let the thread look at the sockets again."""
        if self._thread is None:
            self._start()
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                self._wake_write.send(b"w")

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ)
            registered: dict[socket.socket, int] = {}
            while True:
                with self._lock:
                    if self._closed:
                        return
                    self._woken = False
                    self._register(selector, registered)
                    waiting = _TICK_SECONDS if self._flows else None
                ready = selector.select(waiting)
                with self._lock:
                    if self._closed:
                        return
                    for key, events in ready:
                        self._ready(key.fileobj, key.data, events)
                    now = time.monotonic()
                    for flow in list(self._flows.values()):
                        flow.tick(now)

    def _register(
        self, selector: selectors.BaseSelector, registered: dict[socket.socket, int]
    ) -> None:
        """Bring the selector up to date, and close the sockets that are not used any more."""
        for key in [key for key, flow in self._flows.items() if flow.closed]:
            self._ended.append(self._flows.pop(key).socket)
        for sock in self._ended:
            if registered.pop(sock, 0):
                selector.unregister(sock)
            sock.close()
        self._ended.clear()
        watched: dict[socket.socket, tuple[int, object]] = {
            listener: (selectors.EVENT_READ, forward)
            for listener, forward in self._listeners.items()
        }
        for key, sock in self._datagrams.items():
            watched[sock] = selectors.EVENT_READ, key
        for flow in self._flows.values():
            events = selectors.EVENT_READ * flow.wants_read
            watched[flow.socket] = events | selectors.EVENT_WRITE * flow.wants_write, flow
        for sock, (events, data) in watched.items():
            before = registered.get(sock, 0)
            if events == before:
                continue
            if not before:
                selector.register(sock, events, data)
            elif not events:
                selector.unregister(sock)
            else:
                selector.modify(sock, events, data)
            registered[sock] = events

    def _ready(self, sock: object, data: object, events: int) -> None:
        if data is None:
            with contextlib.suppress(OSError):
                self._wake_read.recv(4096)
        elif isinstance(data, TcpFlow):
            if data.closed:
                return
            if events & selectors.EVENT_WRITE:
                data.flush()
            if events & selectors.EVENT_READ:
                data.pump(time.monotonic())
        elif isinstance(data, Forward):
            assert isinstance(sock, socket.socket)
            self._accept(sock, data)
        elif isinstance(data, tuple) and self._datagrams.get(data) is sock:
            self._receive(data)

    def _receive(self, key: _Key) -> None:
        """Datagrams of the host for the guest. Those that do not fit into a frame are dropped."""
        sock = self._datagrams[key]
        try:
            payload = sock.recv(65536)
        except ConnectionRefusedError:
            self._unreachable(key)
            return
        except OSError:
            return
        if len(payload) <= _UDP_MAX:
            local, guest = key
            packet = frames.udp(GATEWAY, GUEST, Udp(local, guest, payload))
            self._to_guest(EtherType.IPV4, packet)

    def _unreachable(self, key: _Key) -> None:
        """ICMP: nobody listens at the port that the guest has sent a datagram to (RFC 792)."""
        local, guest = key
        about = frames.udp(GUEST, GATEWAY, Udp(guest, local, b""))
        message = bytes((_UNREACHABLE, _PORT, 0, 0)) + bytes(4) + about
        message = message[:2] + frames.checksum(message).to_bytes(2, "big") + message[4:]
        self._to_guest(EtherType.IPV4, frames.ipv4(GATEWAY, GUEST, Protocol.ICMP, message))

    def _accept(self, listener: socket.socket, forward: Forward) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        port = self._free_port(forward.guest_port)
        if port is None:
            sock.close()
            return
        flow = self._flow(sock, port, forward.guest_port)
        self._flows[port, forward.guest_port] = flow
        flow.connect(time.monotonic())

    def _free_port(self, guest: int) -> int | None:
        if len(self._flows) >= FLOWS_MAX:
            return None
        while True:  # fewer flows than ports: it ends
            self._port = self._port + 1 if self._port < _LAST_PORT else _FIRST_PORT
            if (self._port, guest) not in self._flows:
                return self._port

    # ---- ending ------------------------------------------------------------------------------

    def reset(self) -> None:
        """End all connections; the forwards stay. The guest begins again, or is another one."""
        with self._lock:
            self._ended += [flow.socket for flow in self._flows.values()]
            self._ended += self._datagrams.values()
            self._flows.clear()
            self._datagrams.clear()
            self._guest_mac = GUEST_MAC
            if self._ended and not self._closed:
                self._wake()

    def close(self) -> None:
        """End everything, and wait for the thread. Closing twice does nothing."""
        with self._lock:
            if self._closed:
                return
            self.reset()
            self._closed = True
            with contextlib.suppress(OSError):
                self._wake_write.send(b"w")
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        for sock in (*self._ended, *self._listeners, self._wake_read, self._wake_write):
            sock.close()


def _listen(forward: Forward) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # Only connections that have ended are passed over, not another listener.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOOPBACK, forward.host_port))
        listener.listen(16)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        port = forward.host_port
        if error.errno == errno.EADDRINUSE:
            raise NetworkError(
                f"forward of port {port}: another program listens at 127.0.0.1:{port}; choose "
                "another host port"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise NetworkError(
                f"forward of port {port}: this user may not listen there; choose 1024 or more"
            ) from None
        raise NetworkError(f"forward of port {port}: {error.strerror or error}") from error
    return listener
