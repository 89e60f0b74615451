"""Nothing that a client sends makes the process grow, or keeps it busy, without limit."""

from __future__ import annotations

import errno
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guestdbg.gdb import breakpoints, connection
from guestdbg.gdb.agent.opcodes import Opcode
from guestdbg.gdb.packets import MAX_PACKET, frame
from tests.gdb.rsp_client import SECONDS, Served, Wire, served


@pytest.fixture
def spin(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, "spin") as here:
        yield here


@pytest.fixture
def wire(spin: Served) -> Iterator[Wire]:
    with spin.client() as client:
        yield client


def memory() -> int:
    """The most memory that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def test_lengths_of_reads(wire: Wire) -> None:
    wire.ask(b"g")
    before = memory()
    for length in (b"ffffffffffff", b"ffffffffbfdfffff", b"7fffffff", b"10000"):
        for packet in (b"m40200000,", b"x40200000,"):
            assert len(wire.ask(packet + length)) <= MAX_PACKET
    assert wire.ask(b"m40200000,ffffffffffffffff") == b"E0e"
    for packet in (
        b"qXfer:features:read:target.xml:0,ffffffff",
        b"vFile:pread:0,ffffffffffff,ffffffffffff",
        b"qSearch:memory:0;ffffffff;ff",
        b"vFlashErase:0,ffffffff",
        b"qMemoryRegionInfo:ffffffffffffffff",
        b"M40200000,ffffffff:00",
        b"X40200000,ffffffff:a",
        b"Z2,0,ffffffffffffffff",
        b"Z1,40200000,ffffffffffffffff",
        b"Hg" + b"f" * 60000,
        b"m" + b"0" * 60000 + b",1",
        b"p" + b"f" * 60000,
        b"qRcmd," + b"20" * 30000,
    ):
        assert len(wire.ask(packet)) <= MAX_PACKET, packet[:40]
    assert wire.ask(b"z1,40200000,ffffffffffffffff") == b"OK"  # the guest must run until Ctrl-C
    wire.send(b"vCont" + b";c:1" * 16000)
    wire.socket.sendall(b"\x03")
    assert wire.reply().startswith(b"T02")
    assert memory() - before < 64 << 20


def test_the_number_of_breakpoints(
    wire: Wire, spin: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert breakpoints.MAX_POINTS <= 10_000
    monkeypatch.setattr(breakpoints, "MAX_POINTS", 50)
    replies = [wire.ask(b"Z0,%x,4" % (0x4040_0000 + 4 * n)) for n in range(60)]
    assert replies == [b"OK"] * 50 + [b"E%02x" % errno.ENOSPC] * 10
    # One that is inserted can be inserted again, and one less leaves room for another.
    assert wire.ask(b"Z0,40400000,4") == b"OK"
    assert wire.ask(b"z0,40400000,4") == b"OK"
    assert wire.ask(b"Z0,40500000,4") == b"OK"
    # The kind of a breakpoint at one address makes it another one.
    replies = [wire.ask(b"Z1,40200000,%x" % n) for n in range(60)]
    assert set(replies) == {b"E1c"}


def test_the_length_of_conditions(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    assert breakpoints.MAX_LIST_BYTES <= 1 << 20
    monkeypatch.setattr(breakpoints, "MAX_LIST_BYTES", 5000)
    expression = (
        bytes((Opcode.CONST8, 1, Opcode.POP)) * 400 + bytes((Opcode.CONST8, 1, Opcode.END))
    ).hex()
    text = b";X%x,%s" % (len(expression) // 2, expression.encode())
    replies = [wire.ask(b"Z0,%x,4%s" % (0x4040_0000 + 4 * n, text)) for n in range(6)]
    assert replies == [b"OK"] * 4 + [b"E1c"] * 2
    # The same again replaces its own.
    assert wire.ask(b"Z0,40400000,4" + text) == b"OK"
    assert wire.ask(b"Z0,40400000,4") == b"OK"
    assert wire.ask(b"Z0,40400010,4" + text) == b"OK"


def test_what_an_expression_prints(wire: Wire, spin: Served) -> None:
    """A loop of printf; the client gets an error, and the guest runs on."""
    printf = bytes((Opcode.CONST8, 0, Opcode.CONST8, 0, Opcode.CONST8, 0, Opcode.PRINTF, 1))
    loop = (
        printf + (8).to_bytes(2, "big") + b"%01000d\0"[:8] + bytes((Opcode.GOTO, 0, 0, Opcode.END))
    )
    code = loop.hex().encode()
    place = spin.guest.symbol("main").address
    reply = wire.ask(b"Z0,%x,4;cmds:0,X%x,%s" % (place, len(loop), code))
    assert reply == b"OK", reply
    wire.send(b"vCont;c")
    said = b""
    while b"has printed more than" not in said:
        packet = wire.reply()
        assert packet[:1] == b"O"
        said += bytes.fromhex(packet[1:].decode())
        assert len(said) < 1 << 20
    wire.socket.sendall(b"\x03")
    while not wire.reply().startswith(b"T02"):
        pass


def test_stop_events_that_nobody_fetches(wire: Wire, spin: Served) -> None:
    wire.ask(b"QNonStop:1")
    for _ in range(300):
        wire.send(b"vCont;c:1")
        wire.reply()
        wire.send(b"vCont;t:1")
        wire.reply()
    session = spin.server._session
    assert session is not None
    assert len(session.threads.stop_queue) <= 2


def test_console_input_that_nobody_reads(wire: Wire, spin: Served) -> None:
    replies = [wire.monitor("type " + "x" * 20_000) for _ in range(20)]
    assert "has not read" in replies[-1]
    assert spin.guest.board.console.pending_input <= 64 << 10


def test_watches(wire: Wire) -> None:
    replies = [wire.monitor("watch 0x40400000,8") for _ in range(70)]
    assert "which is the most" in replies[-1]


def test_refusals_are_not_printed_for_ever(wire: Wire, spin: Served) -> None:
    for _ in range(500):
        assert wire.ask(b"Z2,40400004,1000000").startswith(b"E")
    assert sum(text.startswith("refused: ") for text in spin.announced) <= 101


def test_a_long_monitor_reply_comes_in_pieces(wire: Wire, spin: Served) -> None:
    spin.server._console_history += b"x" * 60_000
    wire.send(b"qRcmd," + b"console".hex().encode())
    said = b""
    while (reply := wire.reply())[:1] == b"O" and reply != b"OK":
        assert len(reply) <= MAX_PACKET
        said += bytes.fromhex(reply[1:].decode())
    said += bytes.fromhex(reply.decode())
    assert said == b"x" * 60_000 + b"\n"


def test_a_client_that_never_reads_is_disconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot keep others out for ever."""
    monkeypatch.setattr(connection, "SEND_SECONDS", 1)
    with served(tmp_path, "spin", on_disconnect="stop") as here:
        deaf = socket.socket(socket.AF_UNIX)
        deaf.settimeout(0.2)
        deaf.connect(here.path)
        with deaf:
            try:
                for _ in range(10_000):
                    deaf.sendall(frame(b"m40200000,7ff0"))
            except OSError:
                pass
            end = time.monotonic() + SECONDS
            while "the debugger has disconnected: the guest is stopped" not in here.announced:
                assert time.monotonic() < end
                time.sleep(0.05)
            with here.client() as wire:
                assert wire.ask(b"?").startswith(b"T05")


def test_half_a_packet_for_ever(spin: Served) -> None:
    """Of a client that has been identified: the buffer keeps one packet at most."""
    with spin.client() as wire:
        before = memory()
        wire.send(b"vCont;c")
        wire.socket.sendall(b"$m")
        for _ in range(200):
            wire.socket.sendall(b"0" * 65536)
        wire.socket.sendall(b"#00")
        assert wire.reply().startswith(b"E")
        assert memory() - before < 32 << 20
        wire.socket.sendall(b"\x03")
        assert wire.reply().startswith(b"T02")
