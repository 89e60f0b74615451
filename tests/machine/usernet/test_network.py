"""ARP, DHCP, ICMP, UDP and TCP of the user-mode network, against sockets of the host."""

from __future__ import annotations

import os
import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.machine.usernet import Forward, NetSpec, NetworkError, UserNetwork, frames, parse_net
from guestdbg.machine.usernet import network as network_module
from guestdbg.machine.usernet.addresses import GATEWAY, GATEWAY_MAC, GUEST, GUEST_MAC
from guestdbg.machine.usernet.frames import (
    BROADCAST,
    EtherType,
    Protocol,
    TcpFlag,
    TcpSegment,
    Udp,
)
from tests.machine.usernet.peer import RST, SYN, Connection, Peer, free_port, server


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def nothing_comes(peer: Peer, seconds: float = 0.05) -> None:
    with pytest.raises(queue.Empty):
        peer.frames.get(timeout=seconds)


def test_arp_for_the_gateway_alone(peer: Peer) -> None:
    for last, answered in ((2, True), (3, False), (15, False)):
        request = struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, GUEST_MAC, GUEST, bytes(6), bytes((10, 0, 2, last))
        )
        peer.send(EtherType.ARP, request, BROADCAST)
        if answered:
            frame = peer.frames.get(timeout=1)
            assert frame[:14] == GUEST_MAC + GATEWAY_MAC + b"\x08\x06"
            assert frame[20:32] == b"\0\2" + GATEWAY_MAC + GATEWAY
        else:
            nothing_comes(peer, 0)


def dhcp_message(kind: int, *options: bytes) -> bytes:
    header = struct.pack("!BBBBIHH4s4s4s4s16s192x", 1, 1, 6, 0, 7, 0, 0, *[bytes(4)] * 4, GUEST_MAC)
    return header + bytes.fromhex("63825363") + bytes((53, 1, kind)) + b"".join(options) + b"\xff"


def ask_dhcp(peer: Peer, message: bytes) -> dict[int, bytes]:
    packet = frames.udp(bytes(4), b"\xff" * 4, Udp(68, 67, message))
    peer.send(EtherType.IPV4, packet, BROADCAST)
    datagram = frames.parse_udp(peer.packet(1))
    assert datagram is not None
    assert (datagram.source, datagram.destination) == (67, 68)
    assert datagram.payload[4:8] == message[4:8]
    found, at = {0: datagram.payload[16:20]}, 240
    while datagram.payload[at] != 255:
        length = datagram.payload[at + 1]
        found[datagram.payload[at]] = datagram.payload[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def test_dhcp_gives_the_address(peer: Peer) -> None:
    offer = ask_dhcp(peer, dhcp_message(1))
    assert (offer[0], offer[53]) == (GUEST, b"\x02")
    requested = bytes((50, 4)) + GUEST, bytes((54, 4)) + GATEWAY
    ack = ask_dhcp(peer, dhcp_message(3, *requested))
    assert (ack[0], ack[53], ack[1], ack[3]) == (GUEST, b"\x05", b"\xff\xff\xff\0", GATEWAY)
    nak = ask_dhcp(peer, dhcp_message(3, bytes((50, 4, 192, 168, 0, 1))))
    assert nak[53] == b"\x06"


def test_the_gateway_answers_echo_requests(peer: Peer) -> None:
    message = b"\x08\0\0\0\x12\x34\0\1 payload"
    message = message[:2] + frames.checksum(message).to_bytes(2, "big") + message[4:]
    peer.send(EtherType.IPV4, frames.ipv4(GUEST, GATEWAY, Protocol.ICMP, message))
    reply = peer.packet(1)
    assert reply.payload[:2] == b"\0\0"
    assert reply.payload[4:] == message[4:]
    assert frames.checksum(reply.payload) == 0
    elsewhere = bytes((8, 8, 8, 8))
    peer.send(EtherType.IPV4, frames.ipv4(GUEST, elsewhere, Protocol.ICMP, message))
    nothing_comes(peer)


def test_datagrams_go_to_the_loopback_and_back(peer: Peer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("127.0.0.1", 0))
        host.settimeout(5)
        port = host.getsockname()[1]
        peer.send(EtherType.IPV4, frames.udp(GUEST, GATEWAY, Udp(5000, port, b"question")))
        data, address = host.recvfrom(100)
        assert data == b"question"
        assert address[0] == "127.0.0.1"
        host.sendto(b"x" * 1473, address)  # too long for a frame
        host.sendto(b"answer", address)
        packet = peer.packet()
        assert frames.parse_udp(packet) == Udp(port, 5000, b"answer")
        assert (packet.source, packet.destination) == (GATEWAY, GUEST)
        assert peer.network.active


def test_a_port_without_a_listener_is_unreachable(peer: Peer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("127.0.0.1", 0))
        port = host.getsockname()[1]
    peer.send(EtherType.IPV4, frames.udp(GUEST, GATEWAY, Udp(5000, port, b"question")))
    packet = peer.packet()
    assert packet.protocol == Protocol.ICMP
    assert packet.payload[:2] == b"\3\3"
    assert packet.payload[28:32] == struct.pack("!HH", 5000, port)


def test_a_connection_in_both_directions(peer: Peer) -> None:
    data = random.Random(1).randbytes(300_000)
    with server(echo) as port:
        connection = Connection(peer, 40000, port)
        assert connection.connect()
        connection.send(data)
        assert connection.read(len(data)) == data
        connection.finish()
        while not connection.ended:
            connection.step()
        assert not connection.was_reset
    deadline = time.monotonic() + 5
    while peer.network.active and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not peer.network.active


def test_a_refused_connection(peer: Peer) -> None:
    assert not Connection(peer, 40000, free_port()).connect()


def test_no_way_to_other_machines(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*arguments: object) -> None:
        raise AssertionError("a socket is opened")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(socket, "socket", forbidden)
    for address in (b"\x08\x08\x08\x08", b"\x7f\0\0\1", b"\x0a\0\x02\x03", b"\xc0\xa8\0\1"):
        segment = TcpSegment(40000, 80, 1, 0, SYN, 1000, None, b"")
        peer.send(EtherType.IPV4, frames.tcp(GUEST, address, segment))
        answer = peer.segment(1)
        assert answer.flags & RST
        peer.send(EtherType.IPV4, frames.udp(GUEST, address, Udp(1, 53, b"x")))
        nothing_comes(peer, 0)
    # Nor for a packet that says it is from elsewhere.
    peer.send(EtherType.IPV4, frames.udp(b"\x08\x08\x08\x08", GATEWAY, Udp(1, 53, b"x")))
    nothing_comes(peer, 0)


def test_a_guest_that_does_not_read_stops_the_host(peer: Peer) -> None:
    sent = []

    def flood(connection: socket.socket) -> None:
        connection.settimeout(1)
        try:
            while len(sent) < 2000:
                sent.append(connection.send(bytes(65536)))
        except OSError:
            return

    with server(flood) as port:
        connection = Connection(peer, 40000, port, window=5000)
        assert connection.connect()
        time.sleep(0.3)
        waiting = 0
        while True:
            try:
                waiting += len(peer.segment(0.01).payload)
            except queue.Empty:
                break
        assert waiting <= 5000
        connection.emit(RST)


def test_lost_segments_are_sent_again(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "_TICK_SECONDS", 0.02)
    monkeypatch.setattr("guestdbg.machine.usernet.tcp.RETRANSMIT_SECONDS", 0.05)
    chance = random.Random(3)
    data = chance.randbytes(60_000)
    with server(echo) as port:
        connection = Connection(peer, 40000, port)
        assert connection.connect()
        connection.send(data)
        peer.lose = lambda segment: chance.random() < 0.3
        assert connection.read(len(data)) == data
        connection.finish()
        while not connection.ended:
            connection.step()


def test_segments_of_the_guest_that_come_twice_or_early(peer: Peer) -> None:
    got = bytearray()

    def collect(connection: socket.socket) -> None:
        while data := connection.recv(100):
            got.extend(data)

    with server(collect) as port:
        connection = Connection(peer, 40000, port)
        assert connection.connect()
        seq = connection.seq
        for at, payload in ((3, b"def"), (0, b"abc"), (0, b"abcd"), (2, b"cdef"), (6, b"ghi")):
            connection.emit(int(TcpFlag.ACK), payload, seq + at)
        connection.seq = seq + 9
        connection.finish()
        while not connection.ended:
            connection.step()
    assert got == b"abcdefghi"


def test_a_reset_of_the_guest_ends_the_connection(peer: Peer) -> None:
    ended = threading.Event()

    def wait(connection: socket.socket) -> None:
        connection.settimeout(10)
        if connection.recv(10) == b"":
            ended.set()

    with server(wait) as port:
        assert Connection(peer, 40000, port).connect()
        peer.network.reset()
        assert ended.wait(10)


def test_a_forward(peer: Peer) -> None:
    port = free_port()
    forwarding = Peer(parse_net(f"user,forward=tcp:{port}:80"))
    try:
        with socket.create_connection(("127.0.0.1", port)) as host:
            host.settimeout(10)
            syn = forwarding.segment()
            assert syn.destination == 80
            connection = Connection(forwarding, 80, syn.source)
            connection.accept(syn)
            host.sendall(b"GET /")
            assert connection.read(5) == b"GET /"
            connection.send(b"hello")
            assert host.recv(5) == b"hello"
            host.shutdown(socket.SHUT_WR)
            while not connection.ended:
                connection.step()
            connection.finish()
            assert host.recv(5) == b""
        with socket.create_connection(("127.0.0.1", port)) as host:
            syn = forwarding.segment()
            Connection(forwarding, 80, syn.source).emit(RST)
            host.settimeout(10)
            assert host.recv(5) == b""
    finally:
        forwarding.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_connections_have_a_limit(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "FLOWS_MAX", 4)
    stop = threading.Event()
    with server(lambda connection: stop.wait(10)) as port:
        results = [Connection(peer, 40000 + n, port).connect() for n in range(6)]
        assert results == [True] * 4 + [False] * 2
        for n in range(10):
            peer.send(EtherType.IPV4, frames.udp(GUEST, GATEWAY, Udp(5000 + n, 9, b"x")))
        assert len(peer.network._datagrams) <= 4
        stop.set()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_closing_leaves_nothing_open() -> None:
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    with server(echo) as port:
        peer = Peer(NetSpec((Forward(free_port(), 80),)))
        assert Connection(peer, 40000, port).connect()
        peer.send(EtherType.IPV4, frames.udp(GUEST, GATEWAY, Udp(5000, 9, b"x")))
        peer.close()
        peer.close()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("user", NetSpec()),
        ("user,forward=tcp:2222:22", NetSpec((Forward(2222, 22),))),
        (
            "user,forward=tcp:2222:22,forward=tcp:8080:80",
            NetSpec((Forward(2222, 22), Forward(8080, 80))),
        ),
    ],
)
def test_a_network_as_text(text: str, spec: NetSpec) -> None:
    assert parse_net(text) == parse_net(spec) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the only kind is user"),
        ("tap", "the only kind is user"),
        ("user,", "'' is not an option; write user"),
        ("user,forward=2222:22", "is not an option; write user"),
        ("user,forward=udp:2222:22", "is not an option"),
        ("user,forward=tcp:0:22", "ports are 1 to 65535"),
        ("user,forward=tcp:2222:65536", "ports are 1 to 65535"),
        ("user,forward=tcp:1:2,forward=tcp:1:3", "host port 1 is forwarded twice"),
        ("user,hostfwd=tcp::2222-:22", "QEMU's spelling; write forward=tcp:2222:22"),
        (5, "it must be a text"),
    ],
)
def test_a_text_that_is_no_network(text: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        parse_net(text)


def test_a_port_in_use() -> None:
    first = free_port()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(NetworkError, match=f"another program listens at 127.0.0.1:{port}"):
            UserNetwork(NetSpec((Forward(first, 22), Forward(port, 22))))
    UserNetwork(NetSpec((Forward(first, 22),))).close()  # it was released


fields = st.fixed_dictionaries(
    {
        "seq": st.integers(0, 0xFFFF_FFFF),
        "ack": st.integers(0, 0xFFFF_FFFF),
        "flags": st.integers(0, 63),
        "window": st.integers(0, 0xFFFF),
        "mss": st.none() | st.integers(0, 0xFFFF),
        "payload": st.binary(max_size=40),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(fields, max_size=12), st.booleans())
def test_random_segments_of_a_connection(
    segments: list[dict[str, object]], connected: bool
) -> None:
    """Nothing is raised, and the connection with the host has what was in order."""
    peer = Peer()
    with server(echo) as port:
        connection = Connection(peer, 40000, port)
        if connected:
            assert connection.connect()
        for values in segments:
            if connected and isinstance(values["seq"], int) and values["seq"] % 2:
                values["seq"] = connection.seq + values["seq"] % 5
            segment = TcpSegment(40000, port, **values)  # type: ignore[arg-type]
            peer.send(EtherType.IPV4, frames.tcp(GUEST, GATEWAY, segment))
        other = Connection(peer, 40001, port)
        peer.lose = lambda segment: segment.destination != 40001
        connection.emit(RST)
        assert other.connect()
        other.emit(RST)
        peer.close()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100), st.sampled_from((b"\x08\x00", b"\x08\x06", b"\x86\xdd")))
def test_random_frames(data: bytes, kind: bytes) -> None:
    network = UserNetwork(None, lambda frame: None)
    network.send(data)
    network.send(GATEWAY_MAC + GUEST_MAC + kind + data)
    for protocol in Protocol:
        packet = frames.ipv4(GUEST, GATEWAY, protocol, data)
        if protocol != Protocol.TCP or frames.parse_tcp(frames.parse_ipv4(packet)) is None:
            network.send(frames.ethernet(GATEWAY_MAC, GUEST_MAC, EtherType.IPV4, packet))
    broken = frames.udp(bytes(4), b"\xff" * 4, Udp(68, 67, dhcp_message(1)[:240] + data))
    network.send(frames.ethernet(BROADCAST, GUEST_MAC, EtherType.IPV4, broken))
    network.close()
