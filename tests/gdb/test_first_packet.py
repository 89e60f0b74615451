"""Who may reach the guest: only connections that begin as a debugger does."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.gdb import acceptor
from guestdbg.gdb.first_packet import MAX_FIRST_BYTES, FirstPacket, judge
from guestdbg.gdb.packets import frame
from tests.gdb.rsp_client import SECONDS, Served, served

WRITE = frame(b"M40200000,8:" + b"41" * 8)
HTTP = b"%s / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
METHODS = (
    b"GET POST PUT HEAD OPTIONS CONNECT DELETE PATCH TRACE PRI PROPFIND M-SEARCH get post".split()
)
#: The beginnings of other protocols, each followed by a packet.
FOREIGN = {
    **{method.decode(): HTTP % (method, len(WRITE), WRITE) for method in METHODS},
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + WRITE,
    "SSH": b"SSH-2.0-x\r\n" + WRITE,
    "RTSP": b"RTSP/1.0 200 OK\r\n\r\n" + WRITE,
    "SMB": b"\x00\x00\x00\x54\xffSMB" + WRITE,
    "Redis": b"*1\r\n$4\r\nPING\r\n" + WRITE,
    "Redis, inline": b"PING\r\n" + WRITE,
    "SOCKS 5": b"\x05\x01\x00" + WRITE,
    "SOCKS 4": b"\x04\x01\x00\x50\x7f\0\0\1\0" + WRITE,
    "STUN": b"\x00\x01\x00\x00\x21\x12\xa4\x42" + WRITE,
    "a new line": b"\r\n" + WRITE,
    "a space": b" " + WRITE,
    "a NUL": b"\0" + WRITE,
    "a notification": b"%Stop:T05#00" + WRITE,
    "a damaged packet": b"$g#00" + WRITE,
    "an empty packet": b"$#00" + WRITE,
    "a packet cut off": b"$m4" + WRITE,
    "the answer to a packet": frame(b" OK") + WRITE,
}
#: What GDB, LLDB and scripts send first.
DEBUGGERS = (
    b"+" + frame(b"qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;error-message+"),
    b"+" + frame(b"QStartNoAckMode"),
    frame(b"qSupported"),
    frame(b"?"),
    frame(b"g"),
    frame(b"!"),
    frame(b"Hg0"),
    frame(b"m0,4"),
    frame(b"vMustReplyEmpty"),
    b"\x03" + frame(b"?"),
    b"+++-" + frame(b"?"),
)


@pytest.mark.parametrize("first", DEBUGGERS)
def test_what_debuggers_send_first(first: bytes) -> None:
    for n in range(len(first)):
        assert judge(first[:n]) is FirstPacket.INCOMPLETE
    assert judge(first) is FirstPacket.DEBUGGER
    assert judge(first + b"anything") is FirstPacket.DEBUGGER


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_send_first(name: str) -> None:
    assert judge(FOREIGN[name]) is FirstPacket.FOREIGN


def test_an_endless_first_packet() -> None:
    assert judge(b"$" + b"0" * (MAX_FIRST_BYTES - 1)) is FirstPacket.INCOMPLETE
    assert judge(b"$" + b"0" * MAX_FIRST_BYTES) is FirstPacket.FOREIGN
    assert judge(b"+" * (MAX_FIRST_BYTES + 1)) is FirstPacket.FOREIGN


@given(st.binary(max_size=60), st.binary(max_size=30))
def test_a_judgement_is_final(data: bytes, more: bytes) -> None:
    verdict = judge(data)
    if verdict is not FirstPacket.INCOMPLETE:
        assert judge(data + more) is verdict


# ---- over TCP ---------------------------------------------------------------------------------


@pytest.fixture
def spin(tmp_path: Path) -> Iterator[Served]:
    """A guest that runs without a debugger, and whose server would end with a client's."""
    with served(
        tmp_path, "spin", listen="tcp:127.0.0.1:0", wait=False, on_disconnect="kill"
    ) as here:
        yield here


def connect(here: Served) -> socket.socket:
    return socket.create_connection((here.server.address.host, here.server.address.port), SECONDS)


def instructions(here: Served) -> int:
    return here.guest.execution.retired()


def runs_on(here: Served) -> bool:
    """Whether the guest runs: it retires instructions, within a time."""
    before, end = instructions(here), time.monotonic() + SECONDS
    while time.monotonic() < end:
        if instructions(here) > before + 10_000:
            return True
        time.sleep(0.01)
    return False


def closed(client: socket.socket) -> bool:
    """Whether the server hangs up, without having sent anything."""
    client.settimeout(SECONDS)
    try:
        return client.recv(100) == b""
    except ConnectionResetError:  # there was input that the server has not read
        return True


def test_other_protocols_reach_nothing(spin: Served) -> None:
    before = spin.guest.execution.read_phys(0x4020_0000, 8)
    for name, data in FOREIGN.items():
        with connect(spin) as client:
            client.sendall(data)
            assert closed(client), name
    assert runs_on(spin)
    assert spin.guest.execution.read_phys(0x4020_0000, 8) == before
    assert spin.announced == [], "none of them counts as a debugger that has disconnected"


def test_a_request_in_small_pieces(spin: Served) -> None:
    with connect(spin) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(b"P")
        assert closed(client)


@pytest.mark.parametrize("first", [b"", b"+", b"\x03", b"\x03\x03", b"$", b"$m40200000,", b"$g#6"])
def test_an_idle_connection_stops_nobody(spin: Served, first: bytes) -> None:
    with connect(spin) as idle:
        idle.sendall(first)
        time.sleep(0.1)
        assert runs_on(spin)
        # And it does not keep a debugger out.
        with connect(spin) as debugger:
            debugger.sendall(b"+" + frame(b"?"))
            assert debugger.recv(100).startswith(b"+$T05")
            assert spin.announced == ["a debugger has attached"]
        assert spin.join() == "killed"


def test_idle_connections_are_closed_in_time(spin: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "FIRST_PACKET_SECONDS", 0.1)
    with connect(spin) as idle:
        idle.sendall(b"$half")
        assert closed(idle)
    assert runs_on(spin)


def test_many_idle_connections(spin: Served) -> None:
    many = [connect(spin) for _ in range(5 * acceptor.MAX_UNIDENTIFIED)]
    try:
        # The oldest ones make room.
        assert closed(many[0])
        assert runs_on(spin)
        with connect(spin) as debugger:
            debugger.sendall(frame(b"?"))
            assert debugger.recv(100).startswith(b"+$T05")
    finally:
        for one in many:
            one.close()


def test_a_first_packet_in_pieces_is_answered_once(spin: Served) -> None:
    with connect(spin) as client:
        for byte in b"+" + frame(b"qC"):
            client.sendall(bytes((byte,)))
            time.sleep(0.002)
        time.sleep(0.2)
        assert client.recv(100) == b"+" + frame(b"QC1")


def test_packets_after_the_first_in_one_piece(spin: Served) -> None:
    """What comes with the first packet is not lost."""
    with connect(spin) as client:
        client.sendall(frame(b"QStartNoAckMode") + b"+" + frame(b"qC") + frame(b"m402")[:3])
        client.sendall(frame(b"m40200000,1")[3:])
        got = b""
        while got.count(b"#") < 3:
            got += client.recv(100)
        assert got.startswith(b"+" + frame(b"OK") + frame(b"QC1"))


def test_a_debugger_that_waits_is_served_when_the_first_has_gone(tmp_path: Path) -> None:
    with served(tmp_path, "spin", on_disconnect="stop") as here:
        first = here.client()
        second = socket.socket(socket.AF_UNIX)
        second.settimeout(SECONDS)
        with first, second:
            second.connect(here.path)
            second.sendall(frame(b"qC"))
            first.close()
            assert second.recv(100) == b"+" + frame(b"QC1")


def test_connections_while_a_debugger_is_attached(tmp_path: Path) -> None:
    """None of them disturbs it."""
    with served(tmp_path, "spin") as here, here.client() as wire:
        others = []
        for n in range(40):
            other = socket.socket(socket.AF_UNIX)
            other.connect(here.path)
            other.sendall((b"", b"GET / HTTP/1.1\r\n\r\n", frame(b"k"), b"\x03", b"$")[n % 5])
            others.append(other)
            assert wire.ask(b"qC") == b"QC1"
        for other in others:
            other.close()
        assert wire.ask(b"?").startswith(b"T05")
